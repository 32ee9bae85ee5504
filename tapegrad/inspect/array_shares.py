"""The shares that an entry adds to the cotangents of its operands, where some are arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from tapegrad.entries.columns import EntryColumns
from tapegrad.ops.array_rows import fitted, spread
from tapegrad.ops.primitive import shape_of

__all__ = ["products"]

Product: TypeAlias = tuple[int, int, Any, Any]
"""The index of an operand, its slot, the partial where there is one, and the share."""


def products(columns: EntryColumns, slot: int, bar: Any) -> Iterator[Product]:
    """The shares of an entry with this cotangent, in the shapes of the operands.

    The row of a rule for arrays has no partials; ``partial`` is None then.
    """
    row, operands = columns.row(slot), columns.operands(slot)
    arguments, shape = columns.arguments(slot), shape_of(columns.values[slot])
    bar = spread(bar, shape)
    with np.errstate(all="ignore"):
        if row.array is not None:
            every = range(len(operands))
            for index, share in row.pulled(every, bar, columns.values[slot], *arguments):
                own = shape_of(columns.values[operands[index]])
                yield index, operands[index], None, spread(share, own)
            return
        for index, operand in enumerate(operands):
            own = shape_of(columns.values[operand])
            partial: Any
            if row.kind == "choice":
                partial = _chosen(index, arguments[0])
            else:
                partial = row.partial(index, columns.values[slot], *arguments)
            if partial is not None:
                chosen: Any = (
                    np.where(partial, bar, -0.0) if row.kind == "choice" else bar * partial
                )
                yield index, operand, partial, spread(fitted(chosen, shape, own), own)


def _chosen(index: int, condition: Any) -> Any:
    """Where an arm of a choice is selected, as 1.0 and 0.0; None for the condition itself."""
    if index == 0:
        return None
    selected = np.asarray(condition, bool)
    return np.asarray(selected if index == 1 else ~selected, np.float64)
