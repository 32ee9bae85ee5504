"""The unknowns of a model: the numbers of a start as one flat vector, and their bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, Signature, signature
from math import inf
from traceback import walk_tb
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar, cast

from tapegrad._support.argument_checks import name_of
from tapegrad._support.optional_packages import require
from tapegrad._support.source_position import here
from tapegrad._support.text import describe
from tapegrad.errors import InputError, TapegradError
from tapegrad.inspect.names import nearest
from tapegrad.optimize.vector_function import (
    compiled,
    compiled_for_rows,
    compiled_on_arrays,
    joined,
    parted,
    vector,
)
from tapegrad.pytree.key_paths import input_key_path, key_path
from tapegrad.pytree.matching import first_difference, in_order
from tapegrad.pytree.structure import (
    Role,
    argument_paths,
    build,
    flatten,
    holds_arrays,
    leaf_shapes,
    taken_apart,
)  # fmt: skip
from tapegrad.recording.results import flat_result

if TYPE_CHECKING:
    from tapegrad._support.array_types import FloatArray, Vector
    from tapegrad.optimize.vector_function import ModelData, TupleProgram, VectorFunction

__all__ = ["Limits", "Unknowns", "numbers_of"]

A = TypeVar("A")

Limits: TypeAlias = Mapping[str, tuple[float | None, float | None]]
"""The lowest and the highest value by key path; None for no limit.

A key path that leads to a container or an array stands for all numbers in it, but for those with
limits of their own.
"""


class Unknowns(Generic[A]):
    """The numbers of a start as one flat vector: base of ``Objective`` and ``Residuals``."""

    names: tuple[str, ...]
    """Their key paths, in order."""

    def __init__(self, f: Callable[..., object], start: A, data: ModelData) -> None:
        self._f, self._data = f, data
        self._structure, leaves = flatten(
            start, Role.PARAMETERS, lambda keys: input_key_path(f, (), keys)
        )
        lone = input_key_path(f, (), ())
        self.names = tuple(argument_paths(taken_apart(self._structure), lone))
        if not self.names:
            raise InputError(f"the start holds no number ({here()}): put one there to be found")
        require("numpy")
        self._x0 = joined(leaves)
        for name, number in zip(self.names, self._x0.tolist(), strict=True):
            if number != number:
                raise InputError(f"the start is nan at {name} ({here()}): put a number there")

    @property
    def x0(self) -> FloatArray:
        """The start."""
        return self._x0.copy()

    def flatten(self, value: A) -> FloatArray:
        """The vector of a value that has the structure of the start.

        Raises:
            InputError: when it has another; the message names the first key path that differs.
        """
        value = cast(A, in_order(self._structure, value))
        found, leaves = flatten(value, Role.PARAMETERS, key_path)
        if (path := first_difference(self._structure, found)) is not None:
            raise InputError(
                f"{key_path(path) or 'the value'} is not built as in the start ({here()}): give "
                f"a number for each of {_listed(self.names)}"
            )
        return joined(leaves)

    def unflatten(self, x: Vector, /) -> A:
        """The value that a vector stands for, in the class of the start.

        Raises:
            InputError: when the vector has another length.
        """
        return self._built(self._vector(x))

    def _built(self, x: FloatArray) -> A:
        return cast(A, build(self._structure, parted(x, leaf_shapes(self._structure))))

    @property
    def _is_of_arrays(self) -> bool:
        """Whether arrays are found as they are, not row by row."""
        return holds_arrays(self._structure) and 0 not in self._data.axes

    def _vector(self, x: Vector) -> FloatArray:
        """The flat array of ``x``, which must have a number for each unknown."""
        found = vector(x)
        if len(found) == len(self.names):
            return found
        raise InputError(
            f"a vector of {len(found):,} numbers was given ({here()}) for {len(self.names):,} "
            f"unknowns: pass one number for each of {_listed(self.names)}"
        )

    def _bounds(self, limits: Limits) -> list[tuple[float, float]]:
        """The lowest and the highest value of each number, infinite where there is no limit."""
        found = dict.fromkeys(self.names, (-inf, inf))
        for path in sorted(limits, key=len):
            low, high = _pair(path, limits[path])
            pair = -inf if low is None else low, inf if high is None else high
            _require_ordered(path, *pair)
            inside = [name for name in self.names if _is_inside(name, path)]
            if not inside:
                raise InputError(
                    f"there is no {path!r} to give bounds ({here()}): {nearest(path, found)}"
                )
            found.update(dict.fromkeys(inside, pair))
        return list(found.values())

    def _compiled(self, program: TupleProgram, points: int) -> VectorFunction:
        """Compiles a program that takes this number of points, and records it at the start.

        Of a program of two points, a product with the Hessian, each path is recorded: its pattern
        is that of the tapes.
        """
        program.__qualname__ = name_of(self._f)
        program.__signature__ = _signature(self._f, points)  # type: ignore[attr-defined]  # inspect reads it
        try:
            if self._is_of_arrays:
                function = compiled_on_arrays(program, self._data, self._built)
                function(*[self._x0] * points)
                return function
            if 0 not in self._data.axes:
                starts = [self._built(self._x0) for _ in range(points)]
                return compiled(program, self._data, starts, records_all=points > 1)
            function = compiled_for_rows(
                program, self._data, self._built, points, records_all=points > 1
            )
            function(*[self._x0] * points)
            return function
        except TapegradError:
            raise
        except (LookupError, AttributeError, TypeError, ValueError) as error:
            if not _is_about_structure(error):
                raise
            raise InputError(
                f"{name_of(self._f)} raised {type(error).__name__}: {error} for a start that holds "
                f"{_listed(self.names)} ({here()}): give the start the structure that is used there"
            ) from error

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return type(self), (self._f, self._built(self._x0), self._data)


def _signature(f: Callable[..., object], points: int) -> Signature:
    """The signature of a program of several points, the last of which ``f`` takes first."""
    try:
        parameters = tuple(signature(f).parameters.values())
    except (TypeError, ValueError):
        parameters = tuple(signature(lambda x, *args, **kwargs: x).parameters.values())
    only = Parameter.POSITIONAL_ONLY
    return Signature([*(Parameter(f"x{k}", only) for k in range(points - 1)), *parameters])


def numbers_of(value: object) -> tuple[object, ...]:
    """The numbers of a result in order."""
    return tuple(flat_result(value)[1])


def _listed(names: Sequence[str]) -> str:
    """The names, the first few where there are many."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


_SHOWN: Final = 6
"""The most names that a message lists."""


def _is_about_structure(error: Exception) -> bool:
    """Whether the user's code says that a value has another structure than it uses."""
    last = list(walk_tb(error.__traceback__))[-1][0]
    if str(last.f_globals.get("__name__")).startswith("tapegrad."):
        return False
    words = ("unpack", "subscriptable", "indices must be")
    return isinstance(error, LookupError | AttributeError) or any(x in str(error) for x in words)


def _pair(path: str, limit: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
    """A lower and a higher limit."""
    try:
        low, high = limit
    except (TypeError, ValueError):
        raise InputError(
            f"the bounds of {path} are {describe(limit)} ({here()}): give a pair (low, high), with "
            "None for no limit"
        ) from None
    return low, high


def _is_inside(name: str, path: str) -> bool:
    """Whether a name is that key path, or one inside it."""
    return name == path or name.startswith((f"{path}.", f"{path}["))


def _require_ordered(path: str, low: float, high: float) -> None:
    """Refuses a lower limit above the higher one, and nan."""
    if not low <= high:
        raise InputError(
            f"the bounds of {path} are ({low!r}, {high!r}) ({here()}): give the lower one first"
        )
