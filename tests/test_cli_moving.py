"""`keras-ckpt export`, `import`, `report`."""

import json
import shutil
import zipfile
from pathlib import Path

import keras
import pytest

from keras_versioned_ckpt import CheckpointStore, load_best, save_version
from keras_versioned_ckpt.cli import main

from .commands import at_terminal, everything, run, seen, told, trained
from .stores import new_store, tree
from .zoo import same_weights

TEMPLATE = "weights.{epoch:02d}-{val_loss:.2f}.keras"


def model(value: float) -> keras.Model:
    """Returns a model whose weights have this value."""
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    made.set_weights([array * 0 + value for array in made.get_weights()])
    return made


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder as `ModelCheckpoint` leaves it, with something else in it."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for epoch, loss in enumerate([0.5, 0.25, 0.75], start=1):
        model(loss).save(folder / TEMPLATE.format(epoch=epoch, val_loss=loss))
    (folder / "notes.txt").write_text("mine")
    return folder


def test_import(
    files: Path, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With epoch and metric out of the names, in order; nothing there is touched."""
    before = tree(files)
    assert main(["import", str(directory), str(files), "--template", TEMPLATE]) == 0
    captured = capsys.readouterr()
    assert "weights.02-0.25.keras  version_2  imported  keras" in captured.out
    assert "In this order: " in captured.out
    assert "skipped" in captured.err
    assert "notes.txt" in captured.err
    store = CheckpointStore(directory)
    assert [v.epoch for v in store] == [1, 2, 3]
    assert [v.metrics["val_loss"] for v in store] == [0.5, 0.25, 0.75]
    assert same_weights(load_best(directory).get_weights(), model(0.25).get_weights())
    assert tree(files) == before
    again = told(
        capsys, "import", directory, files, "--template", TEMPLATE, "--dry-run"
    )
    assert [found["state"] for found in again["imported"]] == ["found"] * 3
    again = told(capsys, "import", directory, files, "--template", TEMPLATE)
    assert [found["state"] for found in again["imported"]] == ["was there"] * 3
    assert again["imported"][1]["version"]["number"] == 2
    assert again["skipped"][0]["path"].endswith("notes.txt")
    assert len(store) == 3


def test_import_for_a_look_first(
    files: Path, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--dry-run` makes no store."""
    words = ["import", str(directory), str(files), "--template", TEMPLATE]
    assert main([*words, "--dry-run"]) == 0
    assert "val_loss=0.25" in capsys.readouterr().out
    assert not directory.exists()


def test_import_by_links_with_names(
    files: Path, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It takes no space, and the danger of it is said."""
    words = ["import", str(directory), str(files), "--link", "--template", TEMPLATE]
    words += ["--naming", "old-{epoch}", "--monitor", "val_loss", "--mode", "max"]
    assert main(words) == 0
    assert "hard links" in capsys.readouterr().err
    store = CheckpointStore(directory)
    assert [version.name for version in store] == ["old-1", "old-2", "old-3"]
    assert store.best().name == "old-3"
    original = files / "weights.03-0.75.keras"
    assert (store[3].path / "model.keras").samefile(original)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere"),
        (["FILES", "--template", "{epoch}{step}"], "template"),
        (["FILES", "--template", "other-{epoch}.keras"], "nothing to import"),
        (["FILES", "--naming", "{"], "must be a format string"),
        (["FILES", "--timezone", "Mars/Base"], "Mars/Base"),
    ],
)
def test_import_that_cannot_be(
    files: Path,
    directory: Path,
    words: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The message says why, and nothing is imported."""
    words = [str(files) if word == "FILES" else word for word in words]
    assert main(["import", str(directory), *words]) == 1
    assert said in capsys.readouterr().err
    assert not directory.exists() or len(CheckpointStore(directory)) == 0


def test_export(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of Keras, under a name that is free."""
    save_version(model(0.5), directory, metrics={"val_loss": 0.5})
    save_version(model(0.25), directory, metrics={"val_loss": 0.25})
    target = tmp_path / "best.keras"
    words = ["export", str(directory), "best:val_loss:min", str(target)]
    assert main(words) == 0
    assert capsys.readouterr().out == f"version_2 is in {target}.\n"
    loaded = keras.saving.load_model(target)
    assert same_weights(loaded.get_weights(), model(0.25).get_weights())
    content = target.read_bytes()
    assert main(words) == 1
    assert target.read_bytes() == content
    (tmp_path / "out").mkdir()
    done = told(capsys, "export", directory, "1", tmp_path / "out")
    assert done["output"] == str(tmp_path / "out" / "version_1.keras")
    assert done["version"]["number"] == 1
    assert zipfile.is_zipfile(done["output"])


def test_report(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One page; with what `verify` found, unless that is not wanted."""
    store = trained(directory)
    page = tmp_path / "report.html"
    assert main(["report", str(store.path), "-o", str(page)]) == 0
    assert capsys.readouterr().out == f"The report is in {page}.\n"
    text = page.read_text("utf-8")
    assert "version_2" in text
    (store[3].path / "model.keras").write_bytes(b"rotten!")
    assert told(capsys, "report", store.path, "-o", page) == {
        "output": str(page),
        "verified": True,
        "ok": False,
    }
    assert "SHA-256" in page.read_text("utf-8")
    words = ["report", store.path, "-o", page, "--no-verify", "--metric", "val_loss"]
    assert told(capsys, *words)["verified"] is False
    assert "SHA-256" not in page.read_text("utf-8")
    assert main(["report", str(store.path), "-o", str(page), "--metric", "x"]) == 1
    assert "val_loss" in capsys.readouterr().err
    assert main(["report", str(store.path / "no"), "-o", str(page)]) == 1


def test_report_has_a_name_by_default(directory: Path, tmp_path: Path) -> None:
    """In the working directory."""
    new_store(directory, 0.5)
    assert run("report", directory, cwd=tmp_path).returncode == 0
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!")


@pytest.mark.parametrize("command", ["export", "import"])
def test_copies_show_how_far_they_are(
    directory: Path, tmp_path: Path, command: str
) -> None:
    """A bar at a terminal, with the rate and the time left."""
    layers = [keras.Input((3000,)), keras.layers.Dense(3000)]
    save_version(keras.Sequential(layers), directory)
    if command == "export":
        words = ["export", directory, "latest", tmp_path / "a.keras"]
    else:
        shutil.copy(directory / "version_1" / "model.keras", tmp_path / "a.keras")
        words = ["import", tmp_path / "other", tmp_path / "a.keras"]
    process, terminal = at_terminal(words)
    text = seen(everything(terminal))
    assert process.wait(timeout=60) == 0, text
    assert f"{command}ing" in text
    assert "/36.0 MB" in text
    assert "B/s" in text


def test_none_of_them_imports_keras(directory: Path, tmp_path: Path) -> None:
    """Nor NumPy: an import looks at files without running anything of theirs."""
    save_version(model(0.5), directory)
    shutil.copy(directory / "version_1" / "model.keras", tmp_path / "a.keras")
    for words in (
        ["export", directory, "latest", tmp_path / "b.keras"],
        ["import", tmp_path / "other", tmp_path / "a.keras"],
        ["report", directory, "-o", tmp_path / "r.html"],
    ):
        script = (
            "import sys\nfrom keras_versioned_ckpt.cli import main\n"
            f"code = main({[str(word) for word in words]!r})\n"
            "print(code, sorted(sys.modules.keys() & {'keras', 'numpy', 'h5py'}))"
        )
        from .stores import run as run_script

        assert run_script(script).stdout.splitlines()[-1] == "0 []"
    assert json.loads(run("list", tmp_path / "other", "--json").stdout)


def test_import_of_nothing_as_json(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script is told what was skipped, and why."""
    (tmp_path / "notes.txt").write_text("nothing")
    source = str(tmp_path / "notes.txt")
    assert main(["import", str(directory), source, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["imported"] == []
    assert answer["skipped"][0]["path"] == source
    assert not directory.exists()


def test_report_without_a_name(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what is to be given."""
    new_store(directory, 0.5)
    assert main(["report", str(directory), "-o", ""]) == 1
    assert "`output` must name a file." in capsys.readouterr().err
