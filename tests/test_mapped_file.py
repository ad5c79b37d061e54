"""A file as bytes in memory, without a copy."""

import errno
import io
import mmap
import os
from pathlib import Path
from typing import Any

import pytest

from keras_versioned_ckpt import _atomic, _mapped_file
from keras_versioned_ckpt._mapped_file import ViewFile, mapped, pieces

CONTENT = bytes(range(256)) * 200_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of several pieces."""
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


def test_it_is_the_content(path: Path) -> None:
    """Whole, and piece by piece."""
    view = mapped(path)
    assert view == CONTENT
    assert len(list(pieces(view))) > 1
    assert b"".join(pieces(view)) == CONTENT


def test_an_empty_file(tmp_path: Path) -> None:
    """Has no bytes, which systems do not map."""
    (tmp_path / "empty").touch()
    assert mapped(tmp_path / "empty") == b""


def test_what_was_mapped_stays(path: Path) -> None:
    """Another file in its place, or none, does not change what was opened."""
    view = mapped(path)
    path.unlink()
    path.write_bytes(b"another")
    assert view == CONTENT


def test_writing_into_the_memory_does_not_reach_the_file(path: Path) -> None:
    """A layer may change in place what it is given."""
    view = mapped(path)
    view[0] = 99
    assert view[0] == 99
    assert path.read_bytes() == CONTENT


def test_only_regular_files(tmp_path: Path, path: Path) -> None:
    """A link, a pipe or a directory is refused and never waited for."""
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    for name in ("link", "pipe", "directory"):
        with pytest.raises(_atomic.NotRegularError):
            mapped(tmp_path / name)


@pytest.mark.parametrize(
    ("code", "is_error"),
    [(errno.EFAULT, True), (errno.EIO, True), (errno.EINVAL, False)],
)
def test_a_disk_that_fails(path: Path, code: int, is_error: bool) -> None:
    """It is an error, and no signal that kills; not knowing the advice is none."""

    class Failing(mmap.mmap):
        def madvise(self, *ignored: Any) -> None:
            raise OSError(code, os.strerror(code))

    with path.open("rb") as file:
        view = memoryview(Failing(file.fileno(), 0, access=mmap.ACCESS_COPY))
    if is_error:
        with pytest.raises(OSError, match="Input/output error"):
            list(pieces(view))
    else:
        assert b"".join(pieces(view)) == CONTENT


def test_a_file_cut_short_after_it_was_mapped(path: Path) -> None:
    """Reading it piece by piece is an error; without, it would end the process."""
    view = mapped(path)
    os.truncate(path, 20_000_000)
    with pytest.raises(OSError, match="Input/output error"):
        list(pieces(view))


def test_a_view_as_a_file() -> None:
    """Reading, seeking and the end are those of any file."""
    file, model = ViewFile(memoryview(CONTENT)), io.BytesIO(CONTENT)
    moves = [(5, 0), (10, 1), (-3, 1), (-7, 2), (len(CONTENT) + 9, 0), (0, 0)]
    for offset, whence in moves:
        assert file.seek(offset, whence) == model.seek(offset, whence)
        assert file.read(4) == model.read(4)
        assert file.tell() == model.tell()
    assert file.readable()
    assert file.seekable()
    assert not file.writable()
    assert file.read() == CONTENT[4:]


def test_the_advice_is_one_that_this_linux_knows() -> None:
    """Where it is not known, a failing disk kills instead of raising."""
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release < (5, 14):
        pytest.skip("NOT TESTED: this Linux is older than the advice")
    mapping = mmap.mmap(-1, mmap.PAGESIZE)
    mapping.madvise(_mapped_file._POPULATE_READ, 0, mmap.PAGESIZE)
