"""Trains on scikit-learn's digits to the end, however often it is stopped.

Started again with the same directory, it goes on where it was. The status is 0 when the
training is done and that of the signal when one stopped it, which a shell shows as 143
for SIGTERM and 138 for SIGUSR1 on Linux.

    python examples/train_until_done.py [DIRECTORY]
"""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from keras_versioned_ckpt import EveryEpochs, OnException, OnSignal, VersionedCheckpoint

EPOCHS = int(os.environ.get("EPOCHS", "30"))
DIRECTORY = sys.argv[1] if len(sys.argv) > 1 else "runs/until_done"

# Without a seed, a training that goes on is another one than that which was stopped.
keras.utils.set_random_seed(1)

images, labels = load_digits(return_X_y=True)
x, x_val, y, y_val = train_test_split(
    images.astype("float32") / 16.0, labels, test_size=0.25, random_state=0
)
model = keras.Sequential(
    [
        keras.Input((64,)),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dropout(0.25),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

checkpoint = VersionedCheckpoint(
    DIRECTORY,
    save_freq=EveryEpochs()
    | OnSignal("SIGUSR1", "SIGTERM", grace_seconds=25)
    | OnException(),
    keep_last=2,
    resume=True,
)
history = model.fit(
    x,
    y,
    validation_data=(x_val, y_val),
    epochs=EPOCHS,
    verbose=0,
    callbacks=[checkpoint],
)
# Where somebody has the signals ignored, the training ends, and `fit` returns.
if len(history.epoch) < EPOCHS:
    sys.exit(f"Stopped after {len(history.epoch)} of {EPOCHS} epochs.")
logs = {name: values[-1] for name, values in history.history.items()}
print(f"val_accuracy {logs['val_accuracy']:.4f}, val_loss {logs['val_loss']:.9f}")
