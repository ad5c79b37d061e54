"""A sample of every fault that `make faults` tries."""

from pathlib import Path
from typing import Any

import pytest

from faults.__main__ import faults
from faults.outcome import tried

FAULTS = faults([])
# How many points there are at least, where a sample is no matter of choice.
LEAST = {
    "a crowd": 21,
    "a crowd, writers killed": 21,
    "a crowd, members stopped": 21,
    "a clock that jumps": 31,
    "thousands of saves": 60,
    "kill, resume": 4,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_sample_loses_nothing(name: str, tmp_path: Path, record_property: Any):
    """Each version that was reported is there and whole, and the store goes on."""
    row = tried(name, FAULTS[name], tmp_path, True)
    if row.skipped:
        pytest.skip(f"NOT TESTED: {name}, since {row.skipped}")
    # `conftest.py` shows this at the end.
    record_property("faults", f"{name}: {row.points} points tried, {row.failed} failed")
    assert row.points >= LEAST.get(name, 1)
    assert row.failed == 0, "\n".join(row.failures)
