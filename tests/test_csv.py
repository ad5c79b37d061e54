"""Versions for spreadsheets."""

import csv
from datetime import UTC, datetime

import pytest

from keras_versioned_ckpt._csv import as_csv
from keras_versioned_ckpt.records import HistoryEntry, Version

from .factories import versions


def rows(*listed: Version, **facts: object) -> list[dict[str, str]]:
    """Returns what a reader of CSV makes of versions."""
    entries = [HistoryEntry(version=version, **facts) for version in listed]
    return list(csv.DictReader(as_csv(entries).split("\n")))


def test_a_row_for_each_version_and_a_column_for_each_metric() -> None:
    """What a version does not have is empty."""
    first, second = rows(*versions([0.5, None], tags={2: ("a", "b")}))
    assert (first["number"], first["metrics.val_loss"]) == ("1", "0.5")
    assert (second["metrics.val_loss"], second["tags"]) == ("", "a b")
    assert first["created"] == "2026-11-20T12:00:00.000000Z"


@pytest.mark.parametrize(
    "formula",
    ["=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(1)", "\t=1", " =1", "＝1"],  # noqa: RUF001
)
def test_a_cell_that_would_be_a_formula_is_text(formula: str) -> None:
    """In any column of text; an apostrophe says so."""
    created = datetime(2026, 11, 20, tzinfo=UTC)
    version = Version(number=1, created=created, run_id=formula, monitor=formula)
    (row,) = rows(version, reason=formula, policy=formula)
    for column in ("run_id", "monitor", "reason", "policy"):
        assert not row[column].strip().startswith(("=", "+", "-", "@", "＝"))  # noqa: RUF001
        assert row[column].endswith(formula[-1])


def test_the_name_of_a_metric_is_never_a_formula() -> None:
    """A word stands in front of it."""
    created = datetime(2026, 11, 20, tzinfo=UTC)
    version = Version(number=1, created=created, metrics={"=1+1": 1.0})
    assert "metrics.=1+1" in as_csv([HistoryEntry(version=version)]).split("\n")[0]


def test_numbers_stay_numbers() -> None:
    """Also those below zero, and those that are none."""
    values = [-0.5, float("-inf"), float("nan")]
    found = [row["metrics.val_loss"] for row in rows(*versions(values))]
    assert found == ["-0.5", "-inf", "nan"]


def test_nothing_at_all() -> None:
    """An empty store has a head and no row."""
    assert as_csv([]).count("\n") == 0
    assert as_csv([]).startswith("number,name,")


def test_lines_and_quotes_stay_in_their_cell() -> None:
    """A reason may hold anything."""
    (row,) = rows(*versions([0.5]), reason='a, "b"\nc')
    assert row["reason"] == 'a, "b"\\nc'


@pytest.mark.parametrize("text", ["a;=1+1", "a; @SUM(1)", "a;b;-1"])
def test_a_formula_behind_a_semicolon(text: str) -> None:
    """Where a comma stands in decimal fractions, a cell ends there."""
    (row,) = rows(*versions([0.5]), reason=text)
    last = row["reason"].split(";")[-1].strip()
    assert last.startswith("'")
    assert row["reason"].replace("'", "") == text
