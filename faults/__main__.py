"""`make faults`: breaks stores in every way there is, and prints one table."""

import argparse
import importlib
import shutil
import sys
import tempfile
from pathlib import Path

from faults.outcome import Fault, Row, tried

# The files that break stores; each has a table `FAULTS` of its own.
MODULES: tuple[str, ...] = ("kills",)
HEAD = ("fault", "points", "failed", "lost", "torn", "leftover bytes", "seconds")


def faults(names: list[str]) -> dict[str, Fault]:
    """Returns the faults of these files, of all where none is named."""
    found: dict[str, Fault] = {}
    for name in names or MODULES:
        found |= importlib.import_module(f"faults.{name}").FAULTS
    return found


def cells(row: Row) -> tuple[str, ...]:
    """Returns what the table shows of a row."""
    if row.skipped:
        return (row.fault, f"NOT TRIED: {row.skipped}", *[""] * 5)
    return (
        row.fault,
        *map(str, (row.points, row.failed, row.lost, row.torn, row.leftover_bytes)),
        f"{row.seconds:.0f}",
    )


def main() -> int:
    """Breaks stores; returns 1 if anything was lost, torn, left or otherwise wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="files to run; all if none is named")
    parser.add_argument("--quick", action="store_true", help="run the samples alone")
    arguments = parser.parse_args()
    rows = []
    for name, fault in faults(arguments.names).items():
        place = Path(tempfile.mkdtemp(prefix="faults-"))
        try:
            row = tried(name, fault, place, arguments.quick)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        rows.append(row)
        print(" | ".join(cells(row)), flush=True)
        for failure in row.failures[:20]:
            print(f"    {failure}", flush=True)
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
