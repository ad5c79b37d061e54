"""The laws of retention, over random histories, clocks and policies."""

import dataclasses
import functools
import operator
from datetime import UTC, datetime, timedelta
from itertools import groupby

from dateutil.relativedelta import relativedelta
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_versioned_ckpt import retention
from keras_versioned_ckpt._durations import as_duration
from keras_versioned_ckpt._parsing import parse_retention
from keras_versioned_ckpt._ranking import best_first
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.retention import (
    KeepAll,
    KeepAny,
    KeepBest,
    KeepDaily,
    KeepEvery,
    KeepHourly,
    KeepLast,
    KeepMonthly,
    KeepSize,
    KeepTagged,
    KeepWeekly,
    KeepWithin,
    KeepYearly,
)
from tests.factories import numbers

# Reading a time zone for the first time takes longer than a deadline allows.
law = settings(deadline=None)

# Around the changes of clock, week and year at the end of 2026, and anywhere.
instants = st.one_of(
    st.datetimes(datetime(2026, 10, 24), datetime(2026, 10, 27)),
    st.datetimes(datetime(2026, 12, 27), datetime(2027, 3, 31)),
    st.datetimes(datetime(2024, 2, 27), datetime(2024, 4, 1)),
    st.datetimes(),
).map(lambda naive: naive.replace(tzinfo=UTC))
steady = st.lists(st.integers(0, 90_000), min_size=12, max_size=12).map(
    lambda seconds: [
        datetime(2026, 3, 26, tzinfo=UTC) + timedelta(seconds=sum(seconds[:i]))
        for i in range(12)
    ]
)
losses = st.sampled_from([None, 0.1, 0.2, 0.2, 0.3, float("nan"), float("-inf")])


any_size = st.integers(0, 9)


@st.composite
def histories(draw, sizes=any_size):
    """Draws versions by number, with any clock, ties, gaps, tags and sizes."""
    count = draw(st.integers(0, 12))
    clock = draw(st.one_of(steady, st.lists(instants, min_size=12, max_size=12)))
    number = 0
    history = []
    for created in clock[:count]:
        number += draw(st.sampled_from([1, 1, 1, 5]))
        history.append(
            Version(
                number=number,
                created=created,
                epoch=number,
                step=10 * number,
                batch=draw(st.sampled_from([None, None, 3])),
                metrics={
                    name: value
                    for name in ("val_loss", "f1")
                    if (value := draw(losses)) is not None
                },
                size_bytes=draw(sizes),
                tags=draw(st.sampled_from([(), (), (), (), ("prod",), ("a", "b")])),
                monitor="val_loss",
                mode="min",
            )
        )
    return history


counts = st.integers(1, 4)
zones = st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"])
durations = st.sampled_from(
    [
        "1 minute",
        "90 minutes",
        "1 day",
        "1 week",
        "1 month",
        "1 month 12 hours",
        "1 year",
    ]
)
COUNTED = [
    st.builds(KeepLast, counts),
    st.builds(KeepBest, counts, st.sampled_from([None, "val_loss"])),
    st.builds(KeepBest, counts, st.just("f1"), st.sampled_from(["min", "max"])),
    *(
        st.builds(rule, counts, timezone=zones)
        for rule in (KeepHourly, KeepDaily, KeepWeekly, KeepMonthly, KeepYearly)
    ),
]
UNCOUNTED = [
    st.builds(KeepEvery, epochs=counts),
    st.builds(KeepEvery, steps=st.sampled_from([10, 20, 50])),
    st.builds(KeepWithin, durations),
    st.builds(KeepTagged, st.sampled_from(["*", "prod", "[ab]"])),
    st.just(KeepAll()),
]
by_size = st.builds(KeepSize, st.integers(1, 30))
counted = st.one_of(*COUNTED)
exact_rules = st.one_of(*COUNTED, *UNCOUNTED)
rules = st.one_of(*COUNTED, *UNCOUNTED, by_size)


def unions(of):
    """Draws a rule, or a union of up to four."""
    several = st.lists(of, min_size=1, max_size=4)
    return several.map(lambda members: functools.reduce(operator.or_, members))


policies = unions(rules)
in_use = st.frozensets(st.integers(1, 12), max_size=2)


def kept(policy, history, guarded=()):
    """Returns the set of numbers that `policy` keeps of `history`."""
    return set(numbers(policy.plan(history, in_use=guarded).keep))


def kept_when_pruned_as_it_grows(policy, history, guarded=()):
    """Returns what is left when `policy` prunes after every save."""
    survivors = []
    for version in history:
        survivors = policy.plan([*survivors, version], in_use=guarded).keep
    return set(numbers(survivors))


# The algebra of |


@law
@given(policies, policies, histories())
def test_union_is_commutative(a, b, history):
    """`a | b` is `b | a`, and does the same."""
    assert a | b == b | a
    assert hash(a | b) == hash(b | a)
    assert kept(a | b, history) == kept(b | a, history)


@law
@given(policies, policies, policies, histories())
def test_union_is_associative(a, b, c, history):
    """Grouping does not matter."""
    assert (a | b) | c == a | (b | c)
    assert kept((a | b) | c, history) == kept(a | (b | c), history)


@law
@given(policies, histories())
def test_union_is_idempotent(a, history):
    """A policy joined with itself is itself."""
    assert a | a == a
    assert kept(KeepAny((a, a)), history) == kept(a, history)


@law
@given(policies, histories())
def test_keep_all_absorbs(a, history):
    """Whatever is joined with `KeepAll` keeps all."""
    assert a | KeepAll() == KeepAll() == KeepAll() | a
    assert kept(a | KeepAll(), history) == set(numbers(history))


@law
@given(policies, policies, histories(), in_use)
def test_kept_by_a_union_is_the_union_of_kept(a, b, history, guarded):
    """A union keeps what its members keep, and nothing else."""
    together = kept(a, history, guarded) | kept(b, history, guarded)
    assert kept(a | b, history, guarded) == together


@law
@given(policies, rules, histories(), in_use)
def test_adding_a_rule_never_removes_a_version(a, rule, history, guarded):
    """More rules keep more."""
    assert kept(a, history, guarded) <= kept(a | rule, history, guarded)


# Each rule by itself


@law
@given(counted, counts, histories(), in_use)
def test_raising_a_count_never_removes_a_version(rule, more, history, guarded):
    """A higher count keeps more."""
    raised = dataclasses.replace(rule, n=rule.n + more)
    assert kept(rule, history, guarded) <= kept(raised, history, guarded)


@law
@given(st.integers(1, 30), st.integers(1, 30), histories())
def test_raising_a_limit_never_removes_a_version(limit, more, history):
    """A higher limit keeps more."""
    assert kept(KeepSize(limit), history) <= kept(KeepSize(limit + more), history)


@law
@given(counts, st.sampled_from(["min", "max"]), histories())
def test_keep_best_ranks_as_everything_else_does(n, mode, history):
    """`KeepBest` agrees with the one ranking of the package."""
    best = best_first(history, "f1", mode)[:n]
    assert set(KeepBest(n, "f1", mode)._wanted(history)) == set(numbers(best))


@law
@given(durations, histories())
def test_keep_within_does_what_it_says(duration, history):
    """A version is kept that lies within the duration before every later one."""
    length = as_duration(duration)

    def edge(version):
        try:
            return version.created - length
        except (OverflowError, ValueError):
            return datetime.min.replace(tzinfo=UTC)

    expected = {
        version.number
        for i, version in enumerate(history)
        if all(version.created > edge(later) for later in history[i:])
    }
    assert set(KeepWithin(duration)._wanted(history)) == expected


def _zone_free_label(rule, created):
    """Returns the period of an instant, straight from the calendar of UTC."""
    return {
        KeepHourly: (created.date(), created.hour),
        KeepDaily: created.date(),
        KeepWeekly: created.isocalendar()[:2],
        KeepMonthly: (created.year, created.month),
        KeepYearly: created.year,
    }[rule]


@law
@given(
    st.sampled_from([KeepHourly, KeepDaily, KeepWeekly, KeepMonthly, KeepYearly]),
    counts,
    histories(),
)
def test_a_calendar_rule_keeps_the_newest_of_each_period(rule, n, history):
    """The newest of a period represents it; the `n` newest of these are kept."""

    def period(version):
        return _zone_free_label(rule, version.created)

    together = sorted(history, key=lambda version: (period(version), version.number))
    newest = sorted(max(numbers(group)) for _, group in groupby(together, period))
    assert set(rule(n)._wanted(history)) == set(newest[-n:])


@law
@given(
    st.sampled_from([KeepHourly, KeepDaily, KeepWeekly, KeepMonthly, KeepYearly]),
    zones,
    st.lists(instants, max_size=12),
)
def test_the_short_cut_of_calendar_rules_changes_nothing(rule, zone, clock):
    """To skip versions of the period before gives what asking for each gives."""
    history = [Version(number=n, created=c) for n, c in enumerate(clock, start=1)]
    policy = rule(4, timezone=zone)
    newest = {}
    for version in reversed(history):
        label = policy._label(policy._local(version.created))
        newest.setdefault(label, version.number)
    assert list(policy._wanted(history)) == list(newest.values())[:4]


# Plans


@law
@given(policies, histories(), in_use, st.randoms(use_true_random=False))
def test_input_order_does_not_matter(policy, history, guarded, random):
    """Versions may come in any order."""
    shuffled = random.sample(history, len(history))
    assert policy.plan(shuffled, in_use=guarded).reasons == (
        policy.plan(history, in_use=guarded).reasons
    )


@law
@given(policies, histories(), in_use)
def test_pruning_twice_is_pruning_once(policy, history, guarded):
    """What was kept is kept again."""
    once = policy.plan(history, in_use=guarded).keep
    assert policy.plan(once, in_use=guarded).remove == ()


@law
@given(unions(exact_rules), histories(), in_use)
def test_pruning_after_every_save_is_pruning_once_at_the_end(policy, history, guarded):
    """Nothing is lost by pruning early, and nothing is kept by it."""
    assert kept_when_pruned_as_it_grows(policy, history, guarded) == (
        kept(policy, history, guarded)
    )


@law
@given(by_size, histories(), in_use)
def test_keep_size_alone_may_prune_after_every_save(policy, history, guarded):
    """Without other rules `KeepSize` follows the law for any sizes."""
    assert kept_when_pruned_as_it_grows(policy, history, guarded) == (
        kept(policy, history, guarded)
    )


@law
@given(policies, by_size, histories(sizes=st.just(3)), in_use)
def test_keep_size_may_prune_equal_sizes_after_every_save(a, rule, history, guarded):
    """With equal sizes `KeepSize` follows the law in any union."""
    policy = a | rule
    assert kept_when_pruned_as_it_grows(policy, history, guarded) == (
        kept(policy, history, guarded)
    )


@law
@given(policies, by_size, histories(), in_use)
def test_keep_size_never_keeps_less_when_pruned_early(a, rule, history, guarded):
    """With other rules and unequal sizes it may keep more, never less."""
    policy = a | rule
    assert kept_when_pruned_as_it_grows(policy, history, guarded) >= (
        kept(policy, history, guarded)
    )


@law
@given(policies, histories(), in_use)
def test_guarded_versions_survive(policy, history, guarded):
    """The newest, the tagged and those in use are kept by every policy."""
    safe = {version.number for version in history if version.tags}
    safe |= set(numbers(history[-1:])) | (guarded & set(numbers(history)))
    assert safe <= kept(policy, history, guarded)


@law
@given(policies, histories(), in_use)
def test_every_version_is_kept_or_removed_with_a_reason(policy, history, guarded):
    """A plan forgets no version, and says why of each."""
    plan = policy.plan(history, in_use=guarded)
    assert sorted(numbers(plan.keep + plan.remove)) == numbers(history)
    assert list(plan.reasons) == numbers(history)
    for outcome, planned in (("kept: ", plan.keep), ("removed: ", plan.remove)):
        for version in planned:
            texts = plan.reasons[version.number]
            assert texts
            assert all(text.startswith(outcome) for text in texts)


# Text


@law
@given(policies)
def test_repr_evaluates_back(policy):
    """`eval(repr(policy))` is the policy."""
    assert eval(repr(policy), vars(retention)) == policy


@law
@given(policies)
def test_the_text_form_parses_back(policy):
    """`parse_retention(repr(policy))` is the policy."""
    assert parse_retention(repr(policy)) == policy


@law
@given(policies)
def test_equal_policies_hash_equal(policy):
    """A policy and its copy are one key."""
    assert len({policy, parse_retention(repr(policy))}) == 1


@law
@given(
    st.builds(
        relativedelta,
        years=st.integers(0, 99),
        months=st.integers(0, 99),
        days=st.integers(0, 99),
        hours=st.integers(0, 99),
        seconds=st.integers(0, 99),
        microseconds=st.integers(1, 99),
    )
)
def test_a_duration_survives_its_text(duration):
    """The text of a window means the duration it was made of."""
    assert as_duration(KeepWithin(duration).duration) == duration


@law
@given(st.integers(1, 10**15))
def test_a_size_survives_its_text(size_bytes):
    """The text of a limit is exact."""
    assert KeepSize(KeepSize(size_bytes).limit) == KeepSize(size_bytes)
    exact = [Version(number=1, created=datetime.now(UTC), size_bytes=size_bytes)]
    assert set(KeepSize(size_bytes)._wanted(exact)) == {1}
    larger = [dataclasses.replace(exact[0], size_bytes=size_bytes + 1)]
    assert set(KeepSize(size_bytes)._wanted(larger)) == set()


@law
@given(
    policies, st.integers(0, 80), st.sampled_from(["", "(", "'", "|", "0", "\0", "é"])
)
def test_damaged_text_is_read_or_refused(policy, position, inserted):
    """Text with one character changed is a policy or a ValueError, nothing else."""
    text = repr(policy)
    damaged = text[:position] + inserted + text[position + 1 :]
    try:
        read = parse_retention(damaged)
    except ValueError:
        return
    assert isinstance(read, retention.RetentionPolicy)
