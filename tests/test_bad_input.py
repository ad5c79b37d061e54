"""Wrong arguments raise in the constructor, in Keras's wording."""

from pathlib import Path
from typing import Any

import pytest

from keras_versioned_ckpt import (
    CheckpointStore,
    EveryEpochs,
    KeepLast,
    StoreError,
    VersionedCheckpoint,
)

from .stores import run, without_powers
from .zoo import fit, network


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"monitor": ""}, ValueError),
        ({"monitor": 3}, ValueError),
        ({"mode": "best"}, ValueError),
        ({"mode": None}, ValueError),
        ({"save_freq": 0}, ValueError),
        ({"save_freq": -5}, ValueError),
        ({"save_freq": "batch"}, ValueError),
        ({"save_freq": True}, TypeError),
        ({"save_freq": 2.5}, TypeError),
        ({"save_freq": KeepLast(1)}, TypeError),
        ({"naming": "../{number}"}, ValueError),
        ({"naming": "{epoch.__class__}"}, ValueError),
        ({"naming": "{loss:999999999}"}, ValueError),
        ({"naming": 3}, TypeError),
        ({"retention": 3}, TypeError),
        ({"retention": EveryEpochs(1)}, TypeError),
        ({"keep_last": 0}, ValueError),
        ({"keep_last": 1.5}, TypeError),
        ({"keep_best": -1}, ValueError),
        ({"save_best_only": 1}, TypeError),
        ({"save_weights_only": "yes"}, TypeError),
        ({"format": "h5"}, ValueError),
        ({"format": None}, ValueError),
        ({"initial_value_threshold": "low"}, ValueError),
        ({"initial_value_threshold": float("nan")}, ValueError),
        ({"save_on_background": None}, TypeError),
        ({"resume": "yes"}, TypeError),
        ({"resume": 1}, TypeError),
        ({"metadata": {"x": object()}}, TypeError),
        ({"metadata": {"x": float("inf")}}, ValueError),
        ({"metadata": [1]}, TypeError),
        ({"verbose": 3}, ValueError),
        ({"verbose": "all"}, ValueError),
    ],
)
def test_each_argument(
    directory: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    """The error names the argument and shows what was received; nothing is made."""
    (name,) = options
    # A template and a count are checked by the policy that they become.
    word = {"keep_last": "n", "keep_best": "n", "naming": "naming|template"}.get(
        name, name
    )
    with pytest.raises(error, match=rf"(?s)({word}).*Received: .*") as caught:
        VersionedCheckpoint(directory, **options)
    assert type(caught.value) is error
    assert not directory.exists()


def test_arguments_that_exclude_each_other(directory: Path) -> None:
    """A SavedModel is no weights file."""
    with pytest.raises(ValueError, match="Drop one of them"):
        VersionedCheckpoint(directory, save_weights_only=True, format="saved_model")


@pytest.mark.parametrize("directory", [3, None, b"bytes", ["a"]])
def test_a_directory_that_is_no_path(directory: Any) -> None:
    """Only a string or a path names a directory."""
    with pytest.raises(TypeError, match="`directory` must be .*Received: directory="):
        VersionedCheckpoint(directory)


@pytest.mark.parametrize("directory", ["", "a\0b"])
def test_a_path_that_names_nothing(directory: str) -> None:
    """An empty path is not the current directory."""
    with pytest.raises(ValueError, match="`directory` must name a directory"):
        VersionedCheckpoint(directory)


class TestDirectories:
    """A directory that cannot be a store: a clear error before training starts."""

    def refused(self, directory: Path, message: str) -> None:
        with pytest.raises(StoreError, match=message):
            VersionedCheckpoint(directory)

    def test_a_file(self, tmp_path: Path) -> None:
        """A file, and a path below a file."""
        (tmp_path / "file").write_text("mine")
        self.refused(tmp_path / "file", "is not a directory")
        self.refused(tmp_path / "file" / "below", "file is not a directory")
        assert (tmp_path / "file").read_text() == "mine"

    def test_not_writable(self, tmp_path: Path) -> None:
        """It says so before anything is trained."""
        script = (
            "import sys; from keras_versioned_ckpt import VersionedCheckpoint\n"
            "VersionedCheckpoint(sys.argv[1])"
        )
        (tmp_path / "store").mkdir(mode=0o555)
        done = run(script, tmp_path / "store", before=without_powers())
        assert "StoreError" in done.stderr
        assert "is not writable" in done.stderr

    def test_files_of_somebody_else_that_could_collide(self, tmp_path: Path) -> None:
        """They are named, nothing is made, and nothing is touched."""
        (tmp_path / "Version_7").mkdir()
        self.refused(tmp_path, "'Version_7'")
        assert [path.name for path in tmp_path.iterdir()] == ["Version_7"]

    def test_files_of_somebody_else_that_cannot(self, tmp_path: Path) -> None:
        """The directory is adopted, and they survive training and pruning."""
        (tmp_path / "notes.txt").write_text("mine")
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "train.py").write_text("mine too")
        fit(network(), VersionedCheckpoint(tmp_path, keep_last=1), epochs=3)
        assert [v.number for v in CheckpointStore(tmp_path)] == [3]
        assert (tmp_path / "notes.txt").read_text() == "mine"
        assert (tmp_path / "src" / "train.py").read_text() == "mine too"

    def test_what_changed_since_the_constructor(self, directory: Path) -> None:
        """The start of training looks again."""
        checkpoint = VersionedCheckpoint(directory)
        directory.write_text("a file by now")
        model = network()
        with pytest.raises(StoreError, match="is not a directory"):
            fit(model, checkpoint)
        assert int(model.optimizer.iterations) == 0

    def test_a_newer_format(self, directory: Path) -> None:
        """It says to upgrade."""
        store = CheckpointStore(directory, create=True)
        record = store.path / ".versions" / "store.json"
        record.write_text(record.read_text().replace('"format": 1', '"format": 2'))
        self.refused(directory, "pip install --upgrade")

    def test_nothing_is_made_by_the_constructor(self, directory: Path) -> None:
        """The store is made when training starts."""
        VersionedCheckpoint(directory / "deep" / "down")
        assert not directory.exists()
