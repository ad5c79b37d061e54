"""Signals while a training runs: real processes, and real signals from outside.

Each program prints a line when it is where the signal shall find it. What is measured
is the time from the end of the grace to the end of the process; `pytest -s` shows it.
"""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from signal import SIGALRM, SIGINT, SIGTERM, SIGURG, SIGUSR1, SIGUSR2

import pytest

from tests.stores import ROOT

START = """
import ctypes, faulthandler, os, re, socket, sys, threading, time, itertools
from signal import *
from keras_versioned_ckpt._interrupting import Interruptions

# What runs in the background of a shell begins with SIGINT ignored.
signal(SIGINT, default_int_handler)

def say(*words):
    print(*words, flush=True)

def until_noted(interruptions):
    while interruptions.received is None:
        pass

handled = []

def handler(number, frame):
    handled.append(number)
    say("handled", number)

def joined(thread):
    thread.start()
    thread.join()

libc, keeping_the_lock = ctypes.CDLL(None), ctypes.PyDLL(None)
mutex = ctypes.create_string_buffer(256)
libc.pthread_mutex_init(mutex, None)
libc.pthread_mutex_lock(mutex)
"""


@contextmanager
def program(text: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Runs a program in a process of its own, which is gone afterwards."""
    with subprocess.Popen(
        [
            *(sys.executable, "-u", "-c", START + textwrap.dedent(text)),
            *map(str, arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def says(process: subprocess.Popen[str]) -> str:
    """Returns the next line that a program prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    """Returns the status, what was still printed, and the errors."""
    out, err = process.communicate(timeout=20)
    return process.returncode, out.splitlines(), err


def result(text: str, *arguments: object) -> list[str]:
    """Returns what a program prints that needs no signal from outside."""
    with program(text, *arguments) as process:
        status, out, err = end(process)
    assert status == 0, err
    assert err == ""
    return out


# The effect that the signal would have had

PASS_ON = """
number, earlier = int(sys.argv[1]), eval(sys.argv[2])
signal(number, earlier)
with Interruptions({number: None}) as interruptions:
    say("ready")
    until_noted(interruptions)
    say("noted", interruptions.received)
try:
    interruptions.pass_on()
    interruptions.pass_on()
except KeyboardInterrupt:
    say("interrupted")
say("goes on", getsignal(number) == earlier)
"""


@pytest.mark.parametrize("number", [SIGTERM, SIGUSR1, SIGINT])
@pytest.mark.parametrize(
    ("earlier", "effect"),
    [
        ("SIG_DFL", []),
        ("SIG_IGN", ["goes on True"]),
        ("handler", ["handled {}", "goes on True"]),
        ("default_int_handler", ["interrupted", "goes on True"]),
    ],
)
def test_pass_on(number: int, earlier: str, effect: list[str]) -> None:
    """It kills, does nothing, calls the handler once, or raises out of the call."""
    with program(PASS_ON, int(number), earlier) as process:
        assert says(process) == "ready"
        process.send_signal(number)
        status, out, err = end(process)
    assert status == (0 if effect else -number)
    assert out == [
        f"noted {int(number)}",
        *(line.format(int(number)) for line in effect),
    ]
    assert err == ""


def test_nothing_to_pass_on() -> None:
    """Where no signal came, nothing happens."""
    assert result("""
        interruptions = Interruptions({SIGTERM: None, SIGINT: 60})
        interruptions.install()
        interruptions.pass_on()
        say(interruptions.received, getsignal(SIGTERM) == SIG_DFL)
    """) == ["None True"]


def test_no_signal_is_lost() -> None:
    """Whenever it comes, before, while or after it is taken over: it has its effect."""
    with program("""
        signal(SIGUSR1, handler)
        say("ready")
        while len(handled) < 200:
            interruptions = Interruptions({SIGUSR1: 60})
            interruptions.install()
            interruptions.pass_on()
    """) as process:
        assert says(process) == "ready"
        for _ in range(200):
            process.send_signal(SIGUSR1)
            assert says(process) == f"handled {int(SIGUSR1)}"
        assert end(process) == (0, [], "")


# A second signal

SECOND = """
with Interruptions({SIGTERM: 60, SIGINT: None}) as interruptions:
    try:
        say("ready")
        until_noted(interruptions)
        say("noted", interruptions.received)
        while True:
            pass
    except KeyboardInterrupt:
        say("interrupted", getsignal(SIGTERM) == SIG_DFL)
interruptions.pass_on()
say("goes on")
"""


@pytest.mark.parametrize(
    ("first", "second", "status", "effect"),
    [
        (SIGTERM, SIGTERM, -SIGTERM, []),
        (SIGINT, SIGTERM, -SIGTERM, []),
        (SIGINT, SIGINT, 0, ["interrupted True", "goes on"]),
        # The second has had its effect, the first has not.
        (SIGTERM, SIGINT, -SIGTERM, ["interrupted True"]),
    ],
)
def test_a_second_signal_is_obeyed_at_once(
    first: int, second: int, status: int, effect: list[str]
) -> None:
    """It finds the handlers as they were; what it has done is not done again."""
    with program(SECOND) as process:
        assert says(process) == "ready"
        process.send_signal(first)
        assert says(process) == f"noted {int(first)}"
        process.send_signal(second)
        assert end(process) == (status, effect, "")


# The grace

GRACE = """
number, grace = int(sys.argv[1]), float(sys.argv[2])
with Interruptions({number: grace}) as interruptions:
    if sys.argv[3] == "after":
        say("ready")
        until_noted(interruptions)
    else:
        say("ready")
    eval(sys.argv[4])
    say("came out")
    while True:
        pass
"""


@pytest.mark.parametrize(
    ("busy", "when", "status", "extra_seconds"),
    [
        ("[None for _ in itertools.count() if False]", "before", SIGTERM, 0),
        ("time.sleep(60)", "before", SIGTERM, 0),
        (
            "joined(threading.Thread(target=time.sleep, args=[60], daemon=True))",
            "before",
            SIGTERM,
            0,
        ),
        (
            "threading.Barrier(2).wait()",
            "before",
            SIGTERM,
            0,
        ),
        ("socket.socketpair()[0].recv(1)", "before", SIGTERM, 0),
        # In C, but comes out when a signal arrives.
        ("libc.sleep(60)", "before", SIGTERM, 0),
        # In C, and comes out never.
        ("libc.pthread_mutex_lock(mutex)", "before", SIGTERM, 0.5),
        ("libc.pthread_mutex_lock(mutex)", "after", SIGTERM, 0.5),
        # In C with Python's lock: handles signals now and then, or never.
        ("re.match('(a+)+b', 'a' * 60)", "before", SIGALRM, 1),
        ("keeping_the_lock.pthread_mutex_lock(mutex)", "after", SIGALRM, 1),
        ("sum(itertools.repeat(0))", "after", SIGALRM, 1),
    ],
)
def test_grace_is_over(busy: str, when: str, status: int, extra_seconds: float) -> None:
    """Whatever the main thread does, the process is gone."""
    grace = 0.3
    with program(GRACE, int(SIGTERM), grace, when, busy) as process:
        assert says(process) == "ready"
        if when == "before":
            asleep(process)
        sent = time.monotonic()
        process.send_signal(SIGTERM)
        process.wait(timeout=20)
        over = time.monotonic() - sent - grace
        print(
            f"{over * 1000:7.1f} ms after the grace: {signal.Signals(status).name}, "
            f"{when} {busy}"
        )
        assert process.returncode == -status
    assert extra_seconds - 0.01 < over < extra_seconds + 3


def asleep(process: subprocess.Popen[str]) -> None:
    """Waits until a program has had time to get where it stays."""
    time.sleep(0.05)
    assert process.poll() is None


def test_grace_of_a_signal_that_the_process_does_not_die_of() -> None:
    """As SIGTERM for the first process of a container: the status tells the signal."""
    with program(GRACE, int(SIGURG), 0.2, "before", "time.sleep(60)") as process:
        assert says(process) == "ready"
        process.send_signal(SIGURG)
        assert end(process) == (128 + SIGURG, [], "")


def test_grace_of_a_signal_that_the_process_does_not_die_of_in_c() -> None:
    """And the same from the other thread."""
    busy = "libc.pthread_mutex_lock(mutex)"
    with program(GRACE, int(SIGURG), 0.2, "before", busy) as process:
        assert says(process) == "ready"
        process.send_signal(SIGURG)
        assert end(process) == (128 + SIGURG, [], "")


@pytest.mark.parametrize("busy", ["time.sleep(60)", "libc.sleep(60)"])
def test_grace_of_a_signal_with_a_handler_in_python(busy: str) -> None:
    """Its handler is called, here Python's own, and nobody is killed."""
    with program(f"""
        interruptions = Interruptions({{SIGINT: 0.2}})
        interruptions.install()
        try:
            say("ready")
            {busy}
            while True:
                pass
        except KeyboardInterrupt:
            say("interrupted")
        interruptions.pass_on()
        say(getitimer(ITIMER_REAL)[0])
    """) as process:
        assert says(process) == "ready"
        process.send_signal(SIGINT)
        assert end(process) == (0, ["interrupted", "0.0"], "")


def test_grace_that_is_kept() -> None:
    """After `restore` nobody waits any longer: no timer, no thread, no descriptor."""
    assert result("""
        descriptors = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc") else 0
        with Interruptions({SIGTERM: 0.3}) as interruptions:
            raise_signal(SIGTERM)
            say(getitimer(ITIMER_REAL)[0] > 0, threading.active_count())
        say(getitimer(ITIMER_REAL)[0], threading.active_count(), set_wakeup_fd(-1))
        if descriptors:
            assert set(os.listdir("/proc/self/fd")) == descriptors
        time.sleep(0.4)
        say("is there")
    """) == ["True 2", "0.0 1 -1", "is there"]


def test_grace_beside_somebody_elses_timer_and_descriptor() -> None:
    """What others use is left to them; the grace is kept all the same."""
    with program("""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        set_wakeup_fd(theirs.fileno())
        signal(SIGALRM, handler)
        setitimer(ITIMER_REAL, 60)
        with Interruptions({SIGTERM: 60}):
            pass
        assert set_wakeup_fd(theirs.fileno()) == theirs.fileno()
        assert getitimer(ITIMER_REAL)[0] > 50
        with Interruptions({SIGTERM: 0.2}):
            say("ready")
            assert ours.recv(1)[0] == SIGTERM
            say("told")
            time.sleep(60)
    """) as process:
        assert says(process) == "ready"
        process.send_signal(SIGTERM)
        assert end(process) == (-SIGTERM, ["told"], "")


def test_grace_of_thousand_years() -> None:
    """A time that no timer takes is as good as none."""
    assert result("""
        with Interruptions({SIGTERM: 1e300}) as interruptions:
            raise_signal(SIGTERM)
            assert not threading.Event().wait(0.05)
            say(interruptions.received == SIGTERM, threading.active_count())
    """) == ["True 2"]


# Forked processes

FORK = """
signal(SIGTERM, eval(sys.argv[1]))
interruptions = Interruptions({SIGTERM: 0.2, SIGINT: None})
interruptions.install()

def fork():
    child = os.fork()
    if child == 0:
        assert set_wakeup_fd(-1) == -1
        say("child", os.getpid())
        eval(sys.argv[2])
        interruptions.pass_on()
        say("child goes on", interruptions.received)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    say("status", os.waitstatus_to_exitcode(status))

if sys.argv[3] == "main":
    fork()
else:
    thread = threading.Thread(target=fork)
    thread.start()
    thread.join()
time.sleep(0.4)
say("received", interruptions.received, getitimer(ITIMER_REAL)[0])
assert getsignal(SIGTERM) == interruptions._handle
interruptions.restore()
"""


@pytest.mark.parametrize("thread", ["main", "another"])
@pytest.mark.parametrize(
    ("earlier", "busy", "ends"),
    [
        ("SIG_DFL", "time.sleep(60)", [f"status {-SIGTERM}"]),
        (
            "SIG_DFL",
            "keeping_the_lock.pthread_mutex_lock(mutex)",
            [f"status {-SIGTERM}"],
        ),
        ("SIG_IGN", "time.sleep(0.2)", ["child goes on None", "status 0"]),
        (
            "handler",
            "[None for _ in iter(lambda: bool(handled), True)]",
            [f"handled {int(SIGTERM)}", "child goes on None", "status 0"],
        ),
    ],
)
def test_forked_process(earlier: str, busy: str, ends: list[str], thread: str) -> None:
    """It has the earlier handlers, and its signals are none of its parent's."""
    with program(FORK, earlier, busy, thread) as process:
        word, child = says(process).split()
        assert word == "child"
        os.kill(int(child), SIGTERM)
        assert end(process) == (0, [*ends, "received None 0.0"], "")


def test_signals_to_a_process_that_is_being_forked() -> None:
    """Not one is noted by the parent, however early it comes."""
    assert result("""
        with Interruptions({SIGTERM: 0.1}) as interruptions:
            for _ in range(100):
                child = os.fork()
                if child == 0:
                    while True:
                        pause()
                os.kill(child, SIGTERM)
                _, status = os.waitpid(child, 0)
                assert os.WTERMSIG(status) == SIGTERM
            time.sleep(0.2)
            say(interruptions.received, interruptions._overdue)
    """) == ["None False"]


# Handlers of others


def test_handlers_are_as_they_were() -> None:
    """Every one is put back, and once is enough."""
    assert result("""
        before = {SIGTERM: SIG_DFL, SIGINT: default_int_handler, SIGHUP: SIG_IGN,
                  SIGUSR1: handler}
        for number, earlier in before.items():
            signal(number, earlier)
        interruptions = Interruptions(dict.fromkeys(before))
        for _ in range(2):
            interruptions.install()
            assert all(getsignal(number) != before[number] for number in before)
            interruptions.restore()
            interruptions.restore()
            say({number: getsignal(number) for number in before} == before)
    """) == ["True", "True"]


@pytest.mark.parametrize("chains", [True, False])
def test_restore_below_somebody_elses_handler(chains: bool) -> None:
    """A handler that was installed on top stays; what it hands down is passed on."""
    with program(
        """
        signal(SIGUSR1, handler)
        def on_top(number, frame):
            say("on top")
            if sys.argv[1] == "True":
                below(number, frame)
        with Interruptions({SIGUSR1: 60, SIGTERM: None}) as interruptions:
            below = signal(SIGUSR1, on_top)
            raise_signal(SIGUSR1)
            say(interruptions.received)
        say(getsignal(SIGUSR1) == on_top, getsignal(SIGTERM) == SIG_DFL)
        raise_signal(SIGUSR1)
        # Put back by somebody who does not know that it is out of use.
        signal(SIGUSR1, below)
        raise_signal(SIGUSR1)
        signal(SIGTERM, interruptions._handle)
        say("ready")
        time.sleep(60)
        """,
        chains,
    ) as process:
        handed_down = [f"handled {int(SIGUSR1)}"] if chains else []
        received = str(int(SIGUSR1)) if chains else "None"
        lines = ["on top", received, "True True", "on top", *handed_down]
        lines += [f"handled {int(SIGUSR1)}", "ready"]
        assert [says(process) for _ in lines] == lines
        process.send_signal(SIGTERM)
        assert end(process) == (-SIGTERM, [], "")


@pytest.mark.parametrize("order", ["first, second", "second, first"])
def test_two_at_once(order: str) -> None:
    """Both take note, and the signal is passed on when both are through."""
    with program(
        """
        first, second = Interruptions({SIGTERM: None}), Interruptions({SIGTERM: 60})
        first.install()
        second.install()
        raise_signal(SIGTERM)
        say(first.received == second.received == SIGTERM)
        for one in eval(sys.argv[1]):
            say("passes on")
            one.pass_on()
        """,
        order,
    ) as process:
        assert end(process) == (-SIGTERM, ["True", "passes on", "passes on"], "")


def test_two_at_once_that_no_signal_finds() -> None:
    """In whichever order they are restored, the handlers are as they were."""
    assert result("""
        for _ in range(2):
            pair = Interruptions({SIGTERM: 60}), Interruptions({SIGTERM: 60})
            for one in pair:
                one.install()
            for one in pair if _ else reversed(pair):
                one.restore()
            say(getsignal(SIGTERM) == SIG_DFL, set_wakeup_fd(-1))
    """) == ["True -1", "True -1"]


def test_two_at_once_with_a_grace() -> None:
    """The shorter one counts, whoever is on top."""
    with program("""
        first, second = Interruptions({SIGTERM: 0.2}), Interruptions({SIGTERM: 60})
        first.install()
        second.install()
        say("ready")
        libc.pthread_mutex_lock(mutex)
    """) as process:
        assert says(process) == "ready"
        process.send_signal(SIGTERM)
        assert end(process) == (-SIGTERM, [], "")


# Refused


def test_not_in_the_main_thread() -> None:
    """Python gives signals to no other thread."""
    assert result("""
        def install():
            try:
                Interruptions({SIGTERM: None}).install()
            except ValueError as error:
                say(error)
        thread = threading.Thread(target=install, name="trainer")
        thread.start()
        thread.join()
        say(getsignal(SIGTERM) == SIG_DFL)
    """) == [
        "`OnSignal` must be used in the main thread, the only one in which Python "
        "handles signals. Received: thread='trainer'. Call `fit` in the main thread, "
        "or leave `OnSignal` out.",
        "True",
    ]


def test_a_handler_from_c() -> None:
    """What Python does not know it cannot put back."""
    number = int(SIGUSR2)
    assert result("""
        faulthandler.register(SIGUSR2)
        try:
            Interruptions({SIGTERM: 5, int(SIGUSR2): 5}).install()
        except ValueError as error:
            say(error)
        say(getsignal(SIGTERM) == SIG_DFL, threading.active_count())
    """) == [
        "`OnSignal` must be given signals whose handlers can be put back. Received: "
        f"signals={number}, whose handler was not installed from Python.",
        "True 1",
    ]


def test_installed_twice() -> None:
    """It would put its own handler back."""
    assert result("""
        with Interruptions({SIGTERM: None}) as interruptions:
            try:
                interruptions.install()
            except ValueError as error:
                say(error)
        say(getsignal(SIGTERM) == SIG_DFL)
    """) == ["`install` must be called once before each `restore`.", "True"]
