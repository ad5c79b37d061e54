"""What a file or folder from elsewhere is, by what is in it.

A name says little: Keras has used `.h5` for four kinds of files, and `.keras` for two.
"""

import dataclasses
import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from keras_versioned_ckpt import (
    _atomic,
    _founding,
    _hdf5_root,
    _integrity,
    _mapped_file,
    _zip_members,
)
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import escaped, listing, reason, shown
from keras_versioned_ckpt.errors import CheckpointError, StoreNotFoundError
from keras_versioned_ckpt.manifest import check_path

SAVED_MODEL = "saved_model.pb"

_ZIP = b"PK\x03\x04"
# What Keras 2 writes at the root of a whole model, and of weights; where the names of
# many layers do not fit into one attribute they are in several.
_OF_KERAS_2 = {"model_config", "layer_names", "layer_names0"}
# What Keras 3, and Keras 2.12 and later in its manner, have in every file of weights.
_OF_KERAS_3 = {"vars", "layers", "_layer_checkpoint_dependencies"}
_TENSORFLOW = (".index", ".data-00000-of-00001")
_MAX_ABOUT = 64 * 1024


class NotRecognisedError(Exception):
    """It is nothing that can become a version; the text says why."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Payload:
    """A file or folder of Keras.

    Args:
        path: Where it is; absolute, without links.
        format: `"keras"`, `"weights"`, `"h5"` or `"saved_model"`.
        files: The paths of its files relative to `path`; of a file, one empty path.
        size_bytes: The size of all of them.
        modified: When it was changed last, by its file system.
        keras: The version of Keras that wrote it, where it says so.
    """

    path: Path
    format: str
    files: tuple[str, ...]
    size_bytes: int
    modified: datetime
    keras: str | None = None

    def file(self, name: str) -> Path:
        """Returns where one of its files is."""
        return self.path / name if name else self.path


def recognise(path: Path) -> Payload | None:
    """Says what stands at a path.

    Args:
        path: The path; a link in its last part is not followed.

    Returns:
        What it is; `None` for a folder that is no SavedModel.

    Raises:
        NotRecognisedError: If it can be no version.
    """
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise NotRecognisedError("a link; pass what it leads to")
        if stat.S_ISDIR(status.st_mode):
            return _folder(path)
        if not stat.S_ISREG(status.st_mode):
            raise NotRecognisedError("neither a file nor a folder")
        return _file(path, status)
    except (OSError, ValueError, CheckpointError) as error:
        text = reason(error) if isinstance(error, OSError) else str(error)
        raise NotRecognisedError(escaped(text)) from error


def is_store(path: Path) -> bool:
    """Returns whether a folder is a store, be it a damaged one."""
    try:
        return os.path.lexists(Layout(path).room) or bool(
            _founding.identify(Layout(path))
        )
    except StoreNotFoundError:
        return False
    except (CheckpointError, OSError):
        return True


def is_version(path: Path) -> bool:
    """Returns whether a folder is a version of some store."""
    try:
        _integrity.read_manifest(path)
    except (CheckpointError, OSError):
        return False
    return True


def _folder(path: Path) -> Payload | None:
    if not os.path.lexists(path / SAVED_MODEL):
        return None
    try:
        files, _ = _atomic.files_below(path)
    except _atomic.NotRegularError as error:
        name = Path(str(error.filename)).name
        raise NotRecognisedError(
            "a SavedModel that holds something that is neither a file nor a "
            f"directory, or is nested too deep: {shown(name)}"
        ) from error
    if SAVED_MODEL not in files:
        raise NotRecognisedError(f"its {SAVED_MODEL} is no file")
    for name in files:
        check_path(f"saved_model/{name}")
    status = [(path / name).lstat() for name in files]
    return Payload(
        path=path,
        format="saved_model",
        files=tuple(files),
        size_bytes=sum(each.st_size for each in status),
        modified=_instant(max(each.st_mtime_ns for each in status)),
    )


def _file(path: Path, status: os.stat_result) -> Payload:
    if not status.st_size:
        raise NotRecognisedError("empty")
    with _atomic.open_regular(path) as file:
        begin = file.read(len(_hdf5_root.SIGNATURE))
        keras = None
        if begin.startswith(_ZIP):
            format, keras = "keras", _in_zip(path)
        elif begin == _hdf5_root.SIGNATURE:
            format = _in_hdf5(file, path.name, status.st_size)
        elif path.name.endswith(_TENSORFLOW) or path.name == "checkpoint":
            raise NotRecognisedError(
                "of a checkpoint of TensorFlow, which only the model's own program can "
                "read. Load it there, and save it with `save_version`"
            )
        else:
            raise NotRecognisedError("neither a .keras file nor HDF5")
    return Payload(
        path=path,
        format=format,
        files=("",),
        size_bytes=status.st_size,
        modified=_instant(status.st_mtime_ns),
        keras=keras,
    )


def _in_zip(path: Path) -> str | None:
    """Checks that a zip file is one of Keras; returns the version that wrote it."""
    try:
        members = _zip_members.members(_mapped_file.mapped(path), verify=False)
    except CheckpointError as error:
        raise NotRecognisedError(f"a zip file and no .keras file: {error}") from error
    try:
        about = json.loads(bytes(members[_zip_members.ABOUT][:_MAX_ABOUT]))
        found = about["keras_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) and len(found) <= 64 else None


def _in_hdf5(file: BinaryIO, name: str, size: int) -> str:
    is_named_weights = name.lower().endswith(".weights.h5")
    root = _hdf5_root.read(file, size)
    if root is None:
        # The careful answer: such a file is loaded only if its writer is trusted.
        return "weights" if is_named_weights else "h5"
    if root.attributes & _OF_KERAS_2:
        return "h5"
    if root.children & _OF_KERAS_3:
        return "weights"
    raise NotRecognisedError(
        "an HDF5 file that Keras did not write. It has at its root: "
        + listing(shown(text) for text in sorted(root.children | root.attributes))
    )


def _instant(nanoseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime(1970, 1, 1, tzinfo=UTC)
