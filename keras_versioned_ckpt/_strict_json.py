"""JSON without its loose ends, for text that anybody may have written.

Refused: anything but UTF-8 without a byte order mark, a key that comes twice,
`NaN` and `Infinity`, numbers that overflow to infinity, integers beyond 2**53
(they change value in other readers), lone surrogates, NUL characters, and
documents that are too long or too deep.
"""

import json
import math
from typing import Any, NoReturn

MAX_INTEGER = 2**53
MAX_DEPTH = 32


def loads(data: bytes, max_bytes: int) -> Any:
    """Parses one JSON document.

    Args:
        data: The document's bytes.
        max_bytes: The longest document to accept; longer ones are not parsed.

    Returns:
        The value, made of `dict`, `list`, `str`, `int`, `float`, `bool` and `None`.

    Raises:
        ValueError: If the document breaks any rule of this module.
    """
    if len(data) > max_bytes:
        raise ValueError(f"it is longer than {max_bytes} bytes")
    text = data.decode("utf-8")
    if text.startswith("\ufeff"):
        raise ValueError("it begins with a byte order mark")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite_float,
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from None
    check(value)
    return value


def dumps(value: Any, *, indent: int | None = None) -> bytes:
    """Writes `value` so that `loads` reads back the same.

    Raises:
        TypeError: If `value` holds something that JSON has no form for.
        ValueError: If it holds something that `loads` would refuse.
    """
    check(value)
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(
        value,
        allow_nan=False,
        ensure_ascii=False,
        indent=indent,
        separators=separators,
    )
    return text.encode("utf-8") + b"\n"


def check(value: Any, depth: int = 0) -> None:
    """Raises `TypeError` or `ValueError` where `value` is not strict JSON."""
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a key is not a string but {type(key).__name__}")
            _check_text(key)
            check(item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check(item, depth + 1)
    elif isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"a number is not finite: {value}")
    elif isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise ValueError("an integer is beyond 2**53")
    elif value is not None:
        raise TypeError(f"JSON has no form for {type(value).__name__}")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("a string holds a NUL character")
    # Only a lone surrogate fails here; the UnicodeEncodeError is a ValueError.
    text.encode("utf-8")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key comes twice in one object")
    return result


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number overflows to infinity")
    return value
