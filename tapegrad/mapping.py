"""``vmap``: a function of one row, run over arrays of rows by vector code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from threading import Lock
from typing import (
    TYPE_CHECKING,
    Final,
    Generic,
    Literal,
    ParamSpec,
    TypeAlias,
    TypedDict,
    TypeVar,
    cast,
    final,
    get_args,
    overload,
)

import attrs

from tapegrad.backends import Backend, Choice, chosen, require
from tapegrad.batches import BatchValueAndGrad, Columns, Estimate, Progress
from tapegrad.calls import ValueAndGrad
from tapegrad.checks import name_of
from tapegrad.errors import InputError
from tapegrad.paths import AnyTape, left_behind, path_of
from tapegrad.positions import here
from tapegrad.recording import Scalar
from tapegrad.reports import Report, varying, warn_of_many
from tapegrad.structure import Branch, Leaf, Structure, build, paths

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from typing import Unpack

    import numpy as np
    from numpy.typing import NDArray

    from tapegrad.arrays import FloatArray
    from tapegrad.crews import Crew, Pool
    from tapegrad.driving import Drive
    from tapegrad.learning import Learner, Recorded
    from tapegrad.rowcalls import Axes, RowCall
    from tapegrad.sums import Part

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["Batched", "vmap"]

A = TypeVar("A")
R = TypeVar("R")
P = ParamSpec("P")
B_co = TypeVar("B_co", covariant=True)

OnBranch: TypeAlias = Literal["rerecord", "raise", "mask", "eager"]
Reduce: TypeAlias = Literal["mean", "sum"]


class Common(TypedDict, total=False):
    """What ``vmap`` may be told besides how rows are reduced."""

    in_axes: Axes
    on_branch: OnBranch
    backend: Backend
    max_paths: int
    fast: bool
    threads: int | None
    executor: Executor | Callable[[], Executor] | None


@attrs.frozen
class Options:
    """What ``vmap`` was told."""

    axes: Axes
    reduce: Reduce | None
    stderr: bool
    callback: Callable[..., bool | None] | None
    on_branch: OnBranch
    backend: Backend
    max_paths: int
    fast: bool
    threads: int | None
    executor: Pool | None

    def __attrs_post_init__(self) -> None:
        self._require_known("on_branch", self.on_branch, get_args(OnBranch))
        self._require_known("reduce", self.reduce, (None, *get_args(Reduce)))
        if self.stderr and self.reduce != "mean":
            raise InputError(
                f"stderr=True ({here()}) gives the standard error of a mean: pass "
                'reduce="mean" beside it'
            )
        if self.callback is not None and self.reduce is None:
            raise InputError(
                f'callback ({here()}) is told running sums: pass reduce="mean" or "sum" beside it'
            )

    def _require_known(self, name: str, given: object, known: Sequence[object]) -> None:
        if given not in known:
            names = ", ".join(map(repr, known))
            raise InputError(f"{name}={given!r} ({here()}) is not known: choose among {names}")


@overload
def vmap(
    f: Callable[..., Scalar], /, *, reduce: Literal["mean"], stderr: Literal[True],
    callback: Callable[[Progress[float]], bool | None] | None = ..., **common: Unpack[Common],
) -> Batched[Estimate[float]]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[P, R], /, *, reduce: Literal["mean"], stderr: Literal[True],
    callback: Callable[[Progress[R]], bool | None] | None = ..., **common: Unpack[Common],
) -> Batched[Estimate[R]]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[..., Scalar], /, *, reduce: Reduce, stderr: Literal[False] = ...,
    callback: Callable[[Progress[float]], bool | None] | None = ..., **common: Unpack[Common],
) -> Batched[float]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[P, R], /, *, reduce: Reduce, stderr: Literal[False] = ...,
    callback: Callable[[Progress[R]], bool | None] | None = ..., **common: Unpack[Common],
) -> Batched[R]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[..., R], /, *, reduce: Reduce, stderr: Literal[False] = ...,
    callback: Callable[[Progress[R]], bool | None] | None = ..., **common: Unpack[Common],
) -> Batched[R]: ...  # fmt: skip
@overload
def vmap(  # type: ignore[overload-overlap]  # what is more precise comes first
    f: Callable[..., Scalar], /, *, reduce: None = ..., **common: Unpack[Common]
) -> Batched[FloatArray]: ...
@overload
def vmap(  # type: ignore[overload-overlap]  # the same
    f: Callable[P, ValueAndGrad[A]], /, *, reduce: None = ..., **common: Unpack[Common]
) -> Batched[BatchValueAndGrad[A]]: ...
@overload
def vmap(
    f: Callable[..., R], /, *, reduce: None = ..., **common: Unpack[Common]
) -> Batched[Columns[R]]: ...
def vmap(  # noqa: PLR0913  # each says one thing about the rows
    f: Callable[..., object],
    /,
    *,
    in_axes: Axes = 0,
    reduce: Reduce | None = None,
    stderr: bool = False,
    callback: Callable[..., bool | None] | None = None,
    on_branch: OnBranch = "rerecord",
    backend: Backend = "auto",
    max_paths: int = 1024,
    fast: bool = False,
    threads: int | None = None,
    executor: Pool | None = None,
) -> Batched[object]:
    """``f``, a function of one row, as a function of arrays with the rows first.

    ``in_axes`` says for each argument by position whether it is mapped (0) or the same for all rows
    (None); arguments by name are not mapped. A row of a mapped array with two axes reaches ``f`` as
    a tuple of numbers. In the place of arrays a mapped argument may be an iterator of blocks of
    rows, or a Dask array; it is read as it is used, and so is a ``numpy.memmap``.

    The answer holds arrays: for ``value_and_grad(f)`` a ``BatchValueAndGrad``, for a function that
    returns a number an array, for any other ``Columns`` of what it returns. With ``reduce`` the
    rows' answers are summed or averaged and have the types of ``f``; with ``stderr`` beside
    "mean" they are an ``Estimate``, which has the standard errors too. ``callback`` gets a
    ``Progress`` after each 4,096 rows, in order; where it returns True, the answer is that of the
    rows so far.

    Rows that leave the recorded path at a comparison are run on the path that they take, which is
    recorded from one of them and kept (``on_branch="rerecord"``), raise a ``GuardError`` ("raise"),
    come back as nan and count neither in sums nor in the number that a mean is divided by ("mask"),
    or are computed one by one ("eager"). Each operation is within 4 units in the last place; with
    ``fast`` a product and a sum may be rounded once.

    Rows are run by ``threads`` (None: one for each core), or by the workers of an ``executor`` of
    ``concurrent.futures`` or of its kind, to which tapes and rows travel and ``f`` does not. Where
    it may break, pass a function that makes one. Sums have the same bits for any number of
    threads and workers.

    Raises:
        BackendError: when ``backend`` is not known or not installed (``numpy`` is always needed);
            when workers differ in what decides the bits, or an executor is shut or breaks.
        GuardError: when rows take more than ``max_paths`` paths.
        InputError: when arrays have different numbers of rows, or none, or options do not fit.

    >>> import numpy
    >>> from tapegrad import Real, math, value_and_grad
    >>> def payoff(spot: Real, strike: float) -> Real:
    ...     return spot - strike if spot > strike else 0.0 * spot
    >>> book = vmap(value_and_grad(payoff), in_axes=(None, 0))
    >>> values, slopes = book(100.0, numpy.array([90.0, 95.0, 105.0]))
    >>> values.tolist(), slopes.column("spot").tolist()
    ([10.0, 5.0, 0.0], [1.0, 1.0, 0.0])
    """
    require("numpy")
    options = Options(
        in_axes, reduce, stderr, callback, on_branch, backend, max_paths, fast, threads, executor
    )
    return Batched(f, options)


@final
class Batched(Generic[B_co]):
    """What ``vmap`` makes of a function of one row.

    It may be pickled: then its tapes travel, and the code is made again where it arrives. The
    function itself, an executor and a callback stay behind, so that only paths recorded before can
    be taken there.
    """

    def __init__(self, f: Callable[..., object], options: Options) -> None:
        self._f, self._options = f, options
        self._choice: Choice = chosen(options.backend, rows=True)
        self._recordings: list[Recorded] = []
        self._lock = Lock()
        functools.update_wrapper(self, f)

    def __call__(self, *args: object, **kwargs: object) -> B_co:
        """The answers of all rows."""
        from tapegrad.driving import Drive
        from tapegrad.learning import Learner
        from tapegrad.rowcalls import row_call

        options = self._options
        call = row_call(self._f, args, kwargs, options.axes)
        recording = self._recording(call.shape, call.places)
        learner = Learner(recording, call, options.on_branch, options.max_paths)
        with _crew(learner, options) as crew:
            drive = Drive(call, crew, learner, _step(call, options))
            return cast(B_co, _driven(drive, recording, options))

    def _recording(self, shape: tuple[Branch, Branch], places: tuple[int, ...]) -> Recorded:
        from tapegrad.learning import Recorded

        with self._lock:
            for recording in self._recordings:
                if recording.fits(shape):
                    return recording
            recording = Recorded(self._f, self._choice, shape, places, fast=self._options.fast)
            self._recordings.insert(0, recording)
        warn_of_many(self._f, [recording.shape for recording in self._recordings])
        return recording

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        recorded = [
            (recording.shape, recording.places, [path.tape for path in recording.paths])
            for recording in self._recordings
        ]
        options = attrs.evolve(self._options, executor=None, callback=None)
        return _arrived, (name_of(self._f), options, recorded)

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes of a row, one for each path and each structure of arguments."""
        return tuple(path.tape for recording in self._recordings for path in recording.paths)

    def report(self) -> Report:
        """What was recorded and compiled, what runs it and why, and what that took."""
        shapes = tuple(recording.report() for recording in self._recordings)
        found = varying(self._f, [recording.shape for recording in self._recordings])
        return Report(name_of(self._f), str(self._choice), shapes, found)

    def source(self, language: Literal["python", "llvm", "c"]) -> str:
        """The path that most rows took, as source: Python, LLVM's text, or C99.

        Raises:
            BackendError: before the first call, or for C where it lacks an operation.
        """
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


def _crew(learner: Learner, options: Options) -> Crew:
    """Who runs the rows of a call."""
    from tapegrad.crews import Here, Workers, cores
    from tapegrad.sums import BLOCK
    from tapegrad.working import Order

    call, recorded = learner.given, learner.recorded
    if options.executor is not None:
        order = Order(recorded.choice.name, recorded.fast, call.places, call.inputs)
        return Workers(options.executor, learner.codes, order)
    threads = options.threads or cores()
    if call.rows is not None:
        threads = min(threads, -(-call.rows // BLOCK))
    return Here(learner.codes, call.inputs, learner.memo, threads)


def _step(call: RowCall, options: Options) -> int:
    """Rows in a piece: whole blocks, so few that pieces are even and so many that they pay."""
    from tapegrad.sums import BLOCK

    if options.executor is None:
        return BLOCK
    blocks = max(1, _PIECE // (8 * BLOCK * max(call.width, 1)))
    if call.rows is not None:
        blocks = min(blocks, max(1, call.rows // (_PIECES * BLOCK)))
    return BLOCK * max(blocks, call.chunk // BLOCK)


_PIECE: Final = 2**22
"""Bytes of the rows in a piece that travels."""
_PIECES: Final = 32
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
            return callback(Progress(part.rows, answer.mean, answer.stderr)) is True
        return callback(Progress(part.rows, answer, None)) is True

    def _built(self, numbers: Floats) -> object:
        return build(self.recorded.result, numbers.tolist())


def _arrived(
    name: str,
    options: Options,
    recorded: Sequence[tuple[tuple[Branch, Branch], tuple[int, ...], Sequence[AnyTape]]],
) -> Batched[object]:
    """A batched function that travelled without the function."""
    batched: Batched[object] = Batched(left_behind(name), options)
    for shape, places, tapes in recorded:
        kept = batched._recording(shape, places)
        for tape in tapes:
            kept.add(path_of(tape, near=True))
    return batched


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
