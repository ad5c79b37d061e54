"""How things are shown in messages."""

import pytest

from keras_versioned_ckpt._messages import rounded_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (403_123_456, "403 MB"),
        (5_000_000_000, "5 GB"),
        (5_000_000_000_000_000, "5e+03 TB"),
    ],
)
def test_sizes_have_decimal_units(size, text):
    """Three significant digits."""
    assert rounded_size(size) == text
