"""Integers as callers give them."""

from __future__ import annotations

import operator
from collections.abc import Iterable

import numpy as np

from qecforge.errors import CodeError

__all__ = ["as_integer", "as_integers"]


def as_integer(value: object, what: str) -> int:
    """An int from an int, a numpy integer, or a float of integral value.

    Raises:
        CodeError: anything else (booleans and text among it), naming `what`.
    """
    if not isinstance(value, bool | np.bool_):
        if isinstance(value, float | np.floating) and float(value).is_integer():
            return int(value)
        try:
            return operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            pass
    raise CodeError(f"{what} is {repr(value)[:60]}; expected an integer")


def as_integers(values: object, what: str) -> list[int]:
    """A list of ints, each as `as_integer` takes it. Raises `CodeError`, also for what cannot be iterated over."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise CodeError(f"{what} is {repr(values)[:60]}; expected a sequence of integers")
    return [as_integer(value, f"{what}[{index}]") for index, value in enumerate(values)]
