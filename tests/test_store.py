"""`CheckpointStore` as a collection: listing, looking up, choosing, history."""

import json
import os
import pickle
import shutil
import threading
from datetime import UTC, datetime

import pytest

from keras_versioned_ckpt import _integrity
from keras_versioned_ckpt.errors import (
    CheckpointWarning,
    VersionNotFoundError,
)
from keras_versioned_ckpt.naming import Template
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.selectors import Latest
from keras_versioned_ckpt.store import CheckpointStore
from tests.stores import found, new_store, save

KEEP_ONE = KeepLast(1)

# Listing and looking up


def test_a_store_reads_as_a_collection(directory):
    """By number and by name; an empty one is still a store."""
    store = new_store(directory)
    assert (len(store), list(store), bool(store)) == (0, [], True)
    one, two = save(store), save(store)
    assert list(store) == [one, two] == list(store.versions)
    assert store[2] == store["version_2"] == two
    assert 1 in store
    assert "version_2" in store
    assert one in store
    assert 3 not in store
    assert repr(store) == f"CheckpointStore({str(directory)!r})"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (7, r"no version number 7, .*exist: 1 \('version_1'\), 2 \('version_2'\)"),
        ("best.keras", r"no version called 'best.keras', .*exist: 1 \('version_1'\)"),
    ],
)
def test_a_version_that_does_not_exist(directory, key, message):
    """The message lists what exists."""
    store = new_store(directory, 0.5, 0.4)
    with pytest.raises(VersionNotFoundError, match=message):
        store[key]


def test_a_version_that_is_gone(directory):
    """The message says why it went."""
    store = new_store(directory, 0.5, 0.4, 0.3)
    store.prune(KeepLast(2))
    store.delete(2)
    shutil.rmtree(directory / "version_3")
    for number, why in [
        (1, "no rule keeps it"),
        (2, "deleted by the user"),
        (3, "its directory is missing"),
    ]:
        with pytest.raises(LookupError, match=f"version_{number}' is gone.*{why}"):
            store[number]
    with pytest.raises(LookupError, match="exist: none"):
        store["version_1"]


@pytest.mark.parametrize("key", [True, 1.0, None, b"version_1"])
def test_a_key_is_a_number_or_a_name(directory, key):
    """Booleans are no numbers."""
    with pytest.raises(TypeError, match=r"by its number \(int\) or name \(str\)"):
        new_store(directory, 0.5)[key]


def test_latest_and_best(directory):
    """And text that means the same."""
    store = new_store(directory)
    for loss in (0.5, 0.25, float("nan"), 0.75):
        save(store, loss=loss, monitor="val_loss", mode="min")
    assert store.latest().number == 4
    assert store.best().number == 2
    assert store.best("val_loss", "max").number == 4
    assert store.select("best~1").number == 1
    assert store.select(3).number == 3
    assert store.select(Latest()).number == 4


def test_an_empty_store_has_no_latest_and_no_best(directory):
    """Both are errors of the documented tree."""
    store = new_store(directory)
    for choose in (store.latest, lambda: store.best("val_loss")):
        with pytest.raises(VersionNotFoundError):
            choose()


def test_an_open_store_sees_what_others_do(directory):
    """Every question reads the disk afresh."""
    store, other = new_store(directory), CheckpointStore(directory)
    assert found(store) == []
    save(other)
    assert found(store) == [1]
    save(other)
    other.delete(1)
    assert found(store) == [2]
    other.repair()  # writes the ledger anew
    save(other)
    assert found(store) == [2, 3]


def test_foreign_things_in_a_store_are_no_versions(directory):
    """Files, hidden directories, and directories without a manifest."""
    store = new_store(directory, 0.5)
    (directory / "notes.txt").write_bytes(b"mine")
    (directory / "photos").mkdir()
    (directory / ".cache").mkdir()
    (directory / "my photos").mkdir()
    (directory / "link").symlink_to("version_1")
    assert found(store) == [1]
    assert found(CheckpointStore(directory)) == [1]


def test_a_copied_or_renamed_version_is_passed_over(directory):
    """With a warning: two directories cannot be the same version."""
    new_store(directory, 0.5)
    shutil.copytree(directory / "version_1", directory / "backup")
    with pytest.warns(
        CheckpointWarning, match="backup holds the manifest of version_1"
    ):
        assert found(CheckpointStore(directory)) == [1]


def test_a_version_of_another_store_is_passed_over(tmp_path):
    """Its number means nothing here."""
    first, second = new_store(tmp_path / "1", 0.5), new_store(tmp_path / "2", 0.5, 0.4)
    shutil.copytree(second.path / "version_2", first.path / "version_2")
    with pytest.warns(CheckpointWarning, match="was committed in another store"):
        assert found(first) == [1]


def test_a_directory_that_goes_while_it_is_read_is_no_version(directory, monkeypatch):
    """Nor is that worth a warning."""
    new_store(directory, 0.5)
    (directory / ".versions" / "ledger.jsonl").unlink()
    store = CheckpointStore(directory)
    read = _integrity.read_manifest

    def vanish(path, store_id):
        shutil.rmtree(directory / "version_1")
        return read(path, store_id)

    monkeypatch.setattr(_integrity, "read_manifest", vanish)
    assert found(store) == []


def test_a_store_that_vanished_holds_nothing(directory):
    """Asking it is no crash."""
    store = new_store(directory, 0.5)
    shutil.rmtree(directory)
    assert (found(store), store.history) == ([], ())


def test_a_store_can_go_to_another_process(directory):
    """A copy opens the store anew."""
    store = new_store(directory, 0.5)
    copy = pickle.loads(pickle.dumps(store))
    save(copy)
    assert found(store) == found(copy) == [1, 2]


# History


def test_history_tells_of_what_is_gone(directory):
    """When it went and why, with its facts as they were."""
    store = new_store(directory, 0.5, 0.4, 0.3)
    before = datetime.now(UTC)
    store.prune(KeepLast(2))
    gone, *there = CheckpointStore(directory).history
    assert (gone.number, gone.gone, gone.version.metrics) == (
        1,
        True,
        {"val_loss": 0.5},
    )
    assert before <= gone.removed <= datetime.now(UTC)
    assert gone.reason == "removed: no rule keeps it"
    assert [(entry.number, entry.gone) for entry in there] == [(2, False), (3, False)]


def test_history_knows_what_was_removed_by_hand(directory):
    """Nobody recorded when."""
    store = new_store(directory, 0.5, 0.4)
    shutil.rmtree(directory / "version_1")
    entry = store.history[0]
    assert (entry.number, entry.gone, entry.removed) == (1, True, None)
    assert "something other than this package removed it" in entry.reason


def test_what_others_do_during_the_listing_is_not_taken_for_a_removal_by_hand(
    directory, monkeypatch
):
    """Neither a removal right before the listing, nor a commit right after it."""
    store, other = new_store(directory, 0.5), CheckpointStore(directory)
    scandir, listdir = os.scandir, os.listdir

    def before(path):
        monkeypatch.setattr(os, "scandir", scandir)
        save(other)
        other.prune(KEEP_ONE)
        monkeypatch.setattr(os, "listdir", after)
        return scandir(path)

    def after(path):
        monkeypatch.setattr(os, "listdir", listdir)
        save(other)
        return listdir(path)

    monkeypatch.setattr(os, "scandir", before)
    told = [(entry.number, entry.reason) for entry in store.history]
    assert told == [(1, "removed: no rule keeps it"), (2, "")]
    assert found(store) == [2, 3]


def test_threads_may_ask_while_one_saves_and_deletes(directory):
    """The callback saves on a thread of its own, and its user may ask for the best."""
    store = new_store(directory)
    failures = []

    def ask():
        try:
            while not done.is_set():
                assert len(store) <= 1
                assert {entry.gone for entry in store.history[:-1]} <= {True}
        except BaseException as error:
            failures.append(error)

    done = threading.Event()
    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    given = []
    for _ in range(30):
        given.append(save(store).number)
        store.delete(given[-1])
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert given == list(range(1, 31))


def test_versions_without_the_room_are_a_store(tmp_path):
    """Copied by a tool that leaves out what begins with a dot, and written on."""
    new_store(tmp_path / "a", 3.0, 1.0, 2.0)
    shutil.copytree(
        tmp_path / "a", tmp_path / "b", ignore=shutil.ignore_patterns(".versions")
    )
    copy = CheckpointStore(tmp_path / "b")
    assert found(copy) == [1, 2, 3]
    assert save(copy).number == 4
    assert copy.verify().ok


def test_a_name_used_again_is_never_taken_for_the_old_version(tmp_path):
    """Though the new directory gets the old inode and no line of the ledger."""
    naming = Template("m_{epoch}")
    store = new_store(tmp_path / "store")
    ledger = store.path / ".versions" / "ledger.jsonl"
    for number in range(1, 6):
        before = ledger.read_bytes() if ledger.exists() else b""
        save(CheckpointStore(store.path), naming=naming, epoch=1, loss=float(number))
        ledger.write_bytes(before)  # as if killed before the line was written
        version = store.versions[-1]
        manifest = json.loads((version.path / "manifest.json").read_text())
        assert version.number == manifest["number"]
        assert version.metrics["val_loss"] == number
        shutil.rmtree(version.path)
