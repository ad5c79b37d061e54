"""`keras-ckpt diff`: how two versions differ."""

import argparse
import itertools
from collections.abc import Sequence
from typing import Any

from keras_versioned_ckpt import _console, _json_forms
from keras_versioned_ckpt._comparing import Difference, Movement, compare, text_of
from keras_versioned_ckpt._messages import escaped, shortened
from keras_versioned_ckpt._table import Table
from keras_versioned_ckpt.store import CheckpointStore

_WIDEST = 60
# Models that have little in common differ in thousands of values.
_MOST = 200


def show_difference(options: argparse.Namespace) -> int:
    """Runs `diff`."""
    store = CheckpointStore(options.directory)
    before, after = store.select(options.before), store.select(options.after)
    difference = compare(before, after)
    if options.json:
        told = {"before": _json_forms.version(before)}
        told |= {
            "after": _json_forms.version(after),
            **_form(difference, options.limit),
        }
        _console.say(_json_forms.text(told))
        return 0
    _console.show(_metric_table(difference, before.name, after.name))
    _console.say()
    if difference.configuration:
        _show_configuration(difference, before.name, after.name)
    else:
        _console.say("The configurations are equal.")
    _console.say()
    layers = difference.layers[: options.limit]
    _console.show(_layer_table(layers))
    if left := len(difference.layers) - len(layers):
        _console.say(f"{left} more")
    return 0


def _form(difference: Difference, limit: int | None) -> dict[str, Any]:
    number = _json_forms.number
    return {
        "metrics": {
            change.name: {
                "before": number(change.before),
                "after": number(change.after),
                "verdict": change.verdict,
            }
            for change in difference.metrics
        },
        "configuration": {
            path: {"before": before, "after": after}
            for path, (before, after) in difference.configuration.items()
        },
        "layers": [
            {
                "layer": moved.layer,
                "values": moved.values,
                "distance": number(moved.distance),
                "relative": number(moved.relative),
                "largest": number(moved.largest),
                "note": moved.note,
            }
            for moved in difference.layers[:limit]
        ],
    }


def _metric_table(difference: Difference, before: str, after: str) -> Table:
    rows = []
    for change in difference.metrics:
        values = [change.before, change.after]
        moved = None if None in values else change.after - change.before  # type: ignore[operator]
        rows.append(
            [
                escaped(change.name),
                *map(_rounded, values),
                _rounded(moved, "+"),
                change.verdict or "-",
            ]
        )
    head = ("metric", escaped(before), escaped(after), "change", "verdict")
    return Table(head=head, rows=rows, numbers=frozenset({1, 2, 3}))


def _show_configuration(difference: Difference, before: str, after: str) -> None:
    shown = itertools.islice(difference.configuration.items(), _MOST)
    rows = [
        [escaped(path), *(escaped(shortened(text_of(v), _WIDEST)) for v in values)]
        for path, values in shown
    ]
    head = ("configuration", escaped(before), escaped(after))
    _console.show(Table(head=head, rows=rows))
    if left := len(difference.configuration) - len(rows):
        _console.say(f"{left} more, which --json tells")


def _layer_table(layers: Sequence[Movement]) -> Table:
    rows = [
        [
            escaped(moved.layer),
            f"{moved.values:,}",
            _rounded(moved.distance),
            "-" if moved.relative is None else f"{moved.relative:.3%}",
            _rounded(moved.largest),
            moved.note or "-",
        ]
        for moved in layers
    ]
    head = ("layer", "values", "norm of change", "relative", "largest", "note")
    return Table(head=head, rows=rows, numbers=frozenset({1, 2, 3, 4}))


def _rounded(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.5g}"
