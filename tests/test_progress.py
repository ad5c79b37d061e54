"""What a training counts, between saves and over them."""

from keras_versioned_ckpt._progress import Progress
from keras_versioned_ckpt._training_state import TrainingState
from keras_versioned_ckpt.records import Event, Moment


def moment(progress: Progress, event: Event, step: int | None = None) -> Moment:
    """Returns a moment of which nothing is measured."""
    return progress.moment(event, step=step, metrics={}, best={}, signal=None)


def test_batches_are_counted_where_keras_skips_some() -> None:
    """With `steps_per_execution=3`, it speaks of the third and the sixth."""
    progress = Progress(lambda: 0.0, 0, None)
    progress.begin_epoch(0, 0)
    progress.end_batch(2)
    progress.end_batch(5)
    assert progress.batch_inside == 6
    assert moment(progress, "batch_end").batches_since_fired == 6
    progress.note_fired()
    progress.end_epoch(0)
    assert progress.batch_inside is None
    assert moment(progress, "epoch_end").batches_since_fired == 0


def test_a_moment_knows_the_one_before_it() -> None:
    """Steps lie between them, and between it and the last save."""
    now = [0.0]
    progress = Progress(lambda: now[0], 10, None)
    first = moment(progress, "epoch_end", 15)
    assert (first.previous_step, first.step, first.steps_since_save) == (10, 15, None)
    progress.note_save(15)
    now[0] = 60.0
    second = moment(progress, "epoch_end", 18)
    assert (second.previous_step, second.step, second.steps_since_save) == (15, 18, 3)
    assert second.seconds_since_save == 60.0


def test_nobody_asks_the_model() -> None:
    """Then no steps went by."""
    progress = Progress(lambda: 0.0, 10, None)
    assert moment(progress, "batch_end").step == 10


def test_an_epoch_is_a_step_where_no_optimizer_counts() -> None:
    """At the same place there is nothing new to save."""
    progress = Progress(lambda: 0.0, None, None)
    progress.end_epoch(0)
    progress.note_save(0)
    assert moment(progress, "train_end", 0).steps_since_save == 0
    progress.end_epoch(1)
    assert moment(progress, "epoch_end", 0).steps_since_save == 1


def test_batches_without_a_step_are_new() -> None:
    """Gradients that accumulate make no step for a while; it is not 0 that went by."""
    progress = Progress(lambda: 0.0, 5, None)
    progress.end_batch(0)
    progress.note_save(5)
    assert moment(progress, "exception", 5).steps_since_save == 0
    progress.end_batch(1)
    assert moment(progress, "exception", 5).steps_since_save is None


def test_goes_on_counting_where_another_training_ended() -> None:
    """As if that one had saved in this process."""
    state = TrainingState(epoch=3, batch=4, step=7, batches_since_fired=2)
    progress = Progress(lambda: 0.0, 7, state)
    progress.begin_epoch(3, 4)
    progress.end_batch(4)
    progress.end_batch(5)
    at = moment(progress, "batch_end", 9)
    assert (at.epoch, at.batches_since_fired, at.steps_since_save) == (3, 4, 2)
