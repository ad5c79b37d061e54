"""When to save: the triggers that `save_freq=` takes.

A trigger looks at one `Moment` and answers with the rules that fired, or with
nothing. It counts nothing itself and reads no clock: all it needs to know is
in the moment, so that training which was resumed saves when training which was
never interrupted would have.

===================  =======================================================
moment               rules that can fire
===================  =======================================================
end of a batch       `EverySteps`, `EveryBatches`, `EveryInterval`
end of an epoch      `EveryEpochs`, `OnImprovement`, `EveryInterval`
end of training      `OnTrainEnd`
a signal came        `OnSignal`
an exception         `OnException`
===================  =======================================================

`a | b` fires when any of its rules does, `a & b` when all of them do at the
same moment. However many fire at a moment, it is one save:

>>> from keras_versioned_ckpt import EveryEpochs, OnImprovement, OnTrainEnd
>>> from keras_versioned_ckpt.records import Moment
>>> trigger = EveryEpochs(5) | OnImprovement("val_loss", "min") | OnTrainEnd()
>>> trigger.fired(Moment(event="epoch_end", epoch=5, metrics={"val_loss": 0.25}))
('EveryEpochs(5)', "OnImprovement('val_loss', 'min')")

`EverySteps(100) & EveryInterval(minutes=5)` saves at a multiple of 100 steps,
but not until five minutes have passed since the last save.
"""

import abc
import dataclasses
import itertools
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keras_versioned_ckpt._algebra import Composable, Composite
from keras_versioned_ckpt._ranking import MODES, improves, is_score
from keras_versioned_ckpt.records import Event, FrozenMapping, Moment

BATCH_END: frozenset[Event] = frozenset({"batch_end"})
EPOCH_END: frozenset[Event] = frozenset({"epoch_end"})
TRAIN_END: frozenset[Event] = frozenset({"train_end"})
SIGNAL: frozenset[Event] = frozenset({"signal"})
EXCEPTION: frozenset[Event] = frozenset({"exception"})

# No program can handle the first two. The others say that this one is broken: Python
# would come to its own handler only after the instruction that fails for ever.
_NOT_HANDLED = frozenset(
    getattr(signal, name)
    for name in (
        *("SIGKILL", "SIGSTOP"),
        *("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT", "SIGTRAP", "SIGSYS"),
    )
    if hasattr(signal, name)
)


class Trigger(Composable, abc.ABC):
    """When to save; the base of every rule and of what `|` and `&` make of them.

    Example:

    >>> from keras_versioned_ckpt import EveryEpochs, OnTrainEnd
    >>> from keras_versioned_ckpt.triggers import Trigger
    >>> isinstance(EveryEpochs(5) | OnTrainEnd(), Trigger)
    True
    """

    @property
    @abc.abstractmethod
    def events(self) -> frozenset[Event]:
        """The events at which the trigger can fire at all."""

    @abc.abstractmethod
    def fired(self, moment: Moment) -> tuple[str, ...]:
        """Decides whether to save at this moment.

        Args:
            moment: What is known now.

        Returns:
            The rules that fired, each as its `repr` and once; empty for "do
            not save".

        Raises:
            ValueError: If a rule still lacks its monitor or mode; see `resolved`.

        Example:

        >>> from keras_versioned_ckpt import EveryEpochs
        >>> from keras_versioned_ckpt.records import Moment
        >>> EveryEpochs(2).fired(Moment(event="epoch_end", epoch=4))
        ('EveryEpochs(2)',)
        """

    @property
    def needs_batches(self) -> bool:
        """Whether the end of each batch has to be looked at."""
        return "batch_end" in self.events

    @property
    def counts_steps(self) -> bool:
        """Whether `Moment.step` has to be true at the end of each batch."""
        return False

    @property
    def monitors(self) -> frozenset[tuple[str, str]]:
        """Each `(monitor, mode)` whose best value `Moment.best` has to hold.

        Known of a resolved trigger only; `ValueError` of another.
        """
        return frozenset()

    @property
    def signals(self) -> Mapping[int, float | None]:
        """The number of each signal at which it can fire, and its seconds of grace."""
        return FrozenMapping()

    @property
    def catches_exceptions(self) -> bool:
        """Whether it can fire at an exception that is about to end training."""
        return "exception" in self.events

    def resolved(self, monitor: str, mode_of: Callable[[str], str]) -> "Trigger":
        """Fills in the monitor and mode of the rules that name none.

        Args:
            monitor: The metric for rules without one: the callback's own.
            mode_of: Gives `"min"` or `"max"` for a metric, or raises
                `ValueError`. It is asked only where a mode is missing.

        Returns:
            A trigger that lacks nothing; this one where nothing was missing.

        Example:

        >>> from keras_versioned_ckpt import OnImprovement
        >>> OnImprovement().resolved("val_loss", lambda monitor: "min")
        OnImprovement('val_loss', 'min')
        """
        return self


class _Joined(Composite, Trigger):
    """What the unions and intersections of triggers have in common."""

    @property
    def counts_steps(self) -> bool:
        return any(rule.counts_steps for rule in self.rules)

    @property
    def monitors(self) -> frozenset[tuple[str, str]]:
        return frozenset().union(*(rule.monitors for rule in self.rules))

    def resolved(self, monitor: str, mode_of: Callable[[str], str]) -> Trigger:
        joined: Trigger = self.of(*(r.resolved(monitor, mode_of) for r in self.rules))
        return joined


class AnyTrigger(_Joined):
    """Fires when any of its rules does; what `|` makes.

    Args:
        rules: Two triggers or more.

    Example:

    >>> from keras_versioned_ckpt import EveryEpochs, OnTrainEnd
    >>> EveryEpochs(10) | OnTrainEnd()
    EveryEpochs(10) | OnTrainEnd()
    """

    operator = "|"

    @property
    def events(self) -> frozenset[Event]:
        """The events of all its rules."""
        return frozenset().union(*(rule.events for rule in self.rules))

    @property
    def signals(self) -> Mapping[int, float | None]:
        """The signals of all its rules; of several times of grace the shortest."""
        numbers = {number for rule in self.rules for number in rule.signals}
        return _shortest_grace(numbers, self.rules)

    def fired(self, moment: Moment) -> tuple[str, ...]:
        """Returns every rule that fired, in the order in which they are written."""
        return _without_repeats(rule.fired(moment) for rule in self.rules)


class AllTriggers(_Joined):
    """Fires when all of its rules do at the same moment; what `&` makes.

    Args:
        rules: Two triggers or more.

    Example:

    >>> from keras_versioned_ckpt import EveryInterval, EverySteps
    >>> EverySteps(100) & EveryInterval(minutes=5)
    EverySteps(100) & EveryInterval(minutes=5)
    """

    operator = "&"

    @property
    def events(self) -> frozenset[Event]:
        """The events that all its rules share."""
        shared = frozenset.intersection(*(rule.events for rule in self.rules))
        # Two that wait for different signals never meet either.
        return shared if self.signals else shared - SIGNAL

    @property
    def signals(self) -> Mapping[int, float | None]:
        """The signals that all its rules share, with the shortest time of grace."""
        numbers = set.intersection(*(set(rule.signals) for rule in self.rules))
        return _shortest_grace(numbers, self.rules)

    def fired(self, moment: Moment) -> tuple[str, ...]:
        """Returns what all its rules answered, or nothing if one did not fire."""
        answers = [rule.fired(moment) for rule in self.rules]
        return _without_repeats(answers) if all(answers) else ()


Trigger.family = Trigger
Trigger.union = AnyTrigger
Trigger.intersection = AllTriggers


class _Rule(Trigger):
    """A trigger that is not composed of others: it fires when it is due."""

    def fired(self, moment: Moment) -> tuple[str, ...]:
        due = moment.event in self.events and self._due(moment)
        return (repr(self),) if due else ()

    @abc.abstractmethod
    def _due(self, moment: Moment) -> bool:
        """Returns whether to save at this moment, which is one of `events`."""


@dataclasses.dataclass(frozen=True, repr=False)
class _EveryNth(_Rule):
    """A rule that is due each time a count that only grows reaches a multiple."""

    n: int
    _: dataclasses.KW_ONLY
    start: int = 0
    until: int | None = None

    def __post_init__(self) -> None:
        _check_count("n", self.n, least=1)
        _check_count("start", self.start, least=0)
        if self.until is None:
            return
        _check_count("until", self.until, least=1)
        if self.until < self.start + self.n:
            raise ValueError(
                "`until` must be `start + n` or more, or nothing is ever saved. "
                f"Received: n={self.n!r}, start={self.start!r}, until={self.until!r}"
            )

    def _due_between(self, before: int, now: int) -> bool:
        """Returns whether a multiple lies after `before` and not after `now`."""
        return self._multiples(now) > self._multiples(before)

    def _multiples(self, count: int) -> int:
        """Returns how many multiples lie after `start` and not after `count`."""
        end = count if self.until is None else min(count, self.until)
        return max(end - self.start, 0) // self.n


@dataclasses.dataclass(frozen=True, repr=False)
class EveryEpochs(_EveryNth):
    """Fires at the end of every `n`-th epoch.

    Epochs are counted from 1, as Keras prints them. Rules with `until` and
    `start` join into a schedule, as shown for `EverySteps`.

    Args:
        n: Epochs from one save to the next; 1 or more. Defaults to 1.
        start: Epochs to let pass first. Counting begins there. Defaults to 0.
        until: Last epoch that may be saved. Defaults to `None`, no end.

    Raises:
        TypeError: If an argument is not an integer.
        ValueError: If an argument is too small, or `until` leaves no epoch to save.

    Example:

    >>> from keras_versioned_ckpt import EveryEpochs
    >>> from keras_versioned_ckpt.records import Moment
    >>> trigger = EveryEpochs(2, start=10)
    >>> ends = [Moment(event="epoch_end", epoch=epoch) for epoch in range(1, 17)]
    >>> [moment.epoch for moment in ends if trigger.fired(moment)]
    [12, 14, 16]
    """

    n: int = 1

    events = EPOCH_END

    def _due(self, moment: Moment) -> bool:
        return self._due_between(moment.epoch - 1, moment.epoch)


@dataclasses.dataclass(frozen=True, repr=False)
class EverySteps(_EveryNth):
    """Fires every `n` optimizer steps, at the end of the batch that reaches them.

    A step is what `model.optimizer.iterations` counts, through resumed runs and
    several calls of `fit`. With `steps_per_execution` steps pass in groups; a
    multiple inside a group is saved at the end of the group, several as one save.
    With `gradient_accumulation_steps=k` a step is one update of the weights, so
    it takes `k` batches (Keras 3.4 and older counted each batch).

    Args:
        n: Steps from one save to the next; 1 or more.
        start: Steps to let pass first. Counting begins there. Defaults to 0.
        until: Last step that may be due. Defaults to `None`, no end.

    Raises:
        TypeError: If an argument is not an integer.
        ValueError: If an argument is too small, or `until` leaves no step to save.

    Example:

    Every 2 steps until 10, every 5 until 20, then every 10:

    >>> from keras_versioned_ckpt import EverySteps
    >>> from keras_versioned_ckpt.records import Moment
    >>> schedule = (EverySteps(2, until=10) | EverySteps(5, start=10, until=20)
    ...             | EverySteps(10, start=20))
    >>> ends = [Moment(event="batch_end", epoch=0, previous_step=step - 1, step=step)
    ...         for step in range(1, 41)]
    >>> [moment.step for moment in ends if schedule.fired(moment)]
    [2, 4, 6, 8, 10, 15, 20, 30, 40]
    """

    events = BATCH_END
    counts_steps = True

    def _due(self, moment: Moment) -> bool:
        return self._due_between(moment.previous_step, moment.step)


@dataclasses.dataclass(frozen=True, repr=False)
class EveryBatches(_Rule):
    """Fires at the end of a batch, `n` batches or more after the last time.

    What an integer `save_freq` stands for, counted as
    `keras.callbacks.ModelCheckpoint` counts it: on from one epoch to the next,
    and from 0 again after each time. For moments that do not depend on when the
    last save was, use `EverySteps`.

    Args:
        n: Batches; 1 or more.

    Raises:
        TypeError: If `n` is not an integer.
        ValueError: If `n` is below 1.

    Example:

    >>> from keras_versioned_ckpt import EveryBatches
    >>> EveryBatches(500)
    EveryBatches(500)
    """

    n: int

    events = BATCH_END

    def __post_init__(self) -> None:
        _check_count("n", self.n, least=1)

    def _due(self, moment: Moment) -> bool:
        return moment.batches_since_fired >= self.n


@dataclasses.dataclass(frozen=True, repr=False, kw_only=True)
class EveryInterval(_Rule):
    """Fires at the first end of a batch or epoch this long after the last save.

    The time runs from the last save of this run for whatever reason, or from
    the start of training. The arguments add up.

    Args:
        seconds: Seconds, whole or not. Defaults to 0.
        minutes: Minutes, whole or not. Defaults to 0.
        hours: Hours, whole or not. Defaults to 0.

    Raises:
        TypeError: If an argument is not a number.
        ValueError: If an argument is negative or not finite, or their sum is
            0 or not finite.

    Example:

    >>> from keras_versioned_ckpt import EveryInterval
    >>> EveryInterval(hours=1, minutes=30).total_seconds
    5400.0
    """

    seconds: float = 0
    minutes: float = 0
    hours: float = 0

    events = BATCH_END | EPOCH_END

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_amount(field.name, getattr(self, field.name))
        if not is_score(self.total_seconds) or self.total_seconds <= 0:
            raise ValueError(
                "`seconds`, `minutes` and `hours` must add up to a positive, finite "
                "time. "
                f"Received: seconds={self.seconds!r}, minutes={self.minutes!r}, "
                f"hours={self.hours!r}. Pass for example `minutes=30`."
            )

    @property
    def total_seconds(self) -> float:
        """The whole interval, in seconds."""
        return float(self.seconds + 60 * self.minutes + 3600 * self.hours)

    def _due(self, moment: Moment) -> bool:
        return moment.seconds_since_save >= self.total_seconds


@dataclasses.dataclass(frozen=True, repr=False)
class OnImprovement(_Rule):
    """Fires at the end of an epoch whose metric beats every version of the store.

    Batches are not looked at: what Keras reports there is the running mean of a
    training metric, and validation has not happened. A metric that is missing,
    NaN or infinite is no improvement. `min_delta` is that of
    `keras.callbacks.EarlyStopping`.

    Args:
        monitor: Name of the metric. Defaults to `None`, the callback's `monitor`.
        mode: `"min"` or `"max"`, which direction is better. Defaults to `None`,
            also written `"auto"`: what is known of the metric decides.
        min_delta: By how much more than this the metric must be better than the
            best, in units of the metric; 0 or more. Defaults to 0.

    Raises:
        TypeError: If `monitor` is not a string or `min_delta` not a number.
        ValueError: If `monitor` is empty, `mode` is none of the above, or
            `min_delta` is negative or not finite.

    Example:

    >>> from keras_versioned_ckpt import OnImprovement
    >>> OnImprovement("val_loss", min_delta=0.01).resolved("loss", lambda name: "min")
    OnImprovement('val_loss', 'min', 0.01)
    """

    monitor: str | None = None
    mode: str | None = None
    min_delta: float = 0.0

    events = EPOCH_END

    def __post_init__(self) -> None:
        if self.monitor is not None and not isinstance(self.monitor, str):
            raise TypeError(
                "`monitor` must be the name of a metric or `None`. "
                f"Received: monitor={self.monitor!r}"
            )
        if self.monitor == "":
            raise ValueError(
                "`monitor` must not be empty. Received: monitor=''. "
                "Leave it out to use the callback's `monitor`."
            )
        if self.mode == "auto":
            object.__setattr__(self, "mode", None)
        if self.mode is not None and self.mode not in MODES:
            raise ValueError(
                f"`mode` must be 'min', 'max' or 'auto'. Received: mode={self.mode!r}"
            )
        _check_amount("min_delta", self.min_delta)
        object.__setattr__(self, "min_delta", float(self.min_delta))

    @property
    def monitors(self) -> frozenset[tuple[str, str]]:
        """The one `(monitor, mode)` it asks for."""
        return frozenset({self._monitor_and_mode()})

    def resolved(self, monitor: str, mode_of: Callable[[str], str]) -> "OnImprovement":
        """Returns the rule with its monitor and mode filled in."""
        name = self.monitor or monitor
        return dataclasses.replace(self, monitor=name, mode=self.mode or mode_of(name))

    def _due(self, moment: Moment) -> bool:
        monitor, mode = self._monitor_and_mode()
        if monitor not in moment.metrics:
            return False
        best = moment.best.get((monitor, mode))
        return improves(moment.metrics[monitor], best, mode, self.min_delta)

    def _monitor_and_mode(self) -> tuple[str, str]:
        if self.monitor is None or self.mode is None:
            raise ValueError(
                "`OnImprovement` must know its `monitor` and `mode` before it can "
                f"fire. Received: {self!r}. Pass for example "
                "`OnImprovement('val_loss', mode='min')`, or take what "
                "`resolved(monitor, mode_of)` returns."
            )
        return self.monitor, self.mode


@dataclasses.dataclass(frozen=True, repr=False)
class OnTrainEnd(_Rule):
    """Fires at the end of training, unless that very state is saved already.

    Example:

    >>> from keras_versioned_ckpt import OnTrainEnd
    >>> from keras_versioned_ckpt.records import Moment
    >>> OnTrainEnd().fired(Moment(event="train_end", epoch=3, steps_since_save=20))
    ('OnTrainEnd()',)
    >>> OnTrainEnd().fired(Moment(event="train_end", epoch=3, steps_since_save=0))
    ()
    """

    events = TRAIN_END

    def _due(self, moment: Moment) -> bool:
        return moment.steps_since_save != 0


@dataclasses.dataclass(frozen=True, repr=False, init=False)
class OnSignal(_Rule):
    """Fires at the first end of a batch after a signal; then training ends.

    So that a machine that is taken away costs no work. The signal then has the effect
    that it would have had without the rule; a second one has it at once. Nothing is
    saved where the last save holds that very state. Signals reach Python in the main
    thread only: that is where `fit` has to run.

    Args:
        *signals: `signal.SIGTERM`, its number or `"SIGTERM"`; one or more.
        grace_seconds: How long after the signal the process must be gone, saved or
            not, in seconds. Defaults to `None`, no limit.

    Raises:
        TypeError: If `signals` is empty or one is neither a number nor a name, or
            `grace_seconds` is not a number.
        ValueError: If a signal does not exist or cannot be handled, or
            `grace_seconds` is not positive or not finite.

    Example:

    >>> from signal import SIGTERM
    >>> from keras_versioned_ckpt import EveryEpochs, OnSignal
    >>> EveryEpochs() | OnSignal(SIGTERM, grace_seconds=25)
    EveryEpochs() | OnSignal('SIGTERM', grace_seconds=25)
    """

    numbers: tuple[int, ...]
    grace_seconds: float | None

    events = SIGNAL

    def __init__(self, *signals: int | str, grace_seconds: float | None = None) -> None:
        if not signals:
            raise TypeError(
                "`signals` must be one signal or more. Received: signals=(). "
                "Pass for example `OnSignal(signal.SIGTERM)`."
            )
        if grace_seconds is not None:
            _check_amount("grace_seconds", grace_seconds)
            if grace_seconds == 0:
                raise ValueError(
                    "`grace_seconds` must be positive, or `None` for no limit. "
                    f"Received: grace_seconds={grace_seconds!r}"
                )
        numbers = tuple(sorted({_signal_number(value) for value in signals}))
        object.__setattr__(self, "numbers", numbers)
        object.__setattr__(self, "grace_seconds", grace_seconds)

    def __repr__(self) -> str:
        """Returns the call that makes it, by names: numbers differ by platform."""
        written = [repr(_signal_name(number)) for number in self.numbers]
        if self.grace_seconds is not None:
            written.append(f"grace_seconds={self.grace_seconds!r}")
        return f"OnSignal({', '.join(written)})"

    @property
    def signals(self) -> Mapping[int, float | None]:
        """Each of its signals, and `grace_seconds`."""
        return FrozenMapping(dict.fromkeys(self.numbers, self.grace_seconds))

    def _due(self, moment: Moment) -> bool:
        return moment.signal in self.numbers and moment.steps_since_save != 0


@dataclasses.dataclass(frozen=True, repr=False)
class OnException(_Rule):
    """Fires when an exception is about to end training; it goes on its way after that.

    Ctrl-C, which is `KeyboardInterrupt`, is one too. Nothing is saved where the last
    save holds that very state.

    Example:

    >>> from keras_versioned_ckpt import OnException
    >>> from keras_versioned_ckpt.records import Moment
    >>> OnException().fired(Moment(event="exception", epoch=3, steps_since_save=20))
    ('OnException()',)
    """

    events = EXCEPTION

    def _due(self, moment: Moment) -> bool:
        return moment.steps_since_save != 0


def as_trigger(save_freq: Any) -> Trigger:
    """Reads the `save_freq` of a callback as a trigger.

    Args:
        save_freq: `"epoch"`, a number of batches, or a trigger.

    Returns:
        `EveryEpochs()`, `EveryBatches(save_freq)`, or the trigger itself.

    Raises:
        TypeError: If `save_freq` is of another type.
        ValueError: If it is another string, a number below 1, or a trigger with
            an `&` that can never fire.

    Example:

    >>> from keras_versioned_ckpt.triggers import as_trigger
    >>> as_trigger("epoch"), as_trigger(500)
    (EveryEpochs(), EveryBatches(500))
    """
    if isinstance(save_freq, Trigger):
        _check_can_fire(save_freq)
        return save_freq
    if isinstance(save_freq, int) and not isinstance(save_freq, bool):
        _check_count("save_freq", save_freq, least=1)
        return EveryBatches(save_freq)
    if save_freq == "epoch":
        return EveryEpochs()
    error = ValueError if isinstance(save_freq, str) else TypeError
    raise error(
        "`save_freq` must be 'epoch', a number of batches or a trigger. "
        f"Received: save_freq={save_freq!r}. "
        "Pass for example `EveryEpochs(5) | OnTrainEnd()`."
    )


def _check_can_fire(trigger: Trigger) -> None:
    """Refuses an `&` whose rules never meet, which would save nothing, silently."""
    if not trigger.events:
        raise ValueError(
            "`save_freq` must not join with `&` triggers that fire at different "
            f"moments: nothing would ever be saved. Received: {trigger!r}. "
            "Join them with `|`."
        )
    if isinstance(trigger, Composite):
        for rule in trigger.rules:
            _check_can_fire(rule)


def _without_repeats(answers: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(itertools.chain.from_iterable(answers)))


def _shortest_grace(
    numbers: Iterable[int], rules: Iterable[Trigger]
) -> Mapping[int, float | None]:
    """Returns each of `numbers` with the shortest grace that a rule gives it."""
    graces: dict[int, float | None] = {}
    for number in sorted(numbers):
        given = [rule.signals.get(number) for rule in rules]
        limits = [grace for grace in given if grace is not None]
        graces[number] = min(limits, default=None)
    return FrozenMapping(graces)


def _signal_number(value: object) -> int:
    """Returns the number of a signal that is given by number or name."""
    message = (
        "`signals` must be signals that a program can handle, such as "
        f"`signal.SIGTERM`. Received: signals={value!r}"
    )
    if isinstance(value, str):
        value = signal.Signals.__members__.get(value, 0)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(message)
    if value not in signal.valid_signals() or value in _NOT_HANDLED:
        raise ValueError(message)
    return int(value)


def _signal_name(number: int) -> str | int:
    """Returns the name of a signal, or its number: some on Linux have no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return number


def _check_count(name: str, value: object, least: int) -> None:
    message = f"`{name}` must be an integer of {least} or more. "
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{message}Received: {name}={value!r}")
    if value < least:
        raise ValueError(f"{message}Received: {name}={value!r}")


def _check_amount(name: str, value: object) -> None:
    message = f"`{name}` must be a finite number of 0 or more. "
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{message}Received: {name}={value!r}")
    if not is_score(value) or value < 0:
        raise ValueError(f"{message}Received: {name}={value!r}")
