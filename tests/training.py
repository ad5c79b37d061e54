"""A small training that can be killed at any batch, and what came of it.

`python -m tests.training DIRECTORY [OPTION=VALUE ...]` trains, resuming what is there,
and prints what came of it as one line of JSON. Everything is seeded, so that two
trainings differ if anything does.
"""

import hashlib
import json
import os
import signal
import sys
import time
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_digits

from keras_versioned_ckpt import EveryEpochs, VersionedCheckpoint

SAMPLES, BATCH = 200, 32
INPUTS = ("arrays", "dataset", "shuffled", "repeated", "unknown", "pydataset")


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures and what they show."""
    pictures, labels = load_digits(return_X_y=True)
    return (pictures[:SAMPLES] / 16).astype("float32"), labels[:SAMPLES]


def network() -> Any:
    """Returns a model with everything that has a state: slots, seeds, statistics."""
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(0.02),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


class Pieces(keras.utils.PyDataset):
    """Batches by their number."""

    def __len__(self) -> int:
        return -(-SAMPLES // BATCH)

    def __getitem__(self, index: int) -> Any:
        x, y = digits()
        return tuple(a[index * BATCH : (index + 1) * BATCH] for a in (x, y))


def inputs(kind: str) -> dict[str, Any]:
    """Returns what `fit` is given."""
    x, y = digits()
    if kind == "arrays":
        return {"x": x, "y": y, "batch_size": BATCH}
    if kind == "pydataset":
        return {"x": Pieces()}
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices((x, y))
    if kind != "dataset":
        data = data.shuffle(SAMPLES)
    data = data.batch(BATCH)
    if kind == "unknown":
        data = data.filter(lambda x, _: tf.reduce_sum(x) > 0)
    if kind == "repeated":
        return {"x": data.repeat(), "steps_per_epoch": 5}
    return {"x": data}


class Death(keras.callbacks.Callback):
    """Ends the training after so many batches of this process, in one way or another.

    Args:
        batches: How many; 0 for never.
        by: What is raised, or the number of a signal that is sent.
        validating: Whether batches of validations are counted instead.
    """

    def __init__(self, batches: int, by: Any, validating: bool = False) -> None:
        super().__init__()
        self.left = batches
        self._by = by
        self._validating = validating

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts."""
        if not self._validating:
            self._count()

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts."""
        if self._validating:
            self._count()

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            if isinstance(self._by, BaseException):
                raise self._by
            os.kill(os.getpid(), self._by)

    def get_state(self) -> None:
        """It begins anew in each process."""

    def set_state(self, state: None) -> None:
        """It begins anew in each process."""


def train(
    directory: Any,
    *,
    kind: str = "arrays",
    data: Any = None,
    epochs: int = 6,
    die_after: int = 0,
    by: Any = signal.SIGKILL,
    validating: bool = False,
    first: bool = False,
    patience: int = 2,
    seed: int | None = 5,
    resume: bool = True,
    more: Any = (),
    **options: Any,
) -> dict[str, Any]:
    """Trains, or goes on with it, and returns what came of it.

    Args:
        directory: The store.
        kind: One of `INPUTS`.
        data: What `fit` is given instead.
        epochs: How many in all.
        die_after: How many batches of this process; see `Death`.
        by: See `Death`.
        validating: See `Death`.
        patience: Of `EarlyStopping`, in epochs.
        first: Whether the checkpoint comes before the other callbacks.
        seed: For `keras.utils.set_random_seed`; `None` for none.
        resume: Whether it goes on.
        more: More callbacks.
        **options: Of `VersionedCheckpoint`.
    """
    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = network()
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=patience, restore_best_weights=True, min_delta=0.02
    )
    plateau = keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, min_delta=0.05)
    options = {"save_freq": EveryEpochs(), **options}
    checkpoint = VersionedCheckpoint(directory, resume=resume, **options)
    callbacks = [stopping, plateau, *more]
    callbacks.insert(0 if first else len(callbacks), checkpoint)
    x, y = digits()
    history = model.fit(
        **(data or inputs(kind)),
        epochs=epochs,
        validation_data=(x[:50], y[:50]),
        verbose=0,
        callbacks=[*callbacks, Death(die_after, by, validating)],
    )
    return {
        "weights": digest(model.variables),
        "optimizer": digest(model.optimizer.variables),
        "history": history.history,
        "epochs": history.epoch,
        "stopped_epoch": stopping.stopped_epoch,
        "best_epoch": stopping.best_epoch,
        "random": float(np.random.random()),
    }


def digest(variables: Any) -> str:
    """Returns what tells the values of variables from any others."""
    found = hashlib.sha256()
    for variable in variables:
        found.update(np.ascontiguousarray(keras.ops.convert_to_numpy(variable)))
    return found.hexdigest()


class Ready(keras.callbacks.Callback):
    """Says when training has begun, and makes its batches last."""

    def __init__(self, pause_seconds: float) -> None:
        super().__init__()
        self._pause_seconds = pause_seconds
        self._has_said = False

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Says so, once."""
        if not self._has_said:
            self._has_said = True
            print("ready", flush=True)
        time.sleep(self._pause_seconds)

    get_state = Death.get_state
    set_state = Death.set_state


def main() -> None:
    """Trains as the command line says."""
    directory, *words = sys.argv[1:]
    options = {
        name: json.loads(value)
        for name, _, value in (word.partition("=") for word in words)
    }
    more = [Ready(options.pop("pause_seconds", 0.0))]
    print(json.dumps(train(directory, more=more, **options)), flush=True)


if __name__ == "__main__":
    main()
