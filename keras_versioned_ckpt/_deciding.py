"""What a policy removes from a store as it is: damage, lost tags and all."""

import dataclasses
import itertools
from collections.abc import Collection, Sequence

from keras_versioned_ckpt import _removal
from keras_versioned_ckpt._messages import reason, shown
from keras_versioned_ckpt._room import Room
from keras_versioned_ckpt.errors import CheckpointError, StoreError
from keras_versioned_ckpt.records import FrozenMapping, Version
from keras_versioned_ckpt.retention import Plan, RetentionPolicy


class Deciding:
    """Plans for one store, again and again until the plan rests on sound versions.

    A version that is damaged takes no part: it must not take the place of a good one,
    and is not removed. To read all that a plan rests on may take minutes, in which no
    other process should have to wait, and so is for the caller to ask for.

    Args:
        room: The store.
        policy: The retention policy.
        in_use: Numbers of versions that a running training resumed from.
        making_room: Whether something should go even if nothing has to yet.

    Attributes:
        unread: The versions that the last plan rests on and that this process has
            neither written nor read.
        complaints: What to warn of, in the order in which it was found.
    """

    def __init__(
        self,
        room: Room,
        policy: RetentionPolicy,
        in_use: Collection[int],
        making_room: bool,
    ) -> None:
        self._room = room
        self._policy = policy
        self._in_use = frozenset(in_use)
        self._making_room = making_room
        self._unsound: set[int] = set()
        self.unread: list[Version] = []
        self.complaints: list[str] = []

    def plan(self, versions: Sequence[Version]) -> Plan:
        """Plans with those versions that are sound, as far as that is known.

        Raises:
            StoreError: If two versions have one number, as no save makes it.
        """
        _check_numbers(versions)
        in_use = self._in_use | self._untagged({v.number for v in versions})
        while True:
            sound = [v for v in versions if v.number not in self._unsound]
            plan = self._plan(sound, in_use)
            if not plan.remove:
                # Nor would anything go if a damaged one was not counted.
                self.unread = []
                return plan
            seen = self._room.seen_sound
            unseen = [v for v in (*plan.keep, *plan.remove) if v.number not in seen]
            # Of what is to go, the files are looked at each time: some may be new.
            looked_at = {v.number: v for v in (*unseen, *plan.remove)}
            unsound = [
                v for v in looked_at.values() if not self._is_sound(v, read=False)
            ]
            if not unsound:
                self.unread = unseen
                return plan

    def read(self) -> None:
        """Reads what the last plan rests on; the next one knows what came of it."""
        for version in self.unread:
            if self._is_sound(version, read=True):
                self._room.seen_sound.add(version.number)

    def _plan(self, versions: list[Version], in_use: frozenset[int]) -> Plan:
        plan = self._policy.plan(versions, in_use=in_use)
        if plan.remove or not plan.keep or not self._making_room:
            return plan
        newest = plan.keep[-1]
        # One more version, of which nothing is known but that it comes. It takes the
        # place of none by a metric, an age or a period: if it cannot be saved after
        # all, those are still there.
        coming = dataclasses.replace(
            newest,
            number=newest.number + 1,
            epoch=None,
            step=None,
            path=None,
            metrics={},
            tags=(),
        )
        # The guard must not rest on a version that may never be.
        after = self._policy.plan((*versions, coming), in_use=in_use | {newest.number})
        reasons = dict(plan.reasons)
        for version in after.remove:
            reasons[version.number] = ("removed: to make room for the next version",)
        return Plan(
            keep=tuple(v for v in after.keep if v is not coming),
            remove=after.remove,
            reasons=FrozenMapping(reasons),
        )

    def _untagged(self, there: Collection[int]) -> frozenset[int]:
        """Returns the versions whose tags something else took away."""
        lost = self._room.catalog.lost_tags()
        for tag, number in lost.items():
            if number in there:
                self._complain(
                    f"The tag {shown(tag)} is not there, and nobody took it off "
                    f"version {number}, which is kept. `CheckpointStore.repair()` "
                    "puts it back on; `untag` takes it off."
                )
        return frozenset(lost.values())

    def _is_sound(self, version: Version, *, read: bool) -> bool:
        room = self._room
        try:
            _removal.check_removable(room.layout, version, room.store_id, read=read)
        except FileNotFoundError:
            pass  # gone since it was listed
        except (CheckpointError, OSError) as error:
            why = reason(error) if isinstance(error, OSError) else str(error)
            self._complain(f"{version.name} is not counted and not removed: {why}")
        else:
            return True
        self._unsound.add(version.number)
        return False

    def _complain(self, text: str) -> None:
        if text not in self.complaints:
            self.complaints.append(text)


def _check_numbers(versions: Sequence[Version]) -> None:
    for one, other in itertools.pairwise(versions):
        if one.number == other.number:
            raise StoreError(
                f"{shown(one.name)} and {shown(other.name)} have the same number, "
                f"{one.number}, so that no policy can tell them apart. "
                "`CheckpointStore.repair()` moves one of them out of the way."
            )
