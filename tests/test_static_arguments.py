"""`static_argnames`: arguments that are kept out of recordings, and errors that point to it."""

from __future__ import annotations

import functools
import math as std
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
import pytest

import tapegrad as tg
from tapegrad import errors
from tests.places import place, refusal


def accrued(x: Any, t: float, table: Mapping[str, float] = {"1.25": 2.0}, *more: float) -> Any:
    """Does with t what a traced number refuses."""
    assert isinstance(t, float)
    return x * std.sqrt(t) * table.get(str(t), 1.0) * len(f"{t:.2f}") * {t: 1.0}[t] + sum(more)


KEPT: Mapping[str, Callable[..., Any]] = {
    "record": lambda f, x, *data, static, **named: (
        tg.record(f, static_argnames=static)(x, *data, **named).replay(x).value
    ),
    "jit": lambda f, x, *data, static, **named: tg.jit(
        f, static_argnames=static, eager_first=False
    )(x, *data, **named),
    "jit of a gradient": lambda f, x, *data, static, **named: (
        tg.jit(tg.value_and_grad(f), static_argnames=static, eager_first=False)(
            x, *data, **named
        ).value
    ),
    "vmap": lambda f, x, *data, static, **named: tg.vmap(
        f, static_argnames=static, backend="numpy"
    )(np.array([x]), *data, **named)[0],
    "objective": lambda f, x, *data, static, **named: tg.objective(
        f, x, *data, static_argnames=static, **named
    ).fun([x]),
    "residuals": lambda f, x, *data, static, **named: tg.residuals(
        f, x, *data, static_argnames=static, **named
    ).fun([x])[0],
}


@pytest.mark.parametrize("run", KEPT.values(), ids=KEPT)
class TestStaticArguments:
    """Every transform that keeps recordings passes on what it is told to."""

    @pytest.mark.parametrize("t", [1.25, 4.0, std.inf])
    def test_they_arrive_as_they_are(self, run: Callable[..., Any], t: float) -> None:
        """By position and by name; one name or several."""
        expected = accrued(3.0, t)
        assert run(accrued, 3.0, t, static="t") == expected
        assert run(accrued, 3.0, t=t, static=("t",)) == expected
        table = {"4.0": 0.5}
        assert run(accrued, 3.0, t, table, static=["t", "table"]) == accrued(3.0, t, table)
        assert run(accrued, 3.0, t, table=table, static=("t", "table")) == accrued(3.0, t, table)

    def test_all_arguments_from_a_place_on(self, run: Callable[..., Any]) -> None:
        """The name of ``*more`` stands for all of them."""
        expected = accrued(3.0, 1.25, {}, 2.0, 5.0)
        static = ("t", "table", "more")
        assert run(accrued, 3.0, 1.25, {}, 2.0, 5.0, static=static) == expected

    def test_a_name_that_does_not_fit(self, run: Callable[..., Any]) -> None:
        """An unknown one, that of the first argument, and what is no name."""
        for static, problem in {
            "tenor": "has 'tenor', and accrued has no such parameter",
            "x": "has x, the first argument of accrued, whose numbers are inputs",
            ("t", 3): "has an int (3), which is no name",
        }.items():
            text = refusal(errors.InputError, lambda: run(accrued, 3.0, 1.25, static=static))  # noqa: B023  # called now
            assert text.startswith("static_argnames (test_static_arguments.py:")
            assert text.endswith(f") {problem}: name one of t, table, more")

    def test_without_it_the_error_names_the_argument(self, run: Callable[..., Any]) -> None:
        """What is asked of data, or of what is made of it, in the user's own line."""

        def model(x: Any, t: Any) -> Any:
            return x * std.sqrt(t["tenor"][0] * 2.0)

        if run in {KEPT["vmap"], KEPT["residuals"]}:
            call = functools.partial(run, model, 3.0, t={"tenor": [1.25]}, static=())
        else:
            call = functools.partial(run, model, 3.0, {"tenor": [1.25]}, static=())
        assert refusal(errors.TracedNumberError, call) == (
            f"float(x) at {place(model, 'sqrt')} is asked of data that is recorded, t:tenor.0: "
            'pass static_argnames=("t",) to get it as it is, or write x, or a function of '
            "tapegrad.math"
        )


@pytest.mark.parametrize(
    ("use", "what"),
    [
        (float, "float(x)"),
        (complex, "complex(x)"),
        (hash, "hash(x)"),
        (str, "str(x)"),
        (lambda t: f"{t}", "str(x)"),
        (lambda t: f"{t:.1f}", "format(x, '.1f')"),
        (lambda t: {1.25: 0.0}[t], "hash(x)"),
        (functools.lru_cache(lambda t: 1.0), "hash(x)"),
        (lambda t: std.exp(2.0 * t), "float(x)"),
    ],
)
def test_what_is_refused_of_data(use: Callable[[Any], object], what: str) -> None:
    """Each refusal points to the option; of the first argument, none does."""

    def model(x: Any, t: Any) -> Any:
        use(t)
        return x

    text = refusal(errors.TracedNumberError, lambda: tg.record(model)(1.0, 1.25))
    assert text.startswith(f"{what} at test_static_arguments.py:")
    assert ' is asked of data that is recorded, t: pass static_argnames=("t",) ' in text

    def differentiated(x: Any) -> Any:
        use(x)
        return x

    if what != "str(x)":
        other = refusal(errors.TracedNumberError, lambda: tg.record(differentiated)(1.25))
        assert "static_argnames" not in other
        both = tg.jit(lambda x, t: use(x + t), eager_first=False)
        mixed = refusal(errors.TracedNumberError, lambda: both.compile(1.0, 0.5))
        assert "static_argnames" not in mixed


class TestKeys:
    """A static argument is part of the key, by value."""

    def test_each_value_is_recorded_once(self) -> None:
        """Floats, and containers of them that change in place."""
        fast = tg.jit(accrued, static_argnames=("t", "table"), eager_first=False)
        assert [fast(2.0, t) for t in (1.25, 4.0, 1.25)] == [
            accrued(2.0, t) for t in (1.25, 4.0, 1.25)
        ]
        assert len(fast.tapes) == 2
        table = {"4.0": 3.0}
        assert fast(2.0, 4.0, table) == accrued(2.0, 4.0, table)
        table["4.0"] = 7.0
        assert fast(2.0, 4.0, table) == accrued(2.0, 4.0, table)

    def test_inside_a_recording_it_is_the_function(self) -> None:
        """A traced number in the place of a static argument is differentiated."""

        def model(x: Any, t: Any) -> Any:
            return x * t * t

        fast = tg.jit(model, static_argnames="t", eager_first=False)
        assert fast(2.0, 3.0) == 18.0
        assert tg.grad(lambda t: fast(2.0, t))(3.0) == 12.0
        assert tg.grad(lambda x: fast(x, 3.0))(2.0) == 9.0

    def test_they_travel(self) -> None:
        """A pickled function knows which arguments are static."""
        fast, batch = (
            tg.jit(accrued, static_argnames="t", eager_first=False),
            tg.vmap(accrued, static_argnames="t"),
        )
        rows = np.array([1.0, 2.0])
        assert fast(2.0, 1.25) == accrued(2.0, 1.25)
        assert batch(rows, 1.25).tolist() == [accrued(x, 1.25) for x in (1.0, 2.0)]
        there = pickle.loads(pickle.dumps(fast))  # noqa: S301  # our own
        assert there(3.0, 1.25) == accrued(3.0, 1.25)
        over_there = pickle.loads(pickle.dumps(batch))  # noqa: S301  # our own
        assert over_there(rows, 1.25).tolist() == batch(rows, 1.25).tolist()

    def test_a_replay_takes_the_value_that_was_recorded(self) -> None:
        """Another one is refused."""
        tape = tg.record(accrued, static_argnames=("t", "table"))(2.0, 1.25, {"a": 1.0})
        assert tape.replay(3.0, 1.25, {"a": 1.0}).value == accrued(3.0, 1.25, {"a": 1.0})
        assert refusal(errors.InputError, lambda: tape.replay(3.0, 4.0)).startswith(
            "t has another structure than this tape was recorded with, or another static value"
        )

    def test_an_objective_keeps_a_copy(self) -> None:
        """What is changed afterwards does not reach it, and all its derivatives are right."""

        def loss(p: Any, powers: Any, goal: float) -> Any:
            assert type(powers[0]) is float
            return sum(p["a"] ** power for power in powers) - goal

        powers = [2.0, 3.0]
        o = tg.objective(loss, {"a": 2.0}, powers, 1.0, static_argnames="powers")
        powers[0] = 5.0
        assert (o.fun(o.x0), o.jac(o.x0).tolist()) == (11.0, [16.0])
        assert np.asarray(o.hess(o.x0)).tolist() == [[14.0]]
        assert o.hessp(o.x0, [1.0]).tolist() == [14.0]
        there = pickle.loads(pickle.dumps(tg.objective(_loss, 2.0, 3.0, static_argnames="n")))  # noqa: S301  # our own
        assert there.fun([2.0]) == 24.0
        rows = tg.objective(
            _loss, 2.0, np.array([1.0, 2.0]), reduce="sum", n=3.0, static_argnames="n"
        )
        assert (rows.fun([2.0]), rows.jac([2.0]).tolist()) == (24.0, [36.0])


def _loss(x: Any, y: float = 1.0, n: float = 3.0) -> Any:
    assert isinstance(n, float)
    return x ** int(n) * y


def test_a_mapped_argument_is_not_static() -> None:
    """``in_axes`` maps what is not static where it is left out, and says so where it is not."""
    batch = tg.vmap(accrued, in_axes=(0, 0), static_argnames="t")
    rows = np.array([1.0, 2.0])
    text = refusal(errors.InputError, lambda: batch(rows, rows))
    assert text.endswith(" maps an argument that static_argnames names: give None for it")
    assert tg.vmap(accrued, static_argnames="t")(rows, 1.25)[1] == accrued(2.0, 1.25)


def test_a_function_whose_parameters_are_not_known() -> None:
    """There is no name to go by."""
    assert refusal(
        errors.InputError, lambda: tg.jit(min, static_argnames="key", eager_first=False)
    ).endswith(
        " names parameters, and those of min are not known: wrap it in a function of your own"
    )


def test_the_text_of_a_traced_number_is_no_key_of_a_result() -> None:
    """Of the first argument, whose text may be looked at."""

    def model(x: Any) -> Any:
        return {f"at {x}": x * x}

    def call() -> Any:
        return tg.jacobian(model)(3.0)

    assert refusal(errors.OutputError, call) == (
        "the result has the key 'at <Var %0 = 3.0>', which is the text of a traced number "
        f"({place(call, 'jacobian')}): make the key of a plain number, int(x) or an argument that "
        "static_argnames names"
    )
    assert tg.jacobian(lambda x: {f"at {int(x)}": x * x})(3.0) == {"['at 3']": {"x": 6.0}}


class TestPartials:
    """What is no number among the arguments of ``partials`` is passed on."""

    def test_texts_bools_and_objects_are_static(self) -> None:
        """The result has the numbers only."""

        @attrs.frozen
        class Basis:
            days: int

        def option(x: Any, kind: str, y: Any, *, is_long: bool, on: object, none: None) -> Any:
            assert (kind, is_long, on, none) == ("call", True, object, None)
            return x * y

        assert tg.partials(option)(2.0, "call", y=3, is_long=True, on=object, none=None) == {
            "x": 3.0,
            "y": 2.0,
        }
        assert tg.partials(option)(
            x=2.0, kind="call", y=3.0, is_long=True, on=object, none=None
        ) == {
            "x": 3.0,
            "y": 2.0,
        }
        with pytest.raises(errors.InputError):
            tg.partials(lambda x, basis: x)(1.0, Basis(3))

    def test_no_number(self) -> None:
        """There is nothing to differentiate in."""

        def f(kind: str) -> float:
            return 1.0

        assert refusal(errors.InputError, lambda: tg.partials(f)("call")).endswith(
            " was given no number: pass one"
        )

    @pytest.mark.parametrize("wrong", [1j, [1.0], {"a": 1.0}, (1.0,)])
    def test_what_may_hold_numbers_is_refused(self, wrong: object) -> None:
        """Whatever could have a derivative that would be missing."""
        with pytest.raises(errors.InputError):
            tg.partials(lambda x, y: x)(1.0, wrong)


class TestTheFirstArgumentByName:
    """A recording and a replay say what they take."""

    def test_a_recording(self) -> None:
        """It does not point to partials, which gives no tape."""

        def call() -> Any:
            return tg.record(_loss)(x=1.0, n=2.0)

        assert refusal(errors.InputError, call) == (
            "record takes the first argument by position, and was given only x, n by name "
            f"({place(call, 'record')}): pass it first"
        )

    def test_a_replay(self) -> None:
        """Neither by name nor left out."""
        tape = tg.record(_loss)(1.0)

        def call() -> Any:
            return tape.replay(x=2.0)

        assert refusal(errors.InputError, call) == (
            "replay takes the first argument by position, and was given only x by name "
            f"({place(call, 'replay')}): pass it first"
        )
