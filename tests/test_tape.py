"""The behaviours of tapes and nodes: values that cannot change, linear readings, safe text."""

from __future__ import annotations

import copy
import gc
import html
import pickle
import re
import shutil
import tracemalloc
import weakref
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors, math
from tests.places import place, refusal

needs_dot = pytest.mark.skipif(shutil.which("dot") is None, reason="no dot program here")


def model(p: Any, k: float) -> Any:
    x = tg.label(p["a"] * k, "scaled")
    if x > 0.0:
        x = x + p["b"] ** 2
    return math.hypot(x, p["b"], 1.0)


POINT = {"a": 2.0, "b": 3.0}


def taken() -> Any:
    return tg.record(tg.scope("outer")(model))(POINT, 4.0)


class TestATapeIsAValue:
    def test_its_nodes_say_what_was_computed(self) -> None:
        """Inputs, constants, operations and guards stand in order, with names and lines."""
        tape = taken()
        assert tape.paths == ("a", "b", "k")
        assert tape.inputs == range(3)
        assert tape.value == tape[tape.outputs[0]].value
        kinds = [type(node).__name__ for node in tape]
        assert kinds == [
            "Input", "Input", "Input", "Apply", "Constant", "Apply", "Guard", "Apply", "Apply",
            "Constant", "Apply",
        ]  # fmt: skip
        first, scaled, guard, power = tape[0], tape[3], tape[6], tape[7]
        assert first == tg.Input(0, 2.0, "a")
        assert isinstance(scaled, tg.Apply)
        assert (scaled.primitive.name, scaled.operands, scaled.static) == ("mul", (0, 2), ())
        assert (scaled.value, scaled.label, scaled.scope) == (8.0, "scaled", ("outer",))
        assert str(scaled.site) == place(model, "scaled")
        assert isinstance(guard, tg.Guard)
        assert (guard.operand, guard.outcome, str(guard.site)) == (5, True, place(model, "if x"))
        assert isinstance(power, tg.Apply)
        assert (power.primitive.name, power.static) == ("powc", (2.0,))

    def test_choices_stand_at_the_user_s_line(self) -> None:
        """where, stop_gradient and math functions are no lines of the user's program."""

        def choose(x: Any) -> Any:
            first = tg.where(x > 0.0, x, 1.0)
            second = tg.stop_gradient(first)
            third = math.logsumexp([second, x])
            return math.log(third, 2.0)

        lines = {str(node.site) for node in tg.record(choose)(2.0)[1:]}
        assert lines == {
            place(choose, text) for text in ("first = ", "second = ", "third = ", "return")
        }

    def test_it_is_a_sequence_of_nodes(self) -> None:
        """Length, indices from both ends, slices and iteration agree."""
        tape = taken()
        assert len(tape) == len(tape.nodes) == len(list(tape)) == 11
        assert [tape[slot] for slot in range(len(tape))] == list(tape) == list(tape.nodes)
        assert tape[-1] == tape[10] == tape.nodes[-1]
        assert tape[2:5] == tuple(list(tape)[2:5])
        assert tape[::-3] == tuple(list(tape)[::-3])
        with pytest.raises(IndexError):
            tape[11]

    def test_every_field_refuses_assignment(self) -> None:
        """Tapes and nodes are frozen and have no room for more."""
        tape = taken()
        for value in (tape, tape.nodes, *tape, *tape.scopes, *tape.sites, tape.parameters):
            for name in (*(field.name for field in attrs.fields(type(value))), "more"):
                with pytest.raises(attrs.exceptions.FrozenInstanceError):
                    setattr(value, name, None)
            assert not hasattr(value, "__dict__")

    def test_no_column_can_be_written_through(self) -> None:
        """Every column refuses item assignment, and so does what is read from it."""
        tape = taken()
        columns = tape.columns
        for column in (
            tape.codes, tape.left, tape.right, tape.stored, tape.pool, tape.statics, tape.labels,
            tape.scopes, tape.sites, tape.site_of, tape.outputs, tape.names, tape.paths,
            columns.codes, columns.left, columns.right, columns.values, columns.pool,
            tape.cotangents(), tape[3].operands,
        ):  # fmt: skip
            with pytest.raises(TypeError):
                column[0] = 0

    def test_equality_is_structural(self) -> None:
        """Structure, constants, statics, inputs, outputs and values count, bit by bit."""

        def f(x: Any) -> Any:
            return x * 2.0 + 1.0

        def with_label(x: Any) -> Any:
            return tg.label(x * 2.0, "doubled") + 1.0

        tape = tg.record(f)(3.0)
        same = tg.record(tg.scope("named")(with_label))(3.0)
        assert (tape == same, hash(tape) == hash(same)) == (True, True)
        others: list[tuple[Any, Any]] = [
            (f, 4.0),
            (lambda x: x * 2.0 + 1.5, 3.0),
            (lambda x: x * 2.0 - 1.0, 3.0),
            (lambda x: 2.0 * x + 1.0, 3.0),
            (lambda y: y * 2.0 + 1.0, 3.0),
        ]
        for other, x in others:
            assert tape != tg.record(other)(x)
        assert tg.record(lambda x: x**2)(1.0) != tg.record(lambda x: x**3)(1.0)
        assert tg.record(lambda x: x)(1.0) != tg.record(lambda x: [x])(1.0)
        assert tg.record(lambda p: p[0])([1.0]) != tg.record(lambda p: p[0])((1.0,))
        assert tape != "a tape"

    def test_values_are_compared_bit_by_bit(self) -> None:
        """nan equals itself whatever its sign, and the zeros differ."""
        record = tg.record(lambda x: x * 1.0)
        assert record(math.nan) == record(math.nan) == record(-math.nan)
        assert hash(record(math.nan)) == hash(record(-math.nan))
        assert record(0.0) != record(-0.0)

    def test_it_can_be_a_key(self) -> None:
        """Equal tapes are one key of a dict."""
        assert {taken(): 1}[taken()] == 1

    def test_copies_are_the_tape_itself(self) -> None:
        """What cannot change need not be copied."""
        tape = taken()
        assert copy.copy(tape) is tape
        assert copy.deepcopy([tape])[0] is tape

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_a_pickle_comes_back_equal(self, protocol: int) -> None:
        """A tape that was pickled reads as before: text, picture, gradient, replay."""
        tape = taken()
        again = pickle.loads(pickle.dumps(tape, protocol))  # noqa: S301  # our own
        assert (again, hash(again), str(again)) == (tape, hash(tape), str(tape))
        assert again.to_dot() == tape.to_dot()
        assert again.gradient() == tape.gradient()
        assert again.replay({"a": 1.0, "b": 1.0}).value == tape.replay({"a": 1.0, "b": 1.0}).value
        assert again.table is tape.table

    def test_many_outputs_have_their_shape(self) -> None:
        """A tape of a function that returns containers gives the value in them."""
        tape = tg.record(lambda x: {"a": [x, x * 2.0], "b": (1.0, "text")})(3.0)
        assert tape.value == {"a": [3.0, 6.0], "b": (1.0, "text")}
        assert len(tape.outputs) == 3
        assert "cotangent" not in str(tape)
        for row in (str(tape), tape.to_dot()):
            assert row

    def test_a_replay_keeps_the_data_that_is_not_given(self) -> None:
        """Parameters are replayed, data stays as recorded unless it is given again."""
        tape: Any = tg.record(lambda w, xs, *, k: w * xs[0] * k)(2.0, [3.0], k=4.0)
        assert tape.replay(1.0).value == 12.0
        assert tape.replay(1.0, [5.0]).value == 20.0
        assert tape.replay(1.0, k=10.0).value == 30.0
        assert tape.replay(1.0, [5.0], k=10.0).value == 50.0
        assert tape.replay(1).value == 12.0

    def test_an_entry_costs_few_bytes(self) -> None:
        """A held tape of a long program takes less than 64 bytes an entry."""
        count = 40_000

        def long(x: Any) -> Any:
            for _ in range(count // 2):
                x = x * 0.5 + x
            return x

        gc.collect()
        tracemalloc.start()
        tape = tg.record(long)(1.0)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(tape) >= count
        assert held / len(tape) < 64


def accumulate(x: Any, count: int) -> Any:
    """A chain: every entry reads the one before."""
    total = x
    for _ in range(count):
        total = total * 0.999999 + x
    return total


LENGTHS = [30_000, pytest.param(330_000, marks=pytest.mark.slow)]


class TestNothingRecurses:
    @pytest.mark.parametrize("count", LENGTHS)
    def test_a_deep_tape_can_be_read_in_every_way(self, count: int) -> None:
        """hash, ==, repr, print, pickle, deepcopy, nodes, gradient, replay: none recurses."""
        tape: Any = tg.record(accumulate)(0.5, count)
        assert len(tape) > 2 * count
        assert hash(tape) == hash(tg.record(accumulate)(0.5, count))
        assert repr(tape) == f"<Tape of {len(tape)} entries, 1 inputs, 1 outputs>"
        assert f"... {len(tape) - 60:,} more\n" in str(tape)
        assert pickle.loads(pickle.dumps(tape)) == tape  # noqa: S301  # our own
        assert copy.deepcopy(tape) is tape
        assert tape[-1].slot == len(tape) - 1
        assert tape.gradient() == tg.grad(accumulate)(0.5, count)
        assert tape.replay(0.5) == tape
        assert tape != tape.replay(0.25)

    @pytest.mark.parametrize("count", [3_000, pytest.param(330_000, marks=pytest.mark.slow)])
    def test_a_deep_tape_can_be_drawn(self, count: int) -> None:
        """DOT text has one box an entry and one oval an operation, however many there are."""
        tape = tg.record(accumulate)(0.5, count)
        text = tape.to_dot(by="node")
        assert len(re.findall(r"^\tn\d+ \[", text, re.MULTILINE)) == len(tape)

    def test_wide_tapes_are_read_in_linear_time(self) -> None:
        """Ten thousand inputs and as many outputs are no trouble to print, draw or walk."""
        width = 10_000
        tape = tg.record(lambda xs: [x * 2.0 for x in xs])([0.5] * width)
        assert len(list(tape)) == len(tape) == 2 * width + 1
        assert tape.to_dot(by="node").count("peripheries=2") == width
        assert len(tape.value) == len(tape.replay([0.25] * width).value) == width

    def test_nested_scopes_are_read_iteratively(self) -> None:
        """Scopes may nest as deep as the program's calls."""

        @tg.scope("level")
        def nest(x: Any, depth: int) -> Any:
            return nest(x * 1.5, depth - 1) if depth else x

        tape = tg.record(nest)(1.0, 200)
        assert tape.scope(len(tape) - 1) == ("level",) * 200


class TestNothingIsLeftBehind:
    def test_dropping_the_last_reference_frees_a_tape(self) -> None:
        """With the garbage collector off: a tape is in no cycle, however it was read."""

        def held(*, drop: bool) -> int:
            tape: Any = tg.record(accumulate)(0.5, 5_000)
            str(tape), tape.gradient(), tape.nodes[5], tape.columns, tape.replay(0.25)
            if drop:
                del tape
            return tracemalloc.get_traced_memory()[0]

        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            before = held(drop=True)
            assert held(drop=False) - before > 200_000
            assert held(drop=True) - before < 10_000
        finally:
            tracemalloc.stop()
            gc.enable()

    def test_a_gradient_makes_no_cycles(self) -> None:
        """With the garbage collector off, nothing is left for it, nested gradients included."""

        def nested(p: Any) -> Any:
            inner = tg.grad(lambda y: math.sin(y * p["a"]) * p["b"])(p["a"])
            return tg.where(inner > 0.0, inner, p["b"]) + (p["a"] if p["a"] > 0.0 else 1.0)

        tg.grad(tg.scope("s")(nested))(POINT)
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                tg.grad(tg.scope("s")(nested))(POINT)
                str(tg.record(tg.grad(nested))(POINT))
            assert gc.collect() == 0
        finally:
            gc.enable()

    def test_thousands_of_gradients_leave_nothing(self) -> None:
        """Neither objects nor memory grow with the number of gradients."""

        def f(p: Any) -> Any:
            return (p["a"] * 3.0 + p["b"]) ** 2 if p["a"] > 0.0 else p["b"]

        gradient = tg.grad(f)

        def several(count: int) -> tuple[int, int]:
            for _ in range(count):
                gradient(POINT)
            gc.collect()
            return len(gc.get_objects()), tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        several(100)
        objects, memory = several(100)
        more_objects, more_memory = several(3_000)
        tracemalloc.stop()
        assert more_objects - objects < 15
        assert more_memory - memory < 6_000

    def test_unpickled_tapes_leave_nothing(self) -> None:
        """Tapes that come back share the table, and what was compiled from it."""
        data = pickle.dumps(taken())
        tables = {id(pickle.loads(data).table) for _ in range(10)}  # noqa: S301  # our own
        assert tables == {id(taken().table)}

    def test_traced_numbers_are_freed_with_their_recording(self) -> None:
        """With the collector off, the last reference to a traced number frees it."""
        references: list[weakref.ref[Any]] = []

        def f(x: Any) -> Any:
            y = x * x
            references.extend((weakref.ref(x), weakref.ref(y)))
            return y

        gc.disable()
        try:
            tg.grad(tg.grad(f))(2.0)
            assert [reference() for reference in references] == [None] * 2
        finally:
            gc.enable()


NASTY = {
    "quotes": "\"double\" and 'single'",
    "newline": "two\nlines\r\tand tabs",
    "script": "</script><b>bold</b>&amp;<!-- -->]]>",
    "backslash": r"a\nb \N \l \G C:\new",
    "control": "bell\x07 escape\x1b[31m null\x00 delete\x7f",
    "bidi": "right\u202eleft \u2066isolate\u2069 mark\u200f",
    "separators": "line\u2028paragraph\u2029nel\x85",
    "surrogate": "half \ud800 pair",
    "html": "<HTML>",
    "braces": "a|b{c}<d>:e;",
    "empty": " ",
    "unicode": "α² → ∂",
}


def shown(text: str) -> str:
    """How text looks in print: what does not print is spelled out."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


class TestNamesAreText:
    def named(self, text: str) -> Any:
        @tg.scope(text)
        def inner(p: Any) -> Any:
            return tg.label(p[text] * 2.0, text)

        return tg.record(inner)({text: 1.5})

    @pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
    def test_in_print(self, text: str) -> None:
        """Labels, scopes and keys are one visible line in the table, whatever they hold."""
        tape = self.named(text)
        lines = str(tape).split("\n")
        assert len(lines) == 1 + len(tape)
        assert all(char.isprintable() for line in lines for char in line)
        assert shown(text).strip() in lines[-1]

    @pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
    def test_in_dot(self, text: str) -> None:
        """The DOT text is ASCII-safe lines with every name escaped, and valid UTF-8."""
        source = self.named(text).to_dot()
        source.encode("utf-8")
        assert "<b>" not in source
        assert "</script>" not in source
        assert all(char.isprintable() or char in "\n\t" for char in source)

    @needs_dot
    @pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
    def test_in_svg(self, text: str, tmp_path: Path) -> None:
        """The dot program accepts it and shows the name as text."""
        file = self.named(text).draw(tmp_path / "tape.svg")
        svg = file.read_text(encoding="utf-8")
        texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
        drawn = {html.unescape(piece).replace("\xa0", " ").strip() for piece in texts}
        assert shown(text).strip() in drawn
        assert "<script" not in svg
        assert "<b>" not in svg

    @needs_dot
    def test_a_file_name_is_text_in_the_tooltips(self, tmp_path: Path) -> None:
        """Code from a file with an odd name draws, and the name stays a name."""
        namespace: dict[str, Any] = {}
        name = 'odd" \\N <b> ]"; evil [label="x'
        exec(compile("def f(x):\n    return x * 2.0\n", name, "exec"), namespace)  # noqa: S102  # the name of the file is what is tested
        tape = tg.record(namespace["f"])(1.0)
        svg = tape.draw(tmp_path / "odd.svg").read_text(encoding="utf-8")
        assert "evil [label=" in svg.replace("&#45;", "-").replace("&quot;", '"')
        assert svg.count('class="node"') == len(tape) + 1

    def test_a_label_that_is_no_text_is_refused(self) -> None:
        """A name is text, on plain numbers too."""
        label: Any = tg.label

        def named(x: Any) -> Any:
            return label(x, 7)

        for call in (lambda: tg.record(named)(1.0), lambda: named(1.0)):
            assert refusal(errors.InputError, call) == (
                f"label ({place(named, 'label')}) was given an int (7) for a name: write "
                "label(x, 'name')"
            )

    def test_the_later_of_two_labels_wins(self) -> None:
        """A slot has one name, and a plain number none."""
        tape = tg.record(lambda x: tg.label(tg.label(x * 2.0, "first"), "second"))(1.0)
        assert tape.label(len(tape) - 1) == "second"
        assert tg.label(2.0, "nothing") == 2.0


class TestPictures:
    def test_the_picture_is_the_same_on_every_run(self) -> None:
        """Ids are those of the slots, and the bytes do not change."""
        assert taken().to_dot() == taken().to_dot()
        source = taken().to_dot(rankdir="TB")
        assert "rankdir=TB" in source
        drawn = [slot for slot in range(len(taken())) if f"\tn{slot} [" in source]
        assert drawn == [0, 1, 2, 3, 6, 7, 8, 9, 10]  # 4 and 5 are what the guard asked

    def test_edges_are_in_operand_order(self) -> None:
        """The edges into an operation stand in the order of its operands."""
        source = tg.record(lambda p: p[1] - p[0])([1.0, 2.0]).to_dot()
        assert re.findall(r"n(\d+) -> n2op", source) == ["1", "0"]

    def test_kinds_of_entries_differ_in_shape(self) -> None:
        """Inputs, constants, guards, outputs and operations are told apart without colour."""
        source = taken().to_dot()
        lines = {
            match[1]: match[0]
            for match in re.finditer(r"^\t(n\d+(?:op)?) \[.*$", source, re.MULTILINE)
        }

        def look(name: str) -> str:
            parts = re.findall(r"(?:shape|style|peripheries)=(?:\"[^\"]*\"|\w+)", lines[name])
            return " ".join(sorted(parts))

        looks = [look(name) for name in ("n0", "n2", "n3", "n3op", "n6", "n9", "n10")]
        assert len(set(looks)) == len(looks)

    @needs_dot
    @pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
    def test_drawing_writes_the_format_of_the_ending(self, ending: str, tmp_path: Path) -> None:
        """draw returns the path it wrote."""
        path = taken().draw(tmp_path / f"tape.{ending}")
        start = {"svg": b"<svg", "png": b"\x89PNG", "pdf": b"%PDF"}[ending]
        assert path == tmp_path / f"tape.{ending}"
        assert path.read_bytes().startswith(start)

    @needs_dot
    def test_the_svg_has_ids_and_tooltips(self, tmp_path: Path) -> None:
        """A box has the id of its entry, and its line as a tooltip."""
        svg = taken().draw(tmp_path / "tape.svg").read_text(encoding="utf-8")
        assert 'id="n3"' in svg
        assert f"<title>{place(model, 'scaled')} in model" in svg


def test_a_table_shows_every_column() -> None:
    """Slot, operation, operands, value, cotangent, label, scope and line, aligned."""
    lines = str(taken()).split("\n")
    assert lines[0].split() == [
        "slot", "operation", "operands", "value", "cotangent", "label", "scope", "line"
    ]  # fmt: skip
    assert lines[4].split() == [
        "%3", "mul", "%0", "%2", "8", lines[4].split()[5], "scaled", "outer", place(model, "scaled")
    ]  # fmt: skip
    assert lines[7].split() == ["%6", "guard", "%5", "True", "outer", place(model, "if x")]
    assert "(output)" in lines[-1]


class TestReplayedData:
    """A replay takes data of the recorded structure, and says where it differs."""

    def test_a_misfit_is_named_by_its_path(self) -> None:
        """The message leads to the argument, and to the key inside it."""
        tape = tg.record(weighted)({"a": 2.0}, [1.0, 2.0], 3)
        with pytest.raises(errors.InputError, match=r"xs has another structure .*test_tape.py:\d+"):
            tape.replay({"a": 2.0}, [1.0], 3)
        with pytest.raises(errors.InputError, match="power has another structure"):
            tape.replay({"a": 2.0}, [1.0, 2.0], 4)

    def test_data_goes_by_position_or_by_name_whatever_the_recording_did(self) -> None:
        """A replay takes the arguments that the function takes."""
        tapes: Any = (tg.record(shifted)(2.0, 3.0, y=1.0), tg.record(shifted)(2.0, x=3.0, y=1.0))
        for tape in tapes:
            assert tape.replay(2.0, 4.0, 5.0).value == tape.replay(2.0, y=5.0, x=4.0).value == 3.0
            with pytest.raises(errors.InputError, match="x is given by position and by name"):
                tape.replay(2.0, 3.0, x=4.0)
            with pytest.raises(errors.InputError, match="3 arguments after the first are too many"):
                tape.replay(2.0, 3.0, 1.0, 2.0)
        with pytest.raises(errors.InputError, match="y was not given when this tape was recorded"):
            tg.record(shifted)(2.0, 3.0).replay(2.0, 3.0, y=5.0)

    def test_an_array_of_floats_is_recorded_and_one_of_ints_is_static(self) -> None:
        """Other floats are other inputs; other ints ask for another recording."""
        weights = np.array([1.0, 2.0])
        tape = tg.record(by_array)(2.0, weights)
        assert tape.replay(3.0, 2.0 * weights).value == 18.0
        with pytest.raises(errors.InputError, match="weights has another structure"):
            tape.replay(3.0, np.ones(3))
        tape = tg.record(by_array)(2.0, weights.astype(int))
        assert tape.replay(3.0, weights.astype(int)).value == 9.0
        with pytest.raises(errors.InputError, match="weights has another structure"):
            tape.replay(3.0, 2 * weights.astype(int))


def weighted(p: Any, xs: Any, power: int) -> Any:
    return math.sum(p["a"] * x**power for x in xs)


def shifted(p: Any, x: Any, y: Any = 1.0) -> Any:
    return p * x - y


def by_array(x: Any, weights: Any) -> Any:
    return x * weights[0] + x * weights[1]
