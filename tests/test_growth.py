"""Laws of growth: a derivative of a row of many operands takes linear time and linear space."""

from __future__ import annotations

import math as stdlib
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import math
from tapegrad.compile.lower import lower
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import MANY, Primitive
from tests.oracle import truth
from tests.strategies import same_bits
from tests.test_rows import is_close

VARIADIC = [row for row in ops.TABLE.rows if row.arity is None and not row.helper]
"""Every row that takes any number of operands and has a name in `tapegrad.math`."""

SHARING = [row for row in VARIADIC if row.name in {"hypot", "prod", "logsumexp"}]
"""Those whose partials read all other operands."""

Road = Callable[[Callable[[Any], Any], list[float]], object]


def by_name(row: Primitive) -> str:
    return row.name


def of_all(row: Primitive) -> Callable[[Sequence[Any]], Any]:
    """The row as a function of its operands in a sequence."""

    def apply(xs: Sequence[Any]) -> Any:
        return row(*xs)

    return apply


def point(count: int) -> list[float]:
    return [1.0 + 0.3 * stdlib.sin(3.0 * k) for k in range(count)]


def squared_slopes(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of the gradient of f, as a gradient penalty is."""
    return lambda xs: math.fsum(x * x for x in tg.grad(f)(xs))


def size(tape: tg.Tape[Any, Any, Any]) -> int:
    """Entries, and operands of those that have many."""
    return len(tape) + len(tape.columns.pool)


def size_of_program(tape: tg.Tape[Any, Any, Any], *, approximate: bool) -> int:
    program = lower(tape.columns, tape.outputs, approximate=approximate)
    return len(program.rows) + sum(map(len, program.operands))


def along(f: Callable[[Any], Any], xs: list[float]) -> Callable[[Any], Any]:
    """The function of one number that scales a point."""
    return lambda t: f([t * x for x in xs])


def ones(xs: Sequence[float]) -> list[float]:
    return [1.0] * len(xs)


RECORDED: dict[str, Callable[[Callable[[Any], Any], list[float]], tg.Tape[Any, Any, Any]]] = {
    "gradient": lambda f, xs: tg.record(tg.grad(f))(xs),
    "tangent": lambda f, xs: tg.record(lambda x: tg.jvp(f, x, ones(xs))[1])(xs),
    "gradient of a function of the gradient": lambda f, xs: tg.record(tg.grad(squared_slopes(f)))(
        xs
    ),
    "Hessian product": lambda f, xs: tg.record(lambda x: tg.hvp(f, x, ones(xs)))(xs),
    "Taylor series": lambda f, xs: tg.record(tg.taylor(along(f, xs), 3))(1.0),
}

COMPUTED: dict[str, Road] = {
    "gradient": lambda f, xs: tg.grad(f)(xs),
    "tangent": lambda f, xs: tg.jvp(f, xs, ones(xs)),
    "second order": lambda f, xs: tg.grad(squared_slopes(f))(xs),
    "Hessian product": lambda f, xs: tg.hvp(f, xs, ones(xs)),
    "Taylor series": lambda f, xs: tg.taylor(along(f, xs), 3)(1.0),
    "compiled gradient": lambda f, xs: tg.jit(tg.grad(f), backend="python", eager_first=False)(xs),
    "columns of gradients": lambda f, xs: tg.vmap(tg.grad(f), backend="numpy")([xs, xs]),
}


@pytest.mark.parametrize("row", VARIADIC, ids=by_name)
@pytest.mark.parametrize("road", RECORDED)
def test_what_is_recorded_doubles_with_the_operands(row: Primitive, road: str) -> None:
    """Entries and operands of twice as many numbers are about twice as many."""
    small, large = (size(RECORDED[road](of_all(row), point(count))) for count in (20, 40))
    assert large <= 2.2 * small


@pytest.mark.parametrize("approximate", [False, True])
@pytest.mark.parametrize("row", VARIADIC, ids=by_name)
def test_compiled_code_doubles_with_the_operands(row: Primitive, *, approximate: bool) -> None:
    """The program of a gradient and of a second-order gradient, in `jit` and in `vmap`."""
    for f in (of_all(row), squared_slopes(of_all(row))):
        small, large = (
            size_of_program(tg.record(tg.grad(f))(point(count)), approximate=approximate)
            for count in (20, 40)
        )
        assert large <= 2.2 * small


def calls(run: Callable[[], object]) -> int:
    """How many functions a computation calls."""
    count = 0

    def see(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    run()
    sys.setprofile(see)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("row", VARIADIC, ids=by_name)
@pytest.mark.parametrize("road", COMPUTED)
def test_what_is_computed_doubles_with_the_operands(row: Primitive, road: str) -> None:
    """The functions that are called for twice as many numbers are about twice as many."""
    small, large = (
        calls(lambda count=count: COMPUTED[road](of_all(row), point(count)))  # type: ignore[misc]  # a default binds the count
        for count in (20, 40)
    )
    assert large <= 2.2 * small


MAGNITUDES = (
    st.floats(-3.0, 3.0),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e200, -1e-200, 3e150, 7e-180, 2.0]),
    st.sampled_from([0.0, 1.5, -2.5, 1e-3]),
    st.sampled_from([5e-324, 1e-310, 1e300, 1.7e308]),
)


def many(low: int = MANY + 1, high: int = 0) -> st.SearchStrategy[list[float]]:
    """Many operands: of everyday size, of any, zeros, and such as leave the range on the way."""
    return st.sampled_from(MAGNITUDES).flatmap(
        lambda numbers: st.lists(numbers, min_size=low, max_size=high or low)
    )


@pytest.mark.parametrize("row", SHARING, ids=by_name)
def test_partials_of_many_operands_are_accurate(row: Primitive) -> None:
    """Within 4 units in the last place, whatever products and squares leave the range."""

    @settings(max_examples=25)
    @given(many(high=24), st.integers(0, 99))
    @example([0.0, *[2.0] * 11], 0)
    @example([0.0, 0.0, *[2.0] * 11], 1)
    @example([1e200, 1e200, 1e-300, 1e-300, *[1.5] * 8], 2)
    @example([1e300] * 12, 0)
    @example([3e-320] * 12, 0)
    def holds(xs: list[float], pick: int) -> None:
        slopes = cast("list[float]", tg.grad(of_all(row))(xs))
        for index in {0, pick % len(xs), len(xs) - 1}:
            want = truth(row.name, index, *xs)
            assert is_close(row, "partials", slopes[index], want, xs), (index, slopes[index])

    holds()


SPECIAL = st.sampled_from(
    [0.0, -0.0, 1.0, -2.0, 1e300, 5e-324, stdlib.inf, -stdlib.inf, stdlib.nan]
)


@pytest.mark.parametrize("row", SHARING, ids=by_name)
def test_partials_of_many_operands_have_the_same_bits_on_every_road(row: Primitive) -> None:
    """Computed, recorded, compiled, and replayed from a point at which nothing is rare."""
    f = of_all(row)
    compiled = tg.jit(tg.grad(f), eager_first=False)

    @settings(max_examples=20)
    @given(st.one_of(many(12), st.lists(SPECIAL, min_size=12, max_size=12)))
    @example([stdlib.inf, *[1.0] * 11])
    @example([stdlib.inf, 0.0, *[1.0] * 10])
    @example([stdlib.inf, stdlib.nan, *[1.0] * 10])
    def holds(xs: list[float]) -> None:
        eager = cast("list[float]", tg.grad(f)(xs))
        tape = tg.record(tg.grad(f))
        found = [tape(xs).value, tape(point(len(xs))).replay(xs).value, compiled(xs)]
        for other in found:
            assert all(map(same_bits, cast("list[float]", other), eager))

    holds()


def test_one_infinity_among_many_points_along_its_axis() -> None:
    """The direction is that of the infinity, and nan between several."""
    lone, two = [1.0] * 12, [1.0] * 12
    lone[3], two[3], two[4] = -stdlib.inf, stdlib.inf, stdlib.inf
    assert tg.grad(of_all(ops.hypot))(lone) == [-1.0 if k == 3 else 0.0 for k in range(12)]
    assert all(map(stdlib.isnan, cast("list[float]", tg.grad(of_all(ops.hypot))(two))))


def test_products_of_many_curve_beside_zeros() -> None:
    """The second derivative of a product in the two factors that are 0 is that of the others."""
    xs = [1.0 + k / 8.0 for k in range(12)]
    xs[2] = xs[7] = 0.0
    rest = stdlib.prod(x for x in xs if x)
    hessian = tg.hessian(of_all(ops.prod))(xs)
    for row, line in hessian.items():
        for column, got in line.items():
            want = rest if {row, column} == {"2", "7"} else 0.0
            assert stdlib.isclose(got, want, rel_tol=1e-14), (row, column)
