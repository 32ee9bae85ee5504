"""The rows that take arrays as they are, with the transposes of their derivatives.

All other rows go element by element on arrays. These join the table when a recording meets its
first array (``array_table``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from math import prod
from typing import Any, Final, TypeAlias, cast

from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import ArrayRule, Operand, Shape, shape_of
from tapegrad.ops.primitive import Primitive as Row
from tapegrad.ops.table import cosine, div, eq, mul

__all__ = [
    "ARRAY_ROWS", "FLAT", "FLAT2", "add_at", "amax", "amin", "argmax", "argsort", "broadcast_to",
    "concatenate", "cumsum", "every", "fitted", "fitting", "flat_in_many", "gather", "getitem", "is_basic",
    "kept_shape", "matmul", "norm", "pile", "reshape", "scatter", "searchsorted", "some", "spread",
    "stack", "sum_", "swapped",
    "transpose",
]  # fmt: skip

Along: TypeAlias = tuple[Shape, bool]
"""The axes that are taken together, and whether they stay, with length 1."""

Index: TypeAlias = tuple[Any, ...]
"""The parts between the brackets of ``x[...]``: ints, slices, None, ``...``, arrays."""


def value_of(name: str) -> Callable[..., float]:
    """The function of that name among the values of these rows, which is loaded when needed."""

    def value(*operands: Operand) -> Operand:
        return cast(Operand, getattr(serving("ops.array_values"), name)(*operands))

    return cast("Callable[..., float]", value)


def row(name: str, partials: Any, rule: ArrayRule, doc: str, **facts: Any) -> Row:
    """A row with a rule for arrays."""
    return Row(
        name.rstrip("_"), value_of(name), partials, doc,
        array=rule, module=__name__, reference=name, **facts,
    )  # fmt: skip


# Shapes.


def spread(b: Operand, shape: Shape) -> Operand:
    """A cotangent or a tangent in its full shape."""
    return b if shape_of(b) == shape else broadcast_to(b, shape)


def fitted(b: Operand, whole: Shape, shape: Shape, like: Operand | None = None) -> Operand:
    """The sum of a cotangent over the axes along which its operand, of ``shape``, was repeated.

    A cotangent may be smaller than ``whole``: it is then the same along the missing axes. The
    tangent of one is treated ``like`` that.
    """
    given = shape_of(b if like is None else like)
    axes, keep, reshaped, times = fitting(given, whole, shape)
    if axes or reshaped:
        b = spread(b, given)
    if axes:
        b = sum_(b, (axes, keep))
    if reshaped:  # what stands before the operand's own axes has length 1
        own = shape_of(b)
        b = reshape(b, own[len(own) - len(shape) :])
    return b if times == 1.0 else mul(b, times)


@cache
def fitting(own: Shape, whole: Shape, shape: Shape) -> tuple[Shape, bool, bool, float]:
    """Along which axes to sum, whether 1 stays in their place, whether to reshape, and a factor."""
    lead, owned = len(whole) - len(shape), len(whole) - len(own)
    axes, times, inner = [], 1.0, False
    for at, size in enumerate(whole):
        if at < lead or (size != 1 and shape[at - lead] == 1):
            if at >= owned and own[at - owned] == size:
                axes.append(at - owned)
                inner = inner or at >= lead
            elif size != 1:
                times *= size
    left = len(own) if inner else len(own) - len(axes)
    return tuple(axes), inner, left > len(shape), times


def is_basic(index: Index) -> bool:
    """Whether an index takes each place at most once, as a view."""
    for part in index:  # noqa: SIM110  # all() of a generator takes longer
        if type(part) not in _BASIC:
            return False
    return True


_BASIC: Final = frozenset((int, slice, type(None), type(...)))


def kept(b: Operand, x: Operand, along: Along) -> Operand:
    """A cotangent of what was taken together along axes, with 1 in their place."""
    axes, keep = along
    if keep or not shape_of(b):
        return b
    return reshape(b, kept_shape(shape_of(b), len(shape_of(x)), axes))


@cache
def kept_shape(own: Shape, ndim: int, axes: Shape) -> Shape:
    """The shape of a cotangent with 1 in the place of axes, of which there are then ``ndim``."""
    lengths = iter((1,) * (ndim - len(axes) - len(own)) + own)
    return tuple(1 if at in axes else next(lengths) for at in range(ndim))


def swapped(x: Operand) -> Operand:
    """A matrix, or each of a stack of them, transposed."""
    last = len(shape_of(x)) - 1
    return transpose(x, (*range(last - 1), last, last - 1))


def _reshape_pull(b: Operand, y: Operand, x: Operand, shape: Shape) -> Operand:
    return b if not shape_of(b) else reshape(spread(b, shape), shape_of(x))


def _transpose_pull(b: Operand, y: Operand, x: Operand, axes: Shape) -> Operand:
    if not shape_of(b):
        return b
    return transpose(spread(b, shape_of(y)), tuple(map(axes.index, range(len(axes)))))


def _broadcast_pull(b: Operand, y: Operand, x: Operand, shape: Shape) -> Operand:
    return fitted(b, shape, shape_of(x))


# Parts.


def _getitem_pull(b: Operand, y: Operand, x: Operand, index: Index) -> Operand:
    return scatter(b, (index, shape_of(x), is_basic(index)))


def _scatter_pull(b: Operand, y: Operand, x: Operand, static: tuple[Index, Shape, bool]) -> Operand:
    return getitem(b, static[0])


def _add_at_whole(b: Operand, *_: object) -> Operand:
    return b


def _add_at_part(
    b: Operand, z: Operand, x: Operand, y: Operand, static: tuple[Index, bool]
) -> Operand:
    part = getitem(b, static[0])
    return fitted(part, shape_of(part), shape_of(y))


def _part(i: int, b: Operand, z: Operand, *xs: Operand) -> Operand:
    """The part of a concatenation that belongs to operand ``i``."""
    parts, axis = xs[:-1], cast(int, xs[-1])
    start = sum(shape_of(x)[axis] for x in parts[:i])
    stop = start + shape_of(parts[i])[axis]
    return getitem(b, (*[slice(None)] * axis, slice(start, stop)))


def _element(i: int, b: Operand, z: Operand, *xs: Operand) -> Operand:
    return getitem(b, (i,))


# Places: whole numbers that say where in an array something stands.


def _gather_pull(b: Operand, y: Operand, x: Operand, i: Operand, axes: Shape) -> Operand:
    return pile(b, i, (axes, shape_of(x)))


def _gather_push(
    dots: tuple[Operand | None, Operand | None], y: Operand, x: Operand, i: Operand, axes: Shape
) -> Operand | None:
    return None if dots[0] is None else gather(dots[0], i, axes)


def _pile_pull(
    b: Operand, y: Operand, x: Operand, i: Operand, static: tuple[Shape, Shape]
) -> Operand:
    return gather(b, i, static[0])


def _pile_push(
    dots: tuple[Operand | None, Operand | None],
    y: Operand,
    x: Operand,
    i: Operand,
    static: tuple[Shape, Shape],
) -> Operand | None:
    return None if dots[0] is None else pile(dots[0], i, static)


def _flat_push(dots: tuple[Operand | None, ...], y: Operand, *xs: Operand) -> None:
    """The tangent of what does not change with its operands."""


# Sums and products.


def _sum_pull(b: Operand, y: Operand, x: Operand, along: Along) -> Operand:
    return kept(b, x, along)


def _share(y: Operand, x: Operand, along: Along) -> Operand:
    """1 at the largest, or 1 / k at each of k that are as large."""
    here = eq(x, kept(y, x, along))
    return div(here, sum_(here, (along[0], True)))


def _extreme_pull(b: Operand, y: Operand, x: Operand, along: Along) -> Operand:
    return mul(kept(b, x, along), _share(y, x, along))


def _extreme_push(dots: tuple[Operand], y: Operand, x: Operand, along: Along) -> Operand:
    return sum_(mul(dots[0], _share(y, x, along)), along)


def _direction(y: Operand, x: Operand, along: Along) -> Operand:
    """The parts of a vector of length 1; 0 at the origin."""
    return cosine(x, kept(y, x, along))


def _norm_pull(b: Operand, y: Operand, x: Operand, along: Along) -> Operand:
    return mul(kept(b, x, along), _direction(y, x, along))


def _norm_push(dots: tuple[Operand], y: Operand, x: Operand, along: Along) -> Operand:
    return sum_(mul(dots[0], _direction(y, x, along)), along)


def _reversed(x: Operand, axis: int) -> Operand:
    return getitem(x, (*[slice(None)] * axis, slice(None, None, -1)))


def _cumsum_pull(b: Operand, y: Operand, x: Operand, axis: int) -> Operand:
    return _reversed(cumsum(_reversed(b, axis), axis), axis)


def _matmul_left(b: Operand, z: Operand, x: Operand, y: Operand) -> Operand:
    n, m = len(shape_of(x)), len(shape_of(y))
    if m == 1:
        share = mul(b if n == 1 else _column(b), y)
    elif n == 1:
        share = _flat(matmul(y, _column(b)))
    else:
        share = matmul(b, swapped(y))
    return fitted(share, shape_of(share), shape_of(x))


def _matmul_right(b: Operand, z: Operand, x: Operand, y: Operand) -> Operand:
    n, m = len(shape_of(x)), len(shape_of(y))
    if m == 1:
        if n <= 2:
            return mul(b, x) if n == 1 else matmul(b, x)
        return matmul(_joined(b, 0), _joined(x, 1))
    if n == 1:
        share = mul(_column(x), reshape(b, (*shape_of(b)[:-1], 1, shape_of(b)[-1])))
    elif n > 2 and m == 2:
        return matmul(swapped(_joined(x, 1)), _joined(b, 1))
    else:
        share = matmul(swapped(x), b)
    return fitted(share, shape_of(share), shape_of(y))


def _column(x: Operand) -> Operand:
    return reshape(x, (*shape_of(x), 1))


def _flat(x: Operand) -> Operand:
    return reshape(x, shape_of(x)[:-1])


def _joined(x: Operand, last: int) -> Operand:
    """The axes before the last ones made one."""
    shape = shape_of(x)
    cut = len(shape) - last
    return reshape(x, (prod(shape[:cut]), *shape[cut:]))


FLAT, FLAT2 = (None,), (None, None)


def flat_in_many(i: int, z: Operand, *xs: Operand) -> None:
    """The partial of a variadic row that has a rule for arrays."""


def _always(static: tuple[object, ...]) -> bool:
    """Whether a row that changes the shape alone gives a view, whatever the shape."""
    return True


indexed: Final = partial(row, has_static=True, static_type=tuple)
along_axis: Final = partial(row, has_static=True, static_type=int)

RESHAPE = ArrayRule((_reshape_pull,), slim=True, is_view=_always, static="shape")
TRANSPOSE = ArrayRule((_transpose_pull,), slim=True, is_view=_always, static="order")
BROADCAST = ArrayRule((_broadcast_pull,), slim=True, is_view=_always, static="shape")
GETITEM = ArrayRule((_getitem_pull,), is_view=is_basic, static="index")
SCATTER = ArrayRule((_scatter_pull,), static="index")
ADD_AT = ArrayRule((_add_at_whole, _add_at_part), joint=True, static="index")
CONCATENATE = ArrayRule(_part, joint=True, static="axis")
STACK = ArrayRule(_element, joint=True)
SUM = ArrayRule((_sum_pull,), slim=True, static="axes")
EXTREME = ArrayRule((_extreme_pull,), _extreme_push, static="axes")
TRUTHS = ArrayRule(FLAT, static="axes")
NORM = ArrayRule((_norm_pull,), _norm_push, static="axes")
ORDER = ArrayRule(FLAT, _flat_push)
SEARCH = ArrayRule(FLAT2, _flat_push)
GATHER = ArrayRule((_gather_pull, None), _gather_push)
PILE = ArrayRule((_pile_pull, None), _pile_push)
CUMSUM = ArrayRule((_cumsum_pull,), static="axis")
MATMUL = ArrayRule((_matmul_left, _matmul_right))

# fmt: off
# Shapes: each is the transpose of another.
reshape: Row      = indexed("reshape",      FLAT, RESHAPE,   "The same numbers in another shape.")
transpose: Row    = indexed("transpose",    FLAT, TRANSPOSE, "The axes in another order.")
broadcast_to: Row = indexed("broadcast_to", FLAT, BROADCAST, "Repeated along new axes and those of length 1.")

# Parts, and sums of parts.
getitem: Row     = indexed("getitem",        FLAT,         GETITEM,     "The part of x at an index.", symbol="[]")
scatter: Row     = indexed("scatter",        FLAT,         SCATTER,     "x at an index of zeros; where places meet, the sum.")
add_at: Row      = indexed("add_at",         FLAT2,        ADD_AT,      "x, with y added at an index.")
concatenate: Row = along_axis("concatenate", flat_in_many, CONCATENATE, "One after the other along an axis.")
stack: Row       = row("stack",              flat_in_many, STACK,       "Numbers as an array.")

# Places, as whole numbers; where they change, so does what is found there.
gather: Row       = indexed("gather",       FLAT2, GATHER, "The parts of x at places.")
pile: Row         = indexed("pile",         FLAT2, PILE,   "x at places of zeros; where places meet, the sum.")
argsort: Row      = along_axis("argsort",   FLAT,  ORDER,  "The places of the numbers in rising order.")
argmax: Row       = indexed("argmax",       FLAT,  ORDER,  "The first place of the largest number.")
searchsorted: Row = indexed("searchsorted", FLAT2, SEARCH, "How many numbers of x in rising order are below y.")

# Along axes.
sum_: Row   = indexed("sum_",      FLAT, SUM,     "The sum along axes.")
amax: Row   = indexed("amax",      FLAT, EXTREME, "The largest along axes; those that tie share the slope.")
amin: Row   = indexed("amin",      FLAT, EXTREME, "The smallest along axes; those that tie share the slope.")
every: Row  = indexed("every",     FLAT, TRUTHS,  "1 where all hold along axes, else 0",   symbol="all", is_truth=True)
some: Row   = indexed("some",      FLAT, TRUTHS,  "1 where any holds along axes, else 0",  symbol="any", is_truth=True)
norm: Row   = indexed("norm",      FLAT, NORM,    "The Euclidean norm along axes; slope 0 at the origin.")
cumsum: Row = along_axis("cumsum", FLAT, CUMSUM,  "The running sum along an axis.")

# Products.
matmul: Row = row("matmul", FLAT2, MATMUL, "The product of matrices.", symbol="@")
# fmt: on

ARRAY_ROWS: Final = tuple(
    each for each in list(globals().values()) if isinstance(each, Row) and each.array is not None
)
