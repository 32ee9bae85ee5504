"""Random programs with loops as Python source, each with points to call it at; a seed says which.

A program is a function ``f(p, xs, ys)`` of parameters, a list of floats that loops go through, and
a tuple of others. Its loops read what was some iterations ago, go through data forwards,
backwards or in strides, through constants, and through what earlier loops have kept; they have
choices, branches that leave the loop, inner loops, and lists that they carry.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, TypeAlias, cast

import attrs

import tapegrad as tg
from tapegrad import math

__all__ = ["LoopCase", "make"]

Number: TypeAlias = Any
"""A float or a traced number; programs do not care."""

EXPRESSIONS: Final = (
    "{a} + {b}", "{a} - {b}", "{a} * {b}", "-{a}", "{a} / (1.5 + {b} * {b})", "abs({a})",
    "math.sqrt(1.0 + {a} * {a})", "math.maximum({a}, {b})", "{a} ** 2", "0.5 * {a} + {b}",
    "tg.where({a} > {b}, {a}, 0.5 * {b})", "math.tanh({a})", "math.sin({a})", "math.relu({a})",
    "tg.where(({a} < 0.7) & ({b} >= 0.1), {a} * {c}, {b})", "math.exp(-{a} * {a})", "{a} ** 3",
    "math.hypot({a}, {b})", "math.fma({a}, {b}, {c})", "math.sum([{a}, {b}, {c}])",
    "math.log1p({a} * {a})", "tg.where({a} > 0.2, math.sqrt(abs({a})), {b})",
    "math.lgamma(1.5 + {a} * {a})", "math.norm_cdf({a})", "tg.stop_gradient({a}) * {b}",
    "{c} * (1.0 if {a} > -1e6 else 2.0)", "math.pow(1.5 + {a} * {a}, {k})",
)  # fmt: skip
"""What loops compute; ``{k}`` is a constant that may differ from step to step."""

CONSTANTS: Final = ("0.7", "0.1 * t", "K[t % len(K)]", "2.0 - t", "K[t % 2]", "1.3", "float(t % 3)")
"""Constants, most of which are others in each step."""


PLACES: Final = ("t", "(-1 - t)", "t // 2", "0", "-1", "(t - 1)")
"""Where a loop reads what an earlier one has kept."""


@attrs.frozen
class LoopCase:
    """A program, whether its gradient is taken or its outputs are many, and its points."""

    seed: int
    source: str
    is_gradient: bool
    points: tuple[tuple[list[float], list[float], tuple[float, ...]], ...]

    @property
    def function(self) -> Callable[..., Number]:
        """The program, or its value and gradient."""
        name = f"<loop program {self.seed}>"
        linecache.cache[name] = (len(self.source), None, self.source.splitlines(True), name)
        namespace: dict[str, Any] = {"tg": tg, "math": math}
        exec(compile(self.source, name, "exec"), namespace)  # noqa: S102  # written below
        f = cast("Callable[..., Number]", namespace["f"])
        return tg.value_and_grad(f) if self.is_gradient else f


class _Writer:
    """Writes the statements of one program."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.states = rng.randint(1, 3)
        self.lag = rng.choice((1, 1, 2, 3, 5))
        self.lines: list[str] = []
        self.kept: list[str] = []

    def write(self, depth: int, line: str) -> None:
        self.lines.append("    " * depth + line)

    def operand(self, temporaries: Sequence[str]) -> str:
        """Something that a step reads."""
        rng = self.rng
        kind = rng.choice("sssttttpxrolkydm")
        if kind == "t" and temporaries:
            return rng.choice(temporaries[-4:])
        if kind == "m" and self.kept:
            name = rng.choice(self.kept)
            return f"{name}[{rng.choice(PLACES)} % len({name})]"
        return {
            "p": f"p[{rng.randrange(3)}]",
            "x": "xs[t]",
            "r": "xs[n - 1 - t]",
            "o": f"xs[(t + {rng.randint(1, 3)}) % n]",
            "d": "xs[2 * t % n]",
            "y": "ys[t % len(ys)]",
            "l": f"past[-{self.lag}][{rng.randrange(self.states)}]",
            "k": rng.choice(CONSTANTS),
        }.get(kind, f"s[{rng.randrange(self.states)}]")

    def step(self, depth: int, temporaries: list[str]) -> None:
        """One statement of a step."""
        rng = self.rng
        a, b, c = (self.operand(temporaries) for _ in range(3))
        text = rng.choice(EXPRESSIONS).format(a=a, b=b, c=c, k=rng.choice(CONSTANTS))
        name = f"v{len(temporaries)}"
        self.write(depth, f"{name} = {text}")
        temporaries.append(name)

    def inner(self, depth: int, temporaries: list[str]) -> None:
        """A loop inside the step."""
        rng, name = self.rng, f"v{len(temporaries)}"
        self.write(depth, f"{name} = {self.operand(temporaries)}")
        self.write(depth, f"for q in range({rng.choice((2, 3, 6))}):")
        self.write(depth + 1, f"{name} = 0.5 * {name} + {self.operand(temporaries)}")
        if rng.random() < 0.5:
            self.write(depth + 1, f"{name} = math.tanh({name} * (q + 1.0))")
        temporaries.append(name)

    def branch(self, depth: int, temporaries: list[str]) -> None:
        """A branch that most steps, or all, take in one way; or that ends the loop."""
        rng = self.rng
        x = self.operand(temporaries)
        kind = rng.random()
        if kind < 0.4:
            self.write(depth, f"if {x} > {rng.choice(('1e6', '2.0', '1.2'))}:")
            self.write(depth + 1, "break")
        elif kind < 0.7:
            name = f"v{len(temporaries)}"
            self.write(depth, f"{name} = {x} if {x} < {rng.choice(('1e6', '0.6'))} else 0.5 * {x}")
            temporaries.append(name)
        else:
            self.write(depth, f"if t == {rng.choice(('n - 1', '0', 'n // 2'))}:")
            self.write(depth + 1, f"s[0] = s[0] + {x}")

    def loop(self, number: int) -> None:
        """One loop over the steps."""
        rng = self.rng
        temporaries: list[str] = []
        self.write(1, f"kept{number} = [s[0]]")
        self.write(1, f"for t in range({rng.choice(('n', 'n', 'n - 2', 'n // 2', '7', '4'))}):")
        for _ in range(rng.randint(1, 7)):
            kind = rng.random()
            if kind < 0.12:
                self.inner(2, temporaries)
            elif kind < 0.25:
                self.branch(2, temporaries)
            else:
                self.step(2, temporaries)
        found = temporaries or ["s[0]"]
        self.write(2, "past.append(s)")
        parts = ", ".join(
            rng.choice(("math.tanh({0})", "{0} * 0.5", "{0} / (1.0 + abs({0}))")).format(
                rng.choice(found)
            )
            for _ in range(self.states)
        )
        self.write(2, f"s = [{parts}]")
        self.write(2, f"kept{number}.append({rng.choice((*found, 's[0]'))})")
        self.kept.append(f"kept{number}")


def make(seed: int, *, points: int = 2) -> LoopCase:
    """The program of a seed."""
    rng = Random(seed)
    writer = _Writer(rng)
    is_gradient = rng.random() < 0.6
    steps = rng.choice((8, 12, 19, 30, 41))
    constants = tuple(round(rng.uniform(-1.0, 2.0), 2) for _ in range(5))
    writer.write(0, f"K = {constants}")
    writer.write(0, "def f(p, xs, ys):")
    writer.write(1, "n = len(xs)")
    writer.write(1, f"s = [p[i % 3] * (0.3 + i) for i in range({writer.states})]")
    writer.write(1, f"past = [list(s)] * {writer.lag}")
    for number in range(rng.choice((1, 1, 2, 3))):
        writer.loop(number)
    lists = [name for name in writer.kept if rng.random() < 0.4]
    total = " + ".join(["math.sum(s)", *(f"math.sum({name}[::2])" for name in lists)])
    last = f"past[-{writer.lag}][0]"
    if is_gradient:
        writer.write(1, f"return {total} * 0.5 + {last}")
    else:
        several = " + ".join([f"[{total}, {last}]", *lists])
        writer.write(1, f"return {several}" + rng.choice(("", "[::-1]", " + s")))
    ys = rng.randint(1, steps)

    def numbers(count: int) -> list[float]:
        return [round(rng.uniform(-1.0, 1.0), 3) for _ in range(count)]

    found = [(numbers(3), numbers(steps), tuple(numbers(ys))) for _ in range(points)]
    return LoopCase(seed, "\n".join(writer.lines) + "\n", is_gradient, tuple(found))
