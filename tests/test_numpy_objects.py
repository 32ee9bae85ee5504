"""numpy's functions on arrays of traced numbers, whose dtype is object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import Var, errors, math
from tapegrad import numpy as tnp
from tapegrad.ops import table as ops
from tests.places import place, refusal

RECORDED = [
    (name, getattr(np, name).nin)
    for row in ops.TABLE.rows
    for name in row.ufuncs
    if row.kind == "operation" and not row.is_truth
]
"""The functions of numpy's that are rows of the table, and how many numbers each takes."""

WITHOUT_LOOP = {"copysign", "float_power", "logaddexp"}
"""Those that numpy does not have for objects."""

COMPARED = {"maximum", "minimum"}
"""Those for which numpy compares the elements."""

POINT = (0.7, 0.4)

W = np.array([1.0, 2.0])


def gradient(f: Callable[[Any], Any], *point: float) -> list[float]:
    found: list[float] = tg.grad(lambda xs: f(np.array(xs)))(list(point))
    return found


def differences(f: Callable[[Any], Any], *point: float) -> list[float]:
    """The gradient by central differences, on arrays of floats."""
    step, found = 1e-6, []
    for index in range(len(point)):
        ends = []
        for sign in (1.0, -1.0):
            moved = np.array(point)
            moved[index] += sign * step
            ends.append(float(f(moved)))
        found.append((ends[0] - ends[1]) / (2.0 * step))
    return found


class TestElementwise:
    @pytest.mark.parametrize(("name", "count"), RECORDED)
    def test_a_function_of_an_array_is_that_of_its_elements(self, name: str, count: int) -> None:
        """Each element records what the function records of a number, to the bit."""
        function = getattr(np, name)
        shift = 1.0 if name == "arccosh" else 0.0

        def of_array(p: Any) -> Any:
            array = np.array([p[0] + shift, p[1] + shift])
            return function(*[array, array[::-1]][:count]).tolist()

        def of_numbers(p: Any) -> Any:
            x, y = p[0] + shift, p[1] + shift
            return [function(*[x, y][:count]), function(*[y, x][:count])]

        if name in WITHOUT_LOOP:
            with pytest.raises(errors.TracedNumberError, match=f"numpy.{name} at "):
                tg.jacobian(of_array)(POINT)
        elif name not in COMPARED:
            assert tg.jacobian(of_array)(POINT) == tg.jacobian(of_numbers)(POINT)
            assert tg.vjp(of_array, POINT)[0] == tg.vjp(of_numbers, POINT)[0]

    @pytest.mark.parametrize("name", ["conjugate", "positive", "reciprocal", "rint", "square"])
    def test_so_is_a_function_that_is_spelled_in_rows(self, name: str) -> None:
        """On numbers and on arrays, and as numpy computes it."""
        function = getattr(np, name)
        slopes = differences(lambda a: function(a)[0] + 2.0 * function(a)[1], *POINT)
        for f in (
            lambda a: function(a)[0] + 2.0 * function(a)[1],
            lambda a: function(a[0]) + 2.0 * function(a[1]),
        ):
            assert gradient(f, *POINT) == pytest.approx(slopes, rel=1e-8, abs=1e-8)

    def test_the_methods_are_those_that_numpy_calls(self) -> None:
        """Every row with a function of numpy's that has no operator is a method of a number."""
        names = {name for row in ops.TABLE.rows if not row.python for name in row.ufuncs}
        names -= {name for row in ops.TABLE.rows if row.is_truth for name in row.ufuncs}
        assert all(callable(getattr(Var, name)) for name in names)
        model: Any = lambda x: x.tanh() * x.hypot(3.0)  # noqa: E731  # it is what is tested
        assert tg.grad(model)(4.0) == tg.grad(lambda x: np.tanh(x) * np.hypot(x, 3.0))(4.0)


REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "sum": np.sum,
    "prod": np.prod,
    "mean": np.mean,
    "std": np.std,
    "var": np.var,
    "sample variance": lambda a: np.var(a, ddof=1),
    "norm": np.linalg.norm,
    "norm of order 1": lambda a: np.linalg.norm(a, 1),
    "dot": lambda a: np.dot(a, a[::-1]),
    "matmul": lambda a: a @ a,
    "einsum": lambda a: np.einsum("i,i->", a, a),
    "outer": lambda a: np.outer(a, a).sum(),
    "matrix and vector": lambda a: (np.arange(6.0).reshape(2, 3) @ a).sum(),
    "cumsum": lambda a: np.cumsum(a)[1],
    "cumprod": lambda a: np.cumprod(a)[2],
    "diff": lambda a: np.diff(a)[0] ** 2,
    "clip": lambda a: np.clip(a, 0.6, 1.0).sum(),
    "abs": lambda a: np.abs(-a).sum(),
    "sign": lambda a: (np.sign(a) * a).sum(),
    "round": lambda a: (np.round(a, 1) * a).sum(),
    "where": lambda a: np.where(a > 0.6, a**2, a).sum(),
    "maximum": lambda a: np.maximum(a, 0.6).sum(),
    "max": np.max,
    "sort": lambda a: np.sort(a)[0],
    "softmax": lambda a: (np.exp(a) / np.sum(np.exp(a)))[0],
    "log sum": lambda a: np.log(np.sum(np.exp(a))),
    "layer": lambda a: np.sum(np.tanh(np.stack([a, a]) @ a)),
}


class TestReductions:
    @pytest.mark.parametrize("name", REDUCTIONS)
    def test_they_are_differentiated(self, name: str) -> None:
        """What numpy makes of elements has the slopes that differences of it have."""
        f, point = REDUCTIONS[name], (0.7, 0.4, 2.0)
        assert gradient(f, *point) == pytest.approx(differences(f, *point), rel=1e-7, abs=1e-8)

    @pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean"])
    def test_of_one_number_they_are_that_number(self, name: str) -> None:
        """A number is a number, and not an array without axes."""
        function = getattr(np, name)
        assert tg.grad(lambda x: function(x) * 2.0)(3.0) == 2.0

    def test_a_tie_of_arrays_goes_to_the_first(self) -> None:
        """numpy compares the elements and takes one, where numbers share the slope."""

        def of_arrays(p: Any) -> Any:
            return np.maximum(np.array(p[:1]), np.array(p[1:]))[0]

        assert tg.grad(of_arrays)([1.0, 1.0]) == [1.0, 0.0]
        assert tg.grad(lambda p: np.maximum(p[0], p[1]))([1.0, 1.0]) == [0.5, 0.5]


class TestTracedArrays:
    """What an array of objects becomes in a function of ours."""

    @pytest.mark.parametrize(
        "f",
        [
            lambda n, a: n.exp(a).sum(),
            lambda n, a: n.hypot(a, W).sum(),
            lambda n, a: n.sum(a * W),
            lambda n, a: n.where(a > 0.5, a, W).sum(),
            lambda n, a: n.matmul(a, W),
            lambda n, a: n.cumsum(a)[1],
            lambda n, a: n.concatenate([a, W]).sum(),
            lambda n, a: (W * n.stack([a, a])).sum(),
        ],
    )
    def test_numpys_functions_and_ours_agree(self, f: Any) -> None:
        """numpy goes element by element, ours by the array: the numbers are the same."""
        theirs, ours = (
            tg.grad(lambda p, n=n: f(n, np.array([p[0], p[1]])))([0.3, 0.7]) for n in (np, tnp)
        )
        assert theirs == pytest.approx(ours, rel=1e-15)

    def test_lists_and_floats_beside_traced_numbers_are_taken(self) -> None:
        """A list of numbers, some of them traced, is an array."""

        def f(p: Any) -> Any:
            mixed = np.array([p[0], 1.0])
            assert isinstance(tnp.exp(mixed), tnp.ArrayVar)
            return tnp.sum(tnp.exp(mixed)) + tnp.sum(tnp.asarray([[p[0], p[1]], [2.0, 3]]) @ W)

        assert tg.grad(f)([0.0, 1.0]) == [2.0, 2.0]


class TestRefusals:
    def test_a_function_without_a_loop_for_objects_is_named(self) -> None:
        """The error says how to apply the one of tapegrad's to each element."""

        def f(xs: Any) -> Any:
            return np.sum(np.logaddexp(np.array(xs), np.array([0.0, 1.0])))

        assert refusal(errors.TracedNumberError, lambda: tg.grad(f)([1.0, 2.0])) == (
            f"numpy.logaddexp at {place(f, 'logaddexp')} takes no array of objects, as one of "
            "traced numbers is: write tapegrad.numpy.logaddexp instead"
        )

        def mended(xs: Any) -> Any:
            return np.sum(tnp.logaddexp(np.array(xs), np.array([0.0, 1.0])))

        assert tg.grad(mended)([0.0, 1.0]) == [0.5, 0.5]

    @pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite"])
    def test_so_is_a_test(self, name: str) -> None:
        """numpy has no tests of objects; of a number it is a condition."""

        def f(xs: Any) -> Any:
            return xs[0] if getattr(np, name)(np.array(xs)).any() else xs[1]

        assert refusal(errors.TracedNumberError, lambda: tg.grad(f)([1.0, 2.0])) == (
            f"numpy.{name} at {place(f, 'getattr')} takes no array of objects, as one of "
            f"traced numbers is: write tapegrad.numpy.{name} instead"
        )
        assert tg.grad(lambda x: tg.where(getattr(np, name)(x), 2.0 * x, 3.0 * x))(1.0) in {2, 3}

    @pytest.mark.parametrize("name", ["exp", "hypot"])
    def test_floats_beside_traced_numbers_are_named(self, name: str) -> None:
        """numpy asks each element for a method, and a float has none."""
        function = getattr(np, name)

        def f(x: Any) -> Any:
            mixed = np.array([1.0, x])
            return function(*[mixed, mixed][: function.nin]).sum()

        assert refusal(errors.TracedNumberError, lambda: tg.grad(f)(1.0)) == (
            f"numpy.{name} at {place(f, 'function')} takes no array with plain floats beside "
            f"traced numbers: write tapegrad.numpy.{name} instead"
        )

    @pytest.mark.parametrize("name", ["inv", "det", "cholesky", "lstsq", "solve"])
    def test_functions_of_matrices_take_an_array_that_is_made_of_the_numbers(
        self, name: str
    ) -> None:
        """The error says how to make it, and names the function as it is called."""

        def applied(x: Any) -> Any:
            given = (x, np.ones(2)) if name in {"lstsq", "solve"} else (x,)
            found = getattr(np.linalg, name)(*given)
            return found[0] if name == "lstsq" else found

        def f(rows: Any) -> Any:
            return applied(np.array(rows))

        matrix = [[2.0, 0.5], [0.5, 1.0]]
        assert refusal(errors.TracedNumberError, lambda: tg.grad(f)(matrix)) == (
            f"numpy.linalg.{name} at {place(applied, 'getattr')} takes no array of objects, as one "
            "of traced numbers is: pass it tapegrad.numpy.asarray(x)"
        )
        gradient = tg.grad(lambda rows: tnp.sum(applied(tnp.asarray(rows))))(matrix)
        assert gradient == tg.grad(lambda x: tnp.sum(applied(x)))(np.array(matrix)).tolist()

    @pytest.mark.parametrize(
        "use",
        [
            lambda b: np.percentile(np.array(b), 30),
            lambda b: b[0] if np.isclose(b[0], 1.0) else b[1],
            lambda b: np.histogram(b)[0],
        ],
    )
    def test_what_numpy_says_of_traced_numbers_is_said_of_the_users_line(self, use: Any) -> None:
        """Errors inside numpy name no line of numpy's."""
        text = refusal(errors.TracedNumberError, lambda: tg.grad(use)([1.0, 2.0]))
        assert text.startswith("what is called at test_numpy_objects.py:")
        assert text.endswith("): use tapegrad.math and operators")

    def test_errors_of_the_users_own_are_passed_on(self) -> None:
        """A TypeError that is not numpy's, of objects, keeps its text."""

        def f(x: Any) -> Any:
            return x.no_such_method()

        with pytest.raises(AttributeError, match="no_such_method"):
            tg.grad(f)(1.0)
        with pytest.raises(AttributeError, match="'float' object has no attribute 'exp'"):
            tg.grad(lambda x: x * float(2).exp())(1.0)  # type: ignore[attr-defined]  # it is tested
        with pytest.raises(AttributeError, match="'float' object has no attribute 'spot'"):
            tg.grad(lambda x: x * float(2).spot)(1.0)  # type: ignore[attr-defined]  # it is tested

    def test_storing_in_an_array_of_floats_is_named(self) -> None:
        """By the place that is stored in, and with what to write instead."""

        def assign(b: Any) -> Any:
            c = np.zeros(2)
            c[0] = b[0] * b[0]
            return c[0]

        assert refusal(errors.TracedNumberError, lambda: tg.grad(assign)([1.0, 2.0])) == (
            f"storing x in an array of floats (c[0] = ...) at {place(assign, 'c[0] =')} would drop "
            "the derivative of a traced number: write a list, or an array made with dtype=object "
            "instead"
        )

        def mended(b: Any) -> Any:
            c = np.zeros(2, dtype=object)
            c[0] = b[0] * b[0]
            return c[0]

        assert tg.grad(mended)([1.0, 2.0]) == [2.0, 0.0]

    def test_storing_where_there_is_no_source_names_no_place_in_it(self) -> None:
        """At Python's prompt, the message is the rest."""
        names: dict[str, Any] = {"np": np}
        exec("def assign(x):\n    c = np.zeros(2)\n    c[0] = x\n    return c[0]", names)  # noqa: S102  # written here
        text = refusal(errors.TracedNumberError, lambda: tg.grad(names["assign"])(1.0))
        assert text.startswith("storing x in an array of floats at <string>:3 would drop")

    def test_adding_in_place_is_named(self) -> None:
        """To an array of floats it is refused, and to one of objects it is done."""

        def f(b: Any, kind: Any = float) -> Any:
            c = np.ones(2, dtype=kind)
            c += b[0]
            c *= b[1]
            return c[0] + c[1]

        assert refusal(errors.TracedNumberError, lambda: tg.grad(f)([1.0, 2.0])) == (
            f"numpy.add at {place(f, 'c += b')} would store a traced number in an array of "
            "float64: write c = c + x instead of c += x, or make the array with dtype=object"
        )
        assert tg.grad(lambda b: f(b, object))([1.0, 2.0]) == [4.0, 4.0]

    @pytest.mark.parametrize(
        "cast",
        [
            lambda b: np.array(b, float)[0],
            lambda b: np.asarray(b, dtype=np.float64)[0],
            lambda b: np.full(2, b[0], float)[0],
            lambda b: np.float64(b[0]),
        ],
    )
    def test_casting_to_floats_is_named(self, cast: Any) -> None:
        """The error shows the call as it is written."""
        text = refusal(errors.TracedNumberError, lambda: tg.grad(cast)([1.0, 2.0]))
        assert text.startswith("float(x), which np.")
        assert "asks for, at test_numpy_objects.py:" in text
        assert text.endswith(
            "write an array without a dtype, whose elements stay traced, or functions of "
            "tapegrad.math, instead"
        )

    def test_an_array_of_one_number_is_no_result(self) -> None:
        """numpy.where gives one, and the error says what gives a number."""

        def f(b: Any) -> Any:
            return np.where(b[0] > 0, b[0] ** 2, b[1])

        def call() -> object:
            return tg.grad(f)([1.0, 2.0])

        assert refusal(errors.OutputError, call) == (
            "the result is an array of one traced number, as numpy.where gives: return its item(), "
            f"or use tapegrad.where ({place(call, 'tg.grad')})"
        )
        assert tg.grad(lambda b: f(b).item())([3.0, 2.0]) == [6.0, 0.0]

    def test_what_our_own_functions_raise_is_not_said_of_numpy(self) -> None:
        """A number in the place of a list has Python's own error, with numpy and without."""

        def f(x: Any) -> Any:
            return math.sum(x)

        assert refusal(TypeError, lambda: tg.grad(f)(1.0)) == "'Var' object is not iterable"
