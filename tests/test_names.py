"""Which names are allowed, and how things are shown in messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt._messages import escaped, listing, shown
from keras_versioned_ckpt._names import MAX_LENGTH, fold, folded, why_not


@pytest.mark.parametrize(
    "name", ["a", "0", "version_1", "epoch=03-loss+0.25", "console", "x" * MAX_LENGTH]
)
def test_a_portable_name_is_allowed(name):
    """ASCII letters, digits and five characters more."""
    assert why_not(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (3, "must be a string"),
        ("", "must not be empty"),
        ("x" * (MAX_LENGTH + 1), "must not be longer than 128"),
        (".versions", "must begin with"),
        ("-rf", "must begin with"),
        ("a/b", "must begin with"),
        ("a\n", "must begin with"),
        ("ä", "must begin with"),
        ("a b", "must begin with"),
        ("a.", "must not end with a dot"),
        ("con", "Windows reserves"),
        ("NUL.txt", "Windows reserves"),
        ("Com1", "Windows reserves"),
    ],
)
def test_another_name_is_refused_with_the_reason(name, why):
    """The reason is the end of a sentence that begins with the argument."""
    assert why in why_not(name)


@given(st.lists(st.text(st.characters(exclude_characters="/"), min_size=1)))
def test_many_names_fold_as_each_does(names):
    """Whatever stands in a directory, also what could be no name of a version."""
    assert folded(names) >= {fold(name) for name in names}
    assert folded(names) - {""} <= {fold(name) for name in names}


def test_names_are_the_same_where_case_does_not_count():
    """Two names that one file system would take for one."""
    assert fold("Model.Keras") == fold("model.keras")
    assert fold("model-1") != fold("model-2")


@given(st.text())
def test_what_is_shown_always_prints(text):
    """No control character, no bidirectional override reaches a terminal."""
    assert shown(text).isprintable()
    assert all(c.isprintable() for c in escaped(text))


def test_what_is_long_is_cut():
    """The result is never longer than the limit."""
    assert shown("abc") == "'abc'"
    assert shown("x" * 500, limit=10) == "'xxxxxxxx…"


def test_a_listing_says_what_exists():
    """All of a few, the last ones of many, and `none`."""
    assert listing([]) == "none"
    assert listing([1, 2]) == "1, 2"
    assert listing(range(1, 11), limit=2) == "10 in all, the last ones 9, 10"
