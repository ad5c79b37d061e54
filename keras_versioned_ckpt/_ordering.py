"""In which order files of one folder were made, by the best that is known of them.

That is what a template has read out of their names; else the times or the numbers in
these; else when their file system says that they were changed last.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from keras_versioned_ckpt._reading_names import Reading

_SUFFIXES = (".weights.h5", ".keras", ".hdf5", ".h5")
_TIME_STAMP = re.compile(
    r"(?<!\d)(\d{4})[-_.]?(\d\d)[-_.]?(\d\d)[-_.T ]?(\d\d)[-_.:]?(\d\d)[-_.:]?(\d\d)"
    r"(?!\d)",
    re.ASCII,
)
_DIGITS = re.compile(r"(\d+)", re.ASCII)
# Fields by which the order goes, the first that all names have a value of.
_FIELDS = (("number",), ("step",), ("epoch", "batch"), ("created",))


class Candidate(NamedTuple):
    """What is known of a file.

    Args:
        label: The name that tells it from its neighbours.
        reading: What a template has read out of its name.
        modified: When it was changed last.
        path: Where it is.
    """

    label: str
    reading: Reading
    modified: datetime
    path: str

    @property
    def last(self) -> tuple[datetime, list[Any]]:
        """What decides between those that are otherwise the same."""
        return self.modified, natural(self.path)


def ordered(
    candidates: Sequence[Candidate], fields: frozenset[str], zone: tzinfo
) -> tuple[str, list[int]]:
    """Puts neighbours in order.

    Args:
        candidates: The neighbours.
        fields: The fields of the template.
        zone: The time zone of times in names.

    Returns:
        What the order goes by, in words, and the indices of the neighbours in order.
    """
    words, keys = _keys(candidates, fields, zone)
    ends = [(key, each.last) for key, each in zip(keys, candidates, strict=True)]
    return words, sorted(range(len(ends)), key=ends.__getitem__)


def _keys(
    candidates: Sequence[Candidate], fields: frozenset[str], zone: tzinfo
) -> tuple[str, list[Any]]:
    for names in _FIELDS:
        if names[0] not in fields:
            continue
        read = [[getattr(c.reading, name) for name in names] for c in candidates]
        if all(values[0] is not None for values in read):
            used = " and ".join(f"{{{name}}}" for name in names if name in fields)
            keys = [[value or 0 for value in values] for values in read]
            return f"by {used} in their names", keys
    stamps = [_time_stamp(each.label, zone) for each in candidates]
    if None not in stamps:
        return "by the times in their names", stamps
    split = [_DIGITS.split(stem(each.label)) for each in candidates]
    if all(len(parts) > 1 for parts in split) and len({p[0] for p in split}) == 1:
        numbers = [[int(digits[:300]) for digits in parts[1::2]] for parts in split]
        return "by the numbers in their names", numbers
    return "by when they were changed last", [0] * len(candidates)


def _time_stamp(name: str, zone: tzinfo) -> datetime | None:
    for found in _TIME_STAMP.finditer(name):
        year, month, day, hour, minute, second = map(int, found.groups())
        try:
            moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
            return moment.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    return None


def stem(name: str) -> str:
    """Returns a name without the ending that says what kind of file it is."""
    for suffix in _SUFFIXES:
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def natural(text: str) -> list[Any]:
    """Returns a sort key by which `a10` comes after `a9`."""
    parts = _DIGITS.split(text)
    return [int(p[:300]) if i % 2 else p for i, p in enumerate(parts)]
