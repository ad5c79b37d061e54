"""Which versions to keep: the policies that `retention=` takes.

==============================================  ================================
rule                                            keeps
==============================================  ================================
`KeepAll()`                                     every version
`KeepLast(n)`                                   the newest
`KeepBest(n, monitor, mode)`                    the best by a metric
`KeepEvery(epochs=n)`, `KeepEvery(steps=n)`     those at a multiple of `n`
`KeepWithin("7 days")`                          those of the last days
`KeepHourly(n)`, `KeepDaily(n)` …               the newest of each hour, day …
`KeepTagged("prod*")`                           those with such a tag
`KeepSize("20 GB")`                             the newest that fit
==============================================  ================================

`a | b` keeps what any of them keeps. Whatever the policy, three guards stand
over it: the newest version, tagged versions, and the version a running `fit`
resumed from are never removed.

Pruning after every save leaves what pruning once at the end leaves, because
each rule is made so that a version it does not want now it will not want later.
Order is by number and never by clock, so that this holds for any clock, also
one that jumps. `KeepSize` has an exception, written at the class.
"""

import dataclasses
import fnmatch
from collections.abc import Mapping, Sequence

from keras_versioned_ckpt._by_metric import KeepBest
from keras_versioned_ckpt._calendar import (
    KeepDaily,
    KeepHourly,
    KeepMonthly,
    KeepWeekly,
    KeepYearly,
)
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt._plan import (
    KeepAll,
    KeepAny,
    Plan,
    RetentionPolicy,
    RetentionRule,
    check_count,
)
from keras_versioned_ckpt._sizes import as_bytes, size_text
from keras_versioned_ckpt._window import KeepWithin
from keras_versioned_ckpt.records import Version

__all__ = [
    "KeepAll",
    "KeepAny",
    "KeepBest",
    "KeepDaily",
    "KeepEvery",
    "KeepHourly",
    "KeepLast",
    "KeepMonthly",
    "KeepSize",
    "KeepTagged",
    "KeepWeekly",
    "KeepWithin",
    "KeepYearly",
    "Plan",
    "RetentionPolicy",
    "RetentionRule",
]


@dataclasses.dataclass(frozen=True, repr=False)
class KeepLast(RetentionRule):
    """Keeps the `n` newest versions.

    The newest is the one with the highest number, also where two versions have
    the same time, or the clock was set back between them.

    Args:
        n: How many, 1 or more.

    Raises:
        TypeError: If `n` is not an integer.
        ValueError: If `n` is below 1.

    Example:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepLast, Version
    >>> same_instant = datetime(2026, 11, 20, tzinfo=UTC)
    >>> versions = [Version(number=n, created=same_instant) for n in (3, 1, 2)]
    >>> [version.number for version in KeepLast(2).plan(versions).keep]
    [2, 3]
    """

    n: int

    def __post_init__(self) -> None:
        check_count("n", self.n)

    @property
    def explanation(self) -> str:
        """What the policy keeps, in English."""
        return f"the {self.n} newest versions" if self.n > 1 else "the newest version"

    def _wanted(self, versions: Sequence[Version]) -> Mapping[int, str]:
        why = f"one of the {self.n} newest" if self.n > 1 else "the newest"
        return dict.fromkeys([v.number for v in versions[-self.n :]], why)


@dataclasses.dataclass(frozen=True, repr=False, kw_only=True)
class KeepEvery(RetentionRule):
    """Keeps the versions at every `n`-th epoch or step.

    Args:
        epochs: Keeps versions saved at the end of an epoch whose number,
            counted from 1, is a multiple of this.
        steps: Keeps versions whose number of optimizer updates is a multiple of
            this, other than 0. Give one of the two.

    Raises:
        TypeError: If what is given is not an integer.
        ValueError: If not exactly one is given, or it is below 1.

    Example:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepEvery, Version
    >>> versions = [Version(number=n, created=datetime(2026, 11, n, tzinfo=UTC), epoch=n)
    ...             for n in range(1, 8)]
    >>> [version.number for version in KeepEvery(epochs=3).plan(versions).keep]
    [3, 6, 7]
    """  # noqa: E501

    epochs: int | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(
                "`KeepEvery` must have either `epochs` or `steps`. "
                f"Received: epochs={self.epochs!r}, steps={self.steps!r}. "
                "For both, write `KeepEvery(epochs=10) | KeepEvery(steps=1000)`."
            )
        if self.steps is None:
            check_count("epochs", self.epochs)
        else:
            check_count("steps", self.steps)

    @property
    def explanation(self) -> str:
        """What the policy keeps, in English."""
        if self.steps is not None:
            return f"the versions at a multiple of {self.steps} steps"
        return f"the versions at the end of a multiple of {self.epochs} epochs"

    def _wanted(self, versions: Sequence[Version]) -> Mapping[int, str]:
        if self.steps is not None:
            return {
                v.number: f"step {v.step}, a multiple of {self.steps}"
                for v in versions
                if v.step and v.step % self.steps == 0
            }
        every = self.epochs or 1
        return {
            v.number: f"epoch {v.epoch}, a multiple of {every}"
            for v in versions
            if v.epoch and v.epoch % every == 0 and v.batch is None
        }


@dataclasses.dataclass(frozen=True, repr=False)
class KeepTagged(RetentionRule):
    """Keeps the versions with a tag that matches a pattern.

    Every tagged version is kept anyway, by the guard; the rule says in the plan
    that it was meant.

    Args:
        pattern: A tag, in which `*` stands for any characters, `?` for one, and
            `[ab]` for one of these, as in `fnmatch.fnmatchcase`.

    Raises:
        TypeError: If `pattern` is not a string.
        ValueError: If `pattern` is empty.

    Example:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepTagged, Version
    >>> version = Version(number=1, created=datetime(2026, 11, 20, tzinfo=UTC),
    ...                   tags=("prod-eu",))
    >>> KeepTagged("prod*").plan([version]).reasons[1][0]
    "kept: tagged 'prod-eu' (KeepTagged('prod*'))"
    """

    pattern: str

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str):
            raise TypeError(
                f"`pattern` must be a string. Received: pattern={self.pattern!r}"
            )
        if not self.pattern:
            raise ValueError(
                "`pattern` must not be empty. Received: pattern=''. "
                'Pass `"*"` for any tag.'
            )

    @property
    def explanation(self) -> str:
        """What the policy keeps, in English."""
        return f"the versions tagged {self.pattern!r}"

    def _wanted(self, versions: Sequence[Version]) -> Mapping[int, str]:
        return {
            version.number: f"tagged {listing(shown(tag) for tag in tags)}"
            for version in versions
            if version.tags
            and (
                tags := [
                    t for t in version.tags if fnmatch.fnmatchcase(t, self.pattern)
                ]
            )
        }


@dataclasses.dataclass(frozen=True, repr=False)
class KeepSize(RetentionRule):
    """Keeps the newest versions whose sizes add up to no more than a limit.

    Counting starts at the newest version and ends at the first that does not
    fit; smaller ones behind it do not fill the gap. What other rules and the
    guards keep counts only where it lies before that end, so that a store may
    grow larger than the limit.

    The one exception to "pruning after every save leaves what pruning once at
    the end leaves" is here: together with other rules, and with versions of
    unequal size, pruning as you go can keep more, because a large version that
    was removed no longer stands in the way of an older one that another rule
    had kept. It never keeps less. Alone, and with equal sizes, the rule is exact.

    Args:
        limit: Text of a number and a unit, or an integer number of bytes. B, kB,
            MB, GB and TB are powers of 1000, KiB, MiB, GiB and TiB powers of
            1024. The policy keeps it as text in its shortest exact form.

    Raises:
        TypeError: If `limit` is neither text nor an integer.
        ValueError: If it cannot be read, or is less than a byte.

    Example:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepSize, Version
    >>> versions = [Version(number=n, created=datetime(2026, 11, n, tzinfo=UTC),
    ...                     size_bytes=9_000_000_000) for n in (1, 2, 3)]
    >>> [version.number for version in KeepSize("20 GB").plan(versions).keep]
    [2, 3]
    """

    limit: str | int

    def __post_init__(self) -> None:
        object.__setattr__(self, "limit", size_text(as_bytes(self.limit)))

    @property
    def explanation(self) -> str:
        """What the policy keeps, in English."""
        return f"the newest versions that fit into {self.limit}"

    def _wanted(self, versions: Sequence[Version]) -> Mapping[int, str]:
        left = as_bytes(self.limit)
        fitting: list[int] = []
        for version in reversed(versions):
            left -= version.size_bytes
            if left < 0:
                break
            fitting.append(version.number)
        return dict.fromkeys(fitting, f"the newest fit into {self.limit}")
