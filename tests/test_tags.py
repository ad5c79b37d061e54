"""Which tag is on which number, and the versions with their tags."""

import pytest

from keras_versioned_ckpt import _tags
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt.errors import UnsafeVersionError
from tests.factories import versions


@pytest.fixture
def layout(directory):
    """The paths of a store that has nothing but a place for its tags."""
    layout = Layout(directory)
    layout.tags.mkdir(parents=True)
    return layout


def test_a_tag_reads_back_the_same(layout):
    """What cannot be read is told, and what is no tag is passed over."""
    (layout.tags / "prod").write_bytes(_tags.record(3))
    (layout.tags / "torn").write_bytes(b"{")
    (layout.tags / ".prod.new").write_bytes(b"")
    assert _tags.read(layout) == {"prod": 3, "torn": None}


def test_a_store_without_a_place_for_tags_has_none(layout):
    """As a copy may be."""
    layout.tags.rmdir()
    assert _tags.read(layout) == {}


def test_a_tag_that_is_a_link_is_refused(layout):
    """Nothing behind it is read."""
    (layout.tags / "prod").symlink_to("elsewhere")
    with pytest.raises(UnsafeVersionError, match="'prod' is not a regular file"):
        _tags.read(layout)


def test_tags_are_put_on_the_versions_with_their_numbers():
    """All of one version, and none on a version that is not there."""
    three = tuple(versions(count=3))
    tagged = _tags.put_on(three, {"b": 2, "a": 2, "gone": 7})
    assert [version.tags for version in tagged] == [(), ("a", "b"), ()]
    assert _tags.put_on(three, {}) == three
