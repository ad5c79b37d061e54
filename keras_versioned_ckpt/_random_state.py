"""The generators of random numbers that a process shares: taken, and put back.

Generators that belong to a model, such as that of a `Dropout` layer, are variables of
the model and go with it. These here belong to nobody: Python's, NumPy's, the backend's,
and Keras's own for what has no seed.
"""

import importlib
import random
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_versioned_ckpt import _fit


def take() -> dict[str, Any]:
    """Returns the state of each generator, made of arrays, numbers and texts."""
    version, words, gauss = random.getstate()
    state: dict[str, Any] = {
        "python": {
            "version": version,
            "words": np.array(words, np.uint32),
            "gauss": gauss,
        },
        "numpy": dict(np.random.get_state(legacy=False)),
    }
    if (generator := _fit.global_seed_generator()) is not None:
        state["keras"] = keras.ops.convert_to_numpy(generator.state)
    return state | _take_of_backend()


def put(state: Mapping[str, Any]) -> None:
    """Puts back what `take` returned, as far as this process has the same generators.

    Raises:
        ValueError: If a state is none that its generator can have.
        TypeError: As `ValueError`.
        KeyError: As `ValueError`.
    """
    if "keras" in state:
        if _fit.global_seed_generator() is None:
            # Keras makes it when it is used for the first time, and draws its seed from
            # Python's, which therefore comes later.
            keras.random.uniform(())
        if (generator := _fit.global_seed_generator()) is not None:
            generator.state.assign(state["keras"])
    python = state["python"]
    words = tuple(int(word) for word in python["words"])
    random.setstate((python["version"], words, python["gauss"]))
    np.random.set_state(dict(state["numpy"]))
    _put_to_backend(state)


def _take_of_backend() -> dict[str, Any]:
    backend = keras.config.backend()
    if backend == "tensorflow":
        generator = importlib.import_module("tensorflow").random.get_global_generator()
        return {"tensorflow": generator.state.numpy()}
    if backend == "torch":
        torch = importlib.import_module("torch")
        states = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
        return {"torch": [state.numpy() for state in states]}
    return {}  # JAX has none


def _put_to_backend(state: Mapping[str, Any]) -> None:
    backend = keras.config.backend()
    if backend == "tensorflow" and "tensorflow" in state:
        generator = importlib.import_module("tensorflow").random.get_global_generator()
        generator.state.assign(state["tensorflow"])
    elif backend == "torch" and "torch" in state:
        torch = importlib.import_module("torch")
        first, *others = (torch.from_numpy(one.copy()) for one in state["torch"])
        torch.set_rng_state(first)
        if len(others) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(others)
