"""The calls of a step of ``scan``: it is recorded, so that it has to do the same at each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors, math
from tests.places import place, refusal

XS = [0.1, 0.2, 0.3, 0.4]


def of_a_counter(t: Any) -> Any:
    count = 0.0

    def step(c: Any, x: Any) -> Any:
        nonlocal count
        count += 1.0
        return c * t + x * count, None

    return tg.scan(step, t, XS)[0]


def of_an_iterator(t: Any) -> Any:
    weights = iter([1.0, 2.0, 3.0, 4.0])
    return tg.scan(lambda c, x: (c * t + x * next(weights), None), t, XS)[0]


def of_a_dict_of_numbers_around(t: Any) -> Any:
    state = {"rate": t}

    def step(c: Any, x: Any) -> Any:
        state["rate"] = state["rate"] * 1.1
        return c * state["rate"] + x, None

    return tg.scan(step, t, XS)[0]


def of_random_arrays(t: Any) -> Any:
    draws = np.random.default_rng(0)
    return np.sum(
        tg.scan(lambda c, _: (c * t + draws.standard_normal(2), None), np.ones(2) * t, XS)[0]
    )


@pytest.mark.parametrize(
    ("f", "line"),
    [
        (of_a_counter, "return tg.scan"),
        (of_an_iterator, "return tg.scan"),
        (of_a_dict_of_numbers_around, "return tg.scan"),
        (of_random_arrays, "tg.scan(lambda"),
    ],
)
def test_a_step_that_does_something_else_at_its_second_call_is_refused(f: Any, line: str) -> None:
    """What changes from call to call would stay as it was in the first step, in silence."""
    message = refusal(errors.RecordingError, lambda: tg.grad(f)(0.7))
    assert f"({place(f, line)}) does something else at its second call than the first" in message
    assert message.endswith("make that a part of the carry or of xs")


def test_a_carry_that_hides_in_a_list_is_refused() -> None:
    """A number of the first step is not there in the second."""

    def f(t: Any) -> Any:
        total = [0.0]

        def step(c: Any, x: Any) -> Any:
            total[0] = total[0] + c
            return c * t + x * total[0], None

        return tg.scan(step, t, XS)[0]

    with pytest.raises(errors.RecordingError, match="after its recording") as caught:
        tg.grad(f)(0.7)
    assert caught.value.__notes__ == ["raised in step 1 of scan"]


AGAIN: dict[str, Callable[[Any, Any], Any]] = {
    "reads what is computed around it alone": lambda t, x: (np.ones(2) * t)[0] * x,
    "solves": lambda t, x: tg.root(lambda z, a: z * z * z + z - a, 0.5, t * x),
    "takes another way": lambda t, x: t * x if x > 0.15 else t + x,
    "differentiates": lambda t, x: tg.grad(lambda z: z * z * t)(x),
    "is nan": lambda t, x: math.log(t - 9.0) * x,
}


@pytest.mark.parametrize("name", AGAIN)
def test_a_step_that_does_the_same_is_recorded_for_each_way_and_once_more(name: str) -> None:
    """However it comes to its numbers."""
    calls: list[int] = []

    def f(t: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            calls.append(1)
            return c * 0.5 + AGAIN[name](t, x), None

        return tg.scan(step, t, XS)[0]

    tape = tg.record(f)(0.7)
    assert len(calls) == 2
    assert tape.value == pytest.approx(f(0.7), nan_ok=True)


class Rates:
    """Something with a number that changes."""

    def __init__(self) -> None:
        self.rate = 2.0

    def step(self, c: Any, x: Any) -> Any:
        """Two ways, both of which read the number."""
        return (c * self.rate + x if x < 0.5 else c + self.rate), None


def test_a_new_way_is_not_mixed_with_ways_of_before_a_change() -> None:
    """A tape keeps what a step read; where that has changed, it cannot go another way."""
    rates = Rates()
    tape = tg.record(lambda t, xs: tg.scan(rates.step, t, xs)[0])(0.7, [0.1, 0.2])
    before = tape.replay(0.7, [0.3, 0.9]).value
    assert before == (0.7 * 2.0 + 0.3) + 2.0
    rates.rate = 3.0
    assert tape.replay(0.7, [0.1, 0.2]).value == tape.value
    again = tg.record(lambda t, xs: tg.scan(rates.step, t, xs)[0])(0.7, [0.1, 0.2])
    rates.rate = 4.0
    with pytest.raises(errors.GuardError, match="as it reads what has changed since: record again"):
        again.replay(0.7, [0.3, 0.9])
