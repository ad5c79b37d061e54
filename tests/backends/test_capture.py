"""Saving while training goes on: what is saved is the model of that moment.

These tests run on every backend of Keras: `KERAS_BACKEND=jax pytest tests/backends`.
"""

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_versioned_ckpt import (
    CheckpointStore,
    CheckpointWarning,
    VersionedCheckpoint,
    _capture,
    _memory,
    archive,
    directions,
    load_latest,
    load_version,
    save_version,
    snapshot,
)
from tests.zoo import fit, network, same_weights, weights


class Gate:
    """Holds every write of a payload until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self._write = archive.write

    def __call__(self, *arguments: Any) -> Any:
        self.reached.set()
        assert self.opened.wait(60), "nobody opened the gate"
        return self._write(*arguments)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    """A gate in front of the writing."""
    gate = Gate()
    monkeypatch.setattr(archive, "write", gate)
    return gate


def everything(model: Any) -> list[np.ndarray]:
    """Returns copies of a model's weights and its optimizer's variables."""
    variables = [*model.variables, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


class OpenLater(keras.callbacks.Callback):
    """Opens the gate when training has gone on for some batches of the next epoch."""

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.gate = gate
        self.seen: list[list[np.ndarray]] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seen.append(everything(self.model))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.seen and batch == 3:
            assert self.gate.reached.wait(60)
            self.gate.reached.clear()
            opened, self.gate.opened = self.gate.opened, threading.Event()
            assert not opened.is_set()
            opened.set()

    def on_train_end(self, logs: Any = None) -> None:
        self.gate.opened.set()


@pytest.mark.parametrize("format", ["keras", "weights"])
def test_training_on_leaks_nothing_into_a_version(
    directory: Path, gate: Gate, format: str
) -> None:
    """Variables are updated, and on JAX donated, before they are written."""
    model, later = network(), OpenLater(gate)
    fit(model, later, VersionedCheckpoint(directory, format=format), epochs=3)
    versions = CheckpointStore(directory).versions
    assert len(versions) == len(later.seen) == 3
    for version, seen in zip(versions, later.seen, strict=True):
        loaded = version.load(model=network())
        assert same_weights(everything(loaded), seen)
    assert not same_weights(later.seen[0], later.seen[1])


def test_weights_set_right_after_the_hook_leak_into_nothing(
    directory: Path, gate: Gate
) -> None:
    """Another callback changes every variable while the save has yet to begin."""
    seen = []

    class Spoil(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(everything(self.model))
            for variable in [*self.model.variables, *self.model.optimizer.variables]:
                variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
            gate.opened.set()

    fit(network(), VersionedCheckpoint(directory), Spoil(), epochs=1)
    loaded = load_latest(directory, model=network())
    assert same_weights(everything(loaded), seen[0])


def test_one_save_in_flight(
    directory: Path, gate: Gate, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next one waits, says for how long, and nothing is dropped."""
    timer = threading.Timer(1.0, gate.opened.set)

    class Later(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 0:
                timer.start()

    checkpoint = VersionedCheckpoint(directory, save_freq=1, verbose=1)
    fit(network(), Later(), checkpoint, epochs=1)
    timer.join()
    assert [v.batch for v in CheckpointStore(directory)] == [1, 2, 3, 4, 5]
    waited = re.findall(r"training waited (\d+\.\d+) s", capsys.readouterr().out)
    assert len(waited) == 5
    assert 0.5 < max(map(float, waited)) < 30


def test_wait_blocks_until_the_version_is_there(directory: Path, gate: Gate) -> None:
    """And training itself does not."""
    there = []

    class Wait(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            there.append(len(checkpoint.store))
            gate.opened.set()
            checkpoint.wait()
            there.append(len(checkpoint.store))

    checkpoint = VersionedCheckpoint(directory)
    fit(network(), checkpoint, Wait(), epochs=1)
    assert there == [0, 1]


@pytest.mark.parametrize(
    "ending", ["raise RuntimeError('broke')", "raise SystemExit(3)"]
)
def test_a_save_in_flight_outlives_training(directory: Path, ending: str) -> None:
    """Where `fit` raises or the interpreter exits, it is completed."""
    script = f"""
import sys, time
from keras_versioned_ckpt import VersionedCheckpoint, archive
from tests.zoo import fit, network
import keras
write = archive.write
def slowly(*arguments):
    time.sleep(1.0)
    return write(*arguments)
archive.write = slowly
class Break(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print("breaking", flush=True)
        {ending}
# Large enough to be written by threads of its own.
fit(network(units=50_000), VersionedCheckpoint(sys.argv[1]), Break())
"""
    done = subprocess.run(
        [sys.executable, "-c", script, directory], capture_output=True, text=True
    )
    assert done.stdout == "breaking\n", done.stderr
    assert done.returncode == (3 if "Exit" in ending else 1)
    store = CheckpointStore(directory)
    assert store.verify().ok
    assert load_version(directory, 1).count_params() > 1_000_000


class TestMemory:
    """One set of copies, kept during training, and none where memory is short."""

    def test_copies_are_kept_and_given_back(self, directory: Path) -> None:
        """The same memory serves every save of a training; then it is freed."""
        places = []

        class Look(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                memory = checkpoint._saver._copies._buffer._memory
                places.append((memory.ctypes.data, len(memory)))

        checkpoint = VersionedCheckpoint(directory)
        fit(network(), checkpoint, Look(), epochs=3)
        assert len(set(places)) == 1
        assert places[0][1] > 0
        assert len(checkpoint._saver._copies._buffer._memory) == 0

    def test_memory_is_taken_before_the_first_save(self, directory: Path) -> None:
        """So that the first save need not wait for it."""
        sizes = []

        class Look(keras.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                sizes.append(len(checkpoint._saver._copies._buffer._memory))

        checkpoint = VersionedCheckpoint(directory)
        fit(network(units=1000), checkpoint, Look(), epochs=1)
        # Weights, and twice as much for Adam.
        assert sizes[0] > 3 * 4 * 32_000

    @pytest.mark.parametrize("how", ["told", "refused"])
    def test_where_memory_is_short(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        """Training waits, a warning says so once, and the versions are right."""
        if how == "told":
            monkeypatch.setattr(_memory, "available_bytes", lambda: 10_000)
        else:

            def refuse(*ignored: Any) -> Any:
                raise MemoryError

            monkeypatch.setattr(_capture._host.Buffer, "copy", refuse)
        checkpoint = VersionedCheckpoint(directory)
        model = network(units=1000)
        with pytest.warns(CheckpointWarning, match="Too little memory") as caught:
            fit(model, checkpoint, epochs=3)
        assert len([w for w in caught if w.category is CheckpointWarning]) == 1
        assert len(checkpoint._saver._copies._buffer._memory) == 0 or how == "refused"
        assert [v.number for v in CheckpointStore(directory)] == [1, 2, 3]
        assert same_weights(weights(load_latest(directory)), weights(model))

    def test_just_enough(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A copy and a tenth of it is enough; a little less is not."""
        model = network(units=1000)
        taken = snapshot.take(model, "keras")
        room = _capture._host.room(taken.arrays)
        for free, copied in ((int(room * 1.11), True), (int(room * 1.09), False)):
            monkeypatch.setattr(_memory, "available_bytes", lambda free=free: free)
            assert (_capture.Copies().copied(taken) is not None) == copied

    def test_a_save_on_the_calling_thread_copies_nothing(self, directory: Path) -> None:
        """It writes from the variables, by the same writer."""
        checkpoint = VersionedCheckpoint(directory, save_on_background=False)
        threads = []
        write = archive.write

        def spy(*arguments: Any) -> Any:
            threads.append(threading.current_thread())
            return write(*arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(archive, "write", spy)
            model = network(units=1000)
            fit(model, checkpoint, epochs=2)
        assert threads == 2 * [threading.main_thread()]
        assert len(checkpoint._saver._copies._buffer._memory) == 0
        assert same_weights(weights(load_latest(directory)), weights(model))


def test_random_numbers_of_a_training_are_left_alone(directory: Path) -> None:
    """With and without the callback, a seeded run gives the same weights."""

    def run(*callbacks: Any) -> list[np.ndarray]:
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [
                keras.Input((30,)),
                keras.layers.Dense(8, activation="relu"),
                keras.layers.Dropout(0.5),
                keras.layers.Dense(1, activation="sigmoid"),
            ]
        )
        model.compile("adam", "binary_crossentropy")
        fit(model, *callbacks)
        return weights(model)

    # What is tried once in a process must be among what is looked at.
    snapshot.is_possible.cache_clear()
    directions._internals_are_as_expected.cache_clear()
    with_saving = run(VersionedCheckpoint(directory))
    assert same_weights(run(), with_saving)


def test_optimizers_are_as_they_were(directory: Path) -> None:
    """Saving puts nothing into them that stays."""
    model = network()
    before = sorted(vars(model.optimizer))
    save_version(model, directory)
    assert sorted(vars(model.optimizer)) == before
