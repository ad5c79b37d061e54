"""Versions in the making: a directory of their own until the one rename.

A process marks what it stages by holding a lock beside it, so that another one
can tell what a killed process left behind, and clear it, from what is alive.
"""

import contextlib
import errno
import os
import re
import shutil
import uuid
from pathlib import Path

from keras_versioned_ckpt import _atomic, _lock
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import rounded_size
from keras_versioned_ckpt.manifest import FILENAME, File, check_path

# A save does not wait for the end of thousands; the next ones go on with them.
_MOST_CLEARED = 1000
_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)


class Staged:
    """A version in the making; a context manager that discards what is not committed.

    Attributes:
        path: The directory to write the payload into.
        files: What is in it, by relative path. Who writes a file and knows its size
            and SHA-256 enters it here; `seal` finds the others.
        committed: Whether it has become visible as a version.

    Example:

    ```python
    with store.stage() as staged:
        model.save(staged.path / "model.keras")
        version = store.commit(staged, metrics={"val_accuracy": 0.75})
    ```
    """

    def __init__(self, path: Path, lock: _lock.Held) -> None:
        self.path = path
        self.files: dict[str, File] = {}
        self.committed = False
        self._lock: _lock.Held | None = lock

    def seal(self) -> None:
        """Flushes every file that is not entered yet, and takes its SHA-256."""
        paths, directories = _atomic.files_below(self.path)
        for path in paths:
            if path in self.files:
                continue
            size, sha256 = _atomic.hash_file(self.path / check_path(path), sync=True)
            self.files[path] = File(size=size, sha256=sha256)
        for directory in directories:
            _atomic.sync_directory(directory)

    def commit(self, manifest: bytes, target: Path) -> None:
        """Writes the manifest and makes the version visible as `target`."""
        _atomic.write_new(self.path / FILENAME, manifest)
        _atomic.sync_directory(self.path)
        try:
            _atomic.rename_new(self.path, target)
        except OSError:
            # On a network file system the reply may be lost of a rename that was made.
            if not self._is_at(target, manifest):
                raise
        self.committed = True
        self._release()
        _atomic.sync_directory(target.parent)

    def _is_at(self, target: Path, manifest: bytes) -> bool:
        """Returns whether what was staged stands at `target`."""
        with contextlib.suppress(OSError):
            found = _atomic.read_bytes(target / FILENAME, len(manifest))
            return found == manifest and not os.path.lexists(self.path)
        return False

    def discard(self) -> None:
        """Deletes what was staged; does nothing after a commit."""
        if not self.committed:
            _clear(self.path)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release(remove=True)
            self._lock = None

    def __enter__(self) -> "Staged":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.discard()


def stage(layout: Layout, expected_bytes: int = 0) -> Staged:
    """Makes a place for a new version, under the store's lock held by the caller.

    Args:
        layout: The store's paths.
        expected_bytes: The least that will be written into it.

    Raises:
        OSError: If that cannot be; with ENOSPC if the disk has less space.
    """
    clear_dead(layout, most=_MOST_CLEARED)
    check_space(layout, expected_bytes)
    path = layout.staging / uuid.uuid4().hex
    lock_path = path.with_suffix(".lock")
    lock = _lock.try_lock(lock_path)
    if lock is None:
        raise FileExistsError(f"{lock_path} is held although it is new")
    try:
        path.mkdir()
    except BaseException:
        lock.release(remove=True)
        raise
    return Staged(path, lock)


def check_space(layout: Layout, needed_bytes: int) -> None:
    """Checks that the disk has that much space left.

    Raises:
        OSError: If not, with ENOSPC and both numbers.
    """
    total, free = _disk_space(layout.root)
    # A file system that does not know its size says that it has none.
    if total and free < needed_bytes:
        needed, available = (
            f"{rounded_size(count)} ({count:,} bytes)" for count in (needed_bytes, free)
        )
        raise OSError(
            errno.ENOSPC,
            f"{os.strerror(errno.ENOSPC)}: {needed} are needed and {available} are "
            "available",
            str(layout.root),
        )


def _disk_space(path: Path) -> tuple[int, int]:
    """Returns the bytes of a disk, and those of them that this user may write."""
    if not hasattr(os, "statvfs"):
        disk = shutil.disk_usage(path)
        return disk.total, disk.free
    status = os.statvfs(path)
    # Some file systems keep a part of the disk for root.
    free = status.f_bfree if os.geteuid() == 0 else status.f_bavail
    return status.f_blocks * status.f_frsize, free * status.f_frsize


def dead(layout: Layout) -> list[Path]:
    """Returns what killed processes left, under the store's lock held by the caller.

    Without that lock, a place or a record in the making would look the same.
    """
    found = []
    for path in _staged(layout):
        lock_path = path.with_suffix(".lock")
        try:
            lock = _take_over(path, create=False)
        except FileNotFoundError:
            pass
        except OSError:
            continue  # another user's: who holds it cannot be seen
        else:
            if lock is None:
                continue
            lock.release()
        # What was committed since the listing is no longer there.
        if os.path.lexists(path) or _lock.is_left(lock_path):
            found.append(path)
    return found + _unfinished(layout)


def clear_dead(layout: Layout, most: int | None = None) -> None:
    """Deletes what killed processes left, under the store's lock held by the caller.

    Args:
        layout: The store's paths.
        most: How many to look at; `None` is all.
    """
    for path in _staged(layout)[:most]:
        # What another user left may not be ours to clear; that costs no save.
        with contextlib.suppress(OSError):
            if (lock := _take_over(path)) is not None:
                _clear(path)
                lock.release(remove=True)
    for path in _unfinished(layout):
        _clear(path)


def _take_over(path: Path, *, create: bool = True) -> _lock.Held | None:
    """Takes the lock of what was staged, `None` if its process may be alive."""
    lock_path = path.with_suffix(".lock")
    was_claimed = _lock.was_claimed(lock_path)
    lock = _lock.try_lock(lock_path, create=create)
    if lock and lock.is_stand_in and not was_claimed and os.path.lexists(path):
        # The system had no lock for this process, and may have had one for that.
        lock.release()
        return None
    return lock


def _unfinished(layout: Layout) -> list[Path]:
    """Returns records and locks of the store whose making was killed."""
    return [
        path
        for folder in (layout.room, layout.tags, layout.staging)
        for path in _atomic.unfinished(folder)
    ]


def _staged(layout: Layout) -> list[Path]:
    # Only names that this module gives: anything else there is somebody's.
    names = {name.partition(".")[0] for name in os.listdir(layout.staging)}
    return [layout.staging / name for name in sorted(names) if _TOKEN.fullmatch(name)]


def _clear(path: Path) -> None:
    # Links are not followed. What cannot be deleted is left to the next save, and to
    # `verify` to tell of. Not every error is among those that rmtree ignores.
    # A tree of a thousand levels is too deep for rmtree: that is no honest one.
    with contextlib.suppress(OSError, RecursionError):
        if _atomic.is_directory(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            # A link or a file in the place of what was staged: itself, not its target.
            path.unlink()
