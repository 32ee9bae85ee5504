"""vmap: rows through compiled code, on every path that they take, against the eager calls."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import fsum, inf, isnan, nan
from pathlib import Path
from typing import Any, Generic, NamedTuple

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import Real, errors, math
from tapegrad import numpy as tnp
from tapegrad.batch.reduce import BLOCK, LANES, PairwiseSum, partial_sum
from tests.places import place, refusal, warned_at
from tests.strategies import ordinary, programs, smooth

Floats = NDArray[np.float64]

BACKENDS: list[Any] = ["llvm", "numpy"]


@attrs.frozen
class Market(Generic[Real]):
    spot: Real
    volatility: Real
    name: str = "x"


class Quote(NamedTuple, Generic[Real]):
    strike: Real
    years: Real


def normals(rows: int, *shape: int) -> Floats:
    return np.random.default_rng(rows).standard_normal((rows, *shape))


def price(market: Market[Real], quote: Quote[float]) -> Real:
    """A smooth program of a model and a row."""
    width = market.volatility * quote.years
    upper = math.log(market.spot / quote.strike) / width + 0.5 * width
    return market.spot * math.norm_cdf(upper) - quote.strike * math.norm_cdf(upper - width)


def barrier(market: Market[Real], steps: Sequence[float]) -> Real:
    """As many paths as steps: it ends where the price rises above the barrier."""
    spot = market.spot
    for index, step in enumerate(steps):
        spot = spot * math.exp(market.volatility * step)
        if spot > 130.0:
            return spot * 0.5 + index
    return math.relu(spot - 100.0)


def root(x: Real) -> Real | float:
    """Newton's iteration until it stands still: rows take as many rounds as they need."""
    y: Real | float = 1.0
    step: Real | float = 1.0
    while math.fabs(step) > 1e-9:
        step = (y * y - x) / (2.0 * y)
        y = y - step
    return y


MARKET = Market(100.0, 0.1)


def close(found: object, expected: object, tolerance: float = 1e-13) -> bool:
    return bool(np.allclose(np.asarray(found), np.asarray(expected), tolerance, tolerance))


def flat(result: Any) -> list[float]:
    """The numbers of a value and a gradient."""
    gradient = result.grad
    if isinstance(gradient, Mapping):
        return [result.value, *gradient.values()]
    if isinstance(gradient, Market):
        return [result.value, gradient.spot, gradient.volatility]
    if isinstance(gradient, float):
        return [result.value, gradient]
    return [result.value, *gradient]


def summed(rows: Sequence[Sequence[float]]) -> list[float]:
    return [fsum(column) for column in zip(*rows, strict=True)]


class TestTheLaw:
    """A batch gives the answers of the eager calls, row by row."""

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_of_a_smooth_program(self, backend: Any) -> None:
        """Values and gradients are those of the eager calls to rounding."""
        quotes: Any = Quote(np.linspace(80.0, 120.0, 50), np.linspace(0.5, 2.0, 50))
        batch: Any = tg.vmap(tg.value_and_grad(price), in_axes=(None, 0), backend=backend)
        values, slopes = batch(MARKET, quotes)
        eager = tg.value_and_grad(price)
        for row in range(50):
            one: Quote[float] = Quote(float(quotes.strike[row]), float(quotes.years[row]))
            value, gradient = eager(MARKET, one)
            assert close(values[row], value)
            assert close(
                [slopes.row(row).spot, slopes.row(row).volatility], attrs.astuple(gradient)[:2]
            )
        assert slopes.paths == ("spot", "volatility")
        assert slopes.row(3).name == "x"

    @pytest.mark.parametrize("backend", BACKENDS)
    @pytest.mark.parametrize("reduce", ["sum", "mean"])
    def test_of_sums(self, backend: Any, reduce: Any) -> None:
        """Sums and means have the function's own types, and are those of the eager answers."""
        steps = normals(300, 3)
        batch = tg.vmap(
            tg.value_and_grad(barrier), in_axes=(None, 0), backend=backend, reduce=reduce
        )
        found = batch(MARKET, steps)
        assert isinstance(found, tg.ValueAndGrad)
        assert isinstance(found.grad, Market)
        assert found.grad.name == "x"
        rows = [flat(tg.value_and_grad(barrier)(MARKET, tuple(row))) for row in steps.tolist()]
        expected = summed(rows)
        assert close(flat(found), [x / (300 if reduce == "mean" else 1) for x in expected])

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_of_paths(self, backend: Any) -> None:
        """A row runs on the path that the eager call takes, which is recorded once."""
        steps, market = normals(500, 6), Market(115.0, 0.1)
        batch = tg.vmap(tg.value_and_grad(barrier), in_axes=(None, 0), backend=backend)
        for _ in range(2):
            values, slopes = batch(market, steps)
            for row in range(500):
                expected = tg.value_and_grad(barrier)(market, tuple(steps[row].tolist()))
                got = [float(values[row]), slopes.row(row).spot, slopes.row(row).volatility]
                assert close(got, flat(expected))
            assert len(batch.tapes) == 7

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_of_loops_to_convergence(self, backend: Any) -> None:
        """Each row takes as many rounds as it needs."""
        x = np.geomspace(1e-3, 1e3, 200)
        values, slopes = tg.vmap(tg.value_and_grad(root), backend=backend)(x)
        assert close(values, np.sqrt(x), 1e-12)
        assert close(slopes.column("x"), 0.5 / np.sqrt(x), 1e-6)

    @settings(max_examples=15)
    @given(smooth(4), st.data())
    def test_of_random_programs(self, program: Any, data: st.DataObject) -> None:
        """Any smooth program: the gradient of each row, on both backends."""
        rows = data.draw(st.lists(st.tuples(*[ordinary] * program.width), min_size=1, max_size=9))
        eager = [flat(tg.value_and_grad(program)(row)) for row in rows]
        for backend in BACKENDS:
            batch: Any = tg.vmap(tg.value_and_grad(program), backend=backend)
            values, slopes = batch(np.array(rows))
            columns = [values, *(slopes.column(path) for path in slopes.paths)]
            found = np.stack([np.asarray(column) for column in columns], axis=1)
            assert np.allclose(found, eager, 1e-9, 1e-9, equal_nan=True)

    # Drawn once and for all: a comparison of equal numbers may be decided by the last digit.
    @settings(max_examples=30, derandomize=True)
    @given(programs(5), st.data())
    def test_of_random_branching_programs(self, program: Any, data: st.DataObject) -> None:
        """Any program with branches: the value of each row, on both backends."""
        rows = data.draw(st.lists(st.tuples(*[ordinary] * program.width), min_size=1, max_size=9))
        eager = [tg.record(program)(row).value for row in rows]
        for backend in BACKENDS:
            values = tg.vmap(program, backend=backend)(np.array(rows))
            assert np.allclose(np.asarray(values), eager, 1e-9, 1e-9, equal_nan=True)

    def test_of_edges(self) -> None:
        """inf and nan come out where the eager calls give them, and warn of nothing."""
        x = np.array([-1.0, 0.0, inf, nan, 4.0])

        def f(y: Real) -> Real:
            return math.sqrt(y) + math.log(y)

        values, slopes = tg.vmap(tg.value_and_grad(f))(x)
        eager = [tg.value_and_grad(f)(y) for y in x.tolist()]
        assert np.array_equal(np.asarray(values), [e.value for e in eager], equal_nan=True)
        assert np.array_equal(slopes.column("y"), [e.grad for e in eager], equal_nan=True)
        total = tg.vmap(tg.value_and_grad(f), reduce="sum")(x)
        assert isnan(total.value)


class TestArguments:
    def test_a_row_of_an_array_is_a_tuple(self) -> None:
        """A row of two axes reaches the function as a tuple, of three as a tuple of tuples."""
        seen: list[object] = []

        def f(w: Real, xs: Any) -> Real:
            seen.append(type(xs) is tuple and len(xs))
            first = xs[0][0] if isinstance(xs[0], tuple) else xs[0]
            product: Real = w * first
            return product

        for shape, size in (((2,), 2), ((3, 2), 3)):
            values = tg.vmap(f, in_axes=(None, 0))(2.0, normals(5, *shape))
            assert seen.pop() == size
            assert close(values, 2.0 * normals(5, *shape).reshape(5, -1)[:, 0])

    @pytest.mark.parametrize(
        "container",
        [
            lambda a, b: {"a": a, "b": b},
            lambda a, b: [a, b],
            lambda a, b: (a, b),
            Quote,
        ],
    )
    def test_containers_are_mapped_leaf_by_leaf(self, container: Callable[[Any, Any], Any]) -> None:
        """Dicts, lists, tuples and classes of arrays reach the function as those of numbers."""
        a, b = normals(20), normals(20, 2)

        def f(parts: Any, scale: float) -> Any:
            first, second = parts.values() if isinstance(parts, dict) else parts
            return first * second[1] * scale

        values, slopes = tg.vmap(tg.value_and_grad(f), in_axes=(0, None))(container(a, b), 3.0)
        assert close(values, a * b[:, 1] * 3.0)
        assert close(slopes.column(slopes.paths[0]), b[:, 1] * 3.0)
        assert close(slopes.column(slopes.paths[2]), a * 3.0)

    def test_models_are_mapped(self) -> None:
        """The differentiated argument may be mapped; what is static in it stays."""
        spots, volatilities = np.linspace(90.0, 110.0, 7), np.full(7, 0.2)
        markets: Any = Market(spots, volatilities, "names")
        batch = tg.vmap(tg.value_and_grad(price), in_axes=(0, None))
        quote: Quote[float] = Quote(100.0, 1.0)
        values, slopes = batch(markets, quote)
        expected = tg.value_and_grad(price)(Market(90.0, 0.2), quote)
        assert close(values[0], expected.value)
        assert slopes.row(0).name == "names"

    def test_arguments_by_name_are_not_mapped(self) -> None:
        """What is given by name is the same for all rows; ints in it are static."""

        def f(x: Real, scale: float, *, power: int) -> Real:
            return scale * x**power

        batch = tg.vmap(f)
        x = np.arange(1.0, 5.0)
        assert close(batch(x, np.full(4, 2.0), power=2), 2.0 * x**2)
        assert close(batch(x, np.full(4, 2.0), power=3), 2.0 * x**3)
        assert len(batch.tapes) == 2
        assert close(tg.vmap(f, in_axes=[0])(x, scale=2.0, power=2), 2.0 * x**2)

    def test_many_static_values_earn_one_warning(self) -> None:
        """Eight recordings that differ in one static value warn, and name it."""

        def f(x: Real, power: int) -> Real:
            return x**power

        batch = tg.vmap(f, in_axes=(0, None))
        with pytest.warns(
            UserWarning, match="recorded 8 times .* differ in power, which is"
        ) as seen:
            self.powers(batch)
        assert warned_at(seen) == place(self.powers, "batch(")
        assert "recorded anew for each power" in str(batch.report())

    def powers(self, batch: Any) -> None:
        for power in range(8):
            batch(np.ones(3), power)

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_any_memory_layout(self, backend: Any) -> None:
        """Strided, reversed, transposed, shorter and unaligned arrays give the same bits."""
        whole = normals(60, 4)

        def f(w: Real, xs: Sequence[float], y: float) -> Real:
            return w * math.dot(xs, xs) + math.sin(y)

        batch = tg.vmap(f, in_axes=(None, 0, 0), backend=backend)
        plain = np.ascontiguousarray(whole[::-2, 1:3])
        y = np.ascontiguousarray(whole[::-2, 3])
        expected = np.asarray(batch(2.0, plain, y)).tobytes()
        packed = np.zeros((30, 17), np.uint8)
        unaligned = packed[:, 1:9].view(np.float64)[:, 0]
        unaligned[:] = y
        for xs, ys in (
            (whole[::-2, 1:3], whole[::-2, 3]),
            (np.asfortranarray(plain), y),
            (plain.astype(object).astype(float), unaligned),
            (plain.tolist(), y.tolist()),
        ):
            assert np.asarray(batch(2.0, xs, ys)).tobytes() == expected
        short = np.arange(30, dtype=np.float32)
        assert close(batch(2.0, plain, short), batch(2.0, plain, short.astype(float)))
        assert close(batch(2.0, plain, np.arange(30)), batch(2.0, plain, short.astype(float)))

    def test_inputs_are_read_at_the_call(self) -> None:
        """Changing an array afterwards changes no answer, and none is kept alive."""
        import weakref

        x = np.arange(5.0)
        batch = tg.vmap(lambda y: y * 2.0)
        answer = batch(x)
        x[:] = 0.0
        assert answer.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0]
        gone = weakref.ref(x)
        del x
        assert gone() is None


class TestBranches:
    """What becomes of rows that leave the recorded path."""

    def cliff(self, x: Real) -> Real:
        return math.sqrt(x) if x > 1.0 else x * x

    def test_raise(self) -> None:
        """The first row that leaves is named with the line and the outcome there."""
        batch = tg.vmap(self.cliff, on_branch="raise")

        def call() -> object:
            return batch(np.array([4.0, 9.0, 0.5, 0.1]))

        assert refusal(errors.GuardError, call) == (
            f"row 2 leaves the recorded path at {place(TestBranches.cliff, 'x > 1.0')}, where its "
            'comparison is False: leave on_branch at "rerecord", or spell the choice with where'
        )

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_mask(self, backend: Any) -> None:
        """They come back as nan, and count neither in sums nor in the number of rows."""
        x = np.array([4.0, 9.0, 0.5, 16.0])
        values, slopes = tg.vmap(tg.value_and_grad(self.cliff), on_branch="mask", backend=backend)(
            x
        )
        assert np.array_equal(np.asarray(values), [2.0, 3.0, nan, 4.0], equal_nan=True)
        assert np.isnan(slopes.column("x")[2])
        total = tg.vmap(self.cliff, on_branch="mask", backend=backend, reduce="sum")(x)
        mean = tg.vmap(self.cliff, on_branch="mask", backend=backend, reduce="mean")(x)
        assert (total, mean) == (9.0, 3.0)
        estimate = tg.vmap(
            self.cliff, on_branch="mask", backend=backend, reduce="mean", stderr=True
        )(x)
        assert (estimate.mean, estimate.rows) == (3.0, 3)
        assert close(estimate.stderr, (1.0 / 3.0) ** 0.5)

    def test_a_mask_of_all_rows_gives_nan(self) -> None:
        """Where no row is left, the sum is -0.0 and the mean is nan."""
        batch = tg.vmap(self.cliff, on_branch="mask", reduce="mean")
        batch(np.array([4.0]))
        assert isnan(batch(np.array([0.5, 0.25])))

    def test_eager(self) -> None:
        """They are computed one by one by the function; nothing more is recorded."""
        batch = tg.vmap(tg.value_and_grad(self.cliff), on_branch="eager")
        values, slopes = batch(np.array([4.0, 0.5, 9.0]))
        assert (values.tolist(), slopes.column("x").tolist()) == (
            [2.0, 0.25, 3.0],
            [0.25, 1.0, 1 / 6],
        )
        assert len(batch.tapes) == 1

    def test_too_many_paths(self) -> None:
        """The limit names the line that parts most rows, and what going on would take."""
        steps = normals(400, 6)
        batch = tg.vmap(barrier, in_axes=(None, 0), max_paths=3)

        def call() -> object:
            return batch(Market(120.0, 0.1), steps)

        text = refusal(errors.GuardError, call)
        line = place(barrier, "if spot > 130.0")
        assert text.startswith("the rows take more than max_paths=3 paths; ")
        assert f"of them part at {line}: spell that choice with where or maximum, or " in text
        assert text.endswith(" s for all rows")
        assert len(tg.vmap(barrier, in_axes=(None, 0), max_paths=7)(MARKET, steps)) == 400

    def test_guards_on_shared_numbers_choose_the_path_of_all_rows(self) -> None:
        """A comparison of what is not mapped is settled once a call."""

        def f(w: Real, x: float) -> Real:
            return w * x if w > 0.0 else w - x

        batch = tg.vmap(tg.value_and_grad(f), in_axes=(None, 0))
        x = np.arange(3.0)
        assert batch(2.0, x).value.tolist() == [0.0, 2.0, 4.0]
        assert batch(-2.0, x).value.tolist() == [-2.0, -3.0, -4.0]
        assert batch(3.0, x).value.tolist() == [0.0, 3.0, 6.0]
        assert len(batch.tapes) == 2

    def test_a_gradient_that_is_constant_on_a_path(self) -> None:
        """Where a path's gradient does not depend on the row it is a number all the same."""

        def f(x: Real) -> Real:
            return x - 1.0 if x > 1.0 else 0.5 * x * x

        x = np.array([2.0, 0.5, 3.0])
        slopes = tg.vmap(tg.value_and_grad(f))(x).grad
        assert slopes.column("x").tolist() == [1.0, 0.5, 1.0]
        assert tg.vmap(tg.value_and_grad(f), reduce="sum")(x) == (3.125, 2.5)

    def test_every_path_returns_the_same_containers(self) -> None:
        """A row whose path returns another structure is named."""
        batch = tg.vmap(lambda x: (x, x) if x > 0.0 else x)

        def call() -> object:
            return batch(np.array([1.0, -1.0]))

        assert refusal(errors.OutputError, call) == (
            f"row 1 of <lambda> ({place(call, 'return batch')}) returned another structure than "
            "the rows before it: return the same containers on every path"
        )

    @pytest.mark.parametrize("on_branch", ["rerecord", "eager"])
    def test_and_the_order_of_their_keys_does_not_count(self, on_branch: Any) -> None:
        """A dict is matched by its keys, on recorded paths and on rows that are called."""

        def f(x: Real) -> Any:
            if x > 1.0:
                return Leg(x, {"a": x, "b": 2.0 * x})
            return Leg(3.0 * x, {"b": 4.0 * x, "a": 5.0 * x})

        batch = tg.vmap(f, on_branch=on_branch, max_paths=1 if on_branch == "eager" else 1024)
        found = batch(np.array([2.0, 1.0]))
        assert found.column("price").tolist() == [2.0, 3.0]
        assert found.column("parts.a").tolist() == [2.0, 5.0]
        assert found.column("parts.b").tolist() == [4.0, 4.0]

    def test_an_error_of_the_function_names_the_row(self) -> None:
        """What the function raises passes through, with the row noted."""

        def f(x: Real) -> Real:
            if x < 0.0:
                raise ZeroDivisionError("negative")
            return x

        x = np.ones(5000)
        x[4321] = -1.0
        with pytest.raises(ZeroDivisionError) as caught:
            tg.vmap(f)(x)
        assert caught.value.__notes__ == ["raised at row 4,321 of the batch"]

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_an_error_of_a_rule_names_the_row(self, backend: Any) -> None:
        """So does what a rule raises that compiled code calls back."""
        x = np.ones(5000)
        x[4500] = 13.0
        with pytest.raises(ArithmeticError) as caught:
            tg.vmap(lambda y: unlucky(y) * 2.0, backend=backend)(x)
        assert caught.value.__notes__ == ["raised at row 4,500 of the batch"]

    @pytest.mark.parametrize("f", [lambda row: row * row, lambda row: row.sum()])
    def test_a_row_that_is_used_as_an_array_is_said_to_be_a_tuple(self, f: Any) -> None:
        """And what makes an array of it, which has derivatives as one."""
        x = np.arange(6.0).reshape(2, 3)
        with pytest.raises((TypeError, AttributeError)) as caught:
            tg.vmap(tg.grad(f))(x)
        number, advice = caught.value.__notes__
        assert number == "raised at row 0 of the batch"
        assert advice == (
            "a row of an array with more than one axis is a tuple: tapegrad.numpy.asarray(row) "
            "makes an array of it"
        )
        slopes = tg.vmap(tg.grad(lambda row: (tnp.asarray(row) ** 2).sum()))(x)
        assert slopes.array().tolist() == (2.0 * x).tolist()


@attrs.frozen
class Leg:
    """What a row may return."""

    price: Any
    parts: dict[str, Any]


@tg.primitive(partials=lambda y, x: 2.0, at=[1.0])
def unlucky(x: float) -> float:
    """A rule that cannot do 13."""
    if x == 13.0:
        raise ArithmeticError("thirteen")
    return 2.0 * x


class TestBits:
    """Sums have the same bits however the rows are shared out."""

    def answers(self, steps: Floats, **options: Any) -> list[bytes]:
        batch = tg.vmap(tg.value_and_grad(barrier), in_axes=(None, 0), reduce="sum", **options)
        return [np.array(flat(batch(MARKET, rows))).tobytes() for rows in (steps, steps[:7000])]

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_of_any_number_of_threads(self, backend: Any) -> None:
        """One thread, two or three: the same bits."""
        steps = normals(20_001, 4)
        expected = self.answers(steps, backend=backend, threads=1)
        for threads in (2, 3, None):
            assert self.answers(steps, backend=backend, threads=threads) == expected

    @pytest.mark.parametrize("backend", BACKENDS)
    def test_of_what_was_run_before(self, backend: Any) -> None:
        """Which path was recorded first, and which is tried first, changes nothing."""
        steps = normals(9000, 3)
        first = tg.vmap(
            tg.value_and_grad(barrier), in_axes=(None, 0), reduce="sum", backend=backend
        )
        second = tg.vmap(
            tg.value_and_grad(barrier), in_axes=(None, 0), reduce="sum", backend=backend
        )
        high, low = np.full((5, 3), 3.0), np.full((5, 3), -3.0)
        first(MARKET, high)
        second(MARKET, low)
        assert first(MARKET, steps) == second(MARKET, steps) == first(MARKET, steps)

    def test_of_one_path_and_of_many(self) -> None:
        """A block that compiled code adds up has the sums of one that is added up row by row."""

        def f(x: Real) -> Real:
            return math.exp(x) * x if x < 50.0 else x

        x = normals(4096)
        alone = tg.vmap(tg.value_and_grad(f), reduce="sum", backend="llvm")
        before = alone(x)
        alone(np.array([60.0]))
        assert len(alone.tapes) == 2
        assert alone(x) == before

    @given(st.integers(1, 3 * BLOCK), st.integers(1, 3), st.booleans())
    @settings(max_examples=20)
    def test_of_the_decided_order(self, rows: int, outputs: int, masked: bool) -> None:
        """Blocks of 4,096, eight lanes one after the other, lanes and blocks pairwise."""
        values = np.random.default_rng(rows).standard_normal((outputs, rows))
        left_out = np.random.default_rng(rows + 1).random(rows) < 0.5 if masked else None
        total = PairwiseSum()
        for start in range(0, rows, BLOCK):
            stop = start + BLOCK
            total.add(
                partial_sum(
                    values[:, start:stop], None if left_out is None else left_out[start:stop]
                )
            )
        for output in range(outputs):
            blocks = []
            for start in range(0, rows, BLOCK):
                lanes = [-0.0] * LANES
                for row in range(start, min(start + BLOCK, rows)):
                    number = -0.0 if left_out is not None and left_out[row] else values[output, row]
                    lanes[row % LANES] += float(number)
                blocks.append(pairwise(lanes))
            assert total.value().sums[output].hex() == pairwise(blocks).hex()

    @given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=60), st.integers(1, 59))
    def test_spreads_add_up(self, numbers: list[float], cut: int) -> None:
        """The spread of two parts together is that of all their rows."""
        rows = np.array([numbers])
        cut = min(cut, len(numbers) - 1)
        both = partial_sum(rows[:, :cut], spread=True) + partial_sum(rows[:, cut:], spread=True)
        assert both.rows == len(numbers)
        assert close(both.stderr(), np.std(numbers, ddof=1) / len(numbers) ** 0.5, 1e-9)


def pairwise(numbers: list[float]) -> float:
    """Neighbours added level by level; what is left over at the end joins last."""
    pending: list[tuple[int, float]] = []
    for number in numbers:
        level, found = 0, number
        while pending and pending[-1][0] == level:
            found = pending.pop()[1] + found
            level += 1
        pending.append((level, found))
    total = pending.pop()[1]
    while pending:
        total = pending.pop()[1] + total
    return total


class TestEstimates:
    def test_the_standard_error_is_that_of_the_rows(self) -> None:
        """Of the value and of every slope, in the shape of both."""
        x = normals(10_000)

        def f(w: Real, y: float) -> Real:
            return w * w * y + 1e6

        found = tg.vmap(tg.value_and_grad(f), in_axes=(None, 0), reduce="mean", stderr=True)(2.0, x)
        plain = tg.vmap(tg.value_and_grad(f), in_axes=(None, 0), reduce="mean")(2.0, x)
        assert found.mean == plain
        assert found.rows == 10_000
        for got, rows in ((found.stderr.value, 4.0 * x + 1e6), (found.stderr.grad, 4.0 * x)):
            assert close(got, np.std(rows, ddof=1) / 100.0, 1e-9)
        assert isnan(tg.vmap(f, in_axes=(None, 0), reduce="mean", stderr=True)(2.0, x[:1]).stderr)

    def test_a_callback_that_stops_spares_the_rows_after_it(self) -> None:
        """On several paths, too, where more rows are run together."""
        stops = [False]
        run: Any = tg.vmap(
            lambda x: x if x > 0.0 else -x,
            backend="numpy", reduce="sum", callback=lambda _: stops[0], threads=1,
        )  # fmt: skip
        xs = np.linspace(-1.0, 1.0, 32_768)

        def counted() -> int:
            run(xs)
            return sum(path.rows for path in run.report().shapes[0].paths)

        whole = counted()
        stops[0] = True
        assert whole == len(xs)
        assert counted() - whole <= len(xs) / 4

    def test_a_callback_is_told_the_running_mean_and_may_stop(self) -> None:
        """It is called after each block, in order; where it says True the rows so far count."""
        x = normals(30_000)
        seen: list[tuple[int, float]] = []

        def enough(progress: tg.Progress[tg.ValueAndGrad[float]]) -> bool:
            seen.append((progress.rows, progress.value.value))
            assert progress.stderr is not None
            return progress.stderr.value < 0.011

        def f(w: Real, y: float) -> Real:
            return w * y

        for threads in (1, 2):
            seen.clear()
            found = tg.vmap(
                tg.value_and_grad(f), in_axes=(None, 0), reduce="mean", stderr=True,
                callback=enough, threads=threads,
            )(1.0, x)  # fmt: skip
            assert [rows for rows, _ in seen] == [4096, 8192, 12288]
            assert found.rows == 12288
            assert close(found.mean.value, x[:12288].mean(), 1e-12)
            assert found.mean.value == seen[-1][1]

    def test_a_callback_without_standard_errors(self) -> None:
        """With a sum, or a mean alone, there is none; None goes on."""
        seen: list[tg.Progress[float]] = []
        total = tg.vmap(lambda x: 2.0 * x, reduce="sum", callback=seen.append)(np.ones(5000))
        assert total == 10_000.0
        assert seen == [tg.Progress(4096, 8192.0, None), tg.Progress(5000, 10_000.0, None)]


class TestNewPathsInLongPieces:
    def test_rows_on_a_new_path_are_found_in_every_block(self) -> None:
        """Where rows on known paths are run together, each block still gets its own back."""

        def f(x: Real) -> Real:
            if x > 2.0:
                return math.sqrt(x)
            return x * x if x > 1.0 else -x

        expected = np.vectorize(f)
        for reduce in (None, "sum"):
            batch: Any = tg.vmap(f, threads=1, reduce=reduce)
            batch(np.array([0.5, 1.5]))
            xs = np.resize([0.5, 1.5], 40 * BLOCK)
            xs[[3, BLOCK + 7, 5 * BLOCK, 39 * BLOCK + 1]] = 9.0
            found = batch(xs)
            if reduce is None:
                assert (found == expected(xs)).all()
            else:
                assert found == pytest.approx(expected(xs).sum(), rel=1e-12)


class TestRowsThatDoNotFit:
    """Files and streams are read as they are used."""

    def blocks(self, x: Floats, *sizes: int) -> Iterator[Floats]:
        start = 0
        for size in sizes:
            yield x[start : start + size]
            start += size
        yield x[start:]

    @pytest.mark.parametrize("reduce", [None, "sum"])
    def test_an_iterator_of_unequal_blocks(self, reduce: Any) -> None:
        """However the rows come, the bits are those of the array."""
        x = normals(10_000, 2)

        def f(w: Real, xs: Sequence[float]) -> Real:
            return w * xs[0] * math.exp(xs[1])

        batch: Any = tg.vmap(tg.value_and_grad(f), in_axes=(None, 0), reduce=reduce)
        expected = batch(2.0, x)
        for sizes in ((1,), (4096, 4096), (5000, 0, 1), (3, 9000)):
            found = batch(2.0, self.blocks(x, *sizes))
            if reduce:
                assert found == expected
            else:
                assert np.asarray(found.value).tobytes() == np.asarray(expected.value).tobytes()

    def test_several_mapped_arguments_may_stream(self) -> None:
        """Each is regrouped on its own, beside arrays too."""
        x, y = normals(9000), normals(9000)
        batch = tg.vmap(lambda a, b: a * b, reduce="sum")
        expected = batch(x, y)
        assert batch(self.blocks(x, 5000), self.blocks(y, 10, 20)) == expected
        assert batch(self.blocks(x, 5000), y) == expected
        with pytest.raises(errors.InputError, match="9,000 and 8,999 rows"):
            batch(self.blocks(x, 5000), y[:-1])

    def test_blocks_may_be_containers(self) -> None:
        """A block is whatever the mapped argument may be."""
        stream = ({"a": np.full(n, 1.0), "b": np.full((n, 2), 2.0)} for n in (5, 5000))
        total = tg.vmap(lambda p: p["a"] * p["b"][1], reduce="sum")(stream)
        assert total == 10_010.0

    def test_the_order_of_keys_in_a_block_does_not_count(self) -> None:
        """A dict is matched by its keys, in every block."""
        first = {"a": np.full(5, 1.0), "b": np.full(5, 2.0)}
        second = {"b": np.full(6, 3.0), "a": np.full(6, 4.0)}
        found = tg.vmap(lambda p: p["a"] - p["b"])(iter([first, second]))
        assert found.tolist() == [-1.0] * 5 + [1.0] * 6

    @pytest.mark.parametrize("kind", [np.float64, np.float32])
    def test_a_file(self, tmp_path: Path, kind: Any) -> None:
        """A memmap gives the bits of the array, and is not read into memory whole."""
        path = tmp_path / "rows"
        x = normals(10_000, 3).astype(kind)
        x.tofile(path)

        def f(w: Real, xs: Sequence[float]) -> Real:
            return w * math.sin(xs[0] + xs[2])

        batch = tg.vmap(tg.value_and_grad(f), in_axes=(None, 0), reduce="mean")
        expected = batch(2.0, x)
        for mode in ("r", "r+", "c"):
            mapped: Any = np.memmap(path, kind, mode=mode, shape=(10_000, 3))
            assert batch(2.0, mapped) == expected
            assert batch(2.0, mapped[100:]) == batch(2.0, x[100:])

    def test_memory_is_bounded_by_blocks(self) -> None:
        """Twenty times the rows of a stream take no more memory."""
        import tracemalloc

        def stream(blocks: int) -> Iterator[Floats]:
            for _ in range(blocks):
                yield np.ones((BLOCK, 4))

        batch = tg.vmap(math.sum, reduce="sum", threads=2)
        batch(stream(1))
        peaks = []
        for blocks in (20, 400):
            tracemalloc.start()
            assert batch(stream(blocks)) == 4.0 * BLOCK * blocks
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < 2.0 * peaks[0]

    def test_a_stream_may_use_its_buffer_again(self) -> None:
        """Blocks are copied as they come."""
        buffer = np.empty(1000)

        def stream() -> Iterator[Floats]:
            for number in range(10):
                buffer[:] = number
                yield buffer

        assert tg.vmap(lambda x: x * x, reduce="sum")(stream()) == 285_000.0

    def test_blocks_of_one_width_and_kind(self) -> None:
        """A block of another width, or of other containers, is named by its number."""
        batch = tg.vmap(lambda xs: xs[0], reduce="sum")

        def wider() -> object:
            return batch(iter([np.ones((3, 2)), np.ones((3, 5))]))

        assert refusal(errors.InputError, wider) == (
            f"block 1 of xs has rows of shape (5,) and the first has (2,) "
            f"({place(wider, 'batch(')}): yield blocks of one width"
        )

        def other() -> object:
            return batch(iter([np.ones((3, 2)), {"a": np.ones(3)}]))

        assert refusal(errors.InputError, other) == (
            f"block 1 of xs ({place(other, 'batch(')}) is built differently from the first: "
            "yield the same containers of arrays"
        )

        def none() -> object:
            return batch(iter([]))

        assert refusal(errors.InputError, none) == (
            f"xs has no blocks ({place(none, 'batch(')}): pass one at least"
        )

        def empty() -> object:
            return batch(iter([np.ones((0, 2))]))

        assert refusal(errors.InputError, empty) == (
            f"the mapped arguments have no rows ({place(empty, 'batch(')}): pass one at least"
        )


KINDS = "pass an array of float64 with the rows first"
AXES = "rows come first, so use 0, or None for an argument as it is"

ARGUMENTS: list[tuple[tuple[Any, ...], Any, str]] = [
    (
        (np.ones(3), np.ones(4)),
        0,
        "p has 3 rows and q has 4 ({}): pass arrays of equal length",
    ),
    ((np.ones(0), np.ones(0)), 0, "p has no rows ({}): pass one at least"),
    (
        ({"a": np.ones(3), "b": np.ones(2)}, 1.0),
        (0, None),
        "a has 3 rows and b has 2 ({}): pass arrays of equal length",
    ),
    (
        ([[1.0, 2.0], [3.0]], 1.0),
        (0, None),
        "p is a list whose rows have different lengths ({}): pass an array, or rows of one length",
    ),
    ((np.ones(3, complex), 1.0), (0, None), f"p is an array of complex128 ({{}}): {KINDS}"),
    ((np.ones((3, 2), object), 1.0), (0, None), f"p is an array of object ({{}}): {KINDS}"),
    (
        (np.array(["a"]), 1.0),
        (0, None),
        "the rows with p='a' hold no number ({}): map a column of numbers beside",
    ),
    (
        (np.array([1.0, {}], dtype=object), 1.0),
        (0, None),
        (
            "p holds a dict ({{}}) at row 1 ({}): pass numbers, or text, dates, enums and None, "
            "which are the same for all rows of a group"
        ).replace("{{}}", "{{}}"),
    ),
    ((np.float64(1.0), 1.0), (0, None), f"p is a single float64 ({{}}): {KINDS}"),
    (
        (2.0, np.ones(3)),
        0,
        (
            "p is a float (2.0) in a mapped argument ({}): pass an array with a number for each "
            "row (columns, not a list of rows), or map None for the argument"
        ),
    ),
    (
        ("text", np.ones(3)),
        (0, None),
        "the mapped arguments hold no array ({}): pass one with the rows",
    ),
    (
        (np.ones(3), 1.0),
        (0,),
        "in_axes=(0,) ({}) has 1 entries for 2 arguments by position: give one for each",
    ),
    ((np.ones(3), 1.0), (1, None), f"in_axes=(1, None) ({{}}) maps axis 1: {AXES}"),
    ((np.ones(3), 1.0), 1, f"in_axes=1 ({{}}) maps axis 1: {AXES}"),
    (
        (np.ones(3), 1.0),
        (None, None),
        (
            "in_axes=(None, None) ({}) maps no argument: use 0 for those by position whose rows "
            "come first"
        ),
    ),
]

OPTIONS: list[tuple[dict[str, Any], Any, str]] = [
    (
        {"on_branch": "x"},
        errors.InputError,
        "on_branch='x' ({}) is not known: choose among 'rerecord', 'raise', 'mask', 'eager'",
    ),
    (
        {"reduce": "max"},
        errors.InputError,
        "reduce='max' ({}) is not known: choose among None, 'mean', 'sum'",
    ),
    (
        {"stderr": True},
        errors.InputError,
        'stderr=True ({}) gives the standard error of a mean: pass reduce="mean" beside it',
    ),
    (
        {"callback": print},
        errors.InputError,
        'callback ({}) is told running sums: pass reduce="mean" or "sum" beside it',
    ),
    (
        {"backend": "x"},
        errors.BackendError,
        "backend 'x' is not known ({}): choose among auto, python, numpy, llvm",
    ),
    (
        {"backend": "python"},
        errors.BackendError,
        (
            "the python backend runs one call, not columns of numbers ({}): use jit, or vmap "
            'with backend="numpy" or "llvm"'
        ),
    ),
]


class TestRefusals:
    """What cannot be mapped is refused in a sentence before any work."""

    def f(self, p: Any, q: Any) -> Any:
        raise AssertionError("work has begun")

    @pytest.mark.parametrize(("arguments", "axes", "text"), ARGUMENTS)
    def test_of_arguments(self, arguments: tuple[Any, ...], axes: Any, text: str) -> None:
        """Each is named by its path, with what to pass."""
        batch = tg.vmap(self.f, in_axes=axes)

        def call() -> object:
            return batch(*arguments)

        assert refusal(errors.InputError, call) == text.format(place(call, "batch("))

    @pytest.mark.parametrize(("options", "error", "text"), OPTIONS)
    def test_of_options(self, options: dict[str, Any], error: Any, text: str) -> None:
        """An option that does not exist or does not fit is refused when it is given."""

        def call() -> object:
            return tg.vmap(self.f, **options)

        assert refusal(error, call) == text.format(place(call, "tg.vmap"))

    def test_of_rows_of_unknown_number(self) -> None:
        """A Dask array that does not know its length is asked to find out."""

        class Lazy:
            dask = chunks = ()
            dtype, ndim, shape = np.dtype(float), 1, (nan,)

            def __array__(self) -> Floats:
                raise AssertionError("read")

        def call() -> object:
            return tg.vmap(self.f, in_axes=(0, None))(Lazy(), 1.0)

        assert refusal(errors.InputError, call) == (
            f"p has chunks of unknown length ({place(call, 'Lazy()')}): call its "
            "compute_chunk_sizes() first"
        )

    def test_of_a_path_that_recording_does_not_find(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where a comparison of shared numbers is decided by rounding alone, it is an error."""
        monkeypatch.setattr("tapegrad.batch.batch_code.BatchCode.shared", lambda code, inputs: None)

        def call() -> object:
            return tg.vmap(lambda w, x: w * x, in_axes=(None, 0))(1.0, np.ones(3))

        assert refusal(errors.GuardError, call) == (
            f"the first row of <lambda> ({place(call, 'tg.vmap')}) takes another path when it is "
            "recorded than when it is run: two sides of a comparison differ by rounding alone; "
            "compare with a margin"
        )

    @pytest.mark.parametrize("what", ["threads", "max_paths"])
    def test_of_counts_below_one(self, what: str) -> None:
        """Neither no thread nor no path."""
        options: dict[str, Any] = {what: 0}

        def call() -> object:
            return tg.vmap(self.f, **options)

        assert refusal(errors.InputError, call) == (
            f"{what} is 0 ({place(call, 'tg.vmap')}): pass 1 or more"
        )

    def test_of_masked_arrays(self) -> None:
        """A mask would be lost."""
        masked: Any = np.ma.masked_invalid([1.0, np.nan])

        def call() -> object:
            return tg.vmap(lambda x: x * x)(masked)

        assert refusal(errors.InputError, call) == (
            f"x is a masked array ({place(call, 'tg.vmap')}): pass its rows that are not masked, "
            "or filled()"
        )

    def test_without_numpy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """vmap needs numpy, and says how to get it."""
        monkeypatch.setattr(
            "tapegrad._support.optional_packages.installed", lambda package: package != "numpy"
        )

        def call() -> object:
            return tg.vmap(self.f)

        assert refusal(errors.BackendError, call) == (
            f"this needs numpy, which is not installed ({place(call, 'tg.vmap')}): run "
            "pip install 'tapegrad[numpy]'"
        )


class TestTheBatch:
    def test_the_report_counts_rows(self) -> None:
        """Every row is counted on the path that it took."""
        batch = tg.vmap(barrier, in_axes=(None, 0))
        assert "nothing recorded yet" in str(batch.report())
        batch(MARKET, normals(5000, 3))
        report = batch.report()
        assert report.name == "barrier"
        assert sum(path.rows for path in report.shapes[0].paths) == 5000
        assert len(report.shapes[0].paths) == len(batch.tapes) == 4

    def test_the_source_is_that_of_the_path_most_rows_took(self) -> None:
        """Source comes after the first call."""
        batch = tg.vmap(barrier, in_axes=(None, 0))

        def call() -> object:
            return batch.source("llvm")

        assert refusal(errors.BackendError, call) == (
            f"nothing has been recorded yet ({place(call, 'batch.source')}): compile the "
            "function first, or call it more"
        )
        batch(MARKET, normals(100, 2))
        assert "define" in batch.source("llvm")
        assert "def run(x)" in batch.source("python")

    def test_calls_from_several_threads(self) -> None:
        """One batched function may be called from many threads at a time."""
        batch = tg.vmap(tg.value_and_grad(barrier), in_axes=(None, 0), reduce="sum")
        steps = [normals(rows, 3) for rows in (100, 5000, 300, 9000, 50)]
        with ThreadPoolExecutor(5) as pool:
            found = list(pool.map(lambda rows: batch(MARKET, rows), steps * 3))
        assert len(batch.tapes) == 4
        alone = tg.vmap(tg.value_and_grad(barrier), in_axes=(None, 0), reduce="sum")
        assert found == [alone(MARKET, rows) for rows in steps] * 3

    def test_a_batch_travels_with_its_tapes(self) -> None:
        """Pickled, it keeps its paths and leaves the function behind."""
        batch = tg.vmap(tg.value_and_grad(barrier), in_axes=(None, 0))
        steps = normals(50, 2)
        expected = batch(MARKET, steps)
        arrived = pickle.loads(pickle.dumps(batch))  # noqa: S301  # our own
        found = arrived(MARKET, steps)
        assert found.value.tobytes() == np.asarray(expected.value).tobytes()
        assert isinstance(found.grad.row(0), Market)

        def call() -> object:
            return arrived(MARKET, normals(5, 3))

        with pytest.raises(errors.GuardError, match="travelled without its function"):
            call()

    def test_a_bar_on_a_terminal(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A batch that takes long says how far it is, where someone sees it."""
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        monkeypatch.setattr("tapegrad._support.progress_bar._DELAY", 0.0)
        tg.vmap(lambda x: x * 2.0, reduce="sum", threads=1)(np.ones(9000))
        shown = capsys.readouterr().err
        assert "<lambda>, blocks of rows [" in shown
        assert "of 3" in shown

    def test_an_interrupt_stops(self) -> None:
        """Ctrl-C in a callback, or anywhere, ends the call; its threads go with the batch."""
        import gc
        import threading
        import time

        def interrupt(_: tg.Progress[float]) -> None:
            raise KeyboardInterrupt

        before = threading.active_count()
        batch = tg.vmap(lambda x: x * 2.0, reduce="sum", callback=interrupt, threads=2)
        with pytest.raises(KeyboardInterrupt):
            batch(np.ones(50_000))
        del batch
        gc.collect()
        deadline = time.monotonic() + 10.0
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert threading.active_count() <= before
