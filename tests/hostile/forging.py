"""A store around any payload, as consistent as its owner would make it.

Who makes a store by hand makes its manifest as well: sizes and hashes are right, and
what protects the reader is how it looks at the bytes.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from keras_versioned_ckpt.store import CheckpointStore

PAYLOADS = {"keras": "model.keras", "weights": "model.weights.h5"}


def forge(directory: Path, format: str, *payloads: bytes) -> CheckpointStore:
    """Makes a store with one version for each payload."""
    store = CheckpointStore(directory, create=True)
    for payload in payloads:
        with store.stage() as staged:
            (staged.path / PAYLOADS[format]).write_bytes(payload)
            store.commit(staged, format=format)
    return store


class Honest:
    """What an honest `.keras` file holds, to be made into something else.

    Args:
        payload: The bytes of the file.
        marker: A file that is to be made where anything runs.
    """

    def __init__(self, payload: bytes, marker: Path) -> None:
        self.payload = payload
        self.marker = marker
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            self.members = {name: archive.read(name) for name in archive.namelist()}
        self.weights = self.members["model.weights.h5"]

    def config(self) -> Any:
        """Returns the description, to be changed."""
        return json.loads(self.members["config.json"])

    def with_config(self, config: object) -> bytes:
        """Returns the file with another description: bytes, or what is dumped."""
        data = config if isinstance(config, bytes) else json.dumps(config).encode()
        return zipped({**self.members, "config.json": data})

    def with_layer(self, layer: Mapping[str, Any]) -> bytes:
        """Returns the file with one more layer, right after the input."""
        config = self.config()
        config["config"]["layers"].insert(1, dict(layer))
        return self.with_config(config)

    def with_function(self, module: str, name: str, **arguments: Any) -> bytes:
        """Returns the file with a `Lambda` layer of a function with a name."""
        function = {
            "module": module,
            "class_name": "function",
            "config": name,
            "registered_name": "function",
        }
        return self.with_layer(lambda_layer(function, **arguments))

    def edited(self) -> tuple[io.BytesIO, Any]:
        """Returns a copy of the weights' file, and the same opened for changes."""
        file = io.BytesIO(self.weights)
        return file, h5py.File(file, "r+")


def lambda_layer(function: Any, **arguments: Any) -> dict[str, Any]:
    """Returns the description of a `Lambda` layer."""
    return layer("Lambda", function=function, arguments=arguments)


def layer(name: str, /, **config: Any) -> dict[str, Any]:
    """Returns the description of a layer of Keras."""
    return {
        "module": "keras.layers",
        "class_name": name,
        "config": {"name": "bad", "trainable": True, "dtype": "float32", **config},
        "registered_name": None,
    }


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Returns a zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()
