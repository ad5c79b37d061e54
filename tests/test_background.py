"""One job at a time, whose failure is never lost."""

import threading

import pytest

from keras_versioned_ckpt import CheckpointWarning
from keras_versioned_ckpt._background import Background


def fails() -> None:
    """What a job does that goes wrong."""
    raise OSError("no luck")


def test_jobs_run_one_after_the_other() -> None:
    """The second begins when the first has ended."""
    background, done = Background(), []
    first_may_end = threading.Event()
    background.start(lambda: (first_may_end.wait(10), done.append(1)))  # type: ignore
    assert background.busy
    threading.Timer(0.05, first_may_end.set).start()
    background.start(lambda: done.append(2))
    background.wait()
    assert done == [1, 2]
    assert not background.busy


def test_a_failure_is_raised_once() -> None:
    """By the next call that may raise, and not again."""
    background = Background()
    background.start(fails)
    with pytest.raises(OSError, match="no luck"):
        background.wait()
    background.wait()
    background.raise_failure()


def test_a_failure_stops_the_next_job() -> None:
    """The job that comes after a failed one does not begin."""
    background, done = Background(), []
    background.start(fails)
    with pytest.raises(OSError, match="no luck"):
        background.start(lambda: done.append(1))
    assert done == []


def test_a_failure_that_nobody_asked_for_is_a_warning() -> None:
    """When the object goes, at the latest when the interpreter does."""
    holder = [Background()]
    holder[0].start(fails)
    assert holder[0]._thread is not None
    holder[0]._thread.join()
    with pytest.warns(CheckpointWarning, match="nobody waited for it: no luck"):
        holder.clear()
