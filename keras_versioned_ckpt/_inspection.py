"""What is wrong with a store, and what can be put right without losing anything."""

import contextlib
import dataclasses
import os
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from keras_versioned_ckpt import (
    _atomic,
    _catalog,
    _integrity,
    _lock,
    _names,
    _removal,
    _staging,
    _tags,
    ledger,
)
from keras_versioned_ckpt import manifest as manifests
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt.errors import CheckpointError, StoreError
from keras_versioned_ckpt.records import HistoryEntry, Version

Kind = Literal[
    "version", "unreadable", "gone", "tag", "ledger", "lock", "staging", "trash"
]

_GONE = "removed: by something other than this package, as repair found"


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be.

    Args:
        kind: `"version"` (damaged), `"unreadable"` (no permission, a failing disk,
            or a newer format), `"gone"` (a version that nobody recorded the
            removal of), `"tag"`, `"ledger"`, `"lock"`, `"staging"` or `"trash"`.
        name: The name of the version, tag or leftover; empty for ledger and lock.
        what: What is wrong, in English.
        done: What `repair` did about it; empty after `verify`.
    """

    kind: Kind
    name: str
    what: str
    done: str = ""

    def __str__(self) -> str:
        about = f"{self.kind} {shown(self.name)}" if self.name else self.kind
        return f"{about}: {self.what}" + (f" -> {self.done}" if self.done else "")


@dataclasses.dataclass(frozen=True)
class Report:
    """What `verify` or `repair` found.

    Args:
        checked: How many versions were read in full.
        problems: Everything that is not as it should be.
    """

    checked: int
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        versions = f"{self.checked} version{'' if self.checked == 1 else 's'}"
        if self.ok:
            return f"{versions} checked, no problem"
        head = f"{versions} checked, {len(self.problems)} problem(s):"
        return "\n  ".join([head, *map(str, self.problems)])


def verify(layout: Layout, store_id: str | None, catalog: _catalog.Catalog) -> Report:
    """Reads every file of every version; changes nothing."""
    if strangers := tuple(problem for problem, _ in _strangers(layout)):
        # Without its records nothing can be told of the store, and with a link in
        # their place nothing is to be read.
        return Report(checked=0, problems=strangers)
    report = _examine(layout, store_id, catalog)
    leftovers: tuple[Problem, ...] = ()
    if _atomic.is_stranger(layout.lock):
        leftovers = (Problem("lock", "", f"{layout.lock} is not a regular file"),)
    # Where the lock cannot be had, what is left cannot be told from what is being
    # made: there is no lock yet, or it is another user's.
    with contextlib.suppress(OSError), _lock.locked(layout.lock, create=False):
        leftovers = (*_torn_line(layout), *_leftovers(layout))
    return dataclasses.replace(report, problems=report.problems + leftovers)


def examined(layout: Layout, store_id: str, catalog: _catalog.Catalog) -> Report:
    """Finds what `repair` has to put right; the caller holds the store's lock.

    What stands in the place of a record and is no file is moved out of the way
    first, since nothing can be read through it.
    """
    aside = [
        dataclasses.replace(problem, done=_quarantine(layout, path))
        for problem, path in _strangers(layout)
    ]
    if _atomic.is_stranger(layout.ledger_index):
        # It only saves time, so `verify` is silent; nobody else would move it away.
        what = f"{layout.ledger_index} is not a regular file"
        done = _quarantine(layout, layout.ledger_index)
        aside.append(Problem("ledger", "", what, done))
    torn = tuple(_torn_line(layout))
    report = _examine(layout, store_id, catalog)
    problems = (*aside, *report.problems, *torn, *_leftovers(layout))
    return dataclasses.replace(report, problems=problems)


def repair(
    layout: Layout, store_id: str, catalog: _catalog.Catalog, found: Report
) -> Report:
    """Does what `CheckpointStore.repair` says; the caller holds the store's lock."""
    numbers = {version.name: version.number for version in catalog.versions()}
    undeleted = _removal.empty_trash(layout, store_id)
    _staging.clear_dead(layout)
    problems = []
    for problem in found.problems:
        if problem.done:
            problems.append(problem)
            continue
        match problem.kind:
            case "version":
                if problem.name in numbers:
                    # Before it goes, as with every removal.
                    reason = f"removed: quarantined by repair: {problem.what}"
                    _note_removal(layout, numbers[problem.name], reason)
                done = _quarantine(layout, layout.root / problem.name)
            case "unreadable":
                done = "left where it is"
            case "tag":
                done = _mend_tag(layout, catalog, problem.name, {*numbers.values()})
            case "ledger":
                done = "written anew from what can be read and the manifests"
            case "staging":
                done = "cleared"
            case "trash":
                why = undeleted.get(problem.name)
                done = "deleted"
                if why:
                    # Not ours to delete, and in the way of what is.
                    moved = _quarantine(layout, layout.trash / problem.name)
                    done = f"{moved}, since it cannot be deleted: {why}"
            case "gone":
                for entry in catalog.history():
                    if entry.name == problem.name and _unrecorded(entry):
                        _note_removal(layout, entry.number, _GONE)
                done = "kept in the history"
            case "lock":
                done = "left where it is"
        problems.append(dataclasses.replace(problem, done=done))
    _rewrite_ledger(layout, store_id)
    return Report(checked=found.checked, problems=tuple(problems))


def _examine(layout: Layout, store_id: str | None, catalog: _catalog.Catalog) -> Report:
    """Looks at the versions and the store's records."""
    versions = catalog.versions()
    return Report(
        checked=len(versions),
        problems=(
            *_versions(layout, store_id, catalog, versions),
            *_records(catalog, versions),
        ),
    )


def _versions(
    layout: Layout,
    store_id: str | None,
    catalog: _catalog.Catalog,
    versions: tuple[Version, ...],
) -> Iterator[Problem]:
    listed = {version.name: version for version in versions}
    for name in sorted({*listed, *_claiming(layout)}):
        directory = layout.root / name
        try:
            manifest = _integrity.read_manifest(directory, store_id)
            _integrity.check_content(directory, manifest)
            actual = _integrity.manifest_crc32(directory)
        except FileNotFoundError:
            continue  # pruned by another process since the listing
        except (OSError, StoreError) as error:
            yield Problem("unreadable", name, str(error))
            continue
        except CheckpointError as error:
            yield Problem("version", name, str(error))
            continue
        if name not in listed:
            continue
        said, crc32 = catalog.said_of(manifest.version.number)
        facts = {_facts(version) for version in (listed[name], said) if version}
        if facts != {manifest.version} or crc32 not in (None, actual):
            # Which of the two was damaged cannot be told; the files are as saved.
            yield Problem("ledger", "", f"says other than the manifest of {name}")


def _records(
    catalog: _catalog.Catalog, versions: tuple[Version, ...]
) -> Iterator[Problem]:
    for entry in catalog.history():
        if _unrecorded(entry):
            yield Problem("gone", entry.name, entry.reason)
    numbers = {version.number for version in versions}
    tags = catalog.tag_numbers()
    for tag, number in tags.items():
        if number not in numbers:
            yield Problem("tag", tag, f"is on version {number}, which is not there")
    for tag in catalog.damaged_tags():
        if tags[tag] in numbers:
            yield Problem(
                "tag", tag, f"is damaged; the ledger says version {tags[tag]}"
            )
    for tag, number in catalog.lost_tags().items():
        if number in numbers:
            yield Problem("tag", tag, f"is not there; the ledger says version {number}")
    # One of which the ledger knows that it goes may be on its way.
    unspoken = [
        version.name
        for version in catalog.unrecorded(catalog.unknown)
        if catalog.said_of(version.number)[0] is None
    ]
    # A crash right after a rename leaves one, which the next save tells the ledger of.
    if len(unspoken) > 1:
        names = listing(map(shown, unspoken))
        yield Problem("ledger", "", f"has lost what it said of {names}")
    if catalog.damaged_lines:
        yield Problem("ledger", "", f"{catalog.damaged_lines} line(s) cannot be read")


def _strangers(layout: Layout) -> Iterator[tuple[Problem, Path]]:
    """Yields what stands in the place of a record and is no file, with its path."""
    if _atomic.is_stranger(layout.ledger):
        yield (
            Problem("ledger", "", f"{layout.ledger} is not a regular file"),
            (layout.ledger),
        )
    for path in sorted(layout.tags.glob("*")):
        if _names.why_not(path.name) is None and _atomic.is_stranger(path):
            yield Problem("tag", path.name, f"{path} is not a regular file"), path


def _torn_line(layout: Layout) -> Iterator[Problem]:
    """Tells of a last line without its end, while nobody can be writing it."""
    with contextlib.suppress(FileNotFoundError):
        if not (layout.ledger.read_bytes() or b"\n").endswith(b"\n"):
            yield Problem("ledger", "", "its last line is torn")


def _unrecorded(entry: HistoryEntry) -> bool:
    return entry.gone and entry.removed is None


def _leftovers(layout: Layout) -> Iterator[Problem]:
    if layout.staging.is_dir():
        for path in _staging.dead(layout):
            yield Problem("staging", path.name, "was left by a process that died")
    if layout.trash.is_dir():
        for name in sorted(os.listdir(layout.trash)):
            yield Problem("trash", name, "was not deleted to the end")


def _claiming(layout: Layout) -> Iterator[str]:
    """Yields the directories that hold a manifest, whatever it says."""
    for path in layout.root.iterdir():
        if (
            _names.why_not(path.name) is None
            and _atomic.is_directory(path)
            and os.path.lexists(path / manifests.FILENAME)
        ):
            yield path.name


def _facts(version: Version) -> Version:
    """Returns the version without what its manifest does not hold."""
    return dataclasses.replace(version, path=None, tags=())


def _place_in_quarantine(layout: Layout, name: str) -> Path:
    if not _atomic.is_directory(layout.quarantine):
        layout.quarantine.mkdir()
    # Also where a process that was killed made it, and did not come to this.
    _atomic.sync_directory(layout.room)
    return layout.quarantine / f"{name}.{uuid.uuid4().hex[:8]}"


def _quarantine(layout: Layout, path: Path) -> str:
    target = _place_in_quarantine(layout, path.name)
    _atomic.rename_new(path, target)
    _atomic.sync_directory(path.parent)
    _atomic.sync_directory(layout.quarantine)
    return f"moved to {target.relative_to(layout.root).as_posix()}"


def _note_removal(layout: Layout, number: int, reason: str) -> None:
    event = ledger.Removed(number, datetime.now(UTC), reason)
    _atomic.append(layout.ledger, ledger.encode(event))


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
    events = [event for event in old if not _contradicts(event, there)]
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
    for name in sorted(_claiming(layout)):
        directory = layout.root / name
        try:
            version = _integrity.read_manifest(directory, store_id).version
            crc32 = _integrity.manifest_crc32(directory)
        except (OSError, CheckpointError):
            continue  # the report tells of it
        events.append(ledger.Committed(version, crc32))
    return {e.version.number: e for e in sorted(events, key=lambda e: e.version.number)}


def _contradicts(event: ledger.Event, there: Mapping[int, ledger.Committed]) -> bool:
    """Returns whether a line tells of a version that is there what it is not."""
    if not isinstance(event, ledger.Committed):
        return False
    said = event.version
    truth = there.get(said.number)
    if truth is not None:
        return said != truth.version or event.manifest_crc32 not in (
            None,
            truth.manifest_crc32,
        )
    # With a damaged number it would tell of a version that never was.
    return any(
        (said.name, said.created) == (e.version.name, e.version.created)
        for e in there.values()
    )
