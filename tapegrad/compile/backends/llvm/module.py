"""LLVM's text of a program: scalar code for one call, vector code for columns of numbers.

A program becomes functions of a few hundred entries each; a loop becomes one of its body. A value
that one of them needs of another passes through a buffer, or is computed again. Sums go to eight
lanes, however many rows the code takes at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, final

import attrs

from tapegrad.compile.backends.interface import StepShape
from tapegrad.compile.backends.llvm.function import NO_VECTORS, ModulePlan, VectorMaths, decisive
from tapegrad.compile.backends.llvm.host_calls import HostCall
from tapegrad.compile.backends.llvm.instructions import Kind, Mode
from tapegrad.compile.backends.llvm.pieces import InPieces, in_pieces
from tapegrad.compile.backends.llvm.row_loop import PartCall, run_once, run_rows
from tapegrad.compile.backends.llvm.step_loop import StepLoop
from tapegrad.compile.backends.llvm.straight_function import (
    RareFunction,
    StraightFunction,
    StraightParts,
)
from tapegrad.compile.loops import line_of
from tapegrad.compile.piece_buffer import piece_buffer
from tapegrad.compile.program import Program
from tapegrad.compile.reciprocals import with_reciprocals

__all__ = ["Module", "module", "rare_module", "step_module"]

_PIECE: Final = 500
"""The most entries in one piece that is no loop."""

_SHORT: Final = 2000
_OFTEN: Final = 20
_READABLE: Final = 2**18
"""The most entries of code with loops on which LLVM spends more time, since it runs quicker, how
often they have to run for that, and how long the text may be."""


@final
@attrs.frozen
class Module:
    """The text of a module, whose entry point is ``run``, and what it needs to be given.

    ``symbols`` are the external functions it calls, ``spills`` the numbers (of ``lanes`` each) in
    its buffer, ``calls`` its calls back into Python, by the number it gives for each. The
    cells in ``rare`` will point to the functions of these programs (``rare_module``). Code that is
    ``short`` for what it does is worth more of LLVM's time. Before the buffer stands what the code
    is ``given`` beside its text: constants at the indices ``doubles``, and else integers.
    """

    text: str
    symbols: tuple[str, ...]
    spills: int
    calls: tuple[HostCall, ...]
    rare: Mapping[str, Program]
    short: bool = False
    given: bytes = b""
    doubles: Sequence[int] | None = None


def module(
    program: Program,
    mode: Kind = "call",
    *,
    lanes: int = 1,
    shared: int = 0,
    maths: VectorMaths = NO_VECTORS,
    fast: bool = False,
) -> Module:
    """The module of a program whose first ``shared`` inputs are the same for all rows.

    Code for rows takes ``lanes`` of them in a step: a multiple of eight.

    With ``fast`` code rounds as it is quickest, where no guard depends on it: a product and a sum
    may become one operation, and quotients by one number become products.
    """
    if fast:
        program = with_reciprocals(program, decisive(program))
    plan = ModulePlan(program, Mode(mode, lanes), shared, maths, fast=fast)
    line = line_of(program)
    has_loops = line.pays
    if has_loops:
        buffer = piece_buffer(line, _PIECE, shared, again=lanes > 1)
        found, places = in_pieces(plan, buffer), buffer.places
    else:
        found, places = _straight(plan)
    returned = "i32" if mode == "call" else "void"
    functions = [
        f"define internal {returned} @part{index}{body}" for index, body in enumerate(found.bodies)
    ]
    calls = found.calls
    run = run_once(calls) if mode == "call" else run_rows(plan.mode, calls, plan.declarations)
    text = "\n".join([*plan.declarations.text, *functions, *found.others, run, ""])
    is_worth_it = found.entries <= min(_SHORT, len(line.slots) // _OFTEN)
    short = has_loops and is_worth_it and len(text) <= _READABLE
    external, host_calls = plan.declarations.external, tuple(plan.calls)
    return Module(text, external, places, host_calls, plan.rare, short, found.given, found.doubles)


def rare_module(program: Program, lanes: int) -> Module:
    """The module of the function ``rare`` of a program that computes one number."""
    plan = ModulePlan(program, Mode("rows" if lanes > 1 else "call", lanes))
    function = RareFunction(plan).text()
    text = "\n".join([*plan.declarations.text, function, ""])
    return Module(text, plan.declarations.external, 0, (), {})


def step_module(ways: Sequence[Program], shape: StepShape) -> Module:
    """The module of a loop of steps, which go one of several ways.

    What it is given beside its text comes after what is held.
    """
    plan = ModulePlan(ways[0], Mode("call", 1))
    loop = StepLoop(plan, ways, shape)
    body = loop.body()
    text = "\n".join([*plan.declarations.text, f"define i64 @run{body}", ""])
    external, given = plan.declarations.external, b"".join(loop.constants)
    short = sum(map(len, ways)) <= _SHORT
    return Module(text, external, 0, tuple(plan.calls), plan.rare, short, given)


def _straight(plan: ModulePlan) -> tuple[InPieces, int]:
    """The functions of a program in a straight line, and the size of its buffer."""
    parts = StraightParts(plan)
    count = len(parts.partition.parts)
    bodies = [StraightFunction(plan, parts, index).body() for index in range(count)]
    calls = [PartCall(f"part{index}") for index in range(count)]
    return InPieces(bodies, (), calls, b"", len(plan.program)), parts.partition.places
