"""What is measured, who takes part, and which ratios the project aims at.

Words and numbers only: this file imports neither Keras nor a rival, so that the
process which asks, tabulates and draws stays small. Who is measured, and how,
stands in the files that `PARTS` names.
"""

import dataclasses

OURS = "VersionedCheckpoint"
OURS_FOREGROUND = "VersionedCheckpoint, foreground"
MODEL_CHECKPOINT = "ModelCheckpoint"
ORBAX = "OrbaxCheckpoint"
ORBAX_FOREGROUND = "OrbaxCheckpoint, foreground"
BY_HAND = "model.save() by hand"
MEMCPY = "warm memcpy"
RAW_WRITE = "raw write + fsync"
NO_SAVING = "no saving"
LEAST_FIT = "20 x the background, per epoch"
BYTES_SAVED = "bytes saved"

LOAD_LATEST = "load_latest(dir)"
LOAD_LATEST_INTO = "load_latest(dir, model=m)"
LOAD_MODEL = "keras.saving.load_model(file)"
LOAD_WEIGHTS = "m.load_weights(file)"

SIZES = ("small", "quarter", "middle", "large")
# Units per layer of each of eight layers: with the state of Adam 100 kB, 25 MB,
# 100 MB and 400 MB; and what `--quick` takes instead.
WIDTHS = dict(zip(SIZES, (32, 512, 1024, 2048), strict=True))
QUICK_WIDTHS = dict(zip(SIZES, (32, 64, 128, 256), strict=True))


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One block of the table.

    Args:
        letter: What `--only` calls it; several blocks may share a letter.
        title: What it says, for people.
        unit: `"s"`, `"B"` or `"B/s"`.
        reference: The contestant that ratios are taken to.
    """

    letter: str
    title: str
    unit: str
    reference: str


MEASUREMENTS = {
    "hooks": Measurement("a", "Time in hooks per save, saves apart", "s", MEMCPY),
    "fit": Measurement("b", "Whole fit, a save per epoch", "s", NO_SAVING),
    # Durable and hashed: ours. Orbax syncs what it writes, the others do neither.
    "durable": Measurement("c", "Save begun until all of it is done", "s", RAW_WRITE),
    "row": Measurement("d", "Back to back, throughput", "B/s", MODEL_CHECKPOINT),
    "memory": Measurement("e", "Extra peak memory", "B", BYTES_SAVED),
    "growth": Measurement("e", "Growth of that peak over the saves", "B", BYTES_SAVED),
    "load": Measurement("f", "Load a model, .keras", "s", LOAD_MODEL),
    "load_keras": Measurement("f", "Load into a model, .keras", "s", LOAD_WEIGHTS),
    "load_h5": Measurement("f", "Load into a model, .weights.h5", "s", LOAD_WEIGHTS),
}
LETTERS = {
    "a": "time in hooks",
    "b": "whole fit",
    "c": "save begun until durable",
    "d": "back to back",
    "e": "memory",
    "f": "loading",
}


@dataclasses.dataclass(frozen=True)
class Target:
    """A ratio to reach, for each of the named sizes of model.

    Args:
        measurement: A key of `MEASUREMENTS`.
        contestant: Who has to reach it.
        reference: What its median is divided by.
        limit: The ratio.
        sizes: Which models it is asked of.
        at_least: Whether more is better. Defaults to `False`.
    """

    measurement: str
    contestant: str
    reference: str
    limit: float
    sizes: tuple[str, ...]
    at_least: bool = False


TARGETS = (
    Target("hooks", OURS, MEMCPY, 1.5, ("large",)),
    Target("hooks", OURS, MODEL_CHECKPOINT, 1 / 10, ("large",)),
    Target("hooks", OURS, ORBAX, 1 / 10, ("large",)),
    Target("hooks", OURS, MODEL_CHECKPOINT, 1 / 3, ("small",)),
    Target("fit", OURS, NO_SAVING, 1.05, ("small", "quarter")),
    Target("durable", OURS, RAW_WRITE, 1.5, ("large",)),
    Target("row", OURS, MODEL_CHECKPOINT, 1.5, ("small", "middle"), at_least=True),
    Target("memory", OURS, BYTES_SAVED, 1.1, ("middle",)),
    # "Flat": what 90 more saves add is within the noise of such a process.
    Target("growth", OURS, BYTES_SAVED, 0.05, ("middle",)),
    Target("load", LOAD_LATEST, LOAD_MODEL, 0.6, ("large",)),
    Target("load_keras", LOAD_LATEST_INTO, LOAD_WEIGHTS, 1.2, ("large",)),
    Target("load_h5", LOAD_LATEST_INTO, LOAD_WEIGHTS, 1.2, ("large",)),
)
