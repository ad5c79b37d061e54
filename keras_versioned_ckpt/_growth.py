"""How much a file may grow when it is read.

A file of Keras holds its arrays as they are, and grows by nothing. A file that somebody
packed afterwards grows by what packing saves: half for trained weights, more for an
optimizer's zeros and for the text of a configuration. A bomb grows by a thousand. The
limits are far below those of Keras (4 GiB before it looks at all), so that no small
file costs much memory, whoever wrote it.
"""

#: What any file may grow to, however small it is.
FLOOR_BYTES = 16 * 1024 * 1024
_UNPACKED_TIMES = 32
# A model has its weights, and an optimizer up to three values for each of them; the
# file of one that was never trained holds the weights alone.
_VARIABLES_TIMES = 8


def unpacked_limit(stored_bytes: int) -> int:
    """Returns the most bytes that a file of this size may unpack to."""
    return max(FLOOR_BYTES, _UNPACKED_TIMES * stored_bytes)


def variables_limit(stored_bytes: int) -> int:
    """Returns the most bytes of variables that a file of this size may make."""
    return max(FLOOR_BYTES, _VARIABLES_TIMES * stored_bytes)
