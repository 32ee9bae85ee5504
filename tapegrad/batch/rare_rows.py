"""Rows on paths that few rows take: they have the bits of the function's own calls.

Compiling code for many rows does not pay for a few. So such rows run as calls of ``jit`` do, on
recorded paths or as calls of the function itself; both have the same bits, and it does not show in
the answer which of the two there was.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import attrgetter
from time import thread_time
from typing import Final, TypeAlias, cast, final

import attrs
import numpy as np

from tapegrad.batch.arrays import Floats
from tapegrad.batch.row_runner import UnresolvedRows
from tapegrad.compile.backends.interface import RunEach
from tapegrad.compile.call_recording import CallCode, CallRecording, Departure
from tapegrad.compile.learning import RECORDING
from tapegrad.compile.paths import HasPath, path_of

__all__ = ["RARE", "RareRows"]

RARE: Final = 16
"""The fewest rows of a block, among those on many paths, for which code for rows is made.

Such code takes about as long for one row as for this number, and as long as calls of a compiled
function do for them.
"""

Answer: TypeAlias = Callable[[UnresolvedRows, Departure, int], Sequence[float]]
"""Gives the outputs of a row that no compiled path takes, by its place among those of a group."""


@final
@attrs.frozen(eq=False)
class _Ready:
    """Rows of a group, from ``start`` to ``stop`` among all rows, on a path that has an entry."""

    group: UnresolvedRows
    code: CallCode
    entry: object
    start: int
    stop: int


@final
@attrs.frozen(eq=False)
class _Rows:
    """The inputs of rows, their outputs as they are ``found``, and what to do without code."""

    inputs: Floats
    found: Floats
    answer: Answer


_START = attrgetter("start")


@final
class RareRows:
    """Runs rare rows of one call, of which ``shared`` numbers are the same for all.

    ``known`` finds a path that is recorded for many rows and that these can take, by its first
    outcomes, and ``left`` any that is recorded. A row has so many ``outputs``.
    """

    def __init__(
        self,
        calls: CallRecording,
        *,
        known: Callable[[bytes], HasPath | None],
        left: Callable[[bytes], HasPath | None],
        places: Sequence[int],
        shared: Sequence[float],
        outputs: int,
    ) -> None:
        self._calls, self._known, self._left = calls, known, left
        self._places = list(places)
        self._shared = np.array(shared, dtype=np.float64)
        of_rows = {*places}
        self._others = [x for x in range(len(places) + len(shared)) if x not in of_rows]
        self._outputs = outputs
        self._codes: Sequence[CallCode] = ()
        self._starts: dict[bytes, CallCode | None] = {}

    def run(self, groups: Sequence[UnresolvedRows], answer: Answer) -> Floats:
        """The outputs of rows, a column for each, group after group.

        Each group left a path at its last outcome. A row without code has an ``answer``. All that
        rows take but learning their paths counts as calls, which learning may take, too.
        """
        budget, started = self._calls.learning.budget, thread_time()
        counted = budget.spent + budget.called
        inputs = self._inputs(groups)
        rows = _Rows(inputs, np.empty((len(inputs), self._outputs)), answer)
        ready: list[_Ready] = []
        start = 0
        for group in groups:
            stop = start + len(group.rows)
            left = self._run_singly(rows, group, start, stop)
            if left is not None:
                ready.append(left)
            start = stop
        self._run_ready(rows, ready)
        around = thread_time() - started - (budget.spent + budget.called - counted)
        budget.count_call(max(around, 0.0))
        return rows.found.T

    def _start(self, prefix: bytes) -> CallCode | None:
        """The path that rows with these outcomes take first."""
        if self._calls.codes is not self._codes:
            self._codes, self._starts = self._calls.codes, {}
        if prefix not in self._starts:
            self._starts[prefix] = self._calls.find(prefix)
        return self._starts[prefix]

    def _run_singly(
        self, rows: _Rows, group: UnresolvedRows, start: int, stop: int
    ) -> _Ready | None:
        """Runs rows of a group one by one, until their path has an entry; those that are left."""
        for row in range(start, stop):
            code = self._start(group.prefix)
            entry = None if code is None else code.entry
            if code is not None and entry is not None:
                return _Ready(group, code, entry, row, stop)
            self._run_one(rows, group, row, row - start)
        return None

    def _run_ready(self, rows: _Rows, ready: Sequence[_Ready]) -> None:
        """Runs rows on paths that have an entry, all at once; those that leave theirs singly."""
        if not ready:
            return
        run_each = cast(RunEach, ready[0].code.choice.backend.each)
        counts = [one.stop - one.start for one in ready]
        inputs, entries = rows.inputs, [one.entry for one in ready]
        if sum(counts) == len(inputs):
            rows.found[:], flips = run_each(entries, counts, inputs)
        else:
            places = np.concatenate([np.arange(one.start, one.stop) for one in ready])
            rows.found[places], some = run_each(entries, counts, inputs[places])
            flips = np.full(len(inputs), -1)
            flips[places] = some
        for one, count in zip(ready, counts, strict=True):
            one.code.rows += count
        for row in np.flatnonzero(flips != -1).tolist():
            one = ready[bisect_right(ready, row, key=_START) - 1]
            one.code.rows -= 1
            self._run_one(rows, one.group, row, row - one.stop + len(one.group.rows))
        for one in ready:
            if one.code.rows:
                self._calls.note_taken(one.code)

    def _run_one(self, rows: _Rows, group: UnresolvedRows, row: int, place: int) -> None:
        """Runs one row, which has this place in its group."""
        floats = rows.inputs[row].tolist()
        settled = self._settled(group, floats, self._start(group.prefix))
        if isinstance(settled, Departure):
            rows.found[row] = rows.answer(group, settled, place)
        else:
            code, rows.found[row] = settled
            code.rows += 1

    def _settled(
        self, group: UnresolvedRows, floats: Sequence[float], start: CallCode | None
    ) -> tuple[CallCode, Sequence[float]] | Departure:
        """Runs the paths that a row leads to, those recorded for many rows among them."""
        tried: list[HasPath] = []
        while True:
            settled = self._calls.settle(floats, start)
            if not isinstance(settled, Departure) or settled.is_recorded:
                return settled
            departure = settled
            if settled.code is None:
                left = self._left(group.prefix[:-1])
                departure = Departure(left, group.prefix, is_recorded=False)
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

    def _inputs(self, groups: Sequence[UnresolvedRows]) -> Floats:
        """The inputs of each row, in the order of the program's."""
        rows = sum(len(group.rows) for group in groups)
        inputs = np.empty((rows, len(self._places) + len(self._shared)))
        inputs[:, self._others] = self._shared
        column = 0
        for parts in zip(*(group.leaves for group in groups), strict=True):
            width = parts[0].shape[1] if parts[0].ndim > 1 else 1
            places = self._places[column : column + width]
            column += width
            if not width:
                continue
            if places[-1] - places[0] + 1 == width and parts[0].ndim > 1:
                np.concatenate(parts, out=inputs[:, places[0] : places[0] + width])
            else:
                inputs[:, places] = np.concatenate(parts).reshape(rows, width)
        return inputs
