"""Loads hostile payloads one after the other, and says what each of them did.

A process of its own, so that one that hangs, takes all memory, or kills the process
is seen and not suffered.
"""

import ctypes
import gc
import json
import os
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.forging import Honest, forge
from tests.hostile.payloads import KINDS
from tests.stores import tree

WAYS = (
    *("load_version", "load_latest", "load_latest strict", "load into a model"),
    *("version.load", "load unverified", "verify", "compare"),
)


def serve(root: Path) -> None:
    """Reads names of kinds, one a line, and answers each with a line of JSON."""
    import keras

    from keras_versioned_ckpt import load_latest, load_version
    from keras_versioned_ckpt._comparing import compare

    warnings.simplefilter("ignore")
    honest = Honest((root / "honest.keras").read_bytes(), root / "marker")
    honest_version = forge(root / "honest", "keras", honest.payload)[1]
    model = honest_version.load()
    assert isinstance(model, keras.Model)
    # What is made once in a process is made now.
    for way in (
        lambda: load_latest(root / "honest", model=model),
        lambda: load_latest(root / "honest", strict=True, verify=False),
        lambda: compare(honest_version, honest_version),
    ):
        way()
    # Keras and its backend are many objects, and looked through each time.
    gc.freeze()
    say({"ready": True})
    for line in sys.stdin:
        kind = KINDS[line.strip()]
        store = forge(root / "stores" / kind.name, kind.format, kind.make(honest))
        path = store.path
        version = store[1]
        ways: dict[str, Callable[[], Any]] = dict(
            zip(
                WAYS,
                (
                    lambda path=path: load_version(path, 1),
                    lambda path=path: load_latest(path),
                    lambda path=path: load_latest(path, strict=True),
                    lambda path=path: load_version(path, 1, model=model),
                    version.load,
                    lambda path=path: load_version(path, 1, verify=False),
                    lambda store=store: store.verify(),
                    lambda version=version: compare(version, version),
                ),
                strict=True,
            )
        )
        gc.collect()
        results: dict[str, Any] = {way: tried(ways[way], root) for way in WAYS}
        say({**results, "size_bytes": version.size_bytes})
        shutil.rmtree(path)


def tried(act: Callable[[], Any], root: Path) -> dict[str, Any]:
    """Runs one way to load, and returns what came of it and what it took."""
    before = tree(root)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    start_kib = memory_kib("VmRSS")
    error = cause = None
    started = time.perf_counter()
    try:
        act()
    except BaseException as caught:
        error, cause = caught, caught.__cause__
    seconds = time.perf_counter() - started
    grown_kib = memory_kib("VmHWM") - start_kib
    after = tree(root)
    return {
        "mro": [kind.__name__ for kind in type(error).__mro__],
        "message": str(error)[:2000],
        "cause": type(cause).__name__,
        "seconds": seconds,
        "mib": grown_kib / 1024,
        "changed": sorted(
            name
            for name in before.keys() | after.keys()
            if before.get(name, 0) != after.get(name, 0)
        ),
    }


def memory_kib(what: str) -> int:
    """Returns a line of the system's about this process."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{what}:")[1].split()[0])


def say(what: dict[str, Any]) -> None:
    """Writes a line that the other side waits for."""
    os.write(int(sys.argv[2]), json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
