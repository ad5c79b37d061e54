"""`keras-ckpt list`, `show`, `path`: what is there, and what was."""

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from keras_versioned_ckpt import _console
from keras_versioned_ckpt._messages import escaped, listing, rounded_size, shown
from keras_versioned_ckpt.errors import VersionNotFoundError
from keras_versioned_ckpt.records import HistoryEntry
from keras_versioned_ckpt.store import CheckpointStore

if TYPE_CHECKING:
    from keras_versioned_ckpt.selectors import Selector

_KEYS = ("number", "name", "epoch", "step", "created", "size")


def show_list(options: argparse.Namespace) -> int:
    """Runs `list`."""
    store = CheckpointStore(options.directory)
    entries = _wanted(store, options)
    if options.json:
        from keras_versioned_ckpt import _json_forms

        told = [_json_forms.entry(entry) for entry in entries]
        _console.say(_json_forms.text(told))
    elif options.csv:
        from keras_versioned_ckpt._csv import as_csv

        _console.say(as_csv(entries))
    elif options.gone:
        from keras_versioned_ckpt._table import history_table

        _console.show(history_table(entries))
    else:
        _show_versions(entries)
    return 0


def _wanted(
    store: CheckpointStore, options: argparse.Namespace
) -> Sequence[HistoryEntry]:
    if options.all or options.gone:
        entries = [e for e in store.history if e.gone or options.all]
    else:
        entries = [HistoryEntry(version=version) for version in store.versions]
    if options.sort is not None:
        entries = ordered(entries, options.sort)[: options.limit]
    elif options.limit is not None:
        entries = entries[-options.limit :]
    return entries[::-1] if options.reverse else entries


def ordered(entries: Sequence[HistoryEntry], key: str) -> list[HistoryEntry]:
    """Returns entries in the order of a key, what has none last.

    Args:
        entries: Versions by number.
        key: A column, or a metric, of which the best comes first; where its direction
            is not known, the smallest.

    Raises:
        ValueError: If it is neither; the message lists those that there are.
    """
    if key == "number":
        return list(entries)
    if key not in _KEYS:
        return _by_metric(entries, key)
    field = "size_bytes" if key == "size" else key
    known = [e for e in entries if getattr(e.version, field) is not None]
    unknown = [e for e in entries if getattr(e.version, field) is None]
    return sorted(known, key=lambda e: getattr(e.version, field)) + unknown


def _by_metric(entries: Sequence[HistoryEntry], name: str) -> list[HistoryEntry]:
    from keras_versioned_ckpt._ranking import best_first, said_mode

    metrics = {metric for entry in entries for metric in entry.version.metrics}
    if entries and name not in metrics:
        known = listing([*_KEYS, *(shown(metric) for metric in sorted(metrics))])
        raise ValueError(
            f"`--sort` must be a column or a metric. Received: {shown(name)}. "
            f"There are: {known}."
        )
    newest_first = [entry.version for entry in reversed(entries)]
    modes = (said_mode(version, name) for version in newest_first)
    ranked = best_first(newest_first, name, next(filter(None, modes), "min"))
    place = {version.number: i for i, version in enumerate(ranked)}
    return sorted(entries, key=lambda entry: place.get(entry.number, len(place)))


def _show_versions(entries: Iterable[HistoryEntry]) -> None:
    from keras_versioned_ckpt._ranking import recorded_best
    from keras_versioned_ckpt._table import version_table

    versions = [entry.version for entry in entries]
    best = recorded_best(versions)
    size_bytes = sum(version.size_bytes for version in versions)
    caption = f"{len(versions)} shown, {rounded_size(size_bytes)}"
    if best is not None:
        caption += f"; best of them by {escaped(str(best.monitor))}: {best.name}"
    _console.show(version_table(versions, caption=caption, best=best))


def show_version(options: argparse.Namespace) -> int:
    """Runs `show`."""
    from keras_versioned_ckpt import _describing

    store = CheckpointStore(options.directory)
    try:
        about = _describing.about(found(store, options.selector))
    except FileNotFoundError:
        # It went a moment ago, and that is now what there is to show.
        about = _describing.about(found(store, options.selector))
    if options.json:
        from keras_versioned_ckpt import _json_forms

        _console.say(_json_forms.text(about))
    else:
        _console.show(_describing.table(about))
    return 0


def found(store: CheckpointStore, selector: "Selector") -> HistoryEntry:
    """Returns what a selector picks; a number or a name, also what is gone."""
    from keras_versioned_ckpt.selectors import Named, Number

    try:
        return HistoryEntry(version=store.select(selector))
    except VersionNotFoundError:
        for entry in reversed(store.history):
            is_number = selector == Number(entry.number)
            if entry.gone and (is_number or selector == Named(entry.name)):
                return entry
        raise


def show_path(options: argparse.Namespace) -> int:
    """Runs `path`."""
    from keras_versioned_ckpt.selectors import AsOf

    selector = options.selector
    if isinstance(selector, AsOf) and selector.note:
        _console.complain(selector.note)
    version = CheckpointStore(options.directory).select(selector)
    if options.json:
        from keras_versioned_ckpt import _json_forms

        _console.say(_json_forms.text({"path": str(version.path)}))
    else:
        assert version.path is not None
        _console.say_path(version.path)
    return 0
