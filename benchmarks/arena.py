"""Measures single saves in a real `fit`: in hooks, until durable, and back to back.

All contestants train with the same model in the same `fit`. They take turns: each
epoch is one contestant's, in an order that is rotated every round, and only that
one is told of the epoch, its batches and its end. To a callback this is a `fit`
of its own, with its own count of epochs. After each turn the save is waited for
and the disk comes to rest, so that turns do not disturb one another.
"""

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import contest
import keras
import models
from peers import Contestant, enter

CALLBACKS = (
    contest.OURS,
    contest.OURS_FOREGROUND,
    contest.MODEL_CHECKPOINT,
    contest.BY_HAND,
    contest.ORBAX,
    contest.ORBAX_FOREGROUND,
)
BACK_TO_BACK = (contest.OURS, contest.MODEL_CHECKPOINT, contest.ORBAX)
SAVES_IN_A_ROW = 4


def turns(contestants: Sequence[Any], rounds: int) -> Iterator[tuple[int, Any]]:
    """Yields round numbers and contestants, each round in another order."""
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in [*contestants[first:], *contestants[:first]]:
            yield number, contestant


class Arena(keras.callbacks.Callback):
    """Gives each epoch of a `fit` to one contestant, and takes the time of its save.

    Args:
        contestants: Who takes turns.
        rounds: How often, with the first round, which warms up and does not count.
        in_a_row: How many saves a turn is. Those after the first are made by
            calling the hooks of further epochs at once, as if training took no
            time; the model and its state are those of the running `fit`.

    Attributes:
        hooks: Seconds of the calling thread per save, by contestant, a list.
        done: Seconds from the first hook's begin until all is done, the same.
    """

    def __init__(
        self, contestants: Sequence[Contestant], rounds: int, in_a_row: int = 1
    ) -> None:
        super().__init__()
        self.contestants = contestants
        self.epochs = rounds * len(contestants)
        self.hooks: dict[str, list[float]] = {c.name: [] for c in contestants}
        self.done: dict[str, list[float]] = {c.name: [] for c in contestants}
        self._in_a_row = in_a_row
        self._turns = turns(contestants, rounds)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Passes it on."""
        for contestant in self.contestants:
            contestant.callback.set_params(params)

    def set_model(self, model: keras.Model) -> None:
        """Passes it on."""
        for contestant in self.contestants:
            contestant.callback.set_model(model)

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        """Passes it on."""
        for contestant in self.contestants:
            contestant.callback.on_train_begin(logs)

    def on_epoch_begin(
        self, epoch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        """Begins a turn."""
        self._round, self._contestant = next(self._turns)
        begun = time.perf_counter()
        self._contestant.begin()
        self._before_end = time.perf_counter() - begun

    def on_train_batch_end(
        self, batch: int, logs: Mapping[str, float] | None = None
    ) -> None:
        """Passes it on to the one whose turn it is."""
        begun = time.perf_counter()
        self._contestant.callback.on_train_batch_end(batch, logs)
        self._before_end += time.perf_counter() - begun

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Lets the one whose turn it is save, and waits for it."""
        contestant = self._contestant
        begun = time.perf_counter()
        contestant.save(logs)
        for _ in range(self._in_a_row - 1):
            contestant.begin()
            contestant.save(logs)
        returned = time.perf_counter()
        contestant.wait()
        done = time.perf_counter()
        if self._round > 0:
            in_hooks = self._before_end + returned - begun
            self.hooks[contestant.name].append(in_hooks / self._in_a_row)
            self.done[contestant.name].append(done - begun)
        contestant.tidy()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        """Passes it on."""
        for contestant in self.contestants:
            contestant.callback.on_train_end(logs)


def play(model: keras.Model, arena: Arena) -> None:
    """Trains as long as the contestants take turns, a step between saves."""
    x = models.samples(model.input_shape[-1], 1)
    os.sync()
    model.fit(
        x,
        x,
        batch_size=models.BATCH,
        epochs=arena.epochs,
        verbose=0,
        callbacks=[arena],
    )


def saves(
    widths: Mapping[str, int],
    rounds: int,
    apart: Sequence[str],
    in_a_row: Sequence[str],
    directory: str,
) -> dict[str, Any]:
    """Measures saves of several models.

    Args:
        widths: Of the models, by size.
        rounds: How many rounds count.
        apart: The sizes to save one by one.
        in_a_row: The sizes to save back to back.
        directory: Where to save.

    Returns:
        By size and measurement: for saves apart, seconds by contestant; for saves
        in a row, bytes per second.
    """
    found: dict[str, Any] = {}
    for size in dict.fromkeys([*apart, *in_a_row]):
        model = models.trained(widths[size])
        content = models.content(model)
        home = Path(directory) / size
        found[size] = {"bytes": content.nbytes}
        if size in apart:
            names = (*CALLBACKS, contest.MEMCPY, contest.RAW_WRITE)
            arena = Arena([enter(n, home, content) for n in names], rounds + 1)
            play(model, arena)
            del arena.done[contest.MEMCPY]  # copies, and makes nothing durable
            found[size] |= {"hooks": arena.hooks, "durable": arena.done}
        if size in in_a_row:
            arena = Arena(
                [enter(n, home / "row", content) for n in BACK_TO_BACK],
                rounds + 1,
                SAVES_IN_A_ROW,
            )
            play(model, arena)
            written = SAVES_IN_A_ROW * content.nbytes
            found[size]["row"] = {
                name: [written / seconds for seconds in taken]
                for name, taken in arena.done.items()
            }
        shutil.rmtree(home)
    return found
