"""`jit`: the bits of the eager call on every backend, guards that act, and what travels."""

from __future__ import annotations

import copy
import gc
import math as std
import pickle
import random
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import Real, errors, math
from tapegrad._support.optional_packages import installed
from tests.places import place, refusal, warned_at
from tests.strategies import Program, points, programs, same_bits

Name = Literal["python", "llvm"]
BACKENDS: tuple[Name, ...] = ("python", "llvm") if installed("llvmlite") else ("python",)
each_backend = pytest.mark.parametrize("backend", BACKENDS)


def halves(x: Real) -> Real:
    return math.sin(x) if x > 0.0 else x * x


def root_of(a: Real) -> Real:
    x = a
    while abs(x * x - a) > 1e-12 * a:
        x = 0.5 * (x + a / x)
    return x


def smooth(xs: list[Real]) -> Real:
    return math.exp(xs[0] * xs[1]) / (1.0 + xs[1] ** 2) + math.tanh(xs[0])


def first_slope(xs: list[float]) -> float:
    return tg.grad(smooth)(xs)[0]


@tg.primitive(partials=lambda y, x: 1.0, at=[0.5])
def picky(x: float) -> float:
    if x < 0.0:
        raise LookupError("negative")
    return x


def long_after(x: Any) -> Any:
    """A rule that may raise, and much that runs on after it, with other threads beside it."""
    y = picky(x)
    for _ in range(300):
        y = math.sin(y)
    return y


@attrs.frozen
class Market(Generic[Real]):
    spot: Real
    vol: Real
    name: str = "x"


def price(market: Market[Real], strike: float, t: float) -> Real:
    total = market.vol * math.sqrt(t)
    d = (math.log(market.spot / strike) + 0.5 * total * total) / total
    return market.spot * math.norm_cdf(d) - strike * math.norm_cdf(d - total)


def same(one: tg.ValueAndGrad[Any], other: tg.ValueAndGrad[Any]) -> bool:
    """Whether two answers with lists for gradients have the same bits."""
    pairs = zip((one.value, *one.grad), (other.value, *other.grad), strict=True)
    return all(same_bits(x, y) for x, y in pairs)


class TestBits:
    @each_backend
    @settings(max_examples=30, deadline=None)
    @given(data=st.data())
    def test_compiled_gradients_have_the_bits_of_eager_ones(
        self, backend: Name, data: st.DataObject
    ) -> None:
        """On any program with branches and choices, at any points, in any order of calls."""
        program: Program = data.draw(programs())
        eager: Callable[..., Any] = tg.value_and_grad(program)
        fast = tg.jit(eager, backend=backend, eager_first=False)
        for _ in range(4):
            point = data.draw(points(program.width))
            assert same(fast(point), eager(point))

    @each_backend
    def test_plain_functions_compile_as_gradients_do(self, backend: Name) -> None:
        """What `jit` is given need not be a gradient."""
        fast = tg.jit(price, backend=backend, eager_first=False)
        for spot in (80.0, 100.0, 120.0):
            market = Market(spot, 0.2)
            assert fast(market, 105.0, 1.0) == price(market, 105.0, 1.0)

    @each_backend
    def test_squares_have_the_bits_of_powers(self, backend: Name) -> None:
        """Also where the power, which Python takes, is not the rounded product."""
        fast = tg.jit(lambda x: x**2, backend=backend, eager_first=False)
        draw = random.Random(1)
        numbers = [draw.uniform(-100.0, 100.0) for _ in range(20_000)]
        assert [fast(x) for x in numbers] == [x**2 for x in numbers]
        edges = (0.0, -0.0, 1e-160, 1e-200, 1e160, 5e-324, std.inf)
        assert [fast(x) for x in edges] == [math.pow(x, 2.0) for x in edges]

    @each_backend
    def test_slopes_outside_a_domain_are_nan(self, backend: Name) -> None:
        """Where compiled code knows the sign of what it divides by, and where it does not."""
        for f in (
            lambda x: math.log(-x),
            lambda x: math.sqrt(-x),
            lambda x: math.log(math.sqrt(-x)),
        ):
            fast = tg.jit(tg.grad(f), backend=backend, eager_first=False)
            assert fast(-4.0) == fast(-4.0) == tg.grad(f)(-4.0)
            assert std.isnan(fast(4.0))

    @each_backend
    def test_every_transform_compiles(self, backend: Name) -> None:
        """Gradients of gradients, tangents and Jacobians have the bits of the eager ones."""
        for transformed in (
            tg.grad(first_slope),
            lambda xs: tg.jvp(smooth, xs, [0.5, -1.0]),
            lambda xs: tg.linearize(smooth, xs)[1]([2.0, 3.0]),
            tg.jacobian(tg.grad(smooth)),
        ):
            fast = tg.jit(transformed, backend=backend, eager_first=False)
            for point in ([0.3, 0.7], [0.1, -0.2], [0.4, 0.5]):
                assert fast(point) == transformed(point)

    @each_backend
    def test_second_derivatives_compile_to_rounding(self, backend: Name) -> None:
        """On floats `hvp` and `hessian` have a sweep of their own; compiled they have another."""
        product = tg.jit(
            lambda xs: tg.hvp(smooth, xs, [1.0, 2.0]), backend=backend, eager_first=False
        )
        whole = tg.jit(tg.hessian(smooth), backend=backend, eager_first=False)
        for point in ([0.3, 0.7], [0.1, -0.2], [0.4, 0.5]):
            assert product(point) == pytest.approx(tg.hvp(smooth, point, [1.0, 2.0]), rel=1e-14)
            for name, row in tg.hessian(smooth)(point).items():
                assert whole(point)[name] == pytest.approx(row, rel=1e-14)

    def test_a_program_of_many_functions_keeps_its_values(self) -> None:
        """Values cross from one generated function to the next, and none is lost or mixed up."""

        def long(xs: list[Real]) -> Real:
            total = xs[0] * 0.0
            for index in range(700):
                total = total + math.sin(xs[index % 3] * float(index + 1)) * xs[(index + 1) % 3]
            return total

        for backend in BACKENDS:
            fast = tg.jit(tg.value_and_grad(long), backend=backend, eager_first=False)
            for point in ([0.1, 0.2, 0.3], [1.0, -2.0, 0.5], [-0.7, 0.0, 3.0]):
                assert fast(point) == tg.value_and_grad(long)(point)


class TestGuards:
    @each_backend
    def test_a_flip_takes_the_path_that_fits(self, backend: Name) -> None:
        """Never the recorded branch at a point that belongs to another."""
        fast = tg.jit(tg.value_and_grad(halves), backend=backend, eager_first=False)
        for x in (1.0, 2.0, -1.0, 3.0, -3.0, 0.0, -0.0, std.nan, std.inf, 1.0):
            assert same_bits(fast(x).value, tg.value_and_grad(halves)(x).value)
            assert same_bits(fast(x).grad, tg.value_and_grad(halves)(x).grad)
        assert len(fast.tapes) == 2

    @each_backend
    def test_a_loop_to_convergence_runs_as_long_as_it_must(self, backend: Name) -> None:
        """Each number of iterations is a path, recorded once."""
        fast = tg.jit(tg.value_and_grad(root_of), backend=backend, eager_first=False)
        for a in (2.0, 3.0, 1e6, 2.5, 1e-3, 9.0, 2.0, 1e6):
            assert fast(a) == tg.value_and_grad(root_of)(a)
        assert len({len(tape) for tape in fast.tapes}) == len(fast.tapes)

    def test_no_path_is_recorded_twice(self) -> None:
        """The function is called once for each path, and never again."""
        calls: list[object] = []

        def counted(x: Real) -> Real:
            calls.append(x)
            return halves(x)

        fast = tg.jit(counted, eager_first=False)
        for x in (1.0, 2.0, -1.0, -2.0, 3.0, -3.0):
            fast(x)
        assert len(calls) == len(fast.tapes) == 2

    def test_beyond_the_limit_the_function_is_called(self) -> None:
        """A program with ever new paths is right, if not quick."""
        fast = tg.jit(tg.value_and_grad(root_of), max_paths=1, eager_first=False)
        for a in (2.0, 1e6, 1e9, 2.0):
            assert fast(a) == tg.value_and_grad(root_of)(a)
        assert len(fast.tapes) == 1


class TestArguments:
    def test_static_values_and_structures_are_recorded_on_their_own(self) -> None:
        """An int, a name or the length of a list is part of what was recorded; a float is not."""

        def f(xs: list[Real], power: int, scale: float = 1.0, *, tag: str = "a") -> Real:
            total = xs[0] * scale
            for x in xs[1:]:
                total = total + x**power
            return total if tag == "a" else -total

        fast = tg.jit(f, eager_first=False)
        calls: list[tuple[list[float], int, dict[str, Any]]] = [
            ([1.0, 2.0], 2, {}), ([1.0, 3.0], 2, {}), ([1.0, 3.0], 3, {}), ([1.0, 2.0, 3.0], 2, {}),
            ([1.0, 2.0], 2, {"scale": 4.0}), ([1.0, 2.0], 2, {"scale": 5.0}),
            ([1.0, 2.0], 2, {"tag": "b"}),
        ]  # fmt: skip
        for xs, power, rest in calls * 2:
            assert fast(xs, power, **rest) == f(xs, power, **rest)
        assert len(fast.tapes) == 5

    def test_static_values_that_change_are_seen(self) -> None:
        """A static value without a hash is kept as it was, and one that is equal is the same."""
        numpy = pytest.importorskip("numpy")
        weights, names = numpy.array([1, 2]), {"a"}

        def f(x: Real, weights: Any, names: set[str]) -> Real:
            return x * float(weights.sum()) * float(len(names))

        fast = tg.jit(f, eager_first=False)
        for _ in range(3):
            assert fast(2.0, weights, names) == 6.0
            assert fast(2.0, weights.copy(), {"a"}) == 6.0
        assert len(fast.tapes) == 1
        weights[0] = 10
        assert fast(2.0, weights, names) == 24.0
        names.add("b")
        assert fast(2.0, weights, names) == 48.0

    def test_a_copy_is_the_function_itself(self) -> None:
        """A model that holds a compiled function may be copied."""
        fast = tg.jit(halves, eager_first=False)
        assert copy.copy(fast) is copy.deepcopy(fast) is fast
        assert repr(fast) == "<jit of halves, 0 recorded>"

    def test_containers_nested_deeply_come_back(self) -> None:
        """Deeper than Python reads parentheses."""

        def f(x: Real) -> object:
            nested: object = x
            for _ in range(150):
                nested = [nested, "s"]
            return nested

        fast = tg.jit(f, eager_first=False)
        assert fast(1.0) == fast(1.0) == f(1.0)

    def test_containers_come_back_as_they_came(self) -> None:
        """The result has the classes, keys and static fields that the eager one has."""

        def f(market: Market[Real], more: Mapping[str, float]) -> Any:
            return {"m": market, "l": [market.spot * more["a"], (market.vol, 3)], "s": "text"}

        fast = tg.jit(f, eager_first=False)
        for _ in range(3):
            found = fast(Market(2.0, 3.0, "eur"), {"a": 4.0})
            assert found == f(Market(2.0, 3.0, "eur"), {"a": 4.0})

    def test_ints_are_promoted_where_they_are_differentiated(self) -> None:
        """As every transform does: the result is a float."""
        fast = tg.jit(tg.value_and_grad(halves), eager_first=False)
        assert [fast(2), fast(2.0), fast(2)] == [tg.value_and_grad(halves)(2)] * 3
        assert len(fast.tapes) == 1

    def test_arguments_may_all_go_by_name(self) -> None:
        """As `partials` is called."""

        def f(a: Real, b: Real) -> Real:
            return a * b + a

        fast = tg.jit(tg.partials(f), eager_first=False)
        for b in (2.0, 3.0, 4.0):
            assert fast(a=1.0, b=b) == tg.partials(f)(a=1.0, b=b)

    def test_inside_a_recording_it_is_the_function(self) -> None:
        """A compiled function may be differentiated; it is then called as it is."""
        fast = tg.jit(halves, eager_first=False)
        assert tg.grad(fast)(2.0) == tg.grad(halves)(2.0)
        assert tg.jit(tg.grad(fast), eager_first=False)(2.0) == tg.grad(halves)(2.0)

    def test_an_error_of_the_function_is_its_own(self) -> None:
        """What the function raises comes through, and nothing is recorded."""

        def f(x: Real) -> Real:
            raise LookupError("mine")

        fast = tg.jit(f, eager_first=False)
        with pytest.raises(LookupError, match="mine"):
            fast(1.0)
        assert fast.tapes == ()

    @each_backend
    def test_errors_come_to_the_thread_that_made_them(self, backend: Name) -> None:
        """A rule that raises in one thread spoils no answer of another."""
        fast, wrong = tg.jit(long_after, backend=backend, eager_first=False), []
        expected = [long_after(float(index)) for index in range(50)]
        together = threading.Barrier(3)

        def work(sign: float) -> None:
            together.wait()
            for index in [*range(1, 50)] * 40:
                try:
                    fine = fast(sign * index) == expected[index] and sign > 0.0
                except LookupError:
                    fine = sign < 0.0
                if not fine:
                    wrong.append(index)

        threads = [threading.Thread(target=work, args=(sign,)) for sign in (1.0, -1.0, 1.0)]
        fast(1.0)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []

    def test_threads_may_call_one_compiled_function(self) -> None:
        """Each gets the answer to its own arguments."""
        fast, wrong = tg.jit(tg.value_and_grad(root_of), eager_first=False), []

        def work(start: int) -> None:
            for index in range(60):
                a = float(start * 60 + index + 1)
                if fast(a) != tg.value_and_grad(root_of)(a):
                    wrong.append(a)

        threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


class TestFlat:
    def test_flat_arrays_go_in_and_out(self) -> None:
        """The numbers of the arguments in order, and the numbers of the result."""
        numpy = pytest.importorskip("numpy")
        for backend in BACKENDS:
            flat = tg.jit(tg.value_and_grad(price), backend=backend).flat(
                Market(100.0, 0.2), 105.0, 1.0
            )
            assert flat.inputs == ("spot", "vol", "strike", "t")
            assert flat.outputs == ("value", "grad.spot", "grad.vol")
            for spot in (90.0, 110.0):
                value, slope = tg.value_and_grad(price)(Market(spot, 0.2), 105.0, 1.0)
                found = flat(numpy.array([spot, 0.2, 105.0, 1.0]))
                assert found.tolist() == [value, slope.spot, slope.vol]

    def test_a_flip_is_seen_between_arrays_too(self) -> None:
        """The path that fits is recorded from the flat numbers."""
        numpy = pytest.importorskip("numpy")
        flat = tg.jit(tg.grad(halves)).flat(1.0)
        for x in (1.0, -1.0, 2.0, -2.0):
            assert flat(numpy.array([x])).tolist() == [tg.grad(halves)(x)]

    def test_an_array_that_does_not_fit(self) -> None:
        """The shape and the type of what was given are named."""
        numpy = pytest.importorskip("numpy")
        flat = tg.jit(tg.grad(halves)).flat(1.0)

        def wrong() -> object:
            return flat(numpy.array([1.0, 2.0]))

        def ints() -> object:
            return flat([1])

        assert refusal(errors.InputError, wrong) == (
            f"an array of shape (2,) was given ({place(wrong, 'flat(')}) for 1 inputs: pass one "
            "float64 array of that length"
        )
        assert refusal(errors.InputError, ints) == (
            f"a list ([1]) was given ({place(ints, 'flat(')}) for 1 inputs: pass one float64 "
            "array of that length"
        )

    def test_paths_that_return_other_structures(self) -> None:
        """Numbers never stand under the names of another path's."""
        numpy = pytest.importorskip("numpy")

        def f(x: Real) -> dict[str, Real]:
            return {"a": x, "b": 2.0 * x} if x > 0.0 else {"a": x, "c": 2.0 * x}

        flat = tg.jit(f).flat(1.0)

        def other() -> object:
            return flat(numpy.array([-1.0]))

        assert refusal(errors.OutputError, other) == (
            f"a path at these inputs ({place(other, 'flat(')}) returns another structure than the "
            "first one: return the same containers on every path"
        )


class TestTravelling:
    def test_a_compiled_function_pickles_without_its_function(self) -> None:
        """Its tapes travel, and give the same bits where they arrive."""
        fast = tg.jit(tg.value_and_grad(halves), eager_first=False)
        expected = [fast(x) for x in (1.0, -1.0)]
        arrived = pickle.loads(pickle.dumps(fast))  # noqa: S301  # our own
        assert [arrived(x) for x in (1.0, -1.0)] == expected
        assert arrived.tapes == fast.tapes

    def test_a_path_that_did_not_travel(self) -> None:
        """Without the function a new path cannot be recorded, and is not guessed."""
        fast = tg.jit(halves).compile(1.0)
        arrived = pickle.loads(pickle.dumps(fast))  # noqa: S301  # our own

        def elsewhere() -> object:
            return arrived(-1.0)

        assert refusal(errors.GuardError, elsewhere) == (
            "halves was compiled elsewhere and travelled without its function, and these "
            f"arguments ({place(elsewhere, 'arrived(')}) lead to a path that was not recorded: "
            "call it there, and send it again"
        )


class TestNothingIsLeftBehind:
    @each_backend
    def test_a_compiled_function_goes_with_its_last_reference(self, backend: Name) -> None:
        """Without the garbage collector, called never, once or often."""
        gc.disable()
        try:
            for calls in range(4):
                fast = tg.jit(tg.value_and_grad(halves), backend=backend, eager_first=False)
                for call in range(calls):
                    fast(float(call))
                gone: list[Callable[[], object]] = [weakref.ref(fast)]
                gone += [weakref.ref(recording) for recording in fast._cache.recordings]
                del fast
                assert [ref() for ref in gone] == [None] * len(gone)
        finally:
            gc.enable()


class TestReport:
    def test_the_report_says_what_runs_and_why(self) -> None:
        """Backend and reason, paths with their guards' lines, calls back, constants."""

        def f(x: Real) -> Real:
            return math.lgamma(x) if x > 3.0 else x

        fast = tg.jit(tg.value_and_grad(f), backend="python").compile(4.0)
        fast(1.0)
        report = fast.report()
        (shape,) = report.shapes
        assert report.backend == "python (as asked)"
        assert [path.outcomes for path in shape.paths] == [(False,), (True,)]
        assert all("test_jit.py:" in path.guards[0] for path in shape.paths)
        assert shape.paths[1].called_back == ("digamma", "lgamma")
        assert shape.paths[1].constants[0][0] == 3.0
        assert "called back into Python: digamma, lgamma" in str(report)
        assert shape.paths[0].runs_on == "recorded only"

    def test_eight_recordings_for_one_static_value_earn_a_warning(self) -> None:
        """Once, and it names the argument."""

        def f(x: Real, strike: int) -> Real:
            return x * strike

        fast = tg.jit(f, eager_first=False)
        for strike in range(7):
            fast(1.0, strike)

        def eighth() -> None:
            fast(1.0, 7)

        with pytest.warns(UserWarning, match="8 times for arguments that differ in strike") as seen:
            eighth()
        assert warned_at(seen) == place(eighth, "fast(")
        assert "recorded anew for each strike" in str(fast.report())

    def test_sources_are_told_in_three_languages(self) -> None:
        """Python, LLVM's text and C, of the path that was taken last."""
        fast = tg.jit(tg.grad(halves)).compile(1.0)
        assert "def " in fast.source("python")
        assert "define" in fast.source("llvm")
        assert "double" in fast.source("c")


class TestRefusals:
    def test_counts_below_one(self) -> None:
        """At least one path there must be."""

        def none() -> object:
            return tg.jit(halves, max_paths=0, eager_first=False)

        assert refusal(errors.InputError, none) == (
            f"max_paths is 0 ({place(none, 'tg.jit')}): pass 1 or more"
        )

    def test_a_backend_that_is_not_known(self) -> None:
        """The ones that are known are listed."""

        def unknown() -> object:
            return tg.jit(halves, backend="fortran", eager_first=False)  # type: ignore[call-overload]  # on purpose

        assert refusal(errors.BackendError, unknown) == (
            f"backend 'fortran' is not known ({place(unknown, 'tg.jit')}): choose among auto, "
            "python, numpy, llvm"
        )

    def test_a_backend_for_columns(self) -> None:
        """The numpy backend does not run one call."""

        def columns() -> object:
            return tg.jit(halves, backend="numpy", eager_first=False)

        assert refusal(errors.BackendError, columns) == (
            "the numpy backend runs columns of numbers, not one call "
            f'({place(columns, "tg.jit")}): use vmap, or jit with backend="python" or "llvm"'
        )

    def test_a_backend_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The one command that installs it is named."""
        monkeypatch.setattr("tapegrad._support.optional_packages.installed", lambda package: False)

        def missing() -> object:
            return tg.jit(halves, backend="llvm", eager_first=False)

        assert refusal(errors.BackendError, missing) == (
            f"this needs llvmlite, which is not installed ({place(missing, 'tg.jit')}): run "
            "pip install 'tapegrad[native]'"
        )
        assert tg.jit(halves, eager_first=False)(2.0) == halves(2.0)

    def test_a_source_before_the_first_call(self) -> None:
        """There is nothing to tell yet."""

        def early() -> object:
            return tg.jit(halves, eager_first=False).source("python")

        assert refusal(errors.BackendError, early) == (
            f"nothing has been recorded yet ({place(early, 'tg.jit')}): compile the function "
            "first, or call it more"
        )

    def test_a_language_that_is_not_known(self) -> None:
        """The ones that are known are listed."""
        fast = tg.jit(halves).compile(1.0)

        def unknown() -> object:
            return fast.source("forth")  # type: ignore[arg-type]  # on purpose

        assert refusal(errors.BackendError, unknown) == (
            f"language 'forth' is not known ({place(unknown, 'fast.source')}): choose among "
            "python, llvm and c"
        )
