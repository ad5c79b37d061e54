"""Scales, round ticks, paths and marks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt import _svg

from .pages import read

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def test_a_scale_maps_evenly() -> None:
    """From its least to its greatest value, in either direction."""
    up = _svg.Scale([0.0, 10.0], (100, 20))
    assert [up.place(value) for value in (0, 5, 10)] == [100, 60, 20]


def test_a_scale_of_one_value_has_it_in_the_middle() -> None:
    """There is no distance to divide by."""
    assert _svg.Scale([3.0], (0, 100)).place(3.0) == 50
    assert _svg.Scale([0.0], (0, 100)).place(0.0) == 50


def test_ticks_are_round() -> None:
    """1, 2 or 5 times a power of ten, within the scale."""
    assert _svg.Scale([0.0, 10.0], (0, 1)).ticks(5) == [0, 2, 4, 6, 8, 10]
    found = _svg.Scale([0.113, 0.42], (0, 1)).ticks(5)
    assert found == pytest.approx([0.2, 0.3, 0.4])
    assert _svg.Scale([1.0, 3.0], (0, 1)).ticks(20, whole=True) == [1, 2, 3]


def test_values_of_many_decades_are_on_a_logarithmic_scale() -> None:
    """Where that is asked for, and all of them are positive."""
    values = [1e-4, 1.0, 100.0]
    wide = _svg.Scale(values, (0, 60), wide=True)
    assert wide.logarithmic
    assert [wide.place(v) for v in (1e-4, 1e-1, 1e2)] == pytest.approx([0, 30, 60])
    assert wide.ticks(4) == pytest.approx([1e-4, 1e-2, 1, 100])
    assert not _svg.Scale(values, (0, 60)).logarithmic
    assert not _svg.Scale([*values, 0.0], (0, 60), wide=True).logarithmic


@given(st.lists(FINITE, min_size=1), st.booleans(), st.integers(4, 12))
def test_any_finite_values_have_places(
    values: list[float], wide: bool, count: int
) -> None:
    """And few ticks, each with a finite place: nothing overflows."""
    scale = _svg.Scale(values, (0, 300), wide=wide, margin=0.05)
    assert all(-0.5 <= scale.place(value) <= 300.5 for value in values)
    ticks = _svg.ticks_text(scale.ticks(count))
    assert len(ticks) <= 4 * count + 1
    assert all(math.isfinite(scale.place(value)) for value, _ in ticks)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.0, 0.5, 1.0], ["0.0", "0.5", "1.0"]),
        ([10000.1, 10000.2], ["10,000.1", "10,000.2"]),
        ([2000.0, 4000.0], ["2,000", "4,000"]),
        ([0.001, 0.1, 10.0], ["0.001", "0.1", "10"]),
        ([0.0001, 0.01], ["0.0001", "0.01"]),
        ([2e9, 4e9], ["2e+09", "4e+09"]),
        ([3.0], ["3"]),
    ],
)
def test_the_text_of_a_tick(values: list[float], texts: list[str]) -> None:
    """It tells it from the ones beside it, in as few digits as will do."""
    assert [words for _, words in _svg.ticks_text(values)] == texts


def test_a_path() -> None:
    """To a tenth of a pixel."""
    assert _svg.path([(0, 1.25), (10.04, 2), (3.5, 0)]) == "M0 1.2L10 2L3.5 0"
    assert _svg.stairs([(0, 1), (2, 3), (4, 0)]) == [
        (0, 1),
        (2, 1),
        (2, 3),
        (4, 3),
        (4, 0),
    ]


def test_thinned_points_look_the_same() -> None:
    """Of each column of pixels the first, lowest, highest and last one are left."""
    column = [(5.0, y) for y in (3.0, 9.0, 4.0, 5.0, 1.0, 4.0, 2.0)]
    assert _svg.thinned([(1.0, 1.0), *column, (8.0, 1.0)]) == [
        *((1.0, 1.0), (5.0, 3.0), (5.0, 9.0), (5.0, 1.0), (5.0, 2.0), (8.0, 1.0))
    ]
    many = [(i / 1000, math.sin(i)) for i in range(100_000)]
    assert len(_svg.thinned(many)) <= 4 * 101


def test_marks_differ_in_shape() -> None:
    """No two of them are told apart by colour alone."""
    shapes = ("there", "gone", "resumed-from", "tagged", "best")
    paths = [read(_svg.mark(s, 0, 0)).all("path")[0].attributes["d"] for s in shapes]
    assert len(set(paths)) == len(shapes)


def test_a_drawing_says_what_it_is() -> None:
    """To those who cannot see it: a title, a description, and the role of an image."""
    size = _svg.Frame(width=100, height=50, left=0, right=0)
    (svg,) = read(_svg.drawing("d", "Title <b>", "What is seen", size)).all("svg")
    assert svg.attributes["role"] == "img"
    assert svg.attributes["aria-labelledby"] == "d-title d-desc"
    assert svg.by_id("d-title").text == "Title <b>"
    assert svg.by_id("d-desc").text == "What is seen"


def test_words_at_the_right_edge_are_whole() -> None:
    """They are moved to the left as far as they need."""
    size = _svg.Frame(width=100, height=50, left=0, right=0)
    (label,) = read(_svg.foot(size, "2026-11-20", 100)).all("text")
    assert float(str(label.attributes["x"])) == 66
