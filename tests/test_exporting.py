"""A version is copied out of its store whole, as it was saved, or not at all."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from keras_versioned_ckpt._exporting import export
from keras_versioned_ckpt.errors import (
    CorruptVersionError,
    UnsafeVersionError,
    VersionNotFoundError,
)
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.store import CheckpointStore
from tests.factories import START
from tests.foreign import saved_model
from tests.stores import new_store, run, save, tree, without_powers

FILES = {"keras": "model.keras", "weights": "model.weights.h5", "h5": "model.h5"}


@pytest.fixture
def store(directory: Path) -> CheckpointStore:
    """One version of each format, called by it."""
    store = CheckpointStore(directory, create=True)
    for format, file in FILES.items():
        with store.stage() as staged:
            (staged.path / file).write_bytes(format.encode() * 1000)
            (staged.path / "training.state").write_bytes(b"what is beside it")
            store.commit(staged, format=format)
    with store.stage() as staged:
        saved_model(staged.path / "saved_model")
        store.commit(staged, format="saved_model")
    return store


def left(directory: Path) -> list[str]:
    """Returns what is in a directory."""
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize(
    ("number", "name"),
    [(1, "best.keras"), (2, "a.weights.h5"), (3, "a.h5"), (3, "A.HDF5")],
)
def test_a_file_is_copied(
    store: CheckpointStore, tmp_path: Path, number: int, name: str
) -> None:
    """The payload alone, under the name that was given."""
    version = store[number]
    target = export(version, tmp_path / name)
    assert target == tmp_path / name
    payload = Path(str(version.path)) / FILES[version.format]
    assert target.read_bytes() == payload.read_bytes()
    assert not target.samefile(payload)
    assert left(tmp_path) == sorted([name, "store"])


def test_a_folder_is_copied(store: CheckpointStore, tmp_path: Path) -> None:
    """With the directories that are empty in it."""
    target = export(store[4], tmp_path / "served")
    assert tree(target) == tree(Path(str(store[4].path)) / "saved_model")
    assert (target / "assets").is_dir()


def test_in_a_directory_it_is_called_as_the_version(
    store: CheckpointStore, tmp_path: Path
) -> None:
    """With the ending by which Keras knows it."""
    (tmp_path / "out").mkdir()
    for version in store:
        export(version, tmp_path / "out")
    assert left(tmp_path / "out") == [
        *("version_1.keras", "version_2.weights.h5", "version_3.h5", "version_4")
    ]
    with pytest.raises(ValueError, match="nothing is ever overwritten"):
        export(store[1], tmp_path / "out")


@pytest.mark.parametrize(
    ("number", "name", "message"),
    [
        (1, "a.txt", r"end with \.keras"),
        (1, "a.h5", r"end with \.keras"),
        (1, "a", r"end with \.keras"),
        (2, "a.h5", r"end with \.weights\.h5"),
        (3, "a.weights.h5", r"end with \.h5 or \.hdf5"),
        (4, "a.keras", "be the name of a folder"),
        (1, "missing/a.keras", "in a directory that is there.*Make"),
        (4, "missing/", "if it ends with a slash"),
        (1, "store/version_1/a.keras", "must not lie in a version"),
        (1, "store/.versions/a.keras", "must not lie in a version"),
        (1, "there.keras", "must not be there yet"),
        (1, "link.keras", "must not be there yet"),
        (1, "", "must name a place"),
        (1, "a\0.keras", "must name a place"),
    ],
)
def test_a_target_that_will_not_do_is_refused(
    store: CheckpointStore, tmp_path: Path, number: int, name: str, message: str
) -> None:
    """In Keras's wording, before anything is made."""
    (tmp_path / "there.keras").touch()
    (tmp_path / "link.keras").symlink_to("nowhere")
    before = tree(tmp_path)
    target = f"{tmp_path}/{name}" if name else ""
    with pytest.raises(ValueError, match=f"`target` must.*{message}|{message}"):
        export(store[number], target)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("target", [5, b"a.keras", None])
def test_a_target_is_a_path(store: CheckpointStore, target: Any) -> None:
    """Anything else is of a wrong type."""
    with pytest.raises(TypeError, match="`target` must be a string or a path"):
        export(store[1], target)


def test_a_damaged_version_is_not_exported(
    store: CheckpointStore, tmp_path: Path
) -> None:
    """Nothing appears under the name, and nothing else is left."""
    directory = Path(str(store[4].path)) / "saved_model"
    (directory / "saved_model.pb").write_bytes(b"grapf")
    with pytest.raises(CorruptVersionError, match="SHA-256"):
        export(store[4], tmp_path / "out")
    (directory / "saved_model.pb").unlink()
    (directory / "saved_model.pb").symlink_to("/etc/passwd")
    with pytest.raises(UnsafeVersionError):
        export(store[4], tmp_path / "out")
    assert left(tmp_path) == ["store"]


def test_a_version_that_is_gone_is_not_found(
    store: CheckpointStore, tmp_path: Path
) -> None:
    """Pruned since it was listed."""
    version = store[1]
    shutil.rmtree(Path(str(version.path)))
    with pytest.raises(VersionNotFoundError, match="may have been pruned"):
        export(version, tmp_path / "a.keras")
    with pytest.raises(ValueError, match="`version` must be one that a store"):
        export(Version(number=1, created=START), tmp_path / "a.keras")


def test_a_target_that_appears_meanwhile_stays(
    store: CheckpointStore, tmp_path: Path
) -> None:
    """Somebody else was faster; the last step replaces nothing."""
    target = tmp_path / "a.keras"

    def appear(done: int, total: int) -> None:
        target.write_bytes(b"mine")

    with pytest.raises(ValueError, match="must not be there yet"):
        export(store[1], target, progress=appear)
    assert target.read_bytes() == b"mine"
    assert left(tmp_path) == ["a.keras", "store"]


def test_progress_goes_from_nothing_to_all(
    store: CheckpointStore, tmp_path: Path
) -> None:
    """In bytes of the payload."""
    told: list[tuple[int, int]] = []
    export(store[1], tmp_path / "a.keras", progress=lambda *n: told.append(n))
    assert (told[0], told[-1]) == ((0, 5000), (5000, 5000))


def test_a_place_that_cannot_be_written_is_an_error(
    directory: Path, tmp_path: Path
) -> None:
    """One of this package's, with the cause."""
    save(new_store(directory), payload=b"weights")
    (tmp_path / "closed").mkdir(mode=0o555)
    script = (
        "import sys\n"
        "from keras_versioned_ckpt._exporting import export\n"
        "from keras_versioned_ckpt.errors import CheckpointError\n"
        "from keras_versioned_ckpt.store import CheckpointStore\n"
        "try: export(CheckpointStore(sys.argv[1])[1], sys.argv[2])\n"
        "except CheckpointError as error: print(error)"
    )
    result = run(script, directory, tmp_path / "closed", before=without_powers())
    assert "version_1 could not be exported" in result.stdout
    assert "Permission denied" in result.stdout


def test_a_kill_leaves_nothing_under_the_name(
    store: CheckpointStore, tmp_path: Path
) -> None:
    """But a part, under a hidden name of its own."""
    script = (
        "import os, signal, sys\n"
        "from keras_versioned_ckpt._exporting import export\n"
        "from keras_versioned_ckpt.store import CheckpointStore\n"
        "kill = lambda done, total: done and os.kill(os.getpid(), signal.SIGKILL)\n"
        "export(CheckpointStore(sys.argv[1])[1], sys.argv[2], progress=kill)"
    )
    target = tmp_path / "a.keras"
    assert run(script, store.path, target).returncode == -signal.SIGKILL
    assert not target.exists()
    assert all(name == "store" or name.startswith(".") for name in left(tmp_path))
    assert export(store[1], target) == target
