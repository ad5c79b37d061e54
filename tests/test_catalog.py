"""What is in a store: one that is kept open sees what one opened anew sees."""

import contextlib
import os
import shutil
import tempfile
import warnings
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from keras_versioned_ckpt.errors import CheckpointError, CheckpointWarning
from keras_versioned_ckpt.naming import Template
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.store import CheckpointStore
from tests.stores import new_store, save

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


def any_of(store, n):
    """Returns one of the versions that are there."""
    return store.versions[n % len(store)] if len(store) else n + 1


ACTS = {
    "save": lambda s, n: save(s, loss=LOSSES[n % 5], monitor="val_loss", mode="min"),
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


def told(store):
    """Returns everything that a store says of itself."""
    return store.versions, store.history, dict(store.tags)


@settings(deadline=None, max_examples=60)
@given(acts)
def test_an_open_store_says_what_one_opened_anew_says(acts):
    """Whatever was done to it, by itself, by others or by hand."""
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointWarning)
        store = new_store(Path(place) / "store", 0.5, 0.4)
        for act, n, by_others in acts:
            with contextlib.suppress(CheckpointError):
                ACTS[act](CheckpointStore(store.path) if by_others else store, n)
            assert repr(told(store)) == repr(told(CheckpointStore(store.path))), act
