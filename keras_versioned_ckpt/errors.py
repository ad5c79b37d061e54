"""What can go wrong, as one tree of exceptions.

::

    CheckpointError
    ├── StoreError                 no store, not writable, a newer format, a full disk
    │   └── StoreNotFoundError     (also FileNotFoundError)
    ├── VersionNotFoundError       (also LookupError) the message lists what exists
    ├── SaveError                  a save failed: version, file and cause are named
    ├── CorruptVersionError        the content differs from the manifest
    ├── UnsafeVersionError         refused on structure: links, traversal, bombs, code
    └── ResumeError                the state does not fit this model or run

    CheckpointWarning              (UserWarning)

A wrong argument is not in this tree: it raises `ValueError` or `TypeError`, as
it does in Keras.
"""


class CheckpointError(Exception):
    """Base class of every error this package raises on its own account.

    Example:

    ```python
    try:
        model = load_best("runs/digits")
    except CheckpointError as error:
        print(f"Nothing to start from: {error}")
    ```
    """


class StoreError(CheckpointError):
    """The directory cannot serve as a store.

    It is not a directory, cannot be written, was made by a newer release, holds
    files that its versions could collide with, or its disk is full.
    """


class StoreNotFoundError(StoreError, FileNotFoundError):
    """There is no store at this path."""

    def __str__(self) -> str:
        # FileNotFoundError would print an errno that is not there.
        return str(self.args[0]) if self.args else ""


class VersionNotFoundError(CheckpointError, LookupError):
    """The store has no version that answers to this number, name, tag or selector."""


class SaveError(CheckpointError):
    """A save failed; older versions and the training state are intact.

    Attributes:
        disk_full: Whether the version could not be saved for want of space.
    """

    disk_full: bool = False


class CorruptVersionError(CheckpointError):
    """What is on disk differs from the manifest, or the manifest is not one."""


class UnsafeVersionError(CheckpointError):
    """The version was refused for its structure, before anything parsed it."""


class ResumeError(CheckpointError):
    """The saved state does not fit this model or run."""


class CheckpointWarning(UserWarning):
    """Something a user should know that does not stop training or loading."""
