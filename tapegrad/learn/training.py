"""``fit``: a training loop, as an iterator of records."""

# Of the overloads the more precise come first.
# mypy: disable-error-code="overload-overlap"

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import (
    TYPE_CHECKING,
    Concatenate,
    Generic,
    Required,
    TypedDict,
    TypeVar,
    TypeVarTuple,
    Unpack,
    cast,
    final,
    overload,
)

import attrs

from tapegrad._support.argument_checks import require_callable, require_positive
from tapegrad._support.optional_packages import installed
from tapegrad._support.progress_bar import progress as shown
from tapegrad._support.source_position import here
from tapegrad._support.text import Printed, describe, number
from tapegrad.errors import InputError, OutputError, TracedNumberError
from tapegrad.learn.batches import Batches, Rows
from tapegrad.learn.layout import taken_apart
from tapegrad.learn.optim import Optimizer, State
from tapegrad.learn.task import Task
from tapegrad.ops.primitive import Operand, Traced
from tapegrad.pytree.numbers import as_number
from tapegrad.pytree.structure import build
from tapegrad.recording.recorder import Var

if TYPE_CHECKING:
    from tapegrad.batch.options import Reduce

__all__ = ["Fit", "Options", "RowOptions", "Step", "fit"]

A = TypeVar("A")
Ts = TypeVarTuple("Ts")


@final
@attrs.frozen(eq=False)
class Step(Printed, Generic[A]):
    """One step of a fit: the loss before it, of the rows that it took, and the parameters after it.

    ``step`` counts from 1. ``rate`` is that of the update, ``gradient_norm`` the length of the
    gradient before it is clipped. ``state`` is the optimiser's, with which a fit may go on.
    """

    step: int
    loss: float
    rate: float
    gradient_norm: float
    metrics: Mapping[str, float]
    parameters: A = attrs.field(repr=False)
    state: State[A] = attrs.field(repr=False)

    def __str__(self) -> str:
        told = {"loss": self.loss, **self.metrics}
        return f"step {self.step:,}: " + ", ".join(f"{k} {number(x)}" for k, x in told.items())


class Options(TypedDict, Generic[A], total=False):
    """The arguments that ``fit`` takes by name."""

    optimizer: Required[Optimizer]
    steps: int | None
    epochs: int | None
    batch_size: int | None
    shuffle: bool
    seed: int
    every: int
    metrics: Mapping[str, Callable[[A], float]] | None
    state: State[A] | None
    progress: bool


class RowOptions(Options[A], total=False):
    """The same for a loss of one row."""

    reduce: Required[Reduce]


@overload
def fit(
    loss: Callable[[A, *Ts], float], parameters: A, /, *data: *Ts, **options: Unpack[Options[A]]
) -> Fit[A]: ...
@overload
def fit(
    loss: Callable[[A, *Ts], float | Var], parameters: A, /, *data: *Ts,
    **options: Unpack[Options[A]],
) -> Fit[A]: ...  # fmt: skip
@overload
def fit(
    loss: Callable[Concatenate[A, ...], float], parameters: A, /, *data: object,
    **options: Unpack[RowOptions[A]],
) -> Fit[A]: ...  # fmt: skip
@overload
def fit(
    loss: Callable[Concatenate[A, ...], float | Var], parameters: A, /, *data: object,
    **options: Unpack[RowOptions[A]],
) -> Fit[A]: ...  # fmt: skip
def fit(  # noqa: PLR0913  # each says one thing about the loop
    loss: Callable[..., float | Var],
    parameters: A,
    /,
    *data: object,
    optimizer: Optimizer,
    reduce: Reduce | None = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    shuffle: bool = True,
    seed: int = 0,
    every: int = 1,
    metrics: Mapping[str, Callable[[A], float]] | None = None,
    state: State[A] | None = None,
    progress: bool = True,
) -> Fit[A]:
    """Fits parameters by steps of an optimiser: an iterator of records, one for each step.

    ``loss(parameters, *data)`` is the loss of all rows at once, and is compiled. With ``reduce`` it
    is the loss of one row, ``loss(parameters, *row)``, and the rows' losses are summed or averaged:
    for models of plain numbers, since the code of one row serves all.

    With ``batch_size`` each step takes so many rows, until an epoch has taken them all: a list has
    its rows as elements, an array along its first axis; dicts, classes and tuples of lists or
    arrays hold columns; numbers and texts are the same for all rows. The order is drawn for each
    epoch from ``seed`` by the standard library, so that the same call gives the same bits. Say how
    many ``steps``, or how many ``epochs``.

    With ``every=100`` only each hundredth record is given, and the last. ``metrics`` are functions
    of the parameters, whose values the records have. ``fit(...).last()`` is the last record. With
    the ``state`` of a record, and its parameters, a fit goes on where that one stood. After an
    interrupt, iterating goes on with the next step. On a terminal, ``progress`` shows a line.

    Raises:
        ConvergenceError: when the loss or its gradient is not finite; the message names the step,
            the parameter and the line of the model.
        InputError: when the options or the data do not fit.

    >>> from tapegrad import Real
    >>> from tapegrad.learn import optim
    >>> def loss(p: dict[str, Real], xs: list[float], ys: list[float]) -> Real:
    ...     errors = [p["a"] * x + p["b"] - y for x, y in zip(xs, ys)]
    ...     return sum(e * e for e in errors) / len(errors)
    >>> xs, ys = [0.0, 1.0, 2.0], [1.0, 3.0, 5.0]
    >>> sgd = optim.sgd(0.1, momentum=0.9)
    >>> last = fit(loss, {"a": 0.0, "b": 0.0}, xs, ys, optimizer=sgd, steps=300).last()
    >>> {name: round(number, 4) for name, number in last.parameters.items()}
    {'a': 2.0, 'b': 1.0}
    """
    require_callable(loss, "fit")
    if not isinstance(optimizer, Optimizer):
        raise InputError(
            f"optimizer is {describe(optimizer)} ({here()}): pass one, as optim.adam(0.01) makes it"
        )
    structure, leaves = taken_apart(parameters)
    _require_plain(leaves)
    start = cast(A, build(structure, leaves))
    state = optimizer.init(start) if state is None else state
    rows = Rows(loss, data, are_used=reduce is not None or batch_size is not None)
    if reduce is not None:
        rows = _rows_of(loss, rows, reduce)
    batches = Batches(rows, batch_size, seed, shuffles=shuffle)
    count = _count(steps, epochs, batches)
    require_positive("every", every)
    task = Task(loss, rows, batches, reduce)
    task.prepare(start, state.step, count)
    return Fit(
        task, optimizer, start, state, count, every=every, metrics=metrics or {}, progress=progress
    )


def _require_plain(leaves: Sequence[Operand]) -> None:
    if any(isinstance(leaf, Traced) for leaf in leaves):
        raise TracedNumberError(
            f"fit ({here()}) was given a traced number, and takes plain ones: to differentiate "
            "through a fit, call the optimiser's update in a loop"
        )


def _rows_of(loss: Callable[..., object], rows: Rows, reduce: object) -> Rows:
    """The data of a loss of one row; raises where there are no rows."""
    if reduce not in {"mean", "sum"}:
        raise InputError(f'reduce={reduce!r} ({here()}) is unknown: use "mean" or "sum"')
    if rows.count is None:
        raise InputError(
            f"reduce={reduce!r} ({here()}) and no data have rows: pass lists or arrays after the "
            "parameters"
        )
    return rows.columns() if installed("numpy") else rows


def _count(steps: int | None, epochs: int | None, batches: Batches) -> int:
    """The number of steps to make."""
    if (steps is None) == (epochs is None):
        which = "neither steps nor epochs" if steps is None else "both steps and epochs"
        raise InputError(f"fit ({here()}) was given {which}: pass one of them")
    if steps is not None:
        require_positive("steps", steps)
        return steps
    require_positive("epochs", epochs or 0)
    return (epochs or 0) * batches.in_epoch


def _metric(name: str, found: object) -> float:
    number = as_number(found)
    if number is None:
        raise OutputError(
            f"the metric {name} is {describe(found)} ({here()}): return a number from its function"
        )
    return number


@final
class Fit(Generic[A]):
    """The records of a fit, as an iterator; what ``fit`` gives."""

    def __init__(  # noqa: PLR0913  # each is a part of the loop
        self, task: Task, optimizer: Optimizer, parameters: A, state: State[A], count: int,
        *, every: int, metrics: Mapping[str, Callable[[A], float]], progress: bool,
    ) -> None:  # fmt: skip
        self._task, self._optimizer, self._metrics = task, optimizer, metrics
        self._now = parameters, state  # one attribute, which an interrupt leaves whole
        self._count, self._end = count, state.step + count
        self._every, self._progress = every, progress

    def __iter__(self) -> Iterator[Step[A]]:
        steps = self._steps()
        return self._told(shown(steps, self._left, "fitting") if self._progress else steps)

    def __next__(self) -> Step[A]:
        return next(self._told(self._steps()))

    def last(self) -> Step[A]:
        """The last record, after all steps that are left.

        Raises:
            InputError: when none is left.
        """
        last = deque(self, maxlen=1)
        if not last:
            raise InputError(f"no step is left of this fit ({here()}): call fit again")
        return last.pop()

    def __repr__(self) -> str:
        return f"<fit, {self._count - self._left:,} of {self._count:,} steps>"

    @property
    def _left(self) -> int:
        return self._end - self._now[1].step

    def _told(self, steps: Iterator[Step[A]]) -> Iterator[Step[A]]:
        """The steps that records are wanted of, with their metrics."""
        for done in steps:
            if done.step % self._every == 0 or done.step == self._end:
                metrics = self._metrics.items()
                found = {name: _metric(name, f(done.parameters)) for name, f in metrics}
                yield attrs.evolve(done, metrics=found) if found else done

    def _steps(self) -> Iterator[Step[A]]:
        while self._left:
            yield self._step()

    def _step(self) -> Step[A]:
        """Makes a step; an interrupt before its end leaves all as it was."""
        parameters, state = self._now
        value, gradient = self._task.value_and_gradient(parameters, state.step)
        length = state.norm(gradient)
        if not (isfinite(value) and isfinite(length)):
            raise self._task.diverged(parameters, state.step, value, gradient)
        rate = cast(float, self._optimizer.rate_at(state.step))
        parameters, state = self._optimizer.update(gradient, state, parameters)
        self._now = parameters, state
        return Step(state.step, value, rate, length, {}, parameters, state)
