"""HTML and SVG from small functions."""

import doctest

import pytest

from keras_versioned_ckpt import _markup
from keras_versioned_ckpt._markup import LONGEST, Markup, element, joined, text

SCRIPT = "</script><img src=x onerror=alert(1)>"


def test_its_examples() -> None:
    """They give what they say."""
    assert doctest.testmod(_markup).failed == 0
    assert doctest.testmod(_markup).attempted > 0


def test_a_string_is_text() -> None:
    """Wherever it comes in: as a child, an attribute, or one of several."""
    shown = "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;"
    assert text(SCRIPT) == joined([SCRIPT]) == shown
    assert element("td", SCRIPT) == f"<td>{shown}</td>"
    assert element("td", title=SCRIPT) == f'<td title="{shown}"></td>'


def test_quotes_end_no_attribute() -> None:
    """Neither kind."""
    made = element("td", title="\" onclick='x")
    assert made == '<td title="&quot; onclick=&#x27;x"></td>'


def test_markup_is_taken_as_it_is() -> None:
    """So that elements can stand in elements."""
    assert element("p", element("b", "1<2")) == "<p><b>1&lt;2</b></p>"


def test_markup_as_an_attribute() -> None:
    """It is not shortened, as the data of a path must not be, and cannot end it."""
    data = Markup("M0 0" * LONGEST)
    assert element("path", d=data) == f'<path d="{data}"></path>'
    assert element("td", title=text("a&b")) == '<td title="a&amp;b"></td>'
    quoted = element("td", title=Markup('"><b>'))
    assert quoted == '<td title="&quot;><b>"></td>'


def test_what_is_made_of_markup_is_not_markup() -> None:
    """A string that was put together by other means is escaped once more."""
    assert element("p", Markup("<b>") + SCRIPT).count("<") == 2
    assert element("p", f"{Markup('<b>')}") == "<p>&lt;b&gt;</p>"


@pytest.mark.parametrize("hidden", ["\u202e", "\u2066", "\x00", "\x1b", "\ud800"])
def test_what_does_not_print_is_shown(hidden: str) -> None:
    """A text neither turns round what follows nor keeps a page from being written."""
    made = element("td", hidden, title=hidden)
    assert hidden not in made
    assert made.count("\\") == 2
    made.encode()


def test_a_long_text_is_shortened() -> None:
    """Also one that is long only when it is escaped."""
    assert len(text("x" * 1_000_000)) == LONGEST
    assert len(text("\x1b" * 900)) == LONGEST
    assert text("x" * 1_000_000).endswith("…")


def test_attributes_that_are_not_there() -> None:
    """None and False leave them out, and True gives them no value."""
    made = element("button", hidden=True, disabled=False, title=None, data_n=0)
    assert made == '<button hidden data-n="0"></button>'


def test_elements_without_content() -> None:
    """They have no end tag; None is no content, and 0 is."""
    assert element("input", type="checkbox") == '<input type="checkbox">'
    assert element("td", None) == "<td></td>"
    assert element("td", 0) == "<td>0</td>"
