"""Frames and series of pandas and Polars as data: their numbers, where they meet what is traced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp

COLUMNS = {"a": [1.0, 2.0, 3.0], "b": [0.5, 1.5, 2.5]}
W = np.array([1.0, 2.0])


@pytest.fixture(params=["pandas", "polars"])
def frame(request: pytest.FixtureRequest) -> Any:
    """A frame of floats."""
    return pytest.importorskip(request.param).DataFrame(COLUMNS)


Model = Callable[[Any, Any], Any]

MODELS: list[tuple[Model, Model]] = [
    (lambda w, d: (w * d).sum(), lambda w, m: (w * m).sum()),
    (
        lambda w, d: (w[0] * d["a"]).sum() + (w[1] / d["b"]).sum(),
        lambda w, m: (w[0] * m[:, 0]).sum() + (w[1] / m[:, 1]).sum(),
    ),
    (lambda w, d: tnp.sum(tnp.matmul(d, w)), lambda w, m: tnp.sum(tnp.matmul(m, w))),
    (
        lambda w, d: tnp.where(tnp.multiply(d["a"], w[0]) > 1.5, w[1], 0.0).sum(),
        lambda w, m: tnp.where(m[:, 0] * w[0] > 1.5, w[1], 0.0).sum(),
    ),
    (lambda w, d: w[0] * d["a"].sum(), lambda w, m: w[0] * float(m[:, 0].sum())),
]
"""Each on a frame, and on the matrix of its columns."""


@pytest.mark.parametrize(("model", "of_matrix"), MODELS)
def test_a_frame_is_its_array(model: Model, of_matrix: Model, frame: Any) -> None:
    """Gradients, eager, recorded and compiled, are those with an array."""
    wanted = tg.grad(of_matrix)(W, frame.to_numpy())
    assert_array_equal(tg.grad(model)(W, frame), wanted)
    assert_array_equal(tg.record(tg.grad(model))(W, frame).value, wanted)
    assert_array_equal(tg.jit(tg.grad(model))(W, frame), wanted)


def test_a_frame_of_pandas_may_stand_first() -> None:
    """It leaves its operators to what is traced."""
    frame = pytest.importorskip("pandas").DataFrame(COLUMNS)
    found = tg.grad(lambda w: (frame * w).sum() + (frame["a"] - w[0]).sum())(W)
    assert_array_equal(found, [6.0 - 3.0, 4.5])
    with pytest.raises(errors.TracedNumberError, match=r"frame\.to_numpy\(\)"):
        tg.grad(lambda w: (frame @ w).sum())(W)


def test_a_frame_is_no_parameter(frame: Any) -> None:
    """The message says what to pass."""
    with pytest.raises(errors.InputError, match=r"pass its to_numpy\(\), or a dict of arrays"):
        tg.grad(lambda d: tnp.sum(d["a"]))(frame)


def test_a_column_of_texts_is_refused() -> None:
    """It has no numbers."""
    texts = pytest.importorskip("pandas").Series(["a", "b"], dtype=object)
    with pytest.raises(errors.InputError, match="of objects: make it with dtype=float"):
        tg.grad(lambda w: (w * texts).sum())(W)
