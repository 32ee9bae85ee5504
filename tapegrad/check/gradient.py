"""``check_grad``: derivatives compared with differences, and the two modes with each other."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Concatenate, Literal, ParamSpec, TypeVar, overload

from tapegrad._support.argument_checks import name_of, require_callable
from tapegrad._support.source_position import here
from tapegrad.check.recorded_point import RecordedPoint
from tapegrad.check.report import Finding, GradientCheck, Transposition
from tapegrad.check.verdict import InputCheck, Mode
from tapegrad.errors import InputError
from tapegrad.ops.array_support import serving
from tapegrad.pytree.structure import build, key_paths
from tapegrad.transforms.products import vjp
from tapegrad.transforms.traced_call import data_of

__all__ = ["check_grad"]

A = TypeVar("A")
P = ParamSpec("P")


@overload
def check_grad(
    f: Callable[Concatenate[A, P], object], x: A, /, *args: P.args, **kwargs: P.kwargs
) -> GradientCheck: ...
@overload
def check_grad(
    f: Callable[Concatenate[A, ...], object], x: A, /, *args: object,
    order: Literal[1, 2], modes: Sequence[Mode] = ..., **kwargs: object,
) -> GradientCheck: ...  # fmt: skip
@overload
def check_grad(
    f: Callable[Concatenate[A, ...], object], x: A, /, *args: object,
    modes: Sequence[Mode], **kwargs: object,
) -> GradientCheck: ...  # fmt: skip
def check_grad(  # type: ignore[misc]  # a parameter of f that is called order goes by position
    f: Callable[..., object],
    x: object,
    /,
    *args: object,
    order: Literal[1, 2] = 1,
    modes: Sequence[Mode] = ("reverse", "forward"),
    **kwargs: object,
) -> GradientCheck:
    """Checks the derivatives of ``f`` in every number of its first argument.

    Each is compared with central differences of ``f``, extrapolated (C. J. F. Ridders, 1982) and
    with an estimate of their error. It is *wrong* where it is off by more than ten times that
    estimate and by more than rounding can do (1e-9 of it), and *right* only where a factor of
    1 + 1e-7 would have been seen, or what could hide is below 1e-10 of the largest derivative of
    the same number; else it is *not decided*, as it is where steps of several lengths find several
    slopes, one of which is that of the tape. Differences are taken between calls that take the
    same branches and sides, so a *kink* at the point is recognised, and named with its line.

    ``modes`` are compared with each other. Where both are given, the transpose law
    w . (J v) = (J^T w) . v is checked along two directions. With ``order=2`` the derivatives of the
    gradient are checked in the same way.

    A wrong derivative is blamed on the line of the entry with the largest
    ``abs(cotangent * error * tangent)``, where ``error`` is that of one of its partials, found by
    differences of the operation at the recorded operands. One that is not decided is blamed on
    the line of the entry with the largest ``abs(cotangent * value)``: its rounding error counts
    most in the result.

    Of arrays each number is checked by itself, and of more than 64 each array along random
    directions, which the report names.

    ``f`` may return several numbers. It is called 40 to 80 times for each number of ``x``,
    and up to four times as often where that does not settle the matter.

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
    require_callable(f, "check_grad")
    _require_known(order, modes)
    data = data_of(args, kwargs)
    point = RecordedPoint(f, x, data)
    if point.columns.on_arrays:
        return _check_of_arrays(point, x, order, modes)
    names = key_paths(point.traced.result)
    findings = list(_findings(point, names, 1, modes))
    laws = list(_transpositions(point, 1, modes))
    if order == 2:
        second = RecordedPoint(_gradient(point), x, data)
        names = [", ".join(filter(None, (of, path))) for of in names for path in point.inputs]
        findings += _findings(second, names, 2, modes)
        laws += _transpositions(second, 2, modes)
    return GradientCheck(name_of(f), tuple(findings), tuple(laws))


def _check_of_arrays(
    point: RecordedPoint, x: object, order: int, modes: Sequence[Mode]
) -> GradientCheck:
    """The report on a function in which some values are arrays."""
    arrays = serving("check.array_check")
    findings, laws = arrays.checked(point, 1, modes)
    if order == 2:
        second = RecordedPoint(arrays.gradient_of(point), x, point.data)
        more = arrays.checked(second, 2, modes)
        findings, laws = findings + more[0], laws + more[1]
    return GradientCheck(name_of(point.f), tuple(findings), tuple(laws))


def _require_known(order: int, modes: Sequence[Mode]) -> None:
    if order not in {1, 2}:
        raise InputError(f"order={order!r} ({here()}) is unknown: use 1 or 2")
    if not modes or not {"forward", "reverse"}.issuperset(modes):
        raise InputError(
            f"modes={modes!r} ({here()}) is unknown: use ('reverse', 'forward') or one of them"
        )


def _gradient(point: RecordedPoint) -> Callable[..., object]:
    """The function that gives the gradients of all outputs."""
    f, structure, count = point.f, point.traced.result, len(point.outputs)
    seeds = [build(structure, (float(k == j) for k in range(count))) for j in range(count)]

    @functools.wraps(f)
    def gradient(x: object, /, *args: object, **kwargs: object) -> object:
        _, pullback = vjp(f, x, *args, **kwargs)
        return tuple(map(pullback, seeds))

    return gradient


def _findings(
    point: RecordedPoint, names: Sequence[str], order: int, modes: Sequence[Mode]
) -> Iterator[Finding]:
    """A finding for every output, called as in ``names``, and every input."""
    inputs = range(len(point.inputs))
    found = [InputCheck(point, index).findings(names, order, modes) for index in inputs]
    return (of_input[j] for j in range(len(names)) for of_input in found)


def _transpositions(
    point: RecordedPoint, order: int, modes: Sequence[Mode]
) -> Iterator[Transposition]:
    """The transpose law along two pairs of directions, where both modes are checked."""
    if len(set(modes)) < 2 or not (point.outputs and point.inputs):
        return
    for shift in (0.0, 0.5):
        v = dict(enumerate(_direction(len(point.inputs), shift)))
        w = dict(zip(point.outputs, _direction(len(point.outputs), shift), strict=True))
        dots, bars = point.tangents(v), point.cotangents(w)
        forward = sum(w[slot] * (dots[slot] or 0.0) for slot in w)
        reverse = sum((bars[slot] or 0.0) * v[slot] for slot in v)
        yield Transposition(order, forward, reverse, point.rounding(bars, dots, forward))


def _direction(width: int, shift: float) -> list[float]:
    """Numbers between 0.5 and 1.5 with both signs, none a simple multiple of another."""
    return [
        (-1.0) ** k * (0.5 + math.fmod(0.6180339887498949 * (k + 1) + shift, 1.0))
        for k in range(width)
    ]
