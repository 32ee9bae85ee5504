"""LLVM's text, instruction by instruction, for one number at a time or for lanes of rows."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import count
from typing import Final, Literal

import attrs

__all__ = [
    "ALIGNED", "LANES", "PURE", "SQUARE", "SUM_LANES", "SUM_TYPE", "TILE", "Declarations",
    "Instructions", "Kind", "Mode", "mask",
]  # fmt: skip

LANES: Final = 16
"""Rows in one step of vector code: two vectors of the widest hosts, whose operations fill each
other's waiting times. Code for eight runs slower, and takes a third of the time to make."""

TILE: Final = 8
"""Rows that are gathered together."""

SUM_LANES: Final = 8
"""Lanes in which rows are added up, whatever the host."""

SUM_TYPE: Final = f"<{SUM_LANES} x double>"

ALIGNED: Final = '"stackrealign"'
"""The attribute of a function whose stack is aligned for vectors. Without it LLVM puts them where
the caller's stack happens to end, and one that crosses a line of the cache takes twice as long."""

PURE: Final = "nounwind willreturn memory(none)"
"""The attributes of a function that only computes its value."""

Kind = Literal["call", "rows", "sums"]
"""``call``: one set of inputs, the outputs written out. ``rows``: columns of numbers, a column of
each output. ``sums``: columns of numbers, each output added up over the rows."""


@attrs.frozen
class Mode:
    """The purpose that code is written for, and the types of its values."""

    name: Kind
    lanes: int

    @property
    def flips(self) -> str:
        """The type of the numbers of the guards that flipped."""
        return f"<{self.lanes} x i32>"

    @property
    def type(self) -> str:
        """The type of a number."""
        return self.type_of(self.lanes)

    @property
    def truth(self) -> str:
        """The type of a condition."""
        return "i1" if self.lanes == 1 else f"<{self.lanes} x i1>"

    @property
    def integer(self) -> str:
        """The type of the bits of a number."""
        return "i64" if self.lanes == 1 else f"<{self.lanes} x i64>"

    @staticmethod
    def type_of(lanes: int) -> str:
        """The type of a number in each of ``lanes`` lanes."""
        return "double" if lanes == 1 else f"<{lanes} x double>"


class Declarations:
    """The functions that a module declares, of LLVM and from outside, and what it defines."""

    def __init__(self) -> None:
        self._lines: dict[str, str] = {}
        self._own: dict[str, str] = {}

    def declare(self, name: str, signature: str) -> str:
        """Declares a function, and returns its name in calls."""
        self._lines[name] = f"declare {signature}"
        return f"@{name}"

    def define(self, name: str, text: str) -> str:
        """Defines a function of the module's own, and returns its name in calls."""
        self._lines[name] = self._own[name] = text
        return f"@{name}"

    @property
    def text(self) -> Sequence[str]:
        """The declarations and definitions."""
        return tuple(self._lines.values())

    @property
    def external(self) -> tuple[str, ...]:
        """The names of the functions that neither LLVM nor the module has."""
        return tuple(
            name for name in self._lines if not name.startswith("llvm.") and name not in self._own
        )


class Instructions:
    """The instructions of one function; the result of each has a name."""

    mode: Mode
    declarations: Declarations
    block: str

    def __init__(self, mode: Mode, declarations: Declarations) -> None:
        self.mode, self.declarations = mode, declarations
        self.head: list[str] = []
        self.lines: list[str] = []
        self.block = "entry"
        self._names = count()

    def line(self, text: str) -> None:
        """Writes an instruction without a result."""
        self.lines.append(f"  {text}")

    def new(self, expression: str) -> str:
        """Writes an instruction, and returns the name of its result."""
        name = f"%t{next(self._names)}"
        self.line(f"{name} = {expression}")
        return name

    def early(self, expression: str) -> str:
        """The same at the start of the function, whatever is being written."""
        name = f"%t{next(self._names)}"
        self.head.append(f"  {name} = {expression}")
        return name

    def label(self, name: str) -> str:
        """The name of a block, as no other has it."""
        return f"{name}{next(self._names)}"

    def begin(self, block: str) -> None:
        """Begins a block that branches lead to."""
        self.lines.append(f"{block}:")
        self.block = block

    def constant(self, number: float) -> str:
        """A number as it is written, to the bit."""
        bits = _bits(number)
        return bits if self.mode.lanes == 1 else f"splat (double {bits})"

    def vector(self, numbers: Sequence[float]) -> str:
        """Numbers in lanes as they are written, to the bit."""
        return f"<{', '.join(f'double {_bits(number)}' for number in numbers)}>"

    def integer(self, number: int) -> str:
        """An integer as it is written."""
        return str(number) if self.mode.lanes == 1 else f"splat (i64 {number})"

    def always(self) -> str:
        """The condition that holds in all lanes, as it is written."""
        return "true" if self.mode.lanes == 1 else "splat (i1 true)"

    # Memory.

    def place(self, base: str, index: str | int) -> str:
        """Computes the address of a number in an array of numbers."""
        return self.new(f"getelementptr {self.mode.type}, ptr {base}, i64 {index}")

    def load(self, base: str, index: str | int) -> str:
        """Loads a number from an array of numbers."""
        return self.new(f"load {self.mode.type}, ptr {self.place(base, index)}, align 8")

    def store(self, number: str, place: str) -> None:
        """Stores a number."""
        self.line(f"store {self.mode.type} {number}, ptr {place}, align 8")

    def load_same(self, base: str, index: str | int) -> str:
        """Loads one double into all lanes."""
        place = self.new(f"getelementptr double, ptr {base}, i64 {index}")
        number = self.new(f"load double, ptr {place}, align 8")
        return number if self.mode.lanes == 1 else self.same(self.mode.type, "double", number)

    def same(self, kind: str, element: str, value: str) -> str:
        """A vector whose lanes all have this value."""
        if not value.startswith("%"):
            return f"splat ({element} {value})"
        first = self.new(f"insertelement {kind} poison, {element} {value}, i64 0")
        zeros = f"<{self.mode.lanes} x i32> zeroinitializer"
        return self.new(f"shufflevector {kind} {first}, {kind} poison, {zeros}")

    # Numbers and conditions.

    def compare(self, how: str, x: str, y: str) -> str:
        """Compares two numbers."""
        return self.new(f"fcmp {how} {self.mode.type} {x}, {y}")

    def negated(self, truth: str) -> str:
        """Negates a condition."""
        return self.new(f"xor {self.mode.truth} {truth}, {self.always()}")

    def chosen(self, truth: str, x: str, y: str) -> str:
        """Chooses one of two numbers by a condition."""
        kind = self.mode.type
        return self.new(f"select {self.mode.truth} {truth}, {kind} {x}, {kind} {y}")

    def any(self, truth: str) -> str:
        """Computes whether a condition holds in any lane."""
        if self.mode.lanes == 1:
            return truth
        name = f"llvm.vector.reduce.or.v{self.mode.lanes}i1"
        callee = self.declarations.declare(name, f"i1 @{name}({self.mode.truth})")
        return self.new(f"call i1 {callee}({self.mode.truth} {truth})")

    # Calls.

    def intrinsic(self, name: str, numbers: Sequence[str]) -> str:
        """Calls a function that LLVM has for any number of lanes."""
        lanes = self.mode.lanes
        return self.call(f"llvm.{name}.{f'v{lanes}f64' if lanes > 1 else 'f64'}", numbers, lanes)

    def call(
        self,
        symbol: str,
        numbers: Sequence[str],
        width: int,
        attributes: str = "",
        settings: Sequence[str] = (),
    ) -> str:
        """Calls a function of ``width`` lanes, as often as the code's lanes need it.

        After the numbers it is given ``settings``, which are written with their types.
        """
        kind = Mode.type_of(width)
        kinds = [kind] * len(numbers) + [setting.rpartition(" ")[0] for setting in settings]
        signature = f"{kind} @{symbol}({', '.join(kinds)})"
        callee = self.declarations.declare(symbol, f"{signature} {attributes}".rstrip())
        if width == self.mode.lanes:
            return self._call(callee, numbers, kind, settings)
        if width == 1:
            return self._lane_by_lane(callee, numbers, settings)
        return self._part_by_part(callee, numbers, width, settings)

    def _call(
        self, callee: str, numbers: Sequence[str], kind: str, settings: Sequence[str] = ()
    ) -> str:
        given = ", ".join([*[f"{kind} {number}" for number in numbers], *settings])
        return self.new(f"call {kind} {callee}({given})")

    def _lane_by_lane(self, callee: str, numbers: Sequence[str], settings: Sequence[str]) -> str:
        kind, whole = self.mode.type, "poison"
        for lane in range(self.mode.lanes):
            lane_of = [self.new(f"extractelement {kind} {x}, i64 {lane}") for x in numbers]
            one = self._call(callee, lane_of, "double", settings)
            whole = self.new(f"insertelement {kind} {whole}, double {one}, i64 {lane}")
        return whole

    def _part_by_part(
        self, callee: str, numbers: Sequence[str], width: int, settings: Sequence[str]
    ) -> str:
        kind, parts = self.mode.type, []
        for start in range(0, self.mode.lanes, width):
            lanes = mask(range(start, start + width))
            given = [self.new(f"shufflevector {kind} {x}, {kind} poison, {lanes}") for x in numbers]
            parts.append(self._call(callee, given, Mode.type_of(width), settings))
        return self.joined(parts, width)

    def joined(self, parts: Sequence[str], width: int) -> str:
        """A number of which each part has ``width`` lanes."""
        while len(parts) > 1:
            part, lanes = Mode.type_of(width), mask(range(2 * width))
            parts = [
                self.new(f"shufflevector {part} {low}, {part} {high}, {lanes}")
                for low, high in zip(parts[::2], parts[1::2], strict=True)
            ]
            width *= 2
        return parts[0]


def _bits(number: float) -> str:
    """A double as LLVM writes it, to the bit."""
    return f"0x{struct.unpack('>Q', struct.pack('>d', number))[0]:016X}"


def mask(lanes: range) -> str:
    """The operand of a shuffle that takes these lanes."""
    return f"<{len(lanes)} x i32> <{', '.join(f'i32 {lane}' for lane in lanes)}>"


SQUARE: Final = """\
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
