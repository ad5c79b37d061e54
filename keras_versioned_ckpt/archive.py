"""A snapshot as a plain file of Keras, `.keras` or `.weights.h5`, and back.

What is written is laid out as Keras lays it out, and any Keras reads it. The arrays
go from where they lie straight to the disk; their hash, and in a `.keras` file their
checksum, are taken from the same memory at the same time. What is read is handed out
where it lies in the file's mapping.
"""

import contextlib
import dataclasses
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from keras_versioned_ckpt import (
    _growth,
    _hdf5_check,
    _hdf5_index,
    _hdf5_layout,
    _host,
    _mapped_file,
    _zip_members,
    manifest,
)
from keras_versioned_ckpt._hashed_file import HashedFile
from keras_versioned_ckpt.snapshot import Snapshot

_ABOUT, _CONFIG = _zip_members.ABOUT, _zip_members.CONFIG
_WEIGHTS, _ASSETS = _zip_members.WEIGHTS, _zip_members.ASSETS
# Large enough that few are needed, small enough that hashing, writing and flushing
# are never far from one another.
_PIECE = 8 * 1024 * 1024
# Sizes beyond 2 GiB take another form in a zip file, which must be chosen before.
_LARGE = 2**30


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
        index: The arrays; `None` if they do not lie in it as they are, and only Keras
            can read them.
        config: The architecture, as `config.json` or an older HDF5 file has it;
            `None` for weights only.
        assets: Files of layers, by relative path.
    """

    index: _hdf5_index.Index | None
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


def read(view: memoryview, format: str, verify: bool = True) -> Contents:
    """Reads what a file holds, without its arrays' values, and checks how it is built.

    Args:
        view: The file's bytes.
        format: `"keras"`, `"weights"` or `"h5"`.
        verify: Whether the checksums in a `.keras` file are compared, for which all of
            it is read. That takes a third of the time of the SHA-256.

    Raises:
        UnsafeVersionError: If it is built as no file of Keras is.
        CorruptVersionError: If it is damaged.
    """
    return _read(view, format, verify, _plain_or_checked)


def check(view: memoryview, format: str, verify: bool = True) -> Contents:
    """Checks how a file is built whose arrays Keras will read.

    Args, Raises: As `read`.

    Returns:
        What it holds besides arrays.
    """
    return _read(view, format, verify, _checked)


_Index = _hdf5_index.Index | None


def _read(
    view: memoryview,
    format: str,
    verify: bool,
    index: Callable[[memoryview, int], _Index],
) -> Contents:
    # An HDF5 file that was packed, in a zip file that was packed, is measured by what
    # lies on the disk.
    most = _growth.unpacked_limit(len(view))
    if format == "h5":
        _hdf5_check.check(view, most, with_lists=True)
        return Contents(None, _hdf5_check.root_text(view, "model_config"))
    if format == "weights":
        return Contents(index(view, most))
    members = _zip_members.members(view, verify=verify)
    config, weights = bytes(members.pop(_CONFIG)), members.pop(_WEIGHTS)
    del members[_ABOUT]
    assets = {name.removeprefix(f"{_ASSETS}/"): data for name, data in members.items()}
    return Contents(index(weights, most), config, assets)


def _plain_or_checked(view: memoryview, most: int) -> _Index:
    """Returns the arrays where they lie; `None` if only Keras can read them.

    What the plain reader takes needs no other check: it takes whole arrays of numbers,
    and nothing else.
    """
    with contextlib.suppress(_hdf5_index.NotPlainError):
        index = _hdf5_index.Index(view, _host.handed_out)
        # Keras 2.13 wrote these, under other paths.
        if not index.has_group("_layer_checkpoint_dependencies"):
            return index
    return _checked(view, most)


def _checked(view: memoryview, most: int) -> _Index:
    _hdf5_check.check(view, most)
    return None


@contextlib.contextmanager
def copied(view: memoryview, name: str) -> Iterator[Path]:
    """Gives a file with these bytes that nobody else can change, for Keras to read.

    Args:
        view: The bytes, which were checked.
        name: How the file is to be called; Keras goes by how a name ends.
    """
    with tempfile.TemporaryDirectory(prefix="keras-ckpt-") as directory:
        path = Path(directory, name)
        with path.open("xb") as file:
            for piece in _mapped_file.pieces(view):
                file.write(piece)
        yield path
