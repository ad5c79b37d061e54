"""Which versions belong to one training, and which training went on from which.

A training is one call of `fit`; a version that was saved outside of one belongs to
none. The parent of a training's first version is the version that it went on from.
"""

import dataclasses
from collections.abc import Iterable

from keras_versioned_ckpt.records import HistoryEntry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """The versions of one training, in order.

    Args:
        run_id: Its id; `None` for what was saved outside of `fit`.
        entries: Its versions by number, also those that are gone; at least one.
        resumed_from: Number of the version that it went on from; `None` for one that
            began afresh.
    """

    run_id: str | None
    entries: tuple[HistoryEntry, ...]
    resumed_from: int | None = None


def runs(history: Iterable[HistoryEntry]) -> tuple[Run, ...]:
    """Returns the trainings of a store, by their first version.

    Args:
        history: All versions of a store, in any order.
    """
    together: dict[str | None, list[HistoryEntry]] = {}
    for entry in sorted(history, key=lambda entry: entry.number):
        together.setdefault(entry.version.run_id, []).append(entry)
    return tuple(
        Run(
            run_id=run_id,
            entries=tuple(entries),
            resumed_from=None if run_id is None else entries[0].version.parent,
        )
        for run_id, entries in together.items()
    )


def resumed_from(history: Iterable[HistoryEntry]) -> frozenset[int]:
    """Returns the numbers of the versions that a training went on from."""
    return frozenset(
        run.resumed_from for run in runs(history) if run.resumed_from is not None
    )
