"""Trainings that end, and go on, in ways that are rare."""

import hashlib
import json
import signal
import threading
import time
import warnings

import keras
import pytest

from keras_versioned_ckpt import (
    EveryEpochs,
    OnException,
    OnSignal,
    VersionedCheckpoint,
    _training_state,
)
from keras_versioned_ckpt.errors import CorruptVersionError
from keras_versioned_ckpt.manifest import File
from keras_versioned_ckpt.triggers import EveryBatches
from tests import training


class _Pieces(training.Pieces):
    """Batches, one of which cannot be read."""

    def __init__(self, broken=0):
        super().__init__()
        self._left = broken

    def __len__(self):
        return 2

    def __getitem__(self, index):
        self._left -= 1
        if self._left == 0:
            raise RuntimeError("a batch cannot be read")
        return super().__getitem__(index)


def _fit(directory, epochs=3, die_after=0, validation=None, **options):
    keras.utils.set_random_seed(5)
    model = training.network()
    if "steps_per_execution" in options:
        model.steps_per_execution = options.pop("steps_per_execution")
    checkpoint = VersionedCheckpoint(directory, resume=True, **options)
    callbacks = [checkpoint]
    if die_after:
        callbacks.append(training.Death(die_after, RuntimeError("died")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = model.fit(
            **training.inputs("arrays"),
            epochs=epochs,
            verbose=0,
            callbacks=callbacks,
            validation_data=validation,
        )
    return training.digest(model.variables), history.history


@pytest.mark.skipif(
    keras.config.backend() == "torch", reason="Keras has no such steps there"
)
def test_goes_on_after_a_last_step_that_is_short(tmp_path):
    options = {"save_freq": EveryBatches(3), "steps_per_execution": 4}
    straight = _fit(tmp_path / "straight", **options)
    with pytest.raises(RuntimeError, match="died"):
        _fit(tmp_path / "killed", die_after=4, **options)  # 7 batches are 2 steps
    assert _fit(tmp_path / "killed", **options) == straight


@pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="an error that others do not raise"
)
def test_end_of_an_input_of_unknown_length_is_no_exception(tmp_path):
    checkpoint = VersionedCheckpoint(
        tmp_path / "store", save_freq=OnException() | OnSignal("SIGTERM")
    )
    before = signal.getsignal(signal.SIGTERM)
    heard = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            heard.append(signal.getsignal(signal.SIGTERM) != before)

    training.network().fit(
        **training.inputs("unknown"),
        epochs=2,
        verbose=0,
        callbacks=[checkpoint, Look()],
    )
    assert all(heard)
    assert not checkpoint.store.versions


def test_metrics_of_an_epoch_whose_validation_fails_in_another_thread(tmp_path):
    trigger = EveryEpochs() | OnException()
    straight = _fit(tmp_path / "straight", save_freq=trigger, validation=_Pieces())
    thread = threading.Thread(
        target=lambda: _swallow(
            _fit, tmp_path / "killed", save_freq=trigger, validation=_Pieces(2)
        )
    )
    thread.start()
    thread.join()
    resumed = _fit(tmp_path / "killed", save_freq=trigger, validation=_Pieces())
    assert resumed[1]["accuracy"][0] == straight[1]["accuracy"][0]


def _swallow(act, *args, **kwargs):
    with pytest.raises(Exception):  # noqa: B017, PT011 - TensorFlow has its own
        act(*args, **kwargs)


def test_later_fit_begins_at_its_own_beginning_after_a_resumed_one_failed(tmp_path):
    _fit(tmp_path / "store", epochs=2)
    model = training.network()
    died = training.Death(1, RuntimeError("died"))
    checkpoint = VersionedCheckpoint(tmp_path / "store", resume=True)
    data = training.inputs("arrays")
    with pytest.raises(RuntimeError, match="died"):
        model.fit(**data, epochs=3, verbose=0, callbacks=[checkpoint, died])
    assert model.fit(**data, epochs=1, verbose=0).epoch == [0]


def test_evaluates_before_any_training(tmp_path):
    checkpoint = VersionedCheckpoint(tmp_path / "store", save_freq=OnSignal("SIGTERM"))
    x, y = training.digits()
    training.network().evaluate(x, y, verbose=0, callbacks=[checkpoint])
    assert not (tmp_path / "store").exists()


def test_array_of_very_many_sides_is_refused_at_once(tmp_path):
    sides = [2**53] * 50_000
    data = json.dumps({"format": 1, "data": {"$array": ["int8", sides, ""]}}).encode()
    (tmp_path / _training_state.STATE).write_bytes(data)
    file = File(size=len(data), sha256=hashlib.sha256(data).hexdigest())

    class Manifest:
        files = {_training_state.STATE: file}

    began = time.monotonic()
    with pytest.raises(CorruptVersionError, match="no shape"):
        _training_state.read(tmp_path, Manifest)
    assert time.monotonic() - began < 1
