"""Time zones by name, the same on every machine."""

import re
from datetime import tzinfo

from dateutil import tz

from keras_versioned_ckpt._messages import shown

# `gettz` also takes paths, POSIX rules such as "EST5EDT4" and the abbreviations
# of the machine it runs on; a policy must mean the same everywhere.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*", re.ASCII)


def time_zone(name: object) -> tzinfo:
    """Returns the time zone of this name.

    Args:
        name: A name of the IANA time zone database, such as `"Europe/Berlin"`.

    Returns:
        The zone, from `dateutil.tz.gettz`.

    Raises:
        TypeError: If `name` is not a string.
        ValueError: If no zone has this name.
    """
    if not isinstance(name, str):
        raise TypeError(
            f"`timezone` must be the name of a time zone. Received: timezone={name!r}"
        )
    found = None
    if _NAME.fullmatch(name):
        try:
            found = tz.gettz(name)
        except (OSError, ValueError):  # a file that lies there but is no zone
            found = None
    if found is None or isinstance(found, (tz.tzlocal, tz.tzstr)):
        raise ValueError(
            "`timezone` must be a name of the IANA time zone database. "
            f"Received: timezone={shown(name)}. "
            "Pass for example 'UTC' or 'Europe/Berlin'."
        )
    return found
