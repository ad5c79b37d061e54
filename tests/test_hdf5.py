"""HDF5 files whose arrays never pass through HDF5: laid out, and found again."""

import io
from pathlib import Path
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from keras_versioned_ckpt._hdf5_index import Index, NotPlainError
from keras_versioned_ckpt._hdf5_layout import Array, Group, layout

DTYPES = [
    *("float16", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32"),
    *("uint32", "int64", "uint64", "bool", "complex64", ">f4", ">i8"),
    ml_dtypes.bfloat16,
]
KEYS = ["0", "1", "10", "kernel", "ä", "a.b"]
Tree = dict[str, dict[str, np.ndarray]]


def image(tree: Tree, **attributes: str) -> bytes:
    """Returns the bytes of a file with these groups of arrays."""
    groups = tuple(
        Group(
            path,
            tuple(attributes.items()),
            tuple(Array(key, a.dtype, a.shape) for key, a in arrays.items()),
        )
        for path, arrays in tree.items()
    )
    flat = [array for arrays in tree.values() for array in arrays.values()]
    made = layout(groups)
    parts = [p if isinstance(p, bytes) else flat[p].tobytes() for p in made.parts]
    data = b"".join(parts)
    assert len(data) == made.size
    return data


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """An array of any type and of up to three dimensions, empty ones included."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    data = draw(st.binary(min_size=1, max_size=64))
    count = int(np.prod(shape)) * dtype.itemsize
    raw = np.frombuffer((data * (count // len(data) + 1))[:count], np.uint8)
    if dtype.kind == "b":
        raw = raw % 2
    return raw.view(dtype).reshape(shape)


trees = st.dictionaries(
    st.sampled_from(["", "layers/dense", "layers/dense_1", "optimizer", "ö/x"]),
    st.dictionaries(st.sampled_from(KEYS), arrays(), max_size=4),
    max_size=4,
)


@settings(max_examples=100, deadline=None)
@given(tree=trees)
def test_what_is_laid_out_is_found(tree: Tree) -> None:
    """By this reader: every name, type, shape and byte."""
    index = Index(memoryview(image(tree)))
    assert index.array_count == sum(map(len, tree.values()))
    for path, group in tree.items():
        found = index.group(f"{path}/vars" if path else "vars")
        assert sorted(found) == sorted(group) == sorted(found.keys())
        assert len(found) == len(group)
        for key, array in group.items():
            assert key in found
            assert (found[key].dtype, found[key].shape) == (array.dtype, array.shape)
            assert found[key].tobytes() == array.tobytes()


@settings(max_examples=100, deadline=None)
@given(tree=trees)
def test_hdf5_reads_what_it_would_have_written(tree: Tree) -> None:
    """By HDF5: the same as if every array had passed through it."""
    expected = io.BytesIO()
    with h5py.File(expected, "w") as file:
        for path, group in tree.items():
            made = file.create_group(f"{path}/vars" if path else "vars")
            made.attrs["name"] = "a name"
            for key, array in group.items():
                made[key] = array
                if array.dtype == ml_dtypes.bfloat16:
                    made[key].attrs["dtype"] = "bfloat16"
    assert listed(io.BytesIO(image(tree, name="a name"))) == listed(expected)


def listed(file: io.BytesIO) -> dict[str, Any]:
    """Returns everything in a file."""
    found: dict[str, Any] = {}

    def look(name: str, item: Any) -> None:
        found[name] = [sorted(item.attrs.items())]
        if isinstance(item, h5py.Dataset):
            kind = item.id.get_type()
            found[name] += [item.shape, item.dtype, kind.get_class(), kind.get_size()]
            found[name] += [np.array(item).tobytes()]

    with h5py.File(file, "r") as h5:
        h5.visititems(look)
    return found


def test_the_same_shape_gives_the_same_bytes() -> None:
    """So that what was laid out once serves the next save, and no clock is in it."""
    tree = {"a": {"0": np.arange(5.0)}}
    first = image(tree, name="x")
    layout.cache_clear()
    assert image(tree, name="x") == first


def test_two_groups_of_one_path() -> None:
    """Are an error, as they are for HDF5."""
    group = Group("a", (), ())
    with pytest.raises(ValueError, match="already exists"):
        layout((group, group))


def test_a_large_file_takes_little_memory() -> None:
    """The room of the arrays is reserved in the file and not in memory."""
    huge = Array("0", np.dtype("float32"), (2**34,))
    made = layout((Group("a", (), (huge,)), Group("b", (), (huge,))))
    assert made.size > 2 * 4 * 2**34
    assert sum(len(part) for part in made.parts if isinstance(part, bytes)) < 100_000


def test_a_group_that_is_not_there() -> None:
    """Is an empty one, and its arrays are missing by name."""
    index = Index(memoryview(image({"a": {"0": np.arange(3)}})))
    assert list(index.group("b/vars")) == []
    assert "0" not in index.group("b/vars")
    with pytest.raises(KeyError, match="'1'"):
        index.group("a/vars")["1"]
    assert index.has_group("a/vars")
    assert not index.has_group("b")


def test_arrays_are_views() -> None:
    """They lie where the bytes lie."""
    data = bytearray(image({"a": {"0": np.arange(3, dtype="int8")}}))
    array = Index(memoryview(data)).group("a/vars")["0"]
    before = array.tolist()
    data[:] = bytes(byte ^ 255 for byte in data)
    assert (before, array.tolist()) == ([0, 1, 2], [-1, -2, -3])


def chunked(h5: Any) -> None:
    h5.create_dataset("a/vars/0", data=np.arange(100), chunks=(10,))


def compressed(h5: Any) -> None:
    h5.create_dataset("a/vars/0", data=np.arange(100), compression="gzip")


def text(h5: Any) -> None:
    h5["a/vars/0"] = "text of any length"


def soft_link(h5: Any) -> None:
    h5["b/vars/0"] = np.arange(3)
    h5["a/vars"] = h5py.SoftLink("/b/vars")


def external_link(h5: Any) -> None:
    h5["a"] = h5py.ExternalLink("elsewhere.h5", "/")


def external_storage(h5: Any) -> None:
    h5.create_dataset("a/vars/0", (10,), "int8", external=[("/etc/passwd", 0, 10)])


def virtual(h5: Any) -> None:
    virtual_layout = h5py.VirtualLayout((10,), "int8")
    virtual_layout[:] = h5py.VirtualSource("elsewhere.h5", "0", (10,))
    h5.create_virtual_dataset("a/vars/0", virtual_layout)


def never_written(h5: Any) -> None:
    h5.create_dataset("a/vars/0", (10**9,), "float64")


def no_shape(h5: Any) -> None:
    h5["a/vars/0"] = h5py.Empty("f4")


def named_type(h5: Any) -> None:
    h5["a/vars/0"] = np.dtype("f4")


def contains_itself(h5: Any) -> None:
    group = h5.create_group("a/vars")
    group["again"] = h5["a"]


def very_deep(h5: Any) -> None:
    h5.create_group("/".join(200 * ["a"]))


def reference(h5: Any) -> None:
    h5.create_group("b")
    h5.create_dataset("a/vars/0", data=h5["b"].ref, dtype=h5py.ref_dtype)


@pytest.mark.parametrize(
    "put",
    [
        *(chunked, compressed, text, soft_link, external_link, external_storage),
        *(virtual, never_written, no_shape, named_type, contains_itself, very_deep),
        reference,
    ],
)
def test_what_is_not_plain_is_left_alone(tmp_path: Path, put: Any) -> None:
    """No link is followed, nothing is unpacked, and no memory is taken."""
    path = tmp_path / "file.h5"
    with h5py.File(path, "w") as h5:
        put(h5)
    with pytest.raises(NotPlainError):
        Index(memoryview(path.read_bytes()))


def test_no_file_of_hdf5() -> None:
    """Any bytes, and a file cut short anywhere, are refused and crash nothing."""
    data = image({"a": {"0": np.arange(1000)}, "b": {"0": np.arange(5)}}, name="x")
    for length in [0, 1, 8, 100, 512, 2000, len(data) // 2, len(data) - 1]:
        with pytest.raises(NotPlainError):
            Index(memoryview(data[:length]))
    with pytest.raises(NotPlainError):
        Index(memoryview(b"anything" * 1000))


# The same examples each time: what HDF5 itself makes of damage is not our affair.
@settings(max_examples=200, deadline=None, derandomize=True)
@given(flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 255)), max_size=8))
def test_damaged_structure(flips: list[tuple[int, int]]) -> None:
    """It is read within its bounds, or refused."""
    tree = {"a": {"0": np.arange(50), "1": np.zeros(3)}, "b": {"0": np.arange(5)}}
    data = bytearray(image(tree, name="x"))
    for place, bits in flips:
        data[place % len(data)] ^= bits
    try:
        index = Index(memoryview(data))
    except NotPlainError:
        return
    for group in ("a/vars", "b/vars"):
        for key in index.group(group):
            if key in index._arrays:
                assert index.group(group)[key].nbytes <= len(data)
