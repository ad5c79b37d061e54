"""Which of two values of a metric is better.

One rule, used by triggers, retention, selectors and the callback alike:
`"min"` prefers the smaller value, `"max"` the larger one; NaN, infinities and
missing values never win and never displace a scored one; on a tie the earlier
version stays the better.
"""

import math
from collections.abc import Iterable
from typing import Literal, TypeGuard, get_args

from keras_versioned_ckpt.records import Version

Mode = Literal["min", "max"]
MODES: tuple[str, ...] = get_args(Mode)


def is_score(value: object) -> TypeGuard[float]:
    """Returns whether `value` can be ranked: a finite number, not a boolean."""
    # Asked for every version of a store: the usual type is looked at first.
    if type(value) is not float and (
        isinstance(value, bool) or not isinstance(value, (int, float))
    ):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond all floats
        return False


def score(version: Version, monitor: str) -> float | None:
    """Returns the version's value of `monitor`, or `None` where it has no rank."""
    value = version.metrics.get(monitor)
    return value if is_score(value) else None


def improves(
    value: float, reference: float | None, mode: str, min_delta: float = 0.0
) -> bool:
    """Returns whether `value` beats `reference` by more than `min_delta`.

    The rule of `keras.callbacks.EarlyStopping` and `ModelCheckpoint`: a change
    of exactly `min_delta` is no improvement, and anything that is a score beats
    no reference at all. Other than in Keras, a value that is not finite never
    improves on anything, so that a NaN in the first epoch locks nothing out.
    """
    if not is_score(value):
        return False
    if reference is None:
        return True
    if mode == "min":
        return value + min_delta < reference
    return value - min_delta > reference


def best_first(versions: Iterable[Version], monitor: str, mode: str) -> list[Version]:
    """Returns the scored versions, the best one first, ties by number."""
    sign = 1.0 if mode == "min" else -1.0
    ranked = [
        (sign * value, version.number, version)
        for version in versions
        if (value := score(version, monitor)) is not None
    ]
    return [version for _, _, version in sorted(ranked, key=lambda row: row[:2])]
