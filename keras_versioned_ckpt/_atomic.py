"""Durable file operations: what is written here stays written, whole or not at all.

What is guaranteed on an ordinary local file system (ext4, XFS, Btrfs, APFS,
NTFS): after a call returns, its effect survives a kill of the process and a
power cut; before it returns, the effect is there entirely or not at all. What
is not: a disk that acknowledges writes which it keeps in a volatile cache, file
systems that ignore fsync (tmpfs), and network file systems, where a rename
may happen although its reply is lost.

Nothing here follows a symbolic link in the last part of a path, and only
regular files are ever opened.
"""

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
# Opening a planted pipe must not hang; on a regular file the flag does nothing.
_NONBLOCK: int = getattr(os, "O_NONBLOCK", 0)
_BINARY: int = getattr(os, "O_BINARY", 0)
_CHUNK = 1024 * 1024
# A manifest lists no path of more parts than these.
_DEEPEST = 32


class NotRegularError(OSError):
    """A link, directory, pipe or device stands where a regular file must be."""


@contextlib.contextmanager
def open_regular(
    path: Path, flags: int = os.O_RDONLY, at: int | None = None
) -> Iterator[BinaryIO]:
    """Opens an existing regular file without following a link.

    Args:
        path: The file.
        flags: How to open it.
        at: The descriptor of the directory that `path` begins in, if not the current.

    Raises:
        NotRegularError: If something else stands there.
        OSError: If the file cannot be opened.
    """
    # Looked at before it is opened, for the opening of a device may do something, and
    # again when it is open, for it may be another by then.
    if not stat.S_ISREG(os.stat(path, dir_fd=at, follow_symlinks=False).st_mode):
        raise NotRegularError(errno.EINVAL, "not a regular file", str(path))
    try:
        fd = os.open(path, flags | _NOFOLLOW | _NONBLOCK | _BINARY, dir_fd=at)
    except OSError as error:
        # ELOOP is O_NOFOLLOW's answer to a link; ENXIO that of a pipe opened
        # for writing, or of a socket.
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR):
            raise NotRegularError(
                error.errno, "not a regular file", str(path)
            ) from error
        raise
    try:
        # Before `fdopen`, which has an error of its own for a directory.
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise NotRegularError(errno.EINVAL, "not a regular file", str(path))
    except BaseException:
        os.close(fd)
        raise
    with os.fdopen(fd, "rb" if flags == os.O_RDONLY else "r+b", buffering=0) as file:
        yield file


def read_bytes(path: Path, max_bytes: int, at: int | None = None) -> bytes:
    """Reads a regular file whole, but never more than `max_bytes + 1` bytes of it."""
    with open_regular(path, at=at) as file:
        parts = []
        left = max_bytes + 1
        while left > 0 and (part := file.read(min(left, _CHUNK))):
            parts.append(part)
            left -= len(part)
    return b"".join(parts)


def last_byte(path: Path) -> bytes:
    """Reads the last byte of a regular file; nothing of an empty one."""
    with open_regular(path) as file:
        if file.seek(0, os.SEEK_END) == 0:
            return b""
        file.seek(-1, os.SEEK_END)
        return file.read(1)


@contextlib.contextmanager
def about(path: Path) -> Iterator[None]:
    """Has an error of the system that comes out of the block name this file.

    Calls on an open file do not know what it is called.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise


def hash_file(
    path: Path,
    *,
    sync: bool = False,
    seen: Callable[[int], object] = lambda size_bytes: None,
) -> tuple[int, str]:
    """Reads a regular file once.

    Args:
        path: The file.
        sync: Whether to flush it to the disk as well.
        seen: Is told after each piece how many bytes it had.

    Returns:
        Its size in bytes and its SHA-256 in hexadecimal.
    """
    # Whoever only lists a store does not wait for it.
    import hashlib

    # Some systems refuse fsync on a descriptor that is open for reading only.
    flags = os.O_RDWR if sync else os.O_RDONLY
    with about(path), open_regular(path, flags) as file:
        digest = hashlib.sha256()
        size = 0
        while part := file.read(_CHUNK):
            digest.update(part)
            size += len(part)
            seen(len(part))
        if sync:
            os.fsync(file.fileno())
    return size, digest.hexdigest()


def open_new(path: Path) -> int:
    """Opens a file that must not exist yet, and returns its descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _BINARY
    return os.open(path, flags, 0o666)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Writes every byte, however few the system takes at a time."""
    view = memoryview(data)
    while view:
        count = os.write(fd, view)
        if count == 0:
            # Not for ever: POSIX lets no disk answer so for more than no bytes.
            raise OSError(errno.EIO, "the system wrote nothing")
        view = view[count:]


def flush(fd: int, size: int) -> None:
    """Flushes a file to the disk, once it is seen to be as long as was written.

    Flushing is never tried again: after a failure the system may claim success for
    data that is gone. A disk that took fewer bytes than it said is caught here.
    """
    found = os.fstat(fd).st_size
    if found != size:
        raise OSError(errno.EIO, f"{size} bytes were written and {found} are there")
    os.fsync(fd)


def write_new(path: Path, data: bytes) -> None:
    """Writes a file that must not exist yet, and flushes it to the disk."""
    fd = open_new(path)
    with about(path):
        try:
            write_all(fd, data)
            flush(fd, len(data))
        finally:
            os.close(fd)


def replace(path: Path, data: bytes) -> None:
    """Puts a file in the place of another (or of none), whole or not at all.

    For the store's own records only, under its lock; versions are never replaced.
    """
    staged = path.with_name(f".{path.name}.new")
    try:
        # What a killed process left; under the lock it is nobody else's.
        with contextlib.suppress(FileNotFoundError):
            staged.unlink()
        write_new(staged, data)
        os.replace(staged, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            staged.unlink()
        raise
    sync_directory(path.parent)


def unfinished(directory: Path) -> list[Path]:
    """Returns what `replace` left in `directory` when its process was killed."""
    # Not by a pattern, which is slow where there are thousands of others.
    return [
        directory / name
        for name in sorted(os.listdir(directory))
        if name.startswith(".") and name.endswith(".new")
    ]


def append(path: Path, data: bytes) -> None:
    """Appends whole lines to a file, made if missing, and flushes it to the disk.

    A last line that a crash left without its newline is ended first, so that it
    cannot swallow the new one.
    """
    existed = path.exists()
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | _NOFOLLOW | _NONBLOCK | _BINARY
    fd = os.open(path, flags, 0o666)
    with about(path):
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise NotRegularError(errno.EINVAL, "not a regular file", str(path))
            end = os.lseek(fd, 0, os.SEEK_END)
            if end > 0:
                os.lseek(fd, end - 1, os.SEEK_SET)
                if os.read(fd, 1) != b"\n":
                    data = b"\n" + data
            try:
                write_all(fd, data)
                flush(fd, end + len(data))
            except BaseException:
                # Half a line would be harmless, and none is better.
                with contextlib.suppress(OSError):
                    os.ftruncate(fd, end)
                raise
        finally:
            os.close(fd)
    if not existed:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Flushes a directory's entries to the disk, where the system can do that."""
    if sys.platform == "win32":
        # Directories cannot be opened there; NTFS journals renames by itself.
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    with about(path):
        try:
            os.fsync(fd)
        except OSError as error:
            # Some file systems have no fsync for directories. Any other error means
            # that entries may be lost, and is the caller's to report.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(fd)


def rename_new(source: Path, target: Path) -> None:
    """Renames to a name that must not exist: the one step that makes a commit.

    Raises:
        FileExistsError: If anything stands at `target`, be it an empty directory,
            which a plain rename would replace.
    """
    if not _rename_exclusively(source, target):
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        os.rename(source, target)


def _rename_exclusively(source: Path, target: Path) -> bool:
    """Asks the system to refuse an existing target; `False` if it cannot be asked."""
    if sys.platform != "linux":
        return False
    # Imported here since only a commit needs it, and opening a store must be fast.
    import ctypes

    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:  # musl before 1.2.6, glibc before 2.28
        return False
    at_cwd, no_replace = -100, 1
    paths = os.fsencode(source), os.fsencode(target)
    if renameat2(at_cwd, paths[0], at_cwd, paths[1], no_replace) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False  # a kernel or file system without the flag
    raise OSError(code, os.strerror(code), str(source), None, str(target))


def files_below(directory: Path) -> tuple[list[str], list[Path]]:
    """Walks a directory without following links.

    Returns:
        The paths of all files, relative with `/` between the parts, in order;
        and all directories below, the deepest first.

    Raises:
        NotRegularError: If there is anything but files and directories, or if they
            are nested deeper than any version's.
        OSError: If a directory cannot be read, or is gone.
    """
    files: list[str] = []
    directories: list[Path] = []
    # Not `os.walk`, which calls itself for each level: there may be thousands.
    pending = [directory]
    while pending:
        here = pending.pop()
        depth = len(here.parts) - len(directory.parts)
        if depth > _DEEPEST:
            raise NotRegularError(errno.EINVAL, "nested too deep", str(here))
        if depth:
            directories.append(here)
        for name in os.listdir(here):
            mode = (here / name).lstat().st_mode
            if stat.S_ISREG(mode):
                files.append((here / name).relative_to(directory).as_posix())
            elif stat.S_ISDIR(mode):
                pending.append(here / name)
            else:
                raise NotRegularError(
                    errno.EINVAL, "not a regular file", str(here / name)
                )
    # Each came after the one that it lies in.
    return sorted(files), directories[::-1]


def is_directory(path: Path) -> bool:
    """Returns whether a directory stands there, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def is_stranger(path: Path) -> bool:
    """Returns whether something stands there that is no regular file."""
    try:
        return not stat.S_ISREG(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
