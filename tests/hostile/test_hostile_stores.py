"""Every hostile store there is a program for, met by everything that a store does."""

import json
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.stores import KINDS, scene
from tests.hostile.ward import MEMORY_BYTES
from tests.stores import ROOT

# Of the processor, for on a busy machine a clock on the wall measures others.
MOST_SECONDS = 2.0


@pytest.fixture(scope="module")
def ward() -> Iterator[subprocess.Popen[str]]:
    """A process that meets one store after the other, each in a fork of itself."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.hostile.ward"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Path]:
    """A directory for a store and what is beside it.

    In memory, where that can be: a hundred thousand files are soon made and removed.
    """
    if not os.access("/dev/shm", os.W_OK | os.X_OK):
        yield tmp_path
        return
    directory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield directory
    # No path that Python could give to the system is as long as some of these.
    subprocess.run(["rm", "-rf", str(directory)], check=True)


def state(directory: Path) -> dict[str, tuple[Any, ...]]:
    """Returns all that there is to know of what lies in a directory."""
    found = {}
    for path in [directory, *sorted(directory.rglob("*"))]:
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        found[str(path.relative_to(directory))] = (
            status.st_mode,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            content,
        )
    return found


def every() -> Iterator[Any]:
    """Yields the kinds; those that take seconds to make are for `make faults`."""
    for name, kind in KINDS.items():
        yield pytest.param(name, marks=[pytest.mark.long] if kind.heavy else [])


@pytest.mark.parametrize("name", every())
def test_a_hostile_store_does_nothing(
    name: str,
    ward: subprocess.Popen[str],
    tmp_path: Path,
    beside: Path,
    record_property: Any,
) -> None:
    """Documented errors and warnings, in time, in little memory, and nothing else."""
    record_property("faults", f"hostile stores: {len(KINDS)} kinds")
    kind = KINDS[name]
    place = scene(beside)
    kind.make(place)
    before = state(place.foreign)
    answer = tmp_path / "answer.json"
    question = {
        "root": str(place.root),
        "answer": str(answer),
        "as_user": kind.as_user,
        "few": kind.heavy,
    }
    assert ward.stdin is not None
    assert ward.stdout is not None
    print(json.dumps(question), file=ward.stdin, flush=True)
    status = json.loads(ward.stdout.readline())["status"]
    assert answer.exists(), f"killed with status {status}: it hangs, or worse"
    met = json.loads(answer.read_text())
    assert state(place.foreign) == before
    assert {path.name for path in beside.iterdir()} <= {
        "answer.json",
        "foreign",
        "store",
    }
    acts: dict[str, Any] = met["acts"]
    wrong = [f"{act}: {text}" for act, out in acts.items() for text in out["wrong"]]
    assert wrong == [], "\n".join(wrong)
    record_property("seconds", max(out["cpu"] for out in acts.values()))
    record_property("bytes", met["bytes"])
    slow = {act: out["cpu"] for act, out in acts.items() if out["cpu"] > MOST_SECONDS}
    assert slow == {}
    assert met["bytes"] < MEMORY_BYTES, {a: out["bytes"] for a, out in acts.items()}
    if kind.notices is not None:
        said = "\n".join(out["said"] for out in acts.values())
        assert re.search(kind.notices, said), said[:3000]
