"""What Keras itself has saved is imported, and loads as what it was."""

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format

from keras_versioned_ckpt import (
    VersionedCheckpoint,
    load_best,
    load_version,
    save_version,
)
from keras_versioned_ckpt._adopting import adopt
from keras_versioned_ckpt._exporting import export
from keras_versioned_ckpt._finding import find
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CheckpointWarning,
    CorruptVersionError,
    ResumeError,
    UnsafeVersionError,
)
from keras_versioned_ckpt.store import CheckpointStore
from tests.foreign import seen

X = np.linspace(-1, 1, 64, dtype="float32").reshape(16, 4)
Y = X.sum(axis=1, keepdims=True)


def model(seed: int = 1) -> Any:
    """Returns a compiled model."""
    keras.utils.set_random_seed(seed)
    made = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(1)]
    )
    made.compile("adam", keras.losses.MeanSquaredError())
    return made


def same(one: Any, other: Any) -> bool:
    """Returns whether two models, or lists of weights, are the same bit by bit."""
    ours, theirs = (
        each if isinstance(each, list) else each.get_weights() for each in (one, other)
    )
    pairs = zip(ours, theirs, strict=True)
    return all(a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in pairs)


def imported(store: Path, source: Path, template: str | None, **options: Any) -> Any:
    """Imports, and sees that the originals are as they were."""
    before = seen(source)
    opened = CheckpointStore(store, create=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointWarning)
        adopt(opened, find(source, template).found, **options)
    assert seen(source) == before
    assert opened.verify().ok
    return opened


def trained(
    source: Path, name: str, epochs: int = 3, **options: Any
) -> dict[int, list[np.ndarray]]:
    """Trains with Keras's own `ModelCheckpoint`; returns the weights of each epoch."""
    source.mkdir()
    weights: dict[int, list[np.ndarray]] = {}
    noted = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.update(
            {epoch + 1: [np.array(w) for w in trainee.get_weights()]}
        )
    )
    trainee = model()
    checkpoint = keras.callbacks.ModelCheckpoint(source / name, **options)
    trainee.fit(
        *(X, Y),
        validation_data=(X, Y),
        epochs=epochs,
        verbose=0,
        callbacks=[checkpoint, noted],
    )
    return weights


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("ending", [".keras", ".weights.h5", ".h5"])
def test_a_training_with_model_checkpoint_is_imported(
    tmp_path: Path, directory: Path, ending: str, link: bool
) -> None:
    """Each epoch loads with the weights it had, and the best is the best."""
    template = "weights.{epoch:02d}-{val_loss:.2f}" + ending
    only = ending == ".weights.h5"
    weights = trained(tmp_path / "source", template, save_weights_only=only)
    store = imported(directory, tmp_path / "source", template, link=link)
    assert [version.epoch for version in store] == [1, 2, 3]
    options: dict[str, Any] = {}
    if only:
        options["model"] = model(seed=2)
    if ending == ".h5":
        options["trust_code"] = True
    for version in store:
        loaded = load_version(directory, version.number, **options)
        assert same(loaded, weights[version.epoch])
    losses = [version.metrics["val_loss"] for version in store]
    best = weights[1 + losses.index(min(losses))]
    assert same(load_best(directory, **options), best)


def by_hand(source: Path, names: list[str]) -> list[Any]:
    """Saves models in folders as people make them."""
    models = [model(seed) for seed in range(len(names))]
    for name, made in zip(names, models, strict=True):
        (source / name).mkdir(parents=True)
        made.save(source / name / "model.keras")
    return models


@pytest.mark.parametrize(
    ("names", "template"),
    [
        (["version_1", "version_2", "version_10"], None),
        (["version_1", "version_2", "version_10"], "version_{number}"),
        (["model_20261120175959", "model_20261120180000"], None),
        (["2026-11-20_09-00-00", "2026-11-20_10-00-00"], "{created:%Y-%m-%d_%H-%M-%S}"),
    ],
)
def test_folders_made_by_hand_are_imported(
    tmp_path: Path, directory: Path, names: list[str], template: str | None
) -> None:
    """In the order of their numbers or times, each its own model."""
    models = by_hand(tmp_path / "source", names)
    store = imported(directory, tmp_path / "source", template)
    assert len(store) == len(names)
    for name, version, made in zip(names, store, models, strict=True):
        assert version.metadata["imported_from"]["name"] == f"{name}/model.keras"
        assert same(load_version(directory, version.number), made)


def test_a_saved_model_is_imported(tmp_path: Path, directory: Path) -> None:
    """It needs trust, as ever, and answers as the model does."""
    made = model()
    made.export(tmp_path / "source" / "1", format="tf_saved_model", verbose=False)
    store = imported(directory, tmp_path / "source", None)
    assert store[1].format == "saved_model"
    with pytest.raises(UnsafeVersionError, match="trust_code=True"):
        load_version(directory, 1)
    layer = load_version(directory, 1, trust_code=True)
    np.testing.assert_array_equal(np.array(layer(X)), np.array(made(X)))


def test_a_saved_model_without_keras_3s_endpoint_loads(
    tmp_path: Path, directory: Path
) -> None:
    """Keras 2 called the only one `serving_default`."""
    tf = pytest.importorskip("tensorflow")
    module = tf.Module()
    module.weight = tf.Variable(2.0)
    serve = tf.function(
        lambda x: {"output": x * module.weight},
        input_signature=[tf.TensorSpec([None, 4], tf.float32)],
    )
    tf.saved_model.save(
        module, str(tmp_path / "m"), signatures={"serving_default": serve}
    )
    imported(directory, tmp_path / "m", None)
    layer = load_version(directory, 1, trust_code=True)
    np.testing.assert_array_equal(np.array(layer(X)["output"]), 2 * X)


class TestOlderFiles:
    """Files that are laid out as Keras 2 did."""

    def test_weights_go_into_a_model(self, tmp_path: Path, directory: Path) -> None:
        """They have no model with them."""
        made = model()
        with h5py.File(tmp_path / "w.h5", "w") as h5:
            legacy_h5_format.save_weights_to_hdf5_group(h5, made)
        store = imported(directory, tmp_path / "w.h5", None)
        assert store[1].format == "h5"
        with pytest.raises(ValueError, match="holds weights only"):
            load_version(directory, 1, trust_code=True)
        given = model(seed=2)
        loaded = load_version(directory, 1, trust_code=True, model=given)
        assert loaded is given
        assert same(given, made)

    @pytest.mark.parametrize("with_model", [False, True])
    def test_trust_is_needed(
        self, tmp_path: Path, directory: Path, with_model: bool
    ) -> None:
        """Keras looks less closely at what such a file has it run."""
        model().save(tmp_path / "m.h5")
        imported(directory, tmp_path / "m.h5", None)
        options = {"model": model(seed=2)} if with_model else {}
        with pytest.raises(UnsafeVersionError, match=r"\.h5.*trust_code=True"):
            load_version(directory, 1, **options)
        loaded = load_version(directory, 1, trust_code=True, **options)
        assert same(loaded, model())

    def test_a_python_lambda_needs_more_than_trust(
        self, tmp_path: Path, directory: Path
    ) -> None:
        """`safe_mode` is on also then, as far as Keras heeds it."""
        made = keras.Sequential(
            [keras.layers.Input((4,)), keras.layers.Lambda(lambda x: x * 2)]
        )
        made.save(tmp_path / "m.h5")
        imported(directory, tmp_path / "m.h5", None)
        with pytest.raises(UnsafeVersionError, match="would run code"):
            load_version(directory, 1, trust_code=True)

    @pytest.mark.parametrize("kind", ["external", "soft"])
    def test_links_are_refused_in_any_case(
        self, tmp_path: Path, directory: Path, kind: str
    ) -> None:
        """What they lead to is not read, trusted or not."""
        model().save(tmp_path / "m.h5")
        with h5py.File(tmp_path / "m.h5", "r+") as h5:
            del h5["optimizer_weights"]
            h5["optimizer_weights"] = (
                h5py.ExternalLink("/etc/passwd", "/x")
                if kind == "external"
                else h5py.SoftLink("/model_weights")
            )
        imported(directory, tmp_path / "m.h5", None)
        with pytest.raises(UnsafeVersionError, match="link to somewhere else"):
            load_version(directory, 1, trust_code=True)

    def test_damage_is_found(self, tmp_path: Path, directory: Path) -> None:
        """By its hash, as in any version."""
        model().save(tmp_path / "m.h5")
        store = imported(directory, tmp_path / "m.h5", None)
        path = Path(str(store[1].path)) / "model.h5"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(CorruptVersionError):
            load_version(directory, 1, trust_code=True)

    def test_no_training_goes_on_from_one(
        self, tmp_path: Path, directory: Path
    ) -> None:
        """It does not begin anew either, as if there were nothing."""
        model().save(tmp_path / "01.h5")
        imported(directory, tmp_path / "01.h5", "{epoch}")
        callback = VersionedCheckpoint(directory, resume=True)
        with pytest.raises(ResumeError, match=r"older HDF5 file"):
            model().fit(X, Y, verbose=0, callbacks=[callback])

    def test_none_is_written(self, directory: Path) -> None:
        """The format is for what is imported, and for nothing else."""
        message = r"`format` must be one of 'keras', 'weights', 'saved_model'\."
        with pytest.raises(ValueError, match=message):
            VersionedCheckpoint(directory, format="h5")
        with pytest.raises(ValueError, match=message):
            save_version(model(), directory, format="h5")

    def test_what_keras_cannot_compile_loads_without(
        self, tmp_path: Path, directory: Path
    ) -> None:
        """Keras 3 does not find the losses that such a file calls by short names."""
        made = model()
        made.compile("adam", "mse")
        made.save(tmp_path / "m.h5")
        imported(directory, tmp_path / "m.h5", None)
        with pytest.raises(CheckpointError, match=r"Pass `compile=False`"):
            load_version(directory, 1, trust_code=True)
        assert same(load_version(directory, 1, trust_code=True, compile=False), made)


def test_weights_of_keras_3_under_another_name_load(
    tmp_path: Path, directory: Path
) -> None:
    """They are recognised, and get the ending that Keras goes by."""
    made = model()
    made.save_weights(tmp_path / "m.weights.h5")
    os.rename(tmp_path / "m.weights.h5", tmp_path / "m.h5")
    store = imported(directory, tmp_path / "m.h5", None)
    assert store[1].format == "weights"
    assert same(load_version(directory, 1, model=model(seed=2)), made)


def test_training_goes_on_from_an_import(tmp_path: Path, directory: Path) -> None:
    """At the next epoch, which a warning says is not exactly the same training."""
    template = "{epoch:02d}.keras"
    trained(tmp_path / "source", template, epochs=2)
    imported(directory, tmp_path / "source", template)
    trainee = model(seed=3)
    callback = VersionedCheckpoint(directory, resume=True)
    with pytest.warns(CheckpointWarning, match="no state of its training"):
        trainee.fit(
            *(X, Y), validation_data=(X, Y), epochs=4, verbose=0, callbacks=[callback]
        )
    assert [version.epoch for version in callback.store] == [1, 2, 3, 4]


def test_what_was_exported_is_imported_again(tmp_path: Path, directory: Path) -> None:
    """The way out and the way in are the same; Keras alone opens what is between."""
    [made] = by_hand(tmp_path / "source", ["version_1"])
    store = imported(directory, tmp_path / "source", None)
    copy = export(store[1], tmp_path / "out.keras")
    assert same(keras.saving.load_model(copy), made)
    shutil.rmtree(tmp_path / "source")
    again = imported(tmp_path / "again", copy, None)
    assert same(load_version(again.path, 1), made)
