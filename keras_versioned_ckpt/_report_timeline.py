"""The retention of a report: what lived when, and why it went."""

import collections
import string
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from keras_versioned_ckpt import _svg
from keras_versioned_ckpt._markup import Markup, element, joined
from keras_versioned_ckpt._messages import shortened
from keras_versioned_ckpt._report_facts import Facts, fate, instant, named, plural
from keras_versioned_ckpt._report_parts import (
    frame,
    legend,
    mark_sign,
    section,
    sentence,
    sign,
    wide_and_narrow,
)
from keras_versioned_ckpt._timescale import Timescale
from keras_versioned_ckpt.records import HistoryEntry

#: How many versions are drawn: the newest ones.
MOST_ROWS = 200
# With more rows than these they are thin, and not all of them have their names.
_ROOMY = 70
_EVERY = 10
_MOST_REASONS = 12
_NAME = 16

_Why = tuple[str, str]


def timeline(facts: Facts) -> Markup:
    """Returns the section about what was kept and what went."""
    if not facts.entries:
        words = "No version was ever saved here."
        return section("retention", "Retention", sentence(words))
    entries = facts.entries[-MOST_ROWS:]
    counts = collections.Counter(_why(e) for e in facts.entries if e.gone)
    keys = dict(
        zip(
            sorted(counts, key=lambda why: (-counts[why], why))[:_MOST_REASONS],
            string.ascii_lowercase,
            strict=False,
        )
    )
    older = len(facts.entries) - len(entries)
    height = 46 + _height(entries) * len(entries)
    wide = frame(960, height, left=174, right=78, top=6)
    narrow = frame(340, height, left=48, right=22, top=6)
    return section(
        "retention",
        "What lived when, and why it went",
        sentence(
            f"{plural(len(facts.there), 'version')} there, {facts.gone:,} gone. "
            "Each bar begins when its version was saved and ends when it was removed; "
            "what is there reaches the right edge. Times are in UTC.",
            class_="lead",
        ),
        sentence(
            f"{plural(older, 'older version')} not drawn; the newest {MOST_ROWS} are.",
            class_="note",
        )
        if older
        else None,
        element(
            "figure",
            wide_and_narrow(
                _drawing(facts, entries, keys, "timeline-wide", wide),
                _drawing(facts, entries, keys, "timeline-narrow", narrow),
            ),
            _legend(facts, entries, bool(_scale(entries, wide).cuts)),
        ),
        _reasons(counts, keys),
    )


def _why(entry: HistoryEntry) -> _Why:
    return shortened(entry.reason), shortened(entry.policy)


def _drawing(
    facts: Facts,
    entries: Sequence[HistoryEntry],
    keys: Mapping[_Why, str],
    name: str,
    size: _svg.Frame,
) -> Markup:
    height = _height(entries)
    scale = _scale(entries, size)
    there = sum(not entry.gone for entry in entries)
    rows = [
        _row(facts, entry, keys, scale, size, size.top + height * i, height, i)
        for i, entry in enumerate(entries)
    ]
    return _svg.drawing(
        name,
        "Versions from when they were saved to when they were removed",
        f"{plural(len(entries), 'version')}, the oldest at the top; {there} of them "
        "there. The table of versions says when and why each went.",
        size,
        *_days(scale, size),
        *rows,
    )


def _height(entries: Sequence[HistoryEntry]) -> float:
    return 17 if len(entries) <= _ROOMY else 6


def _scale(entries: Sequence[HistoryEntry], size: _svg.Frame) -> Timescale:
    created = [entry.version.created for entry in entries]
    removed = [entry.removed for entry in entries if entry.removed is not None]
    # What is there is drawn to the edge: up to now would often be weeks of nothing.
    return Timescale([*created, *removed], *size.x)


def _row(
    facts: Facts,
    entry: HistoryEntry,
    keys: Mapping[_Why, str],
    scale: Timescale,
    size: _svg.Frame,
    y: float,
    height: float,
    i: int,
) -> Markup:
    left, right = size.x
    middle = y + height / 2
    thick = 9 if height > 10 else 4
    start = scale.place(entry.version.created)
    end = right if entry.removed is None else scale.place(entry.removed)
    end = max(end, start + 2)
    wide = size.width > 500
    parts = [
        element("title", f"{_span(entry)}; {fate(entry)}") if wide else None,
        element(
            "rect",
            x=_svg.px(start),
            y=_svg.px(middle - thick / 2),
            width=_svg.px(end - start),
            height=thick,
            rx=2 if height > 10 else 1,
        ),
    ]
    role = facts.role(entry)
    if role not in ("there", "gone"):
        parts.append(_svg.mark(role, start, middle, "hollow" if entry.gone else ""))
    if height > 10 or i % _EVERY == 0:
        number = str(entry.number)
        place = 42 if wide else left - 14
        parts.append(
            _svg.label(number, place, middle + 4, text_anchor="end", class_="number")
        )
        if wide:
            words = shortened(named(entry.name), _NAME)
            parts.append(_svg.label(words, place + 10, middle + 4))
    if height > 10:
        words, x = keys.get(_why(entry), ""), end + 6
        if not entry.gone:
            words = " ".join(map(named, entry.version.tags[:1])) if wide else ""
            words, x = shortened(words, 11), right + 8
        if words:
            parts.append(_svg.label(words, x, middle + 4, class_="key"))
    state = "there" if not entry.gone else "gone" if entry.removed else "gone unknown"
    return element("g", *parts, class_=f"life {state}")


def _span(entry: HistoryEntry) -> str:
    version = entry.version
    words = f"{named(version.name)}, saved {instant(version.created)} UTC"
    if entry.removed is None:
        return words
    lived = max(entry.removed - version.created, timedelta())
    return f"{words}, lived {lived - timedelta(microseconds=lived.microseconds)}"


def _days(scale: Timescale, size: _svg.Frame) -> Iterator[Markup]:
    bottom, top = size.y
    for begin, end in scale.cuts:
        yield element(
            "rect",
            x=_svg.px(begin + 4),
            y=_svg.px(top),
            width=_svg.px(end - begin - 8),
            height=_svg.px(bottom - top),
            class_="cut",
        )
    yield _svg.line([(size.x[0], bottom), (size.x[1], bottom)], "base")
    for tick in scale.ticks(76):
        yield _svg.line([(tick.at, top), (tick.at, bottom + 4)], "grid")
        lines = [words for words in (tick.time, tick.date) if words]
        for n, words in enumerate(lines):
            yield _svg.foot(size, words, tick.at, row=n)


def _legend(facts: Facts, entries: Sequence[HistoryEntry], cut: bool) -> Markup:
    def bar(state: str) -> Markup:
        shape = element("rect", x=1, y=4.5, width=30, height=9, rx=2)
        return sign(element("g", shape, class_=f"life {state}"), width=32)

    items = []
    if any(not entry.gone for entry in entries):
        items.append((bar("there"), "there"))
    if any(entry.gone and entry.removed for entry in entries):
        letters = "; the letter says why" if _height(entries) > 10 else ""
        items.append((bar("gone"), f"gone{letters}"))
    if any(entry.gone and not entry.removed for entry in entries):
        items.append((bar("gone unknown"), "gone, and nobody recorded when"))
    if cut:
        shade = element("rect", x=3, y=1, width=12, height=16, class_="cut")
        items.append((sign(shade), "nothing happened for long: cut short"))
    roles = {facts.role(entry) for entry in entries}
    for role, words in (
        ("best", "the best that is there"),
        ("tagged", "tagged"),
        ("resumed-from", "a training went on from it"),
    ):
        if role in roles:
            items.append((mark_sign(role), words))
    return legend(items)


def _reasons(counts: Mapping[_Why, int], keys: Mapping[_Why, str]) -> Markup | None:
    """Returns the reasons for which versions went, the most frequent ones first."""
    if not counts:
        return None
    rows = [
        element(
            "li",
            element("b", key, class_="key"),
            element(
                "span",
                why[0],
                " " if why[1] else None,
                element("code", why[1]) if why[1] else None,
                element("span", f" {plural(counts[why], 'version')}", class_="count"),
            ),
        )
        for why, key in keys.items()
    ]
    others = sum(counts.values()) - sum(counts[why] for why in keys)
    more = f"{plural(others, 'more version')} for other reasons; the table has them."
    return joined(
        [
            element("h3", "Why versions went"),
            element("ol", *rows, class_="reasons"),
            sentence(more, class_="note") if others else None,
        ]
    )
