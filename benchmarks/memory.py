"""Measures how far the memory of a process grows while it saves (Linux only).

One process measures one contestant, so that nobody finds memory that another has
touched. The peak is the kernel's: `VmHWM`, set back before each save and read when the
save is done. Training takes memory by itself: the model first trains as long without
saving, and what the process then holds at such moments is what a peak is compared
with.
"""

import gc
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import arena
import contest
import models
from peers import Contestant, enter

# How many saves are the first ones and the last ones.
ENDS = 10


class Peaks(arena.Arena):
    """An arena of one contestant that looks at memory instead of at the clock.

    Attributes:
        peaks: The most it held during each save.
    """

    def __init__(self, contestant: Contestant, saves: int) -> None:
        super().__init__([contestant], saves)
        self.peaks: list[int] = []

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Saves, waits, and notes the peak."""
        Path("/proc/self/clear_refs").write_text("5")
        super().on_epoch_end(epoch, logs)
        self.peaks.append(_status_bytes("VmHWM"))


def peak(width: int, name: str, saves: int, directory: str) -> dict[str, Any]:
    """Returns the extra peak, the median of some saves; over many, also how it grew.

    Args:
        width: Of the model.
        name: The contestant.
        saves: How many saves. From twice `ENDS` on, growth is what the median
            peak of the last ones is above that of the first ones.
        directory: Where to save.
    """
    # What is imported or started at the first save is no cost of a save.
    small = models.trained(contest.WIDTHS["small"])
    arena.play(small, arena.Arena([_enter(name, small, directory, "warm-up")], 2))
    model = models.trained(width)
    bytes_saved = models.content(model).nbytes
    peaks = []
    for number, who in enumerate((contest.NO_SAVING, contest.NO_SAVING, name)):
        gc.collect()
        watched = Peaks(_enter(who, model, directory, str(number)), saves)
        arena.play(model, watched)
        peaks.append(watched.peaks)
    _, without, with_saving = peaks
    found: dict[str, Any] = {
        "bytes": bytes_saved,
        "memory": {name: [statistics.median(with_saving) - statistics.median(without)]},
    }
    if saves >= 2 * ENDS:
        first, last = with_saving[:ENDS], with_saving[-ENDS:]
        found["growth"] = {name: [statistics.median(last) - statistics.median(first)]}
    return found


def _enter(name: str, model: Any, directory: str, room: str) -> Contestant:
    return enter(name, Path(directory) / room, models.content(model))


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"/proc/self/status has no {field}")
