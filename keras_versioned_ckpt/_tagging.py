"""How tags are put on versions and taken off."""

import contextlib
from datetime import UTC, datetime

from keras_versioned_ckpt import _atomic, _names, _tags, ledger
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt._room import Room
from keras_versioned_ckpt.errors import StoreError, VersionNotFoundError
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.selectors import why_not_tag


def check_tag(tag: object) -> None:
    """Raises `ValueError` or `TypeError` where `tag` cannot be a tag."""
    if not isinstance(tag, str):
        raise TypeError(f"`tag` must be a string. Received: tag={tag!r}")
    if why := why_not_tag(tag):
        raise ValueError(f"`tag` {why}. Received: tag={tag!r}")


def put(room: Room, tag: str, number: int) -> None:
    """Puts a tag on a version that is there; needs the lock."""
    others = _tags.read(room.layout).keys() - {tag}
    if len(others) >= _tags.MOST:
        raise StoreError(
            f"{shown(tag)} would be a tag too many: a store has at most {_tags.MOST}."
        )
    for other in others:
        if _names.fold(other) == _names.fold(tag):
            # Their files would be one and the same where case does not count.
            raise StoreError(
                f"{shown(tag)} cannot be a tag beside {shown(other)}, which is the "
                "same where case does not count. Take that off, or call this another."
            )
    _atomic.replace(room.layout.tags / tag, _tags.record(number))
    room.record(ledger.TagMoved(tag, number, datetime.now(UTC)))


def tag(room: Room, version: Version | int | str, tag: str) -> Version:
    """Does what `CheckpointStore.tag` says."""
    check_tag(tag)
    with room.writing("Tagging"):
        target = room.resolve(version, room.reconciled())
        put(room, tag, target.number)
        return room.resolve(target.number, room.catalog.versions())


def untag(room: Room, tag: str) -> None:
    """Does what `CheckpointStore.untag` says."""
    check_tag(tag)
    with room.writing("Untagging"):
        tags = room.catalog.tag_numbers() | room.catalog.lost_tags()
        if tag not in tags:
            raise VersionNotFoundError(
                f"No version is tagged {tag!r}. "
                f"Tags that exist: {listing(map(shown, tags))}."
            )
        # The ledger first: a tag without a file of which it has no end is damage.
        room.record(ledger.TagMoved(tag, None, datetime.now(UTC)))
        with contextlib.suppress(FileNotFoundError):
            (room.layout.tags / tag).unlink()
        _atomic.sync_directory(room.layout.tags)
