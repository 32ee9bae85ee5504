"""The loops of a tape: stretches of its entries that come again and again, trip after trip.

Nothing is known of the user's loops. They are found again in the columns, so that what works on
entries one by one may stop after a few trips and go on with all others at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, chain
from sys import maxunicode
from typing import Final

from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.repeats import Letters, Repeat
from tapegrad.entries.static_keys import static_key
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Table

__all__ = ["FEW", "WORTH", "loops_of"]

WORTH: Final = 1_000
"""The fewest entries that all trips but a ``FEW`` have to have."""
FEW: Final = 8
"""About so many trips are looked at one by one."""


def loops_of(columns: EntryColumns, worth: int | None = None) -> Sequence[Repeat]:
    """The stretches of trips whose entries apply the same rows to operands that move along.

    Each operand is in the next trip by the same distance further. Static operands and the outcomes
    of guards are those of the other trips, and the values of constants may be any. All trips but a
    few have ``worth`` entries at least, by default ``WORTH``.
    """
    least = WORTH if worth is None else worth
    if len(columns) < least:
        return ()
    inputs = columns.table.codes[ops.input]
    return [
        loop
        for loop in _letters(columns).repeats()
        if loop.length * (loop.count - FEW) >= least and columns.codes[loop.first] != inputs
    ]


def _letters(columns: EntryColumns) -> Letters:
    """The entries as a text, in which rows are letters, and the slots that they read."""
    codes, odd = columns.codes, _odd_codes(columns.table)
    letters = bytes(codes).decode("latin-1")
    if odd.isdisjoint({*codes}):
        numbers = [0] * (2 * len(codes))
        numbers[::2], numbers[1::2] = columns.left, columns.right
        return Letters(letters, numbers, range(0, len(numbers) + 1, 2), 0)
    text = [*letters]
    reads: list[tuple[int, ...]] = list(zip(columns.left, columns.right, strict=True))
    keys: dict[object, int] = {}
    for slot in [slot for slot, code in enumerate(codes) if code in odd]:
        reads[slot] = operands = columns.operands(slot)
        number = keys.setdefault(_key(columns, slot, len(operands)), len(keys))
        text[slot] = chr(min(256 + number, maxunicode))
    if len(keys) > maxunicode - 256:
        text = []  # too many to tell them apart
    starts = list(accumulate(map(len, reads), initial=0))
    return Letters("".join(text), list(chain.from_iterable(reads)), starts, 0)


def _key(columns: EntryColumns, slot: int, count: int) -> object:
    """The key that entries share which are alike but for the operands."""
    row = columns.row(slot)
    static = tuple(map(static_key, columns.static(slot))) if row.has_static else ()
    return row, count, static, repr(columns.outcome(slot)) if row.kind == "guard" else ""


@lru_cache(maxsize=32)
def _odd_codes(table: Table) -> frozenset[int]:
    """The rows with other operands than those in the two columns, and the guards."""
    return frozenset(
        code
        for row, code in table.codes.items()
        if row.is_pooled or row.has_static or row.kind == "guard"
    )
