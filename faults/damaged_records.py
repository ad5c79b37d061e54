"""Damages of what a store keeps in `.versions`, and of what killed processes left."""

import functools
import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faults.damaged import TAGGED, Point, Stores, names, save, stores_of, tree
from faults.damaging import (
    Act,
    Damage,
    flip,
    instead,
    of_directory,
    of_file,
    remove,
    sample,
    strangers,
)
from faults.outcome import Outcome
from keras_versioned_ckpt import _index, ledger
from keras_versioned_ckpt.errors import StoreError, UnsafeVersionError
from keras_versioned_ckpt.manifest import decode
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.store import CheckpointStore


def _record_damages(
    stores: Stores, part: str, flips: int, sibling: str | None = None
) -> Iterator[Damage]:
    relative = f".versions/{part}"
    size = (stores.sound / relative).stat().st_size
    yield from of_file(relative, size, flips, Path(part).name, sibling)


def _nothing_removed(point: Point, act: Callable[[CheckpointStore], Any]) -> None:
    """Checks that an act is refused, or removes at most what it should."""
    with point.copy() as directory:
        point.call("acting", lambda: act(CheckpointStore(directory)))
        point.unchanged(directory, 1, 4)


def store_file(place: Path, quick: bool) -> Iterator[Outcome]:
    """`store.json`."""
    stores = stores_of(place, "keras")
    for damage in sample(_record_damages(stores, "store.json", 1000), quick, 11):
        point = Point(stores, damage)
        with point.copy() as directory:
            done = point.call("opening", lambda: CheckpointStore(directory))
            record = directory / ".versions" / "store.json"
            if done.error is None:
                # Gone, or still saying the same: nothing is wrong with the store.
                same = "removed" in damage.name or json.loads(record.read_bytes())[
                    "store_id"
                ] == _id(stores)
                point.check(same, "it opens as another store")
            else:
                # A flipped format says to upgrade, and names the store.
                newer = "of format" in str(done.error)
                point.check(
                    isinstance(done.error, (StoreError, UnsafeVersionError))
                    and ("store.json" in str(done.error) or newer),
                    f"opening: {done.error!r}",
                )
                for act in (CheckpointStore.repair, lambda s: s.prune(KeepLast(1))):
                    point.refused(
                        "acting", lambda act=act: act(CheckpointStore(directory))
                    )
                point.unchanged(directory, 1, 2, 3, 4)
                remove(record)  # what the message says to do
            point.fine("repair", lambda: CheckpointStore(directory).repair())
            point.goes_on(directory, [1, 2, 3, 4])
        yield point.outcome()


def _id(stores: Stores) -> str:
    record = (stores.sound / ".versions" / "store.json").read_bytes()
    return str(json.loads(record)["store_id"])


def of_ledger(place: Path, quick: bool) -> Iterator[Outcome]:
    """`ledger.jsonl`."""
    stores = stores_of(place, "keras")
    for damage in sample(_record_damages(stores, "ledger.jsonl", 120), quick, 17):
        point = Point(stores, damage)
        with point.copy() as directory:
            file = directory / ".versions" / "ledger.jsonl"
            whole = not file.is_symlink() and file.is_file()
            before = file.read_bytes() if whole else b""
            if not (whole and _says_the_same(stores, before)):
                point.named(directory, "ledger", "gone", "is missing")
            done = point.call("repair", lambda: CheckpointStore(directory).repair())
            point.check(done.error is None, f"repair: {done.error!r}")
            kept = {*range(1, 5)}
            # What the damage tore out of the memory of what is gone is lost.
            point.goes_on(directory, [1, 2, 3, 4], above=4, remembered=kept)
            repaired = file.read_bytes().splitlines()
            old = set(before.splitlines())
            aside = directory / ".versions" / "quarantine"
            if not old <= set(repaired):
                copies = [p.read_bytes() for p in aside.glob("ledger.jsonl.*")]
                point.check(
                    any(old <= set(c.splitlines()) for c in copies),
                    "what could not be read of the ledger was thrown away",
                )
        _nothing_removed(point, lambda store: store.prune(KeepLast(1)))
        with point.copy() as directory:
            store = CheckpointStore(directory)
            named = point.call("listing", lambda s=store: [v.name for v in s])
            point.check(
                named.error is not None
                if not whole and "removed" not in damage.name
                else set(named.result or ()) == names(stores.sound),
                f"listed {named}",
            )
        if "flipped" not in damage.name and whole:
            _load_with_ledger(point)
        yield point.outcome()


def _load_with_ledger(point: Point) -> None:
    from keras_versioned_ckpt import load_best, load_latest, load_version

    with point.copy() as directory:
        point.loads("latest", 4, lambda: load_latest(directory))
        point.loads("best", 4, lambda: load_best(directory))
        point.loads("load 2", 2, lambda: load_version(directory, 2))


def _says_the_same(stores: Stores, damaged: bytes) -> bool:
    """Returns whether every line can be read, and tells the truth where it is known."""
    if not damaged.endswith(b"\n"):
        return False
    told = {}
    for line in damaged.splitlines():
        try:
            event = ledger.decode(line)
        except ValueError:
            return False
        if isinstance(event, ledger.Committed):
            told[event.version.number] = event
    for number in range(1, 5):
        path = stores.sound / f"version_{number}" / "manifest.json"
        event = told.get(number)
        manifest = decode(path.read_bytes())
        if event is None or event.version != manifest.version:
            return False
        if event.manifest_crc32 not in (None, _crc32(path)):
            return False
    # A removal that the flipped bit took from the only version that is gone.
    gone = {e.number for e in map(ledger.decode, damaged.splitlines()) if _removes(e)}
    return gone == {5}


def _removes(event: ledger.Event) -> bool:
    return isinstance(event, ledger.Removed)


def _crc32(path: Path) -> int:
    return zlib.crc32(path.read_bytes())


def of_tag(place: Path, quick: bool) -> Iterator[Outcome]:
    """`tags/prod`, of which the ledger has a memory."""
    stores = stores_of(place, "keras")
    for damage in sample(_record_damages(stores, "tags/prod", 1000), quick, 5):
        point = Point(stores, damage)
        with point.copy() as directory:
            file = directory / ".versions" / "tags" / "prod"
            before = tree(file) if os.path.lexists(file) else None
            read = re.search("flipped|truncated", damage.name)
            sound = stores.sound / ".versions" / "tags" / "prod"
            harmless = read is not None and _says_so(file, sound)
            if not harmless:
                point.named(directory, "'prod'")
            point.fine("repair", lambda: CheckpointStore(directory).repair())
            if before and not harmless:
                point.quarantined(directory, "prod", before)
            point.goes_on(directory, [1, 2, 3, 4])
        with point.copy() as directory:
            # The newest, and what the tag was on.
            done = point.call(
                "prune",
                lambda: CheckpointStore(directory).prune(KeepLast(1)),
            )
            point.unchanged(directory, 1, 4)
            left = names(directory)
            if done.error is None:
                point.check(left == {"version_1", "version_4"}, f"prune left {left}")
        yield point.outcome()


def _says_so(file: Path, sound: Path) -> bool:
    """Returns whether the record of a tag still says what it said."""
    fields = json.loads(sound.read_bytes())
    try:
        fields |= json.loads(file.read_bytes())
    except ValueError:
        return False
    return {key: fields[key] for key in ("number", "crc32")} == json.loads(
        sound.read_bytes()
    ) and b'"number"' in file.read_bytes()


def of_lock(place: Path, quick: bool) -> Iterator[Outcome]:
    """`lock`, which is empty."""
    stores = stores_of(place, "keras")
    for damage in sample(
        _record_damages(stores, "lock", 0, "version_1/manifest.json"), quick, 2
    ):
        point = Point(stores, damage)
        with point.copy() as directory:
            lock = directory / ".versions" / "lock"
            point.fine("listing", lambda: CheckpointStore(directory).versions)
            if os.path.lexists(lock):
                point.named(directory, "lock")
                for act in (
                    CheckpointStore.repair,
                    lambda store: store.prune(KeepLast(1)),
                    lambda store: store.delete(2),
                    save,
                ):
                    point.refused(
                        "acting",
                        lambda act=act: act(CheckpointStore(directory)),
                        "lock is not a regular file",
                    )
                remove(lock)  # what the message says to do
            point.fine("repair", lambda: CheckpointStore(directory).repair())
            point.goes_on(directory, [1, 2, 3, 4])
        yield point.outcome()


def folders(place: Path, quick: bool) -> Iterator[Outcome]:
    """The store's own directories."""
    stores = stores_of(place, "keras")
    for folder in (
        ".versions",
        ".versions/tags",
        ".versions/staging",
        ".versions/trash",
    ):
        sibling = "version_1" if folder == ".versions" else None
        for damage in sample(of_directory(folder, sibling), quick, 3):
            point = Point(stores, damage)
            with point.copy() as directory:
                path = directory / folder
                refused = os.path.lexists(path) and (
                    path.is_symlink() or not path.is_dir()
                )
                if refused:
                    point.named(directory, str(path))
                    for act in (CheckpointStore.repair, save):
                        point.refused(
                            "acting",
                            lambda act=act: act(CheckpointStore(directory)),
                            str(path),
                        )
                    point.unchanged(directory, 1, 2, 3, 4)
                    remove(path)  # what the message says to do
                all_gone = folder == ".versions"
                if folder.endswith("tags") or (all_gone and not refused):
                    point.named(directory, "'prod'", "ledger")
                point.fine("repair", lambda: CheckpointStore(directory).repair())
                if (path / "notes (1)").exists():
                    # Somebody's file is in the way of nothing.
                    (path / "notes (1)").unlink()
                if all_gone:
                    point.goes_on(
                        directory,
                        [1, 2, 3, 4],
                        tags={},
                        above=4,
                        remembered=(1, 2, 3, 4),
                    )
                else:
                    point.goes_on(directory, [1, 2, 3, 4])
            yield point.outcome()


# Leftovers


TOKEN = "a" * 32


def _leave_staged(store: Path) -> Path:
    staged = store / ".versions" / "staging" / TOKEN
    shutil.copytree(store / "version_2", staged)
    staged.with_suffix(".lock").touch()
    return staged


def _leave_trash(store: Path) -> Path:
    trash = store / ".versions" / "trash" / f"version_5.{TOKEN}"
    shutil.copytree(store / "version_2", trash)
    return trash


def _leftover_damages(leave: Callable[[Path], Path]) -> Iterator[Damage]:
    def damage(what: str, act: Act) -> Damage:
        return Damage(what, lambda store: act(leave(store)))

    yield damage("whole", lambda path: None)
    yield damage("removed by half", lambda path: (path / "model.keras").unlink())
    for what, put in strangers("directory", "version_2").items():
        yield damage(what, functools.partial(instead, put=put))
        yield damage(f"{what} in it", lambda path, put=put: put(path / "extra"))
        yield damage(
            f"{what} for its manifest",
            lambda path, put=put: instead(path / "manifest.json", put),
        )
        yield damage(
            f"{what} for its payload",
            lambda path, put=put: instead(path / "model.keras", put),
        )
    yield damage("no manifest", lambda path: (path / "manifest.json").unlink())
    yield damage(
        "half a manifest", lambda path: os.truncate(path / "manifest.json", 99)
    )
    for offset in range(0, 600, 60):
        yield damage(
            f"bit flipped in byte {offset} of its manifest",
            lambda path, offset=offset: flip(path / "manifest.json", offset, 1),
        )


def leftovers(place: Path, quick: bool) -> Iterator[Outcome]:
    """What killed processes left in `staging/` and `trash/`, damaged as well."""
    stores = stores_of(place, "keras")
    for leave, folder in ((_leave_staged, "staging"), (_leave_trash, "trash")):
        for name, act in sample(_leftover_damages(leave), quick, 5):
            point = Point(stores, Damage(f"{folder}: {name}", act))
            with point.copy() as directory:
                (path,) = (
                    p
                    for p in (directory / ".versions" / folder).iterdir()
                    if TOKEN in p.name and not p.name.endswith(".lock")
                )
                before = tree(path)
                point.named(directory, path.name)
                report = point.fine("repair", CheckpointStore(directory).repair)
                done = [p.done for p in report.problems] if report else []
                if any(text.startswith("moved to") for text in done):
                    point.check(folder == "trash", f"it was moved: {done}")
                    # What a manifest of this store lists was deleted before.
                    _check_moved(point, directory, path.name, before)
                point.goes_on(directory, [1, 2, 3, 4])
            with point.copy() as directory:
                store = CheckpointStore(directory)
                point.fine("saving", lambda store=store: save(store))
                point.fine("prune", lambda store=store: store.prune(KeepLast(1)))
                point.unchanged(directory, 1)
            yield point.outcome()


def _check_moved(point: Point, directory: Path, name: str, before: Any) -> None:
    moved = sorted((directory / ".versions" / "quarantine").glob(f"{name}.*"))
    if point.check(len(moved) == 1, f"{name} is not in the quarantine: {moved}"):
        after = tree(moved[0])
        ours = {"model.keras"} & (before.keys() - after.keys())
        rest = {key: value for key, value in before.items() if key not in ours}
        point.check(after == rest, f"{name} changed on its way: {after.keys()}")


# The index of a long ledger


def of_index(place: Path, quick: bool) -> Iterator[Outcome]:
    """`ledger.index`, which a store gets when its ledger is long.

    No Keras wrote these versions: they are many, and nothing is loaded.
    """
    stores = Stores(place / "sound" / "store", place, "long ledger", {})
    store = CheckpointStore(stores.sound, create=True)
    note = "a" * 16_000
    for number in range(1, 21):
        with store.stage() as staged:
            (staged.path / "model.keras").write_bytes(b"weights")
            store.commit(
                staged,
                metrics={"val_loss": 1 / number if number < 9 else 1.0},
                metadata={"note": note},
            )
    store.tag(TAGGED, "prod")
    # The index follows the ledger by some lines.
    for _ in range(40):
        store.tag(TAGGED, "prod")
    index = stores.sound / ".versions" / "ledger.index"
    _index.decode(index.read_bytes())
    outside = stores.sound.parent / "outside"
    outside.mkdir()
    shutil.copy(index, outside)
    every = list(range(1, 21))
    for damage in sample(_record_damages(stores, "ledger.index", 60), quick, 8):
        point = Point(stores, damage)
        with point.copy() as directory:
            opened = CheckpointStore(directory)
            latest = point.fine("latest", opened.latest)
            best = point.fine("best", opened.best)
            point.check(
                (latest and latest.number, best and best.number) == (20, 8),
                f"latest is {latest}, best is {best}",
            )
            report = point.fine("verify", opened.verify)
            point.check(report is not None and report.ok, f"verify: {report}")
            point.fine("repair", opened.repair)
            point.goes_on(directory, every, above=20, remembered=every)
            point.check(
                not (directory / ".versions" / "ledger.index").is_symlink(),
                "the index is still a link",
            )
        yield point.outcome()
