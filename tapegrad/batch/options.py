"""The options of ``vmap``, checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict, final, get_args

import attrs

from tapegrad._support.argument_checks import require_positive
from tapegrad._support.source_position import here
from tapegrad.compile.backends.registry import BackendName
from tapegrad.errors import InputError

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["Axes", "ExecutorOrFactory", "OnBranch", "Options", "Reduce", "RunOptions"]

Axes: TypeAlias = "Literal[0] | Sequence[Literal[0] | None]"
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


@final
@attrs.frozen
class Options:
    """The options of one batched function."""

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
