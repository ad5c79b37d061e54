"""Instants on a line."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt._timescale import CUT, Timescale

from .factories import START

MINUTE = timedelta(minutes=1)
INSTANTS = st.datetimes(timezones=st.just(UTC))


def burst(begin: datetime, count: int = 30) -> list[datetime]:
    """Returns an event per minute."""
    return [begin + i * MINUTE for i in range(count)]


def test_a_line_is_even() -> None:
    """Where there is no long idle time."""
    scale = Timescale(burst(START, 11), 0, 100)
    assert scale.cuts == []
    assert [scale.place(START + i * MINUTE) for i in (0, 5, 10)] == [0, 50, 100]


def test_events_beyond_the_line_are_at_its_ends() -> None:
    """Such as now, which may be weeks later."""
    scale = Timescale(burst(START, 11), 0, 100)
    assert scale.place(START - timedelta(days=1)) == 0
    assert scale.place(START + timedelta(days=99)) == 100


def test_a_long_idle_time_is_cut_out() -> None:
    """Both trainings are as wide as they would be one after the other."""
    later = START + timedelta(days=20)
    scale = Timescale(burst(START) + burst(later), 0, 200)
    half = (200 - CUT) / 2
    assert scale.cuts == [(half, half + CUT)]
    assert scale.place(later) == half + CUT
    assert scale.place(START + 29 * MINUTE) == half


def test_what_happens_once_in_a_while_is_not_cut() -> None:
    """A version a day is an even line."""
    assert Timescale([START + timedelta(days=i) for i in range(9)], 0, 100).cuts == []


def test_a_single_instant_is_where_the_line_begins() -> None:
    """What began then is drawn from there to the end."""
    assert Timescale([START], 10, 90).place(START) == 10


def test_ticks_are_at_round_times_and_where_parts_begin() -> None:
    """The day is said where it is another than before."""
    begin, later = START + timedelta(minutes=3), START + timedelta(days=20)
    scale = Timescale(burst(begin, 60) + burst(later, 60), 0, 600)
    ticks = scale.ticks(70)
    assert [(tick.time, tick.date) for tick in ticks] == [
        *(("12:03", "2026-11-20"), ("12:30", ""), ("12:45", "")),
        *(("12:00", "2026-12-10"), ("12:15", ""), ("12:30", ""), ("12:45", "")),
    ]
    assert all(b.at - a.at >= 70 for a, b in itertools.pairwise(ticks))


@given(st.lists(INSTANTS, min_size=1, max_size=40), st.floats(60, 1000))
def test_any_instants_are_in_order_on_the_line(
    instants: list[datetime], width: float
) -> None:
    """None leaves it, and no tick does, however far apart they are."""
    scale = Timescale(instants, 0, width)
    places = [scale.place(instant) for instant in sorted(instants)]
    assert places == sorted(places)
    assert places[0] >= 0
    assert places[-1] <= width + 1e-6
    ticks = scale.ticks(50)
    assert ticks
    assert ticks[0].date
    assert all(-1e-6 <= tick.at <= width + 1e-6 for tick in ticks)


@pytest.mark.parametrize("year", [1, 9999])
def test_the_ends_of_the_calendar(year: int) -> None:
    """A clock that was never set costs no report."""
    edge = datetime(year, 12 if year > 1 else 1, 31, tzinfo=UTC)
    assert Timescale([edge, START, START + MINUTE], 0, 300).ticks(50)
