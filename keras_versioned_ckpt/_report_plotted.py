"""What of a metric a report draws: which versions, and over what."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterator, Sequence

from keras_versioned_ckpt._lineage import Run
from keras_versioned_ckpt._ranking import is_score, score
from keras_versioned_ckpt._report_facts import Facts
from keras_versioned_ckpt.records import HistoryEntry, Version

_Axis = tuple[str, Callable[[Version], int]]


@dataclasses.dataclass(frozen=True)
class Curve:
    """One metric: what is drawn of it, over what.

    Args:
        metric: Its name.
        axis: What it is drawn over.
        of: Gives that value for a version.
        runs: For each run, its versions with a value, divided where a value between
            is not finite.
        unplotted: The versions whose value is not finite.
        running: How many versions have only a running mean, which is not drawn.
    """

    metric: str
    axis: str
    of: Callable[[Version], int]
    runs: tuple[tuple[tuple[HistoryEntry, ...], ...], ...]
    unplotted: tuple[Version, ...]
    running: int

    @functools.cached_property
    def entries(self) -> list[HistoryEntry]:
        """All versions that are drawn, by number."""
        found = [entry for parts in self.runs for part in parts for entry in part]
        return sorted(found, key=operator.attrgetter("number"))


def curve(facts: Facts, metric: str) -> Curve | None:
    """Returns what is drawn of a metric, or `None` where it has no finite value.

    Args:
        facts: What the report is about.
        metric: Its name.
    """

    def whole(version: Version) -> bool:
        return score(version, metric) is not None

    def any_moment(version: Version) -> bool:
        return is_score(version.metrics.get(metric))

    versions = [entry.version for entry in facts.entries]
    # In the middle of an epoch metrics are running means. They are drawn only where
    # there is nothing else.
    plotted = whole if any(map(whole, versions)) else any_moment
    shown = [version for version in versions if plotted(version)]
    if not shown:
        return None
    axis, of = _axis(shown)
    return Curve(
        metric=metric,
        axis=axis,
        of=of,
        runs=tuple(tuple(_parts(run, metric, plotted)) for run in facts.runs),
        unplotted=tuple(
            version
            for version in versions
            if metric in version.metrics and not any_moment(version)
        ),
        running=sum(any_moment(v) and not plotted(v) for v in versions),
    )


def _axis(versions: Sequence[Version]) -> _Axis:
    """Returns what all these versions have, and tells those of a run apart."""
    if all(v.epoch is not None and v.batch is None for v in versions):
        return "epoch", operator.attrgetter("epoch")
    if all(v.step is not None for v in versions):
        return "step", operator.attrgetter("step")
    return "number of the version", operator.attrgetter("number")


def _parts(
    run: Run, metric: str, plotted: Callable[[Version], bool]
) -> Iterator[tuple[HistoryEntry, ...]]:
    part: list[HistoryEntry] = []
    for entry in run.entries:
        if plotted(entry.version):
            part.append(entry)
        elif part and not is_score(entry.version.metrics.get(metric, 0.0)):
            yield tuple(part)
            part = []
    if part:
        yield tuple(part)
