"""Loops by ``scan``: one entry, with the numbers of the loop written out."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
import weakref
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors, math
from tests.places import place, refusal


def written_out(step: Any, carry: Any, xs: Any, length: int = 0) -> tuple[Any, list[Any]]:
    """The loop that ``scan`` stands for."""
    ys = []
    for x in [None] * length if xs is None else xs:
        carry, y = step(carry, x)
        ys.append(y)
    return carry, ys


Loop = Callable[..., Any]
XS = [0.1 * index - 0.4 for index in range(12)]


def of_numbers(p: Any, loop: Loop) -> Any:
    """A recurrence that reads its parameter from around it."""
    last, ys = loop(lambda c, x: (c * p[0] + math.sin(x * p[1]), c * c), p[1], XS)
    return last * ys[3] + ys[-1]


def of_containers(p: Any, loop: Loop) -> Any:
    """A carry and an x of several numbers, some of which are parameters."""

    def step(carry: Any, x: Any) -> Any:
        position, speed = carry["position"], carry["speed"]
        speed = speed - math.sin(position) * x[0] * p[0]
        return {"position": position + speed * 0.1, "speed": speed}, {"energy": speed * speed}

    xs = [(x, p[1]) for x in XS]
    last, ys = loop(step, {"position": p[0], "speed": 0.0}, xs)
    return last["position"] * last["speed"] + ys[5]["energy"]


def of_branches(p: Any, loop: Loop) -> Any:
    """Steps that take several ways, in an order that numbers decide."""

    def step(c: Any, x: Any) -> Any:
        if c > 0.5:
            c = c * p[0] - x
        elif x > 0.0:
            c = c + p[1] * p[1]
        else:
            c = c + 0.3
        return c, None

    return loop(step, p[0], XS)[0]


def of_arrays(p: Any, loop: Loop) -> Any:
    """A carry that is an array, a matrix from around, and an x that is a row."""
    matrix = np.array([[0.9, 0.1], [-0.2, 0.8]]) * p[0]
    rows = np.array(XS).reshape(6, 2)
    last, ys = loop(
        lambda c, row: (np.tanh(matrix @ c + row), np.sum(c) * p[1]), np.ones(2) * p[1], rows
    )
    return np.sum(last) + ys[0] * ys[4]


def of_parameters(p: Any, loop: Loop) -> Any:
    """An x that is a parameter, and steps that are counted."""
    last, _ = loop(lambda c, x: (c * x + p[0], None), 1.0, [p[0], p[1], p[0] * p[1]])
    return last * loop(lambda c, _: (math.cos(c) * p[1], None), last, None, 5)[0]


def in_each_other(p: Any, loop: Loop) -> Any:
    """A loop in a loop, and a derivative in each step."""

    def step(c: Any, x: Any) -> Any:
        inner, ys = loop(lambda d, y: (d * p[0] + y * x, d), c, [0.3, p[1]])
        slope = tg.grad(lambda z: z * z * math.sin(z * p[1]))(inner)
        return slope * 0.2, ys[1]

    last, ys = loop(step, p[1], XS[:5])
    return last + ys[4]


PROGRAMS = (of_numbers, of_containers, of_branches, of_arrays, of_parameters, in_each_other)
POINTS = ([0.7, 0.4], [-0.6, 1.1], [1.3, -0.2])


def near(found: Any, right: Any) -> bool:
    """Whether numbers are equal but for what sums in another order lose."""
    return bool(np.allclose(found, right, rtol=1e-12, atol=1e-13))


def sent(tape: Any) -> Any:
    """A tape that went to another process."""
    return pickle.loads(pickle.dumps(tape))  # noqa: S301  # our own bytes


def dense(blocks: Any) -> list[list[float]]:
    return [list(row.values()) for row in blocks.values()]


@pytest.mark.parametrize(
    "point", [POINTS[0], *(pytest.param(point, marks=pytest.mark.slow) for point in POINTS[1:])]
)
@pytest.mark.parametrize("f", PROGRAMS)
class TestDerivatives:
    def test_the_value_has_the_bits_of_the_loop_written_out(self, f: Any, point: Any) -> None:
        """On plain numbers, recorded, and compiled."""
        right = f(point, written_out)
        assert f(point, tg.scan) == right
        assert tg.record(f)(point, tg.scan).value == right
        assert tg.jit(f, eager_first=False)(point, tg.scan) == right

    def test_first_and_second_derivatives_are_those_of_the_loop(self, f: Any, point: Any) -> None:
        """In each mode, by sums in another order perhaps."""
        gradient = tg.grad(f)(point, written_out)
        assert near(tg.grad(f)(point, tg.scan), gradient)
        assert near(tg.jvp(f, point, [1.0, 0.5], tg.scan)[1], gradient[0] + 0.5 * gradient[1])
        assert near(tg.vjp(f, point, tg.scan)[1](2.0), [2.0 * x for x in gradient])
        hessian = dense(tg.hessian(f)(point, written_out))
        assert near(dense(tg.hessian(f)(point, tg.scan)), hessian)
        assert near(tg.hvp(f, point, [0.0, 1.0], tg.scan), hessian[1])
        assert near(
            tg.grad(lambda q: tg.grad(f)(q, tg.scan)[0])(point),
            tg.grad(lambda q: tg.grad(f)(q, written_out)[0])(point),
        )

    def test_every_road_has_the_bits_of_the_eager_gradient(self, f: Any, point: Any) -> None:
        """Recorded, replayed, compiled, for rows, simplified and sent."""
        right = tg.value_and_grad(f)(point, tg.scan)
        tape = tg.record(tg.value_and_grad(f))([0.5, 0.6], tg.scan)
        for recorded in (tape, sent(tape), tape.simplify().tape):
            try:
                assert recorded.replay(point, tg.scan).value == right
            except errors.GuardError:
                assert recorded.loops or recorded.columns.guards()
        assert tg.jit(tg.value_and_grad(f), eager_first=False)(point, tg.scan) == right
        rows: Any = tg.vmap(tg.value_and_grad(f), in_axes=(0, None))([*POINTS], tg.scan)
        assert near(rows.value[POINTS.index(point)], right.value)


class TestTape:
    def test_a_loop_is_one_entry_however_many_steps_it_has(self) -> None:
        """The tape of many steps is as long as that of few."""

        def f(x: Any, length: int) -> Any:
            return tg.scan(lambda c, _: (math.sin(c) * x, None), x, None, length)[0]

        assert len({len(tg.record(f, static_argnames="length")(0.5, n)) for n in (3, 5_000)}) == 1
        assert len(tg.record(f, static_argnames="length")(0.5, 30).expanded()) == 61

    def test_it_prints_and_draws_one_step(self) -> None:
        """Its inputs are the carry and x, and what is held stands as a constant."""

        def f(x: Any) -> Any:
            return tg.scan(lambda c, y: (c * x + y, None), 1.0, [1.0, 2.0, 3.0])[0]

        tape = tg.record(f)(0.5)
        assert "scan" in str(tape)
        assert "3 steps of <lambda>" in str(tape)
        assert "one of the 3 steps of %4" in str(tape)
        (step,) = tape.steps
        assert step.paths == ("carry", "x")
        assert len(step) == 5
        assert "<svg" in step.draw().svg
        assert tape.gradient() == tg.grad(f)(0.5) == 3.75

    def test_a_report_names_the_loops(self) -> None:
        """How many steps, how long one is, and its lines."""

        def f(x: Any) -> Any:
            return tg.scan(lambda c, y: (math.sin(c) * x + y, None), x, [1.0] * 7)[0]

        text = str(tg.jit(f, eager_first=False).compile(0.5).report())
        assert f"loops: 7 x 3 entries at {place(f, 'return')}" in text

    def test_the_same_program_recorded_twice_gives_equal_tapes(self) -> None:
        """Steps of several ways are the same if they are the same code on the same variables."""

        def recorded(factor: float) -> Any:
            def f(p: Any) -> Any:
                xs = [0.5, 2.0, 0.1]
                return tg.scan(lambda c, x: (c * p if c > x else c + factor, None), p, xs)[0]

            return tg.record(tg.grad(f))(0.7)

        assert recorded(3.0) == recorded(3.0)
        assert recorded(3.0) != recorded(4.0)

    def test_two_equal_loops_are_shared_and_others_are_not(self) -> None:
        """Where one may stand for the other, simplifying a gradient keeps one."""

        def f(p: Any) -> Any:
            def loop(factor: float) -> Any:
                return tg.scan(lambda c, x: (c * p + x * factor, None), p, XS)[0]

            return loop(1.0) * loop(1.0) + loop(2.0)

        gradient = tg.record(tg.grad(f))(0.5)
        simple = gradient.simplify().tape
        assert len(simple.loops) < len(gradient.loops)
        assert simple.value == gradient.value
        assert simple.replay(0.3).value == tg.grad(f)(0.3)

    def test_the_same_step_is_compiled_once(self) -> None:
        """A function that records its loop at every call finds the code of the first."""

        def f(x: Any, y: float) -> Any:
            return tg.scan(lambda c, _: (c * x + y, None), 0.1, None, 20)[0]

        made = [tg.record(f)(x, 2.0 * x).steps for x in (0.5, 0.7)]
        codes = [tg.record(f)(x, 1.0).loops for x in (0.5, 0.7)]
        first, second = (next(iter(loops.values())) for loops in codes)
        assert first.step.paths[0].made is second.step.paths[0].made
        assert made[0] != made[1]


def test_nothing_is_left_of_a_loop_once_its_gradient_is_there() -> None:
    """No reference leads back to it, with the collector of cycles off, too."""
    alive: list[Any] = []

    class Held:
        """What the step reads."""

        factor = 0.5

    def f(p: Any) -> Any:
        held = Held()
        alive.append(weakref.ref(held))
        return tg.scan(lambda c, x: (c * p + x * held.factor, None), p, XS)[0]

    gc.collect()
    gc.disable()
    try:
        for call in (tg.grad(f), tg.hessian(f), lambda p: tg.record(f)(p).gradient()):
            call(0.5)
        assert {ref() for ref in alive} == {None}
    finally:
        gc.enable()


class TestNewPaths:
    @staticmethod
    def f(p: Any, xs: Any) -> Any:
        return tg.scan(lambda c, x: (c * p - x if x > 0.5 else c + p, None), 0.3, xs)[0]

    LOW, HIGH = [0.1, 0.2, 0.3], [0.1, 0.9, 0.2]

    def test_a_replay_records_a_way_that_no_step_took(self) -> None:
        """The step is there, and what it read around it is given by the replay."""
        tape = tg.record(self.f)(0.7, self.LOW)
        right = tg.value_and_grad(self.f)(0.4, self.HIGH)
        assert tape.replay(0.4, self.HIGH).value == right.value
        assert tape.replay(0.4, self.HIGH).gradient() == right.grad

    def test_a_tape_that_travelled_says_that_it_cannot(self) -> None:
        """Its step stayed behind; the ways that were taken are there."""
        tape = sent(tg.record(self.f)(0.7, self.LOW))
        assert tape.replay(0.4, self.LOW).value == self.f(0.4, self.LOW)
        with pytest.raises(errors.GuardError, match="its function did not travel: record again"):
            tape.replay(0.4, self.HIGH)

    def test_compiled_code_calls_the_function_where_it_cannot(self) -> None:
        """A step that computes with numbers around it alone cannot be recorded later."""

        def f(p: Any, xs: Any) -> Any:
            def step(c: Any, x: Any) -> Any:
                return (c * math.exp(p[0]) - x if x > 0.5 else c + math.sin(p[0])), None

            return tg.scan(step, 0.3, xs)[0]

        fast = tg.jit(tg.value_and_grad(f), eager_first=False)
        for xs in (self.LOW, self.HIGH, self.LOW, self.HIGH):
            assert fast([0.7], xs) == tg.value_and_grad(f)([0.7], xs)
        tape = tg.record(f)([0.7], self.LOW)
        with pytest.raises(errors.GuardError, match="after its recording"):
            tape.replay([0.7], self.HIGH)

    def test_a_step_is_held_as_it_is_in_the_call(self) -> None:
        """A variable of the function around it that changes later is another one."""

        def f(x: Any, xs: Any) -> Any:
            factor = x
            found = tg.scan(lambda c, y: (c * factor if y > 0.5 else c + factor, None), 1.0, xs)
            factor = x * 100.0
            return found[0] + factor

        tape = tg.record(f)(0.7, self.LOW)
        assert tape.replay(0.7, self.HIGH).value == f(0.7, self.HIGH)


@pytest.mark.parametrize("f", [of_numbers, of_containers, of_arrays])
class TestMemory:
    @staticmethod
    def limited(memory: float) -> Loop:
        return lambda step, carry, xs: tg.scan(step, carry, xs, memory=memory)

    def least(self, f: Any) -> float:
        """The bytes that a refusal asks for."""
        message = refusal(errors.InputError, lambda: tg.grad(f)(POINTS[0], self.limited(1.0)))
        return float(message.rpartition("give it ")[2].split()[0].replace(",", ""))

    def test_a_limit_keeps_less_and_changes_no_number(self, f: Any) -> None:
        """The steps are cut into pieces that are run again."""
        point, right = POINTS[0], tg.value_and_grad(f)(POINTS[0], tg.scan)
        whole = tg.record(f)(point, tg.scan)
        assert len(tg.record(f)(point, self.limited(1e9))) == len(whole)
        for memory in (self.least(f), 2.0 * self.least(f)):
            found = tg.value_and_grad(f)(point, self.limited(memory))
            assert near(found.value, right.value)
            assert near(found.grad, right.grad)

    def test_second_derivatives_pass_through_pieces(self, f: Any) -> None:
        """Loops of loops are differentiated as loops are."""
        least = self.least(f)
        found = tg.hessian(f)(POINTS[0], self.limited(least))
        assert near(dense(found), dense(tg.hessian(f)(POINTS[0], tg.scan)))
        gradient = tg.jit(tg.grad(f), eager_first=False)(POINTS[0], self.limited(least))
        assert near(gradient, tg.grad(f)(POINTS[0], tg.scan))


def test_no_more_is_kept_than_the_limit_says() -> None:
    """The longest array on the tape of the gradient has its length from the limit."""

    def f(x: Any, memory: float) -> Any:
        return tg.scan(lambda c, _: (math.sin(c) * x, None), x, None, 3_000, memory=memory)[0]

    for memory in (4_000.0, 9_000.0, 90_000.0):
        tape = tg.record(tg.grad(f), static_argnames="memory")(0.9, memory)
        sizes = [np.size(value) for value in tape.values]
        assert 8 * max(sizes) <= memory
        assert near(tape.value, tg.grad(f)(0.9, 1e9))


def test_steps_that_are_counted_take_two_words_each() -> None:
    """One for the x and one for the y of each step, which are None."""
    count = 30_000
    tracemalloc.start()
    try:
        tg.scan(lambda c, _: (c, None), 0.5, None, count)
        assert tracemalloc.get_traced_memory()[1] < 8 * 3 * count
    finally:
        tracemalloc.stop()


class TestArguments:
    def test_what_is_given_is_what_a_step_gets(self) -> None:
        """Lists, tuples, ranges, iterators, vectors and matrices, whose items are passed on."""
        got: list[Any] = []

        def step(c: Any, x: Any) -> Any:
            got.append(x)
            return c, x

        for xs in ([1.0, 2.0], (1.0, 2.0), range(1, 3), iter([1, 2]), np.array([1.0, 2.0])):
            got.clear()
            assert tg.scan(step, 0.0, xs) == (0.0, [1.0, 2.0])
            assert [type(x) for x in got] != [np.float64, np.float64]
        rows = tg.scan(lambda c, row: (c + row.sum(), None), 0.0, np.ones((3, 2)))
        assert rows == (6.0, [None] * 3)

    def test_no_steps_give_the_carry(self) -> None:
        """With traced numbers, too."""
        assert tg.scan(lambda c, x: (c, x), 1.0, []) == (1.0, [])
        assert tg.grad(lambda t: tg.scan(lambda c, x: (c * t, x), t, [])[0])(0.5) == 1.0

    def test_classes_are_containers(self) -> None:
        """As everywhere."""

        @attrs.frozen
        class State:
            x: tg.Real  # type: ignore[valid-type]  # bound by no class here
            name: str

        def f(t: Any) -> Any:
            def step(state: Any, _: None) -> Any:
                return State(state.x * t, state.name), None

            return tg.scan(step, State(1.0, "a"), None, 3)[0].x

        assert tg.grad(f)(2.0) == 12.0

    def test_ints_are_numbers_that_guards_ask_for(self) -> None:
        """A table may be read by an x that is a whole number."""
        table = [3.0, 5.0, 7.0]

        def f(t: Any) -> Any:
            return tg.scan(lambda c, i: (c * t + table[int(i)], None), 0.0, range(3))[0]

        assert tg.grad(f)(0.5) == 2.0 * 3.0 * 0.5 + 5.0

    def test_an_error_of_a_step_is_passed_on_and_names_the_step(self) -> None:
        """On plain numbers, in the first recording, and where a new path is recorded."""

        def step(c: Any, x: Any) -> Any:
            if x > 2.5:
                raise ValueError("no")
            return c * x, None

        for call in (
            lambda: tg.scan(step, 1.0, [1.0, 2.0, 3.0]),
            lambda: tg.grad(lambda t: tg.scan(step, t, [1.0, 2.0, 3.0])[0])(0.5),
        ):
            with pytest.raises(ValueError, match="no") as caught:
                call()
            assert caught.value.__notes__ == ["raised in step 2 of scan"]
