"""Checks of arguments that several public callables take, in Keras's wording."""

import math
import numbers
from collections.abc import Mapping
from typing import Any

from keras_versioned_ckpt import _strict_json, _wire
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt._ranking import MODES

_MAX_METADATA_BYTES = 1024 * 1024


def check_format(format: object, save_weights_only: bool = False) -> str:
    """Returns the payload format that the two arguments mean together."""
    if not isinstance(format, str) or format not in _wire.SAVED_FORMATS:
        raise ValueError(
            f"`format` must be one of {', '.join(map(repr, _wire.SAVED_FORMATS))}. "
            f"Received: format={format!r}"
        )
    if not save_weights_only:
        return format
    if format == "saved_model":
        raise ValueError(
            "`save_weights_only` must be `False` with `format='saved_model'`, which "
            "is a program. Received: save_weights_only=True. Drop one of them."
        )
    return "weights"


def check_metadata(metadata: object) -> Mapping[str, Any]:
    """Returns the user's metadata as what a manifest can hold."""
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise TypeError(
            f"`metadata` must be a dictionary. Received: metadata={metadata!r}"
        )
    try:
        # Through JSON and back: a copy that later changes cannot reach.
        return dict(
            _strict_json.loads(_strict_json.dumps(dict(metadata)), _MAX_METADATA_BYTES)
        )
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"`metadata` must be what JSON can hold, up to 1 MiB: {error}. "
            f"Received: metadata={shown(metadata)}"
        ) from error


def check_on_disk_full(on_disk_full: object, *, has_policy: bool) -> str:
    """Returns what to do when the disk is full, where that can be done."""
    if on_disk_full not in ("raise", "prune"):
        raise ValueError(
            "`on_disk_full` must be 'raise' or 'prune'. "
            f"Received: on_disk_full={on_disk_full!r}"
        )
    if on_disk_full == "prune" and not has_policy:
        raise ValueError(
            "`on_disk_full='prune'` needs a retention policy, which says what may go. "
            "Received: retention=None. Pass for example `retention=KeepLast(3)`."
        )
    return str(on_disk_full)


def check_monitor(monitor: object) -> str:
    if not isinstance(monitor, str) or not monitor:
        raise ValueError(
            "`monitor` must be the name of a metric, such as 'val_loss'. "
            f"Received: monitor={monitor!r}"
        )
    return monitor


def check_mode(mode: object) -> str:
    if mode not in ("auto", *MODES):
        raise ValueError(
            f"`mode` must be 'auto', 'min' or 'max'. Received: mode={mode!r}"
        )
    return str(mode)


def check_boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be a boolean. Received: {name}={value!r}")
    return value


def check_verbose(verbose: object) -> int:
    if not isinstance(verbose, int) or verbose not in (0, 1, 2):
        raise ValueError(f"`verbose` must be 0, 1 or 2. Received: verbose={verbose!r}")
    return int(verbose)


def check_threshold(threshold: object) -> float | None:
    if threshold is None:
        return None
    # Real: NumPy's scalars are, too.
    if isinstance(threshold, bool) or not (
        isinstance(threshold, numbers.Real) and math.isfinite(threshold)
    ):
        raise ValueError(
            "`initial_value_threshold` must be a finite number or `None`. "
            f"Received: initial_value_threshold={threshold!r}"
        )
    return float(threshold)


def check_metrics(metrics: object) -> Mapping[str, float]:
    """Returns metrics given by hand as names and floats."""
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise TypeError(
            f"`metrics` must be a dictionary of numbers. Received: metrics={metrics!r}"
        )
    try:
        return {check_monitor(name): float(value) for name, value in metrics.items()}
    except (TypeError, ValueError) as error:
        raise type(error)(
            "`metrics` must be a dictionary of names and numbers. "
            f"Received: metrics={shown(metrics)}"
        ) from error


def check_epoch(epoch: object) -> int | None:
    """Returns the number of completed epochs, or `None`."""
    if epoch is None:
        return None
    if not isinstance(epoch, int) or isinstance(epoch, bool) or epoch < 0:
        raise ValueError(
            "`epoch` must be the number of completed epochs, 0 or more, or `None`. "
            f"Received: epoch={epoch!r}"
        )
    return epoch
