"""The manifest's text: what it says, and every way in which it can be wrong."""

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_versioned_ckpt import manifest as manifests
from keras_versioned_ckpt._strict_json import MAX_INTEGER
from keras_versioned_ckpt.errors import CorruptVersionError, StoreError
from keras_versioned_ckpt.manifest import File, Manifest, check_path, decode, encode
from keras_versioned_ckpt.records import FrozenMapping, Version
from tests.factories import START

SHA = "0123456789abcdef" * 4
GONE = object()


def manifest(**facts):
    """Returns the manifest of a version with one file of 7 bytes."""
    return Manifest(
        store_id="store1",
        version=Version(number=3, created=START, size_bytes=7, **facts),
        files=FrozenMapping({"model.keras": File(size=7, sha256=SHA)}),
        trigger=("EveryEpochs()",),
        software=FrozenMapping({"python": "3.13.0"}),
    )


def text_with(*path, value):
    """Returns a sound manifest's bytes in which one value is another, or gone."""
    document = json.loads(encode(manifest()))
    *above, last = path
    place = document
    for key in above:
        place = place[key]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document).encode()


names = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
)


@given(
    epoch=st.none() | st.integers(0, MAX_INTEGER),
    metrics=st.dictionaries(names, st.floats(allow_nan=False), max_size=3),
    metadata=st.dictionaries(names, names | st.booleans() | st.none(), max_size=3),
    mode=st.sampled_from([None, "min", "max"]),
)
def test_what_is_written_reads_back_the_same(epoch, metrics, metadata, mode):
    """Decoding undoes encoding, infinities included."""
    written = manifest(epoch=epoch, metrics=metrics, metadata=metadata, mode=mode)
    assert decode(encode(written)) == written


def test_a_nan_survives_as_a_string():
    """Strict JSON has no NaN, and a metric may be one."""
    text = encode(manifest(metrics={"val_loss": math.nan}))
    assert json.loads(text)["metrics"] == {"val_loss": "nan"}
    assert math.isnan(decode(text).version.metrics["val_loss"])


def test_the_text_is_what_the_specification_says():
    """The keys and their order are those of format 1."""
    document = json.loads(encode(manifest(epoch=2, metrics={"val_loss": 0.25})))
    assert document == {
        "format": 1,
        "store_id": "store1",
        "number": 3,
        "name": "version_3",
        "created": "2026-11-20T12:00:00.000000Z",
        "run_id": None,
        "parent": None,
        "epoch": 2,
        "step": None,
        "batch": None,
        "metrics": {"val_loss": 0.25},
        "monitor": None,
        "mode": None,
        "modes": {},
        "payload_format": "keras",
        "size_bytes": 7,
        "metadata": {},
        "trigger": ["EveryEpochs()"],
        "files": {"model.keras": {"size": 7, "sha256": SHA}},
        "software": {"python": "3.13.0"},
    }


def test_keys_of_a_later_release_are_kept():
    """A reader ignores what it does not know, and writes it back."""
    read = decode(text_with("colour", value={"r": 1}))
    assert read.extra == {"colour": {"r": 1}}
    assert json.loads(encode(read))["colour"] == {"r": 1}


def test_a_newer_format_is_refused_with_advice():
    """The message says to upgrade; the version is not called damaged."""
    with pytest.raises(StoreError, match=r"format 2.*up to 1.*pip install --upgrade"):
        decode(text_with("format", value=2))


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (["format"], GONE, "'format' is not a positive integer"),
        (["format"], 0, "'format' is not a positive integer"),
        (["format"], True, "'format' is not a positive integer"),
        (["format"], "1", "'format' is not a positive integer"),
        (["store_id"], GONE, "'store_id' is not a string"),
        (["store_id"], "", "'store_id' is not a string"),
        (["number"], GONE, "'number' is missing"),
        (["number"], 0, "'number' is wrong: it is not 1 or more"),
        (["number"], True, "'number' is wrong: it is not an integer"),
        (["number"], 1.0, "'number' is wrong: it is not an integer"),
        (["parent"], 0, "'parent' is wrong: it is not 1 or more"),
        (["epoch"], -1, r"'epoch' is wrong: it is not in 0..2\*\*53"),
        (["step"], "7", "'step' is wrong: it is not an integer"),
        (["name"], "../x", "'name' is wrong: a name must begin"),
        (["name"], None, "'name' is wrong: a name must be a string"),
        (["created"], "2026-11-20", "'created' is wrong: an instant is not"),
        (["created"], "2026-11-31T12:00:00.000000Z", "'created' is wrong"),
        (["created"], 5, "'created' is wrong: an instant is not"),
        (["run_id"], "", "'run_id' is wrong: it is not a string, or an empty one"),
        (["run_id"], "x" * 1025, "'run_id' is wrong: it is longer than 1024"),
        (["monitor"], 3, "'monitor' is wrong: it is not a string"),
        (["modes"], {"loss": "auto"}, "'modes' is wrong: it is not one of min, max"),
        (["modes"], [], "'modes' is wrong: it is not an object"),
        (["mode"], "auto", "'mode' is wrong: it is not one of min, max"),
        (["mode"], ["min"], "'mode' is wrong: it is not one of min, max"),
        (["metrics"], [], "'metrics' is wrong: it is not an object"),
        (["metrics"], {"": 1.0}, "'metrics' is wrong: it is not a string"),
        (["metrics"], {"a": "NaN"}, "'metrics' is wrong: a metric is neither"),
        (["metrics"], {"a": True}, "'metrics' is wrong: a metric is neither"),
        (["metrics"], {"a": None}, "'metrics' is wrong: a metric is neither"),
        (["payload_format"], "pickle", "is not one of keras, weights, saved_model"),
        (["metadata"], None, "'metadata' is wrong: it is not an object"),
        (["size_bytes"], 8, "'size_bytes' is not the sum"),
        (["trigger"], None, "'trigger' is not a list of strings"),
        (["trigger"], [1], "'trigger' is not a list of strings"),
        (["software"], [], "'software' is not an object of strings"),
        (["software"], {"python": 3}, "'software' is not an object of strings"),
        (["files"], [], "'files' is not an object"),
        (["files", "model.keras"], [7, SHA], "a file has no sha256"),
        (["files", "model.keras", "sha256"], GONE, "a file has no sha256"),
        (["files", "model.keras", "sha256"], SHA.upper(), "a file has no sha256"),
        (["files", "model.keras", "sha256"], SHA + "\n", "a file has no sha256"),
        (["files", "model.keras", "size"], GONE, "it is not an integer"),
        (["files", "model.keras", "size"], -7, r"it is not in 0..2\*\*53"),
        (["files", "Model.Keras"], {"size": 0, "sha256": SHA}, "two files have"),
        (["files", "/etc/passwd"], {"size": 0, "sha256": SHA}, "a file's path"),
    ],
)
def test_a_document_that_breaks_the_specification_is_refused(path, value, why):
    """The message names the field and what is wrong with it."""
    with pytest.raises(CorruptVersionError, match=f"not a manifest: .*{why}"):
        decode(text_with(*path, value=value))


@pytest.mark.parametrize("data", [b"", b"[]", b"\x00\x01", b'{"format": 1'])
def test_what_is_no_json_object_is_refused(data):
    """Torn and foreign files are damaged manifests, not crashes."""
    with pytest.raises(CorruptVersionError, match="not a manifest"):
        decode(data)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_flipped_byte_never_gives_anything_but_a_manifest_or_an_error(where, byte):
    """No damage of one byte reaches the caller as another exception."""
    data = bytearray(encode(manifest()))
    data[where % len(data)] = byte
    with contextlib.suppress(CorruptVersionError, StoreError):
        assert isinstance(decode(bytes(data)), Manifest)


def test_a_truncated_manifest_is_always_refused():
    """However many bytes of it are left."""
    data = encode(manifest()).rstrip()
    for length in range(len(data)):
        with pytest.raises(CorruptVersionError):
            decode(data[:length])


@pytest.mark.parametrize(
    "path",
    ["model.keras", "saved_model/variables/variables.index", "a b", "ä", "x" * 255],
)
def test_a_relative_path_may_be_listed(path):
    """Anything that stays inside the version's directory."""
    assert check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        *("", "/a", "a//b", "a/", ".", "..", "../a", "a/../b", "a/./b", "./a"),
        *("a\\b", "a\0b", "a\nb", "a\x7fb", "x" * 256, "a/" + "x" * 256),
        *(
            "C:/x",
            "a:b",
            "a.",
            "a ",
            "a./b",
            "con",
            "a/NUL.txt",
            "a\u202eb",
            "a\u2028b",
        ),
        *("/".join("x" * 33), "/".join(["x" * 99] * 11)),
        *("manifest.json", "Manifest.JSON", 3, None),
    ],
)
def test_a_path_that_could_leave_the_directory_is_refused(path):
    """Nor may the manifest list itself."""
    with pytest.raises(ValueError, match=r"path|itself"):
        check_path(path)


def test_a_manifest_has_a_size_limit():
    """The docstring of the module and the constant agree."""
    assert manifests.MAX_BYTES == 4 * 2**20
    assert "at most\n  4 MiB" in str(manifests.__doc__)
