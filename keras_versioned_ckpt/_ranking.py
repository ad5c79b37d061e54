"""Which of two values of a metric is better.

One rule, used by triggers, retention, selectors and the callback alike:
`"min"` prefers the smaller value, `"max"` the larger one; NaN, infinities and
missing values never win and never displace a scored one; on a tie the earlier
version stays the better.
"""

import math
from collections.abc import Iterable
from typing import Literal, TypeGuard, get_args

from keras_versioned_ckpt._messages import shown
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
    """Returns the version's value of `monitor`, or `None` where it has no rank.

    In the middle of an epoch the metrics are running means, over as little as one
    batch; they are recorded, but do not compare with those of a whole epoch.
    """
    value = version.metrics.get(monitor)
    return value if version.batch is None and is_score(value) else None


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


def recorded_best(versions: Iterable[Version]) -> Version | None:
    """Returns the best version as the newest one that monitored a metric goes by it."""
    listed = list(versions)
    for version in sorted(listed, key=lambda version: version.number, reverse=True):
        if version.monitor and (mode := said_mode(version, version.monitor)):
            return next(iter(best_first(listed, version.monitor, mode)), None)
    return None


def check_criterion(monitor: object, mode: object) -> str | None:
    """Checks the two arguments by which a policy ranks.

    Returns:
        The mode, where `"auto"` is `None`: to be found out.

    Raises:
        TypeError: If `monitor` is neither a string nor `None`.
        ValueError: If `monitor` is empty, or `mode` none of these.
    """
    if monitor is not None and not isinstance(monitor, str):
        raise TypeError(
            f"`monitor` must be the name of a metric. Received: monitor={monitor!r}"
        )
    if monitor == "":
        raise ValueError(
            "`monitor` must not be empty. Received: monitor=''. "
            "Leave it out for the one that the training monitors."
        )
    if mode is None or mode == "auto":
        return None
    if mode not in MODES:
        raise ValueError(
            f"`mode` must be 'min', 'max' or 'auto'. Received: mode={mode!r}"
        )
    return str(mode)


def recorded_monitor(newest_first: Iterable[Version]) -> str | None:
    """Returns the monitor of the newest version that was saved under one.

    Where none was, it is `val_loss`, the default of a training, if that is there.
    """
    versions = list(newest_first)
    found = next((version.monitor for version in versions if version.monitor), None)
    if found is None and any(
        score(version, "val_loss") is not None for version in versions
    ):
        return "val_loss"
    return found


def said_mode(version: Version, monitor: str) -> str | None:
    """Returns which direction of a metric is better, if the version recorded it."""
    mode = version.mode if version.monitor == monitor else None
    mode = mode or version.modes.get(monitor)
    return mode if mode in MODES else None


def recorded_mode(newest_first: Iterable[Version], monitor: str) -> str:
    """Returns the direction of a metric that the newest version recorded.

    Raises:
        ValueError: If none did, and the metric is not a loss; `mode=` settles it.
    """
    for version in newest_first:
        if mode := said_mode(version, monitor):
            return mode
    # What training itself minimizes, whatever the loss function.
    if monitor in ("loss", "val_loss"):
        return "min"
    raise ValueError(
        "`mode` must be given for a metric of which no version says whether less or "
        f"more is better. Received: monitor={shown(monitor)}, mode=None. "
        "Pass `mode='min'` or `mode='max'`."
    )
