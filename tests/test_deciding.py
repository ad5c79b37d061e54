"""What a policy removes from a store that is damaged, shared, or on a full disk."""

import errno
import os
from datetime import timedelta

import pytest

from keras_versioned_ckpt import _atomic, _lock
from keras_versioned_ckpt._deciding import Deciding
from keras_versioned_ckpt.errors import CheckpointWarning
from keras_versioned_ckpt.retention import KeepDaily, KeepLast, KeepSize, KeepWithin
from keras_versioned_ckpt.store import CheckpointStore
from tests.factories import numbers, versions
from tests.stores import found, new_store, save


@pytest.fixture
def hashed(monkeypatch):
    """The versions whose files are hashed, and whether the store's lock was held."""
    seen = []
    hash_file = _atomic.hash_file

    def spy(path, **options):
        room = path.parents[1] / ".versions"
        if room.exists():
            lock = _lock.try_lock(room / "lock")
            seen.append((path.parent.name, lock is None))
            if lock is not None:
                lock.release()
        return hash_file(path, **options)

    monkeypatch.setattr(_atomic, "hash_file", spy)
    return seen


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (KeepLast(6), [1]),
        (KeepSize("6 kB"), [1]),
        (KeepDaily(6), []),
        (KeepWithin("7 days"), []),
    ],
)
def test_room_is_made_by_number_and_size_alone(directory, policy, expected):
    """A later day pushes nothing out: the version that comes may never be."""
    there = versions(count=6, every=timedelta(days=1))
    deciding = Deciding(new_store(directory)._room, policy, (), making_room=True)
    plan = deciding._plan(there, frozenset())
    assert numbers(plan.remove) == expected
    assert set(plan.reasons) == {1, 2, 3, 4, 5, 6}


def test_no_other_writer_waits_for_what_is_read(directory, hashed):
    """Whatever others saved, and however late there is something to remove."""
    for _ in range(3):
        save(new_store(directory))
    store = CheckpointStore(directory)
    store.prune(KeepLast(4))
    assert hashed == []
    store.prune(KeepLast(2))
    assert sorted(hashed) == [(f"version_{n}", False) for n in (1, 2, 3)]
    hashed.clear()
    save(CheckpointStore(directory))
    store.prune(KeepLast(2))
    assert hashed == [("version_4", False)]
    hashed.clear()
    CheckpointStore(directory).delete(3)
    assert hashed == [("version_3", False)]
    assert found(store) == [4]


def test_a_dry_run_reads_no_payload(directory, hashed):
    """It is a look, which may be had of a store of any size."""
    store = CheckpointStore(new_store(directory, 0.5, 0.4).path)
    assert numbers(store.prune(KeepLast(1), dry_run=True).remove) == [1]
    assert hashed == []


def test_one_that_cannot_be_read_stops_no_pruning(directory, monkeypatch):
    """A bad sector is warned of as a flipped bit is, and the others go."""
    store = CheckpointStore(new_store(directory, 0.5, 0.4, 0.3, 0.2).path)
    hash_file = _atomic.hash_file

    def broken(path, **options):
        if path.parent.name == "version_2":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return hash_file(path, **options)

    monkeypatch.setattr(_atomic, "hash_file", broken)
    message = "version_2 is not counted and not removed: Input/output error"
    with pytest.warns(CheckpointWarning, match=message) as told:
        store.prune(KeepLast(1))
    assert [warning.filename for warning in told] == [__file__]
    assert found(store) == [2, 4]
