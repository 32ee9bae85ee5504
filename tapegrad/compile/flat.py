"""A compiled function between flat arrays of float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast, final

from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.compile.call_recording import CallCode, CallRecording
from tapegrad.compile.paths import AnyTape
from tapegrad.errors import InputError, OutputError
from tapegrad.pytree.matching import misfit
from tapegrad.pytree.structure import key_paths

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tapegrad._support.array_types import FloatArray, Vector

__all__ = ["Flat"]


@final
class Flat:
    """A compiled function between flat arrays: ``flat(inputs)`` gives the outputs.

    ``inputs`` and ``outputs`` name the numbers in order.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __init__(self, recording: CallRecording) -> None:
        tape = cast(CallCode, recording.latest).path.tape
        self.inputs = tape.paths
        self.outputs = tuple(path or "value" for path in key_paths(tape.result))
        self._recording, self._tape = recording, tape
        self._size = 8 * len(self.inputs)
        self._numpy: _Numpy
        if not TYPE_CHECKING:  # a checker follows imports, and would read numpy's types
            import numpy

            self._numpy = numpy
        self._float64 = self._numpy.dtype("float64")

    def __call__(self, inputs: Vector) -> FloatArray:
        """The outputs at these inputs.

        Raises:
            InputError: when ``inputs`` is not a float64 array with a number for each input.
        """
        array = cast("FloatArray", inputs)
        is_array = hasattr(inputs, "dtype") and array.dtype == self._float64
        given = array.tobytes() if is_array else b""
        if len(given) != self._size:
            what = f"an array of shape {array.shape}" if is_array else describe(inputs)
            raise InputError(
                f"{what} was given ({here()}) for {len(self.inputs)} inputs: pass one float64 "
                "array of that length"
            )
        found = self._recording.run_flat(given)
        tape = cast(CallCode, self._recording.latest).path.tape
        if tape is not self._tape:
            self._require_alike(tape)
        return self._numpy.frombuffer(found)

    def _require_alike(self, tape: AnyTape) -> None:
        """Checks that another path returns the structure that the first one did."""
        if misfit(self._tape.result, tape.result, statics=True) is not None:
            raise OutputError(
                f"a path at these inputs ({here()}) returns another structure than the first one: "
                "return the same containers on every path"
            )
        self._tape = tape


class _Numpy(Protocol):
    """The part of numpy used here, whose types a user's checker is not made to read."""

    def dtype(self, name: str, /) -> object: ...
    def frombuffer(self, buffer: Buffer, /) -> FloatArray: ...
