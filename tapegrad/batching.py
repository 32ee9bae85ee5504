"""What runs the rows of a batched function: its recordings, and one call after another."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, final

import attrs

from tapegrad.backends import Choice, chosen
from tapegrad.batches import BatchValueAndGrad, Columns, Estimate, Progress
from tapegrad.calls import ValueAndGrad
from tapegrad.checks import name_of
from tapegrad.crews import Crew, Here, Workers, cores
from tapegrad.driving import Drive
from tapegrad.learning import Learner, Recorded
from tapegrad.mapping import Options
from tapegrad.paths import AnyTape, left_behind, path_of
from tapegrad.reports import Report, varying, warn_of_many
from tapegrad.rowcalls import RowCall, row_call
from tapegrad.structure import Branch, Leaf, Structure, build, paths
from tapegrad.sums import BLOCK, Part
from tapegrad.working import Order

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tapegrad.arrays import FloatArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["Batching", "arrived"]


@final
class Batching:
    """The recordings of a function of one row, and the calls that run them."""

    def __init__(self, f: Callable[..., object], options: Options) -> None:
        self._f, self._options = f, options
        self._choice: Choice = chosen(options.backend, rows=True)
        self._recordings: list[Recorded] = []
        self._lock = Lock()
        self._threads: tuple[tuple[int, int], ThreadPoolExecutor] | None = None

    def run(self, args: tuple[object, ...], kwargs: Mapping[str, object], /) -> object:
        """The answer of one call."""
        options = self._options
        call = row_call(self._f, args, kwargs, options.axes)
        recording = self.recording(call.shape, call.places)
        learner = Learner(recording, call, options.on_branch, options.max_paths)
        threads = _threads(recording, call.rows, options)
        with self._crew(learner, threads) as crew:
            drive = Drive(call, crew, learner, _step(call, options, threads))
            return _driven(drive, recording, options)

    def _crew(self, learner: Learner, threads: int) -> Crew:
        """Who runs the rows of a call."""
        options, call, recorded = self._options, learner.given, learner.recorded
        if options.executor is not None:
            order = Order(recorded.choice.name, recorded.fast, call.places, call.inputs)
            return Workers(options.executor, learner.codes, order)
        pool = self._pool(threads) if threads > 1 else None
        return Here(learner.codes, call.inputs, learner.memo, pool, threads)

    def _pool(self, threads: int) -> ThreadPoolExecutor:
        """Threads that stay from call to call; a forked process has none of its parent's."""
        key = threads, os.getpid()
        if self._threads is None or self._threads[0] != key:
            self._threads = key, ThreadPoolExecutor(threads)
        return self._threads[1]

    def recording(self, shape: tuple[Branch, Branch], places: tuple[int, ...]) -> Recorded:
        """What is recorded for rows of these structures."""
        with self._lock:
            for recording in self._recordings:
                if recording.fits(shape):
                    return recording
            recording = Recorded(self._f, self._choice, shape, places, fast=self._options.fast)
            self._recordings.insert(0, recording)
        warn_of_many(self._f, [recording.shape for recording in self._recordings])
        return recording

    def luggage(self) -> tuple[object, ...]:
        """What travels, for ``arrived``."""
        recorded = [
            (recording.shape, recording.places, recording.tapes) for recording in self._recordings
        ]
        options = attrs.evolve(self._options, executor=None, callback=None)
        return name_of(self._f), options, recorded

    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes of a row, one for each path and each structure of arguments."""
        return tuple(tape for recording in self._recordings for tape in recording.tapes)

    def report(self) -> Report:
        """What was recorded and compiled, what runs it and why, and what that took."""
        shapes = tuple(recording.report() for recording in self._recordings)
        found = varying(self._f, [recording.shape for recording in self._recordings])
        return Report(name_of(self._f), str(self._choice), shapes, found)

    def source(self, language: Literal["python", "llvm", "c"], /) -> str:
        """The path that most rows took, as source."""
        from tapegrad.sources import source

        recorded = [recording.likely()[0] for recording in self._recordings if recording.likely()]
        return source(recorded[0].path.program if recorded else None, language)


def _driven(drive: Drive, recorded: Recorded, options: Options) -> object:
    """The answer of a call."""
    if options.reduce is None:
        return _answer(recorded.tape, drive.arrays())
    reduced = _Reduced(options, recorded)
    stop = None if options.callback is None else reduced.stop
    return reduced.answer(drive.sums(stop, spread=options.stderr))


def _threads(recorded: Recorded, rows: int | None, options: Options) -> int:
    """As many as were asked for, or as there are cores, where there is work for more than one."""
    threads = options.threads or cores()
    if rows is None:
        return threads
    entries = max((len(code.path.program) for code in recorded.codes), default=_UNKNOWN)
    if options.threads is None and rows * entries < _WORTH:
        return 1
    return min(threads, -(-rows // BLOCK))


def _step(call: RowCall, options: Options, threads: int) -> int:
    """Rows in a piece: whole blocks, so few that pieces are even and so many that they pay."""
    if options.executor is None:
        blocks = 1 if call.rows is None else -(-call.rows // (4 * threads * BLOCK))
        return BLOCK * min(_TOGETHER, max(1, blocks))
    limit = _PIECE if call.sent else _PIECE_OF_FILE
    blocks = max(1, limit // (8 * BLOCK * max(call.width, 1)))
    if call.rows is not None:
        blocks = min(blocks, max(1, call.rows // (_PIECES * BLOCK)))
    return BLOCK * max(blocks, call.chunk // BLOCK)


_UNKNOWN: Final = 100
"""Entries of a program that is not recorded yet."""
_WORTH: Final = 3e7
"""Entries times rows that take some milliseconds, of which threads save less than they cost."""
_TOGETHER: Final = 16
"""Blocks that a thread takes at a time, at most."""
_PIECE: Final = 2**22
"""Bytes of the rows in a piece that travels."""
_PIECE_OF_FILE: Final = 2**24
"""Bytes of the rows in a piece that workers read."""
_PIECES: Final = 64
"""So many pieces there are at least, where there are so many blocks."""


@final
@attrs.frozen
class _Reduced:
    """What becomes of sums over rows."""

    options: Options
    recorded: Recorded

    def answer(self, part: Part) -> object:
        """The sums as the user gets them."""
        reduced = self._built(part.sums if self.options.reduce == "sum" else part.mean())
        if self.options.stderr:
            return Estimate(reduced, self._built(part.stderr()), part.rows)
        return reduced

    def stop(self, part: Part) -> bool:
        """Tell the callback how far the sums are; whether that is far enough."""
        callback, answer = self.options.callback, self.answer(part)
        if callback is None:
            return False
        if isinstance(answer, Estimate):
            return bool(callback(Progress(part.rows, answer.mean, answer.stderr)))
        return bool(callback(Progress(part.rows, answer, None)))

    def _built(self, numbers: Floats) -> object:
        return build(self.recorded.result, numbers.tolist())


def arrived(
    name: str,
    options: Options,
    recorded: Sequence[tuple[tuple[Branch, Branch], tuple[int, ...], Sequence[AnyTape]]],
) -> Batching:
    """What runs the rows of a function that stayed behind."""
    batching = Batching(left_behind(name), options)
    for shape, places, tapes in recorded:
        kept = batching.recording(shape, places)
        for tape in tapes:
            kept.add(path_of(tape, near=True))
    return batching


def _answer(tape: AnyTape, arrays: Floats) -> object:
    """Columns of outputs as the user gets them."""
    result = tape.result
    if isinstance(result, Leaf):
        return arrays[0]
    if isinstance(result, Branch) and result.kind is ValueAndGrad:
        value = cast("FloatArray", arrays[0])
        return BatchValueAndGrad(value, _columns(tape, result.children[1], arrays[1:]))
    return _columns(tape, result, arrays)


def _columns(tape: AnyTape, structure: Structure, arrays: Floats) -> Columns[object]:
    names = tuple(path or tape.names[0] for path in paths(structure))
    return Columns(names, structure, cast("FloatArray", arrays))
