"""The frozen values that everything else speaks in.

`Version` is one saved checkpoint as the store knows it, `Moment` is what is
known when a save is possible, `HistoryEntry` is what a store remembers of a
version, and `FrozenMapping` is the read-only dictionary they hold.
"""

import dataclasses
import functools
import importlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

Event = Literal["batch_end", "epoch_end", "train_end", "signal", "exception"]

_K = TypeVar("_K")
_V = TypeVar("_V")


class FrozenMapping(Mapping[_K, _V], Generic[_K, _V]):
    """A read-only dictionary that pickles and compares equal to a `dict`."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[_K, _V] | None = None) -> None:
        self._items = dict(items or {})

    def __getitem__(self, key: _K) -> _V:
        return self._items[key]

    def __iter__(self) -> Iterator[_K]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Version:
    """One saved, immutable checkpoint, as its manifest describes it.

    Args:
        number: Order of commit in the store, from 1; never used twice.
        created: When the version was committed; an aware `datetime`, kept in UTC.
        name: Name of the version's directory; `"version_{number}"` by default.
        path: The version's directory, or `None` for a record that is not on disk.
        epoch: Completed epochs, counted from 1 as Keras prints them.
        step: Optimizer updates so far.
        batch: Batches into the epoch after `epoch`, for a version saved in the
            middle of one; `None` at the end of an epoch and outside training.
        metrics: Metric names and their values at the moment of the save.
        size_bytes: Size of the payload, all files together, in bytes.
        format: `"keras"`, `"weights"` or `"saved_model"`; `"h5"` for an older file
            that was imported.
        tags: The user's names for this version.
        parent: Number of the version that this one continues, if any.
        run_id: Identifies the call of `fit` that saved it.
        monitor: The metric by which that run called a version the best.
        mode: `"min"` or `"max"`: which direction of `monitor` is better.
        modes: `"min"` or `"max"` for each metric of which Keras knew the direction.
        metadata: What the user put into `metadata=`.

    Raises:
        TypeError: If `number` is not an integer or `created` is not a `datetime`.
        ValueError: If `number` is below 1, or `created` has no time zone.

    Example:

    >>> from datetime import UTC, datetime
    >>> from keras_versioned_ckpt import Version
    >>> version = Version(number=3, created=datetime(2026, 11, 20, tzinfo=UTC),
    ...                   metrics={"val_loss": 0.25})
    >>> version.name, version.metrics["val_loss"]
    ('version_3', 0.25)
    """

    number: int
    created: datetime
    name: str = ""
    path: Path | None = None
    epoch: int | None = None
    step: int | None = None
    batch: int | None = None
    metrics: Mapping[str, float] = dataclasses.field(
        default_factory=FrozenMapping, hash=False
    )
    size_bytes: int = 0
    format: str = "keras"
    tags: tuple[str, ...] = ()
    parent: int | None = None
    run_id: str | None = None
    monitor: str | None = None
    mode: str | None = None
    modes: Mapping[str, str] = dataclasses.field(
        default_factory=FrozenMapping, hash=False
    )
    metadata: Mapping[str, Any] = dataclasses.field(
        default_factory=FrozenMapping, hash=False
    )

    def __post_init__(self) -> None:
        if not isinstance(self.number, int) or isinstance(self.number, bool):
            raise TypeError(
                f"`number` must be an integer. Received: number={self.number!r}"
            )
        if self.number < 1:
            raise ValueError(
                f"`number` must be 1 or more. Received: number={self.number!r}"
            )
        if not isinstance(self.created, datetime):
            raise TypeError(
                "`created` must be a `datetime.datetime`. "
                f"Received: created={self.created!r}"
            )
        if self.created.tzinfo is None:
            raise ValueError(
                "`created` must have a time zone. "
                f"Received: created={self.created!r}. "
                "Pass for example `datetime.now(timezone.utc)`."
            )
        set_field = functools.partial(object.__setattr__, self)
        set_field("created", self.created.astimezone(UTC))
        set_field("name", self.name or f"version_{self.number}")
        set_field("tags", tuple(sorted(self.tags)))
        for name in ("metrics", "modes", "metadata"):
            if not isinstance(getattr(self, name), FrozenMapping):
                set_field(name, FrozenMapping(getattr(self, name)))

    def load(self, **options: Any) -> Any:
        """Loads this version, as `load_version(directory, number)` does.

        Args:
            **options: The options of `load_version`: `model`, `custom_objects`,
                `compile`, `safe_mode`, `verify`, `trust_code`.

        Returns:
            A `keras.Model`, or for a SavedModel what `load_version` gives.

        Raises:
            CheckpointError: If the version is gone, damaged or unsafe.

        Example:

        ```python
        model = CheckpointStore("runs/digits").best("val_accuracy", "max").load()
        ```
        """
        # The one way from a record up to the layer that knows Keras. It is
        # taken by name at the call, so that records import nothing above them.
        loading = importlib.import_module("keras_versioned_ckpt.loading")
        return loading.load(self, **options)

    def _repr_html_(self) -> str:
        # By name at the call, as above.
        html = importlib.import_module("keras_versioned_ckpt._html")
        return str(html.of_version(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One version in the history of a store, also one that is gone.

    Args:
        version: The version as it is, or as it was.
        removed: When it was removed (aware, UTC); `None` while it is there, and
            where nobody recorded it.
        reason: Why it is gone, in English; empty while it is there.
        policy: The retention policy that removed it, as text; empty where none did.

    Example:

    ```python
    store.prune(KeepLast(1))
    for entry in store.history:
        if entry.gone:
            print(entry.number, entry.name, entry.removed, entry.reason, entry.policy)
    ```
    """

    version: Version
    removed: datetime | None = None
    reason: str = ""
    policy: str = ""

    @property
    def number(self) -> int:
        """The version's number."""
        return self.version.number

    @property
    def name(self) -> str:
        """The version's name."""
        return self.version.name

    @property
    def gone(self) -> bool:
        """Whether the version is no longer in the store."""
        return bool(self.reason)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Moment:
    """What is known at a moment when a save is possible; what a trigger decides from.

    Args:
        event: `"batch_end"`, `"epoch_end"` or `"train_end"`; `"signal"` or
            `"exception"` where training is about to end before its time.
        epoch: Completed epochs, counted from 1; 0 during the first epoch.
        step: Optimizer updates so far.
        previous_step: The same at the moment before this one, or where training
            started; with `steps_per_execution` several steps lie between.
        batches_since_fired: Training batches since the trigger last fired.
        steps_since_save: Optimizer updates since this run last saved, or `None`
            if it has saved nothing yet.
        seconds_since_save: Seconds (monotonic) since this run last saved, or
            since training started.
        metrics: The metrics at this moment; none at the end of a batch, where they are
            running means of training metrics, which decide nothing.
        best: For each `(monitor, mode)` that the trigger asks for, the best
            value that the store holds; a pair that is absent has none yet.
        signal: At the event `"signal"`, the number of the signal that came.

    Example:

    >>> from keras_versioned_ckpt import OnImprovement
    >>> from keras_versioned_ckpt.records import Moment
    >>> moment = Moment(event="epoch_end", epoch=7, metrics={"val_loss": 0.3},
    ...                 best={("val_loss", "min"): 0.25})
    >>> OnImprovement("val_loss", "min").fired(moment)
    ()
    """

    event: Event
    epoch: int
    step: int = 0
    previous_step: int = 0
    batches_since_fired: int = 0
    steps_since_save: int | None = None
    seconds_since_save: float = 0.0
    metrics: Mapping[str, float] = dataclasses.field(
        default_factory=FrozenMapping, hash=False
    )
    best: Mapping[tuple[str, str], float] = dataclasses.field(
        default_factory=FrozenMapping, hash=False
    )
    signal: int | None = None
