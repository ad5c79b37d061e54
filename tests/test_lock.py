"""The lock between processes, and what stands in for it where there is none."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from keras_versioned_ckpt import _exclusive, _lock
from keras_versioned_ckpt.errors import CheckpointWarning
from tests.stores import found, new_store, run, save


def test_a_lock_excludes_another_thread(tmp_path):
    """The second waits until the first is done."""
    order = []

    def second():
        with _lock.locked(tmp_path / "lock"):
            order.append("second")

    with _lock.locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_lock_that_is_held_is_not_taken(tmp_path):
    """And is free again after it was closed."""
    path = tmp_path / "lock"
    held = _lock.try_lock(path)
    assert _lock.try_lock(path) is None
    held.release()
    again = _lock.try_lock(path, create=False)
    assert again is not None
    again.release()


def test_asking_does_not_make_a_lock(tmp_path):
    """`verify` changes nothing."""
    with pytest.raises(FileNotFoundError):
        _lock.try_lock(tmp_path / "lock", create=False)
    assert os.listdir(tmp_path) == []


def test_a_lock_is_a_regular_file(tmp_path):
    """A planted link is not followed."""
    (tmp_path / "link").symlink_to("target")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(OSError, match="link|regular"):
            _lock.try_lock(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


# File systems without locks


@pytest.fixture
def no_locks(monkeypatch):
    """Has the system answer as a file system without locks does."""

    def flock(fd, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(_lock.fcntl, "flock", flock)


def test_a_broken_disk_is_no_lack_of_locks(tmp_path, monkeypatch):
    """Any other error is one, names the file, and leaves no descriptor open."""

    def flock(fd, how):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(_lock.fcntl, "flock", flock)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="Input/output error: .*lock"):
        _lock.try_lock(tmp_path / "lock")
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_without_locks_a_store_works_and_warns_once(directory, no_locks):
    """Whatever is done to it, from the first save on, and nothing is left behind."""
    with pytest.warns(CheckpointWarning, match="offers no locks"):
        store = new_store(directory)
    # A second warning would be an error.
    save(store, loss=0.5)
    save(store, loss=0.4)
    store.tag(1, "prod")
    store.delete(2)
    store.repair()
    assert store.verify().ok
    assert found(store) == [1]
    room = directory / ".versions"
    assert sorted(os.listdir(room)) == [
        *("ledger.jsonl", "lock", "staging", "store.json", "tags", "trash")
    ]
    assert os.listdir(room / "staging") == []


def test_without_locks_another_thread_is_excluded(tmp_path, no_locks):
    """The second waits until the first is done."""
    order = []

    def second():
        with _lock.locked(tmp_path / "lock"):
            order.append("second")

    with pytest.warns(CheckpointWarning, match="offers no locks"):
        _lock.try_lock(tmp_path / "lock").release()
    with _lock.locked(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.05)
        assert _lock.try_lock(tmp_path / "lock") is None
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    """Dead, or a zombie that nobody has asked after yet."""
    path = tmp_path / "lock"
    script = f"""
import os, signal
from pathlib import Path
from keras_versioned_ckpt import _exclusive
assert _exclusive.take(Path({str(path)!r})) is not None
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert run(script).returncode == -9
    assert os.listdir(_exclusive.place(path)) != []
    first = _exclusive.take(path)
    assert first is not None
    assert _exclusive.take(path) is None
    _exclusive.release(first)
    zombie = subprocess.Popen([sys.executable, "-c", script])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    assert os.listdir(_exclusive.place(path)) != []
    second = _exclusive.take(path)
    assert second is not None
    _exclusive.release(second)
    zombie.wait()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["01234567.1.1." + "0" * 32, "somebody"])
def test_the_lock_of_another_machine_is_left_alone(tmp_path, name):
    """Whether its holder lives cannot be seen from here."""
    (_exclusive.place(tmp_path / "lock") / name).mkdir(parents=True)
    assert _exclusive.take(tmp_path / "lock") is None
    assert os.listdir(_exclusive.place(tmp_path / "lock")) == [name]


def test_a_later_process_of_the_same_number_is_another(tmp_path):
    """Numbers of processes are used again."""
    path = tmp_path / "lock"
    taken = _exclusive.take(path)
    machine, _, began, token = taken.name.split(".")
    other = f"{machine}.{os.getppid()}.{began}.{token}"
    taken.rename(taken.with_name(other))
    again = _exclusive.take(path)
    assert again is not None
    assert os.listdir(_exclusive.place(path)) == [again.name]
    _exclusive.release(again)


def test_a_release_that_fails_is_made_up_for(tmp_path, monkeypatch):
    """The process that could not remove its own entry does not wait for itself."""
    path = tmp_path / "lock"
    taken = _exclusive.take(path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "rmdir", lambda *_: (_ for _ in ()).throw(OSError(5, "")))
        _exclusive.release(taken)
    assert taken.exists()
    again = _exclusive.take(path)
    assert again is not None
    _exclusive.release(again)


def test_a_system_that_gave_no_lock_once_excludes_those_that_get_one(tmp_path):
    """A process that holds the one kind is seen by those that ask for the other."""
    path = tmp_path / "lock"
    path.touch()
    taken = _exclusive.take(path)
    assert _lock.try_lock(path) is None
    _exclusive.release(taken)
    held = _lock.try_lock(path)
    assert held is not None
    held.release()


def test_who_waits_long_is_told_for_whom(tmp_path, no_locks, monkeypatch):
    """A lock left by a machine that is gone names itself, and what to remove."""
    path = tmp_path / "lock"
    place = _exclusive.place(path)
    (place / "somebody").mkdir(parents=True)
    monkeypatch.setattr(_lock, "_SECONDS_UNTIL_WARNING", 0.05)

    def remove():
        (place / "somebody").rmdir()

    def take_and_give_back():
        with _lock.locked(path):
            pass

    with pytest.warns(CheckpointWarning, match="offers no locks"):
        assert _lock.try_lock(path) is None
    threading.Timer(0.3, remove).start()
    with pytest.warns(CheckpointWarning, match=r"by \['somebody'\].*lock\.held"):
        take_and_give_back()


def test_what_was_left_in_the_making_of_a_lock_is_cleared(directory):
    """By the next save, and `verify` names it until then."""
    store = new_store(directory, 0.5)
    room = directory / ".versions"
    left = [
        room / f".lock.{'0' * 32}.new" / "holder",
        room / "staging" / f".{'0' * 32}.lock.{'1' * 32}.new" / "holder",
        room / "staging" / f"{'2' * 32}.lock.held",
    ]
    for path in left:
        path.mkdir(parents=True)
    assert len(store.verify().problems) == 3
    save(store)
    assert store.verify().ok
    assert not any(path.exists() for path in left)
    assert os.listdir(room / "staging") == []


def test_what_another_stages_is_no_leftover_where_only_it_has_a_lock(
    directory, monkeypatch
):
    """A process for which the system has no lock cannot see the others' locks."""
    store = new_store(directory, 0.5)
    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(b"weights")

        def flock(fd, how):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

        with monkeypatch.context() as patched:
            patched.setattr(_lock.fcntl, "flock", flock)
            with pytest.warns(CheckpointWarning, match="offers no locks"):
                assert store.verify().problems == ()
            save(store)
        assert staged.path.exists()
        assert store.commit(staged).number == 3


@pytest.mark.parametrize("error", [FileNotFoundError, PermissionError])
def test_a_holder_that_the_system_hides_may_be_alive(tmp_path, monkeypatch, error):
    """Some machines show each user only the processes of his own (hidepid)."""
    path = tmp_path / "lock"
    taken = _exclusive.take(path)
    machine, _, began, token = taken.name.split(".")
    parent = taken.with_name(f"{machine}.{os.getppid()}.{began}.{token}")
    taken.rename(parent)

    def hidden(self, *_):
        raise error(str(self))

    monkeypatch.setattr(type(path), "read_text", hidden)
    assert _exclusive.holders(path) == [parent.name]


def test_an_interrupt_leaves_no_lock_behind(tmp_path, monkeypatch):
    """Not even right after it was taken."""
    path = tmp_path / "lock"
    rename = os.rename

    def interrupted(*arguments):
        rename(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _exclusive.take(path)
    assert os.listdir(tmp_path) == []


def test_one_whose_claim_was_cleared_in_the_making_was_only_slower(
    tmp_path, monkeypatch
):
    """Whoever holds the lock may take it for a leftover, at any step."""
    path = tmp_path / "lock"
    mkdir = os.mkdir

    def cleared(name, *arguments):
        if str(name).endswith(".new"):
            return
        mkdir(name, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(os, "mkdir", cleared)
        assert _exclusive.take(path) is None
    taken = _exclusive.take(path)
    assert taken is not None
    _exclusive.release(taken)


@pytest.mark.parametrize("planted", ["somebody", "01234567.1.1." + "0" * 32, "link"])
def test_what_stands_for_a_lock_elsewhere_holds_up_nobody_here(
    directory, tmp_path, planted
):
    """A store may come with it, as a copy or from a stranger."""
    store = new_store(directory, 0.5)
    place = _exclusive.place(directory / ".versions" / "lock")
    mine = _exclusive.take(tmp_path / "mine")
    ours = mine.name.replace(f".{os.getpid()}.", ".999999999.")
    _exclusive.release(mine)
    (tmp_path / "foreign" / ours).mkdir(parents=True)
    if planted == "link":
        place.symlink_to(tmp_path / "foreign")
    else:
        (place / planted).mkdir(parents=True)
    assert store.verify().ok
    assert save(store).number == 2
    assert os.listdir(tmp_path / "foreign") == [ours]
