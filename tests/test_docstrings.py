"""Docstrings of public names say what the code does, and their examples run."""

import builtins
import inspect
import re
import shutil
from pathlib import Path
from typing import Any

import keras
import pytest

import keras_versioned_ckpt
from keras_versioned_ckpt import CheckpointStore, VersionedCheckpoint, errors
from keras_versioned_ckpt._staging import Staged

from .public import members, names
from .zoo import data, fit, network

SECTIONS = re.compile(r"^(Args|Attributes|Returns|Raises|Example):$", re.MULTILINE)
ENTRY = re.compile(r"^    (\*{0,2}\w+): ", re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def documented() -> dict[str, Any]:
    """Returns every public class, function, method and property by its dotted name."""
    return names() | {f"{c.__name__}.{name}": value for c, name, value in members()}


def everything() -> Any:
    """Returns the parameters of a test that asks the same of each of them."""
    found = documented()
    return pytest.mark.parametrize("value", found.values(), ids=list(found))


def is_error(value: Any) -> bool:
    """Returns whether it is an exception, which has no arguments of its own."""
    return inspect.isclass(value) and issubclass(value, BaseException)


def sections(value: Any) -> dict[str, str]:
    """Returns the parts of a docstring by their headings; the first has none."""
    found = SECTIONS.split(inspect.getdoc(value) or "")
    return {"": found[0], **dict(zip(found[1::2], found[2::2], strict=True))}


def arguments(value: Any) -> list[str]:
    """Returns what a caller can pass, with the stars of what is variadic."""
    if isinstance(value, property) or is_error(value):
        return []
    if inspect.isabstract(value) or value is Staged:
        return []
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    return [
        stars.get(parameter.kind, "") + name
        for name, parameter in inspect.signature(value).parameters.items()
        if name != "self"
    ]


@everything()
def test_a_sentence_says_what_it_is(value: Any) -> None:
    """A docstring begins with one sentence, on a line of its own."""
    first, *_ = (inspect.getdoc(value) or "").split("\n\n")
    assert first.endswith("."), first
    assert "\n" not in first


@everything()
def test_each_argument_is_described(value: Any) -> None:
    """Those of the signature, in its order, and no others."""
    described = ENTRY.findall(sections(value).get("Args", ""))
    assert described == arguments(value)


@everything()
def test_each_error_that_is_named_exists(value: Any) -> None:
    """A name under Raises is an error of Python or of this package."""
    for name in ENTRY.findall(sections(value).get("Raises", "")):
        error = getattr(errors, name, None) or getattr(builtins, name)
        assert issubclass(error, Exception)


@everything()
def test_what_is_returned_is_described(value: Any) -> None:
    """Of a function or method that returns anything."""
    if inspect.isclass(value) or isinstance(value, property):
        return
    found = sections(value)
    says = "Returns" in found or found[""].startswith("Returns ")
    assert says == (inspect.signature(value).return_annotation not in (None, "None"))


@everything()
def test_what_is_returned_has_no_colon_in_its_first_line(value: Any) -> None:
    """Sphinx would take what stands before a colon for a type."""
    first = sections(value).get("Returns", "").strip().split("\n")[0]
    assert ":" not in re.sub(r"`[^`]*`", "", first)


@everything()
def test_there_is_an_example(value: Any) -> None:
    """Of each name and each method; properties need none."""
    if not isinstance(value, property):
        example = sections(value).get("Example", "")
        assert ">>> " in example or BLOCK.search(example)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a directory with a store of real versions, one of them tagged."""
    directory = tmp_path_factory.mktemp("examples")
    checkpoint = VersionedCheckpoint(
        directory / "runs" / "digits", monitor="val_accuracy"
    )
    fit(network(), checkpoint, epochs=5)
    checkpoint.store.tag(2, "prod")
    return directory


@pytest.fixture
def given(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Returns the names that examples begin with, in a directory of their own."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    x, y = data()
    public = keras_versioned_ckpt.__all__
    return {
        **{name: getattr(keras_versioned_ckpt, name) for name in public},
        "keras": keras,
        "model": network(),
        "x": x,
        "y": y,
        "store": CheckpointStore("runs/digits"),
        "checkpoint": VersionedCheckpoint("runs/digits", monitor="val_accuracy"),
    }


def examples() -> Any:
    """Returns the parameters of a test of every example that is no doctest."""
    found = {
        f"{name}-{i}": block
        for name, value in documented().items()
        for i, block in enumerate(BLOCK.findall(inspect.getdoc(value) or ""))
    }
    return pytest.mark.parametrize("block", found.values(), ids=list(found))


@examples()
def test_examples_run(given: dict[str, Any], block: str) -> None:
    """Each as it stands there, on a store with versions in it."""
    exec(compile(block, "<docstring>", "exec"), given)
