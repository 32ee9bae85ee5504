"""Brings derivatives into the shapes of what they belong to, as values of the caller's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tapegrad.ops.array_rows import spread
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, Traced, shape_of

__all__ = ["in_shapes"]


def in_shapes(
    found: Iterable[Operand | None], values: Iterable[Operand], kept: Iterable[object] = ()
) -> Iterator[Operand]:
    """Derivatives in the shapes of values; absent ones are 0.

    No array is shared, with another one or with those that are ``kept``.
    """
    owned = set(map(id, kept))
    for one, value in zip(found, values, strict=True):
        shape = () if type(value) is float else shape_of(value)
        if not shape:
            yield 0.0 if one is None else one
        elif isinstance(one, Traced):
            yield spread(one, shape)
        else:
            yield serving("pytree.array_leaves").own(one, shape, owned)
