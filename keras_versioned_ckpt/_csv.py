"""Versions as CSV, for spreadsheets."""

import csv
import re
from collections.abc import Sequence
from types import SimpleNamespace

from keras_versioned_ckpt import _json_forms
from keras_versioned_ckpt._messages import escaped
from keras_versioned_ckpt.records import HistoryEntry

_COLUMNS = (
    *("number", "name", "epoch", "step", "batch", "created", "size_bytes"),
    *("payload_format", "tags", "run_id", "parent", "monitor", "mode"),
    *("gone", "removed", "reason", "policy"),
)
# A spreadsheet takes a cell that begins so for a formula, and runs it.
# Where a comma stands in decimal fractions, it takes semicolons for the ends of cells.
_WOULD_BEGIN = re.compile(r"(^|;)(\s*[=+\-@＝＋－＠])")  # noqa: RUF001


def as_csv(entries: Sequence[HistoryEntry]) -> str:
    """Returns versions as CSV, a line each, with a column for each metric.

    A text that a spreadsheet would take for a formula gets an apostrophe in front, as
    OWASP advises; numbers stay as they are.
    """
    metrics = sorted({name for entry in entries for name in entry.version.metrics})
    lines: list[str] = []
    writer = csv.writer(SimpleNamespace(write=lines.append), lineterminator="")
    writer.writerow([*_COLUMNS, *(_cell(f"metrics.{name}") for name in metrics)])
    for entry in entries:
        told = _json_forms.entry(entry)
        values = [told[name] for name in _COLUMNS]
        values += map(told["metrics"].get, metrics)
        writer.writerow(map(_cell, values))
    return "\n".join(lines)


def _cell(value: object) -> object:
    if isinstance(value, list):
        value = " ".join(value)
    if value == "-inf" or not isinstance(value, str):
        return value
    text = escaped(value)
    return _WOULD_BEGIN.sub(r"\1'\2", text)
