"""Runs the pages of the documentation: doctests, Python and shell, as they stand."""

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from .stores import ROOT

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
PAGES = sorted((ROOT / "docs").rglob("*.rst"))

_BLOCK = re.compile(
    r"^\.\. code-block:: (python|console|text)\n(   +:class: output\n)?\n"
    r"((?:    .*\n|\n)+)",
    re.MULTILINE,
)
# Shown on a page, and run by tests/test_examples_scripts.py.
_SCRIPTS = {path.read_text("utf-8") for path in (ROOT / "examples").glob("*.py")}


def commands() -> list[str]:
    """Returns the commands that `keras-ckpt` has."""
    done = _shell("keras-ckpt --help", ROOT)
    found = re.findall(r"^    ([\w-]+)(?: |$)", done, re.MULTILINE)
    assert {"list", "path", "verify"} <= set(found)
    return found


def blocks(page: Path) -> list[tuple[str, str]]:
    """Returns the kind and the text of each block that runs or shows an output."""
    found = []
    for kind, is_output, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        text = re.sub(r"^    ", "", text, flags=re.MULTILINE).strip("\n") + "\n"
        if (kind != "text" or is_output) and text not in _SCRIPTS:
            found.append((kind, text))
    return found


def run(page: Path, directory: Path) -> int:
    """Runs all of a page, in one directory and with one set of names.

    Doctests come first, then the blocks in their order. A block of the class `output`
    is what the block before it prints; `...` stands for anything.

    Args:
        page: The page.
        directory: Where it runs; the caller has made it the current one.

    Returns:
        How many examples there were.
    """
    text = page.read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    runner.run(test, clear_globs=False)
    assert runner.failures == 0
    names: dict[str, Any] = test.globs
    names["__name__"] = page.stem
    printed = ""
    found = blocks(page)
    for kind, block in found:
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block, str(page), "exec"), names)
            printed = out.getvalue()
        elif kind == "console":
            for line, expected in re.findall(
                r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE
            ):
                _compare(expected, _shell(line, directory))
        else:
            _compare(block, printed)
    return len(found) + len(test.examples)


def _compare(expected: str, printed: str) -> None:
    # A command that shows no output on the page has only to succeed.
    if expected.strip():
        same = doctest.OutputChecker().check_output(expected, printed, FLAGS)
        assert same, f"{printed}\nis not\n{expected}"


def _shell(line: str, directory: Path) -> str:
    start = f'keras-ckpt() {{ "{sys.executable}" -m keras_versioned_ckpt "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", start + line],
        capture_output=True,
        text=True,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout
