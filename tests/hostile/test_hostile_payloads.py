"""A payload from a stranger gets a clear error, and nothing else happens."""

import inspect
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import pytest

from keras_versioned_ckpt import (
    CheckpointWarning,
    SaveError,
    load_latest,
    save_version,
    snapshot,
)
from tests.hostile.forging import PAYLOADS, Honest, forge
from tests.hostile.kinds import Kind
from tests.hostile.payloads import KINDS, MODULES
from tests.hostile.worker import WAYS
from tests.stores import ROOT

SECONDS = 2.0
MIB = 256.0
# What a small file may cost; the large ones are here to be large.
MIB_OF_SMALL = 64.0
SMALL_BYTES = 20_000
PATIENCE_SECONDS = 60

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="Memory is measured as Linux tells it."
)


def network() -> Any:
    """Returns a model, small, with an optimizer that has a state."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse")
    return model


class Worker:
    """The process that loads what is hostile; another one, if one dies."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._process: Any = None

    def results(self, kind: str) -> Any:
        """Returns what came of a kind, by way to load it."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        self._process.stdin.write(f"{kind}\n".encode())
        self._process.stdin.flush()
        return self._answer(kind)

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        for name in ("home", "work", "temporary"):
            (self._root / name).mkdir(exist_ok=True)
        # What Python would find where it was started.
        marker = self._root / "marker"
        for module in ("hostile_module", "keras_nlp"):
            path = self._root / "work" / f"{module}.py"
            path.write_text(f"open({str(marker)!r}, 'w')\nclass Layer: pass\n")
        ours, theirs = os.pipe()
        self._channel = os.fdopen(ours, "rb")
        environment = {
            **os.environ,
            "HOME": str(self._root / "home"),
            "TMPDIR": str(self._root / "temporary"),
            "PYTHONPATH": os.pathsep.join([str(self._root / "work"), str(ROOT)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
            "CUDA_VISIBLE_DEVICES": "",
        }
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.hostile.worker",
                str(self._root),
                str(theirs),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=(self._root.parent / "worker.log").open("ab"),
            cwd=self._root / "work",
            env=environment,
            pass_fds=[theirs],
        )
        os.close(theirs)
        assert self._answer("the start") == {"ready": True}

    def _answer(self, what: str) -> Any:
        readable, _, _ = select.select([self._channel], [], [], PATIENCE_SECONDS)
        line = self._channel.readline() if readable else b""
        if not line:
            self.stop()
            log = (self._root.parent / "worker.log").read_text(errors="replace")
            pytest.fail(f"{what} hangs, or killed the process:\n{log[-2000:]}")
        return json.loads(line)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The process, with an honest file to begin with."""
    root = tmp_path_factory.mktemp("hostile") / "root"
    root.mkdir()
    network().save(root / "honest.keras")
    made = Worker(root)
    yield made
    made.stop()


@pytest.mark.parametrize("name", KINDS)
def test_it_is_refused_and_nothing_else_happens(
    worker: Worker, name: str, record_property: Any
) -> None:
    """By the documented error, at once, with no memory, and nothing is changed."""
    kind = KINDS[name]
    results = worker.results(name)
    small = results.pop("size_bytes") < SMALL_BYTES
    assert set(results) == set(WAYS)
    for way, result in results.items():
        said = f"{way}: {result['mro'][0]}: {result['message']}"
        harmless = kind.part == "descriptions" and way == "load into a model"
        # A description is compared as JSON, and nothing is made of what it names.
        if kind.part == "descriptions" and way == "compare":
            harmless = result["mro"][0] == "NoneType"
        unread = name == "wrong_checksum" and way == "load unverified"
        if way == "verify" or harmless or unread:
            # Hashes are all that `verify` compares; who says verify=False wants no
            # checksum for which all of a file must be read.
            assert result["mro"][0] == "NoneType", said
        else:
            assert kind.error.__name__ in result["mro"], said
            assert "version_1" in result["message"], said
            assert result["message"].isprintable(), said
            assert result["cause"] != "NoneType", said
        assert result["changed"] == [], said
        assert result["seconds"] < SECONDS, said
        assert result["mib"] < (MIB_OF_SMALL if small else MIB), said
    record_property("mib", max(result["mib"] for result in results.values()))
    record_property("seconds", max(r["seconds"] for r in results.values()))


def test_how_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Counted as functions; those of weights come as files of their own, too."""
    made = {kind.make.__name__ for kind in KINDS.values()}
    functions = {
        f"{module.__name__}.{name}"
        for module in MODULES
        for name, function in vars(module).items()
        if hasattr(function, "error")
    }
    assert made
    assert len(functions) >= 100
    with capsys.disabled():
        print(f"\n{len(functions)} hostile payloads, {len(KINDS)} files")


ADVISORIES = [
    *("2024-3660", "2025-1550", "2025-8747", "2025-9905", "2025-9906", "2025-12058"),
    *("2026-0897", "2026-1462", "2026-1669", "2026-12479", "2026-12481"),
]


@pytest.mark.parametrize("number", ADVISORIES)
def test_every_advisory_has_its_payload(number: str) -> None:
    """Each says in its docstring which one it is."""
    assert [kind for kind in KINDS.values() if f"CVE-{number}" in about(kind)]


def about(kind: Kind) -> str:
    """Returns what a kind says of itself."""
    wrapped = inspect.getclosurevars(kind.make).nonlocals.get("make", kind.make)
    return str(wrapped.__doc__)


@pytest.mark.parametrize("name", ["..", "..\\..\\outside", "/outside", "../outside"])
def test_no_layer_writes_outside_when_it_is_saved(tmp_path: Path, name: str) -> None:
    """Keras makes a path of where it is, which may have come from anywhere."""
    model = keras.Sequential([keras.Input((1,), dtype="string")])
    lookup = keras.layers.StringLookup()
    lookup.adapt(["a"])
    setattr(model, name, lookup)
    with pytest.raises(ValueError, match="a part of a file's path|an empty one"):
        snapshot.take(model, "keras")
    with pytest.raises(SaveError, match="ValueError"):
        save_version(model, tmp_path / "store")
    assert not [path for path in tmp_path.rglob("*") if "outside" in path.name]


@pytest.mark.parametrize("name", ["traversal", "loop.keras", "wrong_checksum"])
def test_the_good_version_before_it_is_loaded(tmp_path: Path, name: str) -> None:
    """By load_latest, with a warning that names the other one."""
    path = tmp_path / "honest.keras"
    network().save(path)
    honest = Honest(path.read_bytes(), tmp_path / "marker")
    forge(tmp_path / "store", "keras", honest.payload, KINDS[name].make(honest))
    with pytest.warns(CheckpointWarning, match="version_2 is damaged and passed over"):
        assert load_latest(tmp_path / "store").name


# What would run what it reads, or hand it to a shell.
_WORDS = re.compile(
    r"\bpickle\b|\bmarshal\b|\bshelve\b|\beval\(|\bexec\(|compile\(|allow_pickle|yaml\.load|"
    r"os\.system|os\.popen|subprocess|shell\s*=|__import__|func_load"
)
# Regular expressions, and Keras's models, are compiled as well.
_HARMLESS = re.compile(r"re\.compile\(|\.compile\(")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "keras_versioned_ckpt").glob("*.py")), ids=lambda p: p.name
)
def test_no_code_is_made_of_what_is_read(path: Path) -> None:
    """The source has none of the words for it."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = _WORDS.search(_HARMLESS.sub("", line))
        assert not found, f"{path.name}:{number}: {line.strip()}"


def test_every_format_has_its_payload() -> None:
    """And its name is that of the package."""
    assert set(PAYLOADS) == {"keras", "weights"}
