"""Damages of the files of a version, of its directory, and versions that are copies."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from faults.damaged import DAMAGED, Point, Stores, names, stores_of, tree
from faults.damaging import Damage, of_directory, of_file, sample, strangers
from faults.outcome import Outcome
from keras_versioned_ckpt.errors import (
    CheckpointError,
    CorruptVersionError,
    StoreError,
    UnsafeVersionError,
    VersionNotFoundError,
)
from keras_versioned_ckpt.manifest import decode
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.store import CheckpointStore

PAYLOADS = {
    "keras": ["model.keras"],
    "weights": ["model.weights.h5"],
    "saved_model": [
        "saved_model/saved_model.pb",
        "saved_model/fingerprint.pb",
        "saved_model/variables/variables.index",
        "saved_model/variables/variables.data-00000-of-00001",
    ],
}


def _version_damages(stores: Stores, quick: bool) -> Iterator[Damage]:
    version = stores.sound / DAMAGED
    for path in PAYLOADS[stores.format]:
        yield from of_file(
            f"{DAMAGED}/{path}",
            (version / path).stat().st_size,
            3 if quick else 9,
            f"directory/{path}",
            f"version_3/{path}",
        )
    manifest = (version / "manifest.json").stat().st_size
    yield from of_file(
        f"{DAMAGED}/manifest.json",
        manifest,
        5 if quick else 100 if stores.format == "keras" else 12,
        "directory/manifest.json",
        "version_3/manifest.json",
    )
    yield from of_directory(DAMAGED, "version_3")
    if stores.format == "saved_model":
        yield from of_directory(f"{DAMAGED}/saved_model", "version_3/saved_model")
        yield from of_directory(
            f"{DAMAGED}/saved_model/variables", "version_3/saved_model/variables"
        )
    for what, put in strangers("directory", "version_3").items():
        yield Damage(
            f"{DAMAGED}: extra {what}",
            lambda store, put=put: put(store / DAMAGED / "extra"),
        )
    yield Damage(
        f"{DAMAGED}: extra file",
        lambda store: (store / DAMAGED / "extra").write_bytes(b"mine") and None,
    )
    yield Damage(
        f"{DAMAGED}: the manifest of version_3",
        lambda store: (
            shutil.copy(store / "version_3" / "manifest.json", store / DAMAGED) and None
        ),
    )

    def whole(store: Path, source: Path) -> None:
        shutil.rmtree(store / DAMAGED)
        shutil.copytree(source, store / DAMAGED)

    yield Damage(
        f"{DAMAGED}: a copy of version_3",
        lambda store: whole(store, store / "version_3"),
    )
    yield Damage(
        f"{DAMAGED}: that of another store",
        lambda store: whole(store, store.parent / "outside" / "other" / DAMAGED),
    )


def _damaged_version(stores: Stores, damage: Damage, keras_too: bool) -> Outcome:
    """Tries one damage of version 4."""
    point = Point(stores, damage)
    with point.copy() as directory:
        there = (directory / DAMAGED).is_dir() and not (
            directory / DAMAGED
        ).is_symlink()
        point.named(directory, DAMAGED)
        soft, newer = _how_bad(directory, damage, point) if there else (False, False)
        if keras_too or soft:
            _load_all(point, directory, there=there, soft=soft, newer=newer)
    stays = {DAMAGED} if there else set()
    with point.copy() as directory:
        stays |= {DAMAGED} & names(directory)
        before = tree(directory / DAMAGED) if stays else None
        done = point.call(
            "prune", lambda: CheckpointStore(directory).prune(KeepLast(1))
        )
        point.check(done.error is None, f"prune: {done.error!r}")
        left, good = names(directory), {"version_1", "version_3"}
        if soft:
            # As good as it was: it may count, and it stays.
            good = {"version_1"} | (left & good)
        point.check(left == good | stays, f"prune left {sorted(left)}")
        point.unchanged(directory, *(int(name[-1]) for name in good))
        if before and DAMAGED in names(directory):
            point.check(tree(directory / DAMAGED) == before, "prune changed it")
        told = [w for w in done.warnings if DAMAGED in w]
        if not soft:
            point.check(len(told) == there, f"prune warned {done.warnings}")
        if there and not soft:
            point.refused("delete", lambda: CheckpointStore(directory).delete(4))
            point.check(tree(directory / DAMAGED) == before, "delete changed it")
    with point.copy() as directory:
        before = tree(directory / DAMAGED) if stays else None
        point.fine("repair", lambda: CheckpointStore(directory).repair())
        if newer:
            point.unchanged(directory, 1, 2, 3)
            point.check(tree(directory / DAMAGED) == before, "repair changed it")
        elif soft:
            point.check(tree(directory / DAMAGED) == before, "repair changed it")
        else:
            if there:
                point.quarantined(directory, DAMAGED, before)
            elif before:
                # Somebody's file of a version's name: no version, and not ours.
                point.check(tree(directory / DAMAGED) == before, "repair changed it")
            point.goes_on(directory, [1, 2, 3])
            if keras_too:
                _load_first(point, directory)
    return point.outcome()


def _how_bad(directory: Path, damage: Damage, point: Point) -> tuple[bool, bool]:
    """Returns whether a manifest lost nothing that loading needs, or seems newer.

    Of what stands in a manifest beside the files and who it is, such as the version
    of Python, the ledger's checksum tells, and the version is as good as it was.
    """
    if not re.search(r"manifest.json: (bit|truncated)", damage.name):
        return False, False
    manifests = [p / DAMAGED / "manifest.json" for p in (directory, point.stores.sound)]
    try:
        flipped, sound = (json.loads(path.read_bytes()) for path in manifests)
    except ValueError:
        return False, False
    if flipped.get("format", 0) > 1:
        return False, True
    try:
        decode(manifests[0].read_bytes())
    except CorruptVersionError:
        return False, False
    return all(
        flipped[key] == sound[key] for key in ("number", "name", "store_id", "files")
    ), False


def _load_all(
    point: Point, directory: Path, *, there: bool, soft: bool, newer: bool
) -> None:
    from keras_versioned_ckpt import load_best, load_latest, load_version

    options = point.stores.options
    if soft:
        point.loads("load 4", 4, lambda: load_version(directory, 4, **options))
        return
    refused = point.refused("load 4", lambda: load_version(directory, 4, **options))
    kinds: tuple[type[CheckpointError], ...] = (CorruptVersionError, UnsafeVersionError)
    kinds = (StoreError,) if newer else kinds if there else (VersionNotFoundError,)
    point.check(isinstance(refused, kinds), f"load 4: {refused!r}")
    point.loads("load 1", 1, lambda: load_version(directory, 1, **options))
    for what, number, load in (("latest", 3, load_latest), ("best", 2, load_best)):
        if newer:
            # To step back from it would hide that this package is too old.
            point.refused(what, lambda load=load: load(directory, **options), DAMAGED)
            continue
        done = point.loads(what, number, lambda load=load: load(directory, **options))
        told = [w for w in done.warnings if w.startswith(f"{DAMAGED} is damaged and")]
        point.check(
            len(told) == len(done.warnings) == there, f"{what} warned {done.warnings}"
        )
        if there:
            point.refused(
                f"{what}, strict",
                lambda load=load: load(directory, strict=True, **options),
            )


def _load_first(point: Point, directory: Path) -> None:
    """Loads what was the newest good version before a save that no Keras made."""
    from keras_versioned_ckpt import load_version

    options = point.stores.options
    point.loads("load 3", 3, lambda: load_version(directory, 3, **options))


def files(place: Path, quick: bool, format: str) -> Iterator[Outcome]:
    """The files of version 4, and the version itself."""
    stores = stores_of(place, format)
    # A sample has another part of them in each format.
    step = {"keras": 3, "weights": 5, "saved_model": 11}[format]
    # A SavedModel takes long to load, and most flipped bits are told by one hash.
    few, fewer = (2, 6) if format == "saved_model" else (1, 16)
    damages = sample(_version_damages(stores, quick), quick, step)
    for i, damage in enumerate(damages):
        every = fewer if "flipped" in damage.name else few
        keras_too = quick or i % every == 0
        yield _damaged_version(stores, damage, keras_too)


def copies(place: Path, quick: bool) -> Iterator[Outcome]:
    """Whole versions under names that the store does not know."""
    stores = stores_of(place, "keras")
    sources = {
        "version_2": "version_2 copied",
        "../outside/other/version_2": "a version of another store copied",
        "../outside/other/version_4": "another version of another store copied",
    }
    for source, what in sources.items():
        damage = Damage(
            what,
            lambda store, source=source: (
                shutil.copytree(store / source, store / "version_9") and None
            ),
        )
        point = Point(stores, damage)
        with point.copy() as directory:
            point.named(directory, "version_9")
            before = tree(directory / "version_9")
            store = CheckpointStore(directory)
            done = point.call("listing", lambda store=store: [v.number for v in store])
            point.check(done.result == [1, 2, 3, 4], f"listed {done.result}")
            point.check(len(done.warnings) == 1, f"listing warned {done.warnings}")
            _load_copies(point, directory)
        with point.copy() as directory:
            store = CheckpointStore(directory)
            point.fine("prune", lambda store=store: store.prune(KeepLast(1)))
            left = names(directory)
            point.check(left == {"version_1", "version_4", "version_9"}, f"left {left}")
            point.refused("delete", lambda store=store: store.delete("version_9"))
            point.check(tree(directory / "version_9") == before, "it was changed")
        with point.copy() as directory:
            store = CheckpointStore(directory)
            point.fine("repair", store.repair)
            point.quarantined(directory, "version_9", before)
            point.goes_on(directory, [1, 2, 3, 4])
        yield point.outcome()


def _load_copies(point: Point, directory: Path) -> None:
    from keras_versioned_ckpt import load_latest, load_version

    point.loads("latest", 4, lambda: load_latest(directory))
    point.refused("load 9", lambda: load_version(directory, "version_9"))
