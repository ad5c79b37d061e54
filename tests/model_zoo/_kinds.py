"""What a kind of model is, and how one gets a past."""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

FORMATS = ("keras", "weights")
# The release, for what older ones could not do.
KERAS = tuple(int(part) for part in keras.__version__.split(".")[:2])
registered = keras.saving.register_keras_serializable("model_zoo")


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of model, and what Keras itself cannot do with it.

    Keras reads a file in two ways: `"model"` makes the model that a `.keras` file
    holds, `"weights"` puts what either file holds into a model that is there.

    Args:
        name: The kind's name.
        make: Makes the model.
        work: What the trained model has been through, besides `stir`.
        policy: The dtype policy under which it is made and loaded.
        backends: Where it can be made; `None` for everywhere.
        data_sets: The least number of data sets in its file.
        zeros: Data sets that are all zero, by the end of their names.
        unsaved: By format: what Keras says when it refuses to save it.
        unloaded: By way: what Keras says when it fails to load its own file.
        unlike: By way: why what Keras loads is not all of what was saved.
        hidden: Whether it holds more than its variables, which only a further save
            brings to light.
        loaded: Whether it is loaded, which takes making several.
        slow: Whether it needs minutes and 16 GB of memory.
    """

    name: str
    make: Callable[[], Any]
    work: Callable[[Any], object] | None = None
    policy: str | None = None
    backends: tuple[str, ...] | None = None
    data_sets: int = 1
    zeros: tuple[str, ...] = ()
    unsaved: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unloaded: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unlike: Mapping[str, str] = dataclasses.field(default_factory=dict)
    hidden: bool = False
    loaded: bool = True
    slow: bool = False

    def fresh(self, seed: int = 2) -> Any:
        """Returns a new model of this kind with the initial values of a seed."""
        keras.utils.set_random_seed(seed)
        with self.settings():
            return self.make()

    def trained(self) -> Any:
        """Returns a model of this kind with a past."""
        model = self.fresh(seed=1)
        if self.work is not None:
            self.work(model)
        if model.built:
            build_optimizers(model)
            stir(model)
        return model

    def settings(self) -> contextlib.AbstractContextManager[None]:
        """Returns what must be entered to make or load such a model."""
        return policy(self.policy) if self.policy else contextlib.nullcontext()


KINDS: dict[str, Kind] = {}


def kind(**options: Any) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Registers a function that makes a model under the function's name."""

    def register(make: Callable[[], Any]) -> Callable[[], Any]:
        add(make.__name__, make, **options)
        return make

    return register


def add(name: str, make: Callable[[], Any], **options: Any) -> None:
    """Registers a kind."""
    assert name not in KINDS, f"two kinds are called {name}"
    KINDS[name] = Kind(name, make, **options)


def build_optimizers(model: Any) -> None:
    """Makes the variables of every compiled model's optimizer."""
    for part in _models(model):
        optimizer = getattr(part, "optimizer", None)
        if optimizer is not None and not optimizer.built:
            optimizer.build(part.trainable_variables)


def variables(model: Any) -> list[Any]:
    """Returns the variables of a model, of its metrics and of all its optimizers."""
    optimizers = [
        value
        for part in _models(model)
        for _, value in sorted(vars(part).items())
        if isinstance(value, keras.optimizers.Optimizer)
    ]
    return [
        *model.variables,
        *model.metrics_variables,
        *itertools.chain.from_iterable(each.variables for each in optimizers),
    ]


def _models(model: Any) -> Iterator[Any]:
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _models(layer)


def stir(model: Any) -> None:
    """Fills every variable that has the same value everywhere with random ones."""
    generator = np.random.default_rng(3)
    for variable in variables(model):
        value = variable.numpy()
        if value.size and (value == value.flat[0]).all():
            variable.assign(random(generator, value.shape, value.dtype))


def random(generator: Any, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Returns random values of a dtype, none of which is zero but for `False`."""
    if dtype.kind == "b":
        values = generator.integers(0, 2, shape).astype(bool)
        return values if values.any() else ~values
    if dtype.kind in "iu":
        return generator.integers(1, 100, shape).astype(dtype)
    return generator.uniform(0.5, 1.5, shape).astype(dtype)


@contextlib.contextmanager
def policy(name: str) -> Iterator[None]:
    """Makes layers inside it with this dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def step(*x_and_y: Any) -> Callable[[Any], object]:
    """Returns what trains a model for one batch, the fastest way that a backend has."""

    def train(model: Any) -> object:
        model.run_eagerly = keras.config.backend() != "jax"
        return model.train_on_batch(*x_and_y)

    return train


def ramp(*shape: int) -> np.ndarray:
    """Returns numbers from -1 to 1."""
    return np.linspace(-1, 1, int(np.prod(shape)), dtype="float32").reshape(shape)


def small(optimizer: Any = None, **options: Any) -> Any:
    """Returns two dense layers, compiled where an optimizer is given."""
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(2, activation="relu"), layers.Dense(1)]
    )
    if optimizer is not None:
        model.compile(optimizer, "mse", **options)
    return model
