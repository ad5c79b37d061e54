"""Runs the README's examples where only what was built is installed.

`python readme.py README.rst`, in an empty directory of an environment of its own.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)")


def blocks(text: str) -> list[str]:
    """Returns the Python examples of a page, in order."""
    found = _BLOCK.findall(text)
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in found]


def names() -> dict[str, Any]:
    """Returns what a reader has before the first example: a model and its data."""
    import keras
    import numpy as np

    x = np.random.default_rng(1).random((200, 30))
    layers = [keras.Input((30,)), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return {"model": model, "x": x, "y": (x.sum(1) > 15).astype("float32")}


def main(readme: str) -> None:
    """Runs the examples one after the other, and then some of the commands."""
    import keras_versioned_ckpt

    home = Path(keras_versioned_ckpt.__file__)
    assert "site-packages" in home.parts, f"{home} is not what was installed"
    assert (home.parent / "py.typed").is_file()
    known = names()
    for block in blocks(Path(readme).read_text(encoding="utf-8")):
        exec(block, known)
    program = Path(sys.executable).with_name("keras-ckpt")
    for words in (
        ["list", "runs/digits"],
        ["path", "runs/digits", "best"],
        ["verify", "runs/digits"],
        ["explain", "runs/digits", "--retention", "KeepLast(1)"],
        ["report", "runs/digits", "-o", "report.html"],
    ):
        subprocess.run([program, *words], check=True)
    assert "<style>" in Path("report.html").read_text(encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
