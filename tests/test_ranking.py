"""Which of two values is better."""

import math

import pytest

from keras_versioned_ckpt._ranking import best_first, improves, is_score, score
from tests.factories import numbers, versions

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("value", [0.5, -1.0, 0, 7, 10**300])
def test_a_finite_number_is_a_score(value):
    """Integers too."""
    assert is_score(value)


@pytest.mark.parametrize("value", [NAN, INF, -INF, None, True, "1", 10**400])
def test_anything_else_is_none(value):
    """Neither booleans nor integers beyond all floats."""
    assert not is_score(value)


@pytest.mark.parametrize(
    ("value", "reference", "mode", "delta", "expected"),
    [
        (0.4, 0.5, "min", 0.0, True),
        (0.5, 0.5, "min", 0.0, False),
        (0.6, 0.5, "min", 0.0, False),
        (0.25, 0.5, "min", 0.25, False),
        (0.25, 0.5, "min", 0.125, True),
        (0.6, 0.5, "max", 0.0, True),
        (0.75, 0.5, "max", 0.25, False),
        (0.75, 0.5, "max", 0.125, True),
        (0.6, None, "min", 9.0, True),
        (NAN, None, "min", 0.0, False),
        (-INF, 0.5, "min", 0.0, False),
        (INF, 0.5, "max", 0.0, False),
    ],
)
def test_improvement(value, reference, mode, delta, expected):
    """A change of exactly the delta is none; what is not finite never improves."""
    assert improves(value, reference, mode, delta) is expected


def test_best_first_ties_go_to_the_earlier():
    """Versions without a score are not ranked at all."""
    history = versions([0.5, NAN, 0.25, None, 0.25, INF])
    assert numbers(best_first(history, "val_loss", "min")) == [3, 5, 1]
    assert numbers(best_first(history, "val_loss", "max")) == [1, 3, 5]
    assert [score(version, "val_loss") for version in history[2:4]] == [0.25, None]
