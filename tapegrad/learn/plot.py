"""Pictures of functions, networks, training and tapes, by matplotlib (the extra ``plot``).

    derivatives          a function of one number, and its derivatives
    decision_boundary    what a classifier says in the plane, and the points it learned from
    loss_curves          losses by step, on a logarithmic scale
    cotangents           how large the cotangents along a tape are, layer by layer
    hessian              the size of each entry of a Hessian, and which entries are zero

Each draws on the Axes that it is given, or on those of a new figure, and returns them; ``save``
writes the figure to a file. The colours can be told apart by those who are colour-blind, and in
print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import factorial, inf
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, cast

from tapegrad._support.optional_packages import require
from tapegrad._support.source_position import here
from tapegrad._support.text import number, visible
from tapegrad.errors import InputError
from tapegrad.sweep.sparse_matrix import Coordinates
from tapegrad.transforms.taylor import taylor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tapegrad.learn.data import Point
    from tapegrad.learn.dense import DenseMLP
    from tapegrad.numpy.arrays import Floats
    from tapegrad.recording.recorder import Var
    from tapegrad.tape import Tape

__all__ = ["cotangents", "decision_boundary", "derivatives", "hessian", "loss_curves", "save"]

_COLOURS: Final = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000",
)  # fmt: skip
"""The colours of Okabe and Ito, the strongest first."""

_MARKERS: Final = "os^Dv*X"
_LINES: Final = ("-", "--", "-.", ":")


def derivatives(
    f: Callable[[float], float] | Callable[[float], float | Var],
    low: float,
    high: float,
    *,
    order: int = 2,
    ax: Axes | None = None,
) -> Axes:
    """A function of one number between two numbers, and its derivatives up to an order.

    Raises:
        InputError: when ``low`` is not below ``high``, or the order is not 0, 1, 2, ...
        BackendError: where matplotlib is not installed.
    """
    axes = _axes(ax)
    if not -inf < low < high < inf:
        raise InputError(
            f"derivatives ({here()}) was given the range from {number(low)} to {number(high)}: "
            "pass two finite numbers, the smaller one first"
        )
    xs = [low + (high - low) * step / 400.0 for step in range(401)]
    series = taylor(cast(Callable[[float], float], f), order)
    rows = [series(x) for x in xs]
    name = visible(getattr(f, "__name__", "f")).replace("<lambda>", "f")
    axes.axhline(0.0, color="0.8", linewidth=0.8, zorder=0)
    for k in range(order + 1):
        ys = [factorial(k) * row[k] for row in rows]
        axes.plot(xs, ys, _LINES[k % 4], color=_colour(k), label=f"{name}{_primes(k)}(x)")
    axes.set(xlabel="x", xlim=(low, high), title=f"{name} and its derivatives" if order else name)
    axes.legend()
    return axes


def _primes(order: int) -> str:
    return "'" * order if order < 4 else f"$^{{({order})}}$"


def decision_boundary(
    model: Callable[[Point], float | Sequence[float]] | DenseMLP[Floats],
    points: Sequence[Point] | Floats,
    labels: Sequence[int] | Sequence[float],
    *,
    resolution: int = 80,
    ax: Axes | None = None,
) -> Axes:
    """Regions of the plane by the class that a model finds there, and points with their labels.

    The model is a network of numbers or of arrays with two inputs, or a function of a point. One
    output is a score, which changes its sign at the boundary; several are one for each class, of
    which the largest counts. The model is called at ``resolution`` squared points.

    Raises:
        InputError: when there are not as many labels as points, or no points.
        BackendError: where matplotlib is not installed.
    """
    axes = _axes(ax)
    import numpy as np

    places = np.asarray(points, np.float64)
    if not len(places) or len(places) != len(labels):
        raise InputError(
            f"decision_boundary ({here()}) was given {len(places)} points and {len(labels)} "
            "labels: pass one label for each point, and one point or more"
        )
    low, high = places.min(axis=0), places.max(axis=0)
    margin = 0.12 * (high - low).max() + 1e-9
    xs, ys = (np.linspace(low[axis] - margin, high[axis] + margin, resolution) for axis in range(2))
    outputs = _outputs(model, [(x, y) for y in ys.tolist() for x in xs.tolist()])
    _shade(axes, xs, ys, outputs.reshape(len(ys), len(xs), -1))
    _scatter(axes, places, labels, by_number=outputs.shape[-1] > 1)
    axes.set(xlabel="$x_0$", ylabel="$x_1$", xlim=xs[[0, -1]], ylim=ys[[0, -1]], aspect="equal")
    axes.legend(title="label", framealpha=0.9)
    return axes


def _outputs(model: Any, places: Sequence[Point]) -> Any:
    """The outputs at all places, with a row for each."""
    import numpy as np

    from tapegrad.learn.dense import DenseMLP

    if isinstance(model, DenseMLP):
        return model(np.array(places))
    return np.array([np.ravel(model(place)) for place in places], np.float64)


def _shade(axes: Axes, xs: Any, ys: Any, outputs: Any) -> None:
    """The regions in pale colours, and the lines between them."""
    import numpy as np
    from matplotlib.colors import ListedColormap

    if outputs.shape[-1] == 1:
        regions, classes = (outputs[..., 0] > 0.0).astype(float), 2
        axes.contour(xs, ys, outputs[..., 0], levels=[0.0], colors="black", linewidths=1.2)
    else:
        regions, classes = outputs.argmax(axis=-1).astype(float), outputs.shape[-1]
        for place in range(classes):
            lead = outputs[..., place] - np.delete(outputs, place, axis=-1).max(axis=-1)
            if lead.min() < 0.0 < lead.max():
                axes.contour(xs, ys, lead, levels=[0.0], colors="black", linewidths=1.2)
    axes.pcolormesh(
        xs,
        ys,
        regions,
        cmap=ListedColormap([_colour(place) for place in range(classes)]),
        vmin=-0.5,
        vmax=classes - 0.5,
        alpha=0.22,
        shading="nearest",
        linewidth=0.0,
        rasterized=True,
    )


def _scatter(axes: Axes, places: Any, labels: Any, *, by_number: bool) -> None:
    """The points of each label; ``by_number`` its colour is that of the class it is."""
    import numpy as np

    of_all = np.asarray(labels)
    for order, label in enumerate(np.unique(of_all).tolist()):
        chosen, place = places[of_all == label], int(label) if by_number else order
        axes.scatter(
            chosen[:, 0],
            chosen[:, 1],
            s=26,
            marker=_MARKERS[place % len(_MARKERS)],
            color=_colour(place),
            edgecolors="white",
            linewidths=0.6,
            label=number(label),
            zorder=3,
        )


def loss_curves(
    losses: Iterable[float] | Mapping[str, Iterable[float]], *, ax: Axes | None = None
) -> Axes:
    """Losses by step: of one training, or of several by name.

    The scale is logarithmic where all losses are above 0. A step whose loss is not finite leaves a
    gap, and the first is marked by a cross at the last loss before it.

    Raises:
        InputError: when there are no losses.
        BackendError: where matplotlib is not installed.
    """
    axes = _axes(ax)
    named = losses if isinstance(losses, Mapping) else {"loss": losses}
    curves = {name: list(map(float, curve)) for name, curve in named.items()}
    if not curves or not all(curves.values()):
        raise InputError(f"loss_curves ({here()}) was given no losses: pass one or more")
    for place, (name, curve) in enumerate(curves.items()):
        axes.plot(curve, _LINES[place % 4], color=_colour(place), label=visible(name))
        lost = next((step for step, loss in enumerate(curve) if not -inf < loss < inf), None)
        if lost:
            axes.plot(lost - 1, curve[lost - 1], "X", color=_colour(place), markersize=9)
    finite = [loss for curve in curves.values() for loss in curve if -inf < loss < inf]
    axes.set(xlabel="step", ylabel="loss", yscale="log" if min(finite, default=0) > 0 else "linear")
    axes.grid(visible=True, which="major", color="0.9")
    if len(curves) > 1:
        axes.legend()
    return axes


def cotangents(tape: Tape[Any, ..., Any], *, ax: Axes | None = None) -> Axes:
    """The size of the cotangent of each entry of a tape, which shows where gradients vanish.

    A cotangent is the derivative of the result in that entry; of an array the largest counts.
    Entries stand in the order in which they were computed, in the colour of their outermost scope.
    A cotangent that is zero stands on the lowest line, and one that never arrives is left out.

    Raises:
        OutputError: when the tape has not exactly one output.
        BackendError: where matplotlib is not installed.
    """
    axes = _axes(ax)
    import numpy as np

    bars = tape.cotangents()
    sizes = [-1.0 if bar is None else float(np.max(np.abs(bar))) for bar in bars]
    groups: dict[str, list[int]] = {}
    for slot, size in enumerate(sizes):
        if 0.0 < size < inf:
            groups.setdefault(_group(tape, slot), []).append(slot)
    for place, (name, slots) in enumerate(groups.items()):
        axes.scatter(
            slots,
            [sizes[slot] for slot in slots],
            s=14,
            marker=_MARKERS[place % len(_MARKERS)],
            color=_colour(place),
            label=visible(name),
        )
    zeros = [slot for slot, size in enumerate(sizes) if size == 0.0]
    if zeros:
        bottom, across = [0.015] * len(zeros), axes.get_xaxis_transform()
        axes.scatter(zeros, bottom, s=14, marker="x", color="0.4", label="zero", transform=across)
    axes.set(xlabel="entry of the tape", ylabel="size of its cotangent", yscale="log")
    axes.grid(visible=True, axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.legend(framealpha=0.9)
    return axes


def _group(tape: Tape[Any, ..., Any], slot: int) -> str:
    """The outermost scope of an entry, or that it is an input."""
    scopes = tape.scope(slot)
    if scopes:
        return scopes[0]
    return "inputs" if slot in tape.inputs else "in no scope"


def hessian(
    matrix: Mapping[str, Mapping[str, float | Floats]] | Coordinates, *, ax: Axes | None = None
) -> Axes:
    """A Hessian as a heat map: how large each entry is, and white where it is zero.

    It takes what ``tg.hessian(f)(x)`` gives, with the paths of the inputs, or the sparse matrix of
    ``tg.sparse_hessian(f)(x)``.

    Raises:
        InputError: for a matrix without entries.
        BackendError: where matplotlib is not installed.
    """
    axes = _axes(ax)
    from matplotlib.colors import LogNorm

    sizes, names, ends = _sizes(matrix)
    if not sizes.size:
        raise InputError(f"hessian ({here()}) was given a matrix without entries: pass inputs")
    finite = sizes[(sizes > 0.0) & (sizes < inf)]
    top = finite.max() if finite.size else 1.0
    low = max(finite.min(), 1e-12 * top) if finite.size else 0.1
    scale = LogNorm(low, top if top > low else 10.0 * low)
    shown = axes.imshow(_masked(sizes), cmap="cividis_r", norm=scale, interpolation="nearest")
    axes.figure.colorbar(shown, ax=axes, label="size of the second derivative")
    _name_lines(axes, names, ends)
    axes.set_title(f"{len(sizes)} inputs, {(sizes != 0.0).mean():.0%} of the entries not zero")
    return axes


def _sizes(matrix: Any) -> tuple[Any, list[str], list[int]]:
    """The absolute values, and the names of the inputs and where the lines of each end."""
    import numpy as np

    if isinstance(matrix, Coordinates):
        dense = np.zeros(matrix.shape)
        dense[list(matrix.rows), list(matrix.columns)] = np.abs(matrix.values)
        return dense, [], []
    lengths = {name: round(np.size(row[name]) ** 0.5) for name, row in matrix.items()}
    blocks = [
        [np.reshape(np.abs(row[other]), (lengths[name], lengths[other])) for other in lengths]
        for name, row in matrix.items()
    ]
    sizes = np.block(blocks) if blocks else np.zeros((0, 0))
    return sizes, list(lengths), np.cumsum(list(lengths.values())).tolist()


def _masked(sizes: Any) -> Any:
    import numpy as np

    return np.ma.masked_where(sizes == 0.0, sizes)


def _name_lines(axes: Axes, names: Sequence[str], ends: Sequence[int]) -> None:
    """The names of inputs beside their lines, and lines between them, while they are few."""
    if not 0 < len(names) <= 32:
        axes.set(xlabel="input", ylabel="input")
        return
    starts = [0, *ends[:-1]]
    middles = [(start + end - 1) / 2.0 for start, end in zip(starts, ends, strict=True)]
    axes.set_xticks(middles, map(visible, names), rotation=90)
    axes.set_yticks(middles, map(visible, names))
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="0.85", linewidth=0.5)
        axes.axvline(end - 0.5, color="0.85", linewidth=0.5)


def save(axes: Axes, path: str | PathLike[str]) -> None:
    """Writes the figure of the Axes to a file, whose ending says the format: .png, .svg, .pdf."""
    cast(Any, axes.figure).savefig(path, bbox_inches="tight")


def _axes(ax: Axes | None) -> Axes:
    """The Axes given, or those of a new figure."""
    require("matplotlib")
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots(layout="constrained")[1]


def _colour(place: int) -> str:
    return _COLOURS[place % len(_COLOURS)]
