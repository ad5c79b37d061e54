"""What came of breaking a store: one outcome a point, one row a fault."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


class Outcome(NamedTuple):
    """What came of one fault at one point.

    Args:
        point: Where it struck, such as `"fit, thread 1: renameat2 3"`.
        lost: Versions that were reported as saved, or were there before, and are gone
            without a removal that a policy or a person asked for.
        torn: Versions that are listed and differ from their manifests.
        leftover_bytes: Bytes that nobody uses, and that the next save did not clear.
        wrong: What else does not hold, in words; empty if all does.
    """

    point: str
    lost: int = 0
    torn: int = 0
    leftover_bytes: int = 0
    wrong: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything that was promised holds."""
        return not (self.lost or self.torn or self.leftover_bytes or self.wrong)


#: Breaks stores in an empty directory; the flag says whether a sample is enough.
Fault = Callable[[Path, bool], Iterator[Outcome]]


@dataclasses.dataclass
class Row:
    """What came of one fault at all its points.

    Args:
        fault: Its name.
    """

    fault: str
    points: int = 0
    failed: int = 0
    lost: int = 0
    torn: int = 0
    leftover_bytes: int = 0
    seconds: float = 0.0
    skipped: str = ""
    failures: list[str] = dataclasses.field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Counts one outcome."""
        self.points += 1
        self.lost += outcome.lost
        self.torn += outcome.torn
        self.leftover_bytes += outcome.leftover_bytes
        if not outcome.ok:
            self.failed += 1
            self.failures.append(f"{outcome.point}: {outcome}")


class Skipped(Exception):
    """A fault that cannot be tried on this machine, with the reason."""


def tried(name: str, fault: Fault, place: Path, quick: bool) -> Row:
    """Tries a fault at its points and counts what came of it."""
    row = Row(name)
    began = time.monotonic()
    try:
        for outcome in fault(place, quick):
            row.add(outcome)
    except Skipped as skipped:
        row.skipped = str(skipped)
    row.seconds = time.monotonic() - began
    return row
