"""What the other callbacks of a `fit` remember: read, and put back.

A training that goes on after a kill goes on exactly only if its callbacks do. This
module knows how for those of Keras. A callback of the user's takes part by two
methods: `get_state()` returns what JSON can hold (a `dict` with `str` keys, `list`,
`str`, `int`, `float`, `bool` or `None`, nested as need be), and `set_state(state)` is
given an equal value when a training goes on, after every callback's `on_train_begin`.
They come before what this module knows of a class of Keras that the callback derives
from.

    >>> class CountBatches(keras.callbacks.Callback):
    ...     def on_train_begin(self, logs=None):
    ...         self.count = 0
    ...     def on_train_batch_end(self, batch, logs=None):
    ...         self.count += 1
    ...     def get_state(self):
    ...         return {"count": self.count}
    ...     def set_state(self, state):
    ...         self.count = state["count"]

    >>> killed, later = CountBatches(), CountBatches()
    >>> killed.count = 120
    >>> restore([later], states([killed]))
    []
    >>> later.count
    120

What Keras's callbacks remember is in attributes that are not documented. Where a
release of Keras has others, the callback counts as one that nobody can read, and
`unknown` names it.
"""

import abc
import contextlib
import csv
import dataclasses
import functools
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt.errors import ResumeError

# A cycle ends here as well. The store's JSON may be 32 levels deep, all around it
# included.
_MAX_DEPTH = 24
_HUGE = 1e30


def states(callbacks: Sequence[Any]) -> list[dict[str, Any]]:
    """Returns the states of all callbacks that have one, in their order.

    Args:
        callbacks: The callbacks of a `fit`, at a moment when none of them is at work.

    Returns:
        For each a `dict` with the class as `"callback"`, and its `"state"`: what JSON
        can hold, NaN and infinities included, and arrays for callbacks of Keras. The
        arrays are not copied; nobody changes them.

    Raises:
        TypeError: If a `get_state` returns what JSON has no form for.
    """
    found = []
    for callback in callbacks:
        if _has_protocol(callback):
            state = checked(callback.get_state(), type(callback).__name__, "state")
        elif adapter := _adapter_of(callback):
            state = adapter.read(callback)
        else:
            continue
        found.append({"callback": _name(callback), "state": state})
    return found


def restore(callbacks: Sequence[Any], saved: Sequence[Mapping[str, Any]]) -> list[str]:
    """Puts saved states back; each callback gets the next one of its class.

    Args:
        callbacks: The callbacks of a `fit`, after their `on_train_begin`, with a model
            that holds what was saved; see `say_averages_are_in`.
        saved: What `states` returned.

    Returns:
        What could not be put back, in sentences; such a callback starts afresh.

    Raises:
        ResumeError: If a `set_state` raises.
    """
    pairs, left = _paired(callbacks, saved)
    complaints: list[str] = []
    for callback, state in pairs:
        if _has_protocol(callback):
            set_state(callback, state)
        elif adapter := _adapter_of(callback):
            complaints += adapter.write(callback, state)
    for name in left:
        complaints.append(
            f"There is a saved state of {shown(name)}, and no such callback any more."
        )
    return complaints


def unknown(callbacks: Sequence[Any]) -> list[str]:
    """Returns the classes of those callbacks whose state nobody can read, each once."""
    return list(
        dict.fromkeys(
            type(callback).__name__
            for callback in callbacks
            if _name(callback) is None and not _has_no_state(callback)
        )
    )


def count_batches(callbacks: Sequence[Any]) -> bool:
    """Says whether any that has a state looks at the batches of a training."""
    return any(
        entry["state"] is not None and _hears_batches(callback)
        for callback in callbacks
        for entry in states([callback])
    )


def _hears_batches(callback: Any) -> bool:
    hooks = ("on_train_batch_end", "on_batch_end")
    default = keras.callbacks.Callback
    return any(getattr(type(callback), h) is not getattr(default, h) for h in hooks)


def averages_are_in(callbacks: Sequence[Any]) -> bool:
    """Says whether a `SwapEMAWeights` has put averaged weights into the model."""
    return any(
        isinstance(callback, keras.callbacks.SwapEMAWeights)
        and getattr(callback, "_ema_weights_in_model", False)
        for callback in callbacks
    )


def say_averages_are_in(callbacks: Sequence[Any], model: Any, averages: bool) -> None:
    """Tells each `SwapEMAWeights` what is in the model that it finds.

    Where there is none, averages are swapped for the weights in training.
    """
    swapping = [
        callback
        for callback in callbacks
        if isinstance(callback, keras.callbacks.SwapEMAWeights)
    ]
    for callback in swapping:
        callback._ema_weights_in_model = averages
    if averages and not swapping:
        callback = keras.callbacks.SwapEMAWeights()
        callback.set_model(model)
        callback._ema_weights_in_model = True
        # At the end of a validation it always swaps back.
        callback.on_test_end()


def before_begin(
    callbacks: Sequence[Any], saved: Sequence[Mapping[str, Any]], epoch: int
) -> Callable[[], None]:
    """Has each `CSVLogger` go on with its file, before any `on_train_begin`.

    What a file holds beyond what it held when the state was saved are the rows of the
    epochs that will now be trained again, and is cut off. Whatever else is there stays:
    what was above, such as another training, and all of a file that does not go on at
    that place with the rows of these epochs; `restore` tells of that.

    Args:
        callbacks: The callbacks of a `fit` that is sure to go on from `saved`.
        saved: What `states` returned.
        epoch: The first epoch that will be trained, from 0 as in the file.

    Returns:
        A function that makes the callbacks as they were, for the end of the training.
    """
    loggers = [c for c in callbacks if isinstance(c, keras.callbacks.CSVLogger)]
    appended = [(logger, logger.append) for logger in loggers]
    for logger in loggers:
        logger.append = True
    for logger, state in _paired(callbacks, saved)[0]:
        if isinstance(logger, keras.callbacks.CSVLogger) and not _has_protocol(logger):
            _cut_off(logger, state, epoch)

    def put_back() -> None:
        for logger, append in appended:
            logger.append = append

    return put_back


# Which callback is which


def _name(callback: Any) -> str | None:
    """Returns under which name a callback's state is saved; `None` if it is not."""
    if _has_protocol(callback):
        kind = type(callback)
        return f"{kind.__module__}.{kind.__qualname__}"
    adapter = _adapter_of(callback)
    return adapter.name if adapter else None


def _has_protocol(callback: Any) -> bool:
    methods = (getattr(callback, name, None) for name in ("get_state", "set_state"))
    return all(map(callable, methods))


def _has_no_state(callback: Any) -> bool:
    # The callbacks of this package are told apart by where they are defined: their
    # files are of higher layers.
    package, _, _ = __name__.partition(".")
    return (
        isinstance(callback, _STATELESS)
        or any(k.__module__.startswith(f"{package}.") for k in type(callback).__mro__)
        # What has nothing of its own remembers nothing.
        or set(vars(callback)) <= {*vars(keras.callbacks.Callback()), "params"}
    )


def _paired(
    callbacks: Sequence[Any], saved: Sequence[Mapping[str, Any]]
) -> tuple[list[tuple[Any, Any]], list[str]]:
    """Returns the callbacks with their states, and the names that are left over."""
    waiting = [(entry["callback"], entry["state"]) for entry in saved]
    pairs = []
    for callback in callbacks:
        name = _name(callback)
        for index, (saved_name, state) in enumerate(waiting):
            if saved_name == name:
                pairs.append((callback, state))
                del waiting[index]
                break
    # What has no state can do without.
    return pairs, [name for name, state in waiting if state not in (None, {})]


# The protocol


def checked(value: Any, kind: str, where: str, depth: int = 0) -> Any:
    """Returns a copy, which stays as it is when the callback goes on."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth < _MAX_DEPTH and type(value) is list:
        return [
            checked(item, kind, f"{where}[{index}]", depth + 1)
            for index, item in enumerate(value)
        ]
    if depth < _MAX_DEPTH and type(value) is dict:
        if wrong := [key for key in value if not isinstance(key, str)]:
            value, where = wrong[0], f"a key of {where}"
        else:
            return {
                key: checked(item, kind, f"{where}[{key!r}]", depth + 1)
                for key, item in value.items()
            }
    raise TypeError(
        f"`{kind}.get_state()` must return what JSON can hold: dicts with string "
        f"keys, lists, str, int, float, bool and None, at most {_MAX_DEPTH} levels "
        "deep. "
        f"Received: {where}={shown(value)} of type {type(value).__name__}"
    )


def set_state(owner: Any, state: Any) -> None:
    """Gives a callback, or an input, the state that it had.

    Raises:
        ResumeError: If it does not take it.
    """
    try:
        owner.set_state(state)
    except Exception as error:
        raise ResumeError(
            f"`{type(owner).__name__}.set_state()` failed with the state that its "
            f"`get_state()` returned: {type(error).__name__}: {error}"
        ) from error


# Callbacks of Keras, and what their states are made of


class _Part(abc.ABC):
    """One thing that callbacks of several classes remember."""

    # What this release of Keras must know.
    attributes: tuple[str, ...]

    @abc.abstractmethod
    def read(self, callback: Any) -> dict[str, Any]:
        """Returns what the callback remembers."""

    @abc.abstractmethod
    def misfit(self, callback: Any, state: Mapping[str, Any]) -> str:
        """Returns why the callback cannot go on from a state, or nothing."""

    @abc.abstractmethod
    def write(self, callback: Any, state: Mapping[str, Any]) -> str:
        """Has the callback go on from a state; returns what is amiss, or nothing."""


class _Counters(_Part):
    """Numbers that mean the same in every training."""

    def __init__(self, *attributes: str) -> None:
        self.attributes = attributes

    def read(self, callback: Any) -> dict[str, Any]:
        # A subclass may do without an attribute that its base has.
        return {name: _plain(getattr(callback, name, None)) for name in self.attributes}

    def misfit(self, callback: Any, state: Mapping[str, Any]) -> str:
        for name in self.attributes:
            if not isinstance(state[name], int | None):
                return f"{name} is {shown(state[name])}"
        return ""

    def write(self, callback: Any, state: Mapping[str, Any]) -> str:
        for name in self.attributes:
            setattr(callback, name, state[name])
        return ""


class _Best(_Part):
    """The best value so far of a metric, and in which direction it is better."""

    attributes = ("monitor", "monitor_op", "best")

    def read(self, callback: Any) -> dict[str, Any]:
        return {
            "monitor": callback.monitor,
            "direction": _direction(callback),
            "best": _plain(getattr(callback, "best", None)),
        }

    def misfit(self, callback: Any, state: Mapping[str, Any]) -> str:
        if state["monitor"] != callback.monitor:
            return (
                f"it is about monitor={shown(state['monitor'])}, and now it is "
                f"monitor={shown(callback.monitor)}"
            )
        now = _direction(callback)
        if now and state["direction"] and now != state["direction"]:
            return (
                f"it is about mode={shown(state['direction'])}, and now it is "
                f"mode={shown(now)}"
            )
        if not isinstance(state["best"], int | float | None):
            return f"best is {shown(state['best'])}"
        return ""

    def write(self, callback: Any, state: Mapping[str, Any]) -> str:
        callback.best = state["best"]
        # Keras finds the direction at the end of an epoch, but where there is a best
        # value, callbacks that look at batches compare with it before that.
        if callback.monitor_op is None and state["direction"]:
            falling = state["direction"] == "min"
            callback.monitor_op = keras.ops.less if falling else keras.ops.greater
            delta = abs(getattr(callback, "min_delta", 0))
            callback.min_delta = -delta if falling else delta
        return ""


def _direction(callback: Any) -> str | None:
    if callback.monitor_op is not None:
        return "min" if callback.monitor_op(-_HUGE, _HUGE) else "max"
    # The `ModelCheckpoint` of Keras 3.10 has no `mode`, but always an operation.
    mode = getattr(callback, "mode", None)
    return mode if mode in ("min", "max") else None


class _BestWeights(_Part):
    """The weights at the best epoch so far."""

    attributes = ("restore_best_weights", "best_weights")

    def read(self, callback: Any) -> dict[str, Any]:
        weights = getattr(callback, "best_weights", None)
        return {"best_weights": None if weights is None else list(weights)}

    def misfit(self, callback: Any, state: Mapping[str, Any]) -> str:
        if not callback.restore_best_weights:
            return ""
        if state["best_weights"] is None:
            if state["best"] is None:
                return ""
            return "it has no weights, and now it is restore_best_weights=True"
        shapes = [tuple(array.shape) for array in state["best_weights"]]
        if shapes != [tuple(weight.shape) for weight in callback.model.weights]:
            return "its best weights are those of another model"
        return ""

    def write(self, callback: Any, state: Mapping[str, Any]) -> str:
        if callback.restore_best_weights and state["best_weights"] is not None:
            callback.best_weights = list(state["best_weights"])
        return ""


class _Epochs(_Part):
    """The logs of all epochs."""

    attributes = ("epoch", "history")

    def read(self, callback: Any) -> dict[str, Any]:
        return {
            "epoch": list(getattr(callback, "epoch", [])),
            "history": {
                key: [_plain(value) for value in values]
                for key, values in callback.history.items()
            },
        }

    def misfit(self, callback: Any, state: Mapping[str, Any]) -> str:
        lists = [state["epoch"], *state["history"].values()]
        if not all(isinstance(item, list) for item in lists):
            return "its logs are not lists"
        return ""

    def write(self, callback: Any, state: Mapping[str, Any]) -> str:
        callback.epoch = list(state["epoch"])
        callback.history = {key: list(each) for key, each in state["history"].items()}
        return ""


class _Rows(_Part):
    """How far a CSV file was written, and its columns."""

    attributes = ("filename", "sep", "append", "append_header", "keys")

    def read(self, callback: Any) -> dict[str, Any]:
        # The first epoch decides on the columns. It may have had no validation, so
        # that a later one would decide otherwise.
        keys = None if callback.keys is None else list(callback.keys)
        return {"keys": keys, "size_bytes": _size_bytes(callback.filename)}

    def misfit(self, callback: Any, state: Mapping[str, Any]) -> str:
        if not isinstance(state["size_bytes"], int | None):
            return f"size_bytes is {shown(state['size_bytes'])}"
        keys = state["keys"] or []
        if not (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
            return f"keys is {shown(keys)}"
        return ""

    def write(self, callback: Any, state: Mapping[str, Any]) -> str:
        callback.keys = state["keys"]
        size, expected = _size_bytes(callback.filename), state["size_bytes"]
        if size is not None:
            callback.append_header = size == 0
        if size is None or expected is None:
            fault = "is not a local file: rows of epochs that are trained again stay"
        elif size > expected:
            fault = "goes on with other rows than those of this training: they stay"
        elif size < expected:
            fault = "is shorter than it was: rows of earlier epochs are missing"
        else:
            return ""
        return f"The file {shown(callback.filename)} of CSVLogger {fault}."


def _size_bytes(path: str) -> int | None:
    try:
        return os.path.getsize(path)
    except OSError:
        return None


def _cut_off(logger: Any, state: Any, epoch: int) -> None:
    """Cuts off what `logger` wrote after its state was saved."""
    size = state.get("size_bytes") if isinstance(state, Mapping) else None
    if not isinstance(size, int) or not 0 <= size < (_size_bytes(logger.filename) or 0):
        return
    # Whoever may not change the file hears it from Keras, which opens it next.
    with contextlib.suppress(OSError), open(logger.filename, "r+b") as file:
        file.seek(size)
        if _are_rows_from(epoch, file.read(), logger.sep, with_header=size == 0):
            file.truncate(size)


def _are_rows_from(epoch: int, data: bytes, separator: str, with_header: bool) -> bool:
    """Says whether these are rows of epochs one after the other, from `epoch` on.

    The last one may be incomplete.
    """
    # In the encoding that Keras writes, which is the platform's.
    text = io.TextIOWrapper(io.BytesIO(data), errors="surrogateescape", newline="")
    firsts = []
    try:
        # A value that is an array may span lines.
        for row in csv.reader(text, delimiter=separator, strict=True):
            firsts += row[:1]
        if not data.endswith(b"\n"):
            del firsts[-1:]
    except csv.Error:
        if text.read(1):
            return False
    if with_header and firsts[:1] == ["epoch"]:
        del firsts[0]
    return firsts == [str(epoch + index) for index in range(len(firsts))]


class _Swapped(_Part):
    """Whether averaged weights are in the model.

    The model may be saved before this callback swaps, or after.
    """

    attributes = ("_ema_weights_in_model", "_swap_variables")

    def read(self, callback: Any) -> dict[str, Any]:
        return {"in_model": bool(callback._ema_weights_in_model)}

    def misfit(self, callback: Any, state: Mapping[str, Any]) -> str:
        if not isinstance(state["in_model"], bool):
            return f"in_model is {shown(state['in_model'])}"
        return ""

    def write(self, callback: Any, state: Mapping[str, Any]) -> str:
        if callback._ema_weights_in_model != state["in_model"]:
            # As Keras does it, which rounds on TensorFlow.
            callback._swap_variables()
            callback._ema_weights_in_model = state["in_model"]
        return ""


def _plain(value: Any) -> Any:
    """Returns a number or text as JSON has it, and an array as NumPy's.

    Logs may hold anything that a callback puts there. What is neither is kept as text.
    """
    if type(value) in (float, int, str, bool, type(None)):
        return value  # first, since a long history has many, and asking Keras is slow
    if keras.ops.is_tensor(value):
        value = keras.ops.convert_to_numpy(value)
    if isinstance(value, np.ndarray | np.generic):
        return value if value.ndim else value.item()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bool | int | float | str):
        return value
    return str(value)


@dataclasses.dataclass(frozen=True)
class _Adapter:
    """A class of Keras's callbacks, and what it remembers."""

    kind: Any
    parts: tuple[_Part, ...]

    @property
    def name(self) -> str:
        return f"keras.callbacks.{self.kind.__name__}"

    def fits(self, callback: Any) -> bool:
        """Says whether this release of Keras has the attributes."""
        return all(
            hasattr(callback, name) or hasattr(_begun(self.kind), name)
            for part in self.parts
            for name in part.attributes
        )

    def read(self, callback: Any) -> dict[str, Any]:
        """Returns the state of a callback."""
        state: dict[str, Any] = {}
        for part in self.parts:
            state |= part.read(callback)
        return state

    def write(self, callback: Any, state: Mapping[str, Any]) -> Iterator[str]:
        """Puts a state back, all of it or nothing; yields what is amiss."""
        try:
            faults = [part.misfit(callback, state) for part in self.parts]
        # It was read from a file that anybody may have written.
        except (LookupError, TypeError, AttributeError) as error:
            faults = [f"{type(error).__name__}: {error}"]
        if any(faults):
            yield (
                f"The saved state of {type(callback).__name__} is not used, and it "
                f"starts afresh: {next(filter(None, faults))}."
            )
            return
        for part in self.parts:
            if complaint := part.write(callback, state):
                yield complaint


@functools.cache
def _begun(kind: Any) -> Any:
    """Returns a callback with the attributes that come with `on_train_begin`.

    Keras 3.10 makes some only there, and `unknown` is asked before.
    """
    if kind not in (keras.callbacks.EarlyStopping, keras.callbacks.History):
        return None
    begun = kind()
    begun.on_train_begin()
    return begun


def _adapter_of(callback: Any) -> _Adapter | None:
    for adapter in _ADAPTERS:
        if isinstance(callback, adapter.kind):
            return adapter if adapter.fits(callback) else None
    return None


_SAVING = ("_batches_seen_since_last_saving", "_last_batch_seen")
_PARTS: dict[str, tuple[_Part, ...]] = {
    "EarlyStopping": (
        _Counters("wait", "stopped_epoch", "best_epoch"),
        _Best(),
        _BestWeights(),
    ),
    "ReduceLROnPlateau": (_Counters("wait", "cooldown_counter"), _Best()),
    "History": (_Epochs(),),
    "CSVLogger": (_Rows(),),
    "TensorBoard": (_Counters("_global_train_batch", "_global_test_batch"),),
    "SwapEMAWeights": (_Swapped(),),
    "ModelCheckpoint": (_Counters(*_SAVING), _Best()),
    "OrbaxCheckpoint": (_Counters(*_SAVING, "_total_batches_seen"), _Best()),
    # The rest of what it remembers it keeps in a directory of its own.
    "BackupAndRestore": (_Counters(*_SAVING, "_current_epoch"),),
}
# Not every release of Keras has all of them.
_ADAPTERS = tuple(
    _Adapter(getattr(keras.callbacks, name), parts)
    for name, parts in _PARTS.items()
    if hasattr(keras.callbacks, name)
)
# The learning rate is a variable of the optimizer, and saved with it.
_STATELESS = (
    keras.callbacks.LearningRateScheduler,
    keras.callbacks.ProgbarLogger,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.TerminateOnNaN,
)
