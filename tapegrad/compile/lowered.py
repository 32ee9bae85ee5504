"""The entries of a program while they are written, and what each entry of the tape has become."""

from __future__ import annotations

from tapegrad.compile.keys import Keys
from tapegrad.entries.builder import Builder, Place
from tapegrad.entries.columns import EntryColumns
from tapegrad.entries.repeats import Repeat

__all__ = ["Lowered"]


class Lowered(Builder):
    """The entries of a program, before those that nothing needs are left out.

    ``places`` says what each entry of the tape became; ``guards`` are the slots there of the guards
    ``expected``. The entries of ``stretches`` are those of their first trips, moved on.
    """

    def __init__(self, columns: EntryColumns) -> None:
        super().__init__(columns.table)
        self.columns = columns
        self.expected: dict[int, bool] = {}
        self.guards: list[int] = []
        self.skip_where: dict[int, int] = {}
        self.places: list[Place] = []
        self.inputs = 0
        self.stretches: list[Repeat] = []

    def watched(self) -> Keys:
        """The keys of the entries, which are watched from the first loop on."""
        if not isinstance(self.known, Keys):
            self.known = Keys(self.known)
        return self.known
