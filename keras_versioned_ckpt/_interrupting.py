"""Signals while a training runs: noted first, obeyed when the training has ended.

The first signal is only noted, so that training can be brought to an end in good order;
`pass_on` gives it the effect that it would have had. It has that effect at once when a
second signal comes, and when its time of grace is over: then the earlier handlers are
put back and the signal is sent again.

Where a signal would have ended the process, the end of its grace does, whatever the
main thread is busy with. What the parent process sees then is

=====================================  ==============================================
the main thread                        status
=====================================  ==============================================
runs Python, or waits                  that of the signal, such as -15
is in C, without Python's lock         that of the signal, half a second later
is in C, and keeps Python's lock       that of SIGALRM, a second later
=====================================  ==============================================

In the last case the process goes on until C returns if somebody else uses SIGALRM, and
on Windows. A process that cannot die of the signal, such as the first one of a
container, exits with 128 + the signal, as a shell would say it.

The grace begins when the signal comes, or later: the next time the main thread runs
Python, if somebody else has taken what wakes up on signals (`signal.set_wakeup_fd`), or
if the main thread is in C at that moment and keeps Python's lock.

A forked process has the earlier handlers from its first step.
"""

import _thread
import contextlib
import ctypes
import itertools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any

# What has no handler, and ends no process: it is passed over, or stops for a while.
_SURVIVED = frozenset(
    getattr(signal, name)
    for name in (
        *("SIGCHLD", "SIGURG", "SIGWINCH", "SIGCONT", "SIGTSTP", "SIGTTIN", "SIGTTOU"),
    )
    if hasattr(signal, name)
)
# How long the main thread may take to run a handler, and a process to die of a signal.
_PATIENCE_SECONDS = 0.5
_DYING_SECONDS = 0.1
# More than this, about thirty years, is more than some timers take.
_LONGEST_GRACE_SECONDS = 1e9
# And this is the longest single wait that sockets take everywhere.
_LONGEST_WAIT_SECONDS = 86_400.0
# What the watcher is told: the number of a signal as C writes it; with this bit, that
# its grace begins; and 0, that the watch is over.
_GRACE_BEGINS = 0x80

# All that are installed, the oldest first. They act together: two callbacks in one
# training are told of the same signal, and only the last to be restored passes it on.
_installed: list["Interruptions"] = []


class Interruptions:
    """Takes over signals from `install` to `restore`; as a context manager, inside it.

    Args:
        signals: The number of each signal, and its time of grace in seconds or `None`.

    Example:

    >>> import signal
    >>> from keras_versioned_ckpt._interrupting import Interruptions
    >>> with Interruptions({signal.SIGTERM: None}) as interruptions:
    ...     signal.raise_signal(signal.SIGTERM)
    ...     interruptions.received == signal.SIGTERM
    True
    """

    def __init__(self, signals: Mapping[int, float | None]) -> None:
        self._graces = dict(signals)
        self._earlier: dict[int, Any] = {}
        self._received: int | None = None
        self._passed_on = False
        self._overdue = False
        self._uses_timer = False
        self._watcher: threading.Thread | None = None

    @property
    def received(self) -> int | None:
        """The number of the first signal that came, or `None`."""
        return self._received

    def install(self) -> None:
        """Takes over the signals.

        Raises:
            ValueError: If this is not the main thread, if a signal has a handler that
                could not be put back, or if this is installed already.
        """
        thread = threading.current_thread()
        if thread is not threading.main_thread():
            raise ValueError(
                "`OnSignal` must be used in the main thread, the only one in which "
                f"Python handles signals. Received: thread={thread.name!r}. "
                "Call `fit` in the main thread, or leave `OnSignal` out."
            )
        if self in _installed:
            raise ValueError("`install` must be called once before each `restore`.")
        self._earlier = {number: signal.getsignal(number) for number in self._graces}
        for number, handler in self._earlier.items():
            if _is_from_c(number, handler):
                raise ValueError(
                    "`OnSignal` must be given signals whose handlers can be put back. "
                    f"Received: signals={number!r}, whose handler was not installed "
                    "from Python."
                )
        self._received = None
        self._passed_on = False
        self._overdue = False
        # Counting with it is a single step, which no other signal interrupts.
        self._arrivals = itertools.count()
        self._watcher = None
        if any(grace is not None for grace in self._graces.values()):
            self._start_watching()
        _installed.append(self)
        for number in self._graces:
            signal.signal(number, self._handle)

    def restore(self) -> None:
        """Puts the earlier handlers back, but over nobody else's; may be repeated.

        A signal that comes while it runs is noted, or has its effect: look at
        `received` afterwards, or call `pass_on` in any case.
        """
        self._put_back()
        if self._watcher is not None:
            self._watcher.join()
            self._outbox.close()

    def pass_on(self) -> None:
        """Restores, and gives the signal that came, if any, to its earlier handler.

        Nothing happens where that handler has had it, since a second one came or its
        time was over.

        That of SIGINT raises `KeyboardInterrupt` out of this call, unless somebody
        changed it. What has no handler of its own ends the process with the status of
        the signal.
        """
        self.restore()
        if self._received is None or self._passed_on:
            return
        if any(other._received is not None for other in _installed):
            return  # which has noted the same signal, and will pass it on
        self._passed_on = True
        _deliver(self._received)

    def __enter__(self) -> "Interruptions":
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.restore()

    # What a handler does, in the main thread, between any two steps of it and of this
    # very code: no locks, no output, nothing that breaks when it is done twice.

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self not in _installed:
            self._leave_to_earlier(number, frame)
            return
        together = tuple(_installed)
        earlier_signals = [next(one._arrivals) for one in together]
        overdue = any(one._overdue for one in together)
        for one in together:
            one._note(number)
        if not any(earlier_signals) and not overdue:
            for one in together:
                one._begin_grace(number)
            return
        for one in reversed(together):
            one._put_back()
            one._passed_on |= one._received == number
        if not overdue:
            _deliver(number)
            return
        has_handler = signal.getsignal(number) != signal.SIG_DFL
        signal.raise_signal(number)
        if not has_handler:
            os._exit(128 + number)

    def _leave_to_earlier(self, number: int, frame: FrameType | None) -> None:
        """Is invisible, to whoever put this handler back or still calls it."""
        handler = self._earlier[number]
        if callable(handler):
            handler(number, frame)
        elif handler == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _note(self, number: int) -> None:
        if number in self._graces and self._received is None:
            self._received = number

    def _put_back(self, *, forked: bool = False) -> None:
        if self not in _installed:
            return
        for number, earlier in self._earlier.items():
            for other in _installed:
                # Who came later must not put back what is out of use.
                if other._earlier.get(number) == self._handle:
                    other._earlier[number] = earlier
            if signal.getsignal(number) == self._handle:
                signal.signal(number, earlier)
        with contextlib.suppress(ValueError):  # a second signal was faster
            _installed.remove(self)
        self._stop_timer()
        self._stop_watching(forked=forked)

    # The time of grace. A thread watches it, which C wakes up as soon as a signal
    # comes, also while the main thread does not run Python.

    def _start_watching(self) -> None:
        self._inbox, self._outbox = socket.socketpair()
        self._outbox.setblocking(False)
        self._watcher = threading.Thread(
            target=self._watch, name="VersionedCheckpoint signals", daemon=True
        )
        self._watcher.start()
        fd = self._outbox.fileno()
        taken = signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        if taken != -1:
            signal.set_wakeup_fd(taken, warn_on_full_buffer=False)

    def _stop_watching(self, *, forked: bool) -> None:
        if self._watcher is None:
            return
        fd = signal.set_wakeup_fd(-1)
        if fd != self._outbox.fileno():
            signal.set_wakeup_fd(fd, warn_on_full_buffer=False)
        if forked:  # what is told would be heard by the parent
            self._inbox.close()
            self._outbox.close()
        else:
            self._tell(0)

    def _tell(self, what: int) -> None:
        # Closed by now, or so full that nothing new can be in it.
        with contextlib.suppress(OSError):
            self._outbox.send(bytes([what]))

    def _begin_grace(self, number: int) -> None:
        grace = self._graces.get(number)
        if grace is not None:
            self._tell(number | _GRACE_BEGINS)
            self._start_timer(number, grace)

    def _watch(self) -> None:
        """Runs in the thread."""
        with self._inbox:
            number = self._which_grace_begins()
            if number == 0 or self._is_over_within(self._graces[number] or 0.0):
                return
            self._overdue = True
            _knock(number)
            if not self._is_over_within(_PATIENCE_SECONDS) and self._is_fatal(number):
                _die(number)

    def _which_grace_begins(self) -> int:
        """Waits for the first signal with a time of grace; 0 if none came."""
        while told := self._heard():
            if told & _GRACE_BEGINS:
                return told & ~_GRACE_BEGINS
            # C writes of every signal, also of those that are handled by others.
            if _owner(signal.getsignal(told)) is not None:
                for one in tuple(_installed):
                    one._begin_grace(told)
        return 0

    def _is_over_within(self, seconds: float) -> bool:
        end = time.monotonic() + min(seconds, _LONGEST_GRACE_SECONDS)
        while (left := end - time.monotonic()) > 0:
            self._inbox.settimeout(min(left, _LONGEST_WAIT_SECONDS))
            with contextlib.suppress(TimeoutError):
                if self._heard() == 0:
                    return True
        return False

    def _heard(self) -> int:
        told = self._inbox.recv(1)
        return told[0] if told else 0

    def _is_fatal(self, number: int) -> bool:
        handler = self._earlier[number]
        while owner := _owner(handler):
            handler = owner._earlier[number]
        return bool(handler == signal.SIG_DFL)

    # The last resort: the system's timer ends the process without asking Python, while
    # the thread above waits in vain for the lock.

    def _start_timer(self, number: int, grace: float) -> None:
        if sys.platform == "win32" or self._uses_timer or not self._is_fatal(number):
            return
        if (
            signal.getsignal(signal.SIGALRM) != signal.SIG_DFL
            or signal.getitimer(signal.ITIMER_REAL)[0] > 0
        ):
            return
        end = min(grace, _LONGEST_GRACE_SECONDS) + 2 * _PATIENCE_SECONDS
        signal.setitimer(signal.ITIMER_REAL, end)
        self._uses_timer = True
        # In the thread, all this may have happened during `_put_back`.
        if self not in _installed:
            self._stop_timer()

    def _stop_timer(self) -> None:
        if sys.platform != "win32" and self._uses_timer:
            self._uses_timer = False
            signal.setitimer(signal.ITIMER_REAL, 0)


def _is_from_c(number: int, handler: object) -> bool:
    """Returns whether C would call something else than what Python remembers."""
    if handler in (signal.SIG_DFL, signal.SIG_IGN):
        with contextlib.suppress(AttributeError):
            get_handler = ctypes.pythonapi.PyOS_getsig
            get_handler.restype = ctypes.c_void_p
            return (get_handler(ctypes.c_int(number)) or 0) != handler
    return handler is None


def _owner(handler: object) -> Interruptions | None:
    owner = getattr(handler, "__self__", None)
    return owner if isinstance(owner, Interruptions) else None


def _knock(number: int) -> None:
    """Makes the main thread run the handler, and come out of what can be left."""
    if sys.platform == "win32":
        _thread.interrupt_main(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)


def _deliver(number: int) -> None:
    """Sends a signal to whoever handles it now; raises `SystemExit` if it must kill.

    A process that it cannot kill is the first one of a container.
    """
    fatal = signal.getsignal(number) == signal.SIG_DFL and number not in _SURVIVED
    signal.raise_signal(number)
    if fatal:
        raise SystemExit(128 + number)


def _die(number: int) -> None:
    """Ends the process from any thread; it dies of the signal where it can."""
    # What `signal.signal` calls, and refuses to outside of the main thread.
    with contextlib.suppress(AttributeError):
        ctypes.pythonapi.PyOS_setsig(ctypes.c_int(number), ctypes.c_void_p(None))
        os.kill(os.getpid(), number)
        time.sleep(_DYING_SECONDS)
    os._exit(128 + number)


# A fork has the earlier handlers from the start. The signals are blocked meanwhile, or
# one that comes too early would be told to the parent, whose sockets it still shares.
_forking = threading.local()


def _before_fork() -> None:
    if _installed:
        numbers = {number for one in _installed for number in one._graces}
        _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def _after_fork(*, forked: bool) -> None:
    mask = vars(_forking).pop("mask", None)
    if mask is None:
        return
    if forked:
        for one in reversed(tuple(_installed)):
            one._put_back(forked=True)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


if sys.platform != "win32":
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(forked=False),
        after_in_child=lambda: _after_fork(forked=True),
    )
