"""`keras-ckpt explain`, `prune`, `tag`, `untag`: which versions stay."""

import argparse
import warnings
from collections.abc import Mapping
from typing import Any

from keras_versioned_ckpt import _console, _json_forms
from keras_versioned_ckpt._messages import rounded_size
from keras_versioned_ckpt._table import version_table
from keras_versioned_ckpt.errors import CheckpointWarning
from keras_versioned_ckpt.retention import Plan, RetentionPolicy
from keras_versioned_ckpt.store import CheckpointStore


def explain(options: argparse.Namespace) -> int:
    """Runs `explain`."""
    store = CheckpointStore(options.directory)
    plan = _planned(store, options.retention, dry_run=True)
    return _told(plan, options)


def prune(options: argparse.Namespace) -> int:
    """Runs `prune`."""
    if options.json and not (options.yes or options.dry_run):
        _console.complain("`--json` must go with --yes or --dry-run: it asks nothing.")
        return 2
    if options.dry_run:
        return explain(options)
    store = CheckpointStore(options.directory)
    if options.yes:
        plan = _planned(store, options.retention, dry_run=False)
        return _told(plan, options)
    seen = _planned(store, options.retention, dry_run=True)
    _show(seen, options.retention)
    if not seen.remove:
        return 0
    if not _console.asked(f"Remove {_counted(len(seen.remove))}?"):
        _console.complain("Nothing was removed.")
        return 1
    # Decided once more, since a training may have saved in the meantime.
    plan = _planned(store, options.retention, dry_run=False)
    if plan.remove == seen.remove:
        _console.say(f"Removed {_counted(len(plan.remove))}.")
    else:
        _console.say("The store has changed meanwhile; what was done is this:")
        _show(plan, options.retention)
    return 0


def _planned(store: CheckpointStore, policy: RetentionPolicy, *, dry_run: bool) -> Plan:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CheckpointWarning)
        plan = store.prune(policy, dry_run=dry_run)
    for warning in caught:
        _console.complain(str(warning.message))
    return plan


def _told(plan: Plan, options: argparse.Namespace) -> int:
    if options.json:
        _console.say(_json_forms.text(_json_forms.plan(plan)))
    else:
        _show(plan, options.retention)
    return 0


def _show(plan: Plan, policy: RetentionPolicy) -> None:
    every = sorted((*plan.keep, *plan.remove), key=lambda version: version.number)
    _console.say(f"{policy!r} keeps {policy.explanation}.")
    _console.show(version_table(every, plan.reasons))
    size = rounded_size(plan.size_bytes_freed)
    _console.say(f"{len(plan.keep)} kept, {len(plan.remove)} removed, {size} freed")


def _counted(count: int) -> str:
    return f"{count} version{'' if count == 1 else 's'}"


def tag(options: argparse.Namespace) -> int:
    """Runs `tag`."""
    store = CheckpointStore(options.directory)
    version = store.tag(store.select(options.selector), options.tag)
    text = f"{version.name} is tagged {options.tag}."
    return _done(options, _json_forms.version(version), text)


def untag(options: argparse.Namespace) -> int:
    """Runs `untag`."""
    CheckpointStore(options.directory).untag(options.tag)
    return _done(options, {"untagged": options.tag}, f"{options.tag} is taken off.")


def _done(options: argparse.Namespace, told: Mapping[str, Any], text: str) -> int:
    _console.say(_json_forms.text(told) if options.json else text)
    return 0
