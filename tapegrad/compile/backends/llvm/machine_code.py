"""Machine code from LLVM's text, and how it is called: needs llvmlite, and numpy for rows.

Code is emitted from a program whose tape was validated, and its buffers are sized from it.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Callable, Hashable, Mapping, Sequence
from copy import copy
from functools import cache, lru_cache, partial
from importlib.metadata import version
from operator import attrgetter
from typing import TYPE_CHECKING, Final, final

import attrs
import llvmlite.binding as llvm

from tapegrad.compile.backends.interface import (
    ChainCode,
    GivenLoops,
    NestShape,
    RowOptions,
    ScalarCode,
    StepShape,
    wrong_inputs,
)
from tapegrad.compile.backends.llvm.array_chain import array_chain
from tapegrad.compile.backends.llvm.function import VectorMaths
from tapegrad.compile.backends.llvm.host_calls import HostCalls
from tapegrad.compile.backends.llvm.instructions import LANES, SUM_LANES, TILE
from tapegrad.compile.backends.llvm.memory import require_memory
from tapegrad.compile.backends.llvm.module import Module, module, rare_module, step_module
from tapegrad.compile.backends.llvm.native_entry import (
    CallEntry,
    EachEntry,
    Kernel,
    LoopEntry,
    NestEntry,
    RowsEntry,
    StepsEntry,
    chain_code,
)
from tapegrad.compile.backends.llvm.object_cache import ObjectCode, object_code
from tapegrad.compile.backends.llvm.rare_cells import RareCells
from tapegrad.compile.backends.llvm.row_loop import RUN_EACH, gather
from tapegrad.compile.backends.llvm.symbols import address_of, features, vector_maths
from tapegrad.compile.program import Program
from tapegrad.entries.static_keys import static_key

if TYPE_CHECKING:
    from tapegrad.compile.backends.row_code import RowCode

__all__ = ["ScalarFunction", "chain", "each", "fingerprint", "loop", "rows", "scalar", "steps"]


def scalar(program: Program) -> ScalarCode:
    """Compiles a program for one call."""
    return ScalarFunction(program).code()


def rows(program: Program, options: RowOptions, maths: VectorMaths | None = None) -> RowCode:
    """Compiles a program for rows, with the functions of this machine's vector maths or others."""
    from tapegrad.compile.backends.row_code import RowShapes

    quick = options.quick and not options.fast
    lanes = TILE if quick else LANES
    made = module(
        program,
        "sums" if options.sums else "rows",
        lanes=lanes,
        shared=options.shared,
        maths=maths or vector_maths(),
        fast=options.fast,
    )
    shapes = RowShapes(
        options.shared,
        program.inputs - options.shared,
        len(program.outputs),
        step=lanes,
        lanes=SUM_LANES if options.sums else 0,
    )
    kernel, is_shared = _kernel(made, lanes, _QUICK if quick and not made.short else _GOOD)
    return RowsEntry(kernel, shapes, made.spills, made.given, is_shared=is_shared)


def loop(text: str, size: int, read: int, written: int, numbers: int) -> LoopEntry:
    """Compiles the text of a loop; ``LoopEntry`` says what it is given."""
    return LoopEntry(_LoadedModule(text, {}, _GOOD), size, read, written, numbers)


def nest(text: str, shape: NestShape) -> NestEntry:
    """Compiles the text of a loop over rows."""
    return NestEntry(_nest(text), shape)


@lru_cache(maxsize=64)
def _nest(text: str) -> _LoadedModule:
    return _LoadedModule(text, {}, _GOOD)


def steps(ways: Sequence[Program], shape: StepShape) -> StepsEntry:
    """Compiles a loop of steps that go one of several ways."""
    made = step_module(ways, shape)
    kernel, _ = _found(made, 1, _GOOD if made.short else _QUICK)
    return StepsEntry(kernel, shape, made.given)


@cache
def each() -> EachEntry:
    """Runs rows, each on its own code for one call, which has an ``entry``."""
    return EachEntry(_LoadedModule(RUN_EACH, {}))


@cache
def chain() -> ChainCode:
    """Compiles what calls the inner loops of numpy's functions."""
    return chain_code(_LoadedModule(array_chain(), {}, _GOOD))


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


def _fork_between_calls() -> None:
    """Lets a fork wait until no thread is inside LLVM, whose locks its child could never free."""
    lock = attrgetter("ffi.lib._lock")(llvm)  # the one that llvmlite calls LLVM under
    os.register_at_fork(
        before=lock.__enter__, after_in_parent=lock.__exit__, after_in_child=lock.__exit__
    )


if hasattr(os, "register_at_fork"):
    _fork_between_calls()


def _target(level: int) -> llvm.TargetMachine:
    """The host as LLVM describes it; an engine takes the description over, so each has its own."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features(), opt=level, jit=True
    )


@cache
def _compiler() -> tuple[str, ...]:
    """The facts on which, beside a module and a level, LLVM's code depends."""
    made_by = version("llvmlite"), str(llvm.llvm_version_info)
    return (*made_by, llvm.get_process_triple(), llvm.get_host_cpu_name(), features())


def _object_code(text: str, level: int) -> ObjectCode:
    """The object file of a module, compiled now or by an earlier process."""
    return object_code(
        (*_compiler(), str(level), text),
        lambda: _target(level).emit_object(llvm.parse_assembly(text)),
    )


@final
class _LoadedModule:
    """A module as machine code in memory, and the engine that must live as long as it does.

    It is called through the entries of ``native_entry`` alone. ``calls`` is another module that it
    calls, which must live as long.
    """

    is_cached: bool

    def __init__(
        self,
        text: str,
        addresses: Mapping[str, int],
        level: int = _QUICK,
        calls: _LoadedModule | None = None,
    ) -> None:
        require_memory(text)
        self._calls = calls
        code = _object_code(text, level)
        self.is_cached = code.is_cached
        names = llvm.parse_assembly("".join(f"declare void @{name}()\n" for name in addresses))
        self.engine = llvm.create_mcjit_compiler(names, _target(level))
        for name, address in addresses.items():
            self.engine.add_global_mapping(names.get_function(name), address)
        self.engine.add_object_file(llvm.ObjectFileRef.from_data(code.content))
        self.engine.finalize_object()

    def address(self, name: str) -> int:
        return int(self.engine.get_function_address(name))


@cache
def _gather(lanes: int) -> _LoadedModule:
    return _LoadedModule(gather(lanes), {})


@lru_cache(maxsize=256)
def _rare(program: Program, lanes: int) -> _LoadedModule:
    """The function of what is rarely needed, which all modules share."""
    made = rare_module(program, lanes)
    return _LoadedModule(made.text, {name: address_of(name) for name in made.symbols})


def _rare_cells(made: Module, code: _LoadedModule, lanes: int) -> RareCells:
    """The cells of a module that point to the functions of what is rarely needed."""
    return RareCells(
        {name: partial(_rare, program, lanes) for name, program in made.rare.items()},
        code.engine.get_global_value_address,
    )


@final
class _Shared:
    """A kernel that several programs may have: their modules have one text.

    It ``is_taken`` once one of them has it.
    """

    def __init__(self, made: Module, lanes: int, level: int) -> None:
        host = HostCalls(made.calls, lanes)
        code = _compiled(made, host, level)
        self.kernel = Kernel(code, host, _rare_cells(made, code, lanes))
        self.is_taken = False

    def take(self) -> tuple[Kernel, bool]:
        """The kernel, and whether it was taken before."""
        is_shared, self.is_taken = self.is_taken, True
        return self.kernel, is_shared


@final
@attrs.frozen
class _Wanted:
    """The facts that a kernel depends on, by which it is found again.

    They are those of ``made`` but for what the code is given when it runs.
    """

    text: str
    lanes: int
    level: int
    calls: tuple[Hashable, ...]
    rare: tuple[Program, ...]
    made: Module = attrs.field(eq=False)


@lru_cache(maxsize=64)
def _shared(wanted: _Wanted) -> _Shared:
    return _Shared(wanted.made, wanted.lanes, wanted.level)


def _kernel(made: Module, lanes: int, level: int) -> tuple[Kernel, bool]:
    """The kernel of a module, and whether it was made before, for another one."""
    return _found(made, lanes, level) if made.given else _Shared(made, lanes, level).take()


def _found(made: Module, lanes: int, level: int) -> tuple[Kernel, bool]:
    """The kernel of a module: that of another one with the same text, if there was one."""
    calls = [(call.row, call.operands, *map(static_key, call.static)) for call in made.calls]
    rare = tuple(made.rare.values())
    ungiven = attrs.evolve(made, given=b"")
    return _shared(_Wanted(made.text, lanes, level, tuple(calls), rare, ungiven)).take()


def _compiled(made: Module, host: HostCalls, level: int) -> _LoadedModule:
    """Compiles a module, and links it with the functions that it calls."""
    addresses = {}
    # Where two threads are the first, each makes one, and the cache keeps only that of the later.
    gathering = _gather(host.lanes) if "tapegrad_gather" in made.symbols else None
    for name in made.symbols:
        if name == "tapegrad_call_host":
            addresses[name] = host.address
        elif name == "tapegrad_gather" and gathering is not None:
            addresses[name] = gathering.address("gather")
        else:
            addresses[name] = address_of(name)
    return _LoadedModule(made.text, addresses, level, gathering)


@final
class ScalarFunction:
    """Runs a program as scalar code: inputs in, outputs out, with the bits of the eager call."""

    is_shared: bool
    entry: CallEntry
    run_bytes: Callable[[bytes], ctypes.Array[ctypes.c_double] | int]

    def __init__(self, program: Program) -> None:
        made = module(program)
        self._inputs, self._outputs = program.inputs, len(program.outputs)
        self._pack = struct.Struct(f"{program.inputs}d").pack
        self._kernel, self.is_shared = _kernel(made, 1, _GOOD if made.short else _QUICK)
        self.is_cached: bool = self._kernel.code.is_cached
        self._doubles = made.doubles
        self._give(made.spills, made.given)

    def _give(self, places: int, given: bytes) -> None:
        """Gives the code so many places, and the numbers before them."""
        self._places, self._given = places, given
        self.entry = CallEntry(self._kernel, self._inputs, self._outputs, places, given)
        self.run_bytes = self.entry.enter

    def _again(self, places: int, given: bytes) -> ScalarCode:
        """The same code with other numbers, of which there are as many."""
        other = copy(self)
        other.is_shared = True
        other._give(places, given)
        return other.code()

    def code(self) -> ScalarCode:
        """The code, and what it tells of itself."""
        loops = None
        if self._doubles is not None and self._given:
            loops = GivenLoops(self._kernel, self._places, self._given, self._doubles, self._again)
        return ScalarCode(
            self,
            self.run_bytes,
            is_cached=self.is_cached,
            is_shared=self.is_shared,
            entry=None if self.entry.calls_python else self.entry,
            loops=loops,
        )

    def __call__(self, inputs: Sequence[float]) -> Sequence[float] | int:
        """The outputs, or the index of the guard that came out differently."""
        try:
            packed = self._pack(*inputs)
        except struct.error:
            raise wrong_inputs(inputs, self._inputs) from None
        found = self.run_bytes(packed)
        return found if isinstance(found, int) else found[:]
