"""What is in a store: one that is kept open sees what one opened anew sees."""

import contextlib
import tempfile
import warnings
from pathlib import Path

from hypothesis import given, settings

from keras_versioned_ckpt.errors import CheckpointError, CheckpointWarning
from keras_versioned_ckpt.store import CheckpointStore
from tests.acts import ACTS, acts
from tests.stores import new_store


def told(store):
    """Returns everything that a store says of itself."""
    return store.versions, store.history, dict(store.tags)


@settings(deadline=None, max_examples=50)
@given(acts)
def test_an_open_store_says_what_one_opened_anew_says(acts):
    """Whatever was done to it, by itself, by others or by hand."""
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckpointWarning)
        store = new_store(Path(place) / "store", 0.5, 0.4)
        for act, n, by_others in acts:
            with contextlib.suppress(CheckpointError, ValueError):
                ACTS[act](CheckpointStore(store.path) if by_others else store, n)
            assert repr(told(store)) == repr(told(CheckpointStore(store.path))), act
