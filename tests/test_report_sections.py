"""What the sections of a report say and draw."""

import dataclasses
import math
import re
from datetime import timedelta

import pytest

from keras_versioned_ckpt._report_sizes import total
from keras_versioned_ckpt.records import HistoryEntry

from .factories import START, versions
from .pages import Node
from .test_report import entries, report


def marks(drawing: Node) -> dict[int, tuple[str, float, float]]:
    """Returns the shape and the place of each mark, by the number in its title."""
    found = {}
    for node in drawing.all("path", "mark"):
        number = re.search(r"number (\d+)", node.all("title")[0].text)
        place = re.match(r"M([\d.-]+) ([\d.-]+)m", str(node.attributes["d"]))
        assert number
        assert place
        shape = str(node.attributes["class"]).split()[1]
        found[int(number[1])] = (shape, float(place[1]), float(place[2]))
    return found


def rows(root: Node) -> list[dict[str, Node]]:
    """Returns the rows of the table, each by the names of its columns."""
    table = root.all("table")[0]
    names = [node.text for node in table.all("thead")[0].all("th")]
    return [
        dict(zip(names, [c for c in row.children if isinstance(c, Node)], strict=True))
        for row in table.all("tbody")[0].all("tr")
    ]


def test_the_curve_has_each_version_in_its_place() -> None:
    """Evenly by epoch, and by the value from the bottom to the top."""
    found = marks(report(entries(versions([0.0, 1.0, 0.5]), 1)).by_id("curve-wide"))
    (_, x1, y1), (_, x2, y2), (_, x3, y3) = (found[n] for n in (1, 2, 3))
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2)
    assert x1 < x2
    assert y1 - y2 == pytest.approx(2 * (y1 - y3), abs=0.2)
    assert y2 < y3


def test_a_mark_says_what_became_of_its_version() -> None:
    """By its shape, for each of the five."""
    found = versions([0.9, 0.8, 0.7, 0.1, 0.4, 0.3], tags={2: ("prod",)})
    run = [dataclasses.replace(v, run_id="a") for v in found[:4]]
    other = [dataclasses.replace(v, run_id="b", parent=3) for v in found[4:]]
    drawing = report(entries(run + other, 1)).by_id("curve-wide")
    assert {number: shape for number, (shape, _, _) in marks(drawing).items()} == {
        1: "gone",
        2: "tagged",
        3: "resumed-from",
        4: "best",
        5: "there",
        6: "there",
    }
    titles = {n.all("title")[0].text for n in drawing.all("path", "mark")}
    assert (
        "version_1, number 1, run 1, epoch 1: 0.9; gone 2026-11-20 14:00:00 UTC: "
        "removed: no rule keeps it by KeepLast(2)" in titles
    )
    assert "prod" in [node.text for node in drawing.all("text", "tag")]
    assert len(drawing.all("path", "went-on")) == 1
    assert {n.text for n in drawing.all("text", "run-name")} == {"run 1", "run 2"}


def test_what_is_not_finite_is_a_gap() -> None:
    """The line ends before it and begins after it, and a note says which it is."""
    values = [0.5, 0.4, math.nan, 0.3, 0.2, math.inf]
    found = [dataclasses.replace(v, run_id="a") for v in versions(values)]
    root = report(entries(found))
    lines = root.by_id("curve-wide").all("path", "run")
    assert [str(line.attributes["d"]).count("L") for line in lines] == [1, 1]
    assert marks(root.by_id("curve-wide")).keys() == {1, 2, 4, 5}
    note = "Not plotted, for the value is not finite: version_3 (nan), version_6 (inf)."
    assert note in root.by_id("curve").text
    cells = {int(r["number"].text): r["val_loss"] for r in rows(root)}
    assert (cells[3].text, cells[3].attributes["data-sort"]) == ("nan", "")


def test_what_has_no_epoch_is_drawn_by_step_or_number() -> None:
    """By what all of them have."""
    found = versions([0.5, 0.25])
    by_step = [dataclasses.replace(v, epoch=None) for v in found]
    by_number = [dataclasses.replace(v, step=None) for v in by_step]
    for history, axis in ((found, "epoch"), (by_step, "step"), (by_number, "number")):
        title = report(entries(history)).by_id("curve-wide-title").text
        assert title.startswith(f"val_loss over {axis}")


def test_running_means_are_drawn_where_there_is_nothing_else() -> None:
    """Beside values of whole epochs they are left out, and that is said."""
    whole, middle = versions([0.5, 0.25])
    middle = dataclasses.replace(middle, batch=7)
    both = report(entries([whole, middle]))
    assert marks(both.by_id("curve-wide")).keys() == {1}
    assert "1 version from the middle of an epoch" in both.by_id("curve").text
    alone = report(entries([middle]))
    assert marks(alone.by_id("curve-wide")).keys() == {2}


def test_a_better_version_that_is_gone_is_spoken_of() -> None:
    """The best that is there is not always the best that ever was."""
    root = report(entries(versions([0.125, 0.5, 0.25]), 1))
    lead = root.by_id("curve").all("p", "lead")[0].text
    assert lead == (
        "version_3 is the best that is there: val_loss 0.25 (less is better); "
        "version_1 had 0.125, and is gone."
    )


def test_the_other_metrics_are_drawn_small() -> None:
    """Each by itself, with the best version by the first one."""
    found = [
        dataclasses.replace(
            v, run_id="a", metrics={**v.metrics, "f1": v.number, "z": 0.0}
        )
        for v in versions([0.5, 0.25, 0.3])
    ]
    figures = report(entries(found)).by_id("curve").all("div", "multiples")[0]
    assert [node.text for node in figures.all("figcaption")] == ["f1", "z"]
    drawing = figures.by_id("metric-1")
    assert len(drawing.all("path", "run")) == len(drawing.all("path", "best")) == 1


def test_the_timeline_has_a_bar_for_each_version() -> None:
    """From when it was saved to when it was removed, or to the edge."""
    drawing = report(entries(versions(count=4), 2)).by_id("timeline-wide")
    bars = [(b.attributes, b) for b in drawing.all("g", "life")]
    shape = [b.all("rect")[0].attributes for _, b in bars]
    starts = [float(str(a["x"])) for a in shape]
    ends = [float(str(a["x"])) + float(str(a["width"])) for a in shape]
    assert starts == sorted(starts)
    assert ends[1] == pytest.approx(starts[3], abs=0.2)  # two hours later
    assert ends[0] == pytest.approx(ends[2], abs=0.2)
    assert ends[0] == pytest.approx(882, abs=0.2)  # the edge
    assert [str(a["class"]) for a, _ in bars] == [
        *("life there", "life gone", "life there", "life there")
    ]
    assert bars[1][1].all("title")[0].text == (
        "version_2, saved 2026-11-20 13:00:00 UTC, lived 2:00:00; gone 2026-11-20 "
        "15:00:00 UTC: removed: no rule keeps it by KeepLast(2)"
    )


def test_reasons_are_listed_with_the_letters_of_the_bars() -> None:
    """The most frequent one first."""
    history = entries(versions(count=5), 1, 2)
    history[3] = HistoryEntry(version=history[3].version, reason="it vanished")
    root = report(history)
    (reasons,) = root.all("ol", "reasons")
    assert [node.text for node in reasons.all("li")] == [
        "aremoved: no rule keeps it KeepLast(2) 2 versions",
        "bit vanished 1 version",
    ]
    drawing = root.by_id("timeline-wide")
    assert [node.text for node in drawing.all("text", "key")] == ["a", "a", "b"]
    assert len(drawing.all("g", "unknown")) == 1


def test_of_thousands_of_versions_the_newest_are_drawn() -> None:
    """A sentence says how many are left out; the table has up to 5,000."""
    root = report(entries(versions([0.5] * 5100), *range(1, 5000)))
    assert len(root.by_id("timeline-wide").all("g", "life")) == 200
    assert "4,900 older versions not drawn" in root.by_id("retention").text
    assert len(rows(root)) == 5000
    assert "100 older versions left out" in root.by_id("versions").text
    assert len(root.by_id("curve-wide").all("path", "mark")) <= 1001
    assert "the newest 1,000 have marks" in root.by_id("curve").text


def test_bytes_on_the_disk() -> None:
    """They grow with each save, and fall with each removal."""
    history = entries(versions(sizes=[100, 20, 3]), 1)
    hour = timedelta(hours=1)
    assert total(history) == [
        *((START, 100), (START + hour, 120), (START + 2 * hour, 123)),
        (START + 2 * hour, 23),
    ]
    assert total([]) == []


def test_bytes_of_a_clock_that_was_put_back() -> None:
    """There is never less than nothing; and what went unseen is not counted."""
    (version,) = versions(sizes=[100])
    early = START - timedelta(days=1)
    gone = HistoryEntry(version=version, removed=early, reason="removed: by hand")
    assert total([gone]) == [(START, 100), (START, 0)]
    assert total([dataclasses.replace(gone, removed=None)]) == []


def test_sizes_in_words() -> None:
    """What is there, the most at a time, and all that was written."""
    lead = report(entries(versions(sizes=[1000, 2000, 4000]), 1)).by_id("sizes").text
    words = "6 kB on the disk now, at most 7 kB at a time; 7 kB were written in all."
    assert words in lead


def test_a_training_stands_below_the_one_it_went_on_from() -> None:
    """Also where others were between, and deeper with each."""
    runs = [("a", None), ("b", None), ("c", 1), ("d", 3), (None, 1)]
    history = entries(
        [
            dataclasses.replace(v, run_id=run_id, parent=parent)
            for v, (run_id, parent) in zip(versions([0.5] * 5), runs, strict=True)
        ]
    )
    items = report(history).by_id("lineage").all("li")
    named = [
        (str(node.attributes["class"]), node.all("strong")[0].text) for node in items
    ]
    assert named == [
        *(("depth-0", "run 1"), ("depth-1", "run 3"), ("depth-2", "run 4")),
        *(("depth-0", "run 2"), ("depth-0", "by hand")),
    ]
    assert "went on from version_3 of run 3" in items[2].text
    assert "best val_loss 0.5 (version_4)" in items[2].text


def test_a_lineage_that_goes_in_a_circle_ends() -> None:
    """As only a store can have that was tampered with; and a chain may be long."""
    first, second = versions(count=2)
    circle = entries(
        [
            dataclasses.replace(first, run_id="a", parent=2),
            dataclasses.replace(second, run_id="b", parent=1),
        ]
    )
    assert len(report(circle).by_id("lineage").all("li")) == 2
    lost = entries([dataclasses.replace(first, run_id="a", parent=99)])
    assert "number 99, of which nothing is known" in report(lost).by_id("lineage").text
    chain = entries(
        [
            dataclasses.replace(v, run_id=f"r{v.number}", parent=v.number - 1 or None)
            for v in versions(count=1500)
        ]
    )
    lineage = report(chain).by_id("lineage")
    assert len(lineage.all("li")) == 200
    assert "1,300 more trainings not listed" in lineage.text


def test_the_table_has_every_fact() -> None:
    """The newest version first; what is sorted by is exact where text is rounded."""
    found = [
        dataclasses.replace(
            v, run_id="abc", batch=b, metrics={"val_loss": loss, "a": 1.0}
        )
        for v, b, loss in zip(
            versions(count=2, sizes=[1234567, 5], tags={2: ("prod", "x")}),
            (None, 3),
            (0.123456789, 0.5),
            strict=True,
        )
    ]
    second, first = rows(report(entries(found, 1)))
    assert {name: cell.text for name, cell in first.items()} == {
        "number": "1",
        "name": "version_1",
        "state": "gone",
        "run": "run 1",
        "epoch": "1",
        "step": "10",
        "val_loss": "0.12346",
        "a": "1",
        "size": "1.23 MB",
        "created (UTC)": "2026-11-20 12:00:00",
        "tags": "-",
        "removed (UTC)": "2026-11-20 14:00:00",
        "why it went": "removed: no rule keeps it KeepLast(2)",
    }
    assert first["val_loss"].attributes["data-sort"] == "0.123456789"
    assert first["size"].attributes["data-sort"] == "1234567"
    assert second["epoch"].text == "2 + batch 3"
    assert second["epoch"].attributes["data-sort"] == "2"
    assert second["tags"].text == "prod, x"
    assert second["removed (UTC)"].attributes["data-sort"] == ""


def test_the_table_can_be_read_without_a_script() -> None:
    """Heads are words with a scope; controls are hidden until a script shows them."""
    section = report(entries(versions([0.5]))).by_id("versions")
    heads = section.all("thead")[0].all("th")
    assert all(head.attributes["scope"] == "col" for head in heads)
    assert [head.attributes["aria-sort"] for head in heads[:2]] == [
        "descending",
        "none",
    ]
    assert section.all("button") == []
    assert "hidden" in section.by_id("controls").attributes


def test_many_metrics_share_a_column() -> None:
    """Eight have columns of their own, and the curves are as limited."""
    (version,) = versions([0.5])
    many = {f"m{i:02}": float(i) for i in range(40)}
    root = report(entries([dataclasses.replace(version, metrics=many)]))
    (row,) = rows(root)
    assert row["other metrics"].text.startswith("m08 8, m09 9")
    assert row["other metrics"].text.endswith("and 12 more")
    assert "27 more metrics not drawn" in root.by_id("curve").text
