"""`python -m keras_versioned_ckpt`: the same as `keras-ckpt`."""

import sys

from keras_versioned_ckpt.cli import main

sys.exit(main())
