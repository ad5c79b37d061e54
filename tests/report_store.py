"""Makes a store like one of a week's work, for the tests of reports and for pictures.

``python -m tests.report_store DIRECTORY`` makes one there.
"""

import contextlib
import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any
from unittest import mock

from keras_versioned_ckpt import _committing, _pruning
from keras_versioned_ckpt.retention import KeepBest, KeepEvery, KeepLast
from keras_versioned_ckpt.store import CheckpointStore

MONDAY = datetime(2026, 11, 16, 9, 12, tzinfo=UTC)
#: When a report of the store is made.
NOW = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
POLICY = KeepLast(3) | KeepBest(2, "val_accuracy", "max") | KeepEvery(epochs=10)
#: The version whose losses are not finite.
DIVERGED = 34


class Clock(datetime):
    """A clock that stands still until it is set."""

    instant = MONDAY

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        """Returns the instant that it was set to."""
        return cls.instant


@contextlib.contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Has a store take it to be this moment."""
    Clock.instant = moment
    with (
        mock.patch.object(_committing, "datetime", Clock),
        mock.patch.object(_pruning, "datetime", Clock),
    ):
        yield


def report_store(directory: Path) -> CheckpointStore:
    """Returns a store of three trainings, one of which went on from another.

    A policy pruned after each save, a person deleted one version and tagged two. Of one
    version the losses are not finite, and one was saved by hand.
    """
    store = CheckpointStore(directory, create=True)
    train(store, "3f9a1c07be52", MONDAY, epochs=range(1, 25), seed=0.0)
    by_hand = MONDAY + timedelta(hours=3)
    with at(by_hand):
        commit(store, 1_310_720, metrics={}, metadata={"note": "after quantisation"})
    store.tag(10, "baseline")
    went_on = MONDAY + timedelta(days=1, hours=5)
    train(store, "a40de1925b16", went_on, epochs=range(21, 42), seed=0.6, parent=20)
    again = MONDAY + timedelta(days=4, hours=2)
    train(store, "c81b07a44d3e", again, epochs=range(1, 19), seed=1.9)
    store.tag(store.best("val_accuracy", "max"), "prod")
    with at(NOW - timedelta(hours=1)):
        store.delete(35)
    return store


def train(
    store: CheckpointStore,
    run_id: str,
    begin: datetime,
    *,
    epochs: range,
    seed: float,
    parent: int | None = None,
) -> None:
    """Saves after each epoch, and prunes after each save."""
    for i, epoch in enumerate(epochs):
        last = store.latest().number if i else parent
        with at(begin + i * timedelta(minutes=4, seconds=17)):
            commit(
                store,
                2_097_152 + 4096 * epoch,
                epoch=epoch,
                step=epoch * 469,
                metrics=metrics(epoch, seed, len(store.history) + 1 == DIVERGED),
                run_id=run_id,
                parent=last,
                monitor="val_accuracy",
                mode="max",
                modes={"val_accuracy": "max", "accuracy": "max", "val_loss": "min"},
            )
            store.prune(POLICY, in_use=() if parent is None else (parent,))


def metrics(epoch: int, seed: float, diverged: bool) -> dict[str, float]:
    """Returns what a training on digits could have had."""
    noise = 0.012 * math.sin(7.3 * epoch + 5 * seed) * math.cos(2.1 * epoch)
    loss = 1.9 * math.exp(-epoch / (5.5 + seed)) + 0.06 + abs(noise)
    if diverged:
        loss = math.nan
    return {
        "accuracy": round(0.985 - 0.72 * math.exp(-epoch / (4.6 + seed)), 6),
        "loss": round(loss, 6),
        "val_accuracy": round(
            0.967 - 0.03 * seed / 2 - 0.66 * math.exp(-epoch / 4.9) + noise, 6
        ),
        "val_loss": round(1.12 * loss + 0.002 * epoch, 6),
    }


def commit(store: CheckpointStore, size: int, **facts: Any) -> None:
    """Saves a version of so many bytes."""
    with store.stage() as staged:
        with (staged.path / "model.keras").open("wb") as file:
            file.truncate(size)
        store.commit(staged, **facts)


if __name__ == "__main__":
    print(report_store(Path(sys.argv[1])).path)
