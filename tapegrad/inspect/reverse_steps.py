"""The reverse sweep step by step: the shares that each entry adds to its operands, and their rules.

The sweeps that compute are generated code, which keeps no intermediate sums; this one gives each of
them. It adds the same products in the same order, so its last sums are the cotangents to the bit.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from typing import Final, cast, final

import attrs

from tapegrad.entries.columns import EntryColumns
from tapegrad.inspect.names import sign
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, Primitive, Traced
from tapegrad.sweep.gradient import Cotangents

__all__ = ["ReverseStep", "Share", "expression", "products", "reverse_steps", "rule"]

_SPELLED: Final = 8
"""The most operands of a row whose partials are written out; with more, a rule would be a page."""


@final
@attrs.frozen
class Share:
    """The number that one step adds to the cotangent of ``operand``, operand ``index`` of its row.

    ``share`` is the step's cotangent times ``partial``, or the transpose of a derivative, which has
    none, applied to it; ``after`` is the sum that it makes with
    ``before``, None where it is the first to arrive.
    """

    index: int
    operand: int
    partial: float | None
    share: float
    before: float | None
    after: float


@final
@attrs.frozen
class ReverseStep:
    """The reverse sweep at entry ``slot``, whose cotangent is complete."""

    slot: int
    cotangent: float
    shares: tuple[Share, ...]


def reverse_steps(columns: EntryColumns, cotangents: Cotangents) -> Iterator[ReverseStep]:
    """The steps of the reverse sweep that gave these cotangents, on numbers, from the output down.

    Entries that no cotangent reached have no step, and neither have inputs and constants.
    """
    sums: list[float | None] = [None] * len(columns)
    for slot in reversed(range(len(columns))):
        cotangent = cotangents[slot]
        if cotangent is not None and columns.operands(slot):
            yield ReverseStep(slot, cotangent, tuple(_shares(columns, slot, cotangent, sums)))


def _shares(
    columns: EntryColumns, slot: int, cotangent: float, sums: list[float | None]
) -> Iterator[Share]:
    for index, operand, partial, share in products(columns, slot, cotangent):
        before = sums[operand]
        after = share if before is None else before + share
        sums[operand] = after
        yield Share(index, operand, partial, share, before, after)


def products(
    columns: EntryColumns, slot: int, cotangent: float
) -> Iterator[tuple[int, int, float | None, float]]:
    """For each operand that gets a share its index, its slot, the partial, and the share.

    A row that takes arrays as they are has no partials, and None in their place.
    """
    if columns.on_arrays:
        yield from serving("inspect.array_shares").products(columns, slot, cotangent)
        return
    operands = columns.operands(slot)
    for index, partial in enumerate(_partials(columns, slot)):
        if partial is not None:
            yield index, operands[index], partial, cotangent * partial


def _partials(columns: EntryColumns, slot: int) -> Sequence[float | None]:
    """The partials of an entry; those of a choice are None but for the 1 of the arm it selected."""
    row = columns.row(slot)
    arguments = cast("tuple[float, ...]", columns.arguments(slot))
    if row.kind == "choice":
        return (None, 1.0, None) if arguments[0] else (None, None, 1.0)
    y = cast(float, columns.values[slot])
    return cast("Sequence[float | None]", tuple(row.every_partial(y, *arguments)))


def expression(row: Primitive, operands: Sequence[str]) -> str:
    """A row applied to operands, with its symbol where it has one.

    >>> from tapegrad.ops import table as ops
    >>> expression(ops.mul, ["w", "x"]), expression(ops.tanh, ["w"]), expression(ops.neg, ["w"])
    ('w * x', 'tanh(w)', '-w')
    >>> expression(ops.sub, ["2", "-3"])
    '2 - (-3)'
    """
    written = sign(row)
    if written == "[]":
        return "".join(operands)
    if _is_function(written):
        return f"{written}({', '.join(operands)})"
    terms = [f"({operand})" if operand.startswith("-") else operand for operand in operands]
    if len(terms) == 1:
        return f"{written} {terms[0]}" if written.isidentifier() else f"{written}{terms[0]}"
    return f" {written} ".join(terms)


def _is_function(written: str) -> bool:
    """Whether a sign is written before its operands; a user's row may be called ``module.sin``."""
    return any(map(str.isalnum, written)) and not keyword.iskeyword(written)


def rule(row: Primitive, index: int, result: str, operands: Sequence[str | Operand]) -> str:
    """The partial in operand ``index`` as a formula over the names of the result and operands.

    Empty for a user's own rule, which may need numbers where this passes names.

    >>> from tapegrad.ops import table as ops
    >>> rule(ops.mul, 0, "z", ["w", "x"]), rule(ops.tanh, 0, "y", ["x"])
    ('x', '1 / cosh(x) ** 2')
    """
    if row.kind == "choice":
        return "selected"
    if row not in ops.TABLE.codes or len(operands) > _SPELLED:
        return ""
    names = (_Formula(name) if isinstance(name, str) else name for name in operands)
    return _spelled(row.partial(index, _Formula(result), *names))


@final
@attrs.frozen
class _Formula(Traced):
    """Stands for a number in a rule: applying rows to it writes a formula."""

    text: str
    is_atom: bool = True

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _Formula:
        if row.helper and re.search(r"\bx\b", row.doc):
            return _Formula(_filled(row.doc, operands), is_atom=False)
        is_call = _is_function(sign(row))
        texts = [*map(_spelled if is_call else _enclosed, operands)]
        return _Formula(expression(row, texts), is_call)


def _filled(doc: str, operands: Sequence[Operand]) -> str:
    """The description of a helper, a formula in x, y or n, with the operands in their place."""
    formula = re.split("; | for y ", doc)[0]
    letters = ("x", "y" if re.search(r"\by\b", formula) else "n")
    texts = dict(zip(letters, map(_enclosed, operands), strict=False))
    return re.sub(r"\b[xyn]\b", lambda letter: texts.get(letter[0], letter[0]), formula)


def _spelled(operand: Operand | None) -> str:
    return operand.text if isinstance(operand, _Formula) else f"{operand:.4g}"


def _enclosed(operand: Operand) -> str:
    text = _spelled(operand)
    is_atom = operand.is_atom if isinstance(operand, _Formula) else not text.startswith("-")
    return text if is_atom else f"({text})"
