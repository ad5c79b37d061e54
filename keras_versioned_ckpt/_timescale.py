"""Instants on a line of limited length, on which long idle times are cut out.

A store often sees an hour of training, and nothing for weeks. On an even line that
hour would be a dot.
"""

import bisect
import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

#: How wide an idle time that was cut out is drawn, in pixels.
CUT = 22.0
_MOST_CUTS = 8
# An idle time is cut out if it is this many times as long as the others on average, and
# takes more than this share of the line.
_TIMES_THE_OTHERS = 20
_SHARE = 0.05
_LEAST_WIDTH = 26.0
_STEPS = [
    timedelta(seconds=seconds)
    for seconds in (
        *(1, 2, 5, 10, 15, 30),
        *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
        *(3600 * hours for hours in (1, 2, 3, 6, 12)),
        *(86400 * days for days in (1, 2, 7, 14, 28, 91, 182, 364, 1820, 18200)),
    )
]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclasses.dataclass(frozen=True)
class Tick:
    """A mark on the line.

    Args:
        at: Where, in pixels.
        time: The time of day as text; empty for whole days.
        date: The day as text; empty where it is that of the tick before.
    """

    at: float
    time: str
    date: str


class Timescale:
    """A line on which each instant has its place.

    Args:
        events: The instants that matter; at least one.
        start: Where the line begins, in pixels.
        end: Where it ends.
    """

    def __init__(self, events: Iterable[datetime], start: float, end: float) -> None:
        spans = _spans(sorted(set(events)))
        length = sum((last - first for first, last in spans), timedelta())
        free = end - start - CUT * (len(spans) - 1)
        least = min(_LEAST_WIDTH, free / len(spans))
        spare = free - least * len(spans)
        self.start, self.end = start, end
        self._instants: list[datetime] = []
        self._places: list[float] = []
        place = start
        for first, last in spans:
            share = (last - first) / length if length else 1 / len(spans)
            width = least + spare * share
            self._instants += [first, last]
            self._places += [place, place + width]
            place += width + CUT

    @property
    def cuts(self) -> list[tuple[float, float]]:
        """Where an idle time was cut out: from where to where, in pixels."""
        return [*zip(self._places[1:-1:2], self._places[2::2], strict=True)]

    def place(self, moment: datetime) -> float:
        """Returns where an instant is; one beyond the line is at its end."""
        i = bisect.bisect_left(self._instants, moment)
        if i == len(self._instants):
            return self._places[-1]
        if i == 0 or self._instants[i] == moment:
            return self._places[i]
        before, after = self._instants[i - 1 : i + 1]
        share = (moment - before) / (after - before)
        return self._places[i - 1] + share * (self._places[i] - self._places[i - 1])

    def ticks(self, apart: float) -> list[Tick]:
        """Returns marks at round times, and at the beginning of each part.

        Args:
            apart: How far apart they are at the least, in pixels.
        """
        spans = [*zip(self._instants[::2], self._instants[1::2], strict=True)]
        moments = [first.replace(microsecond=0) for first, _ in spans]
        for i, (first, last) in enumerate(spans):
            width = self._places[2 * i + 1] - self._places[2 * i]
            moments += _round_times(first, last, width, apart)
        places: dict[datetime, float] = {}
        # Where parts begin matters most, and what is in the list first.
        for moment in moments:
            at = self.place(moment)
            if all(abs(at - other) >= apart for other in places.values()):
                places[moment] = at
        found: list[Tick] = []
        day = ""
        for moment, at in sorted(places.items()):
            date = moment.date().isoformat()
            time = "" if _is_midnight(moment) else f"{moment:%H:%M:%S}"
            found.append(
                Tick(at, time.removesuffix(":00"), date if date != day else "")
            )
            day = date
        return found


def _spans(instants: Sequence[datetime]) -> list[tuple[datetime, datetime]]:
    """Divides the time between the first and the last instant at long idle times."""
    gaps = sorted(
        ((b - a, a, b) for a, b in itertools.pairwise(instants)), reverse=True
    )
    left = instants[-1] - instants[0]
    cut: list[tuple[datetime, datetime]] = []
    for i, (gap, a, b) in enumerate(gaps[:_MOST_CUTS]):
        others = len(gaps) - i - 1
        if not others or gap < _SHARE * left:
            break
        if gap * others < _TIMES_THE_OTHERS * (left - gap):
            break
        cut.append((a, b))
        left -= gap
    ends = [a for a, _ in sorted(cut)] + [instants[-1]]
    starts = [instants[0]] + [b for _, b in sorted(cut)]
    return [*zip(starts, ends, strict=True)]


def _round_times(
    first: datetime, last: datetime, width: float, apart: float
) -> Iterable[datetime]:
    count = int(width / apart)
    if count < 2 or first == last:
        return
    step = next((s for s in _STEPS if s * count >= last - first), _STEPS[-1])
    # In whole steps from an epoch of its own: there is no year 0 to count from.
    n = -((_EPOCH - first) // step)
    while _EPOCH + n * step <= last:
        yield _EPOCH + n * step
        n += 1
        if n * step > datetime.max.replace(tzinfo=UTC) - _EPOCH:
            return


def _is_midnight(moment: datetime) -> bool:
    return (moment.hour, moment.minute, moment.second) == (0, 0, 0)
