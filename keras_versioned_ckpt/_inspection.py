"""What is wrong with a store, and what can be put right without losing anything."""

import contextlib
import dataclasses
import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
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
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt.errors import CheckpointError, StoreError
from keras_versioned_ckpt.records import Version

Kind = Literal["version", "unreadable", "gone", "tag", "ledger", "staging", "trash"]


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be.

    Args:
        kind: `"version"` (damaged), `"unreadable"` (no permission, a failing disk,
            or a newer format), `"gone"` (a version that nobody recorded the
            removal of), `"tag"`, `"ledger"`, `"staging"` or `"trash"`.
        name: The name of the version, tag or leftover; empty for the ledger.
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
    report = _examine(layout, store_id, catalog)
    leftovers: tuple[Problem, ...] = ()
    # Where the lock cannot be had, what is left cannot be told from what is being
    # made: there is no lock yet, or it is another user's.
    with contextlib.suppress(OSError), _lock.locked(layout.lock, create=False):
        leftovers = tuple(_leftovers(layout))
    return dataclasses.replace(report, problems=report.problems + leftovers)


def repair(layout: Layout, store_id: str, catalog: _catalog.Catalog) -> Report:
    """Does what `CheckpointStore.repair` says; the caller holds the store's lock."""
    report = _examine(layout, store_id, catalog)
    found = (*report.problems, *_leftovers(layout))
    numbers = {version.name: version.number for version in catalog.versions()}
    undeleted = _removal.empty_trash(layout, store_id)
    _staging.clear_dead(layout)
    problems = []
    for problem in found:
        match problem.kind:
            case "version":
                if problem.name in numbers:
                    # Before it goes, as with every removal.
                    reason = f"removed: quarantined by repair: {problem.what}"
                    number = numbers[problem.name]
                    event = ledger.Removed(number, datetime.now(UTC), reason)
                    _atomic.append(layout.ledger, ledger.encode(event))
                done = _quarantine(layout, problem.name)
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
                done = f"stays: {why}" if why else "deleted"
            case "gone":
                done = "kept in the history"
        problems.append(dataclasses.replace(problem, done=done))
    _rewrite_ledger(layout, store_id)
    return Report(checked=report.checked, problems=tuple(problems))


def _examine(layout: Layout, store_id: str | None, catalog: _catalog.Catalog) -> Report:
    """Looks at the versions and the store's records."""
    versions = catalog.versions()
    return Report(
        checked=len(versions),
        problems=(
            *_versions(layout, store_id, versions),
            *_records(catalog, versions),
        ),
    )


def _versions(
    layout: Layout, store_id: str | None, versions: tuple[Version, ...]
) -> Iterator[Problem]:
    listed = {version.name: version for version in versions}
    for name in sorted({*listed, *_claiming(layout)}):
        directory = layout.root / name
        try:
            manifest = _integrity.read_manifest(directory, store_id)
            _integrity.check_content(directory, manifest)
        except FileNotFoundError:
            continue  # pruned by another process since the listing
        except (OSError, StoreError) as error:
            yield Problem("unreadable", name, str(error))
            continue
        except CheckpointError as error:
            yield Problem("version", name, str(error))
            continue
        if name in listed and _facts(listed[name]) != manifest.version:
            yield Problem("ledger", "", f"says other than the manifest of {name}")


def _records(
    catalog: _catalog.Catalog, versions: tuple[Version, ...]
) -> Iterator[Problem]:
    for entry in catalog.history():
        if entry.gone and entry.removed is None:
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
    if catalog.damaged_lines:
        yield Problem("ledger", "", f"{catalog.damaged_lines} line(s) cannot be read")


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


def _quarantine(layout: Layout, name: str) -> str:
    layout.quarantine.mkdir(exist_ok=True)
    target = layout.quarantine / f"{name}.{uuid.uuid4().hex[:8]}"
    _atomic.rename_new(layout.root / name, target)
    _atomic.sync_directory(layout.root)
    _atomic.sync_directory(layout.quarantine)
    return f"moved to {target.relative_to(layout.root).as_posix()}"


def _mend_tag(
    layout: Layout, catalog: _catalog.Catalog, tag: str, there: set[int]
) -> str:
    number = catalog.tag_numbers()[tag]
    if number in there:
        _atomic.replace(layout.tags / tag, _tags.record(number))
        return "written anew from the ledger"
    (layout.tags / tag).unlink()
    _atomic.sync_directory(layout.tags)
    return "taken off"


def _rewrite_ledger(layout: Layout, store_id: str) -> None:
    """Keeps every line that can be read, then adds what only the manifests know."""
    events: list[ledger.Event] = []
    if layout.ledger.exists():
        for line in layout.ledger.read_bytes().splitlines():
            try:
                events.append(ledger.decode(line))
            except ValueError:
                continue  # this is what the rewriting is for; `verify` counted it
    known = {
        event.version.number: event.version
        for event in events
        if isinstance(event, ledger.Committed)
    }
    for name in sorted(_claiming(layout)):
        try:
            version = _integrity.read_manifest(layout.root / name, store_id).version
        except (OSError, CheckpointError):
            continue  # the report tells of it
        if known.get(version.number) != version:
            events.append(ledger.Committed(version))
    _atomic.replace(layout.ledger, b"".join(map(ledger.encode, events)))
