"""The parts that every section of a report is made of."""

from collections.abc import Iterable

from keras_versioned_ckpt._markup import Child, Markup, element, joined
from keras_versioned_ckpt._svg import Frame, mark

#: What stands where there is nothing to say.
MISSING = "-"
#: What a run's line looks like repeats after so many runs.
COLOURS = 6


def section(name: str, heading: str, *children: Child) -> Markup:
    """Returns a section with its heading.

    Args:
        name: Its id, for links to it.
        heading: What it is about.
        *children: What it says.
    """
    return element(
        "section",
        element("h2", heading, id=f"{name}-heading"),
        *children,
        id=name,
        aria_labelledby=f"{name}-heading",
    )


def sentence(*children: Child, class_: str | None = None) -> Markup:
    """Returns a paragraph."""
    return element("p", *children, class_=class_)


def wide_and_narrow(wide: Markup, narrow: Markup) -> Markup:
    """Returns a drawing for a desk and for a phone, of which one is shown.

    One that only shrank would be too small to read.
    """
    return joined(
        [
            element("div", wide, class_="drawing wide"),
            element("div", narrow, class_="drawing narrow"),
        ]
    )


def legend(items: Iterable[tuple[Markup, str]]) -> Markup:
    """Returns what marks mean.

    Args:
        items: For each, a small drawing and words.
    """
    return element(
        "ul", *[element("li", sign, words) for sign, words in items], class_="legend"
    )


def sign(*children: Child, width: float = 18) -> Markup:
    """Returns a small drawing for a legend, which the words beside it say, too."""
    return element(
        "svg",
        *children,
        viewBox=f"0 0 {width:g} 18",
        width=width,
        height=18,
        aria_hidden="true",
    )


def mark_sign(shape: str, class_: str = "") -> Markup:
    """Returns a mark for a legend."""
    return sign(mark(shape, 9, 9, class_))


def run_class(position: int) -> str:
    """Returns the classes of the run at this position: its colour, and its dashes."""
    return f"run-{position % COLOURS} dash-{position // COLOURS % 3}"


def frame(width: float, height: float, **margins: float) -> Frame:
    """Returns a frame with the margins of a drawing with values on the left."""
    return Frame(width=width, height=height, **{"left": 58, "right": 16, **margins})
