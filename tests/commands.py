"""Runs `keras-ckpt` as a program: through pipes, and at a terminal of its own."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from keras_versioned_ckpt import CheckpointStore
from keras_versioned_ckpt.cli import main

from .stores import ROOT, save

PROGRAM = [sys.executable, "-m", "keras_versioned_ckpt"]
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def environment(**more: str) -> dict[str, str]:
    """Returns the variables of a process that finds this package, and those given."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, "PYTHONPATH": str(ROOT), **quiet, **more}


def run(
    *words: object, answer: str = "", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own, through pipes."""
    return subprocess.run(
        [*PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        input=answer,
        check=False,
        timeout=120,
        cwd=cwd,
        env=environment(),
    )


def obey_ctrl_c() -> None:
    """Lets a process that is about to start end by SIGINT.

    A shell that runs the tests in the background switches it off for all below it.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(*words: object) -> "subprocess.Popen[str]":
    """Starts a command that goes on until it is stopped."""
    return subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=obey_ctrl_c,
    )


def at_terminal(
    words: Sequence[object], **variables: str
) -> "tuple[subprocess.Popen[bytes], int]":
    """Starts a command at a terminal, and returns the other end of that, too."""
    ours, theirs = pty.openpty()
    size = {"COLUMNS": "150", "LINES": "40", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*PROGRAM, *map(str, words)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(**{**size, **variables}),
        start_new_session=True,
        preexec_fn=obey_ctrl_c,
    )
    os.close(theirs)
    return process, ours


def written(terminal: int, seconds: float = 30.0) -> str:
    """Returns what is written to a terminal next, for which it waits."""
    assert select.select([terminal], [], [], seconds)[0], "nothing is written"
    # The rest of a letter may come with the next piece.
    return os.read(terminal, 65536).decode(errors="replace")


def everything(terminal: int) -> str:
    """Returns all that is written to a terminal, until nobody writes to it."""
    data = b""
    # Linux tells of the end as an error.
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 65536):
            data += part
    os.close(terminal)
    return data.decode()


def seen(text: str) -> str:
    """Returns what a terminal's text looks like, without its colours and moves."""
    return _ESCAPE.sub("", text)


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    """Runs a command with `--json` in this process, and returns what it told."""
    capsys.readouterr()
    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def trained(directory: Path) -> CheckpointStore:
    """Returns a store of three versions, of which the first was deleted."""
    store = CheckpointStore(directory, create=True)
    for number, loss in enumerate([3.0, 1.0, 2.0], start=1):
        save(
            store,
            metrics={"val_loss": loss},
            epoch=number,
            monitor="val_loss",
            mode="min",
        )
    store.delete(1)
    store.tag(2, "prod")
    return store
