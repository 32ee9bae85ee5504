"""What differences say of a derivative: wrong where it is, and nothing where they cannot tell."""

from __future__ import annotations

import math as library
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import Real, errors, math
from tapegrad.check.gradient import check_grad
from tapegrad.transforms.finite_differences import finite_difference
from tapegrad.transforms.primitive import primitive

Function: TypeAlias = Callable[[float], float]

SCALES = (1e-200, 1e-50, 1e-5, 1.0, 1e3, 1e5, 1e7, 1e9, 1e50, 1e200)
WRONG: dict[str, Callable[[float], float]] = {
    "factor": lambda slope: 2.0 * slope,
    "sign": lambda slope: -slope,
    "a little": lambda slope: 1.001 * slope,
    "nothing": lambda slope: 0.0,
    "a term is missing": lambda slope: slope - 0.3 * abs(slope),
}


def sigmoid(z: float) -> float:
    return 1.0 / (1.0 + library.exp(-z)) if z > -700.0 else library.exp(z)


def softplus(z: float) -> float:
    return library.log1p(library.exp(-abs(z))) + max(z, 0.0)


def of_scale(k: float) -> Iterator[tuple[str, Function, Function, list[float]]]:
    """Functions that change over 1 / k: a name, the function, its derivative, points."""
    near = [1.0, 1.0 + 0.3 / k, 1.0 + 5.0 / k]
    yield "sin", lambda x: library.sin(k * x), lambda x: k * library.cos(k * x), [0.7 / k, 40.0 / k]
    yield "line", lambda x: k * x, lambda x: k, [1e-3, 1.0, 1e3]
    yield "exp", lambda x: library.exp(k * x), lambda x: k * library.exp(k * x), [1.0 / k, -9.0 / k]
    yield "gauss", lambda x: library.exp(-((k * x) ** 2)), gauss_slope(k), [0.1 / k, 1.5 / k]
    if 1e3 <= k <= 1e9:
        yield "wave", lambda x: library.sin(k * x), lambda x: k * library.cos(k * x), [1.0]
        yield "step", lambda x: sigmoid(k * (x - 1.0)), step_slope(k), near
        yield "ramp", lambda x: softplus(k * (x - 1.0)) / k, lambda x: sigmoid(k * (x - 1.0)), near
    if k >= 1e9:
        yield "step", lambda x: sigmoid(k * (x - 1.0)), step_slope(k), [1.0]


def gauss_slope(k: float) -> Function:
    return lambda x: -2.0 * (k * x) * k * library.exp(-((k * x) ** 2))


def step_slope(k: float, at: float = 1.0) -> Function:
    return lambda x: k * sigmoid(k * (x - at)) * sigmoid(-k * (x - at))


def awkward() -> Iterator[tuple[str, Function, Function, list[float]]]:
    """Values that underflow, overflow, cancel or bend beside the point."""
    tiny = [1e-200, -1e-200, 1e-170, 1e-160, 1e-155, 1e-100, 1e-8, 1.0, 1e100]
    yield "square", lambda x: x * x, lambda x: 2.0 * x, tiny
    yield "cube", lambda x: x * x * x, lambda x: 3.0 * x * x, [abs(x) for x in tiny if x < 1e100]
    yield "inverse", lambda x: 1.0 / x, lambda x: -1.0 / x / x, [1e-200, 1e-155, 1e-100, 1e-8, 1e9]
    yield "root", library.sqrt, lambda x: 0.5 / library.sqrt(x), [1e-200, 1e-8, 1.0, 1e200]
    yield "log", library.log, lambda x: 1.0 / x, [1e-200, 1e-8, 2.0, 1e200]
    yield "unix", wave_of_a_minute, minute_slope, [1.7e9, 1.7e9 + 7.3]
    yield "erf", library.erf, erf_slope, [0.0, 0.3, 3.0, 8.0, 30.0]
    yield "abs", lambda x: abs(x - 1.0), lambda x: library.copysign(1.0, x - 1.0), [
        1.0 + 1e-12, 1.0 + 1e-9, 1.0 + 1e-5, 2.0, -3.0
    ]  # fmt: skip
    yield "cancelled", lambda x: (x + 1e9) - 1e9, lambda x: 1.0, [0.7, 3.0]
    yield "grid", lambda x: (x + 1e12) - 1e12, lambda x: 1.0, [0.7, 3.0]
    yield "ratio", lambda x: (1.0 - library.cos(x)) / x / x, lambda x: -x / 12.0, [1e-6, 1e-4]


def wave_of_a_minute(t: float) -> float:
    return library.sin(2.0 * library.pi * t / 60.0)


def minute_slope(t: float) -> float:
    return 2.0 * library.pi / 60.0 * library.cos(2.0 * library.pi * t / 60.0)


def erf_slope(x: float) -> float:
    return 2.0 / library.sqrt(library.pi) * library.exp(-x * x)


CASES = [
    (f"{name} {k:g}", f, slope, x)
    for k in SCALES
    for name, f, slope, points in of_scale(k)
    for x in points
] + [(name, f, slope, x) for name, f, slope, points in awkward() for x in points]


def by_definition(f: Function, slope: Function, x: float) -> str:
    """What ``primitive`` says of a partial at a point."""
    try:
        (check,) = primitive(partials=lambda y, x: slope(x), at=[x])(f).checked
    except errors.PrimitiveError:
        return "wrong"
    return check.outcome


def by_check(f: Function, slope: Function, x: float) -> str:
    """What ``check_grad`` says of it."""
    rule: Any = primitive(partials=lambda y, x: slope(x), at=[])(f)
    return check_grad(rule, x).findings[0].verdict


@pytest.mark.parametrize("judge", [by_definition, by_check])
def test_no_right_derivative_is_called_wrong(judge: Callable[..., str]) -> None:
    """Of whatever scale the function is, and whatever its values lose."""
    verdicts = {(name, x): judge(f, slope, x) for name, f, slope, x in CASES}
    assert [case for case, verdict in verdicts.items() if verdict == "wrong"] == []
    decided = [case for case, verdict in verdicts.items() if verdict in {"right", "agrees"}]
    assert len(decided) >= 0.75 * len(verdicts)


@pytest.mark.parametrize("way", WRONG)
def test_a_wrong_derivative_is_wrong_where_the_right_one_is_confirmed(way: str) -> None:
    """A point that decides for the right derivative decides against all others."""
    for name, f, slope, x in CASES:
        mutant = WRONG[way](slope(x))
        if by_definition(f, slope, x) == "agrees" and mutant != slope(x):
            assert by_definition(f, lambda x: mutant, x) == "wrong", (name, x)  # noqa: B023  # called now


@settings(max_examples=40)
@given(
    st.floats(-8.0, 8.0), st.floats(-3.0, 3.0), st.sampled_from(["sin", "step", "ramp"]),
    st.sampled_from(sorted(WRONG)),
)  # fmt: skip
def test_any_scale_at_any_point(power: float, at: float, kind: str, way: str) -> None:
    """The right slope of a function of any scale is never wrong, and a wrong one never right."""
    k = 10.0**power
    functions: dict[str, tuple[Function, Function]] = {
        "sin": (lambda x: library.sin(k * (x - at)), lambda x: k * library.cos(k * (x - at))),
        "step": (lambda x: sigmoid(k * (x - at)), step_slope(k, at)),
        "ramp": (lambda x: softplus(k * (x - at)) / k, lambda x: sigmoid(k * (x - at))),
    }
    f, slope = functions[kind]
    x = at + 0.8 / k
    assert by_definition(f, slope, x) != "wrong"
    assert by_check(f, slope, x) != "wrong"
    mutant = WRONG[way](slope(x))
    assert by_definition(f, lambda x: mutant, x) != "agrees"
    assert by_check(f, lambda x: mutant, x) != "right"


class TestTracedModels:
    def test_scales(self) -> None:
        """Periods and widths far below the point's size are resolved."""
        models: list[tuple[Callable[[Any], Any], float]] = [
            (lambda e: math.sigmoid(-(e - 1.0) / 2.6e-6), 1.0),
            (lambda x: math.softplus(1e5 * (x - 1.0)) / 1e5, 1.000002),
            (lambda x: math.sin(1e5 * x), 1.0),
            (lambda x: math.sin(1e200 * x), 0.0),
            (lambda x: math.erf(1e7 * (x - 3.0)), 3.0),
        ]
        for f, x in models:
            assert check_grad(f, x).ok

    def test_what_rounding_or_underflow_hides_is_not_decided(self) -> None:
        """Neither right nor wrong, and not ok."""
        models: list[tuple[Callable[[Any], Any], float]] = [
            (lambda x: x * x, 1e-200),
            (lambda x: (x * x) * 1e200, 1e-165),
            (lambda x: (x + 1e12) - 1e12, 0.7),
            (lambda t: math.sin(2.0 * math.pi * t / 60.0), 1.7e9),
        ]
        for f, x in models:
            report = check_grad(f, x)
            assert [finding.verdict for finding in report.findings] == ["not decided"]
            assert report.undecided == report.findings
            assert not report.ok
            assert ": 1 not decided\n" in str(report)

    def test_steps_that_disagree_are_told(self) -> None:
        """A trend that long steps see, and a slope that short ones see: both are derivatives."""

        @primitive(partials=lambda y, x: 1.0, at=[])
        def rippled(x: float) -> float:
            return x + 1e-9 * library.sin(1e11 * x)

        def f(x: Real) -> Real:
            return rippled(x)

        (finding,) = check_grad(f, 1.0).findings
        assert finding.verdict == "not decided"
        assert finding.reason.startswith("steps of several lengths find several slopes")


def test_the_estimate_and_its_error_are_honest() -> None:
    """The error of what is found is no smaller than it is, whatever is expected."""
    for k in (1.0, 1e4, 1e8):
        for expected in (None, k * library.cos(k), 0.0, -1.0):
            found = finite_difference(lambda x: library.sin(k * x), 1.0, expected)  # noqa: B023  # called now
            assert abs(found.value - k * library.cos(k)) <= 10.0 * found.error


def test_a_rule_that_cannot_be_decided_is_accepted_and_says_so() -> None:
    """``checked`` has the outcome."""
    rule = primitive(partials=lambda y, x: 2.0 * x, at=[1e-200, 1.0])(lambda x: x * x)
    assert [check.outcome for check in rule.checked] == ["not decided", "agrees"]
    assert tg.grad(rule)(3.0) == 6.0


@pytest.mark.parametrize("x", [1e-200, 1e-300, -1e-300])
def test_a_slope_beyond_the_double_range_is_no_kink(x: float) -> None:
    """Its line is named; at the end of a domain there is a kink still."""

    def reciprocal(x: Real) -> Real:
        return 1.0 / x

    (found,) = check_grad(reciprocal, x).findings
    assert found.verdict == "not decided"
    assert found.reason.startswith("the slope of div is not finite, test_undecided.py:")
    (found,) = check_grad(math.sqrt, 0.0).findings
    assert found.verdict == "kink"
