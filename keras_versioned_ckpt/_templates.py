"""What a naming template may hold, and how one is filled in and recognised.

A template is a format string of literal text and plain fields, whose text is
that of one safe component of a path. It comes from a user, so that nothing in
it may reach into an object or ask for megabytes of padding; what is put into it
comes from training, so that nothing in that may cost a save.
"""

import functools
import math
import re
import string
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple, NoReturn

from keras_versioned_ckpt import _names
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt.records import Version

_MISSING = "nan"

_PREFIX = "v_"
# Short of what a name may have, so that the prefix and a suffix have room.
_LONGEST = _names.MAX_LENGTH - 8 - len(_PREFIX)
_LONGEST_TEXT = 80
_WIDEST = 64

_FORBIDDEN = re.compile(r"[^A-Za-z0-9._=+-]")
_DIGITS = re.compile(r"\d+")
_SUFFIX = re.compile(r"-\d+")

# The directives of Python's own documentation; what else a C library knows
# differs from one platform to the next.
_DIRECTIVE = re.compile(r"%[aAwdbBmyYHIMpfSzZjUWcxXGuV%]")
# Written with such a spec, a number is digits and nothing else.
_PLAIN_NUMBER = re.compile(r"(?:0\d*)?d?", re.ASCII)

#: A value for each field that is no metric.
SAMPLES: Mapping[str, object] = {
    "number": 1,
    "run": "run",
    "epoch": 1,
    "step": 1,
    "created": datetime(2026, 11, 20, 18, 5, 9, tzinfo=UTC),
}
_SAMPLE_METRIC = 0.25


class Part(NamedTuple):
    """A stretch of literal text and the field behind it, if there is one."""

    text: str
    field: str | None
    spec: str


def fields(template: object) -> frozenset[str]:
    """Checks a template and returns the names of its fields.

    Raises:
        TypeError: If `template` is not a string.
        ValueError: If names made from it could be unsafe, or fail to be made.
    """
    if not isinstance(template, str):
        raise TypeError(f"`template` must be a string. Received: template={template!r}")
    return frozenset(part.field for part in _parts(template) if part.field is not None)


def fill(template: str, version: Version, zone: tzinfo) -> str:
    """Returns a valid name for the version; never fails once `fields` took it."""
    parts = _parts(template)
    text = "".join(part.text + _written(part, version, zone) for part in parts)
    name = text[:_LONGEST]
    if name.endswith("."):
        name = name[:-1] + "-"
    return name if _names.why_not(name) is None else _PREFIX + name


def recognises(template: str, name: str) -> bool:
    """Returns whether `fill` could give `name`, perhaps with a suffix like `-2`."""
    folded = _names.fold(name)
    parts = _parts(template)
    if len(name) >= _LONGEST:  # perhaps cut, so that only its beginning is sure
        start = _names.fold(parts[0].text)
        return folded.startswith((start, _PREFIX + start))
    # Positions instead of a regular expression: several fields next to each
    # other would make one backtrack without end.
    ends = {0, len(_PREFIX)} if folded.startswith(_PREFIX) else {0}
    for part in parts:
        ends = _after(part, folded, ends)
    return any(end == len(folded) or _SUFFIX.fullmatch(folded, end) for end in ends)


def refuse(template: str, must: str, advice: str = "") -> NoReturn:
    """Raises the `ValueError` that says what a template must be."""
    message = f"`template` must {must}. Received: template={shown(template)}. {advice}"
    raise ValueError(message.rstrip())


@functools.lru_cache(maxsize=128)
def _parts(template: str) -> tuple[Part, ...]:
    """Returns the parts of a template, refusing one that is not safe."""
    parts = parsed(template, SAMPLES)
    for part in parts:
        _check_text(template, part.text)
    _check_ends(template, parts)
    return parts


def parsed(template: str, samples: Mapping[str, object]) -> tuple[Part, ...]:
    """Returns the parts of a format string, whatever the text around its fields.

    Args:
        template: The format string.
        samples: A value for each field that is no metric, to try its spec on.

    Raises:
        ValueError: If it is none, or a field is not a plain one, or its spec not fit.
    """
    try:
        found = list(string.Formatter().parse(template))
    except ValueError as error:
        refuse(template, f"be a format string, and it is not: {error}")
    for _, field, spec, conversion in found:
        if field is not None:
            _check_field(template, field, spec or "", conversion)
            _check_spec(template, field, spec or "", samples)
    return tuple(Part(text, field, spec or "") for text, field, spec, _ in found)


def _check_text(template: str, text: str) -> None:
    if "/" in text or "\\" in text:
        refuse(template, "be one component of a path, without / and \\")
    if _FORBIDDEN.search(text):
        refuse(template, "hold only ASCII letters, digits and . _ = + - around fields")
    if ".." in text:
        refuse(template, "not hold two dots in a row")


def _check_ends(template: str, parts: tuple[Part, ...]) -> None:
    if not parts:
        refuse(template, "not be empty")
    if parts[0].text and _names.why_not(parts[0].text[0]):
        refuse(template, "begin with a letter, a digit or a field")
    if parts[-1].field is None and parts[-1].text.endswith("."):
        refuse(template, "not end with a dot")
    if sum(len(part.text) for part in parts) > _LONGEST_TEXT:
        refuse(template, f"have at most {_LONGEST_TEXT} characters beside its fields")


def _check_field(template: str, field: str, spec: str, conversion: str | None) -> None:
    if conversion is not None:
        refuse(template, "have plain fields, without a conversion such as !r")
    if "{" in spec or "}" in spec:
        refuse(template, "have plain fields, without one inside another")
    if not field or field.isdigit():
        refuse(template, "name its fields", "Write for example {number}.")
    if any(character in field for character in ".[]"):
        refuse(template, "have plain fields, without attributes or indices")
    if field != field.strip():
        refuse(template, "have no spaces around the names of its fields")
    if field == "created":
        if "%" in _DIRECTIVE.sub("", spec):
            refuse(
                template,
                "use the directives that `datetime.strftime` documents",
                "Write for example {created:%Y%m%d}.",
            )
    elif any(len(run) > 4 or int(run) > _WIDEST for run in _DIGITS.findall(spec)):
        refuse(template, f"have no width or precision above {_WIDEST}")


def _check_spec(
    template: str, field: str, spec: str, samples: Mapping[str, object]
) -> None:
    try:
        format(samples.get(field, _SAMPLE_METRIC), spec)
    except (ValueError, TypeError, OverflowError) as error:
        refuse(template, f"have specs that fit, and that of {{{field}}} not: {error}")


def _written(part: Part, version: Version, zone: tzinfo) -> str:
    """Returns the field behind the part as text that a name can hold."""
    if part.field is None:
        return ""
    value = _value(part.field, version, zone)
    if value is None:
        return _MISSING
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # a spec would pad it: 00000nan
    try:
        text = format(value, part.spec)
    except (ValueError, TypeError, OverflowError):
        return _MISSING
    return _FORBIDDEN.sub("-", text) or _MISSING


def _value(field: str, version: Version, zone: tzinfo) -> object:
    if field == "created":
        try:
            return version.created.astimezone(zone)
        except OverflowError:  # in the first or last hours that a datetime knows
            return version.created
    if field == "run":
        return version.run_id
    if field in SAMPLES:
        return getattr(version, field)
    try:
        return float(version.metrics[field])
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _after(part: Part, folded: str, starts: set[int]) -> set[int]:
    """Returns where the part can end in `folded` if it begins at one of `starts`."""
    text = _names.fold(part.text)
    ends = {start + len(text) for start in starts if folded.startswith(text, start)}
    if part.field is None or not ends:
        return ends
    if part.field == "number" and _PLAIN_NUMBER.fullmatch(part.spec):
        return {
            position
            for end in ends
            if (digits := _DIGITS.match(folded, end))
            for position in range(end + 1, digits.end() + 1)
        }
    return set(range(min(ends) + 1, len(folded) + 1))
