"""The program that every backend compiles, and the two programs that a batch makes of it.

Backends know some rows of the operations table by name: the *core* rows. Any other row that is left
in a program is a call back into Python.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, TypeVar, final

import attrs

from tapegrad._support.cached import cached
from tapegrad.ops.primitive import Primitive, Shape

__all__ = ["NUMBER", "BatchProgram", "Form", "Program", "batch_program", "renumbered"]

V = TypeVar("V")


@final
@attrs.frozen
class Form:
    """How the value of an entry stands in memory: its shape, and numpy's letter for its elements.

    It is ``in_order`` where it stands in C order, without gaps. A view has the memory of the
    entry's first operand.
    """

    shape: Shape = ()
    kind: str = "d"
    in_order: bool = True
    is_view: bool = False


NUMBER: Final = Form()
"""The form of numbers."""


@final
@attrs.frozen(eq=False, repr=False, slots=False)
class Program:
    """A list of entries: entry *i* applies ``rows[i]`` to slots below *i*.

    The inputs are the first slots. By slot, ``constants`` holds the numbers of constant entries,
    ``statics`` the static operands, and ``expected`` how each guard came out when it was recorded.
    ``guards`` are the guards' slots on the tape, in the order of ``expected``: one there may be
    several here. ``skip_where`` maps
    calls that are rarely needed to the slot of a condition: where it holds, nothing reads the call.
    With ``near`` a row's value is within 4 units in the last place. Where some entries are arrays,
    ``forms`` has the form of each; then constants may be arrays, too.
    """

    rows: Sequence[Primitive]
    operands: Sequence[tuple[int, ...]]
    constants: Mapping[int, float]
    statics: Mapping[int, object]
    expected: Mapping[int, bool]
    skip_where: Mapping[int, int]
    guards: tuple[int, ...]
    inputs: int
    outputs: tuple[int, ...]
    near: bool = False
    forms: Sequence[Form] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def outcomes(self) -> bytes:
        """How the guards came out, in order; no two paths of a function have the same."""
        return bytes(self.expected.values())

    @cached
    def guard_indices(self) -> Mapping[int, int]:
        """The index of each guard by its slot."""
        return {slot: index for index, slot in enumerate(self.expected)}

    @cached
    def output_indices(self) -> Mapping[int, Sequence[int]]:
        """The indices of the outputs that each slot is, by slot."""
        found: dict[int, list[int]] = {}
        for index, slot in enumerate(self.outputs):
            found.setdefault(slot, []).append(index)
        return found

    @cached
    def numeric_truths(self) -> frozenset[int]:
        """The slots of truth values that are read as the numbers 1 and 0."""
        read = set(self.outputs)
        for slot in range(self.inputs, len(self)):
            kind, operands = self.rows[slot].kind, self.operands[slot]
            if kind not in {"connective", "guard"}:
                read.update(operands[1:] if kind == "choice" else operands)
        return frozenset(slot for slot in read if self.rows[slot].is_truth)

    def static(self, slot: int) -> tuple[object, ...]:
        """The static operand of an entry, if it has one."""
        return (self.statics[slot],) if slot in self.statics else ()

    def depends_on(self, inputs: Iterable[int]) -> bytearray:
        """A flag for each slot: 1 if it depends on one of these inputs."""
        reached = bytearray(len(self))
        for slot in inputs:
            reached[slot] = 1
        for slot in range(self.inputs, len(self)):
            if any(reached[operand] for operand in self.operands[slot]):
                reached[slot] = 1
        return reached


def renumbered(column: Mapping[int, V], new: Mapping[int, int]) -> dict[int, V]:
    """The values that a column holds for the slots that have a new number, by that number."""
    return {new[slot]: value for slot, value in column.items() if slot in new}


@final
@attrs.frozen(eq=False)
class BatchProgram:
    """A program in two parts: ``shared`` runs once for a batch, ``rows`` for each of its rows.

    The inputs of ``rows`` are the outputs of ``shared`` and then the mapped inputs. Guard *i* of
    ``rows`` is guard ``row_guards[i]`` of the whole program.
    """

    shared: Program
    rows: Program
    row_guards: tuple[int, ...]


def batch_program(program: Program, mapped: Collection[int]) -> BatchProgram:
    """Splits a program by whether its entries depend on the ``mapped`` inputs."""
    reached = program.depends_on(mapped)
    entries = range(program.inputs, len(program))
    per_row = [slot for slot in entries if reached[slot]]
    per_batch = [slot for slot in entries if not reached[slot]]
    skip_where = program.skip_where
    read = dict.fromkeys(operand for slot in per_row for operand in program.operands[slot])
    read |= dict.fromkeys(skip_where[slot] for slot in per_row if slot in skip_where)
    read |= dict.fromkeys(program.outputs)
    known = [slot for slot in read if not reached[slot]]
    crossing = [slot for slot in known if slot not in program.constants]
    constants = [slot for slot in known if slot in program.constants]
    unmapped = [slot for slot in range(program.inputs) if not reached[slot]]
    return BatchProgram(
        _subprogram(program, unmapped, per_batch, crossing),
        _subprogram(program, [*crossing, *mapped], [*constants, *per_row], program.outputs),
        tuple(index for index, slot in enumerate(program.expected) if reached[slot]),
    )


def _subprogram(
    program: Program, inputs: Sequence[int], entries: Sequence[int], outputs: Sequence[int]
) -> Program:
    """Some entries of a program as a program with these inputs and outputs."""
    new = {slot: place for place, slot in enumerate([*inputs, *entries])}
    inside = set(entries)
    return Program(
        rows=[*[program.rows[0]] * len(inputs), *(program.rows[slot] for slot in entries)],
        operands=[
            *[()] * len(inputs),
            *(tuple([new[operand] for operand in program.operands[slot]]) for slot in entries),
        ],
        constants=renumbered(program.constants, new),
        statics={new[slot]: static for slot, static in program.statics.items() if slot in inside},
        expected=renumbered(program.expected, new),
        skip_where={
            new[slot]: new[skip] for slot, skip in program.skip_where.items() if slot in inside
        },
        guards=tuple(
            guard
            for guard, slot in zip(program.guards, program.expected, strict=True)
            if slot in new
        ),
        inputs=len(inputs),
        outputs=tuple(new[output] for output in outputs),
        near=program.near,
    )
