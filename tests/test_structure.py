"""The user's containers: which numbers in them are inputs, and what is refused."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, deque, namedtuple
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import (
    Annotated,
    Any,
    ClassVar,
    ForwardRef,
    Generic,
    Literal,
    NamedTuple,
    Optional,
    TypedDict,
)

import attrs
import numpy as np
import pytest
from hypothesis import given

import tapegrad as tg
from tapegrad import Real, Scalar, Var, errors, grad, math, partials, record, value_and_grad
from tapegrad.pytree.containers import CONTAINERS, ContainerKind
from tapegrad.pytree.key_paths import key_path
from tapegrad.pytree.matching import in_order
from tapegrad.pytree.structure import Role, build, flatten, key_paths, traced_leaves
from tests.places import place, refusal
from tests.strategies import Data, Frozen, Named, containers


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real


class Point(NamedTuple, Generic[Real]):
    x: Real
    y: Real
    unit: str = "m"


class Weights(TypedDict, Generic[Real]):
    w: Real
    b: Real


@dataclasses.dataclass(frozen=True, slots=True)
class Circle(Generic[Real]):
    radius: Real
    name: str = "circle"


class Pair(NamedTuple):
    """A named tuple without a type variable."""

    a: Scalar
    b: Scalar


bare: Any = namedtuple("bare", "a b")  # noqa: PYI024  # one without annotations
line: Any = Line
point: Any = Point
circle: Any = Circle
"""The classes, for what a checker would not let into them."""
REAL: Any = Real
QUOTED: Any = "Line[Real]"
"""Annotations for classes that are made here."""


def total(value: Any) -> Any:
    """The sum of every traced number, wherever it stands; plain ones are left out."""
    return math.sum(numbers(value))


def numbers(value: Any) -> list[Any]:
    """Every traced number, wherever it stands."""
    found: list[Any] = []
    _collect(value, found)
    return found


def _collect(value: Any, numbers: list[Any]) -> None:
    if isinstance(value, Var):
        numbers.append(value)
    elif isinstance(value, dict):
        for child in value.values():
            _collect(child, numbers)
    elif isinstance(value, list | tuple):
        for child in value:
            _collect(child, numbers)
    elif attrs.has(type(value)) or dataclasses.is_dataclass(value):
        for name in getattr(value, "__match_args__", ()):
            _collect(getattr(value, name), numbers)


class TestFlattenAndBuild:
    @given(containers())
    def test_build_is_the_inverse_of_flatten(self, value: Any) -> None:
        """A structure with its own leaves is the value again, in its own classes."""
        structure, leaves = flatten(value, Role.PARAMETERS, key_path)
        again = build(structure, leaves)
        assert again == value
        assert type(again) is type(value)
        assert flatten(again, Role.PARAMETERS, key_path) == (structure, leaves)

    @given(containers())
    def test_every_leaf_has_a_path_and_no_other_has_it(self, value: Any) -> None:
        """There are as many paths as leaves, all different."""
        structure, leaves = flatten(value, Role.PARAMETERS, key_path)
        assert len(set(key_paths(structure))) == len(leaves)

    @given(containers())
    def test_the_gradient_of_the_sum_is_one_everywhere(self, value: Any) -> None:
        """A gradient has the structure of the argument, statics and all."""
        structure, leaves = flatten(value, Role.PARAMETERS, key_path)
        if not leaves:
            return
        assert grad(total)(value) == build(structure, [1.0] * len(leaves))

    @given(containers())
    def test_the_recorded_identity_gives_the_value_back(self, value: Any) -> None:
        """What comes out of a recording is as it went in, but for traced numbers."""
        assert record(lambda x: x)(value).value == value


def backwards(value: Any) -> Any:
    """The same value with the keys of every dict the other way round."""
    if isinstance(value, dict):
        return {key: backwards(value[key]) for key in reversed(value)}
    if isinstance(value, Named | Frozen | Data):
        return type(value)(backwards(value.part), value.name)
    return type(value)(map(backwards, value)) if isinstance(value, list | tuple) else value


class TestTheOrderOfKeys:
    """Tangents and cotangents are matched by their keys, wherever a dict stands in them."""

    @given(containers())
    def test_it_does_not_count_in_tangents_and_cotangents(self, value: Any) -> None:
        """The derivative of the identity gives back what it is given, key by key."""
        assert tg.jvp(lambda p: p, value, backwards(value))[1] == value
        assert tg.vjp(lambda p: p, value)[1](backwards(value)) == value
        assert tg.hvp(half_the_squares, value, backwards(value)) == value

    def test_fields_and_static_values_stay_as_they_are(self) -> None:
        """A container whose dicts are in order is itself, and so are the parts of another."""
        inner, unit = Line(1.0, 2.0), {"b": 1, "a": 2}
        structure, _ = flatten(
            [{"a": inner, "b": point(3.0, 4.0, unit)}], Role.PARAMETERS, key_path
        )
        same = [{"a": inner, "b": point(3.0, 4.0, unit)}]
        assert in_order(structure, same) is same
        ordered: Any = in_order(structure, [{"b": same[0]["b"], "a": inner}])
        assert list(ordered[0]) == ["a", "b"]
        assert ordered[0]["a"] is inner
        assert ordered[0]["b"] is same[0]["b"]


@attrs.frozen
class Priced:
    """A result that names its numbers, and annotates them as the floats that they come out as."""

    price: float
    legs: dict[str, float]
    lots: int = 1


class TestAPullbackOfAClass:
    """A cotangent is built as the value is."""

    def test_it_takes_the_value_itself(self) -> None:
        """Fields annotated float hold numbers there, too; static ones are not looked at."""
        value, pullback = tg.vjp(lambda x: Priced(2.0 * x, {"a": x, "b": 3.0 * x}), 1.0)
        assert pullback(value) == 4.0 + 1.0 + 9.0
        assert pullback(Priced(1.0, {"b": 10.0, "a": 100.0}, lots=7)) == 2.0 + 30.0 + 100.0

    @pytest.mark.parametrize(
        ("cotangent", "path"),
        [
            (Priced(1.0, {"a": 1.0}), " at legs.b"),
            (Priced(1.0, {"a": 1.0, "b": 1.0, "c": 1.0}), " at legs.c"),
            (Priced("1.0", {"a": 1.0, "b": 1.0}), " at price"),  # type: ignore[arg-type]  # wrong on purpose
            (Priced(1.0, {"a": 1.0, "b": 1.0}, 1.5), " at lots"),  # type: ignore[arg-type]  # the same
            ((1.0, {"a": 1.0, "b": 1.0}), ""),
        ],
    )
    def test_what_does_not_fit_is_named(self, cotangent: Any, path: str) -> None:
        """Keys, kinds of containers, and numbers where there are none."""
        _, pullback = tg.vjp(lambda x: Priced(2.0 * x, {"a": x, "b": 3.0 * x}), 1.0)

        def call() -> object:
            return pullback(cotangent)

        assert refusal(errors.InputError, call) == (
            f"the cotangent{path} has not the structure of what it belongs to "
            f"({place(call, 'return pullback')}): give one number for each number there"
        )

    def test_an_int_too_large_for_a_float_is_named(self) -> None:
        """By its path."""
        _, pullback = tg.vjp(lambda x: Priced(2.0 * x, {"a": x}), 1.0)
        with pytest.raises(
            errors.InputRangeError, match=r"the cotangent at legs\.a is an int of 2001"
        ):
            pullback(Priced(1.0, {"a": 2**2000}))


def half_the_squares(value: Any) -> Any:
    return 0.5 * math.sum([x * x for x in numbers(value)])


class TestKinds:
    """Ten kinds of parameters, none of them registered."""

    @pytest.mark.parametrize(
        ("value", "ones"),
        [
            (2.0, 1.0),
            ({"w": 2.0, "b": 1.0}, {"w": 1.0, "b": 1.0}),
            ([2.0, 1.0], [1.0, 1.0]),
            ((2.0, 1.0), (1.0, 1.0)),
            (Weights(w=2.0, b=1.0), Weights(w=1.0, b=1.0)),
            (Point(2.0, 1.0, "cm"), Point(1.0, 1.0, "cm")),
            (Line(2.0, 1.0), Line(1.0, 1.0)),
            (line([Line(2.0, 1.0)], {"b": (1.0,)}), line([Line(1.0, 1.0)], {"b": (1.0,)})),
            (Circle(2.0, "unit"), Circle(1.0, "unit")),
            (bare(2.0, 1.0), bare(1.0, 1.0)),
            (Pair(2.0, 1.0), Pair(1.0, 1.0)),
            ([], []),
        ],
        ids=repr,
    )
    def test_the_gradient_has_the_kind_of_the_argument(self, value: Any, ones: Any) -> None:
        """Class by class, what comes back is what went in, with derivatives for numbers."""
        gradient = grad(lambda p: total(p) + 0.0)(value)
        assert gradient == ones
        assert type(gradient) is type(value)

    def test_subclasses_without_fields_of_their_own_are_known(self) -> None:
        """A subclass of a named tuple or of an attrs class keeps what is known of its fields."""

        class Located(Point[float]):
            pass

        class Named(Line[float]):
            pass

        assert grad(total)(Located(1.0, 2.0, "m")) == Located(1.0, 1.0, "m")
        assert type(grad(total)(Named(1.0, 2.0))) is Named

    def test_ints_and_numpy_numbers_are_promoted(self) -> None:
        """In what is differentiated any real number is an input, and derivatives are floats."""
        values: list[Any] = [2, np.float64(2.0), np.float32(2.0), np.int64(2), 2.0]
        gradient = grad(math.prod)(values)
        assert gradient == [16.0] * 5
        assert {type(derivative) for derivative in gradient} == {float}

    def test_classes_local_to_a_function_need_no_names_outside_it(self) -> None:
        """Annotations that are text are read, not evaluated: `Inner` is known only here."""

        @attrs.frozen
        class Inner(Generic[Real]):
            w: Real

        @attrs.frozen
        class Outer(Generic[Real]):
            inners: list[Inner[Real]]
            scale: tg.Real
            name: str = "outer"

        assert grad(total)(Outer([Inner(1.0)], 2.0)) == Outer([Inner(1.0)], 1.0)

    def test_private_fields_and_fields_left_out_of_init_are_fields(self) -> None:
        """A copy has every field, whatever its `__init__` takes."""

        @attrs.define
        class Cached(Generic[Real]):
            _w: Real
            twice: Real = attrs.field(init=False)

            def __attrs_post_init__(self) -> None:
                self.twice = 2.0 * self._w

        gradient = grad(lambda p: p._w * p.twice)(Cached(3.0))
        assert (gradient._w, gradient.twice) == (6.0, 3.0)

    def test_an_unset_field_stays_unset(self) -> None:
        """A field with no value yet is no input."""

        @attrs.define
        class Late(Generic[Real]):
            w: Real
            later: Real = attrs.field(init=False)

        assert not hasattr(grad(lambda p: p.w * 2.0)(Late(1.0)), "later")

    def test_converters_validators_and_hooks_do_not_run_on_copies(self) -> None:
        """They are for the user's numbers; a traced number would not pass them."""
        calls: list[object] = []

        instance_of: Any = attrs.validators.instance_of

        @attrs.frozen
        class Checked(Generic[Real]):
            w: Real = attrs.field(converter=float, validator=instance_of(float))

            def __attrs_post_init__(self) -> None:
                calls.append(self.w)

        @dataclasses.dataclass
        class Counted(Generic[Real]):
            w: Real

            def __post_init__(self) -> None:
                calls.append(self.w)

        assert grad(lambda p: p.w * p.w)(Checked(3.0)).w == 6.0
        assert grad(lambda p: p.w * p.w)(Counted(3.0)).w == 6.0
        assert calls == [3.0, 3.0]


class TestANewKind:
    """A kind of container is one entry of the table."""

    @pytest.mark.parametrize(
        ("cls", "kind", "value"),
        [
            (
                OrderedDict,
                ContainerKind(
                    lambda x: (tuple(x), x.values()),
                    lambda cls, keys, parts: cls(zip(keys, parts, strict=True)),
                    "key",
                ),
                OrderedDict(w=2.0, b=OrderedDict({"a b": 3.0})),
            ),
            (
                deque,
                ContainerKind(
                    lambda x: (tuple(range(len(x))), x),
                    lambda cls, keys, parts: cls(parts),
                    "index",
                ),
                deque([2.0, deque([3.0, 4.0])]),
            ),
        ],
        ids=["OrderedDict", "deque"],
    )
    def test_it_is_read_and_written_everywhere(
        self, cls: type, kind: ContainerKind, value: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By eager and by compiled functions, in replays and as a cotangent."""
        monkeypatch.setitem(CONTAINERS, cls, kind)
        half = grad(lambda p: half_the_squares(traced(p)))
        assert half(value) == value
        assert type(half(value)) is cls
        compiled = tg.jit(half, eager_first=False)
        assert compiled(value) == compiled(value) == value
        assert record(lambda p: p)(value).replay(value).value == value
        assert tg.vjp(lambda p: p, value)[1](value) == value


def traced(value: Any) -> list[Any]:
    return list(traced_leaves(value))


class TestFields:
    """Which fields of a class are inputs is said by their annotations alone."""

    @pytest.mark.parametrize(
        "annotation",
        [
            REAL,
            Var,
            Scalar,
            list[REAL],
            tuple[line[REAL], ...],
            Mapping[str, REAL],
            Optional[REAL],  # noqa: UP045  # users write it
            Annotated[REAL, "metres"],
            "Real",
            "tg.Real",
            "tuple[Real, ...]",
            list[QUOTED],
            ForwardRef("Real"),
        ],
        ids=repr,
    )
    def test_one_that_mentions_real_is_an_input(self, annotation: Any) -> None:
        """Wherever in the annotation it stands, evaluated or not."""
        kind = attrs.make_class("Kind", {"w": attrs.field(type=annotation)}, frozen=True)
        kind.__module__ = __name__
        assert grad(lambda p: p.w * p.w)(kind(3.0)) == kind(6.0)

    @pytest.mark.parametrize(
        "annotation",
        [
            int,
            str,
            Any,
            Literal["Real"],
            Annotated[int, "Real"],
            Callable[[REAL], REAL],
            "Callable[[Real], Real]",
            "int",
            "NoSuchName",
            None,
        ],
        ids=repr,
    )
    def test_any_other_is_handed_through(self, annotation: Any) -> None:
        """The same object reaches the model and comes back in the gradient."""
        fields = {"w": attrs.field(type=REAL), "other": attrs.field(type=annotation)}
        kind = attrs.make_class("Kind", fields, frozen=True)
        kind.__module__ = __name__
        marker: Any = object()
        seen = []

        def f(p: Any) -> Any:
            seen.append(p.other)
            return p.w * 2.0

        gradient = grad(f)(kind(3.0, marker))
        assert gradient.w == 2.0
        assert gradient.other is seen[0] is marker

    def test_class_variables_are_no_fields(self) -> None:
        """They belong to the class."""

        @dataclasses.dataclass
        class Scaled(Generic[Real]):
            scale: ClassVar[float] = 3.0
            w: Real

        assert grad(lambda p: p.w * p.scale)(Scaled(1.0)) == Scaled(3.0)

    def test_a_model_in_a_static_field_has_its_own_inputs(self) -> None:
        """In class instances the fields annotated Real are inputs, wherever the instance stands."""

        @attrs.frozen
        class Wrapped(Generic[Real]):
            scale: Real
            line: Any

        assert grad(total)(Wrapped(2.0, Line(1.0, 2.0))) == Wrapped(1.0, Line(1.0, 1.0))

    def test_a_model_in_the_data_has_its_own_inputs_too(self) -> None:
        """The tape names them after the parameter."""

        def f(x: Any, p: Any) -> Any:
            return x * p.w

        tape = record(f)(2.0, Line(3.0, 4))
        assert tape.paths == ("x", "p:w", "p:b")
        assert grad(f)(2.0, Line(3.0, 4)) == 3.0

    def test_data_without_real_is_static(self) -> None:
        """An instance of another class reaches the model as it is, floats and all."""

        @attrs.frozen
        class Settings:
            rate: float

        settings = Settings(0.5)
        seen = []

        def f(x: Any, s: Any) -> Any:
            seen.append(s)
            return x * s.rate

        assert grad(f)(2.0, settings) == 0.5
        assert seen[0] is settings

    def test_none_is_allowed_where_the_annotation_says_so(self) -> None:
        """And is handed through."""

        @attrs.frozen
        class Biased(Generic[Real]):
            w: Real
            b: Real | None = None

        assert grad(lambda p: p.w * p.w)(Biased(3.0)) == Biased(6.0)
        assert grad(lambda p: p.w * p.b)(Biased(3.0, 2.0)) == Biased(2.0, 3.0)

    def test_results_in_any_class_come_out_as_numbers(self) -> None:
        """What a model returns may hold traced numbers in fields of any annotation."""
        square: Any = lambda x: x * x  # noqa: E731  # without types
        both: Any = value_and_grad(square)
        tape = record(both)(3.0)
        assert tape.value == tg.ValueAndGrad(9.0, 6.0)
        assert tape.replay(4.0).value == tg.ValueAndGrad(16.0, 8.0)

    def test_a_result_without_traced_numbers_is_returned_as_it_is(self) -> None:
        """Nothing is copied where nothing was recorded."""

        @attrs.frozen
        class Note:
            text: str

        note = Note("as it is")
        assert record(lambda x: (x, note))(1.0).value[1] is note


class TestWhatIsRefused:
    """What a checker would have said, at run time, with the path."""

    @pytest.mark.parametrize(
        ("value", "path", "shown"),
        [
            ({"w": "2.0"}, "w", "a str ('2.0')"),
            ([1.0, True], "1", "a bool (True)"),
            ({"a": [1.0, {"b": None}]}, "a.1.b", "None"),
            ((1j,), "0", "a complex (1j)"),
            ([Decimal(1)], "0", "a Decimal (Decimal('1'))"),
            (line(1.0, "2.0"), "b", "a str ('2.0')"),
            (line(1.0, None), "b", "None"),
            (line([line(1.0, "x")], 1.0), "w.0.b", "a str ('x')"),
            (point(1.0, b"y"), "y", "a bytes (b'y')"),
            (circle(object), "radius", "a type (<class 'object'>)"),
            ({"a b": ""}, "['a b']", "a str ('')"),
            (MappingProxyType({}), "p", "a mappingproxy (mappingproxy({}))"),
            ("text", "p", "a str ('text')"),
        ],
    )
    def test_what_is_no_number(self, value: Any, path: str, shown: str) -> None:
        """It is named by path, type and value."""

        def f(p: Any) -> Any:
            return total(p)

        def call() -> object:
            return grad(f)(value)

        assert refusal(errors.InputError, call) == (
            f"{path} is {shown}, not a number or a container of numbers: pass a float there, or "
            f"pass it as data after the first argument ({place(call, 'grad(f)')})"
        )

    def test_other_subclasses_of_containers(self) -> None:
        """What their methods mean is not known."""

        def call() -> object:
            return grad(total)([OrderedDict()])

        assert refusal(errors.InputError, call) == (
            "0 is an OrderedDict (OrderedDict()), a subclass of dict: pass a dict "
            f"({place(call, 'OrderedDict()')})"
        )

    def test_a_class_without_real(self) -> None:
        """Nothing in it could be differentiated."""

        @attrs.frozen
        class Settings:
            rate: float

        def f(p: Any) -> Any:
            return p.rate * 2.0

        def call() -> object:
            return grad(f)(Settings(0.5))

        assert refusal(errors.InputError, call) == (
            "p is a Settings (Settings(rate=0.5)), a class with no field annotated Real: annotate "
            "the fields to differentiate (`w: Real`, or `w: Arr` of tapegrad.numpy for an array) "
            f"({place(call, 'grad(f)')})"
        )

    @pytest.mark.parametrize("value", [0.5, np.float64(0.5)], ids=["float", "float64"])
    def test_a_plain_float_beside_real(self, value: float) -> None:
        """Its derivative would be missing in silence."""

        @attrs.frozen
        class Mixed(Generic[Real]):
            w: Real
            rate: float

        text = refusal(errors.InputError, lambda: grad(lambda p: p.w * p.rate)(Mixed(1.0, value)))
        assert text.startswith(f"rate is a {type(value).__name__} (")
        assert "in a field that is not annotated Real, beside fields that are" in text

    def test_an_int_too_large_for_a_float(self) -> None:
        """It is an OverflowError, too."""
        with pytest.raises(OverflowError, match=r"^b is an int of 1329 bits, too large"):
            grad(total)(Line(1.0, 10**400))

    def test_a_chain_of_instances_that_is_too_long(self) -> None:
        """It is refused, and not a RecursionError."""
        chain: Any = 1.0
        for _ in range(20_000):
            chain = Line(1.0, [chain])
        with pytest.raises(errors.InputError, match="is nested too deeply, or contains itself"):
            grad(total)(chain)


class TestCalls:
    """A call that does not fit the model is refused in the checker's words."""

    @pytest.mark.parametrize(
        ("args", "kwargs", "problem"),
        [
            ((3.0,), {}, "missing a required argument: 'y'"),
            ((3.0, 4.0, 5.0), {}, "too many positional arguments"),
            ((3.0, 4.0), {"z": 1}, "got an unexpected keyword argument 'z'"),
            ((3.0,), {"x": 1.0, "y": 2.0}, "multiple values for argument 'x'"),
        ],
    )
    @pytest.mark.parametrize("transform", [grad, value_and_grad, record])
    def test_arguments_that_do_not_fit(
        self, transform: Any, args: Any, kwargs: Any, problem: str
    ) -> None:
        """The message names the model, the problem and the model's parameters."""

        def loss(p: Any, x: Any, y: Any, *, unit: str = "m") -> Any:
            return p * x * y

        def call() -> object:
            return transform(loss)(2.0, *args, **kwargs)

        assert refusal(errors.InputError, call) == (
            f"loss ({place(call, 'transform(loss)')}): {problem}: "
            "pass what loss(p, x, y, *, unit) takes"
        )

    def test_partials_that_do_not_fit(self) -> None:
        """The same for arguments by name."""

        def f(a: Any, b: Any) -> Any:
            return a * b

        def call() -> object:
            return partials(f)(a=1.0)  # type: ignore[call-arg]  # the mistake under test

        assert refusal(errors.InputError, call) == (
            f"f ({place(call, 'partials(f)')}): missing a required argument: 'b': "
            "pass what f(a, b) takes"
        )

    def test_a_type_error_inside_the_model_is_the_model_s_own(self) -> None:
        """Only the call itself is explained."""

        def f(x: Any) -> Any:
            return f(x, x)  # type: ignore[call-arg]  # the mistake under test

        with pytest.raises(
            TypeError, match="takes 1 positional argument but 2 were given"
        ) as caught:
            grad(f)(1.0)
        assert type(caught.value) is TypeError

    def test_a_typed_dict_with_a_missing_key(self) -> None:
        """mypy's words for it."""

        def f(p: Weights[Any]) -> Any:
            return p["w"]

        def call() -> object:
            return grad(f)({"w": 1.0})  # type: ignore[typeddict-item]  # the mistake under test

        assert refusal(errors.InputError, call) == (
            f'Missing key "b" for TypedDict "Weights" in p ({place(call, "grad(f)")}): add it'
        )

    def test_a_typed_dict_with_an_unknown_key(self) -> None:
        """It would have the gradient 0.0 in silence."""

        def f(p: Weights[Any]) -> Any:
            return p["w"]

        def call() -> object:
            return grad(f)({"w": 1.0, "b": 1.0, "c": 1.0})  # type: ignore[typeddict-unknown-key]  # the mistake under test

        assert refusal(errors.InputError, call) == (
            f'Extra key "c" for TypedDict "Weights" in p ({place(call, "grad(f)")}): leave it out'
        )

    def test_a_key_that_need_not_be_there(self) -> None:
        """May be there or not."""

        class Loose(TypedDict, total=False):
            w: float
            b: float

        def f(p: Loose) -> Any:
            return p.get("w", 0.0) * 2.0

        f.__annotations__["p"] = Loose
        assert grad(f)({"w": 1.0}) == {"w": 2.0}
        assert grad(f)({}) == {}

    def test_an_annotation_that_cannot_be_evaluated_asks_for_nothing(self) -> None:
        """A name local to a function is unknown; the call goes through."""

        class Local(TypedDict):
            w: float

        def f(p: Local) -> Any:
            return total(p)

        assert grad(f)({"other": 1.0}) == {"other": 1.0}  # type: ignore[typeddict-item, typeddict-unknown-key]  # the mistake under test


class TestPaths:
    @pytest.mark.parametrize(
        ("keys", "path"),
        [
            ((), ""),
            (("layers", 0, "w"), "layers.0.w"),
            ((0, 1), "0.1"),
            (("a b",), "['a b']"),
            (("a", "b.c", -1), "a['b.c'][-1]"),
            ((True, ("x", 1)), "[True][('x', 1)]"),
        ],
    )
    def test_a_path_tells_the_keys(self, keys: tuple[object, ...], path: str) -> None:
        """Names and indices stand between dots, any other key in brackets."""
        assert key_path(keys) == path

    def test_a_tape_names_every_input(self) -> None:
        """In the first argument from inside, in any other after its parameter's name."""

        def f(p: Any, xs: Any, *more: Any, scale: Any) -> Any:
            return p["lines"][0].w * xs[0] * more[1] * scale

        tape = record(f)({"lines": [Line(1.0, 2.0)]}, [3.0], 4.0, 5.0, scale=6.0)
        assert tape.paths == ("lines.0.w", "lines.0.b", "xs:0", "more:0", "more:1", "scale")


@attrs.frozen(cache_hash=True)
class Hashed(Generic[Real]):
    w: Real


@attrs.frozen(cache_hash=True, slots=False)
class HashedByDict(Generic[Real]):
    w: Real


@pytest.mark.parametrize("kind", [Hashed, HashedByDict])
def test_a_gradient_has_the_hash_of_its_class(kind: Any) -> None:
    """A class that keeps its hash gets a place for it."""
    gradient = tg.grad(lambda p: p.w * p.w)(kind(3.0))
    assert gradient == kind(6.0)
    assert hash(gradient) == hash(kind(6.0))
