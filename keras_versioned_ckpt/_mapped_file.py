"""A file as bytes in memory, without a copy: as the system has it in its page cache.

What is checked through a mapping is what is read through it, whatever happens to the
file's name meanwhile. It is private: who writes into the memory never reaches the file.
"""

import errno
import io
import mmap
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_versioned_ckpt import _atomic

# Linux has known it since 5.14, and Python has no name for it yet.
_POPULATE_READ = 22
_AT_ONCE = 16 * 1024 * 1024


def mapped(path: Path) -> memoryview:
    """Maps a regular file.

    Args:
        path: The file.

    Returns:
        Its bytes; the mapping lives as long as anything refers to them.

    Raises:
        NotRegularError: If something else stands there.
        OSError: If it cannot be opened or mapped.
    """
    with _atomic.open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY))


def pieces(view: memoryview) -> Iterator[memoryview]:
    """Yields the bytes of a mapping in order, each piece read from the disk before.

    Raises:
        OSError: If the disk fails. To touch the memory would kill the process then.
    """
    for start in range(0, len(view), _AT_ONCE):
        piece = view[start : start + _AT_ONCE]
        if isinstance(view.obj, mmap.mmap):
            _read_in(view.obj, start, len(piece))
        yield piece


def _read_in(mapping: mmap.mmap, start: int, length: int) -> None:
    if sys.platform == "linux":
        try:
            mapping.madvise(_POPULATE_READ, start, length)
        except OSError as error:
            # An older system does not know the advice, and reads when it must.
            if error.errno != errno.EINVAL:
                raise OSError(errno.EIO, os.strerror(errno.EIO)) from error


class ViewFile(io.RawIOBase):
    """Bytes in memory as a file to read, without a copy of all of them."""

    def __init__(self, view: memoryview) -> None:
        super().__init__()
        self._view = view
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves, as in any file."""
        ends = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._view)}
        self._at = ends[whence] + offset
        return self._at

    def tell(self) -> int:
        """Where it is."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Copies the bytes that come next."""
        target = memoryview(buffer).cast("B")
        found = self._view[self._at : self._at + len(target)]
        target[: len(found)] = found
        self._at += len(found)
        return len(found)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True
