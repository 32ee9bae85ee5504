"""Names of the entries of a tape: inputs by key path, labelled entries by label, others by slot."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Final, TypeVar, final

from tapegrad._support.cached import cached
from tapegrad._support.source_position import here
from tapegrad._support.text import visible
from tapegrad.entries.entries import Entries
from tapegrad.errors import InputError
from tapegrad.inspect.static_text import static_text
from tapegrad.ops.primitive import Primitive
from tapegrad.pytree.structure import key_paths
from tapegrad.sweep.gradient import output_cotangents

__all__ = [
    "KEY", "Names", "element_name", "named_cotangents", "nearest", "short_sign", "shortened",
    "sign", "written_path",
]  # fmt: skip

T = TypeVar("T")

_SHOWN: Final = 6
"""The most operands, or names to choose from, that are listed one by one."""

KEY: Final = re.compile(
    r"""\[(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\]'"])*\]|[.:]?[^.:\[]+""", re.DOTALL
)
"""One key of a key path, with the sign before it."""


@final
class Names:
    """The names on one tape, looked up in both directions."""

    paths: tuple[str, ...]
    labels: dict[int, str]
    results: dict[int, str]

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.paths = entries.paths
        self.written: tuple[str, ...] = tuple(
            written_path(path, entries.names[0]) for path in self.paths
        )
        self.labels = dict(entries.labels)
        self.results = _result_names(entries)

    def __getitem__(self, slot: int) -> str:
        """The name given to an entry, or ``%17``."""
        return self.given(slot) or f"%{slot}"

    def given(self, slot: int) -> str:
        """The label of an entry, or the name of an input or of one of several outputs; or empty."""
        path = self.written[slot] if slot < len(self.written) else self.results.get(slot, "")
        return visible(self.labels.get(slot) or path)

    def output(self, slot: int) -> str:
        """The word that marks an output, with its name where ``given`` has another one."""
        if slot not in self.results:
            return ""
        name = visible(self.results[slot])
        return f"(output {name})" if name and name != self.given(slot) else "(output)"

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
        known = {**self._outputs, **self._inputs}
        if not found and name not in known:
            raise _unknown(name, (*self.labels.values(), *self.paths))
        return found or [known[name]]

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

    @cached
    def _inputs(self) -> Mapping[str, int]:
        """Inputs by key path, and by the name that is shown."""
        shown = {path: slot for slot, path in enumerate(self.written)}
        return shown | {path: slot for slot, path in enumerate(self.paths)}

    @cached
    def _outputs(self) -> Mapping[str, int]:
        """Outputs by key path, and by the name that is shown."""
        found = zip(key_paths(self.entries.result), self.entries.outputs, strict=True)
        shown = {name: slot for slot, name in self.results.items() if name}
        return shown | {path: slot for path, slot in found if path}

    def _several(self, name: str, slots: Sequence[int]) -> InputError:
        more = ", ..." if len(slots) > _SHOWN else ""
        return InputError(
            f"{len(slots):,} entries are labelled {name!r} ({here()}): give one of their slots, "
            f"{', '.join(map(str, slots[:_SHOWN]))}{more}"
        )


def _unknown(name: str, known: Sequence[str]) -> InputError:
    close = nearest(name, dict.fromkeys(known))
    return InputError(f"nothing on this tape is called {name!r} ({here()}): {close}")


def _result_names(entries: Entries) -> dict[int, str]:
    """The names of the outputs: key paths in the result, after ``grad`` in a recorded gradient."""
    paths, ours = key_paths(entries.result), key_paths(entries.parameters)
    is_gradient = entries.holds_gradient and paths == ours
    names: dict[int, str] = {}
    for path, slot in zip(paths, entries.outputs, strict=True):
        name = written_path(path, "grad" if is_gradient else "result")
        if is_gradient and name == path:
            name = f"grad.{path}" if path else "grad"
        names.setdefault(slot, name)
    return names


def named_cotangents(entries: Entries) -> dict[str, float]:
    """The cotangents of parameters and labelled entries by name, in the order of the tape.

    Raises:
        OutputError: when the tape has not exactly one output.
    """
    bars, names = output_cotangents(entries), Names(entries)
    slots = sorted({*range(entries.width), *names.labels})
    counts = Counter(map(names.given, slots))
    found: dict[str, float] = {}
    for slot in slots:
        name, bar = names.given(slot), bars[slot]
        found[name if counts[name] == 1 else f"{name} %{slot}"] = 0.0 if bar is None else bar
    return found


def written_path(path: str, argument: str) -> str:
    """A key path as it is shown: one that begins with an index is written as Python has it.

    >>> written_path("0.1.w", "net"), written_path("xs:3", "net"), written_path("layers.0", "net")
    ('net[0][1].w', 'xs[3]', 'layers.0')
    """
    name, colon, rest = path.partition(":")
    name, rest = (name, rest) if colon and name.isidentifier() else (argument, path)
    keys = KEY.findall(rest)
    if not keys or not keys[0].isdigit():
        return path
    bare = ((key, key.lstrip(".:")) for key in keys)
    return name + "".join(f"[{inner}]" if inner.isdigit() else key for key, inner in bare)


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


def short_sign(row: Primitive) -> str:
    """The sign of a row without its operands beside it, where "-" is a subtraction.

    >>> from tapegrad.ops import table as ops
    >>> short_sign(ops.sub), short_sign(ops.neg), short_sign(ops.tanh)
    ('-', 'neg', 'tanh')
    """
    written = sign(row)
    is_before = row.arity == 1 and not row.has_static and not any(map(str.isalnum, written))
    return row.name.rstrip("_") if is_before else written


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
