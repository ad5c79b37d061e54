"""Measures loading: Keras reads a file, `load_latest` checks and reads the same one.

The files are in the page cache, for both alike, since training has usually just
written them or an earlier round has read them.
"""

import gc
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import contest
import keras
import models
import numpy as np
from arena import turns

from keras_versioned_ckpt import load_latest, save_version


def loads(width: int, rounds: int, directory: str) -> dict[str, Any]:
    """Returns seconds by measurement and way of loading."""
    model = models.trained(width)
    stores = {"keras": Path(directory) / "keras", "weights": Path(directory) / "h5"}
    for format, store in stores.items():
        save_version(model, store, format=format)
    os.sync()
    whole = next(stores["keras"].glob("*/model.keras"))
    weights = next(stores["weights"].glob("*/model.weights.h5"))
    other = keras.saving.load_model(whole)
    # What lives until the end need not be looked through after each load.
    gc.freeze()
    ways: dict[tuple[str, str], Callable[[], Any]] = {
        ("load", contest.LOAD_MODEL): lambda: keras.saving.load_model(whole),
        ("load", contest.LOAD_LATEST): lambda: load_latest(stores["keras"]),
        ("load_keras", contest.LOAD_WEIGHTS): lambda: _into(other, whole),
        ("load_keras", contest.LOAD_LATEST_INTO): lambda: load_latest(
            stores["keras"], model=other
        ),
        ("load_h5", contest.LOAD_WEIGHTS): lambda: _into(other, weights),
        ("load_h5", contest.LOAD_LATEST_INTO): lambda: load_latest(
            stores["weights"], model=other
        ),
    }
    found: dict[str, Any] = {"bytes": models.content(model).nbytes}
    for number, (measurement, name) in turns(list(ways), rounds + 1):
        _spoil(other)
        begun = time.perf_counter()
        loaded = ways[measurement, name]()
        _finish(loaded)
        taken = time.perf_counter() - begun
        _check(model, loaded, name)
        del loaded
        gc.collect()
        if number:
            found.setdefault(measurement, {}).setdefault(name, []).append(taken)
    return found


def _into(model: keras.Model, path: Path) -> keras.Model:
    model.load_weights(path)
    return model


def _all_variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def _finish(model: keras.Model) -> None:
    """Waits for arrays that JAX is still making; the clock is running."""
    if keras.config.backend() == "jax":
        import jax

        jax.block_until_ready([v.value for v in _all_variables(model)])


def _spoil(model: keras.Model) -> None:
    """Makes the last variable wrong, so that it has to be loaded anew."""
    last = _all_variables(model)[-1]
    last.assign(np.ones(last.shape, last.dtype))


def _check(model: keras.Model, loaded: keras.Model, name: str) -> None:
    expected, found = (
        keras.ops.convert_to_numpy(_all_variables(m)[-1]) for m in (model, loaded)
    )
    if not np.array_equal(expected, found):
        raise RuntimeError(f"{name} did not load what was saved")
