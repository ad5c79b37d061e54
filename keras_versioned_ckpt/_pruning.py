"""How versions are taken away: what a policy decides, and what a user does."""

import contextlib
import dataclasses
import warnings
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from keras_versioned_ckpt import _atomic, _removal, ledger
from keras_versioned_ckpt._messages import listing, reason, shown
from keras_versioned_ckpt._room import Room
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CheckpointWarning,
    StoreError,
)
from keras_versioned_ckpt.records import FrozenMapping, Version
from keras_versioned_ckpt.retention import Plan, RetentionPolicy


def prune(
    room: Room,
    policy: RetentionPolicy,
    *,
    dry_run: bool,
    in_use: Collection[int],
    making_room: bool,
) -> Plan:
    """Does what `CheckpointStore.prune` says."""
    if not isinstance(policy, RetentionPolicy):
        raise TypeError(
            "`policy` must be a retention policy such as `KeepLast(3)`. "
            f"Received: policy={policy!r}"
        )
    if dry_run:
        with room.reading():
            return _decide(room, policy, room.catalog.versions(), in_use, making_room)
    _read_ahead(room, policy, in_use)
    with room.writing("Pruning") as store_id:
        plan = _decide(room, policy, room.reconciled(), in_use, making_room)
        reasons = {v: "; ".join(plan.reasons[v.number]) for v in plan.remove}
        _take_away(room, reasons, repr(policy))
    _empty_trash(room, store_id)
    return plan


def delete(room: Room, version: Version | int | str) -> None:
    """Does what `CheckpointStore.delete` says."""
    with room.writing("Deleting") as store_id:
        target = room.resolve(version, room.reconciled())
        if target.tags:
            raise StoreError(
                f"{target.name} is tagged {listing(map(shown, target.tags))} and so "
                "is not deleted. Take the tag off first: "
                f"`store.untag({target.tags[0]!r})`."
            )
        _removal.check_removable(room.layout, target, store_id)
        _take_away(room, {target: "removed: deleted by the user"})
    _empty_trash(room, store_id)


def _decide(
    room: Room,
    policy: RetentionPolicy,
    versions: tuple[Version, ...],
    in_use: Collection[int],
    making_room: bool,
) -> Plan:
    """Plans; if nothing is to go and there must be room, as after the next save."""
    plan = _plan(room, policy, versions, in_use)
    if plan.remove or not plan.keep or not making_room:
        return plan
    # It takes the place of none by a metric, a period or an epoch: if it cannot be
    # saved after all, those are still there.
    coming = dataclasses.replace(
        plan.keep[-1],
        number=plan.keep[-1].number + 1,
        created=datetime.now(UTC),
        epoch=None,
        step=None,
        path=None,
        metrics={},
        tags=(),
    )
    return _plan(room, policy, versions, in_use, coming)


def _plan(
    room: Room,
    policy: RetentionPolicy,
    versions: tuple[Version, ...],
    in_use: Collection[int],
    coming: Version | None = None,
) -> Plan:
    """Plans with the versions that are sound, and warns of the others.

    What the policy would remove is checked afresh; what it would keep, once by
    this process, since a version never changes and a damaged one must not take
    the place of a good one. The files of both are read once by this process.
    """
    in_use = {*in_use, *_lost_tags(room, {version.number for version in versions})}
    while True:
        if coming is None:
            plan = policy.plan(versions, in_use=in_use)
        else:
            plan = _plan_with(policy, versions, in_use, coming)
        if not plan.remove:
            return plan  # nor would anything go if a damaged one was not counted
        seen = room.seen_sound
        kept = [v for v in plan.keep if v.number not in seen]
        unsound = {v.number for v in (*plan.remove, *kept) if not _sound(room, v)}
        if not unsound:
            return plan
        versions = tuple(v for v in versions if v.number not in unsound)


def _plan_with(
    policy: RetentionPolicy,
    versions: tuple[Version, ...],
    in_use: Collection[int],
    coming: Version,
) -> Plan:
    """Plans as if one more version was there, which the plan then does not tell of.

    The newest of those that are there stays: the guard must not rest on a version
    that may never be.
    """
    newest = policy.plan(versions, in_use=in_use).keep[-1:]
    stay = {*in_use, *(version.number for version in newest)}
    plan = policy.plan((*versions, coming), in_use=stay)
    reasons = {n: texts for n, texts in plan.reasons.items() if n != coming.number}
    for version in plan.remove:
        reasons[version.number] = ("removed: to make room for the next version",)
    for version in newest:
        reasons[version.number] = ("kept: newest version (guard)",)
    return Plan(
        keep=tuple(v for v in plan.keep if v is not coming),
        remove=plan.remove,
        reasons=FrozenMapping(reasons),
    )


def _lost_tags(room: Room, there: Collection[int]) -> list[int]:
    """Returns the versions whose tags something else took away, and warns of it."""
    lost = {t: n for t, n in room.catalog.lost_tags().items() if n in there}
    for tag, number in lost.items():
        warnings.warn(
            f"The tag {shown(tag)} is not there, and nobody took it off version "
            f"{number}, which is kept. `CheckpointStore.repair()` puts it back on; "
            "`untag` takes it off.",
            CheckpointWarning,
            stacklevel=5,
        )
    return [*lost.values()]


def _read_ahead(room: Room, policy: RetentionPolicy, in_use: Collection[int]) -> None:
    """Reads what a plan will rest on, so that no other writer waits for that.

    Once in a process, which has written most of what comes later. What is not sound,
    or goes meanwhile, is found out again under the lock.
    """
    if room.has_read_ahead:
        return
    room.has_read_ahead = True
    with room.reading():
        plan = policy.plan(room.catalog.versions(), in_use=in_use)
    if not plan.remove:
        return
    for version in (*plan.keep, *plan.remove):
        if version.number in room.seen_sound:
            continue
        with contextlib.suppress(CheckpointError, OSError):
            _removal.check_removable(room.layout, version, room.store_id)
            room.seen_sound.add(version.number)


def _sound(room: Room, version: Version) -> bool:
    read = version.number not in room.seen_sound
    try:
        _removal.check_removable(room.layout, version, room.store_id, read=read)
    except FileNotFoundError:
        return False
    except CheckpointError as error:
        warnings.warn(
            f"{version.name} is not counted and not removed: {error}",
            CheckpointWarning,
            stacklevel=5,
        )
        return False
    room.seen_sound.add(version.number)
    return True


def _take_away(room: Room, reasons: Mapping[Version, str], policy: str = "") -> None:
    """Records, then moves each version out of sight; needs the lock."""
    if not reasons:
        return
    now = datetime.now(UTC)
    room.record(
        *(
            ledger.Removed(version.number, now, reason, policy)
            for version, reason in reasons.items()
        )
    )
    for version in reasons:
        # Gone already: removed by hand since it was listed.
        with contextlib.suppress(FileNotFoundError):
            _removal.to_trash(room.layout, version)
    _atomic.sync_directory(room.layout.root)
    _atomic.sync_directory(room.layout.trash)


def _empty_trash(room: Room, store_id: str) -> None:
    """Deletes what was moved out of sight; what cannot be, costs no more than space."""
    try:
        left = _removal.empty_trash(room.layout, store_id)
    except OSError as error:
        _warn(f"{room.layout.trash} is not emptied: {reason(error)}")
    else:
        for name, why in left.items():
            _warn(f"{room.layout.trash / name} stays in the trash: {why}")


def _warn(text: str) -> None:
    # At the line that pruned or deleted.
    warnings.warn(text, CheckpointWarning, stacklevel=5)
