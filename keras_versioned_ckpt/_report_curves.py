"""The curves of a report: metrics over the training, with the versions on them."""

import itertools
from collections.abc import Callable, Iterator, Sequence

from keras_versioned_ckpt import _svg
from keras_versioned_ckpt._markup import Child, Markup, element
from keras_versioned_ckpt._ranking import best_first, recorded_mode
from keras_versioned_ckpt._report_facts import Facts, fate, named, number, plural
from keras_versioned_ckpt._report_parts import (
    frame,
    legend,
    mark_sign,
    run_class,
    section,
    sentence,
    sign,
    wide_and_narrow,
)
from keras_versioned_ckpt._report_plotted import Curve
from keras_versioned_ckpt._report_plotted import curve as plotted
from keras_versioned_ckpt.records import HistoryEntry

#: How many versions have a mark of their own on the curve: the newest ones.
MOST_MARKS = 1000
#: How many further metrics have a small curve.
MOST_CURVES = 12
_MOST_RUNS = 12
_MOST_NAMED = 8
_TAG = 14
# From the back to the front.
_ROLES = {
    "gone": "gone",
    "there": "there",
    "resumed-from": "a training went on from it",
    "tagged": "tagged",
    "best": "the best that is there",
}


def curves(facts: Facts) -> Markup:
    """Returns the section about the metrics."""
    curve = None if facts.metric is None else plotted(facts, facts.metric)
    if facts.metric is None or curve is None:
        words = (
            "No version has a finite value of any metric, so that no curve is drawn."
        )
        return section("curve", "Metrics", sentence(words))
    others = [plotted(facts, name) for name in facts.metrics if name != facts.metric]
    drawn = [other for other in others if other is not None]
    return section(
        "curve",
        f"{named(facts.metric)} over the training",
        sentence(_best_words(facts, facts.metric), class_="lead"),
        element(
            "figure",
            wide_and_narrow(
                _drawing(
                    facts, curve, "curve-wide", frame(960, 380, right=58), marked=True
                ),
                _drawing(facts, curve, "curve-narrow", frame(340, 280, left=46), True),
            ),
            _legend(facts, curve),
        ),
        _notes(curve),
        _small(facts, drawn),
    )


def _small(facts: Facts, drawn: Sequence[Curve]) -> Markup | None:
    if not drawn:
        return None
    small = [
        element(
            "figure",
            element("figcaption", named(curve.metric)),
            _drawing(
                facts,
                curve,
                f"metric-{i}",
                frame(300, 170, left=52, right=14, bottom=24),
                marked=False,
            ),
            _not_plotted(curve),
        )
        for i, curve in enumerate(drawn[:MOST_CURVES], start=1)
    ]
    left_out = len(drawn) - len(small)
    return element(
        "div",
        element("h3", "The other metrics"),
        element("div", *small, class_="multiples"),
        sentence(f"{plural(left_out, 'more metric')} not drawn; the table has them.")
        if left_out
        else None,
    )


def _drawing(
    facts: Facts, curve: Curve, name: str, size: _svg.Frame, marked: bool
) -> Markup:
    entries = curve.entries
    across = _svg.Scale(
        [curve.of(entry.version) for entry in entries], size.x, margin=0.02
    )
    up = _svg.Scale(
        [entry.version.metrics[curve.metric] for entry in entries],
        size.y,
        wide=True,
        margin=0.06,
    )

    def at(entry: HistoryEntry) -> _svg.Point:
        version = entry.version
        return across.place(curve.of(version)), up.place(version.metrics[curve.metric])

    count = 6 if size.height > 300 else 4
    rows = [
        (up.place(value), words)
        for value, words in _svg.ticks_text(up.ticks(count))
        if size.y[1] - 1 <= up.place(value) <= size.y[0] + 1
    ]
    columns = [
        (across.place(value), words)
        for value, words in _svg.ticks_text(
            across.ticks(int(size.width / 60), whole=True)
        )
    ]
    scale = " (logarithmic scale)" if up.logarithmic else ""
    return _svg.drawing(
        name,
        f"{named(curve.metric)} over {curve.axis}{scale}",
        f"{plural(len(entries), 'version')} of {plural(len(facts.runs), 'run')}, "
        f"with values from {number(up.low)} to {number(up.high)}. "
        "The table of versions has each value.",
        size,
        _svg.grid(size, rows),
        _svg.feet(size, columns, curve.axis if marked else ""),
        *_lines(facts, curve, at),
        *(_labels(facts, curve, at, size) if marked and size.right > 40 else ()),
        *_marks(facts, curve, at, marked, titles=size.width > 500),
    )


def _lines(
    facts: Facts, curve: Curve, at: Callable[[HistoryEntry], _svg.Point]
) -> Iterator[Markup]:
    places = {entry.number: at(entry) for entry in curve.entries}
    for i, (run, parts) in enumerate(zip(facts.runs, curve.runs, strict=True)):
        if parts and run.resumed_from in places:
            ends = [places[run.resumed_from], places[parts[0][0].number]]
            yield _svg.line(ends, "went-on")
        # What was saved by hand is no training, and has no curve.
        for part in parts if run.run_id is not None else ():
            if len(part) > 1:
                points = _svg.thinned([places[entry.number] for entry in part])
                yield _svg.line(points, f"run {run_class(i)}")


def _labels(
    facts: Facts,
    curve: Curve,
    at: Callable[[HistoryEntry], _svg.Point],
    size: _svg.Frame,
) -> Iterator[Markup]:
    """Yields the names of the newest runs, beside the ends of their lines."""
    labels = facts.run_labels
    ends = [
        (*at(parts[-1][-1]), labels[run.run_id], i)
        for i, (run, parts) in enumerate(zip(facts.runs, curve.runs, strict=True))
        if parts and run.run_id is not None
    ]
    points = [at(entry) for entry in curve.entries]
    taken: list[_svg.Point] = []
    for x, y, words, i in reversed(ends[-_MOST_RUNS:]):
        near = [py for px, py in points if x < px < x + 54]
        near += [ty for tx, ty in taken if abs(tx - x) < 48]
        free = next(
            (
                y + away
                for away in (0, 14, -14, 28, -28, 42, -42, 56, -56)
                if all(abs(y + away - other) >= 11 for other in near)
                and size.y[1] <= y + away <= size.y[0]
            ),
            None,
        )
        # Where there is no room the legend has to do.
        if free is not None:
            taken.append((x, free))
            classes = f"run-name {run_class(i)}"
            yield _svg.label(words, x + 10, free + 4, class_=classes)


def _marks(
    facts: Facts,
    curve: Curve,
    at: Callable[[HistoryEntry], _svg.Point],
    marked: bool,
    titles: bool,
) -> Iterator[Markup]:
    places = {run.run_id: i for i, run in enumerate(facts.runs)}
    order = [*_ROLES]
    found = _all_marked(facts, curve) if marked else _least_marked(facts, curve)
    for entry in sorted(found, key=lambda e: order.index(facts.role(e))):
        x, y = at(entry)
        classes = run_class(places[entry.version.run_id])
        if entry.gone:
            classes += " hollow"
        title = _title(facts, curve, entry) if titles else ""
        yield _svg.mark(facts.role(entry), x, y, classes, title)
        if marked and titles and entry.version.tags:
            tag = named(entry.version.tags[0])
            words = tag if len(tag) <= _TAG else tag[: _TAG - 1] + "…"
            yield _svg.label(words, x, y - 11, text_anchor="middle", class_="tag")


def _all_marked(facts: Facts, curve: Curve) -> list[HistoryEntry]:
    """Returns the newest versions, and of the older ones those that stand out."""
    older, newest = curve.entries[:-MOST_MARKS], curve.entries[-MOST_MARKS:]
    telling = [e for e in older if facts.role(e) not in ("there", "gone")]
    return telling[-MOST_MARKS:] + newest


def _least_marked(facts: Facts, curve: Curve) -> list[HistoryEntry]:
    """Returns the best version, and those that no line goes through."""
    alone = [
        entry
        for run, parts in zip(facts.runs, curve.runs, strict=True)
        for part in parts
        if len(part) == 1 or run.run_id is None
        for entry in part
    ]
    best = [entry for entry in curve.entries if facts.role(entry) == "best"]
    return best + [e for e in alone if facts.role(e) != "best"][-MOST_MARKS:]


def _title(facts: Facts, curve: Curve, entry: HistoryEntry) -> str:
    version = entry.version
    about = [
        f"{named(version.name)}, number {version.number}",
        facts.run_labels[version.run_id],
    ]
    if not curve.axis.startswith("number"):
        about.append(f"{curve.axis} {curve.of(version)}")
    words = f"{', '.join(about)}: {number(version.metrics[curve.metric])}"
    if facts.role(entry) == "best":
        words += "; the best that is there"
    if version.tags:
        words += f"; tagged {', '.join(map(named, version.tags))}"
    if entry.number in facts.resumed:
        words += "; a training went on from it"
    return f"{words}; {fate(entry)}"


def _legend(facts: Facts, curve: Curve) -> Markup:
    roles = {facts.role(entry) for entry in curve.entries}
    items = [
        (mark_sign(role), words) for role, words in _ROLES.items() if role in roles
    ]
    if any(run.resumed_from is not None for run in facts.runs):
        items.append(
            (sign(_svg.line([(0, 9), (26, 9)], "went-on"), width=26), "resumed")
        )
    labels = facts.run_labels
    shown = [
        (sign(_svg.line([(0, 9), (26, 9)], f"run {run_class(i)}"), width=26), run)
        for i, run in enumerate(facts.runs)
        if run.run_id is not None
    ][-_MOST_RUNS:]
    items += [(drawn, labels[run.run_id]) for drawn, run in shown]
    return legend(items)


def _best_words(facts: Facts, metric: str) -> Markup | str:
    best = facts.best
    if best is None:
        return "No version that is there can be called the best by this metric."
    mode = recorded_mode(facts.there[::-1], metric)
    better = "less is better" if mode == "min" else "more is better"
    value = f"{named(metric)} {number(best.metrics[metric])}"
    words = f" is the best that is there: {value} ({better})"
    ever = best_first([entry.version for entry in facts.entries], metric, mode)[0]
    if ever.metrics[metric] != best.metrics[metric]:
        words += f"; {named(ever.name)} had {number(ever.metrics[metric])}, and is gone"
    return element(
        "span",
        element("strong", named(best.name)),
        f"{words}.",
    )


def _notes(curve: Curve) -> Markup | None:
    words = []
    older = len(curve.entries) - MOST_MARKS
    if older > 0:
        words.append(
            f"Of {plural(len(curve.entries), 'version')} the newest {MOST_MARKS:,} "
            "have marks, and older ones that stand out."
        )
    if curve.running:
        words.append(
            f"{plural(curve.running, 'version')} from the middle of an epoch, where "
            "metrics are running means, not drawn."
        )
    notes: list[Child] = [sentence(" ".join(words), class_="note")] if words else []
    return element("div", *notes, _not_plotted(curve))


def _not_plotted(curve: Curve) -> Markup | None:
    if not curve.unplotted:
        return None
    named_ones = [
        f"{named(version.name)} ({number(version.metrics[curve.metric])})"
        for version in itertools.islice(curve.unplotted, _MOST_NAMED)
    ]
    more = len(curve.unplotted) - len(named_ones)
    return sentence(
        f"Not plotted, for the value is not finite: {', '.join(named_ones)}"
        f"{f' and {more:,} more' if more else ''}.",
        class_="note",
    )
