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
from tapegrad.ops.array_passes import EXACT
from tapegrad.ops.primitive import Shape

__all__ = [
    "MOST_NUMBERS", "Call", "Chain", "Record", "Standing", "at_index", "inner_loop", "records",
]  # fmt: skip

MOST_NUMBERS: Final = 1 << 13
"""The most numbers of an array in a record: for more, what Python takes matters little."""

_MOST_RECORDS: Final = 64
"""The most records that one call becomes."""

_SHORT: Final = 4
"""The numbers of an axis for which a call of an inner loop takes longer than what it computes."""

_ADDED_ONE_BY_ONE: Final = 8
"""From so many numbers on numpy adds them up along an axis in several sums at a time."""

_LETTERS: Final = "?bBhHiIlLqQfdgFDGOSUVMme"
"""The letters of numpy's types in the order of their numbers."""

_BEGINS: Final = 2
"""The word of a record that says where the first array begins."""
_NONE: Final = [[0] * (ARRAYS - count) for count in range(ARRAYS + 1)]
"""The words for arrays that a record of so many has not."""

Ints: TypeAlias = tuple[int, ...]

View: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]
"""Makes a view of an array."""


@final
@attrs.frozen(eq=False)
class Way:
    """How an array stands, wherever it begins; there is one for all that stand alike.

    Its first byte stands ``first`` after where it begins, and what comes after its last one, at
    ``end``. It has so many numbers as ``size``.
    """

    shape: Shape
    strides: Ints
    kind: str
    size: int = attrs.field(init=False)
    first: int = attrs.field(init=False)
    end: int = attrs.field(init=False)

    @size.default
    def _size(self) -> int:
        return prod(self.shape)

    @first.default
    def _first(self) -> int:
        return sum(move for move in self._far() if move < 0)

    @end.default
    def _end(self) -> int:
        return sum(move for move in self._far() if move > 0) + np.dtype(self.kind).itemsize

    def _far(self) -> list[int]:
        """How far the last number along each axis is from the first one."""
        return [(size - 1) * apart for size, apart in zip(self.shape, self.strides, strict=True)]

    @property
    def places(self) -> NDArray[np.int64]:
        """How many bytes after the first number each number is."""
        found = np.zeros(self.shape, np.int64)
        for axis, apart in enumerate(self.strides):
            steps = np.arange(self.shape[axis]) * apart
            found += steps.reshape(-1, *[1] * (len(self.shape) - 1 - axis))
        return found

    def seen_by(self, view: View) -> tuple[int, Way] | None:
        """By how much the view of it begins later that a function makes, and how it stands.

        None where it makes a copy.
        """
        if not self.size:
            return None
        memory = np.empty(self.end - self.first, np.uint8)  # as much, since a copy reads it
        whole: NDArray[Any] = np.ndarray(self.shape, self.kind, memory, -self.first, self.strides)
        shown = view(whole)
        if not np.may_share_memory(whole, shown):
            return None
        moved = shown.ctypes.data - whole.ctypes.data
        return moved, way(shown.shape, shown.strides, self.kind)


@lru_cache(maxsize=1 << 14)
def way(shape: Shape, strides: Ints, kind: str) -> Way:
    """How an array of this shape and these strides stands."""
    return Way(shape, strides, kind)


@lru_cache(maxsize=1 << 12)
def in_order(shape: Shape, kind: str) -> Way:
    """How an array in C order stands, without gaps."""
    return way(shape, _in_order(shape, np.dtype(kind).itemsize), kind)


@final
@attrs.frozen
class Standing:
    """Where and how an array stands: so many bytes into a named memory, or a constant's."""

    memory: str
    offset: int
    way: Way
    constant: NDArray[Any] | None = attrs.field(default=None, eq=False)

    @classmethod
    def new(cls, memory: str, offset: int, shape: Shape, kind: str) -> Standing:
        """An array in C order, without gaps."""
        return cls(memory, offset, in_order(shape, kind))

    @classmethod
    def of_constant(cls, name: str, value: NDArray[Any]) -> Standing:
        """A constant, which is kept where it is."""
        stands = way(value.shape, value.strides, value.dtype.char)
        return cls(name, value.ctypes.data, stands, value)

    @property
    def shape(self) -> Shape:
        """The length of each axis."""
        return self.way.shape

    @property
    def strides(self) -> Ints:
        """How many bytes further the next number along each axis is."""
        return self.way.strides

    def seen_by(self, view: View) -> Standing | None:
        """The view of it that this function makes; None where it makes a copy."""
        found = self.way.seen_by(view)
        return found and self.moved(*found)

    def moved(self, moved: int, stands: Way) -> Standing:
        """An array that begins so many bytes later and stands in this way."""
        return Standing(self.memory, self.offset + moved, stands, self.constant)

    def part(self, moved: int, shape: Shape, strides: Ints) -> Standing:
        """An array that begins so many bytes later."""
        return self.moved(moved, way(shape, strides, self.way.kind))

    def meets(self, other: Standing) -> bool:
        """Whether both may have a byte of memory in common."""
        if self.memory != other.memory:
            return False
        here, there = self.offset, other.offset
        return (
            here + self.way.first < there + other.way.end
            and there + other.way.first < here + self.way.end
        )

    def is_at(self, other: Standing) -> bool:
        """Whether it has its elements where another one has them."""
        stands = self.shape, self.strides
        return self.offset == other.offset and stands == (other.shape, other.strides)


@final
@attrs.frozen
class Call:
    """A function of numpy's, or the name of an own loop, on arrays, of which it writes the last.

    With ``axes`` the function is repeated along them; with ``rows`` it goes by a table of these.
    """

    function: np.ufunc | str
    arrays: tuple[Standing, ...]
    axes: Ints | None = None
    rows: Ints = ()


@final
@attrs.frozen
class _Shape:
    """How a record says that arrays stand, beside where they begin.

    For a product of matrices, ``table`` has its sizes and strides, and for rows their length and
    where they are.
    """

    size: int = 0
    strides: Ints = ()
    calls: int = 1
    moves: Ints = ()
    table: Ints = ()


@final
@attrs.frozen(eq=False)
class _Kind:
    """The function, its letters and the shape, which records of one kind have in common."""

    function: np.ufunc | str
    letters: str
    shape: _Shape


Record: TypeAlias = tuple[_Kind, Sequence[Standing], Ints]
"""A kind, the arrays, and how many bytes into each the record begins."""


def records(calls: Sequence[Call], code: ChainCode) -> list[Record] | None:
    """The records of calls; None where they can have none."""
    found: list[Record] = []
    for call in calls:
        if call.function == "product":
            made = _product(call.arrays, code)
        elif call.rows:
            shape = _Shape(len(call.rows) - 1, table=call.rows)
            made = [(_Kind(call.function, "dd", shape), call.arrays, (0, 0))]
        elif call.axes is None:
            made = _each(call.function, call.arrays)
        else:
            made = _along(call, code)
        if made is None:
            return None
        found += made
    return found


def at_index(function: str, whole: Standing, part: Standing, index: Any) -> Call | None:
    """The call that takes a part of an array at an index of places, or adds to it; or None.

    ``part`` has the numbers one after the other.
    """
    ways = whole.way, part.way
    if ways[0].kind != "d" or ways[1] is not in_order(part.shape, "d") or not _is_small(ways):
        return None
    places = whole.way.places[index]
    if places.shape != part.shape or not places.size or whole.meets(part):
        return None
    arrays = (whole, part) if function == "take" else (part, whole)
    return Call(function, arrays, rows=_rows_at(places))


def _rows_at(places: NDArray[np.int64]) -> Ints:
    """The numbers of a row, in which places follow each other, and the place of each row."""
    length, flat = 1, places.ravel()
    for size in reversed(places.shape):
        rows = flat.reshape(-1, length * size)
        if not np.array_equal(rows, rows[:, :1] + 8 * np.arange(length * size)):
            break
        length *= size
    return length, *flat[::length].tolist()


def _is_small(ways: Sequence[Way]) -> bool:
    """Whether arrays are small enough for records."""
    return all(one.size <= MOST_NUMBERS for one in ways)


def _each(function: np.ufunc | str, arrays: Sequence[Standing]) -> list[Record] | None:
    """The records of a function that goes element by element."""
    kinds = _kinds(function, tuple([array.way for array in arrays]))
    if kinds is None:
        return None
    *given, out = arrays
    for array in given:
        if array is not out and array.meets(out) and not array.is_at(out):
            return None
    return [(kind, arrays, moved) for kind, moved in kinds]


@lru_cache(maxsize=1 << 12)
def _kinds(function: np.ufunc | str, ways: tuple[Way, ...]) -> Sequence[tuple[_Kind, Ints]] | None:
    """The kinds of the records for arrays that stand so, and where each begins.

    None where there can be none.
    """
    letters = "".join(one.kind for one in ways)
    if not ways[-1].size or not _is_small(ways) or not _has_loop(function, letters):
        return None
    is_exact = isinstance(function, str) or function in EXACT
    parts = _parted([(one.shape, one.strides) for one in ways], in_any_order=is_exact)
    if len(parts) > _MOST_RECORDS:
        return None
    return [(_Kind(function, letters, shape), moved) for shape, moved in parts]


def _parted(
    shapes: Sequence[tuple[Shape, Ints]], *, in_any_order: bool
) -> Sequence[tuple[_Shape, Ints]]:
    """The shapes of the records for arrays of these shapes and strides, and where each begins.

    Numbers that may be computed ``in_any_order`` go along the longest axis, if the last is short.
    """
    wanted = shapes[-1][0]
    columns = [_broadcast(shape, strides, len(wanted)) for shape, strides in shapes]
    axes = _joined(wanted, list(zip(*columns, strict=True)))
    if in_any_order and axes and axes[-1][0] <= _SHORT:
        axes.sort(key=itemgetter(0))
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
    stands = all(array.way is in_order(array.shape, "d") for array in call.arrays)
    is_small = _is_small((given.way, out.way))
    if not stands or not is_small or not given.way.size or not call.axes:
        return None
    sizes = _around(given.shape, call.axes)
    if (
        sizes is None
        or given.meets(out)
        or not _has_loop(function, "ddd")
        or not _agrees(function, sizes, code)
    ):
        return None
    found = _repeated(function, sizes, given, out)
    return found if len(found) <= _MOST_RECORDS else None


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
    if count < first and (last > 1 or count < _ADDED_ONE_BY_ONE):
        whole = out.part(0, flat, (last * 8, 8))
        for place in range(skipped, count):
            part = given.part(place * last * 8, flat, (count * last * 8, 8))
            found += _each(function, (whole, part, whole)) or []
        return found
    if last == 1:
        shapes = [_Shape(count - skipped, (0, 8, 0), first, (8, count * 8, 8))]
    else:
        shapes = [_Shape(last, (8, 8, 8), count - skipped, (0, last * 8, 0))] * first
    for index, shape in enumerate(shapes if count > skipped else ()):
        start = (index * count + skipped) * last * 8
        moved = index * last * 8, start, index * last * 8
        found.append((_Kind(function, "ddd", shape), (out, given, out), moved))
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
    if x.meets(out) or y.meets(out):
        return None
    kind = _product_kind(x.way, y.way, out.way, code)
    return kind and [(kind, arrays, (0, 0, 0))]


@lru_cache(maxsize=1 << 10)
def _product_kind(x: Way, y: Way, out: Way, code: ChainCode) -> _Kind | None:
    """The kind of the record; None where there can be none."""
    given = tuple((one.shape, one.strides) for one in (x, y, out))
    if x.kind + y.kind + out.kind != "ddd" or not _is_small((x, y, out)):
        return None
    table = _sizes(*given)
    if table is None or not _has_loop(np.matmul, "ddd") or not _multiplies(given, table, code):
        return None
    return _Kind("product", "ddd", _Shape(table=table))


Stands: TypeAlias = tuple[Shape, Ints]


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


def _multiplies(given: tuple[Stands, ...], table: Ints, code: ChainCode) -> bool:
    """Whether numpy multiplies matrices that stand so as the record says."""
    draw = np.random.default_rng(0)
    whole = [draw.normal(size=sum(map(mul, *array)) // 8 + 1) for array in given]
    x, y, out = (as_strided(one, *array) for one, array in zip(whole, given, strict=True))
    wanted = np.matmul(x, y)
    stands = [Standing.of_constant(f"given {i}", each) for i, each in enumerate((x, y, out))]
    kind = _Kind("product", "ddd", _Shape(table=table))
    Chain([(kind, stands, (0, 0, 0))], code).bind()()
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
        return letters == {"copy": "dd", "rare": "dd", "tie": "ddd", "choose": "?ddd"}[function]
    return len(letters) <= ARRAYS and letters in _loops(function)


def inner_loop(function: np.ufunc, letters: str) -> tuple[int, int]:
    """The address of an inner loop, and of what it is given; zeros where there is none."""
    return _loops(function).get(letters, (0, 0))


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
        places: dict[str, list[int]] = {}
        kinds: dict[_Kind, int] = {}
        begins: list[int] = []
        for kind, arrays, moved in made:
            kinds.setdefault(kind, len(kinds))
            place = len(begins) // ARRAYS * WORDS + _BEGINS
            for array, more in zip(arrays, moved, strict=True):
                begins.append(array.offset + more)
                if array.constant is None:
                    places.setdefault(array.memory, []).append(place)
                else:
                    self._constants.append(array.constant)
                place += 1
            begins += _NONE[len(arrays)]
        words = np.array([self._words(kind) for kind in kinds], np.int64)
        table = words[[kinds[kind] for kind, *_ in made]]
        table[:, _BEGINS : _BEGINS + ARRAYS] = np.array(begins, np.int64).reshape(-1, ARRAYS)
        self._table, self.memories = table, tuple(places)
        self._places = [np.array(where) for where in places.values()]

    @property
    def size(self) -> int:
        """The bytes of the table."""
        return int(self._table.nbytes)

    def _words(self, kind: _Kind) -> list[int]:
        """The words of a kind of records, without where the arrays begin."""
        function, letters, shape = kind.function, kind.letters, kind.shape
        loop = (0, 0) if isinstance(function, str) else _loops(function)[letters]
        if isinstance(function, str):
            loop = self.code.loops[function], 0
        if shape.table:
            own = _loops(np.matmul)[letters] if function == "product" else ()
            table = np.array([*own, *shape.table])
            self._constants.append(table)
            loop = loop[0], table.ctypes.data
        return [
            *loop, *_NONE[0], shape.size, *_filled(shape.strides),
            shape.calls, *_filled(shape.moves),
        ]  # fmt: skip

    def bind(self, *memories: NDArray[np.uint8]) -> Callable[[], None]:
        """The call on these memories, which must live as long."""
        table = self._table.copy()
        words = table.reshape(-1)
        for memory, places in zip(memories, self._places, strict=True):
            words[places] += memory.ctypes.data
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
    return [*words, *_NONE[len(words)]]
