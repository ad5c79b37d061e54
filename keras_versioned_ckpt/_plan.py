"""What a retention policy is, and the plan that it makes.

This is the half of retention that all rules share: every rule sees all
versions, three guards stand over the rules, and the outcome is a `Plan` that
gives a reason for each version. The rules themselves are in `retention.py`.
"""

import abc
import dataclasses
import importlib
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from keras_versioned_ckpt import _names
from keras_versioned_ckpt._algebra import Composable, Composite
from keras_versioned_ckpt._messages import listing, shown
from keras_versioned_ckpt.records import FrozenMapping, Version

Reasons = tuple[str, ...]

_REMOVED: Reasons = ("removed: no rule keeps it",)
_NEWEST = "kept: newest version (guard)"
_IN_USE = "kept: a running fit resumed from it (guard)"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What pruning would keep and remove, and why.

    Args:
        keep: The versions that stay, by number.
        remove: The versions that go, by number.
        reasons: For the number of each version, kept or not, one text or more.

    Example:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepLast, Version
    >>> plan = KeepLast(1).plan(
    ...     Version(number=n, created=datetime(2026, 11, n, tzinfo=UTC), size_bytes=500)
    ...     for n in (1, 2)
    ... )
    >>> print(plan)
    1  version_1  removed: no rule keeps it
    2  version_2  kept: the newest (KeepLast(1))
    >>> plan.size_bytes_freed
    500
    """

    keep: tuple[Version, ...]
    remove: tuple[Version, ...]
    reasons: Mapping[int, Reasons] = dataclasses.field(hash=False)

    @property
    def size_bytes_freed(self) -> int:
        """Bytes of payload that removing `remove` frees."""
        return sum(version.size_bytes for version in self.remove)

    def __str__(self) -> str:
        """Returns one line per version: number, name and reasons."""
        rows = [
            (str(version.number), plain(version.name), self.reasons[version.number])
            for version in sorted(
                self.keep + self.remove, key=operator.attrgetter("number")
            )
        ]
        number_width = max((len(number) for number, _, _ in rows), default=0)
        name_width = max((len(name) for _, name, _ in rows), default=0)
        return "\n".join(
            f"{number:>{number_width}}  {name:<{name_width}}  {'; '.join(reasons)}"
            for number, name, reasons in rows
        )

    def _repr_html_(self) -> str:
        # By name at the call: the HTML of a plan knows what a plan is.
        html = importlib.import_module("keras_versioned_ckpt._html")
        return str(html.of_plan(self))


class RetentionPolicy(Composable, abc.ABC):
    """Which versions to keep; the base of every rule and of what `|` makes of them.

    Policies are pure: they look at the versions they are given and at nothing
    else. `a | b` keeps what `a` or `b` keeps. There is no `&`: pruning after
    every save has to leave what pruning once at the end would leave, and an
    intersection does not.

    A rule of your own derives from `RetentionRule`.

    Example:

    >>> from keras_versioned_ckpt import KeepBest, KeepLast
    >>> from keras_versioned_ckpt.retention import RetentionPolicy
    >>> isinstance(KeepLast(3) | KeepBest(2), RetentionPolicy)
    True
    """

    @property
    def monitors(self) -> frozenset[str]:
        """The metrics by which the policy ranks, where it names them."""
        return frozenset()

    @property
    @abc.abstractmethod
    def explanation(self) -> str:
        """What the policy keeps, in English."""

    @abc.abstractmethod
    def _claims(self, versions: Sequence[Version]) -> Iterator[Mapping[int, Reasons]]:
        """Yields for each rule the numbers of the versions it wants, and why.

        Args:
            versions: All versions, by number.
        """

    def plan(self, versions: Iterable[Version], *, in_use: Iterable[int] = ()) -> Plan:
        """Decides which versions to keep; removes nothing.

        Three guards stand over every policy: the newest version, tagged
        versions and those in `in_use` are always kept.

        Args:
            versions: All versions of a store, in any order.
            in_use: Numbers of versions that a running `fit` resumed from.

        Returns:
            A `Plan` in which every version is kept or removed, with its reasons.

        Raises:
            ValueError: If two versions have the same number, or if `KeepBest`
                is not told which direction of a metric is better and no
                version says so.

        Example:

        >>> from datetime import UTC, datetime
        >>> from keras_versioned_ckpt import KeepBest, Version
        >>> plan = KeepBest(1, "val_loss").plan(
        ...     Version(number=n, created=datetime(2026, 11, n, tzinfo=UTC),
        ...             metrics={"val_loss": loss})
        ...     for n, loss in [(1, 0.5), (2, 0.25), (3, 0.3)]
        ... )
        >>> print(plan)
        1  version_1  removed: no rule keeps it
        2  version_2  kept: best val_loss 0.25 (KeepBest(1, 'val_loss'))
        3  version_3  kept: newest version (guard)
        """
        ordered = sorted(versions, key=operator.attrgetter("number"))
        numbers = [version.number for version in ordered]
        reasons = dict.fromkeys(numbers, _REMOVED)
        if len(reasons) != len(ordered):
            raise ValueError(
                "`versions` must have numbers of their own. "
                f"Received: {listing(numbers)}. "
                "Plan each store by itself."
            )
        kept: dict[int, Reasons] = {}
        for claim in self._claims(ordered):
            if kept:
                for number, why in claim.items():
                    kept[number] = kept.get(number, ()) + why
            else:
                kept.update(claim)
        for number, reason in _guarded(ordered, frozenset(in_use), kept):
            kept[number] = (*kept.get(number, ()), reason)
        reasons.update(kept)
        # Loops over all versions of a store, each as cheap as Python has it.
        stays = [number in kept for number in numbers]
        return Plan(
            keep=tuple(itertools.compress(ordered, stays)),
            remove=tuple(itertools.compress(ordered, map(operator.not_, stays))),
            reasons=FrozenMapping(reasons),
        )

    def resolved(
        self, monitor: str, mode_of: Callable[[str], str]
    ) -> "RetentionPolicy":
        """Fills in the monitor and mode of the rules that name none.

        Args:
            monitor: The metric for rules without one: the callback's own.
            mode_of: Gives `"min"` or `"max"` for a metric, or raises
                `ValueError`. It is asked only where a mode is missing.

        Returns:
            A policy that lacks nothing; this one where nothing was missing.

        Example:

        >>> from keras_versioned_ckpt import KeepBest
        >>> KeepBest(2).resolved("val_accuracy", lambda monitor: "max")
        KeepBest(2, 'val_accuracy', 'max')
        """
        return self

    def __and__(self, other: object) -> Any:
        if isinstance(other, RetentionPolicy):
            raise TypeError(
                "Retention policies have no `&`: pruning after every save must "
                "leave what pruning once at the end would leave, and an "
                f"intersection does not. Received: {self!r} & {other!r}. "
                "Join rules with `|`."
            )
        return NotImplemented


class RetentionRule(RetentionPolicy):
    """One rule of retention; the base for rules of your own.

    A rule is a frozen dataclass with the method `_wanted`. So that pruning
    after every save leaves what pruning once at the end leaves, a version that
    a rule does not want must never be wanted by it later, and the removal of
    versions that it does not want must not change what it wants.

    Example:

    >>> import dataclasses
    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import KeepLast, Version
    >>> from keras_versioned_ckpt.retention import RetentionRule
    >>> @dataclasses.dataclass(frozen=True, repr=False)
    ... class KeepNoted(RetentionRule):
    ...     "Keeps the versions whose metadata has a note."
    ...     explanation = "those with a note"
    ...     def _wanted(self, versions):
    ...         noted = [v for v in versions if "note" in v.metadata]
    ...         return {v.number: "it has a note" for v in noted}
    >>> now = datetime(2026, 11, 20, tzinfo=UTC)
    >>> print((KeepLast(1) | KeepNoted()).plan(
    ...     Version(number=n, created=now, metadata=metadata)
    ...     for n, metadata in [(1, {"note": "for the paper"}), (2, {}), (3, {})]
    ... ))
    1  version_1  kept: it has a note (KeepNoted())
    2  version_2  removed: no rule keeps it
    3  version_3  kept: the newest (KeepLast(1))
    """

    @abc.abstractmethod
    def _wanted(self, versions: Sequence[Version]) -> Mapping[int, str]:
        """Returns the numbers of the versions to keep, each with a few words why.

        Args:
            versions: All versions, by number.
        """

    def _claims(self, versions: Sequence[Version]) -> Iterator[Mapping[int, Reasons]]:
        rule = repr(self)
        wanted = self._wanted(versions)
        # A rule often has the same words for thousands of versions.
        texts = {why: (f"kept: {why} ({rule})",) for why in set(wanted.values())}
        yield {number: texts[why] for number, why in wanted.items()}


@dataclasses.dataclass(frozen=True, repr=False)
class KeepAll(RetentionRule):
    """Keeps every version.

    Joined with other rules it absorbs them.

    Example:

    >>> from keras_versioned_ckpt import KeepAll, KeepLast
    >>> KeepLast(3) | KeepAll()
    KeepAll()
    """

    @property
    def explanation(self) -> str:
        """What the policy keeps, in English."""
        return "every version"

    def _wanted(self, versions: Sequence[Version]) -> Mapping[int, str]:
        return dict.fromkeys([v.number for v in versions], "every version")


class KeepAny(Composite, RetentionPolicy):
    """Keeps what any of its rules keeps; what `|` makes.

    Each rule sees all versions, so that adding a rule never takes anything
    from another.

    Args:
        rules: Two retention policies or more.

    Example:

    >>> from keras_versioned_ckpt import KeepBest, KeepLast
    >>> policy = KeepLast(3) | KeepBest(2, "val_loss")
    >>> policy
    KeepLast(3) | KeepBest(2, 'val_loss')
    >>> policy.explanation
    'the 3 newest versions, and the 2 best by val_loss'
    """

    operator = "|"

    @classmethod
    def simplified(cls, rules: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns `KeepAll` alone where it is among the rules."""
        return (KeepAll(),) if KeepAll() in rules else rules

    @property
    def explanation(self) -> str:
        """What the policy keeps, in English."""
        *most, last = [rule.explanation for rule in self.rules]
        return f"{', '.join(most)}, and {last}"

    def _claims(self, versions: Sequence[Version]) -> Iterator[Mapping[int, Reasons]]:
        for rule in self.rules:
            yield from rule._claims(versions)

    @property
    def monitors(self) -> frozenset[str]:
        """The metrics of all its rules."""
        return frozenset().union(*(rule.monitors for rule in self.rules))

    def resolved(self, monitor: str, mode_of: Callable[[str], str]) -> RetentionPolicy:
        """Fills in the monitor and mode of each of its rules."""
        policy: RetentionPolicy = self.of(
            *(rule.resolved(monitor, mode_of) for rule in self.rules)
        )
        return policy


RetentionPolicy.family = RetentionPolicy
RetentionPolicy.union = KeepAny


def plain(text: str) -> str:
    """Returns text from a store as it is where it is harmless, else quoted."""
    return text if _names.why_not(text) is None else shown(text)


def check_count(name: str, value: object) -> None:
    """Raises unless the argument `name` is an integer of 1 or more."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"`{name}` must be an integer. Received: {name}={value!r}")
    if value < 1:
        raise ValueError(
            f"`{name}` must be 1 or more. Received: {name}={value!r}. "
            "Leave the rule out if it is to keep nothing."
        )


def _guarded(
    versions: Sequence[Version], in_use: frozenset[int], kept: Mapping[int, object]
) -> Iterator[tuple[int, str]]:
    """Yields what no policy may remove, and the guard that says so."""
    if versions and versions[-1].number not in kept:
        yield versions[-1].number, _NEWEST
    for version in [v for v in versions if v.tags]:
        tags = listing(shown(tag) for tag in version.tags)
        yield version.number, f"kept: tagged {tags} (guard)"
    if in_use:
        for version in [v for v in versions if v.number in in_use]:
            yield version.number, _IN_USE
