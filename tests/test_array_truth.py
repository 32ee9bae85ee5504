"""The truth of arrays: every row of numbers goes element by element as on numbers, to any order.

The points are those of ``test_accuracy``; mpmath judges what has not the bits that numbers give.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from typing import Any, TypeAlias, cast

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import numpy as tnp
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tests.oracle import ulps
from tests.strategies import same_bits
from tests.test_accuracy import ROWS, is_accurate, operands
from tests.test_rows import CURVED, SLOW, by_name, nested, on_one_argument

Array: TypeAlias = NDArray[np.float64]
Point: TypeAlias = tuple[float, ...]

EPS = sys.float_info.epsilon
TESTED = [row for row in ROWS if row.is_operation]
TWO = [row for row in TESTED if row.arity == 2]

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def columns(points: Sequence[Point], row: Primitive) -> tuple[list[Array], Point]:
    """One array for each operand, and the static operand, which the points share."""
    count = len(points[0]) - row.has_static
    return [np.array([xs[i] for xs in points]) for i in range(count)], points[0][count:]


def points_of(row: Primitive, draw: random.Random, count: int, *, wide: bool) -> list[Point]:
    """Points with one static operand, anywhere in the domain or of everyday size."""
    found = [operands(draw, row)]
    width = len(found[0]) - row.has_static
    tries = 0
    while len(found) < count:
        xs, tries = operands(draw, row), tries + 1
        plain = wide or tries > 100 * count or all(1e-3 < abs(x) < 30.0 for x in xs[:width])
        if len(xs) - row.has_static == width and plain:
            found.append(xs[:width] + found[0][width:])
    return found[0 if wide else 1 :]


def off(row: Primitive, index: int | None, got: Any, points: Sequence[Point]) -> list[str]:
    """Elements that have neither the bits that the row has on numbers nor the true value."""
    wrong = []
    for one, xs in zip(np.broadcast_to(got, len(points)).tolist(), points, strict=True):
        y = row.value(*xs)
        number = y if index is None else cast(float, row.partial(index, y, *xs))
        if not same_bits(float(one), number) and not is_accurate(row, index, float(one), xs):
            wrong.append(f"{row.name}{xs}, {index}: {one}, on numbers {number}")
    return wrong


def judged(row: Primitive, points: Sequence[Point]) -> list[str]:
    """What is wrong with the value of a row on arrays and with its partials."""
    arrays, static = columns(points, row)
    with np.errstate(all="ignore"):
        y: Any = row(*cast(Any, arrays), *static)
        partial_in = row.each_partial(y, *cast(Any, arrays), *static)
        found = off(row, None, y, points)
        for index in () if row.helper else range(len(arrays)):
            partial = partial_in(index)
            found += [] if partial is None else off(row, index, partial, points)
    return found


@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_a_row_on_arrays_is_the_row_on_numbers(row: Primitive) -> None:
    """Its value and its partials, over the double range and where nothing is rare.

    They have the bits of numbers, or are within 4 units in the last place of the truth.
    """
    for wide, start in product((True, False), range(3 if row.has_static else 1)):
        draw = random.Random(f"{row.name} {wide} {start}")
        assert not judged(row, points_of(row, draw, 30, wide=wide))


@pytest.mark.slow
@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_a_row_on_many_numbers_is_the_row_on_numbers(row: Primitive) -> None:
    """The same with a thousand points."""
    for wide in (True, False):
        draw = random.Random(f"many {row.name} {wide}")
        count = 100 if row.name in SLOW else 1000
        assert not judged(row, points_of(row, draw, count, wide=wide))


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, math.inf, -math.inf, math.nan, 5e-324, 1e308, -1e308, 3.0]


@pytest.mark.parametrize("row", ops.TABLE.rows[4:], ids=by_name)
def test_nan_infinities_zeros_and_ties_are_as_on_numbers(row: Primitive) -> None:
    """The value and the partials at every pair of special numbers."""
    width = row.arity if row.arity is not None else 2
    given = list(product(SPECIAL, repeat=min(width, 2)))
    points = [(*(xs + xs)[:width], *(3,) * row.has_static) for xs in given]
    arrays, static = columns(points, row)
    with np.errstate(all="ignore"):
        y: Any = row(*cast(Any, arrays), *static)
        partial_in = row.each_partial(y, *cast(Any, arrays), *static)
        partials: list[Any] = [partial_in(i) for i in range(0 if row.name == "where" else width)]
    for at, xs in enumerate(points):
        number = row.value(*xs)
        assert is_like(np.broadcast_to(y, len(points))[at], number), xs
        for index, partial in enumerate(partials):
            if partial is not None:
                value = float(np.broadcast_to(y, len(points))[at])  # that of numbers, or as true
                wanted = cast(float, row.partial(index, value, *xs))
                assert is_like(np.broadcast_to(partial, len(points))[at], wanted), (index, xs)


@pytest.mark.parametrize("row", [row for row in TESTED if not row.helper], ids=by_name)
def test_swept_slopes_at_special_numbers_are_as_on_numbers(row: Primitive) -> None:
    """Those of a sweep, which spells partials by what it knows of values, to the last zero."""
    width = row.arity or 2
    given = list(product(SPECIAL, repeat=min(width, 2)))
    points = [(*(xs + xs)[:width], *(3,) * row.has_static) for xs in given]
    arrays, static = columns(points, row)
    found = tg.grad(summed(row, static))(arrays)
    values: Any = row(*cast(Any, arrays), *static)
    for index, slopes_in in enumerate(found):
        for at, xs in enumerate(points):
            value = float(np.broadcast_to(values, len(points))[at])
            wanted = cast("float | None", row.partial(index, value, *xs))
            assert is_like(slopes_in[at], 0.0 if wanted is None else wanted), (index, xs)


def is_like(got: Any, want: float) -> bool:
    """The same number, or an ordinary one within 4 units in the last place."""
    return same_bits(float(got), want) or (
        got == got and want != 0.0 and ulps(float(got), want) <= 4.0
    )


# Derivatives.


def summed(row: Primitive, static: Point) -> Callable[[Sequence[Any]], Any]:
    """The sum of a row over the elements of its operands, whose slopes are those of numbers."""
    return lambda xs: row(*xs, *static).sum()  # type: ignore[union-attr]  # of an array


def slopes(f: Callable[[Any], Any], index: int, order: int) -> Callable[[Any], Any]:
    """The derivative of that order in one operand, for each element by itself."""
    if order == 0:
        return f
    inner = slopes(f, index, order - 1)
    return lambda xs: tg.grad(inner)(xs)[index].sum()


def everyday(row: Primitive, draw: random.Random) -> Point:
    """Operands at which derivatives are moderate."""
    width = (row.arity or 3) * (2 if row.name == "dot" else 1)
    intervals = row.domain if len(row.domain) == width else row.domain[:1] * width
    return tuple(
        draw.uniform(max(low, -3.0) + 0.1, min(high, 3.0) - 0.1) for low, high in intervals
    )


@pytest.mark.parametrize("row", CURVED, ids=by_name)
def test_higher_derivatives_are_those_of_numbers(row: Primitive) -> None:
    """The second and the third, to 32 eps of the largest magnitude on the tape of numbers."""
    if not list(row.differentiated_operands(2)):
        return
    draw = random.Random(row.name)
    points = [everyday(row, draw) for _ in range(3)]
    arrays, _ = columns(points, row)
    for order in (2, 3):
        index = draw.randrange(len(arrays))
        got = tg.grad(slopes(summed(row, ()), index, order - 1))(arrays)[index]
        for one, xs in zip(got.tolist(), points, strict=True):
            tape = tg.record(nested(on_one_argument(row), index, [False] * order))(xs)
            largest = max(abs(node.value) for node in tape if not hasattr(node, "outcome"))
            assert abs(one - tape.value) <= 32.0 * EPS * largest, (order, index, xs)


@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_recorded_replayed_and_forward_gradients_are_the_eager_one(row: Primitive) -> None:
    """To the bit, at the point of the recording and at another; forward to rounding."""
    if row.helper or not list(row.differentiated_operands(2)):
        return
    draw = random.Random(row.name)
    points = points_of(row, draw, 8, wide=False)
    arrays, static = columns(points, row)
    others = [x[::-1].copy() for x in arrays]
    f = summed(row, static)
    tape, plain = tg.record(tg.grad(f))(arrays), tg.record(f)(arrays)
    for found in (tape.value, plain.gradient(), tape.replay(others).replay(arrays).value):
        assert_array_equal(found, tg.grad(f)(arrays))
    assert_array_equal(tape.replay(others).value, tg.grad(f)(others))
    for index, slope in enumerate(tg.grad(f)(arrays)):
        if not np.isfinite(slope).all():
            continue
        along = [np.ones(7 if i == index else x.shape) * (i == index) for i, x in enumerate(arrays)]
        assert abs(tg.jvp(f, arrays, along)[1] - slope.sum()) <= 8.0 * EPS * abs(slope).sum()


# Shapes.


SHAPES = [((3, 1), (4,)), ((2, 3), ()), ((), (2, 3)), ((4,), (2, 3, 4)), ((2, 1, 3), (1, 4, 1))]


@pytest.mark.parametrize("row", TWO, ids=by_name)
def test_operands_are_broadcast(row: Primitive) -> None:
    """The value is that of the repeated operands, and slopes are summed where these repeat."""
    draw = random.Random(row.name)
    for shapes in SHAPES:
        xs = [
            np.array([everyday(row, draw)[i] for _ in range(math.prod(shape))]).reshape(shape)
            for i, shape in enumerate(shapes)
        ]
        given: Any = [x if x.shape else float(x) for x in xs]
        wide: Any = [x.copy() for x in np.broadcast_arrays(*xs)]
        assert_array_equal(row(*given), row(*wide))
        if row.helper or not list(row.differentiated_operands(2)):
            continue
        f = summed(row, ())
        for got, x, full in zip(tg.grad(f)(given), given, tg.grad(f)(wide), strict=True):
            wanted, size = sum_to(full, np.shape(x)), sum_to(abs(full), np.shape(x))
            assert np.shape(got) == np.shape(x)
            assert np.all(abs(got - wanted) <= 4.0 * EPS * size)


def sum_to(full: Any, shape: tuple[int, ...]) -> Any:
    """A sum over the axes along which an operand of that shape was repeated."""
    lead = full.ndim - len(shape)
    inner = [lead + at for at, n in enumerate(shape) if n == 1 != full.shape[lead + at]]
    return full.sum(axis=(*range(lead), *inner)).reshape(shape)


# Sums and products.


def exactly(numbers: Any) -> tuple[Fraction, Fraction]:
    """The sum of products of numbers, and of their magnitudes."""
    terms = [math.prod(map(Fraction, factors), start=Fraction(1)) for factors in numbers]
    return sum(terms, Fraction(0)), sum(map(abs, terms), Fraction(0))


def assert_sums(got: Any, terms: Any) -> None:
    """Each element is the sum of its terms, to 4 eps of their magnitudes."""
    for one, of in zip(np.ravel(got).tolist(), terms, strict=True):
        total, size = exactly(of)
        assert abs(Fraction(one) - total) <= 4 * Fraction(EPS) * size


def test_sums_are_accurate() -> None:
    """Along any axes, and of numbers that cancel: 4 eps of the magnitudes."""
    x = np.random.default_rng(0).normal(size=(7, 5, 3)) * 10.0 ** np.arange(3)
    assert_sums(tnp.sum(x), [[(n,) for n in x.flat]])
    assert_sums(tnp.sum(x, axis=(0, 2)), [[(n,) for n in x[:, i].flat] for i in range(5)])
    assert_sums(tg.grad(lambda x: (x.cumsum(0) * x).sum())(x[:, 0, 0]), [
        [*((n, 1) for n in x[:, 0, 0]), (x[at, 0, 0], 1)] for at in range(7)
    ])  # fmt: skip


PRODUCTS = [
    ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 5)), ((3, 4), (4, 5)), ((2, 3, 4), (4, 5)),
    ((2, 3, 4), (4,)), ((4,), (2, 4, 5)), ((2, 3, 4), (2, 4, 5)), ((3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (3, 4, 2)), ((1, 3, 4), (2, 4, 5)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", PRODUCTS)
def test_products_of_matrices_are_accurate(shapes: Any) -> None:
    """The value and both slopes: 4 eps of the magnitudes of their terms."""
    rng = np.random.default_rng(1)
    x, y = (rng.normal(size=shape) for shape in shapes)
    z = x @ y
    weights = rng.normal(size=z.shape)
    given = {"x": x, "y": y}
    found = tg.grad(lambda p: tnp.sum((p["x"] @ p["y"]) * weights))(given)
    exact_z, size_z = exact_product(x, y)
    assert np.all(abs(z - exact_z) <= 4.0 * EPS * size_z)
    for key in "xy":
        wanted, size = exact_slope(given, key, weights)
        assert np.all(abs(found[key] - wanted) <= 4.0 * EPS * size), key


def exact_product(x: Array, y: Array) -> tuple[Any, Any]:
    """A product in long doubles, and that of the magnitudes."""
    wide, tall = x.astype(np.longdouble), y.astype(np.longdouble)
    return wide @ tall, abs(wide) @ abs(tall)


def exact_slope(given: dict[str, Array], key: str, weights: Any) -> tuple[Any, Any]:
    """The slope of a weighted sum of the elements of a product, element by element."""
    wanted, size = np.zeros(given[key].shape, "g"), np.zeros(given[key].shape, "g")
    for index in np.ndindex(given[key].shape):
        unit = np.zeros(given[key].shape)
        unit[index] = 1.0
        moved = {**given, key: unit}
        z, z_size = exact_product(moved["x"], moved["y"])
        wanted[index], size[index] = (z * weights).sum(), (z_size * abs(weights)).sum()
    return wanted, size


# Aliasing.


TWICE = np.array([[2.0], [0.0], [1.0], [0.0]])

ALIASED: list[tuple[str, Callable[[Any], Any], Callable[[Array], Any]]] = [
    ("x + x", lambda x: (x + x).sum(), lambda x: 2.0 + 0.0 * x),
    ("x * x", lambda x: (x * x).sum(), lambda x: 2.0 * x),
    ("x.T @ x", lambda x: (x.T @ x).sum(), lambda x: 2.0 * np.ones((4, 4)) * x.sum(1)[:, None]),
    ("x[1:] * x[:-1]", lambda x: (x[1:] * x[:-1]).sum(), lambda x: shifted(x, 1) + shifted(x, -1)),
    ("x * x.T", lambda x: (x * x.T).sum(), lambda x: 2.0 * x.T),
    ("x[::-1] - x", lambda x: (x[::-1] - x).sum(), lambda x: 0.0 * x),
    ("x[[0, 0, 2]]", lambda x: x[np.array([0, 0, 2])].sum(), lambda x: 0.0 * x + TWICE),
]  # fmt: skip


def shifted(x: Array, by: int) -> Array:
    """Rows moved on, with zeros at the end."""
    found = np.zeros(x.shape)
    found[max(by, 0) : len(x) + min(by, 0)] = x[max(-by, 0) : len(x) - max(by, 0)]
    return found


@pytest.mark.parametrize(
    ("f", "slope"), [case[1:] for case in ALIASED], ids=[c[0] for c in ALIASED]
)
def test_what_is_read_twice_receives_both_shares(
    f: Callable[[Any], Any], slope: Callable[[Array], Any]
) -> None:
    """An array beside itself, its views and parts that overlap."""
    x = np.arange(16.0).reshape(4, 4) / 8.0
    kept = x.copy()
    found = tg.grad(f)(x)
    assert_array_equal(found, slope(x))
    assert_array_equal(tg.record(tg.grad(f))(x).value, found)
    assert_array_equal(x, kept)
