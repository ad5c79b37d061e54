"""A directory held open is itself, whatever stands where it was."""

import os
from pathlib import Path

import pytest

from keras_versioned_ckpt import _atomic, _directory
from keras_versioned_ckpt._directory import HeldDirectory, hold


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A directory of ours and one of somebody else, with the same names in them."""
    for name in ("ours", "theirs"):
        (tmp_path / name / "empty").mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    return tmp_path / "ours", tmp_path / "theirs"


@pytest.fixture(params=["held", "by path"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the calls that Windows lacks, and without."""
    if request.param == "by path":
        monkeypatch.setattr(_directory, "_CAN_HOLD", False)


def everything(held: HeldDirectory) -> None:
    """Does all that can be done, with what is there."""
    assert sorted(held.names()) == ["empty", "file"]
    assert held.has("file")
    assert not held.has("nothing")
    assert held.read("file", 4) == b"ours"
    with held.inside("empty") as empty:
        assert empty.names() == []
    held.unlink("file")
    held.rmdir("empty")
    assert held.names() == []


@pytest.mark.usefixtures("both_ways")
def test_what_is_done_is_done_there(places: tuple[Path, Path]) -> None:
    """Names are looked up in the directory, and changes are made in it."""
    ours, theirs = places
    with hold(ours) as held:
        everything(held)
    assert os.listdir(ours) == []
    assert len(os.listdir(theirs)) == 2


@pytest.mark.skipif(
    not _directory._CAN_HOLD, reason="This system cannot hold a directory open."
)
def test_a_link_that_is_put_in_its_place_changes_nothing(
    places: tuple[Path, Path],
) -> None:
    """What is behind it is not touched."""
    ours, theirs = places
    with hold(ours.parent) as above, above.inside("ours") as held:
        ours.rename(ours.parent / "moved")
        ours.symlink_to(theirs)
        everything(held)
    assert os.listdir(ours.parent / "moved") == []
    assert (theirs / "file").read_text() == "theirs"
    assert (theirs / "empty").is_dir()


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("make", [Path.touch, os.mkfifo, "link"])
def test_only_a_directory_is_held(places: tuple[Path, Path], make: object) -> None:
    """Neither a link to one, nor anything else; and nobody waits for a pipe."""
    ours, theirs = places
    path = ours / "planted"
    if callable(make):
        make(path)
    else:
        path.symlink_to(theirs)
    with hold(ours) as held, pytest.raises(NotADirectoryError), held.inside("planted"):
        pass


@pytest.mark.usefixtures("both_ways")
def test_what_is_not_there_is_not_found(places: tuple[Path, Path]) -> None:
    """As the system says it."""
    with hold(places[0]) as held:
        for act in (held.unlink, held.rmdir, lambda name: held.read(name, 1)):
            with pytest.raises(FileNotFoundError):
                act("nothing")
        with pytest.raises(FileNotFoundError), held.inside("nothing"):
            pass


@pytest.mark.usefixtures("both_ways")
def test_no_link_is_read_through(places: tuple[Path, Path]) -> None:
    """A link to a file is no file."""
    ours, theirs = places
    (ours / "planted").symlink_to(theirs / "file")
    with hold(ours) as held, pytest.raises(_atomic.NotRegularError, match="planted"):
        held.read("planted", 10)
