"""Writes a tape on which some values are arrays as a program.

Equal entries are shared, those of constants are constants, and neutral operations are dropped where
the operand stands in memory as the result does: what numpy computes depends on that in its last
bits. Some rows are spelled in the steps that compute them (``ops.array_steps``), which are then
shared.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Final, cast, final

import attrs
import numpy as np

from tapegrad.compile.lower import lower as numbers_lowered
from tapegrad.compile.lowered import Lowered
from tapegrad.compile.needed import Needed
from tapegrad.compile.program import NUMBER, Form, Program
from tapegrad.entries.builder import Place, place_of
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.entries import Entries
from tapegrad.entries.expand import expand
from tapegrad.entries.static_keys import static_key
from tapegrad.ops import table as ops
from tapegrad.ops.array_passes import is_exact
from tapegrad.ops.array_rows import getitem, matmul
from tapegrad.ops.array_steps import STEPS
from tapegrad.ops.lowering import Usually
from tapegrad.ops.primitive import Operand, Primitive, primal

__all__ = ["program_of"]


_MOST_READ: Final = 16
"""The most numbers of arrays, for each entry, that are taken one by one."""


def program_of(tape: Entries, columns: EntryColumns, **options: bool) -> Program:
    """The program of a tape with arrays, of these columns: what its outputs and guards need.

    Results have the tape's bits. Where arrays are only read number by number, as by a loop over
    data, it is a program of numbers, whose inputs are those of the arrays; the options are those
    of the lowering of such.
    """
    if not _reads_numbers(columns, tape.outputs):
        lowering = _Lowering(columns)
        lowering.lower(tape.outputs)
        return lowering.program([lowering.slot(lowering.places[at]) for at in tape.outputs])
    expanded = expand(tape)
    program = numbers_lowered(expanded.columns.as_lists(), expanded.outputs, **options)
    guards = dict(zip(expanded.columns.guards(), columns.guards(), strict=True))
    return attrs.evolve(program, guards=tuple(guards[slot] for slot in program.guards))


def _reads_numbers(columns: EntryColumns, outputs: Sequence[int]) -> bool:
    """Whether all that is computed are numbers, of parts of arrays that are numbers."""
    read = 0
    for slot, value in enumerate(columns.values):
        row, size = columns.row(slot), np.size(cast(Any, value))
        if row.kind in {"input", "constant"}:
            read += size if type(value) is not float else 0
        elif type(value) is not float or (row.array is not None and row is not getitem):
            return False
    is_small = read <= _MOST_READ * len(columns)
    return is_small and all(type(columns.values[output]) is float for output in outputs)


@final
class _Lowering(Lowered):
    """Writes the entries of a tape; ``forms`` has the form of each entry that was written.

    ``form`` is that of the tape's entry for which something is written, whose row is ``row``, and
    which ``reads`` others. The tape's entries are ``shown`` in such forms.
    Arrays on the tape that are one number everywhere are ``uniform``, and become that number.
    """

    reads: tuple[int, ...]
    shown: list[Form]

    def __init__(self, columns: EntryColumns) -> None:
        super().__init__(columns)
        self.forms: list[Form] = []
        self.form, self.row, self.reads = NUMBER, ops.input, ()
        self.uniform: set[int] = set()
        self.shown = _forms(columns)

    def lower(self, outputs: Sequence[int]) -> None:
        """Writes the entries of the tape, and the ``outputs`` as arrays if they are such there."""
        for slot in range(len(self.columns)):
            self.begin(slot)
            self.places.append(self.special(slot) if self.form is NUMBER else self.array(slot))
        for slot in outputs:
            self.make_whole(slot)

    def begin(self, slot: int) -> None:
        """Turns to an entry of the tape."""
        self.form, self.row = self.shown[slot], self.columns.row(slot)
        self.reads = self.columns.operands(slot)

    def special(self, slot: int) -> Place:
        """Writes an entry that is a number."""
        value = self.columns.values[slot]
        if self.row.kind == "guard":
            (operand,) = self.reads
            self.guard(slot, self.places[operand], primal(value))
            return 0.0
        if self.row.kind == "input":
            return self.input()
        return value if self.is_constant() else self.applied(slot)

    def array(self, slot: int) -> Place:
        """Writes an entry that is an array."""
        if self.row.kind == "input":
            return self.input()
        place = self.everywhere()
        if place is None and self.is_constant():
            return self.constant(self.columns.values[slot])
        place = self.applied(slot) if place is None else place
        if not isinstance(place, int):
            self.uniform.add(slot)
        return place

    def everywhere(self) -> Place | None:
        """The number that an array is, if it is computed from uniform ones and numbers alone."""
        if self.uniform.isdisjoint(self.reads) or not is_exact(self.row):
            return None
        places = [self.places[operand] for operand in self.reads]
        if any(isinstance(place, int) for place in places):
            return None
        return self.row.value(*cast("list[float]", places))

    def make_whole(self, slot: int) -> None:
        """Writes a uniform array as an entry."""
        if slot in self.uniform:
            self.begin(slot)
            self.uniform.remove(slot)
            for operand in self.reads:
                self.make_whole(operand)
            self.begin(slot)
            places = [self.places[operand] for operand in self.reads]
            self.places[slot] = self.entry(self.row, places, self.columns.static(slot))

    def takes_numbers(self) -> bool:
        """Whether uniform operands of an entry may be numbers, as another has its shape."""
        shapes = [self.shown[x].shape for x in self.reads if x not in self.uniform]
        return self.row.array is None and self.form.shape in shapes

    def input(self) -> Place:
        """Writes an input."""
        self.inputs += 1
        return self.write(ops.input, ())

    def is_constant(self) -> bool:
        """Whether an entry is a constant, or computed from such alone."""
        for operand in self.reads:
            place = self.places[operand]
            if isinstance(place, int) and place not in self.constants:
                return False
        return True

    def applied(self, slot: int) -> Place:
        """Writes an entry that applies a row to others."""
        static = self.columns.static(slot)
        if not self.uniform.isdisjoint(self.reads) and not self.takes_numbers():
            for operand in self.reads:
                self.make_whole(operand)
            self.begin(slot)
        places = [self.places[operand] for operand in self.reads]
        if self.row is matmul:
            self.keep_apart(self.reads, places)
        spelled = STEPS.get(self.row) if self.form is not NUMBER else None
        found = spelled and spelled(*map(self.operand, places), *static)
        if found is None or isinstance(found, Usually):
            return self.apply(self.row, places, static)
        return place_of(found)

    def keep_apart(self, operands: Sequence[int], places: list[Place]) -> None:
        """Copies a factor which has become the same as the other.

        The product of a matrix and its own transpose is computed in another way.
        """
        x, y = places
        if not isinstance(x, int) or not isinstance(y, int) or self.root(x) != self.root(y):
            return
        if self.root_on_tape(operands[0]) != self.root_on_tape(operands[1]):
            places[1] = self.copied(y)

    def root_on_tape(self, slot: int) -> int:
        """The entry of the tape that has the memory of a view there."""
        while self.shown[slot].is_view:
            slot = self.columns.operands(slot)[0]
        return slot

    def root(self, slot: int) -> int:
        """The entry that has the memory of a view."""
        while self.forms[slot].is_view:
            slot = self.operands[slot][0]
        return slot

    def copied(self, slot: int) -> int:
        """A copy of an entry, which stands in memory as it does."""
        form, row, operands = self.forms[slot], self.rows[slot], self.operands[slot]
        if not form.is_view:
            return self.write(ops.detached, (slot,), form=Form(form.shape, form.kind))
        return self.write(row, (self.copied(operands[0]),), self.static(slot), form)

    def apply(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...] = ()
    ) -> Place:
        """The row applied to these operands; no rule is about entries that none sees through."""
        is_plain = row is not ops.neg and all(type(place) is int for place in places)
        if is_plain and self.seen_through.isdisjoint(places):
            return self.entry(row, places, static)
        return super().apply(row, places, static)

    def rewritten(
        self, row: Primitive, places: Sequence[Place], static: tuple[object, ...]
    ) -> Place | None:
        """Something simpler; the negative of a multiple is another multiple."""
        found = super().rewritten(row, places, static)
        if found is None and row is ops.neg and isinstance(places[0], int):
            place = places[0]
            factors = self.operands[place] if self.rows[place] is ops.mul else ()
            for side, slot in enumerate(factors):
                number = self.constants.get(slot)
                if isinstance(number, float):
                    other = factors[1 - side]
                    pair = (-number, other) if side == 0 else (other, -number)
                    return self.apply(ops.mul, pair)
        return found

    def neutral(self, row: Primitive, places: Sequence[Place]) -> Place | None:
        """The operand that the row gives back as it is, if it has the result's form."""
        kept = super().neutral(row, places)
        if isinstance(kept, int) and not self._stands_alike(self.forms[kept]):
            return None
        return kept

    def _stands_alike(self, form: Form) -> bool:
        wanted = self.form
        return (form.shape, form.kind, form.in_order) == (wanted.shape, wanted.kind, True)

    def key(self, row: Primitive, slots: tuple[int, ...], static: tuple[object, ...]) -> Hashable:
        return (row, slots, _static_key(static[0])) if static else super().key(row, slots, static)

    def constant_key(self, number: Operand) -> Hashable:
        if isinstance(number, np.ndarray):
            return number.shape, number.dtype.char, number.strides, number.tobytes()
        return super().constant_key(number)

    def write_constant(self, number: Operand) -> int:
        slot = len(self.rows)
        self.constants[slot] = number
        self.seen_through.add(slot)
        return self.write(ops.constant, (), form=_form_of(number))

    def write(
        self,
        row: Primitive,
        slots: tuple[int, ...],
        static: tuple[object, ...] = (),
        form: Form | None = None,
    ) -> int:
        """Writes an entry that is shared with none."""
        self.forms.append(self.form_of_entry(row) if form is None else form)
        return super().write(row, slots, static)

    def form_of_entry(self, row: Primitive) -> Form:
        """The form of an entry, which may be a step of how the tape's entry is spelled."""
        if self.form is NUMBER or row is self.row or row.kind == "guard":
            return NUMBER if row.kind == "guard" else self.form
        return Form(self.form.shape, "?" if row.is_truth else "d")

    def program(self, outputs: Sequence[int]) -> Program:
        """The entries that outputs and guards need, as a program."""
        needed = Needed(self, (*range(self.inputs), *outputs, *self.expected))
        return Program(
            rows=needed.kept(self.rows),
            operands=needed.operands(),
            constants=cast("dict[int, float]", needed.facts(self.constants)),
            statics=needed.facts(self.statics),
            expected=needed.facts(self.expected),
            skip_where={},
            guards=tuple(self.guards),
            inputs=self.inputs,
            outputs=tuple(needed.new[output] for output in outputs),
            forms=needed.kept(self.forms),
        )


def _forms(columns: EntryColumns) -> list[Form]:
    """The form of each entry of a tape."""
    known: dict[tuple[object, ...], Form] = {}
    found: list[Form] = []
    for slot, value in enumerate(cast("Sequence[Any]", columns.values)):
        if type(value) is float:
            found.append(NUMBER)
            continue
        form = value.shape, value.dtype.char, value.flags.c_contiguous, _is_view(columns, slot)
        found.append(known.get(form) or known.setdefault(form, Form(*form)))
    return found


def _is_view(columns: EntryColumns, slot: int) -> bool:
    """Whether an array has the memory of the entry's first operand."""
    rule = columns.row(slot).array
    if rule is None or rule.is_view is None or not rule.is_view(*columns.static(slot)):
        return False
    shown: Any = columns.values[columns.operands(slot)[0]]
    # What is reshaped may have to be copied; a number has no memory, and is given some.
    return type(shown) is float or np.may_share_memory(cast(Any, columns.values[slot]), shown)


def _form_of(value: Any) -> Form:
    """The form of a constant."""
    if type(value) is float:
        return NUMBER
    return Form(value.shape, value.dtype.char, value.flags.c_contiguous)


def _static_key(static: object) -> Hashable:
    """The key that equal static operands share: indices are compared by value, too."""
    if isinstance(static, tuple):
        return tuple(map(_static_key, static))
    if isinstance(static, slice):
        return slice, _static_key((static.start, static.stop, static.step))
    if isinstance(static, np.ndarray):
        return static.shape, static.dtype.str, static.tobytes()
    return type(static), static_key(static)
