"""What a reader calls the entries of a tape: inputs by path, others by label or slot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from typing import Final, final

from tapegrad._support.source_position import here
from tapegrad._support.text import visible
from tapegrad.entries.entries import Entries
from tapegrad.errors import InputError
from tapegrad.ops.primitive import Primitive
from tapegrad.pytree.structure import key_paths

__all__ = ["Names", "nearest", "sign"]

_SHOWN: Final = 6
"""So many operands, or names to choose from, are told one by one."""


@final
class Names:
    """The names on one tape, looked up in both directions."""

    paths: tuple[str, ...]
    labels: dict[int, str]

    def __init__(self, tape: Entries) -> None:
        self.tape = tape
        self.paths = tape.paths
        self.labels = dict(tape.labels)

    def __getitem__(self, slot: int) -> str:
        """The label, the path of an input, or ``%17``."""
        path = self.paths[slot] if slot < len(self.paths) else f"%{slot}"
        return visible(self.labels.get(slot, path))

    def call(self, slot: int) -> str:
        """The operation of an entry, applied to names: ``mul(vol, %3)``."""
        columns = self.tape.columns
        operands = columns.operands(slot)
        shown = [self[operand] for operand in operands[:_SHOWN]]
        if len(operands) > _SHOWN:
            shown.append(f"... {len(operands) - _SHOWN:,} more")
        shown += map(str, columns.static(slot))
        name = columns.row(slot).name.rstrip("_")
        return f"{name}({', '.join(shown)})" if shown else name

    def slot(self, name: str | int, *, inputs_first: bool) -> int:
        """The one entry of that name.

        Raises:
            InputError: when nothing has the name, or several labels are that name.
        """
        if isinstance(name, int):
            return self._within(name)
        groups = (self._inputs, self._outputs) if inputs_first else (self._outputs, self._inputs)
        for group in groups:
            if name in group:
                return group[name]
        slots = [slot for slot, label in self.tape.labels if label == name]
        if len(slots) == 1:
            return slots[0]
        raise InputError(self._several(name, slots) if slots else self._unknown(name))

    def _within(self, slot: int) -> int:
        if 0 <= slot < len(self.tape):
            return slot
        raise InputError(
            f"{slot} ({here()}) is not a slot of a tape of {len(self.tape):,} entries: give one of "
            f"0 to {len(self.tape) - 1}, or a name"
        )

    @cached_property
    def _inputs(self) -> Mapping[str, int]:
        return {path: slot for slot, path in enumerate(self.paths)}

    @cached_property
    def _outputs(self) -> Mapping[str, int]:
        found = key_paths(self.tape.result)
        return {path: slot for path, slot in zip(found, self.tape.outputs, strict=True) if path}

    def _several(self, name: str, slots: list[int]) -> str:
        more = ", ..." if len(slots) > _SHOWN else ""
        return (
            f"{len(slots):,} entries are labelled {name!r} ({here()}): give one of their slots, "
            f"{', '.join(map(str, slots[:_SHOWN]))}{more}"
        )

    def _unknown(self, name: str) -> str:
        known = dict.fromkeys((*self.labels.values(), *self._outputs, *self._inputs))
        return f"nothing on this tape is called {name!r} ({here()}): {nearest(name, known)}"


def sign(row: Primitive) -> str:
    """What a row is written as; a helper may share its symbol with the row it helps.

    >>> from tapegrad.ops import table as ops
    >>> sign(ops.div), sign(ops.div2), sign(ops.tanh)
    ('/', 'div2', 'tanh')
    """
    return row.name.rstrip("_") if row.helper else row.symbol


def nearest(name: str, known: Mapping[str, object]) -> str:
    """What to write instead of a name that is not among those known.

    >>> nearest("prize", {"price": 1, "spot": 2})
    'did you mean price?'
    >>> nearest("q", {"price": 1, "spot": 2})
    'use price, spot'
    """
    from difflib import get_close_matches

    close = get_close_matches(name, known)
    if close:
        return f"did you mean {' or '.join(map(visible, close))}?"
    shown = [visible(each) for each in islice(known, _SHOWN)]
    more = f" or {len(known) - _SHOWN:,} more" if len(known) > _SHOWN else ""
    return f"use {', '.join(shown)}{more}" if shown else "there is none"
