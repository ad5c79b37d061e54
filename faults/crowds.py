"""Crowds: writers, one who prunes and one who loads, all on one store.

Real processes save real models with Keras, some of them killed or stopped at random.
All weights of a version are one number, which says who saved it in which epoch, so
that a reader can tell the right version from a wrong or a mixed one.

Who is told of a save writes it into a file of its own by one appending `write`: a
queue between processes would break with the first of them that is killed.
"""

import collections
import contextlib
import fcntl
import logging
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from faults.inspector import FOREIGN, inspect, put_foreign_file
from faults.outcome import Fault, Outcome, Skipped
from keras_versioned_ckpt.errors import (
    CheckpointWarning,
    StoreNotFoundError,
    VersionNotFoundError,
)
from keras_versioned_ckpt.retention import KeepBest, KeepLast
from keras_versioned_ckpt.store import CheckpointStore

# No wait of this package has a time-out, so that any would do. Most time-outs
# of others for a lock, such as that of SQLite in Python, are 5 s or less.
_STOP_SECONDS = 6.0
# How many saves a writer does in one way before it takes the other.
_TURN = 5
# The weights of a version are all this times the writer, plus the epoch.
_WRITER = 1000
# A crowd that takes longer is stuck.
_PATIENCE_SECONDS = 300


class _Size(NamedTuple):
    """How large a crowd is, what is done to it, and how long writers rest on average.

    Who rests is still at work when the last stop comes.
    """

    writers: int
    saves: int
    kills: int = 0
    stops: int = 0
    stop_seconds: float = _STOP_SECONDS
    pause_seconds: float = 0.0


class _Place(NamedTuple):
    """Where a crowd works, and where its members write what they saw."""

    store: Path
    notes: Path

    @property
    def over(self) -> Path:
        """The file that says that no writer is left."""
        return self.notes / "over"

    def told(self, writer: int) -> list[tuple[int, int]]:
        """Returns the epoch and number of each save that a writer was told of."""
        text = _text(self.notes / f"writer-{writer}")
        return [(int(e), int(n)) for e, n in map(str.split, text.splitlines())]

    def seen(self) -> list[list[int]]:
        """Returns each load: newest number before, newest after, and the weights."""
        text = _text(self.notes / "loads")
        return [[int(word) for word in line.split()] for line in text.splitlines()]

    def wrong(self) -> list[str]:
        """Returns what members died of."""
        return [_text(path) for path in sorted(self.notes.glob("wrong-*"))]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


# The members, each in a process of its own


def _member(act: Callable[..., None], place: _Place, name: str, *args: Any) -> None:
    """Does what a member does, and leaves a note if that fails."""
    # Nothing is ever damaged here, so that whoever says so is mistaken.
    warnings.simplefilter("error", CheckpointWarning)
    try:
        act(place, *args)
    except BaseException:
        (place.notes / f"wrong-{name}").write_text(f"{name}: {traceback.format_exc()}")
        raise


def _note(path: Path) -> Callable[[str], None]:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    return lambda line: (os.write(fd, f"{line}\n".encode()), None)[1]


class _News(logging.Handler):
    """Notes down the versions that `fit` says it has saved."""

    def __init__(self, note: Callable[[str], None]) -> None:
        super().__init__()
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        """Notes one of them down."""
        if match := re.match(r"Epoch (\d+): saved version_(\d+)", record.getMessage()):
            self._note(" ".join(match.groups()))


def _write(place: _Place, me: int, size: _Size) -> None:
    """Saves until this many saves were reported, in two ways by turns.

    All writers begin at once: who is alone for a second disturbs nobody.
    """
    import keras
    import numpy as np

    from keras_versioned_ckpt import VersionedCheckpoint, save_version

    class Sign(keras.callbacks.Callback):
        """Puts what says who and when into the weights, before they are saved."""

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            sign(epoch + 1)

    def sign(epoch: int) -> None:
        time.sleep(chance.uniform(0, 2 * size.pause_seconds))
        weights = model.get_weights()
        model.set_weights([np.full_like(w, me * _WRITER + epoch) for w in weights])

    chance = random.Random(me)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    x, y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    note = _note(place.notes / f"writer-{me}")
    log = logging.getLogger("keras_versioned_ckpt")
    log.setLevel(logging.INFO)
    log.addHandler(_News(note))
    keras.config.disable_interactive_logging()
    model.fit(x, y, verbose=0)
    (place.notes / f"ready-{me}").touch()
    while len(list(place.notes.glob("ready-*"))) < size.writers:
        time.sleep(0.005)
    while (done := len(place.told(me))) < size.saves:
        until = min(done + _TURN, size.saves)
        if (done // _TURN + me) % 2:
            checkpoint = VersionedCheckpoint(
                place.store, monitor="loss", verbose=1, metadata={"writer": me}
            )
            calls = [Sign(), checkpoint]
            options = {"epochs": until, "initial_epoch": done, "verbose": 0}
            model.fit(x, y, callbacks=calls, **options)
            continue
        for epoch in range(done + 1, until + 1):
            sign(epoch)
            version = save_version(
                model,
                place.store,
                epoch=epoch,
                metrics={"loss": float(epoch)},
                metadata={"writer": me},
            )
            note(f"{epoch} {version.number}")


def _prune(place: _Place, seed: int) -> None:
    """Prunes until no writer is left."""
    chance = random.Random(seed)
    policy = KeepLast(8) | KeepBest(2, "loss", "min")
    store = CheckpointStore(place.store, create=True)
    while not place.over.exists():
        store.prune(policy)
        time.sleep(chance.uniform(0, 0.02))


def _load(place: _Place, writers: int) -> None:
    """Loads `latest` until no writer is left, and notes what it got."""
    import numpy as np

    from keras_versioned_ckpt import load_latest

    def newest() -> int:
        return CheckpointStore(place.store).latest().number

    note = _note(place.notes / "loads")
    while not place.over.exists():
        any_saved = any(place.told(writer) for writer in range(writers))
        try:
            before = newest()
        except (StoreNotFoundError, VersionNotFoundError):
            # Once anybody was told of a version, "none yet" is a lie.
            if any_saved:
                raise
            time.sleep(0.01)
            continue
        model = load_latest(place.store)
        values = np.unique(np.concatenate([w.ravel() for w in model.get_weights()]))
        if len(values) != 1:
            raise AssertionError(f"weights of several versions in one: {values}")
        note(f"{before} {newest()} {int(values[0])}")


# Those who do something to them


class _Crowd:
    """The processes of one crowd.

    Args:
        place: Where they work.
        size: How many they are, and what is done to them.
        seed: What all that is random depends on.
    """

    def __init__(self, place: _Place, size: _Size, seed: int) -> None:
        self._place = place
        self._size = size
        self._chance = random.Random(seed)
        self._context = _context()
        self.kills = 0
        self.stops: list[str] = []
        self.problems: list[str] = []
        self._members: dict[str, Any] = {}
        self._writers = [f"writer {me}" for me in range(size.writers)]
        for me, name in enumerate(self._writers):
            self._start(name, _write, me, size)
        self._start("pruner", _prune, seed)
        self._start("loader", _load, size.writers)

    def _start(self, name: str, act: Callable[..., None], *args: Any) -> None:
        process = self._context.Process(
            target=_member, args=(act, self._place, name, *args), name=name
        )
        process.start()
        self._members[name] = process

    def run(self) -> None:
        """Does what is to be done to them, and waits for their end."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        try:
            for _ in range(self._size.kills):
                self._kill_one(deadline)
            for i in range(self._size.stops):
                # The first of them holds the store's lock, and every second after.
                self._stop_one(deadline, holder=i % 2 == 0)
            for name in self._writers:
                self._members[name].join(max(0, deadline - time.monotonic()))
            self._place.over.touch()
            for name, process in self._members.items():
                process.join(max(1, min(60, deadline - time.monotonic())))
                if process.exitcode != 0:
                    self.problems.append(f"{name} ended with {process.exitcode}")
        finally:
            for process in self._members.values():
                if process.is_alive():
                    os.kill(process.pid, signal.SIGCONT)
                    process.kill()
                process.join()

    def _told(self) -> int:
        return sum(len(self._place.told(me)) for me in range(self._size.writers))

    def _kill_one(self, deadline: float) -> None:
        """Kills a writer that is in its work, and starts it again."""
        unfinished = [
            me
            for me in range(self._size.writers)
            if len(self._place.told(me)) < self._size.saves
        ]
        if not unfinished:
            return
        me = self._chance.choice(unfinished)
        # Most of a writer's life goes by until it begins: that a kill strikes there
        # shows little.
        before = len(self._place.told(me))
        while len(self._place.told(me)) <= before:
            if len(self._place.told(me)) >= self._size.saves:
                return
            if not self._members[self._writers[me]].is_alive():
                return
            if time.monotonic() > deadline:
                return
            time.sleep(0.002)
        time.sleep(self._chance.uniform(0, 0.1))
        process = self._members[self._writers[me]]
        process.kill()
        process.join()
        self.kills += process.exitcode == -signal.SIGKILL
        self._start(self._writers[me], _write, me, self._size)

    def _stop_one(self, deadline: float, *, holder: bool) -> None:
        """Stops a member for longer than any time-out, and lets it go on.

        Args:
            deadline: When to give up.
            holder: Whether it is to be one that holds the store's lock.
        """
        begun = self._told()
        while self._told() <= begun and self._writing() and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(self._chance.uniform(0, 0.05))
        name = self._stopped_holder(deadline) if holder else self._stopped_one()
        if name is None:
            return
        loads = len(self._place.seen())
        until = time.monotonic() + self._size.stop_seconds
        while time.monotonic() < until:
            time.sleep(0.05)
        # Reading takes no lock: who loads goes on while all others wait.
        while name != "loader" and len(self._place.seen()) <= loads:
            if time.monotonic() > deadline or not self._members["loader"].is_alive():
                self.problems.append(f"nothing was loaded while {name} was stopped")
                break
            time.sleep(0.05)
        if holder and _holder(self._place.store) != self._members[name].pid:
            self.problems.append(f"{name} lost the lock while it was stopped")
        os.kill(self._members[name].pid, signal.SIGCONT)
        self.stops.append(f"{name}, which held the lock" if holder else name)

    def _writing(self) -> bool:
        return any(self._members[name].is_alive() for name in self._writers)

    def _stopped_one(self) -> str | None:
        name = self._chance.choice(list(self._members))
        if not self._members[name].is_alive():
            return None
        os.kill(self._members[name].pid, signal.SIGSTOP)
        return name

    def _stopped_holder(self, deadline: float) -> str | None:
        """Stops who holds the store's lock; the lock may be gone before the stop."""
        while self._writing() and time.monotonic() < deadline:
            names = {process.pid: n for n, process in self._members.items()}
            pid = _holder(self._place.store)
            if pid not in names:
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                if _is_stopped(pid) and _holder(self._place.store) == pid:
                    return names[pid]
                os.kill(pid, signal.SIGCONT)
        return None


def _holder(store: Path) -> int | None:
    """Returns who holds the store's lock by what the kernel says."""
    try:
        inode = (store / ".versions" / "lock").stat().st_ino
    except FileNotFoundError:
        return None
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        # An arrow stands before those who wait.
        if words[1] != "->" and words[5].split(":")[-1] == str(inode):
            return int(words[4])
    return None


def _is_stopped(pid: int) -> bool:
    """Waits until a signal has stopped a process; says whether it has."""
    for _ in range(1000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if state == "T":
            return True
        if state in "ZX":
            return False
        time.sleep(0.001)
    return False


def _context() -> Any:
    """Returns what starts processes: a fork of one that has Keras imported.

    To import it anew takes seconds, in which the others would be done. TensorFlow may
    be forked as long as nothing was computed, and the server computes nothing.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    context = multiprocessing.get_context("forkserver")
    package = ("callback", "loading", "saving", "_pruning", "_inspection")
    modules = [f"keras_versioned_ckpt.{name}" for name in package]
    context.set_forkserver_preload(["keras", *modules, "faults.crowds"])
    return context


# What is looked at when all is over


_IS_FREE = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


def _looked_at(place: _Place, size: _Size, point: str) -> list[Outcome]:
    """Returns an outcome for every save that was told, and one for all together."""
    warnings.simplefilter("error", CheckpointWarning)
    told = [(me, e, n) for me in range(size.writers) for e, n in place.told(me)]
    wrong = place.wrong()
    # A process that knows nothing of this package asks for the lock.
    lock = place.store / ".versions" / "lock"
    free = [sys.executable, "-c", _IS_FREE, str(lock)]
    if subprocess.run(free, capture_output=True, check=False).returncode != 0:
        wrong.append("the store's lock is still held")

    store = CheckpointStore(place.store)
    of = {v.number: v for v in (entry.version for entry in store.history)}
    signs = {n: _sign(v) for n, v in of.items()}
    uses = collections.Counter(number for _, _, number in told)
    outcomes = []
    for writer, epoch, number in told:
        why = ""
        if uses[number] > 1:
            why = f"the number {number} was given {uses[number]} times"
        elif signs.get(number) != writer * _WRITER + epoch:
            why = f"the version {number} is that of {signs.get(number)}"
        outcomes.append(Outcome(f"{point}: writer {writer}, save {epoch}", wrong=why))

    for writer in range(size.writers):
        epochs = [epoch for epoch, _ in place.told(writer)]
        if epochs != list(range(1, size.saves + 1)):
            wrong.append(f"writer {writer} was told of the saves {epochs}")
    loads = place.seen()
    if not loads:
        wrong.append("nothing was loaded")
    for before, after, sign in loads:
        if sign not in {signs.get(n) for n in range(before, after + 1)}:
            wrong.append(f"{sign} was loaded between the saves {before} and {after}")
    numbers = {number for _, _, number in told}
    outcomes.append(inspect(place.store, point, reported=numbers, load=True))
    if wrong:
        outcomes.append(Outcome(point, wrong="; ".join(wrong)))
    return outcomes


def _sign(version: Any) -> int:
    return version.metadata["writer"] * _WRITER + version.epoch


def _tried(place: Path, size: _Size, what: str) -> Iterator[Outcome]:
    if sys.platform != "linux" or not hasattr(fcntl, "flock"):
        raise Skipped("who holds a lock is read from /proc")
    inner = place / what
    inner.mkdir()
    where = _Place(inner / "around" / "store", inner / "notes")
    where.notes.mkdir()
    where.store.parent.mkdir()
    put_foreign_file(where.store)
    assert (where.store.parent / FOREIGN).exists()
    crowd = _Crowd(where, size, seed=len(what))
    crowd.run()
    with ProcessPoolExecutor(1, mp_context=_context()) as pool:
        outcomes = pool.submit(_looked_at, where, size, what).result()
    yield from outcomes
    # A crowd to which nothing was done shows nothing.
    wrong = list(crowd.problems)
    if crowd.kills < size.kills:
        wrong.append(f"{crowd.kills} kills of {size.kills} struck")
    if len(crowd.stops) < size.stops:
        wrong.append(f"{len(crowd.stops)} stops of {size.stops} struck")
    if wrong:
        yield Outcome(what, wrong="; ".join(wrong))
    print(
        f"    {what}: {len(outcomes)} points, {len(where.seen())} loads, "
        f"{crowd.kills} kills, stopped: {', '.join(crowd.stops) or 'none'}",
        flush=True,
    )


def plain(place: Path, quick: bool) -> Iterator[Outcome]:
    """Lets a crowd work undisturbed."""
    yield from _tried(place, _Size(2, 10) if quick else _Size(4, 50), "plain")


def killed(place: Path, quick: bool) -> Iterator[Outcome]:
    """Kills writers at random; each starts again until all its saves are told."""
    size = _Size(2, 10, kills=2) if quick else _Size(4, 50, kills=20)
    yield from _tried(place, size, "killed")


def stopped(place: Path, quick: bool) -> Iterator[Outcome]:
    """Stops members at random, and such as hold the store's lock."""
    size = _Size(4, 50, stops=6, pause_seconds=0.5)
    if quick:
        size = _Size(2, 10, stops=1, stop_seconds=1.0)
    yield from _tried(place, size, "stopped")


FAULTS: dict[str, Fault] = {
    "a crowd": plain,
    "a crowd, writers killed": killed,
    "a crowd, members stopped": stopped,
}
