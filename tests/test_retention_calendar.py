"""What the rules of time keep on the days on which time is difficult.

Every expectation is worked out by hand, from three sources: a calendar of the
year, the dates of the clock changes, and these offsets from UTC.

* Berlin is at +01:00, in summer +02:00. In 2026 its clock goes from 2:00 to 3:00
  on Sunday, March 29, and from 3:00 to 2:00 on Sunday, October 25. Both are at
  01:00 in UTC, as everywhere in the European Union.
* Lord Howe Island is at +10:30, in summer +11:00: its clock moves by half an hour.
  In 2026 it goes from 2:00 back to 1:30 on Sunday, April 5, which is at 15:00 in
  UTC on April 4.
* Kathmandu is at +05:45, all year.
* Apia went from -10:00 to +14:00 at the end of Thursday, 2011-12-29. There was no
  Friday, December 30: at 10:00 in UTC on that day, Saturday began.
* St. John's was at -02:30 in the summer of 2006, and at -03:30 after. It changed
  at one minute past midnight: Sunday, October 29, had begun when at 00:01 (02:31 in
  UTC) the clock went back to 23:01 on Saturday.

Versions are numbered from 1 in the order of the instants, which are in UTC.
"""

from datetime import UTC, datetime

import pytest

from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.retention import (
    KeepDaily,
    KeepHourly,
    KeepMonthly,
    KeepWeekly,
    KeepWithin,
    KeepYearly,
)
from tests.factories import numbers


def history(*instants):
    """Returns versions 1, 2, 3 …, created at these instants of UTC."""
    return [
        Version(number=n, created=datetime.fromisoformat(text).replace(tzinfo=UTC))
        for n, text in enumerate(instants, start=1)
    ]


def reasons(policy, *instants):
    """Returns why each version is kept, without the name of the rule."""
    plan = policy.plan(history(*instants))
    return {v.number: plan.reasons[v.number][0].split(" (")[0] for v in plan.keep}


# Days


def test_the_newest_version_of_a_day_represents_it():
    """Of three days, the last two; of each, the last version."""
    policy = KeepDaily(2)
    assert reasons(
        policy,
        "2026-11-18T10:00",
        "2026-11-19T10:00",
        "2026-11-19T23:59:59.999999",
        "2026-11-20T00:00",
        "2026-11-20T12:00",
    ) == {
        3: "kept: newest of day 2026-11-19",
        5: "kept: newest of day 2026-11-20",
    }


def test_days_without_a_version_do_not_count():
    """A run that was paused for a month loses nothing by it."""
    days = ["2026-09-01", "2026-10-01", "2026-10-02", "2026-11-20"]
    assert numbers(KeepDaily(3).plan(history(*days)).keep) == [2, 3, 4]


@pytest.mark.parametrize(
    ("zone", "instants", "survivors"),
    [
        pytest.param(
            # 23 hours: from 23:00 on the 28th to 22:00 on the 29th.
            "Europe/Berlin",
            [
                "2026-03-28T22:59",
                "2026-03-28T23:00",
                "2026-03-29T21:59",
                "2026-03-29T22:00",
            ],
            [1, 3, 4],
            id="a day of 23 hours",
        ),
        pytest.param(
            # 25 hours: from 22:00 on the 24th to 23:00 on the 25th.
            "Europe/Berlin",
            [
                "2026-10-24T21:59",
                "2026-10-24T22:00",
                "2026-10-25T22:59",
                "2026-10-25T23:00",
            ],
            [1, 3, 4],
            id="a day of 25 hours",
        ),
        pytest.param(
            # Midnight is at 18:15 in UTC.
            "Asia/Kathmandu",
            ["2026-11-20T18:14", "2026-11-20T18:15", "2026-11-21T18:14"],
            [1, 3],
            id="an offset with 45 minutes",
        ),
        pytest.param(
            # 23:30 on the 28th, 0:00 on the 29th, 23:15 on the 28th, 0:15 on the 29th.
            "America/St_Johns",
            [
                "2006-10-29T02:00",
                "2006-10-29T02:30",
                "2006-10-29T02:45",
                "2006-10-29T03:45",
            ],
            [3, 4],
            id="a day that comes back",
        ),
    ],
)
def test_days_are_those_of_the_time_zone(zone, instants, survivors):
    """A day goes from midnight to midnight by the clock on the wall there."""
    assert (
        numbers(KeepDaily(7, timezone=zone).plan(history(*instants)).keep) == survivors
    )


def test_a_day_that_never_was():
    """In Apia, Thursday the 29th is followed by Saturday the 31st."""
    policy = KeepDaily(7, timezone="Pacific/Apia")
    assert reasons(policy, "2011-12-30T09:59", "2011-12-30T10:00") == {
        1: "kept: newest of day 2011-12-29",
        2: "kept: newest of day 2011-12-31",
    }


def test_the_same_instants_in_another_zone_are_other_days():
    """UTC is not asked what day it is in Berlin."""
    evening = history("2026-11-20T22:30", "2026-11-20T23:30")
    assert numbers(KeepDaily(7).plan(evening).keep) == [2]
    assert numbers(KeepDaily(7, timezone="Europe/Berlin").plan(evening).keep) == [1, 2]


# Hours


def test_the_repeated_hour_counts_as_two():
    """In Berlin on October 25, 2:30 comes twice; the offset tells which it is."""
    policy = KeepHourly(9, timezone="Europe/Berlin")
    assert reasons(
        policy, "2026-10-24T23:30", "2026-10-25T00:30", "2026-10-25T01:30"
    ) == {
        1: "kept: newest of hour 2026-10-25 01:00+02:00",
        2: "kept: newest of hour 2026-10-25 02:00+02:00",
        3: "kept: newest of hour 2026-10-25 02:00+01:00",
    }


def test_the_skipped_hour_is_none():
    """In Berlin on March 29, the minute after 1:59 is 3:00."""
    policy = KeepHourly(9, timezone="Europe/Berlin")
    assert reasons(policy, "2026-03-29T00:59", "2026-03-29T01:00") == {
        1: "kept: newest of hour 2026-03-29 01:00+01:00",
        2: "kept: newest of hour 2026-03-29 03:00+02:00",
    }


def test_half_an_hour_that_is_repeated_counts_too():
    """On Lord Howe, 1:45 comes twice; before 2:00 it is summer, then not."""
    policy = KeepHourly(9, timezone="Australia/Lord_Howe")
    assert reasons(
        policy, "2026-04-04T14:15", "2026-04-04T14:45", "2026-04-04T15:15"
    ) == {
        2: "kept: newest of hour 2026-04-05 01:00+11:00",
        3: "kept: newest of hour 2026-04-05 01:00+10:30",
    }


def test_hours_of_an_offset_with_45_minutes():
    """In Kathmandu hours begin at 15 minutes past in UTC."""
    policy = KeepHourly(9, timezone="Asia/Kathmandu")
    assert reasons(policy, "2026-11-20T10:14", "2026-11-20T10:15") == {
        1: "kept: newest of hour 2026-11-20 15:00+05:45",
        2: "kept: newest of hour 2026-11-20 16:00+05:45",
    }


def test_hours_of_utc_need_no_offset():
    """Where nothing is ambiguous, nothing is added."""
    assert reasons(KeepHourly(9), "2026-11-20T10:14", "2026-11-20T10:59") == {
        2: "kept: newest of hour 2026-11-20 10:00"
    }


# Weeks


@pytest.mark.parametrize(
    ("day", "week"),
    [
        # A week belongs to the year of its Thursday (ISO 8601). By the calendars:
        # 2020-12-31 is a Thursday, the 53rd of its year.
        ("2020-12-28", "2020-W53"),
        ("2020-12-31", "2020-W53"),
        ("2021-01-03", "2020-W53"),
        ("2021-01-04", "2021-W01"),
        # 2024-12-30 is a Monday; Thursday of that week is 2025-01-02.
        ("2024-12-29", "2024-W52"),
        ("2024-12-30", "2025-W01"),
        ("2025-01-05", "2025-W01"),
        # 2026-12-31 is a Thursday again; 2027-01-01 is the day after.
        ("2026-12-31", "2026-W53"),
        ("2027-01-01", "2026-W53"),
        ("2027-01-03", "2026-W53"),
        ("2027-01-04", "2027-W01"),
        # 2026 itself begins on a Thursday: its first week begins in December.
        ("2025-12-28", "2025-W52"),
        ("2025-12-29", "2026-W01"),
        ("2026-11-20", "2026-W47"),
    ],
)
def test_weeks_are_those_of_iso_8601(day, week):
    """Weeks begin on Monday; week 53 and week 1 may lie in the other year."""
    assert reasons(KeepWeekly(1), day) == {1: f"kept: newest of week {week}"}


def test_a_week_goes_on_over_new_year():
    """Thursday, December 31, and Sunday, January 3, are one week."""
    days = ["2026-12-27", "2026-12-31", "2027-01-03", "2027-01-04"]
    assert numbers(KeepWeekly(9).plan(history(*days)).keep) == [1, 3, 4]


def test_weeks_are_those_of_the_time_zone():
    """Sunday, 2026-01-04, 23:30 in UTC is Monday in Berlin."""
    instants = history("2026-01-04T22:30", "2026-01-04T23:30")
    assert numbers(KeepWeekly(9).plan(instants).keep) == [2]
    assert numbers(KeepWeekly(9, timezone="Europe/Berlin").plan(instants).keep) == [
        1,
        2,
    ]


# Months and years


def test_february_29_is_of_february():
    """A leap day is the newest of its month, and no month of its own."""
    days = ["2028-01-31", "2028-02-28", "2028-02-29", "2028-03-01"]
    assert reasons(KeepMonthly(12), *days) == {
        1: "kept: newest of month 2028-01",
        3: "kept: newest of month 2028-02",
        4: "kept: newest of month 2028-03",
    }


def test_the_same_month_of_two_years_is_two():
    """Months are counted with their years."""
    days = ["2025-11-20", "2026-11-20"]
    assert numbers(KeepMonthly(12).plan(history(*days)).keep) == [1, 2]


def test_years_are_those_of_the_time_zone():
    """In Berlin the year 2027 begins at 23:00 in UTC."""
    instants = ["2026-12-31T22:59", "2026-12-31T23:00", "2026-12-31T23:59"]
    assert reasons(KeepYearly(9, timezone="Europe/Berlin"), *instants) == {
        1: "kept: newest of year 2026",
        3: "kept: newest of year 2027",
    }


# Clocks that are wrong


def test_the_number_says_which_is_the_newest_of_a_period():
    """After the clock was set back, the later version has the earlier time."""
    assert numbers(
        KeepDaily(7).plan(history("2026-11-20T12:00", "2026-11-20T08:00")).keep
    ) == [2]


def test_equal_instants_are_ordered_by_number():
    """Two versions of one instant are told apart, here and below a second."""
    same = ["2026-11-20T12:00"] * 2
    below_a_second = ["2026-11-20T12:00:00.000001", "2026-11-20T12:00:00.000002"]
    for instants in (same, below_a_second):
        assert numbers(KeepHourly(9).plan(history(*instants)).keep) == [2]


def test_a_period_far_ahead_counts_like_any_other():
    """A version dated 2099 goes when enough later ones have periods of their own."""
    days = ["2026-11-18", "2099-01-01", "2026-11-19", "2026-11-20"]
    assert numbers(KeepDaily(3).plan(history(*days)).keep) == [2, 3, 4]
    assert numbers(KeepDaily(2).plan(history(*days)).keep) == [3, 4]


def test_a_day_that_the_clock_returns_to_is_still_one_day():
    """The newest of a day takes the place of the older, whatever lies between."""
    days = ["2026-11-20", "2026-11-21", "2026-11-20", "2026-11-22"]
    assert numbers(KeepDaily(9).plan(history(*days)).keep) == [2, 3, 4]


# Windows


@pytest.mark.parametrize(
    ("window", "edge", "newest"),
    [
        # Of each line the second instant is the window before the third. Where
        # the day of the month does not exist, the month's last one is taken.
        ("7 days", "2026-11-13T12:00", "2026-11-20T12:00"),
        ("90 minutes", "2026-11-20T10:30", "2026-11-20T12:00"),
        ("1 month", "2026-10-20T12:00", "2026-11-20T12:00"),
        ("1 month", "2026-02-28T12:00", "2026-03-28T12:00"),
        ("1 month", "2026-02-28T12:00", "2026-03-31T12:00"),
        ("1 month", "2024-02-29T12:00", "2024-03-31T12:00"),
        ("1 month", "2026-04-30T12:00", "2026-05-31T12:00"),
        ("2 months", "2025-12-28T12:00", "2026-02-28T12:00"),
        ("1 year", "2027-02-28T12:00", "2028-02-29T12:00"),
        ("4 years", "2024-02-29T12:00", "2028-02-29T12:00"),
        # The month goes first: February 28, 6:00; then the 12 hours.
        ("1 month 12 hours", "2026-02-27T18:00", "2026-03-31T06:00"),
        # Days are 24 hours in UTC, also where Berlin changes its clock.
        ("1 day", "2026-10-24T12:00", "2026-10-25T12:00"),
    ],
)
def test_the_far_edge_of_a_window(window, edge, newest):
    """The edge itself is excluded, a microsecond after it is within."""
    after = f"{edge}:00.000001"
    assert numbers(KeepWithin(window).plan(history(edge, after, newest)).keep) == [2, 3]


def test_a_window_counts_back_from_the_newest_version():
    """A store that nobody touched for years keeps what it had."""
    days = ["1999-12-01", "1999-12-30", "1999-12-31"]
    assert numbers(KeepWithin("7 days").plan(history(*days)).keep) == [2, 3]


def test_the_far_edge_never_steps_back():
    """A month before March 30, 12:00, is later than one before March 31, 6:00.

    What was too old on the 30th stays too old, so that pruning then and pruning
    now agree.
    """
    instants = ["2026-02-28T09:00", "2026-03-30T12:00", "2026-03-31T06:00"]
    assert numbers(KeepWithin("1 month").plan(history(*instants)).keep) == [2, 3]
    set_back = [instants[0], instants[2], instants[1]]
    assert numbers(KeepWithin("1 month").plan(history(*set_back)).keep) == [2, 3]
    without = [instants[0], instants[2]]
    assert numbers(KeepWithin("1 month").plan(history(*without)).keep) == [1, 2]


def test_a_clock_set_back_makes_older_versions_look_young():
    """They stay until the clock has come to where they were."""
    days = ["2026-11-20", "2026-11-10", "2026-11-11"]
    assert numbers(KeepWithin("1 day").plan(history(*days)).keep) == [1, 3]
    later = [*days, "2026-11-20T12:00", "2026-11-21T00:00"]
    assert numbers(KeepWithin("1 day").plan(history(*later)).keep) == [4, 5]


def test_a_clock_far_ahead_makes_older_versions_old():
    """The versions before go, as they would have then; the one ahead stays."""
    instants = ["2026-11-20T10:00", "2099-01-01T00:00", "2026-11-20T11:00"]
    assert numbers(KeepWithin("1 day").plan(history(*instants)).keep) == [2, 3]
    assert numbers(KeepWithin("1 day").plan(history(*instants[:2])).keep) == [2]


def test_a_window_longer_than_the_calendar_holds_everything():
    """There is no instant 9999 years before this one, so nothing lies before it."""
    days = ["0001-01-02", "2026-11-20"]
    assert numbers(KeepWithin("9999 years").plan(history(*days)).keep) == [1, 2]
    assert numbers(KeepWithin("7 days").plan(history(days[0])).keep) == [1]


def test_equal_instants_are_all_within():
    """A window that holds the newest holds what is as old as it."""
    same = ["2026-11-20T12:00"] * 3
    assert numbers(KeepWithin("1 microsecond").plan(history(*same)).keep) == [1, 2, 3]
