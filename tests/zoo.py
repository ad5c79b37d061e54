"""Small real models and data for tests that train."""

import functools
from typing import Any

import keras
import numpy as np
from sklearn.datasets import load_breast_cancer


@functools.cache
def data() -> tuple[np.ndarray, np.ndarray]:
    """Returns 120 real samples: 30 measurements each, and whether they are benign."""
    x, y = load_breast_cancer(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    return x[:120].astype("float32"), y[:120].astype("float32")


def network(metrics: Any = ("accuracy",), units: int = 4, **options: Any) -> Any:
    """Returns a compiled network with one hidden layer."""
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((30,)),
            keras.layers.Dense(units, activation="relu", name="hidden"),
            keras.layers.Dense(1, activation="sigmoid", name="decision"),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=list(metrics), **options)
    return model


def fit(model: Any, *callbacks: Any, epochs: int = 3, **options: Any) -> Any:
    """Trains on 80 samples in 5 batches of 16, validates on 40, and says nothing."""
    x, y = data()
    options = {"validation_data": (x[80:], y[80:]), "batch_size": 16, **options}
    return model.fit(
        x[:80], y[:80], epochs=epochs, verbose=0, callbacks=list(callbacks), **options
    )


class LogValues(keras.callbacks.Callback):
    """Puts given values of a metric into the logs, epoch by epoch.

    It stands before the callback under test, which so sees real hooks of a real
    `fit` with values that a test can foretell.
    """

    def __init__(self, name: str, values: list[float | None]) -> None:
        super().__init__()
        self.name = name
        self.values = list(values)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        value = self.values.pop(0)
        logs.pop(self.name, None)
        if value is not None:
            logs[self.name] = value


def weights(model: Any) -> list[np.ndarray]:
    """Returns copies of the model's weights."""
    return [np.array(weight) for weight in model.get_weights()]


def same_weights(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    """Returns whether two lists of weights are equal bit for bit."""
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.tobytes() == y.tobytes()
        for x, y in zip(a, b, strict=True)
    )
