"""From a store to a model, in this process and in others."""

import errno
import json
import shutil
import subprocess
import sys
import textwrap
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
    KeepBest,
    KeepLast,
    ResumeError,
    StoreNotFoundError,
    UnsafeVersionError,
    VersionedCheckpoint,
    VersionNotFoundError,
    load_best,
    load_checkpoint,
    load_latest,
    load_version,
    save_version,
)

from .zoo import LogValues, data, fit, network, same_weights, weights


@pytest.fixture
def trained(directory: Path) -> Path:
    """A store of three versions with the losses 2, 1, 3, and so the best is 2."""
    model, values = network(), LogValues("val_loss", [2, 1, 3])
    fit(model, values, VersionedCheckpoint(directory))
    return directory


def epoch(model: Any) -> int:
    """Returns the epoch that the model was saved in, told by its optimizer."""
    return int(model.optimizer.iterations) // 5


def flip(path: Path) -> None:
    """Changes one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


class TestWhich:
    """Each function and selector finds its version."""

    def test_best_latest_and_version(self, trained: Path) -> None:
        """The monitor and its mode are in the manifest, so load_best needs no more."""
        assert epoch(load_best(trained)) == 2
        assert epoch(load_best(trained, "val_loss", "max")) == 3
        assert epoch(load_latest(trained)) == 3
        assert epoch(load_version(trained, 1)) == 1
        assert epoch(load_version(trained, "version_2")) == 2

    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            ("latest", 3),
            ("latest~1", 2),
            ("latest~2", 1),
            ("best", 2),
            ("best~1", 1),
            ("best~2", 3),
            ("best:loss:max", 1),
            ("2", 2),
            ("3~2", 1),
            (3, 3),
            ("version_3", 3),
            ("version_3~1", 2),
            ("epoch:2", 2),
            ("step:15", 3),
        ],
    )
    def test_selectors(self, trained: Path, selector: Any, expected: int) -> None:
        """A selector loads the version that it names, N earlier with ~N."""
        assert epoch(load_checkpoint(trained, selector)) == expected

    def test_as_of_a_time(self, trained: Path) -> None:
        """A time without a zone is the local one, and a warning says so."""
        second = CheckpointStore(trained)[2].created
        assert epoch(load_checkpoint(trained, f"as-of:{second.isoformat()}")) == 2
        local = second.astimezone().replace(tzinfo=None)
        with pytest.warns(CheckpointWarning, match="read in the local time zone"):
            assert epoch(load_checkpoint(trained, f"as-of:{local}")) == 2

    def test_best_by_another_metric_that_keras_knows(self, trained: Path) -> None:
        """The direction of every metric that Keras knows is in the manifests."""
        store = CheckpointStore(trained)
        by_accuracy = store.best("val_accuracy")
        assert by_accuracy == store.best("val_accuracy", "max")
        assert epoch(load_best(trained, "val_accuracy")) == by_accuracy.epoch
        assert store.select("best:val_accuracy") == by_accuracy

    def test_best_where_no_training_monitored_anything(self, directory: Path) -> None:
        """val_loss is what a training would have monitored."""
        for value in (0.5, 0.25, 0.75):
            save_version(network(), directory, metrics={"val_loss": value})
        assert CheckpointStore(directory).best().number == 2
        assert load_best(directory)

    def test_from_a_version(self, trained: Path) -> None:
        """Version.load() is the same as load_version."""
        for version in CheckpointStore(trained):
            assert epoch(version.load()) == version.epoch

    def test_best_over_two_runs(self, trained: Path) -> None:
        """The best of both runs is found."""
        values = LogValues("val_loss", [0.5])
        fit(network(), values, VersionedCheckpoint(trained), epochs=1)
        assert CheckpointStore(trained).best().number == 4
        values = LogValues("val_loss", [9])
        fit(network(), values, VersionedCheckpoint(trained), epochs=1)
        assert CheckpointStore(trained).best().number == 4


class TestWhatWasBetter:
    """If the best that ever was has been pruned, load_best says so."""

    def test_the_best_was_pruned(self, trained: Path) -> None:
        """Its name, value and the policy that removed it are in the warning."""
        CheckpointStore(trained).prune(KeepLast(1))
        with pytest.warns(
            CheckpointWarning,
            match=r"'val_loss' of this store was 1 in version_2, number 2, which is "
            r"gone \(removed: no rule keeps it, by KeepLast\(1\)\). "
            r"Loaded version_3 with 3",
        ):
            assert epoch(load_best(trained)) == 3

    def test_a_worse_one_was_pruned(self, trained: Path) -> None:
        """Then there is nothing to say."""
        CheckpointStore(trained).prune(KeepBest(1))
        assert epoch(load_best(trained)) == 2

    def test_a_person_deleted_it(self, trained: Path) -> None:
        """Nor where a person decided."""
        CheckpointStore(trained).delete(2)
        assert epoch(load_best(trained)) == 1

    def test_only_the_best_is_spoken_of(self, trained: Path) -> None:
        """Other selectors have nothing to do with it."""
        CheckpointStore(trained).prune(KeepLast(2))
        CheckpointStore(trained).prune(KeepLast(1))
        assert epoch(load_latest(trained)) == 3


class TestNothingFound:
    """The error lists what exists."""

    def test_missing_store(self, trained: Path) -> None:
        """A store that is not there: the stores beside it are named."""
        with pytest.raises(StoreNotFoundError, match=f"Stores in .*: '{trained.name}'"):
            load_best(trained.with_name("other"))
        with pytest.raises(FileNotFoundError):
            load_latest(trained.with_name("other"))

    def test_a_directory_that_is_no_store(self, tmp_path: Path) -> None:
        """What it holds is listed."""
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(StoreNotFoundError, match=r"holds: 'notes.txt'"):
            load_latest(tmp_path)

    def test_empty_store(self, directory: Path) -> None:
        """An empty store has no latest and no best."""
        CheckpointStore(directory, create=True)
        for load in (load_latest, load_best):
            with pytest.raises((VersionNotFoundError, ValueError), match="empty|no "):
                load(directory)

    def test_missing_version(self, trained: Path) -> None:
        """The versions that exist are named."""
        for version in (7, "version_7"):
            with pytest.raises(VersionNotFoundError, match="version_1.*version_3"):
                load_version(trained, version)
        CheckpointStore(trained).delete(1)
        with pytest.raises(VersionNotFoundError, match="gone: removed: deleted by"):
            load_version(trained, 1)

    def test_a_metric_that_nobody_has(self, trained: Path) -> None:
        """The metrics that exist are named."""
        with pytest.raises(VersionNotFoundError, match="val_loss"):
            load_best(trained, "val_f1", "max")

    def test_a_direction_that_nobody_knows(self, directory: Path) -> None:
        """mode= is asked for."""
        save_version(network(), directory, metrics={"odd": 1})
        with pytest.raises(ValueError, match="mode"):
            load_best(directory, "odd")
        assert load_best(directory, "odd", "max")


class TestDamage:
    """What is loaded is what was saved, or nothing is loaded."""

    def test_latest_and_best_step_over_damage_with_a_warning(
        self, trained: Path
    ) -> None:
        """The next good version is loaded, and the damaged one is named."""
        flip(trained / "version_3" / "model.keras")
        with pytest.warns(CheckpointWarning, match=r"version_3 is damaged.*SHA-256"):
            assert epoch(load_latest(trained)) == 2
        flip(trained / "version_2" / "model.keras")
        with pytest.warns(CheckpointWarning, match="version_2 is damaged"):
            assert epoch(load_best(trained)) == 1

    def test_strict_raises(self, trained: Path) -> None:
        """With strict=True the damage is an error."""
        flip(trained / "version_3" / "model.keras")
        with pytest.raises(CorruptVersionError, match="version_3/model.keras"):
            load_latest(trained, strict=True)

    def test_one_version_always_raises(self, trained: Path) -> None:
        """Who asked for one version gets no other."""
        flip(trained / "version_3" / "model.keras")
        for load in (
            lambda: load_version(trained, 3),
            lambda: load_checkpoint(trained, "version_3"),
            CheckpointStore(trained)[3].load,
        ):
            with pytest.raises(CorruptVersionError, match="SHA-256"):
                load()

    def test_all_damaged(self, trained: Path) -> None:
        """When nothing is intact, every damaged version is named."""
        for path in trained.glob("version_*/model.keras"):
            flip(path)
        with (
            pytest.warns(CheckpointWarning),
            pytest.raises(
                CorruptVersionError, match="'version_1', 'version_2', 'version_3'"
            ),
        ):
            load_latest(trained)

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda v: (v / "model.keras").unlink(), "lacks files"),
            (lambda v: (v / "model.keras").write_bytes(b"short"), "has 5 bytes"),
            (lambda v: (v / "extra").write_text("x"), "does not list"),
            (lambda v: (v / "manifest.json").unlink(), "has no manifest.json"),
            (lambda v: (v / "manifest.json").write_text("{}"), "not a manifest"),
            (
                lambda v: shutil.copy(v.with_name("version_1") / "manifest.json", v),
                "copied or renamed",
            ),
        ],
    )
    def test_kinds_of_damage(self, trained: Path, damage: Any, message: str) -> None:
        """Each says what is wrong with which file."""
        damage(trained / "version_3")
        with pytest.raises(CorruptVersionError, match=message):
            load_version(trained, 3)

    def test_a_link_in_place_of_the_payload(self, trained: Path) -> None:
        """It is refused for its structure, though its content be the same."""
        payload = trained / "version_3" / "model.keras"
        moved = payload.rename(trained.with_name("elsewhere.keras"))
        payload.symlink_to(moved)
        with pytest.raises(UnsafeVersionError, match="neither a file nor a directory"):
            load_version(trained, 3)
        with pytest.raises(UnsafeVersionError):
            load_latest(trained, strict=True)
        with pytest.warns(CheckpointWarning, match="version_3 is damaged and passed"):
            assert epoch(load_latest(trained)) == 2

    def test_a_version_of_another_store_under_the_same_name(
        self, trained: Path, tmp_path: Path
    ) -> None:
        """It is whole, and it is not what was saved here."""
        other = network(units=9)
        for _ in range(3):
            save_version(other, tmp_path / "other")
        shutil.rmtree(trained / "version_3")
        shutil.copytree(tmp_path / "other" / "version_3", trained / "version_3")
        listed = CheckpointStore(trained)[3]
        for load in (lambda: load_version(trained, 3), listed.load):
            with pytest.raises(CorruptVersionError, match="in another store"):
                load()
        with pytest.warns(CheckpointWarning, match="version_3 is damaged"):
            assert epoch(load_latest(trained)) == 2

    def test_verify_can_be_left_out(self, trained: Path) -> None:
        """verify=False reads no file first; how it is built is seen all the same."""
        payload = trained / "version_2" / "model.keras"
        payload.write_bytes(b"no zip at all".ljust(payload.stat().st_size))
        with pytest.raises(CorruptVersionError, match="it is no zip file") as caught:
            load_version(trained, 2, verify=False)
        assert caught.value.__cause__ is not None
        (trained / "version_2" / "notes.txt").write_text("mine")
        (trained / "version_3" / "notes.txt").write_text("mine")
        assert epoch(load_latest(trained, verify=False)) == 3

    @pytest.mark.parametrize("content", [None, b"short"])
    def test_what_costs_no_reading_is_checked_all_the_same(
        self, trained: Path, content: bytes | None
    ) -> None:
        """With verify=False a missing or shortened file is damage, and stepped over."""
        payload = trained / "version_3" / "model.keras"
        payload.unlink()
        if content is not None:
            payload.write_bytes(content)
        with pytest.warns(CheckpointWarning, match="version_3 is damaged"):
            assert epoch(load_latest(trained, verify=False)) == 2

    @pytest.mark.parametrize(
        ("cause", "error", "stepped_over"),
        [
            (OSError(errno.EIO, "the disk fails"), CorruptVersionError, True),
            (PermissionError(errno.EACCES, "not yours"), CheckpointError, False),
            (MemoryError(), CheckpointError, False),
            (RecursionError("too deep"), CheckpointError, False),
        ],
    )
    def test_what_cannot_be_read(
        self,
        trained: Path,
        monkeypatch: pytest.MonkeyPatch,
        cause: Exception,
        error: type[Exception],
        stepped_over: bool,
    ) -> None:
        """The error is one of ours, the cause is chained; a failing disk is damage."""
        from keras_versioned_ckpt import _integrity

        checked = _integrity.checked

        def failing(directory: Path, *rest: Any) -> Any:
            if directory.name == "version_3":
                raise cause
            return checked(directory, *rest)

        monkeypatch.setattr(_integrity, "checked", failing)
        with pytest.raises(error, match="version_3 cannot be read") as caught:
            load_version(trained, 3)
        assert caught.value.__cause__ is cause
        if stepped_over:
            with pytest.warns(CheckpointWarning, match="version_3 is damaged"):
                assert epoch(load_latest(trained)) == 2
        else:
            with pytest.raises(error):
                load_latest(trained)

    def test_pruned_between_listing_and_reading(self, trained: Path) -> None:
        """The listing is made anew, and the newest version that is left is loaded."""
        from keras_versioned_ckpt import loading

        read = loading.checked
        calls = []

        def racing(version: Any, options: Any) -> Any:
            calls.append(version.number)
            if len(calls) == 1:
                CheckpointStore(trained).delete(version.number)
            return read(version, options)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loading, "checked", racing)
            assert epoch(load_latest(trained)) == 2
        assert calls == [3, 2]

    def test_a_record_of_a_version_that_is_gone(self, trained: Path) -> None:
        """An old record does not load; the error says why."""
        version = CheckpointStore(trained)[1]
        CheckpointStore(trained).delete(1)
        with pytest.raises(VersionNotFoundError, match="pruned since it was listed"):
            version.load()


class TestOptions:
    """The options of every load function."""

    def test_weights_into_a_model(self, trained: Path) -> None:
        """model= takes the weights and the optimizer, and is what is returned."""
        model = network()
        assert load_version(trained, 2, model=model) is model
        assert same_weights(weights(model), weights(load_version(trained, 2)))
        assert epoch(model) == 2

    def test_weights_only_versions(self, directory: Path) -> None:
        """They need model=, and say so."""
        model = network()
        fit(model, VersionedCheckpoint(directory, format="weights"), epochs=1)
        with pytest.raises(ValueError, match="`model` must be given"):
            load_latest(directory)
        fresh = keras.models.clone_model(model)
        fresh.compile("adam", "binary_crossentropy")
        load_best(directory, model=fresh)
        assert same_weights(weights(fresh), weights(model))

    def test_a_model_that_does_not_fit(self, trained: Path) -> None:
        """Another architecture is refused, and Keras's reason is chained."""
        with pytest.raises(ResumeError, match="do not fit") as caught:
            load_latest(trained, model=network(units=5))
        assert caught.value.__cause__ is not None

    def test_compile(self, trained: Path) -> None:
        """compile=False gives a model without optimizer."""
        assert load_latest(trained).compiled
        assert not load_latest(trained, compile=False).compiled

    def test_custom_objects(self, directory: Path) -> None:
        """A custom layer is found where it is given, and is an error where not."""

        class Twice(keras.layers.Layer):
            def call(self, x: Any) -> Any:
                return 2 * x

        model = keras.Sequential([keras.Input((30,)), Twice(), keras.layers.Dense(1)])
        model.compile("adam", "mse")
        save_version(model, directory)
        loaded = load_latest(directory, custom_objects={"Twice": Twice})
        x, _ = data()
        assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
        with pytest.raises(CheckpointError, match="Twice"):
            load_latest(directory)

    def test_safe_mode(self, directory: Path) -> None:
        """A lambda is code: refused unless the caller says otherwise."""
        model = keras.Sequential(
            [keras.Input((30,)), keras.layers.Lambda(lambda x: x + 1)]
        )
        save_version(model, directory)
        with pytest.raises(UnsafeVersionError, match="would run code"):
            load_latest(directory)
        x, _ = data()
        loaded = load_latest(directory, safe_mode=False)
        assert np.allclose(loaded.predict(x, verbose=0), x + 1)

    @pytest.mark.parametrize(
        ("options", "error"),
        [
            ({"model": "a model"}, TypeError),
            ({"custom_objects": [1]}, TypeError),
            ({"strict": 1}, TypeError),
            ({"safe_mode": None}, TypeError),
            ({"nonsense": True}, TypeError),
        ],
    )
    def test_wrong_options(
        self, trained: Path, options: dict[str, Any], error: type[Exception]
    ) -> None:
        """Wrong options are refused before anything is read."""
        with pytest.raises(error, match=next(iter(options))):
            load_latest(trained, **options)


class TestSavedModel:
    """A SavedModel is a program."""

    def test_it_needs_trust(self, directory: Path) -> None:
        """Without trust_code=True it is refused; with it, it computes the same."""
        model = network()
        save_version(model, directory, format="saved_model", metrics={"loss": 1})
        with pytest.raises(UnsafeVersionError, match="trust_code=True"):
            load_latest(directory)
        loaded = load_best(directory, "loss", trust_code=True)
        assert isinstance(loaded, keras.layers.TFSMLayer)
        x, _ = data()
        assert np.allclose(loaded(x), model.predict(x, verbose=0), atol=1e-6)
        with pytest.raises(ValueError, match="`model` must be `None`"):
            load_latest(directory, trust_code=True, model=model)

    def test_two_architectures_side_by_side_with_plain_tensorflow(
        self, directory: Path
    ) -> None:
        """tf.saved_model.load opens two versions of one store, each its own model."""
        import tensorflow as tf

        narrow, wide = network(units=3), network(units=9)
        for model in (narrow, wide):
            save_version(model, directory, format="saved_model")
        x, _ = data()
        loaded = [
            tf.saved_model.load(str(directory / name / "saved_model"))
            for name in ("version_1", "version_2")
        ]
        for restored, model in zip(loaded, (narrow, wide), strict=True):
            assert np.allclose(
                restored.serve(x), model.predict(x, verbose=0), atol=1e-6
            )
        shapes = [sorted(tuple(v.shape) for v in m.variables) for m in loaded]
        assert shapes[0] != shapes[1]


PLAIN = """
    import importlib.util, json, sys
    sys.path[:] = [p for p in sys.path if p not in ("", {root!r})]
    sys.meta_path = [
        f for f in sys.meta_path if "__editable__" not in getattr(f, "__module__", "")
    ]
    assert importlib.util.find_spec("keras_versioned_ckpt") is None
    import keras, numpy as np
    path, format, reference = sys.argv[1:]
    if format == "keras":
        model = keras.saving.load_model(path + "/model.keras")
    else:
        model = keras.models.model_from_json(open(reference).read())
        model.compile("adam", "binary_crossentropy")
        model.load_weights(path + "/model.weights.h5")
    print(json.dumps([w.tolist() for w in model.get_weights()]))
"""


@pytest.mark.parametrize("format", ["keras", "weights"])
def test_plain_keras_opens_every_payload(directory: Path, format: str) -> None:
    """A process in which this package cannot be imported loads the same weights."""
    model = network()
    fit(model, VersionedCheckpoint(directory, format=format), epochs=2)
    version = CheckpointStore(directory).latest()
    reference = directory.with_name("architecture.json")
    reference.write_text(model.to_json())
    root = str(Path(__file__).parents[1])
    script = textwrap.dedent(PLAIN).format(root=root)
    printed = subprocess.run(
        [sys.executable, "-c", script, version.path, format, reference],
        check=True,
        capture_output=True,
        text=True,
        cwd=directory,
    ).stdout
    loaded = [
        np.array(w, dtype="float32") for w in json.loads(printed.splitlines()[-1])
    ]
    assert same_weights(loaded, weights(model))
