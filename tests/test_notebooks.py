"""The notebooks are committed with their outputs, and still run."""

import json
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
# What some cell of each shows, beside text.
RICH = {
    "quickstart": {"text/html", "image/png"},
    "resume_after_a_crash": {"image/png"},
    "retention_policies": {"text/html", "image/png"},
}
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def kinds(notebook: nbformat.NotebookNode) -> list[list[str]]:
    """Returns for each cell what kinds of output it has, beside plain text."""
    return [
        sorted(
            {output.get("name", output.output_type) for output in outputs}
            | {kind for output in outputs for kind in output.get("data", {})}
            - {"text/plain"}
        )
        for cell in notebook.cells
        for outputs in [cell.get("outputs", [])]
    ]


def test_there_are_notebooks() -> None:
    """Those that are expected, or the tests below would test nothing."""
    assert [path.stem for path in NOTEBOOKS] == sorted(RICH)


@every_notebook
def test_it_runs_and_was_committed_with_outputs(path: Path) -> None:
    """Every cell runs without an error, and shows what it had shown."""
    notebook = nbformat.read(path, as_version=4)
    committed = kinds(notebook)
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    assert kinds(notebook) == committed
    assert any(committed)


@every_notebook
def test_what_was_committed_shows_tables_and_pictures(path: Path) -> None:
    """And neither an error nor what went to standard error."""
    shown = {
        kind
        for cell in kinds(nbformat.read(path, as_version=4))
        for kind in cell
        if kind not in ("stdout", "execute_result", "display_data")
    }
    assert shown == RICH[path.stem]


@every_notebook
def test_what_was_committed_tells_nothing_of_the_machine(path: Path) -> None:
    """No output names a directory of it, and no cell when it ran."""
    notebook = nbformat.read(path, as_version=4)
    assert [dict(cell.metadata) for cell in notebook.cells if cell.metadata] == []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("image/png", None)
            text = json.dumps(output)
            assert not re.search(r"/(tmp|home|root|Users|var|private|work)/", text)
