"""Pictures by matplotlib: what stands in them, and what is said where it cannot be drawn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from math import exp, nan, sin
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import Real, math
from tapegrad.errors import InputError
from tapegrad.learn import data, losses, nn, plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@pytest.fixture(autouse=True)
def without_a_window(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Figures are drawn in memory, and closed."""
    monkeypatch.setenv("MPLBACKEND", "agg")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    yield
    pyplot.close("all")


def drawn(axes: Axes) -> Axes:
    """Axes whose picture was made, with all text inside of the figure."""
    figure = cast(Any, axes.figure)
    figure.canvas.draw()
    width, height = figure.bbox.size
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        box = text.get_window_extent()
        inside = box.x0 >= 0.0 and box.y0 >= 0.0 and box.x1 <= width and box.y1 <= height
        assert inside or not text.get_text()
    return axes


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def numbers(values: object) -> Any:
    return np.asarray(values, np.float64).tolist()


def test_a_function_stands_with_its_derivatives() -> None:
    """Each curve is the derivative of the one before."""

    def wave(x: Real) -> Real:
        return math.sin(3.0 * x)

    axes = drawn(plot.derivatives(wave, -1.0, 2.0, order=2))
    curves = [numbers(line.get_ydata()) for line in axes.get_lines()[1:]]
    xs = numbers(axes.get_lines()[1].get_xdata())
    assert curves[0] == pytest.approx([sin(3.0 * x) for x in xs])
    assert curves[2] == pytest.approx([-9.0 * sin(3.0 * x) for x in xs])
    assert legend(axes) == ["wave(x)", "wave'(x)", "wave''(x)"]
    assert axes.get_xlim() == (-1.0, 2.0)


def test_a_boundary_runs_where_the_score_changes_its_sign() -> None:
    """Points have the colours of their labels, and a line stands where the score is zero."""

    def score(point: data.Point) -> float:
        return point[0] - 0.25

    points = data.moons(40)
    axes = drawn(plot.decision_boundary(score, points.points, points.signs(), resolution=30))
    paths = [np.asarray(path.vertices) for path in cast(Any, axes.collections[0]).get_paths()]
    assert np.concatenate(paths)[:, 0] == pytest.approx(0.25)
    shown = sum(len(numbers(part.get_offsets())) for part in axes.collections[2:])
    assert (shown, legend(axes)) == (40, ["-1", "1"])


@pytest.mark.parametrize("arrays", [False, True])
def test_networks_are_classifiers_of_many_classes(arrays: bool) -> None:
    """The region of a class is where its output is the largest, and ends where two are."""
    layers = nn.DenseMLP.init([2, 3]), nn.MLP.init([2, 3])
    points = data.blobs(30, seed=1)
    model: Any = layers[0] if arrays else layers[1]
    axes = drawn(plot.decision_boundary(model, points.points, points.labels, resolution=20))
    regions = next(part for part in axes.collections if hasattr(part, "get_coordinates"))
    found = numbers(regions.get_array())
    (low_x, high_x), (low_y, high_y) = axes.get_xlim(), axes.get_ylim()
    xs, ys = np.linspace(low_x, high_x, 20), np.linspace(low_y, high_y, 20)
    outputs = np.array([[model(np.array([x, y])) for x in xs] for y in ys])
    assert np.ravel(found).tolist() == outputs.argmax(axis=-1).ravel().tolist()
    assert legend(axes) == ["0", "1", "2"]
    lines = [part for part in axes.collections if type(part).__name__ == "QuadContourSet"]
    for place in (path.vertices for part in lines for path in cast(Any, part).get_paths()):
        best = np.sort([model(corner) for corner in np.asarray(place)], axis=-1)
        assert np.median(best[:, -1] - best[:, -2]) < 1e-9  # not all: where three meet, lines bend


def test_losses_are_curves_by_step() -> None:
    """On a logarithmic scale where they can be; a loss that is lost is marked before the gap."""
    falling = [exp(-step / 9.0) for step in range(30)]
    axes = drawn(plot.loss_curves({"sgd": falling, "adam": [2.0, 1.0, nan]}))
    assert (axes.get_yscale(), legend(axes)) == ("log", ["sgd", "adam"])
    assert numbers(axes.get_lines()[0].get_ydata()) == falling
    assert numbers(axes.get_lines()[2].get_xydata()) == [[1.0, 1.0]]
    assert drawn(plot.loss_curves(iter([1.0, 0.0]))).get_yscale() == "linear"


def loss(mlp: nn.MLP[Real], xs: list[list[float]], ys: list[float]) -> Real:
    return losses.mse([mlp(x)[0] for x in xs], ys)


def test_cotangents_stand_by_layer() -> None:
    """Each entry has the size of its cotangent, in the group of its outermost scope."""
    mlp = nn.MLP.init([2, 3, 1], activation="relu")
    tape = tg.record(loss)(mlp, [[1.0, 0.0], [-1.0, 2.0]], [0.5, 1.0])
    axes = drawn(plot.cotangents(tape))
    shown = {
        int(slot): size
        for part in axes.collections
        if part.get_label() != "zero"
        for slot, size in numbers(part.get_offsets())
    }
    bars = enumerate(tape.cotangents())
    assert shown == {slot: abs(bar) for slot, bar in bars if bar is not None and bar != 0.0}
    assert legend(axes) == ["inputs", "layers.0", "layers.1", "in no scope", "zero"]


def test_a_hessian_is_a_heat_map() -> None:
    """By path, of arrays in blocks, or sparse: the sizes, and nothing where an entry is zero."""

    def chain(p: dict[str, Any]) -> Any:
        return p["s"] * (p["x"][0] * p["x"][1]) + p["x"][1] * p["x"][2] * 3.0

    point = {"s": -2.0, "x": [1.0, 5.0, 4.0]}
    want = [[0, 5, 1, 0], [5, 0, 2, 0], [1, 2, 0, 3], [0, 0, 3, 0]]
    arrays = {"s": -2.0, "x": np.array([1.0, 5.0, 4.0])}
    for matrix, names in (
        (tg.hessian(chain)(point), ["s", "x.0", "x.1", "x.2"]),
        (tg.hessian(chain)(arrays), ["s", "x"]),
        (tg.sparse_hessian(chain)(point), []),
    ):
        axes = plot.hessian(matrix)
        assert np.ma.filled(cast(Any, axes.get_images()[0].get_array()), 0.0).tolist() == want
        texts = [text.get_text() for text in axes.get_yticklabels()]
        assert texts == names or not names
        if names:
            drawn(axes)
        assert axes.get_title() == "4 inputs, 50% of the entries not zero"


def test_a_picture_is_drawn_on_the_axes_that_are_given(tmp_path: Path) -> None:
    """Several stand side by side in a figure of the user's, and go to a file."""
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, layout="constrained")
    assert plot.loss_curves([2.0, 1.0], ax=left) is left
    assert plot.derivatives(math.tanh, -1.0, 1.0, ax=right) is right
    assert figure.get_axes() == [left, right]
    plot.save(left, tmp_path / "both.png")
    assert (tmp_path / "both.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: plot.derivatives(math.sin, 1.0, 1.0),
            (
                "derivatives AT was given the range from 1 to 1: pass two finite numbers, the "
                "smaller one first"
            ),
        ),
        (
            lambda: plot.decision_boundary(sum, [(0.0, 1.0)], [0, 1]),
            (
                "decision_boundary AT was given 1 points and 2 labels: pass one label for each "
                "point, and one point or more"
            ),
        ),
        (lambda: plot.loss_curves([]), "loss_curves AT was given no losses: pass one or more"),
        (
            lambda: plot.hessian({}),
            "hessian AT was given a matrix without entries: pass inputs",
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(call: Callable[[], object], text: str) -> None:
    """It says what was given, where, and what to pass."""
    with pytest.raises(InputError) as told:
        call()
    line = call.__code__.co_firstlineno
    assert str(told.value) == text.replace("AT", f"(test_plots.py:{line})", 1)


def test_without_matplotlib_the_extra_is_named() -> None:
    """One sentence says what to install."""
    script = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'matplotlib' else find(name)\n"
        "from tapegrad.learn import plot\n"
        "try:\n    plot.loss_curves([1.0])\nexcept ImportError:\n    print('raw')\n"
        "except RuntimeError as error:\n    print(error)\n"
    )
    root = Path(__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert run.stdout == (
        "this needs matplotlib, which is not installed (<string>:6): run "
        "pip install 'tapegrad[plot]'\n"
    )
