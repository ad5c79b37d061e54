"""Measures how far the memory of a process grows while it saves (Linux only).

One process measures one contestant, so that nobody finds memory that another has
touched. The peak is the kernel's: `VmHWM`, set back before each save and read when
the save is done, less what the process held before the first one. Training goes on
between saves, and takes more and more memory by itself, by and by less; so that this
does not count, the model first trains as long without saving.
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
        before: Bytes that the process held before the first save.
        peaks: The most it held during each save.
    """

    def __init__(self, contestant: Contestant, saves: int) -> None:
        super().__init__([contestant], saves)
        self.before = 0
        self.peaks: list[int] = []

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Looks before anybody takes memory for saves to come."""
        self.before = _status_bytes("VmRSS")
        super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Saves, waits, and notes the peak."""
        Path("/proc/self/clear_refs").write_text("5")
        super().on_epoch_end(epoch, logs)
        self.peaks.append(_status_bytes("VmHWM"))


def peak(width: int, name: str, saves: int, directory: str) -> dict[str, Any]:
    """Returns the extra peak over some saves; over many, also how it grew.

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
    arena.play(
        model, arena.Arena([_enter(contest.NO_SAVING, model, directory, "none")], saves)
    )
    gc.collect()
    watched = Peaks(_enter(name, model, directory, "measured"), saves)
    arena.play(model, watched)
    found: dict[str, Any] = {
        "bytes": bytes_saved,
        "memory": {name: [max(watched.peaks) - watched.before]},
    }
    if saves >= 2 * ENDS:
        first, last = watched.peaks[:ENDS], watched.peaks[-ENDS:]
        found["growth"] = {name: [statistics.median(last) - statistics.median(first)]}
    return found


def _enter(name: str, model: Any, directory: str, room: str) -> Contestant:
    return enter(name, Path(directory) / room, models.content(model))


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"/proc/self/status has no {field}")
