"""Laws of `grad(f, exact=True)`: shares of a derivative that cancel leave its digits."""

from __future__ import annotations

import math as stdlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from fractions import Fraction
from typing import Any, cast

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import math
from tapegrad.errors import GuardError
from tests.strategies import Program, points, programs, same_bits

FINITE = st.floats(-1e280, 1e280)
SCALES = st.sampled_from([1.0, 1e-200, 1e16, 1e-16, 3e5])


def fan_out(weights: Sequence[float]) -> Callable[[Any], Any]:
    """A function in which one number gets the weights as shares of its derivative."""

    def f(x: Any) -> Any:
        y = x * 1.0
        return math.sum(w * y for w in weights)

    return f


def cancelling() -> st.SearchStrategy[list[float]]:
    """Shares of which most cancel, in any order."""
    parts = st.lists(st.tuples(FINITE, SCALES).map(stdlib.prod), min_size=1, max_size=12)
    whole = st.tuples(parts, st.lists(FINITE, max_size=3))
    return whole.flatmap(
        lambda drawn: st.permutations([*drawn[0], *(-w for w in drawn[0]), *drawn[1]])
    )


@given(cancelling())
@example([1e16, 1.0, -1e16])
@example([1e30, 1e14, 1.0, -1e14, -1e30])
def test_shares_are_summed_as_with_twice_the_digits(weights: list[float]) -> None:
    """Within a unit in the last place, and 2**-100 of the shares' absolute sum."""
    want = sum(map(Fraction, weights))
    sizes = sum(abs(Fraction(w)) for w in weights)
    assume(sizes < Fraction(1e307))
    got = tg.grad(fan_out(weights), exact=True)(3.0)
    assert abs(Fraction(got) - want) <= Fraction(stdlib.ulp(got)) + sizes * Fraction(2) ** -100


def test_ten_thousand_shares_that_cancel_leave_one() -> None:
    """Where the sum one by one has lost more than the answer."""
    weights = [stdlib.sin(k) * 10.0 ** (k % 13) for k in range(5_000)]
    weights = [*weights, 1.0, *(-w for w in weights)]
    assert abs(tg.grad(fan_out(weights))(3.0) - 1.0) > 1e-6
    assert tg.grad(fan_out(weights), exact=True)(3.0) == 1.0


SPECIAL = st.sampled_from([stdlib.inf, -stdlib.inf, stdlib.nan, 1e308, -1e308, 1.0, 0.0])


@given(st.lists(SPECIAL, min_size=1, max_size=6))
def test_what_is_not_finite_is_as_without(weights: list[float]) -> None:
    """An infinity stays one, and nan nan: what was lost beside them counts for nothing."""
    plain = tg.grad(fan_out(weights))(3.0)
    if not stdlib.isfinite(plain):
        assert same_bits(tg.grad(fan_out(weights), exact=True)(3.0), plain)


@settings(max_examples=40)
@given(programs(), st.data())
def test_every_road_has_the_bits_of_the_eager_sum(program: Program, data: Any) -> None:
    """Recorded, replayed from another point, and compiled."""
    point, other = (data.draw(points(program.width)) for _ in range(2))
    exact = tg.grad(program, exact=True)
    eager = exact(point)
    tape = tg.record(exact)(point)
    found = [tape.value, tg.jit(exact, backend="python", eager_first=False)(point)]
    with suppress(GuardError):
        found.append(tg.record(exact)(other).replay(point).value)
    for road in found:
        assert all(map(same_bits, road, eager)), (road, eager)


def shared(xs: Sequence[Any]) -> Any:
    """Numbers that are used many times, also on arms that are not selected."""
    x, y, z = xs
    t = math.exp(x) * y
    u = tg.where(x > y, math.log(x - y) * t, t * z)
    v = tg.where(t > z, u * t, math.sqrt(z - t) + t)
    return u * v + t * t - t * z + math.hypot(t, u, v, *[t * k for k in range(9)])


POINTS = [(0.3, 1.2, 5.0), (1.2, 0.3, -2.0), (0.5, 0.5, 0.5), (0.0, 0.0, 0.0), (2.0, -1.0, 3.0)]


@pytest.mark.parametrize("backend", ["python", "llvm"])
def test_compiled_code_has_the_bits_of_the_eager_sum(backend: Any) -> None:
    """From the first call and from the second one on, whichever arms are selected."""
    exact = tg.value_and_grad(shared, exact=True)
    run = tg.jit(exact, backend=backend, eager_first=False)
    for xs in POINTS * 2:
        want, got = exact(xs), run(xs)
        assert all(map(same_bits, (got.value, *got.grad), (want.value, *want.grad)))


def test_rows_of_a_batch_have_the_bits_of_one_row() -> None:
    """Additions and products are the same on columns."""

    def f(x: Any) -> Any:
        y = x * x
        return math.sum((w + x) * y for w in (1e16, 1.0, -1e16, 3.0))

    exact = tg.grad(f, exact=True)
    rows = [0.5, 3.0, -7.25]
    for backend in ("numpy", "llvm"):
        batch = tg.vmap(exact, backend=cast(Any, backend))(rows)
        assert list(cast("list[float]", batch)) == [exact(x) for x in rows]


def test_a_replay_may_select_the_other_arm() -> None:
    """What was lost on an arm that is not selected counts for nothing."""
    recorded = tg.record(tg.grad(shared, exact=True))
    for start in POINTS:
        for xs in POINTS:
            want = tg.grad(shared, exact=True)(xs)
            assert all(map(same_bits, recorded(start).replay(xs).value, want))


def test_a_checkpoint_changes_no_bit() -> None:
    """What is lost before a block is continued inside it, computed and recorded."""

    @tg.checkpoint
    def step(x: Any, y: Any) -> Any:
        return 1e16 * x + y * x - 1e16 * x

    def plain(x: Any, y: Any) -> Any:
        return 1e16 * x + y * x - 1e16 * x

    def chain(block: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
        def f(p: tuple[Any, Any]) -> Any:
            x, y = p[0] * 1.0, p[1] * 1.0
            z = block(x, y)
            return block(z, x) + x * y + 3e15 * x - 3e15 * x

        return f

    blocks, without = (tg.grad(chain(block), exact=True) for block in (step, plain))
    for p in ((3.0, 0.7), (-0.1, 2.5)):
        assert blocks(p) == without(p) == tg.record(blocks)(p).value
    assert without((3.0, 0.7)) != tg.grad(chain(plain))((3.0, 0.7))


@settings(max_examples=30)
@given(programs(3), st.data())
def test_a_number_that_is_used_once_needs_no_sum(program: Program, data: Any) -> None:
    """A chain of operations has the gradient that it has without."""
    point = data.draw(points(program.width))

    def chain(x: Any) -> Any:
        return math.tanh(math.exp(-math.sin(x) / 2.0) * 3.0)

    for x in point:
        assert same_bits(tg.grad(chain)(x), tg.grad(chain, exact=True)(x))


def test_exact_sums_are_differentiated_as_sums() -> None:
    """What is lost is no function of the inputs, and the second derivative is the same."""

    def f(x: Any) -> Any:
        y = math.sin(x)
        return y * y * y + math.exp(y) * y

    for transform in (tg.grad, tg.hessian, lambda g: lambda x: tg.jvp(g, x, 1.0)[1]):
        plain, exact = (cast(Any, transform)(tg.grad(f, exact=e))(0.7) for e in (False, True))
        if isinstance(plain, dict):
            plain, exact = plain["x"]["x"], exact["x"]["x"]
        assert stdlib.isclose(plain, exact, rel_tol=1e-14)


def test_the_price_is_two_entries_for_each_addition() -> None:
    """What an addition loses, and the sum of that; the last such sum is a correction."""

    def f(xs: Sequence[Any]) -> Any:
        return math.sum(xs[0] * x for x in xs[1:])

    def size(count: int, *, exact: bool) -> int:
        return len(tg.record(tg.grad(f, exact=exact))([1.0 + k for k in range(count)]))

    for count in (10, 20):
        additions = count - 2
        assert size(count, exact=True) - size(count, exact=False) == 2 * additions


def test_aux_comes_out_beside_an_exact_gradient() -> None:
    """The two options do not know of each other."""

    def f(x: Any) -> tuple[Any, str]:
        return x * x, "aux"

    assert tg.grad(f, has_aux=True, exact=True)(3.0) == (6.0, "aux")
    assert tg.value_and_grad(f, has_aux=True, exact=True)(3.0) == ((9.0, "aux"), 6.0)
