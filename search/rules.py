"""Registers the rules of all layers that have one."""

from . import (  # noqa: F401
    rules_attention,
    rules_convolutions,
    rules_normalizations,
    rules_random,
    rules_recurrent,
    rules_weighted,
    rules_weightless,
)
