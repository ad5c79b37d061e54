"""Disks that are full, for real: a small tmpfs, and a limit on the size of files."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keras_versioned_ckpt.callback import VersionedCheckpoint
from keras_versioned_ckpt.errors import SaveError, StoreError
from keras_versioned_ckpt.retention import KeepBest, KeepLast
from keras_versioned_ckpt.saving import save_version
from keras_versioned_ckpt.store import CheckpointStore
from tests.stores import found, new_store, save, tree
from tests.zoo import LogValues, fit, network

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="NOT TESTED: full disks, since only root mounts a tmpfs"
)
# A model of this many units takes 1.3 MB with its optimizer.
UNITS = 3400


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Any]:
    """Gives what mounts a disk of some size, for the length of the test."""
    with contextlib.ExitStack() as cleanup:

        def mounted(size: str) -> Path:
            path = tmp_path / "disk"
            path.mkdir()
            done = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
                capture_output=True,
                check=False,
            )
            if done.returncode != 0:
                pytest.skip("NOT TESTED: full disks, since nothing can be mounted here")
            cleanup.callback(subprocess.run, ["umount", str(path)], check=True)
            return path / "store"

        yield mounted


def fill(directory: Path, leave_bytes: int) -> None:
    """Fills the disk with a file of somebody else, but for so many bytes."""
    status = os.statvfs(directory.parent)
    size = status.f_bavail * status.f_frsize - leave_bytes
    with (directory.parent / "ballast").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)


@pytest.mark.parametrize("format", ["keras", "weights", "saved_model"])
def test_space_is_looked_at_before_a_save(disk: Any, format: str) -> None:
    """The message has what is needed and what there is, and nothing was written."""
    directory = disk("16m")
    model = network(units=UNITS)
    save_version(model, directory)
    fill(directory, 100_000)
    before = tree(directory)
    with pytest.raises(SaveError, match="version_2 .*No space left") as caught:
        save_version(model, directory, format=format)
    message = str(caught.value)
    assert caught.value.disk_full
    assert "kB (" in message
    assert "bytes) are needed and 98.3 kB (98,304 bytes) are available" in message
    assert (
        f"failed: {'saved_model' if format == 'saved_model' else 'model.'}" in message
    )
    assert "The disk is full: free some space, or keep fewer versions" in message
    assert message.endswith("Older versions are intact.")
    assert tree(directory) == before


def test_a_store_says_it_too(disk: Any) -> None:
    """Whoever writes a payload may say how large it will be."""
    store = new_store(disk("1m"), 0.5)
    with pytest.raises(StoreError, match=r"2 MB \(2,000,000 bytes\) are needed"):
        store.stage(2_000_000)
    assert store.verify().ok


def test_a_disk_that_fills_up_in_the_middle(disk: Any) -> None:
    """There seemed to be enough: the save fails as a whole, and the next works."""
    directory = disk("8m")
    model = network(units=UNITS)
    save_version(model, directory)
    checkpoint = VersionedCheckpoint(directory, keep_last=1)
    with pytest.MonkeyPatch.context() as patch:
        from keras_versioned_ckpt import _staging

        # Another process writes between the look at the disk and the save.
        looked = _staging.check_space

        def and_then(*arguments: Any) -> None:
            looked(*arguments)
            fill(directory, 200_000)

        patch.setattr(_staging, "check_space", and_then)
        with pytest.raises(SaveError, match="version_2 .*model.keras.*No space left"):
            fit(model, checkpoint, epochs=1)
    store = CheckpointStore(directory)
    assert found(store) == [1]
    assert store.verify().ok
    assert os.listdir(directory / ".versions" / "staging") == []
    (directory.parent / "ballast").unlink()
    fit(model, checkpoint, epochs=1)
    assert found(store) == [2]
    assert store.verify().ok


def trained(units: int = UNITS) -> Any:
    """Returns a model whose optimizer has its state."""
    model = network(units=units)
    fit(model, epochs=1)
    return model


def versions_fit(disk: Any, count: int) -> Path:
    """Gives a store on a disk with room for so many versions and a half.

    Number 1 was in it, and is gone.
    """
    directory = disk("64m")
    size = save_version(trained(), directory).size_bytes
    CheckpointStore(directory).delete(1)
    fill(directory, int(size * (count + 0.6)))
    return directory


def test_prune_makes_room_where_the_policy_lets_something_go(disk: Any) -> None:
    """Versions that a policy would not keep were there: it is applied, and no more."""
    directory = versions_fit(disk, 4)
    model = trained()
    for _ in range(4):
        save_version(model, directory)
    checkpoint = VersionedCheckpoint(directory, keep_last=3, on_disk_full="prune")
    fit(model, checkpoint, epochs=1)
    store = CheckpointStore(directory)
    assert found(store) == [4, 5, 6]
    reasons = {entry.number: entry.reason for entry in store.history if entry.gone}
    assert reasons[2] == "removed: no rule keeps it"
    assert store.verify().ok


@pytest.mark.parametrize("background", [True, False])
def test_prune_makes_room_for_the_next_version(
    disk: Any, background: bool, capfd: Any
) -> None:
    """All that is there is kept, as long as there is not one more."""
    directory = versions_fit(disk, 3)
    checkpoint = VersionedCheckpoint(
        directory,
        keep_last=3,
        on_disk_full="prune",
        save_on_background=background,
        verbose=1,
    )
    fit(trained(), checkpoint, epochs=6)
    store = CheckpointStore(directory)
    assert found(store) == [5, 6, 7]
    assert "The disk is full: removed version_2 to make room" in capfd.readouterr().out
    reasons = {entry.number: entry.reason for entry in store.history if entry.gone}
    assert reasons[2] == "removed: to make room for the next version"
    assert store.verify().ok


def test_without_it_the_save_fails_and_prunes_nothing(disk: Any) -> None:
    """That is the default: a failed save removes nothing."""
    directory = versions_fit(disk, 3)
    with pytest.raises(SaveError, match="version_5 .*No space left on device"):
        fit(trained(), VersionedCheckpoint(directory, keep_last=3), epochs=6)
    assert found(CheckpointStore(directory)) == [2, 3, 4]


def test_the_guards_stay_whatever_is_needed(disk: Any) -> None:
    """The newest version, tagged ones and the best are not given up for the next."""
    directory = versions_fit(disk, 3)
    policy = KeepLast(1) | KeepBest(1, "val_loss", "min")
    losses = LogValues("val_loss", [0.1, 0.2, 0.3])
    model = trained()
    fit(model, losses, VersionedCheckpoint(directory), epochs=3)
    store = CheckpointStore(directory)
    store.tag(3, "prod")
    checkpoint = VersionedCheckpoint(directory, retention=policy, on_disk_full="prune")
    with pytest.raises(SaveError, match="version_5 .*No space left on device"):
        fit(model, LogValues("val_loss", [0.01]), checkpoint, epochs=1)
    assert found(store) == [2, 3, 4]
    assert store.verify().ok


def test_the_save_is_tried_once_more_and_only_once(disk: Any) -> None:
    """Where even that does not help, the policy has removed what it may."""
    directory = versions_fit(disk, 3)
    model = trained()
    for _ in range(3):
        save_version(model, directory)
    checkpoint = VersionedCheckpoint(directory, keep_last=2, on_disk_full="prune")
    larger = trained(3 * UNITS)
    with pytest.raises(SaveError, match="version_5 .*No space left on device"):
        fit(larger, checkpoint, epochs=1)
    assert found(CheckpointStore(directory)) == [3, 4]


def test_making_room_is_told_before_it_is_done(directory: Path) -> None:
    """A dry run says what would go, and each version has its reason."""
    store = new_store(directory, 0.1, 0.2, 0.3, 0.4)
    policy = KeepLast(2) | KeepBest(1, "val_loss", "min")
    store.prune(policy)
    assert found(store) == [1, 3, 4]
    plan = store.prune(policy, dry_run=True, making_room=True)
    assert [v.number for v in plan.remove] == [3]
    assert dict(plan.reasons) == {
        1: ("kept: best val_loss 0.1 (KeepBest(1, 'val_loss', 'min'))",),
        3: ("removed: to make room for the next version",),
        4: ("kept: one of the 2 newest (KeepLast(2))",),
    }
    assert found(store) == [1, 3, 4]
    assert store.prune(KeepLast(1) | policy, dry_run=True).remove == ()
    empty = CheckpointStore(directory.with_name("empty"), create=True)
    assert empty.prune(policy, making_room=True).remove == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_disk_full": "delete"}, "must be 'raise' or 'prune'.*Received.*'delete'"),
        ({"on_disk_full": "prune"}, "needs a retention policy.*Received.*None"),
    ],
)
def test_bad_arguments(directory: Path, options: Any, message: str) -> None:
    """They are errors when the callback is made."""
    with pytest.raises(ValueError, match=message):
        VersionedCheckpoint(directory, **options)
    assert save(new_store(directory)).number == 1
