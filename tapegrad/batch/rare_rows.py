"""Rows on paths that few rows take: they have the bits of the function's own calls.

Compiling code for many rows does not pay for a few. So such rows run as calls of ``jit`` do, on
recorded paths or as calls of the function itself; both have the same bits, and it does not show in
the answer which of the two there was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import thread_time
from typing import Final, TypeAlias, final

import attrs
import numpy as np

from tapegrad.batch.arrays import Floats
from tapegrad.batch.row_runner import UnresolvedRows
from tapegrad.compile.call_recording import CallCode, CallRecording, Departure
from tapegrad.compile.learning import RECORDING
from tapegrad.compile.paths import HasPath, path_of

__all__ = ["RARE", "RareRows"]

RARE: Final = 16
"""The fewest rows of a block, among those on many paths, for which code for rows is made.

Such code takes about as long for one row as for this number, and as long as calls of a compiled
function do for them.
"""

Answer: TypeAlias = Callable[[Departure, int], Sequence[float]]
"""Gives the outputs of a row that no compiled path takes, by its place among the rows."""


@final
class RareRows:
    """Runs rare rows of one call, of which ``shared`` numbers are the same for all.

    ``known`` finds a path that is recorded for many rows, by its first outcomes.
    """

    def __init__(
        self,
        calls: CallRecording,
        known: Callable[[bytes], HasPath | None],
        places: Sequence[int],
        shared: Sequence[float],
    ) -> None:
        self._calls, self._known = calls, known
        self._places = list(places)
        self._shared = np.array(shared, dtype=np.float64)

    def run(self, group: UnresolvedRows, left: HasPath | None, answer: Answer) -> Floats:
        """The outputs of rows, a column for each, which left a path at their last outcome.

        All that rows take but learning their paths counts as calls, which learning may take, too.
        """
        budget, started = self._calls.learning.budget, thread_time()
        counted = budget.spent + budget.called
        start = self._calls.find(group.prefix)
        off = Departure(left, group.prefix, is_recorded=False)
        found: list[Sequence[float]] = []
        for place, floats in enumerate(self._floats(group)):
            settled = self._settled(floats, start, off)
            if isinstance(settled, Departure):
                found.append(answer(settled, place))
            else:
                code, outputs = settled
                code.rows += 1
                found.append(outputs)
        around = thread_time() - started - (budget.spent + budget.called - counted)
        budget.count_call(max(around, 0.0))
        return np.array(found, dtype=np.float64).T

    def _settled(
        self, floats: Sequence[float], start: CallCode | None, off: Departure
    ) -> tuple[CallCode, Sequence[float]] | Departure:
        """Runs the paths that a row leads to, those recorded for many rows among them."""
        tried: list[HasPath] = []
        while True:
            settled = self._calls.settle(floats, start)
            if not isinstance(settled, Departure) or settled.is_recorded:
                return settled
            departure = off if settled.code is None else settled
            known = self._known(departure.prefix)
            if known is None or known in tried:
                return departure
            start = self._adopted(known)
            if start is None:
                return attrs.evolve(departure, is_recorded=True)
            tried.append(known)

    def _adopted(self, known: HasPath) -> CallCode | None:
        """The code for one call of a path that is recorded for rows, where that is paid for."""
        tape, budget = known.path.tape, self._calls.learning.budget
        if not (budget.is_free(len(tape)) or budget.affords(RECORDING, len(tape))):
            return None
        return self._calls.adopt(path_of(tape, any_row=self._calls.any_row))

    def _floats(self, group: UnresolvedRows) -> list[list[float]]:
        """The inputs of each row, in the order of the program's."""
        count = len(group.rows)
        inputs = np.empty((count, len(self._places) + len(self._shared)))
        mapped = np.zeros(inputs.shape[1], dtype=np.bool_)
        mapped[self._places] = True
        inputs[:, ~mapped] = self._shared
        inputs[:, self._places] = np.column_stack(list(group.leaves))
        return inputs.tolist()
