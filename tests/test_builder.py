"""Laws of the builder: equal entries are one, and entries that only print alike are two."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from math import inf, nan
from typing import Any, TypeAlias

import attrs
import numpy as np
import pytest

import tapegrad as tg
from tapegrad.entries.builder import Builder, EvaluatingBuilder, Written
from tapegrad.entries.static_keys import static_key
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

Number: TypeAlias = Any
"""A float or what stands for one."""

BESIDE = Primitive("beside", lambda x, _: x, (1.0,), "x", has_static=True)
"""x, beside a static operand of any kind."""


def with_input() -> tuple[Builder, Number]:
    """A builder with one entry, and what stands for that."""
    builder = Builder(ops.TABLE)
    return builder, Written(builder, builder.write(ops.input, ()))


class Silent:
    """An object that prints like any other of its class."""

    def __repr__(self) -> str:
        return "Silent()"

    def method(self) -> None:
        """Stand for a method, which is another object each time it is looked up."""


class TestSharing:
    def test_equal_entries_are_one(self) -> None:
        """A row applied to the same operands is written once; in another order it is another."""
        builder, x = with_input()
        y: Number = ops.sin(x)
        sums: list[Number] = [ops.add(x, y), ops.add(x, y), ops.add(y, x)]
        assert [total.slot for total in sums] == [2, 2, 3]
        assert [row.name for row in builder.rows] == ["input", "sin", "add", "add"]

    def test_an_operand_twice_is_not_the_operand_once(self) -> None:
        """A row of any number of operands makes one entry for each number of them."""
        _, x = with_input()
        products: list[Number] = [ops.product(x, x), ops.product(x), ops.product(x, x, x)]
        assert [product.slot for product in products] == [1, 2, 3]

    def test_constants_are_shared_by_their_bits(self) -> None:
        """Zeros of both signs are two constants, and nan is one."""
        builder, _ = with_input()
        slots = [builder.constant(number) for number in (0.0, -0.0, nan, 0.0, nan)]
        assert slots == [1, 2, 3, 1, 3]

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (2.0, 2),
            (1, True),
            (0.0, -0.0),
            (2.0, np.float64(2.0)),
            (Silent(), Silent()),
            ((2.0,), (2,)),
            ("a", b"a"),
        ],
    )
    def test_static_operands_that_differ_make_two_entries(self, one: object, other: object) -> None:
        """Numbers of another type or other bits do, and objects that are not the same one."""
        builder, x = with_input()
        slots = [builder.entry(BESIDE, (x.slot,), (static,)) for static in (one, other)]
        assert [builder.statics[slot] for slot in slots] == [one, other]
        assert slots == [1, 2]

    @pytest.mark.parametrize(
        "make", [lambda: float("2.0"), lambda: int("300"), lambda: (1, -0.0), lambda: "".join("ab")]
    )
    def test_equal_values_are_one(self, make: Callable[[], object]) -> None:
        """Numbers, text, and tuples of them, whichever object holds the value."""
        assert static_key(make()) == static_key(make())

    @pytest.mark.parametrize("static", [2.0, 3, nan, inf, Silent(), len, Silent().method])
    def test_the_same_static_operand_makes_one_entry(self, static: Number) -> None:
        """A number of the same bits does, and the same object."""
        builder, x = with_input()
        slots = [builder.entry(BESIDE, (x.slot,), (static,)) for _ in range(2)]
        assert slots == [1, 1]

    def test_a_method_is_told_by_its_object(self) -> None:
        """Looked up twice it is the same one; of another object it is another."""
        one, other = Silent(), Silent()
        assert static_key(one.method) == static_key(one.method)
        assert static_key(one.method) != static_key(other.method)

    def test_a_key_keeps_its_object_alive(self) -> None:
        """No later object, in the place of one that is gone, is taken for it."""
        assert len({static_key(Silent()) for _ in range(100)}) == 100


class TestRules:
    @pytest.mark.parametrize("constant", [False, True])
    @pytest.mark.parametrize(
        ("row", "operands"),
        [
            (ops.mul, (None, 1.0)), (ops.mul, (1.0, None)), (ops.div, (None, 1.0)),
            (ops.sub, (None, 0.0)), (ops.add, (None, -0.0)), (ops.add, (-0.0, None)),
        ],
    )  # fmt: skip
    def test_neutral_operations_give_their_operand(
        self, row: Primitive, operands: tuple[float | None, ...], constant: bool
    ) -> None:
        """They write nothing, be the neutral number an operand or an entry."""
        builder, x = with_input()
        numbers = [
            x
            if number is None
            else builder.operand(builder.constant(number))
            if constant
            else number
            for number in operands
        ]
        kept: Number = row(*numbers)
        assert kept.slot == x.slot

    def test_what_is_not_neutral_to_the_bit_stays(self) -> None:
        """x + 0.0 is another number for x = -0.0."""
        builder, x = with_input()
        total: Number = ops.add(x, 0.0)
        assert total.slot != x.slot
        assert [row.name for row in builder.rows] == ["input", "constant", "add"]

    def test_two_negations_are_none(self) -> None:
        """-(-x) is x."""
        _, x = with_input()
        twice: Number = ops.neg(ops.neg(x))
        assert twice.slot == x.slot

    def test_values_are_computed_as_entries_are_written(self) -> None:
        """A builder that evaluates knows each value, and what each entry was written for."""
        builder = EvaluatingBuilder(ops.TABLE)
        x = Written(builder, builder.write(ops.input, (), value=3.0))
        builder.origin = 7
        ops.mul(ops.add(x, 1.0), x)
        assert builder.values == [3.0, 1.0, 4.0, 12.0]
        assert builder.origins == [0, 7, 7, 7]

    def test_only_what_is_needed_is_kept(self) -> None:
        """The entries that a result is computed from, in order."""
        builder, x = with_input()
        ops.sin(x)
        y: Number = ops.exp(ops.cos(x))
        assert builder.needed([y.slot]) == [0, 2, 3]


@attrs.frozen
class Cubic:
    """An equation that prints like any other of its class."""

    scale: float = attrs.field(repr=False)

    def __call__(self, x: Number, a: Number) -> Number:
        return x**3 + x - self.scale * a

    def residual(self, x: Number, a: Number) -> Number:
        return self(x, a)


def cubic(x: Number, a: Number) -> Number:
    return x**3 + x - a


def root_of(equation: Callable[..., Number]) -> Any:
    """The tape of the solution of one equation."""

    def solution(a: Number) -> Number:
        return tg.root(equation, 1.0, a)

    return tg.record(solution)(2.0)


EQUATIONS: list[Callable[..., Number]] = [
    Cubic(8.0), Cubic(1.0), Cubic(8.0).residual, partial(Cubic.residual, Cubic(scale=8.0)),
]  # fmt: skip


def apart(a: Number) -> Number:
    return tg.root(Cubic(8.0), 1.0, a) - tg.root(Cubic(1.0), 1.0, a)


class TestEquationsThatPrintAlike:
    @pytest.mark.parametrize("backend", ["python", "llvm"])
    def test_compiled_code_solves_both(self, backend: Any) -> None:
        """On the recorded call and on the next."""
        compiled = tg.jit(apart, backend=backend, eager_first=False)
        assert compiled(2.0) == compiled(2.0) == apart(2.0) != 0.0

    def test_vmap_solves_both(self) -> None:
        """For every row."""
        points = np.array([2.0, 3.0])
        assert list(tg.vmap(apart)(points)) == [apart(2.0), apart(3.0)]

    def test_simplify_keeps_both(self) -> None:
        """On a tape that holds its gradient, where equal entries are shared."""
        tape = tg.record(tg.grad(apart))(2.0)
        assert tape.simplify().tape.value == tape.value
        assert tape.simplify().tape.replay(3.0).value == tg.grad(apart)(3.0)

    def test_their_tapes_differ(self) -> None:
        """Where the solutions are equal, too."""
        tapes = [tg.record(lambda a, c=c: tg.root(c, 1.0, a * 0.0))(2.0) for c in EQUATIONS[:2]]
        assert tapes[0].value == tapes[1].value
        assert tapes[0] != tapes[1]

    @pytest.mark.parametrize("equation", [cubic, *EQUATIONS])
    def test_a_pickled_tape_comes_back_equal(self, equation: Callable[..., Number]) -> None:
        """Functions are found by their names, and frozen values are equal by their fields."""
        tape = root_of(equation)
        again = pickle.loads(pickle.dumps(tape))  # noqa: S301  # our own bytes
        assert (again, hash(again)) == (tape, hash(tape))

    @pytest.mark.parametrize("equation", EQUATIONS)
    def test_one_equation_is_solved_once(self, equation: Callable[..., Number]) -> None:
        """The same function from the same start is one entry."""

        def twice(a: Number) -> Number:
            return tg.root(equation, 1.0, a) * tg.root(equation, 1.0, a)

        simple = tg.record(tg.grad(twice))(2.0).simplify().tape
        assert [node.primitive.name for node in simple if isinstance(node, tg.Apply)].count(
            "root"
        ) == 1
