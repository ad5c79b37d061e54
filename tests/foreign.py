"""Makes files and folders as others than this package have left them, without Keras."""

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py


def keras_file(path: Path, content: str = "", modified: float | None = None) -> Path:
    """Makes what passes for a `.keras` file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("config.json", json.dumps({"content": content}))
        archive.writestr("model.weights.h5", b"")
    return _dated(path, modified)


def hdf5_file(path: Path, *groups: str, attributes: tuple[str, ...] = ()) -> Path:
    """Makes an HDF5 file with these at its root."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as h5:
        for name in groups:
            h5.create_group(name)
        for name in attributes:
            h5.attrs[name] = "{}"
    return path


def saved_model(path: Path, content: bytes = b"graph") -> Path:
    """Makes what passes for a SavedModel."""
    (path / "variables").mkdir(parents=True)
    (path / "assets").mkdir()
    (path / "saved_model.pb").write_bytes(content)
    (path / "variables" / "variables.index").write_bytes(b"index")
    return path


def seen(*paths: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Returns everything of files that an import must leave as it was."""
    return {
        str(path): (
            (status := path.stat()).st_mode,
            status.st_mtime_ns,
            status.st_ino,
            path.read_bytes(),
        )
        for path in _files(paths)
    }


def _files(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (p for p in sorted(path.rglob("*")) if p.is_file())
        else:
            yield path


def _dated(path: Path, modified: float | None) -> Path:
    if modified is not None:
        os.utime(path, (modified, modified))
    return path
