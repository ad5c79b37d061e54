"""Compares saving and loading with Keras, with Orbax, and with what the disk allows.

    python benchmarks/saving.py            # everything: a table, docs/saving.svg, JSON
    python benchmarks/saving.py --quick    # a dry run of tiny models

What is measured is listed in `contest.py`, with the targets. Contestants take turns
in one process, in an order that is rotated every round; the first round warms up and
does not count; what is printed are medians and their ratios. The machine should
have nothing else to do.
"""

import argparse
import importlib.metadata
import os
import platform
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import apart
import chart
import contest
import report
from results import Results

ROOT = Path(__file__).resolve().parent.parent
BACKENDS = ("tensorflow", "jax")
PACKAGES = (
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "jax",
    "orbax-checkpoint",
    "h5py",
    "numpy",
)
MEMORY = (
    contest.OURS,
    contest.OURS_FOREGROUND,
    contest.MODEL_CHECKPOINT,
    contest.ORBAX,
)
# A copy that is made at each save would be seen at the second; what is never given
# back, only after many.
FEW_SAVES, MANY_SAVES, QUICK_MANY_SAVES = 3, 100, 20
# Few epochs make a `fit` short, and its one wait at the end weigh more.
EPOCHS = {"small": 8, "quarter": 3}
QUICK_EPOCHS = {"small": 2}


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog=(
            "The whole run takes about 12 minutes on two cores, 4 GB of memory and, "
            "for a while, 4 GB of disk. Measurements: "
            + "; ".join(f"{k}: {what}" for k, what in contest.LETTERS.items())
            + "."
        ),
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny models and 3 rounds, in a minute or two; its ratios mean little",
    )
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        action="append",
        help="measure this one only; may be given twice (default: both)",
    )
    parser.add_argument(
        "--rounds", type=int, help="how many rounds count (default: 7; 3 with --quick)"
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=ROOT / "build",
        help="where to save, on the file system to measure, so not on a tmpfs "
        "(default: build/ of the checkout)",
    )
    parser.add_argument(
        "--only",
        default=",".join(contest.LETTERS),
        help="letters of measurements, separated by commas (default: all)",
    )
    parser.add_argument(
        "--chart",
        type=Path,
        help="the SVG to write (default: docs/saving.svg; build/saving.svg with "
        "--quick); the JSON is written beside it",
    )
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(contest.LETTERS):
        parser.error(f"--only takes {', '.join(contest.LETTERS)}, not {unknown}")
    if options.rounds is None:
        options.rounds = 3 if options.quick else 7
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    options.backend = options.backend or list(BACKENDS)
    options.chart = options.chart or ROOT / (
        "build/saving.svg" if options.quick else "docs/saving.svg"
    )
    return options


def measure(
    backend: str, options: argparse.Namespace, room: str, results: Results
) -> None:
    """Asks everything of one backend."""
    widths = contest.QUICK_WIDTHS if options.quick else contest.WIDTHS
    in_a_row = ("small",) if options.quick else ("small", "middle")
    repeated = {"rounds": options.rounds, "directory": room}

    def call(function: str, **arguments: Any) -> dict[str, Any]:
        begun = time.monotonic()
        found = apart.call(backend, function, arguments)
        taken = time.monotonic() - begun
        print(f"{backend} {function}: {taken:.0f} s", file=sys.stderr, flush=True)
        return found

    def add_all(found: dict[str, Any]) -> None:
        for size, of_size in found.items():
            results.add(backend, size, of_size)

    if asked := {"a", "c", "d"}.intersection(options.only):
        add_all(
            call(
                "arena.saves",
                widths=widths,
                apart=(*in_a_row, "large") if asked != {"d"} else (),
                in_a_row=in_a_row if "d" in asked else (),
                **repeated,
            )
        )
    if "b" in options.only:
        epochs = QUICK_EPOCHS if options.quick else EPOCHS
        add_all(call("fits.whole_fits", widths=widths, epochs=epochs, **repeated))
    if "e" in options.only and sys.platform == "linux":
        many = QUICK_MANY_SAVES if options.quick else MANY_SAVES
        for name in MEMORY[:1] if options.quick else MEMORY:
            found = call(
                "memory.peak",
                width=widths["middle"],
                name=name,
                saves=many if name == contest.OURS else FEW_SAVES,
                directory=room,
            )
            results.add(backend, "middle", found)
    if "f" in options.only:
        found = call("loads.loads", width=widths["large"], **repeated)
        results.add(backend, "large", found)


def main() -> None:
    """Measures, prints, draws."""
    options = arguments()
    begun = time.monotonic()
    results = Results(
        options.backend,
        options.only,
        {
            "quick": options.quick,
            "rounds": options.rounds,
            "python": platform.python_version(),
            "system": platform.platform(),
            "cores": os.cpu_count(),
            "packages": {
                found.name: found.version
                for found in importlib.metadata.distributions()
                if found.name in PACKAGES
            },
        },
    )
    options.directory.mkdir(parents=True, exist_ok=True)
    # Where ratios mean little, backends may disturb each other.
    at_once = len(options.backend) if options.quick else 1
    with (
        tempfile.TemporaryDirectory(dir=options.directory) as room,
        ThreadPoolExecutor(at_once) as pool,
    ):
        list(pool.map(lambda b: measure(b, options, room, results), options.backend))
    print(f"Medians of {options.rounds} rounds, {os.cpu_count()} cores")
    if options.quick:
        print("A dry run of tiny models: these ratios say nothing about real ones")
    print()
    for line in report.lines(results):
        print(line)
    chart.draw(results, options.chart)
    results.write(options.chart.with_suffix(".json"))
    print(
        f"\n{options.chart} and .json written after {time.monotonic() - begun:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
