"""The rule by age: the versions of a length of time back from the newest."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import timedelta

from dateutil.relativedelta import relativedelta

from keras_versioned_ckpt._durations import (
    EARLIEST,
    as_duration,
    before,
    duration_text,
)
from keras_versioned_ckpt._plan import RetentionRule
from keras_versioned_ckpt.records import Version

# Months are 28 to 31 days long: of two instants less than this apart, the later
# one can be clipped to before the earlier one when months are counted back.
_LARGEST_CLIP = timedelta(days=3)


@dataclasses.dataclass(frozen=True, repr=False)
class KeepWithin(RetentionRule):
    """Keeps the versions of a length of time back from the newest version.

    Time is counted back from the newest version, not from now: a store that
    rests loses nothing. The far edge is excluded: of versions a day apart,
    `KeepWithin("7 days")` keeps seven.

    A day is 24 hours. Months and years are those of the calendar, in UTC, and a
    day that the month does not have becomes its last one, as with
    `dateutil.relativedelta`.

    Precisely, a version is kept if it lies within the duration before *every*
    version that is as new or newer by number, so that pruning after every save
    leaves what pruning once at the end leaves. With a clock that only goes
    forward that is the same, but for some hours at the end of a month, when the
    far edge would otherwise step back: a month before March 30, 12:00, is
    later than a month before March 31, 6:00.

    Args:
        duration: Text of whole numbers with units ("7 days", "1 month 12
            hours"), a `relativedelta` or a `timedelta`. The policy keeps it as
            text in its shortest form, so that "1 week" and "7 days" are equal.

    Raises:
        TypeError: If `duration` is of another type.
        ValueError: If it cannot be read or is not positive.

    Example:

    A month before March 31 would be February 31, and so it is February 28; the
    edge itself is excluded:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepWithin, Version
    >>> def kept(policy, *instants):
    ...     plan = policy.plan(
    ...         Version(number=n,
    ...                 created=datetime.fromisoformat(text).replace(tzinfo=UTC))
    ...         for n, text in enumerate(instants, start=1))
    ...     return [version.number for version in plan.keep]
    >>> month = KeepWithin("1 month")
    >>> kept(month, "2026-02-28T12:00", "2026-02-28T12:01", "2026-03-31T12:00")
    [2, 3]

    A year before February 29 is February 28:

    >>> kept(KeepWithin("1 year"), "2027-02-28", "2027-03-01", "2028-02-29")
    [2, 3]

    After a clock was set back, versions from before look young. They are kept
    until the clock has caught up:

    >>> day = KeepWithin("1 day")
    >>> kept(day, "2026-11-20", "2026-11-10", "2026-11-11")
    [1, 3]

    A version saved with a clock far ahead makes all before it old, as it did
    when it was the newest, and is itself kept until the clock gets there:

    >>> kept(day, "2026-11-20T10:00", "2099-01-01", "2026-11-20T11:00")
    [2, 3]
    """

    duration: str | timedelta | relativedelta

    def __post_init__(self) -> None:
        text = duration_text(as_duration(self.duration))
        object.__setattr__(self, "duration", text)

    @property
    def explanation(self) -> str:
        """What the policy keeps, in English."""
        return f"the versions within {self.duration} of the newest"

    def _wanted(self, versions: Sequence[Version]) -> Mapping[int, str]:
        duration = as_duration(self.duration)
        clip = _LARGEST_CLIP if duration.months or duration.years else timedelta(0)
        edge = asked_up_to = EARLIEST
        within: list[int] = []
        for version in reversed(versions):
            created = version.created
            # An earlier version has an earlier far edge, except for clipping:
            # most need not be asked for theirs.
            if created > asked_up_to:
                edge = max(edge, before(created, duration))
                asked_up_to = max(asked_up_to, before(created, clip))
            if created > edge:
                within.append(version.number)
        return dict.fromkeys(within, f"within {self.duration} of the newest")
