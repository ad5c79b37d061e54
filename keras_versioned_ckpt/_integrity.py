"""Whether a version on disk is what its manifest says."""

import contextlib
import hashlib
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_versioned_ckpt import _atomic, _mapped_file
from keras_versioned_ckpt import manifest as manifests
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt.errors import CorruptVersionError, UnsafeVersionError
from keras_versioned_ckpt.manifest import Manifest

# model.export makes these although nothing may go into them.
EMPTY_DIRECTORIES = frozenset({"saved_model/assets", "saved_model/variables"})


def read_manifest(directory: Path, store_id: str | None = None) -> Manifest:
    """Reads and checks the manifest of the version in `directory`.

    Args:
        directory: The version's directory.
        store_id: The store it must belong to; `None` takes any.

    Returns:
        The manifest. Its name is that of the directory.

    Raises:
        FileNotFoundError: If the directory is gone.
        CorruptVersionError: If the manifest is missing, damaged, or another's.
        UnsafeVersionError: If it is a link or anything but a regular file.
        StoreError: If it is of a newer format.
    """
    path = directory / manifests.FILENAME
    try:
        data = _atomic.read_bytes(path, manifests.MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        if not _atomic.is_directory(directory):
            raise FileNotFoundError(f"{directory} is gone") from None
        raise CorruptVersionError(
            f"{directory.name} has no {manifests.FILENAME}; "
            "part of it was removed by hand"
        ) from None
    except _atomic.NotRegularError as error:
        raise UnsafeVersionError(
            f"{directory.name}/{manifests.FILENAME} is not a regular file"
        ) from error
    try:
        manifest = manifests.decode(data)
    except CorruptVersionError as error:
        raise CorruptVersionError(
            f"{directory.name}/{manifests.FILENAME} is {error}"
        ) from error
    if store_id is not None and manifest.store_id != store_id:
        raise CorruptVersionError(
            f"{directory.name} was committed in another store "
            f"({shown(manifest.store_id)}, this one is {shown(store_id)})"
        )
    if manifest.version.name != directory.name:
        raise CorruptVersionError(
            f"{directory.name} holds the manifest of "
            f"{manifest.version.name}: it was copied or renamed"
        )
    return manifest


def manifest_crc32(directory: Path) -> int:
    """Returns the checksum of a version's manifest, of all its bytes."""
    path = directory / manifests.FILENAME
    return zlib.crc32(_atomic.read_bytes(path, manifests.MAX_BYTES))


def check_files(
    directory: Path, manifest: Manifest, *, extra_is_fine: bool = False
) -> None:
    """Checks that the files are exactly those of the manifest, by name and size.

    Args:
        directory: The version's directory.
        manifest: Its manifest.
        extra_is_fine: Whether files that the manifest does not list may be there.

    Raises:
        FileNotFoundError: If the directory went away meanwhile.
        CorruptVersionError: If a file is missing, extra, or of another size.
        UnsafeVersionError: If there is a link, pipe or device.
    """
    try:
        found, directories = _atomic.files_below(directory)
    except _atomic.NotRegularError as error:
        what = "something that is neither a file nor a directory"
        if _atomic.is_directory(Path(str(error.filename))):
            what = "directories that are nested too deep"
        raise UnsafeVersionError(
            f"{directory.name} holds {what}: {shown(Path(str(error.filename)).name)}"
        ) from error
    extra = set(found) - set(manifest.files) - {manifests.FILENAME}
    parents = manifests.folders_of(manifest.files)
    for folder in directories:
        relative = folder.relative_to(directory).as_posix()
        if relative not in parents and relative not in EMPTY_DIRECTORIES:
            extra.add(relative + "/")
    if extra and not extra_is_fine:
        raise CorruptVersionError(
            f"{directory.name} holds files that its manifest does not list: "
            f"{listing(shown(path) for path in sorted(extra))}"
        )
    if missing := set(manifest.files) - set(found):
        # A directory that is pruned while it is walked looks emptier by the moment.
        if not _atomic.is_directory(directory):
            raise FileNotFoundError(f"{directory} is gone")
        raise CorruptVersionError(
            f"{directory.name} lacks files that its manifest lists: "
            f"{listing(shown(path) for path in sorted(missing))}"
        )
    for path, file in manifest.files.items():
        size = (directory / path).lstat().st_size
        if size != file.size:
            raise CorruptVersionError(
                f"{directory.name}/{path} has {size} bytes; "
                f"its manifest says {file.size}"
            )


def check_content(
    directory: Path,
    manifest: Manifest,
    seen: Callable[[int], object] = lambda size_bytes: None,
) -> None:
    """Reads every file and compares its SHA-256, after `check_files`.

    Args:
        directory: The version's directory.
        manifest: Its manifest.
        seen: Is told after each piece how many bytes were read.

    Raises:
        CorruptVersionError: If the content of a file is not what was saved.
        UnsafeVersionError: If a file turned into something else.
    """
    check_files(directory, manifest)
    for path in manifest.files:
        with _regular(directory, path):
            size, sha256 = _atomic.hash_file(directory / path, seen=seen)
        _compare(directory, path, manifest, size, sha256)


def checked(directory: Path, manifest: Manifest, path: str) -> memoryview:
    """Reads one file and compares its SHA-256, after `check_files`.

    Returns:
        Its bytes: those that were compared, without a copy of them.

    Raises:
        FileNotFoundError: If it went away meanwhile.
        CorruptVersionError: If its content is not what was saved.
        UnsafeVersionError: If it turned into something else.
    """
    view = unchecked(directory, path)
    digest = hashlib.sha256()
    for piece in _mapped_file.pieces(view):
        digest.update(piece)
    _compare(directory, path, manifest, len(view), digest.hexdigest())
    return view


def unchecked(directory: Path, path: str) -> memoryview:
    """Returns the bytes of one file, without a copy of them, whatever they are.

    Raises:
        FileNotFoundError: If it went away meanwhile.
        UnsafeVersionError: If it turned into something else.
    """
    with _regular(directory, path):
        return _mapped_file.mapped(directory / path)


@contextlib.contextmanager
def _regular(directory: Path, path: str) -> Iterator[None]:
    try:
        yield
    except _atomic.NotRegularError as error:
        raise UnsafeVersionError(
            f"{directory.name}/{path} is not a regular file"
        ) from error


def _compare(
    directory: Path, path: str, manifest: Manifest, size: int, sha256: str
) -> None:
    file = manifest.files[path]
    if (size, sha256) != (file.size, file.sha256):
        raise CorruptVersionError(
            f"{directory.name}/{path} has the SHA-256 {sha256}; "
            f"its manifest says {file.sha256}"
        )
