"""Rules by the calendar: the newest version of each hour, day, week, month or year.

The rules are those of `restic forget --keep-daily` and `borg prune --daily`:

* A version belongs to the period in which it was created, by the clock and the
  calendar of the policy's own time zone.
* The newest version of a period, the one with the highest number, represents it.
* A rule keeps the representatives with the `n` highest numbers. Periods without
  a version do not count, so that training that was paused for a month loses
  nothing by it.
"""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from dateutil.relativedelta import relativedelta

from keras_versioned_ckpt._plan import RetentionRule, check_count
from keras_versioned_ckpt._timezones import time_zone
from keras_versioned_ckpt.records import Version

# An offset from UTC is always less than a day, whatever the zone and the year.
_LARGEST_OFFSET = timedelta(days=1)
_NOTHING = (datetime.min.replace(tzinfo=UTC),) * 2


@dataclasses.dataclass(frozen=True, repr=False)
class _KeepPeriods(RetentionRule):
    """What the five rules have in common; each says what its period is."""

    n: int
    timezone: str = dataclasses.field(default="UTC", kw_only=True)

    #: What a period is called, and how long it is by the wall clock.
    period: ClassVar[str]
    length: ClassVar[relativedelta]

    def __post_init__(self) -> None:
        check_count("n", self.n)
        time_zone(self.timezone)

    @abc.abstractmethod
    def _start(self, local: datetime) -> datetime:
        """Returns when the period of `local` starts, by the wall clock."""

    @abc.abstractmethod
    def _label(self, local: datetime) -> str:
        """Returns the text that tells the period of `local` from all others."""

    @property
    def explanation(self) -> str:
        """What the policy keeps, in English."""
        last = f"{self.n} {self.period}s" if self.n > 1 else self.period
        have = "have" if self.n > 1 else "has"
        where = "" if self.timezone == "UTC" else f" in {self.timezone}"
        return f"the newest version of each of the last {last} that {have} one{where}"

    def _wanted(self, versions: Sequence[Version]) -> Mapping[int, str]:
        newest: dict[str, int] = {}
        begin, end = _NOTHING
        for version in reversed(versions):
            # Most versions lie in the period found last. To see that in UTC is
            # many times faster than to ask the time zone.
            if begin <= version.created < end:
                continue
            local = self._local(version.created)
            label = self._label(local)
            if label not in newest:
                newest[label] = version.number
                if len(newest) == self.n:
                    break
                begin, end = self._surely_same_period(local)
        return {
            number: f"newest of {self.period} {label}"
            for label, number in newest.items()
        }

    def _local(self, created: datetime) -> datetime:
        if self.timezone == "UTC":
            return created
        try:
            return created.astimezone(time_zone(self.timezone))
        except OverflowError:
            # The first and last hours that a datetime can tell have no local
            # time everywhere. A clock that wrong costs no plan.
            return created

    def _surely_same_period(self, local: datetime) -> tuple[datetime, datetime]:
        """Returns bounds in UTC between which all is in the period of `local`.

        They may be too narrow, never too wide.
        """
        start = self._start(local).replace(tzinfo=UTC)
        margin = timedelta(0) if self.timezone == "UTC" else _LARGEST_OFFSET
        try:
            return start + margin, start + self.length - margin
        except (OverflowError, ValueError):  # the end of the year 9999
            return _NOTHING


@dataclasses.dataclass(frozen=True, repr=False)
class KeepHourly(_KeepPeriods):
    """Keeps the newest version of each of the last `n` hours that have one.

    Args:
        n: How many hours, 1 or more.
        timezone: IANA name of the time zone whose hours are meant; `"UTC"` by
            default.

    Raises:
        TypeError: If `n` is not an integer or `timezone` is not a string.
        ValueError: If `n` is below 1 or there is no such time zone.

    Example:

    The hour that a clock change repeats counts as two, told apart by their
    offset from UTC. In Berlin on 2026-10-25 the clock goes back from 3:00 to
    2:00, which is at 1:00 in UTC:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepHourly, Version
    >>> night = [Version(number=1, created=datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ...          Version(number=2, created=datetime(2026, 10, 25, 1, 30, tzinfo=UTC))]
    >>> plan = KeepHourly(5, timezone="Europe/Berlin").plan(night)
    >>> [reason.split(" (")[0] for (reason,) in plan.reasons.values()]
    ['kept: newest of hour 2026-10-25 02:00+02:00', 'kept: newest of hour 2026-10-25 02:00+01:00']
    """  # noqa: E501

    period = "hour"
    length = relativedelta(hours=1)

    def _start(self, local: datetime) -> datetime:
        return local.replace(minute=0, second=0, microsecond=0)

    def _label(self, local: datetime) -> str:
        hour = local.replace(tzinfo=None).isoformat(" ", "hours")
        if self.timezone == "UTC":
            return f"{hour}:00"
        # Not the offset at the start of the hour: on Lord Howe Island the clock
        # goes back by half an hour, into the middle of the hour before.
        offset = local.isoformat(" ", "hours").removeprefix(hour)
        return f"{hour}:00{offset}"


@dataclasses.dataclass(frozen=True, repr=False)
class KeepDaily(_KeepPeriods):
    """Keeps the newest version of each of the last `n` days that have one.

    Args:
        n: How many days, 1 or more.
        timezone: IANA name of the time zone whose days are meant; `"UTC"` by
            default.

    Raises:
        TypeError: If `n` is not an integer or `timezone` is not a string.
        ValueError: If `n` is below 1 or there is no such time zone.

    Example:

    A day lasts from midnight to midnight in the policy's time zone, be it 23,
    24 or 25 hours long. On 2026-03-29 Berlin changes to summer time, and its
    day ends at 22:00 in UTC:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepDaily, Version
    >>> evening = [Version(number=n, created=datetime(2026, 3, 29, hour, tzinfo=UTC))
    ...            for n, hour in [(1, 20), (2, 21), (3, 22)]]
    >>> [v.number for v in KeepDaily(7, timezone="Europe/Berlin").plan(evening).keep]
    [2, 3]
    >>> [v.number for v in KeepDaily(7).plan(evening).keep]
    [3]

    The number says which version is the newest, also between equal instants
    and within one second, and when the clock was set back: here version 2 was
    made after version 1 and represents the day.

    >>> set_back = [Version(number=1, created=datetime(2026, 11, 20, 9, tzinfo=UTC)),
    ...             Version(number=2, created=datetime(2026, 11, 20, 8, tzinfo=UTC))]
    >>> [v.number for v in KeepDaily(7).plan(set_back).keep]
    [2]
    """

    period = "day"
    length = relativedelta(days=1)

    def _start(self, local: datetime) -> datetime:
        return local.replace(hour=0, minute=0, second=0, microsecond=0)

    def _label(self, local: datetime) -> str:
        return local.date().isoformat()


@dataclasses.dataclass(frozen=True, repr=False)
class KeepWeekly(_KeepPeriods):
    """Keeps the newest version of each of the last `n` weeks that have one.

    Weeks are those of ISO 8601: they begin on Monday, and a week belongs to the
    year in which its Thursday lies.

    Args:
        n: How many weeks, 1 or more.
        timezone: IANA name of the time zone whose weeks are meant; `"UTC"` by
            default.

    Raises:
        TypeError: If `n` is not an integer or `timezone` is not a string.
        ValueError: If `n` is below 1 or there is no such time zone.

    Example:

    2026-12-31 is a Thursday, so that its week is the 53rd of 2026 and goes on
    until Sunday, 2027-01-03. 2024-12-31 is a Tuesday; its Thursday lies in 2025,
    and so does the whole week:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepWeekly, Version
    >>> days = [(2024, 12, 31), (2025, 1, 2), (2026, 12, 31), (2027, 1, 3)]
    >>> versions = [Version(number=n, created=datetime(*day, tzinfo=UTC))
    ...             for n, day in enumerate(days, start=1)]
    >>> plan = KeepWeekly(52).plan(versions)
    >>> for version in plan.keep:
    ...     print(version.number, *plan.reasons[version.number])
    2 kept: newest of week 2025-W01 (KeepWeekly(52))
    4 kept: newest of week 2026-W53 (KeepWeekly(52))
    """

    period = "week"
    length = relativedelta(weeks=1)

    def _start(self, local: datetime) -> datetime:
        monday = local.replace(tzinfo=None) - timedelta(days=local.weekday())
        return monday.replace(hour=0, minute=0, second=0, microsecond=0)

    def _label(self, local: datetime) -> str:
        year, week, _ = local.isocalendar()
        return f"{year:04d}-W{week:02d}"


@dataclasses.dataclass(frozen=True, repr=False)
class KeepMonthly(_KeepPeriods):
    """Keeps the newest version of each of the last `n` months that have one.

    Args:
        n: How many months, 1 or more.
        timezone: IANA name of the time zone whose months are meant; `"UTC"` by
            default.

    Raises:
        TypeError: If `n` is not an integer or `timezone` is not a string.
        ValueError: If `n` is below 1 or there is no such time zone.

    Example:

    A version of February 29 is one of February like any other:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepMonthly, Version
    >>> versions = [Version(number=n, created=datetime(2028, *day, tzinfo=UTC))
    ...             for n, day in enumerate([(2, 28), (2, 29), (3, 31)], start=1)]
    >>> [v.number for v in KeepMonthly(12).plan(versions).keep]
    [2, 3]
    """

    period = "month"
    length = relativedelta(months=1)

    def _start(self, local: datetime) -> datetime:
        return datetime(local.year, local.month, 1)

    def _label(self, local: datetime) -> str:
        return f"{local.year:04d}-{local.month:02d}"


@dataclasses.dataclass(frozen=True, repr=False)
class KeepYearly(_KeepPeriods):
    """Keeps the newest version of each of the last `n` years that have one.

    Args:
        n: How many years, 1 or more.
        timezone: IANA name of the time zone whose years are meant; `"UTC"` by
            default.

    Raises:
        TypeError: If `n` is not an integer or `timezone` is not a string.
        ValueError: If `n` is below 1 or there is no such time zone.

    Example:

    A clock far ahead puts a version into a year of its own, which counts like
    any other; it ages by the number of later years, as all do:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepYearly, Version
    >>> versions = [Version(number=n, created=datetime(year, 6, 1, tzinfo=UTC))
    ...             for n, year in enumerate([2025, 2099, 2026, 2027], start=1)]
    >>> [v.number for v in KeepYearly(3).plan(versions).keep]
    [2, 3, 4]
    >>> [v.number for v in KeepYearly(2).plan(versions).keep]
    [3, 4]
    """

    period = "year"
    length = relativedelta(years=1)

    def _start(self, local: datetime) -> datetime:
        return datetime(local.year, 1, 1)

    def _label(self, local: datetime) -> str:
        return f"{local.year:04d}"
