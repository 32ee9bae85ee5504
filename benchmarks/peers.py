"""Helpers that run jax and casadi at their best, shared by the benchmarks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from benchmarks.timing import CORES

if TYPE_CHECKING:
    import numpy as np

    Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

__all__ = ["buffered", "floats", "jax"]


@cache
def jax() -> Any:
    """The module jax, set to doubles and to one device for each core."""
    os.environ.setdefault("XLA_FLAGS", f"--xla_force_host_platform_device_count={CORES}")
    import jax as module

    module.config.update("jax_enable_x64", True)
    return module


def buffered(
    function: Any, inputs: Sequence[Array], outputs: Sequence[Array]
) -> Callable[[], None]:
    """A call of a casadi Function that reads and writes these arrays without a copy."""
    buffer, trigger = function.buffer()
    for index, array in enumerate(inputs):
        buffer.set_arg(index, array.data)
    for index, array in enumerate(outputs):
        buffer.set_res(index, array.data)

    def call(held: object = (buffer, inputs, outputs)) -> None:
        # `held` keeps the buffer and the arrays alive, which the trigger does not.
        del held
        trigger()

    return call


def floats(answer: tuple[Any, Sequence[Any]]) -> list[float]:
    """A value and its derivatives, scalars of another library, as Python floats."""
    value, slopes = answer
    return [value.item(), *(slope.item() for slope in slopes)]
