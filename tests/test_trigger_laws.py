"""The laws of `|` and `&` over triggers, with random triggers and moments."""

import math
from signal import SIGINT, SIGTERM
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt import triggers
from keras_versioned_ckpt.records import Event, Moment
from keras_versioned_ckpt.triggers import (
    EveryBatches,
    EveryEpochs,
    EveryInterval,
    EverySteps,
    OnException,
    OnImprovement,
    OnSignal,
    OnTrainEnd,
    Trigger,
)

counts = st.integers(min_value=1, max_value=6)
stretches = st.fixed_dictionaries(
    {"n": counts, "start": counts},
    optional={"until": st.integers(min_value=12, max_value=20)},
)
rules = st.one_of(
    stretches.map(lambda stretch: EveryEpochs(**stretch)),
    stretches.map(lambda stretch: EverySteps(**stretch)),
    st.builds(EveryBatches, counts),
    st.builds(
        EveryInterval,
        seconds=st.floats(min_value=0.5, max_value=60),
        minutes=st.integers(min_value=0, max_value=2),
    ),
    st.builds(
        OnImprovement,
        st.sampled_from(["loss", "val_loss"]),
        st.sampled_from(["min", "max"]),
        st.sampled_from([0.0, 0.5]),
    ),
    st.just(OnTrainEnd()),
    st.just(OnException()),
    st.builds(
        lambda signals, grace: OnSignal(*signals, grace_seconds=grace),
        st.lists(st.sampled_from([SIGTERM, SIGINT]), min_size=1),
        st.sampled_from([None, 0.5, 30]),
    ),
)
any_trigger = st.recursive(
    rules,
    lambda inner: st.builds(
        lambda a, b, both: a & b if both else a | b, inner, inner, st.booleans()
    ),
    max_leaves=5,
)
values = st.sampled_from([0.0, 0.5, 1.0, math.nan, math.inf])
some_moment = st.builds(
    lambda previous_step, passed, **facts: Moment(
        previous_step=previous_step, step=previous_step + passed, **facts
    ),
    event=st.sampled_from(get_args(Event)),
    epoch=st.integers(min_value=1, max_value=20),
    previous_step=st.integers(min_value=0, max_value=20),
    passed=st.integers(min_value=0, max_value=5),
    batches_since_fired=st.integers(min_value=0, max_value=8),
    steps_since_save=st.none() | st.integers(min_value=0, max_value=3),
    seconds_since_save=st.floats(min_value=0, max_value=200),
    metrics=st.dictionaries(st.sampled_from(["loss", "val_loss"]), values),
    best=st.dictionaries(
        st.sampled_from([("val_loss", "min"), ("loss", "max")]), st.just(0.5)
    ),
    signal=st.sampled_from([None, int(SIGTERM), int(SIGINT)]),
)


@given(a=any_trigger, b=any_trigger, moment=some_moment)
def test_commutative(a: Trigger, b: Trigger, moment: Moment) -> None:
    """a | b = b | a and a & b = b & a."""
    for one, other in ((a | b, b | a), (a & b, b & a)):
        assert one == other
        assert set(one.fired(moment)) == set(other.fired(moment))


@given(a=any_trigger, b=any_trigger, c=any_trigger, moment=some_moment)
def test_associative(a: Trigger, b: Trigger, c: Trigger, moment: Moment) -> None:
    """(a | b) | c = a | (b | c), and the same for &."""
    for one, other in (((a | b) | c, a | (b | c)), ((a & b) & c, a & (b & c))):
        assert one == other
        assert one.fired(moment) == other.fired(moment)


@given(a=any_trigger, moment=some_moment)
def test_idempotent(a: Trigger, moment: Moment) -> None:
    """a | a = a and a & a = a."""
    for twice in (a | a, a & a):
        assert twice == a
        assert twice.fired(moment) == a.fired(moment)


@given(a=any_trigger, b=any_trigger, moment=some_moment)
def test_or_and_and_mean_what_they_say(a: Trigger, b: Trigger, moment: Moment) -> None:
    """a | b fires if either does, a & b if both do."""
    fires_a, fires_b = bool(a.fired(moment)), bool(b.fired(moment))
    assert bool((a | b).fired(moment)) is (fires_a or fires_b)
    assert bool((a & b).fired(moment)) is (fires_a and fires_b)


@given(a=any_trigger, moment=some_moment)
def test_fires_at_its_events_only(a: Trigger, moment: Moment) -> None:
    """A trigger that fired has the event of the moment among its events."""
    assert not a.fired(moment) or moment.event in a.events


@given(a=any_trigger, moment=some_moment)
def test_fires_at_its_signals_only(a: Trigger, moment: Moment) -> None:
    """A trigger that fired at a signal names that signal."""
    assert bool(a.signals) is ("signal" in a.events)
    if moment.event == "signal":
        assert not a.fired(moment) or moment.signal in a.signals


@given(a=any_trigger, b=any_trigger)
def test_signals_of_either_and_of_both(a: Trigger, b: Trigger) -> None:
    """`|` waits for the signals of either, `&` for those of both; haste wins."""
    assert set((a | b).signals) == set(a.signals) | set(b.signals)
    assert set((a & b).signals) == set(a.signals) & set(b.signals)
    for joined in (a | b, a & b):
        for number, grace in joined.signals.items():
            given_ = [a.signals.get(number), b.signals.get(number)]
            limits = [limit for limit in given_ if limit is not None]
            assert grace == min(limits, default=None)


@given(a=any_trigger)
def test_repr_evaluates_back(a: Trigger) -> None:
    """eval(repr(t)) == t, whatever the operators and their nesting."""
    assert eval(repr(a), vars(triggers)) == a


@given(a=rules, b=rules, c=rules)
def test_repr_keeps_precedence(a: Trigger, b: Trigger, c: Trigger) -> None:
    """a | (b & c) and (a | b) & c are each read back as themselves."""
    for trigger in (a | (b & c), (a | b) & c):
        assert eval(repr(trigger), vars(triggers)) == trigger


@given(a=any_trigger, b=any_trigger)
def test_equal_hash_equal(a: Trigger, b: Trigger) -> None:
    """Equal triggers have equal hashes."""
    again = eval(repr(a), vars(triggers))
    assert hash(again) == hash(a)
    assert hash(a | b) == hash(b | a)
