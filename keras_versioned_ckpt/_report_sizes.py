"""The sizes of a report: of each version, and of all that were on the disk."""

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime

from keras_versioned_ckpt import _svg
from keras_versioned_ckpt._markup import Markup, element
from keras_versioned_ckpt._messages import rounded_size
from keras_versioned_ckpt._report_facts import Facts, plural
from keras_versioned_ckpt._report_parts import frame, legend, section, sentence, sign
from keras_versioned_ckpt._timescale import Timescale
from keras_versioned_ckpt.records import HistoryEntry

_WIDEST_BAR = 14.0


def sizes(facts: Facts) -> Markup:
    """Returns the section about sizes."""
    if not facts.entries:
        return section("sizes", "Sizes", sentence("Nothing is on the disk."))
    written = sum(entry.version.size_bytes for entry in facts.entries)
    left = sum(version.size_bytes for version in facts.there)
    # A version of which nobody recorded when it went is in the first chart alone.
    changes = total(facts.entries)
    most = max(size for _, size in changes) if changes else 0
    return section(
        "sizes",
        "Sizes",
        sentence(
            f"{rounded_size(left)} on the disk now, at most {rounded_size(most)} at a "
            f"time; {rounded_size(written)} were written in all.",
            class_="lead",
        ),
        element(
            "div",
            element(
                "figure",
                element("figcaption", "Size of each version, by number"),
                _bars(facts.entries),
                _legend(facts.entries),
            ),
            element(
                "figure",
                element("figcaption", "On the disk over time (UTC)"),
                _area(changes),
            )
            if changes
            else None,
            class_="pair",
        ),
    )


def total(entries: Sequence[HistoryEntry]) -> list[tuple[datetime, int]]:
    """Returns how many bytes were on the disk after each save and each removal.

    Versions of which it is not known when they went are left out.
    """
    known = [entry for entry in entries if entry.removed or not entry.gone]
    changes = [(entry.version.created, entry.version.size_bytes) for entry in known]
    changes += [
        # A clock that was put back may have had it removed before it was there.
        (max(entry.removed, entry.version.created), -entry.version.size_bytes)
        for entry in known
        if entry.removed is not None
    ]
    changes.sort(key=lambda change: (change[0], change[1] < 0))
    at = [moment for moment, _ in changes]
    return [*zip(at, itertools.accumulate(size for _, size in changes), strict=True)]


def _bars(entries: Sequence[HistoryEntry]) -> Markup:
    size = frame(460, 220, left=64)
    left, right = size.x
    largest = max(entry.version.size_bytes for entry in entries)
    up = _svg.Scale([max(largest, 1)], size.y, zero=True)
    numbers = [entry.number for entry in entries]
    band = (right - left) / (numbers[-1] - numbers[0] + 1)
    across = _svg.Scale(numbers, (left + band / 2, right - band / 2))
    width = min(_WIDEST_BAR, max(band * 0.7, 0.5))
    bars = []
    for state in ("gone", "there"):
        tops = [
            (across.place(entry.number), up.place(entry.version.size_bytes))
            for entry in entries
            if entry.gone == (state == "gone")
        ]
        if tops:
            data = _svg.columns(_svg.thinned(tops), size.y[0])
            bars.append(
                element(
                    "path", d=data, class_=f"bar {state}", stroke_width=f"{width:.3g}"
                )
            )
    whole = [v for v in across.ticks(6, whole=True) if numbers[0] <= v <= numbers[-1]]
    columns = [(across.place(value), f"{value:.0f}") for value in whole]
    return _svg.drawing(
        "sizes-each",
        "Size of each version",
        f"{plural(len(entries), 'version')}, the largest of {rounded_size(largest)}. "
        "The table of versions has each size.",
        size,
        _svg.grid(size, _size_ticks(up)),
        *bars,
        _svg.feet(size, columns),
    )


def _area(changes: Sequence[tuple[datetime, int]]) -> Markup:
    size = frame(460, 220, left=64)
    scale = Timescale([moment for moment, _ in changes], *size.x)
    most = max(total for _, total in changes)
    up = _svg.Scale([max(most, 1)], size.y, zero=True)
    places = [(scale.place(moment), up.place(total)) for moment, total in changes]
    bottom = size.y[0]
    # To the right edge: it is still there.
    corners = _svg.stairs([*_svg.thinned(places), (size.x[1], places[-1][1])])
    ticks = scale.ticks(72)
    return _svg.drawing(
        "sizes-total",
        "Bytes on the disk over time",
        f"At most {rounded_size(most)}, at the end {rounded_size(changes[-1][1])}.",
        size,
        _svg.grid(size, _size_ticks(up)),
        *[
            element(
                "rect",
                x=_svg.px(begin + 4),
                y=_svg.px(size.y[1]),
                width=_svg.px(end - begin - 8),
                height=_svg.px(bottom - size.y[1]),
                class_="cut",
            )
            for begin, end in scale.cuts
        ],
        _svg.line([*corners, (size.x[1], bottom), (places[0][0], bottom)], "area"),
        _svg.line(corners, "edge"),
        _svg.feet(size, [(tick.at, tick.time or tick.date) for tick in ticks]),
        *[
            _svg.foot(size, tick.date, tick.at, row=1)
            for tick in ticks
            if tick.time and tick.date
        ],
    )


def _size_ticks(up: _svg.Scale) -> Iterator[tuple[float, str]]:
    for value in up.ticks(4, whole=True):
        yield up.place(value), rounded_size(round(value))


def _legend(entries: Sequence[HistoryEntry]) -> Markup:
    def bar(state: str) -> Markup:
        shape = element("path", d="M9 16V3", class_=f"bar {state}", stroke_width=9)
        return sign(shape)

    items = []
    if any(not entry.gone for entry in entries):
        items.append((bar("there"), "there"))
    if any(entry.gone for entry in entries):
        items.append((bar("gone"), "gone"))
    return legend(items)
