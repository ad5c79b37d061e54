"""A model at one moment, on its way into a version.

What needs the model happens when it is captured, on the thread that trains, and is
as little as possible: a walk over the model and a copy of its arrays. What is left,
the writing, may happen on another thread while the model changes.
"""

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_versioned_ckpt import (
    _host,
    _memory,
    _training_state,
    _wire,
    archive,
    manifest,
    snapshot,
)
from keras_versioned_ckpt._failure import save_error
from keras_versioned_ckpt._staging import Staged
from keras_versioned_ckpt._training_state import TrainingState
from keras_versioned_ckpt.store import CheckpointStore

# Memory that must be left beside the copy, as a part of it.
_RESERVE = 0.1
# What metrics that are built later may add.
_SLACK_BYTES = 1024 * 1024


class Capture:
    """A model at one moment.

    Attributes:
        is_copy: Whether the model may change before `stage` has returned.
        is_repeatable: Whether `stage` may be called again after it failed.
    """

    def __init__(
        self,
        target: "_Target",
        stage: Callable[[], Staged],
        *,
        is_copy: bool,
        is_repeatable: bool,
    ) -> None:
        self._target = target
        self._stage = stage
        self.is_copy = is_copy
        self.is_repeatable = is_repeatable

    def stage(self, state: TrainingState | None = None) -> Staged:
        """Writes the payload into a staging directory; needs no model any more.

        Args:
            state: What is written beside it; `None` for nothing.

        Raises:
            SaveError: If that failed; what was written is gone again.
        """
        staged = self._stage()
        if state is not None:
            with contextlib.ExitStack() as cleanup:
                cleanup.enter_context(staged)
                with self._target.failures(_training_state.STATE):
                    _training_state.write(state, staged)
                cleanup.pop_all()
        return staged

    def staged_at_once(self) -> "Capture":
        """Writes the payload now, so that the model may change from here on.

        Raises:
            SaveError: As `stage`.
        """
        staged = self._stage()
        return Capture(self._target, lambda: staged, is_copy=True, is_repeatable=False)


class Copies:
    """The memory for the copies of one capture at a time."""

    def __init__(self) -> None:
        self._buffer = _host.Buffer()
        self._ahead: threading.Thread | None = None

    def prepare(self, model: Any, format: str) -> None:
        """Begins to take the memory for a model, ahead of the first capture.

        To touch fresh memory takes many times longer than a copy into it, and so
        happens beside the training. A model that is not built yet is passed over.
        """
        if not _is_ours(model, format):
            return
        optimizer = getattr(model, "optimizer", None)
        variables = [*model.variables, *(optimizer.variables if optimizer else ())]
        count = _host.room(variables) + _SLACK_BYTES
        self._settle()
        if self._is_free(self._buffer.lacks(count)):
            self._buffer.reserve(count)
            self._ahead = threading.Thread(
                target=self._buffer.touch, name="VersionedCheckpoint"
            )
            self._ahead.start()

    def copied(self, taken: snapshot.Snapshot) -> snapshot.Snapshot | None:
        """Returns a snapshot whose arrays are copies, `None` where memory is short."""
        self._settle()
        if self._is_free(self._buffer.lacks(_host.room(taken.arrays))):
            # The system may have less than it says.
            with contextlib.suppress(MemoryError):
                copies = self._buffer.copy(taken.arrays)
                return dataclasses.replace(taken, arrays=tuple(copies))
        return None

    def release(self) -> None:
        """Gives the memory back to the system."""
        self._settle()
        self._buffer.release()

    @staticmethod
    def _is_free(count: int) -> bool:
        available = _memory.available_bytes() if count else None
        return available is None or available >= count * (1 + _RESERVE)

    def _settle(self) -> None:
        if self._ahead is not None:
            self._ahead.join()
            self._ahead = None


def capture(
    store: CheckpointStore,
    model: Any,
    format: str,
    name: Callable[[], str],
    copies: Copies | None = None,
) -> Capture:
    """Captures a model.

    Args:
        store: Where the version will be.
        model: The `keras.Model`.
        format: `"keras"`, `"weights"` or `"saved_model"`.
        name: Says what the version would have been called, if it fails.
        copies: Where to copy its arrays to. Without, and where memory is short, they
            are written from where they are, and the model must not change meanwhile.

    Raises:
        SaveError: If a layer, Keras or the disk failed.
    """
    target = _Target(store, format, name)
    if not _is_ours(model, format):
        # What a model that saves itself writes, it alone knows.
        its_own = not snapshot.is_saved_by_keras(model, format)
        with target.failures():
            needed = 0 if its_own else _host.size_bytes(model.variables)
        staged = target.staged(
            lambda path: _write_by_keras(model, format, path), needed
        )
        return Capture(target, lambda: staged, is_copy=True, is_repeatable=False)
    with target.failures():
        taken = snapshot.take(model, format)
    copied = copies and copies.copied(taken)
    written = copied or taken
    needed = sum(array.nbytes for array in written.arrays)
    return Capture(
        target,
        lambda: target.staged(lambda path: archive.write(written, path), needed),
        is_copy=copied is not None,
        is_repeatable=True,
    )


def _is_ours(model: Any, format: str) -> bool:
    """Whether this package may write the file, or only the model's own methods."""
    return (
        format != "saved_model"
        and snapshot.is_saved_by_keras(model, format)
        and snapshot.is_possible()
    )


def _write_by_keras(model: Any, format: str, path: Path) -> None:
    if format == "keras":
        model.save(path)
    elif format == "weights":
        model.save_weights(path)
    else:
        model.export(path, format="tf_saved_model", verbose=False)


class _Target:
    """Where a payload is written to, and whose failure it is if that fails.

    Args:
        store: The store.
        format: `"keras"`, `"weights"` or `"saved_model"`.
        name: Says what the version would have been called.
    """

    def __init__(
        self, store: CheckpointStore, format: str, name: Callable[[], str]
    ) -> None:
        self._store = store
        self._payload = _wire.PAYLOADS[format]
        self._name = name

    @contextlib.contextmanager
    def failures(self, file: str | None = None) -> Iterator[None]:
        """Raises `SaveError` instead of what the block raises.

        Args:
            file: The file that is written meanwhile. Defaults to the payload.
        """
        try:
            yield
        except Exception as error:
            raise save_error(
                self._store.path, self._name(), error, file=file or self._payload
            ) from error

    def staged(
        self, write: Callable[[Path], manifest.File | None], needed_bytes: int
    ) -> Staged:
        """Has the payload written into a staging directory, which goes if it fails."""
        with contextlib.ExitStack() as cleanup:
            with self.failures():
                staged = cleanup.enter_context(self._store.stage(needed_bytes))
                if (file := write(staged.path / self._payload)) is not None:
                    staged.files[self._payload] = file
            cleanup.pop_all()
        return staged
