"""The table of layers in ARCHITECTURE.rst, compared with what the files import."""

import ast
import re
import sys

import pytest

from tests.stores import ROOT

PACKAGE = "keras_versioned_ckpt"
SOURCES = {
    path.stem: ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / PACKAGE).glob("*.py"))
    if path.stem != "__init__"
}
KERAS = {
    *("_allowance", "_description", "_host", "snapshot", "directions", "loading"),
    *("_fit", "_random_state", "_resuming"),
    *("saving", "callback", "_callback_states", "_metrics", "_news"),
}
ARRAYS = {"_hdf5_layout", "_hdf5_index", "_hdf5_check", "archive"}
ARRAYS |= {"_training_state", "_continuation", "_comparing"}
# What is used where it is there, and by whom.
OPTIONAL = {
    "_console": {"rich"},
    "_completing": {"argcomplete"},
    "_plotting": {"matplotlib"},
    "store": {"matplotlib"},  # a name in an annotation
}
# What a file that does not touch the disk needs `os` for.
OF_THE_PROCESS = {
    "_interrupting": {"getpid", "kill", "_exit", "register_at_fork"},
    "_console": {"environ", "devnull", "fsencode"},
    "cli": {"environ", "dup2", "open", "devnull", "O_WRONLY"},
}


def table() -> dict[str, tuple[int, str]]:
    """Returns the layer and the job of each file, as the document has them."""
    text = (ROOT / "ARCHITECTURE.rst").read_text(encoding="utf-8")
    rows = re.findall(r"^(\d+) +``(\w+)\.py`` +(.+)$", text, re.MULTILINE)
    assert len({name for _, name, _ in rows}) == len(rows), "a file stands there twice"
    return {name: (int(layer), job) for layer, name, job in rows}


def marked(mark: str) -> set[str]:
    """Returns the files that the document marks so."""
    return {name for name, (_, job) in table().items() if job.endswith(f"({mark})")}


def imports(module: str) -> tuple[set[str], set[str]]:
    """Returns the files of this package and the other packages a file imports.

    What a function imports only when it is called counts as well.
    """
    inside, outside = set(), set()
    for node in ast.walk(SOURCES[module]):
        if isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}.py has a relative import"
            top, _, rest = str(node.module).partition(".")
            if top != PACKAGE:
                outside.add(top)
            elif rest:
                inside.add(rest)
            else:
                inside |= {alias.name for alias in node.names} & set(SOURCES)
    assert PACKAGE not in outside, f"{module}.py: import files, not the package"
    return inside, outside


def test_every_file_has_its_row():
    """The table names each file once, and none that is not there."""
    assert sorted(table()) == sorted(SOURCES)


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_downwards(module):
    """No file imports one of a higher layer or of its own."""
    layers = {name: layer for name, (layer, _) in table().items()}
    inside, _ = imports(module)
    wrong = {name: layers[name] for name in inside if layers[name] >= layers[module]}
    assert wrong == {}, f"{module}.py is of layer {layers[module]}"


@pytest.mark.parametrize("module", SOURCES)
def test_only_a_few_files_know_keras(module):
    """Everything else is the standard library and python-dateutil."""
    allowed = {"dateutil"} | OPTIONAL.get(module, set())
    if module in KERAS | ARRAYS:
        allowed |= {"numpy", "h5py"}
    if module in KERAS:
        allowed |= {"keras", "tensorflow"}
    _, outside = imports(module)
    assert outside - sys.stdlib_module_names <= allowed


def test_the_table_says_who_knows_keras():
    """The marks in the document are the imports."""
    known = {name for name in SOURCES if "keras" in imports(name)[1]}
    assert marked("Keras") == KERAS == known


def test_the_table_says_who_knows_arrays():
    """And without Keras."""
    known = {n for n in SOURCES if imports(n)[1] & {"numpy", "h5py"}}
    assert marked("arrays") == ARRAYS == known - KERAS


def test_the_table_says_who_uses_rich():
    """It comes with Keras; nothing needs it."""
    assert marked("rich") == {n for n in SOURCES if "rich" in imports(n)[1]}


def test_the_table_says_who_touches_the_disk():
    """A file that is not marked imports nothing that reads or changes a disk."""
    on_disk = marked("disk")
    for module in set(SOURCES) - on_disk - KERAS - ARRAYS:
        inside, outside = imports(module)
        used = {
            node.attr
            for node in ast.walk(SOURCES[module])
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os"
        }
        assert used == OF_THE_PROCESS.get(module, set()), module
        assert outside.isdisjoint({"shutil", "tempfile", "io", "fcntl"}), module
        assert module == "cli" or inside.isdisjoint(on_disk), module


@pytest.mark.parametrize("module", ["_plan", "retention", "naming", "selectors"])
def test_policies_read_no_clock(module):
    """They are given every fact that they need."""
    called = {
        f"{ast.unparse(node.func)}"
        for node in ast.walk(SOURCES[module])
        if isinstance(node, ast.Call)
    }
    assert called.isdisjoint({"datetime.now", "time.time", "time.monotonic"})
