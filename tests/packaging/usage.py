"""The public interface as a user's strictly typed program has it; only checked."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

from keras_versioned_ckpt import (
    AsOf,
    AtEpoch,
    AtStep,
    Best,
    CheckpointError,
    CheckpointStore,
    CheckpointWarning,
    CorruptVersionError,
    EveryBatches,
    EveryEpochs,
    EveryInterval,
    EverySteps,
    HistoryEntry,
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
    Latest,
    Named,
    Number,
    Numbered,
    OnException,
    OnImprovement,
    OnSignal,
    OnTrainEnd,
    ResumeError,
    SaveError,
    StoreError,
    StoreNotFoundError,
    Tagged,
    Template,
    Timestamped,
    UnsafeVersionError,
    Version,
    VersionedCheckpoint,
    VersionNotFoundError,
    __version__,
    load_best,
    load_checkpoint,
    load_latest,
    load_version,
    save_version,
)

ERRORS: tuple[type[CheckpointError], ...] = (
    CorruptVersionError,
    ResumeError,
    SaveError,
    StoreError,
    StoreNotFoundError,
    UnsafeVersionError,
    VersionNotFoundError,
)
WARNING: type[UserWarning] = CheckpointWarning


def train(model: Any, directory: Path) -> int:
    """Uses the callback."""
    often = EveryEpochs(2) | EverySteps(100) & EveryInterval(minutes=5)
    seldom = OnImprovement("val_loss") | OnTrainEnd() | EveryBatches(10)
    checkpoint = VersionedCheckpoint(
        directory,
        monitor="val_accuracy",
        save_freq=often | seldom | OnException() | OnSignal("SIGTERM"),
        naming=Template("{epoch:03d}-{val_loss:.4f}"),
        retention=KeepLast(3) | KeepBest(2),
        keep_last=1,
        resume=True,
        metadata={"note": "mine"},
    )
    assert_type(checkpoint.store, CheckpointStore)
    assert_type(checkpoint.latest, Version | None)
    assert_type(checkpoint.best, Version | None)
    checkpoint.wait()
    return checkpoint.restore(model)


def keep(store: CheckpointStore) -> int:
    """Uses retention."""
    policy = KeepAll() | KeepEvery(epochs=10) | KeepWithin("7 days") | KeepHourly(24)
    policy |= KeepDaily(7, timezone="Europe/Berlin") | KeepWeekly(4) | KeepMonthly(12)
    policy |= KeepYearly(1) | KeepTagged("prod*") | KeepSize("20 GB")
    plan = store.prune(policy, dry_run=True)
    assert_type(plan.keep, tuple[Version, ...])
    assert_type(plan.remove, tuple[Version, ...])
    assert_type(plan.reasons, Mapping[int, tuple[str, ...]])
    assert_type(KeepLast(1).plan(store.versions).size_bytes_freed, int)
    return plan.size_bytes_freed


def look(store: CheckpointStore) -> list[str]:
    """Uses the store."""
    assert_type(store.versions, tuple[Version, ...])
    assert_type(store.history, tuple[HistoryEntry, ...])
    assert_type(store.tags, Mapping[str, Version])
    assert_type(store[3], Version)
    assert_type(store["version_3"], Version)
    assert_type(store.best(monitor="val_loss", mode="min"), Version)
    assert_type(store.latest(), Version)
    for selector in (Latest(), Best("val_loss", "min"), Number(3), Named("version_3")):
        assert_type(store.select(selector), Version)
    for other in (AtEpoch(5), AtStep(1000), AsOf("2026-11-20 18:00"), Tagged("prod")):
        assert_type(store.select(other), Version)
    assert_type(store.tag(3, "prod"), Version)
    store.untag("prod")
    store.delete("version_3")
    assert_type(store.verify().ok, bool)
    assert_type(store.repair().checked, int)
    store.plot("val_loss")
    return [version.name for version in store if version.created < datetime.max]


def save_and_load(model: Any, directory: str) -> Any:
    """Uses the functions."""
    version = save_version(model, directory, naming=Numbered(), tags=("prod",))
    assert_type(version, Version)
    assert_type(version.metrics, Mapping[str, float])
    assert_type(version.path, Path | None)
    save_version(model, directory, naming=Timestamped("model_{created:%Y}"))
    assert_type(__version__, str)
    load_latest(directory, strict=True)
    load_version(directory, 3, verify=False)
    load_checkpoint(directory, "best~1", model=model)
    return load_best(directory, "val_accuracy", "max")
