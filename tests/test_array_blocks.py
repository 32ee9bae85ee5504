"""``jacobian`` and ``hessian`` of ``tapegrad.numpy``: the blocks of ``tapegrad``'s, all arrays."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp

RNG = np.random.default_rng(5)
AT = {"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=2)}
X = RNG.normal(size=(4, 3))


def layer(p: Any, x: Any, k: float = 1.0) -> Any:
    return k * tnp.tanh(x @ p["w"] + p["b"])


def loss(p: Any, x: Any) -> Any:
    return tnp.sum(layer(p, x) ** 2)


def scaled(p: Any) -> Any:
    return {"all": p["w"] * p["s"], "some": tnp.sum(p["w"]) * p["s"]}


def copied(f: Any) -> Any:
    return pickle.loads(pickle.dumps(f))  # noqa: S301  # its own bytes


def same(found: Any, wanted: Any) -> None:
    assert {row: [*line] for row, line in found.items()} == {
        row: [*line] for row, line in wanted.items()
    }
    for row, line in wanted.items():
        for column, block in line.items():
            assert type(found[row][column]) is np.ndarray
            assert_array_equal(found[row][column], block)


@pytest.mark.parametrize("mode", [None, "forward", "reverse"])
def test_a_jacobian_has_the_bits_of_tapegrads(mode: Any) -> None:
    """Computed, recorded, compiled and unpickled, with data by position and by name."""
    ours, wanted = tnp.jacobian(layer, mode=mode), tg.jacobian(layer, mode=mode)(AT, X, k=2.0)
    runs = [ours, tg.jit(ours, eager_first=False), copied(ours)]
    for run in runs:
        same(run(AT, X, k=2.0), wanted)
    same(tg.record(ours)(AT, x=X, k=2.0).value, wanted)


def test_a_hessian_has_the_bits_of_tapegrads() -> None:
    """As above."""
    ours, wanted = tnp.hessian(loss), tg.hessian(loss)(AT, X)
    for run in (ours, tg.jit(ours, eager_first=False), copied(ours)):
        same(run(AT, X), wanted)


def test_blocks_are_differentiated() -> None:
    """Inside a model they are traced arrays."""

    def curvature(x: Any) -> Any:
        return tnp.sum(tnp.hessian(lambda x: tnp.sum(x**4))(x)["x"]["x"])

    assert_array_equal(tg.grad(curvature)(np.array([1.0, -2.0])), [24.0, -48.0])


def test_the_block_of_two_numbers_is_refused() -> None:
    """By the names of both; blocks with an array on one side are arrays."""
    at = {"w": AT["b"], "s": 2.0}
    with pytest.raises(
        errors.InputError,
        match=r"the block of 'some' and 's' \(.*test_array_blocks.py:\d+\) is a number, as both "
        r"are: use tapegrad.jacobian, or an array of one number$",
    ):
        tnp.jacobian(scaled)(at)
    with pytest.raises(errors.InputError, match=r"'x' and 'x' .* use tapegrad.hessian, or an arr"):
        tnp.hessian(tg.math.sin)(1.0)
    same(tnp.jacobian(lambda p: scaled(p)["all"])(at), {"value": {
        "w": 2.0 * np.eye(2), "s": AT["b"],
    }})  # fmt: skip


def test_what_is_asked_of_it_wrongly_is_refused() -> None:
    """As ``tapegrad.jacobian`` refuses it."""
    wrong: Any = "both"
    with pytest.raises(errors.InputError, match=r"mode='both' .* is unknown"):
        tnp.jacobian(layer, mode=wrong)
    with pytest.raises(errors.OutputError, match="return its sum or its mean"):
        tnp.hessian(layer)(AT, X)
