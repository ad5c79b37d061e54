"""What an HDF5 file has at its root, without HDF5.

That tells the files of Keras 2 from those of Keras 3, which have the same signature
and often the same ending. Only the way is read that h5py writes unless it is told
otherwise, as Keras never does: https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html,
superblock version 0 and object headers version 1.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

SIGNATURE = b"\x89HDF\r\n\x1a\n"

_SUPERBLOCK = struct.Struct("<8s16x6Q")
_OBJECT = struct.Struct("<BxHII4x")
_MESSAGE = struct.Struct("<HHB3x")
_TWO_PLACES = struct.Struct("<QQ")
_ATTRIBUTE = struct.Struct("<BxHHH")
_HEAP = struct.Struct("<4sB3xQQQ")
_IS_ATTRIBUTE, _CONTINUED, _SYMBOL_TABLE = 0x0C, 0x10, 0x11
_HAS_CHARACTER_SET = 3
_MOST_BLOCKS = 100
_MOST_BYTES = 1024 * 1024


class Root(NamedTuple):
    """The names at the root of a file.

    Args:
        attributes: Of its attributes.
        children: Of its groups and arrays, and perhaps of some that are gone.
    """

    attributes: frozenset[str]
    children: frozenset[str]


def read(file: BinaryIO, size: int) -> Root | None:
    """Reads the names at the root of an HDF5 file.

    Args:
        file: The file, open for reading.
        size: How long it is, in bytes.

    Returns:
        The names; `None` for a file that is laid out in another way.

    Raises:
        ValueError: If the file is damaged.
    """
    block = _read(file, 0, _SUPERBLOCK.size)
    version = block[len(SIGNATURE)]
    if version != 0 or block[13:15] != b"\x08\x08":
        return None
    _, base, _, end, _, _, header = _SUPERBLOCK.unpack(block)
    if base + end > size:
        raise ValueError(f"it says that it has {base + end} bytes and has {size}")
    attributes: set[str] = set()
    children: set[str] = set()
    for kind, body in _messages(file, base, header):
        if kind == _IS_ATTRIBUTE and len(body) > _ATTRIBUTE.size:
            attributes.add(_attribute(body))
        elif kind == _SYMBOL_TABLE and len(body) >= _TWO_PLACES.size:
            children.update(_in_heap(file, base, _TWO_PLACES.unpack_from(body)[1]))
    return Root(frozenset(attributes), frozenset(children))


def _messages(file: BinaryIO, base: int, header: int) -> Iterator[tuple[int, bytes]]:
    """Yields the kind and the content of everything that is said of the root."""
    version, _, _, length = _OBJECT.unpack(_read(file, base + header, _OBJECT.size))
    if version != 1:
        raise ValueError("its root is not where it says")
    blocks = [(base + header + _OBJECT.size, length)]
    # It grows on the way, and must not for ever: a block may lead to itself.
    for count, (start, length) in enumerate(blocks):
        if count > _MOST_BLOCKS:
            raise ValueError("its root is scattered without end")
        data = _read(file, start, length)
        at = 0
        while at + _MESSAGE.size <= len(data):
            kind, size, _ = _MESSAGE.unpack_from(data, at)
            at += _MESSAGE.size + size
            body = data[at - size : at]
            if kind == _CONTINUED and len(body) >= _TWO_PLACES.size:
                offset, length = _TWO_PLACES.unpack_from(body)
                blocks.append((base + offset, length))
            yield kind, body


def _attribute(body: bytes) -> str:
    version, length, _, _ = _ATTRIBUTE.unpack_from(body)
    start = _ATTRIBUTE.size + (version == _HAS_CHARACTER_SET)
    return _text(body[start : start + length])


def _in_heap(file: BinaryIO, base: int, heap: int) -> Iterator[str]:
    mark, _, length, _, start = _HEAP.unpack(_read(file, base + heap, _HEAP.size))
    if mark != b"HEAP":
        raise ValueError("its names are not where it says")
    yield from map(_text, _read(file, base + start, length).split(b"\0"))


def _text(name: bytes) -> str:
    return name.rstrip(b"\0").decode("utf-8", "replace")


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    if length > _MOST_BYTES:
        raise ValueError("its names are longer than those of any model")
    try:
        file.seek(start)
    except (OSError, OverflowError) as error:
        raise ValueError("its parts lie nowhere") from error
    data = bytearray()
    while len(data) < length and (part := file.read(length - len(data))):
        data += part
    if len(data) < length:
        raise ValueError("it is cut short")
    return bytes(data)
