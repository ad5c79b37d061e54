"""`keras-ckpt`: a store from the shell. Imports neither Keras nor NumPy.

Exit codes: 0 done; 1 the store or version is missing, damaged or unsafe;
2 the command line is wrong.

A shell waits for every import, so that each command imports what it needs.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from keras_versioned_ckpt import __version__
from keras_versioned_ckpt._messages import escaped
from keras_versioned_ckpt.errors import CheckpointError
from keras_versioned_ckpt.store import CheckpointStore


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after the program's name. Defaults to `sys.argv`.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (CheckpointError, ValueError) as error:
        print(f"keras-ckpt: {escaped(str(error))}", file=sys.stderr)
        return 1


def _list(options: argparse.Namespace) -> int:
    from keras_versioned_ckpt._table import history_table, version_table

    store = CheckpointStore(options.directory)
    if options.gone:
        print(history_table(entry for entry in store.history if entry.gone))
    else:
        print(version_table(store.versions))
    return 0


def _path(options: argparse.Namespace) -> int:
    from keras_versioned_ckpt.selectors import AsOf, as_selector

    selector = as_selector(options.selector)
    if isinstance(selector, AsOf) and selector.note:
        print(f"keras-ckpt: {escaped(selector.note)}", file=sys.stderr)
    print(CheckpointStore(options.directory).select(selector).path)
    return 0


def _verify(options: argparse.Namespace) -> int:
    report = CheckpointStore(options.directory).verify()
    print("\n".join(map(escaped, str(report).splitlines())))
    return 0 if report.ok else 1


class _Formatter(argparse.HelpFormatter):
    """Help of a fixed width: to ask for the terminal's, argparse imports `shutil`."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=78)


class _Parser(argparse.ArgumentParser):
    """A parser whose commands have the same formatter."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, **options)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="keras-ckpt",
        description="Look at a store of Keras checkpoints.",
        epilog="example: model=$(keras-ckpt path runs/digits best)/model.keras",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    listed = commands.add_parser("list", help="the versions that are there")
    listed.add_argument("--gone", action="store_true", help="those that are gone")
    listed.set_defaults(run=_list)

    path = commands.add_parser("path", help="the directory of one version")
    path.set_defaults(run=_path)

    verify = commands.add_parser("verify", help="compare every file with its manifest")
    verify.set_defaults(run=_verify)

    for command in (listed, path, verify):
        command.add_argument("directory", metavar="STORE", help="the store's directory")
    path.add_argument(
        "selector",
        metavar="SELECTOR",
        help="latest, best, best:val_loss:min, 3, version_3, tag:prod, … and ~N",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
