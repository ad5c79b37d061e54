"""How much memory this process may still take before the system runs short of it."""

from collections.abc import Iterator
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def available_bytes() -> int | None:
    """Returns the bytes that are free, or `None` where the system does not say.

    On Linux that is the smallest of what the machine could give without swapping and
    what the limit of each control group of this process leaves, so that a container
    is seen as well.
    """
    found = [_of_machine(), *map(_of_group, _groups())]
    return min((count for count in found if count is not None), default=None)


def _of_machine() -> int | None:
    for line in _text(_MEMINFO).splitlines():
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def _groups() -> Iterator[Path]:
    """Yields the directories of the memory groups that this process is in."""
    for line in _text(_OWN_GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        # Version 2 of control groups names no controllers.
        if controllers == "" or "memory" in controllers.split(","):
            top = _GROUPS / controllers
            own = top / path.lstrip("/")
            # A container often sees its own group as the root.
            yield from (own, *(above for above in own.parents if top in above.parents))
            yield top


def _of_group(group: Path) -> int | None:
    """Returns what a group's limit leaves; files that can be dropped count as free."""
    for limit, usage, droppable in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        most, used = _text(group / limit).strip(), _text(group / usage).strip()
        if most.isdigit() and used.isdigit():
            return max(0, int(most) - int(used) + _stat(group, droppable))
    return None


def _stat(group: Path, name: str) -> int:
    for line in _text(group / "memory.stat").splitlines():
        if line.startswith(f"{name} "):
            return int(line.split()[1])
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""  # another system, or a group without this file: it says nothing
