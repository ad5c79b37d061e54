"""Which tag is on which number, as the files of the tags say.

The file of a tag is called as the tag, and is one JSON object: `number`, and `crc32`,
the CRC-32 of the number's decimal digits, which MAY be missing.
"""

import bisect
import contextlib
import dataclasses
import operator
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_versioned_ckpt import _atomic, _names, _strict_json, _wire
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt.errors import StoreError, UnsafeVersionError
from keras_versioned_ckpt.records import Version

#: How many tags a store can have.
MOST = 10_000
_MAX_BYTES = 4096
_number = operator.attrgetter("number")


def record(number: int) -> bytes:
    """Returns what the file of a tag holds."""
    return _strict_json.dumps({"number": number, "crc32": _crc32(number)})


def read(layout: Layout) -> dict[str, int | None]:
    """Returns what the file of each tag says, `None` where it is damaged.

    Raises:
        UnsafeVersionError: If one is a link or anything but a file.
        StoreError: If there are more than `MOST`.
    """
    tags: dict[str, int | None] = {}
    try:
        names = sorted(os.listdir(layout.tags))
    except FileNotFoundError:
        return {}
    names = [name for name in names if _names.why_not_tag(name) is None]
    if len(names) > MOST:
        # Each is a file to be read, at every question.
        raise StoreError(
            f"There are {len(names)} tags in {layout.tags}, more than {MOST}. "
            "Remove the files of those that are not needed."
        )
    for name in names:
        # One that is gone was taken off since the listing.
        with contextlib.suppress(FileNotFoundError):
            tags[name] = _read(layout.tags / name)
    return tags


def put_on(
    ordered: Sequence[Version], numbers: Mapping[str, int]
) -> tuple[Version, ...]:
    """Returns versions, given by number, with the tags that are on them."""
    tags: dict[int, list[str]] = {}
    for tag, number in numbers.items():
        tags.setdefault(number, []).append(tag)
    versions = list(ordered)
    for number in tags:
        start = bisect.bisect_left(ordered, number, key=_number)
        end = bisect.bisect_right(ordered, number, key=_number)
        for i in range(start, end):
            versions[i] = dataclasses.replace(versions[i], tags=tuple(tags[number]))
    return tuple(versions)


def _read(path: Path) -> int | None:
    try:
        data = _atomic.read_bytes(path, _MAX_BYTES)
    except _atomic.NotRegularError as error:
        raise UnsafeVersionError(
            f"The tag {shown(path.name)} is not a regular file. "
            f"Nothing behind it is touched; remove {path} to go on."
        ) from error
    try:
        fields = _strict_json.loads(data, _MAX_BYTES)
        number = _wire.positive(fields["number"])
        # Without the checksum, one flipped bit could be another number. A file that
        # was written by hand, or by an early release, has none.
        return number if fields.get("crc32", _crc32(number)) == _crc32(number) else None
    except (ValueError, TypeError, KeyError):
        return None


def _crc32(number: int) -> int:
    return zlib.crc32(str(number).encode())
