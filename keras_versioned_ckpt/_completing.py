"""Completion of the command line in a shell, by argcomplete.

The words after a store are those that it knows: its versions and its tags.
"""

import argparse
from collections.abc import Callable

from keras_versioned_ckpt.errors import CheckpointError
from keras_versioned_ckpt.store import CheckpointStore


def complete(parser: argparse.ArgumentParser) -> None:
    """Answers the shell that asks how a command line may go on, and ends the process.

    Args:
        parser: The parser of the command line.
    """
    import argcomplete
    from argcomplete.completers import DirectoriesCompleter

    for command in _commands(parser):
        for action in command._actions:
            if action.dest == "directory":
                _complete_by(action, DirectoriesCompleter())
            elif action.dest in ("selector", "before", "after"):
                _complete_by(action, _selectors)
            elif action.dest == "tag":
                _complete_by(action, _tags)
    argcomplete.autocomplete(parser, always_complete_options=False)


def _commands(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    return [
        command
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for command in action.choices.values()
    ]


def _complete_by(action: argparse.Action, completer: Callable[..., object]) -> None:
    action.completer = completer  # type: ignore[attr-defined]


def _selectors(parsed_args: argparse.Namespace, **asked: object) -> list[str]:
    try:
        store = CheckpointStore(parsed_args.directory)
        names = [version.name for version in store.versions]
        # The colon is a word of its own in bash, which argcomplete takes care of.
        return ["latest", "best", *names, *(f"tag:{tag}" for tag in store.tags)]
    except CheckpointError:
        return ["latest", "best"]


def _tags(parsed_args: argparse.Namespace, **asked: object) -> list[str]:
    try:
        return [*CheckpointStore(parsed_args.directory).tags]
    except CheckpointError:
        return []
