"""The scripts in `examples/` do what docs/resuming.rst says: stopped, and run again.

Real processes and real signals; only `srun` and `scontrol` have stand-ins.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keras_versioned_ckpt import CheckpointStore
from keras_versioned_ckpt.errors import StoreNotFoundError
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.triggers import OnSignal

from .stores import ROOT

EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "resuming.rst"
EPOCHS = 20
TRAINING = EXAMPLES / "train_until_done.py"
FILES = sorted(path for path in EXAMPLES.iterdir() if path.is_file())
SLURM, SPOT = EXAMPLES / "slurm.sbatch", EXAMPLES / "spot.sh"
BY_SIGNAL = "OnSignal('SIGUSR1', 'SIGTERM', grace_seconds=25)"

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the scripts are for POSIX"
)


class Place:
    """A directory for a store, and one on PATH for stand-ins.

    Args:
        path: An empty directory.
    """

    def __init__(self, path: Path) -> None:
        self.store, self.programs = path / "store", path / "programs"
        self.pid, self.calls = path / "pid", path / "calls"
        self.programs.mkdir()
        # `exec` keeps the number that is written down.
        self.put("python", f'echo $$ > {self.pid}\nexec {sys.executable} "$@"')

    def put(self, name: str, body: str) -> None:
        """Makes a program of a few lines of shell."""
        program = self.programs / name
        program.write_text(f"#!/bin/bash\n{body}\n", encoding="utf-8")
        program.chmod(0o755)

    def put_slurm(self) -> None:
        """Makes stand-ins for what the job calls."""
        self.put("srun", '"$@" &\nwait $!\nexit $?')
        self.put("scontrol", f'echo "$@" >> {self.calls}')

    def start(self, *command: Any, **environment: str) -> subprocess.Popen[str]:
        """Starts a program where the reader would, in the root of the project."""
        return subprocess.Popen(
            [*map(str, command), str(self.store)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "PYTHONDONTWRITEBYTECODE": "1",
                "EPOCHS": str(EPOCHS),
                **environment,
            },
        )

    def strike(self, process: subprocess.Popen[str], number: int) -> None:
        """Sends a signal to the training when it has saved a version."""
        before = self.newest
        end = time.monotonic() + 60
        while self.newest == before:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)
        os.kill(int(self.pid.read_text()), number)

    @property
    def newest(self) -> Version | None:
        """The newest version in the store, if there is one yet."""
        try:
            return CheckpointStore(self.store).versions[-1]
        except (StoreNotFoundError, IndexError):
            return None

    @property
    def fired(self) -> list[str]:
        """The trigger that saved the newest version."""
        assert self.newest is not None
        assert self.newest.epoch < EPOCHS
        manifest = (self.newest.path / "manifest.json").read_text(encoding="utf-8")
        return list(json.loads(manifest)["trigger"])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Returns a place; a training that is still running there is killed."""
    made = Place(tmp_path)
    yield made
    if made.pid.exists():
        arguments = Path(f"/proc/{made.pid.read_text().strip()}/cmdline")
        if arguments.exists() and str(made.store) in arguments.read_text():
            os.kill(int(made.pid.read_text()), signal.SIGKILL)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Returns the status of a process, and what it printed."""
    output, errors = process.communicate(timeout=60)
    return process.returncode, output, errors


def test_however_it_is_stopped(place: Place, tmp_path: Path) -> None:
    """Stopped by three signals in three places, it ends as if it had not been."""
    process = place.start("python", TRAINING)
    place.strike(process, signal.SIGTERM)
    status, output, errors = ended(process)
    assert (status, output) == (-signal.SIGTERM, ""), errors
    assert place.fired == [BY_SIGNAL]

    place.put_slurm()
    process = place.start("bash", SLURM, SLURM_JOB_ID="17")
    place.strike(process, signal.SIGUSR1)
    status, output, errors = ended(process)
    assert (status, output) == (128 + signal.SIGUSR1, ""), errors
    assert place.calls.read_text() == "requeue 17\n"
    assert place.fired == [BY_SIGNAL]

    process = place.start("bash", SPOT, PAUSE_SECONDS="0")
    place.strike(process, signal.SIGKILL)
    status, output, errors = ended(process)
    assert status == 0, errors
    assert "Attempt 1 of 20 ended with status 137." in errors
    assert "Attempt 2" not in errors

    other = tmp_path / "other"
    other.mkdir()
    straight = ended(Place(other).start("python", TRAINING))
    assert straight[:2] == (0, output)
    assert re.fullmatch(r"val_accuracy 0\.\d{4}, val_loss 0\.\d{9}\n", output)


@pytest.mark.parametrize("status", [0, 3])
def test_slurm_requeues_nothing_else(place: Place, status: int) -> None:
    """A training that is done, or fails, is not tried once more."""
    place.put_slurm()
    place.put("python", f"exit {status}")
    process = place.start("bash", SLURM, SLURM_JOB_ID="17")
    assert ended(process)[0] == status
    assert not place.calls.exists()


def test_spot_ends_when_the_machine_does(place: Place) -> None:
    """Where everybody is sent SIGTERM, nothing is started once more."""
    place.put("python", f"echo $$ > {place.pid}\nexec sleep 60")
    process = place.start("bash", SPOT)
    while not (place.pid.exists() and place.pid.read_text()):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    os.kill(int(place.pid.read_text()), signal.SIGTERM)
    assert ended(process)[0] == 128 + signal.SIGTERM


def test_spot_gives_up(place: Place) -> None:
    """A training that cannot run is not tried for ever."""
    place.put("python", f"echo >> {place.calls}\nexit 3")
    process = place.start("bash", SPOT, ATTEMPTS="3", PAUSE_SECONDS="0")
    assert ended(process)[0] == 3
    assert place.calls.read_text() == "\n" * 3


@pytest.mark.parametrize("path", [SLURM, SPOT], ids=lambda path: path.name)
def test_shell(path: Path) -> None:
    """Bash can read it."""
    subprocess.run(["bash", "-n", path], check=True)


def test_slurm_sends_what_the_training_saves_at() -> None:
    """The signal of the job is one of the training's, early enough for its grace."""
    text = SLURM.read_text(encoding="utf-8")
    found = re.search(r"^#SBATCH --signal=(\w+)@(\d+)$", text, re.MULTILINE)
    assert found is not None
    assert signal.Signals[f"SIG{found[1]}"] in rule().signals
    assert int(found[2]) > (rule().grace_seconds or 0)


def test_kubernetes() -> None:
    """The objects fit one another, and the grace of the pod that of the training."""
    reason = "PyYAML is not installed: examples/kubernetes.yaml was NOT checked"
    yaml = pytest.importorskip("yaml", reason=reason)
    text = (EXAMPLES / "kubernetes.yaml").read_text(encoding="utf-8")
    claim, job = yaml.safe_load_all(text)
    assert (claim["kind"], job["kind"]) == ("PersistentVolumeClaim", "Job")
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never"  # as `podFailurePolicy` demands
    assert pod["terminationGracePeriodSeconds"] > rule().signals[signal.SIGTERM]
    (container,), (volume,) = pod["containers"], pod["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (mount,) = container["volumeMounts"]
    assert mount["name"] == volume["name"]
    python, script, directory = container["command"]
    assert python == "python"
    assert ROOT / script == TRAINING
    assert directory.startswith(f"{mount['mountPath']}/")


def rule() -> OnSignal:
    """Returns the rule about signals that the training has."""
    found = re.search(r"OnSignal\(.*\)", TRAINING.read_text(encoding="utf-8"))
    assert found is not None
    made = eval(found[0], {"OnSignal": OnSignal})
    assert repr(made) == BY_SIGNAL
    assert isinstance(made, OnSignal)
    return made


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_page_shows_the_file(path: Path) -> None:
    """What docs/resuming.rst prints is what is in `examples/`."""
    text = path.read_text(encoding="utf-8")
    shown = "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())
    assert shown in PAGE.read_text(encoding="utf-8")
