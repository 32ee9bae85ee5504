"""LLVM's text of a program in pieces, of which several may have one function.

Loops inside a loop that run another number of times in each of its trips are as many pieces, though
their code is the same. Where there are many more pieces than functions, one more function runs them
in turn by a table that it is given: for each piece its function, and where its block begins. So the
text does not depend on the number of pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import Final, final

import attrs

from tapegrad.compile.backends.llvm.function import PARAMETERS, ModulePlan
from tapegrad.compile.backends.llvm.piece_function import PieceFunction
from tapegrad.compile.backends.llvm.row_loop import PartCall
from tapegrad.compile.piece_buffer import PieceBuffer

__all__ = ["InPieces", "in_pieces"]

_FEW: Final = 8
"""The most pieces beyond the number of functions that are called one by one."""


@final
@attrs.frozen
class InPieces:
    """The functions of a program by what follows their names, the calls, and what is given.

    The functions have so many ``entries``, and those of ``others`` none. Of what is given those at
    the indices ``doubles`` are constants; there are none of them where there are tables.
    """

    bodies: Sequence[str]
    others: Sequence[str]
    calls: Sequence[PartCall]
    given: bytes
    entries: int
    doubles: Sequence[int] | None = None


def in_pieces(plan: ModulePlan, buffer: PieceBuffer) -> InPieces:
    """The functions of the pieces of a buffer, and how they are called."""
    bodies = [PieceFunction(plan, placed).body() for placed in buffer.pieces]
    entries = sum({x: y.piece.length for x, y in zip(bodies, buffer.pieces, strict=True)}.values())
    # In an order that does not depend on which of them comes first.
    known = {body: number for number, body in enumerate(sorted({*bodies}))}
    begins = plan.given.begins()[:-1]
    turns = [(known[body], begin) for body, begin in zip(bodies, begins, strict=True)]
    if len(bodies) <= len(known) + _FEW:
        calls = [PartCall(f"part{function}", begin) for function, begin in turns]
        given, doubles = plan.given.packed(), plan.given.doubles()
        return InPieces([*known], (), calls, given, entries, doubles)
    head = [len(turns)]
    for function, begin in turns:
        head += [function, 1 + 2 * len(turns) + begin]
    in_turn = _in_turn(len(known), is_call=plan.mode.name == "call")
    given, doubles = plan.given.packed(head), plan.given.doubles(head)
    return InPieces([*known], [in_turn], [PartCall("in_turn")], given, entries, doubles)


def _in_turn(count: int, *, is_call: bool) -> str:
    """The text of a function that runs pieces, which have so many functions, in turn."""
    flips = ", ".join(f"[ %flip{index}, %call{index} ]" for index in range(count))
    calls = (_CALL if is_call else _CALL_FOR_ROWS).substitute
    return _IN_TURN.substitute(
        type="i32" if is_call else "void",
        parameters=PARAMETERS,
        cases=" ".join(f"i64 {index}, label %call{index}" for index in range(1, count)),
        calls="\n".join(calls(index=index) for index in range(count)),
        leaves=_LEAVES.substitute(flips=flips) if is_call else "  br label %further",
        done="  ret i32 -1" if is_call else "  ret void",
    )


_GIVEN: Final = "ptr %X, ptr %U, ptr %given, ptr %O, ptr %F, i64 %stride"
_CALL: Final = Template(f"""\
call$index:
  %flip$index = call i32 @part$index({_GIVEN})
  br label %after""")
_CALL_FOR_ROWS: Final = Template(f"""\
call$index:
  call void @part$index({_GIVEN})
  br label %after""")
_LEAVES: Final = Template("""\
  %flip = phi i32 $flips
  %stays = icmp eq i32 %flip, -1
  br i1 %stays, label %further, label %left
left:
  ret i32 %flip""")
_IN_TURN: Final = Template("""\
define internal $type @in_turn($parameters) nounwind {
entry:
  %count = load i64, ptr %S, align 8
  br label %piece
piece:
  %i = phi i64 [ 0, %entry ], [ %next, %further ]
  %twice = mul i64 %i, 2
  %place = add i64 %twice, 1
  %which = getelementptr i64, ptr %S, i64 %place
  %where = getelementptr i64, ptr %which, i64 1
  %function = load i64, ptr %which, align 8
  %begin = load i64, ptr %where, align 8
  %given = getelementptr i64, ptr %S, i64 %begin
  switch i64 %function, label %call0 [ $cases ]
$calls
after:
$leaves
further:
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %piece, label %done
done:
$done
}""")
