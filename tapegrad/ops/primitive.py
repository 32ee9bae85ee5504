"""Defines the rows of the operations table.

A row states an operation once: its value on floats and one partial derivative for each operand.
Everything else is read from that: a row called on floats computes, a row called on traced numbers
records, and as partials are written with rows, so do partials.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias, cast, final

import attrs

from tapegrad.errors import TapeError
from tapegrad.ops.array_support import is_array, serving

__all__ = [
    "MANY", "REALS", "ArrayRule", "Interval", "Kind", "Operand", "Partial", "Primitive", "Pull",
    "Shape", "Slack", "SmoothPieces", "Table", "Traced", "TracedArray", "has_axes", "primal",
    "shape_of",
]  # fmt: skip

Interval: TypeAlias = tuple[float, float]
"""The closed interval in which an operand belongs to a row's domain."""

MANY: Final = 8
"""The most operands for which a recorded derivative has each partial by itself, as in a textbook;
of more, the partials are recorded together, so that a derivative has a linear number of entries."""

REALS: Final[Interval] = (-inf, inf)


class Traced:
    """An object that stands for a float; it defines what applying a row to it does."""

    __slots__ = ()

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Traced:
        raise NotImplementedError

    def _primal(self) -> float:
        raise NotImplementedError

    @property
    def is_open(self) -> bool:
        """Whether rows may still be applied to this number."""
        return True

    @property
    def made_by(self) -> Primitive | None:
        """The row that gave this number, where that is known."""
        return None


class TracedArray(Traced):
    """An object that stands for an array."""

    __slots__ = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        raise NotImplementedError


Operand: TypeAlias = float | Traced
"""An operand of a row: a number, or an object that stands for one.

An array of numpy's is one as well, which only its own modules know of.
"""

Shape: TypeAlias = tuple[int, ...]
"""The length of each axis; () for a number."""

Partial: TypeAlias = float | Callable[..., Operand] | None
"""A partial derivative: a number, a function ``p(y, *xs)`` of the result and the operands written
with rows, or None for an operation that is flat in this operand."""


def primal(operand: Operand) -> float:
    """The float itself, or the one that a traced number stands for."""
    return operand._primal() if isinstance(operand, Traced) else operand


def has_axes(value: object) -> bool:
    """Whether a value is an array, or stands for one."""
    return isinstance(value, TracedArray) or is_array(value)


def shape_of(operand: object) -> Shape:
    """The shape of a number or of an array, traced or not."""
    return () if type(operand) is float else getattr(operand, "shape", ())


@final
@attrs.frozen(eq=False, repr=False)
class Slack:
    """An exception to 4 units in the last place: 4 eps of a magnitude, and why.

    ``magnitude`` is a function of the operands; ``of`` says what it excuses.
    """

    of: Literal["value", "partials"]
    magnitude: Callable[..., float]
    why: str


@final
@attrs.frozen(eq=False, repr=False)
class SmoothPieces:
    """Tells the smooth pieces of a piecewise smooth row apart.

    ``of`` is a function of the result and the operands, on floats: two points at which it gives the
    same number are on one smooth piece. At the ``border`` of two pieces the value jumps, two
    operands tie, or an operand changes sides.
    """

    of: Callable[..., float]
    border: Literal["jump", "tie", "side"] = "side"


Kind: TypeAlias = Literal["input", "constant", "guard", "choice", "connective", "operation"]
"""Input, constant and guard are entries of a tape that compute nothing: a guard holds what Python
asked of its operand, the truth or the whole number. A choice has the value of one of two operands;
a connective combines truth values; any other row is an operation."""


Pull: TypeAlias = Callable[..., Operand]
"""The transpose of a derivative in one operand: ``(y_bar, y, *xs) -> x_bar``, written with rows."""


@final
@attrs.frozen(eq=False, repr=False)
class ArrayRule:
    """How a row acts on arrays as they are; a row without one goes element by element.

    ``pulls`` has the transpose of the derivative in each operand, None where the row is flat; a
    variadic row has one function, which takes the operand's index first; with ``together`` the
    indices of all operands that are wanted, and it gives their cotangents in that order. They are
    given cotangents in the shape of the result, but for a row with a ``slim`` pull, whose
    cotangents may lack axes along which they are the same.

    ``push`` is ``(dots, y, *xs) -> y_dot``, with None for a tangent that is absent. A row without
    one is linear: in each operand by itself, or with ``joint`` in all of them together.

    A ``view`` has the memory of its operand, if ``is_view(*static)`` does not say otherwise.

    ``static`` says what the static operand is, or the first part of it, for people to read.

    ``expand`` gives the row on arrays whose elements are operands: ``(apply, *xs)``, where
    ``apply(row, xs, static)`` does that for any row.
    """

    pulls: tuple[Pull | None, ...] | Callable[..., Any]
    push: Callable[..., Operand | None] | None = None
    joint: bool = False
    together: bool = False
    slim: bool = False
    is_view: Callable[..., bool] | None = None
    static: Literal["", "axes", "axis", "index", "order", "shape"] = ""
    expand: Callable[..., Any] | None = None


@final
@attrs.frozen(eq=False, repr=False)
class Primitive:
    """A row of the table: an operation with all that is known of it.

    ``value`` takes floats and never raises: outside ``domain`` it gives nan, beyond the double
    range it gives inf. ``partials`` has one entry per operand; a variadic row (``arity`` is None)
    has one function ``p(i, y, *xs)``. With ``has_static`` the last operand is not differentiated
    (a constant exponent, the order of a polygamma) and is kept on the tape as it is, an instance of
    ``static_type``. A variadic row takes its operands ``in_groups_of`` so many. ``symbol`` is
    what people write for it, ``python`` an expression with Python's own operator, for all floats.
    ``helper`` marks rows that exist to spell other rows' partials, and ``is_truth`` those whose
    result is 1 or 0.

    Rewriting relies on the following, to the bit: ``neutral`` has for each side the constant there
    that leaves the other operand as it is, or None; operands from ``commutes_from`` on may change
    places (stated where partials permute them); an involution applied twice gives its operand.

    ``pieces`` tells the smooth pieces of the row apart; a row without one is smooth inside its
    domain. ``slack`` states the exceptions of a row whose value or first partials are not accurate
    to 4 units in the last place. ``at_once`` gives every partial ``(y, *xs)`` of a variadic row
    together, where one after the other they would repeat what they share: on floats, and of more
    than ``MANY`` operands on traced numbers. Up to so many it has the bits of the partials.

    Compiled code knows the rows marked ``core``; any other is spelled in them, or called back.
    ``libm`` names the row's function in C's maths library, and ``ufuncs`` numpy's; the first of
    these computes a core row. A row is ``quick`` where computing it again beats keeping the result.

    ``reference`` finds the row in ``module`` when it is unpickled; by itself, it is the name.

    ``array`` is the rule of a row that takes arrays as they are.
    """

    name: str
    value: Callable[..., float]
    partials: tuple[Partial, ...] | Callable[..., Operand | None]
    doc: str
    symbol: str = attrs.field()
    python: str = ""
    domain: tuple[Interval, ...] = (REALS,)
    kind: Kind = "operation"
    has_static: bool = False
    static_type: type = object
    in_groups_of: int = 1
    helper: bool = False
    is_truth: bool = False
    neutral: tuple[float | None, ...] = ()
    commutes_from: int | None = None
    is_involution: bool = False
    pieces: SmoothPieces | None = None
    slack: tuple[Slack, ...] = ()
    at_once: Callable[..., Sequence[Operand]] | None = None
    core: bool = False
    libm: str = ""
    ufuncs: tuple[str, ...] = ()
    quick: bool = False
    module: str = "tapegrad.ops.table"
    reference: str = ""
    array: ArrayRule | None = None
    arity: int | None = attrs.field(init=False)
    """How many operands are differentiated; None when any number is."""
    is_pooled: bool = attrs.field(init=False)
    """Whether the operands do not fit the two operand columns of a tape."""

    @symbol.default
    def _own_name(self) -> str:
        return self.name

    @arity.default
    def _count_of_partials(self) -> int | None:
        return len(self.partials) if isinstance(self.partials, tuple) else None

    @is_pooled.default
    def _needs_pool(self) -> bool:
        return self.arity is None or self.arity + self.has_static > 2

    def takes(self, count: int) -> bool:
        """Whether the row can be applied to this number of operands."""
        arity = self.arity
        return count == arity if arity is not None else count > 0 == count % self.in_groups_of

    @property
    def is_operation(self) -> bool:
        """Whether the row computes; inputs, constants and guards do not."""
        return self.kind not in {"input", "constant", "guard"}

    def __call__(self, *operands: Operand | tuple[object, ...]) -> Operand:
        """Applies the row: computes on floats, and does on a traced number what that defines.

        A static operand may be a tuple.
        """
        for operand in operands:
            if type(operand) is not float:
                if isinstance(operand, Traced):
                    return operand._apply(self, cast("tuple[Operand, ...]", operands))
                if is_array(operand):
                    return self._on_arrays(cast("tuple[Operand, ...]", operands))
        return self.value(*operands)

    def _on_arrays(self, operands: tuple[Operand, ...]) -> Operand:
        """Applies the row to operands of which one at least is an array."""
        for operand in operands:
            if isinstance(operand, Traced):
                return operand._apply(self, operands)
        return cast(Operand, serving("ops.elementwise").compute(self, operands))

    def pulled(
        self, wanted: Sequence[int], bar: Operand, *given: Operand
    ) -> Iterable[tuple[int, Operand]]:
        """The cotangents of the operands that are wanted, of a row with a rule for arrays.

        It is given the cotangent of the result, then the result and the operands.
        """
        rule = cast(ArrayRule, self.array)
        pulls = rule.pulls
        if rule.together:
            return zip(wanted, cast("Callable[..., Any]", pulls)(wanted, bar, *given), strict=True)
        if callable(pulls):
            return [(index, pulls(index, bar, *given)) for index in wanted]
        every = ((index, pulls[index]) for index in wanted)
        return [(index, pull(bar, *given)) for index, pull in every if pull is not None]

    def differentiated_operands(self, count: int) -> Iterable[int]:
        """The indices of the operands in which the row is not flat, of ``count`` operands."""
        if not isinstance(self.partials, tuple):
            return range(count)
        return [index for index, partial in enumerate(self.partials) if partial is not None]

    def partial(self, index: int, y: Operand, *operands: Operand) -> Operand | None:
        """The partial derivative in operand ``index``, or None where the row is flat in it."""
        if not isinstance(self.partials, tuple):
            return self.partials(index, y, *operands)
        found = self.partials[index]
        return found(y, *operands) if callable(found) else found

    def each_partial(self, y: Operand, *operands: Operand) -> Callable[[int], Operand | None]:
        """The partial as a function of the operand's index, in linear time for all operands."""
        if self.at_once is not None and (len(operands) > MANY or isinstance(y, float)):
            return self.at_once(y, *operands).__getitem__
        return lambda index: self.partial(index, y, *operands)

    def every_partial(self, y: float, *operands: float) -> Iterable[Operand | None]:
        """The partials on floats, one after the other, for the differentiated operands."""
        return map(self.each_partial(y, *operands), range(len(operands) - self.has_static))

    def __repr__(self) -> str:
        return f"<row {self.name}>"

    def __reduce__(self) -> tuple[Callable[[str, str], object], tuple[str, str]]:
        reference = self.reference or self.name
        if "<locals>" in reference:
            from pickle import PicklingError

            raise PicklingError(
                f"{reference} is local to a function: define it at the top of a module to pickle it"
            )
        return _row_of_module, (self.module, reference)

    def __deepcopy__(self, memo: Mapping[int, object], /) -> Primitive:
        return self


def _row_of_module(module: str, name: str) -> object:
    """The object that a module has by that name; in place of a user's rule, its row.

    Raises:
        TapeError: when the module has none.
    """
    try:
        found: object = attrgetter(name)(importlib.import_module(module))
    except (AttributeError, ImportError, TypeError, ValueError) as error:
        raise TapeError(
            f"{module} has no {name}, which a tape applies: use the version that it came from"
        ) from error
    return getattr(found, "row", found)


@final
@attrs.frozen(eq=False, repr=False)
class Table:
    """Rows in order; a row's code, the number that stands for it on a tape, is its index.

    ``base`` is the table that this one continues with a user's own rows.
    """

    rows: tuple[Primitive, ...]
    base: Table | None = None
    codes: Mapping[Primitive, int] = attrs.field(init=False)

    @codes.default
    def _index(self) -> Mapping[Primitive, int]:
        codes = {row: code for code, row in enumerate(self.rows)}
        if len(codes) != len(self.rows) or not all(isinstance(row, Primitive) for row in codes):
            raise TapeError("a table is made of rows, each of them once")
        return MappingProxyType(codes)

    def __contains__(self, name: str) -> bool:
        """Whether a row has that name."""
        return any(row.name == name for row in self.rows)

    def extend(self, *rows: Primitive) -> Table:
        """The table of these rows and the given ones."""
        return Table(self.rows + rows, self.base or self)

    def __reduce__(
        self,
    ) -> tuple[Callable[..., Table], tuple[tuple[Primitive, ...], Table | None]]:
        return _table_of, (self.rows, self.base)


def _table_of(rows: tuple[Primitive, ...], base: Table | None) -> Table:
    """The table of these rows: the library's own, which has its sweeps, where it is the same."""
    table = Table(rows, base)
    own = _row_of_module(rows[0].module, "TABLE") if rows else None
    return own if isinstance(own, Table) and own.rows == rows else table
