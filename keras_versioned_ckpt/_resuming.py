"""From a store back into a training: which version, and what of it goes where.

The newest version that is good is taken. One that is damaged is passed over, with a
warning; one that does not fit the model is an error, since to begin anew, or from an
older one, would be a guess.
"""

import dataclasses
import re
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_versioned_ckpt import _training_state, loading, snapshot
from keras_versioned_ckpt._messages import listing
from keras_versioned_ckpt._training_state import TrainingState
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CheckpointWarning,
    CorruptVersionError,
    ResumeError,
    UnsafeVersionError,
)
from keras_versioned_ckpt.loading import Checked, Options
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.store import CheckpointStore

_MOST_DIFFERENCES = 10
_OPTIMIZER = re.compile(r"optimizer/.*: only in the model")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resumption:
    """What a training goes on from.

    Args:
        version: The version that is in the model now.
        state: What else is known of that moment.
    """

    version: Version
    state: TrainingState

    @property
    def initial_epoch(self) -> int:
        """The epoch to go on with, counted from 0."""
        return self.state.epoch


def has_versions(store: CheckpointStore) -> bool:
    """Returns whether there is anything that a training could go on from."""
    return any(map(_is_of_a_training, store.versions))


def resume(store: CheckpointStore, model: Any) -> Resumption | None:
    """Puts the newest good version into a model.

    Args:
        store: The store.
        model: The `keras.Model`, built and compiled as the one that was saved.

    Returns:
        What is to be put elsewhere; `None` if no training has saved anything yet.

    Raises:
        ResumeError: If the version does not fit the model.
        CorruptVersionError: If there are versions, and all are damaged.
    """
    damaged: dict[str, CheckpointError] = {}
    for version in reversed(store.versions):
        if not _is_of_a_training(version):
            continue
        if version.format == "h5":
            raise ResumeError(
                f"{version.name} is an older HDF5 file (.h5), from which no training "
                "can go on. Load it with `load_version(…, trust_code=True)`, and save "
                "it with `save_version` into the directory of the training."
            )
        try:
            checked = loading.checked(version, Options(model=model))
            assert version.path is not None
            state = _training_state.read(version.path, checked.manifest)
        except FileNotFoundError:
            continue  # pruned by another process since it was listed
        except (CorruptVersionError, UnsafeVersionError) as error:
            damaged[version.name] = error
            _warn(f"{version.name} is damaged and passed over: {error}")
            continue
        _put(version, checked, state, model)
        if state is None:
            _warn(
                f"{version.name} holds a model and no state of its training; the "
                "training goes on at the next epoch, and not exactly."
            )
            state = TrainingState(
                epoch=version.epoch or 0, batch=None, step=version.step or 0
            )
        return Resumption(version=version, state=state)
    if damaged:
        raise CorruptVersionError(
            f"No version in {store.path} that a training could go on from is intact. "
            f"Damaged: {listing(damaged)}. To begin anew, pass `resume=False`."
        ) from next(iter(damaged.values()))
    return None


def _is_of_a_training(version: Version) -> bool:
    return version.epoch is not None and version.format != "saved_model"


def _put(
    version: Version, checked: Checked, state: TrainingState | None, model: Any
) -> None:
    """Puts a version's values into a model, all of them or none."""
    _build(model)
    index = checked.contents.index if checked.contents else None
    found = [] if index is None else snapshot.differences(model, index)
    if state is None:
        # It need not have been in training, when its optimizer has no values yet.
        found = [text for text in found if not _OPTIMIZER.match(text)]
    if found:
        more = len(found) - _MOST_DIFFERENCES
        shown = "; ".join(found[:_MOST_DIFFERENCES])
        raise ResumeError(
            f"{version.name} does not fit the model, which is left as it was. "
            f"{len(found)} difference(s): {shown}"
            + (f"; and {more} more. " if more > 0 else ". ")
            + "Build and compile the model as the one that was saved, or pass another "
            "directory."
        )
    others: list[tuple[str, Sequence[Any], Sequence[np.ndarray]]] = []
    if state is not None:
        others.append(("seeds", seed_generators(model), state.seed_generators))
        if state.weights is not None:
            others.append(("trained weights", model.trainable_variables, state.weights))
    for what, variables, saved in others:
        if not fit(variables, saved):
            raise ResumeError(
                f"The {what} of {version.name} are not those of the model, which is "
                "left as it was. Build the model as the one that was saved."
            )
    checked.read()
    for _, variables, saved in others:
        for variable, value in zip(variables, saved, strict=True):
            variable.assign(value)


def _build(model: Any) -> None:
    if not model.built:
        raise ResumeError(
            "The model must be built before a training can go on with it. Call "
            "`model.build(input_shape)`, or `model(x[:1])`, before "
            "`checkpoint.restore(model)`."
        )
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)


def seed_generators(model: Any) -> list[Any]:
    """Returns the variables of a model that its random layers draw from."""
    weights = {id(weight) for weight in model.weights}
    return [v for v in model.variables if id(v) not in weights]


def values(variables: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """Returns copies of the values of variables."""
    return tuple(np.array(keras.ops.convert_to_numpy(v)) for v in variables)


def fit(variables: Sequence[Any], saved: Sequence[np.ndarray]) -> bool:
    """Returns whether values have the shapes and types of variables."""
    ours = [
        (tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for v in variables
    ]
    return ours == [(value.shape, value.dtype.name) for value in saved]


def _warn(text: str) -> None:
    warnings.warn(text, CheckpointWarning, stacklevel=4)
