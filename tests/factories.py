"""Makes the values that tests speak in: histories of versions, in one line."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from keras_versioned_ckpt.records import Version

START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def versions(
    losses: Sequence[float | None] = (),
    *,
    count: int | None = None,
    created: Sequence[datetime] | None = None,
    every: timedelta = timedelta(hours=1),
    sizes: Sequence[int] | None = None,
    tags: dict[int, tuple[str, ...]] | None = None,
    monitor: str | None = "val_loss",
    mode: str | None = "min",
) -> list[Version]:
    """Returns versions 1, 2, 3 …, one per loss (or `count` of them), `every` apart."""
    if count is None:
        count = len(losses or created or sizes or ())
    return [
        Version(
            number=i + 1,
            created=created[i] if created else START + i * every,
            epoch=i + 1,
            step=10 * (i + 1),
            metrics={} if not losses or losses[i] is None else {"val_loss": losses[i]},
            size_bytes=sizes[i] if sizes else 1000,
            tags=(tags or {}).get(i + 1, ()),
            monitor=monitor,
            mode=mode,
        )
        for i in range(count)
    ]


def numbers(kept: Iterable[Version]) -> list[int]:
    """Returns the numbers of `kept`, the way expected survivors are written down."""
    return [version.number for version in kept]
