"""Which directories are stores, may become one, and how they become one."""

import errno
import json
import os
import shutil

import pytest

from keras_versioned_ckpt import _atomic
from keras_versioned_ckpt._founding import check_usable, store_path
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt.errors import (
    SaveError,
    StoreError,
    StoreNotFoundError,
    UnsafeVersionError,
)
from keras_versioned_ckpt.naming import Numbered, Template, Timestamped
from keras_versioned_ckpt.store import CheckpointStore
from tests.stores import found, new_store, run, save, tree, without_powers

# Arguments


@pytest.mark.parametrize(
    ("directory", "error", "message"),
    [
        (3, TypeError, "`directory` must be a string or a path.*directory=3"),
        (None, TypeError, "`directory` must be a string or a path.*directory=None"),
        (
            b"runs",
            TypeError,
            "`directory` must be a string or a path.*directory=b'runs'",
        ),
        ("", ValueError, "`directory` must name a directory.*directory=''"),
        ("a\0b", ValueError, "`directory` must name a directory"),
    ],
)
def test_a_wrong_directory_argument_is_named(directory, error, message):
    """In Keras's wording, before the disk is looked at."""
    with pytest.raises(error, match=message):
        CheckpointStore(directory)


def test_a_path_of_bytes_is_refused():
    """An object may give one although it is no bytes itself."""

    class Bytes:
        def __fspath__(self):
            return b"runs"

    with pytest.raises(TypeError, match="must be a text path"):
        store_path(Bytes())


def test_a_relative_path_is_the_same_after_a_change_of_directory(tmp_path, monkeypatch):
    """A store remembers where it is."""
    monkeypatch.chdir(tmp_path)
    store = new_store("runs/digits", 0.5)
    monkeypatch.chdir("/")
    assert store.path == tmp_path / "runs" / "digits"
    assert found(store) == [1]


# What is there already


def test_a_missing_store_is_not_found(tmp_path):
    """The message lists the stores beside it; nothing is made."""
    new_store(tmp_path / "letters")
    with pytest.raises(StoreNotFoundError, match=r"no store in .*digits.*'letters'"):
        CheckpointStore(tmp_path / "digits")
    assert sorted(os.listdir(tmp_path)) == ["letters"]


def test_a_directory_without_a_store_says_what_it_holds(tmp_path):
    """It is both a StoreError and a FileNotFoundError."""
    (tmp_path / "photos").mkdir()
    with pytest.raises(FileNotFoundError, match="The directory holds: 'photos'"):
        CheckpointStore(tmp_path)


def test_a_file_is_no_store(directory):
    """Neither opened nor made; the file stays as it is."""
    directory.write_bytes(b"mine")
    for create in (False, True):
        with pytest.raises(StoreError, match="is not a directory"):
            CheckpointStore(directory, create=create)
    assert directory.read_bytes() == b"mine"


def test_a_store_below_a_file_cannot_be_made(tmp_path):
    """The message names the file."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file is not a directory"):
        CheckpointStore(tmp_path / "file" / "store", create=True)


def test_a_store_may_be_reached_through_a_link(tmp_path):
    """A link to the store's directory is the user's own."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    new_store(tmp_path / "link", 0.5)
    assert found(CheckpointStore(tmp_path / "real")) == [1]


def test_a_directory_of_somebody_else_is_adopted_and_not_touched(tmp_path):
    """As long as no version could be called like what is there."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.png").write_bytes(b"meow")
    (tmp_path / "version_1.txt").write_bytes(b"notes")
    before = tree(tmp_path)
    store = new_store(tmp_path, 0.5)
    store.delete(1)
    after = tree(tmp_path)
    assert {path: after[path] for path in before} == before


@pytest.mark.parametrize(
    ("naming", "name"),
    [
        (Numbered(), "version_7"),
        (Numbered(), "VERSION_7"),
        (Numbered(), "version_7-2"),
        (Timestamped(), "model_20250130120000"),
        (Template("{epoch}"), "12"),
    ],
)
def test_a_directory_that_could_collide_is_refused(tmp_path, naming, name):
    """Before anything is made in it; the message names what is in the way."""
    (tmp_path / name).mkdir()
    with pytest.raises(StoreError, match=f"somebody else.*{name}.*`naming`"):
        CheckpointStore(tmp_path, create=True, naming=naming)
    assert os.listdir(tmp_path) == [name]


def test_a_store_may_be_made_twice(directory):
    """The second time opens the first."""
    new_store(directory, 0.5)
    assert found(CheckpointStore(directory, create=True)) == [1]


def test_checking_makes_nothing(tmp_path):
    """`check_usable` is asked when the callback is made, long before a save."""
    new_store(tmp_path / "there", 0.5)
    before = tree(tmp_path)
    for name in ("there", "missing", "missing/deeper"):
        check_usable(Layout(tmp_path / name), Numbered())
    assert tree(tmp_path) == before


# The store's own record


def test_a_newer_store_is_refused_with_advice(directory):
    """The message says to upgrade."""
    store = new_store(directory)
    file = store.path / ".versions" / "store.json"
    file.write_text(json.dumps({"format": 2, "store_id": "x"}))
    with pytest.raises(StoreError, match=r"format 2.*pip install --upgrade"):
        CheckpointStore(directory)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "3",
        '{"format": 1}',
        '{"format": "1", "store_id": "x"}',
        '{"format": 1, "store_id": 7}',
        '{"format": 1, "store_id": "../x"}',
    ],
)
def test_a_damaged_record_says_how_to_mend_it(directory, text):
    """Moving it away is enough: the versions know the id."""
    new_store(directory, 0.5)
    file = directory / ".versions" / "store.json"
    file.write_text(text)
    with pytest.raises(StoreError, match=r"store.json is damaged.*Move it away"):
        CheckpointStore(directory)
    file.unlink()
    store = CheckpointStore(directory)
    assert found(store) == [1]
    save(store)
    assert found(store) == [1, 2]
    assert store.verify().ok


def test_a_flipped_bit_makes_no_other_store(directory):
    """The record has a checksum: else every version would be another store's."""
    new_store(directory, 0.5)
    file = directory / ".versions" / "store.json"
    record = json.loads(file.read_text())
    old = next(c for c in record["store_id"] if c != "a")  # that one would be no name
    flipped = record["store_id"].replace(old, chr(ord(old) ^ 1), 1)
    file.write_text(json.dumps({**record, "store_id": flipped}))
    with pytest.raises(StoreError, match=r"store.json is damaged.*checksum.*Move it"):
        CheckpointStore(directory)
    file.write_text(json.dumps({**record, "format": 0}))
    with pytest.raises(StoreError, match="the format is not 1 or more"):
        CheckpointStore(directory)
    # As an early release wrote it.
    del record["crc32"]
    file.write_text(json.dumps(record))
    assert CheckpointStore(directory).verify().ok


def test_versions_of_two_stores_cannot_say_who_they_are(tmp_path):
    """Then the record cannot be made anew, and the message says why."""
    first, second = new_store(tmp_path / "1", 0.5), new_store(tmp_path / "2", 0.5, 0.4)
    shutil.copytree(second.path / "version_2", first.path / "version_2")
    (first.path / ".versions" / "store.json").unlink()
    with pytest.raises(StoreError, match=r"different stores: '\w+', '\w+'. Move"):
        CheckpointStore(first.path)


def test_a_directory_without_a_readable_manifest_has_no_say(directory):
    """Neither foreign directories nor damaged versions keep a store from opening."""
    new_store(directory, 0.5, 0.4)
    (directory / "version_2" / "manifest.json").write_text("{")
    (directory / "photos").mkdir()
    (directory / ".versions" / "store.json").unlink()
    assert found(CheckpointStore(directory)) == [1, 2]


@pytest.mark.parametrize("missing", ["tags", "staging", "trash", "lock", "store.json"])
def test_a_room_with_a_part_missing_is_completed(directory, missing):
    """A crash, or a copy by a tool that leaves empty directories out."""
    store = new_store(directory, 0.5)
    path = directory / ".versions" / missing
    path.rmdir() if path.is_dir() else path.unlink()
    for opened in (CheckpointStore(directory), store):
        assert opened.verify().ok
        save(opened)
        opened.tag(1, "prod")
        opened.delete(opened.latest())
    assert found(store) == [1]


def test_a_store_that_is_half_made_opens_empty(directory):
    """Killed between the directory and the record; the next save completes it."""
    (directory / ".versions").mkdir(parents=True)
    store = CheckpointStore(directory)
    assert (len(store), store.history, store.tags) == (0, (), {})
    save(store)
    assert found(CheckpointStore(directory)) == [1]
    assert store.verify().ok


def test_a_store_that_was_deleted_is_not_made_anew(directory):
    """Somebody removed it during training: the save fails, and says so."""
    store = new_store(directory, 0.5)
    with store.stage() as staged:
        shutil.rmtree(directory)
        with pytest.raises(SaveError):
            store.commit(staged)
    with pytest.raises(StoreNotFoundError):
        store.stage()
    assert not directory.exists()


def test_another_store_at_the_same_path_is_taken_for_what_it_is(directory):
    """An open store notices when its directory was replaced."""
    store = new_store(directory, 0.5, 0.4)
    shutil.rmtree(directory)
    new_store(directory, 0.3)
    save(store)
    assert found(store) == [1, 2]
    assert store.verify().ok


# Links


@pytest.mark.parametrize("part", [".", "tags", "staging", "trash"])
@pytest.mark.parametrize("target", ["elsewhere", "nowhere"])
def test_a_planted_directory_link_is_refused(tmp_path, directory, part, target):
    """Nothing is read, made or deleted behind it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_bytes(b"mine")
    store = new_store(directory, 0.5)
    planted = directory / ".versions" / part
    shutil.rmtree(planted)
    planted.symlink_to(tmp_path / target)
    before = tree(elsewhere)
    for act in (
        lambda: CheckpointStore(directory),
        lambda: CheckpointStore(directory, create=True),
        lambda: save(store),
        lambda: store.tag(1, "prod"),
        lambda: store.delete(1),
        lambda: store.repair(),
    ):
        with pytest.raises(UnsafeVersionError, match="not a directory of the store"):
            act()
    assert tree(elsewhere) == before
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("part", ["store.json", "ledger.jsonl", "tags/prod"])
def test_a_planted_file_link_is_refused(tmp_path, directory, part):
    """What it points to is neither read nor changed."""
    target = tmp_path / "target"
    store = new_store(directory, 0.5, 0.4)
    store.tag(1, "prod")
    planted = directory / ".versions" / part
    shutil.move(planted, target)
    planted.symlink_to(target)
    before = target.read_bytes()
    for act in (
        lambda: CheckpointStore(directory).versions,
        lambda: save(store),
        lambda: store.delete(2),
    ):
        with pytest.raises((UnsafeVersionError, SaveError), match="not a regular file"):
            act()
    assert target.read_bytes() == before


def test_a_planted_lock_is_refused(tmp_path, directory):
    """A lock behind a link is nobody's."""
    store = new_store(directory, 0.5)
    lock = directory / ".versions" / "lock"
    lock.unlink()
    lock.symlink_to(tmp_path / "target")
    with pytest.raises(StoreError, match="Saving failed"):
        store.stage()
    with pytest.raises(StoreError, match="No store can be made"):
        CheckpointStore(directory, create=True)
    assert not (tmp_path / "target").exists()
    assert found(store) == [1]


# Permissions: root may do anything, so a child gives that up.

_TRY = """
import sys, warnings
from keras_versioned_ckpt import CheckpointStore, KeepLast
from keras_versioned_ckpt.errors import StoreError
from keras_versioned_ckpt.naming import Numbered
from keras_versioned_ckpt._founding import check_usable
from keras_versioned_ckpt._layout import Layout
from pathlib import Path
path, act = sys.argv[1:]
try:
    if act == "check":
        check_usable(Layout(Path(path)), Numbered())
    elif act == "create":
        CheckpointStore(path, create=True)
    elif act == "save":
        CheckpointStore(path).stage()
    elif act == "read":
        print([v.number for v in CheckpointStore(path)], CheckpointStore(path).verify())
    elif act == "plan":
        with warnings.catch_warnings(record=True) as told:
            CheckpointStore(path).prune(KeepLast(1), dry_run=True)
        print(*[warning.message for warning in told])
except StoreError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def outside(tmp_path):
    """A directory whose permissions are put right again afterwards."""
    directory = tmp_path / "outside"
    directory.mkdir()
    yield directory
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755)


def without_rights(path, act):
    """Returns what a user is told for whom the permissions count."""
    done = run(_TRY, path, act, before=without_powers())
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("act", ["check", "create"])
def test_a_directory_that_is_not_writable_is_refused(outside, act):
    """Before training starts, and with advice."""
    outside.chmod(0o555)
    assert "is not writable" in without_rights(outside / "store", act)
    assert os.listdir(outside) == []


@pytest.mark.parametrize("act", ["check", "create"])
def test_a_directory_that_cannot_be_entered_is_refused(outside, act):
    """A store below a private directory is an error of the documented tree."""
    (outside / "private").mkdir(mode=0o700)
    (outside / "private").chmod(0o000)
    told = without_rights(outside / "private" / "store", act)
    assert "StoreError" in told
    assert "cannot be entered" in told


def test_a_missing_store_beside_a_private_directory_is_not_found(outside):
    """Looking for stores nearby does not stumble over what cannot be entered."""
    (outside / "private").mkdir()
    (outside / "private").chmod(0o000)
    assert without_rights(outside / "none", "read").startswith("StoreNotFoundError")


def test_a_store_of_another_user_can_be_read_and_not_written(outside):
    """Reading takes no lock and writes nothing."""
    new_store(outside / "store", 0.5, 0.4)
    for path in (outside / "store").rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    (outside / "store").chmod(0o555)
    before = tree(outside)
    told = without_rights(outside / "store", "read")
    assert told == "[1, 2] 2 versions checked, no problem\n"
    assert "is not writable" in without_rights(outside / "store", "create")
    assert "Saving failed" in without_rights(outside / "store", "save")
    assert tree(outside) == before


@pytest.mark.parametrize(
    ("private", "act", "told"),
    [
        (".versions", "read", "StoreError Reading failed"),
        (".", "read", "StoreError Reading failed"),
        ("version_1", "read", "unreadable 'version_1'"),
        ("version_1/model.keras", "read", "unreadable 'version_1'"),
        ("version_1", "plan", "version_1 is not counted and not removed: Permission"),
    ],
)
def test_what_cannot_be_read_is_an_error_of_the_tree(outside, private, act, told):
    """No PermissionError reaches the user as it is."""
    new_store(outside / "store", 0.5, 0.4)
    (outside / "store" / private).chmod(0o000)
    assert told in without_rights(outside / "store", act)


def test_a_disk_that_cannot_be_read_is_told_of_when_the_callback_is_made(
    directory, monkeypatch
):
    """The error is the package's own, and names the file."""
    new_store(directory)

    def broken(path, *_):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    monkeypatch.setattr(_atomic, "read_bytes", broken)
    with pytest.raises(StoreError, match="Input/output error .*store.json"):
        check_usable(Layout(directory), Numbered())
