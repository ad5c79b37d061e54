"""How many bytes of variables a description may make.

Two numbers in a description of a few hundred bytes ask for a layer of any size, and
Keras makes it before it looks at what the file holds for it. What a model needs is
known beforehand, though: its file holds the values.
"""

import contextlib
import functools
import math
import re
import threading
from collections.abc import Iterator
from typing import Any

import keras

from keras_versioned_ckpt.errors import UnsafeVersionError

_WIDEST_BITS = 64


class _Allowance(threading.local):
    """What this thread may still make; other threads go on as they are."""

    left: int | None = None
    refused: UnsafeVersionError | None = None


_allowance = _Allowance()
_lock = threading.Lock()


@contextlib.contextmanager
def variables(limit: int) -> Iterator[None]:
    """Limits the bytes of the variables that this thread makes, for a while.

    Raises:
        UnsafeVersionError: Where the limit is passed, before memory is taken; again at
            the end, if the first one was put aside.
    """
    _install()
    before = _allowance.left, _allowance.refused
    _allowance.left, _allowance.refused = limit, None
    try:
        yield
    except Exception as error:
        if _allowance.refused is not None:
            raise _allowance.refused from error
        raise
    else:
        if _allowance.refused is not None:
            raise _allowance.refused
    finally:
        _allowance.left, _allowance.refused = before


def _install() -> None:
    """Has Keras ask before it makes a variable; once, and for this process's life.

    A class that is changed back while another thread builds a model would no longer
    ask.
    """
    with _lock:
        original = keras.Variable.__init__
        if getattr(original, "asks", False):
            return

        @functools.wraps(original)
        def asking(self: Any, *args: Any, **kwargs: Any) -> None:
            if _allowance.left is not None:
                _ask(*args, **kwargs)
            original(self, *args, **kwargs)

        asking.asks = True  # type: ignore[attr-defined]
        keras.Variable.__init__ = asking


def _ask(
    initializer: Any = None, shape: Any = None, dtype: Any = None, *_: Any, **__: Any
) -> None:
    size = getattr(initializer, "nbytes", None)
    if not isinstance(size, int):
        size = math.prod(_sides(shape)) * _bits(dtype) // 8
    assert _allowance.left is not None
    _allowance.left -= size
    if _allowance.left < 0:
        _allowance.refused = UnsafeVersionError(
            "it describes a model of far more values than it holds. If you trust it, "
            "build the model yourself and pass it as `model=`"
        )
        raise _allowance.refused


def _sides(shape: Any) -> list[int]:
    sides = shape if isinstance(shape, (list, tuple)) else [shape]
    return [side for side in sides if isinstance(side, int)]


def _bits(dtype: Any) -> int:
    found = re.search(r"\d+", str(dtype or keras.config.floatx()))
    return min(int(found[0]), 2 * _WIDEST_BITS) if found else _WIDEST_BITS
