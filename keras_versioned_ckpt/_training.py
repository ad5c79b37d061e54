"""One training: which of its moments become versions, and when they do.

The way of a save is `consider`, `_save` and, when all callbacks have had their turn,
`complete`. The hooks of Keras say when.
"""

import dataclasses
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from keras_versioned_ckpt import _fit
from keras_versioned_ckpt._best_so_far import BestSoFar, OnlyBetter
from keras_versioned_ckpt._continuation import Continuation
from keras_versioned_ckpt._ending_early import EarlyEnd, is_heard_of, warn_of_failure
from keras_versioned_ckpt._metrics import Metrics
from keras_versioned_ckpt._news import News, Warnings
from keras_versioned_ckpt._progress import Progress
from keras_versioned_ckpt._saver import NO_MEMORY, Saver
from keras_versioned_ckpt.errors import CheckpointWarning, SaveError
from keras_versioned_ckpt.records import Event
from keras_versioned_ckpt.saving import step_of
from keras_versioned_ckpt.triggers import Trigger


@dataclasses.dataclass(kw_only=True, eq=False)
class Training:
    """One training that is saved.

    Args:
        model: Returns the `keras.Model`, with its values where they can be read.
        running: The `fit`; `None` if it is not found.
        trigger: When to save.
        best: The best values in the store, for triggers that ask for them.
        only_better: What `save_best_only` lets be saved; `None` for everything.
        looked_at: The metrics that a trigger or retention looks at.
        metrics: What is measured.
        progress: How far the training is.
        continuation: What another training may need to go on from here.
        early_end: What may end the training before its time.
        facts: Returns what manifests say besides all this.
        saver: Makes versions of moments.
        news: Is told of moments that are not saved.
        complaints: Is told of what a training is warned of once.
    """

    model: Callable[[], Any]
    running: _fit.Fit | None
    trigger: Trigger
    best: BestSoFar
    only_better: OnlyBetter | None
    looked_at: frozenset[str]
    metrics: Metrics
    progress: Progress
    continuation: Continuation
    early_end: EarlyEnd
    facts: Callable[[], Mapping[str, Any]]
    saver: Saver
    news: News
    complaints: Warnings
    is_stopping: bool = dataclasses.field(default=False, init=False)
    _event: Event = dataclasses.field(default="epoch_end", init=False)

    def begin_epoch(self, epoch: int) -> None:
        """Takes note of how many epochs are completed, and of none of its batches."""
        if self.running is None:
            self.before_epochs()
            self.early_end.take_over(self.model)
        self.progress.begin_epoch(epoch, self.continuation.batches_before(epoch))

    # Is it time, and is it worth it?

    def warn_of_missing(self, logs: Mapping[str, Any] | None) -> None:
        """Says which metrics are looked at, and not among those of an epoch."""
        self.metrics.warn_of_missing(self.looked_at, logs)

    def consider(
        self,
        event: Event,
        logs: Mapping[str, Any] | None,
        signal_number: int | None = None,
    ) -> None:
        """Saves, if it is time and worth it.

        Args:
            event: What happens.
            logs: What Keras has measured.
            signal_number: At the event `"signal"`, the signal that came.

        Raises:
            SaveError: If this save failed, or the one before.
        """
        self.saver.raise_failure()
        # No trigger looks at the running metrics of a batch, and to read them would
        # make training wait for the device after every one.
        metrics = {} if event == "batch_end" else self.metrics.numbers(logs)
        asks_model = event != "batch_end" or self.trigger.counts_steps
        moment = self.progress.moment(
            event,
            step=(step_of(self.model()) or 0) if asks_model else None,
            metrics=metrics,
            best=self.best.values(self.trigger.monitors)
            if event == "epoch_end"
            else {},
            signal=signal_number,
        )
        fired = self.trigger.fired(moment)
        if not fired:
            return
        self.progress.note_fired()
        if event == "batch_end":
            metrics = self.metrics.numbers(logs)
        # Where training ends before its time, there is no other chance.
        is_last = event in ("signal", "exception")
        if self.only_better is not None and not is_last:
            verdict = self.only_better.verdict(event, self.progress.epoch, metrics)
            if verdict.complaint:
                warnings.warn(verdict.complaint, CheckpointWarning, stacklevel=2)
            if verdict.news:
                self.news.add(verdict.news)
            if not verdict.is_saved:
                return
        self._save(event, metrics, fired)

    # The save

    def _save(
        self, event: Event, metrics: Mapping[str, float], fired: tuple[str, ...]
    ) -> None:
        began = self.progress.now()
        self.saver.wait()
        model = self.model()
        step = step_of(model) or 0
        facts = {
            **self.facts(),
            "epoch": self.progress.epoch,
            "step": step,
            "batch": self.progress.batch_inside,
            "metrics": metrics,
            "modes": self.metrics.known_modes(model, metrics),
        }
        self.continuation.note_capture()
        if not self.saver.capture(model, facts, fired, began):
            self.complaints.once(NO_MEMORY, stacklevel=3)
        self.progress.note_save(step)
        self._event = event
        if self.running is None:
            # Nobody says when the other callbacks have had their turn.
            self.complete()

    def complete(self, *, settled: bool = True, at_once: bool = False) -> None:
        """Has what was captured saved, now that no callback changes its moment.

        Unless one of them waits for it, before those that come later had their turn.

        Args:
            settled: Whether all callbacks have had their turn.
            at_once: Whether to do it here and now, and not on the background.

        Raises:
            SaveError: If it is done here, and failed.
        """
        if not self.saver.has_begun:
            return
        progress = self.progress
        inside = progress.is_inside
        state = self.continuation.state(
            self._event,
            settled=settled,
            epoch=progress.epoch,
            batch=progress.batch_inside,
            step=progress.step,
            batches_since_fired=progress.batches_since_fired,
            logs=self.metrics.numbers(progress.logs) if inside else {},
        )
        self.saver.finish(state, at_once=at_once)

    # The end, also before the end

    def stops_for_signal(self, logs: Mapping[str, Any] | None) -> bool:
        """Saves and has `fit` end, if a signal has come; returns whether one has."""
        number = self.early_end.received
        if number is None:
            return False
        if not self.is_stopping:
            self.is_stopping = True
            with self.early_end.no_failure_holds_up_a_signal():
                self.consider(self.early_end.event, logs, number)
            self.early_end.stop(self.model())
        return True

    def fail(self, error: BaseException, in_callback: bool) -> None:
        """Saves what there is, since an error ends the training; never raises another.

        Args:
            error: What was raised.
            in_callback: Whether one of the callbacks raised it.
        """
        expected = isinstance(error, (Exception, KeyboardInterrupt))
        settled = not in_callback or self.continuation.is_settled(error)
        try:
            # What comes of a save that failed is no reason to try again.
            if expected and not isinstance(error, SaveError):
                self.consider("exception", self.progress.logs)
                self.complete(settled=settled, at_once=True)
        except Exception as failure:
            warn_of_failure(type(error).__name__, failure, stacklevel=3)

    def wait(self) -> None:
        """Waits until what was begun is on the disk.

        Raises:
            SaveError: If it could not be saved, and no signal waits for its effect.
        """
        with self.early_end.no_failure_holds_up_a_signal():
            self.saver.wait()

    def complete_and_wait(self, *, settled: bool) -> None:
        """Has what was captured saved, and waits; the arguments are `complete`'s.

        Raises:
            SaveError: If it could not be saved, and no signal waits for its effect.
        """
        with self.early_end.no_failure_holds_up_a_signal():
            self.complete(settled=settled)
            self.saver.wait()

    # A word before and after all callbacks

    def listen(self, after_epoch_end: Any, after_train_end: Any) -> None:
        """Hears of what happens before and after all callbacks.

        Args:
            after_epoch_end: Called with what `Fit.listen` has for it.
            after_train_end: The same.
        """
        if self.running is None:
            return
        hear = self.running.listen
        hear("on_epoch_begin", self.before_epochs, self._after_epoch_begin)
        hear("on_epoch_end", self._before_epoch_end, after_epoch_end)
        # No epoch may have begun, where nothing was left to train.
        hear("on_train_end", self.before_epochs, after_train_end)
        if self._looks_at_batches:
            hear("on_train_batch_end", self.progress.end_batch, self.after_batch_end)

    @property
    def _may_be_interrupted(self) -> bool:
        return is_heard_of(self.trigger)

    @property
    def _looks_at_batches(self) -> bool:
        return self.trigger.needs_batches or self._may_be_interrupted

    def before_epochs(self, *_: Any, **__: Any) -> None:
        """Puts back what there is to put back, once."""
        self.continuation.before_epochs()

    def _after_epoch_begin(
        self, *_: Any, raised: BaseException | None, **__: Any
    ) -> None:
        self.continuation.after_epoch_begin(may_save_inside=self._looks_at_batches)
        if raised is None:
            self.early_end.take_over(self.model)

    def after_batch_end(self, *_: Any, raised: BaseException | None, **__: Any) -> None:
        """Has what was captured saved, also if a callback raised."""
        with self.early_end.no_failure_holds_up_a_signal():
            self.complete(settled=self.continuation.is_settled(raised))

    def before_validation(self) -> None:
        """Takes note of the training's metrics, before validation resets them."""
        self.continuation.before_validation(may_save_inside=self._may_be_interrupted)

    def _before_epoch_end(self, epoch: int, *_: Any, **__: Any) -> None:
        self.continuation.before_epoch_end(
            epoch, may_save_inside=self._may_be_interrupted
        )
