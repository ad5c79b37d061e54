"""`keras-ckpt`: a store from the shell.

Exit codes: 0 done; 1 the store or version is missing, damaged or unsafe, `verify` found
something wrong, or the answer to a question was no; 2 the command line is wrong; 130
stopped by Ctrl-C; 141 nobody reads on, as behind `head`.

A shell waits for every import, so that each command imports what it needs. Those that
list import neither Keras nor NumPy.
"""

import os
import sys
from collections.abc import Sequence

from keras_versioned_ckpt import _console, _parser
from keras_versioned_ckpt._messages import reason
from keras_versioned_ckpt.errors import CheckpointError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after the program's name. Defaults to `sys.argv`.

    Returns:
        The exit code.
    """
    _console.prepare()
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except (CheckpointError, ValueError, ImportError) as error:
        _console.complain(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _stop_writing()
        return 141
    except OSError as error:
        _console.complain(reason(error))
        _stop_writing()
    return 1


def _run(arguments: Sequence[str] | None) -> int:
    parser = _parser.parser()
    if "_ARGCOMPLETE" in os.environ:
        from keras_versioned_ckpt import _completing

        _completing.complete(parser)
    options = parser.parse_args(arguments)
    return int(options.run(options))


def _stop_writing() -> None:
    """Lets go of what cannot be written: Python tries once more at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
