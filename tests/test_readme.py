"""The README tells the truth: its examples run, as they stand there."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest

import keras_versioned_ckpt

from .packaging import readme
from .zoo import data

ROOT = Path(__file__).parents[1]


def blocks() -> list[str]:
    """Returns the Python examples of the README, in order."""
    return readme.blocks((ROOT / "README.rst").read_text(encoding="utf-8"))


def model() -> Any:
    """Returns a compiled model like one that a reader would have."""
    layers = [keras.Input((30,)), keras.layers.Dense(1, activation="sigmoid")]
    network = keras.Sequential(layers)
    network.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return network


def test_the_examples_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training, loading, tagging, planning and verifying work as written."""
    monkeypatch.chdir(tmp_path)
    x, y = data()
    names: dict[str, Any] = {"model": model(), "x": x, "y": y}
    first, second, third = blocks()
    exec(first, names)
    assert isinstance(names["model"], keras.Model)
    left = sorted(path.name for path in (tmp_path / "runs" / "digits").iterdir())
    assert {".versions", "version_18", "version_19", "version_20"} <= set(left)
    assert 4 <= len(left) <= 6
    exec(second, names)
    printed = capsys.readouterr().out
    assert "version_20 20 " in printed
    assert "no rule keeps it" in printed
    assert "checked, no problem" in printed
    assert names["store"].tags["prod"].number == names["store"].best().number
    for command in ("list", "path", "verify"):
        words = ["runs/digits", *(["best"] if command == "path" else [])]
        done = subprocess.run(
            [sys.executable, "-m", "keras_versioned_ckpt", command, *words],
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout
    exec(third, names)
    assert names["checkpoint"].latest.epoch == 20
    exec(third, names)  # there is nothing left to train
    assert names["checkpoint"].latest.number == 20


def calls() -> list[str]:
    """Returns the calls in the table of what to write."""
    text = re.sub(r"\s*\n\s+", " ", (ROOT / "README.rst").read_text(encoding="utf-8"))
    return re.findall(r"``(VersionedCheckpoint\(.*?\)|save_version\(.*?\))``", text)


@pytest.mark.parametrize("call", calls())
def test_the_table_of_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """Each call in the migration table is one that works."""
    monkeypatch.chdir(tmp_path)
    public = keras_versioned_ckpt.__all__
    names = {name: getattr(keras_versioned_ckpt, name) for name in public}
    assert eval(call, {**names, "model": model()})


def test_the_table_is_read() -> None:
    """The patterns above still find the examples and the rows."""
    assert len(blocks()) == 3
    assert len(calls()) >= 7
