"""Completion in a shell, asked as a shell asks."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .commands import environment, trained

BASH = shutil.which("bash")

# What bash does when somebody presses the tabulator after these words.
SCRIPT = """
eval "$(register-python-argcomplete keras-ckpt)"
COMP_LINE="$1"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
read -r -a COMP_WORDS <<< "$COMP_LINE"
[[ "$COMP_LINE" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete keras-ckpt
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(line: str, cwd: Path) -> list[str]:
    """Returns how bash would go on with a line."""
    bin = Path(sys.executable).parent
    path = f"{bin}:{environment()['PATH']}"
    done = subprocess.run(
        [str(BASH), "-c", SCRIPT, "bash", line],
        capture_output=True,
        text=True,
        check=True,
        cwd=cwd,
        env=environment(PATH=path),
    )
    return [word.strip() for word in done.stdout.split("\n") if word.strip()]


@pytest.mark.skipif(BASH is None, reason="there is no bash to complete in")
def test_in_bash(tmp_path: Path) -> None:
    """Commands, options, folders, and what is in the store."""
    trained(tmp_path / "digits")
    (tmp_path / "a_file").touch()
    assert completed("keras-ckpt ver", tmp_path) == ["verify"]
    assert "--retention" in completed("keras-ckpt prune --", tmp_path)
    assert completed("keras-ckpt list ", tmp_path)[-1:] == ["digits/"]
    assert "a_file" not in completed("keras-ckpt list ", tmp_path)
    words = completed("keras-ckpt path digits ", tmp_path)
    assert {"latest", "best", "version_2", "version_3"} <= set(words)
    assert completed("keras-ckpt path digits version_", tmp_path) == [
        "version_2",
        "version_3",
    ]
    assert completed("keras-ckpt diff digits best la", tmp_path) == ["latest"]
    assert "prod" in completed("keras-ckpt path digits tag:", tmp_path)[0]
    assert completed("keras-ckpt untag digits ", tmp_path) == ["prod"]


@pytest.mark.skipif(BASH is None, reason="there is no bash to complete in")
def test_where_there_is_no_store(tmp_path: Path) -> None:
    """Nothing is said, and what needs no store is offered."""
    assert completed("keras-ckpt path nowhere l", tmp_path) == ["latest"]
    assert completed("keras-ckpt untag nowhere ", tmp_path) == []


def test_without_what_completes(tmp_path: Path) -> None:
    """A shell that asks all the same gets no traceback."""
    script = (
        "import sys; sys.modules['argcomplete'] = None\n"
        "from keras_versioned_ckpt.cli import main\n"
        "sys.exit(main(['list', 'nowhere']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment(_ARGCOMPLETE="1"),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
