"""What a tape says of itself: listings, figures, explanations, the first nan, differences."""

from __future__ import annotations

import inspect
import linecache
import math as library
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from hypothesis import given, settings

import tapegrad as tg
from tapegrad import errors, math
from tapegrad.ops.primitive import primal
from tapegrad.transforms.primitive import primitive
from tests.places import place, refusal
from tests.strategies import Program, bits
from tests.test_laws import PROGRAM_AND_POINT, PROGRAM_AND_TWO_POINTS, SMOOTH_AT_A_POINT

Case = tuple[Program, list[float]]

some = settings(max_examples=40)


def pricing(market: Any, strike: Any, t: Any) -> Any:
    width = tg.label(market["vol"] * math.sqrt(t), "width")
    drift = (market["rate"] + market["vol"] * market["vol"] / 2.0) * t
    d1 = tg.label((math.log(market["spot"] / strike) + drift) / width, "d1")
    d2 = tg.label(d1 - width, "d2")
    discounted = strike * math.exp(-market["rate"] * t)
    return tg.label(market["spot"] * math.norm_cdf(d1) - discounted * math.norm_cdf(d2), "price")


MARKET = {"spot": 100.0, "vol": 0.2, "rate": 0.05}


def priced(**changed: float) -> Any:
    return tg.record(pricing)(MARKET | changed, 105.0, 1.0)


def doubled(x: Any, times: int) -> Any:
    for _ in range(times):
        x = x + x
    return x


def forked(x: Any, times: int) -> Any:
    for _ in range(times):
        x = x * 1.0 + x * 0.5
    return x


def accumulate(x: Any, count: int) -> Any:
    total = x
    for _ in range(count):
        total = total * 0.999999 + x
    return total


def barrier(x: Any, steps: int) -> Any:
    total = 0.0 * x
    for step in range(steps):
        if x > 1.0 + step:
            total = total + x * x
    return total


@primitive(partials=lambda y, x: 2.0 * x, at=[0.5])
def square(x: float) -> float:
    return x * x


def numbers(tape: Any) -> Iterator[float]:
    """All that is finite or not on a tape but constants."""
    yield from (node.value for node in tape if isinstance(node, tg.Input | tg.Apply))
    yield from (bar for bar in tape.cotangents() if bar is not None)


class TestTables:
    def test_the_middle_of_a_long_tape_is_left_out_and_counted(self) -> None:
        """The first 40 and the last 20 entries are told, and how many lie between."""
        lines = str(tg.record(doubled)(1.0, 9_999)).split("\n")
        assert len(lines) == 62
        assert lines[41] == "... 9,940 more"
        assert lines[40].startswith("%39")
        assert lines[42].startswith("%9980")

    def test_the_operands_of_a_wide_entry_are_counted(self) -> None:
        """An entry of many operands tells the first of them, and how many there are more."""
        tape = tg.record(math.fsum)([1.0] * 1000)
        assert str(tape).split("\n")[-1].split()[2:13] == [
            "%0", "%1", "%2", "%3", "%4", "%5", "%6", "%7", "...", "992", "more"
        ]  # fmt: skip

    def test_a_table_of_very_many_inputs_is_quick(self) -> None:
        """What is shown is looked at, and nothing else: paths are made once, not for each row."""
        tape = tg.record(lambda xs: [x * 2.0 for x in xs])([1.0] * 20_000)
        start = time.perf_counter()
        assert "... 39,941 more" in str(tape)
        assert time.perf_counter() - start < 2.0


class TestLines:
    @some
    @given(PROGRAM_AND_POINT)
    def test_every_entry_but_the_inputs_stands_on_one_line(self, case: Case) -> None:
        """The entries of all lines are the entries of the tape."""
        program, point = case
        tape = tg.record(program)(point)
        listing = tape.lines()
        assert sum(line.entries for line in listing.lines) == len(tape) - program.width
        assert (listing.entries, listing.inputs) == (len(tape), program.width)
        places = [(line.site.file, line.site.line) for line in listing.lines if line.site]
        assert len(set(places)) == len(places) == len(listing.lines)

    @some
    @given(PROGRAM_AND_POINT)
    def test_marks_count_what_is_not_finite_and_the_guards(self, case: Case) -> None:
        """Every nan, infinity and guard is marked on some line, and none twice."""
        program, point = case
        tape = tg.record(program)(point)
        nodes = tape[program.width :]
        values = [
            float(node.outcome) if isinstance(node, tg.Guard) else node.value for node in nodes
        ]
        lines = tape.lines().lines
        assert sum(line.nans for line in lines) == sum(map(library.isnan, values))
        assert sum(line.infs for line in lines) == sum(map(library.isinf, values))
        bars = [bar for bar in tape.cotangents()[program.width :] if bar is not None]
        assert sum(line.blown for line in lines) == sum(not library.isfinite(bar) for bar in bars)
        guards = [node.outcome for node in nodes if isinstance(node, tg.Guard)]
        assert sum(line.taken for line in lines) == sum(guards)
        assert sum(line.declined for line in lines) == len(guards) - sum(guards)

    def test_a_line_shows_what_it_hands_on(self) -> None:
        """The value of a line is that of its result, not of what it was made from on the way."""
        lines = {line.source.split(" = ")[0].strip(): line for line in priced().lines().lines}
        tape = priced()
        d1 = next(node for node in tape if getattr(node, "label", None) == "d1")
        assert lines["d1"].values == (d1.value, d1.value)
        assert lines["d1"].cotangents == (tape.cotangents()[d1.slot],) * 2
        assert lines["d1"].entries == 4

    def test_print_is_the_source_with_a_margin(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The listing of a loop with a branch, letter by letter."""
        monkeypatch.chdir(tmp_path)
        first, source = barrier.__code__.co_firstlineno, inspect.getsource(barrier).split("\n")
        margins = (
            "                                   ",
            "      2      0          1                ",
            "                                   ",
            "      9                    2 true, 1 false",
            "      4   12.5          1                ",
        )
        assert str(tg.record(barrier)(2.5, 3).lines()).split("\n") == [
            "16 entries, 1 of them inputs",
            "",
            __file__,
            "line  entries  value  cotangent",
            *(
                f"{first + at:4}  {margin.ljust(42)}  {source[at]}"
                for at, margin in enumerate(margins)
            ),
        ]

    def test_a_file_in_the_current_folder_is_called_from_there(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The title of a file is as short as it can be."""
        monkeypatch.chdir(Path(__file__).parent)
        assert str(priced().lines()).split("\n")[2] == Path(__file__).name

    def test_a_comprehension_stands_on_its_line(self) -> None:
        """What a line computes inside a comprehension is the line's own."""
        tape = tg.record(lambda xs: math.fsum([x * x for x in xs]))([1.0, 2.0])
        (line,) = tape.lines().lines
        assert line.entries == 3
        assert line.values == (5.0, 5.0)

    def test_distant_lines_have_a_gap_between_them(self) -> None:
        """A few lines between two that record are shown, many are not."""
        code = ["def f(x):", "    y = x * x", *["    # nothing"] * 9, "    return y * x"]
        shown = str(tg.record(written("gap", code).f)(2.0).lines())
        assert [line.split()[0] for line in shown.split("\n")[4:]] == ["1", "2", "...", "12"]

    def test_a_result_that_nobody_reads_is_shown(self) -> None:
        """A line that computes for nothing has its value, and no cotangent."""

        def f(x: Any) -> Any:
            _ = x * 3.0
            return x * x

        first, second = tg.record(f)(2.0).lines().lines
        assert (first.values, first.cotangents) == ((6.0, 6.0), None)
        assert (second.values, second.cotangents) == ((4.0, 4.0), (1.0, 1.0))

    def test_the_head_of_the_function_is_shown(self) -> None:
        """Of a lambda or a comprehension it is the head of the function around it; tabs line up."""
        code = ["def f(x):", "\ty = 2.0", "\treturn (lambda z: z * y)(x)", "g = lambda x: x * x"]
        module = written("heads", code)
        shown = str(tg.record(module.f)(2.0).lines()).split("\n")[4:]
        assert [line.split("  ")[-1].strip() for line in shown] == [
            "def f(x):",
            "y = 2.0",
            "return (lambda z: z * y)(x)",
        ]
        (last,) = str(tg.record(module.g)(2.0).lines()).split("\n")[4:]
        assert last.endswith("  g = lambda x: x * x")

    def test_without_the_source_there_are_numbers(self) -> None:
        """A program whose text cannot be read has lines all the same."""
        space: dict[str, Any] = {}
        exec(compile("def f(x):\n    return x * x\n", "<nowhere>", "exec"), space)  # noqa: S102  # a program without a file
        listing = tg.record(space["f"])(3.0).lines()
        assert listing.lines[0].source == ""
        assert str(listing).split("\n")[2:] == [
            "<nowhere>",
            "line  entries  value  cotangent",
            "   2        1      9          1",
        ]

    def test_a_tape_without_positions_says_how_many_entries_have_no_line(self) -> None:
        """Where positions are missing there is one line that stands for none."""
        tape = attrs.evolve(tg.record(square_sum)([1.0, 2.0]), sites=(), site_of=b"")
        assert str(tape.lines()) == "5 entries, 2 of them inputs, 3 without a line"

    def test_looking_at_traced_numbers_records_nothing(self) -> None:
        """Inside another recording a reading sees numbers, and adds no entry."""

        def f(x: Any) -> Any:
            inner: Any = tg.record(square_sum)([x, 2.0])
            before = len(x._recorder.codes)
            for reading in (inner.lines, inner.stats, inner.first_nonfinite):
                assert reading() is None or str(reading())
            assert inner.explain(wrt="0").derivative == 6.0
            assert inner.diff(inner).same
            assert len(x._recorder.codes) == before
            return x

        tg.record(f)(3.0)


def square_sum(xs: Any) -> Any:
    return xs[0] * xs[0] + xs[1] * xs[1]


def written(name: str, code: list[str]) -> ModuleType:
    """A module with this text, which the listing can read."""
    module, file, lines = ModuleType(name), f"<{name}>", [f"{line}\n" for line in code]
    linecache.cache[file] = (len("".join(lines)), None, lines, file)
    exec(compile("".join(lines), file, "exec"), vars(module))  # noqa: S102  # the program under test
    return module


class TestStats:
    @some
    @given(PROGRAM_AND_POINT)
    def test_figures_add_up(self, case: Case) -> None:
        """Inputs, constants, guards and operations are all that is on a tape."""
        program, point = case
        tape = tg.record(program)(point)
        stats = tape.stats()
        assert stats.entries == len(tape)
        kinds = (stats.inputs, stats.constants, stats.guards, *(n for _, n in stats.operations))
        assert sum(kinds) == len(tape)
        assert stats.reads == sum(len(tape.columns.operands(slot)) for slot in range(len(tape)))
        assert stats.nonfinite == sum(not library.isfinite(primal(x)) for x in tape.columns.values)
        assert stats.lines == len(tape.lines().lines)

    @some
    @given(PROGRAM_AND_POINT)
    def test_depth_and_dead_entries_are_what_they_say(self, case: Case) -> None:
        """An entry is one deeper than its deepest operand; the dead reach no output."""
        program, point = case
        tape = tg.record(program)(point)
        depths: list[int] = []
        for slot in range(len(tape)):
            below = [depths[operand] for operand in tape.columns.operands(slot)]
            depths.append(1 + max(below) if below else 0)
        assert tape.stats().depth == max(depths)
        needed = {slot for slot, node in enumerate(tape) if isinstance(node, tg.Guard)}
        needed |= {*tape.outputs, *tape.inputs}
        for slot in reversed(range(len(tape))):
            if slot in needed:
                needed |= {*tape.columns.operands(slot)}
        assert tape.stats().dead == len(tape) - len(needed)

    def test_print_is_a_table(self) -> None:
        """The figures of a small program, letter by letter."""
        assert str(tg.record(barrier)(2.5, 3).stats()).split("\n") == [
            "entries      16",
            "  inputs     1",
            "  constants  4",
            "  guards     3",
            "  mul        3",
            "  gt         3",
            "  add        2",
            "outputs      1",
            "reads        19",
            "depth        3",
            "dead         0",
            "nonfinite    0",
            "lines        3",
            "labels       0",
            "scopes       0",
            "bytes        336 (21.0 an entry)",
        ]


def all_paths(tape: Any, start: int, end: int) -> list[float]:
    """The product of the partials along every path, one by one."""
    found = []

    def walk(slot: int, product: float) -> None:
        if slot == start:
            found.append(product)
        elif slot > start:
            for operand, partial in partials(tape.columns, slot).items():
                if partial:
                    walk(operand, product * partial)

    walk(end, 1.0)
    return found


def partials(columns: Any, slot: int) -> dict[int, float]:
    """The partials of an entry in the slots it reads, those in one slot added up."""
    sums: dict[int, float] = {}
    operands = columns.operands(slot)
    if operands:
        row = columns.row(slot)
        found = row.every_partial(columns.values[slot], *columns.arguments(slot))
        for operand, partial in zip(operands, found, strict=True):
            sums[operand] = sums.get(operand, 0.0) + (partial or 0.0)
    return sums


class TestExplain:
    @some
    @given(PROGRAM_AND_POINT)
    def test_the_derivative_is_the_cotangent(self, case: Case) -> None:
        """What is explained is the gradient's own number, bit by bit."""
        program, point = case
        tape = tg.record(program)(point)
        for slot, bar in enumerate(tape.cotangents()[: program.width]):
            got = tape.explain(wrt=slot).derivative
            assert bits(got) == bits(0.0 if bar is None else bar)

    @some
    @given(SMOOTH_AT_A_POINT)
    def test_lines_add_up_and_so_do_paths(self, case: Case) -> None:
        """The derivative is the sum over lines, and that over paths and the remainder."""
        program, point = case
        tape = tg.record(program)(point)
        for slot in range(program.width):
            found = tape.explain(wrt=slot, top=3)
            parts = [share.part for share in found.lines]
            scale = 1e-12 * (1.0 + sum(map(abs, parts)))
            assert abs(sum(parts) - found.derivative) <= scale
            told = [path.part for path in found.paths]
            assert sum(told) + found.remainder == pytest.approx(found.derivative, abs=scale)

    @some
    @given(SMOOTH_AT_A_POINT)
    def test_the_paths_are_the_largest_of_all(self, case: Case) -> None:
        """Best first gives what listing every path and sorting gives, without listing them."""
        program, point = case
        tape = tg.record(program)(point)
        (end,) = tape.outputs
        if tape.explain(wrt=0).others > 2_000:
            return
        every = sorted(map(abs, all_paths(tape, 0, end)), reverse=True)
        found = tape.explain(wrt=0, top=7)
        got = [abs(path.part) for path in found.paths]
        assert got == pytest.approx(every[: len(got)], rel=1e-9, abs=0.0)
        assert len(got) + found.others == len(every)
        assert len({path.slots for path in found.paths}) == len(found.paths)

    @some
    @given(SMOOTH_AT_A_POINT)
    def test_a_path_leads_from_the_input_to_the_output(self, case: Case) -> None:
        """Each slot reads the one before it, with the partial that is told."""
        program, point = case
        tape = tg.record(program)(point)
        for path in tape.explain(wrt=0).paths:
            assert (path.slots[0], path.slots[-1]) == (0, tape.outputs[0])
            assert len(path.partials) == len(path.slots) - 1
            product = 1.0
            for partial in reversed(path.partials):
                product *= partial
            assert product == path.part
            for slot, reader in zip(path.slots, path.slots[1:], strict=False):
                assert slot in tape.columns.operands(reader)

    def test_exponentially_many_paths_cost_nothing(self) -> None:
        """Of 2 ** 300 paths the largest are told, and the others counted."""
        found = tg.record(forked)(1.0, 300).explain(wrt="x")
        parts = [path.part for path in found.paths]
        assert parts == pytest.approx([1.0, 0.5, 0.5, 0.5, 0.5])
        assert len({path.slots for path in found.paths}) == 5
        assert found.others == pytest.approx(2.0**300)
        assert found.remainder == found.derivative - sum(parts)
        assert "about 2e+90 other paths" in str(found)
        most = tg.record(forked)(1.0, 1_100).explain(wrt="x")
        assert "100.0%  more other paths than a float holds" in str(most)

    def test_an_operand_read_twice_is_one_step(self) -> None:
        """x * x has one partial in x, and x + x another."""
        found = tg.record(lambda x: x * x + math.fsum([x, x, x]))(5.0).explain(wrt="x")
        assert [path.partials for path in found.paths] == [(10.0, 1.0), (3.0, 1.0)]

    def test_a_long_path_is_cut_in_its_middle(self) -> None:
        """A path of very many steps tells both ends, and no path is walked by recursion."""
        found = tg.record(accumulate)(0.5, 10_000).explain(wrt="x", top=2)
        assert [path.part for path in found.paths] == [1.0, 0.999999]
        assert found.others == 9_999
        route = tg.record(doubled)(1.0, 40).explain(wrt="x").paths[0].route
        here = place(doubled, "x + x")
        assert route == f"x -> {here} add x 8 -> ... 24 more ... -> {here} add x 8"

    def test_magnitudes_beyond_the_double_range_are_still_in_order(self) -> None:
        """Products that overflow or vanish on the way do not change which path is the largest."""

        def f(x: Any) -> Any:
            tiny = x * 1e-200 * 1e-200
            return tiny * 1e200 * 1e200 + x * 3.0 * 1e-300

        found = tg.record(f)(1.0).explain(wrt="x", top=1)
        assert len(found.paths[0].slots) == 6

    def test_labels_tell_the_chain_rule(self) -> None:
        """What passes a label is the derivative in it times its own."""
        found = priced().explain("price", wrt="vol")
        assert [passage.name for passage in found.labels] == ["width", "d1", "d2"]
        for passage in found.labels:
            assert passage.part == passage.cotangent * passage.tangent
            assert passage.tangent == priced().explain(passage.name, wrt="vol").derivative
            assert passage.cotangent == priced().explain(wrt=passage.name).derivative
        assert found.labels[0].part == pytest.approx(found.derivative)

    def test_print_shows_lines_paths_and_labels(self) -> None:
        """The explanation of a small program, letter by letter."""

        def f(p: Any) -> Any:
            a = tg.label(p["x"] * p["y"], "a")
            return a * a + 3.0 * p["x"]

        at_a, at_end = place(f, '"a"'), place(f, "a * a")
        assert str(tg.record(f)({"x": 2.0, "y": 5.0}).explain(wrt="x", top=1)) == "\n".join(
            (
                "d result / d x = 103",
                "",
                "by the line that reads x",
                f'  100  97.1%  {at_a}  a = tg.label(p["x"] * p["y"], "a")',
                f'    3   2.9%  {at_end}  return a * a + 3.0 * p["x"]',
                "",
                "by path",
                f"  100  97.1%  x -> {at_a} a -> {at_end} mul, add",
                "    3   2.9%  1 other path",
                "",
                "by label on the way: d result / d label * d label / d x",
                "  100  97.1%  20 * 5  a",
            )
        )

    def test_what_does_not_depend_says_so(self) -> None:
        """An input that the output does not read has the derivative 0, and no path."""
        found = priced().explain("width", wrt="spot")
        assert (found.derivative, found.paths, found.others) == (0.0, (), 0.0)
        assert str(found) == "d width / d spot = 0: width does not depend on spot"

    def test_a_thing_in_itself_is_one_empty_path(self) -> None:
        """d x / d x is 1, by a path of no steps."""
        found = priced().explain("d1", wrt="d1")
        assert (found.derivative, found.paths[0].partials, found.remainder) == (1.0, (), 0.0)
        assert [share.part for share in found.lines] == [1.0]

    def test_a_derivative_that_is_not_finite_points_to_its_origin(self) -> None:
        """Shares of a nan mean nothing; where it begins is another question."""
        found = tg.record(lambda x: math.sqrt(x * x))(0.0).explain(wrt="x")
        assert str(found).split("\n")[0] == (
            "d result / d x = nan: ask first_nonfinite() where that begins"
        )

    def test_paths_lead_through_the_arm_that_is_selected(self) -> None:
        """The other arm of a where contributes nothing, not even a path."""

        def f(x: Any) -> Any:
            return tg.where(x > 0.0, x * 2.0, x * x)

        for x, slope in ((3.0, 2.0), (-3.0, -6.0)):
            found = tg.record(f)(x).explain(wrt="x")
            assert [path.part for path in found.paths] == [slope]
            assert [share.part for share in found.lines] == [slope]
            assert found.others == 0.0

    def test_outputs_have_names_too(self) -> None:
        """One of several outputs is named by its path, and one input of data by its own."""

        def f(p: Any, shift: float) -> Any:
            return {"low": p[0] * shift, "high": p[0] * 2.0 + p[1]}

        tape: Any = tg.record(f)([1.0, 2.0], 5.0)
        assert tape.explain("low", wrt="0").derivative == 5.0
        assert tape.explain("low", wrt="shift").derivative == 1.0
        assert tape.explain("high", wrt="1").derivative == 1.0

        def call() -> object:
            return tape.explain(wrt="0")

        assert refusal(errors.InputError, call) == (
            f"this tape has 2 outputs ({place(call, 'wrt')}): say which to explain, by path, "
            "label or slot"
        )

    def test_one_name_may_be_an_output_and_an_input(self) -> None:
        """What is explained is looked for among the outputs first, what it is explained by not."""
        tape: Any = tg.record(lambda p: {"a": p["a"] * 2.0})({"a": 3.0})
        assert tape.explain("a", wrt="a").derivative == 2.0

    def test_rows_of_the_users_own_are_explained(self) -> None:
        """A custom rule is a step like another."""
        found = tg.record(lambda x: square(x) + x)(3.0).explain(wrt="x")
        assert [path.part for path in found.paths] == [6.0, 1.0]
        assert found.paths[0].route.endswith("square, add")

    @pytest.mark.parametrize(
        ("name", "cure"),
        [
            ("prize", "did you mean price?"),
            ("d", "did you mean d2 or d1?"),
            ("????", "use width, d1, d2, price, spot, vol or 3 more"),
        ],
    )
    def test_an_unknown_name_is_answered_with_the_nearest(self, name: str, cure: str) -> None:
        """A name that is not on the tape is refused with those that are like it."""

        def call() -> object:
            return priced().explain(name, wrt="vol")

        assert refusal(errors.InputError, call) == (
            f"nothing on this tape is called {name!r} ({place(call, 'explain')}): {cure}"
        )

    def test_a_name_of_several_entries_is_refused_with_their_slots(self) -> None:
        """A label in a loop stands for many entries."""

        def f(x: Any) -> Any:
            for _ in range(9):
                x = tg.label(x * x, "step")
            return x

        def call() -> object:
            return tg.record(f)(1.0).explain("step", wrt="x")

        assert refusal(errors.InputError, call) == (
            f"9 entries are labelled 'step' ({place(call, 'explain')}): give one of their slots, "
            "1, 2, 3, 4, 5, 6, ..."
        )
        assert tg.record(f)(1.0).explain(2, wrt="x").derivative == 4.0

    def test_slots_and_counts_are_checked(self) -> None:
        """A slot beyond the tape and a negative number of paths are refused."""

        def beyond() -> object:
            return tg.record(square_sum)([1.0, 2.0]).explain(5, wrt="0")

        def negative() -> object:
            return priced().explain(wrt="vol", top=-1)

        assert refusal(errors.InputError, beyond) == (
            f"5 ({place(beyond, 'explain')}) is not a slot of a tape of 5 entries: give one of 0 "
            "to 4, or a name"
        )
        assert refusal(errors.InputError, negative) == (
            f"top=-1 ({place(negative, 'explain')}) is no number of paths: use 0 or more"
        )
        assert priced().explain(wrt="vol", top=0).paths == ()


class TestTheFirstNonfinite:
    @some
    @given(PROGRAM_AND_POINT)
    def test_there_is_one_where_not_all_is_finite(self, case: Case) -> None:
        """None says that every value and every cotangent is finite."""
        tape = tg.record(case[0])(case[1])
        assert (tape.first_nonfinite() is None) == all(map(library.isfinite, numbers(tape)))

    @some
    @given(PROGRAM_AND_POINT)
    def test_forward_it_is_the_first(self, case: Case) -> None:
        """Before the entry that is named every value is finite."""
        tape = tg.record(case[0])(case[1])
        found = tape.first_nonfinite("forward")
        end = len(tape) if found is None else found.slot
        finite = [
            isinstance(node, tg.Guard | tg.Constant) or library.isfinite(node.value)
            for node in tape[: end + 1]
        ]
        assert all(finite[:end])
        assert found is None or not finite[end]

    @some
    @given(PROGRAM_AND_POINT)
    def test_in_reverse_a_finite_cotangent_makes_one_that_is_not(self, case: Case) -> None:
        """The entry that is named has a finite cotangent, and its receiver has none any more."""
        tape = tg.record(case[0])(case[1])
        bars = tape.cotangents()
        found = tape.first_nonfinite("reverse")
        assert (found is None) == all(bar is None or library.isfinite(bar) for bar in bars)
        if found is not None:
            assert bits(found.cotangent or 0.0) == bits(bars[found.slot] or 0.0)
            assert library.isfinite(found.cotangent or 0.0)
            assert not library.isfinite(bars[found.receiver or 0] or 0.0)
            later = bars[found.slot :]
            assert all(bar is None or library.isfinite(bar) for bar in later)

    def test_it_names_operation_operands_and_line(self) -> None:
        """A nan in a loop is told with the numbers that it was made of."""

        def f(p: Any) -> Any:
            x = p["x"]
            for _ in range(5):
                x = math.log(tg.label(x - 1.0, "less"))
            return x

        found = tg.record(f)({"x": 3.0}).first_nonfinite()
        assert found is not None
        assert (found.operation, found.operands[0][1:]) == ("log", ("less", library.log(2.0) - 1.0))
        assert str(found) == (
            "the first value that is not finite is nan: %5 = log(less = -0.3068528194400547), "
            f"{place(f, 'math.log')}"
        )

    def test_in_reverse_it_shows_the_product(self) -> None:
        """0 * inf is explained: which cotangent, which partial, which operation, which line."""

        def f(x: Any) -> Any:
            return 1.0 / (1.0 + math.exp(x))

        tape = tg.record(f)(800.0)
        assert str(tape.first_nonfinite()) == (
            f"the first value that is not finite is inf: %1 = exp(x = 800.0), {place(f, 'exp')}"
        )
        assert str(tape.first_nonfinite("reverse")) == (
            "the first cotangent that is not finite is nan, that of x: %1 = exp(x = 800.0) = inf "
            f"hands on -0.0 * inf, {place(f, 'exp')}"
        )

    def test_an_input_and_an_overflow_of_a_sum_are_found(self) -> None:
        """What comes in as nan is named by path; a sum of finite shares may be infinite."""
        tape: Any = tg.record(square_sum)([1.0, library.nan])
        assert str(tape.first_nonfinite()).startswith(
            "the first value that is not finite is nan: the input xs[1], "
        )
        found = tg.record(lambda x: 1e308 * x + 1e308 * x)(0.5).first_nonfinite()
        assert found is not None
        assert (found.sweep, found.handed, found.partial) == ("reverse", library.inf, 1e308)

    def test_a_constant_infinity_is_no_accident(self) -> None:
        """What the program writes down is not reported, what becomes of it is."""

        def f(x: Any) -> Any:
            return math.minimum(library.inf, x * x)

        assert tg.record(f)(2.0).first_nonfinite() is None

    def test_many_operands_are_counted(self) -> None:
        """A sum of very many shows the first few."""
        found = tg.record(math.fsum)([1e308] * 1000).first_nonfinite()
        assert "[5] = 1e+308, ... 994 more)" in str(found)

    def test_an_unknown_sweep_is_refused(self) -> None:
        """There are two sweeps."""

        def call() -> object:
            sweep: Any = "sideways"
            return priced().first_nonfinite(sweep)

        assert refusal(errors.InputError, call) == (
            f"sweep='sideways' ({place(call, 'priced')}) is unknown: use 'forward' or 'reverse'"
        )


class TestDifferences:
    @some
    @given(PROGRAM_AND_TWO_POINTS)
    def test_a_difference_is_what_makes_tapes_unequal(
        self, case: tuple[Program, list[float], list[float]]
    ) -> None:
        """A difference is true where tapes are not equal, and is what one by one is found."""
        program, point, other = case
        one, two = tg.record(program)(point), tg.record(program)(other)
        found = one.diff(two)
        assert bool(found) == (one != two)
        assert not one.diff(one)
        pairs = list(zip(map(shape, range(len(one)), [one] * len(one)), two, strict=False))
        same = [mine == shape(slot, two) for slot, (mine, _) in enumerate(pairs)]
        shared = same.index(False) if False in same else len(pairs)
        assert found.shared == shared
        assert (found.structure is None) == (shared == len(one) == len(two))
        values = zip(one.columns.values[:shared], two.columns.values[:shared], strict=True)
        changed = [slot for slot, (x, y) in enumerate(values) if bits(primal(x)) != bits(primal(y))]
        assert found.changed == len(changed)
        assert (found.values is None) == (not changed)
        if found.values is not None and found.values[0] is not None:
            assert found.values[0].slot == changed[0]

    def test_a_guard_that_flips_is_named(self) -> None:
        """Two points on both sides of a branch, letter by letter."""
        record = tg.record(barrier)
        found = record(2.5, 2).diff(record(1.5, 2))
        gt, mul = place(barrier, "if x"), place(barrier, "total + ")
        at = place(type(self).test_a_guard_that_flips_is_named, ".diff" + "(record")
        assert str(found).split("\n") == [
            "structure  13 and 11 entries, 11 alike, then",
            f"           %11 = mul(x, x) = 6.25, {mul}",
            "           (the end)",
            "guard      the first that comes out differently",
            f"           %10 = guard(%9) = 1.0, {gt}",
            f"           %10 = guard(%9) = 0.0, {gt}",
            "values     5 of 11 differ, first",
            f"           input x = 2.5, {at}",
            f"           input x = 1.5, {at}",
            "           and most, beside their size,",
            f"           %6 = mul(x, x) = 6.25, {mul}",
            f"           %6 = mul(x, x) = 2.25, {mul}",
            "entries by line",
            f"           {mul}  4  2",
        ]

    def test_values_are_told_where_they_first_and_most_differ(self) -> None:
        """At another point the first change is told, and the largest beside its size."""
        found = priced().diff(priced(vol=0.21))
        lines = str(found).split("\n")
        assert lines[0] == "structure  the same 26 entries"
        assert lines[1] == "values     14 of 26 differ, first"
        assert lines[2].startswith("           input vol = 0.2, ")
        assert lines[4] == "           and most, beside their size,"
        assert lines[5].startswith("           %7 = mul(vol, vol) = 0.04")

    def test_the_same_is_said_to_be_the_same(self) -> None:
        """Two recordings of one call do not differ."""
        assert str(priced().diff(priced())) == "the same 26 entries with the same values"

    def test_names_alone_make_a_difference(self) -> None:
        """Where entries and values agree, the inputs' names may not."""

        def f(p: Any) -> Any:
            return next(iter(p.values())) * 2.0

        one: Any = tg.record(f)
        found = one({"a": 1.0}).diff(one({"b": 1.0}))
        assert found
        assert str(found) == (
            "structure  the same 3 entries\nvalues     the same in 3 entries\n"
            "names      inputs, outputs or containers differ"
        )

    def test_tables_of_different_rows_are_compared_by_row(self) -> None:
        """A tape with a custom rule parts from one without it where the rule is applied."""
        found = tg.record(lambda x: square(x) + x)(3.0).diff(tg.record(lambda x: x * x + x)(3.0))
        assert found.shared == 1
        assert found.structure is not None
        assert [entry and entry.text for entry in found.structure] == [
            "%1 = square(x) = 9.0",
            "%1 = mul(x, x) = 9.0",
        ]

    def test_static_and_pooled_operands_are_compared(self) -> None:
        """An exponent and an operand of a wide row are part of the structure."""
        one = tg.record(lambda x: x**2)(3.0)
        assert one.diff(tg.record(lambda x: x**3)(3.0)).shared == 1
        wide = tg.record(lambda xs: math.fsum([xs[0], xs[1], xs[1]]))([1.0, 1.0])
        other = tg.record(lambda xs: math.fsum([xs[0], xs[0], xs[1]]))([1.0, 1.0])
        assert wide.diff(other).shared == 2

    def test_lines_with_other_numbers_of_entries_are_told(self) -> None:
        """A loop that runs once more is seen by line."""
        found = tg.record(barrier)(0.5, 12).diff(tg.record(barrier)(0.5, 13))
        assert [(site.line, *counts) for site, *counts in found.lines] == [
            (barrier.__code__.co_firstlineno + 3, 36, 39)
        ]


def shape(slot: int, tape: Any) -> object:
    """What an entry is, but for its value."""
    columns = tape.columns
    return columns.row(slot), columns.operands(slot), repr(columns.static(slot))


@pytest.mark.slow
@pytest.mark.timed
def test_a_million_entries_are_read_in_seconds() -> None:
    """Every reading is linear, and none recurses."""
    tape: Any = tg.record(accumulate)(0.5, 333_333)
    other = tape.replay(0.25)
    start = time.perf_counter()
    tape.cotangents()
    sweep = time.perf_counter() - start
    readings: list[Callable[[], object]] = [
        tape.lines, tape.stats, tape.first_nonfinite, lambda: tape.diff(other),
        lambda: tape.explain(wrt="x"), lambda: tape,
    ]  # fmt: skip
    for reading in readings:
        start = time.perf_counter()
        assert str(reading())
        assert time.perf_counter() - start < 20.0 * sweep
