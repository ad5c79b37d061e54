"""Executes the notebooks and writes their outputs into them.

Run it from the root of the repository after a change of a notebook or of what it shows:

    .venv/bin/python notebooks/execute.py [NAME.ipynb ...]

What differs from run to run or from machine to machine is left out: times, and the
plain text beside an HTML output, which names directories.
"""

import argparse
from pathlib import Path

import nbclient
import nbformat

FOLDER = Path(__file__).parent


def main() -> None:
    """Executes the notebooks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help="a notebook; all without any")
    names = parser.parse_args().name
    paths = [FOLDER / name for name in names] or sorted(FOLDER.glob("*.ipynb"))
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        nbclient.NotebookClient(
            notebook, timeout=300, kernel_name="python3", record_timing=False
        ).execute()
        tidy(notebook)
        nbformat.write(notebook, path)
        print(path.name)


def tidy(notebook: nbformat.NotebookNode) -> None:
    """Leaves out what is not the same each time."""
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i:02}"
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if "text/html" in (data := output.get("data", {})):
                data.pop("text/plain", None)


if __name__ == "__main__":
    main()
