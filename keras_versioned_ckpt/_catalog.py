"""What is in the store now, and what ever was.

The truth is in the directories: a version is there if its directory is. What
it is comes from the ledger where a line speaks of it, so that no manifest need
be opened, and from its manifest otherwise. Reading takes no lock.
"""

from __future__ import annotations

import bisect
import dataclasses
import operator
import os
import threading
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from keras_versioned_ckpt import _atomic, _names, _tags
from keras_versioned_ckpt._following import Following
from keras_versioned_ckpt._layout import MANIFEST, Layout
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CheckpointWarning,
    StoreError,
)
from keras_versioned_ckpt.records import HistoryEntry, Version

if TYPE_CHECKING:
    from keras_versioned_ckpt._brief import Brief

# A shorter ledger is read line by line as fast as its index would be.
_LONG_BYTES = 256 * 1024
# How many lines may follow those that the index is about, at the least.
_MOST_BEHIND = 32
_number = operator.attrgetter("number")
_MISSING = "its directory is missing: something other than this package removed it"


class Catalog:
    """A view of one store that is brought up to date at each question.

    Args:
        layout: The store's paths.
        store_id: The id that the manifests of this store carry.
    """

    def __init__(self, layout: Layout, store_id: str | None) -> None:
        self._layout = layout
        self._store_id = store_id
        self._ledger = Following(layout)
        # As of the last listing: the names of all directories, those among them that
        # may be versions of which the ledger does not speak, and the versions.
        self._names: frozenset[str] = frozenset()
        self._unknown: frozenset[str] = frozenset()
        self._there: dict[str, Version] = {}
        self._ordered: list[Version] = []
        self._manifests: dict[str, tuple[tuple[int, ...], Version | None]] = {}
        self._brief: Brief | None = None
        # The callback commits on a thread of its own while others may ask.
        self._lock = threading.RLock()

    def versions(self) -> tuple[Version, ...]:
        """Returns the versions that are there, by number, with path and tags."""
        with self._lock:
            self._ledger.read()
            names = self._directories()
            # Names may be used again: what the ledger said before the listing may
            # be of another version than the one that was listed.
            while self._ledger.read():
                names = self._directories()
            self._take_in(names)
            return _tags.put_on(self._ordered, self.tag_numbers())

    def latest(self) -> Version | None:
        """Returns the newest version, if that needs no list of all."""
        return self._in_short(lambda brief: brief.latest())

    def best(self, monitor: str | None, mode: str | None) -> Version | None:
        """Returns the best version by a metric, if that needs no list of all.

        Args:
            monitor: The metric, or `None` for the one that was recorded last.
            mode: `"min"` or `"max"`, or `None` for what was recorded last.
        """
        return self._in_short(lambda brief: brief.best(monitor, mode))

    def _in_short(self, ask: Callable[[Brief], Version | None]) -> Version | None:
        with self._lock:
            if self._ledger.lines or _size(self._layout.ledger) < _LONG_BYTES:
                self._brief = None  # all lines are known, or soon read
                return None
            # Imported here: a ledger is seldom that long.
            from keras_versioned_ckpt import _brief

            self._brief = self._brief or _brief.begun(self._layout)
            found = ask(self._brief) if self._brief else None
            # A tag that is damaged is known to the ledger.
            if found is None or self.damaged_tags():
                return None
            return _tags.put_on((found,), self.tag_numbers())[0]

    def _take_in(self, names: frozenset[str]) -> None:
        """Brings what was listed up to date, looking only at what is not as it was."""
        live, touched = self._ledger.live, self._ledger.touched
        came, gone = names - self._names, self._names - names
        if not (came or gone or touched or self._unknown):
            return
        suspects = (self._unknown | came | touched) & names
        unknown = frozenset(
            name for name in suspects.difference(live) if _names.why_not(name) is None
        )
        found = [
            version
            for name in sorted(suspects)
            if (version := live.get(name) or self._from_manifest(name))
        ]
        # On copies: an interrupt from the keyboard must leave nothing half done.
        there, ordered = self._there.copy(), self._ordered.copy()
        for name in suspects | gone:
            if (version := there.pop(name, None)) is not None:
                del ordered[_place(ordered, version)]
        for version in sorted(found, key=_number):
            there[version.name] = version
            bisect.insort(ordered, version, key=_number)
        self._names, self._unknown = names, unknown
        self._there, self._ordered = there, ordered
        touched.clear()
        for name in gone:
            self._manifests.pop(name, None)

    def history(self) -> tuple[HistoryEntry, ...]:
        """Returns every version that ever was, by number, with why it is gone."""
        with self._lock:
            # In this order: what others commit or remove meanwhile must not look as
            # if nobody had recorded it.
            self._ledger.read()
            committed = dict(self._ledger.committed)
            there = {version.number: version for version in self.versions()}
            self._ledger.read()
            entries = [HistoryEntry(version=version) for version in there.values()]
            for number, version in committed.items():
                if number not in there:
                    removal = self._ledger.removed.get(number)
                    entries.append(
                        HistoryEntry(
                            version=version,
                            removed=removal.at if removal else None,
                            reason=removal.reason if removal else _MISSING,
                            policy=removal.policy if removal else "",
                        )
                    )
            return tuple(sorted(entries, key=_number))

    @property
    def unknown(self) -> frozenset[str]:
        """The directories that `versions` found and the ledger does not speak of."""
        return self._unknown

    def unrecorded(self, names: Iterable[str]) -> list[Version]:
        """Returns the versions among what is in the store that the ledger lacks."""
        with self._lock:
            self._ledger.read()
            live = self._ledger.live
            found = [
                self._from_manifest(name)
                for name in names
                if name not in live and _atomic.is_directory(self._layout.root / name)
            ]
            return sorted(filter(None, found), key=_number)

    def recorded(self, number: int) -> tuple[Version, ...]:
        """Returns the version with this number, if the ledger knows one."""
        with self._lock:
            self._ledger.read()
            version = self._ledger.committed.get(number)
            return _tags.put_on((version,) if version else (), self.tag_numbers())

    def last_number(self) -> int:
        """Returns the highest number that the ledger knows of, be it gone or not."""
        with self._lock:
            self._ledger.read()
            return self._ledger.last_number

    def new_index(self) -> bytes | None:
        """Returns the index of the ledger where a new one is due; needs the lock.

        That is where reading the lines behind the old one would take longer than to
        ask in short can save.
        """
        with self._lock:
            following = self._ledger
            if following.lines:
                following.read()
            behind = following.lines - following.indexed
            if following.offset < _LONG_BYTES or behind < max(
                _MOST_BEHIND, following.lines // 256
            ):
                return None
            from keras_versioned_ckpt import _index

            following.indexed = following.lines
            index = _index.made(
                following.live.values(),
                following.places,
                last_number=following.last_number,
                ledger_bytes=following.offset,
                ledger_crc32=following.crc32,
            )
            return _index.encode(index) if index else None

    def tag_numbers(self) -> dict[str, int]:
        """Returns the number that each tag stands for, be it there or not.

        A tag protects its version, so that one whose file is damaged is taken
        from the ledger, and is an error where the ledger has no memory of it.
        """
        tags = _tags.read(self._layout)
        for tag, number in tags.items():
            if number is None and tag not in self._ledger.tagged:
                raise StoreError(
                    f"The tag {shown(tag)} cannot be read, and the ledger does not "
                    f"know it. Remove {self._layout.tags / tag} and tag the version "
                    "again."
                )
        return {
            tag: self._ledger.tagged[tag] if number is None else number
            for tag, number in tags.items()
        }

    def damaged_tags(self) -> list[str]:
        """Returns the tags whose files cannot be read."""
        return [
            tag for tag, number in _tags.read(self._layout).items() if number is None
        ]

    def lost_tags(self) -> dict[str, int]:
        """Returns the tags that have no file although nobody took them off.

        The line about a tag is written after its file and the one about its end
        before the file is deleted, so that no crash looks like this.
        """
        with self._lock:
            self._ledger.read()
            tagged = dict(self._ledger.tagged)
            there = _tags.read(self._layout)
            # What others put on or take off meanwhile must not look lost.
            self._ledger.read()
            return {
                tag: number
                for tag, number in tagged.items()
                if tag not in there and self._ledger.tagged.get(tag) == number
            }

    def said_of(self, number: int) -> tuple[Version | None, int | None]:
        """Returns a version by the ledger and the checksum of its manifest there."""
        crc32 = self._ledger.manifest_crc32s.get(number)
        return self._ledger.committed.get(number), crc32

    @property
    def damaged_lines(self) -> int:
        """How many lines of the ledger could not be read."""
        return self._ledger.damaged_lines

    def _directories(self) -> frozenset[str]:
        """Returns the names of all directories in the store, also the user's own."""
        try:
            with os.scandir(self._layout.root) as entries:
                return frozenset(
                    [e.name for e in entries if e.is_dir(follow_symlinks=False)]
                )
        except FileNotFoundError:
            return frozenset()

    def _from_manifest(self, name: str) -> Version | None:
        """Reads a directory that the ledger does not speak of.

        A directory without a manifest is the user's own. One whose manifest
        cannot be read is not a version either, but may have been one. What was
        read is remembered for as long as the file is the same.
        """
        path = self._layout.root / name
        if _names.why_not(name) is not None:
            return None
        try:
            status = (path / MANIFEST).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        file = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
        if name in self._manifests and self._manifests[name][0] == file:
            return self._manifests[name][1]
        # Imported here: opening a store must be fast, and mostly reads no manifest.
        from keras_versioned_ckpt import _integrity

        version = None
        try:
            manifest = _integrity.read_manifest(path, self._store_id)
            version = dataclasses.replace(manifest.version, path=path)
        except FileNotFoundError:
            return None  # removed since the listing
        except CheckpointError as error:
            warnings.warn(
                f"{path} is passed over: {error}. "
                "`CheckpointStore.verify()` says more.",
                CheckpointWarning,
                stacklevel=2,
            )
        self._manifests[name] = (file, version)
        return version


def _place(ordered: list[Version], version: Version) -> int:
    """Returns where a version is in a list that is ordered by number."""
    i = bisect.bisect_left(ordered, version.number, key=_number)
    while ordered[i] is not version:
        i += 1  # two names with one number, in a store that was tampered with
    return i


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0
