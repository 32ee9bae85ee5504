"""Laws of the trips of loops: a few are lowered, and the others are what those were, moved on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import pytest

import tapegrad as tg
from tapegrad import math
from tapegrad.compile import lower as lowering
from tapegrad.compile import lowered_trips
from tapegrad.compile.lower import lower
from tapegrad.entries import trips
from tests.fuzz.loop_judges import lowered_alike, lowered_by_trips, parts
from tests.fuzz.loop_programs import make

Number = Any


def lorenz(p: Sequence[Number], steps: int) -> Number:
    x, y, z = p
    for _ in range(steps):
        x, y, z = x + 0.01 * (y - x), y + 0.01 * (x * (28.0 - z) - y), z + 0.01 * (x * y - z)
    return x * x + y * y + z * z


def averages(p: Sequence[Number], steps: int) -> Number:
    """A loop that reads two and three trips ago, with a choice and a guard in each trip."""
    values = [p[0], p[1], p[2], p[0] * p[1]]
    for _ in range(steps):
        x = 0.4 * values[-1] - 0.3 * values[-2] + math.tanh(values[-3])
        values.append(tg.where(x > 0.1, math.exp(-x), x / (2.0 + x * x)))
        if x > 1e6:
            break
    return math.sum(values[-4:])


def kept(p: Sequence[Number], steps: int) -> Number:
    """A loop that goes through what another one has kept, of which one is made otherwise."""
    x, values = p[0], list[Number]()
    for t in range(steps):
        x = math.sin(x) if t == steps // 3 else math.cos(x)
        values.append(x * p[1])
    total = p[2]
    for value in values[::-1]:
        total = total + value * (value - total)
    return total


@pytest.mark.parametrize("f", [lorenz, averages, kept])
@pytest.mark.parametrize("approximate", [False, True])
class TestLowering:
    def test_the_program_is_that_of_the_straight_line(
        self, f: Callable[..., Number], approximate: bool
    ) -> None:
        """Entry by entry, with the keys, the guards and the constants."""
        tape = tg.record(tg.value_and_grad(f))([0.3, 0.5, 0.7], 200)
        columns = tape.columns.as_lists()
        moved = lower(columns, tape.outputs, approximate=approximate)
        with mock.patch.object(lowering, "loops_of", return_value=()):
            plain = lower(columns, tape.outputs, approximate=approximate)
        assert parts(moved) == parts(plain)

    def test_more_trips_are_not_more_work(
        self, f: Callable[..., Number], approximate: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As many entries are lowered one by one, however often the loops run."""
        written: list[int] = []
        write = lowering._Lowering.write_range

        def counted(self: lowering._Lowering, start: int, stop: int) -> None:
            written[-1] += stop - start
            write(self, start, stop)

        monkeypatch.setattr(lowering._Lowering, "write_range", counted)
        monkeypatch.setattr(trips, "WORTH", 100)
        tapes = [tg.record(tg.value_and_grad(f))([0.3, 0.5, 0.7], steps) for steps in (300, 600)]
        for tape in tapes:
            written.append(0)
            lower(tape.columns.as_lists(), tape.outputs, approximate=approximate)
        assert written[0] == written[1] < 0.3 * len(tapes[1])


def test_random_loops_have_the_program_of_the_straight_line() -> None:
    """All but those that compute the same in trips far apart."""
    differ = sum(parts(moved) != parts(plain) for moved, plain in map(lowered_alike, cases(40)))
    assert differ <= 1


def test_the_judge_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds programs whose trips were not compared with what they meet elsewhere."""
    monkeypatch.setattr(lowered_trips, "alike_up_to", lambda found, _: len(found))
    assert any(is_found(case) for case in cases(200))


def cases(count: int) -> Any:
    return map(make, range(count))


def is_found(case: Any) -> bool:
    try:
        return any(lowered_by_trips(case))
    except (LookupError, ValueError, TypeError):
        return True
