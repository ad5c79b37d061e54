"""Whether the measure measures: every difference between two payloads is found.

`test_archive_zoo.py` rests on these comparisons, and one that cannot fail would let
every writer pass.
"""

import io
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from . import contents
from .model_zoo import KINDS


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive with assets, attributes and two dtypes, written by Keras."""
    path = tmp_path_factory.mktemp("sound") / "model.keras"
    KINDS["own_assets"].trained().save(path)
    return path


def rewritten(
    source: Path,
    target: Path,
    members: Callable[[dict[str, bytes]], object],
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Writes an archive anew after a change of its members."""
    with zipfile.ZipFile(source) as file:
        content = {name: file.read(name) for name in file.namelist()}
    members(content)
    with zipfile.ZipFile(target, "w", compression) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return target


KERNEL, GROUP = "layers/dense/vars/0", "layers/dense/vars"


def within(change: Callable[[h5py.File], object]) -> Callable[[dict[str, bytes]], None]:
    """Returns a change of an archive that changes its HDF5 file."""

    def members(content: dict[str, bytes]) -> None:
        buffer = io.BytesIO(content[contents.WEIGHTS])
        with h5py.File(buffer, "r+") as file:
            change(file)
        content[contents.WEIGHTS] = buffer.getvalue()

    return members


def replace(file: h5py.File, make: Callable[[np.ndarray], Any], **options: Any) -> None:
    """Puts another data set in the place of a layer's kernel."""
    value = file[KERNEL][()]
    del file[KERNEL]
    file.create_dataset(KERNEL, data=make(value), **options)


def flip_a_bit(value: np.ndarray) -> np.ndarray:
    """Changes the lowest bit of the last element."""
    bits = value.copy().view("uint32")
    bits.flat[-1] ^= 1
    return bits.view(value.dtype)


def attribute(name: str, value: Any, path: str = GROUP, **options: Any) -> Any:
    """Returns a change that sets an attribute."""
    return within(lambda file: file[path].attrs.create(name, value, **options))


def delete(path: str) -> Any:
    """Returns a change that deletes an object."""
    return within(lambda file: file.__delitem__(path))


def other(make: Callable[[np.ndarray], Any], **options: Any) -> Any:
    """Returns a change of the kernel."""
    return within(lambda file: replace(file, make, **options))


def edit(name: str, old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
    """Returns a change of an archive's member."""

    def members(content: dict[str, bytes]) -> None:
        assert old in content[name]
        content[name] = content[name].replace(old, new, 1)

    return members


def swap(content: dict[str, bytes]) -> None:
    """Puts the metadata behind the configuration."""
    metadata = content.pop("metadata.json")
    rest = dict(content)
    content.clear()
    content.update({"config.json": rest.pop("config.json"), "metadata.json": metadata})
    content.update(rest)


NOTE = "assets/layers/notes/notes.txt"
CHANGES = {
    "a flipped bit": (other(flip_a_bit), "sha256"),
    "another dtype": (other(lambda value: value.astype("float64")), "dtype"),
    "another byte order": (other(lambda value: value.astype(">f4")), "dtype"),
    "integers of the same bytes": (other(lambda value: value.view("int32")), "dtype"),
    "another shape": (other(lambda value: value.reshape(-1)), "shape"),
    "a transposed kernel": (other(lambda value: value.T.copy()), "sha256"),
    "no value": (other(lambda value: h5py.Empty(value.dtype)), "space"),
    "a missing data set": (delete(KERNEL), f"/{KERNEL} is missing"),
    "a missing group": (delete("layers/notes"), "/layers/notes is missing"),
    "an extra data set": (
        within(lambda file: file.create_dataset("extra", data=1)),
        "/extra is too much",
    ),
    "an extra group": (
        within(lambda file: file.create_group("extra")),
        "/extra is too much",
    ),
    "a link": (
        within(lambda file: file.__setitem__("soft", h5py.SoftLink("/" + KERNEL))),
        "/soft is too much",
    ),
    "a link in place of a data set": (
        within(
            lambda file: (
                file.move(KERNEL, "k"),
                file[GROUP].__setitem__("0", h5py.SoftLink("/k")),
            )
        ),
        "kind",
    ),
    "a group in place of a data set": (
        within(lambda file: (file.__delitem__(KERNEL), file.create_group(KERNEL))),
        "kind",
    ),
    "a missing attribute": (
        within(lambda file: file[GROUP].attrs.__delitem__("name")),
        "attribute 'name'",
    ),
    "an extra attribute": (attribute("more", 1), "attribute 'more'"),
    "an extra attribute of the root": (attribute("more", 1, "/"), "/: attribute"),
    "an extra attribute of a data set": (
        attribute("dtype", "float32", KERNEL),
        "attribute 'dtype'",
    ),
    "another attribute": (attribute("name", "dence"), "attribute 'name'"),
    "an attribute of another type": (
        attribute("name", np.bytes_("dense")),
        "attribute 'name'",
    ),
    "an attribute in ASCII": (
        attribute("name", "dense", dtype=h5py.string_dtype("ascii")),
        "attribute 'name'",
    ),
    "another configuration": (
        edit("config.json", b'"units": 2', b'"units": 3'),
        "config",
    ),
    "a number that is equal": (
        edit("config.json", b'"units": 2', b'"units": 2.0'),
        "config",
    ),
    "another release": (
        edit("metadata.json", keras.__version__.encode(), b"3.0.0"),
        "metadata",
    ),
    "a date in another form": (
        edit("metadata.json", b'"date_saved": "', b'"date_saved": "on '),
        "date_saved",
    ),
    "no date": (edit("metadata.json", b"date_saved", b"date_lost"), "date_saved"),
    "another order": (swap, "members"),
    "a missing asset": (lambda content: content.pop(NOTE), "members"),
    "an extra asset": (
        lambda content: content.update({"assets/more": b""}),
        "members",
    ),
    "another asset": (edit(NOTE, b"trained", b"trainex"), NOTE),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_seen(name: str, sound: Path, tmp_path: Path) -> None:
    """The comparison finds the one thing that is different, and says which."""
    change, message = CHANGES[name]
    changed = rewritten(sound, tmp_path / "model.keras", change)
    a, b = contents.archive(sound), contents.archive(changed)
    found = contents.archive_differences(a, b)
    assert any(message in text for text in found), found


def test_only_changes_are_seen(sound: Path, tmp_path: Path) -> None:
    """A file is like itself, like its copy, and like the next that Keras writes."""
    copy = rewritten(sound, tmp_path / "copy.keras", lambda content: None)
    a = contents.archive(sound)
    for path in (sound, copy):
        assert contents.archive_differences(a, contents.archive(path)) == []
    model = KINDS["own_assets"].trained()
    read = []
    for name in ("first", "second"):
        model.save(tmp_path / f"{name}.keras")
        read.append(contents.archive(tmp_path / f"{name}.keras"))
    assert contents.archive_differences(*read) == []


def test_names_of_objects_can_be_passed_over(sound: Path, tmp_path: Path) -> None:
    """But no other attribute."""
    a = contents.archive(sound).weights
    for name, expected in (("name", False), ("dtype", True)):
        change = attribute(name, "other")
        changed = rewritten(sound, tmp_path / f"{name}.keras", change)
        b = contents.archive(changed).weights
        assert contents.differences(a, b)
        assert bool(contents.differences(a, b, ignore={"name"})) is expected


def test_compression_is_seen(sound: Path, tmp_path: Path) -> None:
    """Also where the content is the same."""
    packed = rewritten(
        sound, tmp_path / "model.keras", lambda content: None, zipfile.ZIP_DEFLATED
    )
    a, b = contents.archive(sound), contents.archive(packed)
    found = contents.archive_differences(a, b)
    assert "config.json is compressed" in found
    assert "model.weights.h5 is compressed" in found


def test_a_wrong_checksum_is_seen(sound: Path, tmp_path: Path) -> None:
    """Of every member."""
    with zipfile.ZipFile(sound) as file:
        members = [info for info in file.infolist() if info.file_size]
    assert len(members) > 3
    for info in members:
        broken = bytearray(sound.read_bytes())
        name = info.orig_filename.encode()
        broken[info.header_offset + 30 + len(name) + info.file_size - 1] ^= 1
        path = tmp_path / "model.keras"
        path.write_bytes(broken)
        found = contents.archive_differences(
            contents.archive(sound), contents.archive(path)
        )
        assert found == [f"{info.filename}: its checksum is wrong"]


def test_types_that_h5py_does_not_tell_apart(tmp_path: Path) -> None:
    """An opaque type has a tag besides its size; the dtype is the same."""
    read = []
    for index, tag in enumerate((b"", b"", b"bfloat16")):
        type_ = h5py.h5t.create(h5py.h5t.OPAQUE, 2)
        type_.set_tag(tag)
        path = tmp_path / f"{index}.h5"
        with h5py.File(path, "w") as file:
            space = h5py.h5s.create_simple((3,))
            item = h5py.h5d.create(file.id, b"x", type_, space)
            value = np.array([b"ab", b"cd", b"ef"], "V2")
            item.write(h5py.h5s.ALL, h5py.h5s.ALL, value, mtype=type_)
        read.append(contents.hdf5(path))
    one, same, other = read
    assert one["/x"].dtype == other["/x"].dtype
    assert contents.differences(one, same) == []
    (found,) = contents.differences(one, other)
    assert found.startswith("/x: type")


@pytest.mark.parametrize(
    ("bits", "others"),
    [(0, 0x8000_0000), (0x7FC0_0000, 0x7FC0_0001), (0x7FC0_0000, 0xFFC0_0000)],
)
def test_values_that_numpy_does_not_tell_apart(
    bits: int, others: int, tmp_path: Path
) -> None:
    """Zeros of either sign are equal, and one NaN is printed as any other."""
    read = []
    for name, value in (("a", bits), ("b", others)):
        with h5py.File(tmp_path / name, "w") as file:
            file["x"] = np.array(value, "uint32").view("float32")
        read.append(contents.hdf5(tmp_path / name))
    (found,) = [
        text for text in contents.differences(*read) if not text.startswith("/x: tri")
    ]
    assert found.startswith("/x: sha256")


def test_a_large_data_set_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks, which give the hash of the whole."""
    value = np.arange(1000, dtype="float32").reshape(50, 20)
    read = []
    for index in range(2):
        value[-1, -1] += index
        with h5py.File(tmp_path / str(index), "w") as file:
            file["x"] = value
        whole = contents.hdf5(tmp_path / str(index))
        with monkeypatch.context() as patch:
            patch.setattr(contents, "BLOCK_BYTES", 300)
            read.append(contents.hdf5(tmp_path / str(index)))
        assert read[-1] == whole
    (found,) = contents.differences(*read)
    assert found.startswith("/x: sha256")


def test_a_member_that_comes_twice_is_seen(sound: Path, tmp_path: Path) -> None:
    """Of two members of one name a reader sees the last alone."""
    path = Path(shutil.copy(sound, tmp_path / "model.keras"))
    with zipfile.ZipFile(path, "a") as file, warnings.catch_warnings(action="ignore"):
        file.writestr("config.json", file.read("config.json"))
    found = contents.archive_differences(
        contents.archive(sound), contents.archive(path)
    )
    assert found == ["config.json comes twice"]


def test_files_without_data_sets_are_not_found_equal(tmp_path: Path) -> None:
    """Nothing compared is an error, and not an agreement."""
    path = tmp_path / "empty.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers")
    empty = contents.hdf5(path)
    with pytest.raises(AssertionError, match="0 data sets"):
        contents.differences(empty, empty)
    assert contents.differences(empty, empty, at_least=0) == []
