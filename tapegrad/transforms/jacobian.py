"""``jacobian`` and ``hessian``: derivatives as dicts of dicts, by key path."""

# Of the overloads the more precise come first.
# mypy: disable-error-code="overload-overlap"

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import prod
from typing import (
    Any,
    Concatenate,
    Literal,
    Never,
    ParamSpec,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

from tapegrad._support.argument_checks import refuse_options
from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, Shape
from tapegrad.pytree.key_paths import input_key_path
from tapegrad.pytree.structure import key_paths, leaf_shapes
from tapegrad.recording.recorder import Var
from tapegrad.recording.trace import Trace, trace
from tapegrad.transforms.products import HessianProduct
from tapegrad.transforms.traced_call import Data, pull, push, require_numbers, transformed

__all__ = ["Returned", "hessian", "jacobian"]

A = TypeVar("A")
P = ParamSpec("P")

Returned: TypeAlias = Any
"""Any result: pyrefly would take ``object``, and ty a type variable, for the parameter, too."""

Matrix: TypeAlias = dict[str, dict[str, float]]
"""The rows by key path, and in each the columns by key path; blocks of arrays are arrays."""


def jacobian(
    f: Callable[Concatenate[A, P], Returned],
    /,
    *,
    mode: Literal["forward", "reverse"] | None = None,
    **options: Never,
) -> Callable[Concatenate[A, P], Matrix]:
    """The derivative of every number that ``f`` returns in every number of its first argument.

    ``jacobian(f)(x, *data)[output][input]``, both by path; a lone number goes by the name of the
    parameter, and a lone result by ``"value"``. Of arrays the derivative is an array, with the axes
    of the output and then those of the input; ``tapegrad.numpy.jacobian`` has its type. One sweep
    for each number of the inputs forward, or of the outputs in reverse: whichever is fewer, unless
    ``mode`` says.

    Raises:
        InputError: for what cannot be an input, or an unknown ``mode``.
        OutputError: when ``f`` returns no number.

    >>> from tapegrad import Real, jacobian
    >>> def polar(p: dict[str, Real]) -> tuple[Real, Real]:
    ...     return p["x"] * p["y"], p["x"] - p["y"]
    >>> jacobian(polar)({"x": 3.0, "y": 2.0})
    {'0': {'x': 2.0, 'y': 3.0}, '1': {'x': 1.0, 'y': -1.0}}
    """
    refuse_options("jacobian", options)
    if mode not in {None, "forward", "reverse"}:
        raise InputError(f"mode={mode!r} ({here()}) is unknown: use 'forward' or 'reverse'")

    def matrix(x: A, data: Data) -> Matrix:
        traced = trace(f, x, data)
        require_numbers(f, traced.result, "jacobian")
        outputs = [path or "value" for path in key_paths(traced.result)]
        inputs, results = leaf_shapes(traced.parameters), leaf_shapes(traced.result)
        fewer_inputs = sum(map(prod, inputs)) <= sum(map(prod, results))
        forward = fewer_inputs if mode is None else mode == "forward"
        if any(inputs) or any(results):
            blocks = _blocks(traced, inputs, results, forward=forward)
            return _matrix(outputs, _inputs(f, traced), blocks)
        if forward:
            columns = [push(traced, {slot: 1.0}) for slot in range(traced.width)]
            rows = list(zip(*columns, strict=True))
        else:
            rows = [tuple(pull(traced, {slot: 1.0})) for slot in traced.outputs]
        return _matrix(outputs, _inputs(f, traced), rows)

    return transformed(f, jacobian, matrix, mode=mode)


@overload
def hessian(f: Callable[Concatenate[A, P], float], /) -> Callable[Concatenate[A, P], Matrix]: ...
@overload
def hessian(
    f: Callable[Concatenate[A, P], float | Var], /
) -> Callable[Concatenate[A, P], Matrix]: ...
def hessian(
    f: Callable[Concatenate[A, P], float | Var], /, **options: object
) -> Callable[Concatenate[A, P], Matrix]:
    """The second derivatives of ``f`` in the numbers of its first argument, two by two.

    ``hessian(f)(x, *data)[input][input]``, both by path; of arrays an array, with the axes of the
    one and then those of the other, whose type ``tapegrad.numpy.hessian`` has. One recording, and
    for each number a forward sweep and a reverse sweep that carries tangents.

    Raises:
        InputError: for what cannot be an input.
        OutputError: when ``f`` returns anything but one number.

    >>> from tapegrad import Real, hessian
    >>> def f(p: dict[str, Real]) -> Real:
    ...     return p["x"] ** 2 * p["y"]
    >>> hessian(f)({"x": 3.0, "y": 2.0})
    {'x': {'x': 4.0, 'y': 6.0}, 'y': {'x': 6.0, 'y': 0.0}}
    """
    refuse_options("hessian", options)

    def matrix(x: A, data: Data) -> Matrix:
        product = HessianProduct(f, x, data)
        names = _inputs(f, product.traced)
        shapes = leaf_shapes(product.traced.parameters)
        if any(shapes):
            by_columns = serving("transforms.array_blocks").by_columns
            return _matrix(names, names, by_columns(product.along, [*enumerate(shapes)], shapes))
        products = [product.along({slot: 1.0}) for slot in range(len(names))]
        # The matrix is symmetric but for rounding; each branch keeps its own.
        rows = zip(*products, strict=True) if product.traced.columns.traced else products
        return _matrix(names, names, rows)

    return transformed(f, hessian, matrix)


def _blocks(
    traced: Trace, inputs: Sequence[Shape], results: Sequence[Shape], *, forward: bool
) -> Iterable[Sequence[Operand]]:
    """The derivative of each output in each input, where some are arrays."""
    blocks = serving("transforms.array_blocks")
    if forward:
        found = blocks.by_columns(partial(push, traced), [*enumerate(inputs)], results)
    else:
        outputs = [*zip(traced.outputs, results, strict=True)]
        found = blocks.by_rows(partial(pull, traced), outputs, inputs)
    return cast("Iterable[Sequence[Operand]]", found)


def _inputs(f: Callable[..., object], traced: Trace) -> list[str]:
    return [path or input_key_path(f, (), ()) for path in key_paths(traced.parameters)]


def _matrix(
    rows: Sequence[str], columns: Sequence[str], entries: Iterable[Sequence[Operand]]
) -> Matrix:
    lines = (dict(zip(columns, line, strict=True)) for line in entries)
    return cast(Matrix, dict(zip(rows, lines, strict=True)))
