"""Random programs give the same on every road: a few here, many with ``python -m tests.fuzz``."""

from __future__ import annotations

import math as std
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import mpmath as mp
import pytest

import tapegrad as tg
from tests.fuzz import high_precision, roads
from tests.fuzz.__main__ import judge
from tests.fuzz.judges import JUDGES, precision, through_executor
from tests.fuzz.programs import make
from tests.fuzz.roads import answers, disagreements

COUNTS = {"roads": 32, "high precision": 200, "modes": 30, "rows": 8, "C": 6}
"""How many programs each judge sees here."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Warnings of many recordings are no news for programs of many branches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", JUDGES)
def test_all_roads_agree(name: str) -> None:
    """Random programs have the same value and derivatives on every road, to the promised bits."""
    _, run = JUDGES[name]
    for seed in range(COUNTS[name]):
        case = make(seed)
        assert list(run(case)) == [], case.source


def test_the_programs_are_worth_their_time() -> None:
    """Most are judged with high precision, and their points take more than one path in many."""
    cases = [make(seed) for seed in range(100)]
    assert sum(map(high_precision.can_judge, cases)) > 70
    assert sum("if " in case.source for case in cases) > 60
    assert all(len(answers(case)) == len(case.points) for case in cases[:20])


def test_judges_see_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slope off by 1e-6, and a last bit, are found."""
    cases = [case for case in map(make, range(1, 99, 2)) if "math.sin(v" in case.source]
    assert not any(list(precision(case)) for case in cases)
    monkeypatch.setattr(high_precision.MATH, "sin", lambda x: mp.sin(x) * 1.000001)
    assert any(list(precision(case)) for case in cases)
    case = cases[0]
    (value, slopes), *others = answers(case)
    off = tg.ValueAndGrad(std.nextafter(value, std.inf), slopes)
    monkeypatch.setattr(roads, "answers", lambda case: [off, *others])
    assert len(list(disagreements(case))) > len(roads.ROADS) / 2


@pytest.mark.parametrize("seed", [100_694, 106_802])
def test_judges_know_what_they_cannot_tell(seed: int) -> None:
    """A comparison that is tied in doubles, and the int of an infinity, are no findings."""
    seen, found = judge(seed, 1)
    assert found == []
    assert seen["high precision"] == 1


@pytest.mark.slow
def test_a_thousand_more() -> None:
    """The seeds from 1,000 on, by all judges."""
    seen, found = judge(1_000, 1_000)
    assert found == []
    assert seen["roads"] == 1_000


@pytest.mark.slow
def test_workers_agree() -> None:
    """Rows on two workers of other processes have the bits of rows here."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for seed in range(60):
            case = make(seed)
            assert list(through_executor(case, pool)) == [], case.source
