"""Is a metric better when it is small or when it is large: what Keras knows of it.

Keras answers this inside its callbacks, and before the first batch only on
backends that build the metrics early. This module asks Keras's own
`EarlyStopping` first, by its public behaviour; where the metrics are not built
yet (TensorFlow), it looks at the metrics that `compile` was given. That second
look is the only use of Keras internals here: it is tried on a metric whose
direction is known, and left out if Keras has changed.
"""

import contextlib
import functools
from collections.abc import Iterable, Iterator
from typing import Any

import keras


def mode_of(model: Any, monitor: str) -> str:
    """Returns the direction in which a metric improves.

    Args:
        model: The compiled model whose training logs the metric.
        monitor: Name of the metric, with or without `val_`.

    Returns:
        `"min"` or `"max"`.

    Raises:
        ValueError: If Keras does not know; pass `mode=`.

    Example:

    ```python
    model.compile("adam", "mse", metrics=["mae"])
    mode_of(model, "val_mae")  # "min"
    ```
    """
    mode = (
        _of_loss(model, monitor)
        or _by_early_stopping(model, monitor)
        or _by_compiled_metrics(model, monitor)
    )
    if mode is None:
        raise ValueError(
            f"`mode` must be given for monitor={monitor!r}: Keras does not know "
            "whether that metric is to be minimized or maximized. "
            "Received: mode='auto'. Pass `mode='min'` or `mode='max'`."
        )
    return mode


def known_modes(model: Any, names: Iterable[str]) -> dict[str, str]:
    """Returns the direction of each of these metrics that Keras knows of."""
    modes = {}
    for name in names:
        # What Keras does not know is not recorded, and so is asked for when needed.
        with contextlib.suppress(ValueError):
            modes[name] = mode_of(model, name)
    return modes


def _of_loss(model: Any, monitor: str) -> str | None:
    name = monitor.removeprefix("val_")
    losses = {"loss", *(f"{output}_loss" for output in _output_names(model))}
    return "min" if name in losses else None


def _by_early_stopping(model: Any, monitor: str) -> str | None:
    """Lets `EarlyStopping` see a 1 and then a 2, and looks which it takes for best."""
    observer = keras.callbacks.EarlyStopping(monitor, mode="auto", patience=9)
    observer.set_model(model)
    observer.on_train_begin()
    try:
        observer.on_epoch_end(0, {monitor: 1.0})
    except ValueError:
        return None  # its way to say that it does not know
    observer.on_epoch_end(1, {monitor: 2.0})
    return "max" if observer.best == 2.0 else "min"


def _by_compiled_metrics(model: Any, monitor: str) -> str | None:
    if not _internals_are_as_expected():
        return None
    for name, metric in _compiled_metrics(model):
        if name == monitor.removeprefix("val_"):
            direction = getattr(_as_metric(metric), "_direction", None)
            return {"up": "max", "down": "min"}.get(direction or "")
    return None


@functools.cache
def _internals_are_as_expected() -> bool:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(loss="mse", metrics=["mae"])
    return (
        getattr(keras.metrics.MeanSquaredError(), "_direction", None) == "down"
        and getattr(keras.metrics.AUC(), "_direction", None) == "up"
        and [name for name, _ in _compiled_metrics(model)] == ["mae"]
    )


def _compiled_metrics(model: Any) -> Iterator[tuple[str, Any]]:
    """Yields the metrics that `compile` was given, by the names that logs use.

    With several outputs, logs put the output's name before the metric's.
    """
    compiled = getattr(model, "_compile_metrics", None)
    outputs = _output_names(model)
    for attribute in ("_user_metrics", "_user_weighted_metrics"):
        given = getattr(compiled, attribute, None)
        if isinstance(given, dict):
            groups = list(given.items())
        elif isinstance(given, (list, tuple)) and len(given) == len(outputs) > 1:
            groups = list(zip(outputs, given, strict=True))
        else:
            groups = [("", given)]
        for output, metrics in groups:
            prefix = f"{output}_" if len(outputs) > 1 else ""
            for metric in keras.tree.flatten(metrics):
                if metric is not None:
                    yield prefix + _name(metric), metric


def _output_names(model: Any) -> list[str]:
    return list(getattr(model, "output_names", None) or [])


def _name(metric: Any) -> str:
    if isinstance(metric, str):
        return metric
    return str(getattr(metric, "name", None) or getattr(metric, "__name__", ""))


def _as_metric(metric: Any) -> Any:
    """Returns a `keras.metrics.Metric` for anything that `compile` accepts as one."""
    if isinstance(metric, str) and metric.lower() in ("accuracy", "acc"):
        # Keras chooses among three kinds of accuracy later; all point upwards.
        return keras.metrics.Accuracy()
    found = keras.metrics.get(metric)
    if isinstance(found, keras.metrics.Metric):
        return found
    return keras.metrics.MeanMetricWrapper(found)
