"""From a model to a version, outside `fit`."""

import importlib
import os
import platform
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from keras_versioned_ckpt import _arguments, _tagging, directions
from keras_versioned_ckpt._capture import capture
from keras_versioned_ckpt._version import __version__
from keras_versioned_ckpt.naming import NamingPolicy, as_naming
from keras_versioned_ckpt.records import FrozenMapping, Version
from keras_versioned_ckpt.store import CheckpointStore


def save_version(
    model: Any,
    directory: str | os.PathLike[str],
    *,
    naming: str | NamingPolicy = "version_{number}",
    format: str = "keras",
    metrics: Mapping[str, float] | None = None,
    epoch: int | None = None,
    tags: str | Iterable[str] = (),
    metadata: Mapping[str, Any] | None = None,
) -> Version:
    """Saves a model as a new version, outside `fit`.

    Args:
        model: The `keras.Model`.
        directory: The store, a string or path; made if missing.
        naming: What to call the version: a template or a naming policy.
            Defaults to `"version_{number}"`. For time stamps pass
            `"model_{created:%Y%m%d%H%M%S}"`; two in one second get two names.
        format: `"keras"` (default), `"weights"` or `"saved_model"`.
        metrics: Names and values of metrics, for `best` and for names.
        epoch: Completed epochs, counted from 1.
        tags: A tag or several to put on the version.
        metadata: A JSON-able dictionary that is put into the manifest.

    Returns:
        The version, which is on the disk by then.

    Raises:
        TypeError: If an argument is not of a type it can be.
        ValueError: If an argument is not what it must be.
        StoreError: If the directory cannot be a store.
        SaveError: If the save failed; older versions are intact.

    Example:

    ```python
    save_version(model, "my_models")  # my_models/version_1
    save_version(model, "my_models")  # my_models/version_2
    save_version(model, "my_models", naming="model_{created:%Y%m%d%H%M%S}",
                 metrics={"val_loss": 0.25}, tags=["prod"])
    ```
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"`model` must be a `keras.Model`. Received: model={model!r}")
    policy = as_naming(naming)
    format = _arguments.check_format(format)
    tags = (tags,) if isinstance(tags, str) else tuple(tags)
    for tag in tags:
        _tagging.check_tag(tag)
    values = _arguments.check_metrics(metrics)
    facts: dict[str, Any] = {
        "metrics": values,
        "modes": directions.known_modes(model, values),
        "epoch": _arguments.check_epoch(epoch),
        "step": step_of(model),
        "metadata": _arguments.check_metadata(metadata),
        "format": format,
    }
    store = CheckpointStore(directory, create=True, naming=policy)
    captured = capture(store, model, format, lambda: store.next_name(policy, **facts))
    return store.commit(
        captured.stage(),
        naming=policy,
        tags=tags,
        software=software(),
        **facts,
    )


def step_of(model: Any) -> int | None:
    """Returns the optimizer updates so far, or `None` for an uncompiled model."""
    optimizer = getattr(model, "optimizer", None)
    return None if optimizer is None else int(optimizer.iterations)


def software() -> FrozenMapping[str, str]:
    """Returns the versions of what writes the payload, for the manifest."""
    backend = keras.config.backend()
    return FrozenMapping(
        {
            "keras": keras.__version__,
            "backend": f"{backend} {_backend_version(backend)}".strip(),
            "python": platform.python_version(),
            "keras_versioned_ckpt": __version__,
        }
    )


def _backend_version(backend: str) -> str:
    # Every backend of Keras is a module of the same name.
    return str(getattr(importlib.import_module(backend), "__version__", ""))
