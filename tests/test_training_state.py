"""The state of a training as files: what is written is read, and nothing else is."""

import dataclasses
import hashlib
import json
import random
import tracemalloc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keras_versioned_ckpt import CorruptVersionError, StoreError, _random_state
from keras_versioned_ckpt._training_state import STATE, TrainingState, read, write
from keras_versioned_ckpt.manifest import File, Manifest
from keras_versioned_ckpt.store import CheckpointStore
from tests.factories import versions

MOST_BYTES = 64 * 1024 * 1024
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
TYPES = ["bool", "float32", "float64", "int64", "uint32", "uint8", "bfloat16"]
ARRAYS = st.builds(
    lambda kind, shape: (
        np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(kind)
    ),
    st.sampled_from(TYPES),
    st.lists(st.integers(0, 4), max_size=3),
)
VALUES = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "$array", "$dict", "$x", ""]), inner)
    ),
    max_leaves=8,
)


def same(one: Any, other: Any) -> bool:
    """Compares values, types, NaNs and all."""
    if isinstance(one, np.ndarray):
        return (
            isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and one.tobytes() == other.tobytes()
        )
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and repr(one) == repr(other)


def there_and_back(directory: Path, state: TrainingState) -> TrainingState:
    """Returns what is read of what is written."""
    store = CheckpointStore(directory, create=True)
    with store.stage() as staged:
        write(state, staged)
        moment = {"epoch": state.epoch, "batch": state.batch, "step": state.step}
        manifest = Manifest(
            store_id="x",
            version=dataclasses.replace(versions([0.5])[0], **moment),
            files=dict(staged.files),
            trigger=(),
            software={},
        )
        found = read(staged.path, manifest)
    assert found is not None
    return found


quickly = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@quickly
@given(data=VALUES)
@example(data={"$array": ["float32", [1], "AAAA"]})
@example(data=[0.1, float("nan")] * 200)
@example(data=[0.1] * 20_000)
@example(data=np.zeros(20_000, "float32"))
@example(data=[np.zeros(20_000, "float32"), {"b": np.ones((130, 130), "int64")}])
def test_what_is_written_is_read(tmp_path: Path, data: Any) -> None:
    """Whatever callbacks and inputs say, and however large their arrays are."""
    state = TrainingState(epoch=3, batch=7, step=21, data=data)
    found = there_and_back(tmp_path / "store", state)
    assert same(json_like(data), found.data)
    assert (found.epoch, found.batch, found.step) == (3, 7, 21)


def json_like(value: Any) -> Any:
    """Returns a value as it comes back: tuples as lists."""
    if isinstance(value, dict):
        return {key: json_like(item) for key, item in value.items()}
    return [*map(json_like, value)] if isinstance(value, (list, tuple)) else value


def test_every_field_is_kept(tmp_path: Path) -> None:
    """None is forgotten on the way."""
    array = np.arange(3, dtype="float32")
    state = TrainingState(
        epoch=1,
        batch=2,
        step=3,
        settled=False,
        epochs=9,
        stopped=True,
        batches_since_fired=4,
        seed=5,
        random={"a": array},
        random_at_epoch={"b": array},
        validating=True,
        seed_generators=(array,),
        metrics=(array, array),
        logs={"loss": float("nan")},
        callbacks=({"callback": "x", "state": {"best": float("-inf")}},),
        data=[1],
        averaged=True,
        weights=(array,),
    )
    found = there_and_back(tmp_path / "store", state)
    for name, value in vars(state).items():
        assert same(json_like(value), json_like(getattr(found, name))), name


def read_text(directory: Path, text: str) -> TrainingState | None:
    """Reads a state that somebody has written."""
    data = text.encode()
    directory.mkdir(exist_ok=True)
    (directory / STATE).write_bytes(data)
    file = File(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    version = dataclasses.replace(versions([0.5])[0], epoch=1, step=0)
    return read(
        directory,
        Manifest(
            store_id="x", version=version, files={STATE: file}, trigger=(), software={}
        ),
    )


SOUND: dict[str, Any] = {"format": 1, "epoch": 1, "batch": None, "step": 0}


def test_what_is_not_there_has_its_default(tmp_path: Path) -> None:
    """And what no release knows yet is passed over."""
    found = read_text(tmp_path, json.dumps({**SOUND, "of_a_release_to_come": [1]}))
    assert found == TrainingState(epoch=1, batch=None, step=0)


@pytest.mark.parametrize(
    "change",
    [
        {"format": None},
        {"format": True},
        {"format": 0},
        {"epoch": -1},
        {"epoch": 1.5},
        {"epoch": None},
        {"epoch": True},
        {"batch": "3"},
        {"step": [1]},
        {"stopped": 1},
        {"seed": "5"},
        {"random": []},
        {"callbacks": {}},
        {"callbacks": [1]},
        {"callbacks": [{}]},
        {"callbacks": [{"callback": "x"}]},
        {"callbacks": [{"callback": 3, "state": 3}]},
        {"epoch": 99},
        {"batch": 3},
        {"data": [[]] * 250_000},
        {"metrics": [1.0]},
        {"weights": [{"$array": ["float32", [2], "AAAA"]}]},
        {"data": {"$array": ["float32", [1 << 40], ""]}},
        {"data": {"$array": ["float32", [1 << 40, 1 << 40, 0], "AAAA"]}},
        {"data": {"$array": ["float32", [-1], ""]}},
        {"data": {"$array": ["float32", [True], "AAAAAA=="]}},
        {"data": {"$array": ["float32", [1], "AAAAA*=="]}},
        {"data": {"$array": ["float32", [1], 0]}},
        {"data": {"$array": ["object", [1], "AAAAAAAAAAA="]}},
        {"data": {"$array": ["V8", [1], "AAAAAAAAAAA="]}},
        {"data": {"$array": ["float32"]}},
        {"data": {"$array": 3}},
        {"data": {"$float": "1e5"}},
        {"data": {"$float": []}},
        {"data": {"$int": "1_000"}},
        {"data": {"$int": "9" * 5000}},
        {"data": {"$dict": [[1, 2, 3]]}},
        {"data": {"$dict": [[[], 2]]}},
        {"data": {"$dict": 3}},
    ],
    ids=lambda change: str(change)[:40],
)
def test_what_nobody_can_have_written_is_damage(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    """One documented error, and no memory is taken for what is only claimed."""
    tracemalloc.start()
    try:
        with pytest.raises(
            CorruptVersionError, match=r"training_state.json is damaged"
        ):
            read_text(tmp_path, json.dumps({**SOUND, **change}))
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"a":NaN}'])
def test_what_is_no_state_is_damage(tmp_path: Path, text: str) -> None:
    """The same error."""
    with pytest.raises(CorruptVersionError, match=r"training_state.json is damaged"):
        read_text(tmp_path, text)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """With advice."""
    with pytest.raises(StoreError, match="Upgrade keras-versioned-ckpt"):
        read_text(tmp_path, json.dumps({**SOUND, "format": 2}))


def drawn() -> list[Any]:
    """Draws from every generator there is."""
    found = [random.random(), random.gauss(0, 1), float(np.random.normal())]
    found.append(keras.ops.convert_to_numpy(keras.random.uniform((2,))).tolist())
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        found.append(tf.random.get_global_generator().normal((2,)).numpy().tolist())
    return found


@pytest.mark.parametrize("afresh", [True, False])
def test_generators_of_random_numbers_go_on(tmp_path: Path, afresh: bool) -> None:
    """Also where Keras's own was not used yet."""
    keras.utils.set_random_seed(1)
    drawn()
    state = TrainingState(epoch=0, batch=None, step=0, random=_random_state.take())
    expected = drawn()
    found = there_and_back(tmp_path / "store", state)
    if afresh:
        keras.utils.set_random_seed(2)
    _random_state.put(found.random)
    assert drawn() == expected
