"""Runs the rows of a batched function: its recordings, and one call after another."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast, final

import attrs

from tapegrad._support.argument_checks import name_of
from tapegrad.batch.execute import Sweep
from tapegrad.batch.inputs import BatchInputs, batch_inputs
from tapegrad.batch.local import LocalDispatcher
from tapegrad.batch.options import Options
from tapegrad.batch.pieces import piece_rows, thread_count
from tapegrad.batch.recordings import Learner, RowRecording
from tapegrad.batch.reduce import Part
from tapegrad.batch.remote.executor import ExecutorDispatcher
from tapegrad.batch.remote.messages import Job
from tapegrad.batch.results import Batched, BatchValueAndGrad, Columns, Estimate, Progress
from tapegrad.batch.schedule import Drive
from tapegrad.compile.backends.registry import Choice, Language, chosen, source
from tapegrad.compile.cache import RecordingCache, call_shape, missing_function
from tapegrad.compile.paths import AnyTape, path_of
from tapegrad.compile.report import Report
from tapegrad.pytree.structure import Branch, Leaf, Structure, build, key_paths
from tapegrad.transforms.grad import ValueAndGrad

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tapegrad._support.array_types import FloatArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["Runner"]

T = TypeVar("T")

RecordedState: TypeAlias = "tuple[Branch, tuple[int, ...], Sequence[AnyTape]]"
"""The recordings for one structure as they are pickled: structures, mapped inputs, tapes."""


@final
class Runner(Batched[object]):
    """A batched function: the recordings of its rows, and the calls that run them."""

    def __init__(self, f: Callable[..., object], options: Options) -> None:
        self._f, self._options = f, options
        self._choice: Choice = chosen(options.backend, rows=True)
        self._cache: RecordingCache[RowRecording] = RecordingCache(f)
        self._threads: tuple[tuple[int, int], ThreadPoolExecutor] | None = None

    def __call__(self, *args: object, **kwargs: object) -> object:
        """The answers of all rows."""
        inputs = batch_inputs(self._f, args, kwargs, self._options.axes)
        learner = self._learner(inputs)
        lengths = [len(code.path.program) for code in learner.recorded.codes]
        threads = thread_count(self._options.threads, inputs.rows, max(lengths, default=None))
        rows = piece_rows(inputs, self._options, threads)
        if self._options.executor is None:
            return self._answer(Drive(inputs, self._local(learner, threads), learner, rows))
        job = Job(self._choice.name, self._options.fast, inputs.places, inputs.shared)
        with ExecutorDispatcher(self._options.executor, learner.codes, job) as dispatcher:
            return self._answer(Drive(inputs, dispatcher, learner, rows))

    def _answer(self, drive: Drive[T]) -> object:
        """The answers of all rows, or their sum or mean."""
        options, recorded = self._options, drive.learner.recorded
        if options.reduce is None:
            return _by_row(recorded.tape, drive.arrays())
        reduction = _Reduction(options, recorded)
        stop = None if options.callback is None else reduction.stop
        return reduction.answer(drive.sums(stop, spread=options.stderr))

    def _learner(self, inputs: BatchInputs) -> Learner:
        """The known paths of a call's rows."""
        recorded = self._cache.get(call_shape(*inputs.shape), self._new_recording(inputs.places))
        return Learner(recorded, inputs, self._options.on_branch, self._options.max_paths)

    def _new_recording(self, places: tuple[int, ...]) -> Callable[[Branch], RowRecording]:
        """Makes the recording for rows of a structure whose mapped inputs are ``places``."""
        f, choice, fast = self._f, self._choice, self._options.fast
        return lambda shape: RowRecording(f, choice, shape, places, fast=fast)

    def _local(self, learner: Learner, threads: int) -> LocalDispatcher:
        """Runs pieces in this process."""

        def sweep() -> Sweep:
            return Sweep(learner.codes(), learner.given.shared, learner.memo)

        return LocalDispatcher(sweep, self._pool(threads) if threads > 1 else None, threads)

    def _pool(self, threads: int) -> ThreadPoolExecutor:
        """Threads that stay from call to call; a forked process has none of its parent's."""
        key = threads, os.getpid()
        if self._threads is None or self._threads[0] != key:
            self._threads = key, ThreadPoolExecutor(threads)
        return self._threads[1]

    def __reduce__(self) -> tuple[Callable[..., Batched[object]], tuple[object, ...]]:
        recordings = [
            (recorded.shape, recorded.places, recorded.tapes)
            for recorded in reversed(self._cache.recordings)
        ]
        options = attrs.evolve(self._options, executor=None, callback=None)
        return _unpickled, (name_of(self._f), options, recordings)

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes of a row, one for each path and each structure of arguments."""
        return self._cache.tapes

    def report(self) -> Report:
        """What was recorded and compiled, what runs it and why, and what that took."""
        return self._cache.report(self._choice)

    def source(self, language: Language) -> str:
        """The path that most rows took, as source: Python, LLVM's text, or C99.

        Raises:
            BackendError: before the first call, or for C where it lacks an operation.
        """
        likely = [one.likely()[0] for one in self._cache.recordings if one.codes]
        return source(likely[0].path.program if likely else None, language)


def _unpickled(name: str, options: Options, recordings: Sequence[RecordedState]) -> Runner:
    """A batched function without the function itself."""
    runner = Runner(missing_function(name), options)
    for shape, places, tapes in recordings:
        recorded = runner._cache.get(shape, runner._new_recording(places))
        for tape in tapes:
            recorded.add(path_of(tape, approximate=True))
    return runner


@final
@attrs.frozen
class _Reduction:
    """Sums over rows in the types of the function's answer."""

    options: Options
    recorded: RowRecording

    def answer(self, part: Part) -> object:
        """The sums as the user gets them."""
        reduced = self._built(part.sums if self.options.reduce == "sum" else part.mean())
        if self.options.stderr:
            return Estimate(reduced, self._built(part.stderr()), part.rows)
        return reduced

    def stop(self, part: Part) -> bool:
        """Gives the sums so far to the callback; whether that wants no more."""
        callback, answer = self.options.callback, self.answer(part)
        if callback is None:
            return False
        if isinstance(answer, Estimate):
            return bool(callback(Progress(part.rows, answer.mean, answer.stderr)))
        return bool(callback(Progress(part.rows, answer, None)))

    def _built(self, numbers: Floats) -> object:
        return build(self.recorded.result, numbers.tolist())


def _by_row(tape: AnyTape, arrays: Floats) -> object:
    """Columns of outputs as the user gets them."""
    result = tape.result
    if isinstance(result, Leaf):
        return arrays[0]
    if isinstance(result, Branch) and result.kind is ValueAndGrad:
        value = cast("FloatArray", arrays[0])
        return BatchValueAndGrad(value, _columns(tape, result.children[1], arrays[1:]))
    return _columns(tape, result, arrays)


def _columns(tape: AnyTape, structure: Structure, arrays: Floats) -> Columns[object]:
    names = tuple(path or tape.names[0] for path in key_paths(structure))
    return Columns(names, structure, cast("FloatArray", arrays))
