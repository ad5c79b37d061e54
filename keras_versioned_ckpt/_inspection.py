"""What is wrong with a store."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from keras_versioned_ckpt import (
    _atomic,
    _catalog,
    _integrity,
    _lock,
    _names,
    _staging,
)
from keras_versioned_ckpt import manifest as manifests
from keras_versioned_ckpt._following import NotALedgerError
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import escaped, listing, shown
from keras_versioned_ckpt.errors import CheckpointError, StoreError
from keras_versioned_ckpt.records import HistoryEntry, Version

Kind = Literal[
    "version", "unreadable", "gone", "tag", "ledger", "lock", "staging", "trash"
]

#: Is told how many bytes are read, and how many there are.
Progress = Callable[[int, int], object]

_LEFT = "left where it is"


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be.

    Args:
        kind: `"version"` (damaged), `"unreadable"` (no permission, a failing disk,
            or a newer format), `"gone"` (a version that nobody recorded the
            removal of), `"tag"`, `"ledger"`, `"lock"`, `"staging"` or `"trash"`.
        name: The name of the version, tag or leftover; empty for ledger and lock.
        what: What is wrong, in English.
        done: What `repair` did about it; empty after `verify`, but where nothing is
            to be done.

    Example:

    ```python
    damaged = [p.name for p in store.verify().problems if p.kind == "version"]
    ```
    """

    kind: Kind
    name: str
    what: str
    done: str = ""

    def __str__(self) -> str:
        about = f"{self.kind} {shown(self.name)}" if self.name else self.kind
        done = f" -> {self.done}" if self.done else ""
        return f"{about}: {escaped(self.what + done)}"


@dataclasses.dataclass(frozen=True)
class Report:
    """What `verify` or `repair` found.

    Args:
        checked: How many versions were read in full.
        problems: Everything that is not as it should be.

    Example:

    ```python
    report = store.verify()
    if not report.ok:
        print(report)
    ```
    """

    checked: int
    problems: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        if self.ok:
            return self._head
        return "\n  ".join([f"{self._head}:", *map(str, self.problems)])

    def _repr_html_(self) -> str:
        # Only a notebook needs it.
        from keras_versioned_ckpt import _html

        problems = [(p.kind, p.name, p.what, p.done) for p in self.problems]
        return _html.of_report(self._head, problems)

    @property
    def _head(self) -> str:
        versions = f"{self.checked} version{'' if self.checked == 1 else 's'}"
        if self.ok:
            return f"{versions} checked, no problem"
        return f"{versions} checked, {len(self.problems)} problem(s)"


def verify(
    layout: Layout,
    store_id: str | None,
    catalog: _catalog.Catalog,
    progress: Progress | None = None,
) -> Report:
    """Reads every file of every version; changes nothing."""
    if in_the_way := tuple(problem for problem, _ in strangers(layout)):
        # Without its records nothing can be told of the store, and with a link in
        # their place nothing is to be read.
        return Report(checked=0, problems=in_the_way)
    try:
        report = examine(layout, store_id, catalog, progress)
    except NotALedgerError as error:
        return Report(checked=0, problems=(Problem("ledger", "", str(error)),))
    left: tuple[Problem, ...] = ()
    if _atomic.is_stranger(layout.lock):
        left = (Problem("lock", "", f"{layout.lock} is not a regular file"),)
    else:
        # Where the lock cannot be had, what is left cannot be told from what is being
        # made: there is no lock yet, or it is another user's.
        with contextlib.suppress(OSError), _lock.locked(layout.lock, create=False):
            left = (*torn_line(layout), *leftovers(layout))
    return dataclasses.replace(report, problems=report.problems + left)


def examine(
    layout: Layout,
    store_id: str | None,
    catalog: _catalog.Catalog,
    progress: Progress | None = None,
) -> Report:
    """Looks at the versions and the store's records."""
    versions = catalog.versions()
    total = sum(version.size_bytes for version in versions)
    done = 0

    def seen(size_bytes: int) -> None:
        nonlocal done
        done += size_bytes
        if progress is not None:
            # A damaged version may be larger than it says.
            progress(min(done, total), total)

    return Report(
        checked=len(versions),
        problems=(
            *_versions(layout, store_id, catalog, versions, seen),
            *_clashes(catalog, versions),
            *_misnamed(layout),
            *_records(layout, catalog),
        ),
    )


def _versions(
    layout: Layout,
    store_id: str | None,
    catalog: _catalog.Catalog,
    versions: tuple[Version, ...],
    seen: Callable[[int], object],
) -> Iterator[Problem]:
    listed = {version.name: version for version in versions}
    for name in sorted({*listed, *claiming(layout)}):
        directory = layout.root / name
        try:
            manifest = _integrity.read_manifest(directory, store_id)
            _integrity.check_content(directory, manifest, seen)
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


def _clashes(
    catalog: _catalog.Catalog, versions: tuple[Version, ...]
) -> Iterator[Problem]:
    """Yields versions that have the number or, but for case, the name of another."""
    said = {v.number: catalog.said_of(v.number)[0] for v in versions}
    # First come those that the ledger knows: a later one was not committed here.
    known = [v for v in versions if (s := said[v.number]) and s.name == v.name]
    unknown = [v for v in versions if not ((s := said[v.number]) and s.name == v.name)]
    numbers: dict[int, str] = {}
    names: dict[str, str] = {}
    for version in (*known, *unknown):
        number = numbers.setdefault(version.number, version.name)
        name = names.setdefault(_names.fold(version.name), version.name)
        if number != version.name:
            yield Problem("version", version.name, f"has the same number as {number}")
        elif name != version.name:
            what = f"has the name of {name} where case does not count"
            yield Problem("version", version.name, what)


def _misnamed(layout: Layout) -> Iterator[Problem]:
    """Yields the files beside the tags that nobody can have tagged a version by."""
    folded: dict[str, str] = {}
    with contextlib.suppress(FileNotFoundError):
        for name in sorted(os.listdir(layout.tags)):
            if name.startswith("."):
                continue  # a tag in the making, or what a system keeps there
            if why := _names.why_not_tag(name):
                yield Problem("tag", name, f"cannot be a tag: it {why}", _LEFT)
            elif (other := folded.setdefault(_names.fold(name), name)) != name:
                what = f"is the tag {other} where case does not count"
                yield Problem("tag", name, what, _LEFT)


def _records(layout: Layout, catalog: _catalog.Catalog) -> Iterator[Problem]:
    for entry in catalog.history():
        if unrecorded(entry):
            yield Problem("gone", entry.name, entry.reason)
    tags = catalog.tag_numbers()
    # Listed after the tags: to read all files takes a while, in which others save.
    numbers = {version.number for version in catalog.versions()}
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
    if not layout.room.exists():
        # As out of a copy that left out what begins with a dot.
        what = (
            f"{layout.room} is missing, and with it tags and what is known to be gone"
        )
        yield Problem("ledger", "", what)
    elif len(unspoken) > 1:
        names = listing(map(shown, unspoken))
        yield Problem("ledger", "", f"has lost what it said of {names}")
    if catalog.damaged_lines:
        yield Problem("ledger", "", f"{catalog.damaged_lines} line(s) cannot be read")


def strangers(layout: Layout) -> Iterator[tuple[Problem, Path]]:
    """Yields what stands in the place of a record and is no file, with its path."""
    if _atomic.is_stranger(layout.ledger):
        yield (
            Problem("ledger", "", f"{layout.ledger} is not a regular file"),
            (layout.ledger),
        )
    names = os.listdir(layout.tags) if _atomic.is_directory(layout.tags) else []
    for name in sorted(name for name in names if _names.why_not_tag(name) is None):
        if _atomic.is_stranger(path := layout.tags / name):
            yield Problem("tag", name, f"{path} is not a regular file"), path


def torn_line(layout: Layout) -> Iterator[Problem]:
    """Tells of a last line without its end, while nobody can be writing it."""
    with contextlib.suppress(FileNotFoundError):
        if _atomic.last_byte(layout.ledger) not in (b"", b"\n"):
            yield Problem("ledger", "", "its last line is torn")


def unrecorded(entry: HistoryEntry) -> bool:
    """Returns whether a version is gone of which nobody recorded the removal."""
    return entry.gone and entry.removed is None


def leftovers(layout: Layout) -> Iterator[Problem]:
    """Yields what processes that died left; the caller holds the store's lock."""
    if layout.staging.is_dir():
        for path in _staging.dead(layout):
            yield Problem("staging", path.name, "was left by a process that died")
    if layout.trash.is_dir():
        for name in sorted(os.listdir(layout.trash)):
            yield Problem("trash", name, "was not deleted to the end")


def claiming(layout: Layout) -> Iterator[str]:
    """Yields the directories that hold a manifest, whatever it says."""
    with os.scandir(layout.root) as entries:
        folders = [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    for name in folders:
        path = layout.root / name / manifests.FILENAME
        if _names.why_not(name) is None and os.path.lexists(path):
            yield name


def _facts(version: Version) -> Version:
    """Returns the version without what its manifest does not hold."""
    return dataclasses.replace(version, path=None, tags=())
