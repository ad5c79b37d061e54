"""`keras-ckpt`, run as a program."""

import subprocess
import sys
from pathlib import Path

import pytest

from keras_versioned_ckpt import CheckpointStore
from keras_versioned_ckpt.cli import main

from .stores import save


@pytest.fixture
def store(directory: Path) -> CheckpointStore:
    """A store of three versions, of which the first was deleted."""
    store = CheckpointStore(directory, create=True)
    for number, loss in enumerate([3.0, 1.0, 2.0], start=1):
        save(
            store,
            metrics={"val_loss": loss},
            epoch=number,
            monitor="val_loss",
            mode="min",
        )
    store.delete(1)
    store.tag(2, "prod")
    return store


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "keras_versioned_ckpt", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_list(store: CheckpointStore) -> None:
    """The versions that are there, and those that are gone."""
    done = run("list", store.path)
    assert done.returncode == 0
    assert "version_2" in done.stdout
    assert "val_loss=1" in done.stdout
    assert "prod" in done.stdout
    assert "version_1" not in done.stdout
    done = run("list", "--gone", store.path)
    assert "version_1" in done.stdout
    assert "deleted by the user" in done.stdout


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


def test_path_as_of(store: CheckpointStore) -> None:
    """The time zone that was assumed is said beside the path."""
    local = store[2].created.astimezone().replace(tzinfo=None)
    done = run("path", store.path, f"as-of:{local}")
    assert done.stdout == f"{store[2].path}\n"
    assert "read in the local time zone" in done.stderr


def test_verify(store: CheckpointStore) -> None:
    """The exit code tells whether all is well."""
    assert run("verify", store.path).returncode == 0
    (store[3].path / "model.keras").write_bytes(b"rot")
    done = run("verify", store.path)
    assert done.returncode == 1
    assert "version_3/model.keras" in done.stdout


def test_errors(store: CheckpointStore, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is said on stderr with exit code 1, a wrong word with 2."""
    assert main(["list", str(store.path / "nowhere")]) == 1
    assert "There is no store" in capsys.readouterr().err
    assert main(["path", str(store.path), "version_9"]) == 1
    assert "version_9" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["sing"])
    assert caught.value.code == 2


def test_what_does_not_print_is_escaped(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """A metric's name from a store never reaches the terminal as it is."""
    save(store, metrics={"\x1b[31mred\u202e": 1.0})
    assert main(["list", str(store.path)]) == 0
    out = capsys.readouterr().out
    assert "\\x1b[31mred\\u202e" in out
    assert "\x1b" not in out


def test_in_this_process(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """`main` takes the words and returns the exit code."""
    assert main(["list", "--gone", str(store.path)]) == 0
    assert main(["verify", str(store.path)]) == 0
    local = store[2].created.astimezone().replace(tzinfo=None)
    capsys.readouterr()
    assert main(["path", str(store.path), f"as-of:{local}~0"]) == 0
    assert capsys.readouterr().out == f"{store[2].path}\n"
