"""Which direction of a metric is better, as Keras knows it."""

from pathlib import Path
from typing import Any

import keras
import pytest

from keras_versioned_ckpt import VersionedCheckpoint, directions

from .zoo import fit, network


def two_outputs() -> Any:
    """Returns a compiled model with the outputs a and b."""
    inputs = keras.Input((4,))
    outputs = {
        name: keras.layers.Dense(1, activation="sigmoid", name=name)(inputs)
        for name in ("a", "b")
    }
    model = keras.Model(inputs, outputs)
    model.compile(
        "adam",
        {"a": "binary_crossentropy", "b": "mse"},
        metrics={"a": ["accuracy", "auc"], "b": ["mae"]},
    )
    return model


class Named(keras.metrics.AUC):
    """A user's own metric that inherits its direction."""


@pytest.mark.parametrize("prefix", ["", "val_"])
@pytest.mark.parametrize(
    ("metric", "name", "mode"),
    [
        ("accuracy", "accuracy", "max"),
        ("acc", "acc", "max"),
        ("mae", "mae", "min"),
        ("mse", "mse", "min"),
        ("auc", "auc", "max"),
        ("binary_accuracy", "binary_accuracy", "max"),
        (keras.metrics.AUC(name="area"), "area", "max"),
        (keras.metrics.MeanSquaredError(name="error"), "error", "min"),
        (keras.metrics.mean_absolute_error, "mean_absolute_error", "min"),
        (Named(name="own"), "own", "max"),
        ("accuracy", "loss", "min"),
    ],
)
def test_before_the_first_batch(metric: Any, name: str, mode: str, prefix: str) -> None:
    """The direction is known from what compile was given."""
    assert directions.mode_of(network([metric]), prefix + name) == mode


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        ("val_a_accuracy", "max"),
        ("a_auc", "max"),
        ("val_b_mae", "min"),
        ("val_a_loss", "min"),
        ("b_loss", "min"),
    ],
)
def test_several_outputs(monitor: str, mode: str) -> None:
    """Logs put the output's name first; the direction is that of the metric."""
    assert directions.mode_of(two_outputs(), monitor) == mode


@pytest.mark.parametrize("monitor", ["val_odd", "nothing", "gain_loss", "val_b_auc"])
def test_unknown(monitor: str) -> None:
    """What Keras does not know is an error that says what to pass."""
    model = (
        two_outputs()
        if monitor == "val_b_auc"
        else network([keras.metrics.Mean(name="odd"), lambda y, p: y])
    )
    with pytest.raises(ValueError, match=f"monitor='{monitor}'.*Pass `mode='min'`"):
        directions.mode_of(model, monitor)


def test_without_keras_internals(directory: Path) -> None:
    """If Keras changes inside, its public behaviour is still asked, and used."""
    model = network(["accuracy"])
    directions._internals_are_as_expected.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directions, "_compiled_metrics", lambda model: iter(()))
        with pytest.raises(ValueError, match="Pass `mode='min'`"):
            directions.mode_of(model, "val_accuracy")  # not built, so unknown
        fit(model, epochs=1)  # now Keras has built its metrics
        assert directions.mode_of(model, "val_accuracy") == "max"
        fit(model, VersionedCheckpoint(directory, "val_accuracy", keep_best=1))
    directions._internals_are_as_expected.cache_clear()
    assert directions._internals_are_as_expected()
