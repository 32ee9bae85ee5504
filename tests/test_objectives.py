"""Models beside SciPy: flat vectors, compiled derivatives, and back to the user's class."""

from __future__ import annotations

import math as plain
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, Generic

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

import tapegrad as tg
from tapegrad import Real, errors, math
from tests.places import place, refusal


@attrs.frozen
class Decay(Generic[Real]):
    height: Real
    rates: tuple[Real, ...]
    name: str = "decay"


def smooth(p: Decay[Real], xs: Sequence[float]) -> Real:
    """A loss with a cross term, an unused-at-zero square and a static field."""
    terms = [(p.height * x - r) ** 2 for x, r in zip(xs, p.rates, strict=True)]
    return math.sum(terms) + math.exp(p.rates[0] * p.height)


def huber(xs: list[Real], data: Sequence[float]) -> Real:
    """A loss with a branch for each number of the data."""
    total = 0.0 * xs[0]
    for x in data:
        off = xs[0] - x
        total = total + (0.5 * off * off if abs(off) < 1.0 else abs(off) - 0.5)
    return total


def row(w: Mapping[str, Real], x: Sequence[float], y: float) -> Real:
    return math.softplus(-y * (w["a"] * x[0] + w["b"] * x[1] + w["a"] * w["b"]))


def fit(p: Decay[Real], t: float, y: float) -> tuple[Real, Real]:
    return p.height * math.exp(-p.rates[0] * t) - y, 0.5 * p.rates[1]


def chain(xs: list[Real]) -> list[Real]:
    return [x * y - 1.0 for x, y in pairwise(xs)]


START = Decay(0.5, (1.0, 2.0))
XS = [1.0, 3.0]
X = np.array([[1.0, 2.0], [-0.5, 0.25], [0.0, -3.0], [2.0, 1.0], [-1.0, -1.0]])
Y = np.array([1.0, -1.0, -1.0, 1.0, -1.0])
TIMES = np.linspace(0.0, 3.0, 9)
VALUES = 2.0 * np.exp(-0.5 * TIMES)
POINTS = st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3)


def eager_rows(w: Mapping[str, float]) -> list[tg.ValueAndGrad[Any]]:
    gradient: Callable[..., Any] = tg.value_and_grad(row)
    return [gradient(w, tuple(x), y) for x, y in zip(X.tolist(), Y.tolist(), strict=True)]


class TestObjectives:
    def test_a_start_has_a_vector_and_names(self) -> None:
        """The unknowns are the start's numbers in order, each under its path."""
        o = tg.objective(smooth, START, XS)
        assert o.names == ("height", "rates.0", "rates.1")
        assert o.x0.tolist() == [0.5, 1.0, 2.0]
        assert tg.objective(plain_square, 3.0).names == ("x",)

    @given(POINTS)
    def test_flatten_and_unflatten_are_inverse(self, point: list[float]) -> None:
        """A vector goes to the user's class and back; what is static stays."""
        o = OBJECTIVE
        value = o.unflatten(point)
        assert value == Decay(point[0], (point[1], point[2]), "decay")
        assert o.flatten(value).tolist() == point

    def test_dicts_flatten_in_the_order_of_the_start(self) -> None:
        """The order of a dict's keys is that of the start."""
        o = tg.objective(row, {"a": 1.0, "b": 2.0}, X, Y, reduce="sum")
        assert o.flatten({"b": 5.0, "a": 4.0}).tolist() == [4.0, 5.0]

    @given(POINTS)
    def test_value_and_gradient_are_the_eager_ones(self, point: list[float]) -> None:
        """To the bit, however they are asked for."""
        o = OBJECTIVE
        eager = tg.value_and_grad(smooth)(o.unflatten(point), XS)
        x = np.array(point)
        assert (o.fun(x), o.jac(x).tolist()) == (eager.value, o.flatten(eager.grad).tolist())
        value, gradient = o.fun_and_jac(x)
        assert (value, gradient.tolist()) == (o.fun(x), o.jac(x).tolist())

    @given(POINTS)
    def test_the_hessian_and_its_products_are_the_eager_ones(self, point: list[float]) -> None:
        """The matrix is that of ``hessian``, and its product with a vector that of ``hvp``."""
        o = OBJECTIVE
        eager = tg.hessian(smooth)(o.unflatten(point), XS)
        want = np.array([list(line.values()) for line in eager.values()])
        scale = 1e-12 * (1.0 + abs(want).max())
        assert np.asarray(o.hess(point)) == pytest.approx(want, abs=scale)
        assert o.hessp(point, [1.0, -2.0, 0.5]) == pytest.approx(
            want @ [1.0, -2.0, 0.5], abs=10.0 * scale
        )

    def test_scipy_finds_the_derivatives_right(self) -> None:
        """``scipy.optimize.check_grad`` agrees, for whole objectives and for rows."""
        rows = tg.objective(row, {"a": 0.3, "b": -0.2}, X, Y, reduce="mean")
        for o in (OBJECTIVE, rows):
            assert optimize.check_grad(o.fun, o.jac, o.x0) < 1e-5
            slope = optimize.approx_fprime(o.x0, o.jac, 1e-7)
            assert np.asarray(o.hess(o.x0)) == pytest.approx(slope, abs=1e-4)

    @pytest.mark.parametrize("method", ["L-BFGS-B", "trust-constr", "SLSQP", "TNC"])
    def test_a_typed_model_is_minimised_within_bounds(self, method: str) -> None:
        """No step within the bounds goes down where a solver stops, in the user's class."""
        o = tg.objective(smooth, START, XS)
        limits = o.bounds({"rates": (0.0, 4.0), "rates.1": (None, 0.5), "height": (0.25, None)})
        assert limits == [(0.25, plain.inf), (0.0, 4.0), (-plain.inf, 0.5)]
        found = optimize.minimize(o.fun, o.x0, jac=o.jac, bounds=limits, method=method)
        x, slope = np.asarray(found.x), np.asarray(o.jac(found.x))
        low, high = np.array(limits).T
        assert np.clip(x - slope, low, high) == pytest.approx(x, abs=2e-3)
        solved = o.unflatten(found.x)
        assert solved.name == "decay"
        assert solved.rates[1] == pytest.approx(0.5, abs=1e-3)

    def test_bounds_belong_to_paths(self) -> None:
        """A container's limits hold for its numbers, but for those with limits of their own."""
        o = tg.objective(total, {"a": {"x": 1.0, "y": 2.0}, "ab": {"x": 3.0, "y": 4.0}})
        limits = o.bounds({"a.x": (0.0, None), "a": (1.0, 2.0)})
        free = (-plain.inf, plain.inf)
        assert limits == [(0.0, plain.inf), (1.0, 2.0), free, free]

    @pytest.mark.parametrize(
        ("method", "second"),
        [("Newton-CG", "hessp"), ("trust-ncg", "hessp"), ("trust-exact", "hess")],
    )
    def test_solvers_take_second_derivatives(self, method: str, second: str) -> None:
        """Newton's methods run on the Hessian, and on its products."""
        o = tg.objective(rosenbrock, [-1.2, 1.0, 0.5])
        given = {second: getattr(o, second)}
        found = optimize.minimize(o.fun, o.x0, jac=o.jac, method=method, **given)
        assert found.x == pytest.approx([1.0, 1.0, 1.0], abs=1e-4)

    def test_a_point_is_computed_once(self) -> None:
        """SciPy asks for value and gradient apart; one run serves both."""
        o = tg.objective(rosenbrock, [-1.2, 1.0])
        runs = 0
        compute = o._value_and_gradient

        def counted(*vectors: Any) -> Any:
            nonlocal runs
            runs += 1
            return compute(*vectors)

        object.__setattr__(o, "_value_and_gradient", counted)
        for x in ([1.0, 2.0], [3.0, 4.0]):
            for ask in (o.fun, o.jac, o.fun_and_jac, o.fun):
                ask(np.array(x))
        assert runs == 2

    def test_what_scipy_writes_into_changes_nothing(self) -> None:
        """Vectors that are handed out are the caller's own."""
        o = tg.objective(rosenbrock, [-1.2, 1.0])
        before = o.x0.tolist(), o.jac(o.x0).tolist()
        for array in (o.x0, o.jac(o.x0), o.fun_and_jac(o.x0)[1]):
            np.asarray(array)[:] = 7.0
        assert (o.x0.tolist(), o.jac(o.x0).tolist()) == before

    def test_branches_are_taken_as_the_point_says(self) -> None:
        """Each point gives the eager bits, whichever branches it takes."""
        data = np.linspace(-4.0, 4.0, 17).tolist()
        o = tg.objective(huber, [0.0], data)
        for x in np.linspace(-3.0, 3.0, 25).tolist():
            assert o.fun_and_jac([x])[0] == tg.value_and_grad(huber)([x], data).value
            assert o.jac([x]).tolist() == tg.grad(huber)([x], data)

    def test_a_hessian_knows_the_entries_of_every_branch(self) -> None:
        """A loss that is linear at the start has a Hessian where it is not."""
        o = tg.objective(bent, [-1.0, 2.0])
        assert np.asarray(o.hess([-1.0, 2.0])).tolist() == [[0.0, 0.0], [0.0, 0.0]]
        assert np.asarray(o.hess([3.0, 2.0])).tolist() == [[4.0, 6.0], [6.0, 0.0]]
        assert np.asarray(o.hess([-3.0, 2.0])).tolist() == [[0.0, 0.0], [0.0, 0.0]]

    def test_a_hessian_takes_a_product_for_each_colour(self) -> None:
        """A chain of any length takes three products."""
        o = tg.objective(rosenbrock, [0.5] * 30)
        matrix: Any = o._hessian
        hessian = np.asarray(o.hess(o.x0))
        assert len(matrix._colouring.seeds) == 3
        assert np.count_nonzero(hessian) == 30 + 2 * 29
        assert (hessian == hessian.T).all()

    def test_data_by_name_are_data(self) -> None:
        """What goes by name reaches the loss by name."""
        o = tg.objective(smooth, START, xs=XS)
        assert o.fun(o.x0) == smooth(START, XS)


def plain_square(x: Real) -> Real:
    return x * x


def rosenbrock(xs: list[Real]) -> Real:
    return math.sum(100.0 * (y - x * x) ** 2 + (1.0 - x) ** 2 for x, y in pairwise(xs))


def total(p: Mapping[str, Mapping[str, Real]]) -> Real:
    return math.sum(x for part in p.values() for x in part.values())


def bent(xs: list[Real]) -> Real:
    return xs[0] * xs[0] * xs[1] if xs[0] > 0.0 else xs[0] + xs[1]


OBJECTIVE = tg.objective(smooth, START, XS)


class TestRows:
    @pytest.mark.parametrize(("reduce", "count"), [("sum", 1), ("mean", len(X))])
    def test_rows_are_summed_or_averaged(self, reduce: Any, count: int) -> None:
        """Value and gradient are those of the rows, added up."""
        w = {"a": 0.3, "b": -0.7}
        o = tg.objective(row, w, X, Y, reduce=reduce)
        eager = eager_rows(w)
        assert o.fun(o.x0) == pytest.approx(plain.fsum(e.value for e in eager) / count, rel=1e-14)
        for at, name in enumerate(o.names):
            want = plain.fsum(e.grad[name] for e in eager) / count
            assert o.jac(o.x0)[at] == pytest.approx(want, rel=1e-13)

    def test_second_derivatives_are_summed_too(self) -> None:
        """The Hessian of the sum is the sum of the Hessians."""
        w = {"a": 0.3, "b": -0.7}
        o = tg.objective(row, w, X, Y, reduce="sum")
        rows = zip(X.tolist(), Y.tolist(), strict=True)
        eager = [tg.hessian(row)(w, tuple(x), y) for x, y in rows]
        want = [[plain.fsum(e[a][b] for e in eager) for b in "ab"] for a in "ab"]
        assert np.asarray(o.hess(o.x0)) == pytest.approx(np.array(want), rel=1e-12)
        product = o.hessp(o.x0, [1.0, 2.0])
        assert product == pytest.approx(np.array(want) @ [1.0, 2.0], rel=1e-12)

    def test_an_argument_may_be_the_same_for_all_rows(self) -> None:
        """``in_axes`` says what is mapped, as for ``vmap``."""

        def scaled(p: list[Real], x: float, scale: float) -> Real:
            return (p[0] * scale - x) ** 2

        o = tg.objective(scaled, [2.0], [1.0, 3.0], 10.0, in_axes=(None, 0, None), reduce="sum")
        assert o.fun(o.x0) == 19.0**2 + 17.0**2

    def test_containers_of_arrays_are_rows(self) -> None:
        """Every array in a mapped argument has the rows first; lists stand for arrays."""

        def fitted(p: list[Real], data: Mapping[str, float]) -> Real:
            return (p[0] * data["x"] - data["y"]) ** 2

        o = tg.objective(fitted, [2.0], {"x": [1, 2], "y": np.array([0.0, 1.0])}, reduce="mean")
        assert (o.fun(o.x0), o.jac(o.x0).tolist()) == (6.5, [8.0])


class TestResiduals:
    def test_residuals_come_row_by_row(self) -> None:
        """The outputs of the first row, then those of the next; derivatives the same."""
        r = tg.residuals(fit, START, TIMES, VALUES)
        rows = list(zip(TIMES.tolist(), VALUES.tolist(), strict=True))
        want = [number for data in rows for number in fit(START, *data)]
        assert r.fun(r.x0) == pytest.approx(want, rel=1e-14)
        lines = [line for data in rows for line in tg.jacobian(fit)(START, *data).values()]
        slopes = np.array([list(line.values()) for line in lines])
        assert np.asarray(r.jac(r.x0)) == pytest.approx(slopes, rel=1e-14)

    def test_sparse_derivatives_are_the_dense_ones(self) -> None:
        """The same entries, without those that cannot be other than zero."""
        for r in (tg.residuals(fit, START, TIMES, VALUES), tg.residuals(chain, [1.0] * 20)):
            sparse = r.jac_sparse(r.x0)
            assert sparse.toarray().tolist() == r.jac(r.x0).tolist()
            assert sparse.shape == (r.fun(r.x0).size, len(r.names))
            assert np.unique(np.asarray(r.jac_sparsity.toarray())).tolist() == [0.0, 1.0]
            assert r.jac_sparsity.nnz == sparse.nnz < sparse.shape[0] * sparse.shape[1]

    @given(st.lists(st.floats(-3.0, 3.0), min_size=4, max_size=4))
    def test_a_model_without_data_gives_all_residuals(self, xs: list[float]) -> None:
        """A system of equations is its own residuals, to the bit."""
        r = SYSTEM
        assert r.fun(xs).tolist() == chain(xs)
        eager = tg.jacobian(chain)(xs).values()
        assert np.asarray(r.jac(xs)).tolist() == [list(line.values()) for line in eager]

    def test_every_branch_brings_its_own_entries(self) -> None:
        """Rows on another branch than the first depend on other unknowns."""

        def either(p: list[Real], x: float) -> Real:
            return p[0] * x if p[2] > x else p[1] * x * x

        r = tg.residuals(either, [1.0, 2.0, 9.0], [1.0, 2.0, 3.0])
        assert np.asarray(r.jac(r.x0)).tolist() == [[1.0, 0, 0], [2.0, 0, 0], [3.0, 0, 0]]
        want = [[1.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 9.0, 0.0]]
        assert np.asarray(r.jac([1.0, 2.0, 1.5])).tolist() == want
        assert np.asarray(r.jac_sparse([1.0, 2.0, 1.5]).toarray()).tolist() == want

    def test_a_constant_residual_has_no_slope(self) -> None:
        """Derivatives that are all zero are zeros of the right shape."""

        def level(p: list[Real], x: float) -> float:
            return 2.0 * x

        r = tg.residuals(level, [1.0, 2.0], [1.0, 2.0, 3.0])
        assert np.asarray(r.jac(r.x0)).tolist() == [[0.0, 0.0]] * 3
        assert r.jac_sparse(r.x0).shape == (3, 2)

    @pytest.mark.parametrize("jac", ["jac", "jac_sparse"])
    def test_least_squares_solves_within_bounds(self, jac: str) -> None:
        """The parameters that made the data come back in the user's class."""
        r = tg.residuals(fit, START, TIMES, VALUES)
        limits = r.bounds({"height": (0.0, 5.0), "rates.0": (0.0, None)})
        found = optimize.least_squares(r.fun, r.x0, jac=getattr(r, jac), bounds=limits)
        solved = r.unflatten(found.x)
        assert (solved.height, *solved.rates) == pytest.approx((2.0, 0.5, 0.0), abs=1e-6)

    def test_differences_take_the_pattern(self) -> None:
        """``least_squares`` takes ``jac_sparsity`` for differences of its own."""
        r = tg.residuals(chain, [1.5] * 10)
        found = optimize.least_squares(r.fun, r.x0, jac_sparsity=r.jac_sparsity)
        assert found.cost < 1e-12

    def test_root_takes_a_square_system(self) -> None:
        """``scipy.optimize.root`` runs on residuals and their derivatives."""

        def system(p: Mapping[str, Real]) -> list[Real]:
            return [p["x"] + math.log(p["y"]), p["x"] * p["y"] + 1.0 / math.exp(1.0)]

        r = tg.residuals(system, {"x": -2.0, "y": 1.0})
        found = optimize.root(r.fun, r.x0, jac=r.jac)
        assert np.asarray(r.fun(found.x)) == pytest.approx([0.0, 0.0], abs=1e-9)


SYSTEM = tg.residuals(chain, [1.0, 2.0, 3.0, 4.0])


class TestOwnership:
    def test_data_are_copied(self) -> None:
        """Changing an array or a list afterwards changes nothing."""
        xs, x, y = list(XS), X.copy(), Y.copy()
        whole = tg.objective(smooth, START, xs)
        rows = tg.objective(row, {"a": 0.3, "b": -0.7}, x, y, reduce="sum")
        before = [o.fun(o.x0) for o in (whole, rows)]
        xs[0], x[:], y[:] = 100.0, 0.0, 0.0
        point = np.array([0.4, 0.4, 0.4])
        want = smooth(whole.unflatten(point), XS), before[1]
        assert whole.fun(point) == want[0]
        rows.fun([9.0, 9.0])
        assert rows.fun(rows.x0) == want[1]

    def test_what_is_recorded_later_reads_the_copies(self) -> None:
        """Second derivatives and new branches are recorded late, of the data that were given."""

        def near(p: list[Real], data: Sequence[float]) -> Real:
            return (p[0] - data[0]) ** 2 * p[0] if p[0] > 0.0 else p[0] * data[1]

        kinds: list[Any] = [[1.0, 2.0], np.array([1.0, 2.0])]
        for data in kinds:
            o = tg.objective(near, [-1.0], data)
            data[0] = data[1] = 100.0
            assert o.fun([3.0]) == 12.0
            assert o.hessp([3.0], [1.0]).tolist() == [14.0]

    def test_threads_may_share_an_objective(self) -> None:
        """Each thread gets the answers of its own points, on branches met and not yet met."""
        data = np.linspace(-4.0, 4.0, 17).tolist()
        o = tg.objective(huber, [0.0], data)
        points = np.random.default_rng(0).uniform(-3.0, 3.0, 200).tolist()
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda x: (o.fun([x]), o.jac([x])[0]), points))
        eager = [tg.value_and_grad(huber)([x], data) for x in points]
        assert found == [(e.value, e.grad[0]) for e in eager]

    def test_scipy_may_use_threads(self) -> None:
        """A solver that spreads its calls over a pool finds the minimum."""
        o = tg.objective(rosenbrock, [-1.2, 1.0])
        with ThreadPoolExecutor(4) as pool:
            found = optimize.differential_evolution(
                o.fun, [(-2.0, 2.0)] * 2, workers=pool.map, updating="deferred", rng=1, tol=1e-8
            )
        assert found.x == pytest.approx([1.0, 1.0], abs=1e-3)

    def test_both_may_be_pickled(self) -> None:
        """What arrives gives the same numbers."""
        o = tg.objective(row, {"a": 0.3, "b": -0.7}, X, Y, reduce="mean")
        r = tg.residuals(fit, START, TIMES, VALUES)
        sent: Any = pickle.loads(pickle.dumps([o, r]))  # noqa: S301  # our own bytes
        assert sent[0].fun_and_jac(o.x0)[0] == o.fun(o.x0)
        assert sent[0].jac(o.x0).tolist() == o.jac(o.x0).tolist()
        assert sent[1].fun(r.x0).tolist() == r.fun(r.x0).tolist()

    def test_flat_functions_go_on_beyond_their_paths(self) -> None:
        """Beyond ``max_paths`` a compiled function of flat arrays is called as it stands."""
        data = np.linspace(-4.0, 4.0, 17).tolist()
        flat = tg.jit(tg.value_and_grad(huber), max_paths=2).flat([0.0], data)
        for x in (0.0, 1.0, 2.0, 3.0, -1.0):
            eager = tg.value_and_grad(huber)([x], data)
            inputs: Any = np.array([x, *data])
            assert flat(inputs).tolist() == [eager.value, *eager.grad]


class TestRefusals:
    def test_a_vector_of_another_length(self) -> None:
        """The message counts both and names the unknowns."""

        def call() -> object:
            return OBJECTIVE.fun([1.0, 2.0])

        assert refusal(errors.InputError, call) == (
            f"a vector of 2 numbers was given ({place(call, 'OBJECTIVE')}) for 3 unknowns: pass "
            "one number for each of height, rates.0, rates.1"
        )

    def test_a_value_of_another_structure(self) -> None:
        """The message names the place."""

        def call() -> object:
            return OBJECTIVE.flatten(Decay(1.0, (1.0, 2.0, 3.0)))

        assert refusal(errors.InputError, call) == (
            f"rates is not built as in the start ({place(call, 'OBJECTIVE')}): give a number for "
            "each of height, rates.0, rates.1"
        )

    def test_many_names_are_not_all_told(self) -> None:
        """The first six names stand for the others."""
        r = tg.residuals(chain, [1.0] * 20)

        def call() -> object:
            return r.fun([1.0])

        assert refusal(errors.InputError, call) == (
            f"a vector of 1 numbers was given ({place(call, 'r.fun')}) for 20 unknowns: pass one "
            "number for each of 0, 1, 2, 3, 4, 5 and 14 more"
        )

    @pytest.mark.parametrize(
        ("start", "raised"),
        [
            ({"c": 1.0, "b": 2.0}, "KeyError: 'a'"),
            ((1.0, 2.0), "TypeError: tuple indices must be integers or slices, not str"),
            (1.0, "TypeError: 'Var' object is not subscriptable"),
        ],
    )
    def test_a_start_that_the_loss_does_not_fit(self, start: Any, raised: str) -> None:
        """The message has what the loss raised, and what the start holds."""
        held = {dict: "c, b", tuple: "0, 1", float: "w"}[type(start)]
        loss: Any = row

        def call() -> object:
            return tg.objective(loss, start, X, Y, reduce="sum")

        assert refusal(errors.InputError, call) == (
            f"row raised {raised} for a start that holds {held} ({place(call, 'tg.objective')}): "
            "give the start the structure that is used there"
        )

    @pytest.mark.parametrize("name", ["objective", "residuals"])
    def test_without_numpy(self, name: str) -> None:
        """The names are there, and the message of a call says how to get numpy."""
        script = (
            "import sys; sys.modules['numpy'] = None; import tapegrad as tg\n"
            f"try: tg.{name}(lambda x: x * x, 3.0)\n"
            "except tg.errors.BackendError as error: print(error)"
        )
        run = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        assert run.stdout == (
            "this needs numpy, which is not installed (<string>:2): run "
            "pip install 'tapegrad[numpy]'\n"
        )

    def test_what_else_a_loss_raises_is_its_own(self) -> None:
        """An exception that says nothing of the start comes through as it is."""

        def loss(x: Real) -> Real:
            raise ValueError("closed on Sundays")

        with pytest.raises(ValueError, match="closed on Sundays"):
            tg.objective(loss, 1.0)

    def test_a_start_that_holds_nan(self) -> None:
        """The message names the path."""

        def call() -> object:
            return tg.objective(smooth, Decay(1.0, (2.0, plain.nan)), XS)

        assert refusal(errors.InputError, call) == (
            f"the start is nan at rates.1 ({place(call, 'tg.objective')}): put a number there"
        )

    def test_rows_that_hold_nan(self) -> None:
        """The message names the first row, the argument, and how many more there are."""
        x = X.copy()
        x[1, 0] = x[3, 1] = x[4, 0] = plain.nan

        def call() -> object:
            return tg.objective(row, {"a": 1.0, "b": 1.0}, x, Y, reduce="sum")

        assert refusal(errors.InputError, call) == (
            f"row 1 of x holds nan, and 2 more do ({place(call, 'tg.objective')}): leave such rows "
            "out, or pass check_finite=False"
        )

    def test_a_single_number_that_is_nan(self) -> None:
        """An array without axes is named as a number is."""

        def call() -> object:
            number: Any = np.array(plain.nan)
            return tg.objective(smooth, START, number)

        assert refusal(errors.InputError, call) == (
            f"xs is nan ({place(call, 'tg.objective')}): put a number there, or pass "
            "check_finite=False"
        )

    def test_data_that_are_no_rows(self) -> None:
        """Arrays without rows, or of other kinds of numbers, are named by the model's parameter."""

        def call(times: object) -> object:
            return tg.residuals(fit, START, times, VALUES)

        where = place(call, "tg.residuals")
        arrays = {
            "a single float64": np.array(plain.nan),
            "an array of complex128": np.ones(3, complex),
            "an array of object": np.array([[1.0, "a"]], object),
        }
        for what, array in arrays.items():
            assert refusal(errors.InputError, partial(call, array)) == (
                f"t is {what} ({where}): pass an array of float64 with the rows first"
            )
        masked = np.ma.MaskedArray([1.0, 2.0], [False, True])
        assert refusal(errors.InputError, partial(call, masked)) == (
            f"t is a masked array ({where}): pass its rows that are not masked, or filled()"
        )

    def test_data_that_hold_nan(self) -> None:
        """Data that are no rows are named by path; arrays of constants by row."""

        def listed() -> object:
            return tg.objective(smooth, START, [1.0, plain.nan])

        array: Any = np.array([1.0, plain.nan])

        def as_array() -> object:
            return tg.objective(smooth, START, array)

        assert refusal(errors.InputError, listed) == (
            f"xs:1 is nan ({place(listed, 'tg.objective')}): put a number there, or pass "
            "check_finite=False"
        )
        assert refusal(errors.InputError, as_array) == (
            f"row 1 of xs holds nan ({place(as_array, 'tg.objective')}): leave such rows out, or "
            "pass check_finite=False"
        )

    def test_data_that_can_be_read_once(self) -> None:
        """A solver reads the data at every point."""

        def call() -> object:
            return tg.residuals(fit, START, iter([TIMES]), VALUES)

        assert refusal(errors.InputError, call) == (
            "t is an iterator, which can be read once, and a solver reads the data again and again "
            f"({place(call, 'tg.residuals')}): pass an array"
        )

    def test_bounds_of_what_does_not_exist(self) -> None:
        """The message names the nearest."""

        def call() -> object:
            return OBJECTIVE.bounds({"hight": (0.0, 1.0)})

        assert refusal(errors.InputError, call) == (
            f"there is no 'hight' to give bounds ({place(call, 'OBJECTIVE')}): did you mean height?"
        )

    @pytest.mark.parametrize("limits", [(2.0, 1.0), (plain.nan, 1.0)])
    def test_bounds_that_no_number_satisfies(self, limits: tuple[float, float]) -> None:
        """The message shows them."""

        def call() -> object:
            return SYSTEM.bounds({"0": limits})

        assert refusal(errors.InputError, call) == (
            f"the bounds of 0 are {limits} ({place(call, 'SYSTEM')}): give the lower one first"
        )

    def test_rows_that_are_not_made_one_number(self) -> None:
        """An objective is one number, however many rows there are."""
        objective: Any = tg.objective

        def call() -> object:
            return objective(row, {"a": 1.0, "b": 1.0}, X, Y, in_axes=(None, 0, 0))

        assert refusal(errors.InputError, call) == (
            f"in_axes=(None, 0, 0) ({place(call, 'in_axes')}) maps rows, and an objective is one "
            'number: say how theirs become one, reduce="mean" or reduce="sum"'
        )

    def test_an_unknown_way_to_reduce(self) -> None:
        """Only sums and means are known."""
        objective: Any = tg.objective

        def call() -> object:
            return objective(row, {"a": 1.0, "b": 1.0}, X, Y, reduce="max")

        assert refusal(errors.InputError, call) == (
            f'reduce=\'max\' ({place(call, "reduce")}) is unknown: use "mean" or "sum"'
        )

    @pytest.mark.parametrize("axes", [None, (None, None, None)])
    def test_nothing_to_reduce(self, axes: Any) -> None:
        """Rows come from data."""
        data = (1.0, 2.0) if axes else ()
        objective: Any = tg.objective

        def call() -> object:
            return objective(rosenbrock, [1.0, 2.0], *data, reduce="mean", in_axes=axes)

        assert refusal(errors.InputError, call) == (
            f"reduce='mean' ({place(call, 'reduce')}) and no data are mapped: pass arrays with the "
            "rows first"
        )

    @pytest.mark.parametrize(
        ("axes", "problem"),
        [
            ((0, 0, 0), "maps the start, which is the same for all rows: begin with None"),
            ((None, 0), "has 2 entries for 3 arguments: give one for each"),
        ],
    )
    def test_axes_that_do_not_fit(self, axes: Any, problem: str) -> None:
        """The start is the same for all rows, and each argument has its axis."""

        def call() -> object:
            return tg.residuals(fit, START, TIMES, VALUES, in_axes=axes)

        assert refusal(errors.InputError, call) == (
            f"in_axes={axes} ({place(call, 'in_axes')}) {problem}"
        )

    def test_a_model_that_returns_no_number(self) -> None:
        """Residuals are numbers."""

        def silent(p: list[Real], x: float) -> None:
            return None

        def call() -> object:
            return tg.residuals(silent, [1.0], [1.0, 2.0])

        assert refusal(errors.OutputError, call) == (
            f"silent ({place(call, 'tg.residuals')}) returned None, and residuals are numbers: "
            "return one, or a container of them"
        )
