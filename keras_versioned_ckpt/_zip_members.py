"""Whether a zip file is what a `.keras` file is, and where its members lie.

Keras writes a zip file from its beginning to its end: member after member, then the
directory, and nothing else. Whatever a zip file may hold beyond that (gaps, overlaps,
a second directory, names twice, packing that explodes) is what files are made hostile
with, because two readers see two different files in it. It is refused as unsafe; what
is no zip file at all, or is cut short, or fails its checksum, is damaged.

Other readers that see a file which passes here see the same members in it.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from keras_versioned_ckpt import _growth, _names, manifest
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt.errors import CorruptVersionError, UnsafeVersionError

#: The members of every file of Keras; all others lie below `ASSETS`.
ABOUT, CONFIG, WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
ASSETS = "assets"

_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s2B2B4H3L5H2L")
_HEADER = struct.Struct("<4s5H3L2H")
_DESCRIPTOR, _DESCRIPTOR_64 = struct.Struct("<4s3L"), struct.Struct("<4sL2Q")
_IS_BEHIND, _IS_UTF_8 = 0x0008, 0x0800
# How well it was packed may also stand there, in two bits that mean nothing to readers.
_HOW_WELL = 0x0006
_STORED, _DEFLATED = 0, 8
_LARGE, _MANY = 0xFFFFFFFF, 0xFFFF
_EXTRA_64 = 1
_REGULAR_FILE = 0o100000
_MAX_MEMBERS = 10_000
_PIECE = 1024 * 1024
_DRIVE = re.compile(r"[A-Za-z]:")


class _Entry(NamedTuple):
    """What the directory says of a member."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def members(view: memoryview, *, verify: bool = True) -> dict[str, memoryview]:
    """Returns the bytes of each member of a `.keras` file, in order.

    Those that are stored as they are lie in `view`; others are unpacked.

    Args:
        view: The file's bytes.
        verify: Whether the checksums of members that are stored as they are, which
            means to read them, are compared.

    Raises:
        UnsafeVersionError: If it is built in another way than Keras builds it.
        CorruptVersionError: If it is no zip file, or a member is missing or damaged.
    """
    entries, end = _entries(view)
    _check_names([entry.name for entry in entries])
    most = _growth.unpacked_limit(len(view))
    if sum(entry.size for entry in entries) > most:
        raise UnsafeVersionError(
            f"of {len(view)} bytes it would unpack to more than {most}"
        )
    found = {}
    place = 0
    for entry in entries:
        if entry.offset != place:
            raise UnsafeVersionError(
                f"{shown(entry.name)} overlaps another member, or something lies "
                "before it"
            )
        start, place = _extent(view, entry)
        data = view[start : start + entry.packed]
        if entry.method == _DEFLATED:
            data = memoryview(_unpacked(data, entry))
        elif verify:
            _check_crc(entry, zlib.crc32(data))
        found[entry.name] = data
    if place != end:
        raise UnsafeVersionError("something lies between its members and its directory")
    return found


def _entries(view: memoryview) -> tuple[list[_Entry], int]:
    """Returns what the directory at the end of the file says, and where it begins."""
    count, length, start, end = _directory(view)
    if count > _MAX_MEMBERS:
        raise UnsafeVersionError(f"it has {count} members")
    if start + length != end:
        raise UnsafeVersionError("its directory is not right before its end")
    place = start
    entries = []
    for _ in range(count):
        if place + _ENTRY.size > end or not _stands(view, place, b"PK\x01\x02"):
            raise CorruptVersionError("its directory is shorter than it says")
        entry, place = _entry(view, place)
        entries.append(entry)
    if place != end:
        raise UnsafeVersionError("its directory is longer than it says")
    return entries, start


def _directory(view: memoryview) -> tuple[int, int, int, int]:
    """Returns how many members there are, and length, start and end of what lists them.

    The directory's end comes out of where it is looked for, its length and start out
    of what is written there; the caller compares them.
    """
    end = len(view) - _END.size
    if end < 0 or not _stands(view, end, b"PK\x05\x06"):
        if b"PK\x05\x06" in bytes(view[-(_END.size + _MANY) :]):
            raise UnsafeVersionError("something lies behind its end")
        raise CorruptVersionError("it is no zip file, or its end is missing")
    _, disk, first, here, count, length, start, comment = _END.unpack_from(view, end)
    if comment:
        raise UnsafeVersionError("something lies behind its end")
    if _LARGE in (length, start) or _MANY in (count, here):
        place = end - _LOCATOR_64.size
        if place < _END_64.size or not _stands(view, place, b"PK\x06\x07"):
            raise CorruptVersionError("where its directory lies is missing")
        _, disk_64, offset, disks = _LOCATOR_64.unpack_from(view, place)
        end = place - _END_64.size
        if offset != end or disk_64 or disks != 1:
            raise UnsafeVersionError("its directory is not right before its end")
        *about, here, count, length, start = _END_64.unpack_from(view, end)
        signature, size, _, _, disk, first = about
        if signature != b"PK\x06\x06" or size != _END_64.size - 12:
            raise UnsafeVersionError("its directory is not right before its end")
    elif end >= 20 and _stands(view, end - 20, b"PK\x06\x07"):
        # Readers look for it, whether it is needed or not.
        raise UnsafeVersionError("it has two ends")
    if disk or first or here != count:
        raise UnsafeVersionError("it is one part of several")
    return count, length, start, end


def _entry(view: memoryview, place: int) -> tuple[_Entry, int]:
    """Returns an entry of the directory, and where the next one begins."""
    _, _, system, _, _, flags, method, _, _, crc, packed, size, *rest = (
        _ENTRY.unpack_from(view, place)
    )
    name_length, extra_length, comment_length, disk, _, attributes, offset = rest
    place += _ENTRY.size
    raw = bytes(view[place : place + name_length])
    place += name_length
    extra = bytes(view[place : place + extra_length])
    place += extra_length
    name = _name(raw, flags)
    if comment_length or disk:
        raise UnsafeVersionError(f"{shown(name)} has a comment, or lies elsewhere")
    if flags & ~(_IS_BEHIND | _IS_UTF_8 | _HOW_WELL):
        raise UnsafeVersionError(f"{shown(name)} is encrypted, or the like")
    if method not in (_STORED, _DEFLATED):
        raise UnsafeVersionError(f"{shown(name)} is packed in a way Keras never does")
    kind = (attributes >> 16) & 0o170000
    if system not in (0, 3) or kind not in (0, _REGULAR_FILE) or attributes & 0x10:
        raise UnsafeVersionError(f"{shown(name)} is a link, or anything but a file")
    size, packed, offset = _wide(extra, [size, packed, offset], name)
    if method == _STORED and packed != size:
        raise UnsafeVersionError(f"{shown(name)} has two sizes")
    return _Entry(name, raw, flags, method, crc, packed, size, offset), place


def _stands(view: memoryview, place: int, signature: bytes) -> bool:
    return bytes(view[place : place + len(signature)]) == signature


def _name(raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & _IS_UTF_8 else "ascii")
    except UnicodeDecodeError as error:
        raise UnsafeVersionError(f"the name {raw!r} can be read in two ways") from error


def _wide(extra: bytes, values: list[int], name: str) -> list[int]:
    """Puts the numbers that are too large for their field in the place of its mark."""
    marked = [index for index, value in enumerate(values) if value == _LARGE]
    wanted = struct.Struct(f"<2H{len(marked)}Q")
    if not extra and not marked:
        return values
    if not marked or len(extra) != wanted.size:
        raise UnsafeVersionError(f"of {shown(name)} more is said than Keras says")
    kind, length, *wide = wanted.unpack(extra)
    if kind != _EXTRA_64 or length != 8 * len(marked):
        raise UnsafeVersionError(f"of {shown(name)} more is said than Keras says")
    for index, value in zip(marked, wide, strict=True):
        values[index] = value
    return values


def _check_names(names: list[str]) -> None:
    """Raises where the members are not those of a file of Keras."""
    folded = [_names.fold(name) for name in names]
    if len(set(folded)) != len(folded):
        raise UnsafeVersionError("it holds a name twice")
    above = set()
    for name in names:
        folder, _, path = name.partition("/")
        if name in (ABOUT, CONFIG, WEIGHTS):
            continue
        try:
            manifest.check_path(path)
        except ValueError as error:
            raise UnsafeVersionError(f"it holds {shown(name)}: {error}") from error
        if folder != ASSETS or _DRIVE.match(path):
            raise UnsafeVersionError(
                f"it holds {shown(name)}, and no file of Keras does"
            )
        parts = _names.fold(path).split("/")
        above |= {"/".join((ASSETS, *parts[:count])) for count in range(1, len(parts))}
    if not above.isdisjoint(folded):
        raise UnsafeVersionError("it holds a file and a directory of the same name")
    for name in (ABOUT, CONFIG, WEIGHTS):
        if name not in names:
            raise CorruptVersionError(f"it lacks {name}")


def _extent(view: memoryview, entry: _Entry) -> tuple[int, int]:
    """Returns where a member's bytes begin, and where what belongs to it ends.

    What stands before the bytes, and behind them, must be what the directory says.
    """
    lies = UnsafeVersionError(
        f"{shown(entry.name)} is not what, or not where, the directory says"
    )
    if entry.offset + _HEADER.size > len(view):
        raise lies
    signature, _, flags, method, _, _, crc, packed, size, name_length, extra_length = (
        _HEADER.unpack_from(view, entry.offset)
    )
    place = entry.offset + _HEADER.size
    name = bytes(view[place : place + name_length])
    place += name_length
    extra = bytes(view[place : place + extra_length])
    start = place + extra_length
    end = start + entry.packed
    said = (signature, flags, method, name)
    if said != (b"PK\x03\x04", entry.flags, entry.method, entry.raw_name):
        raise lies
    if end > len(view):
        raise lies
    wide = _LARGE in (packed, size)
    if bool(extra) != wide:
        raise lies
    if wide:
        size, packed = _wide(extra, [size, packed], entry.name)
    expected = (entry.crc, entry.packed, entry.size)
    if not flags & _IS_BEHIND:
        if (crc, packed, size) != expected:
            raise lies
        return start, end
    if (crc, packed, size) not in ((0, 0, 0), expected):
        raise lies
    form = _DESCRIPTOR_64 if wide else _DESCRIPTOR
    if end + form.size > len(view):
        raise lies
    if form.unpack_from(view, end) != (b"PK\x07\x08", *expected):
        raise lies
    return start, end + form.size


def _unpacked(data: memoryview, entry: _Entry) -> bytes:
    """Unpacks a member, and takes no more memory than it is said to have."""
    parts, size, crc = [], 0, 0
    try:
        for part in _parts(data):
            size += len(part)
            if size > entry.size:
                break
            crc = zlib.crc32(part, crc)
            parts.append(part)
    except zlib.error as error:
        raise CorruptVersionError(
            f"{shown(entry.name)} cannot be unpacked: {error}"
        ) from error
    if size != entry.size:
        raise UnsafeVersionError(
            f"{shown(entry.name)} unpacks to another size than is said"
        )
    _check_crc(entry, crc)
    return b"".join(parts)


def _parts(data: memoryview) -> Iterator[bytes]:
    """Yields what a member unpacks to, in small pieces."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    read = 0
    while read < len(data) and not unpacker.eof:
        ahead: bytes | memoryview = data[read : read + _PIECE]
        read += len(ahead)
        while ahead and not unpacker.eof:
            yield unpacker.decompress(ahead, _PIECE)
            ahead = unpacker.unconsumed_tail
    while not unpacker.eof and (part := unpacker.decompress(b"", _PIECE)):
        yield part
    if read < len(data) or unpacker.unused_data or not unpacker.eof:
        raise zlib.error("it ends elsewhere than is said")


def _check_crc(entry: _Entry, crc: int) -> None:
    if crc != entry.crc:
        raise CorruptVersionError(
            f"{shown(entry.name)} has another checksum than is said"
        )
