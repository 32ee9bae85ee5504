"""Runs of steps on small arrays as one call of machine code, where that pays.

Python takes longer to call a function of numpy's than the function takes for a few numbers. So a
run of such calls becomes a table with a record for each: the inner loop of the function, which is
numpy's own, and what numpy would give it. Machine code calls one after the other. The bits are
those of the functions, since the same loops run on the same numbers, as many at a time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby, product
from math import prod
from operator import itemgetter, mul
from typing import Any, Final, TypeAlias, cast, final

import attrs
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tapegrad.compile.backends.interface import ChainCode
from tapegrad.compile.backends.llvm.array_chain import ARRAYS, WORDS
from tapegrad.ops.primitive import Shape

__all__ = ["MOST_NUMBERS", "Call", "Chain", "Record", "Standing", "records"]

MOST_NUMBERS: Final = 1 << 12
"""The most numbers of an array in a record: for more, what Python takes matters little."""

_MOST_RECORDS: Final = 64
"""The most records that one call becomes."""

_LETTERS: Final = "?bBhHiIlLqQfdgFDGOSUVMme"
"""The letters of numpy's types in the order of their numbers."""

Ints: TypeAlias = tuple[int, ...]


@final
@attrs.frozen
class Standing:
    """How an array stands: so many bytes into a named memory, or in that of a constant."""

    memory: str
    offset: int
    shape: Shape
    strides: Ints
    kind: str
    constant: NDArray[Any] | None = attrs.field(default=None, eq=False)

    @classmethod
    def new(cls, memory: str, offset: int, shape: Shape, kind: str) -> Standing:
        """An array in C order, without gaps."""
        return cls(memory, offset, shape, _in_order(shape, np.dtype(kind).itemsize), kind)

    @classmethod
    def of_constant(cls, name: str, value: NDArray[Any]) -> Standing:
        """A constant, which is kept where it is."""
        return cls(name, value.ctypes.data, value.shape, value.strides, value.dtype.char, value)

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return prod(self.shape)

    def seen_by(self, view: Callable[[NDArray[Any]], NDArray[Any]]) -> Standing | None:
        """The view of it that this function makes; None where it makes a copy."""
        if not self.size:
            return None
        first, end = self._reach()
        memory = np.empty(end - first, np.uint8)  # as much, since a copy reads it
        whole: NDArray[Any] = np.ndarray(
            self.shape, self.kind, memory, self.offset - first, self.strides
        )
        shown = view(whole)
        if not np.may_share_memory(whole, shown):
            return None
        moved = shown.ctypes.data - whole.ctypes.data
        return attrs.evolve(
            self, offset=self.offset + moved, shape=shown.shape, strides=shown.strides
        )

    def part(self, moved: int, shape: Shape, strides: Ints) -> Standing:
        """An array that begins so many bytes later."""
        return attrs.evolve(self, offset=self.offset + moved, shape=shape, strides=strides)

    def meets(self, other: Standing) -> bool:
        """Whether both may have a byte of memory in common."""
        if self.memory != other.memory:
            return False
        (first, end), (begin, last) = self._reach(), other._reach()
        return begin < end and first < last

    def is_at(self, other: Standing) -> bool:
        """Whether it has its elements where another one has them."""
        here, there = (self.offset, self.shape, self.strides), (other.offset, other.shape)
        return here == (*there, other.strides)

    def _reach(self) -> tuple[int, int]:
        """Where its first byte stands, and what comes after its last one."""
        far = [(size - 1) * apart for size, apart in zip(self.shape, self.strides, strict=True)]
        first = self.offset + sum(move for move in far if move < 0)
        return first, first + sum(map(abs, far)) + np.dtype(self.kind).itemsize


@final
@attrs.frozen
class Call:
    """A function of numpy's, or the name of an own loop, on arrays, of which it writes the last.

    With ``axes`` the function is repeated along them.
    """

    function: np.ufunc | str
    arrays: tuple[Standing, ...]
    axes: Ints | None = None


@final
@attrs.frozen
class _Shape:
    """How a record says that arrays stand, beside where they begin.

    For a product of matrices, ``table`` has its sizes and strides.
    """

    size: int = 0
    strides: Ints = ()
    calls: int = 1
    moves: Ints = ()
    table: Ints = ()


Record: TypeAlias = tuple["np.ufunc | str", str, _Shape, tuple[tuple[Standing, int], ...]]
"""A function, its letters, the shape, and each array with the bytes at which the record begins."""


def records(calls: Sequence[Call], code: ChainCode) -> list[Record] | None:
    """The records of calls; None where they can have none."""
    found: list[Record] = []
    for call in calls:
        if any(array.size > MOST_NUMBERS for array in call.arrays):
            return None
        made = _made(call, code)
        if made is None or len(made) > _MOST_RECORDS:
            return None
        found += made
    return found


def _made(call: Call, code: ChainCode) -> list[Record] | None:
    """The records of one call."""
    if call.function == "product":
        return _product(call.arrays, code)
    return _each(call.function, call.arrays) if call.axes is None else _along(call, code)


def _each(function: np.ufunc | str, arrays: Sequence[Standing]) -> list[Record] | None:
    """The records of a function that goes element by element."""
    letters, out = "".join(array.kind for array in arrays), arrays[-1]
    if not out.size or not _has_loop(function, letters):
        return None
    for array in arrays[:-1]:
        if array is not out and array.meets(out) and not array.is_at(out):
            return None
    shapes = tuple((array.shape, array.strides) for array in arrays)
    return [
        (function, letters, shape, tuple(zip(arrays, moved, strict=True)))
        for shape, moved in _parted(shapes)
    ]


@lru_cache(maxsize=1 << 12)
def _parted(shapes: tuple[tuple[Shape, Ints], ...]) -> Sequence[tuple[_Shape, Ints]]:
    """The shapes of the records for arrays of these shapes and strides, and where each begins."""
    wanted = shapes[-1][0]
    columns = [_broadcast(shape, strides, len(wanted)) for shape, strides in shapes]
    axes = _joined(wanted, list(zip(*columns, strict=True)))
    sizes, strides = [size for size, _ in axes], [apart for _, apart in axes]
    still = (0,) * len(shapes)
    inner = (sizes[-1], strides[-1]) if axes else (prod(wanted), still)
    outer = (sizes[-2], strides[-2]) if len(axes) > 1 else (1, still)
    begins = [
        [sum(map(mul, at, apart)) for apart in zip(*strides[:-2], strict=True)]
        for at in product(*map(range, sizes[:-2]))
    ]
    return [(_Shape(*inner, *outer), tuple(moved) or still) for moved in begins]


def _broadcast(shape: Shape, strides: Ints, axes: int) -> Ints:
    """The strides of an array that is read as one of so many axes."""
    own = tuple(0 if size == 1 else apart for size, apart in zip(shape, strides, strict=True))
    return (0,) * (axes - len(shape)) + own


def _joined(shape: Shape, strides: Sequence[Ints]) -> list[tuple[int, Ints]]:
    """The axes, where those that all arrays go through as one are one."""
    found: list[tuple[int, Ints]] = []
    for size, apart in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if found and all(far == size * near for far, near in zip(found[-1][1], apart, strict=True)):
            found.append((size * found.pop()[0], apart))
        else:
            found.append((size, apart))
    return found


def _along(call: Call, code: ChainCode) -> list[Record] | None:
    """The records of a function that is repeated along axes of an array in C order."""
    function, (given, out) = cast(np.ufunc, call.function), call.arrays
    stands = all(array.strides == _in_order(array.shape, 8) for array in call.arrays)
    if given.kind + out.kind != "dd" or not stands or not given.size or not call.axes:
        return None
    sizes = _around(given.shape, call.axes)
    if (
        sizes is None
        or given.meets(out)
        or not _has_loop(function, "ddd")
        or not _agrees(function, sizes, code)
    ):
        return None
    return _repeated(function, sizes, given, out)


def _around(shape: Shape, axes: Ints) -> tuple[int, int, int] | None:
    """How many numbers there are before neighbouring axes, along them and behind them."""
    wide = [(axis in axes, size) for axis, size in enumerate(shape) if size != 1]
    parts = [
        (is_along, prod(size for _, size in group))
        for is_along, group in groupby(wide, key=itemgetter(0))
    ]
    first = parts.pop(0)[1] if parts and not parts[0][0] else 1
    count = parts.pop(0)[1] if parts else 1
    last = parts.pop(0)[1] if parts else 1
    return None if parts else (first, count, last)


def _repeated(
    function: np.ufunc, sizes: tuple[int, int, int], given: Standing, out: Standing
) -> list[Record]:
    """The records, in numpy's order, for numbers before the axes, along them and behind them.

    Of a function without a neutral number, the first numbers are where the result begins.
    """
    first, count, last = sizes
    skipped, flat = 0 if function.identity is not None else 1, (first, last)
    begin = given.part(0, flat, (count * last * 8, 8)) if skipped else _neutral(function)
    found = _each("copy", (begin, out.part(0, flat, (last * 8, 8)))) or []
    if last == 1:
        shapes = [_Shape(count - skipped, (0, 8, 0), first, (8, count * 8, 8))]
    else:
        shapes = [_Shape(last, (8, 8, 8), count - skipped, (0, last * 8, 0))] * first
    for index, shape in enumerate(shapes if count > skipped else ()):
        start = (index * count + skipped) * last * 8
        places = (out, index * last * 8), (given, start), (out, index * last * 8)
        found.append((function, "ddd", shape, places))
    return found


def _neutral(function: np.ufunc) -> Standing:
    value = np.array(float(cast(Any, function.identity)))
    return Standing.of_constant(f"neutral {function.__name__}", value)


@lru_cache(maxsize=1 << 10)
def _agrees(function: np.ufunc, sizes: tuple[int, int, int], code: ChainCode) -> bool:
    """Whether numpy repeats a function along such axes as the records say."""
    draw = np.random.default_rng(0).normal(size=sizes)
    for given in (draw, np.where(draw < 0.0, 0.0, -0.0), np.full(sizes, -0.0)):
        wanted = function.reduce(given, 1)
        found = np.empty(wanted.shape)
        stands = Standing.of_constant("given", given), Standing.of_constant("out", found)
        Chain(_repeated(function, sizes, *stands), code).bind()()
        if found.tobytes() != wanted.tobytes():
            return False
    return True


def _product(arrays: Sequence[Standing], code: ChainCode) -> list[Record] | None:
    """The record of a product of matrices, each of which is one block of memory."""
    x, y, out = arrays
    given = tuple((array.shape, array.strides) for array in arrays)
    if x.kind + y.kind + out.kind != "ddd" or x.meets(out) or y.meets(out):
        return None
    table = _sizes(*given)
    if table is None or not _has_loop(np.matmul, "ddd") or not _multiplies(given, table, code):
        return None
    return [("product", "ddd", _Shape(table=table), ((x, 0), (y, 0), (out, 0)))]


Stands: TypeAlias = tuple[Shape, Ints]


@lru_cache(maxsize=1 << 10)
def _sizes(x: Stands, y: Stands, out: Stands) -> Ints | None:
    """The sizes and the strides that numpy's loop for products is given; None for other arrays."""
    for shape, strides in (x, y):
        core = sorted(zip(strides[-2:], shape[-2:], strict=True))
        if not shape or 1 in shape or 0 in shape or core[0][0] != 8:
            return None
        if len(core) > 1 and core[1][0] != 8 * core[0][1]:
            return None
    (shape, strides), (other, others), (found, apart) = x, y, out
    stacks = [one[:-2] for one in (shape, other, found)]
    moves = [one[0] if len(one) == 3 else 0 for one in (strides, others, apart)]
    if any(len(stack) > 1 or stack not in {(), stacks[2]} for stack in stacks):
        return None
    rows = (shape[-2], strides[-2]) if len(shape) > 1 else (1, 0)
    columns = (other[-1], others[-1]) if len(other) > 1 else (1, 0)
    inner = others[-2] if len(other) > 1 else others[-1]
    last = [apart[-2:][0] if rows[0] > 1 else 0, apart[-1] if columns[0] > 1 else 0]
    sizes = prod(stacks[2]), rows[0], shape[-1], columns[0]
    return (*sizes, *moves, rows[1], strides[-1], inner, columns[1], *last)


@lru_cache(maxsize=1 << 10)
def _multiplies(given: tuple[Stands, ...], table: Ints, code: ChainCode) -> bool:
    """Whether numpy multiplies matrices that stand so as the record says."""
    draw = np.random.default_rng(0)
    whole = [draw.normal(size=sum(map(mul, *array)) // 8 + 1) for array in given]
    x, y, out = (as_strided(one, *array) for one, array in zip(whole, given, strict=True))
    wanted = np.matmul(x, y)
    stands = [Standing.of_constant(f"given {i}", each) for i, each in enumerate((x, y, out))]
    places = tuple((array, 0) for array in stands)
    Chain([("product", "ddd", _Shape(table=table), places)], code).bind()()
    return bool(wanted.tobytes() == out.tobytes())


def _in_order(shape: Shape, size: int) -> Ints:
    """The strides of an array in C order, without gaps."""
    found: list[int] = []
    for length in reversed(shape):
        found.insert(0, size)
        size *= length
    return tuple(found)


def _has_loop(function: np.ufunc | str, letters: str) -> bool:
    """Whether a function has an inner loop for elements of these kinds."""
    if isinstance(function, str):
        return letters == {"copy": "dd", "tie": "ddd", "choose": "?ddd"}[function]
    return len(letters) <= ARRAYS and letters in _loops(function)


@lru_cache(maxsize=256)
def _loops(function: np.ufunc) -> dict[str, tuple[int, int]]:
    """The addresses of a function's inner loops, and of what they are given, by their letters.

    They are read where numpy's C interface has them. If something else stands there, there are
    none.
    """
    at = id(function) + object.__basicsize__

    def pointer(place: int) -> int:
        return ctypes.c_void_p.from_address(at + place).value or 0

    count = ctypes.c_int.from_address(at + 32).value
    spelled = [text.replace("->", "") for text in function.types]
    if count != function.ntypes or ctypes.string_at(pointer(40)) != function.__name__.encode():
        return {}
    numbers = ctypes.string_at(pointer(48), count * function.nargs)
    if bytes(map(_LETTERS.index, "".join(spelled))) != numbers:
        return {}
    found: dict[str, tuple[int, int]] = {}
    for index, text in enumerate(spelled):
        loop = ctypes.c_void_p.from_address(pointer(16) + 8 * index).value
        data = ctypes.c_void_p.from_address(pointer(24) + 8 * index).value if pointer(24) else 0
        if loop:
            found.setdefault(text, (loop, data or 0))
    return found


@final
class Chain:
    """The table of some records; ``memories`` names the memories in which its arrays stand."""

    memories: tuple[str, ...]
    code: ChainCode

    def __init__(self, made: Sequence[Record], code: ChainCode) -> None:
        self.code = code
        self._constants: list[NDArray[Any]] = []
        places: dict[str, list[tuple[int, int]]] = {}
        table = np.zeros((len(made), WORDS), np.int64)
        for number, (function, letters, shape, arrays) in enumerate(made):
            table[number] = self._row(function, letters, shape, arrays)
            for column, (array, _) in enumerate(arrays):
                if array.constant is None:
                    places.setdefault(array.memory, []).append((number, 2 + column))
                else:
                    self._constants.append(array.constant)
        self._table, self.memories = table, tuple(places)
        self._places = [tuple(np.array(where).T) for where in places.values()]

    @property
    def size(self) -> int:
        """The bytes of the table."""
        return int(self._table.nbytes)

    def _row(
        self,
        function: np.ufunc | str,
        letters: str,
        shape: _Shape,
        arrays: Sequence[tuple[Standing, int]],
    ) -> list[int]:
        """The words of a record, with places in memories in place of addresses."""
        loop = (0, 0) if isinstance(function, str) else _loops(function)[letters]
        if isinstance(function, str):
            loop = self.code.loops[function], 0
        if shape.table:
            table = np.array([*_loops(np.matmul)[letters], *shape.table])
            self._constants.append(table)
            loop = loop[0], table.ctypes.data
        begins = [array.offset + moved for array, moved in arrays]
        return [
            *loop, *_filled(begins), shape.size, *_filled(shape.strides),
            shape.calls, *_filled(shape.moves),
        ]  # fmt: skip

    def bind(self, *memories: NDArray[np.uint8]) -> Callable[[], None]:
        """The call on these memories, which must live as long."""
        table = self._table.copy()
        for memory, (rows, columns) in zip(memories, self._places, strict=True):
            table[rows, columns] += memory.ctypes.data
        return _Bound(self, table, memories)


@final
class _Bound:
    """Runs a table; keeps the memories that it names."""

    def __init__(
        self, chain: Chain, table: NDArray[np.int64], memories: Sequence[NDArray[np.uint8]]
    ) -> None:
        self._kept = chain, table, memories
        self._run, self._address, self._count = chain.code.run, table.ctypes.data, len(table)

    def __call__(self) -> None:
        self._run(self._address, self._count)


def _filled(words: Sequence[int]) -> list[int]:
    return [*words, *[0] * (ARRAYS - len(words))]
