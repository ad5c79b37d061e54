"""What a notebook shows of a version, a store, a plan and a report.

Each function returns one fragment of HTML; `_html_table.py` says what it is made of.
"""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from keras_versioned_ckpt._html_table import (
    FIRST,
    LAST,
    LONGEST_NAME,
    Column,
    facts,
    fragment,
    labels,
    lines,
    named,
    note,
    table,
    table_row,
)
from keras_versioned_ckpt._markup import Child, Markup, element, joined
from keras_versioned_ckpt._messages import rounded_size, shortened
from keras_versioned_ckpt._plan import Plan
from keras_versioned_ckpt._ranking import (
    best_first,
    is_score,
    recorded_mode,
    recorded_monitor,
)
from keras_versioned_ckpt._table import rounded_age
from keras_versioned_ckpt.records import HistoryEntry, Version

#: The most metrics that have a column each.
METRICS = 5

_BEST, _KEPT, _REMOVED = "★", "●", "○"
_FIRST_COLUMNS: list[Column] = [("number", "right"), ("name", "left")]


def of_version(version: Version, now: datetime | None = None) -> Markup:
    """Returns what is known of one version.

    Args:
        version: The version.
        now: The instant that its age counts from. Defaults to the clock's.
    """
    known: list[tuple[str, Child]] = []
    if version.epoch is not None:
        known.append(("epoch", _epoch(version)))
    if version.step is not None:
        known.append(("step", version.step))
    if version.metrics:
        known.append(("metrics", lines(_metric_lines(version))))
    if version.tags:
        known.append(("tags", labels(version.tags)))
    age = _age(version, now or datetime.now(UTC))
    known.append(("saved", f"{version.created:%Y-%m-%d %H:%M:%S} UTC, age {age}"))
    known.append(("payload", f"{version.format}, {rounded_size(version.size_bytes)}"))
    if version.parent is not None:
        known.append(("goes on from", f"version {version.parent}"))
    if version.run_id is not None:
        known.append(("run", named(version.run_id)))
    if version.metadata:
        items = version.metadata.items()
        known.append(("metadata", lines(shortened(f"{k} = {v!r}") for k, v in items)))
    return fragment(f"Version {version.number}", named(version.name), facts(known))


def of_store(
    where: str,
    versions: Sequence[Version],
    history: Iterable[HistoryEntry],
    now: datetime | None = None,
) -> Markup:
    """Returns the versions of a store, and those that are gone.

    Args:
        where: The store's directory.
        versions: The versions that are there, by number.
        history: Every version that ever was, by number.
        now: The instant that ages count from. Defaults to the clock's.
    """
    size = rounded_size(sum(version.size_bytes for version in versions))
    count = element("div", f"{_counted(len(versions), 'version')}, {size}")
    parts: list[Child] = [count]
    if versions:
        parts.append(_versions(versions, now or datetime.now(UTC)))
    if gone := [entry for entry in history if entry.gone]:
        summary = element("summary", f"{_counted(len(gone), 'version')} gone")
        parts.append(element("details", summary, _gone(gone)))
    return fragment("CheckpointStore", element("code", where), *parts)


def of_plan(plan: Plan) -> Markup:
    """Returns what a plan keeps and removes, and why.

    In a long plan, versions in a row that go for the same reasons share one row.
    """
    versions = sorted((*plan.keep, *plan.remove), key=lambda version: version.number)
    removed = frozenset(version.number for version in plan.remove)
    head = (
        f"{len(plan.keep)} kept, {len(plan.remove)} removed, "
        f"{rounded_size(plan.size_bytes_freed)} freed"
    )
    if not versions:
        return fragment("Plan", head)
    shown = _monitored(versions)
    columns: list[Column] = [
        *(*_FIRST_COLUMNS, ("epoch", "right"), ("saved (UTC)", "left")),
        *(*_metric_columns(shown), ("size", "right")),
        *(("plan", "left"), ("why", "left")),
    ]
    best, by = _best(versions)

    def row(group: Sequence[Version]) -> Markup:
        first, last = group[0], group[-1]
        gone = first.number in removed
        about: list[Child] = [
            *(first.number, _marked(first, best), _epoch(first)),
            *(f"{first.created:%Y-%m-%d %H:%M}", *_values(first, shown)),
        ]
        if len(group) > 1:
            numbers = f"{first.number} to {last.number}"
            about = [numbers, f"{len(group)} versions", *("" for _ in about[2:])]
        size = rounded_size(sum(version.size_bytes for version in group))
        verdict = f"{_REMOVED} removed" if gone else f"{_KEPT} kept"
        why = lines(map(_why, plan.reasons.get(first.number, ())))
        return table_row(columns, [*about, size, verdict, why], faded=gone)

    groups = [[version] for version in versions]
    if len(groups) > FIRST + LAST + 1:
        # A kept one is a group of its own.
        alike = itertools.groupby(
            versions,
            lambda version: (
                plan.reasons.get(version.number)
                if version.number in removed
                else version.number
            ),
        )
        groups = [list(group) for _, group in alike]
    return fragment("Plan", head, table(columns, groups, row), _note_of_best(by))


def of_report(head: str, problems: Sequence[tuple[str, str, str, str]] = ()) -> Markup:
    """Returns what `verify` or `repair` found.

    Args:
        head: How many versions were read, and whether all is well.
        problems: For each problem its kind, the name that it is about, what is wrong,
            and what was done about it.
    """
    if not problems:
        return fragment("Report", head)
    columns: list[Column] = [("kind", "left"), ("name", "left"), ("problem", "left")]
    if any(done for *_, done in problems):
        columns.append(("what was done", "left"))

    def row(problem: tuple[str, str, str, str]) -> Markup:
        kind, name, *texts = problem
        return table_row(columns, [kind, named(name), *texts[: len(columns) - 2]])

    return fragment("Report", head, table(columns, problems, row))


def of_failure(title: str, where: str, error: Exception) -> Markup:
    """Returns why there is nothing to show."""
    what = element("div", f"{type(error).__name__}: {error}")
    return fragment(title, element("code", where), what)


def _versions(versions: Sequence[Version], now: datetime) -> Markup:
    shown, left_out = _metrics(versions)
    columns: list[Column] = [
        *(*_FIRST_COLUMNS, ("epoch", "right"), ("step", "right")),
        *(*_metric_columns(shown), ("size", "right"), ("age", "right")),
        ("tags", "left"),
    ]
    best, by = _best(versions)

    def row(version: Version) -> Markup:
        return table_row(
            columns,
            [
                *(version.number, _marked(version, best), _epoch(version)),
                *(_or_dash(version.step), *_values(version, shown)),
                *(rounded_size(version.size_bytes), _age(version, now)),
                labels(version.tags),
            ],
        )

    notes: list[Child] = [_note_of_best(by)]
    if left_out:
        metrics = _counted(left_out, "more metric")
        notes.append(note(f"{metrics}: see the version's `metrics`"))
    notes.append(note(f"ages at {now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"))
    return joined([table(columns, versions, row), *notes])


def _gone(entries: Sequence[HistoryEntry]) -> Markup:
    # The reasons need the room.
    shown = _monitored([entry.version for entry in entries])
    columns: list[Column] = [
        *(*_FIRST_COLUMNS, ("epoch", "right"), *_metric_columns(shown)),
        *(("removed (UTC)", "left"), ("why", "left")),
    ]

    def row(entry: HistoryEntry) -> Markup:
        removed = f"{entry.removed:%Y-%m-%d %H:%M:%S}" if entry.removed else "-"
        by = [f"by {entry.policy}"] if entry.policy else []
        return table_row(
            columns,
            [
                *(entry.number, named(entry.name), _epoch(entry.version)),
                *(*_values(entry.version, shown), removed),
                lines([_why(entry.reason), *by]),
            ],
        )

    return table(columns, entries, row)


def _metrics(versions: Sequence[Version]) -> tuple[list[str], int]:
    """Returns the metrics that have a column, and how many have none."""
    names = {name for version in versions for name in version.metrics}
    monitor = recorded_monitor(reversed(versions))
    ordered = sorted(names, key=lambda name: (name != monitor, name))
    return ordered[:METRICS], len(ordered[METRICS:])


def _monitored(versions: Sequence[Version]) -> list[str]:
    """Returns the monitored metric, if any version has it."""
    monitor = recorded_monitor(reversed(versions))
    return [name for name in _metrics(versions)[0][:1] if name == monitor]


def _metric_columns(names: Iterable[str]) -> Iterator[Column]:
    return ((shortened(name, LONGEST_NAME), "right") for name in names)


def _values(version: Version, names: Iterable[str]) -> Iterator[str]:
    return (
        _number(version.metrics[name]) if name in version.metrics else "-"
        for name in names
    )


def _metric_lines(version: Version) -> Iterator[str]:
    monitored = version.monitor
    for name in sorted(version.metrics, key=lambda name: (name != monitored, name)):
        about = f" (monitored, {version.mode})" if name == monitored else ""
        value = _number(version.metrics[name])
        yield f"{shortened(name, LONGEST_NAME)} = {value}{about}"


def _best(versions: Sequence[Version]) -> tuple[int | None, str]:
    """Returns the number of the best version, and by what it is the best."""
    newest_first = versions[::-1]
    monitor = recorded_monitor(newest_first)
    # Where nobody said which direction of a metric is better, none is the best by it.
    with contextlib.suppress(ValueError):
        if monitor is not None:
            mode = recorded_mode(newest_first, monitor)
            for version in best_first(versions, monitor, mode)[:1]:
                return version.number, f"{shortened(monitor, LONGEST_NAME)} ({mode})"
    return None, ""


def _note_of_best(by: str) -> Markup | None:
    return note(f"{_BEST} the best by {by}") if by else None


def _marked(version: Version, best: int | None) -> Markup:
    star = f" {_BEST}" if version.number == best else None
    return joined([named(version.name), star])


def _why(reason: str) -> str:
    """Returns a reason without its first word, which the table says anyway."""
    return reason.removeprefix("kept: ").removeprefix("removed: ")


def _epoch(version: Version) -> str:
    within = "" if version.batch is None else f" + {version.batch} batches"
    return _or_dash(version.epoch) + within


def _age(version: Version, now: datetime) -> str:
    return rounded_age(now - version.created)


def _or_dash(value: object) -> str:
    return "-" if value is None else str(value)


def _number(value: object) -> str:
    # A record that was made by hand may hold what is no number.
    return f"{value:.4g}" if is_score(value) else str(value)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
