"""Small drawings as SVG: scales, round ticks, axes, paths, marks."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence

from keras_versioned_ckpt._markup import Child, Markup, element

Point = tuple[float, float]

# A logarithmic axis serves where the largest value is more times the smallest.
_DECADES = 1000.0
# Of a power of ten that is a float.
_LARGEST = 307
# Each mark begins at its middle; the shapes differ, and so do their colours.
_SHAPES = {
    "there": "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
    "gone": "m-2.5-2.5l5 5m0-5l-5 5",
    "resumed-from": "m0-5.5l5.2 9h-10.4z",
    "tagged": "m0-5.5l5.5 5.5l-5.5 5.5l-5.5-5.5z",
    "best": ("m0-7.5l2.2 4.6l5 .7l-3.6 3.5l.9 5l-4.5-2.4l-4.5 2.4l.9-5l-3.6-3.5l5-.7z"),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    """The size of a drawing and of the margins around what it shows, in pixels."""

    width: float
    height: float
    left: float
    right: float
    top: float = 12
    bottom: float = 40

    @property
    def x(self) -> tuple[float, float]:
        """Where the inside begins and ends, from left to right."""
        return self.left, self.width - self.right

    @property
    def y(self) -> tuple[float, float]:
        """Where the inside begins and ends, from the bottom to the top."""
        return self.height - self.bottom, self.top


class Scale:
    """Maps values to places, evenly or by their logarithms.

    Args:
        values: Finite numbers, between the least and the greatest of which it reaches;
            at least one.
        places: Where it begins and ends, in pixels.
        zero: Whether it reaches to zero as well. Defaults to `False`.
        wide: Whether it becomes logarithmic for positive values that differ by more
            than a factor of 1,000. Defaults to `False`.
        margin: How far the values stay from both ends, as a share of the whole.
    """

    def __init__(
        self,
        values: Iterable[float],
        places: tuple[float, float],
        *,
        zero: bool = False,
        wide: bool = False,
        margin: float = 0.0,
    ) -> None:
        known = [float(value) for value in values] + [0.0] * zero
        low, high = min(known), max(known)
        self.logarithmic = wide and low > 0 and high / low > _DECADES
        self.low, self.high = low, high
        self._begin, self._end = places
        low, high = self._inner(low), self._inner(high)
        if low == high:
            room = abs(low) * 0.1 or 0.5
            low, high = low - room, high + room
        room = (high - low) * margin
        self._low, self._high = low - room, high + room

    def place(self, value: float) -> float:
        """Returns where a value is, in pixels."""
        share = (self._inner(value) - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)

    def ticks(self, count: int, *, whole: bool = False) -> list[float]:
        """Returns round values on the scale.

        Args:
            count: How many there are, about.
            whole: Whether only whole numbers will do. Defaults to `False`.
        """
        if self.logarithmic:
            lowest, highest = math.ceil(self._low * 4), math.floor(self._high * 4)
            every = max(1, math.ceil((highest - lowest + 1) / count))
            powers = range(math.ceil(lowest / every) * every, highest + 1, every)
            return [10.0**power for power in powers if abs(power) <= _LARGEST]
        step = _round_step((self._high - self._low) / max(count, 1))
        if whole:
            step = max(step, 0.25)
        first, last = math.ceil(self._low / step), math.floor(self._high / step)
        if not math.isfinite(step) or last - first > 4 * count:
            return [self.low, self.high]
        # A quarter is what the inner values are made of.
        found = [4 * step * n for n in range(first, last + 1)]
        return [value for value in found if math.isfinite(value)]

    def _inner(self, value: float) -> float:
        # A quarter of each value, so that the difference of any two is finite.
        return math.log10(value) / 4 if self.logarithmic else value / 4


def _round_step(least: float) -> float:
    """Returns the smallest quarter of 1, 2 or 5 times a power of ten above `least`."""
    if not 1e-300 < least * 4 < 1e300:
        return math.inf
    power = 10.0 ** math.floor(math.log10(least * 4))
    factor = next((f for f in (1, 2, 5) if f * power >= least * 4), 10)
    return factor * power / 4


def ticks_text(values: Sequence[float]) -> list[tuple[float, str]]:
    """Returns values on a scale, each with a text that tells it from the others."""
    apart = [abs(b - a) for a, b in itertools.pairwise(values) if a != b]
    largest = max(map(abs, values), default=0.0)
    if not apart or largest >= 1e6 or largest < 1e-3:
        return [(value, f"{value:.6g}") for value in values]
    decimals = min(max(0, -math.floor(math.log10(min(apart)) + 1e-9)), 12)
    rounded = [round(value, decimals) for value in values]
    # Decades apart, on a logarithmic scale, as many decimals do not suit them all.
    if not all(map(math.isclose, values, rounded)):
        return [(value, f"{value:g}") for value in values]
    return [(value, f"{value:,.{decimals}f}") for value in values]


def drawing(
    name: str, title: str, description: str, frame: Frame, *children: Child
) -> Markup:
    """Returns a drawing that says what it shows.

    Args:
        name: Its id on the page; its title's and description's begin with it.
        title: What it is.
        description: What can be seen in it, for those who cannot.
        frame: Its size.
        *children: What is in it.
    """
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *children,
        id=name,
        viewBox=f"0 0 {frame.width:g} {frame.height:g}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def px(place: float) -> str:
    """Returns a place to a tenth of a pixel, as short as possible."""
    return f"{place:.1f}".removesuffix(".0")


def label(words: str, x: float, y: float, **attributes: str | None) -> Markup:
    """Returns words at a place."""
    return element("text", words, x=px(x), y=px(y), **attributes)


def line(points: Sequence[Point], class_: str) -> Markup:
    """Returns a line through points."""
    return element("path", d=path(points), class_=class_)


def path(points: Sequence[Point]) -> Markup:
    """Returns the data of a path through points."""
    return Markup("M" + "L".join([f"{px(x)} {px(y)}" for x, y in points]))


def columns(tops: Sequence[Point], bottom: float) -> Markup:
    """Returns the data of a path of upright lines from the bottom."""
    foot = px(bottom)
    return Markup("".join([f"M{px(x)} {foot}V{px(y)}" for x, y in tops]))


def stairs(points: Sequence[Point]) -> list[Point]:
    """Returns the corners of stairs that have each point's height from it on."""
    corners = list(points[:1])
    for (_, before), (x, y) in itertools.pairwise(points):
        corners += [(x, before), (x, y)]
    return corners


def mark(shape: str, x: float, y: float, class_: str = "", title: str = "") -> Markup:
    """Returns a mark: `"there"`, `"gone"`, `"resumed-from"`, `"tagged"`, `"best"`.

    Args:
        shape: Which.
        x: Its middle, in pixels.
        y: Its middle.
        class_: A class for its colour, besides that of its shape.
        title: What it stands for.
    """
    return element(
        "path",
        element("title", title) if title else None,
        d=f"M{px(x)} {px(y)}{_SHAPES[shape]}",
        class_=f"mark {shape} {class_}".rstrip(),
    )


def thinned(points: Sequence[Point]) -> list[Point]:
    """Returns points that look the same, a few for each pixel from left to right.

    Of those in one column it keeps the first, the lowest, the highest and the last.

    Args:
        points: Points from left to right.
    """
    columns: dict[int, list[Point]] = {}
    for point in points:
        columns.setdefault(round(point[0]), []).append(point)
    kept: list[Point] = []
    for column in columns.values():
        if len(column) <= 4:
            kept += column
            continue
        order = range(len(column))
        telling = {
            0,
            min(order, key=lambda i: column[i][1]),
            max(order, key=lambda i: column[i][1]),
            len(column) - 1,
        }
        kept += [column[i] for i in sorted(telling)]
    return kept


def grid(frame: Frame, at: Iterable[tuple[float, str]]) -> Markup:
    """Returns lines across the drawing, with their values on the left."""
    left, right = frame.x
    rows = [
        (
            line([(left, y), (right, y)], "grid"),
            label(words, left - 8, y + 4, text_anchor="end"),
        )
        for y, words in at
    ]
    return element("g", *[part for row in rows for part in row], class_="axis")


def foot(frame: Frame, words: str, x: float, row: int = 0) -> Markup:
    """Returns words below the drawing, whole also where they are at its right edge."""
    half = 3.4 * len(words)
    at = min(x, frame.width - half)
    return label(words, at, frame.y[0] + 17 + 14 * row, text_anchor="middle")


def feet(frame: Frame, at: Iterable[tuple[float, str]], name: str = "") -> Markup:
    """Returns marks below the drawing, with their values, and what these are."""
    left, right = frame.x
    bottom, _ = frame.y
    parts = [line([(left, bottom), (right, bottom)], "base")]
    for x, words in at:
        parts.append(line([(x, bottom), (x, bottom + 4)], "base"))
        parts.append(foot(frame, words, x))
    if name:
        place = (left + right) / 2, frame.height - 4
        parts.append(label(name, *place, text_anchor="middle", class_="name"))
    return element("g", *parts, class_="axis")
