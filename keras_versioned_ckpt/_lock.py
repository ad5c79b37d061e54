"""A lock between processes (and threads) that the system drops with its holder.

A killed process leaves nothing behind: the lock is on an open file, and the
kernel closes it. On POSIX this is `flock`, which also excludes other threads,
since each acquisition opens the file anew.
"""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_FLAGS = (
    os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


@contextlib.contextmanager
def locked(path: Path, *, create: bool = True) -> Iterator[None]:
    """Holds the lock at `path`, waiting for it as long as another holds it.

    Args:
        path: The lock's file.
        create: Whether to make it if it is missing.
    """
    fd = _open(path, create=create)
    try:
        _lock(fd, wait=True)
        yield
    finally:
        close(fd)


def try_lock(path: Path, *, create: bool = True) -> int | None:
    """Takes the lock at `path` if nobody holds it.

    Args:
        path: The lock's file.
        create: Whether to make it if it is missing.

    Returns:
        A descriptor to give to `close`, or `None` if the lock is held.
    """
    fd = _open(path, create=create)
    try:
        if _lock(fd, wait=False):
            return fd
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def close(fd: int) -> None:
    """Releases a lock."""
    try:
        # Explicitly, for a forked child may hold a copy of the descriptor.
        if sys.platform != "win32":
            fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def _open(path: Path, *, create: bool = True) -> int:
    fd = os.open(path, _FLAGS | (os.O_CREAT if create else 0), 0o666)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "a lock is not a regular file", str(path))
    return fd


def _lock(fd: int, *, wait: bool) -> bool:
    if sys.platform == "win32":
        return _lock_windows(fd, wait=wait)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _lock_windows(fd: int, *, wait: bool) -> bool:  # pragma: no cover
    import msvcrt

    while True:
        try:
            # LK_LOCK gives up after ten seconds; waiting means asking again.
            msvcrt.locking(fd, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EDEADLK):
                raise
            if not wait:
                return False
        else:
            return True
