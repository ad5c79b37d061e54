"""A metric over the trainings of a store, as Matplotlib has it to draw."""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import pytest
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.colors import same_color
from matplotlib.lines import Line2D

from keras_versioned_ckpt import KeepLast
from keras_versioned_ckpt._plotting import MOST_RUNS, draw
from keras_versioned_ckpt.records import HistoryEntry, Version

from .factories import START
from .stores import new_store, run, save

Points = list[tuple[float, float]]

# As mathematics or TeX these are something else, or an error.
HOSTILE = ["_a", "$x$", r"$\frac{$", "a\nb\u202e", r"\input{x}"]


@pytest.fixture(autouse=True)
def _no_figure_is_left_open() -> Iterator[None]:
    """Closes what a test drew."""
    yield
    pyplot.close("all")


def entry(
    number: int, value: float | None = None, *, gone: bool = False, **facts: Any
) -> HistoryEntry:
    """Returns a version of run a at the end of the epoch of its number."""
    known = {
        "epoch": number,
        "step": 10 * number,
        "metrics": {} if value is None else {"acc": value},
        "run_id": "a",
        "monitor": "acc",
        "mode": "max",
    }
    version = Version(number=number, created=START, **{**known, **facts})
    return HistoryEntry(version=version, reason="removed: it went" if gone else "")


def points(line: Line2D) -> Points:
    """Returns where the marks of a line are."""
    return list(zip(*map(list, line.get_data()), strict=True))


def lines(ax: Axes) -> list[Points]:
    """Returns the lines that join versions."""
    return [points(line) for line in ax.lines if line.get_linestyle() == "-"]


def marks(ax: Axes, marker: str, *, hollow: bool = False) -> Points:
    """Returns where there are marks of a kind, filled or not."""
    found = []
    for line in ax.lines:
        fill = line.get_markerfacecolor()
        empty = fill == "none" or same_color(fill, ax.get_facecolor())
        if line.get_marker() == marker and empty == hollow:
            found += points(line)
    return sorted(found)


def rings(ax: Axes) -> Points:
    """Returns where there is a ring around a mark."""
    return [
        p
        for line in ax.lines
        if line.get_fillstyle() == "none" and line.get_marker() == "o"
        for p in points(line)
    ]


def arrows(ax: Axes) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Returns from where to where arrows lead."""
    return [
        (note.xyann, note.xy)
        for note in ax.texts
        if note.arrow_patch is not None  # type: ignore[attr-defined]
    ]


def legend(ax: Axes) -> list[str]:
    """Returns what the legend says."""
    found = ax.get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def drawn(ax: Axes) -> None:
    """Draws, so that what Matplotlib refuses or warns of comes out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ax.figure.canvas.draw()


def test_a_training_is_a_line_with_what_became_of_its_versions() -> None:
    """Those that are there are filled, those that are gone hollow; one is the best."""
    ax = draw([entry(1, 0.5, gone=True), entry(2, 0.75), entry(3, 0.625)])
    assert lines(ax) == [[(1, 0.5), (2, 0.75), (3, 0.625)]]
    assert marks(ax, "o") == [(2, 0.75), (3, 0.625)]
    assert marks(ax, "o", hollow=True) == [(1, 0.5)]
    assert marks(ax, "*") == [(2, 0.75)]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "acc")
    assert legend(ax) == ["run 1", "kept", "removed", "best"]
    drawn(ax)


def test_the_best_is_one_that_can_be_loaded() -> None:
    """Not a better one that is gone, and not one from within an epoch."""
    ax = draw(
        [entry(1, 0.875, gone=True), entry(2, 0.5), entry(3, 0.75, batch=4, step=34)]
    )
    assert marks(ax, "*") == [(20, 0.5)]


def test_no_version_is_the_best_where_nobody_knows_the_direction() -> None:
    """A metric that was given by hand has none."""
    ax = draw([entry(1, 0.5, monitor=None, mode=None)], "acc")
    assert marks(ax, "*") == []
    assert legend(ax) == ["run 1", "kept"]


def test_a_training_that_went_on_has_an_arrow_from_where() -> None:
    """The version that it went on from has a ring, once for all that did."""
    history = [
        *(entry(1, 0.5), entry(2, 0.75)),
        entry(3, 0.625, run_id="b", parent=1, epoch=2),
        entry(4, 0.875, run_id="b", parent=3, epoch=3),
        entry(5, 0.25, run_id="c", parent=1, epoch=2),
    ]
    ax = draw(history)
    assert lines(ax) == [[(1, 0.5), (2, 0.75)], [(2, 0.625), (3, 0.875)], [(2, 0.25)]]
    assert rings(ax) == [(1, 0.5)]
    assert arrows(ax) == [((1, 0.5), (2, 0.625)), ((1, 0.5), (2, 0.25))]
    assert legend(ax) == ["run 1", "run 2", "run 3", "kept", "best", "resumed from"]
    drawn(ax)


def test_a_training_that_went_on_from_a_version_without_the_metric() -> None:
    """There is no place for a ring; the arrow leads from the last version before."""
    history = [
        *(entry(1, 0.5), entry(2), entry(3, 0.25)),
        entry(4, 0.75, run_id="b", parent=2),
        # One that is not in this store, as after a copy of some versions.
        entry(5, 0.75, run_id="c", parent=99),
    ]
    ax = draw(history)
    assert (rings(ax), arrows(ax)) == ([], [((1, 0.5), (4, 0.75))])
    assert legend(ax)[-1] == "resumed from 2, 99: not drawn"


def test_a_training_without_the_metric_is_not_in_the_legend() -> None:
    """The others keep their numbers."""
    ax = draw([entry(1, run_id="a"), entry(2, 0.5, run_id="b")])
    assert legend(ax) == ["run 2", "kept", "best"]


def test_what_was_saved_by_hand_is_not_joined() -> None:
    """Such versions have nothing to do with one another."""
    ax = draw([entry(1, 0.5, run_id=None), entry(2, 0.75, run_id=None)])
    assert lines(ax) == []
    assert marks(ax, "o") == [(1, 0.5), (2, 0.75)]
    assert legend(ax) == ["saved by hand", "kept", "best"]


def test_tags_stand_by_their_versions() -> None:
    """All of one version together."""
    ax = draw([entry(1, 0.5, tags=("prod", "a")), entry(2, 0.75)])
    assert [(text.get_text(), text.xy) for text in ax.texts] == [  # type: ignore[attr-defined]
        ("a, prod", (1, 0.5))
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_counted(value: float) -> None:
    """It has no place, and is not passed over in silence."""
    ax = draw([entry(1, 0.5), entry(2, value), entry(3, 0.75)])
    assert lines(ax) == [[(1, 0.5), (3, 0.75)]]
    assert legend(ax)[-1] == "1 not finite"
    drawn(ax)


def test_nothing_is_finite() -> None:
    """The drawing is empty, and says why."""
    ax = draw([entry(1, math.nan), entry(2, math.inf)])
    assert legend(ax)[-1] == "2 not finite"
    drawn(ax)


@pytest.mark.parametrize(
    ("history", "what", "places"),
    [
        ([entry(1, 0.5), entry(2, 0.5)], "epoch", [1, 2]),
        ([entry(1, 0.5), entry(2, 0.5, epoch=1, batch=3)], "step", [10, 20]),
        ([entry(1, 0.5), entry(2, 0.5, epoch=None)], "step", [10, 20]),
        ([entry(4, 0.5, step=None), entry(7, 0.5, epoch=None)], "number", [4, 7]),
        # Of those without the metric, nothing is asked.
        ([entry(1, 0.5), entry(2, epoch=1, batch=3)], "epoch", [1]),
    ],
)
def test_what_the_horizontal_axis_counts(
    history: list[HistoryEntry], what: str, places: list[float]
) -> None:
    """The epoch where it tells versions apart, else the step, else the number."""
    ax = draw(history)
    assert ax.get_xlabel() == what
    assert [x for x, _ in lines(ax)[0]] == places


def test_the_metric_is_that_of_the_newest_training() -> None:
    """Not that of an earlier one."""
    metrics = {"acc": 0.5, "val_loss": 0.25}
    history = [
        entry(1, monitor="acc", metrics=metrics),
        entry(2, monitor="val_loss", mode="min", metrics=metrics),
    ]
    assert draw(history).get_ylabel() == "val_loss"
    assert draw(history, "acc").get_ylabel() == "acc"


@pytest.mark.parametrize(
    ("history", "metric", "error", "message"),
    [
        ([entry(1, 0.5)], "loss", ValueError, "'loss'. The metrics are: 'acc'."),
        ([], "loss", ValueError, "'loss'. The metrics are: none."),
        ([], None, ValueError, "=None. The metrics are: none."),
        ([entry(1, 0.5, monitor=None)], None, ValueError, "The metrics are: 'acc'."),
        ([entry(1, 0.5)], 3, TypeError, "Received: metric=3"),
    ],
)
def test_a_metric_that_is_not_there(
    history: list[HistoryEntry], metric: Any, error: type[Exception], message: str
) -> None:
    """The message lists those that are; no figure is left behind."""
    with pytest.raises(error) as caught:
        draw(history, metric)
    assert str(caught.value).startswith("`metric` must be ")
    assert str(caught.value).endswith(message)
    assert pyplot.get_fignums() == []


@pytest.mark.parametrize("style", ["default", "dark_background"])
@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_are_text(hostile: str, style: str) -> None:
    """Neither mathematics nor TeX, and whatever their first letter."""
    history = [
        entry(1, metrics={hostile: 0.5}, tags=(hostile,), monitor=hostile),
        entry(2, metrics={hostile: 0.5}, run_id=hostile, parent=1, monitor=hostile),
    ]
    with pyplot.style.context(style):
        ax = draw(history, hostile)
        drawn(ax)
    plain = hostile.replace("\n", "\\n").replace("\u202e", "\\u202e")
    label, (_, tag) = ax.yaxis.label, ax.texts
    for text in (label, tag):
        assert text.get_text() == plain
        assert not text.get_parse_math()
    assert "run 2" in legend(ax)
    with pyplot.rc_context({"text.usetex": True}):
        ax = draw(history, hostile)
    for text in (ax.yaxis.label, ax.texts[1]):
        assert not text.get_usetex()


def test_a_long_name_is_shortened() -> None:
    """It would leave no room for the drawing."""
    name = "m" * 1000
    ax = draw([entry(1, metrics={name: 0.5})], name)
    assert ax.get_ylabel() == 39 * "m" + "…"


def test_many_trainings_are_counted_in_the_legend() -> None:
    """A legend with all of them would cover the drawing."""
    history = [entry(n, 0.5, run_id=str(n)) for n in range(1, MOST_RUNS + 2)]
    assert legend(draw(history)) == ["11 runs", "kept", "best"]
    assert len(legend(draw(history[1:]))) == MOST_RUNS + 2


def test_it_draws_where_it_is_told_to() -> None:
    """No figure of its own is made then."""
    _, (one, other) = pyplot.subplots(1, 2)
    assert draw([entry(1, 0.5)], ax=other) is other
    assert (len(one.lines), len(other.lines)) == (0, 3)
    assert len(pyplot.get_fignums()) == 1


def test_colours_are_those_of_the_style() -> None:
    """What belongs to no training stands out on any ground."""
    for style, color in (("default", "black"), ("dark_background", "white")):
        with pyplot.style.context(style):
            ax = draw([entry(1, 0.5)])
            (star,) = [line for line in ax.lines if line.get_marker() == "*"]
        assert same_color(star.get_color(), color)


def test_a_store_draws_what_is_gone_as_well(directory: Path) -> None:
    """Out of its history."""
    store = new_store(directory)
    for epoch, loss in enumerate((0.5, 0.25, 0.125), start=1):
        save(store, loss=loss, epoch=epoch, run_id="a", monitor="val_loss", mode="min")
    store.prune(KeepLast(1))
    ax = store.plot()
    assert lines(ax) == [[(1, 0.5), (2, 0.25), (3, 0.125)]]
    assert marks(ax, "o", hollow=True) == [(1, 0.5), (2, 0.25)]
    assert ax.get_ylabel() == "val_loss"


def test_axes_are_an_argument_by_name(directory: Path) -> None:
    """And are what is returned."""
    store = new_store(directory, 0.5)
    _, ax = pyplot.subplots()
    assert store.plot("val_loss", ax=ax) is ax


def test_without_matplotlib_it_says_what_to_install(directory: Path) -> None:
    """An ImportError that names the extra."""
    new_store(directory, 0.5)
    script = """
import sys
sys.modules["matplotlib"] = None
from keras_versioned_ckpt import CheckpointStore
try:
    CheckpointStore(sys.argv[1]).plot("val_loss")
except ImportError as error:
    print(error)
"""
    done = run(script, directory)
    assert "pip install 'keras-versioned-ckpt[plot]'" in done.stdout, done.stderr
