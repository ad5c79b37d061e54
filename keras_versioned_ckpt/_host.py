"""Values of a model in the memory of the host: where they are, and copies of them."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np

# Where vector instructions like their data; backends do not copy what lies so.
_ALIGNMENT = 64
_TOUCHED_AT_ONCE = 16 * 1024 * 1024
_WORTH_A_THREAD = 16 * 1024 * 1024


def views(values: Sequence[Any]) -> list[np.ndarray]:
    """Returns values as arrays, without a copy where the backend has none to make.

    Args:
        values: Variables, tensors, arrays or numbers of the current backend.

    Returns:
        An array each, to be read before the model changes.
    """
    tensors = [v.value if isinstance(v, keras.Variable) else v for v in values]
    for tensor in tensors:
        # All copies from an accelerator begin before the first is waited for.
        begin = getattr(tensor, "copy_to_host_async", None)
        if begin is not None:
            begin()
    return [_view(tensor) for tensor in tensors]


def _view(value: Any) -> np.ndarray:
    # Keras's `convert_to_numpy` copies on TensorFlow and JAX.
    if type(value).__module__.startswith("jax"):
        return np.asarray(value)
    if keras.config.backend() == "tensorflow":
        import tensorflow

        if isinstance(value, (tensorflow.Variable, tensorflow.Tensor)):
            tensor = tensorflow.convert_to_tensor(value)
            if tensor.dtype != tensorflow.bfloat16:
                return np.asarray(memoryview(tensor))
            # Buffers have no name for this type; for numbers of its size they have.
            bits = tensorflow.bitcast(tensor, tensorflow.uint16)
            return np.asarray(memoryview(bits)).view(tensor.dtype.as_numpy_dtype)
    return np.asarray(keras.ops.convert_to_numpy(value))


def handed_out(array: np.ndarray) -> np.ndarray:
    """Returns a contiguous array as it may be assigned to a variable.

    TensorFlow copies what it is given. JAX may take the very memory for its own, and
    so must get some that nobody else has; PyTorch cannot read what lies at an odd
    place.
    """
    if keras.config.backend() == "tensorflow" or array.nbytes == 0:
        return array
    copy = np.empty(array.shape, array.dtype)
    # As bytes, for what lies at an odd place copies many times slower as numbers.
    copy.reshape(-1).view(np.uint8)[:] = array.reshape(-1).view(np.uint8)
    return copy


def room(values: Sequence[Any]) -> int:
    """Returns the bytes that copies of these variables or arrays take."""
    return sum(_rounded(_size(value)) for value in values)


def size_bytes(values: Sequence[Any]) -> int:
    """Returns the bytes of the values of these variables, in a file or in memory."""
    return sum(map(_size, values))


class Buffer:
    """Memory for the copies of one save at a time, kept for the next.

    The first touch of fresh memory takes many times longer than a copy into it.
    """

    def __init__(self) -> None:
        self._memory = np.empty(0, np.uint8)

    def lacks(self, count: int) -> int:
        """Returns the bytes to take from the system before `count` bytes fit."""
        return 0 if count <= len(self._memory) else count

    def reserve(self, count: int) -> None:
        """Takes memory from the system, if there is not enough yet.

        Raises:
            MemoryError: If the system has not that much.
        """
        if self.lacks(count):
            # First the old is given back, so that there never are two.
            self.release()
            self._memory = _aligned(count)

    def touch(self) -> None:
        """Has the system really give the memory, ahead of the first copy."""
        for start in range(0, len(self._memory), _TOUCHED_AT_ONCE):
            self._memory[start : start + _TOUCHED_AT_ONCE] = 0

    def copy(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Copies arrays; the copies of the save before are overwritten.

        Raises:
            MemoryError: If the system has not that much.
        """
        self.reserve(room(arrays))
        copies = []
        at = 0
        for array in arrays:
            place = self._memory[at : at + array.nbytes]
            copies.append(place.view(array.dtype).reshape(array.shape))
            at += _rounded(array.nbytes)
        _copy_all(copies, arrays)
        return copies

    def release(self) -> None:
        """Gives the memory back to the system, once nothing refers to it."""
        self._memory = np.empty(0, np.uint8)


def _copy_all(copies: Sequence[np.ndarray], arrays: Sequence[np.ndarray]) -> None:
    """Copies, by two threads where that pays: one cannot use all the memory's speed.

    Not by more, since whatever feeds the training may need the other cores.
    """
    if sum(array.nbytes for array in arrays) < _WORTH_A_THREAD:
        for copy, array in zip(copies, arrays, strict=True):
            np.copyto(copy, array)
    else:
        with ThreadPoolExecutor(2) as threads:
            # A list, so that failures are raised.
            list(threads.map(np.copyto, copies, arrays))


def _size(value: Any) -> int:
    dtype = np.dtype(keras.backend.standardize_dtype(value.dtype))
    return int(math.prod(value.shape) * dtype.itemsize)


def _rounded(count: int) -> int:
    return -(-count // _ALIGNMENT) * _ALIGNMENT


def _aligned(count: int) -> np.ndarray:
    memory = np.empty(count + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + count]
