"""Optimisers as values: each says how parameters of any structure change by their gradient.

    adam(0.01)                                   an optimiser, a frozen value
    .init(parameters) -> State                   what it keeps, before the first update
    .update(gradient, state, parameters)         the parameters and the state after it

Nothing is changed in place. Parameters keep their static type, containers as well as arrays. A rate
is a number, or a schedule: a function from the number of updates made so far to a rate. The
definitions are those of ``torch.optim``; where optax differs, the optimiser says so.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast, final

import attrs

from tapegrad import math
from tapegrad._support.argument_checks import require_number
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError
from tapegrad.learn import tree
from tapegrad.learn.layout import Layout, taken_apart
from tapegrad.learn.rules import Adam, Functions, Lion, Momentum, Now, RmsProp, Rule
from tapegrad.learn.schedules import (
    Schedule,
    constant,
    cosine,
    exponential,
    linear,
    piecewise,
    warmup,
)
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import serving
from tapegrad.ops.primitive import Operand, Traced
from tapegrad.recording.recorder import Scalar

__all__ = [
    "Optimizer", "Schedule", "State", "adam", "adamw", "clipped", "constant", "cosine",
    "exponential", "linear", "lion", "piecewise", "rmsprop", "sgd", "warmup",
]  # fmt: skip

A = TypeVar("A")

Rate: TypeAlias = Scalar | Schedule

_FEW: Final = 16
"""The most numbers that are quicker to update one by one than as an array."""

_Numbers: TypeAlias = Any
"""The numbers of a tree: a list of them and of arrays, or all in one vector of numpy's."""


@final
@attrs.frozen(eq=False, repr=False)
class State(Generic[A]):
    """The numbers that an optimiser keeps between updates: never changed, and may be pickled."""

    step: int
    """How many updates were made."""
    _layout: Layout[A]
    _kept: tuple[_Numbers, ...]

    @property
    def moments(self) -> tuple[A, ...]:
        """The numbers kept for each parameter, as trees like the parameters."""
        layout = self._layout
        return tuple(layout.build(_listed(numbers, layout)) for numbers in self._kept)

    def norm(self, gradient: A, /) -> float:
        """The Euclidean length of a tree like the parameters: ``tree.norm``, in less time."""
        layout = self._layout
        leaves = layout.plain_leaves(gradient)
        if leaves is None:
            return tree.norm(gradient)
        if not _is_for_vectors(layout, leaves):
            return math.hypot(*leaves)
        arrays = serving("learn.arrays")
        with arrays.quiet():
            return cast(float, arrays.norm(arrays.joined(leaves, layout.shapes)))

    def __repr__(self) -> str:
        return f"<state after {self.step:,} updates>"


@final
@attrs.frozen
class Optimizer:
    """How parameters change by their gradient: made by ``sgd``, ``adam`` and their kind."""

    rule: Rule
    rate: Rate
    largest_norm: float | None = None
    largest_value: float | None = None

    def init(self, parameters: A, /) -> State[A]:
        """The state of parameters like these before the first update.

        Raises:
            InputError: when the parameters hold anything but numbers, or none.
        """
        structure, leaves = taken_apart(parameters)
        if not leaves:
            raise InputError(f"the parameters hold no number ({here()}): put one there to be found")
        layout: Layout[A] = Layout(structure)
        zeros = [
            0.0 if not shape else serving("learn.arrays").zeros(shape) for shape in layout.shapes
        ]
        return State(0, layout, (zeros,) * self.rule.moments)

    def update(self, gradient: A, state: State[A], parameters: A, /) -> tuple[A, State[A]]:
        """The parameters after an update, and the state after it.

        Raises:
            InputError: when the trees are not built as those given to ``init``, the state is of an
                optimiser of another kind, or the schedule gives something else than a rate.
        """
        if len(state._kept) != self.rule.moments:
            raise InputError(
                f"the state ({here()}) keeps {len(state._kept)} numbers for each parameter, and "
                f"this optimiser {self.rule.moments}: pass a state that its own init began"
            )
        layout = state._layout
        slopes = _leaves(layout, gradient, "the gradient")
        xs = _leaves(layout, parameters, "the tree of parameters")
        now = Now(state.step + 1, self.rate_at(state.step), _NUMBERS)
        is_plain = not _any_traced(now, slopes, xs, *state._kept)
        if is_plain and _is_for_vectors(layout, xs):
            leaves, kept = self._by_vector(layout, slopes, xs, state, now)
        else:
            leaves, kept = self._one_by_one(layout, slopes, xs, state, now)
        return layout.build(leaves), State(now.step, layout, kept)

    def rate_at(self, step: int) -> Scalar:
        """The rate of the update that comes after ``step`` others."""
        if not callable(self.rate):
            return self.rate
        rate = self.rate(step)
        require_number(f"the rate at step {step}", rate, may_be_zero=True)
        return rate

    def _by_vector(
        self, layout: Layout[A], slopes: Sequence[Operand], xs: Sequence[Operand],
        state: State[A], now: Now,
    ) -> tuple[list[Operand], tuple[_Numbers, ...]]:  # fmt: skip
        """An update of all numbers at once, by numpy."""
        arrays = serving("learn.arrays")
        moments = tuple(
            arrays.joined(numbers, layout.shapes) if isinstance(numbers, list) else numbers
            for numbers in state._kept
        )
        slope, x = arrays.joined(slopes, layout.shapes), arrays.joined(xs, layout.shapes)
        with arrays.quiet():
            if self.largest_value is not None:
                slope = arrays.clip(slope, self.largest_value)
            if self.largest_norm is not None:
                slope = _shortened([slope], arrays.norm(slope), self.largest_norm)[0]
            x, kept = self.rule(x, slope, moments, attrs.evolve(now, f=arrays))
        return arrays.parted(x, layout.shapes), kept

    def _one_by_one(
        self, layout: Layout[A], slopes: Sequence[Operand], xs: Sequence[Operand],
        state: State[A], now: Now,
    ) -> tuple[list[Operand], tuple[_Numbers, ...]]:  # fmt: skip
        """An update number by number and array by array, some of which may be traced."""
        if self.largest_value is not None:
            high, low = self.largest_value, -self.largest_value
            slopes = [ops.maximum(ops.minimum(slope, high), low) for slope in slopes]
        if self.largest_norm is not None:
            slopes = _shortened(slopes, tree.norm(slopes), self.largest_norm)
        kept = [_listed(numbers, layout) for numbers in state._kept]
        moments = list(zip(*kept, strict=True)) if kept else [()] * len(xs)
        found = [
            self.rule(x, slope, mine, now)
            for x, slope, mine in zip(xs, slopes, moments, strict=True)
        ]
        columns = zip(*[mine for _, mine in found], strict=True)
        return [x for x, _ in found], tuple(map(list, columns))


def _leaves(layout: Layout[A], value: A, what: str) -> Sequence[Operand]:
    plain = layout.plain_leaves(value)
    return layout.leaves(value, what, "the parameters of init") if plain is None else plain


def _is_for_vectors(layout: Layout[A], leaves: Sequence[Operand]) -> bool:
    """Whether numpy is there, and does an operation on all numbers in less time than Python."""
    is_long = len(leaves) > _FEW or any(layout.shapes)
    return is_long and sys.modules.get("numpy") is not None


def _any_traced(now: Now, *trees: Sequence[Operand]) -> bool:
    """Whether a number is traced; a tuple of plain numbers, as code takes them, is not searched."""
    if isinstance(now.rate, Traced):
        return True
    lists = [numbers for numbers in trees if isinstance(numbers, list)]
    return any(isinstance(number, Traced) for numbers in lists for number in numbers)


def _listed(numbers: _Numbers, layout: Layout[A]) -> list[Operand]:
    """The numbers of a tree as a list of numbers and arrays."""
    if isinstance(numbers, list):
        return numbers
    return cast("list[Operand]", serving("learn.arrays").parted(numbers, layout.shapes))


def _shortened(slopes: Sequence[_Numbers], length: Scalar, largest: float) -> list[_Numbers]:
    """The slopes, as long as ``largest`` where they are longer."""
    if length > largest:
        factor = largest / length
        return [slope * factor for slope in slopes]
    return list(slopes)


@final
class _OfNumbers:
    """The functions of numbers, traced or not, and of traced arrays."""

    sqrt = staticmethod(math.sqrt)
    sign = staticmethod(math.sign)


_NUMBERS: Final[Functions] = _OfNumbers()


def sgd(
    rate: Rate, *, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
) -> Optimizer:
    """Gradient descent: ``x - rate * v`` with the velocity ``v = momentum * v + slope``.

    With ``nesterov`` the step is along ``slope + momentum * v`` (Sutskever et al. 2013).
    ``weight_decay`` adds itself times the parameter to the slope. As in torch and optax.

    Raises:
        InputError: when a number is out of range, or ``nesterov`` has no momentum.

    >>> optimizer = sgd(0.1, momentum=0.5)
    >>> state = optimizer.init({"w": 1.0})
    >>> parameters, state = optimizer.update({"w": 2.0}, state, {"w": 1.0})
    >>> parameters, state.step, state.moments
    ({'w': 0.8}, 1, ({'w': 2.0},))
    """
    _require_share("momentum", momentum)
    if nesterov and not momentum:
        raise InputError(f"nesterov=True ({here()}) needs a momentum: pass momentum=0.9, say")
    return _optimizer(rate, weight_decay, Momentum(momentum, nesterov, weight_decay))


def adam(
    rate: Rate = 1e-3, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> Optimizer:  # fmt: skip
    """Adam (Kingma and Ba 2015, algorithm 1): steps of about ``rate``, whatever the slopes' size.

    ``x - rate * m / (sqrt(v) + eps)`` with the means ``m`` of slopes and ``v`` of their squares,
    both corrected for their start at 0. ``weight_decay`` adds itself times the parameter to the
    slope, as in torch; for decay beside the step there is ``adamw``. As in optax.

    Raises:
        InputError: when a number is out of range.

    >>> optimizer = adam(0.1)
    >>> optimizer.update([3.0, -0.5], optimizer.init([1.0, 1.0]), [1.0, 1.0])[0]
    [0.9000000003333333, 1.099999998]
    """
    _require_adam(beta1, beta2, eps)
    rule = Adam(beta1, beta2, eps, weight_decay, decoupled=False)
    return _optimizer(rate, weight_decay, rule)


def adamw(
    rate: Rate = 1e-3, *, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimizer:  # fmt: skip
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), as in torch.

    A parameter is multiplied by ``1 - rate * weight_decay`` before the step of Adam. In optax the
    decay is 0.0001 unless another is given.

    Raises:
        InputError: when a number is out of range.
    """
    _require_adam(beta1, beta2, eps)
    rule = Adam(beta1, beta2, eps, weight_decay, decoupled=True)
    return _optimizer(rate, weight_decay, rule)


def rmsprop(
    rate: Rate = 1e-2, *, decay: float = 0.99, eps: float = 1e-8, momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> Optimizer:  # fmt: skip
    """RMSprop (Tieleman and Hinton 2012): ``x - rate * slope / (sqrt(v) + eps)``, as in torch.

    ``v`` is the mean of squared slopes, and ``decay`` torch's alpha. With momentum the step is
    along a velocity of these quotients. optax has a decay of 0.9 and ``sqrt(v + eps)``, unless it
    is given ``decay=0.99, eps_in_sqrt=False``.

    Raises:
        InputError: when a number is out of range.
    """
    _require_share("decay", decay)
    _require_share("momentum", momentum)
    require_number("eps", eps)
    return _optimizer(rate, weight_decay, RmsProp(decay, eps, momentum, weight_decay))


def lion(
    rate: Rate = 1e-4, *, beta1: float = 0.9, beta2: float = 0.99, weight_decay: float = 0.0
) -> Optimizer:
    """Lion (Chen et al. 2023, algorithm 2): steps of ``rate``, by the sign of a mean of slopes.

    ``x - rate * (sign(beta1 * m + (1 - beta1) * slope) + weight_decay * x)``, and then
    ``m = beta2 * m + (1 - beta2) * slope``. As in optax, where the decay is 0.001 unless another is
    given; torch has none.

    Raises:
        InputError: when a number is out of range.
    """
    _require_share("beta1", beta1)
    _require_share("beta2", beta2)
    return _optimizer(rate, weight_decay, Lion(beta1, beta2, weight_decay))


def clipped(
    optimizer: Optimizer, /, *, norm: float | None = None, value: float | None = None
) -> Optimizer:
    """The optimiser, given gradients that are at most so large.

    ``norm`` is that of the whole gradient, which is scaled down to it; ``value`` limits each number
    of it, before the norm is taken. torch adds 1e-6 to the norm that it divides by; optax does not.

    Raises:
        InputError: when neither is given, or one is not above 0.

    >>> optimizer = clipped(sgd(1.0), norm=5.0)
    >>> optimizer.update([6.0, 8.0], optimizer.init([0.0, 0.0]), [0.0, 0.0])[0]
    [-3.0, -4.0]
    """
    if norm is None and value is None:
        raise InputError(f"clipped ({here()}) was given no limit: pass norm=1.0, say, or value=")
    for name, limit in (("norm", norm), ("value", value)):
        if limit is not None:
            require_number(name, limit)
    return attrs.evolve(
        optimizer,
        largest_norm=optimizer.largest_norm if norm is None else norm,
        largest_value=optimizer.largest_value if value is None else value,
    )


def _optimizer(rate: Rate, weight_decay: float, rule: Rule) -> Optimizer:
    if not isinstance(rate, Traced) and not callable(rate):
        require_number("rate", rate)
    require_number("weight_decay", weight_decay, may_be_zero=True)
    return Optimizer(rule, rate)


def _require_adam(beta1: float, beta2: float, eps: float) -> None:
    _require_share("beta1", beta1)
    _require_share("beta2", beta2)
    require_number("eps", eps)


def _require_share(name: str, number: float) -> None:
    """Raises for anything but a number from 0 to below 1."""
    if not (isinstance(number, int | float) and 0.0 <= number < 1.0):
        raise InputError(
            f"{name} is {describe(number)} ({here()}): pass a number from 0 to below 1"
        )
