"""The steps of ``scan`` have the same bits whatever code runs them, and however many at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors, math
from tapegrad import numpy as tnp
from tapegrad.compile.backends.interface import StepShape
from tapegrad.compile.backends.llvm import machine_code
from tapegrad.compile.paths import path_of
from tapegrad.compile.scan import run
from tapegrad.compile.scan import step as scan_step
from tapegrad.compile.scan.loop import Loop

XS = [0.37 * index % 1.9 - 0.7 for index in range(12)]


def of_one_number(p: Any, count: int) -> Any:
    """A carry and y, with constants of many digits, and what is the same in each step."""
    last, ys = tg.scan(lambda c, x: (c * 0.7351 + x * math.exp(p) - 12.25, c * c), p, XS[:count])
    return last * 1e-3 + ys[-1]


def of_two_columns(p: Any, count: int) -> Any:
    """An x that is a parameter beside one that is data, and no y."""
    xs = [(p * x, x) for x in XS[:count]]
    return tg.scan(lambda c, x: ((c[1] * p + x[0], c[0] - x[1]), None), (p, 0.3), xs)[0][0]


def without_x(p: Any, count: int) -> Any:
    """Steps that are counted."""
    return tg.scan(lambda c, _: (math.sin(c) * p + c, None), p, None, count)[0]


def without_carry(p: Any, count: int) -> Any:
    """Steps that do not depend on each other."""
    return math.fsum(tg.scan(lambda c, x: (c, math.cosh(x * p)), None, XS[:count])[1])


def of_nothing(p: Any, count: int) -> Any:
    """Steps that take and give no number, and could read one."""
    ys = tg.scan(lambda c, _: (c, () if p is not None else (p,)), (), None, count)[1]
    return p * p + len(ys)


def of_two_ways(p: Any, count: int) -> Any:
    """Steps that take one way or another, with a choice that needs no way of its own."""

    def either(c: Any, x: Any) -> Any:
        c = c * p - x if c > x else c + 0.9375 * p
        return c, tg.where(x > 0.1, c, c * p)

    last, ys = tg.scan(either, p, XS[:count])
    return last + ys[-1]


def of_called_rows(p: Any, count: int) -> Any:
    """Rows that Python computes, the same in all steps or not, and a part that is rarely needed."""

    def step(c: Any, x: Any) -> Any:
        return math.lgamma(1.5 + c * 0.1) + 2.0 * math.lgamma(p) * math.norm_cdf(p * x * 12.0), None

    return tg.scan(step, p, XS[:count])[0]


def of_ignored_numbers(p: Any, count: int) -> Any:
    """A y that is a constant and one that is the x, and a carry that stays."""
    last, ys = tg.scan(lambda c, x: ((c[0], c[1] + p), (3.0, x * 1.0)), (p, p), XS[:count])
    return last[1] * last[0] + ys[-1][0] + ys[-1][1]


def of_small_arrays(p: Any, count: int) -> Any:
    """A state and an x that are arrays, taken apart and put together, with parts that stay."""

    def step(c: Any, x: Any) -> Any:
        a, b, _ = c["v"]
        turned = tnp.stack([b * p, a - x[1], np.sqrt(1.0 + np.abs(x[0]))])
        w = np.where(c["w"] > 0.2, c["w"] / (1.5 + c["w"][::-1]), -c["w"].T)
        return {"v": turned + 0.25 * c["v"], "w": w}, np.concatenate([turned[1:], w[0]])

    start = {"v": p * np.array([0.5, -0.25, 1.0]), "w": p * np.array([[0.3, -0.1], [0.0, 0.7]])}
    last, ys = tg.scan(step, start, np.array(XS[:count] + XS[-count:]).reshape(count, 2))
    return np.sum(last["v"]) * ys[-1][0] + last["w"][1, 0] * ys[0][3]


PROGRAMS = (
    of_one_number, of_two_columns, without_x, without_carry, of_nothing, of_two_ways,
    of_called_rows, of_ignored_numbers, of_small_arrays,
)  # fmt: skip
COUNTS = (1, 8, 9)

Program = Callable[[Any, int], Any]


def answers(f: Program, count: int) -> str:
    """Each bit of a value, its slope, a derivative along it, and its curvature."""
    value, slope = tg.value_and_grad(f)(0.6, count)
    tangent = tg.jvp(f, 0.6, 1.0, count)[1]
    curvature = tg.grad(lambda q: tg.grad(f)(q, count))(0.6)
    return repr([value, slope, tangent, curvature])


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets whether steps run as machine code from the first one on, and how many at a time."""
    monkeypatch.setattr(scan_step, "_EACH", 0)

    def choose(*, natively: bool, at_once: int = 1 << 22, missed: int = 2) -> None:
        monkeypatch.setattr(scan_step, "_STARTING", 0 if natively else 1 << 60)
        monkeypatch.setattr(scan_step, "_MISSED", missed)
        monkeypatch.setattr(run, "_AT_ONCE", at_once)

    return choose


@pytest.mark.parametrize("f", PROGRAMS)
def test_all_code_has_the_bits_of_single_steps(f: Program, code: Callable[..., None]) -> None:
    """Python's code, and machine code of a few steps at a time, in each direction."""
    code(natively=False)
    right = [answers(f, count) for count in COUNTS]
    code(natively=True, at_once=4 * 16)
    assert [answers(f, count) for count in COUNTS] == right


def test_arrays_that_keep_their_bits_number_by_number_are_numbers(
    code: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps on small ones need no numpy; what numpy adds up in its own order stays with it."""
    code(natively=False)
    right = answers(of_small_arrays, 9)
    code(natively=True)

    def refused(*given: object) -> None:
        raise AssertionError

    monkeypatch.setattr(run, "_on_arrays", refused)
    assert answers(of_small_arrays, 9) == right
    with pytest.raises(AssertionError):
        tg.grad(lambda p: np.sum(tg.scan(lambda c, _: (c * np.sum(c), None), p, None, 3)[0]))(
            np.ones(4)
        )


def test_a_step_on_arrays_takes_three_vectors_and_gives_two() -> None:
    """However many numbers and arrays its carry, x, y and what is held are made of."""

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        state, total, other = carry
        state = tnp.tanh(state * np.array([0.3, -1.2]) + x[0])
        return (state, total + np.sum(state) * 0.7, other @ other), (x[1] * total, state[0])

    start = np.array([1.0, -0.5]), 2.0, np.eye(2) * 0.9
    xs = [(np.full(2, 0.1 * index), 0.3 * index) for index in range(3)]
    tape = tg.record(lambda p: np.sum(tg.scan(step, p, xs)[0][0]))(start)
    (loop,) = [one for one in tape.statics if isinstance(one, Loop)]
    sizes, (path,) = loop.step.sizes, loop.step.paths
    carry, held, x = (np.arange(1.0, 1.0 + width) / 8.0 for width in (*sizes.widths[:1], 0, 3))
    run_step: Any = path.code(sizes, natively=True).run
    last, y = run_step([carry, held, x])
    found, ys = step((carry[:2], carry[2], carry[3:].reshape(2, 2)), (x[:2], x[2]))
    assert last.tobytes() == np.concatenate([found[0], [found[1]], found[2].ravel()]).tobytes()
    assert y.tolist() == [*ys]


@pytest.mark.parametrize("missed", [1, 1 << 30])
def test_steps_that_go_another_way_are_run_by_themselves(
    missed: int, code: Callable[..., None]
) -> None:
    """Whether code for both ways is made soon or never, and which way is the first."""

    def f(p: Any, start: float) -> Any:
        def either(c: Any, x: Any) -> Any:
            return (c * p - x, c) if c > x + 0.5 else (c + 0.9 * p, x)

        last, ys = tg.scan(either, start, XS)
        return last * ys[-1]

    found = []
    for natively in (False, True):
        code(natively=natively, missed=missed)
        found.append([tg.value_and_grad(f)(0.6, start) for start in (0.2, 2.0)])
    assert repr(found[0]) == repr(found[1])


def test_a_step_that_is_run_by_itself_reads_its_own_x(
    code: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two arrays, where one step in three goes another way than the code of the loop."""
    code(natively=True, missed=1 << 30)
    count, read, rows = 90, list[int](), run._Run.rows

    def counted(given: Any, numbers: range) -> Any:
        read.append(len(numbers))
        return rows(given, numbers)

    def f(p: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            part, sign = x
            return c * (0.5 if sign > 0.0 else 0.75) + part * p, None

        xs = [(np.full(2, 0.1 * i), 1.0 if i % 3 else -1.0) for i in range(count)]
        return np.sum(tg.scan(step, p, xs)[0])

    right = tg.grad(f)(np.ones(2))
    monkeypatch.setattr(run._Run, "rows", counted)
    assert tg.grad(f)(np.ones(2)).tobytes() == right.tobytes()
    assert len(read) >= count // 3
    assert {*read} == {1}


def test_loops_that_differ_in_constants_have_one_code(code: Callable[..., None]) -> None:
    """A number that a step reads as it is costs no other compilation."""
    code(natively=True)
    before = machine_code._shared.cache_info()

    def f(p: Any, factor: float) -> Any:
        return tg.scan(lambda c, x: (c * factor + p * x, None), p, XS)[0]

    for factor in (12.5, 13.71, -99.0):
        expected = 0.7
        for x in XS:
            expected = expected * factor + 0.7 * x
        assert tg.value_and_grad(f)(0.7, factor).value == expected
    after = machine_code._shared.cache_info()
    assert after.misses - before.misses <= 2 < after.hits - before.hits


def test_an_error_of_a_rule_passes_through_the_loop(code: Callable[..., None]) -> None:
    """It is raised as it is, with the line of the rule."""

    @tg.primitive(partials=(lambda y, x: 2.0 * x,), at=[(0.5,)])
    def square(x: float) -> float:
        if x > 2.5:
            raise ArithmeticError("too large to square")
        return x * x

    def f(p: Any, count: int) -> Any:
        return tg.scan(lambda c, _: (c + square(p), None), p, None, count)[0]

    code(natively=True)
    fast = tg.jit(f, eager_first=False)
    assert fast(1.0, 30) == 31.0
    with pytest.raises(ArithmeticError, match="too large to square"):
        fast(3.0, 30)
    assert fast(1.0, 30) == 31.0


@pytest.fixture(scope="module", name="entered")
def _entered() -> Callable[..., int]:
    """Code for steps from c to c + h x, whose carries are kept."""
    tape = tg.record(lambda p: p[0] + p[1] * p[2])([1.0, 2.0, 3.0])
    shape = StepShape(carry=1, held=1, xs=(1,), y=0, keeps=True)
    return machine_code.steps([path_of(tape).program], shape)


class TestEntry:
    """The code is entered with the arrays alone that it was made for."""

    def test_it_runs_steps_of_either_order(self, entered: Callable[..., int]) -> None:
        """The rows of other steps stay as they are."""
        xs, held = np.array([[1.0], [2.0], [4.0], [8.0]]), np.array([10.0]).tobytes()
        found = np.array([0.5, 0.0, 0.0, 0.0, 0.0])
        assert entered(range(3, 0, -1), 4, found, held, [xs]) == 3
        assert found.tolist() == [140.5, 0.0, 120.5, 80.5, 0.5]

    @pytest.mark.parametrize(
        "change",
        [
            {"numbers": range(1, 5)},
            {"numbers": range(2, 2)},
            {"numbers": range(-1, 3)},
            {"count": 3},
            {"found": np.zeros(4)},
            {"found": np.zeros(10)[::2]},
            {"found": np.zeros(5, np.float32)},
            {"held": b""},
            {"xs": []},
            {"xs": [np.zeros((4, 2))]},
            {"xs": [np.zeros((8, 1))[::2]]},
        ],
        ids=str,
    )
    def test_it_refuses_other_arrays(
        self, entered: Callable[..., int], change: dict[str, Any]
    ) -> None:
        """Machine code would read and write beside them."""
        given = {
            "numbers": range(4), "count": 4, "found": np.zeros(5), "held": bytes(8),
            "xs": [np.zeros((4, 1))],
        } | change  # fmt: skip
        with pytest.raises(errors.BackendError, match="numbers was to run"):
            entered(*given.values())
