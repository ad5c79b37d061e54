"""Real saves while the clock jumps: order, retention, selection, names, triggers."""

import sys

import pytest

from faults import clocks
from faults.outcome import tried


@pytest.mark.skipif(sys.platform == "win32", reason="NOT TESTED: TZ moves no clock")
@pytest.mark.parametrize(
    ("name", "points"),
    [("a clock that jumps", 31), ("a clock that jumps during fit", 4)],
)
def test_no_clock_changes_what_is_right(name, points, tmp_path):
    """Back a day, ahead to 2038, lost, and in both nights of a clock change."""
    row = tried(name, clocks.FAULTS[name], tmp_path, True)
    assert row.failures == []
    assert row.points == points
