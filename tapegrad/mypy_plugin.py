"""An opt-in plugin for mypy: ``plugins = tapegrad.mypy_plugin``.

The types of tapegrad need no plugin. This one adds two things that types alone cannot say:

- a model that takes plain floats, or returns nothing that can be traced, is an error where it is
  passed to ``grad``, ``partials``, ``record`` and their kin, or decorated with them;
- ``partials(f)(a=1.0, b=2.0)`` is a dict that knows the names of the parameters of ``f``, so that
  a misspelt key is an error where it is written out.

It is silent about whatever it cannot see: lambdas, untyped functions, results of calls.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from mypy.errorcodes import ErrorCode
from mypy.expandtype import expand_type_by_instance
from mypy.maptype import map_instance_to_supertype
from mypy.nodes import Decorator, FuncDef, MemberExpr, NameExpr, SymbolNode, TempNode, Var
from mypy.plugin import FunctionContext, MethodContext, Plugin
from mypy.type_visitor import TypeQuery
from mypy.types import (
    AnyType,
    CallableType,
    Instance,
    LiteralType,
    NoneType,
    Type,
    TypeVarType,
    UnionType,
    get_proper_type,
)

__all__ = ["plugin"]

_TRACE: Final = ErrorCode("tapegrad-trace", "A model that cannot be traced", "tapegrad")
_NAMES: Final = ErrorCode("tapegrad-names", "A name that is no parameter's", "tapegrad")
_BY_NAME: Final = "tapegrad.transforms.partials.ByName"
_TRACED: Final = "tapegrad.recording.recorder.Var"


class _Hooked(Plugin):
    """The hooks of the transforms, and of what they return."""

    def get_function_hook(self, fullname: str) -> Callable[[FunctionContext], Type] | None:
        """The hook of a transform."""
        return _HOOKS.get(fullname)

    def get_method_hook(self, fullname: str) -> Callable[[MethodContext], Type] | None:
        """The hook of an item of what ``partials`` returns."""
        return _item if fullname in {f"{_BY_NAME}.__getitem__", f"{_BY_NAME}.get"} else None


def plugin(version: str) -> type[object]:
    """The entry point for mypy, whose version is ``version``."""
    return _Hooked


def _grad(context: FunctionContext) -> Type:
    if (model := _model(context)) is not None:
        _require(context, model, model.arg_types[:1], returns=True)
    return context.default_return_type


def _record(context: FunctionContext) -> Type:
    if (model := _model(context)) is not None:
        _require(context, model, model.arg_types[:1], returns=False)
    return context.default_return_type


def _partials(context: FunctionContext) -> Type:
    if (model := _model(context)) is not None:
        _require(context, model, model.arg_types, returns=True)
    return _by_name(context)


def _model(context: FunctionContext) -> CallableType | None:
    """The type of a model that is a function or a method, given by its name."""
    if not isinstance(context.args[0][0], NameExpr | MemberExpr | TempNode) or _is_expanded(
        context
    ):
        return None
    kind = get_proper_type(context.arg_types[0][0])
    if isinstance(kind, CallableType) and isinstance(kind.definition, FuncDef | Decorator):
        return kind
    return None


def _is_expanded(context: FunctionContext) -> bool:
    """Whether the call stands in a function of Real, which mypy reads once with Real = float."""
    functions = (item for item in context.api.scope.stack if isinstance(item, FuncDef))  # type: ignore[attr-defined]  # the checker has one
    return any(f.type is not None and _mentions_traced(f.type) for f in functions)


def _require(
    context: FunctionContext, model: CallableType, traced: Sequence[Type], *, returns: bool
) -> None:
    name = model.definition.name if model.definition is not None else "the model"
    if not any(map(_mentions_traced, traced)):
        which = "a parameter" if len(traced) > 1 else "its first parameter"
        problem = f'"{name}" takes plain floats: {which} must mention Real to be traced'
    elif returns and not _mentions_traced(model.ret_type):
        problem = f'"{name}" does not return Real: its gradient would be zero'
    else:
        return
    _fail(context, problem)


def _fail(context: FunctionContext, problem: str) -> None:
    """Reports an error that is not one of the overload which mypy tries: all have it."""
    errors = context.api.msg.errors
    watching, errors._watchers = errors._watchers, []
    try:
        context.api.fail(problem, context.context, code=_TRACE)
    finally:
        errors._watchers = watching


def _by_name(context: FunctionContext) -> Type:
    """The result of ``partials``: a dict that knows the names of the parameters."""
    result = get_proper_type(context.default_return_type)
    if not isinstance(result, CallableType) or any(kind.is_star() for kind in result.arg_kinds):
        return context.default_return_type
    if None in result.arg_names:
        return context.default_return_type
    text = context.api.named_generic_type("builtins.str", [])
    parameters = zip(result.arg_names, result.arg_types, strict=True)
    names = [LiteralType(str(name), text) for name, kind in parameters if not _is_static(kind)]
    module, _, name = _BY_NAME.rpartition(".")
    by_name = context.api.modules[module].names[name].node  # type: ignore[attr-defined]  # it has
    return result.copy_modified(ret_type=Instance(by_name, [UnionType.make_union(names)]))


def _item(context: MethodContext) -> Type:
    """An item of such a dict, by a name that is written in the call."""
    key = get_proper_type(context.arg_types[0][0])
    literal = key.last_known_value if isinstance(key, Instance) else key
    names = get_proper_type(context.type)
    if isinstance(literal, LiteralType) and isinstance(names, Instance):
        known = [name.value for name in _literals(names.args[0])]
        if literal.value not in known:
            listed = ", ".join(f'"{name}"' for name in known)
            problem = f'"{literal.value}" is no number that is given: expected one of ({listed})'
            context.api.fail(problem, context.context, code=_NAMES)
    return context.default_return_type


def _literals(names: Type) -> Iterator[LiteralType]:
    kind = get_proper_type(names)
    for part in kind.items if isinstance(kind, UnionType) else [kind]:
        if isinstance(literal := get_proper_type(part), LiteralType):
            yield literal


def _is_static(parameter: Type) -> bool:
    """Whether what a parameter takes is certainly no number."""
    kind = get_proper_type(parameter)
    if isinstance(kind, UnionType):
        return all(map(_is_static, kind.items))
    if isinstance(kind, NoneType | LiteralType):
        return True
    return isinstance(kind, Instance) and kind.type.fullname in {"builtins.bool", "builtins.str"}


def _mentions_traced(kind: Type) -> bool:
    return kind.accept(_MentionsTraced())


class _MentionsTraced(TypeQuery[bool]):
    """Whether a type has a place for a traced number; an unknown type may have."""

    def __init__(self) -> None:
        super().__init__()
        self.classes: set[str] = set()

    def strategy(self, items: list[bool]) -> bool:
        return any(items)

    def visit_any(self, t: AnyType) -> bool:
        return True

    def visit_type_var(self, t: TypeVarType) -> bool:
        return self.query_types([*t.values, t.upper_bound])

    def visit_instance(self, t: Instance) -> bool:
        if t.type.fullname == _TRACED or self.query_types(list(t.args)):
            return True
        if t.type.fullname in self.classes:
            return False
        self.classes.add(t.type.fullname)
        return self.query_types(list(_fields(t)))


def _fields(t: Instance) -> Iterator[Type]:
    """The types of the fields of a class of the user's."""
    for base in t.type.mro:
        if base.module_name not in {"builtins", "typing", "collections.abc"}:
            here = map_instance_to_supertype(t, base)
            for name, symbol in base.names.items():
                kind = _kind_of_field(symbol.node)
                if kind is not None and not name.startswith("__"):
                    yield expand_type_by_instance(kind, here)


def _kind_of_field(node: SymbolNode | None) -> Type | None:
    """The type of a field, or of a property."""
    if isinstance(node, Decorator) and node.func.is_property:
        getter = get_proper_type(node.func.type)
        return getter.ret_type if isinstance(getter, CallableType) else None
    return node.type if isinstance(node, Var) else None


_HOOKS: Final = {
    "tapegrad.numpy.derivatives.hessian": _grad,
    "tapegrad.numpy.derivatives.jacobian": _record,
    "tapegrad.transforms.grad.grad": _grad,
    "tapegrad.transforms.grad.value_and_grad": _grad,
    "tapegrad.transforms.jacobian.hessian": _grad,
    "tapegrad.transforms.jacobian.jacobian": _record,
    "tapegrad.transforms.partials.partials": _partials,
    "tapegrad.transforms.products.hvp": _grad,
    "tapegrad.transforms.products.jvp": _record,
    "tapegrad.transforms.products.linearize": _record,
    "tapegrad.transforms.products.vjp": _record,
    "tapegrad.transforms.record.record": _record,
    "tapegrad.transforms.sparse.sparse_hessian": _grad,
    "tapegrad.transforms.sparse.sparse_jacobian": _record,
    "tapegrad.transforms.taylor.taylor": _grad,
    "tapegrad.optimize.objective.objective": _grad,
}
