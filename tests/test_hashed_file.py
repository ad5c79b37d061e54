"""A file that is written, hashed and flushed at the same time."""

import errno
import hashlib
import os
import resource
import threading
from pathlib import Path
from typing import Any

import pytest

from keras_versioned_ckpt import _hashed_file
from keras_versioned_ckpt._hashed_file import HashedFile
from tests.stores import run

PIECES = [bytes([n]) * 700_001 for n in range(60)]
CONTENT = b"".join(PIECES)
# What it is told decides whether it works by threads.
EXPECTED = [0, len(CONTENT)]


def write(file: HashedFile, pieces: list[bytes]) -> tuple[int, str]:
    """Writes a file from its beginning to its end."""
    for piece in pieces:
        assert file.write(piece) == len(piece)
    return file.finish()


@pytest.mark.parametrize("expected", EXPECTED)
def test_content_size_and_hash(tmp_path: Path, expected: int) -> None:
    """Pieces arrive in order, once, and are what is hashed."""
    with HashedFile(tmp_path / "file", expected) as file:
        size, sha256 = write(file, PIECES)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert (size, sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.mark.parametrize("expected", EXPECTED)
def test_threads_end_with_the_file(tmp_path: Path, expected: int) -> None:
    """Whether or not it was finished."""
    before = threading.active_count()
    with HashedFile(tmp_path / "finished", expected) as file:
        file.write(CONTENT)
        file.finish()
    with HashedFile(tmp_path / "left", expected) as file:
        file.write(CONTENT)
    assert threading.active_count() == before
    assert file.closed


@pytest.mark.parametrize("expected", EXPECTED)
def test_it_takes_nobodys_place(tmp_path: Path, expected: int) -> None:
    """A file or a link that is there already is left as it is."""
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            HashedFile(tmp_path / name, expected)
    assert (tmp_path / "file").read_bytes() == b"precious"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("expected", EXPECTED)
def test_a_disk_that_takes_no_more(tmp_path: Path, expected: int) -> None:
    """The writing raises, at the latest at the end, and what comes later is dropped."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with HashedFile(tmp_path / "file", expected) as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large") as caught:
                write(file, PIECES)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert (tmp_path / "file").stat().st_size == 1_000_000


def test_a_failed_flush_is_a_failed_file(tmp_path: Path) -> None:
    """No later flush is asked: its success would mean nothing."""
    flushed = []
    with pytest.MonkeyPatch.context() as patch:

        def fails(fd: int) -> None:
            flushed.append(fd)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        patch.setattr(_hashed_file, "_flush_data", fails)
        patch.setattr(os, "fsync", fails)
        with (
            HashedFile(tmp_path / "file", len(CONTENT)) as file,
            pytest.raises(OSError, match="Input/output error"),
        ):
            write(file, 3 * PIECES)
    assert len(flushed) == 1


def test_the_first_flush_begins_before_the_last_byte(tmp_path: Path) -> None:
    """The disk works while there is still something to write."""
    flushed = threading.Event()
    with pytest.MonkeyPatch.context() as patch:

        def spy(fd: int) -> None:
            os.fsync(fd)
            flushed.set()

        patch.setattr(_hashed_file, "_flush_data", spy)
        with HashedFile(tmp_path / "file", len(CONTENT)) as file:
            for piece in PIECES[:-1]:
                file.write(piece)
            assert flushed.wait(60), "nothing is flushed until the end"
            file.write(PIECES[-1])
            file.finish()
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_arrays_are_taken_as_they_lie(tmp_path: Path) -> None:
    """Anything with a buffer is written, whatever its items are."""
    import array

    numbers: Any = array.array("d", [1.5, 2.5])
    with HashedFile(tmp_path / "file", 0) as file:
        assert file.write(numbers) == 16
        file.finish()
    assert (tmp_path / "file").read_bytes() == numbers.tobytes()


def test_at_exit_a_file_in_the_making_is_completed(tmp_path: Path) -> None:
    """Threads can still be started when the interpreter waits for others to end."""
    script = """
import sys, threading, time
from pathlib import Path
from keras_versioned_ckpt._hashed_file import HashedFile
def write():
    time.sleep(0.5)
    with HashedFile(Path(sys.argv[1]), 10_000_000) as file:
        file.write(bytes(10_000_000))
        print(file.finish()[0])
threading.Thread(target=write).start()
"""
    done = run(script, tmp_path / "file")
    assert (done.returncode, done.stdout) == (0, "10000000\n"), done.stderr
