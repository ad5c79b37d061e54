"""A Keras model at this moment, as the files of a version.

The files are written by Keras's own public savers, on the calling thread, so
that what they hold are the weights of this moment and no later ones; what can
wait (flushing, hashing, committing, pruning) is left to the caller, who may do
it on another thread, since none of it touches the model.
"""

import importlib
import platform
from pathlib import Path
from typing import Any

import keras

from keras_versioned_ckpt import _wire
from keras_versioned_ckpt._version import __version__
from keras_versioned_ckpt.records import FrozenMapping


def write(model: Any, format: str, directory: Path) -> None:
    """Writes the model's payload into `directory`.

    Args:
        model: The `keras.Model`.
        format: `"keras"` (`model.keras`: architecture, weights, optimizer),
            `"weights"` (`model.weights.h5`: weights and optimizer) or
            `"saved_model"` (`saved_model/`: a TensorFlow program for serving).
        directory: An empty directory.

    Raises:
        Exception: Whatever Keras raises when it cannot save this model.
    """
    target = directory / _wire.PAYLOADS[format]
    if format == "keras":
        model.save(target)
    elif format == "weights":
        model.save_weights(target)
    else:
        model.export(target, format="tf_saved_model", verbose=False)


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
