"""``checkpoint``: a part of a program that the reverse sweep computes again, to save memory."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from typing import Final, ParamSpec, TypeVar, cast, final

import attrs

from tapegrad._support.argument_checks import name_of, require_callable
from tapegrad._support.closures import captured_again, opened
from tapegrad._support.function_wrapper import FunctionWrapper
from tapegrad._support.source_position import here
from tapegrad.entries.columns import CheckpointedBlock, EntryColumns
from tapegrad.errors import InputError, RecordingError
from tapegrad.ops.primitive import Operand, Primitive
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.structure import Role, Structure, build, flatten
from tapegrad.recording.recorder import Recorder, Var, recorder_among
from tapegrad.recording.trace import Trace, trace

__all__ = ["checkpoint"]

P = ParamSpec("P")
R = TypeVar("R")


def checkpoint(f: Callable[P, R], /) -> Callable[P, R]:
    """``f``, with only its arguments and results kept for a gradient.

    The inside of ``f`` is dropped, and computed again when the reverse sweep reaches it. A long
    loop cut into such blocks takes the memory of the blocks' ends and of one block, and one more
    evaluation. Values and gradients have the same bits as without it. Blocks may be nested.

    It saves memory in ``grad``, ``value_and_grad``, ``partials`` and ``vjp``, where ``f`` gets all
    its traced numbers as arguments. Elsewhere (under ``record`` and the other transforms, in a
    gradient of a gradient, for an ``f`` that reads traced numbers from an enclosing scope, or
    computes with traced arrays) ``f`` is called as if it were not wrapped.

    The variables of the functions around ``f`` are held as they are in the call.

    Raises:
        RecordingError: when ``f`` does something else the second time.

    >>> from tapegrad import Real, grad, math
    >>> @checkpoint
    ... def block(x: Real) -> Real:
    ...     for _ in range(100):
    ...         x = math.sin(x)
    ...     return x
    >>> def loop(x: Real) -> Real:
    ...     for _ in range(10):
    ...         x = block(x)
    ...     return x
    >>> grad(loop)(1.0)
    0.00012436381135847577
    """
    require_callable(f, "checkpoint")

    def checkpointed(*args: P.args, **kwargs: P.kwargs) -> R:
        recorder = recorder_among((args, kwargs))
        if recorder is not None and recorder.blocks and not recorder.outers:
            entered = _call_as_block(f, (args, kwargs), recorder)
            if entered is not None:
                return cast(R, entered[0])
        return f(*args, **kwargs)

    wrapper: FunctionWrapper[P, R] = FunctionWrapper(f, checkpointed, checkpoint)
    return wrapper


@final
@attrs.frozen(eq=False)
class _CallBlock(CheckpointedBlock):
    """A call of ``f``: ``leaves`` are its numbers, an index for each that is an operand.

    ``results`` are the numbers that it computed when it was recorded, and ``digest`` stands for
    the entries that it recorded on the way.
    """

    held: object
    structure: Structure
    leaves: tuple[float | int, ...]
    results: tuple[float, ...] = ()
    digest: int = 0

    @property
    def f(self) -> Callable[..., object]:
        """The function, on the variables that it read when the block was entered."""
        return cast("Callable[..., object]", opened(self.held))

    def trace(self, operands: Sequence[float]) -> Trace:
        """The call recorded on these operands."""
        f = self.f

        def call(given: tuple[Operand, ...]) -> object:
            leaves = (given[leaf] if isinstance(leaf, int) else leaf for leaf in self.leaves)
            arguments = build(self.structure, leaves)
            args, kwargs = cast("tuple[tuple[object, ...], dict[str, object]]", arguments)
            return f(*args, **kwargs)

        call.__qualname__ = name_of(f)
        return trace(call, tuple(operands), {}, blocks=True)

    def record_again(self, operands: Sequence[float]) -> tuple[EntryColumns, Sequence[int]]:
        traced = self.trace(operands)
        slots = _computed(traced)
        results = tuple(traced.columns.values[slot] for slot in slots)
        if repr(results) != repr(self.results):
            raise RecordingError(
                f"{name_of(self.f)} under checkpoint ({here()}) gave {self.results} when recorded "
                f"and {results} when computed again: let it depend on nothing but its arguments"
            )
        if _digest(traced.columns) != self.digest:
            raise RecordingError(
                f"{name_of(self.f)} under checkpoint ({here()}) came to {self.results} in another "
                "way when computed again: let it depend on nothing but its arguments"
            )
        return traced.columns, slots


_NEAR: Final = 8
"""The latest static operands among which the block before is looked for."""


def _call_as_block(
    f: Callable[..., object], arguments: tuple[object, object], recorder: Recorder
) -> tuple[object] | None:
    """The result of the call, recorded as a block; None if it has to be recorded in full."""
    recorder.require_open()
    try:
        structure, leaves = flatten(arguments, Role.BLOCK, key_path)
    except InputError:
        return None  # data of a kind that cannot be copied, which f gets as it is
    numbers = [leaf for leaf in leaves if isinstance(leaf, Var)]
    if any(number._recorder is not recorder for number in numbers):
        return None
    operands = {number._slot: number for number in numbers}
    places = {slot: place for place, slot in enumerate(operands)}
    indices = (places[x._slot] if isinstance(x, Var) else cast(float, x) for x in leaves)
    latest = next((x for x in reversed(recorder.statics[-_NEAR:]) if type(x) is _CallBlock), None)
    held = captured_again(f, None if latest is None else latest.held)
    call = _CallBlock(held, structure, tuple(indices))
    traced = call.trace([cast(float, operand._value) for operand in operands.values()])
    if traced.columns.traced or traced.columns.on_arrays:
        return None
    return (_entered(call, traced, tuple(operands.values())),)


def _entered(call: _CallBlock, traced: Trace, operands: tuple[Var, ...]) -> object:
    """The result of the call, after recording the block and each number that it computed."""
    columns, slots = traced.columns, _computed(traced)
    numbers: dict[int, Operand] = dict(enumerate(operands))
    if slots:
        results = tuple(cast(float, columns.values[slot]) for slot in slots)
        call = attrs.evolve(call, results=results, digest=_digest(columns))
        block = BLOCK(*operands, cast(float, call))
        numbers |= {slot: RESULT(block, x) for slot, x in zip(slots, results, strict=True)}
    return build(traced.result, (numbers.get(x, columns.values[x]) for x in traced.outputs))


def _computed(traced: Trace) -> list[int]:
    """The slots of the results that are neither operands nor constants."""
    computed = (slot for slot in traced.outputs if traced.columns.row(slot).is_operation)
    return sorted(set(computed))


def _digest(columns: EntryColumns) -> int:
    """A number that differs where operations, values or static numbers do, but for chance."""
    values = array("d", cast("Sequence[float]", columns.values)).tobytes()
    numbers = tuple(static for static in columns.statics if isinstance(static, float | int))
    return hash((array("i", columns.codes).tobytes(), values, repr(numbers)))


def _no_partial(*_: object) -> Operand:
    raise RecordingError(
        "a block of checkpoint has no partials: sweep the entries that it stands for"
    )


BLOCK: Final = Primitive(
    "checkpoint", lambda *_: 0.0, _no_partial, "A part computed again.",
    has_static=True, module="tapegrad.transforms.checkpoint", reference="BLOCK",
)  # fmt: skip
RESULT: Final = Primitive(
    "result", lambda _, value: value, (1.0,), "A result of such a part.",
    has_static=True, module="tapegrad.transforms.checkpoint", reference="RESULT",
)  # fmt: skip
