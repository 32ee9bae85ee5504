"""The operands of all entries at once, for readings that pass over a long tape as a whole.

The two operand columns of a tape hold other things for rows with many or with static operands;
here they hold slots and nothing else.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import final

import attrs

from tapegrad.entries.columns import Columns

__all__ = ["OperandColumns", "flags_of_codes", "operand_columns", "slots_of_codes"]


@final
@attrs.frozen(eq=False, repr=False)
class OperandColumns:
    """The operands of entry *i*: ``left[i]`` and ``right[i]``, -1 for none, and ``pools.get(i)``.

    An entry that is in ``pools`` has all its operands there.
    """

    left: Sequence[int]
    right: Sequence[int]
    pools: Mapping[int, Sequence[int]]

    def operands(self, slot: int) -> Sequence[int]:
        """The slots that entry ``slot`` reads."""
        if slot in self.pools:
            return self.pools[slot]
        return [operand for operand in (self.left[slot], self.right[slot]) if operand >= 0]


def operand_columns(columns: Columns) -> OperandColumns:
    """Reads the operands of all entries, row by row of the table and not entry by entry."""
    codes, rows = columns.codes, columns.table.rows
    met = set(codes)
    pooled = [code for code in met if rows[code].is_pooled]
    with_static = [code for code in met if rows[code].has_static]
    left, right = (
        array("i", side.tobytes() if isinstance(side, memoryview) else side)
        for side in (columns.left, columns.right)
    )
    pools = {}
    for slot in slots_of_codes(codes, {*pooled, *with_static}):
        right[slot] = -1
    for slot in slots_of_codes(codes, pooled):
        left[slot] = -1
        pools[slot] = columns.operands(slot)
    return OperandColumns(left, right, pools)


def flags_of_codes(codes: Sequence[int], wanted: Iterable[int]) -> bytes:
    """For each entry 1 where its code is a wanted one, else 0."""
    flags = bytearray(256)
    for code in wanted:
        flags[code] = 1
    return bytes(codes).translate(flags)


def slots_of_codes(codes: Sequence[int], wanted: Iterable[int]) -> Iterable[int]:
    """The entries whose code is a wanted one."""
    return compress(range(len(codes)), flags_of_codes(codes, wanted))
