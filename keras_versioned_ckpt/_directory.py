"""A directory held open, so that nobody can put a link in its place meanwhile.

What is deleted is named by a directory that is open and one name in it, never by a
path: a path may mean another place by the time that the system comes to follow it.
Where the system has no such calls (Windows), paths are used, each looked at right
before.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from keras_versioned_ckpt import _atomic

_CAN_HOLD = (
    {os.open, os.stat, os.unlink, os.rmdir} <= os.supports_dir_fd
    and os.listdir in os.supports_fd
    and hasattr(os, "O_DIRECTORY")
)


class HeldDirectory:
    """What can be done in one directory, whatever becomes of its name.

    Args:
        path: The directory; for messages, and for systems that cannot hold one.
        fd: Its descriptor; `None` on such a system.
    """

    def __init__(self, path: Path, fd: int | None) -> None:
        self._path = path
        self._fd = fd

    @contextlib.contextmanager
    def inside(self, name: str) -> Iterator["HeldDirectory"]:
        """Holds a directory in this one.

        Raises:
            NotADirectoryError: If a link, or anything else, stands there.
            FileNotFoundError: If nothing does.
        """
        with hold(self._path / name, self._fd) as held:
            yield held

    def names(self) -> list[str]:
        """Returns what is in it, in no order."""
        return os.listdir(self._path if self._fd is None else self._fd)

    def has(self, name: str) -> bool:
        """Returns whether anything stands there, be it a link to nothing."""
        try:
            os.stat(self._name(name), dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def read(self, name: str, max_bytes: int) -> bytes:
        """Reads a regular file, but never more than `max_bytes + 1` bytes of it."""
        with _atomic.about(self._path / name):
            return _atomic.read_bytes(self._name(name), max_bytes, self._fd)

    def unlink(self, name: str) -> None:
        """Deletes a file, or a link and not what it leads to."""
        os.unlink(self._name(name), dir_fd=self._fd)

    def rmdir(self, name: str) -> None:
        """Deletes a directory, which must be empty."""
        os.rmdir(self._name(name), dir_fd=self._fd)

    def _name(self, name: str) -> Path:
        return self._path / name if self._fd is None else Path(name)


@contextlib.contextmanager
def hold(path: Path, at: int | None = None) -> Iterator[HeldDirectory]:
    """Holds a directory open.

    Args:
        path: The directory.
        at: The descriptor of the directory that it is in; its name is looked for
            there, and nowhere else.

    Raises:
        NotADirectoryError: If a link, or anything else, stands there.
        FileNotFoundError: If nothing does.
    """
    if not _CAN_HOLD:
        if not _atomic.is_directory(path):
            path.lstat()
            raise NotADirectoryError(errno.ENOTDIR, "not a directory", str(path))
        yield HeldDirectory(path, None)
        return
    try:
        name = path if at is None else path.name
        fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
    except OSError as error:
        # What O_NOFOLLOW answers to a link differs from system to system.
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise NotADirectoryError(
                errno.ENOTDIR, "not a directory", str(path)
            ) from error
        raise
    try:
        yield HeldDirectory(path, fd)
    finally:
        os.close(fd)
