"""The index of a ledger, there and back."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt import _index, ledger
from tests.factories import versions

LIVE = versions([0.5, 0.25, float("nan"), 0.25, None])


def made(live=LIVE):
    """Returns a ledger of these versions and its index."""
    lines = [ledger.encode(ledger.Committed(version)) for version in live]
    data = b"".join(lines)
    places = {v.name: len(b"".join(lines[:i])) for i, v in enumerate(live)}
    crc32 = _index.zlib.crc32(data)
    return data, _index.made(
        live, places, last_number=9, ledger_bytes=len(data), ledger_crc32=crc32
    )


def told(ledger_bytes, places):
    """Returns the numbers of the versions of which a ledger speaks at these places."""
    return [
        ledger.decode(ledger_bytes[place:].splitlines()[0]).version.number
        for place in places
    ]


def test_an_index_says_what_the_ledger_says():
    """Which versions there are, which are the newest, and which the best."""
    data, index = made(LIVE[::-1])
    assert (index.numbers, index.last_number) == ([1, 2, 3, 4, 5], 9)
    assert index.names == [version.name for version in LIVE]
    assert told(data, index.newest) == [1, 2, 3, 4, 5]
    assert list(index.rankings) == [("val_loss", "min")]
    assert told(data, index.rankings["val_loss", "min"]) == [2, 4, 1]
    assert index.monitored


def test_of_the_newest_and_the_best_only_some_are_noted(monkeypatch):
    """So that the index of a store stays small."""
    monkeypatch.setattr(_index, "NOTED", 2)
    data, index = made()
    assert told(data, index.newest) == [4, 5]
    assert told(data, index.rankings["val_loss", "min"]) == [2, 4]
    assert len(index.names) == 5


def test_without_a_monitor_the_ranking_is_by_val_loss():
    """As `Best` has it; where nobody knows the direction of a metric, there is none."""
    _, index = made(versions([0.5, 0.25], monitor=None, mode=None))
    assert not index.monitored
    assert [*index.rankings] == [("val_loss", "min")]
    _, index = made(versions([0.5], monitor="f1", mode=None))
    assert index.rankings == {}


def test_two_names_with_one_number_have_no_index():
    """Only a ledger that was tampered with is like that."""
    assert made([*LIVE, versions(count=1)[0]])[1] is None


@pytest.mark.parametrize("live", [LIVE, []])
def test_an_index_reads_back_the_same(live):
    """Also that of a store in which nothing is left."""
    index = made(live)[1]
    assert _index.decode(_index.encode(index)) == index


@given(st.data())
def test_a_damaged_index_is_a_value_error(data):
    """Whichever of its bytes is another, or missing."""
    whole = _index.encode(made()[1])
    i = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.binary(max_size=2).filter(lambda b: b != whole[i : i + 1]))
    with pytest.raises(ValueError, match=r"."):
        _index.decode(whole[:i] + other + whole[i + 1 :])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"newest"', '"oldest"', "fields"),
        ('{"ledger', '[{"ledger', "delimiter"),
        ('"newest":[0', '"newest":[null', "list of integers"),
        ('"min",[', '"min",["x",', "list of integers"),
        ('[["val_loss"', '[[["val_loss"]', "fields"),
        ("[1, 2", '["1", 2', "list of integers"),
        ("[1, 2", "[1", "as many numbers as names"),
        ("[1, 2", "[" * 100_000, "fields"),
        ("version_1/", "", "as many numbers as names"),
        ("version_1/", "version_1\n", "too many values"),
    ],
)
def test_an_index_that_was_tampered_with_is_a_value_error(old, new, why):
    """Though its checksum is right."""
    below = _index.encode(made()[1]).decode().partition("\n")[2]
    assert old in below
    changed = below.replace(old, new, 1).encode()
    first = f'{{"format":1,"crc32":{_index.zlib.crc32(changed)}}}\n'.encode()
    with pytest.raises(ValueError, match=why):
        _index.decode(first + changed)


def test_an_index_is_about_one_ledger():
    """What was appended to it does not matter, a byte that changed does."""
    data, index = made()
    assert index.is_about(io.BytesIO(data))
    assert index.is_about(io.BytesIO(data + b"more"))
    assert not index.is_about(io.BytesIO(data[:-1]))
    assert not index.is_about(io.BytesIO(data.replace(b"0.5", b"0.6")))
