"""Whether a moment is better than what the store holds."""

import math
from collections.abc import Mapping

import pytest

from keras_versioned_ckpt._best_so_far import BestSoFar, OnlyBetter

from .factories import versions


def best_so_far(
    *losses: float | None, in_flight: Mapping[str, float] | None = None
) -> BestSoFar:
    """Returns the best of versions with these losses."""
    return BestSoFar(lambda: versions(losses), lambda: in_flight or {})


def rule(*losses: float | None, threshold: float | None = None) -> OnlyBetter:
    """Returns `save_best_only` over versions with these losses."""
    return OnlyBetter(
        monitor="val_loss", mode="min", threshold=threshold, best=best_so_far(*losses)
    )


@pytest.mark.parametrize(
    ("losses", "in_flight", "best"),
    [
        ((), {}, None),
        ((None, math.nan), {}, None),
        ((0.5, 0.3, 0.4), {}, 0.3),
        ((0.5,), {"val_loss": 0.2}, 0.2),
        ((0.5,), {"val_loss": 0.6}, 0.5),
        ((0.5,), {"val_loss": math.nan}, 0.5),
        ((), {"val_loss": 0.2}, 0.2),
    ],
)
def test_the_save_in_flight_counts(
    losses: tuple[float | None, ...], in_flight: Mapping[str, float], best: float | None
) -> None:
    """As if it was in the store already, where it is a score."""
    found = best_so_far(*losses, in_flight=in_flight)
    assert found.value("val_loss", "min") == best


def test_only_metrics_with_a_value_are_there() -> None:
    """Triggers take what is missing for a metric that nothing is known of."""
    found = best_so_far(0.5, 0.3).values([("val_loss", "max"), ("nope", "min")])
    assert found == {("val_loss", "max"): 0.5}


@pytest.mark.parametrize(
    ("losses", "threshold", "value", "is_saved"),
    [
        ((), None, 9.0, True),
        ((0.5,), None, 0.4, True),
        ((0.5,), None, 0.5, False),
        ((0.5,), 0.3, 0.4, False),
        ((0.5,), 0.7, 0.6, False),
        ((0.5,), 0.7, 0.4, True),
        ((), 0.3, 0.3, False),
    ],
)
def test_what_is_better_is_saved(
    losses: tuple[float, ...], threshold: float | None, value: float, is_saved: bool
) -> None:
    """By the store or the threshold, whichever is harder; a tie is not better."""
    verdict = rule(*losses, threshold=threshold).verdict(
        "epoch_end", 2, {"val_loss": value}
    )
    assert verdict.is_saved == is_saved
    assert bool(verdict.news) != is_saved
    assert not verdict.complaint


@pytest.mark.parametrize(
    ("event", "metrics", "why"),
    [
        ("epoch_end", {"loss": 0.9}, "is not available"),
        ("epoch_end", {"val_loss": math.inf}, "is inf"),
        ("batch_end", {"val_loss": 0.1}, "is a running mean"),
    ],
)
def test_what_cannot_be_compared_is_saved(
    event: str, metrics: Mapping[str, float], why: str
) -> None:
    """With a complaint that says why."""
    verdict = rule(0.5).verdict(event, 2, metrics)
    assert verdict.is_saved
    assert f"'val_loss' {why}" in verdict.complaint
