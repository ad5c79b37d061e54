"""`latest` and `best` of a long ledger: in short they are what they are at length."""

import contextlib
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_versioned_ckpt import _catalog, _index
from keras_versioned_ckpt._following import Following
from keras_versioned_ckpt.errors import CheckpointError, CheckpointWarning
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.selectors import Best, Latest
from keras_versioned_ckpt.store import CheckpointStore
from tests.acts import ACTS, acts
from tests.stores import new_store, save


@pytest.fixture
def indexed(directory, monkeypatch):
    """A store whose short ledger has an index, as only long ones have."""
    monkeypatch.setattr(_catalog, "_LONG_BYTES", 0)
    monkeypatch.setattr(_catalog, "_MOST_BEHIND", 5)
    store = new_store(directory)
    for loss in (0.5, 0.25, 0.75, 0.25, 0.6):
        save(store, loss=loss, monitor="val_loss", mode="min")
    return store


def in_short(store, monkeypatch):
    """Returns the latest and the best of a store opened anew, without its lines."""
    opened = CheckpointStore(store.path)
    with monkeypatch.context() as patched:
        patched.setattr(Following, "read", mock.Mock(side_effect=AssertionError))
        return opened.latest().number, opened.best().number


def index_of(store):
    """Returns the path of a store's index."""
    return store.path / ".versions" / "ledger.index"


def test_the_newest_and_the_best_need_no_list_of_all(indexed, monkeypatch):
    """They are the same records, with path and tags."""
    assert in_short(indexed, monkeypatch) == (5, 2)
    indexed.tag(5, "prod")
    opened = CheckpointStore(indexed.path)
    assert repr(opened.latest()) == repr(indexed[5])
    assert repr(opened.best()) == repr(indexed[2])
    assert repr(opened.best("val_loss", "min")) == repr(indexed[2])


def test_what_was_appended_since_counts(indexed, monkeypatch):
    """Saves and removals, also of what was saved since."""
    behind = index_of(indexed).read_bytes()
    indexed.delete(2)
    assert in_short(indexed, monkeypatch) == (5, 4)
    save(indexed, loss=0.1, monitor="val_loss", mode="min")
    assert in_short(indexed, monkeypatch) == (6, 6)
    opened = CheckpointStore(indexed.path)
    assert opened.latest().number == 6
    indexed.delete(6)
    assert opened.latest().number == 5
    assert opened.best().number == 4
    assert index_of(indexed).read_bytes() == behind


def test_an_index_that_fell_behind_is_made_anew(indexed):
    """So that never many lines have to be read."""
    before = index_of(indexed).read_bytes()
    for _ in range(5):
        save(indexed, loss=0.5)
    assert index_of(indexed).read_bytes() != before


def test_a_short_ledger_has_no_index(directory):
    """Its lines are read as fast."""
    assert not index_of(new_store(directory, 0.5, 0.4)).exists()


def test_a_repair_makes_the_index_of_the_new_ledger(indexed, monkeypatch):
    """The old one would be of no use."""
    (indexed.path / ".versions" / "ledger.jsonl").unlink()
    indexed.repair()
    assert in_short(indexed, monkeypatch) == (5, 2)


def test_what_is_gone_or_a_link_is_no_answer(indexed, monkeypatch):
    """Though the index has it."""
    shutil.rmtree(indexed.path / "version_5")
    shutil.move(indexed.path / "version_2", indexed.path / ".versions" / "elsewhere")
    (indexed.path / "version_2").symlink_to(indexed.path / ".versions" / "elsewhere")
    assert in_short(indexed, monkeypatch) == (4, 4)


def test_foreign_things_do_not_disturb(indexed, monkeypatch):
    """Files and directories without a manifest."""
    (indexed.path / "notes.txt").write_bytes(b"mine")
    (indexed.path / "photos").mkdir()
    (indexed.path / "my photos").mkdir()
    assert in_short(indexed, monkeypatch) == (5, 2)


def test_without_a_monitor_the_best_is_by_val_loss(directory, monkeypatch):
    """As for versions that were saved by hand."""
    monkeypatch.setattr(_catalog, "_LONG_BYTES", 0)
    monkeypatch.setattr(_catalog, "_MOST_BEHIND", 3)
    store = new_store(directory)
    for loss in (0.5, 0.25, 0.75):
        save(store, loss=loss, modes={"val_loss": "min"})
    assert in_short(store, monkeypatch) == (3, 2)
    save(store, loss=0.1, monitor="f1", mode="max", metrics={"f1": 0.5})
    assert CheckpointStore(directory).best().number == 4


@pytest.mark.parametrize("noted", [1, 2])
def test_where_all_that_are_noted_are_gone_the_lines_are_read(
    directory, monkeypatch, noted
):
    """Few are, so that the index stays small."""
    monkeypatch.setattr(_catalog, "_LONG_BYTES", 0)
    monkeypatch.setattr(_index, "NOTED", noted)
    store = new_store(directory)
    for loss in (0.4, 0.1, 0.2, 0.5):
        save(store, loss=loss, monitor="val_loss", mode="min")
    store._room.catalog._ledger.indexed = -(10**6)
    store.tag(1, "prod")
    shutil.rmtree(directory / "version_2")
    assert CheckpointStore(directory).best().number == 3
    shutil.rmtree(directory / "version_4")
    assert CheckpointStore(directory).latest().number == 3
    assert CheckpointStore(directory).best().number == 3
    shutil.rmtree(directory / "version_3")
    assert CheckpointStore(directory).latest().number == 1
    assert CheckpointStore(directory).best().number == 1


def test_what_others_do_during_the_listing_is_seen(indexed, monkeypatch):
    """As in the long way: a name may be used again."""
    listdir, done = os.listdir, []
    opened = CheckpointStore(indexed.path)

    def meanwhile(path):
        names = listdir(path)
        if path == indexed.path and not done:
            done.append(True)
            save(indexed, loss=0.1, monitor="val_loss", mode="min")
        return names

    monkeypatch.setattr(os, "listdir", meanwhile)
    assert opened.latest().number == 6


def test_a_damaged_line_behind_the_index_is_none(indexed):
    """The version that it is about is read from its manifest."""
    ledger = indexed.path / ".versions" / "ledger.jsonl"
    save(indexed, loss=0.1, monitor="val_loss", mode="min")
    data = ledger.read_bytes()
    ledger.write_bytes(data[:-20] + b"\n")
    assert CheckpointStore(indexed.path).best().number == 6
    ledger.write_bytes(data + b"torn\n")
    assert CheckpointStore(indexed.path).latest().number == 6


def test_a_ledger_that_is_another_one_is_read_anew(indexed):
    """Though the store was opened before."""
    ledger = indexed.path / ".versions" / "ledger.jsonl"
    opened = CheckpointStore(indexed.path)
    assert opened.latest().number == 5
    shutil.copy(ledger, ledger.with_name("copy"))
    ledger.with_name("copy").replace(ledger)
    indexed.delete(5)
    assert opened.latest().number == 4


def test_a_version_that_no_line_speaks_of_is_found(indexed):
    """As after a kill between the rename and the line."""
    ledger = indexed.path / ".versions" / "ledger.jsonl"
    before = ledger.read_bytes()
    opened = CheckpointStore(indexed.path)
    assert opened.latest().number == 5
    save(indexed, loss=0.1)
    ledger.write_bytes(before)
    assert opened.latest().number == 6
    assert CheckpointStore(indexed.path).best().number == 6


def spoiled(path):
    """Damages an index."""
    path.write_bytes(path.read_bytes()[:-9])


def linked(path):
    """Moves an index away and leaves a link to it."""
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


@pytest.mark.parametrize("spoil", [spoiled, linked, Path.unlink])
def test_an_index_that_is_none_is_passed_over(indexed, spoil):
    """Nothing is lost with it, and the next process that saves makes another."""
    spoil(index_of(indexed))
    assert CheckpointStore(indexed.path).latest().number == 5
    assert CheckpointStore(indexed.path).best().number == 2
    save(CheckpointStore(indexed.path))
    assert _index.decode(index_of(indexed).read_bytes()).last_number == 6
    assert not index_of(indexed).is_symlink()


def test_an_index_that_cannot_be_written_costs_no_save(indexed):
    """It saves time, and nothing else depends on it."""
    index_of(indexed).unlink()
    index_of(indexed).mkdir()
    store = CheckpointStore(indexed.path)
    assert save(store).number == 6
    assert CheckpointStore(indexed.path).latest().number == 6
    assert store.verify().ok


def test_an_index_that_points_elsewhere_is_passed_over(indexed):
    """It is compared with the lines that it points to."""
    indexed.tag(5, "prod")
    indexed.untag("prod")
    index = _index.decode(index_of(indexed).read_bytes())
    for newest in ([3], [10**6], index.newest[:1] * 5, [index.ledger_bytes]):
        changed = _index.dataclasses.replace(index, newest=newest)
        index_of(indexed).write_bytes(_index.encode(changed))
        assert CheckpointStore(indexed.path).latest().number == 5


def test_a_directory_that_does_not_change_is_listed_once(indexed, monkeypatch):
    """Its time stamps tell, once they are so old that a change would show."""
    listdir, listed = os.listdir, []

    def counted(path):
        listed.append(path)
        return listdir(path)

    opened = CheckpointStore(indexed.path)
    hour_ago = os.stat(indexed.path).st_mtime - 3600
    monkeypatch.setattr(os, "listdir", counted)
    opened.latest()
    opened.latest()
    assert listed.count(indexed.path) == 2
    os.utime(indexed.path, (hour_ago, hour_ago))
    with mock.patch("time.time_ns", return_value=time.time_ns() + 10**10):
        opened.latest()
        opened.best()
        assert listed.count(indexed.path) == 3
        shutil.rmtree(indexed.path / "version_5")
        assert opened.latest().number == 4
        save(indexed)
        assert opened.latest().number == 6


def outcome(ask):
    """Returns what a question gives, be it a version or an error."""
    try:
        return repr(ask())
    except (CheckpointError, ValueError) as error:
        return repr(error)


QUESTIONS = [
    Latest(),
    Best(),
    Best("val_loss", "max"),
    Best("f1"),
]


@settings(deadline=None, max_examples=50)
@given(
    acts,
    st.integers(1, 3),
    st.integers(1, 5),
    st.sampled_from(["val_loss", "val_loss", "f1", None]),
)
def test_in_short_is_as_at_length(acts, noted, behind, monitor):
    """Whatever happened to the store, and in the very words of its errors."""
    with (
        tempfile.TemporaryDirectory() as place,
        warnings.catch_warnings(),
        mock.patch.object(_catalog, "_LONG_BYTES", 0),
        mock.patch.object(_catalog, "_MOST_BEHIND", behind),
        mock.patch.object(_index, "NOTED", noted),
    ):
        warnings.simplefilter("ignore", CheckpointWarning)
        store = new_store(Path(place) / "store")
        for loss in (0.5, 0.4, 0.4):
            save(store, loss=loss, monitor=monitor, modes={"val_loss": "min"})
        store.prune(KeepLast(3))
        asked = CheckpointStore(store.path)
        for act, n, by_others in acts:
            with contextlib.suppress(CheckpointError, ValueError):
                ACTS[act](CheckpointStore(store.path) if by_others else store, n)
            for question in QUESTIONS:
                versions = CheckpointStore(store.path).versions
                at_length = outcome(lambda q=question, v=versions: q.select(v))
                opened = CheckpointStore(store.path)
                for one in (opened, asked):
                    in_short = outcome(lambda q=question, s=one: s.select(q))
                    assert in_short == at_length, (act, question)
