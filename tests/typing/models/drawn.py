"""Pictures of a tape, as an object of the graphviz package, which has no types of its own."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import assert_type

import tapegrad as tg
from tapegrad import Real, math


def wave(x: Real, y: float) -> Real:
    return math.sin(x * y)


drawn = tg.record(wave)(1.0, 2.0).to_graphviz(rankdir="TB")
drawn.format = "svg"
assert assert_type(drawn.source, str).startswith("digraph")
assert assert_type(drawn.copy().format, str) == "svg"
assert "".join(drawn) == drawn.source
with TemporaryDirectory() as folder:
    saved = assert_type(drawn.save("wave.dot", directory=folder), str)
    assert Path(saved).read_text() == drawn.source


def rendered() -> tuple[bytes, str, str]:
    narrower = drawn.unflatten(stagger=2)
    return narrower.pipe(), drawn.pipe("svg", encoding="utf-8"), drawn.render("wave", cleanup=True)
