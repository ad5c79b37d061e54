"""The public names."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

import keras_versioned_ckpt


def test_every_public_name_is_there_and_documented() -> None:
    """Each name of __all__ is importable, listed by dir, and has a docstring."""
    for name in keras_versioned_ckpt.__all__:
        value = getattr(keras_versioned_ckpt, name)
        assert name in dir(keras_versioned_ckpt)
        if name != "__version__":
            assert inspect.getdoc(value), name


def test_every_error_is_public() -> None:
    """The whole tree of errors stands at the top as well."""
    errors = importlib.import_module("keras_versioned_ckpt.errors")
    for name, value in vars(errors).items():
        if inspect.isclass(value):
            assert getattr(keras_versioned_ckpt, name) is value


def test_the_error_tree() -> None:
    """It is the one that is drawn in the module's docstring."""
    k = keras_versioned_ckpt
    assert issubclass(k.StoreNotFoundError, (k.StoreError))
    assert issubclass(k.StoreNotFoundError, FileNotFoundError)
    assert issubclass(k.VersionNotFoundError, LookupError)
    assert issubclass(k.CheckpointWarning, UserWarning)
    for error in (
        k.StoreError,
        k.VersionNotFoundError,
        k.SaveError,
        k.CorruptVersionError,
        k.UnsafeVersionError,
        k.ResumeError,
    ):
        assert error.__mro__[1] is k.CheckpointError
    assert k.CheckpointError.__mro__[1] is Exception


def test_a_name_that_is_not_there() -> None:
    """It is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        keras_versioned_ckpt.Nothing  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    """What is imported for type checkers is what is imported lazily."""
    source = Path(keras_versioned_ckpt.__file__).read_text(encoding="utf-8")
    seen = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module != "typing":
            home = (node.module or "").removeprefix("keras_versioned_ckpt.")
            seen.update({alias.name: home for alias in node.names})
    seen.pop("__version__")
    assert seen == keras_versioned_ckpt._HOME_OF
