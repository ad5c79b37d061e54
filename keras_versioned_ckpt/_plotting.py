"""A metric over the trainings of a store, drawn by Matplotlib.

What is drawn is data: no name of a metric or of a tag is taken for mathematical text or
for TeX, and none stands in the legend, which would leave some of them out.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_versioned_ckpt._lineage import Run, runs
from keras_versioned_ckpt._messages import escaped, listing, shortened, shown
from keras_versioned_ckpt._ranking import (
    best_first,
    is_score,
    recorded_mode,
    recorded_monitor,
)
from keras_versioned_ckpt.records import HistoryEntry, Version

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: Of more trainings than these, none has a place of its own in the legend.
MOST_RUNS = 10

_LONGEST = 40
# Also in a style that has all text set by TeX.
_AS_IT_IS: dict[str, Any] = {"parse_math": False, "usetex": False}

Point = tuple[float, float]


def draw(
    history: Sequence[HistoryEntry], metric: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draws a metric over all trainings of a store.

    Args:
        history: All versions that ever were, by number.
        metric: The metric. Defaults to the one that the newest training monitored.
        ax: Where to draw. Defaults to a new figure.

    Raises:
        ImportError: If Matplotlib is not there.
        TypeError: If `metric` is not a string.
        ValueError: If no version has the metric.
    """
    metric = _checked(metric, history)
    having = [entry for entry in history if metric in entry.version.metrics]
    drawn = [entry for entry in having if is_score(entry.version.metrics[metric])]
    what, places = _places([entry.version for entry in drawn])
    points = {
        entry.number: (places[entry.number], float(entry.version.metrics[metric]))
        for entry in drawn
    }
    there = [entry.version for entry in drawn if not entry.gone]

    drawing = _Drawing(_new_axes() if ax is None else ax, points)
    drawing.trainings(runs(history))
    drawing.best(_best(there, metric))
    drawing.resumptions(runs(history))
    drawing.tags(there)
    if not_finite := len(having) - len(drawn):
        drawing.note(f"{not_finite} not finite")
    return drawing.finished(what, metric)


class _Drawing:
    """A drawing in the making.

    Args:
        ax: Where to draw.
        points: Where the version of each number is. One that has no place is left out.
    """

    def __init__(self, ax: Axes, points: Mapping[int, Point]) -> None:
        from matplotlib import rcParams

        self._ax = ax
        self._points = points
        self._legend: list[Line2D] = []
        self._colors: dict[str | None, Any] = {}
        # For what belongs to no training; it goes with the style, bright or dark.
        self._neutral = rcParams["text.color"]
        self._ground = ax.get_facecolor()
        self._size = rcParams["lines.markersize"]

    def trainings(self, every: Sequence[Run]) -> None:
        """Draws a line for each training, and a mark for each of its versions."""
        many = sum(run.run_id is not None for run in every) > MOST_RUNS
        states = set()
        number = 0
        for run in every:
            by_hand = run.run_id is None
            number += not by_hand
            entries = [entry for entry in run.entries if entry.number in self._points]
            if not entries:
                continue
            line = self._plot(
                [entry.number for entry in entries],
                # What was saved by hand is no training, and goes on from nothing.
                linestyle="none" if by_hand else "-",
                label="saved by hand" if by_hand else f"run {number}",
            )
            self._colors[run.run_id] = color = line.get_color()
            for gone in {entry.gone for entry in entries}:
                numbers = [entry.number for entry in entries if entry.gone == gone]
                self._plot(numbers, **self._mark(gone), color=color)
                states.add(gone)
            if by_hand:
                self._explain(**self._mark(False), label="saved by hand", color=color)
            elif not many:
                self._legend.append(line)
        if many:
            self.note(f"{number} runs")
        for gone in sorted(states):
            label = "removed" if gone else "kept"
            self._explain(**self._mark(gone), label=label, color=self._neutral)

    def best(self, number: int | None) -> None:
        """Marks the best version, if there is one."""
        if number is not None:
            star = {"marker": "*", "linestyle": "none", "color": self._neutral}
            self._plot([number], **star, markersize=2.5 * self._size, zorder=5)
            self._explain(**star, markersize=1.5 * self._size, label="best")

    def resumptions(self, every: Sequence[Run]) -> None:
        """Marks the versions that trainings went on from, with arrows to these."""
        parents: dict[int, None] = {}
        for run in every:
            first = next((e for e in run.entries if e.number in self._points), None)
            if run.resumed_from is None or first is None:
                continue
            parents[run.resumed_from] = None
            start = self._last_drawn(run.resumed_from, every)
            if start is not None:
                self._ax.annotate(
                    "",
                    xy=self._points[first.number],
                    xytext=self._points[start],
                    arrowprops={
                        "arrowstyle": "->",
                        "linestyle": "--",
                        "color": self._colors[run.run_id],
                        "shrinkA": self._size,
                        "shrinkB": self._size / 2,
                    },
                )
        ring = {"marker": "o", "fillstyle": "none", "linestyle": "none"}
        ring["color"] = self._neutral
        if numbers := [number for number in parents if number in self._points]:
            self._plot(numbers, **ring, markersize=2 * self._size)
            size = 1.5 * self._size
            self._explain(**ring, markersize=size, label="resumed from")
        if without := [number for number in parents if number not in self._points]:
            self.note(f"resumed from {listing(without)}: not drawn")

    def tags(self, versions: Iterable[Version]) -> None:
        """Writes the tags of each version above it."""
        for version in versions:
            if version.tags:
                # Room for one at the top.
                self._ax.margins(y=0.12)
                self._ax.annotate(
                    shortened(escaped(", ".join(version.tags)), _LONGEST),
                    self._points[version.number],
                    xytext=(0, 1.5 * self._size),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    fontsize="small",
                    bbox={"color": self._ground, "alpha": 0.7, "pad": 1},
                    **_AS_IT_IS,
                )

    def note(self, text: str) -> None:
        """Has the legend say something that is not drawn."""
        self._explain(label=text, linestyle="none")

    def finished(self, what: str, metric: str) -> Axes:
        """Returns the drawing, with what its axes are and what its marks mean."""
        from matplotlib.ticker import MaxNLocator

        self._ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
        self._ax.set_xlabel(what)
        name = shortened(escaped(metric), _LONGEST)
        self._ax.set_ylabel(name, **_AS_IT_IS)
        self._ax.legend(handles=self._legend)
        return self._ax

    def _last_drawn(self, number: int, every: Sequence[Run]) -> int | None:
        """Returns the last version of a training, up to this one, that has a place."""
        for run in every:
            numbers = [entry.number for entry in run.entries]
            if number in numbers:
                before = numbers[: numbers.index(number) + 1]
                return max((n for n in before if n in self._points), default=None)
        return None

    def _plot(self, numbers: Iterable[int], **look: Any) -> Line2D:
        points = [self._points[number] for number in numbers]
        (line,) = self._ax.plot([x for x, _ in points], [y for _, y in points], **look)
        return line

    def _explain(self, **look: Any) -> None:
        from matplotlib.lines import Line2D

        self._legend.append(Line2D([], [], **look))

    def _mark(self, gone: bool) -> dict[str, Any]:
        mark = {"marker": "o", "linestyle": "none"}
        # The line is not to be seen through what is hollow.
        return {**mark, "markerfacecolor": self._ground} if gone else mark


def _new_axes() -> Axes:
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "`CheckpointStore.plot` needs Matplotlib. "
            "Run `pip install 'keras-versioned-ckpt[plot]'`."
        ) from error
    _, ax = pyplot.subplots(layout="constrained")
    return ax


def _checked(metric: object, history: Sequence[HistoryEntry]) -> str:
    """Returns the metric, if any version has it."""
    versions = [entry.version for entry in history]
    names = sorted({name for version in versions for name in version.metrics})
    exist = f"The metrics are: {listing(map(shown, names))}."
    if metric is None:
        metric = recorded_monitor(reversed(versions))
        if metric is None:
            raise ValueError(
                "`metric` must be given where no version was saved under a monitor. "
                f"Received: metric=None. {exist}"
            )
    if not isinstance(metric, str):
        raise TypeError(
            f"`metric` must be the name of a metric. Received: metric={metric!r}"
        )
    if metric not in names:
        raise ValueError(
            "`metric` must be one that a version in the store has. "
            f"Received: metric={shown(metric)}. {exist}"
        )
    return metric


def _places(versions: Sequence[Version]) -> tuple[str, Mapping[int, float]]:
    """Returns what the horizontal axis counts, and where each version is on it."""
    # Epochs do not tell apart what was saved within one.
    whole = all(version.batch is None for version in versions)
    for what in ("epoch", "step") if whole else ("step",):
        places = {v.number: getattr(v, what) for v in versions}
        if all(map(is_score, places.values())):
            return what, {number: float(place) for number, place in places.items()}
    return "number", {v.number: float(v.number) for v in versions}


def _best(versions: Sequence[Version], metric: str) -> int | None:
    """Returns the number of the best version, if which is better is known."""
    with contextlib.suppress(ValueError):
        mode = recorded_mode(reversed(versions), metric)
        for version in best_first(versions, metric, mode)[:1]:
            return version.number
    return None
