"""What Keras refuses to save, and so nothing else may save in its place."""

from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import layers

from ._kinds import FORMATS, add, kind, registered


@registered
class Saves(layers.Layer):
    """A layer that saves one thing, after another that can be saved."""

    def __init__(self, what: Any = None, **options: Any) -> None:
        super().__init__(**options)
        self.what = what

    def build(self, input_shape: Any) -> None:
        self.built = True

    def save_own_variables(self, store: Any) -> None:
        store["first"] = 1
        if isinstance(self.what, Exception):
            raise self.what
        store["what"] = self.what

    def call(self, x: Any) -> Any:
        return x

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


def _add(title: str, what: Any, message: str, **options: Any) -> None:
    add(
        f"refused_{title}",
        lambda: keras.Sequential([keras.Input((2,)), Saves(what, **options)]),
        unsaved=dict.fromkeys(FORMATS, message),
    )


_add("text", "text", "dtype")
_add("bytes", b"bytes", "dtype")
_add("none", None, "dtype")
_add("ragged", [[1], [2, 3]], "inhomogeneous")
_add("too_large_an_integer", 2**70, "dtype")
_add("date", np.array(["2026-11-20"], "datetime64[D]"), "dtype")
_add("longdouble", np.ones(2, np.longdouble), "dtype")
_add("float8_e5m2", ml_dtypes.float8_e5m2(1), "float8_e5m2")
_add("rank_33", np.ones((1,) * 33), "[Dd]imension")
_add("exception", ZeroDivisionError("as the layer likes"), "as the layer")
_add("name_with_nul", 1, "NULL|NUL", name="a\x00b")
_add("name_with_surrogate", 1, "surrogate", name="a\ud800b")


@registered
class Twice(layers.Layer):
    """A layer that saves two values by one name."""

    def build(self, input_shape: Any) -> None:
        self.built = True

    def save_own_variables(self, store: Any) -> None:
        store["a"] = 1
        store["a"] = 2

    def call(self, x: Any) -> Any:
        return x


@kind(unsaved=dict.fromkeys(FORMATS, "already exists"))
def refused_key_twice() -> Any:
    return keras.Sequential([keras.Input((2,)), Twice()])


@registered
class Vars(layers.Layer):
    """A layer within it that has the group of the layer's own variables."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.vars = layers.Dense(2)

    def build(self, input_shape: Any) -> None:
        self.vars.build((None, 2))
        self.built = True

    def call(self, x: Any) -> Any:
        return self.vars(x)


@kind(unsaved=dict.fromkeys(FORMATS, "already exists"))
def refused_attribute_called_vars() -> Any:
    return keras.Sequential([keras.Input((2,)), Vars()])


@registered
class NoAssets(layers.Layer):
    """A layer that fails at its assets, after its variables."""

    def build(self, input_shape: Any) -> None:
        self.built = True

    def save_assets(self, directory: str) -> None:
        raise ZeroDivisionError("no assets today")

    def load_assets(self, directory: str) -> None:
        """Nothing was saved."""

    def call(self, x: Any) -> Any:
        return x


@kind(unsaved={"keras": "no assets today"})
def refused_assets() -> Any:
    return keras.Sequential([keras.Input((2,)), layers.Dense(1), NoAssets()])


@registered
class NoConfiguration(layers.Layer):
    """A layer of which Keras cannot say how to make another."""

    def __init__(self, what: Any, **options: Any) -> None:
        super().__init__(**options)
        self.what = what

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((2,))
        self.built = True

    def call(self, x: Any) -> Any:
        return x * self.kernel


@kind(unsaved={"keras": "non-serializable"})
def refused_configuration() -> Any:
    return keras.Sequential([keras.Input((2,)), NoConfiguration(object())])
