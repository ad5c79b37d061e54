"""A training that goes on, or may have to: what is put back at its beginning, and taken
down at each save.

Keras resets its callbacks, draws its batches anew and counts from the first epoch when
a `fit` begins. What is put back is put back when all of that is done: before the first
epoch, or right where the input is first asked for a batch.
"""

import functools
import traceback
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from keras_versioned_ckpt import _callback_states, _fit, _random_state
from keras_versioned_ckpt._messages import listing
from keras_versioned_ckpt._resuming import Resumption, fit, seed_generators, values
from keras_versioned_ckpt._training_state import TrainingState
from keras_versioned_ckpt.errors import CheckpointWarning, ResumeError
from keras_versioned_ckpt.records import Event


class Continuation:
    """One call of `fit`: what it goes on from, and what another may go on from.

    Args:
        running: The `fit`; `None` if it is not found.
        model: Returns the `keras.Model`, with its values where they can be read.
        epochs: How many epochs the training is to have; `None` if not known.
        resumption: What it goes on from; `None` for a training that begins.
        may_go_on: Whether another training is to go on from this one.
    """

    def __init__(
        self,
        running: _fit.Fit | None,
        model: Callable[[], Any],
        epochs: int | None,
        resumption: Resumption | None,
        *,
        may_go_on: bool,
    ) -> None:
        self._may_go_on = may_go_on or resumption is not None
        self._fit = running
        self._model = model
        self._epochs = epochs
        self._resumption = resumption
        self._is_begun = False
        self._skipped = 0
        self._is_at_epoch_begin = True
        self._random_at_epoch: Mapping[str, Any] | None = None
        self._data_at_epoch: Any = None
        self._weights: tuple[np.ndarray, ...] | None = None
        self._metrics_of_epoch: tuple[np.ndarray, ...] | None = None
        self._random_of_epoch: Mapping[str, Any] | None = None
        self._callbacks_of_epoch: tuple[Mapping[str, Any], ...] | None = None
        self._random_to_validate: Mapping[str, Any] | None = None
        self._averaged = False

    @property
    def first_epoch(self) -> int:
        """The epoch to begin at, counted from 0."""
        if self._resumption is None:
            return 0
        state = self._resumption.state
        has_grown = None in (self._epochs, state.epochs) or (
            int(self._epochs or 0) > int(state.epochs or 0)
        )
        if state.stopped and not has_grown:
            # A callback has ended that training; there is nothing more to train.
            return int(self._epochs or 0)
        return state.epoch

    def batches_before(self, epoch: int) -> int:
        """Returns how many batches of an epoch are passed over."""
        return self._skipped if epoch == self.first_epoch else 0

    def begin(self, *, told: bool) -> None:
        """Has `fit` begin where the other one ended.

        Args:
            told: Whether `fit` was told the epoch by its caller as well.

        Raises:
            ResumeError: If that cannot be.
        """
        if self._resumption is None:
            return
        if self._fit is not None and self._fit.begin_at(
            self._model(), self.first_epoch
        ):
            return
        if not told:
            raise ResumeError(
                "This release of Keras does not let a callback choose the epoch to "
                "begin at. Pass `resume=False`, call "
                "`initial_epoch = checkpoint.restore(model)` before `fit`, and pass "
                "`initial_epoch=initial_epoch` to it."
            )

    def before_epochs(self) -> None:
        """Puts back what there is to put back, once, when all callbacks are reset."""
        if self._is_begun:
            return
        self._is_begun = True
        if self._may_go_on and self._fit is not None:
            self._say_who_is_unknown(self._fit)
        if self._resumption is None:
            return
        if self._fit is not None:
            self._fit.has_begun()
        version, state = self._resumption.version, self._resumption.state
        if self._fit is None:
            _warn(
                "This release of Keras does not tell who else listens to a training. "
                "The states of other callbacks, and the input's place, are not put "
                f"back: training goes on from {version.name}, and not exactly."
            )
            self._put_random(state.random)
            return
        self._say_what_is_not_exact(self._fit, state)
        self._find_place(self._fit, state)
        callbacks, averaged = self._fit.callbacks, state.averaged and not state.weights
        _callback_states.say_averages_are_in(callbacks, self._model(), averaged)
        for complaint in _callback_states.restore(callbacks, state.callbacks):
            _warn(complaint)
        if not self._skipped:
            self._put_random(state.random)

    def after_epoch_begin(self, *, may_save_inside: bool) -> None:
        """Takes down what an epoch begins with."""
        if self._is_at_epoch_begin and may_save_inside:
            self._random_at_epoch = _random_state.take()
            if self._fit is not None and self._fit.is_indexed:
                self._data_at_epoch = _get_state(self._fit.data)
        self._is_at_epoch_begin = True

    # Where the input goes on

    def _find_place(self, running: _fit.Fit, state: TrainingState) -> None:
        """Has the input go on where it was, if it has a place that can be found."""
        batch = state.batch or 0
        has_state = state.data is not None and hasattr(running.data, "set_state")
        # What Keras asks for batches by their number says how an epoch begins; Keras
        # reads ahead, so that it knows no other place.
        has_own_place = has_state and not running.is_indexed
        if has_state:
            _callback_states.set_state(running.data, state.data)
        elif running.has_a_place and self.first_epoch:
            running.pass_over_epochs(state.epoch)
        if not batch:
            return
        why = self._why_no_place(running, state, has_own_place)
        if why:
            _warn(
                f"{why}, so that training goes on at the beginning of epoch "
                f"{state.epoch + 1}, with the {batch} batch(es) that it has seen of it "
                "once more."
            )
            return
        self._skipped = batch
        # This epoch began in another process.
        self._random_at_epoch = state.random_at_epoch
        self._data_at_epoch = state.data
        self._is_at_epoch_begin = False
        running.pass_over_batches(
            self._model(),
            batch,
            read=not has_own_place,
            before=functools.partial(self._put_random, state.random_at_epoch),
            after=functools.partial(self._go_on_inside, state),
            missed=self._say_that_steps_are_others,
            logs=state.logs,
        )

    @staticmethod
    def _say_that_steps_are_others() -> None:
        _warn(
            "`steps_per_execution` is another than it was, and no step begins where "
            "the training ended: a few batches are trained on twice."
        )

    def _go_on_inside(self, state: TrainingState) -> None:
        """Puts back what is of this very batch, when the input is at its place."""
        self._put_random(state.random)
        if state.validating:
            # The input ends in between, for which some draw as well.
            self._random_to_validate = state.random
        variables = self._model().metrics_variables
        if not fit(variables, state.metrics or ()):
            _warn(
                "The metrics are others than those of the training that goes on. Their "
                "means in this epoch are those of the batches that are left."
            )
            return
        for variable, value in zip(variables, state.metrics or (), strict=True):
            variable.assign(value)

    @staticmethod
    def _why_no_place(
        running: _fit.Fit, state: TrainingState, has_own_place: bool
    ) -> str:
        if not running.has_a_place:
            return "The input cannot be asked for its batches once more"
        if has_own_place or not running.is_drawn_by_seed:
            return ""
        if state.seed is None:
            return "The training was not seeded by `keras.utils.set_random_seed`"
        if state.seed != _fit.seed():
            return (
                f"The training was seeded by {state.seed}, and this one by "
                f"{_fit.seed()}"
            )
        return ""

    @staticmethod
    def _say_who_is_unknown(running: _fit.Fit) -> None:
        if unknown := _callback_states.unknown(running.callbacks):
            _warn(
                f"{listing(unknown)}: the state of these callbacks cannot be read, and "
                "is not put back when a training goes on. Give them `get_state()` and "
                "`set_state(state)` if they have one."
            )

    def _say_what_is_not_exact(self, running: _fit.Fit, state: TrainingState) -> None:
        if not state.settled:
            _warn(
                "The version was saved before all callbacks had their turn, such as by "
                "`checkpoint.wait()` in one of them, or since one raised. The history, "
                "and callbacks that come after that one, go on without that moment."
            )
        if state.batch or not state.epoch or not state.random:
            return
        if running.is_found and not running.has_a_place:
            _warn(
                "The input is a generator, which begins anew. Training goes on exactly "
                "only if it does not matter which batches come."
            )
        elif running.is_drawn_by_seed and state.seed != _fit.seed():
            _warn(
                f"The training was seeded by {state.seed}, and this one by "
                f"{_fit.seed()}: its batches come in another order. Call "
                "`keras.utils.set_random_seed` with the same number."
            )

    @staticmethod
    def _put_random(state: Mapping[str, Any] | None) -> None:
        if not state:
            return
        try:
            _random_state.put(state)
        # Whatever generators make of a state that somebody may have written.
        except Exception as error:
            _warn(f"The generators of random numbers are not put back: {error!r}")

    # What is taken down

    def before_epoch_end(self, epoch: int, *, may_save_inside: bool) -> None:
        """Takes down what is about to be lost: weights, and what callbacks were."""
        if self._epochs is not None and epoch + 1 >= self._epochs:
            # Keras may put averages in their place after the last epoch, for good.
            self._take_weights()
        if may_save_inside:
            # One of them may raise, when others have had their turn.
            self._callbacks_of_epoch = self._callbacks()

    def is_settled(self, error: BaseException | None) -> bool:
        """Returns whether the states of callbacks are of one moment.

        Args:
            error: What one of them raised at the end of a batch, or of an epoch for
                which they are taken down; `None` if all had their turn.
        """
        if error is None or self._fit is None or self._callbacks_of_epoch is not None:
            return True
        callbacks = self._fit.callbacks
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        raisers = [frame.f_locals.get("self") for frame in frames]
        reached = [
            index
            for index, callback in enumerate(callbacks)
            if any(callback is raiser for raiser in raisers)
        ]
        later = callbacks[max(reached, default=-1) + 1 :]
        return not _callback_states.count_batches(later)

    def after_epoch_end(self) -> None:
        """Forgets what belongs to the epoch, and looks whether it was the last."""
        self._metrics_of_epoch = self._random_of_epoch = None
        self._callbacks_of_epoch = None
        if getattr(self._model(), "stop_training", False) and not self._holds_averages:
            self._take_weights()

    def _take_weights(self) -> None:
        model = self._model()
        optimizer = getattr(model, "optimizer", None)
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if self._weights is None and getattr(optimizer, "use_ema", False):
            self._weights = values(model.trainable_variables)

    @property
    def _holds_averages(self) -> bool:
        callbacks = self._fit.callbacks if self._fit else []
        return _callback_states.averages_are_in(callbacks)

    def note_capture(self) -> None:
        """Takes down whether the model, which is captured now, holds averages."""
        self._averaged = self._holds_averages

    def before_validation(self, *, may_save_inside: bool) -> None:
        """Takes down what validation changes, or puts back what it began with."""
        if self._random_to_validate is not None:
            self._put_random(self._random_to_validate)
            self._random_to_validate = None
        if may_save_inside:
            # Metrics are counted anew, and inputs may draw random numbers.
            self._metrics_of_epoch = values(self._model().metrics_variables)
            self._random_of_epoch = _random_state.take()

    def state(
        self,
        event: Event,
        *,
        settled: bool,
        epoch: int,
        batch: int | None,
        step: int,
        batches_since_fired: int,
        logs: Mapping[str, float],
    ) -> TrainingState:
        """Returns what a training needs to go on from this moment."""
        model = self._model()
        running = self._fit
        inside = batch is not None
        # At the end of an epoch they are lost only to averages, and only in the last.
        is_lost = event == "train_end" or (event == "epoch_end" and self._averaged)
        metrics = self._metrics_of_epoch
        if metrics is None and inside:
            metrics = values(model.metrics_variables)
        return TrainingState(
            epoch=epoch,
            batch=batch,
            step=step,
            settled=settled and running is not None,
            epochs=self._epochs,
            stopped=bool(getattr(model, "stop_training", False)) and not inside,
            batches_since_fired=batches_since_fired,
            seed=_fit.seed(),
            random=(inside and self._random_of_epoch) or _random_state.take(),
            random_at_epoch=self._random_at_epoch if inside else None,
            validating=inside and self._random_of_epoch is not None,
            seed_generators=values(seed_generators(model)),
            metrics=metrics if inside else None,
            logs=logs if inside else {},
            callbacks=(inside and self._callbacks_of_epoch) or self._callbacks(),
            data=self._data(inside),
            averaged=self._averaged,
            weights=self._weights if is_lost else None,
        )

    def _callbacks(self) -> tuple[Mapping[str, Any], ...]:
        callbacks = self._fit.callbacks if self._fit else []
        return tuple(_callback_states.states(callbacks))

    def _data(self, inside: bool) -> Any:
        """Returns what the input says of itself."""
        if self._fit is None:
            return None
        if inside and self._fit.is_indexed:
            return self._data_at_epoch
        return _get_state(self._fit.data)


def _get_state(data: Any) -> Any:
    if not (hasattr(data, "get_state") and hasattr(data, "set_state")):
        return None
    return _callback_states.checked(data.get_state(), type(data).__name__, "state")


def _warn(text: str) -> None:
    warnings.warn(text, CheckpointWarning, stacklevel=3)
