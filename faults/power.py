"""A power cut at every system call that touches a store, on real file systems.

A kill proves nothing about flushing, for what a process wrote outlives it. Here the
file system goes down together with it: the process is stopped right after a call, the
disk loses its power, and what is left after a new mount is looked at. Where a thread
begins and where the work has ended are points as well.
"""

import contextlib
import gc
import hashlib
import os
import queue
import re
import shutil
import signal
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from faults import inspector, strace, workloads
from faults.disks import KINDS, Disk
from faults.outcome import Fault, Outcome
from faults.strace import Attached, Call
from keras_versioned_ckpt.errors import CheckpointError, CheckpointWarning
from keras_versioned_ckpt.store import CheckpointStore

# On the disk; beside the store nothing may appear.
_STORE = Path("place") / "store"
# What is the first in its directory, which is made with it.
_FIRST = Path("place") / "runs" / "store"
_TOKEN = re.compile(r"[0-9a-f]{32}|(?<=\.)[0-9a-f]{8}$")
# A call is tried again where another thread had the struck one make a call more.
_ATTEMPTS = 3


class Point(NamedTuple):
    """Where the power is cut.

    Args:
        thread: 0 for the main one, 1 for the first of this package's, and so on.
        call: Right after which call, or `None` for the end of the work.
    """

    thread: int
    call: Call | None


# The process that works, and the one that looks


def _serve(channel: Connection, synced: bool) -> None:
    """Runs workloads; the whole life of the process that works."""
    # A disk that is dead is what this is about.
    warnings.simplefilter("ignore", CheckpointWarning)
    idle = threading.Thread(target=threading.Event().wait, daemon=True)
    idle.start()
    channel.send(idle.native_id)
    # One network for all runs: what takes the time of a short `fit` is to compile it.
    workloads.network = cache(workloads.network)
    for name, work in (workloads.WORKLOADS | {"first save": workloads.save}).items():
        workloads.WORKLOADS[name] = partial(_telling, work)
    if not synced:
        _leave_out_fsync_of_payloads()
    workloads._serve(channel)


def _telling(
    work: Callable[..., None], directory: Path, report: workloads.Report
) -> None:
    """Runs a workload that reports each success as soon as the store knows of it.

    The callback and `save_version` report later, and so promise no more.
    """
    words: dict[str, Callable[..., tuple[Any, ...]]] = {
        "commit": lambda version, *_: ("saved", version.number),
        "prune": lambda plan, *_: ("gone", *(v.number for v in plan.remove)),
        "delete": lambda _, number: ("gone", number),
        "tag": lambda version, _, tag: ("tagged", tag, version.number),
        "untag": lambda _, tag: ("tagged", tag, None),
        "repair": lambda *_: ("repaired",),
    }
    plain = {name: getattr(CheckpointStore, name) for name in words}

    def telling(name: str) -> Callable[..., Any]:
        def method(store: CheckpointStore, *args: Any, **options: Any) -> Any:
            report("begun", name)
            result = plain[name](store, *args, **options)
            report(*words[name](result, *args))
            return result

        return method

    for name in words:
        setattr(CheckpointStore, name, telling(name))
    try:
        work(directory, lambda *_: None)
    finally:
        for name, method in plain.items():
            setattr(CheckpointStore, name, method)


def _leave_out_fsync_of_payloads() -> None:
    """Flushes all but the model's file: the mistake that a kill cannot show."""
    fsync = os.fsync

    def without_payloads(fd: int) -> None:
        if not os.readlink(f"/proc/self/fd/{fd}").endswith(".keras"):
            fsync(fd)

    os.fsync = without_payloads


class _Worker(workloads.Subject):
    """A process that works, and that can be stopped at a call and outlives the cut."""

    def __init__(self, synced: bool) -> None:
        self._channel, theirs = workloads._context.Pipe()
        self.process = workloads._context.Process(
            target=_serve, args=(theirs, synced), daemon=True
        )
        self.process.start()
        theirs.close()
        self._idle = self._channel.recv()

    @contextlib.contextmanager
    def stopped(
        self, workload: str, directory: Path, thread: int, call: Call
    ) -> Iterator[list[tuple[Any, ...]] | None]:
        """Stops right after a call, and gives what was reported by then.

        At the end of the block the process goes on, and may find its disk dead.
        `None` is given where it was not stopped, or not there.
        """
        said: list[tuple[Any, ...]] = []
        tracer: Attached | None = None
        self._channel.send((workload, directory, thread))
        ended = False
        until = time.monotonic() + self.PATIENCE_SECONDS
        while not ended and not self._is_stopped():
            if time.monotonic() > until:
                raise RuntimeError(f"{workload} hangs before {call}; it said {said}")
            if self._channel.poll(0.001):
                word = self._channel.recv()
                if word[0] == "gate":
                    inject = f"{call.name}:signal=SIGSTOP:when={call.count}"
                    tracer = Attached(word[1], inject)
                    self._channel.send("go")
                ended = word[0] == "end"
                said.append(word)
        while not ended and self._channel.poll():
            said.append(self._channel.recv())
        record = tracer.end() if tracer else ""
        struck = strace.calls_on(record, directory)[-1:]
        same = [_masked(c, directory) for c in struck] == [call]
        try:
            yield said if same and not ended else None
        finally:
            if not ended:
                assert self.process.pid is not None
                os.kill(self.process.pid, signal.SIGCONT)
                while self._channel.recv()[0] != "end":
                    pass

    def _is_stopped(self) -> bool:
        # By a thread that nobody traces: those that are traced stop at every call.
        text = Path(f"/proc/{self._idle}/stat").read_text()
        return text.rpartition(")")[2].split()[0] == "T"


def _masked(call: Call, store: Path) -> Call:
    """Returns a call without what differs from run to run, and from disk to disk."""
    path = os.path.relpath(call.path, store)
    return call._replace(path=_TOKEN.sub("TOKEN", path))


def _look(channel: Connection) -> None:
    """Inspects stores; the whole life of the process that looks."""
    warnings.simplefilter("ignore", CheckpointWarning)
    gc.freeze()
    while True:
        workload, directory, point, reported, said = channel.recv()
        try:
            outcome = _inspected(workload, directory, point, reported, said)
        except Exception as error:
            text = "".join(traceback.format_exception(error))
            outcome = Outcome(point, wrong=f"the inspection failed: {text}")
        # What is loaded lies in a mapping of its file, and would keep the disk busy.
        gc.collect()
        channel.send(outcome)


def _inspected(
    workload: str,
    directory: Path,
    point: str,
    reported: set[int],
    said: list[tuple[Any, ...]],
) -> Outcome:
    store = CheckpointStore(directory, create=not reported)
    wrong = _broken_words(store, said)
    if workload == "repair":
        # A repair that was cut short is completed by the next one.
        store.repair()
    if workload in (*workloads.WITH_KERAS, "first save"):
        wrong += _not_loading(store)
    outcome = inspector.inspect(directory, point, reported=reported)
    wrong += [outcome.wrong] if outcome.wrong else []
    return outcome._replace(wrong="; ".join(wrong))


# The hashes of the files of which Keras has made a model in this process.
_LOADED: set[str] = set()


def _not_loading(store: CheckpointStore) -> list[str]:
    """Returns the versions that do not load, and why.

    One whose file is equal to one that was loaded before is not loaded again.
    """
    wrong = []
    for version in store:
        file = Path(str(version.path)) / "model.keras"
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        if sha256 not in _LOADED:
            try:
                version.load()
            except CheckpointError as error:
                wrong.append(f"version {version.number} does not load: {error}")
            else:
                _LOADED.add(sha256)
    return wrong


def _broken_words(store: CheckpointStore, said: list[tuple[Any, ...]]) -> list[str]:
    """Returns what was reported before the power went, and is not so."""
    wrong = []
    listed = {version.number for version in store}
    for what, *facts in said:
        if what == "gone" and (back := listed.intersection(facts)):
            wrong.append(f"versions {sorted(back)} were removed and are back")
        if what == "repaired" and (problems := store.verify().problems):
            wrong.append(f"after the repair: {list(map(str, problems))}")
    last = [word for word in said if word[0] in ("tagged", "begun")][-1:]
    # While a tag is moved it may be on either version.
    if last and last[0][0] == "tagged":
        _, tag, number = last[0]
        there = store.tags[tag].number if tag in store.tags else None
        if there != number:
            wrong.append(f"the tag {tag} is on {there} and was put on {number}")
    return wrong


# The sweep


class _Bench:
    """A disk, a process that works on it, and one that looks at what is left."""

    def __init__(self, kind: str, place: Path, workload: str, synced: bool) -> None:
        strace.check_available()
        self._workload = workload
        self._synced = synced
        self._disk = Disk(kind, place)
        self.directory = self._disk.path / (
            _FIRST if workload == "first save" else _STORE
        )
        self._fill()
        self._worker = _Worker(synced)
        self._looker, theirs = workloads._context.Pipe()
        self._looking = workloads._context.Process(
            target=_look, args=(theirs,), daemon=True
        )
        self._looking.start()
        theirs.close()
        self._warm_up()

    def _fill(self) -> None:
        with self._disk.filling() as disk:
            store = disk / _STORE
            store.parent.mkdir()
            if self._workload == "first save":
                return
            shutil.copytree(_template(), store)
            inspector.put_foreign_file(store)
            if self._workload == "repair":
                workloads.damage(store)

    def _warm_up(self) -> None:
        """Lets the worker import and compile what every later run then finds."""
        with self._disk.fresh():
            run = self._worker.run(self._workload, self.directory)
        if run.raised:
            raise RuntimeError(f"{self._workload}, undisturbed: {run.raised[-1]}")

    def end(self) -> None:
        """Ends both processes."""
        self._worker.end()
        self._looking.kill()
        self._looking.join()

    def points(self) -> list[Point]:
        """Returns every point of the work, which nothing disturbs."""
        found = []
        for thread in range(100):
            with self._disk.fresh():
                run = self._worker.run(self._workload, self.directory, thread=thread)
            if not run.reached:
                break
            calls = strace.calls_on(run.record, self.directory)
            found += [Point(thread, _masked(c, self.directory)) for c in calls]
        return [*found, Point(0, None)]

    def cut(self, point: Point) -> Outcome:
        """Cuts the power at a point and looks at what is left."""
        if not self._worker.process.is_alive():
            self._worker = _Worker(self._synced)
            self._warm_up()
        if point.call is None:
            return self._cut_at_the_end()
        name = (
            f"thread {point.thread}: after {point.call.name} {point.call.count}, "
            f"of {point.call.path}"
        )
        for _ in range(_ATTEMPTS):
            with self._disk.fresh():
                with self._worker.stopped(
                    self._workload, self.directory, *point
                ) as said:
                    if said is not None:
                        self._disk.power_off()
                if said is not None:
                    return self._look_at_what_is_left(name, said)
        return Outcome(name, wrong="was not stopped there")

    def _cut_at_the_end(self) -> Outcome:
        with self._disk.fresh():
            run = self._worker.run(self._workload, self.directory)
            self._disk.power_off()
            return self._look_at_what_is_left("the end of the work", run.said)

    def _held(self) -> list[str]:
        """Returns what the worker keeps open on the disk, after some patience."""
        for _ in range(200):
            held = []
            for fd in Path(f"/proc/{self._worker.process.pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    held.append(os.readlink(fd))
            held = [path for path in held if path.startswith(str(self._disk.path))]
            if not held:
                break
            time.sleep(0.01)
        return held

    def _look_at_what_is_left(self, name: str, said: list[tuple[Any, ...]]) -> Outcome:
        held = self._held()
        if held:
            self._worker.end()
        self._disk.power_on()
        reported = {w[1] for w in said if w[0] == "saved"}
        if self._workload != "first save":
            reported |= {1, 3} if self._workload in ("repair", "delete") else {1, 2, 3}
        self._looker.send((self._workload, self.directory, name, reported, said))
        outcome = self._looker.recv()
        if held:
            wrong = f"{outcome.wrong}; files stay open: {held}"
            outcome = outcome._replace(wrong=wrong)
        return outcome


@cache
def _template() -> Path:
    """Returns the store that every workload but the first save begins with."""
    place = tempfile.TemporaryDirectory(prefix="faults-")
    _PLACES.append(place)
    workloads.apart(workloads.new_template, Path(place.name) / "store")
    return Path(place.name) / "store"


# Deleted with this process.
_PLACES: list[tempfile.TemporaryDirectory[str]] = []


@contextlib.contextmanager
def _benches(
    kind: str, place: Path, workload: str, quick: bool, *, synced: bool = True
) -> Iterator[list[_Bench]]:
    """Gives a bench for each core that this process may use, or one for a sample."""
    with contextlib.ExitStack() as cleanup:
        benches = []
        for i in range(1 if quick else len(os.sched_getaffinity(0))):
            (place / str(i)).mkdir()
            benches.append(_Bench(kind, place / str(i), workload, synced))
            cleanup.callback(benches[-1].end)
        yield benches


def _cut_all(benches: list[_Bench], quick: bool) -> Iterator[Outcome]:
    """Cuts the power at every point, or at some, and yields what came of it."""
    points = benches[0].points()
    if quick:
        # The last flush, the last rename that makes or removes a version, the end.
        last = {p.call.name: p for p in points if p.call is not None}
        telling = [last[name] for name in ("renameat2", "fsync") if name in last]
        points = [*telling, points[-1]]
    free: queue.SimpleQueue[_Bench] = queue.SimpleQueue()
    for bench in benches:
        free.put(bench)

    def cut(point: Point) -> Outcome:
        bench = free.get()
        try:
            return bench.cut(point)
        finally:
            free.put(bench)

    with ThreadPoolExecutor(len(benches)) as pool:
        try:
            yield from pool.map(cut, points)
        finally:
            pool.shutdown(cancel_futures=True)


def sweep(kind: str, workload: str) -> Fault:
    """Returns the fault that cuts the power at every call of a workload in turn."""

    def fault(place: Path, quick: bool) -> Iterator[Outcome]:
        with _benches(kind, place, workload, quick) as benches:
            yield from _cut_all(benches, quick)

    return fault


def control(kind: str) -> Fault:
    """Returns the fault that leaves out an fsync, and is wrong if that does no harm.

    Where it does none, the cuts of this machine take nothing away, and no sweep of
    this file proves anything.
    """

    def fault(place: Path, quick: bool) -> Iterator[Outcome]:
        with _benches(kind, place, "save_version", quick, synced=False) as benches:
            outcomes = list(_cut_all(benches, quick))
        torn = sum(outcome.torn for outcome in outcomes)
        # The row counts what must not be; this must.
        print(
            f"power cut, {kind}, without fsync of the model's file: a version is torn "
            f"after {torn} of {len(outcomes)} cuts, as it must be",
            flush=True,
        )
        yield Outcome(
            f"{len(outcomes)} cuts without fsync of the model's file",
            wrong=""
            if torn
            else "none tears a version, so that no cut proves anything",
        )

    return fault


WORKLOADS = (*workloads.WORKLOADS, "first save")
FAULTS: dict[str, Fault] = {
    name: fault
    for kind in KINDS
    for name, fault in (
        (f"power cut, {kind}, control", control(kind)),
        *((f"power cut, {kind}, {w}", sweep(kind, w)) for w in WORKLOADS),
    )
}
