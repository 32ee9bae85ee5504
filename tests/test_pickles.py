"""A function that is made of another one is pickled where that one can be."""

from __future__ import annotations

import copy
import gc
import inspect
import multiprocessing
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tapegrad as tg
from tapegrad import Real, errors, math
from tests.places import place, refusal


def f(x: Real, k: float = 2.0) -> Real:
    """A model."""
    return math.sin(x) * k


def pair(x: Real) -> tuple[Real, Real]:
    """A model of two numbers."""
    return x * x, x


@tg.grad
def slope(x: Real) -> Real:
    return x * x * x


@tg.scope("named")
def scoped(x: Real) -> Real:
    return x * x


class Models:
    """Models inside a class."""

    @staticmethod
    def cube(x: Real) -> Real:
        return x * x * x

    @tg.checkpoint
    def kept(self, x: Any) -> Any:
        return x * 2.0


def sent(made: Any, protocol: int) -> Any:
    """What arrives of it elsewhere."""
    return pickle.loads(pickle.dumps(made, protocol))  # noqa: S301  # what it has just written


MADE: dict[str, Callable[[], Any]] = {
    "grad": lambda: tg.grad(f),
    "grad with aux": lambda: tg.grad(pair, has_aux=True),
    "exact": lambda: tg.value_and_grad(f, exact=True),
    "value_and_grad": lambda: tg.value_and_grad(f),
    "value_and_grad with aux": lambda: tg.value_and_grad(pair, has_aux=True),
    "partials": lambda: tg.partials(f),
    "jacobian": lambda: tg.jacobian(pair),
    "jacobian in reverse": lambda: tg.jacobian(pair, mode="reverse"),
    "hessian": lambda: tg.hessian(f),
    "sparse_jacobian": lambda: tg.sparse_jacobian(pair),
    "sparse_hessian": lambda: tg.sparse_hessian(f),
    "taylor": lambda: tg.taylor(f, 3),
    "taylor by name": lambda: tg.taylor(f, order=2),
    "record": lambda: tg.record(f),
    "checkpoint": lambda: tg.checkpoint(f),
    "scope": lambda: tg.scope("part")(f),
    "nested": lambda: tg.grad(tg.grad(f)),
    "of a scope": lambda: tg.jacobian(tg.scope("part")(tg.checkpoint(pair))),
    "of a static method": lambda: tg.grad(Models.cube),
    "decorated": lambda: slope,
    "of a decorated one": lambda: tg.grad(slope),
    "decorated with a scope": lambda: scoped,
    "of a function of math": lambda: tg.grad(math.exp),
}


class TestPickles:
    @pytest.mark.parametrize("kind", MADE)
    def test_what_arrives_does_the_same(self, kind: str) -> None:
        """In every protocol, and as a copy."""
        made = MADE[kind]()
        expected = made(0.5)
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            assert sent(made, protocol)(0.5) == expected
        assert copy.copy(made)(0.5) == copy.deepcopy(made)(0.5) == expected

    @pytest.mark.parametrize("transform", [lambda f: f, tg.grad, tg.value_and_grad, tg.jit])
    def test_a_compiled_function_that_was_not_called_travels_as_its_function(
        self, transform: Any
    ) -> None:
        """It has nothing else; one that has recorded travels as its tapes."""
        cases: list[Any] = [
            (tg.jit(transform(f), max_paths=7), 0.5),
            (tg.vmap(transform(f)), [0.5, 1.0]),
        ]
        for made, point in cases:
            arrived = sent(made, pickle.DEFAULT_PROTOCOL)
            found = getattr(arrived(point), "value", arrived(point))
            expected = getattr(made(point), "value", made(point))
            assert np.asarray(found).tolist() == np.asarray(expected).tolist()
            assert arrived.__name__ == made.__name__

    def test_a_compiled_function_keeps_its_options(self) -> None:
        """Those of rows too, but for what cannot travel."""
        mean = tg.vmap(f, reduce="mean", callback=lambda _: None)
        assert sent(mean, pickle.DEFAULT_PROTOCOL)([0.5, 1.0]) == mean([0.5, 1.0])
        fast = tg.jit(f, backend="python")
        assert sent(fast, pickle.DEFAULT_PROTOCOL).report().backend == fast.report().backend

    def test_what_is_found_by_its_name_is_itself(self) -> None:
        """A decorated function is pickled by reference, as functions are."""
        for made in (slope, scoped):
            assert sent(made, pickle.DEFAULT_PROTOCOL) is made

    def test_pools_map_them(self) -> None:
        """They are sent to the workers of multiprocessing."""
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.map(tg.grad(f), [0.5, 1.0]) == [tg.grad(f)(0.5), tg.grad(f)(1.0)]

    @pytest.mark.parametrize("transform", [tg.grad, tg.partials, tg.checkpoint, tg.scope("a")])
    def test_a_function_that_cannot_be_pickled_is_named(self, transform: Any) -> None:
        """What is local cannot be found where it arrives."""

        def local(x: float) -> float:
            return x

        with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
            pickle.dumps(transform(local))


class TestFunctionsMadeOfFunctions:
    @pytest.mark.parametrize("kind", [kind for kind in MADE if kind != "of a function of math"])
    def test_they_look_like_the_functions_that_they_are_made_of(self, kind: str) -> None:
        """Names, descriptions, modules and signatures are those of the function."""
        made = MADE[kind]()
        inner = inspect.unwrap(made)
        assert made.__doc__ == inner.__doc__
        assert made.__module__ == inner.__module__
        assert made.__qualname__ == inner.__qualname__
        assert inspect.signature(made) == inspect.signature(inner)
        assert repr(made) == f"<{made.__name__}>"

    def test_they_are_methods_in_a_class(self) -> None:
        """As functions are."""
        models = Models()
        assert models.kept(2.0) == 4.0
        assert tg.grad(models.kept)(2.0) == 2.0
        assert Models.kept(models, 2.0) == 4.0

    @pytest.mark.parametrize("kind", MADE)
    def test_nothing_keeps_them(self, kind: str) -> None:
        """The last reference frees them, without the collector."""
        if "decorated" in kind:
            return
        gc.disable()
        try:
            made = MADE[kind]()
            made(0.5)
            watch = weakref.ref(made)
            del made
            assert watch() is None
        finally:
            gc.enable()

    @pytest.mark.parametrize(
        "transform",
        [
            tg.grad, tg.value_and_grad, tg.partials, tg.jacobian, tg.hessian, tg.sparse_jacobian,
            tg.sparse_hessian, tg.record, tg.checkpoint, tg.jit, tg.vmap,
        ],
    )  # fmt: skip
    def test_what_is_no_function_is_refused_at_once(self, transform: Any) -> None:
        """The value of a function is not the function."""

        def call() -> object:
            return transform(math.sin(1.0))

        assert refusal(errors.InputError, call) == (
            f"{transform.__name__} ({place(call, 'transform(')}) was given a float "
            f"({math.sin(1.0)!r}), not a function: pass the function f itself, not its value f(x)"
        )

    @pytest.mark.parametrize(
        "name", ["vjp", "jvp", "linearize", "hvp", "objective", "residuals", "check_grad"]
    )
    def test_so_it_is_where_there_are_more_arguments(self, name: str) -> None:
        """Transforms of a function at a point, and objectives, say the same."""
        arguments = (1.0, 1.0) if name in {"jvp", "hvp"} else (1.0,)
        text = refusal(errors.InputError, lambda: getattr(tg, name)(2.0, *arguments))
        assert text.startswith(f"{name} (test_pickles.py:")
        assert "was given a float (2.0), not a function" in text

    @pytest.mark.parametrize("transform", [tg.grad, tg.value_and_grad, tg.jacobian, tg.hessian])
    def test_choosing_arguments_by_number_points_to_the_first(self, transform: Any) -> None:
        """Other libraries have ``argnums``; here the first argument is differentiated."""

        def call() -> object:
            return transform(f, argnums=1)

        assert refusal(errors.InputError, call) == (
            f"{transform.__name__} ({place(call, 'argnums')}) takes no argnums, as it "
            "differentiates the first argument: put there what is to be differentiated, in a "
            "tuple or a dict if it is several numbers, or use partials"
        )
        with pytest.raises(TypeError, match="unexpected keyword argument 'nonsense'"):
            transform(f, nonsense=1)
