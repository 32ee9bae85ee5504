"""LLVM's text of a function that calls the inner loops of numpy's functions one after the other.

It reads records of ``WORDS`` whole numbers: the address of an inner loop, what numpy has it given,
where the arrays begin, how many numbers there are, how far apart they stand, how often the loop is
called, and how far the arrays are apart from call to call. There are at most ``ARRAYS`` of them.

There are seven inner loops of its own: ``copy``; ``tie``, which writes the first operand wherever
the two are equal; ``choose``, which takes an element of the first or of the second operand;
``rare``, which writes 1.0 where a number is neither 0.0 nor far from overflow and underflow;
``product``, which calls numpy's loop for products of matrices; ``take``, which copies rows at some
places one after the other; and ``add_rows``, which adds rows to those at some places. Where others
are given numpy's own data, the last three have a table: numpy's loop, its data, ``SIZES`` sizes,
and strides; or the length of a row and how many bytes into the array each place is.
"""

from __future__ import annotations

import struct
from string import Template
from typing import Final

__all__ = ["ARRAYS", "OWN_LOOPS", "SIZES", "WORDS", "array_chain"]

ARRAYS: Final = 4
"""The most arrays of a record."""

WORDS: Final = 4 + 3 * ARRAYS
"""The whole numbers of a record."""

SIZES: Final = 4
"""The sizes of a product: how many there are, and the axes of its matrices."""

OWN_LOOPS: Final = ("copy", "tie", "choose", "rare", "product", "take", "add_rows")


def array_chain() -> str:
    """The text of ``run``, which is given the records and their number, and of inner loops."""
    bodies = (1, _COPY), (2, _TIE), (3, _CHOOSE), (1, _RARE)
    loops = [
        _LOOP.substitute(name=name, reads=reads, body=body, words=_EACH)
        for name, (reads, body) in zip(OWN_LOOPS, bodies, strict=False)
    ]
    loops += [
        _ROWS.substitute(name="take", from_="place", to="moved", body=_TAKEN),
        _ROWS.substitute(name="add_rows", from_="moved", to="place", body=_ADDED),
    ]
    return "".join([_RUN.substitute(_PLACES, words=_EACH), *loops, _PRODUCT])


_EACH: Final = f"<{ARRAYS} x i64>"
"""The type of a word for each array."""

_PLACES: Final = {
    "data": 1, "first": 2, "size": 2 + ARRAYS, "strides": 3 + ARRAYS, "calls": 3 + 2 * ARRAYS,
    "moves": 4 + 2 * ARRAYS, "next": WORDS,
}  # fmt: skip
"""Where the words of a record stand, behind the address of the loop."""

_RUN: Final = Template("""\
define void @run(ptr %records, i64 %count) {
begin:
  %arrays = alloca $words, align 8
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %record, label %end
record:
  %index = phi i64 [ 0, %begin ], [ %index_then, %next ]
  %at = phi ptr [ %records, %begin ], [ %at_then, %next ]
  %loop = load ptr, ptr %at, align 8
  %data_at = getelementptr i64, ptr %at, i64 $data
  %data = load ptr, ptr %data_at, align 8
  %from = getelementptr i64, ptr %at, i64 $first
  %first = load $words, ptr %from, align 8
  %size = getelementptr i64, ptr %at, i64 $size
  %strides = getelementptr i64, ptr %at, i64 $strides
  %calls_at = getelementptr i64, ptr %at, i64 $calls
  %calls = load i64, ptr %calls_at, align 8
  %moves_at = getelementptr i64, ptr %at, i64 $moves
  %moves = load $words, ptr %moves_at, align 8
  br label %call
call:
  %left = phi i64 [ %calls, %record ], [ %left_then, %call ]
  %now = phi $words [ %first, %record ], [ %now_then, %call ]
  store $words %now, ptr %arrays, align 8
  call void %loop(ptr %arrays, ptr %size, ptr %strides, ptr %data)
  %now_then = add $words %now, %moves
  %left_then = sub i64 %left, 1
  %again = icmp sgt i64 %left_then, 0
  br i1 %again, label %call, label %next
next:
  %index_then = add i64 %index, 1
  %at_then = getelementptr i64, ptr %at, i64 $next
  %more = icmp slt i64 %index_then, %count
  br i1 %more, label %record, label %end
end:
  ret void
}
""")

_PRODUCT: Final = f"""\
define void @product(ptr %arrays, ptr %size, ptr %strides, ptr %table) {{
  %loop = load ptr, ptr %table, align 8
  %data_at = getelementptr i64, ptr %table, i64 1
  %data = load ptr, ptr %data_at, align 8
  %sizes = getelementptr i64, ptr %table, i64 2
  %apart = getelementptr i64, ptr %table, i64 {2 + SIZES}
  call void %loop(ptr %arrays, ptr %sizes, ptr %apart, ptr %data)
  ret void
}}
"""

_LOOP: Final = Template("""\
define void @$name(ptr %arrays, ptr %size, ptr %strides, ptr %data) {
begin:
  %count = load i64, ptr %size, align 8
  %start = load $words, ptr %arrays, align 8
  %apart = load $words, ptr %strides, align 8
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %one, label %end
one:
  %left = phi i64 [ %count, %begin ], [ %left_then, %one ]
  %now = phi $words [ %start, %begin ], [ %now_then, %one ]
$body
  %written = extractelement $words %now, i64 $reads
  %written_at = inttoptr i64 %written to ptr
  store i64 %found, ptr %written_at, align 8
  %now_then = add $words %now, %apart
  %left_then = sub i64 %left, 1
  %again = icmp sgt i64 %left_then, 0
  br i1 %again, label %one, label %end
end:
  ret void
}
""")


_ROWS: Final = Template("""\
define void @$name(ptr %arrays, ptr %size, ptr %strides, ptr %table) {
begin:
  %count = load i64, ptr %size, align 8
  %from = load ptr, ptr %arrays, align 8
  %to_where = getelementptr ptr, ptr %arrays, i64 1
  %to = load ptr, ptr %to_where, align 8
  %length = load i64, ptr %table, align 8
  %row_bytes = shl i64 %length, 3
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %row, label %end
row:
  %index = phi i64 [ 0, %begin ], [ %index_then, %next ]
  %moved = phi i64 [ 0, %begin ], [ %moved_then, %next ]
  %index_then = add i64 %index, 1
  %place_at = getelementptr i64, ptr %table, i64 %index_then
  %place = load i64, ptr %place_at, align 8
  %row_from = getelementptr i8, ptr %from, i64 %$from_
  %row_to = getelementptr i8, ptr %to, i64 %$to
  br label %one
one:
  %number = phi i64 [ 0, %row ], [ %number_then, %one ]
  %x_at = getelementptr double, ptr %row_from, i64 %number
  %y_at = getelementptr double, ptr %row_to, i64 %number
$body
  %number_then = add i64 %number, 1
  %again = icmp slt i64 %number_then, %length
  br i1 %again, label %one, label %next
next:
  %moved_then = add i64 %moved, %row_bytes
  %more = icmp slt i64 %index_then, %count
  br i1 %more, label %row, label %end
end:
  ret void
}
""")

_TAKEN: Final = """\
  %found = load i64, ptr %x_at, align 8
  store i64 %found, ptr %y_at, align 8"""

_ADDED: Final = """\
  %x = load double, ptr %x_at, align 8
  %y = load double, ptr %y_at, align 8
  %sum = fadd double %y, %x
  store double %sum, ptr %y_at, align 8"""


def _read(place: int, name: str, kind: str) -> str:
    return (
        f"  %{name}_where = extractelement {_EACH} %now, i64 {place}\n"
        f"  %{name}_at = inttoptr i64 %{name}_where to ptr\n"
        f"  %{name} = load {kind}, ptr %{name}_at, align {int(kind[1:]) // 8}\n"
    )


_COPY: Final = _read(0, "found", "i64")

_TIE: Final = (
    _read(0, "x", "i64")
    + _read(1, "y", "i64")
    + _read(2, "z", "i64")
    + """\
  %x_number = bitcast i64 %x to double
  %y_number = bitcast i64 %y to double
  %equal = fcmp oeq double %x_number, %y_number
  %found = select i1 %equal, i64 %x, i64 %z"""
)

_CHOOSE: Final = (
    _read(0, "condition", "i8")
    + _read(1, "x", "i64")
    + _read(2, "y", "i64")
    + """\
  %holds = icmp ne i8 %condition, 0
  %found = select i1 %holds, i64 %x, i64 %y"""
)


def _bits(number: float) -> str:
    """A double as LLVM writes it, to the bit."""
    return f"0x{struct.unpack('>Q', struct.pack('>d', number))[0]:016X}"


_RARE: Final = (
    _read(0, "x", "i64")
    + _read(1, "before", "i64")
    + f"""\
  %x_number = bitcast i64 %x to double
  %is_negative = fcmp olt double %x_number, 0.0
  %opposite = fneg double %x_number
  %far = select i1 %is_negative, double %opposite, double %x_number
  %is_zero = fcmp oeq double %far, 0.0
  %is_above = fcmp ogt double %far, {_bits(1e-290)}
  %is_below = fcmp olt double %far, {_bits(1e290)}
  %is_between = and i1 %is_above, %is_below
  %is_plain = or i1 %is_zero, %is_between
  %found = select i1 %is_plain, i64 %before, i64 {0x3FF << 52}"""
)
