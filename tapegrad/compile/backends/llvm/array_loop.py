"""LLVM's text of a loop over arrays of one size, which takes all steps for some numbers at a time.

What a step computes is in a register when the next one reads it. Each step is rounded as numpy's
function of the same name is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from string import Template
from typing import Final, final

import attrs

__all__ = ["FUNCTIONS", "LoopStep", "array_loop"]

FUNCTIONS: Final[Mapping[str, str]] = {
    "add": "fadd $type $0, $1",
    "subtract": "fsub $type $0, $1",
    "multiply": "fmul $type $0, $1",
    "divide": "fdiv $type $0, $1",
    "negative": "fneg $type $0",
    "absolute": "call $type @llvm.fabs.$suffix($type $0)",
    "sqrt": "call $type @llvm.sqrt.$suffix($type $0)",
    "positive": "",
}
"""How functions of numpy's are written; of the empty text the operand is the result."""


@final
@attrs.frozen
class LoopStep:
    """A function of numpy's by its name, what it is given by names, and what it writes."""

    function: str
    given: tuple[str, ...]
    written: str


def array_loop(
    steps: Sequence[LoopStep], arrays: Sequence[str], numbers: Sequence[str], kept: Collection[str]
) -> str:
    """The text of ``run``, which is given the size, and where ``arrays`` and ``numbers`` begin.

    Of what the steps write, the arrays that are ``kept`` are written to memory.
    """
    parameters = ", ".join(f"ptr %at_{name}" for name in (*arrays, *numbers))
    wide, one = (_Body(steps, arrays, numbers, kept, kind) for kind in (_WIDE, _ONE))
    return _LOOP.substitute(
        parameters=parameters,
        numbers="\n".join(_NUMBER.substitute(name=name) for name in numbers),
        wide="\n".join(wide.lines),
        one="\n".join(one.lines),
    )


@final
@attrs.frozen
class _Kind:
    """How many numbers are taken at a time: a type, the suffix of functions, and of names."""

    type: str
    suffix: str
    mark: str


_WIDE: Final = _Kind("<8 x double>", "v8f64", "w")
_ONE: Final = _Kind("double", "f64", "s")


@final
class _Body:
    """The lines for some numbers; ``now`` has the register that holds what each name stands for."""

    def __init__(
        self,
        steps: Sequence[LoopStep],
        arrays: Sequence[str],
        numbers: Sequence[str],
        kept: Collection[str],
        kind: _Kind,
    ) -> None:
        self.kind, self.lines = kind, list[str]()
        self.now = {name: f"%{kind.mark}_{name}" for name in numbers}
        for name in arrays:
            place = f"%{kind.mark}p_{name}"
            self.lines.append(f"  {place} = getelementptr double, ptr %at_{name}, i64 %{kind.mark}")
        for number, step in enumerate(steps):
            self.now[step.written] = self.computed(number, step)
        for name in arrays:
            if name in kept:
                place = f"ptr %{kind.mark}p_{name}"
                self.lines.append(f"  store {kind.type} {self.now[name]}, {place}, align 8")

    def computed(self, number: int, step: LoopStep) -> str:
        """The register with the result of a step."""
        given = [self.read(name) for name in step.given]
        text = FUNCTIONS[step.function]
        if not text:
            return given[0]
        found, kind = f"%{self.kind.mark}{number}", self.kind
        places = {"type": kind.type, "suffix": kind.suffix}
        for place, register in enumerate(given):
            text = text.replace(f"${place}", register)
        self.lines.append(f"  {found} = {Template(text).substitute(places)}")
        return found

    def read(self, name: str) -> str:
        """The register with the numbers of an array."""
        if name not in self.now:
            kind = self.kind
            self.now[name] = f"%{kind.mark}v_{name}"
            place = f"ptr %{kind.mark}p_{name}"
            self.lines.append(f"  {self.now[name]} = load {kind.type}, {place}, align 8")
        return self.now[name]


_NUMBER: Final = Template("""\
  %s_$name = load double, ptr %at_$name, align 8
  %l_$name = insertelement <8 x double> poison, double %s_$name, i64 0
  %w_$name = shufflevector <8 x double> %l_$name, <8 x double> poison, <8 x i32> zeroinitializer""")

_LOOP: Final = Template("""\
declare double @llvm.fabs.f64(double)
declare double @llvm.sqrt.f64(double)
declare <8 x double> @llvm.fabs.v8f64(<8 x double>)
declare <8 x double> @llvm.sqrt.v8f64(<8 x double>)
define void @run(i64 %count, $parameters) nounwind {
begin:
$numbers
  %whole = and i64 %count, -8
  %any = icmp ne i64 %whole, 0
  br i1 %any, label %wide, label %rest
wide:
  %w = phi i64 [ 0, %begin ], [ %next, %wide ]
$wide
  %next = add i64 %w, 8
  %more = icmp ult i64 %next, %whole
  br i1 %more, label %wide, label %rest
rest:
  %left = icmp ult i64 %whole, %count
  br i1 %left, label %one, label %end
one:
  %s = phi i64 [ %whole, %rest ], [ %then, %one ]
$one
  %then = add i64 %s, 1
  %again = icmp ult i64 %then, %count
  br i1 %again, label %one, label %end
end:
  ret void
}
""")
