"""Kills, full disks, failing disks and crowds: what must hold after each.

After every fault: each listed version matches its manifest, each save that was
reported is listed, the newest reported version is there, no number is used
twice, the next save succeeds, and leftovers go away.

The faults are put into a real process by `strace`, which strikes when a system
call is entered: call N does not happen, so that a sweep over all N covers both
sides of every step.
"""

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from faults import strace
from faults.outcome import Skipped
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.store import CheckpointStore
from tests.stores import ROOT, found, new_store, run, save, tree

# Saves a version with two files, tags it, and prunes what came before the last two.
WORK = """
import sys
from keras_versioned_ckpt import CheckpointStore, KeepLast
store = CheckpointStore(sys.argv[1])
print("begin", flush=True)
with store.stage() as staged:
    (staged.path / "assets").mkdir()
    (staged.path / "assets" / "vocabulary.txt").write_bytes(b"words")
    (staged.path / "model.keras").write_bytes(b"weights" * 1000)
    version = store.commit(staged, metrics={"val_loss": 0.5}, tags=["newest"])
print("saved", version.number, flush=True)
store.prune(KeepLast(2))
print("pruned", flush=True)
"""

# A kill when a file is closed is one at the next call: `make faults` tries both.
CHANGING = tuple(name for name in strace.CALLS if name not in ("close", "fcntl"))

# Makes a store, and the directories above it.
MAKE = """
import sys
from keras_versioned_ckpt import CheckpointStore
CheckpointStore(sys.argv[1], create=True)
print("made", flush=True)
"""

# Puts a store in order.
REPAIR = MAKE.replace(", create=True)", ").repair()")


@functools.cache
def need_strace() -> None:
    """Skips the test, loudly, where nothing can be traced."""
    try:
        strace.check_available()
    except Skipped as why:
        pytest.skip(f"NOT TESTED: kills and disk faults, since {why}")


def traced(
    script: str,
    store: Path,
    *,
    inject: str | None = None,
    trace: Sequence[str] = CHANGING,
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Runs a script on a store under strace.

    Args:
        script: The program's text.
        store: The store's directory.
        inject: A fault, such as `"fsync:error=EIO:when=2"`.
        trace: The system calls to record.

    Returns:
        The process when it ended, and the record.
    """
    need_strace()
    with tempfile.TemporaryDirectory() as place:
        log = Path(place) / "log"
        before = ["strace", "-f", "-qq", "-y", "-s", "0", "-o", str(log)]
        before += ["-e", f"trace={','.join(trace)}"]
        before += ["-e", f"inject={inject}"] if inject else []
        done = run(script, store, before=before)
        return done, log.read_text()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> list[strace.Call]:
    """The calls of an undisturbed run on a store with two versions."""
    directory = tmp_path_factory.mktemp("recorded") / "store"
    new_store(directory, 0.5, 0.4)
    done, record = traced(WORK, directory)
    assert done.stdout.split() == ["begin", "saved", "3", "pruned"], done.stderr
    return strace.calls_on(record, directory)


def check_invariants(directory: Path, said: str) -> None:
    """Checks everything that must hold after a fault, from a process that lives."""
    store = CheckpointStore(directory)
    listed = found(store)
    report = store.verify()
    assert {problem.kind for problem in report.problems} <= {"staging", "trash"}
    if "saved" in said:
        assert 3 in listed
        assert store.tags["newest"].number == 3
    assert listed in ([1, 2], [1, 2, 3], [2, 3])
    before = tree(directory / "version_2")

    new = save(store)
    assert new.number == max(entry.number for entry in store.history)
    assert new.number == (4 if 3 in listed else 3)
    room = directory / ".versions"
    assert os.listdir(room / "staging") == os.listdir(room / "trash") == []
    assert tree(directory / "version_2") == before
    store.prune(KeepLast(2))
    assert store.verify().ok
    assert not [path for path in room.rglob("*") if path.name.endswith(".new")]


# The points of the sweep are dealt out, so that the workers share them.
SHARES = 6


@pytest.mark.parametrize("share", range(SHARES))
def test_a_kill_at_any_call_loses_nothing(recorded, tmp_path, share):
    """A sweep over every call of a save with a tag, and of the pruning after it."""
    assert len(recorded) > 60
    for call in recorded[share::SHARES]:
        directory = tmp_path / f"{call.name}-{call.count}"
        new_store(directory, 0.5, 0.4)
        done, _ = traced(
            WORK, directory, inject=f"{call.name}:signal=SIGKILL:when={call.count}"
        )
        assert done.returncode in (-9, 137), (call, done)
        check_invariants(directory, done.stdout)


def test_a_kill_while_a_store_is_made_leaves_nothing_in_the_way(tmp_path):
    """A sweep over every call: the next save makes the rest."""
    done, record = traced(MAKE, tmp_path / "runs" / "store")
    assert done.stdout == "made\n", done.stderr
    points = strace.calls_on(record, tmp_path)
    assert len(points) > 10
    for call in points:
        directory = tmp_path / f"{call.name}-{call.count}" / "runs" / "store"
        directory.parents[1].mkdir()
        done, _ = traced(
            MAKE, directory, inject=f"{call.name}:signal=SIGKILL:when={call.count}"
        )
        assert done.returncode in (-9, 137), (call, done)
        store = new_store(directory, 0.5)
        assert found(store) == [1]
        assert store.verify().ok
        assert not list(directory.rglob("*.new"))


def test_a_kill_during_a_repair_loses_nothing(tmp_path):
    """A sweep over every call that changes the store: the next repair completes it."""

    def damaged(directory: Path) -> CheckpointStore:
        store = new_store(directory, 0.5, 0.4, 0.3, 0.2)
        store.tag(3, "prod")
        store.delete(1)
        (directory / ".versions" / "tags" / "prod").write_bytes(b"")
        os.truncate(directory / "version_2" / "model.keras", 3)
        return store

    damaged(tmp_path / "recorded")
    done, record = traced(REPAIR, tmp_path / "recorded")
    assert done.returncode == 0, done.stderr
    points = strace.calls_on(record, tmp_path / "recorded")
    for call in [c for c in points if c.name not in ("openat", "flock")]:
        store = damaged(tmp_path / f"{call.name}-{call.count}")
        sound = tree(store.path / "version_3") | tree(store.path / "version_4")
        done, _ = traced(
            REPAIR, store.path, inject=f"{call.name}:signal=SIGKILL:when={call.count}"
        )
        assert done.returncode in (-9, 137), (call, done)
        opened = CheckpointStore(store.path)
        opened.repair()
        assert opened.verify().problems == ()
        assert found(opened) == [3, 4]
        assert opened.tags["prod"].number == 3
        assert tree(store.path / "version_3") | tree(store.path / "version_4") == sound
        assert [entry.number for entry in opened.history] == [1, 2, 3, 4]
        assert save(opened).number == 5


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("name", ["fsync", "write", "renameat2"])
def test_a_failing_disk_fails_the_save_and_nothing_else(
    recorded, tmp_path, name, error
):
    """Each write, flush and rename in turn, but for the script's own of the payload."""
    points = [
        call
        for call in recorded
        if call.name == name
        and not (name == "write" and call.path.endswith((".keras", ".txt")))
    ]
    assert len(points) >= 2
    for call in points:
        directory = tmp_path / f"{call.name}-{call.count}"
        new_store(directory, 0.5, 0.4)
        done, _ = traced(
            WORK, directory, inject=f"{name}:error={error}:when={call.count}"
        )
        told = "Pruning failed" if "saved" in done.stdout else "SaveError: Saving "
        assert done.returncode == 1, (call, done)
        assert told in done.stderr, call
        check_invariants(directory, done.stdout)


def test_a_full_disk_is_named(recorded, tmp_path):
    """The message says which version, which cause, and that the others are intact."""
    call = next(c for c in recorded if c.name == "write" and "manifest" in c.path)
    directory = tmp_path / "store"
    new_store(directory, 0.5, 0.4)
    done, _ = traced(WORK, directory, inject=f"write:error=ENOSPC:when={call.count}")
    told = done.stderr.splitlines()[-1]
    assert told.startswith(
        "keras_versioned_ckpt.errors.SaveError: Saving version_3 in "
    )
    assert "No space left on device" in told
    assert "The disk is full: free some space, or keep fewer versions" in told
    assert told.endswith("Older versions are intact.")
    assert found(CheckpointStore(directory)) == [1, 2]


def test_a_failure_after_the_rename_is_told_as_it_is(recorded, tmp_path):
    """The version is there, and the message does not deny it."""
    rename = next(i for i, c in enumerate(recorded) if c.name == "renameat2")
    call = next(c for c in recorded[rename:] if c.name == "fsync")
    assert call.path.endswith("/store")
    directory = tmp_path / "store"
    new_store(directory, 0.5, 0.4)
    done, _ = traced(WORK, directory, inject=f"fsync:error=EIO:when={call.count}")
    assert "version_3 is there, but may lack tags" in done.stderr
    assert found(CheckpointStore(directory)) == [1, 2, 3]


# A disk that is really full


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: only root mounts a tmpfs")
def test_a_disk_that_is_really_full(tmp_path):
    """Saves fail and say so; older versions can be read; with space it goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("NOT TESTED: a real full disk, since nothing can be mounted here")
    try:
        script = """
import sys
from keras_versioned_ckpt import CheckpointStore
store = CheckpointStore(sys.argv[1], create=True)
for _ in range(20):
    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(b"x" * 100_000)
        store.commit(staged)
"""
        done = run(script, disk / "store")
        assert "No space left on device" in done.stderr
        store = CheckpointStore(disk / "store")
        listed = found(store)
        assert len(listed) >= 2
        assert store.verify().ok
        store.delete(1)
        assert save(store).number > max(listed)
        assert store.verify().ok
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# Crowds


def start(
    script: str, *arguments: object, before: Sequence[str] = ()
) -> "subprocess.Popen[str]":
    """Starts a process that waits for a line on its standard input."""
    return subprocess.Popen(
        [*before, sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def all_at_once(
    *scripts: str, store: Path, before: Sequence[str] = ()
) -> list[tuple[str, str]]:
    """Runs scripts together from one barrier on; returns what each printed."""
    processes = [
        start(script, store, i, before=before) for i, script in enumerate(scripts)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n", process.communicate()[1]
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        printed = []
        for process in processes:
            out, err = process.communicate(timeout=90)
            assert process.returncode == 0, err
            printed.append((out, err))
        return printed
    finally:
        for process in processes:
            process.kill()
            process.wait()


WRITER = """
import sys, warnings
from keras_versioned_ckpt import CheckpointStore, KeepLast
from keras_versioned_ckpt.errors import CheckpointWarning
warnings.simplefilter("error", CheckpointWarning)
path, me = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
store = CheckpointStore(path, create=True)
for i in range(25):
    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(f"{me} {i}".encode())
        version = store.commit(staged, run_id=me, epoch=i)
    print(version.number, version.name)
    if PRUNING:
        store.prune(KeepLast(3))
"""


def test_four_writers_share_no_number_and_lose_nothing(directory):
    """They even make the store together."""
    scripts = [WRITER.replace("PRUNING", "False")] * 4
    printed = [out.split() for out, _ in all_at_once(*scripts, store=directory)]
    numbers = [int(number) for words in printed for number in words[::2]]
    assert sorted(numbers) == list(range(1, 101))
    store = CheckpointStore(directory)
    assert found(store) == list(range(1, 101))
    assert store.verify().ok
    for version in store:
        text = (version.path / "model.keras").read_text()
        assert text == f"{version.run_id} {version.epoch}"


def test_writers_that_prune_disturb_neither_each_other_nor_a_reader(directory):
    """Every save is reported, the last three stay, and nobody sees half a version."""
    new_store(directory, 0.5)
    reader = """
import sys
from keras_versioned_ckpt import CheckpointStore
store = CheckpointStore(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
last = 0
while last < 76:
    latest = store.latest().number
    assert latest >= last, (latest, last)
    last = latest
    problems = [p for p in store.verify().problems if p.kind != "trash"]
    assert problems == [], problems
    gone = [e for e in store.history if e.gone]
    assert {e.reason for e in gone} <= {"removed: no rule keeps it"}, gone
"""
    scripts = [WRITER.replace("PRUNING", "True")] * 3 + [reader]
    printed = [out.split() for out, _ in all_at_once(*scripts, store=directory)]
    numbers = [int(number) for words in printed[:3] for number in words[::2]]
    assert sorted(numbers) == list(range(2, 77))
    store = CheckpointStore(directory)
    assert found(store) == [74, 75, 76]
    assert store.verify().ok
    assert os.listdir(directory / ".versions" / "trash") == []


def test_four_writers_without_locks_share_no_number_and_lose_nothing(directory):
    """Where the file system offers none (ENOLCK), each warns once, and all is well."""
    need_strace()
    (directory / ".versions").mkdir(parents=True)
    script = WRITER.replace("PRUNING", "False").replace('"error"', '"always"')
    before = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock"]
    before += ["-e", "inject=flock:error=ENOLCK"]
    printed = all_at_once(*[script] * 4, store=directory, before=before)
    numbers = [int(n) for out, _ in printed for n in out.split()[::2]]
    assert sorted(numbers) == list(range(1, 101))
    assert [err.count("offers no locks") for _, err in printed] == [1] * 4
    store = CheckpointStore(directory)
    assert found(store) == list(range(1, 101))
    assert store.verify().ok
    room = directory / ".versions"
    assert not [path for path in room.rglob("*") if ".held" in path.name]
    assert os.listdir(room / "staging") == []


def test_a_killed_writer_leaves_no_lock_where_there_are_none(tmp_path):
    """A sweep over each directory that is made, renamed or removed for a lock."""
    inject = ["-e", "inject=flock:error=ENOLCK"]
    names = ("mkdir", "rename", "rmdir")

    def saved(directory: Path, *more: str) -> tuple[int, str, str]:
        new_store(directory, 0.5, 0.4)
        log = tmp_path / "log"
        before = ["strace", "-f", "-qq", "-o", str(log)]
        before += ["-e", f"trace=flock,{','.join(names)}", *inject, *more]
        done = run(WORK, directory, before=before)
        return done.returncode, done.stdout, log.read_text()

    need_strace()
    _, said, record = saved(tmp_path / "recorded")
    assert said.split() == ["begin", "saved", "3", "pruned"]
    points = [
        call
        for call in strace.calls_on(record, tmp_path / "recorded")
        if call.name in names and "lock" in call.path
    ]
    assert {call.name for call in points} == set(names)
    for call in points:
        directory = tmp_path / f"{call.name}-{call.count}"
        code, said, _ = saved(
            directory, "-e", f"inject={call.name}:signal=SIGKILL:when={call.count}"
        )
        assert code in (-9, 137), call
        check_invariants(directory, said)
