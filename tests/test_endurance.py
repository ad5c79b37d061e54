"""A training with many saves; `make faults` runs one with thousands."""

import sys

import pytest

from faults import endurance
from faults.outcome import tried


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: measured in /proc")
def test_nothing_grows_with_the_number_of_saves(tmp_path):
    """Files, threads, memory, and the store beside its ledger stay as they are."""
    row = tried("many saves", endurance.FAULTS["thousands of saves"], tmp_path, True)
    assert row.failures == []
    assert row.points == 60
