"""What the training state adds to a save of a model of about 100 MB.

    python benchmarks/resuming.py [--quick]

The same callback saves with the state and without, in turns, in one process and on one
model. What is measured is the time that training waits in the hooks of an epoch's end,
the time until the version is on the disk, and the size of the version. The machine
should have nothing else to do.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import keras
import models
import numpy as np

from keras_versioned_ckpt import VersionedCheckpoint
from keras_versioned_ckpt._continuation import Continuation

WIDTH, QUICK_WIDTH = 1024, 64
ROUNDS, QUICK_ROUNDS = 30, 4
TARGET = 0.02


class Timed(keras.callbacks.Callback):
    """Saves with the state in every other epoch, and notes how long it took."""

    def __init__(self, checkpoint: VersionedCheckpoint) -> None:
        super().__init__()
        self._checkpoint = checkpoint
        self._state = Continuation.state
        self.figures: dict[bool, list[tuple[float, float, int]]] = {
            True: [],
            False: [],
        }

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Waits for what the epoch before has left to do."""
        if epoch:
            self._note(epoch)

    def on_train_end(self, logs: Any = None) -> None:
        """The same, after the last."""
        Continuation.state = self._state

    def _note(self, epoch: int) -> None:
        waited = time.perf_counter() - self._began
        self._checkpoint.wait()
        took = time.perf_counter() - self._began
        size = self._checkpoint.latest.size_bytes
        self.figures[epoch % 2 == 1].append((waited, took, size))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Chooses how the epoch, which has one batch, is saved."""
        epochs = len(self.figures[True]) + len(self.figures[False])
        with_state = epochs % 2 == 0
        Continuation.state = self._state if with_state else lambda *_, **__: None
        self._began = time.perf_counter()


def measured(width: int, rounds: int) -> dict[bool, list[tuple[float, float, int]]]:
    """Trains, and returns what each save took, with the state and without."""
    model = models.trained(width)
    samples = models.samples(width, 1)
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIRECTORY")) as place:
        checkpoint = VersionedCheckpoint(
            Path(place) / "store", monitor="loss", keep_last=2
        )
        timed = Timed(checkpoint)
        model.fit(
            samples,
            samples,
            batch_size=len(samples),
            epochs=2 * rounds + 3,
            verbose=0,
            callbacks=[checkpoint, timed],
        )
    # The first of each warms up.
    return {kind: rows[1:] for kind, rows in timed.figures.items()}


def lines(found: dict[bool, list[tuple[float, float, int]]]) -> Iterator[str]:
    """Yields the figures, as ratios."""
    names = ("training waits", "on the disk after", "size")
    for column, name in enumerate(names):
        without, with_state = (
            median(row[column] for row in found[kind]) for kind in (False, True)
        )
        added = with_state / without - 1
        unit = "bytes" if name == "size" else "ms"
        scale = 1 if name == "size" else 1000
        yield (
            f"{name:18} {without * scale:14,.2f} {unit} without the state, "
            f"{with_state * scale:14,.2f} with it: {added:+.2%}"
            f"  (target: < {TARGET:.0%})"
        )


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tiny model")
    quick = parser.parse_args().quick
    np.random.seed(0)
    found = measured(QUICK_WIDTH if quick else WIDTH, QUICK_ROUNDS if quick else ROUNDS)
    print("\n".join(lines(found)))


if __name__ == "__main__":
    main()
