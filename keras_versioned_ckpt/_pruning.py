"""How versions are taken away: what a policy decides, and what a user does."""

import contextlib
import warnings
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from keras_versioned_ckpt import _atomic, _founding, _removal, ledger
from keras_versioned_ckpt._deciding import Deciding
from keras_versioned_ckpt._messages import escaped, listing, reason, shown
from keras_versioned_ckpt._room import Room
from keras_versioned_ckpt.errors import CheckpointWarning, StoreError
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.retention import Plan, RetentionPolicy

# How often to read without the lock what others saved meanwhile, before with it.
_ROUNDS = 3
# Of what stays in the trash, where there may be thousands.
_MOST_WARNINGS = 8


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
    deciding = Deciding(room, policy, in_use, making_room)
    if dry_run:
        with room.reading():
            plan = deciding.plan(room.catalog.versions())
    else:
        plan = _prune(room, policy, deciding)
    for complaint in deciding.complaints:
        # At the line of the caller of `CheckpointStore.prune`.
        warnings.warn(complaint, CheckpointWarning, stacklevel=3)
    return plan


def _prune(room: Room, policy: RetentionPolicy, deciding: Deciding) -> Plan:
    rounds = 0
    while True:
        with room.writing("Pruning") as store_id:
            plan = deciding.plan(room.reconciled())
            while deciding.unread and rounds >= _ROUNDS:
                deciding.read()
                plan = deciding.plan(room.reconciled())
            if not deciding.unread:
                reasons = {v: "; ".join(plan.reasons[v.number]) for v in plan.remove}
                _take_away(room, reasons, repr(policy))
                break
        # No other writer waits for this; what came meanwhile is then seen.
        deciding.read()
        rounds += 1
    _empty_trash(room, store_id)
    return plan


def delete(room: Room, version: Version | int | str) -> None:
    """Does what `CheckpointStore.delete` says."""
    with room.reading():
        _founding.identify(room.layout)  # which refuses planted links
        target = _untagged(room, version, room.catalog.versions())
        # Read before the lock is taken, for which others would have to wait.
        _removal.check_removable(room.layout, target, room.store_id)
    with room.writing("Deleting") as store_id:
        target = _untagged(room, target, room.reconciled())
        _removal.check_removable(room.layout, target, store_id, read=False)
        _take_away(room, {target: "removed: deleted by the user"})
    _empty_trash(room, store_id)


def _untagged(
    room: Room, version: Version | int | str, versions: tuple[Version, ...]
) -> Version:
    target = room.resolve(version, versions)
    if target.tags:
        raise StoreError(
            f"{target.name} is tagged {listing(map(shown, target.tags))} and so "
            "is not deleted. Take the tag off first: "
            f"`store.untag({target.tags[0]!r})`."
        )
    return target


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
        for name, why in [*left.items()][:_MOST_WARNINGS]:
            _warn(
                f"{room.layout.trash}: {shown(name)} stays in the trash: {escaped(why)}"
            )
        if len(left) > _MOST_WARNINGS:
            _warn(f"{room.layout.trash}: {len(left)} stay there, as `verify` tells")


def _warn(text: str) -> None:
    # At the line that pruned or deleted.
    warnings.warn(text, CheckpointWarning, stacklevel=5)
