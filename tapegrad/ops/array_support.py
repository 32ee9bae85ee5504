"""Loads what serves arrays when the first one is met: numbers alone never import numpy."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib import import_module
from typing import Any, cast

__all__ = ["is_array", "is_frame", "is_truth", "quiet", "serving"]


def is_array(value: object) -> bool:
    """Whether a value is an array of numpy's."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def is_truth(value: object) -> bool:
    """Whether a value is a bool of Python or numpy."""
    if isinstance(value, bool):
        return True
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.bool_)


def is_frame(value: object) -> bool:
    """Whether a value is a frame or a series of pandas or Polars, which gives its numbers."""
    library = type(value).__module__.partition(".")[0]
    return library in {"pandas", "polars"} and hasattr(value, "to_numpy")


def quiet(*, on_arrays: bool) -> AbstractContextManager[object]:
    """A context without numpy's warnings: beyond the double range a row gives an infinity."""
    if not on_arrays:
        return nullcontext()
    return cast("AbstractContextManager[object]", sys.modules["numpy"].errstate(all="ignore"))


@cache
def serving(module: str) -> Any:
    """A module of the package that serves arrays, by its name: it may be one of a later layer."""
    return import_module(f"tapegrad.{module}")
