"""`VersionedCheckpoint` in real calls of `fit`."""

import copy
import json
import math
import multiprocessing
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_versioned_ckpt import (
    CheckpointStore,
    CheckpointWarning,
    EveryEpochs,
    EveryInterval,
    EverySteps,
    KeepBest,
    KeepLast,
    OnImprovement,
    OnTrainEnd,
    SaveError,
    VersionedCheckpoint,
    load_best,
    load_latest,
    load_version,
)

from .zoo import LogValues, data, fit, network, same_weights, weights


def saved(directory: Path) -> list[int]:
    """Returns the numbers of the versions in a store."""
    return [version.number for version in CheckpointStore(directory)]


def epochs(directory: Path) -> list[int | None]:
    """Returns the epochs of the versions in a store."""
    return [version.epoch for version in CheckpointStore(directory)]


class TestEveryEpoch:
    """The default: one version per epoch."""

    def test_each_epoch_is_a_version_of_its_own(self, directory: Path) -> None:
        """Three epochs give three versions, numbered, scored and durable."""
        checkpoint = VersionedCheckpoint(directory)
        history = fit(network(), checkpoint)
        versions = checkpoint.store.versions
        assert [v.number for v in versions] == [1, 2, 3]
        assert [v.name for v in versions] == ["version_1", "version_2", "version_3"]
        assert [v.epoch for v in versions] == [1, 2, 3]
        assert [v.step for v in versions] == [5, 10, 15]
        assert [v.parent for v in versions] == [None, 1, 2]
        assert len({v.run_id for v in versions}) == 1
        assert [v.metrics["val_loss"] for v in versions] == history.history["val_loss"]
        assert (checkpoint.latest, checkpoint.store.verify().ok) == (versions[-1], True)

    @pytest.mark.parametrize("background", [True, False])
    def test_a_version_holds_the_weights_of_its_moment(
        self, directory: Path, background: bool
    ) -> None:
        """Weights that change right after the hook never leak into the version."""
        seen = []

        class Spoil(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                seen.append(weights(self.model))
                self.model.set_weights([w * 0 - epoch for w in seen[-1]])

        checkpoint = VersionedCheckpoint(directory, save_on_background=background)
        fit(network(), checkpoint, Spoil())
        for number in (1, 2, 3):
            loaded = load_version(directory, number)
            assert same_weights(weights(loaded), seen[number - 1])

    def test_a_second_fit_goes_on_in_the_same_store(self, directory: Path) -> None:
        """The callback is used twice; the second run continues the numbers."""
        model, checkpoint = network(), VersionedCheckpoint(directory)
        fit(model, checkpoint, epochs=2)
        fit(model, checkpoint, epochs=4, initial_epoch=2)
        versions = checkpoint.store.versions
        assert [v.number for v in versions] == [1, 2, 3, 4]
        assert [v.epoch for v in versions] == [1, 2, 3, 4]
        assert versions[0].run_id == versions[1].run_id != versions[2].run_id

    def test_metadata_and_trigger_are_in_the_manifest(self, directory: Path) -> None:
        """What the user and the trigger say is kept with the version."""
        fit(network(), VersionedCheckpoint(directory, metadata={"lr": 0.1}), epochs=1)
        version = CheckpointStore(directory).latest()
        assert version.metadata == {"lr": 0.1}
        text = (version.path / "manifest.json").read_text()
        assert '"EveryEpochs()"' in text
        assert '"tensorflow' in text

    def test_naming_by_template(self, directory: Path) -> None:
        """Names hold epoch and metric, and a metric that is not there is nan."""
        naming = "{epoch:02d}-{val_loss:.2f}-{nothing:.1f}"
        history = fit(
            network(), VersionedCheckpoint(directory, naming=naming), epochs=1
        )
        loss = history.history["val_loss"][0]
        assert CheckpointStore(directory).latest().name == f"01-{loss:.2f}-nan"

    @pytest.mark.parametrize(
        ("options", "payload"),
        [
            ({}, "model.keras"),
            ({"format": "weights"}, "model.weights.h5"),
            ({"save_weights_only": True}, "model.weights.h5"),
            ({"format": "saved_model"}, "saved_model"),
        ],
    )
    def test_formats(
        self, directory: Path, options: dict[str, Any], payload: str
    ) -> None:
        """Each format puts its own file or directory into the version."""
        fit(network(), VersionedCheckpoint(directory, **options), epochs=1)
        version = CheckpointStore(directory).latest()
        names = {path.name for path in version.path.iterdir()}
        assert names == {"manifest.json", "training_state.json", payload}

    def test_an_array_of_one_number_is_a_number(self, directory: Path) -> None:
        """As Keras's F1Score logs it for one class."""
        f1 = keras.metrics.F1Score(threshold=0.5, name="f1")
        model = network()
        model.compile("adam", "binary_crossentropy", metrics=[f1])
        x, y = data()
        checkpoint = VersionedCheckpoint(directory, "val_f1", keep_best=1)
        fit_options = {"validation_data": (x[80:], y[80:, None]), "epochs": 2}
        model.fit(
            x[:80], y[:80, None], verbose=0, callbacks=[checkpoint], **fit_options
        )
        assert checkpoint.best is not None
        assert checkpoint.best.mode == "max"

    @pytest.mark.parametrize("value", [None, {"a": 1}, "high", b"x", [1, 2], object()])
    def test_a_log_that_is_no_number_costs_no_training(
        self, directory: Path, value: Any
    ) -> None:
        """It is left out, with a warning."""

        class Odd(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                logs["odd"] = value

        with pytest.warns(CheckpointWarning, match="'odd' is not a scalar"):
            fit(network(), Odd(), VersionedCheckpoint(directory), epochs=1)
        assert "odd" not in CheckpointStore(directory).latest().metrics

    def test_a_metric_that_is_no_scalar_is_said_once(self, directory: Path) -> None:
        """A vector in the logs is left out of the manifest with one warning."""

        class Vector(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                logs["per_class"] = np.array([0.5, 0.25])

        with pytest.warns(CheckpointWarning, match="'per_class' is not a scalar") as w:
            fit(network(), Vector(), VersionedCheckpoint(directory), epochs=2)
        assert len([x for x in w if x.category is CheckpointWarning]) == 1
        assert "per_class" not in CheckpointStore(directory).latest().metrics

    def test_verbose_prints_a_line_per_save(
        self, directory: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What was saved and what went is said; verbose=0 says nothing."""
        fit(network(), VersionedCheckpoint(directory, keep_last=1, verbose=1), epochs=2)
        out = capsys.readouterr().out
        assert "Epoch 1: saved version_1, val_loss" in out
        assert "removed version_1 (no rule keeps it)" in out
        fit(network(), VersionedCheckpoint(directory), epochs=1)
        assert capsys.readouterr().out == ""


class TestSaveBestOnly:
    """The best so far comes from the store, and only scores count."""

    def test_only_improvements_are_saved(self, directory: Path) -> None:
        """Values 5 6 4 4 3 save the epochs 1, 3 and 5; a tie is no improvement."""
        values = LogValues("val_loss", [5, 6, 4, 4, 3])
        fit(
            network(),
            values,
            VersionedCheckpoint(directory, save_best_only=True),
            epochs=5,
        )
        assert epochs(directory) == [1, 3, 5]

    def test_a_save_in_flight_counts_already(self, directory: Path) -> None:
        """The next epoch compares with a version that is still being written."""
        values = LogValues("val_loss", [1, 2, 3, 4])
        checkpoint = VersionedCheckpoint(directory, save_best_only=True)
        commit = CheckpointStore.commit

        def slow(*args: Any, **kwargs: Any) -> Any:
            released.wait(30)
            return commit(*args, **kwargs)

        released = multiprocessing.Event()

        class Release(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                if epoch == 2:
                    released.set()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CheckpointStore, "commit", slow)
            fit(network(), values, checkpoint, Release(), epochs=4)
        assert epochs(directory) == [1]

    def test_a_second_fit_and_a_new_callback_know_the_best(
        self, directory: Path
    ) -> None:
        """A worse run saves nothing, be it by the same callback or by a new one."""
        checkpoint = VersionedCheckpoint(directory, save_best_only=True)
        fit(network(), LogValues("val_loss", [0.2]), checkpoint, epochs=1)
        fit(network(), LogValues("val_loss", [0.9, 0.3]), checkpoint, epochs=2)
        again = VersionedCheckpoint(directory, save_best_only=True)
        fit(network(), LogValues("val_loss", [0.8, 0.1]), again, epochs=2)
        assert [v.metrics["val_loss"] for v in again.store] == [0.2, 0.1]

    def test_a_new_process_knows_the_best(self, directory: Path) -> None:
        """A worse run in another process saves nothing."""
        values = LogValues("val_loss", [0.0001])
        fit(
            network(),
            values,
            VersionedCheckpoint(directory, save_best_only=True),
            epochs=1,
        )
        script = (
            "import sys; from tests.zoo import fit, network\n"
            "from keras_versioned_ckpt import VersionedCheckpoint\n"
            "fit(network(), VersionedCheckpoint(sys.argv[1], save_best_only=True))"
        )
        subprocess.run([sys.executable, "-c", script, directory], check=True)
        assert saved(directory) == [1]

    def test_a_missing_metric_saves_an_unscored_version(self, directory: Path) -> None:
        """With validation_freq=2 the epochs between are saved, warned of, unranked."""
        checkpoint = VersionedCheckpoint(directory, save_best_only=True)
        with pytest.warns(CheckpointWarning) as caught:
            fit(network(), checkpoint, epochs=4, validation_freq=2)
        texts = {str(w.message) for w in caught if w.category is CheckpointWarning}
        assert len(texts) == 1
        assert "'val_loss' is not available" in texts.pop()
        scored = [v.epoch for v in checkpoint.store if "val_loss" in v.metrics]
        assert scored
        assert set(scored) <= {2, 4}
        assert {1, 3} <= set(epochs(directory))
        assert checkpoint.best is not None
        assert checkpoint.best.epoch in scored

    @pytest.mark.parametrize("keep_last", [1, 2])
    def test_an_unscored_version_never_displaces_the_best(
        self, directory: Path, keep_last: int
    ) -> None:
        """Not even out of KeepLast: the best stays until a better one comes."""
        values = LogValues("val_loss", [0.5, None, 0.6, math.nan, None])
        checkpoint = VersionedCheckpoint(
            directory, save_best_only=True, keep_last=keep_last
        )
        with pytest.warns(CheckpointWarning, match="cannot be compared"):
            fit(network(), values, checkpoint, epochs=5)
        assert checkpoint.best is not None
        assert checkpoint.best.metrics["val_loss"] == 0.5
        assert epochs(directory) == ([1, 5] if keep_last == 1 else [1, 4, 5])

    @pytest.mark.parametrize(
        "options",
        [
            {"keep_best": 3},
            {"save_freq": EveryEpochs() | OnImprovement()},
            {"retention": KeepLast(2) | KeepBest(1, "val_typo", "min")},
        ],
    )
    def test_a_monitor_that_nobody_measures_is_said_once(
        self, directory: Path, options: dict[str, Any]
    ) -> None:
        """Also where retention or a trigger looks at it."""
        checkpoint = VersionedCheckpoint(directory, **options)
        with pytest.warns(CheckpointWarning) as caught:
            fit(network(), checkpoint, epochs=3, validation_data=None)
        texts = [str(w.message) for w in caught if w.category is CheckpointWarning]
        assert len(texts) == 1
        assert "is not available" in texts[0]
        assert "Metrics that exist: 'accuracy', 'loss'" in texts[0]

    def test_the_warning_names_the_metrics_that_exist(self, directory: Path) -> None:
        """A monitor that is never logged is named beside those that are."""
        checkpoint = VersionedCheckpoint(
            directory, "val_lossy", "min", save_best_only=True
        )
        with pytest.warns(CheckpointWarning, match="'accuracy', 'loss'"):
            fit(network(), checkpoint, epochs=1)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_values_that_are_not_finite_never_win(
        self, directory: Path, value: float
    ) -> None:
        """They are saved unscored, lock nothing out and displace nothing."""
        values = LogValues("val_loss", [value, 0.5, value, 0.4])
        checkpoint = VersionedCheckpoint(directory, save_best_only=True)
        with pytest.warns(CheckpointWarning, match="cannot be compared"):
            fit(network(), values, checkpoint, epochs=4)
        assert epochs(directory) == [1, 2, 3, 4]
        assert checkpoint.best is not None
        assert checkpoint.best.epoch == 4
        assert str(checkpoint.store[1].metrics["val_loss"]) == str(value)

    def test_initial_value_threshold(self, directory: Path) -> None:
        """Nothing is saved that does not improve on the threshold, as in Keras."""
        values = LogValues("val_loss", [0.6, 0.5, 0.4, 0.45])
        checkpoint = VersionedCheckpoint(
            directory, save_best_only=True, initial_value_threshold=0.5
        )
        fit(network(), values, checkpoint, epochs=4)
        assert epochs(directory) == [3]

    def test_the_threshold_against_keras(self, directory: Path, tmp_path: Path) -> None:
        """The same values make Keras's ModelCheckpoint save in the same epochs."""
        values = [0.6, 0.5, 0.41, 0.42, 0.4, 0.3999]
        keras_saves = []

        class Spy(keras.callbacks.ModelCheckpoint):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                before = set(tmp_path.glob("*.keras"))
                super().on_epoch_end(epoch, logs)
                if set(tmp_path.glob("*.keras")) - before:
                    keras_saves.append(epoch + 1)

        options = {"save_best_only": True, "initial_value_threshold": 0.45}
        fit(
            network(),
            LogValues("val_loss", list(values)),
            Spy(tmp_path / "{epoch}.keras", **options),
            VersionedCheckpoint(directory, **options),
            epochs=6,
        )
        assert epochs(directory) == keras_saves == [3, 5, 6]

    def test_maximized_metric(self, directory: Path) -> None:
        """The direction of accuracy is Keras's own knowledge."""
        values = LogValues("val_accuracy", [0.5, 0.4, 0.6, 0.6])
        checkpoint = VersionedCheckpoint(directory, "val_accuracy", save_best_only=True)
        fit(network(), values, checkpoint, epochs=4)
        assert epochs(directory) == [1, 3]
        assert checkpoint.store.latest().mode == "max"


class TestMode:
    """`mode="auto"` is Keras's knowledge, and needed only where something depends."""

    UNKNOWN = (keras.metrics.Mean(name="odd"),)

    def test_an_unused_monitor_never_raises(self, directory: Path) -> None:
        """A monitor that decides nothing may be unknown, missing, or both."""
        fit(network(), VersionedCheckpoint(directory, "val_odd"), epochs=1)
        version = CheckpointStore(directory).latest()
        assert (version.monitor, version.mode) == ("val_odd", None)

    @pytest.mark.parametrize(
        "options",
        [
            {"save_best_only": True},
            {"keep_best": 2},
            {"retention": KeepLast(1) | KeepBest(1)},
            {"save_freq": OnImprovement()},
            {"save_freq": EveryEpochs(2) | OnImprovement("val_odd")},
        ],
    )
    def test_a_used_one_raises_at_the_start_of_training(
        self, directory: Path, options: dict[str, Any]
    ) -> None:
        """The advice is to pass mode=, and no batch has been trained."""
        model = network()
        with pytest.raises(ValueError, match=r"Pass `mode='min'` or `mode='max'`"):
            fit(model, VersionedCheckpoint(directory, "val_odd", **options))
        assert int(model.optimizer.iterations) == 0

    def test_mode_settles_it(self, directory: Path) -> None:
        """With mode= the same monitor is used."""
        values = LogValues("val_odd", [1, 3, 2])
        checkpoint = VersionedCheckpoint(
            directory, "val_odd", "max", keep_best=1, keep_last=1
        )
        fit(network(), values, checkpoint, epochs=3)
        assert epochs(directory) == [2, 3]
        assert checkpoint.best is not None
        assert checkpoint.best.epoch == 2


class TestBatches:
    """`save_freq` as a number of batches, and triggers that look at batches."""

    def steps(self, directory: Path) -> list[int | None]:
        return [version.step for version in CheckpointStore(directory)]

    def test_batches_are_counted_across_epochs(self, directory: Path) -> None:
        """Every 3 of 2 x 5 batches: after the steps 3, 6 and 9."""
        fit(network(), VersionedCheckpoint(directory, save_freq=3), epochs=2)
        assert self.steps(directory) == [3, 6, 9]
        first, second, third = CheckpointStore(directory)
        assert [(v.epoch, v.batch) for v in (first, second, third)] == [
            (0, 3),
            (1, 1),
            (1, 4),
        ]

    @pytest.mark.parametrize("steps_per_execution", [2, 3, 5, 7])
    @pytest.mark.parametrize("save_freq", [1, 4, 6])
    def test_as_often_as_keras_with_steps_per_execution(
        self, directory: Path, tmp_path: Path, steps_per_execution: int, save_freq: int
    ) -> None:
        """Keras's ModelCheckpoint beside it saves at the very same steps."""
        keras_steps = []

        class Spy(keras.callbacks.ModelCheckpoint):
            def _save_model(self, **ignored: Any) -> None:
                keras_steps.append(int(self.model.optimizer.iterations))

        fit(
            network(steps_per_execution=steps_per_execution),
            Spy(tmp_path / "model.keras", save_freq=save_freq),
            VersionedCheckpoint(directory, save_freq=save_freq),
            epochs=3,
        )
        assert self.steps(directory) == keras_steps

    def test_with_save_best_only_on_a_validation_metric(self, directory: Path) -> None:
        """In the middle of an epoch there is none: saved unscored, never the best."""
        checkpoint = VersionedCheckpoint(directory, save_freq=2, save_best_only=True)
        with pytest.warns(CheckpointWarning, match="'val_loss' is not available"):
            fit(network(), checkpoint, epochs=2)
        assert self.steps(directory) == [2, 4, 6, 8, 10]
        assert not any("val_loss" in version.metrics for version in checkpoint.store)
        assert checkpoint.best is None

    def test_a_running_metric_is_never_ranked(self, directory: Path) -> None:
        """Over as little as one batch it says nothing: saved, and never the best."""
        checkpoint = VersionedCheckpoint(
            directory, "loss", save_freq=1, save_best_only=True
        )
        with pytest.warns(CheckpointWarning, match="a running mean in the middle"):
            fit(network(), checkpoint, epochs=2)
        assert self.steps(directory) == list(range(1, 11))
        assert all("loss" in version.metrics for version in checkpoint.store)
        assert checkpoint.best is None

    def test_retention_does_not_rank_it_either(self, directory: Path) -> None:
        """Only the ends of epochs compete for the best."""
        trigger = EveryEpochs() | EverySteps(2)
        checkpoint = VersionedCheckpoint(
            directory, "accuracy", save_freq=trigger, keep_best=1
        )
        fit(network(), checkpoint, epochs=3)
        assert checkpoint.best is not None
        assert checkpoint.best.batch is None

    def test_a_hook_of_a_subclass_is_called_too(self, directory: Path) -> None:
        """Saving by batches does not hide what a subclass does there."""
        batches = []

        class Counting(VersionedCheckpoint):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                batches.append(batch)

        fit(network(), Counting(directory, save_freq=5), epochs=2)
        assert batches == [0, 1, 2, 3, 4] * 2
        assert self.steps(directory) == [5, 10]

    def test_the_end_of_a_training_without_optimizer(self, directory: Path) -> None:
        """Where no optimizer counts, the last epoch is saved, and only once."""

        class Own(keras.Model):
            def __init__(self) -> None:
                super().__init__()
                self.dense = keras.layers.Dense(1)

            def call(self, x: Any) -> Any:
                return self.dense(x)

            def train_step(self, batch: Any) -> Any:
                return {"loss": keras.ops.mean(self(batch[0]))}

        model = Own()
        model.compile()
        model.optimizer = None
        trigger = EveryEpochs(2) | OnTrainEnd()
        checkpoint = VersionedCheckpoint(directory, "loss", save_freq=trigger)
        x, y = data()
        model.fit(x, y, epochs=5, verbose=0, callbacks=[checkpoint])
        assert epochs(directory) == [2, 4, 5]
        model.fit(x, y, epochs=2, verbose=0, callbacks=[checkpoint])
        assert epochs(directory) == [2, 4, 5, 2]

    def test_steps_and_end_of_training(self, directory: Path) -> None:
        """Triggers compose, and the end of training does not save a state twice."""
        trigger = EverySteps(4) | OnTrainEnd()
        fit(network(), VersionedCheckpoint(directory, save_freq=trigger), epochs=2)
        assert self.steps(directory) == [4, 8, 10]
        model, again = network(), directory.with_name("again")
        fit(
            model,
            VersionedCheckpoint(again, save_freq=trigger),
            epochs=2,
            batch_size=20,
        )
        assert self.steps(again) == [4, 8]

    def test_a_schedule(self, directory: Path) -> None:
        """Every 2 steps until 10, every 5 until 20, then every 10."""
        trigger = (
            EverySteps(2, until=10)
            | EverySteps(5, start=10, until=20)
            | EverySteps(10, start=20)
        )
        checkpoint = VersionedCheckpoint(directory, save_freq=trigger)
        fit(network(), checkpoint, epochs=8)
        assert self.steps(directory) == [2, 4, 6, 8, 10, 15, 20, 30, 40]

    def test_steps_over_several_calls_of_fit(self, directory: Path) -> None:
        """The optimizer counts on, and so do the multiples."""
        model = network()
        checkpoint = VersionedCheckpoint(directory, save_freq=EverySteps(4))
        for _ in range(3):
            fit(model, checkpoint, epochs=1)
        assert self.steps(directory) == [4, 8, 12]

    def test_steps_of_a_run_that_goes_on_from_a_version(self, directory: Path) -> None:
        """A loaded model counts on from the step it was saved at."""
        trigger = EverySteps(4)
        fit(network(), VersionedCheckpoint(directory, save_freq=trigger), epochs=2)
        resumed = load_latest(directory)
        fit(resumed, VersionedCheckpoint(directory, save_freq=trigger), epochs=2)
        assert self.steps(directory) == [4, 8, 12, 16]

    def test_steps_with_gradient_accumulation(self, directory: Path) -> None:
        """A step is an update of the weights, not a batch: 15 batches are 7."""
        model = network()
        optimizer = keras.optimizers.Adam(gradient_accumulation_steps=2)
        model.compile(optimizer, "binary_crossentropy")
        fit(model, VersionedCheckpoint(directory, save_freq=EverySteps(3)), epochs=3)
        assert self.steps(directory) == [3, 6]

    @pytest.mark.parametrize("steps_per_execution", [2, 3, 4])
    def test_steps_with_steps_per_execution(
        self, directory: Path, steps_per_execution: int
    ) -> None:
        """A multiple that is passed over is saved at the next chance, once."""
        model = network(steps_per_execution=steps_per_execution)
        fit(model, VersionedCheckpoint(directory, save_freq=EverySteps(5)), epochs=3)
        assert self.steps(directory) == [5, 10, 15]
        again = directory.with_name("again")
        model = network(steps_per_execution=steps_per_execution)
        fit(model, VersionedCheckpoint(again, save_freq=EverySteps(3)), epochs=3)
        looks = [
            epoch * 5 + min(end, 5)
            for epoch in range(3)
            for end in range(
                steps_per_execution, 5 + steps_per_execution, steps_per_execution
            )
        ]
        crossed = [
            look
            for before, look in zip([0, *looks], looks, strict=False)
            if look // 3 > before // 3
        ]
        assert self.steps(again) == crossed

    def test_intervals_are_counted_from_the_last_save(self, directory: Path) -> None:
        """On a clock that a test moves: one minute a batch, every 4 minutes."""
        checkpoint = VersionedCheckpoint(directory, save_freq=EveryInterval(minutes=4))
        now = [0.0]

        class Tick(keras.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                now[0] += 60

        checkpoint._clock = lambda: now[0]
        fit(network(), Tick(), checkpoint, epochs=3)
        assert self.steps(directory) == [4, 8, 12]

    def test_an_interval_and_steps(self, directory: Path) -> None:
        """With & both must hold at the same moment."""
        trigger = EverySteps(5) & EveryInterval(minutes=8)
        checkpoint = VersionedCheckpoint(directory, save_freq=trigger)
        now = [0.0]

        class Tick(keras.callbacks.Callback):
            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                now[0] += 60

        checkpoint._clock = lambda: now[0]
        fit(network(), Tick(), checkpoint, epochs=4)
        assert self.steps(directory) == [10, 20]

    def test_one_save_for_several_triggers(self, directory: Path) -> None:
        """The manifest of the one version names all that fired."""
        trigger = EveryEpochs(2) | OnImprovement("val_loss") | OnTrainEnd()
        values = LogValues("val_loss", [3, 2, 4])
        checkpoint = VersionedCheckpoint(directory, save_freq=trigger)
        fit(network(), values, checkpoint, epochs=3)
        fired = [
            json.loads((version.path / "manifest.json").read_text())["trigger"]
            for version in checkpoint.store
        ]
        assert fired == [
            ["OnImprovement('val_loss', 'min')"],
            ["EveryEpochs(2)", "OnImprovement('val_loss', 'min')"],
            ["OnTrainEnd()"],
        ]

    def test_min_delta_as_in_keras(self, directory: Path) -> None:
        """EarlyStopping and OnImprovement see the same improvements."""
        values = [1.0, 0.95, 0.85, 0.80, 0.74]
        improved = []

        class Spy(keras.callbacks.EarlyStopping):
            def _is_improvement(self, monitor_value: Any, reference_value: Any) -> Any:
                answer = super()._is_improvement(monitor_value, reference_value)
                improved.append(bool(answer))
                return answer

        trigger = OnImprovement(min_delta=0.1)
        fit(
            network(),
            LogValues("val_loss", list(values)),
            Spy("val_loss", min_delta=0.1, patience=99),
            VersionedCheckpoint(directory, save_freq=trigger),
            epochs=5,
        )
        expected = [i + 1 for i, answer in enumerate(improved[: len(values)]) if answer]
        assert epochs(directory) == expected == [1, 3, 5]


def test_metrics_of_a_batch_are_read_only_for_a_save(directory: Path) -> None:
    """To read them makes training wait for the device."""
    read = []

    class Metric:
        def __array__(self, *ignored: Any, **also: Any) -> np.ndarray:
            read.append(self)
            return np.array(0.5)

    class Log(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            logs["slow"] = Metric()

    fit(network(), Log(), VersionedCheckpoint(directory, save_freq=5), epochs=2)
    versions = CheckpointStore(directory).versions
    assert [v.metrics["slow"] for v in versions] == [0.5, 0.5]
    assert len(set(read)) == 2


class TestDispatch:
    """Keras's asynchronous dispatch looks at which batch hooks are overridden."""

    def test_saving_every_epoch_overrides_no_batch_hook(self, directory: Path) -> None:
        """Only a trigger that looks at batches brings the hook in."""
        hooks = (
            "on_train_batch_end",
            "on_test_batch_end",
            "on_predict_batch_end",
            "on_batch_end",
            "on_train_batch_begin",
            "on_batch_begin",
        )
        checkpoint = VersionedCheckpoint(
            directory, save_freq="epoch", save_best_only=True
        )
        for hook in hooks:
            assert getattr(getattr(checkpoint, hook), "_is_default", False), hook
        by_batch = VersionedCheckpoint(directory, save_freq=2)
        assert not getattr(by_batch.on_train_batch_end, "_is_default", False)

    def test_dispatch_stays_asynchronous_on_jax(self, directory: Path) -> None:
        """A real fit on JAX dispatches batches on other threads beside the callback."""
        script = """
import sys, threading
import keras
from keras_versioned_ckpt import VersionedCheckpoint
from tests.zoo import fit, network

class Where(keras.callbacks.Callback):
    async_safe = True
    threads = set()
    def on_train_batch_end(self, batch, logs=None):
        self.threads.add(threading.current_thread() is threading.main_thread())

for save_freq in ("epoch", 2):
    Where.threads.clear()
    fit(network(), VersionedCheckpoint(sys.argv[1], save_freq=save_freq), Where())
    print(save_freq, Where.threads)
"""
        printed = subprocess.run(
            [sys.executable, "-c", script, directory],
            env={**__import__("os").environ, "KERAS_BACKEND": "jax"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
        assert printed == ["epoch {False}", "2 {True}"]
        assert len(CheckpointStore(directory)) == 3 + 7


class TestRetention:
    """Pruning after each save."""

    def test_keep_last_and_keep_best(self, directory: Path) -> None:
        """Losses 3 1 2 5 4 6: the best two and the last two stay."""
        values = LogValues("val_loss", [3, 1, 2, 5, 4, 6])
        policy = KeepLast(2) | KeepBest(2)
        checkpoint = VersionedCheckpoint(directory, retention=policy)
        fit(network(), values, checkpoint, epochs=6)
        assert saved(directory) == [2, 3, 5, 6]
        gone = {e.number: e.reason for e in checkpoint.store.history if e.gone}
        assert gone == dict.fromkeys([1, 4], "removed: no rule keeps it")

    def test_short_forms_join(self, directory: Path) -> None:
        """keep_last and keep_best mean the same, and join retention=."""
        short = VersionedCheckpoint(directory, keep_last=2, keep_best=2)
        assert short.retention == KeepLast(2) | KeepBest(2)
        joined = VersionedCheckpoint(directory, retention=KeepLast(5), keep_best=1)
        assert joined.retention == KeepLast(5) | KeepBest(1)
        assert VersionedCheckpoint(directory).retention is None

    def test_the_new_version_is_durable_before_an_old_one_goes(
        self, directory: Path
    ) -> None:
        """At the moment of every removal the newer version is there and verifies."""
        from keras_versioned_ckpt import _removal

        seen = []
        to_trash = _removal.to_trash

        def spy(layout: Any, version: Any) -> None:
            newest = CheckpointStore(directory).latest()
            assert newest.number > version.number
            assert weights(newest.load())  # its bytes are those of the manifest
            seen.append(version.number)
            to_trash(layout, version)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_removal, "to_trash", spy)
            fit(network(), VersionedCheckpoint(directory, keep_last=1))
        assert seen == [1, 2]

    def test_a_failed_save_prunes_nothing(self, directory: Path) -> None:
        """The save that fails raises, and what was there stays."""
        fit(network(), VersionedCheckpoint(directory, keep_last=2), epochs=2)
        (directory / ".versions" / "staging").chmod(0o755)
        with pytest.MonkeyPatch.context() as patch:
            from keras_versioned_ckpt import _staging

            def fails(self: Any, manifest: bytes, target: Path) -> None:
                raise OSError(28, "No space left on device", str(target))

            patch.setattr(_staging.Staged, "commit", fails)
            with pytest.raises(SaveError, match="version_3 .*No space left on device"):
                fit(network(), VersionedCheckpoint(directory, keep_last=1), epochs=1)
        assert saved(directory) == [1, 2]
        assert not any((directory / ".versions" / "staging").iterdir())

    def test_a_version_deleted_by_hand_does_not_crash_training(
        self, directory: Path
    ) -> None:
        """The user removes directories between epochs; training goes on."""

        class Meddle(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                checkpoint.wait()
                shutil.rmtree(directory / f"version_{epoch + 1}")

        checkpoint = VersionedCheckpoint(
            directory, retention=KeepLast(2) | KeepBest(1), save_best_only=True
        )
        fit(
            network(),
            LogValues("val_loss", [5, 4, 3, 2]),
            checkpoint,
            Meddle(),
            VersionedCheckpoint(directory.with_name("other")),
            epochs=4,
        )
        assert saved(directory) == []
        gone = [e.reason for e in checkpoint.store.history]
        assert len(gone) == 4
        assert all("directory is missing" in reason for reason in gone)


class TestFailures:
    """A failed save is never silent."""

    @pytest.mark.parametrize("background", [True, False])
    def test_it_raises_at_the_next_hook(
        self, directory: Path, background: bool
    ) -> None:
        """The epoch after the failed save is the last one."""
        model = network()
        checkpoint = VersionedCheckpoint(directory, save_on_background=background)
        ended = []

        class Count(keras.callbacks.Callback):
            def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
                if (thread := checkpoint._saver._background._thread) is not None:
                    thread.join()
                ended.append(epoch)

        with pytest.MonkeyPatch.context() as patch:

            def fails(*args: Any, **kwargs: Any) -> Any:
                raise SaveError("no luck")

            patch.setattr(CheckpointStore, "commit", fails)
            with pytest.raises(SaveError, match="no luck"):
                fit(model, checkpoint, Count(), epochs=5)
        assert ended == [0]

    def test_in_the_last_epoch_it_raises_from_fit(self, directory: Path) -> None:
        """At the latest, the end of training waits and raises."""
        with pytest.MonkeyPatch.context() as patch:

            def fails(*args: Any, **kwargs: Any) -> Any:
                raise SaveError("no luck")

            patch.setattr(CheckpointStore, "commit", fails)
            with pytest.raises(SaveError, match="no luck"):
                fit(network(), VersionedCheckpoint(directory), epochs=1)

    def test_a_model_that_keras_cannot_save(self, directory: Path) -> None:
        """Keras's own error is the cause, and staging is clean."""

        class Unsaveable(keras.layers.Layer):
            def call(self, x: Any) -> Any:
                return x

            def save_own_variables(self, store: Any) -> None:
                raise RuntimeError("this layer cannot be saved")

        model = keras.Sequential(
            [keras.Input((30,)), Unsaveable(), keras.layers.Dense(1)]
        )
        model.compile("adam", "mse")
        with pytest.raises(SaveError, match="this layer cannot be saved") as caught:
            fit(model, VersionedCheckpoint(directory), epochs=1)
        # Keras raises `from None` out of `fit`, which hides the cause but keeps it.
        assert isinstance(caught.value.__context__, RuntimeError)
        assert not any((directory / ".versions" / "staging").iterdir())
        assert saved(directory) == []

    def test_nobody_waits(self, directory: Path) -> None:
        """When fit itself fails, a failed save is a warning at the end."""
        script = """
import sys
from keras_versioned_ckpt import CheckpointStore, SaveError, VersionedCheckpoint
from tests.zoo import fit, network
import keras

def fails(*args, **kwargs):
    raise SaveError("no luck at all")
CheckpointStore.commit = fails

class Break(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt
try:
    fit(network(), VersionedCheckpoint(sys.argv[1]), Break())
except KeyboardInterrupt:
    print("interrupted")
"""
        done = subprocess.run(
            [sys.executable, "-c", script, directory],
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout == "interrupted\n"
        assert "nobody waited for it: no luck at all" in done.stderr

    def test_a_save_in_flight_is_completed_when_fit_raises(
        self, directory: Path
    ) -> None:
        """The interpreter does not exit before the version is on the disk."""
        script = """
import sys
from keras_versioned_ckpt import VersionedCheckpoint
from tests.zoo import fit, network
import keras

class Break(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("training broke")
fit(network(), VersionedCheckpoint(sys.argv[1]), Break())
"""
        done = subprocess.run(
            [sys.executable, "-c", script, directory], capture_output=True, text=True
        )
        assert "training broke" in done.stderr
        assert saved(directory) == [1]
        assert CheckpointStore(directory).verify().ok


class TestCopies:
    """Pickling and copying the callback."""

    @pytest.mark.parametrize(
        "copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
    )
    @pytest.mark.parametrize("save_freq", ["epoch", 5])
    def test_a_copy_works_on_its_own(
        self, directory: Path, copied: Any, save_freq: Any
    ) -> None:
        """A copy, made before or after use, trains into the same store."""
        checkpoint = VersionedCheckpoint(
            directory, save_freq=save_freq, keep_last=3, metadata={"a": [1]}
        )
        fresh = copied(checkpoint)
        fit(network(), checkpoint, epochs=1)
        used = copied(checkpoint)
        fit(network(), fresh, epochs=1)
        fit(network(), used, epochs=1)
        assert saved(directory) == [1, 2, 3]
        assert used.retention == checkpoint.retention
        assert used.latest is not None
        assert used.latest.metadata == {"a": [1]}


class TestTwoRuns:
    """Two runs in one store at the same time."""

    def test_no_number_is_shared_and_nothing_is_lost(self, directory: Path) -> None:
        """Two real processes train at once; every version of both is there."""
        script = (
            "import sys; from tests.zoo import fit, network\n"
            "from keras_versioned_ckpt import VersionedCheckpoint\n"
            "fit(network(), VersionedCheckpoint(sys.argv[1]), epochs=10)"
        )
        runs = [
            subprocess.Popen([sys.executable, "-c", script, directory])
            for _ in range(2)
        ]
        assert [run.wait() for run in runs] == [0, 0]
        store = CheckpointStore(directory)
        assert saved(directory) == list(range(1, 21))
        by_run: dict[str | None, list[int | None]] = {}
        for version in store:
            by_run.setdefault(version.run_id, []).append(version.epoch)
        assert list(by_run.values()) == [list(range(1, 11))] * 2
        assert store.verify().ok


def test_the_best_is_what_load_best_loads(directory: Path) -> None:
    """The model that is loaded has the score that its manifest tells."""
    checkpoint = VersionedCheckpoint(directory, "val_accuracy", keep_best=1)
    fit(network(), checkpoint, epochs=4)
    x, y = data()
    measured = load_best(directory).evaluate(x[80:], y[80:], verbose=0)[1]
    assert checkpoint.best is not None
    assert measured == pytest.approx(checkpoint.best.metrics["val_accuracy"], abs=1e-6)


def test_nothing_in_the_training_changes(directory: Path) -> None:
    """The same training with and without the callback gives the same weights."""
    plain, watched = network(), network()
    fit(plain)
    keras.utils.set_random_seed(7)
    fit(watched, VersionedCheckpoint(directory, save_freq=2, keep_last=2))
    keras.utils.set_random_seed(7)
    again = network()
    fit(again)
    assert same_weights(weights(plain), weights(again))
    assert same_weights(weights(plain), weights(watched))
