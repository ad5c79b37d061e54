"""Disks that lose power: file systems in loop-mounted images, for root.

When the power is off, nothing more reaches the disk, and what was not flushed is gone;
when it is on again, the file system has been mounted anew and has replayed its journal.
"""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from faults.outcome import Skipped

#: The file systems, each with its maker and the smallest image that suits it.
KINDS = {
    "ext4": (("mkfs.ext4", "-q", "-F"), 64 * 1024**2),
    "xfs": (("mkfs.xfs", "-q", "-f"), 300 * 1024**2),
}
# How often to try to unmount a disk that is busy, 0.1 s apart.
_PATIENCE = 50
# The same number on ext4 and XFS; the flag says that not even the log is written.
_SHUTDOWN, _NO_LOG_FLUSH = 0x8004587D, struct.pack("I", 2)


class Disk:
    """One file system, of which a filled image is kept to begin from again and again.

    Args:
        kind: One of `KINDS`.
        place: An empty directory for the images and the mount point.

    Attributes:
        path: Where it is mounted.
    """

    def __init__(self, kind: str, place: Path) -> None:
        self.path = place / "disk"
        self._filled = place / "filled.img"
        self._image = place / "disk.img"
        self.path.mkdir()
        command, size = KINDS[kind]
        if os.geteuid() != 0:
            raise Skipped("only root mounts a disk that loses power")
        if shutil.which(command[0]) is None:
            raise Skipped(f"{command[0]} is missing")
        with self._filled.open("wb") as file:
            file.truncate(size)
        _run(*command, str(self._filled))
        try:
            with self.filling():
                pass
        except subprocess.CalledProcessError as error:
            raise Skipped(f"{kind} cannot be mounted here: {error.stderr}") from error

    @contextlib.contextmanager
    def filling(self) -> Iterator[Path]:
        """Mounts the image that `fresh` begins from, to put something on it."""
        with self._mounted(self._filled):
            yield self.path
        # A copy of an image without holes would take much longer.
        _run("fallocate", "--dig-holes", str(self._filled))

    @contextlib.contextmanager
    def fresh(self) -> Iterator[Path]:
        """Mounts a new copy of the filled image, and unmounts it at the end."""
        _run("cp", "--sparse=always", str(self._filled), str(self._image))
        with self._mounted(self._image):
            yield self.path

    def power_off(self) -> None:
        """Lets every later call on the disk fail, and forgets what is not on it."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, _SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(directory)

    def power_on(self) -> None:
        """Mounts the disk again; no process may have a file open on it any more."""
        self._unmount()
        self._mount(self._image)

    @contextlib.contextmanager
    def _mounted(self, image: Path) -> Iterator[None]:
        try:
            self._mount(image)
            yield
        finally:
            if self._is_mounted():
                try:
                    self._unmount()
                except BaseException:
                    # Whatever holds it: nothing may stay mounted behind a fault.
                    _run("umount", "--lazy", str(self.path))
                    raise

    def _unmount(self) -> None:
        for _ in range(_PATIENCE):
            # Whoever lists all mounts of the machine holds one for a moment.
            with contextlib.suppress(subprocess.CalledProcessError):
                _run("umount", str(self.path))
                return
            time.sleep(0.1)
        _run("umount", str(self.path))

    def _is_mounted(self) -> bool:
        # Not by asking the directory: one whose power is off says that it is none.
        mounts = Path("/proc/self/mounts").read_text().splitlines()
        return str(self.path) in [line.split()[1] for line in mounts]

    def _mount(self, image: Path) -> None:
        _run("mount", "-o", "loop", str(image), str(self.path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
