"""Which instant a text or a `datetime` names.

Texts are read by python-dateutil; this module refuses what would have to be
guessed: a date with a part missing, a zone abbreviation such as `CST`, which
several zones share, and `UTC+3`, which is read with either sign.
"""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from dateutil import parser

from keras_versioned_ckpt._messages import shown

# A part of the date that the text lacks is filled in from these, and differs.
# Half a month lies between their days, or a lone weekday could agree in both.
_DEFAULTS = (datetime(2000, 1, 1), datetime(2003, 2, 15))

_SIGN_UNCLEAR = re.compile(r"(?:UTC|GMT|Z)\s*[+-]", re.IGNORECASE)


def instant(when: object) -> tuple[datetime, bool]:
    """Returns the instant that `when` names, and whether it was read as local time.

    Args:
        when: A text with a full date, or a `datetime`. Without a time of day
            it is the first moment of that day; without a time zone it is in the
            local one, in an hour that comes twice the first of them. A time that a
            clock change skips is the last moment before the change.

    Returns:
        An aware `datetime` with a fixed offset, and whether that offset is the
        local zone's for want of another.

    Raises:
        TypeError: If `when` is neither a string nor a `datetime`.
        ValueError: If the text is not a full date, or its zone is not clear.
    """
    if isinstance(when, str):
        moment = _parsed(when)
    elif isinstance(when, datetime):
        moment = when
    else:
        raise TypeError(
            f"`when` must be a string or a `datetime`. Received: when={when!r}"
        )
    assumed_local = moment.utcoffset() is None
    try:
        local = _local(moment) if assumed_local else moment
        # Datetimes of different zones compare unequal within the repeated hour
        # of a clock change; with fixed offsets they never do.
        fixed = local.replace(tzinfo=timezone(local.utcoffset() or timedelta()), fold=0)
        fixed.astimezone(UTC)
    except (OverflowError, OSError, ValueError) as error:
        raise ValueError(
            "`when` must lie within the years 1 to 9999 of UTC. "
            f"Received: when={shown(when)}"
        ) from error
    return fixed, assumed_local


def _local(moment: datetime) -> datetime:
    local = moment.astimezone()
    if local.replace(tzinfo=None) == moment:
        return local
    # The clock skipped this time, and `astimezone` would go back by an hour: 2:15
    # would come before 1:45. All that the clock showed before 2:15 is before the
    # change, and all after it is later; so the last moment before the change is meant.
    before, after = (
        reading.astimezone(UTC)
        for reading in sorted(moment.replace(fold=f).astimezone() for f in (0, 1))
    )
    while after - before > timedelta.resolution:
        middle = before + (after - before) / 2
        if middle.astimezone().replace(tzinfo=None) > moment:
            after = middle
        else:
            before = middle
    return before.astimezone()


def _parsed(text: str) -> datetime:
    if _SIGN_UNCLEAR.search(text):
        raise ValueError(
            "`when` must have an offset without the word before it, since some read "
            f"UTC+3 as -03:00. Received: when={shown(text)}. Write for example +03:00."
        )
    try:
        one, other = (
            parser.parse(text, default=default, tzinfos=_offset)
            for default in _DEFAULTS
        )
    except _UnclearZoneError:
        raise ValueError(
            "`when` must give its time zone as an offset or as UTC. "
            f"Received: when={shown(text)}. Write for example +01:00."
        ) from None
    except Exception as error:  # the parser documents two kinds and lets others out
        raise ValueError(
            f"`when` must be a date that can be read. Received: when={shown(text)}. "
            "Write for example '2026-11-20 18:00'."
        ) from error
    if one.date() != other.date():
        raise ValueError(
            "`when` must name a full date: year, month and day. "
            f"Received: when={shown(text)}. Write for example '2026-11-20 18:00'."
        )
    return one


class _UnclearZoneError(Exception):
    """The text names a time zone that is not UTC."""


def _offset(name: str | None, seconds: int | None) -> tzinfo | None:
    """Returns the zone that the parser found; it asks also where there is none."""
    if name is None and seconds is None:
        return None
    if seconds is None or (name is not None and seconds != 0):
        raise _UnclearZoneError
    return timezone(timedelta(seconds=seconds))
