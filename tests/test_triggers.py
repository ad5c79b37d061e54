"""When to save: each rule, `|` and `&`, and whole trainings."""

import copy
import math
import pickle
import signal
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt._algebra import Composable
from keras_versioned_ckpt.records import Moment
from keras_versioned_ckpt.triggers import (
    AllTriggers,
    AnyTrigger,
    EveryBatches,
    EveryEpochs,
    EveryInterval,
    EverySteps,
    OnException,
    OnImprovement,
    OnSignal,
    OnTrainEnd,
    Trigger,
    as_trigger,
)

SCHEDULE = (
    EverySteps(2, until=10)
    | EverySteps(5, start=10, until=20)
    | EverySteps(10, start=20)
)


def training(epochs: Sequence[int], group: int = 1, begin: int = 0) -> Iterator[Moment]:
    """Yields the moments of a training, `epochs[i]` steps in epoch i + 1.

    `group` is `steps_per_execution`; the last group of an epoch may be smaller.
    """
    step = previous = begin
    for epoch, length in enumerate(epochs):
        end = step + length
        while step < end:
            previous, step = step, min(step + group, end)
            yield Moment(
                event="batch_end", epoch=epoch, step=step, previous_step=previous
            )
        yield Moment(event="epoch_end", epoch=epoch + 1, step=step, previous_step=step)
    yield Moment(event="train_end", epoch=len(epochs), step=step, previous_step=step)


def saved_steps(trigger: Trigger, moments: Iterator[Moment]) -> list[int]:
    """Returns the step of each moment at which the trigger fires."""
    return [moment.step for moment in moments if trigger.fired(moment)]


def epoch_end(epoch: int = 1, **facts: object) -> Moment:
    """Returns the moment at the end of an epoch."""
    return Moment(event="epoch_end", epoch=epoch, **facts)


def batch_end(**facts: object) -> Moment:
    """Returns a moment in the middle of the second epoch."""
    return Moment(event="batch_end", epoch=1, **facts)


def train_end(**facts: object) -> Moment:
    """Returns the moment at the end of a training of three epochs."""
    return Moment(event="train_end", epoch=3, **facts)


# Each rule


@pytest.mark.parametrize(
    ("trigger", "epochs"),
    [
        (EveryEpochs(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
        (EveryEpochs(5), [5, 10]),
        (EveryEpochs(2, start=7), [9, 11]),
        (EveryEpochs(3, until=8), [3, 6]),
        (EveryEpochs(1, until=3) | EveryEpochs(4, start=3), [1, 2, 3, 7, 11]),
    ],
    ids=repr,
)
def test_every_epochs(trigger: Trigger, epochs: list[int]) -> None:
    """Every n-th epoch is saved, counted from `start`, up to `until`."""
    moments = training([4] * 12)
    assert [m.epoch for m in moments if trigger.fired(m)] == epochs


@pytest.mark.parametrize(
    ("trigger", "steps"),
    [
        (EverySteps(8), [8, 16, 24]),
        (EverySteps(8, start=5), [13, 21]),
        (EverySteps(8, until=23), [8, 16]),
        (EverySteps(100), []),
    ],
    ids=repr,
)
def test_every_steps(trigger: Trigger, steps: list[int]) -> None:
    """Every n-th step is saved, also across epochs, and no other moment is."""
    assert saved_steps(trigger, training([7, 7, 7, 7])) == steps


def test_schedule() -> None:
    """Every 2 steps until 10, every 5 until 20, then every 10."""
    steps = [2, 4, 6, 8, 10, 15, 20, 30, 40]
    assert saved_steps(SCHEDULE, training([9, 9, 9, 9, 9])) == steps


def test_steps_per_execution() -> None:
    """A multiple inside a group is saved at its end, several of them only once."""
    # The groups end at 4 8 10 | 14 16.
    assert saved_steps(EverySteps(7), training([10, 6], group=4)) == [8, 14]
    assert saved_steps(EverySteps(1), training([10, 6], group=4)) == [4, 8, 10, 14, 16]


def test_steps_under_gradient_accumulation() -> None:
    """Batches that only accumulate gradients make no step and are not saved."""
    # gradient_accumulation_steps=3: iterations after each of nine batches.
    iterations = [0, 0, 1, 1, 1, 2, 2, 2, 3]
    batches = [
        batch
        for batch, (before, now) in enumerate(pairwise([0, *iterations]), start=1)
        if EverySteps(1).fired(batch_end(previous_step=before, step=now))
    ]
    assert batches == [3, 6, 9]


@given(
    n=st.integers(min_value=1, max_value=6),
    start=st.integers(min_value=0, max_value=6),
    room=st.none() | st.integers(min_value=0, max_value=6),
    epochs=st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=5),
    group=st.integers(min_value=1, max_value=5),
)
def test_no_multiple_is_missed(
    n: int, start: int, room: int | None, epochs: list[int], group: int
) -> None:
    """Each due step is saved once, by the first batch that reaches or passes it."""
    until = None if room is None else start + n + room
    trigger = EverySteps(n, start=start, until=until)
    ends = [m.step for m in training(epochs, group) if m.event == "batch_end"]
    last = min(ends[-1], until or ends[-1])
    due = range(start + n, last + 1, n)
    expected = sorted({min(end for end in ends if end >= step) for step in due})
    assert saved_steps(trigger, training(epochs, group)) == expected


def test_resumed_training_saves_at_the_same_steps() -> None:
    """Counting goes on where the training that is resumed stopped."""
    first = saved_steps(SCHEDULE, training([13]))
    second = saved_steps(SCHEDULE, training([13, 14], begin=13))
    assert first + second == saved_steps(SCHEDULE, training([13, 13, 14]))


@pytest.mark.parametrize(
    ("batches", "fires"), [(0, False), (4, False), (5, True), (7, True)]
)
def test_every_batches(batches: int, fires: bool) -> None:
    """An integer waits for that many batches since it last fired."""
    fired = EveryBatches(5).fired(batch_end(batches_since_fired=batches))
    assert fired == (("EveryBatches(5)",) if fires else ())


def test_every_batches_only_at_a_batch() -> None:
    """The end of an epoch is no batch, however many have passed."""
    assert EveryBatches(5).fired(epoch_end(batches_since_fired=9)) == ()


@pytest.mark.parametrize(("seconds", "fires"), [(89.9, False), (90, True), (1e6, True)])
def test_every_interval(seconds: float, fires: bool) -> None:
    """The interval has passed at its very end; the parts of it add up."""
    trigger = EveryInterval(minutes=1, seconds=30)
    for moment in (
        batch_end(seconds_since_save=seconds),
        epoch_end(seconds_since_save=seconds),
    ):
        assert bool(trigger.fired(moment)) is fires


def test_every_interval_is_silent_at_the_end_of_training() -> None:
    """The last state is for `OnTrainEnd`."""
    assert EveryInterval(hours=1).fired(train_end(seconds_since_save=9999)) == ()


@pytest.mark.parametrize(
    ("trigger", "value", "best", "fires"),
    [
        (OnImprovement("m", "min"), 0.4, 0.5, True),
        (OnImprovement("m", "min"), 0.5, 0.5, False),
        (OnImprovement("m", "min"), 0.6, 0.5, False),
        (OnImprovement("m", "max"), 0.6, 0.5, True),
        (OnImprovement("m", "max"), 0.4, 0.5, False),
        (OnImprovement("m", "min"), 0.6, None, True),
        (OnImprovement("m", "min", 0.25), 0.5, 0.75, False),
        (OnImprovement("m", "min", 0.25), 0.25, 0.75, True),
        (OnImprovement("m", "max", 0.25), 0.75, 0.5, False),
        (OnImprovement("m", "max", 0.25), 1.0, 0.5, True),
        (OnImprovement("m", "min"), math.nan, None, False),
        (OnImprovement("m", "min"), -math.inf, 0.5, False),
        (OnImprovement("m", "max"), math.inf, None, False),
    ],
)
def test_on_improvement(
    trigger: Trigger, value: float, best: float | None, fires: bool
) -> None:
    """A finite value that is better than the best by more than `min_delta` fires."""
    known = {} if best is None else dict.fromkeys(trigger.monitors, best)
    assert bool(trigger.fired(epoch_end(metrics={"m": value}, best=known))) is fires


def test_on_improvement_without_the_metric() -> None:
    """A metric that is not there improves on nothing."""
    assert OnImprovement("m", "min").fired(epoch_end(metrics={"loss": 0.1})) == ()


def test_on_improvement_reads_the_best_in_its_own_direction() -> None:
    """The best of the same metric in the other direction is not its best."""
    moment = epoch_end(metrics={"m": 0.4}, best={("m", "max"): 0.1, ("m", "min"): 0.3})
    assert OnImprovement("m", "min").fired(moment) == ()
    assert OnImprovement("m", "max").fired(moment) == ("OnImprovement('m', 'max')",)


@pytest.mark.parametrize("moment", [batch_end, train_end])
def test_on_improvement_only_at_the_end_of_an_epoch(moment: type[Moment]) -> None:
    """Running training metrics of a batch are not ranked."""
    assert OnImprovement("m", "min").fired(moment(metrics={"m": 0.1})) == ()


@pytest.mark.parametrize(("steps", "fires"), [(None, True), (1, True), (0, False)])
def test_on_train_end(steps: int | None, fires: bool) -> None:
    """The end of training is saved unless the last save holds the same state."""
    assert bool(OnTrainEnd().fired(train_end(steps_since_save=steps))) is fires
    assert OnTrainEnd().fired(epoch_end(steps_since_save=steps)) == ()


@pytest.mark.parametrize(("steps", "fires"), [(None, True), (1, True), (0, False)])
def test_on_exception(steps: int | None, fires: bool) -> None:
    """An exception is saved unless the last save holds the same state."""
    moment = Moment(event="exception", epoch=3, steps_since_save=steps)
    assert bool(OnException().fired(moment)) is fires
    assert OnException().fired(train_end(steps_since_save=steps)) == ()


@pytest.mark.parametrize(
    ("number", "steps", "fires"),
    [
        (signal.SIGTERM, None, True),
        (signal.SIGINT, 1, True),
        (signal.SIGTERM, 0, False),
        (signal.SIGABRT, None, False),
        (None, None, False),
    ],
)
def test_on_signal(number: int | None, steps: int | None, fires: bool) -> None:
    """Each of its signals is saved, unless the last save holds the same state."""
    trigger = OnSignal(signal.SIGTERM, signal.SIGINT)
    moment = Moment(event="signal", epoch=3, steps_since_save=steps, signal=number)
    assert bool(trigger.fired(moment)) is fires
    assert trigger.fired(train_end(steps_since_save=steps, signal=number)) == ()


@pytest.mark.parametrize(
    ("trigger", "written"),
    [
        (OnSignal(signal.SIGTERM), "OnSignal('SIGTERM')"),
        (OnSignal(int(signal.SIGTERM)), "OnSignal('SIGTERM')"),
        (OnSignal("SIGTERM", signal.SIGTERM), "OnSignal('SIGTERM')"),
        (OnSignal("SIGTERM", "SIGINT"), "OnSignal('SIGINT', 'SIGTERM')"),
        (
            OnSignal("SIGTERM", grace_seconds=2.5),
            "OnSignal('SIGTERM', grace_seconds=2.5)",
        ),
        (OnSignal("SIGTERM") | OnException(), "OnSignal('SIGTERM') | OnException()"),
    ],
    ids=repr,
)
def test_signals_are_written_by_name(trigger: Trigger, written: str) -> None:
    """However a signal was given, the repr has its name, and is read back."""
    assert repr(trigger) == written
    again = eval(written, {"OnSignal": OnSignal, "OnException": OnException})
    assert again == trigger
    assert hash(again) == hash(trigger)
    assert copy.deepcopy(trigger) == pickle.loads(pickle.dumps(trigger)) == trigger


def test_order_and_repetition_of_signals_do_not_count() -> None:
    """A set of signals is what is meant; the grace makes a difference."""
    assert OnSignal("SIGINT", "SIGTERM") == OnSignal("SIGTERM", "SIGINT", "SIGINT")
    assert OnSignal("SIGTERM") != OnSignal("SIGTERM", grace_seconds=5)
    assert OnSignal("SIGTERM") != OnSignal("SIGINT")


def test_signals_without_a_name() -> None:
    """The numbers between SIGRTMIN and SIGRTMAX are written as numbers."""
    if not hasattr(signal, "SIGRTMIN"):
        pytest.skip("NOT TESTED: this platform has no signals without a name")
    trigger = OnSignal(signal.SIGRTMIN + 1)
    assert repr(trigger) == f"OnSignal({signal.SIGRTMIN + 1})"
    assert eval(repr(trigger)) == trigger


def test_signals_and_their_grace() -> None:
    """A trigger says which signals it waits for, and how long they let it."""
    slow = OnSignal(signal.SIGTERM, signal.SIGINT)
    hasty = OnSignal(signal.SIGTERM, grace_seconds=5) | EveryEpochs()
    assert EveryEpochs().signals == {}
    assert slow.signals == {signal.SIGTERM: None, signal.SIGINT: None}
    assert (slow | hasty).signals == {signal.SIGTERM: 5, signal.SIGINT: None}
    assert (slow & hasty).signals == {signal.SIGTERM: 5}
    assert not (hasty & EveryEpochs(2)).signals


def test_catches_exceptions() -> None:
    """A trigger says whether it waits for an exception."""
    assert OnException().catches_exceptions
    assert (EveryEpochs() | OnException()).catches_exceptions
    assert not (OnTrainEnd() | OnSignal(signal.SIGTERM)).catches_exceptions
    assert not (EveryEpochs() & (EveryEpochs() | OnException())).catches_exceptions


# Filling in monitor and mode


def mode_of(monitor: str) -> str:
    """Knows the direction of two metrics."""
    if monitor not in ("val_loss", "val_accuracy"):
        raise ValueError(f"No direction is known for {monitor}")
    return "min" if monitor == "val_loss" else "max"


@pytest.mark.parametrize(
    ("given_", "resolved"),
    [
        (OnImprovement(), OnImprovement("val_loss", "min")),
        (OnImprovement(mode="max"), OnImprovement("val_loss", "max")),
        (OnImprovement("val_accuracy"), OnImprovement("val_accuracy", "max")),
        (OnImprovement("f1", "max", 0.1), OnImprovement("f1", "max", 0.1)),
        (
            EveryEpochs(5) | (OnImprovement() & EveryInterval(minutes=5)),
            EveryEpochs(5)
            | (OnImprovement("val_loss", "min") & EveryInterval(minutes=5)),
        ),
        (OnImprovement() | OnImprovement("val_loss"), OnImprovement("val_loss", "min")),
    ],
    ids=repr,
)
def test_resolved(given_: Trigger, resolved: Trigger) -> None:
    """What a rule leaves open comes from the callback; what it says stays."""
    assert given_.resolved("val_loss", mode_of) == resolved


def test_resolved_asks_for_no_direction_that_is_given() -> None:
    """An unknown direction is an error only where something depends on it."""
    trigger = EveryEpochs() | OnImprovement("odd", "min")
    assert trigger.resolved("stranger", mode_of) == trigger
    with pytest.raises(ValueError, match="stranger"):
        OnImprovement().resolved("stranger", mode_of)


def test_monitors() -> None:
    """A trigger names each metric and direction that it needs the best of."""
    trigger = EveryEpochs(5) | OnImprovement("a", "min")
    both = trigger & (OnImprovement("b", "max") | OnTrainEnd())
    assert EveryEpochs(5).monitors == set()
    assert both.monitors == {("a", "min"), ("b", "max")}


@pytest.mark.parametrize(
    "trigger", [OnImprovement(), OnImprovement("m"), OnImprovement(mode="min")]
)
def test_unresolved_improvement_is_an_error(trigger: OnImprovement) -> None:
    """A rule that lacks its monitor or mode says so instead of guessing."""
    with pytest.raises(ValueError, match=r"`monitor` and `mode`.*Pass"):
        trigger.fired(epoch_end(metrics={"m": 0.1}))
    with pytest.raises(ValueError, match=r"`monitor` and `mode`.*Pass"):
        _ = trigger.monitors


def test_auto_is_a_mode_left_open() -> None:
    """`mode="auto"` is Keras's word for leaving it out."""
    assert OnImprovement("m", "auto") == OnImprovement("m")


# Joined


def test_several_that_fire_are_one_answer_with_all_reasons() -> None:
    """Every rule that fired is named, in order; one that did not is not."""
    trigger = EveryEpochs(5) | OnImprovement("val_loss", "min") | OnTrainEnd()
    fired = trigger.fired(epoch_end(5, metrics={"val_loss": 0.2}))
    assert fired == ("EveryEpochs(5)", "OnImprovement('val_loss', 'min')")
    assert trigger.fired(epoch_end(4, metrics={"val_loss": 0.2})) == fired[1:]
    assert trigger.fired(train_end(steps_since_save=None)) == ("OnTrainEnd()",)


@pytest.mark.parametrize(
    ("step", "seconds", "reasons"),
    [
        (200, 299, ()),
        (199, 300, ()),
        (200, 300, ("EverySteps(100)", "EveryInterval(minutes=5)")),
    ],
)
def test_all_must_fire(step: int, seconds: float, reasons: tuple[str, ...]) -> None:
    """A multiple of 100 steps is saved once five minutes have passed."""
    trigger = EverySteps(100) & EveryInterval(minutes=5)
    moment = batch_end(previous_step=step - 1, step=step, seconds_since_save=seconds)
    assert trigger.fired(moment) == reasons


def test_a_reason_is_named_once() -> None:
    """A rule that two members share appears once among the reasons."""
    five = EveryEpochs(5)
    trigger = five | (five & EveryInterval(minutes=5))
    fired = trigger.fired(epoch_end(5, seconds_since_save=300))
    assert fired == ("EveryEpochs(5)", "EveryInterval(minutes=5)")


def test_operators_make_their_own_composites() -> None:
    """`|` and `&` over the same rules are different triggers."""
    either = EveryEpochs(2) | EveryInterval(minutes=5)
    both = EveryEpochs(2) & EveryInterval(minutes=5)
    assert isinstance(either, AnyTrigger)
    assert isinstance(both, AllTriggers)
    assert either != both


@pytest.mark.parametrize(
    ("trigger", "needed"),
    [
        (EveryEpochs(), False),
        (OnImprovement(), False),
        (OnTrainEnd(), False),
        (OnException() | OnSignal(signal.SIGTERM), False),
        (EverySteps(10), True),
        (EveryBatches(10), True),
        (EveryInterval(minutes=1), True),
        (EveryEpochs() | EverySteps(10), True),
        (EverySteps(10) & EveryInterval(minutes=1), True),
        (EveryEpochs() & EveryInterval(minutes=1), False),
    ],
    ids=repr,
)
def test_needs_batches(trigger: Trigger, needed: bool) -> None:
    """Batches are looked at only if the trigger can fire at one."""
    assert trigger.needs_batches is needed


class Stranger(Composable):
    """A policy of another family."""


def test_mixing_families_is_an_error() -> None:
    """A trigger joins with triggers only."""
    for other in (Stranger(), "epoch", 5):
        with pytest.raises(TypeError):
            EveryEpochs() | other
        with pytest.raises(TypeError):
            EveryEpochs() & other


# What `save_freq` takes


@pytest.mark.parametrize(
    ("save_freq", "trigger"),
    [
        ("epoch", EveryEpochs(1)),
        (1, EveryBatches(1)),
        (500, EveryBatches(500)),
        (SCHEDULE, SCHEDULE),
    ],
    ids=repr,
)
def test_as_trigger(save_freq: object, trigger: Trigger) -> None:
    """The values that Keras takes mean what they mean there."""
    assert as_trigger(save_freq) == trigger


@pytest.mark.parametrize(
    ("save_freq", "error"),
    [
        (0, ValueError),
        (-5, ValueError),
        ("batch", ValueError),
        (True, TypeError),
        (1.0, TypeError),
        (None, TypeError),
        (EveryEpochs, TypeError),
        (Stranger, TypeError),
    ],
    ids=repr,
)
def test_as_trigger_refuses(save_freq: object, error: type[Exception]) -> None:
    """Anything else is refused in Keras's wording."""
    with pytest.raises(error, match=r"`save_freq` must be .*Received: save_freq="):
        as_trigger(save_freq)


@pytest.mark.parametrize(
    "trigger",
    [
        EveryEpochs(5) & EverySteps(100),
        EveryEpochs(5) | (EverySteps(100) & OnTrainEnd()),
        OnException() & OnTrainEnd(),
        OnSignal("SIGTERM") & EveryInterval(minutes=5),
        OnSignal("SIGTERM") & OnSignal("SIGINT"),
    ],
    ids=repr,
)
def test_as_trigger_refuses_what_can_never_fire(trigger: Trigger) -> None:
    """Rules that never meet at a moment would leave a training unsaved."""
    with pytest.raises(ValueError, match=r"nothing would ever be saved.*`\|`"):
        as_trigger(trigger)


# Wrong arguments


@pytest.mark.parametrize("rule", [EveryEpochs, EverySteps, EveryBatches])
@pytest.mark.parametrize(
    ("n", "error"),
    [(0, ValueError), (-5, ValueError), (True, TypeError), (2.0, TypeError)],
)
def test_counts_are_integers_from_1(
    rule: type[Trigger], n: object, error: type[Exception]
) -> None:
    """A count is an integer of 1 or more, and a boolean is none."""
    with pytest.raises(error, match=f"`n` must be .*Received: n={n}"):
        rule(n)


@pytest.mark.parametrize("rule", [EveryEpochs, EverySteps])
@pytest.mark.parametrize(
    ("limits", "error"),
    [
        ({"start": -1}, ValueError),
        ({"start": False}, TypeError),
        ({"until": 0}, ValueError),
        ({"until": 10.0}, TypeError),
        ({"until": 4}, ValueError),
        ({"start": 10, "until": 14}, ValueError),
        ({"start": 20, "until": 10}, ValueError),
    ],
    ids=repr,
)
def test_stretches_leave_room_for_a_save(
    rule: type[Trigger], limits: dict[str, object], error: type[Exception]
) -> None:
    """`start` and `until` are counts, and one multiple lies between them."""
    with pytest.raises(error, match=r"`(start|until)` must be .*Received: "):
        rule(5, **limits)


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ({}, ValueError),
        ({"seconds": 0.0}, ValueError),
        ({"minutes": -1}, ValueError),
        ({"minutes": 5, "seconds": -1}, ValueError),
        ({"hours": math.inf}, ValueError),
        ({"hours": math.nan}, ValueError),
        ({"hours": 1e308}, ValueError),
        ({"seconds": True}, TypeError),
        ({"minutes": "5"}, TypeError),
    ],
    ids=repr,
)
def test_intervals_are_positive(
    parts: dict[str, object], error: type[Exception]
) -> None:
    """An interval is a positive and finite length of time."""
    with pytest.raises(error, match=r"must .*Received: "):
        EveryInterval(**parts)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"monitor": ""}, ValueError),
        ({"monitor": 5}, TypeError),
        ({"mode": "up"}, ValueError),
        ({"mode": 1}, ValueError),
        ({"min_delta": -0.1}, ValueError),
        ({"min_delta": math.nan}, ValueError),
        ({"min_delta": math.inf}, ValueError),
        ({"min_delta": True}, TypeError),
        ({"min_delta": "0.1"}, TypeError),
    ],
    ids=repr,
)
def test_improvement_arguments(
    arguments: dict[str, object], error: type[Exception]
) -> None:
    """A monitor is a name, a mode one of Keras's, a difference 0 or more."""
    with pytest.raises(error, match=f"`{next(iter(arguments))}` must .*Received: "):
        OnImprovement(**arguments)


@pytest.mark.parametrize("argument", ["start", "until"])
def test_limits_are_named(argument: str) -> None:
    """A second number without a name would be read as either limit."""
    with pytest.raises(TypeError):
        EverySteps(5, 10)
    assert repr(EverySteps(5, **{argument: 10})) == f"EverySteps(5, {argument}=10)"


@pytest.mark.parametrize(
    ("given_", "error"),
    [
        (signal.SIGKILL if hasattr(signal, "SIGKILL") else 9, ValueError),
        (signal.SIGSTOP if hasattr(signal, "SIGSTOP") else 19, ValueError),
        (signal.SIGSEGV, ValueError),
        (0, ValueError),
        (-15, ValueError),
        (1000, ValueError),
        ("SIGKILL", ValueError),
        ("SIGNOTHING", ValueError),
        ("TERM", ValueError),
        ("sigterm", ValueError),
        (True, TypeError),
        (15.0, TypeError),
        (None, TypeError),
        ([signal.SIGTERM], TypeError),
    ],
    ids=repr,
)
def test_signals_are_those_that_can_be_handled(
    given_: object, error: type[Exception]
) -> None:
    """Anything else would be found out when it is too late."""
    with pytest.raises(error, match=r"`signals` must be .*Received: signals="):
        OnSignal(signal.SIGTERM, given_)


def test_no_signal_at_all() -> None:
    """There is no signal that is meant unless another is named."""
    with pytest.raises(TypeError, match=r"`signals` must be .*Received: .*Pass"):
        OnSignal()


@pytest.mark.parametrize(
    ("grace", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (math.inf, ValueError),
        (math.nan, ValueError),
        (True, TypeError),
        ("30", TypeError),
    ],
    ids=repr,
)
def test_grace_is_a_positive_time(grace: object, error: type[Exception]) -> None:
    """The grace is a positive and finite length of time, or none is set."""
    match = "`grace_seconds` must be .*Received: grace_seconds="
    with pytest.raises(error, match=match):
        OnSignal(signal.SIGTERM, grace_seconds=grace)
