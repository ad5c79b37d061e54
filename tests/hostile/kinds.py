"""What a kind of hostile payload is, and the table of all of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

from keras_versioned_ckpt.errors import CorruptVersionError, UnsafeVersionError
from tests.hostile.forging import Honest

Make = Callable[[Honest], bytes]


@dataclasses.dataclass(frozen=True)
class Kind:
    """One way to make a payload hostile.

    Args:
        name: Its name.
        make: What makes the bytes.
        format: `"keras"` or `"weights"`.
        error: What it is refused with.
        part: The part of the payload that is hostile. Who loads weights into a model
            reads no description, and is not harmed by one.
    """

    name: str
    make: Make
    format: str
    error: type[Exception]
    part: str


KINDS: dict[str, Kind] = {}


def unsafe(make: Any) -> Any:
    """Notes that a payload is refused for how it is built."""
    make.error = UnsafeVersionError
    return _noted(make)


def damaged(make: Any) -> Any:
    """Notes that a payload is refused since nobody can read it."""
    make.error = CorruptVersionError
    return _noted(make)


def _noted(make: Any) -> Any:
    part = make.__module__.rpartition(".")[2]
    assert make.__doc__, make.__name__
    name = make.__name__
    if part == "weights":
        # In a file of its own, and in a `.keras` file.
        _add(Kind(f"{name}.h5", make, "weights", make.error, part))
        _add(Kind(f"{name}.keras", _inside(make), "keras", make.error, part))
    else:
        _add(Kind(name, make, "keras", make.error, part))
    return make


def _add(kind: Kind) -> None:
    assert kind.name not in KINDS, kind.name
    KINDS[kind.name] = kind


def _inside(make: Make) -> Make:
    def made(honest: Honest) -> bytes:
        from tests.hostile.forging import zipped

        return zipped({**honest.members, "model.weights.h5": make(honest)})

    return made
