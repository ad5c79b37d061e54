"""Every kind of hostile payload; each is a function with one sentence about it."""

from tests.hostile import archives, descriptions, weights
from tests.hostile.kinds import KINDS as KINDS

MODULES = (archives, descriptions, weights)
