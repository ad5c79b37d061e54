"""`verify` and `repair`, on each kind of damage."""

import json
import os
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keras_versioned_ckpt import _atomic, _integrity, ledger
from keras_versioned_ckpt._inspection import Problem, Report
from keras_versioned_ckpt.errors import (
    CheckpointWarning,
    StoreError,
    UnsafeVersionError,
)
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.store import CheckpointStore
from tests.stores import found, new_store, save, tree


@pytest.fixture
def store(directory):
    """A sound store with three versions, the second one tagged."""
    store = new_store(directory, 0.5, 0.4, 0.3)
    store.tag(2, "prod")
    return store


def kinds(report):
    """Returns the kind and the name of each problem."""
    return [(problem.kind, problem.name) for problem in report.problems]


def test_a_sound_store_has_no_problems(store):
    """Verifying changes nothing; repairing changes no version."""
    before = tree(store.path)
    report = store.verify()
    assert (report.ok, report.checked, report.problems) == (True, 3, ())
    assert str(report) == "3 versions checked, no problem"
    assert tree(store.path) == before
    assert store.repair().ok
    assert found(store) == [1, 2, 3]
    assert store.tags["prod"].number == 2


def test_an_empty_store_is_sound(directory):
    """There is nothing to check and nothing to repair."""
    store = new_store(directory)
    assert store.verify() == store.repair() == Report(checked=0)


def test_a_report_reads_as_text():
    """One line per problem: what, what is wrong, and what was done."""
    report = Report(
        checked=1,
        problems=(
            Problem("version", "version_1", "is torn", "moved away"),
            Problem("ledger", "", "1 line(s) cannot be read"),
        ),
    )
    assert str(report) == (
        "1 version checked, 2 problem(s):\n"
        "  version 'version_1': is torn -> moved away\n"
        "  ledger: 1 line(s) cannot be read"
    )


def flip(path):
    """Changes one byte of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


DAMAGES = {
    "flipped payload": (
        lambda v: flip(v / "model.keras"),
        "version_2/model.keras has the SHA-256",
    ),
    "truncated payload": (
        lambda v: os.truncate(v / "model.keras", 3),
        "version_2/model.keras has 3 bytes; its manifest says 7",
    ),
    "missing payload": (
        lambda v: (v / "model.keras").unlink(),
        "lacks files that its manifest lists: 'model.keras'",
    ),
    "extra file": (
        lambda v: (v / "extra").touch(),
        "holds files that its manifest does not list: 'extra'",
    ),
    "extra directory": (
        lambda v: (v / "extra").mkdir(),
        "holds files that its manifest does not list: 'extra/'",
    ),
    "payload is a link": (
        lambda v: ((v / "model.keras").unlink(), (v / "model.keras").symlink_to("x")),
        "neither a file nor a directory: 'model.keras'",
    ),
    "payload is a pipe": (
        lambda v: ((v / "model.keras").unlink(), os.mkfifo(v / "model.keras")),
        "neither a file nor a directory: 'model.keras'",
    ),
    "truncated manifest": (
        lambda v: os.truncate(v / "manifest.json", 50),
        "version_2/manifest.json is not a manifest",
    ),
    "empty manifest": (
        lambda v: os.truncate(v / "manifest.json", 0),
        "version_2/manifest.json is not a manifest",
    ),
    "manifest is a link": (
        lambda v: (
            shutil.move(v / "manifest.json", v.parent),
            (v / "manifest.json").symlink_to("../manifest.json"),
        ),
        "version_2/manifest.json is not a regular file",
    ),
    "missing manifest": (
        lambda v: (v / "manifest.json").unlink(),
        "version_2 has no manifest.json; part of it was removed by hand",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_version_is_found_and_taken_out_of_the_way(store, damage):
    """The others are not touched; the next save works; the number is not reused."""
    spoil, what = DAMAGES[damage]
    sound = {n: tree(store.path / f"version_{n}") for n in (1, 3)}
    store.untag("prod")
    spoil(store.path / "version_2")
    spoilt = tree(store.path / "version_2")

    report = store.verify()
    assert kinds(report) == [("version", "version_2")]
    assert what in report.problems[0].what

    done = store.repair().problems[0].done
    assert done.startswith("moved to .versions/quarantine/version_2.")
    assert tree(store.path / done.removeprefix("moved to ")) == spoilt
    assert found(store) == found(CheckpointStore(store.path)) == [1, 3]
    assert {n: tree(store.path / f"version_{n}") for n in (1, 3)} == sound
    assert "quarantined by repair" in store.history[1].reason
    assert save(store).number == 4
    assert store.verify().ok


def test_a_quarantined_version_is_remembered_without_the_ledger_too(store):
    """Its facts are noted before it goes."""
    (store.path / ".versions" / "ledger.jsonl").unlink()
    os.truncate(store.path / "version_3" / "model.keras", 3)
    opened = CheckpointStore(store.path)
    opened.repair()
    gone = [entry for entry in opened.history if entry.gone]
    assert [(entry.number, entry.version.metrics) for entry in gone] == [
        (3, {"val_loss": 0.3})
    ]
    assert save(opened).number == 4


def test_a_payload_that_changes_while_it_is_read_is_damage(store, monkeypatch):
    """Even if it turns into something else than a file."""

    def turned(path, **_):
        raise _atomic.NotRegularError(22, "not a regular file", str(path))

    monkeypatch.setattr(_atomic, "hash_file", turned)
    assert "model.keras is not a regular file" in store.verify().problems[0].what


def test_a_version_that_goes_during_the_check_is_no_problem(store, monkeypatch):
    """Another process pruned it."""
    hashed = _atomic.hash_file

    def prune_first(path, **options):
        shutil.rmtree(store.path / "version_1", ignore_errors=True)
        return hashed(path, **options)

    monkeypatch.setattr(_atomic, "hash_file", prune_first)
    assert [kind for kind, _ in kinds(store.verify())] == ["gone"]


def test_a_version_that_goes_while_it_is_walked_is_no_problem(store, monkeypatch):
    """An open directory looks empty once its files are deleted elsewhere."""
    below = _atomic.files_below

    def emptier(directory):
        if directory.name != "version_1":
            return below(directory)
        shutil.rmtree(directory)
        return [], []

    monkeypatch.setattr(_atomic, "files_below", emptier)
    assert [kind for kind, _ in kinds(store.verify())] == ["gone"]


def test_a_version_that_goes_after_its_files_were_read_is_no_problem(
    store, monkeypatch
):
    """Before its manifest is looked at once more."""
    crc32 = _integrity.manifest_crc32

    def vanish(directory):
        if directory.name == "version_1":
            shutil.rmtree(directory)
        return crc32(directory)

    monkeypatch.setattr(_integrity, "manifest_crc32", vanish)
    assert [kind for kind, _ in kinds(store.verify())] == ["gone"]


def test_a_version_that_cannot_be_read_is_left_where_it_is(store, monkeypatch):
    """A failing disk or a missing permission does not make a version bad."""

    def broken(path, **_):
        raise OSError(5, "Input/output error", str(path))

    before = tree(store.path / "version_1")
    with monkeypatch.context() as patched:
        patched.setattr(_atomic, "hash_file", broken)
        report = store.repair()
    assert kinds(report) == [("unreadable", f"version_{n}") for n in (1, 2, 3)]
    assert {problem.done for problem in report.problems} == {"left where it is"}
    assert tree(store.path / "version_1") == before
    assert store.verify().ok


def test_a_version_of_a_newer_release_is_left_where_it_is(store):
    """It is not damaged; this release is too old for it."""
    manifest = store.path / "version_1" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    assert kinds(store.repair()) == [("unreadable", "version_1")]
    assert found(store) == [1, 2, 3]


def test_a_copy_is_taken_out_of_the_way(store):
    """Two directories cannot be the same version."""
    shutil.copytree(store.path / "version_1", store.path / "backup")
    with pytest.warns(CheckpointWarning, match="backup is passed over"):
        assert kinds(store.repair()) == [("version", "backup")]
    assert found(store) == [1, 2, 3]
    assert len(store.history) == 3


def test_what_is_gone_is_told_and_kept_in_the_history(store):
    """Nothing can be done about it."""
    shutil.rmtree(store.path / "version_1")
    assert kinds(store.verify()) == [("gone", "version_1")]
    assert store.repair().problems[0].done == "kept in the history"
    assert [entry.number for entry in store.history] == [1, 2, 3]
    assert store.history[0].reason == (
        "removed: by something other than this package, as repair found"
    )
    assert store.verify().ok


@pytest.mark.parametrize("stranger", ["link", "pipe", "directory"])
@pytest.mark.parametrize("part", ["ledger.jsonl", "ledger.index", "tags/prod"])
def test_what_stands_in_the_place_of_a_record_is_moved_away(store, part, stranger):
    """And the record is made anew."""
    path = store.path / ".versions" / part
    path.unlink(missing_ok=True)
    if stranger == "link":
        path.symlink_to("nowhere")
    elif stranger == "pipe":
        os.mkfifo(path)
    else:
        (path / "below").mkdir(parents=True)
    told = [p.what for p in store.verify().problems]
    # An index only saves time: one that is no index is no problem.
    assert told == ([] if "index" in part else [f"{path} is not a regular file"])
    assert store.repair().problems[0].done.startswith("moved to .versions/quarantine/")
    assert store.verify().ok
    assert found(store) == [1, 2, 3]
    assert store.tags["prod"].number == 2
    assert save(store).number == 4


def test_a_lock_that_is_no_file_is_told(store):
    """Nothing can be done without it; the message says how to go on."""
    lock = store.path / ".versions" / "lock"
    lock.unlink()
    os.mkfifo(lock)
    assert kinds(store.verify()) == [("lock", "")]
    with pytest.raises(StoreError, match="lock is not a regular file.*remove it"):
        store.repair()
    lock.unlink()
    assert store.repair().ok


def test_a_quarantine_that_is_a_link_is_refused(store, tmp_path):
    """Nothing is moved out of the store."""
    (tmp_path / "outside").mkdir()
    (store.path / ".versions" / "quarantine").symlink_to(tmp_path / "outside")
    (store.path / "version_2" / "extra").touch()
    with pytest.raises(UnsafeVersionError, match="quarantine is not a directory"):
        store.repair()
    assert os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [('"python": "3', '"python": "2'), ('"val_loss": 0.4', '"val_loss": 0.5')],
)
def test_a_manifest_that_changed_is_told(store, old, new):
    """Every bit of it, also where the ledger does not have the fact itself."""
    save(store, loss=0.4, software={"python": "3.11"})
    manifest = store.path / "version_4" / "manifest.json"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))
    (problem,) = store.verify().problems
    assert problem.what == "says other than the manifest of version_4"
    assert store.repair().problems[0].what == problem.what
    assert store.verify().ok
    assert found(store) == [1, 2, 3, 4]


@pytest.mark.parametrize("field", ["number", "name", "created"])
def test_a_line_of_the_ledger_about_a_version_that_never_was_is_dropped(store, field):
    """A flipped bit in it makes no entry of the history."""
    ledger = store.path / ".versions" / "ledger.jsonl"
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    other = {"number": 3, "name": "version_8", "created": "2001-01-01T00:00:00.000000Z"}
    lines[2][field] = other[field] if field != "number" else 7
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    opened = CheckpointStore(store.path)
    assert not opened.verify().ok
    opened.repair()
    assert opened.verify().ok
    assert [(entry.number, entry.gone) for entry in opened.history] == [
        (1, False),
        (2, False),
        (3, False),
    ]


def test_a_tag_of_a_version_that_is_gone_is_taken_off(store):
    """The tag would protect nothing."""
    shutil.rmtree(store.path / "version_2")
    assert kinds(store.verify()) == [("gone", "version_2"), ("tag", "prod")]
    assert [problem.done for problem in store.repair().problems] == [
        "kept in the history",
        "taken off",
    ]
    assert store.tags == {}
    assert os.listdir(store.path / ".versions" / "tags") == []


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"number": -1}', b"\xff"])
def test_a_damaged_tag_is_written_anew(store, data):
    """The ledger remembers where it was."""
    (store.path / ".versions" / "tags" / "prod").write_bytes(data)
    assert kinds(store.verify()) == [("tag", "prod")]
    done = store.repair().problems[0].done
    assert done.endswith(" and written anew from the ledger")
    assert store.verify().ok
    assert store.tags["prod"].number == 2
    moved = done.removeprefix("moved to ").split(" and ")[0]
    assert (store.path / moved).read_bytes() == data


def test_a_flipped_bit_makes_no_other_number_of_a_tag(store):
    """The record has a checksum; one without it, written by hand, is taken as it is."""
    file = store.path / ".versions" / "tags" / "prod"
    flipped = file.read_bytes().replace(b'"number":2', b'"number":3')
    file.write_bytes(flipped)
    assert store.tags["prod"].number == 2
    assert kinds(store.verify()) == [("tag", "prod")]
    file.write_bytes(b'{"number":3}')
    assert store.tags["prod"].number == 3


def test_a_tag_whose_file_is_gone_is_put_back_on(store):
    """Nobody took it off; it protects its version until then."""
    (store.path / ".versions" / "tags" / "prod").unlink()
    assert kinds(store.verify()) == [("tag", "prod")]
    with pytest.warns(CheckpointWarning, match="'prod' is not there, and nobody took"):
        store.prune(KeepLast(1))
    assert found(store) == [2, 3]
    assert store.repair().problems[0].done == "written anew from the ledger"
    assert store.tags["prod"].number == 2
    assert store.verify().ok


def test_a_tag_whose_file_is_gone_can_be_taken_off(store):
    """By the same call as any other."""
    (store.path / ".versions" / "tags" / "prod").unlink()
    store.untag("prod")
    assert store.verify().ok
    assert store.tags == {}


def test_a_damaged_tag_of_a_version_that_is_gone_is_told_once(store):
    """And taken off."""
    (store.path / ".versions" / "tags" / "prod").write_bytes(b"")
    shutil.rmtree(store.path / "version_2")
    assert kinds(store.repair()) == [("gone", "version_2"), ("tag", "prod")]
    assert store.tags == {}


def test_a_torn_ledger_is_read_as_far_as_it_goes(store):
    """Versions are listed from their manifests; repair writes it anew."""
    ledger = store.path / ".versions" / "ledger.jsonl"
    store.delete(1)
    lines = ledger.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:40] + b"\n"
    ledger.write_bytes(b"".join(lines) + b'{"event":"comm')
    opened = CheckpointStore(store.path)
    assert found(opened) == [2, 3]
    problems = opened.verify().problems
    told = ["1 line(s) cannot be read", "its last line is torn"]
    assert [problem.what for problem in problems] == told
    torn = ledger.read_bytes()
    repaired = opened.repair().problems
    assert [problem.what for problem in repaired] == told
    assert {problem.done[:12] for problem in repaired} == {"written anew"}
    assert opened.verify().ok
    (old,) = (store.path / ".versions" / "quarantine").glob("ledger.jsonl.*")
    assert old.read_bytes().startswith(torn)
    assert [(entry.number, entry.gone) for entry in opened.history] == [
        (1, True),
        (2, False),
        (3, False),
    ]


def test_a_lost_ledger_is_rebuilt_from_the_manifests(store):
    """What is gone is forgotten; what is there is not."""
    ledger = store.path / ".versions" / "ledger.jsonl"
    ledger.unlink()
    (problem,) = store.verify().problems
    assert problem.what == "has lost what it said of 'version_1', 'version_2', " + (
        "'version_3'"
    )
    assert len(store.repair().problems) == 1
    assert store.verify().ok
    events = [json.loads(line)["event"] for line in ledger.read_text().splitlines()]
    assert events == ["commit"] * 3 + ["tag"]
    assert found(CheckpointStore(store.path)) == [1, 2, 3]


def test_versions_that_another_process_is_removing_are_no_problem(store):
    """Between the lines that say so and the renames."""
    ledger = store.path / ".versions" / "ledger.jsonl"
    for number in (1, 3):
        line = {"event": "remove", "number": number, "reason": "x", "policy": ""}
        line["at"] = "2026-11-20T18:00:00.000000Z"
        with ledger.open("a") as file:
            file.write(json.dumps(line) + "\n")
    assert store.verify().ok


def test_a_ledger_that_says_other_than_a_manifest_is_put_right(store):
    """The manifest is the truth."""
    ledger = store.path / ".versions" / "ledger.jsonl"
    ledger.write_text(ledger.read_text().replace(":0.4", ":0.0"))
    opened = CheckpointStore(store.path)
    assert opened[2].metrics == {"val_loss": 0.0}
    (problem,) = opened.repair().problems
    assert problem.what == "says other than the manifest of version_2"
    assert opened[2].metrics == {"val_loss": 0.4}
    assert opened.verify().ok


def test_leftovers_of_killed_processes_are_cleared(store):
    """In staging, in the trash, and half-written records."""
    room = store.path / ".versions"
    (room / "staging" / ("a" * 32)).mkdir()
    (room / "tags" / ".prod.new").write_bytes(b"{")
    shutil.move(store.path / "version_1", room / "trash" / "version_1.x")
    (room / "trash" / "mine").write_bytes(b"mine")
    leftovers = [
        ("gone", "version_1"),
        ("staging", "a" * 32),
        ("staging", ".prod.new"),
        ("trash", "mine"),
        ("trash", "version_1.x"),
    ]
    assert kinds(store.verify()) == leftovers
    report = store.repair()
    assert kinds(report) == leftovers
    done = [problem.done for problem in report.problems]
    assert done[1:3] == ["cleared", "cleared"]
    assert done[3].startswith("moved to .versions/quarantine/mine.")
    assert done[4] == "deleted"
    (mine,) = (room / "quarantine").iterdir()
    assert mine.read_bytes() == b"mine"
    assert store.verify().ok


def test_a_staging_lock_of_another_user_is_left_alone(store):
    """Who holds it cannot be seen."""
    staging = store.path / ".versions" / "staging"
    (staging / f"{'a' * 32}.lock").symlink_to("nowhere")
    assert store.verify().ok


def test_what_is_in_the_making_is_no_leftover(store, monkeypatch):
    """Verifying waits for the moment in which a place is made, and disturbs nobody."""
    staging = store.path / ".versions" / "staging"
    mkdir = Path.mkdir
    reports = []

    def meanwhile(path, *arguments, **options):
        if path.parent == staging:
            verifier = threading.Thread(target=lambda: reports.append(store.verify()))
            verifier.start()
            verifier.join(0.1)
            assert reports == []
            threads.append(verifier)
        mkdir(path, *arguments, **options)

    threads = []
    monkeypatch.setattr(Path, "mkdir", meanwhile)
    with store.stage():
        threads[0].join()
    assert [report.ok for report in reports] == [True]


def test_a_room_without_staging_and_trash_can_be_verified(store):
    """A copy may lack empty directories."""
    for name in ("staging", "trash"):
        (store.path / ".versions" / name).rmdir()
    assert store.verify().ok


def test_what_repair_cannot_do_is_an_error(store, monkeypatch):
    """The disk is full: nothing is lost."""
    os.truncate(store.path / "version_1" / "model.keras", 3)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(_atomic, "rename_new", full)
        with pytest.raises(StoreError, match="Repairing failed in .*No space left"):
            store.repair()
    assert found(store) == [1, 2, 3]


def test_repair_takes_off_the_tags_of_what_it_moves_away(directory):
    """After one repair the store is in order."""
    store = new_store(directory, 0.5, 0.4)
    store.tag(1, "prod")
    os.truncate(directory / "version_1" / "model.keras", 1)
    report = store.repair()
    assert [str(p) for p in report.problems if p.kind == "tag"] == [
        "tag 'prod': is on version_1, which is damaged -> taken off"
    ]
    assert store.verify().ok
    assert dict(store.tags) == {}


def test_verify_is_not_confused_by_what_others_save_meanwhile(directory, monkeypatch):
    """A version that came while files were read, with its tag, is no problem."""
    store = new_store(directory, 0.5)
    check_content = _integrity.check_content

    def and_another(*arguments):
        check_content(*arguments)
        save(CheckpointStore(directory), tags=["prod"])

    with monkeypatch.context() as patched:
        patched.setattr(_integrity, "check_content", and_another)
        assert store.verify().problems == ()


def test_a_copy_without_the_room_is_told_and_repaired(directory):
    """Tools that leave out what begins with a dot took tags and memory, no version."""
    store = new_store(directory, 0.5, 0.4, 0.3)
    shutil.rmtree(directory / ".versions")
    opened = CheckpointStore(store.path)
    (problem,) = opened.verify().problems
    assert problem.kind == "ledger"
    assert ".versions is missing, and with it tags" in problem.what
    opened.repair()
    assert opened.verify().ok
    assert found(opened) == [1, 2, 3]


@pytest.mark.parametrize("tag", ["../../../outside", "/outside", ".."])
def test_repair_writes_no_tag_outside_the_store(directory, tmp_path, tag):
    """A line of the ledger may have been written by anybody."""
    (tmp_path / "outside").write_bytes(b"mine")
    store = new_store(directory, 0.5)
    tag = tag.replace("/outside", f"{tmp_path}/outside") if tag[0] == "/" else tag
    line = ledger.encode(ledger.TagMoved(tag, 1, datetime.now(UTC)))
    with (directory / ".versions" / "ledger.jsonl").open("ab") as file:
        file.write(line)
    before = {path.name for path in tmp_path.iterdir()}
    opened = CheckpointStore(store.path)
    assert [p.kind for p in opened.verify().problems] == ["ledger"]
    opened.repair()
    assert opened.verify().ok
    assert (tmp_path / "outside").read_bytes() == b"mine"
    assert {path.name for path in tmp_path.iterdir()} == before
