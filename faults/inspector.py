"""What must hold after every fault, looked at by a process that had no part in it.

That a version is what its manifest says is found with the standard library alone,
not with the package that is under test.
"""

import hashlib
import json
import os
from collections.abc import Collection
from pathlib import Path

from faults.outcome import Outcome
from keras_versioned_ckpt.errors import CheckpointError
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.store import CheckpointStore

# Where the user's own file stands that no fault may touch.
FOREIGN = "foreign.txt"
_FOREIGN = b"nothing of a store\n"


def put_foreign_file(beside: Path) -> None:
    """Puts a file beside a store, which must be there when all is over."""
    (beside.parent / FOREIGN).write_bytes(_FOREIGN)


def why_torn(version: Path) -> str:
    """Returns in what a version's directory differs from its manifest, if it does."""
    manifest = json.loads((version / "manifest.json").read_bytes())
    expected = {path: (f["size"], f["sha256"]) for path, f in manifest["files"].items()}
    actual = {}
    for path in sorted(version.rglob("*")):
        if path.is_file() and path.name != "manifest.json":
            data = path.read_bytes()
            name = path.relative_to(version).as_posix()
            actual[name] = (len(data), hashlib.sha256(data).hexdigest())
    return "" if actual == expected else f"{version.name}: {actual} != {expected}"


def leftovers(directory: Path) -> dict[str, int]:
    """Returns the files in a store that are nobody's, with their sizes in bytes."""
    room = directory / ".versions"
    candidates = [*(room / "staging").rglob("*"), *(room / "trash").rglob("*")]
    candidates += room.rglob(".*.new")
    return {
        path.relative_to(room).as_posix(): path.lstat().st_size for path in candidates
    }


def inspect(
    directory: Path,
    point: str,
    *,
    reported: Collection[int],
    load: bool = False,
) -> Outcome:
    """Checks everything that is promised of a store, and that it goes on.

    Args:
        directory: The store.
        point: Where the fault struck, for the outcome.
        reported: Numbers of the versions that were reported as saved.
        load: Whether to load every version with Keras as well.
    """
    wrong: list[str] = []
    store = CheckpointStore(directory)
    listed = {version.number: version for version in store}
    gone = {entry.number: entry for entry in store.history if entry.gone}
    # What a policy removed has its reason in the ledger; the newest is never removed.
    lost = {
        number
        for number in reported
        if number not in listed
        and not (
            number in gone
            and gone[number].removed is not None
            and number < max(listed, default=0)
        )
    }
    if max(reported, default=0) > max(listed, default=0):
        lost.add(max(reported))
    torn = [why for v in listed.values() if (why := why_torn(v.path))]
    wrong += torn
    report = store.verify()
    wrong += [str(p) for p in report.problems if p.kind not in ("staging", "trash")]
    if load:
        from keras_versioned_ckpt import load_version

        for number in listed:
            try:
                load_version(directory, number)
            except CheckpointError as error:
                wrong.append(f"version {number} does not load: {error}")
    numbers = [entry.number for entry in store.history]
    if len(set(numbers)) < len(numbers):
        wrong.append(f"a number was used twice: {numbers}")

    with store.stage() as staged:
        (staged.path / "model.keras").write_bytes(b"the next save")
        new = store.commit(staged)
    if new.number <= max([*numbers, *reported], default=0):
        wrong.append(f"the next save got the number {new.number} after {numbers}")
    left = leftovers(directory)
    store.prune(KeepLast(1))
    if problems := store.verify().problems:
        wrong.append(f"after the next save: {list(map(str, problems))}")
    foreign = directory.parent / FOREIGN
    if foreign.exists() and foreign.read_bytes() != _FOREIGN:
        wrong.append("a file outside the store was touched")
    others = set(os.listdir(directory.parent)) - {FOREIGN, directory.name}
    if foreign.exists() and others:
        wrong.append(f"files were made outside the store: {sorted(others)}")
    return Outcome(
        point,
        lost=len(lost),
        torn=len(torn),
        leftover_bytes=sum(left.values()),
        wrong="; ".join(wrong),
    )
