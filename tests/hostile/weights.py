"""HDF5 files that hold something else than numbers, or fewer than they say."""

import struct
import zlib
from typing import Any

import h5py
import numpy as np

from tests.hostile.forging import Honest
from tests.hostile.kinds import damaged, unsafe

HUGE = 2**37


def changed(honest: Honest, change: Any) -> bytes:
    """Returns a file of weights after a change of one group's arrays."""
    file, h5 = honest.edited()
    with h5:
        change(h5["layers/dense/vars"])
    return file.getvalue()


@unsafe
def external_link(honest: Honest) -> bytes:
    """An array that is a link into another file."""

    def change(group: Any) -> None:
        del group["0"]
        group["0"] = h5py.ExternalLink("/etc/passwd", "/")

    return changed(honest, change)


@unsafe
def soft_link(honest: Honest) -> bytes:
    """An array that is a link to another place."""

    def change(group: Any) -> None:
        del group["0"]
        group["0"] = h5py.SoftLink("/optimizer/vars/0")

    return changed(honest, change)


@unsafe
def soft_link_to_itself(honest: Honest) -> bytes:
    """A link that leads to itself."""

    def change(group: Any) -> None:
        del group["0"]
        group["0"] = h5py.SoftLink(f"{group.name}/0")

    return changed(honest, change)


@unsafe
def loop(honest: Honest) -> bytes:
    """A group that holds the group above it."""
    return changed(honest, lambda group: group.__setitem__("up", group.file["layers"]))


@unsafe
def ways_without_number(honest: Honest) -> bytes:
    """Forty groups that each hold the next one twice: a trillion paths."""

    def change(group: Any) -> None:
        for _ in range(40):
            below = group.create_group("a")
            group["b"] = below
            group = below

    return changed(honest, change)


@unsafe
def array_twice(honest: Honest) -> bytes:
    """One array under two names."""
    return changed(honest, lambda group: group.__setitem__("9", group["0"]))


@unsafe
def virtual(honest: Honest) -> bytes:
    """An array that is put together from other files (CVE-2026-1669)."""

    def change(group: Any) -> None:
        layout = h5py.VirtualLayout((4, 3), "float32")
        layout[:] = h5py.VirtualSource("/etc/passwd", "0", (4, 3))
        del group["0"]
        group.create_virtual_dataset("0", layout)

    return changed(honest, change)


@unsafe
def virtual_without_end(honest: Honest) -> bytes:
    """One whose shape lies in other files."""

    def change(group: Any) -> None:
        layout = h5py.VirtualLayout((4, 3), "float32", maxshape=(None, 3))
        source = h5py.VirtualSource("/etc/passwd", "0", (4, 3), maxshape=(None, 3))
        layout[: h5py.h5s.UNLIMITED, :] = source[: h5py.h5s.UNLIMITED, :]
        del group["0"]
        group.create_virtual_dataset("0", layout)

    return changed(honest, change)


@unsafe
def external_storage(honest: Honest) -> bytes:
    """An array whose bytes are those of another file (CVE-2026-1669)."""

    def change(group: Any) -> None:
        del group["0"]
        group.create_dataset(
            "0", (4, 3), "float32", external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
        )

    return changed(honest, change)


@unsafe
def never_written(honest: Honest) -> bytes:
    """An array of half a terabyte without a byte (CVE-2026-0897)."""

    def change(group: Any) -> None:
        del group["0"]
        group.create_dataset("0", (HUGE,), "float32")

    return changed(honest, change)


@unsafe
def never_written_in_pieces(honest: Honest) -> bytes:
    """The same in pieces of which one is there."""

    def change(group: Any) -> None:
        del group["0"]
        made = group.create_dataset("0", (HUGE,), "float32", chunks=(1000,))
        made[:10] = 1

    return changed(honest, change)


@unsafe
def never_written_small(honest: Honest) -> bytes:
    """A small one: what is read is what lay in memory."""

    def change(group: Any) -> None:
        del group["0"]
        group.create_dataset("0", (4, 3), "float32")

    return changed(honest, change)


@unsafe
def bomb_of_zeros(honest: Honest) -> bytes:
    """A hundred million zeros, packed to a ten-thousandth."""

    def change(group: Any) -> None:
        del group["0"]
        # One packed piece, which stands for all of them.
        chunk = 2**18
        made = group.create_dataset(
            "0", (100 * chunk,), "float32", chunks=(chunk,), compression="gzip"
        )
        packed = zlib.compress(bytes(4 * chunk), 9)
        for index in range(100):
            made.id.write_direct_chunk((index * chunk,), packed)

    return changed(honest, change)


@unsafe
def piece_that_unpacks_to_more(honest: Honest) -> bytes:
    """A piece of forty-eight bytes that unpacks to fifty megabytes."""

    def change(group: Any) -> None:
        del group["0"]
        made = group.create_dataset(
            "0", (4, 3), "float32", chunks=(4, 3), compression="gzip"
        )
        packer = zlib.compressobj(9)
        packed = b"".join(packer.compress(bytes(2**24)) for _ in range(3))
        made.id.write_direct_chunk((0, 0), packed + packer.flush())

    return changed(honest, change)


@unsafe
def huge_pieces(honest: Honest) -> bytes:
    """Twelve numbers in a piece that has room for a billion."""

    def change(group: Any) -> None:
        del group["0"]
        group.create_dataset(
            "0", (4, 3), "float32", chunks=(2**14, 2**14), maxshape=(None, None)
        )

    return changed(honest, change)


@unsafe
def packed_by_a_program(honest: Honest) -> bytes:
    """An array that asks for a program that the system would look for and load."""

    def change(group: Any) -> None:
        del group["0"]
        made = group.create_dataset(
            "0", (4, 3), "float32", chunks=(4, 3), compression="lzf"
        )
        made.id.write_direct_chunk((0, 0), bytes(48))

    data = changed(honest, change)
    # The number of the filter, and its name, which is looked for by number only.
    return data.replace(struct.pack("<H", 32000), struct.pack("<H", 32015))


@unsafe
def packed_in_another_way(honest: Honest) -> bytes:
    """A packer that Keras never uses."""

    def change(group: Any) -> None:
        del group["0"]
        group.create_dataset("0", data=np.zeros((64, 64)), compression="lzf")

    return changed(honest, change)


@unsafe
def references(honest: Honest) -> bytes:
    """An array of references to objects."""

    def change(group: Any) -> None:
        del group["0"]
        group.create_dataset("0", data=group.ref, dtype=h5py.ref_dtype)

    return changed(honest, change)


@unsafe
def references_to_regions(honest: Honest) -> bytes:
    """An array of references to parts of arrays."""

    def change(group: Any) -> None:
        region = group["0"].regionref[:2]
        group.create_dataset("8", data=region, dtype=h5py.regionref_dtype)

    return changed(honest, change)


@unsafe
def texts_of_any_length(honest: Honest) -> bytes:
    """A thousand texts, which may all be one long one."""

    def change(group: Any) -> None:
        del group["0"]
        kind = h5py.string_dtype()
        group.create_dataset("0", data=np.array(["x"] * 1000, object), dtype=kind)

    return changed(honest, change)


@unsafe
def arrays_of_any_length(honest: Honest) -> bytes:
    """Arrays in an array."""

    def change(group: Any) -> None:
        del group["0"]
        made = group.create_dataset("0", (2,), h5py.vlen_dtype(np.float32))
        made[0] = np.ones(3, np.float32)

    return changed(honest, change)


@unsafe
def records(honest: Honest) -> bytes:
    """An array of records with names."""

    def change(group: Any) -> None:
        del group["0"]
        group["0"] = np.zeros(3, [("a", "f4"), ("b", "i4"), ("c", "S100")])

    return changed(honest, change)


@unsafe
def named_type(honest: Honest) -> bytes:
    """A type in the place of an array."""

    def change(group: Any) -> None:
        del group["0"]
        group["0"] = np.dtype("f4")

    return changed(honest, change)


@unsafe
def very_deep(honest: Honest) -> bytes:
    """Groups in groups, a thousand times."""
    return changed(honest, lambda group: group.create_group("/".join(1000 * ["a"])))


@unsafe
def many_attributes(honest: Honest) -> bytes:
    """A thousand attributes."""

    def change(group: Any) -> None:
        del group["0"]
        made = group.create_dataset("0", (4, 3), "float32", chunks=(2, 3))
        for index in range(1000):
            made.attrs[f"{index}"] = index

    return changed(honest, change)


@unsafe
def reference_in_an_attribute(honest: Honest) -> bytes:
    """An attribute that refers to an object."""

    def change(group: Any) -> None:
        del group["0"]
        made = group.create_dataset("0", (4, 3), "float32", chunks=(4, 3))
        made[:] = 1
        made.attrs["dtype"] = group.ref

    return changed(honest, change)


@unsafe
def arrays_at_one_place(honest: Honest) -> bytes:
    """A thousand arrays of the same bytes."""

    def change(group: Any) -> None:
        first = group.create_dataset("100", data=np.arange(50_000.0))
        places.append(first.id.get_offset())
        for index in range(101, 1100):
            group.create_dataset(f"{index}", (50_000,), "float64")

    places: list[int] = []
    data = changed(honest, change)
    # Never written, so that each has no place; now they all have that of the first.
    nowhere = struct.pack("<QQ", 2**64 - 1, 400_000)
    return data.replace(nowhere, struct.pack("<QQ", places[0], 400_000))


@damaged
def no_shape(honest: Honest) -> bytes:
    """An array without a shape."""

    def change(group: Any) -> None:
        del group["0"]
        group["0"] = h5py.Empty("f4")

    return changed(honest, change)


@damaged
def no_weights_at_all(honest: Honest) -> bytes:
    """Text in place of an HDF5 file."""
    return b"anything" * 1000


@damaged
def something_before_the_weights(honest: Honest) -> bytes:
    """A block of the user's before the file, which other readers read."""
    return (b"#!/bin/sh\n" + bytes(502)) + honest.weights


@damaged
def weights_cut_short(honest: Honest) -> bytes:
    """A file without its end."""
    return honest.weights[: len(honest.weights) // 2]


@damaged
def nothing_behind_the_signature(honest: Honest) -> bytes:
    """A file that looks like one for eight bytes."""
    return honest.weights[:8] + b"\xff" * 5000


@damaged
def a_group_that_is_none(honest: Honest) -> bytes:
    """A tree of names that is something else."""
    return honest.weights.replace(b"TREE", b"HEAP")
