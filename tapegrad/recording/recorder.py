"""Traced numbers, and the recorder that they write to.

A recorder is the only mutable thing in the library and lives as long as one call of the user's
function. A ``Var`` is a number inside that call: it knows its recorder, its slot there, and its
value, which is a float or, in a recording inside another one, a ``Var`` of the outer recording.
"""

from __future__ import annotations

import _thread
import itertools
import operator
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cache, partial
from math import copysign, isfinite, isnan
from operator import attrgetter, index
from threading import get_ident
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Final,
    NoReturn,
    Protocol,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    cast,
    final,
    overload,
)

import attrs

from tapegrad._support.source_position import (
    Mark,
    here,
    is_called_from_outside,
    mark,
    outer_frame,
    site,
    solver_hint,
    user_mark,
)  # fmt: skip
from tapegrad._support.text import describe
from tapegrad.entries.builder import Place
from tapegrad.entries.columns import EntryColumns, Scope
from tapegrad.errors import InputError, RecordingError, TracedNumberError
from tapegrad.ops import table as ops
from tapegrad.ops.array_support import is_array, is_frame, is_truth, quiet, serving
from tapegrad.ops.primitive import Operand, Primitive, Table, Traced, primal, shape_of
from tapegrad.pytree.numbers import as_number
from tapegrad.pytree.structure import traced_leaves
from tapegrad.recording import numpy_protocol
from tapegrad.recording.float_refusal import float_refusal

__all__ = [
    "CODES", "NOBODYS", "SIDES", "Condition", "OuterValues", "Real", "Recorder", "Scalar",
    "TracedValue", "Var", "applied", "compared", "condition", "innermost", "promote",
    "recorder_among",
]  # fmt: skip

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Plain(Protocol[T_co]):
    """An array, to type checkers: with a traced number it makes one of its own kind.

    The types of a program without arrays must not lead a checker to numpy's, which take long to
    read. Thus an array of data that meets a traced number stays one of data in its type.
    """

    @property
    def mT(self) -> T_co: ...  # noqa: N802  # numpy's name


class _Lock(Protocol):
    """An ``RLock``, which a ``Condition`` of the standard library asks the same."""

    def acquire(self) -> bool: ...

    def _is_owned(self) -> bool: ...


_lock: Final = cast("Callable[[], _Lock]", _thread.RLock)
NOBODYS: Final = _lock()
"""A lock that nobody ever holds."""


@cache
def _lock_of(thread: int) -> _Lock:
    """The lock that a thread, which is the one that asks, holds for good."""
    lock = _lock()
    lock.acquire()
    return lock


_serials = itertools.count(1)
CODES: Final = ops.TABLE.codes
_OPERATORS: Final = {ops.add, ops.mul, ops.neg, ops.sub}
"""Rows whose values are Python's operators, which traced numbers have, too."""
SIDES: Final = {
    row: row.arity
    for row in ops.TABLE.rows
    if row.is_operation and not (row.is_pooled or row.has_static)
}
"""How many operands the library's operations have that fit the two columns."""
_SIDES_OF_CODE: Final = {CODES[row]: sides for row, sides in SIDES.items()}
"""The same by the codes of the rows."""
_GUARDS: Final = (row for row in ops.TABLE.rows if row.kind == "guard" and not row.is_pooled)
_SIDES_HANDED: Final = {**_SIDES_OF_CODE, **{CODES[row]: row.arity for row in _GUARDS}}
"""The same, with guards."""
_FLOATS: Final = {float}
_FEW: Final = 8
"""The most inputs that are written one by one."""
_INPUT, _CONSTANT = (CODES[row] for row in (ops.input, ops.constant))


@final
class Recorder:
    """Records one call of one function, entry by entry.

    The frames of the first ``depth`` calls above the one that opens it are tapegrad's own.
    ``owner`` is the thread in which it was opened, and 0 once it has ended. That thread holds the
    lock ``plain`` as long as all values are floats; where some are traced, and in the end, it is
    one that nobody holds. The operators ask it alone: that takes half of the time that it takes to
    compare numbers of threads.
    ``known`` has the slots of constants by their values, ``exponents`` the places of constant
    exponents, and ``zero`` is a 0.0 that was met, which is not looked at again for its sign.

    With ``on_arrays`` some values are arrays. Those among the data that is ``lent`` may stand there
    as they are: they are ``locked`` until the recording ends. Arrays that in-place operators have
    ``written`` to are kept with what took their place, and where.

    A recording for the reverse sweep alone (``blocks``) inside another one is made on floats all
    the same. Its entries are handed over to that one, ``around``: before the next entry there, and
    when it ends. ``places`` says what each has become, ``outside`` what inputs and constants are
    there; without an outer one neither is there. Until then it is the ``inside`` of the other.

    With ``held``, which is given a number of a recording around this one and a slot, it is made on
    plain numbers apart from that: what ``held`` gives is a constant in that slot.
    """

    __slots__ = (
        "around", "attributed", "blocks", "codes", "data_path", "exponents", "held",
        "holds_gradient", "inside", "known", "labels", "left", "lent", "locked", "marks", "module",
        "on_arrays", "opened", "outers", "outside", "own", "owner", "places", "plain", "pool",
        "quiet", "refused", "right", "scope", "scopes", "serial", "statics", "table", "values",
        "written", "zero",
    )  # fmt: skip

    lent: Collection[object]
    outside: dict[int, Var]
    places: list[Place]
    attributed: Mark | None
    module: object
    own: _Lock
    owner: int
    plain: _Lock
    locked: list[tuple[Any, bool]]
    written: list[tuple[int, int, Mark]]

    def __init__(self, positions: bool, blocks: bool, depth: int) -> None:
        self.blocks: bool = blocks
        self.held: Callable[[TracedValue, int], Operand] | None = None
        self.on_arrays: bool = False
        self.quiet: AbstractContextManager[object] | None = None
        self.lent, self.locked, self.written = (), [], []
        self.data_path: Callable[[int], str | None] | None = None
        self.serial: int = next(_serials)
        self.owner = get_ident()
        self.own = self.plain = _lock_of(self.owner)
        self.opened: Mark = user_mark(depth + 1)
        self.table: Table = ops.TABLE
        self.codes: list[int] = []
        self.left: list[int] = []
        self.right: list[int] = []
        self.values: list[Operand] = []
        self.pool: list[int] = []
        self.statics: list[object] = []
        self.known: dict[float, int] = {}
        self.exponents: dict[float, int] = {}
        self.zero: float | None = None
        self.outers: Collection[Recorder] = ()
        self.around: Recorder | None = None
        self.inside: Recorder | None = None
        self.marks: list[Mark | None] | None = [] if positions else None
        self.attributed = self.module = None
        self.refused: str = ""
        self.holds_gradient: bool = False
        self.labels: dict[int, str] = {}
        self.scopes: list[Scope] = []
        self.scope: int | None = None

    def append(self, code: int, left: int, right: int, value: Operand) -> Var:
        """A new entry, and the number it defines."""
        if self.owner != get_ident():
            self.refuse()
        if self.inside is not None:
            self.inside.hand_over()
        is_number = type(value) is float or type(value) is Var
        var = Var() if is_number else self.array_for(value)
        var._recorder = self
        var._slot = self.write(code, left, right, value)
        var._value = value  # type: ignore[assignment]  # here operands are floats and Vars
        return var

    def array_for(self, value: Operand) -> Var:
        """A traced array for a value that is one, else a traced number; it has no entry yet."""
        if not shape_of(value):
            return Var()
        if not self.on_arrays:
            self.take_arrays()
        return cast(Var, serving("recording.array_var").ArrayVar())

    def take_arrays(self) -> None:
        """Extends the table by the rows for arrays; numpy's warnings are off until the end."""
        rows = serving("ops.array_table").ARRAY_TABLE
        missing = (row for row in rows.rows if row not in self.table.codes)
        self.table = rows if self.table is ops.TABLE else self.table.extend(*missing)
        serving("recording.array_operators")  # gives traced arrays their operators
        self.quiet = quiet(on_arrays=True)
        self.quiet.__enter__()
        self.on_arrays = True

    def write(self, code: int, left: int, right: int, value: Operand) -> int:
        """The slot of a new entry."""
        values, marks = self.values, self.marks
        if marks is not None:
            marks.append(self.attributed or mark(2))
        self.codes.append(code)
        self.left.append(left)
        self.right.append(right)
        # Last, as slots count these: where an interrupt comes before, `columns` finds them fewer.
        values.append(value)
        return len(values) - 1

    def mark(self) -> None:
        """Keeps the position of the entry that an operator writes next.

        As ``source_position.mark``, which asks a frame's module for its name, but not where it is
        the one of the entry before.
        """
        found = self.attributed
        if found is None:
            frame = sys._getframe(2)
            if frame.f_globals is not self.module:
                frame = outer_frame(frame)
                self.module = frame.f_globals
            found = frame.f_code, frame.f_lasti
        self.marks.append(found)  # type: ignore[union-attr]  # where there are positions

    def require_open(self) -> None:
        """Raises where the recording has ended, or in another thread."""
        if self.owner != get_ident():
            self.refuse()

    def refuse(self) -> NoReturn:
        """Raises an error that says why nothing more, or nothing in this thread, is recorded."""
        opened = str(site(*self.opened))
        if self.owner:
            raise RecordingError(
                f"a traced number of the recording opened at {opened} is used in another thread "
                f"at {here()}: record in the thread that uses it"
            )
        raise RecordingError(
            f"a traced number is used at {here()} after its recording, opened at {opened}, has "
            "ended: return what is wanted from the recorded function instead"
        )

    def _admit(self, value: Operand) -> Operand:
        """A number from outside; with one of an outer recording, that recording becomes known."""
        if not isinstance(value, TracedValue):
            return value
        if self.held is not None:
            return self.held(value, len(self.values))
        outer = value._recorder
        outer.require_open()
        if outer is self.around:  # which is known by now
            self.outside[len(self.values)] = cast(Var, value)
            return primal(value)
        if outer.outers or outer not in self.outers:
            self.outers = {*self.outers, outer, *outer.outers}
        if outer.marks is not None and self.marks is None:
            self.marks = [None] * len(self.codes)
        if self._is_inside(outer):
            self.outside[len(self.values)] = cast(Var, value)
            return primal(value)
        self.plain = NOBODYS
        return value

    def _is_inside(self, outer: Recorder) -> bool:
        """Whether the entries are handed over to this recording, the only one around."""
        if self.around is not None:
            self._trace_values()
        elif self.blocks and not outer.outers and NOBODYS not in (self.plain, outer.plain):
            self.outside, self.places = {}, []
            self.around, outer.inside, outer.plain = outer, self, NOBODYS
            return True
        return False

    def inputs(self, values: Sequence[Operand]) -> list[Var]:
        """New inputs with these values."""
        if len(values) > _FEW and {*map(type, values)} == _FLOATS:
            return self._float_inputs(values)
        found: list[Var] = []
        for value in values:
            if self.marks is None and (type(value) is float or is_array(value)):
                var = Var() if type(value) is float else self.array_for(value)
                var._recorder, var._slot = self, len(self.values)
                var._value = value  # type: ignore[assignment]  # a float or an array
                self.codes.append(_INPUT)
                self.left.append(-1)
                self.right.append(-1)
                self.values.append(value)  # last, as in `write`
            else:
                var = self.append(_INPUT, -1, -1, self._admit(value))
            found.append(var)
        return found

    def _float_inputs(self, values: Sequence[Operand]) -> list[Var]:
        """New inputs with many floats, which have one position."""
        start, count = len(self.values), len(values)
        if self.marks is not None:
            self.marks += [self.attributed or mark(2)] * count
        self.codes += [_INPUT] * count
        self.left += [-1] * count
        self.right += [-1] * count
        self.values += values  # last, as in `write`
        found: list[Var] = []
        for slot, value in enumerate(values, start):
            var = Var()
            var._recorder, var._slot, var._value = self, slot, value  # type: ignore[assignment]  # a float
            found.append(var)
        return found

    def constant(self, value: object) -> int:
        """The slot of a constant: one for all that have the same bits, but for -0.0 and nan."""
        if type(value) is float and _is_key(value):
            if self.plain._is_owned():
                return self._interned(value, value)
            slot = self.known.get(value)
            if slot is not None:  # nothing is written, so nothing has to be handed over before
                self.require_open()
                return slot
        if self.inside is not None:
            self.inside.hand_over()
        if type(value) is Var:
            self.require_open()
            return self.write(_CONSTANT, -1, -1, self._admit(value))
        if is_array(value):
            slot = serving("recording.array_values").held(self, value)
            if slot is not None:
                return cast(int, slot)
        number = promote(value)
        if number is None:
            raise InputError(
                f"an operand is {describe(value)}, not a number ({here()}): pass a float"
            )
        if type(number) is float and _is_key(number):
            self.require_open()
            return self._interned(number, value if type(value) is int else number)
        return self.append(_CONSTANT, -1, -1, self._admit(number))._slot

    def new_constant(self, number: object) -> int:
        """The slot of a constant that is not known, where all is plain: a float or an int."""
        if type(number) is not float or self.marks is not None:
            return self.constant(number)
        slot = len(self.values)
        self.codes.append(_CONSTANT)
        self.left.append(-1)
        self.right.append(-1)
        self.values.append(number)  # last, as in `write`
        if number == number:  # and known after that
            self.known[number] = slot
            if not number:
                self.zero = number
        return slot

    def lock(self, array: Any) -> None:
        """Lets nobody write to an array until the recording ends, and those around it."""
        self.locked.append((array, array.flags.writeable))
        array.flags.writeable = False

    def _unlock(self) -> None:
        """Undoes ``lock``, or leaves that to the recordings around that have locked it, too."""
        for array, was_writeable in self.locked:
            holders = [x for x in self.outers if any(array is each for each, _ in x.locked)]
            if not holders:
                array.flags.writeable = was_writeable
            elif was_writeable:
                for outer in holders:
                    outer.locked.append((array, True))

    def _interned(self, number: float, given: float) -> int:
        """The slot of the constant with this value, which is written where it is not known.

        It is known as it was given: an int is found sooner by an int.
        """
        slot = self.known.get(number)
        if slot is None:
            slot = self.write(_CONSTANT, -1, -1, number)
            self.known[given if given == number else number] = slot
            if not number:
                self.zero = number
        return slot

    def apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Var:
        """A new entry that applies ``row``; operands of other recordings are constants here."""
        if self.owner != get_ident():
            self.refuse()
        if self.inside is not None:
            self.inside.hand_over()
        static: tuple[object, ...] = ()
        if row.has_static:
            operands, static = operands[:-1], operands[-1:]
        if row.kind == "guard":
            return self.guard(row, operands[0])
        slots = [
            x._slot if isinstance(x, TracedValue) and x._recorder is self else self.constant(x)
            for x in operands
        ]
        values = self.values
        is_plain = self.plain is not NOBODYS and not self.on_arrays
        apply: Callable[..., Operand] = row.value if is_plain else row
        value = apply(*[values[slot] for slot in slots], *static)
        left, right = self.place(row, slots, static)
        return self.append(self.code(row), left, right, value)

    def binary(self, row: Primitive, x: Operand, y: Operand) -> Var:
        """A new entry that applies an operator to operands of which one is of this recording."""
        if self.owner != get_ident():
            self.refuse()
        if self.inside is not None:
            self.inside.hand_over()
        left = x._slot if type(x) is Var and x._recorder is self else self.slot(x)
        right = y._slot if type(y) is Var and y._recorder is self else self.slot(y)
        a, b = self.values[left], self.values[right]
        if type(a) is not float or type(b) is not float:
            return self.append(self.code(row), left, right, row(a, b))
        var = Var()
        var._recorder, var._value = self, row.value(a, b)
        var._slot = self.write(self.code(row), left, right, var._value)
        return var

    def unary(self, row: Primitive, x: Var) -> Var:
        """A new entry that applies ``row`` to one operand, which is of this recording."""
        self.require_open()
        value = self.values[x._slot]
        result = row.value(value) if type(value) is float else row(value)
        return self.append(CODES[row], x._slot, -1, result)

    def data_behind(self, slot: int) -> str | None:
        """The key path of traced data that an entry is made of, where it is made of such alone."""
        if self.data_path is None:
            return None
        columns, reached = self.columns(), {slot}
        for entry in range(slot, -1, -1):
            if entry in reached:
                reached.update(columns.operands(entry))
        inputs = (entry for entry in sorted(reached) if columns.codes[entry] == _INPUT)
        paths = list(map(self.data_path, inputs))
        return paths[0] if paths and None not in paths else None

    def slot(self, operand: Operand) -> int:
        """The slot of an operand; one that is not of this recording becomes a constant."""
        if isinstance(operand, TracedValue) and operand._recorder is self:
            return operand._slot
        return self.constant(operand)

    def number(self, slot: int) -> Var:
        """The number that an entry defines, or the array."""
        value = self.values[slot]
        var = Var() if type(value) is float else self.array_for(value)
        var._recorder, var._slot = self, slot
        var._value = value  # type: ignore[assignment]  # here operands are floats and Vars
        return var

    def place(
        self, row: Primitive, slots: Sequence[int], static: tuple[object, ...]
    ) -> tuple[int, int]:
        """The numbers that stand for the operands in the two operand columns."""
        if row.is_pooled:
            start = len(self.pool)
            self.pool += slots
            if static:
                self.statics += static
                self.pool.append(len(self.statics) - 1)
            return start, len(slots)
        if static:
            return slots[0], self._static(row, static[0])
        return slots[0], slots[1] if len(slots) > 1 else -1

    def _static(self, row: Primitive, value: object) -> int:
        """The place of a static operand: one for all powers that have the same exponent."""
        if row is ops.powc and type(value) is float:
            return self.exponent(value)
        self.statics.append(value)
        return len(self.statics) - 1

    def exponent(self, number: float) -> int:
        """The place of a constant exponent."""
        place = self.exponents.get(number) if _is_key(number) else None
        if place is None:
            place = len(self.statics)
            self.statics.append(float(number))
            if _is_key(number):
                self.exponents[number] = place
        return place

    def code(self, row: Primitive) -> int:
        """The number of a row in the table, which is extended by rows of the user's."""
        if row not in self.table.codes:
            if row.array is not None and not self.on_arrays:
                self.take_arrays()
            if row not in self.table.codes:
                self.table = self.table.extend(row)
        return self.table.codes[row]

    def guard(self, row: Primitive, operand: Operand) -> Var:
        """A new guard: Python has asked for the truth of a condition, or for a whole number."""
        self.require_open()
        slot = self.slot(operand)
        return self.append(CODES[row], slot, -1, row(self.values[slot]))

    # What these two undo is undone without a call, for which the stack may be too full, and twice,
    # since an interrupt may come before the first of them has begun.

    def scoped(
        self, name: str, f: Callable[..., T], args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> T:
        """The result of a call, whose entries are put into a scope, inside that around it."""
        if self.inside is not None:
            self.inside.hand_over()
        outside, index = self.scope, len(self.scopes)
        self.scopes.append(Scope(name, len(self.values), -1, outside))
        try:
            try:
                self.scope = index
                return f(*args, **kwargs)
            finally:
                self.scope = outside
                self.scopes[index] = attrs.evolve(self.scopes[index], stop=len(self.values))
        finally:
            self.scope = outside

    @property
    def ended_scopes(self) -> tuple[Scope, ...]:
        """The scopes; one whose end an exception hid holds nothing."""
        return tuple(
            scope if scope.stop >= 0 else attrs.evolve(scope, stop=scope.start)
            for scope in self.scopes
        )

    def attributing(self, sweep: Callable[[Callable[[int], None] | None], T]) -> T:
        """The result of a sweep of this recording's entries.

        It is given a function that makes the outer recordings attribute their entries to one of
        this one's: None where there is no outer recording, or there are no positions.
        """
        if not self.outers:
            return sweep(None)
        for outer in self.outers:
            outer.holds_gradient = True
            outer.settle()
        try:
            try:
                found = sweep(self._attribute if self.marks is not None else None)
                for outer in self.outers:
                    outer.settle()
                return found
            finally:
                for outer in self.outers:
                    outer.attributed = None
        finally:
            for outer in self.outers:
                outer.attributed = None

    def _attribute(self, slot: int) -> None:
        mark = cast("list[Mark | None]", self.marks)[slot]
        for outer in self.outers:
            outer.attributed = mark

    def settle(self) -> None:
        """Hands over what was not yet, from the recording inside this one or to the one around."""
        if self.inside is not None:
            self.inside.hand_over()
        if self.around is not None and self.owner:
            self.hand_over()

    def hand_over(self) -> None:
        """Writes on the recording around what is not there yet, at the same positions."""
        outer, places, marks = cast(Recorder, self.around), self.places, self.marks
        if not self.owner:
            outer.refuse_broken()
        if self.on_arrays and not outer.on_arrays:
            outer.take_arrays()
        before, outer.inside = outer.attributed, None
        given = before if self.attributed is None else None
        codes, left, right, values = self.codes, self.left, self.right, self.values
        to_values, to_marks = outer.values, outer.marks
        try:
            for slot in range(len(places), len(values)):
                attributed = before if marks is None else given or marks[slot]
                code = codes[slot]
                sides = _SIDES_HANDED.get(code)
                x = places[left[slot]] if sides else None
                y = places[right[slot]] if sides == 2 else -1
                if type(x) is not int or type(y) is not int:
                    outer.attributed = attributed
                    places.append(self._handed_over(slot, outer))
                    continue
                # As `write` does, without a call for each entry.
                if to_marks is not None:
                    to_marks.append(attributed or mark(2))
                outer.codes.append(code)
                outer.left.append(x)
                outer.right.append(y)
                to_values.append(values[slot])
                places.append(len(to_values) - 1)
        finally:
            outer.attributed, outer.inside = before, self

    def _handed_over(self, slot: int, outer: Recorder) -> Place:
        """The slot on the recording around that an entry becomes; a number where nothing does."""
        places, value = self.places, self.values[slot]
        code, left, right = self.codes[slot], self.left[slot], self.right[slot]
        if left < 0:
            return self.outside[slot]._slot if slot in self.outside else value
        row = self.table.rows[code]
        sides = SIDES.get(row)
        if sides is not None:
            x, y = places[left], places[right] if sides == 2 else -1
            if not isinstance(x, int):
                if sides == 1 or not isinstance(y, int):
                    return value
                x = outer.constant(x)
            elif not isinstance(y, int):
                y = outer.constant(y)
            return outer.write(code, x, y, value)
        columns = self._as_columns(self.values)
        operands, static = [places[x] for x in columns.operands(slot)], columns.static(slot)
        if not any(isinstance(operand, int) for operand in operands):
            return value
        slots = [x if isinstance(x, int) else outer.constant(x) for x in operands]
        return outer.write(outer.code(row), *outer.place(row, slots, static), value)

    def _trace_values(self) -> None:
        """Hands over what there is, and goes on with traced numbers as values."""
        self.hand_over()
        outer = cast(Recorder, self.around)
        self.values[:] = OuterValues(outer, self.places, self.values)
        outer.inside, outer.plain = None, outer.own
        self.around, self.outside, self.places = None, {}, []

    def close(self) -> None:
        """Ends the recording and frees its columns."""
        try:
            if self.around is not None and self.around.owner:
                self.hand_over()
                self.around.inside, self.around.plain = None, self.around.own
        finally:
            self.plain, self.owner = NOBODYS, 0
            self.data_path = self.module = None
            if self.locked:
                self._unlock()
            if self.quiet is not None:
                silence, self.quiet = self.quiet, None
                with suppress(TypeError):  # an interrupt came before it was entered
                    silence.__exit__(None, None, None)
            self.codes = self.left = self.right = self.pool = []  # nothing is written any more
            self.values, self.statics = [], []

    def refuse_broken(self) -> NoReturn:
        """Raises an error that says why entries are missing."""
        raise RecordingError(
            f"the function recorded at {site(*self.opened)} caught an exception that came "
            "while an entry was written, and went on: let it through, and call again"
        )

    def columns(self) -> EntryColumns:
        """The entries so far.

        Raises:
            RecordingError: where one of them is not whole.
        """
        if self.inside is not None:
            self.inside.hand_over()
        values: Sequence[Operand] = self.values
        if self.around is not None:
            self.hand_over()
            values = OuterValues(self.around, self.places, self.values)
        marks = self.values if self.marks is None else self.marks
        count = len(self.values)
        if not count == len(self.codes) == len(self.left) == len(self.right) == len(marks):
            self.refuse_broken()
        return EntryColumns(
            self.table, self.codes, self.left, self.right, values, self.pool, self.statics,
            bool(self.outers), self.on_arrays,
        )  # fmt: skip

    def _as_columns(self, values: Sequence[Operand]) -> EntryColumns:
        return EntryColumns(
            self.table, self.codes, self.left, self.right, values, self.pool, self.statics,
            bool(self.outers), self.on_arrays,
        )  # fmt: skip


@final
class OuterValues(Sequence[Operand]):
    """The values of entries that were handed over: traced numbers, made when they are asked for."""

    recorder: Recorder
    places: list[Place]

    def __init__(self, recorder: Recorder, places: list[Place], numbers: Sequence[Operand]) -> None:
        self.recorder, self.places = recorder, places
        self._numbers = numbers
        self._made: dict[int, Var] = {}

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, slot: int, /) -> Operand: ...
    @overload
    def __getitem__(self, slot: slice, /) -> list[Operand]: ...
    def __getitem__(self, slot: int | slice, /) -> Operand | list[Operand]:
        if isinstance(slot, slice):
            return [self[one] for one in range(len(self))[slot]]
        place = self.places[slot]
        if not isinstance(place, int):
            return place
        if place not in self._made:
            value = self._numbers[slot]
            self._made[place] = var = self.recorder.array_for(value)
            var._recorder, var._slot = self.recorder, place
            var._value = cast(float, value)
        return self._made[place]


def _without_bits(what: str) -> Callable[..., NoReturn]:
    """An operator that ints and bools have and traced numbers have not."""

    def method(self: Var, *_: object) -> NoReturn:
        _refuse(self, what, "int(x) for the bits of a whole number, or x != 0.0 for a truth")

    return method


class TracedValue(Traced):
    """An object that stands for a number or an array inside a recorded function."""

    __slots__ = ("__weakref__", "_recorder", "_slot", "_value")

    # Above that of a frame, which then leaves its operators to the traced operand.
    __pandas_priority__: ClassVar[int] = 10_000

    _recorder: Recorder
    _slot: int

    @property
    def is_open(self) -> bool:
        """Whether the recording has not ended."""
        return self._recorder.owner != 0


@final
class Var(TracedValue):
    """A traced number: it stands for a float inside a recorded function.

    Arithmetic, comparisons and the functions of ``tapegrad.math`` take it and give another. Where
    Python asks for its truth or for a whole number (``if x:``, ``int(x)``, ``round(x)``,
    ``range(x)``, ``xs[x]``), it gets that, and a guard is recorded. It is not a float and does not
    become one: what would drop its derivative raises ``TracedNumberError`` and says what to write
    instead.
    """

    __slots__ = ()
    if TYPE_CHECKING:
        __hash__: ClassVar[None] = None  # type: ignore[assignment]  # a Var compares to a Condition
    else:

        def __hash__(self) -> NoReturn:  # noqa: PLE0309  # refuses
            _refuse(self, "hash(x)", "int(x) for a key, or comparisons")

    _value: float | Var

    def _apply(self, row: Primitive, operands: tuple[Operand, ...]) -> Var:
        if row in _OPERATORS:
            return cast(Var, row.value(*operands))
        return innermost(operands).apply(row, operands)

    def _primal(self) -> float:
        return primal(self._value)

    def __divmod__(self, other: Var | float, /) -> tuple[Var, Var]:
        return self // other, self % other

    def __rdivmod__(self, other: float, /) -> tuple[Var, Var]:
        return other // self, other % self

    def __pos__(self) -> Var:
        return self

    if TYPE_CHECKING:
        # These are in ``operators``.

        @overload
        def __add__(self, other: Var | float, /) -> Var: ...
        @overload
        def __add__(self, other: Plain[T], /) -> T: ...
        def __add__(self, other: object, /) -> object: ...
        @overload
        def __radd__(self, other: float, /) -> Var: ...
        @overload
        def __radd__(self, other: Plain[T], /) -> T: ...
        def __radd__(self, other: object, /) -> object: ...
        @overload
        def __sub__(self, other: Var | float, /) -> Var: ...
        @overload
        def __sub__(self, other: Plain[T], /) -> T: ...
        def __sub__(self, other: object, /) -> object: ...
        @overload
        def __rsub__(self, other: float, /) -> Var: ...
        @overload
        def __rsub__(self, other: Plain[T], /) -> T: ...
        def __rsub__(self, other: object, /) -> object: ...
        @overload
        def __mul__(self, other: Var | float, /) -> Var: ...
        @overload
        def __mul__(self, other: Plain[T], /) -> T: ...
        def __mul__(self, other: object, /) -> object: ...
        @overload
        def __rmul__(self, other: float, /) -> Var: ...
        @overload
        def __rmul__(self, other: Plain[T], /) -> T: ...
        def __rmul__(self, other: object, /) -> object: ...
        @overload
        def __truediv__(self, other: Var | float, /) -> Var: ...
        @overload
        def __truediv__(self, other: Plain[T], /) -> T: ...
        def __truediv__(self, other: object, /) -> object: ...
        @overload
        def __rtruediv__(self, other: float, /) -> Var: ...
        @overload
        def __rtruediv__(self, other: Plain[T], /) -> T: ...
        def __rtruediv__(self, other: object, /) -> object: ...
        @overload
        def __floordiv__(self, other: Var | float, /) -> Var: ...
        @overload
        def __floordiv__(self, other: Plain[T], /) -> T: ...
        def __floordiv__(self, other: object, /) -> object: ...
        @overload
        def __rfloordiv__(self, other: float, /) -> Var: ...
        @overload
        def __rfloordiv__(self, other: Plain[T], /) -> T: ...
        def __rfloordiv__(self, other: object, /) -> object: ...
        @overload
        def __mod__(self, other: Var | float, /) -> Var: ...
        @overload
        def __mod__(self, other: Plain[T], /) -> T: ...
        def __mod__(self, other: object, /) -> object: ...
        @overload
        def __rmod__(self, other: float, /) -> Var: ...
        @overload
        def __rmod__(self, other: Plain[T], /) -> T: ...
        def __rmod__(self, other: object, /) -> object: ...
        @overload
        def __pow__(self, other: Var | float, /) -> Var: ...
        @overload
        def __pow__(self, other: Plain[T], /) -> T: ...
        def __pow__(self, other: object, /) -> object: ...
        @overload
        def __rpow__(self, other: float, /) -> Var: ...
        @overload
        def __rpow__(self, other: Plain[T], /) -> T: ...
        def __rpow__(self, other: object, /) -> object: ...
        def __neg__(self) -> Var: ...
        def __abs__(self) -> Var: ...
        def __lt__(self, other: Var | float, /) -> Condition: ...
        def __le__(self, other: Var | float, /) -> Condition: ...
        def __gt__(self, other: Var | float, /) -> Condition: ...
        def __ge__(self, other: Var | float, /) -> Condition: ...
        def __eq__(self, other: object, /) -> Condition: ...  # type: ignore[override]  # as numpy does
        def __ne__(self, other: object, /) -> Condition: ...  # type: ignore[override]  # as numpy does

    def __int__(self) -> int:
        return _whole(ops.trunc(self), "int(x)")

    def __trunc__(self) -> int:
        return _whole(ops.trunc(self), "trunc(x)")

    def __floor__(self) -> int:
        return _whole(ops.floor(self), "floor(x)")

    def __ceil__(self) -> int:
        return _whole(ops.ceil(self), "ceil(x)")

    @overload
    def __round__(self, ndigits: None = None, /) -> int: ...
    @overload
    def __round__(self, ndigits: SupportsIndex, /) -> Var: ...
    def __round__(self, ndigits: SupportsIndex | None = None, /) -> int | Var:
        if ndigits is None:
            return _whole(ops.round(self), "round(x)")
        return cast(Var, ops.round_to(self, index(ndigits)))

    def is_integer(self) -> Condition:
        """Whether it is a whole number."""
        return (ops.trunc(self) == self) & condition(ops.isfinite, self)

    def __repr__(self) -> str:
        return f"<Var %{self._slot} = {self._primal()!r}>"

    def __copy__(self) -> Var:
        return self

    def __deepcopy__(self, memo: Mapping[int, object], /) -> Var:
        return self

    if not TYPE_CHECKING:
        # Hidden from checkers, which would otherwise take a Var wherever a number will do.

        def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
            return numpy_protocol.apply(ufunc, method, inputs, kwargs, _apply_to_numbers)

        def __bool__(self) -> bool:
            return bool(self != 0.0)

        def __index__(self) -> int:
            found = self._recorder.guard(ops.whole, self)._primal()
            if isfinite(found):
                return int(found)
            name = self._recorder.data_behind(self._slot) or "x"
            raise TracedNumberError(
                f"{name} as an index at {here()} is {self._primal()!r}, and an index, or the "
                f"argument of range, is a whole number: write int({name}), or pass an int"
            )

        def __float__(self) -> NoReturn:
            if is_called_from_outside(2):
                self._recorder.refused = here()
            _refuse(self, *float_refusal())

        def __complex__(self) -> NoReturn:
            _refuse(self, "complex(x)", "its real and imaginary parts as two numbers")

        def __str__(self) -> str:
            if self._recorder.data_behind(self._slot) is not None:
                _refuse(self, "str(x)", "repr(x) to look at it")
            return repr(self)

        def __format__(self, spec):
            if spec:
                instead = "f'{x}' inside the function, or its result outside"
                _refuse(self, f"format(x, {spec!r})", instead)
            return str(self)

        def __reduce__(self) -> NoReturn:
            _refuse(self, "pickling x", "the value that the recorded function returns")

        __and__ = __rand__ = _without_bits("x & y")
        __or__ = __ror__ = _without_bits("x | y")
        __xor__ = __rxor__ = _without_bits("x ^ y")
        __lshift__ = __rlshift__ = _without_bits("x << y")
        __rshift__ = __rrshift__ = _without_bits("x >> y")
        __invert__ = _without_bits("~x")


MYPY = TYPE_CHECKING_WITH_PYREFLY = False
"""True to the checker of that name alone, as TYPE_CHECKING is to all."""

if MYPY or TYPE_CHECKING_WITH_PYREFLY or not TYPE_CHECKING:
    Real = TypeVar("Real", float, Var)
else:
    # To ty, the gradient in a frozen class has a type only where the class may be covariant. mypy
    # does not take the option, and pyrefly does not take two type variables of one name.
    from typing_extensions import TypeVar as TypeVarOfAnyVariance

    Real = TypeVarOfAnyVariance("Real", float, Var, infer_variance=True)
"""The type of a number in a model that runs on floats and on traced numbers alike."""

Number = TypeVar("Number", float, Var)
"""The same for the types of this module, in which pyright does not follow ``Real``."""

Scalar: TypeAlias = float | Var
"""The type of a result that may be a constant, or of a model differentiated inside another."""


class _Arithmetic(Protocol):
    """An operator of a condition and a number."""

    @overload
    def __call__(self, other: Condition | int, /) -> int: ...
    @overload
    def __call__(self, other: Number, /) -> Number: ...


class _Order(Protocol):
    """A comparison of a condition with another."""

    def __call__(self, other: Condition | bool, /) -> bool: ...


def _of_int(operate: Callable[[Any, Any], object], *, reflected: bool = False) -> Any:
    """An operator of the 1 or 0 that a condition is."""

    def method(self: Condition, other: object, /) -> object:
        return operate(other, int(self)) if reflected else operate(int(self), other)

    return method


_reflected: Final = partial(_of_int, reflected=True)


@final
class Condition:
    """The outcome of a comparison of traced numbers.

    Where Python asks for its truth (``if``, ``while``, ``and``, ``==``, ``max``, ``sorted``, or as
    the 1 or 0 that a bool is: ``cs[x > 0.0]``, ``(x > 0.0) * x``, ``sum(x > y for x in xs)``) a
    guard is recorded; ``&``, ``|`` and ``~`` combine conditions without one, for ``where``.
    """

    __slots__ = ("_recorder", "_slot", "_value")
    _recorder: Recorder
    _slot: int
    _value: float | Var

    if TYPE_CHECKING:

        def __bool__(self) -> bool: ...  # in ``operators``

    @property
    def indicator(self) -> Var:
        """The number that is 1 where the condition holds and 0 where it does not."""
        return _made(Var(), self)

    def __index__(self) -> int:
        return int(bool(self))

    def __float__(self) -> float:
        return float(bool(self))

    __add__: _Arithmetic = _of_int(operator.add)
    __sub__: _Arithmetic = _of_int(operator.sub)
    __mul__: _Arithmetic = _of_int(operator.mul)
    __truediv__: _Arithmetic = _of_int(operator.truediv)
    __floordiv__: _Arithmetic = _of_int(operator.floordiv)
    __mod__: _Arithmetic = _of_int(operator.mod)
    __pow__: _Arithmetic = _of_int(operator.pow)
    __radd__: _Arithmetic = _reflected(operator.add)
    __rsub__: _Arithmetic = _reflected(operator.sub)
    __rmul__: _Arithmetic = _reflected(operator.mul)
    __rtruediv__: _Arithmetic = _reflected(operator.truediv)
    __rfloordiv__: _Arithmetic = _reflected(operator.floordiv)
    __rmod__: _Arithmetic = _reflected(operator.mod)
    __rpow__: _Arithmetic = _reflected(operator.pow)
    __lt__: _Order = _of_int(operator.lt)
    __le__: _Order = _of_int(operator.le)
    __gt__: _Order = _of_int(operator.gt)
    __ge__: _Order = _of_int(operator.ge)

    def __neg__(self) -> int:
        return -int(self)

    def __eq__(self, other: object, /) -> bool:
        return bool(self) == (bool(other) if isinstance(other, Condition) else other)

    def __hash__(self) -> int:
        return hash(bool(self))

    def __and__(self, other: Condition | bool, /) -> Condition:
        return _combine(ops.and_, self, other)

    def __rand__(self, other: bool, /) -> Condition:
        return _combine(ops.and_, other, self)

    def __or__(self, other: Condition | bool, /) -> Condition:
        return _combine(ops.or_, self, other)

    def __ror__(self, other: bool, /) -> Condition:
        return _combine(ops.or_, other, self)

    def __invert__(self) -> Condition:
        return condition(ops.not_, self.indicator)

    def __repr__(self) -> str:
        return f"<Condition %{self._slot} = {primal(self._value) != 0.0}>"


def condition(row: Primitive, *operands: Operand) -> Condition:
    """The condition that a row with truth values gives on traced numbers."""
    indicator = innermost(operands).apply(row, operands)
    if type(indicator) is Var:
        return _made(Condition(), indicator)
    return cast(Condition, serving("recording.array_var").ArrayCondition.of(indicator))


N = TypeVar("N", "Var", Condition)


def _made(empty: N, other: Var | Condition) -> N:
    """A number or a condition of the same entry as another."""
    empty._recorder, empty._slot, empty._value = other._recorder, other._slot, other._value
    return empty


def _is_key(number: float) -> bool:
    """Whether a dict tells a number from others as their bits do."""
    return bool(number == number if number else copysign(1.0, number) > 0.0)


def promote(value: object) -> Operand | None:
    """A number of Python or numpy, or a traced one, as an operand; else None."""
    if type(value) is float or isinstance(value, TracedValue):
        return value
    if is_array(value):
        return cast(Operand, serving("recording.array_values").operand(value))
    number = float(cast(bool, value)) if is_truth(value) else as_number(value)
    if number is None and is_frame(value):
        return promote(cast(Any, value).to_numpy())
    return number


def _apply_to_numbers(row: Primitive, *values: object) -> object:
    """Applies a row to numbers of any kind, some of them traced, as numpy would its function."""
    operands = tuple(x for x in map(promote, values) if x is not None)
    if len(operands) < len(values):
        raise TracedNumberError(f"{row.name} at {here()} takes numbers, not {values!r}")
    if not any(isinstance(x, Var) for x in operands):
        return row(*operands)
    if row is ops.pow and not isinstance(operands[1], Var):
        row = ops.powc
    return condition(row, *operands) if row.is_truth else row(*operands)


for _name, _method in numpy_protocol.methods(_apply_to_numbers).items():
    setattr(Var, _name, _method)


_NUMBERS: Final = frozenset((float, Var))


def applied(row: Primitive, x: Operand, y: Operand) -> Var:
    """The operator of a row on numbers of any kind, in whatever recording."""
    if type(x) in _NUMBERS and type(y) in _NUMBERS and not row.has_static:
        return _latest(x, y).binary(row, x, y)
    left, right = promote(x), promote(y)
    if left is None or right is None:
        _require_number(y if right is None else x)
        return cast(Var, NotImplemented)
    recorder = innermost((left, right))
    if row.has_static:
        return recorder.apply(row, (left, right))
    return recorder.binary(row, left, right)


def _latest(x: Any, y: Any) -> Recorder:
    """The recording that was opened last, of a traced number and another one or a float."""
    has_other = type(x) is float or (type(y) is Var and y._recorder.serial > x._recorder.serial)
    latest: Recorder = (y if has_other else x)._recorder
    return latest


def compared(row: Primitive, x: Var, y: object) -> Condition:
    """The comparison of a traced number with anything."""
    other = promote(y)
    if other is None and _is_other_number(y):
        _require_number(y)
    return NotImplemented if other is None else condition(row, x, other)


def _require_number(value: object) -> None:
    """Raises for what Python has no arithmetic with floats for, and for other kinds of numbers.

    Anything else may know what to do with a traced number.
    """
    cure = "pass a float"
    if type(value) in {list, tuple, dict, set, range}:
        cure = "write a list comprehension, or numpy.array(...) around it"
    elif type(value) is complex:
        cure = "keep its real and imaginary parts as two numbers"
    elif type(value) in {str, bytes}:
        cure = "write float(...) around it, or f'{x}' for a text"
    elif _is_other_number(value):
        cure = "write float(...) around it"
    elif value is not None:
        return
    raise InputError(f"an operand is {describe(value)}, not a number ({here()}): {cure}")


def _is_other_number(value: object) -> bool:
    """Whether a value is a complex number, a ``Decimal`` or a ``Fraction``, which are refused."""
    kind = type(value)
    return kind is complex or f"{kind.__module__}.{kind.__name__}" in _OTHER_NUMBERS


_OTHER_NUMBERS: Final = frozenset(("decimal.Decimal", "fractions.Fraction"))


def _combine(row: Primitive, x: Condition | bool, y: Condition | bool) -> Condition:
    if isinstance(x, Var) or isinstance(y, Var):
        return NotImplemented
    if shape_of(x) or shape_of(y):
        return cast(Condition, serving("recording.array_var").combined(row, x, y))
    return condition(row, _indicator(x), _indicator(y))


def _indicator(condition: Condition | bool) -> Operand:
    return condition.indicator if isinstance(condition, Condition) else float(condition)


def innermost(operands: tuple[Operand, ...]) -> Recorder:
    """Of the open recordings among the operands, the one that was opened last."""
    innermost: Recorder | None = None
    for operand in operands:
        if isinstance(operand, TracedValue):
            recorder = operand._recorder
            if innermost is None or recorder.serial > innermost.serial:
                innermost = recorder
    return cast(Recorder, innermost)


_serial = attrgetter("serial")


def _whole(x: Operand, what: str) -> int:
    """The int that a whole traced number is, after recording a guard."""
    traced = cast(Var, x)
    found = traced._recorder.guard(ops.whole, traced)._primal()
    if isfinite(found):
        return int(found)
    error, name = (ValueError, "nan") if isnan(found) else (OverflowError, "an infinity")
    raise error(f"{what} at {here()} is asked of {name}, which is no int: test it before")


def _refuse(x: Var, what: str, instead: str) -> NoReturn:
    path = x._recorder.data_behind(x._slot)
    if path is not None:
        raise TracedNumberError(
            f"{what} at {here()} is asked of data that is recorded, {path}: pass "
            f'static_argnames=("{path.partition(":")[0]}",) to get it as it is, or write {instead}'
        )
    raise TracedNumberError(
        f"{what} at {here()} would drop the derivative of a traced number: write {instead} instead"
        f"{solver_hint()}"
    )


def recorder_among(values: object) -> Recorder | None:
    """The innermost recording found in a value, containers searched as inputs are."""
    found = [leaf._recorder for leaf in traced_leaves(values) if isinstance(leaf, TracedValue)]
    return max(found, key=_serial, default=None)
