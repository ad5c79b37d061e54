"""Saving: what was staged becomes a version, with a number and a name."""

import errno
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keras_versioned_ckpt import _atomic, _integrity, _lock
from keras_versioned_ckpt import manifest as manifests
from keras_versioned_ckpt.errors import (
    SaveError,
    StoreError,
)
from keras_versioned_ckpt.naming import NamingPolicy, Template, Timestamped
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.store import CheckpointStore
from tests.stores import found, new_store, save, tree

KEEP_ONE = KeepLast(1)

# Saving


def test_a_version_is_what_was_saved(directory):
    """Its facts, its files, and a manifest that says both."""
    store = new_store(directory)
    before = datetime.now(UTC)
    version = save(
        store,
        b"payload",
        epoch=2,
        step=20,
        metrics={"val_loss": 0.5},
        monitor="val_loss",
        mode="min",
        metadata={"note": "ä"},
        trigger=["EveryEpochs()"],
        software={"keras": "3.10.0"},
    )
    assert (version.number, version.name) == (1, "version_1")
    assert version.path == directory / "version_1"
    assert before <= version.created <= datetime.now(UTC)
    assert version.size_bytes == len(b"payload")
    assert sorted(os.listdir(version.path)) == ["manifest.json", "model.keras"]
    manifest = manifests.decode((version.path / "manifest.json").read_bytes())
    assert manifest.trigger == ("EveryEpochs()",)
    assert manifest.software == {"keras": "3.10.0"}
    assert manifest.version.metadata == {"note": "ä"}
    assert list(manifest.files) == ["model.keras"]


def test_a_version_is_listed_the_same_from_ledger_and_manifest(directory):
    """The ledger is a cache of the manifests and says nothing else."""
    store = new_store(directory, 0.5, float("nan"), None)
    cached = CheckpointStore(directory).versions
    (directory / ".versions" / "ledger.jsonl").unlink()
    assert repr(CheckpointStore(directory).versions) == repr(cached)
    assert repr(store.versions) == repr(cached)


def test_a_payload_may_be_a_directory(directory):
    """Such as a SavedModel, with directories that are empty."""
    store = new_store(directory)
    with store.stage() as staged:
        (staged.path / "saved_model" / "variables").mkdir(parents=True)
        (staged.path / "saved_model" / "assets").mkdir()
        (staged.path / "saved_model" / "saved_model.pb").write_bytes(b"graph")
        version = store.commit(staged, format="saved_model")
    assert version.size_bytes == 5
    assert store.verify().ok
    save(store)
    store.prune(KEEP_ONE)
    assert found(store) == [2]
    assert os.listdir(directory / ".versions" / "trash") == []


def test_what_is_not_committed_is_gone(directory):
    """A staging directory lives as long as its `with` block."""
    store = new_store(directory)
    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(b"half")
    assert not staged.path.exists()
    assert os.listdir(directory / ".versions" / "staging") == []
    assert found(store) == []


def test_a_version_is_never_changed(directory):
    """Saving, tagging, pruning and repairing leave committed bytes as they are."""
    store = new_store(directory, 0.5)
    before = tree(directory / "version_1")
    save(store)
    store.tag(1, "prod")
    store.prune(KEEP_ONE)
    store.repair()
    assert tree(directory / "version_1") == before


def test_a_disk_that_fails_costs_nothing_but_the_save(directory, monkeypatch):
    """The message says once what failed, and what to do about a quota."""
    store = new_store(directory, 0.5)

    def full(*_):
        raise OSError(errno.EDQUOT, "Disk quota exceeded", "somewhere")

    with store.stage() as staged, monkeypatch.context() as patched:
        (staged.path / "model.keras").write_bytes(b"weights")
        patched.setattr(_atomic, "write_new", full)
        with pytest.raises(SaveError) as failure:
            store.commit(staged)
    assert str(failure.value) == (
        f"Saving version_2 in {directory} failed: Disk quota exceeded (somewhere). "
        "The disk is full: free some space, or keep fewer versions. "
        "Older versions are intact."
    )
    assert found(store) == [1]
    assert os.listdir(directory / ".versions" / "staging") == []


def test_a_rename_whose_reply_was_lost_has_happened(directory, monkeypatch):
    """A network file system may say "stale handle" of a rename that it made."""
    store = new_store(directory, 0.5)

    def renamed_and_lost(source, target):
        os.rename(source, target)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(source))

    with monkeypatch.context() as patched:
        patched.setattr(_atomic, "rename_new", renamed_and_lost)
        version = save(store, loss=0.4)
    assert [version.number, found(store)] == [2, [1, 2]]
    assert [entry.number for entry in store.history] == [1, 2]
    assert store.verify().ok


def test_a_rename_that_failed_has_not_happened(directory, monkeypatch):
    """Also where another version of the very name stands there by now."""
    store = new_store(directory, 0.5)

    def taken(source, target):
        shutil.copytree(store.path / "version_1", target)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(source))

    with monkeypatch.context() as patched:
        patched.setattr(_atomic, "rename_new", taken)
        with pytest.raises(SaveError, match="version_2 .*Stale file handle"):
            save(store, loss=0.4)
    assert os.listdir(directory / ".versions" / "staging") == []


def test_the_next_name_is_what_the_next_version_is_called(directory):
    """By any naming policy, past names that are taken, and from what is known."""
    store = new_store(directory, 0.5)
    (directory / "version_2").mkdir()
    assert store.next_name() == "version_2-2"
    naming = Template("{epoch:03d}-{val_loss:.2f}")
    facts = {"epoch": 7, "metrics": {"val_loss": 0.25}}
    assert store.next_name(naming, **facts) == "007-0.25"
    assert save(store, naming=naming, **facts).name == "007-0.25"
    assert [store.next_name(), save(store).name] == ["version_3", "version_3"]


def test_a_place_that_cannot_be_made_leaves_no_lock(directory, monkeypatch):
    """Staging fails as a whole."""
    store = new_store(directory)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", full)
        with pytest.raises(StoreError, match="Saving failed .*No space left"):
            store.stage()
    assert os.listdir(directory / ".versions" / "staging") == []


@pytest.mark.parametrize("gone", ["mkdir", "unlock"])
def test_no_lock_is_held_by_what_could_not_be_staged(directory, monkeypatch, gone):
    """Not even where the disk is dead, so that the lock's file cannot be deleted."""
    store = new_store(directory)

    def dead(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", dead)
        if gone == "mkdir":
            patched.setattr(Path, "mkdir", dead)
        else:
            release = _lock.Held.release

            def released(held):
                release(held)
                patched.setattr(_lock.Held, "release", release)
                dead()

            patched.setattr(_lock.Held, "release", released)
        with pytest.raises(StoreError, match="Saving failed .*Input/output"):
            store.stage()
    save(store)
    assert os.listdir(directory / ".versions" / "staging") == []


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"metadata": {"x": {1}}}, "JSON has no form for set"),
        ({"metadata": {"x": float("nan")}}, "not finite"),
        ({"epoch": -1}, "'epoch' is wrong"),
        ({"mode": "upwards"}, "'mode' is wrong"),
        ({"format": "pickle"}, "'payload_format' is wrong"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_what_could_not_be_read_back_is_not_committed(directory, facts, message):
    """Nothing becomes visible, and no number is used up."""
    store = new_store(directory, 0.5)
    with pytest.raises(SaveError, match=f"Saving .* failed: .*{message}.*intact"):
        save(store, **facts)
    assert os.listdir(directory / ".versions" / "staging") == []
    assert save(store).number == 2


def test_a_link_in_a_payload_is_not_committed(directory):
    """What a version holds is in it, not somewhere else."""
    store = new_store(directory)
    with store.stage() as staged:
        (staged.path / "model.keras").symlink_to("/etc/passwd")
        with pytest.raises(SaveError, match="not a regular file"):
            store.commit(staged)
    assert found(store) == []


def test_a_staging_directory_is_committed_once(directory):
    """The second time there is nothing left to commit."""
    store = new_store(directory)
    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(b"weights")
        store.commit(staged)
        with pytest.raises(SaveError, match="No such file"):
            store.commit(staged)
    assert found(store) == [1]


def test_a_version_that_another_process_prunes_at_once_was_saved(directory):
    """The save is reported although its version is gone by the next listing."""
    store, other = new_store(directory, 0.5), CheckpointStore(directory)
    version = save(store)
    save(other)
    other.prune(KEEP_ONE)
    assert version.number == 2
    assert found(store) == [3]


# Names and numbers


def test_a_taken_name_gets_a_suffix(directory):
    """Whatever stands there, and where case does not count."""
    store = new_store(directory)
    (directory / "Version_1").mkdir()
    (directory / "version_1-2").symlink_to("nowhere")
    (directory / "version_2").write_bytes(b"mine")
    assert [save(store).name for _ in range(2)] == ["version_1-3", "version_2-2"]
    assert os.listdir(directory / "Version_1") == []
    assert (directory / "version_2").read_bytes() == b"mine"
    assert not (directory / "nowhere").exists()


def test_two_versions_of_one_second_get_two_names(directory):
    """The bug of the well-known recipe with time stamps."""
    store = new_store(directory)
    naming = Timestamped("model_{created:%Y}")
    names = [save(store, naming=naming).name for _ in range(3)]
    year = datetime.now(UTC).year
    assert names == [f"model_{year}", f"model_{year}-2", f"model_{year}-3"]


def test_a_naming_policy_that_breaks_its_promise_costs_nothing_but_the_save(directory):
    """No path leaves the store, whatever a policy of the user's own returns."""

    class Rogue(NamingPolicy):
        template = ""

        def name(self, version):
            return "../outside"

        @property
        def _zone(self):
            return UTC

    store = new_store(directory)
    with pytest.raises(SaveError, match="'name' is wrong"):
        save(store, naming=Rogue())
    assert not (directory.parent / "outside").exists()


def test_numbers_are_never_used_again(directory):
    """Not after a deletion, nor in a store that was opened anew."""
    store = new_store(directory, 0.5, 0.4, 0.3)
    store.delete(3)
    assert save(store).number == 4
    store.delete(4)
    assert save(CheckpointStore(directory)).number == 5
    shutil.rmtree(directory / "version_5")
    assert save(store).number == 6
    assert found(store) == [1, 2, 6]


def test_numbers_survive_the_loss_of_the_ledger(directory):
    """The manifests know them too."""
    store = new_store(directory, 0.5, 0.4)
    (directory / ".versions" / "ledger.jsonl").unlink()
    assert save(store).number == 3


def test_a_number_that_only_its_removal_speaks_of_is_not_used_again(directory):
    """The line about its commit was lost."""
    store = new_store(directory, 0.5, 0.4)
    store.delete(2)
    file = directory / ".versions" / "ledger.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], b"torn\n", lines[2]]))
    assert save(CheckpointStore(directory)).number == 3


def test_a_version_that_goes_while_the_ledger_is_told_of_it_costs_no_save(
    directory, monkeypatch
):
    """Somebody removed it by hand since it was listed."""
    store = new_store(directory, 0.5)
    (directory / ".versions" / "ledger.jsonl").unlink()
    crc32 = _integrity.manifest_crc32

    def vanish(path):
        if path.name == "version_1":
            shutil.rmtree(path)
        return crc32(path)

    monkeypatch.setattr(_integrity, "manifest_crc32", vanish)
    assert save(store).number == 2
    assert found(store) == [2]


# Staging


def test_a_living_process_keeps_what_it_stages(directory):
    """Another save does not clear it away."""
    store, other = new_store(directory), CheckpointStore(directory)
    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(b"slow")
        save(other)
        assert store.verify().ok
        assert store.commit(staged).number == 2


def test_what_a_dead_process_left_is_cleared(directory):
    """With its lock, without it, or nothing but the lock; the rest is somebody's."""
    store = new_store(directory)
    staging = directory / ".versions" / "staging"
    for token in ("a" * 32, "b" * 32):
        (staging / token / "deep").mkdir(parents=True)
    for token in ("b" * 32, "c" * 32):
        (staging / f"{token}.lock").touch()
    (staging.parent / ".ledger.jsonl.new").write_bytes(b"{")
    (staging.parent / "tags" / ".prod.new").write_bytes(b"{")
    (staging / "mine").write_bytes(b"mine")
    save(store)
    assert os.listdir(staging) == ["mine"]
    assert not (staging.parent / ".ledger.jsonl.new").exists()
    assert os.listdir(staging.parent / "tags") == []


def test_a_link_planted_in_staging_costs_no_save(directory, tmp_path):
    """And what it points to is not touched."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"mine")
    store = new_store(directory)
    staging = directory / ".versions" / "staging"
    (staging / ("a" * 32)).symlink_to(tmp_path / "outside")
    (staging / f"{'b' * 32}.lock").symlink_to(tmp_path / "nowhere")
    save(store)
    assert found(store) == [1]
    assert tree(tmp_path / "outside") == {"file": b"mine"}
    assert not (tmp_path / "nowhere").exists()


def test_a_staging_place_that_is_not_new_is_refused(directory, monkeypatch):
    """A token that was drawn twice, which cannot happen, loses nothing."""
    store = new_store(directory)
    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(b"weights")
        token = staged.path.name
        monkeypatch.setattr(
            "keras_versioned_ckpt._staging.uuid.uuid4",
            lambda: type("Drawn", (), {"hex": token}),
        )
        with pytest.raises(StoreError, match="Saving failed.*held although it is new"):
            store.stage()
        monkeypatch.undo()
        assert store.commit(staged).number == 1


def test_every_name_in_a_store_is_a_name(directory):
    """A template with slashes and dots gives one component."""
    store = new_store(directory)
    version = save(store, naming=Template("{val/loss}"), metrics={"val/loss": 0.5})
    assert version.path.parent == directory
