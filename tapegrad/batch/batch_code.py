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
from tapegrad.compile.backends.interface import RowOptions, wrong_inputs
from tapegrad.compile.backends.python import compiled, run_once
from tapegrad.compile.backends.registry import Choice
from tapegrad.compile.backends.row_code import RowCode
from tapegrad.compile.loops import line_of
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
_FEW: Final = 256
"""The most rows at a time that run step by step: a column is in memory for each of many entries."""
_COMPILING: Final = 30e-6
"""The seconds for each entry of a path that code which runs its steps may run for in all: compiling
them takes about twice as long."""
_CALLS: Final = 8
"""The calls after which it pays to compile code for the numbers that all rows share."""
_TRIAL: Final = 32 * BLOCK
"""The rows after which the time that code takes is known."""


@final
class BatchCode:
    """The compiled code of one path for rows; what they share is computed once a call.

    ``rows`` counts the rows that took the path, ``compiling`` is in seconds. With ``in_steps`` the
    first rows may run on code that is made in less time.
    """

    path: Path
    choice: Choice
    fast: bool
    compiling: float

    def __init__(
        self,
        path: Path,
        mapped: Sequence[int],
        choice: Choice,
        *,
        fast: bool,
        in_steps: bool = False,
    ) -> None:
        self.path, self.choice, self.fast = path, choice, fast
        self.parts: BatchProgram = batch_program(path.program, mapped)
        self.rows: int = 0
        self.compiling = 0.0
        self._kernels: dict[bool, list[TimedKernel]] = {}
        self._asked = 0
        self._may_step = in_steps and not fast and not line_of(path.program).pays
        self._stepping: TimedKernel | None = None
        self._asked_shared = 0
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
        self._asked_shared += 1
        if self._shared is None and self._asked_shared > _CALLS:
            self._shared = compiled(self.parts.shared)
        found = self._shared(inputs) if self._shared else run_once(self.parts.shared, inputs)
        return None if isinstance(found, int) else np.array(found, dtype=np.float64)

    @exclusive
    def kernel(self, rows: int, *, sums: bool) -> TimedKernel:
        """The code to run this number of rows, or to add them up, compiled where it is needed.

        Code that is compiled quickly serves the first rows. With many rows it pays to compile code
        for more of them at a time, and to keep what turns out to be quicker; the bits are the same.
        """
        self._asked += rows
        if not sums and rows <= _FEW and (stepping := self._in_steps()) is not None:
            return stepping
        kernels = self._kernels.setdefault(sums, [])
        has_other = self.choice.backend.has_levels and not self.fast
        if not kernels or (len(kernels) == 1 and has_other and self._asked >= _MANY):
            started = perf_counter()
            kernels.append(TimedKernel(self._compiled(sums=sums, quick=not kernels)))
            self.compiling += perf_counter() - started
        latest = kernels[-1]
        return min(kernels, key=attrgetter("seconds")) if latest.rows >= _TRIAL else latest

    def _in_steps(self) -> TimedKernel | None:
        """Code that was made in less time, until it has run for as long as compiling may take."""
        if self._kernels or not self._may_step:
            return None
        if self._stepping is None:
            started = perf_counter()
            code = self.choice.rows_in_steps(self.parts.rows, self._options(sums=False))
            self.compiling += perf_counter() - started
            self._may_step = code is not None
            self._stepping = None if code is None else TimedKernel(cast(RowCode, code))
        elif self._stepping.total > len(self.parts.rows) * _COMPILING:
            self._may_step, self._stepping = False, None
        return self._stepping

    @exclusive
    def count(self, rows: int) -> None:
        """Counts rows that took the path."""
        self.rows += rows

    def _compiled(self, *, sums: bool, quick: bool) -> RowCode:
        options = self._options(sums=sums, quick=quick)
        return cast(RowCode, self.choice.rows(self.parts.rows, options))

    def _options(self, *, sums: bool, quick: bool = False) -> RowOptions:
        return RowOptions(len(self.parts.shared.outputs), sums, self.fast, quick)

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
            is_shared=bool(kernels) and all(kernel.is_shared for kernel in kernels),
            rows=self.rows,
        )


@final
class TimedKernel:
    """A kernel that counts its rows, and the seconds that all runs took, and a row of the quickest.

    It ``is_cached`` where its code was found on disk, and ``is_shared`` where another path has it.
    The quickest, since other work of the machine slows the others down.
    """

    seconds: float
    total: float
    rows: int
    is_cached: bool
    is_shared: bool

    def __init__(self, kernel: RowCode) -> None:
        self._kernel = kernel
        self.is_cached, self.is_shared = kernel.is_cached, kernel.is_shared
        self.seconds, self.total, self.rows = inf, 0.0, 0

    def __call__(
        self, shared: Floats, leaves: Sequence[Floats], rows: Rows, out: Floats, flips: Flips, /
    ) -> None:
        """Runs the rows and times them."""
        started = perf_counter()
        self._kernel(shared, leaves, rows, out, flips)
        taken = perf_counter() - started
        self.seconds = min(self.seconds, taken / len(rows))
        self.total += taken
        self.rows += len(rows)
