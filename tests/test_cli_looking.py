"""`keras-ckpt list`, `show`, `path`."""

import json
from pathlib import Path

import pytest

from keras_versioned_ckpt import CheckpointStore, KeepLast, _integrity
from keras_versioned_ckpt.cli import main

from .commands import run, told, trained
from .stores import new_store, save


@pytest.fixture
def store(directory: Path) -> CheckpointStore:
    """A store of three versions, of which the first was deleted."""
    return trained(directory)


def numbers(capsys: pytest.CaptureFixture[str], *words: object) -> list[int]:
    """Returns the numbers of the versions that `list` tells, in order."""
    return [version["number"] for version in told(capsys, "list", *words)]


def test_list(store: CheckpointStore, capsys: pytest.CaptureFixture[str]) -> None:
    """The versions that are there, those that are gone, or both."""
    assert main(["list", str(store.path)]) == 0
    out = capsys.readouterr().out
    assert "version_2" in out
    assert "val_loss=1" in out
    assert "prod" in out
    assert "version_1" not in out
    assert main(["list", "--gone", str(store.path)]) == 0
    out = capsys.readouterr().out
    assert "version_1" in out
    assert "deleted by the user" in out
    assert numbers(capsys, store.path) == [2, 3]
    assert numbers(capsys, store.path, "--gone") == [1]
    assert numbers(capsys, store.path, "--all") == [1, 2, 3]


def test_list_as_json_has_everything(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fields of the manifest, where it is, its tags, and why it is gone."""
    gone, two, _ = told(capsys, "list", store.path, "--all")
    assert two["path"] == str(store.path / "version_2")
    assert (two["tags"], two["gone"], two["reason"]) == (["prod"], False, "")
    assert (two["epoch"], two["metrics"]) == (2, {"val_loss": 1.0})
    assert (gone["path"], gone["gone"]) == (None, True)
    assert gone["reason"] == "removed: deleted by the user"
    assert gone["removed"].endswith("Z")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [1, 2, 3, 4, 5]),
        (["--limit", "2"], [4, 5]),
        (["--limit", "9"], [1, 2, 3, 4, 5]),
        (["--reverse", "--limit", "2"], [5, 4]),
        (["--sort", "val_loss"], [3, 2, 5, 1, 4]),
        (["--sort", "val_loss", "--limit", "2"], [3, 2]),
        (["--sort", "val_loss", "--limit", "2", "--reverse"], [2, 3]),
        (["--sort", "size"], [4, 1, 2, 3, 5]),
        (["--sort", "epoch"], [5, 1, 2, 3, 4]),
        (["--sort", "name"], [1, 2, 3, 4, 5]),
        (["--sort", "created"], [1, 2, 3, 4, 5]),
        (["--sort", "number"], [1, 2, 3, 4, 5]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_list_in_order(
    directory: Path,
    words: list[str],
    expected: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By a column or a metric, the best first; what cannot be compared comes last."""
    store = new_store(directory)
    losses = [4.0, 2.0, 1.0, float("nan"), 3.0]
    for number, loss in enumerate(losses, start=1):
        save(
            store,
            b"x" * (7 if number == 4 else 10 + number),
            loss=loss,
            epoch=1 if number == 5 else 1 + number,
        )
    assert numbers(capsys, store.path, *words) == expected


def test_list_by_a_metric_of_which_more_is_better(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The direction is the one that the versions recorded."""
    store = new_store(directory)
    for value in (0.5, 0.9, 0.7):
        save(store, metrics={"score": value}, modes={"score": "max"})
    assert numbers(capsys, store.path, "--sort", "score") == [2, 3, 1]


def test_list_by_what_is_not_there(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says by what it can be sorted."""
    assert main(["list", str(store.path), "--sort", "val_los"]) == 1
    assert "size, 'val_loss'" in capsys.readouterr().err


def test_list_of_nothing(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty store is no error, whatever it is sorted by."""
    store = new_store(directory)
    assert numbers(capsys, store.path, "--sort", "val_loss") == []
    assert main(["list", str(store.path)]) == 0


def test_show(store: CheckpointStore, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is known of a version, with its files."""
    assert main(["show", str(store.path), "best"]) == 0
    out = capsys.readouterr().out
    for text in ("version_2", "metrics val_loss", "file model.keras", "SHA-256"):
        assert text in out
    shown = told(capsys, "show", store.path, "tag:prod")
    assert shown["number"] == 2
    assert shown["files"]["model.keras"]["size"] == len(b"weights")
    manifest = json.loads((store[2].path / "manifest.json").read_text("utf-8"))
    assert shown["files"] == manifest["files"]


@pytest.mark.parametrize("selector", ["1", "version_1", "name:version_1"])
def test_show_what_is_gone(
    store: CheckpointStore, selector: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """By number or name; with when it went and why."""
    shown = told(capsys, "show", store.path, selector)
    assert (shown["gone"], shown["reason"]) == (True, "removed: deleted by the user")
    assert "files" not in shown


def test_show_what_was_pruned_names_the_policy(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """And one that never was is an error."""
    store.untag("prod")
    store.prune(KeepLast(1))
    assert main(["show", str(store.path), "2"]) == 0
    assert "KeepLast(1)" in capsys.readouterr().out
    assert main(["show", str(store.path), "7"]) == 1
    assert main(["show", str(store.path), "epoch:1"]) == 1


@pytest.mark.parametrize(
    ("selector", "name"),
    [("best", "version_2"), ("latest", "version_3"), ("tag:prod", "version_2")],
)
def test_path_prints_one_path_and_nothing_else(
    store: CheckpointStore, selector: str, name: str
) -> None:
    """So that a shell can use it."""
    done = run("path", store.path, selector)
    assert (done.returncode, done.stdout) == (0, f"{store.path / name}\n")
    assert done.stderr == ""


def test_path_as_json(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """An object with one key."""
    assert told(capsys, "path", store.path, "3") == {"path": str(store[3].path)}


def test_path_as_of(store: CheckpointStore) -> None:
    """The time zone that was assumed is said beside the path."""
    local = store[2].created.astimezone().replace(tzinfo=None)
    done = run("path", store.path, f"as-of:{local}")
    assert done.stdout == f"{store[2].path}\n"
    assert "read in the local time zone" in done.stderr


def test_show_what_goes_in_this_moment(
    store: CheckpointStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A training may prune between the listing and the reading."""
    read = _integrity.read_manifest

    def gone(directory: Path, *more: str | None) -> object:
        # Deleting reads it, too.
        monkeypatch.setattr(_integrity, "read_manifest", read)
        store.delete(3)
        return read(directory, *more)

    monkeypatch.setattr(_integrity, "read_manifest", gone)
    shown = told(capsys, "show", store.path, "3")
    assert (shown["gone"], shown["reason"]) == (True, "removed: deleted by the user")
