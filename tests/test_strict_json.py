"""Which documents strict JSON reads and writes, and which it refuses."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt._strict_json import MAX_DEPTH, MAX_INTEGER, dumps, loads

LIMIT = 100_000

texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner),
    max_leaves=20,
)


def nested(depth):
    """Returns a list in a list in a list …"""
    value = []
    for _ in range(depth):
        value = [value]
    return value


@given(documents)
def test_what_is_written_reads_back_the_same(document):
    """Reading undoes writing."""
    assert loads(dumps(document), LIMIT) == document


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "Expecting value"),
        (b"{} {}", "Extra data"),
        (b'{"a": 1', "delimiter"),
        (b'{"a": 1, "a": 2}', "a key comes twice"),
        (b'[{"x": {"a": 1, "a": 1}}]', "a key comes twice"),
        (b"NaN", "NaN is not a JSON number"),
        (b"[-Infinity]", "-Infinity is not a JSON number"),
        (b"1e999", "overflows to infinity"),
        (b"9007199254740993", r"beyond 2\*\*53"),
        (b"-9007199254740993", r"beyond 2\*\*53"),
        (b"1" * 5000, r"beyond 2\*\*53|digits"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'"\xff"', "utf-8"),
        ("{}".encode("utf-16"), "utf-8"),
        (b'"\\u0000"', "NUL"),
        (b'{"\\u0000": 1}', "NUL"),
        (b'"\\ud800"', "surrogates not allowed"),
        (b'{"\\ud800": 1}', "surrogates not allowed"),
        (b"[" * 200_000, "nested deeper|longer"),
    ],
)
def test_a_document_that_breaks_a_rule_is_refused(data, why):
    """Each loose end of JSON is a ValueError that says which."""
    with pytest.raises(ValueError, match=why):
        loads(data, 10 * LIMIT)


def test_a_document_may_be_as_deep_as_the_limit():
    """The limit on depth counts from the outermost container."""
    assert loads(json.dumps(nested(MAX_DEPTH)).encode(), LIMIT) == nested(MAX_DEPTH)
    with pytest.raises(ValueError, match="nested deeper than 32"):
        loads(json.dumps(nested(MAX_DEPTH + 1)).encode(), LIMIT)


def test_a_document_that_is_too_long_is_not_parsed():
    """The limit on length is checked before anything else, and is exact."""
    assert loads(b"[1, 2]", 6) == [1, 2]
    with pytest.raises(ValueError, match="longer than 5 bytes"):
        loads(b"[1, 2]", 5)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({1: 2}, TypeError),
        ({"a": {1, 2}}, TypeError),
        ([b"bytes"], TypeError),
        (math.nan, ValueError),
        ({"a": [math.inf]}, ValueError),
        (MAX_INTEGER + 1, ValueError),
        ("a\0b", ValueError),
        ("\ud800", ValueError),
        (nested(MAX_DEPTH + 1), ValueError),
    ],
)
def test_what_could_not_be_read_back_is_not_written(value, error):
    """Writing is as strict as reading."""
    with pytest.raises(error):
        dumps(value)


def test_a_line_is_compact_and_a_document_is_indented():
    """A ledger's line is short, a manifest is for people; both end in a newline."""
    assert dumps({"a": [1, "ä"]}) == '{"a":[1,"ä"]}\n'.encode()
    assert dumps({"a": 1}, indent=2) == b'{\n  "a": 1\n}\n'
