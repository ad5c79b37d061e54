"""Very many variables, and a very large one."""

from typing import Any

import keras
import numpy as np
from keras import layers

from ._kinds import kind, registered


def _exactly(value: np.ndarray) -> Any:
    """Returns an initializer that costs the backend no time."""
    return lambda shape, dtype=None: value


@registered
class Many(layers.Layer):
    """A layer with many tiny variables."""

    def build(self, input_shape: Any) -> None:
        for index in range(1, 2501):
            value = np.array([index, index + 0.5], "float32")
            self.add_weight((2,), _exactly(value), trainable=False)
        self.built = True

    def call(self, x: Any) -> Any:
        return x


@kind(data_sets=5000, loaded=False)
def very_many_variables() -> Any:
    return keras.Sequential([keras.Input((2,)), Many(), Many()])


@registered
class Huge(layers.Layer):
    """A variable of more than 2 GiB."""

    def build(self, input_shape: Any) -> None:
        self.huge = self.add_weight((2**29 + 5,), "zeros")
        self.built = True

    def call(self, x: Any) -> Any:
        return x


def _fill(model: Any) -> None:
    size = model.layers[0].huge.shape[0]
    model.layers[0].huge.assign(np.arange(1, size + 1, dtype="float32"))


@kind(work=_fill, slow=True)
def more_than_2_gib() -> Any:
    return keras.Sequential([keras.Input((2,)), Huge()])
