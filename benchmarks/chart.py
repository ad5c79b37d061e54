"""Draws the results: one panel per question, one bar per contestant and backend.

Bars are ratios, so that the picture says the same on another machine. What the
project aims at is a dashed line across the bars that it is asked of.
"""

import dataclasses
from pathlib import Path

import contest
import matplotlib as mpl
from matplotlib import pyplot
from results import Results

INK, MUTED, GRID = "#1f2933", "#5b6874", "#e4e9ee"
# By backend: the bars of this package, and those of others.
COLOURS = {
    "tensorflow": ("#d9730d", "#f2c9a1"),
    "jax": ("#0b6bcb", "#a9cdf0"),
}
BAR = 0.38


@dataclasses.dataclass(frozen=True)
class Panel:
    """One question.

    Args:
        title: What the bars say.
        rows: Their label, measurement and contestant, from the top.
        size: The size of model.
        times: What they are multiples of; `{saved}` becomes the size of a save.
        log: Whether the axis is logarithmic. Defaults to `False`.
    """

    title: str
    rows: tuple[tuple[str, str, str], ...]
    size: str
    times: str
    log: bool = False


def _all(measurement: str, *contestants: str) -> tuple[tuple[str, str, str], ...]:
    return tuple((name, measurement, name) for name in contestants)


CALLBACKS = (
    contest.OURS,
    contest.OURS_FOREGROUND,
    contest.ORBAX,
    contest.ORBAX_FOREGROUND,
    contest.MODEL_CHECKPOINT,
    contest.BY_HAND,
)
PANELS = (
    Panel(
        "How long a save holds up training",
        _all("hooks", *CALLBACKS),
        "large",
        "a warm memcpy of {saved}",
        log=True,
    ),
    Panel(
        "How long until a save is done",
        _all("durable", *CALLBACKS),
        "large",
        "a raw write + fsync of {saved}",
        log=True,
    ),
    Panel(
        "Throughput back to back",
        _all("row", contest.OURS, contest.ORBAX, contest.MODEL_CHECKPOINT),
        "middle",
        "ModelCheckpoint, {saved}; more is better",
    ),
    Panel(
        "A fit that saves every epoch",
        _all("fit", contest.OURS, contest.ORBAX, contest.MODEL_CHECKPOINT),
        "quarter",
        "the fit without saving, {saved}",
    ),
    Panel(
        "Extra peak memory",
        _all(
            "memory",
            contest.OURS,
            contest.OURS_FOREGROUND,
            contest.ORBAX,
            contest.MODEL_CHECKPOINT,
        ),
        "middle",
        "the {saved} saved",
    ),
    Panel(
        "Loading, with every byte verified",
        (
            ("load_latest(dir)", "load", contest.LOAD_LATEST),
            ("… model=m, .keras", "load_keras", contest.LOAD_LATEST_INTO),
            ("… model=m, .weights.h5", "load_h5", contest.LOAD_LATEST_INTO),
        ),
        "large",
        "Keras loading it unverified, {saved}",
    ),
)
OWN = (
    contest.OURS,
    contest.OURS_FOREGROUND,
    contest.LOAD_LATEST,
    contest.LOAD_LATEST_INTO,
)


def draw(results: Results, path: Path) -> None:
    """Writes the chart as SVG; questions that were not asked are left out."""
    style = {
        "font.size": 9,
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "xtick.color": MUTED,
        "ytick.color": INK,
        # Text stays text, and the same results are the same file.
        "svg.fonttype": "none",
        "svg.hashsalt": "saving",
    }
    panels = [panel for panel in PANELS if _asked(results, panel)]
    if not panels:
        return
    with mpl.rc_context(style):
        height = (len(panels) + 1) // 2
        figure, grid = pyplot.subplots(
            height,
            2,
            figsize=(12, 0.5 + 2.9 * height),
            squeeze=False,
            layout="constrained",
        )
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw_panel(axes, results, panel)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        figure.legend(
            handles=[
                *(
                    pyplot.Rectangle((0, 0), 1, 1, color=COLOURS[name][0], label=name)
                    for name in results.backends
                ),
                pyplot.Line2D(
                    [], [], color=INK, linestyle="--", label="what we aim at"
                ),
            ],
            loc="outside upper center",
            ncols=3,
            frameon=False,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _asked(results: Results, panel: Panel) -> bool:
    return any(
        panel.size in results.sizes(backend, measurement)
        for backend in results.backends
        for _, measurement, _ in panel.rows
    )


def _draw_panel(axes: pyplot.Axes, results: Results, panel: Panel) -> None:
    drawn = [1.0]
    for row, (_, measurement, contestant) in enumerate(panel.rows):
        for place, backend in enumerate(results.backends):
            ratio = results.ratio(backend, panel.size, measurement, contestant)
            if ratio is None:
                continue
            middle = row + (place - (len(results.backends) - 1) / 2) * BAR
            colour = COLOURS[backend][0 if contestant in OWN else 1]
            axes.barh(middle, ratio, height=BAR * 0.92, color=colour)
            axes.annotate(
                f"{ratio:.3g} x",
                (ratio, middle),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
            drawn.append(ratio)
        if limit := _limit(measurement, contestant, panel.size):
            axes.vlines(limit, row - 0.5, row + 0.5, color=INK, linestyle="--")
            drawn.append(limit)
    if panel.log:
        axes.set_xscale("log")
        axes.set_xlim(min(drawn) / 2, max(drawn) * 2)
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        axes.set_xlim(0, max(drawn) * 1.15)
    axes.set_yticks(range(len(panel.rows)), [label for label, _, _ in panel.rows])
    axes.set_ylim(len(panel.rows) - 0.4, -0.6)
    for label, (_, _, contestant) in zip(
        axes.get_yticklabels(), panel.rows, strict=True
    ):
        label.set_fontweight("bold" if contestant in OWN else "normal")
    saved = max(
        results.size_bytes(backend, panel.size)
        for backend in results.backends
        if panel.size in results.sizes(backend, panel.rows[0][1])
    )
    axes.set_title(panel.title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel("times " + panel.times.format(saved=f"{saved / 1e6:.3g} MB"))
    axes.xaxis.grid(True, color=GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _limit(measurement: str, contestant: str, size: str) -> float | None:
    """Returns the target for a bar, if there is one in multiples of the same."""
    wanted = (measurement, contestant, contest.MEASUREMENTS[measurement].reference)
    for target in contest.TARGETS:
        asked = (target.measurement, target.contestant, target.reference)
        if asked == wanted and size in target.sizes:
            return target.limit
    return None
