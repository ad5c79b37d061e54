"""How far a training is, and how far it was when it was last saved."""

from collections.abc import Callable, Mapping
from typing import Any

from keras_versioned_ckpt._training_state import TrainingState
from keras_versioned_ckpt.records import Event, Moment


class Progress:
    """What one training counts.

    Args:
        clock: Seconds that only go forward.
        step: Optimizer updates so far; `None` if no optimizer counts them.
        resumed: What the training goes on from; `None` for one that begins.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        step: int | None,
        resumed: TrainingState | None,
    ) -> None:
        self._clock = clock
        self._has_steps = step is not None
        self.step = step or 0
        self.epoch, self.batch, self.is_inside = 0, 0, False
        self.logs: Mapping[str, Any] = {}
        self.batches_since_fired = 0
        self._saved_at: tuple[int, int, int] | None = None
        self._time_of_save = clock()
        if resumed is not None:
            self.epoch, self.batch = resumed.epoch, resumed.batch or 0
            self.batches_since_fired = resumed.batches_since_fired
            self._saved_at = (self.epoch, self.batch, self.step)

    def now(self) -> float:
        """Returns seconds that only go forward."""
        return self._clock()

    @property
    def batch_inside(self) -> int | None:
        """Batches into the epoch after `epoch`; `None` between two epochs."""
        return self.batch if self.is_inside else None

    def begin_epoch(self, epoch: int, batches_before: int) -> None:
        """Takes note of how many epochs are completed, and of batches passed over."""
        self.epoch, self.batch = epoch, batches_before
        self.is_inside = batches_before > 0
        self.logs = {}

    def end_batch(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Counts the batches up to this one, which is counted from 0."""
        # Keras skips some with steps_per_execution.
        self.batches_since_fired += batch + 1 - self.batch
        self.batch, self.is_inside = batch + 1, True
        self.logs = logs or {}

    def end_epoch(self, epoch: int) -> None:
        """Takes note that an epoch, counted from 0, is completed."""
        self.epoch, self.batch, self.is_inside = epoch + 1, 0, False

    def moment(
        self,
        event: Event,
        *,
        step: int | None,
        metrics: Mapping[str, float],
        best: Mapping[tuple[str, str], float],
        signal: int | None,
    ) -> Moment:
        """Returns what is known now, and goes on to it.

        Args:
            event: What happens.
            step: Optimizer updates so far; `None` if nobody has asked the model.
            metrics: As `Moment` has them.
            best: As `Moment` has it.
            signal: As `Moment` has it.
        """
        step = self.step if step is None else step
        since = self._steps_since_save(step)
        if self.is_inside and self._saved_at != (self.epoch, self.batch, step):
            # With gradients that accumulate, the optimizer counts only some batches.
            since = since or None
        previous, self.step = self.step, step
        return Moment(
            event=event,
            epoch=self.epoch,
            step=step,
            previous_step=previous,
            batches_since_fired=self.batches_since_fired,
            steps_since_save=since,
            seconds_since_save=self._clock() - self._time_of_save,
            metrics=metrics,
            best=best,
            signal=signal,
        )

    def note_fired(self) -> None:
        """Begins to count batches anew."""
        self.batches_since_fired = 0

    def note_save(self, step: int) -> None:
        """Takes note that this very moment is being saved."""
        self.step, self._saved_at = step, (self.epoch, self.batch, step)
        self._time_of_save = self._clock()

    def _steps_since_save(self, step: int) -> int | None:
        if self._saved_at is None:
            return None
        epoch, batch, saved_step = self._saved_at
        if self._has_steps:
            return step - saved_step
        # No optimizer counts; then an epoch or a batch that went by is a step.
        return int((epoch, batch) != (self.epoch, self.batch))
