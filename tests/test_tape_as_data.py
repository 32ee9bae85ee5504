"""A tape for other programs and other eyes: as JSON, as a tree, and by the names on it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import errors, math
from tests.places import refusal
from tests.strategies import Program, points, programs


def lecture(p: Any) -> Any:
    e = tg.label(p["a"] * p["b"], "e")
    d = tg.label(e + p["c"], "d")
    return tg.label(d * p["f"], "L")


def square(x: Any) -> Any:
    return x * x


POINT = {"a": 2.0, "b": -3.0, "c": 10.0, "f": -2.0}


class TestJson:
    @given(st.data(), programs())
    def test_it_says_what_the_nodes_say(self, data: st.DataObject, program: Program) -> None:
        """Every entry is there, with its kind, operands, value and place, in strict JSON."""
        tape = tg.record(program)(data.draw(points(program.width)))
        told = json.loads(tape.to_json(), parse_constant=pytest.fail)
        assert [entry["slot"] for entry in told["entries"]] == list(range(len(tape)))
        for node, entry in zip(tape, told["entries"], strict=True):
            kind = "operation" if isinstance(node, tg.Apply) else type(node).__name__.lower()
            value = float(node.outcome if isinstance(node, tg.Guard) else node.value)
            assert entry["kind"] == kind
            assert entry["operands"] == list(tape.columns.operands(node.slot))
            assert float(entry["value"]) == value or value != value
            site = tape.site(node.slot)
            assert (entry["site"] or {}).get("line") == (site.line if site else None)
        assert [output["slot"] for output in told["outputs"]] == list(tape.outputs)

    def test_names_and_cotangents(self) -> None:
        """Labels, inputs, outputs and the function go by their names."""
        told = json.loads(tg.record(lecture)(POINT).to_json())
        found = {entry["name"]: entry["cotangent"] for entry in told["entries"]}
        assert (told["version"], told["function"], told["inputs"]) == (1, "lecture", [*POINT])
        assert found == {"a": 6, "b": -4, "c": -2, "f": 4, "e": -2, "d": -2, "L": 1}
        several = json.loads(tg.record(lambda x: {"y": x * x, "z": [x]})(2.0).to_json())
        assert several["outputs"] == [{"slot": 1, "name": "y"}, {"slot": 0, "name": "z.0"}]

    def test_arrays_are_nested_lists(self) -> None:
        """Numbers that JSON does not have are texts, inside arrays, too."""
        numpy = pytest.importorskip("numpy")
        tape = tg.record(lambda w: numpy.sum(w[:, 1:] * 2.0))(
            numpy.array([[1.0, 2.0], [3.0, math.inf]])
        )
        entries = json.loads(tape.to_json())["entries"]
        assert entries[0]["value"] == [[1.0, 2.0], [3.0, "inf"]]
        assert entries[1]["static"] == ["[:, 1:]"]
        assert entries[-1]["value"] == "inf"


class TestTrees:
    def test_the_result_stands_above_what_it_is_made_of(self) -> None:
        """As articles draw it: name, operation, value and gradient, operands below."""
        assert tg.record(lecture)(POINT).tree().split("\n") == [
            "L = d * f = -8   grad 1",
            "├── d = e + c = 4   grad -2",
            "│   ├── e = a * b = -6   grad -2",
            "│   │   ├── a = 2   grad 6",
            "│   │   └── b = -3   grad -4",
            "│   └── c = 10   grad -2",
            "└── f = -2   grad 4",
        ]

    def test_shared_values_are_spelled_out_once(self) -> None:
        """Later they are referred to, so a tree is as long as its tape; constants have no line."""

        def f(x: Any) -> Any:
            for _ in range(50):
                x = x * x * 1.0
            return x

        tape = tg.record(f)(1.0)
        lines = tape.tree().split("\n")
        assert len(lines) < 4 * len(tape)
        spelled = [line for line in lines if " = " in line and "(above)" not in line]
        assert len(spelled) == 100 + 2  # x, which has no operands, is written twice

    def test_long_chains_neither_recurse_nor_drift_away(self) -> None:
        """Far inside, the depth is written in figures."""

        def f(x: Any) -> Any:
            for _ in range(5_000):
                x = math.sin(x)
            return x

        lines = tg.record(f)(1.0).tree().split("\n")
        assert len(lines) == 5_001
        assert "(5,000) x = 1" in lines[-1]
        assert max(map(len, lines)) < 250

    def test_data_has_no_gradient(self) -> None:
        """It is not differentiated; the parameters are, in the tree and in the table."""
        tape = tg.record(lambda w, x: w * x)(2.0, 3.0)
        assert tape.tree().endswith("├── w = 2   grad 3\n└── x = 3")
        rows = [line.split() for line in str(tape).split("\n")]
        assert rows[1][:5] == ["%0", "input", "2", "3", "w"]
        assert rows[2][:4] == ["%1", "input", "3", "x"]


class TestNamedCotangents:
    def test_they_are_those_of_labels_and_parameters(self) -> None:
        """As a lecture reads them off its drawing, in the order of the tape."""
        named = tg.record(lecture)(POINT).named_cotangents()
        assert named == {"a": 6.0, "b": -4.0, "c": -2.0, "f": 4.0, "e": -2.0, "d": -2.0, "L": 1.0}

    def test_no_name_hides_another(self) -> None:
        """Where several entries have one name, their slots are told; what is not reached is 0."""

        def f(x: Any, y: float) -> Any:
            tg.label(x * 5.0, "unused")
            for _ in range(2):
                x = tg.label(x * x * y, "x")
            return x

        named = tg.record(f)(1.0, 1.0).named_cotangents()
        assert named == {"x %0": 4.0, "unused": 0.0, "x %5": 2.0, "x %7": 1.0}

    def test_several_outputs_have_none(self) -> None:
        """The error is that of cotangents."""
        tape = tg.record(lambda x: [x, x])(1.0)
        assert refusal(errors.OutputError, tape.named_cotangents).startswith("this tape has 2 outp")


class TestNames:
    @pytest.mark.parametrize("times", [1, 2])
    def test_a_recorded_gradient_keeps_labels(self, times: int) -> None:
        """An entry that computes a labelled number has its label, however deep it is."""
        f: Any = lecture if times == 1 else lambda p: tg.grad(lecture)(p)["a"] * p["a"]
        tape = tg.record(tg.grad(f))(POINT)
        values = {label: tape.values[slot] for slot, label in tape.labels}
        assert values == {"e": -6.0, "d": 4.0, "L": -8.0}

    def test_a_name_of_an_outer_recording_stays(self) -> None:
        """The inner function does not rename what it is given."""

        def inner(z: Any) -> Any:
            return tg.label(z, "z") * z

        tape = tg.record(lambda x: tg.grad(inner)(tg.label(x * 3.0, "tripled")))(1.0)
        assert [label for _, label in tape.labels] == ["tripled"]

    def test_outputs_have_the_names_of_their_places(self) -> None:
        """Those of a recorded gradient say so; an entry with another name tells both."""
        table = str(tg.record(tg.grad(lecture))(POINT))
        for name in ("f (output grad.c)", "d (output grad.f)", "grad.a (output)"):
            assert f"  {name}  " in table
        boxes = tg.record(tg.grad(lecture))(POINT).draw().picture.boxes
        shown = {box.cells[0] for box in boxes if box.is_output}
        assert shown == {"f = grad.c", "d = grad.f", "grad.a", "grad.b"}
        assert "grad (output)" in str(tg.record(tg.grad(square))(2.0))
        assert "value (output)" in str(tg.record(tg.value_and_grad(square))(2.0))

    def test_a_list_goes_by_its_parameter(self) -> None:
        """As Python writes it, in tables and in pictures, and it may be asked for so."""

        def f(w: Any, xs: Any, p: Any) -> Any:
            return w[0][1] * xs[1] * p["q"][0]

        tape = tg.record(f)([[1.0, 2.0], 3.0], [4.0, 5.0], {"q": [6.0]})
        names = ["w[0][0]", "w[0][1]", "w[1]", "xs[0]", "xs[1]", "p:q.0"]
        assert all(f"  {name}  " in str(tape) for name in names)
        boxes = [box.cells[0] for box in tape.draw().picture.boxes[:6]]
        assert boxes == names
        assert tape.paths == ("0.0", "0.1", "1", "xs:0", "xs:1", "p:q.0")
        for name in ("w[0][1]", "0.1"):
            assert tape.explain(wrt=name).derivative == 30.0
            assert tape.draw(around=name).picture.boxes[0].cells[0] == "w[0][1]"
