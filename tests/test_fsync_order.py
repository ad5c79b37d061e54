"""In which order a store writes, flushes and renames, by the system's own record.

Neither a kill nor most file systems show that a flush is missing; the order of the
calls does. One process does everything there is to do with a store, and what the
system was asked for in the meantime is held against a few laws.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.stores import ROOT
from tests.test_store_faults import need_strace

# Waits until it is traced, for to trace the imports takes long; then says what it does.
WORK = """
import os, sys
from pathlib import Path
from keras_versioned_ckpt import CheckpointStore, KeepLast, VersionedCheckpoint
from keras_versioned_ckpt import save_version
from tests.zoo import fit, network

root = Path(sys.argv[1])
models = {"small": network(), "large": network(units=60_000)}

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

say("ready")
sys.stdin.readline()
for size, model in models.items():
    for format in ("keras", "weights"):
        say("begin fit", size, format)
        checkpoint = VersionedCheckpoint(
            root / f"fit-{size}-{format}", format=format, keep_last=1, verbose=1
        )
        fit(model, checkpoint, epochs=2)
        checkpoint.wait()
        say("done")

say("begin save_version")
version = save_version(models["small"], root / "new" / "store", tags=["prod"])
say("saved", version.name)
say("begin more")
store = CheckpointStore(root / "new" / "store")
for _ in range(3):
    save_version(models["small"], store.path)

say("begin commit")
with store.stage() as staged:
    (staged.path / "assets" / "deep").mkdir(parents=True)
    (staged.path / "assets" / "deep" / "vocabulary.txt").write_bytes(b"words")
    (staged.path / "model.keras").write_bytes(b"weights" * 1000)
    version = store.commit(staged, tags=["newest"])
say("saved", version.name)

say("begin without ledger")
(store.path / ".versions" / "ledger.jsonl").unlink()
say("begin adopt")
store.tag(1, "found")
say("done")
say("begin without folders")
(store.path / ".versions" / "trash").rmdir()
say("begin complete")
store.tag(1, "found")
say("done")
say("begin tag")
store.tag(2, "prod")
say("done")
say("begin untag")
store.untag("prod")
say("done")
say("begin prune")
store.prune(KeepLast(2))
say("done")
say("begin delete")
store.delete(4)
say("done")

say("begin damage")
store = CheckpointStore(root / "fit-small-keras")
save_version(models["small"], store.path, tags=["prod"])
save_version(models["small"], store.path, tags=["old"])
os.truncate(store.path / "version_3" / "model.keras", 100)
(store.path / ".versions" / "tags" / "old").write_bytes(b"")
say("begin repair")
store.repair()
say("done")
"""
SAVING = ("save_version", "commit")
SAVING += tuple(
    f"fit {s} {f}" for s in ("small", "large") for f in ("keras", "weights")
)
REMOVING = ("prune", "delete", *SAVING[2:])

WRITES = ("write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate")
FLUSHES = ("fsync", "fdatasync")
RENAMES = ("rename", "renameat", "renameat2")
UNLINKS = ("unlink", "unlinkat")
CALLS = (*WRITES, *FLUSHES, *RENAMES, *UNLINKS, "openat", "mkdir", "mkdirat", "rmdir")


class Call(NamedTuple):
    """One system call that succeeded.

    Args:
        name: Its name.
        paths: The paths among its arguments, in their order.
        begun: When it began, as a place in the record.
        ended: When it returned.
        text: Its arguments as they were recorded.
    """

    name: str
    paths: tuple[str, ...]
    begun: int
    ended: int
    text: str

    @property
    def path(self) -> str:
        """The last of its paths: what is made, written or flushed."""
        return self.paths[-1]


def parsed(record: str) -> Iterator[Call]:
    """Yields the calls of a record in the order in which they began."""
    calls = []
    open_calls: dict[str, tuple[str, int, str]] = {}
    for i, line in enumerate(record.splitlines()):
        if begun := re.fullmatch(r"(\d+) +(\w+)\((.*?)(<unfinished \.\.\.>)?", line):
            thread, name, text, unfinished = begun.groups()
            open_calls[thread] = (name, i, text)
            if unfinished:
                continue
        elif ended := re.fullmatch(r"(\d+) +<\.\.\. \w+ resumed>(.*)", line):
            thread, text = ended.groups()
            name, start, first = open_calls[thread]
            open_calls[thread] = (name, start, first + text)
        else:
            continue
        name, start, text = open_calls.pop(thread)
        text, _, result = text.rpartition(" = ")
        if not result.startswith(("-1 ", "?")):
            calls.append(Call(name, paths_in(name, text), start, i, text))
    return iter(sorted(calls, key=lambda call: call.begun))


def paths_in(name: str, text: str) -> tuple[str, ...]:
    """Returns the paths among the arguments of a call, each absolute."""
    if name in (*WRITES, *FLUSHES):
        return tuple(re.findall(r"^\d+<([^>]*)>", text))
    found = re.findall(r'(?:\w+<([^>]*)>, )?"([^"]*)"', text)
    return tuple(os.path.join(*pair) for pair in found)


class Scene(NamedTuple):
    """What happened from one `begin` to the next one."""

    calls: list[Call]

    def of(self, names: str | tuple[str, ...], path: str) -> list[Call]:
        """Returns the calls of these names whose last path matches a pattern."""
        names = (names,) if isinstance(names, str) else names
        return [c for c in self.calls if c.name in names and re.fullmatch(path, c.path)]

    def flush(self, path: str, after: int, before: int) -> Call:
        """Returns the first flush of a path that begins and ends between two places."""
        for call in self.of("fsync", re.escape(path)):
            if after < call.begun and call.ended < before:
                return call
        raise AssertionError(f"no fsync of {path} between {after} and {before}")

    def word(self, text: str, after: int = 0) -> int:
        """Returns when something was first said."""
        for call in self.calls:
            if call.begun > after and call.name == "write" and text in call.text:
                return call.begun
        raise AssertionError(f"nobody said {text!r}")

    def next_word(self, after: int) -> int:
        """Returns when the next success was told."""
        return min(
            call.begun
            for call in self.calls
            if call.begun > after
            and call.name == "write"
            and re.search(r'^1<.*"(.*saved |done)', call.text)
        )

    @property
    def commits(self) -> list[Call]:
        """The renames that make a version visible."""
        return [
            c for c in self.calls if c.name in RENAMES and "/staging/" in c.paths[0]
        ]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Scene]:
    """What the system was asked for, by what was going on."""
    need_strace()
    root = tmp_path_factory.mktemp("order")
    log = root / "log"
    process = subprocess.Popen(
        [sys.executable, "-c", WORK, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        command = ["strace", "-f", "-y", "-s", "60", "-o", str(log)]
        command += ["-e", f"trace={','.join(CALLS)}", "-p", str(process.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            assert "attached" in tracer.stderr.readline()
            process.communicate("go\n", timeout=120)
            tracer.communicate()
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    found: dict[str, Scene] = {}
    for call in parsed(log.read_text()):
        if begin := re.search(r'^1<.*"begin ([^"\\]+)', call.text):
            found[begin[1]] = Scene([])
            scene = found[begin[1]]
        elif found and (call.text.startswith("1<") or str(root) in call.text):
            scene.calls.append(call)
    # What only prepares the next one says nothing at its end.
    for name in ("more", "without ledger", "without folders", "damage"):
        del found[name]
    others = {"adopt", "complete", "tag", "untag", "repair"}
    assert {*SAVING, *REMOVING, *others} == found.keys()
    return found


@pytest.mark.parametrize("name", SAVING)
def test_every_file_is_flushed_once_after_its_last_byte_and_before_the_rename(
    scenes, name
):
    """A flush that failed is not tried again, so there is one of each file."""
    scene = scenes[name]
    assert len(scene.commits) == (2 if "fit" in name else 1)
    for rename in scene.commits:
        inside = re.escape(rename.paths[0]) + "/.+"
        made = [c for c in scene.of("openat", inside) if "O_CREAT" in c.text]
        # What a training needs to go on is a file as well.
        expected = 3 if name == "commit" or "fit" in name else 2
        assert len(made) == len({c.path for c in made}) == expected
        for file in made:
            last = max(c.ended for c in scene.of(WRITES, re.escape(file.path)))
            scene.flush(file.path, last, rename.begun)
            flushes = scene.of(FLUSHES, re.escape(file.path))
            assert [c.name for c in flushes].count("fsync") == 1
            assert flushes[-1].name == "fsync"


@pytest.mark.parametrize("name", SAVING)
def test_the_manifest_is_written_when_all_else_is_flushed(scenes, name):
    """So a version with a manifest is whole."""
    scene = scenes[name]
    for rename in scene.commits:
        staged = rename.paths[0]
        (manifest,) = scene.of("openat", re.escape(f"{staged}/manifest.json"))
        others = rf"{re.escape(staged)}/(?!manifest\.json).+"
        flushed = scene.of(FLUSHES, others)
        assert flushed
        assert max(call.ended for call in flushed) < manifest.begun
        assert not [c for c in scene.of(WRITES, others) if c.ended > manifest.begun]


@pytest.mark.parametrize("name", SAVING)
def test_every_directory_is_flushed_after_its_last_entry_and_before_the_rename(
    scenes, name
):
    """The staging directory and those below it."""
    scene = scenes[name]
    for rename in scene.commits:
        staged = rename.paths[0]
        made = scene.of(("mkdir", "mkdirat"), rf"{re.escape(staged)}(/.+)?")
        assert len(made) == (3 if name == "commit" else 1)
        for directory in made:
            entries = scene.of(
                ("openat", "mkdir", "mkdirat"), rf"{re.escape(directory.path)}/[^/]+"
            )
            entries = [c for c in entries if "open" not in c.name or "O_CR" in c.text]
            last = max(call.ended for call in entries)
            scene.flush(directory.path, last, rename.begun)


@pytest.mark.parametrize("name", SAVING)
def test_a_version_is_durable_before_anybody_hears_of_it(scenes, name):
    """The store is flushed before the ledger has the line, and before it is told."""
    scene = scenes[name]
    for rename in scene.commits:
        version = Path(rename.path)
        ledger = re.escape(f"{version.parent}/.versions/ledger.jsonl")
        line = min(c.begun for c in scene.of("write", ledger) if c.begun > rename.ended)
        flushed = scene.flush(str(version.parent), rename.ended, line)
        told = scene.word(f"saved {version.name}")
        assert flushed.ended < told
        scene.flush(f"{version.parent}/.versions/ledger.jsonl", line, told)


def test_every_line_of_the_ledger_is_flushed_before_success_is_told(scenes):
    """Whatever it is about."""
    for scene in scenes.values():
        for line in scene.of(WRITES, r".*/ledger\.jsonl"):
            scene.flush(line.path, line.ended, scene.next_word(line.ended))


@pytest.mark.parametrize("name", [name for name in SAVING if name != "commit"])
def test_a_new_ledger_is_flushed_into_its_directory(scenes, name):
    """The first line makes the file."""
    scene = scenes[name]
    made = next(
        c for c in scene.of("openat", r".*/ledger\.jsonl") if "O_CREAT" in c.text
    )
    told = scene.next_word(made.ended)
    scene.flush(str(Path(made.path).parent), made.ended, told)


def test_a_record_is_replaced_whole_and_for_good(scenes):
    """Tags, the ledger that is repaired and the store's own: flush, rename, flush."""
    replaced = set()
    for scene in scenes.values():
        for rename in scene.of(RENAMES, r".*/\.versions/.*"):
            if not rename.paths[0].endswith(".new"):
                continue
            new, path = rename.paths
            last = max(c.ended for c in scene.of(WRITES, re.escape(new)))
            scene.flush(new, last, rename.begun)
            told = scene.next_word(rename.ended)
            synced = scene.flush(str(Path(path).parent), rename.ended, told)
            lines = scene.of("write", r".*/ledger\.jsonl")
            after = [c.begun for c in lines if c.begun > rename.ended]
            assert synced.ended < min([*after, told])
            replaced.add(Path(path).name)
    tags = {"prod", "newest", "old", "found"}
    assert replaced == {*tags, "ledger.jsonl", "store.json"}


def test_a_tag_is_off_for_good_before_that_is_told(scenes):
    """The ledger says so first: a tag without a file and without an end is damage."""
    scene = scenes["untag"]
    (unlink,) = scene.of(UNLINKS, r".*/tags/prod")
    (line,) = scene.of("write", r".*/ledger\.jsonl")
    scene.flush(line.path, line.ended, unlink.begun)
    told = scene.next_word(unlink.ended)
    scene.flush(str(Path(unlink.path).parent), unlink.ended, told)


@pytest.mark.parametrize("name", REMOVING)
def test_a_removal_is_recorded_then_done_then_durable_and_only_then_deletes(
    scenes, name
):
    """The manifest goes last, for it says what else may be deleted."""
    scene = scenes[name]
    renames = scene.of(RENAMES, r".*/\.versions/trash/.*")
    assert len(renames) == (2 if name == "prune" else 1)
    for rename in renames:
        store = Path(rename.paths[0]).parent
        ledger = re.escape(f"{store}/.versions/ledger.jsonl")
        lines = [c for c in scene.of("write", ledger) if c.ended < rename.begun]
        scene.flush(lines[-1].path, lines[-1].ended, rename.begun)
        unlinks = scene.of(UNLINKS, re.escape(rename.path) + "/.+")
        assert len(unlinks) >= 2
        assert unlinks[-1].path == f"{rename.path}/manifest.json"
        first = min(c.begun for c in scene.of(UNLINKS, r".*/\.versions/trash/.*"))
        for directory in (store, store / ".versions" / "trash"):
            scene.flush(str(directory), rename.ended, first)


def test_a_new_directory_is_flushed_into_the_one_above_it(scenes):
    """All of a new store's, those above it, and the quarantine; staging needs none."""
    made = set()
    for scene in scenes.values():
        for mkdir in scene.of(("mkdir", "mkdirat"), ".*"):
            path = Path(mkdir.path)
            if "staging" not in path.parts[:-1]:
                told = scene.next_word(mkdir.ended)
                scene.flush(str(path.parent), mkdir.ended, told)
                made.add(path.name)
    assert {"new", "store", ".versions", "tags", "trash", "quarantine"} <= made


def test_a_version_that_the_ledger_lacks_is_flushed_before_it_is_recorded(scenes):
    """Whoever committed it may have been killed right after the rename."""
    scene = scenes["adopt"]
    lines = scene.of("write", r".*/ledger\.jsonl")
    first = min(call.begun for call in lines)
    scene.flush(str(Path(lines[0].path).parents[1]), 0, first)


def test_what_is_moved_to_quarantine_stays_there(scenes):
    """All directories are flushed before the repair is reported."""
    scene = scenes["repair"]
    renames = scene.of(RENAMES, r".*/quarantine/.*")
    (made,) = scene.of(("mkdir", "mkdirat"), r".*/quarantine")
    assert {Path(rename.path).name.partition(".")[0] for rename in renames} == {
        *("version_3", "old")
    }
    scene.flush(str(Path(made.path).parent), made.ended, renames[0].begun)
    for rename in renames:
        done = scene.word("done", rename.ended)
        for path in rename.paths:
            scene.flush(str(Path(path).parent), rename.ended, done)
