"""The options of ``vmap``: their types for each kind of answer, and their checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Required, TypeAlias, TypedDict, TypeVar, final, get_args

import attrs

from tapegrad._support.argument_checks import require_positive
from tapegrad._support.source_position import here
from tapegrad.compile.backends.registry import BackendName
from tapegrad.errors import InputError
from tapegrad.transforms.static_arguments import ArgumentNames, StaticArguments

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from tapegrad.batch.results import Progress

__all__ = [
    "Axes", "ByRowOptions", "Callback", "ExecutorOrFactory", "OnBranch", "Options", "Reduce",
    "ReduceOptions", "RunOptions", "StderrOptions",
]  # fmt: skip

R = TypeVar("R")

Axes: TypeAlias = "Literal[0] | Sequence[Literal[0] | None]"
Callback: TypeAlias = "Callable[[Progress[R]], bool | None] | None"
"""Gets the sum or mean of the rows so far; where it returns true, the batch ends."""
ExecutorOrFactory: TypeAlias = "Executor | Callable[[], Executor]"
"""An executor, or a function that makes one, and another one where it breaks."""
OnBranch: TypeAlias = Literal["rerecord", "raise", "mask", "eager"]
Reduce: TypeAlias = Literal["mean", "sum"]


class RunOptions(TypedDict, total=False):
    """The options that say how rows are run, and do not change the type of the answer."""

    in_axes: Axes
    on_branch: OnBranch
    backend: BackendName
    max_paths: int
    fast: bool
    threads: int | None
    executor: ExecutorOrFactory | None
    static_argnames: ArgumentNames


class ByRowOptions(RunOptions, total=False):
    """The options of a batch that answers with arrays."""

    reduce: None
    stderr: Literal[False]
    callback: None


class ReduceOptions(RunOptions, total=False):
    """The options of a batch that answers with the sum or mean of its rows."""

    reduce: Required[Reduce]
    stderr: Literal[False]


class StderrOptions(RunOptions, total=False):
    """The options of a batch that answers with the mean of its rows and the standard errors."""

    reduce: Required[Literal["mean"]]
    stderr: Required[Literal[True]]


@final
@attrs.frozen
class Options:
    """The options of one batched function, checked."""

    axes: Axes
    reduce: Reduce | None
    stderr: bool
    callback: Callable[..., bool | None] | None
    on_branch: OnBranch
    backend: BackendName
    max_paths: int
    fast: bool
    threads: int | None
    executor: ExecutorOrFactory | None
    static: StaticArguments
    records_all: bool = False
    """Whether every path is recorded, however few rows take it."""

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
