"""The rule by a metric: the best versions, whatever their age."""

import dataclasses
import heapq
from collections.abc import Callable, Mapping, Sequence

from keras_versioned_ckpt._messages import listing
from keras_versioned_ckpt._plan import (
    RetentionPolicy,
    RetentionRule,
    check_count,
    plain,
)
from keras_versioned_ckpt._ranking import (
    check_criterion,
    is_score,
    recorded_mode,
    recorded_monitor,
)
from keras_versioned_ckpt.records import Version

_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


@dataclasses.dataclass(frozen=True, repr=False)
class KeepBest(RetentionRule):
    """Keeps the `n` best versions by a metric.

    NaN, infinities and missing values take no place among the best, and on a
    tie the earlier version stays ahead.

    Args:
        n: How many, 1 or more.
        monitor: Name of the metric. `None`, the default, is the monitor of the
            callback; without one, that of the newest version that has one.
        mode: `"min"` or `"max"`: which direction is better. `None`, the
            default, and `"auto"` take what Keras knows of the metric in the
            callback; without one, what the newest version with this monitor
            says, and `"min"` for `loss` and `val_loss`.

    Raises:
        TypeError: If `n` is not an integer, or `monitor` is not a string.
        ValueError: If `n` is below 1, `monitor` is empty, or `mode` is none of
            these.

    Example:

    Where the newest is not among the best, it is kept besides them:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepBest, Version
    >>> versions = [
    ...     Version(number=n, created=datetime(2026, 11, n, tzinfo=UTC),
    ...             metrics={"val_loss": loss, "val_f1": f1})
    ...     for n, loss, f1 in [(1, 0.5, 0.9), (2, 0.3, 0.7), (3, 0.4, 0.6),
    ...                         (4, float("nan"), 0.5)]
    ... ]
    >>> [version.number for version in KeepBest(2, "val_loss").plan(versions).keep]
    [2, 3, 4]

    Several metrics at once:

    >>> policy = KeepBest(1, "val_loss") | KeepBest(1, "val_f1", "max")
    >>> [version.number for version in policy.plan(versions).keep]
    [1, 2, 4]
    """

    n: int
    monitor: str | None = None
    mode: str | None = None

    def __post_init__(self) -> None:
        check_count("n", self.n)
        object.__setattr__(self, "mode", check_criterion(self.monitor, self.mode))

    @property
    def explanation(self) -> str:
        """What the policy keeps, in English."""
        best = f"the {self.n} best" if self.n > 1 else "the best"
        direction = f" ({self.mode})" if self.mode else ""
        return f"{best} by {self.monitor or 'the monitored metric'}{direction}"

    @property
    def monitors(self) -> frozenset[str]:
        """The metric, if it is given."""
        return frozenset({self.monitor}) if self.monitor else frozenset()

    def resolved(self, monitor: str, mode_of: Callable[[str], str]) -> RetentionPolicy:
        """Fills in what is missing; see `RetentionPolicy.resolved`."""
        monitor = self.monitor or monitor
        return KeepBest(self.n, monitor, self.mode or mode_of(monitor))

    def _wanted(self, versions: Sequence[Version]) -> Mapping[int, str]:
        monitor = self.monitor or recorded_monitor(reversed(versions))
        if monitor is None:
            if names := {plain(name) for v in versions for name in v.metrics}:
                raise ValueError(
                    "`monitor` must be given where no version names one. "
                    "Received: monitor=None. "
                    f"Metrics that exist: {listing(sorted(names))}."
                )
            return {}
        # `score`, written out: one call less for every version of a store.
        scores = {
            version.number: value
            for version in versions
            if version.batch is None and is_score(value := version.metrics.get(monitor))
        }
        if not scores:
            return {}
        mode = self.mode or recorded_mode(reversed(versions), monitor)
        # Both keep the order of equal values, which is that of the numbers.
        first = heapq.nsmallest if mode == "min" else heapq.nlargest
        best = first(self.n, scores, key=scores.__getitem__)
        return {
            number: f"{_nth_best(rank)} {plain(monitor)} {scores[number]:.6g}"
            for rank, number in enumerate(best, start=1)
        }


def _nth_best(rank: int) -> str:
    """Returns "best", "2nd best", "3rd best", "4th best" …"""
    if rank == 1:
        return "best"
    ending = "th" if rank % 100 in (11, 12, 13) else _ENDINGS.get(rank % 10, "th")
    return f"{rank}{ending} best"
