"""Keys: whatever a model can read and we can see decides which recording answers a call."""

from __future__ import annotations

import contextvars
import copy
import dataclasses
import datetime
import decimal
import enum
import functools
import pickle
import threading
import types
import warnings
import weakref
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tapegrad as tg
from tapegrad import errors, math
from tapegrad.compile import cache
from tapegrad.pytree.value_keys import KeyMaker, unshared, value_key
from tests.places import place, refusal
from tests.strategies import same_bits


class Plain:
    """A class without equality: its instances are told apart by what they hold."""

    shared = 1.0

    def __init__(self, n: Any) -> None:
        self.n = n

    def times(self, x: Any) -> Any:
        return x * self.n


class Slotted:
    __slots__ = ("__hidden", "n")

    def __init__(self, n: Any) -> None:
        self.n = self.__hidden = n

    @property
    def hidden(self) -> Any:
        return self.__hidden


class ByValue(Plain):
    """Hashed by what changes."""

    def __hash__(self) -> int:
        return hash(self.n)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ByValue) and self.n == other.n


class Undecided(Plain):
    """Compared as a table is: element by element, which is no truth value."""

    __hash__ = None  # type: ignore[assignment]  # as numpy's arrays have none

    def __eq__(self, other: object) -> Any:
        return np.array([True, False])


@dataclasses.dataclass
class Data:
    n: Any


@dataclasses.dataclass(unsafe_hash=True)
class Hashed:
    n: Any


@dataclasses.dataclass(frozen=True)
class Frozen:
    n: Any


@attrs.frozen
class FrozenAttrs:
    n: Any


@attrs.define(unsafe_hash=True, cache_hash=True)
class CachedHash:
    n: Any


class Named(NamedTuple):
    n: Any


class Longer(list[Any]):
    """A subclass of a container is static, as a whole."""


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


def reads_n(value: Any) -> Any:
    return value.n


def adds(number: float) -> Callable[[float], float]:
    return lambda x: x + number


def set_n(value: Any) -> None:
    value.n = 3


def put(value: Any) -> None:
    value[0] = 3.0


def put_int(value: Any) -> None:
    value[0] = 3


VIEWS: list[tuple[Any, Any]] = []
"""Views, each with what it shows."""


def view(make: Callable[[Any], Any], shown: Any) -> Any:
    VIEWS.append((make(shown), shown))
    return VIEWS[-1][0]


def seen_in(value: Any) -> Any:
    return next(shown for one, shown in VIEWS if one is value)


def own_of_thread() -> Any:
    own = threading.local()
    own.n = 2
    return own


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[Any], None], Callable[[Any], Any]]] = {
    "plain": (lambda: Plain(2), set_n, reads_n),
    "plain, from 2 to 2.0": (
        lambda: Plain(2), lambda v: setattr(v, "n", 2.5), lambda v: v.n // 2 + len(repr(v.n))
    ),
    "plain, a new attribute": (
        lambda: Plain(2), lambda v: setattr(v, "m", 3), lambda v: getattr(v, "m", v.n)
    ),
    "nested": (
        lambda: Plain([Plain({"a": 2})]), lambda v: v.n[0].n.update(a=3), lambda v: v.n[0].n["a"]
    ),
    "the class": (
        lambda: type("Own", (Plain,), {"rate": 2.0, "__module__": __name__})(1),
        lambda v: setattr(type(v), "rate", 3.0), lambda v: v.rate,
    ),
    "slots": (lambda: Slotted(2), set_n, reads_n),
    "private slots": (
        lambda: Slotted(2), lambda v: setattr(v, "_Slotted__hidden", 3), lambda v: v.hidden
    ),
    "hash by value": (lambda: ByValue(2), set_n, reads_n),
    "no truth value": (lambda: Undecided(2), set_n, reads_n),
    "dataclass": (lambda: Data(2), set_n, reads_n),
    "unsafe hash": (lambda: Hashed(2), set_n, reads_n),
    "cached hash": (lambda: CachedHash(2), set_n, reads_n),
    "a frozen class's list": (
        lambda: Frozen([2.0]), lambda v: v.n.append(3.0), lambda v: float(sum(v.n))
    ),
    "a frozen class's array": (
        lambda: FrozenAttrs(np.array([2.0])), lambda v: put(v.n), lambda v: float(v.n[0])
    ),
    "array": (lambda: np.array([2]), put, lambda v: float(v[0])),
    "array, a sign": (
        lambda: np.array([0j]), lambda v: v.__setitem__(0, complex(-0.0, 0.0)),
        lambda v: float(np.copysign(1.0, v[0].real)),
    ),
    "array of objects": (
        lambda: np.array([Plain(2)]), lambda v: set_n(v[0]), lambda v: v[0].n
    ),
    "set": (lambda: {2}, lambda v: v.add(3), len),
    "lists in a list": (
        lambda: [[2, 3], [4]], lambda v: v[1].insert(0, v[0].pop()), lambda v: v[0][-1]
    ),
    "a number deep in a dict": (
        lambda: {"a": ([{"b": [2]}],)}, lambda v: put_int(v["a"][0][0]["b"]),
        lambda v: v["a"][0][0]["b"][0],
    ),
    "a kind of number in a list": (
        lambda: [[1]], lambda v: v.__setitem__(0, [True]), lambda v: 2 + (v[0][0] is True)
    ),
    "the order of a dict in a list": (
        lambda: [{"a": 2, "b": 2}], lambda v: v[0].update(a=v[0].pop("a")),
        lambda v: ord(next(iter(v[0]))),
    ),
    "an object in a list": (lambda: [[Plain(2)]], lambda v: set_n(v[0][0]), lambda v: v[0][0].n),
    "an array in a tuple": (
        lambda: (["a"], np.array([2])), lambda v: put(v[1]), lambda v: float(v[1][0])
    ),
    "the shape of an array in a list": (
        lambda: [np.arange(6)], lambda v: v[0].resize((2, 3), refcheck=False), lambda v: len(v[0])
    ),
    "an array of objects in a list": (
        lambda: [np.array([Plain(2)])], lambda v: set_n(v[0][0]), lambda v: v[0][0].n
    ),
    "deque": (lambda: deque([2]), lambda v: v.append(3), len),
    "subclass of list": (lambda: Longer([2.0]), put, lambda v: v[0]),
    "ordered dict": (
        lambda: OrderedDict(a=2.0, b=3.0), lambda v: v.move_to_end("a"),
        lambda v: next(iter(v.values())),
    ),
    "generator of numbers": (
        lambda: np.random.default_rng(1), lambda v: v.random(),
        lambda v: float(v.bit_generator.state["state"]["state"] % 1000),
    ),
    "partial": (
        lambda: functools.partial(max, [2.0]), lambda v: put(v.args[0]), lambda v: v([0.0])[0]
    ),
    "function": (
        lambda: adds(2.0), lambda v: setattr(v.__closure__[0], "cell_contents", 3.0),
        lambda v: v(0.0),
    ),
    "method": (
        lambda: Plain(2).times, lambda v: set_n(v.__self__), lambda v: v(1.0)
    ),
    "method in a tuple": (
        lambda: (Plain(2).times,), lambda v: set_n(v[0].__self__), lambda v: v[0](1.0)
    ),
    "method of a dict": (
        lambda: {"a": 2.0}.get, lambda v: v.__self__.update(a=3.0), lambda v: v("a")
    ),
    "method of a list": (
        lambda: [2.0].__getitem__, lambda v: put(v.__self__), lambda v: v(0)
    ),
    "method of an array": (
        lambda: np.array([2.0]).item, lambda v: put(v.__self__), lambda v: v(0)
    ),
    "view of a dict": (
        lambda: view(types.MappingProxyType, {"a": 2.0}), lambda v: seen_in(v).update(a=3.0),
        lambda v: v["a"],
    ),
    "values of a dict": (
        lambda: view(dict.values, {"a": 2.0}), lambda v: seen_in(v).update(b=3.0), sum
    ),
    "items of a dict": (
        lambda: view(dict.items, {"a": 2.0}), lambda v: seen_in(v).update(a=3.0),
        lambda v: dict(v)["a"],
    ),
    "view of memory": (
        lambda: view(memoryview, bytearray([2])), lambda v: put_int(seen_in(v)), lambda v: v[0]
    ),
    "weak reference": (
        lambda: view(weakref.ref, Plain(2)), lambda v: set_n(v()), lambda v: v().n
    ),
    "context variable": (
        lambda: contextvars.ContextVar("n", default=2.0), lambda v: v.set(3.0),
        lambda v: v.get(),
    ),
    "a thread's own": (own_of_thread, set_n, reads_n),
}  # fmt: skip
"""For each kind of static value how it is made, changed in place, and read by a model."""


@pytest.mark.parametrize("kind", CHANGES)
class TestChangesInPlace:
    def test_a_compiled_call_reads_what_is_there(self, kind: str) -> None:
        """`jit`, flat or not, and `vmap` answer as the function itself does, call after call."""
        make, change, read = CHANGES[kind]

        def f(x: Any, value: Any) -> Any:
            return x * read(value)

        value = make()
        fast, rows = tg.jit(f, eager_first=False), tg.vmap(f, in_axes=(0, None))
        for _ in range(3):
            assert same_bits(fast(2.0, value), f(2.0, value))
            assert np.array_equal(rows(np.array([2.0]), value), [f(2.0, value)])
        change(value)
        for _ in range(3):
            assert same_bits(fast(2.0, value), f(2.0, value))
            assert np.array_equal(rows(np.array([2.0]), value), [f(2.0, value)])
        assert len(fast.tapes) == len(rows.tapes) == 2

    def test_what_a_closure_holds_is_read_as_it_is(self, kind: str) -> None:
        """The same in a cell, in the object of a method, and in a default."""
        make, change, read = CHANGES[kind]
        value = make()
        held = Plain(value)

        def in_cell(x: Any) -> Any:
            return x * read(value)

        def in_default(x: Any, held: Any = held) -> Any:
            return x * read(held.n)

        for f in (in_cell, in_default, Reader(read, held).times, Reader(read, held)):
            value = held.n = make()
            fast = tg.jit(tg.grad(f), eager_first=False)
            for _ in range(2):
                assert same_bits(fast(2.0), f(1.0))
            change(value)
            for _ in range(2):
                assert same_bits(fast(2.0), f(1.0))

    def test_a_replay_notices_it(self, kind: str) -> None:
        """A tape keeps static values as they were when it was recorded."""
        make, change, read = CHANGES[kind]
        value = make()
        if isinstance(value, np.ndarray) and value.dtype == float:
            return  # its floats are recorded
        tape = tg.record(lambda x, value: x * read(value))(2.0, value)
        assert tape.replay(2.0, value) == tape
        change(value)
        views = {"view of memory", "weak reference", "context variable", "a thread's own"}
        methods = kind.startswith("method")
        if kind in {"the class", "function", *views} or methods or "of a dict" in kind:
            return  # of these a tape keeps no copy
        with pytest.raises(errors.InputError, match="or another static value"):
            tape.replay(2.0, value)


class Reader:
    """A model that is an object."""

    def __init__(self, read: Callable[[Any], Any], held: Plain) -> None:
        self.read, self.held = read, held

    def times(self, x: Any) -> Any:
        return x * self.read(self.held.n)

    def __call__(self, x: Any) -> Any:
        return self.times(x)


DIFFERENT: list[Callable[[], Any]] = [
    lambda: 1, lambda: True, lambda: 1.0, lambda: 1 + 0j, lambda: complex(1, -0.0), lambda: "1",
    lambda: b"1", lambda: 0.0, lambda: -0.0, lambda: float("nan"), lambda: None,
    lambda: np.float64(1), lambda: np.float32(1), lambda: np.int64(1), lambda: np.bool_(True),
    lambda: np.array([1.0]), lambda: np.array([1]), lambda: np.array([[1.0]]),
    lambda: np.array([1.0, None]), lambda: np.array([1, None]), lambda: np.array(["1"]),
    lambda: (1,), lambda: [1], lambda: {1}, lambda: frozenset({1}), lambda: (1.0,), lambda: (True,),
    lambda: {1: 1}, lambda: {True: 1}, lambda: {1.0: 1}, lambda: {"a": 1, "b": 2},
    lambda: {"b": 2, "a": 1}, lambda: range(0), lambda: range(1, 1), lambda: Colour.RED,
    lambda: Colour.BLUE, lambda: Colour, lambda: Plain(1), lambda: Plain(True), lambda: Data(1),
    lambda: Frozen(1), lambda: Frozen(1.0), lambda: FrozenAttrs([1]), lambda: Named(1),
    lambda: Named(True), lambda: Longer([1]), lambda: Longer([True]), lambda: adds(1),
    lambda: adds(1.0), lambda: functools.partial(adds, 1), lambda: functools.partial(adds, 1.0),
    lambda: Plain(1).times, lambda: Plain(2).times, lambda: decimal.Decimal("1.0"),
    lambda: decimal.Decimal("1.00"), lambda: datetime.date(2020, 1, 1),
    lambda: datetime.datetime(2020, 1, 1), lambda: datetime.datetime(2020, 1, 1, fold=1),
    lambda: datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    lambda: datetime.datetime(
        2020, 1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))
    ),
    lambda: deque([1]), lambda: deque([1], 2), lambda: np.random.default_rng(1),
    lambda: np.random.default_rng(2), lambda: ValueError(1), lambda: ValueError(2),
]  # fmt: skip
"""Makers of values that a model can tell apart."""


class TestKeys:
    def test_values_that_differ_to_a_model_have_different_keys(self) -> None:
        """However equal Python calls them; and two of one maker share one, as do copies."""
        keys = [value_key(make()) for make in DIFFERENT]
        assert len(set(keys)) == len(DIFFERENT)
        assert keys == [value_key(make()) for make in DIFFERENT]
        assert keys == [value_key(unshared(make())) for make in DIFFERENT]

    def test_containers_in_which_nothing_changed_need_none(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What a closure holds is the same as long as all in it are the same objects."""
        data: dict[str, Any] = {
            "of": [[1, 2], [3]],
            "names": ("a", {"b": None}, {1.5}),
            "x": np.ones(2),
        }
        fast = tg.jit(lambda x: x * len(data["of"]), eager_first=False)
        assert fast(2.0) == 4.0
        monkeypatch.setattr(KeyMaker, "key", None)
        assert fast(3.0) == 6.0

    def test_an_object_that_contains_itself_has_one(self) -> None:
        """Parts met before are not gone into again, and what is too deep goes by identity."""
        loop, other = Plain(1), Plain(1)
        loop.n, other.n = [loop], [other]
        assert value_key(loop) == value_key(other)
        chain: Any = None
        for _ in range(100_000):
            chain = Plain(chain)
        assert value_key(chain) == value_key(chain)

    def test_a_long_object_is_read_to_a_bound(self) -> None:
        """Ten thousand parts; lists of numbers, and arrays, are one part."""
        many, numbers = Plain([Plain(n) for n in range(20_000)]), Plain([1.0] * 100_000)
        before = value_key(many), value_key(numbers)
        many.n[5].n = numbers.n[-1] = 2.0
        assert before[0] != value_key(many)
        assert before[1] != value_key(numbers)
        before = value_key(many), before[1]
        many.n[-1].n = 2.0
        assert before[0] == value_key(many)


data: st.SearchStrategy[Any] = st.recursive(
    st.floats(-3.0, 3.0) | st.sampled_from([0, 1, True, "a", "b", None, -0.0, Colour.RED]),
    lambda parts: st.one_of(
        st.lists(parts, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", 1, 2.5]), parts, max_size=3),
        st.lists(parts, max_size=2).map(tuple),
        parts.map(Plain),
        parts.map(Data),
        parts.map(Frozen),
        st.lists(st.floats(-3.0, 3.0), min_size=1, max_size=3).map(np.array),
    ),
    max_leaves=8,
)
"""Data of a model: numbers to be recorded, and static values, in containers and objects."""


def folded(x: Any, value: Any) -> Any:
    """A number that depends on all that a value holds, and on its order."""
    if isinstance(value, list | tuple):
        return functools.reduce(folded, value, x * 0.5 + len(value))
    if isinstance(value, dict):
        for key, part in value.items():
            x = folded(folded(x, key), part)
        return x + 0.25
    if getattr(value, "ndim", 0):
        return math.sin(x + value.sum())
    if hasattr(value, "n"):
        return folded(x + 0.125, value.n)
    if isinstance(value, Colour | str | type(None)):
        return x + len(str(value))
    return math.cos(x) if value is True or value is False else math.sin(x * 0.75 + value)


def changed(value: Any, draw: Callable[[Any], Any]) -> Any:
    """The value with one place in it changed; itself, changed in place, where it can be."""
    inside = draw(st.booleans())
    if isinstance(value, Plain | Data):
        value.n = changed(value.n, draw) if inside else draw(data)
    elif isinstance(value, list) and value:
        place = draw(st.integers(0, len(value) - 1))
        value[place] = changed(value[place], draw) if inside else draw(data)
    elif isinstance(value, dict) and value:
        key = draw(st.sampled_from([*value]))
        part = value.pop(key)  # which goes to the end
        value[key] = changed(part, draw) if inside else part
    elif isinstance(value, np.ndarray):
        value[0] = draw(st.floats(-3.0, 3.0))
    else:
        return draw(data)
    return value


class TestRandomData:
    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def test_compiled_calls_have_the_bits_of_eager_ones(self, source: st.DataObject) -> None:
        """Whatever is changed in place, or passed instead, between calls."""
        value, outside = source.draw(data), [source.draw(data)]

        def f(x: Any, value: Any) -> Any:
            return folded(folded(x, value), outside[0])

        jit = functools.partial(tg.jit, backend="python", eager_first=False)
        fast, slope = jit(f), jit(tg.grad(f))
        for _ in range(4):
            x = source.draw(st.floats(-3.0, 3.0))
            for _ in range(2):
                assert same_bits(fast(x, value), f(x, value))
                assert same_bits(slope(x, value), tg.grad(f)(x, value))
            if source.draw(st.booleans()):
                value = changed(value, source.draw)
            else:
                outside[0] = changed(outside[0], source.draw)


def line_and_square(p: Any) -> list[Any]:
    return [p * RATE, p * p]


RATE = 2.0
TABLE = {"a": 2.0}
FUNCTIONS = types.SimpleNamespace(rate=2.0)
settings_module = types.ModuleType("tests.settings_of_a_model")
settings_module.rate = 2.0  # type: ignore[attr-defined]  # a module of the user's


class OfClasses(type):
    limit = 2.0


class Config(metaclass=OfClasses):
    rate = 2.0

    @staticmethod
    def doubled(x: Any) -> Any:
        return x * RATE


class Special(Config):
    pass


def helper(x: Any) -> Any:
    return x * RATE


def again(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(f)
    def twice(x: Any) -> Any:
        return 0.5 * (f(x) + f(x))

    return twice


def by_default(x: Any, f: Callable[[Any], Any] = helper) -> Any:
    return f(x)


def among_defaults(x: Any, fs: tuple[Any, ...] = (helper, [helper])) -> Any:
    return fs[0](x)


def of_class(x: Any, kind: Any = Config) -> Any:
    return x * kind.rate


READERS: dict[str, Callable[[Any], Any]] = {
    "global": lambda x: x * RATE,
    "container": lambda x: x * TABLE["a"],
    "namespace": lambda x: x * FUNCTIONS.rate,
    "module": lambda x: x * settings_module.rate,
    "class": lambda x: x * Config.rate,
    "subclass": lambda x: x * Special.rate,
    "class of the class": lambda x: x * Special.limit,
    "instance of the class": lambda x: x * Special().rate,
    "function inside": lambda x: sum([x * RATE for _ in range(1)]),
    "function called": lambda x: helper(x) + 0.0,
    "static method": lambda x: Config.doubled(x) + 0.0,
    "partial": functools.partial(lambda scale, x: x * RATE * scale, 1.0),
    "function in a partial": functools.partial(lambda f, x: f(x), helper),
    "function by default": by_default,
    "functions by default": among_defaults,
    "class by default": of_class,
    "decorated": again(lambda x: x * RATE),
}
"""Models that read a number from elsewhere, which is 2.0."""


def set_all(number: float, patch: pytest.MonkeyPatch) -> None:
    """Sets the number wherever the models above may read it."""
    patch.setattr(__import__(__name__, fromlist=["RATE"]), "RATE", number)
    patch.setitem(TABLE, "a", number)
    patch.setattr(FUNCTIONS, "rate", number)
    patch.setattr(settings_module, "rate", number)
    patch.setattr(Config, "rate", number)
    patch.setattr(OfClasses, "limit", number)


@pytest.mark.parametrize("kind", READERS)
class TestValuesFromOutside:
    def test_a_change_is_seen(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """By `jit`, through a gradient and flat, and by `vmap`; and the way back, too."""
        f = READERS[kind]
        fast, slope = tg.jit(f, eager_first=False), tg.jit(tg.grad(f), eager_first=False)
        rows = tg.vmap(f)
        flat: Any = fast.flat(3.0)
        for number in (2.0, 2.0, 5.0, 5.0, 2.0, -1.0):
            set_all(number, monkeypatch)
            assert (fast(3.0), slope(3.0)) == (3.0 * number, number)
            assert (
                rows(np.array([3.0])).tolist() == flat(np.array([3.0])).tolist() == [3.0 * number]
            )
        assert len(fast.tapes) == len(rows.tapes) == 3

    def test_a_traced_number_keeps_its_derivative(
        self, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also for a function compiled before, and inside other recordings."""
        fast = tg.jit(READERS[kind], eager_first=False)
        fast(3.0)

        def outer(a: Any) -> Any:
            with monkeypatch.context() as patch:
                set_all(a, patch)
                return fast(3.0)

        assert tg.grad(outer)(5.0) == 3.0
        assert tg.jvp(outer, 5.0, 1.0) == (15.0, 3.0)
        assert tg.record(outer)(5.0).gradient() == 3.0
        assert tg.jit(tg.grad(outer), eager_first=False)(5.0) == 3.0
        assert fast(3.0) == 6.0


class TestTracedNumbersFromOutside:
    @pytest.mark.parametrize(
        ("inner", "slope"),
        [
            (lambda a: tg.jit(lambda x: a * x * x, eager_first=False)(3.0), 9.0),
            (lambda a: tg.jit(tg.grad(lambda x: a * x * x), eager_first=False)(3.0), 6.0),
            (lambda a: tg.jit(lambda x, held: held.n * x, eager_first=False)(3.0, Plain(a)), 3.0),
            (lambda a: tg.jit(lambda x, xs: xs[0] * x, eager_first=False)(3.0, [a]), 3.0),
            (lambda a: tg.jit(Reader(lambda value: value, Plain(a)), eager_first=False)(3.0), 3.0),
            (lambda a: tg.jit(functools.partial(lambda a, x: a * x, a))(3.0), 3.0),
            (
                lambda a: tg.jit(lambda x: tg.jit(lambda y: a * x * y)(2.0), eager_first=False)(
                    3.0
                ),
                6.0,
            ),
            (lambda a: tg.jit(tg.vjp(lambda x: a * x, 3.0)[1], eager_first=False)(2.0), 2.0),
        ],
    )
    def test_their_derivatives_are_right(self, inner: Any, slope: float) -> None:
        """Wherever the compiled function finds them."""
        assert tg.grad(inner)(2.0) == slope
        assert tg.jit(tg.grad(inner), eager_first=False)(2.0) == slope
        assert tg.jvp(inner, 2.0, 1.0)[1] == slope

    def test_objectives_say_what_to_do(self) -> None:
        """They take plain numbers, and never drop a derivative in silence."""

        def solved(a: Any) -> Any:
            return tg.objective(lambda x: a * x * x, 3.0).fun([3.0])

        assert refusal(errors.TracedNumberError, lambda: tg.grad(solved)(2.0)) == (
            f"<lambda> ({place(solved, 'objective')}) reads a traced number that is not an "
            "argument, and compiled code takes plain ones: pass it as an argument, or "
            "differentiate inside"
        )


class TestOrder:
    def test_dicts_are_read_in_their_order(self) -> None:
        """As arguments, as data, by name, and with keys that are equal and not the same."""

        def chained(p: Any, x: Any = 0.5) -> Any:
            for key, w in p.items():
                x = math.tanh(w * x) + w * (10.0 if key is True else 1.0)
            return x

        def by_name(x: Any, **p: Any) -> Any:
            return chained(p, x)

        p: Any
        fast, slope, named = (
            tg.jit(chained, eager_first=False),
            tg.jit(tg.grad(chained), eager_first=False),
            tg.jit(by_name, eager_first=False),
        )
        for _ in range(2):
            for p in ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}, {1: 1.0, "b": 2.0}):
                assert same_bits(fast(p), chained(p))
                assert list(slope(p).items()) == list(tg.grad(chained)(p).items())
            for p in ({1: 1.0}, {True: 1.0}, {1.0: 1.0}):
                assert same_bits(fast(p), chained(p))
            for p in ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}):
                assert same_bits(named(0.5, **p), by_name(0.5, **p))

    def test_a_replay_asks_for_the_order_that_was_recorded(self) -> None:
        """The program may depend on it; what a message names is where it differs."""
        tape = tg.record(lambda x, p: x * next(iter(p["in"].values())))(
            2.0, {"in": {"a": 1.0, "b": 3.0}}
        )

        def swapped() -> object:
            return tape.replay(2.0, {"in": {"b": 3.0, "a": 1.0}})

        assert refusal(errors.InputError, swapped) == (
            "p:in has its keys in another order than this tape was recorded with, and what was "
            f"recorded may depend on it ({place(swapped, 'replay')}): pass them in that order, or "
            "record again"
        )

    def test_flat_outputs_keep_their_order(self) -> None:
        """A path that returns its dict in another order fills the same places."""

        def f(x: Any) -> Any:
            return {"a": x, "b": 2.0 * x} if x > 0.0 else {"b": 3.0 * x, "a": x}

        flat: Any = tg.jit(f).flat(1.0)
        for x in (1.0, -1.0, -2.0, 2.0, -3.0, 3.0):
            assert flat(np.array([x])).tolist() == [x, f(x)["b"]]


class TestSharing:
    @pytest.mark.parametrize(
        "make", [lambda: [1, "s"], lambda: {"k": [1]}, lambda: np.ones(2), lambda: Plain([1])]
    )
    def test_no_answer_shares_what_can_change(self, make: Callable[[], Any]) -> None:
        """With later answers, with the caller's objects, or with a tape."""
        held = make()

        def f(x: Any) -> Any:
            return {"x": x, "held": held if isinstance(held, Plain) else Plain(held)}

        fast, tape, columns = (
            tg.jit(f, eager_first=False),
            tg.record(f)(1.0),
            tg.vmap(f)(np.ones(2)),
        )
        answers: list[Callable[[], Any]] = [
            lambda: fast(1.0), lambda: tape.value, lambda: columns.row(0),
            lambda: tg.jit(f)(1.0), lambda: tg.jit(f, eager_first=False)(1.0),
        ]  # fmt: skip
        for answer in answers:
            for _ in range(3):
                found = answer()["held"]
                assert value_key(found.n) == value_key(getattr(held, "n", held))
                found.n = None

    def test_what_the_caller_passed_is_not_kept(self) -> None:
        """A static value that comes back is a copy of what the call was recorded with."""
        fast = tg.jit(lambda x, held: {"x": x, "held": held}, eager_first=False)
        first = Plain([1])
        fast(1.0, first)
        first.n.append(2)
        assert fast(1.0, Plain([1]))["held"].n == [1]
        assert fast(1.0, first)["held"].n == [1, 2]


class TestFunctionsThatWrite:
    def test_a_log_or_a_counter_is_written_once_for_each_path(self) -> None:
        """What the function changes itself does not make it another function."""
        log: list[Any] = []
        counter = {"calls": 0}

        def f(x: Any) -> Any:
            log.append(x)
            counter["calls"] += 1
            return x * RATE if x > 0.0 else -x

        fast, rows = tg.jit(f, eager_first=False), tg.vmap(f)
        assert [fast(x) for x in (1.0, 2.0, -1.0, -2.0, 3.0)] == [2.0, 4.0, 1.0, 2.0, 6.0]
        assert (len(log), counter) == (2, {"calls": 2})
        for _ in range(3):
            assert rows(np.array([1.0, -2.0])).tolist() == [2.0, 2.0]
        assert len(log) == 4
        counter["calls"] = 0
        assert fast(1.0) == 2.0

    def test_a_cached_property_is_no_change(self) -> None:
        """An object may keep what it computed."""

        class Model:
            def __init__(self) -> None:
                self.n = 2

            @functools.cached_property
            def square(self) -> int:
                return self.n**2

            def __call__(self, x: Any) -> Any:
                return x * self.square

        fast = tg.jit(Model(), eager_first=False)
        assert [fast(2.0) for _ in range(3)] == [8.0] * 3
        assert len(fast.tapes) == 1


class TestManyRecordings:
    def test_arrays_that_differ_earn_a_warning(self) -> None:
        """It names the arguments, and says what to pass instead."""
        fast = tg.jit(lambda x, rows, goals: x * float(rows[0] + goals[0]), eager_first=False)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for n in range(12):
                assert fast(2.0, np.array([n]), np.array([2 * n])) == 6.0 * n
        (warning,) = seen
        assert (
            "8 times for arguments that differ in rows and goals, which are static: pass a "
            in str(warning.message)
        )
        assert "(a list for an array)" in str(warning.message)

    def test_values_from_outside_that_differ_earn_one(self) -> None:
        """It names what was read."""
        held = [0.0]
        fast = tg.jit(lambda x: x * held[0], eager_first=False)
        for n in range(7):
            held[0] = float(n)
            assert fast(2.0) == 2.0 * n
        held[0] = 7.0
        with pytest.warns(UserWarning, match="arguments that differ in held outside"):
            fast(2.0)

    def test_those_used_longest_ago_are_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """There is a bound, and answers do not depend on it."""
        monkeypatch.setattr(cache, "MOST_KEPT", 3)
        fast = tg.jit(lambda x, n: x * n, eager_first=False)
        for n in (1, 2, 3, 1, 4, 1, 5, 1, 2):
            assert fast(2.0, n) == 2.0 * n
            assert len(fast.tapes) <= 3
        assert {tape.value for tape in fast.tapes} == {2.0, 10.0, 4.0}

    @pytest.mark.filterwarnings("ignore:.*has been recorded 8 times")
    def test_many_lengths_are_found_at_once(self) -> None:
        """Each is recorded once, and no call looks at the others."""
        total = tg.grad(lambda xs: math.sum([x * x for x in xs]))
        fast: Any = tg.jit(total, eager_first=False)
        for _ in range(2):
            for n in range(1, 60):
                assert fast([1.0] * n) == [2.0] * n
        assert len(fast.tapes) == 59

    def test_the_source_is_that_of_the_latest_call(self) -> None:
        """Whichever recording it took, and however many others there are."""
        fast = tg.jit(lambda x, n: x * float(n), backend="python", eager_first=False)
        for n in (3, 5, 3, 7, 5, 5, 3):
            fast(1.0, n)
            assert float(n).hex() in fast.source("c")
        rows = tg.vmap(lambda x, n: x * float(n), in_axes=(0, None), threads=1)
        rows(np.ones(5), 3)
        rows(np.ones(2), 5)
        assert (3.0).hex() in rows.source("c")


class TestObjectives:
    def test_data_are_as_they_were_given(self) -> None:
        """Whatever is changed in place later; what is read from outside is read as it is."""

        def loss(p: Any, row: Any, held: Any = None) -> Any:
            return (p * held.n - row) ** 2 * RATE

        def alone(p: Any, held: Any) -> Any:
            return (p * held.n) ** 2 * RATE

        held = Plain(3)
        solvers: Any = (
            tg.objective(alone, 1.0, held),
            tg.objective(loss, 1.0, np.zeros(4), held=held, reduce="mean"),
        )
        for _ in range(2):
            assert [solver.fun([2.0]) for solver in solvers] == [72.0, 72.0]
            held.n = 5

    def test_a_global_is_read_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By the value, the gradient and the Hessian."""
        solver: Any = tg.objective(lambda p: p * p * RATE, 3.0)
        assert (solver.fun([3.0]), solver.hess([3.0]).tolist()) == (18.0, [[4.0]])
        set_all(5.0, monkeypatch)
        assert (solver.fun([3.0]), solver.jac([3.0]).tolist()) == (45.0, [30.0])
        assert solver.hess([2.0]).tolist() == [[10.0]]
        fitted: Any = tg.residuals(line_and_square, 3.0)
        assert fitted.jac([2.0]).tolist() == [[5.0], [4.0]]
        set_all(7.0, monkeypatch)
        assert fitted.fun([2.0]).tolist() == [14.0, 4.0]
        assert fitted.jac([2.0]).tolist() == [[7.0], [4.0]]


class TestIterators:
    @pytest.mark.parametrize(
        "make", [lambda: iter([1.0]), lambda: (x for x in [1.0]), lambda: map(float, [1])]
    )
    def test_they_are_refused(self, make: Callable[[], Iterator[float]]) -> None:
        """The first call would use them up."""
        fast = tg.jit(lambda x, p: x * sum(p["rows"]), eager_first=False)

        def call() -> object:
            return fast(2.0, {"rows": make()})

        assert refusal(errors.InputError, call).endswith(
            "which can be read once, and what is recorded is run again "
            f"({place(call, 'fast')}): pass a list of what it yields"
        )
        with pytest.raises(errors.InputError, match=r"p is .* which can be read once"):
            tg.vmap(lambda x, p: x * sum(p), in_axes=(0, None))(np.ones(2), make())


def sent_of(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301  # our own


class TestTravel:
    def test_static_values_of_all_kinds_travel(self) -> None:
        """A compiled function that was sent knows the values that it was recorded with."""
        fast = tg.jit(reads, eager_first=False)
        values = [Plain(2), Frozen(2.0), np.float64(2), 2, {2: [2]}]
        for value in values:
            fast(3.0, value)
        sent: Any = sent_of(fast)
        for value in values:
            assert sent(3.0, sent_of(value)) == reads(3.0, value)
        with pytest.raises(errors.GuardError, match="travelled without its function"):
            sent(3.0, Plain(3))

    def test_what_is_sent_is_what_holds_now(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of several states of a global, the present one."""
        fast = tg.jit(helper, eager_first=False)
        for number in (2.0, 7.0):
            set_all(number, monkeypatch)
            fast(1.0)
        assert sent_of(fast)(1.0) == 7.0


def reads(x: Any, value: Any) -> Any:
    return folded(x, value)


class Model:
    """A model whose methods are compiled on its class."""

    scale = 1.0

    def __init__(self, k: float) -> None:
        self.k = k

    @tg.jit
    def value(self, x: Any, n: int = 1) -> Any:
        """A number of an object."""
        return self.scale * self.k * x**n

    @tg.vmap
    def rows(self, x: Any) -> Any:
        return self.k * x


class TestMethods:
    def test_they_are_compiled_for_each_object(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Which is compared at each call, as is the data of its class."""
        one, other = Model(2.0), Model(3.0)
        for _ in range(100):  # a slow first call is not known to be of a short function
            assert (one.value(5.0), other.value(5.0), one.value(5.0, 2)) == (10.0, 15.0, 50.0)
            assert one.rows(np.array([1.0, 2.0])).tolist() == [2.0, 4.0]
        assert len(one.value.tapes) == 2
        assert one.value is one.value
        assert Model.value.__doc__ == "A number of an object."
        one.k = 7.0
        assert (one.value(5.0), tg.grad(one.value)(5.0)) == (35.0, 7.0)
        monkeypatch.setattr(Model, "scale", 2.0)
        assert (one.value(5.0), other.value(5.0)) == (70.0, 30.0)

    def test_copies_have_their_own(self) -> None:
        """Shallow, deep, and sent elsewhere."""
        one = Model(2.0)
        one.value(1.0)
        for make in (copy.copy, copy.deepcopy, sent_of):
            other = make(one)
            other.k = 3.0
            assert (one.value(5.0), other.value(5.0)) == (10.0, 15.0)

    def test_it_is_the_first_argument_that_is_differentiated(self) -> None:
        """After the object; a compiled gradient of a method is written so."""

        class Sloped:
            k = 3.0

            def value(self, x: Any) -> Any:
                return self.k * x * x

            def slope(self, x: Any) -> Any:
                return tg.grad(self.value)(x)

            fast = tg.jit(slope, eager_first=False)

        assert [Sloped().fast(2.0) for _ in range(2)] == [12.0, 12.0]

    def test_an_object_with_slots_is_told_what_to_write(self) -> None:
        """There is no place to keep what is recorded."""

        class Small:
            __slots__ = ()
            value = tg.jit(lambda self, x: x, eager_first=False)

        def call() -> object:
            return Small().value(1.0)

        assert refusal(errors.InputError, call) == (
            "Small.<lambda> was compiled as a method, and a Small "
            f"({place(call, 'Small()')}) has slots and no __dict__ to keep what is recorded: "
            "compile the method of the object instead, as in tapegrad.jit(model.method)"
        )
