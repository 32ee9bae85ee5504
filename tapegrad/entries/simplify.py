"""Simplifies a tape: removes dead entries, constants, equal entries and neutral operations.

Sharing and dropping change where cotangents meet, and so the order in which they are added. They
are therefore kept for tapes that already hold their gradient, unless bits do not matter.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import reduce
from math import prod
from typing import TypeVar, final

from tapegrad.entries.builder import EvaluatingBuilder, Place, place_of
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.entries.rewriting import rewritten_as
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive, shape_of

__all__ = ["simplify"]

E = TypeVar("E", bound=Entries)


def simplify(tape: E, *, fast: bool) -> tuple[E, int, int, int, int]:
    """Simplifies entries, and counts those that were dead, folded, shared and dropped."""
    rewriting = _Rewriting(tape.columns.as_lists(), share=fast or tape.holds_gradient, fast=fast)
    for slot in range(len(tape)):
        rewriting.rewrite(slot)
    smaller = rewritten_as(
        tape,
        rewriting,
        inputs=len(tape.inputs),
        guards=rewriting.guards,
        outputs=[rewriting.places[output] for output in tape.outputs],
        labels={rewriting.places[old]: name for old, name in tape.labels},
        traced=rewriting.tape.traced,
        on_arrays=rewriting.tape.on_arrays,
    )
    gone = len(tape) - len(smaller) - rewriting.shared - rewriting.dropped
    return smaller, gone, rewriting.folded, rewriting.shared, rewriting.dropped


@final
class _Rewriting(EvaluatingBuilder):
    """Writes the entries of a tape again, and counts those that are gone.

    ``places`` has for each entry of the tape the one that now stands for it.
    """

    def __init__(self, tape: EntryColumns, *, share: bool, fast: bool) -> None:
        super().__init__(tape.table)
        self.tape, self.share, self.fast = tape, share, fast
        self.places: list[int] = []
        self.guards: list[int] = []
        self.folded = self.shared = self.dropped = 0

    def rewrite(self, slot: int) -> None:
        """Writes one entry of the tape, or finds one that stands for it already."""
        self.origin = slot
        row, value = self.tape.row(slot), self.tape.values[slot]
        operands = [self.places[operand] for operand in self.tape.operands(slot)]
        if row.kind == "input":
            place = self.write(row, (), value=value)
        elif self.folds(slot, row, operands):
            self.folded += row.kind not in {"constant", "guard"}
            place = self.constant(value)
        elif row.kind == "guard":
            place = self.write(row, (operands[0],))
            self.guards.append(place)
        else:
            place = self.slot(self.apply(row, operands, self.tape.static(slot)))
        self.places.append(place)

    def folds(self, slot: int, row: Primitive, operands: Sequence[int]) -> bool:
        """Whether an entry becomes a constant: not one that is larger than all that it is made of.

        A view of a constant stays one: what is computed from it depends in its last bits on how the
        numbers stand in memory.
        """
        if not all(operand in self.constants for operand in operands):
            return False
        if not self.tape.on_arrays or row.kind == "constant":
            return True
        size = prod(shape_of(self.tape.values[slot]))
        given = sum(prod(shape_of(self.constants[operand])) for operand in operands)
        return size <= given and not _gives_view(row)

    def find(self, key: Hashable) -> int | None:
        found = super().find(key) if self.share else None
        self.shared += found is not None
        return found

    def rewritten(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...]
    ) -> Place | None:
        kept = self.neutral(row, places) if self.share else None
        if isinstance(kept, int) and _gives_view(self.rows[kept]):
            kept = None
        if kept is not None:
            self.dropped += 1
        elif self.fast and row is ops.powc and static[0] in _SMALL_POWERS:
            factors = [self.operand(places[0])] * _SMALL_POWERS[static[0]]
            return place_of(reduce(ops.mul, factors))
        return kept


def _gives_view(row: Primitive) -> bool:
    """Whether the value of a row may have the memory of its operand."""
    return row.array is not None and row.array.is_view is not None


_SMALL_POWERS = {2.0: 2, 3.0: 3, 4.0: 4}
"""The exponents of powers that are cheaper as products, which differ in the last place."""
