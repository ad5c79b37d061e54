"""HTML and SVG from small functions, in which nothing can be left unescaped.

What is read from a store may hold anything. Here a plain string is always text: it
becomes markup through `text` alone, or as a child or an attribute of an `element`.
"""

import html
from collections.abc import Iterable

from keras_versioned_ckpt._messages import escaped, shortened

#: The longest text that reaches a page, in characters.
LONGEST = 1000
# Elements that have neither content nor an end tag (HTML, 13.1.2).
_VOID = frozenset({"br", "col", "hr", "img", "input", "link", "meta"})


class Markup(str):
    """Text that is markup already.

    It is made by `element`, `text` and `joined`. The constructor takes what it is
    given as it is, so that it is for constants of this package alone. What string
    methods and `+` make of one is a plain string again, which would be escaped.
    """

    __slots__ = ()


Child = str | int | float | None


def text(value: object) -> Markup:
    """Returns what a value says as markup.

    Args:
        value: Anything with a `str`. It is shortened to 1,000 characters; what does
            not print, such as control and bidirectional characters, is shown as an
            escape.

    Example:

    >>> print(text("<b>\\n"))
    &lt;b&gt;\\n
    """
    # Shortened first, for it may be long, and again, for escapes are longer.
    plain = shortened(escaped(shortened(str(value), LONGEST)), LONGEST)
    return Markup(html.escape(plain))


def joined(children: Iterable[Child]) -> Markup:
    """Returns children one after the other: markup as it is, and all else as text."""
    return Markup("".join([_child(child) for child in children]))


def element(tag: str, /, *children: Child, **attributes: str | float | None) -> Markup:
    """Returns an element.

    Args:
        tag: Its name; a constant, never a value out of a store.
        *children: Its content, in order. `Markup` is taken as it is, other values as
            `text`; `None` stands for nothing.
        **attributes: Its attributes, with values like those of children. An underscore
            stands for a hyphen, and one at the end is dropped: `class_`, `data_sort`.
            With `None` and `False` there is no such attribute, and with `True` one
            without a value.

    Example:

    >>> print(element("td", "a<b", class_="name", data_sort=3))
    <td class="name" data-sort="3">a&lt;b</td>
    """
    given = [
        _attribute(name, value)
        for name, value in attributes.items()
        if value is not None and value is not False
    ]
    start = f"<{tag}{''.join(given)}>"
    if tag in _VOID:
        return Markup(start)
    return Markup(f"{start}{joined(children)}</{tag}>")


def _attribute(name: str, value: str | float) -> str:
    name = name.rstrip("_").replace("_", "-")
    if isinstance(value, bool):
        return f" {name}"
    # Elements hold quotes, which would end the attribute.
    return f' {name}="{_child(value).replace(chr(34), "&quot;")}"'


def _child(child: Child) -> str:
    if isinstance(child, Markup):
        return child
    return "" if child is None else text(child)
