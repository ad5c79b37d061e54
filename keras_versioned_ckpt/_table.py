"""Versions as tables: cells of text that is safe to show, and all of it as text."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from keras_versioned_ckpt._messages import escaped, rounded_size, shortened
from keras_versioned_ckpt.records import HistoryEntry, Version

# A cell widens its whole column: one of a megabyte would cost as much in each row.
WIDEST = 1000
_HEAD = ("number", "name", "epoch", "step", "metrics", "size", "age", "tags")
_NUMBERS = frozenset({0, 2, 3, 5, 6})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells below the names of their columns.

    Args:
        head: The names of the columns.
        rows: The cells of each row; texts that are safe to show.
        numbers: The columns that hold numbers.
        caption: A line about all of it; empty for none.
        highlighted: The row that stands out, if one does.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: frozenset[int] = frozenset()
    caption: str = ""
    highlighted: Sequence[str] | None = None

    def __str__(self) -> str:
        rows = [[shortened(cell, WIDEST) for cell in row] for row in self.rows]
        table = [list(self.head), *rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(self.head))]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in table]
        rule = "  ".join("-" * width for width in widths)
        return "\n".join([lines[0], rule, *lines[1:]])


def version_table(
    versions: Iterable[Version],
    reasons: Mapping[int, Sequence[str]] | None = None,
    now: datetime | None = None,
    *,
    caption: str = "",
    best: Version | None = None,
) -> Table:
    """Returns versions as a table.

    Args:
        versions: The versions, in the order in which to show them.
        reasons: For each number, why it is kept or not (a plan's `reasons`);
            adds a column.
        now: The instant that ages count from. Defaults to the clock's.
        caption: A line about all of it.
        best: The version whose row stands out.

    Example:

    ```python
    print(version_table(store.versions, POLICY.plan(store.versions).reasons))
    ```
    """
    now = now or datetime.now(UTC)
    rows, highlighted = [], None
    for version in versions:
        row = [
            str(version.number),
            escaped(version.name),
            _or_dash(version.epoch),
            _or_dash(version.step),
            metrics_text(version),
            rounded_size(version.size_bytes),
            rounded_age(now - version.created),
            escaped(" ".join(version.tags)) or "-",
        ]
        if reasons is not None:
            row.append(escaped("; ".join(reasons.get(version.number, ()))))
        rows.append(row)
        if version == best:
            highlighted = row
    return Table(
        head=[*_HEAD, *(["why"] if reasons is not None else [])],
        rows=rows,
        numbers=_NUMBERS,
        caption=caption,
        highlighted=highlighted,
    )


def history_table(entries: Iterable[HistoryEntry]) -> Table:
    """Returns what is gone as a table: which, when, why."""
    rows = [
        [
            str(entry.number),
            escaped(entry.name),
            metrics_text(entry.version),
            f"{entry.removed:%Y-%m-%d %H:%M:%S}" if entry.removed else "-",
            escaped(entry.reason),
        ]
        for entry in entries
    ]
    head = ["number", "name", "metrics", "removed (UTC)", "why"]
    return Table(head=head, rows=rows, numbers=frozenset({0}))


def metrics_text(version: Version) -> str:
    """Returns the metrics in one line, the monitored one first."""
    names = sorted(version.metrics, key=lambda name: (name != version.monitor, name))
    return " ".join(f"{escaped(n)}={version.metrics[n]:.4g}" for n in names) or "-"


def rounded_age(age: timedelta) -> str:
    """Returns a duration in its largest unit, such as `3 h`."""
    seconds = age.total_seconds()
    if seconds < 0:
        return "future"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)
