"""What the store answers, as JSON for scripts.

A version has the fields of its manifest, and besides them `path` and `tags`. Instants
are in UTC, sizes in bytes, and a number that is not finite is text.
"""

import json
import math
from typing import TYPE_CHECKING, Any

from keras_versioned_ckpt import _wire
from keras_versioned_ckpt.records import HistoryEntry, Version

if TYPE_CHECKING:
    from keras_versioned_ckpt._plan import Plan


def text(form: object, *, indent: int | None = 2) -> str:
    """Returns JSON in ASCII, so that no terminal takes a part of it for a command.

    Args:
        form: What is made of dictionaries, lists, texts and numbers.
        indent: Columns for each level, or `None` for one line.
    """
    return json.dumps(form, indent=indent, allow_nan=False)


def version(version: Version) -> dict[str, Any]:
    """Returns a version as a JSON object."""
    return {
        **_wire.version_to_fields(version),
        "path": None if version.path is None else str(version.path),
        "tags": list(version.tags),
    }


def entry(entry: HistoryEntry) -> dict[str, Any]:
    """Returns a version in the history as a JSON object."""
    removed = None if entry.removed is None else _wire.instant_to_text(entry.removed)
    return {
        **version(entry.version),
        # Where it was, nothing is.
        **({"path": None} if entry.gone else {}),
        "gone": entry.gone,
        "removed": removed,
        "reason": entry.reason,
        "policy": entry.policy,
    }


def plan(plan: "Plan") -> dict[str, Any]:
    """Returns a plan as a JSON object."""
    return {
        "keep": [version(v) for v in plan.keep],
        "remove": [version(v) for v in plan.remove],
        "reasons": {str(number): list(why) for number, why in plan.reasons.items()},
        "size_bytes_freed": plan.size_bytes_freed,
    }


def number(value: float | None) -> float | str | None:
    """Returns a number, as text where JSON has none for it."""
    return value if value is None or math.isfinite(value) else str(float(value))
