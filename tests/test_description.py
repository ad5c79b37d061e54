"""What a description of a model may name; `tests/hostile` has what it may not."""

import json
from typing import Any

import keras
import pytest

from keras_versioned_ckpt import _allowance
from keras_versioned_ckpt._description import check
from keras_versioned_ckpt.errors import UnsafeVersionError


def described(*layers: Any, **compiled: Any) -> bytes:
    """Returns what Keras writes of a model of these layers."""
    model = keras.Sequential([keras.Input((4,)), *layers])
    if compiled:
        model.compile(**compiled)
    return json.dumps(keras.saving.serialize_keras_object(model)).encode()


class Own(keras.layers.Layer):
    """A layer of the user's."""

    def call(self, x: Any) -> Any:
        return x


def own_loss(y: Any, z: Any) -> Any:
    """A loss of the user's."""
    return keras.ops.mean(y - z)


def test_what_is_of_keras_passes() -> None:
    """Layers, their parts, and the functions among them."""
    config = described(
        keras.layers.Dense(3, activation="relu", kernel_regularizer="l2"),
        keras.layers.Lambda(keras.ops.tanh),
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1, 2)),
        loss=keras.losses.mean_squared_error,
        metrics=["mae", keras.metrics.AUC()],
    )
    check(config, {}, safe_mode=True)


def test_what_is_of_the_caller_passes() -> None:
    """Where it is given; otherwise it is named, and what to do is said."""
    config = described(Own(), loss=own_loss)
    check(config, {"Own": Own, "own_loss": own_loss}, safe_mode=True)
    with pytest.raises(UnsafeVersionError, match=r"Own.*custom_objects"):
        check(config, {"own_loss": own_loss}, safe_mode=True)
    with pytest.raises(UnsafeVersionError, match=r"own_loss.*custom_objects"):
        check(config, {"Own": Own}, safe_mode=True)


def test_what_safe_mode_is_about() -> None:
    """A lambda, and a vocabulary elsewhere; the rest is refused without it as well."""
    code = described(keras.layers.Lambda(lambda x: x))
    words = json.loads(described(keras.layers.Dense(3)))
    words["config"]["layers"][1].update(
        class_name="StringLookup", config={"vocabulary": "words.txt"}
    )
    for config in (code, json.dumps(words).encode()):
        check(config, {}, safe_mode=False)
        with pytest.raises(UnsafeVersionError, match="safe_mode"):
            check(config, {}, safe_mode=True)
    words["config"]["layers"][1].update(module="os", class_name="system")
    with pytest.raises(UnsafeVersionError, match="no part of Keras"):
        check(json.dumps(words).encode(), {}, safe_mode=False)


def test_numbers_that_are_none() -> None:
    """Keras itself writes NaN and infinities for layers that have them."""
    config = described(keras.layers.Rescaling(float("inf"), float("nan")))
    assert b"NaN" in config
    check(config, {}, safe_mode=True)


def test_variables_are_limited_where_they_are_made() -> None:
    """Before memory is taken, in this thread, and for the while."""
    with _allowance.variables(1000):
        keras.layers.Dense(10).build((None, 10))
    with (
        pytest.raises(UnsafeVersionError, match="pass it as `model=`"),
        _allowance.variables(1000),
    ):
        keras.layers.Dense(10**6).build((None, 10**6))
    with pytest.raises(UnsafeVersionError), _allowance.variables(1000):  # noqa: PT012
        try:
            keras.Variable([0.0] * 10, dtype="float32")
            keras.Variable("zeros", shape=(10**9,))
        except UnsafeVersionError:
            pass  # as code might that tries one thing after the other
    keras.layers.Dense(100).build((None, 100))
