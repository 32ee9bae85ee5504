"""Arrays in files: workers get the place in the file, and read their rows themselves."""

from __future__ import annotations

import os
from mmap import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast, final

import attrs
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers: TypeAlias = NDArray[Any]

__all__ = ["FileArray", "file_array"]


@final
@attrs.frozen(eq=False)
class FileArray:
    """Rows of an array in a file, which is opened when they are read.

    ``size`` and ``changed`` are the file's, so that another file of its name is not read for it.
    """

    path: str
    dtype: np.dtype[Any]
    offset: int
    shape: tuple[int, ...]
    size: int
    changed: int

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __getitem__(self, rows: slice) -> FileArray:
        start, stop, _ = rows.indices(self.shape[0])
        bytes_a_row = self.dtype.itemsize * int(np.prod(self.shape[1:]))
        shape = (stop - start, *self.shape[1:])
        return attrs.evolve(self, offset=self.offset + start * bytes_a_row, shape=shape)

    def __array__(self, dtype: np.dtype[Any] | None = None, *, copy: bool | None = None) -> Numbers:
        if _stat(self.path) != (self.size, self.changed):
            raise FileNotFoundError(f"{self.path} is not here, or has been changed")
        found = np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        return np.asarray(found, dtype)

    def reshape(self, rows: int, _: int) -> FileArray:
        """The same rows with two axes."""
        return attrs.evolve(self, shape=(rows, int(np.prod(self.shape[1:]))))


def file_array(array: Numbers) -> FileArray | None:
    """A whole file mapped into memory for reading as its place; None for another array."""
    if not isinstance(array, np.memmap) or not isinstance(array.base, mmap):
        return None
    if array.mode != "r" or array.filename is None or not array.flags.c_contiguous:
        return None
    path = str(Path(cast("str | os.PathLike[str]", array.filename)).absolute())
    return FileArray(path, array.dtype, array.offset, array.shape, *_stat(path))


def _stat(path: str) -> tuple[int, int]:
    """The size of a file and when it was changed; no file has size -1."""
    try:
        found = Path(path).stat()
    except OSError:
        return -1, 0
    return found.st_size, found.st_mtime_ns
