"""What the name of a file says of it: a naming template, read backwards.

The template is what the file was named with, such as the `filepath` of a
`ModelCheckpoint`; its grammar is that of `_templates.py`, with any text around the
fields and with `/` between folders. What a name says is for people and may be wrong,
so that nothing is guessed here: a template that could be read in two ways is refused,
and a name that does not fit has no reading.
"""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo

from keras_versioned_ckpt import _strict_json, _templates
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt._templates import Part, refuse
from keras_versioned_ckpt._timezones import time_zone

# `ModelCheckpoint` has one field more than names of versions have.
_SAMPLES: Mapping[str, object] = {**_templates.SAMPLES, "batch": 1}
_COUNTS = ("number", "epoch", "step", "batch")
_MISSING = "nan"
# What a name of one file may be long; a longer text is none, and costs no time.
_LONGEST = 255

_SPEC = re.compile(
    r"(?:(?P<fill>.)?(?P<align>[<>=^]))?(?P<sign>[-+ ])?z?(?P<alternate>#)?0?"
    r"(?P<width>\d+)?(?P<grouping>[,_])?(?:\.(?P<precision>\d+))?(?P<type>.)?",
    re.ASCII | re.DOTALL,
)
# Every directive has a width of its own, or is letters among no letters.
_DIRECTIVES = {
    **dict.fromkeys("mdHIMSy", r"\d\d"),
    "Y": r"\d{4}",
    "j": r"\d{3}",
    "f": r"\d{6}",
    "z": r"(?:Z|[+-]\d\d:?\d\d)",
    **dict.fromkeys("aAbBp", r"[^\W\d_]+"),
    "%": "%",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """What a name says.

    Args:
        number: The number in it, as in `version_3`.
        epoch: The epoch, counted from 1, as `ModelCheckpoint` writes it.
        step: Optimizer updates.
        batch: Batches into that epoch.
        run: What tells one training from another.
        created: When, in UTC.
        metrics: The values of all other fields.
    """

    number: int | None = None
    epoch: int | None = None
    step: int | None = None
    batch: int | None = None
    run: str | None = None
    created: datetime | None = None
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)


class NameReader:
    """Reads the names that a template has made.

    Args:
        template: The template, such as `weights.{epoch:02d}-{val_loss:.2f}.keras`.
        timezone: Name of the time zone in which `{created}` was written.

    Attributes:
        fields: The names of the template's fields.
        depth: How many parts of a path, with `/` between them, the template has.

    Raises:
        TypeError: If an argument is not a string.
        ValueError: If names cannot be read back by the template, or there is no such
            time zone.

    Example:

    >>> from keras_versioned_ckpt._reading_names import NameReader
    >>> reader = NameReader("weights.{epoch:02d}-{val_loss:.2f}.keras")
    >>> found = reader.read(["weights.05--0.25.keras"])
    >>> found.epoch, found.metrics
    (5, {'val_loss': -0.25})
    """

    def __init__(self, template: str, timezone: str = "UTC") -> None:
        if not isinstance(template, str):
            raise TypeError(
                f"`template` must be a string. Received: template={template!r}"
            )
        self._template = template
        self._zone = time_zone(timezone)
        parts = _templates.parsed(template, _SAMPLES)
        _check(template, parts)
        self.fields = frozenset(part.field for part in parts if part.field)
        self._parts = parts
        self._patterns = [_pattern(template, parts, lazy) for lazy in ("", "?")]
        self.depth = 1 + sum(part.text.count("/") for part in parts)

    def read(self, path: Sequence[str]) -> Reading | None:
        """Reads the end of a path.

        Args:
            path: Its parts; the template is held against the last ones.

        Returns:
            What it says; `None` if the template has not made it.

        Raises:
            ValueError: If it can be read in two ways.
        """
        if len(path) < self.depth or any(len(part) > _LONGEST for part in path):
            return None
        text = "/".join(path[-self.depth :])
        # Of all ways to read it, one takes as much as it can for each field, and the
        # other as little: where they are the same, there is only this one.
        longest, shortest = (pattern.fullmatch(text) for pattern in self._patterns)
        if longest is None or shortest is None:
            return None
        if longest.groups() != shortest.groups():
            ways = " and ".join(
                ", ".join(
                    f"{part.field}={value}"
                    for part, value in zip(self._with_fields, m.groups(), strict=True)
                )
                for m in (longest, shortest)
            )
            refuse(
                self._template,
                f"read each name in one way, and {shown(text)} is {ways}",
                "Give the numbers their digits, as in {val_loss:.2f}, or put other "
                "text between the fields.",
            )
        return self._reading(longest.groups())

    @property
    def _with_fields(self) -> list[Part]:
        return [part for part in self._parts if part.field]

    def _reading(self, texts: Sequence[str]) -> Reading | None:
        counts: dict[str, int] = {}
        metrics: dict[str, float] = {}
        run = None
        for part, text in zip(self._with_fields, texts, strict=True):
            field = str(part.field)
            if field == "run":
                run = text if text != _MISSING else None
            elif field in _COUNTS:
                if text != _MISSING:
                    counts[field] = int(text)
            elif field != "created":
                metrics[field] = _number(text)
        try:
            created = _created(self._with_fields, texts, self._zone)
        except (ValueError, OverflowError):
            return None  # digits that are no date
        if any(value > _strict_json.MAX_INTEGER for value in counts.values()):
            return None
        return Reading(**counts, run=run, created=created, metrics=metrics)


def _check(template: str, parts: Sequence[Part]) -> None:
    """Refuses a template whose names cannot be read back."""
    fields = [part.field for part in parts if part.field]
    if not fields:
        refuse(template, "have a field", "Write for example {epoch:02d}.")
    if any("\\" in part.text for part in parts):
        refuse(template, "have / between folders, and no \\")
    for name in sorted(set(fields) - {"created"}):
        if fields.count(name) > 1:
            refuse(template, f"have the field {{{name}}} once")
    for before, after in itertools.pairwise(parts):
        if before.field and after.field and not after.text:
            refuse(
                template,
                f"have text between {{{before.field}}} and {{{after.field}}}, or "
                "nobody can tell where one ends",
            )
    texts = [part.spec for part in parts if part.field == "created"]
    if texts and not _is_date("".join(texts)):
        refuse(
            template,
            "have year, month and day in {created:…}",
            "Write for example {created:%Y%m%d-%H%M%S}.",
        )


def _is_date(directives: str) -> bool:
    found = set(re.findall("%(.)", directives))
    day = "j" in found or ("d" in found and found & set("mbB"))
    return bool(found & set("Yy") and day)


def _pattern(template: str, parts: Sequence[Part], lazy: str) -> re.Pattern[str]:
    """Returns the expression for the names of a template.

    Args:
        template: The template, for the message where there is none.
        parts: Its parts.
        lazy: What stands behind a quantifier: `"?"` for as little as can be.
    """
    texts = []
    for part in parts:
        texts.append(re.escape(part.text))
        if part.field == "created":
            texts.append(f"({_of_date(template, part.spec)})")
        elif part.field == "run":
            texts.append(rf"([^/]+{lazy})")
        elif part.field:
            texts.append(_of_number(template, part, lazy))
    return re.compile("".join(texts), re.ASCII | re.DOTALL)


def _of_date(template: str, spec: str) -> str:
    texts = []
    for literal, directive in re.findall(r"([^%]+)|%(.)", spec, re.DOTALL):
        if directive and directive not in _DIRECTIVES:
            refuse(template, f"have no %{directive}, which cannot be read back")
        texts.append(_DIRECTIVES[directive] if directive else re.escape(literal))
    return "".join(texts)


def _of_number(template: str, part: Part, lazy: str) -> str:
    spec = _SPEC.fullmatch(part.spec)
    is_count = part.field in _COUNTS
    kinds = ("d", None) if is_count else (*"eEfFgG%", None)
    if (
        spec is None
        or spec["alternate"]
        or spec["grouping"]
        or spec["type"] not in kinds
        or spec["fill"] not in (None, " ", "0")
        or (is_count and spec["precision"])
    ):
        refuse(
            template,
            f"have plain numbers, and not {{{part.field}:{part.spec}}}",
            "Write for example {epoch:02d} or {val_loss:.2f}.",
        )
    # The text may be padded with spaces; zeros are digits like others.
    space = f" *{lazy}" if spec["width"] or spec["sign"] == " " else ""
    if is_count:
        digits = rf"\d{{1,16}}{lazy}"
        return rf"{space}\+?{lazy}({digits}|{_MISSING}){space}"
    digits = _digits(spec["type"], spec["precision"], lazy)
    sign = rf"[-+]?{lazy}"
    return rf"{space}({sign}{digits}|{sign}0*{lazy}(?:nan|inf)%?{lazy}){space}"


def _digits(kind: str | None, precision: str | None, lazy: str) -> str:
    """Returns the expression for a number without its sign."""
    if kind is None or kind in "gG":
        fraction, exponent = rf"(?:\.\d+{lazy})?{lazy}", rf"(?:[eE][+-]?\d+{lazy})?"
        return rf"\d+{lazy}{fraction}{exponent}{lazy}"
    places = 6 if precision is None else int(precision)
    text = rf"\d+{lazy}" + (rf"\.\d{{{places}}}" if places else "")
    if kind in "eE":
        return text + rf"[eE][+-]\d{{2,3}}{lazy}"
    return text + ("%" if kind == "%" else "")


def _number(text: str) -> float:
    if text.endswith("%"):
        return float(text[:-1]) / 100
    # Padded with zeros, what is not finite is no number for Python.
    found = re.fullmatch(r"([-+]?)0*(nan|inf)", text)
    return float(found[1] + found[2]) if found else float(text)


def _created(
    parts: Sequence[Part], texts: Sequence[str], zone: tzinfo
) -> datetime | None:
    found = [
        (part.spec, text)
        for part, text in zip(parts, texts, strict=True)
        if part.field == "created"
    ]
    if not found:
        return None
    moment = datetime.strptime(
        "\n".join(text for _, text in found), "\n".join(spec for spec, _ in found)
    )
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
