"""What each rule keeps, what the plan says of it, and what is refused."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from dateutil.relativedelta import relativedelta

from keras_versioned_ckpt import retention
from keras_versioned_ckpt._parsing import parse_retention
from keras_versioned_ckpt.naming import Numbered
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
    RetentionRule,
)
from tests.factories import START, numbers, versions

NAN = float("nan")
INF = float("inf")

EXAMPLES = [
    KeepAll(),
    KeepLast(3),
    KeepBest(2),
    KeepBest(2, "val_f1", "max"),
    KeepBest(2, mode="max"),
    KeepEvery(epochs=10),
    KeepEvery(steps=1000),
    KeepWithin("1 month 12 hours"),
    KeepHourly(24),
    KeepDaily(7, timezone="Europe/Berlin"),
    KeepWeekly(4),
    KeepMonthly(12),
    KeepYearly(10),
    KeepTagged("prod*"),
    KeepSize("20 GB"),
    KeepLast(3) | KeepBest(2, "val_loss") | KeepDaily(7),
]


def kept(policy, history, **options):
    """Returns the numbers that `policy` keeps of `history`."""
    return numbers(policy.plan(history, **options).keep)


# The plan


def test_a_plan_divides_the_versions_in_order_of_number():
    """`keep` and `remove` are ordered by number, whatever order came in."""
    plan = KeepLast(2).plan(reversed(versions(count=4)))
    assert numbers(plan.keep) == [3, 4]
    assert numbers(plan.remove) == [1, 2]


def test_a_plan_gives_reasons_for_every_version():
    """Each rule that wants a version is named, and so is that none does."""
    plan = (KeepLast(2) | KeepBest(1)).plan(versions([0.3, 0.4, 0.25, 0.5]))
    assert plan.reasons == {
        1: ("removed: no rule keeps it",),
        2: ("removed: no rule keeps it",),
        3: (
            "kept: one of the 2 newest (KeepLast(2))",
            "kept: best val_loss 0.25 (KeepBest(1))",
        ),
        4: ("kept: one of the 2 newest (KeepLast(2))",),
    }


def test_a_plan_counts_the_bytes_it_frees():
    """`size_bytes_freed` adds up what is removed."""
    plan = KeepLast(1).plan(versions(sizes=[10, 200, 3000]))
    assert plan.size_bytes_freed == 210


def test_a_plan_prints_one_line_per_version():
    """The printed plan has number, name and reasons, in columns."""
    history = versions(count=10, tags={9: ("prod", "eu")})
    assert str(KeepLast(1).plan(history)).splitlines()[7:] == [
        " 8  version_8   removed: no rule keeps it",
        " 9  version_9   kept: tagged 'eu', 'prod' (guard)",
        "10  version_10  kept: the newest (KeepLast(1))",
    ]


def test_a_plan_escapes_what_comes_from_disk():
    """Names, tags and metrics with control characters reach no terminal."""
    evil = "\x1b[2J\u202e"
    history = [
        Version(
            number=1,
            created=START,
            name=evil,
            tags=(evil,),
            metrics={evil: 0.5},
            monitor=evil,
            mode="min",
        )
    ]
    text = str((KeepBest(1) | KeepTagged("*")).plan(history))
    assert text.isprintable()
    assert r"\x1b[2J\u202e" in text


def test_a_plan_of_nothing_is_empty():
    """An empty store has an empty plan, under every policy."""
    for policy in EXAMPLES:
        plan = policy.plan([])
        assert (plan.keep, plan.remove, plan.reasons) == ((), (), {})
        assert str(plan) == ""


def test_two_versions_with_one_number_are_refused():
    """Versions of two stores in one list would be pruned against each other."""
    with pytest.raises(ValueError, match="`versions` must have numbers of their own"):
        KeepLast(1).plan(versions(count=2) + versions(count=1))


# The guards


def test_the_newest_is_kept_and_the_plan_says_that_no_rule_wanted_it():
    """Best k, plus the newest by the guard."""
    plan = KeepBest(2).plan(versions([0.2, 0.5, 0.1, 0.4]))
    assert numbers(plan.keep) == [1, 3, 4]
    assert plan.reasons[4] == ("kept: newest version (guard)",)


def test_the_guard_of_the_newest_is_silent_where_a_rule_wants_it():
    """A reason of its own is enough."""
    plan = KeepLast(1).plan(versions(count=2))
    assert plan.reasons[2] == ("kept: the newest (KeepLast(1))",)


def test_tagged_versions_are_kept():
    """A tag guards a version against every policy."""
    plan = KeepLast(1).plan(versions(count=3, tags={1: ("prod",)}))
    assert numbers(plan.keep) == [1, 3]
    assert plan.reasons[1] == ("kept: tagged 'prod' (guard)",)


def test_versions_in_use_are_kept():
    """What a running fit resumed from stays; unknown numbers are no matter."""
    plan = KeepLast(1).plan(versions(count=3), in_use=[2, 99])
    assert numbers(plan.keep) == [2, 3]
    assert plan.reasons[2] == ("kept: a running fit resumed from it (guard)",)


def test_guards_are_listed_after_the_rules():
    """Rules come first, then the tag, then the fit."""
    history = versions(count=2, tags={2: ("prod",)})
    assert KeepLast(1).plan(history, in_use=[2]).reasons[2] == (
        "kept: the newest (KeepLast(1))",
        "kept: tagged 'prod' (guard)",
        "kept: a running fit resumed from it (guard)",
    )


# The rules


def test_keep_all_keeps_all():
    """`KeepAll` removes nothing and says so of each version."""
    plan = KeepAll().plan(versions(count=3))
    assert numbers(plan.keep) == [1, 2, 3]
    assert plan.reasons[1] == ("kept: every version (KeepAll())",)


@pytest.mark.parametrize(("n", "survivors"), [(1, [3]), (2, [2, 3]), (9, [1, 2, 3])])
def test_keep_last_counts_from_the_newest(n, survivors):
    """The highest numbers are kept; a count beyond the store keeps it all."""
    assert kept(KeepLast(n), versions(count=3)) == survivors


def test_keep_last_goes_by_number_and_not_by_clock():
    """A clock that runs backwards changes nothing."""
    history = versions(count=4, every=timedelta(days=-1))
    assert kept(KeepLast(2), history) == [3, 4]


@pytest.mark.parametrize(
    ("losses", "survivors"),
    [
        pytest.param([0.5, 0.3, 0.4, 0.9], [2, 3, 4], id="the newest on top"),
        pytest.param([0.5, 0.3, 0.4, 0.1], [2, 4], id="the newest is the best"),
        pytest.param([0.3, 0.3, 0.3, 0.9], [1, 2, 4], id="on a tie the earlier stays"),
        pytest.param([NAN, 0.5, NAN, 0.9], [2, 4], id="NaN takes no place"),
        pytest.param([-INF, 0.5, INF, 0.9], [2, 4], id="infinities take no place"),
        pytest.param([None, 0.5, None, 0.9], [2, 4], id="missing takes no place"),
        pytest.param([NAN, None, INF, NAN], [4], id="nothing is scored"),
    ],
)
def test_keep_best_keeps_the_two_best(losses, survivors):
    """The two lowest losses stay, and the newest."""
    assert kept(KeepBest(2), versions(losses)) == survivors


def test_keep_best_ranks_in_its_reasons():
    """The plan tells the best from the next best, with the values."""
    reasons = (
        KeepBest(4, "val_loss", "max").plan(versions([0.1, 0.2, 0.3, 0.4])).reasons
    )
    assert [reason.split(" (")[0] for (reason,) in reasons.values()] == [
        "kept: 4th best val_loss 0.1",
        "kept: 3rd best val_loss 0.2",
        "kept: 2nd best val_loss 0.3",
        "kept: best val_loss 0.4",
    ]


@pytest.mark.parametrize(
    ("rank", "text"), [(11, "11th"), (12, "12th"), (21, "21st"), (112, "112th")]
)
def test_keep_best_can_count(rank, text):
    """Ordinals are English also beyond ten."""
    history = versions([float(n) for n in range(1, 113)])
    (reason,) = KeepBest(112).plan(history).reasons[rank]
    assert reason.startswith(f"kept: {text} best ")


def test_keep_best_goes_by_several_metrics_at_once():
    """Each rule of a union has its own metric and direction."""
    rows = [(0.1, 0.1), (0.5, 0.9), (0.4, 0.5), (0.9, 0.2)]
    history = [
        Version(number=n, created=START, metrics={"val_loss": loss, "val_f1": f1})
        for n, (loss, f1) in enumerate(rows, start=1)
    ]
    policy = KeepBest(1, "val_loss") | KeepBest(1, "val_f1", "max")
    assert kept(policy, history) == [1, 2, 4]


def test_keep_best_takes_monitor_and_mode_from_the_newest_that_has_them():
    """What the run monitored is in the versions; the newest decides."""
    rows = [("val_loss", "min"), ("f1", "min"), ("f1", "max"), (None, None)]
    history = [
        Version(
            number=n,
            created=START,
            metrics={"val_loss": n, "f1": n},
            monitor=monitor,
            mode=mode,
        )
        for n, (monitor, mode) in enumerate(rows, start=1)
    ]
    assert kept(KeepBest(1), history) == [4]
    assert kept(KeepBest(1), history[:3]) == [3]
    assert kept(KeepBest(1), history[:2]) == [1, 2]
    assert kept(KeepBest(1, "f1"), history[:2]) == [1, 2]


def test_keep_best_knows_the_direction_of_a_loss():
    """`loss` and `val_loss` need no mode, even where no version has one."""
    history = versions([0.3, 0.1, 0.2], monitor=None, mode=None)
    assert kept(KeepBest(1, "val_loss"), history) == [2, 3]


def test_keep_best_refuses_to_guess_a_direction():
    """An unknown direction is an error, and only where something depends on it."""
    history = [Version(number=1, created=START, metrics={"val_f1": 0.5})]
    with pytest.raises(ValueError, match=r"`mode` must be given.*'val_f1', mode=None"):
        KeepBest(1, "val_f1").plan(history)
    assert kept(KeepBest(1, "val_f2"), history) == [1]


def test_keep_best_refuses_to_guess_a_metric():
    """Without a monitor anywhere the error lists the metrics, if there are any."""
    history = [Version(number=1, created=START, metrics={"f1": 0.5, "acc": 0.5})]
    with pytest.raises(ValueError, match=r"`monitor` must be given.*acc, f1"):
        KeepBest(1).plan(history)
    assert kept(KeepBest(1), [Version(number=1, created=START)]) == [1]


def test_keep_best_ignores_values_that_are_no_numbers():
    """Booleans, text and integers beyond all floats take no place."""
    values = [True, "0.1", 10**400, 0.5, 0.6]
    history = [
        Version(number=n, created=START, metrics={"loss": value})
        for n, value in enumerate(values, start=1)
    ]
    assert kept(KeepBest(1, "loss"), history) == [4, 5]


def test_keep_every_epoch_counts_ends_of_epochs():
    """A version in the middle of an epoch is at no multiple."""
    history = [
        Version(number=n, created=START, epoch=epoch, batch=batch)
        for n, (epoch, batch) in enumerate(
            [(0, None), (2, None), (2, 50), (3, None), (4, None), (None, None)], start=1
        )
    ]
    assert kept(KeepEvery(epochs=2), history) == [2, 5, 6]


def test_keep_every_step_counts_positive_multiples():
    """Step 0 and versions without a step are at no multiple."""
    history = [
        Version(number=n, created=START, step=step)
        for n, step in enumerate([0, 50, 100, 150, None, 200, 250], start=1)
    ]
    plan = KeepEvery(steps=100).plan(history)
    assert numbers(plan.keep) == [3, 6, 7]
    assert plan.reasons[3] == (
        "kept: step 100, a multiple of 100 (KeepEvery(steps=100))",
    )


def test_keep_within_excludes_the_far_edge():
    """Of versions a day apart, seven days hold seven."""
    history = versions(count=10, every=timedelta(days=1))
    plan = KeepWithin("7 days").plan(history)
    assert numbers(plan.keep) == [4, 5, 6, 7, 8, 9, 10]
    assert plan.reasons[4] == (
        "kept: within 7 days of the newest (KeepWithin('7 days'))",
    )


def test_keep_tagged_matches_patterns_with_case():
    """The rule says which tags it means; the guard keeps the others all the same."""
    history = versions(count=3, tags={1: ("prod-eu", "prod-us"), 2: ("Prod",)})
    plan = KeepTagged("prod*").plan(history)
    assert numbers(plan.keep) == [1, 2, 3]
    assert plan.reasons[1][0] == (
        "kept: tagged 'prod-eu', 'prod-us' (KeepTagged('prod*'))"
    )
    assert plan.reasons[2] == ("kept: tagged 'Prod' (guard)",)


@pytest.mark.parametrize(
    ("limit", "survivors"),
    [
        pytest.param(1, [4], id="the newest does not fit and is guarded"),
        pytest.param("100 B", [4], id="exactly one"),
        pytest.param("1.3 kB", [4], id="a gap is not filled by smaller ones"),
        pytest.param("1400 B", [3, 4], id="exactly two"),
        pytest.param("1 TiB", [1, 2, 3, 4], id="all"),
    ],
)
def test_keep_size_keeps_the_newest_that_fit(limit, survivors):
    """Counting ends at the first version that does not fit."""
    assert kept(KeepSize(limit), versions(sizes=[1, 1, 1300, 100])) == survivors


def test_keep_size_in_a_union_may_keep_more_when_pruning_as_you_go():
    """The one exception to the law, as it is written at the class.

    Version 3 is large and goes when 4 comes, while 2 stays as the best. When 5
    becomes the best, nothing large stands between 4 and 2 any more.
    """
    policy = KeepSize(10) | KeepBest(1)
    history = versions([0.9, 0.2, 0.9, 0.9, 0.1], sizes=[1, 1, 100, 1, 1])
    survivors = []
    for version in history:
        survivors = list(policy.plan([*survivors, version]).keep)
    assert numbers(survivors) == [2, 4, 5]
    assert kept(policy, history) == [4, 5]


def test_a_rule_of_ones_own_joins_in():
    """A frozen dataclass with `_wanted` is a rule like the others."""

    @dataclasses.dataclass(frozen=True, repr=False)
    class KeepOdd(RetentionRule):
        @property
        def explanation(self):
            return "versions with an odd number"

        def _wanted(self, versions):
            return {v.number: "odd" for v in versions if v.number % 2}

    policy = KeepOdd() | KeepLast(1)
    assert kept(policy, versions(count=4)) == [1, 3, 4]
    assert policy.explanation == "versions with an odd number, and the newest version"


# The union


def test_a_union_keeps_what_any_rule_keeps():
    """Every rule sees all versions, also those that another rule keeps."""
    policy = KeepLast(1) | KeepBest(1) | KeepEvery(epochs=2)
    assert kept(policy, versions([0.1, 0.5, 0.5, 0.5, 0.5])) == [1, 2, 4, 5]


def test_a_union_is_flat_and_has_no_repetitions():
    """`|` joins rules, however they are grouped."""
    policy = (KeepLast(1) | KeepBest(2)) | (KeepLast(1) | KeepDaily(3))
    assert policy.rules == (KeepLast(1), KeepBest(2), KeepDaily(3))


def test_there_is_no_intersection():
    """`&` is a TypeError that says why."""
    with pytest.raises(TypeError, match="pruning after every save"):
        KeepLast(1) & KeepBest(2)
    with pytest.raises(TypeError, match="pruning after every save"):
        (KeepLast(1) | KeepBest(2)) & KeepLast(3)


@pytest.mark.parametrize("other", [Numbered(), 3, None, "KeepLast(1)"])
def test_families_do_not_mix(other):
    """A retention policy joins retention policies only."""
    with pytest.raises(TypeError, match="unsupported operand"):
        KeepLast(1) | other
    with pytest.raises(TypeError, match="unsupported operand"):
        KeepLast(1) & other


# What is printed and what is filled in


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (KeepAll(), "every version"),
        (KeepLast(1), "the newest version"),
        (KeepLast(3), "the 3 newest versions"),
        (KeepBest(1), "the best by the monitored metric"),
        (KeepBest(2, "val_f1", "max"), "the 2 best by val_f1 (max)"),
        (KeepEvery(epochs=10), "the versions at the end of a multiple of 10 epochs"),
        (KeepEvery(steps=500), "the versions at a multiple of 500 steps"),
        (KeepWithin("1 week"), "the versions within 7 days of the newest"),
        (KeepDaily(1), "the newest version of each of the last day that has one"),
        (
            KeepWeekly(4, timezone="CET"),
            "the newest version of each of the last 4 weeks that have one in CET",
        ),
        (KeepTagged("prod*"), "the versions tagged 'prod*'"),
        (KeepSize(20_000_000_000), "the newest versions that fit into 20 GB"),
        (
            KeepLast(3) | KeepBest(2, "val_loss"),
            "the 3 newest versions, and the 2 best by val_loss",
        ),
    ],
)
def test_a_policy_explains_itself(policy, text):
    """`explanation` is the policy in English."""
    assert policy.explanation == text


@pytest.mark.parametrize("policy", EXAMPLES, ids=repr)
def test_a_policy_prints_as_it_is_written(policy):
    """The repr evaluates and parses back to an equal policy."""
    assert eval(repr(policy), vars(retention)) == policy
    assert parse_retention(repr(policy)) == policy


def test_resolved_fills_in_monitor_and_mode():
    """Only what is missing is asked for."""
    asked = []

    def mode_of(metric):
        asked.append(metric)
        return "max"

    policy = KeepBest(1) | KeepBest(2, "f1") | KeepBest(3, "loss", "min") | KeepLast(4)
    assert policy.resolved("acc", mode_of) == (
        KeepBest(1, "acc", "max")
        | KeepBest(2, "f1", "max")
        | KeepBest(3, "loss", "min")
        | KeepLast(4)
    )
    assert asked == ["acc", "f1"]


def test_resolved_lets_the_question_fail():
    """An unknown direction is the error of whoever was asked."""

    def mode_of(metric):
        raise ValueError(f"no direction of {metric}")

    with pytest.raises(ValueError, match="no direction of acc"):
        (KeepLast(1) | KeepBest(1)).resolved("acc", mode_of)
    assert KeepLast(1).resolved("acc", mode_of) == KeepLast(1)


# One meaning, one policy


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("7 days", "7 days"),
        ("1 week", "7 days"),
        (" 1WEEK ", "7 days"),
        ("168 hours", "7 days"),
        (timedelta(days=7), "7 days"),
        (relativedelta(weeks=1), "7 days"),
        ("1 month 12 hours", "1 month 12 hours"),
        ("12 hours 1 month", "1 month 12 hours"),
        (relativedelta(months=1, hours=12), "1 month 12 hours"),
        ("18 months", "1 year 6 months"),
        ("90 minutes", "1 hour 30 minutes"),
        (timedelta(days=1, seconds=-1), "23 hours 59 minutes 59 seconds"),
        (timedelta(microseconds=1_500_000), "1 second 500000 microseconds"),
        (relativedelta(days=1.5), "1 day 12 hours"),
        ("9999 years", "9999 years"),
    ],
)
def test_a_duration_has_one_form(given, text):
    """However a duration is given, equal ones make equal policies."""
    assert KeepWithin(given).duration == text
    assert KeepWithin(given) == KeepWithin(text)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("20 GB", "20 GB"),
        ("20gb", "20 GB"),
        (20_000_000_000, "20 GB"),
        ("20000 MB", "20 GB"),
        ("1.5 GB", "1500 MB"),
        ("1024 MiB", "1 GiB"),
        ("0.5 KiB", "512 B"),
        (1, "1 B"),
    ],
)
def test_a_size_has_one_form(given, text):
    """However a size is given, equal ones make equal policies."""
    assert KeepSize(given).limit == text
    assert KeepSize(given) == KeepSize(text)


def test_auto_is_another_word_for_no_mode():
    """`mode="auto"`, as Keras has it, leaves the mode open."""
    assert KeepBest(1, "val_loss", "auto") == KeepBest(1, "val_loss")


# What is refused

COUNTED = [
    KeepLast,
    KeepBest,
    KeepHourly,
    KeepDaily,
    KeepWeekly,
    KeepMonthly,
    KeepYearly,
    lambda n: KeepEvery(epochs=n),
    lambda n: KeepEvery(steps=n),
]


@pytest.mark.parametrize("make", COUNTED)
@pytest.mark.parametrize("n", [0, -5])
def test_a_count_below_one_is_refused(make, n):
    """There is no rule that keeps nothing."""
    with pytest.raises(ValueError, match=rf"must be 1 or more\. Received: \w+={n}"):
        make(n)


@pytest.mark.parametrize("make", COUNTED)
@pytest.mark.parametrize("n", [True, 1.0, "1", [1]])
def test_a_count_that_is_no_integer_is_refused(make, n):
    """Booleans, floats and text are no counts."""
    with pytest.raises(TypeError, match=r"must be an integer\. Received: \w+="):
        make(n)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: KeepBest(1, ""), ValueError, "`monitor` must not be empty"),
        (lambda: KeepBest(1, 3), TypeError, "Received: monitor=3"),
        (lambda: KeepBest(1, "a", "best"), ValueError, "Received: mode='best'"),
        (lambda: KeepEvery(), ValueError, "either `epochs` or `steps`"),
        (lambda: KeepEvery(epochs=1, steps=1), ValueError, "either `epochs` or"),
        (lambda: KeepTagged(""), ValueError, "`pattern` must not be empty"),
        (lambda: KeepTagged(3), TypeError, "Received: pattern=3"),
        (lambda: KeepDaily(1, timezone="Mars/X"), ValueError, "timezone='Mars/X'"),
        (lambda: KeepDaily(1, timezone=""), ValueError, "timezone=''"),
        (lambda: KeepDaily(1, timezone="EST5EDT4,M3.2.0,M11.1.0"), ValueError, "EST5"),
        (lambda: KeepDaily(1, timezone="/etc/localtime"), ValueError, "/etc/local"),
        (lambda: KeepDaily(1, timezone="../UTC"), ValueError, "../UTC"),
        (lambda: KeepDaily(1, timezone=None), TypeError, "timezone=None"),
        (lambda: KeepAny((KeepLast(1),)), ValueError, "two rules or more"),
    ],
)
def test_nonsense_is_refused(make, error, message):
    """Wrong arguments raise in the constructor and are shown."""
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("duration", "error"),
    [
        ("", ValueError),
        ("7", ValueError),
        ("days", ValueError),
        ("7 fortnights", ValueError),
        ("7 days 3", ValueError),
        ("1 day 2 days", ValueError),
        ("1 day 1 day", ValueError),
        ("-7 days", ValueError),
        ("1.5 days", ValueError),
        ("0 days", ValueError),
        ("10000 years", ValueError),
        ("999999999 weeks", ValueError),
        ("9" * 5000 + " days", ValueError),
        ("\u0667 days", ValueError),
        (timedelta(0), ValueError),
        (timedelta(seconds=-1), ValueError),
        (relativedelta(months=1, days=-1), ValueError),
        (relativedelta(days=1, weekday=0), ValueError),
        (relativedelta(days=1, year=2026), ValueError),
        (relativedelta(days=1, leapdays=1), ValueError),
        (7, TypeError),
        (None, TypeError),
    ],
)
def test_what_is_no_duration_is_refused(duration, error):
    """A window is longer than nothing, and cannot be misread."""
    with pytest.raises(error, match=r"`duration` must .*Received: duration="):
        KeepWithin(duration)


@pytest.mark.parametrize(
    ("limit", "error"),
    [
        ("", ValueError),
        ("20", ValueError),
        ("GB", ValueError),
        ("20 Gb/s", ValueError),
        ("-1 GB", ValueError),
        ("1e3 GB", ValueError),
        ("0 GB", ValueError),
        ("0.5 B", ValueError),
        (0, ValueError),
        (-1, ValueError),
        (True, TypeError),
        (1.5, TypeError),
        (None, TypeError),
    ],
)
def test_what_is_no_size_is_refused(limit, error):
    """A limit is a whole number of bytes, 1 or more."""
    with pytest.raises(error, match=r"`limit` must .*Received: limit="):
        KeepSize(limit)


# The text form


def test_text_is_read_as_it_is_written_by_hand():
    """Spaces, parentheses, either quotes and names of arguments are all right."""
    policy = parse_retention(
        " KeepLast(n=3)|(KeepBest(2,\"f1\",mode='max') | KeepDaily(7,timezone='UTC'))\n"
    )
    assert policy == KeepLast(3) | KeepBest(2, "f1", "max") | KeepDaily(7)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "KeepLast",
        "KeepLast(3) &",
        "KeepLast(3) & KeepBest(2)",
        "KeepLast(3) | 3",
        "KeepNone()",
        "KeepAny((KeepLast(1), KeepLast(2)))",
        "KeepLast()",
        "KeepLast(0)",
        "KeepLast(n)",
        "KeepLast(*[3])",
        "KeepLast(**{'n': 3})",
        "KeepLast(3, 4)",
        "KeepLast(__import__('os').getpid())",
        "retention.KeepLast(3)",
        "(lambda: KeepLast(3))()",
        "KeepLast(3); KeepLast(4)",
        "KeepLast(3)\0",
        "(" * 5000 + "KeepLast(3)" + ")" * 5000,
        "KeepTagged('" + "x" * 20_000 + "')",
        "KeepTagged(" + "-" * 5000 + "1)",
    ],
)
def test_what_is_no_policy_is_refused(text):
    """Text that is no policy is a ValueError, whatever it is."""
    with pytest.raises(ValueError, match="`text` must"):
        parse_retention(text)


def test_a_long_union_is_read():
    """The depth of the text is not the depth of the stack."""
    text = " | ".join(f"KeepLast({n})" for n in range(1, 501))
    assert len(parse_retention(text).rules) == 500


def test_the_error_lists_the_rules():
    """Not found says what exists."""
    with pytest.raises(ValueError, match=r"'KeepFirst'.*KeepLast, KeepBest"):
        parse_retention("KeepFirst(3)")


def test_only_text_is_parsed():
    """A policy is no text."""
    with pytest.raises(TypeError, match="`text` must be a string"):
        parse_retention(KeepLast(3))


# The clock


@pytest.mark.parametrize("policy", EXAMPLES, ids=repr)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Honolulu", "Pacific/Kiritimati"])
def test_no_clock_costs_a_plan(policy, zone):
    """The first and the last instant there are can be planned like any other."""
    if hasattr(policy, "timezone"):
        policy = dataclasses.replace(policy, timezone=zone)
    ends = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
    assert 4 in kept(policy, versions([0.1, 0.2, 0.3, 0.4], created=ends * 2))
