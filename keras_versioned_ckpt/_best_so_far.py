"""Is a moment better than all that the store holds: what `save_best_only` goes by."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

from keras_versioned_ckpt import _telling
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt._ranking import best_first, improves, is_score, score
from keras_versioned_ckpt.records import Event, Version


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether `save_best_only` lets a moment be saved, and what is to be said of it.

    Args:
        is_saved: Whether it does.
        complaint: Why the moment cannot be compared; empty if it can.
        news: The line about a moment that is not saved; empty if there is none.
    """

    is_saved: bool
    complaint: str = ""
    news: str = ""


class BestSoFar:
    """The best values in a store, that of the save in flight included.

    The store is asked each time: other runs may share it.

    Args:
        versions: Returns the versions in the store.
        in_flight: Returns the metrics of the version that is being written; none if
            there is no such version.
    """

    def __init__(
        self,
        versions: Callable[[], Sequence[Version]],
        in_flight: Callable[[], Mapping[str, float]],
    ) -> None:
        self._versions = versions
        self._in_flight = in_flight

    def value(self, monitor: str, mode: str) -> float | None:
        """Returns the best value of a metric, or `None` if there is none."""
        # Looked at before the store: what lands in between is then seen there.
        in_flight = self._in_flight()
        best = None
        for version in best_first(self._versions(), monitor, mode)[:1]:
            best = score(version, monitor)
        value = in_flight.get(monitor)
        return value if is_score(value) and improves(value, best, mode) else best

    def values(
        self, monitors: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], float]:
        """Returns the best value for each metric and mode that has one."""
        return {
            (monitor, mode): value
            for monitor, mode in monitors
            if (value := self.value(monitor, mode)) is not None
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnlyBetter:
    """The rule of `save_best_only`.

    Args:
        monitor: The metric to compare by.
        mode: Its direction.
        threshold: The value to improve on while the store has no better one; `None`
            for no such value.
        best: What the store holds.
    """

    monitor: str
    mode: str
    threshold: float | None
    best: BestSoFar

    def verdict(
        self, event: Event, epoch: int, metrics: Mapping[str, float]
    ) -> Verdict:
        """Says whether a moment with these metrics is saved."""
        value = metrics.get(self.monitor)
        if event == "batch_end" or not is_score(value):
            if value is None:
                what = "is not available"
            elif is_score(value):
                what = "is a running mean in the middle of an epoch"
            else:
                what = f"is {value}"
            complaint = (
                f"{self.monitor!r} {what}, so this version cannot be compared with "
                "the best. It is saved and does not count as the best. Metrics that "
                f"exist: {listing(map(shown, metrics))}."
            )
            return Verdict(is_saved=True, complaint=complaint)
        best, threshold = self.best.value(self.monitor, self.mode), self.threshold
        if best is None or (
            threshold is not None and improves(threshold, best, self.mode)
        ):
            best = threshold
        if best is None or improves(value, best, self.mode):
            return Verdict(is_saved=True)
        news = _telling.not_improved(epoch, self.monitor, value, best)
        return Verdict(is_saved=False, news=news)
