"""What a process that only looks at a store does not have to import."""

from pathlib import Path

import pytest

from tests.stores import new_store, run

HEAVY = ("keras", "numpy", "tensorflow", "jax", "torch", "h5py")
TAIL = f"""
import sys
print("HEAVY", sorted(sys.modules.keys() & set({HEAVY!r})))
"""

LOOKING = {
    "import": "import keras_versioned_ckpt",
    "dir": "import keras_versioned_ckpt; dir(keras_versioned_ckpt)",
    "policies": "from keras_versioned_ckpt import KeepLast, EveryEpochs, Best",
    "open": "from keras_versioned_ckpt import CheckpointStore; CheckpointStore(PATH)",
    "list": "import keras_versioned_ckpt as k; k.CheckpointStore(PATH).history",
    "best": (
        "import keras_versioned_ckpt as k;k.CheckpointStore(PATH).best('val_loss')"
    ),
    "verify": "import keras_versioned_ckpt as k; k.CheckpointStore(PATH).verify()",
    "notebook": (
        "import keras_versioned_ckpt as k; k.CheckpointStore(PATH)._repr_html_()"
    ),
    "plan": (
        "import keras_versioned_ckpt as k;"
        "k.CheckpointStore(PATH).prune(k.KeepLast(1), dry_run=True)"
    ),
}
COMMANDS = [
    ["list", "PATH"],
    ["list", "--gone", "PATH"],
    ["path", "PATH", "best:val_loss"],
    ["verify", "PATH"],
    ["show", "PATH", "version_3"],
    ["explain", "PATH", "--retention", "KeepLast(1)"],
    ["--version"],
    ["--help"],
]


# Slow to import, and of no use to who only lists a store or asks for a version.
SLOW = ("dateutil", "uuid", "difflib", "shutil", "tempfile", "decimal")
SLOW += ("keras_versioned_ckpt.retention", "keras_versioned_ckpt.naming")
SLOW += ("keras_versioned_ckpt.manifest", "keras_versioned_ckpt._staging")
SLOW += ("html", "keras_versioned_ckpt._html", "keras_versioned_ckpt._plotting")
QUICK = [
    ["list", "PATH", "--json"],
    ["list", "PATH"],
    ["list", "--gone", "PATH"],
    ["list", "PATH", "--sort", "val_loss", "--limit", "1", "--csv"],
    ["path", "PATH", "best:val_loss"],
    ["path", "PATH", "version_3"],
    ["--version"],
]


@pytest.fixture
def path(directory) -> Path:
    """A store with three versions whose best is the second."""
    store = new_store(directory, 0.5, 0.25, 0.75)
    store.delete(1)
    return store.path


@pytest.mark.parametrize("act", LOOKING)
def test_looking_at_a_store_imports_nothing_heavy(path, act):
    """Neither Keras nor NumPy, so that it takes milliseconds."""
    script = f"import sys; PATH = sys.argv[1]\n{LOOKING[act]}\n{TAIL}"
    done = run(script, path)
    assert (done.returncode, done.stdout) == (0, "HEAVY []\n"), done.stderr


def test_pruning_and_tagging_import_neither_keras_nor_numpy(path):
    """A whole training's worth of housekeeping needs neither."""
    script = """
import sys
from keras_versioned_ckpt import CheckpointStore, KeepLast
store = CheckpointStore(sys.argv[1])
store.tag(3, "prod")
store.prune(KeepLast(1))
print([version.number for version in store])
"""
    done = run(script + TAIL, path)
    assert done.stdout == "[3]\nHEAVY []\n", done.stderr


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_command_line_imports_nothing_heavy(path, command):
    """`python -m keras_versioned_ckpt`, as a user types it."""
    script = """
import atexit, runpy, sys
@atexit.register
def tell():
    HEAVY = {heavy!r}
    print("HEAVY", sorted(sys.modules.keys() & set(HEAVY)))
sys.argv[0] = "keras-ckpt"
runpy.run_module("keras_versioned_ckpt", run_name="__main__")
"""
    words = [str(path) if word == "PATH" else word for word in command]
    done = run(script.format(heavy=HEAVY), *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("HEAVY []\n")


@pytest.mark.parametrize("command", QUICK, ids=" ".join)
def test_a_command_waits_for_no_import_that_it_does_not_need(path, command):
    """Beside those that Python itself, or this environment, has done before."""
    script = """
import sys
before = set(sys.modules)
from keras_versioned_ckpt.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("SLOW", sorted((sys.modules.keys() - before) & set({slow!r})))
"""
    words = [str(path) if word == "PATH" else word for word in command]
    done = run(script.format(slow=SLOW), *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("SLOW []\n")


def test_the_pure_part_works_where_keras_is_not_installed(path):
    """Importing Keras or NumPy by accident would be an error there."""
    script = """
import sys
sys.modules["keras"] = sys.modules["numpy"] = None
import keras_versioned_ckpt as kvc
store = kvc.CheckpointStore(sys.argv[1])
with store.stage() as staged:
    (staged.path / "model.keras").write_bytes(b"weights")
    version = store.commit(staged, naming=kvc.Template("{created:%Y}"))
store.repair()
store.prune(kvc.KeepLast(1) | kvc.KeepWithin("1 day"))
try:
    version.load()
except ImportError:
    print(len(store))
"""
    done = run(script, path)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
