"""What the pages of the documentation show is what happens."""

import warnings
from pathlib import Path

import pytest

from .documents import PAGES, blocks, run
from .stores import ROOT

# What is run by a test of its own, or shown and not run.
ELSEWHERE = {
    "index": "has the first example of README.rst, which tests/test_readme.py runs",
    "architecture": "is ARCHITECTURE.rst",
    "changelog": "is CHANGELOG.rst",
    "contributing": "is CONTRIBUTING.rst",
    "security": "is SECURITY.rst",
    "reliability": "is written by `make faults`",
    "cli": "has what the program prints",
    "format": "and api/ have the docstrings, which tests/test_docstrings.py runs",
    "comparison": "is backed by tests/test_comparison.py",
}


def has_examples(page: Path) -> bool:
    """Returns whether a page is one to be run."""
    return page.stem not in ELSEWHERE and page.parent.name != "api"


TO_RUN = [page for page in PAGES if has_examples(page)]


@pytest.mark.parametrize("page", TO_RUN, ids=lambda page: page.stem)
def test_a_page_runs_as_it_stands(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every example, from top to bottom."""
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert run(page, tmp_path) > 0


def test_the_first_page_has_the_example_of_the_readme() -> None:
    """Word for word, so that it runs as well."""
    (index,) = [text for _, text in blocks(ROOT / "docs" / "index.rst")]
    assert index == blocks(ROOT / "README.rst")[0][1]


def test_pages_that_are_not_run_are_there() -> None:
    """A reason for a page that is gone would hide another one."""
    assert set(ELSEWHERE) <= {page.stem for page in PAGES}
    assert all((ROOT / "docs" / f"{name}.rst").exists() for name in ELSEWHERE)
