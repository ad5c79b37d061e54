"""Tags: put on, taken off, moved, and read although damaged."""

import json
import os

import pytest

from keras_versioned_ckpt import _tags
from keras_versioned_ckpt.errors import (
    StoreError,
    VersionNotFoundError,
)
from keras_versioned_ckpt.retention import KeepLast
from keras_versioned_ckpt.store import CheckpointStore
from tests.stores import found, new_store, save

KEEP_ONE = KeepLast(1)


def test_a_tag_is_on_one_version(directory):
    """Putting it on another takes it off the first."""
    store = new_store(directory, 0.5, 0.4)
    assert store.tag(1, "prod").tags == ("prod",)
    store.tag("version_1", "tested")
    store.tag(store[2], "prod")
    assert [version.tags for version in store] == [("tested",), ("prod",)]
    assert {tag: version.number for tag, version in store.tags.items()} == {
        "prod": 2,
        "tested": 1,
    }
    store.untag("prod")
    assert CheckpointStore(directory)[2].tags == ()
    assert store.select("tag:tested").number == 1


def test_a_version_may_be_saved_with_tags(directory):
    """They are on it from the start."""
    store = new_store(directory)
    assert save(store, tags=["b", "a"]).tags == ("a", "b")


def test_a_tag_that_does_not_exist(directory):
    """The message lists those that exist."""
    store = new_store(directory, 0.5)
    store.tag(1, "prod")
    with pytest.raises(VersionNotFoundError, match="tagged 'live'.*exist: 'prod'"):
        store.untag("live")
    with pytest.raises(VersionNotFoundError, match="no version number 9"):
        store.tag(9, "prod")
    assert store.tags["prod"].number == 1


@pytest.mark.parametrize(
    ("tag", "error"),
    [
        (3, TypeError),
        (None, TypeError),
        ("", ValueError),
        ("../prod", ValueError),
        (".prod", ValueError),
        ("prod~1", ValueError),
        ("con", ValueError),
    ],
)
def test_a_wrong_tag_is_named(directory, tag, error):
    """Neither put on nor taken off."""
    store = new_store(directory, 0.5)
    for act in (lambda: store.tag(1, tag), lambda: store.untag(tag)):
        with pytest.raises(error, match="`tag` .*Received: tag="):
            act()


def test_foreign_files_among_the_tags_are_no_tags(directory):
    """What no tag could be called is somebody else's."""
    store = new_store(directory, 0.5)
    (directory / ".versions" / "tags" / ".DS_Store").write_bytes(b"\0")
    assert store.tags == {}
    save(store)
    assert (directory / ".versions" / "tags" / ".DS_Store").exists()


def test_a_tag_that_is_taken_off_during_the_listing_hides_no_other(
    directory, monkeypatch
):
    """Each tag is read for itself."""
    store = new_store(directory, 0.5)
    store.tag(1, "a")
    store.tag(1, "b")
    names = os.listdir

    def slow(path):
        there = names(path)
        if path == directory / ".versions" / "tags":
            (path / "a").unlink(missing_ok=True)
        return there

    monkeypatch.setattr(os, "listdir", slow)
    assert list(store.tags) == ["b"]


def test_a_damaged_tag_still_protects_its_version(directory):
    """The ledger remembers where it was."""
    store = new_store(directory, 0.5, 0.4, 0.3)
    store.tag(1, "prod")
    store.tag(2, "old")
    store.untag("old")
    (directory / ".versions" / "tags" / "prod").write_bytes(b"")
    store.prune(KEEP_ONE)
    assert found(store) == [1, 3]
    assert store[1].tags == ("prod",)


def test_a_tag_that_nobody_remembers_stops_everything(directory):
    """Pruning a version that may be tagged would be worse than an error."""
    store = new_store(directory, 0.5, 0.4)
    (directory / ".versions" / "tags" / "prod").write_bytes(b"[]")
    with pytest.raises(StoreError, match=r"'prod' cannot be read.*Remove .*tags/prod"):
        store.prune(KEEP_ONE)
    (directory / ".versions" / "tags" / "prod").unlink()
    assert found(store) == [1, 2]


def test_tags_that_differ_in_case_alone_are_refused(directory):
    """Where case does not count, their files would be one."""
    store = new_store(directory, 0.5, 0.4)
    store.tag(1, "prod")
    with pytest.raises(StoreError, match="'PROD' cannot be a tag beside 'prod'"):
        store.tag(2, "PROD")
    assert [version.tags for version in store] == [("prod",), ()]


def test_a_tag_too_many_is_refused(directory, monkeypatch):
    """One that is there can still be moved."""
    monkeypatch.setattr(_tags, "MOST", 1)
    store = new_store(directory, 0.5, 0.4)
    store.tag(1, "prod")
    with pytest.raises(StoreError, match="a tag too many"):
        store.tag(2, "test")
    store.tag(2, "prod")
    assert [version.tags for version in store] == [(), ("prod",)]


@pytest.mark.parametrize("tag", ["../../../precious", "/etc/precious", "latest"])
def test_a_tag_that_is_none_is_nothing_to_be_put_back(directory, tmp_path, tag):
    """A line that speaks of a path would have repair write outside of the store."""
    store = new_store(directory, 0.5)
    (tmp_path / "precious").write_bytes(b"mine")
    at = "2026-11-20T18:00:00.000000Z"
    line = json.dumps({"event": "tag", "tag": tag, "number": 1, "at": at})
    with open(directory / ".versions" / "ledger.jsonl", "a") as file:
        file.write(line + "\n")
    (problem,) = store.repair().problems
    assert problem.what == "1 line(s) cannot be read"
    assert (tmp_path / "precious").read_bytes() == b"mine"
    assert store.verify().ok
