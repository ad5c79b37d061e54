"""One open store: who it is, what is in it, and the right to change it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from keras_versioned_ckpt import _atomic, _catalog, _founding, ledger
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._lock import locked
from keras_versioned_ckpt._messages import (
    escaped,
    listing,
    reason,
    shortened,
    shown,
)
from keras_versioned_ckpt.errors import StoreError, VersionNotFoundError
from keras_versioned_ckpt.records import Version

if TYPE_CHECKING:
    from keras_versioned_ckpt.naming import NamingPolicy


class Room:
    """What `CheckpointStore` and the files that change a store have in common.

    Args:
        layout: The store's paths.
        create: Whether to make the store if it is missing.
        naming: How its versions will be called, for the adoption of a directory.

    Attributes:
        catalog: What is in the store.
    """

    def __init__(
        self, layout: Layout, *, create: bool, naming: NamingPolicy | None = None
    ) -> None:
        self.layout = layout
        with self.reading():
            self.store_id: str | None = (
                _founding.found(layout, naming)
                if create
                else _founding.identify(layout)
            )
        self.catalog = _catalog.Catalog(layout, self.store_id)
        #: Numbers of versions that this process wrote, or read and saw to be sound.
        self.seen_sound: set[int] = set()

    @contextlib.contextmanager
    def writing(self, what: str) -> Iterator[str]:
        """Holds the store's lock and gives the store's id.

        A store that a crash left half-made is completed first, and so is one
        that came without its empty folders, as out of git or an archive.

        Args:
            what: What is about to be done, for the message if it fails.

        Raises:
            StoreError: Instead of an `OSError` from the block.
        """
        with self._explained(what):
            store_id = _founding.identify(self.layout)
            if store_id is None or not _founding.is_complete(self.layout):
                store_id = _founding.found(self.layout)
            if store_id != self.store_id:
                self.store_id = store_id
                self.catalog = _catalog.Catalog(self.layout, store_id)
                self.seen_sound = set()
            if _atomic.is_stranger(self.layout.lock):
                raise StoreError(
                    f"{what} failed in {self.layout.root}: {self.layout.lock} is not a "
                    "regular file. Nothing behind it is touched; remove it to go on."
                )
            with locked(self.layout.lock):
                yield store_id
                # It saves time, and nothing else depends on it.
                with contextlib.suppress(OSError):
                    if (index := self.catalog.new_index()) is not None:
                        _atomic.replace(self.layout.ledger_index, index)

    def reading(self) -> contextlib.AbstractContextManager[None]:
        """Raises `StoreError` instead of an `OSError` from the block."""
        return self._explained("Reading")

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(
                f"{what} failed in {self.layout.root}: {reason(error)}"
            ) from error

    def reconciled(self) -> tuple[Version, ...]:
        """Lists afresh and tells the ledger what it does not know; needs the lock."""
        versions = self.catalog.versions()
        self.reconcile(self.catalog.unknown)
        return versions

    def reconcile(self, names: Iterable[str]) -> None:
        """Tells the ledger of versions that it does not know; needs the lock.

        Args:
            names: What is in the store's directory.
        """
        if unknown := self.catalog.unrecorded(names):
            # A kill may have come between the rename of one and the flush of it; what
            # is done to it now, such as a tag, must not outlast it.
            _atomic.sync_directory(self.layout.root)
            self.record(*map(ledger.Committed, unknown))

    def record(self, *events: ledger.Event) -> None:
        """Appends to the ledger; needs the lock."""
        lines = [ledger.encode(self._with_checksum(event)) for event in events]
        _atomic.append(self.layout.ledger, b"".join(lines))

    def _with_checksum(self, event: ledger.Event) -> ledger.Event:
        if not isinstance(event, ledger.Committed):
            return event
        # Imported here: opening a store must be fast, and records nothing.
        from keras_versioned_ckpt import _integrity

        directory = self.layout.root / event.version.name
        try:
            crc32 = _integrity.manifest_crc32(directory)
        except FileNotFoundError:
            return event  # removed by hand since it was listed
        return event._replace(manifest_crc32=crc32)

    def resolve(
        self, version: Version | int | str, versions: tuple[Version, ...]
    ) -> Version:
        """Finds a version by its number or name.

        Raises:
            TypeError: If `version` is neither a version, a number nor a name.
            VersionNotFoundError: If it is not among `versions`; the message lists
                what exists.
        """
        if isinstance(version, Version):
            # Not by its number alone: it may be a version of another store.
            for candidate in versions:
                if _same(candidate, version):
                    return candidate
            raise self._missing(version.name, versions)
        if isinstance(version, bool) or not isinstance(version, (int, str)):
            raise TypeError(
                "A version is looked up by its number (int) or name (str). "
                f"Received: {version!r} (of type {type(version).__name__})"
            )
        found = [v for v in versions if version in (v.number, v.name)]
        if len(found) > 1:
            raise StoreError(
                f"{listing(shown(v.name) for v in found)} have the same number, "
                f"{version}. Give the name of the one that is meant, or have "
                "`CheckpointStore.repair()` move the others out of the way."
            )
        if found:
            return found[0]
        raise self._missing(version, versions)

    def _missing(
        self, key: int | str, versions: tuple[Version, ...]
    ) -> VersionNotFoundError:
        with self.reading():
            gone = [
                entry
                for entry in self.catalog.history()
                if entry.gone and key in (entry.number, entry.name)
            ]
        if gone:
            why = shortened(escaped(gone[-1].reason))
            what = f"{shown(gone[-1].name)} is gone: {why}"
        elif isinstance(key, int):
            what = f"There is no version number {key}"
        else:
            what = f"There is no version called {shown(key)}"
        there = listing(f"{v.number} ({shown(v.name)})" for v in versions)
        return VersionNotFoundError(
            f"{what}, in {self.layout.root}. Versions that exist: {there}."
        )


def _same(one: Version, other: Version) -> bool:
    return (one.number, one.name, one.created) == (
        other.number,
        other.name,
        other.created,
    )
