"""`save_version`: models saved by hand, outside `fit`."""

import contextlib
import re
import resource
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import pytest

from keras_versioned_ckpt import (
    CheckpointStore,
    SaveError,
    StoreError,
    Timestamped,
    VersionedCheckpoint,
    _committing,
    load_latest,
    load_version,
    save_version,
)
from keras_versioned_ckpt._hashed_file import HashedFile

from .zoo import fit, network, same_weights, weights


def test_numbered_folders(tmp_path: Path) -> None:
    """The recipe my_models/version_1, my_models/version_2, without the folder count."""
    model = network()
    first = save_version(model, tmp_path / "my_models")
    before = weights(model)
    fit(model, epochs=1)
    second = save_version(model, tmp_path / "my_models")
    assert [first.path, second.path] == [
        tmp_path / "my_models" / "version_1",
        tmp_path / "my_models" / "version_2",
    ]
    assert same_weights(weights(load_version(tmp_path / "my_models", 1)), before)
    assert same_weights(weights(load_latest(tmp_path / "my_models")), weights(model))


def test_time_stamps(tmp_path: Path) -> None:
    """The recipe my_models/model_20250130120000, with the time of the save."""
    version = save_version(network(), tmp_path, naming="model_{created:%Y%m%d%H%M%S}")
    assert re.fullmatch(r"model_\d{14}", version.name)
    stamp = datetime.strptime(version.name, "model_%Y%m%d%H%M%S").replace(tzinfo=UTC)
    assert stamp == version.created.replace(microsecond=0)


def test_two_in_the_same_second(tmp_path: Path) -> None:
    """The recipe's bug: here they are two versions, both loadable."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2025, 1, 30, 12, 0, 0, tzinfo=tz)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_committing, "datetime", Clock)
        for _ in range(3):
            save_version(network(), tmp_path, naming=Timestamped())
    names = [version.name for version in CheckpointStore(tmp_path)]
    assert names == [f"model_20250130120000{suffix}" for suffix in ("", "-2", "-3")]
    for name in names:
        assert load_version(tmp_path, name)


def test_facts_and_tags(tmp_path: Path) -> None:
    """Metrics, epoch, tags and metadata are the caller's and are kept."""
    version = save_version(
        network(),
        tmp_path,
        metrics={"f1": 0.5},
        epoch=3,
        tags=("prod", "first"),
        metadata={"who": "me"},
    )
    assert version == CheckpointStore(tmp_path).latest()
    assert (version.epoch, version.step, version.tags) == (3, 0, ("first", "prod"))
    assert (version.metrics, version.metadata) == ({"f1": 0.5}, {"who": "me"})
    assert save_version(network(), tmp_path, tags="prod").tags == ("prod",)
    assert CheckpointStore(tmp_path)[1].tags == ("first",)


def test_an_uncompiled_model(tmp_path: Path) -> None:
    """A model without optimizer has no step."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert save_version(model, tmp_path).step is None


def test_beside_a_training(tmp_path: Path) -> None:
    """Versions by hand and by the callback share one store and one row of numbers."""
    model = network()
    fit(model, VersionedCheckpoint(tmp_path), epochs=1)
    save_version(model, tmp_path)
    fit(model, VersionedCheckpoint(tmp_path), epochs=1)
    assert [v.name for v in CheckpointStore(tmp_path)] == [
        "version_1",
        "version_2",
        "version_3",
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"naming": "a/b"}, ValueError, "Received"),
        ({"naming": 3}, TypeError, "Received: naming=3"),
        ({"format": "h5"}, ValueError, "Received: format='h5'"),
        ({"metrics": [1]}, TypeError, "Received: metrics="),
        ({"metrics": {"a": "b"}}, ValueError, "Received: metrics="),
        ({"metrics": {"": 1}}, ValueError, "Received: metrics="),
        ({"epoch": -1}, ValueError, "Received: epoch=-1"),
        ({"epoch": 1.5}, ValueError, "Received: epoch=1.5"),
        ({"tags": ["latest"]}, ValueError, "Received: tag='latest'"),
        ({"tags": ["a b"]}, ValueError, "Received: tag='a b'"),
        ({"tags": [3]}, TypeError, "Received: tag=3"),
        ({"metadata": {"a": {1, 2}}}, TypeError, "Received: metadata="),
        ({"metadata": {"a": float("nan")}}, ValueError, "Received: metadata="),
        ({"metadata": "x"}, TypeError, "Received: metadata='x'"),
    ],
)
def test_wrong_arguments_save_nothing(
    directory: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """They raise before the store is made."""
    with pytest.raises(error, match=message):
        save_version(network(), directory, **options)
    assert not directory.exists()


def test_not_a_model(directory: Path) -> None:
    """Only a Keras model can be saved."""
    with pytest.raises(TypeError, match="`model` must be a `keras.Model`"):
        save_version("model", directory)  # type: ignore[arg-type]


def test_a_directory_of_somebody_else(tmp_path: Path) -> None:
    """Hand-made version_N folders are not written among; others may stay."""
    (tmp_path / "version_1").mkdir()
    (tmp_path / "version_1" / "weights.h5").write_text("precious")
    with pytest.raises(StoreError, match=r"'version_1'.*another `naming`"):
        save_version(network(), tmp_path)
    assert save_version(network(), tmp_path, naming="run_{number}").name == "run_1"
    assert (tmp_path / "version_1" / "weights.h5").read_text() == "precious"


class Own(keras.Sequential):
    """A model that saves itself, or fails to."""

    def save(self, filepath: Any, **ignored: Any) -> None:
        Path(filepath).write_bytes(b"half")
        raise self.failure


def own(failure: BaseException) -> Any:
    """Returns a model whose `save` ends with this."""
    model = Own([keras.Input((2,)), keras.layers.Dense(1)])
    model.failure = failure
    return model


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Has the system refuse longer files, as a quota or a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("units", [4, 40_000], ids=["small", "by threads"])
def test_a_failure_names_version_file_and_cause(tmp_path: Path, units: int) -> None:
    """The cause is chained, and the store is as it was."""
    model = network(units=units)
    save_version(model, tmp_path)
    with (
        files_up_to(10_000),
        pytest.raises(SaveError, match=r"model.keras.*File too large") as caught,
    ):
        save_version(model, tmp_path)
    assert isinstance(caught.value.__cause__, OSError)
    assert [v.number for v in CheckpointStore(tmp_path)] == [1]
    assert not any((tmp_path / ".versions" / "staging").iterdir())
    assert save_version(model, tmp_path).number == 2


def test_a_model_that_fails_to_save_itself(tmp_path: Path) -> None:
    """A model's own `save` is asked, and its failure is the cause."""
    with pytest.raises(SaveError, match=r"model.keras.*not today") as caught:
        save_version(own(RuntimeError("not today")), tmp_path)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert not any((tmp_path / ".versions" / "staging").iterdir())


@pytest.mark.parametrize("own_saver", [True, False])
def test_an_interruption_leaves_nothing_behind(tmp_path: Path, own_saver: bool) -> None:
    """Also when the user stops it in the middle of the writing."""
    with pytest.MonkeyPatch.context() as patch:

        def stopped(self: Any) -> Any:
            raise KeyboardInterrupt

        patch.setattr(HashedFile, "finish", stopped)
        model = own(KeyboardInterrupt()) if own_saver else network()
        with pytest.raises(KeyboardInterrupt):
            save_version(model, tmp_path)
    assert not any((tmp_path / ".versions" / "staging").iterdir())
