"""Laws of patterns, colourings, and the derivatives that are recovered with them."""

from __future__ import annotations

import itertools
import math as plain
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import errors, math
from tapegrad.sweep.coloring import distance_one, star
from tapegrad.sweep.sparse_matrix import Coordinates
from tapegrad.transforms import sparse
from tapegrad.transforms.jacobian import hessian, jacobian
from tapegrad.transforms.primitive import primitive
from tapegrad.transforms.products import HessianProduct
from tapegrad.transforms.sparse import sparse_hessian, sparse_jacobian
from tests.places import refusal
from tests.strategies import Program, bits, ordinary, programs, smooth

Number: TypeAlias = Any
Place: TypeAlias = tuple[int, int]


@attrs.frozen
class Windows:
    """Programs, each of which sees a few of the inputs from some place on."""

    width: int
    parts: tuple[tuple[Program, int], ...]

    def __call__(self, xs: Sequence[Number]) -> list[Number]:
        return [part(xs[start : start + part.width]) for part, start in self.parts]

    def total(self, xs: Sequence[Number]) -> Number:
        return math.sum(self(xs))


@st.composite
def windows(draw: st.DrawFn, kind: st.SearchStrategy[Program]) -> tuple[Windows, list[float]]:
    width = draw(st.integers(3, 7))
    parts = draw(st.lists(st.tuples(kind, st.integers(0, 6)), min_size=1, max_size=6))
    placed = tuple((part, min(start, width - part.width)) for part, start in parts)
    return Windows(width, placed), draw(st.lists(ordinary, min_size=width, max_size=width))


def dense(of: dict[str, dict[str, float]]) -> list[list[float]]:
    return [list(line.values()) for line in of.values()]


def entries(found: Coordinates) -> dict[Place, float]:
    """The entries by place, each of which is there once and in order."""
    places = list(zip(found.rows, found.columns, strict=True))
    assert places == sorted(set(places))
    return dict(zip(places, found.values, strict=True))


class TestJacobians:
    @settings(max_examples=60)
    @given(windows(programs(4)))
    def test_what_is_not_in_the_pattern_is_zero(self, case: tuple[Windows, list[float]]) -> None:
        """The dense Jacobian has 0.0 outside the pattern, and its own bits are recovered inside."""
        f, point = case
        found = entries(sparse_jacobian(f)(point))
        modes = [dense(jacobian(f, mode=mode)(point)) for mode in ("forward", "reverse")]
        for row, column in itertools.product(range(len(f.parts)), range(f.width)):
            wanted = {bits(matrix[row][column]) for matrix in modes}
            assert bits(found.get((row, column), 0.0)) in wanted

    @given(windows(programs(4)))
    def test_the_pattern_of_a_tape_is_the_one_of_its_transform(
        self, case: tuple[Windows, list[float]]
    ) -> None:
        """`tape.jacobian_sparsity()` lists the places of `sparse_jacobian`."""
        f, point = case
        pattern = tg.record(f)(point).jacobian_sparsity()
        found = sparse_jacobian(f)(point)
        assert (pattern.rows, pattern.columns) == (found.rows, found.columns)
        assert pattern.shape == found.shape == (len(f.parts), f.width)
        assert len(pattern) == len(found.values)

    def test_a_pattern_holds_for_every_replay(self) -> None:
        """Both arms of a `where` are in it, and neither its condition nor a step is."""

        def f(xs: Sequence[Number]) -> Number:
            return tg.where(xs[0] > 0.0, xs[1], xs[2]) + math.floor(xs[3])

        pattern = tg.record(f)([1.0, 2.0, 3.0, 4.0]).jacobian_sparsity()
        assert (pattern.rows, pattern.columns, pattern.shape) == ((0, 0), (1, 2), (1, 4))
        assert pattern.by_column() == [[], [0], [0], []]
        assert sparse_jacobian(f)([1.0, 2.0, 3.0, 4.0]).values == (1.0, 0.0)

    def test_data_is_no_column(self) -> None:
        """Columns are the numbers of the first argument, in the order of its paths."""

        def f(p: dict[str, Number], data: Sequence[Number]) -> list[Number]:
            return [p["b"] * data[0], data[1], p["a"], p["a"]]

        found = sparse_jacobian(f)({"a": 2.0, "b": 3.0}, [5.0, 7.0])
        assert found == Coordinates((0, 2, 3), (1, 0, 0), (5.0, 1.0, 1.0), (4, 2))

    def test_nothing_in_or_out(self) -> None:
        """An empty argument and an empty result have an empty matrix."""
        assert sparse_jacobian(list)([]) == Coordinates((), (), (), (0, 0))
        assert sparse_jacobian(lambda xs: [1.0])([2.0]) == Coordinates((), (), (), (1, 1))

    def test_it_is_recorded(self) -> None:
        """The gradient of a sum of a Jacobian's entries is the sum of second derivatives."""

        def f(xs: Sequence[Number]) -> list[Number]:
            return [x * y**2 for x, y in itertools.pairwise(xs)]

        def total(xs: Sequence[Number]) -> Number:
            return math.sum(sparse_jacobian(f)(xs).values)

        assert tg.grad(total)([2.0, 3.0, 5.0]) == [6.0, 20.0, 16.0]


def banded(xs: Sequence[Number]) -> list[Number]:
    """Five inputs in each number."""
    n = len(xs)
    return [
        math.sin(xs[max(i - 2, 0)]) * xs[max(i - 1, 0)]
        + xs[i] * xs[min(i + 1, n - 1)] * math.exp(xs[min(i + 2, n - 1)])
        for i in range(n)
    ]


def energy(xs: Sequence[Number]) -> Number:
    return math.sum(x**2 * y + math.sin(y) for x, y in itertools.pairwise(xs))


class TestCost:
    @pytest.fixture
    def sweeps(self, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
        """How often the tape is swept, by direction."""
        count: Counter[str] = Counter()
        for owner, name in ((sparse, "push"), (sparse, "pull"), (HessianProduct, "along")):
            original = getattr(owner, name)

            def counted(*args: Any, name: str = name, original: Any = original) -> Any:
                count[name] += 1
                return original(*args)

            monkeypatch.setattr(owner, name, counted)
        return count

    def test_a_band_takes_as_many_sweeps_as_it_is_wide(self, sweeps: Counter[str]) -> None:
        """A Jacobian of 10^4 rows with five entries each takes five sweeps."""
        point = [0.1 + 0.1 * (i % 7) for i in range(10_000)]
        found = sparse_jacobian(banded)(point)
        assert sweeps == {"push": 5}
        assert len(found.values) == 49_994
        for row in (0, 1, 5_000, 9_999):
            want = tg.grad(lambda xs, row=row: banded(xs)[row])(point)
            got = {c: v for (r, c), v in entries(found).items() if r == row}
            assert got == pytest.approx({c: want[c] for c in got}, rel=1e-14)

    def test_the_direction_with_fewer_colours_is_taken(self, sweeps: Counter[str]) -> None:
        """A full row costs a sweep a column forward, and none more in reverse."""

        def full_row(xs: Sequence[Number]) -> list[Number]:
            return [math.sum(xs), *xs]

        def full_column(xs: Sequence[Number]) -> list[Number]:
            return [xs[0] * x for x in xs]

        sparse_jacobian(full_row)([float(i) for i in range(50)])
        assert sweeps == {"pull": 2}
        sparse_jacobian(full_column)([float(i) for i in range(50)])
        assert sweeps == {"pull": 2, "push": 2}

    @pytest.mark.parametrize("size", [10, 1_000])
    def test_a_banded_hessian_takes_three_products(self, size: int, sweeps: Counter[str]) -> None:
        """A tridiagonal Hessian has a star colouring in three colours, whatever its size."""
        found = sparse_hessian(energy)([0.1 * (i % 7) for i in range(size)])
        assert sweeps["along"] == 3
        assert len(found.values) == 3 * size - 2

    def test_long_tapes_are_walked(self) -> None:
        """A pattern takes no recursion, and no more bits than the inputs are apart."""

        def f(xs: Sequence[Number]) -> Number:
            total = xs[0]
            for _ in range(30_000):
                total = math.sin(total)
            return total + xs[-1]

        tape = tg.record(f)([1.0] * 1_000)
        assert tape.jacobian_sparsity().columns == (0, 999)
        assert tape.hessian_sparsity().columns == (0,)


LINEAR: tuple[Callable[[Number, Number], Number], ...] = (
    lambda a, b: a + b,
    lambda a, b: a - 2.0 * b,
    lambda a, b: -a / 4.0,
    lambda a, b: math.fsum([a, b, 1.0]),
    lambda a, b: math.mean([a, b]),
    lambda a, b: math.dot([a, b], [2.0, 3.0]),
    lambda a, b: math.fma(a, 2.0, b),
    lambda a, b: abs(a),
    math.maximum,
    lambda a, b: math.relu(a) + math.floor(b),
    lambda a, b: math.fmod(a, 2.0),
    lambda a, b: a * math.sign(b),
    lambda a, b: tg.where(a > b, a, b),
    lambda a, b: tg.stop_gradient(a * b) * a,
)
"""Operations without a second derivative, kinks and jumps aside."""


class TestHessians:
    @settings(max_examples=60)
    @given(windows(smooth(4)))
    def test_what_is_not_in_the_pattern_is_zero(self, case: tuple[Windows, list[float]]) -> None:
        """The dense Hessian is recovered, with zeros outside the pattern."""
        f, point = case
        found = entries(sparse_hessian(f.total)(point))
        want = dense(hessian(f.total)(point))
        assert all(map(plain.isfinite, itertools.chain(*want)))
        scale = 1e-11 * (1.0 + max(map(abs, itertools.chain(*want))))
        for row, column in itertools.product(range(f.width), repeat=2):
            assert abs(found.get((row, column), 0.0) - want[row][column]) <= scale

    @settings(max_examples=60)
    @given(windows(programs(4)))
    def test_it_is_symmetric_to_the_bit(self, case: tuple[Windows, list[float]]) -> None:
        """Both triangles hold the same numbers, at the places that the tape's pattern lists."""
        f, point = case
        found = sparse_hessian(f.total)(point)
        for (row, column), value in entries(found).items():
            assert bits(entries(found)[column, row]) == bits(value)
        pattern = tg.record(f.total)(point).hessian_sparsity()
        assert (pattern.rows, pattern.columns, pattern.shape) == (
            found.rows, found.columns, found.shape,
        )  # fmt: skip

    @given(st.lists(st.tuples(st.sampled_from(LINEAR), st.integers(0, 9), st.integers(0, 9))))
    def test_linear_rows_make_no_interactions(
        self, steps: list[tuple[Callable[[Number, Number], Number], int, int]]
    ) -> None:
        """Sums, multiples, steps, choices and kinks have an empty pattern, however composed."""

        def f(xs: Sequence[Number]) -> Number:
            numbers = list(xs)
            for operation, a, b in steps:
                numbers.append(operation(numbers[a % len(numbers)], numbers[b % len(numbers)]))
            return numbers[-1] + numbers[0]

        assert len(tg.record(f)([0.5, -1.5, 2.5]).hessian_sparsity()) == 0

    def test_only_what_interacts_is_there(self) -> None:
        """A product interacts with the other factor, a curve with itself, dead code with none."""

        def f(xs: Sequence[Number]) -> Number:
            math.exp(xs[4] * xs[5])
            return xs[0] * xs[1] + math.sin(xs[2] + xs[3]) + xs[4] / 2.0 + xs[5]

        pattern = tg.record(f)([1.0] * 6).hessian_sparsity()
        assert pattern.by_row() == [[1], [0], [2, 3], [2, 3], [], []]

    def test_it_is_recorded(self) -> None:
        """A recorded Hessian has the eager numbers, and replays to others."""
        point, other = [0.5, 1.0, 1.5, 2.0], [0.25, 2.0, 1.0, 0.5]
        tape = tg.record(sparse_hessian(energy))(point)
        for x, found in ((point, tape.value), (other, tape.replay(other).value)):
            want = sparse_hessian(energy)(x)
            assert (found.rows, found.columns) == (want.rows, want.columns)
            assert found.values == pytest.approx(want.values, rel=1e-14)

    def test_a_rule_of_the_user_s_interacts_with_all_it_reads(self) -> None:
        """A partial that is a function may read any operand, and one that is a number none."""

        @primitive(partials=(lambda z, a, b: 2.0 * a, 1.0), at=[(3.0, 4.0)])
        def f(a: float, b: float) -> float:
            return a * a + b

        def of_list(xs: Sequence[Number]) -> Number:
            return f(xs[0], xs[1])

        assert tg.record(of_list)([1.0, 2.0]).hessian_sparsity().by_row() == [[0, 1], [0]]
        assert sparse_hessian(of_list)([1.0, 2.0]).values == (2.0, 0.0, 0.0)

    def test_a_hessian_is_of_one_number(self) -> None:
        """A tape with more outputs, or none, has no Hessian."""
        tape = tg.record(lambda xs: [xs[0], xs[1]])([1.0, 2.0])
        message = refusal(errors.OutputError, tape.hessian_sparsity)
        assert message == (
            "this tape has 2 outputs, and a Hessian needs one: "
            "record a function that returns one number"
        )
        several: Any = lambda xs: [xs[0]]  # noqa: E731  # a program with a mistake
        refusal(errors.OutputError, lambda: sparse_hessian(several)([1.0]))


@st.composite
def graphs(draw: st.DrawFn) -> list[list[int]]:
    count = draw(st.integers(1, 9))
    pairs = list(itertools.combinations(range(count), 2))
    edges = draw(st.sets(st.sampled_from(pairs))) if pairs else set()
    both = edges | {(b, a) for a, b in edges}
    return [[b for b in range(count) if (a, b) in both] for a in range(count)]


class TestColourings:
    @given(st.lists(st.sets(st.integers(0, 7)).map(sorted), max_size=9))
    def test_lines_that_cross_differ(self, lines: list[list[int]]) -> None:
        """No two lines of one colour share a crossing, and lines without one have no colour."""
        colours = distance_one(lines, 8)
        for one, two in itertools.combinations(range(len(lines)), 2):
            assert colours[one] != colours[two] or not set(lines[one]) & set(lines[two])
        assert all(
            (colour == -1) == (not line) for colour, line in zip(colours, lines, strict=True)
        )

    @settings(max_examples=300)
    @given(graphs())
    def test_every_path_of_four_has_three_colours(self, neighbours: list[list[int]]) -> None:
        """Neighbours differ, and no path of four vertices has but two colours."""
        colours = star(neighbours)
        for second, third in ((v, w) for v, near in enumerate(neighbours) for w in near):
            assert colours[second] != colours[third] >= 0
            for first, last in itertools.product(neighbours[second], neighbours[third]):
                if len({first, second, third, last}) == 4:
                    assert len({colours[v] for v in (first, second, third, last)}) > 2

    def test_a_full_row_of_a_hessian_takes_one_colour_more(self) -> None:
        """The centre of a wheel without a rim, and all its spokes: two colours."""
        assert star([list(range(1, 100)), *([0] for _ in range(99))]) == [0] + [1] * 99


@pytest.mark.parametrize("transform", [tg.hessian, tg.sparse_hessian])
def test_a_recorded_hessian_has_the_lines_of_the_program(transform: Any) -> None:
    """Every entry stands at a line of the user's, whatever sweeps made it."""

    def f(xs: Sequence[Number]) -> Number:
        return math.sin(xs[0]) * xs[1] + xs[1] ** 3

    def values(xs: Sequence[Number]) -> Any:
        found = transform(f)(xs)
        return found if isinstance(found, dict) else found.values

    tape = tg.record(values)([1.0, 2.0])
    sites = [tape.site(slot) for slot in range(len(tape))]
    assert {site.file for site in sites if site is not None} == {__file__}
