"""HDF5 files that Keras reads itself; `tests/hostile` makes those it must not see."""

import io
from typing import Any

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_versioned_ckpt import _growth
from keras_versioned_ckpt._hdf5_check import check
from keras_versioned_ckpt._hdf5_index import Index, NotPlainError
from keras_versioned_ckpt.errors import CorruptVersionError, UnsafeVersionError

SOME = np.arange(600.0).reshape(20, 30)


def made(**options: Any) -> bytes:
    """Returns a file with an array that is stored in some way."""
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        group = h5.create_group("layers/dense/vars")
        group.attrs["name"] = "dense"
        group.create_dataset("0", **{"data": SOME, **options})
    return file.getvalue()


def checked(data: bytes) -> None:
    """Checks a file that may grow as any file may."""
    check(memoryview(data), _growth.unpacked_limit(len(data)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (7, 30)},
        {"chunks": (7, 11), "compression": "gzip"},
        {"chunks": (7, 11), "compression": "gzip", "shuffle": True},
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"fletcher32": True},
        {"data": np.zeros((300, 300)), "compression": "gzip"},
        {"data": np.frombuffer(np.random.default_rng(0).bytes(9999), "u1")}
        | {"compression": "gzip"},
        {"data": np.zeros((0, 3))},
        {"data": 1.5},
        {"data": SOME > 3},
        {"data": SOME.astype("complex64")},
        {"data": SOME.astype(ml_dtypes.bfloat16)},
        {"data": SOME.astype(">f4")},
    ],
    ids=str,
)
def test_numbers_pass(options: dict[str, Any]) -> None:
    """In one piece, in several, packed, and of every type that Keras has."""
    checked(made(**options))


def test_the_limit_is_the_callers() -> None:
    """And counts what is declared."""
    data = made(data=np.zeros(100_000), compression="gzip")
    check(memoryview(data), 800_000)
    with pytest.raises(UnsafeVersionError, match="declares more than 799999 bytes"):
        check(memoryview(data), 799_999)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 255)), max_size=6),
    cut=st.sampled_from([0, 0, 0, 1, 100]),
)
def test_what_the_plain_reader_takes_passes_here(flips: Any, cut: int) -> None:
    """Damaged or not; and what does not pass is refused by one of two errors."""
    data = bytearray(made())
    for place, bits in flips:
        data[place % len(data)] ^= bits
    del data[len(data) - cut :]
    refused = ""
    try:
        checked(bytes(data))
    except (CorruptVersionError, UnsafeVersionError) as error:
        refused = str(error)
    try:
        Index(memoryview(data))
    except NotPlainError:
        return
    # It does not read attributes, and so takes what is wrong with them.
    assert not refused or "attribute" in refused or "HDF5 cannot read it" in refused
