"""How what was staged becomes a version."""

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from keras_versioned_ckpt import (
    _names,
    _removal,
    _strict_json,
    _tagging,
    ledger,
    manifest,
)
from keras_versioned_ckpt._failure import save_error
from keras_versioned_ckpt._room import Room
from keras_versioned_ckpt._staging import Staged
from keras_versioned_ckpt.errors import CheckpointError, StoreError
from keras_versioned_ckpt.naming import NamingPolicy, unique_name
from keras_versioned_ckpt.records import Version


def commit(
    room: Room,
    staged: Staged,
    *,
    naming: NamingPolicy,
    tags: Iterable[str],
    trigger: Iterable[str],
    software: Mapping[str, str],
    facts: Mapping[str, Any],
) -> Version:
    """Does what `CheckpointStore.commit` says.

    The order is the promise: the payload is on the disk before the manifest,
    the manifest before the rename, the rename before anybody is told.
    """
    name: str | None = None
    try:
        staged.seal()
        with room.writing("Saving"):
            version = _numbered_and_named(room, staged, naming, facts)
            name = version.name
            text = manifest.encode(
                manifest.Manifest(
                    store_id=str(room.store_id),
                    version=version,
                    files=staged.files,
                    trigger=tuple(trigger),
                    software=software,
                )
            )
            manifest.decode(text)  # what could not be read back is never committed
            staged.commit(text, room.layout.root / name)
            room.record(ledger.Committed(version))
            for tag in tags:
                _tagging.put(room, tag, version.number)
            # Under the lock, for another process may prune it right after.
            version = room.resolve(
                version.number, room.catalog.recorded(version.number)
            )
    except (OSError, CheckpointError, ValueError, TypeError) as error:
        raise save_error(
            room.layout.root,
            name or expected_name(room, naming, facts),
            error,
            is_there=staged.committed,
        ) from error
    finally:
        staged.discard()
    # What a killed removal left goes with the next save; what cannot be deleted
    # costs no save, `prune` and `verify` tell of it.
    with contextlib.suppress(OSError):
        _removal.empty_trash(room.layout, str(room.store_id))
    return version


def expected_name(room: Room, naming: NamingPolicy, facts: Mapping[str, Any]) -> str:
    """Returns what the next version will be called if nobody else saves before.

    It is for messages of failure: where the store cannot be read any more, neither can
    its last number.
    """
    try:
        return _named(os.listdir(room.layout.root), room, naming, facts).name
    except (OSError, CheckpointError, ValueError, TypeError):
        return "a new version"


def _numbered_and_named(
    room: Room, staged: Staged, naming: NamingPolicy, facts: Mapping[str, Any]
) -> Version:
    """Gives the next number, and a name that nothing in the store has."""
    names = os.listdir(room.layout.root)
    room.reconcile(names)
    size_bytes = sum(file.size for file in staged.files.values())
    return _named(names, room, naming, {**facts, "size_bytes": size_bytes})


def _named(
    names: Sequence[str], room: Room, naming: NamingPolicy, facts: Mapping[str, Any]
) -> Version:
    number = room.catalog.last_number() + 1
    if number > _strict_json.MAX_INTEGER:
        raise StoreError(
            f"There is no number left after {number - 1}, of which the ledger or a "
            f"manifest in {room.layout.root} speaks. Nobody saves that often: that "
            "record is forged. Move what it speaks of out of the store."
        )
    provisional = Version(number=number, created=datetime.now(UTC), **facts)
    name = unique_name(naming.name(provisional), _names.folded(names))
    return dataclasses.replace(provisional, name=name)
