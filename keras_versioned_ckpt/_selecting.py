"""What every selector does: select, fall back, go back, and say what exists."""

import abc
import dataclasses
import re
from collections.abc import Iterable, Sequence

from keras_versioned_ckpt._algebra import Policy
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt._ranking import MODES
from keras_versioned_ckpt.errors import VersionNotFoundError
from keras_versioned_ckpt.records import Version

# Python reads no longer ones, and nothing is counted so far.
NUMBER = re.compile(r"[0-9]{1,4000}")


@dataclasses.dataclass(frozen=True, repr=False)
class Selector(Policy, abc.ABC):
    """Which version to load; the base of every selector.

    Each takes `earlier=`, how many versions to go back from the one that is meant.

    Example:

    >>> from keras_versioned_ckpt import Latest
    >>> from keras_versioned_ckpt.selectors import Selector
    >>> isinstance(Latest(earlier=1), Selector)
    True
    """

    earlier: int = dataclasses.field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        check_count("earlier", self.earlier, least=0)

    def select(self, versions: Iterable[Version]) -> Version:
        """Selects one version.

        Args:
            versions: The versions of a store, in any order.

        Returns:
            The version that is meant.

        Raises:
            VersionNotFoundError: If there is none; the message lists what exists.
            ValueError: If `Best` cannot know by which metric, or in which
                direction.

        Example:

        >>> from datetime import UTC, datetime
        >>> from keras_versioned_ckpt import Latest, Version
        >>> now = datetime.now(UTC)
        >>> history = [Version(number=n, created=now) for n in (1, 2, 3)]
        >>> Latest(earlier=1).select(history).number
        2
        """
        return self.candidates(versions)[0]

    def candidates(self, versions: Iterable[Version]) -> tuple[Version, ...]:
        """Selects one version and those to fall back on, should it be damaged.

        Args:
            versions: The versions of a store, in any order.

        Returns:
            What `select` returns, followed for `Latest` by the older versions
            and for `Best` by the next best; never empty.

        Raises:
            VersionNotFoundError: If there is none; the message lists what exists.
            ValueError: If `Best` cannot know by which metric, or in which
                direction.

        Example:

        >>> from datetime import UTC, datetime
        >>> from keras_versioned_ckpt import Latest, Version
        >>> now = datetime.now(UTC)
        >>> history = [Version(number=n, created=now) for n in (1, 2, 3)]
        >>> [version.number for version in Latest().candidates(history)]
        [3, 2, 1]
        """
        return self._candidates(self._ordered(versions))

    @property
    def note(self) -> str | None:
        """What was assumed in reading this selector, in English, if anything was."""
        return None

    def __str__(self) -> str:
        """Returns the text that `parse_selector` reads back to an equal selector."""
        text = self._text()
        if self.earlier or split_earlier(text)[0] != text:
            return f"{text}~{self.earlier}"
        return text

    @abc.abstractmethod
    def _text(self) -> str:
        """Returns the text without `~N`."""

    @abc.abstractmethod
    def _candidates(self, ordered: Sequence[Version]) -> tuple[Version, ...]:
        """Returns the candidates among versions that are ordered by number."""

    def _ordered(self, versions: Iterable[Version]) -> list[Version]:
        ordered = sorted(versions, key=lambda version: version.number)
        if not ordered:
            raise self._not_found("the store has no versions")
        return ordered

    def _not_found(self, what_exists: str) -> VersionNotFoundError:
        return VersionNotFoundError(
            f"No version answers to {shown(str(self))}: {what_exists}."
        )


class OneVersion(Selector):
    """A selector that means one version, with nothing to fall back on."""

    def _candidates(self, ordered: Sequence[Version]) -> tuple[Version, ...]:
        numbers = [version.number for version in ordered]
        found = numbers.index(self._found(ordered).number)
        if self.earlier > found:
            raise self._not_found(
                f"before version {numbers[found]} {how_many(ordered[:found])}"
            )
        return (ordered[found - self.earlier],)

    @abc.abstractmethod
    def _found(self, ordered: Sequence[Version]) -> Version:
        """Returns the version from which `earlier` counts."""


def split_earlier(text: str) -> tuple[str, int]:
    """Splits `~N` off the text of a selector; without one, N is 0."""
    body, tilde, count = text.rpartition("~")
    return (body, int(count)) if tilde and NUMBER.fullmatch(count) else (text, 0)


def split_mode(text: str) -> tuple[str, str | None]:
    """Splits the mode off a monitor, whose own name may have colons."""
    monitor, colon, mode = text.rpartition(":")
    return (monitor, mode) if colon and mode in (*MODES, "auto") else (text, None)


def check_count(argument: str, value: object, *, least: int) -> None:
    """Refuses a value that is not an integer of at least `least`."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(
            f"`{argument}` must be an integer. Received: {argument}={value!r}"
        )
    if value < least:
        raise ValueError(
            f"`{argument}` must be {least} or more. Received: {argument}={value!r}"
        )


def how_many(versions: Sequence[Version]) -> str:
    """Returns how many versions there are, given in the order of their numbers."""
    if not versions:
        return "there is no other"
    if len(versions) == 1:
        return f"there is only version {versions[0].number}"
    first, last = versions[0].number, versions[-1].number
    return f"there are only {len(versions)} versions, {first} to {last}"


def nearest(what: str, wanted: int, existing: Iterable[int | None]) -> str:
    """Returns which values exist next below and above the one that was wanted."""
    known = sorted({value for value in existing if value is not None})
    below = [value for value in known if value < wanted][-1:]
    above = [value for value in known if value > wanted][:1]
    values = [str(value) for value in below + above]
    if not values:
        return f"no version recorded its {what}"
    if len(values) == 1:
        return f"the nearest {what} is {values[0]}"
    return f"the nearest {what}s are {' and '.join(values)}"
