"""Sums of products along axes that two or more arrays share, and convolutions."""

# Of overloads that overlap the more precise come first; to mypy, some seem never to match.
# mypy: disable-error-code="overload-cannot-match, overload-overlap"

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import prod
from typing import Any, Literal, TypeAlias, cast, overload

import numpy as np

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.numpy.arrays import (
    Arr,
    ArrayLike,
    Data,
    Floats,
    beside,
    operand,
    place_of,
)
from tapegrad.numpy.signatures import inner_product, kept, product
from tapegrad.ops import array_rows as rows
from tapegrad.ops import matrix_rows as matrices
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Operand, Shape, shape_of
from tapegrad.recording.array_var import ArrayVar, require_shapes
from tapegrad.recording.recorder import Var

__all__ = [
    "convolve", "correlate", "einsum", "inner", "kron", "sliding_window_view", "tensordot",
    "vecdot",
]  # fmt: skip

Mode: TypeAlias = Literal["full", "same", "valid"]
Axes: TypeAlias = int | tuple[int | Sequence[int], int | Sequence[int]]


@product
@beside(np.tensordot)
def tensordot(x: ArrayLike, y: ArrayLike, /, axes: Axes = 2) -> ArrayLike:
    """The sum of products over axes of x and axes of y; a count takes the last and the first.

    Raises:
        InputError: where their lengths differ.
    """
    first, second = operand(x), operand(y)
    left, right = shape_of(first), shape_of(second)
    summed_x, summed_y = _pairs(axes, len(left), len(right))
    if [left[at] for at in summed_x] != [right[at] for at in summed_y]:
        raise InputError(
            f"tensordot at {here()} sums over {axes!r} of the shapes {left} and {right}, whose "
            "lengths differ there"
        )
    kept_x = [at for at in range(len(left)) if at not in summed_x]
    kept_y = [at for at in range(len(right)) if at not in summed_y]
    shapes = [left[at] for at in kept_x] + [right[at] for at in kept_y]
    count = prod(left[at] for at in summed_x)
    matrix = _flattened(first, (*kept_x, *summed_x), (prod(left[at] for at in kept_x), count))
    other = _flattened(second, (*summed_y, *kept_y), (count, prod(right[at] for at in kept_y)))
    return rows.reshape(rows.matmul(matrix, other), tuple(shapes))


def _pairs(axes: Axes, n: int, m: int) -> tuple[Shape, Shape]:
    if isinstance(axes, int):
        return tuple(range(n - axes, n)), tuple(range(axes))
    both = [(of,) if isinstance(of, int) else tuple(of) for of in axes]
    return tuple(place_of(at, n) for at in both[0]), tuple(place_of(at, m) for at in both[1])


def _flattened(x: Operand, order: Shape, shape: Shape) -> Operand:
    return rows.reshape(x if order == tuple(range(len(order))) else rows.transpose(x, order), shape)


@overload
def vecdot(x: Floats, y: Data, /) -> float: ...
@overload
def vecdot(x: ArrayVar, y: ArrayVar | Data, /) -> Var: ...
@overload
def vecdot(x: Data, y: ArrayVar, /) -> Var: ...
@overload
def vecdot(x: Data, y: Data, /) -> float: ...
@overload
def vecdot(x: Arr, y: Data, /) -> np.float64: ...
@overload
def vecdot(x: Data, y: Arr, /) -> np.float64: ...
@overload
def vecdot(x: Arr, y: Arr, /) -> np.float64: ...
@overload
def vecdot(x: Arr, y: Data, /, *, axis: int) -> Arr: ...
@overload
def vecdot(x: Data, y: Arr, /, *, axis: int) -> Arr: ...
@overload
def vecdot(x: Arr, y: Arr, /, *, axis: int) -> Arr: ...
@beside(np.vecdot)
def vecdot(x: ArrayLike, y: ArrayLike, /, *, axis: int = -1) -> ArrayLike:
    """The sum of products along an axis of two arrays that are broadcast together."""
    first, second = operand(x), operand(y)
    require_shapes(ops.mul, (first, second))
    product = ops.mul(first, second)
    return rows.sum_(product, ((axis % len(shape_of(product)),), False))


@inner_product
@beside(np.inner)
def inner(x: ArrayLike, y: ArrayLike, /) -> ArrayLike:
    """The sum of products over the last axes."""
    first, second = operand(x), operand(y)
    if not (shape_of(first) and shape_of(second)):
        return ops.mul(first, second)
    return tensordot(cast(Any, first), cast(Any, second), ((-1,), (-1,)))


@product
@beside(np.kron)
def kron(x: ArrayLike, y: ArrayLike, /) -> ArrayLike:
    """Each number of x times all of y, as blocks."""
    first, second = operand(x), operand(y)
    ndim = max(len(shape_of(first)), len(shape_of(second)))
    left, right = (_led(shape_of(x), ndim) for x in (first, second))
    wide = rows.reshape(
        first, tuple(n for pair in zip(left, [1] * ndim, strict=True) for n in pair)
    )
    narrow = rows.reshape(
        second, tuple(n for pair in zip([1] * ndim, right, strict=True) for n in pair)
    )
    return rows.reshape(
        ops.mul(wide, narrow), tuple(n * m for n, m in zip(left, right, strict=True))
    )


def _led(shape: Shape, ndim: int) -> Shape:
    return (1,) * (ndim - len(shape)) + shape


# Einstein's sums.


@overload
def einsum(subscripts: str, /, *arrays: Data, optimize: object = True) -> Floats: ...
@overload
def einsum(subscripts: str, x: Arr, /, *arrays: Arr, optimize: object = True) -> Arr: ...
@overload
def einsum(subscripts: str, x: Arr, /, *arrays: Data, optimize: object = True) -> Arr: ...
@overload
def einsum(subscripts: str, x: Data, y: Arr, /, *arrays: Arr, optimize: object = True) -> Arr: ...
@overload
def einsum(subscripts: str, x: Data, y: Arr, /, *arrays: Data, optimize: object = True) -> Arr: ...
@overload
def einsum(subscripts: str, /, *arrays: ArrayVar | Data, optimize: object = True) -> ArrayVar: ...
@beside(np.einsum)
def einsum(subscripts: str, /, *arrays: ArrayLike, optimize: object = True) -> ArrayLike:
    """The sum of products in which equal letters are one axis; letters left out are summed.

    Raises:
        InputError: for subscripts that do not fit the arrays.
    """
    if not isinstance(subscripts, str):
        raise InputError(f"einsum at {here()} takes letters first: write einsum('ij,j->i', x, y)")
    given = [operand(x) for x in arrays]
    shapes = list(map(shape_of, given))
    inputs, output = _letters(subscripts, shapes)
    if not _is_length_of_each(inputs, shapes):
        _misfit(subscripts, shapes)
    for at, letters in enumerate(inputs):
        given[at], inputs[at] = _distinct(given[at], letters)
    sizes: dict[str, int] = {}
    for letters, x in zip(inputs, given, strict=True):
        sizes |= {c: n for c, n in zip(letters, shape_of(x), strict=True) if sizes.get(c, 1) == 1}
    for at, letters in enumerate(inputs):
        given[at], inputs[at] = _without_repeats(given[at], letters, sizes)
    wanted = Counter("".join(inputs) + output)
    for at, letters in enumerate(inputs):
        given[at], inputs[at] = _summed_alone(given[at], letters, wanted)
    return _sum_of_products(given, inputs, output)


def _letters(subscripts: str, shapes: list[Shape]) -> tuple[list[str], str]:
    """The letters of each array and of the result, with letters for what ``...`` stands for."""
    text = subscripts.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    parts = inputs.split(",")
    spare = [chr(code) for code in range(ord("\u03b1"), ord("\u03b1") + 24)]
    if len(parts) != len(shapes):
        _misfit(subscripts, shapes)
    found, longest = [], 0
    for part, shape in zip(parts, shapes, strict=True):
        rest = len(shape) - len(part.replace("...", ""))
        if rest < 0 or (rest and "..." not in part):
            _misfit(subscripts, shapes)
        longest = max(longest, rest)
        found.append(part.replace("...", "".join(spare[24 - rest :])))
    if not arrow:
        counted = Counter("".join(part.replace("...", "") for part in parts))
        output = "..." + "".join(sorted(c for c, n in counted.items() if n == 1))
    return found, output.replace("...", "".join(spare[24 - longest :]) if longest else "")


def _is_length_of_each(inputs: list[str], shapes: list[Shape]) -> bool:
    """Whether a letter has one length in each array, and one beside 1 in all of them."""
    both = zip(inputs, shapes, strict=True)
    pairs = [{*zip(letters, shape, strict=True)} for letters, shape in both]
    longer = {(c, n) for each in pairs for c, n in each if n != 1}
    return len(longer) == len({c for c, _ in longer}) and all(
        len(each) == len({*letters}) for each, letters in zip(pairs, inputs, strict=True)
    )


def _misfit(subscripts: str, shapes: list[Shape]) -> None:
    raise InputError(f"einsum at {here()}: {subscripts!r} does not fit the shapes {shapes}")


def _distinct(x: Operand, letters: str) -> tuple[Operand, str]:
    """The part of an array on the diagonals of letters that come twice."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            one, other = letters.index(letter), letters.rindex(letter)
            rest = [at for at in range(len(letters)) if at not in {one, other}]
            moved = rows.transpose(x, (*rest, one, other))
            places = np.arange(shape_of(moved)[-1])
            x = rows.getitem(moved, (*[slice(None)] * len(rest), places, places))
            letters = "".join(letters[at] for at in rest) + letter
    return x, letters


def _without_repeats(x: Operand, letters: str, sizes: dict[str, int]) -> tuple[Operand, str]:
    """An array without the axes of length 1 that are repeated for another array."""
    shape = shape_of(x)
    left = [at for at, c in enumerate(letters) if shape[at] == sizes[c]]
    if len(left) < len(letters):
        x = rows.reshape(x, tuple(shape[at] for at in left))
    return x, "".join(letters[at] for at in left)


def _summed_alone(x: Operand, letters: str, wanted: Counter[str]) -> tuple[Operand, str]:
    """An array summed over the axes that neither another one nor the result has."""
    own = tuple(at for at, c in enumerate(letters) if wanted[c] == 1)
    found = rows.sum_(x, (own, False)) if own else x
    return found, "".join(c for c in letters if wanted[c] > 1)


def _sum_of_products(given: list[Operand], inputs: list[str], output: str) -> Operand:
    """The row on arrays whose letters are each in another one or in the result."""
    if len(given) == 1:
        order = tuple(map(inputs[0].index, output))
        return given[0] if order == tuple(range(len(order))) else rows.transpose(given[0], order)
    names = {c: chr(ord("a") + at) for at, c in enumerate(dict.fromkeys("".join(inputs)))}
    spelled = ["".join(map(names.__getitem__, letters)) for letters in (*inputs, output)]
    return matrices.einsum(*given, cast(Any, ",".join(spelled[:-1]) + "->" + spelled[-1]))


# Convolutions, by windows that slide along an axis.


@kept
@beside(np.lib.stride_tricks.sliding_window_view)
def sliding_window_view(
    x: ArrayLike, window_shape: int | Sequence[int], /, axis: int | Sequence[int] | None = None
) -> ArrayLike:
    """Each stretch of so many numbers along axes, along new last axes."""
    found = operand(x)
    sizes = (window_shape,) if isinstance(window_shape, int) else tuple(window_shape)
    axes = (
        range(len(shape_of(found))) if axis is None else (axis,) if isinstance(axis, int) else axis
    )
    for size, at in zip(sizes, [place_of(at, len(shape_of(found))) for at in axes], strict=True):
        if not 0 < size <= shape_of(found)[at]:
            raise InputError(
                f"a window at {here()} of {size} numbers does not fit an axis of "
                f"{shape_of(found)[at]}"
            )
        found = matrices.windows(found, (size, at))
    return found


@product
@beside(np.convolve)
def convolve(x: ArrayLike, y: ArrayLike, /, mode: Mode = "full") -> ArrayLike:
    """The convolution of two vectors, all of it, as long as the longer one, or without its ends.

    Raises:
        InputError: for what are no vectors, or have no numbers.
    """
    first, second = operand(x), operand(y)
    lengths = *shape_of(first), *shape_of(second)
    if len(lengths) != 2 or len(shape_of(first)) != 1 or 0 in lengths:
        raise InputError(
            f"convolve at {here()} takes two vectors, not {shape_of(first)} and {shape_of(second)}"
        )
    if lengths[0] < lengths[1]:
        first, second = second, first
    if mode != "same":
        return matrices.convolve(first, second, cast(Any, mode))
    start = (min(lengths) - 1) // 2
    return rows.getitem(
        matrices.convolve(first, second, cast(Any, "full")), (slice(start, start + max(lengths)),)
    )


@product
@beside(np.correlate)
def correlate(x: ArrayLike, y: ArrayLike, /, mode: Mode = "valid") -> ArrayLike:
    """The sum of products of y with each part of x."""
    first, second = operand(x), operand(y)
    if shape_of(first) and shape_of(second) and shape_of(first)[0] < shape_of(second)[0]:
        return _turned(cast(Operand, convolve(cast(Any, second), cast(Any, _turned(first)), mode)))
    return convolve(cast(Any, first), cast(Any, _turned(second)), mode)


def _turned(x: Operand) -> Operand:
    return rows.getitem(x, (slice(None, None, -1),)) if shape_of(x) else x
