"""Data: what the arguments after the first are inside a model."""

from __future__ import annotations

import enum
import functools
import math as std
import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import math
from tests.strategies import ordinary

Model = Callable[..., Any]

EAGER: Mapping[str, Callable[..., Any]] = {
    "grad": lambda f, x, *data, **named: tg.grad(f)(x, *data, **named),
    "value_and_grad": lambda f, x, *data, **named: tg.value_and_grad(f)(x, *data, **named),
    "jacobian": lambda f, x, *data, **named: tg.jacobian(f)(x, *data, **named),
    "hessian": lambda f, x, *data, **named: tg.hessian(f)(x, *data, **named),
    "sparse_jacobian": lambda f, x, *data, **named: tg.sparse_jacobian(f)(x, *data, **named),
    "sparse_hessian": lambda f, x, *data, **named: tg.sparse_hessian(f)(x, *data, **named),
    "taylor": lambda f, x, *data, **named: tg.taylor(f, 2)(x, *data, **named),
    "vjp": lambda f, x, *data, **named: tg.vjp(f, x, *data, **named)[1](1.0),
    "jvp": lambda f, x, *data, **named: tg.jvp(f, x, 1.0, *data, **named),
    "linearize": lambda f, x, *data, **named: tg.linearize(f, x, *data, **named)[1](1.0),
    "hvp": lambda f, x, *data, **named: tg.hvp(f, x, 1.0, *data, **named),
    "check_grad": lambda f, x, *data, **named: tg.check_grad(f, x, *data, order=2, **named).ok,
}
"""The transforms that call a model for one answer and keep nothing."""

OTHERS = {
    "record", "jit", "vmap", "objective", "residuals",  # kept, to be run with other data
    "partials", "root",  # every argument is differentiated
    "checkpoint", "label", "primitive", "scan", "scope", "stop_gradient", "where",  # no transforms
}  # fmt: skip


def same(one: Any, other: Any) -> bool:
    """Whether two results print alike, and so are equal to the bit."""
    return repr(one) == repr(other)


class Kind(enum.Enum):
    CALL = 1


@attrs.define
class Terms:
    """A class of the user's without traced fields, which compares by value."""

    rate: float
    days: list[float]


def test_every_transform_is_in_one_of_the_lists() -> None:
    """A new public function says here what its data are."""
    public = {name for name in tg.__all__ if name[0].islower()} - {"errors", "math"}
    assert public == EAGER.keys() | OTHERS


@pytest.mark.parametrize("transform", EAGER.values(), ids=EAGER)
class TestEagerTransforms:
    """They trace the first argument; the others are the caller's own objects."""

    def test_data_is_the_very_object(self, transform: Callable[..., Any]) -> None:
        """By position and by name: floats, containers of floats, arrays, instances, an iterator."""
        data = (
            1.5,
            [2.5],
            {"a": (3.5, [4.5])},
            np.array([1.0]),
            np.float64(2.0),
            Terms(0.1, [2.0]),
        )
        named = {"t": 5.5, "deep": [{"b": 6.5}], "kind": Kind.CALL, "terms": Terms(0.1, [2.0])}
        seen: list[Any] = []

        def model(x: Any, *rest: Any, **more: Any) -> Any:
            seen.append((rest, more))
            return x * x

        transform(model, 3.0, *data, **named)
        assert seen
        for rest, more in seen:
            assert all(got is given for got, given in zip(rest, data, strict=True))
            assert all(more[name] is value for name, value in named.items())
            assert more.keys() == named.keys()

    @pytest.mark.parametrize(
        "factor",
        [
            lambda t: t if isinstance(t, float) else std.nan,
            lambda t: int(t * 4),
            lambda t: round(t, 2),
            std.sqrt,
            lambda t: {1.25: 2.0}[t],
            functools.lru_cache(lambda t: 1.0 / (1.0 + t)),
            lambda t: len(f"{t:.2f}"),
            lambda t: t or 7.0,
            lambda t: 2.0 if t.is_integer() else 3.0,
            lambda t: statistics.mean([t, t]),
            lambda t: {"1.25": 2.0}[str(t)],
            lambda t: sum(1 for _ in range(math.trunc(t * 4))),
            lambda t: complex(t).real,
            lambda t: np.array([t]).dtype.itemsize,
        ],
    )
    def test_python_s_own_functions_take_data(
        self, transform: Callable[..., Any], factor: Callable[[float], float]
    ) -> None:
        """A function of data alone gives what it gives outside, and so does the derivative."""

        def model(x: Any, t: float) -> Any:
            return x * x * factor(t)

        number = factor(1.25)
        assert same(transform(model, 3.0, 1.25), transform(lambda x: x * x * number, 3.0))


@pytest.mark.parametrize("name", sorted(EAGER.keys() - {"check_grad"}))
def test_data_of_an_outer_recording_is_traced_there(name: str) -> None:
    """A traced number of an outer recording arrives as it is, wherever it stands in the data."""

    def inner(x: Any, y: Any, more: Any) -> Any:
        return math.sin(x * y) * more["y"][0]

    def outer(y: Any) -> Any:
        return list(_numbers(EAGER[name](inner, 0.75, y, more={"y": [y]})))

    step = 2.0**-17
    below, above = (np.array(outer(y)) for y in (0.5 - step, 0.5 + step))
    slopes = np.array(tg.jvp(outer, 0.5, 1.0)[1])
    assert slopes == pytest.approx((above - below) / (2.0 * step), rel=1e-6, abs=1e-8)
    assert tg.record(outer)(0.25).replay(0.5).value == pytest.approx(outer(0.5), rel=1e-14)


def _numbers(value: Any) -> Iterator[Any]:
    """The derivatives in the result of a transform, in order."""
    if isinstance(value, tg.Coordinates):
        yield from value.values
    elif isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _numbers(part)
    else:
        yield value


@given(ordinary, ordinary, st.lists(ordinary, min_size=1, max_size=3))
def test_the_bits_do_not_depend_on_who_traces_the_data(x: float, y: float, zs: list[float]) -> None:
    """The eager gradient, that of a recording with traced data, and compiled code agree."""

    def model(x: Any, y: Any, zs: Any) -> Any:
        total = x * y
        for z in zs:
            total = total * 0.5 + math.tanh(z * x) / (1.0 + y * y)
        return total * x

    eager = tg.value_and_grad(model)(x, y, zs)
    tape = tg.record(model)(x, y, zs)
    assert same((tape.value, tape.gradient()), tuple(eager))
    assert same(tg.record(tg.value_and_grad(model))(x, y, zs).value, eager)
    assert same(tg.jit(tg.value_and_grad(model), eager_first=False)(x, y, zs), eager)


def test_what_is_kept_traces_the_data_of_an_inner_transform() -> None:
    """A recorded or compiled gradient can be run with other data."""

    def model(x: Any, t: Any, table: Any) -> Any:
        return x * x * t * table["k"]

    tape = tg.record(tg.grad(model))(3.0, 2.0, {"k": 5.0})
    assert tape.paths == ("x", "t", "table:k")
    assert tape.replay(3.0, 4.0, {"k": 7.0}).value == tg.grad(model)(3.0, 4.0, {"k": 7.0})
    fast = tg.jit(tg.grad(model), eager_first=False)
    assert [fast(3.0, t, {"k": 5.0}) for t in (2.0, 4.0)] == [60.0, 120.0]
    assert len(fast.tapes) == 1


class Rate(float):
    """A float with something more."""

    coupons = 4


@pytest.mark.parametrize("number", [np.float64(2.5), np.float32(2.5), Rate(2.5), 2.5, 2, True])
def test_a_checkpoint_passes_numbers_on_as_they_are(number: Any) -> None:
    """Numbers that are not traced keep their types, in containers too."""

    @tg.checkpoint
    def block(x: Any, t: Any, data: Any) -> Any:
        return x * x * (1.0 if type(t) is type(data["t"][0]) is type(number) else 0.0)

    assert tg.grad(block)(3.0, number, {"t": [number]}) == 6.0


def test_root_passes_plain_numbers_on_as_they_are() -> None:
    """Beside traced arguments a number that is not traced is a key and has a format."""
    table = {1.5: 3.0}

    def equation(z: Any, a: Any, t: float) -> Any:
        return z * z - table[t] * len(f"{t:.2f}") * a

    def solution(a: Any) -> Any:
        return tg.root(equation, 1.0, a, 1.5)

    assert solution(3.0) == 6.0
    assert tg.grad(solution)(3.0) == 1.0
    assert tg.grad(tg.grad(solution))(3.0) == pytest.approx(-1.0 / 6.0, rel=1e-14)
    assert tg.hvp(solution, 3.0, 1.0) == pytest.approx(-1.0 / 6.0, rel=1e-14)
    fast = tg.jit(tg.grad(solution), eager_first=False)
    assert [fast(3.0) for _ in range(3)] == [1.0, 1.0, 1.0]
    assert tg.vmap(tg.grad(solution))(np.array([3.0])).tolist() == [1.0]


def test_a_checkpoint_takes_data_that_cannot_be_copied() -> None:
    """A float beside traced fields: the part is recorded in full, and the data arrive."""

    @attrs.frozen
    class Quote(Generic[tg.Real]):
        price: tg.Real
        weight: float

    @tg.checkpoint
    def part(x: Any, quote: Quote[float]) -> Any:
        return math.sin(x) * quote.weight + quote.price

    assert tg.grad(part)(0.5, Quote(2.0, 3.0)) == 3.0 * std.cos(0.5)
    assert tg.grad(lambda x: part(x, Quote(x, 3.0)))(0.5) == 3.0 * std.cos(0.5) + 1.0
