"""Random input of every parser, and random damage of a sound store.

Whatever goes in, only documented errors come out: `ValueError` for text, and this
package's own for what is read from disk. `CASES` counts what was tried.
"""

import contextlib
import inspect
import json
import shutil
import string
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keras_versioned_ckpt import _index, _strict_json, _tags, ledger, manifest
from keras_versioned_ckpt._durations import as_duration
from keras_versioned_ckpt._integrity import read_manifest
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import escaped, shown
from keras_versioned_ckpt._names import fold_path, why_not, why_not_tag
from keras_versioned_ckpt._parsing import parse_retention
from keras_versioned_ckpt._sizes import as_bytes
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CheckpointWarning,
    CorruptVersionError,
    StoreError,
)
from keras_versioned_ckpt.naming import as_naming
from keras_versioned_ckpt.retention import KeepLast, KeepWithin
from keras_versioned_ckpt.selectors import AsOf, parse_selector
from keras_versioned_ckpt.store import CheckpointStore
from tests.factories import versions
from tests.hostile.stores import scene

CASES: dict[str, int] = {}
VERSIONS = versions([0.5, 0.25, 0.75], tags={1: ("prod",)})


def fuzzed(count: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Runs a test on so many inputs, the same ones each time, and tells how many."""
    quietly = settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def wrap(test: Callable[..., Any]) -> Callable[..., Any]:
        test = quietly(test)
        name = test.__name__.removeprefix("test_").replace("_", " ")

        def counted(record_property: Any, **fixtures: Any) -> None:
            test(**fixtures)
            record_property("faults", f"fuzzing: {name}: {CASES[name]} inputs")

        own = inspect.signature(test)
        first = inspect.signature(counted).parameters["record_property"]
        parameters = [*own.parameters.values(), first]
        counted.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        counted.__name__, counted.__doc__ = test.__name__, test.__doc__
        return counted

    return wrap


def tried(name: str) -> None:
    """Counts an input."""
    CASES[name] = CASES.get(name, 0) + 1


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound store, to be copied and damaged."""
    return scene(tmp_path_factory.mktemp("sound")).root


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["../x", "nan", "\ud800", "\0", "min", 2**53, 1e308, "\u202e"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def mutated(data: bytes) -> st.SearchStrategy[bytes]:
    """Returns these bytes with some flipped, put in, taken out, doubled or cut off."""

    @st.composite
    def change(draw: st.DrawFn) -> bytes:
        changed = bytearray(data)
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, max(len(changed) - 1, 0)))
            how = draw(st.sampled_from(["flip", "insert", "remove", "double", "cut"]))
            if how == "flip" and changed:
                changed[at] ^= 1 << draw(st.integers(0, 7))
            elif how == "insert":
                changed[at:at] = draw(
                    st.binary(min_size=1, max_size=8)
                    | st.sampled_from([b"\0", b"\n", b"9" * 20, b"[" * 40, b"NaN"])
                )
            elif how == "remove":
                del changed[at : at + draw(st.integers(1, 9))]
            elif how == "double":
                changed[at:at] = changed[at : at + draw(st.integers(1, 99))]
            else:
                del changed[at:]
        return bytes(changed)

    return change()


def paths_in(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields where there is something in a document."""
    yield here
    if isinstance(value, dict):
        for key, item in value.items():
            yield from paths_in(item, (*here, key))


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Returns a document with something else at one place."""
    if not path:
        return value
    return {**document, path[0]: put(document[path[0]], path[1:], value)}


@fuzzed(1500)
@given(data=st.data())
def test_fields_of_a_manifest(sound: Path, data: st.DataObject) -> None:
    """A manifest with anything at one place is none, or says what it says."""
    tried("fields of a manifest")
    document = json.loads((sound / "version_3" / "manifest.json").read_bytes())
    where = data.draw(st.sampled_from(list(paths_in(document))))
    changed = put(document, where, data.draw(values))
    text = json.dumps(changed).encode()
    said = ""
    try:
        read = manifest.decode(text)
    except (CorruptVersionError, StoreError) as error:
        said = str(error)
    else:
        # Not a word of it is lost: what is written again reads back the same.
        again = manifest.decode(manifest.encode(read))
        assert repr(again) == repr(read)  # for a NaN is no other one
    assert escaped(said) == said


@fuzzed(1000)
@given(data=st.data())
def test_bytes_of_a_manifest(sound: Path, data: st.DataObject) -> None:
    """A manifest of any bytes is none, or a manifest."""
    tried("bytes of a manifest")
    text = (sound / "version_3" / "manifest.json").read_bytes()
    with contextlib.suppress(CorruptVersionError, StoreError):
        manifest.decode(data.draw(st.binary() | mutated(text)))


@fuzzed(1000)
@given(path=st.text() | st.text("aA./\\: \u00e9\u0301\0", max_size=12))
def test_paths_in_a_manifest(path: str) -> None:
    """A path that is taken stays below, whatever joins it to a directory."""
    tried("paths in a manifest")
    try:
        manifest.check_path(path)
    except ValueError:
        return
    for slash in "/\\":
        parts = path.split(slash)
        assert ".." not in parts
        assert "" not in parts
    assert path.isprintable()
    assert Path("/store", path).is_relative_to("/store")
    assert fold_path(path) == fold_path(fold_path(path))


@fuzzed(1500)
@given(data=st.data())
def test_lines_of_a_ledger(sound: Path, data: st.DataObject) -> None:
    """A line is torn, or an event that may be believed."""
    tried("lines of a ledger")
    lines = (sound / ".versions" / "ledger.jsonl").read_bytes().splitlines()
    line = data.draw(st.sampled_from(lines))
    if data.draw(st.booleans()):
        document = json.loads(line)
        where = data.draw(st.sampled_from(list(paths_in(document))))
        line = json.dumps(put(document, where, data.draw(values))).encode()
    else:
        line = data.draw(mutated(line))
    try:
        event = ledger.decode(line)
    except ValueError:
        return
    if isinstance(event, ledger.TagMoved):
        assert why_not_tag(event.tag) is None
    elif isinstance(event, ledger.Committed):
        assert why_not(event.version.name) is None
    assert repr(ledger.decode(ledger.encode(event))) == repr(event)


@fuzzed(700)
@given(data=st.data())
def test_bytes_of_an_index(data: st.DataObject) -> None:
    """With a right checksum, too."""
    tried("bytes of an index")
    head = {
        "ledger_bytes": 10_000,
        "ledger_crc32": 1,
        "last_number": 3,
        "monitored": True,
        "newest": [0, 300, 600],
        "rankings": [["val_loss", "min", [300, 0]]],
    }
    lists = b"[1, 2, 3]\nversion_1/version_2/version_3\n"
    if data.draw(st.booleans()):
        where = data.draw(st.sampled_from(list(paths_in(head))))
        head = put(head, where, data.draw(values))
    else:
        lists = data.draw(mutated(lists))
    below = json.dumps(head).encode() + b"\n" + lists
    first = {"format": _index.FORMAT, "crc32": _index.zlib.crc32(below)}
    with contextlib.suppress(ValueError):
        index = _index.decode(json.dumps(first).encode() + b"\n" + below)
        assert len(index.numbers) == len(index.names)


@fuzzed(1000)
@given(data=st.binary() | st.text().map(str.encode) | mutated(b'{"a":[1,2.5,"x"]}'))
def test_strict_json(data: bytes) -> None:
    """What is read can be written, and is read the same."""
    tried("strict json")
    with contextlib.suppress(ValueError):
        value = _strict_json.loads(data, 1000)
        assert _strict_json.loads(_strict_json.dumps(value), 10_000) == value


words = st.sampled_from(
    [
        *(
            "latest",
            "best",
            "epoch",
            "step",
            "tag",
            "name",
            "as-of",
            ":",
            "~",
            "1",
            "0",
        ),
        *("prod", "version_3", "val_loss", "min", "max", "auto", "-", "2026", "9" * 30),
        *("9" * 5000, "\u0663", "\u202e", "\0", " ", "..", "/", "T25:61", "UTC", "+99"),
    ]
)
spoken = st.lists(words, max_size=6).map("".join)


@fuzzed(2000)
@given(text=st.text() | spoken)
def test_selectors(text: str) -> None:
    """A selector is refused, or selects or says what exists, and reads back equal."""
    tried("selectors")
    try:
        selector = parse_selector(text)
    except ValueError:
        return
    assert parse_selector(str(selector)) == selector
    with contextlib.suppress(CheckpointError, ValueError):
        selector.select(VERSIONS)


templates = st.lists(
    st.sampled_from(
        [
            *(
                "{number}",
                "{epoch",
                "}",
                "{",
                ":",
                "03d",
                ".2f",
                "{created:%Y",
                "%",
                "!r",
            ),
            *("{val_loss:.2f}", "{run}", "{step:>64}", "{x:{y}}", "{number.real}", "-"),
            *(
                "{0}",
                "{}",
                "[0]",
                "a",
                "..",
                "/",
                "\\",
                "\0",
                "\u202e",
                "CON",
                "9" * 12,
            ),
            *("{created:%f%z%Z%j}", "{created:%-d}", "{metadata}", "{__class__}", ","),
        ]
    ),
    max_size=6,
).map("".join)


@fuzzed(2000)
@given(text=st.text() | templates)
def test_templates(text: str) -> None:
    """A template is refused, or gives every version a name that is one."""
    tried("templates")
    try:
        naming = as_naming(text)
    except ValueError:
        return
    for version in VERSIONS:
        name = naming.name(version)
        assert why_not(name) is None
        assert naming.matches(name)


@fuzzed(1000)
@given(tag=st.text() | spoken | st.text(string.printable, max_size=9))
def test_tags(tag: str) -> None:
    """What is a tag can be selected by it, and by nothing else."""
    tried("tags")
    if why_not_tag(tag) is None:
        assert why_not(tag) is None
        assert str(parse_selector(f"tag:{tag}")) == f"tag:{tag}"


@fuzzed(1500)
@given(
    text=st.text()
    | st.lists(
        st.sampled_from(
            [
                *("KeepLast", "KeepBest", "KeepWithin", "(", ")", "3", "-1", "|", "&"),
                *(
                    ", ",
                    "n=",
                    "mode=",
                    "'min'",
                    "'7 days'",
                    "[",
                    "]",
                    "lambda: 0",
                    "()",
                ),
                *("__import__('os')", "9" * 5000, "True", "None", "1e999", "\0", "**x"),
                *("KeepAll()", "KeepLast(3)", "KeepSize('1 GB')", "f'{x}'", "#", "\n"),
            ]
        ),
        max_size=7,
    ).map("".join)
)
def test_retention_policies(text: str) -> None:
    """A policy is refused, or reads back equal."""
    tried("retention policies")
    with contextlib.suppress(ValueError, TypeError):
        policy = parse_retention(text)
        assert parse_retention(repr(policy)) == policy
        policy.plan(VERSIONS)


numbers_and_units = st.lists(
    st.sampled_from(
        [
            *(
                "1",
                "0",
                ".5",
                "-",
                "9" * 9,
                "9" * 5000,
                " ",
                "\u0663",
                "e5",
                "inf",
                "\0",
            ),
            *("days", "day", "months", "years", "weeks", "B", "GB", "KiB", "TiB", "x"),
        ]
    ),
    max_size=6,
).map("".join)


@fuzzed(1000)
@given(text=st.text() | numbers_and_units)
def test_durations_and_sizes(text: str) -> None:
    """Each is refused, or counts."""
    tried("durations and sizes")
    with contextlib.suppress(ValueError):
        assert as_bytes(text) > 0
    with contextlib.suppress(ValueError):
        as_duration(text)
        KeepWithin(text).plan(VERSIONS)


@fuzzed(1000)
@given(
    text=st.text()
    | st.lists(
        st.sampled_from(
            [
                *(
                    "2026-11-20",
                    "18:00",
                    "T",
                    "Z",
                    "+01:00",
                    "-99:99",
                    "UTC",
                    "EST",
                    " ",
                ),
                *("0001-01-01", "9999-12-31", "noon", "0", "9" * 30, ".", ",", "Nov"),
                *("\u0663", "\0", "24:00", "2026-02-30", "AM", "PM", "/", "-", "1e5"),
            ]
        ),
        max_size=5,
    ).map("".join)
)
def test_moments(text: str) -> None:
    """A moment is refused, or is one."""
    tried("moments")
    with contextlib.suppress(ValueError):
        AsOf(text)


@fuzzed(500)
@given(text=st.text())
def test_messages(text: str) -> None:
    """Nothing that is shown does not print."""
    tried("messages")
    assert shown(text).isprintable()
    assert escaped(text).isprintable()


@fuzzed(120)
@given(data=st.data())
def test_bytes_of_a_store(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """A store with any file damaged anywhere answers, or says what is wrong with it."""
    tried("bytes of a store")
    root = tmp_path_factory.getbasetemp() / "mutated"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(sound, root)
    files = sorted(p for p in root.rglob("*") if p.is_file())
    file = root / data.draw(
        st.sampled_from([p.relative_to(root).as_posix() for p in files])
    )
    was = file.read_bytes()
    file.write_bytes(data.draw(mutated(was)))
    changed = file.read_bytes() != was
    before = sorted(p.name for p in root.parent.iterdir())
    acts: list[Callable[[CheckpointStore], object]] = [
        lambda store: store.versions,
        lambda store: store.history,
        lambda store: store.latest(),
        lambda store: store.best(),
        lambda store: store.select("tag:prod"),
        lambda store: [read_manifest(v.path) for v in store if v.path],
        lambda store: _tags.read(Layout(store.path)),
        lambda store: store.prune(KeepLast(1), dry_run=True),
        lambda store: store.prune(KeepLast(1)),
        lambda store: store.repair(),
        lambda store: store.versions,
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", CheckpointWarning)
        try:
            report = CheckpointStore(root).verify()
        except CheckpointError:
            report = None
        # What damages a version is always found, wherever it is.
        if changed and file.name == "model.keras":
            assert report is not None
            assert not report.ok
        said: list[str] = []
        asked: list[str] = []
        for act in acts:
            try:
                act(CheckpointStore(root))
            except CheckpointError as error:
                said.append(str(error))
            except ValueError as error:  # of the question for the best
                said.append(str(error))
                asked.append(str(error))
    assert list(map(escaped, said)) == said
    assert all(text.startswith(("`mode` must", "`monitor` must")) for text in asked)
    assert sorted(p.name for p in root.parent.iterdir()) == before
