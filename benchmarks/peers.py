"""Who takes part: callbacks that save, and two limits in the shape of callbacks.

Each is used the way its own documentation uses it. `ModelCheckpoint` and
`model.save` get a path per epoch, so that they overwrite no older file either; what
they and `VersionedCheckpoint` leave is removed outside of the timing.
`OrbaxCheckpoint` is told to keep one save, and removes the older one itself.
"""

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import contest
import keras
import numpy as np

from keras_versioned_ckpt import KeepLast, VersionedCheckpoint


@dataclasses.dataclass
class Contestant:
    """A callback that saves at the end of an epoch, which it counts from 0.

    Args:
        name: As in `contest`.
        callback: The callback.
        directory: Where it saves.
        wait: Returns when what it began is done.
        remove: Removes older saves.
        epoch: The number of the next epoch that is its own.
    """

    name: str
    callback: keras.callbacks.Callback
    directory: Path
    wait: Callable[[], object] = lambda: None
    remove: Callable[[], object] | None = None
    epoch: int = 0

    def begin(self) -> None:
        """Begins an epoch."""
        self.callback.on_epoch_begin(self.epoch)

    def save(self, logs: Mapping[str, float] | None) -> None:
        """Ends the epoch, which makes the callback save."""
        self.callback.on_epoch_end(self.epoch, logs)
        self.epoch += 1

    def tidy(self) -> None:
        """Removes what the next save does not need, and lets the disk come to rest.

        Nobody is to pay for pages that another one has left dirty.
        """
        if self.remove is not None:
            self.remove()
        else:
            shutil.rmtree(self.directory)
            self.directory.mkdir()
        os.sync()


def enter(name: str, directory: Path, content: np.ndarray) -> Contestant:
    """Returns a contestant that saves in a new directory of its own.

    Args:
        name: As in `contest`.
        directory: Where to make that directory.
        content: The bytes that the limits copy and write.
    """
    directory = directory / "".join(filter(str.isalnum, name))
    directory.mkdir(parents=True)
    if name in (contest.OURS, contest.OURS_FOREGROUND):
        checkpoint = VersionedCheckpoint(
            directory,
            monitor="loss",
            save_on_background=name == contest.OURS,
        )

        def prune() -> None:
            checkpoint.store.prune(KeepLast(1))

        return Contestant(name, checkpoint, directory, checkpoint.wait, prune)
    if name in (contest.ORBAX, contest.ORBAX_FOREGROUND):
        orbax = keras.callbacks.OrbaxCheckpoint(
            str(directory), max_to_keep=1, save_on_background=name == contest.ORBAX
        )
        wait = orbax.wait_until_finished
        return Contestant(name, orbax, directory, wait, lambda: None)
    if name == contest.NO_SAVING:
        return Contestant(name, keras.callbacks.Callback(), directory)
    if name == contest.MODEL_CHECKPOINT:
        path = directory / "{epoch}.keras"
        return Contestant(name, keras.callbacks.ModelCheckpoint(path), directory)
    save = {
        contest.BY_HAND: _by_hand,
        contest.MEMCPY: _memcpy,
        contest.RAW_WRITE: _raw_write,
    }[name]
    return Contestant(name, save(directory, content), directory)


def _by_hand(directory: Path, content: np.ndarray) -> keras.callbacks.Callback:
    callback = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: callback.model.save(
            directory / f"{epoch}.keras"
        )
    )
    return callback


def _memcpy(directory: Path, content: np.ndarray) -> keras.callbacks.Callback:
    # Touched already: the first touch of memory costs many times the copying.
    target = content.copy()
    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: np.copyto(target, content)
    )


def _raw_write(directory: Path, content: np.ndarray) -> keras.callbacks.Callback:
    def write(epoch: int, logs: object) -> None:
        with open(directory / str(epoch), "xb", buffering=0) as file:
            left = memoryview(content)
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())

    return keras.callbacks.LambdaCallback(on_epoch_end=write)
