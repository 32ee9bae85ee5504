"""Optimisers: torch's and optax's numbers step by step, pure, on any structure, differentiable."""

from __future__ import annotations

import copy
import json
import math
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import Real, Scalar
from tapegrad.errors import InputError
from tapegrad.learn import optim, tree
from tapegrad.learn.optim import Optimizer
from tests.optimiser_numbers import START, STEPS, slopes
from tests.places import place, refusal
from tests.strategies import containers
from tests.test_trees import leaves

NUMBERS: dict[str, Any] = json.loads(
    Path(__file__).with_name("optimiser_numbers.json").read_text(encoding="utf-8")
)
CASES = [(library, spelling) for library in ("torch", "optax") for spelling in NUMBERS[library]]

ALIKE = ": pass trees of one structure"
OTHER = ": pass a state that its own init began"


def made(spelling: str) -> Optimizer:
    """The optimiser that a case spells."""
    found = eval(spelling, vars(optim))  # noqa: S307  # our own spellings
    assert isinstance(found, Optimizer)
    return found


def trajectory(optimizer: Optimizer, start: Any, slopes_of: Any, steps: int) -> list[Any]:
    """The parameters after each step."""
    state, parameters = optimizer.init(start), start
    found: list[Any] = []
    for _ in range(steps):
        parameters, state = optimizer.update(slopes_of(parameters), state, parameters)
        found.append(parameters)
    return found


@attrs.frozen
class Line(Generic[Real]):
    name: str
    slope: Real
    rest: tuple[Real, ...]


class TestReference:
    @pytest.mark.parametrize(("library", "spelling"), CASES)
    def test_every_step_is_that_of_torch_and_optax(self, library: str, spelling: str) -> None:
        """The numbers after each of 25 steps, on numbers and on an array."""
        theirs = NUMBERS[library][spelling]
        ours = trajectory(made(spelling), START, slopes, STEPS)
        assert np.array(ours) == pytest.approx(np.array(theirs), rel=1e-12, abs=1e-13)
        arrays = trajectory(
            made(spelling), np.array(START), lambda x: np.array(slopes(x.tolist())), STEPS
        )
        assert np.array(arrays).tolist() == ours

    def test_the_file_says_what_it_was_made_with(self) -> None:
        """The versions of the libraries stand beside their numbers."""
        assert set(NUMBERS["versions"]) == {"torch", "jax", "optax"}

    def test_adam_in_closed_form(self) -> None:
        """Under a constant slope every step of Adam is the rate, but for eps."""
        steps = trajectory(optim.adam(0.1, eps=1e-300), [0.0], lambda _: [5.0], 10)
        assert [x for (x,) in steps] == pytest.approx([-0.1 * n for n in range(1, 11)], rel=1e-12)


class TestStructure:
    @pytest.mark.parametrize("spelling", [spelling for _, spelling in CASES])
    def test_the_bits_do_not_depend_on_the_containers(self, spelling: str) -> None:
        """Numbers one by one, in a long list with numpy, and in classes change alike."""
        optimizer = made(spelling)
        if optimizer.largest_norm is not None:
            optimizer = attrs.evolve(optimizer, largest_norm=1e9)
        few = trajectory(optimizer, START, slopes, 5)
        many = trajectory(optimizer, START * 10, lambda xs: slopes(xs[:3]) * 10, 5)
        assert many == [xs * 10 for xs in few]

        def slopes_of(line: Line[float]) -> Line[float]:
            a, b, c = slopes([line.slope, *line.rest])
            return Line("gradient", a, (b, c))

        lines = trajectory(optimizer, Line("l", START[0], (START[1], START[2])), slopes_of, 5)
        assert lines == [Line("l", a, (b, c)) for a, b, c in few]

    @settings(max_examples=30)
    @given(containers(), st.sampled_from(["sgd(0.1)", "adam(0.1)", "clipped(lion(0.1), norm=1.0)"]))
    def test_any_container(self, start: Any, spelling: str) -> None:
        """The numbers of a tree change as those of a list, and stay in their places."""
        optimizer, numbers = made(spelling), leaves(start)
        if not numbers:
            return
        trees = trajectory(optimizer, start, lambda tree: tree, 3)
        lists = trajectory(optimizer, numbers, lambda xs: xs, 3)
        assert [leaves(one) for one in trees] == lists
        assert tree.paths(trees[-1]) == tree.paths(start)

    def test_dicts_are_matched_by_key(self) -> None:
        """A gradient may have its keys in another order; parameters keep theirs."""
        optimizer = optim.adam(0.5)
        start = {"a": 1.0, "b": 2.0}
        p, state = optimizer.update({"b": -3.0, "a": 3.0}, optimizer.init(start), start)
        assert list(p) == ["a", "b"]
        assert (p["a"], p["b"]) == pytest.approx((0.5, 2.5))
        mean, square = state.moments
        assert mean == pytest.approx({"a": 0.3, "b": -0.3})
        assert square == pytest.approx({"a": 0.009, "b": 0.009})

    def test_numbers_and_arrays_in_one_tree(self) -> None:
        """They change as they would alone, and nothing that was given is written to."""
        w = np.arange(6.0).reshape(2, 3)
        start: dict[str, Any] = {"w": w, "b": 1.0, "none": np.zeros((0, 2))}
        optimizer = optim.clipped(optim.adam(0.1), norm=0.5, value=0.4)
        state, p = optimizer.init(start), start
        for _ in range(3):
            p, state = optimizer.update(p, state, p)
        flat = [*w.ravel().tolist(), 1.0]
        alone = trajectory(optimizer, flat, lambda xs: xs, 3)[-1]
        found = [*np.ravel(p["w"]).tolist(), p["b"]]
        assert found == pytest.approx(alone, rel=1e-15)
        assert w.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
        assert np.shape(p["none"]) == (0, 2)

    def test_an_update_is_pure(self) -> None:
        """The same state gives the same update, again after it was pickled or copied."""
        optimizer = optim.rmsprop(0.1, momentum=0.5)
        start = {"w": [float(n) for n in range(40)]}
        p, state = optimizer.update(start, optimizer.init(start), start)
        again = [pickle.loads(pickle.dumps(state)), copy.deepcopy(state), state]  # noqa: S301  # ours
        found = [optimizer.update(start, one, p) for one in again]
        assert [q for q, _ in found] == [found[0][0]] * 3
        assert [s.step for _, s in found] == [2, 2, 2]
        assert repr(state) == "<state after 1 updates>"

    def test_optimisers_are_values(self) -> None:
        """They compare and print by what they were made of, and are pickled."""
        one = optim.clipped(optim.adamw(optim.cosine(0.1, 20)), norm=1.0)
        assert one == pickle.loads(pickle.dumps(one))  # noqa: S301  # our own bytes
        assert one != optim.clipped(optim.adamw(optim.cosine(0.1, 21)), norm=1.0)
        assert "largest_norm=1.0" in repr(one)

    def test_numbers_beyond_the_double_range(self) -> None:
        """They become infinite or nan, without a warning or an error."""
        for start in ([1e300], [1e300] * 40):
            p, _ = optim.adam(0.1).update(start, optim.adam(0.1).init(start), start)
            assert p == start
        start = [1e200] * 40
        q, _ = optim.clipped(optim.sgd(1.0), norm=1.0).update(
            start, optim.sgd(1.0).init(start), [0.0] * 40
        )
        assert q == pytest.approx([-1.0 / math.sqrt(40.0)] * 40)


class TestDerivatives:
    @pytest.mark.parametrize("clip", [False, True])
    def test_the_slope_in_the_learning_rate(self, clip: bool) -> None:
        """Unrolled momentum descent is differentiated through, in its rate, as differences say."""

        def loss(p: Mapping[str, Scalar]) -> Scalar:
            return (p["a"] * p["b"] - 1.0) ** 2 + 0.1 * p["a"] ** 2

        def tuned(rate: Scalar) -> Scalar:
            optimizer = optim.sgd(rate, momentum=0.5, weight_decay=0.1)
            if clip:
                optimizer = optim.clipped(optimizer, norm=0.9, value=0.8)
            p: Mapping[str, Scalar] = {"a": 1.5, "b": 2.0}
            state = optimizer.init(p)
            for _ in range(4):
                p, state = optimizer.update(tg.grad(loss)(p), state, p)
            return loss(p)

        assert tg.check_grad(tuned, 0.05).ok

    def test_the_slope_in_the_start(self) -> None:
        """Adam is differentiated through in the parameters, numbers and arrays."""

        def f(p: Any) -> Any:
            optimizer = optim.adam(0.1)
            state = optimizer.init(p)
            for _ in range(3):
                p, state = optimizer.update(tree.map(lambda x: x * x * x, p), state, p)
            return tree.dot(p, p)

        assert tg.check_grad(f, {"w": np.array([0.5, -1.0]), "b": 2.0}).ok


class TestSchedules:
    def test_the_first_update_has_step_0(self) -> None:
        """A schedule is asked for the rate with the number of updates before."""
        asked: list[int] = []

        def schedule(step: int) -> float:
            asked.append(step)
            return 0.1 * step

        assert trajectory(optim.sgd(schedule), [0.0], lambda _: [1.0], 3) == [
            [0.0], [-0.1], [-0.1 - 0.2]
        ]  # fmt: skip
        assert asked == [0, 1, 2]

    def test_a_warmup_goes_over_into_its_schedule(self) -> None:
        """It rises to the schedule's first rate, and the schedule then begins."""
        then = optim.cosine(0.4, steps=10, end=0.1)
        rates = [optim.warmup(3, then)(step) for step in range(20)]
        assert rates[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
        assert rates[3:] == [then(step) for step in range(17)]
        assert optim.warmup(1, 0.5)(5) == 0.5

    def test_steps_far_away(self) -> None:
        """A rate stays a number however far the step is."""
        for schedule in (
            optim.linear(1.0, 0.5, 3),
            optim.cosine(1.0, 3),
            optim.exponential(1.0, 0.5),
            optim.piecewise({0: 1.0, 5: 0.0}),
            optim.constant(2.0),
        ):
            assert 0.0 <= schedule(10**9) <= 2.0


class TestRefusals:
    @pytest.mark.parametrize(
        ("call", "said"),
        [
            ("sgd(math.nan)", "rate is a float (nan) (HERE): pass a finite number above 0"),
            ("sgd(0.0)", "rate is a float (0.0) (HERE): pass a finite number above 0"),
            ("adam(-1)", "rate is an int (-1) (HERE): pass a finite number above 0"),
            ("lion(math.inf)", "rate is a float (inf) (HERE): pass a finite number above 0"),
            ("adam('1')", "rate is a str ('1') (HERE): pass a finite number above 0"),
            ("adam(eps=0.0)", "eps is a float (0.0) (HERE): pass a finite number above 0"),
            (
                "adamw(weight_decay=-0.1)",
                "weight_decay is a float (-0.1) (HERE): pass a finite number 0 or more",
            ),
            (
                "rmsprop(momentum=1.0)",
                "momentum is a float (1.0) (HERE): pass a number from 0 to below 1",
            ),
            ("lion(beta2=1)", "beta2 is an int (1) (HERE): pass a number from 0 to below 1"),
            ("adam(beta1=-0.1)", "beta1 is a float (-0.1) (HERE): pass a number from 0 to below 1"),
            (
                "sgd(0.1, nesterov=True)",
                "nesterov=True (HERE) needs a momentum: pass momentum=0.9, say",
            ),
            (
                "clipped(sgd(0.1))",
                "clipped (HERE) was given no limit: pass norm=1.0, say, or value=",
            ),
            (
                "clipped(sgd(0.1), norm=0.0)",
                "norm is a float (0.0) (HERE): pass a finite number above 0",
            ),
            ("cosine(0.1, 0)", "steps is 0 (HERE): pass 1 or more"),
            (
                "linear(0.1, -1.0, 5)",
                "end is a float (-1.0) (HERE): pass a finite number 0 or more",
            ),
            (
                "exponential(0.1, math.nan)",
                "factor is a float (nan) (HERE): pass a finite number above 0",
            ),
            ("piecewise({})", "piecewise (HERE) has no rate for step 0: pass one, {0: rate, ...}"),
            (
                "piecewise({0: 1.0, 3: math.nan})",
                "the rate from step 3 on is a float (nan) (HERE): pass a finite number 0 or more",
            ),
            ("warmup(2, 0.0)", "rate is a float (0.0) (HERE): pass a finite number above 0"),
            (
                "sgd(lambda step: math.nan).update([1.0], sgd(1.0).init([1.0]), [1.0])",
                "the rate at step 0 is a float (nan) (HERE): pass a finite number 0 or more",
            ),
            (
                "adam().init({})",
                "the parameters hold no number (HERE): put one there to be found",
            ),
            (
                "adam().update([1.0], sgd(0.1).init([1.0]), [1.0])",
                "the state (HERE) keeps 0 numbers for each parameter, and this optimiser 2" + OTHER,
            ),
            (
                "adam().update({'a': 1.0}, adam().init({'w': 1.0}), {'w': 1.0})",
                "the gradient has nothing at w (HERE), and the parameters of init a number" + ALIKE,
            ),
            (
                "adam().update([1.0], adam().init([1.0]), [1.0, 2.0])",
                "the tree of parameters has one of 2 at its root (HERE), and the parameters of "
                "init a list of 1" + ALIKE,
            ),
        ],
    )
    def test_bad_input(self, call: str, said: str) -> None:
        """One sentence: what is wrong, the value, where, and what to do."""

        def run() -> None:
            eval(call, {**vars(optim), "math": math})  # noqa: S307  # the calls above

        assert refusal(InputError, run) == said.replace("HERE", place(run, "eval"))


def test_without_numpy() -> None:
    """Numbers alone need none, and have the same bits as with it."""
    script = (
        "import sys; sys.modules['numpy'] = None\n"
        "from tapegrad.learn import optim, tree\n"
        "o = optim.clipped(optim.adamw(0.1), value=2.0)\n"
        "p = {'w': [float(n) for n in range(40)]}\n"
        "s = o.init(p)\n"
        "for _ in range(5): p, s = o.update(p, s, p)\n"
        "print(p, tree.size(p), tree.norm(p) > 0.0)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    start = {"w": [float(n) for n in range(40)]}
    found = trajectory(optim.clipped(optim.adamw(0.1), value=2.0), start, lambda p: p, 5)[-1]
    assert run.stdout == f"{found} 40 True\n"
