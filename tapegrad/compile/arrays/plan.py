"""A program with arrays as straight Python that calls numpy on buffers made once.

The bits are those of the eager call: the same functions of numpy's, on arrays that stand in memory
in the same order. A buffer that nothing reads any more is used again, and views of buffers are made
with them. What is returned is the caller's own, and allocated at each call. Numbers are floats, in
the expressions of ``ops.inline``; where an array meets one, it is read from an array without axes,
which numpy takes in less time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from math import inf, prod
from operator import itemgetter
from re import findall
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad.compile.arrays.calls import REDUCED, VIEWS
from tapegrad.compile.arrays.chains import (
    MOST_NUMBERS,
    Call,
    Chain,
    Record,
    Standing,
    at_index,
    records,
)
from tapegrad.compile.arrays.frames import Frames, memory
from tapegrad.compile.arrays.loops import Loop, LoopStep, can_loop
from tapegrad.compile.arrays.nest_runs import NestBlocks, NestRun
from tapegrad.compile.arrays.nests import arranged
from tapegrad.compile.backends.interface import (
    ChainCode,
    CompileChain,
    CompileLoop,
    CompileNest,
    RunFloats,
    ScalarCode,
)
from tapegrad.compile.paths import UnknownPathError
from tapegrad.compile.program import NUMBER, Form, Program
from tapegrad.entries.static_keys import static_key
from tapegrad.errors import BackendError
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_passes import is_exact, ufunc_of
from tapegrad.ops.array_values import product
from tapegrad.ops.elementwise import function_of
from tapegrad.ops.inline import INLINE_NAMES, inlined
from tapegrad.ops.matrix_values import windows
from tapegrad.ops.primitive import Primitive, Shape
from tapegrad.pytree.array_leaves import parted, side_by_side

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Plan", "scalar", "source"]

_NAMES: Final = {
    "add": np.add, "add_at": np.add.at, "broadcast_to": np.broadcast_to,
    "concatenate": np.concatenate, "copyto": np.copyto, "count_nonzero": np.count_nonzero,
    "cumulate": np.add.accumulate, "empty": np.empty, "equal": np.equal, "matmul": product,
    "memory": memory, "ndarray": np.ndarray, "windows": windows,
}  # fmt: skip
"""The functions that the text calls beside those of rows."""


def scalar(
    program: Program,
    make_loop: CompileLoop | None = None,
    make_chain: CompileChain | None = None,
    make_nest: CompileNest | None = None,
) -> ScalarCode:
    """Compiles a program for one call.

    With ``make_loop``, ``make_chain`` and ``make_nest`` runs of steps may become machine code.
    """
    program, found = arranged(program)
    nests = [NestRun(nest, make_nest) for nest in found]
    if make_chain is None:
        return _code(Plan(program, make_loop, nests=nests))

    def chained() -> ScalarCode:
        return _code(Plan(program, make_loop, _chain(make_chain), nests))

    if len(program) >= _MANY:
        return chained()
    code = _code(Plan(program, make_loop, nests=nests))
    run = _Quicker(code, chained)
    return attrs.evolve(code, run=run, run_bytes=run.on_bytes, size=run.size)


def _chain(make: CompileChain) -> ChainCode | None:
    """The code that runs chains; None where there is no memory to compile it."""
    _START.left = 0
    try:
        return make()
    except BackendError:
        return None


def _code(plan: Plan) -> ScalarCode:
    """The code of a plan."""
    program = plan.program
    namespace: dict[str, Any] = {**INLINE_NAMES, **_NAMES, **plan.named}
    code = compile(plan.text, "<spelled by tapegrad>", "exec")
    exec(code, namespace)  # noqa: S102  # the source is spelled from rows and numbers alone
    has_loops = any(row.array is not None and row.array.expand for row in program.rows)
    calls_back = any(not row.module.startswith("tapegrad.") for row in program.rows)
    shapes = [form.shape for form in program.forms[: program.inputs]]
    run: Run = Frames(namespace["bind"], plan.memory, calls_back=calls_back or has_loops)
    if has_loops:
        run = partial(_or_departs, run)
    size = plan.steps, plan.memory
    return ScalarCode(cast(RunFloats, run), partial(_run_bytes, run, shapes), size=lambda: size)


@final
class _Quicker:
    """Runs code, and in its place shorter code once it has done as much as that takes to make."""

    def __init__(self, code: ScalarCode, make: Callable[[], ScalarCode]) -> None:
        self._code, self._run = code, code.run
        self._make: Callable[[], ScalarCode] | None = make
        self._left = _PAYS // max(1, _steps(code))

    def __call__(self, inputs: Sequence[float]) -> Sequence[float] | int:
        """Runs the code."""
        self._count()
        return self._run(inputs)

    def on_bytes(self, inputs: bytes) -> Buffer | int:
        """Runs it on numbers that stand side by side."""
        self._count()
        return self._code.run_bytes(inputs)

    def size(self) -> tuple[int, int]:
        """The steps of the code, and the bytes that it keeps."""
        return self._code.size()

    def _count(self) -> None:
        """Counts a call, and changes the code once there were enough."""
        if self._left > 0:
            self._left -= 1
        elif self._make is not None:
            if _START.is_paid():
                self._change()
            else:
                self._left = _PAYS // max(1, _steps(self._code))

    def _change(self) -> None:
        """Takes the other code, if it is that much shorter."""
        make, self._make = self._make, None
        made = self._code if make is None else make()
        if _steps(made) + _FEWER <= _steps(self._code):
            self._code, self._run = made, made.run


@final
class _Start:
    """The steps that pay for starting the backend, once in a process, less those that were run."""

    left: int = 150_000

    def is_paid(self) -> bool:
        """Whether so many were run, as many as make chains just now among them."""
        self.left -= _PAYS
        return self.left < 0


_START: Final = _Start()


def _steps(code: ScalarCode) -> int:
    return code.size()[0]


def source(program: Program) -> str:
    """The Python source, in which ``c0``, ``f1``, ... stand for arrays and functions."""
    program, nests = arranged(program)
    return Plan(program, nests=[NestRun(nest, None) for nest in nests]).text


def _or_departs(run: Run, inputs: Sequence[Any]) -> Sequence[Any] | int:
    """Runs code with loops; gives -1 where a step of one takes a path that is not known."""
    try:
        return run(inputs)
    except UnknownPathError:
        return -1


def _run_bytes(run: Run, shapes: Sequence[Shape], inputs: bytes) -> bytes | int:
    """Runs code on numbers that stand side by side, and gives the outputs in the same way."""
    found = run(cast("list[float]", parted(inputs, shapes)))
    return found if isinstance(found, int) else side_by_side(found)


View: TypeAlias = Callable[[Any], Any]
"""Makes a view of an array."""

Run: TypeAlias = Callable[[Sequence[Any]], "Sequence[Any] | int"]

_LIST: Final = 32
"""The least numbers that are taken from a list at once."""

_MANY: Final = 512
"""The least entries of a program whose runs of steps on small arrays are chained at once."""
_PAYS: Final = 50_000
"""The steps that other code runs in the time that it takes to make the chains of some."""
_FEWER: Final = 3
"""The steps that chains must spare, which pay for arguments and results that are copied."""
_ZERO: Final = np.array(0.0)

LARGE: Final = 1 << 16
"""The least numbers of an array for which runs of steps go block by block."""
_LONGEST: Final = 1 << 12
"""The most records of a chain, roughly, so that an interrupt does not wait long."""
BLOCK: Final = 1 << 13
"""The numbers of an array in a block, so that those of a run fit the processor's cache."""


@final
@attrs.frozen
class Step:
    """A call that goes element by element: its function, its shape, and the arrays it is given.

    Each has its name, its shape, whose memory it has, and the part of that it shows. The last one
    is written.
    """

    function: str
    arrays: tuple[tuple[str, Shape | None, str, str], ...]
    shape: Shape

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays."""
        return tuple(name for name, *_ in self.arrays)

    def slices(self, shape: Shape | None) -> bool:
        """Whether an operand of this shape is cut along the first axis, as the result is."""
        if shape is None or len(shape) != len(self.shape):
            return False
        return shape[0] == self.shape[0]


@final
@attrs.frozen
class _Way:
    """How a row is written: by a writer of its own, a function of numpy's, or as a reduction.

    It writes anywhere, whatever its operands, or where these stand in order, or calls as it is.
    """

    writer: Callable[[Plan, int], None] | None
    function: np.ufunc | None
    name: str
    is_exact: bool
    is_anywhere: bool
    is_in_order: bool
    is_choice: bool


@lru_cache(maxsize=1 << 9)
def _way_of(row: Primitive) -> _Way:
    """How a row is written."""
    function = None if row in REDUCED else ufunc_of(row)
    return _Way(
        writer=_ALWAYS.get(row) or _IN_ORDER.get(row),
        function=function,
        name="" if function is None else _numpys(function),
        is_exact=is_exact(row),
        is_anywhere=row in _ALWAYS or is_exact(row),
        is_in_order=row in _IN_ORDER or row in REDUCED or function is not None,
        is_choice=row is ops.where,
    )


def _numpys(function: Callable[..., Any]) -> str:
    """The name of a function of numpy's in the text: its own with ``np_`` before it."""
    return f"np_{function.__name__}"


@final
class Plan:
    """Writes the code of a program; ``named`` has what the text names.

    ``texts`` says how an entry is read: ``x`` are inputs, ``n`` numbers, ``a`` arrays made at each
    call, and those that ``bound`` makes once are ``b``, of the memories ``m``, their views ``w``,
    and ``s`` for numbers.

    With ``chain``, ``standing`` says how what is made once stands in memory, ``calls_at`` has the
    records that may be there in place of lines, and numbers that are ``unread`` are known to their
    arrays alone.
    """

    text: str
    steps: int
    memory: int
    program: Program
    forms: Sequence[Form]
    make_loop: CompileLoop | None
    chain: ChainCode | None
    calls_at: dict[int, list[Record]]
    standing: dict[str, Standing]
    unread: set[int]
    chains: list[Chain]
    cell_memory: int | None
    by_arrays: set[int]
    alone: set[int]
    bound: list[str]
    lines: list[str]

    def __init__(
        self,
        program: Program,
        make_loop: CompileLoop | None = None,
        chain: ChainCode | None = None,
        nests: Sequence[NestRun] = (),
    ) -> None:
        self.program, self.forms = program, program.forms
        self.make_loop, self.chain, self.cell_memory, self.memory = make_loop, chain, None, 0
        self.calls_at, self.standing, self.unread, self.chains = {}, {}, set(), []
        self.named: dict[str, object] = {}
        self.names: dict[object, str] = {}
        self.texts: dict[int, str] = {}
        self.cells: dict[int, str] = {}
        self.bound, self.lines = [], []
        self.nests: dict[int, NestRun] = {slot: run for run in nests for slot in run.nest.kinds}
        self.steps_at: dict[int, Step] = {}
        self.loops: list[Sequence[str]] = []
        self.early: set[int] = set()
        self.owners: dict[str, tuple[Shape | None, str, str]] = {}
        self.parts: dict[tuple[str, str], str] = {}
        self.sizes: list[int] = []
        self.free: dict[int, list[int]] = {}
        self.memory_of: dict[int, int] = {}
        self.outputs: set[int] = set(program.outputs)
        self.own: set[int] = {slot for slot in self.outputs if not self.is_small(slot)}
        self.guards: dict[int, int] = {slot: place for place, slot in enumerate(program.expected)}
        self.readers: Counter[int] = Counter(
            operand for operands in program.operands for operand in {*operands}
        )
        self.roots: list[int] = self._roots()
        self.last: list[int] = self._last_reads()
        self.by_arrays, self.alone = (set(), set()) if chain is None else self._in_arrays()
        self.ending: dict[int, list[int]] = {}
        for slot, root in enumerate(self.roots):
            if self.forms[slot] is not NUMBER:
                self.ending.setdefault(self.last[root], []).append(slot)
        self._make_own()
        self.text = self._text()
        self.steps = len(self.lines)

    def is_small(self, slot: int) -> bool:
        """Whether an entry is an array for which steps are chained."""
        form = self.forms[slot]
        return self.chain is not None and form is not NUMBER and prod(form.shape) <= MOST_NUMBERS

    # Which memory is read how long.

    def _roots(self) -> list[int]:
        """For each entry the one that has its memory."""
        roots = list(range(len(self.program)))
        for slot, form in enumerate(self.forms):
            if form.is_view:
                roots[slot] = roots[self.program.operands[slot][0]]
        return roots

    def _last_reads(self) -> list[int]:
        """For each entry the last one that reads its memory.

        What a function of Python's gives may have its operands' memory, which lives as long.
        """
        program, count = self.program, len(self.program)
        last = [-1] * count
        for output in program.outputs:
            last[self.roots[output]] = count
        for slot in range(count - 1, -1, -1):
            until = slot
            if self.forms[slot] is not NUMBER and not self.is_written(slot):
                until = max(slot, last[self.roots[slot]])
            for operand in program.operands[slot]:
                root = self.roots[operand]
                last[root] = max(last[root], until)
        return last

    def _in_arrays(self) -> tuple[set[int], set[int]]:
        """The entries that arrays read, and the numbers among them that stand with arrays alone.

        What these are made of is read by arrays, too; they are rounded correctly.
        """
        program, alone = self.program, set[int]()
        by_arrays, by_numbers = set[int](), {*program.outputs}
        for slot in range(len(program) - 1, program.inputs - 1, -1):
            row, operands = program.rows[slot], program.operands[slot]
            is_inside = self.forms[slot] is not NUMBER and not _is_list(row, operands)
            is_number = is_exact(row) and not row.is_truth
            if slot in by_arrays and slot not in by_numbers and is_number:
                alone.add(slot)
                is_inside = True
            (by_arrays if is_inside else by_numbers).update(operands)
        return by_arrays, alone

    def _make_own(self) -> None:
        """Finds the entries whose memory an output goes on to write to: it is the caller's, too."""
        program = self.program
        for slot in range(len(program) - 1, -1, -1):
            if slot in self.own and program.rows[slot] is rows.add_at:
                whole, part = program.operands[slot]
                if (
                    self.last[whole] == slot
                    and self.roots[part] != whole
                    and self.forms[whole] == self.forms[slot]
                    and program.rows[whole] in {rows.add_at, rows.scatter}
                ):
                    self.own.add(whole)

    def _take(self, slot: int) -> str:
        """A buffer for an entry: an array of the caller's own for an output, else a planned one."""
        form = self.forms[slot]
        if slot in self.own:
            self.owners[f"a{slot}"] = form.shape, f"a{slot}", "whole"
            self.make(f"a{slot} = empty({form.shape!r}, {form.kind!r})")
            return f"a{slot}"
        size = prod(form.shape) * np.dtype(form.kind).itemsize
        free = self.free.get(size)
        if free:
            index = free.pop()
        else:
            index = len(self.sizes)
            self.sizes.append(size)
        self.memory_of[slot] = index
        self.owners[f"b{slot}"] = form.shape, f"m{index}", f"whole{form.shape}{form.kind}"
        self.bound.append(f"b{slot} = ndarray({form.shape!r}, {form.kind!r}, m{index})")
        self.standing[f"b{slot}"] = Standing.new(f"m{index}", 0, form.shape, form.kind)
        return f"b{slot}"

    def _take_over(self, slot: int, operands: Sequence[int]) -> str:
        """The buffer of an operand that nothing reads later, or another one."""
        form = self.forms[slot]
        if slot in self.own and operands and operands[0] in self.own - self.outputs:
            return self.texts[operands[0]]
        for operand in operands:
            others = [x for x in self.program.operands[slot] if x != operand]
            if (
                slot not in self.own
                and operand in self.memory_of
                and self.last[operand] == slot
                and self.forms[operand].shape == form.shape
                and self.forms[operand].kind == form.kind
                and all(self.roots[other] != operand for other in others)
            ):
                self.memory_of[slot] = self.memory_of.pop(operand)
                return self.texts[operand]
        return self._take(slot)

    def _release(self, slot: int) -> None:
        """Frees what this entry was the last to read."""
        for dead in self.ending.get(slot, ()):
            index = self.memory_of.pop(dead, None)
            if index is not None:
                self.free.setdefault(self.sizes[index], []).append(index)
            elif self.texts.get(dead, "").startswith("a") and dead not in self.own:
                self.lines.append(f"del {self.texts[dead]}")

    # Names.

    def name(self, value: object, kind: str) -> str:
        """The name under which the text knows a function, a static operand or an array."""
        key = kind, id(value) if isinstance(value, np.ndarray) else static_key(value)
        if key not in self.names:
            self.names[key] = f"{kind}{len(self.names)}"
            self.named[self.names[key]] = value
        return self.names[key]

    def ufunc(self, function: Callable[..., Any], ending: str = "") -> str:
        """The name of a function of numpy's."""
        name = _numpys(function) + ending
        self.named[name] = function
        return name

    def number(self, slot: int) -> str:
        """How an entry is read as it is."""
        constant: Any = self.program.constants.get(slot)
        if slot in self.unread:
            self.unread.remove(slot)
            self.lines.append(f"n{slot} = {self.cells[slot]}.item()")
        if slot not in self.program.constants:
            return self.texts[slot]
        if type(constant) is not float:
            name = self.name(constant, "c")
            self.owners[name] = self.forms[slot].shape, name, "whole"
            self.keep(name, constant)
            return name
        if constant != constant or abs(constant) == inf:
            return "nan" if constant != constant else "inf" if constant > 0.0 else "(-inf)"
        return f"({constant!r})" if str(constant)[0] == "-" else repr(constant)

    def array(self, slot: int) -> str:
        """How an entry is read as an array, which may have no axes."""
        if self.forms[slot] is not NUMBER:
            return self.number(slot)
        if slot in self.cells:
            return self.cells[slot]
        if slot in self.program.constants:
            value = self.program.constants[slot]
            key = "constant", static_key(value)
            if key not in self.names:
                self.names[key] = f"c{len(self.names)}"
                self.named[self.names[key]] = np.array(value)
            name = self.cells[slot] = self.names[key]
            self.keep(name, cast(Any, self.named[name]))
            return name
        self.lines.append(f"{self.cell(slot)}[()] = {self.texts[slot]}")
        return self.cells[slot]

    def keep(self, name: str, constant: Any) -> None:
        """Notes how a constant stands."""
        is_known = name in self.standing
        if not is_known and constant.dtype.isnative and constant.flags.aligned:
            self.standing[name] = Standing.of_constant(name, constant)

    def cell(self, slot: int) -> str:
        """The array without axes in which a number stands for functions on arrays."""
        name = self.cells[slot] = f"s{slot}"
        if self.chain is None:
            self.bound.append(f"{name} = empty(())")
            return name
        if self.cell_memory is None:
            self.cell_memory = len(self.sizes)
            self.sizes.append(0)
        index, offset = self.cell_memory, self.sizes[self.cell_memory]
        self.sizes[index] += 8
        self.bound.append(f"{name} = ndarray((), 'd', m{index}, {offset})")
        self.standing[name] = Standing.new(f"m{index}", offset, (), "d")
        return name

    # Code.

    def _text(self) -> str:
        program = self.program
        for slot in range(len(program)):
            if slot < program.inputs:
                self.input(slot)
            elif slot in self.guards:
                self.guard(slot)
            elif slot in self.nests:
                if slot - 1 not in self.nests or self.nests[slot - 1] is not self.nests[slot]:
                    self.nest(self.nests[slot])
            elif slot not in program.constants:
                self.entry(slot)
                self._release(slot)
        returned = [self.returned(place) for place in range(len(program.outputs))]
        end = f"return [{', '.join(returned)}]"
        self.link()
        self.lines = self.in_blocks(end)
        self.drop_unread(end)
        body = [*self.opened([*self.lines, end]), *self.lines, end]
        read = set(findall(r"\bm\d+", "\n".join(self.bound)))
        made = [
            f"m{place} = memory({size})"
            for place, size in enumerate(self.sizes)
            if f"m{place}" in read
        ]
        self.memory += sum(chain.size for chain in self.chains)
        self.memory += sum(size for place, size in enumerate(self.sizes) if f"m{place}" in read)
        lines = [*made, *self.bound, "def run(x):", *(f"  {line}" for line in body), "return run"]
        return "def bind():\n" + "\n".join(f"  {line}" for line in lines) + "\n"

    def opened(self, lines: Sequence[str]) -> list[str]:
        """The lines that name the inputs which others read."""
        inputs = [f"x{slot}" for slot in range(self.program.inputs)]
        if len(inputs) < _LIST:
            return [f"{', '.join(inputs)}, = x"] if inputs else []
        read = {*findall(r"\bx\d+\b", "\n".join(lines))}
        return [f"{name} = x[{slot}]" for slot, name in enumerate(inputs) if name in read]

    def input(self, slot: int) -> None:
        """An input, which is copied where many steps on small arrays read parts of it."""
        form = self.forms[slot]
        self.texts[slot] = f"x{slot}"
        self.owners[f"x{slot}"] = form.shape, f"x{slot}", "whole"
        if self.chain is None or form is NUMBER or not form.in_order or form.kind != "d":
            return
        if 0 < prod(form.shape) <= MOST_NUMBERS * self.readers[slot] // 4:
            self.texts[slot] = self._take(slot)
            self.lines.append(f"copyto({self.texts[slot]}, x{slot})")
            self._release(slot)

    def calls(self, line: str, *calls: tuple[np.ufunc | str, Sequence[str | Standing]]) -> None:
        """Adds a line that does the same as some calls, the last of whose arrays are written."""
        if self.chain is not None:
            made: list[Call] = []
            for function, names in calls:
                standing = tuple([self.stands(name) for name in names])
                if all(standing):
                    made.append(Call(function, standing))
            self.chained(made if len(made) == len(calls) else [])
        self.lines.append(line)

    def stands(self, name: str | Standing) -> Any:
        """How an array stands that is made once; None for another one."""
        return name if isinstance(name, Standing) else self.standing.get(name)

    def chained(self, calls: Sequence[Call]) -> bool:
        """Whether the line that comes next, which does what these calls do, can have records."""
        is_large = len(self.lines) in self.steps_at
        found = None if not calls or is_large or self.chain is None else records(calls, self.chain)
        if found is not None:
            self.calls_at[len(self.lines)] = found
        return found is not None

    def link(self) -> None:
        """Puts chains in place of lines with records."""
        lines: list[str] = []
        steps: dict[int, Step] = {}
        early: set[int] = set()
        run: list[Record] = []
        first = ""
        for index, line in enumerate([*self.lines, ""]):
            made = self.calls_at.get(index)
            if run and (made is None or len(run) > _LONGEST):
                lines.append(first if len(run) == 1 and first else self.linked(run))
                run = []
            if made is not None:
                first = "" if run else line
                run += made
                continue
            if index in self.steps_at:
                steps[len(lines)] = self.steps_at[index]
            if index in self.early:
                early.add(len(lines))
            lines.append(line)
        self.lines, self.steps_at, self.early = lines[:-1], steps, early

    def linked(self, run: Sequence[Record]) -> str:
        """The call of a chain."""
        chain = Chain(run, cast(ChainCode, self.chain))
        name = f"h{len(self.chains)}"
        self.chains.append(chain)
        self.named[f"{name}_of"] = chain.bind
        self.bound.append(f"{name} = {name}_of({', '.join(chain.memories)})")
        return f"{name}()"

    def drop_unread(self, end: str) -> None:
        """Drops what is made once and is read by chains alone, which know where it stands."""
        if self.chain is None:
            return
        read = set(findall(r"\w+", "\n".join([*self.lines, end])))
        kept: list[str] = []
        for line in reversed(self.bound):
            name, is_made, made = line.partition(" = ")
            if not is_made or not name.isidentifier() or name in read:
                kept.append(line)
                read.update(findall(r"\w+", made if is_made else line))
        self.bound = kept[::-1]

    def in_blocks(self, end: str) -> list[str]:
        """The lines, where runs of steps on large arrays go block by block, before the ``end``."""
        parts = self.parted()
        words = Counter(findall(r"\w+", "\n".join([*self.lines, *self.bound, end])))
        body: list[str] = []
        for part in parts:
            if isinstance(part, str):
                body.append(part)
            else:
                body += self.run_lines(part, words)
        return body

    def run_lines(self, run: Sequence[Step], words: Mapping[str, int]) -> list[str]:
        """The lines of a run: a loop over blocks, if it has more than one step.

        Where that can become machine code, it is a function.
        """
        if len(run) < 2:
            return [f"{step.function}({', '.join(step.names)})" for step in run]
        scratch = self.scratch(run, words)
        lines = _in_blocks(run, scratch)
        given = self.loop(run, scratch)
        if given is None:
            return lines
        number = len(self.loops)
        self.loops.append(given)
        arguments = ", ".join(given)
        self.bound += [f"def d{number}({arguments}):", *(f"  {line}" for line in lines)]
        self.bound.append(f"l{number} = loop{number}(d{number})")
        return [f"l{number}({arguments})"]

    def loop(self, run: Sequence[Step], scratch: Collection[str]) -> Sequence[str] | None:
        """The arrays and numbers that a loop in place of a run is given; None if there is none."""
        shapes = {name: shape for step in run for name, shape, *_ in step.arrays}
        arrays = [name for name, shape in shapes.items() if shape == run[0].shape]
        numbers = [name for name, shape in shapes.items() if shape is None]
        steps = [
            LoopStep(step.function.removeprefix("np_"), step.names[:-1], step.names[-1])
            for step in run
        ]
        fits = len(arrays) + len(numbers) == len(shapes)
        make = self.make_loop
        if make is None or not fits or not can_loop({step.function for step in steps}):
            return None
        changed = {step.written for step in steps}
        read = [name for name in arrays if name not in changed]
        written = [name for name in arrays if name in changed and name not in scratch]
        made = Loop(make, steps, read, written, numbers, prod(run[0].shape))
        self.named[f"loop{len(self.loops)}"] = made.around
        return *read, *written, *numbers

    def parted(self) -> list[str | list[Step]]:
        """The lines, and the runs of steps that may go block by block.

        What makes arrays and views in between comes before a run, and what drops them after it.
        """
        parts: list[str | list[Step]] = []
        run: list[Step] = []
        late: list[str] = []
        for index, line in enumerate(self.lines):
            step = self.steps_at.get(index)
            if step is not None and (not run or _go_together(run, step)):
                run.append(step)
            elif run and index in self.early:
                parts.append(line)
            elif run and line.startswith("del "):
                late.append(line)
            else:
                parts += [run, *late] if run else []
                run, late = [] if step is None else [step], []
                if step is None:
                    parts.append(line)
        if run:
            parts += [run, *late]
        return parts

    def scratch(self, run: Sequence[Step], words: Mapping[str, int]) -> dict[str, str]:
        """Memory of a block's size for each buffer that a run alone reads, by its name.

        Chains read memories without their names.
        """
        chained = {memory for chain in self.chains for memory in chain.memories}
        inside = Counter(name for step in run for name, *_ in step.arrays)
        found: dict[str, str] = {}
        for name, count in inside.items():
            if name[0] != "b":
                continue
            made = [line for line in self.bound if line.startswith(f"{name} = ndarray(")]
            if made and words[name] == count + 1 and self.owner(name)[1] not in chained:
                self.bound.remove(made[0])
                kind, (length, *rest) = self.forms[int(name[1:])].kind, run[0].shape
                shape = (min(length, _rows_of_block(run[0].shape)), *rest)
                found[name] = f"t{name[1:]}"
                self.bound.append(f"t{name[1:]} = empty({shape!r}, {kind!r})")
                self.memory += prod(shape) * np.dtype(kind).itemsize
        return found

    def returned(self, place: int) -> str:
        """An output, which nobody else holds."""
        outputs = self.program.outputs
        slot = outputs[place]
        text = self.number(slot)
        if self.forms[slot] is NUMBER:
            return text
        is_own = text[0] == "a" and self.is_written(slot) and not self.forms[slot].is_view
        is_first = slot not in outputs[:place]
        return text if is_own and is_first else f"{text}.copy()"

    def guard(self, slot: int) -> None:
        """A guard that came out as recorded, or whose index is returned."""
        (operand,) = self.program.operands[slot]
        wanted = "not " if self.program.expected[slot] else ""
        self.lines.append(f"if {wanted}{self.number(operand)}: return {self.guards[slot]}")

    def entry(self, slot: int) -> None:
        """The lines that compute an entry."""
        if self.forms[slot] is NUMBER:
            self.texts[slot] = f"n{slot}"
            if not self.in_cell(slot):
                self.lines.append(f"n{slot} = {self.expression(slot)}")
                if slot in self.by_arrays and not self.program.rows[slot].is_truth:
                    self.array(slot)
        elif self.forms[slot].is_view:
            self.view(slot)
        elif self.is_written(slot):
            self.write(slot)
        elif not (self.taken(slot) or self.reshaped(slot) or self.divided(slot)):
            self.texts[slot] = f"a{slot}"
            self.owners[f"a{slot}"] = self.forms[slot].shape, f"a{slot}", "whole"
            self.lines.append(f"a{slot} = {self.call(slot)}")

    def nest(self, run: NestRun) -> None:
        """The call of a nest, which is a function, and the views of it that others read."""
        nest, number = run.nest, sum(name.startswith("nest") for name in self.named)
        outside = [slot for slot in run.slots if slot not in nest.kinds]
        texts = {slot: self.array(slot) for slot in outside}
        for slot in run.slots:
            if slot in nest.kinds:
                texts[slot] = self.texts[slot] = self._take(slot)
        blocks = NestBlocks(nest, texts, self.ufunc)
        lines = blocks.lines()
        self.named[f"nest{number}"] = run.around
        given = [*(texts[slot] for slot in run.slots), f"z{number}"]
        named = [text if text not in given[:at] else f"_{at}" for at, text in enumerate(given)]
        self.bound += [f"z{number} = empty({run.scratch})", *blocks.made]
        self.bound += [f"def e{number}({', '.join(named)}):", *(f"  {line}" for line in lines)]
        self.bound.append(f"g{number} = nest{number}(e{number})")
        self.lines.append(f"g{number}({', '.join(given)})")
        self.memory += blocks.bytes + 8 * run.scratch
        for slot, kind in nest.kinds.items():
            if kind == "view" and slot in nest.kept:
                self.entry(slot)
        for slot in nest.kinds:
            self._release(slot)

    def taken(self, slot: int) -> bool:
        """Whether parts of an array at some places are copied from where it stands."""
        row, index = self.program.rows[slot], cast(Any, self.program.statics.get(slot))
        if self.chain is None or row is not rows.getitem or slot in self.own:
            return False
        whole = self.stands(self.array(self.program.operands[slot][0]))
        part = Standing.new("part", 0, self.forms[slot].shape, self.forms[slot].kind)
        if whole is None or at_index("take", whole, part, index) is None:
            return False
        line = self.call(slot)
        out = self.texts[slot] = self._take(slot)
        self.rows_at("take", whole, self.stands(out), index, f"copyto({out}, {line})")
        return True

    def reshaped(self, slot: int) -> bool:
        """Whether an array that cannot be seen in another shape is copied from where it stands."""
        if self.chain is None or self.program.rows[slot] is not rows.reshape or slot in self.own:
            return False
        whole, form = self.stands(self.array(self.program.operands[slot][0])), self.forms[slot]
        if whole is None or whole.way.size > MOST_NUMBERS or form.kind != whole.way.kind:
            return False
        line = self.call(slot)
        out = self.texts[slot] = self._take(slot)
        stands = self.stands(out)
        same = Standing.new(stands.memory, stands.offset, whole.shape, form.kind)
        is_chained = self.chained([Call("copy", (whole, same))])
        self.lines.append("" if is_chained else f"copyto({out}, {line})")
        return True

    def divided(self, slot: int) -> bool:
        """Whether a quotient by a square is two quotients, where the first one tells that it is.

        Where one of its numbers tells that it is not, the row computes all of them.
        """
        row, form = self.program.rows[slot], self.forms[slot]
        if self.chain is None or row is not ops.div2 or slot in self.own:
            return False
        x, y = (self.stands(self.array(operand)) for operand in self.program.operands[slot])
        if not (x and y) or prod(form.shape) > MOST_NUMBERS:
            return False
        line = self.call(slot)
        out = self.texts[slot] = self._take(slot)
        flag, quotient = self.stands(self.cell(slot)), self._passing(form)
        for_each = flag.part(0, form.shape, (0,) * len(form.shape))
        is_chained = self.chained(
            [
                Call("copy", (Standing.of_constant("zero", _ZERO), flag)),
                Call(np.divide, (x, y, quotient)),
                Call(np.divide, (quotient, y, self.stands(out))),
                Call("rare", (quotient, for_each)),
            ]
        )
        self.lines += ["", f"if {self.cells[slot]}.item(): "] if is_chained else [""]
        self.lines[-1] += f"copyto({out}, {line})"
        return True

    def _passing(self, form: Form) -> Standing:
        """Memory that the next entry may write to again."""
        size = prod(form.shape) * np.dtype(form.kind).itemsize
        free = self.free.setdefault(size, [])
        if not free:
            free.append(len(self.sizes))
            self.sizes.append(size)
        return Standing.new(f"m{free[-1]}", 0, form.shape, form.kind)

    def rows_at(self, function: str, whole: Any, part: Any, index: Any, line: str) -> None:
        """Adds a line that takes a part of an array at an index of places, or adds to it."""
        call = at_index(function, whole, part, index) if whole and part else None
        is_chained = call is not None and self.chained([call])
        self.lines.append("" if is_chained else line)

    def in_cell(self, slot: int) -> bool:
        """Whether a number is computed where it stands as an array, as what it is made of is."""
        row, operands = self.program.rows[slot], self.program.operands[slot]
        if self.chain is None or not operands:
            return False
        static = self.program.statics.get(slot)
        is_part = row is rows.getitem and rows.is_basic(cast(Any, static))
        if is_part or row is rows.matmul or row in REDUCED:
            return self.of_arrays(slot)
        function = ufunc_of(row)
        if function is None or not is_exact(row) or row.is_truth:
            return False
        if slot not in self.alone and self.unread.isdisjoint(operands):
            return False
        given = [self.stands(self.array(operand)) for operand in operands]
        out = self.stands(self.cell(slot))
        return self.chained_cell(slot, Call(function, (*given, out)) if all(given) else None)

    def of_arrays(self, slot: int) -> bool:
        """Whether a number of an array, or what arrays come to, is computed where it stands."""
        given = [self.stands(self.array(operand)) for operand in self.program.operands[slot]]
        if not all(given):
            return False
        row, static = self.program.rows[slot], cast(Any, self.program.statics.get(slot))
        out = self.stands(self.cell(slot))
        call: Call | None = None
        if row is rows.matmul:
            call = Call("product", (*given, out))
        elif row in REDUCED:
            call = Call(REDUCED[row], (*given, out), tuple(range(len(given[0].shape))))
        elif part := given[0].seen_by(lambda whole: whole[_of_an_array(static)]):
            call = Call("copy", (part, out))
        return self.chained_cell(slot, call)

    def chained_cell(self, slot: int, call: Call | None) -> bool:
        """Whether a call that writes a number's cell has records; else there is no cell."""
        if call and self.chained([call]):
            self.unread.add(slot)
            self.lines.append("")
            return True
        del self.standing[self.cells.pop(slot)]
        self.bound.pop()
        return False

    def view(self, slot: int) -> None:
        """A view, made once where it is one of a buffer."""
        program = self.program
        (operand,), static = program.operands[slot], self.name(program.statics[slot], "k")
        base = self.array(operand)
        row = program.rows[slot]
        made = VIEWS.get(row, f"{self.name(row.value, 'f')}({{}}, {{}})").format(base, static)
        if base[0] in "bws":
            self.texts[slot] = f"w{slot}"
            self.bound.append(f"w{slot} = {made}")
            self.show(f"w{slot}", base, self.view_of(row, program.statics[slot]))
        else:
            self.texts[slot] = f"a{slot}"
            self.make(f"a{slot} = {made}")
        text = self.texts[slot]
        self.owners[text] = self.forms[slot].shape, self.owner(base)[1], text

    def view_of(self, row: Primitive, static: Any) -> View:
        """The function that makes the view of an entry."""
        function = {
            rows.reshape: np.ndarray.reshape,
            rows.transpose: np.ndarray.transpose,
            rows.getitem: np.ndarray.__getitem__,
            rows.broadcast_to: np.broadcast_to,
        }.get(row, row.value)
        return lambda whole: cast(Any, function)(whole, static)

    def show(self, name: str, base: str, view: View) -> None:
        """Notes how a view of an array stands, where that is known of the array."""
        stands = self.standing[base].seen_by(view) if base in self.standing else None
        if stands is not None:
            self.standing[name] = stands

    def make(self, line: str) -> None:
        """Adds a line that makes an array or a view, which may as well come earlier."""
        self.early.add(len(self.lines))
        self.lines.append(line)

    def step(self, function: str, names: Sequence[str], shape: Shape) -> None:
        """Adds the call of a function that goes element by element; the last name is written."""
        if prod(shape) >= LARGE:
            arrays = tuple((name, *self.owner(name)) for name in names)
            self.steps_at[len(self.lines)] = Step(function, arrays, shape)
        named = cast(np.ufunc, self.named.get(function) or _NAMES[function])
        self.calls(f"{function}({', '.join(names)})", (named, names))

    def owner(self, name: str) -> tuple[Shape | None, str, str]:
        """The shape of an array by its name, whose memory it has, and what of that it shows."""
        return self.owners.get(name, (None, name, name))

    def call(self, slot: int) -> str:
        """The call of the function that the row has on such operands."""
        program, row = self.program, self.program.rows[slot]
        operands = program.operands[slot]
        on_numbers = all(self.forms[x] is NUMBER for x in (slot, *operands))
        function = self.name(row.value if on_numbers else function_of(row), "f")
        given = [*map(self.number, operands)]
        given += [self.name(static, "k") for static in program.static(slot)]
        return f"{function}({', '.join(given)})"

    def expression(self, slot: int) -> str:
        """The value of an entry that is a number."""
        program = self.program
        row, operands = program.rows[slot], program.operands[slot]
        given = [*map(self.number, operands)]
        if row.array is None:
            return inlined(row, given, self.call(slot))
        if row is rows.getitem:
            return f"float({given[0]}[{self.name(program.statics[slot], 'k')}])"
        if row is rows.matmul:
            return f"float(matmul({given[0]}, {given[1]}))"
        if row in REDUCED:
            return f"float({self.reduction(slot, 'None')})"
        return self.call(slot)

    def reduction(self, slot: int, out: str) -> str:
        """The call of a function along axes."""
        program = self.program
        axes, keep = cast("tuple[tuple[int, ...], bool]", program.statics[slot])
        reduced = REDUCED[program.rows[slot]]
        function = self.ufunc(reduced.reduce, f"_{reduced.__name__}")
        axis = axes[0] if len(axes) == 1 else axes
        return f"{function}({self.array(program.operands[slot][0])}, {axis}, None, {out}, {keep})"

    def is_written(self, slot: int) -> bool:
        """Whether an entry is computed by functions that write into a buffer."""
        program = self.program
        operands, way = program.operands[slot], _way_of(program.rows[slot])
        if way.is_choice:
            condition = self.forms[operands[0]]
            return condition is NUMBER or condition.kind == "?"
        if way.is_anywhere or not way.is_in_order:
            return way.is_anywhere
        return all(self.forms[x].in_order for x in operands)

    def write(self, slot: int) -> None:
        """The lines that compute an entry in a buffer."""
        way = _way_of(self.program.rows[slot])
        if way.writer is not None:
            way.writer(self, slot)
            return
        operands = self.program.operands[slot]
        out = self._take_over(slot, operands) if way.is_exact else self._take(slot)
        self.texts[slot] = out
        if way.function is None:
            self.reduce(slot, out)
            return
        names = [*map(self.array, operands), out]
        self.named[way.name] = way.function
        if way.is_exact:
            self.step(way.name, names, self.forms[slot].shape)
        else:
            self.calls(f"{way.name}({', '.join(names)})", (way.function, names))

    def reduce(self, slot: int, out: str) -> None:
        """A function along axes."""
        (operand,), row = self.program.operands[slot], self.program.rows[slot]
        axes, _ = cast("tuple[tuple[int, ...], bool]", self.program.statics[slot])
        line = self.reduction(slot, out)
        given, written = self.stands(self.array(operand)), self.stands(out)
        if given is not None and written is not None:
            self.chained([Call(REDUCED[row], (given, written), axes)])
        self.lines.append(line)

    # Rows that take more than a call.

    def detached(self, slot: int) -> None:
        """A copy."""
        (operand,) = self.program.operands[slot]
        out = self.texts[slot] = self._take(slot)
        given = self.array(operand)
        self.calls(f"copyto({out}, {given})", ("copy", [given, out]))

    def where(self, slot: int) -> None:
        """A choice: what is taken where the condition does not hold, and the other over it."""
        condition, x, y = self.program.operands[slot]
        given = [self.array(operand) for operand in (condition, x, y)]
        out = self.texts[slot] = self._take_over(slot, (y,))
        standing = [self.stands(name) for name in (*given, out)]
        is_one = self.forms[condition] is NUMBER
        if not is_one and all(standing) and self.chained([Call("choose", tuple(standing))]):
            self.lines.append("")
            return
        if out != given[2]:
            self.lines.append(f"copyto({out}, {given[2]})")
        if self.forms[condition] is NUMBER:
            self.lines.append(f"if {self.number(condition)}: copyto({out}, {given[1]})")
        else:
            self.lines.append(f"copyto({out}, {given[1]}, where={given[0]})")

    def extreme(self, slot: int) -> None:
        """The larger or the smaller; of two zeros the first."""
        row, operands = self.program.rows[slot], self.program.operands[slot]
        x, y = map(self.array, operands)
        function = self.ufunc(np.maximum if row is ops.maximum else np.minimum)
        out = self.texts[slot] = self._take(slot)
        size = prod(self.forms[slot].shape)
        tie = f"copyto({out}, {x}, where=equal({x}, {y}))"
        tied = f"if count_nonzero({out}) != {size}: {tie}"
        named = cast(np.ufunc, self.named[function])
        self.calls(f"{function}({x}, {y}, out={out})", (named, [x, y, out]))
        self.calls(tied, ("tie", [x, y, out]))

    def stack(self, slot: int) -> None:
        """Numbers side by side; a list that was given as it is, in less time."""
        operands = self.program.operands[slot]
        first, count = operands[0], len(operands)
        out = self.texts[slot] = self._take(slot)
        if (
            count >= _LIST
            and operands == (*range(first, first + count),)
            and operands[-1] < self.program.inputs
        ):
            self.named[f"pack{count}"] = Struct(f"{count}d").pack_into
            self.lines.append(f"pack{count}({out}, 0, *x[{first}:{first + count}])")
        elif _is_list(rows.stack, operands) or not self.stacked(operands, out):
            numbers = ", ".join(map(self.number, operands))
            self.lines.append(f"{out}[:] = ({numbers},)")

    def stacked(self, operands: Sequence[int], out: str) -> bool:
        """Whether numbers are copied from where they stand as arrays."""
        whole = self.stands(out)
        if whole is None:
            return False
        given = [self.stands(self.array(operand)) for operand in operands]
        places = [whole.part(place * 8, (), ()) for place in range(len(operands))]
        calls = [Call("copy", pair) for pair in zip(given, places, strict=True)]
        is_copied = all(given) and self.chained(calls)
        if is_copied:
            self.lines.append("")
        return is_copied

    def concatenate(self, slot: int) -> None:
        """Arrays one after the other."""
        program = self.program
        given = [*map(self.array, program.operands[slot])]
        out = self.texts[slot] = self._take(slot)
        axis = cast(int, program.statics[slot])
        line = f"concatenate(({', '.join(given)},), {axis}, {out})"
        self.calls(line, *(("copy", pair) for pair in self.side_by_side(given, axis, out)))

    def side_by_side(self, given: Sequence[str], axis: int, out: str) -> list[list[Any]]:
        """Arrays, and the parts of another in which they stand one after the other."""
        parts, whole = [self.stands(name) for name in given], self.stands(out)
        if whole is None or None in parts:
            return [[None, None]]
        found: list[list[Any]] = []
        moved = 0
        for part in parts:
            place = whole.part(moved, part.shape, whole.strides)
            moved += part.shape[axis] * whole.strides[axis]
            found.append([part, place])
        return found

    def scatter(self, slot: int) -> None:
        """Numbers at an index of zeros."""
        program = self.program
        index, _, is_basic = cast("tuple[Any, Any, bool]", program.statics[slot])
        (operand,) = program.operands[slot]
        given = self.array(operand)
        out = self.texts[slot] = self._take(slot)
        if is_basic:
            # Nothing else has had the memory of an array that is new in this call.
            add = self.make if out[0] == "a" else self.lines.append
            for place in self.around(slot, out, index):
                self.fill(place, add)
            self.put(slot, self.part(slot, out, index), operand, given)
        else:
            self.fill(out, self.lines.append)
            line = f"add_at({out}, {self.name(index, 'k')}, {given})"
            self.rows_at("add_rows", self.stands(out), self.stands(given), index, line)

    def fill(self, place: str, add: Callable[[str], None]) -> None:
        """Fills an array with zeros."""
        if self.chain is not None and place in self.standing:
            zero = Standing.of_constant("zero", _ZERO)
            self.chained([Call("copy", (zero, self.standing[place]))])
        add(f"{place}.fill(0.0)")

    def add_at(self, slot: int) -> None:
        """An array with numbers added at an index."""
        program = self.program
        index, is_basic = cast("tuple[Any, bool]", program.statics[slot])
        whole, part = program.operands[slot]
        given = self.array(whole), self.array(part)
        out = self.texts[slot] = self._take_over(slot, (whole,))
        if out != given[0]:
            self.calls(f"copyto({out}, {given[0]})", ("copy", [given[0], out]))
        if is_basic:
            place = self.part(slot, out, index)
            if self.forms[part] is NUMBER:
                line = f"add({place}, {given[1]}, {place})"
                self.calls(line, (np.add, [place, given[1], place]))
            else:
                shape = np.broadcast_to(0.0, self.forms[slot].shape)[index].shape
                self.owners[place] = shape, self.owner(out)[1], place
                self.step("add", [place, given[1], place], shape)
        else:
            line = f"add_at({out}, {self.name(index, 'k')}, {given[1]})"
            self.rows_at("add_rows", self.stands(out), self.stands(given[1]), index, line)

    def put(self, slot: int, place: str, operand: int, given: str) -> None:
        """Writes an operand to a place of the same shape."""
        form = self.forms[operand]
        if form is NUMBER or form.kind != "d":
            self.calls(f"copyto({place}, {given})", ("copy", [given, place]))
            return
        self.owners[place] = form.shape, self.owner(self.texts[slot])[1], place
        self.step(self.ufunc(np.positive), [given, place], form.shape)

    def part(self, slot: int, out: str, index: Any) -> str:
        """A part of an entry that is written to."""
        whole = _of_an_array(index)
        name = self.parts.setdefault((out, repr(whole)), f"p{slot}")
        if name == f"p{slot}":
            made = f"p{slot} = {out}[{self.name(whole, 'k')}]"
            (self.bound.append if out[0] == "b" else self.make)(made)
            self.show(name, out, lambda array: array[whole])
        return name

    def around(self, slot: int, out: str, index: Any) -> list[str]:
        """The parts before and after a slice of the first axis, or all for another index."""
        if len(index) != 1 or type(index[0]) is not slice or index[0].step not in {None, 1}:
            return [out]
        size = self.forms[slot].shape[0]
        start, stop, _ = index[0].indices(size)
        parts = {f"q{slot}": f"{out}[:{start}]"} if start else {}
        if (end := max(start, stop)) < size:
            parts[f"r{slot}"] = f"{out}[{end}:]"
        places = {f"q{slot}": slice(start), f"r{slot}": slice(end, None)}
        for name, part in parts.items():
            (self.bound.append if out[0] == "b" else self.make)(f"{name} = {part}")
            self.show(name, out, itemgetter(places[name]))
        return list(parts)

    def matmul(self, slot: int) -> None:
        """The product of matrices."""
        x, y = map(self.array, self.program.operands[slot])
        out = self.texts[slot] = self._take(slot)
        self.calls(f"matmul({x}, {y}, {out})", ("product", (x, y, out)))

    def cumsum(self, slot: int) -> None:
        """The running sum along an axis."""
        (given,) = map(self.array, self.program.operands[slot])
        out = self.texts[slot] = self._take(slot)
        self.lines.append(f"cumulate({given}, {self.program.statics[slot]}, None, {out})")


def _is_list(row: Primitive, operands: Sequence[int]) -> bool:
    """Whether an entry is of so many numbers that Python puts them side by side."""
    return row is rows.stack and len(operands) >= _LIST


def _go_together(run: Sequence[Step], step: Step) -> bool:
    """Whether a step may be done for a block before those of a run are for the next one.

    Memory that is written may be seen in one way alone.
    """
    steps = [*run, step]
    seen: dict[str, set[str]] = {}
    for one in steps:
        for _, _, owner, part in one.arrays:
            seen.setdefault(owner, set()).add(part)
    written = (one.arrays[-1][2] for one in steps)
    return step.shape == run[0].shape and all(len(seen[owner]) == 1 for owner in written)


def _rows_of_block(shape: Shape) -> int:
    """The length of the first axis that a block of an array of this shape has."""
    return max(1, BLOCK // max(1, prod(shape[1:])))


def _in_blocks(run: Sequence[Step], scratch: Mapping[str, str]) -> list[str]:
    """The lines of a loop over blocks; a block of some arrays is memory of its own."""
    cut: dict[str, str] = {}
    for step in run:
        for name, shape, *_ in step.arrays:
            if step.slices(shape) and name not in scratch:
                cut.setdefault(name, f"u{len(cut)}")
    count, size = run[0].shape[0], _rows_of_block(run[0].shape)
    lines = [f"for i in range(0, {count}, {size}):", f"  j = slice(i, i + {size})"]
    lines += [f"  {short} = {name}[j]" for name, short in cut.items()]
    for name, whole in scratch.items():
        cut[name] = f"u{len(cut)}"
        lines.append(f"  {cut[name]} = {whole}[:{count} - i]")
    for step in run:
        lines.append(f"  {step.function}({', '.join(cut.get(name, name) for name in step.names)})")
    return lines


def _of_an_array(index: tuple[Any, ...]) -> tuple[Any, ...]:
    """An index that gives an array, also where it is one number."""
    return index if ... in index else (*index, ...)


_ALWAYS: Final[dict[Primitive, Callable[[Plan, int], None]]] = {
    ops.detached: Plan.detached,
    ops.where: Plan.where,
    ops.maximum: Plan.extreme,
    ops.minimum: Plan.extreme,
    rows.stack: Plan.stack,
    rows.concatenate: Plan.concatenate,
    rows.scatter: Plan.scatter,
    rows.add_at: Plan.add_at,
    rows.matmul: Plan.matmul,
}
"""Rows whose bits do not depend on how operands stand, or whose function looks at that itself."""

_IN_ORDER: Final[dict[Primitive, Callable[[Plan, int], None]]] = {rows.cumsum: Plan.cumsum}
