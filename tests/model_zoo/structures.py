"""How models are put together: graphs, classes, containers, models within models."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from ._kinds import kind, ramp, random, registered, small, step


@kind(work=step(ramp(4, 3), ramp(4, 1)))
def sequential() -> Any:
    return small("adam")


@kind()
def uncompiled() -> Any:
    return small()


@kind()
def compiled_with_loss_weights_and_metrics() -> Any:
    return small("adam", metrics=["mae"], loss_weights=[0.5], steps_per_execution=2)


@kind(data_sets=0)
def no_variables_at_all() -> Any:
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Reshape((2, 2)),
            layers.Flatten(),
            layers.Rescaling(2.0),
            layers.ReLU(),
            layers.GaussianNoise(0.1, seed=3),
        ]
    )


@kind()
def functional() -> Any:
    x = keras.Input((3,), name="in")
    a = layers.Dense(2)(x)
    b = layers.Dense(2, use_bias=False)(x)
    y = layers.Concatenate()([ops.relu(a + b), a])
    model = keras.Model(x, layers.Dense(1)(y))
    model.compile("sgd", "mse")
    return model


@kind(
    data_sets=30,
    unlike={"weights": "only the optimizer of the outermost model is built for it"},
)
def models_within_models() -> Any:
    inner = small("adam")
    x = keras.Input((3,))
    middle = keras.Model(x, layers.Dense(3)(inner(x)))
    model = keras.Sequential([keras.Input((3,)), middle, small()])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    return model


@kind()
def shared_layer() -> Any:
    left, right = keras.Input((3,)), keras.Input((3,))
    shared = layers.Dense(2, name="shared")
    y = layers.Add()([shared(left), shared(right)])
    model = keras.Model([left, right], layers.Dense(1)(y))
    model.compile("adam", "mse")
    return model


def _dictionaries() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    x = {"words": ramp(4, 3), "numbers": ramp(4, 2)}
    return x, {"price": ramp(4, 1), "rank": ramp(4, 2)}


@kind(work=step(*_dictionaries()))
def many_inputs_and_outputs() -> Any:
    words, numbers = keras.Input((3,), name="words"), keras.Input((2,), name="numbers")
    joined = layers.Concatenate()([layers.Dense(2)(words), numbers])
    outputs = {
        "price": layers.Dense(1, name="price")(joined),
        "rank": layers.Dense(2, name="rank")(joined),
    }
    model = keras.Model({"words": words, "numbers": numbers}, outputs)
    model.compile(
        "rmsprop",
        {"price": "mse", "rank": "mae"},
        loss_weights={"price": 1.0, "rank": 0.5},
        metrics={"price": ["mae", "mse"], "rank": [keras.metrics.CosineSimilarity()]},
    )
    return model


@kind()
def frozen_layers() -> Any:
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(2, trainable=False),
            layers.BatchNormalization(trainable=False),
            layers.Dense(2),
            layers.BatchNormalization(),
        ]
    )
    model.compile("adam", "mse")
    return model


@kind(unlike={"model": "a configuration does not say that a variable is frozen"})
def frozen_variable() -> Any:
    model = small()
    model.layers[0].kernel.trainable = False
    model.compile("adam", "mse")
    return model


@registered
class Extended(keras.Model):
    """A functional model with layers of its own beside those of its graph."""

    def __init__(self, **options: Any) -> None:
        x = keras.Input((3,))
        super().__init__(x, layers.Dense(2)(x), **options)
        ones = {"bias_initializer": "ones"}
        self.before = layers.Dense(2, name="before", **ones)
        self.before.build((None, 2))
        self.after = [layers.Dense(1, **ones), layers.Dense(1, **ones)]
        for layer in self.after:
            layer.build((None, 2))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        return cls(**config)


@kind()
def functional_subclass_with_more_layers() -> Any:
    model = Extended()
    model.compile("adam", "mse")
    return model


class _Containers:
    """Layers in lists, dictionaries, tuples, and in those again."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)

        def dense() -> Any:
            return layers.Dense(2)

        self.one = dense()
        self.row = [dense(), layers.Dropout(0.5), dense(), "text", 3, None]
        self.table = {"b": dense(), "a": dense(), "c": [dense(), {"d": dense()}]}
        self.pair = (dense(), (dense(), [dense(), [dense()]]))
        self.deep = [[dense(), dense()], [dense()], [[dense()]], []]
        # The same layers by other names, where they must not be saved again.
        self.again = [self.one, self.row[0]]
        self._private = dense()
        self._privates = {"x": [dense()]}

    @property
    def aaa(self) -> Any:
        """The first by the alphabet, and so the layer's place in the file."""
        return self.pair[0]

    @property
    def computed(self) -> list[Any]:
        """Another list at every look."""
        return [self.table["a"], self.deep[0][0]]

    @property
    def broken(self) -> Any:
        raise RuntimeError("Keras looks at every attribute.")

    def every(self) -> Iterator[Any]:
        """Yields every layer once."""
        yield from layers_of(self.one, self.row, self.table, self.pair, self.deep)
        yield from layers_of(self._private, self._privates)

    def build(self, input_shape: Any) -> None:
        for layer in self.every():
            layer.build((None, 2))
        self.built = True

    def call(self, x: Any) -> Any:
        for layer in self.every():
            x = layer(x)
        return x


def layers_of(*values: Any) -> Iterator[Any]:
    """Yields the layers in values, however deep they lie in containers."""
    for value in values:
        if isinstance(value, keras.layers.Layer):
            yield value
        elif isinstance(value, dict):
            yield from layers_of(*value.values())
        elif isinstance(value, list | tuple):
            yield from layers_of(*value)


@registered
class ModelOfContainers(_Containers, keras.Model):
    """A model, which besides lists all its layers itself."""


@registered
class LayerOfContainers(_Containers, layers.Layer):
    """A layer, whose attributes are the only way to what it holds."""


@kind(data_sets=34)
def containers_in_a_model() -> Any:
    model = ModelOfContainers()
    model.build((None, 2))
    model.compile("sgd", "mse")
    return model


# The oldest supported releases of Keras pass over the deeper half of them.
@kind(data_sets=16)
def containers_in_a_layer() -> Any:
    return keras.Sequential([keras.Input((2,)), LayerOfContainers()])


@registered
class Adversaries(keras.Model):
    """Two networks and an optimizer for each."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.generator = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
        self.discriminator = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
        self.generator_optimizer = keras.optimizers.Adam(name="makes")
        self.judges = {"discriminator": keras.optimizers.SGD(momentum=0.9)}

    def build(self, input_shape: Any) -> None:
        self.generator_optimizer.build(self.generator.trainable_variables)
        self.judges["discriminator"].build(self.discriminator.trainable_variables)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.discriminator(self.generator(x))


def _judge(model: Any) -> None:
    generator = np.random.default_rng(4)
    for variable in model.judges["discriminator"].variables:
        value = variable.numpy()
        variable.assign(random(generator, value.shape, value.dtype))


@kind(work=_judge, data_sets=14, hidden=True)
def two_optimizers() -> Any:
    model = Adversaries()
    model.build((None, 2))
    return model


@kind(
    work=lambda model: model.compile("adam", "mse"),
    zeros=("/optimizer/vars/0",),
    unsaved={"weights": "has not yet been built"},
    unloaded={"weights": "has not yet been built"},
)
def not_built() -> Any:
    return keras.Sequential([layers.Dense(2)])
