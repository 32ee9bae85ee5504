"""The roads to a program's value and gradient; each is compared with the eager call, to the bit.

A road takes a case and gives what it found at each point, or ``None`` where it says with a
``GuardError`` that it cannot tell. ``disagreements`` names the roads that gave anything else than
the eager call does.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import fabs, isfinite
from typing import Any, Final, Literal, TypeAlias

import attrs
import numpy as np

import tapegrad as tg
from tapegrad.errors import GuardError
from tests.fuzz.programs import Case, Point, filled, floats_of
from tests.strategies import bits

__all__ = ["ROADS", "ROW_ROADS", "Road", "disagreements", "nearly_tied", "numbers_of"]

Road: TypeAlias = Callable[[Case], Iterator[object]]

NEARBY: Final = 1.0 + 1e-14
"""The factor of parameters that are some fifty roundings off; answers may move ten times as far."""


def frozen(value: Any) -> object:
    """A value of containers and floats as something that equals another to the bit, in order."""
    if type(value) is float:
        return bits(value)
    if isinstance(value, dict):
        return dict, tuple((repr(key), frozen(part)) for key, part in value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(map(frozen, value))
    if attrs.has(type(value)):
        parts = (getattr(value, field.name) for field in attrs.fields(type(value)))
        return type(value), tuple(map(frozen, parts))
    return type(value), repr(value)


def answers(case: Case) -> list[tg.ValueAndGrad[Any]]:
    """What the eager calls give."""
    run: Any = tg.value_and_grad(case.function)
    return [run(*point) for point in case.points]


# Calls of one point at a time.


def plain(case: Case) -> Iterator[object]:
    """The function on floats, with the eager gradient beside it: values alone are compared."""
    f = case.function
    for point, (_, slopes) in zip(case.points, answers(case), strict=True):
        try:
            yield tg.ValueAndGrad(f(*point), slopes)
        except OverflowError:
            yield None  # Python's powers of floats raise, where ours are inf


def tape(case: Case) -> Iterator[object]:
    """A tape of the function, and its gradient by a sweep."""
    f = tg.record(case.function)
    for point in case.points:
        recorded = f(*point)
        yield tg.ValueAndGrad(recorded.value, recorded.gradient())


def replayed(case: Case) -> Iterator[object]:
    """The tape of the first point, replayed at all."""
    first = tg.record(case.function)(*case.points[0])
    for point in case.points:
        try:
            now = first.replay(*point)
        except GuardError:
            yield None
        else:
            yield tg.ValueAndGrad(now.value, now.gradient())


def recorded_gradient(case: Case) -> Iterator[object]:
    """A tape that holds its gradient, recorded at the first point and replayed at all."""
    first = tg.record(tg.value_and_grad(case.function))(*case.points[0])
    yield from _replays(first, case.points)


def simplified_gradient(case: Case) -> Iterator[object]:
    """The same, simplified."""
    first = tg.record(tg.value_and_grad(case.function))(*case.points[0]).simplify().tape
    yield from _replays(first, case.points)


def pickled_gradient(case: Case) -> Iterator[object]:
    """The same, pickled."""
    first = tg.record(tg.value_and_grad(case.function))(*case.points[0])
    try:
        sent = pickle.dumps(first)
    except (pickle.PicklingError, AttributeError):
        return  # a static operand that does not pickle
    received = pickle.loads(sent)  # noqa: S301  # sent by the line above
    yield from _replays(received, case.points)


def _replays(first: Any, points: Sequence[Point]) -> Iterator[object]:
    for point in points:
        try:
            yield first.replay(*point).value
        except GuardError:
            yield None


def compiled(backend: Any, *, eager_first: bool) -> Road:
    """``jit``, which records the paths of the points one after the other."""

    def road(case: Case) -> Iterator[object]:
        f = tg.value_and_grad(case.function)
        run = tg.jit(f, backend=backend, eager_first=eager_first)
        calls = [[run(*point) for point in case.points] for _ in range(3)]
        for same in zip(*calls, strict=True):
            yield same[0] if len(set(map(frozen, same))) == 1 else same

    return road


def flat(case: Case) -> Iterator[object]:
    """The compiled function between flat arrays."""
    run = tg.jit(tg.value_and_grad(case.function), eager_first=False)
    for point, answer in zip(case.points, answers(case), strict=True):
        between = run.flat(*point)
        p, s, ts, _ = point
        outputs = between(np.array([*floats_of(p), s, *ts]))
        yield answer if frozen(outputs.tolist()) == frozen(floats_of(answer)) else outputs


ROADS: Final[Mapping[str, Road]] = {
    "plain": plain, "tape": tape, "replayed": replayed, "recorded gradient": recorded_gradient,
    "simplified gradient": simplified_gradient, "pickled gradient": pickled_gradient,
    "jit, python": compiled("python", eager_first=False),
    "jit, llvm": compiled("llvm", eager_first=False),
    "jit, eager first": compiled("auto", eager_first=True),
    "flat": flat,
}  # fmt: skip


def disagreements(case: Case) -> Iterator[str]:
    """What the roads gave that the eager call does not: each is a sentence."""
    want = answers(case)
    for name, road in ROADS.items():
        for point, right, got in zip(case.points, want, road(case), strict=False):
            if got is not None and frozen(got) != frozen(right):
                yield f"{name} at {point}: {got}, not {right}"


# Rows.


@attrs.frozen
class Rows:
    """``vmap`` of the points as rows, over the parameters or over the number ``s``.

    The other arguments are those of the first point. Rows repeat, so that there are several on a
    path. Each call is made twice, on one thread and on two, or by an executor's workers.
    """

    backend: Any
    over: str
    copies: int = 3
    executor: Any = None

    def points(self, case: Case) -> list[Point]:
        """The points that the rows stand for."""
        first = case.points[0]
        if self.over == "s":
            points = [(first[0], point[1], *first[2:]) for point in case.points]
        else:
            points = [(point[0], *first[1:]) for point in case.points]
        return points * self.copies

    def arguments(self, case: Case) -> tuple[tuple[object, ...], tuple[Literal[0] | None, ...]]:
        """The arguments of a batch, and which of them are mapped."""
        points = self.points(case)
        first = points[0]
        if self.over == "s":
            return (first[0], np.array([p[1] for p in points]), *first[2:]), (None, 0, None, None)
        return (stacked([point[0] for point in points]), *first[1:]), (0, None, None, None)

    def batches(self, case: Case) -> Iterator[list[tg.ValueAndGrad[object]]]:
        """The rows' answers, of each call."""
        arguments, axes = self.arguments(case)
        for threads in (1, 2):
            run = tg.vmap(
                tg.value_and_grad(case.function),
                in_axes=axes,
                backend=self.backend,
                threads=threads,
                executor=self.executor,
            )
            for _ in range(2):
                values, slopes = run(*arguments)
                rows = range(len(values))
                yield [tg.ValueAndGrad(float(values[row]), slopes.row(row)) for row in rows]

    def findings(self, case: Case) -> Iterator[str]:
        """What is wrong with the answers: each is a sentence."""
        points = self.points(case)
        run = tg.value_and_grad(case.function)
        try:
            want = [run(*point) for point in points]
        except OverflowError:
            return  # the function asks for the int of an infinity
        first: object = None
        for call, batch in enumerate(self.batches(case)):
            now = frozen(batch)
            if call and now != first:
                yield f"call {call} has other bits than the first"
            first = now
            for row, (got, right) in enumerate(zip(batch, want, strict=True)):
                if not _alike(got, right, case, points[row]):
                    yield f"row {row} at {points[row]}: {got}, not {right}"


def stacked(values: Sequence[Any]) -> Any:
    """Containers of one structure as one container of arrays."""
    first = values[0]
    if type(first) is float:
        return np.array(values)
    if isinstance(first, dict):
        return {key: stacked([value[key] for value in values]) for key in first}
    if isinstance(first, list | tuple):
        return type(first)(stacked(parts) for parts in zip(*values, strict=True))
    if attrs.has(type(first)):
        names = [field.name for field in attrs.fields(type(first))]
        return type(first)(*(stacked([getattr(v, name) for v in values]) for name in names))
    return first


def _alike(got: Any, want: Any, case: Case, point: Point) -> bool:
    """Whether a row's answer may stand for the eager one.

    Exact programs have its bits. Vector maths differs from the C library's in the last places, so
    that other programs are right within rounding, as far as the answer moves with its inputs' last
    digits, and where a comparison is nearly a tie anything.
    """
    if frozen(got) == frozen(want):
        return True
    if case.exact:
        return False
    recorded = numbers_of(tg.record(tg.value_and_grad(case.function))(*point))
    if nearly_tied(recorded):
        return True
    scale = 1e-9 * (1.0 + max((fabs(x) for x in recorded.values if isfinite(x)), default=1.0))
    p, *others = point
    near = filled(p, (x * NEARBY for x in floats_of(p)))
    nearby = tg.value_and_grad(case.function)(near, *others)
    answers = zip(*map(floats_of, (got, want, nearby)), strict=True)
    return all(
        frozen(x) == frozen(y) or fabs(x - y) <= scale + 10.0 * fabs(y - z) for x, y, z in answers
    )


def numbers_of(tape: Any) -> Any:
    """A tape on numbers alone, where the steps of loops have their entries."""
    return tape.expanded() if tape.on_arrays else tape


def nearly_tied(recorded: Any) -> bool:
    """Whether a step of the tape may come out otherwise after other roundings."""
    columns = recorded.columns
    return any(
        _is_near_jump(columns.row(slot), columns.arguments(slot))
        for slot in range(len(columns))
        if len({*columns.operands(slot)}) == len(columns.operands(slot))  # x < x is no tie
    )


def _is_near_jump(row: Any, arguments: Sequence[Any]) -> bool:
    """Whether a row jumps, or has a kink, next to these arguments."""
    is_comparison = row.is_truth and row.kind == "operation" and row.arity == 2
    if is_comparison or row.name in {"maximum", "minimum", "abs", "relu"}:
        left, right = (*arguments, 0.0)[:2]
        return fabs(left - right) <= 1e-9 * (fabs(left) + fabs(right)) + 1e-12
    if row.name == "copysign":
        return fabs(arguments[1]) <= 1e-12
    halves = 2.0 * arguments[0] if row.name in {"floor", "ceil", "trunc", "round"} else 0.25
    return isfinite(halves) and fabs(halves - round(halves)) < 1e-9


ROW_ROADS: Final = [Rows(backend, over) for backend in ("numpy", "llvm") for over in ("p", "s")]
