"""How much memory is free."""

import os
from pathlib import Path

import pytest

from keras_versioned_ckpt import _memory

MEMINFO = "MemTotal:       24599908 kB\nMemFree: 5 kB\nMemAvailable:   2000 kB\n"


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up /proc and /sys with nothing in it."""
    monkeypatch.setattr(_memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(_memory, "_OWN_GROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(_memory, "_GROUPS", tmp_path / "groups")
    return tmp_path


def put(path: Path, text: str) -> None:
    """Writes a file and the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_this_machine() -> None:
    """It has some memory, and not more than is in it."""
    available = _memory.available_bytes()
    assert available is not None
    assert 0 < available < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_a_system_that_does_not_say(system: Path) -> None:
    """Not knowing is not the same as none."""
    assert _memory.available_bytes() is None


def test_the_machine(system: Path) -> None:
    """Not what is unused, but what could be had without swapping."""
    put(system / "meminfo", MEMINFO)
    assert _memory.available_bytes() == 2000 * 1024


def test_a_container_of_version_2(system: Path) -> None:
    """Its limit less what it uses; cached files can be dropped."""
    put(system / "meminfo", MEMINFO)
    put(system / "cgroup", "0::/box\n")
    put(system / "groups/box/memory.max", "1000000\n")
    put(system / "groups/box/memory.current", "900000\n")
    put(system / "groups/box/memory.stat", "anon 1\ninactive_file 50000\n")
    assert _memory.available_bytes() == 150_000


def test_a_container_without_a_limit(system: Path) -> None:
    """The machine decides then."""
    put(system / "meminfo", MEMINFO)
    put(system / "cgroup", "0::/box\n")
    put(system / "groups/box/memory.max", "max\n")
    put(system / "groups/box/memory.current", "900000\n")
    assert _memory.available_bytes() == 2000 * 1024


def test_the_tightest_of_nested_groups(system: Path) -> None:
    """A group cannot take what the one around it has not."""
    put(system / "cgroup", "0::/outer/inner\n")
    put(system / "groups/outer/inner/memory.max", "500000\n")
    put(system / "groups/outer/inner/memory.current", "0\n")
    put(system / "groups/outer/memory.max", "600000\n")
    put(system / "groups/outer/memory.current", "599000\n")
    assert _memory.available_bytes() == 1000


def test_a_container_of_version_1_that_sees_itself_as_the_root(system: Path) -> None:
    """The path it is told is that of the host, and is not there."""
    put(system / "cgroup", "5:cpu:/docker/abc\n4:memory:/docker/abc\n")
    put(system / "groups/memory/memory.limit_in_bytes", "3000\n")
    put(system / "groups/memory/memory.usage_in_bytes", "4000\n")
    put(system / "groups/memory/memory.stat", "total_inactive_file 500\n")
    assert _memory.available_bytes() == 0
