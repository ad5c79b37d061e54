"""Tables for notebooks, and what stands in their cells.

They are without colours, style sheets and scripts of their own, so that they look like
the page around them, dark or bright, and can still be read where a notebook is not
trusted and what gives them their looks is dropped.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeVar

from keras_versioned_ckpt._markup import Child, Markup, element, joined
from keras_versioned_ckpt._messages import shortened

#: Of a longer table, so many rows are shown from its beginning and from its end.
FIRST, LAST = 3, 20
#: A name that is longer, in characters, is shortened.
LONGEST_NAME = 60
FADED = "opacity:.6"

#: The heading of a column, and to which side its cells are aligned.
Column = tuple[str, Literal["left", "right"]]

_TABLE = "border-collapse:collapse;margin:.4em 0"
_CELL = "vertical-align:top;padding:.1em .6em"
_LABEL = "border:1px solid;border-radius:.6em;padding:0 .5em"
_BREAK = element("br")

_T = TypeVar("_T")


def table(
    columns: Sequence[Column], items: Sequence[_T], row: Callable[[_T], Markup]
) -> Markup:
    """Returns a table, shortened where it is long.

    Args:
        columns: Its columns.
        items: What it has a row for each of.
        row: Makes the row of one, by `table_row`.
    """
    heads = [
        element(
            "th",
            name,
            scope="col",
            style=f"text-align:{side};border-bottom:1px solid;{_CELL}",
        )
        for name, side in columns
    ]
    rows = _rows(items, row, len(columns))
    return element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
        style=_TABLE,
    )


def table_row(
    columns: Sequence[Column], cells: Sequence[Child], *, faded: bool = False
) -> Markup:
    """Returns a row with one cell for each column."""
    made = [
        element("td", cell, style=f"text-align:{side};{_CELL}")
        for cell, (_, side) in zip(cells, columns, strict=True)
    ]
    return element("tr", *made, style=FADED if faded else None)


def facts(pairs: Iterable[tuple[str, Child]]) -> Markup:
    """Returns a table of names and what is known by them."""
    style = f"text-align:left;{_CELL}"
    rows = [
        element(
            "tr",
            element("th", name, scope="row", style=style),
            element("td", value, style=style),
        )
        for name, value in pairs
    ]
    return element("table", element("tbody", *rows), style=_TABLE)


def fragment(title: str, about: Child, *parts: Child) -> Markup:
    """Returns a line with a title, and parts below one another."""
    head = element("div", element("strong", title), " ", about)
    return element("div", head, *parts)


def note(text: str) -> Markup:
    """Returns a line in small letters."""
    return element("div", element("small", text), style=FADED)


def named(name: str) -> Markup:
    """Returns a name as code; all of it is shown by the mouse, if it is long."""
    whole = name if len(name) > LONGEST_NAME else None
    return element("code", shortened(name, LONGEST_NAME), title=whole)


def labels(texts: Iterable[str]) -> Markup:
    """Returns texts in frames, side by side."""
    made: list[Child] = []
    for text in texts:
        # The space is for where the frames are dropped.
        label = element("span", shortened(text, LONGEST_NAME), style=_LABEL)
        made += [" ", label] if made else [label]
    return joined(made)


def lines(texts: Iterable[str]) -> Markup:
    """Returns texts below one another, the first of them where there are many."""
    every = list(texts)
    left_out = len(every) - LAST
    if left_out > 1:
        every[LAST:] = [f"… and {left_out} more"]
    made: list[Child] = []
    for text in every:
        made += [_BREAK, text] if made else [text]
    return joined(made)


def _rows(
    items: Sequence[_T], row: Callable[[_T], Markup], width: int
) -> Iterator[Markup]:
    left_out = len(items) - FIRST - LAST
    # A row that says that one is left out would be no shorter.
    if left_out <= 1:
        yield from map(row, items)
        return
    yield from map(row, items[:FIRST])
    text = f"… {left_out} rows are left out …"
    cell = element("td", text, colspan=width, style=f"text-align:center;{_CELL}")
    yield element("tr", cell, style=FADED)
    yield from map(row, items[-LAST:])
