"""The frozen values: `Version`, `HistoryEntry`, `Moment`, `FrozenMapping`."""

import copy
import dataclasses
import pickle
from datetime import UTC, datetime, timedelta, timezone

import pytest

from keras_versioned_ckpt.records import FrozenMapping, HistoryEntry, Moment, Version
from tests.factories import START, versions


def test_a_version_needs_only_a_number_and_an_instant():
    """Everything else has a default."""
    version = Version(number=3, created=START)
    assert version.name == "version_3"
    assert version.metrics == {}
    assert version.tags == ()
    assert version.path is None


def test_instants_are_kept_in_utc():
    """A version made in another time zone equals the same one made in UTC."""
    eastern = timezone(timedelta(hours=-5))
    version = Version(number=1, created=datetime(2026, 11, 20, 7, tzinfo=eastern))
    assert version.created.tzinfo is UTC
    assert version == Version(number=1, created=START)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"number": True}, TypeError, "`number` must be an integer.*number=True"),
        ({"number": 1.0}, TypeError, "`number` must be an integer.*number=1.0"),
        ({"number": 0}, ValueError, "`number` must be 1 or more.*number=0"),
        ({"created": "today"}, TypeError, "`created` must be a `datetime.datetime`"),
        ({"created": datetime(2026, 1, 1)}, ValueError, "must have a time zone"),
    ],
)
def test_a_wrong_argument_is_named(arguments, error, message):
    """The message says what must hold and what was received."""
    with pytest.raises(error, match=message):
        Version(**{"number": 1, "created": START} | arguments)


def test_a_version_cannot_be_changed():
    """Neither its fields nor what they hold."""
    version = versions([0.5])[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        version.epoch = 7
    with pytest.raises(TypeError):
        version.metrics["val_loss"] = 0.1


def test_a_version_does_not_share_its_dictionaries_with_the_caller():
    """Changing the dictionary afterwards changes no record."""
    metrics = {"val_loss": 0.5}
    version = Version(number=1, created=START, metrics=metrics)
    metrics["val_loss"] = 0.1
    assert version.metrics == {"val_loss": 0.5}


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v)), dataclasses.replace],
    ids=["deepcopy", "pickle", "replace"],
)
def test_copies_are_equal_and_hash_equal(copied):
    """A version can go to another process and be a key there."""
    version = versions([0.5], tags={1: ("b", "a")})[0]
    assert copied(version) == version
    assert hash(copied(version)) == hash(version)
    assert copied(version).tags == ("a", "b")


def test_a_frozen_mapping_reads_as_a_dictionary():
    """It compares and prints as the dictionary it was made of."""
    mapping = FrozenMapping({"a": 1})
    assert mapping == {"a": 1}
    assert dict(mapping) == {"a": 1}
    assert len(mapping) == 1
    assert repr(mapping) == "{'a': 1}"
    assert FrozenMapping() == {}


def test_a_history_entry_is_gone_when_there_is_a_reason():
    """Number and name are those of the version."""
    version = versions(count=1)[0]
    there = HistoryEntry(version=version)
    assert (there.number, there.name, there.gone) == (1, "version_1", False)
    assert HistoryEntry(version=version, reason="removed: no rule keeps it").gone


def test_a_moment_knows_no_best_by_default():
    """A store without versions has no value to improve on."""
    moment = Moment(event="epoch_end", epoch=1)
    assert (moment.best, moment.metrics) == ({}, {})
