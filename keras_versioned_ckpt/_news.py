"""When a training tells the user something: lines between progress bars, warnings once.

What the lines say is the matter of `_telling.py`.
"""

import logging
import sys
import warnings

import keras

from keras_versioned_ckpt.errors import CheckpointWarning

_log = logging.getLogger("keras_versioned_ckpt")


class News:
    """Lines that wait for a moment at which no progress bar has a line open."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """Has a line told later; may be called on any thread."""
        self._lines.append(line)

    def tell(self, verbose: int) -> None:
        """Prints what there is to tell, or forgets it if `verbose` is 0.

        As Keras prints: to standard output, or where that is switched off
        (`keras.config.disable_interactive_logging`), to the log.
        """
        while self._lines:
            line = self._lines.pop(0)
            if not verbose:
                continue
            if keras.config.is_interactive_logging_enabled():
                encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
                # A metric may have a name that this stream has no letters for.
                data = line.encode(encoding, "backslashreplace")
                print(data.decode(encoding), flush=True)
            else:
                _log.info(line)


class Warnings:
    """Warnings that one training gives once each, however often they apply."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def once(self, text: str, *, stacklevel: int) -> None:
        """Warns, if this was not said before.

        Args:
            text: The warning.
            stacklevel: As `warnings.warn` has it, counted from the caller.
        """
        if text not in self._said:
            self._said.add(text)
            warnings.warn(text, CheckpointWarning, stacklevel=stacklevel + 1)
