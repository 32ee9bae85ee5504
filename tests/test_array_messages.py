"""Arrays that cannot be taken, and models that misuse them: right, or one sentence that says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple

import attrs
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import Real, errors
from tapegrad.numpy import Arr
from tests.places import place

ONE = np.ones(3)


def squares(x: Any) -> Any:
    return (x * x).sum() if getattr(x, "shape", ()) else x * x


class Sub(np.ndarray[Any, Any]):
    """A class of its own."""


class TestParameters:
    @pytest.mark.parametrize(
        ("array", "said"),
        [
            (np.array([1.0, None]), "x is an array of objects: make it with dtype=float"),
            (np.array([1.0], object), "x is an array of objects: make it with dtype=float"),
            (np.array([1j]), "of complex numbers: pass its real and imag as two arrays"),
            (np.array([True]), "of truth values: pass it as data after the first argument, or"),
            (np.zeros(2, [("a", float)]), "of records: pass its fields as arrays by name"),
            (np.ma.masked_array([1.0]), "is a MaskedArray: pass its data and its mask as two"),
            (np.ones((1, 1)).view(np.matrix), r"is a matrix: pass numpy.asarray\(...\) of it"),
            (np.zeros(2).view(Sub), r"is a Sub: pass numpy.asarray\(...\) of it"),
            (np.array(["2020-01-01"], "M8[D]"), "of dates: pass it as data after the first"),
            (np.array([1], "m8[D]"), "of durations: divide it by a unit to get numbers"),
            (np.array(["a"]), "of texts: pass it as data after the first argument"),
        ],
    )
    def test_what_holds_no_numbers_is_refused(self, array: Any, said: str) -> None:
        """With what it is, and what to do, at the user's line."""
        with pytest.raises(errors.InputError, match=said) as caught:
            tg.grad(squares)(array)
        assert "test_array_messages.py" in str(caught.value)

    @pytest.mark.parametrize(
        "array",
        [
            np.array(2.0), np.zeros((0, 3)), np.arange(12.0).reshape(3, 4)[::2, ::2],
            np.arange(3.0)[::-1], np.array([1, 2], np.float32), np.array([1, 2], np.float16),
            np.array([2**63 - 1, 1]), np.array([2**64 - 1], np.uint64), np.array([1, 2], np.int8),
            np.array([1.0, 2.0], ">f8"), np.asfortranarray(np.ones((2, 3))),
            np.array([1.0, 2.0], np.longdouble), np.broadcast_to(ONE, (2, 3)), np.array([np.nan]),
        ],
    )  # fmt: skip
    def test_any_other_layout_and_precision_is_taken(self, array: Any) -> None:
        """As float64; nothing is written to, and replays and tapes agree."""
        array = array.copy() if array.base is None else array
        before = array.copy()
        wanted = 2.0 * np.asarray(array, np.float64)
        assert_array_equal(tg.grad(squares)(array), wanted)
        assert_array_equal(tg.record(squares)(array).gradient(), wanted)
        assert_array_equal(array, before)

    def test_a_read_only_array_is_taken(self) -> None:
        """And the gradient may be written to."""
        fixed = np.ones(3)
        fixed.flags.writeable = False
        found = tg.grad(squares)(fixed)
        found[0] = 7.0
        assert_array_equal(found, [7.0, 2.0, 2.0])


class TestModels:
    @pytest.mark.parametrize(
        ("f", "said"),
        [
            (lambda x: x.sum() if x else 0.0, r"write `if \(x > 0.0\).all\(\):`"),
            (lambda x: x.sum() if x > 0.0 else 0.0, r"write `.all\(\)`, `.any\(\)` or where"),
            (lambda x: (x + np.ones(4)).sum(), r"\+ at .* is given shapes \(3,\) and \(4,\)"),
            (lambda x: (np.ones((2, 4)) @ x).sum(), r"@ at .* is given shapes \(2, 4\) and \(3,\)"),
            (lambda x: np.where(x > 0.0, x, np.ones(2)).sum(), r"where at .* and \(2,\)"),
            (lambda x: x.reshape(5).sum(), r"reshape at .* of 3 numbers to \(5,\)"),
            (lambda x: np.concatenate([x, np.ones((1, 1))]), "concat at"),
            (float, r"float\(x\) of an array at"),
            (lambda x: x[1.5], "an index is a float"),
            (lambda x: (x * np.array([1j, 1j, 1j])).sum(), "an array of complex numbers"),
            (lambda x: (x * np.array([None, 1, 2])).sum(), "an array of objects"),
            (lambda x: (x * np.ma.masked_array([1.0, 2.0, 3.0])).sum(), "is a MaskedArray"),
            (lambda x: (x * np.ones((1, 3)).view(np.matrix)).sum(), "is a matrix"),
            (lambda x: tg.root(lambda y: y * y - 2.0, x), "root solves for one number"),
            (lambda x: x * x, "a gradient needs one number"),
        ],
    )
    def test_a_mistake_is_named_with_its_line(self, f: Callable[[Any], Any], said: str) -> None:
        """And with what to write."""
        with pytest.raises(errors.TapegradError, match=said) as caught:
            tg.grad(f)(ONE)
        assert "test_array_messages.py" in str(caught.value)

    def test_lists_beside_arrays_are_arrays(self) -> None:
        """As numpy takes them."""
        weights: Any = [1.0, 2.0, 3.0]
        assert_array_equal(tg.grad(lambda x: (x * weights).sum())(ONE), [1.0, 2.0, 3.0])
        assert_array_equal(tg.grad(lambda x: (weights * x).sum())(ONE), [1.0, 2.0, 3.0])


@dataclass(frozen=True)
class Numbers:
    w: Real  # type: ignore[valid-type]  # as users write it


@dataclass(frozen=True)
class Arrays(Generic[Arr]):
    w: Arr


@dataclass(frozen=True)
class Plain:
    w: NDArray[np.float64]


@attrs.frozen
class Both:
    w: NDArray[np.float64]
    b: Real  # type: ignore[valid-type]  # as users write it


class Named(NamedTuple):
    w: NDArray[np.float64]
    b: Real  # type: ignore[valid-type]  # as users write it


class TestClasses:
    @pytest.mark.parametrize("made", [Numbers(ONE), Arrays(ONE)])
    def test_fields_of_numbers_hold_arrays(self, made: Any) -> None:
        """Annotated Real or Arr."""
        found = tg.grad(lambda m: (m.w * m.w).sum())(made)
        assert type(found) is type(made)
        assert_array_equal(found.w, 2.0 * ONE)

    @pytest.mark.parametrize("made", [Both(ONE, 1.0), Named(ONE, 1.0)])
    def test_an_array_in_another_field_is_refused(self, made: Any) -> None:
        """It would come back as its own gradient."""
        with pytest.raises(errors.InputError, match=r"w is a ndarray .* annotate it Arr"):
            tg.grad(lambda m: (m.w * m.b).sum())(made)

    def test_a_class_of_such_fields_alone_is_refused(self) -> None:
        """With the annotation that makes them parameters."""
        with pytest.raises(errors.InputError, match=r"`w: Arr` of tapegrad\.numpy"):
            tg.grad(lambda m: m.w.sum())(Plain(ONE))


@tg.primitive(partials=lambda y, x: 3.0 * x**2, at=[0.5])
def cube(x: float) -> float:
    return x * x * x if x == x else x


RULE: Any = cube


class TestRules:
    def test_a_rule_of_the_users_goes_element_by_element(self) -> None:
        """To second order, recorded as computed."""

        def f(x: Any) -> Any:
            return cube(x).sum()

        at = np.array([1.0, 2.0, -3.0])
        assert_array_equal(tg.grad(f)(at), 3.0 * at**2)
        assert_array_equal(tg.record(tg.grad(f))(at).value, 3.0 * at**2)
        assert_array_equal(tg.hvp(f, at, np.ones(3)), 6.0 * at)
        assert_array_equal(tg.jacobian(RULE)(at)["value"]["x"], np.diag(3.0 * at**2))


def test_data_that_is_recorded_is_named() -> None:
    """With the way to get it as it is, whatever is asked of it; parameters are no data."""

    def written(x: Any, d: Any) -> Any:
        d = d.copy()
        d[0] = 9.0
        return (d * x).sum()

    def listed(x: Any, d: Any) -> Any:
        return sum(d.tolist()) * x.sum()

    def asked(x: Any, d: Any) -> Any:
        return x.sum() if d > 0.0 else -x.sum()

    x, d = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    for f, text, what in (
        (written, "d[0] = 9.0", "writing to x"),
        (listed, "d.tolist()", "x.tolist()"),
        (asked, "if d > 0.0", "the truth of an array of conditions"),
    ):
        with pytest.raises(errors.TracedNumberError) as caught:
            tg.record(f)(x, d)
        assert str(caught.value).startswith(
            f"{what} at {place(f, text)} is asked of data that is recorded, d: pass "
            'static_argnames=("d",) to get it as it is, or write '
        )
        with pytest.raises(errors.TracedNumberError) as caught:
            tg.grad(lambda d, x, f=f: f(x, d))(d, x)
        assert "static_argnames" not in str(caught.value)
    assert tg.record(written, static_argnames="d")(x, d).gradient().tolist() == [9.0, 4.0]
