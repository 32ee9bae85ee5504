"""``taylor``: the Taylor coefficients of a function of one number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, cast, overload

from tapegrad._support.argument_checks import name_of
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.entries.columns import EntryColumns
from tapegrad.errors import InputError, TracedNumberError
from tapegrad.pytree.structure import Leaf, Structure, describe_structure
from tapegrad.recording.recorder import Var
from tapegrad.recording.trace import Trace, trace
from tapegrad.sweep.taylor import taylor as coefficients
from tapegrad.transforms.record import tape_of
from tapegrad.transforms.traced_call import Data, push, scalar_output, transformed

__all__ = ["taylor"]

P = ParamSpec("P")


@overload
def taylor(
    f: Callable[Concatenate[float, P], float], /, order: int
) -> Callable[Concatenate[float, P], tuple[float, ...]]: ...
@overload
def taylor(
    f: Callable[Concatenate[float, P], float | Var], /, order: int
) -> Callable[Concatenate[float, P], tuple[float, ...]]: ...
def taylor(
    f: Callable[Concatenate[float, P], float | Var], /, order: int
) -> Callable[Concatenate[float, P], tuple[float, ...]]:
    """The Taylor coefficients of ``f`` in its first argument, a number: c_0 to c_order.

    ``taylor(f, order)(x, *data)`` gives the ``c_k`` with f(x + t) = c_0 + c_1 t + c_2 t^2 + ...,
    which are the k-th derivatives over k!. All come from one recording, in about order^2 / 2
    products for each operand of an entry; a comparison takes the branch that it takes at ``x``.

    Raises:
        InputError: when ``order`` is not 0, 1, 2, ..., or the first argument is no number.
        OutputError: when ``f`` returns anything but one number.

    >>> from tapegrad import Real, math
    >>> def f(x: Real) -> Real:
    ...     return 1.0 / (1.0 - x)
    >>> taylor(f, 4)(0.5)
    (2.0, 4.0, 8.0, 16.0, 32.0)
    >>> taylor(math.exp, 3)(0.0)
    (1.0, 1.0, 0.5, 0.16666666666666666)
    """
    _require_order(order)

    def expansion(x: float, data: Data) -> tuple[float, ...]:
        traced = trace(f, x, data)
        _require_number(f, traced.parameters)
        output = scalar_output(f, traced)
        if order == 1:  # a rule of the user's may give no more than its first partial
            found = [traced.columns.values[output], *push(traced, {0: 1.0})]
        elif traced.columns.on_arrays:
            found = coefficients(*_of_numbers(f, traced), order)
        else:
            found = traced.recorder.attributing(
                lambda pin: coefficients(traced.columns, output, order, pin)
            )
        return cast("tuple[float, ...]", tuple(found))

    return transformed(f, taylor, expansion, order=order)


def _of_numbers(f: Callable[..., object], traced: Trace) -> tuple[EntryColumns, int]:
    """The entries of a call with arrays inside, taken apart into numbers, and the output.

    Raises:
        TracedNumberError: in a recording around, where the derivatives would be lost.
    """
    if traced.columns.traced:
        raise TracedNumberError(
            f"taylor({name_of(f)}) ({here()}) has arrays inside and is itself recorded or "
            "differentiated, which it cannot be: write it on numbers"
        )
    numbers = tape_of(f, traced).expanded()
    return numbers.columns.as_lists(), numbers.outputs[0]


def _require_number(f: Callable[..., object], parameters: Structure) -> None:
    if not isinstance(parameters, Leaf) or parameters.shape:
        raise InputError(
            f"{name_of(f)} ({here()}) was given {describe_structure(parameters)}, and a Taylor "
            "series is in one number: pass a float first, and the rest as data"
        )


def _require_order(order: object) -> None:
    if not isinstance(order, int) or isinstance(order, bool) or order < 0:
        raise InputError(
            f"the order of a Taylor series is {describe(order)} ({here()}): "
            "pass 0 for the value alone, 1 for the first derivative too, and so on"
        )
