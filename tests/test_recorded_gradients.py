"""Laws of recorded gradients: written on slots, they are what rows record on traced numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tapegrad as tg
from tapegrad import math
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tapegrad.sweep import reverse
from tests.fuzz.programs import floats_of, make


def total(values: Any) -> Any:
    return math.sum(floats_of(values))


def twice(f: Callable[..., Any]) -> Callable[..., Any]:
    """A gradient of a gradient."""
    slope: Callable[..., Any] = tg.grad(lambda p, *data: total(tg.grad(f)(p, *data)))
    return slope


def curved(f: Callable[..., Any]) -> Callable[..., Any]:
    """A Hessian times its own point."""
    return lambda p, *data: tg.hvp(f, p, p, *data)


TRANSFORMS: list[Callable[..., Any]] = [
    tg.grad, tg.value_and_grad, lambda f: tg.grad(f, exact=True), twice, curved,
    lambda f: lambda p, *data: tg.vjp(f, p, *data)[1](0.75),
]  # fmt: skip


def called(*_: object) -> None:
    """No partials are known by their steps: the row's own functions are called."""


def tapes(seed: int) -> list[Any]:
    case = make(seed)
    return [tg.record(f(case.function))(*case.points[0]) for f in TRANSFORMS]


@pytest.mark.parametrize("seed", range(9_200, 9_208))
def test_steps_record_what_the_partials_record(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random programs have the same tapes and the same lines, to any order and summed exactly."""
    quick = tapes(seed)
    monkeypatch.setattr(reverse, "_known_partials", called)
    general = tapes(seed)
    assert quick == general
    for one, other in zip(quick, general, strict=True):
        assert list(map(one.site, range(len(one)))) == list(map(other.site, range(len(other))))


ROWS = [row for row in ops.TABLE.rows if row.arity and row.is_operation and not row.has_static]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_steps_hold_whichever_operands_are_numbers(
    row: Primitive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial takes the same steps on traced numbers, constants and data."""
    count = row.arity or 0

    def applied(xs: list[Any], number: float, traced: int) -> Any:
        apply: Any = row
        operands = [xs[0] if traced >> index & 1 else 0.5 + index for index in range(count)]
        return (
            apply(*operands) * apply(*operands[:-1], number) * apply(number, *operands[1:]) * xs[0]
        )

    def found() -> list[Any]:
        record: Any = tg.record(tg.value_and_grad(applied), static_argnames="traced")
        return [record([0.75], 0.25, traced) for traced in range(2**count)]

    quick = found()
    monkeypatch.setattr(reverse, "_known_partials", called)
    assert quick == found()
