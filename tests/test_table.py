"""The tables that the command line prints."""

from datetime import timedelta

import pytest

from keras_versioned_ckpt._table import (
    history_table,
    metrics_text,
    rounded_age,
    version_table,
)
from keras_versioned_ckpt.records import HistoryEntry, Version
from tests.factories import START, versions


def test_a_table_of_versions():
    """One row per version, in the order given, columns aligned."""
    rows = versions([0.5, None], tags={2: ("prod",)}, sizes=[403_000_000, 12])
    assert str(version_table(rows, now=START + timedelta(hours=2))).splitlines() == [
        "number  name       epoch  step  metrics       size    age  tags",
        "------  ---------  -----  ----  ------------  ------  ---  ----",
        "1       version_1  1      10    val_loss=0.5  403 MB  2 h  -",
        "2       version_2  2      20    -             12 B    1 h  prod",
    ]


def test_a_table_with_reasons_has_a_column_more():
    """The reasons of a plan are joined; a version without any has none."""
    text = str(version_table(versions(count=2), {1: ("kept: a", "kept: b")}, START))
    assert text.splitlines()[0].endswith("tags  why")
    assert text.splitlines()[2].endswith("-     kept: a; kept: b")
    assert text.splitlines()[3].endswith("-")


def test_an_unknown_epoch_is_a_dash():
    """A version saved by hand has neither epoch nor step."""
    table = version_table([Version(number=1, created=START)], now=START)
    row = str(table).splitlines()[2]
    assert row.split() == ["1", "version_1", "-", "-", "-", "0", "B", "0", "s", "-"]


def test_ages_count_from_the_clock_by_default():
    """A version of 2026 is at least a second old or of the future."""
    row = str(version_table(versions(count=1))).splitlines()[2]
    assert any(word in row for word in (" d ", " h ", " min ", " s ", "future"))


def test_a_table_of_what_is_gone():
    """With when and why; nobody may have recorded when."""
    one, two = versions([0.5, 0.25])
    entries = [
        HistoryEntry(version=one, removed=START, reason="removed: no rule keeps it"),
        HistoryEntry(version=two, reason="its directory is missing"),
    ]
    _, _, first, second = str(history_table(entries)).splitlines()
    assert first.split(maxsplit=5)[3:5] == ["2026-11-20", "12:00:00"]
    assert first.endswith("removed: no rule keeps it")
    assert second.split(maxsplit=4)[3:] == ["-", "its directory is missing"]


def test_what_does_not_print_is_escaped():
    """A name of a metric cannot send commands to a terminal."""
    version = Version(number=1, created=START, metrics={"a\x1b[2J": 1.0})
    assert metrics_text(version) == "a\\x1b[2J=1"
    assert "\x1b" not in str(version_table([version]))


def test_the_monitored_metric_comes_first():
    """The others follow by name."""
    version = Version(
        number=1,
        created=START,
        metrics={"b": 2.0, "a": 1.23456, "val": float("nan")},
        monitor="val",
    )
    assert metrics_text(version) == "val=nan a=1.235 b=2"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "future"),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (86399, "23 h"),
        (86400, "1 d"),
        (86400 * 400, "400 d"),
    ],
)
def test_ages_have_one_unit(seconds, text):
    """Rounded down; a clock set back makes no negative age."""
    assert rounded_age(timedelta(seconds=seconds)) == text
