"""`keras-ckpt watch`: versions as they come and go while a training runs."""

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from keras_versioned_ckpt import _console, _json_forms
from keras_versioned_ckpt._messages import escaped, rounded_size
from keras_versioned_ckpt._ranking import recorded_best
from keras_versioned_ckpt._table import Table, metrics_text, version_table
from keras_versioned_ckpt.errors import StoreNotFoundError
from keras_versioned_ckpt.records import HistoryEntry
from keras_versioned_ckpt.store import CheckpointStore

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def watch(options: argparse.Namespace) -> int:
    """Runs `watch`, until Ctrl-C."""
    try:
        store = _opened(options)
        if options.json:
            _follow(store, options.interval, as_json=True)
        elif not _console.live(lambda rows: _picture(store, rows), options.interval):
            _follow(store, options.interval, as_json=False)
    except KeyboardInterrupt:
        # It is how a watch ends.
        return 0
    return 0


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


def _follow(store: CheckpointStore, interval: float, *, as_json: bool) -> None:
    """Prints a line for each thing that happens, beginning with what is there."""
    known: dict[int, HistoryEntry] | None = None
    while True:
        history = store.history
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
        return f"{version.created:%H:%M:%S} {what}"
    if event == "tagged":
        tags = escaped(", ".join(version.tags)) or "none"
        return f"{datetime.now(UTC):%H:%M:%S} tags of {name}: {tags}"
    removed = entry.removed or datetime.now(UTC)
    return f"{removed:%H:%M:%S} removed {name}: {escaped(entry.reason)}"


def _picture(store: CheckpointStore, rows: int) -> Table:
    versions = store.versions
    gone = [entry for entry in store.history if entry.gone]
    size = rounded_size(sum(version.size_bytes for version in versions))
    caption = f"{datetime.now():%H:%M:%S}  {escaped(str(store.path))}: "
    caption += f"{len(versions)} there, {size}; {len(gone)} gone"
    if gone:
        last = max(gone, key=lambda entry: (entry.removed or _LONG_AGO, entry.number))
        caption += f", the last {escaped(last.name)}: {escaped(last.reason)}"
    best = recorded_best(versions)
    return version_table(versions[-rows:], caption=caption, best=best)
