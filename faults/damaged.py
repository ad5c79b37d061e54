"""Stores that real Keras saves made, and copies of them that are damaged."""

import contextlib
import functools
import os
import shutil
import signal
import stat
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from faults.damaging import Damage
from faults.outcome import Outcome
from keras_versioned_ckpt.errors import CheckpointError, CheckpointWarning
from keras_versioned_ckpt.store import CheckpointStore

# The values of version 1, 2, 3, 4: the newest, which is damaged, is the best as well,
# and the best of the others is not the newest of them. Version 5 was deleted.
LOSSES = (0.3, 0.2, 0.4, 0.1)
DAMAGED = "version_4"
TAGGED = 1
SECONDS = 30


def _model() -> Any:
    import keras

    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1)]
    )


def values_of(loaded: Any) -> list[tuple[str, bytes]]:
    """Returns the weights of what was loaded, bit for bit."""
    from keras.ops import convert_to_numpy

    arrays = [convert_to_numpy(weight) for weight in loaded.weights]
    return [(str(array.dtype), array.tobytes()) for array in arrays]


class Stores(NamedTuple):
    """A sound store, and what loading its versions must give.

    Args:
        sound: The store that is copied for every point.
        place: Where copies are made.
        format: The format of its versions.
        expected: The weights of each version.
    """

    sound: Path
    place: Path
    format: str
    expected: Mapping[int, list[tuple[str, bytes]]]

    @property
    def options(self) -> dict[str, Any]:
        """What to load with."""
        return {
            "keras": dict,
            "weights": lambda: {"model": _model()},
            "saved_model": lambda: {"trust_code": True},
        }[self.format]()


def stores_of(place: Path, format: str) -> Stores:
    """Returns a store with versions of a format, saved once by this process."""
    held, expected = _saved(format)
    return Stores(Path(held.name) / "store", place, format, expected)


@functools.cache
def _saved(
    format: str,
) -> tuple[tempfile.TemporaryDirectory[str], dict[int, list[tuple[str, bytes]]]]:
    """Saves real models into a store, and makes what is outside of it beside."""
    import keras

    from keras_versioned_ckpt import load_version, save_version

    held = tempfile.TemporaryDirectory(prefix="faults-sound-")
    directory = Path(held.name) / "store"
    stores = Stores(directory, directory, format, {})
    expected: dict[int, list[tuple[str, bytes]]] = {}
    for number, loss in enumerate((*LOSSES, 0.5), start=1):
        keras.utils.set_random_seed(number)
        model = _model()
        save_version(
            model,
            directory,
            format=format,
            metrics={"val_loss": loss},
            epoch=number,
            metadata={"note": "a text of the user"},
        )
        if format != "saved_model":
            expected[number] = values_of(model)
    for number in range(1, len(LOSSES) + 1):
        values = values_of(load_version(directory, number, **stores.options))
        assert values == expected.setdefault(number, values)
    CheckpointStore(directory).tag(TAGGED, "prod")
    CheckpointStore(directory).delete(5)
    outside = directory.parent / "outside"
    (outside / "directory").mkdir(parents=True)
    # What a link would best be followed to: a version of the store, and its parts.
    shutil.copytree(directory / DAMAGED, outside / "directory", dirs_exist_ok=True)
    for part in ("store.json", "ledger.jsonl", "tags/prod", "lock"):
        shutil.copy(directory / ".versions" / part, outside)
    # A store with as many versions, of which none is this one's.
    other = CheckpointStore(outside / "other", create=True)
    for _ in LOSSES:
        with other.stage() as staged:
            (staged.path / "model.keras").write_bytes(b"not from here")
            other.commit(staged, metrics={"val_loss": 0.0})
    return held, expected


# What is looked at


def tree(path: Path) -> dict[str, tuple[str, bytes]]:
    """Returns everything at and below a path: its kind, and its bytes or target."""
    found: dict[str, tuple[str, bytes]] = {}
    if not os.path.lexists(path):
        return found
    for entry in (path, *sorted(path.rglob("*"))):
        mode = entry.lstat().st_mode
        content = b""
        if stat.S_ISLNK(mode):
            content = os.fsencode(os.readlink(entry))
        elif stat.S_ISREG(mode):
            content = entry.read_bytes()
        kind = stat.filemode(mode)[0]
        found[entry.relative_to(path).as_posix()] = (kind, content)
        if kind == "l" and entry == path:
            return found  # rglob would look behind it
    return found


class Done(NamedTuple):
    """What a call came to."""

    result: Any
    error: CheckpointError | None
    warnings: list[str]


class HungError(Exception):
    """A call waits for what never comes."""


@contextlib.contextmanager
def _time_limit() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise HungError

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Point:
    """One damage, tried on as many copies of a sound store as there are acts.

    Attributes:
        wrong: What does not hold, in words.
        lost: Names of versions that are gone.
    """

    def __init__(self, stores: Stores, damage: Damage) -> None:
        self.stores = stores
        self.damage = damage
        self.wrong: list[str] = []
        self.lost: set[str] = set()
        self._outside = tree(stores.sound.parent / "outside")

    @contextlib.contextmanager
    def copy(self) -> Iterator[Path]:
        """Gives a damaged copy of the store, and sees that nothing outside changes."""
        beside = self.stores.place / "copy"
        store = beside / "store"
        if not beside.exists():
            shutil.copytree(self.stores.sound.parent / "outside", beside / "outside")
        shutil.copytree(self.stores.sound, store)
        self.damage.act(store)
        untouched = False
        try:
            yield store
            self.check(
                set(os.listdir(beside)) == {"store", "outside"},
                f"there is something new beside the store: {os.listdir(beside)}",
            )
            untouched = tree(beside / "outside") == self._outside
            self.check(untouched, "what is outside the store was touched")
        finally:
            shutil.rmtree(store)
            if not untouched:
                shutil.rmtree(beside)

    def check(self, holds: bool, otherwise: str) -> bool:
        """Takes note of what does not hold."""
        if not holds:
            self.wrong.append(otherwise)
        return holds

    def call(self, what: str, function: Callable[[], Any]) -> Done:
        """Calls; anything but an error and a warning of this package is wrong."""
        result, failure = None, None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                with _time_limit():
                    result = function()
            except CheckpointError as error:
                failure = error
            except Exception as error:  # it is told as what is wrong
                self.wrong.append(f"{what}: a raw {type(error).__name__}: {error}")
        told = []
        for warning in caught:
            if issubclass(warning.category, CheckpointWarning):
                told.append(str(warning.message))
            else:
                self.wrong.append(f"{what}: a raw warning: {warning.message}")
        return Done(result, failure, told)

    def fine(self, what: str, function: Callable[[], Any]) -> Any:
        """Calls what must succeed, and returns what it returns."""
        done = self.call(what, function)
        self.check(done.error is None, f"{what}: {done.error!r}")
        return done.result

    def refused(
        self, what: str, function: Callable[[], Any], naming: str = ""
    ) -> CheckpointError | None:
        """Calls what must be refused with an error that names something."""
        done = self.call(what, function)
        if self.check(done.error is not None, f"{what}: is not refused"):
            named = naming in str(done.error)
            self.check(named, f"{what}: does not name {naming}: {done.error}")
        return done.error

    def named(self, directory: Path, *names: str) -> None:
        """Checks that `verify`, or opening the store, names what is damaged."""
        done = self.call("verify", lambda: CheckpointStore(directory).verify())
        text = str(done.error or done.result)
        sound = done.error is None and (done.result is None or done.result.ok)
        self.check(
            not sound and any(name in text for name in names),
            f"verify does not name {' or '.join(names)}: {text}",
        )

    def loads(self, what: str, number: int, function: Callable[[], Any]) -> Done:
        """Loads, which must give a version as it was saved, bit for bit."""
        done = self.call(what, function)
        if self.check(done.error is None, f"{what}: {done.error!r}"):
            same = done.result is not None and (
                values_of(done.result) == self.stores.expected[number]
            )
            self.check(same, f"{what}: is not version {number} as it was saved")
        return done

    def unchanged(self, directory: Path, *numbers: int) -> None:
        """Checks that versions are, byte for byte, as in the sound store."""
        for number in numbers:
            name = f"version_{number}"
            if not (directory / name).is_dir():
                self.lost.add(name)
            else:
                self.check(
                    tree(directory / name) == tree(self.stores.sound / name),
                    f"{name} was changed",
                )

    def goes_on(
        self,
        directory: Path,
        numbers: Sequence[int],
        *,
        tags: dict[str, int] | None = None,
        above: int = 5,
        remembered: Collection[int] = (1, 2, 3, 4, 5),
    ) -> None:
        """Checks a store that was repaired: sound, with its memory, and saving.

        Args:
            directory: The store.
            numbers: The versions that must be there.
            tags: The tags that must be.
            above: The number that the next version must exceed.
            remembered: The numbers that the history must have.
        """
        tags = {"prod": TAGGED} if tags is None else tags
        store = self.fine("opening", lambda: CheckpointStore(directory))
        if store is None:
            return
        report = self.fine("verify again", store.verify)
        self.check(report is not None and report.ok, f"is not sound after: {report}")
        there = self.fine("listing", lambda: [v.number for v in store])
        self.check(there == [*numbers], f"{there} are there after, not {numbers}")
        self.unchanged(directory, *numbers)
        history = self.fine("history", lambda: [e.number for e in store.history])
        for number in remembered:
            self.check(history.count(number) == 1, f"the history says {history}")
        on = self.fine("tags", lambda: {t: v.number for t, v in store.tags.items()})
        self.check(on == tags, f"the tags after: {on}")
        for folder in ("staging", "trash"):
            left = os.listdir(directory / ".versions" / folder)
            self.check(left == [], f"{folder} holds {left}")
        new = self.fine("saving", lambda: save(store))
        number = new.number if new else 0
        self.check(number > above, f"the next number is {number}")
        report = self.fine("verify last", store.verify)
        self.check(report is not None and report.ok, f"is not sound last: {report}")

    def quarantined(self, directory: Path, name: str, before: Any) -> None:
        """Checks that something is in the quarantine, with every byte that it had."""
        moved = sorted((directory / ".versions" / "quarantine").glob(f"{name}.*"))
        if self.check(len(moved) == 1, f"{name} is not in the quarantine: {moved}"):
            self.check(tree(moved[0]) == before, f"{name} changed on its way")

    def outcome(self) -> Outcome:
        """Returns what came of it."""
        return Outcome(
            f"{self.stores.format}, {self.damage.name}",
            lost=len(self.lost),
            wrong="; ".join(self.wrong),
        )


def save(store: CheckpointStore) -> Any:
    """Saves one more version, which no Keras made."""
    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(b"the next save")
        return store.commit(staged)


def names(directory: Path) -> set[str]:
    """Returns the names of what looks like a version."""
    return {path.name for path in directory.glob("version_*")}
