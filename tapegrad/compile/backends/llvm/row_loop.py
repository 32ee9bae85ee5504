"""LLVM's text of the loop over rows, and of the function that gathers them from columns.

``run`` calls the functions of a program one after the other: once, or for each step of rows, whose
numbers are first gathered so that those of one column stand side by side. ``RUN_EACH`` calls code
for one call, another one for each row.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import Final

import attrs

from tapegrad.compile.backends.llvm.instructions import TILE, Declarations, Mode

__all__ = ["RUN_EACH", "PartCall", "gather", "run_once", "run_rows"]


@attrs.frozen
class PartCall:
    """A call of a function; what that is given begins so far from the start of the buffer."""

    name: str
    begin: int = 0


def run_once(calls: Sequence[PartCall]) -> str:
    """The text of ``run`` for one call: one function after the other, until a guard flips."""
    lines = ["define i32 @run(ptr %X, ptr %O, ptr %S) nounwind {"]
    for index, call in enumerate(calls):
        given = f"ptr %X, ptr null, ptr %given{index}, ptr %O, ptr null, i64 0"
        lines += [
            f"  %given{index} = getelementptr i64, ptr %S, i64 {call.begin}",
            f"  %flip{index} = call i32 @{call.name}({given})",
            f"  %on{index} = icmp eq i32 %flip{index}, -1",
            f"  br i1 %on{index}, label %next{index}, label %left{index}",
            f"left{index}:",
            f"  ret i32 %flip{index}",
            f"next{index}:",
        ]
    return "\n".join([*lines, "  ret i32 -1", "}"])


def run_rows(mode: Mode, calls: Sequence[PartCall], declarations: Declarations) -> str:
    """The text of ``run`` for rows: gathers a step of them, then calls every function."""
    signature = "void @tapegrad_gather(ptr, ptr, i64, i64, i64, ptr)"
    declarations.declare("tapegrad_gather", signature)
    return _RUN_ROWS.substitute(
        width=mode.lanes,
        flips=mode.flips,
        step=mode.lanes if mode.name == "rows" else 0,
        lanes=", ".join(f"i64 {lane}" for lane in range(mode.lanes)),
        gathers=_for_lanes(_GATHER_TILE, range(0, mode.lanes, TILE)),
        parts="\n".join(
            _CALL_PART.substitute(index=index, name=call.name, begin=call.begin)
            for index, call in enumerate(calls)
        ),
    )


_HALF: Final = TILE // 2
"""The columns that are gathered together where there are fewer than eight."""
_CALL_PART: Final = Template("""\
  %given$index = getelementptr i64, ptr %S, i64 $begin
  call void @$name(ptr %X, ptr %U, ptr %given$index, ptr %here, ptr %flip, i64 %stride)""")
_GATHER_TILE: Final = Template("""\
  %from$lane = add i64 %first, $lane
  %to$lane = getelementptr double, ptr %X, i64 $lane
  call void @tapegrad_gather(ptr %L, ptr %I, i64 %start, i64 %from$lane, i64 %count, \
ptr %to$lane)""")
_RUN_ROWS: Final = Template("""\
define void @run(i64 %count, ptr %L, ptr %I, i64 %start, ptr %U, ptr %S, ptr %X, ptr %O, \
i64 %stride, ptr %F) nounwind {
entry:
  %empty = icmp sle i64 %count, 0
  br i1 %empty, label %done, label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %first = mul i64 %i, $width
$gathers
  %left = sub i64 %count, %first
  %one = insertelement <$width x i64> poison, i64 %left, i64 0
  %all = shufflevector <$width x i64> %one, <$width x i64> poison, <$width x i32> zeroinitializer
  %there = icmp slt <$width x i64> <$lanes>, %all
  %marks = select <$width x i1> %there, $flips splat (i32 -1), $flips splat (i32 -2)
  %flip = getelementptr i32, ptr %F, i64 %first
  store $flips %marks, ptr %flip, align 4
  %offset = mul i64 %i, $step
  %here = getelementptr double, ptr %O, i64 %offset
$parts
  %next = add i64 %i, 1
  %reached = mul i64 %next, $width
  %more = icmp slt i64 %reached, %count
  br i1 %more, label %loop, label %done
done:
  ret void
}""")


def gather(width: int) -> str:
    """The text of a function that takes eight rows of all leaves and writes them by column.

    The numbers of a column are ``width`` apart from those of the next. Columns go in tiles of
    eight, or of four where there are fewer than eight, the last of which begins among those of the
    one before where as many are not left.
    """
    lanes = range(TILE)
    tile = [_for_lanes(_LOAD_EIGHT, lanes), _for_lanes(_ASK_AHEAD, lanes), *_transposed(width)]
    half = [_for_lanes(_LOAD_FOUR, lanes), *_joined_halves(), *_transposed(width, "h", _HALF)]
    return _GATHER.substitute(
        width=width,
        tile=TILE,
        half=_HALF,
        move_half="\n".join(half),
        bounded=_for_lanes(_BOUNDED, lanes),
        count_rows=_for_lanes(_COUNT_ROW, lanes),
        read_rows=_for_lanes(_READ_ROW, lanes),
        rows_found=_for_lanes(_ROW_FOUND, lanes),
        places=_for_lanes(_FIND_PLACE, lanes),
        move_tile="\n".join(tile),
        move_one=_for_lanes(_MOVE_ONE, lanes),
    )


def _for_lanes(line: Template, lanes: range) -> str:
    return "\n".join(line.substitute(lane=lane) for lane in lanes)


def _joined_halves() -> Sequence[str]:
    """Joins four numbers of a row with those of the fourth row after it."""
    order = ", ".join(f"i32 {place}" for place in range(TILE))
    four, eight = f"<{_HALF} x double>", f"<{TILE} x i32> <{order}>"
    return [
        f"  %hr{lane} = shufflevector {four} %f{lane}, {four} %f{lane + _HALF}, {eight}"
        for lane in range(_HALF)
    ]


def _transposed(width: int, prefix: str = "", rows: int = TILE) -> Sequence[str]:
    """Transposes eight numbers of each of some rows in rounds of exchanges, and stores them."""
    lines, names, step = [], [f"%{prefix}r{lane}" for lane in range(rows)], 1
    while step < rows:
        turned = [f"%{prefix}s{step}_{lane}" for lane in range(rows)]
        lines += [f"  {turned[lane]} = {_exchange(names, lane, step)}" for lane in range(rows)]
        names, step = turned, 2 * step
    for lane in range(rows):
        to = f"%{prefix}d{lane}"
        lines.append(f"  {to} = getelementptr double, ptr %target, i64 {width * lane}")
        lines.append(f"  store <8 x double> {names[lane]}, ptr {to}, align 8")
    return lines


def _exchange(rows: Sequence[str], lane: int, step: int) -> str:
    """Takes half of a row's numbers from the row that is ``step`` away."""
    low, high = lane & ~step, lane | step
    kept = range(TILE)
    if lane & step:
        order = [place + step if not place & step else place + TILE for place in kept]
    else:
        order = [place if not place & step else place - step + TILE for place in kept]
    mask = ", ".join(f"i32 {place}" for place in order)
    return f"shufflevector <8 x double> {rows[low]}, <8 x double> {rows[high]}, <8 x i32> <{mask}>"


_BOUNDED: Final = Template("""\
  %n$lane = add i64 %first, $lane
  %m$lane = call i64 @llvm.smin.i64(i64 %n$lane, i64 %end)""")
_COUNT_ROW: Final = Template("""\
  %c$lane = add i64 %start, %m$lane""")
_READ_ROW: Final = Template("""\
  %e$lane = getelementptr i64, ptr %I, i64 %m$lane
  %l$lane = load i64, ptr %e$lane, align 8""")
_ROW_FOUND: Final = Template("""\
  %i$lane = phi i64 [ %c$lane, %counted ], [ %l$lane, %listed ]""")
_FIND_PLACE: Final = Template("""\
  %o$lane = mul i64 %i$lane, %stride
  %p$lane = getelementptr double, ptr %base, i64 %o$lane""")
_LOAD_EIGHT: Final = Template("""\
  %q$lane = getelementptr double, ptr %p$lane, i64 %column
  %r$lane = load <8 x double>, ptr %q$lane, align 8""")
_LOAD_FOUR: Final = Template("""\
  %g$lane = getelementptr double, ptr %p$lane, i64 %column
  %f$lane = load <4 x double>, ptr %g$lane, align 8
  %h$lane = getelementptr double, ptr %g$lane, i64 %ahead
  call void @llvm.prefetch.p0(ptr %h$lane, i32 0, i32 2, i32 1)""")
_ASK_AHEAD: Final = Template("""\
  %a$lane = getelementptr double, ptr %q$lane, i64 %ahead
  call void @llvm.prefetch.p0(ptr %a$lane, i32 0, i32 2, i32 1)""")
"""In the second cache: the first can wait for fewer lines at a time than a step of rows takes."""
_MOVE_ONE: Final = Template("""\
  %u$lane = getelementptr double, ptr %p$lane, i64 %column
  %v$lane = load double, ptr %u$lane, align 8
  %w$lane = getelementptr double, ptr %target, i64 $lane
  store double %v$lane, ptr %w$lane, align 8""")
_GATHER: Final = Template("""\
declare i64 @llvm.smin.i64(i64, i64)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
define void @gather(ptr %L, ptr %I, i64 %start, i64 %first, i64 %count, ptr %X) nounwind {
entry:
  %leaves = load i64, ptr %L, align 8
  %end = sub i64 %count, 1
$bounded
  %plain = icmp eq ptr %I, null
  br i1 %plain, label %counted, label %listed
counted:
$count_rows
  br label %found
listed:
$read_rows
  br label %found
found:
$rows_found
  %some = icmp sgt i64 %leaves, 0
  br i1 %some, label %leaf, label %done
leaf:
  %l = phi i64 [ 0, %found ], [ %nextleaf, %after ]
  %out = phi ptr [ %X, %found ], [ %rest, %after ]
  %at = mul i64 %l, 3
  %here = getelementptr i64, ptr %L, i64 %at
  %basep = getelementptr i64, ptr %here, i64 1
  %stridep = getelementptr i64, ptr %here, i64 2
  %columnsp = getelementptr i64, ptr %here, i64 3
  %base = load ptr, ptr %basep, align 8
  %stride = load i64, ptr %stridep, align 8
  %columns = load i64, ptr %columnsp, align 8
  %ahead = mul i64 %stride, $width
  %latest = sub i64 %columns, $tile
  %last.half = sub i64 %columns, $half
  %has.half = icmp sge i64 %columns, $half
$places
  br label %next
next:
  %column = phi i64 [ 0, %leaf ], [ %turned, %tile ], [ %half.turned, %half ], \
[ %singled, %single ]
  %offset = mul i64 %column, $width
  %target = getelementptr double, ptr %out, i64 %offset
  %tiled = add i64 %column, $tile
  %singled = add i64 %column, 1
  %fits = icmp sle i64 %tiled, %columns
  br i1 %fits, label %tile, label %fewer
fewer:
  %any = icmp slt i64 %column, %columns
  br i1 %any, label %some.left, label %after
some.left:
  br i1 %has.half, label %half, label %single
half:
$move_half
  %halved = add i64 %column, $half
  %half.back = call i64 @llvm.smin.i64(i64 %halved, i64 %last.half)
  %half.short = icmp slt i64 %halved, %columns
  %half.turned = select i1 %half.short, i64 %half.back, i64 %halved
  br label %next
tile:
$move_tile
  %back = call i64 @llvm.smin.i64(i64 %tiled, i64 %latest)
  %short = icmp slt i64 %tiled, %columns
  %turned = select i1 %short, i64 %back, i64 %tiled
  br label %next
single:
$move_one
  br label %next
after:
  %size = mul i64 %columns, $width
  %rest = getelementptr double, ptr %out, i64 %size
  %nextleaf = add i64 %l, 1
  %more = icmp slt i64 %nextleaf, %leaves
  br i1 %more, label %leaf, label %done
done:
  ret void
}""")


RUN_EACH: Final = """\
define void @run(i64 %count, ptr %code, ptr %buffers, ptr %X, i64 %inputs, ptr %O, i64 %outputs, \
ptr %F) nounwind {
entry:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %row, label %done
row:
  %i = phi i64 [ 0, %entry ], [ %next, %row ]
  %function.place = getelementptr ptr, ptr %code, i64 %i
  %function = load ptr, ptr %function.place, align 8
  %buffer.place = getelementptr ptr, ptr %buffers, i64 %i
  %buffer = load ptr, ptr %buffer.place, align 8
  %input = mul i64 %i, %inputs
  %x = getelementptr double, ptr %X, i64 %input
  %output = mul i64 %i, %outputs
  %o = getelementptr double, ptr %O, i64 %output
  %flip = call i32 %function(ptr %x, ptr %o, ptr %buffer)
  %flip.place = getelementptr i32, ptr %F, i64 %i
  store i32 %flip, ptr %flip.place, align 4
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %count
  br i1 %more, label %row, label %done
done:
  ret void
}
"""
"""The text of a loop over rows, each of which has its own code for one call, and its buffer."""
