"""Scopes that have the names of parameters, so that a picture shows which layer did what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tapegrad.recording.recorder import TracedValue, recorder_among

__all__ = ["in_scope"]

X = TypeVar("X")
R = TypeVar("R")


def in_scope(field: str, index: int, among: tuple[object, ...], f: Callable[[X], R], x: X) -> R:
    """``f(x)`` in the scope ``field.index`` of the recording that one of the values belongs to.

    Only where positions are kept, as nothing else reads a scope: an eager gradient pays nothing.
    """
    if not any(
        isinstance(part, TracedValue) and part._recorder.marks is not None for part in among
    ):
        return f(x)
    recorder = recorder_among(among)
    if recorder is None:
        return f(x)
    recorder.require_open()
    return recorder.scoped(f"{field}.{index}", f, (x,), {})
