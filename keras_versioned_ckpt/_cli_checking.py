"""`keras-ckpt verify`, `repair`, `load-test`: are the versions as they were saved?"""

import argparse
import contextlib
import dataclasses
import importlib
import os
import sys
import time
import warnings
from typing import Any

from keras_versioned_ckpt import _console, _json_forms
from keras_versioned_ckpt._inspection import Report
from keras_versioned_ckpt._messages import escaped, shown
from keras_versioned_ckpt._table import Table
from keras_versioned_ckpt.errors import CheckpointError
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.store import CheckpointStore


def verify(options: argparse.Namespace) -> int:
    """Runs `verify`."""
    with _console.progress("verifying") as progress:
        report = CheckpointStore(options.directory).verify(progress)
    _tell(report, options)
    return 0 if report.ok else 1


def repair(options: argparse.Namespace) -> int:
    """Runs `repair`."""
    _tell(CheckpointStore(options.directory).repair(), options)
    return 0


def _tell(report: Report, options: argparse.Namespace) -> None:
    if options.json:
        problems = [dataclasses.asdict(problem) for problem in report.problems]
        told = {"ok": report.ok, "checked": report.checked, "problems": problems}
        _console.say(_json_forms.text(told))
    else:
        _console.say("\n".join(map(escaped, str(report).splitlines())))


def load_test(options: argparse.Namespace) -> int:
    """Runs `load-test`."""
    store = CheckpointStore(options.directory)
    versions = store.versions if options.all else [store.select(options.selector)]
    # TensorFlow's own news are none of a table's business.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # As for `python -m`: what a user has in the working directory can be imported.
    sys.path.insert(0, os.getcwd())
    # What the user's modules print is none of the answer.
    with contextlib.redirect_stdout(sys.stderr):
        for module in options.modules:
            _imported(module, "--import")
        make = _maker(options.model) if options.model else None
        outcomes = [_loaded(version, make, options.trust_code) for version in versions]
    if options.json:
        _console.say(_json_forms.text(outcomes))
    else:
        _console.show(_table(outcomes))
    return 0 if all(outcome["ok"] for outcome in outcomes) else 1


def _maker(text: str) -> Any:
    module, colon, function = text.partition(":")
    if not (module and colon and function):
        raise ValueError(
            "`--model` must be a module and a function in it, such as train:build. "
            f"Received: {shown(text)}"
        )
    made_by = getattr(_imported(module, "--model"), function, None)
    if not callable(made_by):
        raise ValueError(
            f"`--model` must name a function that is there. Received: {shown(text)}"
        )

    def make() -> Any:
        try:
            return made_by()
        except Exception as error:
            raise ValueError(f"`--model` failed: {_told(error)}") from error

    return make


def _imported(module: str, option: str) -> Any:
    """Imports a module of the user's, in which anything may go wrong."""
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise ValueError(
            f"`{option}` could not import {shown(module)}: {_told(error)}"
        ) from error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _loaded(version: Version, make: Any, trust_code: bool) -> dict[str, Any]:
    """Loads one version, and says what came of it."""
    told: dict[str, Any] = {"number": version.number, "name": version.name}
    # Importing Keras takes longer than most loads, and is no part of them.
    importlib.import_module("keras_versioned_ckpt.loading")
    model = make() if make else None
    begun = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            loaded = version.load(model=model, trust_code=trust_code)
    except (CheckpointError, ValueError, TypeError) as error:
        return {**told, "ok": False, "error": str(error)}
    count = getattr(loaded, "count_params", None)
    return {
        **told,
        "ok": True,
        "seconds": round(time.perf_counter() - begun, 3),
        "kind": type(loaded).__name__,
        "parameters": count() if callable(count) else None,
        "compiled": bool(getattr(loaded, "compiled", False)),
        "warnings": [str(warning.message) for warning in caught],
    }


def _table(outcomes: list[dict[str, Any]]) -> Table:
    rows = []
    for outcome in outcomes:
        if outcome["ok"]:
            count = outcome["parameters"]
            what = f"{outcome['kind']}, {'?' if count is None else f'{count:,}'} "
            what += f"parameters, {'' if outcome['compiled'] else 'not '}compiled"
            what = "; ".join([what, *outcome["warnings"]])
            seconds = f"{outcome['seconds']:.3f}"
        else:
            what, seconds = outcome["error"], "-"
        state = "loads" if outcome["ok"] else "fails"
        rows.append(
            [str(outcome["number"]), outcome["name"], state, seconds, escaped(what)]
        )
    head = ("number", "name", "state", "seconds", "what")
    return Table(head=head, rows=rows, numbers=frozenset({0, 3}))
