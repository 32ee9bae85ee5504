"""Makes a tape of the entries that a builder wrote for those of another."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import attrs

from tapegrad.entries.builder import EvaluatingBuilder
from tapegrad.entries.columns import EntryColumns, Scope, freeze
from tapegrad.entries.entries import Entries

__all__ = ["rewritten_as"]

E = TypeVar("E", bound=Entries)


def rewritten_as(  # noqa: PLR0913  # the parts of a tape that follow its entries
    tape: E,
    builder: EvaluatingBuilder,
    *,
    inputs: int,
    guards: Sequence[int],
    outputs: Sequence[int],
    labels: Mapping[int, str],
    traced: bool,
    on_arrays: bool,
    structures: Mapping[str, Any] = MappingProxyType({}),
) -> E:
    """The tape with the builder's entries that are needed; labels, scopes and positions follow.

    ``inputs`` counts the inputs, which stand first; ``guards``, ``outputs`` and ``labels`` are
    those of the builder's entries, and ``structures`` has those that are others now, by name.
    """
    kept = builder.needed((*range(inputs), *guards, *outputs))
    new = {slot: place for place, slot in enumerate(kept)}
    origins = [builder.origins[slot] for slot in kept]
    sites = tape.site_indices
    columns = _laid_out(builder, kept, new, traced=traced, on_arrays=on_arrays)
    return attrs.evolve(
        tape,
        **freeze(columns),
        outputs=tuple(new[output] for output in outputs),
        labels=tuple(sorted((new[slot], name) for slot, name in labels.items() if slot in new)),
        scopes=tuple(_moved(scope, origins) for scope in tape.scopes),
        site_of=array("i", [sites[origin] for origin in origins] if sites else []).tobytes(),
        **structures,
    )


def _moved(scope: Scope, origins: Sequence[int]) -> Scope:
    """A scope around the entries that were written for those it stood around."""
    start, stop = (bisect_left(origins, end) for end in (scope.start, scope.stop))
    return attrs.evolve(scope, start=start, stop=stop)


def _laid_out(
    builder: EvaluatingBuilder,
    kept: Sequence[int],
    new: Mapping[int, int],
    *,
    traced: bool,
    on_arrays: bool,
) -> EntryColumns:
    """Lays out the kept entries as the columns of a tape, under their new numbers."""
    codes: list[int] = []
    lefts: list[int] = []
    rights: list[int] = []
    pool: list[int] = []
    statics: list[object] = []
    for slot in kept:
        row = builder.rows[slot]
        operands = [new[operand] for operand in builder.operands[slot]]
        left, right = (*operands, -1, -1)[:2]
        if row.has_static:
            right = len(statics)
            statics.append(builder.statics[slot])
        if row.is_pooled:
            pooled = [*operands, right] if row.has_static else operands
            left, right = len(pool), len(operands)
            pool += pooled
        codes.append(builder.table.codes[row])
        lefts.append(left)
        rights.append(right)
    values = [builder.values[slot] for slot in kept]
    return EntryColumns(
        builder.table, codes, lefts, rights, values, pool, statics, traced, on_arrays
    )
