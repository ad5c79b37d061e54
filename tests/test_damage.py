"""A bit that rots where nobody looks; `test_faults.py` damages all else."""

import io
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import pytest

from keras_versioned_ckpt import (
    CheckpointStore,
    CheckpointWarning,
    CorruptVersionError,
    load_latest,
    load_version,
    save_version,
)
from tests.zoo import network, same_weights, weights


def rot(path: Path) -> None:
    """Flips one bit of the first weight in a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("model.weights.h5")
        assert entry.compress_type == zipfile.ZIP_STORED
        found: list[int] = []

        def note(_: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.ndim == 2:
                found.append(item.id.get_offset())

        with h5py.File(io.BytesIO(archive.read(entry))) as file:
            file["layers"].visititems(note)
    data = bytearray(path.read_bytes())
    name, extra = struct.unpack_from("<HH", data, entry.header_offset + 26)
    begin = entry.header_offset + 30 + name + extra
    # In the exponent of a float32: no small error.
    data[begin + found[0] + 3] ^= 0x40
    path.write_bytes(data)


def load_with_keras(path: Path) -> tuple[Any, str]:
    """Returns what plain Keras loads, or the error that it raises, in words."""
    try:
        return keras.saving.load_model(path), ""
    except Exception as error:  # which one depends on the version of Python
        return None, f"{type(error).__name__}: {error}"


def test_a_rotten_bit_that_keras_may_load_is_refused(
    directory: Path, tmp_path: Path
) -> None:
    """Keras raises, or loads wrong weights without a word; this package refuses.

    Keras 3.15.1 does the former on Python 3.11 and the latter on 3.12 and 3.13, where
    to seek in an entry of a ZIP file ends the comparing of its checksum.
    """
    # Of a smaller file Keras reads all, and then also Python 3.12 finds the damage.
    model = network(units=4000)
    for _ in range(2):
        save_version(model, directory)
    payload = directory / "version_2" / "model.keras"
    rotten = shutil.copy(payload, tmp_path / "rotten.keras")
    loaded, _ = load_with_keras(rotten)
    assert same_weights(weights(loaded), weights(model))
    rot(rotten)
    assert rotten.stat().st_size == payload.stat().st_size

    loaded, error = load_with_keras(rotten)
    assert error or not same_weights(weights(loaded), weights(model))

    shutil.copy(rotten, payload)
    with pytest.raises(CorruptVersionError, match="version_2/model.keras has the SHA"):
        load_version(directory, 2)
    with pytest.warns(CheckpointWarning, match="version_2 is damaged and passed over"):
        loaded = load_latest(directory)
    assert same_weights(weights(loaded), weights(model))
    (problem,) = CheckpointStore(directory).verify().problems
    assert (problem.kind, problem.name) == ("version", "version_2")
