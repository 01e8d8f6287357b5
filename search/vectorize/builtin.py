"""Registers the rules of all layers that have one."""

from . import (  # noqa: F401
    attention,
    convolutions,
    dense,
    noise,
    normalizations,
    operations,
    recurrent,
    weightless,
    wrappers,
)
