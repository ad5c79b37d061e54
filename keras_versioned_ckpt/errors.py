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

    Example:

    ```python
    try:
        store = CheckpointStore("/proc/runs", create=True)
    except StoreError as error:
        print(f"Choose another directory: {error}")
    ```
    """


class StoreNotFoundError(StoreError, FileNotFoundError):
    """There is no store at this path.

    Example:

    ```python
    try:
        model = load_best("runs/first")
    except StoreNotFoundError:
        print("Nothing is trained yet.")
    ```
    """

    def __str__(self) -> str:
        # FileNotFoundError would print an errno that is not there.
        return str(self.args[0]) if self.args else ""


class VersionNotFoundError(CheckpointError, LookupError):
    """The store has no version that answers to this number, name, tag or selector.

    Example:

    ```python
    try:
        version = store.select("tag:prod")
    except VersionNotFoundError:
        version = store.tag(store.best(), "prod")
    ```
    """


class SaveError(CheckpointError):
    """A save failed; older versions and the training state are intact.

    Attributes:
        disk_full: Whether the version could not be saved for want of space.

    Example:

    ```python
    try:
        model.fit(x, y, callbacks=[checkpoint])
    except SaveError as error:
        if not error.disk_full:
            raise
        print(f"Trained, but not saved: {error}")
    ```
    """

    disk_full: bool = False


class CorruptVersionError(CheckpointError):
    """What is on disk differs from the manifest, or the manifest is not one.

    Example:

    ```python
    try:
        model = load_version("runs/digits", 3)
    except CorruptVersionError:
        print(store.verify())
    ```
    """


class UnsafeVersionError(CheckpointError):
    """The version was refused for its structure, before anything parsed it.

    Example:

    ```python
    save_version(model, "runs/exported", format="saved_model")
    try:
        layer = load_latest("runs/exported")
    except UnsafeVersionError:  # a SavedModel is a program, but one of our own
        layer = load_latest("runs/exported", trust_code=True)
    ```
    """


class ResumeError(CheckpointError):
    """The saved state does not fit this model or run.

    Example:

    ```python
    try:
        initial_epoch = checkpoint.restore(model)
    except ResumeError as error:
        print(f"The model was changed since: {error}")
    ```
    """


class CheckpointWarning(UserWarning):
    """Something a user should know that does not stop training or loading.

    Example:

    ```python
    import warnings

    with warnings.catch_warnings():
        # Rather no model than one that is not the best.
        warnings.simplefilter("error", CheckpointWarning)
        model = load_best("runs/digits")
    ```
    """
