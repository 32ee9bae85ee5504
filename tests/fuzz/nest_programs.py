"""Random programs with loops inside loops as Python source, each with points; a seed says which.

A program is a function ``f(p, xs, ys)`` that goes from row to row of numbers: each row is computed
from the one before, number by number, from neighbours, forwards, backwards or in strides. Rows stay
as long as they are, shrink or grow, and have ends of their own.
"""

from __future__ import annotations

from random import Random
from typing import Final

from tests.fuzz.loop_programs import LoopCase

__all__ = ["make"]

CELLS: Final = (
    "{a} + p[0] * ({b} - 2.0 * {c})", "p[1] * {a} + (1.0 - p[1]) * {b}", "math.tanh({a} * {b})",
    "{a} * 0.5 + {c} * x", "math.maximum({a}, {b}) * 0.9", "{a} - {b} * p[2]", "{a} * K[j % 3]",
    "math.sin({a}) + {b}", "({a} + {b} + {c}) * (1.0 / (j + 1.0))",
)  # fmt: skip
"""Numbers of a row by the one before; ``x`` is data of its row."""

ORDERS: Final = ("range(1, n - 1)", "range(1, n - 1)", "range(n - 2, 0, -1)", "range(1, n - 1, 2)")
ROWS: Final = (
    "[row[0], *new, row[-1]]", "[new[0], *new, new[-1]]", "[row[0] * 0.9, *new, row[-1] + x]",
    "[*new, new[0]]", "[*new]", "[p[1], *new, x * p[0], new[-1]]",
)  # fmt: skip
"""The next row: as long as the one before, shorter or longer."""


def make(seed: int, *, points: int = 2) -> LoopCase:
    """The program of a seed."""
    rng = Random(seed)
    order, row = rng.choice(ORDERS), rng.choice(ROWS)
    neighbours = ["row[j]", "row[j - 1]", "row[j + 1]", rng.choice(("row[j]", "before[j % m]"))]
    a, b, c = rng.sample(neighbours, 3)
    lines = [
        "K = (0.3, 0.7, -0.2)",
        "def f(p, xs, ys):",
        f"    row = [p[i % 3] * (0.1 * i + 0.2) for i in range({rng.choice((9, 14, 20, 27))})]",
        "    total, before = p[0], row",
        f"    for t in range({rng.choice((5, 8, 15, 24))}):",
        "        x, n, m, new = xs[t % len(xs)], len(row), len(before), []",
        "        if n < 4 or n > 60:",
        "            break",
        f"        for j in {order}:",
        f"            y = {rng.choice(CELLS).format(a=a, b=b, c=c)}",
    ]
    if rng.random() < 0.4:
        lines.append(f"            y = {rng.choice(CELLS).format(a='y', b=b, c=a)}")
    if rng.random() < 0.15:
        lines.append("            y = y if y < 50.0 else 0.5 * y")
    lines.append("            new.append(y)")
    if "-1)" in order and rng.random() < 0.5:
        lines.append("        new = new[::-1]")
    lines.append(f"        before, row = row, {row}")
    if rng.random() < 0.5:
        lines.append(f"        total = total + row[{rng.choice(('0', '-1', 'len(row) // 2'))}]")
    lines.append("    return total + math.sum(row)")
    is_gradient, count = rng.random() < 0.6, rng.choice((1, 5, 30))

    def numbers(count: int) -> list[float]:
        return [round(rng.uniform(-1.0, 1.0), 3) for _ in range(count)]

    found = [(numbers(3), numbers(count), (0.5,)) for _ in range(points)]
    return LoopCase(seed, "\n".join(lines) + "\n", is_gradient, tuple(found))
