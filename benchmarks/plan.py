"""Compares planning a retention policy with sorting the same versions.

    python benchmarks/plan.py

Each round sorts the shuffled list by number and plans it once per policy, one
after the other, so that a slow moment of the machine hits all alike. What is
printed are medians and their ratio to the sort. The target of the project is a
ratio below 5 for a union of eight rules over 10,000 versions.
"""

import operator
import random
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.retention import (
    KeepAll,
    KeepBest,
    KeepDaily,
    KeepEvery,
    KeepHourly,
    KeepLast,
    KeepMonthly,
    KeepSize,
    KeepTagged,
    KeepWeekly,
    KeepWithin,
    KeepYearly,
)

COUNT = 10_000
ROUNDS = 9

POLICIES = {
    "eight rules": (
        KeepLast(3)
        | KeepBest(5, "val_loss", "min")
        | KeepEvery(epochs=100)
        | KeepWithin("2 days")
        | KeepHourly(24)
        | KeepDaily(7)
        | KeepWeekly(4)
        | KeepMonthly(12)
    ),
    "eight rules, Berlin": (
        KeepLast(3)
        | KeepBest(5, "val_loss", "min")
        | KeepEvery(epochs=100)
        | KeepWithin("2 days")
        | KeepHourly(24, timezone="Europe/Berlin")
        | KeepDaily(7, timezone="Europe/Berlin")
        | KeepWeekly(4, timezone="Europe/Berlin")
        | KeepMonthly(12, timezone="Europe/Berlin")
    ),
    "the other eight": (
        KeepLast(3)
        | KeepBest(5, "val_loss", "min")
        | KeepEvery(steps=1000)
        | KeepWithin("1 month")
        | KeepDaily(30)
        | KeepYearly(10)
        | KeepTagged("prod*")
        | KeepSize("20 GB")
    ),
    "KeepLast": KeepLast(3),
    "KeepBest": KeepBest(5, "val_loss", "min"),
    "KeepWithin": KeepWithin("2 days"),
    "KeepYearly": KeepYearly(10),
    "KeepAll": KeepAll(),
}


def history() -> list[Version]:
    """Returns a year and more of hourly versions, shuffled."""
    chance = random.Random(0)
    start = datetime(2025, 1, 1, tzinfo=UTC)
    versions = [
        Version(
            number=number,
            created=start + number * timedelta(hours=1),
            epoch=number,
            step=10 * number,
            metrics={"loss": chance.random(), "val_loss": chance.random()},
            size_bytes=100_000_000,
            tags=("prod",) if number % 1000 == 0 else (),
            monitor="val_loss",
            mode="min",
        )
        for number in range(1, COUNT + 1)
    ]
    chance.shuffle(versions)
    return versions


def milliseconds(action: Callable[[], object]) -> float:
    """Returns how long one call of `action` takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1000


def main() -> None:
    """Measures and prints."""
    versions = history()
    by_number = operator.attrgetter("number")
    actions: dict[str, Callable[[], object]] = {
        "sorted()": lambda: sorted(versions, key=by_number)
    }
    for name, policy in POLICIES.items():
        actions[name] = lambda policy=policy: policy.plan(versions)  # type: ignore[misc]
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(ROUNDS):
        for name, action in actions.items():
            times[name].append(milliseconds(action))
    base = statistics.median(times["sorted()"])
    print(f"{COUNT} versions, medians of {ROUNDS} rounds")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"{name:<20} {median:7.2f} ms  {median / base:5.2f} x sorted()")


if __name__ == "__main__":
    main()
