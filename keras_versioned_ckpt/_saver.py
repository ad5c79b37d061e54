"""How a moment of a training becomes a version, beside the training.

The model is captured at once, on the thread that trains. What else is known of the
moment may come a little later, when all callbacks have had their turn. The rest is for
the background: to write, to commit, and to let the retention policy prune.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from keras_versioned_ckpt import _telling
from keras_versioned_ckpt._background import Background
from keras_versioned_ckpt._capture import Capture, Copies, capture
from keras_versioned_ckpt._ranking import score
from keras_versioned_ckpt._training_state import TrainingState
from keras_versioned_ckpt.errors import CheckpointError, SaveError
from keras_versioned_ckpt.naming import NamingPolicy
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.retention import Plan as Retained
from keras_versioned_ckpt.retention import RetentionPolicy
from keras_versioned_ckpt.store import CheckpointStore

_T = TypeVar("_T")

NO_MEMORY = (
    "Too little memory is free for a copy of the model, so that training waits until "
    "it is on the disk. Free some memory, or pass `save_on_background=False`."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """How one training is saved.

    Args:
        store: Where.
        naming: What versions are called.
        format: `"keras"`, `"weights"` or `"saved_model"`.
        policy: Which are kept; `None` keeps all.
        in_use: Numbers of versions that are kept in any case.
        on_background: Whether all but the capture is done beside the training.
        makes_room: Whether a full disk is a reason to prune.
        software: Versions of what writes the payload.
        parent: Number of the version that the first one continues.
        verbose: How much there is to tell the user; nothing at 0.
    """

    store: CheckpointStore
    naming: NamingPolicy
    format: str
    policy: RetentionPolicy | None
    in_use: Sequence[int]
    on_background: bool
    makes_room: bool
    software: Mapping[str, str]
    parent: int | None
    verbose: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Begun:
    """What is captured, and waits for the rest that is known of its moment."""

    captured: Capture
    facts: Mapping[str, Any]
    fired: tuple[str, ...]
    began: float
    waited: float


class Saver:
    """Saves one training, at most one version at a time.

    Args:
        plan: How.
        clock: Seconds that only go forward.
        tell: Is given a line for each thing that was done, on any thread.
    """

    def __init__(
        self,
        plan: Plan,
        clock: Callable[[], float],
        tell: Callable[[str], object],
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._background = Background()
        self._copies = Copies()
        self._parent = plan.parent
        self._begun: _Begun | None = None
        self._in_flight: Mapping[str, float] = {}
        self._tell = tell

    def prepare(self, model: Any) -> None:
        """Takes the memory for copies of a model, ahead of the first."""
        if self._plan.on_background:
            self._copies.prepare(model, self._plan.format)

    @property
    def busy(self) -> bool:
        """Whether a version is being written."""
        return self._background.busy

    @property
    def in_flight(self) -> Mapping[str, float]:
        """The metrics of the version that is being written, those of a whole epoch."""
        return self._in_flight if self.busy else {}

    @property
    def has_begun(self) -> bool:
        """Whether a model is captured and `finish` must follow."""
        return self._begun is not None

    def raise_failure(self) -> None:
        """Raises the failure of a version that could not be saved, once."""
        self._background.raise_failure()

    def wait(self) -> None:
        """Waits until what was begun is on the disk.

        Raises:
            SaveError: If it could not be saved.
        """
        self._background.wait()

    def release(self) -> None:
        """Gives the memory for copies back to the system."""
        self._copies.release()

    def capture(
        self,
        model: Any,
        facts: Mapping[str, Any],
        fired: tuple[str, ...],
        began: float,
    ) -> bool:
        """Captures a model, after which it may change; `finish` must follow.

        Args:
            model: The `keras.Model`.
            facts: What the manifest is to say.
            fired: The triggers.
            began: When the training began to wait, by the clock.

        Returns:
            Whether there was memory for a copy, or none was wanted.

        Raises:
            SaveError: If a layer, Keras or the disk failed.
        """
        plan = self._plan
        captured = self._tried(
            lambda: capture(
                plan.store,
                model,
                plan.format,
                lambda: plan.store.next_name(plan.naming, **facts),
                self._copies if plan.on_background else None,
            )
        )
        had_memory = captured.is_copy or not plan.on_background
        if not captured.is_copy:
            uncopied = captured
            captured = self._tried(uncopied.staged_at_once)
        self._begun = _Begun(
            captured=captured,
            facts=facts,
            fired=fired,
            began=began,
            waited=self._clock() - began,
        )
        whole_epoch = facts["batch"] is None
        self._in_flight = facts["metrics"] if whole_epoch else {}
        return had_memory

    def finish(self, state: TrainingState | None, *, at_once: bool = False) -> None:
        """Has what was captured written, with what else is known of its moment.

        Args:
            state: What a training needs to go on from it.
            at_once: Whether to do it here and now, and not on the background.

        Raises:
            SaveError: If it is done here, and failed.
        """
        if (begun := self._begun) is None:
            return
        self._begun = None
        if at_once or not self._plan.on_background:
            self._finish(begun, state)
        else:
            self._background.start(lambda: self._finish(begun, state))

    def _finish(self, begun: _Begun, state: TrainingState | None) -> None:
        """Writes, commits and prunes; never touches the model."""
        plan = self._plan
        started = self._clock()
        facts = {**begun.facts, "parent": self._parent}
        version = self._tried(
            lambda: plan.store.commit(
                begun.captured.stage(state),
                naming=plan.naming,
                trigger=begun.fired,
                software=plan.software,
                **facts,
            ),
            again=begun.captured.is_repeatable,
        )
        self._parent = version.number
        committed = self._clock()
        pruned = None
        if plan.policy is not None:
            pruned = plan.store.prune(plan.policy, in_use=plan.in_use)
        if plan.verbose:
            now = self._clock()
            timing = _telling.Timing(
                waited=begun.waited if plan.on_background else now - begun.began,
                written=committed - started,
                pruned=now - committed,
            )
            self._tell(self._told(version, timing, pruned))

    def _told(
        self, version: Version, timing: _telling.Timing, pruned: Retained | None
    ) -> str:
        monitor, mode, best = version.monitor or "", version.mode, None
        if mode and score(version, monitor) is not None:
            # Asked of the store, for others may save into it, and remove what is there.
            # The version is saved: a line about it is no reason to say otherwise.
            with contextlib.suppress(CheckpointError):
                best = self._plan.store.best(monitor, mode)
        return _telling.saved(
            version,
            timing,
            monitor=monitor,
            best=best,
            plan=pruned,
            verbose=self._plan.verbose,
        )

    def _tried(self, save: Callable[[], _T], *, again: bool = True) -> _T:
        """Saves; where the disk is full, makes room and tries once more."""
        plan = self._plan
        try:
            return save()
        except SaveError as error:
            policy = plan.policy if plan.makes_room else None
            if not (error.disk_full and again and policy):
                raise
            try:
                pruned = plan.store.prune(policy, in_use=plan.in_use, making_room=True)
            except CheckpointError as why:
                # Not a byte may be left for the reasons of what would go.
                raise error from why
            if not pruned.remove:
                raise
        self._tell(_telling.made_room(pruned))
        return save()
