"""Whether the description of a model names anything but layers of Keras and of yours.

`config.json` tells Keras which classes to make a model of, which functions to give
them, and with which numbers. Keras's safe mode refuses code in it. Again and again,
though, a description was found that made Keras run, fetch, read or write something by
naming what is no layer at all (CVE-2025-1550, -8747, -9906, -12058, CVE-2026-1462,
-12479, -12481); each was then refused by name, in later releases than this package
supports. This check turns it around: what a description may name is what Keras has
loaded as a part of models, and what the caller has registered or given. Nothing is
imported for it.

It is parsed as Keras parses it, by the same parser, so that both see the same.
"""

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from keras_versioned_ckpt import _config_text
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt.errors import UnsafeVersionError

_NUMBER = re.compile(r"(bool|bfloat|complex|float|int|uint)[0-9a-z]*")

# Those that Keras looks into without being told to.
_PACKAGES = frozenset({"keras", "keras_hub", "keras_cv", "keras_nlp"})
# Those parts of Keras whose functions compute, and do nothing else.
_FUNCTIONS = tuple(
    f"keras.{part}"
    for part in (
        *("activations", "constraints", "initializers", "losses", "metrics", "ops"),
        *("quantizers", "random", "regularizers"),
    )
)
# They load a program from wherever the description says; Keras wants safe_mode=False
# for them, in the releases that know of it.
_PROGRAMS = frozenset({"TFSMLayer", "TorchModuleWrapper"})
# Parts that Python code loops over, or makes a table of, when a layer is made. Each may
# be as large as anybody ever needed it; without a limit one number takes all memory.
_LARGEST = {
    "num_thresholds": 100_000,
    "ngrams": 1_000,
    "num_mel_bins": 512,
    "fft_length": 32_768,
    "num_chains": 1_000,
    "chain_depth": 1_000,
    "num_ops": 1_000,
}


def check(config: bytes, custom_objects: Mapping[str, Any], *, safe_mode: bool) -> None:
    """Checks a description before Keras makes anything of it.

    Args:
        config: The bytes of `config.json`.
        custom_objects: What the caller gave; what is registered is found as well.
        safe_mode: Whether what Keras calls unsafe is refused: lambdas, programs, and
            vocabularies outside the file.

    Raises:
        UnsafeVersionError: If it names what it should not, or is made to exhaust the
            reader.
        CorruptVersionError: If it is no description.
    """
    root = _config_text.parsed(config)
    for item in _objects(root):
        _Named(item, custom_objects).check(safe_mode=safe_mode)
    found = _Named(root, custom_objects).found()
    if isinstance(found, type) and not issubclass(found, keras.Model):
        raise UnsafeVersionError(f"{shown(root['class_name'])} is not a model")


def _objects(root: Any) -> Iterator[dict[str, Any]]:
    """Yields every dictionary, from the outside inwards."""
    ahead = [root]
    while ahead:
        value = ahead.pop()
        if isinstance(value, dict):
            yield value
            ahead.extend(value.values())
        elif isinstance(value, list):
            ahead.extend(value)


class _Named:
    """One dictionary of a description, which may name a class or a function."""

    def __init__(self, item: dict[str, Any], custom_objects: Mapping[str, Any]) -> None:
        self._item = item
        self._custom = custom_objects
        self._config = item.get("config")
        name = item.get("class_name")
        self._is_function = name == "function"
        self._name = self._config if self._is_function else name
        self._module = item.get("module")

    def check(self, *, safe_mode: bool) -> None:
        """Raises `UnsafeVersionError` where it should not be made."""
        self._check_calls()
        self._check_own_name()
        if not isinstance(self._name, str):
            return  # Keras makes nothing of it, or raises
        if special := _SPECIAL.get(self._name):
            special(self._item, safe_mode)
        if self._name.startswith("__"):
            return  # Keras's names for plain values
        found = self._registered()
        if found is None:
            self._check_place()
            found = self.found()
            if self._is_function:
                self._check_function()
            elif found is not None and not _is_made_of_config(found):
                raise UnsafeVersionError(f"{self} is no part of a model")
        if isinstance(found, type) and isinstance(self._config, dict):
            self._check_config(found, self._config, safe_mode=safe_mode)

    def found(self) -> Any:
        """Returns what Keras would find; `None` if that is nothing."""
        found = self._registered()
        if found is None and isinstance(self._module, str):
            found = _symbol(f"{self._module}.{self._name}")
            if found is None:
                place = sys.modules.get(self._module)
                found = vars(place).get(str(self._name)) if place else None
        return found

    def __str__(self) -> str:
        return shown(f"{self._module}.{self._name}")

    def _registered(self) -> Any:
        name = self._name
        if not self._is_function:
            name = self._item.get("registered_name", name)
        if not isinstance(name, str):
            return None
        return keras.saving.get_registered_object(
            name, custom_objects=dict(self._custom)
        )

    def _check_place(self) -> None:
        """Raises if it is neither of Keras, nor loaded, nor the caller's."""
        if self._module is None or (self._is_function and self._module == "builtins"):
            return  # Keras finds its own functions by name, and nothing else
        if not isinstance(self._module, str):
            raise UnsafeVersionError(f"{self} is named as Keras names nothing")
        package = self._module.partition(".")[0]
        if package not in _PACKAGES:
            raise UnsafeVersionError(
                f"{self} is no part of Keras. If it is yours, register it with "
                "`keras.saving.register_keras_serializable`, or pass it in "
                "`custom_objects`"
            )
        if self._module not in sys.modules:
            raise UnsafeVersionError(
                f"{self} is of a module that is not loaded; import "
                f"{shown(package)} first if it is what the model was made with"
            )

    def _check_function(self) -> None:
        if self._module is None:
            return
        if self._module == "builtins":
            # Keras's word for its own, which it finds in these places; and up to 3.6
            # for registered ones without the name of their package.
            known = any(_symbol(f"{part}.{self._name}") for part in _FUNCTIONS) or any(
                name.endswith(f">{self._name}") for name in self._custom
            )
            if not known:
                raise UnsafeVersionError(
                    f"the function {shown(self._name)} is not one of Keras. If it is "
                    "yours, register it with "
                    "`keras.saving.register_keras_serializable`, or pass it in "
                    "`custom_objects`"
                )
        elif not f"{self._module}.".startswith(tuple(f"{p}." for p in _FUNCTIONS)):
            raise UnsafeVersionError(f"{self} is no function of a model")

    def _check_config(
        self, kind: type, config: dict[str, Any], *, safe_mode: bool
    ) -> None:
        kinds = {base.__name__ for base in kind.__mro__ if _is_of_keras(base)}
        if safe_mode and kinds & _PROGRAMS:
            raise UnsafeVersionError(f"{self} loads a program; see `safe_mode`")
        # `object` is a base of everything, and all that is left of a class of the
        # caller's own, whose configuration is the caller's affair.
        if not kinds:
            return
        if safe_mode and isinstance(config.get("vocabulary"), str):
            raise UnsafeVersionError(
                f"{self} would read {shown(config['vocabulary'])}; see `safe_mode`"
            )
        for name, most in _LARGEST.items():
            values = config.get(name)
            for value in values if isinstance(values, list) else [values]:
                if isinstance(value, (int, float)) and not value <= most:
                    raise UnsafeVersionError(
                        f"{self} wants {name}={value}, which is more than {most}"
                    )

    def _check_own_name(self) -> None:
        """Raises if a layer's files would lie elsewhere than in the model's.

        Keras makes a path of its name (CVE-2026-12479).
        """
        name = self._config.get("name") if isinstance(self._config, dict) else None
        if isinstance(name, str) and (
            "\\" in name or not {".", ".."}.isdisjoint(name.split("/"))
        ):
            raise UnsafeVersionError(f"{shown(name)} is a path, and no name")

    def _check_calls(self) -> None:
        """Raises if a layer is called on nothing that is a part of the model.

        Keras computes such a call at once, with the numbers that stand there.
        """
        calls = self._item.get("inbound_nodes")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and not any(
                part.get("class_name") == "__keras_tensor__" for part in _objects(call)
            ):
                raise UnsafeVersionError(f"{self} is called on no part of the model")


def _refuse_code(item: dict[str, Any], safe_mode: bool) -> None:
    if safe_mode:
        raise UnsafeVersionError("it holds a lambda, which is code; see `safe_mode`")


def _refuse_type(item: dict[str, Any], safe_mode: bool) -> None:
    # Keras makes these of classes of TensorFlow, and of no others of its own.
    raise UnsafeVersionError(f"it holds a type of {shown(item.get('module'))}")


def _check_values(item: dict[str, Any], safe_mode: bool) -> None:
    # A type of NumPy may also say how many bytes each value has.
    config = item.get("config")
    dtype = config.get("dtype") if isinstance(config, dict) else None
    if not isinstance(dtype, str) or not _NUMBER.fullmatch(dtype):
        raise UnsafeVersionError(f"its description has values of type {shown(dtype)}")


_SPECIAL: dict[str, Callable[[dict[str, Any], bool], None]] = {
    "__lambda__": _refuse_code,
    "__typespec__": _refuse_type,
    "__tensor__": _check_values,
    "__numpy__": _check_values,
}


def _symbol(name: str) -> Any:
    """Returns what Keras knows under a public name, which is not always its place."""
    package, *parts = name.split(".")
    return functools.reduce(_part, parts, keras if package == "keras" else None)


def _part(whole: Any, name: str) -> Any:
    return getattr(whole, name, None)


def _is_made_of_config(found: Any) -> bool:
    return isinstance(found, type) and callable(getattr(found, "from_config", None))


def _is_of_keras(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in _PACKAGES
