"""Derivatives checked: against differences, forward against reverse, and the transpose law."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Final, Literal, TypeAlias, cast, final

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import Site, here
from tapegrad.check.pieces import change, change_at, piece_of, watched
from tapegrad.check.report import Finding, GradientCheck, Transposition, Verdict, exact
from tapegrad.entries.columns import Columns
from tapegrad.errors import InputError
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tapegrad.pytree.structure import build, key_paths
from tapegrad.recording.trace import Trace, trace
from tapegrad.transforms.finite_differences import Difference, difference
from tapegrad.transforms.products import vjp
from tapegrad.transforms.traced_call import Data, freeze, gathered

__all__ = ["Mode", "check_grad"]

Mode: TypeAlias = Literal["forward", "reverse"]
"""A direction in which a tape is swept."""

_EPS: Final = sys.float_info.epsilon
_MARGIN: Final = 10.0
"""So many estimated errors a difference may be off."""

_DECIDED: Final = 5e-8
"""Half of the 1e-7 that must be told apart."""

_ROUNDING: Final = 1e-9
"""What cancellation inside an entry may cost a derivative, beside what is known of it."""

_FEW: Final = 16.0
"""So many roundings in one partial."""

_NEGLIGIBLE: Final = 1e-10
"""Beside the largest derivative of the same output."""


def check_grad(
    f: Callable[..., object],
    x: object,
    /,
    *args: object,
    order: Literal[1, 2] = 1,
    modes: Sequence[Mode] = ("reverse", "forward"),
    **kwargs: object,
) -> GradientCheck:
    """Check the derivatives of ``f`` in every number of its first argument.

    Each is compared with central differences of ``f``, extrapolated (C. J. F. Ridders, 1982) and
    with an estimate of their error. It is *wrong* where it is off by more than ten times that
    estimate and by more than rounding can do (1e-9 of it), and *right* only where a factor of
    1 + 1e-7 would have been seen, or what could hide is below 1e-10 of the largest derivative of
    the same number; else it is *not decided*. Differences are taken between calls that take the
    same branches and sides, so a point at a *kink* is said to be one, with its line.

    ``modes`` are compared with each other, and with both of them the transpose law
    w . (J v) = (J^T w) . v is held along two directions. With ``order=2`` the derivatives of the
    gradient are checked in the same way.

    The line that a wrong derivative is put down to is that of the entry with the largest
    ``abs(cotangent * error * tangent)``, where the error is that of one of its partials, found by
    differences of the operation at the recorded operands; of one that is not decided, that of the
    entry with the largest ``abs(cotangent * value)``, whose rounding is felt most.

    ``f`` may return several numbers. It is called some 40 to 80 times for each number of ``x``.

    Raises:
        InputError: when ``x`` holds anything but plain numbers, or ``order`` or ``modes`` is
            unknown.

    >>> from tapegrad import Real, math
    >>> def f(p: tuple[Real, Real]) -> Real:
    ...     return math.sin(p[0]) * p[1]
    >>> report = check_grad(f, (0.0, 2.0))
    >>> report.ok, report.findings[0].tape
    (True, 2.0)
    >>> check_grad(abs, 0.0).findings[0].verdict
    'kink'
    """
    _require_known(order, modes)
    data = gathered(args, kwargs)
    subject = _Subject(f, x, data, 1, modes)
    findings, laws = subject.findings(), subject.laws()
    if order == 2:
        second = subject.gradient()
        findings, laws = findings + second.findings(), laws + second.laws()
    return GradientCheck(name_of(f), findings, laws)


def _require_known(order: int, modes: Sequence[Mode]) -> None:
    if order not in {1, 2}:
        raise InputError(f"order={order!r} ({here()}) is unknown: use 1 or 2")
    if not modes or not {"forward", "reverse"}.issuperset(modes):
        raise InputError(
            f"modes={modes!r} ({here()}) is unknown: use ('reverse', 'forward') or one of them"
        )


@final
class _Subject:
    """A function at a point, recorded there, and its derivatives by every road."""

    def __init__(
        self,
        f: Callable[..., object],
        x: object,
        data: Data,
        order: int,
        modes: Sequence[Mode],
        names: Sequence[str] | None = None,
    ) -> None:
        self.f = f
        self.x = x
        self.data = data
        self.order = order
        self.modes = modes
        self.traced = trace(f, x, data, positions=True)
        self.columns = self.traced.columns
        if self.columns.traced:
            raise InputError(
                f"check_grad ({here()}) is given traced numbers: call it with plain ones, "
                "outside the recorded function"
            )
        self.tape = freeze(f, self.traced)
        self.watched = watched(self.columns)
        self.inputs = self.tape.paths[: self.traced.width]
        self.outputs = self.traced.outputs
        self.names = key_paths(self.traced.result) if names is None else names

    @functools.cached_property
    def bars(self) -> list[list[float | None]]:
        """For each output the cotangents of all slots."""
        return [_pulled(self.columns, {output: 1.0}) for output in self.outputs]

    def gradient(self) -> _Subject:
        """The gradients of all outputs, as a function at the same point."""
        f, structure, count = self.f, self.traced.result, len(self.outputs)
        seeds = [build(structure, (float(k == j) for k in range(count))) for j in range(count)]

        @functools.wraps(f)
        def gradient(x: object, /, *args: object, **kwargs: object) -> object:
            _, pullback = vjp(f, x, *args, **kwargs)
            return tuple(map(pullback, seeds))

        names = [", ".join(filter(None, (of, path))) for of in self.names for path in self.inputs]
        return _Subject(gradient, self.x, self.data, 2, self.modes, names)

    def findings(self) -> tuple[Finding, ...]:
        """What is found for every output and every input."""
        found = [_Input(self, index).findings() for index in range(len(self.inputs))]
        return tuple(line[j] for j in range(len(self.outputs)) for line in found)

    def laws(self) -> tuple[Transposition, ...]:
        """The transpose law along two pairs of directions."""
        if len(set(self.modes)) < 2 or not (self.outputs and self.inputs):
            return ()
        return tuple(map(self._law, (0.0, 0.5)))

    def _law(self, shift: float) -> Transposition:
        v = dict(enumerate(_direction(len(self.inputs), shift)))
        w = dict(zip(self.outputs, _direction(len(self.outputs), shift), strict=True))
        dots, bars = _pushed(self.columns, v), _pulled(self.columns, w)
        forward = sum(w[slot] * (dots[slot] or 0.0) for slot in w)
        reverse = sum((bars[slot] or 0.0) * v[slot] for slot in v)
        return Transposition(self.order, forward, reverse, self.rounding(bars, dots, forward))

    @functools.cached_property
    def edges(self) -> tuple[_Edge, ...]:
        """Every operand of every entry, with the partial in it."""
        return tuple(_edges(self.columns))

    def rounding(self, bars: _Column, dots: _Column, size: float) -> float:
        """What rounding can do to a derivative of this size, given what flows between entries."""
        flows = (_magnitude(bars[x.slot], x.partial, dots[x.operand]) for x in self.edges)
        busiest = max((flow for flow in flows if math.isfinite(flow)), default=0.0)
        relative = math.fabs(size) if math.isfinite(size) else 0.0
        return _ROUNDING * relative + (_FEW + len(bars)) * _EPS * busiest

    @functools.cached_property
    def local(self) -> tuple[_Local, ...]:
        """Every partial of every entry, beside differences of the operation there."""
        return tuple(_Local(edge, _found(self.columns, edge)) for edge in self.edges)

    def culprit(self, bars: _Column, dots: _Column) -> _Place:
        """The entry whose partial puts most into an error, and what is wrong with it.

        Two partials that are 0 in a row hide each other's tangent; then cotangents decide.
        """
        wrong = [x for x in self.local if x.off]
        for tangents in (dots, [1.0] * len(dots)):
            felt = [
                (_magnitude(bars[x.edge.slot], x.off, tangents[x.edge.operand]), x) for x in wrong
            ]
            most, worst = max(felt, default=(0.0, None), key=itemgetter(0))
            if worst is not None and most:
                site = self.tape.site(worst.edge.slot)
                return f"{worst.accusation}, {site}", site
        return self.loudest(bars)

    def kinked(self, bars: _Column, dots: _Column) -> _Place:
        """The entry with a kink of its own that the derivative depends on most."""
        kinks = (x.edge for x in self.local if x.found.kink)
        felt = [(_magnitude(bars[x.slot], dots[x.operand]), x.slot) for x in kinks]
        most, slot = max(felt, default=(0.0, 0))
        if not most:
            return "the slope jumps here", None
        site = self.tape.site(slot)
        return f"{self.columns.row(slot).name} has a kink here, {site}", site

    def loudest(self, bars: _Column) -> _Place:
        """The entry whose rounding puts most into the result."""
        values = cast("Sequence[float]", self.columns.values)
        felt = {slot: _magnitude(bar, values[slot], 1.0) for slot, bar in enumerate(bars)}
        slot = max(felt, key=felt.__getitem__, default=0)
        return "", self.tape.site(slot)


_Column: TypeAlias = Sequence[float | None]
_Place: TypeAlias = tuple[str, Site | None]


def _magnitude(*factors: float | None) -> float:
    """The absolute value of a product; 0 with an absent factor, and inf for nan."""
    if None in factors:
        return 0.0
    product = math.fabs(math.prod(cast("tuple[float, ...]", factors)))
    return math.inf if math.isnan(product) else product


@final
@attrs.frozen
class _Edge:
    """One operand of one entry, and the partial in it."""

    slot: int
    index: int
    operand: int
    row: Primitive
    partial: float


def _edges(columns: Columns) -> Iterator[_Edge]:
    for slot in range(len(columns)):
        row, y, xs = columns.row(slot), columns.values[slot], columns.arguments(slot)
        for index, operand in enumerate(columns.operands(slot)):
            partial = cast("float | None", row.partial(index, y, *xs))
            yield _Edge(slot, index, operand, row, 0.0 if partial is None else partial)


@final
@attrs.frozen
class _Local:
    """A partial beside differences of its row."""

    edge: _Edge
    found: Difference

    @property
    def off(self) -> float:
        """By how much differences contradict the partial."""
        partial = self.edge.partial
        if math.isnan(partial):
            return math.inf
        off = math.fabs(partial - self.found.value)
        return off if off > _MARGIN * self.found.error + _EPS * math.fabs(partial) else 0.0

    @property
    def accusation(self) -> str:
        """What is wrong with the partial."""
        row, index, partial = self.edge.row, self.edge.index, self.edge.partial
        if row is ops.detached:
            return "stop_gradient lets no derivative pass"
        operand = f" in operand {index}" if row.arity != 1 else ""
        right = "" if math.isnan(self.found.value) else f", not {exact(self.found.value)}"
        return f"the partial of {row.name}{operand} is {exact(partial)}{right}"


def _found(columns: Columns, edge: _Edge) -> Difference:
    """The partial of an entry by differences of its row, at the recorded operands."""
    xs = cast("tuple[float, ...]", columns.arguments(edge.slot))
    y = cast(float, columns.values[edge.slot])
    return difference(_varied(edge.row, y, xs, edge.index), xs[edge.index])


def _varied(
    row: Primitive, y: float, xs: tuple[float, ...], index: int
) -> Callable[[float], float]:
    """A row as a function of one operand, on the piece that it was recorded on."""
    piece = piece_of(row, y, *xs)

    def value(x: float) -> float:
        moved = (*xs[:index], x, *xs[index + 1 :])
        z = row.value(*moved)
        return z if piece_of(row, z, *moved) == piece else math.nan

    return value


@final
class _Input:
    """One number of the argument, moved while the others stay."""

    def __init__(self, subject: _Subject, index: int) -> None:
        self.subject = subject
        self.path = subject.inputs[index]
        self.index = index
        self.x = cast(float, subject.columns.values[index])
        self.dots = _pushed(subject.columns, {index: 1.0})
        self.samples: dict[float, _Sample] = {}

    def findings(self) -> list[Finding]:
        """What is found for every output."""
        return [self._finding(which) for which in range(len(self.subject.outputs))]

    def _finding(self, which: int) -> Finding:
        subject = self.subject
        bars, output = subject.bars[which], subject.outputs[which]
        by_mode = {"reverse": bars[self.index] or 0.0, "forward": self.dots[output] or 0.0}
        numbers = [by_mode[mode] for mode in subject.modes]
        rounding = subject.rounding(bars, self.dots, numbers[0])
        found, verdict, (reason, site) = self._judged(which, numbers[0], rounding)
        if not _agree(numbers, rounding):
            texts = " and ".join(f"{mode} gives {by_mode[mode]!r}" for mode in subject.modes)
            verdict, (reason, site) = "wrong", (texts, subject.loudest(bars)[1])
        return Finding(
            subject.order, subject.names[which], self.path, numbers[0], found.value, found.error,
            verdict, reason, site,
        )  # fmt: skip

    def _judged(
        self, which: int, by_tape: float, rounding: float
    ) -> tuple[Difference, Verdict, _Place]:
        found = difference(lambda x: self._value(which, x), self.x)
        if math.isfinite(found.error):
            verdict = self._verdict(which, by_tape, found, rounding)
            return found, verdict, self._place(which, verdict, found)
        if not math.isfinite(self._value(which, self.x)):
            return found, "not decided", self._undefined()
        across = difference(self._across(which), self.x)
        verdict = self._verdict(which, by_tape, across, rounding)
        if verdict == "not decided":
            return found, "kink", self._kink(which)
        if verdict == "right":
            return across, verdict, ("", None)
        blamed = self._place(which, "wrong", across)
        return across, verdict, blamed if blamed[0] else self._kink(which)

    def _verdict(self, which: int, by_tape: float, found: Difference, rounding: float) -> Verdict:
        """Whether differences confirm a derivative, contradict it, or cannot tell."""
        tolerance = _MARGIN * found.error + rounding
        if not math.isfinite(tolerance):
            return "not decided"
        if not math.fabs(by_tape - found.value) <= tolerance:
            return "wrong"
        size = max(math.fabs(by_tape), math.fabs(found.value))
        if by_tape == 0.0:
            size = max(self._size(which) / max(math.fabs(self.x), 1.0), size)
        is_seen = math.fabs(found.value) > _MARGIN * found.error
        if tolerance <= _DECIDED * size or (is_seen and tolerance <= self._negligible(which)):
            return "right"
        return "right" if found.value == by_tape and found.error == 0.0 else "not decided"

    def _negligible(self, which: int) -> float:
        """What does not show in the gradient of an output."""
        bars = self.subject.bars[which][: len(self.subject.inputs)]
        return _NEGLIGIBLE * max(math.fabs(bar or 0.0) for bar in bars)

    def _size(self, which: int) -> float:
        """The largest value on the way: what a derivative that is exactly 0 is 0 beside."""
        seen = (sample.values[which] for sample in self.samples.values() if sample.values)
        return max((math.fabs(value) for value in seen if math.isfinite(value)), default=0.0)

    def _place(self, which: int, verdict: Verdict, found: Difference) -> _Place:
        """Why a derivative is wrong or not decided, and the line that is to blame."""
        bars = self.subject.bars[which]
        if verdict == "wrong":
            return self.subject.culprit(bars, self.dots)
        if verdict == "right":
            return "", None
        _, site = self.subject.loudest(bars)
        if math.fabs(found.value) <= _MARGIN * found.error:
            return f"below the error of differences, most of it from {site}", site
        changed = self._nearest_change()
        return changed if changed[0] else (f"hidden by rounding, most of it from {site}", site)

    def _undefined(self) -> _Place:
        """Where the first value that is not finite comes from."""
        values = cast("Sequence[float]", self.subject.columns.values)
        slot = next((slot for slot, value in enumerate(values) if not math.isfinite(value)), 0)
        site = self.subject.tape.site(slot)
        return f"{self.subject.columns.row(slot).name} gives {values[slot]!r}, {site}", site

    def _kink(self, which: int) -> _Place:
        """What changes at the very point, or as near as differences go."""
        reason, site = self._nearest_change()
        if reason:
            return reason, site
        return self.subject.kinked(self.subject.bars[which], self.dots)

    def _nearest_change(self) -> _Place:
        """What stands in the way of the smallest step that leaves the course."""
        steps = {x: sample.changed for x, sample in self.samples.items()}
        left = [(math.fabs(x - self.x), at) for x, at in steps.items() if at is not None]
        if not left:
            return "", None
        _, slot = min(left)
        return change_at(self.subject.tape, slot), self.subject.tape.site(slot)

    def _value(self, which: int, x: float) -> float:
        """The output where the input is ``x``; nan off the course."""
        if x not in self.samples:
            self.samples[x] = self._sample(x)
        sample = self.samples[x]
        return sample.values[which] if sample.changed is None else math.nan

    def _sample(self, x: float) -> _Sample:
        subject, moved = self.subject, self._moved(x)
        if moved is None:
            return _Sample((), subject.outputs[0])
        values = tuple(cast(float, moved.columns.values[slot]) for slot in moved.outputs)
        changed = change(subject.columns, moved.columns, subject.watched, subject.outputs)
        return _Sample(values, changed)

    def _moved(self, x: float) -> Trace | None:
        """The function recorded again with this input at ``x``; None where it raises."""
        subject, traced = self.subject, self.subject.traced
        leaves = list(traced.columns.values[: traced.width])
        leaves[self.index] = x
        try:
            moved = trace(subject.f, build(traced.parameters, leaves), subject.data)
        except (ArithmeticError, ValueError):
            return None
        return moved if len(moved.outputs) == len(subject.outputs) else None

    def _across(self, which: int) -> Callable[[float], float]:
        """The output on the courses nearest to the point on either side.

        Where the slopes of both sides agree, what changes at the point is no kink of the function.
        """
        tiny = min((math.fabs(x - self.x) for x in self.samples if x != self.x), default=0.0)
        sides = [self._moved(self.x - tiny), self._moved(self.x + tiny)]

        def value(x: float) -> float:
            side, moved = sides[x > self.x], self._moved(x)
            if side is None or moved is None:
                return math.nan
            slots = watched(side.columns)
            if x != self.x and change(side.columns, moved.columns, slots, side.outputs) is not None:
                return math.nan
            return cast(float, moved.columns.values[moved.outputs[which]])

        return value


@final
@attrs.frozen
class _Sample:
    """The outputs of one call, and the entry at which it left the course."""

    values: tuple[float, ...]
    changed: int | None


def _agree(numbers: Sequence[float], rounding: float) -> bool:
    """Whether modes differ by rounding at most; where none gives a number, there is none to."""
    if not any(map(math.isfinite, numbers)):
        return True
    return max(numbers) - min(numbers) <= rounding


def _direction(width: int, shift: float) -> list[float]:
    """Numbers between 0.5 and 1.5 with both signs, none a simple multiple of another."""
    return [
        (-1.0) ** k * (0.5 + math.fmod(0.6180339887498949 * (k + 1) + shift, 1.0))
        for k in range(width)
    ]


def _pulled(columns: Columns, seeds: dict[int, float]) -> list[float | None]:
    from tapegrad.sweep.reverse import cotangents

    return cast("list[float | None]", cotangents(columns, seeds))


def _pushed(columns: Columns, seeds: dict[int, float]) -> list[float | None]:
    from tapegrad.sweep.forward import tangents

    return cast("list[float | None]", tangents(columns, seeds))
