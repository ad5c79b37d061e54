"""`keras-ckpt` as a whole: its words, its exit codes, and what stops it."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from keras_versioned_ckpt import CheckpointStore
from keras_versioned_ckpt._parser import parser
from keras_versioned_ckpt.cli import main

from .commands import (
    PROGRAM,
    at_terminal,
    environment,
    everything,
    obey_ctrl_c,
    run,
    seen,
    started,
    trained,
)
from .stores import save, without_powers

COMMANDS = (
    *("list", "show", "path", "explain", "prune", "tag", "untag", "verify", "repair"),
    *("diff", "load-test", "export", "import", "report", "watch"),
)


@pytest.fixture
def store(directory: Path) -> CheckpointStore:
    """A store of three versions, of which the first was deleted."""
    return trained(directory)


def help_of(*words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Returns what `--help` prints."""
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def test_the_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """These and no others, with the exit codes and how to complete."""
    text = help_of(capsys=capsys)
    listed = re.findall(r"^    ([a-z-]+)(?: |$)", text, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    for code in (0, 1, 2, 130, 141):
        assert re.search(rf"^  {code} +\w", text, re.MULTILINE)
    assert "register-python-argcomplete" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_that_can_be_read(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And its examples are command lines, and it speaks JSON."""
    text = help_of(command, capsys=capsys)
    assert "--json" in text
    examples = re.findall(r"^  keras-ckpt (.*)$", text, re.MULTILINE)
    assert examples
    for example in examples:
        words = subprocess.run(
            ["sh", "-c", f"printf '%s\\0' {example}"],
            capture_output=True,
            text=True,
            check=True,
        )
        parsed = parser().parse_args(words.stdout.split("\0")[:-1])
        assert callable(parsed.run)


def test_errors(store: CheckpointStore, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is said on stderr with exit code 1, a wrong word with 2."""
    assert main(["list", str(store.path / "nowhere")]) == 1
    assert "There is no store" in capsys.readouterr().err
    assert main(["path", str(store.path), "version_9"]) == 1
    assert "version_9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sing"], "invalid choice"),
        (["list", "STORE", "--limit", "0"], "1 or more"),
        (["list", "STORE", "--limit", "x"], "1 or more"),
        (["watch", "STORE", "--interval", "0"], "seconds"),
        (["watch", "STORE", "--interval", "soon"], "seconds"),
        (["path", "STORE", "best~x"], "A selector must be"),
        (["path", "STORE"], "required: SELECTOR"),
        (["explain", "STORE"], "required: --retention"),
        (["explain", "STORE", "--retention", "KeepLast(0)"], "must be 1 or more"),
        (["explain", "STORE", "--retention", "exit(1)"], "is not one of the rules"),
        (["explain", "STORE", "--retention", "KeepLast(1"], "is not an expression"),
        (["list", "STORE", "--gone", "--all"], "not allowed with"),
        (["list", "STORE", "--json", "--csv"], "not allowed with"),
        (["list", "STORE", "--lim", "3"], "unrecognized arguments"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and what is wrong with it, before any store is looked at."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())


def test_policies_are_never_evaluated(
    store: CheckpointStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A text that would run something is refused, and runs nothing."""
    mark = tmp_path / "ran"
    for text in (
        f"open({str(mark)!r}, 'w')",
        f"KeepLast(open({str(mark)!r}, 'w') and 1)",
        f"KeepLast(1) | __import__('os').mkdir({str(mark)!r})",
    ):
        with pytest.raises(SystemExit):
            main(["explain", str(store.path), "--retention", text])
    assert not mark.exists()
    assert "retention" in capsys.readouterr().err


def test_as_a_program(store: CheckpointStore) -> None:
    """`python -m keras_versioned_ckpt` and `keras-ckpt` are the same."""
    done = run("path", store.path, "best")
    assert (done.returncode, done.stdout) == (0, f"{store.path / 'version_2'}\n")
    script = Path(sys.executable).with_name("keras-ckpt")
    again = subprocess.run(
        [script, "path", store.path, "best"],
        capture_output=True,
        text=True,
        check=True,
        env=environment(),
    )
    assert again.stdout == done.stdout
    assert run("--version").stdout.strip() == "0.1.0"
    assert run("path", store.path, "9").returncode == 1
    assert run("sing").returncode == 2


def test_a_reader_that_leaves_is_no_error(store: CheckpointStore) -> None:
    """As `head` does: exit code 141, as of other programs, and not a word."""
    for _ in range(150):
        save(store, metrics={"x" * 500: 1.0})
    with started("list", store.path, "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_ctrl_c(store: CheckpointStore) -> None:
    """A command that waits for an answer ends with 130, and has done nothing."""
    words = ["prune", str(store.path), "--retention", "KeepLast(1)"]
    with subprocess.Popen(
        [sys.executable, "-m", "keras_versioned_ckpt", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=obey_ctrl_c,
    ) as process:
        assert process.stderr is not None
        store.untag("prod")
        asked = ""
        while "Remove" not in asked:
            asked += process.stderr.read(1)
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    assert len(store) == 2


def test_json_is_one_document_in_ascii(
    store: CheckpointStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """What does not print is escaped, so that a terminal takes no orders from it."""
    save(store, metrics={"\x1b[31mrot\u202e\u00e9": float("nan")})
    assert main(["list", str(store.path), "--json"]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out)[-1]["metrics"] == {"\x1b[31mrot\u202e\u00e9": "nan"}


@pytest.mark.parametrize("command", ["list", "show", "diff", "explain"])
def test_what_does_not_print_is_escaped(
    store: CheckpointStore, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A text from a store never reaches the terminal as it is."""
    red = "\x1b[31mred\u202e"
    save(store, metrics={red: 1.0}, metadata={red: red}, monitor=red, run_id=red)
    more = {
        "show": ["latest"],
        "diff": ["latest", "best:val_loss:min"],
        "explain": ["--retention", "KeepLast(1)"],
    }.get(command, [])
    main([command, str(store.path), *more])
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "\u202e" not in captured.out + captured.err
    if command != "diff":  # whose payload here is no file of Keras, which it says
        assert "\\x1b[31mred\\u202e" in captured.out


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-"])
def test_a_stream_that_is_closed(store: CheckpointStore, stream: str) -> None:
    """It leads nowhere; a file that is exported does not take its place."""
    store.untag("prod")
    target = store.path.parent / "copy.keras"
    export = ["export", "3", str(target)]
    for words in (["list"], ["prune", "--retention", "KeepLast(1)"], export):
        line = [*PROGRAM, words[0], str(store.path), *words[1:]]
        done = subprocess.run(
            ["sh", "-c", f'"$@" {stream}', "sh", *line],
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
        assert "Traceback" not in done.stderr
        assert done.returncode == (1 if words[0] == "prune" else 0)
    assert target.read_bytes() == b"weights"
    assert len(store) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("more", [[], ["--json"], ["--csv"]])
def test_a_disk_that_is_full(store: CheckpointStore, more: list[str]) -> None:
    """What cannot be written is an error in words, and so is said once."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*PROGRAM, "list", store.path, *more],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=environment(),
        )
    assert done.returncode == 1
    assert done.stderr == "keras-ckpt: No space left on device\n"


@pytest.mark.parametrize(
    "words",
    [
        *(["list"], ["list", "--csv"], ["show", "latest"]),
        ["explain", "--retention=KeepAll()"],
    ],
    ids=" ".join,
)
def test_letters_that_the_output_does_not_have(
    store: CheckpointStore, words: list[str]
) -> None:
    """They are escaped, at a terminal as in a pipe."""
    save(store, metrics={"pr\u00e4zision\u2192": 1.0})
    words = [words[0], str(store.path), *words[1:]]
    for encoding in ("ascii", "latin-1"):
        line = [*PROGRAM, *words]
        variables = environment(PYTHONIOENCODING=encoding, LC_ALL="C")
        done = subprocess.run(line, capture_output=True, check=False, env=variables)
        assert (done.returncode, done.stderr) == (0, b"")
        assert rb"\u2192" in done.stdout
    process, terminal = at_terminal(words, PYTHONIOENCODING="ascii", LC_ALL="C")
    text = everything(terminal)
    assert process.wait(timeout=60) == 0, text
    assert r"\u2192" in "".join(seen(text).split())


def test_a_path_is_for_a_shell_what_it_is_for_the_system(tmp_path: Path) -> None:
    """Whatever letters the output has; at a terminal, it is safe to show."""
    directory = tmp_path / os.fsdecode(b"\xff\xc3\xa9\x1b[31m")
    trained(directory)
    line = [*PROGRAM, "path", directory, "best"]
    for encoding in ("ascii", "utf-8"):
        variables = environment(PYTHONIOENCODING=encoding)
        done = subprocess.run(line, capture_output=True, check=True, env=variables)
        assert done.stdout == os.fsencode(directory / "version_2") + b"\n"
    process, terminal = at_terminal(["path", directory, "best"])
    text = everything(terminal)
    assert process.wait(timeout=60) == 0
    assert "\x1b" not in text
    assert r"\udcff" in text


def test_what_may_not_be_read(store: CheckpointStore) -> None:
    """An error of the system is told in words, with its file."""
    (store[3].path / "manifest.json").chmod(0)
    done = subprocess.run(
        [*without_powers(), *PROGRAM, "show", store.path, "3"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 1
    path = store.path / "version_3" / "manifest.json"
    assert done.stderr == f"keras-ckpt: Permission denied ({path})\n"


@pytest.mark.parametrize("words", [["list", "--limit"], ["path"], ["path", "epoch:"]])
def test_numbers_that_nobody_reads(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The message is short, and none of Python's."""
    words = [words[0], "STORE", *words[1:]]
    digits = "9" * 5000
    last = [words.pop() + digits] if words[-1] == "epoch:" else [digits]
    with pytest.raises(SystemExit) as caught:
        main([*words, *last])
    assert caught.value.code == 2
    said = capsys.readouterr().err
    assert "Received: '" in said
    assert "set_int_max_str_digits" not in said
    assert "_count" not in said
    assert len(said) < 1000


def test_words_that_do_not_print(capsys: pytest.CaptureFixture[str]) -> None:
    """They may be names of files, which a shell put in the place of a star."""
    with pytest.raises(SystemExit):
        main(["list", "STORE", "\x1b[31m"])
    assert r"unrecognized arguments: \x1b[31m" in capsys.readouterr().err
