"""Makes stores on disk without Keras, and other processes that work on them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import keras_versioned_ckpt
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.store import CheckpointStore

ROOT = Path(keras_versioned_ckpt.__file__).parents[1]


def new_store(directory: Path, *losses: float | None) -> CheckpointStore:
    """Returns a store in `directory` with one version per loss."""
    store = CheckpointStore(directory, create=True)
    for loss in losses:
        save(store, loss=loss)
    return store


def save(
    store: CheckpointStore,
    payload: bytes = b"weights",
    *,
    loss: float | None = None,
    **facts: Any,
) -> Version:
    """Saves a version whose payload is these bytes."""
    facts.setdefault("metrics", {} if loss is None else {"val_loss": loss})
    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(payload)
        return store.commit(staged, **facts)


def found(store: CheckpointStore) -> list[int]:
    """Returns the numbers of the versions that are there."""
    return [version.number for version in store]


def tree(directory: Path) -> dict[str, bytes | None]:
    """Returns everything below a directory, with the content of its files."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else None
        for path in sorted(directory.rglob("*"))
    }


def run(
    script: str, *arguments: object, before: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Runs a script in a process of its own, where this package can be imported.

    Args:
        script: The program's text.
        *arguments: Its arguments.
        before: What to run it with, such as `["strace", …]`.
    """
    return subprocess.run(
        [*before, sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )


def without_powers() -> list[str]:
    """Returns what to run a process with so that permissions count in it.

    Root keeps its name and loses what lets it pass over permissions, so that it can
    still run this Python, wherever that is.
    """
    if os.geteuid() != 0:
        return []
    powers = "-dac_override,-dac_read_search"
    before = ["setpriv", "--bounding-set", powers, "--inh-caps", powers]
    if shutil.which("setpriv") is None or run("", before=before).returncode != 0:
        pytest.skip("NOT TESTED: permissions, since root has all and keeps all here")
    return before
