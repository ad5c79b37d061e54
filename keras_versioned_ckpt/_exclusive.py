"""A lock for file systems that have none: whoever makes a directory first has it.

The lock is a directory with one entry, whose name says who holds it. It is made
aside and renamed to its place, which every file system refuses while a directory
with something in it stands there. What a killed holder left is told from what is
alive by its process, and taken away by the name of its entry: that name is used only
once, so that two processes which clear the same one cannot clear a third's.

Processes of another machine cannot be looked at. What they hold is left alone.
"""

import contextlib
import errno
import os
import re
import stat
import zlib
from pathlib import Path

_HOLDER = re.compile(r"([0-9a-f]{8})\.([0-9]{1,9})\.([0-9]{1,20})\.[0-9a-f]{32}")
# What `rename` says where a directory that is not empty is in the way.
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY)
# When a process began that is alive, and hides that.
_UNKNOWN = "0"
# The entries of this process that are in use: one that could not be removed at its
# release must not keep the lock for as long as the process lives.
_in_use: set[str] = set()


def place(path: Path) -> Path:
    """Returns the directory that stands for the lock at `path`."""
    return path.with_name(f"{path.name}.held")


def take(path: Path) -> Path | None:
    """Takes the lock if nobody alive holds it.

    Args:
        path: What the lock is called.

    Returns:
        What to give to `release`, or `None` if it is held.
    """
    if is_held(path):
        return None
    # A name that the next one to clear what was left in the making knows. It may take
    # this for such, too, which is no more than having been slower.
    made = path.with_name(f".{path.name}.{os.urandom(16).hex()}.new")
    holder = f"{_machine()}.{os.getpid()}.{_began(os.getpid())}.{os.urandom(16).hex()}"
    taken = place(path) / holder
    _in_use.add(holder)
    try:
        made.mkdir()
        (made / holder).mkdir()
        made.rename(place(path))
        if taken.exists():
            return taken
    except BaseException as error:
        release(taken)
        release(made / holder)
        if isinstance(error, FileNotFoundError) or (
            isinstance(error, OSError) and error.errno in _TAKEN
        ):
            return None
        raise
    _in_use.discard(holder)
    return None


def release(taken: Path) -> None:
    """Gives back what `take` returned."""
    _in_use.discard(taken.name)
    # What cannot be removed now is cleared by the next one that asks.
    for directory in (taken, taken.parent):
        with contextlib.suppress(OSError):
            directory.rmdir()


def is_held(path: Path) -> bool:
    """Returns whether a process that may be alive holds the lock.

    What dead ones left is cleared.
    """
    return bool(holders(path))


def is_held_here(path: Path) -> bool:
    """Returns whether a process of this machine, which is alive, holds the lock.

    For those who have the system's own lock already: what a copied or downloaded store
    brought along from elsewhere holds up nobody.
    """
    return any(_is_of_here(name) for name in holders(path))


def holders(path: Path) -> list[str]:
    """Returns the names of those that hold the lock and may be alive: one, or none."""
    try:
        # Not through a link, behind which nothing is a lock.
        if not stat.S_ISDIR(os.lstat(place(path)).st_mode):
            return []
        found = os.listdir(place(path))
    except FileNotFoundError:
        return []
    alive = [name for name in found if _may_be_alive(name)]
    for name in set(found) - set(alive):
        # Anything but an empty directory was put there by somebody else.
        with contextlib.suppress(OSError):
            (place(path) / name).rmdir()
    return alive


def _is_of_here(holder: str) -> bool:
    match = _HOLDER.fullmatch(holder)
    return match is not None and match[1] == _machine()


def _may_be_alive(holder: str) -> bool:
    match = _HOLDER.fullmatch(holder)
    if match is None or not _is_of_here(holder):
        return True
    if int(match[2]) == os.getpid() and holder not in _in_use:
        return False
    return _began(int(match[2])) in (match[3], _UNKNOWN)


def _began(process: int) -> str:
    """Returns what tells a process from a later one of the same number; "" if dead."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        # No such directory here, or one that hides the processes of other users.
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return ""
        except PermissionError:
            pass  # another user's, and alive
        return _UNKNOWN
    # The second field is the program's name, which may hold anything. proc(5): the 3rd
    # field is the state, the 22nd when it began. A zombie has ended.
    fields = text.rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]


def _machine() -> str:
    """Returns what tells the processes that can be looked at from all others."""
    parts = [os.uname().nodename]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        # Containers of one machine do not see each other's processes.
        parts.append(os.readlink("/proc/self/ns/pid"))
    return f"{zlib.crc32(os.fsencode(chr(10).join(parts))):08x}"
