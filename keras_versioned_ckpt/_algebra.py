"""`|` and `&`, a readable repr and equality, once for every family of policies.

A family (triggers, retention, selectors, naming) is an abstract base class
below `Policy`; its rules are frozen dataclasses. A family that can be combined
names the class of its unions in `union` and of its intersections, where it has
them, in `intersection`. Mixing families is a `TypeError`.
"""

import dataclasses
from typing import Any, ClassVar


class Policy:
    """Base of every policy: pure, frozen, and printed as it is written."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Returns the shortest call that makes an equal policy.

        Arguments at their default are left out, and the leading ones are
        written without their names: `KeepBest(2, 'val_loss')`.
        """
        written: list[str] = []
        positional = True
        fields = dataclasses.fields(self)  # type: ignore[arg-type]
        for field in sorted(fields, key=lambda field: bool(field.kw_only)):
            value = getattr(self, field.name)
            if not field.init:
                continue
            if _is_default(field, value):
                positional = False
            elif positional and not field.kw_only:
                written.append(repr(value))
            else:
                written.append(f"{field.name}={value!r}")
        return f"{type(self).__name__}({', '.join(written)})"


def _is_default(field: "dataclasses.Field[Any]", value: object) -> bool:
    if field.default is not dataclasses.MISSING:
        default: object = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        return False
    return type(value) is type(default) and value == default


class Composable(Policy):
    """A policy of a family whose members can be joined with `|` (and perhaps `&`)."""

    __slots__ = ()

    #: The abstract base class of the family, for the check against mixing.
    family: ClassVar[type["Composable"]]
    #: The composite that `|` makes.
    union: ClassVar[type["Composite"]]
    #: The composite that `&` makes, or `None` where the family has no `&`.
    intersection: ClassVar[type["Composite"] | None] = None

    def __or__(self, other: object) -> Any:
        if not isinstance(other, self.family):
            return NotImplemented
        return self.union.of(self, other)

    def __and__(self, other: object) -> Any:
        if self.intersection is None or not isinstance(other, self.family):
            return NotImplemented
        return self.intersection.of(self, other)


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Composite(Composable):
    """Several rules of one family under one operator.

    Nested composites of the same operator are flattened and repeated rules
    dropped, so that `|` and `&` are associative and idempotent by construction;
    the order of the rules is kept for printing and does not count in
    comparisons, so that they are commutative.
    """

    rules: tuple[Any, ...]

    #: `"|"` or `"&"`.
    operator: ClassVar[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(self.rules))
        if len(self.rules) < 2:
            raise ValueError(
                f"`{type(self).__name__}` must join two rules or more. "
                f"Received: rules={self.rules!r}"
            )
        for rule in self.rules:
            if not isinstance(rule, self.family):
                raise TypeError(
                    f"`{type(self).__name__}` must join rules of one family, "
                    f"{self.family.__name__}. Received: {rule!r}"
                )

    @classmethod
    def of(cls, *members: Any) -> Any:
        """Joins `members`, flattened and without repetitions.

        Args:
            *members: Policies of the family, at least one.

        Returns:
            A composite, or the only member itself where all are equal.
        """
        flat: dict[Any, None] = {}
        for member in members:
            rules = member.rules if isinstance(member, cls) else (member,)
            flat.update(dict.fromkeys(rules))
        rules = cls.simplified(tuple(flat))
        return rules[0] if len(rules) == 1 else cls(rules)

    @classmethod
    def simplified(cls, rules: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns fewer rules that mean the same; a family may know some."""
        return rules

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return frozenset(self.rules) == frozenset(other.rules)

    def __hash__(self) -> int:
        return hash((type(self), frozenset(self.rules)))

    def __repr__(self) -> str:
        return f" {self.operator} ".join(
            f"({rule!r})"
            if isinstance(rule, Composite) and rule.operator != self.operator
            else repr(rule)
            for rule in self.rules
        )
