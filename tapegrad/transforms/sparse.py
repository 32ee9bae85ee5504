"""``sparse_jacobian`` and ``sparse_hessian``: one sweep for each colour of a colouring.

Columns (or rows) of one colour share no entry of the pattern, so one sweep finds them all.
"""

# Of the overloads the more precise come first.
# mypy: disable-error-code="overload-overlap"

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar, cast, overload

from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, shape_of
from tapegrad.pytree.structure import Structure, holds_arrays, leaf_shapes
from tapegrad.recording.recorder import Var
from tapegrad.recording.trace import Trace, trace
from tapegrad.sweep.coloring import distance_one, star
from tapegrad.sweep.sparse_matrix import Coordinates, Sparsity
from tapegrad.sweep.sparsity import hessian_sparsity, jacobian_sparsity
from tapegrad.transforms.products import HessianProduct
from tapegrad.transforms.record import AnyTape, tape_of
from tapegrad.transforms.traced_call import Data, pull, push, require_numbers, transformed

__all__ = ["sparse_hessian", "sparse_jacobian"]

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")


@overload
def sparse_jacobian(
    f: Callable[Concatenate[A, P], float], /
) -> Callable[Concatenate[A, P], Coordinates]: ...
@overload
def sparse_jacobian(
    f: Callable[Concatenate[A, P], R], /
) -> Callable[Concatenate[A, P], Coordinates]: ...
def sparse_jacobian(
    f: Callable[Concatenate[A, P], object], /
) -> Callable[Concatenate[A, P], Coordinates]:
    """The derivative of every number that ``f`` returns in every number of its first argument.

    Rows are the numbers of the result and columns those of the first argument, in order, those of
    an array one by one. One
    recording gives the pattern; then one sweep for each colour, of the columns forward or of the
    rows in reverse, whichever are fewer. Rows of five neighbours take five sweeps, however many
    they are. The entries are, to the bit, those of ``jacobian`` in that mode.

    Raises:
        InputError: for what cannot be an input.
        OutputError: when ``f`` returns no number.

    >>> from tapegrad import Real
    >>> def f(xs: list[Real]) -> list[Real]:
    ...     return [x * y for x, y in zip(xs, xs[1:])]
    >>> sparse_jacobian(f)([2.0, 3.0, 5.0])
    Coordinates(rows=(0, 0, 1, 1), columns=(0, 1, 1, 2), values=(3.0, 2.0, 5.0, 3.0), shape=(2, 3))
    """

    def matrix(x: A, data: Data) -> Coordinates:
        traced = trace(f, x, data)
        require_numbers(f, traced.result, "sparse_jacobian")
        return _jacobian(f, traced)

    return transformed(f, sparse_jacobian, matrix)


@overload
def sparse_hessian(
    f: Callable[Concatenate[A, P], float], /
) -> Callable[Concatenate[A, P], Coordinates]: ...
@overload
def sparse_hessian(
    f: Callable[Concatenate[A, P], float | Var], /
) -> Callable[Concatenate[A, P], Coordinates]: ...
def sparse_hessian(
    f: Callable[Concatenate[A, P], float | Var], /
) -> Callable[Concatenate[A, P], Coordinates]:
    """The second derivatives of ``f`` in the numbers of its first argument, two by two.

    Rows and columns are the numbers of the first argument, in order; both triangles are there and
    are equal to the bit. One recording gives the pattern; then one product of the Hessian and a
    direction for each colour of a star colouring.

    Raises:
        InputError: for what cannot be an input.
        OutputError: when ``f`` returns anything but one number.

    >>> from tapegrad import Real
    >>> def f(xs: list[Real]) -> Real:
    ...     return xs[0] * xs[1] + xs[2] ** 2 + xs[3]
    >>> sparse_hessian(f)([2.0, 3.0, 5.0, 7.0])
    Coordinates(rows=(0, 1, 2), columns=(1, 0, 2), values=(1.0, 1.0, 2.0), shape=(4, 4))
    """
    return transformed(f, sparse_hessian, lambda x, data: _hessian(f, HessianProduct(f, x, data)))


def _jacobian(f: Callable[..., object], traced: Trace) -> Coordinates:
    """The Jacobian, by forward sweeps for columns or reverse ones for rows: whichever are fewer."""
    numbers = _of_numbers(f, traced)
    pattern = jacobian_sparsity(numbers.columns, numbers.width, numbers.outputs)
    height, width = pattern.shape
    of_columns = distance_one(pattern.by_column(), height)
    of_rows = distance_one(pattern.by_row(), width)
    if max(of_columns, default=-1) <= max(of_rows, default=-1):
        seeds = _seeds_by_colour(of_columns, range(traced.width), traced.parameters)
        dots = [_flat(push(traced, seed)) for seed in seeds]
        return _coordinates(pattern, lambda row, column: dots[of_columns[column]][row])
    seeds = _seeds_by_colour(of_rows, traced.outputs, traced.result)
    bars = [_flat(pull(traced, seed)) for seed in seeds]
    return _coordinates(pattern, lambda row, column: bars[of_rows[row]][column])


def _of_numbers(f: Callable[..., object], traced: Trace) -> Trace | AnyTape:
    """The recorded call, or where it has arrays, the same program on numbers."""
    return tape_of(f, traced).expanded() if traced.columns.on_arrays else traced


def _hessian(f: Callable[..., object], hessian: HessianProduct) -> Coordinates:
    """The Hessian, by products with a direction for each colour of a star colouring.

    Of the two columns that an entry and its mirror image stand in, one is the only column of its
    colour that has an entry in that row: there the product is the entry itself.
    """
    numbers = _of_numbers(f, hessian.traced)
    width = numbers.width
    pattern = hessian_sparsity(numbers.columns, width, numbers.outputs[0])
    lines = pattern.by_row()
    neighbours = [[other for other in line if other != row] for row, line in enumerate(lines)]
    colours = star(neighbours)
    traced = hessian.traced
    seeds = _seeds_by_colour(colours, range(traced.width), traced.parameters)
    products = [_flat(hessian.along(seed)) for seed in seeds]
    seen = [Counter(colours[other] for other in near) for near in neighbours]

    def entry(row: int, column: int) -> Operand:
        low, high = min(row, column), max(row, column)
        is_alone = seen[low][colours[high]] <= 1
        return products[colours[high]][low] if is_alone else products[colours[low]][high]

    return _coordinates(pattern, entry)


def _flat(found: list[Operand]) -> list[Operand]:
    """Derivatives number by number."""
    if not any(map(shape_of, found)):
        return found
    return cast("list[Operand]", serving("transforms.array_blocks").numbers_of(found))


def _seeds_by_colour(
    colours: Sequence[int], slots: Sequence[int], structure: Structure
) -> list[dict[int, Operand]]:
    """For each colour, the numbers that have it, seeded with 1.0, by the slots that they are in."""
    if holds_arrays(structure):
        leaves = [*zip(slots, leaf_shapes(structure), strict=True)]
        by_colour = serving("transforms.array_blocks").seeds_by_colour
        return cast("list[dict[int, Operand]]", by_colour(colours, leaves))
    seeds: list[dict[int, Operand]] = [{} for _ in range(1 + max(colours, default=-1))]
    for colour, slot in zip(colours, slots, strict=True):
        if colour >= 0:
            seeds[colour][slot] = 1.0
    return seeds


def _coordinates(pattern: Sparsity, entry: Callable[[int, int], Operand]) -> Coordinates:
    """The matrix of that pattern."""
    values = cast("tuple[float, ...]", tuple(map(entry, pattern.rows, pattern.columns)))
    return Coordinates(pattern.rows, pattern.columns, values, pattern.shape)
