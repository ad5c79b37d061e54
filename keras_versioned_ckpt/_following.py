"""What the ledger of a store says, kept up to date by reading only what is new."""

import dataclasses
import os
import zlib

from keras_versioned_ckpt import _atomic, ledger
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt.errors import StoreError, UnsafeVersionError
from keras_versioned_ckpt.records import Version

_CHUNK = 1024 * 1024
# A crash tears a line and a failing disk some more. A file in which more lines than
# these, and more than half of all, are none was never written as a ledger.
_MOST_DAMAGED = 10_000


class NotALedgerError(StoreError):
    """What stands in the place of the ledger cannot be one, whatever became of it."""


class Following:
    """The ledger of one store, as far as it was read.

    Args:
        layout: The store's paths.

    Attributes:
        committed: Every version that a line speaks of, by number.
        manifest_crc32s: The checksums of their manifests, by number, where known.
        removed: What the lines say of removals, by number.
        live: The version that stands under each name, if its directory is there.
        tagged: The number that each tag is on.
        last_number: The highest number that a line speaks of.
        damaged_lines: How many lines could not be read.
        lines: How many lines were read.
        offset: How many bytes these are.
        crc32: Their checksum.
        indexed: How many lines the index was about that was last made of them.
        places: Where the line about each version in `live` begins, by name.
        touched: Names of which lines were read; whoever has seen to them takes
            them out.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.live: dict[str, Version] = {}
        self.touched: set[str] = set()
        self._forget()

    def _forget(self) -> None:
        self._inode = -1
        self.offset = 0
        self.crc32 = 0
        self.lines = 0
        self.indexed = 0
        self.touched |= self.live.keys()
        self.committed: dict[int, Version] = {}
        self.manifest_crc32s: dict[int, int] = {}
        self.removed: dict[int, ledger.Removed] = {}
        self.live = {}
        self.places: dict[str, int] = {}
        self.tagged: dict[str, int] = {}
        self.last_number = 0
        self.damaged_lines = 0

    def read(self) -> bool:
        """Takes in what was appended since the last time.

        Returns:
            Whether there was anything.

        Raises:
            UnsafeVersionError: If the ledger is a link or anything but a file.
            NotALedgerError: If its length, or that of a line, is absurd, or if
                thousands of its lines are none.
        """
        read = False
        try:
            with _atomic.open_regular(self._layout.ledger) as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self.offset:
                    self._forget()
                    self._inode = status.st_ino
                if status.st_size > ledger.MAX_BYTES:
                    raise self._no_ledger(f"it is {status.st_size} bytes long")
                file.seek(self.offset)
                left, rest = status.st_size - self.offset, b""
                # In pieces, for a ledger may be longer than memory is free.
                while data := file.read(min(left, _CHUNK)):
                    left -= len(data)
                    data = rest + data
                    # What follows the last newline may still be in the writing.
                    end = data.rfind(b"\n") + 1
                    self._take_in(data[:end])
                    read = read or end > 0
                    rest = data[end:]
                    if len(rest) > ledger.MAX_LINE_BYTES:
                        raise self._no_ledger(
                            f"a line is longer than {ledger.MAX_LINE_BYTES} bytes"
                        )
        except FileNotFoundError:
            self._forget()
            return False
        except _atomic.NotRegularError as error:
            raise UnsafeVersionError(
                f"{self._layout.ledger} is not a regular file"
            ) from error
        return read

    def _no_ledger(self, why: str) -> NotALedgerError:
        return NotALedgerError(
            f"{self._layout.ledger} is not a ledger: {why}. `CheckpointStore.repair()` "
            "moves it out of the way and writes a new one from the manifests."
        )

    def _take_in(self, data: bytes) -> None:
        """Takes in whole lines."""
        for line in data.splitlines(keepends=True):
            if self.damaged_lines > max(_MOST_DAMAGED, self.lines // 2):
                raise self._no_ledger(f"{self.damaged_lines} lines cannot be read")
            try:
                self._apply(ledger.decode(line), self.offset)
            except ValueError:
                # A line torn by a crash. The manifest still has the facts; the
                # count is what `verify` reports.
                self.damaged_lines += 1
            self.lines += 1
            self.offset += len(line)
            self.crc32 = zlib.crc32(line, self.crc32)

    def _apply(self, event: ledger.Event, place: int) -> None:
        if isinstance(event, ledger.Committed):
            path = self._layout.root / event.version.name
            version = dataclasses.replace(event.version, path=path)
            self.committed[version.number] = version
            self.manifest_crc32s.pop(version.number, None)
            if event.manifest_crc32 is not None:
                self.manifest_crc32s[version.number] = event.manifest_crc32
            self.removed.pop(version.number, None)
            self.live[version.name] = version
            self.places[version.name] = place
            self.touched.add(version.name)
            self.last_number = max(self.last_number, version.number)
        elif isinstance(event, ledger.Removed):
            self.removed[event.number] = event
            self.last_number = max(self.last_number, event.number)
            gone = self.committed.get(event.number)
            if gone and self.live.get(gone.name, gone).number == event.number:
                self.live.pop(gone.name, None)
                self.places.pop(gone.name, None)
                self.touched.add(gone.name)
        elif event.number is None:
            self.tagged.pop(event.tag, None)
        else:
            self.tagged[event.tag] = event.number
