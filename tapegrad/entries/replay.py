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
    """Raises a GuardError where a guard comes out differently than recorded."""
    before, now = primal(recorded[slot]), primal(columns.values[slot])
    if before == now or (before != before and now != now):
        return
    old, new = attrs.evolve(columns, values=recorded).outcome(slot), columns.outcome(slot)
    shown = ", ".join(_changed(columns, columns.left[slot], recorded))
    what, instead = "whole number", ""
    if columns.row(slot).is_truth:
        what, instead = "condition", ", or spell the choice with tapegrad.where"
    raise GuardError(
        f"the {what} at {where(slot)} was {old} when recorded and is {new} here"
        f"{f' ({shown})' * bool(shown)}: record again at these inputs{instead}"
    )


def _changed(columns: EntryColumns, slot: int, recorded: Sequence[Operand]) -> Iterator[str]:
    """Yields the comparisons of a condition that come out differently, with their numbers.

    Of a whole number, the operation that gives it.
    """
    row, operands = columns.row(slot), columns.operands(slot)
    if row.kind == "connective":
        for operand in operands:
            yield from _changed(columns, operand, recorded)
    elif operands and primal(columns.values[slot]) != primal(recorded[slot]):
        numbers = [number(primal(columns.values[operand])) for operand in operands]
        yield f" {row.symbol} ".join(numbers) if len(numbers) > 1 else f"{row.symbol} {numbers[0]}"
