"""What naming policies accept, what they make of a version, and what they recognise."""

import contextlib
import math
import string
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt import _names
from keras_versioned_ckpt.naming import (
    NamingPolicy,
    Numbered,
    Template,
    Timestamped,
    as_naming,
    unique_name,
)
from keras_versioned_ckpt.records import Version

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def version(number=3, created=NOON, **fields):
    """Returns one version, at noon."""
    return Version(number=number, created=created, **fields)


class TestNames:
    """What a version is called."""

    @pytest.mark.parametrize(
        ("policy", "name"),
        [
            (Numbered(), "version_3"),
            (Numbered("v{number:04d}"), "v0003"),
            (Numbered("{run}.{number}"), "a1b2.3"),
            (Timestamped(), "model_20261120120000"),
            (Timestamped("{created:%H}h-{number}"), "12h-3"),
            (Template("{epoch:03d}-{val_loss:.4f}"), "005-0.2500"),
            (Template("{step}={val/loss:.1e}"), "100=1.2e+01"),
            (Template("model"), "model"),
        ],
        ids=str,
    )
    def test_fields_are_filled_in(self, policy, name):
        """Every field comes from the version, metrics by their own names."""
        saved = version(
            epoch=5,
            step=100,
            run_id="a1b2",
            metrics={"val_loss": 0.25, "val/loss": 12.0},
        )
        assert policy.name(saved) == name

    def test_a_field_of_the_version_wins_over_a_metric_of_its_name(self):
        """`{epoch}` is the epoch, also where a metric is called so."""
        saved = version(epoch=5, metrics={"epoch": 0.5})
        assert Template("{epoch}").name(saved) == "5"

    @pytest.mark.parametrize(
        "template", ["{epoch:03d}", "{step}", "{run}", "{loss:08.3f}", "{val loss}"]
    )
    def test_what_is_missing_is_nan(self, template):
        """A name never costs a save: what is not there is written `nan`."""
        assert Template(template).name(version()) == "nan"

    @pytest.mark.parametrize(
        ("value", "name"),
        [(math.nan, "v-nan"), (math.inf, "v-inf"), (-math.inf, "v--inf")],
    )
    def test_values_that_are_not_finite_have_names_too(self, value, name):
        """NaN and infinities are written without the padding of a spec."""
        saved = version(metrics={"loss": value})
        assert Template("v-{loss:09.2f}").name(saved) == name

    def test_a_metric_that_is_no_number_is_nan(self):
        """A value that cannot be a float does not fail the save."""
        assert Template("{loss}").name(version(metrics={"loss": "low"})) == "nan"

    @pytest.mark.parametrize(
        ("run", "name"),
        [
            ("a b", "a-b"),
            ("a/../b", "a-..-b"),
            ("naïve:run", "na-ve-run"),
            ("..", "v_.-"),
            (".hidden", "v_.hidden"),
            ("-rf", "v_-rf"),
            ("ends.", "ends-"),
            ("CON", "v_CON"),
            ("lpt1.log", "v_lpt1.log"),
            ("\u202e", "v_-"),
        ],
    )
    def test_a_value_is_made_safe(self, run, name):
        """Whatever a value holds, the name is one component of a path."""
        assert Template("{run}").name(version(run_id=run)) == name

    def test_a_negative_value_may_come_first(self):
        """A name does not begin with the sign of a number."""
        saved = version(metrics={"score": -0.5})
        assert Template("{score}").name(saved) == "v_-0.5"

    def test_a_value_that_its_spec_cannot_write_is_nan(self):
        """A spec may fit the sample and fail for another value."""
        assert Template("{epoch:c}").name(version(epoch=10**9)) == "nan"

    def test_a_very_long_value_is_cut(self):
        """The name stays short enough for a suffix."""
        name = Template("{run}-end").name(version(run_id="x" * 1000))
        assert name == "x" * 118

    def test_the_time_is_that_of_the_zone(self):
        """`timezone` decides on which day a version was saved."""
        policy = Timestamped("{created:%Y-%m-%d}", timezone="Asia/Tokyo")
        saved = version(created=datetime(2026, 11, 20, 18, tzinfo=UTC))
        assert policy.name(saved) == "2026-11-21"

    def test_the_repeated_hour_gives_one_name_twice(self):
        """When clocks go back the local time repeats; a suffix tells them apart."""
        policy = Timestamped("{created:%H%M}", timezone="Europe/Berlin")
        # Berlin leaves summer time on 2026-10-25 at 01:00 UTC, 03:00 to 02:00.
        first = version(created=datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
        again = version(created=datetime(2026, 10, 25, 1, 30, tzinfo=UTC))
        assert [policy.name(first), policy.name(again)] == ["0230", "0230"]
        assert unique_name(policy.name(again), {policy.name(first)}) == "0230-2"

    @pytest.mark.parametrize("year", [1, 9999])
    def test_the_ends_of_time_have_names(self, year):
        """Where the local time is beyond what a datetime holds, UTC is written."""
        edge = {1: datetime.min, 9999: datetime.max}[year].replace(tzinfo=UTC)
        zone = {1: "America/New_York", 9999: "Asia/Tokyo"}[year]
        name = Timestamped("{created:%m%d}", timezone=zone).name(version(created=edge))
        assert name == {1: "0101", 9999: "1231"}[year]

    @pytest.mark.parametrize(
        ("spec", "name"), [("%H:%M", "12-00"), ("%d/%m %y", "20-11-26"), ("%%", "v_-")]
    )
    def test_punctuation_of_a_time_becomes_a_dash(self, spec, name):
        """A spec may be written for people; what a name cannot hold is replaced."""
        assert Timestamped(f"{{created:{spec}}}").name(version()) == name


class TestRefused:
    """What is refused when the policy is made, and never during training."""

    @pytest.mark.parametrize(
        "template",
        [
            "",
            "a/b",
            "/{epoch}",
            "a\\b",
            "a b",
            "naïve",
            "..",
            "a..{epoch}",
            ".{epoch}",
            "-{epoch}",
            "{epoch}.",
            "{epoch",
            "epoch}",
            "{{epoch}}",
            "x" * 81,
        ],
    )
    def test_text_that_is_not_one_safe_component(self, template):
        """The literal text has to be right itself; it is not replaced."""
        with pytest.raises(ValueError, match=r"`template` must .*Received: template="):
            Template(template)

    @pytest.mark.parametrize(
        "template",
        [
            "{}",
            "{0}",
            "{epoch.__class__}",
            "{epoch[0]}",
            "{epoch!r}",
            "{epoch!s}",
            "{x:{y}}",
            "{ epoch }",
        ],
    )
    def test_anything_but_a_plain_field(self, template):
        """Attributes, indices, conversions, nested and nameless fields are out."""
        with pytest.raises(ValueError, match="`template` must"):
            Template(template)

    @pytest.mark.parametrize(
        "template",
        [
            "{loss:999999999}",
            "{loss:.999999999f}",
            "{epoch:065d}",
            "{run:>65}",
            "{number:٦٥}",
            "{epoch:x>" + "9" * 5000 + "}",
        ],
    )
    def test_a_huge_width_or_precision(self, template):
        """Nobody gets megabytes of padding out of a template."""
        with pytest.raises(ValueError, match="width or precision above 64"):
            Template(template)

    @pytest.mark.parametrize(
        "template",
        [
            "{epoch:s}",
            "{loss:d}",
            "{run:.2f}",
            "{number:q}",
            "{created:%Q}",
            "{created:%s}",
            "{created:%}",
            "{created:%5Y}",
        ],
    )
    def test_a_spec_that_does_not_fit(self, template):
        """Specs are tried with a sample, and times take documented directives."""
        with pytest.raises(ValueError, match="`template` must"):
            Template(template)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Numbered("model"),
            lambda: Numbered("{number}-{created:%Y}"),
            lambda: Numbered("{number}-{loss}"),
            lambda: Timestamped("model-{number}"),
            lambda: Timestamped("{created:%Y}-{epoch}"),
        ],
    )
    def test_the_fields_of_another_policy(self, make):
        """`Numbered` needs its number and `Timestamped` its time, and little else."""
        with pytest.raises(ValueError, match=r"`template` must .*`Template`"):
            make()

    @pytest.mark.parametrize(
        "timezone", ["Nowhere/City", "", "UTC+3", "/etc/localtime"]
    )
    @pytest.mark.parametrize("policy", [Timestamped, Template])
    def test_a_time_zone_that_is_none(self, policy, timezone):
        """A zone is known by its name when the policy is made."""
        with pytest.raises(ValueError, match="`timezone` must"):
            policy("{created:%Y}", timezone=timezone)

    @pytest.mark.parametrize("value", [None, 3, b"model", ["model"]])
    def test_a_template_that_is_no_string(self, value):
        """The message names the argument, for every policy."""
        for policy in (Numbered, Timestamped, Template):
            with pytest.raises(TypeError, match="`template` must be a string"):
                policy(value)


class TestMatches:
    """Which names a policy could have given."""

    @pytest.mark.parametrize(
        ("policy", "name", "expected"),
        [
            (Numbered(), "version_12", True),
            (Numbered(), "VERSION_12", True),
            (Numbered(), "version_12-2", True),
            (Numbered(), "version_", False),
            (Numbered(), "version_a", False),
            (Numbered(), "version_1b", False),
            (Numbered(), "my_version_1", False),
            (Numbered(), "version_1-old", False),
            (Numbered("{number}0"), "10", True),
            (Numbered("{number:x}"), "ff", True),
            (Timestamped(), "model_20261120", True),
            (Timestamped(), "events.out.tfevents", False),
            (Template("{epoch}-{loss}-end"), "5-0.25-end", True),
            (Template("{epoch}-{loss}-end"), "5-0.25", False),
            (Template("{number}{step}"), "12", True),
            (Template("{number}{step}"), "x2", False),
            (Template("model"), "model", True),
            (Template("model"), "models", False),
            (Template("{loss}"), "", False),
            (Template("{run}-end"), "x" * 118, True),
            (Template("v{run}"), "v_v" + "x" * 120 + "-2", True),
            (Numbered(), "x" * 200, False),
        ],
        ids=str,
    )
    def test_text_has_to_fit_and_fields_take_anything(self, policy, name, expected):
        """Literal text must be there, a number is digits, other fields are open."""
        assert policy.matches(name) is expected

    def test_many_fields_take_no_time(self):
        """The answer does not depend on trying every way to divide a name."""
        policy = Template("-".join(["a"] + ["{x}"] * 30) + "-end")
        assert policy.matches("a" + "-" * 110) is False


class TestAsNaming:
    """What the `naming=` argument takes."""

    @pytest.mark.parametrize(
        ("value", "policy"),
        [
            ("version_{number}", Numbered()),
            ("{created:%Y}", Timestamped("{created:%Y}")),
            ("{epoch}", Template("{epoch}")),
            ("{number}-{created:%Y}", Template("{number}-{created:%Y}")),
            ("model", Template("model")),
            (Numbered("{number}"), Numbered("{number}")),
        ],
        ids=str,
    )
    def test_a_string_is_the_narrowest_policy(self, value, policy):
        """The fields of a template say which policy it belongs to."""
        assert as_naming(value) == policy

    @pytest.mark.parametrize("value", [None, 3, Numbered, ["{number}"]])
    def test_anything_else_is_refused(self, value):
        """The message shows what was received and what to pass."""
        with pytest.raises(TypeError, match=r"`naming` must .*Received: naming="):
            as_naming(value)


class TestUniqueName:
    """What happens when a name is taken."""

    @pytest.mark.parametrize(
        ("name", "taken", "expected"),
        [
            ("model", (), "model"),
            ("model", {"model"}, "model-2"),
            ("Model", ["model", "model-2"], "Model-3"),
            ("model", {"model-2"}, "model"),
            ("x" * 128, {"x" * 128}, "x" * 126 + "-2"),
        ],
    )
    def test_the_first_free_suffix_is_taken(self, name, taken, expected):
        """A taken name, also one that differs in case only, gets `-2`, `-3` …."""
        assert unique_name(name, taken) == expected

    def test_ten_thousand_of_one_name(self):
        """Suffixes go on as far as they have to."""
        taken = {"model", *(f"model-{count}" for count in range(2, 10_001))}
        assert unique_name("model", taken) == "model-10001"


# Laws.

safe_text = st.text(string.ascii_letters + string.digits + "_=+-.", max_size=8)
metric_names = st.text(max_size=6) | st.sampled_from(["loss", "val/loss", "f 1"])
specs = st.sampled_from(["", ":.2f", ":>12", ":e", ":+", ":064", ":,", ":%"])
known_fields = st.sampled_from(
    [
        "{number}",
        "{number:03d}",
        "{number:x}",
        "{number:>9}",
        "{run}",
        "{epoch}",
        "{step:06d}",
        "{created:%Y%m%d%H%M%S%f%z}",
        "{created:%c %Z}",
        "{created}",
    ]
)
metric_fields = st.builds("{{{}{}}}".format, metric_names, specs)
template_texts = st.lists(
    safe_text | known_fields | metric_fields, min_size=1, max_size=5
).map("".join)
zones = st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"])


@st.composite
def policies(draw) -> NamingPolicy:
    """Any policy that takes its template, `Template("x-{loss}")` where none does."""
    template, zone = draw(template_texts), draw(zones)
    with contextlib.suppress(ValueError):
        return as_naming(template)
    with contextlib.suppress(ValueError):
        return Template(template, timezone=zone)
    return Template("x-{loss}", timezone=zone)


versions_of_any_kind = st.builds(
    Version,
    number=st.integers(1, 10**30),
    created=st.datetimes(timezones=st.just(UTC)),
    run_id=st.none() | st.text(max_size=200),
    epoch=st.none() | st.integers(0, 10**20),
    step=st.none() | st.integers(0),
    metrics=st.dictionaries(metric_names, st.floats() | st.integers() | st.text()),
)


@given(policies(), versions_of_any_kind)
def test_every_name_is_valid(policy, saved):
    """Whatever is saved under whatever template, the name is a safe component."""
    assert _names.why_not(policy.name(saved)) is None


@given(policies(), versions_of_any_kind, st.integers(0, 3))
def test_a_policy_matches_its_own_names(policy, saved, taken):
    """`matches` never says no to a name that the policy gave, suffix included."""
    name = policy.name(saved)
    names = {_names.fold(name)}
    for _ in range(taken):
        names.add(_names.fold(unique_name(name, names)))
    assert all(policy.matches(each) for each in names | {name, name.upper()})


@given(
    st.from_regex(_names.ALLOWED, fullmatch=True).filter(
        lambda name: _names.why_not(name) is None
    ),
    st.sets(st.integers(2, 12)),
)
def test_a_unique_name_is_valid_and_free(name, suffixes):
    """The result is never taken, and a valid name stays one."""
    taken = {_names.fold(name), *(_names.fold(f"{name}-{n}") for n in suffixes)}
    unique = unique_name(name, taken)
    assert _names.fold(unique) not in taken
    assert _names.why_not(unique) is None


@given(st.text() | template_texts | st.text("{}:!.[]%0a", max_size=12))
def test_a_template_is_taken_or_refused(template):
    """A text either makes a policy or raises `ValueError`, and nothing else."""
    try:
        policy = Template(template)
    except ValueError:
        return
    assert _names.why_not(policy.name(version())) is None


@given(policies())
def test_a_policy_prints_as_it_is_written(policy):
    """`eval(repr(policy))` is the policy, and equal policies hash equal."""
    again = eval(repr(policy))
    assert again == policy
    assert hash(again) == hash(policy)
