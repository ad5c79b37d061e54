"""The table of what was tried: on the terminal, and in `docs/reliability.rst`."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from faults.outcome import Row

HEAD = ("fault", "points", "failed", "lost", "torn", "left (bytes)", "seconds")
_BETWEEN = re.compile(r"(?<=\.\. table begins\n).*(?=\.\. table ends\n)", re.DOTALL)


def cells(row: Row) -> tuple[str, ...]:
    """Returns what the table shows of a row."""
    if row.skipped:
        return (row.fault, f"not tried: {row.skipped}", "", "", "", "", "")
    numbers = (row.points, row.failed, row.lost, row.torn, row.leftover_bytes)
    # Where the time was not taken, none is told.
    return (row.fault, *map(str, numbers), f"{row.seconds:.0f}" if row.seconds else "-")


def table(rows: list[tuple[str, ...]]) -> list[str]:
    """Returns rows as the lines of a simple table of reStructuredText."""
    widths = [max(len(row[i]) for row in (HEAD, *rows)) for i in range(len(HEAD))]
    rule = "  ".join("=" * width for width in widths)

    def line(row: tuple[str, ...]) -> str:
        first = row[0].ljust(widths[0])
        others = zip(row[1:], widths[1:], strict=True)
        return "  ".join([first, *(cell.rjust(n) for cell, n in others)]).rstrip()

    return [rule, line(HEAD), rule, *map(line, rows), rule]


def write(rows: list[Row], document: Path) -> None:
    """Puts rows into the table of a document, in place of those of the same faults.

    Args:
        rows: What was tried now.
        document: The document; what it shows lies beside it as JSON.
    """
    store = document.with_suffix(".json")
    known: dict[str, Any] = json.loads(store.read_text()) if store.exists() else {}
    for row in rows:
        fields = dataclasses.asdict(row)
        known[row.fault] = {**fields, "seconds": round(row.seconds, 1)}
    store.write_text(json.dumps(known, indent=1) + "\n")
    shown = [cells(Row(**fields)) for fields in known.values()]
    lines = "\n".join(["", *table(shown), "", ""])
    text = document.read_text(encoding="utf-8")
    document.write_text(_BETWEEN.sub(lambda _: lines, text), encoding="utf-8")
