"""The forward sweep: the same program at other inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tapegrad.errors import GuardError
from tapegrad.primitive import Operand, primal
from tapegrad.tape import Columns

__all__ = ["replay"]


def replay(
    columns: Columns, inputs: Sequence[Operand], where: Callable[[int], str]
) -> list[Operand]:
    """The value of every slot, given those of the inputs, which are the first slots.

    ``where`` names the line of an entry, for an error.

    Raises:
        GuardError: where a guard comes out differently than recorded.
    """
    rows, recorded = columns.table.rows, columns.values
    values: list[Operand] = list(inputs)
    now = Columns(
        columns.table, columns.codes, columns.left, columns.right, values, columns.pool,
        columns.statics, columns.traced,
    )  # fmt: skip
    for slot in range(len(inputs), len(columns)):
        row = rows[columns.codes[slot]]
        if row.name == "constant":
            values.append(recorded[slot])
        else:
            values.append(row(*now.arguments(slot)))
            if row.name == "guard":
                _check_guard(now, slot, primal(recorded[slot]), where)
    return values


def _check_guard(columns: Columns, slot: int, recorded: float, where: Callable[[int], str]) -> None:
    if (primal(columns.values[slot]) != 0.0) == (recorded != 0.0):
        return
    asked = columns.left[slot]
    row, operands = columns.row(asked), columns.arguments(asked)
    shown = f" {row.symbol} ".join(f"{primal(operand):.6g}" for operand in operands)
    raise GuardError(
        f"the condition at {where(slot)} was {recorded != 0.0} when recorded and is "
        f"{recorded == 0.0} here ({shown}): record again at these inputs, or spell the choice "
        "with tapegrad.where"
    )
