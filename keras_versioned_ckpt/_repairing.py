"""What is wrong with a store, put right without losing anything."""

import contextlib
import dataclasses
import os
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from keras_versioned_ckpt import (
    _atomic,
    _catalog,
    _integrity,
    _removal,
    _staging,
    _tags,
    ledger,
)
from keras_versioned_ckpt._following import NotALedgerError
from keras_versioned_ckpt._inspection import (
    Problem,
    Report,
    claiming,
    examine,
    leftovers,
    strangers,
    torn_line,
    unrecorded,
)
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt.errors import CheckpointError

# Where more than these stay in the trash, it is moved as a whole.
_MANY = 100
# Most file systems give a name 255 bytes; a character takes up to four.
_LONGEST_BYTES = 200
_GONE = "removed: by something other than this package, as repair found"


def examined(layout: Layout, store_id: str, catalog: _catalog.Catalog) -> Report:
    """Finds what `repair` has to put right; the caller holds the store's lock.

    What stands in the place of a record and is no file is moved out of the way
    first, since nothing can be read through it.
    """
    aside = [
        dataclasses.replace(problem, done=_quarantine(layout, path))
        for problem, path in strangers(layout)
    ]
    if _atomic.is_stranger(layout.ledger_index):
        # It only saves time, so `verify` is silent; nobody else would move it away.
        what = f"{layout.ledger_index} is not a regular file"
        done = _quarantine(layout, layout.ledger_index)
        aside.append(Problem("ledger", "", what, done))
    torn = tuple(torn_line(layout))
    try:
        report = examine(layout, store_id, catalog)
    except NotALedgerError as error:
        done = _quarantine(layout, layout.ledger)
        aside.append(Problem("ledger", "", str(error), done))
        torn = ()
        report = examine(layout, store_id, catalog)
    problems = (*aside, *report.problems, *torn, *leftovers(layout))
    return dataclasses.replace(report, problems=problems)


def repair(
    layout: Layout, store_id: str, catalog: _catalog.Catalog, found: Report
) -> Report:
    """Does what `CheckpointStore.repair` says; the caller holds the store's lock."""
    tags = {version.name: version.tags for version in catalog.versions()}
    there = {version.name: version.number for version in catalog.versions()}
    forgotten = {e.name: e.number for e in catalog.history() if unrecorded(e)}
    _note_removals(layout, [*forgotten.values()], _GONE)
    undeleted = _removal.empty_trash(layout, store_id)
    trash = ""
    if len(undeleted) > _MANY:
        trash = _quarantine(layout, layout.trash)
        layout.trash.mkdir()
        _atomic.sync_directory(layout.room)
    _staging.clear_dead(layout)
    # The number of two versions is not gone with one of them.
    unique = {n for n, many in Counter(there.values()).items() if many == 1}
    problems = []
    for problem in found.problems:
        if problem.done:
            problems.append(problem)
            continue
        lost_tags: tuple[str, ...] = ()
        match problem.kind:
            case "version":
                number = there.pop(problem.name, None)
                if number in unique:
                    # Before it goes, as with every removal.
                    reason = f"removed: quarantined by repair: {problem.what}"
                    _note_removals(layout, [number], reason)
                    lost_tags = tags[problem.name]
                done = _quarantine(layout, layout.root / problem.name)
            case "tag":
                done = _mend_tag(layout, catalog, problem.name, {*there.values()})
            case "ledger":
                done = "written anew from what can be read and the manifests"
            case "staging":
                done = "cleared"
                for place in (layout.staging, layout.room, layout.tags):
                    if os.path.lexists(place / problem.name):
                        # Too deep, or not ours to delete.
                        done = _quarantine(layout, place / problem.name)
            case "trash":
                why = undeleted.get(problem.name)
                done = "deleted"
                if why:
                    # Not ours to delete, and in the way of what is.
                    moved = trash or _quarantine(layout, layout.trash / problem.name)
                    done = f"{moved}, since it cannot be deleted: {why}"
            case "gone":
                done = "kept in the history"
            case _:
                done = "left where it is"
        problems.append(dataclasses.replace(problem, done=done))
        for tag in lost_tags:
            what = f"is on {problem.name}, which is damaged"
            done = _mend_tag(layout, catalog, tag, {*there.values()})
            problems.append(Problem("tag", tag, what, done))
    _rewrite_ledger(layout, store_id)
    return Report(checked=found.checked, problems=tuple(problems))


def _place_in_quarantine(layout: Layout, name: str) -> Path:
    if not _atomic.is_directory(layout.quarantine):
        layout.quarantine.mkdir()
    # Also where a process that was killed made it, and did not come to this.
    _atomic.sync_directory(layout.room)
    return layout.quarantine / f"{name}.{uuid.uuid4().hex[:8]}"


def _quarantine(layout: Layout, path: Path) -> str:
    name = path.name
    if len(os.fsencode(name)) > _LONGEST_BYTES:
        # With what is added to it, it would be longer than a name can be.
        name = name[: _LONGEST_BYTES // 4]
    target = _place_in_quarantine(layout, name)
    _atomic.rename_new(path, target)
    _atomic.sync_directory(path.parent)
    _atomic.sync_directory(layout.quarantine)
    return f"moved to {target.relative_to(layout.root).as_posix()}"


def _note_removals(layout: Layout, numbers: Iterable[int], reason: str) -> None:
    now = datetime.now(UTC)
    lines = [ledger.encode(ledger.Removed(n, now, reason)) for n in numbers]
    if lines:
        _atomic.append(layout.ledger, b"".join(lines))


def _mend_tag(
    layout: Layout, catalog: _catalog.Catalog, tag: str, there: set[int]
) -> str:
    number = (catalog.tag_numbers() | catalog.lost_tags())[tag]
    if number in there:
        done = "written anew from the ledger"
        if os.path.lexists(layout.tags / tag):
            done = f"{_quarantine(layout, layout.tags / tag)} and {done}"
        _atomic.replace(layout.tags / tag, _tags.record(number))
        return done
    event = ledger.TagMoved(tag, None, datetime.now(UTC))
    _atomic.append(layout.ledger, ledger.encode(event))
    (layout.tags / tag).unlink()
    _atomic.sync_directory(layout.tags)
    return "taken off"


def _rewrite_ledger(layout: Layout, store_id: str) -> None:
    """Writes the ledger anew from what can be read of it, manifests and tags.

    What this leaves out stays readable: the old ledger goes to the quarantine.
    """
    data = layout.ledger.read_bytes() if layout.ledger.exists() else b""
    old: list[ledger.Event] = []
    for line in data.splitlines():
        # `verify` counted those that cannot be read.
        with contextlib.suppress(ValueError):
            old.append(ledger.decode(line))
    there = _committed(layout, store_id)
    names = {(e.version.name, e.version.created) for e in there.values()}
    events = [event for event in old if not _contradicts(event, there, names)]
    known = {e.version.number: e for e in events if isinstance(e, ledger.Committed)}
    events += [event for n, event in there.items() if known.get(n) != event]
    tagged = {e.tag: e.number for e in events if isinstance(e, ledger.TagMoved)}
    events += [
        ledger.TagMoved(tag, number, datetime.now(UTC))
        for tag, number in _tags.read(layout).items()
        if number is not None and tagged.get(tag) != number
    ]
    new = b"".join(map(ledger.encode, events))
    if not set(data.splitlines()) <= set(new.splitlines()):
        _atomic.write_new(_place_in_quarantine(layout, layout.ledger.name), data)
        _atomic.sync_directory(layout.quarantine)
    _atomic.replace(layout.ledger, new)


def _committed(layout: Layout, store_id: str) -> dict[int, ledger.Committed]:
    """Returns what the ledger must say of each version that is there, by number."""
    events = []
    for name in sorted(claiming(layout)):
        directory = layout.root / name
        try:
            version = _integrity.read_manifest(directory, store_id).version
            crc32 = _integrity.manifest_crc32(directory)
        except (OSError, CheckpointError):
            continue  # the report tells of it
        events.append(ledger.Committed(version, crc32))
    return {e.version.number: e for e in sorted(events, key=lambda e: e.version.number)}


def _contradicts(
    event: ledger.Event,
    there: Mapping[int, ledger.Committed],
    names: Collection[tuple[str, datetime]],
) -> bool:
    """Returns whether a line tells of a version that is there what it is not."""
    if not isinstance(event, ledger.Committed):
        return False
    said = event.version
    truth = there.get(said.number)
    if truth is None:
        # With a damaged number it would tell of a version that never was.
        return (said.name, said.created) in names
    crc32s = (None, truth.manifest_crc32)
    return said != truth.version or event.manifest_crc32 not in crc32s
