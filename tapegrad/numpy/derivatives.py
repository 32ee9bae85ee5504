"""``jacobian`` and ``hessian`` of functions of arrays: every block is an array, by type, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, Literal, ParamSpec, TypeAlias, TypeVar, cast

from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.numpy.arrays import Floats
from tapegrad.ops.primitive import shape_of
from tapegrad.recording.recorder import Var
from tapegrad.transforms import jacobian as transforms
from tapegrad.transforms.jacobian import Returned
from tapegrad.transforms.traced_call import Data, transformed

__all__ = ["hessian", "jacobian"]

A = TypeVar("A")
P = ParamSpec("P")

Blocks: TypeAlias = dict[str, dict[str, Floats]]
"""The rows by key path, and in each the columns by key path."""


def jacobian(
    f: Callable[Concatenate[A, P], Returned],
    /,
    *,
    mode: Literal["forward", "reverse"] | None = None,
) -> Callable[Concatenate[A, P], Blocks]:
    """``tapegrad.jacobian`` of arrays: the block of an output and an input is an array.

    It has the axes of the output and then those of the input.

    Raises:
        InputError: for what cannot be an input, an unknown ``mode``, or the block of two numbers.
        OutputError: when ``f`` returns no number.

    >>> import numpy as np
    >>> from tapegrad import numpy as tnp
    >>> tnp.jacobian(tnp.square)(np.array([3.0, 2.0]))["value"]["x"]
    array([[6., 0.],
           [0., 4.]])
    """
    run = _of_arrays("jacobian", transforms.jacobian(f, mode=mode))
    return transformed(f, jacobian, run, mode=mode)


def hessian(f: Callable[Concatenate[A, P], float | Var], /) -> Callable[Concatenate[A, P], Blocks]:
    """``tapegrad.hessian`` of arrays: the block of an input and another is an array.

    It has the axes of the one and then those of the other.

    Raises:
        InputError: for what cannot be an input, or the block of two numbers.
        OutputError: when ``f`` returns anything but one number.

    >>> import numpy as np
    >>> from tapegrad import numpy as tnp
    >>> tnp.hessian(tnp.prod)(np.array([3.0, 2.0]))["x"]["x"]
    array([[0., 1.],
           [1., 0.]])
    """
    return transformed(f, hessian, _of_arrays("hessian", transforms.hessian(f)))


def _of_arrays(
    name: str, matrix: Callable[..., dict[str, dict[str, float]]]
) -> Callable[[object, Data], Blocks]:
    """A call that gives the blocks of a matrix.

    Raises:
        InputError: for the block of two numbers.
    """

    def run(x: object, data: Data) -> Blocks:
        given = [data[at] for at in range(len(data)) if at in data]
        found = matrix(x, *given, **{key: data[key] for key in data if isinstance(key, str)})
        for row, line in found.items():
            for column, block in line.items():
                if not shape_of(block):
                    raise InputError(
                        f"the block of {row!r} and {column!r} ({here()}) is a number, as both "
                        f"are: use tapegrad.{name}, or an array of one number"
                    )
        return cast(Blocks, found)

    return run
