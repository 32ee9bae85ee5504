"""Containers: what is differentiated in them, what is held constant, and what comes back."""

from __future__ import annotations

import functools
import gc
from array import array
from collections import Counter, OrderedDict, UserList, deque
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Generic, NamedTuple

import attrs
import numpy as np
import pytest

import tapegrad as tg
from tapegrad import Real, Var, errors, math
from tests.places import place, refusal


@attrs.frozen
class Layer(Generic[Real]):
    w: Real


@attrs.frozen
class Model(Generic[Real]):
    """A model with a field of any kind beside a number."""

    b: Real
    other: Any


class Pair(NamedTuple, Generic[Real]):
    x: Real
    y: Real


class Box:
    """A class whose attributes are not declared."""

    def __init__(self, content: object) -> None:
        self.content = content

    def show(self) -> object:
        return self.content


@attrs.define(slots=True, eq=False)
class Slotted:
    text: str
    content: list[object]


ROADS: dict[str, Callable[[Any], Any]] = {
    "grad": lambda f: tg.grad(lambda x: (x * x, f(x)), has_aux=True)(2.0),
    "value_and_grad": lambda f: tg.value_and_grad(lambda x: (x * x, f(x)), has_aux=True)(2.0),
    "grad of grad": lambda f: tg.grad(
        lambda x: tg.grad(lambda y: (x * y * y, f(y)), has_aux=True)(2.0), has_aux=True
    )(3.0),
    "jacobian": lambda f: tg.jacobian(f)(2.0),
    "sparse_jacobian": lambda f: tg.sparse_jacobian(f)(2.0),
    "vjp": lambda f: tg.vjp(f, 2.0),
    "jvp": lambda f: tg.jvp(f, 2.0, 1.0),
    "linearize": lambda f: tg.linearize(f, 2.0),
    "record": lambda f: tg.record(f)(2.0).value,
    "replay": lambda f: tg.record(f)(2.0).replay(3.0).value,
    "record of grad": lambda f: tg.record(tg.grad(lambda x: (x * x, f(x)), has_aux=True))(2.0),
    "jit": lambda f: [compiled := tg.jit(f, eager_first=False), compiled(2.0), compiled(3.0)][1:],
    "jit of grad": lambda f: tg.jit(
        tg.grad(lambda x: (x * x, f(x)), has_aux=True), eager_first=False
    )(2.0),
    "vmap": lambda f: tg.vmap(f)(np.array([2.0, 3.0])),
    "objective": lambda f: tg.objective(f, 2.0).fun([2.0]),
    "residuals": lambda f: tg.residuals(f, 2.0).fun([2.0]),
    "checkpoint": lambda f: tg.grad(lambda x: (x * x, tg.checkpoint(f)(x)), has_aux=True)(2.0),
    "check_grad": lambda f: tg.check_grad(f, 2.0),
}


class Key:
    """Something hashable that holds a number."""

    def __init__(self, content: object) -> None:
        self.content = content


RESULTS: dict[str, Callable[[Any], Any]] = {
    "a number": lambda x: x * x,
    "nothing": lambda x: None,
    "a text": lambda x: "text",
    "a generator": lambda x: (x * k for k in (1.0, 2.0)),
    "a map": lambda x: map(math.sin, [x]),
    "a zip": lambda x: zip([x], [x], strict=True),
    "an enumeration": lambda x: enumerate([x]),
    "an iterator of a list": lambda x: iter([x]),
    "a reversed list": lambda x: reversed([x, x]),
    "a set": lambda x: {Key(x)},
    "the values of a dict": lambda x: {"a": x}.values(),
    "the items of a dict": lambda x: {"a": x}.items(),
    "the keys of a dict": lambda x: {Key(x): 1.0}.keys(),
    "a key of a dict": lambda x: {Key(x): x},
    "an object": Box,
    "a method": lambda x: Box([x]).show,
    "a slotted object": lambda x: Slotted("a", [x]),
    "a closure": lambda x: lambda: x,
    "a default": lambda x: lambda y=x: y,
    "a partial function": lambda x: functools.partial(math.hypot, x),
    "a deque": lambda x: deque([x]),
    "an ordered dict": lambda x: OrderedDict(a=x),
    "an array": lambda x: np.array([x, 2.0 * x]),
    "an array of two axes": lambda x: np.array([[x, 1], [x, x]]),
    "an array of no axis": lambda x: np.where(x > 0.0, x, 0.0),
    "an array of objects": lambda x: np.array([Box(x)]),
    "an array in an object": lambda x: Box(np.array([x])),
    "a number in a field without Real": lambda x: Model(1.0, [np.array([x])]),
    "an object in a field without Real": lambda x: Model(x, Box(x)),
    "a condition in an object": lambda x: Box(x > 0.0),
    "an exception": ValueError,
}


def answer_or_refusal(road: Callable[[Any], Any], f: Any) -> object:
    """What a road gives, or the text of the error that speaks of what was returned."""
    try:
        return road(f)
    except errors.OutputError as refused:
        text = str(refused)
    assert "returned" in text or "result" in text
    return text


@pytest.fixture(scope="class")
def only_new_objects() -> None:
    """The collector lists objects made from here on alone."""
    gc.collect()
    gc.freeze()


@pytest.mark.usefixtures("only_new_objects")
class TestWhatComesBack:
    @pytest.mark.parametrize("road", ROADS)
    def test_no_road_returns_a_number_of_an_ended_recording(self, road: str) -> None:
        """A result is made of plain numbers, or it is an error that names what was returned."""
        found = {
            (kind, f): answer_or_refusal(ROADS[road], f)
            for kind, result in RESULTS.items()
            for f in (result, lambda x, make=result: {"a": [x, (make(x),)]})
        }
        alive = [each for each in gc.get_objects() if type(each) is Var]
        assert not alive, (alive, found)

    def test_the_law_above_can_fail(self) -> None:
        """A traced number that is kept is seen."""
        kept: list[object] = []

        def f(x: Any) -> Any:
            kept.append(x)
            return x * x

        tg.grad(f)(2.0)
        assert [each for each in gc.get_objects() if type(each) is Var] == kept


IN_CONTAINERS = (
    "return it in a dict, a list or a tuple, or in a dataclass with fields annotated Real"
)


class TestResults:
    @pytest.mark.parametrize("make", [tg.grad, tg.value_and_grad])
    def test_arrays_in_aux_come_out_as_arrays_of_floats(self, make: Any) -> None:
        """Of any shape, ints and floats beside the traced numbers included, as f itself gives."""

        def f(x: Any) -> Any:
            arrays = {"a": np.array([x, 1]), "b": np.array([[x], [2.0]]), "c": np.array(x * 2.0)}
            return x * x, (arrays, Model(x, np.array([x])))

        found = make(f, has_aux=True)(3.0)
        arrays, model = found[1] if make is tg.grad else found[0][1]
        for name, plain in f(3.0)[1][0].items():
            assert arrays[name].dtype == np.float64
            assert arrays[name].shape == plain.shape
            assert arrays[name].tolist() == plain.tolist()
        assert model.other.dtype == np.float64

    def test_aux_of_an_inner_gradient_is_differentiated_by_the_outer_one(self) -> None:
        """Arrays of the outer recording's numbers come out of the inner gradient."""

        def outer(x: Any) -> Any:
            _, aux = tg.grad(lambda y: (y * y * x, np.array([x * y, 1.0])), has_aux=True)(3.0)
            return aux.sum()

        assert tg.grad(outer)(2.0) == 3.0

    def test_statics_of_a_result_stay(self) -> None:
        """What holds no traced number comes back as it is."""
        box = Box([1.0])
        ints = np.arange(3)

        def f(x: Any) -> Any:
            return x * x, {"box": box, "ints": ints, "set": {1.0}, "none": None, "keys": {}.keys()}

        aux = tg.grad(f, has_aux=True)(2.0)[1]
        assert aux["box"] is box
        assert aux["ints"] is ints
        kept = tg.record(lambda x: (x, box))(2.0).value[1]
        assert (type(kept), kept.show()) == (Box, [1.0])

    @pytest.mark.parametrize(
        ("transform", "name"),
        [
            (lambda f: tg.jacobian(f)(2.0), "jacobian"),
            (lambda f: tg.sparse_jacobian(f)(2.0), "sparse_jacobian"),
            (lambda f: tg.vjp(f, 2.0), "vjp"),
            (lambda f: tg.jvp(f, 2.0, 1.0), "jvp"),
            (lambda f: tg.linearize(f, 2.0), "linearize"),
            (lambda f: tg.vmap(f)([2.0]), "vmap"),
            (lambda f: tg.check_grad(f, 2.0), "check_grad"),
        ],
    )
    @pytest.mark.parametrize(
        ("result", "shown"),
        [(None, "None"), ("up", "a str ('up')"), ({1.0}, "a set ({1.0})"), ({"a": "up"}, "a dict")],
    )
    def test_a_result_without_numbers_is_refused(
        self, transform: Any, name: str, result: object, shown: str
    ) -> None:
        """A forgotten `return` is an error, not an empty matrix."""

        def model(x: object) -> object:
            return result

        def call() -> object:
            return transform(model)

        text = refusal(errors.OutputError, call)
        assert text.startswith("model (test_containers.py:")
        assert text.endswith(
            f") returned {shown}, in which {name} finds no number: return one, or a dict, a list "
            "or a tuple of them"
        )

    def test_a_result_without_numbers_may_be_an_empty_container(self) -> None:
        """No rows are a matrix without rows."""
        assert tg.jacobian(lambda xs: [x * x for x in xs[1:]])([2.0]) == {}
        assert tg.vjp(lambda x: {"a": ()}, 2.0)[0] == {"a": ()}

    def test_rows_have_numbers(self) -> None:
        """An empty container is no column."""

        def empty(x: object) -> object:
            return []

        assert refusal(errors.OutputError, lambda: tg.vmap(empty)([1.0, 2.0])).endswith(
            ") returned a list, in which vmap finds no number: return one, or a dict, a list "
            "or a tuple of them"
        )

    @pytest.mark.parametrize(
        ("result", "problem", "cure"),
        [
            (
                lambda x: [x, (x * k for k in (1.0,))],
                "the result 1 is a generator, which can be read once",
                "return a list or a tuple of what it gives",
            ),
            (
                lambda x: {"box": Box(x)},
                "the result box is a Box, with a traced number in it that cannot be taken out",
                IN_CONTAINERS,
            ),
            (
                lambda x: {Key(x): x},
                "the result has the key a Key, with a traced number in it",
                "use a key without one",
            ),
        ],
    )
    def test_a_result_with_hidden_numbers_is_named(
        self, result: Any, problem: str, cure: str
    ) -> None:
        """The place, the type, the line and what to return."""

        def call() -> object:
            return tg.record(result)(2.0)

        line = place(call, "tg.record")
        assert refusal(errors.OutputError, call) == f"{problem} ({line}): {cure}"


FLOATS: dict[str, tuple[object, str]] = {
    "a float": (2.0, "other"),
    "a numpy scalar": (np.float32(2.0), "other"),
    "a list": ([1, 2.0], "other.1"),
    "a tuple": ((2.0,), "other.0"),
    "a dict": ({"k": {"l": 2.0}}, "other.k.l"),
    "a named tuple": (Pair(1, 2.0), "other"),
    "a list of lists": ([[], [2.0]], "other.1.0"),
    "an array": (np.array([2.0]), "other"),
    "an array of float32": (np.zeros((2, 2), np.float32), "other"),
    "an array of objects": (np.array([None, 2.0]), "other"),
    "a list of arrays": ([np.array([2.0])], "other.0"),
    "a buffer": (array("d", [2.0]), "other"),
    "an ordered dict": (OrderedDict(a=2.0), "other"),
    "a deque": (deque([2.0]), "other"),
    "a set": ({2.0}, "other"),
    "a read-only dict": (MappingProxyType({"a": 2.0}), "other"),
    "a user's list": (UserList([2.0]), "other"),
    "an ordered dict of models": (OrderedDict(a=Layer(2.0)), "other"),
    "a deque of lists": (deque([["a"], [2.0]]), "other"),
    "an instance of a class without Real": (Slotted("a", [2.0]), "other.content.0"),
    "a list with a model": ([Layer(2.0), 3.0], "other.1"),
}
"""What would come back as its own gradient, and the place that an error names."""

STATICS: dict[str, object] = {
    "ints": [1, 2, {"a": (3,)}],
    "text": ["relu", b"x"],
    "a range": range(10**12),
    "a table of ints": {"a": [1, 2], "b": (None, [3])},
    "a counter": Counter("aab"),
    "nothing": None,
    "truths": (True, False),
    "empty": {"a": []},
    "an array of ints": np.arange(3),
    "an array of text": np.array(["a"]),
    "an object": Box(2.0),
    "a function": math.sin,
    "a class without floats": Slotted("a", [1]),
}


class TestFieldsWithoutReal:
    @pytest.mark.parametrize("kind", [name for name in FLOATS if name != "a named tuple"])
    def test_floats_are_refused(self, kind: str) -> None:
        """No parameter is its own gradient, whatever it is kept in, on any road."""
        value, path = FLOATS[kind]
        model = Model(5.0, value)

        def f(m: Any, *data: Any) -> Any:
            return m.b * m.b

        roads: list[Callable[[], object]] = [
            lambda: tg.grad(f)(model),
            lambda: tg.jacobian(f)(model),
            lambda: tg.hvp(f, model, model),
            lambda: tg.record(f)(model),
            lambda: tg.jit(f, eager_first=False)(model),
            lambda: tg.vmap(f, in_axes=(None, 0))(model, [1.0]),
            lambda: tg.objective(f, model),
            lambda: tg.residuals(f, model),
            lambda: tg.record(lambda x, m: f(m) * x)(1.0, model),
        ]
        for road in roads:
            text = refusal(errors.InputError, road)
            assert named_place(text) in {path, f"m:{path}"}
            assert " in a field that is not annotated Real, beside fields that are: " in text
            assert ", or move it into an argument of its own (" in text

    @pytest.mark.parametrize("kind", STATICS)
    def test_what_is_no_float_is_static(self, kind: str) -> None:
        """It reaches the model, and the gradient, as it is."""
        value = STATICS[kind]
        gradient = tg.grad(lambda m: m.b * m.b if m.other is value else m.b)(Model(5.0, value))
        assert gradient.b == 10.0
        assert gradient.other is value

    @pytest.mark.parametrize(
        "wrapped",
        [
            lambda layer: layer,
            lambda layer: [layer],
            lambda layer: ("relu", {"a": layer}),
            lambda layer: Slotted("a", [layer]),
            lambda layer: [[layer], None],
        ],
    )
    def test_models_are_differentiated(self, wrapped: Any) -> None:
        """A class with fields annotated Real holds numbers wherever its instances stand."""

        def f(m: Any) -> Any:
            (layer,) = layers_in(m.other)
            return m.b * layer.w

        model = Model(5.0, wrapped(Layer(2.0)))
        for gradient in (tg.grad(f)(model), tg.jit(tg.grad(f), eager_first=False)(model)):
            assert gradient.b == 2.0
            assert layers_in(gradient.other) == [Layer(5.0)]
        assert len(tg.record(f)(model).paths) == 2

    def test_a_gradient_of_zero_is_a_number_there(self) -> None:
        """The gradient is built alike on every path, whether or not the path reads the layer."""

        def f(m: Any, x: Any) -> Any:
            return m.b * m.other[0].w * x if x > 0.0 else m.b * x

        found = tg.vmap(tg.grad(f), in_axes=(None, 0))(Model(5.0, [Layer(2.0)]), [1.0, -1.0])
        assert found.paths == ("b", "other.0.w")
        assert found.column("other.0.w").tolist() == [5.0, 0.0]

    def test_so_they_are_in_a_class_of_models_alone(self) -> None:
        """A class without a field annotated Real may hold models."""

        @attrs.frozen
        class Net:
            layers: list[Any]
            name: str = "net"

        gradient = tg.grad(lambda net: net.layers[0].w ** 2)(Net([Layer(3.0)]))
        assert gradient == Net([Layer(6.0)])

    def test_a_field_annotated_with_real_is_what_the_error_says(self) -> None:
        """The annotation that is asked for gives the derivatives."""

        @attrs.frozen
        class Net(Generic[Real]):
            b: Real
            weights: list[Real]

        assert tg.grad(lambda n: n.b * n.weights[0])(Net(5.0, [2.0])) == Net(2.0, [5.0])


def named_place(text: str) -> str:
    return text.partition(" is ")[0]


def layers_in(value: Any) -> list[Any]:
    """The layers in a value."""
    if isinstance(value, Layer):
        return [value]
    if isinstance(value, Slotted):
        return layers_in(value.content)
    parts = value.values() if isinstance(value, dict) else value
    return [x for part in parts or () if not isinstance(part, str) for x in layers_in(part)]


HELD: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "a number": (lambda x: x, lambda held: held),
    "a dict": (lambda x: {"a": x}, lambda held: held["a"]),
    "a list": (lambda x: [1, x], lambda held: held[1]),
    "a tuple": (lambda x: (x, "a"), lambda held: held[0]),
    "a named tuple": (lambda x: Pair(x, x), lambda held: held.y),
    "a model": (Layer, lambda held: held.w),
    "a field without Real": (lambda x: Model(1.0, [x]), lambda held: held.other[0]),
    "a class without Real": (lambda x: Slotted("a", [x]), lambda held: held.content[0]),
    "an array": (lambda x: np.array([1.0 * x, x]), lambda held: held[1]),
    "an array of no axis": (lambda x: np.array(1.0 * x), lambda held: held[()]),
    "an array of two axes": (lambda x: np.array([[x], [x]]), lambda held: held[1, 0]),
    "an array of models": (lambda x: np.array([Layer(x)]), lambda held: held[0].w),
    "nested": (
        lambda x: {"a": [Layer((x, [np.array([x])]))]},
        lambda held: held["a"][0].w[1][0][0],
    ),
}
"""Containers of a number, and the way to take it out again."""

DERIVATIVES: dict[str, Callable[[Any, float], Any]] = {
    "grad": lambda f, x: tg.grad(f)(x),
    "jvp": lambda f, x: tg.jvp(f, x, 1.0)[1],
    "jacobian": lambda f, x: tg.jacobian(f)(x)["value"]["x"],
    "jit": lambda f, x: [
        compiled := tg.jit(tg.grad(f), eager_first=False),
        compiled(0.5),
        compiled(x),
    ][-1],
    "vmap": lambda f, x: float(tg.vmap(tg.grad(f))(np.array([x]))[0]),
    "record": lambda f, x: tg.record(f)(0.5).replay(x).gradient(),
    "record of grad": lambda f, x: tg.record(tg.grad(f))(0.5).replay(x).value,
    "taylor": lambda f, x: tg.taylor(f, 1)(x)[1],
}


class TestStopGradient:
    @pytest.mark.parametrize("kind", HELD)
    def test_every_number_in_a_container_is_a_constant(self, kind: str) -> None:
        """The product of a number and its constant copy has the constant as its slope."""
        wrap, unwrap = HELD[kind]

        def f(x: Any) -> Any:
            return unwrap(tg.stop_gradient(wrap(x))) * x

        for road, derivative in DERIVATIVES.items():
            assert derivative(f, 3.0) == 3.0, road
        assert tg.hessian(lambda x: f(x) * x)(3.0) == {"x": {"x": 6.0}}

    @pytest.mark.parametrize("kind", HELD)
    def test_a_container_keeps_its_type(self, kind: str) -> None:
        """What comes back is built as what was given, on floats and on traced numbers."""
        wrap, _ = HELD[kind]
        kinds: list[type] = []

        def f(x: Any) -> Any:
            kinds.append(type(tg.stop_gradient(wrap(x))))
            return x

        f(2.0)
        tg.grad(f)(2.0)
        if kind != "a number":
            assert kinds[0] is kinds[1]

    def test_what_holds_no_traced_number_comes_back_itself(self) -> None:
        """Nothing is copied without need."""
        for value in (1, "a", None, [1.0], {"a": Box(1.0)}, np.arange(3.0), Layer(1.0), Box([])):
            assert tg.stop_gradient(value) is value

    @pytest.mark.parametrize(
        ("make", "shown"),
        [(Box, "a Box"), (lambda x: (x for _ in "a"), "a generator"), (lambda x: deque([x]), None)],
    )
    def test_what_it_cannot_reach_is_refused(self, make: Any, shown: str | None) -> None:
        """A number in an undeclared attribute is no constant in silence."""

        def f(x: Any) -> Any:
            return tg.stop_gradient(make(x))

        text = refusal(errors.InputError, lambda: tg.grad(f)(2.0))
        assert text.startswith(f"stop_gradient at {place(f, 'stop_gradient')} was given ")
        assert text.endswith(
            ", whose numbers it cannot reach: pass a dict, a list, a tuple, or an instance of a "
            "dataclass"
        )
        assert shown is None or shown in text
