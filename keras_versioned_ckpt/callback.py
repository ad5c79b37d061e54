"""`VersionedCheckpoint`: the callback that saves versions during `model.fit`.

Here are its arguments, what a user asks it, and the hooks of Keras. The hooks tell a
`Training` (`_training.py`) what happens; that decides whether a moment is saved, and
has it saved. What a `fit` goes on from waits in `_going_on.py`.
"""

import functools
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras

from keras_versioned_ckpt import (
    _arguments,
    _fit,
    _founding,
    _telling,
)
from keras_versioned_ckpt._best_so_far import BestSoFar, OnlyBetter
from keras_versioned_ckpt._continuation import Continuation
from keras_versioned_ckpt._ending_early import EarlyEnd, is_heard_of
from keras_versioned_ckpt._going_on import GoingOn
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._metrics import Metrics
from keras_versioned_ckpt._news import News, Warnings
from keras_versioned_ckpt._progress import Progress
from keras_versioned_ckpt._ranking import MODES, score
from keras_versioned_ckpt._resuming import Resumption
from keras_versioned_ckpt._saver import Plan, Saver
from keras_versioned_ckpt._training import Training
from keras_versioned_ckpt.naming import as_naming
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.retention import KeepBest, KeepLast, RetentionPolicy
from keras_versioned_ckpt.saving import software, step_of
from keras_versioned_ckpt.store import CheckpointStore
from keras_versioned_ckpt.triggers import as_trigger


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
        self._training: Training | None = None
        self._running: _fit.Fit | None = None
        self._news = News()
        self._going_on = GoingOn()
        self._is_prepared = False
        # On the instance, since Keras gives up dispatching the callbacks of all batches
        # asynchronously when it finds these hooks overridden.
        may_be_interrupted = is_heard_of(self.save_freq)
        if self.save_freq.needs_batches or may_be_interrupted:
            self._overridden = self.on_train_batch_end
            self.on_train_batch_end = self._on_train_batch_end
        if may_be_interrupted:
            self._overridden_test = self.on_test_batch_end
            self.on_test_batch_end = self._on_test_batch_end

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
        if self._training is not None:
            self._training.complete(settled=False)
        if self._saver is not None:
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
        resumption = self._going_on.restore(self.directory, model)
        return resumption.initial_epoch if resumption else 0

    # The hooks of Keras

    def set_model(self, model: Any) -> None:
        """Takes the model; if it is `fit` that gives it, resumes."""
        super().set_model(model)
        running = _fit.running(self)
        if running is not None and running.is_found:
            self._end()
            self._prepare(running)
            self._is_prepared = True

    def _prepare(self, running: _fit.Fit | None) -> None:
        self._going_on.prepare(
            self.directory, self.model, running, self._check_alone, asked=self.resume
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

    def _go_on(self) -> tuple[Continuation, Resumption | None]:
        """Begins where another training ended, if there is one to go on with."""
        self._running = running = _fit.running(self)
        if self.resume and not self._going_on.has_found:
            self._prepare(running)
        return self._going_on.begin(
            lambda: self.model,
            running,
            (self.params or {}).get("epochs"),
            asked=self.resume,
        )

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Opens the store and settles everything that could fail later."""
        self.wait()
        if not self._is_prepared:
            self._end()
        self._is_prepared = False
        self._store = store = CheckpointStore(
            self.directory, create=True, naming=self.naming
        )
        complaints = Warnings()
        metrics = Metrics(self.monitor, self.mode, complaints)
        mode_of = functools.partial(metrics.mode_of, self.model)
        trigger = self.save_freq.resolved(self.monitor, mode_of)
        best_mode = mode_of(self.monitor) if self.save_best_only else None
        policy = self.retention and self.retention.resolved(self.monitor, mode_of)
        looked_at = {monitor for monitor, _ in trigger.monitors}
        looked_at |= policy.monitors if policy else set()
        if policy and best_mode:
            # A version that could not be compared is saved all the same, and must
            # not push the best out of `KeepLast(1)`.
            policy |= KeepBest(1, self.monitor, best_mode)
        mode = best_mode or metrics.mode_if_known(self.model)
        continuation, resumption = self._go_on()
        if resumption is not None:
            version, state = resumption.version, resumption.state
            self._news.add(_telling.resumed(version.name, state.epoch, state.batch))
        self._saver = saver = Saver(
            Plan(
                store=store,
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
            self._news.add,
        )
        saver.prepare(self.model)
        best = BestSoFar(lambda: store.versions, lambda: saver.in_flight)
        only_better = None
        if best_mode is not None:
            only_better = OnlyBetter(
                monitor=self.monitor,
                mode=best_mode,
                threshold=self.initial_value_threshold,
                best=best,
            )
        self._training = Training(
            model=lambda: self.model,
            running=self._running,
            trigger=trigger,
            best=best,
            only_better=only_better,
            looked_at=frozenset(looked_at),
            metrics=metrics,
            progress=Progress(
                self._clock,
                step_of(self.model),
                resumption.state if resumption else None,
            ),
            continuation=continuation,
            early_end=EarlyEnd(trigger, self._running, self._failed),
            facts=functools.partial(self._facts, uuid.uuid4().hex[:12], mode),
            saver=saver,
            news=self._news,
            complaints=complaints,
        )
        self._training.listen(self._after_epoch_end, self._after_train_end)
        self._tell_news()

    def _facts(self, run_id: str, mode: str | None) -> Mapping[str, Any]:
        """Returns what every manifest of a training says, as it is set by now."""
        return {
            "run_id": run_id,
            "monitor": self.monitor,
            "mode": mode,
            "format": self.format,
            "metadata": self.metadata,
        }

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Takes note of how many epochs are completed, and of none of its batches."""
        assert self._training is not None
        self._training.begin_epoch(epoch)
        # The progress bar of the epoch before is complete, and that of this one is
        # drawn after this.
        self._tell_news()

    def _on_train_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        # What a subclass does at the end of a batch comes first.
        self._overridden(batch, logs=logs)
        assert self._training is not None
        if self._running is None:
            self._training.progress.end_batch(batch, logs)
        if not self._training.stops_for_signal(logs):
            self._training.consider("batch_end", logs)

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Takes note of the training's metrics, before validation resets them."""
        if self._training is not None:
            self._training.before_validation()

    def _on_test_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        self._overridden_test(batch, logs=logs)
        if (training := self._training) is None:
            return  # an evaluation outside of `fit`
        if training.stops_for_signal(training.progress.logs):
            training.after_batch_end(raised=None)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Saves, if it is time."""
        assert self._training is not None
        self._training.progress.end_epoch(epoch)
        self._training.warn_of_missing(logs)
        self._training.consider("epoch_end", logs)
        self._training.stops_for_signal(logs)

    def _after_epoch_end(
        self, *_: Any, raised: BaseException | None, **__: Any
    ) -> None:
        assert self._training is not None
        self._training.complete(settled=raised is None)
        if raised is None:
            self._training.continuation.after_epoch_end()
            # The progress bar has had its turn, too, and left its line.
            self._tell_news()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Saves, if it is time; then waits until everything is on the disk."""
        if (training := self._training) is None:
            self.wait()  # a loop of the user's may say so twice
            return
        if not training.is_stopping:
            training.consider("train_end", logs)
            training.stops_for_signal(logs)
        # What was begun in an epoch is on the disk when others hear of the end.
        training.wait()
        if self._running is None:
            self._after_train_end(raised=None)

    def _after_train_end(
        self, *_: Any, raised: BaseException | None, **__: Any
    ) -> None:
        if (training := self._training) is None:
            return
        try:
            training.complete_and_wait(settled=raised is None)
        finally:
            self._end()
        training.early_end.pass_on()

    def _failed(self, error: BaseException, in_callback: bool) -> None:
        """Saves what there is, if training ends by an error; never raises another."""
        if self._training is None:
            return  # the same error, on its way through `fit`
        try:
            self._training.fail(error, in_callback)
        finally:
            self._end()

    def _end(self) -> None:
        """Leaves everything as it was before the training; also after a failure."""
        if self._training is not None:
            self._training.early_end.restore()
        if self._running is not None:
            self._running.leave()
            self._running = None
        # It knows the data and the model, which need not live as long as this does.
        self._training = None
        self._going_on.end()
        if self._saver is not None:
            self._saver.release()
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.tell(self.verbose)

    # Copies: the arguments go along, threads and open stores do not

    def __getstate__(self) -> dict[str, Any]:
        left_behind = {"_store", "_saver", "_model", "_training", "_running", "_news"}
        left_behind |= {"_going_on", "on_train_batch_end", "_overridden"}
        left_behind |= {"on_test_batch_end", "_overridden_test"}
        return {k: v for k, v in self.__dict__.items() if k not in left_behind}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._model = None
        self._start_afresh()


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
