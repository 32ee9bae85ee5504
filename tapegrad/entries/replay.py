"""Computes the entries of a recorded program again, at other inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import attrs

from tapegrad._support.text import number
from tapegrad.entries.columns import EntryColumns
from tapegrad.errors import GuardError
from tapegrad.ops.primitive import Operand, primal

__all__ = ["replay"]


def replay(
    columns: EntryColumns, inputs: Sequence[Operand], where: Callable[[int], str]
) -> list[Operand]:
    """Computes the value of every slot from those of the inputs, which are the first slots.

    ``where`` names the line of an entry, for an error.

    Raises:
        GuardError: where a guard comes out differently than recorded.
    """
    rows, recorded = columns.table.rows, columns.values
    values = list(inputs)
    now = attrs.evolve(columns, values=values)
    for slot in range(len(inputs), len(columns)):
        row = rows[columns.codes[slot]]
        if row.kind == "constant":
            values.append(recorded[slot])
        else:
            values.append(row(*now.arguments(slot)))
            if row.kind == "guard":
                _check_guard(now, slot, recorded, where)
    return values


def _check_guard(
    columns: EntryColumns, slot: int, recorded: Sequence[Operand], where: Callable[[int], str]
) -> None:
    """Raises a GuardError where a condition comes out differently than recorded."""
    outcome = primal(recorded[slot]) != 0.0
    if (primal(columns.values[slot]) != 0.0) == outcome:
        return
    shown = ", ".join(_changed(columns, columns.left[slot], recorded))
    raise GuardError(
        f"the condition at {where(slot)} was {outcome} when recorded and is {not outcome} here "
        f"({shown}): record again at these inputs, or spell the choice with tapegrad.where"
    )


def _changed(columns: EntryColumns, slot: int, recorded: Sequence[Operand]) -> Iterator[str]:
    """Yields the comparisons of a condition that come out differently, with their numbers."""
    row, operands = columns.row(slot), columns.operands(slot)
    if row.kind == "connective":
        for operand in operands:
            yield from _changed(columns, operand, recorded)
    elif primal(columns.values[slot]) != primal(recorded[slot]):
        numbers = [number(primal(columns.values[operand])) for operand in operands]
        yield f" {row.symbol} ".join(numbers) if len(numbers) > 1 else f"{row.symbol} {numbers[0]}"
