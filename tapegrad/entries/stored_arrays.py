"""The values of a tape with arrays as bytes: the numbers of one entry after those of another.

A view (another shape, another order of axes, a slice) takes no bytes: it is made again when it is
read, as the same view of the same entry, so that what is computed from it has the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import nan, prod
from struct import Struct
from typing import Any, Final, cast

import numpy as np

from tapegrad.entries.columns import EntryColumns, StoredArrays
from tapegrad.errors import TapeError
from tapegrad.ops.primitive import Primitive, Shape

__all__ = ["read", "require_stored", "stored"]

_KINDS: Final = {"f": "d", "b": "?", "i": "l"}
_CODES: Final = {"d": np.dtype(np.float64), "?": np.dtype(np.bool_), "l": np.dtype(np.int64)}
_VIEW: Final = ""
_NUMBER: Final = "d", ()
_double: Final = Struct("d").pack
_NUMBER_AT: Final = {kind: Struct(kind).unpack_from for kind in _CODES}


def stored(columns: EntryColumns, of: tuple[object, ...] | None = None) -> StoredArrays:
    """The values of entries, none of which is traced, and what is known to have computed them.

    There is one nan.
    """
    found = _stored(columns, columns.values, of)
    if np.isnan(np.frombuffer(found.cells)).any():  # or whole numbers with the bits of nan
        found = _stored(columns, [*map(_with_one_nan, columns.values)], of)
    return found


def _stored(
    columns: EntryColumns, values: Sequence[Any], of: tuple[object, ...] | None
) -> StoredArrays:
    forms: dict[tuple[str, Shape], int] = {}
    parts: list[bytes] = []
    form_of: list[int] = []
    for slot, value in enumerate(values):
        if type(value) is float:
            form, part = _NUMBER, _double(value)
        elif _is_view(columns, slot):
            form, part = (_VIEW, value.shape), b""
        else:
            form, part = (_KINDS[value.dtype.kind], value.shape), value.tobytes()
        form_of.append(forms.setdefault(form, len(forms)))
        parts.append(part + bytes(-len(part) % 8))  # in whole cells of eight
    return StoredArrays(b"".join(parts), tuple(forms), np.array(form_of, np.uint16).tobytes(), of)


def _with_one_nan(value: Any) -> Any:
    if type(value) is float:
        return value if value == value else nan
    return np.where(np.isnan(value), nan, value) if value.dtype.kind == "f" else value


def _is_view(columns: EntryColumns, slot: int) -> bool:
    rule = columns.row(slot).array
    return rule is not None and rule.is_view is not None and rule.is_view(*columns.static(slot))


def read(of: StoredArrays, columns: EntryColumns) -> list[Any]:
    """The values of all entries; the arrays cannot be written to."""
    values: list[Any] = []
    start = 0
    sizes = [_cells(kind, shape) for kind, shape in of.forms]
    for slot, form in enumerate(memoryview(of.form_of).cast("H")):
        kind, shape = of.forms[form]
        if kind == _VIEW:
            values.append(_shown(columns, slot, values, shape))
        elif not shape:
            values.append(float(_NUMBER_AT[kind](of.cells, start)[0]))
        elif sizes[form]:
            values.append(np.ndarray(shape, _CODES[kind], of.cells, start))
        else:
            values.append(_nothing(shape, _CODES[kind]))
        start += sizes[form]
    return values


def _nothing(shape: Shape, kind: Any) -> Any:
    """An array without numbers, for which a memory of none has no place."""
    found: Any = np.empty(shape, kind)
    found.flags.writeable = False
    return found


def _shown(columns: EntryColumns, slot: int, values: list[Any], shape: Shape) -> Any:
    """The view that an entry is of another one.

    Raises:
        TapeError: where it shows none in this shape.
    """
    try:
        row: Any = columns.row(slot)
        found = row.value(values[columns.left[slot]], *columns.static(slot))
        if found.shape == shape and _is_view(columns, slot):
            return found
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001, S110  # numpy raises what it likes of what is no view
        pass
    raise TapeError(f"entry {slot} of a tape shows no array of shape {shape}")


def require_sound(columns: EntryColumns) -> None:
    """Lets entries through that give arrays of the stored shapes and types, by computing them.

    Raises:
        TapeError: for any others.
    """
    values = cast("Sequence[Any]", columns.values)
    with np.errstate(all="ignore"):
        for slot, value in enumerate(values):
            row, operands = columns.row(slot), [values[one] for one in columns.operands(slot)]
            if row.kind in {"input", "constant"}:
                continue
            try:
                sample = _sample(row, operands, columns.static(slot))
            except MemoryError:
                raise
            except Exception:  # noqa: BLE001  # numpy raises what it likes
                sample = None
            if sample is None or _kind(sample) != _kind(value):
                shapes = ", ".join(str(np.shape(one)) for one in operands)
                raise TapeError(
                    f"entry {slot} of a tape applies {row.name} to shapes {shapes}, and has shape "
                    f"{np.shape(value)}"
                )


def _sample(row: Primitive, operands: list[Any], static: tuple[Any, ...]) -> Any:
    """An array like the one that a row gives."""
    if row.array is not None:
        return row.value(*operands, *static)
    shape = np.broadcast_shapes(*map(np.shape, operands))
    if row.kind == "guard" and shape:
        raise TypeError
    return np.broadcast_to(np.zeros((), np.bool_ if row.is_truth else np.float64), shape)


def _kind(value: Any) -> tuple[Shape, str]:
    """The shape of a value, and whether it has truths; there are no types of single numbers."""
    return np.shape(value), np.asarray(value).dtype.kind if np.shape(value) else "f"


def require_stored(of: StoredArrays, count: int) -> None:
    """Lets values through that can be read as those of so many entries.

    Raises:
        TapeError: for any others.
    """
    fault = next(_faults(of, count), None)
    if fault is not None:
        raise TapeError(f"the values of a tape with arrays {fault}")


def _faults(of: StoredArrays, count: int) -> Iterator[str]:
    if type(of.cells) is not bytes or type(of.form_of) is not bytes or type(of.forms) is not tuple:
        yield "are not bytes"
    elif len(of.form_of) != 2 * count:
        yield f"are those of {len(of.form_of) // 2} entries, not of {count}"
    elif not all(map(_is_form, of.forms)):
        yield "have a form that there is not"
    elif count and max(memoryview(of.form_of).cast("H")) >= len(of.forms):
        yield f"have a form beyond the {len(of.forms)} of the tape"
    else:
        sizes = [_cells(kind, shape) for kind, shape in of.forms]
        if sum(sizes[form] for form in memoryview(of.form_of).cast("H")) != len(of.cells):
            yield f"do not fit {len(of.cells)} bytes"


def _cells(kind: str, shape: Shape) -> int:
    """The bytes of values of this form, in whole cells of eight."""
    return 0 if kind == _VIEW else -(-prod(shape) * _CODES[kind].itemsize // 8) * 8


def _is_form(form: object) -> bool:
    if type(form) is not tuple or len(form) != 2 or type(form[1]) is not tuple:
        return False
    kind, shape = form
    is_shape = all(type(length) is int and length >= 0 for length in shape)
    return is_shape and type(kind) is str and (kind in _CODES or kind == _VIEW)
