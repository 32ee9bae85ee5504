"""The batched function that ``vmap`` returns: its recordings, and its calls."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast, final

import attrs
import numpy as np

from tapegrad._support.argument_checks import name_of
from tapegrad._support.function_wrapper import Reduced, reduced
from tapegrad._support.source_position import here, site, user_mark
from tapegrad._support.threads import Pool
from tapegrad.batch.arrays import Floats
from tapegrad.batch.chunks import LocalDispatcher, Pending, chunk_rows, thread_count
from tapegrad.batch.inputs import batch_inputs, mapped_positions
from tapegrad.batch.options import Options
from tapegrad.batch.recordings import PathRecorder, ReadsTracedError, RowRecording
from tapegrad.batch.reduce import PairwiseSum, PartialSum
from tapegrad.batch.remote.executor import ExecutorDispatcher
from tapegrad.batch.remote.messages import Job
from tapegrad.batch.results import Batched, Estimate, Progress, by_row
from tapegrad.batch.row_groups import RowGroup, has_static_column, row_groups
from tapegrad.batch.schedule import Schedule
from tapegrad.batch.traced_rows import traced_rows
from tapegrad.batch.warm_rows import WarmRows
from tapegrad.compile.backends.registry import Choice, Language, chosen, source
from tapegrad.compile.cache import RecordingCache, missing_function
from tapegrad.compile.learning import Budget
from tapegrad.compile.methods import bound
from tapegrad.compile.outside import OutsideState, Unchanged
from tapegrad.compile.paths import AnyTape, path_of
from tapegrad.compile.report import Report
from tapegrad.compile.travelled import require_fit, require_whole
from tapegrad.errors import OutputError
from tapegrad.pytree.matching import first_difference
from tapegrad.pytree.structure import Branch, traced_leaves
from tapegrad.transforms.static_arguments import StaticArguments, static_arguments

if TYPE_CHECKING:
    pass

__all__ = ["BatchedFunction"]

T = TypeVar("T", bound=Pending)

_WARM = 4
"""The most batches whose rows are tried before the arguments of a call are looked at."""

RecordedState: TypeAlias = "tuple[Branch, tuple[int, ...], Sequence[AnyTape]]"
"""The recordings for one structure as they are pickled: structures, mapped inputs, tapes."""


@final
class BatchedFunction(Batched[object]):
    """A function of rows: the recordings of a row, and the calls that run rows on them."""

    def __init__(
        self, f: Callable[..., object], options: Options, *, has_function: bool = True
    ) -> None:
        self._f, self._options, self._has_function = f, options, has_function
        functools.update_wrapper(self, f, updated=())
        self._choice: Choice = chosen(options.backend, rows=True)
        self._budget = Budget(eager_first=has_function, free=0)
        self._cache: RecordingCache[RowRecording] = RecordingCache(f)
        self._threads: tuple[tuple[int, int], Pool] | None = None
        self._can_warm = options.executor is None and options.callback is None
        self._warm: tuple[Unchanged | None, tuple[tuple[RowRecording, WarmRows], ...]] = None, ()

    def __get__(self, instance: object, owner: type | None = None, /) -> Batched[object]:
        """The batched method of an object, where ``vmap`` was applied to a method on its class."""
        if instance is None:
            return self
        return bound(self, self._f, instance, self._of_method)

    def _of_method(self, method: Callable[..., object]) -> Batched[object]:
        static = static_arguments(method, tuple(self._options.static.names))
        batched = BatchedFunction(method, attrs.evolve(self._options, static=static))
        functools.update_wrapper(batched, method, updated=())
        return batched

    def __call__(self, *args: object, **kwargs: object) -> object:
        """The answers of all rows."""
        unchanged, warm = self._warm
        if unchanged is None or unchanged():
            for recording, rows in warm:
                if rows.has_left:
                    continue
                answer = self._warm_answer(recording, rows, args, kwargs)
                if answer is not None:
                    if rows is not warm[0][1]:
                        self._keep_warm(recording, rows)
                        self._cache.touch(recording)
                    return answer
        options = self._options
        mapped = mapped_positions(options.axes, len(args), options.static)
        if next(traced_leaves((args, kwargs)), None) is not None:
            return traced_rows(self._f, args, kwargs, options, mapped)
        try:
            return self._plain_answer(args, kwargs, mapped)
        except ReadsTracedError:
            return traced_rows(self._f, args, kwargs, options, mapped)

    def _plain_answer(
        self, args: tuple[object, ...], kwargs: Mapping[str, object], mapped: Sequence[int]
    ) -> object:
        """The answers of all rows, whose numbers are plain ones.

        Raises:
            ReadsTracedError: where the function reads a traced number that is not an argument.
        """
        if any(has_static_column(args[index]) for index in mapped):
            return self._answer_by_group(row_groups(self._f, args, mapped), kwargs)
        with self._scheduled(args, kwargs, mapped) as schedule:
            answer = self._answer(schedule)
        rows_like = self._can_warm and schedule.recorder.warm()
        if rows_like:
            self._keep_warm(schedule.recorder.recorded, rows_like)
        return answer

    def _warm_answer(
        self,
        recorded: RowRecording,
        rows: WarmRows,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
    ) -> object | None:
        """The answers of a batch like an earlier one, or None: it is not, or takes other paths."""
        options = self._options
        if options.reduce is None:
            outputs = rows.outputs(args, kwargs)
            return None if outputs is None else _by_row(recorded.tape, outputs)
        total = rows.sums(args, kwargs, spread=options.stderr)
        return None if total is None else _Reduction(options, recorded).answer(total)

    def _keep_warm(self, recorded: RowRecording, rows: WarmRows) -> None:
        """Tries these rows first from now on.

        The others that are tried were recorded in the same state of what is read from outside.
        """
        outside = recorded.outside
        others = (
            (one, its)
            for one, its in self._warm[1]
            if one.outside is outside and one is not recorded and not its.has_left
        )
        self._warm = outside.unchanged, ((recorded, rows), *islice(others, _WARM - 1))

    @contextmanager
    def _scheduled(
        self, args: tuple[object, ...], kwargs: Mapping[str, object], mapped: Sequence[int]
    ) -> Iterator[Schedule[Any]]:
        """One call over its rows, which all have the same static values."""
        inputs, options = batch_inputs(self._f, args, kwargs, self._options, mapped), self._options
        recorded = self._cache.get(inputs.shape, self._new_recording(inputs.places, inputs.mapped))
        if recorded is None:
            raise ReadsTracedError
        recorder = PathRecorder(
            recorded,
            inputs,
            options.on_branch,
            options.max_paths,
            records_all=options.records_all,
        )
        lengths = [len(code.path.program) for code in recorded.codes]
        threads = thread_count(options.threads, inputs.rows, max(lengths, default=None))
        rows = chunk_rows(inputs, options, threads, len(lengths))
        if options.executor is None:
            pool = self._pool(threads) if threads > 1 else None
            local = LocalDispatcher(recorder.runner, pool, threads)
            yield Schedule(inputs, local, recorder, rows)
            return
        line = site(*user_mark())
        job = Job(self._choice.name, options.fast, inputs.places, inputs.shared, line)
        with ExecutorDispatcher(options.executor, recorder.codes, job) as remote:
            yield Schedule(inputs, remote, recorder, rows)

    def recording_all(self) -> BatchedFunction:
        """The same function of rows, which records every path, however few rows take it."""
        return BatchedFunction(self._f, attrs.evolve(self._options, records_all=True))

    def _answer(self, schedule: Schedule[T]) -> object:
        """The answers of all rows, or their sum or mean."""
        options, recorded = self._options, schedule.recorder.recorded
        if options.reduce is None:
            return _by_row(recorded.tape, schedule.arrays())
        reduction = _Reduction(options, recorded)
        stop = None if options.callback is None else reduction.stop
        return reduction.answer(schedule.sums(stop, spread=options.stderr))

    def _answer_by_group(self, groups: Sequence[RowGroup], kwargs: Mapping[str, object]) -> object:
        """The answers of rows with different static values: one group after the other."""
        if self._options.reduce is None:
            return self._rows_by_group(groups, kwargs)
        total = PairwiseSum()
        reduction: _Reduction | None = None
        for group in groups:
            with self._scheduled_group(group, kwargs, reduction and reduction.recorded) as schedule:
                total.add(schedule.sums(None, spread=self._options.stderr))
                reduction = reduction or _Reduction(self._options, schedule.recorder.recorded)
            if self._options.callback is not None and reduction.stop(total.value()):
                break
        return cast(_Reduction, reduction).answer(total.value())

    def _rows_by_group(self, groups: Sequence[RowGroup], kwargs: Mapping[str, object]) -> object:
        """The answers row by row, in the rows' order."""
        parts: list[Floats] = []
        first: RowRecording | None = None
        for group in groups:
            with self._scheduled_group(group, kwargs, first) as schedule:
                parts.append(schedule.arrays())
                first = first or schedule.recorder.recorded
        outputs = np.empty((len(parts[0]), sum(group.rows.size for group in groups)))
        for group, part in zip(groups, parts, strict=True):
            outputs[:, group.rows] = part
        return _by_row(cast(RowRecording, first).tape, outputs)

    @contextmanager
    def _scheduled_group(
        self, group: RowGroup, kwargs: Mapping[str, object], first: RowRecording | None
    ) -> Iterator[Schedule[Any]]:
        """A call of one group, whose rows return what those of the ``first`` recording do.

        Raises:
            OutputError: where they return another structure.
        """
        try:
            with self._scheduled(group.args, kwargs, group.mapped) as schedule:
                own = schedule.recorder.recorded.result
                theirs = own if first is None else first.result
                if first_difference(theirs, own, statics=True) is not None:
                    raise OutputError(
                        f"rows of {name_of(self._f)} ({here()}) with {group.shared} return another "
                        "structure than those before: return the same containers for all rows"
                    )
                yield schedule
        except Exception as error:
            error.add_note(f"the batch is of the rows with {group.shared}")
            raise

    def _new_recording(
        self, places: tuple[int, ...], mapped: Collection[int] = ()
    ) -> Callable[[Branch, OutsideState], RowRecording]:
        """Makes the recording for rows of a structure whose mapped inputs are ``places``.

        The arguments at the positions ``mapped`` are mapped.
        """
        f, choice, options = self._cache.f, self._choice, self._options
        max_paths, budget = options.max_paths if self._has_function else 0, self._budget
        return lambda shape, outside: RowRecording(
            f,
            choice,
            shape,
            outside,
            places,
            fast=options.fast,
            max_paths=max_paths,
            budget=budget,
            mapped=mapped,
            static=options.static,
        )

    def _pool(self, threads: int) -> Pool:
        """Threads that stay from call to call; a forked process has none of its parent's."""
        key = threads, os.getpid()
        if self._threads is None or self._threads[0] != key:
            self._threads = key, Pool(threads)
        return self._threads[1]

    def __reduce__(self) -> Reduced:
        options = attrs.evolve(self._options, executor=None, callback=None)
        if not self.tapes:
            return reduced(self, functools.partial(BatchedFunction, options=options), self._f)
        recordings = [
            (recorded.shape, recorded.places, recorded.tapes) for recorded in self._cache.current()
        ]
        return _unpickled, (name_of(self._f), options, recordings)

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes of a row, one for each path and each structure of arguments."""
        return self._cache.tapes

    def report(self) -> Report:
        """Describes what was recorded and compiled, what runs it and why, and what that took."""
        return self._cache.report(self._choice, self._budget)

    def source(self, language: Language) -> str:
        """The path that most rows took, as source: Python, LLVM's text, or C99.

        Raises:
            BackendError: before the first call, or for C where it lacks an operation.
        """
        codes = [code for recording in self._cache.recordings for code in recording.codes]
        likely = max(codes, key=attrgetter("rows"), default=None)
        return source(likely.path.program if likely else None, language)


def _unpickled(name: str, options: Options, recordings: Sequence[RecordedState]) -> BatchedFunction:
    """A batched function without the function itself.

    Raises:
        TapeError: where the tapes do not fit the shapes.
    """
    require_whole(options, Options)
    require_whole(options.static, StaticArguments)
    runner = BatchedFunction(missing_function(name), attrs.evolve(options), has_function=False)
    for shape, places, tapes in recordings:
        require_fit(shape, tapes, places)
        recorded = cast(RowRecording, runner._cache.get(shape, runner._new_recording(places)))
        for tape in tapes:
            recorded.add(path_of(tape, approximate=True))
    return runner


@final
@attrs.frozen
class _Reduction:
    """Turns sums over rows into the types of the function's answer."""

    options: Options
    recorded: RowRecording

    def answer(self, part: PartialSum) -> object:
        """The sum, the mean or the estimate that the user gets."""
        reduced = self._built(part.sums if self.options.reduce == "sum" else part.mean())
        if self.options.stderr:
            return Estimate(reduced, self._built(part.stderr()), part.rows)
        return reduced

    def stop(self, part: PartialSum) -> bool:
        """Calls the callback with the sums so far; true where it asks to stop."""
        callback, answer = self.options.callback, self.answer(part)
        if callback is None:
            return False
        if isinstance(answer, Estimate):
            return bool(callback(Progress(part.rows, answer.mean, answer.stderr)))
        return bool(callback(Progress(part.rows, answer, None)))

    def _built(self, numbers: Floats) -> object:
        return self.recorded.built(numbers.tolist())


def _by_row(tape: AnyTape, arrays: Floats) -> object:
    """The answer of a batch that is not reduced, given a column for each output."""
    return by_row(tape.result, tape.names[0], cast("Sequence[object]", arrays), lambda part: part)
