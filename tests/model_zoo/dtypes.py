"""What numbers are: dtypes and policies, quantization, adapters, and odd bits."""

import itertools
from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import layers

from ._kinds import add, kind, registered, small


def _mixed() -> Any:
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dense(2),
            layers.BatchNormalization(),
            layers.Dense(1, dtype="float32"),
        ]
    )
    model.compile("adam", "mse")
    return model


for _name in ("mixed_float16", "mixed_bfloat16", "bfloat16", "float16"):
    add(_name, _mixed, policy=_name)


@kind(
    unlike={
        "model": "Keras saves the optimizer that `compile` was given, but the state of "
        "the LossScaleOptimizer that the policy put around it; loaded under another "
        "policy, the state fits no more and is dropped with a warning"
    }
)
def mixed_float16_loaded_under_another_policy() -> Any:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return _mixed()
    finally:
        keras.config.set_dtype_policy(before)


@kind()
def loss_scale() -> Any:
    inner = keras.optimizers.SGD(0.1, momentum=0.9)
    return small(keras.optimizers.LossScaleOptimizer(inner))


def _add_quantized(mode: str) -> None:
    def make() -> Any:
        x, words = keras.Input((4,)), keras.Input((2,), dtype="int32")
        y = layers.EinsumDense("ab,bc->ac", 3, bias_axes="c")(x)
        embedded = layers.Flatten()(layers.Embedding(5, 2)(words))
        y = layers.Concatenate()([layers.Dense(2)(x), y, embedded])
        model = keras.Model([x, words], y)
        model.quantize(mode)
        return model

    add(f"quantized_{mode}", make)


for _name in ("int8", "float8"):
    _add_quantized(_name)
# Not every supported release of Keras has it.
if hasattr(keras.quantizers, "pack_int4"):
    _add_quantized("int4")


def _enable_lora(model: Any) -> None:
    for layer in model.layers:
        if hasattr(layer, "enable_lora"):
            layer.enable_lora(1)


@kind()
def lora() -> Any:
    x, words = keras.Input((3,)), keras.Input((2,), dtype="int32")
    image = keras.Input((4, 4, 1))
    y = layers.EinsumDense("ab,bc->ac", 2, bias_axes="c")(layers.Dense(3)(x))
    embedded = layers.Flatten()(layers.Embedding(5, 2)(words))
    pixels = layers.Flatten()(layers.Conv2D(1, 3)(image))
    joined = layers.Concatenate()([y, embedded, pixels])
    model = keras.Model([x, words, image], layers.Dense(1)(joined))
    _enable_lora(model)
    model.compile("adam", "mse")
    return model


@kind(
    unlike=dict.fromkeys(
        ("model", "weights"), "Keras merges the adapter and quantizes at every save"
    )
)
def lora_on_int8() -> Any:
    model = keras.Sequential([keras.Input((8,)), layers.Dense(32)])
    model.quantize("int8")
    _enable_lora(model)
    model.compile("adam", "mse")
    return model


@registered
class EveryType(layers.Layer):
    """Variables of every dtype, of no elements, and of no dimensions."""

    DTYPES = (
        *("float64", "float32", "float16", "bfloat16", "bool"),
        *("uint8", "uint16", "uint32", "int8", "int16", "int32", "int64"),
    )
    SHAPES = ((2, 3), (), (0,), (2, 0, 3), (1, 1, 1, 1, 1, 1))

    def build(self, input_shape: Any) -> None:
        for dtype, shape in itertools.product(self.DTYPES, self.SHAPES):
            self.add_weight(shape, "zeros", dtype=dtype, trainable=False)
        # More than one block of any writer, and not a multiple of one.
        for dtype in ("float32", "bfloat16", "bool"):
            self.add_weight((70_001,), "zeros", dtype=dtype, trainable=False)
        self.built = True

    def call(self, x: Any) -> Any:
        return x


@kind(data_sets=60)
def every_dtype_and_shape() -> Any:
    return keras.Sequential([keras.Input((2,)), EveryType()])


# Bits that a copy by value may change: signed zeros, NaNs with a payload and a
# sign, infinities, the smallest and the largest numbers.
ODD_BITS = {
    "float64": (
        0x8 << 60,
        0x7FF8_0000_DEAD_BEEF,
        0xFFF0_0000_0000_0001,
        1,
        0x7FF << 52,
    ),
    "float32": (0x8000_0000, 0x7FC0_BEEF, 0xFFC1_0001, 1, 0x7F80_0000, 0x7F7F_FFFF),
    "float16": (0x8000, 0x7E01, 0xFE02, 1, 0x7C00, 0x7BFF),
    "bfloat16": (0x8000, 0x7FC1, 0xFFC2, 1, 0x7F80, 0x7F7F),
}


@registered
class OddFloats(layers.Layer):
    """Floating-point numbers that are equal to others, or to none."""

    def build(self, input_shape: Any) -> None:
        self.odd = {
            dtype: self.add_weight((len(bits),), "ones", dtype=dtype)
            for dtype, bits in ODD_BITS.items()
        }
        self.built = True

    def call(self, x: Any) -> Any:
        return x


def _put_odd_bits(model: Any) -> None:
    for dtype, bits in ODD_BITS.items():
        variable = model.layers[0].odd[dtype]
        scalar = getattr(ml_dtypes, dtype, None) or dtype
        values = np.array(bits, f"u{np.dtype(scalar).itemsize}").view(scalar)
        # JAX has no float64 by default.
        with np.errstate(invalid="ignore"):
            variable.assign(values.astype(variable.numpy().dtype))


@kind(work=_put_odd_bits, data_sets=4)
def odd_floats() -> Any:
    return keras.Sequential([keras.Input((2,)), OddFloats()])
