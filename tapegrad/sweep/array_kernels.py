"""Straight code for one entry that goes element by element, spelled from its row's partials.

A *kernel* computes what a row applied to dual numbers does, operation by operation, without what is
known to be absent: the tangent of an entry, or the shares of its cotangent that go to its operands,
with their tangents. No expression is computed twice. On large arrays a kernel goes block by block,
so that what it computes on the way stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, lru_cache
from math import prod
from typing import Any, Final, cast, final

import attrs
import numpy as np

from tapegrad.entries.columns import EntryColumns
from tapegrad.ops import table as ops
from tapegrad.ops.array_code import Code, Name, NotSpelledError, Script
from tapegrad.ops.primitive import MANY, Operand, Primitive, Shape, shape_of

__all__ = [
    "DROPPED", "LARGE", "Kernel", "Want", "has_kernels", "pull_kernel", "push_kernel",
    "slots_to_spend",
]  # fmt: skip

_GIVEN: Final = ("x0", "x1")
LARGE: Final = 1 << 15
"""The least numbers of an array on which a kernel goes block by block."""
_BLOCK: Final = 1 << 14
"""The numbers of a block."""
DROPPED: Final = 0.0
"""It stands for a value that nothing will read."""


# glibc gives free memory back to the system where it is more than twice the largest block of up to
# 32 MiB that was ever freed, and what a sweep frees the next one would have to be given anew, page
# by page, which takes longer than to compute on it. So a block is freed here that was never
# touched.
np.empty(31 << 20, np.uint8)


def slots_to_spend(columns: EntryColumns, kept: Collection[int]) -> Collection[int]:
    """The slots whose values a last sweep may drop on its way, but for those that are ``kept``.

    Those of inputs, constants and views may be others' arrays.
    """
    own = [row.is_operation and row.array is None for row in columns.table.rows]
    return {slot for slot, code in enumerate(columns.codes) if own[code]}.difference(kept)


class Want:
    """An operand wants nothing, a share with its tangent, or the tangent alone."""

    NOTHING: Final = 0
    BOTH: Final = 1
    TANGENT: Final = 2


@final
class Kernel:
    """Straight code of an entry; ``run`` is its function."""

    def __init__(self, code: Code) -> None:
        self.code: Code = code
        self.run: Callable[..., Any] = code.run

    def in_blocks(self, *given: Any) -> Sequence[Any]:
        """Runs the kernel, block by block if it has the same bits so."""
        names = self.code.names
        shape = shape_of(given[names.index("y")])
        if self.code.is_exact and all(_is_cut(x, shape) for x in given):
            return self._in_blocks(shape, dict(zip(names, given, strict=True)))
        return cast("Sequence[Any]", self.run(*given))

    def _in_blocks(self, shape: Shape, given: Mapping[str, Any]) -> Sequence[Any]:
        size, names = prod(shape), self.code.found
        flat = [x.reshape(-1) if type(x) is np.ndarray else x for x in given.values()]
        found: list[Any] = [given.get(name) for name in names]
        for start in range(0, size, _BLOCK):
            part = slice(start, start + _BLOCK)
            results = self.run(*(x[part] if type(x) is np.ndarray else x for x in flat))
            for at, (name, result) in enumerate(zip(names, results, strict=True)):
                if type(result) is not np.ndarray:
                    found[at] = result
                elif name not in given:
                    if not start:
                        found[at] = np.empty(size)
                    found[at][part] = result
        return [
            x if name in given or type(x) is not np.ndarray else x.reshape(shape)
            for name, x in zip(names, found, strict=True)
        ]


def _is_cut(x: Any, shape: Shape) -> bool:
    """Whether an operand is a number, or an array that is cut in blocks as the result is."""
    return type(x) is not np.ndarray or (x.shape == shape and bool(x.flags.c_contiguous))


@cache
def has_kernels(row: Primitive) -> bool:
    """Whether a row's entries have kernels, if nothing that a kernel is made for says otherwise.

    The row is the library's, and its operands stand in the two columns.
    """
    return row.kind == "operation" and row in ops.TABLE.codes and not row.is_pooled


@lru_cache(maxsize=4096)
def push_kernel(row: Primitive, present: int, numbers: int, static: object) -> Kernel | None:
    """The kernel ``(y, x0, x1, d0, d1)`` of an entry's tangent; None where the row has none.

    The bits of ``present`` stand for the tangents d0 and d1, and those of ``numbers`` for y, x0 and
    x1 where these are no arrays.
    """
    script = _DualScript(_named(numbers, ("y", "x0", "x1")), _GIVEN[: row.arity])
    given = _operands(script, row, cast(int, row.arity), _named(present, ("d0", "d1")), static)
    try:
        script.know(row, given, "y")
        found = script.apply(row, given)
    except NotSpelledError:
        return None
    return Kernel(script.code(("y", "x0", "x1", "d0", "d1"), (found.dot,)))


@lru_cache(maxsize=4096)
def pull_kernel(
    row: Primitive, present: int, numbers: int, wants: tuple[int, ...], static: object
) -> Kernel | None:
    """The kernel ``(b, e, y, x0, x1, dy, d0, d1)`` of the operands' shares with their tangents.

    ``b`` is the cotangent. The bits of ``present`` stand for its tangent e, dy, d0 and d1, and
    those of ``numbers`` for y, x0 and x1 where these are no arrays. ``wants`` says what each
    operand wants. For each there is the share and its tangent.
    """
    script = _DualScript(_named(numbers, ("y", "x0", "x1")), _GIVEN[: len(wants)])
    dots = _named(present, ("e", "dy", "d0", "d1"))
    bar, y = (_Dual(script, x, dot * (dot in dots)) for x, dot in (("b", "e"), ("y", "dy")))
    given = _operands(script, row, len(wants), dots, static)
    found: list[str] = []
    try:
        script.know(row, given, "y")
        for index, want in enumerate(wants):
            partial = row.partial(index, y, *given) if want else None
            share = None if partial is None else cast(_Dual, script.product(bar, partial))
            found.append(share.text if share and want == Want.BOTH else "")
            found.append(share.dot if share else "")
    except NotSpelledError:
        return None
    return Kernel(script.code(("b", "e", "y", "x0", "x1", "dy", "d0", "d1"), found))


def _named(bits: int, names: Sequence[str]) -> set[str]:
    """The names whose bits are set."""
    return {name for place, name in enumerate(names) if bits >> place & 1}


def _operands(
    script: _DualScript, row: Primitive, count: int, dots: set[str], static: object
) -> tuple[Operand, ...]:
    """The operands of an entry, the static one last."""
    pairs = ((f"x{at}", f"d{at}") for at in range(count))
    duals = (_Dual(script, x, dot if dot in dots else "") for x, dot in pairs)
    return (*duals, cast(Operand, static)) if row.has_static else (*duals,)


@final
@attrs.frozen
class _Dual(Name):
    """The name of a value, and that of its tangent, which is empty where that is absent."""

    dot: str = ""


@final
class _DualScript(Script):
    """Lines that compute rows and their tangents."""

    def apply(self, row: Primitive, operands: Sequence[Operand]) -> _Dual:
        """The names of a row's value and of its tangent."""
        y = _Dual(self, self.value(row, operands))
        dots = [operand.dot if isinstance(operand, _Dual) else "" for operand in operands]
        if not any(dots):
            return y
        if row.kind != "operation" or len(operands) > MANY:
            raise NotSpelledError
        plain = [Name(self, x.text) if isinstance(x, _Dual) else x for x in operands]
        total = ""
        for index, dot in enumerate(dots):
            partial = row.partial(index, y, *plain) if dot else None
            if partial is not None:
                term = self.product(Name(self, dot), partial)
                total = self.value(ops.add, (Name(self, total), term)) if total else term.text
        return _Dual(self, y.text, total)
