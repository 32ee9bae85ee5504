"""Python source spelled from the table: what the generated sweeps share.

A sweep over the columns of a tape is one loop with a branch for each row. The branches are spelled
by running the rows' partials on symbols, so the table stays the one place that states them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from textwrap import indent
from typing import Final

from tapegrad.primitive import Operand, Primitive, Symbol, Table

__all__ = ["SIDES", "dispatch", "executed", "operand_symbols", "partials_of", "reads"]

SIDES: Final = ("left", "right")
"""The columns that hold the first and the second operand."""

_HOT = 6
"""So many rows of arithmetic, the first of the table, are asked for one by one."""

_VALUES: Final[Mapping[str, str]] = {
    "y": "values[k]",
    "x0": "values[left[k]]",
    "x1": "values[right[k]]",
    "n": "statics[right[k]]",
}


def operand_symbols(row: Primitive) -> list[Symbol]:
    """What the row's partials are run on: the operands, then the static one."""
    return [Symbol(f"x{index}") for index in range(row.arity or 0)] + [Symbol("n")] * row.has_static


def partials_of(row: Primitive) -> list[Operand | None]:
    """The row's partials over symbols, None where it is flat."""
    operands = operand_symbols(row)
    return [row.partial(index, Symbol("y"), *operands) for index in range(row.arity or 0)]


def reads(*expressions: str) -> str:
    """Assignments of the values that the expressions mention."""
    text = Symbol(" ".join(expressions))
    return "".join(f"{name} = {what}\n" for name, what in _VALUES.items() if text.mentions(name))


def dispatch(table: Table, branch: Callable[[Primitive], str], otherwise: str) -> str:
    """A choice by ``code``: arithmetic first, then a binary search; ``otherwise`` beyond the table.

    Stands in a loop, which it may ``continue``.
    """
    codes = range(len(table.rows))
    hot = [code for code in codes if table.rows[code].python][:_HOT]
    first = "".join(_case(f"code == {code}", branch(table.rows[code])) for code in hot)
    cold = [code for code in codes if code not in hot]
    return first + _case(f"code >= {len(codes)}", otherwise) + _search(table, branch, cold)


def _case(condition: str, body: str) -> str:
    return f"if {condition}:\n{indent(body, '    ')}    continue\n"


def _search(table: Table, branch: Callable[[Primitive], str], codes: Sequence[int]) -> str:
    """A binary search for the code, with the rows' branches at its ends."""
    if len(codes) == 1:
        return branch(table.rows[codes[0]])
    middle = len(codes) // 2
    low, high = (
        indent(_search(table, branch, part), "    ") for part in (codes[:middle], codes[middle:])
    )
    return f"if code < {codes[middle]}:\n{low}else:\n{high}"


def executed(source: str, table: Table, **names: object) -> dict[str, object]:
    """The names that the source defines, run beside the rows' functions on floats."""
    namespace: dict[str, object] = {row.name: row.value for row in table.rows}
    namespace |= {"inf": math.inf, "nan": math.nan, "__name__": __name__, **names}
    code = compile(source, "<spelled by tapegrad>", "exec")
    exec(code, namespace)  # noqa: S102  # the source is spelled from the table alone
    return namespace
