"""Every system call that touches a store, made to fail: once, and from then on."""

import errno
import itertools
import os
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from faults import kills, strace, workloads
from faults.outcome import Fault, Outcome
from faults.strace import Call

# Of the failures that a disk, a quota, a network file system and a limit give.
ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS", "EMFILE", "ESTALE", "ENOLCK", "EXDEV")
# A write that claims fewer bytes than it was given, and has not written them either.
SHORT = "a short write"
# What is in staging, and what is not recognisably ours.
_OURS = re.compile(r"\.?[0-9a-f]{32}(\.lock.*)?")
_SAMPLE = 24
# In the other workloads the errors are dealt out over the calls, each of which fails
# once and for good: what they have in common with these is most of them.
_IN_EVERY_WAY = ("save_version", "prune")


class Point(NamedTuple):
    """One call that is to fail.

    Args:
        thread: The thread that makes it.
        call: The call.
        error: How it fails.
        for_good: Whether those after it fail as well.
    """

    thread: int
    call: Call
    error: str
    for_good: bool

    @property
    def inject(self) -> str:
        """The fault as strace takes it."""
        what = "retval=1" if self.error == SHORT else f"error={self.error}"
        when = f"{self.call.count}{'+' if self.for_good else ''}"
        return f"{self.call.name}:{what}:when={when}"


def sweep(workload: str) -> Fault:
    """Returns the fault that makes every call of a workload fail in every way."""

    def fault(place: Path, quick: bool) -> Iterator[Outcome]:
        strace.check_available()
        arena = workloads.Arena(place)
        subjects = _Subjects(workload, arena)
        calls = kills.without_repeats(subjects.recorded())
        points = list(_points(calls) if workload in _IN_EVERY_WAY else _dealt(calls))
        if quick:
            points = points[:: max(1, len(points) // _SAMPLE)]
        try:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                yield from pool.map(subjects.strike, points)
        finally:
            subjects.end()

    return fault


def _points(calls: list[tuple[int, Call]]) -> Iterator[Point]:
    for (thread, call), for_good in itertools.product(calls, (False, True)):
        for error in ERRORS:
            yield Point(thread, call, error, for_good)
        if "write" in call.name:
            yield Point(thread, call, SHORT, for_good)


def _dealt(calls: list[tuple[int, Call]]) -> Iterator[Point]:
    errors = itertools.cycle(ERRORS)
    for (thread, call), for_good in itertools.product(calls, (False, True)):
        yield Point(thread, call, next(errors), for_good)
        if "write" in call.name:
            yield Point(thread, call, SHORT, for_good)


class _Subjects:
    """One process for each thread of the sweep, which goes on after a failure."""

    def __init__(self, workload: str, arena: workloads.Arena) -> None:
        self._workload = workload
        self._arena = arena
        self._of_thread = threading.local()
        self._all: list[workloads.Subject] = []

    def _mine(self) -> workloads.Subject:
        mine: workloads.Subject | None = getattr(self._of_thread, "subject", None)
        if mine is None or not mine.process.is_alive():
            mine = workloads.Subject()
            self._all.append(mine)
            self._of_thread.subject = mine
            # What is done once in a process is done before anything is counted.
            for workload in {self._workload, "save_version"}:
                with self._arena.store(workload) as directory:
                    mine.run(workload, directory)
        return mine

    def recorded(self) -> list[tuple[int, Call]]:
        """Returns the calls of a run that nothing disturbs, with their threads."""
        return kills.recorded(self._arena, self._workload, self._mine())

    def end(self) -> None:
        """Ends all processes."""
        for subject in self._all:
            subject.end()

    def strike(self, point: Point) -> Outcome:
        """Makes one call fail and looks at what came of it."""
        name = f"{self._workload}, thread {point.thread}: {point.inject}"
        subject = self._mine()
        with self._arena.store(self._workload) as directory:
            run = subject.run(
                self._workload, directory, thread=point.thread, inject=point.inject
            )
            wrong = self._complaints(point, run, directory)
            if run.exitcode is None:
                # The process that met the fault goes on as well.
                again = subject.run("save_version", directory)
                if not again.saved:
                    wrong.append(f"the next save failed: {again.said}")
            if "close" in point.call.name:
                subject.end()  # what was not closed would be open for ever
            if self._workload == "repair":
                workloads.apart(workloads.repair, directory, None)
            outcome = workloads.inspected(
                directory, name, self._arena.reported(self._workload) | run.saved, False
            )
        if wrong:
            wrong.append(outcome.wrong)
            return outcome._replace(wrong="; ".join(filter(None, wrong)))
        return outcome

    def _complaints(
        self, point: Point, run: workloads.Run, directory: Path
    ) -> list[str]:
        wrong = []
        if "INJECTED" not in run.record:
            wrong.append("the call was not made to fail")
        if run.exitcode is not None:
            wrong.append(f"the process ended with {run.exitcode}")
        if ("hung",) in run.said:
            wrong.append("the workload did not end")
        if run.raised:
            kind, message, is_ours, trace = run.raised
            if not is_ours:
                wrong.append(f"raised {kind}: {message}\n{trace}")
            elif str(directory) not in message:
                wrong.append(f"names no file: {message}")
            elif point.error != SHORT and os.strerror(
                getattr(errno, point.error)
            ) not in (message):
                wrong.append(f"does not name {point.error}: {message}")
            if kind == "SaveError":
                # Without the store's records nobody can say which number is next.
                unreadable = point.for_good and point.call.name in ("openat", "close")
                if "Saving version_" not in message and not unreadable:
                    wrong.append(f"names no version: {message}")
                there = {path.name for path in directory.glob("version_*")}
                if not run.saved and not {f"version_{n}" for n in (1, 2, 3)} <= there:
                    wrong.append(f"a save failed and all the same there is {there}")
        staging = set(os.listdir(directory / ".versions" / "staging"))
        if strange := [name for name in staging if not _OURS.fullmatch(name)]:
            wrong.append(f"left in staging: {strange}")
        if retried := _flushed_again(run.record):
            wrong.append(f"flushed again after a failure: {retried}")
        return wrong


def _flushed_again(record: str) -> list[str]:
    """Returns the files of which a flush was tried again after one that failed."""
    failed: set[str] = set()
    again = []
    for line in record.splitlines():
        flushed = re.search(r"\bf(?:data)?sync\(\d+<([^>]+)>", line)
        made = re.search(r'openat\(.*"([^"]+)".*O_CREAT\|O_EXCL', line)
        if made:
            failed.discard(made[1])
        # Of a directory the entries that came since are flushed, not the old ones.
        if flushed and Path(flushed[1]).suffix:
            if flushed[1] in failed:
                again.append(line)
            if "INJECTED" in line:
                failed.add(flushed[1])
    return again


FAULTS: dict[str, Fault] = {
    f"failing call, {workload}": sweep(workload)
    for workload in workloads.WORKLOADS
    if workload != "fit, 6 MB"
}
