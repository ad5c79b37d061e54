"""A long training: thousands of saves, after which everything is as in the beginning.

`fit` saves after every epoch and keeps five versions; after each save, the process and
its store are measured. The same `fit` without saving says what grows by itself.
"""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from faults.inspector import inspect
from faults.outcome import Fault, Outcome

_SAVES, _QUICK_SAVES = 2000, 60
_KEEP = 5
# What memory may grow by from the first hundred to the last, beyond what `fit` grows
# by without a save. The history alone, of which all is known, takes a few MB.
_MEMORY_BYTES = 20_000_000
# The median may be this many times longer; a disk that others use is not faster.
_SLOWER = 1.5
_NAMES = ("fds", "threads", "memory", "store", "room", "ledger", "seconds")


# In the process that trains


def _measured(directory: Path, threads: int, seconds: float) -> list[float]:
    memory = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    sizes = {p: p.stat().st_size for p in directory.rglob("*") if p.is_file()}
    # Its lines are the memory of what is gone, and its index is a cache of them.
    ledger = sum(size for p, size in sizes.items() if p.name.startswith("ledger"))
    # The history of the training is in each version, and longer after each epoch.
    states = sum(s for p, s in sizes.items() if p.name.startswith("training_state"))
    room = sum(size for p, size in sizes.items() if p.parts[-2] == ".versions")
    return [
        len(os.listdir("/proc/self/fd")),
        threads,
        int(memory[1]) * 1024 if memory else 0,
        sum(sizes.values()) - room - states,
        room - ledger,
        ledger,
        seconds,
    ]


def _train(directory: str, saves: int, keep: int) -> None:
    """Trains, and prints what was measured after each epoch."""
    import keras
    import numpy as np

    from keras_versioned_ckpt import VersionedCheckpoint

    place = Path(directory)
    rows: list[list[float]] = []
    threads, began = 0, 0.0

    class Begin(keras.callbacks.Callback):
        """Looks at the threads and the clock before the save."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            nonlocal threads, began
            # A whole epoch after the last save: the kernel may show a thread for a
            # moment longer than Python waits for it.
            threads = len(os.listdir("/proc/self/task"))
            began = time.monotonic()

    class Measure(keras.callbacks.Callback):
        """Waits until the save is on the disk, and measures."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if keep:
                checkpoint.wait()
            rows.append(_measured(place, threads, time.monotonic() - began))

    checkpoint = VersionedCheckpoint(place, monitor="loss", keep_last=keep or 1)
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    model.compile("adam", "mse")
    x, y = np.ones((8, 8), "float32"), np.ones((8, 4), "float32")
    middle = [checkpoint] if keep else []
    calls = [Begin(), *middle, Measure()]
    model.fit(x, y, epochs=saves, verbose=0, callbacks=calls)
    print(json.dumps(rows))


# In the process that judges


def _run(place: Path, saves: int, keep: int) -> list[dict[str, float]]:
    path = os.pathsep.join(filter(None, sys.path))
    env = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    env.setdefault("KERAS_BACKEND", "tensorflow")
    code = "import json, sys; from faults import endurance as e; e._train"
    arguments = json.dumps([str(place), saves, keep])
    done = subprocess.run(
        [sys.executable, "-c", f"{code}(*json.loads(sys.argv[1]))", arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
        env=env,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    rows = json.loads(done.stdout.splitlines()[-1])
    return [dict(zip(_NAMES, row, strict=True)) for row in rows]


def _middle(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: median(row[name] for row in rows) for name in _NAMES}


def _text(rows: dict[str, float], per_save: float) -> str:
    return (
        f"{rows['fds']:.0f} files, {rows['threads']:.0f} threads, "
        f"{rows['memory'] / 1e6:.1f} MB, store {rows['store']:.0f} B "
        f"+ {rows['room']:.0f} B, {rows['seconds'] * 1000:.1f} ms a save, "
        f"ledger {rows['ledger']:.0f} B ({per_save:.0f} B a save)"
    )


def endurance(place: Path, quick: bool) -> Iterator[Outcome]:
    """Saves thousands of times in one training, and says what grew."""
    saves = _QUICK_SAVES if quick else _SAVES
    (place / "without").mkdir()
    directory = place / "store"
    with_saves = _run(directory, saves, _KEEP)
    without = [] if quick else _run(place / "without", saves, 0)
    # The first save traces and opens; until five are kept, the store must grow.
    part = min(100, saves // 3)
    first = _middle(with_saves[_KEEP + 1 : _KEEP + 1 + part])
    last = _middle(with_saves[-part:])
    grown = last["memory"] - first["memory"]
    alone = 0.0
    if without:
        begin = _middle(without[_KEEP + 1 : _KEEP + 1 + part])
        alone = _middle(without[-part:])["memory"] - begin["memory"]
    per_save = (with_saves[-1]["ledger"] - with_saves[0]["ledger"]) / (saves - 1)
    print(f"    first {part}: {_text(first, per_save)}")
    print(f"    last {part}:  {_text(last, per_save)}")
    print(f"    memory grew by {grown / 1e6:.1f} MB, without saving {alone / 1e6:.1f}")
    wrong = [
        f"{name} went from {first[name]} to {last[name]}"
        for name in ("fds", "threads")
        if last[name] > first[name]
    ]
    # Numbers in names and manifests get more digits, and so do counters.
    if last["store"] > 1.01 * first["store"] or last["room"] > 1.01 * first["room"]:
        wrong.append(
            f"the store grew from {first['store']} + {first['room']} "
            f"to {last['store']} + {last['room']} bytes beside its ledger"
        )
    if grown - max(alone, 0.0) > _MEMORY_BYTES:
        wrong.append(f"memory grew by {grown} bytes, without saving by {alone}")
    # Of a few saves the time says more about the machine than about them.
    if not quick and last["seconds"] > _SLOWER * first["seconds"]:
        wrong.append(f"a save took {first['seconds']}, then {last['seconds']} s")
    numbers = range(1, len(with_saves) + 1)
    outcome = inspect(directory, f"{saves} saves", reported=numbers, load=True)
    why = "; ".join(filter(None, [*wrong, outcome.wrong]))
    # Each save is a point; what is wrong with all of them is told of the last.
    for number in numbers[:-1]:
        yield Outcome(f"save {number}")
    yield outcome._replace(wrong=why)


FAULTS: dict[str, Fault] = {"thousands of saves": endurance}
