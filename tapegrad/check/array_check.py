"""``check_grad`` where arrays are about: number by number, or along a few random directions."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final, TypeAlias, final

import attrs
import numpy as np
from numpy.typing import NDArray

from tapegrad.check.recorded_point import MARGIN, RecordedPoint
from tapegrad.check.report import Finding, Transposition, Verdict
from tapegrad.entries.columns import EntryColumns
from tapegrad.ops.array_passes import each
from tapegrad.ops.array_rows import amax, amin
from tapegrad.ops.primitive import Operand, Shape, shape_of
from tapegrad.pytree.structure import argument_paths, build, leaf_shapes, taken_apart
from tapegrad.recording.trace import Trace
from tapegrad.transforms.finite_differences import FiniteDifference, finite_difference
from tapegrad.transforms.products import vjp

__all__ = ["checked", "gradient_of"]

Seeds: TypeAlias = dict[int, Any]

_MOST: Final = 64
"""The most numbers that are checked one by one; of more, leaves along random directions."""
_RANDOM: Final = 2
"""The random directions for each leaf."""
_EPS: Final = sys.float_info.epsilon
_CANCELLATION: Final = 1e-9
_DECISIVE: Final = 5e-8
_NEGLIGIBLE: Final = 1e-10


@final
@attrs.frozen(eq=False)
class Direction:
    """Some numbers by slot, and how the direction is called."""

    name: str
    seeds: Seeds


def _weights(point: RecordedPoint) -> list[Direction]:
    """The outputs one by one, or weighted sums of them."""
    structure, slots = point.traced.result, point.outputs
    shapes = leaf_shapes(structure)
    names = argument_paths(taken_apart(structure), "")
    return _directions([*zip(slots, shapes, strict=True)], names)


def gradient_of(point: RecordedPoint) -> Callable[..., object]:
    """The function that gives the gradients of all weighted sums of the outputs."""
    f, outputs = point.f, point.outputs
    shapes = {slot: shape_of(point.values[slot]) for slot in outputs}
    zeros = {slot: np.zeros(shape) if shape else 0.0 for slot, shape in shapes.items()}
    seeds = [
        build(point.traced.result, [(zeros | weight.seeds)[slot] for slot in outputs])
        for weight in _weights(point)
    ]

    @functools.wraps(f)
    def gradient(x: object, /, *args: object, **kwargs: object) -> object:
        _, pullback = vjp(f, x, *args, **kwargs)
        found = tuple(map(pullback, seeds))
        return found[0] if len(found) == 1 else found

    return gradient


def _directions(leaves: Sequence[tuple[int, Shape]], names: Sequence[str]) -> list[Direction]:
    """Each number of the leaves by itself, or random sums where there are many."""
    if len(names) <= _MOST:
        return [Direction(name, seeds) for name, seeds in zip(names, _units(leaves), strict=True)]
    random = np.random.default_rng(0)
    found, start = [], 0
    for slot, shape in leaves:
        name = names[start].partition("[")[0] or "the result"
        start += math.prod(shape)
        for _ in range(_RANDOM if shape else 1):
            seed = random.uniform(0.5, 1.5, shape) * random.choice([-1.0, 1.0], shape)
            many = f"{name} along a random direction"
            found.append(Direction(many if shape else name, {slot: seed if shape else 1.0}))
    return found


def _units(leaves: Sequence[tuple[int, Shape]]) -> Iterator[Seeds]:
    for slot, shape in leaves:
        for place in product(*map(range, shape)):
            seed: Any = 1.0
            if shape:
                seed = np.zeros(shape)
                seed[place] = 1.0
            yield {slot: seed}


def checked(
    point: RecordedPoint, order: int, modes: Sequence[str]
) -> tuple[list[Finding], list[Transposition]]:
    """The findings for all outputs and inputs, and the transpose law along random directions."""
    structure = point.traced.parameters
    shapes = leaf_shapes(structure)
    names = argument_paths(taken_apart(structure), point.inputs[0] if point.inputs else "x")
    inputs, outputs = _directions([*enumerate(shapes)], names), _weights(point)
    lines = [_Line(point, direction) for direction in inputs]
    found = []
    for weight in outputs:
        bars = point.cotangents(weight.seeds)
        largest = max((abs(_dot(x.seeds, bars)) for x in inputs), default=0.0)
        found += [line.finding(weight, bars, order, modes, largest) for line in lines]
    return found, list(_laws(point, inputs, outputs, order, modes))


def _laws(
    point: RecordedPoint,
    inputs: Sequence[Direction],
    outputs: Sequence[Direction],
    order: int,
    modes: Sequence[str],
) -> Iterator[Transposition]:
    """The transpose law along the sum of all directions."""
    if len(set(modes)) < 2 or not (inputs and outputs):
        return
    v, w = _sum_of(inputs), _sum_of(outputs)
    dots, bars = point.tangents(v), point.cotangents(w)
    forward, reverse = _dot(w, dots), _dot(v, bars)
    yield Transposition(order, forward, reverse, _rounding(point, bars, dots, forward))


def _sum_of(directions: Sequence[Direction]) -> Seeds:
    found: Seeds = {}
    for at, direction in enumerate(directions):
        factor = (-1.0) ** at * (0.5 + math.fmod(0.6180339887498949 * (at + 1), 1.0))
        for slot, seed in direction.seeds.items():
            found[slot] = found.get(slot, 0.0) + factor * seed
    return found


def _dot(seeds: Mapping[int, Any], found: Sequence[Any]) -> float:
    """The sum of products; an absent derivative is 0."""
    return float(
        sum(np.sum(seed * found[slot]) for slot, seed in seeds.items() if found[slot] is not None)
    )


def _rounding(point: RecordedPoint, bars: Sequence[Any], dots: Sequence[Any], size: float) -> float:
    """The rounding error that a derivative of this size can have."""
    products = [
        float(np.sum(np.abs(np.asarray(bar) * dot)))
        for bar, dot in zip(bars, dots, strict=True)
        if bar is not None and dot is not None
    ]
    largest = max(filter(math.isfinite, products), default=0.0)
    relative = math.fabs(size) if math.isfinite(size) else 0.0
    return _CANCELLATION * relative + (16.0 + len(bars)) * _EPS * largest


@final
class _Line:
    """A function along one direction from a point, on the smooth piece that the point is on."""

    def __init__(self, point: RecordedPoint, direction: Direction) -> None:
        self.point, self.direction = point, direction
        self.dots = point.tangents(direction.seeds)
        self._samples: dict[float, tuple[Sequence[Operand] | None, bool]] = {}

    def outputs(self, t: float) -> tuple[Sequence[Operand] | None, bool]:
        """The outputs so far along, and whether they are on the piece of the point.

        There are none where the function raises.
        """
        if t not in self._samples:
            point, seeds = self.point, self.direction.seeds
            leaves: list[Any] = list(point.values[: point.traced.width])
            for slot, seed in seeds.items():
                leaves[slot] = leaves[slot] + t * seed
            moved = point.moved_to(leaves)
            if moved is None:
                self._samples[t] = None, False
            else:
                values = [moved.columns.values[slot] for slot in moved.outputs]
                self._samples[t] = values, _is_same_piece(point.traced, moved)
        return self._samples[t]

    def value(self, weight: Direction, t: float) -> float:
        """The weighted sum of the outputs; nan off the piece of the point."""
        outputs, is_same = self.outputs(t)
        if outputs is None or not is_same:
            return math.nan
        values = dict(zip(self.point.outputs, outputs, strict=True))
        return float(sum(np.sum(seed * values[slot]) for slot, seed in weight.seeds.items()))

    def finding(
        self,
        weight: Direction,
        bars: Sequence[Any],
        order: int,
        modes: Sequence[str],
        largest: float,
    ) -> Finding:
        """The verdict on the derivative of a weighted sum of the outputs along the direction."""
        by_mode = {
            "reverse": _dot(self.direction.seeds, bars),
            "forward": _dot(weight.seeds, self.dots),
        }
        numbers = [by_mode[mode] for mode in modes]
        rounding = _rounding(self.point, bars, self.dots, numbers[0])
        found = finite_difference(
            lambda t: self.value(weight, t), 0.0, numbers[0], _noise(self.point, bars)
        )
        verdict = self._verdict(weight, numbers[0], found, rounding, largest)
        reason = self._reason(verdict)
        if max(numbers) - min(numbers) > rounding:
            verdict = "wrong"
            reason = " and ".join(f"{mode} gives {by_mode[mode]!r}" for mode in modes)
        site = None if verdict == "right" else self.point.tape.site(self._heaviest(bars))
        name = self.direction.name
        return Finding(
            order, weight.name, name, numbers[0], found.value, found.error, verdict, reason, site
        )

    def _reason(self, verdict: Verdict) -> str:
        texts = {
            "kink": "a branch, a side or a tie changes here",
            "not decided": "hidden by rounding",
            "wrong": "",
            "right": "",
        }
        return texts[verdict]

    def _verdict(
        self,
        weight: Direction,
        tape: float,
        found: FiniteDifference,
        rounding: float,
        largest: float,
    ) -> Verdict:
        tolerance = MARGIN * found.error + rounding
        if not math.isfinite(tolerance) or not math.isfinite(tape):
            changed = any(y is not None and not same for y, same in self._samples.values())
            return "kink" if changed else "not decided"
        if math.fabs(tape - found.value) > tolerance:
            return "not decided" if any(x.is_near(tape) for x in found.rivals) else "wrong"
        size = max(math.fabs(tape), math.fabs(found.value))
        if tape == 0.0:
            size = max(size, math.fabs(self.value(weight, 0.0)))
        is_seen = math.fabs(found.value) > MARGIN * found.error
        if tolerance <= _DECISIVE * size or (is_seen and tolerance <= _NEGLIGIBLE * largest):
            return "right"
        is_constant = found.value == tape == 0.0 and found.error <= 1e-300
        return "right" if is_constant else "not decided"

    def _heaviest(self, bars: Sequence[Any]) -> int:
        """The entry through which most of the derivative passes."""
        pairs = enumerate(zip(bars, self.dots, strict=True))
        weights = {
            slot: float(np.sum(np.abs(np.asarray(bar) * dot)))
            for slot, (bar, dot) in pairs
            if bar is not None and dot is not None and slot >= self.point.traced.width
        }
        return max(weights, key=weights.__getitem__, default=self.point.outputs[0])


def _noise(point: RecordedPoint, bars: Sequence[Any]) -> float:
    """The largest error that the rounding of one element gives an output."""
    with np.errstate(invalid="ignore", over="ignore"):  # no error comes from an infinite element
        shares = [
            np.abs(np.asarray(bar) * value)
            for bar, value in zip(bars, point.values, strict=True)
            if bar is not None
        ]
    largest = (float(np.max(share, where=np.isfinite(share), initial=0.0)) for share in shares)
    return max((_EPS * share for share in largest if share > 0.0), default=5e-324)


def _is_same_piece(base: Trace, other: Trace) -> bool:
    """Whether two calls take the same branches, sides and places, element by element."""
    ours, theirs = base.columns, other.columns
    if list(ours.codes) != list(theirs.codes):
        return False
    return all(_same(_piece(ours, slot), _piece(theirs, slot)) for slot in range(len(ours)))


def _same(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.shape == other.shape and bool(np.array_equal(one, other, equal_nan=True))


def _piece(columns: EntryColumns, slot: int) -> NDArray[Any] | None:
    """Numbers for the piece that an entry is on; None for a smooth one."""
    row, y = columns.row(slot), columns.values[slot]
    xs = columns.arguments(slot)
    if row.is_truth or (row.array is not None and row.array.pulls in {(None,), (None, None)}):
        return np.asarray(y, np.float64)
    if row in {amax, amin}:
        keep = np.expand_dims(np.asarray(y), xs[1][0]) if not xs[1][1] else np.asarray(y)  # type: ignore[index]  # axes, and whether they stay
        return np.asarray(np.equal(np.asarray(xs[0]), keep), np.float64)
    if row.pieces is None:
        return None
    return np.asarray(each(row.pieces.of, y, *xs), np.float64)
