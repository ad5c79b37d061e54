"""A lock between processes (and threads) that goes with its holder.

On POSIX this is `flock`, on an open file: the kernel closes it with the process, so
that a killed one leaves nothing behind. It also excludes other threads, since each
acquisition opens the file anew. A file system that has no such locks gets those of
`_exclusive`, and a warning, once.
"""

import contextlib
import errno
import os
import stat
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from keras_versioned_ckpt import _exclusive
from keras_versioned_ckpt.errors import CheckpointWarning

if sys.platform != "win32":
    import fcntl

_FLAGS = (
    os.O_RDWR
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
# What a file system without such locks answers.
_NOT_OFFERED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
# How long to wait between two looks at a lock that cannot wake anybody.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.1
_SECONDS_UNTIL_WARNING = 60.0
# Locks of which a warning has told already.
_warned: set[Path] = set()


class Held:
    """A lock that is held.

    Args:
        path: The lock's file.
        fd: The descriptor of that file.
        claim: What `_exclusive` gave; `None` where the system holds the lock.
    """

    def __init__(self, path: Path, fd: int, claim: Path | None) -> None:
        self._path = path
        self._fd = fd
        self._claim = claim

    @property
    def is_stand_in(self) -> bool:
        """Whether the system had no lock to give."""
        return self._claim is not None

    def release(self, *, remove: bool = False) -> None:
        """Gives the lock back.

        Args:
            remove: Whether to remove the lock's file as well, which nobody waits for.
        """
        if remove:
            # One that stays is cleared by the next save.
            with contextlib.suppress(OSError):
                self._path.unlink()
        if self._claim is not None:
            _exclusive.release(self._claim)
        elif remove:
            with contextlib.suppress(OSError):
                _exclusive.place(self._path).rmdir()
        _close(self._fd)


@contextlib.contextmanager
def locked(path: Path, *, create: bool = True) -> Iterator[None]:
    """Holds the lock at `path`, waiting for it as long as another holds it.

    Args:
        path: The lock's file.
        create: Whether to make it if it is missing.
    """
    held = _take(path, wait=True, create=create)
    assert held is not None
    try:
        yield
    finally:
        held.release()


def try_lock(path: Path, *, create: bool = True) -> Held | None:
    """Takes the lock at `path` if nobody holds it.

    Args:
        path: The lock's file.
        create: Whether to make it if it is missing.

    Returns:
        The lock, or `None` if another holds it.
    """
    return _take(path, wait=False, create=create)


def was_claimed(path: Path) -> bool:
    """Returns whether what stands in for a lock is there, or was left."""
    return os.path.lexists(_exclusive.place(path))


def is_left(path: Path) -> bool:
    """Returns whether anything of a lock is there, held or not."""
    return os.path.lexists(path) or was_claimed(path)


def _take(path: Path, *, wait: bool, create: bool) -> Held | None:
    fd = _open(path, create=create)
    try:
        taken, claim = (
            _wait_for(path, fd) if wait else _ask_for(path, fd, may_block=False)
        )
    except BaseException:
        os.close(fd)
        raise
    if not taken:
        os.close(fd)
        return None
    return Held(path, fd, claim)


def _wait_for(path: Path, fd: int) -> tuple[bool, Path | None]:
    began = time.monotonic()
    pause = _FIRST_PAUSE
    told = False
    while True:
        taken, claim = _ask_for(path, fd, may_block=True)
        if taken:
            return taken, claim
        if not told and time.monotonic() - began > _SECONDS_UNTIL_WARNING:
            told = True
            warnings.warn(
                f"{path} has been held for a minute by {_exclusive.holders(path)} "
                "(machine, process, its beginning). If that process is gone, remove "
                f"{_exclusive.place(path)}.",
                CheckpointWarning,
                stacklevel=2,
            )
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _ask_for(path: Path, fd: int, *, may_block: bool) -> tuple[bool, Path | None]:
    """Returns whether the lock was taken, and the claim where the system has none."""
    if sys.platform == "win32":
        return _lock_windows(fd, wait=may_block), None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if may_block else fcntl.LOCK_NB))
    except BlockingIOError:
        return False, None
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            error.filename = str(path)  # a descriptor has no name
            raise
        _tell_of_fallback(path, error)
        claim = _exclusive.take(path)
        return claim is not None, claim
    # A process for which the system had no lock to give may hold the other kind.
    if _exclusive.is_held_here(path):
        fcntl.flock(fd, fcntl.LOCK_UN)
        return False, None
    return True, None


def _tell_of_fallback(path: Path, error: OSError) -> None:
    # The first to be asked for is the store's own, and speaks for all.
    store = path.parent if path.parent.name != "staging" else path.parent.parent
    if store not in _warned:
        _warned.add(store)
        warnings.warn(
            f"The file system of {store} offers no locks ({error.strerror}). "
            "Directories that only one process can make stand in for them. Where one "
            "of another machine is killed, its lock must be removed by hand.",
            CheckpointWarning,
            stacklevel=2,
        )


def _open(path: Path, *, create: bool = True) -> int:
    fd = os.open(path, _FLAGS | (os.O_CREAT if create else 0), 0o666)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "a lock is not a regular file", str(path))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _close(fd: int) -> None:
    # Explicitly, for a forked child may hold a copy of the descriptor. Neither step
    # can lose anything: the lock goes with the descriptor, and that with the process.
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_UN)
    with contextlib.suppress(OSError):
        os.close(fd)


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
