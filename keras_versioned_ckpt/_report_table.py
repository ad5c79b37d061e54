"""The table of a report: every version that ever was."""

from collections.abc import Iterator

from keras_versioned_ckpt._markup import Markup, element
from keras_versioned_ckpt._messages import rounded_size, shortened
from keras_versioned_ckpt._ranking import is_score
from keras_versioned_ckpt._report_facts import Facts, instant, named, number, plural
from keras_versioned_ckpt._report_parts import MISSING, section, sentence
from keras_versioned_ckpt.records import HistoryEntry, Version

#: How many versions have a row: the newest ones.
MOST_ROWS = 5000
#: How many metrics have a column of their own.
MOST_METRICS = 8
_MOST_OTHERS = 20


def table(facts: Facts) -> Markup:
    """Returns the section with the table of versions.

    What is sorted by is a cell's text, or its `data-sort` where that says more; an
    empty one is always last.
    """
    if not facts.entries:
        return section("versions", "Versions", sentence("There are none."))
    entries = facts.entries[-MOST_ROWS:]
    older = len(facts.entries) - len(entries)
    return section(
        "versions",
        "Versions",
        sentence(
            f"{plural(older, 'older version')} left out; these are the newest "
            f"{MOST_ROWS:,}.",
            class_="note",
        )
        if older
        else None,
        _controls(len(entries)),
        element(
            "div",
            element(
                "table",
                element("caption", "Every version that ever was, the newest first"),
                element("thead", element("tr", *_head(facts))),
                element("tbody", *[_row(facts, e) for e in reversed(entries)]),
            ),
            class_="scroll",
            tabindex=0,
            role="region",
            aria_label="Table of versions",
        ),
    )


def _controls(count: int) -> Markup:
    """Returns what the script shows; without it there is nothing to be controlled."""
    return element(
        "div",
        element("label", "Filter ", element("input", type="search", id="filter")),
        element(
            "label",
            element("input", type="checkbox", id="only-there"),
            " only what is there",
        ),
        element("output", plural(count, "version"), id="count", role="status"),
        id="controls",
        hidden=True,
    )


def _head(facts: Facts) -> Iterator[Markup]:
    columns = [
        ("number", "number"),
        ("name", "text"),
        ("state", "text"),
        ("run", "text"),
        ("epoch", "number"),
        ("step", "number"),
        *((named(metric), "number") for metric in facts.metrics[:MOST_METRICS]),
        *([("other metrics", "text")] if facts.metrics[MOST_METRICS:] else []),
        ("size", "number"),
        ("created (UTC)", "text"),
        ("tags", "text"),
        ("removed (UTC)", "text"),
        ("why it went", "text"),
    ]
    for words, kind in columns:
        # The rows come by number, the greatest first.
        order = "descending" if words == "number" else "none"
        yield element(
            "th",
            words,
            scope="col",
            data_kind=kind,
            class_="n" if kind == "number" else None,
            aria_sort=order,
        )


def _row(facts: Facts, entry: HistoryEntry) -> Markup:
    version = entry.version
    batch = "" if version.batch is None else f" + batch {version.batch}"
    cells = [
        element("td", version.number, class_="n"),
        element("th", named(version.name), scope="row"),
        element("td", _state(facts, entry)),
        element("td", facts.run_labels[version.run_id]),
        _count(version.epoch, batch),
        _count(version.step),
        *(_metric(version, metric) for metric in facts.metrics[:MOST_METRICS]),
    ]
    if others := facts.metrics[MOST_METRICS:]:
        cells.append(_text(_others(version, others)))
    cells += [
        element(
            "td",
            rounded_size(version.size_bytes),
            data_sort=version.size_bytes,
            class_="n",
        ),
        element("td", instant(version.created), class_="t"),
        _text(", ".join(map(named, version.tags[:_MOST_OTHERS]))),
        _text(instant(entry.removed) if entry.removed else "", "t"),
        _why(entry),
    ]
    return element("tr", *cells, class_="gone" if entry.gone else None)


def _state(facts: Facts, entry: HistoryEntry) -> str:
    words = "gone" if entry.gone else "there"
    if facts.role(entry) == "best":
        words += ", best"
    if entry.number in facts.resumed:
        words += ", resumed from"
    return words


def _count(value: int | None, more: str = "") -> Markup:
    if value is None:
        return element("td", MISSING, data_sort="", class_="n")
    return element(
        "td", f"{value}{more}", data_sort=value if more else None, class_="n"
    )


def _metric(version: Version, metric: str) -> Markup:
    value = version.metrics.get(metric)
    if value is None:
        return element("td", MISSING, data_sort="", class_="n")
    if not is_score(value):
        return element("td", number(value), data_sort="", class_="n")
    shown = number(value)
    exact = repr(float(value))
    return element("td", shown, data_sort=exact if exact != shown else None, class_="n")


def _others(version: Version, metrics: tuple[str, ...]) -> str:
    found = [
        f"{named(metric)} {number(version.metrics[metric])}"
        for metric in metrics
        if metric in version.metrics
    ]
    more = f", and {len(found) - _MOST_OTHERS} more" if found[_MOST_OTHERS:] else ""
    return ", ".join(found[:_MOST_OTHERS]) + more


def _text(words: str, class_: str | None = None) -> Markup:
    if not words:
        return element("td", MISSING, data_sort="", class_=class_)
    return element("td", words, class_=class_)


def _why(entry: HistoryEntry) -> Markup:
    if not entry.gone:
        return _text("")
    policy = element("code", shortened(entry.policy)) if entry.policy else None
    space = " " if entry.policy else None
    return element("td", shortened(entry.reason), space, policy, class_="why")
