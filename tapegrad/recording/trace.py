"""One traced call: a function is called with traced numbers, and what it does is recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Final, cast, final

import attrs

from tapegrad._support.argument_checks import name_of, require_keys, require_signature
from tapegrad._support.source_position import raised_at
from tapegrad.entries.columns import EntryColumns
from tapegrad.errors import InputError, TracedNumberError
from tapegrad.ops.array_support import is_array
from tapegrad.ops.primitive import Operand
from tapegrad.pytree.key_paths import input_key_path, key_path_in
from tapegrad.pytree.numbers import RejectedError
from tapegrad.pytree.structure import (
    LEAF,
    Branch,
    Role,
    Static,
    Structure,
    build,
    flatten,
    key_paths,
    named_error,
    split_value,
)
from tapegrad.recording import (
    numpy_protocol,
    operators,  # noqa: F401  # gives traced numbers their operators
)
from tapegrad.recording.in_place import require_unread
from tapegrad.recording.recorder import Recorder, TracedValue
from tapegrad.recording.results import FlatResult, are_alike, flat_result

__all__ = ["Trace", "trace", "trace_apart", "trace_kept"]

"""The structure of what a function returned, and its numbers."""

_NO_DATA: Final = Branch(dict, (), ())


@final
@attrs.define(eq=False)  # never changed; freezing costs more than a small gradient may
class Trace:
    """One recorded call: the entries, and where the arguments and the result stand in them.

    The differentiated argument has the first ``width`` slots. ``data`` is the structure of the
    other arguments where the recording is kept, with those that are not traced as static ones.
    """

    recorder: Recorder
    columns: EntryColumns
    width: int
    parameters: Structure
    data: Structure
    result: Structure
    outputs: tuple[int, ...]


def trace(  # noqa: PLR0913  # each option changes another part of the recording
    f: Callable[..., object],
    x: object,
    data: Mapping[int | str, object],
    *,
    positions: bool = False,
    blocks: bool = False,
    has_aux: bool = False,
    lends: bool = False,
    depth: int = 1,
) -> Trace:
    """Calls ``f`` with traced numbers in its first argument, and records what it does.

    ``data`` holds the other arguments: those given by position under 0, 1, ..., and those by name.
    They are passed on as they are.
    With ``has_aux`` ``f`` returns a pair, in the second of which ints stay ints.
    ``blocks`` lets a checkpoint record its inside as one entry, which the reverse sweep alone can
    read.
    With ``lends`` the arrays of the caller are looked at until the trace was swept, else they are
    copied. An argument that is a large array cannot be written to during the call.
    The frames of the first ``depth`` calls above this one are tapegrad's own.

    Raises:
        InputError: when an argument holds something that cannot be an input, or ``f`` writes to an
            array that was lent.
        TracedNumberError: when an array is read after an in-place operator wrote to it.
        OutputError: when what ``f`` returns holds a condition, an iterator, or traced numbers that
            cannot be taken out.
    """
    recorder = Recorder(positions, blocks, depth + 1)
    try:
        parameters, numbers = _parameters(f, x, Role.PARAMETERS)
        if lends:
            recorder.lent = data.values()
        else:
            numbers = _own(numbers)
        inputs = recorder.inputs(numbers)
        returned = _call(recorder, f, build(parameters, inputs), data)
        result = flat_result(returned, has_aux=has_aux)
        if recorder.refused:
            plain = _call(recorder, f, build(parameters, numbers), data)
            _require_same_way(f, recorder, result, flat_result(plain, has_aux=has_aux))
        return _traced(recorder, len(numbers), parameters, _NO_DATA, result)
    finally:
        recorder.close()


def trace_kept(  # noqa: PLR0913  # as `trace`
    f: Callable[..., object],
    x: object,
    data: Mapping[int | str, object],
    traced_data: Collection[int | str],
    *,
    mapped: Collection[int] = (),
    positions: bool = False,
    arrays: bool = False,
) -> Trace:
    """Does what ``trace`` does for a recording that is kept, to be run with other numbers.

    The floats of data under ``traced_data`` are inputs, too, and with ``arrays`` their arrays of
    floats. The arguments at the positions ``mapped`` are one row of what a batch was given.

    Raises:
        As ``trace``.
    """
    recorder = Recorder(positions, blocks=False, depth=2)
    try:
        parameters, first = _parameters(f, x, Role.ROW if 0 in mapped else Role.PARAMETERS)
        data_role = Role.ARRAYS if arrays else Role.DATA
        rest, others = _split_data(f, data, traced_data, mapped, data_role)
        first, others, width = _own(first), _own(others), len(first)
        recorder.data_path = _data_path(f, rest, mapped, width) if others else None
        inputs = recorder.inputs(first + others)
        given = _built(rest, inputs[width:])
        returned = _call(recorder, f, build(parameters, inputs[:width]), given)
        result = flat_result(returned)
        if recorder.refused:
            plain = _call(recorder, f, build(parameters, first), _built(rest, others))
            _require_same_way(f, recorder, result, flat_result(plain))
        return _traced(recorder, width, parameters, rest, result)
    finally:
        recorder.close()


def trace_apart(
    f: Callable[..., object],
    numbers: tuple[Operand, ...],
    held: Callable[[TracedValue, int], Operand],
) -> Trace:
    """Does what ``trace`` does on plain numbers, apart from the recordings around it.

    A traced number of theirs becomes a constant: ``held`` is given that and the constant's slot,
    and gives its plain number.

    Raises:
        As ``trace``.
    """
    recorder = Recorder(positions=True, blocks=False, depth=2)
    recorder.held = held
    try:
        parameters, given = _parameters(f, numbers, Role.PARAMETERS)
        inputs = recorder.inputs(given)
        result = flat_result(_call(recorder, f, build(parameters, inputs), {}))
        if recorder.refused:
            plain = _call(recorder, f, build(parameters, given), {})
            _require_same_way(f, recorder, result, flat_result(plain))
        return _traced(recorder, len(given), parameters, _NO_DATA, result)
    finally:
        recorder.close()


def _parameters(f: Callable[..., object], x: object, role: Role) -> FlatResult:
    """The structure of the first argument, and its numbers."""
    if type(x) is float:
        return LEAF, [x]
    if type(x) is dict:
        require_keys(f, x)
    leaves: list[Operand] = []
    try:
        return split_value(x, role, leaves), leaves
    except RejectedError as rejected:
        raise named_error(rejected, partial(input_key_path, f, ())) from None


def _traced(
    recorder: Recorder, width: int, parameters: Structure, data: Structure, result: FlatResult
) -> Trace:
    """The trace of a call that has returned this."""
    structure, leaves = result
    outputs = tuple([recorder.slot(leaf) for leaf in leaves])
    columns = recorder.columns()
    if recorder.written:
        require_unread(columns, outputs, recorder.written)
    return Trace(recorder, columns, width, parameters, data, structure, outputs)


def _own(numbers: list[Operand]) -> list[Operand]:
    """Numbers and arrays that nobody else can change."""
    return [x.copy() if is_array(x) else x for x in numbers]  # type: ignore[union-attr]  # an array


def _written(f: Callable[..., object], error: ValueError) -> InputError:
    """The error for a function that writes to an array that it was given and has used."""
    return InputError(
        f"{name_of(f)} writes at {raised_at(error)[0]} to an array that it was given and has used "
        "with a traced one: write to a copy of it"
    )


def _split_data(
    f: Callable[..., object],
    data: Mapping[int | str, object],
    traced: Collection[int | str],
    mapped: Collection[int],
    data_role: Role,
) -> tuple[Branch, list[Operand]]:
    """The structure of the data, and the numbers in that which is traced."""
    if not data:
        return _NO_DATA, []
    children: list[Structure] = []
    numbers: list[Operand] = []
    for key, value in data.items():
        if key in traced:
            role = Role.ROW if isinstance(key, int) and key + 1 in mapped else data_role
            child, found = flatten(value, role, partial(input_key_path, f, (key,)))
            children.append(child)
            numbers += found
        else:
            children.append(Static(value))
    return Branch(dict, tuple(data), tuple(children)), numbers


def _data_path(
    f: Callable[..., object], data: Branch, mapped: Collection[int], width: int
) -> Callable[[int], str | None]:
    """A function that names an input of the data; None for parameters and for rows."""

    def path_of(slot: int) -> str | None:
        paths: list[str | None] = [None] * width
        for key, part in zip(cast("tuple[int | str, ...]", data.keys), data.children, strict=True):
            name = input_key_path(f, (key,), ())
            is_row = isinstance(key, int) and key + 1 in mapped
            paths += [None if is_row else key_path_in(name, path) for path in key_paths(part)]
        return paths[slot]

    return path_of


def _built(data: Branch, numbers: Iterable[Operand]) -> Mapping[int | str, object]:
    """The data with these for the numbers in it."""
    return cast("Mapping[int | str, object]", build(data, numbers))


def _arguments(
    x: object, data: Mapping[int | str, object]
) -> tuple[tuple[object, ...], Mapping[str, object]]:
    """The arguments of a call, by position and by name."""
    by_name = {key: x for key, x in data.items() if isinstance(key, str)}
    return (x, *islice(data.values(), len(data) - len(by_name))), by_name


def _require_same_way(
    f: Callable[..., object], recorder: Recorder, traced: FlatResult, plain: FlatResult
) -> None:
    """Raises where the result of a call is not that of the same call with plain numbers.

    A function that catches the error of ``float(x)`` may go another way than it goes for floats.
    """
    if are_alike(traced, plain, statics=True):
        return
    raise TracedNumberError(
        f"{name_of(f)} catches the error of float(x) at {recorder.refused}, and goes another way "
        "than it goes for floats: write x, or a function of tapegrad.math, in that line"
    )


def _call(
    recorder: Recorder, f: Callable[..., object], x: object, data: Mapping[int | str, object]
) -> object:
    """The result of ``f``; arguments that do not fit its signature are named.

    What numpy says of arrays of traced numbers, and of locked ones, is said in the user's words.
    """
    try:
        if not data:
            return f(x)
        args, kwargs = _arguments(x, data)
        return f(*args, **kwargs)
    except (TypeError, AttributeError) as error:
        require_signature(f, *_arguments(x, data))
        of_numpy = numpy_protocol.explained(error)
        if of_numpy is not None:
            raise of_numpy from error
        raise
    except ValueError as error:
        if recorder.locked and "read-only" in str(error):
            raise _written(f, error) from error
        raise
