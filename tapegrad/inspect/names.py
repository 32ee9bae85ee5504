"""Names of the entries of a tape: inputs by key path, labelled entries by label, others by slot."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from itertools import islice
from typing import Final, TypeVar, final

from tapegrad._support.source_position import here
from tapegrad._support.text import visible
from tapegrad.entries.entries import Entries
from tapegrad.errors import InputError
from tapegrad.inspect.static_text import static_text
from tapegrad.ops.primitive import Primitive
from tapegrad.pytree.structure import key_paths

__all__ = ["Names", "element_name", "nearest", "shortened", "sign"]

T = TypeVar("T")

_SHOWN: Final = 6
"""The most operands, or names to choose from, that are listed one by one."""


@final
class Names:
    """The names on one tape, looked up in both directions."""

    paths: tuple[str, ...]
    labels: dict[int, str]

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.paths = entries.paths
        self.labels = dict(entries.labels)

    def __getitem__(self, slot: int) -> str:
        """The name given to an entry, or ``%17``."""
        return self.given(slot) or f"%{slot}"

    def given(self, slot: int) -> str:
        """The label of an entry or else the key path of an input; empty for any other entry."""
        path = self.paths[slot] if slot < len(self.paths) else ""
        return visible(self.labels.get(slot) or path)

    def call(self, slot: int) -> str:
        """The operation of an entry, applied to names: ``mul(vol, %3)``."""
        columns = self.entries.columns
        shown = shortened(columns.operands(slot), self.__getitem__)
        row = columns.row(slot)
        shown += (static_text(row, static) for static in columns.static(slot))
        name = row.name.rstrip("_")
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
        slots = self._labelled(name)
        if len(slots) == 1:
            return slots[0]
        known = (*self.labels.values(), *self._outputs, *self._inputs)
        raise self._several(name, slots) if slots else _unknown(name, known)

    def slots(self, name: str | int) -> list[int]:
        """The entries labelled with a name, else the input of that key path; or the one slot.

        Raises:
            InputError: when nothing has the name.
        """
        if isinstance(name, int):
            return [self._within(name)]
        found = self._labelled(name)
        if not found and name not in self._inputs:
            raise _unknown(name, (*self.labels.values(), *self.paths))
        return found or [self._inputs[name]]

    def _labelled(self, name: str) -> list[int]:
        return [slot for slot, label in self.entries.labels if label == name]

    def _within(self, slot: int) -> int:
        count = len(self.entries)
        if 0 <= slot < count:
            return slot
        raise InputError(
            f"{slot} ({here()}) is not a slot of a tape of {count:,} entries: give one of "
            f"0 to {count - 1}, or a name"
        )

    @cached_property
    def _inputs(self) -> Mapping[str, int]:
        return {path: slot for slot, path in enumerate(self.paths)}

    @cached_property
    def _outputs(self) -> Mapping[str, int]:
        found = zip(key_paths(self.entries.result), self.entries.outputs, strict=True)
        return {path: slot for path, slot in found if path}

    def _several(self, name: str, slots: Sequence[int]) -> InputError:
        more = ", ..." if len(slots) > _SHOWN else ""
        return InputError(
            f"{len(slots):,} entries are labelled {name!r} ({here()}): give one of their slots, "
            f"{', '.join(map(str, slots[:_SHOWN]))}{more}"
        )


def _unknown(name: str, known: Sequence[str]) -> InputError:
    close = nearest(name, dict.fromkeys(known))
    return InputError(f"nothing on this tape is called {name!r} ({here()}): {close}")


def element_name(name: str, place: Sequence[int]) -> str:
    """The name of a number of an array.

    >>> element_name("w", (3, 2)), element_name("x", ())
    ('w[3, 2]', 'x')
    """
    return f"{name}[{', '.join(map(str, place))}]" if place else name


def shortened(operands: Sequence[T], written: Callable[[T], str], most: int = _SHOWN) -> list[str]:
    """Operands in words: the first ``most`` of them, and how many more there are.

    >>> shortened([5, 6, 7], "%{}".format, 2)
    ['%5', '%6', '... 1 more']
    """
    more = [f"... {len(operands) - most:,} more"] if len(operands) > most else []
    return [*map(written, operands[:most]), *more]


def sign(row: Primitive) -> str:
    """The symbol or name that a row is written with.

    A helper may share its symbol with the row it helps, and is written with its name.

    >>> from tapegrad.ops import table as ops
    >>> sign(ops.div), sign(ops.div2), sign(ops.tanh)
    ('/', 'div2', 'tanh')
    """
    return row.name.rstrip("_") if row.helper else row.symbol


def nearest(name: str, known: Mapping[str, object]) -> str:
    """The advice to give for a name that is not among the known ones.

    >>> nearest("prize", {"price": 1, "spot": 2})
    'did you mean price?'
    >>> nearest("q", {"price": 1, "spot": 2})
    'use price, spot'
    """
    close = get_close_matches(name, known)
    if close:
        return f"did you mean {' or '.join(map(visible, close))}?"
    shown = [visible(each) for each in islice(known, _SHOWN)]
    more = f" or {len(known) - _SHOWN:,} more" if len(known) > _SHOWN else ""
    return f"use {', '.join(shown)}{more}" if shown else "there is none"
