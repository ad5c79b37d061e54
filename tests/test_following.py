"""The ledger, read as it grows."""

import os
import zlib

import pytest

from keras_versioned_ckpt import _following, ledger
from keras_versioned_ckpt._following import Following, NotALedgerError
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt.errors import UnsafeVersionError
from tests.factories import START, versions

ONE, TWO, THREE = (ledger.Committed(version) for version in versions(count=3))


@pytest.fixture
def layout(directory):
    """The paths of a store that has nothing but a place for its ledger."""
    layout = Layout(directory)
    layout.room.mkdir(parents=True)
    return layout


def write(layout, *events, mode="ab"):
    """Appends events to the ledger, or begins it anew with them."""
    with open(layout.ledger, mode) as file:
        file.write(b"".join(map(ledger.encode, events)))


def test_what_was_appended_is_taken_in(layout):
    """And nothing that was read before is read again."""
    following = Following(layout)
    assert not following.read()
    write(layout, ONE, TWO)
    assert following.read()
    assert not following.read()
    assert following.touched == {"version_1", "version_2"}
    following.touched.clear()
    write(layout, ledger.Removed(1, START, "removed: old"), THREE)
    assert following.read()
    assert sorted(following.committed) == [1, 2, 3]
    assert sorted(following.live) == ["version_2", "version_3"]
    assert following.removed[1].reason == "removed: old"
    assert following.touched == {"version_1", "version_3"}
    assert following.live["version_3"].path == layout.root / "version_3"


def test_the_highest_number_is_that_of_a_removal_too(layout):
    """The line about its commit may have been lost."""
    following = Following(layout)
    write(layout, ONE, ledger.Removed(7, START, "removed: old"))
    following.read()
    assert following.last_number == 7


def test_a_line_in_the_writing_is_left_for_later(layout):
    """It is no damage before it has its end."""
    following = Following(layout)
    line = ledger.encode(ONE)
    layout.ledger.write_bytes(line[:40])
    assert not following.read()
    write(layout, mode="wb")
    write(layout, ONE)
    assert following.read()
    assert (sorted(following.live), following.damaged_lines) == (["version_1"], 0)


def test_a_damaged_line_is_counted(layout):
    """Those around it count as they are."""
    following = Following(layout)
    write(layout, ONE)
    with open(layout.ledger, "ab") as file:
        file.write(b'{"event":"comm\n\n')
    write(layout, TWO)
    assert following.read()
    assert (sorted(following.committed), following.damaged_lines) == ([1, 2], 2)


@pytest.mark.parametrize("how", ["replaced", "cut", "gone"])
def test_a_ledger_that_is_another_one_is_read_from_its_beginning(layout, how):
    """Whatever was said of before is to be looked at again."""
    following = Following(layout)
    write(layout, ONE, TWO, ledger.TagMoved("prod", 1, START))
    following.read()
    following.touched.clear()
    if how == "cut":
        write(layout, THREE, mode="wb")
    elif how == "replaced":
        layout.ledger.rename(layout.room / "old")
        write(layout, THREE, ONE, TWO, ledger.Removed(1, START, "removed: old"))
        following.read()
        write(layout, ledger.Removed(2, START, "removed: old"))
    else:
        layout.ledger.unlink()
    assert following.read() is (how != "gone")
    assert sorted(following.live) == ([] if how == "gone" else ["version_3"])
    assert following.tagged == {}
    assert following.touched >= {"version_1", "version_2"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (bytes(ledger.MAX_LINE_BYTES + 1), "a line is longer than"),
        (b"x\n" * 20_000, "lines cannot be read"),
        (b"\n" * 20_000 + bytes(9), "lines cannot be read"),
    ],
)
def test_what_can_be_no_ledger_is_refused(layout, data, why):
    """As often as it is asked for, until another one is there."""
    layout.ledger.write_bytes(data)
    following = Following(layout)
    for _ in range(3):
        with pytest.raises(NotALedgerError, match=f"{why}.*repair"):
            following.read()
    layout.ledger.unlink()
    write(layout, ONE)
    assert following.read()
    assert sorted(following.committed) == [1]


def test_a_ledger_that_would_not_fit_into_memory_is_refused_by_its_length(layout):
    """Nothing of it is read."""
    layout.ledger.touch()
    os.truncate(layout.ledger, ledger.MAX_BYTES + 1)
    with pytest.raises(NotALedgerError, match="bytes long"):
        Following(layout).read()


def test_lines_are_read_across_the_pieces(layout, monkeypatch):
    """Wherever one piece ends."""
    monkeypatch.setattr(_following, "_CHUNK", 100)
    write(layout, ONE, TWO, ledger.TagMoved("prod", 1, START), THREE)
    following = Following(layout)
    assert following.read()
    assert sorted(following.live) == ["version_1", "version_2", "version_3"]
    assert following.offset == layout.ledger.stat().st_size
    assert following.crc32 == zlib.crc32(layout.ledger.read_bytes())


def test_only_a_file_is_a_ledger(layout):
    """A link is not followed, nor is a pipe waited for."""
    layout.ledger.symlink_to("elsewhere")
    with pytest.raises(UnsafeVersionError, match="not a regular file"):
        Following(layout).read()
    layout.ledger.unlink()
    os.mkfifo(layout.ledger)
    with pytest.raises(UnsafeVersionError, match="not a regular file"):
        Following(layout).read()
