"""Laws of `check_grad`: what is right passes, what is wrong by 1e-7 does not, kinks are named."""

from __future__ import annotations

import itertools

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import Real, errors, math
from tapegrad.check.gradient import check_grad
from tapegrad.check.report import Finding, GradientCheck, Transposition
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tapegrad.transforms.primitive import primitive
from tests.mutants import (
    MUTATIONS,
    ROWS,
    Mutation,
    applied,
    broken,
    is_same,
    points,
    scaled,
    slopes,
    split,
)
from tests.places import place, refusal
from tests.strategies import Program, ordinary, smooth

HONEST = [row for row in ROWS if row.name not in {"detached", "sum_error", "power_of_2"}]
"""Rows whose partials are the derivatives of their values.

A rounding error has none, nor has a power of 2 that is defined at whole numbers alone.
"""


def by_name(row: Primitive) -> str:
    return row.name


class TestRows:
    @pytest.mark.parametrize("row", HONEST, ids=by_name)
    def test_a_right_rule_passes(self, row: Primitive) -> None:
        """At ordinary points every row is confirmed, to the first order and, once, the second."""
        for xs in points(row, 3):
            operands, static = split(row, xs)
            report = check_grad(applied(row, static), operands)
            assert not report.wrong
            assert not [f for f in report.undecided if not is_condition_of_where(row, f)], str(
                report
            )

    @pytest.mark.parametrize("row", HONEST, ids=by_name)
    @pytest.mark.parametrize("way", ["scaled by 1 + 1e-7", "sign", "swapped"])
    def test_a_wrong_rule_is_refused(self, row: Primitive, way: str) -> None:
        """A partial that is off by one part in 10^7 is seen, and the row is named."""
        mutation: Mutation = MUTATIONS.get(way, scaled(1.0 + 1e-7))
        for which in range(len(slopes(row))):
            mutant = broken(row, which, mutation)
            where = [xs for xs in points(row, 6) if not is_same(row, mutant, xs)][:1]
            for xs in where:
                operands, static = split(row, xs)
                wrong = check_grad(applied(mutant, static), operands).wrong
                assert wrong
                assert all(f"the partial of {row.name}" in finding.reason for finding in wrong)

    @pytest.mark.parametrize(
        "row", [row for row in HONEST if not row.helper and row.name != "where"], ids=by_name
    )
    def test_second_derivatives_of_a_row_pass(self, row: Primitive) -> None:
        """With order=2 the derivatives of the partials are confirmed as well."""
        operands, static = split(row, points(row, 1)[0])
        report = check_grad(applied(row, static), operands, order=2)
        assert not report.wrong, str(report)
        assert report.transpositions


def is_condition_of_where(row: Primitive, finding: Finding) -> bool:
    """The condition of a ``where`` jumps at 0.0, which is one of its two values."""
    return row.name == "where" and finding.path == "0" and finding.verdict == "kink"


@settings(max_examples=25)
@given(smooth(), st.data())
def test_no_smooth_program_is_called_wrong(program: Program, data: st.DataObject) -> None:
    """The estimated error is an honest one: the two derivatives are never apart by more."""
    point = data.draw(st.lists(ordinary, min_size=program.width, max_size=program.width))
    report = check_grad(program, point)
    assert not report.wrong, str(report)
    assert all(law.holds for law in report.transpositions)


def off(factor: float) -> Primitive:
    """A sine whose derivative is off by a factor."""
    return attrs.evolve(ops.sin, partials=(lambda y, x: ops.mul(ops.cos(x), factor),))


SINE = off(1.0 + 1e-7)


def wrong(p: dict[str, Real]) -> Real:
    angle = p["w"] * 2.0
    wave: Real = SINE(angle)  # type: ignore[assignment]  # rows are typed for partials
    return wave + p["b"] * p["b"]


def right(p: dict[str, Real]) -> Real:
    return p["w"] ** 2 * p["b"]


class TestReports:
    def test_a_report_is_a_table(self) -> None:
        """One line for each number: both derivatives, the estimated error, the verdict."""
        report = check_grad(right, {"w": 3.0, "b": 2.0}, order=2)
        lines = str(report).split("\n")
        assert lines[:2] == [
            "right: 6 right",
            "order  of  in  by the tape  by differences  error",
        ]
        assert [line.split()[:-2] for line in lines[2:]] == [
            ["w", "12", "12"], ["b", "9", "9"],
            ["2", "w", "w", "4", "4"], ["2", "w", "b", "6", "6"],
            ["2", "b", "w", "6", "6"], ["2", "b", "b", "0", "0"],
        ]  # fmt: skip
        assert report.ok
        assert report
        assert report.require() is report

    def test_what_is_wrong_is_named_with_both_numbers_and_the_line(self) -> None:
        """The line is that of the entry whose partial is wrong, not that of the result."""
        point = {"w": 0.25, "b": 3.0}
        report = check_grad(wrong, point)
        (finding,) = report.wrong
        line = place(wrong, "SINE(angle)")
        reason = f"the partial of sin is 0.877582649649, not 0.87758256189, {line}"
        assert (finding.path, finding.verdict, finding.reason) == ("w", "wrong", reason)
        assert str(finding.site) == line
        assert finding.tape == pytest.approx(finding.differences * (1.0 + 1e-7), rel=1e-11)
        assert not report.ok
        assert not report

        def call() -> object:
            return report.require()

        assert refusal(errors.CheckError, call) == (
            f"wrong: the derivative in w is 1.7551652993 by the tape and 1.75516512378 by "
            f"differences, with an error of {finding.error:.1g}: wrong ({reason}) "
            f"({place(call, 'require')}): mend the rule or the branch"
        )

    def test_a_long_report_shows_what_is_not_right(self) -> None:
        """Every input is checked, and a table of hundreds is not printed."""

        def f(xs: list[Real]) -> Real:
            return math.dot(xs, xs) + abs(xs[7])

        report = check_grad(f, [float(k != 7) for k in range(70)])
        assert len(report.findings) == 70
        assert str(report) == (
            "f: 69 right, 1 kink\nin  by the tape        why\n"
            f"7   0            kink  abs at 0, {place(f, 'abs')}"
        )

    def test_several_results_are_checked_one_by_one(self) -> None:
        """A finding says what it is the derivative of."""

        def polar(p: tuple[Real, Real]) -> dict[str, Real]:
            return {"x": p[0] * math.cos(p[1]), "y": p[0] * math.sin(p[1])}

        report = check_grad(polar, (2.0, 0.5), order=2).require()
        assert [(f.of, f.path) for f in report.findings[:4]] == [
            ("x", "0"), ("x", "1"), ("y", "0"), ("y", "1"),
        ]  # fmt: skip
        assert [f.of for f in report.findings[4:8]] == ["x, 0", "x, 0", "x, 1", "x, 1"]
        assert len(report.findings) == 12

    def test_data_is_handed_over(self) -> None:
        """Arguments after the first are data, by position or by name."""

        def f(x: Real, k: float, power: int) -> Real:
            return k * x**power

        assert check_grad(f, 2.0, 3.0, power=3).findings[0].tape == 36.0

    def test_modes_that_differ_are_wrong(self) -> None:
        """Whatever differences say, one derivative has one value."""
        turns = itertools.cycle((1.0, 2.0))
        fickle = attrs.evolve(ops.abs, partials=(lambda y, x: next(turns),))
        (finding,) = check_grad(applied(fickle, ()), [3.0]).wrong
        assert finding.reason == "reverse gives 2.0 and forward gives 1.0"

    def test_a_broken_transpose_law_is_told(self) -> None:
        """It is in the table, and what is required fails."""
        report = GradientCheck("f", (), (Transposition(1, 2.0, 3.0, 1e-9),))

        def call() -> object:
            return report.require()

        assert not report.ok
        assert str(report) == "f: nothing to check\nw . (J v) is 2.0 forward and 3.0 in reverse"
        assert refusal(errors.CheckError, call) == (
            f"f: w . (J v) is 2.0 forward and 3.0 in reverse ({place(call, 'require')}): "
            "the sweeps of a rule differ"
        )

    def test_one_mode_may_be_checked(self) -> None:
        """``modes`` says which derivatives are looked at."""
        assert check_grad(right, {"w": 3.0, "b": 2.0}, modes=("forward",)).ok
        assert not check_grad(right, {"w": 3.0, "b": 2.0}, modes=("forward",)).transpositions


def ramp(x: Real) -> Real:
    return math.relu(x) + x


def larger(p: tuple[Real, Real]) -> Real:
    doubled = 2.0 * p[0]
    return math.maximum(doubled, p[1])


def branch(x: Real) -> Real:
    if x > 1.0:
        return x * x
    return 3.0 * x


def chosen(x: Real) -> Real:
    return tg.where(x < 0.0, 1.0 - x, 1.0 + x)


def stairs(x: Real) -> Real:
    return math.floor(x) + x


def root(x: Real) -> Real:
    return math.sqrt(x)


def length(p: tuple[Real, Real]) -> Real:
    return math.hypot(p[0], p[1])


@primitive(partials=lambda y, x: 0.0 if x == 0.0 else y / x, at=[1.0])
def bend(x: float) -> float:
    return abs(x)


def bent(x: Real) -> Real:
    return 2.0 * bend(x)


class TestKinks:
    @pytest.mark.parametrize(
        ("f", "x", "text"),
        [
            (ramp, 0.0, f"relu at 0, {place(ramp, 'relu')}"),
            (larger, (1.0, 2.0), f"tie in maximum, {place(larger, 'maximum')}"),
            (larger, (1.0, 2.0 + 1e-9), f"maximum changes sides here, {place(larger, 'maximum')}"),
            (branch, 1.0, f"branch at {place(branch, 'if x')} changes here"),
            (branch, 1.0 + 1e-8, f"branch at {place(branch, 'if x')} changes here"),
            (chosen, 0.0, f"condition at {place(chosen, 'where')} changes here"),
            (stairs, 2.0, f"floor jumps at 2, {place(stairs, 'floor')}"),
            (root, 0.0, f"sqrt at 0, {place(root, 'sqrt')}"),
            (length, (0.0, 0.0), f"hypot at 0, {place(length, 'hypot')}"),
            (bent, 0.0, f"bend has a kink here, {place(bent, 'bend')}"),
        ],
    )  # fmt: skip
    def test_a_kink_is_named_with_its_line(self, f: object, x: object, text: str) -> None:
        """Where the slope differs on the two sides there is no number to compare with."""
        report = check_grad(f, x)  # type: ignore[call-overload]  # models of several types
        assert {(finding.verdict, finding.reason) for finding in report.findings} == {
            ("kink", text)
        }
        assert not report.ok
        assert not report.wrong

    def test_requiring_a_kink_says_to_go_beside_it(self) -> None:
        """A point at which nothing can be said is no confirmation."""

        def call() -> object:
            return check_grad(ramp, 0.0).require()

        assert refusal(errors.CheckError, call) == (
            "ramp: the derivative in x is 1 by the tape and nan by differences, with an error of "
            f"inf: kink (relu at 0, {place(ramp, 'relu')}) ({place(call, 'require')}): "
            "check beside it"
        )

    def test_beside_a_kink_derivatives_are_confirmed(self) -> None:
        """Differences keep to the side on which the point is."""
        for distance in (0.1, 1e-2, 1e-3, 1e-4):
            for f, x in ((ramp, distance), (ramp, -distance), (branch, 1.0 + distance)):
                assert check_grad(f, x).ok

    def test_a_change_that_does_not_show_is_no_kink(self) -> None:
        """A function that is smooth there is judged by its values, whatever it is made of."""

        def smooth_at_0(x: Real) -> Real:
            return x**2 + abs(x) ** 2 + tg.where(x == 0.0, 1.0, math.sin(x) / x)

        def itself(x: Real) -> Real:
            return math.maximum(x, x)

        assert check_grad(smooth_at_0, 0.0).ok
        assert check_grad(itself, 0.5).ok

    def test_a_branch_that_hides_a_derivative_is_wrong(self) -> None:
        """A special case with the right value and the wrong slope is seen."""

        def special(x: Real) -> Real:
            return tg.where(x == 0.0, 0.0, math.expm1(x))

        (finding,) = check_grad(special, 0.0).wrong
        assert (finding.tape, round(finding.differences, 6)) == (0.0, 1.0)
        assert finding.reason == f"condition at {place(special, 'where')} changes here"

    def test_stop_gradient_is_named(self) -> None:
        """What is cut on purpose differs from the derivative all the same, and it says so."""

        def cut(x: Real) -> Real:
            return tg.stop_gradient(x) * x

        def cut_twice(x: Real) -> Real:
            once = tg.stop_gradient(2.0 * x)
            return tg.stop_gradient(once * 3.0) + x

        for f, line in ((cut, "(x) * x"), (cut_twice, "* 3.0")):
            (finding,) = check_grad(f, 2.0).wrong
            assert finding.reason == f"stop_gradient lets no derivative pass, {place(f, line)}"


class TestWhatCannotBeDecided:
    def test_a_derivative_below_the_error_is_not_decided(self) -> None:
        """Differences that cannot tell a number from zero confirm nothing."""

        def faint(x: Real) -> Real:
            return 1e-20 * x + 1.0

        report = check_grad(faint, 2.0)
        (finding,) = report.undecided
        assert finding.reason == (
            f"below the error of differences, most of it from {place(faint, '1e-20')}"
        )
        assert not report.ok
        assert not report.wrong

    def test_rounding_that_hides_a_derivative_is_put_down_to_its_line(self) -> None:
        """The line is that of the entry whose rounding is felt most."""

        def cancelled(x: Real) -> Real:
            shifted = x + 1e9
            return shifted - 1e9

        (finding,) = check_grad(cancelled, 0.7).undecided
        assert finding.reason == f"hidden by rounding, most of it from {finding.site}"
        assert str(finding.site) == place(cancelled, "+ 1e9")

    def test_outside_the_domain_nothing_is_decided(self) -> None:
        """The entry that is not a number first is named."""

        def f(x: Real) -> Real:
            return math.log(x) * 2.0

        (finding,) = check_grad(f, -1.0).undecided
        assert finding.reason == f"log gives nan, {place(f, 'log')}"

    def test_zero_is_confirmed(self) -> None:
        """An input that the result does not depend on has the derivative 0, and that is right."""

        def first(p: tuple[Real, Real]) -> Real:
            return p[0] * 2.0 + math.floor(p[1])

        assert check_grad(first, (1.0, 2.5)).ok
        assert check_grad(math.cos, 0.0).ok


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"order": 3}, "order=3 ({}) is unknown: use 1 or 2"),
        (
            {"modes": ("backward",)},
            "modes=('backward',) ({}) is unknown: use ('reverse', 'forward') or one of them",
        ),
    ],
)
def test_an_unknown_option_is_refused(options: dict[str, object], text: str) -> None:
    """The message says what there is."""

    def call() -> object:
        return check_grad(math.sin, 1.0, **options)  # type: ignore[call-overload]  # wrong on purpose

    assert refusal(errors.InputError, call) == text.format(place(call, "check_grad"))


def test_a_traced_number_is_refused() -> None:
    """A check inside a recording would compare traced numbers."""

    def inner(x: Real) -> Real:
        check_grad(math.sin, x)
        return x

    assert refusal(errors.InputError, lambda: tg.grad(inner)(1.0)) == (
        f"check_grad ({place(inner, 'check_grad')}) is given traced numbers: call it with plain "
        "ones, outside the recorded function"
    )
