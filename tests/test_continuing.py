"""What a training goes on from, what it refuses, and what it cannot put back."""

import contextlib
import gc
import json
import shutil
import signal
import threading
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_versioned_ckpt import (
    CheckpointError,
    CheckpointStore,
    CheckpointWarning,
    CorruptVersionError,
    EverySteps,
    OnException,
    OnSignal,
    OnTrainEnd,
    ResumeError,
    SaveError,
    VersionedCheckpoint,
    _fit,
    save_version,
)
from tests.training import Death, digits

X, Y = digits()


class Killed(Exception):
    """What ends a training here."""


def network(width: int = 8, rate: float = 0.01, **options: Any) -> Any:
    """Returns a small model."""
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(width, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        keras.optimizers.Adam(rate, **options), "sparse_categorical_crossentropy"
    )
    return model


def fit(
    directory: Path,
    model: Any = None,
    *,
    epochs: int = 2,
    die_after: int = 0,
    seed: int | None = 3,
    callbacks: Any = (),
    x: Any = X,
    y: Any = Y,
    fit_options: Any = None,
    **options: Any,
) -> Any:
    """Trains, going on with what is there; returns the history, or `None` if killed."""
    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = model or network()
    checkpoint = VersionedCheckpoint(
        directory, **{"monitor": "loss", "resume": True, **options}
    )
    ending = [Death(die_after, Killed())]
    history = None
    try:
        with contextlib.suppress(Killed):
            history = model.fit(
                x,
                y,
                epochs=epochs,
                verbose=0,
                callbacks=[checkpoint, *callbacks, *ending],
                **(fit_options or {}),
            )
    finally:
        for thread in threading.enumerate():
            if thread.name == "VersionedCheckpoint":
                thread.join()
    return history


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the store is to be."""
    return tmp_path / "store"


def numbers(store: Path) -> list[int]:
    """Returns the numbers of the versions that are there."""
    return [version.number for version in CheckpointStore(store).versions]


class TestWhichVersion:
    """The newest that is good, of a training."""

    def test_an_empty_store_begins_afresh(self, store: Path) -> None:
        """As does one that is not there yet."""
        assert VersionedCheckpoint(store).restore(network()) == 0
        assert fit(store).epoch == [0, 1]
        shutil.rmtree(store)
        CheckpointStore(store, create=True)
        assert VersionedCheckpoint(store).restore(network()) == 0
        assert fit(store).epoch == [0, 1]

    @pytest.mark.parametrize("name", ["model.keras", "training_state.json"])
    def test_a_damaged_one_is_passed_over(self, store: Path, name: str) -> None:
        """With a warning that names it."""
        fit(store, epochs=3)
        path = store / "version_3" / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.warns(CheckpointWarning, match="version_3 is damaged and passed"):
            history = fit(store, epochs=4)
        assert history.epoch == [0, 1, 2, 3]
        assert CheckpointStore(store)["version_4"].parent == 2
        # What is newer than the one it went on from stays where it is.
        assert numbers(store) == [1, 2, 3, 4, 5]

    def test_if_all_are_damaged_it_does_not_begin_afresh(self, store: Path) -> None:
        """That would be a guess."""
        fit(store, epochs=1)
        (store / "version_1" / "model.keras").write_bytes(b"")
        with (
            pytest.warns(CheckpointWarning, match="passed over"),
            pytest.raises(CorruptVersionError, match="To begin anew, pass `resume="),
        ):
            fit(store)
        assert numbers(store) == [1]

    def test_what_no_training_saved_is_passed_over(self, store: Path) -> None:
        """Somebody has put a model of another kind into the store."""
        fit(store, epochs=1)
        save_version(network(width=4), store)
        assert fit(store, epochs=2).epoch == [0, 1]
        assert CheckpointStore(store).latest().parent == 1

    def test_a_version_without_a_state_is_better_than_none(self, store: Path) -> None:
        """And it says that it is not the same."""
        model = network()
        save_version(model, store, epoch=1)
        with pytest.warns(CheckpointWarning, match="no state of its training"):
            history = fit(store, epochs=3)
        assert history.epoch == [1, 2]

    def test_a_finished_training_trains_nothing(self, store: Path) -> None:
        """Unless it is to have more epochs."""
        fit(store, epochs=2, save_freq=OnTrainEnd())
        history = fit(store, epochs=2, save_freq=OnTrainEnd())
        assert history.epoch == [0, 1]
        assert numbers(store) == [1]
        assert fit(store, epochs=3, save_freq=OnTrainEnd()).epoch == [0, 1, 2]
        assert numbers(store) == [1, 2]

    def test_one_that_a_callback_ended_has_finished(self, store: Path) -> None:
        """Early stopping is not undone by starting again."""

        def stopping() -> Any:
            return keras.callbacks.EarlyStopping(
                "loss", patience=1, min_delta=100, restore_best_weights=True
            )

        first, second, third = stopping(), stopping(), stopping()
        model, again = network(), network()
        before = fit(store, model, epochs=9, callbacks=[first])
        assert before.epoch == [0, 1]
        after = fit(store, again, epochs=9, callbacks=[second])
        assert after.epoch == [0, 1]
        assert after.history == before.history
        assert second.stopped_epoch == first.stopped_epoch
        for one, other in zip(model.weights, again.weights, strict=True):
            assert np.array_equal(one, other)
        more = fit(store, epochs=10, callbacks=[third])
        assert more.epoch == [0, 1, 2]

    def test_fewer_epochs_than_there_were_are_none(self, store: Path) -> None:
        """Nothing is trained, and nothing is lost."""
        fit(store, epochs=3)
        assert fit(store, epochs=1).epoch == [0, 1, 2]
        assert numbers(store) == [1, 2, 3]


class TestFitting:
    """A model of another shape is refused, and left as it was."""

    @pytest.mark.parametrize(
        ("model", "said"),
        [
            (lambda: network(width=9), r"layers/dense/vars/0: \(64, 8\) in the ver"),
            (lambda: network(use_ema=True), "optimizer/vars/.*: only in the model"),
            (lambda: network(amsgrad=True), r"6 difference\(s\)|4 difference\(s\)"),
        ],
    )
    def test_differences_are_listed(self, store: Path, model: Any, said: str) -> None:
        """By the names that the file has."""
        fit(store, epochs=1)
        made = model()
        before = [np.array(weight) for weight in made.weights]
        with pytest.raises(ResumeError, match=said):
            VersionedCheckpoint(store).restore(made)
        with pytest.raises(ResumeError, match="does not fit the model"):
            fit(store, made)
        for one, other in zip(before, made.weights, strict=True):
            assert np.array_equal(one, other)
        assert numbers(store) == [1]

    def test_a_model_that_is_not_built(self, store: Path) -> None:
        """There is nothing that it could be put into."""
        fit(store, epochs=1)
        model = keras.Sequential([keras.layers.Dense(3)])
        model.compile("adam", "mse")
        with pytest.raises(ResumeError, match="must be built"):
            VersionedCheckpoint(store).restore(model)

    def test_what_is_no_model(self, store: Path) -> None:
        """In Keras's wording."""
        with pytest.raises(TypeError, match=r"must be a `keras.Model`. Received: mod"):
            VersionedCheckpoint(store).restore("model")

    def test_a_saved_model_is_no_training(self, store: Path) -> None:
        """Nothing can go on from a program."""
        with pytest.raises(ValueError, match="format='saved_model'"):
            VersionedCheckpoint(store, format="saved_model", resume=True)

    def test_two_that_put_back_do_not_go_together(self, store: Path) -> None:
        """Keras's own would put another state on top."""
        fit(store, epochs=1)
        backup = keras.callbacks.BackupAndRestore(store.with_name("backup"))
        with pytest.raises(ValueError, match="`BackupAndRestore` must not be used"):
            fit(store, callbacks=[backup])


class TestRestore:
    """Going on step by step."""

    def test_it_gives_the_epoch(self, store: Path) -> None:
        """And the next `fit` puts back the rest."""
        straight = fit(store.with_name("straight"), epochs=4)
        fit(store, epochs=4, die_after=16)
        keras.utils.set_random_seed(3)
        model = network()
        checkpoint = VersionedCheckpoint(store, monitor="loss")
        initial_epoch = checkpoint.restore(model)
        assert initial_epoch == 2
        history = model.fit(
            X,
            Y,
            epochs=4,
            initial_epoch=initial_epoch,
            verbose=0,
            callbacks=[checkpoint],
        )
        assert history.history == straight.history

    def test_another_model_is_refused(self, store: Path) -> None:
        """The weights would be in one, and the rest in the other."""
        fit(store, epochs=1)
        checkpoint = VersionedCheckpoint(store, monitor="loss")
        checkpoint.restore(network())
        with pytest.raises(ValueError, match="the model that was given to `restore`"):
            network().fit(X, Y, epochs=2, verbose=0, callbacks=[checkpoint])

    def test_neither_data_nor_model_live_as_long(self, store: Path) -> None:
        """A callback that is kept is small."""
        fit(store, epochs=1)
        model, x = network(), np.array(X)
        data = weakref.ref(x)
        checkpoint = VersionedCheckpoint(store, monitor="loss", resume=True)
        model.fit(x, Y, epochs=2, verbose=0, callbacks=[checkpoint])
        checkpoint._model = None  # which Keras keeps
        del model, x
        keras.utils.clear_session()
        gc.collect()
        assert data() is None

    def test_another_fit_begins_where_it_is_told_to(self, store: Path) -> None:
        """Nothing of it is left in the model."""
        fit(store, epochs=2)
        model = network()
        fit(store, model, epochs=3)
        assert model.fit(X, Y, epochs=2, verbose=0).epoch == [0, 1]
        checkpoint = VersionedCheckpoint(store, "loss", resume=True)
        for epochs in (4, 5):
            history = model.fit(X, Y, epochs=epochs, verbose=0, callbacks=[checkpoint])
            assert history.epoch == [*range(epochs)]


class TestInputs:
    """Where an input has no place to go on from, it says so."""

    def test_a_generator(self, store: Path) -> None:
        """It begins anew, in the middle of an epoch with the epoch."""

        def batches() -> Any:
            while True:
                yield X[:32], Y[:32]

        def go(**options: Any) -> Any:
            return fit(
                store,
                x=batches(),
                y=None,
                fit_options={"steps_per_epoch": 5},
                save_freq=EverySteps(2),
                **options,
            )

        go(die_after=7)
        with pytest.warns(CheckpointWarning, match="beginning of epoch 2, with the 1 "):
            history = go(epochs=3)
        assert history.epoch == [0, 1, 2]

    def test_one_that_says_its_own_place(self, store: Path) -> None:
        """It is asked for, and told; no batch is read twice."""

        class Place(keras.utils.PyDataset):
            def __init__(self) -> None:
                super().__init__()
                self.told: Any = None

            def __len__(self) -> int:
                return 5

            def __getitem__(self, index: int) -> Any:
                # Those that come first are another's, where a place is told.
                at = index * 32
                return X[at : at + 32], Y[at : at + 32]

            def get_state(self) -> Any:
                return {"from": "the first"}

            def set_state(self, state: Any) -> None:
                self.told = state

        class Count(keras.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                trained.append(batch)

            get_state, set_state = Death.get_state, Death.set_state

        trained: list[int] = []
        second = Place()
        fit(store, x=Place(), y=None, die_after=3, save_freq=EverySteps(2))
        fit(
            store,
            x=second,
            y=None,
            epochs=1,
            save_freq=EverySteps(2),
            callbacks=[Count()],
        )
        assert second.told == {"from": "the first"}
        assert trained == [2, 3, 4]

    def test_another_seed(self, store: Path) -> None:
        """TensorFlow shuffles by it."""
        if keras.config.backend() != "tensorflow":
            pytest.skip("Arrays are shuffled by generators that are put back.")
        fit(store, die_after=9, save_freq=EverySteps(4))
        with pytest.warns(CheckpointWarning, match="seeded by 3, and this one by 4"):
            fit(store, seed=4)

    def test_no_seed(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The order of the batches is not known."""
        if keras.config.backend() != "tensorflow":
            pytest.skip("Arrays are shuffled by generators that are put back.")
        monkeypatch.setattr(_fit, "seed", lambda: None)
        fit(store, die_after=9, save_freq=EverySteps(4))
        with pytest.warns(CheckpointWarning, match="was not seeded by"):
            assert fit(store).epoch == [0, 1]


class TestOtherCallbacks:
    """Their states are theirs to give."""

    def test_unknown_ones_are_named_once(self, store: Path) -> None:
        """At the start of each training that is to go on, or may have to."""

        class Counting(keras.callbacks.Callback):
            """Has a state, and does not give it."""

            count = 0

            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                self.count += 1

            def on_train_begin(self, logs: Any = None) -> None:
                self.count = 0

        with warnings.catch_warnings():
            warnings.simplefilter("error", CheckpointWarning)
            fit(store.with_name("other"), callbacks=[Counting()], resume=False)
        # While something can be done about it, and when it is too late.
        for epochs in (1, 2):
            with pytest.warns(CheckpointWarning, match="Counting: the state") as said:
                fit(store, epochs=epochs, callbacks=[Counting(), Counting()])
            assert len([w for w in said if "Counting" in str(w.message)]) == 1

    def test_a_state_that_json_cannot_hold(self, store: Path) -> None:
        """It is told where, and the training goes no further without saving."""

        class Strange(keras.callbacks.Callback):
            def get_state(self) -> Any:
                return {"file": Path()}

            def set_state(self, state: Any) -> None:
                """Never called."""

        with pytest.raises(TypeError, match=r"`Strange.get_state\(\)` must return"):
            fit(store, callbacks=[Strange()])

    def test_a_file_of_rows_goes_on(self, store: Path) -> None:
        """No row comes twice, wherever the logger stands in the list."""
        for name, dies in (("straight", 0), ("killed", 16)):
            logger = keras.callbacks.CSVLogger(store.with_name(f"{name}.csv"))
            fit(store.with_name(name), epochs=4, die_after=dies, callbacks=[logger])
        logger = keras.callbacks.CSVLogger(store.with_name("killed.csv"))
        fit(store.with_name("killed"), epochs=4, callbacks=[logger])
        assert not logger.append
        rows = store.with_name("straight.csv").read_bytes()
        assert store.with_name("killed.csv").read_bytes() == rows

    def test_one_that_waits_for_the_save(self, store: Path) -> None:
        """It gets its version, which says that not all had had their turn."""

        class Wait(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                checkpoint.wait()
                seen.append(checkpoint.latest.number)

            get_state, set_state = Death.get_state, Death.set_state

        seen: list[int] = []
        checkpoint = VersionedCheckpoint(store, "loss")
        network().fit(X, Y, epochs=2, verbose=0, callbacks=[checkpoint, Wait()])
        assert seen == [1, 2]
        with pytest.warns(CheckpointWarning, match="before all callbacks had"):
            fit(store, epochs=3, callbacks=[Wait()])


class TestAverages:
    """What is trained goes on, not its average."""

    @pytest.mark.filterwarnings(
        "ignore:There is a saved state of 'keras.callbacks.Swap"
    )
    @pytest.mark.parametrize("before", [True, False])
    @pytest.mark.parametrize("again", [True, False])
    def test_swapped_at_each_epoch(
        self, store: Path, before: bool, again: bool
    ) -> None:
        """Whether the averages are swapped in before the save or after it."""

        def go(
            directory: Path, swapping: bool = True, **options: Any
        ) -> tuple[Any, Any]:
            keras.utils.set_random_seed(3)
            model = network(use_ema=True, ema_momentum=0.5)
            checkpoint = VersionedCheckpoint(directory, "loss", resume=True)
            swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
            callbacks = [swap, checkpoint] if before else [checkpoint, swap]
            if not swapping:
                callbacks = [checkpoint]
            death = Death(options.pop("die_after", 0), Killed())
            try:
                model.fit(
                    X, Y, verbose=0, callbacks=[*callbacks, death], epochs=4, **options
                )
            except Killed:
                checkpoint.wait()
            return model, checkpoint

        straight, _ = go(store.with_name("straight"))
        go(store, die_after=16)
        model, _ = go(store, swapping=again)
        same = all(
            np.allclose(one, other, atol=0 if again else 1e-5)
            for one, other in zip(straight.weights, model.weights, strict=True)
        )
        assert same

    def test_the_end_of_training_puts_averages_in(self, store: Path) -> None:
        """For good; a training with more epochs goes on from what was trained."""
        fit(store, network(use_ema=True), epochs=2, save_freq=OnTrainEnd())
        other = store.with_name("straight")
        model, straight = network(use_ema=True), network(use_ema=True)
        fit(store, model, epochs=4, save_freq=OnTrainEnd())
        fit(other, straight, epochs=4, save_freq=OnTrainEnd())
        for one, two in zip(model.weights, straight.weights, strict=True):
            assert np.array_equal(one, two)


class TestOtherReleases:
    """What is looked up in Keras may be elsewhere; then it says what is lost."""

    def test_nobody_says_that_fit_is_running(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The way by `initial_epoch` is left, and not exact."""
        fit(store, epochs=1)
        monkeypatch.setattr(_fit, "running", lambda _: None)
        with pytest.raises(ResumeError, match=r"initial_epoch = checkpoint.restore"):
            fit(store)
        model = network()
        checkpoint = VersionedCheckpoint(store, "loss")
        epoch = checkpoint.restore(model)
        with pytest.warns(CheckpointWarning, match="not exactly"):
            history = model.fit(
                X,
                Y,
                epochs=3,
                initial_epoch=epoch,
                verbose=0,
                callbacks=[checkpoint],
            )
        assert history.epoch == [1, 2]
        assert numbers(store) == [1, 2, 3]

    def test_the_first_epoch_cannot_be_told(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same error."""
        fit(store, epochs=1)
        monkeypatch.setattr(_fit.Fit, "begin_at", lambda *_: False)
        with pytest.raises(ResumeError, match="choose the epoch"):
            fit(store)

    def test_the_input_cannot_be_found(
        self, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The epoch begins anew."""
        fit(store, die_after=9, save_freq=EverySteps(4))
        monkeypatch.setattr(_fit.Fit, "has_a_place", False)
        with pytest.warns(CheckpointWarning, match="beginning of epoch 2, with the 1"):
            assert fit(store).epoch == [0, 1]


class Send(keras.callbacks.Callback):
    """Sends a signal at the end of the third batch."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 2:
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def signals() -> Iterator[list[int]]:
    """The signals that a handler of the user's is given."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    yield seen
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("background", [True, False])
def test_a_signal_has_its_effect_where_the_save_fails(
    store: Path, signals: list[int], background: bool
) -> None:
    """The failure is a warning, for nobody may be there to see more."""

    def fails(*_: Any, **__: Any) -> Any:
        raise SaveError("no luck")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CheckpointStore, "commit", fails)
        with pytest.warns(CheckpointWarning, match="could not be saved: no luck"):
            history = fit(
                store,
                callbacks=[Send()],
                resume=False,
                save_freq=OnSignal("SIGTERM"),
                save_on_background=background,
            )
    assert history.epoch == []
    assert signals == [signal.SIGTERM]


def test_what_raises_before_the_first_epoch_leaves_nothing(
    store: Path, signals: list[int]
) -> None:
    """Signals are the user's again, and the model is as it was."""

    class Early(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            raise Killed

    model = network()
    earlier = signal.getsignal(signal.SIGTERM)
    trigger = OnSignal("SIGTERM") | OnException()
    fit(store, model, callbacks=[Early()], resume=False, save_freq=trigger)
    assert signal.getsignal(signal.SIGTERM) is earlier
    assert "evaluate" not in vars(model)
    assert model.fit(X, Y, epochs=1, verbose=0).epoch == [0]


def test_the_state_is_plain_json(store: Path) -> None:
    """Anybody can read it, and nothing in it is a program."""
    fit(store, epochs=1)
    state = json.loads((store / "version_1" / "training_state.json").read_bytes())
    assert state["format"] == 1
    assert (state["epoch"], state["batch"], state["step"]) == (1, None, 7)
    assert state["seed"] == 3
    assert {"python", "numpy"} <= state["random"].keys()
    kinds = [entry["callback"] for entry in state["callbacks"]]
    assert "keras.callbacks.History" in kinds


def test_errors_are_of_this_package() -> None:
    """As all others."""
    assert issubclass(ResumeError, CheckpointError)
