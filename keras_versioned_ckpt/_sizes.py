"""Sizes as people write them: `"20 GB"`, `"1.5 GiB"`."""

import re
from decimal import Decimal

# The units of ISO/IEC 80000-13, the largest first.
_UNITS = {
    "TiB": 1024**4,
    "TB": 1000**4,
    "GiB": 1024**3,
    "GB": 1000**3,
    "MiB": 1024**2,
    "MB": 1000**2,
    "KiB": 1024,
    "kB": 1000,
    "B": 1,
}
_FACTORS = {unit.lower(): factor for unit, factor in _UNITS.items()}
_TEXT = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]{1,20})?)\s*([A-Za-z]+)\s*", re.ASCII)


def as_bytes(value: object) -> int:
    """Reads a size.

    Args:
        value: Text of a number and a unit (B, kB, MB, GB, TB are powers of
            1000; KiB, MiB, GiB, TiB powers of 1024; upper and lower case are the
            same), or an integer number of bytes.

    Returns:
        The size in bytes, 1 or more.

    Raises:
        TypeError: If `value` is neither text nor an integer.
        ValueError: If the text is no size, or the size is not a whole number
            of bytes, or is less than one.
    """
    if isinstance(value, str):
        match = _TEXT.fullmatch(value)
        factor = _FACTORS.get(match[2].lower()) if match else None
        if match is None or factor is None:
            raise ValueError(
                f"`limit` must be a number with one of the units {', '.join(_UNITS)}. "
                f'Received: limit={value!r}. Pass for example "20 GB".'
            )
        exact = Decimal(match[1]) * factor
    elif isinstance(value, int) and not isinstance(value, bool):
        exact = Decimal(value)
    else:
        raise TypeError(
            "`limit` must be text or an integer number of bytes. "
            f'Received: limit={value!r}. Pass for example "20 GB".'
        )
    if exact < 1 or exact != int(exact):
        raise ValueError(
            "`limit` must be a whole number of bytes, 1 or more. "
            f'Received: limit={value!r}. Pass for example "20 GB".'
        )
    return int(exact)


def size_text(size_bytes: int) -> str:
    """Returns the one exact text of a size, which `as_bytes` reads back."""
    unit, factor = next(
        (unit, factor) for unit, factor in _UNITS.items() if size_bytes % factor == 0
    )
    return f"{size_bytes // factor} {unit}"
