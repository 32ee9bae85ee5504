"""Laws of programs in core rows, and of the backends that run them."""

from __future__ import annotations

import ctypes
import itertools
import math
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

import tapegrad as tg
from tapegrad import errors
from tapegrad.compile.backends import c, python
from tapegrad.compile.backends.registry import BACKENDS, BackendName, Language
from tapegrad.compile.lower import lower
from tapegrad.compile.program import Program
from tapegrad.ops import table as ops
from tapegrad.ops.lowering import LOWER, NEAR, Usually
from tapegrad.ops.primitive import Primitive
from tests import strategies
from tests.oracle import ORACLE, truth, ulps
from tests.places import place, refusal
from tests.strategies import bits, points, programs, same_bits
from tests.test_rows import by_name, is_close, operands

np = pytest.importorskip("numpy")
numpy = pytest.importorskip("tapegrad.compile.backends.numpy")

Run: TypeAlias = Callable[[Sequence[float]], "Sequence[float] | int"]

SPECIAL: tuple[float, ...] = (
    0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 3.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324,
    1e-310, 1e-300, 1e300, -1e300, sys.float_info.max, -0.67, -0.68, 8.0, -8.1, 20.0, 20.1, 37.4,
    37.7, -38.6, 40.1, -40.0, 700.0, -745.0, -746.5, 709.9, 0.1, 1e-8, 1e16, 1e-160, 1e150,
)  # fmt: skip
STATICS: dict[str, tuple[float, ...]] = {
    "powc": (2.0, 3.0, 4.0, -1.0, -2.0, 0.5, 2.5, 1 / 3, 0.0, 1.0),
    "powc_slope": (2.0, 3.0, 4.0, 5.0, 6.0, -1.0, -2.0, -3.0, 0.5, 2.5, -0.5, 0.0, 1.0, 1e-17),
    "ldexp": (3, -2, 0, 1000, -1074, -1100, 1500, -3000, 4000),
    "polygamma": (1.0, 2.0),
    "round_to": (0, 1, 2, 15, -2, 400, -400),
}
WIDTHS = {"dot": (2, 4, 12)}

CALLED_BACK = {"gamma", "lgamma", "digamma", "polygamma", "gamma_slope", "round_to"}
"""What no core row can say."""

PARTLY = {"hypot", "direction", "shifted"} | ({"dot"} if sys.version_info >= (3, 12) else set())
"""What core rows say only near, or of one operand alone."""


def drawn(row: Primitive, count: int) -> list[tuple[float, ...]]:
    """Operands of every kind, special ones among them; the same in every process."""
    draw = random.Random(row.name)
    widths = WIDTHS.get(row.name, (1, 2, 3, 5, 9)) if row.arity is None else (row.arity,)
    found: list[tuple[float, ...]] = []
    if row.arity == 1:
        found += [(x,) for x in SPECIAL]
    if row.arity == 2:
        found += itertools.product(SPECIAL[:20], repeat=2)
    while len(found) < count:
        found.append(tuple(number(draw) for _ in range(draw.choice(widths))))
    if row.has_static:
        found = [(*xs, draw.choice(STATICS[row.name])) for xs in found]
    return found


def number(draw: random.Random) -> float:
    kind = draw.random()
    if kind < 0.5:
        return draw.gauss(0.0, 1.0) * math.pow(10.0, draw.uniform(-3.0, 2.5))
    if kind < 0.6:
        return float(struct.unpack("d", draw.randbytes(8))[0])
    return draw.choice(SPECIAL) if kind < 0.75 else draw.uniform(-40.0, 40.0)


def spelled(spelling: Callable[..., Any], xs: Sequence[float]) -> float | None:
    """What a spelling gives on floats; None where it leaves the row to be asked."""
    found = spelling(*xs)
    if isinstance(found, Usually):
        found = found.value if found.holds else None
    return found if found is None else float(found)


class TestSpellings:
    def test_every_row_is_known_or_spelled(self) -> None:
        """A row is core or has a spelling, or is on the list of those that are called back."""
        without = {row.name for row in ops.TABLE.rows if not row.core and row not in LOWER}
        assert without == CALLED_BACK
        assert not [row.name for row in (*LOWER, *NEAR) if row.core]
        assert NEAR.keys() <= LOWER.keys() <= ops.TABLE.codes.keys()

    @pytest.mark.parametrize("row", LOWER, ids=by_name)
    def test_a_spelling_has_the_bits_of_the_row(self, row: Primitive) -> None:
        """Where a spelling gives a number, it is the row's value, to the bit."""
        for xs in drawn(row, 450):
            got = spelled(LOWER[row], xs)
            assert got is None or same_bits(got, float(row.value(*xs))), xs

    @pytest.mark.parametrize("row", LOWER, ids=by_name)
    def test_a_spelling_holds_at_ordinary_points(self, row: Primitive) -> None:
        """Numbers of everyday size are never asked back, by a near spelling either."""
        draw = random.Random(row.name)
        width = row.arity or 4
        for static in STATICS.get(row.name, ()) or (None,):
            for _ in range(20):
                xs = [draw.uniform(0.1, 9.0) for _ in range(width)]
                given = xs if static is None else [*xs, static]
                assert spelled(LOWER[row], given) is not None or row.name in PARTLY
                assert spelled(NEAR.get(row, LOWER[row]), given) is not None or row.name in PARTLY

    @pytest.mark.parametrize("row", NEAR, ids=by_name)
    def test_a_near_spelling_is_accurate(self, row: Primitive) -> None:
        """Where it gives a number, mpmath agrees within 4 units, or the row's stated exception."""

        @settings(max_examples=40)
        @given(operands(row))
        def holds(xs: tuple[float, ...]) -> None:
            got = spelled(NEAR[row], xs)
            if got is not None and not same_bits(got, float(row.value(*xs))):
                assert is_close(row, "value", got, truth(row.name, None, *xs), xs)

        holds()

    @pytest.mark.parametrize("zero", [0.0, -0.0])
    def test_a_near_slope_of_a_power_has_the_sign_of_the_row_at_0(self, zero: float) -> None:
        """Zeros and infinities are those of the row, whatever the constant power; none is asked."""
        for n in (*STATICS["powc_slope"], 7.0, -4.0, 1.5, -1.5):
            got = spelled(NEAR[ops.powc_slope], (zero, n))
            assert got is not None, n
            assert same_bits(got, ops.powc_slope.value(zero, n)), n


# One program that applies every row to three numbers, with every backend.


def applications(rows: Sequence[Primitive]) -> list[tuple[Primitive, int, tuple[float, ...]]]:
    """Each row with each number of operands and each static operand it is tried with."""
    found: list[tuple[Primitive, int, tuple[float, ...]]] = []
    for row in rows:
        widths = (2, 4, 12) if row.name == "dot" else (1, 2, 3, 9)
        for width in (row.arity,) if row.arity is not None else widths:
            statics = STATICS.get(row.name, ())
            found += [(row, width, (n,)) for n in statics] or [(row, width, ())]
    return found


ROWS = [row for row in ops.TABLE.rows if row.kind not in {"input", "constant", "guard"}]
EVERY = applications(ROWS)
IN_C = [
    (row, width, static)
    for row, width, static in EVERY
    if row.core or (row.name not in CALLED_BACK | PARTLY and row.arity is not None)
]


def cycled(xs: Sequence[Any], width: int) -> list[Any]:
    return [xs[index % len(xs)] for index in range(width)]


def value_of(application: tuple[Primitive, int, tuple[float, ...]], xs: Sequence[float]) -> float:
    row, width, static = application
    return float(row.value(*cycled(xs, width), *static))


def tape_of_all(
    applied: Sequence[tuple[Primitive, int, tuple[float, ...]]],
) -> tg.Tape[Any, ..., Any]:
    def all_rows(xs: Sequence[Any]) -> list[Any]:
        return [row(*cycled(xs, width), *static) for row, width, static in applied]

    return tg.record(all_rows)([0.5, 0.25, 0.75])


def program_of(tape: tg.Tape[Any, ..., Any], **how: bool) -> Program:
    return lower(tape.columns.as_lists(), tape.outputs, **how)


def triples(count: int) -> list[tuple[float, ...]]:
    """Points for three operands: everyday numbers, and special ones."""
    draw = random.Random(count)
    special = [tuple(draw.choice(SPECIAL) for _ in range(3)) for _ in range(count // 2)]
    return special + [tuple(number(draw) for _ in range(3)) for _ in range(count // 2)]


def on_columns(program: Program, rows: Sequence[Sequence[float]]) -> tuple[Any, Any]:
    """The outputs by row, and the guards that flipped, of the numpy backend."""
    out = np.empty((len(program.outputs), len(rows)))
    flips = np.empty(len(rows), dtype=np.int32)
    leaf = np.array(rows, dtype=float).reshape(len(rows), program.inputs)
    numpy.ColumnCode(program, 0)(np.empty(0), [leaf], range(len(rows)), out, flips)
    return out.T, flips


class TestEveryRow:
    @pytest.mark.parametrize("whole", [False, True])
    def test_python_gives_the_eager_bits(self, *, whole: bool) -> None:
        """Each row of the table, spelled or as it is, at points of every kind."""
        run = python.compiled(program_of(tape_of_all(EVERY), any_row=whole))
        for xs in triples(120):
            found = run(xs)
            assert isinstance(found, list)
            for application, got in zip(EVERY, found, strict=True):
                assert same_bits(got, value_of(application, xs)), (application, xs)

    @pytest.mark.parametrize("near", [False, True])
    def test_numpy_is_within_four_units(self, *, near: bool) -> None:
        """Each row of the table, of the truth or of the eager value."""
        rows = triples(400)
        found, flips = on_columns(program_of(tape_of_all(EVERY), approximate=near), rows)
        assert (flips == -1).all()
        for xs, answers in zip(rows, found.tolist(), strict=True):
            for application, got in zip(EVERY, answers, strict=True):
                assert agrees(application, xs, got), (application, xs, got)

    def test_c_gives_the_eager_bits(self, tmp_path: Path) -> None:
        """Each row of a fixed number of operands that C can say, at points of every kind."""
        run = built(program_of(tape_of_all(IN_C)), tmp_path)
        for xs in triples(400):
            found = run(xs)
            assert not isinstance(found, int)
            for application, got in zip(IN_C, found, strict=True):
                assert same_bits(got, value_of(application, xs)), (application, xs)


def agrees(
    application: tuple[Primitive, int, tuple[float, ...]], xs: Sequence[float], got: float
) -> bool:
    """Whether a number is within 4 units of the eager value; sums and tails, of the truth."""
    row, width, static = application
    want, given = value_of(application, xs), (*cycled(xs, width), *static)
    if bits(got) == bits(want) or ulps(got, mp.mpf(want)) <= 4.0:
        return True
    if row.name in ORACLE and all(map(math.isfinite, given)):
        return is_close(row, "value", got, truth(row.name, None, *given), given)
    excused = sum(slack.magnitude(*given) for slack in row.slack if slack.of == "value")
    return abs(got - want) <= 4.0 * sys.float_info.epsilon * excused


class TestRegistry:
    def test_the_types_that_users_see_name_the_backends(self) -> None:
        """`backend` takes those that run programs, `source` those that write them as text."""
        runs = [name for name, b in BACKENDS.items() if b.scalar or b.rows]
        assert get_args(BackendName) == ("auto", *runs)
        assert set(get_args(Language)) == {name for name, b in BACKENDS.items() if b.source}


# C.


def built(program: Program, folder: Path) -> Run:
    """The program compiled by gcc, strictly."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    file, library = folder / "program.c", folder / "program.so"
    file.write_text(c.source(program), encoding="ascii")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1", "-ffp-contract=off"]
    subprocess.run(
        ["gcc", *flags, "-shared", "-fPIC", str(file), "-o", str(library), "-lm"], check=True
    )
    run = ctypes.CDLL(str(library)).run
    place, answer = ctypes.c_double * program.inputs, ctypes.c_double * len(program.outputs)

    def call(xs: Sequence[float]) -> Sequence[float] | int:
        out = answer()
        flip: int = run(place(*xs), out)
        return list(out) if flip == -1 else flip

    return call


def hypotenuse(xs: Sequence[Any]) -> Any:
    return tg.math.hypot(xs[0], xs[1]) + tg.math.gamma(xs[0])


def mean(xs: Sequence[Any]) -> Any:
    return tg.math.mean(xs)


class TestC:
    def test_what_c_lacks_is_refused_by_name(self) -> None:
        """The rows that would be called back, and what to do instead."""
        program = program_of(tg.record(hypotenuse)([1.0, 2.0]))

        def call() -> str:
            return c.source(program)

        assert refusal(errors.BackendError, call) == (
            f"C has no gamma, hypot ({place(call, 'return')}): use the python or llvm backend, "
            "which call back, or spell the model without"
        )

    def test_a_range_that_only_python_has_is_left(self, tmp_path: Path) -> None:
        """Where a rare range has no C function the code says -2, and gives no number."""
        run = built(program_of(tg.record(mean)([1.0, 2.0, 4.0])), tmp_path)
        assert run([1.0, 2.0, 4.5]) == [2.5]
        assert run([1e308, 1e308, 1e308]) == -2

    def test_a_square_is_the_power_that_python_takes(self, tmp_path: Path) -> None:
        """x ** 2 is the library's power, also where the product is another number."""

        def square(x: Any) -> Any:
            return x**2

        run = built(program_of(tg.record(square)(1.0)), tmp_path)
        draw = random.Random(2)
        apart = [x for x in (draw.uniform(1.0, 2.0) for _ in range(9999)) if x**2 != x * x]
        assert [run([x]) for x in apart] == [[x**2] for x in apart]

    def test_a_long_program_passes_values_from_part_to_part(self, tmp_path: Path) -> None:
        """Functions of a few hundred entries hand on what lives longer, in C and in Python."""
        point = [0.3, 0.4]
        tape = tg.record(tg.value_and_grad(swinging))(point).simplify().tape
        program = program_of(tape)
        assert len(program) > 2000
        want = [tape.columns.values[slot] for slot in tape.outputs]
        for run in (built(program, tmp_path), python.compiled(program)):
            assert_same(run(point), want)
        found, _ = on_columns(program, [point])
        assert found[0].tolist() == pytest.approx(want)


def swinging(xs: Sequence[Any]) -> Any:
    x, y = xs
    for _ in range(400):
        x, y = x + 0.01 * y, y - 0.01 * x
    return x * y


def assert_same(got: Any, want: Sequence[Any]) -> None:
    assert len(got) == len(want)
    assert all(map(same_bits, got, want)), (got, want)


# Random programs.


def _turn(a: Any, b: Any, c: Any) -> Any:
    return a * c if a > b else b - c


EXACT: tuple[Callable[[Any, Any, Any], Any], ...] = (
    lambda a, b, c: a + b,
    lambda a, b, c: a - b,
    lambda a, b, c: a * b,
    lambda a, b, c: a / (1.5 + abs(b)),
    lambda a, b, c: -a,
    lambda a, b, c: abs(a),
    lambda a, b, c: tg.math.sqrt(a),
    lambda a, b, c: tg.math.floor(a) + b,
    lambda a, b, c: tg.math.maximum(a, b),
    lambda a, b, c: tg.math.minimum(a, b),
    lambda a, b, c: tg.math.relu(a),
    lambda a, b, c: tg.where(a > b, tg.math.sqrt(a), c),
    lambda a, b, c: tg.where((a < b) & ~(b < c), a * b, c),
    lambda a, b, c: tg.math.fsum([a, b, c]),
    max,
    _turn,
)
"""Operations that are rounded the same way wherever they run, and so are their derivatives."""


@st.composite
def exact_programs(draw: st.DrawFn) -> strategies.Program:
    """Programs that have the same bits on every backend."""
    steps = []
    for width in range(3, 3 + draw(st.integers(1, 12))):
        place = st.integers(0, width - 1)
        operands = draw(st.tuples(place, place, place))
        steps.append(strategies.Step(draw(st.sampled_from(EXACT)), operands))
    return strategies.Program(3, tuple(steps))


def slopes_tape(program: Callable[..., Any], point: Sequence[float]) -> tg.Tape[Any, ..., Any]:
    recorded: tg.Tape[Any, ..., Any] = tg.record(tg.value_and_grad(program))(list(point))
    return recorded.simplify().tape


def check_run(
    found: Sequence[float] | int,
    program: Program,
    function: Callable[..., Any],
    point: Sequence[float],
) -> None:
    """Either the eager answer, or the first guard that comes out differently when recorded here."""
    here = slopes_tape(function, point)
    there = program_of(here).outcomes
    pairs = zip(program.outcomes, there, strict=False)
    first = next((index for index, (mine, other) in enumerate(pairs) if mine != other), None)
    if isinstance(found, int):
        assert found == first
    else:
        assert first is None
        assert_same(found, [here.columns.values[slot] for slot in here.outputs])


class TestPrograms:
    @settings(max_examples=60)
    @given(programs(5), st.data())
    def test_python_follows_the_eager_call(self, function: strategies.Program, data: Any) -> None:
        """Value and gradient at other points, to the bit, or the guard that flips."""
        start, other = (data.draw(points(function.width)) for _ in range(2))
        tape = slopes_tape(function, start)
        for program in (program_of(tape), program_of(tape, any_row=True)):
            run = python.compiled(program)
            for point in (start, other):
                check_run(run(point), program, function, point)

    @settings(max_examples=60)
    @given(exact_programs(), st.lists(points(3), min_size=1, max_size=4))
    def test_numpy_follows_the_eager_call(
        self, function: strategies.Program, rows: list[list[float]]
    ) -> None:
        """Of operations that are rounded everywhere alike: each row to the bit, or its guard."""
        program = program_of(slopes_tape(function, rows[0]))
        found, flips = on_columns(program, rows)
        for point, answers, flip in zip(rows, found.tolist(), flips.tolist(), strict=True):
            check_run(answers if flip < 0 else flip, program, function, point)

    @settings(max_examples=5)
    @given(programs(6), st.data())
    def test_c_follows_the_eager_call(
        self, tmp_path_factory: pytest.TempPathFactory, function: strategies.Program, data: Any
    ) -> None:
        """Value and gradient at other points, to the bit, or the guard that flips."""
        start = data.draw(points(function.width))
        program = program_of(slopes_tape(function, start))
        try:
            run = built(program, tmp_path_factory.mktemp("c"))
        except errors.BackendError:
            return
        for point in (start, data.draw(points(function.width))):
            found = run(point)
            if found != -2:
                check_run(found, program, function, point)

    @settings(max_examples=60)
    @given(programs(5), st.data())
    def test_a_row_has_the_same_answer_in_any_company(
        self, function: strategies.Program, data: Any
    ) -> None:
        """Alone, among others, as a range or by its index: the same bits and the same guard."""
        rows = [data.draw(points(function.width)) for _ in range(5)]
        program = program_of(slopes_tape(function, rows[0]), approximate=True)
        run = numpy.ColumnCode(program, 0)
        together, flips = on_columns(program, rows)
        order = [3, 0, 4]
        out, marks = np.empty((len(program.outputs), 3)), np.empty(3, dtype=np.int32)
        run(np.empty(0), [np.array(rows)], np.array(order), out, marks)
        for column, row in enumerate(order):
            alone, mark = on_columns(program, [rows[row]])
            assert flips[row] == mark[0] == marks[column]
            if mark[0] < 0:
                assert_same(together[row].tolist(), alone[0].tolist())
                assert_same(out[:, column].tolist(), alone[0].tolist())

    def test_what_is_the_same_for_all_rows_comes_first(self) -> None:
        """Shared numbers, a leaf with one axis and one with two, in more than one block."""

        def model(p: Sequence[Any], x: float, ys: Sequence[float]) -> Any:
            return p[0] * x + p[1] * ys[0] - ys[1]

        program = program_of(tg.record(model)([2.0, 3.0], 1.0, [1.0, 1.0]))
        count = numpy.BLOCK + 5
        xs, ys = np.arange(count, dtype=float), np.ones((count + 3, 2))
        out, flips = np.empty((1, count)), np.empty(count, dtype=np.int32)
        shared, run = np.array([2.0, 3.0]), numpy.ColumnCode(program, 2)
        run(shared, [xs, ys], range(count), out, flips)
        assert (out[0] == 2.0 * xs + 2.0).all()
        assert (flips == -1).all()
        out = out[:, :7]
        run(shared, [xs, ys], range(4, 11), out, flips[:7])
        assert (out[0] == 2.0 * xs[4:11] + 2.0).all()

    def test_the_first_guard_that_flips_is_named(self) -> None:
        """Of two that come out differently the one that was asked first, on every backend."""

        def model(xs: Sequence[Any]) -> Any:
            return xs[0] if xs[0] > 0.0 and xs[1] > 0.0 else -xs[0]

        program = program_of(tg.record(model)([1.0, 1.0]))
        rows = [[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]]
        assert on_columns(program, rows)[1].tolist() == [-1, 0, 1, 0]
        assert [python.compiled(program)(row) for row in rows] == [[1.0], 0, 1, 0]

    def test_only_rows_on_the_path_are_called_back(self) -> None:
        """A custom rule never sees a number from which a guard has kept it."""

        @tg.primitive(partials=lambda y, x: 0.5 * y, at=[0.5])
        def picky(x: float) -> float:
            if x < 0.0:
                raise ValueError(x)
            return math.exp(0.5 * x)

        def model(x: Any) -> Any:
            return picky(x) if x > 0.0 else x

        program = program_of(tg.record(model)(1.0))
        found, flips = on_columns(program, [[1.0], [-1.0], [2.0]])
        assert flips.tolist() == [-1, 0, -1]
        assert found[[0, 2], 0].tolist() == [math.exp(0.5), math.exp(1.0)]

    def test_the_source_holds_names_and_numbers_only(self) -> None:
        """A name of the user's is not in the text of any language."""

        @tg.scope("evil")
        def model(p: Any) -> Any:
            return tg.label(p["evil"] * 2.0 + math.pi, "evil")

        program = program_of(tg.record(model)({"evil": 1.0}))
        assert python.source(program) == (
            "def run(x):\n"
            "    v0 = x[0]\n"
            "    v2 = v0 * 2.0\n"
            "    v4 = v2 + 3.141592653589793\n"
            "    return [v4]\n"
        )
        assert "evil" not in c.source(program)
        assert "double v4 = v2 + 0x1.921fb54442d18p+1;" in c.source(program)
