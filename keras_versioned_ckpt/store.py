"""`CheckpointStore`: the directory that holds versions.

This file is the face; how each thing is done stands in the file that is named
for it: `_catalog` lists, `_committing` saves, `_pruning` takes away, `_tagging`
tags, `_inspection` verifies, `_repairing` repairs, and `_room` is what they share.
Each is imported by the method that asks it, so that a shell script which lists a
store does not wait for what saves and prunes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_versioned_ckpt import _founding
from keras_versioned_ckpt._layout import Layout
from keras_versioned_ckpt._room import Room
from keras_versioned_ckpt.errors import CheckpointError
from keras_versioned_ckpt.records import FrozenMapping, HistoryEntry, Version

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from keras_versioned_ckpt._inspection import Report
    from keras_versioned_ckpt._staging import Staged
    from keras_versioned_ckpt.naming import NamingPolicy
    from keras_versioned_ckpt.retention import Plan, RetentionPolicy
    from keras_versioned_ckpt.selectors import Selector


class CheckpointStore:
    """A directory that holds versions.

    Opening one and asking it anything reads the disk afresh, takes no lock,
    writes nothing, and needs no Keras. Only `verify` takes the store's lock, for a
    moment, to tell what was left behind from what is being made.

    Args:
        directory: The store's directory; a string or path.
        create: Whether to make a store where there is none. Defaults to `False`.
        naming: With `create=True`, how versions will be called: a directory with
            files of somebody else is adopted only if none could collide.
            Defaults to `version_{number}`.

    Raises:
        StoreNotFoundError: If there is no store and `create` is `False`.
        StoreError: If the path cannot be a store, or is one of a newer format.

    Example:

    >>> from keras_versioned_ckpt import CheckpointStore
    >>> store = CheckpointStore("runs/digits", create=True)
    >>> len(store), store.history
    (0, ())
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        create: bool = False,
        naming: NamingPolicy | None = None,
    ) -> None:
        self._room = Room(
            Layout(_founding.store_path(directory)), create=create, naming=naming
        )

    # What is there

    @property
    def path(self) -> Path:
        """The store's directory, absolute."""
        return self._room.layout.root

    @property
    def versions(self) -> tuple[Version, ...]:
        """The versions that are there now, by number."""
        with self._room.reading():
            return self._room.catalog.versions()

    @property
    def history(self) -> tuple[HistoryEntry, ...]:
        """Every version that ever was, by number, with when and why it went."""
        with self._room.reading():
            return self._room.catalog.history()

    @property
    def tags(self) -> Mapping[str, Version]:
        """The tags and the version that each is on."""
        return FrozenMapping(
            {tag: version for version in self.versions for tag in version.tags}
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy for another process opens the store anew.
        return type(self), (self.path,)

    def __len__(self) -> int:
        return len(self.versions)

    def __bool__(self) -> bool:
        # An empty store is still a store.
        return True

    def __iter__(self) -> Iterator[Version]:
        return iter(self.versions)

    def __contains__(self, key: object) -> bool:
        return any(key in (v, v.number, v.name) for v in self.versions)

    def __getitem__(self, key: int | str) -> Version:
        """Returns the version with this number (int) or name (str).

        Raises:
            VersionNotFoundError: If there is none; the message lists what exists.
        """
        return self._room.resolve(key, self.versions)

    def __repr__(self) -> str:
        return f"CheckpointStore({str(self.path)!r})"

    def _repr_html_(self) -> str:
        # Only a notebook needs it.
        from keras_versioned_ckpt import _html

        where = self.path
        # As short as somebody beside it would write it: a notebook is shown to others.
        with contextlib.suppress(OSError, ValueError):
            where = where.relative_to(Path.cwd())
        try:
            _founding.identify(self._room.layout)
            return _html.of_store(str(where), self.versions, self.history)
        except (CheckpointError, OSError) as error:
            return _html.of_failure("CheckpointStore", str(where), error)

    def latest(self) -> Version:
        """Returns the version with the highest number.

        Raises:
            VersionNotFoundError: If the store is empty.

        Example:

        ```python
        print(store.latest().path)
        ```
        """
        return self.select("latest")

    def best(self, monitor: str | None = None, mode: str | None = None) -> Version:
        """Returns the version with the best value of a metric.

        Args:
            monitor: The metric. Defaults to the one that the newest run monitored.
            mode: `"min"` or `"max"`. Defaults to what that run recorded.

        Raises:
            VersionNotFoundError: If no version has a finite value of it; the
                message lists the metrics that exist.
            ValueError: If the direction is not known; pass `mode=`.

        Example:

        ```python
        print(store.best().metrics, store.best("val_loss", "min").number)
        ```
        """
        from keras_versioned_ckpt.selectors import Best

        return self.select(Best(monitor, mode))

    def select(self, selector: str | int | Selector) -> Version:
        """Returns the version that a selector picks.

        Args:
            selector: A selector, a number, or text such as `"latest"`, `"best~1"`,
                `"tag:prod"`, `"version_3"`.

        Raises:
            VersionNotFoundError: If nothing answers; the message lists what exists.
            ValueError: If the text is not a selector.

        Example:

        ```python
        store.select("best:val_accuracy:max~1")  # the second best
        ```
        """
        from keras_versioned_ckpt.selectors import as_selector

        selector = as_selector(selector)
        return self._in_short(selector) or selector.select(self.versions)

    def _in_short(self, selector: Selector) -> Version | None:
        """Returns what a selector picks, if that needs no list of all versions."""
        from keras_versioned_ckpt.selectors import Best, Latest

        with self._room.reading():
            if type(selector) is Latest and not selector.earlier:
                return self._room.catalog.latest()
            if type(selector) is Best and not selector.earlier:
                return self._room.catalog.best(selector.monitor, selector.mode)
        return None

    def plot(self, metric: str | None = None, *, ax: Axes | None = None) -> Axes:
        """Draws a metric over the trainings in the store, with the versions that went.

        Each training is a line. Versions that are there are filled marks, and those
        that are gone hollow ones. The best is a star, tags are written above theirs,
        and an arrow leads from a version to the training that went on from it. Values
        that are not finite are only counted. The horizontal axis is the epoch; the
        step, if versions were saved within an epoch or have none; or else the number.

        Args:
            metric: The metric. Defaults to the one that the newest training monitored.
            ax: Matplotlib's axes to draw on. Defaults to those of a new figure, which a
                notebook shows by itself.

        Returns:
            The axes, to be changed or saved as you like.

        Raises:
            ImportError: If Matplotlib is not there, which the extra `plot` installs.
            TypeError: If `metric` is not a string.
            ValueError: If no version has the metric; the message lists those that are
                there.

        Example:

        ```python
        store.plot("val_loss").figure.savefig("val_loss.svg")
        ```
        """
        from keras_versioned_ckpt import _plotting

        return _plotting.draw(self.history, metric, ax)

    # Saving

    def stage(self, expected_bytes: int = 0) -> Staged:
        """Makes a place for a new version's payload; `commit` makes it a version.

        Args:
            expected_bytes: The least that will be written, so that a disk with less
                space is told of before anything is. Defaults to 0.

        Returns:
            A context manager with the directory to write into as `path`; what
            is not committed is discarded at its end.

        Raises:
            StoreError: If the store cannot be written, or the disk is too full.

        Example:

        >>> from keras_versioned_ckpt import CheckpointStore
        >>> store = CheckpointStore("runs/other", create=True)
        >>> with store.stage() as staged:
        ...     _ = (staged.path / "model.keras").write_bytes(b"made elsewhere")
        ...     version = store.commit(staged, metrics={"val_loss": 0.25}, epoch=1)
        >>> version.name, version.size_bytes
        ('version_1', 14)
        """
        from keras_versioned_ckpt import _staging

        with contextlib.ExitStack() as cleanup:
            with self._room.writing("Saving"):
                staged = _staging.stage(self._room.layout, expected_bytes)
                # It holds a lock, which must not outlive a failure from here on.
                cleanup.enter_context(staged)
            cleanup.pop_all()
        return staged

    def commit(
        self,
        staged: Staged,
        *,
        naming: NamingPolicy | None = None,
        tags: Sequence[str] = (),
        trigger: Sequence[str] = (),
        software: Mapping[str, str] | None = None,
        **facts: Any,
    ) -> Version:
        """Makes what was staged a version: durable, whole, and with a name of its own.

        Args:
            staged: What `stage` returned, with the payload written.
            naming: What to call it. Defaults to `version_{number}`.
            tags: Tags to put on it, at once.
            trigger: Which triggers fired.
            software: Versions of what wrote the payload.
            **facts: Fields of `Version` other than number, name, created, path,
                tags and size_bytes.

        Returns:
            The version, after it is on the disk.

        Raises:
            SaveError: If it could not be. The version is then not there; or, where
                only what follows its rename failed, the message says that it is.

        Example:

        ```python
        with store.stage() as staged:
            model.save(staged.path / "model.keras")
            version = store.commit(staged, tags=["imported"])
        ```
        """
        from keras_versioned_ckpt import _committing
        from keras_versioned_ckpt.naming import Numbered

        version = _committing.commit(
            self._room,
            staged,
            naming=naming or Numbered(),
            tags=tags,
            trigger=trigger,
            software=software or {},
            facts=facts,
        )
        # Its files were hashed as they were written; pruning need not read them.
        self._room.seen_sound.add(version.number)
        return version

    def next_name(self, naming: NamingPolicy | None = None, **facts: Any) -> str:
        """Returns what the next version will be called if nobody else saves before.

        Args:
            naming: What to call it. Defaults to `version_{number}`.
            **facts: As for `commit`.

        Example:

        >>> from keras_versioned_ckpt import CheckpointStore, Template
        >>> store = CheckpointStore("runs/next", create=True)
        >>> store.next_name(), store.next_name(Template("epoch-{epoch:03d}"), epoch=7)
        ('version_1', 'epoch-007')
        """
        from keras_versioned_ckpt import _committing
        from keras_versioned_ckpt.naming import Numbered

        return _committing.expected_name(self._room, naming or Numbered(), facts)

    # Taking away

    def prune(
        self,
        policy: RetentionPolicy,
        dry_run: bool = False,
        *,
        in_use: Collection[int] = (),
        making_room: bool = False,
    ) -> Plan:
        """Removes the versions that a retention policy does not keep.

        The newest version, tagged ones and those in use are always kept. A
        version that is damaged, or that holds files which its manifest does not
        list, takes no part: it is neither counted nor removed.

        Args:
            policy: Which to keep.
            dry_run: Whether to only say what would be done. It reads manifests alone,
                so that damage inside a file is not seen. Defaults to `False`.
            in_use: Numbers of versions that a running training resumed from.
            making_room: Whether, if nothing is to go yet, to remove what will go once
                there is one more version. Its metrics are not known, so that it
                displaces none that is the best. Defaults to `False`.

        Returns:
            A plan that says what is kept, what is removed, and why.

        Raises:
            StoreError: If the store cannot be written.

        Example:

        ```python
        print(store.prune(KeepLast(3) | KeepBest(2), dry_run=True))
        ```
        """
        from keras_versioned_ckpt import _pruning

        return _pruning.prune(
            self._room,
            policy,
            dry_run=dry_run,
            in_use=in_use,
            making_room=making_room,
        )

    def delete(self, version: Version | int | str) -> None:
        """Removes one version, for good.

        Args:
            version: The version, or its number or name.

        Raises:
            VersionNotFoundError: If it is not there.
            CheckpointError: If it is tagged, damaged, or holds files that are not
                its own; nothing is removed then.

        Example:

        ```python
        store.delete(3)
        ```
        """
        from keras_versioned_ckpt import _pruning

        _pruning.delete(self._room, version)

    # Tags

    def tag(self, version: Version | int | str, tag: str) -> Version:
        """Puts a tag on a version, taking it off the version that had it.

        Args:
            version: The version, or its number or name.
            tag: The tag; a tagged version is never pruned.

        Returns:
            The version with its tags.

        Raises:
            VersionNotFoundError: If the version is not there.
            ValueError: If `tag` cannot be a tag.

        Example:

        ```python
        store.tag(store.best(), "prod")
        model = load_checkpoint("runs/digits", "tag:prod")
        ```
        """
        from keras_versioned_ckpt import _tagging

        return _tagging.tag(self._room, version, tag)

    def untag(self, tag: str) -> None:
        """Takes a tag off.

        Args:
            tag: The tag.

        Raises:
            VersionNotFoundError: If there is no such tag; the message lists those
                that exist.

        Example:

        ```python
        store.untag("prod")
        ```
        """
        from keras_versioned_ckpt import _tagging

        _tagging.untag(self._room, tag)

    # Care

    def verify(self, progress: Callable[[int, int], object] | None = None) -> Report:
        """Reads every file of every version and compares it with its manifest.

        Args:
            progress: Is called with the number of bytes that are read and that of all
                of them, piece by piece. Defaults to `None`.

        Returns:
            A report with `.ok`, `.checked`, and `.problems`, each of which names the
            version and what is wrong.

        Example:

        ```python
        report = store.verify()
        if not report.ok:
            print(report)
        ```
        """
        from keras_versioned_ckpt import _inspection

        with self._room.reading():
            return _inspection.verify(
                self._room.layout, self._room.store_id, self._room.catalog, progress
            )

    def repair(self) -> Report:
        """Puts the store in order without deleting anything that could be of use.

        What is damaged is moved to `.versions/quarantine/`, the ledger is rebuilt
        from the manifests (keeping its memory of what is gone), damaged tags are
        written anew from the ledger and those of versions that are gone are taken
        off, and what killed processes left in staging and trash is cleared.

        Returns:
            A report of what was found and what was done about each.

        Raises:
            StoreError: If the store cannot be written.

        Example:

        ```python
        print(store.repair())
        ```
        """
        from keras_versioned_ckpt import _repairing

        with self._room.writing("Repairing") as store_id:
            layout, catalog = self._room.layout, self._room.catalog
            found = _repairing.examined(layout, store_id, catalog)
            # What goes must be known to the ledger, which remembers it.
            self._room.reconciled()
            return _repairing.repair(layout, store_id, catalog, found)
