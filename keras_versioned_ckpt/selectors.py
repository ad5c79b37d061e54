"""Which version to load: the selectors, as objects and as text.

==============================  =========================  ====================
object                          text                       selects
==============================  =========================  ====================
`Latest()`                      `latest`                   the newest
`Best()`                        `best`                     the best, by what the
                                                           run itself monitored
`Best("val_f1", "max")`         `best:val_f1:max`          the best by a metric
`Number(3)`                     `3`                        by number
`Named("version_3")`            `version_3`                by name
`AtEpoch(5)`                    `epoch:5`                  the end of an epoch
`AtStep(1000)`                  `step:1000`                an optimizer step
`Tagged("prod")`                `tag:prod`                 by tag
`AsOf("2026-11-20 18:00")`      `as-of:2026-11-20 18:00`   the newest back then
==============================  =========================  ====================

A version whose name is a number, or `latest` or `best`, is `name:latest`.

`~N` behind any text, `earlier=N` in an object, goes N versions back from there
in the order of numbers; for the best it means the N-th next best. The sign is
that of git's revisions. Text and object are the same thing:

>>> from keras_versioned_ckpt import Best
>>> from keras_versioned_ckpt.selectors import parse_selector
>>> parse_selector("best:val_loss:min~1")
Best('val_loss', 'min', earlier=1)
>>> str(Best("val_loss", "min", earlier=1))
'best:val_loss:min~1'
"""

import dataclasses
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from keras_versioned_ckpt import _names
from keras_versioned_ckpt._best import Best
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt._selecting import (
    NUMBER,
    OneVersion,
    Selector,
    check_count,
    how_many,
    nearest,
    split_earlier,
    split_mode,
)
from keras_versioned_ckpt.records import Version

__all__ = [
    "RESERVED_TAGS",
    "AsOf",
    "AtEpoch",
    "AtStep",
    "Best",
    "Latest",
    "Named",
    "Number",
    "Selector",
    "Tagged",
    "as_selector",
    "parse_selector",
    "why_not_tag",
]

RESERVED_TAGS = _names.RESERVED_TAGS


@dataclasses.dataclass(frozen=True, repr=False)
class Latest(Selector):
    """Selects the newest version, which is the one with the highest number.

    Args:
        earlier: How many versions to go back from it.

    Example:

    >>> from keras_versioned_ckpt import Latest
    >>> str(Latest(earlier=2))
    'latest~2'
    """

    def _text(self) -> str:
        return "latest"

    def _candidates(self, ordered: Sequence[Version]) -> tuple[Version, ...]:
        found = tuple(reversed(ordered))[self.earlier :]
        if not found:
            raise self._not_found(how_many(ordered))
        return found


@dataclasses.dataclass(frozen=True, repr=False)
class Number(OneVersion):
    """Selects the version with this number.

    Args:
        number: The version's number, 1 or more.
        earlier: How many versions to go back from it.

    Raises:
        TypeError: If `number` is not an integer.
        ValueError: If `number` is below 1.

    Example:

    >>> from keras_versioned_ckpt import Number
    >>> str(Number(3))
    '3'
    """

    number: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("number", self.number, least=1)

    def _text(self) -> str:
        return str(self.number)

    def _found(self, ordered: Sequence[Version]) -> Version:
        for version in ordered:
            if version.number == self.number:
                return version
        text = self._text()
        if any(version.name == text for version in ordered):
            raise self._not_found(f"but there is one of that name, 'name:{text}'")
        raise self._not_found(
            nearest("number", self.number, (version.number for version in ordered))
        )


@dataclasses.dataclass(frozen=True, repr=False)
class Named(OneVersion):
    """Selects the version with this name.

    Args:
        name: The version's name, upper and lower case as it is.
        earlier: How many versions to go back from it.

    Raises:
        TypeError: If `name` is not a string.
        ValueError: If no version can have such a name.

    Example:

    >>> from keras_versioned_ckpt import Named
    >>> str(Named("version_3")), str(Named("20261120"))
    ('version_3', 'name:20261120')
    """

    name: str

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_name("name", self.name)

    def _text(self) -> str:
        taken = self.name in ("latest", "best") or NUMBER.fullmatch(self.name)
        return f"name:{self.name}" if taken else self.name

    def _found(self, ordered: Sequence[Version]) -> Version:
        for version in ordered:
            if version.name == self.name:
                return version
        import difflib  # needed for this message alone, and slow to import

        names = [version.name for version in ordered]
        close = difflib.get_close_matches(self.name, names)
        hint = f"did you mean {' or '.join(close)}? " if close else ""
        raise self._not_found(f"{hint}the names are: {listing(names)}")


@dataclasses.dataclass(frozen=True, repr=False)
class AtEpoch(OneVersion):
    """Selects the version of an epoch, best the one that was saved at its end.

    Where there are several, as after a second call of `fit`, it is the newest.

    Args:
        epoch: Completed epochs, counted from 1 as Keras prints them; 0 for a
            version that was saved during the first epoch.
        earlier: How many versions to go back from it.

    Raises:
        TypeError: If `epoch` is not an integer.
        ValueError: If `epoch` is negative.

    Example:

    >>> from keras_versioned_ckpt import AtEpoch
    >>> str(AtEpoch(5))
    'epoch:5'
    """

    epoch: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("epoch", self.epoch, least=0)

    def _text(self) -> str:
        return f"epoch:{self.epoch}"

    def _found(self, ordered: Sequence[Version]) -> Version:
        found = [version for version in ordered if version.epoch == self.epoch]
        if not found:
            raise self._not_found(
                nearest("epoch", self.epoch, (version.epoch for version in ordered))
            )
        at_the_end = [version for version in found if version.batch is None]
        return (at_the_end or found)[-1]


@dataclasses.dataclass(frozen=True, repr=False)
class AtStep(OneVersion):
    """Selects the newest version of an optimizer step.

    Args:
        step: Optimizer updates so far, 0 or more.
        earlier: How many versions to go back from it.

    Raises:
        TypeError: If `step` is not an integer.
        ValueError: If `step` is negative.

    Example:

    >>> from keras_versioned_ckpt import AtStep
    >>> str(AtStep(1000))
    'step:1000'
    """

    step: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count("step", self.step, least=0)

    def _text(self) -> str:
        return f"step:{self.step}"

    def _found(self, ordered: Sequence[Version]) -> Version:
        found = [version for version in ordered if version.step == self.step]
        if not found:
            raise self._not_found(
                nearest("step", self.step, (version.step for version in ordered))
            )
        return found[-1]


@dataclasses.dataclass(frozen=True, repr=False)
class Tagged(OneVersion):
    """Selects the version with this tag.

    Args:
        tag: The tag, upper and lower case as it is.
        earlier: How many versions to go back from it.

    Raises:
        TypeError: If `tag` is not a string.
        ValueError: If no tag can be called so.

    Example:

    >>> from keras_versioned_ckpt import Tagged
    >>> str(Tagged("prod", earlier=1))
    'tag:prod~1'
    """

    tag: str

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_name("tag", self.tag)

    def _text(self) -> str:
        return f"tag:{self.tag}"

    def _found(self, ordered: Sequence[Version]) -> Version:
        found = [version for version in ordered if self.tag in version.tags]
        if not found:
            tags = sorted({tag for version in ordered for tag in version.tags})
            raise self._not_found(f"the tags are: {listing(tags)}")
        return found[-1]


@dataclasses.dataclass(frozen=True, repr=False)
class AsOf(OneVersion):
    """Selects the version that was the newest at a moment.

    That is the highest number among the versions created at the moment or
    before. After a clock that was set back this can be a version whose number
    is higher, and whose time is earlier, than another's.

    Args:
        when: A `datetime`, or a text that names a full date and that
            `dateutil.parser.parse` takes, which reads 10/11/2026 as the 11th of
            October. A date without a time is that day's first moment. A text or
            `datetime` without a time zone is read in the local one, and `note`
            says so. It is kept as an aware `datetime`.
        earlier: How many versions to go back from it.

    Raises:
        TypeError: If `when` is neither.
        ValueError: If `when` names no full date, or its time zone is not UTC and
            not an offset.

    Example:

    >>> from keras_versioned_ckpt import AsOf
    >>> AsOf("20 Nov 2026, 18:00 +01:00")
    AsOf('2026-11-20T17:00:00+00:00')
    """

    when: str | datetime
    assumed_local: bool = dataclasses.field(init=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        # Imported here: python-dateutil is slow to import, and no other needs it.
        from keras_versioned_ckpt import _instants

        when, assumed_local = _instants.instant(self.when)
        object.__setattr__(self, "when", when)
        object.__setattr__(self, "assumed_local", assumed_local)

    @property
    def note(self) -> str | None:
        """Which time zone was assumed, if one was."""
        if not self.assumed_local:
            return None
        local, zone = self._instant.replace(tzinfo=None), self._instant.tzname()
        return f"as-of {local} was read in the local time zone, {zone}"

    def __repr__(self) -> str:
        """Returns the call with the instant as text, in UTC."""
        earlier = f", earlier={self.earlier}" if self.earlier else ""
        return f"AsOf({self._utc_text()!r}{earlier})"

    def _text(self) -> str:
        return f"as-of:{self._utc_text()}"

    @property
    def _instant(self) -> datetime:
        assert isinstance(self.when, datetime)  # what __post_init__ made of a text
        return self.when

    def _utc_text(self) -> str:
        return self._instant.astimezone(UTC).isoformat()

    def _found(self, ordered: Sequence[Version]) -> Version:
        found = [version for version in ordered if version.created <= self._instant]
        if not found:
            oldest = min(ordered, key=lambda version: version.created)
            raise self._not_found(
                f"the oldest is version {oldest.number}, of {oldest.created}"
            )
        return found[-1]


def parse_selector(text: str) -> Selector:
    """Reads a selector from its text.

    Args:
        text: One of `latest`, `best`, `best:METRIC`, `best:METRIC:min`, `3`,
            `version_3`, `name:NAME`, `epoch:5`, `step:1000`, `tag:prod` and
            `as-of:2026-11-20 18:00`, each with an optional `~N`.

    Returns:
        The selector; its `str` is the text again, or one that means the same.

    Raises:
        TypeError: If `text` is not a string.
        ValueError: If `text` is not a selector.

    Example:

    >>> from keras_versioned_ckpt.selectors import parse_selector
    >>> parse_selector("tag:prod~1")
    Tagged('prod', earlier=1)
    """
    if not isinstance(text, str):
        raise TypeError(f"`text` must be a string. Received: text={text!r}")
    body, earlier = split_earlier(text)
    kind, colon, rest = body.partition(":")
    if not colon:
        if NUMBER.fullmatch(body):
            return Number(int(body), earlier=earlier)
        if body == "latest":
            return Latest(earlier=earlier)
        if body == "best":
            return Best(earlier=earlier)
        kind, rest = "name", body
    if kind == "best" and rest:
        monitor, mode = split_mode(rest)
        return Best(monitor or None, mode, earlier=earlier)
    if kind in _COUNTED and NUMBER.fullmatch(rest):
        return _COUNTED[kind](int(rest), earlier=earlier)
    if kind in _NAMED and _names.why_not(rest) is None:
        return _NAMED[kind](rest, earlier=earlier)
    if kind == "as-of":
        return AsOf(rest, earlier=earlier)
    raise ValueError(
        "A selector must be latest, best, best:METRIC, best:METRIC:min, "
        "best:METRIC:max, a number, a name, name:NAME, epoch:N, step:N, tag:TAG or "
        f"as-of:DATE, each perhaps with ~N behind it. Received: {shown(text)}"
    )


def as_selector(selector: object) -> Selector:
    """Returns the selector that a value means, wherever a version can be named.

    Args:
        selector: A selector, its text, or a version's number.

    Raises:
        TypeError: If `selector` is none of these.
        ValueError: If it is a text that is not a selector, or a number below 1.

    Example:

    >>> from keras_versioned_ckpt.selectors import as_selector
    >>> as_selector(3), as_selector("best")
    (Number(3), Best())
    """
    if isinstance(selector, Selector):
        return selector
    if isinstance(selector, str):
        return parse_selector(selector)
    if isinstance(selector, int) and not isinstance(selector, bool):
        return Number(selector)
    raise TypeError(
        "`selector` must be a selector, its text or a version's number. "
        f"Received: selector={selector!r}. Pass for example 'best' or `Latest()`."
    )


def why_not_tag(tag: object) -> str | None:
    """Returns why a version cannot be tagged so, or `None` if it can.

    A tag is a name like a version's, and no word or number of the text form:
    who tags a version `latest` would later get another by that text.

    Args:
        tag: What is to become a tag.

    Example:

    >>> from keras_versioned_ckpt.selectors import why_not_tag
    >>> why_not_tag("prod")
    >>> why_not_tag("latest")
    'must not be a word that selectors use'
    """
    return _names.why_not_tag(tag)


_COUNTED: dict[str, Callable[..., Selector]] = {"epoch": AtEpoch, "step": AtStep}
_NAMED: dict[str, Callable[..., Selector]] = {"tag": Tagged, "name": Named}


def _check_name(argument: str, value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(
            f"`{argument}` must be a string. Received: {argument}={value!r}"
        )
    reason = _names.why_not(value)
    if reason is not None:
        raise ValueError(f"`{argument}` {reason}. Received: {argument}={shown(value)}")
