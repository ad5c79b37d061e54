"""The metrics of a training: as plain numbers, and in which direction each improves."""

from collections.abc import Mapping
from typing import Any

import keras

from keras_versioned_ckpt import directions
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt._news import Warnings
from keras_versioned_ckpt._ranking import MODES


class Metrics:
    """What one training measures.

    Args:
        monitor: The metric that makes a version the best.
        mode: Its direction: `"min"`, `"max"`, or `"auto"` for what Keras knows.
        complaints: Is told of what a training is warned of once.
    """

    def __init__(self, monitor: str, mode: str, complaints: Warnings) -> None:
        self._monitor = monitor
        self._mode = mode
        self._complaints = complaints
        self._modes: dict[str, str | None] = {}

    def mode_of(self, model: Any, monitor: str) -> str:
        """Returns the direction of a metric.

        Raises:
            ValueError: If it is not known.
        """
        if monitor == self._monitor and self._mode in MODES:
            return self._mode
        return directions.mode_of(model, monitor)

    def mode_if_known(self, model: Any) -> str | None:
        """Returns the direction of the metric that makes a version the best."""
        try:
            return self.mode_of(model, self._monitor)
        except ValueError:
            return None  # nothing depends on it, so it may stay unknown

    def known_modes(self, model: Any, metrics: Mapping[str, float]) -> dict[str, str]:
        """Returns the directions that Keras knows; each metric is asked about once."""
        if new := metrics.keys() - self._modes.keys():
            known = directions.known_modes(model, new)
            self._modes.update({name: known.get(name) for name in new})
        return {name: mode for name in metrics if (mode := self._modes[name])}

    def numbers(self, logs: Mapping[str, Any] | None) -> dict[str, float]:
        """Returns the logs as numbers, without what is no scalar."""
        metrics = {}
        for name, value in (logs or {}).items():
            try:
                # A metric of one class or output comes as an array of one number.
                metrics[name] = float(keras.ops.convert_to_numpy(value).reshape(()))
            except (TypeError, ValueError):
                self._complaints.once(
                    f"The metric {shown(name)} is not a scalar and so is not "
                    f"recorded. Received: {shown(value)}",
                    stacklevel=3,
                )
        return metrics

    def warn_of_missing(
        self, looked_at: frozenset[str], logs: Mapping[str, Any] | None
    ) -> None:
        """Says which metrics a trigger or retention looks at, and nobody measures.

        `save_best_only` says so itself, at each save.
        """
        logs = logs or {}
        for monitor in sorted(looked_at - logs.keys()):
            self._complaints.once(
                f"{shown(monitor)} is not available, so that nothing saved now counts "
                "as the best by it: triggers and retention pass it over. Metrics that "
                f"exist: {listing(map(shown, logs))}.",
                stacklevel=3,
            )
