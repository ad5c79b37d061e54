"""Whether a directory is a store, may become one, and how it becomes one.

What makes it one is `.versions/store.json`, one JSON object: `format`, `store_id`, and
`crc32`, the CRC-32 of the id in UTF-8, which MAY be missing.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keras_versioned_ckpt import _atomic, _names, _strict_json, _wire
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._lock import locked
from keras_versioned_ckpt._messages import listing, reason, shown
from keras_versioned_ckpt.errors import (
    CheckpointError,
    StoreError,
    StoreNotFoundError,
    UnsafeVersionError,
)

if TYPE_CHECKING:
    from keras_versioned_ckpt.naming import NamingPolicy

FORMAT = 1
_MAX_BYTES = 64 * 1024


def store_path(directory: object) -> Path:
    """Returns the directory argument of the public functions as an absolute path.

    Raises:
        TypeError: If it is neither a string nor a path.
        ValueError: If it is empty.
    """
    if not isinstance(directory, (str, os.PathLike)):
        raise TypeError(
            "`directory` must be a string or a path. "
            f"Received: directory={directory!r} (of type {type(directory).__name__})"
        )
    text = os.fspath(directory)
    if not isinstance(text, str):
        raise TypeError(
            f"`directory` must be a text path. Received: directory={directory!r}"
        )
    if not text or "\0" in text:
        raise ValueError(
            f"`directory` must name a directory. Received: directory={directory!r}"
        )
    return Path(os.path.abspath(text))


def identify(layout: Layout) -> str | None:
    """Returns the id of the store that is there, or `None` of one half-made.

    Versions without the room beside them are a store, too: tools that copy files
    often leave out what begins with a dot.

    Raises:
        StoreNotFoundError: If there is none.
        StoreError: If it is of a newer format or its record is damaged.
        UnsafeVersionError: If a part of it is a link.
    """
    _check_is_directory(layout)
    if not os.path.lexists(layout.room):
        ids = set(_ids(layout))
        if len(ids) != 1:
            raise StoreNotFoundError(_no_store(layout))
        return ids.pop()
    _check_folders(layout)
    try:
        data = _atomic.read_bytes(layout.store_file, _MAX_BYTES)
    except FileNotFoundError:
        return _id_of_the_versions(layout)
    except _atomic.NotRegularError as error:
        raise UnsafeVersionError(
            f"{layout.store_file} is not a regular file"
        ) from error
    return _read_store_file(layout, data)


def is_complete(layout: Layout) -> bool:
    """Returns whether nothing of the store's room is missing.

    A crash can leave it half-made, and so can a copy: not every tool takes empty
    directories along.
    """
    return all(path.exists() for path in (layout.store_file, *layout.folders))


def check_usable(layout: Layout, naming: NamingPolicy) -> None:
    """Checks, without making anything, that versions can be saved here.

    Raises:
        StoreError: If the path is not a directory, cannot be written, or is
            full of somebody else's files.
    """
    try:
        _check_usable(layout, naming)
    except PermissionError as error:
        raise StoreError(
            f"{error.filename} cannot be entered, so no version can be saved in "
            f"{layout.root}. Change its permissions or pass another `directory`."
        ) from error
    except StoreNotFoundError:
        raise
    except OSError as error:
        raise StoreError(f"Reading failed in {layout.root}: {reason(error)}") from error


def _check_usable(layout: Layout, naming: NamingPolicy) -> None:
    if os.path.lexists(layout.room):
        identify(layout)
    elif layout.root.is_dir():
        if len(set(_ids(layout))) != 1:
            _check_adoption(layout, naming)
    else:
        _check_is_directory(layout, missing_is_fine=True)
    existing = next(p for p in (layout.root, *layout.root.parents) if p.exists())
    if not existing.is_dir():
        raise StoreError(
            f"{existing} is not a directory, so {layout.root} cannot be made. "
            "Pass another `directory`."
        )
    if not os.access(existing, os.W_OK | os.X_OK):
        raise StoreError(
            f"{existing} is not writable, so no version can be saved in "
            f"{layout.root}. Change its permissions or pass another `directory`."
        )


def found(layout: Layout, naming: NamingPolicy | None = None) -> str:
    """Makes the store, or completes one that a crash left half-made.

    Args:
        layout: Where.
        naming: How its versions will be called; a directory with files of
            somebody else is adopted only if no such name could be theirs.
            Defaults to `version_{number}`.

    Returns:
        The id of the store, which is there already when others made it first.

    Raises:
        StoreError: If that cannot be.
    """
    # Imported here, as below: opening a store must be fast, and makes none.
    import uuid

    from keras_versioned_ckpt.naming import Numbered

    check_usable(layout, naming or Numbered())
    try:
        _make_root(layout.root)
        complete = is_complete(layout)
        for folder in layout.folders:
            folder.mkdir(exist_ok=True)
        _check_folders(layout)
        with locked(layout.lock):
            store_id = identify(layout)
            if store_id is None or not layout.store_file.exists():
                store_id = store_id or uuid.uuid4().hex
                record = {
                    "format": FORMAT,
                    "store_id": store_id,
                    "crc32": _crc32(store_id),
                }
                _atomic.replace(layout.store_file, _strict_json.dumps(record, indent=2))
                _atomic.sync_directory(layout.root)
                _atomic.sync_directory(layout.root.parent)
            elif not complete:
                _atomic.sync_directory(layout.room)
        return store_id
    except OSError as error:
        raise StoreError(
            f"No store can be made in {layout.root}: {reason(error)}"
        ) from error


def _make_root(root: Path) -> None:
    """Makes the store's directory and those above it, each durably."""
    missing = [path for path in (root, *root.parents) if not path.exists()]
    root.mkdir(parents=True, exist_ok=True)
    for path in missing:
        _atomic.sync_directory(path.parent)


def _check_is_directory(layout: Layout, *, missing_is_fine: bool = False) -> None:
    if layout.root.is_dir():
        return
    if os.path.lexists(layout.root):
        raise StoreError(
            f"{layout.root} is not a directory, so it cannot be a store. "
            "Pass the directory that holds the versions."
        )
    if not missing_is_fine:
        raise StoreNotFoundError(_no_store(layout))


def _no_store(layout: Layout) -> str:
    if layout.root.is_dir():
        names = sorted(entry.name for entry in layout.root.iterdir())
        there = f"The directory holds: {listing(shown(name) for name in names)}."
    else:
        parent = next(p for p in layout.root.parents if p.is_dir())
        # os.path.isdir, for it takes a directory that cannot be entered for none.
        names = sorted(
            path.name for path in parent.iterdir() if os.path.isdir(Layout(path).room)
        )
        there = f"Stores in {parent}: {listing(shown(name) for name in names)}."
    return (
        f"There is no store in {layout.root}. {there} "
        "A store is made by the first save into it."
    )


def _check_folders(layout: Layout) -> None:
    for folder in (*layout.folders, layout.quarantine):
        if os.path.lexists(folder) and not _atomic.is_directory(folder):
            raise UnsafeVersionError(
                f"{folder} is not a directory of the store but a link or a file. "
                "Nothing behind it is touched; remove it to go on."
            )


def _check_adoption(layout: Layout, naming: NamingPolicy) -> None:
    with os.scandir(layout.root) as entries:
        taken = sorted(e.name for e in entries if naming.matches(e.name))
    if taken:
        raise StoreError(
            f"{layout.root} is not a store and holds files of somebody else that "
            f"versions named by {naming!r} could collide with: "
            f"{listing(shown(name) for name in taken)}. "
            "Pass an empty directory, or another `naming`."
        )


def _read_store_file(layout: Layout, data: bytes) -> str:
    try:
        record = _strict_json.loads(data, _MAX_BYTES)
        number, store_id = record["format"], record["store_id"]
        if not isinstance(store_id, str):
            raise ValueError("the store id is not a string")
        _wire.count(number)
        if _names.why_not(store_id) is not None:
            raise ValueError("the store id is not a name")
        # Without the checksum, one flipped bit could be the id of another store. A
        # record that was written by an early release has none.
        if number <= FORMAT and record.get("crc32", _crc32(store_id)) != _crc32(
            store_id
        ):
            raise ValueError("the store id does not match its checksum")
        if number < 1:
            raise ValueError("the format is not 1 or more")
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"{layout.store_file} is damaged: {error}. Move it away; the store "
            "then finds its id in the manifests of its versions."
        ) from error
    if number > FORMAT:
        raise StoreError(
            f"{layout.root} is a store of format {number}, and this release of "
            f"keras-versioned-ckpt reads formats up to {FORMAT}. "
            "Upgrade it: pip install --upgrade keras-versioned-ckpt"
        )
    return store_id


def _crc32(store_id: str) -> int:
    return zlib.crc32(store_id.encode())


def _id_of_the_versions(layout: Layout) -> str | None:
    """Returns the store id that the versions agree on, where the record is gone."""
    ids = set(_ids(layout))
    if len(ids) > 1:
        raise StoreError(
            f"{layout.store_file} is missing and the versions beside it were "
            f"committed in different stores: {listing(map(shown, sorted(ids)))}. "
            "Move those that do not belong here away."
        )
    return ids.pop() if ids else None


def _ids(layout: Layout) -> Iterator[str]:
    from keras_versioned_ckpt import _integrity

    for path in layout.root.iterdir():
        if _names.why_not(path.name) is None and _atomic.is_directory(path):
            # A directory without a readable manifest has no say in the id.
            with contextlib.suppress(CheckpointError, OSError):
                yield _integrity.read_manifest(path).store_id
