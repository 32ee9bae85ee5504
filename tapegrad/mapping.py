"""``vmap``: a function of one row, run over arrays of rows by vector code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import (
    TYPE_CHECKING,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    cast,
    final,
    get_args,
    overload,
)

import attrs

from tapegrad.backends import Backend, require
from tapegrad.checks import require_positive
from tapegrad.errors import InputError
from tapegrad.positions import here
from tapegrad.recording import Scalar

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from typing import Unpack

    from tapegrad.arrays import FloatArray
    from tapegrad.batches import BatchValueAndGrad, Columns, Estimate, Progress
    from tapegrad.calls import ValueAndGrad
    from tapegrad.paths import AnyTape
    from tapegrad.reports import Report

__all__ = ["Axes", "Batched", "Engine", "Options", "Pool", "Reduce", "vmap"]

A = TypeVar("A")
R = TypeVar("R")
P = ParamSpec("P")
B_co = TypeVar("B_co", covariant=True)

Axes: TypeAlias = "Literal[0] | Sequence[Literal[0] | None]"
Pool: TypeAlias = "Executor | Callable[[], Executor]"
"""An executor, or what makes one (again, where one breaks)."""
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
    executor: Pool | None


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
        require_positive("max_paths", self.max_paths)
        if self.threads is not None:
            require_positive("threads", self.threads)
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
    f: Callable[P, float], /, *, reduce: Literal["mean"], stderr: Literal[True],
    callback: Callable[[Progress[float]], bool | None] | None = ..., **common: Unpack[Common],
) -> Batched[Estimate[float]]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[P, Scalar], /, *, reduce: Literal["mean"], stderr: Literal[True],
    callback: Callable[[Progress[float]], bool | None] | None = ..., **common: Unpack[Common],
) -> Batched[Estimate[float]]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[P, R], /, *, reduce: Literal["mean"], stderr: Literal[True],
    callback: Callable[[Progress[R]], bool | None] | None = ..., **common: Unpack[Common],
) -> Batched[Estimate[R]]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[P, float], /, *, reduce: Reduce, stderr: Literal[False] = ...,
    callback: Callable[[Progress[float]], bool | None] | None = ..., **common: Unpack[Common],
) -> Batched[float]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[P, Scalar], /, *, reduce: Reduce, stderr: Literal[False] = ...,
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
    f: Callable[P, ValueAndGrad[A]], /, *, reduce: None = ..., **common: Unpack[Common]
) -> Batched[BatchValueAndGrad[A]]: ...
@overload
def vmap(  # type: ignore[overload-overlap]  # what is more precise comes first
    f: Callable[P, float], /, *, reduce: None = ..., **common: Unpack[Common]
) -> Batched[FloatArray]: ...
@overload
def vmap(  # type: ignore[overload-overlap]  # what is more precise comes first
    f: Callable[P, Scalar], /, *, reduce: None = ..., **common: Unpack[Common]
) -> Batched[FloatArray]: ...
@overload
def vmap(
    f: Callable[P, R], /, *, reduce: None = ..., **common: Unpack[Common]
) -> Batched[Columns[R]]: ...
@overload
def vmap(  # type: ignore[overload-cannot-match]  # generic functions of containers do
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
    ``fast`` a product and a sum may be rounded once, where no comparison depends on them.

    Rows are run by ``threads`` (None: one for each core), or by the workers of an ``executor`` of
    ``concurrent.futures`` or of its kind, to which tapes and rows travel and ``f`` does not. Where
    it may break, pass a function that makes one. Sums have the same bits for any number of
    threads and workers.

    Raises:
        BackendError: when ``backend`` is not known or not installed (``numpy`` is always needed);
            when workers differ in what decides the bits, or an executor is shut or breaks.
        GuardError: when rows take more than ``max_paths`` paths, or recorded paths disagree on a
            comparison because what it depends on has changed.
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
    batched: Batched[object] = Batched(_batching().Batching(f, options))
    functools.update_wrapper(batched, f, updated=())
    return batched


class Engine(Protocol):
    """What runs rows.

    It stands in ``tapegrad.batching``, which is loaded by its name: a checker follows every import
    that it can see, and numpy's types are read only where the user imports numpy.
    """

    def run(self, args: tuple[object, ...], kwargs: Mapping[str, object], /) -> object:
        """The answer of one call."""

    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes."""

    def report(self) -> Report:
        """What is told of it."""

    def source(self, language: Literal["python", "llvm", "c"], /) -> str:
        """The path that most rows took, as source."""

    def luggage(self) -> tuple[object, ...]:
        """What travels, for ``arrived``."""


class _Batching(Protocol):
    """The module that runs rows."""

    def Batching(self, f: Callable[..., object], options: Options, /) -> Engine: ...  # noqa: N802  # a class there

    def arrived(self, *luggage: object) -> Engine: ...


def _batching() -> _Batching:
    return cast(_Batching, import_module("tapegrad.batching"))


@final
class Batched(Generic[B_co]):
    """What ``vmap`` makes of a function of one row.

    It may be pickled: then its tapes travel, and the code is made again where it arrives. The
    function itself, an executor and a callback stay behind, so that only paths recorded before can
    be taken there.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, *args: object, **kwargs: object) -> B_co:
        """The answers of all rows."""
        return cast(B_co, self._engine.run(args, kwargs))

    def __copy__(self) -> Batched[B_co]:
        return self

    def __deepcopy__(self, memo: Mapping[int, object], /) -> Batched[B_co]:
        return self

    def __repr__(self) -> str:
        return f"<vmap of {getattr(self, '__name__', 'a function')}, {len(self.tapes)} recorded>"

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return _arrived, self._engine.luggage()

    @property
    def tapes(self) -> tuple[AnyTape, ...]:
        """The recorded tapes of a row, one for each path and each structure of arguments."""
        return self._engine.tapes()

    def report(self) -> Report:
        """What was recorded and compiled, what runs it and why, and what that took."""
        return self._engine.report()

    def source(self, language: Literal["python", "llvm", "c"]) -> str:
        """The path that most rows took, as source: Python, LLVM's text, or C99.

        Raises:
            BackendError: before the first call, or for C where it lacks an operation.
        """
        return self._engine.source(language)


def _arrived(*luggage: object) -> Batched[object]:
    """A batched function that travelled without the function."""
    return Batched(_batching().arrived(*luggage))
