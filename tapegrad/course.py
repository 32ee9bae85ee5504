"""The smooth piece of a program that a call ran on: its branches, and the sides of its kinks.

Two calls of one program take the same course where they have the same entries and every operation
that is smooth in pieces only is on the same piece of itself. Differences mean something between
such calls alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final, TypeAlias

from tapegrad import floats as f
from tapegrad.columns import Columns
from tapegrad.nodes import Apply
from tapegrad.primitive import Primitive
from tapegrad.tape import Tape
from tapegrad.text import number

__all__ = ["change", "change_at", "piece_of", "watched"]

Piece: TypeAlias = Callable[..., float]
"""Which piece of an operation a call was on, as a number, from ``(y, *xs)``."""


def _result(y: float, *xs: float) -> float:
    return y


def _sign(y: float, x: float, *xs: float) -> float:
    return f.sign(x)


def _sign_unless_polynomial(y: float, x: float, n: float) -> float:
    return 0.0 if n >= 0.0 and n == f.floor(n) else f.sign(x)


def _sign_of_divisor(z: float, x: float, y: float) -> float:
    return f.sign(y)


def _winner(z: float, x: float, y: float) -> float:
    return f.win(x, y)


def _arm(z: float, condition: float, x: float, y: float) -> float:
    return f.truth(condition)


def _is_origin(z: float, *xs: float) -> float:
    return float(not any(xs))


def _between_poles(y: float, x: float, *n: float) -> float:
    return f.floor(x) if x <= 0.0 else 1.0


def _two_signs(z: float, x: float, y: float) -> float:
    return 3.0 * f.sign(x) + math.copysign(1.0, y)


def _side_of_cut(z: float, y: float, x: float) -> float:
    return math.copysign(1.0, y) if x < 0.0 else 0.0


_STEPS: Final = frozenset(
    ("floor", "ceil", "trunc", "floordiv", "truncdiv", "rounddiv", "step", "win", "sign")
)

_PIECES: Final[Mapping[str, Piece]] = {
    **dict.fromkeys(_STEPS, _result),
    **dict.fromkeys(("abs", "relu", "cbrt", "cbrt_slope"), _sign),
    **dict.fromkeys(("pow", "pow_dx", "pow_dy"), _sign),
    **dict.fromkeys(("powc", "powc_slope"), _sign_unless_polynomial),
    **dict.fromkeys(("div", "div_pos", "div2"), _sign_of_divisor),
    **dict.fromkeys(("maximum", "minimum"), _winner),
    **dict.fromkeys(("hypot", "direction"), _is_origin),
    **dict.fromkeys(("gamma", "gamma_slope", "lgamma", "digamma", "polygamma"), _between_poles),
    "where": _arm,
    "mod": lambda z, x, y: f.floordiv(x, y),
    "fmod": lambda z, x, y: f.truncdiv(x, y),
    "remainder": lambda z, x, y: f.rounddiv(x, y),
    "tan": lambda y, x: f.floor(x / math.pi + 0.5),
    "copysign": _two_signs,
    "atan2": _side_of_cut,
}  # fmt: skip


def piece_of(row: Primitive, y: float, *xs: float) -> float:
    """The piece of ``row`` that a call was on; of a row that is smooth always the same."""
    piece = _piece_function(row)
    return 0.0 if piece is None else piece(y, *xs)


def _piece_function(row: Primitive) -> Piece | None:
    """The function that tells the pieces of a row apart; None for a row that is smooth."""
    return _result if row.is_truth else _PIECES.get(row.name)


def watched(columns: Columns) -> tuple[int, ...]:
    """The entries that have several pieces."""
    codes = {code for code, row in enumerate(columns.table.rows) if _piece_function(row)}
    return tuple(slot for slot, code in enumerate(columns.codes) if code in codes)


def change(
    base: Columns, other: Columns, slots: Sequence[int], outputs: Sequence[int]
) -> int | None:
    """The first entry at which another call leaves the course of this one; None if none does.

    ``slots`` are those of ``watched(base)``. A result that is not finite is off the course, too.
    """
    end = _same_entries(base, other)
    for slot in slots:
        if slot >= end:
            break
        if not _equal(_piece(base, slot), _piece(other, slot)):
            return slot
    if end < max(len(base), len(other)):
        return min(end, len(base) - 1)
    if all(_is_finite(other, slot) for slot in outputs):
        return None
    ends = (slot for slot in range(end) if _is_finite(base, slot) > _is_finite(other, slot))
    return next(ends, outputs[0])


def _same_entries(base: Columns, other: Columns) -> int:
    """How many entries apply the same rows from the start on."""
    if base.codes == other.codes:
        return len(base)
    pairs = enumerate(zip_longest(base.codes, other.codes))
    return next(slot for slot, (code, now) in pairs if code != now)


def _piece(columns: Columns, slot: int) -> float:
    return piece_of(columns.row(slot), columns.values[slot], *columns.arguments(slot))  # type: ignore[arg-type]  # plain numbers


def _equal(a: float, b: float) -> bool:
    return a == b or (a != a and b != b)


def _is_finite(columns: Columns, slot: int) -> bool:
    return math.isfinite(columns.values[slot])  # type: ignore[arg-type]  # plain numbers


def change_at(tape: Tape[object, ..., object], slot: int) -> str:
    """What changes at the entry that ``change`` found, and on which line."""
    node = tape[slot]
    if not isinstance(node, Apply) or node.primitive.is_truth:
        guard = next(_guards_after(tape.columns, slot), None)
        if guard is not None:
            return f"branch at {tape.site(guard)} changes here"
        return f"condition at {tape.site(slot)} changes here"
    return f"{_how(node, tape.columns.arguments(slot))}, {node.site}"  # type: ignore[arg-type]  # plain numbers


def _guards_after(columns: Columns, slot: int) -> Iterator[int]:
    """The guards that read a condition, as it is or combined with others."""
    reached = {slot}
    for later in range(slot, len(columns)):
        row = columns.row(later)
        if later == slot or not reached.isdisjoint(columns.operands(later)):
            if row.name == "guard":
                yield later
            elif row.is_truth:
                reached.add(later)


def _how(node: Apply, xs: tuple[float, ...]) -> str:
    name = node.primitive.name
    if name in {"maximum", "minimum"}:
        return f"tie in {name}" if xs[0] == xs[1] else f"{name} changes sides here"
    if name in _STEPS or name in {"mod", "fmod", "remainder"}:
        return f"{name} jumps at {number(xs[0])}"
    if not any(xs[: len(node.operands)]):
        return f"{name} at 0"
    if name in _PIECES:
        return f"{name} changes sides here"
    return f"{name} leaves its domain here"
