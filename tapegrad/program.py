"""A tape in core rows: what every backend compiles.

The rows that compiled code knows are *core*. Any other is spelled in them (``lowering``) or stays
as a call back into Python. Entries that equal another are shared: no cotangent
is summed after this, so every output keeps its bits.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from typing import TypeVar, cast, final

import attrs

from tapegrad import ops
from tapegrad.columns import Columns
from tapegrad.lowering import LOWER, NEAR, Usually
from tapegrad.primitive import Operand, Primitive, Traced, primal

__all__ = ["Program", "Split", "lowered", "split"]

V = TypeVar("V")


@final
@attrs.frozen(eq=False, repr=False)
class Program:
    """Entry *i* applies ``rows[i]`` to slots below *i*; the inputs are the first slots.

    ``constants`` holds the numbers of constant entries, ``expected`` the outcome of each guard by
    its slot, in order, and ``guards`` where they stand on the tape; ``statics`` the static operand
    of the entries that have one. An entry in ``rarely`` is a call whose result is needed only where
    another slot is 0.
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
        """How the guards came out, in order: what tells this path from another."""
        return bytes(self.expected.values())

    @property
    def calls(self) -> tuple[str, ...]:
        """The names of the rows that are called back."""
        return tuple(sorted({row.name for row in self.rows if not row.core}))

    def depends_on(self, inputs: Iterable[int]) -> bytearray:
        """For each slot whether it depends on one of these inputs."""
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
    """A program in two: what is the same for all rows, and what is done for each.

    The first inputs of ``rows`` are the outputs of ``shared``, the others the mapped ones. The
    guards of ``rows`` count from 0; ``row_guards`` says which of the whole they are.
    """

    shared: Program
    rows: Program
    row_guards: tuple[int, ...]


def split(program: Program, mapped: Collection[int]) -> Split:
    """The program's entries apart, by whether they depend on the ``mapped`` inputs."""
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
        _part(program, unmapped, per_call, crossing),
        _part(program, [*crossing, *mapped], [*constants, *per_row], program.outputs),
        tuple(index for index, slot in enumerate(guards) if reached[slot]),
    )


def _part(
    program: Program, inputs: Sequence[int], entries: Sequence[int], outputs: Sequence[int]
) -> Program:
    """Some entries of a program on their own, with other inputs and outputs."""
    new = {slot: place for place, slot in enumerate([*inputs, *entries])}
    inside = set(entries)
    return Program(
        rows=[*[program.rows[0]] * len(inputs), *(program.rows[slot] for slot in entries)],
        operands=[
            *[()] * len(inputs),
            *(tuple([new[operand] for operand in program.operands[slot]]) for slot in entries),
        ],
        constants=_moved(program.constants, new, _same),
        statics=_moved(program.statics, new, _same),
        expected=_moved(program.expected, new, _same),
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
    """The program of a tape's entries; with ``near`` within 4 ulps an operation, else bit for bit.

    With ``whole`` no row is spelled in others, for a backend that calls any of them cheaply.
    """
    work = _Lowering(columns, near=near, whole=whole)
    for slot in range(len(columns)):
        work.lower(slot)
    return work.program([work.place(work.places[output]) for output in outputs])


@final
class _Place(Traced):
    """A slot of the program being written."""

    __slots__ = ("slot", "work")

    def __init__(self, work: _Lowering, slot: int) -> None:
        self.work = work
        self.slot = slot

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Traced:
        return cast(Traced, self.work.apply(row, operands))

    @property
    def made_by(self) -> Primitive:
        """The row that gives this number."""
        return self.work.rows[self.slot]


@final
class _Lowering:
    """Writes the entries of a tape in core rows."""

    def __init__(self, columns: Columns, *, near: bool, whole: bool) -> None:
        self.columns, self.near, self.whole = columns, near, whole
        self.rows: list[Primitive] = []
        self.operands: list[tuple[int, ...]] = []
        self.constants: dict[int, float] = {}
        self.statics: dict[int, object] = {}
        self.expected: dict[int, bool] = {}
        self.guards: list[int] = []
        self.rarely: dict[int, int] = {}
        self.known: dict[Hashable, _Place] = {}
        self.places: list[Operand] = []
        self.inputs = 0

    def lower(self, slot: int) -> None:
        """Write one entry of the tape."""
        columns = self.columns
        row = columns.row(slot)
        if row.kind == "input":
            self.inputs += 1
            self.places.append(self.write(row, ()))
        elif row.kind == "constant":
            self.places.append(cast(float, columns.values[slot]))
        elif row.kind == "guard":
            self.guard(slot, self.places[columns.left[slot]], primal(columns.values[slot]) != 0.0)
            self.places.append(0.0)
        else:
            operands = [self.places[operand] for operand in columns.operands(slot)]
            static = cast("tuple[Operand, ...]", columns.static(slot))
            self.places.append(self.apply(row, (*operands, *static)))

    def guard(self, slot: int, condition: Operand, outcome: bool) -> None:
        """Let the program check what Python asked for; what is constant needs no check."""
        if isinstance(condition, _Place):
            place = self.write(ops.guard, (condition.slot,))
            self.expected[place.slot] = outcome
            self.guards.append(slot)

    def apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Operand:
        """What stands for a row applied to operands; one that is there already is shared."""
        if not any(isinstance(operand, _Place) for operand in operands):
            return row.value(*operands)
        if (kept := self.neutral(row, operands)) is not None:
            return kept
        row, operands = self.signed(row, operands)
        count = len(operands) - row.has_static
        slots = tuple(self.place(operand) for operand in operands[:count])
        key = (row, slots, repr(operands[count:]))
        if key not in self.known:
            self.known[key] = self.spelled(row, operands, slots)
        return self.known[key]

    def neutral(self, row: Primitive, operands: tuple[Operand, ...]) -> Operand | None:
        """The operand that an operation gives back unchanged."""
        for side, number in enumerate(row.neutral):
            operand = operands[side]
            if number == operand and _bits(number) == _bits(operand):
                return operands[1 - side]
        if row.is_involution and self.rows[self.place(operands[0])] is row:
            return _Place(self, self.operands[self.place(operands[0])][0])
        return None

    def signed(
        self, row: Primitive, operands: tuple[Operand, ...]
    ) -> tuple[Primitive, tuple[Operand, ...]]:
        """The same with fewer negations: x + -y is x - y, and -x * 2 is x * -2, to the bit."""
        if row not in _SIGNED:
            return row, operands
        (x, y), (minus_x, minus_y) = operands, map(self.negated, operands)
        if row is ops.mul or row is ops.div:
            if minus_x is None or minus_y is None:
                return row, operands
            return row, (minus_x, minus_y)
        if isinstance(y, _Place) and minus_y is not None:
            return ops.sub if row is ops.add else ops.add, (x, minus_y)
        if isinstance(x, _Place) and minus_x is not None and row is ops.add:
            return ops.sub, (y, minus_x)
        return row, operands

    def negated(self, operand: Operand) -> Operand | None:
        """What an operand is the negative of; a number is that of another."""
        if not isinstance(operand, _Place):
            return -cast(float, operand)
        if self.rows[operand.slot] is ops.neg:
            return _Place(self, self.operands[operand.slot][0])
        return None

    def spelled(
        self, row: Primitive, operands: tuple[Operand, ...], slots: tuple[int, ...]
    ) -> _Place:
        """A row in core rows, as far as it can be."""
        spelling = (NEAR.get(row) if self.near else None) or LOWER.get(row)
        if self.whole or row.core or spelling is None:
            return self.entry(row, operands, slots)
        found = spelling(*operands)
        if found is None:
            return self.entry(row, operands, slots)
        if not isinstance(found, Usually):
            return self.found(found)
        if found.holds == 1.0:
            return self.found(found.value)
        holds = self.place(found.holds)
        call = self.entry(row, operands, slots)
        self.rarely[call.slot] = holds
        chosen = self.apply(ops.where, (found.holds, found.value, call))
        return self.found(chosen)

    def found(self, operand: Operand) -> _Place:
        return operand if isinstance(operand, _Place) else _Place(self, self.place(operand))

    def entry(
        self, row: Primitive, operands: tuple[Operand, ...], slots: tuple[int, ...]
    ) -> _Place:
        place = self.write(row, slots)
        if row.has_static:
            self.statics[place.slot] = operands[-1]
        return place

    def place(self, operand: Operand) -> int:
        """The slot of an operand; a number is a constant, shared by its bits."""
        if isinstance(operand, _Place):
            return operand.slot
        number = cast(float, operand)
        key = _bits(number)
        if key not in self.known:
            self.known[key] = self.write(ops.constant, ())
            self.constants[self.known[key].slot] = number
        return self.known[key].slot

    def write(self, row: Primitive, slots: tuple[int, ...]) -> _Place:
        self.rows.append(row)
        self.operands.append(slots)
        return _Place(self, len(self.rows) - 1)

    def program(self, outputs: Sequence[int]) -> Program:
        """The entries that outputs and guards need."""
        needed = self.needed(outputs)
        kept = [slot for slot in range(len(self.rows)) if needed[slot]]
        new = {old: place for place, old in enumerate(kept)}
        return Program(
            rows=[self.rows[slot] for slot in kept],
            operands=[tuple([new[operand] for operand in self.operands[slot]]) for slot in kept],
            constants=_moved(self.constants, new, _same),
            statics=_moved(self.statics, new, _same),
            expected=_moved(self.expected, new, _same),
            rarely=_moved(self.rarely, new, new.__getitem__),
            guards=tuple(self.guards),
            inputs=self.inputs,
            outputs=tuple(new[output] for output in outputs),
        )

    def needed(self, outputs: Sequence[int]) -> bytearray:
        needed = bytearray(len(self.rows))
        needed[: self.inputs] = b"\1" * self.inputs
        for slot in (*outputs, *self.expected):
            needed[slot] = 1
        for slot in range(len(self.rows) - 1, -1, -1):
            if needed[slot]:
                for operand in self.operands[slot]:
                    needed[operand] = 1
        return needed


_SIGNED = {ops.add, ops.sub, ops.mul, ops.div}


def _bits(number: float) -> bytes:
    return struct.pack("d", number)


def _same(value: V) -> V:
    return value


def _moved(column: Mapping[int, V], new: Mapping[int, int], move: Callable[[V], V]) -> dict[int, V]:
    """What is kept of a column, under the new slots."""
    return {new[slot]: move(value) for slot, value in column.items() if slot in new}
