"""Files and folders from elsewhere become versions of a store.

Each is saved as every version is, whole or not at all. What was imported before, which
its name and its content tell, is not imported again, so that an import that was
interrupted goes on where it was. The originals are only read.
"""

import dataclasses
import errno
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from keras_versioned_ckpt import _copying, _integrity, _wire
from keras_versioned_ckpt._failure import save_error
from keras_versioned_ckpt._finding import Found
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt._ranking import check_criterion
from keras_versioned_ckpt._staging import Staged
from keras_versioned_ckpt._version import __version__
from keras_versioned_ckpt.errors import CheckpointError, CheckpointWarning, SaveError
from keras_versioned_ckpt.manifest import File
from keras_versioned_ckpt.naming import as_naming
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.store import CheckpointStore

#: Told how many bytes are done, and of how many.
Progress = Callable[[int, int], object]

#: Under this key the metadata of an imported version says what it was.
KEY = "imported_from"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adopted:
    """What has become of something that was found.

    Args:
        found: What was found.
        version: Its version.
        was_there: Whether that version was imported before.
    """

    found: Found
    version: Version
    was_there: bool = False


def adopt(
    store: CheckpointStore,
    found: Iterable[Found],
    *,
    naming: object = "version_{number}",
    link: bool = False,
    monitor: str | None = None,
    mode: str | None = None,
    progress: Progress | None = None,
) -> list[Adopted]:
    """Imports what was found, in that order, behind the versions that are there.

    Args:
        store: Where to.
        found: What `_finding.find` found.
        naming: What to call the versions; a template or naming policy.
        link: Whether to give the files a second name in the store instead of copying
            them. It takes no space; but whoever changes such a file later, by either
            name, changes the version. Defaults to `False`.
        monitor: By which metric a version is the best. Defaults to the one that the
            names have values of, if that is one.
        mode: `"min"` or `"max"`: which direction of it is better. For `loss` and
            `val_loss` it is known.
        progress: Told how many bytes are done and of how many, now and then. The
            second number grows when a file turns out to differ from the version that
            was imported under its name, for it is then read a second time.

    Returns:
        What has become of each.

    Raises:
        ValueError: If an argument is wrong, or `link` cannot be done.
        SaveError: If one could not be imported. Those before it are there, and the
            next call goes on with it.
    """
    each = tuple(found)
    policy = as_naming(naming)
    if not isinstance(link, bool):
        raise TypeError(f"`link` must be a boolean. Received: link={link!r}")
    criterion = _criterion(each, monitor, mode)
    if link and each:
        _check_one_disk(store, each)
        warnings.warn(
            "The versions share their files with the originals (hard links): whoever "
            "writes into an original damages its version. Leave the originals alone, "
            "or delete them.",
            CheckpointWarning,
            stacklevel=2,
        )
    known = _imported(store)
    count = _Count(sum(one.payload.size_bytes for one in each), progress)
    adopted: list[Adopted] = []
    for one in each:
        try:
            if (there := _there(known.get(_identity(one), []), one, count)) is not None:
                adopted.append(Adopted(found=one, version=there, was_there=True))
                continue
            with store.stage(0 if link else one.payload.size_bytes) as staged:
                _fill(staged, one, count, _copying.link if link else _copying.copy)
                version = store.commit(
                    staged,
                    naming=policy,
                    software=_software(one),
                    format=one.payload.format,
                    metadata={KEY: _origin(one)},
                    **criterion,
                    **_facts(one),
                )
        except _NoLinkError:
            raise
        except (OSError, CheckpointError, ValueError) as error:
            raise _failed(store, one, len(adopted), error) from error
        adopted.append(Adopted(found=one, version=version))
        known.setdefault(_identity(one), []).append(version)
    return adopted


def _criterion(
    each: Sequence[Found], monitor: str | None, mode: str | None
) -> dict[str, Any]:
    """Returns the facts that say which version is the best."""
    mode = check_criterion(monitor, mode)
    names = sorted({name for one in each for name in one.reading.metrics})
    if monitor is not None and monitor not in names and each:
        raise ValueError(
            "`monitor` must be a metric that the names have values of. "
            f"Received: monitor={monitor!r}. Metrics: {listing(map(shown, names))}. "
            "Pass a template with its field."
        )
    if monitor is None and len(names) == 1:
        [monitor] = names
    if monitor is None:
        if mode is not None:
            raise ValueError(
                f"`monitor` must be given with `mode`. Received: mode={mode!r}, "
                f"monitor=None. Metrics: {listing(map(shown, names))}."
            )
        return {}
    if mode is None and monitor in ("loss", "val_loss"):
        mode = "min"
    return {
        "monitor": monitor,
        "mode": mode,
        "modes": {} if mode is None else {monitor: mode},
    }


def _check_one_disk(store: CheckpointStore, each: Sequence[Found]) -> None:
    disk = os.stat(store.path).st_dev
    for one in each:
        if os.stat(one.payload.path).st_dev != disk:
            raise _no_link(one)


class _NoLinkError(ValueError):
    """The system cannot give a file a second name there."""


def _no_link(one: Found) -> _NoLinkError:
    return _NoLinkError(
        f"`link` must be `False` for {shown(one.name)}, since its disk or file system "
        "cannot give it a second name in the store. Received: link=True. Leave it out "
        "to copy."
    )


class _Count:
    """How many bytes are done, and of how many."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._done = 0
        self._total = total
        self._progress = progress or (lambda done, total: None)
        self._tell()

    def add(self, count: int) -> None:
        """Some more bytes are done."""
        self._done += count
        self._tell()

    def again(self, one: Found) -> None:
        """What was read to be compared is to be read once more, to be copied."""
        self._total += one.payload.size_bytes
        self._tell()

    def _tell(self) -> None:
        self._progress(min(self._done, self._total), self._total)


_Identity = tuple[str, str | None]


def _identity(one: Found) -> _Identity:
    return one.name, one.reading.run


def _imported(store: CheckpointStore) -> dict[_Identity, list[Version]]:
    """Returns the versions of a store that were imported, by what they were."""
    known: dict[_Identity, list[Version]] = {}
    for version in store.versions:
        origin = version.metadata.get(KEY)
        name = origin.get("name") if isinstance(origin, dict) else None
        if isinstance(name, str):
            known.setdefault((name, version.run_id), []).append(version)
    return known


def _there(versions: Sequence[Version], one: Found, count: _Count) -> Version | None:
    """Returns the version that was imported from this before, unless it has changed."""
    size = one.payload.size_bytes
    recorded = []
    for version in versions:
        if version.size_bytes == size and version.path is not None:
            try:
                files = _integrity.read_manifest(version.path).files
            except (CheckpointError, OSError):
                continue  # a damaged version is no reason not to have a good one
            recorded.append((version, dict(files)))
    if not recorded:
        return None
    ours = {
        _target(one, name): _copying.hashed(one.payload.file(name), count.add)
        for name in one.payload.files
    }
    there = next((v for v, files in recorded if files == ours), None)
    if there is None:
        count.again(one)
    return there


def _target(one: Found, name: str) -> str:
    """Returns where a file of a payload lies in a version."""
    payload = _wire.PAYLOADS[one.payload.format]
    return f"{payload}/{name}" if name else payload


def _fill(
    staged: Staged,
    one: Found,
    count: _Count,
    put: Callable[..., File],
) -> None:
    for name in one.payload.files:
        relative = _target(one, name)
        target = staged.path / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            staged.files[relative] = put(one.payload.file(name), target, count.add)
        except OSError as error:
            if put is _copying.link and error.errno in (
                errno.EXDEV,
                errno.EPERM,
                errno.ENOTSUP,
                errno.EMLINK,
            ):
                raise _no_link(one) from error
            raise
    if one.payload.format == "saved_model":
        for folder in sorted(_integrity.EMPTY_DIRECTORIES):
            (staged.path / folder).mkdir(exist_ok=True)


def _facts(one: Found) -> dict[str, Any]:
    """Returns what a version knows of itself, out of what its name said."""
    reading = one.reading
    epoch = reading.epoch
    if epoch is not None and reading.batch is not None:
        # Written in the middle of an epoch, which was not completed then.
        epoch = max(0, epoch - 1)
    return {
        "epoch": epoch,
        "step": reading.step,
        "batch": reading.batch,
        "run_id": reading.run,
        "metrics": dict(reading.metrics),
    }


def _software(one: Found) -> dict[str, str]:
    keras = one.payload.keras
    return {"keras_versioned_ckpt": __version__, **({"keras": keras} if keras else {})}


def _origin(one: Found) -> dict[str, Any]:
    origin: dict[str, Any] = {
        "name": one.name,
        "modified": _wire.instant_to_text(one.payload.modified),
    }
    if one.reading.created is not None:
        origin["created"] = _wire.instant_to_text(one.reading.created)
    if one.reading.number is not None:
        origin["number"] = one.reading.number
    return origin


def _failed(
    store: CheckpointStore, one: Found, count: int, error: Exception
) -> SaveError:
    cause = error
    if not isinstance(cause, SaveError):
        cause = save_error(store.path, "its version", cause)
    failure = SaveError(
        f"{shown(one.name)} could not be imported. {cause} The {count} before it are "
        "there. Run the import again to go on with this one."
    )
    failure.disk_full = cause.disk_full
    return failure
