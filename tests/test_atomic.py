"""Durable file operations and the lock between processes."""

import errno
import hashlib
import os
import socket
import sys

import pytest

from keras_versioned_ckpt import _atomic
from keras_versioned_ckpt._atomic import NotRegularError


def broken(code):
    """Returns a function that fails with this error of the system."""

    def fail(*_args, **_options):
        raise OSError(code, os.strerror(code))

    return fail


# Reading


def test_a_file_is_read_whole(tmp_path):
    """Up to the limit, and one byte more, so that the caller sees what is too long."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 10)
    assert _atomic.read_bytes(path, 10) == b"x" * 10
    assert len(_atomic.read_bytes(path, 4)) == 5


def test_a_file_is_hashed_in_one_pass(tmp_path):
    """Its size and SHA-256, also when it is longer than one chunk."""
    path = tmp_path / "file"
    data = b"x" * (2 * 2**20 + 1)
    path.write_bytes(data)
    expected = (len(data), hashlib.sha256(data).hexdigest())
    assert _atomic.hash_file(path) == expected
    assert _atomic.hash_file(path, sync=True) == expected


@pytest.mark.parametrize("kind", ["link", "directory", "pipe", "socket"])
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR], ids=["read", "write"])
def test_only_regular_files_are_opened(tmp_path, kind, flags, monkeypatch):
    """A planted link is not followed and a planted pipe does not hang."""
    path = tmp_path / "planted"
    if kind == "link":
        (tmp_path / "target").write_bytes(b"secret")
        path.symlink_to("target")
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        monkeypatch.chdir(tmp_path)  # the name of a socket must be short
        socket.socket(socket.AF_UNIX).bind("planted")
    with pytest.raises(NotRegularError), _atomic.open_regular(path, flags):
        pass


def test_a_file_on_a_dead_disk_does_not_stay_open(tmp_path, monkeypatch):
    """XFS that was shut down opens a file and then has nothing to say of it."""
    path = tmp_path / "file"
    path.write_bytes(b"data")
    before = os.listdir("/proc/self/fd") if sys.platform == "linux" else []

    def dead(fd):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", dead)
        with pytest.raises(OSError, match="Input/output"), _atomic.open_regular(path):
            pass
    after = os.listdir("/proc/self/fd") if sys.platform == "linux" else []
    assert len(after) == len(before)


def test_a_missing_file_is_a_missing_file(tmp_path):
    """Not every error is about what stands there."""
    with pytest.raises(FileNotFoundError):
        _atomic.read_bytes(tmp_path / "none", 10)


# Writing


def test_a_new_file_must_be_new(tmp_path):
    """What stands there stays as it is, a dangling link included."""
    path = tmp_path / "file"
    _atomic.write_new(path, b"first")
    with pytest.raises(FileExistsError):
        _atomic.write_new(path, b"second")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        _atomic.write_new(tmp_path / "link", b"third")
    assert path.read_bytes() == b"first"
    assert not (tmp_path / "nowhere").exists()


def test_short_writes_are_continued(tmp_path, monkeypatch):
    """The system may write less than it was given."""
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    _atomic.write_new(tmp_path / "file", b"0123456789")
    assert (tmp_path / "file").read_bytes() == b"0123456789"


def test_a_record_is_replaced_whole(tmp_path):
    """A link that stands there is replaced itself, and its target is not touched."""
    (tmp_path / "target").write_bytes(b"secret")
    path = tmp_path / "record"
    path.symlink_to("target")
    _atomic.replace(path, b"new")
    assert path.read_bytes() == b"new"
    assert not path.is_symlink()
    assert (tmp_path / "target").read_bytes() == b"secret"


def test_a_failed_replacement_leaves_the_old_record(tmp_path, monkeypatch):
    """And nothing beside it."""
    path = tmp_path / "record"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", broken(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        _atomic.replace(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["record"]


def test_what_a_killed_replacement_left_is_replaced_too(tmp_path):
    """It has a name by which it is found."""
    left = tmp_path / ".record.new"
    left.write_bytes(b"to")
    assert _atomic.unfinished(tmp_path) == [left]
    _atomic.replace(tmp_path / "record", b"torn no more")
    assert os.listdir(tmp_path) == ["record"]


def test_lines_are_appended(tmp_path):
    """The file is made if it is missing; a torn last line is ended first."""
    path = tmp_path / "lines"
    _atomic.append(path, b"one\n")
    with path.open("ab") as file:
        file.write(b'{"torn')
    _atomic.append(path, b"two\n")
    assert path.read_bytes() == b'one\n{"torn\ntwo\n'


def test_lines_are_not_appended_to_anything_else(tmp_path):
    """Neither through a link nor into a pipe."""
    (tmp_path / "target").write_bytes(b"secret")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(OSError, match="symbolic links"):
        _atomic.append(tmp_path / "link", b"one\n")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegularError):
        _atomic.append(tmp_path / "pipe", b"one\n")
    assert (tmp_path / "target").read_bytes() == b"secret"


def test_a_file_system_without_directory_fsync_is_tolerated(tmp_path, monkeypatch):
    """Any other error of fsync means that entries may be lost, and is raised."""
    monkeypatch.setattr(os, "fsync", broken(errno.EINVAL))
    _atomic.sync_directory(tmp_path)
    monkeypatch.setattr(os, "fsync", broken(errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        _atomic.sync_directory(tmp_path)


# Renaming


@pytest.mark.parametrize("flag", [True, False], ids=["renameat2", "plain rename"])
@pytest.mark.parametrize("kind", ["file", "directory", "dangling link"])
def test_a_rename_never_replaces(tmp_path, monkeypatch, flag, kind):
    """Not even an empty directory, which the plain system call would replace."""
    if not flag:
        monkeypatch.setattr(_atomic, "_rename_exclusively", lambda *_: False)
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    if kind == "file":
        target.write_bytes(b"mine")
    elif kind == "directory":
        target.mkdir()
    else:
        target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        _atomic.rename_new(source, target)
    assert source.is_dir()
    _atomic.rename_new(source, tmp_path / "free")
    assert (tmp_path / "free").is_dir()


def test_without_the_flag_the_plain_rename_is_used(tmp_path, monkeypatch):
    """Old C libraries, other systems, and file systems that do not know it."""
    import ctypes

    source = tmp_path / "0"
    source.mkdir()

    class Old:
        pass

    class Refusing:
        @staticmethod
        def renameat2(*_args):
            ctypes.set_errno(errno.EINVAL)
            return -1

    for i, library in enumerate([Old, Refusing]):
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, lib=library, **__: lib)
        _atomic.rename_new(tmp_path / str(i), tmp_path / str(i + 1))
    monkeypatch.setattr(_atomic.sys, "platform", "darwin")
    _atomic.rename_new(tmp_path / "2", tmp_path / "3")
    assert (tmp_path / "3").is_dir()


# Walking


def test_all_files_below_are_found(tmp_path):
    """In order, with `/`; directories the deepest first."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "two").touch()
    (tmp_path / "one").touch()
    files, directories = _atomic.files_below(tmp_path)
    assert files == ["a/b/two", "one"]
    assert directories == [tmp_path / "a" / "b", tmp_path / "a"]


@pytest.mark.parametrize("target", ["one", "a", "nowhere"])
def test_a_link_below_is_refused(tmp_path, target):
    """Be it to a file, a directory or to nothing."""
    (tmp_path / "a").mkdir()
    (tmp_path / "one").touch()
    (tmp_path / "a" / "link").symlink_to(tmp_path / target)
    with pytest.raises(NotRegularError, match="link"):
        _atomic.files_below(tmp_path)


def test_a_directory_that_is_gone_is_not_taken_for_an_empty_one(tmp_path):
    """Or a version that is pruned meanwhile would look damaged."""
    with pytest.raises(FileNotFoundError):
        _atomic.files_below(tmp_path / "gone")


def test_a_link_to_a_directory_is_none(tmp_path):
    """Nor is a file, or what lies behind a file."""
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    assert _atomic.is_directory(tmp_path)
    for name in ("link", "file", "none", "file/none"):
        assert not _atomic.is_directory(tmp_path / name)


# Disks that say one thing and do another


def test_a_disk_that_took_less_than_it_said_is_caught(tmp_path, monkeypatch):
    """New files and those that grow are measured before they are flushed."""
    write = os.write

    def claiming(fd, data):
        write(fd, data[: len(data) // 2])
        return len(data)

    (tmp_path / "ledger").write_bytes(b"line 1\n")
    monkeypatch.setattr(os, "write", claiming)
    message = r"6 bytes were written and 3 are there.*new"
    with pytest.raises(OSError, match=message):
        _atomic.write_new(tmp_path / "new", b"abcdef")
    with pytest.raises(OSError, match="13 bytes were written and 10 are there.*ledger"):
        _atomic.append(tmp_path / "ledger", b"line 2")
    assert (tmp_path / "ledger").read_bytes() == b"line 1\n"


def test_a_disk_that_writes_nothing_is_not_asked_for_ever(tmp_path, monkeypatch):
    """Not even where it reports no failure."""
    monkeypatch.setattr(os, "write", lambda fd, data: 0)
    with pytest.raises(OSError, match="the system wrote nothing.*new"):
        _atomic.write_new(tmp_path / "new", b"abc")


@pytest.mark.parametrize("call", ["write", "fsync", "close"])
def test_a_failure_on_an_open_file_names_it(tmp_path, monkeypatch, call):
    """The system gives no name where it is asked by descriptor."""
    with monkeypatch.context() as patched:
        patched.setattr(os, call, broken(errno.EIO))
        with pytest.raises(OSError, match="Input/output error: .*new'") as caught:
            _atomic.write_new(tmp_path / "new", b"abc")
    assert caught.value.filename == str(tmp_path / "new")
