"""The notebooks are committed with their outputs, and still run."""

from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks() -> None:
    """The folder is not empty, or the test below would test nothing."""
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_was_committed_with_outputs(path: Path) -> None:
    """Every cell runs without an error, and those that print had printed."""
    notebook = nbformat.read(path, as_version=4)
    printed = [bool(cell.get("outputs")) for cell in notebook.cells]
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    assert [bool(cell.get("outputs")) for cell in notebook.cells] == printed
    assert any(printed)
