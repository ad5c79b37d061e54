"""`keras-ckpt explain`, `prune`, `tag`, `untag`."""

from pathlib import Path

import pytest

from keras_versioned_ckpt import CheckpointStore
from keras_versioned_ckpt.cli import main

from .commands import run, told
from .stores import found, new_store, save

LAST = ["--retention", "KeepLast(1)"]


@pytest.fixture
def store(directory: Path) -> CheckpointStore:
    """A store of four versions."""
    return new_store(directory, 4.0, 1.0, 3.0, 2.0)


def test_explain(store: CheckpointStore, capsys: pytest.CaptureFixture[str]) -> None:
    """The plan with the reason for each, what is freed, and nothing is done."""
    policy = "KeepLast(1) | KeepBest(1, 'val_loss', 'min') | KeepDaily(1)"
    assert main(["explain", str(store.path), "--retention", policy]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{policy} keeps the newest version, the best by val_loss")
    assert "removed: no rule keeps it" in out
    assert "kept: best val_loss 1" in out
    assert "2 kept, 2 removed, 14 B freed" in out
    plan = told(capsys, "explain", store.path, "--retention", policy)
    assert [version["number"] for version in plan["remove"]] == [1, 3]
    assert plan["size_bytes_freed"] == 14
    assert plan["reasons"]["1"] == ["removed: no rule keeps it"]
    assert found(store) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("answer", "code", "left"),
    [
        ("y\n", 0, [4]),
        ("YES\n", 0, [4]),
        ("n\n", 1, [1, 2, 3, 4]),
        ("\n", 1, [1, 2, 3, 4]),
        ("yesterday\n", 1, [1, 2, 3, 4]),
        ("", 1, [1, 2, 3, 4]),
    ],
)
def test_prune_shows_the_plan_and_asks(
    store: CheckpointStore, answer: str, code: int, left: list[int]
) -> None:
    """Only a yes is a yes; the question stands beside the answer of the command."""
    done = run("prune", store.path, *LAST, answer=answer)
    assert done.returncode == code
    assert "removed: no rule keeps it" in done.stdout
    assert "Remove 3 versions? [y/N]" in done.stderr
    assert ("Nothing was removed." in done.stderr) == (code == 1)
    assert ("Removed 3 versions." in done.stdout) == (code == 0)
    assert found(store) == left


def test_prune_without_a_question(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--yes` for scripts; `--dry-run` removes nothing, also with `--yes`."""
    assert main(["prune", str(store.path), *LAST, "--dry-run", "--yes"]) == 0
    assert "1 kept, 3 removed" in capsys.readouterr().out
    assert found(store) == [1, 2, 3, 4]
    plan = told(capsys, "prune", store.path, *LAST, "--yes")
    assert [version["number"] for version in plan["remove"]] == [1, 2, 3]
    assert found(store) == [4]
    assert store.history[0].policy == "KeepLast(1)"
    assert main(["prune", str(store.path), *LAST]) == 0, "there is nothing to ask"


def test_prune_as_json_asks_nothing(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a word on what to do it is a wrong command line."""
    assert main(["prune", str(store.path), *LAST, "--json"]) == 2
    assert "--yes or --dry-run" in capsys.readouterr().err
    assert found(store) == [1, 2, 3, 4]
    assert told(capsys, "prune", store.path, *LAST, "--dry-run")["size_bytes_freed"]
    assert found(store) == [1, 2, 3, 4]


def test_prune_tells_what_takes_no_part(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """A damaged version is neither counted nor removed, and that is said."""
    (store[2].path / "model.keras").write_bytes(b"rotten")
    assert main(["prune", str(store.path), *LAST, "--yes"]) == 0
    captured = capsys.readouterr()
    assert "version_2" in captured.err
    assert "CheckpointWarning" not in captured.err
    assert found(store) == [2, 4]


def test_prune_says_if_the_store_has_changed_since_the_question(
    store: CheckpointStore,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A training may save while somebody thinks about the answer."""

    class Typing:
        """Somebody who answers after a version more is there."""

        def readline(self) -> str:
            save(store, loss=1.5)
            return "y\n"

    monkeypatch.setattr("sys.stdin", Typing())
    assert main(["prune", str(store.path), *LAST]) == 0
    out = capsys.readouterr().out
    assert "The store has changed meanwhile" in out
    assert "1 kept, 4 removed" in out
    assert found(store) == [5]


def test_tag_and_untag(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """By any selector; the version is then never pruned."""
    assert main(["tag", str(store.path), "best:val_loss:min", "prod"]) == 0
    assert capsys.readouterr().out == "version_2 is tagged prod.\n"
    assert main(["prune", str(store.path), *LAST, "--yes"]) == 0
    assert found(store) == [2, 4]
    assert told(capsys, "tag", store.path, "latest", "prod")["tags"] == ["prod"]
    assert store.tags["prod"].number == 4
    assert told(capsys, "untag", store.path, "prod") == {"untagged": "prod"}
    assert not store.tags
    assert main(["untag", str(store.path), "prod"]) == 1
    assert main(["tag", str(store.path), "latest", "best"]) == 1
    assert "tag" in capsys.readouterr().err
