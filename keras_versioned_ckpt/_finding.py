"""Which files and folders from elsewhere can become versions, and in which order.

A payload that is alone in its folder, as in `version_3/model.keras`, goes by the name
of the folder as well; one among others goes by its own. What is not taken is listed
with the reason.
"""

import collections
import dataclasses
import os
import re
from collections.abc import Iterable
from pathlib import Path

from keras_versioned_ckpt import _recognising
from keras_versioned_ckpt._messages import escaped, listing, shown
from keras_versioned_ckpt._ordering import Candidate, natural, ordered, stem
from keras_versioned_ckpt._reading_names import NameReader, Reading
from keras_versioned_ckpt._recognising import NotRecognisedError, Payload
from keras_versioned_ckpt._timezones import time_zone
from keras_versioned_ckpt.errors import StoreError

_VERSION = "a version of a store; to take it out, export it"

# Without a template: the epoch that a ModelCheckpoint wrote into its default form of
# name. Which metric the value behind it is, the name does not say.
_EPOCH_AND_VALUE = re.compile(
    r"(?:.*[A-Za-z])?[._-]*(\d{2,9})-(?:-?\d+\.\d+|-?inf|nan)", re.ASCII | re.DOTALL
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """A file or folder that can become a version.

    Args:
        payload: What it is.
        name: What it is called: the last two parts of its path.
        reading: What its name says.
    """

    payload: Payload
    name: str
    reading: Reading = dataclasses.field(default_factory=Reading)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Skipped:
    """Something that cannot, and why, in words."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{escaped(str(self.path))}: {self.reason}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Findings:
    """What was found.

    Args:
        found: What can become versions, in the order in which it is to.
        skipped: What cannot, by path.
        order: What the order goes by, in words; empty for less than two.
        notes: What else is to be known, in sentences.
    """

    found: tuple[Found, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    order: str = ""
    notes: tuple[str, ...] = ()


def find(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    template: str | None = None,
    *,
    timezone: str = "UTC",
) -> Findings:
    """Looks for what can become versions; reads little of it, and changes nothing.

    Args:
        sources: Files and folders. Of a folder all that lies right in it is taken, and
            what lies alone in a folder in it; with a template of more parts, also what
            lies as much deeper.
        template: What the files were named by, such as
            `weights.{epoch:02d}-{val_loss:.2f}.keras`; its fields are read out of the
            names, and what has another name is skipped. The ending may be left out, and
            `/` stands between the names of folders.
        timezone: Name of the time zone of times in names.

    Returns:
        What was found, in order, and what was skipped.

    Raises:
        TypeError: If an argument is of a wrong type.
        ValueError: If a source is not there, the template cannot be read back, or a
            name can be read in two ways.
        StoreError: If a source is a store already.
    """
    reader = None if template is None else NameReader(template, timezone)
    zone = time_zone(timezone)
    search = _Search(levels=reader.depth if reader else 1)
    for source in _paths(sources):
        search.add(source)
    alone = _alone(search.payloads)
    groups: dict[object, list[_Item]] = {}
    notes: set[str] = set()
    for payload in search.payloads.values():
        item = _Item(payload=payload, is_alone=payload.path.parent in alone)
        if reader is None:
            item.reading = _by_itself(item, notes)
        elif (reading := item.read(reader)) is not None:
            item.reading = reading
        else:
            search.skip(
                payload.path, f"its name is not of the template {shown(template)}"
            )
            continue
        groups.setdefault(item.reading.run or item.group, []).append(item)
    found: list[Found] = []
    orders: dict[str, None] = {}
    for items in groups.values():
        order, indices = ordered(
            [item.candidate for item in items],
            reader.fields if reader else frozenset(),
            zone,
        )
        if len(items) > 1:
            orders[order] = None
        found += [items[index].found for index in indices]
    if len(groups) > 1:
        by_run = any(item.reading.run for items in groups.values() for item in items)
        orders["training after training" if by_run else "folder after folder"] = None
    return Findings(
        found=tuple(found),
        skipped=tuple(sorted(search.skipped, key=lambda each: each.path)),
        order="; ".join(orders),
        notes=tuple(sorted(notes)),
    )


def _paths(sources: object) -> list[Path]:
    if isinstance(sources, (str, os.PathLike)):
        sources = [sources]
    if not isinstance(sources, Iterable):
        raise TypeError(
            f"`sources` must be paths of files and folders. Received: {sources!r}"
        )
    paths = []
    for source in sources:
        if not isinstance(source, (str, os.PathLike)):
            raise TypeError(
                "`sources` must be paths of files and folders. "
                f"Received: {source!r} (of type {type(source).__name__})"
            )
        text = os.fspath(source)
        if not isinstance(text, str) or not text or "\0" in text:
            raise ValueError(
                "`sources` must be paths of files and folders. "
                f"Received: {shown(source)}"
            )
        paths.append(Path(os.path.abspath(text)))
        if not os.path.lexists(text):
            raise ValueError(
                "`sources` must be files and folders that exist. "
                f"Received: {shown(text)}"
            )
    return paths


class _Search:
    """What has been found so far.

    Args:
        levels: How deep to look into folders.
    """

    def __init__(self, levels: int) -> None:
        self.payloads: dict[Path, Payload] = {}
        self.skipped: list[Skipped] = []
        self._levels = levels

    def skip(self, path: Path, reason: str) -> None:
        self.skipped.append(Skipped(path=path, reason=reason))

    def add(self, source: Path) -> None:
        """Looks at a source, to which the user's own link may lead."""
        try:
            path = Path(os.path.realpath(source, strict=True))
        except OSError as error:
            self.skip(source, f"it leads nowhere: {error.strerror}")
            return
        if path.is_dir() and not os.access(path, os.R_OK | os.X_OK):
            self.skip(path, "it may not be read")
            return
        if path.is_dir() and _recognising.is_store(path):
            raise StoreError(
                f"{escaped(str(source))} is a store already. Open it as one; to take "
                "a version out of it, export that. To import files of others that lie "
                "in it, pass each of them."
            )
        if self._take(path):
            return
        if _recognising.is_version(path):
            self.skip(path, _VERSION)
        else:
            self._walk(path, self._levels)

    def _take(self, path: Path) -> bool:
        """Takes or skips what stands there; `False` if it is a folder of others."""
        try:
            payload = _recognising.recognise(path)
        except NotRecognisedError as error:
            self.skip(path, str(error))
            return True
        if payload is not None:
            self.payloads.setdefault(path, payload)
        return payload is not None

    def _walk(self, folder: Path, levels: int) -> None:
        paths = self._listed(folder)
        folders = [path for path in paths if not self._take(path)]
        for path in folders:
            if _recognising.is_store(path):
                self.skip(path, "a store")
            elif _recognising.is_version(path):
                self.skip(path, _VERSION)
            elif levels > 1:
                self._walk(path, levels - 1)
            else:
                self._look_into(path)

    def _look_into(self, folder: Path) -> None:
        """Takes what lies alone in a folder."""
        inner = _Search(levels=0)
        paths = inner._listed(folder)
        for path in paths:
            if not inner._take(path):
                inner.skip(path, "a folder inside another; pass it itself")
        if len(inner.payloads) > 1:
            names = listing(shown(path.name) for path in inner.payloads)
            self.skip(folder, f"it holds several models ({names}); pass it itself")
            return
        if not inner.payloads and not inner.skipped:
            inner.skip(folder, "an empty folder")
        self.payloads.update(inner.payloads)
        self.skipped += inner.skipped

    def _listed(self, folder: Path) -> list[Path]:
        try:
            names = sorted(os.listdir(folder), key=natural)
        except OSError as error:
            self.skip(folder, f"it cannot be listed: {error.strerror}")
            return []
        return [folder / name for name in names]


@dataclasses.dataclass(kw_only=True)
class _Item:
    """A payload on its way into the order."""

    payload: Payload
    is_alone: bool
    reading: Reading = dataclasses.field(default_factory=Reading)

    @property
    def group(self) -> Path:
        """The folder that it has neighbours in."""
        folder = self.payload.path.parent
        return folder.parent if self.is_alone else folder

    @property
    def candidate(self) -> Candidate:
        """What its place among its neighbours goes by."""
        path = self.payload.path
        return Candidate(
            label=path.parent.name if self.is_alone else path.name,
            reading=self.reading,
            modified=self.payload.modified,
            path=str(path),
        )

    @property
    def found(self) -> Found:
        path = self.payload.path
        name = "/".join(filter(None, [path.parent.name, path.name]))
        return Found(payload=self.payload, name=_text(name), reading=self.reading)

    def read(self, reader: NameReader) -> Reading | None:
        """Reads the first of its names that the template has made."""
        path = self.payload.path
        names = [path.with_name(stem(path.name)), path]
        if self.is_alone:
            names.append(path.parent)
        readings = (reader.read(list(map(_text, name.parts))) for name in names)
        return next((found for found in readings if found is not None), None)


def _alone(paths: Iterable[Path]) -> set[Path]:
    """Returns the folders of which only one payload was found."""
    counts = collections.Counter(path.parent for path in paths)
    # The root of a disk has no name.
    single = {p for p, count in counts.items() if count == 1 and p.name}
    # What lies beside such folders is one of their neighbours.
    return single - {path.parent for path in single}


def _text(name: str) -> str:
    """Returns a name as text that can be recorded; not every name is UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _by_itself(item: _Item, notes: set[str]) -> Reading:
    """Reads what a name says beyond doubt without a template."""
    found = _EPOCH_AND_VALUE.fullmatch(stem(item.payload.path.name))
    if found is None:
        return Reading()
    notes.add(
        "Epochs were read out of the names, and no metrics, since the names do not say "
        "of which metric their values are. Pass a template that does, such as "
        "weights.{epoch:02d}-{val_loss:.2f}.keras."
    )
    return Reading(epoch=int(found[1]))
