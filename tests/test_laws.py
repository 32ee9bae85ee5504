"""Laws that hold for every program, tried on random ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import errors, math
from tapegrad.ops import table as ops
from tapegrad.sweep.reverse import cotangents
from tests.strategies import Program, bits, ordinary, points, programs, smooth

PROGRAM_AND_POINT = programs().flatmap(lambda f: st.tuples(st.just(f), points(f.width)))
PROGRAM_AND_TWO_POINTS = programs().flatmap(
    lambda f: st.tuples(st.just(f), points(f.width), points(f.width))
)
SMOOTH_AT_A_POINT = smooth().flatmap(
    lambda f: st.tuples(st.just(f), st.lists(ordinary, min_size=f.width, max_size=f.width))
)


def all_bits(numbers: Sequence[float | None]) -> list[bytes | None]:
    return [None if number is None else bits(number) for number in numbers]


def close(got: Sequence[float], want: Sequence[float], tolerance: float = 1e-9) -> bool:
    scale = 1.0 + max(map(abs, want))
    return all(abs(a - b) <= tolerance * scale for a, b in zip(got, want, strict=True))


class TestTheTape:
    @given(PROGRAM_AND_POINT)
    def test_operands_lie_below_their_own_entry(self, case: tuple[Program, list[float]]) -> None:
        """An entry reads earlier slots only, inputs come first, and outputs are slots."""
        program, point = case
        tape = tg.record(program)(point)
        for slot, node in enumerate(tape):
            assert node.slot == slot
            assert isinstance(node, tg.Input) == (slot < program.width)
            operands = (
                node.operands
                if isinstance(node, tg.Apply)
                else ((node.operand,) if isinstance(node, tg.Guard) else ())
            )
            assert all(0 <= operand < slot for operand in operands)
        assert all(0 <= slot < len(tape) for slot in tape.outputs)

    @given(PROGRAM_AND_POINT)
    def test_every_entry_is_its_row_on_its_operands(
        self, case: tuple[Program, list[float]]
    ) -> None:
        """The value of an entry is what its row gives on the values of its operands."""
        program, point = case
        tape = tg.record(program)(point)
        values = tape.columns.values
        for node in tape:
            if isinstance(node, tg.Apply):
                operands = [values[operand] for operand in node.operands]
                again = node.primitive.value(*operands, *node.static)
                assert bits(again) == bits(node.value)

    @given(PROGRAM_AND_POINT)
    def test_recording_changes_no_value(self, case: tuple[Program, list[float]]) -> None:
        """A program has the same value, to the bit, recorded, differentiated and replayed."""
        program, point = case
        tape = tg.record(program)(point)
        assert bits(tg.value_and_grad(program)(point).value) == bits(tape.value)

    @given(SMOOTH_AT_A_POINT)
    def test_and_it_is_the_value_on_plain_floats(self, case: tuple[Program, list[float]]) -> None:
        """A program that runs on floats has there the value that is recorded."""
        program, point = case
        try:
            plain = program(point)
        except OverflowError:
            return
        assert bits(plain) == bits(tg.record(program)(point).value)

    @given(PROGRAM_AND_POINT)
    def test_a_replay_at_the_same_point_is_equal(self, case: tuple[Program, list[float]]) -> None:
        """Replaying where a tape was recorded gives an equal tape with an equal hash."""
        program, point = case
        tape = tg.record(program)(point)
        again = tape.replay(point)
        assert again == tape
        assert hash(again) == hash(tape)
        assert tg.record(program)(point) == tape

    @given(PROGRAM_AND_TWO_POINTS)
    def test_a_replay_elsewhere_is_the_recording_there(
        self, case: tuple[Program, list[float], list[float]]
    ) -> None:
        """A replay that raises no GuardError has the value and gradient of a recording there."""
        program, point, other = case
        try:
            replayed = tg.record(program)(point).replay(other)
        except errors.GuardError:
            return
        recorded = tg.record(program)(other)
        assert bits(replayed.value) == bits(recorded.value)
        assert all_bits(replayed.gradient()) == all_bits(recorded.gradient())

    @settings(max_examples=50)
    @given(PROGRAM_AND_POINT)
    def test_reading_a_tape_changes_nothing(self, case: tuple[Program, list[float]]) -> None:
        """Printing, drawing and differentiating give the same text and numbers again."""
        program, point = case
        tape, same = tg.record(program)(point), tg.record(program)(point)
        assert (str(tape), tape.to_dot()) == (str(same), same.to_dot())
        assert (str(tape), tape.to_dot()) == (str(tape), tape.to_dot())
        assert all_bits(tape.gradient()) == all_bits(same.gradient())


class TestTheReverseSweep:
    @given(PROGRAM_AND_POINT)
    def test_the_compiled_sweep_has_the_bits_of_the_generic_one(
        self, case: tuple[Program, list[float]]
    ) -> None:
        """The generated switch and the rows' partials called one by one give the same bits.

        Those of constants nobody needs, and a recorded gradient has none.
        """
        program, point = case
        tape = tg.record(program)(point)
        columns = tape.columns.as_lists()
        seeds = {tape.outputs[0]: 1.0}
        compiled = cotangents(columns, seeds)
        generic = cotangents(attrs.evolve(columns, traced=True), seeds)
        for slot in columns.slots_of(ops.constant):
            compiled[slot] = generic[slot] = None
        assert all_bits(compiled) == all_bits(generic)  # type: ignore[arg-type]  # floats here

    @given(PROGRAM_AND_POINT)
    def test_tape_and_grad_agree_to_the_bit(self, case: tuple[Program, list[float]]) -> None:
        """record(f)(x).gradient() is grad(f)(x)."""
        program, point = case
        assert all_bits(tg.record(program)(point).gradient()) == all_bits(tg.grad(program)(point))

    @given(PROGRAM_AND_TWO_POINTS)
    def test_a_recorded_gradient_has_the_bits_of_the_eager_one(
        self, case: tuple[Program, list[float], list[float]]
    ) -> None:
        """record(grad(f)) is grad(f) to the bit, and so is its replay wherever guards allow it."""
        program, point, other = case
        gradient = tg.grad(program)
        tape = tg.record(gradient)(point)
        assert all_bits(tape.value) == all_bits(gradient(point))
        try:
            replayed = tape.replay(other)
        except errors.GuardError:
            return
        assert all_bits(replayed.value) == all_bits(gradient(other))

    @given(PROGRAM_AND_TWO_POINTS)
    def test_a_tape_can_be_differentiated_inside_a_recording(
        self, case: tuple[Program, list[float], list[float]]
    ) -> None:
        """Replaying a tape on traced numbers records it: its gradient is the program's."""
        program, point, other = case
        tape = tg.record(program)(point)

        def through_the_tape(xs: Any) -> Any:
            return tape.replay(xs).value

        try:
            slopes = tg.grad(through_the_tape)(other)
        except errors.GuardError:
            return
        assert all_bits(slopes) == all_bits(tg.grad(program)(other))

    @given(smooth(4).flatmap(lambda f: st.tuples(st.just(f), points(f.width))))
    def test_so_has_a_recorded_second_derivative(self, case: tuple[Program, list[float]]) -> None:
        """Second derivatives recorded are those computed, to the bit."""
        program, point = case

        def slope(xs: Any) -> Any:
            return tg.grad(program)(xs)[0]

        second = tg.grad(slope)
        assert all_bits(tg.record(second)(point).value) == all_bits(second(point))


class TestTheMathematics:
    @given(smooth(), st.permutations("abc"), st.lists(ordinary, min_size=3, max_size=3))
    def test_the_gradient_of_a_permuted_dict_is_permuted(
        self, program: Program, order: list[str], point: list[float]
    ) -> None:
        """The order of a dict's keys changes the order of the gradient's and no number."""

        def f(p: Any) -> Any:
            return program([p[name] for name in "abc"[: program.width]])

        numbers = dict(zip("abc", point, strict=True))
        permuted = tg.grad(f)({name: numbers[name] for name in order})
        assert list(permuted) == order
        assert permuted == tg.grad(f)(numbers)

    @given(smooth(), smooth(), ordinary, ordinary, st.lists(ordinary, min_size=3, max_size=3))
    def test_it_is_linear(
        self, f: Program, g: Program, a: float, b: float, point: list[float]
    ) -> None:
        """grad(a f + b g) is a grad(f) + b grad(g)."""

        def both(xs: Any) -> Any:
            return a * f(xs[: f.width]) + b * g(xs[: g.width])

        def alone(h: Program) -> Any:
            return tg.grad(lambda xs: h(xs[: h.width]))(point)

        slopes_f, slopes_g = alone(f), alone(g)
        want = [a * x + b * y for x, y in zip(slopes_f, slopes_g, strict=True)]
        assert all(map(math.isfinite, want))
        size = 1.0 + max(map(abs, (*slopes_f, *slopes_g)))
        got = tg.grad(both)(point)
        assert all(abs(x - y) <= 1e-9 * size for x, y in zip(got, want, strict=True))

    @given(smooth(), smooth(), ordinary)
    def test_the_chain_rule_holds(self, f: Program, g: Program, x: float) -> None:
        """(f o g)'(x) is f'(g(x)) g'(x)."""

        def of(h: Program) -> Any:
            return lambda x: h([x] * h.width)

        outer, inner = of(f), of(g)
        middle, slope = tg.value_and_grad(inner)(x)
        assume(math.isfinite(middle))
        want = tg.grad(outer)(middle) * slope
        assume(math.isfinite(want))
        assert close([tg.grad(lambda x: outer(inner(x)))(x)], [want])

    @given(SMOOTH_AT_A_POINT)
    def test_it_agrees_with_finite_differences(self, case: tuple[Program, list[float]]) -> None:
        """Where central differences settle, they settle on the gradient."""
        program, point = case
        slopes = tg.grad(program)(point)
        for index, slope in enumerate(slopes):
            wide, narrow = (difference(program, point, index, h) for h in (2e-4, 1e-4))
            if abs(wide - narrow) <= 1e-6 * (1.0 + abs(narrow)):
                assert slope == pytest.approx(narrow, rel=1e-5, abs=1e-5)

    @given(SMOOTH_AT_A_POINT)
    def test_second_derivatives_are_symmetric(self, case: tuple[Program, list[float]]) -> None:
        """Differentiating in i and then j is differentiating in j and then i."""
        program, point = case

        def row(i: int) -> Any:
            return tg.grad(lambda xs: tg.grad(program)(xs)[i])(point)

        hessian = [row(i) for i in range(program.width)]
        transposed = [list(column) for column in zip(*hessian, strict=True)]
        flat = [abs(x) for row in hessian for x in row]
        assert all(map(math.isfinite, flat))
        for across, down in zip(hessian, transposed, strict=True):
            assert all(
                abs(x - y) <= 1e-9 * (1.0 + max(flat)) for x, y in zip(across, down, strict=True)
            )


def difference(program: Program, point: list[float], index: int, h: float) -> float:
    up, down = ([*point[:index], point[index] + s, *point[index + 1 :]] for s in (h, -h))
    return float(tg.record(program)(up).value - tg.record(program)(down).value) / (2.0 * h)


SCRIPT = """
import hashlib
from tapegrad import grad, math, record
def model(p):
    total = math.sum(p[name] * math.sin(p[other]) for name in p for other in p)
    return total / (1.0 + math.hypot(*p.values())) + math.logsumexp(p.values())
point = {chr(97 + i): 0.1 * i - 0.7 for i in range(17)}
print({name: slope.hex() for name, slope in grad(model)(point).items()})
tape = record(grad(model))(point)
print([x.hex() for x in tape.value.values()])
print(hashlib.sha256((str(tape) + tape.to_dot()).encode()).hexdigest())
"""


def test_the_same_program_gives_the_same_bits_in_every_process() -> None:
    """Gradients, tables and pictures do not depend on the seed of the process's hashes."""
    root = Path(__file__).parent.parent
    runs = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            capture_output=True,
            check=True,
            text=True,
        )
        for seed in ("0", "4242")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert runs[0].stdout.count("0x") >= 17
