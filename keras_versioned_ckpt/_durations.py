"""Durations as people write them: `"7 days"`, `"1 month 12 hours"`.

A duration is a `dateutil.relativedelta.relativedelta`, because a month and a
year have no fixed length; days and shorter parts are exact multiples of 24
hours, since versions are dated in UTC.
"""

import re
from datetime import UTC, datetime, timedelta

from dateutil.relativedelta import relativedelta

#: The instant that stands for "before everything".
EARLIEST = datetime.min.replace(tzinfo=UTC)

_UNITS = ("years", "months", "days", "hours", "minutes", "seconds", "microseconds")
_PART = re.compile(r"([0-9]{1,9})\s*([a-z]+)\s*", re.ASCII)
_ABSOLUTE = ("year", "month", "day", "weekday", "hour", "minute", "second")
# datetime ends with the year 9999, so that nothing is gained by more.
_MOST_YEARS = 9999

_ADVICE = 'Pass for example "7 days", "1 month 12 hours" or `timedelta(days=7)`.'


def as_duration(value: object) -> relativedelta:
    """Reads a duration.

    Args:
        value: Text of whole numbers and units (years, months, weeks, days,
            hours, minutes, seconds, microseconds; the plural s may be missing),
            a `relativedelta` without absolute parts, or a `timedelta`.

    Returns:
        The duration with its parts carried over, 24 hours to a day and 12
        months to a year; no part is negative and not all are zero.

    Raises:
        TypeError: If `value` is none of the three types.
        ValueError: If the text is no duration, or the duration is not positive,
            has absolute or negative parts, or is longer than 9999 years.
    """
    if isinstance(value, str):
        duration = _parsed(value)
    elif isinstance(value, timedelta):
        duration = relativedelta(
            days=value.days, seconds=value.seconds, microseconds=value.microseconds
        )
    elif isinstance(value, relativedelta):
        duration = value.normalized()
    else:
        raise TypeError(
            "`duration` must be text, a `timedelta` or a `relativedelta`. "
            f"Received: duration={value!r}. {_ADVICE}"
        )
    if duration.leapdays or any(
        getattr(duration, part) is not None for part in (*_ABSOLUTE, "microsecond")
    ):
        raise ValueError(
            "`duration` must be a length of time, without absolute parts such as "
            f"`year=` or `weekday=`. Received: duration={value!r}. {_ADVICE}"
        )
    parts = [getattr(duration, unit) for unit in _UNITS]
    if min(parts) < 0 or not any(parts):
        raise ValueError(
            "`duration` must be longer than nothing, and no part of it negative. "
            f"Received: duration={value!r}. {_ADVICE}"
        )
    if duration.years > _MOST_YEARS or duration.days > _MOST_YEARS * 366:
        raise ValueError(
            f"`duration` must not be longer than {_MOST_YEARS} years. "
            f"Received: duration={value!r}. Keep everything with `KeepAll()`."
        )
    return duration


def duration_text(duration: relativedelta) -> str:
    """Returns the one text of a duration, which `as_duration` reads back."""
    parts = [(getattr(duration, unit), unit) for unit in _UNITS]
    return " ".join(
        f"{count} {unit if count != 1 else unit.removesuffix('s')}"
        for count, unit in parts
        if count
    )


def before(moment: datetime, duration: timedelta | relativedelta) -> datetime:
    """Returns the instant `duration` before `moment`, or `EARLIEST` where none is.

    A day of the month that does not exist is replaced by the last one that
    does, as `relativedelta` has it.
    """
    try:
        return moment - duration
    except (OverflowError, ValueError):
        return EARLIEST


def _parsed(text: str) -> relativedelta:
    parts: dict[str, int] = {}
    position = 0
    stripped = text.strip().lower()
    while position < len(stripped):
        match = _PART.match(stripped, position)
        unit = f"{match[2].removesuffix('s')}s" if match else ""
        if match is None or unit not in (*_UNITS, "weeks") or unit in parts:
            parts.clear()
            break
        parts[unit] = int(match[1])
        position = match.end()
    if not parts:
        raise ValueError(
            "`duration` must be whole numbers with units, each unit once: "
            f"years, months, weeks, {', '.join(_UNITS[2:])}. "
            f"Received: duration={text!r}. {_ADVICE}"
        )
    return relativedelta(**parts)  # type: ignore[arg-type]
