"""Whether an HDF5 file holds groups and numbers, and nothing else.

That is what Keras writes. An HDF5 file may also refer to other files, to other places
in itself, and to more bytes than it has, and all of these are what files are made
hostile with. What is found is asked for its kind before it is opened, so that no link
is followed; no value is read through HDF5; and packed values are unpacked piece by
piece to see that they are as many as is said.

What the plain reader (`_hdf5_index.py`) takes is less than what passes here. This
check is for all other files, before Keras reads them.
"""

import math
import zlib
from typing import Any

import h5py
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t, h5z

from keras_versioned_ckpt._mapped_file import ViewFile
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CorruptVersionError,
    UnsafeVersionError,
)

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAX_DEPTH = 64
_MAX_OBJECTS = 1_000_000
_MAX_ATTRIBUTES = 64
_MAX_ATTRIBUTE_BYTES = 64 * 1024
_MAX_NUMBER_BYTES = 16
_MAX_TEXT_BYTES = 4096
_MAX_CHUNK_BYTES = 1024 * 1024
_PIECE = 1024 * 1024
_CHECKSUM_BYTES = 4
_NUMBERS = (h5t.INTEGER, h5t.FLOAT, h5t.BITFIELD)
# One packer and what goes with it; others would have to be looked for on the disk.
_FILTERS = (h5z.FILTER_SHUFFLE, h5z.FILTER_DEFLATE, h5z.FILTER_FLETCHER32)


def check(view: memoryview, most: int, *, with_lists: bool = False) -> None:
    """Checks a file before anything reads values from it.

    Args:
        view: The file's bytes.
        most: How many bytes its values may unpack to.
        with_lists: Whether attributes may be lists of texts of any length, as in the
            files of Keras 2. Their texts may be one and the same, and so take more
            memory to read than the file has bytes. Defaults to `False`.

    Raises:
        UnsafeVersionError: If there is anything but groups and numbers, or more of them
            than the file has bytes for.
        CorruptVersionError: If it is no HDF5 file, or a damaged one.
    """
    if bytes(view[: len(_SIGNATURE)]) != _SIGNATURE:
        raise CorruptVersionError("it is no HDF5 file")
    try:
        with h5py.File(ViewFile(view), "r") as h5:
            _Check(view, most, with_lists).everything(h5.id)
    except CheckpointError:
        raise
    except Exception as error:  # whatever HDF5 and h5py make of damage
        raise CorruptVersionError(f"HDF5 cannot read it: {error}") from error


def root_text(view: memoryview, name: str) -> bytes | None:
    """Returns a text that stands at the root of a file which `check` has passed.

    Args:
        view: The file's bytes.
        name: The name of the attribute.

    Returns:
        The text in UTF-8; `None` if there is none of that name.

    Raises:
        CorruptVersionError: If it cannot be read.
    """
    try:
        with h5py.File(ViewFile(view), "r") as h5:
            text = h5.attrs.get(name)
        return text.encode() if isinstance(text, str) else text
    except Exception as error:
        raise CorruptVersionError(f"HDF5 cannot read it: {error}") from error


class _Check:
    """One walk over a file."""

    def __init__(self, view: memoryview, most: int, with_lists: bool) -> None:
        self._view = view
        self._most = most
        self._with_lists = with_lists
        self._declared = 0
        self._as_they_are = 0
        self._seen: set[int] = set()

    def everything(self, root: Any) -> None:
        """Checks every object of a file."""
        group = h5g.open(root, b"/")
        self._seen.add(h5o.get_info(group).addr)
        self._attributes(group, "/")
        ahead = [(group, "", 1)]
        while ahead:
            group, path, depth = ahead.pop()
            if depth > _MAX_DEPTH:
                raise UnsafeVersionError(f"its groups are more than {_MAX_DEPTH} deep")
            names: list[bytes] = []
            group.links.iterate(names.append)
            for name in names:
                below = f"{path}/{name.decode('utf-8', 'backslashreplace')}"
                child = self._object(group, name, below)
                if isinstance(child, h5g.GroupID):
                    ahead.append((child, below, depth + 1))

    def _object(self, group: Any, name: bytes, path: str) -> Any:
        link = group.links.get_info(name)
        if link.type != h5l.TYPE_HARD:
            raise UnsafeVersionError(f"{shown(path)} is a link to somewhere else")
        # Found twice it is two things for a reader, and in groups of such groups more
        # than any reader has time for.
        if link.u in self._seen:
            raise UnsafeVersionError(f"{shown(path)} is the same object as another")
        self._seen.add(link.u)
        if len(self._seen) > _MAX_OBJECTS:
            raise UnsafeVersionError(f"it holds more than {_MAX_OBJECTS} objects")
        found = h5o.open(group, name)
        if isinstance(found, h5d.DatasetID):
            self._dataset(found, path)
        elif not isinstance(found, h5g.GroupID):
            raise UnsafeVersionError(f"{shown(path)} is neither a group nor an array")
        self._attributes(found, path)
        return found

    def _attributes(self, item: Any, path: str) -> None:
        count = h5a.get_num_attrs(item)
        if count > _MAX_ATTRIBUTES:
            raise UnsafeVersionError(f"{shown(path)} has {count} attributes")
        for index in range(count):
            attribute = h5a.open(item, index=index)
            kind, space = attribute.get_type(), attribute.get_space()
            number = space.get_simple_extent_npoints()
            text = kind.get_class() == h5t.STRING and (
                not kind.is_variable_str() or number <= 1 or self._with_lists
            )
            if not (text or _is_numeric(kind)):
                raise UnsafeVersionError(
                    f"an attribute of {shown(path)} is neither a text nor a number"
                )
            if number * kind.get_size() > _MAX_ATTRIBUTE_BYTES:
                raise UnsafeVersionError(f"an attribute of {shown(path)} is too large")

    def _dataset(self, item: Any, path: str) -> None:
        properties = item.get_create_plist()
        layout = properties.get_layout()
        # Before its shape is asked for, which lies elsewhere where its values do.
        if layout == h5d.VIRTUAL or properties.get_external_count():
            raise UnsafeVersionError(f"the values of {shown(path)} lie in another file")
        kind, space = item.get_type(), item.get_space()
        text = kind.get_class() == h5t.STRING and not kind.is_variable_str()
        if not (_is_numeric(kind) or text) or kind.committed():
            raise UnsafeVersionError(f"{shown(path)} holds something else than numbers")
        if text and kind.get_size() > _MAX_TEXT_BYTES:
            raise UnsafeVersionError(f"{shown(path)} holds long texts")
        if space.get_simple_extent_type() == h5s.NULL:
            raise CorruptVersionError(f"{shown(path)} has no shape")
        shape = space.get_simple_extent_dims()
        declared = math.prod(shape) * kind.get_size()
        self._declared += declared
        if self._declared > self._most:
            raise UnsafeVersionError(
                f"it declares more than {self._most} bytes of values"
            )
        if not declared:
            return
        if layout == h5d.CHUNKED:
            self._chunks(item, path, properties, shape, kind.get_size())
            return
        offset = item.get_offset()
        if item.get_storage_size() != declared:
            raise UnsafeVersionError(
                f"{shown(path)} declares {declared} bytes and stores "
                f"{item.get_storage_size()}"
            )
        if offset is not None and offset + declared > len(self._view):
            raise CorruptVersionError(f"{shown(path)} reaches beyond the file's end")
        self._add_as_it_is(declared)

    def _add_as_it_is(self, size: int) -> None:
        self._as_they_are += size
        if self._as_they_are > len(self._view):
            raise UnsafeVersionError("its values overlap")

    def _chunks(
        self, item: Any, path: str, properties: Any, shape: tuple[int, ...], width: int
    ) -> None:
        chunk = properties.get_chunk()
        size = math.prod(chunk) * width
        declared = math.prod(shape) * width
        if size > max(_MAX_CHUNK_BYTES, declared):
            raise UnsafeVersionError(f"the pieces of {shown(path)} are too large")
        count = properties.get_nfilters()
        filters = [properties.get_filter(index)[0] for index in range(count)]
        if len(set(filters)) != len(filters) or not set(filters) <= set(_FILTERS):
            raise UnsafeVersionError(f"{shown(path)} is packed in a way Keras never is")
        expected = math.prod(
            -(-length // side) for length, side in zip(shape, chunk, strict=True)
        )
        found: list[Any] = []
        item.chunk_iter(found.append)
        if len(found) != expected or len({c.byte_offset for c in found}) != expected:
            raise UnsafeVersionError(
                f"{shown(path)} declares {expected} pieces and stores {len(found)}"
            )
        for piece in found:
            end = piece.byte_offset + piece.size
            if end > len(self._view):
                raise CorruptVersionError(
                    f"{shown(path)} reaches beyond the file's end"
                )
            self._add_as_it_is(piece.size)
            done = [f for i, f in enumerate(filters) if not piece.filter_mask >> i & 1]
            _check_piece(self._view[piece.byte_offset : end], size, done, path)


def _check_piece(data: memoryview, size: int, filters: list[int], path: str) -> None:
    """Checks that a piece unpacks to so many bytes, with no more memory than that."""
    for filter_ in reversed(filters):
        if filter_ == h5z.FILTER_FLETCHER32:
            data = data[: max(0, len(data) - _CHECKSUM_BYTES)]
        elif filter_ == h5z.FILTER_DEFLATE:
            before = filters[: filters.index(filter_)]
            size += _CHECKSUM_BYTES * before.count(h5z.FILTER_FLETCHER32)
            if _unpacked_size(data, size, path) != size:
                raise UnsafeVersionError(f"{shown(path)} unpacks to more than is said")
            return
    if len(data) != size:
        raise UnsafeVersionError(f"{shown(path)} has pieces of another size")


def _unpacked_size(data: memoryview, size: int, path: str) -> int:
    """Returns how many bytes packed values have, or any number that is larger."""
    unpacker = zlib.decompressobj()
    found = 0
    ahead: bytes | memoryview = data
    try:
        while not unpacker.eof and found <= size:
            part = unpacker.decompress(ahead, _PIECE)
            ahead = unpacker.unconsumed_tail
            found += len(part)
            if not (part or ahead):
                break
    except zlib.error as error:
        raise CorruptVersionError(f"{shown(path)} cannot be unpacked") from error
    return found


def _is_numeric(kind: Any) -> bool:
    """Says whether a type is one of those that numbers are stored as."""
    which = kind.get_class()
    if which in _NUMBERS or which == h5t.OPAQUE:
        # What HDF5 has no name for, such as bfloat16, is opaque.
        return bool(kind.get_size() <= _MAX_NUMBER_BYTES)
    if which == h5t.ENUM:
        return _is_numeric(kind.get_super())
    if which == h5t.COMPOUND:
        # A complex number.
        return kind.get_nmembers() == 2 and all(
            kind.get_member_class(index) == h5t.FLOAT for index in range(2)
        )
    return False
