"""What of Keras's inside is used, and what happens where Keras differs.

These tests run on every backend of Keras: `KERAS_BACKEND=jax pytest tests/backends`.
"""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from keras_versioned_ckpt import (
    CheckpointStore,
    CheckpointWarning,
    ResumeError,
    SaveError,
    VersionedCheckpoint,
    archive,
    load_latest,
    save_version,
    snapshot,
)
from tests.zoo import fit, network, same_weights, weights


@pytest.fixture
def afresh() -> Iterator[None]:
    """Has Keras's inside tried anew, before and after the test."""
    snapshot.is_possible.cache_clear()
    yield
    snapshot.is_possible.cache_clear()


def other_walk(*ignored: Any, **also: Any) -> None:
    """A walk of a Keras to come, which finds nothing."""


def other_arguments(model: Any, stores: Any) -> None:
    """A walk of a Keras to come, which is called in another way."""


def swapped(walk: Any) -> Any:
    """Returns a walk that gives each group the name of another."""

    def save(model: Any, weights_store: Any, **rest: Any) -> None:
        make = weights_store.make
        weights_store.make = lambda path, metadata=None: make(path + "x", metadata)
        walk(model, weights_store=weights_store, **rest)

    return save


DIFFERENCES = {
    "the walk finds nothing": ("_save_state", other_walk),
    "the walk takes other arguments": ("_save_state", other_arguments),
    "paths are others": ("_save_state", swapped(snapshot.saving_lib._save_state)),
    "loading does nothing": ("_load_state", other_walk),
    "loading takes other arguments": ("_load_state", other_arguments),
}


@pytest.mark.usefixtures("afresh")
def test_this_keras_is_known(recwarn: pytest.WarningsRecorder) -> None:
    """No fallback is needed with the Keras that is installed."""
    assert snapshot.is_possible()
    assert not [w for w in recwarn if w.category is CheckpointWarning]


@pytest.mark.usefixtures("afresh")
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_where_keras_differs_its_public_methods_are_used(
    directory: Path, monkeypatch: pytest.MonkeyPatch, difference: str
) -> None:
    """One warning, and versions as right as ever."""
    model = network()

    def never(*ignored: Any) -> None:
        raise AssertionError("this writer must not be used")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot.saving_lib, *DIFFERENCES[difference])
        said = f"Keras {re.escape(keras.__version__)} saves in a way"
        with pytest.warns(CheckpointWarning, match=said) as caught:
            answers = [snapshot.is_possible() for _ in range(2)]
        assert answers == [False, False]
        assert len([w for w in caught if w.category is CheckpointWarning]) == 1
    # Public methods use the very functions that were made to differ.
    monkeypatch.setattr(archive, "write", never)
    monkeypatch.setattr(archive, "read", never)
    fit(model, VersionedCheckpoint(directory), epochs=2)
    version = save_version(model, directory, format="weights")
    assert len(CheckpointStore(directory)) == 3
    assert CheckpointStore(directory).verify().ok
    assert same_weights(weights(version.load(model=network())), weights(model))
    loaded = load_latest(directory, model=network())
    assert same_weights(weights(loaded), weights(model))
    assert same_weights(weights(CheckpointStore(directory)[2].load()), weights(model))


@pytest.mark.usefixtures("afresh")
@pytest.mark.filterwarnings("error")
def test_warnings_of_the_trial_are_not_the_users() -> None:
    """A training in which every warning is an error goes on."""
    assert snapshot.is_possible()


@pytest.mark.usefixtures("afresh")
def test_where_keras_has_no_such_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its public methods are enough to go on."""
    monkeypatch.setattr(snapshot, "saving_lib", None)
    with pytest.warns(CheckpointWarning, match="does not know"):
        assert not snapshot.is_possible()


@pytest.mark.usefixtures("afresh")
def test_a_walk_leaves_keras_as_it_was(directory: Path) -> None:
    """Nothing is replaced for good; from the second on, no automatic name is used."""
    model, find_skipset = network(), snapshot.saving_lib.get_attr_skipset
    save_version(model, directory)
    before = keras.layers.Layer().name
    save_version(model, directory)
    load_latest(directory, model=model)
    after = keras.layers.Layer().name
    assert snapshot.saving_lib.get_attr_skipset is find_skipset
    first, second = (int(name.partition("_")[2] or 0) for name in (before, after))
    assert second - first == 1


@pytest.mark.usefixtures("afresh")
def test_a_keras_that_finds_attributes_in_another_way(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only saves time is done without."""
    monkeypatch.setattr(snapshot, "_find_skipset", None)
    assert snapshot.is_possible()
    model = network()
    version = save_version(model, directory)
    assert same_weights(weights(version.load()), weights(model))


def test_a_model_with_its_own_saver_is_asked(directory: Path) -> None:
    """A subclass that overrides `save` knows why."""

    class Own(keras.Sequential):
        def save(self, filepath: Any, **options: Any) -> None:
            asked.append(filepath)
            super().save(filepath, **options)

    asked: list[Any] = []
    model = Own([keras.Input((3,)), keras.layers.Dense(2)])
    version = save_version(model, directory)
    assert len(asked) == 1
    loaded = version.load(custom_objects={"Own": Own})
    assert same_weights(weights(loaded), weights(model))


def test_a_model_with_its_own_loader_is_asked(directory: Path) -> None:
    """A subclass that overrides `load_weights` knows why."""

    class Own(keras.Sequential):
        def load_weights(self, filepath: Any, **options: Any) -> None:
            asked.append(filepath)
            super().load_weights(filepath, **options)

    asked: list[Any] = []
    layers = [keras.Input((3,)), keras.layers.Dense(2)]
    save_version(Own(layers), directory, format="weights")
    load_latest(directory, model=Own([keras.Input((3,)), keras.layers.Dense(2)]))
    assert len(asked) == 1


def test_a_model_that_is_not_built(directory: Path) -> None:
    """Keras saves its architecture, with its own warning, and not its weights."""
    model = keras.Sequential([keras.layers.Dense(2)])
    with pytest.warns(UserWarning, match="not yet been built"):
        version = save_version(model, directory)
    assert not version.load().built
    with pytest.raises(SaveError, match="not yet been built"):
        save_version(model, directory, format="weights")


def test_what_a_layer_changes_after_giving_it(directory: Path) -> None:
    """A value that is no variable is taken when it is given, as Keras does."""

    @keras.saving.register_keras_serializable("tests")
    class Recycling(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.scratch = np.zeros(3, "float32")
            self.loaded: list[Any] = []

        def call(self, x: Any) -> Any:
            return x

        def save_own_variables(self, store: Any) -> None:
            for index in range(3):
                self.scratch[:] = index
                store[f"{index}"] = self.scratch
            assert "1" in store
            assert list(store.keys()) == ["0", "1", "2"]
            del store["1"]

        def load_own_variables(self, store: Any) -> None:
            self.loaded = [
                (key, np.array(store[key]).tolist()) for key in sorted(store.keys())
            ]

    model = keras.Sequential([keras.Input((3,)), Recycling()])
    version = save_version(model, directory)
    expected = [("0", [0.0] * 3), ("2", [2.0] * 3)]
    assert version.load().layers[0].loaded == expected
    assert keras.saving.load_model(version.path / "model.keras").layers[0].loaded == (
        expected
    )


def test_what_keras_would_not_save_is_an_error(directory: Path) -> None:
    """Text, say, which HDF5 could take but Keras refuses."""

    class Text(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

        def save_own_variables(self, store: Any) -> None:
            store["text"] = np.array(["a", "b"])

    model = keras.Sequential([keras.Input((3,)), Text()])
    with pytest.raises(SaveError, match="dtype"):
        save_version(model, directory)
    assert list(CheckpointStore(directory)) == []


def test_a_layer_may_change_what_it_is_given_to_load(directory: Path) -> None:
    """It is the layer's own, and the file stays as it is."""

    @keras.saving.register_keras_serializable("tests")
    class Doubling(keras.layers.Dense):
        def load_own_variables(self, store: Any) -> None:
            kernel = store["0"]
            kernel *= 2
            self.kernel.assign(kernel)
            self.bias.assign(store["1"])

    model = keras.Sequential([keras.Input((3,)), Doubling(2)])
    version = save_version(model, directory)
    for _ in range(2):
        loaded = version.load()
        assert np.array_equal(weights(loaded)[0], 2 * weights(model)[0])
    assert CheckpointStore(directory).verify().ok


def test_loaded_variables_outlive_the_version(directory: Path) -> None:
    """They do not lie in the file: it may be overwritten and deleted."""
    model = network(units=1000)
    version = save_version(model, directory)
    loaded = version.load()
    path = version.path / "model.keras"
    path.write_bytes(bytes(path.stat().st_size))
    path.unlink()
    assert same_weights(weights(loaded), weights(model))
    fit(loaded, epochs=1)


def test_what_does_not_fit_is_named(directory: Path) -> None:
    """The layer, what it holds and what was saved."""
    save_version(network(units=4), directory)
    with pytest.raises(ResumeError, match=r"do not fit.*hidden") as caught:
        load_latest(directory, model=network(units=5))
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize("format", ["keras", "weights"])
def test_the_bytes_that_were_hashed_are_those_that_are_read(
    directory: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    """Another file that takes the payload's place in between is never looked at."""
    model = network()
    version = save_version(model, directory, format=format)
    payload = next(version.path.glob("model.*"))
    read = archive.read

    def late(*arguments: Any) -> Any:
        other = payload.with_name("other")
        other.write_bytes(b"not what was hashed")
        other.replace(payload)
        return read(*arguments)

    monkeypatch.setattr(archive, "read", late)
    loaded = version.load(model=network())
    assert same_weights(weights(loaded), weights(model))
    assert payload.read_bytes() == b"not what was hashed"


def test_packed_arrays_are_left_to_keras(directory: Path) -> None:
    """A file of HDF5 that another program wrote, in pieces and compressed."""
    model = network()
    store = CheckpointStore(directory, create=True)
    with store.stage() as staged:
        plain = staged.path.with_name("plain.weights.h5")
        model.save_weights(plain)
        with (
            h5py.File(plain) as source,
            h5py.File(staged.path / "model.weights.h5", "w") as packed,
        ):

            def pack(name: str, item: Any) -> None:
                if isinstance(item, h5py.Group):
                    packed.require_group(name).attrs.update(item.attrs)
                elif item.shape:
                    packed.create_dataset(name, data=item[...], compression="gzip")
                else:
                    packed[name] = item[...]

            source.visititems(pack)
        plain.unlink()
        store.commit(staged, format="weights")
    loaded = load_latest(directory, model=network())
    assert same_weights(weights(loaded), weights(model))


def test_a_compressed_file_is_left_to_keras(directory: Path) -> None:
    """Such as one that was packed again by hand; its hash is right all the same."""
    model = network()
    store = CheckpointStore(directory, create=True)
    with store.stage() as staged:
        plain = staged.path.with_name("plain.keras")
        model.save(plain)
        with (
            zipfile.ZipFile(plain) as source,
            zipfile.ZipFile(
                staged.path / "model.keras", "w", zipfile.ZIP_DEFLATED
            ) as packed,
        ):
            for name in source.namelist():
                packed.writestr(name, source.read(name))
        plain.unlink()
        store.commit(staged)
    assert same_weights(weights(load_latest(directory)), weights(model))
    loaded = load_latest(directory, model=network())
    assert same_weights(weights(loaded), weights(model))
