"""Where machine code is entered: nothing else calls an address.

What the code reads and writes is checked here against what it was made for, whoever calls, since
nothing in machine code would notice. Calls need no numpy, which takes longer to import than the
code of many of them to make.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol, cast, final

import attrs

from tapegrad.compile.backends.interface import ChainCode, NestShape, StepShape, wrong_inputs
from tapegrad.compile.backends.llvm.array_chain import OWN_LOOPS
from tapegrad.compile.backends.llvm.host_calls import (
    UNANSWERED,
    UNANSWERED_ROW,
    HostCalls,
    full_stack,
)
from tapegrad.compile.backends.llvm.rare_cells import ASKED, RareCells

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Buffer

    from tapegrad.compile.backends.row_code import RowShapes

    Floats = NDArray[np.float64]

__all__ = [
    "CallEntry", "EachEntry", "Kernel", "LoopEntry", "NestEntry", "RowsEntry", "StepsEntry",
    "chain_code",
]  # fmt: skip


class LoadedCode(Protocol):
    """Machine code in memory."""

    is_cached: bool

    def address(self, name: str) -> int:
        """The address of a function."""


@final
@attrs.frozen(eq=False)
class Kernel:
    """Machine code, and what it calls, which an entry keeps in memory.

    Several entries may share it, which differ in what they give it.
    """

    code: LoadedCode
    host: HostCalls
    cells: RareCells


@final
class CallEntry:
    """The entry of code for one call: the inputs as doubles side by side, and so the outputs.

    The code has a buffer of ``spills`` numbers, before which stands what it is ``given``.
    """

    def __init__(
        self, kernel: Kernel, inputs: int, outputs: int, spills: int, given: bytes
    ) -> None:
        arguments = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
        self._address = kernel.code.address("run")
        self._run = ctypes.CFUNCTYPE(ctypes.c_int32, *arguments)(self._address)
        self._code, self._host, self._cells = kernel.code, kernel.host, kernel.cells
        self._size = 8 * inputs
        self.outputs: int = outputs
        self._outputs = ctypes.c_double * outputs
        self._given = given
        self._buffer = ctypes.c_double * (len(given) // 8 + spills)
        self._buffers: list[ctypes.Array[ctypes.c_double]] = []

    def enter(self, inputs: bytes) -> ctypes.Array[ctypes.c_double] | int:
        """The outputs, or the index of the guard that came out differently.

        Raises:
            BackendError: unless there are as many inputs as the code reads.
        """
        if len(inputs) != self._size:
            raise wrong_inputs(inputs, self._size // 8)
        outputs = self._outputs()
        flip: int
        try:
            buffer = self._free()
            if self._host.makes_calls:
                flip = self._host.answer(self._run, inputs, outputs, buffer)
            else:
                flip = self._run(inputs, outputs, buffer)
        except ctypes.ArgumentError as error:
            raise full_stack() from error
        if flip < -1:
            flip = self._again(flip, inputs, outputs, buffer)
        self._buffers.append(buffer)
        return outputs if flip < 0 else flip

    def _again(self, flip: int, *arguments: object) -> int:
        """Runs code again that has asked for what is rarely needed, which now is there.

        Raises:
            RecursionError: where it left because Python has not answered.
        """
        if flip == ASKED:
            self._cells.fill()
            flip = self._host.answer(self._run, *arguments)
        if flip == UNANSWERED:
            raise full_stack()
        return flip

    def _free(self) -> ctypes.Array[ctypes.c_double]:
        """A buffer that no other thread is using."""
        try:
            return self._buffers.pop()
        except IndexError:
            buffer = self._buffer()
            ctypes.memmove(buffer, self._given, len(self._given))
            return buffer

    # What `EachEntry` needs to know.

    @property
    def calls_python(self) -> bool:
        """Whether the code calls back into Python, which answers code that is entered here."""
        return self._host.makes_calls

    def fits(self, inputs: int, outputs: int) -> bool:
        """Whether the code reads and writes so many numbers."""
        return self._size == 8 * inputs and self.outputs == outputs

    def lend(self) -> tuple[int, ctypes.Array[ctypes.c_double]]:
        """Where the code begins, and a buffer for it that is to be given back."""
        return self._address, self._free()

    def take_back(self, buffer: ctypes.Array[ctypes.c_double]) -> None:
        """Keeps a buffer for the next run."""
        self._buffers.append(buffer)


@final
class EachEntry:
    """The entry of a loop over rows, each of which has its own code for one call."""

    def __init__(self, code: LoadedCode) -> None:
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        arguments = [integer, *[pointer] * 3, integer, pointer, integer, pointer]
        self._run = ctypes.CFUNCTYPE(None, *arguments)(code.address("run"))
        self._code = code

    def __call__(
        self, entries: Sequence[CallEntry], counts: Sequence[int], inputs: Floats
    ) -> tuple[Floats, NDArray[np.int32]]:
        """Runs rows of inputs, the first ``counts[0]`` of them by the first entry, and so on.

        Gives the outputs of each, and -1, or another number, for which there are none.

        Raises:
            BackendError: for numbers that the code was not made for.
        """
        import numpy as np

        rows, width = inputs.shape
        outputs = entries[0].outputs
        fit = all(one.fits(width, outputs) and not one.calls_python for one in entries)
        if not (fit and _is_plain(inputs) and min(counts) >= 0 and sum(counts) == rows):
            raise wrong_inputs(inputs, width)
        lent = [one.lend() for one in entries]
        code = np.repeat(np.array([address for address, _ in lent], np.int64), counts)
        buffers = [ctypes.addressof(buffer) for _, buffer in lent]
        places = np.repeat(np.array(buffers, np.int64), counts)
        out, flips = np.empty((rows, outputs)), np.empty(rows, np.int32)
        arrays = code, places, inputs, out, flips
        begins = [array.ctypes.data for array in arrays]
        try:
            self._run(rows, *begins[:3], width, begins[3], outputs, begins[4])
        except ctypes.ArgumentError as error:
            raise full_stack() from error
        for one, (_, buffer) in zip(entries, lent, strict=True):
            one.take_back(buffer)
        return out, flips


@final
class LoopEntry:
    """The entry of a loop over arrays of one ``size`` that are ``read``, or ``written`` to, too.

    After them it is given ``numbers``, each in an array of its own.
    """

    def __init__(self, code: LoadedCode, size: int, read: int, written: int, numbers: int) -> None:
        arguments = [ctypes.c_int64, *[ctypes.c_void_p] * (read + written + numbers)]
        self._run = ctypes.CFUNCTYPE(None, *arguments)(code.address("run"))
        self._code = code
        self._sizes = (size,) * (read + written) + (1,) * numbers
        self._written = slice(read, read + written)

    def __call__(self, given: Sequence[NDArray[Any]]) -> bool:
        """Runs the loop; False where these are not arrays that it was made for."""
        if len(given) != len(self._sizes):
            return False
        fits = all(
            x.size == size and _is_plain(x) for x, size in zip(given, self._sizes, strict=True)
        )
        if fits and all(x.flags.writeable for x in given[self._written]):
            self._run(self._sizes[0], *map(_address, given))
            return True
        return False


@final
class NestEntry:
    """The entry of a loop over rows, which is given arrays as ``NestShape`` describes them."""

    def __init__(self, code: LoadedCode, shape: NestShape) -> None:
        pointers = [ctypes.c_void_p] * (len(shape.sizes) + 1)
        arguments = [ctypes.c_int64, ctypes.c_int64, *pointers]
        self._run, self._rest = (
            ctypes.CFUNCTYPE(None, *arguments)(code.address(name)) for name in ("run", "rest")
        )
        self._code, self._shape = code, shape
        self._words = (ctypes.c_int64 * len(shape.words))(*shape.words)

    def __call__(self, given: Sequence[NDArray[Any]]) -> bool:
        """Runs the loop; False where these are not arrays that it was made for."""
        shape = self._shape
        fits = [x.size for x in given] == [*shape.sizes] and all(map(_is_plain, given))
        if not fits or not all(given[place].flags.writeable for place in shape.written):
            return False
        addresses = [*map(_address, given), ctypes.addressof(self._words)]
        for first in range(0, shape.whole, shape.at_once):
            self._run(first, min(first + shape.at_once, shape.whole), *addresses)
        if shape.whole < shape.rows:
            self._rest(shape.whole, shape.rows, *addresses)
        return True


@final
class StepsEntry:
    """The entry of a loop over steps of this ``shape``, which is run as described at ``RunSteps``.

    After what is held the code is given its ``constants``.
    """

    def __init__(self, kernel: Kernel, shape: StepShape, constants: bytes) -> None:
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        arguments = [*[integer] * 4, pointer, ctypes.c_char_p, *[pointer] * len(shape.xs)]
        self._run = ctypes.CFUNCTYPE(integer, *arguments)(kernel.code.address("run"))
        self._code, self._host, self._cells = kernel.code, kernel.host, kernel.cells
        self._constants = constants
        self._carry, self._held, self._xs = shape.carry, 8 * shape.held, shape.xs
        self._width = shape.carry * shape.keeps + shape.y

    def __call__(
        self, numbers: range, count: int, found: Floats, held: bytes, xs: Sequence[Floats], /
    ) -> int:
        """Runs these steps, up to one that goes no known way, and gives how many it has done.

        Raises:
            BackendError: for arrays that the code was not made for.
        """
        steps = len(numbers), numbers.start, numbers.step
        if not (
            len(held) == self._held
            and found.shape == (self._carry + count * self._width,)
            and _is_plain(found)
            and found.flags.writeable
            and [x.shape for x in xs] == [(count, width) for width in self._xs]
            and all(map(_is_plain, xs))
            and numbers
            and 0 <= numbers[0] < count
            and 0 <= numbers[-1] < count
        ):
            raise wrong_inputs(found, self._carry + count * self._width)
        given = held + self._constants
        try:
            return self._done(*steps, count, _address(found), given, *map(_address, xs))
        except ctypes.ArgumentError as error:
            raise full_stack() from error

    def _done(self, *arguments: object) -> int:
        """The number of steps that the code has done.

        Raises:
            RecursionError: where Python has not answered it.
        """
        done: int
        if self._host.makes_calls:
            done = self._host.answer(self._run, *arguments)
        else:
            done = self._run(*arguments)
        if done == ASKED:
            self._cells.fill()
            done = self._host.answer(self._run, *arguments)
        if done == UNANSWERED:
            raise full_stack()
        return done


def chain_code(code: LoadedCode) -> ChainCode:
    """The entry of code that calls inner loops; it keeps Python's lock, as each takes a moment."""
    run = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(code.address("run"))
    return ChainCode(run, {name: code.address(name) for name in OWN_LOOPS}, code)


def _is_plain(array: NDArray[Any]) -> bool:
    """Whether an array holds doubles in order, without gaps."""
    flags, kind = array.flags, array.dtype
    return kind.char == "d" and kind.isnative and flags.c_contiguous and flags.aligned


@final
class RowsEntry:
    """The entry of code for rows, which is run as described at ``RowCode``.

    For each of its lanes the code has a buffer of ``spills`` numbers; before all of them stands
    what it is ``given``. It ``is_shared`` with code that was made before.
    """

    def __init__(
        self, kernel: Kernel, shapes: RowShapes, spills: int, given: bytes, *, is_shared: bool
    ) -> None:
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        arguments = [integer, pointer, pointer, integer, *[pointer] * 4, integer, pointer]
        self._run = ctypes.CFUNCTYPE(None, *arguments)(kernel.code.address("run"))
        self._code, self._host, self._cells = kernel.code, kernel.host, kernel.cells
        self.is_cached: bool = kernel.code.is_cached
        self.is_shared: bool = is_shared
        self._shapes, self._given = shapes, given
        lanes = kernel.host.lanes
        self._spilt = len(given) // 8 + spills * lanes
        self._size = self._spilt + (shapes.mapped + 2) * lanes
        self._buffers: list[Floats] = []

    def __call__(
        self,
        shared: Floats,
        leaves: Sequence[Floats],
        rows: NDArray[np.int64] | range,
        out: Floats,
        flips: NDArray[np.int32],
        /,
    ) -> None:
        """Runs these rows of the leaves.

        Raises:
            BackendError: for arrays that the code was not made for.
        """
        self._shapes.require(shared, leaves, rows, out, flips)
        were_filled = self._cells.are_filled
        sums = out.copy() if self._shapes.lanes and not were_filled else None
        self._enter(shared, leaves, rows, out, flips)
        if not were_filled and self._cells.asked:
            self._cells.fill()
            if sums is not None:
                out[:] = sums
            self._enter(shared, leaves, rows, out, flips)
        if self._host.makes_calls and (flips[: len(rows)] == UNANSWERED_ROW).any():
            raise full_stack()

    def _enter(
        self,
        shared: Floats,
        leaves: Sequence[Floats],
        rows: NDArray[np.int64] | range,
        out: Floats,
        flips: NDArray[np.int32],
    ) -> None:
        table = _described(leaves)
        buffer = self._free(self._size + len(table))
        struct.pack_into(f"{len(table)}q", cast("Buffer", buffer), 8 * self._size, *table)
        begin = _address(buffer)
        place = -(-begin // 64) * 64
        index = None if isinstance(rows, range) else _address(rows)
        start = rows.start if isinstance(rows, range) else 0
        arguments = (
            len(rows), begin + self._size * 8, index, start,
            _address(shared) if shared.size else None, place, place + self._spilt * 8,
            _address(out), out.strides[0] // 8, _address(flips),
        )  # fmt: skip
        try:
            if self._given:
                ctypes.memmove(place, self._given, len(self._given))
            if self._host.makes_calls:
                self._host.answer(self._run, *arguments)
            else:
                self._run(*arguments)
        except ctypes.ArgumentError as error:
            raise full_stack() from error
        if buffer.size <= _KEPT:
            self._buffers.append(buffer)

    def _free(self, size: int) -> Floats:
        """A buffer of so many numbers that no other thread is using."""
        try:
            buffer = self._buffers.pop()
        except IndexError:
            return _buffer(size)
        return buffer if buffer.size == size else _buffer(size)


def _buffer(size: int) -> Floats:
    """A new buffer of so many numbers."""
    from numpy import empty

    return empty(size)


_KEPT: Final = 2**11
"""The most numbers of a buffer that is kept for the next run."""


def _address(array: NDArray[Any]) -> int:
    """Where an array begins, read where numpy's public interface for C has it.

    Numpy itself takes many times as long to say so.
    """
    if _begins_with_it():
        return _POINTER(id(array) + object.__basicsize__).value or 0
    return int(array.ctypes.data)


_POINTER: Final = ctypes.c_void_p.from_address


@cache
def _begins_with_it() -> bool:
    """Whether an array in memory begins with where its numbers begin, behind what objects have."""
    import numpy as np

    tried = np.zeros(3), np.zeros((2, 3))[:, ::-1], np.zeros((4, 2))[1:].T
    begins = [_POINTER(id(array) + object.__basicsize__).value for array in tried]
    return begins == [array.ctypes.data for array in tried]


def _described(leaves: Sequence[Floats]) -> Sequence[int]:
    """A list of where each leaf begins, how far apart its rows are, and how many columns it has."""
    table = [len(leaves)]
    for leaf in leaves:
        columns = leaf.shape[1] if leaf.ndim > 1 else 1
        table += [_address(leaf), leaf.strides[0] // 8, columns]
    return table
