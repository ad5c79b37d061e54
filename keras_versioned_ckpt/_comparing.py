"""How two versions differ: metrics, configuration, and how far the weights moved.

Weights are read from the files, without Keras and without running anything that they
describe, and one array of each at a time.
"""

import contextlib
import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np

from keras_versioned_ckpt import (
    _config_text,
    _growth,
    _hdf5_check,
    _integrity,
    _wire,
    _zip_members,
)
from keras_versioned_ckpt._mapped_file import ViewFile
from keras_versioned_ckpt._ranking import improves, is_score, said_mode
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CorruptVersionError,
    UnsafeVersionError,
)
from keras_versioned_ckpt.records import Version

# Arrays are compared in pieces, as numbers of 64 bits, which take more memory.
_PIECE = 1_000_000
# Where each value of a configuration is may take far more memory than the text of it.
_MAX_LEAVES = 200_000
_MAX_LETTERS = 16 * 1024 * 1024
_OPTIMIZER = "optimizer"
_VARIABLE = re.compile(r"(?:^|/)vars/[^/]+$")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Movement:
    """How far the weights of one layer moved.

    Args:
        layer: Where it is in the file; its name behind it, if that is another.
        values: How many numbers it has.
        distance: The Euclidean norm of the change; `None` where the shapes differ or
            one of the two has no such layer.
        relative: The same as a share of the norm before; `None` where that is 0.
        largest: The largest change of a single number.
        note: What else there is to say; empty if nothing.
    """

    layer: str
    values: int
    distance: float | None = None
    relative: float | None = None
    largest: float | None = None
    note: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricChange:
    """A metric in both versions.

    Args:
        name: Its name.
        before: Its value in the one; `None` if it has none.
        after: Its value in the other.
        verdict: `"better"`, `"worse"`, `"equal"`, or empty where that is not known.
    """

    name: str
    before: float | None
    after: float | None
    verdict: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """How one version differs from another.

    Args:
        metrics: Every metric of both, by name.
        configuration: What differs in the description of the model: where, and what
            is there in either, `None` where nothing is.
        layers: Every layer, the one that moved farthest first; what belongs to the
            optimizer last, since it counts and measures other things.
    """

    metrics: tuple[MetricChange, ...]
    configuration: Mapping[str, tuple[object, object]]
    layers: tuple[Movement, ...]


def compare(before: Version, after: Version) -> Difference:
    """Compares two versions.

    Raises:
        CheckpointError: If one is damaged or unsafe, or its format cannot be looked
            into.
    """
    try:
        with _opened(before) as old, _opened(after) as new:
            return Difference(
                metrics=tuple(_metrics(before, after)),
                configuration=_differing(old.leaves, new.leaves),
                layers=tuple(_layers(old.weights, new.weights)),
            )
    except CheckpointError:
        raise
    except Exception as error:
        # Such as of HDF5, which reads no further than it is asked to.
        raise CheckpointError(
            f"{before.name} and {after.name} cannot be compared: "
            f"{error or type(error).__name__}"
        ) from error


def _metrics(before: Version, after: Version) -> Iterator[MetricChange]:
    for name in sorted({*before.metrics, *after.metrics}):
        old, new = before.metrics.get(name), after.metrics.get(name)
        mode = said_mode(after, name) or said_mode(before, name)
        verdict = ""
        if is_score(old) and is_score(new):
            if old == new:
                verdict = "equal"
            elif mode:
                verdict = "better" if improves(new, old, mode) else "worse"
        yield MetricChange(name=name, before=old, after=new, verdict=verdict)


@dataclasses.dataclass(frozen=True)
class _Opened:
    """A payload that was checked: its configuration, and its arrays by HDF5."""

    leaves: Mapping[str, object]
    weights: Any


@contextlib.contextmanager
def _opened(version: Version) -> Iterator[_Opened]:
    if version.path is None or version.format not in ("keras", "weights"):
        raise CheckpointError(
            f"{version.name} is a {version.format} payload, and only those of the "
            "formats keras and weights can be compared."
        )
    manifest = _integrity.read_manifest(version.path)
    _integrity.check_files(version.path, manifest)
    payload = _wire.PAYLOADS[version.format]
    view = _integrity.checked(version.path, manifest, payload)
    leaves: Mapping[str, object] = {}
    most = _growth.unpacked_limit(len(view))
    try:
        if version.format == "keras":
            members = _zip_members.members(view)
            leaves = _config(bytes(members[_zip_members.CONFIG]))
            view = members[_zip_members.WEIGHTS]
        _hdf5_check.check(view, most)
    except UnsafeVersionError as error:
        raise UnsafeVersionError(
            f"{version.name}/{payload} is refused: {error}"
        ) from error
    except CorruptVersionError as error:
        raise CorruptVersionError(
            f"{version.name}/{payload} is damaged: {error}"
        ) from error
    with h5py.File(ViewFile(view), "r") as weights:
        yield _Opened(leaves, weights)


def _config(data: bytes) -> Mapping[str, object]:
    """Returns the values in a configuration, by where they are."""
    found: dict[str, object] = {}
    letters = 0
    for path, value in _leaves(_config_text.parsed(data)):
        found[path] = value
        letters += len(path)
        if len(found) > _MAX_LEAVES or letters > _MAX_LETTERS:
            raise UnsafeVersionError("its description says too much to be compared")
    return found


def _differing(
    before: Mapping[str, object], after: Mapping[str, object]
) -> Mapping[str, tuple[object, object]]:
    return {
        path: (before.get(path), after.get(path))
        for path in dict.fromkeys([*before, *after])
        if before.get(path) != after.get(path)
    }


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yields what is in nested JSON, each with where it is."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(v, dict | list) for v in value):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{_label(inner, index)}]")
    elif path:
        yield path, value


def _label(value: object, index: int) -> str:
    """Returns the name of a layer in a list of them, else its place in the list."""
    config = value.get("config") if isinstance(value, dict) else None
    name = config.get("name") if isinstance(config, dict) else None
    return name if isinstance(name, str) else str(index)


def _layers(old: Any, new: Any) -> Iterator[Movement]:
    before, after = _arrays(old), _arrays(new)
    moved = [
        _movement(place, before.get(place, {}), after.get(place, {}))
        for place in dict.fromkeys([*before, *after])
    ]
    return iter(sorted(moved, key=_farthest_first))


def _farthest_first(moved: Movement) -> tuple[bool, float]:
    distance = math.inf if moved.distance is None else moved.distance
    return moved.layer == _OPTIMIZER, -distance


def _arrays(weights: Any) -> dict[str, dict[str, Any]]:
    """Returns the arrays of each layer by path; those of the optimizer are as one.

    Layers are told apart by where they are in the file. Keras numbers them there by
    their class, from the first on, while a layer without a name of the user's is called
    otherwise each time that the same model is built in a process.
    """
    found: dict[str, dict[str, Any]] = {}

    def note(path: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.setdefault(_place(path), {})[path] = item

    weights.visititems(note)
    return found


def _place(path: str) -> str:
    if path.startswith(f"{_OPTIMIZER}/"):
        return _OPTIMIZER
    return _VARIABLE.sub("", path) or "model"


def _named(place: str, arrays: Mapping[str, Any]) -> str:
    """Returns where a layer is, with the name that Keras notes beside its arrays."""
    name = next(iter(arrays.values())).parent.attrs.get("name")
    is_another = isinstance(name, str) and name and not place.endswith(f"/{name}")
    return f"{place} ({name})" if is_another and place != _OPTIMIZER else place


def _movement(
    place: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Movement:
    layer = _named(place, after or before)
    values = sum(math.prod(array.shape) for array in (after or before).values())
    if not before or not after:
        return Movement(layer=layer, values=values, note="new" if after else "gone")
    if _shapes(before) != _shapes(after):
        return Movement(layer=layer, values=values, note="other shapes")
    if not all(map(_is_numeric, [*before.values(), *after.values()])):
        return Movement(layer=layer, values=values, note="not numbers")
    squares = norm = largest = 0.0
    for path, array in before.items():
        for old, new in zip(_pieces(array), _pieces(after[path]), strict=True):
            # What is no number is told in the note.
            with np.errstate(all="ignore"):
                change = np.abs(new - old)
                # Two infinities of one sign are no change, and NaN stays one.
                change[(old == new) | (np.isnan(old) & np.isnan(new))] = 0.0
                squares += float(np.square(change).sum())
                norm += float(np.square(np.abs(old)).sum())
            largest = max(largest, float(change.max(initial=0.0)))
    is_finite = math.isfinite(squares)
    return Movement(
        layer=layer,
        values=values,
        distance=math.sqrt(squares) if is_finite else math.inf,
        relative=math.sqrt(squares / norm) if is_finite and norm > 0 else None,
        largest=largest if is_finite else math.inf,
        note="" if is_finite else "not finite",
    )


def _shapes(arrays: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {path: array.shape for path, array in arrays.items()}


def _is_numeric(dataset: Any) -> bool:
    # bfloat16 has no name in HDF5, and Keras notes it beside the bytes.
    is_bfloat16 = dataset.attrs.get("dtype") == "bfloat16" and dataset.dtype == "V2"
    return bool(is_bfloat16 or dataset.dtype.kind in "biufc")


def _pieces(dataset: Any) -> Iterator[Any]:
    """Yields the numbers of an array, as floats of 64 bits."""
    array = dataset[()]
    if array.dtype.kind == "V":
        # It is the upper half of a float of 32 bits.
        array = (np.frombuffer(array.tobytes(), "<u2").astype("<u4") << 16).view("<f4")
    flat = array.reshape(-1)
    for start in range(0, len(flat), _PIECE):
        piece = flat[start : start + _PIECE]
        yield piece.astype(np.complex128 if piece.dtype.kind == "c" else np.float64)


def text_of(value: object) -> str:
    """Returns a part of a configuration as text."""
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
