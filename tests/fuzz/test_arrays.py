"""Random programs of arrays and numbers: one gradient on every road."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import tapegrad as tg
from tests.fuzz.__main__ import judge
from tests.fuzz.array_judges import ARRAY_JUDGES, frozen
from tests.fuzz.array_programs import make

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

COUNTS = {"array roads": 40, "arrays compiled": 30, "arrays by differences": 30}
"""How many programs each judge sees here."""


@pytest.mark.parametrize("name", ARRAY_JUDGES)
def test_programs_of_arrays_have_one_gradient(name: str) -> None:
    """Eager, recorded, replayed here and elsewhere, simplified, pickled, compiled: to the bit."""
    _, run = ARRAY_JUDGES[name]
    for seed in range(COUNTS[name]):
        case = make(seed)
        assert list(run(case)) == [], case.source


def test_the_programs_use_many_rows() -> None:
    """Most rows that take arrays as they are, and branches."""
    rows: Counter[str] = Counter()
    guards = 0
    for seed in range(60):
        case = make(seed)
        tape = tg.record(tg.grad(case.function))(*case.points[0])
        rows.update({node.primitive.name for node in tape if isinstance(node, tg.Apply)})
        guards += any(isinstance(node, tg.Guard) for node in tape)
    assert len(rows) > 60
    assert guards > 10


def test_a_product_with_a_repeated_number_has_the_bits_of_a_written_one() -> None:
    """A cotangent that is one number everywhere is a constant on a tape."""

    def f(p: Any) -> Any:
        return (p["w"] @ p["b"].reshape(4, 1)).sum() * 0.3

    gradient = tg.grad(f)
    for seed in range(20):
        p, _, _ = make(seed).points[0]
        given = {"w": p["w"], "b": p["b"]}
        eager = frozen(gradient(given))
        recorded = tg.record(gradient)(given)
        assert frozen(recorded.value) == frozen(recorded.replay(given).value) == eager
        assert frozen(tg.jit(gradient, eager_first=False)(given)) == eager


@pytest.mark.slow
def test_five_hundred_more() -> None:
    """The seeds from 1,000 on, by all judges; the rest with ``python -m tests.fuzz``."""
    seen, found = judge(1_000, 500, "arrays")
    assert found == []
    assert seen["array roads"] == 500
