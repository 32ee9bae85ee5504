"""Frames without needless nesting: two around the same boxes become one."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from tapegrad.draw.picture import Box, Frames

__all__ = ["without_nesting"]


def without_nesting(boxes: Sequence[Box]) -> list[Box]:
    """The boxes, with one frame in the place of two that stand around the same of them."""
    counts: dict[Frames, int] = {}
    for box in boxes:
        for depth in range(1, len(box.frames) + 1):
            outer = box.frames[:depth]
            counts[outer] = counts.get(outer, 0) + 1
    return [attrs.evolve(box, frames=_merged(box.frames, counts)) for box in boxes]


def _merged(frames: Frames, counts: dict[Frames, int]) -> Frames:
    kept: list[str] = []
    for depth, title in enumerate(frames, 1):
        if depth > 1 and counts[frames[:depth]] == counts[frames[: depth - 1]]:
            kept[-1] = _joined(kept[-1], title)
        else:
            kept.append(title)
    return tuple(kept)


def _joined(outer: str, inner: str) -> str:
    """One title for two frames; a function in a scope of its own name needs no second."""
    name = outer.partition(" × ")[0]
    return outer if inner.partition(" ")[0] == name else f"{outer} / {inner}"
