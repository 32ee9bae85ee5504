"""LLVM's text of a program: scalar code for one call, vector code for columns of numbers.

A program becomes functions of a few hundred entries each, because LLVM's time grows faster than the
length of one function; what lives longer than one of them passes through a buffer, or is computed
again. Sums go to eight lanes, however many rows the code takes at a time.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Final, Literal, final

import attrs

from tapegrad.primitive import Primitive
from tapegrad.program import Program
from tapegrad.straight import needs

__all__ = ["LANES", "LIBRARY", "TILE", "Asked", "Mode", "Module", "VectorMaths", "module"]

LANES: Final = 16
"""Rows in one step of vector code: two vectors of the widest hosts, whose operations fill each
other's waiting times. Code for eight runs slower, and takes a third of the time to make."""

TILE: Final = 8
"""Rows that are gathered together."""

_SUMS: Final = 8
"""Lanes in which rows are added up, whatever the host."""

_CHUNK: Final = {"call": 500, "rows": 1000, "sums": 1000}
"""Entries in one function: longer ones take LLVM more time an entry, shorter ones pass more values
through the buffer."""

_ARITHMETIC: Final = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_COMPARISONS: Final = {
    "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une",
}  # fmt: skip
_QUICK: Final = {"add", "sub", "mul", "neg", "abs", "and_", "or_", "not_", *_COMPARISONS}
_EFFORT: Final = 3
"""What is computed again instead of kept: so many such operations at most."""

_INTRINSICS: Final = {
    "abs": "fabs", "sqrt": "sqrt", "fma": "fma", "floor": "floor", "ceil": "ceil",
    "trunc": "trunc", "copysign": "copysign",
}  # fmt: skip

LIBRARY: Final = {
    name: name
    for name in (
        "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "cos", "cosh", "erf",
        "erfc", "exp", "exp2", "expm1", "fmod", "log", "log10", "log1p", "log2", "pow",
        "remainder", "sin", "sinh", "tan", "tanh",
    )
}  # fmt: skip
"""The rows that are functions of C's maths library, and their names there."""


@final
@attrs.frozen
class Mode:
    """What the code is for.

    ``call``: one set of inputs, the outputs written out. ``rows``: columns of numbers, a column of
    each output. ``sums``: columns of numbers, each output added up over the rows.
    """

    name: Literal["call", "rows", "sums"]
    lanes: int

    @property
    def flips(self) -> str:
        """The type of what says which guard flipped."""
        return f"<{self.lanes} x i32>"

    @property
    def type(self) -> str:
        """The type of a number in the code."""
        return "double" if self.lanes == 1 else f"<{self.lanes} x double>"

    @property
    def truth(self) -> str:
        """The type of a condition."""
        return "i1" if self.lanes == 1 else f"<{self.lanes} x i1>"


@final
@attrs.frozen
class VectorMaths:
    """The functions of a vector maths library: ``prefix`` names those of ``width`` lanes."""

    prefix: str
    width: int
    names: frozenset[str]


NO_VECTORS: Final = VectorMaths("", 1, frozenset())


@final
@attrs.frozen(eq=False)
class Asked:
    """A row that the code calls back, of so many operands, and its static operand."""

    row: Primitive
    operands: int
    static: object

    def __call__(self, *operands: float) -> float:
        """The row's value."""
        static = (self.static,) if self.row.has_static else ()
        return self.row.value(*operands, *static)


@final
@attrs.frozen
class Module:
    """The text, the entry point ``run``, and what it needs to be given.

    ``symbols`` are the external functions it calls, ``spills`` the numbers (of ``lanes`` each) in
    its buffer, ``calls`` what it calls back, by the number it asks with.
    """

    text: str
    symbols: tuple[str, ...]
    spills: int
    calls: tuple[Asked, ...]


def module(
    program: Program,
    mode: Literal["call", "rows", "sums"] = "call",
    *,
    lanes: int = 1,
    shared: int = 0,
    maths: VectorMaths = NO_VECTORS,
    fast: bool = False,
) -> Module:
    """The module of a program whose first ``shared`` inputs are the same for all rows.

    Code for rows takes ``lanes`` of them in a step: a multiple of eight.

    With ``fast`` a product and a sum may become one operation, rounded once, where no guard depends
    on it.
    """
    return _Writer(program, Mode(mode, lanes), shared, maths, " contract" if fast else "").module()


@final
class _Writer:
    """What the functions of one module share."""

    def __init__(
        self, program: Program, mode: Mode, shared: int, maths: VectorMaths, flags: str
    ) -> None:
        self.program, self.mode, self.shared = program, mode, shared
        self.maths, self.flags = maths, flags
        self.exact = _decisive(program) if flags else set()
        self.declared: dict[str, str] = {}
        self.calls: list[Asked] = []
        self.guards = {slot: index for index, slot in enumerate(program.expected)}
        self.outputs: dict[int, list[int]] = {}
        for index, slot in enumerate(program.outputs):
            self.outputs.setdefault(slot, []).append(index)
        self.late = self._late()
        self.chunks = list(self._split())
        self.again = self._cheap()
        self.spill, self.spills = self._buffer()

    def _split(self) -> Iterator[Sequence[int]]:
        """The entries of one function after the other."""
        program = self.program
        slots = [s for s in range(program.inputs, len(program)) if s not in program.constants]
        size = _CHUNK[self.mode.name]
        for start in range(0, max(len(slots), 1), size):
            yield slots[start : start + size]

    def _cheap(self) -> dict[int, set[int]]:
        """The entries that are quicker to compute again than to keep, and the one that they need.

        They are a few operations away from a single value, inputs and constants aside.
        """
        program = self.program
        again: dict[int, set[int]] = {}
        effort: dict[int, int] = {}
        for slot in range(program.inputs, len(program)):
            if program.rows[slot].name not in _QUICK:
                continue
            operands = program.operands[slot]
            kept = [again.get(operand, {operand}) for operand in operands]
            bases = {base for part in kept for base in part if self.is_kept(base)}
            effort[slot] = 1 + sum(effort.get(operand, 0) for operand in operands)
            if len(bases) <= 1 and effort[slot] <= _EFFORT:
                again[slot] = bases
            else:
                del effort[slot]
        return again

    def is_kept(self, slot: int) -> bool:
        """Whether a slot is neither an input nor a constant."""
        return slot >= self.program.inputs and slot not in self.program.constants

    def _last_use(self) -> dict[int, int]:
        """For each value that is kept, the last function that reads it."""
        last: dict[int, int] = {}
        for index, chunk in enumerate(self.chunks):
            inside = set(chunk)
            for slot in chunk:
                for operand in needs(self.program, slot):
                    kept = {operand} if operand in inside else self.again.get(operand, {operand})
                    last |= dict.fromkeys(kept, index)
        for slot in self.late:
            last |= dict.fromkeys(self.again.get(slot, {slot}), len(self.chunks) - 1)
        return last

    def _buffer(self) -> tuple[dict[int, int], int]:
        """Where values that outlive their function stand in the buffer, and how long it is."""
        last = self._last_use()
        places: dict[int, int] = {}
        free: list[int] = []
        ending: dict[int, list[int]] = {}
        size = 0
        for index, chunk in enumerate(self.chunks):
            free += ending.pop(index, [])
            for slot in chunk:
                if last.get(slot, -1) > index:
                    places[slot] = free.pop() if free else size
                    size = max(size, places[slot] + 1)
                    ending.setdefault(last[slot] + 1, []).append(places[slot])
        return places, size

    def _late(self) -> set[int]:
        """The outputs that are no entry of a function, or stand before the last guard."""
        program = self.program
        last = max(program.expected, default=program.inputs - 1)
        return {slot for slot in self.outputs if slot <= last or slot in program.constants}

    def module(self) -> Module:
        functions = [_Function(self, index).text() for index in range(len(self.chunks))]
        run = _run_once(len(functions)) if self.mode.name == "call" else _run_rows(self)
        text = "\n".join([*self.declared.values(), *functions, run, ""])
        ours = ("llvm.", "square")
        symbols = tuple(name for name in self.declared if not name.startswith(ours))
        return Module(text, symbols, self.spills, tuple(self.calls))

    def declare(self, name: str, declaration: str) -> str:
        self.declared[name] = f"declare {declaration}"
        return f"@{name}"


def _decisive(program: Program) -> set[int]:
    """The entries that guards depend on.

    They have the same bits in the code of every path, so that a row that leaves one at a guard is
    not sent back by another.
    """
    found = set(program.expected)
    for slot in range(len(program) - 1, program.inputs - 1, -1):
        if slot in found:
            found.update(needs(program, slot))
    return found


@final
class _Function:
    """One function of a module: some entries in a straight line."""

    def __init__(self, writer: _Writer, index: int) -> None:
        self.writer, self.program, self.mode = writer, writer.program, writer.mode
        self.index = index
        self.lines: list[str] = []
        self.numbers: dict[int, str] = {}
        self.truths: dict[int, str] = {}
        self.names = count()
        self.alive = ""
        self.block = "entry"
        self.operands = 0

    def text(self) -> str:
        writer = self.writer
        for slot in writer.chunks[self.index]:
            self.entry(slot)
        if self.index == len(writer.chunks) - 1:
            for slot in sorted(writer.late):
                self.hand_over(slot)
        returned = "i32" if self.mode.name == "call" else "void"
        end = "  ret i32 -1" if self.mode.name == "call" else "  ret void"
        head = [
            f"define internal {returned} @chunk{self.index}({_PARAMETERS}) nounwind {{",
            "entry:",
            *self._room(),
        ]
        return "\n".join([*head, *self.lines, end, "}"])

    def _room(self) -> list[str]:
        """What calls back hand over, and what they bring."""
        if not self.operands:
            return []
        kind, lanes = self.mode.type, self.mode.lanes
        return [
            f"  %given = alloca [{self.operands} x {kind}], align 64",
            f"  %answer = alloca {kind}, align 64",
            f"  %wanted = alloca [{lanes} x i8], align 8",
        ]

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def new(self, expression: str) -> str:
        """A name for what an instruction gives."""
        name = f"%t{next(self.names)}"
        self.line(f"{name} = {expression}")
        return name

    def at(self, base: str, index: int) -> str:
        return self.new(f"getelementptr {self.mode.type}, ptr {base}, i64 {index}")

    # Operands.

    def number(self, slot: int) -> str:
        """The name of a slot's value, loaded where it comes from another function."""
        if slot not in self.numbers:
            self.numbers[slot] = self._read(slot)
        return self.numbers[slot]

    def _read(self, slot: int) -> str:
        program, kind = self.program, self.mode.type
        if slot in program.constants:
            return self.constant(program.constants[slot])
        if slot in self.truths:
            one, zero = self.constant(1.0), self.constant(0.0)
            return self.new(
                f"select {self.mode.truth} {self.truths[slot]}, {kind} {one}, {kind} {zero}"
            )
        if slot < self.writer.shared:
            place = self.new(f"getelementptr double, ptr %U, i64 {slot}")
            return self.splat(self.new(f"load double, ptr {place}, align 8"))
        if slot < program.inputs:
            return self.new(f"load {kind}, ptr {self.at('%X', slot - self.writer.shared)}, align 8")
        if slot in self.writer.again:
            return self._read(slot) if self.condition(slot) else self.value(slot)
        return self.new(f"load {kind}, ptr {self.at('%S', self.writer.spill[slot])}, align 8")

    def splat(self, number: str) -> str:
        kind = self.mode.type
        if self.mode.lanes == 1:
            return number
        first = self.new(f"insertelement {kind} poison, double {number}, i64 0")
        zeros = f"<{self.mode.lanes} x i32> zeroinitializer"
        return self.new(f"shufflevector {kind} {first}, {kind} poison, {zeros}")

    def constant(self, number: float) -> str:
        bits = f"0x{struct.unpack('>Q', struct.pack('>d', number))[0]:016X}"
        return bits if self.mode.lanes == 1 else f"splat (double {bits})"

    def truth(self, slot: int) -> str:
        """The name of a slot's value as a condition."""
        if slot not in self.truths and not (slot in self.writer.again and self.condition(slot)):
            self.truths[slot] = self.compare("une", self.number(slot), self.constant(0.0))
        return self.truths[slot]

    def compare(self, how: str, x: str, y: str) -> str:
        return self.new(f"fcmp {how} {self.mode.type} {x}, {y}")

    def yes(self) -> str:
        return "true" if self.mode.lanes == 1 else "splat (i1 true)"

    # Entries.

    def entry(self, slot: int) -> None:
        """One entry, and where its value goes beside the entries of this function."""
        if slot in self.writer.guards:
            self.guard(slot)
            return
        if not self.condition(slot):
            self.numbers[slot] = self.value(slot)
        if slot in self.writer.spill:
            place = self.at("%S", self.writer.spill[slot])
            self.line(f"store {self.mode.type} {self.number(slot)}, ptr {place}, align 8")
        if slot in self.writer.outputs and slot not in self.writer.late:
            self.hand_over(slot)

    def condition(self, slot: int) -> bool:
        """An entry that gives a truth value, if it is one."""
        name, operands = self.program.rows[slot].name, self.program.operands[slot]
        truth = self.mode.truth
        if name in _COMPARISONS:
            x, y = map(self.number, operands)
            found = self.compare(_COMPARISONS[name], x, y)
        elif name in {"and_", "or_"}:
            x, y = map(self.truth, operands)
            found = self.new(f"{name.rstrip('_')} {truth} {x}, {y}")
        elif name == "not_":
            found = self.new(f"xor {truth} {self.truth(operands[0])}, {self.yes()}")
        elif name in {"isnan", "isinf", "isfinite"}:
            found = self.kind_of_number(name, self.number(operands[0]))
        else:
            return False
        self.truths[slot] = found
        return True

    def kind_of_number(self, name: str, x: str) -> str:
        if name == "isnan":
            return self.compare("uno", x, x)
        size = self.intrinsic("abs", [x])
        how = "oeq" if name == "isinf" else "olt"
        return self.compare(how, size, self.constant(float("inf")))

    def value(self, slot: int) -> str:
        """The name of what an entry computes."""
        row, kind = self.program.rows[slot], self.mode.type
        operands = self.program.operands[slot]
        if row.name == "where":
            chosen, x, y = self.truth(operands[0]), *map(self.number, operands[1:])
            return self.new(f"select {self.mode.truth} {chosen}, {kind} {x}, {kind} {y}")
        numbers = [self.number(operand) for operand in operands]
        if slot in self.program.rarely:
            return self.sometimes(slot, numbers)
        if not row.core:
            return self.ask(slot, numbers, self.present())
        if row.name == "pow" and self.program.constants.get(operands[1]) == 2.0:
            return self.square(numbers[0])
        flags = "" if slot in self.writer.exact else self.writer.flags
        return self.operation(row.name, numbers, flags)

    def operation(self, name: str, numbers: Sequence[str], flags: str) -> str:
        kind = self.mode.type
        if name in _ARITHMETIC:
            how = f"{_ARITHMETIC[name]}{flags}"
            return self.new(f"{how} {kind} {numbers[0]}, {numbers[1]}")
        if name == "neg":
            return self.new(f"fneg {kind} {numbers[0]}")
        if name in _INTRINSICS:
            return self.intrinsic(name, numbers)
        return self.library(name, numbers)

    def square(self, number: str) -> str:
        """A product; for one call, where every bit counts, only where it is the power."""
        kind = self.mode.type
        if self.mode.name != "call":
            return self.new(f"fmul {kind} {number}, {number}")
        self.writer.declared["square"] = _SQUARE
        self.writer.declare("tapegrad_pow", f"double @tapegrad_pow(double, double) {_PURE}")
        for name in ("llvm.fma.f64(double, double, double)", "llvm.fabs.f64(double)"):
            self.writer.declare(name.partition("(")[0], f"double @{name}")
        return self.new(f"call double @square(double {number})")

    def intrinsic(self, name: str, numbers: Sequence[str]) -> str:
        kind, suffix = self.mode.type, f"v{self.mode.lanes}f64" if self.mode.lanes > 1 else "f64"
        kinds = ", ".join([kind] * len(numbers))
        full = f"llvm.{_INTRINSICS[name]}.{suffix}"
        callee = self.writer.declare(full, f"{kind} @{full}({kinds})")
        return self.call(callee, numbers, kind)

    def call(self, callee: str, numbers: Sequence[str], kind: str) -> str:
        given = ", ".join(f"{kind} {number}" for number in numbers)
        return self.new(f"call {kind} {callee}({given})")

    def library(self, name: str, numbers: Sequence[str]) -> str:
        """A function of the maths library, of as many lanes at a time as there is one for."""
        maths, lanes = self.writer.maths, self.mode.lanes
        if lanes == 1 or name not in maths.names:
            width, symbol = 1, f"tapegrad_{LIBRARY[name]}"
        else:
            width, symbol = maths.width, f"{maths.prefix}{'v' * len(numbers)}_{LIBRARY[name]}"
        kind = "double" if width == 1 else f"<{width} x double>"
        kinds = ", ".join([kind] * len(numbers))
        callee = self.writer.declare(symbol, f"{kind} @{symbol}({kinds}) {_PURE}")
        if width == lanes:
            return self.call(callee, numbers, kind)
        if width == 1:
            return self._lane_by_lane(callee, numbers)
        return self._part_by_part(callee, numbers, width)

    def _lane_by_lane(self, callee: str, numbers: Sequence[str]) -> str:
        kind, whole = self.mode.type, "poison"
        for lane in range(self.mode.lanes):
            lane_of = [self.new(f"extractelement {kind} {x}, i64 {lane}") for x in numbers]
            one = self.call(callee, lane_of, "double")
            whole = self.new(f"insertelement {kind} {whole}, double {one}, i64 {lane}")
        return whole

    def _part_by_part(self, callee: str, numbers: Sequence[str], width: int) -> str:
        kind, lanes = self.mode.type, self.mode.lanes
        part = f"<{width} x double>"
        parts = []
        for start in range(0, lanes, width):
            mask = _mask(range(start, start + width))
            given = [self.new(f"shufflevector {kind} {x}, {kind} poison, {mask}") for x in numbers]
            parts.append(self.call(callee, given, part))
        while len(parts) > 1:
            mask = _mask(range(2 * width))
            parts = [
                self.new(f"shufflevector {part} {low}, {part} {high}, {mask}")
                for low, high in zip(parts[::2], parts[1::2], strict=True)
            ]
            width *= 2
            part = f"<{width} x double>"
        return parts[0]

    # Guards, calls and results.

    def guard(self, slot: int) -> None:
        """Leave, or mark the rows, where a guard comes out differently than recorded."""
        index = self.writer.guards[slot]
        truth = self.truth(self.program.operands[slot][0])
        expected = self.program.expected[slot]
        if self.mode.name == "call":
            stay, leave = f"stay{index}", f"leave{index}"
            order = (stay, leave) if expected else (leave, stay)
            self.line(f"br i1 {truth}, label %{order[0]}, label %{order[1]}")
            self.begin(leave)
            self.line(f"ret i32 {index}")
            self.begin(stay)
            return
        other = truth
        if expected:
            other = self.new(f"xor {self.mode.truth} {truth}, {self.yes()}")
        failed = self.new(f"and {self.mode.truth} {other}, {self.on_path()}")
        flips = self.new(f"load {self.mode.flips}, ptr %F, align 4")
        kind, mark = self.mode.flips, f"splat (i32 {index})"
        marked = self.new(f"select {self.mode.truth} {failed}, {kind} {mark}, {kind} {flips}")
        self.line(f"store {self.mode.flips} {marked}, ptr %F, align 4")
        self.alive = ""

    def on_path(self) -> str:
        """The lanes that hold a row, of which no guard has flipped."""
        if not self.alive:
            flips = self.new(f"load {self.mode.flips}, ptr %F, align 4")
            self.alive = self.new(f"icmp eq {self.mode.flips} {flips}, splat (i32 -1)")
        return self.alive

    def begin(self, block: str) -> None:
        self.lines.append(f"{block}:")
        self.block = block

    def sometimes(self, slot: int, numbers: Sequence[str]) -> str:
        """A call that is made only where some row on the path needs it."""
        kind, truth = self.mode.type, self.mode.truth
        usual = self.truth(self.program.rarely[slot])
        rare = self.new(f"xor {truth} {usual}, {self.yes()}")
        wanted = self.new(f"and {truth} {rare}, {self.present()}")
        needed, after = f"needed{slot}", f"after{slot}"
        self.line(f"br i1 {self.any(wanted)}, label %{needed}, label %{after}")
        before = self.block
        self.begin(needed)
        found = self.ask(slot, numbers, wanted)
        self.line(f"br label %{after}")
        self.begin(after)
        nothing = self.constant(0.0)
        return self.new(f"phi {kind} [ {nothing}, %{before} ], [ {found}, %{needed} ]")

    def present(self) -> str:
        """Whether there is a row on the path."""
        return self.yes() if self.mode.name == "call" else self.on_path()

    def any(self, truth: str) -> str:
        if self.mode.lanes == 1:
            return truth
        name = f"llvm.vector.reduce.or.v{self.mode.lanes}i1"
        callee = self.writer.declare(name, f"i1 @{name}({self.mode.truth})")
        return self.new(f"call i1 {callee}({self.mode.truth} {truth})")

    def ask(self, slot: int, numbers: Sequence[str], wanted: str) -> str:
        """Call back into Python for a row's value, where it is wanted."""
        row, kind, lanes = self.program.rows[slot], self.mode.type, self.mode.lanes
        self.operands = max(self.operands, len(numbers))
        for index, number in enumerate(numbers):
            self.line(f"store {kind} {number}, ptr {self.at('%given', index)}, align 8")
        bytes_ = "i8" if lanes == 1 else f"<{lanes} x i8>"
        mask = self.new(f"zext {self.mode.truth} {wanted} to {bytes_}")
        self.line(f"store {bytes_} {mask}, ptr %wanted, align 1")
        callee = self.writer.declare("tapegrad_ask", "void @tapegrad_ask(i64, ptr, ptr, ptr)")
        asked = len(self.writer.calls)
        self.writer.calls.append(Asked(row, len(numbers), self.program.statics.get(slot)))
        self.line(f"call void {callee}(i64 {asked}, ptr %given, ptr %answer, ptr %wanted)")
        return self.new(f"load {kind}, ptr %answer, align 8")

    def hand_over(self, slot: int) -> None:
        """Write an output out, or add it to its sum where the row stayed on the path."""
        kind, value = self.mode.type, self.number(slot)
        for index in self.writer.outputs[slot]:
            if self.mode.name == "rows":
                offset = self.new(f"mul i64 %stride, {index}")
                place = self.new(f"getelementptr double, ptr %O, i64 {offset}")
            elif self.mode.name == "call":
                place = self.at("%O", index)
            else:
                place = self.new(f"getelementptr {_TOTAL}, ptr %O, i64 {index}")
            if self.mode.name == "sums":
                self.line(f"store {_TOTAL} {self.add_up(place, value)}, ptr {place}, align 8")
            else:
                self.line(f"store {kind} {value}, ptr {place}, align 8")

    def add_up(self, place: str, value: str) -> str:
        """The sums at a place with the rows on the path added, eight after eight."""
        truth, alive = self.mode.truth, self.on_path()
        total = self.new(f"load {_TOTAL}, ptr {place}, align 8")
        for start in range(0, self.mode.lanes, _SUMS):
            mask = _mask(range(start, start + _SUMS))
            rows = self.new(
                f"shufflevector {self.mode.type} {value}, {self.mode.type} poison, {mask}"
            )
            there = self.new(f"shufflevector {truth} {alive}, {truth} poison, {mask}")
            more = self.new(f"fadd {_TOTAL} {total}, {rows}")
            total = self.new(f"select <{_SUMS} x i1> {there}, {_TOTAL} {more}, {_TOTAL} {total}")
        return total


_PARAMETERS = (
    "ptr noalias %X, ptr noalias %U, ptr noalias %S, ptr noalias %O, ptr noalias %F, i64 %stride"
)
_PURE = "nounwind willreturn memory(none)"
_TOTAL = f"<{_SUMS} x double>"


_SQUARE = """\
define internal double @square(double %x) nounwind {
  %square = fmul double %x, %x
  %minus = fneg double %square
  %rest = call double @llvm.fma.f64(double %x, double %x, double %minus)
  %more = fmul double %rest, 1.125
  %moved = fadd double %square, %more
  %same = fcmp oeq double %moved, %square
  %large = fcmp ogt double %square, 0x0400000000000000
  %sure = and i1 %same, %large
  br i1 %sure, label %product, label %power
product:
  ret double %square
power:
  %other = call double @tapegrad_pow(double %x, double 2.0)
  ret double %other
}"""
"""The bits of ``pow(x, 2.0)``. By glibc it is off by 0.54 units in the last place at most, so the
rounded product is another number only where that is off by more than 0.46 units itself; where it is
off by more than half a unit over 1.125, the power is asked."""


def _mask(lanes: range) -> str:
    return f"<{len(lanes)} x i32> <{', '.join(f'i32 {lane}' for lane in lanes)}>"


def _run_once(chunks: int) -> str:
    """Call one function after the other, until a guard flips."""
    lines = ["define i32 @run(ptr %X, ptr %O, ptr %S) nounwind {"]
    for index in range(chunks):
        given = "ptr %X, ptr null, ptr %S, ptr %O, ptr null, i64 0"
        lines += [
            f"  %flip{index} = call i32 @chunk{index}({given})",
            f"  %on{index} = icmp slt i32 %flip{index}, 0",
            f"  br i1 %on{index}, label %next{index}, label %left{index}",
            f"left{index}:",
            f"  ret i32 %flip{index}",
            f"next{index}:",
        ]
    return "\n".join([*lines, "  ret i32 -1", "}"])


def _run_rows(writer: _Writer) -> str:
    """Gather the rows of a step after another, and call one function after the other on them."""
    writer.declare("tapegrad_gather", f"void @tapegrad_gather({_GATHER})")
    width, flips = writer.mode.lanes, writer.mode.flips
    step = f"mul i64 %i, {width}" if writer.mode.name == "rows" else "mul i64 %i, 0"
    chunks = "\n".join(
        f"  call void @chunk{index}(ptr %X, ptr %U, ptr %S, ptr %here, ptr %flip, i64 %stride)"
        for index in range(len(writer.chunks))
    )
    lanes = ", ".join(f"i64 {lane}" for lane in range(width))
    leaves = "ptr %L, ptr %I, i64 %start"
    gathers = "\n".join(
        f"""\
  %from{lane} = add i64 %first, {lane}
  %to{lane} = getelementptr double, ptr %X, i64 {lane}
  call void @tapegrad_gather({leaves}, i64 %from{lane}, i64 %count, ptr %to{lane})"""
        for lane in range(0, width, TILE)
    )
    return f"""\
define void @run({_ROWS}) nounwind {{
entry:
  %empty = icmp sle i64 %count, 0
  br i1 %empty, label %done, label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %first = mul i64 %i, {width}
{gathers}
  %left = sub i64 %count, %first
  %one = insertelement <{width} x i64> poison, i64 %left, i64 0
  %all = shufflevector <{width} x i64> %one, <{width} x i64> poison, <{width} x i32> zeroinitializer
  %there = icmp slt <{width} x i64> <{lanes}>, %all
  %marks = select <{width} x i1> %there, {flips} splat (i32 -1), {flips} splat (i32 -2)
  %flip = getelementptr i32, ptr %F, i64 %first
  store {flips} %marks, ptr %flip, align 4
  %offset = {step}
  %here = getelementptr double, ptr %O, i64 %offset
{chunks}
  %next = add i64 %i, 1
  %reached = mul i64 %next, {width}
  %more = icmp slt i64 %reached, %count
  br i1 %more, label %loop, label %done
done:
  ret void
}}"""


_GATHER = "ptr, ptr, i64, i64, i64, ptr"
_ROWS = (
    "i64 %count, ptr %L, ptr %I, i64 %start, ptr %U, ptr %S, ptr %X, ptr %O, i64 %stride, ptr %F"
)
