"""Models that answer as they like: every call ends, with a possible answer or with an error.

Paths are recorded on the promise that a function depends on its arguments alone. Where it does not,
two recorded paths may each send numbers to the other, and nothing may follow them for ever.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Final

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors
from tests.interrupts import ends_within


def fickle(seed: int) -> Any:
    """A function with a rule that answers as it likes."""
    chance = random.Random(seed)

    @tg.primitive(partials=(0.0,), at=[])
    def noise(x: float) -> float:
        return chance.choice((x, -x))

    def f(x: Any) -> Any:
        total = x
        for bit in (1.0, 2.0, 4.0, 8.0):
            if noise(x + bit) > 0.0:
                total = total + 16.0 * bit
        return total

    return f


def changing() -> Any:
    """A function whose comparison is another one at each call."""
    calls = count()

    def f(x: Any) -> Any:
        return x + 16.0 if x > (0.25 if next(calls) % 2 else 0.75) else x + 0.0

    return f


FUNCTIONS: Final[dict[str, Callable[[], Any]]] = {
    "a fickle rule": lambda: fickle(1),
    "another": lambda: fickle(2),
    "a changing comparison": changing,
}

WAYS: Final[list[dict[str, Any]]] = [{}, {"threads": 2}, {"on_branch": "eager"}, {"fast": True}]


def is_possible(answers: Any, points: Any) -> bool:
    """Whether some outcomes of the comparisons lead to each answer."""
    return bool(np.isin(np.asarray(answers) - points, 16.0 * np.arange(16)).all())


def check_ends(f: Callable[[Any], Any], points: Iterable[Any]) -> None:
    """Every call ends with a possible answer, or an error that names the comparison."""
    with ends_within(30):
        for point in points:
            try:
                assert is_possible(f(point), point)
            except errors.GuardError as error:
                assert re.match(  # noqa: PT017  # most calls raise none
                    r"(two recorded paths disagree on|the first row of) .*test_fickle.py:\d+",
                    str(error),
                )


@pytest.mark.parametrize("backend", ["python", "llvm"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_calls_end_where_recorded_paths_disagree(name: str, backend: Any) -> None:
    """On ``jit``."""
    check_ends(
        tg.jit(FUNCTIONS[name](), backend=backend, eager_first=False), np.arange(100) % 8 / 8.0
    )


@pytest.mark.parametrize("options", WAYS, ids=str)
@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_batches_end_where_recorded_paths_disagree(name: str, backend: Any, options: Any) -> None:
    """On ``vmap``, in whatever way rows that leave the paths go on."""
    rows = 4200 if "threads" in options else 64
    points = [np.arange(rows) % width / 8.0 for width in (3, 5, 8)]
    check_ends(tg.vmap(FUNCTIONS[name](), backend=backend, **options), points)


def by_kind(x: Any, scale: Any) -> Any:
    """A function that asks what kind of number it is given."""
    return x * scale if isinstance(scale, float) else x * scale * 100.0


def by_array(x: Any, scale: Any) -> Any:
    return (x * scale).sum() if isinstance(scale, np.ndarray) else (x * scale).sum() * 100.0


def drawing(x: Any) -> Any:
    """A function that draws random numbers, which a recording would keep."""
    return x * random.random()


class TestFunctionsThatGiveSomethingElseWhenTheyAreRecorded:
    """They are called as they stand, always, with one warning."""

    @pytest.mark.parametrize(
        ("f", "x", "scale", "right"),
        [(by_kind, 3.0, 5.0, 15.0), (by_array, np.ones(2), np.array([2.0, 3.0]), 5.0)],
    )
    def test_a_kind_that_is_asked_for(self, f: Any, x: Any, scale: Any, right: float) -> None:
        """The number is that of the first call at each call, and the argument may be named."""
        fast = tg.jit(tg.value_and_grad(f))
        with pytest.warns(
            UserWarning, match=r"^by_\w+ \(test_fickle.py:\d+\) gives another result"
        ):
            found = [fast(x, scale).value for _ in range(6)]
        assert found == [right] * 6
        assert not fast.tapes
        named = tg.jit(tg.value_and_grad(f), static_argnames="scale")
        assert [named(x, scale).value for _ in range(6)] == [right] * 6
        assert named.tapes

    def test_random_numbers(self) -> None:
        """Each call draws its own."""
        fast = tg.jit(drawing)
        with pytest.warns(UserWarning, match="drew random numbers"):
            found = [fast(1.0) for _ in range(6)]
        assert len(set(found)) == 6
