"""Losses of one number, of lists of numbers and of arrays, which have their digits at the extremes.

Each takes what the model predicts and then what is true; of several it is the mean. ``hinge`` takes
scores and labels -1 and 1, ``binary_cross_entropy`` logits and labels from 0 to 1, and
``cross_entropy`` the logits of classes and the number of the right class.
"""

# To mypy, Real is a union where overloads are compared, so that some seem never to match; to others
# they do.
# mypy: disable-error-code="overload-cannot-match"

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast, overload

from tapegrad import math
from tapegrad._support.source_position import here
from tapegrad._support.text import describe, visible
from tapegrad.errors import InputError
from tapegrad.ops.array_support import quiet, serving
from tapegrad.ops.primitive import Traced, has_axes, shape_of
from tapegrad.recording.recorder import Real, Scalar, Var
from tapegrad.recording.where import where

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tapegrad.numpy.arrays import Arr, Floats

    Labels: TypeAlias = int | Sequence[int] | NDArray[np.integer[Any]]

__all__ = ["binary_cross_entropy", "cross_entropy", "hinge", "huber", "mae", "mse"]


class Loss(Protocol):
    """A loss of predictions and of what is true: two numbers, two sequences or two arrays."""

    @overload
    def __call__(self, predicted: float, true: float, /) -> float: ...
    @overload
    def __call__(self, predicted: Real, true: float, /) -> Real: ...
    @overload
    def __call__(self, predicted: Sequence[Real], true: Sequence[float], /) -> Real: ...
    @overload
    def __call__(self, predicted: Sequence[float | Var], true: Sequence[float], /) -> Scalar: ...
    @overload
    def __call__(self, predicted: Floats, true: Floats | float, /) -> float: ...
    @overload
    def __call__(self, predicted: Arr, true: Floats | float, /) -> Scalar: ...


class ClassLoss(Protocol):
    """A loss of the logits of classes and the number of the right one, from 0 on, for each row."""

    @overload
    def __call__(self, logits: Sequence[Real], label: int, /) -> Real: ...
    @overload
    def __call__(self, logits: Sequence[Sequence[Real]], labels: Sequence[int], /) -> Real: ...
    @overload
    def __call__(self, logits: Floats, labels: Labels, /) -> float: ...
    @overload
    def __call__(self, logits: Arr, labels: Labels, /) -> Scalar: ...


def _loss(one: Callable[[Any, Any], Any]) -> Loss:
    """The mean of a loss of two numbers, which goes element by element on arrays."""
    name = one.__name__.removeprefix("_")

    def loss(predicted: Any, true: Any, /) -> Any:
        if has_axes(predicted):
            return _of_arrays(name, one, predicted, true)
        if not isinstance(predicted, Sequence):
            return one(predicted, true)
        _require_same(name, len(predicted), _length(true))
        return math.mean([one(x, y) for x, y in zip(predicted, true, strict=True)])

    loss.__name__ = loss.__qualname__ = name
    loss.__module__, loss.__doc__ = __name__, one.__doc__
    return cast("Loss", loss)


def _of_arrays(name: str, one: Callable[[Any, Any], Any], predicted: Any, true: Any) -> Any:
    tnp = serving("numpy")
    wanted = true if has_axes(true) else tnp.asarray(true)
    _require_same(name, shape_of(predicted), shape_of(wanted) or shape_of(predicted))
    with quiet(on_arrays=True):
        return tnp.mean(one(predicted, wanted))


def _require_same(name: str, predicted: object, true: object) -> None:
    if predicted != true:
        what = "shapes" if isinstance(predicted, tuple) else "lengths"
        raise InputError(
            f"{name} ({here()}) was given predictions and true values of the {what} {predicted} "
            f"and {true}: pass one true value for each prediction"
        )
    if predicted == 0 or (isinstance(predicted, tuple) and 0 in predicted):
        raise InputError(f"{name} ({here()}) was given no predictions: pass one or more")


def _length(values: Any) -> object:
    return len(values) if hasattr(values, "__len__") else describe(values)


def _require_labels(name: str, labels: Any, hold: Callable[[Any], Any], cure: str) -> None:
    """Raises for plain labels that a loss is not made for; those that are traced pass."""
    if isinstance(labels, Traced) or (has_axes(labels) and labels.dtype == object):
        return
    wrong = labels[~hold(labels)].tolist() if shape_of(labels) else [labels] * (not hold(labels))
    if wrong:
        raise InputError(f"{name} ({here()}) was given the label {wrong[0]}: pass {cure}")


def _mse(predicted: Any, true: Any) -> Any:
    """The mean squared error.

    >>> mse([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    return (predicted - true) ** 2


def _mae(predicted: Any, true: Any) -> Any:
    """The mean absolute error, whose slope is 0 where a prediction is true.

    >>> mae([1.0, 2.0], [1.0, 4.0])
    1.0
    """
    return math.fabs(predicted - true)


def _huber(predicted: Any, true: Any) -> Any:
    """Half the squared error up to an error of 1, and from there on the absolute error less 0.5.

    >>> huber([1.0, 2.0], [1.5, 4.0])
    0.8125
    """
    error = math.fabs(predicted - true)
    return where(error <= 1.0, 0.5 * error * error, error - 0.5)


def _hinge(score: Any, label: Any) -> Any:
    """The hinge loss of scores, for labels -1 and 1: what ``label * score`` is below 1.

    Raises:
        InputError: for any other label that is a plain number.

    >>> hinge([2.0, 0.5], [1.0, -1.0])
    0.75
    """
    _require_labels("hinge", label, lambda y: (y == 1.0) | (y == -1.0), "-1 or 1 for each score")
    return math.relu(1.0 - label * score)


def _binary_cross_entropy(logit: Any, label: Any) -> Any:
    """The cross entropy of logits, for labels 0 and 1 or probabilities between them.

    The probability is the ``sigmoid`` of the logit. Both arms keep their digits where it is near 0
    or 1, so that a logit of 40 has the loss 4e-18 for the label 1.

    Raises:
        InputError: for a plain number as a label that is below 0 or above 1.

    >>> binary_cross_entropy(0.0, 1.0), binary_cross_entropy(1e4, 0.0)
    (0.6931471805599453, 10000.0)
    """
    within = "a number from 0 to 1 for each logit"
    _require_labels("binary_cross_entropy", label, lambda y: (y >= 0.0) & (y <= 1.0), within)
    return label * math.softplus(-logit) + (1.0 - label) * math.softplus(logit)


mse: Final = _loss(_mse)
mae: Final = _loss(_mae)
huber: Final = _loss(_huber)
hinge: Final = _loss(_hinge)
binary_cross_entropy: Final = _loss(_binary_cross_entropy)


def _cross_entropy(logits: Any, labels: Any, /) -> Any:
    """The cross entropy of the softmax of logits, for the number of the right class from 0 on.

    Lists are the logits of one row and its label, or a list for each row and their labels; arrays
    have the classes along the last axis. The right class is compared with all others together, as
    ``softplus(logsumexp(others - right))``, so that a loss near 0 has its digits.

    Raises:
        InputError: for fewer than two classes, a label that is none of them, and labels of another
            number than rows.

    >>> cross_entropy([0.0, 1.0, -1.0], 1), cross_entropy([[9.0, 9.0], [40.0, 0.0]], [0, 0])
    (0.4076059644443803, 0.34657359027997264)
    """
    if has_axes(logits):
        with quiet(on_arrays=True):
            return _of_matrix(logits, labels)
    if len(logits) and not isinstance(logits[0], Sequence):
        return _of_row(logits, labels)
    _require_same("cross_entropy", len(logits), _length(labels))
    return math.mean([_of_row(row, label) for row, label in zip(logits, labels, strict=True)])


cross_entropy: Final = cast("ClassLoss", _cross_entropy)
_cross_entropy.__name__ = _cross_entropy.__qualname__ = "cross_entropy"


def _of_row(logits: Sequence[Any], label: Any) -> Any:
    _require_classes(len(logits))
    if isinstance(label, Var):
        return _of_traced_label(logits, label)
    right = _class_number(label, len(logits))
    gaps = [logit - logits[right] for place, logit in enumerate(logits) if place != right]
    return math.softplus(math.logsumexp(gaps) if len(gaps) > 1 else gaps[0])


def _of_traced_label(logits: Sequence[Any], label: Var) -> Any:
    """The loss without a guard for the label, so that rows of all classes take one path.

    A label that is none of the classes gives nan.
    """
    is_right = [label == float(place) for place in range(len(logits))]
    right: Any = math.nan
    for chosen, logit in zip(is_right, logits, strict=True):
        right = where(chosen, logit, right)
    gaps = [where(a, -math.inf, z - right) for a, z in zip(is_right, logits, strict=True)]
    return math.softplus(math.logsumexp(gaps))


def _of_matrix(logits: Any, labels: Any) -> Any:
    tnp = serving("numpy")
    *rows, classes = shape_of(logits)
    _require_classes(classes)
    given: Any = labels if isinstance(labels, Traced) else _class_numbers(labels, classes)
    _require_same("cross_entropy", tuple(rows), shape_of(given))
    column = given[..., None] if shape_of(given) else given
    is_right = tnp.equal(column, tnp.arange(float(classes)))
    right = tnp.sum(tnp.where(is_right, logits, 0.0), axis=-1, keepdims=True)
    if isinstance(labels, Traced):  # 0.0 / 0.0 is nan, where a label is none of the classes
        right = right / tnp.sum(tnp.where(is_right, 1.0, 0.0), axis=-1, keepdims=True)
    gaps = tnp.where(is_right, -math.inf, logits - right)
    return tnp.mean(tnp.softplus(tnp.logsumexp(gaps, axis=-1)))


def _require_classes(count: int) -> None:
    if count < 2:
        raise InputError(
            f"cross_entropy ({here()}) compares two classes or more, and was given {count}: pass a "
            "logit for each, or use binary_cross_entropy for one"
        )


def _class_number(label: Any, classes: int) -> int:
    number = label if isinstance(label, int) else getattr(label, "__index__", lambda: -1)()
    if isinstance(label, bool) or not 0 <= number < classes:
        raise InputError(
            f"cross_entropy ({here()}) was given the label {visible(repr(label))}: "
            f"pass the number of a class as an int from 0 to {classes - 1}"
        )
    return int(number)


def _class_numbers(labels: Any, classes: int) -> Any:
    """Labels as an array of floats."""
    import numpy as np

    given = np.asarray(labels)
    if given.dtype.kind not in "iu" or (
        given.size and not 0 <= given.min() <= given.max() < classes
    ):
        for label in given.ravel().tolist():
            _class_number(label, classes)
    return given.astype(np.float64)
