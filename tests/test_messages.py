"""Every error says what is wrong, the value, where and what to do; each text is pinned here.

Those of traced numbers, recordings and guards are pinned in `test_recording.py`, beside what they
refuse, and those of numbers in `test_numbers.py`.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

import tapegrad as tg
from tapegrad import errors, math
from tests.places import place, refusal

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.TapegradError)
}


class TestTheTree:
    def test_every_class_is_drawn_with_its_bases(self) -> None:
        """The tree in the module's docstring is the tree of the classes."""
        drawn = dict(re.findall(r"(\w+) \((\w+)\)", errors.__doc__ or ""))
        assert set(drawn) | {"TapegradError"} == set(CLASSES) == set(errors.__all__)
        for name, builtin in drawn.items():
            assert issubclass(CLASSES[name], getattr(__builtins__, builtin, Exception))
            assert builtin in {base.__name__ for base in CLASSES[name].__mro__}

    def test_every_class_shows_how_it_fails_and_is_mended(self) -> None:
        """A class says in two lines what raises it and what to write instead."""
        for name, error in CLASSES.items():
            assert inspect.getdoc(error)
            if name != "TapegradError":
                assert re.search(r"Fails:\s.*Mended:\s", error.__doc__ or "", re.DOTALL), name

    @pytest.mark.parametrize("name", sorted(CLASSES.keys() - {"TapegradError"}))
    def test_every_class_is_pinned_by_a_test(self, name: str) -> None:
        """Some test provokes each class and holds its full text."""
        folder = Path(__file__).parent
        tests = "".join(file.read_text(encoding="utf-8") for file in folder.glob("test_*.py"))
        assert re.search(rf"refusal\(errors\.{name},", tests)


class TestInputs:
    def test_an_inverted_plain_bool_is_no_condition(self) -> None:
        """`~True` is -2, which would choose the first arm in silence (newer Pythons warn of it)."""
        inverted: Any = -2

        def call() -> object:
            return tg.where(inverted, 1.0, 2.0)

        assert refusal(errors.InputError, call) == (
            f"where at {place(call, 'tg.where')} was given the int -2, which is what ~ makes of a "
            "plain bool: write `not c`, or the opposite comparison"
        )

    @pytest.mark.parametrize(
        ("make", "shown"),
        [
            (lambda: {1, 2}, "a set ({1, 2})"),
            (lambda: b"x", "a bytes (b'x')"),
            (lambda: "x" * 100, "a str"),
        ],
    )
    def test_a_value_is_shown_where_it_is_short(self, make: Any, shown: str) -> None:
        """What cannot be an input is named by path and type, and by value up to 40 letters."""

        def call() -> object:
            return tg.grad(lambda p: p[0])([1.0, make()])

        assert refusal(errors.InputError, call) == (
            f"1 is {shown}, not a number or a container of numbers: pass a float there, or pass "
            f"it as data after the first argument ({place(call, 'tg.grad')})"
        )

    def test_a_subclass_of_a_container_is_refused_by_name(self) -> None:
        """dict, list and tuple are containers; their subclasses are not known to be."""

        class Params(dict[str, float]):
            pass

        def f(weights: Any) -> Any:
            return weights["a"]

        def call() -> object:
            return tg.grad(f)(Params(a=1.0))

        assert refusal(errors.InputError, call) == (
            "weights is a Params ({'a': 1.0}), a subclass of dict: pass a dict "
            f"({place(call, 'Params(')})"
        )

    def test_a_container_in_itself_is_refused(self) -> None:
        """A path is shown up to where it is of use."""
        loop: list[Any] = [1.0]
        loop.append(loop)

        def call() -> object:
            return tg.grad(lambda p: p[0])(loop)

        assert refusal(errors.InputError, call) == (
            f"{'.'.join('1' * 20)}... is nested too deeply, or contains itself "
            f"({place(call, 'tg.grad')})"
        )

    @pytest.mark.parametrize("name", ["grad", "value_and_grad", "jacobian"])
    def test_the_first_argument_by_keyword_points_to_partials(self, name: str) -> None:
        """What is differentiated goes by position."""
        transform = getattr(tg, name)

        def by_name() -> object:
            return transform(lambda x: x)(x=1.0)

        def nothing() -> object:
            return transform(lambda x: x)()

        for call, given in ((by_name, "only x by name"), (nothing, "nothing")):
            assert refusal(errors.InputError, call) == (
                f"{name} differentiates the first argument, which goes by position, and was given "
                f"{given} ({place(call, 'transform(')}): pass it first, or use partials for "
                "arguments by name"
            )

    def test_partials_takes_numbers(self) -> None:
        """A container given to partials is refused by the parameter's name."""

        def call() -> object:
            return tg.partials(lambda a, b: a * b[0])(1.0, [2.0])

        with pytest.raises(errors.InputError, match=r"^b is a list"):
            call()

    def test_two_inputs_of_one_path_are_refused(self) -> None:
        """Paths are unique, or it is an error."""

        def f(p: Any, a: float) -> Any:
            return p["a"] * a

        def call() -> object:
            return tg.record(f)({"a": 1.0}, 2.0)

        assert refusal(errors.InputError, call) == (
            f"two inputs would both be called a ({place(call, 'tg.record')}): "
            "rename the parameter or the key"
        )

    def test_a_float_field_beside_real_ones_is_refused(self) -> None:
        """A plain float field of a model is an error that says what to do."""

        @attrs.frozen
        class Model:
            w: tg.Real  # type: ignore[valid-type]  # bound by no class here
            rate: float

        def call() -> object:
            return tg.grad(lambda m: m.w * m.rate)(Model(1.0, 0.5))

        assert refusal(errors.InputError, call) == (
            "rate is a float (0.5) in a field that is not annotated Real, beside fields that are: "
            "annotate it Real to differentiate it, or move it into an argument of its own "
            f"({place(call, 'tg.grad')})"
        )

    def test_a_replay_asks_for_what_was_recorded(self) -> None:
        """Other structures and other arguments than the recorded ones are refused."""
        tape: Any = tg.record(lambda p, xs, n: p["a"] * xs[0] * n)({"a": 1.0}, [2.0], 3)
        others: list[tuple[Any, ...]] = [
            ({"b": 1.0},),
            ([1.0],),
            ({"a": 1.0}, [2.0, 3.0]),
            ({"a": 1.0}, [2.0], 4),
            ({"a": 1.0}, [2.0], 3, 5.0),
            ({"a": "1.0"},),
        ]
        for arguments in others:
            with pytest.raises(errors.InputError):
                tape.replay(*arguments)
        with pytest.raises(errors.InputError, match="other was not given when"):
            tape.replay({"a": 1.0}, other=5.0)

    def test_an_entry_is_asked_for_by_its_slot(self) -> None:
        """A name is no slot, and the error says where names are."""
        tape: Any = tg.record(lambda x: x * x)(2.0)

        def call() -> object:
            return tape["x"]

        assert refusal(errors.InputError, call) == (
            f"a tape was asked for 'x' ({place(call, 'tape[')}), and its entries go by their "
            "slots: write tape[0], or tape.values[tape.paths.index('x')] for an input"
        )
        assert tape.values[tape.paths.index("x")] == 2.0

    def test_rows_are_mapped_once(self) -> None:
        """There is no vmap of a vmap."""

        def call() -> object:
            return tg.vmap(tg.vmap(lambda x: x * x))

        assert refusal(errors.InputError, call) == (
            f"vmap ({place(call, 'tg.vmap')}) was given a vmap, and rows are mapped once: write "
            "one function of a row, which loops over the numbers in it, as a row of an array of "
            "two axes is a tuple"
        )

    def test_a_method_that_is_not_bound_is_recognised(self) -> None:
        """In a class, the transform of a function has no instance."""

        class Model:
            def value(self: Any, x: float) -> float:
                return x

        fast: Any = tg.jit(Model.value, eager_first=False)

        def call() -> object:
            return fast(2.0)

        text = refusal(errors.InputError, call)
        assert text.endswith("give the transform a bound method, as in jit(model.step)")

    def test_a_pair_is_asked_for_bounds(self) -> None:
        """A lone limit is an error that names the path."""
        objective = tg.objective(lambda p: p["b"] ** 2, {"b": 1.0})
        wrong: Any = {"b": 0}

        def call() -> object:
            return objective.bounds(wrong)

        assert refusal(errors.InputError, call) == (
            f"the bounds of b are an int (0) ({place(call, 'bounds')}): give a pair (low, high), "
            "with None for no limit"
        )

    def test_a_class_with_plain_attributes_is_no_parameter(self) -> None:
        """The error says what to make of it."""

        class Neuron:
            def __init__(self) -> None:
                self.w = [1.0]

        def call() -> object:
            return tg.grad(lambda n: n.w[0])(Neuron())

        assert refusal(errors.InputError, call) == (
            "n is a Neuron, a class whose attributes are not declared: make it a frozen attrs "
            "class or a dataclass, with its numbers in fields annotated Real "
            f"({place(call, 'tg.grad')})"
        )

    def test_points_of_unequal_length_are_refused(self) -> None:
        """dist, dot and sumprod take two sequences of one length, as the library does."""
        for name in ("dist", "dot", "sumprod"):
            function = getattr(math, name)

            def call(unequal: Any = function) -> object:
                return unequal([1.0], [1.0, 2.0])

            assert refusal(ValueError, call) == (
                f"{name} at {place(call, 'return')} was given 1 numbers and 2: "
                "pass as many of one as of the other"
            )


class TestOutputs:
    @pytest.mark.parametrize(
        ("result", "shown"),
        [
            (lambda x: None, "None"),
            (lambda x: "text", "a str ('text')"),
            (lambda x: True, "a bool (True)"),
            (lambda x: 1j, "a complex (1j)"),
            (lambda x: (x, x), "a tuple"),
            (lambda x: [x], "a list"),
            (lambda x: {"y": x}, "a dict"),
        ],
    )
    def test_a_gradient_needs_one_number(self, result: Any, shown: str) -> None:
        """What is no number is named, with the function and the line of the call."""

        def loss(x: Any) -> Any:
            return result(x)

        def call() -> object:
            return tg.grad(loss)(2.0)

        text = refusal(errors.OutputError, call)
        several = ", or use jacobian for a function of several"
        assert text == (
            f"loss ({place(call, 'tg.grad')}) returned {shown}, and a gradient needs one number: "
            f"return one{several if shown in {'a tuple', 'a list', 'a dict'} else ''}"
        )

    @pytest.mark.parametrize(
        ("result", "shown"), [(lambda x: [x], "a list"), (lambda x: (x, x), "a tuple")]
    )
    def test_so_does_the_gradient_of_a_tape(self, result: Any, shown: str) -> None:
        """A tape of several outputs, or of one in a container, has no gradient."""
        assert refusal(errors.OutputError, tg.record(result)(2.0).gradient) == (
            f"this tape returned {shown}, and a gradient needs one number: record a function "
            "that returns one, or use jacobian for one of several"
        )

    def test_cotangents_need_one_output(self) -> None:
        """Cotangents are those of one number."""
        tape = tg.record(lambda x: (x, x))(2.0)
        assert refusal(errors.OutputError, tape.cotangents) == (
            "this tape has 2 outputs, and cotangents need one: "
            "record a function that returns one number"
        )

    @pytest.mark.parametrize(
        ("result", "where"),
        [
            (lambda x: x > 1.0, "the result"),
            (lambda x: {"a": [x, x > 1.0]}, "the result a.1"),
        ],
    )
    def test_a_condition_is_no_result(self, result: Any, where: str) -> None:
        """A condition ends with its recording, so what holds one is refused."""

        def call() -> object:
            return tg.record(result)(2.0)

        assert refusal(errors.OutputError, call) == (
            f"{where} is a Condition (<Condition %2 = True>) ({place(call, 'tg.record')}): "
            "return tapegrad.where(c, 1.0, 0.0)"
        )


def broken(**changes: Any) -> Any:
    """A small tape with other columns."""
    tape = tg.record(lambda x: x * x + 1.0)(2.0)
    return attrs.evolve(tape, **changes)


class TestTapes:
    @pytest.mark.parametrize(
        ("changes", "text"),
        [
            ({"outputs": (9,)}, "output 9 is not a slot of a tape of 4 entries"),
            ({"outputs": (-1,)}, "output -1 is not a slot of a tape of 4 entries"),
        ],
    )
    def test_an_output_is_a_slot(self, changes: dict[str, Any], text: str) -> None:
        """Columns whose outputs are no slots are not a tape."""
        assert refusal(errors.TapeError, lambda: broken(**changes)) == text

    def test_columns_have_one_length(self) -> None:
        """Columns of different lengths are not a tape."""
        assert refusal(errors.TapeError, lambda: broken(left=b"")) == (
            "the columns of a tape have different lengths: {0, 4}"
        )

    def test_codes_stand_for_rows(self) -> None:
        """A code beyond the table is not an entry."""
        size = len(broken().table.rows)
        assert refusal(errors.TapeError, lambda: broken(codes=b"\x00\xff\x01\x03")) == (
            f"code 255 stands for no row; the table has {size}"
        )

    def test_operands_lie_below(self) -> None:
        """An entry that reads its own slot or a later one is not an entry."""
        tape = broken()
        right = bytearray(tape.right)
        right[4:8] = (3).to_bytes(4, "little")
        assert refusal(errors.TapeError, lambda: broken(right=bytes(right))) == (
            "entry 1 reads slot 3, which is not one below it"
        )

    def test_operands_are_slots(self) -> None:
        """An operation without its operand is not an entry."""
        tape = broken()
        left = bytearray(tape.left)
        left[4:8] = (-1).to_bytes(4, "little", signed=True)
        assert refusal(errors.TapeError, lambda: broken(left=bytes(left))) == (
            "entry 1 reads slot -1, which is not one below it"
        )
