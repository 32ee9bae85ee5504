"""Arithmetic on trees: any containers of numbers and arrays that ``grad`` takes, as one vector.

Trees are matched by their keys, dicts in any order; what is static, such as the name of a layer, is
that of the first tree. Results have the type of the first tree. The numbers may be traced, so that
steps made of these functions can be differentiated.
"""

# Of the overloads the more precise come first.
# mypy: disable-error-code="overload-overlap"

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, TypeVar, cast, overload

from tapegrad._support.argument_checks import name_of, require_callable
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import OutputError
from tapegrad.learn.layout import leaves_as, taken_apart
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import is_array, quiet, serving
from tapegrad.ops.primitive import Operand, Traced, shape_of
from tapegrad.pytree.numbers import as_number
from tapegrad.pytree.structure import build, holds_arrays, key_paths
from tapegrad.recording.recorder import Scalar

__all__ = [
    "add", "add_scaled", "dot", "map", "norm", "paths", "scale", "size", "subtract", "zeros_like",
]  # fmt: skip

A = TypeVar("A")


@overload
def map(f: Callable[[float], float], a: A, /) -> A: ...
@overload
def map(f: Callable[[float, float], float], a: A, b: A, /) -> A: ...
@overload
def map(f: Callable[[float, float, float], float], a: A, b: A, c: A, /) -> A: ...
@overload
def map(f: Callable[..., object], a: A, /, *others: A) -> A: ...
def map(f: Callable[..., object], a: A, /, *others: A) -> A:
    """The tree of ``f(x, ...)`` for the numbers, or whole arrays, at each place of the trees.

    Raises:
        InputError: when the trees are not built alike, or hold anything but numbers.
        OutputError: when ``f`` returns anything but a number or an array.

    >>> map(lambda w, g: w - 0.5 * g, {"w": 1.0, "b": [2.0, 3.0]}, {"b": [2.0, 0.0], "w": 4.0})
    {'w': -1.0, 'b': [1.0, 3.0]}
    """
    require_callable(f, "tree.map")
    return _mapped(f, a, *others, warns=True)


def _mapped(f: Callable[..., object], a: A, *others: A, warns: bool = False) -> A:
    """The tree of results; where ``f`` is the user's, numpy warns of overflows in it."""
    structure, first = taken_apart(a)
    columns = [first]
    for count, other in enumerate(others, 2):
        columns.append(leaves_as(structure, other, f"tree {count}", "the first tree"))
    with quiet(on_arrays=not warns and holds_arrays(structure)):
        found = [f(*row) for row in zip(*columns, strict=True)]
    for place, one in enumerate(found):
        if type(one) is not float:
            found[place] = _result(one, lambda: name_of(f), key_paths(structure), place)
    return cast(A, build(structure, found))


def _result(found: object, name: Callable[[], str], paths: list[str], place: int) -> Operand:
    if isinstance(found, Traced) or (is_array(found) and shape_of(cast(Operand, found))):
        return cast(Operand, found)
    number = as_number(found.item() if is_array(found) else found)  # type: ignore[attr-defined]  # an array
    if number is None:
        raise OutputError(
            f"{name()} returned {describe(found)} at {paths[place] or 'the number'} ({here()}): "
            "return a number or an array, for each that it is given"
        )
    return number


def add(a: A, b: A, /) -> A:
    """The sum of two trees, number by number.

    >>> add({"w": 1.0, "b": [2.0]}, {"b": [0.5], "w": 3.0})
    {'w': 4.0, 'b': [2.5]}
    """
    return _mapped(lambda x, y: x + y, a, b)


def subtract(a: A, b: A, /) -> A:
    """The difference of two trees, number by number.

    >>> subtract((1.0, [2.0]), (0.5, [4.0]))
    (0.5, [-2.0])
    """
    return _mapped(lambda x, y: x - y, a, b)


def scale(a: A, factor: Scalar, /) -> A:
    """A tree times a number.

    >>> scale([1.0, (2.0, 3.0)], 2.0)
    [2.0, (4.0, 6.0)]
    """
    return _mapped(lambda x: x * factor, a)


def add_scaled(a: A, b: A, factor: Scalar, /) -> A:
    """The tree ``a + factor * b``: a step of gradient descent is ``add_scaled(p, g, -rate)``.

    >>> add_scaled({"w": 1.0}, {"w": 4.0}, -0.25)
    {'w': 0.0}
    """
    return _mapped(lambda x, y: x + factor * y, a, b)


def dot(a: A, b: A, /) -> float:
    """The sum of the products of the numbers of two trees.

    >>> dot({"w": 1.0, "b": [2.0]}, {"w": 3.0, "b": [4.0]})
    11.0
    """
    structure, left = taken_apart(a)
    right = leaves_as(structure, b, "tree 2", "the first tree")
    with quiet(on_arrays=holds_arrays(structure)):
        products = [_total(cast(Any, x) * y) for x, y in zip(left, right, strict=True)]
    return cast(float, ops.fsum(*products))


def norm(a: A, /) -> float:
    """The Euclidean length of a tree, taken as one vector; no square in it overflows.

    >>> norm({"w": 3.0, "b": [0.0, 4.0]})
    5.0
    """
    _, leaves = taken_apart(a)
    return cast(float, ops.hypot(*map(_length, leaves))) if leaves else 0.0


def zeros_like(a: A, /) -> A:
    """The tree with 0.0 in the place of every number, and arrays of zeros.

    >>> zeros_like({"w": 3.0, "b": [0.0, 4.0]})
    {'w': 0.0, 'b': [0.0, 0.0]}
    """
    return _mapped(_zero, a)


def size(a: object, /) -> int:
    """How many numbers a tree holds, those in arrays counted one by one.

    >>> size({"w": 3.0, "b": [0.0, 4.0]})
    3
    """
    _, leaves = taken_apart(a)
    return sum(prod(shape_of(x)) for x in leaves)


def paths(a: object, /) -> tuple[str, ...]:
    """The key paths of the numbers and arrays of a tree, in the order of its vector.

    >>> paths({"w": 3.0, "b": [0.0, 4.0]})
    ('w', 'b.0', 'b.1')
    """
    structure, _ = taken_apart(a)
    return tuple(key_paths(structure))


def _total(x: Operand) -> Operand:
    """The sum of an array; a number as it is."""
    if not shape_of(x):
        return x
    total = cast(Any, x).sum()
    return total if isinstance(total, Traced) else float(total)


def _length(x: Operand) -> Operand:
    """The Euclidean norm of an array; a number as it is."""
    if not shape_of(x):
        return x
    length = serving("numpy.reductions").norm(x)
    return length if isinstance(length, Traced) else float(length)


def _zero(x: Operand) -> Operand:
    shape = shape_of(x)
    return serving("learn.arrays").zeros(shape) if shape else 0.0
