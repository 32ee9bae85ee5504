"""Which entry reads which: the operands of all entries at once, for readings of long tapes.

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

__all__ = ["Wires", "chosen", "found", "wires"]


@final
@attrs.frozen(eq=False, repr=False)
class Wires:
    """The operands of entry *i*: ``left[i]`` and ``right[i]``, -1 for none, and ``pools.get(i)``.

    An entry that is in ``pools`` has all its operands there.
    """

    left: Sequence[int]
    right: Sequence[int]
    pools: Mapping[int, Sequence[int]]

    @property
    def sides(self) -> tuple[Sequence[int], Sequence[int]]:
        """The two columns of operands."""
        return self.left, self.right

    def operands(self, slot: int) -> Sequence[int]:
        """The slots that entry ``slot`` reads."""
        if slot in self.pools:
            return self.pools[slot]
        return [operand for operand in (self.left[slot], self.right[slot]) if operand >= 0]


def wires(columns: Columns) -> Wires:
    """The wires of a tape, in time and memory linear in its length."""
    codes, rows = bytes(columns.codes), columns.table.rows
    met = sorted(set(codes))
    pooled = [code for code in met if rows[code].is_pooled]
    lone = [code for code in met if rows[code].has_static and not rows[code].is_pooled]
    left, right = _copy(columns.left), _copy(columns.right)
    pools = {}
    for slot in found(codes, [*pooled, *lone]):
        right[slot] = -1
    for slot in found(codes, pooled):
        left[slot] = -1
        pools[slot] = columns.operands(slot)
    return Wires(left, right, pools)


def _copy(column: Sequence[int]) -> array[int]:
    """A column that can be written to, copied as bytes where it is held as bytes."""
    if not isinstance(column, memoryview):
        return array("i", column)
    copy = array("i")
    copy.frombytes(column.cast("B"))
    return copy


def chosen(codes: Sequence[int], wanted: Iterable[int]) -> bytes:
    """For each entry 1 where its code is a wanted one, else 0."""
    flags = bytearray(256)
    for code in wanted:
        flags[code] = 1
    return bytes(codes).translate(flags)


def found(codes: Sequence[int], wanted: Sequence[int]) -> Iterable[int]:
    """The entries whose code is a wanted one."""
    return compress(range(len(codes)), chosen(codes, wanted)) if wanted else ()
