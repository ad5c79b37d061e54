"""What a training needs to go on besides the model, as a file beside it, and back.

`training_state.json` holds it all: strict JSON, with a few forms for what JSON lacks.

* An array is `{"$array": [dtype, shape, text]}`, its bytes in base 64, little-endian.
* An array of more than 64 KiB is `{"$array": [dtype, shape, key]}` with an integer key:
  the dataset of that name in the group `vars` of `training_state.h5`.
* A long list of floats is `{"$floats": array}`.
* A float that is not finite is `{"$float": "nan"}`, or `"inf"`, or `"-inf"`.
* An integer beyond 2**53 is `{"$int": "…"}`.
* A dictionary with a key that begins with `$` is `{"$dict": [[key, value], …]}`.

Nothing in it is a program, and nothing is made of it but numbers, texts and arrays.
"""

import base64
import binascii
import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_versioned_ckpt import _hdf5_layout, _integrity, _strict_json, archive
from keras_versioned_ckpt._hashed_file import HashedFile
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt._staging import Staged
from keras_versioned_ckpt.errors import CorruptVersionError, StoreError
from keras_versioned_ckpt.manifest import File, Manifest
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.snapshot import Snapshot

STATE, ARRAYS = "training_state.json", "training_state.h5"
FORMAT = 1
_MAX_BYTES = 16 * 1024 * 1024
_MAX_PARTS = 200_000
_LARGEST_INLINE = 64 * 1024
# Above it, floats are written as an array: the history of a long training has many.
_LONGEST_LIST = 256
_MAX_SIDES = 64  # as NumPy has it
_INTEGER = re.compile(r"-?[0-9]{1,400}")
_DTYPE = re.compile(r"bool|bfloat16|(float|int|uint|complex)[0-9]{1,3}|float8_\w{1,20}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingState:
    """A training between two batches.

    Args:
        epoch: Completed epochs.
        batch: Batches into the epoch after `epoch`; `None` between two epochs.
        step: Optimizer updates so far.
        settled: Whether all callbacks had had their turn.
        epochs: How many epochs the training was to have; `None` if not known.
        stopped: Whether a callback had ended it, such as `EarlyStopping`.
        batches_since_fired: As `Moment` has it.
        seed: What `keras.utils.set_random_seed` was called with; `None` if it was not.
        random: The generators of random numbers; see `_random_state`.
        random_at_epoch: The same at the beginning of this epoch; `None` between two.
        validating: Whether all batches of the epoch were trained on; `random` is then
            that of the beginning of the validation.
        seed_generators: The states of those that belong to the model, in its order.
        metrics: The values of the metrics' variables; `None` between two epochs.
        logs: What the last batch reported; empty between two epochs.
        callbacks: The states of other callbacks; see `_callback_states`.
        data: What the input says of itself; `None` if it says nothing.
        averaged: Whether the model holds averaged weights, and the optimizer those
            that are trained.
        weights: The values of the trainable variables, where the files do not hold
            them; otherwise `None`.
    """

    epoch: int
    batch: int | None
    step: int
    settled: bool = True
    epochs: int | None = None
    stopped: bool = False
    batches_since_fired: int = 0
    seed: int | None = None
    random: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    random_at_epoch: Mapping[str, Any] | None = None
    validating: bool = False
    seed_generators: tuple[np.ndarray, ...] = ()
    metrics: tuple[np.ndarray, ...] | None = None
    logs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    callbacks: tuple[Mapping[str, Any], ...] = ()
    data: Any = None
    averaged: bool = False
    weights: tuple[np.ndarray, ...] | None = None


def write(state: TrainingState, staged: Staged) -> None:
    """Writes the state beside a payload that is not committed yet.

    Raises:
        OSError: If it cannot be written.
        ValueError: If the state of a callback is nothing that JSON has a form for.
        TypeError: As `ValueError`.
    """
    arrays: list[np.ndarray] = []
    fields = {
        field.name: _encoded(getattr(state, field.name), arrays)
        for field in dataclasses.fields(state)
    }
    data = _strict_json.dumps({"format": FORMAT, **fields})
    if arrays:
        staged.files[ARRAYS] = archive.write(_file(arrays), staged.path / ARRAYS)
    staged.files[STATE] = _write(data, staged.path / STATE)


def read(directory: Path, manifest: Manifest) -> TrainingState | None:
    """Reads the state beside the payload of a version.

    Args:
        directory: The version's directory.
        manifest: Its manifest, which says what the files must be.

    Returns:
        The state; `None` if the version has none.

    Raises:
        FileNotFoundError: If the version went away meanwhile.
        CorruptVersionError: If it is damaged.
        UnsafeVersionError: If there is a link or anything else that is no file.
        StoreError: If it is of a newer format.
    """
    if STATE not in manifest.files:
        return None
    data = bytes(_integrity.checked(directory, manifest, STATE))
    try:
        # What stands in texts is counted as well, which is as many as nobody has.
        if data.count(b"[") + data.count(b"{") > _MAX_PARTS:
            raise ValueError("it has too many parts")
        fields = _strict_json.loads(data, _MAX_BYTES)
        if not isinstance(fields, dict):
            raise ValueError("it is no object")
        _check_format(fields.pop("format", None))
        state = _state(_decoded(fields, _arrays(directory, manifest)))
        _check_moment(state, manifest.version)
        return state
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CorruptVersionError(
            f"{directory.name}/{STATE} is damaged: {error}"
        ) from error


def _check_moment(state: TrainingState, version: Version) -> None:
    said = (version.epoch, version.batch, version.step)
    if (state.epoch, state.batch, state.step) != said:
        raise ValueError(f"it is not of the moment {said} of its manifest")


def _arrays(directory: Path, manifest: Manifest) -> Any:
    """Returns the large arrays by their keys."""
    if ARRAYS not in manifest.files:
        return {}
    view = _integrity.checked(directory, manifest, ARRAYS)
    index = archive.read(view, "weights").index
    if index is None:
        raise ValueError(f"{ARRAYS} is not as this package writes it")
    return index.group("vars")


def _check_format(format: object) -> None:
    if type(format) is int and format > FORMAT:
        raise StoreError(
            f"{STATE} is of format {format}, and this release reads up to {FORMAT}. "
            "Upgrade keras-versioned-ckpt."
        )
    if type(format) is not int or format != FORMAT:
        raise ValueError(f"its format is {shown(format)}")


def _write(data: bytes, path: Path) -> File:
    with HashedFile(path, len(data)) as file:
        file.write(data)
        size, sha256 = file.finish()
    return File(size=size, sha256=sha256)


def _file(arrays: list[np.ndarray]) -> Snapshot:
    described = tuple(
        _hdf5_layout.Array(str(key), array.dtype, array.shape)
        for key, array in enumerate(arrays)
    )
    return Snapshot(
        groups=(_hdf5_layout.Group("", (), described),), arrays=tuple(arrays)
    )


# Values as JSON


def _encoded(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, Mapping):
        items = {key: _encoded(item, arrays) for key, item in value.items()}
        if any(isinstance(key, str) and key.startswith("$") for key in items):
            return {"$dict": [[key, item] for key, item in items.items()]}
        return items
    if isinstance(value, (list, tuple)):
        kinds = set(map(type, value)) if len(value) > _LONGEST_LIST else ()
        if kinds == {float}:
            return {"$floats": _encoded(np.array(value, np.float64), arrays)}
        return [_encoded(item, arrays) for item in value]
    if isinstance(value, np.ndarray):
        return {"$array": [value.dtype.name, list(value.shape), _bytes(value, arrays)]}
    if isinstance(value, np.generic):
        return _encoded(value.item(), arrays)
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(value)}
    if type(value) is int and abs(value) > _strict_json.MAX_INTEGER:
        return {"$int": str(value)}
    return value


def _bytes(array: np.ndarray, arrays: list[np.ndarray]) -> str | int:
    if array.nbytes > _LARGEST_INLINE:
        arrays.append(array)
        return len(arrays) - 1
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return base64.b64encode(little.tobytes()).decode("ascii")


def _decoded(value: Any, arrays: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (form, content), *_ = value.items()
        if form == "$array":
            return _array(*content, arrays=arrays)
        if form == "$float":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[content]
        if form == "$floats":
            return [float(item) for item in _decoded(content, arrays).tolist()]
        if form == "$int":
            if not _INTEGER.fullmatch(content):
                raise ValueError(f"{shown(content)} is no integer")
            return int(content)
        if form == "$dict":
            return {key: _decoded(item, arrays) for key, item in content}
    return {key: _decoded(item, arrays) for key, item in value.items()}


def _array(name: Any, shape: Any, content: Any, *, arrays: Any) -> np.ndarray:
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        raise ValueError(f"{shown(name)} is no type of an array")
    dtype = np.dtype(name)
    sides = [side for side in shape if type(side) is int and side >= 0]
    # To multiply very many sides, which no array has, would take hours.
    if len(sides) != len(shape) or len(sides) > _MAX_SIDES:
        raise ValueError(f"{shown(shape)} is no shape of an array")
    if type(content) is int:
        found = arrays[str(content)]
        if found.dtype != dtype or found.shape != tuple(sides):
            raise ValueError(f"array {content} is another than the state says")
        return np.array(found)
    try:
        data = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise ValueError(f"an array is no base 64: {error}") from error
    if len(data) != math.prod(sides) * dtype.itemsize:
        raise ValueError("an array has more, or fewer, values than its shape")
    little = np.frombuffer(data, dtype.newbyteorder("<"))
    return little.astype(dtype).reshape(sides)


# Fields


def _state(fields: Mapping[str, Any]) -> TrainingState:
    """Checks what is read; unknown keys are of releases to come, and passed over."""
    names = {field.name for field in dataclasses.fields(TrainingState)}
    known = {name: value for name, value in fields.items() if name in names}
    for name, kinds in _KINDS.items():
        if name in known and not isinstance(known[name], kinds):
            raise ValueError(f"{name!r} is {shown(known[name])}")
    for name in ("epoch", "batch", "step", "epochs", "batches_since_fired"):
        if isinstance(known.get(name), bool) or (known.get(name) or 0) < 0:
            raise ValueError(f"{name!r} is {shown(known[name])}")
    for name in ("seed_generators", "metrics", "weights"):
        if known.get(name) is not None:
            if not all(isinstance(item, np.ndarray) for item in known[name]):
                raise ValueError(f"{name!r} holds something else than arrays")
            known[name] = tuple(known[name])
    known["callbacks"] = tuple(known.get("callbacks", ()))
    for item in known["callbacks"]:
        if not isinstance(item, Mapping) or not isinstance(item.get("callback"), str):
            raise ValueError("'callbacks' holds something else than their states")
        if "state" not in item:
            raise ValueError(f"{shown(item['callback'])} has no state")
    return TrainingState(**known)


_OPTIONAL_COUNT, _NONE = (int, type(None)), type(None)
_KINDS: dict[str, Any] = {
    "epoch": int,
    "batch": _OPTIONAL_COUNT,
    "step": int,
    "settled": bool,
    "epochs": _OPTIONAL_COUNT,
    "stopped": bool,
    "batches_since_fired": int,
    "seed": _OPTIONAL_COUNT,
    "random": dict,
    "random_at_epoch": (dict, _NONE),
    "validating": bool,
    "seed_generators": list,
    "metrics": (list, _NONE),
    "logs": dict,
    "callbacks": list,
    "averaged": bool,
    "weights": (list, _NONE),
}
