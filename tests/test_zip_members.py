"""What a file of Keras is; `tests/hostile` makes what is none."""

import io
import struct
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_versioned_ckpt import _growth
from keras_versioned_ckpt._zip_members import members
from keras_versioned_ckpt.errors import CorruptVersionError, UnsafeVersionError

CONTENT = {
    "metadata.json": b"{}",
    "config.json": b'{"class_name": "Model"}' * 50,
    "model.weights.h5": bytes(range(256)) * 20,
    "assets/layers/lookup/vocabulary.txt": "ä".encode(),
    "assets/empty": b"",
}


def made(method: int = zipfile.ZIP_STORED, *, wide: bool = False) -> bytes:
    """Returns a file with the content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in CONTENT.items():
            with archive.open(name, "w", force_zip64=wide) as member:
                member.write(data)
    return file.getvalue()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("wide", [False, True])
def test_what_python_writes_is_read(method: int, wide: bool) -> None:
    """As it is and packed, with small sizes and room for large ones, in order."""
    found = members(memoryview(made(method, wide=wide)))
    assert {name: bytes(data) for name, data in found.items()} == CONTENT
    assert list(found) == list(CONTENT)


def test_what_is_stored_is_not_copied() -> None:
    """It lies where the file lies."""
    data = bytearray(made())
    found = members(memoryview(data))["metadata.json"]
    place = data.index(b"{}")
    data[place : place + 2] = b"[]"
    assert bytes(found) == b"[]"


def test_verify_is_about_stored_members() -> None:
    """What is unpacked is compared in any case; it has been read anyway."""
    for method, raises in ((zipfile.ZIP_STORED, False), (zipfile.ZIP_DEFLATED, True)):
        data = bytearray(made(method))
        entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"vocabulary.txt"))
        header = struct.unpack_from("<L", data, entry + 42)[0]
        for place in (entry + 16, header + 14):
            struct.pack_into("<L", data, place, 7)
        with pytest.raises(CorruptVersionError, match="another checksum"):
            members(memoryview(data))
        if raises:
            with pytest.raises(CorruptVersionError):
                members(memoryview(data), verify=False)
        else:
            assert members(memoryview(data), verify=False)


def test_a_small_file_may_unpack_to_a_little() -> None:
    """Up to the floor; the limit is that of all members together."""
    for size, fine in ((_growth.FLOOR_BYTES // 2, True), (_growth.FLOOR_BYTES, False)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in CONTENT.items():
                archive.writestr(name, data)
            archive.writestr("assets/zeros", bytes(size))
        if fine:
            assert len(members(memoryview(file.getvalue()))["assets/zeros"]) == size
        else:
            with pytest.raises(UnsafeVersionError, match="unpack to more than"):
                members(memoryview(file.getvalue()))


# What is changed may also be a date, which nobody reads.
@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    cut=st.integers(0, 50),
)
def test_any_damage_is_refused_or_harmless(flips: Any, method: int, cut: int) -> None:
    """By one of two errors; and what is read after all is what was there."""
    data = bytearray(made(method))
    for place, bits in flips:
        data[place % len(data)] ^= bits
    try:
        found = members(memoryview(data[: len(data) - cut]))
    except (CorruptVersionError, UnsafeVersionError):
        return
    for name, content in found.items():
        assert bytes(content) == CONTENT.get(name, bytes(content))
