"""Turns real numbers of Python and numpy into floats."""

from __future__ import annotations

import sys

from tapegrad._support.source_position import here
from tapegrad.errors import InputError, InputRangeError, OutputError

__all__ = ["RejectedError", "as_number", "real_number"]


class RejectedError(Exception):
    """A value that is refused: the error to raise, why, and its keys, the innermost first."""

    def __init__(self, error: type[InputError | OutputError], what: str) -> None:
        self.error = error
        self.what = what
        self.keys: list[object] = []


def as_number(value: object) -> float | None:
    """``value`` as a float if it is a real number of Python or numpy, else None; no bool is one.

    Raises:
        InputRangeError: for an int too large for a float.
    """
    try:
        return real_number(value, ints=True)
    except RejectedError as rejected:
        raise rejected.error(f"an operand {rejected.what} ({here()})") from None


def real_number(value: object, *, ints: bool) -> float | None:
    """A real number of Python or numpy as a float; an int only with ``ints``; None for all else."""
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _float(value) if ints else None
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.floating | numpy.integer):
        return None
    if isinstance(value, numpy.timedelta64):  # an integer to numpy, which has a unit
        return None
    return float(value) if ints or isinstance(value, numpy.floating) else None


def _float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        digits = value.bit_length()
        raise RejectedError(
            InputRangeError, f"is an int of {digits} bits, too large for a float: pass a float"
        ) from None
