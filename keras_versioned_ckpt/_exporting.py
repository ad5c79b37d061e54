"""One version out of a store: its payload as a plain file or folder.

It appears under its name when it is whole and what the manifest says, and not before.
"""

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from keras_versioned_ckpt import _atomic, _copying, _integrity, _wire
from keras_versioned_ckpt._messages import escaped, reason, shown
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CorruptVersionError,
    VersionNotFoundError,
)
from keras_versioned_ckpt.manifest import Manifest
from keras_versioned_ckpt.records import Version

#: How the name of a payload must end, for Keras goes by that; the first is the usual.
_ENDINGS = {
    "keras": (".keras",),
    "weights": (".weights.h5",),
    "h5": (".h5", ".hdf5"),
    "saved_model": ("",),
}
_FILES = (".keras", ".h5", ".hdf5")


def export(
    version: Version,
    target: str | os.PathLike[str],
    *,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Copies the payload of a version to a place outside of its store.

    Args:
        version: The version, as its store lists it.
        target: A path where nothing is; or a directory, in which the copy is called as
            the version is, with the ending that Keras wants.
        progress: Told how many bytes are done and of how many, now and then.

    Returns:
        Where the copy is, after it is on the disk.

    Raises:
        ValueError: If something is there already, `target` ends as no file of that
            format does, or lies inside the store.
        VersionNotFoundError: If the version is no longer there.
        CorruptVersionError: If it is not what was saved.
        UnsafeVersionError: If there is a link or anything else that is no file.
        CheckpointError: If it cannot be read, or the copy not written.
    """
    directory = version.path
    if directory is None:
        raise ValueError(
            "`version` must be one that a store has listed. "
            f"Received: version={version!r}"
        )
    path = _place(version, directory, target)
    try:
        manifest = _integrity.read_manifest(directory)
        _integrity.check_files(directory, manifest)
        _write(directory, manifest, path, progress or (lambda done, total: None))
    except FileExistsError as error:
        raise _taken(path) from error
    except FileNotFoundError as error:
        if os.path.lexists(directory):
            raise _failed(version, path, error) from error
        raise VersionNotFoundError(
            f"{shown(version.name)} is not there: {directory} is gone. "
            "It may have been pruned since it was listed."
        ) from error
    except OSError as error:
        raise _failed(version, path, error) from error
    return path


def _place(version: Version, directory: Path, target: str | os.PathLike[str]) -> Path:
    """Returns where the copy goes, if it may go there."""
    text = os.fspath(target) if isinstance(target, (str, os.PathLike)) else None
    if not isinstance(text, str):
        raise TypeError(
            f"`target` must be a string or a path. Received: target={target!r}"
        )
    if not text or "\0" in text:
        raise ValueError(f"`target` must name a place. Received: target={target!r}")
    path = Path(os.path.abspath(text))
    endings = _ENDINGS[version.format]
    if path.is_dir():
        path /= version.name + endings[0]
    elif text.endswith(("/", os.sep)):
        raise ValueError(
            "`target` must be a directory that is there, if it ends with a slash. "
            f"Received: target={shown(text)}"
        )
    if os.path.lexists(path):
        raise _taken(path)
    if not path.parent.is_dir():
        raise ValueError(
            "`target` must lie in a directory that is there. "
            f"Received: target={shown(text)}. Make {escaped(str(path.parent))} first."
        )
    _check_ending(version, path.name, endings)
    store = Path(os.path.realpath(directory.parent))
    parent = Path(os.path.realpath(path.parent))
    if store in parent.parents:
        raise ValueError(
            "`target` must not lie in a version or in the room of the store. "
            f"Received: target={shown(text)}"
        )
    return path


def _check_ending(version: Version, name: str, endings: tuple[str, ...]) -> None:
    lower = name.lower()
    fits = lower.endswith(endings)
    if version.format == "h5":
        fits = fits and not lower.endswith(".weights.h5")
    if version.format == "saved_model":
        fits = not lower.endswith(_FILES)
    if not fits:
        must = (
            f"end with {' or '.join(endings)}, by which Keras knows what it is"
            if endings[0]
            else "be the name of a folder, without the ending of a file of Keras"
        )
        raise ValueError(
            f"`target` must {must}, for {version.name} is of format "
            f"{version.format!r}. Received: {shown(name)}"
        )


def _taken(path: Path) -> ValueError:
    return ValueError(
        "`target` must not be there yet; nothing is ever overwritten. "
        f"Received: {escaped(str(path))}"
    )


def _failed(version: Version, path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        f"{version.name} could not be exported to {escaped(str(path))}: "
        f"{reason(error)}. Nothing is left of it there."
    )


def _write(
    directory: Path,
    manifest: Manifest,
    path: Path,
    progress: Callable[[int, int], object],
) -> None:
    payload = _wire.PAYLOADS[manifest.version.format]
    files = {
        name: file
        for name, file in manifest.files.items()
        if name.split("/", 1)[0] == payload
    }
    if not files:
        raise CorruptVersionError(
            f"The manifest of {directory.name} lists no {payload}"
        )
    total = sum(file.size for file in files.values())
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(min(done, total), total)

    progress(0, total)
    staged = path.with_name(f".{uuid.uuid4().hex}.new")
    try:
        if manifest.version.format == "saved_model":
            _make_folders(staged, payload, files)
        for name, file in files.items():
            inside = name.removeprefix(payload).lstrip("/")
            copied = _copying.copy(
                directory / name, staged / inside if inside else staged, advance
            )
            if copied != file:
                raise CorruptVersionError(
                    f"{directory.name}/{name} has the SHA-256 {copied.sha256}; "
                    f"its manifest says {file.sha256}"
                )
        if _atomic.is_directory(staged):
            for folder in (*_atomic.files_below(staged)[1], staged):
                _atomic.sync_directory(folder)
        _atomic.rename_new(staged, path)
        _atomic.sync_directory(path.parent)
    finally:
        _clear(staged)


def _make_folders(staged: Path, payload: str, files: Iterable[str]) -> None:
    staged.mkdir()
    names = [*files, *(f"{name}/" for name in _integrity.EMPTY_DIRECTORIES)]
    for name in names:
        inside = name.removeprefix(f"{payload}/").rpartition("/")[0]
        (staged / inside).mkdir(parents=True, exist_ok=True)


def _clear(staged: Path) -> None:
    """Deletes what did not become the copy."""
    with contextlib.suppress(OSError):
        if _atomic.is_directory(staged):
            shutil.rmtree(staged, ignore_errors=True)
        else:
            staged.unlink()
