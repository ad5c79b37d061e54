"""The index: what `latest` and `best` need of a long ledger, without reading its lines.

It is about the first bytes of a ledger, whose number and CRC-32 it gives, and says
what reading each of their lines has told. Where these bytes are others, it is about
another ledger and of no use; nothing is lost with it.

The file is `.versions/ledger.index`, four lines of UTF-8:

* a JSON object: `format`, and `crc32` of the lines below;
* a JSON object: `ledger_bytes`, `ledger_crc32`, `last_number`, `monitored` (whether
  any version names a monitor), `newest` and `rankings`;
* the numbers of all versions that are there by the ledger, as a JSON list, in order;
* their names in the same order, with `/` between them.

`newest` are the places of the newest versions, by number, and `rankings` are lists of a
monitor, a mode, and the places of the best versions by these, the best first. A place
is where in the ledger the line about a version begins.
"""

import dataclasses
import json
import zlib
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from keras_versioned_ckpt import _strict_json, _wire
from keras_versioned_ckpt._ranking import best_first, recorded_mode
from keras_versioned_ckpt.records import Version

FORMAT = 1
_CHUNK = 1024 * 1024
#: More than that of a million versions.
MAX_BYTES = 32 * 1024 * 1024
# No line about a version is shorter.
_LEAST_LINE_BYTES = 256

#: How many of the newest and of the best are noted: if as many were removed without a
#: new index, or by hand, all lines are read.
NOTED = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class Index:
    """What the first bytes of a ledger say.

    Args:
        ledger_bytes: How many bytes of the ledger it is about.
        ledger_crc32: Their checksum.
        last_number: The highest number that a line speaks of.
        numbers: The numbers of the versions that are there by the ledger, in order.
        names: Their names in the same order.
        monitored: Whether any of them names a monitor.
        newest: The places of the newest of them, by number.
        rankings: By monitor and mode, the places of the best of them.
    """

    ledger_bytes: int
    ledger_crc32: int
    last_number: int
    numbers: list[int]
    names: list[str]
    monitored: bool
    newest: list[int]
    rankings: Mapping[tuple[str, str], list[int]]

    def is_about(self, ledger: BinaryIO) -> bool:
        """Returns whether a ledger, of which nothing is read yet, begins as it must."""
        left, crc32 = self.ledger_bytes, 0
        while left and (piece := ledger.read(min(left, _CHUNK))):
            left -= len(piece)
            crc32 = zlib.crc32(piece, crc32)
        return left == 0 and crc32 == self.ledger_crc32


def made(
    live: Iterable[Version],
    places: Mapping[str, int],
    *,
    last_number: int,
    ledger_bytes: int,
    ledger_crc32: int,
) -> Index | None:
    """Makes the index of a ledger.

    Args:
        live: The versions that are there by the ledger.
        places: Where the line about each begins, by name.
        last_number: The highest number that a line speaks of.
        ledger_bytes: The length of the ledger.
        ledger_crc32: Its checksum.

    Returns:
        The index, or `None` where two names have the same number, as no store that
        was left alone has it.
    """
    ordered = sorted(live, key=lambda version: version.number)
    numbers = [version.number for version in ordered]
    if len(set(numbers)) != len(numbers):
        return None
    monitors = sorted({version.monitor for version in ordered if version.monitor})
    rankings = {}
    for monitor in monitors or ["val_loss"]:
        try:
            mode = recorded_mode(reversed(ordered), monitor)
        except ValueError:
            continue  # nobody can ask for the best by this without saying more
        best = best_first(ordered, monitor, mode)[:NOTED]
        rankings[monitor, mode] = [places[version.name] for version in best]
    return Index(
        ledger_bytes=ledger_bytes,
        ledger_crc32=ledger_crc32,
        last_number=last_number,
        numbers=numbers,
        names=[version.name for version in ordered],
        monitored=bool(monitors),
        newest=[places[version.name] for version in ordered[-NOTED:]],
        rankings=rankings,
    )


def encode(index: Index) -> bytes:
    """Writes an index as the bytes of its file."""
    head = {
        "ledger_bytes": index.ledger_bytes,
        "ledger_crc32": index.ledger_crc32,
        "last_number": index.last_number,
        "monitored": index.monitored,
        "newest": index.newest,
        "rankings": [[*key, places] for key, places in index.rankings.items()],
    }
    lists = f"{json.dumps(index.numbers)}\n{'/'.join(index.names)}\n".encode()
    below = _strict_json.dumps(head) + lists
    return _strict_json.dumps({"format": FORMAT, "crc32": zlib.crc32(below)}) + below


def decode(data: bytes) -> Index:
    """Reads the bytes of an index's file.

    Raises:
        ValueError: If they are damaged, or of another format.
    """
    first, _, below = data.partition(b"\n")
    written = {"format": FORMAT, "crc32": zlib.crc32(below)}
    if _strict_json.loads(first, MAX_BYTES) != written:
        raise ValueError("it is damaged, or of another format")
    try:
        head, numbers, names, _ = below.split(b"\n")
        fields = _strict_json.loads(head, MAX_BYTES)
        # Before they are made: millions of short ones would eat the memory.
        most = _wire.count(fields["ledger_bytes"]) // _LEAST_LINE_BYTES
        if max(numbers.count(b","), names.count(b"/")) > most:
            raise ValueError("it has more versions than the ledger has room for")
        index = Index(
            ledger_bytes=_wire.count(fields["ledger_bytes"]),
            ledger_crc32=_wire.count(fields["ledger_crc32"]),
            last_number=_wire.count(fields["last_number"]),
            numbers=_integers(json.loads(numbers)),
            names=names.decode().split("/") if names else [],
            monitored=bool(fields["monitored"]),
            newest=_integers(fields["newest"]),
            rankings={
                (monitor, mode): _integers(places)
                for monitor, mode, places in fields["rankings"]
            },
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"its fields are not those of an index: {error}") from error
    if len(index.numbers) != len(index.names):
        raise ValueError("it has not as many numbers as names")
    return index


def _integers(value: object) -> list[int]:
    # Not one by one: there may be thousands.
    if not isinstance(value, list) or not {*map(type, value)} <= {int}:
        raise ValueError("what must be a list of integers is none")
    if value and not 0 <= min(value) <= max(value) <= _strict_json.MAX_INTEGER:
        raise ValueError("an integer is not in 0..2**53")
    return value
