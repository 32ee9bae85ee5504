"""Every partial of the table broken in six ways: the laws of its row must see each."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from mpmath import mp

from tapegrad import record
from tapegrad.check.gradient import check_grad
from tapegrad.ops.primitive import Operand, Primitive
from tests.mutants import ROWS, applied, is_same, mutants, points, split
from tests.oracle import ORACLE, Number, truth
from tests.test_rows import INDICATORS, is_close

POINTS = 8
"""So many ordinary points at which each mutant is judged."""


def is_right(row: Primitive, xs: tuple[float, ...]) -> bool:
    """Whether the first partials of a row at a point are true."""
    y = row.value(*xs)
    return all(
        _is_right(row, index, row.partial(index, y, *xs), xs)
        for index in range(len(split(row, xs)[0]))
    )


def _is_right(row: Primitive, index: int, partial: Operand | None, xs: tuple[float, ...]) -> bool:
    got = partial if isinstance(partial, float) else 0.0
    if row.helper:
        apart = abs(mp.mpf(got) - by_definition(row.name, index, xs))
        return bool(apart <= allowed(row, index, xs))
    return is_close(row, "partials", got, by_table(row.name, index, xs), xs)


@cache
def by_table(name: str, index: int, xs: tuple[float, ...]) -> Number:
    """The true partial in closed form; the choices and conditions have theirs here."""
    if name == "where":
        return mp.mpf((0.0, xs[0], 1.0 - xs[0])[index])
    return mp.mpf(0) if name in FLAT else truth(name, index, *xs)


@cache
def by_definition(name: str, index: int, xs: tuple[float, ...]) -> Number:
    """The derivative of a helper's closed form, by differences in 100 digits."""
    if name in FLAT:
        return mp.mpf(0)
    value: Callable[..., Number] = ORACLE["div" if name == "div_pos" else name].value
    with mp.workdps(100):
        mps = [mp.mpf(x) for x in xs]
        return mp.diff(lambda x: value(*mps[:index], x, *mps[index + 1 :]), mps[index])


FLAT = INDICATORS | {"detached"}
"""Rows through which no derivative passes, whatever their values do."""


def allowed(row: Primitive, index: int, xs: tuple[float, ...]) -> float:
    """32 eps of the largest magnitude among the entries of the partial's own tape."""
    numbers, static = split(row, xs)

    def partial(operands: tuple[float, ...]) -> object:
        given = (*operands, *static)
        return row.partial(index, row(*given), *given)

    tape = record(partial)(numbers)
    largest = max(abs(value) for value in tape.columns.values if isinstance(value, float))
    return 32.0 * sys.float_info.epsilon * largest


def survivors(kills: Callable[[Primitive, tuple[float, ...]], bool]) -> tuple[int, list[str]]:
    """How many mutants differ from their rows at some point, and those killed at none."""
    total, alive = 0, []
    for row in ROWS:
        where = points(row, POINTS)
        for way, which, mutant in mutants(row):
            different = [xs for xs in where if not is_same(row, mutant, xs)]
            total += bool(different)
            if different and not any(kills(mutant, xs) for xs in different):
                alive.append(f"{row.name}, partial {which}: {way}")
    return total, alive


def test_the_laws_accept_the_table() -> None:
    """No row is wrong at the points at which mutants are judged."""
    for row in ROWS:
        for xs in points(row, 2):
            assert is_right(row, xs), (row, xs)


def written() -> int:
    """The figure that the page on checking gives."""
    page = Path(__file__).parent.parent / "docs" / "how-to" / "checking.md"
    killed, total = re.findall(r"(\d+) of (\d+) mutants", page.read_text(encoding="utf-8"))[0]
    assert killed == total
    return int(total)


@pytest.mark.slow
def test_the_laws_kill_every_mutant() -> None:
    """A wrong partial of any row fails the row's laws; the page on checking says how many."""
    total, alive = survivors(lambda row, xs: not is_right(row, xs))
    print(f"{total - len(alive)} of {total} mutants killed by the laws")  # noqa: T201  # the figure
    assert not alive
    assert total == written()


@pytest.mark.slow
def test_check_grad_kills_every_mutant() -> None:
    """A wrong partial of any row is refused by the check that users have.

    But for ``stop_gradient``, where the right partial is the one that differences contradict, and
    for a power of 2 that is defined at whole numbers alone, where there are no differences.
    """

    def kills(row: Primitive, xs: tuple[float, ...]) -> bool:
        operands, static = split(row, xs)
        return bool(check_grad(applied(row, static), operands).wrong)

    total, alive = survivors(kills)
    print(f"{total - len(alive)} of {total} mutants killed by check_grad")  # noqa: T201  # the figure
    assert alive == [f"{name}, partial 0: constant 1" for name in ("detached", "power_of_2")]
    assert total == written()
