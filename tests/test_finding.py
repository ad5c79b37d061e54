"""What lies in a folder is recognised by its content, and put in the right order."""

import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from keras_versioned_ckpt._finding import Findings, find
from keras_versioned_ckpt._reading_names import Reading
from keras_versioned_ckpt.errors import StoreError
from tests.foreign import hdf5_file, keras_file, saved_model
from tests.stores import new_store, without_powers
from tests.stores import run as run_script

MODEL_CHECKPOINT = "weights.{epoch:02d}-{val_loss:.2f}.keras"


def names(findings: Findings) -> list[str]:
    """Returns the names of what was found, in order, without their folders."""
    return [found.payload.path.name for found in findings.found]


def reasons(findings: Findings) -> dict[str, str]:
    """Returns why each was skipped, by its name."""
    return {skipped.path.name: skipped.reason for skipped in findings.skipped}


class TestRecognising:
    """The content decides, and the name only where there is nothing else."""

    def test_every_kind_is_recognised_whatever_its_name(self, tmp_path: Path) -> None:
        """Files of Keras 2 and 3 have the same endings, and some have wrong ones."""
        keras_file(tmp_path / "1.h5")
        hdf5_file(tmp_path / "2.h5", "vars", "layers")
        hdf5_file(tmp_path / "3.weights.h5", "_layer_checkpoint_dependencies")
        hdf5_file(tmp_path / "4.keras", "model_weights", attributes=("model_config",))
        hdf5_file(tmp_path / "5.weights.h5", "dense", attributes=("layer_names",))
        hdf5_file(tmp_path / "6.h5", "layers", attributes=("layer_names0",))
        saved_model(tmp_path / "7.keras")
        findings = find(tmp_path)
        assert [found.payload.format for found in findings.found] == [
            *("keras", "weights", "weights", "h5", "h5", "h5", "saved_model")
        ]
        assert findings.skipped == ()
        assert findings.found[0].payload.keras == "3.0.0"

    def test_a_file_in_another_layout_goes_by_its_name(self, tmp_path: Path) -> None:
        """HDF5 has newer ones, which Keras does not use."""
        import h5py

        for name in ("a.weights.h5", "b.h5"):
            with h5py.File(tmp_path / name, "w", libver="latest") as h5:
                h5.create_group("layers")
        found = find(tmp_path).found
        assert [each.payload.format for each in found] == ["weights", "h5"]

    def test_what_is_none_is_listed_with_the_reason(self, tmp_path: Path) -> None:
        """Every way to be none, and nothing is opened that is no file."""
        source = tmp_path / "source"
        keras_file(source / "good.keras")
        (source / "empty.keras").touch()
        (source / "text.keras").write_text("no model")
        (source / "cut.keras").write_bytes((source / "good.keras").read_bytes()[:100])
        hdf5_file(source / "other.h5", "data")
        hdf5_file(source / "long.h5", "layers", "vars")
        (source / "short.h5").write_bytes((source / "long.h5").read_bytes()[:200])
        (source / "half.h5").write_bytes((source / "long.h5").read_bytes()[:-8])
        (source / "head.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
        (source / "noise.h5").write_bytes(
            b"\x89HDF\r\n\x1a\n" + b"\0" * 5 + b"\x08\x08" + b"\xff" * 200
        )
        (source / "folder.keras").mkdir()
        (source / "link.keras").symlink_to("good.keras")
        (source / "loop.keras").symlink_to("loop.keras")
        os.mkfifo(source / "pipe.keras")
        (source / "ckpt.index").write_bytes(b"tensor bundle")
        linked = saved_model(source / "linked")
        (linked / "assets" / "secret").symlink_to("/etc/passwd")
        odd = saved_model(source / "odd")
        (odd / "assets" / "a\nb").touch()
        deep = saved_model(source / "deep")
        (deep / Path(*["d"] * 40)).mkdir(parents=True)
        (source / "fake").mkdir()
        (source / "fake" / "saved_model.pb").mkdir()
        findings = find(source)
        assert names(findings) == ["good.keras", "long.h5"]
        expected = {
            "empty.keras": "empty",
            "text.keras": "neither a .keras file nor HDF5",
            "cut.keras": "a zip file and no .keras file",
            "other.h5": r"HDF5 file that Keras did not write.*'data'",
            "short.h5": "it says that it has",
            "half.h5": "it says that it has",
            "head.h5": "it is cut short",
            "noise.h5": "it says that it has",
            "folder.keras": "an empty folder",
            "link.keras": "a link; pass what it leads to",
            "loop.keras": "a link",
            "pipe.keras": "neither a file nor a folder",
            "ckpt.index": "checkpoint of TensorFlow",
            "linked": "neither a file nor a directory.*'secret'",
            "odd": "only characters that print",
            "deep": "nested too deep",
            "fake": "its saved_model.pb is no file",
        }
        found = reasons(findings)
        assert found.keys() == expected.keys()
        for name, reason in expected.items():
            assert re.search(reason, found[name]), (name, found[name])

    def test_a_link_to_a_source_is_followed(self, tmp_path: Path) -> None:
        """It is the user's own; but one that leads nowhere is skipped."""
        keras_file(tmp_path / "a.keras")
        (tmp_path / "latest").symlink_to("a.keras")
        (tmp_path / "loop").symlink_to("loop")
        (tmp_path / "gone").symlink_to("nowhere")
        findings = find([tmp_path / name for name in ("latest", "loop", "gone")])
        assert names(findings) == ["a.keras"]
        assert reasons(findings).keys() == {"loop", "gone"}

    def test_damaged_roots_end(self, tmp_path: Path) -> None:
        """A root of which one part leads to itself is not read for ever."""
        path = hdf5_file(tmp_path / "a.h5", "layers", attributes=tuple("abcdefgh"))
        whole = bytearray(path.read_bytes())
        for position in range(0, len(whole), 7):
            changed = whole.copy()
            changed[position] ^= 0xFF
            path.write_bytes(changed)
            findings = find(path)
            assert len(findings.found) + len(findings.skipped) == 1


class TestOrder:
    """Versions are numbered in the order in which the files were made."""

    def test_a_template_orders_by_epoch(self, tmp_path: Path) -> None:
        """And what it reads comes along; other names are skipped."""
        for epoch, loss in [(2, 0.5), (10, -0.25), (1, 0.75)]:
            name = MODEL_CHECKPOINT.format(epoch=epoch, val_loss=loss)
            keras_file(tmp_path / name)
        keras_file(tmp_path / "final.keras")
        findings = find(tmp_path, MODEL_CHECKPOINT)
        assert [found.reading for found in findings.found] == [
            Reading(epoch=1, metrics={"val_loss": 0.75}),
            Reading(epoch=2, metrics={"val_loss": 0.5}),
            Reading(epoch=10, metrics={"val_loss": -0.25}),
        ]
        assert findings.order == "by {epoch} in their names"
        assert "not of the template" in reasons(findings)["final.keras"]
        assert findings.found[0].name == f"{tmp_path.name}/weights.01-0.75.keras"

    @pytest.mark.parametrize(
        ("given", "order"),
        [
            (["cp-9", "cp-10", "cp-100"], "by the numbers in their names"),
            (["m_v1_final", "m_v2_a", "m_v10"], "by the numbers in their names"),
            (["w.01-0.5", "w.02--0.5", "w.03-nan"], "by the numbers in their names"),
            (
                ["b_20261120180000", "a_20261120180001", "2027-01-01_00-00-00"],
                "by the times in their names",
            ),
            (["z", "best", "a"], "by when they were changed last"),
            (["b1", "a2"], "by when they were changed last"),
        ],
    )
    def test_without_a_template_names_or_times_decide(
        self, tmp_path: Path, given: list[str], order: str
    ) -> None:
        """Whichever of them puts all in an order."""
        by_time = order == "by when they were changed last"
        for place, name in enumerate(given):
            modified = 1000.0 * (place if by_time else -place) + 1e9
            keras_file(tmp_path / f"{name}.keras", modified=modified)
        findings = find(tmp_path)
        assert names(findings) == [f"{name}.keras" for name in given]
        assert findings.order == order

    def test_folders_made_by_hand_go_by_their_names(self, tmp_path: Path) -> None:
        """The one model in each; what lies beside it is listed."""
        for number in (1, 2, 10):
            keras_file(tmp_path / f"version_{number}" / "model.keras")
        (tmp_path / "version_2" / "history.json").write_text("{}")
        keras_file(tmp_path / "many" / "a.keras")
        keras_file(tmp_path / "many" / "b.keras")
        (tmp_path / "version_1" / "logs").mkdir()
        findings = find(tmp_path)
        assert [found.name for found in findings.found] == [
            f"version_{number}/model.keras" for number in (1, 2, 10)
        ]
        assert findings.order == "by the numbers in their names"
        assert reasons(findings).keys() == {"history.json", "many", "logs"}
        assert "pass it itself" in reasons(findings)["many"]
        read = find(tmp_path, "version_{number:d}").found
        assert [found.reading.number for found in read] == [1, 2, 10]

    def test_sources_are_the_same_one_by_one(self, tmp_path: Path) -> None:
        """A shell lists `version_10` before `version_2`, and may do so twice."""
        for number in (1, 2, 10):
            keras_file(tmp_path / f"version_{number}" / "model.keras")
        folders = sorted(tmp_path.iterdir())
        files = sorted(tmp_path.glob("*/model.keras"))
        expected = find(tmp_path)
        assert find(folders) == find(files) == find([*files, tmp_path]) == expected

    def test_trainings_come_one_after_the_other(self, tmp_path: Path) -> None:
        """A template with folders looks as deep as it has parts."""
        for run in ("run9", "run10"):
            for number in (2, 1):
                keras_file(tmp_path / run / f"version_{number}" / "model.keras")
        for template in (
            "{run}/version_{number}/model.keras",
            "{run}/version_{number}",
        ):
            findings = find(tmp_path, template)
            read = [(f.reading.run, f.reading.number) for f in findings.found]
            assert read == [("run9", 1), ("run9", 2), ("run10", 1), ("run10", 2)]
            assert (
                findings.order == "by {number} in their names; training after training"
            )

    def test_an_epoch_is_read_without_a_template(self, tmp_path: Path) -> None:
        """But no metric: 0.92 may be a loss or an accuracy."""
        keras_file(tmp_path / "weights.05-0.92.keras")
        keras_file(tmp_path / "weights.06-0.95.keras")
        findings = find(tmp_path)
        assert [found.reading for found in findings.found] == [
            Reading(epoch=5),
            Reading(epoch=6),
        ]
        assert "Pass a template" in findings.notes[0]

    def test_times_are_of_the_zone(self, tmp_path: Path) -> None:
        """Which is that of `Timestamped` unless another is given."""
        keras_file(tmp_path / "model_20261120180000.keras")
        template = "model_{created:%Y%m%d%H%M%S}"
        [found] = find(tmp_path, template, timezone="Asia/Tokyo").found
        assert found.reading.created == datetime(2026, 11, 20, 9, tzinfo=UTC)


class TestArguments:
    """Wrong sources are refused before anything is done."""

    def test_a_store_is_no_source(self, tmp_path: Path) -> None:
        """Nor is a copy of one without its own room; in a folder it is passed over."""
        store = new_store(tmp_path / "runs" / "store", 0.5)
        with pytest.raises(StoreError, match="is a store already"):
            find(store.path)
        findings = find(tmp_path / "runs")
        assert reasons(findings) == {"store": "a store"}
        assert "export" in reasons(find(store.path / "version_1"))["version_1"]
        shutil.rmtree(store.path / ".versions")
        with pytest.raises(StoreError, match="is a store already"):
            find(store.path)

    def test_what_is_not_there_is_an_error(self, tmp_path: Path) -> None:
        """A typing error must not look as if there were nothing to import."""
        with pytest.raises(
            ValueError, match="`sources` must be files and folders that"
        ):
            find([tmp_path / "missing"])

    @pytest.mark.parametrize("sources", [5, [5], [b"a"], "", ["a\0b"]])
    def test_sources_are_paths(self, sources: object) -> None:
        """Anything else is refused in Keras's wording."""
        with pytest.raises((TypeError, ValueError), match="`sources` must be paths"):
            find(sources)  # type: ignore[arg-type]

    def test_a_name_that_is_no_text_is_taken(self, tmp_path: Path) -> None:
        """What is not UTF-8 is recorded with a mark in its place."""
        keras_file(tmp_path / os.fsdecode(b"m\xff1.keras"))
        [found] = find(tmp_path).found
        assert found.name == f"{tmp_path.name}/m\ufffd1.keras"


def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    """It is skipped with the reason, and not taken for a store."""
    (tmp_path / "locked").mkdir(mode=0o000)
    script = """
import sys
from keras_versioned_ckpt._finding import find
(skipped,) = find([sys.argv[1]]).skipped
print(skipped.reason)
"""
    done = run_script(script, tmp_path / "locked", before=without_powers())
    assert done.stdout == "it may not be read\n", done.stderr
