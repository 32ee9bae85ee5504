"""Values of loops that others compute again where they read them, instead of being kept.

What pieces read of a loop has a place of the buffer for each iteration. Where it is a quick
operation or two away from inputs, constants and what is kept in any case, each piece that reads it
computes it from these, to the same bits, and it needs no place.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias, final

import attrs

from tapegrad.compile.loops import Line, Piece, Read, Source, Table, bits_of
from tapegrad.compile.program import Program, renumbered
from tapegrad.ops import table as ops
from tapegrad.ops.primitive import Primitive

__all__ = ["computed_again"]

_EFFORT: Final = 2
"""The most operations by which a value is computed again."""
_OUTSIDE: Final = 4
"""The most numbers beside a loop that are looked at for one read, each by itself."""


def computed_again(line: Line, pieces: Sequence[Piece], split: int) -> tuple[Piece, ...]:
    """The pieces of a line, whose bodies compute again what then need not be kept.

    No loop goes through the inputs on both sides of ``split``.
    """
    finder = _Finder(line, pieces, split)
    return tuple(
        _rewritten(piece, finder.found[index]) if finder.found[index] else piece
        for index, piece in enumerate(pieces)
    )


@final
@attrs.frozen
class _Made:
    """A value that is computed again."""

    row: Primitive
    operands: tuple[_Operand, ...]


_Operand: TypeAlias = "_Made | Read | bytes"
_Entry: TypeAlias = "tuple[int, int]"
"""A piece by its index, and one of its entries."""


@final
@attrs.frozen
class _Row:
    """The values of an entry from iteration ``turn`` by ``step``, as a read goes through them."""

    entry: _Entry
    turn: int
    step: int

    @property
    def home(self) -> int:
        """The piece of the entry."""
        return self.entry[0]


@final
class _Finder:
    """Finds what is computed again: for each piece, by what it read.

    ``rows`` has the reads of entries that are kept for all iterations. Of these the ``needed`` are
    kept, since others are made of them.
    """

    def __init__(self, line: Line, pieces: Sequence[Piece], split: int) -> None:
        self.line, self.pieces, self.split = line, pieces, split
        self.firsts = [piece.first for piece in pieces]
        self.found: list[dict[Read, _Made]] = [{} for _ in pieces]
        self.rows: dict[_Entry, list[tuple[int, Read]]] = {}
        self.needed: set[_Entry] = set()
        self.dropped: set[_Entry] = set()
        for index, piece in enumerate(pieces):
            for source in piece.sources:
                row = self.row(index, source)
                if row is not None and isinstance(source, Read):
                    self.rows.setdefault(row.entry, []).append((index, source))
        for entry in sorted(self.rows):
            self.drop(entry)

    def drop(self, entry: _Entry) -> None:
        """Lets all that read an entry compute it again, if each can."""
        if entry in self.needed:
            return
        needed: set[_Entry] = set()
        made = [(i, x, self.made(i, x, needed, _EFFORT)) for i, x in self.rows[entry]]
        if entry not in needed and all(one is not None for *_, one in made):
            self.dropped.add(entry)
            self.needed |= needed
            for index, read, one in made:
                if one is not None:
                    self.found[index][read] = one

    def row(self, index: int, source: Source) -> _Row | None:
        """The entry of another loop that a source of a piece goes through, if it is one."""
        if isinstance(source, Table) or source.first < self.firsts[0]:
            return None
        home = self.home(source.at(self.pieces[index].count // 2))
        piece = self.pieces[home]
        if home == index or piece.count == 1 or source.step % piece.length:
            return None
        turn, entry = divmod(source.first - piece.first, piece.length)
        if not source.step and turn == piece.count - 1:
            return None  # one number, whatever is kept
        return _Row((home, entry), turn, source.step // piece.length)

    def home(self, number: int) -> int:
        """The piece that makes a number."""
        return bisect_right(self.firsts, number) - 1

    def made(self, index: int, read: Read, needed: set[_Entry], effort: int) -> _Made | None:
        """A value that a piece reads as a few operations; adds what these need of what is kept."""
        row = self.row(index, read)
        if row is None or not effort:
            return None
        piece = self.pieces[row.home]
        slot = piece.start + row.entry[1]
        operation = piece.body.rows[slot]
        operands = [self.operand(piece, row, operand) for operand in piece.body.operands[slot]]
        if not operation.quick or not self.is_right(index, read, row, operands):
            return None
        found: list[_Operand] = []
        for operand in operands:
            one = self.at_hand(index, row.home, operand, needed, effort)
            if one is None:
                return None
            found.append(one)
        return _Made(operation, tuple(found))

    def at_hand(
        self, index: int, home: int, operand: _Operand | None, needed: set[_Entry], effort: int
    ) -> _Operand | None:
        """An operand that a piece may read, or what it makes it of."""
        if isinstance(operand, Read) and not self.is_there(index, home, operand, needed):
            return self.made(index, operand, needed, effort - 1)
        return operand

    def operand(self, piece: Piece, row: _Row, slot: int) -> Read | bytes | None:
        """The operand of an entry in the iterations in which that is read; None for a table."""
        body = piece.body
        if slot in body.constants:
            return bits_of(body.constants[slot])
        if slot >= piece.start:
            source: Source = Read(piece.first + slot - piece.start, piece.length)
        else:
            source = piece.sources[slot]
        if isinstance(source, Table):
            return None
        return Read(source.at(row.turn), source.step * row.step)

    def is_right(
        self, index: int, read: Read, row: _Row, operands: Sequence[Read | bytes | None]
    ) -> bool:
        """Whether all numbers that are read are made so, those beside the loop, too."""
        outside = [*self.outside(self.pieces[index].count, row)]
        if None in operands or len(outside) > _OUTSIDE:
            return False
        piece, line, program = self.pieces[row.home], self.line, self.line.program
        operation = piece.body.rows[piece.start + row.entry[1]]
        entries = range(len(line.slots) - len(program.outputs))
        for turn in outside:
            place = read.at(turn) - program.inputs
            if place not in entries or program.rows[line.slots[place]] is not operation:
                return False
            found = [line.read(place, operand) for operand in range(len(operands))]
            if found != [x.at(turn) if isinstance(x, Read) else x for x in operands]:
                return False
        return True

    def outside(self, count: int, row: _Row) -> Iterator[int]:
        """The iterations of a reader in which it reads numbers beside the loop."""
        last = self.pieces[row.home].count
        return (turn for turn in range(count) if not 0 <= row.turn + turn * row.step < last)

    def is_there(self, index: int, home: int, read: Read, needed: set[_Entry]) -> bool:
        """Whether a piece may read this: as it does, or without more that is kept."""
        piece = self.pieces[index]
        if read.first < self.firsts[0]:
            return (read.first < self.split) == (read.at(piece.count - 1) < self.split)
        if read in self.found[index]:
            return False
        row = self.row(index, read)
        if row is None:
            return read in piece.sources or (not read.step and read.first < piece.first)
        if row.entry not in self.rows or row.entry in self.dropped:
            return False
        if read not in piece.sources and not self.may_read(index, home, read, row):
            return False
        needed.add(row.entry)
        return True

    def may_read(self, index: int, home: int, read: Read, row: _Row) -> bool:
        """Whether a piece may read what is kept, too: of the same loop, and of others as it can."""
        piece = self.pieces[index]
        if row.home != home and piece.count > 1:
            return False
        beside = [read.at(turn) for turn in self.outside(piece.count, row)]
        return all(self.firsts[0] <= number < piece.first for number in beside)


def _rewritten(piece: Piece, made: dict[Read, _Made]) -> Piece:
    """A piece whose body computes these of its sources."""
    return _Writer(piece, made).piece()


@final
class _Writer:
    """Writes a body anew: sources, constants, what is computed again, and the entries."""

    def __init__(self, piece: Piece, made: dict[Read, _Made]) -> None:
        self.old, self.made = piece, made
        self.sources: dict[Source, int] = {}
        self.constants: dict[bytes, int] = {}
        for source in piece.sources:
            if isinstance(source, Table) or source not in made:
                self.sources.setdefault(source, len(self.sources))
        for number in piece.body.constants.values():
            self.constants.setdefault(bits_of(number), len(self.constants))
        for one in made.values():
            self.collect(one)
        self.first = len(self.sources) + len(self.constants)
        self.written: dict[tuple[Primitive, tuple[int, ...]], int] = {}

    def collect(self, operand: _Operand) -> None:
        """Notes what is read and the constants."""
        if isinstance(operand, _Made):
            for one in operand.operands:
                self.collect(one)
        elif isinstance(operand, Read):
            self.sources.setdefault(operand, len(self.sources))
        else:
            self.constants.setdefault(operand, len(self.constants))

    def slot(self, operand: _Operand | Source) -> int:
        """The slot of an operand; what is computed again is written, once."""
        if isinstance(operand, bytes):
            return len(self.sources) + self.constants[operand]
        if isinstance(operand, Read | Table):
            return self.sources[operand]
        key = operand.row, tuple(map(self.slot, operand.operands))
        return self.written.setdefault(key, self.first + len(self.written))

    def piece(self) -> Piece:
        """The new piece."""
        old = self.old.body
        new = {}
        for slot, source in enumerate(self.old.sources):
            made = self.made.get(source) if isinstance(source, Read) else None
            new[slot] = self.slot(source if made is None else made)
        new |= {slot: self.slot(bits_of(x)) for slot, x in old.constants.items()}
        start = self.first + len(self.written)
        new |= {slot: start + place for place, slot in enumerate(self.old.entries)}
        return attrs.evolve(
            self.old,
            body=self.body(old, new),
            sources=tuple(self.sources),
            again=len(self.written),
        )

    def body(self, old: Program, new: dict[int, int]) -> Program:
        """The new body, whose slots are the ``new`` ones of the old."""
        inputs, entries = len(self.sources), self.old.entries
        return attrs.evolve(
            old,
            rows=[
                *[ops.input] * inputs,
                *[ops.constant] * len(self.constants),
                *[row for row, _ in self.written],
                *[old.rows[slot] for slot in entries],
            ],
            operands=[
                *[()] * self.first,
                *[operands for _, operands in self.written],
                *[tuple(new[x] for x in old.operands[slot]) for slot in entries],
            ],
            constants={
                inputs + place: struct.unpack("d", x)[0] for x, place in self.constants.items()
            },
            statics=renumbered(old.statics, new),
            expected=renumbered(old.expected, new),
            skip_where={new[slot]: new[skip] for slot, skip in old.skip_where.items()},
            inputs=inputs,
            outputs=tuple(new[slot] for slot in old.outputs),
        )
