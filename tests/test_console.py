"""What is printed at a terminal, and what everywhere else."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from keras_versioned_ckpt import CheckpointStore

from .commands import at_terminal, environment, everything, run, seen, trained
from .stores import save


@pytest.fixture
def store(directory: Path) -> CheckpointStore:
    """A store of three versions, of which the first was deleted."""
    return trained(directory)


def shown(*words: object, **variables: str) -> str:
    """Returns what a command prints at a terminal, and checks that it ends well."""
    process, terminal = at_terminal(words, **variables)
    text = everything(terminal)
    assert process.wait(timeout=60) == 0, text
    return text


def test_a_terminal_gets_a_table_that_is_drawn(store: CheckpointStore) -> None:
    """With a rule, the best in bold and green, and a line about all of it."""
    text = shown("list", store.path)
    assert "───" in seen(text)
    best = next(line for line in text.splitlines() if "version_2" in line)
    assert re.search(r"\x1b\[1;32m[^\x1b]*version_2", best)
    assert "best of them by val_loss: version_2" in seen(text)
    other = next(line for line in text.splitlines() if "version_3" in line)
    assert "\x1b[1;32m" not in other


def test_a_pipe_gets_plain_text(store: CheckpointStore) -> None:
    """No colours, no lines that are drawn, a row for each version."""
    done = run("list", store.path)
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 2 + 2


def test_no_color(store: CheckpointStore) -> None:
    """`NO_COLOR` leaves the table and takes its colours."""
    text = shown("list", store.path, NO_COLOR="1")
    assert "───" in text
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", text)


def test_a_dumb_terminal_gets_plain_text(store: CheckpointStore) -> None:
    """As a pipe does."""
    text = shown("list", store.path, TERM="dumb")
    assert "\x1b" not in text
    assert "───" not in text


def test_markup_in_a_store_is_text(store: CheckpointStore) -> None:
    """Neither a style nor a link nor an emoji nor a broken tag is made of it."""
    tricks = "[bold red]x[/] [link=https://example.org]y[/link] :skull: [/"
    save(store, metrics={tricks: 1.0}, metadata={"a": tricks})
    text = shown("list", store.path, COLUMNS="300")
    assert tricks in seen(text)
    assert "\x1b]8" not in text
    assert tricks in seen(shown("show", store.path, "latest", COLUMNS="300"))


def test_without_rich_a_terminal_gets_plain_text(store: CheckpointStore) -> None:
    """It comes with Keras, which a machine that only looks need not have."""
    script = (
        "import sys; sys.modules['rich'] = None; sys.stdout.isatty = lambda: True\n"
        "sys.stderr.isatty = lambda: True\n"
        "from keras_versioned_ckpt.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    for command in ("list", "verify"):
        done = subprocess.run(
            [sys.executable, "-c", script, command, store.path],
            capture_output=True,
            text=True,
            check=True,
            env=environment(TERM="xterm"),
        )
        assert done.stdout.isascii()
        assert done.stderr == ""
        assert (
            done.stdout.splitlines()[0]
            == run(command, store.path).stdout.splitlines()[0]
        )


def test_verify_shows_how_far_it_is(store: CheckpointStore) -> None:
    """A bar with the bytes, the rate and the time left, on standard error alone."""
    for _ in range(3):
        save(store, os.urandom(20_000_000))
    text = seen(shown("verify", store.path))
    assert "verifying" in text
    assert "━" in text
    assert re.search(r"/60\.0 MB", text)
    assert re.search(r"[kMG]B/s", text)
    assert re.search(r"\d:\d\d:\d\d", text)
    assert text.rstrip().endswith("5 versions checked, no problem")
    done = run("verify", store.path)
    assert (done.stdout, done.stderr) == ("5 versions checked, no problem\n", "")


def test_nothing_is_lost_on_a_narrow_terminal(store: CheckpointStore) -> None:
    """A cell takes more lines; where that would be too many, it is as in a pipe."""
    sha256 = run("show", store.path, "2").stdout.split("SHA-256 ")[1].strip()
    text = seen(shown("show", store.path, "2", COLUMNS="40"))
    found = [line.split()[-1] for line in text.splitlines() if line.split()]
    assert sha256 in "".join(found)
    text = seen(shown("list", store.path, COLUMNS="75"))
    assert "───" in text
    assert "\u2026" not in text
    row = next(line for line in text.splitlines() if "version_2" in line)
    assert row.split()[:4] == ["2", "version_2", "2", "-"]
    text = seen(shown("list", store.path, COLUMNS="40"))
    assert "───" not in text
    for line, plain in zip(
        text.splitlines(), run("list", store.path).stdout.splitlines(), strict=True
    ):
        # Apart from how old it is.
        assert re.sub(r"\d+ s", "", line) == re.sub(r"\d+ s", "", plain)


def test_a_cell_that_nobody_reads_is_cut(store: CheckpointStore) -> None:
    """At a terminal as in a pipe; what JSON tells is whole."""
    save(store, metadata={"a": "x" * 500_000})
    for text in (
        shown("show", store.path, "latest"),
        run("show", store.path, "latest").stdout,
    ):
        assert 500 < text.count("x") < 1500
    assert run("show", store.path, "latest", "--json").stdout.count("x") == 500_000
