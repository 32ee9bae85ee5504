"""LLVM's text of a program: scalar code for one call, vector code for columns of numbers.

A program becomes functions of a few hundred entries each. A value that one of them needs of another
passes through a buffer, or is computed again. Sums go to eight lanes, however many rows the code
takes at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import attrs

from tapegrad.compile.backends.llvm.function import (
    NO_VECTORS,
    Function,
    ModulePlan,
    RareFunction,
    VectorMaths,
)
from tapegrad.compile.backends.llvm.host_calls import HostCall
from tapegrad.compile.backends.llvm.instructions import Kind, Mode
from tapegrad.compile.backends.llvm.row_loop import run_once, run_rows
from tapegrad.compile.program import Program

__all__ = ["Module", "module", "rare_module"]


@final
@attrs.frozen
class Module:
    """The text of a module, whose entry point is ``run``, and what it needs to be given.

    ``symbols`` are the external functions it calls, ``spills`` the numbers (of ``lanes`` each) in
    its buffer, ``calls`` its calls back into Python, by the number it gives for each. The
    cells in ``rare`` will point to the functions of these programs (``rare_module``).
    """

    text: str
    symbols: tuple[str, ...]
    spills: int
    calls: tuple[HostCall, ...]
    rare: Mapping[str, Program]


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

    With ``fast`` a product and a sum may become one operation, rounded once, where no guard depends
    on it.
    """
    plan = ModulePlan(program, Mode(mode, lanes), shared, maths, fast=fast)
    count = len(plan.partition.parts)
    functions = [Function(plan, index).text() for index in range(count)]
    run = run_once(count) if mode == "call" else run_rows(plan.mode, count, plan.declarations)
    text = "\n".join([*plan.declarations.text, *functions, run, ""])
    return Module(
        text, plan.declarations.external, plan.partition.places, tuple(plan.calls), plan.rare
    )


def rare_module(program: Program, lanes: int) -> Module:
    """The module of the function ``rare`` of a program that computes one number."""
    plan = ModulePlan(program, Mode("rows" if lanes > 1 else "call", lanes), in_one=True)
    function = RareFunction(plan).text()
    text = "\n".join([*plan.declarations.text, function, ""])
    return Module(text, plan.declarations.external, 0, (), {})
