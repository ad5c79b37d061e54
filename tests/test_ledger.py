"""The lines of the ledger, there and back."""

import json

import pytest

from keras_versioned_ckpt.ledger import (
    Committed,
    Removed,
    TagMoved,
    decode,
    encode,
)
from tests.factories import START, versions

EVENTS = [
    Committed(versions([0.5])[0]),
    Removed(3, START, "removed: no rule keeps it", "KeepLast(3)"),
    TagMoved("prod", 3, START),
    TagMoved("prod", None, START),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_line_reads_back_the_same(event):
    """An event is one line, and the line is that event."""
    line = encode(event)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode(line) == event


def test_a_removal_says_which_when_and_why():
    """The line is plain enough to read without this package."""
    assert json.loads(encode(EVENTS[1])) == {
        "event": "remove",
        "number": 3,
        "at": "2026-11-20T12:00:00.000000Z",
        "reason": "removed: no rule keeps it",
        "policy": "KeepLast(3)",
    }


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"event":"comm', "Unterminated|delimiter"),
        (b"[]", "not a JSON object"),
        (b'{"event":"commit"}', "'number' is missing"),
        (b'{"event":"remove","number":1}', "an instant is not"),
        (
            b'{"event":"remove","number":1,"at":"2026-11-20T12:00:00.000000Z"}',
            "no reason",
        ),
        (
            b'{"event":"remove","number":1,"at":"2026-11-20T12:00:00.000000Z",'
            b'"reason":"x"}',
            "policy of a removal",
        ),
        (
            b'{"event":"remove","number":1,"at":"2026-11-20T12:00:00.000000Z",'
            b'"reason":""}',
            "no reason",
        ),
        (
            b'{"event":"tag","number":1,"at":"2026-11-20T12:00:00.000000Z"}',
            "a tag is not a string",
        ),
        (
            b'{"event":"tag","tag":"a","at":"2026-11-20T12:00:00.000000Z"}',
            "not an integer",
        ),
        (
            b'{"event":"dance","at":"2026-11-20T12:00:00.000000Z"}',
            "event that is not known",
        ),
    ],
)
def test_a_damaged_line_is_a_value_error(line, why):
    """The catalog counts such lines and goes on."""
    with pytest.raises(ValueError, match=why):
        decode(line)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_a_torn_line_never_reads_as_an_event(event):
    """Whatever the length at which a crash cut it."""
    line = encode(event).rstrip()
    for length in range(len(line)):
        with pytest.raises(ValueError, match=r"."):
            decode(line[:length])
