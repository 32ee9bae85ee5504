"""The code of nests: some rows at a time in numpy's functions, and one at a time as machine code.

At first a nest goes block by block. Once it has done as much work as it takes to compile a loop, it
is compiled, if the backend can. The first time the loop runs beside the blocks, and it is used from
then on if it has found the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import Any, Final, TypeAlias, cast, final

import numpy as np
from numpy.typing import NDArray

from tapegrad.compile.arrays.calls import REDUCED
from tapegrad.compile.arrays.chains import inner_loop
from tapegrad.compile.arrays.nest_steps import NestSteps
from tapegrad.compile.arrays.nests import Kind, Nest, function_of_step
from tapegrad.compile.backends.interface import CompileNest, NestShape, RunLoop
from tapegrad.compile.backends.llvm.array_nest import ALONG, TOGETHER, array_nest
from tapegrad.compile.program import NUMBER, Form, Program
from tapegrad.errors import BackendError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Shape

__all__ = ["PAYS", "NestBlocks", "NestRun"]

PAYS: Final = 1 << 25
"""The numbers that the steps of a nest compute in the time that LLVM takes to compile it."""
_BLOCK: Final = 1 << 13
"""The numbers of the largest array in a block, so that all of them fit the processor's cache."""
_AT_ONCE: Final = 1 << 24
"""The numbers that machine code computes before Python sees whether there was an interrupt."""
_NEUTRAL: Final = float(np.add.reduce(np.full((2, 2), -0.0), 1)[0])
"""The number with which numpy begins sums."""

Run: TypeAlias = Callable[..., None]


@final
class NestRun:
    """A nest; it is given the arrays of ``slots``, and memory for machine code.

    ``scratch`` is how many numbers that has.
    """

    nest: Nest
    slots: tuple[int, ...]
    scratch: int

    def __init__(self, nest: Nest, make: CompileNest | None) -> None:
        steps = NestSteps(nest)
        names = steps.memory.names
        self.slots = tuple(steps.names[name] for name in names)
        self.scratch = steps.memory.size * TOGETHER
        self._work, self._done = sum(prod(nest.program.forms[x].shape) for x in nest.kinds), 0
        self._written = [names.index(name) for name in sorted(steps.memory.written)]
        self._totals = [
            place for place, slot in enumerate(self.slots) if nest.kinds.get(slot) == "onto"
        ]
        self._native: RunLoop | None = None
        self.nest, self._steps, self._compile = nest, steps, make

    def around(self, in_blocks: Run) -> Run:
        """The nest, given a function that does it in blocks."""

        def run(*given: Any) -> None:
            if self._native is None and self._compile is not None:
                self._done += self._work
                if self._done > PAYS:
                    self._native = self._made(in_blocks, given)
                    return
            if self._native is None or not self._run(self._native, given):
                in_blocks(*given)

        return run

    def _run(self, native: RunLoop, given: Sequence[Any]) -> bool:
        for place in self._totals:
            given[place].fill(_NEUTRAL)
        return native(given)

    def _made(self, in_blocks: Run, given: Sequence[Any]) -> RunLoop:
        """The compiled loop; one that takes nothing where there is none with these bits."""
        native: RunLoop = _takes_nothing
        shape = self.shape()
        with suppress(BackendError):
            if all(shape.words[::2]):
                native = cast(CompileNest, self._compile)(self.text(), shape)
        is_run = self._run(native, given)
        found = [given[place].copy() for place in self._written]
        in_blocks(*given)
        wanted = (given[place] for place in self._written)
        return native if not is_run or all(map(_is_same, found, wanted)) else _takes_nothing

    def text(self) -> str:
        """The text of the loop."""
        return array_nest(self._steps.loops, self._steps.memory, _NEUTRAL)

    def shape(self) -> NestShape:
        """The description of what the loop is given."""
        nest = self.nest
        sizes = tuple(prod(nest.program.forms[slot].shape) for slot in self.slots)
        words = tuple(word for name in ALONG for word in inner_loop(getattr(np, name), "ddd"))
        at_once = max(1, _AT_ONCE * nest.count // self._work // TOGETHER) * TOGETHER
        rows, written = nest.count, tuple(self._written)
        whole = rows - rows % TOGETHER
        return NestShape(rows, whole, at_once, (*sizes, self.scratch), written, words)


def _takes_nothing(given: Sequence[Any]) -> bool:
    """No loop, which was made for no arrays."""
    return False


def _is_same(x: NDArray[Any], y: NDArray[Any]) -> bool:
    """Whether two arrays have the same bits; there is one nan."""
    return x.tobytes() == y.tobytes() or _one_nan(x) == _one_nan(y)


def _one_nan(x: NDArray[Any]) -> bytes:
    return np.where(np.isnan(x), np.nan, x).tobytes()


@final
class NestBlocks:
    """Writes the lines of a nest that goes block by block; ``made`` makes the memory it works in.

    ``texts`` has the names of the arrays that it is given; ``name`` gives those of functions.
    """

    nest: Nest
    texts: Mapping[int, str]
    name: Callable[[Any, str], str]
    program: Program
    forms: Sequence[Form]
    bytes: int

    def __init__(
        self, nest: Nest, texts: Mapping[int, str], name: Callable[[Any, str], str]
    ) -> None:
        self.nest, self.texts, self.name = nest, texts, name
        self.program, self.forms, self.bytes = nest.program, nest.program.forms, 0
        largest = max(prod(self.forms[slot].shape[1:]) for slot in nest.kinds)
        self.size: int = min(nest.count, max(1, _BLOCK // largest))
        self.totals: list[int] = [slot for slot, kind in nest.kinds.items() if kind == "onto"]
        self.summed: set[int] = {self.program.operands[slot][0] for slot in self.totals}
        self.made: list[str] = []
        self.cut: dict[str, None] = {}

    def lines(self) -> list[str]:
        """All of them."""
        count, size = self.nest.count, self.size
        body = [
            line for slot, kind in self.nest.kinds.items() for line in _WRITERS[kind](self, slot)
        ]
        before = [f"{self.texts[slot]}.fill({_NEUTRAL!r})" for slot in self.totals]
        block = [f"j = slice(i, i + {size})", *self.cut, *body]
        loop = [f"for i in range(0, {count}, {size}):", *(f"  {line}" for line in block)]
        return [*before, *loop]

    def given(self, slot: int, axes: int) -> str:
        """How a step on arrays of so many axes reads an entry."""
        if slot in self.nest.kinds:
            return f"v{slot}"
        form, text = self.forms[slot], self.texts[slot]
        if form is NUMBER or len(form.shape) < axes or form.shape[0] != self.nest.count:
            return text
        self.cut.setdefault(f"u{slot} = {text}[j]")
        return f"u{slot}"

    def written(self, slot: int) -> str:
        """The memory of an entry; that of a sum has its place before what is summed."""
        form, is_summed = self.forms[slot], slot in self.summed
        if slot in self.texts and not is_summed:
            self.cut.setdefault(f"v{slot} = {self.texts[slot]}[j]")
            return f"v{slot}"
        shape = (self.size + is_summed, *form.shape[1:])
        self.made.append(f"t{slot} = empty({shape!r}, {form.kind!r})")
        self.bytes += prod(shape) * np.dtype(form.kind).itemsize
        count = f"{self.nest.count} - i"
        if is_summed:
            self.cut.setdefault(f"h{slot} = t{slot}[: {count} + 1]")
        self.cut.setdefault(
            f"v{slot} = h{slot}[1:]" if is_summed else f"v{slot} = t{slot}[:{count}]"
        )
        return f"v{slot}"

    def kept(self, slot: int) -> list[str]:
        """The line that copies what is summed to where others read it."""
        is_kept = slot in self.texts and slot in self.summed
        return [f"copyto({self.texts[slot]}[j], v{slot})"] if is_kept else []

    def each(self, slot: int) -> list[str]:
        """A function that goes element by element."""
        row, axes = self.program.rows[slot], len(self.forms[slot].shape)
        given = [self.given(operand, axes) for operand in self.program.operands[slot]]
        out, kept = self.written(slot), self.kept(slot)
        function = function_of_step(row)
        if function == "choose":
            condition, x, y = given
            return [f"copyto({out}, {y})", f"copyto({out}, {x}, where={condition})", *kept]
        line = f"{self.name(getattr(np, function), '')}({', '.join(given)}, out={out})"
        if row in {ops.maximum, ops.minimum}:
            x, y = given
            tie = f"copyto({out}, {x}, where=equal({x}, {y}))"
            return [line, f"if count_nonzero({out}) != {out}.size: {tie}", *kept]
        return [line, *kept]

    def along(self, slot: int) -> list[str]:
        """A function that is repeated along the last axes."""
        (operand,) = self.program.operands[slot]
        given = self.given(operand, len(self.forms[operand].shape))
        return [self.reduction(slot, given, self.written(slot)), *self.kept(slot)]

    def onto(self, slot: int) -> list[str]:
        """A sum over all rows, which goes on from that of earlier blocks."""
        (operand,), out = self.program.operands[slot], self.texts[slot]
        return [f"h{operand}[0] = {out}", self.reduction(slot, f"h{operand}", out)]

    def reduction(self, slot: int, given: str, out: str) -> str:
        """The call of a function along axes."""
        axes, keep = cast("tuple[Shape, bool]", self.program.statics[slot])
        function = REDUCED[self.program.rows[slot]]
        name = self.name(function.reduce, f"_{function.__name__}")
        return f"{name}({given}, {axes}, None, {out}, {keep})"

    def view(self, slot: int) -> list[str]:
        """The same numbers in another shape."""
        shape = (-1, *self.forms[slot].shape[1:])
        return [f"v{slot} = v{self.program.operands[slot][0]}.reshape({shape!r})"]


_WRITERS: Final[Mapping[Kind, Callable[[NestBlocks, int], list[str]]]] = {
    "each": NestBlocks.each,
    "along": NestBlocks.along,
    "across": NestBlocks.along,
    "onto": NestBlocks.onto,
    "view": NestBlocks.view,
}
