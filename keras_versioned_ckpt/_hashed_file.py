"""One new file: written, hashed and flushed at the same time.

Writing, hashing and flushing need different parts of a machine (the memory, a
core, the disk), and each of them gives up the interpreter's lock. A large file is
therefore written by threads of its own, so that it takes about as long as the
slowest of the three, and nothing is ever read back in order to hash it.
"""

import hashlib
import io
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_versioned_ckpt import _atomic

# A flush that begins early finds less to do at the end; one that begins for every
# small piece costs more than it gains.
_FLUSH_EVERY = 32 * 1024 * 1024
# Below this, starting threads takes longer than what they save.
_WORTH_THREADS = 4 * 1024 * 1024

# Not every system can flush the data alone.
_flush_data = getattr(os, "fdatasync", os.fsync)


class HashedFile(io.RawIOBase):
    """A file that must not exist yet, to be written from its beginning to its end.

    It cannot seek, and says so, which makes `zipfile` put what it learns at the end
    behind the data.

    Args:
        path: Where; nothing may stand there.
        expected_bytes: About how long it will be.

    Attributes:
        size: Bytes given to `write` so far.
    """

    def __init__(self, path: Path, expected_bytes: int) -> None:
        super().__init__()
        self._path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._failures: list[BaseException] = []
        self._lanes: list[_Lane] = []
        self._fd: int | None = None  # `close` runs even where opening fails
        self._fd = fd = _atomic.open_new(path)
        if expected_bytes >= _WORTH_THREADS:
            flushing = _Lane(lambda _: _flush_data(fd), self._failures)
            self._lanes = [
                _Lane(_writing(fd, flushing), self._failures),
                _Lane(self._digest.update, self._failures),
                flushing,
            ]

    def writable(self) -> bool:
        """Yes, and nothing else."""
        return True

    def fileno(self) -> int:
        """The file's descriptor."""
        if self._fd is None:
            raise ValueError("the file is not open")
        return self._fd

    def write(self, data: Any) -> int:
        """Takes bytes, which must not change until `finish` has returned.

        Args:
            data: Anything with a buffer of contiguous bytes.

        Raises:
            OSError: If what came earlier could not be written.
        """
        view = memoryview(data).cast("B")
        self.size += len(view)
        if not self._lanes:
            with _atomic.about(self._path):
                _atomic.write_all(self.fileno(), view)
            self._digest.update(view)
        else:
            with _atomic.about(self._path):
                self._raise_failure()
            for lane in self._lanes[:2]:
                lane.put(view)
        return len(view)

    def finish(self) -> tuple[int, str]:
        """Waits until every byte is on the disk.

        Returns:
            The size in bytes and the SHA-256 in hexadecimal.

        Raises:
            OSError: If the file could not be written or flushed.
        """
        for lane in self._lanes:
            lane.end()
        with _atomic.about(self._path):
            self._raise_failure()
            _atomic.flush(self.fileno(), self.size)
        return self.size, self._digest.hexdigest()

    def close(self) -> None:
        """Ends the threads and closes the file, whether or not it is finished."""
        if not self.closed:
            # Where it is not finished, what the threads have not done yet is dropped.
            self._failures.append(ValueError("the file was closed"))
            for lane in self._lanes:
                lane.end()
            try:
                if self._fd is not None:
                    with _atomic.about(self._path):
                        os.close(self._fd)
            finally:
                super().close()

    def _raise_failure(self) -> None:
        if self._failures:
            raise self._failures[0]


def _writing(fd: int, flushing: "_Lane") -> Callable[[memoryview], None]:
    """Returns the step that writes a piece, and has it flushed every now and then."""
    unflushed = 0

    def step(piece: memoryview) -> None:
        nonlocal unflushed
        _atomic.write_all(fd, piece)
        unflushed += len(piece)
        if unflushed >= _FLUSH_EVERY:
            flushing.put(piece[:0])
            unflushed = 0

    return step


class _Lane:
    """A thread that takes one step for each piece, in order."""

    def __init__(
        self, step: Callable[[memoryview], object], failures: list[BaseException]
    ) -> None:
        self._pieces: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._step = step
        self._failures = failures
        self._thread = threading.Thread(target=self._run, name="VersionedCheckpoint")
        self._thread.start()

    def put(self, piece: memoryview) -> None:
        self._pieces.put(piece)

    def end(self) -> None:
        self._pieces.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            # After a failure the rest is only taken off the queue. Above all no flush
            # is tried again: the system may claim success for data that is lost.
            if not self._failures:
                try:
                    self._step(piece)
                except BaseException as failure:
                    # Raised by the thread that writes the file, at its next step.
                    self._failures.append(failure)
