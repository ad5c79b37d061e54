"""Crowds of real processes on one store; `make faults` lets larger ones loose."""

import sys

import pytest

from faults import crowds
from faults.outcome import tried


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: /proc tells of locks")
@pytest.mark.parametrize("name", crowds.FAULTS)
def test_a_crowd_loses_nothing_and_shares_no_number(name, tmp_path):
    """Writers save, one prunes, one loads; some are killed, some are stopped."""
    row = tried(name, crowds.FAULTS[name], tmp_path, True)
    assert not row.skipped, row.skipped
    assert row.failures == []
    # Two writers, ten saves each, and the store when all was over.
    assert row.points == 21
