"""``vmap``: a function of one row, run over arrays of rows by vector code."""

# Of the overloads the more precise come first.
# mypy: disable-error-code="overload-overlap, overload-cannot-match"

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from tapegrad._support.argument_checks import require_callable
from tapegrad._support.optional_packages import require
from tapegrad._support.source_position import here
from tapegrad.batch.options import Axes, ExecutorOrFactory, OnBranch, Options, Reduce
from tapegrad.batch.results import Batched
from tapegrad.compile.backends.registry import BackendName
from tapegrad.errors import InputError
from tapegrad.recording.recorder import Scalar
from tapegrad.transforms.static_arguments import ArgumentNames, static_arguments

if TYPE_CHECKING:
    from typing import Unpack

    from tapegrad._support.array_types import FloatArray
    from tapegrad.batch.options import ByRowOptions, Callback, ReduceOptions, StderrOptions
    from tapegrad.batch.results import BatchedModel, BatchValueAndGrad, Columns, Estimate
    from tapegrad.recording.signatures import Untyped, UntypedResult
    from tapegrad.transforms.grad import ValueAndGrad

__all__ = ["vmap"]

A = TypeVar("A")
R = TypeVar("R")
P = ParamSpec("P")


@overload
def vmap(
    f: Callable[Concatenate[Untyped, P], UntypedResult], /, *, callback: Callback[Any] = ...,
    **options: Unpack[StderrOptions],
) -> Batched[Estimate[Any]]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[Concatenate[A, P], float], /, *, callback: Callback[float] = ...,
    **options: Unpack[StderrOptions],
) -> BatchedModel[Estimate[float], A]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[P, Scalar], /, *, callback: Callback[float] = ...,
    **options: Unpack[StderrOptions],
) -> Batched[Estimate[float]]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[Concatenate[A, P], ValueAndGrad[A]], /, *,
    callback: Callback[ValueAndGrad[A]] = ..., **options: Unpack[StderrOptions],
) -> BatchedModel[Estimate[ValueAndGrad[A]], A]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[Concatenate[A, P], A], /, *, callback: Callback[A] = ...,
    **options: Unpack[StderrOptions],
) -> BatchedModel[Estimate[A], A]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[P, R], /, *, callback: Callback[R] = ...,
    **options: Unpack[StderrOptions],
) -> Batched[Estimate[R]]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[Concatenate[Untyped, P], UntypedResult], /, *, callback: Callback[Any] = ...,
    **options: Unpack[ReduceOptions],
) -> Batched[Any]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[Concatenate[A, P], float], /, *, callback: Callback[float] = ...,
    **options: Unpack[ReduceOptions],
) -> BatchedModel[float, A]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[P, Scalar], /, *, callback: Callback[float] = ...,
    **options: Unpack[ReduceOptions],
) -> Batched[float]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[Concatenate[A, P], ValueAndGrad[A]], /, *,
    callback: Callback[ValueAndGrad[A]] = ..., **options: Unpack[ReduceOptions],
) -> BatchedModel[ValueAndGrad[A], A]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[Concatenate[A, P], A], /, *, callback: Callback[A] = ...,
    **options: Unpack[ReduceOptions],
) -> BatchedModel[A, A]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[P, R], /, *, callback: Callback[R] = ...,
    **options: Unpack[ReduceOptions],
) -> Batched[R]: ...  # fmt: skip
@overload
def vmap(
    f: Callable[..., R], /, *, callback: Callback[R] = ..., **options: Unpack[ReduceOptions]
) -> Batched[R]: ...
@overload
def vmap(
    f: Callable[Concatenate[Untyped, P], UntypedResult], /, **options: Unpack[ByRowOptions]
) -> Batched[Any]: ...
@overload
def vmap(
    f: Callable[Concatenate[A, P], float], /, **options: Unpack[ByRowOptions]
) -> BatchedModel[FloatArray, A]: ...
@overload
def vmap(f: Callable[P, Scalar], /, **options: Unpack[ByRowOptions]) -> Batched[FloatArray]: ...
@overload
def vmap(
    f: Callable[Concatenate[A, P], ValueAndGrad[A]], /, **options: Unpack[ByRowOptions]
) -> BatchedModel[BatchValueAndGrad[A], A]: ...
@overload
def vmap(
    f: Callable[Concatenate[A, P], A], /, **options: Unpack[ByRowOptions]
) -> BatchedModel[Columns[A], A]: ...
@overload
def vmap(f: Callable[P, R], /, **options: Unpack[ByRowOptions]) -> Batched[Columns[R]]: ...
@overload
def vmap(f: Callable[..., R], /, **options: Unpack[ByRowOptions]) -> Batched[Columns[R]]: ...
def vmap(  # noqa: PLR0913  # each says one thing about the rows
    f: Callable[..., object],
    /,
    *,
    in_axes: Axes = 0,
    reduce: Reduce | None = None,
    stderr: bool = False,
    callback: Callable[..., bool | None] | None = None,
    on_branch: OnBranch = "rerecord",
    backend: BackendName = "auto",
    max_paths: int = 1024,
    fast: bool = False,
    threads: int | None = None,
    executor: ExecutorOrFactory | None = None,
    static_argnames: ArgumentNames = (),
) -> Batched[object]:
    """``f``, a function of one row, as a function of arrays with the rows first.

    ``in_axes`` says for each argument by position whether it is mapped (0) or the same for all rows
    (None); arguments by name are not mapped, nor are those that ``static_argnames`` names, which
    ``f`` gets as they are. A row of a mapped array with two axes reaches ``f`` as
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
    ``fast`` quotients may be products with reciprocals, products and sums be rounded once, and
    exponentials and logarithms be written in line, where no comparison depends on them. Where a
    block of 4,096 rows takes more than 8 paths, rows on a path that fewer than 16 of them take are
    run as single calls, with the bits of the eager call; where these are many, or a path is long,
    so are those on a path that fewer than 128 take.

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
    require_callable(f, "vmap")
    if isinstance(f, Batched):
        raise InputError(
            f"vmap ({here()}) was given a vmap, and rows are mapped once: write one function of a "
            "row, which loops over the numbers in it, as a row of an array of two axes is a tuple"
        )
    require("numpy")
    options = Options(
        in_axes, reduce, stderr, callback, on_branch, backend, max_paths, fast, threads, executor,
        static_arguments(f, static_argnames),
    )  # fmt: skip
    batched: Batched[object]
    if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types in each program
        from tapegrad.batch.batched_function import BatchedFunction

        batched = BatchedFunction(f, options)
    return batched
