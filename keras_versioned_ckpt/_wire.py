"""A `Version` as JSON fields and back: the part that manifest and ledger share."""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from keras_versioned_ckpt import _names, _strict_json
from keras_versioned_ckpt.records import FrozenMapping, Version

#: Payload formats, and the file or directory that each puts into a version.
PAYLOADS = {
    "keras": "model.keras",
    "weights": "model.weights.h5",
    "saved_model": "saved_model",
    "h5": "model.h5",
}
#: Those that a model is saved in. The other is only ever imported.
SAVED_FORMATS = ("keras", "weights", "saved_model")

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
_NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_MAX_TEXT = 1024


def instant_to_text(instant: datetime) -> str:
    """Returns an aware datetime in UTC with microseconds and `Z`."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")


def instant_from_text(text: object) -> datetime:
    """Reads what `instant_to_text` wrote; `ValueError` for anything else."""
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        raise ValueError("an instant is not of the form 2026-11-20T18:00:00.000000Z")
    return datetime.fromisoformat(text)


def version_to_fields(version: Version) -> dict[str, Any]:
    """Returns the version's own facts as a JSON object.

    Not among them: the path and the tags, which belong to the store and change.
    """
    return {
        "number": version.number,
        "name": version.name,
        "created": instant_to_text(version.created),
        "run_id": version.run_id,
        "parent": version.parent,
        "epoch": version.epoch,
        "step": version.step,
        "batch": version.batch,
        "metrics": {
            name: value if math.isfinite(value) else str(float(value))
            for name, value in version.metrics.items()
        },
        "monitor": version.monitor,
        "mode": version.mode,
        "modes": dict(version.modes),
        "payload_format": version.format,
        "size_bytes": version.size_bytes,
        "metadata": dict(version.metadata),
    }


def version_from_fields(fields: Mapping[str, Any]) -> Version:
    """Reads a version from a JSON object that `_strict_json` has parsed.

    Raises:
        ValueError: If a field is missing or not what it must be; fields that
            are not known are passed over.
    """
    return Version(
        number=_field(fields, "number", positive),
        name=_field(fields, "name", _name),
        created=_field(fields, "created", instant_from_text),
        run_id=_field(fields, "run_id", _optional(_text)),
        parent=_field(fields, "parent", _optional(positive)),
        epoch=_field(fields, "epoch", _optional(count)),
        step=_field(fields, "step", _optional(count)),
        batch=_field(fields, "batch", _optional(count)),
        metrics=_field(fields, "metrics", _metrics),
        monitor=_field(fields, "monitor", _optional(_text)),
        mode=_field(fields, "mode", _optional(_one_of("min", "max"))),
        modes=_field(fields, "modes", _modes),
        format=_field(fields, "payload_format", _one_of(*PAYLOADS)),
        size_bytes=_field(fields, "size_bytes", count),
        metadata=_field(fields, "metadata", _object),
    )


def count(value: object) -> int:
    """Returns `value` if it is an integer in 0..2**53 and no boolean."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("it is not an integer")
    if not 0 <= value <= _strict_json.MAX_INTEGER:
        raise ValueError("it is not in 0..2**53")
    return value


def _field(fields: Mapping[str, Any], name: str, read: Callable[[Any], Any]) -> Any:
    if name not in fields:
        raise ValueError(f"the field {name!r} is missing")
    try:
        return read(fields[name])
    except ValueError as error:
        raise ValueError(f"the field {name!r} is wrong: {error}") from None


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


def _one_of(*allowed: str) -> Callable[[Any], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"it is not one of {', '.join(allowed)}")
        return value

    return read


def positive(value: object) -> int:
    """Returns `value` if it is an integer in 1..2**53 and no boolean."""
    if count(value) == 0:
        raise ValueError("it is not 1 or more")
    return count(value)


def _name(value: object) -> str:
    why = _names.why_not(value)
    if why is not None:
        raise ValueError(f"a name {why}")
    return str(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("it is not a string, or an empty one")
    if len(value) > _MAX_TEXT:
        raise ValueError(f"it is longer than {_MAX_TEXT} characters")
    return value


def _metrics(value: object) -> FrozenMapping[str, float]:
    return FrozenMapping({_text(k): _metric(v) for k, v in _object(value).items()})


def _modes(value: object) -> FrozenMapping[str, str]:
    mode = _one_of("min", "max")
    return FrozenMapping({_text(k): mode(v) for k, v in _object(value).items()})


def _metric(value: object) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("a metric is neither a number nor 'nan', 'inf', '-inf'")
    return float(value)


def _object(value: object) -> FrozenMapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("it is not an object")
    return FrozenMapping(value)
