"""Which version each selector means, what it says of others, and its text form."""

import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from dateutil import tz
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt import _names
from keras_versioned_ckpt.errors import VersionNotFoundError
from keras_versioned_ckpt.records import Version
from keras_versioned_ckpt.selectors import (
    RESERVED_TAGS,
    AsOf,
    AtEpoch,
    AtStep,
    Best,
    Latest,
    Named,
    Number,
    Tagged,
    as_selector,
    parse_selector,
    why_not_tag,
)
from tests.factories import START, numbers, versions

NAN, INF = float("nan"), float("inf")
HOUR = timedelta(hours=1)

# Losses of versions 1 to 5; the best is 3, and 2 and 5 are equal.
HISTORY = versions([0.5, 0.3, 0.2, NAN, 0.3], tags={2: ("prod",), 4: ("demo",)})


@pytest.fixture
def berlin(monkeypatch):
    """Lets the local time zone be that of Berlin."""
    if not hasattr(time, "tzset"):
        pytest.skip("the local time zone cannot be set on this platform")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class TestSelect:
    """The version that is meant, and those to fall back on."""

    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            (Latest(), [5, 4, 3, 2, 1]),
            (Latest(earlier=3), [2, 1]),
            (Best(), [3, 2, 5, 1]),
            (Best(earlier=2), [5, 1]),
            (Best("val_loss", "max"), [1, 2, 5, 3]),
            (Number(2), [2]),
            (Number(4, earlier=3), [1]),
            (Named("version_4"), [4]),
            (AtEpoch(3), [3]),
            (AtEpoch(3, earlier=1), [2]),
            (AtStep(40), [4]),
            (Tagged("prod"), [2]),
            (Tagged("demo", earlier=1), [3]),
            (AsOf(START + HOUR), [2]),
            (AsOf(START + 1.5 * HOUR), [2]),
            (AsOf(START + 9 * HOUR, earlier=4), [1]),
        ],
        ids=str,
    )
    def test_candidates_in_any_order(self, selector, expected):
        """The order of the versions that are given does not matter."""
        assert numbers(selector.candidates(HISTORY[::-1])) == expected
        assert selector.select(HISTORY[2:] + HISTORY[:2]).number == expected[0]

    def test_earlier_counts_the_versions_that_are_there(self):
        """Going back skips the numbers that were removed."""
        left = [version for version in HISTORY if version.number in (1, 4, 5)]
        assert Number(5, earlier=2).select(left).number == 1

    def test_the_end_of_an_epoch_comes_before_its_middle(self):
        """A version saved later and in mid-epoch is not what `epoch:1` means."""
        history = [
            Version(number=1, created=START, epoch=1),
            Version(number=2, created=START, epoch=1, batch=10),
            Version(number=3, created=START, epoch=2, batch=10),
            Version(number=4, created=START, epoch=2, batch=20),
        ]
        assert AtEpoch(1).select(history).number == 1
        assert AtEpoch(2).select(history).number == 4

    def test_the_newest_of_several(self):
        """A second `fit` repeats epochs and steps; the later version is meant."""
        history = [
            Version(number=n, created=START, epoch=1, step=10, tags=("prod",))
            for n in (1, 2)
        ]
        for selector in (AtEpoch(1), AtStep(10), Tagged("prod")):
            assert selector.select(history).number == 2

    def test_a_clock_that_was_set_back(self):
        """As-of takes the highest number among those whose time is right."""
        history = versions(created=[START, START + 2 * HOUR, START + HOUR])
        assert AsOf(START + HOUR).select(history).number == 3
        assert AsOf(START + 2 * HOUR).select(history).number == 3
        assert AsOf(START).select(history).number == 1


class TestBest:
    """By which metric, and in which direction."""

    def test_monitor_and_mode_are_those_of_the_newest_version_that_has_them(self):
        """A later run's choice counts, also if its last version recorded none."""
        history = [
            Version(number=1, created=START, metrics={"f1": 0.9}, monitor="val_loss"),
            Version(
                number=2, created=START, metrics={"f1": 0.8}, monitor="f1", mode="max"
            ),
            Version(number=3, created=START, metrics={"f1": 0.7}),
        ]
        assert numbers(Best().candidates(history)) == [1, 2, 3]
        assert Best().resolved(history) == Best("f1", "max")
        assert Best(mode="min", earlier=1).select(history).number == 2

    def test_auto_is_the_default_mode(self):
        """`mode="auto"`, as Keras has it, is the same as no mode."""
        assert Best("val_loss", "auto") == Best("val_loss")

    def test_a_loss_is_known_to_be_minimized(self):
        """For `loss` and `val_loss` no version needs to record a mode."""
        history = versions([0.5, 0.3], monitor=None, mode=None)
        assert Best("val_loss").select(history).number == 2

    def test_values_that_are_not_finite_are_never_best(self):
        """NaN and infinities are no fallbacks either."""
        history = versions([NAN, -INF, 0.5, INF, None])
        assert numbers(Best().candidates(history)) == [3]

    def test_an_unknown_direction_is_an_error(self):
        """Nothing is guessed from the name of a metric."""
        history = [Version(number=1, created=START, metrics={"accuracy": 0.9})]
        with pytest.raises(ValueError, match=r"`mode` must be given.*'accuracy'"):
            Best("accuracy").select(history)

    def test_an_unknown_monitor_is_an_error(self):
        """Where no run had a monitor, the message lists the metrics that exist."""
        history = [Version(number=1, created=START, metrics={"f1": 0.9, "loss": 1})]
        with pytest.raises(ValueError, match=r"`monitor`.*'f1' \(1\), 'loss' \(1\)"):
            Best().select(history)


class TestNotFound:
    """The message lists what exists."""

    @pytest.mark.parametrize(
        ("selector", "message"),
        [
            (Latest(earlier=5), "'latest~5': there are only 5 versions, 1 to 5"),
            (Best(earlier=4), "'best~4': only 4 have a finite value of 'val_loss'"),
            (Best("f1"), r"no version .* 'f1'; the metrics are: 'val_loss' \(4\)"),
            (Number(9), "'9': the nearest number is 5"),
            (
                Number(3, earlier=3),
                "before version 3 there are only 2 versions, 1 to 2",
            ),
            (Number(2, earlier=2), "before version 2 there is only version 1"),
            (Number(1, earlier=1), "before version 1 there is no other"),
            (Named("versoin_2"), "did you mean version_2.*names are: version_1, "),
            (Named("x"), "'x': the names are: version_1, .*version_5"),
            (AtEpoch(7), "'epoch:7': the nearest epoch is 5"),
            (AtStep(25), "'step:25': the nearest steps are 20 and 30"),
            (Tagged("live"), "'tag:live': the tags are: demo, prod"),
            (AsOf("2026-11-19 00:00Z"), "the oldest is version 1, of 2026-11-20 12:00"),
        ],
        ids=str,
    )
    def test_what_exists(self, selector, message):
        """Each selector names what is nearest to what was wanted."""
        with pytest.raises(VersionNotFoundError, match=message):
            selector.select(HISTORY)

    @pytest.mark.parametrize(
        "selector", [Latest(), Best(), Number(1), Tagged("a"), Best("f1", "max")]
    )
    def test_an_empty_store(self, selector):
        """Without versions there is one answer, whatever was asked."""
        with pytest.raises(VersionNotFoundError, match="the store has no versions"):
            selector.candidates([])

    def test_nothing_recorded(self):
        """A store filled outside of training has no epochs."""
        history = [Version(number=1, created=START)]
        with pytest.raises(VersionNotFoundError, match="no version recorded its epoch"):
            AtEpoch(1).select(history)

    def test_a_number_that_is_a_name(self):
        """A version called by a number is found by its name only; the message says."""
        history = [Version(number=1, created=START, name="20261120")]
        with pytest.raises(VersionNotFoundError, match="'name:20261120'"):
            parse_selector("20261120").select(history)
        assert parse_selector("name:20261120").select(history).number == 1


class TestRefused:
    """Wrong arguments are errors when the selector is made."""

    @pytest.mark.parametrize(
        ("make", "error", "message"),
        [
            (lambda: Latest(earlier=-1), ValueError, "`earlier` must be 0 or more"),
            (lambda: Latest(earlier=True), TypeError, "`earlier` must be an integer"),
            (lambda: Best(3), TypeError, "`monitor` must be"),
            (lambda: Best(""), ValueError, "`monitor` must not be empty"),
            (lambda: Best("loss", "low"), ValueError, "`mode` must be"),
            (lambda: Number(0), ValueError, "`number` must be 1 or more"),
            (lambda: Number(True), TypeError, "`number` must be an integer"),
            (lambda: Number("3"), TypeError, "`number` must be an integer"),
            (lambda: Named(3), TypeError, "`name` must be a string"),
            (lambda: Named("a/b"), ValueError, "`name` must begin"),
            (lambda: AtEpoch(-1), ValueError, "`epoch` must be 0 or more"),
            (lambda: AtStep(1.5), TypeError, "`step` must be an integer"),
            (lambda: Tagged(""), ValueError, "`tag` must not be empty"),
            (lambda: Tagged(None), TypeError, "`tag` must be a string"),
            (lambda: AsOf(3), TypeError, "`when` must be a string or a `datetime`"),
        ],
    )
    def test_arguments(self, make, error, message):
        """The message says what must hold and what was received."""
        with pytest.raises(error, match=f"{message}.*Received: "):
            make()


class TestAsOf:
    """How an instant is read."""

    @pytest.mark.parametrize(
        "text",
        [
            "2026-11-20T18:00:00Z",
            "2026-11-20 18:00 UTC",
            "2026-11-20 19:00 +01:00",
            "20 Nov 2026, 6 pm GMT",
            "20261120T180000Z",
        ],
    )
    def test_what_dateutil_reads(self, text):
        """Any way to write a full date will do."""
        selector = AsOf(text)
        assert selector.when == datetime(2026, 11, 20, 18, tzinfo=UTC)
        assert selector.note is None

    def test_other_selectors_assume_nothing(self):
        """Only a moment in time has to be read in some zone."""
        assert Latest().note is None

    @pytest.mark.usefixtures("berlin")
    def test_a_date_alone_is_its_first_moment(self):
        """What was saved on the day itself comes after it."""
        assert AsOf("2026-11-20") == AsOf("2026-11-19 23:00 UTC")

    @pytest.mark.usefixtures("berlin")
    def test_no_zone_means_the_local_one(self):
        """The local zone is assumed, for texts and datetimes, and the note says so."""
        for when in ("2026-11-20 18:00", datetime(2026, 11, 20, 18)):
            selector = AsOf(when)
            assert selector.when == datetime(2026, 11, 20, 17, tzinfo=UTC)
            assert selector.assumed_local
            assert selector.note == (
                "as-of 2026-11-20 18:00:00 was read in the local time zone, UTC+01:00"
            )
        assert AsOf("2026-07-01 18:00").note.endswith("UTC+02:00")

    @pytest.mark.usefixtures("berlin")
    def test_a_selector_is_an_instant(self):
        """Made in one zone and printed in another, it is equal to itself."""
        local = AsOf("2026-11-20 18:00")
        assert local == AsOf("2026-11-20 17:00 UTC")
        assert repr(local) == "AsOf('2026-11-20T17:00:00+00:00')"
        assert str(local) == "as-of:2026-11-20T17:00:00+00:00"

    def test_the_repeated_hour_is_no_exception(self):
        """Both readings of the hour that a clock change repeats equal their instant."""
        berlin = tz.gettz("Europe/Berlin")
        for fold in (0, 1):
            local = datetime(2026, 10, 25, 2, 30, tzinfo=berlin, fold=fold)
            assert AsOf(local) == AsOf(datetime(2026, 10, 25, fold, 30, tzinfo=UTC))

    @pytest.mark.usefixtures("berlin")
    def test_a_later_time_is_never_an_earlier_moment(self):
        """Also in an hour that a clock change skips, and in one that it repeats."""
        for night in (datetime(2026, 3, 29), datetime(2026, 10, 25)):
            quarters = [night + n * HOUR / 4 for n in range(24)]
            moments = [AsOf(quarter).when for quarter in quarters]
            assert moments == sorted(moments)
        # There was no 2:15: where it would have been 2:00, 1:00 in UTC, it was 3:00.
        for fold in (0, 1):
            skipped = AsOf(datetime(2026, 3, 29, 2, 15, fold=fold))
            assert skipped == AsOf("2026-03-29 00:59:59.999999 UTC")
            assert skipped.note.endswith(
                "01:59:59.999999 was read in the local time zone, UTC+01:00"
            )
        # It was 2:15 twice, and the first is meant, unless the other is asked for.
        assert AsOf("2026-10-25 02:15") == AsOf("2026-10-25 00:15 UTC")
        second = AsOf(datetime(2026, 10, 25, 2, 15, fold=1))
        assert second == AsOf("2026-10-25 01:15 UTC")

    @pytest.mark.parametrize(
        "text",
        ["18:00", "12", "2026", "2026-11", "Nov 20", "Friday", "Fri Nov 2026", "20th"],
    )
    def test_a_date_with_a_part_missing(self, text):
        """Today's date is never filled in."""
        with pytest.raises(ValueError, match="`when` must name a full date"):
            AsOf(text)

    @pytest.mark.parametrize(
        "text", ["", "hello", "2026-02-30", "2026-11-20 25:00", "9" * 30, "9" * 5000]
    )
    def test_no_date_at_all(self, text):
        """Whatever the parser stumbles over is a `ValueError` that shows the text."""
        with pytest.raises(ValueError, match="`when` must be a date"):
            AsOf(text)

    @pytest.mark.parametrize("zone", ["CST", "EST", "XYZ", "-0300 (BRST)"])
    def test_a_zone_that_several_share(self, zone):
        """An abbreviation is not silently dropped."""
        with pytest.raises(ValueError, match="`when` must give its time zone as"):
            AsOf(f"2026-11-20 18:00 {zone}")

    @pytest.mark.parametrize("zone", ["UTC+3", "GMT-3", "utc +03:00"])
    def test_a_sign_that_is_read_both_ways(self, zone):
        """What dateutil takes for three hours west is what people write for east."""
        with pytest.raises(ValueError, match="`when` must have an offset without"):
            AsOf(f"2026-11-20 18:00 {zone}")

    @pytest.mark.parametrize(
        "when",
        ["0001-01-01 00:00+14:00", datetime.max.replace(tzinfo=timezone(-12 * HOUR))],
    )
    def test_an_instant_beyond_what_a_datetime_holds(self, when):
        """It is refused at once, not when it is first compared."""
        with pytest.raises(ValueError, match="`when` must lie within"):
            AsOf(when)


class TestText:
    """The small language for Python and the command line."""

    @pytest.mark.parametrize(
        ("text", "selector"),
        [
            ("latest", Latest()),
            ("latest~2", Latest(earlier=2)),
            ("best", Best()),
            ("best~1", Best(earlier=1)),
            ("best:val_accuracy", Best("val_accuracy")),
            ("best:val_loss:min", Best("val_loss", "min")),
            ("best:val/top:5:max~3", Best("val/top:5", "max", earlier=3)),
            ("best::max", Best(None, "max")),
            ("best:min", Best("min")),
            ("3", Number(3)),
            ("3~1", Number(3, earlier=1)),
            ("version_3", Named("version_3")),
            ("version_3~1", Named("version_3", earlier=1)),
            ("name:latest", Named("latest")),
            ("name:3", Named("3")),
            ("epoch", Named("epoch")),
            ("epoch:5", AtEpoch(5)),
            ("step:1000~2", AtStep(1000, earlier=2)),
            ("tag:prod", Tagged("prod")),
            ("as-of:2026-11-20 18:00Z~1", AsOf("2026-11-20 18:00Z", earlier=1)),
        ],
    )
    def test_what_a_text_means(self, text, selector):
        """Each form of the design is read, with and without `~N`."""
        assert parse_selector(text) == selector

    @pytest.mark.parametrize(
        ("selector", "text"),
        [
            (Best("loss:min"), "best:loss:min:auto"),
            (Best("loss~1"), "best:loss~1~0"),
            (Named("latest"), "name:latest"),
            (Named("007"), "name:007"),
            (Named("version_3", earlier=1), "version_3~1"),
        ],
    )
    def test_what_could_be_misread_is_written_in_full(self, selector, text):
        """The text form always means the selector that it was made from."""
        assert str(selector) == text
        assert parse_selector(text) == selector

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "~1",
            "latest~",
            "latest~x",
            "latest~-1",
            " latest",
            "best:",
            "epoch:",
            "epoch:five",
            "epoch:-1",
            "epoch:٣",
            "tag:",
            "tag:a b",
            "name:",
            "color:red",
            "hello world",
            "../version_1",
            "0",
            "as-of:",
            "as-of:18:00",
        ],
    )
    def test_what_is_no_selector(self, text):
        """Anything else is a `ValueError` that shows what was received."""
        with pytest.raises(ValueError, match="Received: "):
            parse_selector(text)

    def test_what_is_no_text(self):
        """The parser takes strings; `as_selector` takes more."""
        with pytest.raises(TypeError, match="`text` must be a string"):
            parse_selector(3)

    @pytest.mark.parametrize(
        ("value", "selector"),
        [(3, Number(3)), ("best~1", Best(earlier=1)), (Latest(), Latest())],
    )
    def test_as_selector(self, value, selector):
        """Numbers, texts and selectors mean the same wherever a version is named."""
        assert as_selector(value) == selector

    @pytest.mark.parametrize("value", [None, True, 1.0, b"best", Latest])
    def test_as_selector_refuses_the_rest(self, value):
        """The message shows what was received."""
        with pytest.raises(TypeError, match=r"`selector` must .*Received: selector="):
            as_selector(value)


class TestTags:
    """What a tag may be called."""

    @pytest.mark.parametrize("tag", ["prod", "v1.0", "2026-11-20", "best-so-far"])
    def test_ordinary_names(self, tag):
        """A tag is a name like a version's."""
        assert why_not_tag(tag) is None

    @pytest.mark.parametrize(
        "tag", [*sorted(RESERVED_TAGS), "Latest", "20261120", "", "a b", "con", None]
    )
    def test_words_of_the_language_are_reserved(self, tag):
        """A tag cannot be mistaken for a selector of another kind."""
        assert why_not_tag(tag).startswith("must ")


# Laws.

earlier = st.integers(0, 20)
valid_names = st.one_of(
    st.from_regex(_names.ALLOWED, fullmatch=True),
    st.sampled_from(["latest", "best", "3", "007", "tag", "as-of", "version_3"]),
).filter(lambda name: _names.why_not(name) is None)
monitors = st.text(min_size=1) | st.text(":~min1max auto", min_size=1)
instants = st.datetimes(timezones=st.just(UTC))

selectors = st.one_of(
    st.builds(Latest, earlier=earlier),
    st.builds(
        Best,
        st.none() | monitors,
        st.sampled_from([None, "min", "max", "auto"]),
        earlier=earlier,
    ),
    st.builds(Number, st.integers(1), earlier=earlier),
    st.builds(Named, valid_names, earlier=earlier),
    st.builds(AtEpoch, st.integers(0), earlier=earlier),
    st.builds(AtStep, st.integers(0), earlier=earlier),
    st.builds(Tagged, valid_names, earlier=earlier),
    st.builds(AsOf, instants, earlier=earlier),
)

histories = st.lists(
    st.none() | st.floats(allow_nan=True), min_size=1, max_size=12
).flatmap(lambda losses: st.permutations(versions(losses)))


@given(selectors)
def test_the_text_parses_back(selector):
    """`parse_selector(str(s)) == s`, for every selector."""
    assert parse_selector(str(selector)) == selector


@given(selectors)
def test_a_selector_prints_as_it_is_written(selector):
    """`eval(repr(s))` is the selector, and equal selectors hash equal."""
    again = eval(repr(selector))
    assert again == selector
    assert hash(again) == hash(selector)


pieces = st.sampled_from(
    ["latest", "best", "epoch", "tag", "as-of", "name", ":", "~", "1", "min", "2026-1"]
)


@given(st.text() | st.lists(pieces | st.text(max_size=3), max_size=6).map("".join))
def test_a_text_is_a_selector_or_refused(text):
    """Random text either is a selector, which parses back, or a `ValueError`."""
    try:
        selector = parse_selector(text)
    except ValueError:
        return
    assert parse_selector(str(selector)) == selector


@given(selectors, histories)
def test_select_is_the_first_candidate(selector, history):
    """A selector finds a version of the history, or says that there is none."""
    try:
        found = selector.candidates(history)
    except (VersionNotFoundError, ValueError):
        with pytest.raises((VersionNotFoundError, ValueError)):
            selector.select(history)
        return
    assert selector.select(history) is found[0]
    assert set(numbers(found)) <= set(numbers(history))


@given(histories, st.integers(0, 12))
def test_earlier_skips_candidates(history, skipped):
    """`latest~N` and `best~N` begin where N candidates are left out."""
    for kind in (Latest, Best):
        try:
            everything = kind().candidates(history)
            rest = kind(earlier=skipped).candidates(history)
        except VersionNotFoundError:
            continue
        assert rest == everything[skipped:]
