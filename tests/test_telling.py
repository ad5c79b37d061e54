"""What a training prints of its saves."""

import dataclasses
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

from keras_versioned_ckpt import (
    CheckpointStore,
    KeepLast,
    Numbered,
    VersionedCheckpoint,
    _saver,
    _telling,
)
from keras_versioned_ckpt.records import Version

from .commands import environment, everything
from .factories import versions
from .zoo import data

TIMING = _telling.Timing(waited=0.0123, written=2.0, pruned=0.5)
LINE = re.compile(r"Epoch \d+: saved version_\d+, val_loss \S+, the best")
TRAINING = """
import sys
import keras, numpy as np
from keras_versioned_ckpt import VersionedCheckpoint

keras.utils.set_random_seed(1)
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
model.compile("adam", "mse")
x = np.random.rand(320, 4)
model.fit(x, x.sum(1), validation_split=0.2, epochs=3, verbose=int(sys.argv[2]),
          callbacks=[VersionedCheckpoint(sys.argv[1], save_freq=4, verbose=1,
                                         keep_last=2)])
"""


def line(version: Version, **facts: object) -> str:
    """Returns the line about a version, with as little as there may be to tell."""
    usual = {"monitor": "val_loss", "best": None, "plan": None, "verbose": 1}
    return _telling.saved(version, TIMING, **{**usual, **facts})


def test_what_was_saved_and_how_long_training_waited() -> None:
    """The least that is told."""
    (version,) = versions([0.25])
    text = "Epoch 1: saved version_1, val_loss 0.25; training waited 0.012 s"
    assert line(version) == text
    assert line(dataclasses.replace(version, metrics={})) == (
        "Epoch 1: saved version_1; training waited 0.012 s"
    )


def test_in_the_middle_of_an_epoch() -> None:
    """The batch is told, and no metric, which is only a running mean there."""
    (version,) = versions([0.25])
    inside = dataclasses.replace(version, epoch=2, batch=40)
    assert line(inside).startswith("Epoch 3, batch 40: saved version_1; training")


def test_whether_it_is_the_best() -> None:
    """Or which one is."""
    one, two = versions([0.25, 0.5])
    assert ", the best so far; " in line(one, best=one)
    assert ", the best is 0.25 in version_1; " in line(two, best=one)


def test_what_was_removed_and_why() -> None:
    """All that went for one reason, together."""
    listed = versions([0.25, 0.5, 0.75])
    text = line(listed[2], plan=KeepLast(1).plan(listed))
    assert text.endswith("; removed version_1, version_2 (no rule keeps it)")
    assert "removed" not in line(listed[2], plan=KeepLast(3).plan(listed))


def test_the_timing_of_the_background() -> None:
    """From verbose=2 on, with the rate."""
    (version,) = versions([0.25], sizes=[400_000_000])
    assert line(version, verbose=2).endswith(
        "; 400 MB on the disk after 2.000 s, 200 MB/s; retention took 0.500 s"
    )


def test_what_does_not_print_is_escaped() -> None:
    """The name of a metric may hold anything."""
    (version,) = versions([0.25])
    red = dataclasses.replace(version, metrics={"\x1b[31m": 0.25})
    assert "\x1b" not in line(red, monitor="\x1b[31m")
    assert "\x1b" not in _telling.not_improved(1, "\x1b[31m", 0.5, 0.25)


def model() -> keras.Model:
    """Returns a compiled model for the data of the zoo."""
    made = keras.Sequential([keras.Input((30,)), keras.layers.Dense(1)])
    made.compile("adam", "mse")
    return made


def fit(checkpoint: VersionedCheckpoint, verbose: object = 0) -> None:
    """Trains for three epochs."""
    x, y = data()
    model().fit(
        x[:80],
        y[:80],
        validation_split=0.25,
        epochs=3,
        verbose=verbose,
        callbacks=[checkpoint],
    )


@pytest.mark.parametrize(("verbose", "count"), [(0, 0), (1, 3), (2, 3)])
def test_one_line_per_save(
    directory: Path, verbose: int, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing with verbose=0; the timing with verbose=2."""
    fit(VersionedCheckpoint(directory, verbose=verbose))
    out = capsys.readouterr().out.splitlines()
    assert len(out) == count
    assert all(re.match(r"Epoch \d+: saved version_\d+, val_loss ", row) for row in out)
    assert sum("on the disk after" in row for row in out) == (3 if verbose == 2 else 0)


def test_what_is_not_saved_is_told(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With save_best_only: what it would have had to improve on."""
    checkpoint = VersionedCheckpoint(
        directory, save_best_only=True, initial_value_threshold=-1.0, verbose=1
    )
    fit(checkpoint)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 3
    assert all(row.endswith("did not improve on -1, not saved") for row in out)


@pytest.fixture
def no_interactive_logging() -> Iterator[None]:
    """Keras's own switch, put back afterwards."""
    keras.config.disable_interactive_logging()
    yield
    keras.config.enable_interactive_logging()


@pytest.mark.usefixtures("no_interactive_logging")
def test_without_interactive_logging_it_goes_to_the_log(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """As what Keras prints does."""
    with caplog.at_level(logging.INFO, "keras_versioned_ckpt"):
        fit(VersionedCheckpoint(directory, verbose=1))
    assert "saved" not in capsys.readouterr().out
    assert sum("saved version" in record.message for record in caplog.records) == 3


def screen(text: str) -> list[str]:
    """Returns the lines that are left of a terminal's text, as somebody sees them."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text.replace("\r\n", "\n"))
    return [re.sub(r"^.*[\r\x08]", "", line) for line in plain.split("\n")]


@pytest.mark.parametrize("verbose", [1, 2])
def test_no_progress_bar_is_torn(directory: Path, verbose: int) -> None:
    """At a terminal, each line is whole, also where saves end inside of an epoch."""
    import os
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(directory), str(verbose)],
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        env=environment(TERM="xterm", COLUMNS="200"),
    )
    os.close(theirs)
    lines = [line for line in screen(everything(ours)) if line.strip()]
    assert process.wait(timeout=60) == 0
    kinds = {
        "head": r"Epoch \d/3",
        "bar": r"8/8 .*val_loss: \d\.\d+(e-\d+)?",
        "saved": r"Epoch \d(, batch \d)?: saved version_\d.*(waited \S+ s|keeps it\))",
    }
    found = [
        next((kind for kind, form in kinds.items() if re.fullmatch(form, line)), line)
        for line in lines
    ]
    assert set(found) == set(kinds)
    assert found.count("head") == found.count("bar") == 3
    assert found.count("saved") == 6


def test_a_line_is_no_reason_for_a_save_to_fail(tmp_path: Path) -> None:
    """The version is on the disk; the line does without the best."""
    told: list[str] = []
    store = CheckpointStore(tmp_path / "store", create=True)
    plan = _saver.Plan(
        store=store,
        naming=Numbered(),
        format="weights",
        policy=None,
        in_use=(),
        on_background=False,
        makes_room=False,
        software={},
        parent=None,
        verbose=1,
    )

    def clock() -> float:
        record = tmp_path / "store" / ".versions" / "ledger.jsonl"
        if record.is_file() and (tmp_path / "store" / "version_1").exists():
            # Something other than this package was at it.
            record.unlink()
            record.mkdir()
        return 0.0

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    saver = _saver.Saver(plan, clock, told.append)
    facts = {"metrics": {"loss": 0.5}, "monitor": "loss", "mode": "min"}
    saver.capture(model, {**facts, "batch": None, "epoch": 1}, (), 0.0)
    saver.finish(None)
    (text,) = told
    assert text.startswith("Epoch 1: saved version_1, loss 0.5; training waited")
