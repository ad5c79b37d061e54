"""What the next `fit` goes on from: put into the model, and kept until it begins.

`_resuming.py` says which version that is, and `_continuation.py` puts back the rest.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_versioned_ckpt import _callback_states, _fit, _resuming
from keras_versioned_ckpt._continuation import Continuation
from keras_versioned_ckpt._messages import shown
from keras_versioned_ckpt._resuming import Resumption
from keras_versioned_ckpt.errors import StoreNotFoundError
from keras_versioned_ckpt.store import CheckpointStore


class GoingOn:
    """What waits for the next `fit` of a callback."""

    def __init__(self) -> None:
        self._resumption: Resumption | None = None
        self._is_restored = False
        self._restored: Any = None
        self._put_loggers_back: Callable[[], None] = lambda: None

    def restore(self, directory: Path, model: Any) -> Resumption | None:
        """Puts the newest good version into a model, before `fit`.

        Args:
            directory: The store, which need not be there yet.
            model: The `keras.Model`.

        Raises:
            ResumeError: If the version does not fit the model.
            CorruptVersionError: If there are versions, and none is intact.
        """
        store = _opened(directory)
        found = _resuming.resume(store, model) if store is not None else None
        self._resumption = found
        self._is_restored = self._resumption is not None
        self._restored = model
        return self._resumption

    def prepare(
        self,
        directory: Path,
        model: Any,
        running: _fit.Fit | None,
        check: Callable[[list[Any]], None],
        *,
        asked: bool,
    ) -> None:
        """Puts back what must be there before any callback's `on_train_begin`.

        Args:
            directory: The store, which need not be there yet.
            model: The `keras.Model` of the `fit`.
            running: The `fit`; `None` if it is not found.
            check: Called with all callbacks; raises if one of them must not be there.
            asked: Whether to look for a version, where `restore` has not.

        Raises:
            ResumeError: If the version does not fit the model.
            CorruptVersionError: If there are versions, and none is intact.
        """
        if asked and not self._is_restored:
            store = _opened(directory)
            found = _resuming.resume(store, model) if store is not None else None
            self._resumption = found
        if self._resumption is not None and running is not None:
            check(running.callbacks)
            state = self._resumption.state
            self._put_loggers_back = _callback_states.before_begin(
                running.callbacks, state.callbacks, state.epoch
            )

    @property
    def has_found(self) -> bool:
        """Whether there is a version to go on from."""
        return self._resumption is not None

    def begin(
        self,
        model: Callable[[], Any],
        running: _fit.Fit | None,
        epochs: int | None,
        *,
        asked: bool,
    ) -> tuple[Continuation, Resumption | None]:
        """Hands over what there is, and has `fit` begin where the other one ended.

        Args:
            model: Returns the `keras.Model` of the `fit`.
            running: The `fit`; `None` if it is not found.
            epochs: How many epochs it is to have; `None` if not known.
            asked: Whether another training is to go on from this one.

        Raises:
            ValueError: If another model was given to `restore`.
            ResumeError: If `fit` cannot begin there.
        """
        resumption, self._resumption = self._resumption, None
        if self._is_restored and self._restored is not model():
            raise ValueError(
                "`fit` must be that of the model that was given to `restore`. "
                f"Received: restore({shown(self._restored.name)}), and a fit of "
                f"{shown(model().name)}."
            )
        self._restored = None
        continuation = Continuation(running, model, epochs, resumption, may_go_on=asked)
        continuation.begin(told=self._is_restored)
        self._is_restored = False
        return continuation, resumption

    def end(self) -> None:
        """Leaves the loggers as they were before the `fit`; may be repeated."""
        self._put_loggers_back()
        self._put_loggers_back = lambda: None


def _opened(directory: Path) -> CheckpointStore | None:
    try:
        return CheckpointStore(directory)
    except StoreNotFoundError:
        return None
