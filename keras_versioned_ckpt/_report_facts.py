"""What the sections of a report have in common: the facts, and how they are worded."""

import collections
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal

from keras_versioned_ckpt._best import Best
from keras_versioned_ckpt._lineage import Run, resumed_from, runs
from keras_versioned_ckpt._messages import escaped, listing, shortened, shown
from keras_versioned_ckpt._ranking import is_score, recorded_monitor
from keras_versioned_ckpt.errors import VersionNotFoundError
from keras_versioned_ckpt.records import HistoryEntry, Version

#: The longest name that is shown in full, in characters.
_NAME = 60
BY_HAND = "by hand"

Role = Literal["best", "tagged", "resumed-from", "there", "gone"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What a report is about.

    Args:
        path: The store's directory.
        entries: Every version that ever was, by number.
        runs: The same by the training that saved them.
        metrics: All metrics that were ever recorded, that of the report first.
        metric: The metric that the report is about; `None` where none was recorded.
        best: The best version that is there, by this metric.
        resumed: Numbers of the versions that a training went on from.
        now: When the report was made (aware, UTC).
        checked: How many versions `verify` read; `None` if nothing was verified.
        problems: What `verify` found, one text each.
    """

    path: str
    entries: tuple[HistoryEntry, ...]
    runs: tuple[Run, ...]
    metrics: tuple[str, ...]
    metric: str | None
    best: Version | None
    resumed: frozenset[int]
    now: datetime
    checked: int | None = None
    problems: tuple[str, ...] = ()

    @functools.cached_property
    def there(self) -> tuple[Version, ...]:
        """The versions that are there, by number."""
        return tuple(entry.version for entry in self.entries if not entry.gone)

    @functools.cached_property
    def gone(self) -> int:
        """How many versions are gone."""
        return sum(entry.gone for entry in self.entries)

    @functools.cached_property
    def run_labels(self) -> Mapping[str | None, str]:
        """What each training is called in the report, by its id."""
        ids = [run.run_id for run in self.runs if run.run_id is not None]
        labels: dict[str | None, str] = {
            run_id: f"run {i}" for i, run_id in enumerate(ids, start=1)
        }
        labels[None] = BY_HAND
        return labels

    def role(self, entry: HistoryEntry) -> Role:
        """Returns the most telling thing that can be said of a version in one word."""
        if self.best is not None and entry.number == self.best.number:
            return "best"
        if entry.version.tags:
            return "tagged"
        if entry.number in self.resumed:
            return "resumed-from"
        return "gone" if entry.gone else "there"


def gathered(
    path: str,
    history: Iterable[HistoryEntry],
    *,
    now: datetime,
    metric: str | None = None,
    checked: int | None = None,
    problems: Iterable[str] = (),
) -> Facts:
    """Returns the facts of a report.

    Args:
        path: The store's directory.
        history: Every version that ever was, in any order.
        now: When the report is made (aware, UTC).
        metric: The metric that it is about. Defaults to the one that the newest run
            monitored, else to the one that most versions have.
        checked: How many versions were verified; `None` if none was.
        problems: What was found.

    Raises:
        TypeError: If `metric` is not a string.
        ValueError: If no version has a value of `metric`.
    """
    entries = tuple(sorted(history, key=lambda entry: entry.number))
    counts = _finite_values(entries)
    if metric is not None and not isinstance(metric, str):
        raise TypeError(
            f"`metric` must be the name of a metric. Received: metric={metric!r}"
        )
    if metric is not None and metric not in counts:
        raise ValueError(
            "`metric` must be a metric that some version has a finite value of. "
            f"Received: metric={shown(metric)}. "
            f"The metrics are: {listing(map(shown, sorted(counts)))}"
        )
    there = [entry.version for entry in entries if not entry.gone]
    metric = metric or _main_metric(entries, there, counts)
    names = {name for entry in entries for name in entry.version.metrics}
    return Facts(
        path=path,
        entries=entries,
        runs=runs(entries),
        metrics=tuple(sorted(names, key=lambda name: (name != metric, name))),
        metric=metric,
        best=None if metric is None else _best(there, metric),
        resumed=resumed_from(entries),
        now=now,
        checked=checked,
        problems=tuple(problems),
    )


def named(text: str) -> str:
    """Returns a name out of a store as it is shown: short, and all of it printable."""
    return shortened(escaped(shortened(text, _NAME)), _NAME)


def instant(moment: datetime) -> str:
    """Returns an instant, which is in UTC, to the second."""
    return f"{moment.date().isoformat()} {moment:%H:%M:%S}"


def plural(count: int, noun: str) -> str:
    """Returns a number and what it counts."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def number(value: float) -> str:
    """Returns a metric's value as it is shown."""
    return f"{value:.5g}"


def fate(entry: HistoryEntry) -> str:
    """Returns in words whether a version is there, and if not, when and why it went."""
    if not entry.gone:
        return "there"
    when = f" {instant(entry.removed)} UTC" if entry.removed else ""
    policy = f" by {entry.policy}" if entry.policy else ""
    return f"gone{when}: {shortened(entry.reason)}{shortened(policy)}"


def _finite_values(entries: Iterable[HistoryEntry]) -> collections.Counter[str]:
    return collections.Counter(
        name
        for entry in entries
        for name, value in entry.version.metrics.items()
        if is_score(value)
    )


def _main_metric(
    entries: Sequence[HistoryEntry],
    there: Sequence[Version],
    counts: collections.Counter[str],
) -> str | None:
    everything = [entry.version for entry in entries]
    for versions in (there, everything):
        monitor = recorded_monitor(versions[::-1])
        if monitor is not None and monitor in counts:
            return monitor
    return min(counts, key=lambda name: (-counts[name], name), default=None)


def _best(there: Sequence[Version], metric: str) -> Version | None:
    try:
        return Best(metric).select(there)
    except (VersionNotFoundError, ValueError):
        return (
            None  # no finite value is left, or nothing says which direction is better
        )
