"""Turns a tape into the program that every backend compiles.

Backends know some rows of the operations table by name: the *core* rows. Lowering writes any other
row in core rows where ``lowering`` says how, and leaves it as a call back into
Python where it does not. Equal entries are shared. Nothing sums cotangents after this, so sharing
changes no output's bits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar, cast, final

import attrs

from tapegrad.entries.builder import Builder, Written
from tapegrad.entries.columns import Columns
from tapegrad.ops import table as ops
from tapegrad.ops.lowering import LOWER, NEAR, Usually
from tapegrad.ops.primitive import Operand, Primitive, Traced, primal

__all__ = ["Program", "Split", "lowered", "split"]

V = TypeVar("V")


@final
@attrs.frozen(eq=False, repr=False)
class Program:
    """A list of entries: entry *i* applies ``rows[i]`` to slots below *i*.

    The inputs are the first slots. By slot, ``constants`` holds the numbers of constant entries,
    ``statics`` the static operands, and ``expected`` how each guard came out when it was recorded.
    ``guards`` are the guards' slots on the tape, in the order of ``expected``. ``rarely`` holds
    calls that can be skipped: each maps to a slot, and its result is read only where that is 0.
    """

    rows: Sequence[Primitive]
    operands: Sequence[tuple[int, ...]]
    constants: Mapping[int, float]
    statics: Mapping[int, object]
    expected: Mapping[int, bool]
    rarely: Mapping[int, int]
    guards: tuple[int, ...]
    inputs: int
    outputs: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def outcomes(self) -> bytes:
        """How the guards came out, in order; no two paths of a function have the same."""
        return bytes(self.expected.values())

    @property
    def calls(self) -> tuple[str, ...]:
        """The sorted names of the rows that call back into Python."""
        return tuple(sorted({row.name for row in self.rows if not row.core}))

    def depends_on(self, inputs: Iterable[int]) -> bytearray:
        """Return a flag for each slot: 1 if it depends on one of these inputs."""
        reached = bytearray(len(self))
        for slot in inputs:
            reached[slot] = 1
        for slot in range(self.inputs, len(self)):
            if any(reached[operand] for operand in self.operands[slot]):
                reached[slot] = 1
        return reached


@final
@attrs.frozen(eq=False)
class Split:
    """A program in two parts: ``shared`` runs once for a batch, ``rows`` for each of its rows.

    The inputs of ``rows`` are the outputs of ``shared`` and then the mapped inputs. Guard *i* of
    ``rows`` is guard ``row_guards[i]`` of the whole program.
    """

    shared: Program
    rows: Program
    row_guards: tuple[int, ...]


def split(program: Program, mapped: Collection[int]) -> Split:
    """Split a program by whether its entries depend on the ``mapped`` inputs."""
    reached = program.depends_on(mapped)
    whole = range(program.inputs, len(program))
    per_row = [slot for slot in whole if reached[slot]]
    per_call = [slot for slot in whole if not reached[slot]]
    read = dict.fromkeys(operand for slot in per_row for operand in program.operands[slot])
    read |= dict.fromkeys(program.rarely[slot] for slot in per_row if slot in program.rarely)
    read |= dict.fromkeys(program.outputs)
    known = [slot for slot in read if not reached[slot]]
    crossing = [slot for slot in known if slot not in program.constants]
    constants = [slot for slot in known if slot in program.constants]
    unmapped = [slot for slot in range(program.inputs) if not reached[slot]]
    guards = list(program.expected)
    return Split(
        _subprogram(program, unmapped, per_call, crossing),
        _subprogram(program, [*crossing, *mapped], [*constants, *per_row], program.outputs),
        tuple(index for index, slot in enumerate(guards) if reached[slot]),
    )


def _subprogram(
    program: Program, inputs: Sequence[int], entries: Sequence[int], outputs: Sequence[int]
) -> Program:
    """Return some entries of a program as a program with these inputs and outputs."""
    new = {slot: place for place, slot in enumerate([*inputs, *entries])}
    inside = set(entries)
    return Program(
        rows=[*[program.rows[0]] * len(inputs), *(program.rows[slot] for slot in entries)],
        operands=[
            *[()] * len(inputs),
            *(tuple([new[operand] for operand in program.operands[slot]]) for slot in entries),
        ],
        constants=_renumbered(program.constants, new),
        statics=_renumbered(program.statics, new),
        expected=_renumbered(program.expected, new),
        guards=tuple(
            guard
            for guard, slot in zip(program.guards, program.expected, strict=True)
            if slot in new
        ),
        rarely={new[slot]: new[holds] for slot, holds in program.rarely.items() if slot in inside},
        inputs=len(inputs),
        outputs=tuple(new[output] for output in outputs),
    )


def lowered(
    columns: Columns, outputs: Sequence[int], *, near: bool = False, whole: bool = False
) -> Program:
    """Write a tape's entries in core rows, and keep those that its outputs and guards need.

    Results have the tape's bits; with ``near`` each operation is within 4 units in the last place.
    With ``whole`` no row is spelled in others, for a backend that calls any of them cheaply.
    """
    lowering = _Lowering(columns, near=near, whole=whole)
    for slot in range(len(columns)):
        lowering.lower(slot)
    return lowering.program([lowering.slot(lowering.places[output]) for output in outputs])


@final
class _Lowering(Builder):
    """Writes the entries of a tape in core rows.

    ``places`` says what each entry of the tape became: an entry of the program, or a number.
    """

    def __init__(self, columns: Columns, *, near: bool, whole: bool) -> None:
        super().__init__(columns.table)
        self.columns, self.near, self.whole = columns, near, whole
        self.expected: dict[int, bool] = {}
        self.guards: list[int] = []
        self.rarely: dict[int, int] = {}
        self.places: list[Operand] = []
        self.inputs = 0

    def lower(self, slot: int) -> None:
        """Write one entry of the tape."""
        columns, places = self.columns, self.places
        row = columns.row(slot)
        if row.kind == "input":
            self.inputs += 1
            places.append(self.write(row, ()))
        elif row.kind == "constant":
            places.append(columns.values[slot])
        elif row.kind == "guard":
            self.guard(slot, places[columns.left[slot]], primal(columns.values[slot]) != 0.0)
            places.append(0.0)
        else:
            operands = [places[operand] for operand in columns.operands(slot)]
            static = cast("tuple[Operand, ...]", columns.static(slot))
            places.append(row(*operands, *static))

    def guard(self, slot: int, condition: Operand, outcome: bool) -> None:
        """Write a guard of the tape; a condition that is constant needs none."""
        if isinstance(condition, Written):
            self.expected[self.write(ops.guard, (condition.slot,)).slot] = outcome
            self.guards.append(slot)

    def rewritten(self, row: Primitive, operands: tuple[Operand, ...]) -> Operand | None:
        kept = self.neutral(row, operands)
        if kept is not None:
            return kept
        signed = self.fewer_negations(row, operands)
        return None if signed is None else self.entry(*signed)

    def fewer_negations(
        self, row: Primitive, operands: tuple[Operand, ...]
    ) -> tuple[Primitive, tuple[Operand, ...]] | None:
        """Return the same to the bit without a negation: x - y for x + -y, x * -2 for -x * 2."""
        if row not in _SIGNED:
            return None
        (x, y), (minus_x, minus_y) = operands, map(self.opposite, operands)
        if row is ops.mul or row is ops.div:
            return None if minus_x is None or minus_y is None else (row, (minus_x, minus_y))
        if isinstance(y, Written) and minus_y is not None:
            return ops.sub if row is ops.add else ops.add, (x, minus_y)
        if isinstance(x, Written) and minus_x is not None and row is ops.add:
            return ops.sub, (y, minus_x)
        return None

    def opposite(self, operand: Operand) -> Operand | None:
        """Return what an operand is the negative of; a number is that of another."""
        return self.negated(operand) if isinstance(operand, Traced) else -operand

    def new_entry(
        self, row: Primitive, operands: tuple[Operand, ...], slots: tuple[int, ...]
    ) -> Written:
        """Write a row in core rows, as far as it can be."""
        spelling = (NEAR.get(row) if self.near else None) or LOWER.get(row)
        if self.whole or row.core or spelling is None:
            return super().new_entry(row, operands, slots)
        found = spelling(*operands)
        if found is None:
            return super().new_entry(row, operands, slots)
        if not isinstance(found, Usually):
            return self.written(found)
        if found.holds == 1.0:
            return self.written(found.value)
        holds = self.slot(found.holds)
        call = super().new_entry(row, operands, slots)
        self.rarely[call.slot] = holds
        return self.written(ops.where(found.holds, found.value, call))

    def program(self, outputs: Sequence[int]) -> Program:
        """Return the entries that outputs and guards need, as a program."""
        kept = self.needed((*range(self.inputs), *outputs, *self.expected))
        new = {slot: place for place, slot in enumerate(kept)}
        return Program(
            rows=[self.rows[slot] for slot in kept],
            operands=[tuple([new[operand] for operand in self.operands[slot]]) for slot in kept],
            constants=_renumbered(cast("dict[int, float]", self.constants), new),
            statics=_renumbered(self.statics, new),
            expected=_renumbered(self.expected, new),
            rarely={new[slot]: new[holds] for slot, holds in self.rarely.items() if slot in new},
            guards=tuple(self.guards),
            inputs=self.inputs,
            outputs=tuple(new[output] for output in outputs),
        )


_SIGNED = {ops.add, ops.sub, ops.mul, ops.div}


def _renumbered(column: Mapping[int, V], new: Mapping[int, int]) -> dict[int, V]:
    """Return what a column holds of the slots that have a new number, by that number."""
    return {new[slot]: value for slot, value in column.items() if slot in new}
