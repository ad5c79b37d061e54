"""Hostile stores, kept as programs: each spoils a sound store as a stranger might.

A maker is given a `Scene`: a store of four versions (number 2 was removed, 1 is tagged
`prod`, 4 is damaged by nobody) and a directory of somebody else beside it. `KINDS` has
them all by name. What `@kind` is given is how the store answers:

* `notices`: part of what an error, a warning or `verify` says of it, or `None` where
  there is nothing wrong with the store and nothing may happen at all;
* `as_user`: whether it takes a user whom permissions bind.
"""

import atexit
import dataclasses
import functools
import json
import os
import shutil
import socket
import stat
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_versioned_ckpt import _exclusive, _index, _tags
from tests.stores import new_store, save

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.exe\u2066\x85\r\x08"
TOKEN = "0123456789abcdef" * 2
MANY = 100_000


@dataclasses.dataclass(frozen=True)
class Scene:
    """A store, and beside it what belongs to somebody else."""

    root: Path
    foreign: Path

    @property
    def room(self) -> Path:
        """The store's own room."""
        return self.root / ".versions"

    @property
    def ledger(self) -> Path:
        """What happened in the store."""
        return self.room / "ledger.jsonl"

    def version(self, number: int = 3) -> Path:
        """The directory of a version."""
        return self.root / f"version_{number}"

    def manifest(self, number: int = 3) -> dict[str, Any]:
        """What the manifest of a version says."""
        text = (self.version(number) / "manifest.json").read_text(encoding="utf-8")
        return dict(json.loads(text))

    def say(self, change: dict[str, Any], number: int = 3) -> None:
        """Changes fields of a version's manifest; `...` leaves one out."""
        fields = {**self.manifest(number), **change}
        fields = {key: value for key, value in fields.items() if value is not ...}
        self.write(json.dumps(fields).encode(), number)

    def write(self, manifest: bytes, number: int = 3) -> None:
        """Puts these bytes in the place of a version's manifest."""
        (self.version(number) / "manifest.json").write_bytes(manifest)

    def swap(self, old: str, new: str, number: int = 3) -> None:
        """Swaps a stretch of a manifest's text, which must be there."""
        path = self.version(number) / "manifest.json"
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{old} is not in the manifest"
        data = text.replace(old, new).encode("utf-8", "surrogatepass")
        path.write_bytes(data)

    def list_files(self, *paths: str, number: int = 3) -> None:
        """Has a manifest list these files as well, with the size of nothing."""
        empty = {"size": 0, "sha256": _EMPTY}
        files = self.manifest(number)["files"]
        self.say({"files": {**files, **dict.fromkeys(paths, empty)}}, number)

    def append(self, *lines: bytes) -> None:
        """Appends lines to the ledger."""
        with open(self.ledger, "ab") as file:
            file.write(b"".join(line + b"\n" for line in lines))

    def forget(self) -> None:
        """Takes the ledger away, so that every manifest is read."""
        self.ledger.unlink()

    def copy(self, name: str, **change: Any) -> None:
        """Copies a version under another name, which its manifest knows."""
        path = self.root / name
        shutil.copytree(self.version(), path)
        fields = {**self.manifest(), "name": name, **change}
        (path / "manifest.json").write_text(json.dumps(fields), encoding="utf-8")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A way to make a hostile store.

    Args:
        name: What it is called.
        make: Makes it.
        notices: Part of what is said of it; `None` where it is to go unnoticed.
        as_user: Whether permissions must bind who meets it.
    """

    name: str
    make: Callable[[Scene], None]
    notices: str | None
    as_user: bool = False

    @property
    def heavy(self) -> bool:
        """Whether to meet it takes so long that a few of all acts must do."""
        return self.name.startswith(("many", "tags_by", "manifest_full", "ledger_of"))


Maker = Callable[[Scene], None]
KINDS: dict[str, Kind] = {}
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def kind(notices: str | None, *, as_user: bool = False) -> Callable[[Maker], Maker]:
    """Enters a maker under its own name."""

    def enter(make: Maker) -> Maker:
        KINDS[make.__name__] = Kind(make.__name__, make, notices, as_user)
        return make

    return enter


def family(notices: str | None, **cases: Any) -> Callable[[Callable[..., None]], None]:
    """Enters a maker once per case, which it is given after the scene."""

    def enter(make: Callable[..., None]) -> None:
        for name, case in cases.items():
            made = functools.partial(make, case=case)
            called = f"{make.__name__}_{name}"
            KINDS[called] = Kind(called, made, notices)

    return enter


@functools.cache
def _sound() -> Path:
    """Returns a sound store, made once: a save waits for the disk."""
    directory = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, directory)
    store = new_store(Path(directory) / "store")
    for number in range(1, 5):
        loss = 1 / number
        save(store, epoch=number, step=number, loss=loss, monitor="val_loss")
    store.tag(1, "prod")
    store.delete(2)
    return store.path


def scene(directory: Path) -> Scene:
    """Makes a sound store and a foreign directory, both below `directory`."""
    scene = Scene(directory / "store", directory / "foreign")
    shutil.copytree(_sound(), scene.root)
    (scene.foreign / "deep").mkdir(parents=True)
    (scene.foreign / "precious").write_bytes(b"not yours")
    (scene.foreign / "deep" / "model.keras").write_bytes(b"weights")
    (scene.foreign / "program.sh").write_bytes(b"#!/bin/sh\n")
    (scene.foreign / "program.sh").chmod(0o750)
    return scene


# Manifests: names and paths


@family(
    "not a manifest",
    up="../../foreign/precious",
    deep_up="a/../../../foreign/precious",
    dot="./model.keras",
    absolute="/etc/hostname",
    backslash="..\\foreign\\precious",
    drive="C:/Windows/win.ini",
    drive_here="c:precious",
    stream="model.keras:stream",
    nul="a\0b",
    empty_part="a//b",
    ends_in_slash="a/",
    empty="",
    itself="manifest.json",
    itself_shouting="MANIFEST.JSON",
    dot_at_end="model.",
    space_at_end="model.keras ",
    device="aux.txt",
    device_deep="a/CON/b",
    long_part="x" * 300,
    long="/".join(["x" * 99] * 99),
    deep="/".join("x" * 1000),
    escapes=ESCAPES,
    right_to_left="model\u202eskp",
    invisible="model\u200b.keras",
    line_separator="a\u2028b",
)
def manifest_lists(scene: Scene, case: str) -> None:
    """Has a manifest list a path that leaves the version, or that deceives."""
    scene.list_files(case)


@kind("not a manifest")
def manifest_lists_twins(scene: Scene) -> None:
    """Has a manifest list two files that are one where case does not count."""
    scene.list_files("A.txt", "a.txt")


@kind("not a manifest")
def manifest_lists_composed_twins(scene: Scene) -> None:
    """Has a manifest list two files that are one where accents are composed."""
    scene.list_files("caf\u00e9", "cafe\u0301")


@kind("not a manifest")
def manifest_lists_a_file_as_a_folder(scene: Scene) -> None:
    """Has a manifest list a file, and another one inside of it."""
    scene.list_files("a", "a/b")


@kind("lacks files")
def manifest_lists_a_lookalike(scene: Scene) -> None:
    """Has a manifest list a file whose name looks like the model's."""
    scene.list_files("m\u043edel.keras")


@kind("not a manifest")
def manifest_lists_a_bomb_of_parents(scene: Scene) -> None:
    """Has a manifest list one path of a million folders."""
    scene.list_files("/".join("x" * 1_000_000))


@family(
    "name",
    up="..",
    outside="../foreign",
    absolute="/etc",
    backslash="a\\b",
    nul="version\0",
    dot_at_end="version_3.",
    space="version 3",
    device="CON",
    device_with_end="aux.txt",
    long="v" * 300,
    lookalike="ver\u0455ion_3",
    full_width="\uff56ersion_3",
    escapes="v" + ESCAPES,
    empty="",
    room=".versions",
    number=3,
    other="version_1",
)
def manifest_name(scene: Scene, case: Any) -> None:
    """Gives a version another name by its manifest."""
    scene.say({"name": case})


# Manifests: bombs and broken rules


@kind("not a manifest")
def manifest_too_long(scene: Scene) -> None:
    """Makes a manifest one byte longer than any may be."""
    text = json.dumps({**scene.manifest(), "x": ""}).encode()
    scene.write(text[:-2] + b"x" * (4 * 1024 * 1024 + 1 - len(text)) + text[-2:])


@kind("not a manifest")
def manifest_of_a_terabyte(scene: Scene) -> None:
    """Makes a manifest a terabyte long, of which nothing is on the disk."""
    os.truncate(scene.version() / "manifest.json", 2**40)


@family("not a manifest", by_one=33, by_far=100_000, by_all=2_000_000)
def manifest_too_deep(scene: Scene, case: int) -> None:
    """Nests a manifest deeper than any may be."""
    scene.swap('"metadata": {}', f'"metadata": {{"x": {"[" * case}{"]" * case}}}')


@kind("says other than")
def manifest_full_of_objects(scene: Scene) -> None:
    """Fills a manifest with hundreds of thousands of objects."""
    scene.swap('"metadata": {}', f'"metadata": {{"x": [{"{}," * 700_000}0]}}')


@kind("says other than")
def manifest_full_of_metrics(scene: Scene) -> None:
    """Fills a manifest with metrics, which every table would show."""
    scene.say({"metrics": {f"m{i}": 0.5 for i in range(100_000)}})


@family(
    "not a manifest",
    digits="9" * 4_000_000,
    beyond=str(2**53 + 1),
    below=str(-(2**53) - 1),
    nan="NaN",
    infinity="Infinity",
    minus_infinity="-Infinity",
    overflow="1e999",
    underflow="-1e999",
    surrogate='"\\ud800"',
    raw_surrogate='"\ud800"',
    nul='"\\u0000"',
    raw_nul='"\0"',
    raw_control='"\x01"',
    key_twice='{"a": 1, "a": 2}',
    surrogate_key='{"\\udfff": 1}',
    comment="1 /* one */",
    python="None",
    comma="[1,]",
    quotes="'x'",
)
def manifest_value(scene: Scene, case: str) -> None:
    """Puts text into a manifest that is not strict JSON."""
    scene.swap('"metadata": {}', f'"metadata": {{"x": {case}}}')


@kind("not a manifest")
def manifest_key_twice(scene: Scene) -> None:
    """Says a field twice, so that two readers take different ones."""
    scene.swap('"number": 3', '"number": 1, "number": 3')


@family(
    "not a manifest",
    empty=b"",
    list=b"[]",
    null=b"null",
    text=b'"x"',
    mark=b"\xef\xbb\xbf{}",
    utf16=json.dumps({"format": 1}).encode("utf-16"),
    utf32=json.dumps({"format": 1}).encode("utf-32-le"),
    latin1='{"x": "é"}'.encode("latin-1"),
    overlong=b'{"x": "\xc0\xaf"}',
    pickle=b"\x80\x04\x95.",
    two=b"{}{}",
    nuls=bytes(1000),
)
def manifest_bytes(scene: Scene, case: bytes) -> None:
    """Makes a manifest of bytes that are none."""
    scene.write(case)


@family(
    "not a manifest",
    format_text={"format": "1"},
    format_real={"format": 1.0},
    format_true={"format": True},
    format_zero={"format": 0},
    format_missing={"format": ...},
    number_zero={"number": 0},
    number_negative={"number": -1},
    number_true={"number": True},
    number_real={"number": 3.0},
    number_text={"number": "3"},
    number_null={"number": None},
    created_number={"created": 0},
    created_local={"created": "2026-11-20T18:00:00"},
    created_year_0={"created": "0000-01-01T00:00:00.000000Z"},
    created_13={"created": "2026-13-01T00:00:00.000000Z"},
    created_arabic={"created": "\u0662026-11-20T18:00:00.000000Z"},
    run_list={"run_id": []},
    run_empty={"run_id": ""},
    run_long={"run_id": "x" * 2000},
    parent_negative={"parent": -1},
    epoch_true={"epoch": True},
    step_real={"step": 1.5},
    batch_text={"batch": "1"},
    metrics_list={"metrics": []},
    metrics_text={"metrics": {"val_loss": "0.5"}},
    metrics_true={"metrics": {"val_loss": True}},
    metrics_null={"metrics": {"val_loss": None}},
    metrics_nameless={"metrics": {"": 1}},
    monitor_number={"monitor": 1},
    mode_auto={"mode": "auto"},
    modes_list={"modes": ["min"]},
    payload_pickle={"payload_format": "pickle"},
    payload_list={"payload_format": ["keras"]},
    size_negative={"size_bytes": -1},
    size_real={"size_bytes": 7.0},
    size_other={"size_bytes": 8},
    metadata_list={"metadata": []},
    metadata_missing={"metadata": ...},
    files_list={"files": []},
    files_null={"files": None},
    files_missing={"files": ...},
    file_null={"files": {"model.keras": None}},
    file_negative={"files": {"model.keras": {"size": -7, "sha256": _EMPTY}}},
    file_real={"files": {"model.keras": {"size": 7.0, "sha256": _EMPTY}}},
    file_true={"files": {"model.keras": {"size": True, "sha256": _EMPTY}}},
    file_shouting={"files": {"model.keras": {"size": 7, "sha256": _EMPTY.upper()}}},
    file_short={"files": {"model.keras": {"size": 7, "sha256": "ab"}}},
    trigger_text={"trigger": "EveryEpochs"},
    trigger_numbers={"trigger": [1]},
    software_list={"software": []},
    software_numbers={"software": {"keras": 3}},
    store_number={"store_id": 1},
    store_path={"store_id": "../x"},
    store_escapes={"store_id": ESCAPES},
)
def manifest_field(scene: Scene, case: dict[str, Any]) -> None:
    """Gives a field of a manifest a value that is none of it."""
    scene.say(case)


@kind("Upgrade it")
def manifest_of_a_newer_format(scene: Scene) -> None:
    """Makes a manifest of the next format."""
    scene.say({"format": 2})


@kind("another store")
def manifest_of_another_store(scene: Scene) -> None:
    """Puts a version of another store among those of this one."""
    scene.say({"store_id": "0" * 32})


@kind(None)
def manifest_keys_like_attributes(scene: Scene) -> None:
    """Adds keys to every record that would reach attributes if they were set."""
    bait = {
        "__class__": "os.system",
        "__init__": "x",
        "__reduce__": ["os.system", ["touch marker"]],
        "path": "../../foreign",
        "load": "x",
        "tags": ["prod"],
        "plan": 1,
    }
    for number in (1, 3, 4):
        scene.say({**bait, "metadata": bait}, number)
    scene.forget()


@kind(None)
def escapes_in_records(scene: Scene) -> None:
    """Writes control characters wherever a record takes any text."""
    for number in (1, 3, 4):
        text = f"{ESCAPES}{number}"
        scene.say(
            {
                "run_id": text,
                "metrics": {text: 0.5, "[red]val_loss[/red]": 0.1},
                "monitor": text,
                "mode": "min",
                "modes": {text: "min"},
                "metadata": {text: text},
                "trigger": [text],
                "software": {text: text},
                text: text,
            },
            number,
        )
    scene.forget()


@kind("same number")
def numbers_that_clash(scene: Scene) -> None:
    """Gives two versions the same number."""
    scene.copy("other")


@kind(None)
def numbers_at_the_end(scene: Scene) -> None:
    """Gives a version the last number that there is."""
    scene.copy("last", number=2**53)


@kind("where case does not count")
def names_that_clash(scene: Scene) -> None:
    """Adds a version whose name is another's where case does not count."""
    scene.copy("VERSION_3", number=9)


@family(None, first="0001-01-01T00:00:00.000000Z", last="9999-12-31T23:59:59.999999Z")
def created_in_the(scene: Scene, case: str) -> None:
    """Dates versions to the edges of time, where every sum overflows."""
    for number in (1, 3, 4):
        scene.say({"created": case}, number)
    scene.forget()


@family(
    None,
    huge=1e308,
    tiny=5e-324,
    minus=-1e308,
    nan="nan",
    infinite="-inf",
)
def metrics_of_all(scene: Scene, case: Any) -> None:
    """Gives all versions a metric at the edges of what a number can be."""
    for number in (1, 3, 4):
        scene.say({"metrics": {"val_loss": case}}, number)
    scene.forget()


# Ledgers


@kind("ledger")
def ledger_of_a_gibibyte(scene: Scene) -> None:
    """Makes the ledger a gibibyte long, of which nothing is on the disk."""
    os.truncate(scene.ledger, 2**30)


@kind("ledger")
def ledger_of_a_terabyte(scene: Scene) -> None:
    """Makes the ledger a terabyte long, of which nothing is on the disk."""
    os.truncate(scene.ledger, 2**40)


@kind("ledger")
def ledger_with_a_long_line(scene: Scene) -> None:
    """Appends a line of 100 MB to the ledger."""
    scene.append(b'{"event":"remove","reason":"' + b"x" * 100_000_000 + b'"}')


@kind("ledger")
def ledger_of_empty_lines(scene: Scene) -> None:
    """Appends ten million empty lines to the ledger."""
    scene.append(b"\n" * 10_000_000)


@kind("ledger")
def ledger_of_nonsense(scene: Scene) -> None:
    """Appends five million lines of nothing to the ledger."""
    scene.append(b"{\n" * 5_000_000)


@family(
    "ledger",
    tag_up=b'{"event":"tag","tag":"../../../foreign/precious","number":1,"at":"%s"}',
    tag_absolute=b'{"event":"tag","tag":"/etc/hostname","number":1,"at":"%s"}',
    tag_latest=b'{"event":"tag","tag":"latest","number":1,"at":"%s"}',
    tag_number=b'{"event":"tag","tag":"7","number":1,"at":"%s"}',
    tag_escapes=b'{"event":"tag","tag":"\\u001b[2J\\u202e","number":1,"at":"%s"}',
    tag_nul=b'{"event":"tag","tag":"a\\u0000","number":1,"at":"%s"}',
    tag_true=b'{"event":"tag","tag":"prod","number":true,"at":"%s"}',
    tag_zero=b'{"event":"tag","tag":"prod","number":0,"at":"%s"}',
    untag_up=b'{"event":"untag","tag":"../x","at":"%s"}',
    remove_true=b'{"event":"remove","number":true,"reason":"x","policy":"","at":"%s"}',
    remove_zero=b'{"event":"remove","number":0,"reason":"x","policy":"","at":"%s"}',
    remove_real=b'{"event":"remove","number":3.0,"reason":"x","policy":"","at":"%s"}',
    remove_beyond=b'{"event":"remove","number":9007199254740993,"reason":"x",'
    b'"policy":"","at":"%s"}',
    unknown=b'{"event":"exec","at":"%s"}',
    list=b"[]",
    deep=b"[" * 100_000,
    twice=b'{"event":"remove","event":"tag"}',
)
def ledger_line(scene: Scene, case: bytes) -> None:
    """Appends a line that says what no line may say."""
    scene.append(case.replace(b"%s", b"2026-11-20T18:00:00.000000Z"))


@kind("is not there")
def ledger_of_lost_tags(scene: Scene) -> None:
    """Has the ledger speak of a tag that has no file."""
    scene.append(
        b'{"event":"tag","tag":"lost","number":3,"at":"2026-11-20T18:00:00.000000Z"}'
    )


@kind(None)
def ledger_with_the_last_number(scene: Scene) -> None:
    """Has the ledger remember the removal of the last number that there is."""
    _remove(scene, 2**53, "x")


@kind(None)
def ledger_with_escapes(scene: Scene) -> None:
    """Writes control characters into the reason and the policy of a removal."""
    _remove(scene, 2, ESCAPES, ESCAPES)


@kind(None)
def ledger_with_long_reasons(scene: Scene) -> None:
    """Gives a removal a reason of three megabytes."""
    _remove(scene, 2, "x" * 3_000_000)


@kind("ledger")
def ledger_that_says_another(scene: Scene) -> None:
    """Has the ledger describe a version that is there as another one."""
    fields = {"event": "commit", **scene.manifest()}
    del fields["format"]
    scene.append(json.dumps({**fields, "metrics": {"val_loss": 99.0}}).encode())


@family("ledger", path="../../foreign", room=".versions", escapes=ESCAPES)
def ledger_commit(scene: Scene, case: str) -> None:
    """Has the ledger speak of a version outside of the store."""
    fields = {"event": "commit", **scene.manifest(), "name": case, "number": 8}
    scene.append(json.dumps(fields).encode())


@kind(None)
def ledger_commit_of_a_link(scene: Scene) -> None:
    """Has the ledger speak of a version where a link to a directory stands."""
    (scene.root / "planted").symlink_to(scene.foreign)
    fields = {"event": "commit", **scene.manifest(), "name": "planted", "number": 8}
    _remove(scene, 8, "x")
    scene.append(json.dumps(fields).encode())
    _remove(scene, 8, "x")


def _remove(scene: Scene, number: int, reason: str, policy: str = "") -> None:
    fields = {"event": "remove", "number": number, "reason": reason, "policy": policy}
    at = "2026-11-20T18:00:00.000000Z"
    scene.append(json.dumps({**fields, "at": at}).encode())


# The index of a long ledger


def _indexed(scene: Scene, lines: bytes = b"", **fields: Any) -> None:
    """Lengthens the ledger, and writes an index with a right checksum."""
    for _ in range(700):
        _remove(scene, 2, "x" * 300)
    ledger = scene.ledger.read_bytes()
    head = {
        "ledger_bytes": len(ledger),
        "ledger_crc32": zlib.crc32(ledger),
        "last_number": 4,
        "monitored": True,
        "newest": [],
        "rankings": [],
        **fields,
    }
    below = json.dumps(head).encode() + b"\n" + (lines or b"[]\n\n")
    first = json.dumps({"format": _index.FORMAT, "crc32": zlib.crc32(below)}).encode()
    (scene.room / "ledger.index").write_bytes(first + b"\n" + below)


@family(
    None,
    negative=[-1],
    beyond=[2**53],
    inside=[5],
    true=[True],
    real=[1.5],
    text=["x"],
    many=[0] * 100_000,
    objects=[{}],
    none=None,
)
def index_places(scene: Scene, case: Any) -> None:
    """Has the index point anywhere."""
    rankings = [["val_loss", "min", case], ["val_loss", "max", case]]
    lines = b"[1, 3, 4]\nversion_1/version_3/version_4\n"
    _indexed(scene, lines, newest=case, rankings=rankings)


@family(
    None,
    bytes={"ledger_bytes": 2**53},
    bytes_true={"ledger_bytes": True},
    number={"last_number": 2**53 + 1},
    number_text={"last_number": "x"},
    rankings_null={"rankings": None},
    rankings_short={"rankings": [["x"]]},
    rankings_lists={"rankings": [[[], [], []]]},
    rankings_texts={"rankings": ["abc"]},
)
def index_field(scene: Scene, case: dict[str, Any]) -> None:
    """Gives a field of the index a value that is none of it."""
    _indexed(scene, **case)


@family(
    None,
    up=b"[1]\n../../foreign\n",
    numbers=b"[1, 3, 4]\nversion_1\n",
    huge=b"[" + b"9" * 4000 + b"]\nx\n",
    deep=b"[" * 100_000 + b"\nx\n",
    nan=b"[NaN]\nx\n",
    bytes=b"[1]\n\xff\xfe\n",
    negative=b"[-5]\nversion_1\n",
)
def index_lists(scene: Scene, case: bytes) -> None:
    """Gives the index other versions than there are."""
    _indexed(scene, case)


@kind(None)
def index_of_millions(scene: Scene) -> None:
    """Has the index list ten million versions."""
    _indexed(scene, b"[1" + b",1" * 10_000_000 + b"]\na" + b"/a" * 10_000_000 + b"\n")


@kind(None)
def index_of_a_terabyte(scene: Scene) -> None:
    """Makes the index a terabyte long, of which nothing is on the disk."""
    _indexed(scene)
    os.truncate(scene.room / "ledger.index", 2**40)


# The store's record


@family(
    "store.json",
    empty=b"",
    null=b"null",
    text=b'"x"',
    number=b"1",
    nothing=b"{}",
    format_true=b'{"format": true, "store_id": "x"}',
    format_zero=b'{"format": 0, "store_id": "x"}',
    format_real=b'{"format": 1.0, "store_id": "x"}',
    id_path=b'{"format": 1, "store_id": "../../x"}',
    id_escapes=b'{"format": 1, "store_id": "\\u001b[2J"}',
    id_long=b'{"format": 1, "store_id": "' + b"x" * 300 + b'"}',
    crc=b'{"format": 1, "store_id": "x", "crc32": 1}',
    twice=b'{"format": 1, "format": 1, "store_id": "x"}',
    deep=b"[" * 50_000,
    long=b" " * 65_537,
    mark=b"\xef\xbb\xbf{}",
)
def store_record(scene: Scene, case: bytes) -> None:
    """Puts bytes in the place of the store's record that are none."""
    (scene.room / "store.json").write_bytes(case)


@kind("Upgrade it")
def store_record_of_a_newer_format(scene: Scene) -> None:
    """Makes a store of the next format."""
    (scene.room / "store.json").write_bytes(b'{"format": 2, "store_id": "x"}')


@kind("another store")
def store_record_of_another_store(scene: Scene) -> None:
    """Gives the store another id, so that no version is its own."""
    (scene.room / "store.json").write_bytes(b'{"format": 1, "store_id": "x"}')
    scene.forget()


@kind("different stores")
def store_record_missing(scene: Scene) -> None:
    """Takes the record away, with versions of two stores beside it."""
    scene.say({"store_id": "0" * 32})
    (scene.room / "store.json").unlink()


@kind(None)
def room_missing(scene: Scene) -> None:
    """Takes the store's room away."""
    shutil.rmtree(scene.room)


# Tags


@family(
    "tag",
    huge=b" " * 4_000_000,
    empty=b"",
    list=b"[]",
    zero=b'{"number": 0}',
    true=b'{"number": true}',
    beyond=b'{"number": 9007199254740993}',
    deep=b"[" * 4000,
    gone=_tags.record(77),
)
def tag_says(scene: Scene, case: bytes) -> None:
    """Has a tag that the ledger does not know say what no tag may."""
    (scene.room / "tags" / "planted").write_bytes(case)


@family(
    "cannot be a tag",
    latest="latest",
    best="Best",
    number="1",
    colon="tag:x",
    tilde="prod~1",
    device="nul.txt",
    dot="prod.",
    lookalike="\u0440rod",
    escapes="x" + ESCAPES,
)
def tag_called(scene: Scene, case: str) -> None:
    """Adds a tag that selectors would take for something else."""
    (scene.room / "tags" / case).write_bytes(_tags.record(3))


@kind("where case does not count")
def tags_that_clash(scene: Scene) -> None:
    """Adds a tag that is another where case does not count."""
    (scene.room / "tags" / "PROD").write_bytes(_tags.record(3))


@kind("more than")
def tags_by_the_thousands(scene: Scene) -> None:
    """Adds a hundred thousand tags."""
    for n in range(MANY):
        (scene.room / "tags" / f"t{n}").write_bytes(b"{}")


# Things that are no files, or no directories


def _links(path: Path, target: Path | str) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.symlink_to(target)


@family(
    "not a",
    staging="staging",
    trash="trash",
    tags="tags",
    quarantine="quarantine",
    room="",
)
def link_at_folder(scene: Scene, case: str) -> None:
    """Puts a link to somebody else's directory in the place of one of the store's."""
    _links(scene.room / case if case else scene.room, scene.foreign)


@family(
    "not a regular file",
    ledger="ledger.jsonl",
    record="store.json",
    tag="tags/prod",
    new_tag="tags/planted",
    lock="lock",
)
def link_at_record(scene: Scene, case: str) -> None:
    """Puts a link to somebody else's file in the place of one of the store's."""
    _links(scene.room / case, scene.foreign / "precious")


@family(None, index="ledger.index", new=".ledger.index.new", tag="tags/.prod.new")
def link_at_helper(scene: Scene, case: str) -> None:
    """Puts a link where the store writes what it can do without."""
    _links(scene.room / case, scene.foreign / "precious")


@kind(None)
def link_at_version_to_outside(scene: Scene) -> None:
    """Puts a link to somebody else's directory in the place of a version."""
    shutil.rmtree(scene.version())
    scene.version().symlink_to(scene.foreign)
    _remove(scene, 3, "x")


@kind("nobody recorded|missing")
def link_at_version_to_sibling(scene: Scene) -> None:
    """Puts a link to another version in the place of a version."""
    _links(scene.version(), "version_4")


@kind("missing")
def link_at_version_to_its_copy(scene: Scene) -> None:
    """Moves a version away and leaves a link to it."""
    shutil.copytree(scene.version(), scene.foreign / "version_3")
    _links(scene.version(), scene.foreign / "version_3")


@kind("neither a file nor a directory")
def link_at_file(scene: Scene) -> None:
    """Puts a link to the very same bytes in the place of a model."""
    _links(scene.version() / "model.keras", scene.foreign / "deep" / "model.keras")


@kind("not a regular file")
def link_at_manifest(scene: Scene) -> None:
    """Puts a link to the very same bytes in the place of a manifest."""
    manifest = scene.version() / "manifest.json"
    shutil.copy(manifest, scene.foreign / "manifest.json")
    _links(manifest, scene.foreign / "manifest.json")


@kind("neither a file nor a directory")
def link_at_folder_of_a_version(scene: Scene) -> None:
    """Has a manifest list a file that lies behind a link to a directory."""
    scene.list_files("deep/precious")
    (scene.version() / "deep").symlink_to(scene.foreign)


@kind(None)
def hard_link_in_a_version(scene: Scene) -> None:
    """Makes a model one file with somebody else's, which has the same bytes."""
    (scene.version() / "model.keras").unlink()
    os.link(scene.foreign / "deep" / "model.keras", scene.version() / "model.keras")


@family(None, real="precious", dangling="nothing")
def link_at_next_version(scene: Scene, case: str) -> None:
    """Puts a link where the next version will be."""
    scene.version(5).symlink_to(scene.foreign / case)


@kind("left by a process")
def link_in_staging(scene: Scene) -> None:
    """Puts a link into staging that is called as what is staged."""
    (scene.room / "staging" / TOKEN).symlink_to(scene.foreign)


@kind(None)
def link_at_lock_in_staging(scene: Scene) -> None:
    """Puts a link in the place of the lock of what is staged."""
    lock = scene.room / "staging" / f"{TOKEN}.lock"
    lock.symlink_to(scene.foreign / "precious")


def _holder(process: int) -> str:
    """Returns the name of one who held the lock, on this machine."""
    return f"{_exclusive._machine()}.{process}.0.{TOKEN}"


@family(
    None,
    elsewhere=f"00000000.1.1.{TOKEN}",
    nobody="whoever",
    escapes=ESCAPES,
    dead=_holder(2**22 + 1),
    dead_huge=_holder(10**30),
)
def lock_that_is_held(scene: Scene, case: str) -> None:
    """Has the lock held, for file systems without locks, by somebody."""
    (scene.room / "lock.held" / case).mkdir(parents=True)


@family(None, file="file", full="full", link="link", all="all", place="place")
def lock_that_is_no_lock(scene: Scene, case: str) -> None:
    """Puts something else in the place of a holder, or of what they stand in."""
    held = scene.room / "lock.held"
    if case == "all":
        held.symlink_to(scene.foreign)
        return
    if case == "place":
        held.write_bytes(b"")
        return
    held.mkdir()
    path = held / _holder(2**22 + 1)
    if case == "file":
        path.write_bytes(b"")
    elif case == "link":
        path.symlink_to(scene.foreign)
    else:
        (path / "precious").mkdir(parents=True)


@kind(None)
def many_holders_of_the_lock(scene: Scene) -> None:
    """Has the lock held by a hundred thousand."""
    (scene.room / "lock.held").mkdir()
    for number in range(MANY):
        (scene.room / "lock.held" / f"{number}").mkdir()


@kind("not deleted to the end")
def link_in_trash(scene: Scene) -> None:
    """Puts a link to a version into the trash."""
    (scene.room / "trash" / f"version_3.{TOKEN}").symlink_to(scene.version())


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    # The path of a socket may have no more than about a hundred characters.
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def _device(path: Path) -> None:
    # That of /dev/full: who opens it for reading gets zeros without end.
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 7))


def _folder(path: Path) -> None:
    path.mkdir()


THINGS: dict[str, Callable[[Path], None]] = {
    "pipe": _pipe,
    "socket": _socket,
    "device": _device,
    "folder": _folder,
}
PLACES = {
    "a manifest": "version_3/manifest.json",
    "a model": "version_3/model.keras",
    "the ledger": ".versions/ledger.jsonl",
    "the index": ".versions/ledger.index",
    "the record": ".versions/store.json",
    "a tag": ".versions/tags/prod",
    "the lock": ".versions/lock",
}


def _put(scene: Scene, thing: str, place: str) -> None:
    if place == "the index":
        _indexed(scene)
    path = scene.root / PLACES[place]
    path.unlink(missing_ok=True)
    THINGS[thing](path)


for _thing in THINGS:
    for _place in PLACES:
        KINDS[f"a {_thing} at {_place}"] = Kind(
            f"a {_thing} at {_place}",
            functools.partial(_put, thing=_thing, place=_place),
            None
            if _place == "the index"
            else "not a regular file|neither a file|not list",
        )


@family("not a", staging="staging", trash="trash", tags="tags", quarantine="quarantine")
def file_at_folder(scene: Scene, case: str) -> None:
    """Puts a file in the place of one of the store's directories."""
    path = scene.room / case
    if path.exists():
        shutil.rmtree(path)
    path.write_bytes(b"")


# Too much of everything


def _trash(scene: Scene, *paths: str) -> Path:
    scene.list_files(*paths)
    path = scene.room / "trash" / f"version_3.{TOKEN}"
    shutil.move(scene.version(), path)
    return path


@kind("not deleted to the end")
def trash_that_lists_outside(scene: Scene) -> None:
    """Puts a version into the trash whose manifest lists somebody else's file."""
    _trash(scene, "../../../../foreign/precious")


@kind("not deleted to the end")
def trash_that_lists_through_a_link(scene: Scene) -> None:
    """Puts a version into the trash that lists a file behind a link."""
    path = _trash(scene, "deep/precious")
    (path / "deep").symlink_to(scene.foreign)


@kind("not deleted to the end")
def trash_with_files_of_others(scene: Scene) -> None:
    """Puts a version into the trash beside which somebody keeps a file."""
    (_trash(scene) / "precious").write_bytes(b"mine")


@kind("not deleted to the end")
def trash_with_a_long_name(scene: Scene) -> None:
    """Puts a file into the trash whose name is as long as one can be."""
    (scene.room / "trash" / ("\u20ac" * 85)).write_bytes(b"mine")


@kind("not deleted to the end")
def trash_with_escapes(scene: Scene) -> None:
    """Puts a file with control characters in its name into the trash."""
    (scene.room / "trash" / ESCAPES).write_bytes(b"mine")
    (scene.room / "trash" / os.fsdecode(b"\xff\xfe")).write_bytes(b"mine")


@kind("does not list")
def files_with_escapes(scene: Scene) -> None:
    """Adds files with control characters in their names to a version."""
    (scene.version() / ESCAPES).write_bytes(b"mine")
    (scene.version() / os.fsdecode(b"\xff\n\x1b")).write_bytes(b"mine")


@kind(None)
def names_with_escapes(scene: Scene) -> None:
    """Adds directories with control characters in their names to the store."""
    for name in (ESCAPES, "x\n\n[red]y", os.fsdecode(b"\xff\xfe")):
        shutil.copytree(scene.version(), scene.root / name)


def _deep(path: Path) -> None:
    # By descriptors, for no path that long can be given to the system.
    path.mkdir()
    here = os.open(path, os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@family(
    "deep|does not list|left by|not deleted",
    version="version_3/deep",
    staging=f".versions/staging/{TOKEN}",
    trash=".versions/trash/x",
    unfinished=".versions/.x.new",
)
def deep_folders_in(scene: Scene, case: str) -> None:
    """Makes a tree of three thousand directories, each in the one before."""
    _deep(scene.root / case)


@family(
    None, root=".", staging=".versions/staging", tags=".versions/tags", room=".versions"
)
def many_files_in(scene: Scene, case: str) -> None:
    """Adds a hundred thousand files."""
    for n in range(MANY):
        (scene.root / case / f"~{n}").touch()


@kind("not deleted to the end")
def many_files_in_trash(scene: Scene) -> None:
    """Adds a hundred thousand files to the trash."""
    for n in range(MANY):
        (scene.room / "trash" / f"x{n}").touch()


@kind("left by a process")
def many_tokens_in_staging(scene: Scene) -> None:
    """Has ten thousand processes leave something in staging."""
    for n in range(10_000):
        (scene.room / "staging" / f"{n:032x}").touch()


@kind("does not list")
def many_files_in_a_version(scene: Scene) -> None:
    """Adds ten thousand files to a version."""
    for n in range(10_000):
        (scene.version() / f"x{n}").touch()


@family(
    None,
    root=".",
    staging=".versions/staging",
)
def many_folders_in(scene: Scene, case: str) -> None:
    """Adds ten thousand directories."""
    for n in range(10_000):
        (scene.root / case / f"d{n}").mkdir()


# Permissions


PERMISSIONS = {
    "the root": ".",
    "the room": ".versions",
    "the ledger": ".versions/ledger.jsonl",
    "the record": ".versions/store.json",
    "the lock": ".versions/lock",
    "the tags": ".versions/tags",
    "a tag": ".versions/tags/prod",
    "the staging": ".versions/staging",
    "the trash": ".versions/trash",
    "a version": "version_3",
    "a manifest": "version_3/manifest.json",
    "a model": "version_3/model.keras",
}


def _close(scene: Scene, place: str, mode: int) -> None:
    (scene.root / PERMISSIONS[place]).chmod(mode)


for _place in PERMISSIONS:
    for _how, _mode in {"unreadable": 0, "unwritable": 0o555}.items():
        if _how == "unreadable" or (Path(_place).suffix == "" and "file" not in _place):
            KINDS[f"{_place} {_how}"] = Kind(
                f"{_place} {_how}",
                functools.partial(_close, place=_place, mode=_mode),
                "",
                as_user=True,
            )

if sys.platform != "linux":  # pragma: no cover
    for _name in [name for name in KINDS if "device" in name or "socket" in name]:
        del KINDS[_name]
