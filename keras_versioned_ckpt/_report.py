"""A store as a report: one HTML file, written whole or not at all."""

import contextlib
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from keras_versioned_ckpt import _atomic
from keras_versioned_ckpt._inspection import Report
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._messages import escaped
from keras_versioned_ckpt._report_facts import gathered
from keras_versioned_ckpt._report_page import page
from keras_versioned_ckpt.errors import StoreError
from keras_versioned_ckpt.records import HistoryEntry
from keras_versioned_ckpt.store import CheckpointStore


def write_report(
    store: CheckpointStore,
    output: str | os.PathLike[str],
    *,
    metric: str | None = None,
    verified: Report | None = None,
    now: datetime | None = None,
) -> None:
    """Writes a report of a store: one HTML file that needs no network.

    A file that is there already is replaced: a report is no version.

    Args:
        store: The store.
        output: The file; a string or path. It may not lie inside a version.
        metric: The metric that it is about. Defaults to the one that the newest run
            monitored, else to the one that most versions have.
        verified: What `store.verify()` returned. Defaults to `None`: not verified.
        now: When the report is made; an aware `datetime`. Defaults to the clock's.

    Raises:
        TypeError: If `metric` is not a string.
        ValueError: If no version has a finite value of `metric`, `output` lies inside
            a version, or `now` has no time zone.
        StoreError: If the file cannot be written.

    Example:

    ```python
    write_report(store, "report.html", verified=store.verify())
    ```
    """
    if now is not None and now.tzinfo is None:
        raise ValueError(
            f"`now` must have a time zone. Received: now={now!r}. "
            "Pass for example `datetime.now(timezone.utc)`."
        )
    history = store.history
    path = Path(output)
    _check_output(store.path, path, history)
    facts = gathered(
        str(store.path),
        history,
        now=(now or datetime.now(UTC)).astimezone(UTC),
        metric=metric,
        checked=None if verified is None else verified.checked,
        problems=() if verified is None else map(str, verified.problems),
    )
    data = page(facts).encode()
    try:
        _put(path, data)
    except OSError as error:
        raise StoreError(
            f"The report cannot be written to {escaped(str(path))}: "
            f"{error.strerror or error}"
        ) from error


def _check_output(root: Path, path: Path, history: tuple[HistoryEntry, ...]) -> None:
    """Raises where a report would be a stranger among a version's own files."""
    if not path.name:
        raise ValueError(
            f"`output` must name a file. Received: output={str(path)!r}. "
            "Pass for example 'report.html'."
        )
    root, folder = root.resolve(), path.parent.resolve()
    taken = [Layout(root).room]
    taken += [root / entry.name for entry in history if not entry.gone]
    if not {folder, *folder.parents}.isdisjoint(taken):
        raise ValueError(
            "`output` must not lie inside a version or the store's own room. "
            f"Received: output={str(path)!r}. Pass for example 'report.html'."
        )


def _put(path: Path, data: bytes) -> None:
    # By a name of its own: two reports may be written at the same time.
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    try:
        _atomic.write_new(staged, data)
        os.replace(staged, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            staged.unlink()
        raise
