"""Taking versions away: by one rename into the trash, then file by file.

Only what a valid manifest of this store lists is ever deleted. A version whose
files are not exactly those is left where it is.
"""

import contextlib
import dataclasses
import os
import stat
import uuid
from pathlib import Path

from keras_versioned_ckpt import _atomic, _integrity
from keras_versioned_ckpt import manifest as manifests
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CorruptVersionError,
    UnsafeVersionError,
)
from keras_versioned_ckpt.manifest import FILENAME
from keras_versioned_ckpt.records import Version


def check_removable(
    layout: Layout, version: Version, store_id: str | None, *, read: bool = True
) -> None:
    """Checks that the version's directory holds what is about to be deleted.

    Args:
        layout: The store's paths.
        version: The version.
        store_id: The store that it must belong to.
        read: Whether to read its files and compare their SHA-256 as well.

    Raises:
        CheckpointError: If it is damaged, not of this store, or holds files
            that its manifest does not list.
        FileNotFoundError: If it is gone already.
    """
    directory = layout.root / version.name
    manifest = _integrity.read_manifest(directory, store_id)
    if manifest.version.number != version.number:
        raise CorruptVersionError(
            f"{directory.name} is version {manifest.version.number} by its manifest "
            f"and version {version.number} by the ledger"
        )
    if dataclasses.replace(version, path=None, tags=()) != manifest.version:
        # The policy decided by what the ledger says, be it right or not.
        raise CorruptVersionError(
            f"{directory.name} is another by its manifest than by the ledger; "
            "`CheckpointStore.repair()` puts the ledger right"
        )
    if read:
        _integrity.check_content(directory, manifest)
    else:
        _integrity.check_files(directory, manifest)


def to_trash(layout: Layout, version: Version) -> None:
    """Moves a version out of sight; from here on it is gone."""
    directory = layout.root / version.name
    _atomic.rename_new(directory, layout.trash / f"{directory.name}.{uuid.uuid4().hex}")


def empty_trash(layout: Layout, store_id: str) -> dict[str, str]:
    """Deletes what is in the trash; others may be doing the same.

    Args:
        layout: The store's paths.
        store_id: The store that what is deleted must belong to.

    Returns:
        The names of what could not be deleted, each with why.
    """
    left = {}
    for name in sorted(os.listdir(layout.trash)):
        try:
            _delete(layout.trash / name, store_id)
        except FileNotFoundError:
            continue  # another process was faster
        except (OSError, CheckpointError) as error:
            left[name] = str(error)
    return left


def _delete(directory: Path, store_id: str) -> None:
    if not stat.S_ISDIR(directory.lstat().st_mode):
        # Not through a link: what is behind it may be a version that is there.
        raise UnsafeVersionError("it is not a directory")
    if not os.path.lexists(directory / FILENAME):
        # The manifest goes last: without it, only an empty directory is ours.
        directory.rmdir()
        return
    data = _atomic.read_bytes(directory / FILENAME, manifests.MAX_BYTES)
    manifest = manifests.decode(data)
    if manifest.store_id != store_id:
        raise CorruptVersionError("its manifest is of another store")
    for path in manifest.files:
        _unlink(directory, path.split("/"))
    parents = manifests.folders_of(manifest.files) | _integrity.EMPTY_DIRECTORIES
    for parent in sorted(parents, key=lambda path: path.count("/"), reverse=True):
        if _atomic.is_directory(directory / parent):
            with contextlib.suppress(FileNotFoundError):
                (directory / parent).rmdir()
    if others := set(os.listdir(directory)) - {FILENAME}:
        # The manifest stays with them: it says what the rest once was.
        raise CorruptVersionError(
            "it holds what its manifest does not list: "
            f"{listing(shown(name) for name in sorted(others))}"
        )
    (directory / FILENAME).unlink()
    directory.rmdir()


def _unlink(directory: Path, parts: list[str]) -> None:
    """Unlinks one file, refusing to pass through a link on the way to it."""
    path = directory
    for part in parts[:-1]:
        path = path / part
        if not _atomic.is_directory(path):
            return
    with contextlib.suppress(FileNotFoundError):
        (path / parts[-1]).unlink()
