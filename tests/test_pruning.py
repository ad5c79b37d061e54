"""Pruning and deleting: what goes, what stays whatever happens, and the trash."""

import errno
import os
import shutil
from datetime import UTC, datetime

import pytest

from keras_versioned_ckpt import _atomic, _removal
from keras_versioned_ckpt.errors import (
    CheckpointWarning,
    CorruptVersionError,
    StoreError,
    UnsafeVersionError,
    VersionNotFoundError,
)
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.retention import KeepAll, KeepBest, KeepLast, KeepTagged
from keras_versioned_ckpt.selectors import Latest
from keras_versioned_ckpt.store import CheckpointStore
from keras_versioned_ckpt.triggers import EveryEpochs
from tests.stores import found, new_store, save, tree

KEEP_ONE = KeepLast(1)

# Pruning


def test_pruning_keeps_what_the_policy_keeps(directory):
    """And says why of each; the ledger has the same words."""
    store = new_store(directory, 0.5, 0.25, 0.75, 0.6)
    plan = store.prune(KeepLast(1) | KeepBest(1, "val_loss", "min"))
    assert [version.number for version in plan.keep] == [2, 4]
    assert [version.number for version in plan.remove] == [1, 3]
    assert found(store) == [2, 4]
    assert sorted(p.name for p in directory.iterdir()) == [
        ".versions",
        "version_2",
        "version_4",
    ]
    assert os.listdir(directory / ".versions" / "trash") == []
    assert store.history[0].reason == "; ".join(plan.reasons[1])


def test_a_dry_run_changes_nothing(directory):
    """It only says what would be done."""
    store = new_store(directory, 0.5, 0.4)
    before = tree(directory)
    plan = store.prune(KEEP_ONE, dry_run=True)
    assert [version.number for version in plan.remove] == [1]
    assert tree(directory) == before


def test_guards(directory):
    """The newest, tagged versions and those in use are kept by any policy."""
    store = new_store(directory, 0.1, 0.5, 0.4, 0.6)
    store.tag(2, "prod")
    store.prune(KeepBest(1, "val_loss", "min"), in_use=[3])
    assert found(store) == [1, 2, 3, 4]
    store.prune(KeepBest(1, "val_loss", "min"))
    assert found(store) == [1, 2, 4]
    store.prune(KeepTagged("none*"))
    assert found(store) == [2, 4]


@pytest.mark.parametrize("policy", [None, 3, "KeepLast(3)", EveryEpochs(), Latest()])
def test_only_a_retention_policy_prunes(directory, policy):
    """Another family, or no policy at all, is a TypeError that removes nothing."""
    store = new_store(directory, 0.5, 0.4)
    with pytest.raises(TypeError, match="`policy` must be a retention policy.*policy="):
        store.prune(policy)
    assert found(store) == [1, 2]


def test_families_do_not_mix():
    """A mixed policy cannot even be written."""
    with pytest.raises(TypeError):
        KeepLast(1) | EveryEpochs(2)


def test_files_of_the_user_survive_everything(directory):
    """Beside the versions and inside one; such a version takes no part."""
    store = new_store(directory, 0.5, 0.4, 0.3)
    (directory / "notes.txt").write_bytes(b"mine")
    (directory / "version_1" / "notes.txt").write_bytes(b"mine too")
    (directory / "version_2" / "plots").mkdir()
    with pytest.warns(CheckpointWarning) as told:
        store.prune(KEEP_ONE)
    assert [str(warning.message) for warning in told] == [
        "version_1 is not counted and not removed: version_1 holds files that its "
        "manifest does not list: 'notes.txt'",
        "version_2 is not counted and not removed: version_2 holds files that its "
        "manifest does not list: 'plots/'",
    ]
    assert found(store) == [1, 2, 3]
    with pytest.raises(CorruptVersionError, match=r"notes.txt"):
        store.delete(1)
    assert (directory / "notes.txt").read_bytes() == b"mine"
    assert (directory / "version_1" / "notes.txt").read_bytes() == b"mine too"


def test_a_damaged_version_does_not_take_the_place_of_a_good_one(directory):
    """What `KeepLast(1)` keeps can be loaded."""
    new_store(directory, 0.5, 0.4, 0.3)
    (directory / "version_3" / "model.keras").write_bytes(b"torn")
    with pytest.warns(CheckpointWarning, match="version_3 is not counted.*4 bytes"):
        plan = CheckpointStore(directory).prune(KEEP_ONE)
    assert [version.number for version in plan.keep] == [2]
    assert found(CheckpointStore(directory)) == [2, 3]


def test_a_version_with_a_link_in_it_is_not_removed(tmp_path, directory):
    """What the link points to is not touched."""
    (tmp_path / "target").write_bytes(b"mine")
    store = new_store(directory, 0.5, 0.4)
    payload = directory / "version_1" / "model.keras"
    payload.unlink()
    payload.symlink_to(tmp_path / "target")
    with pytest.warns(CheckpointWarning, match="neither a file nor a directory"):
        store.prune(KEEP_ONE)
    with pytest.raises(UnsafeVersionError):
        store.delete(1)
    assert found(store) == [1, 2]
    assert (tmp_path / "target").read_bytes() == b"mine"


@pytest.mark.parametrize("kind", ["link", "directory"])
def test_a_manifest_that_is_no_file_is_refused(tmp_path, directory, kind):
    """Neither followed nor read; the version stays where it is."""
    store = new_store(directory, 0.5, 0.4)
    manifest = directory / "version_1" / "manifest.json"
    shutil.move(manifest, tmp_path / "target")
    if kind == "link":
        manifest.symlink_to(tmp_path / "target")
    else:
        manifest.mkdir()
    with pytest.warns(CheckpointWarning, match=r"manifest.json is not a regular file"):
        store.prune(KEEP_ONE)
    assert found(store) == [1, 2]


def test_a_version_that_was_deleted_by_hand_does_not_disturb(directory, monkeypatch):
    """Neither before the listing nor right after it."""
    store = new_store(directory, 0.5, 0.4, 0.3)
    shutil.rmtree(directory / "version_1")
    plan = store.prune(KEEP_ONE)
    assert [version.number for version in plan.remove] == [2]

    store = CheckpointStore(directory)
    save(store)
    listed = store.versions
    shutil.rmtree(directory / "version_3")
    monkeypatch.setattr(store._room.catalog, "versions", lambda: listed)
    assert store.prune(KEEP_ONE).remove == ()


def test_pruning_twice_is_pruning_once(directory):
    """The second time there is nothing to do."""
    store = new_store(directory, 0.5, 0.4)
    store.prune(KEEP_ONE)
    before = tree(directory)
    assert store.prune(KEEP_ONE).remove == ()
    assert tree(directory) == before
    assert store.prune(KeepAll()).remove == ()


# The trash


@pytest.fixture
def trashed(directory):
    """A store with version 1 in its trash, as a kill during a removal leaves it."""
    store = new_store(directory, 0.5, 0.4)
    shutil.move(directory / "version_1", directory / ".versions" / "trash" / "v.1")
    return store


@pytest.mark.parametrize("act", [save, lambda store: store.prune(KEEP_ONE)])
def test_what_a_killed_removal_left_is_deleted(trashed, directory, act):
    """By the next save or removal, be it begun or nearly done."""
    trash = directory / ".versions" / "trash"
    (trash / "v.1" / "model.keras").unlink()
    (trash / "v.2").mkdir()
    act(trashed)
    assert os.listdir(trash) == []


def test_trash_that_cannot_be_deleted_costs_no_save(trashed, directory, monkeypatch):
    """It is told of by `prune` and `verify`."""

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(_removal, "empty_trash", broken)
        assert save(trashed).number == 3
    assert ("trash", "v.1") in [(p.kind, p.name) for p in trashed.verify().problems]


def test_files_of_the_user_survive_in_the_trash(trashed, directory):
    """Only what a manifest of this store lists is deleted."""
    trash = directory / ".versions" / "trash"
    (trash / "v.1" / "notes.txt").write_bytes(b"mine")
    (trash / "file").write_bytes(b"mine")
    (trash / "full").mkdir()
    (trash / "full" / "file").write_bytes(b"mine")
    with pytest.warns(CheckpointWarning, match="stays in the trash") as told:
        trashed.prune(KEEP_ONE)
    assert len(told) == 3
    assert sorted(tree(trash)) == [
        "file",
        "full",
        "full/file",
        "v.1",
        "v.1/manifest.json",
        "v.1/notes.txt",
    ]


def test_a_version_of_another_store_survives_in_the_trash(trashed, tmp_path):
    """Whoever put it there."""
    other = new_store(tmp_path / "other", 0.5)
    target = trashed.path / ".versions" / "trash" / "v.2"
    shutil.move(other.path / "version_1", target)
    with pytest.warns(CheckpointWarning, match="its manifest is of another store"):
        trashed.prune(KEEP_ONE)
    assert (target / "model.keras").exists()


def test_links_in_the_trash_are_not_followed(trashed, tmp_path):
    """Neither one that stands for a directory of the version, nor one for all of it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "saved_model.pb").write_bytes(b"mine")
    save(trashed)
    with trashed.stage() as staged:
        (staged.path / "saved_model").mkdir()
        (staged.path / "saved_model" / "saved_model.pb").write_bytes(b"graph")
        version = trashed.commit(staged, format="saved_model")
    target = trashed.path / ".versions" / "trash" / "v.4"
    shutil.move(version.path, target)
    shutil.rmtree(target / "saved_model")
    (target / "saved_model").symlink_to(outside)
    (trashed.path / ".versions" / "trash" / "v.5").symlink_to(outside)
    with pytest.warns(CheckpointWarning, match="stays in the trash"):
        trashed.prune(KeepAll())
    assert tree(outside) == {"saved_model.pb": b"mine"}


@pytest.mark.parametrize("target", ["version_2", "../outside"])
def test_a_link_in_the_trash_to_a_version_deletes_nothing(trashed, directory, target):
    """Neither one that is there nor a copy outside: what the link names is not ours."""
    shutil.copytree(directory / "version_2", directory.with_name("outside"))
    planted = directory / ".versions" / "trash" / "v.3"
    planted.symlink_to(directory / target)
    before = tree(directory / target)
    with pytest.warns(CheckpointWarning, match="stays in the trash: it is not a dir"):
        trashed.prune(KEEP_ONE)
    assert tree(directory / target) == before
    trashed.repair()
    assert tree(directory / target) == before
    assert os.listdir(directory / ".versions" / "trash") == []


@pytest.mark.parametrize("number", [1, 3])
def test_a_version_with_a_flipped_bit_takes_no_part(directory, number):
    """Its size tells nothing: it neither takes the place of a good one nor goes."""
    new_store(directory, 0.5, 0.4, 0.3)
    (directory / f"version_{number}" / "model.keras").write_bytes(b"wEights")
    store = CheckpointStore(directory)
    with pytest.warns(CheckpointWarning, match=f"version_{number} is not counted.*SHA"):
        store.prune(KEEP_ONE)
    assert found(store) == {1: [1, 3], 3: [2, 3]}[number]
    with pytest.raises(CorruptVersionError, match="SHA-256"):
        store.delete(number)
    assert found(store) == {1: [1, 3], 3: [2, 3]}[number]


def test_what_the_ledger_says_wrongly_decides_nothing(directory):
    """A flipped bit in a metric makes the best version no worse."""
    ledger = new_store(directory, 0.1, 0.4, 0.3).path / ".versions" / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace('"val_loss":0.1', '"val_loss":0.9'))
    with pytest.warns(CheckpointWarning, match="version_1 is not counted.*repair()"):
        CheckpointStore(directory).prune(KeepBest(1, "val_loss", "min"))
    assert found(CheckpointStore(directory)) == [1, 3]
    CheckpointStore(directory).repair()
    assert CheckpointStore(directory).best("val_loss", "min").number == 1


def test_what_this_process_wrote_or_read_is_not_read_again(directory, monkeypatch):
    """Pruning after each save costs no reading of what was just written."""
    old = new_store(directory, 0.5, 0.4).path
    store = CheckpointStore(old)
    save(store)
    read = []
    hashed = _atomic.hash_file
    monkeypatch.setattr(
        _atomic,
        "hash_file",
        lambda p, **o: read.append(p.parent.name) or hashed(p, **o),
    )
    store.prune(KeepLast(2))
    store.prune(KeepLast(1))
    assert sorted(read) == ["version_1", "version_2"]
    assert found(store) == [3]


def test_two_may_empty_the_trash_at_once(trashed, directory, monkeypatch):
    """What another process deleted first is no error."""
    trash = directory / ".versions" / "trash"
    names = os.listdir
    monkeypatch.setattr(
        os, "listdir", lambda path: [*names(path), *["gone"] * (path == trash)]
    )
    trashed.prune(KEEP_ONE)
    assert names(trash) == []


# Deleting


def test_deleting_removes_one_version(directory):
    """By number, name or record; the newest too, for the user said so."""
    store = new_store(directory, 0.5, 0.4, 0.3, 0.2)
    store.delete(4)
    store.delete("version_2")
    store.delete(store[1])
    assert found(store) == [3]
    with pytest.raises(VersionNotFoundError, match="version_2' is gone: .*by the user"):
        store.delete(2)


def test_a_tagged_version_is_not_deleted(directory):
    """The message says how to go on."""
    store = new_store(directory, 0.5)
    store.tag(1, "prod")
    with pytest.raises(StoreError, match=r"tagged 'prod'.*store.untag\('prod'\)"):
        store.delete(1)
    store.untag("prod")
    store.delete(1)
    assert found(store) == []


def test_a_record_of_another_store_deletes_nothing_here(tmp_path):
    """The same number is not the same version."""
    first, second = new_store(tmp_path / "1", 0.5), new_store(tmp_path / "2", 0.5)
    with pytest.raises(VersionNotFoundError, match="no version called 'version_1'"):
        first.delete(second[1])
    with pytest.raises(VersionNotFoundError):
        first.tag(Version(number=1, created=datetime.now(UTC)), "prod")
    assert found(first) == [1]


def test_a_directory_that_was_swapped_is_not_deleted(directory):
    """Ledger and manifest must agree on which version it is."""
    store = new_store(directory, 0.5, 0.4)
    manifest = directory / "version_1" / "manifest.json"
    text = manifest.read_text().replace('"number": 1', '"number": 9')
    manifest.write_text(text)
    with pytest.raises(
        CorruptVersionError, match=r"9 by its manifest.*1 by the ledger"
    ):
        store.delete(1)
    assert found(store) == [1, 2]
