"""The functions that a layer ends with, by name: one table for numbers and for arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar, cast, get_args

from tapegrad import math
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError
from tapegrad.recording.where import where

if TYPE_CHECKING:
    import attrs

__all__ = ["Activation", "activate", "is_activation", "require_activation"]

T = TypeVar("T")

Activation: TypeAlias = Literal[
    "elu", "gelu", "identity", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh"
]
"""The name of a function that a layer ends with."""


def activate(name: Activation, x: T) -> T:
    """The activation of this name at a number or, element by element, at an array.

    ``gelu`` is the exact one, x times the normal distribution at x; ``leaky_relu`` has the slope
    0.01 below 0 and at 0, and ``relu`` the slope 0 at 0.

    >>> activate("relu", -2.0), activate("leaky_relu", -2.0), activate("identity", -2.0)
    (0.0, -0.02, -2.0)
    """
    return cast(T, _BY_NAME[name](x))


def is_activation(instance: object, field: attrs.Attribute[Any], name: object) -> None:
    """Checks a field of a class of attrs, as ``require_activation`` does."""
    require_activation(field.name, name)


def require_activation(what: str, name: object) -> None:
    """Raises for anything but the name of an activation."""
    if not isinstance(name, str) or name not in _BY_NAME:
        raise InputError(
            f"{what} is {describe(name)} ({here()}): write one of {', '.join(_BY_NAME)}"
        )


def _elu(x: Any) -> Any:
    return where(x > 0.0, x, math.expm1(x))


def _gelu(x: Any) -> Any:
    return x * math.norm_cdf(x)


def _identity(x: Any) -> Any:
    return x


def _leaky_relu(x: Any) -> Any:
    return where(x > 0.0, x, 0.01 * x)


def _silu(x: Any) -> Any:
    return x * math.sigmoid(x)


_FUNCTIONS: Final[tuple[Callable[[Any], Any], ...]] = (
    _elu, _gelu, _identity, _leaky_relu, math.relu, math.sigmoid, _silu, math.softplus, math.tanh,
)  # fmt: skip

_BY_NAME: Final = dict(zip(get_args(Activation), _FUNCTIONS, strict=True))
