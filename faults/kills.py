"""A kill at every system call that touches a store."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from faults import strace, workloads
from faults.outcome import Fault, Outcome
from faults.strace import Call

# A sample strikes this many calls of a thread, spread over all.
_SAMPLE = 6
# What `multiprocessing` says where it lost the status of a process. Such a run proves
# nothing, and is made again, once.
_NO_STATUS = 255
# Those whose loss shows most are in every sample.
_TELLING = ("renameat2", "fsync")


def recorded(
    arena: workloads.Arena, workload: str, subject: workloads.Subject | None = None
) -> list[tuple[int, Call]]:
    """Returns each call on the store in a run that nothing disturbs, with its thread.

    Threads are traced one run each, since strace counts calls by thread.

    Args:
        arena: Where stores come from.
        workload: What runs on them.
        subject: The process that runs it; a new one for each run if there is none.
    """
    found: list[tuple[int, Call]] = []
    thread = 0
    while True:
        with arena.store(workload) as directory, contextlib.ExitStack() as cleanup:
            process = subject or cleanup.enter_context(workloads.subject())
            run = process.run(workload, directory, thread=thread)
            if run.raised:
                raise RuntimeError(f"{workload}, undisturbed: {run.raised[-1]}")
            if not run.reached:
                return found
            found += [(thread, c) for c in strace.calls_on(run.record, directory)]
        thread += 1


def without_repeats(points: list[tuple[int, Call]]) -> list[tuple[int, Call]]:
    """Returns the points without the middle of long runs of the same call on a file.

    A payload is written piece by piece; the first two and the last tell of all.
    """
    found = []
    for _, run in itertools.groupby(points, lambda p: (p[0], p[1].name, p[1].path)):
        same = list(run)
        found += same if len(same) <= 3 else [*same[:2], same[-1]]
    return found


def sampled(points: list[tuple[int, Call]]) -> list[tuple[int, Call]]:
    """Returns a few points: those that tell most, and some from everywhere."""
    step = max(1, len(points) // _SAMPLE)
    telling = dict.fromkeys(_TELLING)
    for i, (_, call) in enumerate(points):
        if call.name in telling:
            telling[call.name] = i
    chosen = {*range(0, len(points), step), *telling.values()} - {None}
    return [points[i] for i in sorted(chosen)]


def sweep(workload: str) -> Fault:
    """Returns the fault that kills a workload at every call in turn."""

    def fault(place: Path, quick: bool) -> Iterator[Outcome]:
        strace.check_available()
        arena = workloads.Arena(place)
        points = recorded(arena, workload)
        if quick:
            points = sampled(points)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(lambda p: _strike(arena, workload, *p), points)

    return fault


def _strike(
    arena: workloads.Arena,
    workload: str,
    thread: int,
    call: Call,
    *,
    is_again: bool = False,
) -> Outcome:
    point = f"{workload}, thread {thread}: {call.name} {call.count}"
    with arena.store(workload) as directory, workloads.subject() as subject:
        run = subject.run(
            workload,
            directory,
            thread=thread,
            inject=f"{call.name}:signal=SIGKILL:when={call.count}",
        )
        if run.exitcode == _NO_STATUS and not is_again:
            return _strike(arena, workload, thread, call, is_again=True)
        # 137 in a shell. Anything else means that the kill was missed.
        if run.exitcode != -9:
            return Outcome(point, wrong=f"was not killed: {run.exitcode} {run.said}")
        if workload == "repair":
            # A repair that was killed is completed by the next one.
            workloads.apart(workloads.repair, directory, None)
        return workloads.inspected(
            directory,
            point,
            arena.reported(workload) | run.saved,
            workload in workloads.WITH_KERAS,
        )


FAULTS: dict[str, Fault] = {
    f"kill, {workload}": sweep(workload) for workload in workloads.WORKLOADS
}
