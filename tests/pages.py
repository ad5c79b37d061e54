"""Reads a page of HTML back, for tests that ask what is on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from html.parser import HTMLParser

_VOID = {"br", "hr", "img", "input", "link", "meta"}


@dataclasses.dataclass
class Node:
    """An element of a page."""

    tag: str
    attributes: dict[str, str | None]
    children: list[Node | str] = dataclasses.field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it."""
        return "".join(c if isinstance(c, str) else c.text for c in self.children)

    def __iter__(self) -> Iterator[Node]:
        """Gives it and all elements in it, in the order of the page."""
        yield self
        for child in self.children:
            if isinstance(child, Node):
                yield from child

    def all(self, tag: str, class_: str | None = None) -> list[Node]:
        """Returns the elements with this tag, and this class."""
        return [
            node
            for node in self
            if node.tag == tag
            and (
                class_ is None or class_ in (node.attributes.get("class") or "").split()
            )
        ]

    def by_id(self, name: str) -> Node:
        """Returns the one element with this id."""
        (found,) = [node for node in self if node.attributes.get("id") == name]
        return found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, dict(attrs))
        assert len(node.attributes) == len(attrs), f"{tag} has an attribute twice"
        self.open[-1].children.append(node)
        if tag not in _VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> ends another element"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read(page: str) -> Node:
    """Returns a page, every element of which must be ended in its place."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert parser.open == [parser.root], "an element is not ended"
    return parser.root
