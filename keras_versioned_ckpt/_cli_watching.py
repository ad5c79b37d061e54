"""`keras-ckpt watch`: versions as they come and go while a training runs."""

import argparse
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from keras_versioned_ckpt import _console, _founding, _json_forms
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import escaped, rounded_size, shortened
from keras_versioned_ckpt._ranking import recorded_best
from keras_versioned_ckpt._table import Table, metrics_text, version_table
from keras_versioned_ckpt.errors import StoreNotFoundError
from keras_versioned_ckpt.records import HistoryEntry
from keras_versioned_ckpt.store import CheckpointStore

# As everywhere in a store: who watches may sit in another zone than the training.
_UTC = "%Y-%m-%d %H:%M:%SZ"
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def watch(options: argparse.Namespace) -> int:
    """Runs `watch`, until Ctrl-C."""
    try:
        while True:
            # One that was removed may be made anew.
            with contextlib.suppress(_GoneError):
                _watch(_Watched(options), options)
    except KeyboardInterrupt:
        # It is how a watch ends.
        return 0


class _GoneError(Exception):
    """The store that was watched is not there any more."""


class _Watched:
    """The store that is watched.

    Args:
        options: Where it is, and how often to look for it.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._store = _opened(options)
        self._id = self._identity()

    def look(self) -> CheckpointStore:
        """Returns the store, which would look empty if it had been removed.

        Raises:
            _GoneError: If it was, also if another one is in its place.
        """
        if self._identity() != self._id:
            raise _GoneError
        return self._store

    def _identity(self) -> str | None:
        try:
            return _founding.identify(Layout(self._store.path))
        except StoreNotFoundError as error:
            raise _GoneError from error


def _watch(watched: _Watched, options: argparse.Namespace) -> None:
    if options.json:
        _follow(watched, options.interval, as_json=True)
    elif not _console.live(
        lambda rows: _picture(watched.look(), rows), options.interval
    ):
        _follow(watched, options.interval, as_json=False)


def _opened(options: argparse.Namespace) -> CheckpointStore:
    """Opens the store, which a training may still have to make."""
    is_told = False
    while True:
        try:
            return CheckpointStore(options.directory)
        except StoreNotFoundError:
            if not is_told:
                _console.complain(f"Waiting for a store at {options.directory}.")
                is_told = True
        time.sleep(options.interval)


def _follow(watched: _Watched, interval: float, *, as_json: bool) -> None:
    """Prints a line for each thing that happens, beginning with what is there."""
    known: dict[int, HistoryEntry] | None = None
    while True:
        history = watched.look().history
        for event, entry in happened(known, history):
            if as_json:
                told = {"event": event, **_json_forms.entry(entry)}
                _console.say(_json_forms.text(told, indent=None))
            else:
                _console.say(_line(event, entry))
        known = {entry.number: entry for entry in history}
        time.sleep(interval)


def happened(
    known: Mapping[int, HistoryEntry] | None, history: Sequence[HistoryEntry]
) -> Iterator[tuple[str, HistoryEntry]]:
    """Yields what is new in a history, in the order in which it happened.

    Args:
        known: What was there before, by number; `None` for a first look, at which what
            is gone is not told.
        history: What is there now, by number.

    Yields:
        `"saved"`, `"removed"` or `"tagged"`, and the version. What came and went
        between two looks is told as both.
    """
    for entry in history:
        if known is None and entry.gone:
            continue
        before = (known or {}).get(entry.number)
        if before is None:
            yield "saved", entry
        elif not entry.gone and before.version.tags != entry.version.tags:
            yield "tagged", entry
        if entry.gone and not (before and before.gone):
            yield "removed", entry


def _line(event: str, entry: HistoryEntry) -> str:
    version = entry.version
    name = escaped(version.name)
    if event == "saved":
        size = rounded_size(version.size_bytes)
        what = f"saved {name}, {metrics_text(version)}, {size}"
        return f"{version.created:{_UTC}} {what}"
    if event == "tagged":
        tags = escaped(", ".join(version.tags)) or "none"
        return f"{datetime.now(UTC):{_UTC}} tags of {name}: {tags}"
    removed = entry.removed or datetime.now(UTC)
    return f"{removed:{_UTC}} removed {name}: {escaped(entry.reason)}"


def _picture(store: CheckpointStore, rows: int) -> Table:
    versions = store.versions
    gone = [entry for entry in store.history if entry.gone]
    size = rounded_size(sum(version.size_bytes for version in versions))
    caption = f"{datetime.now(UTC):{_UTC}}  {escaped(str(store.path))}: "
    caption += f"{len(versions)} there, {size}; {len(gone)} gone"
    if gone:
        last = max(gone, key=lambda entry: (entry.removed or _LONG_AGO, entry.number))
        caption += f", the last {escaped(last.name)}: {shortened(escaped(last.reason))}"
    best = recorded_best(versions)
    return version_table(versions[-rows:], caption=caption, best=best)
