"""The documentation: it is built without a warning, and nothing public is missing."""

import importlib
import inspect
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import keras_versioned_ckpt

from .documents import commands
from .public import members
from .stores import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the directory of the built pages; no warning is allowed."""
    out = tmp_path_factory.mktemp("docs")
    words = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    done = subprocess.run(
        [*words, str(DOCS), str(out)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out


def inventory(built: Path) -> set[str]:
    """Returns every Python name that the pages describe, from `objects.inv`."""
    content = (built / "objects.inv").read_bytes()
    *_, compressed = content.split(b"\n", 4)
    lines = zlib.decompress(compressed).decode("utf-8").splitlines()
    return {line.split()[0] for line in lines if line.split()[1].startswith("py:")}


def test_every_public_name_is_described(built: Path) -> None:
    """Each name of `__all__` has its place in the reference."""
    public = {f"keras_versioned_ckpt.{name}" for name in keras_versioned_ckpt.__all__}
    assert public <= inventory(built)


def test_every_public_member_is_described(built: Path) -> None:
    """Each method and property stands with its class, or with the base it is from."""
    described = {tuple(name.split(".")[-2:]) for name in inventory(built)}
    wanted = {(owner.__name__, name) for owner, name, _ in members()}
    missing = sorted(wanted - described)
    assert missing == []


def test_every_command_is_described(built: Path) -> None:
    """The page of the command line has what `--help` says of each command."""
    page = (built / "cli.html").read_text(encoding="utf-8")
    for command in commands():
        assert f'id="keras-ckpt-{command}"' in page
        assert f"usage: keras-ckpt {command}" in page


def test_names_in_docstrings_are_links(built: Path) -> None:
    """A public name between backticks leads to where it is described."""
    page = (built / "api" / "retention.html").read_text(encoding="utf-8")
    assert re.search(r'href="#keras_versioned_ckpt.KeepSize"[^>]*><code', page)


def test_every_page_can_be_reached(built: Path) -> None:
    """The first page leads to each of them."""
    index = (built / "index.html").read_text(encoding="utf-8")
    for page in sorted(DOCS.rglob("*.rst")):
        name = page.relative_to(DOCS).with_suffix(".html").as_posix()
        assert name == "index.html" or f'href="{name}"' in index, name


def test_what_is_included_stands_on_its_own() -> None:
    """The pages that are also files of the repository need no Sphinx."""
    for name in ("ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY"):
        text = (ROOT / f"{name}.rst").read_text(encoding="utf-8")
        assert not re.search(r":(doc|ref|py:\w+):`", text), name
        assert f"../{name}.rst" in (DOCS / f"{name.lower()}.rst").read_text("utf-8")


def test_members_are_found() -> None:
    """What the tests above go by finds methods, properties and inherited ones."""
    found = {(owner.__name__, name) for owner, name, _ in members()}
    assert {("CheckpointStore", "prune"), ("Version", "load")} <= found
    assert {("RetentionPolicy", "plan"), ("Selector", "select")} <= found
    for owner, name, value in members():
        home = importlib.import_module(owner.__module__)
        assert getattr(home, owner.__name__) is owner
        assert inspect.getattr_static(owner, name) is value
