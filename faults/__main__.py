"""`make faults`: breaks stores in every way there is, and prints one table."""

import argparse
import importlib
import shutil
import sys
import tempfile
from pathlib import Path

from faults import report
from faults.outcome import Fault, tried

# The files that break stores; each has a table `FAULTS` of its own.
MODULES = (
    *("kills", "power", "failing", "damage", "crowds", "clocks", "endurance"),
    *("resuming",),
)


def faults(names: list[str]) -> dict[str, Fault]:
    """Returns the faults of these files, of all where none is named."""
    found: dict[str, Fault] = {}
    for name in names or MODULES:
        found |= importlib.import_module(f"faults.{name}").FAULTS
    return found


def main() -> int:
    """Breaks stores; returns 1 if anything was lost, torn, left or otherwise wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="files to run; all if none is named")
    parser.add_argument("--quick", action="store_true", help="run the samples alone")
    parser.add_argument("--write", type=Path, help="the document with the table")
    arguments = parser.parse_args()
    rows = []
    for name, fault in faults(arguments.names).items():
        place = Path(tempfile.mkdtemp(prefix="faults-"))
        try:
            row = tried(name, fault, place, arguments.quick)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        rows.append(row)
        print(f"{name}: {row.points} points tried, {row.failed} failed", flush=True)
        for failure in row.failures[:20]:
            print(f"    {failure}", flush=True)
        if arguments.write:
            report.write([row], arguments.write)
    print("\n".join(["", *report.table([*map(report.cells, rows)])]), flush=True)
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
