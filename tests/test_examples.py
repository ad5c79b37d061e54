"""Every doctest of a docstring passes; tests/test_pages.py is for the pages."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

import keras_versioned_ckpt

ROOT = Path(__file__).parents[1]
PACKAGE = Path(keras_versioned_ckpt.__file__).parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__main__")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("module", MODULES)
def test_docstrings(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The doctests of each module pass, in a directory of their own."""
    monkeypatch.chdir(tmp_path)
    name = "keras_versioned_ckpt" + ("" if module == "__init__" else f".{module}")
    result = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert result.failed == 0


def test_there_are_examples() -> None:
    """Enough of them, that is: the test above would pass without any."""
    texts = [path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py")]
    assert sum(len(re.findall(r">>> ", text)) for text in texts) > 50


def test_the_picture_is_that_of_its_script(tmp_path: Path) -> None:
    """docs/policies.svg is what its script draws from today's policies."""
    source = ROOT / "docs" / "policies_picture.py"
    names = {"__name__": "picture", "__file__": str(source)}
    exec(compile(source.read_text(encoding="utf-8"), str(source), "exec"), names)
    drawn = names["picture"](names["history"]())
    assert drawn == (ROOT / "docs" / "policies.svg").read_text(encoding="utf-8")
