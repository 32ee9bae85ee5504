"""LLVM's text of a function of a module, from entries of a program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Sequence
from typing import Final, final

import attrs

from tapegrad.compile.backends.llvm.bits import OF_BITS
from tapegrad.compile.backends.llvm.given_numbers import GivenNumbers
from tapegrad.compile.backends.llvm.host_calls import UNANSWERED, UNANSWERED_ROW, HostCall
from tapegrad.compile.backends.llvm.instructions import (
    ALIGNED,
    PURE,
    SQUARE,
    SUM_LANES,
    SUM_TYPE,
    Declarations,
    Instructions,
    Mode,
    mask,
)
from tapegrad.compile.backends.llvm.quick_maths import IN_LINE, NEEDED
from tapegrad.compile.backends.llvm.rare_cells import ASKED, CELL_ASKED
from tapegrad.compile.partition import slots_read
from tapegrad.compile.program import Program
from tapegrad.compile.rare import rare_operands, rare_program
from tapegrad.entries.static_keys import static_key
from tapegrad.ops.primitive import Primitive

__all__ = ["NO_VECTORS", "PARAMETERS", "Function", "ModulePlan", "VectorMaths", "decisive"]

_ARITHMETIC: Final = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_COMPARISONS: Final = {
    "lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une",
}  # fmt: skip
_INTRINSICS: Final = {
    "abs": "fabs", "sqrt": "sqrt", "fma": "fma", "floor": "floor", "ceil": "ceil",
    "trunc": "trunc", "copysign": "copysign",
}  # fmt: skip

PARAMETERS: Final = (
    "ptr noalias %X, ptr noalias %U, ptr noalias %S, ptr noalias %O, ptr noalias %F, i64 %stride"
)
"""The inputs and the shared inputs, the buffer, the outputs, which guard of each row flipped, and
how far apart the columns of two outputs are."""


@final
@attrs.frozen
class VectorMaths:
    """The functions of a vector maths library: ``prefix`` names those of ``width`` lanes.

    The processor has these ``features``, as LLVM names them.
    """

    prefix: str
    width: int
    names: frozenset[str]
    features: frozenset[str] = frozenset()


NO_VECTORS: Final = VectorMaths("", 1, frozenset())


class ModulePlan:
    """The facts that the functions of one module share.

    The entries ``exact`` keep their bits whatever the ``flags``. The programs ``rare`` are
    functions of their own, by the names of the cells that point to them.
    """

    program: Program
    mode: Mode
    shared: int
    maths: VectorMaths
    exact: set[int]
    declarations: Declarations
    given: GivenNumbers

    def __init__(
        self,
        program: Program,
        mode: Mode,
        shared: int = 0,
        maths: VectorMaths = NO_VECTORS,
        *,
        fast: bool = False,
    ) -> None:
        self.program, self.mode, self.shared, self.maths = program, mode, shared, maths
        self.flags = " contract" if fast else ""
        self.exact = decisive(program) if fast else set()
        self.declarations = Declarations()
        self.given = GivenNumbers()
        self.calls: list[HostCall] = []
        self._numbers_of_calls: dict[Hashable, int] = {}
        self.rare: dict[str, Program] = {}

    def host_call(self, row: Primitive, operands: int, static: tuple[object, ...]) -> int:
        """The number of a call back into Python."""
        key = row, operands, *map(static_key, static)
        number = self._numbers_of_calls.setdefault(key, len(self.calls))
        if number == len(self.calls):
            self.calls.append(HostCall(row, operands, static))
        return number

    def rare_cell(self, row: Primitive, program: Program) -> str:
        """The name of the cell that points to the function of what a row rarely needs."""
        cell = f"rare_{row.name}_{program.inputs}"
        self.declarations.define(cell, f"@{cell} = global ptr null")
        self.declarations.define(CELL_ASKED, f"@{CELL_ASKED} = global i64 0")
        self.rare[cell] = program
        return cell


def decisive(program: Program) -> set[int]:
    """The entries that guards depend on.

    They have the same bits in the code of every path, so that a row that leaves one at a guard is
    not sent back by another.
    """
    found = set(program.expected)
    for slot in range(len(program) - 1, program.inputs - 1, -1):
        if slot in found:
            found.update(slots_read(program, slot))
    return found


class Function(Instructions, ABC):
    """Writes one function of a module, from entries of a program.

    ``numbers`` and ``truths`` hold the names of slots' values, as numbers and as conditions.
    """

    plan: ModulePlan
    program: Program
    exact: Collection[int]
    numbers: dict[int, str]
    truths: dict[int, str]
    alive: str
    operands: int

    def __init__(self, plan: ModulePlan, program: Program) -> None:
        super().__init__(plan.mode, plan.declarations)
        self.plan, self.program = plan, program
        self.exact = plan.exact
        self.numbers, self.truths = {}, {}
        self.alive, self.operands = "", 0

    def body(self) -> str:
        """The text of the function after its name."""
        self.write()
        attributes = "nounwind" if self.mode.lanes == 1 else f"nounwind {ALIGNED}"
        end = "  ret i32 -1" if self.mode.name == "call" else "  ret void"
        head = [f"({PARAMETERS}) {attributes} {{", "entry:", *self._memory_for_calls(), *self.head]
        return "\n".join([*head, *self.lines, end, "}"])

    @abstractmethod
    def write(self) -> None:
        """Writes the instructions."""

    @abstractmethod
    def read(self, slot: int) -> str:
        """Reads a value that is not computed here, and returns its name."""

    @abstractmethod
    def guard_index(self, slot: int) -> str:
        """The index of a guard, as it is written."""

    def _memory_for_calls(self) -> list[str]:
        """The memory for the operands of calls back into Python, and for their answers."""
        if not self.operands:
            return []
        kind, lanes = self.mode.type, self.mode.lanes
        return [
            f"  %given = alloca [{self.operands} x {kind}], align 64",
            f"  %answer = alloca {kind}, align 64",
            f"  %wanted = alloca [{lanes} x i8], align 8",
        ]

    # Operands.

    def number(self, slot: int) -> str:
        """The name of a slot's value, read where it is not computed here."""
        if slot not in self.numbers:
            self.numbers[slot] = self._read(slot)
        return self.numbers[slot]

    def _read(self, slot: int) -> str:
        if slot in self.program.constants:
            return self.known(self.program.constants[slot])
        if slot in self.truths:
            return self.chosen(self.truths[slot], self.constant(1.0), self.constant(0.0))
        return self.read(slot)

    def known(self, constant: float) -> str:
        """A constant of the program, as it is written."""
        return self.constant(constant)

    def truth(self, slot: int) -> str:
        """The name of a slot's value as a condition."""
        if slot not in self.truths:
            self.truths[slot] = self.compare("une", self.number(slot), self.constant(0.0))
        return self.truths[slot]

    # Entries.

    def condition(self, slot: int) -> bool:
        """Writes an entry if it gives a truth value; returns whether it does."""
        name, operands = self.program.rows[slot].name, self.program.operands[slot]
        if name in _COMPARISONS:
            x, y = map(self.number, operands)
            found = self.compare(_COMPARISONS[name], x, y)
        elif name in {"and_", "or_"}:
            x, y = map(self.truth, operands)
            found = self.new(f"{name.rstrip('_')} {self.mode.truth} {x}, {y}")
        elif name == "not_":
            found = self.negated(self.truth(operands[0]))
        elif name in {"isnan", "isinf", "isfinite"}:
            found = self.kind_of_number(name, self.number(operands[0]))
        else:
            return False
        self.truths[slot] = found
        return True

    def kind_of_number(self, name: str, x: str) -> str:
        """The condition that a number is nan, infinite or finite."""
        if name == "isnan":
            return self.compare("uno", x, x)
        size = self.intrinsic("fabs", [x])
        how = "oeq" if name == "isinf" else "olt"
        return self.compare(how, size, self.constant(float("inf")))

    def value(self, slot: int) -> str:
        """Writes an entry that gives a number, and returns the name of its value."""
        row, operands = self.program.rows[slot], self.program.operands[slot]
        if row.kind == "choice":
            return self.chosen(self.truth(operands[0]), *map(self.number, operands[1:]))
        numbers = [self.number(operand) for operand in operands]
        if slot in self.program.skip_where:
            return self.skippable_call(slot, numbers)
        if not row.core:
            return self.call_host(slot, numbers, self.rows_on_path())
        if row.name == "pow" and self.program.constants.get(operands[1]) == 2.0:
            return self.square(numbers[0])
        if self.is_in_line(slot):
            return IN_LINE[row.libm](self, numbers[0])
        flags = "" if slot in self.exact else self.plan.flags
        return self.operation(row, numbers, flags)

    def is_in_line(self, slot: int) -> bool:
        """Whether an entry is a function of the maths library that is written in line."""
        plan = self.plan
        may_differ = plan.flags and slot not in self.exact and NEEDED in plan.maths.features
        return bool(may_differ) and self.program.rows[slot].libm in IN_LINE

    def operation(self, row: Primitive, numbers: Sequence[str], flags: str) -> str:
        """Writes the instruction or the call that computes a core row."""
        name, kind = row.name, self.mode.type
        if name in _ARITHMETIC:
            how = f"{_ARITHMETIC[name]}{flags}"
            return self.new(f"{how} {kind} {numbers[0]}, {numbers[1]}")
        if name in OF_BITS:
            return OF_BITS[name](self, numbers[0])
        if name == "neg":
            return self.new(f"fneg {kind} {numbers[0]}")
        if name in _INTRINSICS:
            return self.intrinsic(_INTRINSICS[name], numbers)
        return self.library(row.libm, numbers)

    def square(self, number: str) -> str:
        """Writes a square as x * x; for one call, only where that has the bits of the power."""
        kind, declarations = self.mode.type, self.declarations
        if self.mode.name != "call":
            return self.new(f"fmul {kind} {number}, {number}")
        callee = declarations.define("square", SQUARE)
        declarations.declare("tapegrad_pow", f"double @tapegrad_pow(double, double) {PURE}")
        declarations.declare("llvm.fma.f64", "double @llvm.fma.f64(double, double, double)")
        return self.new(f"call double {callee}(double {number})")

    def library(self, name: str, numbers: Sequence[str]) -> str:
        """Calls a function of the maths library, of as many lanes at a time as there is one for."""
        maths = self.plan.maths
        if self.mode.lanes == 1 or name not in maths.names:
            return self.call(f"tapegrad_{name}", numbers, 1, PURE)
        symbol = f"{maths.prefix}{'v' * len(numbers)}_{name}"
        return self.call(symbol, numbers, maths.width, PURE)

    # Guards.

    def guard(self, slot: int) -> None:
        """Leaves, or marks the rows, where a guard comes out differently than recorded."""
        truth = self.truth(self.program.operands[slot][0])
        expected, index = self.program.expected[slot], self.guard_index(slot)
        if self.mode.name == "call":
            self._leave(index, truth, expected=expected)
        else:
            flipped = self.negated(truth) if expected else truth
            rows = self.new(f"and {self.mode.truth} {flipped}, {self.rows_on_path()}")
            self.mark(rows, index)

    def _leave(self, index: str, truth: str, *, expected: bool) -> None:
        stay, leave = self.label("stay"), self.label("leave")
        order = (stay, leave) if expected else (leave, stay)
        self.line(f"br i1 {truth}, label %{order[0]}, label %{order[1]}")
        self.begin(leave)
        self.leave(index)
        self.begin(stay)

    def leave(self, number: str | int) -> None:
        """Ends the function, which returns a number."""
        self.line(f"ret i32 {number}")

    def mark(self, rows: str, number: str) -> None:
        """Marks rows that are on the path no more."""
        kind, truth = self.mode.flips, self.mode.truth
        flips = self.new(f"load {kind}, ptr %F, align 4")
        marks = self.same(kind, "i32", number)
        marked = self.new(f"select {truth} {rows}, {kind} {marks}, {kind} {flips}")
        self.line(f"store {kind} {marked}, ptr %F, align 4")
        self.alive = ""

    def rows_on_path(self) -> str:
        """The condition that a lane holds a row of which no guard has flipped."""
        if self.mode.name == "call":
            return self.always()
        if not self.alive:
            flips = self.new(f"load {self.mode.flips}, ptr %F, align 4")
            self.alive = self.new(f"icmp eq {self.mode.flips} {flips}, splat (i32 -1)")
        return self.alive

    # Calls back into Python.

    def skippable_call(self, slot: int, numbers: Sequence[str]) -> str:
        """Computes what is rarely needed only where some row needs it, here or in Python."""
        rare = self.negated(self.truth(self.program.skip_where[slot]))
        program, wanted = rare_program(self.program, slot), rare
        if program is None:
            wanted = self.new(f"and {self.mode.truth} {rare}, {self.rows_on_path()}")
        needed, after = self.label("needed"), self.label("after")
        self.line(f"br i1 {self.any(wanted)}, label %{needed}, label %{after}")
        before = self.block
        self.begin(needed)
        if program is None:
            found = self.call_host(slot, numbers, wanted)
        else:
            found = self.call_rare(slot, program, numbers, rare)
        answered = self.block
        self.line(f"br label %{after}")
        self.begin(after)
        nothing = f"[ {self.constant(0.0)}, %{before} ]"
        return self.new(f"phi {self.mode.type} {nothing}, [ {found}, %{answered} ]")

    def call_rare(self, slot: int, program: Program, numbers: Sequence[str], rare: str) -> str:
        """Calls the function of what is rarely needed; without it, leaves or marks the rows.

        The function is compiled when it is first asked for, and then all is computed again.
        """
        cell = self.plan.rare_cell(self.program.rows[slot], program)
        static = map(self.constant, rare_operands(self.program, slot))
        self.give([*numbers, *static])
        function = self.new(f"load ptr, ptr @{cell}, align 8")
        is_there = self.new(f"icmp ne ptr {function}, null")
        there, asked, called = map(self.label, ("there", "asked", "called"))
        self.line(f"br i1 {is_there}, label %{there}, label %{asked}")
        self.begin(asked)
        if self.mode.name == "call":
            self.leave(ASKED)
        else:
            self.line(f"store i64 1, ptr @{CELL_ASKED}, align 8")
            self.mark(rare, str(ASKED))
            self.line(f"br label %{called}")
        self.begin(there)
        self.line(f"call void {function}(ptr %given, ptr %answer)")
        self.line(f"br label %{called}")
        self.begin(called)
        return self.new(f"load {self.mode.type}, ptr %answer, align 8")

    def give(self, numbers: Sequence[str]) -> None:
        """Stores the operands of a call."""
        self.operands = max(self.operands, len(numbers))
        for index, number in enumerate(numbers):
            self.store(number, self.place("%given", index))

    def call_host(self, slot: int, numbers: Sequence[str], wanted: str) -> str:
        """Calls back into Python for a row's value, in the lanes where it is wanted."""
        row, lanes = self.program.rows[slot], self.mode.lanes
        self.give(numbers)
        bytes_ = "i8" if lanes == 1 else f"<{lanes} x i8>"
        lanes_wanted = self.new(f"zext {self.mode.truth} {wanted} to {bytes_}")
        self.line(f"store {bytes_} {lanes_wanted}, ptr %wanted, align 1")
        signature = "void @tapegrad_call_host(i64, ptr, ptr, ptr)"
        callee = self.declarations.declare("tapegrad_call_host", signature)
        call = self.plan.host_call(row, len(numbers), self.program.static(slot))
        self.line(f"call void {callee}(i64 {call}, ptr %given, ptr %answer, ptr %wanted)")
        self.require_answer(bytes_)
        return self.new(f"load {self.mode.type}, ptr %answer, align 8")

    def require_answer(self, bytes_: str) -> None:
        """Leaves, or marks the rows, where Python has not answered: the lane is still wanted."""
        left = self.new(f"load {bytes_}, ptr %wanted, align 1")
        lost = self.new(f"icmp ne {bytes_} {left}, zeroinitializer")
        if self.mode.name == "call":
            unanswered, answered = self.label("unanswered"), self.label("answered")
            self.line(f"br i1 {lost}, label %{unanswered}, label %{answered}")
            self.begin(unanswered)
            self.leave(UNANSWERED)
            self.begin(answered)
        else:
            self.mark(lost, str(UNANSWERED_ROW))

    # Outputs.

    def write_output(self, index: str | int, value: str) -> None:
        """Writes an output out, or adds it to its sum where the row stayed on the path."""
        if self.mode.name == "sums":
            self._add_up(index, value)
        elif self.mode.name == "rows":
            offset = self.new(f"mul i64 %stride, {index}")
            self.store(value, self.new(f"getelementptr double, ptr %O, i64 {offset}"))
        else:
            self.store(value, self.place("%O", index))

    def _add_up(self, index: str | int, value: str) -> None:
        """Adds the rows on the path to the sums of an output, eight after eight."""
        kind, truth = self.mode.type, self.mode.truth
        place = self.new(f"getelementptr {SUM_TYPE}, ptr %O, i64 {index}")
        alive = self.rows_on_path()
        total = self.new(f"load {SUM_TYPE}, ptr {place}, align 8")
        for start in range(0, self.mode.lanes, SUM_LANES):
            lanes = mask(range(start, start + SUM_LANES))
            rows = self.new(f"shufflevector {kind} {value}, {kind} poison, {lanes}")
            there = self.new(f"shufflevector {truth} {alive}, {truth} poison, {lanes}")
            more = self.new(f"fadd {SUM_TYPE} {total}, {rows}")
            total = self.new(
                f"select <{SUM_LANES} x i1> {there}, {SUM_TYPE} {more}, {SUM_TYPE} {total}"
            )
        self.line(f"store {SUM_TYPE} {total}, ptr {place}, align 8")
