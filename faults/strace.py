"""Faults at system calls: recording them, and having one fail or kill.

`strace` strikes when a call is entered, so that a call that is struck does not
happen: a sweep over all calls covers both sides of every step.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from faults.outcome import Skipped

# What changes a store, what locks it, and what it reads before it does either.
CALLS = (
    *("mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat"),
    *("symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "openat", "write"),
    *("pwrite64", "writev", "pwritev", "pwritev2", "ftruncate", "fallocate"),
    *("copy_file_range", "sendfile", "fsync", "fdatasync", "syncfs", "close"),
    *("flock", "fcntl"),
)


class Call(NamedTuple):
    """One system call on a store.

    Args:
        name: Its name.
        count: The how-manieth call of that name in its thread it is.
        path: The last path of the store that it names.
    """

    name: str
    count: int
    path: str


def check_available() -> None:
    """Raises `Skipped`, with the reason, where faults cannot be injected."""
    if shutil.which("strace") is None:
        raise Skipped("strace is missing")
    probe = subprocess.run(["strace", "-qq", "-e", "trace=none", "true"], check=False)
    if probe.returncode != 0:
        raise Skipped("strace is not allowed to trace")


def calls_on(record: str, store: Path) -> list[Call]:
    """Returns the calls in a record on the paths of a store."""
    counts: dict[str, int] = {}
    found = []
    for line in record.splitlines():
        match = re.match(r"(?:\d+ +)?(\w+)\((.*)", line)
        if match is None:
            continue
        name, rest = match.groups()
        counts[name] = counts.get(name, 0) + 1
        if paths := re.findall(rf"{re.escape(str(store))}[^\s,>\"]*", rest):
            found.append(Call(name, counts[name], paths[-1]))
    return found


class Attached:
    """A thread that is being traced.

    Args:
        thread: Its id. Other threads of its process are left alone, for strace
            counts the calls of each thread by themselves.
        inject: A fault, such as `"fsync:error=EIO:when=2"`.
        trace: The system calls to record.
    """

    def __init__(
        self, thread: int, inject: str | None = None, trace: Sequence[str] = CALLS
    ) -> None:
        handle, log = tempfile.mkstemp(prefix="strace-")
        os.close(handle)
        self._log = Path(log)
        # Not with --seccomp-bpf: it does not deliver the signal, and says nothing.
        command = ["strace", "-y", "-s", "0", "-o", log, "-p", str(thread)]
        command += ["-e", f"trace={','.join(trace)}"]
        command += ["-e", f"inject={inject}"] if inject else []
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        line = self._process.stderr.readline()
        if "attached" not in line:
            self._process.kill()
            raise RuntimeError(f"strace did not attach to {thread}: {line}")

    def end(self) -> str:
        """Lets the thread go, and returns the record."""
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        self._process.communicate()
        record = self._log.read_text()
        self._log.unlink()
        return record


@contextlib.contextmanager
def attached(thread: int, inject: str | None = None) -> Iterator[Attached]:
    """Traces a thread for the length of a block."""
    tracer = Attached(thread, inject)
    try:
        yield tracer
    finally:
        tracer.end()
