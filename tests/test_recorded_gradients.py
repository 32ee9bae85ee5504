"""Laws of recorded gradients: written on slots, they are what rows record on traced numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tapegrad as tg
from tapegrad import math
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive
from tapegrad.recording.recorder import Recorder
from tapegrad.sweep import reverse
from tests.fuzz.programs import floats_of, make


def total(values: Any) -> Any:
    return math.sum(floats_of(values))


def twice(f: Callable[..., Any]) -> Callable[..., Any]:
    """A gradient of a gradient."""
    slope: Callable[..., Any] = tg.grad(lambda p, *data: total(tg.grad(f)(p, *data)))
    return slope


def curved(f: Callable[..., Any]) -> Callable[..., Any]:
    """A Hessian times its own point."""
    return lambda p, *data: tg.hvp(f, p, p, *data)


TRANSFORMS: list[Callable[..., Any]] = [
    tg.grad, tg.value_and_grad, lambda f: tg.grad(f, exact=True), twice, curved,
    lambda f: lambda p, *data: tg.vjp(f, p, *data)[1](0.75),
]  # fmt: skip


def call_partials(monkeypatch: pytest.MonkeyPatch) -> None:
    """No partials are known by their steps from here on: the rows' own functions are called."""
    monkeypatch.setattr(reverse, "_known_partials", lambda *_: None)
    monkeypatch.setattr(reverse, "_short_partials", lambda table: [None] * len(table.rows))


def alone(*_: object) -> bool:
    """No recording is inside another: its values are the other's traced numbers."""
    return False


def tapes(seed: int) -> list[Any]:
    case = make(seed)
    return [tg.record(f(case.function))(*case.points[0]) for f in TRANSFORMS]


def sites(tape: Any) -> list[object]:
    return [tape.site(slot) for slot in range(len(tape))]


@pytest.mark.parametrize("seed", range(9_200, 9_208))
def test_steps_record_what_the_partials_record(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random programs have the same tapes and the same lines, to any order and summed exactly."""
    quick = tapes(seed)
    call_partials(monkeypatch)
    general = tapes(seed)
    assert quick == general
    assert list(map(sites, quick)) == list(map(sites, general))


@pytest.mark.parametrize("seed", range(9_300, 9_308))
def test_a_recording_on_floats_hands_over_what_one_on_traced_numbers_records(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random programs have the same tapes and the same lines."""
    quick = tapes(seed)
    monkeypatch.setattr(Recorder, "_is_inside", alone)
    general = tapes(seed)
    assert quick == general
    assert list(map(sites, quick)) == list(map(sites, general))


def interleaved(x: Any, s: Any) -> Any:
    """Operations of both recordings by turns, the same constants in both."""

    def inner(y: Any) -> Any:
        total = y * s
        for _ in range(3):
            total = total + s * s * 3.0 + y * 3.0 + y**2.0 + s**3.0 + 1.5 * s
            total = math.hypot(total, y, 2.0) - math.hypot(s, 1.0, 2.0)
        return total * x

    return tg.grad(inner)(x) + s


def caught(x: Any, s: Any) -> Any:
    """An error inside, after a comparison that decides on it."""

    def inner(y: Any) -> Any:
        if y * y > s:
            raise ValueError
        return y

    try:
        return tg.grad(inner)(x)
    except ValueError:
        return x * s


def beside(x: Any, s: Any) -> Any:
    """A recording inside another that is not done, of a number from further outside."""

    def inner(y: Any) -> Any:
        here = y * s
        there = tg.grad(lambda z: z * z * here * s)(x)
        return tg.grad(lambda z: z * here * there)(y) + tg.grad(math.sin)(x) * here

    return tg.value_and_grad(inner)(x)


def later(x: Any, s: Any) -> Any:
    """A pullback that is called after other operations, and with a traced cotangent."""
    value, pullback = tg.vjp(lambda y: [math.sin(y) * s, math.hypot(y, s, 2.0)], x)
    s = s * value[0]
    return pullback([s, 1.0]), pullback([1.0, x])


def scoped(x: Any, s: Any) -> Any:
    """Names for parts of both recordings."""
    outer = tg.scope("outer")(lambda a: a * a)

    def inner(y: Any) -> Any:
        return tg.scope("inner")(lambda a: tg.label(a * 2.0, "twice"))(y) * outer(s)

    return tg.grad(inner)(x)


def mixed(x: Any, s: Any) -> Any:
    """Numbers of two recordings around, of which one is inside the other."""
    return tg.grad(lambda y: tg.grad(lambda z: z * x * s + s)(s) * y)(x)


def chosen(x: Any, s: Any) -> Any:
    """Conditions of both recordings, and whole numbers."""

    def inner(y: Any) -> Any:
        far = tg.where((y > s) | (s > 1.0), y * y, s * y)
        return tg.where(far > y, far ** int(s * 2.0), -far)

    return tg.value_and_grad(inner)(x)


@pytest.mark.parametrize(
    "f", [interleaved, caught, beside, later, scoped, mixed, chosen], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("outer", [lambda f: f, lambda f: tg.grad(lambda x, s: total(f(x, s)))])
def test_both_recordings_go_on_by_turns(
    f: Callable[..., Any], outer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries come in the order in which they were computed, whichever recording they are of."""
    tapes: list[Any] = []
    for is_alone in (False, True):
        if is_alone:
            monkeypatch.setattr(Recorder, "_is_inside", alone)
        tapes.append(tg.record(outer(f))(0.75, 1.25))
    quick, general = tapes
    assert quick == general
    assert (sites(quick), quick.scopes, quick.labels) == (
        sites(general), general.scopes, general.labels,
    )  # fmt: skip


def test_an_error_inside_leaves_its_guards_outside() -> None:
    """A replay at a point where the function would go on is refused."""
    tape = tg.record(caught)(2.0, 1.25)
    with pytest.raises(tg.errors.GuardError):
        tape.replay(0.5, 1.25)


def test_a_pullback_after_the_end_says_so() -> None:
    """It refuses, as any traced number does then."""
    kept: list[Any] = []

    def f(x: Any) -> Any:
        kept.append(tg.vjp(lambda y: y * y, x)[1])
        return x

    tg.record(f)(2.0)
    with pytest.raises(tg.errors.RecordingError, match="has ended"):
        kept[0](1.0)


ROWS = [row for row in ops.TABLE.rows if row.arity and row.is_operation and not row.has_static]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_steps_hold_whichever_operands_are_numbers(
    row: Primitive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial takes the same steps on traced numbers, constants and data."""
    count = row.arity or 0

    def applied(xs: list[Any], number: float, traced: int) -> Any:
        apply: Any = row
        operands = [xs[0] if traced >> index & 1 else 0.5 + index for index in range(count)]
        return (
            apply(*operands) * apply(*operands[:-1], number) * apply(number, *operands[1:]) * xs[0]
        )

    def found() -> list[Any]:
        record: Any = tg.record(tg.value_and_grad(applied), static_argnames="traced")
        return [record([0.75], 0.25, traced) for traced in range(2**count)]

    quick = found()
    call_partials(monkeypatch)
    assert quick == found()
