"""Keras checkpoints that are never overwritten, never half-written, and easy to find.

Every save is a new, immutable, verified version at a path of its own. Four small
questions have four small policies: when to save, what to call it, which to keep,
which to load.

Names are imported when they are first used, so that the store and the policies
work without Keras and open in milliseconds.
"""

import importlib
from typing import TYPE_CHECKING, Any

from keras_versioned_ckpt._version import __version__

# For type checkers; a test compares it with the table below.
if TYPE_CHECKING:
    from keras_versioned_ckpt.callback import VersionedCheckpoint as VersionedCheckpoint
    from keras_versioned_ckpt.errors import (
        CheckpointError as CheckpointError,
    )
    from keras_versioned_ckpt.errors import (
        CheckpointWarning as CheckpointWarning,
    )
    from keras_versioned_ckpt.errors import (
        CorruptVersionError as CorruptVersionError,
    )
    from keras_versioned_ckpt.errors import (
        ResumeError as ResumeError,
    )
    from keras_versioned_ckpt.errors import (
        SaveError as SaveError,
    )
    from keras_versioned_ckpt.errors import (
        StoreError as StoreError,
    )
    from keras_versioned_ckpt.errors import (
        StoreNotFoundError as StoreNotFoundError,
    )
    from keras_versioned_ckpt.errors import (
        UnsafeVersionError as UnsafeVersionError,
    )
    from keras_versioned_ckpt.errors import (
        VersionNotFoundError as VersionNotFoundError,
    )
    from keras_versioned_ckpt.loading import (
        load_best as load_best,
    )
    from keras_versioned_ckpt.loading import (
        load_checkpoint as load_checkpoint,
    )
    from keras_versioned_ckpt.loading import (
        load_latest as load_latest,
    )
    from keras_versioned_ckpt.loading import (
        load_version as load_version,
    )
    from keras_versioned_ckpt.naming import Numbered as Numbered
    from keras_versioned_ckpt.naming import Template as Template
    from keras_versioned_ckpt.naming import Timestamped as Timestamped
    from keras_versioned_ckpt.records import HistoryEntry as HistoryEntry
    from keras_versioned_ckpt.records import Version as Version
    from keras_versioned_ckpt.retention import (
        KeepAll as KeepAll,
    )
    from keras_versioned_ckpt.retention import (
        KeepBest as KeepBest,
    )
    from keras_versioned_ckpt.retention import (
        KeepDaily as KeepDaily,
    )
    from keras_versioned_ckpt.retention import (
        KeepEvery as KeepEvery,
    )
    from keras_versioned_ckpt.retention import (
        KeepHourly as KeepHourly,
    )
    from keras_versioned_ckpt.retention import (
        KeepLast as KeepLast,
    )
    from keras_versioned_ckpt.retention import (
        KeepMonthly as KeepMonthly,
    )
    from keras_versioned_ckpt.retention import (
        KeepSize as KeepSize,
    )
    from keras_versioned_ckpt.retention import (
        KeepTagged as KeepTagged,
    )
    from keras_versioned_ckpt.retention import (
        KeepWeekly as KeepWeekly,
    )
    from keras_versioned_ckpt.retention import (
        KeepWithin as KeepWithin,
    )
    from keras_versioned_ckpt.retention import (
        KeepYearly as KeepYearly,
    )
    from keras_versioned_ckpt.saving import save_version as save_version
    from keras_versioned_ckpt.selectors import (
        AsOf as AsOf,
    )
    from keras_versioned_ckpt.selectors import (
        AtEpoch as AtEpoch,
    )
    from keras_versioned_ckpt.selectors import (
        AtStep as AtStep,
    )
    from keras_versioned_ckpt.selectors import (
        Best as Best,
    )
    from keras_versioned_ckpt.selectors import (
        Latest as Latest,
    )
    from keras_versioned_ckpt.selectors import (
        Named as Named,
    )
    from keras_versioned_ckpt.selectors import (
        Number as Number,
    )
    from keras_versioned_ckpt.selectors import (
        Tagged as Tagged,
    )
    from keras_versioned_ckpt.store import CheckpointStore as CheckpointStore
    from keras_versioned_ckpt.triggers import (
        EveryBatches as EveryBatches,
    )
    from keras_versioned_ckpt.triggers import (
        EveryEpochs as EveryEpochs,
    )
    from keras_versioned_ckpt.triggers import (
        EveryInterval as EveryInterval,
    )
    from keras_versioned_ckpt.triggers import (
        EverySteps as EverySteps,
    )
    from keras_versioned_ckpt.triggers import (
        OnException as OnException,
    )
    from keras_versioned_ckpt.triggers import (
        OnImprovement as OnImprovement,
    )
    from keras_versioned_ckpt.triggers import (
        OnSignal as OnSignal,
    )
    from keras_versioned_ckpt.triggers import (
        OnTrainEnd as OnTrainEnd,
    )


# Where each public name lives.
_HOMES = {
    "callback": ("VersionedCheckpoint",),
    "errors": (
        "CheckpointError",
        "CheckpointWarning",
        "CorruptVersionError",
        "ResumeError",
        "SaveError",
        "StoreError",
        "StoreNotFoundError",
        "UnsafeVersionError",
        "VersionNotFoundError",
    ),
    "loading": ("load_best", "load_checkpoint", "load_latest", "load_version"),
    "naming": ("Numbered", "Template", "Timestamped"),
    "records": ("HistoryEntry", "Version"),
    "retention": (
        "KeepAll",
        "KeepBest",
        "KeepDaily",
        "KeepEvery",
        "KeepHourly",
        "KeepLast",
        "KeepMonthly",
        "KeepSize",
        "KeepTagged",
        "KeepWeekly",
        "KeepWithin",
        "KeepYearly",
    ),
    "saving": ("save_version",),
    "selectors": (
        "AsOf",
        "AtEpoch",
        "AtStep",
        "Best",
        "Latest",
        "Named",
        "Number",
        "Tagged",
    ),
    "store": ("CheckpointStore",),
    "triggers": (
        "EveryBatches",
        "EveryEpochs",
        "EveryInterval",
        "EverySteps",
        "OnException",
        "OnImprovement",
        "OnSignal",
        "OnTrainEnd",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *_HOME_OF]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
