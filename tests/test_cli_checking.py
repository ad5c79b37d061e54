"""`keras-ckpt verify`, `repair`, `load-test`."""

import json
import sys
from pathlib import Path

import keras
import pytest

from keras_versioned_ckpt import CheckpointStore, save_version
from keras_versioned_ckpt.cli import main

from .commands import run, told, trained

BUILD = """
import keras

def build():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    return model

wrong = lambda: keras.Sequential([keras.Input((3,)), keras.layers.Dense(5)])
"""
CLASSES = """
import keras

@keras.saving.register_keras_serializable("mine")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x
"""


def model(*layers: keras.layers.Layer) -> keras.Model:
    """Returns a compiled model with eight weights."""
    made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), *layers])
    made.compile("adam", "mse")
    made.optimizer.build(made.trainable_variables)
    return made


def test_verify(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code tells whether all is well."""
    store = trained(directory)
    assert told(capsys, "verify", store.path) == {
        "ok": True,
        "checked": 2,
        "problems": [],
    }
    (store[3].path / "model.keras").write_bytes(b"rotten!")
    assert main(["verify", str(store.path)]) == 1
    assert "version_3/model.keras" in capsys.readouterr().out
    assert main(["verify", str(store.path), "--json"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["kind"], problem["name"]) == ("version", "version_3")


def test_repair(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is damaged is moved aside; what was done is told."""
    store = trained(directory)
    (store[3].path / "model.keras").write_bytes(b"rotten!")
    done = told(capsys, "repair", store.path)
    assert "quarantine" in done["problems"][0]["done"]
    assert [version.number for version in store] == [2]
    assert main(["repair", str(store.path)]) == 0
    assert "no problem" in capsys.readouterr().out


class Command:
    """Runs `load-test` in this process, which has Keras, in a folder of its own."""

    def __init__(
        self, cwd: Path, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        patch.chdir(cwd)
        # It adds the working directory, as `python -m` does.
        patch.setattr(sys, "path", [*sys.path])
        self._capsys = capsys

    def __call__(self, *words: object) -> tuple[int, str]:
        """Returns the exit code and what was printed, errors after the rest."""
        self._capsys.readouterr()
        code = main(["load-test", *map(str, words)])
        return code, "".join(self._capsys.readouterr())


@pytest.fixture
def load_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """The command."""
    return Command(tmp_path, monkeypatch, capsys)


def test_load_test_as_a_program(directory: Path) -> None:
    """The newest by default."""
    save_version(model(), directory)
    save_version(model(), directory)
    done = run("load-test", directory)
    assert done.returncode == 0, done.stderr
    row = done.stdout.splitlines()[-1]
    assert "version_2  loads" in row
    assert row.endswith("Sequential, 8 parameters, compiled")


def test_load_test_of_all(directory: Path, load_test: Command) -> None:
    """One that is damaged does not keep the others from being tried."""
    save_version(model(), directory)
    save_version(model(), directory)
    payload = directory / "version_1" / "model.keras"
    payload.write_bytes(payload.read_bytes()[:-1] + b"x")
    code, out = load_test(directory, "--all", "--json")
    assert code == 1
    one, two = json.loads(out)
    assert (one["ok"], one["name"]) == (False, "version_1")
    assert "SHA-256" in one["error"]
    assert (two["ok"], two["parameters"], two["compiled"]) == (True, 8, True)
    assert 0 < two["seconds"] < 60
    code, out = load_test(directory, "1")
    assert (code, "fails" in out) == (1, True)


def test_load_test_of_weights(
    directory: Path, tmp_path: Path, load_test: Command
) -> None:
    """They need a model, which a function of the user's makes."""
    (tmp_path / "train_of_a_user.py").write_text(BUILD)
    save_version(model(), directory, format="weights")
    code, out = load_test(directory, "latest", "--model", "train_of_a_user:build")
    assert (code, "8 parameters" in out) == (0, True)
    code, out = load_test(directory)
    assert (code, "`model` must be given" in out) == (1, True)
    code, out = load_test(directory, "latest", "--model", "train_of_a_user:wrong")
    assert (code, "fails" in out) == (1, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train", "`--model` must be a module and a function"),
        ("json:nothing", "`--model` must name a function that is there"),
        ("nowhere_at_all:build", "No module named 'nowhere_at_all'"),
    ],
)
def test_load_test_with_what_makes_no_model(
    directory: Path, text: str, said: str, load_test: Command
) -> None:
    """The message says what is wrong with it."""
    save_version(model(), directory, format="weights")
    code, out = load_test(directory, "latest", "--model", text)
    assert code == 1
    assert said in out


def test_load_test_with_classes_of_a_module(directory: Path, tmp_path: Path) -> None:
    """Which is imported only if the user names it."""
    (tmp_path / "mine.py").write_text(CLASSES)
    names: dict[str, type[keras.layers.Layer]] = {}
    exec(CLASSES, names)
    save_version(model(names["Twice"]()), directory)
    done = run("load-test", directory, cwd=tmp_path)
    assert done.returncode == 1
    assert "Twice" in done.stdout
    done = run("load-test", directory, "--import", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_load_test_of_a_program_needs_trust(
    directory: Path, load_test: Command
) -> None:
    """A SavedModel runs only if the user says so."""
    save_version(model(), directory, format="saved_model")
    code, out = load_test(directory)
    assert (code, "trust_code" in out) == (1, True)
    code, out = load_test(directory, "--trust-code")
    assert (code, "loads" in out) == (0, True)


def test_load_test_of_nothing(directory: Path, load_test: Command) -> None:
    """An empty store has no newest version, and nothing that fails."""
    CheckpointStore(directory, create=True)
    assert load_test(directory)[0] == 1
    assert load_test(directory, "--all", "--json") == (0, "[]\n")


def test_load_test_with_a_module_that_fails(
    directory: Path, tmp_path: Path, load_test: Command
) -> None:
    """What goes wrong in it is told in a line, with the option that named it."""
    (tmp_path / "broken_of_a_user.py").write_text("def (")
    (tmp_path / "failing_of_a_user.py").write_text("def build():\n    1 / 0\n")
    save_version(model(), directory, format="weights")
    code, out = load_test(directory, "--import", "broken_of_a_user")
    assert code == 1
    assert "`--import` could not import 'broken_of_a_user': SyntaxError" in out
    code, out = load_test(directory, "--model", "failing_of_a_user:build")
    assert code == 1
    assert "`--model` failed: ZeroDivisionError: division by zero" in out
    code, out = load_test(directory, "--model", "json:decoder")
    assert "must name a function that is there" in out
    code, out = load_test(directory, "--model", "builtins:dict")
    assert (code, "fails" in out) == (1, True)


def test_what_a_module_prints_is_none_of_the_answer(
    directory: Path,
    tmp_path: Path,
    load_test: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Which may be JSON that a script reads."""
    (tmp_path / "talking_of_a_user.py").write_text("print('hello')")
    save_version(model(), directory)
    words = ["--import", "talking_of_a_user", "--json"]
    assert main(["load-test", str(directory), *words]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)[0]["ok"] is True
    assert "hello" in captured.err
