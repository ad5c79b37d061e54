"""Which strings may be the name of a version or of a tag.

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


def fold(name: str) -> str:
    """Returns the form under which two names are the same where case does not count."""
    return name.casefold()


def folded(names: Iterable[str]) -> frozenset[str]:
    """Returns the folded forms of names, be they valid or not, without a `/` in any."""
    # All at once: a store can have thousands.
    return frozenset(fold("/".join(names)).split("/"))
