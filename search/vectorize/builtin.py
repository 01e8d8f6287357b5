"""Registers the rules of all layers that have one."""

from . import attention, convolutions, dense, noise, normalizations, recurrent, weightless  # noqa: F401
