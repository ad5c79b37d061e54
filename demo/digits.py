"""The main job, end to end: train, never overwrite, load the best elsewhere.

A small convolutional network learns the 1,797 scanned digits that ship with
scikit-learn. The store is `runs/digits` unless a directory is given; it is made
anew by every demo.

    python demo/digits.py [DIRECTORY]
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_versioned_ckpt import (
    CheckpointStore,
    KeepAll,
    KeepBest,
    KeepLast,
    VersionedCheckpoint,
    load_best,
)
from keras_versioned_ckpt._table import history_table, version_table

EPOCHS = 8
POLICY = KeepLast(3) | KeepBest(2)


def data():
    """Returns training and validation images, 8 by 8 by 1 in 0..1, and labels."""
    digits = load_digits()
    images = digits.images[..., None].astype("float32") / 16.0
    return train_test_split(images, digits.target, test_size=0.25, random_state=0)


def network(seed):
    """Returns a small convolutional network, compiled."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.25),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(directory, seed, retention):
    """Trains once, with a version per epoch, and returns the run's id."""
    x, x_val, y, y_val = data()
    checkpoint = VersionedCheckpoint(
        directory, monitor="val_accuracy", retention=retention
    )
    network(seed).fit(
        x,
        y,
        validation_data=(x_val, y_val),
        epochs=EPOCHS,
        verbose=2,
        callbacks=[checkpoint],
    )
    return checkpoint.latest.run_id


def evaluate(directory):
    """What the new process does: loads the best version and evaluates it."""
    _, x_val, _, y_val = data()
    model = load_best(directory)
    print(model.evaluate(x_val, y_val, verbose=0, return_dict=True)["accuracy"])


def show(store, plan):
    """Prints the store with the reasons of a plan, and what is gone from it."""
    print(f"\nThe store {store.path}:\n")
    print(version_table(store.versions, plan.reasons))
    print("\nRemoved, and why:\n")
    print(history_table(entry for entry in store.history if entry.gone))


def best_in_a_new_process(store):
    """Loads the best version in another process and compares its accuracy."""
    best = store.best()
    print(f"\nA new process loads the best version, {best.name}, and evaluates it:")
    printed = subprocess.run(
        [sys.executable, __file__, "--evaluate", str(store.path)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    measured, recorded = float(printed.split()[-1]), best.metrics["val_accuracy"]
    print(f"  accuracy there       {measured:.6f}")
    print(f"  val_accuracy saved   {recorded:.6f}")
    if abs(measured - recorded) > 1e-6:
        sys.exit("The accuracy is not the one in the manifest.")
    print("  They are equal.")


def content(store):
    """Returns every file of every version with its bytes."""
    return {
        path.relative_to(store.path): path.read_bytes()
        for version in store
        for path in version.path.rglob("*")
        if path.is_file()
    }


def main(directory):
    """Runs the demo."""
    shutil.rmtree(directory, ignore_errors=True)
    print(f"First run, keeping {POLICY!r}\n")
    first = train(directory, seed=1, retention=POLICY)
    store = CheckpointStore(directory)
    show(store, store.prune(POLICY, dry_run=True))
    best_in_a_new_process(store)

    # A policy speaks of all versions in a store, also those of other runs. The
    # second run keeps everything, so that whatever changes here is a fault.
    print("\nSecond run, into the same store, keeping everything\n")
    before = content(store)
    second = train(directory, seed=2, retention=None)
    after = content(store)
    show(store, store.prune(KeepAll(), dry_run=True))
    touched = [path for path in before if after.get(path) != before[path]]
    print(f"\nFiles of the first run before the second one: {len(before)}")
    print(f"Of these changed or gone after it: {len(touched)}")
    if touched:
        sys.exit(f"The second run touched {touched}.")
    best_in_a_new_process(store)
    winner = store.best()
    which = {first: "first", second: "second"}[winner.run_id]
    print(f"\nThe best of both runs, {winner.name}, is of the {which} one.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--evaluate"]:
        evaluate(sys.argv[2])
    else:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/digits"))
