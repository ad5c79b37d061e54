"""An HDF5 file in memory without its arrays: where each will lie, and all the rest.

HDF5 is asked to lay out a file, to reserve the room of every array, and never to
fill that room. What it then writes is the structure alone, which is small, goes to
memory, and is the same for every save of a model that has not changed its shape. The
arrays' own bytes go from where they are to the disk, without passing through HDF5.
"""

import dataclasses
import functools
import io
import math
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

# How Keras marks what HDF5 and NumPy have no name for.
_BFLOAT16 = "bfloat16"


@dataclasses.dataclass(frozen=True)
class Array:
    """The name, type and shape of an array, without its values."""

    key: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Group:
    """A group of arrays with text attributes.

    Args:
        path: The group above the one that holds the arrays, with `/` between the
            parts; empty for the file's root. The arrays lie in a group `vars` below
            it, as Keras has it.
        attributes: Names and texts.
        arrays: What is in it.
    """

    path: str
    attributes: tuple[tuple[str, str], ...]
    arrays: tuple[Array, ...]


@dataclasses.dataclass(frozen=True)
class Layout:
    """A file to be.

    Args:
        size: Its length in bytes.
        parts: What comes after what: bytes, or the position of an array among all
            arrays of all groups.
    """

    size: int
    parts: tuple[bytes | int, ...]


# A model or two, saved again and again.
@functools.lru_cache(maxsize=4)
def layout(groups: tuple[Group, ...]) -> Layout:
    """Lays out a file.

    Args:
        groups: What is to be in the file.

    Raises:
        ValueError: If two groups or arrays have the same path.
        TypeError: If HDF5 has no form for the type of an array.
    """
    file = _SparseFile()
    places: list[tuple[int, int, int]] = []
    with h5py.File(file, "w") as h5:
        arrays = (
            (place, array) for group in groups for place, array in _places(h5, group)
        )
        for index, (offset, array) in enumerate(arrays):
            if offset is not None:
                size = array.dtype.itemsize * math.prod(array.shape)
                places.append((offset, size, index))
    parts: list[bytes | int] = []
    end = 0
    for offset, size, index in sorted(places):
        if offset > end:
            parts.append(file.read_at(end, offset))
        parts.append(index)
        end = offset + size
    parts.append(file.read_at(end, file.size))
    return Layout(file.size, tuple(parts))


def _places(h5: Any, group: Group) -> Iterator[tuple[int | None, Array]]:
    """Makes a group and its arrays; yields where each array's bytes belong.

    An array without elements has no bytes, and no place.
    """
    parent = h5.create_group(group.path) if group.path else h5
    made = parent.create_group("vars")
    for name, text in group.attributes:
        made.attrs[name] = text
    for array in group.arrays:
        dataset = h5py.h5d.create(
            made.id,
            array.key.encode("utf-8"),
            h5py.h5t.py_create(array.dtype, logical=True),
            _space(array.shape),
            _reserving(),
            _naming(),
        )
        if array.dtype.name == _BFLOAT16:
            h5py.Dataset(dataset).attrs["dtype"] = _BFLOAT16
        yield dataset.get_offset(), array


def _space(shape: tuple[int, ...]) -> Any:
    if shape == ():
        return h5py.h5s.create(h5py.h5s.SCALAR)
    return h5py.h5s.create_simple(shape)


@functools.cache
def _reserving() -> Any:
    """Returns the properties of an array whose bytes come from elsewhere."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    # Without them the same model gives the same bytes.
    properties.set_obj_track_times(False)
    return properties


@functools.cache
def _naming() -> Any:
    """Returns the properties of a name as h5py gives it."""
    properties = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    properties.set_char_encoding(h5py.h5t.CSET_UTF8)
    properties.set_create_intermediate_group(True)
    return properties


class _SparseFile(io.RawIOBase):
    """A file in memory that keeps only the pages that were written."""

    _PAGE = 64 * 1024

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._at = 0
        self._pages: dict[int, bytearray] = {}

    def read_at(self, start: int, end: int) -> bytes:
        """Returns the bytes from `start` to before `end`."""
        self.seek(start)
        data = bytearray(end - start)
        self.readinto(data)
        return bytes(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self.size}
        self._at = base[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def truncate(self, size: int | None = None) -> int:
        self.size = self._at if size is None else size
        return self.size

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for page, inside, piece in self._pieces(len(view)):
            kept = self._pages.setdefault(page, bytearray(self._PAGE))
            kept[inside] = view[piece]
        self._at += len(view)
        self.size = max(self.size, self._at)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.size - self._at))
        for page, inside, piece in self._pieces(count):
            kept = self._pages.get(page)
            if kept is None:
                view[piece] = bytes(piece.stop - piece.start)
            else:
                view[piece] = kept[inside]
        self._at += count
        return count

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _pieces(self, count: int) -> Iterator[tuple[int, slice, slice]]:
        """Yields the next `count` bytes by page: which, where in it, where in all."""
        done = 0
        while done < count:
            page, start = divmod(self._at + done, self._PAGE)
            length = min(count - done, self._PAGE - start)
            yield page, slice(start, start + length), slice(done, done + length)
            done += length
