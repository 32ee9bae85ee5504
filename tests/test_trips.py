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
from tapegrad.sweep import reverse, reverse_trips
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


def is_that_of_the_straight_line(f: Callable[..., Number], *arguments: Any) -> bool:
    """Whether a recording has the same entries, lines included, where they are swept one by one."""
    found = []
    for moves in (True, False):
        with mock.patch.object(reverse.RecordedReverse, "moves_trips", new=moves):
            tape = tg.record(f)(*arguments)
        found.append((tape, tape.sites, tape.site_of))
    return found[0] == found[1]


def twice(p: Sequence[Number], steps: int) -> Number:
    """A loop after another, through whose results and through the parameters it goes."""
    x, values = p[0], list[Number]()
    for _ in range(steps):
        x = x - 0.1 * math.sin(p[1] * x) / (1.0 + x * x)
        values.append(x)
    y = p[2]
    for t in range(steps):
        y = 0.5 * y + values[t] * math.exp(-y) + x**3
    return y + values[0] * values[-1]


def partly(p: Sequence[Number], steps: int) -> Number:
    """A loop of whose results the first hundred are read."""
    x, values = p[0], list[Number]()
    for _ in range(steps):
        x = x - 0.1 * math.sin(p[1] * x) / (1.0 + x * x)
        values.append(x)
    return x * p[2] + math.sum(values[:100])


@pytest.mark.parametrize("f", [lorenz, twice, kept, partly, averages])
class TestGradient:
    def test_it_is_that_of_the_straight_line(self, f: Callable[..., Number]) -> None:
        """Entry by entry, with the lines and the values; and that of a gradient of it, too."""
        assert is_that_of_the_straight_line(tg.value_and_grad(f), [0.3, 0.5, 0.7], 130)

        def second(p: Sequence[Number]) -> Number:
            return tg.grad(f)(p, 130)[0]

        assert is_that_of_the_straight_line(tg.grad(second), [0.3, 0.5, 0.7])

    def test_more_trips_are_not_more_work(
        self, f: Callable[..., Number], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As many entries are swept one by one, however often loops without a choice run."""
        swept: list[int] = []
        sweep = reverse.RecordedReverse.sweep_range

        def counted(self: Any, start: int, visit: Any, stop: int) -> None:
            swept[-1] += start + 1 - stop
            sweep(self, start, visit, stop)

        monkeypatch.setattr(reverse.RecordedReverse, "sweep_range", counted)
        monkeypatch.setattr(trips, "WORTH", 100)
        for steps in (300, 600):
            swept.append(0)
            tg.record(tg.grad(f))([0.3, 0.5, 0.7], steps)
        assert swept[0] < swept[1] if f is averages else swept[0] == swept[1]


def test_positions_are_those_of_each_trip() -> None:
    """Trips that are spelled one after the other have lines of their own."""
    lines = "\n".join("    x = x - 0.1 * x * x * p[1]" for _ in range(300))
    source = f"def f(p):\n    x = p[0]\n{lines}\n    return x\n"
    namespace: dict[str, Any] = {}
    exec(compile(source, "<spelled>", "exec"), namespace)  # noqa: S102  # written above
    assert is_that_of_the_straight_line(tg.grad(namespace["f"]), [0.3, 0.5])
    assert len(tg.record(tg.grad(namespace["f"]))([0.3, 0.5]).sites) >= 300


def test_random_gradients_are_those_of_the_straight_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of loops that read lags and what others have kept, in strides and backwards."""
    monkeypatch.setattr(trips, "WORTH", 30)
    for case in cases(30):
        assert is_that_of_the_straight_line(case.function, *case.points[0]), case.source


def test_a_wrong_gradient_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has other entries where what trips meet is not compared."""
    monkeypatch.setattr(reverse_trips, "alike_along", no_limit)
    assert not is_that_of_the_straight_line(tg.grad(partly), [0.3, 0.5, 0.7], 300)


def test_random_loops_have_the_program_of_the_straight_line() -> None:
    """All but those that compute the same in trips far apart."""
    differ = sum(parts(moved) != parts(plain) for moved, plain in map(lowered_alike, cases(40)))
    assert differ <= 1


def test_the_judge_sees_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds programs whose trips were not compared with what they meet elsewhere."""
    monkeypatch.setattr(lowered_trips, "alike_up_to", lambda found, _: len(found))
    monkeypatch.setattr(lowered_trips, "alike_along", no_limit)
    assert any(is_found(case) for case in cases(200))


def no_limit(*arguments: Any) -> Any:
    """So many trips as there are, whatever they meet."""
    return arguments[3]


def cases(count: int) -> Any:
    return map(make, range(count))


def is_found(case: Any) -> bool:
    try:
        return any(lowered_by_trips(case))
    except (LookupError, ValueError, TypeError):
        return True
