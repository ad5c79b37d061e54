"""The manifest: the JSON record of a version, and its specification.

Format 1. The file is `<version>/manifest.json`.

* A manifest MUST be one JSON object in UTF-8 without a byte order mark, at most
  4 MiB long and nested at most 32 levels deep.
* No key may come twice in an object. `NaN`, `Infinity` and numbers that overflow
  to infinity MUST NOT appear. Integers MUST be within 2**53. Strings MUST NOT
  hold NUL characters or lone surrogates.
* `format` MUST be 1. A reader MUST refuse a larger one and advise to upgrade.
* `store_id` MUST be that of the store in which the version was committed, and MUST be
  a name as a version's is.
* `number` (1 or more), `name` (the directory's name) and `created` (UTC with
  microseconds, `2026-11-20T18:00:00.000000Z`) MUST be there.
* `run_id`, `parent`, `epoch`, `step`, `batch`, `monitor` and `mode` MUST be there
  and MAY be null. `epoch` counts completed epochs from 1; `batch` is set only in
  a version saved in the middle of an epoch; `mode` is `"min"` or `"max"`.
* `metrics` MUST be an object of numbers; a value that is not finite MUST be one
  of the strings `"nan"`, `"inf"`, `"-inf"`. `modes` MUST be an object that says
  `"min"` or `"max"` for those metrics of which the direction was known.
* `trigger` MUST be a list of strings: which triggers fired; empty for a version
  that was saved by hand.
* `payload_format` MUST be `"keras"`, `"weights"`, `"saved_model"` or `"h5"`. The last
  is a whole model or weights as Keras 2 laid them out in HDF5, in a version that was
  imported; its description may hold code, so that a reader MUST NOT load it unless it
  is told that whoever wrote it is trusted.
* `files` MUST be an object that names every file of the version except the
  manifest, by its path relative to the version's directory with `/` between the
  parts; each is an object with `size` (bytes) and `sha256` (64 lower-case
  hexadecimal digits). No path may be absolute, leave the directory, have more than
  32 parts or 1024 characters, or equal another one, or a folder of another one, where
  case and the composition of accents do not count. No part of it may hold a character
  that does not print, `\\` or `:`, end with a dot or a space, or be a name that Windows
  reserves for a device. `size_bytes` MUST be the sum of the sizes.
* `software` MUST be an object of strings: the versions of `keras`, `python`,
  `keras_versioned_ckpt`, and the `backend` with its version.
* `metadata` MUST be an object; it is the user's.
* Keys that are not listed here MAY be there; a reader MUST keep and ignore them.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from keras_versioned_ckpt import _names, _strict_json, _wire
from keras_versioned_ckpt._layout import MANIFEST
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt.errors import CorruptVersionError, StoreError
from keras_versioned_ckpt.records import FrozenMapping, Version

FORMAT = 1
FILENAME = MANIFEST
MAX_BYTES = 4 * 1024 * 1024

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MAX_PATH = 1024
_MAX_PARTS = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    """One file of a version: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything a manifest says.

    Args:
        store_id: The store it belongs to.
        version: The version's own facts, without path and tags.
        files: Every file but the manifest, by relative path.
        trigger: Which triggers fired.
        software: Versions of what wrote it.
        extra: Keys of the file that this release does not know.
    """

    store_id: str
    version: Version
    files: Mapping[str, File]
    trigger: tuple[str, ...] = ()
    software: Mapping[str, str] = dataclasses.field(default_factory=FrozenMapping)
    extra: Mapping[str, Any] = dataclasses.field(default_factory=FrozenMapping)


def encode(manifest: Manifest) -> bytes:
    """Writes a manifest as the bytes of its file."""
    document = {
        "format": FORMAT,
        "store_id": manifest.store_id,
        **_wire.version_to_fields(manifest.version),
        "trigger": list(manifest.trigger),
        "files": {
            path: {"size": file.size, "sha256": file.sha256}
            for path, file in sorted(manifest.files.items())
        },
        "software": dict(manifest.software),
    }
    unknown = {k: v for k, v in manifest.extra.items() if k not in document}
    return _strict_json.dumps({**document, **unknown}, indent=2)


def decode(data: bytes) -> Manifest:
    """Reads the bytes of a manifest's file.

    Args:
        data: The bytes, as they are on disk.

    Returns:
        The manifest.

    Raises:
        CorruptVersionError: If the bytes break the specification.
        StoreError: If they are of a newer format.
    """
    try:
        document = _strict_json.loads(data, MAX_BYTES)
        if not isinstance(document, dict):
            raise ValueError("it is not a JSON object")
        _check_format(document.get("format"))
        return _from_document(document)
    except ValueError as error:
        raise CorruptVersionError(f"not a manifest: {error}") from error


def check_path(path: object) -> str:
    """Returns `path` if a manifest may list it; `ValueError` if not."""
    if not isinstance(path, str) or not path:
        raise ValueError("a file's path is not a string, or an empty one")
    if len(path) > _MAX_PATH or path.count("/") >= _MAX_PARTS:
        raise ValueError(
            f"a file's path is longer than {_MAX_PATH} characters or has more than "
            f"{_MAX_PARTS} parts"
        )
    for part in path.split("/"):
        if why := _names.why_not_file(part):
            raise ValueError(f"a part of a file's path {why}: {shown(path)}")
    if _names.fold(path) == FILENAME:
        raise ValueError("the manifest lists itself")
    return path


def folders_of(paths: Iterable[str]) -> frozenset[str]:
    """Returns every directory in which one of these files lies, by relative path."""
    folders: set[str] = set()
    for path in paths:
        end = path.rfind("/")
        # What lies in a folder that is known lies in those above it, too.
        while end > 0 and path[:end] not in folders:
            folders.add(path[:end])
            end = path.rfind("/", 0, end)
    return frozenset(folders)


def _check_format(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError("the field 'format' is not a positive integer")
    if value > FORMAT:
        raise StoreError(
            f"This version was written in format {value}, and this release of "
            f"keras-versioned-ckpt reads formats up to {FORMAT}. "
            "Upgrade it: pip install --upgrade keras-versioned-ckpt"
        )


def _from_document(document: dict[str, Any]) -> Manifest:
    version = _wire.version_from_fields(document)
    files = _files(document.get("files"))
    if sum(file.size for file in files.values()) != version.size_bytes:
        raise ValueError("the field 'size_bytes' is not the sum of the files' sizes")
    trigger = document.get("trigger")
    if not isinstance(trigger, list) or not all(isinstance(t, str) for t in trigger):
        raise ValueError("the field 'trigger' is not a list of strings")
    software = document.get("software")
    if not isinstance(software, dict) or not all(
        isinstance(v, str) for v in software.values()
    ):
        raise ValueError("the field 'software' is not an object of strings")
    store_id = document.get("store_id")
    if not isinstance(store_id, str) or _names.why_not(store_id) is not None:
        raise ValueError("the field 'store_id' is not a string, or not a name")
    known = {
        *_wire.version_to_fields(version),
        *("format", "store_id", "trigger", "files", "software"),
    }
    return Manifest(
        store_id=store_id,
        version=version,
        files=files,
        trigger=tuple(trigger),
        software=FrozenMapping(software),
        extra=FrozenMapping({k: v for k, v in document.items() if k not in known}),
    )


def _files(value: object) -> FrozenMapping[str, File]:
    if not isinstance(value, dict):
        raise ValueError("the field 'files' is not an object")
    files = {}
    for path, entry in value.items():
        check_path(path)
        sha256 = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise ValueError("a file has no sha256 of 64 lower-case hexadecimal digits")
        files[path] = File(size=_wire.count(entry.get("size")), sha256=sha256)
    folded = {_names.fold_path(path) for path in files}
    if len(folded) != len(files) or not folded.isdisjoint(folders_of(folded)):
        raise ValueError("two files have the same path where case does not count")
    return FrozenMapping(files)
