"""A determinant by expansion by minors, each of which is computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from math import isqrt
from typing import Any, TypeAlias

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Real

Columns: TypeAlias = tuple[int, ...]


def determinant(a: Sequence[Real]) -> Real:
    """The determinant of a matrix whose rows stand one after the other."""
    n = isqrt(len(a))

    minors: dict[Columns, Real] = {(column,): a[(n - 1) * n + column] for column in range(n)}
    for size in range(2, n + 1):
        row, known = a[(n - size) * n :], minors
        chosen = combinations(range(n), size)
        minors = {columns: expanded(row, columns, known) for columns in chosen}
    return minors[tuple(range(n))]


def expanded(row: Sequence[Real], columns: Columns, minors: Mapping[Columns, Real]) -> Real:
    """The minor of these columns, and of this row and all below, from those of a row less."""
    total = row[columns[0]] * minors[columns[1:]]
    for place in range(1, len(columns)):
        term = row[columns[place]] * minors[columns[:place] + columns[place + 1 :]]
        total = total - term if place % 2 else total + term
    return total


primal = tg.jit(determinant)
gradient = tg.jit(tg.grad(determinant))


def _primal(given: Mapping[str, Any]) -> Run:
    return partial(primal, given["A"])


def _gradient(given: Mapping[str, Any]) -> Run:
    return partial(gradient, given["A"])


FUNCTIONS: Mapping[str, Prepare] = {"primal": _primal, "gradient": _gradient}
