"""What is in the store now, and what ever was.

The truth is in the directories: a version is there if its directory is. What
it is comes from the ledger where a line speaks of it, so that no manifest need
be opened, and from its manifest otherwise. Reading takes no lock.
"""

import contextlib
import dataclasses
import os
import threading
import warnings
from pathlib import Path

from keras_versioned_ckpt import _atomic, _names, _strict_json, _wire, ledger
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CheckpointWarning,
    StoreError,
    UnsafeVersionError,
)
from keras_versioned_ckpt.records import HistoryEntry, Version

_MAX_TAG_BYTES = 4096
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
        self._manifests: dict[str, tuple[tuple[int, ...], Version | None]] = {}
        # The callback commits on a thread of its own while others may ask.
        self._lock = threading.RLock()
        self._forget_ledger()

    def versions(self) -> tuple[Version, ...]:
        """Returns the versions that are there, by number, with path and tags."""
        with self._lock:
            self._read_ledger()
            directories = self._directories()
            # Names may be used again: what the ledger said before the listing may
            # be of another version than the one that was listed.
            while self._read_ledger():
                directories = self._directories()
            found = [
                version
                for name in directories
                if (version := self._live.get(name) or self._from_manifest(name))
            ]
            for name in self._manifests.keys() - set(directories):
                del self._manifests[name]
            tags: dict[int, list[str]] = {}
            for tag, number in self.tag_numbers().items():
                tags.setdefault(number, []).append(tag)
            return tuple(
                dataclasses.replace(version, tags=tuple(tags[version.number]))
                if version.number in tags
                else version
                for version in sorted(found, key=lambda version: version.number)
            )

    def history(self) -> tuple[HistoryEntry, ...]:
        """Returns every version that ever was, by number, with why it is gone."""
        with self._lock:
            # In this order: what others commit or remove meanwhile must not look as
            # if nobody had recorded it.
            self._read_ledger()
            committed = dict(self._committed)
            there = {version.number: version for version in self.versions()}
            self._read_ledger()
            entries = [HistoryEntry(version=version) for version in there.values()]
            for number, version in committed.items():
                if number not in there:
                    removal = self._removed.get(number)
                    entries.append(
                        HistoryEntry(
                            version=version,
                            removed=removal.at if removal else None,
                            reason=removal.reason if removal else _MISSING,
                            policy=removal.policy if removal else "",
                        )
                    )
            return tuple(sorted(entries, key=lambda entry: entry.number))

    def unrecorded(self, versions: tuple[Version, ...]) -> list[Version]:
        """Returns those of `versions` that the ledger does not know to be there."""
        with self._lock:
            return [v for v in versions if v.name not in self._live]

    def last_number(self, versions: tuple[Version, ...]) -> int:
        """Returns the highest number ever used, also by versions that are gone."""
        with self._lock:
            seen = (version.number for version in versions)
            return max([0, *seen, *self._committed, *self._removed])

    def tag_numbers(self) -> dict[str, int]:
        """Returns the number that each tag stands for, be it there or not.

        A tag protects its version, so that one whose file is damaged is taken
        from the ledger, and is an error where the ledger has no memory of it.
        """
        tags = self._read_tags()
        for tag, number in tags.items():
            if number is None and tag not in self._tagged:
                raise StoreError(
                    f"The tag {shown(tag)} cannot be read, and the ledger does not "
                    f"know it. Remove {self._layout.tags / tag} and tag the version "
                    "again."
                )
        return {
            tag: self._tagged[tag] if number is None else number
            for tag, number in tags.items()
        }

    def damaged_tags(self) -> list[str]:
        """Returns the tags whose files cannot be read."""
        return [tag for tag, number in self._read_tags().items() if number is None]

    @property
    def damaged_lines(self) -> int:
        """How many lines of the ledger could not be read."""
        return self._damaged_lines

    def _read_tags(self) -> dict[str, int | None]:
        """Returns what the file of each tag says, `None` where it is damaged."""
        tags: dict[str, int | None] = {}
        try:
            names = sorted(os.listdir(self._layout.tags))
        except FileNotFoundError:
            return {}
        for name in names:
            if _names.why_not(name) is None:
                # One that is gone was taken off since the listing.
                with contextlib.suppress(FileNotFoundError):
                    tags[name] = _read_tag(self._layout.tags / name)
        return tags

    def _directories(self) -> list[str]:
        """Returns the names in the store that may be those of versions."""
        try:
            with os.scandir(self._layout.root) as entries:
                return [
                    entry.name
                    for entry in entries
                    if not entry.name.startswith(".")
                    and entry.is_dir(follow_symlinks=False)
                ]
        except FileNotFoundError:
            return []

    def _from_manifest(self, name: str) -> Version | None:
        """Reads a directory that the ledger does not speak of.

        A directory without a manifest is the user's own. One whose manifest
        cannot be read is not a version either, but may have been one. What was
        read is remembered for as long as the file is the same.
        """
        # Imported here: opening a store must be fast, and mostly needs no manifest.
        from keras_versioned_ckpt import _integrity
        from keras_versioned_ckpt import manifest as manifests

        path = self._layout.root / name
        if _names.why_not(name) is not None:
            return None
        try:
            status = (path / manifests.FILENAME).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        file = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)
        if name in self._manifests and self._manifests[name][0] == file:
            return self._manifests[name][1]
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

    def _forget_ledger(self) -> None:
        self._ledger_inode = -1
        self._ledger_offset = 0
        self._damaged_lines = 0
        self._committed: dict[int, Version] = {}
        self._removed: dict[int, ledger.Removed] = {}
        self._live: dict[str, Version] = {}
        self._tagged: dict[str, int] = {}

    def _read_ledger(self) -> bool:
        """Takes in what was appended to the ledger since the last time.

        Returns:
            Whether there was anything.
        """
        try:
            with _atomic.open_regular(self._layout.ledger) as file:
                status = os.fstat(file.fileno())
                if (
                    status.st_ino != self._ledger_inode
                    or status.st_size < self._ledger_offset
                ):
                    self._forget_ledger()
                    self._ledger_inode = status.st_ino
                file.seek(self._ledger_offset)
                data = file.read(status.st_size - self._ledger_offset) or b""
        except FileNotFoundError:
            self._forget_ledger()
            return False
        except _atomic.NotRegularError as error:
            raise UnsafeVersionError(
                f"{self._layout.ledger} is not a regular file"
            ) from error
        # What follows the last newline may still be in the writing.
        complete = data.rfind(b"\n") + 1
        self._ledger_offset += complete
        for line in data[:complete].splitlines():
            try:
                self._apply(ledger.decode(line))
            except ValueError:
                # A line torn by a crash. The manifest still has the facts; the
                # count is what `verify` reports.
                self._damaged_lines += 1
        return complete > 0

    def _apply(self, event: ledger.Event) -> None:
        if isinstance(event, ledger.Committed):
            path = self._layout.root / event.version.name
            version = dataclasses.replace(event.version, path=path)
            self._committed[version.number] = version
            self._removed.pop(version.number, None)
            self._live[version.name] = version
        elif isinstance(event, ledger.Removed):
            self._removed[event.number] = event
            gone = self._committed.get(event.number)
            if gone and self._live.get(gone.name, gone).number == event.number:
                self._live.pop(gone.name, None)
        elif event.number is None:
            self._tagged.pop(event.tag, None)
        else:
            self._tagged[event.tag] = event.number


def _read_tag(path: Path) -> int | None:
    """Reads the number in a tag's file; `None` where it is damaged."""
    try:
        data = _atomic.read_bytes(path, _MAX_TAG_BYTES)
    except _atomic.NotRegularError as error:
        raise UnsafeVersionError(
            f"The tag {shown(path.name)} is not a regular file. "
            f"Nothing behind it is touched; remove {path} to go on."
        ) from error
    try:
        return _wire.count(_strict_json.loads(data, _MAX_TAG_BYTES)["number"])
    except (ValueError, TypeError, KeyError):
        return None


def tag_record(number: int) -> bytes:
    """Returns what the file of a tag holds."""
    return _strict_json.dumps({"number": number})
