"""Straight code for one entry that goes element by element, spelled from its row's partials.

A *kernel* computes what a row applied to dual numbers does, operation by operation, without what is
known to be absent: the tangent of an entry, or the shares of its cotangent that go to its operands,
with their tangents. No expression is computed twice. On large arrays a kernel goes block by block,
so that what it computes on the way stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from math import prod
from re import findall
from textwrap import indent
from typing import Any, Final, cast, final

import attrs
import numpy as np

from tapegrad.ops import table as ops
from tapegrad.ops.array_steps import STEPS
from tapegrad.ops.elementwise import function_of, is_exact, ufunc_of
from tapegrad.ops.inline import INLINE_NAMES, call_name
from tapegrad.ops.primitive import MANY, Operand, Primitive, Shape, Traced, shape_of

__all__ = ["LARGE", "Kernel", "Want", "has_kernels", "in_c_order", "pull_kernel", "push_kernel"]

LARGE: Final = 1 << 15
"""The least numbers of an array on which a kernel goes block by block."""
_BLOCK: Final = 1 << 13
"""The numbers of a block."""


class Want:
    """An operand wants nothing, a share with its tangent, or the tangent alone."""

    NOTHING: Final = 0
    BOTH: Final = 1
    TANGENT: Final = 2


@final
@attrs.frozen(eq=False)
class Kernel:
    """A function of what ``names`` says, which gives what ``found`` says, None for "".

    With ``is_exact`` it has the same bits on parts of arrays as on the whole.
    """

    run: Callable[..., Any]
    names: Sequence[str]
    found: Sequence[str]
    is_exact: bool

    def in_blocks(self, *given: Any) -> Sequence[Any]:
        """Runs the kernel, block by block if it has the same bits so."""
        shape = shape_of(given[self.names.index("y")])
        if self.is_exact and all(_is_cut(x, shape) for x in given):
            return self._in_blocks(shape, given)
        return cast("Sequence[Any]", self.run(*given))

    def _in_blocks(self, shape: Shape, given: Sequence[Any]) -> Sequence[Any]:
        size, known = prod(shape), dict(zip(self.names, given, strict=True))
        flat = [x.reshape(-1) if type(x) is np.ndarray else x for x in given]
        found: list[Any] = [known.get(name) for name in self.found]
        for start in range(0, size, _BLOCK):
            part = slice(start, start + _BLOCK)
            results = self.run(*(x[part] if type(x) is np.ndarray else x for x in flat))
            for at, (name, result) in enumerate(zip(self.found, results, strict=True)):
                if type(result) is not np.ndarray:
                    found[at] = result
                elif name not in known:
                    if not start:
                        found[at] = np.empty(size)
                    found[at][part] = result
        return [
            x if name in known or type(x) is not np.ndarray else x.reshape(shape)
            for name, x in zip(self.found, found, strict=True)
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
    script = _Script(_named(numbers, ("y", "x0", "x1")))
    given = _operands(script, row, _named(present, ("d0", "d1")), static)
    try:
        script.known[script.expression(row, given)] = "y"
        found = script.apply(row, given)
    except _NotSpelledError:
        return None
    return script.kernel(("y", "x0", "x1", "d0", "d1"), (found.dot,))


@lru_cache(maxsize=4096)
def pull_kernel(
    row: Primitive, present: int, numbers: int, wants: tuple[int, ...], static: object
) -> Kernel | None:
    """The kernel ``(b, e, y, x0, x1, dy, d0, d1)`` of the operands' shares with their tangents.

    ``b`` is the cotangent. The bits of ``present`` stand for its tangent e, dy, d0 and d1, and
    those of ``numbers`` for y, x0 and x1 where these are no arrays. ``wants`` says what each
    operand wants. For each there is the share and its tangent.
    """
    script = _Script(_named(numbers, ("y", "x0", "x1")))
    dots = _named(present, ("e", "dy", "d0", "d1"))
    bar, y = (_Dual(script, x, dot * (dot in dots)) for x, dot in (("b", "e"), ("y", "dy")))
    given = _operands(script, row, dots, static)
    found: list[str] = []
    try:
        script.known[script.expression(row, given)] = "y"
        for index, want in enumerate(wants):
            partial = row.partial(index, y, *given) if want else None
            share = None if partial is None else script.product(bar, partial)
            found.append(share.text if share and want == Want.BOTH else "")
            found.append(share.dot if share else "")
    except _NotSpelledError:
        return None
    return script.kernel(("b", "e", "y", "x0", "x1", "dy", "d0", "d1"), found)


def _named(bits: int, names: Sequence[str]) -> set[str]:
    """The names whose bits are set."""
    return {name for place, name in enumerate(names) if bits >> place & 1}


def _operands(
    script: _Script, row: Primitive, dots: set[str], static: object
) -> tuple[Operand, ...]:
    """The operands of an entry, the static one last."""
    places = range(cast(int, row.arity))
    duals = (_Dual(script, f"x{at}", f"d{at}" if f"d{at}" in dots else "") for at in places)
    return (*duals, cast(Operand, static)) if row.has_static else (*duals,)


class _NotSpelledError(Exception):
    """An entry has no straight code, as it chooses between tangents."""


@final
@attrs.frozen
class _Dual(Traced):
    """The name of a value, and that of its tangent, which is empty where that is absent."""

    script: _Script
    text: str
    dot: str = ""

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> _Dual:
        return self.script.apply(row, operands)


@final
class _Script:
    """The lines of a kernel; ``known`` has the name of each expression that was computed.

    ``numbers`` are the names that stand for no arrays, ``inexact`` those of expressions whose bits
    depend on how arrays stand in memory.
    """

    def __init__(self, numbers: set[str]) -> None:
        self.numbers = numbers
        self.known: dict[str, str] = {}
        self.lines: dict[str, str] = {}
        self.inexact: set[str] = set()
        self.called: dict[str, Callable[..., Any]] = {}

    def apply(self, row: Primitive, operands: Sequence[Operand]) -> _Dual:
        """A row applied to operands: its value, and its tangent if it has one."""
        y = _Dual(self, self.value(row, operands))
        dots = [operand.dot if isinstance(operand, _Dual) else "" for operand in operands]
        if not any(dots):
            return y
        if row.kind != "operation" or len(operands) > MANY:
            raise _NotSpelledError
        plain = [_Dual(self, x.text) if isinstance(x, _Dual) else x for x in operands]
        total = ""
        for index, dot in enumerate(dots):
            partial = row.partial(index, y, *plain) if dot else None
            if partial is not None:
                term = self.product(_Dual(self, dot), partial)
                total = self.value(ops.add, (_Dual(self, total), term)) if total else term.text
        return _Dual(self, y.text, total)

    def product(self, x: _Dual, partial: Operand) -> _Dual:
        """The product with a partial, without a factor that is 1 or -1."""
        if isinstance(partial, float) and abs(partial) == 1.0:
            return x if partial == 1.0 else self.apply(ops.neg, (x,))
        return self.apply(ops.mul, (x, partial))

    def value(self, row: Primitive, operands: Sequence[Operand]) -> str:
        """The name of a row's value, which is computed if it is not known."""
        expression = self.expression(row, operands)
        name = self.known.get(expression)
        if name is None:
            on_arrays = not all(map(self.is_number, operands))
            name = self.known[expression] = self.steps(row, operands) if on_arrays else ""
            if not name:
                name = self.known[expression] = f"v{len(self.lines)}"
                self.lines[name] = expression
                if not on_arrays:
                    self.numbers.add(name)
                elif not is_exact(row):
                    self.inexact.add(name)
        return name

    def steps(self, row: Primitive, operands: Sequence[Operand]) -> str:
        """The name of a row's value that is computed in other rows; "" where it is not."""
        spelling = STEPS.get(row)
        plain = (_Dual(self, x.text) if isinstance(x, _Dual) else x for x in operands)
        found = spelling(*plain) if spelling else None
        return found.text if isinstance(found, _Dual) else ""

    def is_number(self, operand: object) -> bool:
        """Whether an operand is known to be no array."""
        return not isinstance(operand, _Dual) or operand.text in self.numbers

    def expression(self, row: Primitive, operands: Sequence[Operand]) -> str:
        """The expression of a row's value."""
        if any(type(operand) not in _SPELLED for operand in operands):
            raise _NotSpelledError
        texts = list(map(_text, operands))
        if row in _OPERATORS:
            return row.python.format(*texts)
        if all(map(self.is_number, operands)):
            name, function = f"{call_name(row)}_numbers", row.value
        else:
            name, function = call_name(row), ufunc_of(row) or function_of(row)
            if not is_exact(row):
                texts = [f"in_order({text})" if text in self.lines else text for text in texts]
        self.called[name] = function
        return f"{name}({', '.join(texts)})"

    def kernel(self, names: Sequence[str], found: Sequence[str]) -> Kernel:
        """The lines that lead to what was ``found``, as a function that returns that."""
        needed = set(found)
        for name, expression in reversed(self.lines.items()):
            if name in needed:
                needed.update(findall(r"\w+", expression))
        lines = [f"{name} = {text}" for name, text in self.lines.items() if name in needed]
        lines += [_IN_C_ORDER.format(name) for name in dict.fromkeys(found) if name in self.lines]
        results = ", ".join(name or "None" for name in found)
        lines.append(f"return {results},")
        text = f"def kernel({', '.join(names)}):\n{indent(chr(10).join(lines), '    ')}\n"
        namespace = {**INLINE_NAMES, **_NAMES, **self.called}
        exec(compile(text, "<spelled by tapegrad>", "exec"), namespace)  # noqa: S102  # the source is spelled from the table alone
        run = cast("Callable[..., Any]", namespace["kernel"])
        return Kernel(run, names, found, needed.isdisjoint(self.inexact))


def _text(operand: object) -> str:
    if isinstance(operand, _Dual):
        return operand.text
    return f"({operand!r})" if str(operand)[0] == "-" else repr(operand)


def in_c_order(found: Any) -> Any:
    """An array in C order; numbers stay."""
    if type(found) is np.ndarray and not found.flags.c_contiguous:
        return np.ascontiguousarray(found)
    return found


_IN_C_ORDER: Final = """\
if type({0}) is ndarray and not {0}.flags.c_contiguous:
    {0} = ascontiguousarray({0})"""

_NAMES: Final[Mapping[str, Any]] = {
    "ascontiguousarray": np.ascontiguousarray, "in_order": in_c_order, "ndarray": np.ndarray,
}  # fmt: skip

_OPERATORS: Final = frozenset((ops.add, ops.mul, ops.neg, ops.sub))
"""Rows whose values on numbers and on arrays are Python's operators."""

_SPELLED: Final = frozenset((_Dual, float, int))
"""The types of operands that can be spelled."""
