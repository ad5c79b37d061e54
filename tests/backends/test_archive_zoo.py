"""What `save_version` writes is what Keras writes, for every kind of model.

The measure is Keras itself: it saves the same model beside, and both files are
compared object by object and bit by bit; it loads both, and what comes out is
compared as well. Only public interfaces are used, so that these tests say the same
whoever writes the payload.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import re
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_versioned_ckpt import (
    CheckpointError,
    CheckpointStore,
    SaveError,
    Version,
    load_latest,
    save_version,
)
from tests import contents
from tests.model_zoo import FORMATS, KINDS, Kind, variables

PAYLOADS = {"keras": "model.keras", "weights": "model.weights.h5"}
# How Keras reads a payload: it makes the model of a `.keras` file, or puts what
# either file holds into a model that is there.
WAYS = {"keras": ("model", "weights"), "weights": ("weights",)}

pytestmark = [
    # What Keras says about models that are not built, cannot be quantized, …
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("error::keras_versioned_ckpt.errors.CheckpointWarning"),
]


def marks(kind: Kind) -> list[pytest.MarkDecorator]:
    """Returns the reasons not to test a kind here and now."""
    found = [pytest.mark.slow] if kind.slow else []
    if kind.backends is not None:
        backend = keras.config.backend()
        reason = f"{kind.name} needs {' or '.join(kind.backends)}, not {backend}"
        found.append(pytest.mark.skipif(backend not in kind.backends, reason=reason))
    return found


def write(model: Any, format: str, path: Path) -> Path:
    """Has Keras save a model."""
    (model.save if format == "keras" else model.save_weights)(path)
    return path


def state(model: Any) -> list[tuple[str, tuple[int, ...], str]]:
    """Returns every variable by its dtype, its shape, and a hash of its bytes.

    Not by its name, which tells how many others were made in this process before.
    """
    return [
        (
            str(value.dtype),
            value.shape,
            hashlib.sha256(np.ascontiguousarray(value)).hexdigest(),
        )
        for value in (variable.numpy() for variable in variables(model))
    ]


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What came out of a loader: a model's state, or its error.

    What a model holds besides its variables shows in what Keras saves of it, for
    which it takes a further save.
    """

    state: Any = ()
    error: str = ""
    again: contents.Archive | None = None

    def differences(self, other: "Loaded") -> list[str]:
        """Returns where another one differs."""
        found = [
            f"variable {index} is {theirs}, expected {ours}"
            for index, (ours, theirs) in enumerate(
                itertools.zip_longest(self.state, other.state)
            )
            if ours != theirs
        ]
        if self.error != other.error:
            found.append(f"error is {other.error!r}, expected {self.error!r}")
        a, b = self.again, other.again
        if a is not None and b is not None:
            # Models that are not made from a configuration have names of their own.
            found += contents.differences(
                a.weights, b.weights, at_least=0, ignore={"name"}
            )
            for field in ("config", "assets"):
                if getattr(a, field) != getattr(b, field):
                    found.append(f"{field} are not the same")
        return found


def outcome(
    load: Callable[[], Any], way: str, scratch: Path, *, again: bool = True
) -> Loaded:
    """Returns what a loader gives, and what is saved of it again."""
    try:
        model = load()
    except CheckpointError as error:
        # An error of this package that names no cause is like none of Keras.
        return Loaded(error=timeless(error.__cause__))
    except Exception as error:
        return Loaded(error=timeless(error))
    found = Loaded(state(model))
    if again and way == "model":
        archive = contents.archive(write(model, "keras", scratch / "again.keras"))
        config = in_order(archive.config)
        found = dataclasses.replace(
            found, again=dataclasses.replace(archive, config=config)
        )
    elif again:
        file = contents.hdf5(write(model, "weights", scratch / "again.weights.h5"))
        found = dataclasses.replace(found, again=contents.Archive((), weights=file))
    return found


def timeless(error: BaseException | None) -> str:
    """Returns an error without addresses and without the numbers in automatic names."""
    return re.sub(r" at 0x[0-9a-f]+|(?<=[a-z])_[0-9]+\b", "", repr(error))


def in_order(config: str) -> str:
    """Puts 1, 2, … for the ids of shared objects, which are addresses in memory."""
    ids = dict.fromkeys(re.findall(r'"shared_object_id": (\d+)', config))
    order = {id_: index for index, id_ in enumerate(ids, 1)}
    return re.sub(
        r'("shared_object_id": )(\d+)',
        lambda match: f"{match[1]}{order[match[2]]}",
        config,
    )


class Case:
    """A trained model of one kind, saved in one format by Keras and by this package."""

    def __init__(self, kind: Kind, format: str, directory: Path) -> None:
        self.kind = kind
        self.format = format
        self.scratch = directory / "scratch"
        self.scratch.mkdir(parents=True)
        self.store = directory / "store"
        model = trained(kind.name)
        self.before = state(model)
        self.of_keras = write(model, format, directory / PAYLOADS[format])
        self.version: Version = save_version(model, self.store, format=format)
        self.after = state(model)
        self.of_ours = Path(str(self.version.path)) / PAYLOADS[format]

    def loaded_ways(self) -> tuple[str, ...]:
        """Returns how Keras reads the file; skips the test if that takes too long."""
        if not self.kind.loaded:
            pytest.skip(f"Making {self.kind.name} takes seconds, and loading makes it.")
        return WAYS[self.format]

    @functools.cached_property
    def weights(self) -> dict[str, contents.Node]:
        """What Keras's own file holds."""
        if self.format == "keras":
            return dict(contents.archive(self.of_keras).weights)
        return contents.hdf5(self.of_keras)

    def by_keras(self, way: str, path: Path, *, again: bool = False) -> Loaded:
        """What Keras loads from a file."""

        def load() -> Any:
            if way == "model":
                return keras.saving.load_model(path)
            model = self.kind.fresh()
            optimizer = getattr(model, "optimizer", None)
            if optimizer is not None and model.built:
                # Keras passes over the state of an optimizer that has no variables.
                optimizer.build(model.trainable_variables)
            model.load_weights(path)
            return model

        return self._outcome(load, way, again=again or self.kind.hidden)

    def by_package(self, way: str) -> Loaded:
        """What this package loads from its store."""

        def load() -> Any:
            if way == "model":
                return load_latest(self.store)
            return load_latest(self.store, model=self.kind.fresh())

        return self._outcome(load, way, again=self.kind.hidden)

    def _outcome(self, load: Callable[[], Any], way: str, *, again: bool) -> Loaded:
        # What is not in the file is drawn anew, and the same for every loader.
        keras.utils.set_random_seed(2)
        with self.kind.settings():
            return outcome(load, way, self.scratch, again=again)

    @functools.cache  # noqa: B019 - a case does not outlive its tests
    def expected(self, way: str) -> Loaded:
        """What Keras loads from its own file, by the main way with all of it."""
        again = way == WAYS[self.format][0]
        return self.by_keras(way, self.of_keras, again=again)


@functools.lru_cache(maxsize=1)
def trained(name: str) -> Any:
    """Returns the trained model of a kind; the last one is kept for its next format."""
    return KINDS[name].trained()


def cases() -> list[Any]:
    """Returns what there is to save: every kind in every format that Keras can."""
    return [
        pytest.param((kind, format), id=f"{kind.name}-{format}", marks=marks(kind))
        for kind in KINDS.values()
        for format in FORMATS
        if format not in kind.unsaved
    ]


@pytest.fixture(scope="module")
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Case]:
    """One kind in one format; made once for all its tests, which run in a row."""
    kind, format = request.param
    directory = tmp_path_factory.mktemp(f"{kind.name}_{format}")
    with warnings.catch_warnings(action="ignore"):
        made = Case(kind, format, directory)
    yield made
    shutil.rmtree(directory)


# One mark for all of them, so that all tests of one case run in a row.
saved = pytest.mark.parametrize("case", cases(), indirect=True)


@saved
def test_the_file_holds_what_that_of_keras_holds(case: Case) -> None:
    """Every name, attribute, type, shape and bit is the same, and so is what is around.

    For an archive: the members and their order, the configuration, the metadata but
    for the date, the assets, and that it is sound and nothing in it is compressed.
    """
    least = case.kind.data_sets
    if case.format == "keras":
        a, b = contents.archive(case.of_keras), contents.archive(case.of_ours)
        assert contents.archive_differences(a, b, at_least=least) == []
        assert b.metadata["keras_version"] == keras.__version__
    else:
        ours = contents.hdf5(case.of_ours)
        assert contents.differences(case.weights, ours, at_least=least) == []


@saved
def test_nothing_in_it_is_trivial(case: Case) -> None:
    """The file of Keras has no values that are all zero, which a lost one could be."""
    zero = [
        path
        for path, node in case.weights.items()
        if node.trivial
        and 0 not in (node.shape or ())
        and not path.endswith(case.kind.zeros or ("\0",))
    ]
    assert zero == []


@saved
def test_saving_changes_nothing(case: Case) -> None:
    """The model is what it was before the save."""
    assert case.after == case.before


@saved
def test_the_manifest_tells_size_and_hash(case: Case) -> None:
    """They are those of the one file that is there besides the manifest."""
    path = Path(str(case.version.path))
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    size = case.of_ours.stat().st_size
    with case.of_ours.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    name = PAYLOADS[case.format]
    assert manifest["files"] == {name: {"size": size, "sha256": sha256}}
    assert manifest["size_bytes"] == case.version.size_bytes == size
    assert {file.name for file in path.iterdir()} == {"manifest.json", name}


@saved
def test_keras_loads_it(case: Case) -> None:
    """Keras gets from the file what it gets from its own, without this package."""
    way = case.loaded_ways()[0]
    found = case.by_keras(way, case.of_ours)
    assert case.expected(way).differences(found) == []


@saved
def test_this_package_loads_it(case: Case) -> None:
    """So does this package, the optimizer of a fresh model included."""
    for way in case.loaded_ways():
        found = case.by_package(way)
        if way in case.kind.unloaded:
            # In words of its own: what Keras cannot read here, it cannot either.
            assert case.kind.unloaded[way] in found.error
        else:
            assert case.expected(way).differences(found) == [], way


@saved
def test_what_keras_loads_is_what_was_saved(case: Case) -> None:
    """The measure is one: but where a kind says why, Keras loads what it has saved.

    And where it says so, that is still so.
    """
    kind = case.kind
    for way in case.loaded_ways():
        loaded = case.expected(way)
        if way in kind.unloaded:
            assert kind.unloaded[way] in loaded.error
            continue
        assert not loaded.error, way
        if loaded.again is None:
            continue
        found = contents.differences(
            case.weights,
            loaded.again.weights,
            at_least=0 if way in kind.unlike else kind.data_sets,
            ignore={"name"},
        )
        if way == "model":
            assets = contents.archive(case.of_keras).assets
            found += ["the assets differ"] if loaded.again.assets != assets else []
        assert bool(found) == (way in kind.unlike), f"{way}: {found}"


def refusals() -> list[Any]:
    """Returns what Keras cannot save."""
    return [
        pytest.param(kind, format, id=f"{kind.name}-{format}", marks=marks(kind))
        for kind in KINDS.values()
        for format in kind.unsaved
    ]


@pytest.mark.parametrize(("kind", "format"), refusals())
def test_what_keras_refuses_is_refused(kind: Kind, format: str, tmp_path: Path) -> None:
    """A SaveError with the cause, and a store in which there is nothing of it."""
    model = kind.trained()
    with pytest.raises(Exception, match=kind.unsaved[format]):
        write(model, format, tmp_path / PAYLOADS[format])
    with pytest.raises(SaveError, match=PAYLOADS[format]) as caught:
        save_version(model, tmp_path / "store", format=format)
    assert caught.value.__cause__ is not None
    assert len(CheckpointStore(tmp_path / "store")) == 0
    assert not any((tmp_path / "store" / ".versions" / "staging").iterdir())


def test_there_is_a_kind_of_everything() -> None:
    """The zoo has not shrunk, and what is left out is left out for a reason."""
    assert len(KINDS) >= 75
    assert {name for name, kind in KINDS.items() if not kind.loaded} == {
        "very_many_variables"
    }
    assert {name for name, kind in KINDS.items() if kind.slow} == {"more_than_2_gib"}


def test_other_values_of_a_variable_are_seen(tmp_path: Path) -> None:
    """What loaders give is told apart by one bit, also in an optimizer."""
    kind = KINDS["sequential"]
    one = outcome(kind.trained, "weights", tmp_path)
    assert one.differences(outcome(kind.trained, "weights", tmp_path)) == []
    last = len(one.state) - 1
    for index in (0, last):
        model = kind.trained()
        variable = variables(model)[index]
        value = variable.numpy().copy()
        value.reshape(-1).view("uint8")[0] ^= 1
        variable.assign(value)
        other = outcome(lambda model=model: model, "weights", tmp_path)
        found = one.differences(other)
        assert any(text.startswith(f"variable {index} ") for text in found), found
        assert any("sha256" in text for text in found), found
    refused = Loaded(error="no")
    assert "error is 'no', expected ''" in one.differences(refused)
