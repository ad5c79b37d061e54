"""A training that is killed again and again goes on to the very same end.

A process trains and saves every few batches; it is killed by SIGKILL at a moment that
nobody chose, and started again, until it is done. What comes of it (weights, slots of
the optimizer, history, decisions of callbacks) must equal, bit for bit, what comes of a
process that nobody kills.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faults.outcome import Fault, Outcome
from keras_versioned_ckpt.store import CheckpointStore

_KILLS, _QUICK_KILLS = 20, 3
# Each batch takes this long, so that the training outlives all its kills.
_PAUSE_SECONDS = 0.02
_EPOCHS, _QUICK_EPOCHS = 80, 12
# Of a life, from its first batch on.
_LONGEST_SECONDS, _QUICK_LONGEST_SECONDS = 1.2, 0.4
_END_SECONDS = 180


def _started(store: Path, kind: str, quick: bool) -> Any:
    options = {
        "kind": kind,
        "epochs": _QUICK_EPOCHS if quick else _EPOCHS,
        "pause_seconds": _PAUSE_SECONDS,
        "patience": _EPOCHS,
        "save_freq": 3,
        "keep_last": 3,
    }
    words = [f"{name}={json.dumps(value)}" for name, value in options.items()]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training", str(store), *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def _result(process: Any) -> dict[str, Any]:
    out, _ = process.communicate(timeout=_END_SECONDS)
    if process.returncode != 0:
        return {"status": process.returncode}
    return dict(json.loads(out.splitlines()[-1]))


def _killed(place: Path, quick: bool, kind: str) -> Iterator[Outcome]:
    drawn = random.Random(17)
    straight = _result(_started(place / "straight", kind, quick))
    store = place / "store"
    for number in range(_QUICK_KILLS if quick else _KILLS):
        process = _started(store, kind, quick)
        process.stdout.readline()
        longest = _QUICK_LONGEST_SECONDS if quick else _LONGEST_SECONDS
        seconds = drawn.uniform(0, longest)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        yield Outcome(
            f"{kind}, kill {number + 1}, after {seconds:.2f} s",
            torn=_torn(store),
            wrong="" if process.returncode == -signal.SIGKILL else "it had ended",
        )
    found = _result(_started(store, kind, quick))
    different = [name for name in straight if found.get(name) != straight[name]]
    last = CheckpointStore(store).latest() if store.exists() else None
    epoch = _QUICK_EPOCHS if quick else _EPOCHS
    if last is None or last.epoch not in (epoch, epoch - 1):
        different.append("the last version")
    yield Outcome(f"{kind}, the end", torn=_torn(store), wrong=", ".join(different))


def _torn(store: Path) -> int:
    """Returns how many versions are not what they were saved as."""
    if not store.exists():
        return 0  # killed before the first save
    problems = CheckpointStore(store).verify().problems
    return len([problem for problem in problems if problem.kind == "version"])


def _at_random(place: Path, quick: bool) -> Iterator[Outcome]:
    for kind in ("arrays",) if quick else ("arrays", "shuffled"):
        (place / kind).mkdir()
        yield from _killed(place / kind, quick, kind)


FAULTS: dict[str, Fault] = {"kill, resume": _at_random}
