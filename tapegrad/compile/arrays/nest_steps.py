"""How a nest goes through a row: which steps share a loop, and what is kept in memory in between.

A loop computes again what little it needs of what an earlier one has computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, Final, TypeAlias, cast, final

from tapegrad.compile.arrays.nests import Kind, Nest, function_of_step
from tapegrad.compile.backends.llvm.array_nest import NestLoop, NestMemory, NestStep, Read
from tapegrad.compile.program import NUMBER, Form, Program
from tapegrad.ops.primitive import Shape

__all__ = ["NestSteps"]

_CHEAP: Final = 3
"""The most steps that are done again rather than kept in memory."""
_COSTS: Final[Mapping[str, int]] = {"divide": 8, "sqrt": 8}
"""The costs of functions that take as long as so many others."""
_LONG_SUM: Final = 128
"""The longest sums that are computed of what is in registers."""
_PLACE: Final = 8

Group: TypeAlias = tuple[int, int]
"""The length of some neighbouring axes, and the last of them."""


@final
class NestSteps:
    """The loops of a nest, and the memory that they use; ``names`` has the entry of each name.

    Of what goes element by element, ``stored`` are the entries that stand in memory.
    """

    nest: Nest
    program: Program
    forms: Sequence[Form]
    loops: Sequence[NestLoop]
    memory: NestMemory

    def __init__(self, nest: Nest) -> None:
        self.nest, self.program, self.forms = nest, nest.program, nest.program.forms
        self.names: dict[str, int] = {}
        self._named: dict[tuple[str, int], str] = {}
        self.stored: set[int] = {slot for slot in nest.kept if nest.kinds[slot] == "each"}
        self._store()
        self.loops = list(self._loops())
        self._allot()

    # Shapes.

    def row(self, slot: int) -> Shape:
        """The shape of a row of an entry."""
        return self.forms[slot].shape[1:]

    def domain(self, slot: int) -> Shape:
        """The shape through which the loop of an entry goes."""
        (operand, *_) = self.program.operands[slot]
        return self.row(slot if self.nest.kinds[slot] == "each" else operand)

    def axes_of(self, slot: int, kind: Kind) -> int:
        """How many axes an entry takes together, if it is of this kind."""
        if self.nest.kinds[slot] != kind:
            return 0
        axes, _ = cast("tuple[Shape, bool]", self.program.statics[slot])
        return len(axes)

    def wide(self, slot: int) -> Shape:
        """The axes of the domain of an entry that are longer than 1."""
        return _without_ones(self.domain(slot))

    def cut(self, slot: int) -> int:
        """How many of these come before the last ones, which it takes together."""
        domain = self.domain(slot)
        return len(_without_ones(domain[: len(domain) - self.axes_of(slot, "along")]))

    # What is read.

    def read(self, operand: int, domain: Shape) -> Read:
        """How a step that goes through a shape reads an entry."""
        form, root = self.forms[operand], self.nest.root(operand)
        if form is NUMBER:
            return Read(self.name("number", operand))
        has_rows = len(form.shape) == len(domain) + 1
        strides = _apart(form.shape[1:] if has_rows else form.shape, domain)
        if root in self.nest.kinds:
            return Read(self.name("made", root), strides)
        is_row = has_rows and form.shape[0] == self.nest.count
        return Read(self.name("row" if is_row else "fixed", operand), strides)

    def name(self, what: str, slot: int) -> str:
        """The name of an entry, which says what it is; equal nests have equal names."""
        found = self._named.setdefault((what, slot), f"{what}{len(self._named)}")
        self.names[found] = slot
        return found

    def of(self, what: str) -> list[str]:
        """The names of what comes from outside."""
        return [name for (given, _), name in self._named.items() if given == what]

    def reads(self, slot: int) -> list[Read]:
        """Lists how an entry of the nest reads its operands."""
        return [self.read(operand, self.domain(slot)) for operand in self.program.operands[slot]]

    def own(self, slot: int) -> Read:
        """Tells how an entry of the nest writes."""
        across, cut = self.axes_of(slot, "across"), self.cut(slot)
        domain = self.domain(slot)
        strides = _apart((1,) * across + domain[across:], domain)
        if self.nest.kinds[slot] == "along":
            strides = _apart(self.wide(slot)[:cut], self.wide(slot)[:cut])
        return Read(self.name("made", slot), strides)

    def _store(self) -> None:
        """Stores what is read otherwise than it is computed, or would be computed often."""
        kinds, readers = self.nest.kinds, dict[int, set[int]]()
        for slot, kind in kinds.items():
            for operand in self.program.operands[slot] if kind != "view" else ():
                root = self.nest.root(operand)
                readers.setdefault(root, set()).add(slot)
                if kinds.get(root) == "each" and not self.is_alike(root, operand, slot):
                    self.stored.add(root)
        costs: dict[int, int] = {}
        for slot in kinds:
            roots = {*map(self.nest.root, self.program.operands[slot])} - self.stored
            own = _COSTS.get(function_of_step(self.program.rows[slot]), 1)
            costs[slot] = own + sum(costs.get(root, 0) for root in roots)
            is_shared = kinds[slot] == "each" and len(readers.get(slot, ())) > 1
            if is_shared and costs[slot] > _CHEAP:
                self.stored.add(slot)

    def is_alike(self, root: int, operand: int, slot: int) -> bool:
        """Whether an entry is computed where it is read, in the same loop."""
        is_own = self.read(operand, self.domain(slot)) == self.own(root)
        return is_own and self.wide(root) == self.wide(slot) and not self.is_read_in_memory(slot)

    def is_read_in_memory(self, slot: int) -> bool:
        """Whether what an entry takes together may be given to a loop of numpy's."""
        if self.nest.kinds[slot] != "along":
            return False
        length = prod(self.wide(slot)[self.cut(slot) :])
        return length > _LONG_SUM or function_of_step(self.program.rows[slot]) != "add"

    # Loops.

    def sinks(self) -> list[int]:
        """The entries for whose sake there are loops."""
        return [
            slot
            for slot, kind in self.nest.kinds.items()
            if slot in self.stored or kind in {"along", "across", "onto"}
        ]

    def _loops(self) -> Iterator[NestLoop]:
        """The loops, each of as many neighbouring sinks as one can have."""
        together: list[int] = []
        for slot in self.sinks():
            if together and not self.joins(together, slot):
                yield self.loop(together)
                together = []
            if not together and self.axes([slot]) is None:
                operand = self.nest.root(self.program.operands[slot][0])
                yield self.loop([operand])
                self.stored.add(operand)
            together.append(slot)
        if together:
            yield self.loop(together)

    def joins(self, together: Sequence[int], slot: int) -> bool:
        """Whether a loop can have one more sink."""
        if self.wide(together[0]) != self.wide(slot):
            return False
        for read in self.leaves(slot):
            sink = self.names[read.name]
            is_own = self.nest.kinds.get(sink) == "each" and read == self.own(sink)
            if sink in together and not is_own:
                return False
        return self.axes([*together, slot]) is not None

    def leaves(self, slot: int) -> list[Read]:
        """Lists the reads of a sink that are reads of memory."""
        reads = [read for one in self.within(slot) for read in self.reads(one)]
        return [read for read in reads if not self.is_computed(self.names[read.name])]

    def is_computed(self, slot: int) -> bool:
        """Whether a loop computes an entry where it needs it."""
        return self.nest.kinds.get(slot) == "each" and slot not in self.stored

    def within(self, slot: int) -> list[int]:
        """A sink, and before it what is computed for it."""
        found: dict[int, None] = {}

        def visit(one: int) -> None:
            if one not in found:
                for operand in self.program.operands[one]:
                    if self.is_computed(root := self.nest.root(operand)):
                        visit(root)
                found[one] = None

        visit(slot)
        return list(found)

    def axes(self, sinks: Sequence[int]) -> tuple[list[Group], list[Group]] | None:
        """The axes of a loop: those before the last one, and that.

        Neighbouring axes are one where everything is as far apart. None where there are several
        along which something is taken together.
        """
        wide = self.wide(sinks[0])
        cuts = {self.cut(sink) for sink in sinks if self.nest.kinds[sink] == "along"}
        steps = {one for sink in sinks for one in self.within(sink)}
        apart = [read.strides for one in steps for read in (*self.reads(one), self.own(one))]
        columns = [
            tuple(strides[axis] if axis < len(strides) else 0 for strides in apart)
            for axis in range(len(wide))
        ]
        if not cuts:
            merged = _merged(wide, columns, 0)
            return merged[:-1], merged[-1:]
        if len(cuts) > 1:
            return None
        (cut,) = cuts
        inner = _merged(wide, columns, cut)
        return None if len(inner) > 1 else (_merged(wide[:cut], columns, 0), inner)

    def loop(self, sinks: Sequence[int]) -> NestLoop:
        """The loop of some sinks."""
        outer, inner = cast("tuple[list[Group], list[Group]]", self.axes(sinks))
        slots = dict.fromkeys(one for sink in sinks for one in self.within(sink))
        steps = tuple(self.step(slot, outer, inner, slot in sinks) for slot in slots)
        return NestLoop((*(size for size, _ in outer), inner[0][0] if inner else 1), steps)

    def step(
        self, slot: int, outer: Sequence[Group], inner: Sequence[Group], is_sink: bool
    ) -> NestStep:
        """A step of a loop with these axes."""

        def placed(read: Read, is_short: bool = False) -> Read:
            if self.forms[self.names[read.name]] is NUMBER:
                return read
            strides = tuple(read.strides[axis] for _, axis in outer)
            if not is_short:
                strides += (read.strides[inner[0][1]],) if inner else (0,)
            return Read(read.name, strides)

        kind = self.nest.kinds[slot]
        given = tuple(map(placed, self.reads(slot)))
        written = placed(self.own(slot), kind == "along")
        function = function_of_step(self.program.rows[slot])
        cleared = prod(self.row(slot)) if kind == "across" else 0
        how: Any = "onto" if kind == "across" else kind
        return NestStep(how, function, given, written, is_sink and kind == "each", cleared)

    def _allot(self) -> None:
        """Gives what stands in memory between loops a place."""
        rows = {name: prod(self.row(self.names[name])) for name in self.of("row")}
        fixed, numbers = self.of("fixed"), self.of("number")
        scratch: dict[str, int] = {}
        size = 0
        for slot in self.sinks():
            name, count = self.name("made", slot), prod(self.row(slot))
            if self.nest.kinds[slot] == "onto":
                fixed.append(name)
            elif slot in self.nest.kept:
                rows[name] = count
            else:
                scratch[name] = size
                size += -(-count // _PLACE) * _PLACE
        written = {name for name in (*rows, *fixed) if self.names[name] in self.nest.kinds}
        self.memory = NestMemory(rows, fixed, numbers, written, scratch, size)


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _apart(shape: Shape, domain: Shape) -> tuple[int, ...]:
    """How far apart numbers of this shape are along the axes of a domain that are longer than 1."""
    found: list[int] = []
    size = 1
    for length in reversed(shape):
        found.insert(0, size if length != 1 else 0)
        size *= length
    found = [0] * (len(domain) - len(shape)) + found
    return tuple(apart for apart, length in zip(found, domain, strict=True) if length != 1)


def _merged(sizes: Shape, columns: Sequence[tuple[int, ...]], first: int) -> list[Group]:
    """The axes from the first one on, where those that all go through as one are one."""
    found: list[Group] = []
    for axis in range(first, len(sizes)):
        size, apart = sizes[axis], columns[axis]
        if found:
            before, last = found[-1]
            if all(far == size * near for far, near in zip(columns[last], apart, strict=True)):
                found[-1] = before * size, axis
                continue
        found.append((size, axis))
    return found
