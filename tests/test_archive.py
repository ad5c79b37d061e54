"""Plain files of Keras, written and read without passing arrays through a library."""

import hashlib
import io
import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from keras_versioned_ckpt import archive
from keras_versioned_ckpt._hdf5_layout import Array, Group
from keras_versioned_ckpt.errors import CorruptVersionError, UnsafeVersionError
from keras_versioned_ckpt.snapshot import Snapshot
from tests.stores import run

ARRAYS = {"0": np.arange(12.0).reshape(3, 4), "1": np.arange(5, dtype="int8")}
GROUPS = (
    Group(
        "layers/dense",
        (("name", "dense"),),
        tuple(Array(key, a.dtype, a.shape) for key, a in ARRAYS.items()),
    ),
)
WEIGHTS = Snapshot(groups=GROUPS, arrays=tuple(ARRAYS.values()))
MODEL = Snapshot(
    groups=GROUPS,
    arrays=tuple(ARRAYS.values()),
    config=b'{"class_name": "Model"}',
    about=b"{}",
    assets={"layers/lookup/vocabulary.txt": b"one\ntwo", "top.bin": bytes(100)},
)


def written(snapshot: Snapshot, directory: Path) -> bytes:
    """Returns the bytes of a snapshot's file."""
    path = directory / "file"
    file = archive.write(snapshot, path)
    data = path.read_bytes()
    path.unlink()
    assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    return data


@pytest.mark.parametrize(
    ("snapshot", "format"), [(WEIGHTS, "weights"), (MODEL, "keras")]
)
def test_what_is_written_is_read(
    tmp_path: Path, snapshot: Snapshot, format: str
) -> None:
    """Arrays, configuration and assets; the hash is that of the file."""
    contents = archive.read(memoryview(written(snapshot, tmp_path)), format)
    group = contents.index.group("layers/dense/vars")
    for key, array in ARRAYS.items():
        assert (group[key].dtype, group[key].tolist()) == (array.dtype, array.tolist())
    assert contents.config == snapshot.config
    assert {k: bytes(v) for k, v in contents.assets.items()} == dict(snapshot.assets)


def test_assets_are_given_as_files(tmp_path: Path) -> None:
    """In a directory that is gone afterwards; none is made where there are none."""
    contents = archive.read(memoryview(written(MODEL, tmp_path)), "keras")
    with contents.assets_directory() as directory:
        assert directory is not None
        name = directory / "layers/lookup/vocabulary.txt"
        assert name.read_bytes() == b"one\ntwo"
    assert not directory.exists()
    with archive.read(
        memoryview(written(WEIGHTS, tmp_path)), "weights"
    ).assets_directory() as directory:
        assert directory is None


def test_any_zip_reader_reads_it(tmp_path: Path) -> None:
    """Checksums are right, nothing is packed, and the order is Keras's."""
    with zipfile.ZipFile(io.BytesIO(written(MODEL, tmp_path))) as found:
        assert found.testzip() is None
        assert {info.compress_type for info in found.infolist()} == {0}
        assert found.namelist() == [
            "metadata.json",
            "config.json",
            "model.weights.h5",
            "assets/layers/lookup/vocabulary.txt",
            "assets/top.bin",
        ]


@pytest.mark.parametrize("now", [0.0, 2.0**31, 2.0**33])
def test_no_clock_costs_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: float
) -> None:
    """A zip file tells no year before 1980 and none after 2107, whatever the clock."""
    monkeypatch.setattr("time.time", lambda: now)
    contents = archive.read(memoryview(written(MODEL, tmp_path)), "keras")
    assert contents.config == MODEL.config


def test_arrays_that_do_not_lie_in_one_piece(tmp_path: Path) -> None:
    """Are written as their values are, in order."""
    array = np.arange(24.0).reshape(4, 6).T[::2]
    groups = (Group("a", (), (Array("0", array.dtype, array.shape),)),)
    data = written(Snapshot(groups=groups, arrays=(array,)), tmp_path)
    found = archive.read(memoryview(data), "weights").index.group("a/vars")["0"]
    assert found.tolist() == array.tolist()


def members(**changes: bytes | None) -> Callable[[Path], bytes]:
    """Returns what makes a file with other members; `None` leaves one out."""

    def make(directory: Path) -> bytes:
        target = io.BytesIO()
        with (
            zipfile.ZipFile(io.BytesIO(written(MODEL, directory))) as source,
            zipfile.ZipFile(target, "w") as file,
        ):
            content: dict[str, bytes | None] = {
                name: source.read(name) for name in source.namelist()
            }
            for name, data in {**content, **changes}.items():
                if data is not None:
                    file.writestr(name, data)
        return target.getvalue()

    return make


def packed(directory: Path) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("config.json", b"{}" * 100)
        file.writestr("model.weights.h5", written(WEIGHTS, directory))
    return target.getvalue()


def twice(directory: Path) -> bytes:
    target = io.BytesIO(written(MODEL, directory))
    with zipfile.ZipFile(target, "a") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file.writestr("config.json", b"{}")
    return target.getvalue()


def short(directory: Path) -> bytes:
    return written(MODEL, directory)[:-100]


def cut_inside(directory: Path) -> bytes:
    data = written(MODEL, directory)
    return data[:500] + data[600:]


def moved_header(directory: Path) -> bytes:
    data = bytearray(written(MODEL, directory))
    data[:4] = b"KP\x03\x04"
    return bytes(data)


def long_header(directory: Path) -> bytes:
    data = bytearray(written(MODEL, directory))
    place = data.index(b"top.bin") - len("assets/") - 4
    data[place : place + 4] = b"\xff\xff\xff\xff"
    return bytes(data)


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (packed, CorruptVersionError),  # it lacks metadata.json
        (twice, UnsafeVersionError),
        (short, CorruptVersionError),
        (cut_inside, UnsafeVersionError),
        (moved_header, UnsafeVersionError),
        (long_header, UnsafeVersionError),
        (members(**{"config.json": None}), CorruptVersionError),
        (members(**{"model.weights.h5": None}), CorruptVersionError),
        (members(**{"model.weights.h5": b"no HDF5"}), CorruptVersionError),
        (members(**{"stray.txt": b"?"}), UnsafeVersionError),
        (members(**{"assets/../up.txt": b"?"}), UnsafeVersionError),
        (members(**{"assets//top.txt": b"?"}), UnsafeVersionError),
        (members(**{"assets/": b""}), UnsafeVersionError),
        (lambda directory: b"", CorruptVersionError),
        (lambda directory: b"no zip", CorruptVersionError),
    ],
)
def test_what_is_no_file_of_keras_is_refused(
    tmp_path: Path, make: Callable[[Path], bytes], error: type[Exception]
) -> None:
    """Nothing is written."""
    view = memoryview(make(tmp_path))
    with pytest.raises(error):
        archive.read(view, "keras")
    assert os.listdir(tmp_path) == []


def test_a_file_that_was_packed_is_read(tmp_path: Path) -> None:
    """Somebody packed it again: what is in it is the same."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(written(MODEL, tmp_path))) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file,
    ):
        for name in source.namelist():
            file.writestr(name, source.read(name))
    contents = archive.read(memoryview(target.getvalue()), "keras")
    assert contents.index.array_count == len(ARRAYS)
    assert contents.config == MODEL.config
    assert {k: bytes(v) for k, v in contents.assets.items()} == dict(MODEL.assets)


def test_what_keras_reads_is_a_copy(tmp_path: Path) -> None:
    """It is gone afterwards, and nobody else can look into it."""
    with archive.copied(memoryview(b"checked"), "model.keras") as path:
        assert path.read_bytes() == b"checked"
        assert path.name == "model.keras"
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.parent.exists()


def test_the_format_decides_and_not_what_the_file_looks_like(tmp_path: Path) -> None:
    """A file of weights that ends like a zip file is a file of weights."""
    zipped = written(MODEL, tmp_path)
    array = np.frombuffer(zipped, np.uint8)
    groups = (Group("a", (), (Array("0", array.dtype, array.shape),)),)
    data = written(Snapshot(groups=groups, arrays=(array,)), tmp_path)
    assert zipfile.is_zipfile(io.BytesIO(data))
    found = archive.read(memoryview(data), "weights")
    assert found.config is None
    assert found.index.array_count == 1


def test_a_save_in_flight_at_exit_may_still_start_threads(tmp_path: Path) -> None:
    """A large file is written by threads also while the interpreter waits to end."""
    script = """
import sys, threading, time
from pathlib import Path
import numpy as np
from keras_versioned_ckpt import archive
from keras_versioned_ckpt._hdf5_layout import Array, Group
from keras_versioned_ckpt.snapshot import Snapshot
array = np.arange(2_000_000.0)
groups = (Group("a", (), (Array("0", array.dtype, array.shape),)),)
def write():
    time.sleep(0.5)
    file = archive.write(Snapshot(groups=groups, arrays=(array,)), Path(sys.argv[1]))
    print(file.size > array.nbytes)
threading.Thread(target=write).start()
"""
    done = run(script, tmp_path / "file.weights.h5")
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
