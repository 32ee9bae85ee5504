"""The loss of a fit: how its value and gradient are computed, and why they are not finite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, final

from tapegrad import math
from tapegrad._support.argument_checks import name_of
from tapegrad._support.optional_packages import installed
from tapegrad._support.source_position import here
from tapegrad.errors import ConvergenceError
from tapegrad.inspect.names import written_path
from tapegrad.learn.batches import Batches, Rows, one_row
from tapegrad.learn.layout import taken_apart
from tapegrad.pytree import structure as structures
from tapegrad.pytree.key_paths import input_key_path
from tapegrad.recording.recorder import Scalar
from tapegrad.transforms.grad import ValueAndGrad, value_and_grad
from tapegrad.transforms.record import record

if TYPE_CHECKING:
    from tapegrad.batch.options import Reduce

__all__ = ["Task"]

A = TypeVar("A")

_COMPILED_AT_ONCE: Final = 50
"""The steps from which on it pays to record and compile the loss before the first of them."""
_SEARCHED: Final = 1_000
"""The most rows that are recorded to find one whose numbers are not finite."""


@final
class Task:
    """A loss and its data, batch by batch.

    The loss of all rows is compiled by ``jit``, that of one by ``vmap``, or where numpy is missing
    by ``jit`` for all of them. Where batches differ in what is static, such as labels that are
    ints, each would be recorded anew, and the loss is called as it is.
    """

    def __init__(
        self, loss: Callable[..., Scalar], rows: Rows, batches: Batches, reduce: Reduce | None
    ) -> None:
        self._loss, self._rows, self._batches, self._reduce = loss, rows, batches, reduce
        both: Callable[..., Any] = value_and_grad(loss)
        self._by_call = None
        if reduce is not None and installed("numpy"):
            from tapegrad.batch.vmap import vmap

            axes: list[Literal[0] | None] = [None, *(0 if has else None for has in rows.has_rows)]
            self._run: Callable[..., Any] = vmap(both, in_axes=axes, reduce=reduce)
            return
        if reduce is not None:
            both = value_and_grad(_of_all(loss, rows.has_rows, reduce))
        if batches.in_epoch > 1 and not rows.is_traceable():
            self._run = both
        else:
            from tapegrad.compile.jit import jit

            self._run = self._by_call = jit(both)

    def prepare(self, parameters: object, step: int, count: int) -> None:
        """Compiles the loss, where so many steps from this one on are worth it."""
        if self._by_call is not None and count >= _COMPILED_AT_ONCE:
            self._by_call.compile(parameters, *self._batches.at(step))

    def value_and_gradient(self, parameters: A, step: int) -> ValueAndGrad[A]:
        """The loss of the rows of a step, of which the first is 0, and its gradient."""
        return cast("ValueAndGrad[A]", self._run(parameters, *self._batches.at(step)))

    def diverged(
        self, parameters: object, step: int, value: float, gradient: object
    ) -> ConvergenceError:
        """The error for a loss or a gradient that is not finite."""
        what = f"the loss is {value!r}"
        if isfinite(value):
            path, slope = self._worst(gradient)
            what = f"the loss is {value!r} and its slope in {path} is {slope!r}"
        cause = self._cause(parameters, self._batches.at(step))
        cure = "Lower the rate, or clip gradients with optim.clipped."
        if step == 0:
            cure = "Look at the data and the parameters that it starts from."
        return ConvergenceError(
            f"fit of {name_of(self._loss)} stops at step {step + 1:,} ({here()}), where {what}"
            f"{cause and f': {cause}'}. {cure}"
        )

    def _worst(self, gradient: object) -> tuple[str, float]:
        """The first slope that is not finite, and its key path."""
        structure, leaves = taken_apart(gradient)
        lone = input_key_path(self._loss, (), ())
        paths = structures.argument_paths(structures.taken_apart(structure), lone)
        slopes: list[float] = []
        for leaf in leaves:
            slopes += [leaf] if isinstance(leaf, float) else cast(Any, leaf).ravel().tolist()
        pairs = zip(paths, slopes, strict=True)
        return next((written_path(path, lone), x) for path, x in pairs if not isfinite(x))

    def _cause(self, parameters: object, batch: Sequence[object]) -> str:
        """The first entry of the loss at which a number is not finite, as text; "" if none."""
        if self._reduce is None:
            return _first_nonfinite(self._loss, parameters, batch)
        count = Rows(self._loss, batch).count or 0
        for place in range(min(count, _SEARCHED)):
            row = one_row(batch, self._rows.has_rows, place)
            found = _first_nonfinite(self._loss, parameters, row)
            if found:
                return f"in row {place} of its batch {found}"
        return ""


def _first_nonfinite(
    loss: Callable[..., object], parameters: object, args: Sequence[object]
) -> str:
    """Where the loss of these arguments, or its gradient, becomes infinite or nan."""
    tape: Any = record(loss)(parameters, *args)
    _, slopes = taken_apart((tape.value, tape.gradient()))
    if all(map(_is_finite, slopes)):
        return ""
    return str(tape.first_nonfinite() or "")


def _is_finite(x: object) -> bool:
    if isinstance(x, float):
        return isfinite(x)
    return all(map(isfinite, cast(Any, x).ravel().tolist()))


def _of_all(
    loss: Callable[..., Scalar], has_rows: Sequence[bool], reduce: Reduce
) -> Callable[..., Scalar]:
    """The sum or the mean of a loss of one row."""

    def total(parameters: object, *data: object) -> Scalar:
        count = Rows(loss, data).count or 0
        rows = (one_row(data, has_rows, place) for place in range(count))
        losses = math.sum([loss(parameters, *row) for row in rows])
        return losses / count if reduce == "mean" else losses

    return total
