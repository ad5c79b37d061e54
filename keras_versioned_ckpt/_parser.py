"""The command line of `keras-ckpt`: its words, and which function each command runs.

A command's function is named here and imported when it is run, so that none waits for
what another one needs.
"""

import argparse
import importlib
from collections.abc import Callable
from typing import Any, NoReturn

from keras_versioned_ckpt._messages import escaped, shown
from keras_versioned_ckpt._version import __version__

_STORE = "the store's directory"
_SELECTOR = "latest, best, best:val_loss:min, 3, version_3, epoch:5, tag:prod, … and ~N"
_CODES = """\
exit codes:
  0    done
  1    the store or version is missing, damaged or unsafe; `verify` found something
       wrong; or the answer to a question was no
  2    the command line is wrong
  130  stopped by Ctrl-C
  141  nobody reads on, as behind `head`

completion in bash, zsh and fish needs the extra `completion`:
  eval "$(register-python-argcomplete keras-ckpt)"
"""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help of a fixed width: to ask for the terminal's, argparse imports `shutil`."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=78)


class _Parser(argparse.ArgumentParser):
    """A parser whose commands have the same formatter."""

    def __init__(self, **options: Any) -> None:
        super().__init__(formatter_class=_Formatter, allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Ends the process; words may be names of files that anybody made."""
        super().error(escaped(message))


def parser() -> argparse.ArgumentParser:
    """Returns the parser; what it reads has the command's function as `run`."""
    parser = _Parser(
        prog="keras-ckpt",
        description="Look at a store of Keras checkpoints, and take care of it.",
        epilog="example:\n  model=$(keras-ckpt path runs/digits best)/model.keras\n\n"
        + _CODES,
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_looking, _keeping, _checking, _moving):
        add(_Commands(commands))
    return parser


class _Commands:
    """Adds commands, each with what all of them have."""

    def __init__(self, commands: Any) -> None:
        self._commands = commands

    def add(self, name: str, run: str, help: str, example: str) -> _Parser:
        """Adds a command.

        Args:
            name: What a user types.
            run: Its function, as `"module.function"` of this package.
            help: What it does, in a line.
            example: What may be typed, without the program's name; a line each.
        """
        lines = "\n".join(f"  keras-ckpt {line}" for line in example.splitlines())
        command: _Parser = self._commands.add_parser(
            name,
            help=help,
            description=help[0].upper() + help[1:] + ".",
            epilog=f"example{'s' if chr(10) in example else ''}:\n{lines}",
        )
        command.add_argument("directory", metavar="STORE", help=_STORE)
        command.set_defaults(run=_named(run))
        return command


def _named(name: str) -> Callable[[argparse.Namespace], int]:
    module, function = name.split(".")

    def run(options: argparse.Namespace) -> int:
        home = importlib.import_module(f"keras_versioned_ckpt.{module}")
        return int(getattr(home, function)(options))

    return run


def _looking(commands: _Commands) -> None:
    command = commands.add(
        "list",
        "_cli_looking.show_list",
        "list the versions that are there",
        "list runs/digits\nlist runs/digits --sort val_loss --limit 10\n"
        "list runs/digits --gone --json",
    )
    which = command.add_mutually_exclusive_group()
    which.add_argument("--gone", action="store_true", help="those that are gone")
    which.add_argument("--all", action="store_true", help="those that are gone, too")
    command.add_argument(
        "--sort",
        metavar="KEY",
        help="number (the default), name, epoch, step, created, size, or a metric, the "
        "best first",
    )
    command.add_argument("--reverse", action="store_true", help="the other way round")
    command.add_argument(
        "--limit",
        metavar="N",
        type=_count,
        help="no more than N: the first ones, and without --sort the newest",
    )
    form = command.add_mutually_exclusive_group()
    _json(form)
    form.add_argument("--csv", action="store_true", help="for spreadsheets")

    command = commands.add(
        "show",
        "_cli_looking.show_version",
        "show all that is known of one version, also of one that is gone",
        "show runs/digits best\nshow runs/digits 3 --json",
    )
    _selector(command)
    _json(command)

    command = commands.add(
        "path",
        "_cli_looking.show_path",
        "print the directory of one version, and nothing else",
        "path runs/digits best\npath runs/digits 'best:val_accuracy:max~1'",
    )
    _selector(command)
    _json(command)

    command = commands.add(
        "diff",
        "_cli_comparing.show_difference",
        "compare two versions: metrics, configuration, and how far the weights of each "
        "layer moved",
        "diff runs/digits best latest\ndiff runs/digits 3 7 --limit 5",
    )
    command.add_argument("before", metavar="A", type=_as_selector, help=_SELECTOR)
    command.add_argument("after", metavar="B", type=_as_selector, help="another one")
    command.add_argument(
        "--limit", metavar="N", type=_count, help="no more than N layers"
    )
    _json(command)

    command = commands.add(
        "watch",
        "_cli_watching.watch",
        "show versions as they come and go, until Ctrl-C",
        "watch runs/digits\nwatch runs/digits --json --interval 5",
    )
    command.add_argument(
        "--interval",
        metavar="SECONDS",
        type=_seconds,
        default=1.0,
        help="how often to look; 1 by default",
    )
    _json(command)


def _keeping(commands: _Commands) -> None:
    command = commands.add(
        "explain",
        "_cli_keeping.explain",
        "say what a retention policy would keep and remove, and why",
        "explain runs/digits --retention 'KeepLast(3) | KeepDaily(7)'",
    )
    _retention(command)
    _json(command)

    command = commands.add(
        "prune",
        "_cli_keeping.prune",
        "remove what a retention policy does not keep, after a look at the plan",
        "prune runs/digits --retention 'KeepLast(3) | KeepBest(2)'\n"
        "prune runs/digits --retention 'KeepWithin(\"7 days\")' --yes",
    )
    _retention(command)
    command.add_argument("--yes", action="store_true", help="do not ask")
    command.add_argument("--dry-run", action="store_true", help="remove nothing")
    _json(command)

    command = commands.add(
        "tag",
        "_cli_keeping.tag",
        "put a tag on a version, which is then never pruned",
        "tag runs/digits best prod",
    )
    _selector(command)
    command.add_argument("tag", metavar="TAG", help="taken off what had it before")
    _json(command)

    command = commands.add(
        "untag", "_cli_keeping.untag", "take a tag off", "untag runs/digits prod"
    )
    command.add_argument("tag", metavar="TAG", help="the tag")
    _json(command)


def _checking(commands: _Commands) -> None:
    command = commands.add(
        "verify",
        "_cli_checking.verify",
        "read every file and compare it with its manifest",
        "verify runs/digits",
    )
    _json(command)

    command = commands.add(
        "repair",
        "_cli_checking.repair",
        "put the store in order; what is damaged is moved aside, not deleted",
        "repair runs/digits",
    )
    _json(command)

    command = commands.add(
        "load-test",
        "_cli_checking.load_test",
        "load versions with Keras, and say what came of it",
        "load-test runs/digits best\nload-test runs/weights --all --model train:build",
    )
    command.add_argument(
        "selector",
        metavar="SELECTOR",
        type=_as_selector,
        nargs="?",
        default="latest",
        help=f"{_SELECTOR}; latest by default",
    )
    command.add_argument("--all", action="store_true", help="every version")
    command.add_argument(
        "--model",
        metavar="MODULE:FUNCTION",
        help="what makes the model that weights are loaded into",
    )
    command.add_argument(
        "--import",
        metavar="MODULE",
        dest="modules",
        action="append",
        default=[],
        help="import it first, for the classes that it registers",
    )
    command.add_argument(
        "--trust-code",
        action="store_true",
        help="load what may run code: SavedModel folders and older .h5 files",
    )
    _json(command)


def _moving(commands: _Commands) -> None:
    command = commands.add(
        "export",
        "_cli_moving.export",
        "copy the file of one version out of the store",
        "export runs/digits best best.keras",
    )
    _selector(command)
    command.add_argument(
        "output",
        metavar="OUTPUT",
        help="a new file or folder, or where to put it",
    )
    _json(command)

    command = commands.add(
        "import",
        "_cli_moving.import_",
        "save as versions what is elsewhere: files of ModelCheckpoint, folders with "
        "numbers or times in their names, SavedModel folders; the originals stay "
        "as they are",
        "import runs/digits checkpoints "
        "--template 'weights.{epoch:02d}-{val_loss:.2f}.keras'\n"
        "import runs/digits my_models --dry-run\n"
        "import runs/digits my_models/version_3 old.h5 --link",
    )
    command.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="a file; or a folder, of which all that lies in it is taken",
    )
    command.add_argument(
        "--template",
        metavar="TEMPLATE",
        help="what the files were named by; epochs and metrics are read by it",
    )
    command.add_argument(
        "--timezone",
        metavar="ZONE",
        default="UTC",
        help="of the times in names; UTC by default",
    )
    command.add_argument(
        "--naming",
        metavar="TEMPLATE",
        default="version_{number}",
        help="what the versions are called; version_{number} by default",
    )
    command.add_argument(
        "--link",
        action="store_true",
        help="hard-link the files instead of copying them: no space is taken, and who "
        "writes into an original damages its version",
    )
    command.add_argument(
        "--monitor", metavar="NAME", help="what the best is the best by"
    )
    command.add_argument("--mode", choices=("min", "max"), help="which is better of it")
    command.add_argument("--dry-run", action="store_true", help="import nothing")
    _json(command)

    command = commands.add(
        "report",
        "_cli_moving.report",
        "write a page that tells about the store, for a browser",
        "report runs/digits -o report.html",
    )
    command.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="report.html",
        help="report.html by default",
    )
    command.add_argument("--metric", metavar="NAME", help="what the curve shows")
    command.add_argument(
        "--no-verify", action="store_true", help="do not read every file first"
    )
    _json(command)


def _selector(command: Any) -> None:
    command.add_argument(
        "selector", metavar="SELECTOR", type=_as_selector, help=_SELECTOR
    )


def _json(command: Any) -> None:
    command.add_argument("--json", action="store_true", help="for scripts")


def _retention(command: Any) -> None:
    command.add_argument(
        "--retention",
        metavar="POLICY",
        type=_as_retention,
        required=True,
        help="rules joined with |, such as 'KeepLast(3) | KeepBest(2, \"val_loss\")'",
    )


# What is read here and is wrong is an error of the command line.


def _as_retention(text: str) -> Any:
    from keras_versioned_ckpt._parsing import parse_retention

    try:
        return parse_retention(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _as_selector(text: str) -> Any:
    from keras_versioned_ckpt.selectors import as_selector

    try:
        return as_selector(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _count(text: str) -> int:
    # Longer ones are none that Python reads.
    if not text.isdecimal() or len(text) > 4000 or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f"it must be a whole number of 1 or more. Received: {shown(text)}"
        )
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(
            f"it must be a number of seconds in 0.05..86400. Received: {shown(text)}"
        )
    return seconds
