"""Names are read as the template has written them, or not at all."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt import Template, Version
from keras_versioned_ckpt._reading_names import NameReader, Reading

MODEL_CHECKPOINT = "weights.{epoch:02d}-{val_loss:.2f}.keras"
FINITE = st.floats(allow_nan=False, allow_infinity=False)
COUNTS = st.integers(0, 2**53)


def read(template: str, name: str, timezone: str = "UTC") -> Reading | None:
    """Reads one name, with `/` between its parts."""
    return NameReader(template, timezone).read(name.split("/"))


@given(epoch=COUNTS, loss=FINITE)
def test_what_model_checkpoint_writes_is_read(epoch: int, loss: float) -> None:
    """Epoch and value come back, the value as precise as it stands there."""
    name = MODEL_CHECKPOINT.format(epoch=epoch, val_loss=loss)
    found = NameReader(MODEL_CHECKPOINT).read([name])
    if len(name) > 255:
        assert found is None
    else:
        assert found == Reading(epoch=epoch, metrics={"val_loss": float(f"{loss:.2f}")})


@given(
    spec=st.sampled_from(
        ["", ".3f", "08.3f", "+.2f", " .2f", "9.2f", ".3e", "012.1e", ".4g", "g", ".0f"]
    ),
    loss=st.floats(-1e9, 1e9) | st.sampled_from([math.inf, -math.inf, math.nan]),
    accuracy=st.floats(0, 1),
)
def test_every_way_to_write_a_number_is_read(
    spec: str, loss: float, accuracy: float
) -> None:
    """Signs, exponents, padding, and what is not finite."""
    template = "{epoch:03d}-{loss:SPEC}-{accuracy:.4f}".replace("SPEC", spec)
    name = template.format(epoch=7, loss=loss, accuracy=accuracy)
    found = NameReader(template).read([name])
    assert found is not None
    assert found.epoch == 7
    expected = float(format(loss, spec.lstrip(" 0")))
    same = math.isnan(expected) and math.isnan(found.metrics["loss"])
    assert same or found.metrics["loss"] == expected
    assert found.metrics["accuracy"] == float(f"{accuracy:.4f}")


@given(
    number=st.integers(1, 2**53),
    epoch=st.none() | COUNTS,
    step=st.none() | COUNTS,
    created=st.datetimes(datetime(1000, 1, 1), datetime(9999, 1, 1)),
    loss=FINITE,
)
def test_what_a_naming_policy_writes_is_read(
    number: int, epoch: int | None, step: int | None, created: datetime, loss: float
) -> None:
    """What the version has no value of is missing in the reading, too."""
    template = (
        "v{number}_e{epoch:03d}_s{step}_{created:%Y%m%d-%H%M%S.%f}_{val_loss:.3e}"
    )
    version = Version(
        number=number,
        created=created.replace(tzinfo=UTC),
        epoch=epoch,
        step=step,
        metrics={"val_loss": loss},
    )
    name = Template(template, timezone="Asia/Tokyo").name(version)
    found = NameReader(template, timezone="Asia/Tokyo").read([name])
    assert found == Reading(
        number=number,
        epoch=epoch,
        step=step,
        created=version.created,
        metrics={"val_loss": float(f"{loss:.3e}")},
    )


@pytest.mark.parametrize(
    ("template", "name", "expected"),
    [
        (MODEL_CHECKPOINT, "weights.05--0.25.keras", (5, -0.25)),
        (MODEL_CHECKPOINT, "weights.123-0.25.keras", (123, 0.25)),
        (MODEL_CHECKPOINT, "weights.05-nan.keras", (5, "nan")),
        (MODEL_CHECKPOINT, "weights.05--inf.keras", (5, -math.inf)),
        ("{epoch}-{val_loss}", "5-1e-05", (5, 1e-05)),
        ("{epoch}-{val_loss}", "5--1.5e+20", (5, -1.5e20)),
        ("{val_loss}-{epoch}", "1e-05-7", (7, 1e-05)),
        ("{epoch:3d} {val_loss:.1%}", "  5 25.0%", (5, 0.25)),
        ("{epoch:02d}-{val_loss:07.2f}", "05-0000nan", (5, "nan")),
        ("{epoch}{{{val_loss}}}(1)", "5{0.5}(1)", (5, 0.5)),
        ("ü {epoch}+{val_loss}", "ü 5+0.5", (5, 0.5)),
    ],
)
def test_odd_names_are_read(
    template: str, name: str, expected: tuple[int, float | str]
) -> None:
    """Hyphens before negative values, exponents, and text of any kind."""
    found = read(template, name)
    assert found is not None
    loss = found.metrics["val_loss"]
    assert (found.epoch, "nan" if math.isnan(loss) else loss) == expected


@pytest.mark.parametrize(
    "name",
    [
        "weights.05-0.251.keras",
        "weights.05-0.25.h5",
        "weights.5.5-0.25.keras",
        "weights.-5-0.25.keras",
        "weights.\u0665-0.25.keras",
        "weights.05-0.25.keras\n",
        "weights." + "9" * 16 + "-0.25.keras",
        "weights." + "9" * 300 + "-0.25.keras",
        "Weights.05-0.25.keras",
        "",
    ],
)
def test_other_names_have_no_reading(name: str) -> None:
    """Nothing is taken for what the template has not written."""
    assert read(MODEL_CHECKPOINT, name) is None


def test_folders_are_read() -> None:
    """The template is held against the last parts of the path."""
    template = "{run}/version_{number}/model.keras"
    found = read(template, "home/me/lr=0.1/version_12/model.keras")
    assert found == Reading(run="lr=0.1", number=12)
    assert read(template, "version_12/model.keras") is None


def test_the_step_inside_an_epoch_is_read() -> None:
    """`ModelCheckpoint` with an integer `save_freq` writes the batch."""
    assert read("{epoch:02d}-{batch:04d}", "03-0100") == Reading(epoch=3, batch=100)


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("model_{created:%Y%m%d%H%M%S}", "model_20261120180509"),
        ("{created:%Y-%m-%d_%H-%M-%S}", "2026-11-20_18-05-09"),
        ("{created:%Y%m%d}/{created:%H%M%S}.keras", "20261120/180509.keras"),
        ("{created:%d%b%y-%I.%M.%S%p}", "20Nov26-06.05.09PM"),
        ("{created:%Y%jT%H:%M:%S%z}", "2026324T19:05:09+0100"),
    ],
)
def test_time_stamps_are_read(template: str, name: str) -> None:
    """In any order of directives that says which day it is."""
    found = read(template, name)
    assert found is not None
    assert found.created == datetime(2026, 11, 20, 18, 5, 9, tzinfo=UTC)


def test_time_stamps_are_of_their_zone() -> None:
    """And come back in UTC."""
    name = "model_20261120180509"
    template = "model_{created:%Y%m%d%H%M%S}"
    utc, berlin = read(template, name), read(template, name, "Europe/Berlin")
    assert utc is not None
    assert utc.created is not None
    assert berlin == Reading(created=utc.created - timedelta(hours=1))
    assert read(template, "model_20261320180509") is None


def test_a_name_of_two_readings_is_refused() -> None:
    """With both of them, and what to do."""
    message = r"a=0\.25, b=5 and a=0, b=25\.5.*\{val_loss:\.2f\}"
    with pytest.raises(ValueError, match=message):
        read("{a}.{b}", "0.25.5")
    found = read("{a:.2f}.{b}", "0.25.5")
    assert found == Reading(metrics={"a": 0.25, "b": 5.0})


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("model.keras", "have a field"),
        ("{epoch}{step}", r"text between \{epoch\} and \{step\}"),
        ("{epoch}-{epoch}", r"have the field \{epoch\} once"),
        ("{epoch:x}", "plain numbers"),
        ("{epoch:,}", "plain numbers"),
        ("{epoch:.1f}", "plain numbers"),
        ("{loss:*>9.2f}", "plain numbers"),
        ("{created}", "year, month and day"),
        ("{created:%H%M}", "year, month and day"),
        ("{created:%Y%m%d%c}", "have no %c"),
        (r"runs\{epoch}", "have / between folders"),
        ("{epoch.real}", "without attributes"),
        ("{0}", "name its fields"),
        ("{epoch!r}", "without a conversion"),
        ("{epoch", "format string"),
        ("{epoch:d.d}", "have specs that fit"),
    ],
)
def test_templates_that_cannot_be_read_back_are_refused(
    template: str, message: str
) -> None:
    """In the words of Keras: what must hold, what was received, what to do."""
    with pytest.raises(ValueError, match=message) as caught:
        NameReader(template)
    assert f"Received: template={template!r}" in str(caught.value)


def test_a_template_is_a_string() -> None:
    """Anything else is of a wrong type."""
    with pytest.raises(TypeError, match="`template` must be a string"):
        NameReader(5)  # type: ignore[arg-type]
