"""What can happen to a store: by itself, by others, and by hand; for random tests."""

import os
import shutil

from hypothesis import strategies as st

from keras_versioned_ckpt import ledger
from keras_versioned_ckpt.naming import Template
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.retention import KeepLast
from tests.factories import START
from tests.stores import save

LOSSES = [0.25, 0.5, 0.5, float("nan"), None]


def rewrite(store, change):
    """Puts another ledger in the place of a store's, made of the lines of the old."""
    path = store.path / ".versions" / "ledger.jsonl"
    if path.exists():
        lines = change(path.read_bytes().splitlines(keepends=True))
        (path.parent / "new").write_bytes(b"".join(lines))
        os.replace(path.parent / "new", path)


def by_hand(store, n, act):
    """Does something to the directory of one version, where there is one."""
    names = sorted(p.name for p in store.path.glob("[mv]*"))
    if names:
        act(store.path / names[n % len(names)])


def put_a_link(path):
    """Moves a version away and leaves a link to it."""
    if not path.is_symlink():
        shutil.move(path, path.parents[1] / f"moved-{path.name}")
        path.symlink_to(path.parents[1] / f"moved-{path.name}")


def remove(path):
    """Removes a version or a link by hand."""
    path.unlink() if path.is_symlink() else shutil.rmtree(path)


def copy(path):
    """Copies a version under another name."""
    if not path.is_symlink():
        shutil.copytree(path, path.with_name(f"v{path.name}"), dirs_exist_ok=True)


def spoil(path):
    """Damages a manifest."""
    (path / "manifest.json").write_bytes(b"{")


def invent(store, n):
    """Appends a line about a version that there never was, or not under this name."""
    there = {version.number for version in store}
    used = {entry.number for entry in store.history}
    number = min(used - there) if n % 2 and used > there else max(used, default=0) + 1
    event = (
        ledger.Removed(n + 1, START, "removed: invented")
        if n > 3
        else ledger.Committed(
            Version(
                number=number,
                name=f"version_{1 + n % 3}",
                created=START,
                metrics={"val_loss": n / 10},
                monitor=["val_loss", "loss", None][n % 3],
                modes={"val_loss": "max"},
            )
        )
    )
    rewrite(store, lambda lines: [*lines, ledger.encode(event)])


def any_of(store, n):
    """Returns one of the versions that are there."""
    return store.versions[n % len(store)] if len(store) else n + 1


ACTS = {
    "save": lambda s, n: save(s, loss=LOSSES[n % 5], monitor="val_loss", mode="min"),
    "save by hand": lambda s, n: save(s, loss=LOSSES[n % 5], modes={"val_loss": "min"}),
    "save again": lambda s, n: save(s, epoch=n % 2, naming=Template("m_{epoch}")),
    "delete": lambda s, n: s.delete(any_of(s, n)),
    "prune": lambda s, n: s.prune(KeepLast(n % 4 + 1)),
    "tag": lambda s, n: s.tag(any_of(s, n), f"tag-{n % 2}"),
    "untag": lambda s, n: s.untag(f"tag-{n % 2}"),
    "repair": lambda s, n: s.repair(),
    "lose the last lines": lambda s, n: rewrite(s, lambda lines: lines[: -1 - n % 2]),
    "lose all lines": lambda s, n: rewrite(s, lambda lines: []),
    "tear a line": lambda s, n: rewrite(
        s, lambda lines: [*lines[:n], *(line[n + 1 :] for line in lines[n:])]
    ),
    "invent a line": invent,
    "save by another metric": lambda s, n: save(
        s, metrics={"f1": n / 10, "val_loss": LOSSES[n % 4]}, modes={"f1": "max"}
    ),
    "save in an epoch": lambda s, n: save(
        s, loss=0.0, batch=3, monitor=["f1", None][n % 2], mode=["max", None][n % 2]
    ),
    "remove by hand": lambda s, n: by_hand(s, n, remove),
    "put a link": lambda s, n: by_hand(s, n, put_a_link),
    "copy by hand": lambda s, n: by_hand(s, n, copy),
    "spoil": lambda s, n: by_hand(s, n, spoil),
}
acts = st.lists(
    st.tuples(st.sampled_from(list(ACTS)), st.integers(0, 5), st.booleans()),
    min_size=1,
    max_size=12,
)
