"""Trees of parameters as vectors: any containers, matched by key, traced or not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypedDict

import attrs
import numpy as np
import pytest
from hypothesis import given, settings

import tapegrad as tg
from tapegrad import Real, Scalar
from tapegrad.errors import InputError, OutputError
from tapegrad.learn import tree
from tests.places import place, refusal
from tests.strategies import containers, ordinary


@attrs.frozen
class Dense(Generic[Real]):
    name: str
    w: list[Real]
    b: Real


class Pair(NamedTuple, Generic[Real]):
    a: Real
    b: Real


class Options(TypedDict):
    rate: float
    decay: float


class TestArithmetic:
    @settings(max_examples=30)
    @given(containers(), ordinary)
    def test_a_tree_is_a_vector(self, a: Any, factor: float) -> None:
        """Sums, multiples, products and lengths are those of the numbers in order."""
        numbers = leaves(a)
        assert leaves(tree.add(a, a)) == [x + x for x in numbers]
        assert leaves(tree.scale(a, factor)) == [x * factor for x in numbers]
        assert leaves(tree.add_scaled(a, a, factor)) == [x + factor * x for x in numbers]
        assert leaves(tree.subtract(a, a)) == [0.0] * len(numbers)
        assert tree.dot(a, a) == pytest.approx(math.fsum(x * x for x in numbers))
        assert tree.norm(a) == pytest.approx(math.hypot(*numbers))
        assert tree.size(a) == len(numbers) == len(tree.paths(a))

    @settings(max_examples=30)
    @given(containers())
    def test_a_result_is_built_as_the_first_tree(self, a: Any) -> None:
        """Mapping the identity gives the tree, in its classes and with what is static."""
        assert tree.map(lambda x: x, a) == a
        assert tree.paths(tree.zeros_like(a)) == tree.paths(a)

    def test_every_kind_of_container(self) -> None:
        """Dicts in any order, lists, tuples, named tuples, attrs classes, arrays, typed dicts."""
        w = np.array([[1.0, 2.0], [3.0, 4.0]])
        a: dict[str, Any] = {
            "d": Dense("first", [1.0, 2.0], 3.0),
            "p": Pair(4.0, 5.0),
            "w": w,
            "x": (6.0, [7.0]),
        }
        b = {key: a[key] for key in reversed(a)}
        total = tree.add(a, b)
        assert total["d"] == Dense("first", [2.0, 4.0], 6.0)
        assert total["p"] == Pair(8.0, 10.0)
        assert total["w"].tolist() == (2.0 * w).tolist()
        assert [*total] == [*a]
        options: Options = {"rate": 1.0, "decay": 2.0}
        assert tree.scale(options, 2.0) == {"rate": 2.0, "decay": 4.0}
        assert tree.add(1.0, 2.0) == 3.0
        assert tree.size(a) == 11
        assert tree.paths(a)[:3] == ("d.w.0", "d.w.1", "d.b")
        assert tree.norm(a) == pytest.approx(math.sqrt(14.0 + 41.0 + 30.0 + 36.0 + 49.0))

    def test_what_is_static_comes_from_the_first_tree(self) -> None:
        """Names and sizes are no numbers, and may differ."""
        total = tree.add(Dense("first", [1.0], 2.0), Dense("second", [3.0], 4.0))
        assert total == Dense("first", [4.0], 6.0)

    def test_nothing_overflows_on_the_way(self) -> None:
        """A length is finite where it is a double, and arithmetic beyond gives infinities."""
        big: dict[str, Any] = {"x": 3e200, "w": np.array([4e200])}
        assert tree.norm(big) == pytest.approx(5e200)
        assert tree.dot(big, big) == math.inf
        assert tree.scale(big, 1e200)["w"].tolist() == [math.inf]
        assert tree.norm([]) == 0.0

    def test_a_result_shares_nothing_with_its_trees(self) -> None:
        """Writing to an array of the result changes no tree."""
        a = {"w": np.array([1.0, 2.0])}
        for made in (tree.add(a, a), tree.scale(a, 1.0), tree.zeros_like(a)):
            made["w"][0] = 9.0
        assert a["w"].tolist() == [1.0, 2.0]


class TestMap:
    def test_arrays_are_given_whole(self) -> None:
        """A function gets each number, and each array as it stands."""
        a: dict[str, Any] = {"w": np.array([[1.0, 2.0]]), "b": 3.0}
        assert tree.map(np.sum, a) == {"w": 3.0, "b": 3.0}

    def test_several_trees(self) -> None:
        """A function of three numbers takes three trees."""
        a = {"x": 1.0, "y": (2.0, 3.0)}
        fused = tree.map(lambda x, y, z: x * y + z, a, a, a)
        assert fused == {"x": 2.0, "y": (6.0, 12.0)}


class TestDerivatives:
    def test_a_step_can_be_differentiated(self) -> None:
        """The slope of the loss after unrolled steps in their rate, against the closed form."""

        def bowl(p: Mapping[str, Scalar]) -> Scalar:
            return 0.5 * p["x"] ** 2 + 2.0 * p["y"] ** 2

        def after_two_steps(rate: Scalar) -> Scalar:
            p: Mapping[str, Scalar] = {"x": 3.0, "y": 1.0}
            for _ in range(2):
                p = tree.add_scaled(p, tg.grad(bowl)(p), -rate)
            return bowl(p)

        r = 0.1
        # x shrinks by 1 - r a step, and y by 1 - 4 r.
        slope = -2.0 * 9.0 * (1.0 - r) ** 3 - 4.0 * 4.0 * 2.0 * (1.0 - 4.0 * r) ** 3
        assert tg.grad(after_two_steps)(r) == pytest.approx(slope, rel=1e-14)

    def test_products_and_lengths_can_be_differentiated(self) -> None:
        """dot and norm of traced numbers and arrays record; a length has slope 0 at 0."""

        def f(p: Any) -> Any:
            return tree.dot(p, p) + tree.norm(p)

        found = tg.grad(f)({"w": np.array([0.0, 3.0]), "b": 4.0})
        assert found["w"].tolist() == pytest.approx([0.0, 6.0 + 0.6])
        assert found["b"] == pytest.approx(8.8)
        assert tg.grad(tree.norm)([0.0, 0.0]) == [0.0, 0.0]


class TestRefusals:
    @pytest.mark.parametrize(
        ("a", "b", "given", "expected"),
        [
            ({"w": 1.0}, {"v": 1.0}, "nothing at w", "a number"),
            ({"w": 1.0}, {"w": 1.0, "v": 1.0}, "a float (1.0) at v", "nothing"),
            ([1.0], [1.0, 2.0], "one of 2 at its root", "a list of 1"),
            ({"w": [1.0]}, {"w": (1.0,)}, "a tuple ((1.0,)) at w", "a list"),
            (
                np.zeros(2),
                np.zeros(3),
                "an array of shape (3,) at its root",
                "an array of shape (2,)",
            ),
            ([1.0, {"b": 2.0}], [1.0, {"b": "two"}], "a str ('two') at 1.b", "a number"),
        ],
    )
    def test_trees_that_differ(self, a: Any, b: Any, given: str, expected: str) -> None:
        """The first place that differs is named, and both things there."""
        called: Any
        for called in (
            lambda: tree.add(a, b), lambda: tree.dot(a, b), lambda: tree.map(max, a, b),
        ):  # fmt: skip
            where = f"test_trees.py:{called.__code__.co_firstlineno}"
            assert refusal(InputError, called) == (
                f"tree 2 has {given} ({where}), and the first tree {expected}: pass trees of one "
                "structure"
            )

    def test_what_is_no_tree(self) -> None:
        """What grad refuses is refused, by its path."""
        with pytest.raises(InputError, match=r"^w is a str \('a'\), not a number"):
            tree.norm({"w": "a"})
        with pytest.raises(InputError, match=r"^the tree is None, not a number"):
            tree.norm(None)

    def test_a_function_that_gives_no_number(self) -> None:
        """The function, what it returned, and the place are named."""

        def call() -> None:
            tree.map(str, {"w": [1.0]})

        assert refusal(OutputError, call) == (
            f"str returned a str ('1.0') at w.0 ({place(call, 'tree.map')}): return a number or an "
            "array, for each that it is given"
        )


def leaves(a: Any) -> list[float]:
    """The numbers of a tree in order, found without the tree's own functions."""
    if isinstance(a, float):
        return [a]
    if isinstance(a, dict):
        return [x for part in a.values() for x in leaves(part)]
    if isinstance(a, list | tuple):
        return [x for part in a for x in leaves(part)]
    if attrs.has(type(a)):
        return [x for field in attrs.fields(type(a)) for x in leaves(getattr(a, field.name))]
    if hasattr(a, "__dataclass_fields__"):
        return [x for name in a.__dataclass_fields__ for x in leaves(getattr(a, name))]
    return []
