"""One traced call of the user's function, and its sweeps: what all transforms are made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from math import prod
from typing import Concatenate, Final, ParamSpec, TypeAlias, TypeVar, cast, final

from tapegrad._support.argument_checks import name_of, refuse_keywords, require_callable
from tapegrad._support.function_wrapper import FunctionWrapper
from tapegrad._support.source_position import here
from tapegrad.errors import OutputError
from tapegrad.ops.array_support import quiet, serving
from tapegrad.ops.primitive import Operand, shape_of
from tapegrad.pytree.containers import container_kind
from tapegrad.pytree.structure import (
    LEAF,
    Branch,
    Leaf,
    Static,
    Structure,
    build,
    describe_structure,
    key_paths,
)  # fmt: skip
from tapegrad.recording.trace import Trace, trace
from tapegrad.sweep.shapes import in_shapes

__all__ = [
    "Data", "curved", "data_of", "differentiate", "pull", "push", "require_numbers", "result_of",
    "scalar_output", "spendable", "transformed",
]  # fmt: skip

A = TypeVar("A")
P = ParamSpec("P")
R = TypeVar("R")

Data: TypeAlias = Mapping[int | str, object]
"""The arguments after the first: those given by position under 0, 1, ..., and those by name."""


def transformed(
    f: Callable[Concatenate[A, P], object],
    transform: Callable[..., object],
    run: Callable[[A, Data], R],
    *,
    differentiates: bool = True,
    **options: object,
) -> Callable[Concatenate[A, P], R]:
    """A function with the parameters of ``f`` that gives ``run(x, data)``.

    It is ``transform(f, **options)``, and its name is made of those of the transform and of ``f``.
    ``differentiates`` is for its messages.

    Raises:
        InputError: when ``f`` is not a function.
    """
    name = transform.__name__
    require_callable(f, name)
    call: _Transformed[..., R] = _Transformed(f, run, partial(transform, **options))
    call.differentiates = differentiates
    call.__name__ = f"{name}({getattr(f, '__name__', 'f')})"
    return cast("Callable[Concatenate[A, P], R]", call)


_LARGE: Final = 1 << 13
"""The least numbers of an input from which memory is looked after."""


@final
class _Transformed(FunctionWrapper[P, R]):
    """A function that calls another with its first argument, and the others as data."""

    differentiates: bool = True

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of the function."""
        if not args:
            transform = self.__name__.partition("(")[0]
            refuse_keywords(transform, kwargs, differentiates=self.differentiates)
        has_data = kwargs or len(args) > 1
        return self._call(args[0], data_of(args[1:], kwargs) if has_data else {})


def data_of(args: tuple[object, ...], kwargs: Mapping[str, object]) -> Data:
    """The arguments after the first, as ``trace`` takes them."""
    data: dict[int | str, object] = {}
    if args:
        data.update(enumerate(args))
    if kwargs:
        data.update(kwargs)
    return data


def differentiate(
    f: Callable[..., object], x: object, data: Data, *, has_aux: bool = False, exact: bool = False
) -> tuple[Trace, object]:
    """One call and its gradient, which is of traced numbers in an outer recording.

    With ``has_aux`` ``f`` returns a pair. With ``exact`` the sums of cotangents are compensated.
    """
    traced = trace(f, x, data, blocks=True, has_aux=has_aux, lends=True, depth=3)
    output = _first_of_pair(f, traced) if has_aux else scalar_output(f, traced)
    spent = spendable(traced) if traced.columns.on_arrays else ()
    return traced, build(traced.parameters, pull(traced, {output: 1.0}, exact=exact, spent=spent))


def result_of(traced: Trace) -> object:
    """The result of the traced function, with its numbers as they are outside the recording."""
    values = traced.columns.values
    if traced.result is LEAF:
        return values[traced.outputs[0]]
    found = [values[slot] for slot in traced.outputs]
    return build(
        traced.result, in_shapes(found, found, found) if traced.columns.on_arrays else found
    )


def scalar_output(f: Callable[..., object], traced: Trace) -> int:
    """The slot of the one number that ``f`` returned.

    Raises:
        OutputError: when it returned anything else.
    """
    if isinstance(traced.result, Leaf):
        if traced.result.shape:
            raise OutputError(
                f"{name_of(f)} ({here()}) returned {describe_structure(traced.result)}, and a "
                "gradient needs one number: return its sum or its mean, or use jacobian"
            )
        return traced.outputs[0]
    several = ", or use jacobian for a function of several" * isinstance(traced.result, Branch)
    raise OutputError(
        f"{name_of(f)} ({here()}) returned {describe_structure(traced.result)}, and a gradient "
        f"needs one number: return one{several}"
    )


def require_numbers(
    f: Callable[..., object], result: Structure, transform: str, *, may_be_empty: bool = True
) -> None:
    """Raises for a result of something else than numbers; an empty container may be one.

    Raises:
        OutputError: which names the function, what it returned, and what to return.
    """
    if not key_paths(result) and (not may_be_empty or _holds_statics(result)):
        raise OutputError(
            f"{name_of(f)} ({here()}) returned {describe_structure(result)}, in which {transform} "
            "finds no number: return one, or a dict, a list or a tuple of them"
        )


def _holds_statics(structure: Structure) -> bool:
    """Whether something is in there that cannot hold numbers."""
    if isinstance(structure, Branch):
        return any(map(_holds_statics, structure.children))
    kind = container_kind(type(structure.value)) if isinstance(structure, Static) else None
    return isinstance(structure, Static) and not (kind and kind.holds_numbers)


def _first_of_pair(f: Callable[..., object], traced: Trace) -> int:
    """The slot of the number in the pair that ``f`` returned."""
    match traced.result:
        case Branch(kind=kind, keys=(0, 1), children=(Leaf(shape=()), _)) if kind is tuple:
            return traced.outputs[0]
    raise OutputError(
        f"{name_of(f)} ({here()}) returned {describe_structure(traced.result)}, and has_aux=True "
        "needs a pair: return (number, anything)"
    )


def pull(
    traced: Trace,
    seeds: Mapping[int, Operand],
    *,
    exact: bool = False,
    spent: Collection[int] = (),
) -> list[Operand]:
    """The cotangents of the differentiated inputs, given those of some slots; absent ones are 0.

    They are traced numbers in an outer recording. Values in slots that are ``spent`` may be
    dropped.
    """
    cotangents, columns, width = serving("sweep.reverse").cotangents, traced.columns, traced.width
    if traced.recorder.outers:
        sweep = partial(cotangents, columns, seeds, exact=exact, count=width)
        bars = traced.recorder.attributing(sweep)
    else:
        bars = cotangents(columns, seeds, exact=exact, count=width, spent=spent)
    if not columns.on_arrays:
        return [0.0 if bar is None else bar for bar in bars]
    values = columns.values
    return list(in_shapes(bars, values[: traced.width], _kept(traced, seeds)))


def push(traced: Trace, seeds: Mapping[int, Operand]) -> list[Operand]:
    """The tangents of the outputs, given those of some inputs; absent ones are 0.

    They are traced numbers in an outer recording.
    """
    from tapegrad.sweep.forward import tangents

    dots = traced.recorder.attributing(
        lambda pin: tangents(traced.columns, seeds, pin, traced.outputs)
    )
    found = [dots[slot] for slot in traced.outputs]
    if not traced.columns.on_arrays:
        return [0.0 if dot is None else dot for dot in found]
    values = [traced.columns.values[slot] for slot in traced.outputs]
    return list(in_shapes(found, values, _kept(traced, seeds)))


def spendable(traced: Trace) -> Collection[int]:
    """The slots whose values the last sweep over a call may drop: none where arrays are small."""
    columns, inputs = traced.columns, traced.columns.values[: traced.width]
    if columns.traced or not columns.on_arrays:
        return ()
    if not traced.recorder.locked and all(prod(shape_of(x)) < _LARGE for x in inputs):
        return ()
    return cast(
        "Collection[int]", serving("sweep.array_kernels").slots_to_spend(columns, traced.outputs)
    )


def curved(
    traced: Trace, seeds: Mapping[int, Operand], output: int, spent: Collection[int] = ()
) -> list[Operand]:
    """The derivatives of an output in the inputs, along tangents of these; absent ones are 0.

    Some values are arrays, and none is traced. Values in slots that are ``spent`` may be dropped.
    """
    columns, width = traced.columns, traced.width
    with quiet(on_arrays=True):
        sweep = serving("sweep.array_second_order").second_order_on_arrays
        found = sweep(columns, seeds, output, width, spent)
    return list(in_shapes(found, columns.values[:width], _kept(traced, seeds)))


def _kept(traced: Trace, seeds: Mapping[int, Operand]) -> Iterable[object]:
    """The numbers not to hand out: the values of a trace, which may be swept again, and seeds."""
    columns = traced.columns
    is_plain = columns.on_arrays and not columns.traced
    return (*columns.values, *seeds.values()) if is_plain else ()
