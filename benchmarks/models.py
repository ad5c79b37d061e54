"""The models that are trained and saved: stacks of eight equal layers with Adam."""

import keras
import numpy as np

BATCH = 8
LAYERS = 8


def compiled(width: int) -> keras.Model:
    """Returns a model with `width` units in each layer; no weight is shared or idle."""
    model = keras.Sequential([keras.layers.Input((width,))])
    for _ in range(LAYERS):
        model.add(keras.layers.Dense(width, activation="tanh"))
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss="mse")
    return model


def samples(width: int, steps: int) -> np.ndarray:
    """Returns what makes an epoch of `steps`; inputs are the targets, too."""
    chance = np.random.default_rng(0)
    return chance.random((BATCH * steps, width), dtype=np.float32)


def trained(width: int) -> keras.Model:
    """Returns a model whose optimizer has its state, and whose step is compiled."""
    model = compiled(width)
    x = samples(width, 2)
    model.fit(x, x, batch_size=BATCH, epochs=3, verbose=0)
    return model


def content(model: keras.Model) -> np.ndarray:
    """Returns the bytes of all that a save of the model has to keep."""
    variables = [*model.variables, *model.optimizer.variables]
    arrays = [np.ascontiguousarray(keras.ops.convert_to_numpy(v)) for v in variables]
    return np.concatenate([array.reshape(-1).view(np.uint8) for array in arrays])
