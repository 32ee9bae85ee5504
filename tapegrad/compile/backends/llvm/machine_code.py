"""Machine code from LLVM's text, and how it is called: needs numpy and llvmlite.

Code is emitted from a program whose tape was validated, and its buffers are sized from it.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, final

import llvmlite.binding as llvm
import numpy as np

from tapegrad.compile.backends.interface import RowOptions, ScalarCode
from tapegrad.compile.backends.llvm.host_calls import HostCalls
from tapegrad.compile.backends.llvm.instructions import LANES, TILE
from tapegrad.compile.backends.llvm.module import Module, module
from tapegrad.compile.backends.llvm.row_loop import gather
from tapegrad.compile.backends.llvm.symbols import address_of, features, vector_maths
from tapegrad.compile.backends.row_code import RowCode
from tapegrad.compile.program import Program

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["RowFunction", "ScalarFunction", "fingerprint", "rows", "scalar"]


def scalar(program: Program) -> ScalarCode:
    """Compiles a program for one call."""
    function = ScalarFunction(program)
    return ScalarCode(function, function.run_bytes)


def rows(program: Program, options: RowOptions) -> RowCode:
    """Compiles a program for rows."""
    return RowFunction(program, options)


def fingerprint() -> Mapping[str, str]:
    """The facts that the bits of machine code depend on."""
    maths = vector_maths()
    return {
        "llvmlite": version("llvmlite"),
        "instructions": features(),
        "vector maths": ",".join(sorted(maths.prefix + name for name in maths.names)),
    }


_QUICK: Final = 0
_GOOD: Final = 1
"""LLVM's levels of optimisation. Code of level 0 has the same bits, takes a third of the time to
make, and runs up to a third slower; it never takes a product and a sum together."""


def _target(level: int) -> llvm.TargetMachine:
    """The host as LLVM describes it; an engine takes the description over, so each has its own."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features(), opt=level, jit=True
    )


@final
class _LoadedModule:
    """A module as machine code in memory, and the engine that must live as long as it does."""

    def __init__(self, text: str, addresses: Mapping[str, int], level: int = _QUICK) -> None:
        target = _target(level)
        parsed = llvm.parse_assembly(text)
        self.engine = llvm.create_mcjit_compiler(parsed, target)
        for name, address in addresses.items():
            self.engine.add_global_mapping(parsed.get_function(name), address)
        self.engine.finalize_object()

    def address(self, name: str) -> int:
        return int(self.engine.get_function_address(name))


@cache
def _gather(lanes: int) -> _LoadedModule:
    return _LoadedModule(gather(lanes), {})


def _compiled(made: Module, host: HostCalls, level: int = _QUICK) -> _LoadedModule:
    """Compiles a module, and links it with the functions that it calls."""
    addresses = {}
    for name in made.symbols:
        if name == "tapegrad_call_host":
            addresses[name] = host.address
        elif name == "tapegrad_gather":
            addresses[name] = _gather(host.lanes).address("gather")
        else:
            addresses[name] = address_of(name)
    return _LoadedModule(made.text, addresses, level)


@final
class ScalarFunction:
    """Runs a program as scalar code: inputs in, outputs out, with the bits of the eager call."""

    def __init__(self, program: Program) -> None:
        made = module(program)
        self._host = HostCalls(made.calls, 1)
        self._code = _compiled(made, self._host)
        arguments = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
        self._run = ctypes.CFUNCTYPE(ctypes.c_int32, *arguments)(self._code.address("run"))
        self._pack = struct.Struct(f"{program.inputs}d").pack
        self._outputs = ctypes.c_double * len(program.outputs)
        self._buffer = ctypes.c_double * made.spills
        self._buffers: list[ctypes.Array[ctypes.c_double]] = []

    def __call__(self, inputs: Sequence[float]) -> Sequence[float] | int:
        """The outputs, or the index of the guard that came out differently."""
        found = self.run_bytes(self._pack(*inputs))
        return found if isinstance(found, int) else found[:]

    def run_bytes(self, inputs: bytes) -> ctypes.Array[ctypes.c_double] | int:
        """The same for inputs that are doubles side by side."""
        outputs = self._outputs()
        buffer = self._free()
        flip: int = self._run(inputs, outputs, buffer)
        self._buffers.append(buffer)
        self._host.reraise()
        return outputs if flip < 0 else flip

    def _free(self) -> ctypes.Array[ctypes.c_double]:
        """A buffer that no other thread is using."""
        try:
            return self._buffers.pop()
        except IndexError:
            return self._buffer()


@final
class RowFunction:
    """Runs a program as vector code over the rows of columns."""

    def __init__(self, program: Program, options: RowOptions) -> None:
        quick = options.quick and not options.fast
        self._lanes = TILE if quick else LANES
        made = module(
            program,
            "sums" if options.sums else "rows",
            lanes=self._lanes,
            shared=options.shared,
            maths=vector_maths(),
            fast=options.fast,
        )
        self._mapped = program.inputs - options.shared
        self._host = HostCalls(made.calls, self._lanes)
        self._code = _compiled(made, self._host, _QUICK if quick else _GOOD)
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
        """Runs these rows of the leaves, as described at ``RowCode``."""
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
        self._host.reraise()


def _described(leaves: Sequence[Floats]) -> NDArray[np.int64]:
    """A list of where each leaf begins, how far apart its rows are, and how many columns it has."""
    table = [len(leaves)]
    for leaf in leaves:
        columns = leaf.shape[1] if leaf.ndim > 1 else 1
        table += [leaf.ctypes.data, leaf.strides[0] // 8, columns]
    return np.array(table, dtype=np.int64)
