"""A signal comes while `fit` runs: a version is saved, and then it has its effect."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from keras_versioned_ckpt import CheckpointStore
from tests.stores import ROOT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Signals of POSIX.")

# A few batches, and a save of a small model, on a machine that is busy.
WITHIN_SECONDS = 10.0


def interrupted(
    store: Path,
    where: str,
    before: str,
    *numbers: int,
    times: int = 1,
    before_it: tuple[str, ...] = (),
) -> tuple[int, str, str, float]:
    """Returns the status of a training that signals come to, and what it said."""
    with subprocess.Popen(
        [
            *before_it,
            sys.executable,
            *("-m", "tests.interrupted", str(store), where, before),
            *(str(int(number)) for number in numbers),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line == "here\n", process.communicate()[1][-2000:]
        began = time.monotonic()
        for _ in range(times):
            for number in numbers[:1]:
                os.kill(_trainer(process.pid) if before_it else process.pid, number)
        out, error = process.communicate(timeout=60)
        return process.returncode, out, error, time.monotonic() - began


def _trainer(parent: int) -> int:
    """Returns the one child of a process."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return int(children)


@pytest.mark.parametrize("where", ["training", "validating"])
@pytest.mark.parametrize(
    ("number", "before", "status"),
    [
        (signal.SIGTERM, "default", -signal.SIGTERM),
        (signal.SIGUSR1, "handler", 7),
        (signal.SIGINT, "default", -signal.SIGINT),
    ],
)
def test_a_signal_has_its_effect_after_the_save(
    tmp_path: Path, where: str, number: int, before: str, status: int
) -> None:
    """Within a stated time; the status is as it was without a checkpoint."""
    store = tmp_path / "store"
    found, out, error, seconds = interrupted(store, where, before, number)
    assert found == status, error[-2000:]
    assert seconds < WITHIN_SECONDS
    version = CheckpointStore(store).latest()
    assert version.epoch == 1
    assert version.batch is not None
    if where == "validating":
        assert version.batch == 7
    else:
        assert 3 <= version.batch < 7
    if before == "handler":
        # The history has whole epochs alone.
        assert out.endswith(f"epochs [0] seen [{int(number)}] handlers True\n")
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in error


def test_an_ignored_signal_ends_the_training_alone(tmp_path: Path) -> None:
    """The process goes on after `fit`."""
    store = tmp_path / "store"
    found, out, error, _ = interrupted(store, "training", "ignored", signal.SIGTERM)
    assert found == 7, error[-2000:]
    assert out.endswith("epochs [0] seen [] handlers True\n")
    assert CheckpointStore(store).latest().batch is not None


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """Without a version of that moment, and without harm."""
    store = tmp_path / "store"
    result: Any = interrupted(store, "training", "default", signal.SIGTERM, times=2)
    assert result[0] == -signal.SIGTERM
    assert CheckpointStore(store).verify().ok


@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0,
    reason="NOT TESTED: the first process of a container, since that takes root.",
)
def test_the_first_process_of_a_container_ends_as_well(tmp_path: Path) -> None:
    """The system passes over signals that it has no handler for."""
    store = tmp_path / "store"
    found, *_ = interrupted(
        store,
        "training",
        "default",
        signal.SIGTERM,
        before_it=("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"),
    )
    assert found == 128 + signal.SIGTERM
    assert CheckpointStore(store).latest().batch is not None
