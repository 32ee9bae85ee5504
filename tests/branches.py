"""Random programs full of branches, as a hypothesis strategy.

They hold assignments, ifs, loops that end when the numbers say so, and early returns, nested. Their
arithmetic is that of the hardware, which every backend rounds alike: so an answer is right only if
it has the bits of the eager call, and no comparison can come out differently in compiled code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import eq, ge, gt, le, lt, ne
from typing import Any, TypeAlias

import attrs
from hypothesis import strategies as st

__all__ = ["Branchy", "branchy"]

Number: TypeAlias = Any
"""A float or a traced number; programs do not care."""

OPERATIONS: tuple[Callable[[Number, Number], Number], ...] = (
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: 0.5 * a + 1.0,
    lambda a, b: 2.0 * a - b,
    lambda a, b: -a,
)


@attrs.frozen
class Condition:
    """A comparison of a register with another, or with a constant."""

    compare: Callable[[Number, Number], Any]
    left: int
    right: int | float

    def __call__(self, registers: Sequence[Number]) -> Any:
        right = registers[self.right] if isinstance(self.right, int) else self.right
        return self.compare(registers[self.left], right)


@attrs.frozen
class Assign:
    """A register gets the result of an operation on two."""

    target: int
    operation: Callable[[Number, Number], Number]
    operands: tuple[int, int]

    def run(self, registers: list[Number]) -> Number | None:
        left, right = (registers[operand] for operand in self.operands)
        registers[self.target] = self.operation(left, right)
        return None


@attrs.frozen
class If:
    """One of two bodies."""

    condition: Condition
    then: Sequence[Statement]
    otherwise: Sequence[Statement]

    def run(self, registers: list[Number]) -> Number | None:
        return run(self.then if self.condition(registers) else self.otherwise, registers)


@attrs.frozen
class Loop:
    """A body, so many times unless the numbers end it before."""

    rounds: int
    end: Condition
    body: Sequence[Statement]

    def run(self, registers: list[Number]) -> Number | None:
        for _ in range(self.rounds):
            if self.end(registers):
                break
            found = run(self.body, registers)
            if found is not None:
                return found
        return None


@attrs.frozen
class Return:
    """The end of the program, with a register for its result."""

    register: int

    def run(self, registers: list[Number]) -> Number | None:
        return registers[self.register]


Statement: TypeAlias = Assign | If | Loop | Return


def run(body: Sequence[Statement], registers: list[Number]) -> Number | None:
    """Run statements; a number where one of them returns."""
    for statement in body:
        found = statement.run(registers)
        if found is not None:
            return found
    return None


@attrs.frozen
class Branchy:
    """A program of a row of numbers, and of one number that is the same for all rows."""

    width: int
    body: Sequence[Statement]

    def __call__(self, row: Sequence[Number], shared: Number) -> Number:
        registers = [*row, shared]
        found = run(self.body, registers)
        return registers[0] - 2.0 * registers[-1] if found is None else found


def conditions(registers: int) -> st.SearchStrategy[Condition]:
    """Comparisons of one of these registers with another, or with a constant."""
    register = st.integers(0, registers - 1)
    constant = st.sampled_from((-1.0, -0.5, 0.0, 0.25, 1.0))
    return st.builds(
        Condition,
        st.sampled_from((lt, le, gt, ge, eq, ne)),
        register,
        st.one_of(constant, register),
    ).filter(lambda condition: condition.right is not condition.left)


def bodies(registers: int) -> st.SearchStrategy[Sequence[Statement]]:
    """Statements on these registers: ifs and loops up to three deep, and what is done in them."""
    register = st.integers(0, registers - 1)
    assign: st.SearchStrategy[Statement] = st.builds(
        Assign, register, st.sampled_from(OPERATIONS), st.tuples(register, register)
    )
    condition = conditions(registers)
    statement = st.one_of(assign, assign, st.builds(Return, register))
    for _ in range(3):
        body = st.lists(st.one_of(statement, assign), min_size=1, max_size=3)
        statement = st.one_of(
            st.builds(If, condition, body, body),
            st.builds(Loop, st.integers(2, 5), condition, body),
        )
    return st.lists(st.one_of(statement, statement, assign), min_size=2, max_size=4)


@st.composite
def branchy(draw: st.DrawFn) -> Branchy:
    """Programs with several branches."""
    width = draw(st.integers(1, 3))
    return Branchy(width, draw(bodies(width + 1)))
