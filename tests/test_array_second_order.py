"""``hvp`` and ``jvp`` on arrays: the bits of recorded ones, and no work that they do not need."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tapegrad as tg
from tapegrad import numpy as tnp
from tapegrad.ops.primitive import Primitive
from tests.fuzz.array_judges import frozen
from tests.fuzz.array_programs import make
from tests.test_array_truth import TESTED, columns, points_of, summed
from tests.test_rows import by_name

RNG = np.random.default_rng(7)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def product(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, v, *data: tg.hvp(f, p, v, *data)


def push(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda p, v, *data: tg.jvp(f, p, v, *data)


def recorded(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args: tg.record(f)(*args).value


def assert_recorded(f: Callable[..., Any], *args: Any) -> None:
    """The derivatives along a direction have the bits of recorded ones; every nan is the same."""
    for transform in (product, push):
        made = transform(f)
        assert frozen(parts(made(*args))) == frozen(parts(recorded(made)(*args)))


def parts(found: Any) -> dict[Any, Any]:
    if isinstance(found, dict):
        return found
    return dict(enumerate(found if isinstance(found, list | tuple) else [found]))


@pytest.mark.parametrize("row", TESTED, ids=by_name)
def test_each_row_has_the_bits_of_the_recorded_sweep(row: Primitive) -> None:
    """By its kernel or without, along a direction in which each operand moves, or one alone."""
    if row.helper or not list(row.differentiated_operands(2)):
        return
    draw = random.Random(row.name)
    arrays, static = columns(points_of(row, draw, 6, wide=False), row)
    f = summed(row, static)

    def curved(xs: Any) -> Any:
        return f([x * x for x in xs])

    roots = [np.sqrt(abs(x)) for x in arrays]
    along = [RNG.normal(size=x.shape) for x in arrays]
    assert_recorded(f, arrays, along)
    assert_recorded(curved, roots, along)
    assert_recorded(lambda x: f([x, *arrays[1:]]), arrays[0], along[0])


@pytest.mark.parametrize("seed", range(16))
def test_programs_have_the_bits_of_the_recorded_sweep(seed: int) -> None:
    """With broadcasting, sums, parts, products, choices, and numbers among arrays."""
    case = make(seed)
    p, x, y = case.points[0]
    rng = np.random.default_rng(seed)
    v: dict[str, Any] = {key: rng.normal(size=np.shape(part)) for key, part in p.items()}
    v["s"] = float(v["s"])
    made = product(case.function)
    assert frozen(made(p, v, x, y)) == frozen(recorded(made)(p, v, x, y))


SHAPED: list[Callable[[Any], Any]] = [
    lambda p: np.sum(p["m"] * p["r"] * p["c"] / (1.5 + p["s"] * p["m"])),
    lambda p: np.sum(p["m"].T * p["m"].T * np.exp(p["m"].T)),
    lambda p: np.sum(np.exp(p["m"][:, ::2]) ** 2) + np.sum(p["m"][1] * p["r"]) ** 3,
    lambda p: np.sum((p["m"] @ p["m"].T) ** 3) + np.sum(np.sin(p["m"].T @ p["c"])),
    lambda p: np.sum(p["m"][[0, 0, 2]] ** 3) + np.sum(p["m"][0] ** 2) + np.sum(p["m"] ** 2),
    lambda p: np.sum(p["m"]) ** 3 * np.mean(p["r"]) ** 2 + p["s"] ** 3 + np.prod(p["r"]),
    lambda p: np.sum(np.sum(p["m"], axis=0) ** 3) + np.sum(np.sum(p["m"], 1, keepdims=True) ** 2),
    lambda p: np.sum(np.where(p["m"] > 0.0, np.sqrt(p["m"]), p["m"] ** 3) * p["r"]),
    lambda p: np.sum(np.where(p["r"] > 0.0, p["m"], 0.0) ** 3) + np.sum(p["m"][1:] ** 3),
    lambda p: np.sum(p["m"][1:] ** 3) + np.sum(np.where(p["r"] > 0.0, p["m"], 0.0) ** 3),
    lambda p: np.sum(np.where([True, False, True, False], p["m"], p["r"])[1:] ** 3),
    lambda p: np.sum(np.maximum(p["m"], p["r"]) ** 3) + np.sum(np.hypot(p["m"], p["r"])),
    lambda p: np.sum(np.floor(p["m"]) * p["r"] ** 2) + np.sum(np.ones(4)),
    lambda p: np.linalg.norm(p["r"]) ** 3 + np.sum(np.cumsum(p["r"]) ** 3),
    lambda p: np.sum(np.concatenate([p["m"], 2.0 * p["m"] ** 2]) ** 2) + np.max(p["m"]) ** 2,
    lambda p: np.sum(np.linalg.solve(p["m"][:, :3] @ p["m"][:, :3].T + np.eye(3), p["r"][:3]) ** 2),
    lambda p: tnp.sum(tnp.logaddexp(0.0, p["m"] * p["r"])) + tg.math.hypot(p["s"], 2.0),
]
POINT: dict[str, Any] = {
    "m": RNG.normal(size=(3, 4)), "r": RNG.normal(size=4), "c": RNG.normal(size=(3, 1)), "s": 0.7,
}  # fmt: skip
ALONG: dict[str, Any] = {key: RNG.normal(size=np.shape(part)) for key, part in POINT.items()}
ALONG["s"] = 1.25


@pytest.mark.parametrize("f", SHAPED)
def test_shapes_views_and_choices_keep_the_bits(f: Callable[[Any], Any]) -> None:
    """Tangents may be smaller than their entries, and present under a condition alone."""
    assert_recorded(f, POINT, ALONG)
    assert_recorded(lambda m: f({**POINT, "m": m}), POINT["m"], ALONG["m"])


def test_a_dead_arm_contributes_nothing() -> None:
    """Neither to the first derivative nor to the second: there is no nan."""
    x = np.array([4.0, -4.0])
    found = tg.hvp(lambda x: np.sum(np.where(x > 0.0, np.sqrt(x), x * x)), x, np.ones(2))
    assert_array_equal(found, [-0.25 * 4.0**-1.5, 2.0])


@pytest.mark.parametrize("count", [1 << 15, 100_003])
def test_large_arrays_go_block_by_block_with_the_same_bits(count: int) -> None:
    """The last block may be smaller, and views that are no blocks go as they are."""

    def f(x: Any) -> Any:
        y = x.reshape(-1)[: count // 2 * 2].reshape(2, -1)
        chain = (x[1:] - x[:-1] * x[:-1]) ** 2 / (1.0 + x[1:] ** 2)
        return np.sum(chain) + np.sum(y.T * y.T * 3.0) + np.sum((y[0] - y[1]) ** 2)

    assert_recorded(f, RNG.normal(size=count), RNG.normal(size=count))


def test_no_product_is_computed_that_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the gradient of the inputs, nor anything of data: one for each of the three sweeps."""
    calls: list[object] = []
    multiply = np.matmul

    def counted(*args: Any) -> Any:
        calls.append(args)
        return multiply(*args)

    monkeypatch.setattr(np, "matmul", counted)
    data = RNG.normal(size=(5, 3))
    for shape in ((3, 2), (3,)):
        calls.clear()
        tg.hvp(lambda w: np.sum((data @ w) ** 3), RNG.normal(size=shape), np.ones(shape))
        assert len(calls) == 3


def test_an_answer_is_the_callers_own() -> None:
    """It shares no memory with the point, the direction or another part of it."""
    x, v = np.ones(3), np.full(3, 2.0)
    for f in (lambda p: np.sum(p["a"] * p["b"]), lambda p: np.sum((p["a"] + p["b"]) ** 2)):
        point, along = {"a": x, "b": x}, {"a": v, "b": v}
        found = tg.hvp(f, point, along)
        found["a"][:] = 7.0
        assert not np.shares_memory(found["a"], found["b"])
        assert_array_equal([*x, *v], [1.0] * 3 + [2.0] * 3)
    assert_array_equal(tg.hvp(lambda x: np.sum(np.floor(x)), x, v), np.zeros(3))
