"""`|`, `&`, equality and repr, on two small families made for the purpose."""

import abc
import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt._algebra import Composable, Composite, Policy


class Colour(Composable, abc.ABC):
    """A family with both operators."""


@dataclasses.dataclass(frozen=True, repr=False)
class Red(Colour):
    shade: int
    name: str = "red"
    depth: int = dataclasses.field(default=0, kw_only=True)
    mixed: tuple[str, ...] = dataclasses.field(default_factory=tuple)
    seen: Any = dataclasses.field(default=None, init=False)


@dataclasses.dataclass(frozen=True, repr=False)
class Blue(Colour):
    pass


class AnyColour(Composite, Colour):
    operator = "|"


class AllColours(Composite, Colour):
    operator = "&"


Colour.family = Colour
Colour.union = AnyColour
Colour.intersection = AllColours


class Shape(Composable, abc.ABC):
    """A family without `&`."""


@dataclasses.dataclass(frozen=True, repr=False)
class Round(Shape):
    pass


class AnyShape(Composite, Shape):
    operator = "|"


Shape.family = Shape
Shape.union = AnyShape

rules = st.builds(Red, st.integers(1, 3)) | st.builds(Blue)
policies = st.recursive(
    rules,
    lambda inner: (
        st.builds(lambda a, b: a | b, inner, inner)
        | st.builds(lambda a, b: a & b, inner, inner)
    ),
    max_leaves=6,
)


@given(policies, policies)
def test_commutative(a, b):
    """The order of the rules does not count."""
    assert a | b == b | a
    assert a & b == b & a
    assert hash(a | b) == hash(b | a)


@given(policies, policies, policies)
def test_associative(a, b, c):
    """Neither do the parentheses."""
    assert (a | b) | c == a | (b | c)
    assert (a & b) & c == a & (b & c)


@given(policies)
def test_idempotent(a):
    """A rule joined with itself is that rule."""
    assert a | a == a
    assert a & a == a


@given(policies)
def test_repr_evaluates_back(a):
    """What is printed is what was written."""
    assert eval(repr(a)) == a


@pytest.mark.parametrize(
    ("policy", "text"),
    [
        (Red(1), "Red(1)"),
        (Red(1, "pink"), "Red(1, 'pink')"),
        (Red(1, depth=2), "Red(1, depth=2)"),
        (Red(1, mixed=("a",)), "Red(1, mixed=('a',))"),
        (Red(1, "pink", ("a",), depth=3), "Red(1, 'pink', ('a',), depth=3)"),
        (Blue(), "Blue()"),
        (Red(1) | Blue(), "Red(1) | Blue()"),
        ((Red(1) | Blue()) & Red(2), "(Red(1) | Blue()) & Red(2)"),
        ((Red(1) & Blue()) | Red(2), "(Red(1) & Blue()) | Red(2)"),
    ],
)
def test_a_policy_is_printed_as_it_is_written(policy, text):
    """Defaults are left out, nested composites are in parentheses."""
    assert repr(policy) == text


def test_a_union_is_not_an_intersection():
    """Composites of the same rules under different operators differ."""
    assert (Red(1) | Blue()) != (Red(1) & Blue())


@pytest.mark.parametrize("other", [Round(), 3, None, "Blue()"])
def test_mixing_families_is_refused(other):
    """Neither operator joins a policy with anything outside its family."""
    with pytest.raises(TypeError):
        Blue() | other
    with pytest.raises(TypeError):
        Blue() & other


def test_a_family_may_have_no_intersection():
    """Then `&` is a TypeError within the family too."""
    assert Round() | Round() == Round()
    with pytest.raises(TypeError):
        Round() & Round()


def test_a_composite_joins_two_rules_or_more():
    """The constructor that a repr calls checks what it is given."""
    with pytest.raises(ValueError, match=r"must join two rules or more.*Received"):
        AnyColour((Blue(),))
    with pytest.raises(TypeError, match="must join rules of one family, Colour"):
        AnyColour((Blue(), Round()))


def test_a_policy_without_fields_prints_as_a_call():
    """The base class needs nothing from its family."""

    @dataclasses.dataclass(frozen=True, repr=False)
    class Plain(Policy):
        pass

    assert repr(Plain()) == "Plain()"
