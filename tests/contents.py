"""What is in a payload, as plain values by which two payloads can be compared.

`hdf5` and `archive` read a file completely and decide nothing; `differences` and
`archive_differences` say in words where two such readings differ, and refuse to
call two files equal in which they have seen nothing.
"""

import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

WEIGHTS = "model.weights.h5"
BLOCK_BYTES = 2**26
DATA_SET = "data set"


class Type:
    """A type as HDF5 has it, to be compared as HDF5 compares them.

    The dtype of h5py says less: it is `V2` for every opaque type of two bytes.
    """

    def __init__(self, type_id: h5py.h5t.TypeID) -> None:
        self.id = type_id.copy()

    @classmethod
    def of(cls, type_id: h5py.h5t.TypeID) -> "Type":
        """Returns the one of this type; h5py slows down with every one that lives."""
        encoded = type_id.encode()
        if encoded not in _TYPES:
            _TYPES[encoded] = cls(type_id)
        return _TYPES[encoded]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Type)
            and bool(self.id.equal(other.id))
            # HDF5 calls strings of another character set equal.
            and self._string() == other._string()
        )

    def _string(self) -> tuple[int, int] | None:
        if not isinstance(self.id, h5py.h5t.TypeStringID):
            return None
        return self.id.get_cset(), self.id.get_strpad()

    def __hash__(self) -> int:
        return hash(self.id.get_class())

    def __repr__(self) -> str:
        return f"<HDF5 {self.id.dtype!r} {self.id.encode().hex()}>"


_TYPES: dict[bytes, Type] = {}


@dataclasses.dataclass(frozen=True)
class Attribute:
    """One attribute of a group or data set."""

    dtype: np.dtype
    type: Type
    shape: tuple[int, ...] | None
    value: Any


@dataclasses.dataclass(frozen=True)
class Node:
    """One object of an HDF5 file, by everything that a reader can tell of it."""

    kind: str
    # The character set of its name, where that makes a difference.
    cset: int | None = None
    attributes: Mapping[str, Attribute] = dataclasses.field(default_factory=dict)
    dtype: np.dtype | None = None
    type: Type | None = None
    space: int | None = None
    shape: tuple[int, ...] | None = None
    sha256: str | None = None
    # Whether a bit of it is set.
    trivial: bool = False


def hdf5(source: Path | BinaryIO) -> dict[str, Node]:
    """Returns every object of an HDF5 file by its name, the root's being `/`."""
    with h5py.File(source, "r") as file:
        root = h5py.h5g.open(file.id, b"/")
        return {"/": _node(root, None), **dict(_walk(root, ""))}


def _walk(group: h5py.h5g.GroupID, prefix: str) -> Iterator[tuple[str, Node]]:
    # Not `visititems`, which passes over links and over second names. By the lower
    # interface of h5py, which is the faster for thousands of objects.
    for name in group:
        path = f"{prefix}/{name.decode()}"
        link = group.links.get_info(name)
        cset = None if name.isascii() else link.cset
        if link.type != h5py.h5l.TYPE_HARD:
            yield path, Node(f"link of type {link.type}", cset)
            continue
        item = h5py.h5o.open(group, name)
        yield path, _node(item, cset)
        if isinstance(item, h5py.h5g.GroupID):
            yield from _walk(item, path)


def _node(item: h5py.h5g.GroupID | h5py.h5d.DatasetID, cset: int | None) -> Node:
    if not isinstance(item, h5py.h5d.DatasetID):
        return Node(type(item).__name__, cset, _attributes(item))
    type_, space = item.get_type(), item.get_space()
    dtype = type_.dtype
    assert not dtype.hasobject, f"{item} has no bytes of its own"
    sha256, trivial = _digest(item, type_, dtype)
    return Node(
        DATA_SET,
        cset,
        _attributes(item),
        dtype,
        Type.of(type_),
        space.get_simple_extent_type(),
        space.shape,
        sha256,
        trivial,
    )


def _attributes(item: h5py.h5g.GroupID | h5py.h5d.DatasetID) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {}
    if not h5py.h5a.get_num_attrs(item):
        return found
    class_ = h5py.Dataset if isinstance(item, h5py.h5d.DatasetID) else h5py.Group
    for name, value in class_(item).attrs.items():
        attribute = h5py.h5a.open(item, name.encode())
        if isinstance(value, np.ndarray | np.generic):
            value = value.tolist() if value.dtype.hasobject else value.tobytes()
        found[name] = Attribute(
            attribute.dtype, Type.of(attribute.get_type()), attribute.shape, value
        )
    return found


def _digest(
    item: h5py.h5d.DatasetID, type_: h5py.h5t.TypeID, dtype: np.dtype
) -> tuple[str, bool]:
    """Returns the SHA-256 of a data set's bytes, and whether none of them is set."""
    digest, trivial = hashlib.sha256(), True
    for block in _blocks(item, type_, dtype):
        data = block.tobytes()
        trivial = trivial and data.count(0) == len(data)
        digest.update(data)
    return digest.hexdigest(), trivial


def _blocks(
    item: h5py.h5d.DatasetID, type_: h5py.h5t.TypeID, dtype: np.dtype
) -> Iterator[np.ndarray]:
    shape = item.get_space().shape
    size = int(np.prod(shape)) if shape is not None else 0
    if 0 < size * dtype.itemsize <= BLOCK_BYTES or shape == ():
        block = np.empty(shape, dtype)
        # In the type that it has in the file, so that nothing is converted.
        item.read(h5py.h5s.ALL, h5py.h5s.ALL, block, mtype=type_)
        yield block
    elif size:
        step = max(1, shape[0] * BLOCK_BYTES // (size * dtype.itemsize))
        for start in range(0, shape[0], step):
            yield np.ascontiguousarray(h5py.Dataset(item)[start : start + step])


def data_sets(nodes: Mapping[str, Node]) -> int:
    """Returns how many data sets there are."""
    return sum(node.kind == DATA_SET for node in nodes.values())


def differences(
    a: Mapping[str, Node],
    b: Mapping[str, Node],
    *,
    at_least: int = 1,
    ignore: Collection[str] = (),
) -> list[str]:
    """Returns where two HDF5 files differ, in words; nothing where they do not.

    Args:
        a: What is expected.
        b: What is there.
        at_least: How many data sets both must have, so that nothing is ever found
            equal because nothing was looked at.
        ignore: Names of attributes that may differ.

    Raises:
        AssertionError: If there are fewer data sets.
    """
    for nodes in (a, b):
        seen = data_sets(nodes)
        assert seen >= at_least, f"{seen} data sets, expected {at_least} or more"
    found = [f"{path} is missing" for path in a if path not in b]
    found += [f"{path} is too much" for path in b if path not in a]
    for path in a:
        if path in b:
            found += [f"{path}: {text}" for text in _unlike(a[path], b[path], ignore)]
    return found


def _unlike(a: Node, b: Node, ignore: Collection[str]) -> Iterator[str]:
    for field in dataclasses.fields(Node):
        if field.name != "attributes":
            yield from _unequal(
                field.name, getattr(a, field.name), getattr(b, field.name)
            )
    for name in sorted({*a.attributes, *b.attributes}):
        if name not in ignore:
            yield from _unequal(
                f"attribute {name!r}", a.attributes.get(name), b.attributes.get(name)
            )


def _unequal(what: str, a: Any, b: Any) -> Iterator[str]:
    if a != b:
        yield f"{what} is {b!r:.200}, expected {a!r:.200}"


@dataclasses.dataclass(frozen=True)
class Archive:
    """Everything in a `.keras` file."""

    # What is wrong with it, whatever it holds.
    faults: tuple[str, ...]
    # In their order, but for the assets: Keras takes those as the system lists them.
    members: tuple[str, ...] = ()
    # As text with sorted keys, since 1, 1.0 and True are equal in Python.
    config: str = ""
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weights: Mapping[str, Node] = dataclasses.field(default_factory=dict)
    assets: Mapping[str, bytes] = dataclasses.field(default_factory=dict)


def archive(path: Path) -> Archive:
    """Returns everything in a `.keras` file."""
    with zipfile.ZipFile(path) as file:
        members = [info.filename for info in file.infolist()]
        bad = file.testzip()
        if bad is not None:
            return Archive(faults=(f"{bad}: its checksum is wrong",))
        faults = [
            f"{info.filename} is compressed"
            for info in file.infolist()
            if info.compress_type != zipfile.ZIP_STORED
            or info.compress_size != info.file_size
        ]
        faults += [
            f"{name} comes twice" for name in set(members) if members.count(name) > 1
        ]
        metadata = json.loads(file.read("metadata.json"))
        date = metadata.get("date_saved")
        try:
            datetime.strptime(date, "%Y-%m-%d@%H:%M:%S")
        except (TypeError, ValueError):
            faults.append(f"date_saved is {date!r}")
        assets = {
            name: file.read(name) for name in members if name.startswith("assets/")
        }
        with file.open(WEIGHTS) as member:
            # A large one is read where it lies, which takes long.
            large = file.getinfo(WEIGHTS).file_size > BLOCK_BYTES
            weights = hdf5(member if large else io.BytesIO(member.read()))
        return Archive(
            faults=tuple(faults),
            members=(
                *(name for name in members if name not in assets),
                *sorted(name for name in members if name in assets),
            ),
            config=json.dumps(json.loads(file.read("config.json")), sort_keys=True),
            metadata={**metadata, "date_saved": None},
            weights=weights,
            assets=assets,
        )


def archive_differences(a: Archive, b: Archive, *, at_least: int = 1) -> list[str]:
    """Returns where two archives differ, and what is wrong with the second.

    Args:
        a: What is expected.
        b: What is there.
        at_least: How many data sets both must have.

    Raises:
        AssertionError: If there are fewer data sets.
    """
    if b.faults:
        return list(b.faults)
    found = []
    for field in ("members", "config", "metadata"):
        found += _unequal(field, getattr(a, field), getattr(b, field))
    for name in sorted({*a.assets, *b.assets}):
        found += _unequal(name, a.assets.get(name), b.assets.get(name))
    weights = differences(a.weights, b.weights, at_least=at_least)
    return found + [f"{WEIGHTS}{text}" for text in weights]
