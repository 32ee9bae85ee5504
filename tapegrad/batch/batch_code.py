"""The compiled code of one recorded path for the rows of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from operator import attrgetter
from time import perf_counter
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final

import numpy as np

from tapegrad._support.exclusive import Exclusive, exclusive
from tapegrad.batch.arrays import Floats
from tapegrad.batch.reduce import BLOCK
from tapegrad.compile.backends.interface import RowOptions
from tapegrad.compile.backends.registry import Choice
from tapegrad.compile.backends.row_code import RowCode, wrong_inputs
from tapegrad.compile.paths import Path
from tapegrad.compile.program import BatchProgram, batch_program
from tapegrad.compile.report import PathReport

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Flips: TypeAlias = NDArray[np.int32]
    Rows: TypeAlias = range | NDArray[np.int64]

__all__ = ["BatchCode", "TimedKernel"]

_MANY: Final = 64 * BLOCK
"""The rows on one path after which it pays to compile code for more rows at a time."""
_TRIAL: Final = 32 * BLOCK
"""The rows after which the time that code takes is known."""


@final
class BatchCode:
    """The compiled code of one path for rows; what they share is computed once a call.

    ``rows`` counts the rows that took the path, ``compiling`` is in seconds.
    """

    path: Path
    choice: Choice
    fast: bool
    compiling: float

    def __init__(self, path: Path, mapped: Sequence[int], choice: Choice, *, fast: bool) -> None:
        self.path, self.choice, self.fast = path, choice, fast
        self.parts: BatchProgram = batch_program(path.program, mapped)
        self.rows = 0
        self.compiling = 0.0
        self._kernels: dict[bool, list[TimedKernel]] = {}
        self._asked = 0
        self._shared: Callable[[Sequence[float]], Sequence[float] | int] | None = None
        self.exclusive: Exclusive = Exclusive()

    @property
    def outputs(self) -> int:
        """The number of outputs of a row."""
        return len(self.parts.rows.outputs)

    @property
    def outcomes(self) -> bytes:
        """How the guards of the path come out: no two paths have the same."""
        return self.path.outcomes

    def shared(self, inputs: Sequence[float]) -> Floats | None:
        """The values that are the same for all rows; None where their guards take another path.

        Raises:
            BackendError: unless there are as many inputs as the path was recorded with.
        """
        if len(inputs) != self.parts.shared.inputs:
            raise wrong_inputs(inputs, self.parts.shared.inputs)
        if self._shared is None:
            from tapegrad.compile.backends.python import compiled

            self._shared = compiled(self.parts.shared)
        found = self._shared(inputs)
        return None if isinstance(found, int) else np.array(found, dtype=np.float64)

    @exclusive
    def kernel(self, rows: int, *, sums: bool) -> TimedKernel:
        """The code to run this number of rows, or to add them up, compiled where it is needed.

        Code that is compiled quickly serves the first rows. With many rows it pays to compile code
        for more of them at a time, and to keep what turns out to be quicker; the bits are the same.
        """
        self._asked += rows
        kernels = self._kernels.setdefault(sums, [])
        has_other = self.choice.backend.has_levels and not self.fast
        if not kernels or (len(kernels) == 1 and has_other and self._asked >= _MANY):
            started = perf_counter()
            kernels.append(TimedKernel(self._compiled(sums=sums, quick=not kernels)))
            self.compiling += perf_counter() - started
        latest = kernels[-1]
        return min(kernels, key=attrgetter("seconds")) if latest.rows >= _TRIAL else latest

    @exclusive
    def count(self, rows: int) -> None:
        """Counts rows that took the path."""
        self.rows += rows

    def _compiled(self, *, sums: bool, quick: bool) -> RowCode:
        shared = len(self.parts.shared.outputs)
        options = RowOptions(shared, sums, self.fast, quick)
        return cast(RowCode, self.choice.rows(self.parts.rows, options))

    def flipped(self, guard: int, prefix: bytes) -> bytes:
        """The outcomes of a row that came here by ``prefix`` and leaves the path at this guard."""
        return self.path.flipped(self.parts.row_guards[guard], prefix)

    def report(self) -> PathReport:
        """Describes the path, and the time that recording and compiling it took."""
        runs_on = self.choice.name if self._kernels or self.rows else "recorded only"
        kernels = [kernel for made in self._kernels.values() for kernel in made]
        return self.path.report(
            runs_on=runs_on,
            compiling=self.compiling,
            is_cached=bool(kernels) and all(kernel.is_cached for kernel in kernels),
            rows=self.rows,
        )


@final
class TimedKernel:
    """A kernel that counts its rows and keeps the seconds a row of its quickest run.

    It ``is_cached`` where its code was found on disk.
    The quickest, since other work of the machine slows the others down.
    """

    seconds: float
    rows: int
    is_cached: bool

    def __init__(self, kernel: RowCode) -> None:
        self._kernel, self.is_cached = kernel, kernel.is_cached
        self.seconds, self.rows = inf, 0

    def __call__(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None:
        """Runs the rows and times them."""
        started = perf_counter()
        self._kernel(shared, leaves, rows, out, flips)
        self.seconds = min(self.seconds, (perf_counter() - started) / len(rows))
        self.rows += len(rows)
