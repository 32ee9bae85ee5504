"""Simplifies a tape: removes dead entries, constants, equal entries and neutral operations.

Sharing and dropping change where cotangents meet, and so the order in which they are added. They
are therefore kept for tapes that already hold their gradient, unless bits do not matter.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Hashable, Mapping, Sequence
from functools import reduce
from typing import TypeVar, final

import attrs

from tapegrad.entries.builder import EvaluatingBuilder, Place, place_of
from tapegrad.entries.columns import EntryColumns, Scope, freeze
from tapegrad.entries.entries import Entries
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

__all__ = ["simplify"]

E = TypeVar("E", bound=Entries)


def simplify(tape: E, *, fast: bool) -> tuple[E, int, int, int, int]:
    """Simplifies entries, and counts those that were dead, folded, shared and dropped."""
    rewriting = _Rewriting(tape.columns.as_lists(), share=fast or tape.holds_gradient, fast=fast)
    for slot in range(len(tape)):
        rewriting.rewrite(slot)
    smaller = _simplified(tape, rewriting)
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
        elif all(operand in self.constants for operand in operands):
            self.folded += row.kind not in {"constant", "guard"}
            place = self.constant(value)
        elif row.kind == "guard":
            place = self.write(row, (operands[0],))
            self.guards.append(place)
        else:
            place = self.slot(self.apply(row, operands, self.tape.static(slot)))
        self.places.append(place)

    def find(self, key: Hashable) -> int | None:
        found = super().find(key) if self.share else None
        self.shared += found is not None
        return found

    def rewritten(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...]
    ) -> Place | None:
        kept = self.neutral(row, places) if self.share else None
        if kept is not None:
            self.dropped += 1
        elif self.fast and row is ops.powc and static[0] in _SMALL_POWERS:
            factors = [self.operand(places[0])] * _SMALL_POWERS[static[0]]
            return place_of(reduce(ops.mul, factors))
        return kept


_SMALL_POWERS = {2.0: 2, 3.0: 3, 4.0: 4}
"""The exponents of powers that are cheaper as products, which differ in the last place."""


def _simplified(tape: E, rewriting: _Rewriting) -> E:
    """The tape with the entries that are needed; labels, scopes and positions follow."""
    outputs = [rewriting.places[output] for output in tape.outputs]
    kept = rewriting.needed((*range(len(tape.inputs)), *rewriting.guards, *outputs))
    new = {slot: place for place, slot in enumerate(kept)}
    labels = {rewriting.places[old]: name for old, name in tape.labels}
    origins = [rewriting.origins[slot] for slot in kept]
    sites = tape.site_indices
    return attrs.evolve(
        tape,
        **freeze(_laid_out(rewriting, kept, new)),
        outputs=tuple(new[output] for output in outputs),
        labels=tuple(sorted((new[slot], name) for slot, name in labels.items() if slot in new)),
        scopes=tuple(_moved(scope, origins) for scope in tape.scopes),
        site_of=array("i", [sites[origin] for origin in origins] if sites else []).tobytes(),
    )


def _moved(scope: Scope, origins: Sequence[int]) -> Scope:
    """A scope around the entries that were written for those it stood around."""
    start, stop = (bisect_left(origins, end) for end in (scope.start, scope.stop))
    return attrs.evolve(scope, start=start, stop=stop)


def _laid_out(rewriting: _Rewriting, kept: Sequence[int], new: Mapping[int, int]) -> EntryColumns:
    """Lays out the kept entries as the columns of a tape, under their new numbers."""
    codes: list[int] = []
    lefts: list[int] = []
    rights: list[int] = []
    pool: list[int] = []
    statics: list[object] = []
    for slot in kept:
        row = rewriting.rows[slot]
        operands = [new[operand] for operand in rewriting.operands[slot]]
        left, right = (*operands, -1, -1)[:2]
        if row.has_static:
            right = len(statics)
            statics.append(rewriting.statics[slot])
        if row.is_pooled:
            pooled = [*operands, right] if row.has_static else operands
            left, right = len(pool), len(operands)
            pool += pooled
        codes.append(rewriting.table.codes[row])
        lefts.append(left)
        rights.append(right)
    values = [rewriting.values[slot] for slot in kept]
    return EntryColumns(
        rewriting.table, codes, lefts, rights, values, pool, statics,
        rewriting.tape.traced, rewriting.tape.on_arrays,
    )  # fmt: skip
