"""The selector that goes by a metric; where it comes from is `selectors.py`."""

import collections
import dataclasses
from collections.abc import Iterable, Sequence

from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt._ranking import (
    best_first,
    check_criterion,
    recorded_mode,
    recorded_monitor,
    score,
)
from keras_versioned_ckpt._selecting import Selector, split_mode
from keras_versioned_ckpt.records import Version


@dataclasses.dataclass(frozen=True, repr=False)
class Best(Selector):
    """Selects the best version by a metric.

    Versions without a finite value of the metric are never selected, and on a
    tie the earlier version stays the better.

    Args:
        monitor: Name of the metric. By default the monitor that the newest
            version with one was saved under.
        mode: `"min"` or `"max"`. By default (also `"auto"`) the mode that the
            newest version with this monitor was saved under; `loss` and
            `val_loss` are known to be `"min"`.
        earlier: Which of the next best: 0 is the best, 1 the second best.

    Raises:
        TypeError: If `monitor` is not a string.
        ValueError: If `monitor` is empty, or `mode` is not one of these.

    Example:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import Best, Version
    >>> history = [Version(number=n, created=datetime.now(UTC), metrics={"f1": f1})
    ...            for n, f1 in [(1, 0.5), (2, 0.75), (3, 0.6)]]
    >>> Best("f1", "max").select(history).number
    2
    """

    monitor: str | None = None
    mode: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "mode", check_criterion(self.monitor, self.mode))

    def resolved(self, versions: Iterable[Version]) -> "Best":
        """Fills in the monitor and the mode from what the versions recorded.

        Args:
            versions: The versions of a store, in any order.

        Returns:
            A selector that selects the same and says by what.

        Raises:
            VersionNotFoundError: If no version has a finite value of the metric.
            ValueError: If the metric or its direction is given nowhere.

        Example:

        >>> from datetime import UTC, datetime
        >>> from keras_versioned_ckpt import Best, Version
        >>> version = Version(number=1, created=datetime.now(UTC), metrics={"f1": 0.5},
        ...                   monitor="f1", mode="max")
        >>> Best().resolved([version])
        Best('f1', 'max')
        """
        monitor, mode = self._criterion(self._ordered(versions))
        return Best(monitor, mode, earlier=self.earlier)

    def _criterion(self, ordered: Sequence[Version]) -> tuple[str, str]:
        """Returns the monitor and the mode, once both are known to mean something."""
        newest_first = ordered[::-1]
        monitor = self.monitor or recorded_monitor(newest_first)
        if monitor is None:
            raise ValueError(
                "`monitor` must be given where no version was saved under one. "
                f"Received: {self!r}. The metrics are: {_metrics(newest_first)}. "
                "Pass for example `monitor='val_loss'`."
            )
        if all(score(version, monitor) is None for version in newest_first):
            raise self._not_found(
                f"no version has a finite value of {shown(monitor)}; "
                f"the metrics are: {_metrics(ordered)}"
            )
        return monitor, self.mode or recorded_mode(newest_first, monitor)

    def _text(self) -> str:
        monitor = self.monitor or ""
        # A monitor may itself end in ":min"; then the mode is always written.
        if self.mode is not None or split_mode(monitor) != (monitor, None):
            return f"best:{monitor}:{self.mode or 'auto'}"
        return f"best:{monitor}" if monitor else "best"

    def _candidates(self, ordered: Sequence[Version]) -> tuple[Version, ...]:
        monitor, mode = self._criterion(ordered)
        ranked = best_first(ordered, monitor, mode)
        if self.earlier >= len(ranked):
            count = "1 version has" if len(ranked) == 1 else f"{len(ranked)} have"
            raise self._not_found(f"only {count} a finite value of {shown(monitor)}")
        return tuple(ranked[self.earlier :])


def _metrics(versions: Iterable[Version]) -> str:
    """Returns which metrics exist, each with the number of its finite values."""
    counts = collections.Counter(
        name
        for version in versions
        for name in version.metrics
        if score(version, name) is not None
    )
    return listing(f"{shown(name)} ({counts[name]})" for name in sorted(counts))
