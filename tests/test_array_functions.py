"""The functions of ``tapegrad.numpy``: numpy's values, true derivatives, the same on every road."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_allclose, assert_array_equal

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp
from tapegrad.numpy import contractions
from tapegrad.ops import table as ops

RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4))
OTHER = RNG.permuted(X, axis=1)[::-1] * 1.25
W = RNG.uniform(1.0, 2.0, size=(3, 4))
V = W[0]
ODD = np.array([1.0, np.nan, np.inf, 2.0])
INT = np.array([[2, 0, 1, 1], [0, 0, 3, 2]])

Function = Callable[[Any], Any]

UNARY = {
    "abs": X, "acos": X / 4, "acosh": 1.0 + X * X, "asin": X / 4, "asinh": X, "atan": X,
    "atanh": X / 4, "cbrt": X, "ceil": X, "conj": X, "cos": X, "cosh": X, "degrees": X, "exp": X,
    "exp2": X, "expm1": X, "floor": X, "log": W, "log10": W, "log1p": W, "log2": W, "negative": X,
    "positive": X, "radians": X, "real": X, "reciprocal": W, "rint": X, "sign": X, "sin": X,
    "sinc": X, "sinh": X, "sqrt": W, "square": X, "tan": X, "tanh": X, "trunc": X, "round": X,
}  # fmt: skip
"""Functions of one array that numpy has, and where they are asked."""

OURS = {
    "digamma": W, "erf": X, "erfc": X, "gamma": W, "lgamma": W, "log_norm_cdf": X,
    "logsigmoid": X, "norm_cdf": X, "norm_pdf": X, "relu": X, "sigmoid": X, "softplus": X,
}  # fmt: skip
"""Functions of one array that numpy has not."""

BINARY = [
    "add", "atan2", "copysign", "divide", "floor_divide", "fmax", "fmin", "fmod", "hypot",
    "logaddexp", "maximum", "minimum", "multiply", "remainder", "subtract",
]  # fmt: skip

COMPARISONS = [
    "equal", "greater", "greater_equal", "isclose", "less", "less_equal", "logical_and",
    "logical_or", "logical_xor", "not_equal",
]  # fmt: skip

TESTS = ["isfinite", "isinf", "isnan", "logical_not", "signbit"]

# Each is written for tapegrad.numpy and for numpy alike.
SHARED: dict[str, Callable[[Any, Any], Any]] = {
    "add.accumulate": lambda np_, x: np.add.accumulate(x, axis=1),
    "add.reduce": lambda np_, x: np.add.reduce(x),
    "argsort": lambda np_, x: np_.take_along_axis(x, np_.argsort(x, axis=0), axis=0),
    "array_split": lambda np_, x: np_.array_split(x, 3, axis=1)[0],
    "average": lambda np_, x: np_.average(x, weights=W),
    "average along": lambda np_, x: np_.average(x, 1, V),
    "broadcast_arrays": lambda np_, x: np_.broadcast_arrays(x[0], x)[0],
    "broadcast_to": lambda np_, x: np_.broadcast_to(x[1], (2, 3, 4)),
    "clip": lambda np_, x: np_.clip(x, -0.5, 0.5),
    "clip above": lambda np_, x: np_.clip(x, None, V),
    "column_stack": lambda np_, x: np_.column_stack([x[:, 0], x]),
    "compress": lambda np_, x: np_.compress(np.array([True, False, True]), x, axis=0),
    "concat": lambda np_, x: np_.concatenate([x, 2.0 * x], axis=1),
    "concat all": lambda np_, x: np_.concatenate([x, x[0]], axis=None),
    "count_nonzero": lambda np_, x: 1.0 * np_.count_nonzero(x > 0.0, axis=0),
    "cumprod": lambda np_, x: np_.cumprod(x, axis=1),
    "cumsum": lambda np_, x: np_.cumsum(x),
    "cumulative_prod": lambda np_, x: np_.cumulative_prod(x, axis=0, include_initial=True),
    "cumulative_sum": lambda np_, x: np_.cumulative_sum(x, axis=0, include_initial=True),
    "diag": lambda np_, x: np_.diag(np_.diag(x, 1), -1),
    "diagonal": lambda np_, x: np_.diagonal(x, -1),
    "diff": lambda np_, x: np_.diff(x, n=2, axis=-1, prepend=1.0),
    "divmod": lambda np_, x: sum(np_.divmod(x, V)),
    "expand_dims": lambda np_, x: np_.expand_dims(x, (0, 2)),
    "extract": lambda np_, x: np_.extract(x > 0.0, x),
    "flip": lambda np_, x: np_.flip(x, axis=(0, 1)),
    "fliplr": lambda np_, x: np_.fliplr(x),
    "flipud": lambda np_, x: np_.flipud(x),
    "hstack": lambda np_, x: np_.hstack([x[0], x[1]]),
    "interp": lambda np_, x: np_.interp(x, [-1.0, -0.3, 0.5, 1.0], V),
    "interp of heights": lambda np_, x: np_.interp([-2.0, 0.1, 1.0], [-1.0, 0.5, 0.7, 1.0], x[0]),
    "ldexp": lambda np_, x: np_.ldexp(x, 3),
    "matrix_transpose": lambda np_, x: np_.matrix_transpose(x),
    "max": lambda np_, x: np_.max(x, axis=1, keepdims=True),
    "mean": lambda np_, x: np_.mean(x, axis=(0, 1)),
    "median": lambda np_, x: np_.median(x, axis=1),
    "meshgrid": lambda np_, x: np_.meshgrid(x[0], x[1])[0],
    "meshgrid by row": lambda np_, x: np_.meshgrid(x[0], x[1], indexing="ij")[1],
    "min": lambda np_, x: np_.min(x),
    "moveaxis": lambda np_, x: np_.moveaxis(x, 0, -1),
    "multiply.outer": lambda np_, x: np.multiply.outer(x, x),
    "nan_to_num": lambda np_, x: np_.nan_to_num(x * ODD, posinf=1.0, neginf=-1.0),
    "divmod operator": lambda np_, x: sum(divmod(x, V)) + sum(divmod(V, x)),
    "nanmean": lambda np_, x: np_.nanmean(x * ODD[[0, 1, 3, 3]], axis=1, keepdims=True),
    "nansum": lambda np_, x: np_.nansum(x * ODD[[0, 1, 3, 3]], axis=1),
    "outer": lambda np_, x: np_.outer(x[0], x[:, 0]),
    "pad": lambda np_, x: np_.pad(x, ((1, 0), (2, 1))),
    "pad constant": lambda np_, x: np_.pad(x, 1, constant_values=3.0),
    "pad reflect": lambda np_, x: np_.pad(x, 2, mode="reflect"),
    "permute_dims": lambda np_, x: np_.permute_dims(x, (1, 0)),
    "pow": lambda np_, x: np_.pow(W, x),
    "polyval": lambda np_, x: np_.polyval([2.0, -1.0, 3.0], x),
    "power": lambda np_, x: np_.power(x, 3),
    "prod": lambda np_, x: np_.prod(x, axis=0),
    "prod of all": lambda np_, x: np_.prod(x),
    "ptp": lambda np_, x: np_.ptp(x, axis=0),
    "quantile": lambda np_, x: np_.quantile(x, 0.3, axis=0, keepdims=True),
    "ravel": lambda np_, x: np_.ravel(x),
    "repeat": lambda np_, x: np_.repeat(x, 3, axis=1),
    "repeat by place": lambda np_, x: np_.repeat(x, [1, 0, 2], axis=0),
    "reshape": lambda np_, x: np_.reshape(x, (2, -1)),
    "roll": lambda np_, x: np_.roll(x, 5),
    "roll along": lambda np_, x: np_.roll(x, (1, -1), axis=(0, 1)),
    "searchsorted": lambda np_, x: x * np_.searchsorted(np.array([-1.0, 0.0, 1.0]), x),
    "select": lambda np_, x: np_.select([x > 0.5, x < -0.5], [x * x, W], x),
    "sort": lambda np_, x: np_.sort(x, axis=0),
    "split": lambda np_, x: np_.split(x, [1, 3], axis=1)[1],
    "squeeze": lambda np_, x: np_.squeeze(x[:1]),
    "stack": lambda np_, x: np_.stack([x[0], x[2]], axis=1),
    "std": lambda np_, x: np_.std(x, axis=1),
    "sum": lambda np_, x: np_.sum(x, axis=0),
    "swapaxes": lambda np_, x: np_.swapaxes(x, 0, 1),
    "take": lambda np_, x: np_.take(x, INT, axis=1),
    "take of all": lambda np_, x: np_.take(x, [7, 1, 7]),
    "take_along_axis": lambda np_, x: np_.take_along_axis(x, INT % 3, axis=0),
    "tile": lambda np_, x: np_.tile(x, (2, 1, 3)),
    "trace": lambda np_, x: np_.trace(x),
    "transpose": lambda np_, x: np_.transpose(x, (1, 0)),
    "trapezoid": lambda np_, x: np_.trapezoid(x, [0.0, 1.0, 3.0], axis=0),
    "tril": lambda np_, x: np_.tril(x, k=-1),
    "triu": lambda np_, x: np_.triu(x),
    "unstack": lambda np_, x: np_.unstack(x, axis=1)[2],
    "var": lambda np_, x: np_.var(x, axis=0, correction=1),
    "vdot": lambda np_, x: np_.vdot(x, W),
    "vstack": lambda np_, x: np_.vstack([x[0], x]),
    "truths as numbers": lambda np_, x: (x > 0.0).astype(float) * x,
    "where": lambda np_, x: np_.where(x > 0.0, x * x, W),
    "index": lambda np_, x: x[1:, None, ::-2] * x[..., [3, 1]][0],
    "index by mask": lambda np_, x: x[np.array([True, False, True])],
    "index by traced mask": lambda np_, x: x[x > 0.0] ** 2,
    "index by traced places": lambda np_, x: x[np.arange(3), np_.argmax(x, axis=1)],
    "index by a traced order": lambda np_, x: x[np_.argsort(x[:, 0])],
}  # fmt: skip

OWN: dict[str, tuple[Function, Function]] = {
    "at_add": (
        lambda x: tnp.at_add(x, (slice(None), [1, 1]), x[:, :2]),
        lambda x: x + np.stack([0 * x[:, 0], x[:, 0] + x[:, 1], 0 * x[:, 0], 0 * x[:, 0]], 1),
    ),
    "at_add at traced places": (
        lambda x: tnp.at_add(x[0], tnp.argsort(x[1]), x[2]),
        lambda x: x[0] + x[2][np.argsort(np.argsort(x[1]))],
    ),
    "at_set": (
        lambda x: tnp.at_set(x, (0, [1, 2, 1]), x[1, :3]),
        lambda x: np.vstack([[x[0, 0], x[1, 2], x[1, 1], x[0, 3]], x[1:]]),
    ),
    "at_set where": (lambda x: tnp.at_set(x, x > 0.0, 7.0), lambda x: np.where(x > 0.0, 7.0, x)),
    "log_softmax": (
        lambda x: tnp.log_softmax(x, 0),
        lambda x: x - np.log(np.exp(x).sum(0)),
    ),
    "logsumexp": (
        lambda x: tnp.logsumexp(x, 1, keepdims=True),
        lambda x: np.log(np.exp(x).sum(1, keepdims=True)),
    ),
    "norm": (lambda x: tnp.norm(x, 0), lambda x: np.sqrt((x * x).sum(0))),
    "softmax": (tnp.softmax, lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    "polygamma": (lambda x: tnp.polygamma(1, x + 3.0), lambda x: tnp.polygamma(1, x + 3.0)),
    "full_like": (lambda x: tnp.full_like(W, x[0, 1]), lambda x: np.full((3, 4), x[0, 1])),
    "fma": (lambda x: tnp.fma(x, W, V), lambda x: x * W + V),
    "ieee_remainder": (lambda x: tnp.ieee_remainder(x, V), lambda x: x - V * np.round(x / V)),
}  # fmt: skip


def summed(f: Function, weights: Any) -> Function:
    """A number that weighs each of those that a function gives."""
    return lambda x: tnp.sum(f(x) * weights)


def weights_for(value: Any) -> Any:
    shape = np.shape(value)
    return np.linspace(0.5, 1.5, np.size(value)).reshape(shape) if shape else 0.75


def both_ways(f: Callable[[Any, Any], Any]) -> tuple[Function, Function]:
    """A function of two arrays with a fixed one on either side."""
    return lambda x: f(x, V), lambda x: f(V, x)


PROGRAMS: dict[str, tuple[Function, Function, Any]] = {
    **{name: (getattr(tnp, name), getattr(np, name), at) for name, at in UNARY.items()},
    **{name: (getattr(tnp, name), getattr(tnp, name), at) for name, at in OURS.items()},
    **{
        f"{name} {side}": (ours, theirs, X)
        for name in BINARY
        for side, ours, theirs in zip(
            ("first", "second"),
            both_ways(getattr(tnp, name)),
            both_ways(getattr(np, name)),
            strict=True,
        )
    },
    **{name: (partial(f, tnp), partial(f, np), X) for name, f in SHARED.items()},
    **{name: (*both, X) for name, both in OWN.items()},
}

NOT_DIFFERENTIATED = {
    "Arr", "ArrayCondition", "ArrayVar", "Floats", "__array_api_version__",
    "__array_namespace_info__", "all", "allclose", "any", "arange", "argmax", "argmin", "array",
    "array_equal", "asarray", "astype", "atleast_1d", "atleast_2d", "bitwise_and", "bitwise_invert",
    "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "bool",
    "broadcast_shapes", "can_cast",
    "complex64", "complex128", "copy", "e", "empty", "empty_like", "eye", "fft", "finfo", "float32",
    "float64", "from_dlpack", "full", "iinfo", "imag", "inf", "int8", "int16", "int32", "int64",
    "isdtype", "isin", "linspace", "nan", "ndim", "newaxis", "nextafter", "nonzero", "ones",
    "ones_like", "pi", "result_type", "shape", "size", "uint8", "uint16", "uint32", "uint64",
    "unique_all", "unique_counts", "unique_inverse", "unique_values", "zeros", "zeros_like",
    *COMPARISONS, *TESTS, "argsort", "searchsorted", "hessian", "jacobian",
}  # fmt: skip
"""Names of what has tests of its own: arrays without numbers, truths, places, blocks."""


def differences(f: Function, x: Any, step: float = 1e-6) -> Any:
    """The gradient by central differences."""
    found = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        moved = np.zeros(x.shape)
        moved[index] = step
        found[index] = (f(x + moved) - f(x - moved)) / (2.0 * step)
    return found


def test_every_name_is_tested() -> None:
    """A function that is offered stands in a table of this module, or in one of linear algebra."""
    tested = {name.split()[0] for name in PROGRAMS} | NOT_DIFFERENTIATED
    aliases = {id(getattr(tnp, name)) for name in tested if hasattr(tnp, name)}
    missing = [
        name
        for name in tnp.__all__
        if name not in tested
        and id(getattr(tnp, name)) not in aliases
        and getattr(tnp, name) not in (*vars(tnp.linalg).values(), *vars(contractions).values())
        and name != "linalg"
    ]
    assert missing == []


def test_the_page_lists_every_function() -> None:
    """Its table has the names of the namespace, and no others."""
    page = (Path(__file__).parent.parent / "docs/how-to/arrays.md").read_text(encoding="utf-8")
    table = page.partition("## Functions")[2].partition("##")[0]
    listed = set(re.findall(r"`(\w+)`", table))
    types = {"Arr", "ArrayCondition", "ArrayVar", "Floats"}
    assert listed == {name for name in tnp.__all__ if not name.startswith("_")} - types


def test_every_row_has_a_function() -> None:
    """What is an operation on numbers is one on arrays."""
    known = {row.name for row in ops.TABLE.rows if row.is_operation and not row.helper}
    renamed = {
        "add", "sub", "mul", "div", "neg", "powc", "mod", "floordiv", "lt", "le", "gt", "ge", "eq",
        "ne", "and_", "or_", "not_", "round_to", "detached", "fsum", "dot",
    }  # fmt: skip
    assert known - renamed <= set(tnp.__all__)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_function_gives_numpys_values_and_true_slopes(name: str) -> None:
    """On plain and traced arrays; a recorded gradient, and its replay, have the eager bits."""
    ours, theirs, at = PROGRAMS[name]
    value = ours(at)
    assert_allclose(value, theirs(at), rtol=1e-13, atol=1e-15)
    f = summed(ours, weights_for(value))
    found = tg.value_and_grad(f)(at)
    assert found.value == f(at)
    assert_allclose(found.grad, differences(f, at), rtol=2e-7, atol=1e-8)
    tape = tg.record(tg.grad(f))(at)
    assert_array_equal(tape.value, found.grad)
    if "mask" not in name and name not in {"extract", "squeeze"}:
        other = OTHER if at is X else at[::-1].copy()
        assert_array_equal(tape.replay(other).value, tg.grad(f)(other))


@pytest.mark.parametrize("name", PROGRAMS)
def test_second_derivatives_are_true(name: str) -> None:
    """``hvp`` is the derivative of the gradient, forward and reverse."""
    ours, _, at = PROGRAMS[name]
    f = summed(ours, weights_for(ours(at)))
    along = RNG.normal(size=at.shape)
    step = 1e-6
    wanted = (tg.grad(f)(at + step * along) - tg.grad(f)(at - step * along)) / (2.0 * step)
    assert_allclose(tg.hvp(f, at, along), wanted, rtol=1e-6, atol=1e-7)
    assert_allclose(tg.jvp(f, at, along)[1], (tg.grad(f)(at) * along).sum(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", SHARED)
def test_numpys_own_function_is_ours(name: str) -> None:
    """A model may call either: what is recorded has the same bits."""
    f = SHARED[name]
    weights = weights_for(f(np, X))
    ours = tg.value_and_grad(summed(partial(f, tnp), weights))(X)
    theirs = tg.value_and_grad(summed(partial(f, np), weights))(X)
    assert ours.value == theirs.value
    assert_array_equal(ours.grad, theirs.grad)


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_give_conditions(name: str) -> None:
    """Traced, they are what numpy says of plain arrays; of two numbers, a condition."""
    compare, theirs = getattr(tnp, name), getattr(np, name)
    y = np.where(X > 0.5, X, V)

    def f(x: Any) -> Any:
        found = compare(x, y)
        assert isinstance(found, tnp.ArrayCondition)
        assert isinstance(theirs(x, y), tnp.ArrayCondition)
        assert isinstance(compare(x[0, 0], y[0, 0]), tg.Condition)
        return tnp.where(found, 1.0, 0.0 * x).sum()

    assert tg.record(f)(X).value == theirs(X, y).sum() == compare(X, y).sum()


@pytest.mark.parametrize("name", TESTS)
def test_tests_give_conditions(name: str) -> None:
    """Traced, they are what numpy says of plain arrays."""
    ask, theirs = getattr(tnp, name), getattr(np, name)
    at = np.array([0.0, -0.0, 1.5, -2.0, np.inf, np.nan])
    recorded = tg.record(lambda x: tnp.where(ask(x), 1.0, 0.0) * np.arange(6.0))(at).value
    assert_array_equal(recorded, theirs(at) * np.arange(6.0))
    assert_array_equal(ask(at), theirs(at))


class TestTruths:
    """Questions about all numbers."""

    def test_all_and_any(self) -> None:
        """Of all they are asked by a guard; along axes they are conditions."""

        def f(x: Any) -> Any:
            assert bool(tnp.any(x > 0.0))
            assert not bool(np.all(x > 0.0))
            assert not bool(tnp.allclose(x, x + 1.0))
            assert bool(tnp.array_equal(x, x))
            along = tnp.where(tnp.any(x > 0.5, axis=0), 2.0, 1.0)
            return (along * x).sum()

        wanted = np.broadcast_to(np.where((X > 0.5).any(axis=0), 2.0, 1.0), X.shape)
        assert_array_equal(tg.grad(f)(X), wanted)
        with pytest.raises(errors.GuardError):
            tg.record(f)(X).replay(-np.abs(X))

    def test_places_are_whole_numbers(self) -> None:
        """``argmax`` and its kin give on traced arrays the numbers that numpy gives."""
        functions: list[Function] = [
            tnp.argmax, tnp.argmin, tnp.argsort, np.argmax, np.argmin, np.argsort,
            lambda x: tnp.argsort(x, axis=0, descending=True), lambda x: x.argmax(axis=1),
            lambda x: tnp.argmax(x, axis=0, keepdims=True), tnp.count_nonzero,
        ]  # fmt: skip
        for f in functions:
            assert_array_equal(tg.record(lambda x: f(x) * 1.0)(X).value, f(X))  # noqa: B023  # called now

    def test_a_place_indexes(self) -> None:
        """One place is asked by a guard; a traced mask is, too."""
        tape = tg.record(lambda x: x[tnp.argmax(x)] + x[x > 1.0].sum())(np.array([1.0, 3.0, 2.0]))
        assert tape.value == 8.0
        assert tape.replay(np.array([1.0, 5.0, 2.0])).value == 12.0
        with pytest.raises(errors.GuardError):
            tape.replay(np.array([1.0, 3.0, 4.0]))


class TestEdges:
    """Empty arrays, views, other types, and points without a slope."""

    def test_zero_sizes(self) -> None:
        """Sums and products of nothing are 0 and 1; extremes are refused."""

        def f(x: Any) -> Any:
            return x.sum() + x.prod() + tnp.norm(x) + tnp.cumsum(x).sum() + tnp.sort(x).sum()

        assert tg.value_and_grad(f)(np.zeros(0)).value == f(np.zeros(0)) == 1.0
        assert tg.grad(f)(np.zeros((2, 0))).shape == (2, 0)
        with pytest.raises(errors.InputError, match="of no numbers"):
            tg.grad(lambda x: x.max())(np.zeros(0))

    def test_what_numpy_lacks_of_the_standard_is_there(self) -> None:
        """Eigenvalues are complex whatever they are, and frequencies have a type."""
        x = np.array([[2.0, 1.0], [0.0, 3.0]], dtype=np.float32)
        values, vectors = tnp.linalg.eig(x)
        assert values.dtype == vectors.dtype == tnp.linalg.eigvals(x).dtype == np.complex64
        assert_allclose(x @ vectors, values * vectors, rtol=1e-6)
        assert tnp.linalg.eigvals([[0.0, 1.0], [-1.0, 0.0]]).dtype == np.complex128
        assert tnp.fft.fftfreq(4, 0.5, dtype=np.float32).dtype == np.float32
        assert tnp.fft.fftfreq(4, 0.5).tolist() == [0.0, 0.5, -1.0, -0.5]
        assert tnp.fft.rfftfreq(4, d=0.5, dtype=float).tolist() == [0.0, 0.5, 1.0]
        assert_array_equal(tnp.fft.ifft(tnp.fft.fft(np.ones(4))).real, np.ones(4))

    def test_types_are_asked_of_arrays(self) -> None:
        """``finfo`` and ``iinfo`` take a type or an array, traced or not."""
        assert tnp.finfo(np.float64).eps == tnp.finfo(np.ones(2)).eps == 2.0**-52
        assert tnp.iinfo("int8").max == tnp.iinfo(np.ones(2, np.int8)).max == 127
        assert tg.record(lambda x: x * float(tnp.finfo(x).eps))(np.ones(1)).value == 2.0**-52

    def test_slopes_at_kinks(self) -> None:
        """A norm at the origin, a deviation of equal numbers, products with zeros, ties."""
        zero = np.zeros(3)
        assert_array_equal(tg.grad(tnp.norm)(zero), zero)
        assert_array_equal(tg.grad(tnp.std)(np.ones(3)), zero)
        assert_array_equal(tg.grad(tnp.prod)(np.array([0.0, 2.0, 3.0])), [6.0, 0.0, 0.0])
        assert_array_equal(tg.grad(tnp.prod)(np.array([0.0, 0.0, 3.0])), zero)
        assert_array_equal(tg.grad(tnp.max)(np.array([2.0, 2.0, 1.0])), [0.5, 0.5, 0.0])

    def test_sizes_beyond_the_middle_of_the_range(self) -> None:
        """Norms and logarithms of sums neither overflow nor vanish on the way."""
        for size in (1e-200, 1e200, 5e-324):
            x = np.array([3.0, 4.0]) * size
            assert_allclose(tg.value_and_grad(tnp.norm)(x)[0], 5.0 * size, rtol=1e-15)
        assert_allclose(tg.grad(tnp.norm)(np.array([3e-200, 4e-200])), [0.6, 0.8], rtol=1e-15)
        assert_allclose(tg.grad(tnp.logsumexp)(np.array([1000.0, 1000.0])), [0.5, 0.5])
        assert tnp.logsumexp(np.array([-np.inf, 0.0])) == 0.0

    def test_how_arrays_stand_in_memory_changes_nothing(self) -> None:
        """Negative strides, swapped bytes, float32, ints and arrays that cannot be written to."""
        plain = np.array([[1.0, 2.0, 3.0], [4.0, 6.0, 5.0]])
        frozen = plain.copy()
        frozen.flags.writeable = False
        forms = [
            np.asfortranarray(plain), plain[::-1].copy()[::-1], plain.astype(">f8"), frozen,
            plain.astype(np.float32), plain.astype(np.int64), plain.astype(np.uint8),
        ]  # fmt: skip

        def f(x: Any, y: Any) -> Any:
            return (tnp.sort(x)[:, ::-1] @ y.T + tnp.std(x * y)).prod()

        wanted = tg.grad(f)(plain, plain)
        for form in forms:
            assert_array_equal(tg.grad(f)(form, plain), wanted)
            assert_array_equal(tg.grad(f)(plain, form), wanted)
        large = np.array([2**63 - 1, -(2**63)])
        assert_array_equal(tg.grad(lambda x: (x * x).sum())(large), 2.0 * large.astype(float))

    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def test_shapes_are_broadcast_as_numpy_does(self, data: Any) -> None:
        """The shares of repeated numbers are summed, whatever the shapes."""
        shapes = data.draw(
            arrays.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=0)
        )
        x, y = (RNG.normal(size=shape) for shape in shapes.input_shapes)
        weights = RNG.normal(size=shapes.result_shape)
        found = tg.grad(lambda p: tnp.sum(tnp.multiply(p[0], tnp.sin(p[1])) * weights))((x, y))
        wide = np.broadcast_to(weights * np.sin(y), shapes.result_shape)
        assert_allclose(found[0], summed_to(wide, np.shape(x)), rtol=1e-12, atol=1e-13)
        wide = np.broadcast_to(weights * x * np.cos(y), shapes.result_shape)
        assert_allclose(found[1], summed_to(wide, np.shape(y)), rtol=1e-12, atol=1e-13)

    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def test_indices_take_what_numpys_take(self, data: Any) -> None:
        """The gradient of a part is its weights, put where it was taken."""
        shape = data.draw(arrays.array_shapes(max_dims=3, max_side=4))
        kinds = arrays.basic_indices(shape, allow_newaxis=True) | arrays.integer_array_indices(
            shape
        )
        index = data.draw(kinds)
        x = RNG.normal(size=shape)
        weights = RNG.normal(size=np.shape(x[index]))
        wanted = np.zeros(shape)
        np.add.at(wanted, index, weights)
        f = summed(lambda x: x[index], weights)
        assert_allclose(tg.grad(f)(x), wanted, rtol=1e-12)
        assert_array_equal(tg.record(tg.grad(f))(x).value, tg.grad(f)(x))


def summed_to(x: Any, shape: tuple[int, ...]) -> Any:
    """The sum over the axes along which an array of a shape was repeated."""
    lead = x.ndim - len(shape)
    axes = tuple(at + lead for at, n in enumerate(shape) if n == 1)
    return x.sum(axis=(*range(lead), *axes), keepdims=True).reshape(shape)


class TestRefusals:
    """One sentence each, with the user's own line."""

    @pytest.mark.parametrize(
        ("f", "said"),
        [
            (lambda x: x.reshape(5), r"reshape at .* of 12 numbers to \(5,\)"),
            (lambda x: tnp.concat([x, x[:, 0]]), r"concat at .* \(3, 4\) and \(3,\)"),
            (lambda x: tnp.stack([x[0], x[:, 0]]), r"stack at .* \(4,\) and \(3,\)"),
            (lambda x: x.sum(axis=2), "axis 2 at .* none of an array with 2 axes"),
            (lambda x: tnp.split(x, 3, axis=1), "of 4 into 3 equal parts"),
            (lambda x: np.sum(x, where=x > 0.0), "numpy.sum at .* takes no where: leave it out"),
            (lambda x: np.sum(x, dtype=np.int64), "asked for int64: its numbers are float64"),
            (lambda x: x.astype(int), "asked for int64: its numbers are float64"),
            (
                np.linalg.eig,
                "numpy.linalg.eig at .* takes no traced array: write eigh, for symmetric",
            ),
            (tnp.linalg.eigvals, "numpy.linalg.eigvals at .* takes no traced array: write eigh"),
            (np.linalg.matrix_rank, "numpy.linalg.matrix_rank at .* takes no traced array: use"),
            (lambda x: np.bitwise_and(x, 1), "numpy.bitwise_and at .* has no derivative here"),
            (lambda x: x.tolist(), "x.tolist"),
            (lambda x: x.item(), r"item\(\) at .* of 12 numbers"),
            (lambda x: x.sort(), "would write to a traced array"),
            (lambda x: np.add(x, 1.0, out=np.zeros((3, 4))), "would write a traced array into a"),
            (lambda x: tnp.at_set(x[0], x[1] > 0, x[2]), "do not fit"),
            (lambda x: x[tnp.argsort(x[0]), :1], "an index at .* has other parts"),
            (lambda x: tnp.broadcast_to(x, (3, 5)), r"shape \(3, 4\) at .* \(3, 5\)"),
            (lambda x: tnp.squeeze(x, 0), "its length is not 1"),
            (lambda x: tnp.interp(x, [1.0], [2.0]), "given one point"),
            (lambda x: tnp.ldexp(x, x), "the exponent of ldexp at .* is traced"),
        ],
    )
    def test_a_sentence_says_what_to_do(self, f: Function, said: str) -> None:
        """What is wrong, the value, where."""
        with pytest.raises(errors.TapegradError, match=said) as raised:
            tg.grad(lambda x: tnp.sum(f(x)))(X)
        assert "test_array_functions.py" in str(raised.value)
