"""Machine code from LLVM's text, and how it is called: needs numpy and llvmlite.

Code is emitted from a program whose tape was validated, and its buffers are sized from it.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import MutableSequence, Sequence
from functools import cache, partial
from threading import get_ident
from typing import TYPE_CHECKING, Final, final

import llvmlite.binding as llvm
import numpy as np

from tapegrad import ops
from tapegrad.interpret.llvm import LANES, TILE, Asked, Module, VectorMaths, module
from tapegrad.primitive import Primitive
from tapegrad.program import Program

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["Call", "Rows", "features", "vector_maths"]


@cache
def features() -> str:
    """The host's instructions, as LLVM names them."""
    return str(llvm.get_host_cpu_features().flatten())


@cache
def _library(*names: str) -> ctypes.CDLL | None:
    """The first of these libraries that there is; of no name, the process itself."""
    for name in names:
        try:
            return ctypes.CDLL(name or None)
        except OSError:
            continue
    return None


def _address(library: ctypes.CDLL | None, name: str) -> int | None:
    """Where a function of a library stands in memory."""
    try:
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    except AttributeError:
        return None


def _libm(name: str) -> int:
    """C's own function, the one that Python's ``math`` calls."""
    for library in ("", "libm.so.6", "ucrtbase.dll"):
        if (address := _address(_library(library), name)) is not None:
            return address
    raise OSError(f"this system's maths library has no {name}")


_VECTORS: Final = (("+avx512f", "_ZGVeN8", 8), ("+avx2", "_ZGVdN4", 4), ("+sse4.2", "_ZGVbN2", 2))
"""Instructions, and the prefix and the lanes of the functions of glibc's libmvec for them."""


@cache
def vector_maths() -> VectorMaths:
    """The functions of glibc's vector library on this machine, where it has one."""
    library = _library("libmvec.so.1")
    for feature, prefix, width in _VECTORS:
        if library is not None and feature in features().split(","):
            rows = (row for row in ops.TABLE.rows if row.libm)
            found = (row.libm for row in rows if _mangled(library, prefix, row) is not None)
            return VectorMaths(prefix, width, frozenset(found))
    return VectorMaths("", 1, frozenset())


def _mangled(library: ctypes.CDLL, prefix: str, row: Primitive) -> int | None:
    return _address(library, f"{prefix}{'v' * (row.arity or 0)}_{row.libm}")


def _external(symbol: str) -> int:
    """The address of a function that a module calls."""
    if symbol.startswith("tapegrad_"):
        return _libm(symbol.removeprefix("tapegrad_"))
    return _address(_library("libmvec.so.1"), symbol) or 0


_QUICK: Final = 0
_GOOD: Final = 1
"""How hard LLVM tries. What it makes quickly has the same bits, takes a third of the time to make,
and runs up to a third slower; it never takes a product and a sum together."""


def _target(level: int) -> llvm.TargetMachine:
    """The host as LLVM compiles for it; an engine takes it over, so each has its own."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features(), opt=level, jit=True
    )


@final
class _Code:
    """A module as machine code, and what must live as long as it does."""

    def __init__(self, text: str, addresses: dict[str, int], level: int = _QUICK) -> None:
        target = _target(level)
        parsed = llvm.parse_assembly(text)
        self.engine = llvm.create_mcjit_compiler(parsed, target)
        for name, address in addresses.items():
            self.engine.add_global_mapping(parsed.get_function(name), address)
        self.engine.finalize_object()

    def address(self, name: str) -> int:
        return int(self.engine.get_function_address(name))


@cache
def _gather(lanes: int) -> _Code:
    return _Code(_gather_source(lanes), {})


_Ask = ctypes.CFUNCTYPE(
    None, ctypes.c_int64, *[ctypes.POINTER(ctypes.c_double)] * 2, ctypes.POINTER(ctypes.c_uint8)
)


@final
class _Asking:
    """Answers the calls that code makes back into Python, and keeps the error that one raised."""

    def __init__(self, calls: Sequence[Asked], lanes: int) -> None:
        self.lanes = lanes
        self.errors: dict[int, BaseException] = {}
        # Not a method: what the code holds must not hold the code.
        self.pointer = _Ask(partial(_answer, calls, lanes, self.errors))
        self.address = ctypes.cast(self.pointer, ctypes.c_void_p).value or 0

    def settle(self) -> None:
        """Raise what was raised on the way, in this thread."""
        if self.errors and (error := self.errors.pop(get_ident(), None)) is not None:
            raise error


def _answer(  # noqa: PLR0913, PLR0917  # the last four are what the code hands over
    calls: Sequence[Asked],
    lanes: int,
    errors: dict[int, BaseException],
    number: int,
    given: Sequence[float],
    answer: MutableSequence[float],
    wanted: Sequence[int],
) -> None:
    """One call back, for the lanes that want it; none after one has raised."""
    if get_ident() in errors:
        return
    asked = calls[number]
    size = asked.operands * lanes
    try:
        for lane in range(lanes):
            if wanted[lane]:
                answer[lane] = asked(*(given[at] for at in range(lane, size, lanes)))
    except BaseException as error:  # noqa: BLE001  # it cannot pass through machine code
        errors[get_ident()] = error


def _loaded(made: Module, asking: _Asking, level: int = _QUICK) -> _Code:
    addresses = {name: _external(name) for name in made.symbols if name not in _OURS}
    if "tapegrad_ask" in made.symbols:
        addresses["tapegrad_ask"] = asking.address
    if "tapegrad_gather" in made.symbols:
        addresses["tapegrad_gather"] = _gather(asking.lanes).address("gather")
    return _Code(made.text, addresses, level)


_OURS: Final = {"tapegrad_ask", "tapegrad_gather"}


@final
class Call:
    """A program as scalar code: the inputs in, the outputs out, the bits of the eager call."""

    def __init__(self, program: Program) -> None:
        made = module(program)
        self._asking = _Asking(made.calls, 1)
        self._code = _loaded(made, self._asking)
        arguments = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
        self._run = ctypes.CFUNCTYPE(ctypes.c_int32, *arguments)(self._code.address("run"))
        self._pack = struct.Struct(f"{program.inputs}d").pack
        self._outputs = ctypes.c_double * len(program.outputs)
        self._buffer = ctypes.c_double * made.spills
        self._buffers: list[ctypes.Array[ctypes.c_double]] = []

    def __call__(self, inputs: Sequence[float]) -> Sequence[float] | int:
        """The outputs, or the index of the guard that came out differently."""
        found = self.flat(self._pack(*inputs))
        return found if isinstance(found, int) else found[:]

    def flat(self, inputs: bytes) -> ctypes.Array[ctypes.c_double] | int:
        """The same on doubles that stand side by side."""
        outputs = self._outputs()
        buffer = self._free()
        flip: int = self._run(inputs, outputs, buffer)
        self._buffers.append(buffer)
        self._asking.settle()
        return outputs if flip < 0 else flip

    def _free(self) -> ctypes.Array[ctypes.c_double]:
        """A buffer that no other thread is using."""
        try:
            return self._buffers.pop()
        except IndexError:
            return self._buffer()


@final
class Rows:
    """A program as vector code over the rows of columns."""

    def __init__(
        self,
        program: Program,
        shared: int,
        *,
        sums: bool,
        fast: bool = False,
        quick: bool = False,
    ) -> None:
        quick, self._lanes = quick and not fast, TILE if quick else LANES
        made = module(
            program,
            "sums" if sums else "rows",
            lanes=self._lanes,
            shared=shared,
            maths=vector_maths(),
            fast=fast,
        )
        self._mapped = program.inputs - shared
        self._asking = _Asking(made.calls, self._lanes)
        self._code = _loaded(made, self._asking, _QUICK if quick else _GOOD)
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        arguments = [integer, pointer, pointer, integer, *[pointer] * 4, integer, pointer]
        self._run = ctypes.CFUNCTYPE(None, *arguments)(self._code.address("run"))
        self._spills = made.spills

    def __call__(
        self,
        shared: Floats,
        leaves: Sequence[Floats],
        rows: NDArray[np.int64] | range,
        out: Floats,
        flips: NDArray[np.int32],
        /,
    ) -> None:
        """Each of these rows of the leaves: its outputs in a column of ``out``, or their sums.

        ``out`` has a row for each output, with room for whole steps of ``LANES`` rows; for sums,
        eight lanes that are added to. ``flips`` has such room too: -1, or the guard that flipped.
        """
        count = len(rows)
        described = _described(leaves)
        index = None if isinstance(rows, range) else rows.ctypes.data
        start = rows.start if isinstance(rows, range) else 0
        buffer = np.empty((self._spills + self._mapped + 2) * self._lanes)
        place = -(-buffer.ctypes.data // 64) * 64
        self._run(
            count, described.ctypes.data, index, start, shared.ctypes.data, place,
            place + self._spills * self._lanes * 8, out.ctypes.data, out.strides[0] // 8,
            flips.ctypes.data,
        )  # fmt: skip
        self._asking.settle()


def _described(leaves: Sequence[Floats]) -> NDArray[np.int64]:
    """For each leaf where it begins, how far apart its rows are, and how many columns it has."""
    table = [len(leaves)]
    for leaf in leaves:
        columns = leaf.shape[1] if leaf.ndim > 1 else 1
        table += [leaf.ctypes.data, leaf.strides[0] // 8, columns]
    return np.array(table, dtype=np.int64)


def _shuffles(width: int) -> str:
    """Eight rows of eight numbers, turned in three rounds of exchanges."""
    lines, names = [], [f"%r{lane}" for lane in range(TILE)]
    for step in (1, 2, 4):
        low = [lane if not lane & step else lane - step + TILE for lane in range(TILE)]
        high = [lane + step if not lane & step else lane + TILE for lane in range(TILE)]
        turned = list(names)
        for lane in range(TILE):
            pair, order = (lane, lane ^ step), low
            if lane & step:
                pair, order = (lane ^ step, lane), high
            mask = ", ".join(f"i32 {place}" for place in order)
            turned[lane] = f"%s{step}_{lane}"
            lines.append(
                f"  {turned[lane]} = shufflevector <8 x double> {names[pair[0]]}, "
                f"<8 x double> {names[pair[1]]}, <8 x i32> <{mask}>"
            )
        names = turned
    lines += [
        line
        for lane in range(TILE)
        for line in (
            f"  %d{lane} = getelementptr double, ptr %out, i64 {width * lane}",
            f"  store <8 x double> {names[lane]}, ptr %d{lane}, align 8",
        )
    ]
    return "\n".join(lines)


def _gather_source(width: int) -> str:
    """The function that takes eight rows of all leaves and writes them column by column."""
    lanes = range(TILE)
    rows = "\n".join(
        f"""\
  %n{lane} = add i64 %first, {lane}
  %m{lane} = call i64 @llvm.smin.i64(i64 %n{lane}, i64 %end)
  %i{lane} = call i64 @row(ptr %I, i64 %start, i64 %m{lane})"""
        for lane in lanes
    )
    places = "\n".join(
        f"""\
  %o{lane} = mul i64 %i{lane}, %stride
  %p{lane} = getelementptr double, ptr %base, i64 %o{lane}"""
        for lane in lanes
    )
    given = ", ".join(f"ptr %p{lane}" for lane in lanes)
    loads = "\n".join(
        f"""\
  %q{lane} = getelementptr double, ptr %p{lane}, i64 %column
  %r{lane} = load <8 x double>, ptr %q{lane}, align 8"""
        for lane in lanes
    )
    singles = "\n".join(
        f"""\
  %q{lane} = getelementptr double, ptr %p{lane}, i64 %column
  %r{lane} = load double, ptr %q{lane}, align 8
  %w{lane} = getelementptr double, ptr %out, i64 {lane}
  store double %r{lane}, ptr %w{lane}, align 8"""
        for lane in lanes
    )
    return f"""\
declare i64 @llvm.smin.i64(i64, i64)
define internal i64 @row(ptr %I, i64 %start, i64 %number) alwaysinline nounwind {{
  %plain = icmp eq ptr %I, null
  br i1 %plain, label %counted, label %listed
counted:
  %row = add i64 %start, %number
  ret i64 %row
listed:
  %place = getelementptr i64, ptr %I, i64 %number
  %other = load i64, ptr %place, align 8
  ret i64 %other
}}
define internal void @tile({given}, i64 %column, ptr %out) nounwind {{
{loads}
{_shuffles(width)}
  ret void
}}
define internal void @single({given}, i64 %column, ptr %out) nounwind {{
{singles}
  ret void
}}
define void @gather(ptr %L, ptr %I, i64 %start, i64 %first, i64 %count, ptr %X) nounwind {{
entry:
  %leaves = load i64, ptr %L, align 8
  %end = sub i64 %count, 1
{rows}
  %some = icmp sgt i64 %leaves, 0
  br i1 %some, label %leaf, label %done
leaf:
  %l = phi i64 [ 0, %entry ], [ %nextleaf, %after ]
  %out = phi ptr [ %X, %entry ], [ %rest, %after ]
  %at = mul i64 %l, 3
  %here = getelementptr i64, ptr %L, i64 %at
  %basep = getelementptr i64, ptr %here, i64 1
  %stridep = getelementptr i64, ptr %here, i64 2
  %columnsp = getelementptr i64, ptr %here, i64 3
  %base = load ptr, ptr %basep, align 8
  %stride = load i64, ptr %stridep, align 8
  %columns = load i64, ptr %columnsp, align 8
{places}
  br label %next
next:
  %column = phi i64 [ 0, %leaf ], [ %tiled, %tile ], [ %singled, %single ]
  %offset = mul i64 %column, {width}
  %target = getelementptr double, ptr %out, i64 %offset
  %tiled = add i64 %column, {TILE}
  %singled = add i64 %column, 1
  %fits = icmp sle i64 %tiled, %columns
  br i1 %fits, label %tile, label %fewer
fewer:
  %any = icmp slt i64 %column, %columns
  br i1 %any, label %single, label %after
tile:
  call void @tile({given}, i64 %column, ptr %target)
  br label %next
single:
  call void @single({given}, i64 %column, ptr %target)
  br label %next
after:
  %size = mul i64 %columns, {width}
  %rest = getelementptr double, ptr %out, i64 %size
  %nextleaf = add i64 %l, 1
  %more = icmp slt i64 %nextleaf, %leaves
  br i1 %more, label %leaf, label %done
done:
  ret void
}}
"""
