"""`VersionedCheckpoint`: the callback that saves versions during `model.fit`.

The way of a save: a hook of Keras gathers what is known into a `Moment`; the
trigger says whether it is time; `save_best_only` says whether it is worth it;
the model's arrays are copied on the calling thread; and the background writes and
commits them and lets the retention policy prune.
"""

import contextlib
import logging
import signal
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras

from keras_versioned_ckpt import (
    _arguments,
    _callback_states,
    _fit,
    _founding,
    _resuming,
    _telling,
    directions,
)
from keras_versioned_ckpt._continuation import Continuation
from keras_versioned_ckpt._interrupting import Interruptions
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt._ranking import MODES, best_first, improves, is_score, score
from keras_versioned_ckpt._resuming import Resumption
from keras_versioned_ckpt._saver import NO_MEMORY, Plan, Saver
from keras_versioned_ckpt.errors import CheckpointWarning, SaveError, StoreNotFoundError
from keras_versioned_ckpt.naming import as_naming
from keras_versioned_ckpt.records import Event, Moment, Version
from keras_versioned_ckpt.retention import KeepBest, KeepLast, RetentionPolicy
from keras_versioned_ckpt.saving import software, step_of
from keras_versioned_ckpt.store import CheckpointStore
from keras_versioned_ckpt.triggers import as_trigger

_log = logging.getLogger("keras_versioned_ckpt")


class VersionedCheckpoint(keras.callbacks.Callback):
    """Saves the model during `fit`, each time as a new version that nothing overwrites.

    Args:
        directory: The store, a string or path; made if missing. Many runs may
            share one.
        monitor: The metric that makes a version the best. Defaults to
            `"val_loss"`.
        mode: `"min"`, `"max"`, or `"auto"` (default): what Keras knows of the
            metric. Not knowing is an error at the start of training, if
            anything depends on it.
        save_freq: When to save: `"epoch"` (default), a number of batches, or a
            trigger such as `EveryEpochs(5) | OnTrainEnd()`.
        naming: What to call versions: a template or a naming policy. Defaults
            to `"version_{number}"`.
        retention: Which versions to keep, such as `KeepLast(3) | KeepBest(2)`.
            Defaults to `None`, which keeps all.
        keep_last: Short for `retention=KeepLast(n)`; joins the others.
        keep_best: Short for `retention=KeepBest(n)`; joins the others.
        save_best_only: Whether to save only what improves on the best version
            in the store. A metric that is missing or not finite cannot be
            compared: the version is saved, with a warning, and never counts as
            the best. Defaults to `False`.
        save_weights_only: The same as `format="weights"`.
        format: `"keras"` (default), `"weights"` or `"saved_model"`.
        initial_value_threshold: With `save_best_only`, the value to improve on
            while the store has no better one.
        save_on_background: Whether writing, committing and pruning run on a thread
            while training goes on. Defaults to `True`: training waits only for a
            copy of the model in memory, kept until the end of training. The next
            save waits for the one in flight. Where less memory is free than such a
            copy and a tenth of it, a save runs on the calling thread, and a warning
            says so once.
        resume: Whether to continue from the newest good version in the store: `fit`
            begins where the training that saved it was, in the middle of an epoch if
            need be, and goes on as if it had never stopped. An empty store begins
            afresh. Defaults to `False`; see also `restore`.
        metadata: A JSON-able dictionary that is put into every manifest.
        verbose: 0 (default) is silent. 1 prints a line per save, between epochs: what
            was saved, the metric and whether it is the best, for how long training
            waited, what was removed and why. 2 adds the timing of the background.
        on_disk_full: What a disk without space for the next version does: `"raise"`
            (default) ends training with a `SaveError`; `"prune"` applies the
            retention policy once, and where that removes nothing, as if the next
            version was there already; then the save is tried once more. The newest
            version, tagged ones and those that the policy keeps as the best stay.

    Raises:
        TypeError: If an argument is not of a type it can be.
        ValueError: If an argument is not what it must be.
        StoreError: If the directory cannot be a store.

    A save that failed raises `SaveError` at the next hook, at the latest at the
    end of `fit`; older versions and the training state are intact. With `resume=True`,
    `fit` raises what `restore` raises.

    Example:

    ```python
    checkpoint = VersionedCheckpoint(
        "runs/digits",
        monitor="val_accuracy",
        retention=KeepLast(3) | KeepBest(2),
    )
    model.fit(x, y, validation_split=0.2, epochs=20, callbacks=[checkpoint])
    model = load_best("runs/digits")
    ```
    """

    # Inherited; declared for type checkers, since `_start_afresh` sets them.
    on_train_batch_end: Callable[..., None]
    on_test_batch_end: Callable[..., None]

    # Seconds that only go forward; a test may put another clock in its place.
    _clock = staticmethod(time.monotonic)

    def __init__(
        self,
        directory: Any,
        monitor: str = "val_loss",
        mode: str = "auto",
        save_freq: Any = "epoch",
        naming: Any = "version_{number}",
        retention: RetentionPolicy | None = None,
        keep_last: int | None = None,
        keep_best: int | None = None,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        format: str = "keras",
        initial_value_threshold: float | None = None,
        save_on_background: bool = True,
        resume: bool = False,
        metadata: Mapping[str, Any] | None = None,
        verbose: int = 0,
        on_disk_full: str = "raise",
    ) -> None:
        super().__init__()
        self.directory = _founding.store_path(directory)
        self.monitor = _arguments.check_monitor(monitor)
        self.mode = _arguments.check_mode(mode)
        self.save_freq = as_trigger(save_freq)
        self.naming = as_naming(naming)
        self.retention = _joined(retention, keep_last, keep_best)
        self.save_best_only = _arguments.check_boolean("save_best_only", save_best_only)
        self.format = _arguments.check_format(
            format, _arguments.check_boolean("save_weights_only", save_weights_only)
        )
        self.initial_value_threshold = _arguments.check_threshold(
            initial_value_threshold
        )
        self.save_on_background = _arguments.check_boolean(
            "save_on_background", save_on_background
        )
        self.metadata = _arguments.check_metadata(metadata)
        self.verbose = _arguments.check_verbose(verbose)
        self.on_disk_full = _arguments.check_on_disk_full(
            on_disk_full, has_policy=self.retention is not None
        )
        self.resume = _arguments.check_boolean("resume", resume)
        if self.resume and self.format == "saved_model":
            raise ValueError(
                "`resume=True` must go with a format that training can go on from. "
                "Received: format='saved_model'. Pass `format='keras'`."
            )
        _founding.check_usable(Layout(self.directory), self.naming)
        self._start_afresh()

    def _start_afresh(self) -> None:
        """Sets what belongs to one use of the callback, not to its arguments."""
        self._store: CheckpointStore | None = None
        self._saver: Saver | None = None
        self._continuation: Any = None
        # Lines to tell; also a thread adds to them.
        self._news: list[str] = []
        self._resumption: Resumption | None = None
        self._is_restored = False
        self._restored: Any = None
        self._is_prepared = False
        self._running: _fit.Fit | None = None
        self._interruptions: Interruptions | None = None
        self._put_loggers_back: Callable[[], None] = lambda: None
        self._batch_logs: Mapping[str, Any] = {}
        # On the instance, since Keras gives up dispatching the callbacks of all batches
        # asynchronously when it finds these hooks overridden.
        if self._looks_at_batches:
            self._overridden = self.on_train_batch_end
            self.on_train_batch_end = self._on_train_batch_end
        if self._may_be_interrupted:
            self._overridden_test = self.on_test_batch_end
            self.on_test_batch_end = self._on_test_batch_end

    @property
    def _may_be_interrupted(self) -> bool:
        return bool(self.save_freq.signals) or self.save_freq.catches_exceptions

    @property
    def _looks_at_batches(self) -> bool:
        return self.save_freq.needs_batches or self._may_be_interrupted

    # What a user asks for, during and after `fit`

    @property
    def store(self) -> CheckpointStore:
        """The store that versions are saved in.

        Raises:
            StoreNotFoundError: Before the first `fit` into a new directory.
        """
        if self._store is None:
            self._store = CheckpointStore(self.directory)
        return self._store

    @property
    def latest(self) -> Version | None:
        """The newest version that is on the disk, or `None`; see also `wait`."""
        versions = self.store.versions
        return versions[-1] if versions else None

    @property
    def best(self) -> Version | None:
        """The version on the disk with the best value of `monitor`, or `None`.

        Raises:
            ValueError: If the direction of `monitor` is not known.
        """
        versions = self.store.versions
        if not any(score(version, self.monitor) is not None for version in versions):
            return None
        mode = self.mode if self.mode in MODES else None
        return self.store.best(self.monitor, mode)

    def wait(self) -> None:
        """Waits until every save that has begun is on the disk.

        Raises:
            SaveError: If it could not be saved.

        Example:

        ```python
        model.fit(x, y, callbacks=[checkpoint])
        checkpoint.wait()  # after `fit` it returns at once; in a callback it may not
        print(checkpoint.latest.path)
        ```
        """
        if self._saver is not None:
            self._complete(settled=False)
            self._settle()

    def _settle(self) -> None:
        assert self._saver is not None
        self._saver.wait()

    def restore(self, model: Any) -> int:
        """Puts the newest good version into a model, for the next `fit` to go on from.

        What a model does not hold (the states of callbacks, generators of random
        numbers, the place in the input) is put back when that `fit` begins. With
        `resume=True` this is done by `fit` itself.

        Args:
            model: The `keras.Model`, built and compiled as the one that was saved.

        Returns:
            The epoch to go on with, counted from 0, for `initial_epoch=`; 0 if nothing
            is saved yet.

        Raises:
            TypeError: If `model` is no `keras.Model`.
            ResumeError: If the version does not fit the model.
            CorruptVersionError: If there are versions, and none is intact.

        Example:

        ```python
        initial_epoch = checkpoint.restore(model)
        model.fit(x, y, epochs=20, initial_epoch=initial_epoch, callbacks=[checkpoint])
        ```
        """
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"`model` must be a `keras.Model`. Received: model={model!r}"
            )
        self._resumption = self._resumed(model)
        self._is_restored = self._resumption is not None
        self._restored = model
        return self._resumption.initial_epoch if self._resumption else 0

    # Going on

    def _resumed(self, model: Any) -> Resumption | None:
        try:
            store = CheckpointStore(self.directory)
        except StoreNotFoundError:
            return None
        return _resuming.resume(store, model)

    def set_model(self, model: Any) -> None:
        """Takes the model; if it is `fit` that gives it, resumes."""
        super().set_model(model)
        running = _fit.running(self)
        if running is not None and running.is_found:
            self._end()
            self._resume(running)
            self._is_prepared = True

    def _resume(self, running: _fit.Fit | None) -> None:
        """Puts back what must be there before any callback's `on_train_begin`."""
        if self.resume and not self._is_restored:
            self._resumption = self._resumed(self.model)
        if self._resumption is not None and running is not None:
            self._check_alone(running.callbacks)
            state = self._resumption.state
            self._put_loggers_back = _callback_states.before_begin(
                running.callbacks, state.callbacks, state.epoch
            )

    def _check_alone(self, callbacks: Iterable[Any]) -> None:
        """Refuses what would put back another state right after this one."""
        for callback in callbacks:
            is_rival = isinstance(callback, VersionedCheckpoint) and callback.resume
            if callback is not self and (
                is_rival or isinstance(callback, keras.callbacks.BackupAndRestore)
            ):
                raise ValueError(
                    f"`{type(callback).__name__}` must not be used in a training that "
                    "a `VersionedCheckpoint` resumes. Received: "
                    f"callback={callback!r}. Leave one of them out."
                )

    # The hooks of Keras

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Opens the store and settles everything that could fail later."""
        self.wait()
        if not self._is_prepared:
            self._end()
        self._is_prepared = False
        self._store = CheckpointStore(self.directory, create=True, naming=self.naming)
        self._trigger = self.save_freq.resolved(self.monitor, self._mode_of)
        self._best_mode = self._mode_of(self.monitor) if self.save_best_only else None
        policy = self.retention and self.retention.resolved(self.monitor, self._mode_of)
        self._looked_at = {monitor for monitor, _ in self._trigger.monitors}
        self._looked_at |= policy.monitors if policy else set()
        if policy and self._best_mode:
            # A version that could not be compared is saved all the same, and must
            # not push the best out of `KeepLast(1)`.
            policy |= KeepBest(1, self.monitor, self._best_mode)
        self._recorded_mode = self._best_mode or self._mode_if_known()
        self._run_id = uuid.uuid4().hex[:12]
        self._said: set[str] = set()
        self._modes: dict[str, str | None] = {}
        resumption = self._go_on()
        self._saver = Saver(
            Plan(
                store=self._store,
                naming=self.naming,
                format=self.format,
                policy=policy,
                in_use=[resumption.version.number] if resumption else [],
                on_background=self.save_on_background,
                makes_room=self.on_disk_full == "prune",
                software=software(),
                parent=resumption.version.number if resumption else None,
                verbose=self.verbose,
            ),
            self._clock,
            self._news.append,
        )
        self._saver.prepare(self.model)
        self._time_of_save = self._clock()
        self._listen()
        self._tell_news()

    def _go_on(self) -> Resumption | None:
        """Begins where another training ended, if there is one to go on with."""
        self._running = running = _fit.running(self)
        if self.resume and self._resumption is None:
            self._resume(running)
        resumption, self._resumption = self._resumption, None
        if self._is_restored and self._restored is not self.model:
            raise ValueError(
                "`fit` must be that of the model that was given to `restore`. "
                f"Received: restore({shown(self._restored.name)}), and a fit of "
                f"{shown(self.model.name)}."
            )
        self._restored = None
        epochs = (self.params or {}).get("epochs")
        self._continuation = Continuation(
            running, lambda: self.model, epochs, resumption, may_go_on=self.resume
        )
        self._continuation.begin(told=self._is_restored)
        self._is_restored = False
        first_step = step_of(self.model)
        self._has_steps = first_step is not None
        self._step = first_step or 0
        self._epoch, self._batch, self._is_inside = 0, 0, False
        self._batch_logs = {}
        self._batches_since_fired = 0
        self._saved_at: tuple[int, int, int] | None = None
        self._is_stopping = self._is_begun = False
        if resumption is not None:
            state = resumption.state
            self._epoch, self._batch = state.epoch, state.batch or 0
            self._batches_since_fired = state.batches_since_fired
            self._saved_at = (self._epoch, self._batch, self._step)
            at = f"batch {state.batch} of epoch {state.epoch + 1}"
            done = at if state.batch else f"epoch {state.epoch}"
            self._news.append(f"Resumed from {resumption.version.name}, after {done}")
        return resumption

    def _listen(self) -> None:
        """Hears of what happens before and after all callbacks."""
        if self._running is None:
            return
        hear = self._running.listen
        hear("on_epoch_begin", self._before_epoch_begin, self._after_epoch_begin)
        hear("on_epoch_end", self._before_epoch_end, self._after_epoch_end)
        hear("on_train_end", self._before_train_end, self._after_train_end)
        if self._looks_at_batches:
            hear("on_train_batch_end", self._before_batch_end, self._after_batch_end)

    def _take_over(self) -> None:
        """Takes over signals, and what ends a training, when it really begins.

        Before that, a callback may raise where nobody would give them back.
        """
        if self._is_begun:
            return
        self._is_begun = True
        signals = dict(self._trigger.signals)
        if self._trigger.catches_exceptions and _in_main_thread():
            signals.setdefault(signal.SIGINT, None)
        if signals:
            self._interruptions = Interruptions(signals)
            self._interruptions.install()
        if self._running is not None and self._may_be_interrupted:
            self._running.guard(self.model, self._failed)

    def _before_epoch_begin(self, *_: Any, **__: Any) -> None:
        self._continuation.before_epochs()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Takes note of how many epochs are completed, and of none of its batches."""
        if self._running is None:
            self._continuation.before_epochs()
            self._take_over()
        # The progress bar of the epoch before is complete, and that of this one is
        # drawn after this.
        self._tell_news()
        self._epoch = epoch
        self._batch = self._continuation.batches_before(epoch)
        self._is_inside = self._batch > 0
        self._batch_logs = {}

    def _after_epoch_begin(
        self, *_: Any, raised: BaseException | None, **__: Any
    ) -> None:
        self._continuation.after_epoch_begin(may_save_inside=self._looks_at_batches)
        if raised is None:
            self._take_over()

    def _after_batch_end(
        self, *_: Any, raised: BaseException | None, **__: Any
    ) -> None:
        with self._no_failure_holds_up_a_signal():
            self._complete(settled=self._continuation.is_settled(raised))

    def _before_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        """Counts a batch before any callback has a chance to raise."""
        # Keras counts batches from 0, and skips some with steps_per_execution.
        self._batches_since_fired += batch + 1 - self._batch
        self._batch, self._is_inside = batch + 1, True
        self._batch_logs = logs or {}

    def _on_train_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        # What a subclass does at the end of a batch comes first.
        self._overridden(batch, logs=logs)
        if self._running is None:
            self._before_batch_end(batch, logs)
        if not self._stops_for_signal(logs):
            self._consider("batch_end", logs)

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Takes note of the training's metrics, before validation resets them."""
        if self._continuation is not None:
            self._continuation.before_validation(
                may_save_inside=self._may_be_interrupted
            )

    def _on_test_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        self._overridden_test(batch, logs=logs)
        if self._stops_for_signal(self._batch_logs):
            self._after_batch_end(raised=None)

    def _before_epoch_end(self, epoch: int, *_: Any, **__: Any) -> None:
        self._continuation.before_epoch_end(
            epoch, may_save_inside=self._may_be_interrupted
        )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Saves, if it is time."""
        self._epoch, self._batch, self._is_inside = epoch + 1, 0, False
        self._warn_of_missing(logs or {})
        self._consider("epoch_end", logs)
        self._stops_for_signal(logs)

    def _after_epoch_end(
        self, *_: Any, raised: BaseException | None, **__: Any
    ) -> None:
        self._complete(settled=raised is None)
        if raised is None:
            self._continuation.after_epoch_end()
            # The progress bar has had its turn, too, and left its line.
            self._tell_news()

    def _before_train_end(self, *_: Any, **__: Any) -> None:
        # No epoch may have begun, where nothing was left to train.
        self._continuation.before_epochs()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Saves, if it is time; then waits until everything is on the disk."""
        if not self._is_stopping:
            self._consider("train_end", logs)
            self._stops_for_signal(logs)
        # What was begun in an epoch is on the disk when others hear of the end.
        with self._no_failure_holds_up_a_signal():
            self._settle()
        if self._running is None:
            self._after_train_end(raised=None)

    def _after_train_end(
        self, *_: Any, raised: BaseException | None, **__: Any
    ) -> None:
        interruptions = self._interruptions
        try:
            with self._no_failure_holds_up_a_signal():
                self._complete(settled=raised is None)
                self._settle()
        finally:
            self._end()
        if interruptions is not None:
            interruptions.pass_on()

    def _end(self) -> None:
        """Leaves everything as it was before the training; also after a failure."""
        if self._interruptions is not None:
            self._interruptions.restore()
            self._interruptions = None
        if self._running is not None:
            self._running.leave()
            self._running = None
        # They know the data and the model, which need not live as long as this does.
        self._continuation = None
        self._put_loggers_back()
        self._put_loggers_back = lambda: None
        if self._saver is not None:
            self._saver.release()
        self._tell_news()

    # The end before the end

    def _stops_for_signal(self, logs: Mapping[str, Any] | None) -> bool:
        """Saves and has `fit` end, if a signal has come; returns whether one has."""
        interruptions = self._interruptions
        if interruptions is None or interruptions.received is None:
            return False
        if not self._is_stopping:
            self._is_stopping = True
            number = interruptions.received
            event: Event = "signal" if number in self._trigger.signals else "exception"
            with self._no_failure_holds_up_a_signal():
                self._consider(event, logs, number)
            if self._running is not None:
                self._running.stop(self.model)
            else:
                self.model.stop_training = True
        return True

    @contextlib.contextmanager
    def _no_failure_holds_up_a_signal(self) -> Iterator[None]:
        """Has a save that failed be a warning, once a signal waits for its effect.

        The process may be about to die of it, and then nobody would see an error.
        """
        try:
            yield
        except SaveError as error:
            number = self._interruptions and self._interruptions.received
            if number is None:
                raise
            self._warn_of_failure(f"signal {number}", error)

    def _warn_of_failure(self, ended_by: str, error: Exception) -> None:
        warnings.warn(
            f"Training ended by {ended_by}, and its last state could not be saved: "
            f"{error}",
            CheckpointWarning,
            stacklevel=3,
        )

    def _failed(self, error: BaseException, in_callback: bool) -> None:
        """Saves what there is, if training ends by an error; never raises another."""
        if self._continuation is None:
            return  # the same error, on its way through `fit`
        expected = isinstance(error, (Exception, KeyboardInterrupt))
        settled = not in_callback or self._continuation.is_settled(error)
        try:
            # What comes of a save that failed is no reason to try again.
            if expected and not isinstance(error, SaveError):
                self._consider("exception", self._batch_logs)
                self._complete(settled=settled, at_once=True)
        except Exception as failure:
            self._warn_of_failure(type(error).__name__, failure)
        finally:
            self._end()

    # The decision

    def _warn_of_missing(self, logs: Mapping[str, Any]) -> None:
        """Says which metrics a trigger or retention looks at, and nobody measures.

        `save_best_only` says so itself, at each save.
        """
        for monitor in sorted(self._looked_at - logs.keys()):
            self._warn_once(
                f"{shown(monitor)} is not available, so that nothing saved now counts "
                "as the best by it: triggers and retention pass it over. Metrics that "
                f"exist: {listing(map(shown, logs))}."
            )

    def _consider(
        self,
        event: Event,
        logs: Mapping[str, Any] | None,
        signal_number: int | None = None,
    ) -> None:
        assert self._saver is not None
        self._saver.raise_failure()
        # No trigger looks at the running metrics of a batch, and to read them would
        # make training wait for the device after every one.
        metrics = {} if event == "batch_end" else self._scalars(logs or {})
        step = self._step
        if event != "batch_end" or self._trigger.counts_steps:
            step = step_of(self.model) or 0
        since = self._steps_since_save(step)
        if self._is_inside and self._saved_at != (self._epoch, self._batch, step):
            # With gradients that accumulate, the optimizer counts only some batches.
            since = since or None
        moment = Moment(
            event=event,
            epoch=self._epoch,
            step=step,
            previous_step=self._step,
            batches_since_fired=self._batches_since_fired,
            steps_since_save=since,
            seconds_since_save=self._clock() - self._time_of_save,
            metrics=metrics,
            best=self._best_values() if event == "epoch_end" else {},
            signal=signal_number,
        )
        self._step = step
        fired = self._trigger.fired(moment)
        if not fired:
            return
        self._batches_since_fired = 0
        if event == "batch_end":
            metrics = self._scalars(logs or {})
        # Where training ends before its time, there is no other chance.
        is_last = event in ("signal", "exception")
        mode = None if is_last else self._best_mode
        if mode is None or self._is_best(event, metrics, mode):
            self._save(event, metrics, fired)

    def _steps_since_save(self, step: int) -> int | None:
        if self._saved_at is None:
            return None
        epoch, batch, saved_step = self._saved_at
        if self._has_steps:
            return step - saved_step
        # No optimizer counts; then an epoch or a batch that went by is a step.
        return int((epoch, batch) != (self._epoch, self._batch))

    def _is_best(self, event: Event, metrics: Mapping[str, float], mode: str) -> bool:
        """Says whether `save_best_only` lets this moment be saved."""
        value = metrics.get(self.monitor)
        if event == "batch_end" or not is_score(value):
            if value is None:
                what = "is not available"
            elif is_score(value):
                what = "is a running mean in the middle of an epoch"
            else:
                what = f"is {value}"
            warnings.warn(
                f"{self.monitor!r} {what}, so this version cannot be compared with "
                "the best. It is saved and does not count as the best. Metrics that "
                f"exist: {listing(map(shown, metrics))}.",
                CheckpointWarning,
                stacklevel=2,
            )
            return True
        best = self._best_value(self.monitor, mode)
        threshold = self.initial_value_threshold
        if best is None or (threshold is not None and improves(threshold, best, mode)):
            best = threshold
        if improves(value, best, mode):
            return True
        if best is not None:
            self._news.append(
                _telling.not_improved(self._epoch, self.monitor, value, best)
            )
        return False

    def _best_values(self) -> dict[tuple[str, str], float]:
        """Returns what the store holds of each metric that the trigger looks at."""
        return {
            (monitor, mode): value
            for monitor, mode in self._trigger.monitors
            if (value := self._best_value(monitor, mode)) is not None
        }

    def _best_value(self, monitor: str, mode: str) -> float | None:
        """Returns the best value in the store, that of the save in flight included.

        The store is asked each time: other runs may share it.
        """
        assert self._saver is not None
        # Looked at before the store: what lands in between is then seen there.
        in_flight = self._saver.in_flight
        best = None
        for version in best_first(self.store.versions, monitor, mode)[:1]:
            best = score(version, monitor)
        value = in_flight.get(monitor)
        return value if is_score(value) and improves(value, best, mode) else best

    # The save

    def _save(
        self, event: Event, metrics: Mapping[str, float], fired: tuple[str, ...]
    ) -> None:
        assert self._saver is not None
        began = self._clock()
        self._settle()
        step = step_of(self.model) or 0
        facts = {
            "run_id": self._run_id,
            "epoch": self._epoch,
            "step": step,
            "batch": self._batch if self._is_inside else None,
            "metrics": metrics,
            "monitor": self.monitor,
            "mode": self._recorded_mode,
            "modes": self._known_modes(metrics),
            "format": self.format,
            "metadata": self.metadata,
        }
        self._continuation.note_capture()
        if not self._saver.capture(self.model, facts, fired, began):
            self._warn_once(NO_MEMORY)
        self._step, self._saved_at = step, (self._epoch, self._batch, step)
        self._time_of_save = self._clock()
        self._event = event
        if self._running is None:
            # Nobody says when the other callbacks have had their turn.
            self._complete()

    def _complete(
        self, *_: Any, settled: bool = True, at_once: bool = False, **__: Any
    ) -> None:
        """Has what was captured saved, now that no callback changes its moment.

        Unless one of them waits for it, before those that come later had their turn.
        """
        assert self._saver is not None
        if not self._saver.has_begun:
            return
        inside = self._is_inside
        state = self._continuation.state(
            self._event,
            settled=settled,
            epoch=self._epoch,
            batch=self._batch if inside else None,
            step=self._step,
            batches_since_fired=self._batches_since_fired,
            logs=self._scalars(self._batch_logs) if inside else {},
        )
        self._saver.finish(state, at_once=at_once)

    # What the hooks need to know

    def _mode_of(self, monitor: str) -> str:
        if monitor == self.monitor and self.mode in MODES:
            return self.mode
        return directions.mode_of(self.model, monitor)

    def _known_modes(self, metrics: Mapping[str, float]) -> dict[str, str]:
        """Returns the directions that Keras knows; each metric is asked about once."""
        if new := metrics.keys() - self._modes.keys():
            known = directions.known_modes(self.model, new)
            self._modes.update({name: known.get(name) for name in new})
        return {name: mode for name in metrics if (mode := self._modes[name])}

    def _mode_if_known(self) -> str | None:
        try:
            return self._mode_of(self.monitor)
        except ValueError:
            return None  # nothing depends on it, so it may stay unknown

    def _scalars(self, logs: Mapping[str, Any]) -> dict[str, float]:
        """Returns the logs as numbers, without what is no scalar."""
        metrics = {}
        for name, value in logs.items():
            try:
                # A metric of one class or output comes as an array of one number.
                metrics[name] = float(keras.ops.convert_to_numpy(value).reshape(()))
            except (TypeError, ValueError):
                self._warn_once(
                    f"The metric {shown(name)} is not a scalar and so is not "
                    f"recorded. Received: {shown(value)}"
                )
        return metrics

    def _warn_once(self, text: str) -> None:
        """Warns of the same thing once in a training."""
        if text not in self._said:
            self._said.add(text)
            warnings.warn(text, CheckpointWarning, stacklevel=3)

    def _tell_news(self) -> None:
        """Prints what is to be told, at a moment when no progress bar has a line open.

        As Keras prints: to standard output, or where that is switched off
        (`keras.config.disable_interactive_logging`), to the log.
        """
        while self._news:
            line = self._news.pop(0)
            if not self.verbose:
                continue
            if keras.config.is_interactive_logging_enabled():
                encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
                # A metric may have a name that this stream has no letters for.
                data = line.encode(encoding, "backslashreplace")
                print(data.decode(encoding), flush=True)
            else:
                _log.info(line)

    # Copies: the arguments go along, threads and open stores do not

    def __getstate__(self) -> dict[str, Any]:
        left_behind = {"_store", "_saver", "_model", "_resumption", "_running"}
        left_behind |= {"_interruptions", "_put_loggers_back", "_continuation"}
        left_behind |= {"on_train_batch_end", "_overridden"}
        left_behind |= {"on_test_batch_end", "_overridden_test", "_restored"}
        left_behind |= {"_batch_logs", "_news"}
        return {k: v for k, v in self.__dict__.items() if k not in left_behind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._model = None
        self._start_afresh()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _joined(
    retention: object, keep_last: int | None, keep_best: int | None
) -> RetentionPolicy | None:
    if retention is not None and not isinstance(retention, RetentionPolicy):
        raise TypeError(
            "`retention` must be a retention policy such as `KeepLast(3)`, or `None`. "
            f"Received: retention={retention!r}"
        )
    policies = [retention] if retention is not None else []
    if keep_last is not None:
        policies.append(KeepLast(keep_last))
    if keep_best is not None:
        policies.append(KeepBest(keep_best))
    joined = None
    for policy in policies:
        joined = policy if joined is None else joined | policy
    return joined
