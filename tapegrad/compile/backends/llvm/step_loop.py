"""LLVM's text of a loop over the steps of ``scan``, in which a step stands once.

A step may have several ways. Each time it goes the first one whose guards come out as they were
recorded; where it goes none, the loop ends before it. The carry is in variables, and all else is
read and written where it stands.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final, final

from tapegrad.compile.backends.interface import StepShape
from tapegrad.compile.backends.llvm.function import Function, ModulePlan
from tapegrad.compile.program import Program

__all__ = ["StepLoop"]

_NEAR: Final = 8
"""The largest constant that is in the text. The code is given others, so that steps which differ in
them alone have one code."""


@final
class StepLoop(Function):
    """Writes the function ``run`` of a loop.

    It is given the number of steps, which row is that of the first one, 1 or -1 as the way from one
    row to the next, the number of all rows, where the carry stands, and after it the rows of the
    carries and those of y, what is held with the ``constants`` after it, and the rows of each array
    of x. It gives the number of steps that were done, and leaves the carry after them. Where it
    gives less than nothing, it has left the first one.
    """

    program: Program
    numbers: dict[int, str]
    truths: dict[int, str]
    ways: Sequence[Program]
    shape: StepShape
    constants: dict[bytes, int]

    def __init__(self, plan: ModulePlan, ways: Sequence[Program], shape: StepShape) -> None:
        super().__init__(plan, ways[0])
        self.ways, self.shape = ways, shape
        self.constants = {}
        self._otherwise = ""
        self._starts = [*accumulate(shape.xs, initial=shape.carry + shape.held)]

    def body(self) -> str:
        """The text of the function after its name."""
        self.write()
        arrays = "".join(f", ptr noalias %X{index}" for index in range(len(self.shape.xs)))
        head = (
            "(i64 %count, i64 %first, i64 %by, i64 %rows, ptr noalias %C, "
            f"ptr noalias %U{arrays}) nounwind {{"
        )
        return "\n".join([head, "entry:", *self._memory_for_calls(), *self.head, *self.lines, "}"])

    def write(self) -> None:
        """Writes what is the same in all steps, the loop, and what follows it."""
        carry = range(self.shape.carry)
        unchanged = [self._unchanged(way) for way in self.ways]
        starts = [self.load("%C", index) for index in carry]
        kept = len(carry) if self.shape.keeps else 0
        self.line(f"%B = getelementptr double, ptr %C, i64 {len(carry)}")
        self.line(f"%all = mul i64 %rows, {kept}")
        self.line("%Y = getelementptr double, ptr %B, i64 %all")
        entry, now = self.block, [f"%carry{index}" for index in carry]
        self.line("br label %step")
        self.begin("step")
        head = len(self.lines)
        for index in range(kept):
            self.store(now[index], self._element("%B", kept, index))
        found = self._onward([self._way(x, now, *known) for x, known in enumerate(unchanged)])
        for index, number in enumerate(found[len(carry) :]):
            self.store(number, self._element("%Y", self.shape.y, index))
        self.line("%further = add i64 %i, %by")
        self.line("%done = add i64 %k, 1")
        self.line("%more = icmp slt i64 %done, %count")
        self.line("br i1 %more, label %step, label %left")
        self.lines[head:head] = self._phis(entry, self.block, zip(now, starts, found, strict=False))
        self._end("left", found, "%done")
        self._end(self._begin_of(len(self.ways)), now, "%k")

    def _phis(
        self, entry: str, last: str, carried: Iterator[tuple[str, str, str]]
    ) -> Iterator[str]:
        """The variables of the loop."""
        yield f"  %i = phi i64 [ %first, %{entry} ], [ %further, %{last} ]"
        yield f"  %k = phi i64 [ 0, %{entry} ], [ %done, %{last} ]"
        for name, start, found in carried:
            yield f"  {name} = phi {self.mode.type} [ {start}, %{entry} ], [ {found}, %{last} ]"

    def _end(self, block: str, state: Sequence[str], done: str) -> None:
        """Leaves the carry after the steps that were done."""
        self.begin(block)
        for index in range(self.shape.carry):
            self.store(state[index], self.place("%C", index))
        self.leave(done)

    def leave(self, number: str | int) -> None:
        """Ends the function, which returns a number."""
        self.line(f"ret i64 {number}")

    # Ways.

    def _unchanged(self, way: Program) -> tuple[Mapping[int, str], Mapping[int, str]]:
        """Writes what is the same in all steps, as numbers and as conditions."""
        self.program, self.numbers, self.truths = way, {}, {}
        known = {*way.constants, *range(self.shape.carry, self.shape.carry + self.shape.held)}
        for slot in self._entries():
            is_plain = way.rows[slot].core and slot not in way.skip_where
            if is_plain and known.issuperset(way.operands[slot]):
                known.add(slot)
                self._write(slot)
        return self.numbers, self.truths

    def _way(
        self, index: int, now: Sequence[str], numbers: Mapping[int, str], truths: Mapping[int, str]
    ) -> tuple[str, Sequence[str]]:
        """Writes the entries of a way, and gives its last block and what it has found."""
        if index:
            self.begin(self._begin_of(index))
        self.program, self._otherwise = self.ways[index], self._begin_of(index + 1)
        self.numbers, self.truths = {**numbers, **dict(enumerate(now))}, {**truths}
        for slot in self._entries():
            if slot in self.program.expected:
                self.guard(slot)
            elif slot not in self.numbers and slot not in self.truths:
                self._write(slot)
        found = [self.number(output) for output in self.program.outputs]
        if len(self.ways) > 1:
            self.line("br label %onward")
        return self.block, found

    def _onward(self, found: Sequence[tuple[str, Sequence[str]]]) -> Sequence[str]:
        """The carry and y that the way has found which was gone."""
        if len(found) == 1:
            return found[0][1]
        self.begin("onward")
        blocks = [block for block, _ in found]
        return [
            self.new(f"phi {self.mode.type} " + ", ".join(
                f"[ {number}, %{block} ]" for number, block in zip(each, blocks, strict=True)
            ))
            for each in zip(*(numbers for _, numbers in found), strict=True)
        ]  # fmt: skip

    def _entries(self) -> Iterator[int]:
        """The slots that are neither inputs nor constants."""
        way = self.program
        return (slot for slot in range(way.inputs, len(way)) if slot not in way.constants)

    def _write(self, slot: int) -> None:
        if not self.condition(slot):
            self.numbers[slot] = self.value(slot)

    @staticmethod
    def _begin_of(way: int) -> str:
        """The block in which a way begins; that after the last one ends the loop."""
        return f"way{way}"

    def guard(self, slot: int) -> None:
        """Goes another way where a guard comes out differently than recorded."""
        truth, stay = self.truth(self.program.operands[slot][0]), self.label("stay")
        yes, no = (stay, self._otherwise)[:: 1 if self.program.expected[slot] else -1]
        self.line(f"br i1 {truth}, label %{yes}, label %{no}")
        self.begin(stay)

    def guard_index(self, slot: int) -> str:
        """The index of a guard, as it is written."""
        return str(self.program.guard_indices[slot])

    # What is read and written.

    def read(self, slot: int) -> str:
        """Loads what is held, or a number of x."""
        held = slot - self.shape.carry
        if held < self.shape.held:
            return self._given(held)
        array = next(x for x, start in enumerate(self._starts[1:]) if slot < start)
        place = self._element(f"%X{array}", self.shape.xs[array], slot - self._starts[array])
        return self.new(f"load {self.mode.type}, ptr {place}, align 8")

    def known(self, constant: float) -> str:
        """A constant, in the text where it has but a few digits."""
        if abs(constant) <= _NEAR and (4.0 * constant).is_integer():
            return self.constant(constant)
        bits = struct.pack("d", constant)
        return self._given(self.shape.held + self.constants.setdefault(bits, len(self.constants)))

    def _given(self, index: int) -> str:
        """Loads a number that is the same in all steps."""
        place = self.early(f"getelementptr {self.mode.type}, ptr %U, i64 {index}")
        return self.early(f"load {self.mode.type}, ptr {place}, align 8")

    def _element(self, array: str, width: int, index: int) -> str:
        """The place of a number in this step's row."""
        row = self.new(f"mul i64 %i, {width}") if width > 1 else "%i"
        return self.place(array, self.new(f"add i64 {row}, {index}") if index else row)
