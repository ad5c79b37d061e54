"""One small model of every kind whose state Keras saves in a way of its own.

A kind is a function that makes the model, built, compiled where that matters, and
with the initial values of a seed. `Kind.trained` gives it a past: a real step of
training where a kind asks for one, and then no variable is left in which all
values are alike, so that a value lost or put elsewhere shows.

    from tests.model_zoo import KINDS

    model = KINDS["sequential"].trained()
    other = KINDS["sequential"].fresh()
"""

# Importing them registers what they hold.
from . import dtypes, optimizers, own_state, parts, refusals, sizes, structures
from ._kinds import FORMATS, KINDS, Kind, build_optimizers, variables

__all__ = ["FORMATS", "KINDS", "Kind", "build_optimizers", "variables"]
__all__ += ["dtypes", "optimizers", "own_state", "parts", "refusals", "sizes"]
__all__ += ["structures"]
