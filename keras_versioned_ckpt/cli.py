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
from keras_versioned_ckpt.errors import CheckpointError


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: The words after the program's name. Defaults to `sys.argv`.

    Returns:
        The exit code.
    """
    parser = _parser.parser()
    if "_ARGCOMPLETE" in os.environ:
        from keras_versioned_ckpt import _completing

        _completing.complete(parser)
    options = parser.parse_args(arguments)
    try:
        code = int(options.run(options))
        sys.stdout.flush()
    except (CheckpointError, ValueError, ImportError) as error:
        _console.complain(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Python flushes once more at its end, and would tell of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


if __name__ == "__main__":
    sys.exit(main())
