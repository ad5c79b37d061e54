"""Ways to damage a file or a directory of a store."""

import functools
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

Act = Callable[[Path], None]


class Damage(NamedTuple):
    """One way to damage a store, given its directory."""

    name: str
    act: Act


def flip(path: Path, offset: int, bit: int) -> None:
    """Flips one bit of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def remove(path: Path) -> None:
    """Deletes whatever stands at a path, without following it."""
    if stat.S_ISDIR(path.lstat().st_mode):
        shutil.rmtree(path)
    else:
        path.unlink()


def instead(path: Path, put: Act) -> None:
    """Puts something in the place of what stands at a path."""
    remove(path)
    put(path)


def _full_directory(path: Path) -> None:
    path.mkdir()
    # No name of a tag: one that nobody remembers is refused until it is removed.
    (path / "notes (1)").write_bytes(b"somebody's")


def strangers(outside: str, sibling: str | None = None) -> dict[str, Act]:
    """Returns what may stand in the place of something else.

    Args:
        outside: What a link to something outside the store names, from beside it.
        sibling: What a link to something within the store names, from its directory.
    """

    def link(target: str) -> Act:
        def put(path: Path) -> None:
            store = next(p for p in path.parents if (p / "version_1").exists())
            path.symlink_to(store / target)

        return put

    found: dict[str, Act] = {
        "empty directory": Path.mkdir,
        "full directory": _full_directory,
        "pipe": os.mkfifo,
        "dangling link": link("nowhere"),
        "link outside": link(f"../outside/{outside}"),
    }
    if sibling:
        found["link to a sibling"] = link(sibling)
    return found


def of_file(
    relative: str, size: int, flips: int, outside: str, sibling: str | None = None
) -> Iterator[Damage]:
    """Yields the damages of one file of so many bytes, with so many flipped bits."""

    def damage(what: str, act: Act) -> Damage:
        return Damage(f"{relative}: {what}", lambda store: act(store / relative))

    lengths = sorted({1, size // 2, size - 1} - {0, size}) if size > 1 else []
    for length in lengths:
        yield damage(
            f"truncated to {length}", functools.partial(os.truncate, length=length)
        )
    if size:
        yield damage("emptied", functools.partial(os.truncate, length=0))
    # From the first byte to the last, and all bits of a byte in turn.
    offsets = {round(i * (size - 1) / max(flips - 1, 1)) for i in range(flips)}
    for i, offset in enumerate(sorted(offsets) if size else []):
        act = functools.partial(flip, offset=offset, bit=i % 8)
        yield damage(f"bit {i % 8} of byte {offset} flipped", act)
    yield damage("removed", remove)
    for what, put in strangers(outside, sibling).items():
        yield damage(what, functools.partial(instead, put=put))


def sample(damages: Iterator[Damage], quick: bool, step: int) -> list[Damage]:
    """Returns all damages, or every so many of them where a sample is enough."""
    return list(damages)[1::step] if quick else list(damages)


def of_directory(relative: str, sibling: str | None = None) -> Iterator[Damage]:
    """Yields the damages of one directory."""
    yield Damage(f"{relative}: removed", lambda store: remove(store / relative))
    others = strangers("directory", sibling)
    others["file"] = lambda path: path.write_bytes(b"somebody's") and None
    for what, put in others.items():
        yield Damage(
            f"{relative}: {what}",
            lambda store, put=put: instead(store / relative, put),
        )
