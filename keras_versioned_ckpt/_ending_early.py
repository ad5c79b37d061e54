"""What ends a training before its time: signals and errors, and what they must not do.

`_interrupting.py` takes the signals over, and `_fit.py` hears of the errors.
"""

import contextlib
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from keras_versioned_ckpt import _fit
from keras_versioned_ckpt._interrupting import Interruptions
from keras_versioned_ckpt.errors import CheckpointWarning, SaveError
from keras_versioned_ckpt.records import Event
from keras_versioned_ckpt.triggers import Trigger


def is_heard_of(trigger: Trigger) -> bool:
    """Returns whether a trigger saves when a signal or an error ends the training."""
    return bool(trigger.signals) or trigger.catches_exceptions


class EarlyEnd:
    """The end of one training, if it comes before its time.

    Args:
        trigger: Which signals are taken over, and whether errors are heard of.
        running: The `fit`; `None` if it is not found.
        failed: Called with what is about to end the training, as `Fit.guard` has it.
    """

    def __init__(
        self,
        trigger: Trigger,
        running: _fit.Fit | None,
        failed: Callable[[BaseException, bool], None],
    ) -> None:
        self._trigger = trigger
        self._running = running
        self._failed = failed
        self._is_begun = False
        self._interruptions: Interruptions | None = None

    def take_over(self, model: Callable[[], Any]) -> None:
        """Takes over signals, and what ends a training, when it really begins.

        Before that, a callback may raise where nobody would give them back.

        Args:
            model: Returns the `keras.Model`.
        """
        if self._is_begun:
            return
        self._is_begun = True
        signals = dict(self._trigger.signals)
        if self._trigger.catches_exceptions and _in_main_thread():
            signals.setdefault(signal.SIGINT, None)
        if signals:
            self._interruptions = Interruptions(signals)
            self._interruptions.install()
        if self._running is not None and is_heard_of(self._trigger):
            self._running.guard(model(), self._failed)

    @property
    def received(self) -> int | None:
        """The number of the signal that has come, or `None`."""
        return self._interruptions.received if self._interruptions else None

    @property
    def event(self) -> Event:
        """What that signal is to triggers: one of theirs, or Ctrl-C as an error."""
        return "signal" if self.received in self._trigger.signals else "exception"

    def stop(self, model: Any) -> None:
        """Has `fit` end after this batch."""
        if self._running is not None:
            self._running.stop(model)
        else:
            model.stop_training = True

    @contextlib.contextmanager
    def no_failure_holds_up_a_signal(self) -> Iterator[None]:
        """Has a save that failed be a warning, once a signal waits for its effect.

        The process may be about to die of it, and then nobody would see an error.
        """
        try:
            yield
        except SaveError as error:
            number = self.received
            if number is None:
                raise
            warn_of_failure(f"signal {number}", error, stacklevel=2)

    def restore(self) -> None:
        """Gives the signals back; may be repeated."""
        if self._interruptions is not None:
            self._interruptions.restore()

    def pass_on(self) -> None:
        """Gives the signal that has come, if any, the effect that it would have had."""
        if self._interruptions is not None:
            self._interruptions.pass_on()


def warn_of_failure(ended_by: str, error: Exception, *, stacklevel: int) -> None:
    """Says that the last state is lost, where to raise would hide what ended it."""
    warnings.warn(
        f"Training ended by {ended_by}, and its last state could not be saved: {error}",
        CheckpointWarning,
        stacklevel=stacklevel + 1,
    )


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
