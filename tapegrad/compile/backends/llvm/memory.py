"""Whether there is memory to compile a module: LLVM ends the process where there is none."""

from __future__ import annotations

import sys
from math import inf
from pathlib import Path
from typing import Final

from tapegrad._support.source_position import here
from tapegrad.errors import BackendError

__all__ = ["require_memory"]

_FOR_ANY: Final = 2**25
_FOR_A_CHARACTER: Final = 16
"""The bytes that LLVM takes for a module, and for each character of it: half as much again as was
seen for modules of 500 to 30,000 entries."""


def require_memory(text: str) -> None:
    """Lets a module through that LLVM has the memory to compile.

    Raises:
        BackendError: where it has not, as far as the system tells.
    """
    needed, free = _FOR_ANY + _FOR_A_CHARACTER * len(text), _free()
    if needed > free:
        raise BackendError(
            f"LLVM takes up to {needed / 2**20:,.0f} MiB to compile this program ({here()}) and "
            f'{max(free, 0) / 2**20:,.0f} are free: use backend="python" in jit, or "numpy" in vmap'
        )


def _free() -> float:
    """The bytes that the process may still take; infinite where the system does not say."""
    if sys.platform != "linux":
        return inf
    import resource

    available = inf
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            available = 1024 * int(line.split()[1])
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return available
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return min(available, limit - pages * resource.getpagesize())
