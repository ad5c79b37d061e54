"""Clocks that are wrong: set back, far ahead, lost, and in a night of a clock change.

Real processes save while their clock is moved. Where the library of faketime is
installed, it moves the clock of the whole process. Everywhere, and so without any
installation, the two ways in which Python is asked for the time are replaced in the
process that saves: `datetime.now` in this package and `time.time`. That every version
carries the time that was set shows that no way was forgotten.

What must remain is worked out by hand from the rules: order is by number; windows
count back from the newest version; the newest version of a period represents it.
"""

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import keras_versioned_ckpt
from faults.inspector import inspect
from faults.outcome import Fault, Outcome
from keras_versioned_ckpt import naming as namings
from keras_versioned_ckpt import retention
from keras_versioned_ckpt.store import CheckpointStore

_PACKAGE = Path(keras_versioned_ckpt.__file__).parent
_BERLIN = "Europe/Berlin"
_ALL = "KeepAll()"
_NONE = "VersionNotFoundError"
# How long a save may take until it looks at the clock.
_SLACK = timedelta(seconds=20)


class _Case(NamedTuple):
    """Saves at given times, and what must come of them.

    Args:
        name: What is done to the clock.
        instants: When each version is saved, in UTC.
        survivors: What must be left for each policy, pruning after each save.
        asked: Which number must answer to each selector when all are kept.
        names: What the versions must be called when all are kept, if not by number.
        naming: The policy that calls them so.
        zone: The local time zone.
    """

    name: str
    instants: tuple[str, ...]
    survivors: Mapping[str, list[int]]
    asked: Mapping[str, int | str]
    names: tuple[str, ...] = ()
    naming: str = "Numbered()"
    zone: str = "UTC"


CASES = (
    _Case(
        "set back a day",
        # The last is a day and a half past the third and half an hour past the second.
        (
            *("2026-11-20T12:00", "2026-11-20T13:00"),
            *("2026-11-19T13:10", "2026-11-19T14:10", "2026-11-20T13:30"),
        ),
        {
            "KeepLast(2)": [4, 5],
            # Of the five, the third alone is a day or more before the fifth.
            "KeepWithin('1 day')": [1, 2, 4, 5],
            "KeepDaily(2)": [4, 5],
            "KeepHourly(3)": [3, 4, 5],
            "KeepBest(1, 'val_loss', 'min')": [2, 5],
            "KeepLast(1) | KeepDaily(9)": [4, 5],
        },
        {
            "as-of:2026-11-19T13:30+00:00": 3,
            "as-of:2026-11-19T15:00+00:00": 4,
            # Created by then are all but the fifth and the second.
            "as-of:2026-11-20T12:30+00:00": 4,
            "as-of:2026-11-20T13:20+00:00": 4,
            "as-of:2026-11-19T12:00+00:00": _NONE,
            "latest~1": 4,
            "best~1": 4,
        },
    ),
    _Case(
        "ahead to 2038 and back",
        # Seconds since 1970 pass 31 bits at 2038-01-19T03:14:08, 32 bits in 2106.
        (
            *("2026-11-20T12:00", "2038-01-19T03:13:40", "2038-01-19T03:14:08"),
            *("2106-02-07T06:28:17", "2026-11-20T13:00"),
        ),
        {
            "KeepLast(2)": [4, 5],
            # The fourth makes all before it old, and is young until 2106.
            "KeepWithin('1 day')": [4, 5],
            "KeepDaily(3)": [3, 4, 5],
            "KeepHourly(9)": [1, 3, 4, 5],
            "KeepYearly(2)": [4, 5],
            "KeepBest(1, 'val_loss', 'min')": [2, 5],
        },
        {
            "as-of:2026-11-20T12:30+00:00": 1,
            "as-of:2030-01-01T00:00+00:00": 5,
            "as-of:2038-01-19T03:14:07+00:00": 5,
            "latest~2": 3,
            "best": 2,
        },
    ),
    _Case(
        "lost: 1970",
        ("2026-11-20T12:00", "1970-01-01T00:00:05", "2026-11-20T13:00"),
        {
            "KeepLast(2)": [2, 3],
            "KeepWithin('1 day')": [1, 3],
            "KeepDaily(1)": [3],
            "KeepBest(1, 'val_loss', 'min')": [2, 3],
        },
        {"as-of:2000-01-01T00:00+00:00": 2, "as-of:2026-11-20T12:30+00:00": 2},
    ),
    _Case(
        "the night with an hour twice, in Berlin",
        # 1:30, 2:30, 2:30 again, and 3:30.
        (
            *("2026-10-24T23:30", "2026-10-25T00:30"),
            *("2026-10-25T01:30", "2026-10-25T02:30"),
        ),
        {
            "KeepLast(2)": [3, 4],
            f"KeepHourly(9, timezone='{_BERLIN}')": [1, 2, 3, 4],
            f"KeepHourly(2, timezone='{_BERLIN}')": [3, 4],
            f"KeepDaily(2, timezone='{_BERLIN}')": [4],
            "KeepDaily(2)": [1, 4],
            "KeepWithin('90 minutes')": [3, 4],
        },
        {
            # The local 2:45 is the first of the two.
            "as-of:2026-10-25 02:45": 2,
            "as-of:2026-10-25 02:45 +02:00": 2,
            "as-of:2026-10-25 02:45 +01:00": 3,
            "as-of:2026-10-25 03:00": 3,
            "as-of:2026-10-25 03:45": 4,
        },
        ("m_0130", "m_0230", "m_0230-2", "m_0330"),
        f"Timestamped('m_{{created:%H%M}}', timezone='{_BERLIN}')",
        _BERLIN,
    ),
    _Case(
        "the night without an hour, in Berlin",
        # 1:30, 3:30 and 4:30.
        ("2026-03-29T00:30", "2026-03-29T01:30", "2026-03-29T02:30"),
        {
            f"KeepHourly(9, timezone='{_BERLIN}')": [1, 2, 3],
            f"KeepHourly(2, timezone='{_BERLIN}')": [2, 3],
            f"KeepDaily(2, timezone='{_BERLIN}')": [3],
            "KeepWithin('90 minutes')": [2, 3],
        },
        {
            # There is no 2:15; what was shown before it was shown before the change.
            "as-of:2026-03-29 02:15": 1,
            "as-of:2026-03-29 03:45": 2,
            "as-of:2026-03-29 04:45": 3,
        },
        ("m_0130", "m_0330", "m_0430"),
        f"Timestamped('m_{{created:%H%M}}', timezone='{_BERLIN}')",
        _BERLIN,
    ),
)
# The second is the best, the fourth next.
_LOSSES = (0.4, 0.1, 0.3, 0.2, 0.5)


# In the process whose clock is moved


class _Clock:
    """The clock of this process, which can be set."""

    def __init__(self) -> None:
        # Steady, whatever is done to the other clock, and the same in all processes.
        self._real = float(os.environ["REAL_MINUS_STEADY"])
        self._file = os.environ.get("FAKETIME_TIMESTAMP_FILE")
        self._ahead = 0.0
        if not self._file:
            self._replace()

    def set(self, text: str) -> None:
        """Sets the clock, from where it goes on."""
        to = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        self._ahead = to - (time.monotonic() + self._real)
        if self._file:
            # By an offset: an instant would be read as local time, which is not clear
            # in the hour that comes twice.
            Path(self._file).write_text(f"{self._ahead:+.6f}")

    def _replace(self) -> None:
        def now() -> float:
            return time.monotonic() + self._real + self._ahead

        time.time = now
        time.time_ns = lambda: round(now() * 1e9)
        for path in _PACKAGE.glob("*.py"):
            if "datetime.now(" in path.read_text():
                module = importlib.import_module(f"keras_versioned_ckpt.{path.stem}")
                if getattr(module, "datetime", None) is datetime:
                    module.datetime = _Datetime


class _AnyDatetime(type):
    """Lets `isinstance` know a `datetime` as before."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class _Datetime(datetime, metaclass=_AnyDatetime):
    """A `datetime` that asks `time.time` what time it is."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        """Returns the time."""
        return datetime.fromtimestamp(time.time(), tz)


def _save(directory: str, instants: list[str], policy: str, naming: str) -> None:
    """Saves at these times, pruning after each; prints what was told."""
    clock = _Clock()
    store = CheckpointStore(directory, create=True)
    # A policy's repr is the call that makes it.
    keep, name = eval(policy, vars(retention)), eval(naming, vars(namings))
    told = []
    for instant, loss in zip(instants, _LOSSES, strict=False):
        clock.set(instant)
        with store.stage() as staged:
            (staged.path / "model.keras").write_bytes(b"weights")
            facts = {"monitor": "val_loss", "mode": "min"}
            version = store.commit(
                staged, naming=name, metrics={"val_loss": loss}, **facts
            )
        store.prune(keep)
        told.append((version.number, version.name, version.created.isoformat()))
    print(json.dumps(told))


def _fit(directory: str) -> None:
    """Trains while the clock jumps; prints what was saved, and when."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import keras
    import numpy as np

    from keras_versioned_ckpt import (
        EveryInterval,
        VersionedCheckpoint,
        load_best,
        load_latest,
    )

    clock = _Clock()
    place = Path(directory)

    class Jump(keras.callbacks.Callback):
        """Sets the clock at the end of batches or epochs, before anything is saved."""

        def __init__(self, batches: Any = None, epochs: Any = None) -> None:
            super().__init__()
            self._batches, self._epochs = batches, epochs

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self._batches:
                time.sleep(0.05)
                clock.set(self._batches[batch % len(self._batches)])

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if self._epochs:
                clock.set(self._epochs[epoch])

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    x, y = np.ones((24, 3), "float32"), np.ones((24, 2), "float32")

    def saved(name: str, jump: Jump, epochs: int = 1, **options: Any) -> Any:
        calls = [jump, VersionedCheckpoint(place / name, monitor="loss", **options)]
        model.fit(x, y, 1, epochs=epochs, verbose=0, callbacks=calls)
        return [
            (v.number, v.name, v.created.isoformat())
            for v in CheckpointStore(place / name)
        ]

    ahead = ["2026-11-20T12:00", "2026-11-22T12:00", "2038-01-19T03:14:08"]
    back = [f"2026-11-{day:02}T12:00" for day in range(24, 0, -1)]
    hourly, often = EveryInterval(hours=1), EveryInterval(seconds=0.2)
    report = {
        "ahead": saved("ahead", Jump(ahead), save_freq=hourly),
        "back": saved("back", Jump(back), save_freq=often),
        "epochs": saved(
            "epochs",
            Jump(epochs=_EPOCHS),
            epochs=len(_EPOCHS),
            naming="m_{created:%Y%m%d%H%M}",
        ),
        "kept": saved(
            "kept", Jump(epochs=_EPOCHS), epochs=len(_EPOCHS), keep_last=2, keep_best=1
        ),
    }
    for name in ("epochs", "kept"):
        latest, best = load_latest(place / name), load_best(place / name)
        # The last epoch is the best, and the model is as it left it.
        for loaded in (latest, best):
            same = map(np.array_equal, loaded.get_weights(), model.get_weights())
            report[f"{name}: same"] = all(same) or name == "epochs"
    print(json.dumps(report))


_EPOCHS = [
    *("2026-11-20T12:00", "2026-11-20T12:00", "2026-11-19T12:00"),
    *("2038-01-19T03:14:08", "1970-01-01T00:00:05", "2026-11-20T12:00"),
]


# In the process that judges


def _library() -> Path | None:
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT*"))), None)


def _ways(quick: bool) -> list[str]:
    # The samples are the same on every machine.
    return ["replaced", "faketime"] if _library() and not quick else ["replaced"]


def _run(call: str, way: str, place: Path, *args: Any, zone: str = "UTC") -> Any:
    """Runs a function of this file where the clock can be moved; returns its word."""
    env = {**os.environ, "TZ": zone, "TF_CPP_MIN_LOG_LEVEL": "3"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    env["REAL_MINUS_STEADY"] = repr(time.time() - time.monotonic())
    if way == "faketime":
        offset = place / "faketime"
        offset.write_text("+0")
        env |= {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            # Read the file at every look; leave the steady clock and files alone.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
    code = f"import json, sys; from faults import clocks; clocks.{call}"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}(*json.loads(sys.argv[1]))", json.dumps(args)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=env,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


_ASK = """
import json, sys
from keras_versioned_ckpt import CheckpointStore
from keras_versioned_ckpt.errors import CheckpointError
store, answers = CheckpointStore(sys.argv[1]), {}
for text in sys.argv[2:]:
    try:
        answers[text] = store.select(text).number
    except CheckpointError as error:
        answers[text] = type(error).__name__
print(json.dumps(answers))
"""


def _asked(store: Path, selectors: list[str], zone: str) -> dict[str, int | str]:
    """Asks a store in a process of that time zone."""
    path = os.pathsep.join(filter(None, sys.path))
    env = {**os.environ, "TZ": zone, "PYTHONPATH": path}
    command = [sys.executable, "-c", _ASK, str(store), *selectors]
    done = subprocess.run(command, capture_output=True, check=True, env=env)
    return dict(json.loads(done.stdout))


def _listed(store: Path) -> tuple[int, str]:
    """Returns what the command line says of a store whose versions lie ahead."""
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-m", "keras_versioned_ckpt", "list", str(store)]
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    return done.returncode, done.stdout + done.stderr


def _wrong(told: Any, instants: tuple[str, ...]) -> list[str]:
    """Returns how the saves differ from what was asked for."""
    wrong = []
    if [number for number, _, _ in told] != list(range(1, len(instants) + 1)):
        wrong.append(f"numbers are not in the order of the saves: {told}")
    for (_, _, created), text in zip(told, instants, strict=False):
        late = datetime.fromisoformat(created) - _utc(text)
        if not timedelta(0) <= late < _SLACK:
            wrong.append(f"saved at {text}, it says {created}")
    return wrong


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _tried(place: Path, case: _Case, policy: str, way: str) -> Outcome:
    """Saves by one policy and looks at everything."""
    point = f"{case.name}, {way}, {policy}"
    directory = place / "store"
    naming = case.naming if policy == _ALL else "Numbered()"
    arguments = (list(case.instants), policy, naming)
    told = _run("_save", way, place, str(directory), *arguments, zone=case.zone)
    wrong = _wrong(told, case.instants)
    store = CheckpointStore(directory)
    total = len(case.instants)
    kept = [version.number for version in store]
    survivors = case.survivors.get(policy, list(range(1, total + 1)))
    if kept != survivors:
        wrong.append(f"kept {kept} instead of {survivors}")
    if store.latest().number != total:
        wrong.append(f"latest is {store.latest().number}")
    best = min(survivors, key=lambda number: _LOSSES[number - 1])
    if store.best().number != best:
        wrong.append(f"best is {store.best().number} instead of {best}")
    if policy == _ALL:
        answers = _asked(directory, list(case.asked), case.zone)
        if answers != dict(case.asked):
            wrong.append(f"answers are {answers} instead of {dict(case.asked)}")
        names = [name for _, name, _ in told]
        if case.names and names != list(case.names):
            wrong.append(f"names are {names} instead of {list(case.names)}")
        code, said = _listed(directory)
        if code != 0 or any(name not in said for name in names):
            wrong.append(f"the command line ended with {code} and said {said}")
    # Order must not rest on the ledger either, which is in the order of the saves.
    (directory / ".versions" / "ledger.jsonl").rename(place / "ledger")
    again = [version.number for version in CheckpointStore(directory)]
    (place / "ledger").rename(directory / ".versions" / "ledger.jsonl")
    if again != kept:
        wrong.append(f"without a ledger the order is {again}")
    outcome = inspect(directory, point, reported=[number for number, _, _ in told])
    return outcome._replace(wrong="; ".join(filter(None, [*wrong, outcome.wrong])))


def saves(place: Path, quick: bool) -> Iterator[Outcome]:
    """Saves and prunes at times that jump, by every policy that looks at the time."""
    for way in _ways(quick):
        for case in CASES:
            for i, policy in enumerate([_ALL, *case.survivors]):
                inner = place / f"{way}-{case.name}-{i}"
                inner.mkdir()
                yield _tried(inner, case, policy, way)


def training(place: Path, quick: bool) -> Iterator[Outcome]:
    """Trains while the clock jumps."""
    # The library of faketime also moves how long threads wait for each other, and
    # TensorFlow, whose threads wait, stands still with it.
    way = "replaced"
    inner = place / f"{way}-training"
    inner.mkdir()
    said = _run("_fit", way, inner, str(inner))
    wrong = {name: [] for name in ("ahead", "back", "epochs", "kept")}
    # Nothing but the wall clock says that hours have gone by, or none.
    if said["ahead"]:
        wrong["ahead"].append(f"the clock set ahead saved: {said['ahead']}")
    # Of 24 batches of 0.05 s every fourth or so, whatever the day.
    if not 2 <= len(said["back"]) <= 8:
        wrong["back"].append(f"the clock set back: {said['back']}")
    wrong["epochs"] += _wrong(said["epochs"], tuple(_EPOCHS))
    names = [name for _, name, _ in said["epochs"]]
    if names != [
        *("m_202611201200", "m_202611201200-2", "m_202611191200"),
        *("m_203801190314", "m_197001010000", "m_202611201200-3"),
    ]:
        wrong["epochs"].append(f"names are {names}")
    if [number for number, _, _ in said["kept"]] != [5, 6]:
        wrong["kept"].append(f"kept {said['kept']} instead of [5, 6]")
    if not said["kept: same"]:
        wrong["kept"].append("what is loaded is not what was saved last")
    for name, texts in wrong.items():
        point = f"training, {name}, {way}"
        numbers = [number for number, _, _ in said[name]]
        outcome = inspect(inner / name, point, reported=numbers, load=True)
        yield outcome._replace(wrong="; ".join([*texts, outcome.wrong]).strip("; "))


FAULTS: dict[str, Fault] = {
    "a clock that jumps": saves,
    "a clock that jumps during fit": training,
}
