"""A snapshot as a plain file of Keras, `.keras` or `.weights.h5`, and back.

What is written is laid out as Keras lays it out, and any Keras reads it. The arrays
go from where they lie straight to the disk; their hash, and in a `.keras` file their
checksum, are taken from the same memory at the same time. What is read is handed out
where it lies in the file's mapping.
"""

import contextlib
import dataclasses
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from keras_versioned_ckpt import _hdf5_index, _hdf5_layout, _host, manifest
from keras_versioned_ckpt._hashed_file import HashedFile
from keras_versioned_ckpt._hdf5_index import NotPlainError as NotPlainError
from keras_versioned_ckpt._mapped_file import ViewFile
from keras_versioned_ckpt.snapshot import Snapshot

_ABOUT, _CONFIG, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_ASSETS = "assets"
# Large enough that few are needed, small enough that hashing, writing and flushing
# are never far from one another.
_PIECE = 8 * 1024 * 1024
# Sizes beyond 2 GiB take another form in a zip file, which must be chosen before.
_LARGE = 2**30
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def write(snapshot: Snapshot, path: Path) -> manifest.File:
    """Writes a new file and waits until it is on the disk.

    Args:
        snapshot: The model; its arrays must not change meanwhile.
        path: Where; nothing may stand there.

    Returns:
        The file's size and SHA-256.

    Raises:
        OSError: If the file cannot be written.
        ValueError: If HDF5 has no form for something.
    """
    layout = _hdf5_layout.layout(snapshot.groups)
    with HashedFile(path, layout.size) as file:
        if snapshot.config is None:
            for piece in _image(layout, snapshot.arrays):
                file.write(piece)
        else:
            _write_zip(file, snapshot, layout)
        size, sha256 = file.finish()
    return manifest.File(size=size, sha256=sha256)


def _write_zip(
    file: HashedFile, snapshot: Snapshot, layout: _hdf5_layout.Layout
) -> None:
    with zipfile.ZipFile(cast(BinaryIO, file), "w") as archive:
        archive.writestr(_undated(_ABOUT), snapshot.about or b"")
        archive.writestr(_undated(_CONFIG), snapshot.config or b"")
        large = layout.size > _LARGE
        weights = _undated(_WEIGHTS)
        with archive.open(weights, "w", force_zip64=large) as member:
            for piece in _image(layout, snapshot.arrays):
                member.write(piece)
        for name, content in snapshot.assets.items():
            archive.writestr(_undated(f"{_ASSETS}/{name}"), content)


def _undated(name: str) -> zipfile.ZipInfo:
    # A zip file tells the years 1980 to 2107 and no others; a machine that has lost
    # its clock wakes up in 1970, and must not lose a save as well.
    return zipfile.ZipInfo(name)


def _image(
    layout: _hdf5_layout.Layout, arrays: tuple[np.ndarray, ...]
) -> Iterator[bytes | memoryview]:
    """Yields the bytes of the HDF5 file in order."""
    for part in layout.parts:
        if isinstance(part, bytes):
            yield part
        else:
            flat = np.ascontiguousarray(arrays[part]).reshape(-1).view(np.uint8)
            for start in range(0, len(flat), _PIECE):
                yield flat[start : start + _PIECE].data


@dataclasses.dataclass(frozen=True)
class Contents:
    """What a file holds, where it lies.

    Args:
        index: The arrays.
        config: The architecture, as `config.json` has it; `None` for weights only.
        assets: Files of layers, by relative path.
    """

    index: _hdf5_index.Index
    config: bytes | None = None
    assets: Mapping[str, memoryview] = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def assets_directory(self) -> Iterator[Path | None]:
        """Gives a directory with the files of layers, or `None` if there are none."""
        if not self.assets:
            yield None
            return
        with tempfile.TemporaryDirectory() as name:
            for path, content in self.assets.items():
                target = Path(name, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            yield Path(name)


def read(view: memoryview, format: str) -> Contents:
    """Reads what a file holds, without its arrays' values.

    Args:
        view: The file's bytes.
        format: `"keras"` or `"weights"`.

    Raises:
        NotPlainError: If it is not as plain as this package writes it. Keras may be
            able to read it all the same.
    """
    if format == "weights":
        return Contents(_index(view))
    members = _members(view)
    try:
        config, weights = bytes(members.pop(_CONFIG)), members.pop(_WEIGHTS)
    except KeyError as error:
        raise NotPlainError(f"it lacks {error}") from None
    members.pop(_ABOUT, None)
    return Contents(_index(weights), config, dict(_assets(members)))


def _index(view: memoryview) -> _hdf5_index.Index:
    index = _hdf5_index.Index(view, _host.handed_out)
    if index.has_group("_layer_checkpoint_dependencies"):
        raise NotPlainError("Keras 2.13 wrote it, whose paths are others")
    return index


def _assets(members: Mapping[str, memoryview]) -> Iterator[tuple[str, memoryview]]:
    for name, content in members.items():
        folder, _, path = name.partition("/")
        try:
            manifest.check_path(path)
        except ValueError as error:
            raise NotPlainError(str(error)) from error
        if folder != _ASSETS:
            raise NotPlainError(f"it holds {name!r}")
        yield path, content


def _members(view: memoryview) -> dict[str, memoryview]:
    """Returns the bytes of each file in a zip file that does not compress."""
    members = {}
    try:
        with zipfile.ZipFile(ViewFile(view)) as archive:
            for info in archive.infolist():
                if info.filename in members or info.compress_size != info.file_size:
                    raise NotPlainError(f"{info.filename!r} is compressed or double")
                if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                    raise NotPlainError(f"{info.filename!r} is not stored as it is")
                members[info.filename] = _member(view, info)
    except (zipfile.BadZipFile, struct.error, OSError) as error:
        raise NotPlainError(f"it is no zip file: {error}") from error
    return members


def _member(view: memoryview, info: zipfile.ZipInfo) -> memoryview:
    # The header before the data may be longer than the one in the directory.
    signature, *lengths = _LOCAL_HEADER.unpack_from(view, info.header_offset)
    start = info.header_offset + _LOCAL_HEADER.size + sum(lengths)
    if signature != b"PK\x03\x04" or start + info.file_size > len(view):
        raise NotPlainError(f"{info.filename!r} is not where the directory says")
    return view[start : start + info.file_size]
