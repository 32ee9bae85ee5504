"""The programs of what is rarely needed, and what a program calls back into Python.

An entry that is rarely needed is a row with a condition under which nothing reads it. Where
``ops.elsewhere`` spells the row, backends write its program as a function by itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, cast

from tapegrad.compile.program import Program, renumbered
from tapegrad.entries.builder import Builder, place_of
from tapegrad.ops import table as ops
from tapegrad.ops.elsewhere import ELSEWHERE, NEAR_ELSEWHERE
from tapegrad.ops.primitive import Primitive

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["called_back", "called_rarely", "rare_operands", "rare_program"]


def rare_program(program: Program, slot: int) -> Program | None:
    """The program of an entry that is rarely needed, a static operand as its last input.

    None where the entry is always needed, or its row has no such program.
    """
    row = program.rows[slot]
    if slot not in program.skip_where:
        return None
    return _rare_program(row, len(program.operands[slot]) + row.has_static, program.near)


def rare_operands(program: Program, slot: int) -> Sequence[float]:
    """The static operand of an entry that is rarely needed: a number, for its program."""
    return cast("tuple[float, ...]", program.static(slot))


@lru_cache(maxsize=256)
def _rare_program(row: Primitive, count: int, near: bool) -> Program | None:
    """The program of a row of so many operands."""
    spelling = (NEAR_ELSEWHERE.get(row) if near else None) or ELSEWHERE.get(row)
    if spelling is None:
        return None
    builder = Builder(ops.TABLE)
    inputs = [builder.operand(builder.write(ops.input, ())) for _ in range(count)]
    output = builder.slot(place_of(spelling(*inputs)))
    kept = builder.needed((*range(count), output))
    new = {slot: place for place, slot in enumerate(kept)}
    return Program(
        rows=[builder.rows[slot] for slot in kept],
        operands=[tuple([new[operand] for operand in builder.operands[slot]]) for slot in kept],
        constants=renumbered(cast("dict[int, float]", builder.constants), new),
        statics={},
        expected={},
        skip_where={},
        guards=(),
        inputs=count,
        outputs=(new[output],),
    )


def called_back(program: Program) -> tuple[str, ...]:
    """The sorted names of the rows that call back into Python whenever they are computed."""
    return _names(program, rarely=False)


def called_rarely(program: Program) -> tuple[str, ...]:
    """The sorted names of the rows that call back into Python in a rare range."""
    return _names(program, rarely=True)


def _names(program: Program, *, rarely: bool) -> tuple[str, ...]:
    found = {
        row.name
        for slot, row in enumerate(program.rows)
        if not row.core
        and (slot in program.skip_where) == rarely
        and rare_program(program, slot) is None
    }
    return tuple(sorted(found))
