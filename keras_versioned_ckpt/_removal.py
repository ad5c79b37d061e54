"""Taking versions away: by one rename into the trash, then file by file.

Only what a valid manifest of this store lists is ever deleted. A version whose
files are not exactly those is left where it is.
"""

import contextlib
import dataclasses
import uuid
from collections.abc import Callable

from keras_versioned_ckpt import _atomic, _directory, _integrity
from keras_versioned_ckpt import manifest as manifests
from keras_versioned_ckpt._directory import HeldDirectory
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt.errors import CheckpointError, CorruptVersionError
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
    with _directory.hold(layout.trash) as trash:
        for name in sorted(trash.names()):
            try:
                _delete(trash, name, store_id)
            except FileNotFoundError:
                continue  # another process was faster
            except NotADirectoryError:
                # Not through a link: what is behind it may be a version that is there.
                left[name] = "it is not a directory"
            except (OSError, CheckpointError) as error:
                left[name] = str(error)
    return left


def _delete(trash: HeldDirectory, name: str, store_id: str) -> None:
    with trash.inside(name) as directory:
        # The manifest goes last: without it, only an empty directory is ours.
        if directory.has(FILENAME):
            _delete_files(directory, store_id)
    trash.rmdir(name)


def _delete_files(directory: HeldDirectory, store_id: str) -> None:
    data = directory.read(FILENAME, manifests.MAX_BYTES)
    manifest = manifests.decode(data)
    if manifest.store_id != store_id:
        raise CorruptVersionError("its manifest is of another store")
    for path in manifest.files:
        _in_folder(directory, path, HeldDirectory.unlink)
    parents = manifests.folders_of(manifest.files) | _integrity.EMPTY_DIRECTORIES
    for path in sorted(parents, key=lambda path: path.count("/"), reverse=True):
        _in_folder(directory, path, HeldDirectory.rmdir)
    if others := set(directory.names()) - {FILENAME}:
        # The manifest stays with them: it says what the rest once was.
        raise CorruptVersionError(
            "it holds what its manifest does not list: "
            f"{listing(shown(name) for name in sorted(others))}"
        )
    directory.unlink(FILENAME)


def _in_folder(
    directory: HeldDirectory, path: str, act: Callable[[HeldDirectory, str], None]
) -> None:
    """Does something in the folder that a path ends in, with the name there.

    What is not there, or is no directory, is passed over.
    """
    *parts, name = path.split("/")
    with (
        contextlib.suppress(FileNotFoundError, NotADirectoryError),
        contextlib.ExitStack() as stack,
    ):
        for part in parts:
            directory = stack.enter_context(directory.inside(part))
        act(directory, name)
