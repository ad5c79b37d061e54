"""What a notebook shows of a version, a store, a plan and a report."""

import dataclasses
import html.parser
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from keras_versioned_ckpt import KeepBest, KeepDaily, KeepLast
from keras_versioned_ckpt._html import METRICS, of_store
from keras_versioned_ckpt._html_table import FIRST, LAST, LONGEST_NAME
from keras_versioned_ckpt._inspection import Problem, Report
from keras_versioned_ckpt._plan import Plan
from keras_versioned_ckpt.records import HistoryEntry, Version

from .factories import START, versions
from .stores import new_store, save

HOSTILE = "<img src=x onerror=alert(1)>\u202e\x1b[2J'\"</td></table><script>"
NOW = START + timedelta(days=2)


class Page(html.parser.HTMLParser):
    """A fragment of HTML, read as a browser would.

    Attributes:
        elements: The names of all elements, in order.
        attributes: The names of all their attributes.
        rows: The text of each cell, row by row; those of all tables.
        text: All text.
    """

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.rows: list[list[str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(markup)
        self.close()
        assert self._open == [], "an element has no end"

    def handle_starttag(
        self, tag: str, attrs: Sequence[tuple[str, str | None]]
    ) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "br":
            self.handle_data("\n")
            return
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data


def page(shown: object) -> Page:
    """Returns what a notebook shows of an object."""
    return Page(shown._repr_html_())  # type: ignore[attr-defined]


def shown_store(there: Sequence[Version], *gone: HistoryEntry) -> Page:
    """Returns what a notebook shows of a store that holds these."""
    history = [*gone, *(HistoryEntry(version=version) for version in there)]
    return Page(of_store("runs/digits", there, history, NOW))


def test_a_store_is_a_table() -> None:
    """One row for each version; the monitored metric first, the best with a star."""
    losses = versions([0.5, 0.25, 0.75], tags={1: ("prod", "a")})
    every = [
        dataclasses.replace(v, metrics={"acc": v.number / 10, **v.metrics})
        for v in losses
    ]
    shown = shown_store(every)
    assert shown.text.startswith("CheckpointStore runs/digits3 versions, 3 kB")
    head = ["number", "name", "epoch", "step", "val_loss", "acc", "size", "age", "tags"]
    assert shown.rows == [
        head,
        ["1", "version_1", "1", "10", "0.5", "0.1", "1 kB", "2 d", "a prod"],
        ["2", "version_2 ★", "2", "20", "0.25", "0.2", "1 kB", "1 d", ""],
        ["3", "version_3", "3", "30", "0.75", "0.3", "1 kB", "1 d", ""],
    ]
    assert "★ the best by val_loss (min)" in shown.text
    assert "ages at 2026-11-22 12:00 UTC" in shown.text


def test_an_empty_store_has_no_table() -> None:
    """It says that it is empty."""
    shown = shown_store([])
    assert shown.rows == []
    assert shown.text == "CheckpointStore runs/digits0 versions, 0 B"


def test_a_long_store_is_shortened() -> None:
    """A row says how many are left out between the first and the last."""
    shown = shown_store(versions(count=1000))
    numbers = [row[0] for row in shown.rows[1:]]
    first = [str(n) for n in range(1, FIRST + 1)]
    last = [str(n) for n in range(1001 - LAST, 1001)]
    assert numbers == [*first, "… 977 rows are left out …", *last]


def test_no_row_stands_for_one_that_is_left_out() -> None:
    """The row itself would have fitted in its place."""
    shown = shown_store(versions(count=FIRST + LAST + 1))
    assert len(shown.rows) == 1 + FIRST + LAST + 1
    assert "left out" not in shown.text


def test_many_metrics_have_no_columns() -> None:
    """The first few have one, and how many more there are is said."""
    metrics = {f"m{n:02}": 0.5 for n in range(12)}
    (version,) = versions(count=1)
    shown = shown_store([dataclasses.replace(version, metrics=metrics, monitor="m11")])
    assert shown.rows[0][4 : 4 + METRICS] == ["m11", "m00", "m01", "m02", "m03"]
    assert shown.rows[0][4 + METRICS] == "size"
    assert "7 more metrics" in shown.text


def test_the_best_is_not_marked_where_nobody_knows_it() -> None:
    """No version said in which direction its metric is better."""
    version = Version(number=1, created=START, metrics={"f1": 0.5}, monitor="f1")
    assert "★" not in shown_store([version]).text


def test_what_is_gone_is_told_with_its_reason() -> None:
    """When, why and by which policy, folded away below what is there."""
    one, two, three = versions([0.5, 0.25, 0.125])
    shown = shown_store(
        [three],
        HistoryEntry(
            version=one,
            removed=NOW,
            reason="removed: no rule keeps it",
            policy="KeepLast(1)",
        ),
        HistoryEntry(version=two, reason="its directory is missing"),
    )
    assert shown.elements.count("details") == 1
    assert "2 versions gone" in shown.text
    when = "2026-11-22 12:00:00"
    assert shown.rows[-2:] == [
        ["1", "version_1", "1", "0.5", when, "no rule keeps it\nby KeepLast(1)"],
        ["2", "version_2", "2", "0.25", "-", "its directory is missing"],
    ]


def test_a_real_store_is_shown_by_its_relative_path(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody beside it would write it; elsewhere it is the whole path."""
    store = new_store(directory, 0.5, 0.25)
    store.prune(KeepLast(1))
    assert page(store).text.startswith(f"CheckpointStore {directory}1 version, 7 B")
    monkeypatch.chdir(directory.parent)
    assert page(store).text.startswith("CheckpointStore store1 version, 7 B")
    assert "1 version gone" in page(store).text


def test_a_store_that_was_deleted_shows_why_it_is_empty(directory: Path) -> None:
    """As text, since an error in the middle of a notebook would help nobody."""
    store = new_store(directory, 0.5)
    shutil.rmtree(directory)
    shown = page(store)
    assert shown.rows == []
    assert "StoreNotFoundError: " in shown.text


def test_a_version_is_a_table_of_facts(directory: Path) -> None:
    """What is not known is not there."""
    store = new_store(directory)
    version = save(
        store,
        epoch=2,
        batch=6,
        step=96,
        metrics={"loss": 0.5, "val_acc": 0.25},
        monitor="val_acc",
        mode="max",
        parent=7,
        run_id="run-a",
        metadata={"lr": 0.001},
    )
    version = dataclasses.replace(version, created=START, tags=("prod",))
    shown = page(version)
    assert shown.text.startswith("Version 1 version_1")
    facts = dict(shown.rows)
    assert facts.pop("saved").startswith("2026-11-20 12:00:00 UTC, age ")
    assert facts == {
        "epoch": "2 + 6 batches",
        "step": "96",
        "metrics": "val_acc = 0.25 (monitored, max)\nloss = 0.5",
        "tags": "prod",
        "payload": "keras, 7 B",
        "goes on from": "version 7",
        "run": "run-a",
        "metadata": "lr = 0.001",
    }
    bare = page(Version(number=1, created=START))
    assert [name for name, _ in bare.rows] == ["saved", "payload"]


def test_a_plan_says_why() -> None:
    """Each reason without the word that its column says, and what is freed."""
    plan = (KeepLast(1) | KeepBest(1)).plan(
        versions([0.5, 0.125, 0.25], tags={2: ("prod",)}, sizes=[700, 10, 20])
    )
    shown = page(plan)
    assert shown.text.startswith("Plan 2 kept, 1 removed, 700 B freed")
    best = "best val_loss 0.125 (KeepBest(1))\ntagged 'prod' (guard)"
    assert [[row[1], *row[4:]] for row in shown.rows] == [
        ["name", "val_loss", "size", "plan", "why"],
        ["version_1", "0.5", "700 B", "○ removed", "no rule keeps it"],
        ["version_2 ★", "0.125", "10 B", "● kept", best],
        ["version_3", "0.25", "20 B", "● kept", "the newest (KeepLast(1))"],
    ]
    assert shown.rows[1][3] == "2026-11-20 12:00"


def test_a_plan_without_versions() -> None:
    """It has no table."""
    shown = page(Plan(keep=(), remove=(), reasons={}))
    assert (shown.text, shown.rows) == ("Plan 0 kept, 0 removed, 0 B freed", [])


def test_in_a_long_plan_what_goes_shares_a_row() -> None:
    """Versions in a row with the same reasons; what is kept has a row of its own."""
    shown = page(KeepDaily(3).plan(versions(count=96)))
    assert [row[0] for row in shown.rows[1:]] == [
        *("1 to 59", "60", "61 to 83", "84", "85 to 95", "96"),
    ]
    assert shown.rows[1][1:] == [
        *("59 versions", "", "", "59 kB", "○ removed", "no rule keeps it")
    ]


def test_a_report_without_a_problem_is_one_line() -> None:
    """And the same as in plain text."""
    report = Report(3)
    assert (page(report).text, page(report).rows) == (f"Report {report}", [])


def test_a_report_lists_its_problems() -> None:
    """What was done is a column where anything was."""
    found = Problem("version", "version_3", "model.keras is missing")
    head = ["kind", "name", "problem"]
    row = ["version", "version_3", "model.keras is missing"]
    assert page(Report(8, (found,))).rows == [head, row]
    mended = Problem("ledger", "", "its last line is torn", "cut")
    shown = page(Report(8, (found, mended)))
    assert shown.text.startswith("Report 8 versions checked, 2 problem(s)")
    assert shown.rows == [
        [*head, "what was done"],
        [*row, ""],
        ["ledger", "", "its last line is torn", "cut"],
    ]


def hostile_version() -> Version:
    """Returns a version of which every text is an attack."""
    return Version(
        number=1,
        created=START,
        name=HOSTILE,
        path=Path("x" + HOSTILE.replace("/", "")),
        metrics={HOSTILE: 0.5},
        format=HOSTILE,
        tags=(HOSTILE, "x" * LONGEST_NAME + HOSTILE),
        run_id=HOSTILE,
        monitor=HOSTILE,
        mode=HOSTILE,
        modes={HOSTILE: "min"},
        metadata={HOSTILE: [HOSTILE]},
    )


def hostile_objects() -> list[object]:
    """Returns everything that a notebook shows, made of such versions."""
    version = hostile_version()
    reasons = {1: (HOSTILE, f"kept: {HOSTILE}")}
    problem = Problem("version", HOSTILE, HOSTILE, HOSTILE)
    return [
        version,
        Plan(keep=(version,), remove=(), reasons=reasons),
        Plan(keep=(), remove=(version,), reasons=reasons),
        Report(1, (problem,)),
    ]


def hostile_pages() -> list[str]:
    """Returns what a notebook shows of hostile records."""
    version = hostile_version()
    entry = HistoryEntry(version=version, removed=START, reason=HOSTILE, policy=HOSTILE)
    return [
        *(shown._repr_html_() for shown in hostile_objects()),  # type: ignore[attr-defined]
        of_store(HOSTILE, [version], [entry], NOW),
    ]


@pytest.mark.parametrize("markup", hostile_pages(), ids=range(5))
def test_text_out_of_a_store_is_text(markup: str) -> None:
    """Neither an element nor an attribute nor a turn of the line comes out of it."""
    shown = Page(markup)
    assert "<img src=x onerror=alert(1)>\\u202e\\x1b[2J" in shown.text
    assert set(shown.elements) <= {
        *("div", "strong", "code", "small", "span", "br", "details", "summary"),
        *("table", "thead", "tbody", "tr", "td", "th"),
    }
    assert shown.attributes <= {"style", "scope", "title", "colspan"}
    assert "\u202e" not in markup
    assert "\x1b" not in markup


def test_there_is_no_script_and_no_colour() -> None:
    """So that it looks like the page, and is readable where it is not trusted."""
    for markup in hostile_pages():
        styles = [part.split('"')[0] for part in markup.split('style="')[1:]]
        assert styles
        assert not [style for style in styles if "color" in style or "#" in style]


def test_values_that_are_no_numbers_are_shown() -> None:
    """A record that was made by hand may hold anything."""
    metrics = {"val_loss": float("nan"), "a": 10**400, "b": HOSTILE}
    shown = shown_store([Version(number=1, created=START, metrics=metrics)])
    assert "nan" in shown.text
    assert "1" + 400 * "0" in shown.text
    assert "img" not in shown.elements
