"""Arrays of numpy's as parameters, data and values: the same laws as for numbers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp
from tapegrad.pytree.structure import Leaf

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 4))
LAYER = {"w": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4)}


def loss(p: Any, x: Any, y: Any) -> Any:
    return ((np.tanh(x @ p["w"] + p["b"]) - y) ** 2).mean()


def differences(f: Any, x: Any, *data: Any) -> Any:
    """The gradient by central differences."""
    found = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[index] = 1e-6
        found[index] = (f(x + step, *data) - f(x - step, *data)) / 2e-6
    return found


class TestGradients:
    def test_a_gradient_has_the_shapes_of_the_parameters(self) -> None:
        """The structure is that of the parameters, and arrays are float64."""
        found = tg.grad(loss)(LAYER, X, Y)
        assert {key: part.shape for key, part in found.items()} == {"w": (3, 4), "b": (4,)}
        for key, part in found.items():
            wanted = differences(lambda x: loss({**LAYER, key: x}, X, Y), LAYER[key])  # noqa: B023  # called now
            assert_allclose(part, wanted, rtol=1e-6, atol=1e-9)

    def test_zeros_of_either_sign_are_two_constants(self) -> None:
        """Whichever a recording meets first."""
        plus: Any = tg.record(lambda x: (x * 0.0, x * -0.0))(np.ones(2)).value
        minus: Any = tg.record(lambda x: (x * -0.0, x * 0.0))(np.ones(2)).value
        assert [*map(np.signbit, (plus[0][0], plus[1][0]))] == [False, True]
        assert [*map(np.signbit, (minus[0][0], minus[1][0]))] == [True, False]

    def test_a_gradient_is_the_callers_own(self) -> None:
        """Two leaves never share memory, with each other or with the arguments."""
        found = tg.grad(lambda p: (p["a"] + p["b"]).sum())({"a": np.ones(2), "b": np.ones(2)})
        found["a"][0] = 7.0
        assert_array_equal(found["b"], [1.0, 1.0])

    def test_an_arm_that_is_not_selected_contributes_nothing(self) -> None:
        """Element by element, at any order."""

        def f(x: Any) -> Any:
            return np.where(x > 0.0, np.sqrt(x), x).sum()

        at = np.array([-4.0, 4.0])
        assert_array_equal(tg.grad(f)(at), [1.0, 0.25])
        tape = tg.record(tg.grad(f))(at)
        assert_array_equal(tape.replay(-at).value, [0.25, 1.0])

    def test_an_array_that_the_model_changes_is_read_as_it_was(self) -> None:
        """A constant is what it was when it met the traced array."""

        def f(x: Any) -> Any:
            mask, total = np.zeros(3), 0.0
            for place in range(3):
                mask[:] = 0.0
                mask[place] = 1.0
                total = total + (place + 1.0) * (x * mask).sum()
            return total

        assert_array_equal(tg.grad(f)(np.ones(3)), [1.0, 2.0, 3.0])

    def test_second_derivatives_agree(self) -> None:
        """``hvp`` is the derivative of the gradient along the direction."""

        def f(x: Any) -> Any:
            return (np.exp(x) * x[::-1]).sum()

        x, v = np.array([1.0, 2.0, 3.0]), np.array([1.0, -1.0, 0.5])
        along = tg.grad(lambda x: (tg.grad(f)(x) * v).sum())(x)
        assert_allclose(tg.hvp(f, x, v), along, rtol=1e-15)

    def test_a_small_cotangent_meets_an_operand_of_fewer_axes(self) -> None:
        """What is the same along axes is not spread before it has to be."""

        def f(x: Any) -> Any:
            return (x[:, None] * x.sum(axis=-1, keepdims=True)).sum()

        x = RNG.normal(size=(5, 3))
        assert_allclose(tg.grad(f)(x), differences(f, x), rtol=1e-7)
        assert_array_equal(tg.record(f)(x).gradient(), tg.grad(f)(x))


class TestTapes:
    def test_a_recorded_gradient_has_the_bits_of_the_eager_one(self) -> None:
        """So has a tape's own gradient, a replay and a pickle."""
        eager = tg.grad(loss)(LAYER, X, Y)
        tape = tg.record(loss)(LAYER, X, Y)
        recorded = tg.record(tg.grad(loss))(LAYER, X, Y)
        sent = pickle.loads(pickle.dumps(recorded))  # noqa: S301  # our own
        assert sent == recorded == copy.copy(recorded)
        for found in (tape.gradient(), recorded.value, sent.replay(LAYER, X, Y).value):
            for key, part in eager.items():
                assert_array_equal(found[key], part)

    def test_values_of_a_tape_cannot_be_written_to(self) -> None:
        """A tape never changes."""
        tape = tg.record(loss)(LAYER, X, Y)
        with pytest.raises(ValueError, match="read-only"):
            tape.values[0][0, 0] = 1.0

    def test_there_is_one_nan(self) -> None:
        """Tapes whose nans have other bits are equal."""
        bits = np.array([0x7FF8000000000000, 0xFFF8000000000001], np.uint64)
        first, second = (np.array([1.0, nan]) for nan in bits.view(np.float64))
        assert first.tobytes() != second.tobytes()
        assert tg.record(lambda x: x.sum())(first) == tg.record(lambda x: x.sum())(second)

    def test_a_place_of_another_shape_is_refused(self) -> None:
        """The structures of a tape say the shapes of its values."""
        tape = tg.record(lambda x: x * 2.0)(np.ones(3))
        for changes in ({"parameters": Leaf((2,))}, {"result": Leaf()}):
            with pytest.raises(errors.TapeError, match="and its place"):
                attrs.evolve(tape, **changes)


class TestRefusals:
    def test_shapes_that_disagree(self) -> None:
        """Both are in the message."""
        with pytest.raises(errors.InputError, match=r"\(3, 4\) and \(3,\)"):
            tg.grad(lambda p: (p["w"] + p["b"]).sum())({"w": np.ones((3, 4)), "b": np.ones(3)})

    @pytest.mark.parametrize(
        "wrong",
        [
            np.array([True]), np.array([1j]), np.array([None]), np.array(["a"]),
            np.ma.masked_array([1.0]), np.array(["2020-01-01"], "M8[D]"),
        ],
    )  # fmt: skip
    def test_arrays_of_no_numbers(self, wrong: Any) -> None:
        """Each is refused as a parameter."""
        with pytest.raises(errors.InputError):
            tg.grad(lambda x: x.sum())(wrong)

    def test_a_result_that_is_an_array(self) -> None:
        """A gradient needs one number."""
        with pytest.raises(errors.OutputError, match="its sum or its mean"):
            tg.grad(lambda x: x * x)(np.ones(3))

    def test_writing_to_a_traced_array(self) -> None:
        """The message says what to write."""

        def f(x: Any) -> Any:
            x[0] = 1.0
            return x.sum()

        with pytest.raises(errors.TracedNumberError, match="at_set"):
            tg.grad(f)(np.ones(3))


def test_functions_of_numpy_and_ours_record_the_same() -> None:
    """One namespace may be used for the other."""
    ours = tg.record(lambda x: tnp.sum(tnp.exp(x) * tnp.sin(x)))(np.ones(3))
    theirs = tg.record(lambda x: np.sum(np.exp(x) * np.sin(x)))(np.ones(3))
    assert ours == theirs
