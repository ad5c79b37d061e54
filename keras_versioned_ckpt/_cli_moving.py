"""`keras-ckpt export`, `import`, `report`: out of a store, and into one."""

import argparse
import os
import warnings
from collections.abc import Sequence
from typing import Any

from keras_versioned_ckpt import _console, _json_forms
from keras_versioned_ckpt._adopting import Adopted, adopt
from keras_versioned_ckpt._finding import Findings, Found, find
from keras_versioned_ckpt._messages import escaped, rounded_size
from keras_versioned_ckpt._table import Table
from keras_versioned_ckpt.errors import CheckpointWarning
from keras_versioned_ckpt.store import CheckpointStore


def export(options: argparse.Namespace) -> int:
    """Runs `export`."""
    from keras_versioned_ckpt import _exporting

    version = CheckpointStore(options.directory).select(options.selector)
    with _console.progress("exporting") as progress:
        path = _exporting.export(version, options.output, progress=progress)
    if options.json:
        told = {
            "version": _json_forms.version(version),
            "output": os.path.abspath(path),
        }
        _console.say(_json_forms.text(told))
    else:
        _console.say(f"{version.name} is in {escaped(str(path))}.")
    return 0


def report(options: argparse.Namespace) -> int:
    """Runs `report`."""
    from keras_versioned_ckpt._report import write_report

    store = CheckpointStore(options.directory)
    verified = None
    if not options.no_verify:
        with _console.progress("verifying") as progress:
            verified = store.verify(progress)
    write_report(store, options.output, metric=options.metric, verified=verified)
    if options.json:
        told = {"output": os.path.abspath(options.output)}
        told |= {"verified": verified is not None, "ok": not verified or verified.ok}
        _console.say(_json_forms.text(told))
    else:
        _console.say(f"The report is in {escaped(options.output)}.")
        if verified is not None and not verified.ok:
            _console.complain(f"{len(verified.problems)} problem(s) are in it.")
    return 0


def import_(options: argparse.Namespace) -> int:
    """Runs `import`."""
    findings = find(options.sources, options.template, timezone=options.timezone)
    for complaint in (*(f"skipped {s}" for s in findings.skipped), *findings.notes):
        _console.complain(complaint)
    if not findings.found:
        _console.complain("There is nothing to import.")
        if options.json:
            _tell([], findings, options)
        return 1
    if options.dry_run:
        _tell([(one, None) for one in findings.found], findings, options)
        return 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CheckpointWarning)
        with _console.progress("importing") as progress:
            adopted = adopt(
                CheckpointStore(options.directory, create=True),
                findings.found,
                naming=options.naming,
                link=options.link,
                monitor=options.monitor,
                mode=options.mode,
                progress=progress,
            )
    for warning in caught:
        _console.complain(str(warning.message))
    _tell([(each.found, each) for each in adopted], findings, options)
    return 0


def _tell(
    outcomes: Sequence[tuple[Found, Adopted | None]],
    findings: Findings,
    options: argparse.Namespace,
) -> None:
    """Tells what became of what was found; of nothing yet, if it is a dry run."""
    if options.json:
        told = {
            "imported": [_form(found, adopted) for found, adopted in outcomes],
            "skipped": [
                {"path": str(skipped.path), "reason": skipped.reason}
                for skipped in findings.skipped
            ],
            "order": findings.order,
            "notes": list(findings.notes),
        }
        _console.say(_json_forms.text(told))
        return
    _console.show(_table(outcomes))
    if len(outcomes) > 1:
        _console.say(f"In this order: {escaped(findings.order)}.")


def _state(adopted: Adopted | None) -> str:
    if adopted is None:
        return "found"
    return "was there" if adopted.was_there else "imported"


def _form(found: Found, adopted: Adopted | None) -> dict[str, Any]:
    reading = found.reading
    return {
        "source": str(found.payload.path),
        "payload_format": found.payload.format,
        "size_bytes": found.payload.size_bytes,
        "epoch": reading.epoch,
        "metrics": {k: _json_forms.number(v) for k, v in reading.metrics.items()},
        "state": _state(adopted),
        "version": None if adopted is None else _json_forms.version(adopted.version),
    }


def _table(outcomes: Sequence[tuple[Found, Adopted | None]]) -> Table:
    rows = []
    for found, adopted in outcomes:
        epoch = found.reading.epoch
        metrics = [f"{escaped(k)}={v:.4g}" for k, v in found.reading.metrics.items()]
        rows.append(
            [
                escaped(found.name),
                "-" if adopted is None else adopted.version.name,
                _state(adopted),
                found.payload.format,
                "-" if epoch is None else str(epoch),
                " ".join(metrics) or "-",
                rounded_size(found.payload.size_bytes),
            ]
        )
    head = ("source", "version", "state", "format", "epoch", "metrics", "size")
    return Table(head=head, rows=rows, numbers=frozenset({4, 6}))
