"""What to call a version: the policies that `naming=` takes.

A naming policy makes a name for people out of what is known when a version is
saved. The name is one directory name that every platform accepts; the truth
about a version is in its manifest, never in its name.

=========================  ===================================================
field                      what it is
=========================  ===================================================
`{number}`                 the version's number
`{run}`                    the id of the call of `fit` that saves it
`{epoch}` `{step}`         completed epochs, optimizer updates
`{created:%Y%m%d}`         when it is saved, in the policy's time zone; after
                           the colon the directives of `datetime.strftime`
anything else              the metric of that name: `{val_loss:.4f}`
=========================  ===================================================

A name never costs a save. A template is checked when the policy is made, and
may hold nothing but text, plain fields and format specs. After that every
version gets a name: what is missing or not a number is written `nan`, a
character that a name cannot hold becomes `-`, a name that would begin with
anything but a letter or digit, or that Windows reserves, gets `v_` in front,
and a very long name is cut.

>>> from keras_versioned_ckpt import Template, Version
>>> from datetime import UTC, datetime
>>> version = Version(number=7, created=datetime(2026, 11, 20, 18, tzinfo=UTC),
...                   epoch=5, metrics={"val_loss": 0.25})
>>> Template("{epoch:03d}-{val_loss:.4f}").name(version)
'005-0.2500'
>>> Template("{val_loss}-{accuracy:.2f}").name(version)
'0.25-nan'
"""

import abc
import dataclasses
import itertools
from collections.abc import Collection, Set
from datetime import UTC, tzinfo

from keras_versioned_ckpt import _names, _templates
from keras_versioned_ckpt._algebra import Policy
from keras_versioned_ckpt._timezones import time_zone
from keras_versioned_ckpt.records import Version


class NamingPolicy(Policy, abc.ABC):
    """What to call a version; the base of every naming policy.

    Example:

    >>> from keras_versioned_ckpt.naming import NamingPolicy, Numbered
    >>> isinstance(Numbered(), NamingPolicy)
    True
    """

    template: str

    def name(self, version: Version) -> str:
        """Makes the name of a version that is about to be saved.

        Args:
            version: What is known of the version; its own `name` is not looked at.

        Returns:
            A valid name of 120 characters at most, which need not be free.

        Example:

        >>> from datetime import UTC, datetime
        >>> from keras_versioned_ckpt import Template, Version
        >>> version = Version(number=3, created=datetime.now(UTC), epoch=12)
        >>> Template("epoch-{epoch:03d}").name(version)
        'epoch-012'
        """
        return _templates.fill(self.template, version, self._zone)

    def matches(self, name: str) -> bool:
        """Returns whether the policy could give this name to some version.

        The suffix of a taken name is allowed for, and upper and lower case are
        the same. `{number}` stands for digits, any other field for anything,
        so that the answer is sometimes yes for a name that never comes, but
        never no for one that does.

        Args:
            name: Any text, such as the name of a file that was there before.

        Example:

        >>> from keras_versioned_ckpt import Numbered
        >>> Numbered().matches("version_7"), Numbered().matches("notes.txt")
        (True, False)
        """
        return _templates.recognises(self.template, name)

    @property
    @abc.abstractmethod
    def _zone(self) -> tzinfo:
        """The time zone in which `{created}` is written."""


@dataclasses.dataclass(frozen=True, repr=False)
class Numbered(NamingPolicy):
    """Names versions by their number.

    Args:
        template: Text with the field `{number}` and, if you like, `{run}`.

    Raises:
        TypeError: If `template` is not a string.
        ValueError: If `template` has no `{number}`, has other fields, or is not
            one safe component of a path.

    Example:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import Numbered, Version
    >>> version = Version(number=3, created=datetime.now(UTC))
    >>> Numbered("digits-{number:04d}").name(version)
    'digits-0003'
    """

    template: str = "version_{number}"

    def __post_init__(self) -> None:
        _check_fields(self.template, needed="number", others={"run"})

    @property
    def _zone(self) -> tzinfo:
        return UTC


@dataclasses.dataclass(frozen=True, repr=False)
class Timestamped(NamingPolicy):
    """Names versions by the time at which they are saved.

    Two versions of one second, of the hour that a clock change repeats, or of
    a clock that was set back get the same name from this policy; the store then
    appends `-2`, `-3` and so on. The order of versions is that of their numbers.

    Args:
        template: Text with the field `{created:...}` and, if you like,
            `{number}` and `{run}`. After the colon stand the directives that
            the documentation of `datetime.strftime` lists.
        timezone: Name of the time zone for `{created}`, such as
            `"Europe/Berlin"`.

    Raises:
        TypeError: If an argument is not a string.
        ValueError: If `template` has no `{created}`, has other fields, or is
            not one safe component of a path, or if there is no such time zone.

    Example:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import Timestamped, Version
    >>> version = Version(number=3, created=datetime(2026, 11, 20, 18, tzinfo=UTC))
    >>> Timestamped().name(version)
    'model_20261120180000'
    >>> Timestamped("{created:%Y-%m-%d_%H%M%z}", timezone="Asia/Tokyo").name(version)
    '2026-11-21_0300+0900'
    """

    template: str = "model_{created:%Y%m%d%H%M%S}"
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _check_fields(self.template, needed="created", others={"number", "run"})
        time_zone(self.timezone)

    @property
    def _zone(self) -> tzinfo:
        return time_zone(self.timezone)


@dataclasses.dataclass(frozen=True, repr=False)
class Template(NamingPolicy):
    """Names versions by any fields, metrics among them.

    Args:
        template: Text with fields in braces; the module's documentation lists
            them. A metric may be called anything that has no braces and none of
            the characters `! : . [ ]`, so `{val/loss:.2f}` is a metric too.
        timezone: Name of the time zone for `{created}`, such as
            `"Europe/Berlin"`.

    Raises:
        TypeError: If an argument is not a string.
        ValueError: If `template` is not one safe component of a path, asks for
            more than a plain field (`{epoch.real}`, `{x[0]}`, `{x!r}`,
            `{x:{y}}`, `{}`), has a format spec that does not fit the field or
            is wider than 64, or if there is no such time zone.

    Example:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import Template, Version
    >>> version = Version(number=3, created=datetime.now(UTC), epoch=12,
    ...                   metrics={"val/loss": 0.5})
    >>> Template("epoch-{epoch:03d}-loss-{val/loss:.2f}").name(version)
    'epoch-012-loss-0.50'
    """

    template: str
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        _templates.fields(self.template)
        time_zone(self.timezone)

    @property
    def _zone(self) -> tzinfo:
        return time_zone(self.timezone)


def as_naming(naming: object) -> NamingPolicy:
    """Returns the naming policy that the value of a `naming=` argument means.

    Args:
        naming: A template, or a naming policy.

    Returns:
        The policy itself; for a template the narrowest policy that takes it.

    Raises:
        TypeError: If `naming` is neither.
        ValueError: If the template is refused.

    Example:

    >>> from keras_versioned_ckpt.naming import as_naming
    >>> as_naming("version_{number:03d}")
    Numbered('version_{number:03d}')
    >>> as_naming("{epoch}-{val_loss:.2f}")
    Template('{epoch}-{val_loss:.2f}')
    """
    if isinstance(naming, NamingPolicy):
        return naming
    if not isinstance(naming, str):
        raise TypeError(
            "`naming` must be a template string or a naming policy. "
            f"Received: naming={naming!r}. "
            "Pass for example 'version_{number}' or `Timestamped()`."
        )
    fields = _templates.fields(naming)
    if fields == {"number"}:
        return Numbered(naming)
    if fields == {"created"}:
        return Timestamped(naming)
    return Template(naming)


def unique_name(name: str, taken: Collection[str]) -> str:
    """Returns `name`, or where that is taken the first free of `name-2`, `name-3` ….

    Args:
        name: A valid name.
        taken: The names that are not free, as `_names.fold` gives them; best a
            set, since it is asked once for every name that is tried.

    Returns:
        A valid name that is not taken. Where the suffix would make it too long,
        the name is shortened and not the suffix.

    Example:

    >>> from keras_versioned_ckpt.naming import unique_name
    >>> unique_name("Model", {"model", "model-2"})
    'Model-3'
    """
    if not isinstance(taken, Set):
        taken = frozenset(taken)
    suffixes = (f"-{count}" for count in itertools.count(2))
    others = (name[: _names.MAX_LENGTH - len(end)] + end for end in suffixes)
    candidates = itertools.chain([name], others)
    return next(free for free in candidates if _names.fold(free) not in taken)


def _check_fields(template: str, *, needed: str, others: set[str]) -> None:
    """Refuses a template without the field of its policy, or with foreign ones."""
    fields = _templates.fields(template)
    if needed not in fields:
        _templates.refuse(
            template, f"have the field {{{needed}}}", "`Template` takes any fields."
        )
    for field in sorted(fields - {needed} - others):
        _templates.refuse(
            template, f"not have the field {{{field}}} here", "`Template` takes it."
        )
