"""What docs/comparison.rst says of Keras's own callbacks, shown with these.

Each test that finds a weakness shows next to it what `VersionedCheckpoint` does in the
same place, so that the page compares like with like.
"""

import os
import re
import signal
import subprocess
import sys
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_versioned_ckpt import (
    CheckpointStore,
    CorruptVersionError,
    EveryEpochs,
    OnException,
    VersionedCheckpoint,
    load_best,
    load_version,
)

from .stores import ROOT
from .zoo import LogValues, fit, network

PAGE = ROOT / "docs" / "comparison.rst"


class Stop(keras.callbacks.Callback):
    """Ends a training by an error, when the optimizer has made so many steps."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts."""
        if int(self.model.optimizer.iterations) == self.step:
            raise RuntimeError("stopped")

    def get_state(self) -> None:
        """It begins anew in each training."""

    def set_state(self, state: None) -> None:
        """It begins anew in each training."""


class Look(Stop):
    """Notes how long a `ReduceLROnPlateau` has waited, as each epoch begins."""

    def __init__(self, plateau: Any) -> None:
        super().__init__(step=-1)
        self.plateau = plateau
        self.seen: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Looks."""
        self.seen.append(self.plateau.wait)


def weights(model: Any) -> np.ndarray:
    """Returns all weights in a row."""
    return np.concatenate([np.ravel(w) for w in model.get_weights()])


def loaded(path: Path) -> np.ndarray:
    """Returns the weights in a file of Keras."""
    return weights(keras.saving.load_model(path))


def test_model_checkpoint_writes_over_the_file(tmp_path: Path) -> None:
    """After three epochs there is one model, the last; here there are three."""
    path = tmp_path / "model.keras"
    model = network()
    fit(
        model,
        keras.callbacks.ModelCheckpoint(path),
        VersionedCheckpoint(tmp_path / "store"),
    )
    assert [found.name for found in tmp_path.glob("*.keras")] == ["model.keras"]
    np.testing.assert_array_equal(loaded(path), weights(model))
    assert len(CheckpointStore(tmp_path / "store")) == 3


def test_a_killed_model_checkpoint_leaves_no_model(tmp_path: Path) -> None:
    """SIGKILL during the second save: the first one is gone, the second is a part."""
    path = tmp_path / "model.keras"
    script = (
        "import sys, keras, numpy as np\n"
        "model = keras.Sequential([keras.Input((2000,)), keras.layers.Dense(4000)])\n"
        "model.compile('sgd', 'mse')\n"
        "x, y = np.zeros((1, 2000), 'float32'), np.zeros((1, 4000), 'float32')\n"
        "saving = keras.callbacks.ModelCheckpoint(sys.argv[1])\n"
        "model.fit(x, y, verbose=0, epochs=1, callbacks=[saving])\n"
        "keras.saving.load_model(sys.argv[1])\n"
        "print('saved', flush=True)\n"
        "model.fit(x, y, verbose=0, epochs=1000, callbacks=[saving])\n"
    )
    whole = 4 * 2000 * 4000
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True
    ) as training:
        assert training.stdout is not None
        try:
            assert training.stdout.readline() == "saved\n"
            deadline = time.monotonic() + 60
            # Stopped first, so that the save cannot end between the look and the kill.
            while path.stat().st_size >= whole and time.monotonic() < deadline:
                training.send_signal(signal.SIGCONT)
                time.sleep(0.001)
                training.send_signal(signal.SIGSTOP)
                os.waitpid(training.pid, os.WUNTRACED)
        finally:
            training.send_signal(signal.SIGKILL)
    assert path.stat().st_size < whole
    with pytest.raises((OSError, ValueError, EOFError, zipfile.BadZipFile)):
        keras.saving.load_model(path)
    assert [found.name for found in tmp_path.iterdir()] == ["model.keras"]


def test_a_new_model_checkpoint_replaces_the_best_by_a_worse(tmp_path: Path) -> None:
    """It knows nothing of the file that is there, unless it is told a threshold."""
    path = tmp_path / "best.keras"

    def train(units: int, loss: float, **options: Any) -> np.ndarray:
        theirs = keras.callbacks.ModelCheckpoint(path, save_best_only=True, **options)
        ours = VersionedCheckpoint(tmp_path / "store", save_best_only=True)
        model = network(units=units)
        fit(model, LogValues("val_loss", [loss]), theirs, ours, epochs=1)
        return weights(model)

    good = train(4, 0.1)
    train(5, 0.9, initial_value_threshold=0.1)
    np.testing.assert_array_equal(loaded(path), good)
    worse = train(6, 0.9)
    np.testing.assert_array_equal(loaded(path), worse)
    assert len(CheckpointStore(tmp_path / "store")) == 1
    np.testing.assert_array_equal(weights(load_best(tmp_path / "store")), good)


def test_a_missing_metric_makes_model_checkpoint_replace_the_best(
    tmp_path: Path,
) -> None:
    """It warns, and the best is gone; here it stays the best."""
    path = tmp_path / "best.keras"
    model = network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit(
            model,
            LogValues("val_loss", [0.1, None]),
            keras.callbacks.ModelCheckpoint(path, save_best_only=True),
            VersionedCheckpoint(tmp_path / "store", save_best_only=True, keep_last=1),
            epochs=2,
        )
    np.testing.assert_array_equal(loaded(path), weights(model))
    best = CheckpointStore(tmp_path / "store").best()
    assert (best.epoch, best.metrics["val_loss"]) == (1, 0.1)


def test_a_file_of_weights_that_rots_is_loaded_by_keras(tmp_path: Path) -> None:
    """HDF5 as Keras writes it has no checksum of the values."""
    model = network()
    checkpoint = VersionedCheckpoint(tmp_path / "store", save_weights_only=True)
    fit(model, checkpoint, epochs=1)
    path = checkpoint.store[1].path / "model.weights.h5"
    kernel = np.asarray(model.get_weights()[0]).tobytes()
    content = bytearray(path.read_bytes())
    content[content.index(kernel)] ^= 1
    path.write_bytes(content)
    other = network()
    other.load_weights(path)
    assert (weights(other) != weights(model)).sum() == 1
    with pytest.raises(CorruptVersionError, match="SHA-256|sha256"):
        load_version(tmp_path / "store", 1, model=network())


def test_a_model_that_rots_is_refused_by_keras(tmp_path: Path) -> None:
    """A `.keras` file is a zip file, and those have a checksum."""
    model = network()
    path = tmp_path / "model.keras"
    model.save(path)
    content = bytearray(path.read_bytes())
    content[content.index(np.asarray(model.get_weights()[0]).tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(zipfile.BadZipFile, match="CRC-32"):
        keras.saving.load_model(path)


def test_backup_and_restore_deletes_the_backup(tmp_path: Path) -> None:
    """When the training is done there is nothing left; here there is all of it."""
    fit(
        network(),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        epochs=2,
    )
    assert not (tmp_path / "backup").exists()
    fit(network(), VersionedCheckpoint(tmp_path / "store", resume=True), epochs=2)
    assert len(CheckpointStore(tmp_path / "store")) == 2


def resuming(directory: Path, save_freq: Any = "epoch") -> dict[str, Any]:
    """Returns what makes the callbacks that go on, Keras's and ours."""
    ours = EveryEpochs() | OnException()
    return {
        "keras": lambda: keras.callbacks.BackupAndRestore(
            directory / "backup", save_freq=save_freq
        ),
        "ours": lambda: VersionedCheckpoint(
            directory / "store", resume=True, save_freq=ours
        ),
    }


def test_backup_and_restore_forgets_other_callbacks(tmp_path: Path) -> None:
    """`ReduceLROnPlateau` had waited for two epochs, and begins to wait anew."""
    waited = {}
    for kind, make in resuming(tmp_path).items():
        first, second = (
            Look(keras.callbacks.ReduceLROnPlateau(patience=9, min_delta=10.0))
            for _ in range(2)
        )
        # An epoch has five steps: this is in the middle of the fourth.
        with pytest.raises(RuntimeError, match="stopped"):
            fit(network(), make(), first.plateau, first, Stop(17), epochs=5)
        fit(network(), make(), second.plateau, second, Stop(-1), epochs=5)
        waited[kind] = (first.seen[-1], second.seen[0])
    assert waited == {"keras": (2, 0), "ours": (2, 2)}


def test_backup_and_restore_begins_the_epoch_anew(tmp_path: Path) -> None:
    """With weights that have seen a part of it: more steps than were asked for."""
    steps = {}
    for kind, make in resuming(tmp_path, save_freq=1).items():
        with pytest.raises(RuntimeError, match="stopped"):
            fit(network(), make(), Stop(8), epochs=3)
        model = network()
        fit(model, make(), Stop(-1), epochs=3)
        steps[kind] = int(model.optimizer.iterations)
    assert steps == {"keras": 18, "ours": 15}


def dropping() -> Any:
    """Returns a compiled model with a layer that draws random numbers."""
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [keras.Input((30,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    return model


def test_backup_and_restore_leaves_the_seeds_of_layers(tmp_path: Path) -> None:
    """`Dropout` draws again what it drew at first; here it goes on."""
    found = {}
    straight = dropping()
    fit(straight, epochs=2)
    for kind, make in resuming(tmp_path).items():
        with pytest.raises(RuntimeError, match="stopped"):
            fit(dropping(), make(), Stop(7), epochs=2)
        model = dropping()
        fit(model, make(), Stop(-1), epochs=2)
        found[kind] = np.array_equal(weights(model), weights(straight))
    assert found == {"keras": False, "ours": True}


def test_every_claim_has_its_test_or_its_source() -> None:
    """The tests that the page names exist, and so do its notes."""
    text = PAGE.read_text(encoding="utf-8")
    named = set(re.findall(r"``(tests/[\w/]+\.py)``", text))
    assert named
    assert all((ROOT / path).exists() for path in named)
    functions = set(re.findall(r"``(test_\w+)``", text))
    assert functions
    assert functions <= set(globals())
    cited = set(re.findall(r"\[(#?\w+)\]_", text))
    assert cited
    assert cited == set(re.findall(r"^\.\. \[(#?\w+)\]", text, re.MULTILINE))
