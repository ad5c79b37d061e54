"""The arrays of an HDF5 file in memory, as views of its bytes.

HDF5 is asked what there is and where it lies; the values are never passed through
it. That works for arrays that lie in one piece and as they are, as Keras and this
package write them. Whatever else is found is left to Keras's own reader.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np

from keras_versioned_ckpt._mapped_file import ViewFile

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAX_DEPTH = 64


class NotPlainError(ValueError):
    """The file holds something else than groups and arrays that lie in one piece."""


class Index:
    """What is in a file.

    Args:
        view: The file's bytes.
        read: What is done with an array before it is handed out. Defaults to nothing,
            so that what is handed out lies in `view`.

    Raises:
        NotPlainError: If it is not as plain as this reader needs it.
    """

    def __init__(
        self,
        view: memoryview,
        read: Callable[[np.ndarray], np.ndarray] = lambda array: array,
    ) -> None:
        self._read = read
        self._arrays: dict[str, np.ndarray] = {}
        self._children: dict[str, list[str]] = {}
        if bytes(view[: len(SIGNATURE)]) != SIGNATURE:
            # HDF5 also looks for it farther on, behind what may be anything.
            raise NotPlainError("it does not begin as HDF5 files do")
        try:
            with h5py.File(ViewFile(view), "r") as h5:
                seen = {h5py.h5o.get_info(h5["/"].id).addr}
                for path, dataset in self._walk(h5, "", 1, seen):
                    self._arrays[path] = _array(dataset, view)
        except NotPlainError:
            raise
        except Exception as error:  # whatever HDF5 and h5py make of damage
            raise NotPlainError(f"HDF5 cannot read it: {error}") from error
        if sum(array.nbytes for array in self._arrays.values()) > len(view):
            raise NotPlainError("its arrays overlap")

    @property
    def array_count(self) -> int:
        """How many arrays there are."""
        return len(self._arrays)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each array, by its path."""
        return {path: array.shape for path, array in self._arrays.items()}

    def has_group(self, path: str) -> bool:
        """Says whether there is a group with this path."""
        return path in self._children

    def group(self, path: str) -> "Group":
        """Returns a group; one that is not there is empty."""
        return Group(self._arrays, path, self._children.get(path, []), self._read)

    def _walk(
        self, group: Any, path: str, depth: int, seen: set[int]
    ) -> Iterator[tuple[str, Any]]:
        if depth > _MAX_DEPTH:
            raise NotPlainError("its groups are nested too deep")
        names = self._children[path] = list(group)
        links = group.id.links
        for name in names:
            link = links.get_info(name.encode("utf-8", "surrogateescape"))
            if link.type != h5py.h5l.TYPE_HARD:
                raise NotPlainError(f"{name!r} is a link to somewhere else")
            # In groups that each hold another one twice, the last is found more often
            # than anybody can wait for.
            if link.u in seen:
                raise NotPlainError(f"{name!r} is there a second time")
            seen.add(link.u)
            child = group[name]
            below = f"{path}/{name}" if path else name
            if isinstance(child, h5py.Dataset):
                yield below, child
            elif isinstance(child, h5py.Group):
                yield from self._walk(child, below, depth + 1, seen)
            else:
                raise NotPlainError(f"{name!r} is neither a group nor an array")


class Group:
    """The arrays of one group by name; what Keras hands to `load_own_variables`."""

    def __init__(
        self,
        arrays: dict[str, np.ndarray],
        path: str,
        names: list[str],
        read: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        self._read = read
        self._arrays = arrays
        self._path = path
        self._names = names

    def keys(self) -> list[str]:
        """Returns the names in the group."""
        return list(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, key: object) -> bool:
        return key in self._names or f"{self._path}/{key}" in self._arrays

    def __getitem__(self, key: str) -> np.ndarray:
        try:
            array = self._arrays[f"{self._path}/{key}"]
        except KeyError:
            raise KeyError(key) from None
        return self._read(array)


def _array(dataset: Any, view: memoryview) -> np.ndarray:
    """Returns a dataset's values where they lie."""
    if dataset.is_virtual or dataset.external or dataset.chunks is not None:
        raise NotPlainError(f"{dataset.name} does not lie in one piece")
    if dataset.shape is None:
        raise NotPlainError(f"{dataset.name} has no shape")
    kind = dataset.id.get_type()
    if not kind.equal(h5py.h5t.py_create(dataset.dtype, logical=True)):
        raise NotPlainError(f"{dataset.name} is of a type that is not stored as it is")
    dtype = dataset.dtype
    if dtype.hasobject or dtype.fields is not None:
        raise NotPlainError(f"{dataset.name} refers to other places")
    if dtype.kind == "V" and dataset.attrs.get("dtype") == "bfloat16":
        # Keras's mark; the type itself has no name in HDF5.
        dtype = np.dtype("bfloat16")
    count = math.prod(dataset.shape)
    if count == 0:
        return np.empty(dataset.shape, dtype)
    offset = dataset.id.get_offset()
    size = count * dtype.itemsize
    if offset is None or dataset.id.get_storage_size() != size:
        raise NotPlainError(f"{dataset.name} is not stored in full")
    if offset + size > len(view):
        raise NotPlainError(f"{dataset.name} reaches beyond the file's end")
    array: np.ndarray = np.frombuffer(view[offset : offset + size], dtype)
    return array.reshape(dataset.shape)
