"""Trains until a signal comes: `python -m tests.interrupted STORE WHERE BEFORE NUMBER`.

Args on the command line: the store; where to stand still until signals come ("training"
or "validating"); the number of signals to wait for; and what handles them beforehand:
"default", "ignored", "handler".
"""

import os
import signal
import sys
import time
from typing import Any

import keras

from keras_versioned_ckpt import EveryEpochs, OnException, OnSignal, VersionedCheckpoint
from tests.training import digits, inputs, network


class Wait(keras.callbacks.Callback):
    """Says that it is there, and lets some time pass in each batch from then on."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where
        self._batches = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Counts batches of the training."""
        self._batches += 1
        self._stand("training")

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Looks at those of validations."""
        self._stand("validating")

    def _stand(self, where: str) -> None:
        if where == self._where and self._batches > 9:
            print("here", flush=True)
            time.sleep(0.3)


def main() -> None:
    """Trains, and says how it ended."""
    directory, where, before, *numbers = sys.argv[1:]
    signals = [int(number) for number in numbers]
    seen: list[int] = []
    earlier = {
        "default": signal.SIG_DFL,
        "ignored": signal.SIG_IGN,
        "handler": lambda number, _: seen.append(number),
    }[before]
    for number in signals:
        # What runs in the background of a shell begins with SIGINT ignored.
        is_ctrl_c = number == signal.SIGINT and before == "default"
        signal.signal(number, signal.default_int_handler if is_ctrl_c else earlier)
    installed = {number: signal.getsignal(number) for number in signals}
    keras.utils.set_random_seed(5)
    x, y = digits()
    trigger = EveryEpochs() | OnException()
    others = [number for number in signals if number != signal.SIGINT]
    if others:
        trigger = trigger | OnSignal(*others, grace_seconds=20)
    history = network().fit(
        **inputs("arrays"),
        epochs=6,
        validation_data=(x[:50], y[:50]),
        verbose=0,
        callbacks=[VersionedCheckpoint(directory, save_freq=trigger), Wait(where)],
    )
    same = {number: signal.getsignal(number) for number in signals} == installed
    print(f"epochs {history.epoch} seen {seen} handlers {same}", flush=True)
    os._exit(7)


if __name__ == "__main__":
    main()
