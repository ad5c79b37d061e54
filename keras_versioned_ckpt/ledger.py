"""The ledger: one JSON object per line, what happened in a store, in order.

The file is `.versions/ledger.jsonl`. It is a cache of the manifests, so that a
store opens without reading them all, and the memory of what is gone. It can
lose lines (a crash, a torn write) without harm to any version: a directory
that no line speaks of is read from its manifest.

* `{"event": "commit", …}` with the version's facts as in its manifest, and with
  `manifest_crc32`, the CRC-32 of all bytes of the manifest's file, which MAY be
  missing.
* `{"event": "remove", "number": …, "at": …, "reason": …, "policy": …}`; the policy is
  the text of the retention policy that decided it, empty where a person did.
* `{"event": "tag" or "untag", "tag": …, "number": …, "at": …}`

A `remove` line is written before the version is moved away; a version whose
directory is there is there, whatever the ledger says.
"""

from datetime import datetime
from typing import Any, NamedTuple

from keras_versioned_ckpt import _names, _strict_json, _wire
from keras_versioned_ckpt.records import Version

#: No line that this package writes is longer, since no manifest is.
MAX_LINE_BYTES = 4 * 1024 * 1024
#: Twice what a store writes in the course of a million versions.
MAX_BYTES = 2 * 1024 * 1024 * 1024


class Committed(NamedTuple):
    """A version became visible, with a manifest of this checksum."""

    version: Version
    manifest_crc32: int | None = None


class Removed(NamedTuple):
    """A version was taken away: which, when, why, and by which retention policy."""

    number: int
    at: datetime
    reason: str
    policy: str = ""


class TagMoved(NamedTuple):
    """A tag was put on a version, or taken off (`number` is None)."""

    tag: str
    number: int | None
    at: datetime


Event = Committed | Removed | TagMoved


def encode(event: Event) -> bytes:
    """Writes one event as its line, with the newline."""
    fields: dict[str, Any]
    if isinstance(event, Committed):
        fields = {"event": "commit", **_wire.version_to_fields(event.version)}
        if event.manifest_crc32 is not None:
            fields["manifest_crc32"] = event.manifest_crc32
    elif isinstance(event, Removed):
        fields = {
            "event": "remove",
            "number": event.number,
            "at": _wire.instant_to_text(event.at),
            "reason": event.reason,
            "policy": event.policy,
        }
    else:
        fields = {
            "event": "untag" if event.number is None else "tag",
            "tag": event.tag,
            "number": event.number,
            "at": _wire.instant_to_text(event.at),
        }
    return _strict_json.dumps(fields)


def decode(line: bytes) -> Event:
    """Reads one line.

    Raises:
        ValueError: If the line is torn, damaged, or of an event not known here.
    """
    fields = _strict_json.loads(line, MAX_LINE_BYTES)
    if not isinstance(fields, dict):
        raise ValueError("a line of the ledger is not a JSON object")
    event = fields.get("event")
    if event == "commit":
        crc32 = fields.get("manifest_crc32")
        return Committed(
            _wire.version_from_fields(fields),
            None if crc32 is None else _wire.count(crc32),
        )
    at = _wire.instant_from_text(fields.get("at"))
    if event == "remove":
        reason = fields.get("reason")
        if not isinstance(reason, str) or not reason:
            raise ValueError("a removal has no reason")
        policy = fields.get("policy")
        if not isinstance(policy, str):
            raise ValueError("the policy of a removal is not a string")
        return Removed(_wire.positive(fields.get("number")), at, reason, policy)
    if event in ("tag", "untag"):
        tag = fields.get("tag")
        if not isinstance(tag, str) or _names.why_not_tag(tag) is not None:
            # It becomes the name of a file where `repair` puts a lost tag back.
            raise ValueError("a tag is not a string, or cannot be a tag")
        number = None if event == "untag" else _wire.positive(fields.get("number"))
        return TagMoved(tag, number, at)
    raise ValueError("a line of the ledger speaks of an event that is not known")
