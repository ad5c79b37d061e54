"""From a version on disk to a model: `load_best`, `load_latest` and their kin.

The way of every load is the same: a selector picks a version; its files are
compared with its manifest before any parser sees them; and the values go from
where the system has the file in memory into the variables. A payload that is not
laid out as Keras and this package do it is left to Keras's own loader. Whatever
goes wrong on the way is raised as one of this package's errors, with the cause
chained.
"""

import dataclasses
import errno
import functools
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras

from keras_versioned_ckpt import (
    _allowance,
    _description,
    _founding,
    _growth,
    _integrity,
    _wire,
    archive,
    snapshot,
)
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt._ranking import best_first, improves
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CheckpointWarning,
    CorruptVersionError,
    ResumeError,
    StoreNotFoundError,
    UnsafeVersionError,
    VersionNotFoundError,
)
from keras_versioned_ckpt.manifest import Manifest
from keras_versioned_ckpt.records import HistoryEntry, Version
from keras_versioned_ckpt.selectors import AsOf, Best, Latest, Selector, as_selector
from keras_versioned_ckpt.store import CheckpointStore

# A version may be pruned between the listing and the reading; then the listing
# is out of date, not the store.
_LISTINGS = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How to load; the keyword arguments of every `load_*` function."""

    model: Any = None
    custom_objects: Mapping[str, Any] | None = None
    compile: bool = True
    safe_mode: bool = True
    verify: bool = True
    strict: bool = False
    trust_code: bool = False

    def __post_init__(self) -> None:
        for name in ("compile", "safe_mode", "verify", "strict", "trust_code"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(
                    f"`{name}` must be a boolean. "
                    f"Received: {name}={getattr(self, name)!r}"
                )
        if self.model is not None and not isinstance(self.model, keras.Model):
            raise TypeError(
                "`model` must be a `keras.Model` to load weights into, or `None`. "
                f"Received: model={self.model!r}"
            )
        if self.custom_objects is not None and not isinstance(
            self.custom_objects, Mapping
        ):
            raise TypeError(
                "`custom_objects` must be a dictionary of names and objects. "
                f"Received: custom_objects={self.custom_objects!r}"
            )


def load_best(
    directory: str | os.PathLike[str],
    monitor: str | None = None,
    mode: str | None = None,
    **options: Any,
) -> Any:
    """Loads the version with the best value of a metric.

    A version that turns out to be damaged is passed over with a warning, and
    the next best is loaded. If retention has removed a better one, a warning says
    which, its value, and the policy that removed it.

    Args:
        directory: The store.
        monitor: The metric. Defaults to the one that the newest run monitored.
        mode: `"min"` or `"max"`. Defaults to what that run recorded.
        **options: `model=None` (load the weights into this model and return
            it), `custom_objects=None`, `compile=True`, `safe_mode=True`,
            `verify=True` (`False`: do not read the files first to compare their
            SHA-256), `strict=False` (`True`: a damaged version is an error),
            `trust_code=False` (must be `True` for a SavedModel, which is a
            program, and for an older `.h5` file, which can hold one).

    Returns:
        A `keras.Model`; for a SavedModel, a `keras.layers.TFSMLayer`, or what
        `tf.saved_model.load` gives when Keras runs on another backend.

    Raises:
        StoreNotFoundError: If there is no store.
        VersionNotFoundError: If no version has a finite value of the metric.
        CorruptVersionError: If no such version is intact.
        UnsafeVersionError: If the version would run code that is not trusted, or if
            no such version is intact for links and the like in it.
        ResumeError: If the weights do not fit `model`.
        ValueError: If the direction of the metric is not known; pass `mode=`.

    Example:

    ```python
    model = load_best("runs/digits")
    model = load_best("runs/digits", "val_accuracy", "max")
    ```
    """
    return _load(directory, Best(monitor, mode), Options(**options))


def load_latest(directory: str | os.PathLike[str], **options: Any) -> Any:
    """Loads the newest version.

    A version that turns out to be damaged is passed over with a warning, and
    the one before it is loaded.

    Args:
        directory: The store.
        **options: As for `load_best`.

    Returns:
        As `load_best`.

    Raises:
        CheckpointError: As `load_best`.

    Example:

    ```python
    model = load_latest("runs/digits")
    ```
    """
    return _load(directory, Latest(), Options(**options))


def load_version(
    directory: str | os.PathLike[str], version: int | str, **options: Any
) -> Any:
    """Loads one version and no other.

    Args:
        directory: The store.
        version: Its number (int) or name (str).
        **options: As for `load_best`; a damaged version is always an error.

    Returns:
        As `load_best`.

    Raises:
        VersionNotFoundError: If it is not there; the message lists what exists.
        CheckpointError: As `load_best`.

    Example:

    ```python
    model = load_version("runs/digits", 3)
    model = load_version("runs/digits", "version_3")
    ```
    """
    return load(CheckpointStore(directory)[version], **options)


def load_checkpoint(
    directory: str | os.PathLike[str], selector: str | int | Selector, **options: Any
) -> Any:
    """Loads the version that a selector picks.

    Args:
        directory: The store.
        selector: `"latest"`, `"best~1"`, `"tag:prod"`, `Tagged("prod")`, `3` …
        **options: As for `load_best`. With `latest` and `best`, a damaged
            version is passed over; with the others it is an error.

    Returns:
        As `load_best`.

    Raises:
        ValueError: If the text is not a selector.
        CheckpointError: As `load_best`.

    Example:

    ```python
    model = load_checkpoint("runs/digits", "best:val_accuracy:max~1")
    ```
    """
    selector = as_selector(selector)
    if isinstance(selector, AsOf) and selector.note:
        warnings.warn(selector.note, CheckpointWarning, stacklevel=2)
    return _load(directory, selector, Options(**options))


def load(version: Version, **options: Any) -> Any:
    """Loads a version that a store has listed; what `Version.load` does.

    Args:
        version: The version; it must have a path.
        **options: As for `load_best`.

    Returns:
        As `load_best`.

    Raises:
        VersionNotFoundError: If it is no longer there.
        CheckpointError: As `load_best`.
    """
    chosen = Options(**options)
    try:
        return checked(version, chosen).read()
    except FileNotFoundError as error:
        raise VersionNotFoundError(
            f"{shown(version.name)} is not there: {error}. "
            "It may have been pruned since it was listed."
        ) from error


def _load(
    directory: str | os.PathLike[str], selector: Selector, options: Options
) -> Any:
    store = CheckpointStore(directory)
    fall_back = isinstance(selector, (Latest, Best)) and not options.strict
    damaged: dict[int, CorruptVersionError | UnsafeVersionError] = {}
    for _ in range(_LISTINGS):
        versions = store.versions
        # Raises, saying what exists, where nothing answers.
        for version in selector.candidates(versions):
            if version.number in damaged:
                continue
            try:
                found = checked(version, options)
            except FileNotFoundError:
                break
            except (CorruptVersionError, UnsafeVersionError) as error:
                if not fall_back:
                    raise
                damaged[version.number] = error
                warnings.warn(
                    f"{version.name} is damaged and passed over: {error}",
                    CheckpointWarning,
                    stacklevel=3,
                )
                continue
            try:
                loaded = found.read()
            except FileNotFoundError:
                break
            _say_what_was_better(store.history, selector, versions, version)
            return loaded
        else:
            names = ", ".join(shown(v.name) for v in versions if v.number in damaged)
            first = next(iter(damaged.values()))
            raise type(first)(
                f"No version in {store.path} that answers to {str(selector)!r} is "
                f"intact. Damaged: {names}."
            ) from first
    raise VersionNotFoundError(
        f"Versions in {store.path} were removed faster than they could be read."
    )


def _say_what_was_better(
    history: Iterable[HistoryEntry],
    selector: Selector,
    versions: Iterable[Version],
    version: Version,
) -> None:
    """Warns if retention has removed a better version than the one loaded as best."""
    if not isinstance(selector, Best) or selector.earlier:
        return
    ranking = selector.resolved(versions)
    monitor, mode = str(ranking.monitor), str(ranking.mode)
    pruned = {entry.number: entry for entry in history if entry.policy}
    ranked = best_first([e.version for e in pruned.values()], monitor, mode)
    if ranked and improves(ranked[0].metrics[monitor], version.metrics[monitor], mode):
        gone = pruned[ranked[0].number]
        warnings.warn(
            f"The best {shown(monitor)} of this store was "
            f"{gone.version.metrics[monitor]:.6g} in {gone.name}, number "
            f"{gone.number}, which is gone ({gone.reason}, by {gone.policy}). "
            f"Loaded {version.name} with {version.metrics[monitor]:.6g}.",
            CheckpointWarning,
            stacklevel=4,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checked:
    """A version that is as it was saved, and was not read yet.

    Args:
        manifest: What it says of itself.
        contents: What its file holds; `None` for a SavedModel.
        read: Reads it, and returns the model.
    """

    manifest: Manifest
    contents: archive.Contents | None
    read: Callable[[], Any]


def checked(version: Version, options: Options) -> Checked:
    """Compares one version with its manifest, and looks at how it is built.

    Returns:
        What reads it. Only an error before that means that it is damaged: a version
        that is as it was saved may be one that would run code.

    Raises:
        FileNotFoundError: If it is gone.
        CorruptVersionError: If it is damaged, or of another store.
        UnsafeVersionError: If there is a link or anything else that is no file, or a
            file that is built to do harm.
        CheckpointError: If it cannot be read.
    """
    try:
        return _compared(version, options)
    except (CheckpointError, FileNotFoundError):
        raise
    except Exception as error:
        # A disk that fails is damage; a permission that is missing is not.
        damaged = isinstance(error, OSError) and error.errno == errno.EIO
        raise (CorruptVersionError if damaged else CheckpointError)(
            f"{version.name} cannot be read: {error or type(error).__name__}"
        ) from error


def _compared(version: Version, options: Options) -> Checked:
    directory = version.path
    if directory is None:
        raise FileNotFoundError("the record has no path")
    manifest = _integrity.read_manifest(directory, _store_id(directory.parent))
    if manifest.version.number != version.number:
        raise CorruptVersionError(
            f"{directory.name} is version {manifest.version.number} by its manifest "
            f"and version {version.number} by the ledger"
        )
    _integrity.check_files(directory, manifest, extra_is_fine=not options.verify)
    format = manifest.version.format
    payload = directory / _wire.PAYLOADS[format]
    if not any(Path(path).parts[0] == payload.name for path in manifest.files):
        raise CorruptVersionError(
            f"The manifest of {directory.name} says {format!r} and lists no "
            f"{payload.name}"
        )
    if format == "saved_model":
        if options.verify:
            _integrity.check_content(directory, manifest)
        read = functools.partial(_load_saved_model, version, payload, options)
        return Checked(manifest=manifest, contents=None, read=read)
    if options.verify:
        view = _integrity.checked(directory, manifest, payload.name)
    else:
        view = _integrity.unchecked(directory, payload.name)
    contents = _contents(version, payload, view, options)
    read = functools.partial(_load_file, version, payload, view, contents, options)
    return Checked(manifest=manifest, contents=contents, read=read)


def _store_id(root: Path) -> str | None:
    """Returns the id of the store in a directory, `None` where there is none."""
    try:
        return _founding.identify(Layout(root))
    except StoreNotFoundError:
        return None


def _contents(
    version: Version, payload: Path, view: memoryview, options: Options
) -> archive.Contents:
    """Checks how a payload is built, before any of it is read, and says what is in it.

    Who makes a store by hand makes the hashes in its manifest as well.
    """
    plain = snapshot.is_possible() and (
        options.model is None or snapshot.is_loaded_by_keras(options.model)
    )
    look = archive.read if plain else archive.check
    try:
        return look(view, version.format, options.verify)
    except UnsafeVersionError as error:
        raise UnsafeVersionError(
            f"{version.name}/{payload.name} is refused: {error}"
        ) from error
    except CorruptVersionError as error:
        raise CorruptVersionError(
            f"{version.name}/{payload.name} is damaged: {error}"
        ) from error


def _load_file(
    version: Version,
    payload: Path,
    view: memoryview,
    contents: archive.Contents,
    options: Options,
) -> Any:
    if version.format == "h5" and not options.trust_code:
        raise UnsafeVersionError(
            f"{version.name} is an older HDF5 file (.h5), and such a file can hold "
            "code that Keras runs when it loads it. If you trust who wrote it, pass "
            "`trust_code=True`."
        )
    if options.model is not None:
        return _load_weights(version, payload, view, contents, options.model)
    if contents.config is None:
        raise ValueError(
            f"`model` must be given, since {version.name} holds weights only. "
            "Received: model=None. Build the model and pass it as `model=`."
        )
    return _load_model(version, payload, view, contents, contents.config, options)


def _load_model(
    version: Version,
    payload: Path,
    view: memoryview,
    contents: archive.Contents,
    config: bytes,
    options: Options,
) -> Any:
    custom = dict(options.custom_objects or {})
    try:
        if version.format != "h5":  # whose description has another form
            _description.check(config, custom, safe_mode=options.safe_mode)
        with _allowance.variables(_growth.variables_limit(len(view))):
            if contents.index is None:
                with archive.copied(view, payload.name) as copy:
                    return keras.saving.load_model(
                        copy,
                        custom_objects=custom,
                        compile=options.compile,
                        safe_mode=options.safe_mode,
                    )
            model = snapshot.build(
                config,
                custom_objects=custom,
                compile=options.compile,
                safe_mode=options.safe_mode,
            )
        with contents.assets_directory() as assets:
            snapshot.restore(model, contents.index, assets)
        return model
    except UnsafeVersionError as error:
        raise UnsafeVersionError(
            f"{version.name} is refused, since it would run code or take more than "
            f"its due when it is loaded: {error}"
        ) from error
    except CorruptVersionError as error:
        raise CorruptVersionError(
            f"{version.name}/{payload.name} is damaged: {error}"
        ) from error
    except Exception as error:
        if options.safe_mode and "safe_mode" in str(error):
            raise UnsafeVersionError(
                f"{version.name} would run code when it is loaded: {error}"
            ) from error
        advice = ""
        if version.format == "h5" and options.compile:
            # Keras 3 does not find every loss and metric by the name Keras 2 gave it.
            advice = ". Pass `compile=False` to load it without its loss and metrics"
        raise CheckpointError(
            f"Keras could not load {payload}{_intact(options)}: {error}{advice}"
        ) from error


def _load_weights(
    version: Version,
    payload: Path,
    view: memoryview,
    contents: archive.Contents,
    model: Any,
) -> Any:
    try:
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and model.built and not optimizer.built:
            # Keras passes over the saved state of an optimizer without variables.
            optimizer.build(model.trainable_variables)
        if contents.index is None:
            with archive.copied(view, payload.name) as copy:
                model.load_weights(copy)
        else:
            snapshot.restore(model, contents.index)
    except Exception as error:
        raise ResumeError(
            f"The weights of {version.name} do not fit the given model "
            f"{shown(model.name)}, which may now hold a part of them: {error}"
        ) from error
    return model


def _load_saved_model(version: Version, payload: Path, options: Options) -> Any:
    if options.model is not None:
        raise ValueError(
            f"`model` must be `None` for {version.name}, which is a SavedModel: a "
            "program, whose weights cannot be put into another model. "
            f"Received: model={options.model!r}"
        )
    if not options.trust_code:
        raise UnsafeVersionError(
            f"{version.name} is a SavedModel, and a SavedModel is a program: loading "
            "it can run any code. If you trust who wrote it, pass `trust_code=True`."
        )
    try:
        if keras.config.backend() == "tensorflow":
            return _layer_of_saved_model(str(payload))
        import tensorflow

        return tensorflow.saved_model.load(str(payload))
    except Exception as error:
        if not payload.exists():
            raise FileNotFoundError(f"{payload} is gone") from error
        raise CheckpointError(
            f"TensorFlow could not load {payload}{_intact(options)}: {error}"
        ) from error


def _layer_of_saved_model(path: str) -> Any:
    try:
        return keras.layers.TFSMLayer(path, call_endpoint="serve")
    except ValueError as error:
        # What Keras 2 saved has no endpoint of that name.
        try:
            return keras.layers.TFSMLayer(path, call_endpoint="serving_default")
        except ValueError:
            raise error from None


def _intact(options: Options) -> str:
    return ", whose files are intact" if options.verify else ""
