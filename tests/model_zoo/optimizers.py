"""Optimizers: one for every set of variables that one may have."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers, ops
from keras.optimizers import Adam, schedules

from ._kinds import add, registered


@registered
class Halving(schedules.LearningRateSchedule):
    """A schedule of one's own."""

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, step: Any) -> Any:
        return self.start / (1 + ops.cast(step, "float32"))

    def get_config(self) -> dict[str, Any]:
        return {"start": self.start}


@registered
class Signs(keras.optimizers.Optimizer):
    """An optimizer of one's own, with a layer in it."""

    def __init__(self, learning_rate: float = 0.1, **options: Any) -> None:
        super().__init__(learning_rate, **options)
        self.gate = layers.Dense(1, use_bias=False, name="gate")
        self.gate.build((None, 2))

    def build(self, variables: Any) -> None:
        if not self.built:
            super().build(variables)
            self.last = [self.add_variable_from_reference(v, "last") for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        self.assign_sub(variable, ops.sign(gradient) * learning_rate)


def _two_for_one_model() -> Any:
    map_ = keras.optimizers.OptimizerMap(Adam(), {".*bias": keras.optimizers.SGD(0.1)})
    return keras.optimizers.MultiOptimizer(map_)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd_momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda: keras.optimizers.RMSprop(momentum=0.9, centered=True),
    "adamw": lambda: keras.optimizers.AdamW(weight_decay=0.01, clipnorm=1.0),
    "adafactor": lambda: keras.optimizers.Adafactor(),
    "lion": lambda: keras.optimizers.Lion(),
    "ftrl": lambda: keras.optimizers.Ftrl(),
    "averages": lambda: Adam(use_ema=True, amsgrad=True),
    "accumulation": lambda: Adam(gradient_accumulation_steps=2),
    "schedule": lambda: Adam(schedules.CosineDecay(0.1, 9)),
    "own_optimizer": lambda: Signs(Halving(0.5)),
}
# Not every supported release of Keras has them.
if hasattr(keras.optimizers, "Muon"):
    OPTIMIZERS["muon"] = lambda: keras.optimizers.Muon()
if hasattr(keras.optimizers, "ScheduleFreeAdamW"):
    OPTIMIZERS["schedule_free"] = lambda: keras.optimizers.ScheduleFreeAdamW()
if hasattr(keras.optimizers, "MultiOptimizer"):
    OPTIMIZERS["two_for_one_model"] = _two_for_one_model


def _add(name: str, make: Callable[[], Any]) -> None:
    def one_layer() -> Any:
        model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
        model.compile(make(), "mse")
        return model

    add(f"optimizer_{name}", one_layer)


for _name, _make in OPTIMIZERS.items():
    _add(_name, _make)
