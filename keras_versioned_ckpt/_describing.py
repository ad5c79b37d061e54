"""All that is known of one version, and as a table for people."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from keras_versioned_ckpt import _integrity, _json_forms
from keras_versioned_ckpt._messages import escaped, rounded_size
from keras_versioned_ckpt._table import Table
from keras_versioned_ckpt.records import HistoryEntry

# What says how a version came to be; the others say what is in it.
_SELDOM = ("batch", "parent", "removed", "reason", "policy")


def about(entry: HistoryEntry) -> dict[str, Any]:
    """Returns all that is known of a version as a JSON object.

    Args:
        entry: The version; one that is gone has no files, and a reason instead.

    Raises:
        CheckpointError: If its manifest cannot be read.
        FileNotFoundError: If it was removed a moment ago.
    """
    told = _json_forms.entry(entry)
    if entry.gone or entry.version.path is None:
        return told
    manifest = _integrity.read_manifest(entry.version.path)
    files = {
        path: {"size": file.size, "sha256": file.sha256}
        for path, file in manifest.files.items()
    }
    return {
        **told,
        "trigger": list(manifest.trigger),
        "files": files,
        "software": dict(manifest.software),
    }


def table(about: Mapping[str, Any]) -> Table:
    """Returns what `about` returned as a table of two columns."""
    return Table(head=("fact", "value"), rows=[*_rows(about)])


def _rows(about: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in about.items():
        if name == "files":
            for path, file in value.items():
                size = rounded_size(file["size"])
                yield f"file {escaped(path)}", f"{size}, SHA-256 {file['sha256']}"
        elif name == "size_bytes":
            yield "size", f"{rounded_size(value)} ({value} bytes)"
        elif isinstance(value, dict):
            for key, inner in value.items():
                yield f"{name} {escaped(key)}", _text(inner)
        elif isinstance(value, list):
            yield name, escaped(", ".join(value)) or "-"
        elif value or name not in _SELDOM:
            yield name, _text(value)


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return escaped(text)
