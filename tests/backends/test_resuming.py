"""A training that was ended anywhere goes on to the very same end."""

import functools
import importlib.util
import itertools
import threading
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_versioned_ckpt import (
    CheckpointStore,
    CheckpointWarning,
    EveryEpochs,
    EverySteps,
    OnException,
)
from tests import training
from tests.training import train

KINDS = ["arrays", "pydataset"]
if importlib.util.find_spec("tensorflow"):
    KINDS = list(training.INPUTS)
# The others are `long`, and run by `make faults` and `make test-backends`.
FEW = [kind for kind in KINDS if kind in ("arrays", "shuffled", "unknown")]

# An epoch has seven batches, but with "repeated", where it has five.
LENGTHS = {**dict.fromkeys(KINDS, 7), "repeated": 5}


@functools.cache
def straight(directory: Path, **options: Any) -> dict[str, Any]:
    """Returns what comes of a training that nothing ends."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*", category=UserWarning)
        return train(directory, resume=False, **options)


@pytest.fixture(scope="module")
def aside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for trainings that nothing ends."""
    return tmp_path_factory.mktemp("straight")


def killed(directory: Path, after: int, **options: Any) -> None:
    """Trains until an exception after so many batches."""
    with pytest.raises(RuntimeError, match="killed"):
        train(directory, die_after=after, by=RuntimeError("killed"), **options)
    join()


def join() -> None:
    """Waits for what saves beside the training, which goes on after an exception."""
    for thread in threading.enumerate():
        if thread.name == "VersionedCheckpoint":
            thread.join()


# What Keras and TensorFlow say about some of these inputs.
quiet = pytest.mark.filterwarnings(
    "ignore:.*shuffle=True.*:UserWarning", "ignore:.*ran out of data.*:UserWarning"
)


@quiet
@pytest.mark.parametrize(
    ("kind", "epoch"),
    [
        *((kind, 2) for kind in FEW),
        *(
            pytest.param(kind, epoch, marks=pytest.mark.long)
            for kind, epoch in itertools.product(KINDS, range(1, 6))
            if (kind, epoch) not in [(few, 2) for few in FEW]
        ),
    ],
)
def test_from_the_end_of_any_epoch(
    tmp_path: Path, aside: Path, kind: str, epoch: int
) -> None:
    """Killed in the middle of the one after it."""
    killed(tmp_path / "store", epoch * LENGTHS[kind] + 3, kind=kind)
    assert CheckpointStore(tmp_path / "store").latest().epoch == epoch
    assert train(tmp_path / "store", kind=kind) == straight(aside / kind, kind=kind)


@quiet
@pytest.mark.parametrize(
    ("kind", "batch"),
    [
        *((kind, 2 * LENGTHS[kind]) for kind in FEW),
        (KINDS[0], 10),
        *(
            pytest.param(kind, 2 * LENGTHS[kind] + more, marks=pytest.mark.long)
            for kind, more in itertools.product(KINDS, [-9, -3, 0, 3])
            if more or kind not in FEW
        ),
    ],
)
def test_from_the_middle_of_an_epoch(
    tmp_path: Path, aside: Path, kind: str, batch: int
) -> None:
    """Also from its very first batch, and after its last."""
    freq = EverySteps(batch)
    killed(tmp_path / "store", batch + 1, kind=kind, save_freq=freq)
    version = CheckpointStore(tmp_path / "store").latest()
    assert version.batch is not None
    found = train(tmp_path / "store", kind=kind, save_freq=freq)
    assert found == straight(aside / kind, kind=kind)


def test_again_and_again(tmp_path: Path, aside: Path) -> None:
    """Every life of the process is only a few batches long."""
    store = tmp_path / "store"
    for _ in range(5):
        killed(store, 4, save_freq=EverySteps(3))
    assert CheckpointStore(store).latest().step == 15
    found = train(store, save_freq=EverySteps(3))
    assert found == straight(aside / "arrays", kind="arrays")


@pytest.mark.parametrize(
    ("first", "options"),
    [(True, {"format": "weights"}), (False, {"save_on_background": False})],
)
def test_wherever_it_stands_and_however_it_saves(
    tmp_path: Path, aside: Path, first: bool, options: dict[str, Any]
) -> None:
    """Callbacks that come after it have had their turn, too, before it saves."""
    killed(tmp_path / "store", 17, first=first, **options)
    found = train(tmp_path / "store", first=first, **options)
    assert found == straight(aside / "arrays", kind="arrays")


@pytest.mark.parametrize("validating", [False, True])
def test_after_an_exception(tmp_path: Path, aside: Path, validating: bool) -> None:
    """At the batch before it, also while validating."""
    store = tmp_path / "store"
    freq = EveryEpochs() | OnException()
    after = 5 if validating else 17
    with pytest.raises(RuntimeError, match="killed"):
        train(
            store,
            die_after=after,
            by=RuntimeError("killed"),
            validating=validating,
            save_freq=freq,
        )
    join()
    version = CheckpointStore(store).latest()
    # A validation is two batches.
    assert (version.epoch, version.batch) == ((2, 7) if validating else (2, 3))
    found = train(store, save_freq=freq)
    assert found == straight(aside / "arrays", kind="arrays")


@quiet
@pytest.mark.parametrize("kind", KINDS[-2:])
def test_no_end_of_an_input_is_an_exception(tmp_path: Path, kind: str) -> None:
    """However a backend says that an epoch has no more batches."""
    train(tmp_path / "store", kind=kind, epochs=2, save_freq=OnException())
    assert CheckpointStore(tmp_path / "store").versions == ()


def test_a_callback_that_raises_at_the_end_of_a_batch(tmp_path: Path) -> None:
    """The batch counts, although those that come after it never hear of it."""

    class Plug(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if int(self.model.optimizer.iterations) == 10:
                raise RuntimeError("killed")

        get_state, set_state = training.Death.get_state, training.Death.set_state

    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path / "store", save_freq=OnException(), more=[Plug()])
    version = CheckpointStore(tmp_path / "store").latest()
    assert (version.epoch, version.batch, version.step) == (1, 3, 10)
    found = train(tmp_path / "store", save_freq=OnException())
    assert found == straight(tmp_path / "arrays", kind="arrays")


class Noisy(training.Pieces):
    """Batches with noise, drawn from a generator of their own."""

    def __init__(self) -> None:
        super().__init__()
        self._generator = np.random.default_rng(3)

    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        return x + self._generator.normal(size=x.shape).astype("float32"), y

    def get_state(self) -> Any:
        """What it draws from."""
        return dict(self._generator.bit_generator.state)

    def set_state(self, state: Any) -> None:
        """The same again."""
        self._generator.bit_generator.state = state


@pytest.mark.parametrize("batch", [10])
def test_an_input_with_a_state(tmp_path: Path, batch: int) -> None:
    """Although Keras reads ahead, and has drawn more than it was trained on."""
    freq = EverySteps(batch)
    whole = train(tmp_path / "whole", data={"x": Noisy()}, epochs=3)
    killed(tmp_path / "store", batch + 1, data={"x": Noisy()}, save_freq=freq)
    found = train(tmp_path / "store", data={"x": Noisy()}, epochs=3, save_freq=freq)
    assert found == whole


def test_the_version_it_went_on_from_stays(tmp_path: Path) -> None:
    """Whatever the policy says, for as long as the training runs."""
    store = tmp_path / "store"
    killed(store, 17, keep_last=1)
    (before,) = CheckpointStore(store).versions

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            there.append([v.number for v in CheckpointStore(store).versions])

        get_state = training.Death.get_state
        set_state = training.Death.set_state

    there: list[list[int]] = []
    train(store, keep_last=1, more=[Look()])
    assert before.number == 2
    assert all(numbers[0] == 2 for numbers in there)
    versions = [e.version for e in CheckpointStore(store).history]
    assert [v.parent for v in versions] == [None, 1, 2, 3, 4, 5]
    assert len({v.run_id for v in versions[:2]}) == 1
    assert len({v.run_id for v in versions[2:]}) == 1
    assert versions[0].run_id != versions[2].run_id


def test_nothing_else_changes(tmp_path: Path) -> None:
    """No warning is given where everything is exact."""
    killed(tmp_path / "store", 10, save_freq=EverySteps(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error", CheckpointWarning)
        train(tmp_path / "store", save_freq=EverySteps(3))
