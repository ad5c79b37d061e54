"""Runs one function in a process of its own, with a Keras backend of its own.

A backend cannot be changed once Keras is imported, and memory that one measurement
has touched must not help the next.
"""

import importlib
import json
import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def call(backend: str, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns what a function of this directory returns when it is called apart.

    Args:
        backend: `"tensorflow"` or `"jax"`.
        function: `"module.name"`; what it returns must be JSON-able.
        arguments: Its keyword arguments, JSON-able. A new, empty `directory`,
            inside of the given one and removed afterwards, takes its place.

    Raises:
        subprocess.CalledProcessError: If it failed; it has said why.
    """
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        **os.environ,
        "KERAS_BACKEND": backend,
    }
    with tempfile.TemporaryDirectory(dir=arguments["directory"]) as room:
        answer = Path(room) / "answer.json"
        arguments = {**arguments, "directory": str(Path(room) / "saves")}
        subprocess.run(
            [sys.executable, __file__, function, json.dumps(arguments), str(answer)],
            env=environment,
            check=True,
        )
        return json.loads(answer.read_text())


def main(function: str, arguments: str, answer: str) -> None:
    """Calls the function; this is the other process."""
    # Orbax warns at each save that it has nothing to merge.
    logging.getLogger("absl").setLevel(logging.ERROR)
    module, name = function.split(".")
    measure = getattr(importlib.import_module(module), name)
    Path(answer).write_text(json.dumps(measure(**json.loads(arguments))))


if __name__ == "__main__":
    main(*sys.argv[1:])
