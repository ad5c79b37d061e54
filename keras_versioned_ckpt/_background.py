"""One job at a time on a thread of its own, whose failure is never lost."""

import threading
import warnings
import weakref
from collections.abc import Callable

from keras_versioned_ckpt.errors import CheckpointWarning


class Background:
    """Runs jobs one after the other; the caller decides when to wait.

    The thread is no daemon, so that the interpreter completes a job in flight
    before it exits. A failure that nobody has asked for by then is reported as
    a warning.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._failures: list[BaseException] = []
        weakref.finalize(self, _report, self._failures)

    @property
    def busy(self) -> bool:
        """Whether a job is in flight."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, job: Callable[[], None]) -> None:
        """Runs `job` on a thread, after the one in flight."""
        self.wait()
        self._thread = threading.Thread(
            target=_run, args=(job, self._failures), name="VersionedCheckpoint"
        )
        self._thread.start()

    def wait(self) -> None:
        """Waits for the job in flight and raises its failure, once."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raises the failure of a job that has ended, once; never waits."""
        if self._failures:
            raise self._failures.pop()


def _run(job: Callable[[], None], failures: list[BaseException]) -> None:
    # Not an `except` that swallows: the failure is raised on the thread that
    # trains, at its next hook, where somebody can see it.
    try:
        job()
    except BaseException as error:
        failures.append(error)


def _report(failures: list[BaseException]) -> None:
    for error in failures:
        warnings.warn(
            f"A save failed and nobody waited for it: {error}",
            CheckpointWarning,
            stacklevel=1,
        )
