"""What ``scan`` may be given: it is the loop written out, or it is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors, math

MATRIX = np.arange(24.0).reshape(6, 4) / 10.0


def written_out(step: Any, carry: Any, xs: Any) -> tuple[Any, list[Any]]:
    """The loop that ``scan`` stands for."""
    ys = []
    for x in xs:
        carry, y = step(carry, x)
        ys.append(y)
    return carry, ys


def of_vector(t: Any, loop: Any) -> Any:
    """A step that reads numbers of a traced vector around it."""
    v = t * np.ones(3)
    return loop(lambda c, x: (c * v[1] + x, v[0] * c), t, [0.5, 0.7])[0]


TAKEN: dict[str, Callable[[Any, Any], Any]] = {
    "parts of a row": lambda t, loop: loop(lambda c, x: (c * t + x[0] * x[3], c), t, MATRIX[::-2])[
        0
    ],
    "parts of a traced row": lambda t, loop: loop(
        lambda c, x: (c * x[0] + x[1], None), t, MATRIX[:, :2] * t
    )[0],
    "parts of a matrix around it": lambda t, loop: loop(
        lambda c, x: (c * MATRIX[1, 2] + x * t, None), t, [0.5, 0.7]
    )[0],
    "parts of a traced vector around it": of_vector,
    "carries and y of no numbers": lambda t, loop: loop(
        lambda c, x: ((c[0] * t, c[1] * x), c[0]), (np.zeros(0) * t, t), [0.5, 0.7]
    )[0][1],
    "no carry": lambda t, loop: math.fsum(loop(lambda c, x: (c, x * t), None, [0.5, t])[1]),
    "an empty carry": lambda t, loop: math.fsum(loop(lambda c, x: (c, x * t), (), [0.5, t])[1]),
    "a vector of traced numbers": lambda t, loop: loop(
        lambda c, x: (c * x, None), t, np.array([t, 2.0, t * t])
    )[0],
    "rows of traced numbers": lambda t, loop: loop(
        lambda c, x: (c * x[0] + x[1], None), t, np.array([[t, 2.0], [t * t, 1.0]])
    )[0],
    "a carry of traced numbers": lambda t, loop: loop(
        lambda c, x: (c * t + x, None), np.array([t, 1.0]), [0.5, 0.7]
    )[0][1],
    "columns": lambda t, loop: loop(
        lambda c, x: (c * x[0] + x[1], None), t, list(zip([1.0, t], (2.0, 3.0), strict=True))
    )[0],
}


@pytest.mark.parametrize("name", TAKEN)
def test_the_loop_and_its_derivatives_are_those_of_the_loop_written_out(name: str) -> None:
    """Whatever numbers, arrays and containers it goes over."""
    f = TAKEN[name]
    assert f(0.7, tg.scan) == f(0.7, written_out)
    assert tg.record(f)(0.7, tg.scan).value == f(0.7, written_out)
    slope = tg.grad(f)(0.7, written_out)
    for found in (
        tg.grad(f)(0.7, tg.scan),
        tg.jvp(f, 0.7, 1.0, tg.scan)[1],
        tg.record(f)(0.4, tg.scan).replay(0.7, tg.scan).gradient(),
        tg.jit(tg.grad(f), eager_first=False)(0.7, tg.scan),
    ):
        assert found == pytest.approx(slope, rel=1e-12)
    curvature = tg.hvp(f, 0.7, 1.0, written_out)
    assert tg.hvp(f, 0.7, 1.0, tg.scan) == pytest.approx(curvature, rel=1e-12, abs=1e-15)


def with_a_list(t: Any) -> Any:
    """A step that returns no tuple."""
    return lambda c, x: [c * t, x]


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no function": (
        lambda t: tg.scan(t, t, [1.0]),
        (
            "scan ({}) was given a Var (<Var %0 = 0.5>), not a function: pass the function f "
            "itself, not its value f(x)"
        ),
    ),
    "no length": (
        lambda t: tg.scan(lambda c, x: (c, x), t, None),  # type: ignore[call-overload]  # tested
        "scan ({}) was given xs=None and length=None: give the number of steps",
    ),
    "two lengths": (
        lambda t: tg.scan(lambda c, x: (c, x), t, [1.0], 2),
        "scan ({}) was given 1 xs and length=2: give one of them",
    ),
    "no pair": (
        lambda t: tg.scan(with_a_list(t), t, [1.0]),
        (
            "<lambda> ({}) returned a list as a step of scan: return the pair (carry, y), where y "
            "may be None"
        ),
    ),
    "another carry": (
        lambda t: tg.scan(lambda c, x: ((c, t), None), t, [1.0]),
        (
            "<lambda> ({}) returned a tuple as the carry of scan, and it began as a number: "
            "return the same structure in each step"
        ),
    ),
    "another shape": (
        lambda t: tg.scan(lambda c, x: (c + np.ones(2), None), t, [1.0]),
        (
            "<lambda> ({}) returned an array of shape (2,) as the carry of scan, and it began as a "
            "number: return the same structure in each step"
        ),
    ),
    "texts": (
        lambda t: tg.scan(lambda c, x: (c * t, None), t, ["a"]),
        (
            "xs:0 is a str ('a'), not a number or a container of numbers: pass a float there, or "
            "read it from around the step ({})"
        ),
    ),
    "ragged": (
        lambda t: tg.scan(lambda c, x: (c * t, None), t, [1.0, (1.0, 2.0)]),
        (
            "xs:1 is a tuple, where the first of xs has a number ({}): give each step the same "
            "structure"
        ),
    ),
    "little memory": (
        lambda t: tg.scan(lambda c, x: (c * t, None), t, None, 1_000, memory=100),
        "scan ({}) was given memory=100 for 1,000 steps: give it 1,016 bytes",
    ),
    "None before numbers": (
        lambda t: tg.scan(lambda c, x: (c * t, x), t, [None, 1.0]),
        "xs:1 is a number, where the first of xs has None ({}): give each step the same structure",
    ),
    "another count": (
        lambda t: tg.scan(lambda c, x: (c * x[0], None), t, [(1.0, (2.0,)), (1.0, (2.0, 3.0))]),
        (
            "xs:1 at 1 is a tuple of 2, where the first of xs has a tuple of 1 ({}): give each "
            "step the same structure"
        ),
    ),
    "other keys": (
        lambda t: tg.scan(lambda c, _: ({"b": c["a"], "a": t}, None), {"a": t, "b": t}, None, 2),
        (
            "<lambda> ({}) returned a dict with the keys 'b', 'a' as the carry of scan, and it "
            "began as a dict with the keys 'a', 'b': return the same structure in each step"
        ),
    ),
    "a longer carry": (
        lambda t: tg.scan(lambda c, _: ([c[0], [*c[1], t]], None), [t, [t]], None, 2),
        (
            "<lambda> ({}) returned a list of 2 as the carry at 1 of scan, and it began as a list "
            "of 1: return the same structure in each step"
        ),
    ),
    "another y": (
        lambda t: tg.scan(lambda c, _: (c * 0.5, c if c > 0.3 else (c,)), t, None, 3),
        (
            "<lambda> ({}) returned a tuple as the y of scan, and other steps have a number: "
            "return the same structure in each step"
        ),
    ),
    "a flag in the carry": (
        lambda t: tg.scan(lambda c, _: (c, None), (t, True), None, 2)[0],
        (
            "carry at 1 is a bool (True), not a number or a container of numbers: pass a float "
            "there, or read it from around the step ({})"
        ),
    ),
    "truth values": (
        lambda t: tg.scan(lambda c, x: (c * x, None), t, np.array([True, False])),
        ("xs is an array of truth values: pass its astype(float) ({})"),
    ),
    "complex numbers": (
        lambda t: tg.scan(lambda c, x: (c * x, None), t, np.array([1j, 2.0])),
        "xs is an array of complex numbers: pass its real and imag as two arrays ({})",
    ),
    "an int too large": (
        lambda t: tg.scan(lambda c, x: (c * x, None), t, [1, 10**400]),
        "xs:1 is an int of 1329 bits, too large for a float: pass a float ({})",
    ),
    "a number as xs": (
        lambda t: tg.scan(lambda c, x: (c * x, None), t, t),
        (
            "scan ({}) was given a Var (<Var %0 = 0.5>) as xs: give an x for each step, or None "
            "and the length"
        ),
    ),
    "a length that is not whole": (
        lambda t: tg.scan(lambda c, x: (c * t, x), t, None, 3.0),  # type: ignore[call-overload]  # tested
        "the length of scan is a float (3.0) ({}): pass a whole number, 0 or more",
    ),
    "a negative length": (
        lambda t: tg.scan(lambda c, x: (c * t, x), t, None, -1),
        "the length of scan is -1 ({}): pass 0 or more",
    ),
    "an endless iterator": (
        lambda t: tg.scan(lambda c, x: (c * t, x), t, count(), 3),
        "scan ({}) was given more than 3 xs and length=3: give one of them",
    ),
    "memory that is no number": (
        lambda t: tg.scan(lambda c, x: (c * t, x), t, None, 3, memory=float("nan")),
        "memory is a float (nan) ({}): pass a finite number 0 or more",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_what_differs_and_where(name: str) -> None:
    """In one sentence, with the line of the call or of the step."""
    f, says = REFUSED[name]
    with pytest.raises((errors.InputError, errors.OutputError)) as caught:
        tg.grad(lambda t: f(t)[0])(0.5)
    before, after = says.split("{}")
    assert str(caught.value).startswith(before + "test_scan_arguments.py:")
    assert str(caught.value).endswith(after)
