"""Rows as straight code on arrays: the same bits wherever a row is written, and the same truth."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tapegrad as tg
from tapegrad import math
from tapegrad import numpy as tnp
from tapegrad.ops import table as ops
from tapegrad.ops.array_code import Name, Script
from tapegrad.ops.elementwise import function_of
from tapegrad.ops.primitive import Primitive
from tapegrad.sweep.array_kernels import Want, pull_kernel
from tests.test_array_truth import TESTED, columns, judged, points_of
from tests.test_rows import by_name

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_a_row_has_the_same_bits_called_and_written_out(row: Primitive) -> None:
    """In lines, where others may share its steps, and as a function: on many numbers and few."""
    draw = random.Random(row.name)
    for count in (1, 3, 40):
        arrays, static = columns(points_of(row, draw, count, wide=True), row)
        names = [f"x{at}" for at in range(len(arrays))]
        script = Script(set())
        value = script.value(row, [*(Name(script, name) for name in names), *static])
        with np.errstate(all="ignore"):
            (written,) = script.code(names, (value,)).run(*arrays)
            assert_array_equal(written, function_of(row)(*arrays, *static))


@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_few_numbers_are_as_true_as_many(row: Primitive) -> None:
    """A row that goes number by number on small arrays has its bits or is within 4 ulps."""
    assert not judged(row, points_of(row, random.Random(row.name), 4, wide=False))


def test_an_expression_is_computed_once() -> None:
    """Its operands may come in another order, and it may be the value of the entry itself."""
    script = Script(set())
    x, y = Name(script, "x0"), Name(script, "x1")
    script.know(ops.mul, (x, y), "y")
    assert script.value(ops.mul, (y, x)) == "y"
    assert script.value(ops.sin, (x,)) == script.value(ops.sin, (x,))
    slopes = [cast(Name, ops.pow_dx(x, y)).text, cast(Name, ops.pow_dy(x, y)).text]
    assert sum("pow" in line and "rare" not in line for line in script.lines.values()) == 1
    assert {*slopes} <= {*script.lines}


@pytest.mark.parametrize("row", [x for x in TESTED if x.arity and not x.has_static], ids=by_name)
def test_lines_write_to_nothing_that_is_read_after_them(row: Primitive) -> None:
    """Nor to operands, the result, or its cotangent."""
    operands, _ = columns(points_of(row, random.Random(row.name), 20, wide=True), row)
    with np.errstate(all="ignore"):
        bar, y = RNG.normal(size=20), function_of(row)(*operands)
        given: list[Any] = [bar, y, *operands]
        kernel = cast(Any, pull_kernel(row, 0, 0, (Want.BOTH,) * len(operands), None))
        before = [x.tobytes() for x in given]
        x0, x1 = (*operands, None)[:2]
        shares = kernel.run(bar, None, y, x0, x1, None, None, None)[::2]
        assert [x.tobytes() for x in given] == before
        for at, share in enumerate(shares):
            slope: Any = row.partial(at, cast(Any, y), *cast(Any, operands))
            assert share is slope is None or np.array_equal(share, bar * slope, equal_nan=True)


def test_a_share_depends_on_its_own_numbers_alone() -> None:
    """Those beside it may lie where exponentials are infinite, lose digits, or are not numbers."""
    x = np.array([1.0, -5.0, 720.0, -720.0, 3.0, np.inf, -np.inf, np.nan, -800.0, 0.5])
    y = np.array([2.0, -5.5, 721.0, -719.0, -750.0, 1.0, -np.inf, 1.0, 30.0, np.inf])
    slopes = tg.grad(lambda p: tnp.logaddexp(p[0], p[1]).sum())
    many = slopes((x, y))
    for at in range(len(x)):
        alone = slopes((x[at : at + 1], y[at : at + 1]))
        assert_array_equal([each[at] for each in many], [each[0] for each in alone])
        number = tg.grad(lambda p: math.logaddexp(p[0], p[1]))((x.item(at), y.item(at)))
        assert np.allclose(
            [each[at] for each in many], number, rtol=1e-15, atol=0.0, equal_nan=True
        )


def test_lines_write_to_nothing_that_has_another_name() -> None:
    """A choice of a whole arm is that arm, and what holds everywhere is what was tested."""
    script = Script({"c"}, ["x0", "x1"])
    c, x, y = (Name(script, name) for name in ("c", "x0", "x1"))
    slope = ops.recip_re(1.0, ops.add(x, y))
    quotient = ops.div(1.0, ops.add(1.0, ops.mul(ops.add(x, y), ops.add(x, y))))
    found = [slope, ops.neg(quotient), ops.neg(ops.where(c, x, y))]
    run = script.code(["c", "x0", "x1"], [cast(Name, each).text for each in found]).run
    one, two = np.array([1.0, 2.0]), np.array([2.0, 3.0])
    assert_array_equal(run(1.0, one, two), [[0.1, 1 / 26], [-0.1, -1 / 26], [-1.0, -2.0]])
    assert_array_equal([one, two], [[1.0, 2.0], [2.0, 3.0]])


def test_where_a_spelling_does_not_hold_the_row_itself_is_called() -> None:
    """Only there: the elements beside it keep their bits."""
    x, y = np.array([3.0, 1e-300, 0.0, 2.0]), np.array([2.5, 2.0, 1.0, 0.5])
    for row in (ops.pow_dx, ops.div2, ops.direction):
        found: Any = row(cast(Any, x), cast(Any, y))
        assert found[1] == row.value(1e-300, 2.0)
        assert found[2] == row.value(0.0, 1.0)
        ordinary: Any = row(cast(Any, x[[0, 3]]), cast(Any, y[[0, 3]]))
        assert_array_equal(found[[0, 3]], ordinary)


@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_a_row_of_no_numbers_gives_none(row: Primitive) -> None:
    """As a function, and its slopes in a sweep: no test of what holds asks for a first number."""
    arrays, static = columns(points_of(row, random.Random(row.name), 1, wide=True), row)
    empty = [np.ones((0, 3)) for _ in arrays]
    assert function_of(row)(*empty, *static).shape == (0, 3)
    slopes = tg.grad(lambda xs: cast(Any, row(*xs, *static)).sum())(empty)
    assert [slope.shape for slope in slopes] == [(0, 3)] * len(empty)


def test_a_test_of_the_least_and_the_largest_number_stands_for_one_of_each() -> None:
    """Where it shows that a spelling holds, no condition is computed; a nan never shows it."""
    script = Script(set())
    value = script.value(ops.recip_re, [Name(script, "x0"), Name(script, "x1")])
    tests = [line for line in script.body([value]) if "argm" in line]
    assert ["argmin" in line and "argmax" in line for line in tests] == [True]
    assert all("rare" in line for line in script.body([value]) if "gt" in line)
    x, y = np.array([3.0, np.nan, 2.0]), np.array([1.0, 1.0, 1e-200])
    found: Any = ops.recip_re(cast(Any, x), cast(Any, y))
    assert [found[0], found[2]] == [0.3, ops.recip_re.value(2.0, 1e-200)]
    assert np.isnan(found[1])


def test_what_follows_from_another_test_is_not_tested() -> None:
    """A square and 1 are never below 1; a nan fails the test that is left."""
    script = Script(set())
    value = script.value(ops.recip_re, [1.0, Name(script, "x0")])
    tests = [line for line in script.body([value]) if "argm" in line]
    assert ["argmin" not in line and "argmax" in line for line in tests] == [True]
    x = np.array([2.0, np.nan, 1e200, np.inf, 0.0])
    found: Any = ops.recip_re(1.0, cast(Any, x))
    assert_array_equal(found, [ops.recip_re.value(1.0, each) for each in x.tolist()])


CHOICES: list[Callable[[Any, Any], Any]] = [
    lambda x, y: np.where(x > 0.0, x * y, y),
    lambda x, y: np.where(x > 0.0, np.sqrt(x), 0.0) * np.where(y > 0.0, np.log(y), x) + x,
    lambda x, y: np.where(x > 0.0, np.where(y > x, x * x, y * y), np.where(y > 0.0, y, x)) * x,
    lambda x, y: np.where((x > 0.0)[:, :1], y[0] * x, np.sin(x[:, :1])),
    lambda x, y: np.where([True, False, True], x, y) + np.where(x[0] > 0.0, x, 2.0) * y,
    lambda x, y: np.sum(np.where(x > 0.0, x, y), axis=0) * x[0] + np.where(x > 0.0, y, x) @ y.T,
    lambda x, y: (
        np.where(x > 0.0, x, y)[1:] * np.where(y > 0.0, x, y)[:1] + np.where(x > y, x, 1.0)[0]
    ),
    lambda x, y: np.where(x > 0.0, np.hypot(x, y), np.maximum(x, y)) / np.where(y > 0, y, -1.0),
    lambda x, y: np.where(np.sum(x) > 0.0, x, y) * y,
    lambda x, y: np.where(x < 0.5, x, y) + np.where(x > 0.0, x * x, y),
]


@pytest.mark.parametrize("f", CHOICES)
def test_choices_have_the_bits_of_recorded_ones(f: Callable[[Any, Any], Any]) -> None:
    """However shares under different conditions meet, in the shapes that operands have."""

    def total(p: Any) -> Any:
        z = f(p["x"], p["y"]) if p["x"].shape[0] == 3 else p["x"]
        for _ in range(3):
            z = np.where(z > 0.5, 0.5 * z, z + 0.25)
        return np.sum(z * z)

    point = {"x": RNG.normal(size=(3, 3)), "y": RNG.normal(size=(3, 3))}
    eager, recorded = tg.grad(total)(point), tg.record(tg.grad(total))(point).value
    for key in point:
        assert_array_equal(eager[key], recorded[key])
        assert_array_equal(np.signbit(eager[key]), np.signbit(recorded[key]))
