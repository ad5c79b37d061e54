"""A training that is killed and goes on decides as one that was never killed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_versioned_ckpt import VersionedCheckpoint
from keras_versioned_ckpt._callback_states import (
    averages_are_in,
    before_begin,
    restore,
    say_averages_are_in,
    states,
    unknown,
)
from keras_versioned_ckpt.errors import ResumeError

Make = Callable[[], list[Any]]
IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES = (IMAGES / 16).astype("float32")
X, Y, VAL_X, VAL_Y = IMAGES[:96], LABELS[:96], IMAGES[96:192], LABELS[96:192]
# Half of them wrong, so that what is learned soon gets worse on them.
VAL_Y = np.where(np.arange(96) % 2, VAL_Y, (VAL_Y + 1) % 10)
EPOCHS = 9


class Killed(Exception):
    """What stands for the end of a process."""


class Kill(keras.callbacks.Callback):
    """Keeps states and the model as a version does, and ends the training later.

    Args:
        others: All other callbacks, before this one.
        epoch: The last epoch that is saved, from 0.
        extra: How many epochs the training still lives on.
        batch: Where given, the batch of the next epoch after which it is saved.
    """

    def __init__(
        self, others: list[Any], epoch: int, path: Path, extra: int, batch: int | None
    ) -> None:
        super().__init__()
        self.others, self.epoch, self.path = others, epoch, path
        self.extra, self.batch, self.saved, self.now = extra, batch, [], 0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.now = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.now == self.epoch + 1 and batch == self.batch:
            self._save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch and self.batch is None:
            self._save()
        if epoch == self.epoch + self.extra:
            raise Killed

    def _save(self) -> None:
        swapped = [c for c in self.others if averages_are_in([c])]
        for callback in swapped:
            callback._swap_variables()
        self.model.save(self.path)
        for callback in swapped:
            callback._swap_variables()
        self.saved = through_json(states(self.others))


class Resume(keras.callbacks.Callback):
    """Puts states back when every other callback has begun."""

    def __init__(self, others: list[Any], saved: list[Any]) -> None:
        super().__init__()
        self.others, self.saved, self.complaints = others, saved, [""]

    def on_train_begin(self, logs: Any = None) -> None:
        self.complaints = restore(self.others, self.saved)


def through_json(saved: list[Any]) -> list[Any]:
    """Returns what comes back from a file; arrays go another way."""
    arrays: list[np.ndarray] = []

    def number(array: np.ndarray) -> dict[str, int]:
        assert isinstance(array, np.ndarray)
        arrays.append(array)
        return {"array": len(arrays) - 1}

    def value(read: dict[str, Any]) -> Any:
        return arrays[read["array"]] if list(read) == ["array"] else read

    return json.loads(json.dumps(saved, default=number), object_hook=value)


def a_model(rate: float = 0.03, **options: Any) -> Any:
    """Returns a small classifier that starts from the same weights on any backend."""
    keras.utils.set_random_seed(7)
    layer = keras.layers.Dense(10, activation="softmax", kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((64,)), layer])
    model.compile(
        keras.optimizers.Adam(rate, **options),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def fit(model: Any, callbacks: list[Any], **options: Any) -> Any:
    """Trains for all epochs, or for those from `initial_epoch` on."""
    return model.fit(
        X,
        Y,
        validation_data=(VAL_X, VAL_Y),
        **{"epochs": EPOCHS, "batch_size": 32, "shuffle": False, "verbose": 0}
        | {"callbacks": callbacks}
        | options,
    )


def go_on(
    make: Make,
    model: Any,
    path: Path,
    *,
    epoch: int,
    extra: int = 1,
    batch: int | None = None,
    between: Callable[[], None] = lambda: None,
    **options: Any,
) -> tuple[Any, list[Any], Any]:
    """Trains, is killed after a save, and goes on in what could be another process.

    Returns:
        The model, its callbacks, and what `fit` returned.
    """
    others = [*make(), keras.callbacks.History()]
    kill = Kill(others, epoch, path / "model.keras", extra, batch)
    with pytest.raises(Killed):
        fit(model, [*others, kill], **options)
    between()
    model = keras.saving.load_model(path / "model.keras")
    others = [*make(), keras.callbacks.History()]
    put_back = before_begin(others, kill.saved, epoch + 1)
    resume = Resume(others, kill.saved)
    history = fit(model, [*others, resume], initial_epoch=epoch + 1, **options)
    put_back()
    assert resume.complaints == []
    return model, others, history


def go_straight(make: Make, model: Any, **options: Any) -> tuple[Any, list[Any], Any]:
    """Trains without a kill; returns the same."""
    others = [*make(), keras.callbacks.History()]
    return model, others, fit(model, others, **options)


def check_same(found: tuple[Any, list[Any], Any], expected: tuple[Any, Any, Any]):
    """Compares the logs of all epochs, and the weights."""
    assert found[2].epoch == expected[2].epoch
    assert found[2].history == expected[2].history
    for ours, theirs in zip(
        found[0].get_weights(), expected[0].get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


# EarlyStopping, ReduceLROnPlateau, LearningRateScheduler


@pytest.mark.parametrize(
    ("monitor", "options"),
    [
        ("val_loss", {"patience": 3}),
        ("val_accuracy", {"patience": 2, "min_delta": 0.02}),
        ("loss", {"patience": 4, "mode": "max", "baseline": 9.0}),
    ],
)
def test_early_stopping(monitor: str, options: dict[str, Any], tmp_path: Path) -> None:
    """It stops at the same epoch and goes back to the same weights."""

    def make() -> list[Any]:
        return [
            keras.callbacks.EarlyStopping(monitor, restore_best_weights=True, **options)
        ]

    straight = go_straight(make, a_model())
    [expected, _] = straight[1]
    # Later than the best epoch, earlier than the last: all of the state matters.
    assert 0 < expected.stopped_epoch < EPOCHS - 1
    assert expected.best_epoch < expected.stopped_epoch
    epoch = expected.stopped_epoch - 1
    resumed = go_on(make, a_model(), tmp_path, epoch=epoch)
    check_same(resumed, straight)
    for name in ("stopped_epoch", "best_epoch", "best", "wait", "min_delta"):
        assert getattr(resumed[1][0], name) == getattr(expected, name), name


def test_reduce_lr_on_plateau(tmp_path: Path) -> None:
    """It reduces at the same epochs, also out of a cooldown."""

    def make() -> list[Any]:
        return [keras.callbacks.ReduceLROnPlateau(patience=2, cooldown=2, factor=0.5)]

    straight = go_straight(make, a_model())
    rates = straight[2].history["learning_rate"]
    assert len(set(rates)) > 2
    check_same(go_on(make, a_model(), tmp_path, epoch=5), straight)


def test_learning_rate_scheduler(tmp_path: Path) -> None:
    """Its rate comes back with the optimizer, in the middle of an epoch as well."""

    def make() -> list[Any]:
        return [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.7)]

    straight = go_straight(make, a_model())
    resumed = go_on(make, a_model(), tmp_path, epoch=3)
    check_same(resumed, straight)
    assert [s["callback"] for s in states(resumed[1])] == ["keras.callbacks.History"]


# SwapEMAWeights


@pytest.mark.parametrize("on_epoch", [True, False])
def test_swap_ema_weights(on_epoch: bool, tmp_path: Path) -> None:
    """The averages go on, and are swapped in when they would have been."""

    def make() -> list[Any]:
        return [keras.callbacks.SwapEMAWeights(swap_on_epoch=on_epoch)]

    options = {"use_ema": True, "ema_momentum": 0.9}
    straight = go_straight(make, a_model(0.01, **options), epochs=4)
    resumed = go_on(make, a_model(0.01, **options), tmp_path, epoch=1, epochs=4)
    check_same(resumed, straight)


def test_averages_are_in_the_model(tmp_path: Path) -> None:
    """During validation, and at the end of an epoch if so wished."""
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(("train", averages_are_in(callbacks)))

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(("test", averages_are_in(callbacks)))

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(("epoch", averages_are_in(callbacks)))

    callbacks = [keras.callbacks.SwapEMAWeights(swap_on_epoch=True), Look()]
    fit(a_model(use_ema=True), callbacks, epochs=2)
    assert set(seen) == {("train", False), ("test", True), ("epoch", True)}
    assert states(callbacks) == [
        {"callback": "keras.callbacks.SwapEMAWeights", "state": {"in_model": True}}
    ]
    assert restore(callbacks, states(callbacks)) == []
    assert averages_are_in(callbacks)
    say_averages_are_in(callbacks, callbacks[0].model, averages=False)
    assert not averages_are_in(callbacks)


# CSVLogger


@pytest.mark.parametrize(("separator", "batch"), [(",", None), (";", None), (",", 1)])
def test_the_csv_file(separator: str, batch: int | None, tmp_path: Path) -> None:
    """It is the same file, byte for byte, although the killed training went on.

    The first epoch, which decides on the columns, has no validation.
    """

    def make(name: str) -> list[Any]:
        return [
            keras.callbacks.ReduceLROnPlateau("loss"),
            keras.callbacks.CSVLogger(tmp_path / name, separator),
        ]

    def write_half_a_row() -> None:
        with open(tmp_path / "killed.csv", "ab") as file:
            file.write(b"1")

    options = {"epochs": 6, "validation_freq": 2}
    go_straight(lambda: make("straight.csv"), a_model(), **options)
    _, callbacks, _ = go_on(
        lambda: make("killed.csv"),
        a_model(),
        tmp_path,
        epoch=2,
        extra=2,
        batch=batch,
        between=write_half_a_row,
        **options,
    )
    found = (tmp_path / "killed.csv").read_bytes()
    if batch is None:
        assert found == (tmp_path / "straight.csv").read_bytes()
    # Half an epoch is trained twice here, which is not the matter of this module.
    assert [row.split(separator.encode())[0] for row in found.split(b"\r\n")] == [
        *(b"epoch", b"0", b"1", b"2", b"3", b"4", b"5", b"")
    ]
    assert not callbacks[1].append


@pytest.mark.parametrize(("append", "epoch"), [(True, 1), (True, -1), (False, -1)])
def test_the_csv_file_of_another_training(
    append: bool, epoch: int, tmp_path: Path
) -> None:
    """What stood above stays if it was to, also after a kill in the first epoch."""
    path = tmp_path / "log.csv"
    above = b"epoch,accuracy\r\n0,0.5\r\n1,0.6\r\n2,0.7\r\n"
    path.write_bytes(above)
    go_on(
        lambda: [keras.callbacks.CSVLogger(str(path), append=append)],
        a_model(),
        tmp_path,
        epoch=epoch,
        extra=2,
        batch=0 if epoch < 0 else None,
        epochs=4,
    )
    rows = path.read_bytes().split()
    own = [b"0", b"1", b"2", b"3"]
    assert [row.split(b",")[0] for row in rows] == (
        [b"epoch", *own[:3], *own] if append else [b"epoch", *own]
    )
    assert path.read_bytes().startswith(above) == append


def a_logger(path: Path, rows: bytes, size: int) -> tuple[Any, list[Any]]:
    """Returns a logger of a file, and a state from when it had `size` bytes."""
    path.write_bytes(rows)
    state = {"keys": ["loss"], "size_bytes": size}
    saved = [{"callback": "keras.callbacks.CSVLogger", "state": state}]
    return keras.callbacks.CSVLogger(path), saved


HEAD = b"epoch,loss\r\n0,1.5\r\n1,1.4\r\n"


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        (b"", b""),
        (b"2,1.3\r\n3,1.2\r\n", b""),
        (b"2,1.3\r\n3,1.", b""),
        (b"2", b""),
        (b'2,"""[[1 2\n 3 4]]"""\r\n3,1\r\n', b""),
        (b'2,1\r\n3,"""[[1 2\n 3', b""),
        (b"\r\n2,1.3\r\n", b""),
        (b"0,9.0\r\n1,8.0\r\n", None),
        (b"2,1.3\r\n0,9.0\r\n1,8.0\r\n", None),
        (b"3,1.3\r\n", None),
        (b"epoch,loss\r\n2,1.3\r\n", None),
        (b'2,"1"3\r\n2,1.3\r\n', None),
        (b"the end\r\n", None),
    ],
)
def test_which_rows_go(rows: bytes, left: bytes | None, tmp_path: Path) -> None:
    """Those of the epochs that are trained again, and those only if nothing else is."""
    path = tmp_path / "log.csv"
    logger, saved = a_logger(path, HEAD + rows, len(HEAD))
    before_begin([logger], saved, 2)()
    assert path.read_bytes() == HEAD + (rows if left is None else left)
    complaints = restore([logger], saved)
    assert len(complaints) == (left is None)
    assert all("other rows" in text for text in complaints)


def test_a_csv_file_that_is_gone(tmp_path: Path) -> None:
    """It begins anew, with its header, and that is said."""
    path = tmp_path / "log.csv"
    logger, saved = a_logger(path, HEAD, len(HEAD))
    path.unlink()
    logger.append_header = False  # as it is after another `fit`
    put_back = before_begin([logger], saved, 2)
    logger.on_train_begin()
    [complaint] = restore([logger], saved)
    assert "shorter" in complaint
    logger.on_epoch_end(2, {"loss": 1.0})
    logger.on_train_end()
    put_back()
    assert path.read_bytes() == b"epoch,loss\r\n2,1.0\r\n"


def test_a_csv_file_that_is_elsewhere(tmp_path: Path) -> None:
    """What cannot be cut off is said, and a logger without a state only appends."""
    logger, saved = a_logger(tmp_path / "log.csv", HEAD + b"2,1.3\r\n", len(HEAD))
    before_begin([logger], [], 2)()
    assert (tmp_path / "log.csv").read_bytes() == HEAD + b"2,1.3\r\n"
    saved[0]["state"]["size_bytes"] = None
    [complaint] = restore([logger], saved)
    assert "not a local file" in complaint


# TensorBoard


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="needs TensorFlow")
def test_tensorboard(tmp_path: Path) -> None:
    """Its steps go on where they were, of training and of validation."""
    pytest.importorskip("tensorboard")

    def make(name: str) -> list[Any]:
        directory = tmp_path / name
        return [
            keras.callbacks.TensorBoard(directory, update_freq=1, write_graph=False)
        ]

    options = {"epochs": 4, "validation_batch_size": 48}
    go_straight(lambda: make("straight"), a_model(), **options)
    go_on(lambda: make("killed"), a_model(), tmp_path, epoch=1, **options)
    straight, killed = events(tmp_path / "straight"), events(tmp_path / "killed")
    # The killed training had seen an epoch that was trained again.
    assert {tag: sorted(set(steps)) for tag, steps in killed.items()} == straight
    assert straight["train/batch_loss"][-1] == 12
    # Twice one batch after its first epoch, of which it saw two in all.
    _, callbacks, _ = go_on(
        lambda: make("half"), a_model(), tmp_path, epoch=0, batch=1, **options
    )
    assert events(tmp_path / "half")["train/batch_loss"][-1] == 3 + 2 + 9
    assert callbacks[0]._global_test_batch == 2 + 6


def events(directory: Path) -> dict[str, list[int]]:
    """Returns the steps of each tag, from all files."""
    import tensorflow as tf

    steps: dict[str, list[int]] = {}
    for path in sorted(directory.rglob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                steps.setdefault(f"{path.parent.name}/{value.tag}", []).append(
                    event.step
                )
    return steps


# ModelCheckpoint and kin


def test_model_checkpoint(tmp_path: Path) -> None:
    """It does not take the first model that it sees now for the best one."""

    def make(name: str) -> list[Any]:
        path = tmp_path / name / "{epoch}.keras"
        path.parent.mkdir(exist_ok=True)
        return [
            keras.callbacks.ModelCheckpoint(path, save_best_only=True),
            # Compares a batch with the best value before an epoch has ended.
            keras.callbacks.ModelCheckpoint(
                path.with_name("b{epoch}-{batch}.keras"),
                monitor="loss",
                save_best_only=True,
                save_freq=4,
            ),
        ]

    straight = go_straight(lambda: make("straight"), a_model())
    resumed = go_on(lambda: make("killed"), a_model(), tmp_path, epoch=5)
    names = [
        sorted(path.name for path in (tmp_path / name).iterdir())
        for name in ("straight", "killed")
    ]
    assert names[0] == names[1]
    assert "7.keras" not in names[0]
    for found, expected in zip(resumed[1][:2], straight[1][:2], strict=True):
        assert found.best == expected.best


def test_backup_and_restore(tmp_path: Path) -> None:
    """Its counters go on; the rest it keeps itself."""
    before, after = (
        keras.callbacks.BackupAndRestore(tmp_path, save_freq=7) for _ in range(2)
    )
    before.set_model(a_model())
    before.on_train_batch_end(4)
    assert restore([after], through_json(states([before]))) == []
    assert states([after]) == states([before])


def test_orbax_checkpoint(tmp_path: Path) -> None:
    """Its counters and its best value go on."""
    pytest.importorskip("orbax.checkpoint")
    if not hasattr(keras.callbacks, "OrbaxCheckpoint"):
        pytest.skip("this Keras has none")
    before, after = (
        keras.callbacks.OrbaxCheckpoint(tmp_path / name, mode="min") for name in "ab"
    )
    before.best, before._total_batches_seen = 0.5, 12
    assert unknown([before]) == []
    assert restore([after], through_json(states([before]))) == []
    assert (after.best, after._total_batches_seen) == (0.5, 12)


# The protocol


class Own(keras.callbacks.Callback):
    """A callback of a user's; `state` is what it returns and was given."""

    def __init__(self, state: Any = None) -> None:
        super().__init__()
        self.state = state

    def get_state(self) -> Any:
        return self.state

    def set_state(self, state: Any) -> None:
        self.state = state


class OwnStopping(keras.callbacks.EarlyStopping):
    """One that derives from a callback of Keras, and has its own idea of a state."""

    def get_state(self) -> Any:
        return {"wait": self.wait}

    def set_state(self, state: Any) -> None:
        self.wait = state["wait"]


def test_callbacks_of_the_user() -> None:
    """Any value that JSON can hold, NaN included, in the order of the callbacks."""
    before = [
        Own({"a": [1, 2.5, None, True, "ü"], "b": {"c": {}}}),
        Own(7),
        Own([float("-inf")]),
    ]
    after = [Own(), Own(), Own()]
    saved = through_json(states(before))
    assert restore(after, saved) == []
    assert [callback.state for callback in after] == [c.state for c in before]
    assert saved[0]["callback"] == f"{__name__}.Own"


def test_a_state_is_a_copy() -> None:
    """What the callback does to its lists later does not reach the version."""
    own = Own({"losses": [1.0]})
    saved = states([own])
    own.state["losses"].append(2.0)
    assert saved[0]["state"] == {"losses": [1.0]}


def test_the_protocol_comes_before_the_class() -> None:
    """Whoever derives from Keras's callback may know better."""
    before, after = OwnStopping(), OwnStopping()
    before.wait = 3
    saved = states([before])
    assert saved == [{"callback": f"{__name__}.OwnStopping", "state": {"wait": 3}}]
    assert restore([after], saved) == []
    assert after.wait == 3


@pytest.mark.parametrize(
    ("state", "where"),
    [
        (np.zeros(2), "state="),
        ({"a": [1, (2,)]}, r"state\['a'\]\[1\]=\(2,\) of type tuple"),
        ({"a": {3: 4}}, r"a key of state\['a'\]=3 of type int"),
        ({"a": np.float32(1)}, "of type float32"),
        ({"a": {1, 2}}, "of type set"),
    ],
)
def test_what_json_cannot_hold(state: Any, where: str) -> None:
    """Is an error that says where it is."""
    with pytest.raises(
        TypeError, match=rf"`Own.get_state\(\)` must.*Received: .*{where}"
    ):
        states([Own(state)])


def test_a_state_without_end() -> None:
    """Nor can it hold a list that is in itself."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="levels deep"):
        states([Own(endless)])


def test_a_set_state_that_fails() -> None:
    """The error names the callback, and has the cause."""
    saved = states([OwnStopping()])
    saved[0]["state"] = {}
    with pytest.raises(ResumeError, match=r"OwnStopping.set_state.*KeyError") as caught:
        restore([OwnStopping()], saved)
    assert isinstance(caught.value.__cause__, KeyError)


# What cannot be read, and what cannot be put back


class Mine(keras.callbacks.Callback):
    """A callback whose state nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0


class Stopping(keras.callbacks.EarlyStopping):
    """A callback that is known by its base."""


def test_unknown(tmp_path: Path) -> None:
    """Each class once, and none of which all is known, before training begins."""
    known = [
        keras.callbacks.CSVLogger("log.csv"),
        keras.callbacks.EarlyStopping(),
        keras.callbacks.History(),
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.1),
        keras.callbacks.ModelCheckpoint("model.keras"),
        keras.callbacks.ProgbarLogger(),
        keras.callbacks.ReduceLROnPlateau(),
        keras.callbacks.RemoteMonitor(),
        keras.callbacks.SwapEMAWeights(),
        keras.callbacks.TensorBoard(),
        keras.callbacks.TerminateOnNaN(),
        VersionedCheckpoint(tmp_path),
        Own(),
        Stopping(),
    ]
    assert unknown(known) == []
    others = [Mine(), keras.callbacks.LambdaCallback(print), Mine()]
    assert unknown([*known, *others]) == ["Mine", "LambdaCallback"]


@pytest.mark.parametrize(
    ("kind", "attribute"),
    [
        ("EarlyStopping", "best_weights"),
        ("ReduceLROnPlateau", "cooldown_counter"),
        ("SwapEMAWeights", "_ema_weights_in_model"),
        ("History", "epoch"),
    ],
)
def test_another_keras(
    kind: str, attribute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Keras calls an attribute otherwise, the callback is one nobody can read."""
    renamed = property(
        fset=lambda callback, value: setattr(callback, "_renamed", value)
    )
    monkeypatch.setattr(
        getattr(keras.callbacks, kind), attribute, renamed, raising=False
    )
    callback = getattr(keras.callbacks, kind)()
    assert unknown([callback]) == [kind]
    assert states([callback]) == []
    saved = [{"callback": f"keras.callbacks.{kind}", "state": {"x": 1}}]
    assert len(restore([callback], saved)) == 1
    assert not averages_are_in([callback])


def stopping(**options: Any) -> Any:
    """Returns an `EarlyStopping` that has just begun, with a model."""
    callback = keras.callbacks.EarlyStopping(**options)
    callback.set_model(a_model())
    callback.on_train_begin()
    return callback


@pytest.mark.parametrize(
    ("change", "options", "text"),
    [
        ({}, {"monitor": "val_accuracy"}, "monitor='val_loss'"),
        ({}, {"mode": "max"}, "mode='min'"),
        ({"best_weights": [np.zeros(3)]}, {}, "another model"),
        ({"best_weights": None}, {}, "no weights"),
        ({"best_weights": 5}, {}, "TypeError"),
        ({"wait": "x"}, {}, "wait is 'x'"),
        ({"best": "x"}, {}, "best is 'x'"),
        ({"direction": []}, {"mode": "min"}, ""),
    ],
)
def test_a_state_that_does_not_fit(
    change: dict[str, Any], options: dict[str, Any], text: str
) -> None:
    """Is left out as a whole, and why is said."""
    before = stopping(restore_best_weights=True, patience=4)
    for epoch, loss in enumerate([0.5, 0.7, 0.9]):
        before.on_epoch_end(epoch, {"val_loss": loss})
    saved = states([before])
    after = stopping(restore_best_weights=True, **options)
    saved[0]["state"].update(change)
    complaints = restore([after], saved)
    if text:
        assert [text in complaint for complaint in complaints] == [True]
        assert (after.wait, after.best, after.best_weights) == (0, None, None)
    else:
        assert (after.wait, after.best) == (2, 0.5)


@pytest.mark.parametrize("state", [None, [], {}, {"epoch": 3, "history": {}}])
def test_a_state_that_is_none(state: Any) -> None:
    """A damaged state costs that state, and not the training."""
    history = keras.callbacks.History()
    saved = [{"callback": "keras.callbacks.History", "state": state}]
    assert len(restore([history], saved)) == 1
    logger = keras.callbacks.CSVLogger("log.csv")
    saved = [{"callback": "keras.callbacks.CSVLogger", "state": state}]
    before_begin([logger], saved, 1)()
    assert len(restore([logger], saved)) == 1


def test_weights_that_are_not_wanted_any_more() -> None:
    """Are not put back; the rest is."""
    before, after = stopping(restore_best_weights=True), stopping()
    before.on_epoch_end(0, {"val_loss": 0.5})
    assert restore([after], states([before])) == []
    assert (after.best, after.best_weights) == (0.5, None)


def test_a_callback_that_is_gone() -> None:
    """Is named; one that is new starts afresh."""
    saved = states([Own(1), keras.callbacks.TensorBoard(), Own(2)])
    own = Own()
    complaints = restore([keras.callbacks.ReduceLROnPlateau(), own], saved)
    assert own.state == 1
    assert ["TensorBoard" in text for text in complaints] == [True, False]
    assert "Own" in complaints[1]


def test_logs_of_all_kinds() -> None:
    """Numbers stay numbers, arrays arrays, and what is neither is kept as text."""
    history = keras.callbacks.History()
    history.set_model(a_model())
    history.on_train_begin()
    tensor = keras.ops.convert_to_tensor([1.0, 2.0])
    logs = {"a": np.float32(0.5), "b": tensor, "c": {1}, "d": [np.int64(3)], "e": "x"}
    history.on_epoch_end(0, logs)
    kept = states([history])[0]["state"]["history"]
    np.testing.assert_array_equal(kept.pop("b")[0], [1.0, 2.0])
    assert kept == {"a": [0.5], "c": ["{1}"], "d": [[3]], "e": ["x"]}
    assert type(kept["a"][0]) is float
