"""A Keras model at this moment, and back: the only place that knows Keras's saver.

Keras decides what belongs to a model's state, and under which path. Its own walk
over the model runs here against a store that writes nothing and only takes note of
the variables. The other way, the same walk reads from a store that hands out what
a file holds.

Both ways use functions of Keras that are not public. They are tried once in a
process, on a small model, against what Keras's public `save_weights` writes. Where
anything differs, `is_possible` says no, and the callers use Keras's public methods:
slower, and on the calling thread.
"""

import contextlib
import dataclasses
import functools
import importlib
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_versioned_ckpt import _hdf5_index, _hdf5_layout, _host, manifest
from keras_versioned_ckpt.errors import CheckpointWarning
from keras_versioned_ckpt.records import FrozenMapping

saving_lib: Any = None
_WeightsStore: Any = object
_AssetsStore: Any = object
# Where they are missing, the trial fails.
with contextlib.suppress(ImportError, AttributeError):
    saving_lib = importlib.import_module("keras.src.saving.saving_lib")
    _WeightsStore, _AssetsStore = saving_lib.H5IOStore, saving_lib.DiskIOStore
_find_skipset: Any = getattr(saving_lib, "get_attr_skipset", None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything that a file of Keras holds of a model.

    Args:
        groups: The names, types and shapes of arrays, group by group.
        arrays: Their values, in the same order.
        config: The architecture, as `config.json` has it; `None` for weights only.
        about: What `metadata.json` has; `None` for weights only.
        assets: Files of layers, such as vocabularies, by relative path.
    """

    groups: tuple[_hdf5_layout.Group, ...]
    arrays: tuple[np.ndarray, ...]
    config: bytes | None = None
    about: bytes | None = None
    assets: Mapping[str, bytes] = dataclasses.field(default_factory=FrozenMapping)


@functools.cache
def is_possible() -> bool:
    """Says whether this release of Keras works inside as this module expects.

    Warns, once in a process, if not.
    """
    try:
        # Of deprecations inside Keras, say, nobody need know that the trial met them.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _try_on_a_small_model()
    except Exception as error:
        warnings.warn(
            f"Keras {keras.__version__} saves in a way that this release of "
            f"keras-versioned-ckpt does not know ({type(error).__name__}: {error}). "
            "Models are saved and loaded by Keras's public methods instead, and "
            "training waits for that. Upgrade keras-versioned-ckpt.",
            CheckpointWarning,
            stacklevel=2,
        )
        return False
    return True


def take(model: Any, format: str) -> Snapshot:
    """Takes note of a model's state; copies only what Keras would compute anew.

    Args:
        model: The `keras.Model`, for which `is_possible` and `is_saved_by_keras` hold.
        format: `"keras"` or `"weights"`.

    Returns:
        The state; its arrays are to be read or copied before the model changes.

    Raises:
        Exception: Whatever a layer raises that cannot be saved.
    """
    config = about = None
    if format == "keras":
        config, about = map(str.encode, saving_lib._serialize_model_as_json(model))
    noted: list[_Noted] = []
    with _Assets() as assets, _remembering(), _optimizers_by_reference(model):
        saving_lib._save_state(
            model,
            weights_store=_Writer(noted),
            assets_store=assets if format == "keras" else None,
            inner_path="",
            visited_saveables=set(),
        )
        files = assets.files()
    # Keras makes no group for what has neither a name nor values.
    noted = [group for group in noted if group.attributes or group.values]
    arrays = _host.views([v for group in noted for v in group.values.values()])
    for array in arrays:
        # Keras refuses what is no number; HDF5 may be less strict.
        keras.backend.standardize_dtype(array.dtype)
    return Snapshot(
        groups=_described(noted, arrays),
        arrays=tuple(arrays),
        config=config,
        about=about,
        assets=files,
    )


def is_saved_by_keras(model: Any, format: str) -> bool:
    """Says whether the file is Keras's affair: a built model without its own saver."""
    return model.built and _is_of_keras(
        model, "save" if format == "keras" else "save_weights"
    )


def is_loaded_by_keras(model: Any) -> bool:
    """Says the same of loading weights into it."""
    return model.built and _is_of_keras(model, "load_weights")


def _is_of_keras(model: Any, method: str) -> bool:
    return method not in vars(model) and (
        getattr(type(model), method) is getattr(keras.Model, method)
    )


def build(
    config: bytes,
    *,
    custom_objects: Mapping[str, Any],
    compile: bool,
    safe_mode: bool,
) -> Any:
    """Makes a model, with fresh weights, from the text of its `config.json`.

    Raises:
        Exception: Whatever Keras raises.
    """
    return saving_lib._model_from_config(
        config, dict(custom_objects), compile, safe_mode
    )


def differences(model: Any, index: _hdf5_index.Index) -> list[str]:
    """Returns how the values in a file are not those of a model, in words.

    Args:
        model: The `keras.Model`, built, with the optimizer it is trained by.
        index: The values.
    """
    saved = index.shapes
    ours = {
        "/".join(filter(None, (group.path, "vars", array.key))): array.shape
        for group in take(model, "weights").groups
        for array in group.arrays
    }
    found = [
        f"{path}: {saved[path]} in the version, {ours[path]} in the model"
        for path in saved.keys() & ours.keys()
        if saved[path] != ours[path]
    ]
    found += [f"{path}: only in the version" for path in saved.keys() - ours.keys()]
    found += [f"{path}: only in the model" for path in ours.keys() - saved.keys()]
    return sorted(found)


def restore(model: Any, index: _hdf5_index.Index, assets: Path | None = None) -> None:
    """Puts saved values into the variables of a model that is built.

    Args:
        model: The `keras.Model`.
        index: The values.
        assets: The directory with the files of layers, if there are any.

    Raises:
        ValueError: If the values do not fit; the message names what does not.
    """
    failures: dict[int, tuple[Any, Exception]] = {}
    with _remembering():
        saving_lib._load_state(
            model,
            weights_store=_Reader(index),
            assets_store=None
            if assets is None
            else _AssetsStore(str(assets), mode="r"),
            inner_path="",
            skip_mismatch=False,
            visited_saveables=set(),
            failed_saveables=set(),
            error_msgs=failures,
        )
    if failures:
        texts = [
            f"{getattr(what, 'name', None) or type(what).__name__}: {error}"
            for what, error in failures.values()
        ]
        raise ValueError(
            f"{len(failures)} object(s) could not be loaded. {' '.join(texts[:3])}"
        ) from next(iter(failures.values()))[1]


# What Keras's walk is given to write to and to read from


class _Values(dict[str, Any]):
    """What an object gives to be saved.

    Args:
        by_reference: Whether variables are taken as they are, to be copied with the
            rest, or as what they hold now: code that is not Keras's may give a
            variable, and change it back.
    """

    def __init__(self, *, by_reference: bool) -> None:
        super().__init__()
        self._by_reference = by_reference

    def __setitem__(self, key: str | bytes, value: Any) -> None:
        name = key.decode() if isinstance(key, bytes) else key
        if name in self:
            # As HDF5 says it, which does not put one array in the place of another.
            raise ValueError(f"Unable to create dataset ({name!r} already exists)")
        if not (self._by_reference and isinstance(value, keras.Variable)):
            value = np.array(keras.ops.convert_to_numpy(value))
        super().__setitem__(name, value)


@dataclasses.dataclass
class _Noted:
    """What Keras would write into one group."""

    path: str
    attributes: Mapping[str, str]
    values: _Values


class _Writer(_WeightsStore):
    """Takes note of what is to be written, and writes nothing."""

    def __init__(self, noted: list[_Noted]) -> None:
        self._noted = noted

    def __bool__(self) -> bool:
        return True

    def make(self, path: str, metadata: Mapping[str, str] | None = None) -> _Values:
        """Makes a group, and returns what takes its values."""
        # Keras tells the path and not the object, which decides how far it is trusted.
        # Where that cannot be seen, it is not.
        saveable = sys._getframe(1).f_locals.get("saveable")
        values = _Values(by_reference=_is_saved_by_code_of_keras(saveable))
        group = _Noted(path, metadata or {}, values)
        self._noted.append(group)
        return group.values


def _is_saved_by_code_of_keras(saveable: Any) -> bool:
    method = getattr(saveable, "save_own_variables", None)
    if isinstance(method, functools.partial):
        return method.func is _give_variables
    return str(getattr(method, "__module__", "")).startswith("keras.")


class _Reader(_WeightsStore):
    """Hands out what a file holds."""

    def __init__(self, index: _hdf5_index.Index) -> None:
        self._index = index

    def __bool__(self) -> bool:
        return True

    def get(self, path: str) -> _hdf5_index.Group:
        """Returns the values of one group; an empty group if there is none."""
        return self._index.group(f"{path}/vars" if path else "vars")

    def has_path(self, path: str) -> bool:
        """Says whether the file knows this path."""
        return self._index.has_group(path)


class _Assets(_AssetsStore):
    """Files that layers write, in a temporary directory if there are any."""

    def __init__(self) -> None:
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def make(self, path: str) -> str:
        """Makes the directory that a layer writes its files into.

        Keras makes the path of the names of layers, be they what they may.
        """
        manifest.check_path(path)
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory()
        made = Path(self._directory.name, path)
        made.mkdir(parents=True, exist_ok=True)
        return str(made)

    def files(self) -> FrozenMapping[str, bytes]:
        """Returns what was written, by relative path."""
        if self._directory is None:
            return FrozenMapping()
        root = Path(self._directory.name)
        return FrozenMapping(
            {
                path.relative_to(root).as_posix(): path.read_bytes()
                for path in sorted(root.rglob("*"))
                if path.is_file()
            }
        )

    def __enter__(self) -> "_Assets":
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._directory is not None:
            self._directory.cleanup()


def _described(
    noted: list[_Noted], arrays: list[np.ndarray]
) -> tuple[_hdf5_layout.Group, ...]:
    following = iter(arrays)
    return tuple(
        _hdf5_layout.Group(
            path=group.path,
            attributes=tuple(group.attributes.items()),
            arrays=tuple(
                _hdf5_layout.Array(key, array.dtype, array.shape)
                for key, array in zip(group.values, following, strict=False)
            ),
        )
        for group in noted
    )


# What Keras does again and again


@contextlib.contextmanager
def _remembering() -> Iterator[None]:
    """Has Keras's walk find out once which attributes to pass over, for a while.

    For each object it makes a new one of the same kind to see which attributes every
    such object has. It means to remember that, and up to Keras 3.15 looks for it under
    another name than it stored it under.
    """
    if _find_skipset is None:
        yield  # a Keras that does it in another way
        return
    saving_lib.get_attr_skipset = _skipset
    try:
        yield
    finally:
        saving_lib.get_attr_skipset = _find_skipset


@functools.cache
def _skipset(kind: str) -> frozenset[str]:
    return frozenset(_find_skipset(kind))


@contextlib.contextmanager
def _optimizers_by_reference(model: Any) -> Iterator[None]:
    """Has optimizers give their variables, not copies of them, for a while.

    Keras's optimizers copy each of their variables before the store sees it. Those
    that save themselves in a way of their own go on to do so.
    """
    changed = []
    for optimizer in _optimizers(model):
        if (
            type(optimizer).save_own_variables
            is keras.optimizers.Optimizer.save_own_variables
            and "save_own_variables" not in vars(optimizer)
        ):
            # Past `__setattr__`, for which this would be a change of the optimizer.
            vars(optimizer)["save_own_variables"] = functools.partial(
                _give_variables, optimizer
            )
            changed.append(optimizer)
    try:
        yield
    finally:
        for optimizer in changed:
            del vars(optimizer)["save_own_variables"]


def _give_variables(optimizer: Any, store: Any) -> None:
    for index, variable in enumerate(optimizer.variables):
        store[str(index)] = variable


def _optimizers(model: Any) -> list[Any]:
    """Returns the optimizers of a model, and those that they wrap."""
    found: list[Any] = []
    ahead = [model]
    while ahead:
        for value in vars(ahead.pop()).values():
            if isinstance(value, keras.optimizers.Optimizer) and not any(
                value is known for known in found
            ):
                found.append(value)
                ahead.append(value)
    return found


# The trial


class _SmallLayer(keras.layers.Layer):
    """A layer that draws no random number: a trial must not change a training."""

    def __init__(self, name: str, values: list[float]) -> None:
        super().__init__(name=name)
        self.vector = self.add_weight(
            name="vector", shape=(len(values),), initializer="zeros", dtype="float32"
        )
        self.vector.assign(values)


class _SmallModel(keras.Model):
    """A model with what the walk has to find: parts, containers, an optimizer."""

    def __init__(self, sign: float) -> None:
        super().__init__(name="small")
        self.part = _SmallLayer("part", [sign, 2.0 * sign])
        self.parts = [_SmallLayer("a", [3.0 * sign]), _SmallLayer("b", [4.0 * sign])]
        self.optimizer = keras.optimizers.SGD(0.5, momentum=0.9, name="optimizer")
        self.optimizer.build(self.trainable_variables)
        for index, variable in enumerate(self.optimizer.variables):
            variable.assign(np.full(variable.shape, index + 5 + sign, variable.dtype))
        self.built = True


def _try_on_a_small_model() -> None:
    """Saves and loads a model, and compares with what Keras's public method writes."""
    model, other = _SmallModel(1.0), _SmallModel(-9.0)
    snapshot = take(model, "weights")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "small.weights.h5")
        model.save_weights(path)
        index = _hdf5_index.Index(memoryview(path.read_bytes()))
    arrays = iter(snapshot.arrays)
    for group in snapshot.groups:
        stored = _Reader(index).get(group.path)
        if sorted(stored.keys()) != sorted(array.key for array in group.arrays):
            raise ValueError(f"the arrays of {group.path!r} are others")
        for array in group.arrays:
            _check_same(stored[array.key], next(arrays), f"{group.path} {array.key}")
    if index.array_count != len(snapshot.arrays):
        raise ValueError("there are other arrays")
    restore(other, index)
    loaded = take(other, "weights").arrays
    for found, expected in zip(loaded, snapshot.arrays, strict=True):
        _check_same(found, expected, "what was loaded")


def _check_same(array: np.ndarray, expected: np.ndarray, what: str) -> None:
    same = array.dtype == expected.dtype and np.array_equal(array, expected)
    if not same:
        raise ValueError(f"{what} has another value")
