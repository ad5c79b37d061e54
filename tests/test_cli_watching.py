"""`keras-ckpt watch`."""

import json
import signal
import time
from pathlib import Path
from typing import TextIO

import pytest

from keras_versioned_ckpt import KeepLast
from keras_versioned_ckpt._cli_watching import happened

from .commands import at_terminal, everything, seen, started, written
from .stores import new_store, save


def next_line(stream: TextIO | None) -> str:
    """Returns the next line, for which it waits."""
    assert stream is not None
    return stream.readline()


def test_each_thing_that_happens_is_a_line(directory: Path) -> None:
    """Also the making of the store; Ctrl-C is how it ends."""
    process = started("watch", directory, "--interval", "0.05")
    assert "Waiting for a store" in next_line(process.stderr)
    store = new_store(directory)
    save(store, loss=0.5)
    assert "saved version_1, val_loss=0.5, 7 B" in next_line(process.stdout)
    store.tag(1, "prod")
    assert "tags of version_1: prod" in next_line(process.stdout)
    store.untag("prod")
    assert "tags of version_1: none" in next_line(process.stdout)
    save(store, loss=0.25)
    assert "saved version_2, val_loss=0.25, 7 B" in next_line(process.stdout)
    store.prune(KeepLast(1))
    line = next_line(process.stdout)
    assert "removed version_1: removed: no rule keeps it" in line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_as_json_each_line_is_an_object(directory: Path) -> None:
    """With what happened, and the version as `list` tells it."""
    store = new_store(directory, 0.5)
    process = started("watch", directory, "--interval", "0.05", "--json")
    told = json.loads(next_line(process.stdout))
    assert (told["event"], told["number"], told["gone"]) == ("saved", 1, False)
    store.delete(1)
    told = json.loads(next_line(process.stdout))
    assert (told["event"], told["reason"]) == (
        "removed",
        "removed: deleted by the user",
    )
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_at_a_terminal_the_table_is_kept_up_to_date(directory: Path) -> None:
    """The newest versions that there is room for, and the last that went."""
    store = new_store(directory, 0.5)
    process, terminal = at_terminal(
        ["watch", directory, "--interval", "0.05"], LINES="12"
    )
    text = ""
    for number in range(2, 12):
        save(store, loss=1 / number)
        deadline = time.monotonic() + 30
        while f"version_{number}" not in text and time.monotonic() < deadline:
            text += written(terminal)
    assert "version_11" in text
    store.delete(1)
    while "1 gone, the last" not in seen(text) and time.monotonic() < deadline + 30:
        text += written(terminal)
    process.send_signal(signal.SIGINT)
    text += everything(terminal)
    assert process.wait(timeout=30) == 0
    assert "version_1: removed:" in " ".join(seen(text).split())
    last = seen(text).rpartition("number")[2]
    assert "version_11" in last
    assert "version_2 " not in last, "there is room for four rows"


def test_what_came_and_went_between_two_looks_is_told_as_both(directory: Path) -> None:
    """What was gone before the first look is not told."""
    store = new_store(directory, 0.5, 0.25)
    store.delete(1)
    first = store.history
    assert [(e, v.number) for e, v in happened(None, first)] == [("saved", 2)]
    save(store, loss=0.1)
    save(store, loss=0.2)
    store.delete(3)
    known = {entry.number: entry for entry in first}
    assert [(e, v.number) for e, v in happened(known, store.history)] == [
        ("saved", 3),
        ("removed", 3),
        ("saved", 4),
    ]
    assert [*happened({e.number: e for e in store.history}, store.history)] == []


def test_an_empty_store_that_was_looked_at_tells_what_came_and_went(
    directory: Path,
) -> None:
    """Nothing is known, and yet it is not the first look."""
    store = new_store(directory, 0.5, 0.25)
    store.delete(1)
    told = [(event, entry.number) for event, entry in happened({}, store.history)]
    assert told == [("saved", 1), ("removed", 1), ("saved", 2)]


@pytest.mark.parametrize("number", [1, 2])
def test_tags_of_what_is_gone_are_no_news(directory: Path, number: int) -> None:
    """Only that it went."""
    store = new_store(directory, 0.5, 0.25)
    store.tag(number, "prod")
    known = {entry.number: entry for entry in store.history}
    store.untag("prod")
    if number == 1:
        store.delete(1)
    expected = [("removed", 1)] if number == 1 else [("tagged", 2)]
    told = [(event, entry.number) for event, entry in happened(known, store.history)]
    assert told == expected


def test_a_store_that_is_removed_and_made_anew(directory: Path) -> None:
    """It is waited for again, and the other one is not taken for it."""
    new_store(directory, 0.5)
    process = started("watch", directory, "--interval", "0.05")
    assert "saved version_1, val_loss=0.5" in next_line(process.stdout)
    elsewhere = directory.with_name("elsewhere")
    directory.rename(elsewhere)
    assert "Waiting for a store" in next_line(process.stderr)
    new_store(directory, 0.125)
    line = next_line(process.stdout)
    while "removed version_1" in line:  # seen while it was going
        line = next_line(process.stdout)
    assert "saved version_1, val_loss=0.125" in line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_another_store_in_the_place_of_one(directory: Path) -> None:
    """Also where it was never seen missing."""
    new_store(directory, 0.5)
    other = new_store(directory.with_name("other"), 0.125)
    process = started("watch", directory, "--interval", "1")
    assert "saved version_1, val_loss=0.5" in next_line(process.stdout)
    directory.rename(directory.with_name("elsewhere"))
    other.path.rename(directory)
    line = next_line(process.stdout)
    assert "saved version_1, val_loss=0.125" in line
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_times_are_in_utc(directory: Path) -> None:
    """Whoever watches may sit in another zone, and on another day."""
    store = new_store(directory, 0.5)
    process = started("watch", directory, "--interval", "0.05")
    created = f"{store[1].created:%Y-%m-%d %H:%M:%SZ}"
    assert next_line(process.stdout).startswith(f"{created} saved version_1")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_on_a_narrow_terminal_the_newest_are_seen(
    directory: Path, columns: int
) -> None:
    """A row takes one line, and what tells the versions apart stays whole."""
    store = new_store(directory)
    for number in range(1, 30):
        save(store, metrics={"val_loss": 1 / number, "accuracy": 0.5, "other": 1.0})
    process, terminal = at_terminal(
        ["watch", directory, "--interval", "5"], LINES="16", COLUMNS=str(columns)
    )
    text = ""
    deadline = time.monotonic() + 30
    while "version_29" not in text and time.monotonic() < deadline:
        text += seen(written(terminal))
    lines = [line for line in text.splitlines() if "version_" in line]
    assert [int(line.split()[0]) for line in lines] == list(range(22, 30))
    assert all(line.split()[1] == f"version_{line.split()[0]}" for line in lines)
    process.send_signal(signal.SIGINT)
    everything(terminal)
    assert process.wait(timeout=30) == 0
