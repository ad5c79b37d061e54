"""How two versions differ, of real models."""

import json
import math
import re
import shutil
import warnings
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from keras_versioned_ckpt import CheckpointStore, CorruptVersionError, save_version
from keras_versioned_ckpt._comparing import compare
from keras_versioned_ckpt.cli import main
from keras_versioned_ckpt.errors import CheckpointError, UnsafeVersionError

from .commands import told
from .hostile.forging import Honest, forge
from .stores import save


def model(
    units: int = 4, activation: str = "relu", dtype: str = "float32"
) -> keras.Model:
    """Returns a compiled model of two layers, of which the first has a name."""
    keras.utils.set_random_seed(1)
    made = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(
                units, activation=activation, name="hidden", dtype=dtype
            ),
            keras.layers.Dense(2, name="dense", dtype=dtype),
        ]
    )
    made.compile("adam", "mse")
    return made


def moved(made: keras.Model, layer: str, by: float) -> keras.Model:
    """Adds a number to the first value of the kernel of a layer."""
    kernel, bias = made.get_layer(layer).get_weights()
    kernel[0, 0] += by
    made.get_layer(layer).set_weights([kernel, bias])
    return made


@pytest.mark.parametrize("format", ["keras", "weights"])
def test_the_layer_that_moved_farthest_comes_first(
    directory: Path, format: str
) -> None:
    """With the norm of its change, also as a share, and its largest."""
    made = model()
    one = save_version(made, directory, format=format)
    first, second = (made.get_layer(name).get_weights() for name in ("hidden", "dense"))
    norm = math.sqrt(sum(float(np.square(array).sum()) for array in second))
    moved(moved(made, "hidden", 0.25), "dense", 3.0)
    two = save_version(made, directory, format=format)
    dense, hidden, optimizer = compare(one, two).layers
    assert dense.layer == "layers/dense_1 (dense)"
    assert dense.values == 4 * 2 + 2
    assert dense.distance == pytest.approx(3.0, rel=1e-5)
    assert dense.relative == pytest.approx(3.0 / norm, rel=1e-5)
    assert dense.largest == pytest.approx(3.0, rel=1e-5)
    assert hidden.layer == "layers/dense (hidden)"
    assert hidden.distance == pytest.approx(0.25, rel=1e-5)
    assert (optimizer.layer, optimizer.distance) == ("optimizer", 0.0)
    assert len(first) == 2


def test_a_version_does_not_differ_from_itself(directory: Path) -> None:
    """In nothing."""
    one = save_version(model(), directory, metrics={"loss": 0.5})
    same = compare(one, one)
    assert not same.configuration
    assert {layer.distance for layer in same.layers} == {0.0}
    assert [change.verdict for change in same.metrics] == ["equal"]


def test_what_is_not_a_number(directory: Path) -> None:
    """Weights that became NaN are told, and NaN in both is no change."""
    made = model()
    one = save_version(made, directory)
    moved(made, "dense", math.nan)
    two = save_version(made, directory)
    dense = compare(one, two).layers[0]
    assert (dense.distance, dense.note) == (math.inf, "not finite")
    assert compare(two, two).layers[0].distance == 0.0


def test_half_precision(directory: Path) -> None:
    """bfloat16 has no type of its own in the file, and is compared all the same."""
    made = model(dtype="bfloat16")
    one = save_version(made, directory)
    before = np.asarray(made.get_layer("dense").kernel, "float32")
    moved(made, "dense", 3.0)
    after = np.asarray(made.get_layer("dense").kernel, "float32")
    two = save_version(made, directory)
    expected = float(np.linalg.norm(after - before))
    assert compare(one, two).layers[0].distance == pytest.approx(expected, rel=1e-6)


def test_models_of_other_shapes(directory: Path) -> None:
    """What differs in the configuration is told with where it is."""
    one = save_version(model(), directory)
    two = save_version(model(units=5, activation="tanh"), directory)
    difference = compare(one, two)
    where = "config.layers[hidden].config"
    assert difference.configuration[f"{where}.units"] == (4, 5)
    assert difference.configuration[f"{where}.activation"] == ("relu", "tanh")
    assert {layer.note for layer in difference.layers[:2]} == {"other shapes"}


def test_a_layer_that_is_new(directory: Path) -> None:
    """Or gone, looked at from the other side."""
    one = save_version(model(), directory)
    more = keras.Sequential([*model().layers, keras.layers.Dense(1, name="last")])
    more.build((None, 3))
    two = save_version(more, directory)
    notes = {layer.layer: layer.note for layer in compare(one, two).layers}
    assert notes["layers/dense_2 (last)"] == "new"
    notes = {layer.layer: layer.note for layer in compare(two, one).layers}
    assert notes["layers/dense_2 (last)"] == "gone"


@pytest.mark.parametrize(
    ("name", "before", "after", "verdict"),
    [
        ("loss", 0.5, 0.25, "better"),
        ("loss", 0.5, 0.75, "worse"),
        ("accuracy", 0.5, 0.25, "worse"),
        ("accuracy", 0.5, 0.75, "better"),
        ("loss", 0.5, math.nan, ""),
        ("of_mine", 0.5, 0.25, ""),
    ],
)
def test_metrics(
    directory: Path, name: str, before: float, after: float, verdict: str
) -> None:
    """Better or worse, where the version says which direction is better."""
    made = model()
    made.compile("adam", "mse", metrics=["accuracy"])
    made.evaluate(np.zeros((1, 3)), np.zeros((1, 2)), verbose=0)
    one = save_version(made, directory, metrics={name: before})
    two = save_version(made, directory, metrics={name: after})
    (change,) = compare(one, two).metrics
    assert (change.name, change.before, change.verdict) == (name, before, verdict)


def test_the_command(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three tables, or the same as JSON."""
    made = model()
    save_version(made, directory, metrics={"val_loss": 0.5, "a": 1.0})
    moved(made, "dense", 3.0)
    save_version(made, directory, metrics={"val_loss": 0.25})
    assert main(["diff", str(directory), "1", "latest", "--limit", "1"]) == 0
    out = capsys.readouterr().out
    assert "val_loss  0.5        0.25       -0.25   better" in out
    assert "The configurations are equal." in out
    assert "layers/dense_1 (dense)" in out
    assert "layers/dense (hidden)" not in out
    assert "2 more" in out
    difference = told(capsys, "diff", directory, "1", "2")
    assert difference["layers"][0]["distance"] == pytest.approx(3.0)
    assert difference["metrics"]["a"] == {"before": 1.0, "after": None, "verdict": ""}
    save_version(model(activation="tanh"), directory)
    assert main(["diff", str(directory), "2", "3"]) == 0
    out = capsys.readouterr().out
    assert re.search(r'\[hidden\]\.config\.activation +"relu" +"tanh"', out)


def test_it_does_not_read_what_is_damaged_or_built_to_do_harm(directory: Path) -> None:
    """The files are checked as they are before Keras reads them."""
    one = save_version(model(), directory)
    two = save_version(model(), directory)
    payload = two.path / "model.keras"
    payload.write_bytes(payload.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptVersionError, match="SHA-256"):
        compare(one, two)
    store = CheckpointStore(directory)
    other = save(store, b"no zip file")
    with pytest.raises(CheckpointError):
        compare(one, other)
    payload.unlink()
    payload.symlink_to(one.path / "model.keras")
    with pytest.raises(UnsafeVersionError):
        compare(one, two)


def test_what_cannot_be_looked_into(directory: Path) -> None:
    """A SavedModel is a program."""
    one = save_version(model(), directory, format="saved_model")
    with pytest.raises(CheckpointError, match="saved_model payload"):
        compare(one, one)


@pytest.mark.parametrize("config", [b"[" * 5000 + b"]" * 5000, b"{", b"\xff"])
def test_a_configuration_that_is_none(directory: Path, config: bytes) -> None:
    """It is damage, and no error of Python's."""
    honest = save_version(model(), directory / "honest").path / "model.keras"
    forged = Honest(honest.read_bytes(), directory).with_config(config)
    (version,) = forge(directory / "forged", "keras", forged)
    with pytest.raises(CheckpointError, match="version_1/model.keras is .*description"):
        compare(version, version)


def test_layers_without_names_of_the_users(directory: Path) -> None:
    """Keras calls them otherwise each time; where they are in the file is the same."""
    made = [keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]) for _ in "ab"]
    assert made[0].layers[0].name != made[1].layers[0].name
    made[1].set_weights(made[0].get_weights())
    one, two = (save_version(each, directory) for each in made)
    (layer,) = compare(one, two).layers
    assert (layer.distance, layer.note) == (0.0, "")


def test_infinities_are_no_warning(directory: Path) -> None:
    """One that stays is no change, and the difference of two is no news of NumPy's."""
    made = model()
    one = save_version(moved(made, "dense", math.inf), directory)
    kernel, bias = made.get_layer("dense").get_weights()
    kernel[1, 1] += 3.0
    made.get_layer("dense").set_weights([kernel, bias])
    two = save_version(made, directory)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dense = compare(one, two).layers[0]
    assert (dense.distance, dense.note) == (pytest.approx(3.0, rel=1e-5), "")


@pytest.mark.parametrize("kind", ["S4", "V1", "V2"])
def test_arrays_that_are_no_numbers(directory: Path, kind: str) -> None:
    """Such as texts; the layers beside them are compared all the same."""
    made = model()
    path = save_version(made, directory / "honest", format="weights").path
    payload = path / "model.weights.h5"
    with h5py.File(payload, "a") as weights:
        weights["layers/other/vars/0"] = np.zeros(3, kind)
    store = CheckpointStore(directory / "other", create=True)
    with store.stage() as staged:
        shutil.copy(payload, staged.path / "model.weights.h5")
        version = store.commit(staged, format="weights")
    notes = {layer.layer: layer.note for layer in compare(version, version).layers}
    assert notes.pop("layers/other") == "not numbers"
    assert set(notes.values()) == {""}


def test_an_error_says_which_version_it_is_about(directory: Path) -> None:
    """And of which file."""
    one = save_version(model(), directory)
    other = save(CheckpointStore(directory), b"no zip file")
    with pytest.raises(CorruptVersionError, match="version_2/model.keras is damaged"):
        compare(one, other)
    shutil.rmtree(other.path)
    with pytest.raises(CheckpointError, match="version_1 and version_2 cannot be"):
        compare(one, other)


def test_names_that_would_fill_the_memory(directory: Path) -> None:
    """Where a value is takes more than the value: each repeats all names above it."""
    honest = save_version(model(), directory / "honest").path / "model.keras"
    config = json.dumps(
        {"class_name": "A", "config": {"x" * 1_000_000: dict.fromkeys(range(10_000))}}
    )
    forged = Honest(honest.read_bytes(), directory).with_config(config.encode())
    (version,) = forge(directory / "forged", "keras", forged)
    with pytest.raises(UnsafeVersionError, match="too much to be compared"):
        compare(version, version)


def test_configurations_that_have_little_in_common(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some of what differs is shown, and the rest is counted."""
    save_version(model(), directory)
    deep = [keras.layers.Dense(1, name=f"layer_{i}") for i in range(20)]
    save_version(keras.Sequential([keras.Input((3,)), *deep]), directory)
    assert main(["diff", str(directory), "1", "2"]) == 0
    out = capsys.readouterr().out
    left = re.search(r"^(\d+) more, which --json tells$", out, re.MULTILINE)
    assert left
    told_all = told(capsys, "diff", directory, "1", "2")["configuration"]
    assert len(told_all) == 200 + int(left[1])
