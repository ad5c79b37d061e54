"""What classes of the user save of their own: values, keys, assets, names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import ml_dtypes
import numpy as np
from keras import layers, ops

from ._kinds import kind, ramp, registered, step


@registered
class OwnKeys(layers.Layer):
    """A layer that saves what it likes, under names that it likes."""

    EMPTY = np.zeros((0, 3), "float16")

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((2, 2))
        self.table: Any = np.random.normal(size=(2, 3))
        self.point: Any = np.array(2.5, "float32")
        self.count, self.ratio, self.flag = 3, 1.5, True
        self.built = True

    def learn(self) -> None:
        self.table, self.point = np.arange(6).reshape(2, 3) / 7, np.float32(-1e-3)
        self.count, self.ratio, self.flag = 2**62, 0.1, False

    def save_own_variables(self, store: Any) -> None:
        store["kernel"] = self.kernel
        store["table"] = self.table
        store["point"] = self.point
        store["count"] = self.count
        store["ratio"] = self.ratio
        store["flag"] = self.flag
        store["not flag"] = not self.flag
        store["empty"] = self.EMPTY
        store["list"] = [[1, 2], [3, 4]]
        store["nested/in/a"] = self.table[0]
        store["nested/in/b"] = self.table[1]
        store["größe"] = np.array([3], "uint16")
        store["x" * 300] = np.array([4], "int8")
        # One that comes again elsewhere, which HDF5 could save as a link.
        store["table again"] = self.table

    def load_own_variables(self, store: Any) -> None:
        self.kernel.assign(store["kernel"])
        rows = [store["nested/in/a"], store["nested/in/b"]]
        self.table = np.array(rows, store["table"].dtype)
        # Some releases give data sets of h5py, others arrays.
        self.point = np.array(store["point"])
        self.count = int(np.array(store["count"]))
        self.ratio, self.flag = np.array(store["ratio"]), np.array(store["flag"])
        assert len(list(store.keys())) == 13
        assert store["empty"].shape == (0, 3)

    def call(self, x: Any) -> Any:
        return ops.matmul(x, self.kernel)


@kind(
    work=lambda model: model.layers[0].learn(),
    data_sets=14,
    zeros=("/flag",),
    hidden=True,
)
def own_variables() -> Any:
    model = keras.Sequential([keras.Input((2,)), OwnKeys(), layers.Dense(1)])
    model.compile("adam", "mse")
    return model


@registered
class Borrower(layers.Layer):
    """A layer whose values are those of the moment in which it saves them.

    It changes them at once, as one does who saves memory, so that whoever only
    keeps a reference saves something else than Keras does.
    """

    def build(self, input_shape: Any) -> None:
        self.kernel = self.add_weight((2, 2))
        self.built = True

    def save_own_variables(self, store: Any) -> None:
        buffer = np.zeros(3, "float32")
        for index in range(3):
            buffer[:] = index + 1
            store[f"buffer_{index}"] = buffer
        before = self.kernel.numpy()
        self.kernel.assign(before * 2)
        store["doubled"] = self.kernel
        self.kernel.assign(before)
        store["kernel"] = self.kernel
        rows = [1, 2]
        store["rows"] = rows
        rows.append(3)

    def load_own_variables(self, store: Any) -> None:
        self.kernel.assign(store["kernel"])
        assert np.array(store["buffer_0"]).tolist() == [1, 1, 1]

    def call(self, x: Any) -> Any:
        return ops.matmul(x, self.kernel)


@kind(data_sets=6)
def borrowed_memory() -> Any:
    return keras.Sequential([keras.Input((2,)), Borrower()])


@registered
class Reader(layers.Dense):
    """A layer that looks at what it has saved, and takes some of it back."""

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        assert sorted(store.keys()) == ["0", "1"]
        assert len(store) == 2
        kernel = np.array(store["0"])
        del store["1"]
        store["sum"] = kernel.sum()
        store["1"] = kernel.T
        store["left over"] = 1
        del store["left over"]

    def load_own_variables(self, store: Any) -> None:
        self.kernel.assign(store["0"])


@kind(data_sets=3, hidden=True)
def reads_what_it_saves() -> Any:
    return keras.Sequential([keras.Input((3,)), Reader(2)])


@registered
class Layouts(layers.Layer):
    """Arrays as they lie in memory: strided, broadcast, big-endian, and as scalars."""

    def build(self, input_shape: Any) -> None:
        self.built = True

    def save_own_variables(self, store: Any) -> None:
        grid = np.arange(1, 25, dtype="float32").reshape(2, 3, 4)
        store["fortran"] = np.asfortranarray(grid)
        store["transposed"] = grid.T
        store["strided"] = grid[:, ::-1, ::2]
        store["broadcast"] = np.broadcast_to(grid[0, 0], (3, 4))
        store["read only"] = np.frombuffer(b"\x01\x02\x03\x04", "uint16")
        for dtype in (">f8", ">f4", ">f2", ">i8", ">u4", ">i2", "<u8"):
            store[f"dtype {dtype}"] = np.array([1, 2, 250], dtype)
        for dtype in ("complex64", "complex128"):
            store[f"dtype {dtype}"] = np.array([1 + 2j, 3], dtype)
        store["float8"] = np.array([1, -2.5], ml_dtypes.float8_e4m3fn)
        store["bfloat16 scalar"] = ml_dtypes.bfloat16(3)
        store["bfloat16 strided"] = np.arange(1, 9).astype(ml_dtypes.bfloat16)[::3]
        store["bfloat16 empty"] = np.zeros((0, 2), ml_dtypes.bfloat16)
        store["masked"] = np.ma.array([1, 2], mask=[False, True])
        store["matrix"] = np.asmatrix([[1, 2]])
        store["tensor"] = ops.arange(1, 4, dtype="float32")
        store["complex"] = 1 + 2j
        store["unsigned"] = 2**63
        store["no rows"] = []
        store["rank 32"] = np.ones((1,) * 32, "int8")

    def load_own_variables(self, store: Any) -> None:
        assert store["dtype >f4"].dtype == ">f4"
        assert store["bfloat16 strided"].dtype == ml_dtypes.bfloat16

    def call(self, x: Any) -> Any:
        return x


@kind(data_sets=24)
def memory_layouts() -> Any:
    return keras.Sequential([keras.Input((2,)), Layouts()])


@registered
class PathLike(layers.Layer):
    """Keys that HDF5 reads as paths."""

    KEYS = ("./here", "two//slashes", "trailing/", "..", "vars", "layers", "a b", "ü/ü")

    def build(self, input_shape: Any) -> None:
        self.built = True

    def save_own_variables(self, store: Any) -> None:
        for value, key in enumerate(self.KEYS, 1):
            store[key] = value
        store[b"bytes"] = 9
        store["/elsewhere/in the file"] = 10

    def load_own_variables(self, store: Any) -> None:
        assert int(np.array(store["two/slashes"])) == 2

    def call(self, x: Any) -> Any:
        return x


@kind(data_sets=10)
def keys_like_paths() -> Any:
    return keras.Sequential([keras.Input((2,)), PathLike()])


@registered
class Counted(keras.metrics.Metric):
    """A metric that saves its state, which those of Keras do not."""

    def __init__(self, name: str = "counted", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.total = self.add_variable((), "zeros", name="total")

    def update_state(self, y: Any, prediction: Any, sample_weight: Any = None) -> None:
        self.total.assign_add(ops.cast(ops.size(y), self.total.dtype))

    def result(self) -> Any:
        return self.total * 1

    def save_own_variables(self, store: Any) -> None:
        store["total"] = self.total

    def load_own_variables(self, store: Any) -> None:
        if "total" in list(store.keys()):
            self.total.assign(store["total"])


@registered
class Tempered(keras.losses.Loss):
    """A loss with a state of its own."""

    temperature = 1.0

    def call(self, y: Any, prediction: Any) -> Any:
        return ops.mean(ops.square(y - prediction)) / self.temperature

    def save_own_variables(self, store: Any) -> None:
        store["temperature"] = self.temperature

    def load_own_variables(self, store: Any) -> None:
        self.temperature = float(np.array(store["temperature"]))

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


@registered
class Counting(keras.Model):
    """A model with a metric that is its own, besides those it is compiled with."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.head = layers.Dense(1)
        self.counter = Counted("attribute")

    def build(self, input_shape: Any) -> None:
        self.head.build(input_shape)
        self.built = True

    def call(self, x: Any) -> Any:
        return self.head(x)


def _temper(model: Any) -> None:
    step(ramp(4, 3), ramp(4, 1))(model)
    model.loss.temperature = 2.5


@kind(work=_temper, data_sets=5, hidden=True)
def metric_and_loss_with_state() -> Any:
    model = Counting()
    model.build((None, 3))
    model.compile("sgd", Tempered(), metrics=[Counted(), "mae"])
    return model


@kind(work=step(ramp(4, 3), np.array([[0], [1], [1], [0]])))
def stateful_metrics() -> Any:
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(2), layers.Dense(1, activation="sigmoid")]
    )
    metrics = [
        keras.metrics.AUC(num_thresholds=5),
        keras.metrics.BinaryIoU([0, 1], 0.5),
        keras.metrics.MeanIoU(2),
        keras.metrics.MeanMetricWrapper(keras.losses.mean_absolute_error, "wrapped"),
        "accuracy",
    ]
    model.compile("sgd", "binary_crossentropy", metrics=metrics)
    return model


@registered
class Notes(layers.Layer):
    """A layer with files of its own."""

    files: Mapping[str, bytes] = {}

    def build(self, input_shape: Any) -> None:
        self.files = {"notes.txt": b"fresh"}
        self.built = True

    def save_assets(self, directory: str) -> None:
        for name, content in self.files.items():
            path = Path(directory, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        Path(directory, "an empty directory").mkdir()

    def load_assets(self, directory: str) -> None:
        self.files = {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in sorted(Path(directory).rglob("*"))
            if path.is_file()
        }

    def call(self, x: Any) -> Any:
        return x


def _note(model: Any) -> None:
    for index, layer in enumerate(model.layers[-2:]):
        layer.files = {
            "notes.txt": b"trained %d" % index,
            "deep/er/binary": bytes(range(256)) * 40,
            "empty": b"",
            "größe 日本.txt": "größe".encode(),
            "model.weights.h5": b"not the weights",
        }


@kind(work=_note, hidden=True)
def own_assets() -> Any:
    return keras.Sequential([keras.Input((2,)), layers.Dense(2), Notes(), Notes()])


@registered
class Größe(layers.Dense):
    """A class whose name, and so its group's, is not ASCII."""


@registered
class Names(layers.Layer):
    """Names as long and strange as Keras takes them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.größe = layers.Dense(2, name="größe 日本 \U0001f680")
        self.long = layers.Dense(2, name="n" * 70_000)
        self.rows = [Größe(2, name="a.b:c\\d\n'\""), Größe(2, name="")]
        setattr(self, "any thing, really", layers.Dense(2, name="vars"))
        setattr(self, "x" * 400, layers.Dense(2, name=" "))

    def build(self, input_shape: Any) -> None:
        for layer in (*self.rows, *vars(self).values()):
            if isinstance(layer, layers.Dense):
                layer.build((None, 2))
        self.built = True

    def call(self, x: Any) -> Any:
        return x


# PyTorch refuses names with a dot.
@kind(data_sets=12, backends=("tensorflow", "jax"))
def names() -> Any:
    return keras.Sequential([keras.Input((2,)), Names()])


@registered
class Unnamed(keras.Model):
    """A layer whose name is no text, so that its group has no attribute."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.inner, self.silent = layers.Dense(2), layers.Dropout(0.5, seed=1)

    def build(self, input_shape: Any) -> None:
        self.inner.build((None, 2))
        self.inner.name = self.silent.name = None
        self.built = True

    def call(self, x: Any) -> Any:
        return self.silent(self.inner(x))


@kind()
def unnamed_layers() -> Any:
    model = Unnamed()
    model.build((None, 2))
    return model


@registered
class Scale(layers.Layer):
    """A layer with an object of the user's in its configuration."""

    def __init__(self, unit: Any, **options: Any) -> None:
        super().__init__(**options)
        self.unit = unit

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight((1,), "ones")
        self.built = True

    def call(self, x: Any) -> Any:
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        unit = keras.saving.serialize_keras_object(self.unit)
        return {**super().get_config(), "unit": unit}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        unit = keras.saving.deserialize_keras_object(config.pop("unit"))
        return cls(unit, **config)


@registered
class Unit:
    """An object of the user's."""

    def __init__(self, name: str) -> None:
        self.name = name

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Unit":
        return cls(**config)


@registered
def swish_of_mine(x: Any) -> Any:
    """A function of the user's."""
    return x * ops.sigmoid(x)


@kind()
def custom_objects() -> Any:
    model = keras.Sequential(
        [
            keras.Input((2,)),
            Scale(Unit("größe")),
            layers.Dense(1, activation=swish_of_mine),
        ]
    )
    model.compile("adam", "mse")
    return model
