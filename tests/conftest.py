"""What every test needs: a quiet backend and a place of its own."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Two workers share two cores; more threads only wait for each other.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

from pathlib import Path

import pytest


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A path where no store is yet."""
    return tmp_path / "store"


def pytest_configure(config: pytest.Config) -> None:
    """Makes a warning of this package an error, unless a test expects it."""
    # Here and not in setup.cfg, where naming the class would import the package
    # before its coverage is measured.
    warning = "keras_versioned_ckpt.errors.CheckpointWarning"
    config.addinivalue_line("filterwarnings", f"error::{warning}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows how many points of each fault were tried, and how many failed."""
    lines = [
        text
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, text in report.user_properties
        if name == "faults"
    ]
    if lines:
        terminalreporter.section("faults")
        for line in sorted(set(lines)):
            terminalreporter.write_line(line)
