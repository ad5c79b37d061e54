"""A store written by the first release is read by every later one."""

import shutil
from datetime import UTC
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_versioned_ckpt import (
    CheckpointStore,
    KeepLast,
    load_best,
    load_latest,
    load_version,
    save_version,
)

# Written once, by release 0.1.0, and never again: four models of which the first was
# deleted; model i has the weights (i, 10) and the bias 100 (i - 1).
WRITTEN_BY_0_1_0 = Path(__file__).parent / "data" / "store_v1"


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    """A copy of the old store, without its empty folders, as git keeps it."""
    return Path(shutil.copytree(WRITTEN_BY_0_1_0, tmp_path / "store"))


def outputs(number: int) -> np.ndarray:
    """Returns what model `number` makes of (1, 1)."""
    return np.array([[number + 10.0 + 100.0 * (number - 1)]], "float32")


def test_it_is_listed(old_store: Path) -> None:
    """Every fact of every version is what was written then."""
    store = CheckpointStore(old_store)
    assert [v.name for v in store] == ["epoch_2", "epoch_3", "epoch_4"]
    assert [v.epoch for v in store] == [2, 3, 4]
    assert [v.format for v in store] == ["keras", "weights", "keras"]
    assert [v.tags for v in store] == [(), ("prod",), ()]
    assert [str(v.metrics["val_loss"]) for v in store] == ["0.25", "nan", "0.75"]
    assert store[4].metrics["größe/x"] == 3
    assert store[4].metadata == {"note": "written by 0.1.0"}
    assert store[4].created.tzinfo is UTC
    assert store.history[0].reason == "removed: deleted by the user"
    assert store.verify().ok


def test_it_is_read_without_its_ledger(old_store: Path) -> None:
    """The manifests alone say the same of what is there."""
    before = CheckpointStore(old_store).versions
    (old_store / ".versions" / "ledger.jsonl").unlink()
    assert CheckpointStore(old_store).versions == before


def test_it_is_loaded(old_store: Path) -> None:
    """Models compute what they computed then."""
    x = np.ones((1, 2), "float32")
    assert np.array_equal(load_latest(old_store).predict(x, verbose=0), outputs(4))
    best = load_best(old_store, "val_loss", "min")
    assert np.array_equal(best.predict(x, verbose=0), outputs(2))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    load_version(old_store, "epoch_3", model=model)
    assert np.array_equal(model.predict(x, verbose=0), outputs(3))


def test_it_goes_on(old_store: Path) -> None:
    """New versions continue its numbers, and pruning knows its tags."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    assert save_version(model, old_store).number == 5
    CheckpointStore(old_store).prune(KeepLast(1))
    assert [v.number for v in CheckpointStore(old_store)] == [3, 5]
