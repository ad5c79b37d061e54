"""What was found becomes versions, each whole or not at all, and none of it twice."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from keras_versioned_ckpt import _copying, _integrity
from keras_versioned_ckpt._adopting import Adopted, adopt
from keras_versioned_ckpt._finding import find
from keras_versioned_ckpt.errors import CheckpointWarning, SaveError
from keras_versioned_ckpt.store import CheckpointStore
from tests.foreign import hdf5_file, keras_file, saved_model, seen
from tests.stores import found, new_store, run, save, without_powers

TEMPLATE = "weights.{epoch:02d}-{val_loss:.2f}.keras"


def checkpoints(directory: Path, *losses: float) -> Path:
    """Makes what a `ModelCheckpoint` leaves."""
    for epoch, loss in enumerate(losses, 1):
        name = TEMPLATE.format(epoch=epoch, val_loss=loss)
        keras_file(directory / name, content=f"{epoch} {directory.name}")
    return directory


def imported(
    store: CheckpointStore, source: Path, template: str | None = None, **options: Any
) -> list[Adopted]:
    """Finds and imports."""
    return adopt(store, find(source, template).found, **options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three files of a `ModelCheckpoint`."""
    return checkpoints(tmp_path / "source", 0.5, 0.25, 0.75)


@pytest.fixture
def store(directory: Path) -> CheckpointStore:
    """An empty store."""
    return CheckpointStore(directory, create=True)


class TestWhatBecomesOfIt:
    """A version holds the file and what its name said."""

    def test_files_become_versions_in_order(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """With epoch and metrics, sound, and the originals as they were."""
        before = seen(source)
        adopted = imported(store, source, TEMPLATE)
        assert seen(source) == before
        assert [each.version for each in adopted] == list(store)
        assert [(v.name, v.epoch, dict(v.metrics)) for v in store] == [
            ("version_1", 1, {"val_loss": 0.5}),
            ("version_2", 2, {"val_loss": 0.25}),
            ("version_3", 3, {"val_loss": 0.75}),
        ]
        assert store.best().number == 2
        assert store.verify().ok
        for version, path in zip(store, sorted(source.iterdir()), strict=True):
            assert version.path is not None
            assert (version.path / "model.keras").read_bytes() == path.read_bytes()
            assert version.metadata["imported_from"]["name"] == f"source/{path.name}"
            manifest = _integrity.read_manifest(version.path)
            assert manifest.software["keras"] == "3.0.0"

    def test_every_kind_gets_its_payload(
        self, tmp_path: Path, store: CheckpointStore
    ) -> None:
        """Under the name that Keras goes by, whatever it was called."""
        source = tmp_path / "source"
        hdf5_file(source / "1.h5", "layers", "vars")
        hdf5_file(source / "2.weights.h5", attributes=("layer_names",))
        saved_model(source / "3")
        imported(store, source)
        files = [
            sorted(_integrity.read_manifest(Path(str(v.path))).files) for v in store
        ]
        assert [v.format for v in store] == ["weights", "h5", "saved_model"]
        assert files == [
            ["model.weights.h5"],
            ["model.h5"],
            ["saved_model/saved_model.pb", "saved_model/variables/variables.index"],
        ]
        assert store.verify().ok
        assert (directory_of(store, 3) / "saved_model" / "assets").is_dir()

    def test_the_middle_of_an_epoch_is_before_its_end(
        self, tmp_path: Path, store: CheckpointStore
    ) -> None:
        """Epoch 3 at batch 100 is two epochs and 100 batches."""
        for epoch, batch in [(3, 100), (1, 50)]:
            keras_file(
                tmp_path / "s" / f"{epoch:02d}-{batch}.keras", content=str(epoch)
            )
        imported(store, tmp_path / "s", "{epoch:02d}-{batch}")
        assert [(v.epoch, v.batch) for v in store] == [(0, 50), (2, 100)]

    def test_what_a_name_says_is_kept(
        self, tmp_path: Path, store: CheckpointStore
    ) -> None:
        """Its number and time are the original's, not the version's."""
        save(store)
        keras_file(tmp_path / "a" / "7_20261120-180000.keras", modified=1e9)
        template = "{run}/{number}_{created:%Y%m%d-%H%M%S}"
        [adopted] = imported(store, tmp_path / "a", template)
        assert (adopted.version.number, adopted.version.run_id) == (2, "a")
        assert adopted.version.metadata == {
            "imported_from": {
                "name": "a/7_20261120-180000.keras",
                "modified": "2001-09-09T01:46:40.000000Z",
                "created": "2026-11-20T18:00:00.000000Z",
                "number": 7,
            }
        }

    def test_versions_are_named_as_asked(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """By a template or policy, with what the names said."""
        imported(store, source, TEMPLATE, naming="e{epoch}-{val_loss:.2f}")
        assert [v.name for v in store] == ["e1-0.50", "e2-0.25", "e3-0.75"]

    def test_progress_goes_from_nothing_to_all(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """In bytes, never back, also where there is nothing to do."""
        total = sum(path.stat().st_size for path in source.iterdir())
        for _ in range(2):
            told: list[tuple[int, int]] = []

            def tell(done: int, total: int, told: Any = told) -> None:
                told.append((done, total))

            imported(store, source, progress=tell)
            assert told[0] == (0, total)
            assert told[-1] == (total, total)
            assert told == sorted(told)


def directory_of(store: CheckpointStore, number: int) -> Path:
    """Returns the directory of a version."""
    return Path(str(store[number].path))


class TestMonitor:
    """Which version is the best is known where it can be."""

    def test_the_only_metric_is_the_monitor(
        self, tmp_path: Path, store: CheckpointStore
    ) -> None:
        """With its direction, where that is given."""
        keras_file(tmp_path / "s" / "1-0.5.keras")
        imported(store, tmp_path / "s", "{epoch}-{val_accuracy}", mode="max")
        assert (store[1].monitor, store[1].mode) == ("val_accuracy", "max")
        assert store.best() == store[1]

    def test_of_several_one_is_named(
        self, tmp_path: Path, store: CheckpointStore
    ) -> None:
        """Or none is."""
        keras_file(tmp_path / "s" / "0.5-0.75.keras")
        found = find(tmp_path / "s", "{loss}-{f1}").found
        adopt(store, found)
        adopt(CheckpointStore(tmp_path / "b", create=True), found, monitor="loss")
        named = CheckpointStore(tmp_path / "b")[1]
        assert store[1].monitor is None
        assert (named.monitor, named.mode) == ("loss", "min")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"monitor": "f1"}, r"`monitor` must be a metric .*Metrics: 'val_loss'"),
            ({"monitor": 5}, "`monitor` must be the name"),
            ({"mode": "best"}, "`mode` must be"),
            ({"link": 1}, "`link` must be a boolean"),
            ({"naming": "{epoch.real}"}, "`template` must have plain fields"),
        ],
    )
    def test_wrong_arguments_import_nothing(
        self,
        source: Path,
        store: CheckpointStore,
        options: dict[str, Any],
        message: str,
    ) -> None:
        """They are refused in Keras's wording."""
        with pytest.raises((ValueError, TypeError), match=message):
            imported(store, source, TEMPLATE, **options)
        assert found(store) == []

    def test_a_mode_alone_is_refused(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """Where no metric is known that it could be of."""
        with pytest.raises(ValueError, match="`monitor` must be given with `mode`"):
            imported(store, source, mode="max")


class TestTwice:
    """An import goes on where it was; nothing comes twice, and nothing is lost."""

    def test_what_is_there_is_not_imported_again(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """But what is new is, and what has changed."""
        imported(store, source, TEMPLATE)
        keras_file(source / "weights.02-0.25.keras", content="other")
        keras_file(source / "weights.04-0.10.keras")
        told: list[tuple[int, int]] = []
        again = imported(
            store, source, TEMPLATE, progress=lambda *count: told.append(count)
        )
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1]
        assert [each.was_there for each in again] == [True, False, True, False]
        assert [each.version.number for each in again] == [1, 4, 3, 5]
        assert found(store) == [1, 2, 3, 4, 5]

    def test_the_same_bytes_under_two_names_are_two(
        self, tmp_path: Path, store: CheckpointStore
    ) -> None:
        """Two epochs may have had the same weights."""
        for number in (1, 2):
            keras_file(tmp_path / "s" / f"version_{number}" / "model.keras")
        imported(store, tmp_path / "s")
        imported(store, tmp_path / "s" / "version_2")
        assert found(store) == [1, 2]

    def test_a_damaged_version_is_imported_anew(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """Where its manifest is gone; the others are there."""
        imported(store, source, TEMPLATE)
        (directory_of(store, 2) / "manifest.json").unlink()
        imported(store, source, TEMPLATE)
        assert store.versions[-1].epoch == 2

    @pytest.mark.parametrize("link", [False, True])
    def test_a_kill_in_the_middle_loses_nothing(
        self, source: Path, directory: Path, link: bool
    ) -> None:
        """Killed in each file in turn, and once more; then all are there, once."""
        script = """
import os, signal, sys, warnings
from keras_versioned_ckpt._adopting import adopt
from keras_versioned_ckpt._finding import find
from keras_versioned_ckpt.store import CheckpointStore
warnings.simplefilter("ignore")
directory, source, link, place = sys.argv[1:]
found = find(source).found
fatal = 1 + sum(each.payload.size_bytes for each in found[: int(place)])
def progress(done, total):
    if done >= fatal:
        os.kill(os.getpid(), signal.SIGKILL)
store = CheckpointStore(directory, create=True)
adopt(store, found, link=link == "True", progress=progress)
"""
        before = seen(source)
        for place in range(3):
            killed = run(script, directory, source, link, place)
            assert killed.returncode == -signal.SIGKILL
            assert found(CheckpointStore(directory)) == [*range(1, place + 1)]
        assert run(script, directory, source, link, 3).returncode == 0
        store = CheckpointStore(directory)
        names = [v.metadata["imported_from"]["name"] for v in store]
        assert names == [f"source/{path.name}" for path in sorted(source.iterdir())]
        assert store.verify().ok
        assert seen(source) == before


class TestLinks:
    """Hard links take no space, and share the fate of the originals."""

    def test_links_share_the_file(self, source: Path, store: CheckpointStore) -> None:
        """There is a warning; the originals keep all they have, also when it goes."""
        for path in source.iterdir():
            path.chmod(0o440)
        before = seen(source)
        with pytest.warns(CheckpointWarning, match="share their files"):
            imported(store, source, TEMPLATE, link=True)
        assert seen(source) == before
        assert store.verify().ok
        payload = directory_of(store, 1) / "model.keras"
        assert payload.samefile(source / "weights.01-0.50.keras")
        store.delete(1)
        assert seen(source) == before

    def test_a_folder_is_linked_file_by_file(
        self, tmp_path: Path, store: CheckpointStore
    ) -> None:
        """Folders have no second names."""
        source = saved_model(tmp_path / "m1")
        with pytest.warns(CheckpointWarning):
            imported(store, source, link=True)
        payload = directory_of(store, 1) / "saved_model"
        assert (payload / "saved_model.pb").samefile(source / "saved_model.pb")
        assert store.verify().ok

    def test_a_file_that_must_not_be_written_is_linked(
        self, source: Path, directory: Path
    ) -> None:
        """To flush it, it is not opened for writing."""
        for path in source.iterdir():
            path.chmod(0o444)
        script = (
            "import sys, warnings; warnings.simplefilter('ignore')\n"
            "from keras_versioned_ckpt._adopting import adopt\n"
            "from keras_versioned_ckpt._finding import find\n"
            "from keras_versioned_ckpt.store import CheckpointStore\n"
            "store = CheckpointStore(sys.argv[1], create=True)\n"
            "print(len(adopt(store, find(sys.argv[2]).found, link=True)))"
        )
        result = run(script, directory, source, before=without_powers())
        assert (result.stdout, result.stderr) == ("3\n", "")

    def test_another_disk_is_an_error(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """No copy is made instead, and nothing is imported."""
        other = Path("/dev/shm")
        if not other.is_dir() or other.stat().st_dev == source.stat().st_dev:
            pytest.skip("NOT TESTED: there is no second file system here")
        there = CheckpointStore(other / f"keras-ckpt-{os.getpid()}", create=True)
        try:
            with pytest.raises(ValueError, match="`link` must be `False`"):
                imported(there, source, link=True)
            assert found(there) == []
        finally:
            import shutil

            shutil.rmtree(there.path)


class TestFailures:
    """One that fails leaves nothing of itself, and those before it."""

    def test_a_file_that_goes_away_stops_the_import(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """The error names it, and says how to go on."""
        findings = find(source, TEMPLATE)
        (source / "weights.02-0.25.keras").unlink()
        message = r"'source/weights\.02-0\.25\.keras' could not be imported.*Run"
        with pytest.raises(SaveError, match=message):
            adopt(store, findings.found)
        assert found(store) == [1]
        assert list((store.path / ".versions" / "staging").iterdir()) == []

    def test_a_file_that_becomes_a_link_is_not_followed(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """Between the finding and the import."""
        findings = find(source, TEMPLATE)
        path = source / "weights.01-0.50.keras"
        path.unlink()
        path.symlink_to("weights.02-0.25.keras")
        with pytest.raises(SaveError, match="not a regular file"):
            adopt(store, findings.found)
        assert found(store) == []

    def test_a_file_that_changes_meanwhile_is_no_version(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """Half of it could be old and half new."""
        path = source / "weights.01-0.50.keras"

        def append(done: int, total: int) -> None:
            if done:
                with path.open("ab") as file:
                    file.write(b"more")

        with pytest.raises(SaveError, match="changed while it was read"):
            imported(store, path, progress=append)
        assert found(store) == []

    def test_ctrl_c_leaves_what_is_done(
        self, source: Path, store: CheckpointStore
    ) -> None:
        """And nothing half-done."""
        size = (source / "weights.01-0.50.keras").stat().st_size

        def interrupt(done: int, total: int) -> None:
            if done > size:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            imported(store, source, progress=interrupt)
        assert found(store) == [1]
        assert list((store.path / ".versions" / "staging").iterdir()) == []
        assert [each.was_there for each in imported(store, source)] == [
            *(True, False, False)
        ]


def test_a_clone_is_a_copy(tmp_path: Path) -> None:
    """Where the file system can share blocks, and where it cannot, alike."""
    source = tmp_path / "a"
    source.write_bytes(os.urandom(3_000_000))
    steps: list[int] = []
    copied = _copying.copy(source, tmp_path / "b", steps.append)
    assert (tmp_path / "b").read_bytes() == source.read_bytes()
    assert copied == _copying.hashed(tmp_path / "b", lambda count: None)
    assert sum(steps) == copied.size == 3_000_000
    with pytest.raises(FileExistsError):
        _copying.copy(source, tmp_path / "b", steps.append)


def test_nothing_is_imported_out_of_nothing(tmp_path: Path) -> None:
    """Which is no error here; the caller says what was skipped."""
    assert adopt(new_store(tmp_path / "store"), ()) == []


def test_no_keras_is_needed(source: Path, directory: Path, tmp_path: Path) -> None:
    """Nor NumPy, to import and to export."""
    script = (
        "import sys\n"
        "from keras_versioned_ckpt._adopting import adopt\n"
        "from keras_versioned_ckpt._exporting import export\n"
        "from keras_versioned_ckpt._finding import find\n"
        "from keras_versioned_ckpt.store import CheckpointStore\n"
        "store = CheckpointStore(sys.argv[1], create=True)\n"
        "adopt(store, find(sys.argv[2]).found)\n"
        "export(store[1], sys.argv[3])\n"
        "print({'keras', 'numpy', 'h5py', 'rich'} & sys.modules.keys())"
    )
    result = run(script, directory, source, tmp_path / "a.keras")
    assert (result.stdout, result.stderr) == ("set()\n", "")
