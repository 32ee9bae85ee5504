"""Writes a tape as a program: its entries in core rows.

Lowering writes any other row in core rows where ``ops.lowering`` says how, and leaves it as a call
back into Python where it does not. Equal entries are shared. Nothing sums cotangents after this, so
sharing changes no output's bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import cast, final

import attrs

from tapegrad.compile.lowered import Lowered
from tapegrad.compile.lowered_trips import Trips
from tapegrad.compile.needed import Needed
from tapegrad.compile.program import Program
from tapegrad.entries.builder import Place, place_of, short_key
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.steps import Notes, Reference, Step
from tapegrad.entries.trips import loops_of
from tapegrad.ops import table as ops
from tapegrad.ops.lowering import LOWER, NEAR, Spelling, Usually
from tapegrad.ops.primitive import Operand, Primitive, Table, primal

__all__ = ["lower"]


def lower(
    columns: EntryColumns,
    outputs: Sequence[int],
    *,
    approximate: bool = False,
    any_row: bool = False,
) -> Program:
    """The program of a tape: the entries that its outputs and guards need.

    Results have the tape's bits; with ``approximate`` each operation is within 4 units in the last
    place. With ``any_row`` no row is spelled in others, for a backend that calls any row cheaply.
    """
    lowering = _Lowering(columns, approximate=approximate, any_row=any_row)
    lowering.lower()
    return lowering.program([lowering.slot(lowering.places[output]) for output in outputs])


@final
@attrs.frozen(eq=False)
class _Simple:
    """A row of one or two operands that is written as it is.

    ``neutral`` has the number on each side that leaves the other operand as it is; None has none.
    """

    row: Primitive
    code: int
    has_two: bool
    neutral: tuple[float | None, ...]


@lru_cache(maxsize=32)
def _simple_rows(table: Table, *, any_row: bool) -> Sequence[_Simple | None]:
    """The rows of a table, where they are written as they are."""
    return [
        _simple(row, code) if row.core or any_row else None for row, code in table.codes.items()
    ]


def _simple(row: Primitive, code: int) -> _Simple | None:
    if not row.is_operation or row.is_pooled or row.has_static or not row.arity:
        return None
    return _Simple(row, code, row.arity == 2, row.neutral or (None, None))


@final
@attrs.frozen(eq=False)
class _Steps:
    """The steps of a spelling on entries, its result, and the condition where that holds."""

    steps: tuple[Step, ...]
    found: tuple[Reference, Reference]


@lru_cache(maxsize=1024)
def _steps_of(spelling: Spelling, count: int) -> _Steps | None:
    """The steps of a spelling on entries; None where they depend on how those were made."""
    notes = Notes(count)
    found = spelling(*notes.stand_ins)
    if found is None or notes.asked:
        return None
    value, holds = (found.value, found.holds) if isinstance(found, Usually) else (found, 1.0)
    return _Steps((*notes.steps,), (notes.reference(value), notes.reference(holds)))


@final
class _Lowering(Lowered):
    """Writes the entries of a tape in core rows."""

    def __init__(self, columns: EntryColumns, *, approximate: bool, any_row: bool) -> None:
        super().__init__(columns)
        self.approximate, self.any_row = approximate, any_row
        self.simple = _simple_rows(columns.table, any_row=any_row)

    def lower(self) -> None:
        """Writes the entries of the tape, whose loops are found again in it."""
        at = 0
        for loop in loops_of(self.columns):
            self.write_range(at, loop.first)
            Trips(self, loop, self.write_range).lower()
            at = loop.stop
        self.write_range(at, len(self.columns))

    def write_range(self, start: int, stop: int) -> None:
        """Writes these entries of the tape, one by one."""
        columns, places = self.columns, self.places
        simple = self.simple
        constant = columns.table.codes[ops.constant]
        of_entries = (columns.codes, columns.left, columns.right)
        for code, left, right in zip(*(column[start:stop] for column in of_entries), strict=True):
            form = simple[code]
            if form is None:
                found = columns.values[len(places)] if code == constant else self.special()
            elif form.has_two:
                found = self.of_two(form, places[left], places[right])
            else:
                found = self.of_one(form, places[left])
            places.append(found)

    def of_one(self, form: _Simple, x: Place) -> Place:
        """Applies a simple row to one operand."""
        if isinstance(x, int) and x not in self.seen_through:
            return self.shared(form, x)
        return self.general(form.row, (x,))

    def of_two(self, form: _Simple, x: Place, y: Place) -> Place:
        """Applies a simple row to two operands.

        Of the rules, only that of neutral numbers is about an entry that none sees through.
        """
        known = self.seen_through
        if not isinstance(y, int):
            if isinstance(x, int) and x not in known and y != form.neutral[1]:
                return self.shared(form, x, self.constant(y))
        elif y not in known:
            if not isinstance(x, int):
                if x != form.neutral[0]:
                    return self.shared(form, self.constant(x), y)
            elif x not in known:
                return self.shared(form, x, y)
        return self.general(form.row, (x, y))

    def shared(self, form: _Simple, *slots: int) -> int:
        """The entry of a simple row: one that is there, or a new one."""
        key = short_key(form.code, *slots)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self.write(form.row, slots)
        return found

    def general(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...] = ()
    ) -> Place:
        """Applies any row to any operands; where all are numbers, it computes its value."""
        if int in map(type, places):
            return self.apply(row, places, static)
        return row(*places, *cast("tuple[Operand, ...]", static))

    def special(self) -> Place:
        """Writes the next entry of the tape, which is not of a simple row."""
        columns, places = self.columns, self.places
        slot = len(places)
        row = columns.row(slot)
        if row.kind == "input":
            self.inputs += 1
            return self.write(row, ())
        if row.kind == "guard":
            self.guard(slot, places[columns.left[slot]], primal(columns.values[slot]))
            return 0.0
        operands = [places[operand] for operand in columns.operands(slot)]
        return self.general(row, operands, columns.static(slot))

    def new_entry(
        self,
        row: Primitive,
        places: Sequence[Place],
        slots: tuple[int, ...],
        static: tuple[object, ...],
    ) -> int:
        """Writes a row in core rows, as far as it can be."""
        spelling = (NEAR.get(row) if self.approximate else None) or LOWER.get(row)
        if self.any_row or row.core or spelling is None:
            return self.write(row, slots, static)
        found = self.spelled(spelling, places, static)
        if found is None:
            return self.write(row, slots, static)
        value, holds = found
        if isinstance(holds, float) and holds == 1.0:
            return self.slot(value)
        condition = self.slot(holds)
        call = self.write(row, slots, static)
        self.skip_where[call] = condition
        return self.slot(self.apply(ops.where, (holds, value, call)))

    def spelled(
        self, spelling: Spelling, places: Sequence[Place], static: tuple[object, ...]
    ) -> tuple[Place, Place] | None:
        """The result of a spelling, and the condition where that holds; None without one."""
        known = None
        if not static and self.constants.keys().isdisjoint(places):
            known = _steps_of(spelling, len(places))
        if known is None or not all(isinstance(place, int) for place in places):
            found = spelling(*map(self.operand, places), *static)
            if not isinstance(found, Usually):
                return None if found is None else (place_of(found), 1.0)
            return place_of(found.value), place_of(found.holds)
        at = [*places]
        for step in known.steps:
            given = [at[x] if isinstance(x, int) else x for x in step.operands]
            at.append(self.step(step.row, given, step.static))
        value, holds = (at[x] if isinstance(x, int) else x for x in known.found)
        return value, holds

    def step(self, row: Primitive, places: list[Place], static: tuple[object, ...]) -> Place:
        """Applies a row of a spelling."""
        form = self.simple[self.codes[row]] if row in self.codes else None
        if form is None:
            return self.general(row, places, static)
        return self.of_two(form, *places) if form.has_two else self.of_one(form, *places)

    def program(self, outputs: Sequence[int]) -> Program:
        """The entries that outputs and guards need, as a program."""
        needed = Needed(self, (*range(self.inputs), *outputs, *self.expected))
        skips = needed.facts(self.skip_where)
        return Program(
            rows=needed.kept(self.rows),
            operands=needed.operands(),
            constants=cast("dict[int, float]", needed.facts(self.constants)),
            statics=needed.facts(self.statics),
            expected=needed.facts(self.expected),
            skip_where={slot: needed.new[skip] for slot, skip in skips.items()},
            guards=tuple(self.guards),
            inputs=self.inputs,
            outputs=tuple(needed.new[output] for output in outputs),
            near=self.approximate,
        )
