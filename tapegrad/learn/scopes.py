"""Scopes that have the names of parameters, so that a picture shows which layer did what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tapegrad.recording.recorder import TracedValue, recorder_among

__all__ = ["in_scope", "keeps_scopes"]

X = TypeVar("X")
R = TypeVar("R")


def keeps_scopes(*values: object) -> bool:
    """Whether one of the values belongs to a recording that keeps positions.

    Nothing else reads scopes, and so an eager gradient and a call on floats do without them.
    """
    for value in values:
        if isinstance(value, TracedValue) and value._recorder.marks is not None:
            return True
    return False


def in_scope(field: str, index: int, among: tuple[object, ...], f: Callable[[X], R], x: X) -> R:
    """``f(x)`` in the scope ``field.index`` of the innermost recording among the values, if any."""
    recorder = recorder_among(among) if keeps_scopes(*among) else None
    if recorder is None:
        return f(x)
    recorder.require_open()
    return recorder.scoped(f"{field}.{index}", f, (x,), {})
