"""The newest and the best version of a store with a long ledger, in short.

The index says which versions the ledger knows, and where it speaks of the newest and
the best of them. What was appended since is read line by line, and one line more for
the answer. Whatever is out of the ordinary is left to the long way, which reads every
line: the short way never answers otherwise, it only sometimes has no answer.
"""

import bisect
import dataclasses
import os
import time
from collections.abc import Iterable, Iterator

from keras_versioned_ckpt import _atomic, _index, _names, ledger
from keras_versioned_ckpt._layout import MANIFEST, Layout
from keras_versioned_ckpt._ranking import best_first, said_mode
from keras_versioned_ckpt.records import Version

# The coarsest time stamps that file systems have, those of FAT.
_SETTLED_NS = 2_000_000_000
_PIECE = 8 * 1024
# An index that is further behind saves nothing.
_MOST_BEHIND_BYTES = 16 * 1024 * 1024


class _OutOfTheOrdinaryError(Exception):
    """The long way has to tell."""


def begun(layout: Layout) -> "Brief | None":
    """Returns the short way of a store, or `None` where there is none."""
    try:
        index = _index.decode(_atomic.read_bytes(layout.ledger_index, _index.MAX_BYTES))
        with _atomic.open_regular(layout.ledger) as file:
            inode = os.fstat(file.fileno()).st_ino
            return Brief(layout, index, inode) if index.is_about(file) else None
    except (OSError, ValueError):
        return None


class Brief:
    """A store with an index, as far as `latest` and `best` need to know it.

    Args:
        layout: The store's paths.
        index: The index of its ledger.
        inode: Which file that is.
    """

    def __init__(self, layout: Layout, index: _index.Index, inode: int) -> None:
        self._layout = layout
        self._index = index
        self._inode = inode
        self._offset = index.ledger_bytes
        # What was appended since changes these.
        self._last_number = index.last_number
        self._known = {*index.names, layout.room.name}
        self._removed: set[int] = set()
        self._since: dict[int, Version] = {}
        # The directory as it was listed last.
        self._listing: list[str] = []
        self._listed_in: tuple[int, int, int] | None = None

    def latest(self) -> Version | None:
        """Returns the version with the highest number; `None` takes the long way."""
        try:
            return next(self._newest_first(self._listed()), None)
        except (OSError, _OutOfTheOrdinaryError):
            return None

    def best(self, monitor: str | None, mode: str | None) -> Version | None:
        """Returns the best version by a metric; `None` takes the long way.

        Args:
            monitor: The metric, or `None` for the one that was recorded last.
            mode: `"min"` or `"max"`, or `None` for what was recorded last.
        """
        try:
            names = self._listed()
            return self._best(names, *self._criterion(names, monitor, mode))
        except (OSError, _OutOfTheOrdinaryError):
            return None

    def _criterion(
        self, names: list[str], monitor: str | None, mode: str | None
    ) -> tuple[str, str]:
        """Returns what `Best` goes by, from the newest versions that say so."""
        if monitor is None and not self._monitored:
            monitor = "val_loss"
        newest: list[Version] = []
        versions = self._newest_first(names)
        while monitor is None or mode is None:
            if (version := next(versions, None)) is None:
                raise _OutOfTheOrdinaryError
            newest.append(version)
            monitor = monitor or version.monitor
            if monitor is not None and mode is None:
                said = (said_mode(version, monitor) for version in newest)
                mode = next(filter(None, said), None)
        return monitor, mode

    @property
    def _monitored(self) -> bool:
        since = self._since.values()
        return self._index.monitored or any(version.monitor for version in since)

    def _newest_first(self, names: list[str]) -> Iterator[Version]:
        """Yields the versions that are there, as far back as the index has them."""
        for number in sorted(self._since, reverse=True):
            yield from self._there([self._since[number]], names)
        newest, numbers = self._index.newest, self._index.numbers
        for place, number in zip(reversed(newest), reversed(numbers), strict=False):
            version = self._at(place)
            if version.number != number:
                raise _OutOfTheOrdinaryError
            yield from self._there([version], names)
        if len(newest) < len(numbers):
            raise _OutOfTheOrdinaryError

    def _best(self, names: list[str], monitor: str, mode: str) -> Version | None:
        """Returns the best version that is there by a monitor and a mode."""
        places = self._index.rankings.get((monitor, mode))
        if places is None:
            raise _OutOfTheOrdinaryError
        noted = next(self._there(map(self._at, places), names), None)
        if noted is None and len(places) == _index.NOTED:
            raise _OutOfTheOrdinaryError
        rivals = [*self._since.values(), *([] if noted is None else [noted])]
        return next(self._there(best_first(rivals, monitor, mode), names), None)

    def _there(
        self, versions: Iterable[Version], names: list[str]
    ) -> Iterator[Version]:
        """Yields those of the versions that are there, with their paths."""
        for version in versions:
            path = self._layout.root / version.name
            if (
                version.number not in self._removed
                and version.name in names
                and _atomic.is_directory(path)
            ):
                yield dataclasses.replace(version, path=path)

    def _at(self, place: int) -> Version:
        """Reads the line about a version."""
        with _atomic.open_regular(self._layout.ledger) as file:
            if os.fstat(file.fileno()).st_ino != self._inode:
                raise _OutOfTheOrdinaryError
            file.seek(place)
            line = b""
            while b"\n" not in line and len(line) <= ledger.MAX_LINE_BYTES:
                if not (piece := file.read(_PIECE)):
                    break
                line += piece
        try:
            event = ledger.decode(line.partition(b"\n")[0])
        except ValueError:
            raise _OutOfTheOrdinaryError from None
        if (
            not isinstance(event, ledger.Committed)
            or self._name(event.version.number) != event.version.name
        ):
            raise _OutOfTheOrdinaryError
        return event.version

    def _name(self, number: int) -> str | None:
        """Returns the name that a number has in the index."""
        numbers = self._index.numbers
        i = bisect.bisect_left(numbers, number)
        found = i < len(numbers) and numbers[i] == number
        return self._index.names[i] if found else None

    def _listed(self) -> list[str]:
        """Lists the directory of the store, which holds nothing new to the ledger."""
        self._read_on()
        names = self._names()
        # As in the long way: what the ledger said before may be of another version.
        while self._read_on():
            names = self._names()
        # All at once, which is many times faster than one by one.
        if not self._known.issuperset(names):
            for name in set(names) - self._known:
                if self._may_be_a_version(name):
                    raise _OutOfTheOrdinaryError
        return names

    def _names(self) -> list[str]:
        """Returns what is in the store's directory, listed anew where it changed."""
        status = os.stat(self._layout.root)
        state = (status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        if state != self._listed_in:
            # The clock of a file system may stand still for two seconds: a change
            # right after another one need not show.
            settled = time.time_ns() - max(state[1:]) > _SETTLED_NS
            self._listing = os.listdir(self._layout.root)
            self._listed_in = state if settled else None
        return self._listing

    def _may_be_a_version(self, name: str) -> bool:
        if _names.why_not(name) is not None:
            return False
        try:
            (self._layout.root / name / MANIFEST).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def _read_on(self) -> bool:
        """Takes in what was appended to the ledger; returns whether there was any."""
        with _atomic.open_regular(self._layout.ledger) as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._inode or status.st_size < self._offset:
                raise _OutOfTheOrdinaryError
            if status.st_size - self._offset > _MOST_BEHIND_BYTES:
                raise _OutOfTheOrdinaryError
            file.seek(self._offset)
            data = file.read(status.st_size - self._offset) or b""
        complete = data.rfind(b"\n") + 1
        self._offset += complete
        if complete:
            # Not every file system dates a directory by what happens in it.
            self._listed_in = None
        for line in data[:complete].splitlines():
            try:
                event = ledger.decode(line)
            except ValueError:
                continue  # the version that it was about is unknown, if it is there
            self._apply(event)
        return complete > 0

    def _apply(self, event: ledger.Event) -> None:
        if isinstance(event, ledger.Committed):
            version = event.version
            if version.number <= self._last_number or version.name in self._known:
                raise _OutOfTheOrdinaryError
            self._since[version.number] = version
            self._known.add(version.name)
            self._last_number = version.number
        elif isinstance(event, ledger.Removed):
            since = self._since.pop(event.number, None)
            name = since.name if since else self._name(event.number)
            if name is not None and event.number not in self._removed:
                self._removed.add(event.number)
                self._known.discard(name)
            self._last_number = max(self._last_number, event.number)
