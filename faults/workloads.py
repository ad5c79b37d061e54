"""What runs on a store while faults strike: the ways to use it, for real.

A process imports Keras once; each process that a fault strikes is forked off it, and
so begins at once. The thread that a fault is meant for waits at a gate until strace
has attached to it.
"""

import contextlib
import itertools
import multiprocessing
import os
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import keras

# Before the fork, so that no import of theirs is among the calls that are counted.
import keras_versioned_ckpt._brief
import keras_versioned_ckpt._committing
import keras_versioned_ckpt._index
import keras_versioned_ckpt._inspection
import keras_versioned_ckpt._pruning
import keras_versioned_ckpt._repairing
import keras_versioned_ckpt._staging
import keras_versioned_ckpt._tagging
import keras_versioned_ckpt.loading
import keras_versioned_ckpt.selectors  # noqa: F401
from faults import inspector
from faults.outcome import Outcome
from faults.strace import Attached
from keras_versioned_ckpt import CheckpointStore, KeepLast, VersionedCheckpoint
from keras_versioned_ckpt.errors import CheckpointError
from keras_versioned_ckpt.saving import save_version
from tests.zoo import data, fit, network

data()  # scikit-learn reads it from its own files

Report = Callable[..., None]


class Reporter(keras.callbacks.Callback):
    """Reports each save as soon as the callback before it no longer may fail with it.

    That is when the next save begins, which waits for the one before, or training
    ends.
    """

    def __init__(self, first: int, report: Report) -> None:
        super().__init__()
        self._number = first
        self._report = report
        self._saves = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Reports the save before the one that has just begun."""
        if self._saves:
            self._tell()
        self._saves += 1

    def on_train_end(self, logs: Any = None) -> None:
        """Reports the last save."""
        self._tell()

    def _tell(self) -> None:
        self._report("saved", self._number)
        self._number += 1


def train(directory: Path, report: Report) -> None:
    """Two epochs with a save on the background after each, and pruning after that."""
    checkpoint = VersionedCheckpoint(directory, keep_last=2)
    fit(network(), checkpoint, Reporter(4, report), epochs=2)


def train_larger(directory: Path, report: Report) -> None:
    """One epoch of a model that is large enough to be written by several threads."""
    checkpoint = VersionedCheckpoint(directory, keep_last=2)
    fit(network(units=50_000), checkpoint, Reporter(4, report), epochs=1)


def save(directory: Path, report: Report) -> None:
    """A save outside `fit`, with a tag."""
    model = network()
    model.optimizer.build(model.trainable_variables)
    version = save_version(model, directory, tags=["prod"])
    report("saved", version.number)


def prune(directory: Path, report: Report) -> None:
    """A retention policy that removes one version of three."""
    CheckpointStore(directory).prune(KeepLast(1))


def tag(directory: Path, report: Report) -> None:
    """A tag that is put on, moved, and taken off."""
    store = CheckpointStore(directory)
    store.tag(2, "prod")
    store.tag(3, "prod")
    store.untag("prod")


def repair(directory: Path, report: Report) -> None:
    """A repair of what `damage` did."""
    CheckpointStore(directory).repair()


def delete(directory: Path, report: Report) -> None:
    """A version that a person deletes."""
    CheckpointStore(directory).delete(2)


WORKLOADS: dict[str, Callable[[Path, Report], None]] = {
    "fit": train,
    "fit, 6 MB": train_larger,
    "save_version": save,
    "prune": prune,
    "tag": tag,
    "delete": delete,
    "repair": repair,
}
# Those after which every version is loaded with Keras, too.
WITH_KERAS = ("fit", "fit, 6 MB", "save_version")


def new_template(directory: Path) -> None:
    """Makes the store that every workload begins with: three versions, one tagged."""
    model = network()
    fit(model, epochs=1)
    for loss in (0.5, 0.4, 0.3):
        save_version(model, directory, metrics={"val_loss": loss}, epoch=1)
    CheckpointStore(directory).tag(1, "old")


def damage(directory: Path) -> None:
    """Leaves a store as a kill, a bad disk and a person would."""
    os.truncate(directory / "version_2" / "model.keras", 1000)
    room = directory / ".versions"
    (room / "tags" / "old").write_bytes(b"")
    with (room / "ledger.jsonl").open("ab") as ledger:
        ledger.write(b'{"torn')
    (room / "staging" / ("0" * 32)).mkdir()
    (room / "staging" / ("0" * 32) / "model.keras").write_bytes(b"half")


class Run(NamedTuple):
    """What came of one run of a workload.

    Args:
        said: What it reported, in order.
        record: Its system calls, where a thread was traced.
        exitcode: That of its process; `None` if that lives.
        reached: Whether the thread that was to be traced began at all.
    """

    said: list[tuple[Any, ...]]
    record: str
    exitcode: int | None
    reached: bool

    @property
    def saved(self) -> set[int]:
        """The numbers of the versions that were reported as saved."""
        return {word[1] for word in self.said if word[0] == "saved"}

    @property
    def raised(self) -> tuple[str, str, bool, str] | None:
        """What it raised: type, message, whether it is ours, traceback."""
        for word in self.said:
            if word[0] == "raised":
                return word[1:]  # type: ignore[return-value]
        return None


_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["faults.workloads"])


class Subject:
    """A process that runs workloads, one after the other, as long as it lives."""

    # Nothing here takes longer; a save that hangs is a failure.
    PATIENCE_SECONDS = 120

    def __init__(self) -> None:
        self._channel, theirs = _context.Pipe()
        self.process = _context.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def run(
        self,
        workload: str,
        directory: Path,
        *,
        thread: int | None = None,
        inject: str | None = None,
    ) -> Run:
        """Runs a workload.

        Args:
            workload: Its name in `WORKLOADS`.
            directory: The store.
            thread: Which thread to trace: 0 is the main one, 1 the first of this
                package's, and so on.
            inject: A fault for that thread, such as `"write:error=EIO:when=2"`.
        """
        said: list[tuple[Any, ...]] = []
        tracer: Attached | None = None
        self._channel.send((workload, directory, thread))
        try:
            while True:
                if not self._channel.poll(self.PATIENCE_SECONDS):
                    self.process.kill()
                    said.append(("hung",))
                word = self._channel.recv()
                if word[0] == "gate":
                    tracer = Attached(word[1], inject)
                    self._channel.send("go")
                elif word[0] == "end":
                    exitcode = None
                    break
                else:
                    said.append(word)
        except (EOFError, ConnectionResetError):
            self.process.join()
            exitcode = self.process.exitcode
        return Run(said, tracer.end() if tracer else "", exitcode, tracer is not None)

    def end(self) -> None:
        """Ends the process."""
        self.process.kill()
        self.process.join()
        self._channel.close()


@contextlib.contextmanager
def subject() -> Iterator[Subject]:
    """Gives a process for the length of a block."""
    one = Subject()
    try:
        yield one
    finally:
        one.end()


def _serve(channel: Connection) -> None:
    """Runs the workloads that the channel names; the process's whole life."""
    voice = ThreadPoolExecutor(1)

    def report(*word: Any) -> None:
        # By another thread, whose calls no fault strikes, and to the end.
        voice.submit(channel.send, word).result()

    def wait_at_gate() -> None:
        report("gate", threading.get_native_id())
        channel.recv()  # strace has attached

    gates = _Gates(wait_at_gate)
    while True:
        workload, directory, thread = channel.recv()
        try:
            with gates.before(thread):
                WORKLOADS[workload](directory, report)
        except Exception as error:
            ours = isinstance(error, CheckpointError)
            text = "".join(traceback.format_exception(error))
            report("raised", type(error).__name__, str(error), ours, text)
        report("end")


class _Gates:
    """Holds one of the threads of this package until it is let through."""

    def __init__(self, wait: Callable[[], None]) -> None:
        self._wait = wait
        self._at: int | None = None
        self._count = itertools.count(1)
        start, run = threading.Thread.start, threading.Thread.run

        def counting(thread: threading.Thread) -> None:
            if thread.name == "VersionedCheckpoint":
                thread.index = next(self._count)  # type: ignore[attr-defined]
            start(thread)

        def waiting(thread: threading.Thread) -> None:
            if self._at is not None and getattr(thread, "index", None) == self._at:
                self._wait()
            run(thread)

        threading.Thread.start = counting  # type: ignore[method-assign]
        threading.Thread.run = waiting  # type: ignore[method-assign]

    @contextlib.contextmanager
    def before(self, thread: int | None) -> Iterator[None]:
        """Holds that thread, 0 being this one, in the block."""
        self._at, self._count = thread, itertools.count(1)
        if thread == 0:
            self._wait()
        try:
            yield
        finally:
            self._at = None


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what a function returns in a process of its own.

    Raises:
        RuntimeError: If it raised; the message is its traceback.
    """
    mine, theirs = _context.Pipe(duplex=False)
    process = _context.Process(target=_answer, args=(theirs, work, arguments))
    process.start()
    theirs.close()
    try:
        fine, answer = mine.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{work} ended with {process.exitcode}") from None
    process.join()
    if not fine:
        raise RuntimeError(answer)
    return answer


def _answer(
    channel: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    try:
        channel.send((True, work(*arguments)))
    except Exception as error:
        channel.send((False, "".join(traceback.format_exception(error))))


def inspected(directory: Path, point: str, reported: set[int], load: bool) -> Outcome:
    """Inspects a store in a process of its own."""
    try:
        return apart(_inspect, directory, point, reported, load)
    except RuntimeError as error:
        return Outcome(point, wrong=f"the inspection failed: {error}")


def _inspect(directory: Path, point: str, reported: set[int], load: bool) -> Outcome:
    return inspector.inspect(directory, point, reported=reported, load=load)


class Arena:
    """Gives each point of a sweep a store of its own.

    Args:
        place: An empty directory.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._template = place / "template" / "store"
        self._template.parent.mkdir()
        self._names = itertools.count(1)
        apart(new_template, self._template)

    @contextlib.contextmanager
    def store(self, workload: str) -> Iterator[Path]:
        """Gives a copy of the template, damaged where there must be work to repair."""
        directory = self._place / f"point-{next(self._names)}" / "store"
        shutil.copytree(self._template, directory)
        inspector.put_foreign_file(directory)
        if workload == "repair":
            damage(directory)
        try:
            yield directory
        finally:
            shutil.rmtree(directory.parent)

    def reported(self, workload: str) -> set[int]:
        """Returns the numbers of the versions that a store begins with."""
        return {1, 3} if workload in ("repair", "delete") else {1, 2, 3}
