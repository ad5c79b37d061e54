"""The text of a description of a model, within what a reader can take.

Who made the file may have made its `config.json` to exhaust whoever reads it.
"""

import json
from typing import Any

from keras_versioned_ckpt.errors import CorruptVersionError, UnsafeVersionError

_MAX_BYTES = 16 * 1024 * 1024
_MAX_PARTS = 500_000
# Keras takes several calls for each level, and Python allows a thousand.
_MAX_DEPTH = 256


def parsed(config: bytes) -> dict[str, Any]:
    """Returns what a description says.

    Args:
        config: The bytes of `config.json`.

    Raises:
        UnsafeVersionError: If it is too large or too deep, or says one thing twice.
        CorruptVersionError: If it is no description.
    """
    if len(config) > _MAX_BYTES or _parts(config) > _MAX_PARTS:
        raise UnsafeVersionError("its description is too large")
    try:
        root = json.loads(config, object_pairs_hook=_once)
    except RecursionError as error:
        raise UnsafeVersionError("its description is nested too deep") from error
    except ValueError as error:
        raise CorruptVersionError(f"its description is no JSON: {error}") from error
    if not isinstance(root, dict) or not {"class_name", "config"} <= set(root):
        raise CorruptVersionError("its description is not that of a model")
    _check_depth(root)
    return root


def _parts(config: bytes) -> int:
    # What stands in texts is counted as well, which is as many as nobody has.
    return config.count(b"{") + config.count(b"[")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UnsafeVersionError("its description says one thing twice")
    return found


def _check_depth(root: Any) -> None:
    ahead: list[tuple[Any, int]] = [(root, 1)]
    while ahead:
        value, depth = ahead.pop()
        if depth > _MAX_DEPTH:
            raise UnsafeVersionError("its description is nested too deep")
        if isinstance(value, dict):
            ahead.extend((part, depth + 1) for part in value.values())
        elif isinstance(value, list):
            ahead.extend((part, depth + 1) for part in value)
