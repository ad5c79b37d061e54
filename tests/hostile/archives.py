"""Zip files that are not what they look like."""

import io
import json
import struct
import warnings
import zipfile
import zlib
from typing import Any

import h5py

from tests.hostile.forging import Honest, lambda_layer, zipped
from tests.hostile.kinds import damaged, unsafe

END, ENTRY, LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"


def more(honest: Honest, name: str, data: bytes = b"?", **fields: Any) -> bytes:
    """Returns the file with one more member."""
    file = io.BytesIO(honest.payload)
    info = zipfile.ZipInfo(name)
    # `ZipInfo` makes names harmless; what is written is this one.
    info.filename = name
    for field, value in fields.items():
        setattr(info, field, value)
    with zipfile.ZipFile(file, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr(info, data, fields.get("compress_type"))
    return file.getvalue()


def patched(
    payload: bytes, signature: bytes, offset: int, form: str, value: int, nth: int = 0
) -> bytes:
    """Returns the file with another number in its nth header of a kind."""
    data = bytearray(payload)
    place = -1
    for _ in range(nth + 1):
        place = data.index(signature, place + 1)
    struct.pack_into(form, data, place + offset, value)
    return bytes(data)


@unsafe
def traversal(honest: Honest) -> bytes:
    """A member that lies above the directory it is unpacked into."""
    return more(honest, "assets/../../../escaped.txt")


@unsafe
def traversal_at_once(honest: Honest) -> bytes:
    """The same from the root of the file."""
    return more(honest, "../escaped.txt")


@unsafe
def absolute_path(honest: Honest) -> bytes:
    """A member with the full path of the marker."""
    return more(honest, str(honest.marker))


@unsafe
def absolute_path_below_assets(honest: Honest) -> bytes:
    """The same where it would be joined to a directory."""
    return more(honest, f"assets/{honest.marker}")


@unsafe
def backslashes(honest: Honest) -> bytes:
    """A path above the directory, where Windows reads it."""
    return more(honest, "assets\\..\\..\\escaped.txt")


@unsafe
def backslashes_below_assets(honest: Honest) -> bytes:
    """The same below a good directory."""
    return more(honest, "assets/..\\..\\escaped.txt")


@unsafe
def drive_letter(honest: Honest) -> bytes:
    """A path on another drive, where Windows reads it."""
    return more(honest, "assets/C:/escaped.txt")


@unsafe
def nul_in_a_name(honest: Honest) -> bytes:
    """A name that is cut short by readers written in C."""
    payload = more(honest, "assets/x.txtNevil")
    return payload.replace(b"x.txtNevil", b"x.txt\0evil")


@unsafe
def control_characters(honest: Honest) -> bytes:
    """A name that would write to a terminal."""
    return more(honest, "assets/\x1b[2Jx")


@unsafe
def symbolic_link(honest: Honest) -> bytes:
    """A member that is unpacked as a link to outside."""
    target = str(honest.marker.parent).encode()
    return more(honest, "assets/up", target, external_attr=0o120777 << 16)


@unsafe
def device(honest: Honest) -> bytes:
    """A member that is unpacked as a device."""
    return more(honest, "assets/null", b"", external_attr=0o020666 << 16)


@unsafe
def directory_member(honest: Honest) -> bytes:
    """A member that is a directory."""
    return more(honest, "assets/folder/", b"")


@unsafe
def encrypted(honest: Honest) -> bytes:
    """A member that asks for a password."""
    once = patched(honest.payload, LOCAL, 6, "<H", 1)
    return patched(once, ENTRY, 8, "<H", 1)


@unsafe
def bzip2(honest: Honest) -> bytes:
    """Members packed by a packer with a ratio of millions."""
    return zipped(honest.members, zipfile.ZIP_BZIP2)


@unsafe
def lzma(honest: Honest) -> bytes:
    """Members packed by a packer that asks for memory in its header."""
    return zipped(honest.members, zipfile.ZIP_LZMA)


@unsafe
def name_twice(honest: Honest) -> bytes:
    """Two descriptions, of which one is checked and the other one read."""
    return more(honest, "config.json", b"{}")


@unsafe
def name_twice_by_case(honest: Honest) -> bytes:
    """Two files that are one where case does not count."""
    first = more(honest, "assets/vocabulary.txt")
    return more(Honest(first, honest.marker), "assets/Vocabulary.txt")


@unsafe
def file_and_directory(honest: Honest) -> bytes:
    """A file below a file."""
    first = more(honest, "assets/a")
    return more(Honest(first, honest.marker), "assets/a/b")


@unsafe
def something_before(honest: Honest) -> bytes:
    """A program before the first member, which zip readers pass over."""
    return b"#!/bin/sh\ntouch marker\n" + honest.payload


@unsafe
def something_before_and_offsets_to_it(honest: Honest) -> bytes:
    """The same, and every offset speaks of it."""
    file = io.BytesIO(b"#!/bin/sh\ntouch marker\n")
    file.seek(0, io.SEEK_END)
    with zipfile.ZipFile(file, "a") as archive:
        for name, data in honest.members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


@unsafe
def something_behind(honest: Honest) -> bytes:
    """Bytes behind the end."""
    return honest.payload + b"more"


@unsafe
def comment(honest: Honest) -> bytes:
    """A comment, in which another end can stand."""
    file = io.BytesIO(honest.payload)
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"another end"
    return file.getvalue()


@unsafe
def two_files_in_one(honest: Honest) -> bytes:
    """Two whole zip files, of which some readers take the first."""
    return honest.payload + honest.payload


@unsafe
def gap(honest: Honest) -> bytes:
    """Bytes between members and directory that no member accounts for."""
    start = struct.unpack_from("<L", honest.payload, -6)[0]
    data = honest.payload[:start] + b"hidden" + honest.payload[start:]
    return patched(data, END, 16, "<L", start + 6)


@unsafe
def overlap(honest: Honest) -> bytes:
    """A thousand names for the same bytes: a bomb without packing."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in honest.members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
        archive.writestr(zipfile.ZipInfo("assets/0000"), bytes(100_000))
        last = archive.infolist()[-1]
        for index in range(1, 1000):
            copy = zipfile.ZipInfo(f"assets/{index:04}")
            copy.header_offset, copy.CRC = last.header_offset, last.CRC
            copy.file_size = copy.compress_size = last.file_size
            archive.filelist.append(copy)
    return file.getvalue()


@unsafe
def header_of_another_name(honest: Honest) -> bytes:
    """A member that is called otherwise where it lies than in the directory."""
    return honest.payload.replace(b"config.json", b"Config.json", 1)


@unsafe
def header_of_another_size(honest: Honest) -> bytes:
    """A member that is larger where it lies than in the directory."""
    return patched(zipped(honest.members), LOCAL, 22, "<L", 2**31 - 1, nth=1)


@unsafe
def descriptor_that_lies(honest: Honest) -> bytes:
    """Sizes behind a member that are not those of the directory."""

    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: Any) -> int:
            raise io.UnsupportedOperation

        def tell(self) -> int:
            raise io.UnsupportedOperation

    file = Unseekable()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in honest.members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return patched(file.getvalue(), b"PK\x07\x08", 8, "<L", 7)


@unsafe
def wide_sizes_that_lie(honest: Honest) -> bytes:
    """A size that is said to be too large for its field, and is nowhere."""
    return patched(zipped(honest.members), ENTRY, 24, "<L", 2**32 - 1)


@unsafe
def several_disks(honest: Honest) -> bytes:
    """One part of an archive of several."""
    return patched(honest.payload, END, 4, "<H", 1)


@unsafe
def name_in_an_extra_field(honest: Honest) -> bytes:
    """Another name for readers that know of Unicode fields."""
    name = b"../escaped.txt"
    data = struct.pack("<BL", 1, zlib.crc32(b"assets/x")) + name
    extra = struct.pack("<HH", 0x7075, len(data)) + data
    return more(honest, "assets/x", extra=extra)


@unsafe
def name_in_two_encodings(honest: Honest) -> bytes:
    """A name that is read in one way or another."""
    payload = more(honest, "assets/xxx")
    return payload.replace(b"assets/xxx", b"assets/\xfcxx")


@unsafe
def bomb(honest: Honest) -> bytes:
    """A quarter of a gigabyte of zeros as the weights."""
    return packed_zeros(honest, "model.weights.h5")


@unsafe
def bomb_in_assets(honest: Honest) -> bytes:
    """A quarter of a gigabyte of zeros beside the weights."""
    return packed_zeros(honest, "assets/vocabulary.txt")


@unsafe
def bomb_as_a_description(honest: Honest) -> bytes:
    """A quarter of a gigabyte of zeros as the description."""
    return packed_zeros(honest, "config.json")


def packed_zeros(honest: Honest, name: str) -> bytes:
    """Returns a file in which a quarter of a gigabyte of zeros is small."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = bytes(2**24)
    crc, packed = 0, b""
    for _ in range(16):
        packed += packer.compress(block)
        crc = zlib.crc32(block, crc)
    packed += packer.flush()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for other, data in honest.members.items():
            if other != name:
                archive.writestr(zipfile.ZipInfo(other), data)
        archive.writestr(zipfile.ZipInfo(name), packed)
        info = archive.getinfo(name)
        info.compress_type, info.CRC, info.file_size = zipfile.ZIP_DEFLATED, crc, 2**28
        offset = info.header_offset
    data = bytearray(file.getvalue())
    struct.pack_into("<H", data, offset + 8, zipfile.ZIP_DEFLATED)
    struct.pack_into("<L4xL", data, offset + 14, crc, 2**28)
    return bytes(data)


@unsafe
def bomb_that_says_it_is_small(honest: Honest) -> bytes:
    """A quarter of a gigabyte of zeros that the directory calls a hundred bytes."""
    data = packed_zeros(honest, "assets/vocabulary.txt")
    place = data.rindex(ENTRY)
    offset = struct.unpack_from("<L", data, place + 42)[0]
    made = bytearray(data)
    struct.pack_into("<L", made, place + 24, 100)
    struct.pack_into("<L", made, offset + 22, 100)
    return bytes(made)


@unsafe
def very_many_members(honest: Honest) -> bytes:
    """Twenty thousand files to be made."""
    file = io.BytesIO(honest.payload)
    with zipfile.ZipFile(file, "a") as archive:
        for index in range(20_000):
            archive.writestr(zipfile.ZipInfo(f"assets/{index}"), b"")
    return file.getvalue()


@unsafe
def a_program_among_the_members(honest: Honest) -> bytes:
    """A member that a Python path would run."""
    return more(honest, "sitecustomize.py", b"open('marker', 'w')")


@unsafe
def weights_of_numpy(honest: Honest) -> bytes:
    """Weights in a file of NumPy, in which objects can stand."""
    members = {**honest.members, "model.weights.npz": b"?"}
    del members["model.weights.h5"]
    return zipped(members)


@damaged
def wrong_checksum(honest: Honest) -> bytes:
    """Bytes that are not those that the checksum was made of."""
    data = zipped(honest.members)
    wrong = patched(data, LOCAL, 14, "<L", 7, nth=2)
    return patched(wrong, ENTRY, 16, "<L", 7, nth=2)


@damaged
def wrong_checksum_of_packed_bytes(honest: Honest) -> bytes:
    """The same where they are packed."""
    data = zipped(honest.members, zipfile.ZIP_DEFLATED)
    wrong = patched(data, LOCAL, 14, "<L", 7, nth=2)
    return patched(wrong, ENTRY, 16, "<L", 7, nth=2)


@damaged
def packed_bytes_that_are_none(honest: Honest) -> bytes:
    """Bytes that are said to be packed and are not."""
    data = zipped(honest.members)
    wrong = patched(data, LOCAL, 8, "<H", zipfile.ZIP_DEFLATED, nth=2)
    return patched(wrong, ENTRY, 10, "<H", zipfile.ZIP_DEFLATED, nth=2)


@damaged
def no_weights(honest: Honest) -> bytes:
    """A file without weights."""
    return zipped({n: d for n, d in honest.members.items() if "weights" not in n})


@damaged
def no_members(honest: Honest) -> bytes:
    """A zip file with nothing in it."""
    return zipped({})


@damaged
def no_archive(honest: Honest) -> bytes:
    """Text in place of a zip file."""
    return b"anything" * 1000


@damaged
def nothing_at_all(honest: Honest) -> bytes:
    """An empty file."""
    return b""


@damaged
def cut_short(honest: Honest) -> bytes:
    """A file without its end."""
    return honest.payload[: len(honest.payload) // 2]


@damaged
def a_pickle(honest: Honest) -> bytes:
    """A pickle that touches the marker, under the name of a model."""
    return b"cos\nsystem\n(S'touch %s'\ntR." % str(honest.marker).encode()


@damaged
def old_format_with_code(honest: Honest) -> bytes:
    """A model in Keras's old format, for which it has no safe mode (CVE-2025-9905)."""
    config = honest.config()
    code = {"class_name": "__lambda__", "config": {"code": "4wAAAAA="}}
    config["config"]["layers"].insert(1, lambda_layer(code))
    file = io.BytesIO()
    with h5py.File(file, "w") as h5:
        h5.attrs["model_config"] = json.dumps(config)
        h5.create_group("model_weights")
    return file.getvalue()
