"""A row of a mapped class is the class with the row's numbers, however its fields are annotated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple

import attrs
import pytest

import tapegrad as tg
from tapegrad import Real
from tests.places import refusal

np = pytest.importorskip("numpy")


@dataclasses.dataclass(frozen=True)
class Frozen:
    strike: float
    t: float


@dataclasses.dataclass
class Open:
    strike: float
    t: float


class Named(NamedTuple):
    strike: float
    t: float


@attrs.frozen
class Attrs:
    strike: float
    t: float


@attrs.define
class Untyped:
    strike: Any
    t: tuple[float, ...]


@attrs.frozen
class Mixed(Generic[Real]):
    strike: Real
    t: float


@dataclasses.dataclass
class Outer:
    inner: Attrs
    many: list[Attrs]
    name: str


KINDS = (Frozen, Open, Named, Attrs, Untyped, Mixed)
STRIKES, TIMES = np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, -20.0, 30.0, -40.0])


def price(spot: Any, option: Any) -> Any:
    if option.t > 0.0:
        return spot * option.strike + option.t
    return spot * spot - option.t * option.strike


def nested(spot: Any, outer: Any) -> Any:
    return price(spot, outer.inner) * 2.0 + price(spot, outer.many[1])


def eager(f: Callable[..., Any], spot: float, options: Sequence[Any]) -> list[Any]:
    return [f(spot, option) for option in options]


@pytest.mark.parametrize("backend", ["numpy", "llvm"])
@pytest.mark.parametrize("kind", KINDS)
class TestEveryKind:
    def test_rows_are_the_eager_calls(self, kind: Any, backend: Any) -> None:
        """By row and as a sum, on several paths, twice."""
        options = [kind(k, t) for k, t in zip(STRIKES.tolist(), TIMES.tolist(), strict=True)]
        want = eager(price, 3.0, options)
        run: Any = tg.vmap(price, in_axes=(None, 0), backend=backend)
        total: Any = tg.vmap(price, in_axes=(None, 0), backend=backend, reduce="sum")
        for _ in range(2):
            assert run(3.0, kind(STRIKES, TIMES)).tolist() == want
            assert total(3.0, kind(STRIKES, TIMES)) == sum(want)

    def test_derivatives_are_those_of_the_eager_calls(self, kind: Any, backend: Any) -> None:
        """In the argument beside the class, where the eager call takes that."""
        if kind is Mixed:
            return
        options = [kind(k, t) for k, t in zip(STRIKES.tolist(), TIMES.tolist(), strict=True)]
        found: Any = tg.vmap(tg.value_and_grad(price), in_axes=(None, 0), backend=backend)(
            3.0, kind(STRIKES, TIMES)
        )
        want = eager(tg.value_and_grad(price), 3.0, options)
        assert found.value.tolist() == [one.value for one in want]
        assert found.grad.column("spot").tolist() == [one.grad for one in want]

    def test_a_class_may_come_first(self, kind: Any, backend: Any) -> None:
        """As what the function is called with, from arrays, ints and lists."""
        run: Any = tg.vmap(lambda option: option.strike * option.t, backend=backend)
        assert run(kind(STRIKES, TIMES)).tolist() == (STRIKES * TIMES).tolist()
        assert run(kind([1, 2], [3.0, 4.0])).tolist() == [3.0, 8.0]
        assert run(kind(np.array([1, 2]), np.array([3, 4]))).tolist() == [3.0, 8.0]


@pytest.mark.parametrize("on_branch", ["rerecord", "eager"])
def test_classes_inside_containers_are_opened(on_branch: Any) -> None:
    """Static parts stay as they are."""
    swapped = Attrs(TIMES, STRIKES)
    outer = Outer(Attrs(STRIKES, TIMES), [swapped, Attrs(STRIKES, -TIMES)], "n")
    rows = [
        Outer(Attrs(k, t), [Attrs(t, k), Attrs(k, -t)], "n")
        for k, t in zip(STRIKES.tolist(), TIMES.tolist(), strict=True)
    ]
    run: Any = tg.vmap(nested, in_axes=(None, 0), on_branch=on_branch)
    assert run(3.0, outer).tolist() == eager(nested, 3.0, rows)


def test_arrays_of_several_axes_are_tuples_in_a_row() -> None:
    """In a field that says it holds one number."""
    wide = np.arange(8.0).reshape(4, 2)
    run: Any = tg.vmap(lambda s, o: s * o.strike[1] + o.strike[0] * o.t, in_axes=(None, 0))
    want = [3.0 * b + a * t for (a, b), t in zip(wide.tolist(), TIMES.tolist(), strict=True)]
    assert run(3.0, Frozen(wide, TIMES)).tolist() == want


def test_blocks_of_a_stream_may_be_classes() -> None:
    """Read piece by piece, they are the same rows."""

    def blocks() -> Iterator[Any]:
        yield Frozen(STRIKES[:1], TIMES[:1])
        yield Frozen(STRIKES[1:], TIMES[1:])

    run: Any = tg.vmap(price, in_axes=(None, 0))
    assert run(3.0, blocks()).tolist() == run(3.0, Frozen(STRIKES, TIMES)).tolist()


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_solvers_see_every_row(kind: Any) -> None:
    """The values and the slopes of objectives and residuals."""
    pytest.importorskip("scipy")
    options = [kind(k, t) for k, t in zip(STRIKES.tolist(), TIMES.tolist(), strict=True)]
    data, x = kind(STRIKES, TIMES), np.array([3.0])
    loss: Any = tg.objective(price, 3.0, data, reduce="sum")
    rows: Any = tg.residuals(price, 3.0, data)
    slopes = eager(tg.grad(price), 3.0, options)
    assert (loss.fun(x), loss.jac(x).tolist()) == (sum(eager(price, 3.0, options)), [sum(slopes)])
    assert rows.fun(x).tolist() == eager(price, 3.0, options)
    assert rows.jac(x).tolist() == [[slope] for slope in slopes]


def test_a_column_is_no_reason_to_differentiate_a_field() -> None:
    """A gradient in a class needs its fields annotated, in a batch as in one call."""
    call: Any = tg.vmap(tg.grad(lambda o: o.strike * o.t))
    message = refusal(tg.errors.InputError, lambda: call(Frozen(STRIKES, TIMES)))
    assert "o is a Frozen, a class with no field annotated Real" in message
