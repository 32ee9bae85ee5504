"""Derivatives of a program by every mode, of first and second order: all must agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import fabs, isfinite
from typing import Any

import numpy as np

import tapegrad as tg
from tests.fuzz.programs import Case, filled, floats_of
from tests.fuzz.roads import nearly_tied, numbers_of

__all__ = ["findings"]

Matrix = Sequence[Sequence[float]]


def findings(case: Case) -> Iterator[str]:
    """What differs between the modes at the first point: each is a sentence.

    Where a number is inf or nan, or a comparison is nearly a tie, the modes may differ: products of
    zero and infinity depend on their order.
    """
    point, f = case.points[0], case.function
    recorded: Any = numbers_of(tg.record(tg.hessian(f))(*point))
    if nearly_tied(recorded) or not all(map(isfinite, recorded.values)):
        return
    scale = 1.0 + max(map(fabs, recorded.values))
    for name, first in _first_order(f, point):
        yield from _compared(name, first, floats_of(tg.grad(f)(*point)), scale)
    right = _matrix(tg.hessian(f)(*point))
    for name, second in _second_order(f, point):
        for got, row in zip(second, right, strict=True):
            yield from _compared(name, got, row, scale)


def _compared(
    name: str, got: Sequence[float], want: Sequence[float], scale: float
) -> Iterator[str]:
    if any(not fabs(x - y) <= 1e-10 * scale for x, y in zip(got, want, strict=True)):
        yield f"{name}: {list(got)}, not {list(want)}"


def _first_order(f: Any, point: Any) -> Iterator[tuple[str, Sequence[float]]]:
    p, *data = point
    width = len(floats_of(p))
    units = [_unit(p, index) for index in range(width)]
    yield "jvp", [tg.jvp(f, p, unit, *data)[1] for unit in units]
    yield "linearize", [tg.linearize(f, p, *data)[1](unit) for unit in units]
    yield "vjp", floats_of(tg.vjp(f, p, *data)[1](1.0))
    yield "the tape's gradient", floats_of(tg.record(f)(*point).gradient())
    for mode in ("forward", "reverse"):
        yield f"jacobian, {mode}", _matrix(tg.jacobian(lambda *x: [f(*x)], mode=mode)(*point))[0]
    objective = tg.objective(f, p, *data)
    yield "objective", objective.jac(objective.x0).tolist()


def _second_order(f: Any, point: Any) -> Iterator[tuple[str, Matrix]]:
    p, *data = point
    width = len(floats_of(p))
    units = [_unit(p, index) for index in range(width)]
    yield "hvp", [floats_of(tg.hvp(f, p, unit, *data)) for unit in units]
    yield "jvp of grad", [floats_of(tg.jvp(tg.grad(f), p, unit, *data)[1]) for unit in units]
    yield "jacobian of grad", _matrix(tg.jacobian(tg.grad(f))(*point))
    yield "compiled hessian", _matrix(tg.jit(tg.hessian(f), backend="python")(*point))
    yield "recorded hessian", _matrix(tg.record(tg.hessian(f))(*point).value)
    yield "grad of grad", [floats_of(tg.grad(_slope(f, k))(*point)) for k in range(width)]
    sparse = tg.sparse_hessian(f)(*point)
    dense: Any = np.zeros((width, width))
    dense[list(sparse.rows), list(sparse.columns)] = sparse.values
    yield "sparse hessian", dense.tolist()
    objective = tg.objective(f, p, *data)
    hessian: Any = objective.hess(objective.x0)
    yield "objective's hessian", hessian.tolist()


def _slope(f: Any, index: int) -> Callable[..., Any]:
    """The slope in one number, as a function of all."""
    return lambda *point: floats_of(tg.grad(f)(*point))[index]


def _unit(p: Any, index: int) -> Any:
    """A tangent of the structure of ``p`` that is 1 in one number."""
    return filled(p, (float(place == index) for place in range(len(floats_of(p)))))


def _matrix(blocks: Any) -> list[list[float]]:
    """Derivatives by the paths of outputs and of inputs, as rows."""
    return [list(row.values()) for row in blocks.values()]
