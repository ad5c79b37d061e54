"""A report as a page and as a file."""

import base64
import dataclasses
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keras_versioned_ckpt._report import write_report
from keras_versioned_ckpt._report_facts import gathered
from keras_versioned_ckpt._report_page import page
from keras_versioned_ckpt.errors import StoreError
from keras_versioned_ckpt.records import HistoryEntry, Version

from .factories import START, versions
from .pages import Node, read
from .report_store import NOW, report_store
from .stores import ROOT, new_store

HOSTILE = "</script></style><img src=x onerror=alert(1)>\"'\u202ejavascript:alert(1)"


def entries(found: Sequence[Version], *gone: int) -> list[HistoryEntry]:
    """Returns a history in which these numbers were removed after two hours."""
    return [
        HistoryEntry(version=version)
        if version.number not in gone
        else HistoryEntry(
            version=version,
            removed=version.created + timedelta(hours=2),
            reason="removed: no rule keeps it",
            policy="KeepLast(2)",
        )
        for version in found
    ]


def report(history: Sequence[HistoryEntry], **facts: Any) -> Node:
    """Returns the page about a history, read back."""
    return read(page(gathered("/runs/digits", history, now=NOW, **facts)))


def test_it_is_one_document() -> None:
    """With a language, a title that names the store, and a width for phones."""
    root = report(entries(versions([0.5])))
    (html,) = root.all("html")
    assert html.attributes["lang"] == "en"
    assert root.all("title")[0].text == "digits: checkpoint report"
    assert [node.text for node in root.all("h1")] == ["digits"]
    metas = {node.attributes.get("name"): node.attributes for node in root.all("meta")}
    assert metas["viewport"]["content"] == "width=device-width, initial-scale=1"
    assert metas["color-scheme"]["content"] == "light dark"
    assert "2026-11-20 18:30:00 UTC" in root.all("footer")[0].text


def test_the_policy_allows_this_style_and_this_script_alone() -> None:
    """By the hashes of what the elements hold; nothing else may be fetched or run."""
    root = report(entries(versions([0.5])))
    (policy,) = [
        str(node.attributes["content"])
        for node in root.all("meta")
        if node.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.keys() == {
        *("default-src", "style-src", "script-src", "base-uri", "form-action")
    }
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    for tag in ("style", "script"):
        (node,) = root.all(tag)
        digest = base64.b64encode(hashlib.sha256(node.text.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_nothing_comes_from_elsewhere() -> None:
    """No address but within the page, no styles and no scripts in attributes."""
    root = report(entries(versions([0.5, 0.25]), 1))
    names = {name for node in root for name in node.attributes}
    assert names.isdisjoint({"src", "style", "srcset", "action", "xlink:href"})
    assert not any(name.startswith("on") for name in names)
    links = [str(n.attributes["href"]) for n in root if "href" in n.attributes]
    assert all(link.startswith("#") for link in links)
    assert re.search(r"url\(|@import|http", root.all("style")[0].text) is None
    assert re.search(r"fetch|http|innerHTML", root.all("script")[0].text) is None


def test_what_is_referred_to_is_there() -> None:
    """Every link and label finds its element, and no id comes twice."""
    root = report(entries(versions([0.5, 0.25], tags={2: ("prod",)}), 1))
    ids = [str(n.attributes["id"]) for n in root if "id" in n.attributes]
    assert len(set(ids)) == len(ids)
    referred = [str(n.attributes["href"])[1:] for n in root.all("a")]
    for node in root:
        referred += str(node.attributes.get("aria-labelledby", "")).split()
    assert set(referred) <= set(ids)
    assert len(root.all("a")) == 6
    for svg in root.all("svg"):
        assert svg.attributes.get("role") == "img" or "aria-hidden" in svg.attributes


def test_the_numbers_at_the_top() -> None:
    """What is there, how large it is, the best, the latest, the tags."""
    found = versions([0.5, 0.25, 0.3], sizes=[1000, 2000, 4000], tags={2: ("prod",)})
    summary = report(entries(found, 1)).by_id("summary")
    tiles = {
        tile.all("dt")[0].text: [node.text for node in tile.all("dd")]
        for tile in summary.all("div")
        if tile.all("dt")
    }
    assert tiles["There"] == ["2", "1 gone"]
    assert tiles["Size"] == ["6 kB", "the largest 4 kB"]
    assert tiles["Best"] == ["version_2", "val_loss 0.25"]
    assert tiles["Latest"] == ["version_3", "2026-11-20 14:00:00 UTC"]
    assert tiles["Verified"] == ["-", "not verified"]
    assert [node.text for node in summary.all("li")] == ["prod version_2"]


@pytest.mark.parametrize(
    ("checked", "problems", "verdict", "words"),
    [
        (None, (), "-", "Not verified for this report."),
        (1, (), "✓ ok", "✓ No problem. 1 version read in full"),
        (3, ("version 'a': gone <b>",), "✗ 1 problem", "version 'a': gone <b>"),
    ],
)
def test_what_verify_found(
    checked: int | None, problems: tuple[str, ...], verdict: str, words: str
) -> None:
    """At the top in a word, at the end in full."""
    root = report(entries(versions([0.5])), checked=checked, problems=problems)
    assert verdict in root.by_id("summary").text
    assert words in root.by_id("verify").text


def test_many_problems_are_counted() -> None:
    """Of more than 200 the first are listed."""
    root = report([], checked=900, problems=[f"problem {i}" for i in range(300)])
    assert len(root.by_id("verify").all("li")) == 200
    assert "300 problems" in root.by_id("verify").text
    assert "100 more are not listed" in root.by_id("verify").text


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_store_with_little_in_it(count: int) -> None:
    """None or one version, and no metrics, make a page as well."""
    root = report(entries(versions(count=count, monitor=None, mode=None)))
    assert len(root.all("section")) == 7
    assert "No version has a finite value of any metric" in root.by_id("curve").text
    assert len(root.all("tbody")) == (count > 0)
    assert "NaN" not in root.by_id("report").text


def test_everything_hostile_is_text() -> None:
    """Whatever a store says: nothing becomes an element, and nothing turns round."""
    plain = dataclasses.replace(
        *versions([0.5]),
        name=HOSTILE,
        metrics={HOSTILE: 0.5, "other" + HOSTILE: 1.0},
        monitor=HOSTILE,
        tags=(HOSTILE,),
        run_id=HOSTILE,
        metadata={HOSTILE: HOSTILE},
    )
    gone = HistoryEntry(
        version=dataclasses.replace(plain, number=2, parent=1),
        reason=HOSTILE,
        policy=HOSTILE,
    )
    facts = gathered(
        f"/runs/{HOSTILE}",
        [HistoryEntry(version=plain), gone],
        now=NOW,
        checked=1,
        problems=[HOSTILE],
    )
    text = page(facts)
    root = read(text)
    assert root.all("img") == []
    assert len(root.all("script")) == len(root.all("style")) == 1
    assert "\u202e" not in text
    shown = root.by_id("report").text
    assert shown.count(HOSTILE.replace("\u202e", "\\u202e")[:40]) > 10
    assert not any(name.startswith("on") for node in root for name in node.attributes)


def test_a_name_of_a_megabyte_is_shortened() -> None:
    """Wherever it comes up."""
    long = "x" * 1_000_000
    version = Version(
        number=1,
        created=START,
        name=long,
        metrics={long: 1.0},
        tags=(long,),
        run_id=long,
    )
    entry = HistoryEntry(version=version, reason=long, policy=long)
    text = page(gathered("/runs/" + long, [entry], now=NOW, checked=0, problems=[long]))
    assert len(text) < 60_000


def test_a_report_on_a_thousand_versions_is_small() -> None:
    """Below 2 MB, with four metrics and a reason for each that went."""
    found = [
        dataclasses.replace(
            v, metrics={f"metric_{k}": 1 / (v.number + k) for k in range(4)}
        )
        for v in versions(count=1000)
    ]
    history = entries(found, *range(1, 980))
    text = page(gathered("/runs/digits", history, now=NOW))
    assert len(text.encode()) < 2_000_000
    assert len(read(text).all("tbody")[0].all("tr")) == 1000


def test_the_metric_of_a_report() -> None:
    """The one that is asked for, else the monitored one, else the most frequent."""
    found = [
        dataclasses.replace(v, metrics={"a": 1.0, "b": 2.0, "val_loss": 3.0})
        for v in versions(count=2, monitor="b")
    ]
    assert gathered("", entries(found), now=NOW).metric == "b"
    assert gathered("", entries(found), now=NOW, metric="a").metric == "a"
    free = [dataclasses.replace(v, monitor=None, metrics={"c": 1.0}) for v in found]
    assert gathered("", entries(free), now=NOW).metric == "c"
    assert gathered("", [], now=NOW).metric is None


def test_a_metric_that_nobody_has() -> None:
    """The message lists those that there are."""
    with pytest.raises(ValueError, match="Received: metric='f1'.*'val_loss'"):
        gathered("", entries(versions([0.5])), now=NOW, metric="f1")
    with pytest.raises(TypeError, match="Received: metric=3"):
        gathered("", [], now=NOW, metric=3)  # type: ignore[arg-type]


def test_a_report_is_written_in_the_place_of_another(tmp_path: Path) -> None:
    """Whole, with nothing left beside it."""
    store = report_store(tmp_path / "digits")
    output = tmp_path / "report.html"
    output.write_text("old")
    write_report(store, output, verified=store.verify(), now=NOW)
    root = read(output.read_text(encoding="utf-8"))
    assert len(root.all("tbody")[0].all("tr")) == len(store.history) == 64
    assert "8 versions read in full" in root.by_id("verify").text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits", "report.html"]
    assert store.verify().ok


def test_a_report_dates_itself(tmp_path: Path) -> None:
    """By the clock, in UTC, where no other instant is given."""
    before = datetime.now(UTC)
    write_report(new_store(tmp_path / "a", 0.5), tmp_path / "report.html")
    footer = read((tmp_path / "report.html").read_text(encoding="utf-8")).all("footer")
    found = re.findall(r"Made (.*) UTC", footer[0].text)
    made = datetime.fromisoformat(found[0]).replace(tzinfo=UTC)
    assert before.replace(microsecond=0) <= made <= datetime.now(UTC)


def test_a_report_inside_a_version_is_refused(tmp_path: Path) -> None:
    """It would be a stranger there; beside the versions it may be."""
    store = new_store(tmp_path / "a", 0.5)
    for inside in ("version_1", ".versions", ".versions/tags"):
        with pytest.raises(ValueError, match="`output` must not lie inside a version"):
            write_report(store, store.path / inside / "report.html")
    write_report(store, store.path / "report.html")
    assert store.verify().ok


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    """The message says why, and what was there stays."""
    store = new_store(tmp_path / "a", 0.5)
    with pytest.raises(StoreError, match="cannot be written to .*: No such file"):
        write_report(store, tmp_path / "nowhere" / "report.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="The report cannot be written"):
        write_report(store, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "folder"]
    with pytest.raises(ValueError, match="`now` must have a time zone"):
        write_report(store, tmp_path / "b", now=datetime(2026, 11, 20))


def test_the_style_and_the_script_are_in_the_package() -> None:
    """They are named as data of the package, without which no report can be made."""
    setup = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for name in ("report.css", "report.js"):
        assert f"\n    {name}\n" in setup
