"""Policies from text: what their `repr` prints, read back without `eval`.

The grammar is a small part of Python's own: calls of the rules by name, with
literal arguments, joined by `|`::

    KeepLast(3) | KeepBest(2, 'val_f1', mode='max') | KeepDaily(7, timezone='UTC')
"""

import ast
from collections.abc import Mapping
from typing import Any

from keras_versioned_ckpt import retention
from keras_versioned_ckpt._messages import shown

# Far above any policy, and far below what makes Python's parser run out of stack.
_LONGEST = 10_000

_RULES: Mapping[str, type[retention.RetentionRule]] = {
    rule.__name__: rule
    for rule in (
        retention.KeepAll,
        retention.KeepLast,
        retention.KeepBest,
        retention.KeepEvery,
        retention.KeepWithin,
        retention.KeepHourly,
        retention.KeepDaily,
        retention.KeepWeekly,
        retention.KeepMonthly,
        retention.KeepYearly,
        retention.KeepTagged,
        retention.KeepSize,
    )
}


def parse_retention(text: str) -> retention.RetentionPolicy:
    """Reads a retention policy from text, as its `repr` prints it.

    Args:
        text: Rules with literal arguments, joined by `|`; no more than 10,000
            characters.

    Returns:
        The policy; `parse_retention(repr(policy)) == policy`.

    Raises:
        TypeError: If `text` is not a string.
        ValueError: If the text is no such policy, or a rule refuses its
            arguments.

    Example:

    >>> from keras_versioned_ckpt._parsing import parse_retention
    >>> parse_retention("KeepLast(3) | KeepBest(2, 'val_loss')").explanation
    'the 3 newest versions, and the 2 best by val_loss'
    """
    if not isinstance(text, str):
        raise TypeError(f"`text` must be a string. Received: text={text!r}")
    if len(text) > _LONGEST:
        raise ValueError(
            f"`text` must not be longer than {_LONGEST} characters. "
            f"Received: text={shown(text)}"
        )
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _refused(text, "is not an expression") from error
    # From the outermost `|` inwards; the tree may be deeper than Python recurses.
    rules: list[retention.RetentionPolicy] = []
    waiting: list[ast.expr] = [tree.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            waiting += [node.right, node.left]
        else:
            rules.append(_rule(node, text))
    policy: retention.RetentionPolicy = retention.KeepAny.of(*rules)
    return policy


def _rule(node: ast.expr, text: str) -> retention.RetentionRule:
    """Makes the one rule that `node` calls."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise _refused(text, f"{_source(node)} is not a rule such as KeepLast(3)")
    name = node.func.id
    if name not in _RULES:
        raise _refused(
            text, f"{shown(name)} is not one of the rules {', '.join(_RULES)}"
        )
    try:
        args = [ast.literal_eval(arg) for arg in node.args]
        kwargs: dict[str, Any] = {
            _named(keyword): ast.literal_eval(keyword.value)
            for keyword in node.keywords
        }
    except (ValueError, RecursionError) as error:
        reason = f"the arguments of {_source(node)} must be plain values"
        raise _refused(text, reason) from error
    try:
        return _RULES[name](*args, **kwargs)
    except (TypeError, ValueError) as error:
        raise _refused(text, f"{_source(node)} is refused: {error}") from error


def _named(keyword: ast.keyword) -> str:
    if keyword.arg is None:
        raise ValueError("`**` is no argument by name")
    return keyword.arg


def _source(node: ast.expr) -> str:
    try:
        return shown(ast.unparse(node))
    except RecursionError:
        return "what is written"


def _refused(text: str, reason: str) -> ValueError:
    return ValueError(
        "`text` must be rules of retention joined by `|`. "
        f"Received: text={shown(text)}; {reason}. "
        "Pass for example \"KeepLast(3) | KeepBest(2, 'val_loss')\"."
    )
