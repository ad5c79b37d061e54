"""The `fit` that is running: what Keras does not tell its callbacks.

A callback hears of its own model and of nothing else. To continue a training exactly,
four things more are needed: the other callbacks, a word after all of them have had
theirs, the epoch to begin at, and the input's own place. All of this is in the hands of
`fit` while it calls the callbacks, and is looked up there. No other file does so.

Each part is looked for when it is needed. Where a release of Keras keeps it elsewhere,
the answer is `None` or `False`, and the caller has something public to do instead. That
is never quite exact, and says so.
"""

import contextlib
import functools
import itertools
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, cast

import keras

from keras_versioned_ckpt.errors import CheckpointWarning

# What callbacks hear of a training that has begun.
_HOOKS = (
    *("on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end"),
    "on_train_end",
)


class Fit:
    """One call of `fit`, from the inside.

    Args:
        callbacks: Keras's list of callbacks.
        names: What `fit` has under its own names; empty if it is not found.
    """

    def __init__(
        self, callbacks: keras.callbacks.CallbackList, names: Mapping[str, Any]
    ) -> None:
        self._list = callbacks
        self._epochs: Any = names.get("epoch_iterator")
        self._undo: list[Callable[[], None]] = []
        self._forget_epoch: Callable[[], None] = lambda: None
        self._has_metrics = False
        self._is_pretended = False
        self.data: Any = names.get("x")

    @property
    def callbacks(self) -> list[keras.callbacks.Callback]:
        """All callbacks, in the order in which Keras calls them."""
        return list(self._list.callbacks)

    @property
    def is_found(self) -> bool:
        """Whether it is `fit`, and not a loop of the user's that calls callbacks."""
        return self._epochs is not None

    # A word before and after all of them

    def listen(self, hook: str, before: Any = None, after: Any = None) -> None:
        """Has something called before or after all callbacks hear of an event.

        Args:
            hook: The name of a hook.
            before: Called with what the hook is called with; or `None`.
            after: The same, and `raised=` what a callback raised, or `None`. What it
                raises itself is a warning then: the other error is the one to see.
        """
        heard = getattr(self._list, hook)

        def hearing(*args: Any, **kwargs: Any) -> None:
            if before is not None:
                before(*args, **kwargs)
            try:
                heard(*args, **kwargs)
            except BaseException as error:
                if after is not None:
                    _without_raising(after, *args, raised=error, **kwargs)
                raise
            if after is not None:
                after(*args, raised=None, **kwargs)

        # On this list, which Keras makes for one call of `fit`.
        self._put(self._list, hook, hearing)

    def guard(self, model: Any, failed: Callable[[BaseException, bool], None]) -> None:
        """Has something called with what is about to end the training.

        Args:
            model: The `keras.Model`.
            failed: Called with what a step, the input, the validation or a callback
                raises, and whether it was a callback; it is raised further.
        """

        def guarded(act: Any, in_callback: bool = False) -> Any:
            def acting(*args: Any, **kwargs: Any) -> Any:
                try:
                    return act(*args, **kwargs)
                except BaseException as error:
                    if not _is_end_of_input(error):
                        failed(error, in_callback)
                    raise

            return acting

        for name in ("train_function", "evaluate"):
            self._put(model, name, guarded(getattr(model, name)))
        for hook in _HOOKS:
            self._put(self._list, hook, guarded(getattr(self._list, hook), True))
        enumerated = getattr(self._epochs, "_enumerate_iterator", None)
        if enumerated is None:
            return

        def guarding() -> Iterator[Any]:
            items = enumerated()
            advance = guarded(functools.partial(next, items))
            with contextlib.suppress(StopIteration):
                while True:
                    *steps, iterator = advance()
                    if keras.config.backend() == "torch":
                        # The others read the input within `train_function`.
                        read = functools.partial(next, iterator)
                        iterator = _Reading(guarded(read))
                    yield (*steps, iterator)

        self._put(self._epochs, "_enumerate_iterator", guarding)

    def stop(self, model: Any) -> None:
        """Has `fit` end after this batch, and skip what is left of the epoch.

        Callbacks hear the end of the training, and not that of an epoch which has none.
        """
        model.stop_training = model.stop_evaluating = True
        self._put(model, "evaluate", lambda *_, **__: {})
        self._put(self._list, "on_epoch_end", lambda *_, **__: None)

    def leave(self) -> None:
        """Leaves everything as it was: lists and models may be used again."""
        while self._undo:
            self._undo.pop()()
        self._epochs = self.data = None

    def _put(self, owner: Any, name: str, act: Callable[..., Any]) -> None:
        """Puts something in the place of a method, on this object alone."""
        # Past `__setattr__`, for which this would be a change of the model.
        own = vars(owner)
        layer = own[name] = _Layer(act, own.get(name))
        self._undo.append(functools.partial(layer.leave, own, name))

    # Where to begin

    def begin_at(self, model: Any, epoch: int) -> bool:
        """Has `fit` begin at an epoch, counted from 0; `False` if it cannot be told."""
        if not hasattr(model, "_initial_epoch"):
            return False
        # Once, and at the latest when the list is gone: another callback may raise
        # before the first epoch, and nobody hears of it.
        self._forget_epoch = weakref.finalize(
            self._list, setattr, model, "_initial_epoch", model._initial_epoch
        )
        self._undo.append(self._forget_epoch)
        model._initial_epoch = epoch
        return True

    def has_begun(self) -> None:
        """Has another call of `fit` begin where it is told to, now that this one has.

        At once, since nobody may hear how this one ends.
        """
        self._forget_epoch()

    # The input's own place

    @property
    def has_a_place(self) -> bool:
        """Whether the input can be asked for its batches once more from the start."""
        return hasattr(self._epochs, "_enumerate_iterator") and (
            self._kind != "GeneratorDataAdapter"
        )

    @property
    def is_indexed(self) -> bool:
        """Whether Keras asks the input for batches by their number."""
        return self._kind == "PyDatasetAdapter"

    @property
    def is_drawn_by_seed(self) -> bool:
        """Whether the order of its batches may hang on the seed of the process.

        TensorFlow's shuffling does; arrays on other backends are shuffled by generators
        whose states can be put back.
        """
        if self._kind == "ArrayDataAdapter" and self._epochs.steps_per_epoch is None:
            shuffles = getattr(self._epochs.data_adapter, "_shuffle", True)
            return bool(shuffles) and keras.config.backend() == "tensorflow"
        return True

    @property
    def _kind(self) -> str:
        return type(getattr(self._epochs, "data_adapter", None)).__name__

    def pass_over_epochs(self, count: int) -> None:
        """Lets the input go through epochs that were trained on before.

        Data sets that shuffle anew for each epoch count how often they were begun, and
        backends other than TensorFlow begin with the first batch. All are read only
        where an epoch begins in the middle of them, or where nobody knows how many
        there are.
        """
        epochs = self._epochs
        goes_on = epochs.steps_per_epoch is not None
        if self._kind == "ArrayDataAdapter" and not goes_on:
            return  # what is drawn for it comes from generators that are put back
        if self.is_indexed and not goes_on:
            # It may have an order of its own. To begin an epoch would start threads,
            # which draw random numbers when it suits them.
            for _ in range(count):
                self.data.on_epoch_begin()
                self.data.on_epoch_end()
            return
        all_read = goes_on or epochs.data_adapter.num_batches is None
        first_read = all_read or keras.config.backend() != "tensorflow"
        with warnings.catch_warnings():
            # Keras says when an input ends that did not tell its length.
            warnings.simplefilter("ignore")
            for _ in range(count):
                read = first_read
                with epochs.catch_stop_iteration():
                    for *_, iterator in epochs._enumerate_iterator():
                        for _ in range(epochs.steps_per_execution if read else 0):
                            next(iterator)
                        read = all_read

    def pass_over_batches(
        self,
        model: Any,
        count: int,
        *,
        read: bool,
        before: Callable[[], None],
        after: Callable[[], None],
        missed: Callable[[], None],
        logs: Mapping[str, Any],
    ) -> None:
        """Has the next epoch begin in its middle.

        Args:
            model: The `keras.Model`.
            count: The batches to pass over.
            read: Whether they are read from the input; otherwise it has a place of
                its own, and is there already.
            before: Called before the input is asked for anything.
            after: Called when it is at its place.
            missed: Called before that, if no step begins there.
            logs: What the last of them reported, for an epoch that has no other.
        """
        epochs = self._epochs
        enumerated = epochs._enumerate_iterator
        is_first = [True]

        def passing_over() -> Iterator[Any]:
            if not is_first:
                yield from enumerated()  # a later epoch
                return
            is_first.clear()
            before()
            steps = [0]
            is_behind = True
            is_there = False
            # A release with three tells the first and the last step.
            for *steps, iterator in enumerated():
                if steps[-1] >= count:
                    if not is_there:
                        is_there = True
                        missed()
                        after()
                    if is_behind and epochs.data_adapter.num_batches is None:
                        # It may be that there are no more, which shows only now.
                        yield (*steps, self._not_empty(model, iterator, logs))
                        if self._is_pretended:
                            yield (*steps, iterator)  # for the end that Keras expects
                    else:
                        yield (*steps, iterator)
                    is_behind = False
                    continue
                has_more = not read or self._read(model, iterator)
                if steps[-1] == count - 1:
                    # Before the input is asked for anything else, be it for its end.
                    is_there = True
                    after()
                if not has_more:
                    break  # with `steps_per_execution`, the last step may be short
            if is_behind:
                yield (*steps, self._pretended(model, logs))

        self._put(epochs, "_enumerate_iterator", passing_over)

    def _read(self, model: Any, iterator: Any) -> bool:
        """Reads what one step reads, and forgets it; returns whether there was any."""
        missing = object()
        for _ in range(self._epochs.steps_per_execution):
            batch = next(iterator, missing)
            if batch is missing:
                return False
            if not self._has_metrics:
                self._has_metrics = True
                # Metrics make their variables when they see a batch.
                with contextlib.suppress(AttributeError):
                    model._symbolic_build(data_batch=batch)
        return True

    # An epoch without a batch is nothing that Keras knows

    def _pretended(self, model: Any, logs: Mapping[str, Any]) -> Iterator[Any]:
        """Has the next step train nothing, and report what another one reported.

        Returns:
            What that step may read, which is nothing.
        """

        def training(trained: Any, *args: Any) -> Any:
            # JAX is given the model's state, and returns it.
            return dict(logs) if len(args) == 1 else (dict(logs), args[0])

        self._is_pretended = True
        self._train_once(model, training)
        self._silence("on_train_batch_begin", "on_train_batch_end")
        return itertools.repeat(None)

    def _not_empty(
        self, model: Any, iterator: Any, logs: Mapping[str, Any]
    ) -> Iterator[Any]:
        """Has the next step pretend, if there is nothing to read for it."""
        if keras.config.backend() != "tensorflow":
            missing = object()
            batch = next(iterator, missing)
            if batch is missing:
                return self._pretended(model, logs)
            return itertools.chain([batch], iterator)

        def ending(*_: Any) -> Any:
            raise StopIteration

        def training(trained: Any, *args: Any) -> Any:
            try:
                return trained(*args)
            except Exception as error:
                if not _is_end_of_input(error):
                    raise
                self._is_pretended = True
                self._silence("on_train_batch_end")
                # Seeds may have gone on in a step that failed; there was one such.
                self._train_once(model, ending)
                return dict(logs)

        self._train_once(model, training)
        return cast(Iterator[Any], iterator)

    def _train_once(self, model: Any, train: Callable[..., Any]) -> None:
        """Has something else take the next step, and only that one."""
        trained = model.train_function

        def training(*args: Any) -> Any:
            vars(model)["train_function"] = trained
            return train(trained, *args)

        vars(model)["train_function"] = training

    def _silence(self, *hooks: str) -> None:
        """Has callbacks hear nothing of hooks, until the last of them was called."""
        own = vars(self._list)
        before = {hook: own[hook] for hook in hooks if hook in own}

        def silent(*_: Any, last: bool, **__: Any) -> None:
            if last:
                for hook in hooks:
                    del own[hook]
                own.update(before)

        for hook in hooks:
            own[hook] = functools.partial(silent, last=hook == hooks[-1])


def _is_end_of_input(error: BaseException) -> bool:
    # TensorFlow has an error of its own for what Python has StopIteration for.
    return isinstance(error, StopIteration) or type(error).__name__ == "OutOfRangeError"


def _without_raising(act: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        act(*args, **kwargs)
    except Exception as error:
        warnings.warn(
            f"After a callback had raised: {error}", CheckpointWarning, stacklevel=3
        )


class _Layer:
    """What stands in the place of a method for a while, and what stood there before."""

    def __init__(self, act: Callable[..., Any], before: Any) -> None:
        self._act = act
        self._before = before
        self._is_used = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._act(*args, **kwargs)

    def leave(self, own: dict[str, Any], name: str) -> None:
        """Goes, at once or when what was put on top of it has gone."""
        self._is_used = False
        while isinstance(top := own.get(name), _Layer) and not top._is_used:
            if top._before is None:
                del own[name]
            else:
                own[name] = top._before


class _Reading:
    """An iterator of what a function returns."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read

    def __iter__(self) -> "_Reading":
        return self

    def __next__(self) -> Any:
        return self._read()


def running(callback: keras.callbacks.Callback) -> Fit | None:
    """Finds the `fit` that is calling a hook of a callback right now.

    Returns:
        `None` if Keras calls its callbacks in another way.
    """
    callbacks = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        names = frame.f_locals
        if callbacks is None:
            found = names.get("self")
            if isinstance(found, keras.callbacks.CallbackList) and any(
                callback is one for one in getattr(found, "callbacks", ())
            ):
                callbacks = found
        elif "initial_epoch" in names and "epoch_iterator" in names:
            return Fit(callbacks, names)
        frame = frame.f_back
    return None if callbacks is None else Fit(callbacks, {})


# What is random


def seed() -> int | None:
    """Returns what `keras.utils.set_random_seed` was last called with, if it was."""
    found = _global("global_random_seed")
    return found if isinstance(found, int) else None


def global_seed_generator() -> Any:
    """Returns Keras's generator for what has no seed of its own, if it was used."""
    return _global("global_seed_generator")


def _global(name: str) -> Any:
    with contextlib.suppress(AttributeError):
        return sys.modules[
            "keras.src.backend.common.global_state"
        ].get_global_attribute(name)
    return None
