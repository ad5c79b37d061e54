"""The lineage of a report: which training went on from which version."""

import collections
from collections.abc import Iterator, Mapping

from keras_versioned_ckpt._lineage import Run
from keras_versioned_ckpt._markup import Markup, element
from keras_versioned_ckpt._ranking import best_first, recorded_mode
from keras_versioned_ckpt._report_facts import Facts, instant, named, number, plural
from keras_versioned_ckpt._report_parts import run_class, section, sentence, sign
from keras_versioned_ckpt._svg import line

#: How many runs are listed: the newest ones, and those that they went on from.
MOST_RUNS = 200
_DEEPEST = 8


def lineage(facts: Facts) -> Markup:
    """Returns the section about the trainings."""
    if not facts.runs:
        return section("lineage", "Lineage", sentence("No training saved here yet."))
    rows = [*_in_order(facts)]
    left_out = len(rows) - MOST_RUNS
    return section(
        "lineage",
        "Lineage of the trainings",
        sentence(_in_short(facts), class_="lead"),
        element(
            "ol",
            *[_item(facts, run, depth) for run, depth in rows[:MOST_RUNS]],
            class_="lineage",
        ),
        sentence(f"{plural(left_out, 'more training')} not listed.", class_="note")
        if left_out > 0
        else None,
    )


def _in_short(facts: Facts) -> str:
    trainings = [run for run in facts.runs if run.run_id is not None]
    if not trainings:
        return "All that is here was saved by hand."
    words = f"{plural(len(trainings), 'training')}."
    if any(run.resumed_from is not None for run in trainings):
        words += " One that went on from a version of another stands below that."
    return words


def _in_order(facts: Facts) -> Iterator[tuple[Run, int]]:
    """Yields each run below the one that it went on from, with its depth."""
    of = {entry.number: run for run in facts.runs for entry in run.entries}
    below: Mapping[str | None, list[Run]] = collections.defaultdict(list)
    pending: list[tuple[Run, int]] = []
    for run in facts.runs:
        origin = _origin(run, of)
        if origin is None:
            pending.append((run, 0))
        else:
            below[origin.run_id].append(run)
    # Not by a function that calls itself: a chain of trainings may be long.
    pending.reverse()
    while pending:
        run, depth = pending.pop()
        yield run, depth
        pending += [(child, depth + 1) for child in reversed(below[run.run_id])]


def _origin(run: Run, of: Mapping[int, Run]) -> Run | None:
    """Returns the run that this one went on from, if that was before it.

    In a store that was tampered with, runs could otherwise be each other's origin.
    """
    if run.resumed_from is None:
        return None
    origin = of.get(run.resumed_from)
    if origin is None or origin.entries[0].number >= run.entries[0].number:
        return None
    return origin


def _item(facts: Facts, run: Run, depth: int) -> Markup:
    position = facts.runs.index(run)
    first, last = run.entries[0], run.entries[-1]
    there = sum(not entry.gone for entry in run.entries)
    span = f"{named(first.name)} to {named(last.name)}"
    if first is last:
        span = named(first.name)
    about = [
        f"{span} ({there:,} of {len(run.entries):,} there)",
        f"{instant(first.version.created)} to {instant(last.version.created)} UTC"
        if first is not last
        else f"{instant(first.version.created)} UTC",
    ]
    if (best := _best(facts, run)) is not None:
        about.append(best)
    origin = None
    if run.resumed_from is not None:
        known = {entry.number: entry for entry in facts.entries}
        parent = known.get(run.resumed_from)
        words = f"number {run.resumed_from}, of which nothing is known"
        if parent is not None:
            words = f"{named(parent.name)} of {facts.run_labels[parent.version.run_id]}"
        origin = element("span", f"went on from {words}", class_="origin")
    return element(
        "li",
        element(
            "div",
            sign(line([(0, 9), (26, 9)], f"run {run_class(position)}"), width=26)
            if run.run_id is not None
            else None,
            element("strong", facts.run_labels[run.run_id]),
            element("code", named(run.run_id)) if run.run_id is not None else None,
            origin,
            class_="title",
        ),
        element("div", "; ".join(about), class_="about"),
        class_=f"depth-{min(depth, _DEEPEST)}",
    )


def _best(facts: Facts, run: Run) -> str | None:
    """Returns the best value that the run ever had, in words."""
    metric = facts.metric
    if metric is None or facts.best is None:
        return None
    mode = recorded_mode(facts.there[::-1], metric)
    ranked = best_first([entry.version for entry in run.entries], metric, mode)
    if not ranked:
        return None
    best = ranked[0]
    return f"best {named(metric)} {number(best.metrics[metric])} ({named(best.name)})"
