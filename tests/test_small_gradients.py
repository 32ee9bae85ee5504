"""What a gradient costs beside its operations."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import tapegrad as tg


def of_float(x: Any) -> Any:
    return (x * x + x) * x


def of_dict(p: Any) -> Any:
    return (p["a"] * p["b"] + p["b"]) * p["a"]


def of_list(p: Any) -> Any:
    return (p[0] * p[1] + p[2]) * p[0]


def chain(x: Any) -> Any:
    y = x
    for _ in range(500):
        y = y * x + x
    return y


def calls_of_python(f: Callable[[], object]) -> int:
    """How many functions written in Python a call runs, itself included."""
    seen = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal seen
        seen += event == "call"

    sys.setprofile(count)
    try:
        f()
    finally:
        sys.setprofile(None)
    return seen


def seconds(f: Callable[[], object], calls: int) -> float:
    """The least CPU time of a call."""
    times = []
    for _ in range(9):
        started = time.process_time()
        for _ in range(calls):
            f()
        times.append(time.process_time() - started)
    return min(times) / calls


@pytest.mark.parametrize(
    ("f", "x", "most"),
    [
        (of_float, 2.0, 30),
        (of_dict, {"a": 2.0, "b": 3.0}, 42),
        (of_list, [2.0, 3.0, 4.0], 38),
        (of_list, (2.0, 3.0, 4.0), 38),
    ],
    ids=["float", "dict", "list", "tuple"],
)
def test_three_operations_need_few_calls(f: Callable[[Any], Any], x: object, most: int) -> None:
    """Nothing is asked twice, nor for the sake of what a plain call does not use."""
    slope: Any = tg.grad(f)
    slope(x)
    assert calls_of_python(lambda: slope(x)) <= most


@pytest.mark.slow
@pytest.mark.timed
def test_three_operations_take_as_long_as_twenty_in_a_long_program() -> None:
    """At most: what a gradient costs beside its operations is that of a dozen and some of them."""
    small, long = tg.grad(of_float), tg.grad(chain)
    operation = seconds(lambda: long(0.5), 10) / 1000
    assert seconds(lambda: small(2.0), 2000) <= 20.0 * operation
