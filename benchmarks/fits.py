"""Measures a whole `fit` that saves every epoch against one that does not save.

Whatever a background does shows here: it shares cores, memory and the interpreter
with the training. An epoch is made as long as 20 times what the background of
`VersionedCheckpoint` takes; both are measured first. Fits take turns, in an order
that is rotated every round; each has a new callback and a new directory, and lasts
until the callback has nothing left to do.
"""

import itertools
import math
import os
import shutil
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import contest
import keras
import models
import numpy as np
from arena import Arena, play, turns
from peers import enter

CALLBACKS = (contest.OURS, contest.MODEL_CHECKPOINT, contest.ORBAX)
TIMES_THE_BACKGROUND = 20
# So that an epoch is not too short where a step turns out to be a little faster.
MARGIN = 1.1
STEPS_TO_TIME = 100


def whole_fits(
    widths: Mapping[str, int],
    rounds: int,
    epochs: Mapping[str, int],
    directory: str,
) -> dict[str, Any]:
    """Measures fits of several models.

    Args:
        widths: Of the models, by size.
        rounds: How many rounds count.
        epochs: How many epochs a `fit` lasts, for the sizes to measure.
        directory: Where to save.

    Returns:
        By size and measurement: seconds per `fit` by contestant.
    """
    return {
        size: _fits_of(widths[size], rounds, epochs[size], Path(directory) / size)
        for size in epochs
    }


def _fits_of(width: int, rounds: int, epochs: int, home: Path) -> dict[str, Any]:
    model = models.trained(width)
    content = models.content(model)
    background = _background_seconds(model, home / "background", content)
    epoch = MARGIN * TIMES_THE_BACKGROUND * background
    steps = math.ceil(epoch / _step_seconds(model))
    x = models.samples(width, steps)
    # Among the contestants, so that the table shows whether epochs were long enough.
    least = TIMES_THE_BACKGROUND * background * epochs
    seconds: dict[str, list[float]] = {contest.LEAST_FIT: [least]}
    for number, name in turns((contest.NO_SAVING, *CALLBACKS), rounds + 1):
        room = home / str(number) / name
        callbacks = []
        if name != contest.NO_SAVING:
            callbacks.append(enter(name, room, content).callback)
        begun = time.perf_counter()
        # One epoch is enough to warm up.
        _fit(model, x, epochs if number else 1, callbacks)
        taken = time.perf_counter() - begun
        if number:
            seconds.setdefault(name, []).append(taken)
        shutil.rmtree(room, ignore_errors=True)
        os.sync()
    return {"bytes": content.nbytes, "fit": seconds}


def _fit(
    model: keras.Model,
    x: np.ndarray,
    epochs: int,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    model.fit(
        x, x, batch_size=models.BATCH, epochs=epochs, verbose=0, callbacks=callbacks
    )


def _background_seconds(model: keras.Model, home: Path, content: np.ndarray) -> float:
    """Returns how long a save goes on after its hook has returned."""
    arena = Arena([enter(contest.OURS, home, content)], rounds=8)
    play(model, arena)
    return statistics.median(
        done - hook
        for done, hook in zip(
            arena.done[contest.OURS], arena.hooks[contest.OURS], strict=True
        )
    )


def _step_seconds(model: keras.Model) -> float:
    """Returns how long a step of training takes when nothing slows it down."""
    x = models.samples(model.input_shape[-1], STEPS_TO_TIME)
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    _fit(model, x, 5, [clock])
    return min(b - a for a, b in itertools.pairwise(ends)) / STEPS_TO_TIME
