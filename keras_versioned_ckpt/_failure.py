"""Why a save failed, in the words of the one error that tells of it."""

import errno
from pathlib import Path

from keras_versioned_ckpt._messages import reason
from keras_versioned_ckpt.errors import SaveError, StoreError


def save_error(
    root: Path, name: str, error: Exception, *, file: str = "", is_there: bool = False
) -> SaveError:
    """Returns the error that tells of a failed save; to be raised from its cause.

    Args:
        root: The store's directory.
        name: What the version is called, or would have been.
        error: The cause.
        file: The file of the version that could not be written, where one is to blame.
        is_there: Whether the version is visible all the same.
    """
    what = f"Saving {name} in {root} failed: {f'{file}: ' if file else ''}"
    what += f"{_cause(error)}."
    if is_there:
        what += f" {name} is there, but may lack tags or not outlast a power cut."
    failure = SaveError(f"{what} Older versions are intact.")
    failure.disk_full = _is_full(error) and not is_there
    return failure


def _cause(error: Exception) -> str:
    system = _of_system(error)
    if not isinstance(system, OSError) or system.errno is None:
        text = str(error)
        return text if isinstance(error, StoreError) else _with_type(error, text)
    if _is_full(system):
        return (
            f"{reason(system)}. The disk is full: free some space, or keep fewer "
            "versions"
        )
    return reason(system)


def _with_type(error: Exception, text: str) -> str:
    # What a layer or Keras raises may say nothing without its type.
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _of_system(error: BaseException) -> BaseException:
    # What `Room.writing` makes of an error of the system says "failed" once more.
    if isinstance(error, StoreError) and error.__cause__ is not None:
        return error.__cause__
    return error


def _is_full(error: BaseException) -> bool:
    system = _of_system(error)
    full = (errno.ENOSPC, errno.EDQUOT)
    return isinstance(system, OSError) and system.errno in full
