"""The sizes of networks, and the distributions of the weights that they start from."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Sized
from math import sqrt
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, get_args

from tapegrad._support.argument_checks import require_positive
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError

if TYPE_CHECKING:
    import attrs

__all__ = ["Initial", "distribution", "is_not_empty", "require_sizes"]

T = TypeVar("T")

Initial: TypeAlias = Literal["glorot", "he", "uniform"]
"""The name of a distribution of weights.

``uniform`` goes from -1 to 1, as in micrograd. ``glorot`` is uniform, too, up to the square root of
6 / (inputs + outputs), and suits tanh and sigmoid. ``he`` is normal with the variance 2 / inputs,
and suits relu and its kin.
"""


def distribution(
    init: Initial,
    inputs: int,
    outputs: int,
    uniform: Callable[[float, float], T],
    normal: Callable[[float, float], T],
) -> Callable[[], T]:
    """A function that draws weights: ``uniform(low, high)``, or ``normal(0, deviation)``.

    Raises:
        InputError: for a name that no distribution has.
    """
    if init not in get_args(Initial):
        names = ", ".join(get_args(Initial))
        raise InputError(f"init is {describe(init)} ({here()}): write one of {names}")
    if init == "he":
        return lambda: normal(0.0, sqrt(2.0 / inputs))
    bound = 1.0 if init == "uniform" else sqrt(6.0 / (inputs + outputs))
    return lambda: uniform(-bound, bound)


def is_not_empty(instance: object, field: attrs.Attribute[Any], parts: Sized) -> None:
    """Checks a field that is to hold one part or more, when a user makes an instance.

    Raises:
        InputError: when there is none.
    """
    if not len(parts):
        raise InputError(f"{field.name} is {describe(parts)} ({here()}): pass one or more")


def require_sizes(sizes: Sequence[int]) -> None:
    """Raises for sizes of a network that are fewer than two, or among which one is below 1."""
    if len(sizes) < 2:
        raise InputError(
            f"sizes is {describe(sizes)} ({here()}): pass the number of inputs, then the number of "
            "outputs of each layer, as in [2, 16, 1]"
        )
    for place, size in enumerate(sizes):
        require_positive(f"sizes[{place}]", size)
