"""Which entries of a program are done row by row: steps on large arrays that end in sums.

A *row* is what an array has at one place of its first axis. A *nest* is made of entries whose
arrays have equally many rows, and of which what is computed of a row depends on that row alone:
steps element by element, sums and extremes along axes, and, at the end, sums of all rows. So what
the nest alone reads needs no more memory than a few rows have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Final, Literal, TypeAlias, cast, final

import attrs

from tapegrad.compile.arrays.calls import REDUCED
from tapegrad.compile.arrays.chains import MOST_NUMBERS
from tapegrad.compile.backends.llvm.array_nest import EACH
from tapegrad.compile.program import NUMBER, Form, Program, renumbered
from tapegrad.ops import array_rows as rows
from tapegrad.ops import table as ops
from tapegrad.ops.array_passes import is_exact, ufunc_of
from tapegrad.ops.primitive import Primitive, Shape

__all__ = ["Kind", "Nest", "arranged", "function_of_step"]

_LEAST_ROWS: Final = 8
_LONGEST_ROW: Final = 1 << 16
"""The most numbers of a row."""
_MOST_ENTRIES: Final = 48
"""The most entries of a nest, so that it compiles in little time."""
_TRIES: Final = 2
"""How often an entry may be in a nest that comes to nothing, and begin another one."""
_FARTHEST: Final = 512
"""The most entries among which those of a nest stand."""

Kind: TypeAlias = Literal["each", "along", "across", "onto", "view"]
"""How an entry goes: element by element, along the last axes, across the first, or onto one row.

A view shows what another entry of the nest computes.
"""

Along: TypeAlias = tuple[Shape, bool]
"""The axes that are taken together, and whether they stay, with length 1."""


@final
@attrs.frozen(eq=False)
class Nest:
    """Entries of a program that follow one another, and how each goes.

    Of those that are ``kept``, something else reads what they compute.
    """

    program: Program
    kinds: Mapping[int, Kind]
    kept: Collection[int]

    @property
    def count(self) -> int:
        """How many rows there are."""
        return self.program.forms[min(self.kinds)].shape[0]

    def root(self, slot: int) -> int:
        """The entry that has the numbers of a view in the nest."""
        while self.kinds.get(slot) == "view":
            slot = self.program.operands[slot][0]
        return slot


def arranged(program: Program) -> tuple[Program, list[Nest]]:
    """A program that does the same, in which the entries of nests follow one another."""
    found = _Finder(program)
    order = [*range(program.inputs), *found.order(range(program.inputs, len(program)))]
    if not found.nests:
        return program, []
    new = {slot: place for place, slot in enumerate(order)}
    moved = attrs.evolve(
        program,
        rows=[program.rows[slot] for slot in order],
        operands=[tuple(new[x] for x in program.operands[slot]) for slot in order],
        constants=renumbered(program.constants, new),
        statics=renumbered(program.statics, new),
        expected=renumbered(program.expected, new),
        skip_where=renumbered(program.skip_where, new),
        outputs=tuple(new[slot] for slot in program.outputs),
        forms=[program.forms[slot] for slot in order],
    )
    nests = [
        Nest(moved, renumbered(nest.kinds, new), {new[slot] for slot in nest.kept})
        for nest in found.nests
    ]
    return moved, nests


def function_of_step(row: Primitive) -> str:
    """The name of numpy's function that a step applies."""
    if row is ops.where:
        return "choose"
    if row in {ops.maximum, ops.minimum}:
        return row.name
    function = REDUCED.get(row) or (ufunc_of(row) if is_exact(row) else None)
    return "" if function is None else function.__name__


@final
class _Finder:
    """Finds the nests of a program, and an order of entries in which those of each are together."""

    def __init__(self, program: Program) -> None:
        self.program, self.forms = program, program.forms
        self.nests: list[Nest] = []
        self.taken: set[int] = {
            slot for slot, row in enumerate(program.rows) if row in _ALONG and self.is_large(slot)
        }
        self.readers: list[list[int]] = [[] for _ in program.rows]
        for slot, operands in enumerate(program.operands):
            for operand in operands:
                self.readers[operand].append(slot)

    def order(self, slots: Sequence[int]) -> list[int]:
        """The slots in order."""
        found: list[int] = []
        tried: Counter[int] = Counter()
        place = 0
        while place < len(slots):
            slot = slots[place]
            if tried[slot] > _TRIES or not self.may_begin(slots[place : place + _FARTHEST]):
                place += 1
                continue
            tried[slot] = _TRIES + 1
            nest, early, late = self.nest(slots[place:], tried)
            if self.pays(nest.kinds):
                self.nests.append(nest)
                found += [*slots[:place], *early, *nest.kinds]
                slots, place = late, 0
        return [*found, *slots]

    def is_large(self, slot: int) -> bool:
        """Whether many numbers are taken together along some axes."""
        (operand,) = self.program.operands[slot]
        shape, (axes, _) = self.forms[operand].shape, cast(Along, self.program.statics[slot])
        return prod(shape) > MOST_NUMBERS and len(axes) < len(shape)

    def may_begin(self, slots: Sequence[int]) -> bool:
        """Whether a nest of some entries may begin with the first."""
        slot, shape = slots[0], self.forms[slots[0]].shape
        if len(shape) < 2 or shape[0] < _LEAST_ROWS or prod(shape) <= MOST_NUMBERS:
            return False
        if self.taken.isdisjoint(slots):
            return False
        return _Rows(self.program, shape[0]).kind(slot, {}) in {"each", "along"}

    def nest(self, slots: Sequence[int], tried: Counter[int]) -> tuple[Nest, list[int], list[int]]:
        """A nest that begins with the first of some entries, and what comes before and after it.

        Those that were in it at some time are ``tried``, and begin few others.
        """
        rows = _Rows(self.program, self.forms[slots[0]].shape[0])
        without: set[int] = set()
        while True:
            kinds, early, late = rows.parted(slots, without)
            left_out = self.left_out(kinds)
            if not left_out or not self.pays(kinds):
                tried.update({*kinds, *without})
                return Nest(self.program, kinds, self.kept(kinds)), early, late
            without |= left_out

    def left_out(self, kinds: Mapping[int, Kind]) -> set[int]:
        """Entries that had better be elsewhere.

        That are truth values and whole numbers that others read, and what is neither taken together
        nor read by what is, nor computed from that.
        """
        found = {slot for slot in self.kept(kinds) if self.forms[slot].kind != "d"}
        after, read = self.after(kinds), set[int]()
        for slot in [*kinds][::-1]:
            is_wide = prod(self.forms[slot].shape[1:]) > 1
            if slot in read or kinds[slot] in _TOGETHER or (slot in after and is_wide):
                read.update(self.program.operands[slot])
            else:
                found.add(slot)
        return found

    def after(self, kinds: Mapping[int, Kind]) -> set[int]:
        """The entries that are computed from what is taken together."""
        found: set[int] = set()
        for slot, kind in kinds.items():
            if kind in _TOGETHER or not found.isdisjoint(self.program.operands[slot]):
                found.add(slot)
        return found

    def kept(self, kinds: Mapping[int, Kind]) -> set[int]:
        """The entries that something outside of a nest reads."""
        found: set[int] = set()
        for slot in [*kinds][::-1]:
            is_read = any(reader not in kinds for reader in self.readers[slot])
            if is_read or slot in self.program.outputs or slot in found:
                found.add(slot)
                found.update(self.program.operands[slot] if kinds[slot] == "view" else ())
        return found

    def pays(self, kinds: Mapping[int, Kind]) -> bool:
        """Whether something large that a nest computes is taken together in it."""
        return any(
            kinds[slot] in _TOGETHER and self.program.operands[slot][0] in kinds
            for slot in self.taken.intersection(kinds)
        )


@final
@attrs.frozen(eq=False)
class _Rows:
    """Decides which entries of a program belong to a nest of so many rows."""

    program: Program
    count: int

    def parted(
        self, slots: Sequence[int], without: Collection[int]
    ) -> tuple[dict[int, Kind], list[int], list[int]]:
        """The entries of a nest, and others that come before and after it."""
        kinds: dict[int, Kind] = {}
        early: list[int] = []
        late: list[int] = []
        closed: set[int] = set()
        for place, slot in enumerate(slots[:_FARTHEST]):
            operands, row = self.program.operands[slot], self.program.rows[slot]
            if len(kinds) == _MOST_ENTRIES or _may_leave(row):
                return kinds, early, [*late, *slots[place:]]
            is_late = not closed.isdisjoint(operands)
            kind = None if is_late or slot in without else self.kind(slot, kinds)
            if kind is not None:
                kinds[slot] = kind
            elif is_late or not kinds.keys().isdisjoint(operands):
                late.append(slot)
                closed.add(slot)
            else:
                early.append(slot)
            if kind == "onto":
                closed.add(slot)
        return kinds, early, [*late, *slots[_FARTHEST:]]

    def kind(self, slot: int, inside: Mapping[int, Kind]) -> Kind | None:
        """How an entry goes; None where it does not belong to a nest with these entries."""
        row, form = self.program.rows[slot], self.program.forms[slot]
        if row is rows.sum_ and self.is_over_rows(slot, inside):
            return "onto"
        is_of_rows = self.has_rows(form) and form.in_order and prod(form.shape[1:]) > 0
        if not is_of_rows or prod(form.shape[1:]) > _LONGEST_ROW:
            return None
        if form.is_view:
            return "view" if self.is_same(slot, inside) else None
        if row in _ALONG:
            return self.kind_along(slot, inside)
        return "each" if self.is_each(slot, inside) else None

    def has_rows(self, form: Form) -> bool:
        """Whether the first axis is that of the rows."""
        return form.shape[:1] == (self.count,)

    def is_same(self, slot: int, inside: Mapping[int, Kind]) -> bool:
        """Whether a view shows the numbers of another entry, in their order."""
        (base,), forms = self.program.operands[slot][:1], self.program.forms
        is_one = self.program.rows[slot] in {rows.reshape, rows.getitem} and base in inside
        return is_one and prod(forms[base].shape) == prod(forms[slot].shape)

    def is_each(self, slot: int, inside: Mapping[int, Kind]) -> bool:
        """Whether an entry goes element by element, on rows and on what is the same for all."""
        row, form = self.program.rows[slot], self.program.forms[slot]
        operands = self.program.operands[slot]
        function = function_of_step(row)
        if function not in EACH or form.kind != ("?" if row.is_truth else "d"):
            return False
        if row is ops.where and not self.is_truth(operands[0], inside):
            return False
        if len(form.shape) == 1 and inside.keys().isdisjoint(operands):
            return False
        return all(self.is_read(x, inside, len(form.shape)) for x in operands)

    def is_truth(self, slot: int, inside: Mapping[int, Kind]) -> bool:
        """Whether an entry of the nest has truth values."""
        return slot in inside and self.program.forms[slot].kind == "?"

    def is_read(self, slot: int, inside: Mapping[int, Kind], axes: int) -> bool:
        """Whether a step on arrays of so many axes can read an entry."""
        form = self.program.forms[slot]
        if form is NUMBER:
            return True
        if slot in inside:
            return len(form.shape) == axes
        is_fixed = len(form.shape) < axes or form.shape[0] == 1
        return form.kind == "d" and form.in_order and (is_fixed or self.has_rows(form))

    def kind_along(self, slot: int, inside: Mapping[int, Kind]) -> Kind | None:
        """How an entry goes that is taken together along axes of rows."""
        (operand,) = self.program.operands[slot]
        row, form = self.program.rows[slot], self.program.forms[operand]
        axes, _ = cast(Along, self.program.statics[slot])
        is_row = self.has_rows(form) and self.is_read(operand, inside, len(form.shape))
        if not is_row or not axes or not 0 < prod(form.shape[1:]) <= _LONGEST_ROW:
            return None
        is_number = form.kind == "d" and self.program.forms[slot].kind == "d"
        if tuple(axes) == tuple(range(axes[0], len(form.shape))):
            return "along" if is_number or (row is rows.sum_ and form.kind == "?") else None
        is_first = tuple(axes) == tuple(range(1, len(axes) + 1))
        is_sum = row is rows.sum_ and is_number and prod(form.shape[len(axes) + 1 :]) > 1
        return "across" if is_first and is_sum else None

    def is_over_rows(self, slot: int, inside: Mapping[int, Kind]) -> bool:
        """Whether an entry is the sum of rows that are computed in the nest."""
        (operand,) = self.program.operands[slot]
        axes, _ = cast(Along, self.program.statics[slot])
        shape = self.program.forms[operand].shape
        is_computed = inside.get(operand) in {"each", "along", "across"}
        is_d = self.program.forms[operand].kind == "d"
        return axes == (0,) and is_computed and is_d and prod(shape[1:]) > 1


_ALONG: Final = frozenset({rows.sum_, rows.amin, rows.amax})
_TOGETHER: Final = frozenset({"along", "across", "onto"})


def _may_leave(row: Primitive) -> bool:
    """Whether code may end at an entry, or calls what the user wrote."""
    has_loop = row.array is not None and row.array.expand is not None
    return row.kind == "guard" or has_loop or not row.module.startswith("tapegrad.")
