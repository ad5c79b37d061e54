"""Which strings may be the name of a version, of a tag, or of a version's file.

A name becomes a directory on every platform that a store may be copied to, so
the rule is the narrowest of them all: ASCII letters, digits and `._=+-`, a
letter or digit first, no name that Windows reserves, no trailing dot, and
unique also where the file system does not tell upper from lower case.
"""

import re
from collections.abc import Iterable

MAX_LENGTH = 128

ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*", re.ASCII)

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul"]
    + [f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789"]
)


def why_not(name: object) -> str | None:
    """Returns why `name` cannot be a directory name here, or `None` if it can."""
    if not isinstance(name, str):
        return "must be a string"
    if not name:
        return "must not be empty"
    if len(name) > MAX_LENGTH:
        return f"must not be longer than {MAX_LENGTH} characters"
    if not ALLOWED.fullmatch(name):
        return (
            "must begin with an ASCII letter or digit and hold only ASCII "
            "letters, digits and the characters . _ = + -"
        )
    if name.endswith("."):
        return "must not end with a dot"
    if name.split(".", 1)[0].lower() in _WINDOWS_DEVICES:
        return "must not be a name that Windows reserves for a device"
    return None


#: Words of the selectors' text form; a tag of that name would be taken for one.
RESERVED_TAGS = frozenset({"latest", "best", "epoch", "step", "tag", "as-of", "name"})

# Beside what does not print: what separates folders, drives and streams on Windows.
_FORBIDDEN_IN_FILE = re.compile(r"[\\:]")
_MAX_FILE_LENGTH = 255
_NUMBER = re.compile(r"[0-9]+", re.ASCII)


def why_not_tag(tag: object) -> str | None:
    """Returns why `tag` cannot be a tag, or `None` if it can."""
    reason = why_not(tag)
    if reason is not None or not isinstance(tag, str):
        return reason
    if fold(tag) in RESERVED_TAGS:
        return "must not be a word that selectors use"
    if _NUMBER.fullmatch(tag):
        return "must not be a number alone"
    return None


def why_not_file(name: str) -> str | None:
    """Returns why `name` cannot be one part of a file's path, or `None` if it can.

    Wider than for versions, since a SavedModel's assets are called as their user
    likes, and no wider than what every platform takes for one part.
    """
    if name in ("", ".", "..") or "/" in name:
        return "must not be empty, . or .."
    if len(name) > _MAX_FILE_LENGTH:
        return f"must not be longer than {_MAX_FILE_LENGTH} characters"
    if not name.isprintable() or _FORBIDDEN_IN_FILE.search(name):
        return "must hold only characters that print, and neither \\ nor :"
    if name.endswith((".", " ")):
        return "must not end with a dot or a space"
    if name.split(".", 1)[0].rstrip().lower() in _WINDOWS_DEVICES:
        return "must not be a name that Windows reserves for a device"
    return None


def fold_path(path: str) -> str:
    """Returns the form under which two paths are the same on some file system."""
    if path.isascii():
        return fold(path)
    import unicodedata  # hardly ever needed, and opening a store must be fast

    # macOS takes an accent for the same whether it is a character of its own or not.
    return fold(unicodedata.normalize("NFC", fold(path)))


def fold(name: str) -> str:
    """Returns the form under which two names are the same where case does not count."""
    return name.casefold()


def folded(names: Iterable[str]) -> frozenset[str]:
    """Returns the folded forms of names, be they valid or not, without a `/` in any."""
    # All at once: a store can have thousands.
    return frozenset(fold("/".join(names)).split("/"))
