"""Finds what is public: names, and the methods and properties of the classes."""

import functools
import inspect
from typing import Any

import keras

import keras_versioned_ckpt
from keras_versioned_ckpt._inspection import Problem, Report
from keras_versioned_ckpt._staging import Staged
from keras_versioned_ckpt.naming import NamingPolicy
from keras_versioned_ckpt.records import Moment
from keras_versioned_ckpt.retention import KeepAny, Plan, RetentionPolicy, RetentionRule
from keras_versioned_ckpt.selectors import Selector, as_selector, parse_selector
from keras_versioned_ckpt.triggers import AllTriggers, AnyTrigger, Trigger

# What public names return and are given, what they are made of, and what makes them.
MORE = (
    *(Plan, Report, Problem, Moment, Staged),
    *(NamingPolicy, RetentionPolicy, RetentionRule, Selector, Trigger),
    *(KeepAny, AnyTrigger, AllTriggers),
    *(as_selector, parse_selector),
)

# Methods for the package itself: those of `Staged`, and how `|` and `&` simplify.
INTERNAL = {"seal", "discard", "simplified"}


def names() -> dict[str, Any]:
    """Returns every public class and function by its name."""
    public = [name for name in keras_versioned_ckpt.__all__ if name != "__version__"]
    found = {name: getattr(keras_versioned_ckpt, name) for name in public}
    return found | {value.__name__: value for value in MORE}


def members() -> list[tuple[type, str, Any]]:
    """Returns the public methods and properties: the class, the name, the value.

    What a class overrides is found at the base that says what it does; the hooks that
    Keras calls are documented by Keras.
    """
    classes = [value for value in names().values() if inspect.isclass(value)]
    found = {}
    for cls in classes:
        for name in dir(cls):
            owners = [c for c in cls.__mro__ if c in classes and name in vars(c)]
            if owners and _is_public(cls, name):
                value = inspect.getattr_static(owners[-1], name)
                found[owners[-1], name] = (owners[-1], name, value)
    return list(found.values())


def _is_public(cls: type, name: str) -> bool:
    value = inspect.getattr_static(cls, name)
    kinds = (property, classmethod, functools.cached_property)
    return (
        not name.startswith("_")
        and name not in INTERNAL
        and not (cls is Staged or hasattr(keras.callbacks.Callback, name))
        and (inspect.isfunction(value) or isinstance(value, kinds))
    )
