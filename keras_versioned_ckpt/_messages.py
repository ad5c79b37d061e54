"""How things are shown in messages: escaped, shortened, and with what exists."""

from collections.abc import Iterable


def shown(text: object, limit: int = 200) -> str:
    """Returns `text` quoted, with control and bidirectional characters escaped.

    What is read from a store may hold anything; it reaches a terminal only
    through this function or `escaped`.

    Args:
        text: What to show; a string or anything with a `repr`.
        limit: Longest result, in characters.
    """
    # repr escapes whatever str.isprintable refuses, the bidi controls included.
    return shortened(repr(text), limit)


def shortened(text: str, limit: int = 200) -> str:
    """Returns `text`, or its beginning where it is longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def listing(items: Iterable[object], limit: int = 8) -> str:
    """Returns the last few of `items` for a message that says what exists."""
    texts = [str(item) for item in items]
    if not texts:
        return "none"
    if len(texts) <= limit:
        return ", ".join(texts)
    return f"{len(texts)} in all, the last ones {', '.join(texts[-limit:])}"


def escaped(text: str) -> str:
    """Returns `text` without quotes, with what does not print as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def reason(error: OSError) -> str:
    """Returns an error of the operating system in words, with its file."""
    text = error.strerror or str(error)
    # It may lie in a store that anybody made, and be called anything.
    name = escaped(str(error.filename)) if error.filename else ""
    return f"{text} ({name})" if name else text


def rounded_size(size_bytes: int) -> str:
    """Returns a size with a decimal unit, such as `403 MB`."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
