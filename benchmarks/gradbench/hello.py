"""The square of a number, and its derivative."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Real


def square(x: Real) -> Real:
    """x * x."""
    return x * x


def _square(x: float) -> Run:
    return partial(square, float(x))


def _double(x: float) -> Run:
    return partial(tg.grad(square), float(x))


FUNCTIONS: Mapping[str, Prepare] = {"square": _square, "double": _double}  # type: ignore[dict-item]  # a bare number
