"""How data stands in memory is no matter of the road: every road gives the same bits.

numpy's products depend in their last bits on how their operands stand in memory. An eager transform
is given views by numpy itself, a recording makes views of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import Scalar
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats

View = Callable[[Any], Any]

VIEWS: Final[dict[str, View]] = {
    "the array": lambda x: x,
    "transposed": lambda x: x.T,
    "some rows, transposed": lambda x: x[::2].T,
    "some columns": lambda x: x[:, ::2],
    "all columns but one": lambda x: x[:, 1:],
    "all rows but one of the transpose": lambda x: x.T[1:],
    "reversed": lambda x: x[::-1],
    "reversed and transposed": lambda x: x[:, ::-1].T,
    "one column": lambda x: x[:, :1],
    "one row": lambda x: x[:1],
    "one row, transposed": lambda x: x[:1].T,
    "a vector": lambda x: x[:, 0],
    "with another axis": lambda x: x[:, None, :].transpose(1, 2, 0),
    "reshaped and transposed": lambda x: x.reshape(x.shape[1], x.shape[0]).T,
    "three axes": lambda x: np.moveaxis(x.reshape(x.shape[0], x.shape[1] // 2, 2), 2, 0),
    "computed from the transpose": lambda x: np.exp(x.T),
    "computed, and back": lambda x: (x.T * 2.0).T,
    "computed, and a part": lambda x: np.exp(x.T)[1:],
    "stacked": lambda x: np.swapaxes(np.stack([x, 2.0 * x, x - 1.0]), 0, 2),
}

SHAPES: Final = [(19, 26), (38, 30)]


def in_order(x: Floats, order: str) -> Floats:
    """The same numbers, as other programs hand them over."""
    if order == "columns of a frame":
        return np.ascontiguousarray(x.T).T
    return np.array(x, order="F" if order == "F" else "C")


def by_product(v: Any, w: Any) -> Any:
    return tnp.sum(tnp.sin(v @ w))


def by_einsum(v: Any, w: Any) -> Any:
    return tnp.sum(tnp.einsum("...i,ij->...j", v, w) ** 2)


@pytest.mark.parametrize("order", ["C", "F", "columns of a frame"])
@pytest.mark.parametrize("name", VIEWS)
def test_views_of_data_have_the_same_bits_on_every_road(name: str, order: str) -> None:
    """Eager, recorded, replayed and compiled; the data stand in an argument or in a list in it."""
    view, source = VIEWS[name], np.random.default_rng(len(name))
    for shape in SHAPES:
        x = in_order(source.standard_normal(shape), order)
        w = source.standard_normal((view(x).shape[-1], 9))
        for model in (by_product, by_einsum):
            require_one_answer(lambda p, x, model=model: model(view(x), p["w"]), w, x)
        require_one_answer(lambda p, xs: by_product(view(xs[0]), p["w"]), w, [x])


def require_one_answer(f: Callable[..., Any], w: Floats, data: Any) -> None:
    """Fails where roads differ in a bit."""
    value, gradient = tg.value_and_grad(f)({"w": w}, data)
    tape = tg.record(f)({"w": np.zeros_like(w)}, data).replay({"w": w}, data)
    compiled = tg.jit(tg.value_and_grad(f), eager_first=False)({"w": w}, data)
    assert tape.value == compiled.value == value
    np.testing.assert_array_equal(tape.gradient()["w"], gradient["w"])
    np.testing.assert_array_equal(compiled.grad["w"], gradient["w"])


def test_a_view_of_an_array_of_the_model_is_printed_as_one() -> None:
    """A transposed constant is the constant and its transpose, which a tape keeps as a view."""
    x = np.arange(6.0).reshape(3, 2)

    def f(p: Mapping[str, Arr]) -> Scalar:
        return tnp.sum(x.T @ p["w"])

    lines = str(tg.record(f)({"w": np.ones((3, 1))})).splitlines()
    assert [line for line in lines if "constant" in line and "[3x2]" in line]
    assert [line for line in lines if "transpose" in line and "[2x3]" in line]


def test_large_data_is_turned_without_a_copy() -> None:
    """The transpose of a large array that was lent shows the array."""
    x = np.ones((300, 400))
    seen: list[Any] = []

    def f(p: Mapping[str, Arr], x: Floats) -> Scalar:
        h: Any = x.T @ p["w"]
        seen.append(h._recorder.values[1])
        return cast(Scalar, tnp.sum(h))

    tg.grad(f)({"w": np.ones((300, 2))}, x)
    assert np.shares_memory(seen[0], x)
    assert x.flags.writeable
