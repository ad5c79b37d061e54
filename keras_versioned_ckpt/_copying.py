"""A file from one place to another: hashed on the way, and flushed at its end.

What arrives is what was hashed. The file that is copied is only ever read.
"""

import contextlib
import errno
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from keras_versioned_ckpt import _atomic
from keras_versioned_ckpt.manifest import File

#: Told how many more bytes are done.
Advance = Callable[[int], object]

_PIECE = 1024 * 1024
# Linux's name for "share the blocks of that file": instant, and no space is used
# until one of the two changes. https://man7.org/linux/man-pages/man2/ioctl_ficlone.2.html
_FICLONE = 0x40049409


class ChangedError(OSError):
    """The file changed while it was read."""


def copy(source: Path, target: Path, advance: Advance) -> File:
    """Copies a regular file to a name that must not exist, and flushes it.

    Raises:
        FileExistsError: If something stands at `target`.
        NotRegularError: If `source` is a link, or anything but a file.
        ChangedError: If it changed meanwhile.
        OSError: If it cannot be read, or the copy not written.
    """
    with _atomic.about(source), _atomic.open_regular(source) as file:
        before = os.fstat(file.fileno())
        descriptor = _atomic.open_new(target)
        try:
            is_there = _clone(file.fileno(), descriptor)

            def write(piece: bytes) -> None:
                if not is_there:
                    with _atomic.about(target):
                        _atomic.write_all(descriptor, piece)

            found = _hashed(file, advance, write)
            _check_unchanged(file, before, found)
            with _atomic.about(target):
                _atomic.flush(descriptor, found.size)
        finally:
            os.close(descriptor)
    return found


def link(source: Path, target: Path, advance: Advance) -> File:
    """Gives a regular file a second name, and sees that its bytes are on the disk.

    Raises:
        OSError: As `copy`; with EXDEV, if the two places have no disk in common.
    """
    with _atomic.about(source), _atomic.open_regular(source) as file:
        before = os.fstat(file.fileno())
        os.link(source, target)
        at_target = target.lstat()
        if (at_target.st_dev, at_target.st_ino) != (before.st_dev, before.st_ino):
            raise ChangedError(errno.EAGAIN, "it was replaced meanwhile", str(source))
        found = _hashed(file, advance)
        _check_unchanged(file, before, found)
        # A system that flushes only what is open for writing is not asked: the file
        # may be one that must not be written.
        with contextlib.suppress(PermissionError):
            _flush(file)
    return found


def hashed(source: Path, advance: Advance) -> File:
    """Reads a regular file, and returns its size and SHA-256.

    Raises:
        OSError: As `copy`.
    """
    with _atomic.about(source), _atomic.open_regular(source) as file:
        before = os.fstat(file.fileno())
        found = _hashed(file, advance)
        _check_unchanged(file, before, found)
    return found


def _hashed(
    file: BinaryIO,
    advance: Advance,
    write: Callable[[bytes], object] = lambda piece: None,
) -> File:
    digest = hashlib.sha256()
    size = 0
    # Not to its end, which may move on as fast as it is read.
    left = os.fstat(file.fileno()).st_size
    while piece := file.read(min(left, _PIECE)):
        write(piece)
        digest.update(piece)
        size += len(piece)
        left -= len(piece)
        advance(len(piece))
    return File(size=size, sha256=digest.hexdigest())


def _check_unchanged(file: BinaryIO, before: os.stat_result, found: File) -> None:
    after = os.fstat(file.fileno())
    then = (before.st_size, before.st_mtime_ns, before.st_size)
    if then != (after.st_size, after.st_mtime_ns, found.size):
        raise ChangedError(errno.EAGAIN, "it changed while it was read")


def _clone(source: int, target: int) -> bool:
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False  # a file system that cannot, or two of them
    return True


def _flush(file: BinaryIO) -> None:
    try:
        os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL):
            raise
