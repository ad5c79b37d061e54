"""Compares a store of 10,000 versions with a small one, and with the disk itself.

    python benchmarks/store.py [DIRECTORY]

The stores are made in DIRECTORY, by default the current one, which should be on an
ordinary disk: where flushing a file costs nothing, as in memory, saving looks slower
than it is. The large one is written through the package's own encoders without
flushing; its last version is saved as any other is, so that it is as such a store is.

What is compared is done in turn, so that a slow moment of the machine hits both alike.
What is printed are medians of 15 rounds, and their ratios beside the targets of the
project.
"""

import hashlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import keras_versioned_ckpt
from keras_versioned_ckpt import ledger, manifest
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.store import CheckpointStore

MANY, FEW = 10_000, 10
ROUNDS = 15
PAYLOAD = b"weights"


def version(number: int, chance: random.Random) -> Version:
    """Returns a version as the callback records it, with five metrics."""
    names = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    return Version(
        number=number,
        created=datetime(2025, 1, 1, tzinfo=UTC) + number * timedelta(minutes=7),
        run_id="0123456789abcdef0123456789abcdef",
        parent=number - 1 or None,
        epoch=number,
        step=100 * number,
        metrics={name: chance.random() for name in names},
        monitor="val_loss",
        mode="min",
        modes={
            name: "max" if name.endswith("accuracy") else "min" for name in names[:4]
        },
        size_bytes=len(PAYLOAD),
    )


def save(store: CheckpointStore) -> None:
    """Saves one more version."""
    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(PAYLOAD)
        facts = {"metrics": {"val_loss": 0.5}, "monitor": "val_loss", "mode": "min"}
        store.commit(staged, **facts)


def made(directory: Path, count: int) -> CheckpointStore:
    """Returns a store of so many versions."""
    CheckpointStore(directory, create=True)
    layout = Layout(directory)
    store_id = CheckpointStore(directory)._room.store_id
    sha256 = hashlib.sha256(PAYLOAD).hexdigest()
    files = {"model.keras": manifest.File(size=len(PAYLOAD), sha256=sha256)}
    chance = random.Random(0)
    versions = [version(number, chance) for number in range(1, count)]
    for one in versions:
        text = manifest.encode(
            manifest.Manifest(store_id=str(store_id), version=one, files=files)
        )
        path = directory / one.name
        path.mkdir()
        (path / "model.keras").write_bytes(PAYLOAD)
        (path / manifest.FILENAME).write_bytes(text)
    lines = [ledger.encode(ledger.Committed(one)) for one in versions]
    layout.ledger.write_bytes(b"".join(lines))
    store = CheckpointStore(directory)
    save(store)
    return store


def read_and_list(store: CheckpointStore) -> None:
    """Does what no store can do without."""
    with open(Layout(store.path).ledger, "rb", buffering=0) as file:
        file.read()
    list(os.scandir(store.path))


def open_and_ask(store: CheckpointStore) -> None:
    """Opens a store anew and asks for the latest and the best version."""
    opened = CheckpointStore(store.path)
    opened.latest()
    opened.best()


def save_and_prune(store: CheckpointStore, policy: KeepLast) -> None:
    """Saves a version, for which another one goes."""
    save(store)
    assert len(store.prune(policy).remove) == 1


def run(*words: object) -> None:
    """Runs this Python in a process of its own, which can see this package."""
    # Bytecode is kept, as it is for whoever installs the package.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE"
    }
    environment["PYTHONPATH"] = str(Path(keras_versioned_ckpt.__file__).parents[1])
    subprocess.run(
        [sys.executable, *map(str, words)],
        check=True,
        stdout=subprocess.DEVNULL,
        env=environment,
    )


def milliseconds(action: Callable[[], object]) -> float:
    """Returns how long one call of `action` takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def measure(directory: Path) -> None:
    """Measures in a directory, and prints."""
    many, few = made(directory / "many", MANY), made(directory / "few", FEW)
    # A directory that changed just now is listed for each question anew.
    time.sleep(2.5)
    command = ("-m", "keras_versioned_ckpt")
    compare(
        "read the ledger, list the directory",
        lambda: read_and_list(many),
        {"open, latest, best": (3, lambda: open_and_ask(many))},
    )
    compare(
        f"save and prune, {FEW} versions",
        lambda: save_and_prune(few, KeepLast(FEW)),
        {
            f"save and prune, {MANY} versions": (
                2,
                lambda: save_and_prune(many, KeepLast(MANY)),
            )
        },
    )
    compare(
        "python -c pass",
        lambda: run("-c", "pass"),
        {
            "keras-ckpt list": (3, lambda: run(*command, "list", few.path)),
            "keras-ckpt path": (3, lambda: run(*command, "path", few.path, "best")),
        },
    )


def compare(
    base: str,
    measure: Callable[[], object],
    others: dict[str, tuple[int, Callable[[], object]]],
) -> None:
    """Does everything in turn, and prints the medians and their ratios to the base."""
    actions = {base: measure, **{name: action for name, (_, action) in others.items()}}
    for action in actions.values():
        action()  # the first time is another matter
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(ROUNDS):
        for name, action in actions.items():
            times[name].append(milliseconds(action))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    print(f"{base:<36} {medians[base]:7.2f} ms")
    for name, (target, _) in others.items():
        ratio = medians[name] / medians[base]
        print(f"{name:<36} {medians[name]:7.2f} ms {ratio:5.2f} x  (target: {target})")


def main() -> None:
    """Measures in a directory that is gone afterwards."""
    place = sys.argv[1] if len(sys.argv) > 1 else "."
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=place) as directory:
        measure(Path(directory).absolute())


if __name__ == "__main__":
    main()
