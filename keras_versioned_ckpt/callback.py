"""`VersionedCheckpoint`: the callback that saves versions during `model.fit`.

The way of a save: a hook of Keras gathers what is known into a `Moment`; the
trigger says whether it is time; `save_best_only` says whether it is worth it;
the model's arrays are copied on the calling thread; and the background writes and
commits them and lets the retention policy prune.
"""

import logging
import time
import uuid
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import keras

from keras_versioned_ckpt import _arguments, _founding, directions
from keras_versioned_ckpt._background import Background
from keras_versioned_ckpt._capture import Capture, Copies, capture
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt._ranking import MODES, best_first, improves, is_score, score
from keras_versioned_ckpt.errors import CheckpointError, CheckpointWarning, SaveError
from keras_versioned_ckpt.naming import as_naming
from keras_versioned_ckpt.records import Event, Moment, Version
from keras_versioned_ckpt.retention import KeepBest, KeepLast, RetentionPolicy
from keras_versioned_ckpt.saving import software, step_of
from keras_versioned_ckpt.store import CheckpointStore
from keras_versioned_ckpt.triggers import as_trigger

_T = TypeVar("_T")
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
        resume: Must be `False` in this release.
        metadata: A JSON-able dictionary that is put into every manifest.
        verbose: 0 (default) is silent, 1 prints a line per save.
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
    end of `fit`; older versions and the training state are intact.

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

    # Inherited; declared for type checkers, since `_start_afresh` sets it.
    on_train_batch_end: Callable[..., None]

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
        if _arguments.check_boolean("resume", resume):
            raise NotImplementedError(
                "`resume=True` is not part of this release. Load the newest version "
                "with `load_latest` and pass `initial_epoch=` to `fit`."
            )
        _founding.check_usable(Layout(self.directory), self.naming)
        self._start_afresh()

    def _start_afresh(self) -> None:
        """Sets what belongs to one use of the callback, not to its arguments."""
        self._background = Background()
        self._copies = Copies()
        self._store: CheckpointStore | None = None
        self._news: list[str] = []
        self._in_flight: Mapping[str, float] = {}
        if self.save_freq.needs_batches:
            # On the instance, since Keras gives up dispatching the callbacks of
            # all batches asynchronously when it finds this hook overridden.
            self._overridden = self.on_train_batch_end
            self.on_train_batch_end = self._on_train_batch_end

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
        """
        try:
            self._background.wait()
        finally:
            self._tell_news()

    # The hooks of Keras

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Opens the store and settles everything that could fail later."""
        self.wait()
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
        self._policy = policy
        self._recorded_mode = self._best_mode or self._mode_if_known()
        self._software = software()
        self._run_id = uuid.uuid4().hex[:12]
        self._parent: int | None = None
        self._epoch = 0
        self._batch = 0
        self._batches_since_fired = 0
        first_step = step_of(self.model)
        self._has_steps = first_step is not None
        self._step = first_step or 0
        self._saved_at: tuple[int, int, int] | None = None
        self._time_of_save = self._clock()
        self._said: set[str] = set()
        self._modes: dict[str, str | None] = {}
        if self.save_on_background:
            self._copies.prepare(self.model, self.format)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Takes note of how many epochs are completed, and of none of its batches."""
        self._epoch = epoch
        self._batch = 0

    def _on_train_batch_end(
        self, batch: int, logs: Mapping[str, Any] | None = None
    ) -> None:
        # What a subclass does at the end of a batch comes first.
        self._overridden(batch, logs=logs)
        # Keras counts batches from 0, and skips some with steps_per_execution.
        self._batches_since_fired += batch + 1 - self._batch
        self._batch = batch + 1
        self._consider("batch_end", logs)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Saves, if it is time."""
        self._epoch = epoch + 1
        self._tell_news()
        self._warn_of_missing(logs or {})
        self._consider("epoch_end", logs)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Saves, if it is time, and waits until everything is on the disk."""
        try:
            self._consider("train_end", logs)
            self.wait()
        finally:
            self._copies.release()

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

    def _consider(self, event: Event, logs: Mapping[str, Any] | None) -> None:
        self._background.raise_failure()
        # No trigger looks at the running metrics of a batch, and to read them would
        # make training wait for the device after every one.
        metrics = {} if event == "batch_end" else self._scalars(logs or {})
        step = self._step
        if event != "batch_end" or self._trigger.counts_steps:
            step = step_of(self.model) or 0
        moment = Moment(
            event=event,
            epoch=self._epoch,
            step=step,
            previous_step=self._step,
            batches_since_fired=self._batches_since_fired,
            steps_since_save=self._steps_since_save(step),
            seconds_since_save=self._clock() - self._time_of_save,
            metrics=metrics,
            best=self._best_values() if event == "epoch_end" else {},
        )
        self._step = step
        fired = self._trigger.fired(moment)
        if not fired:
            return
        self._batches_since_fired = 0
        if event == "batch_end":
            metrics = self._scalars(logs or {})
        if self._best_mode is None or self._is_best(event, metrics, self._best_mode):
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
        self._say(
            f"Epoch {self._epoch}: {self.monitor} {value:.5g} did not improve on "
            f"{best:.5g}, not saved"
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
        # Looked at before the store: what lands in between is then seen there.
        in_flight = self._in_flight if self._background.busy else {}
        best = None
        for version in best_first(self.store.versions, monitor, mode)[:1]:
            best = score(version, monitor)
        value = in_flight.get(monitor)
        return value if is_score(value) and improves(value, best, mode) else best

    # The save

    def _save(
        self, event: Event, metrics: Mapping[str, float], fired: tuple[str, ...]
    ) -> None:
        began = self._clock()
        if self._background.busy:
            self._say("Waiting for the previous version to be on the disk")
        self.wait()
        step = step_of(self.model) or 0
        facts = {
            "run_id": self._run_id,
            "parent": self._parent,
            "epoch": self._epoch,
            "step": step,
            "batch": self._batch if event == "batch_end" else None,
            "metrics": metrics,
            "monitor": self.monitor,
            "mode": self._recorded_mode,
            "modes": self._known_modes(metrics),
            "format": self.format,
            "metadata": self.metadata,
        }
        copies = self._copies if self.save_on_background else None
        captured = self._tried(
            lambda: capture(
                self.store,
                self.model,
                self.format,
                lambda: self.store.next_name(self.naming, **facts),
                copies,
            )
        )
        self._step, self._saved_at = step, (self._epoch, self._batch, step)
        self._time_of_save = self._clock()
        self._in_flight = {} if event == "batch_end" else metrics
        waited = self._time_of_save - began
        if captured.is_copy and self.save_on_background:
            self._background.start(
                lambda: self._finish(captured, facts, fired, lambda: waited)
            )
            return
        if self.save_on_background:
            self._warn_once(
                "Too little memory is free for a copy of the model, so that training "
                "waits until it is on the disk. Free some memory, or pass "
                "`save_on_background=False`."
            )
        self._finish(captured, facts, fired, lambda: self._clock() - began)
        self._tell_news()

    def _finish(
        self,
        captured: Capture,
        facts: Mapping[str, Any],
        fired: tuple[str, ...],
        waited: Callable[[], float],
    ) -> None:
        """Writes, commits and prunes; on the background it never touches the model."""
        version = self._tried(
            lambda: self.store.commit(
                captured.stage(),
                naming=self.naming,
                trigger=fired,
                software=self._software,
                **facts,
            ),
            again=captured.is_repeatable,
        )
        self._parent = version.number
        news = f"Epoch {version.epoch}: saved {version.name}"
        if (value := score(version, self.monitor)) is not None:
            news += f", {self.monitor} {value:.5g}"
        removed = ""
        if self._policy is not None:
            for gone in self.store.prune(self._policy).remove:
                removed += f", removed {gone.name} (no rule keeps it)"
        self._news.append(f"{news}, training waited {waited():.3f} s{removed}")

    def _tried(self, save: Callable[[], _T], *, again: bool = True) -> _T:
        """Saves; where the disk is full, makes room and tries once more."""
        try:
            return save()
        except SaveError as error:
            policy = self._policy if self.on_disk_full == "prune" else None
            if not (error.disk_full and again and policy):
                raise
            try:
                plan = self.store.prune(policy, making_room=True)
            except CheckpointError as why:
                # Not a byte may be left for the reasons of what would go.
                raise error from why
            if not plan.remove:
                raise
        names = listing(version.name for version in plan.remove)
        self._news.append(f"The disk is full: removed {names} to make room")
        return save()

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

    def _say(self, text: str) -> None:
        if not self.verbose:
            return
        if keras.config.is_interactive_logging_enabled():
            # The progress bar has left its line open.
            print(f"\n{text}", flush=True)
        else:
            _log.info(text)

    def _tell_news(self) -> None:
        while self._news:
            self._say(self._news.pop(0))

    # Copies: the arguments go along, threads and open stores do not

    def __getstate__(self) -> dict[str, Any]:
        left_behind = {"_background", "_copies", "_store", "_model", "_news"}
        left_behind |= {"on_train_batch_end", "_overridden"}
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
