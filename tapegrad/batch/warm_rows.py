"""A batch that is like an earlier one, whose rows all took one path: one run of its code.

A call of few rows takes longer to look at than to compute. So what was found out about one is kept
for the next; anything that differs is left to the road that finds out again. The bits are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, cast, final

import numpy as np

from tapegrad.batch.arrays import Floats, as_float64
from tapegrad.batch.batch_code import BatchCode
from tapegrad.batch.inputs import BatchInputs
from tapegrad.batch.reduce import BLOCK, PartialSum, empty_lanes, lane_sums, padded, partial_sum
from tapegrad.pytree.codegen import rows_unpacker
from tapegrad.pytree.matching import unshared_statics
from tapegrad.pytree.structure import Branch, Structure

__all__ = ["WarmRows"]

_FLOAT: Final = np.dtype(np.float64)
_FEW: Final = 64
"""The most numbers that Python looks through sooner than numpy."""


@final
class WarmRows:
    """Runs batches of up to 4,096 rows whose arguments are built like those of an earlier one.

    ``shape`` is the structure of a row's arguments, and ``code`` that of the path to try. A method
    gives None for any other batch, and where a row leaves the path: then the batch ``has_left``.
    """

    code: BatchCode
    has_left: bool

    def __init__(self, shape: Branch, inputs: BatchInputs, code: BatchCode) -> None:
        self.code, self.has_left = code, False
        self._alike = _alike(inputs)
        by_position, by_name = cast("tuple[Branch, Branch]", shape.children)
        arguments: list[Structure] = [*by_position.children]
        for position, argument in inputs.mapped.items():
            arguments[position] = unshared_statics(argument.structure)
        named = dict(zip(map(str, by_name.keys), by_name.children, strict=True))
        self._unpack = rows_unpacker(arguments, named, inputs.mapped, np.ndarray)
        self._row_shapes = tuple(
            shape for argument in inputs.mapped.values() for shape in argument.row_shapes
        )

    def serves(self, inputs: BatchInputs) -> bool:
        """Whether such arguments are built alike, if they hold numpy's arrays of float64."""
        return self._alike == _alike(inputs)

    def outputs(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> Floats | None:
        """The outputs of all rows, a column for each."""
        found = self._inputs(args, kwargs)
        if found is None:
            return None
        shared, leaves = found
        rows = len(leaves[0])
        out = np.empty((self.code.outputs, padded(rows)))
        return out[:, :rows] if self._run(shared, leaves, out, sums=False) else None

    def sums(
        self, args: tuple[object, ...], kwargs: Mapping[str, object], *, spread: bool
    ) -> PartialSum | None:
        """The sums of the outputs of all rows."""
        if spread or not self.code.choice.backend.adds_rows:
            outputs = self.outputs(args, kwargs)
            return None if outputs is None else partial_sum(outputs, spread=spread)
        found = self._inputs(args, kwargs)
        if found is None:
            return None
        lanes = empty_lanes(self.code.outputs)
        if not self._run(*found, lanes, sums=True):
            return None
        with np.errstate(all="ignore"):
            return PartialSum(len(found[1][0]), lane_sums(lanes))

    def _inputs(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[Floats, Sequence[Floats]] | None:
        """The numbers that all rows share, and the arrays of rows, as code reads them."""
        given = self._unpack(args, kwargs)
        if given is None:
            return None
        floats, arrays = given
        rows = len(arrays[0]) if arrays[0].ndim else 0
        if not 0 < rows <= BLOCK:
            return None
        for array, shape in zip(arrays, self._row_shapes, strict=True):
            if array.dtype != _FLOAT or array.shape != (rows, *shape) or array.ndim > 2:
                return None
        shared = self.code.shared(floats)
        return None if shared is None else (shared, [as_float64(array) for array in arrays])

    def _run(self, shared: Floats, leaves: Sequence[Floats], out: Floats, *, sums: bool) -> bool:
        """Runs all rows; whether they stay on the path, on which they are counted then."""
        code, rows = self.code, len(leaves[0])
        flips = np.empty(padded(rows), dtype=np.int32)
        code.kernel(rows, sums=sums)(shared, leaves, range(rows), out, flips)
        flips = flips[:rows]
        self.has_left = (max(flips.tolist()) if rows <= _FEW else flips.max()) >= 0
        if not self.has_left:
            code.count(rows)
        return not self.has_left


def _alike(inputs: BatchInputs) -> Sequence[object]:
    """How the mapped arguments are built, and the shapes of a row in each of their arrays."""
    return [(argument.structure, argument.row_shapes) for argument in inputs.mapped.values()]
