"""A sample of every fault that `make faults` tries."""

from pathlib import Path
from typing import Any

import pytest

from faults.__main__ import faults
from faults.outcome import tried

FAULTS = faults([])


@pytest.mark.parametrize("name", FAULTS)
def test_a_sample_loses_nothing(name: str, tmp_path: Path, record_property: Any):
    """Each version that was reported is there and whole, and the store goes on."""
    row = tried(name, FAULTS[name], tmp_path, True)
    if row.skipped:
        pytest.skip(f"NOT TESTED: {name}, since {row.skipped}")
    # `conftest.py` shows this at the end.
    record_property("faults", f"{name}: {row.points} points tried, {row.failed} failed")
    assert row.points > 0
    assert row.failed == 0, "\n".join(row.failures)
