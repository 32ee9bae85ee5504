"""Tapes with arrays, read by people: the same readings as of numbers, element by element."""

from __future__ import annotations

import pickle
import re
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import tapegrad as tg
from tapegrad import errors
from tapegrad import numpy as tnp
from tapegrad.entries.nodes import Constant

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 4))
LAYER = {"w": RNG.normal(size=(3, 4)), "b": RNG.normal(size=4)}


def loss(p: Any, x: Any, y: Any) -> Any:
    h = np.tanh(x @ p["w"] + p["b"])
    return ((h[1:] - y[1:]) ** 2).mean()


TAPE: Any = tg.record(loss)(LAYER, X, Y)


class TestPrinted:
    def test_a_value_is_its_shape_and_range(self) -> None:
        """And static operands are short."""
        lines = str(TAPE).splitlines()
        assert lines[1].split()[:5] == ["%0", "input", "[3x4]", "-1.25907", ".."]
        assert any("getitem    %6 [1:]" in line for line in lines)
        assert any("sum        %10 axes 0, 1" in line for line in lines)

    def test_what_is_not_finite_is_counted(self) -> None:
        """The range is that of the other numbers."""
        tape = tg.record(lambda x: np.log(x).sum())(np.array([-1.0, 1.0, 2.0, np.e]))
        assert "[4] 0 .. 1, 1 not finite" in str(tape)

    def test_entries_are_counted_and_so_are_their_numbers(self) -> None:
        """An array is one entry."""
        stats = TAPE.stats()
        assert (stats.entries, stats.numbers, stats.nonfinite) == (14, 178, 0)
        assert "numbers      178" in str(stats)

    def test_a_line_has_the_range_of_its_arrays(self) -> None:
        """From the smallest to the largest number, nan and infinity apart."""
        line = next(line for line in TAPE.lines().lines if "tanh" in line.source)
        h = np.tanh(X @ LAYER["w"] + LAYER["b"])
        assert line.values == (h.min(), h.max())
        broken = tg.record(lambda x: np.log(x).sum())(np.array([-1.0, 1.0, 0.0])).lines().lines[0]
        assert broken.marks == "2 nan"

    def test_the_page_and_the_pictures_show_arrays(self) -> None:
        """Entry by entry, line by line and in scopes."""
        assert {"[4x4]", "value -1.26 .. 1.51"} <= {*re.findall(r">([^<>]*)</", TAPE.to_dot())}
        assert "values -1.259 to 1.514" in TAPE.to_dot(by="line")
        assert TAPE.to_dot(by="scope")
        assert TAPE.to_dot(top=3)
        assert "[4x4]  value 0.00198 .. 2.79  grad 0.0625" in str(TAPE.draw())
        assert "[1:]" in TAPE.to_dot()
        assert "[] [1:]" not in TAPE.to_dot()


class TestNonfinite:
    def test_the_element_is_named(self) -> None:
        """Forward it is the first number that is not finite."""
        tape = tg.record(lambda p: np.log(p["w"] - 1.0).sum())({"w": np.array([[2.0], [0.0]])})
        found: Any = tape.first_nonfinite()
        assert found.place == (1, 0)
        assert str(found).startswith(
            "the first value that is not finite is nan: %3[1, 0] = log(%2[1, 0] = -1.0)"
        )

    def test_the_cotangent_of_an_element_is_named(self) -> None:
        """In reverse the number that becomes infinite, and the one that hands it on."""
        tape = tg.record(lambda p: np.sqrt(p["w"]).sum())({"w": np.array([[2.0], [0.0]])})
        found: Any = tape.first_nonfinite()
        assert str(found).startswith(
            "the first cotangent that is not finite is inf, that of w[1, 0]: "
            "%1[1, 0] = sqrt(w[1, 0] = 0.0) = 0.0 hands on 1.0 * inf"
        )

    def test_a_row_of_whole_arrays_hands_on_its_transpose(self) -> None:
        """There is no partial to be told."""
        w = np.array([[1e200], [1e200]])
        found: Any = tg.record(lambda p: 1e200 * (w.T @ p["w"]).sum())({"w": np.zeros((2, 1))})
        assert "that of w[0, 0]: %2 = matmul(" in str(found.first_nonfinite("reverse"))


class TestDifferences:
    def test_the_element_furthest_apart_is_named(self) -> None:
        """Of the arrays that differ."""
        moved = {**LAYER, "b": LAYER["b"] + [0.0, 0.0, 0.5, 0.0]}
        found = TAPE.diff(tg.record(loss)(moved, X, Y))
        first = [entry and entry.text for entry in found.values or ()]
        assert first == [f"input b[2] = {x['b'][2].item()!r}" for x in (LAYER, moved)]

    def test_indices_are_part_of_the_structure(self) -> None:
        """By value, arrays among them."""
        a, b, c = (
            tg.record(lambda x: x[np.array(index)].sum())(np.ones(4))  # noqa: B023  # called now
            for index in ([0, 1], [0, 1], [0, 2])
        )
        assert a == b
        assert hash(a) == hash(b)
        assert a != c
        assert a.diff(c).shared == 1
        assert pickle.loads(pickle.dumps(a)) == a  # noqa: S301  # our own

    def test_there_is_one_nan(self) -> None:
        """Whatever its sign and its bits, in arrays and in numbers beside them."""

        def f(x: Any) -> Any:
            return tnp.sum(x * 2.0 + x[0, 0])

        one, other = np.array([[np.nan, 1.0]] * 2), np.array([[-np.nan, 1.0]] * 2)
        other.view(np.int64)[0, 0] += 5
        assert one.tobytes() != other.tobytes()
        assert tg.record(f)(one) == tg.record(f)(other)
        assert hash(tg.record(f)(one)) == hash(tg.record(f)(other))

    def test_slices_are_compared_by_value(self) -> None:
        """Two recordings of one program are equal."""
        again = tg.record(loss)(LAYER, X, Y)
        assert again == TAPE
        assert hash(again) == hash(TAPE)
        assert not TAPE.diff(again)
        assert tg.record(loss)({**LAYER, "b": -LAYER["b"]}, X, Y) != TAPE


class TestJacobians:
    def test_a_block_has_the_axes_of_the_output_and_of_the_input(self) -> None:
        """In either mode; those of numbers are floats."""

        def model(p: Any, x: Any) -> Any:
            h = np.tanh(x @ p["w"]) * p["s"]
            return {"h": h, "total": h.sum()}

        at = {"w": LAYER["w"], "s": 2.0}
        forward = tg.jacobian(model, mode="forward")(at, X)
        reverse = tg.jacobian(model, mode="reverse")(at, X)
        shapes = {of: {i: np.shape(x) for i, x in row.items()} for of, row in forward.items()}
        assert shapes == {"h": {"w": (5, 4, 3, 4), "s": (5, 4)}, "total": {"w": (3, 4), "s": ()}}
        assert type(forward["total"]["s"]) is float
        for of in shapes:
            for path in at:
                assert_allclose(forward[of][path], reverse[of][path], rtol=1e-13, atol=1e-15)
        h = np.tanh(X @ LAYER["w"])
        wanted = np.einsum("ij,ik,jl->ijkl", 2.0 * (1.0 - h * h), X, np.eye(4))
        assert_allclose(forward["h"]["w"], wanted, rtol=1e-13, atol=1e-15)

    def test_a_hessian_is_the_jacobian_of_the_gradient(self) -> None:
        """By block, and symmetric."""
        found: Any = tg.hessian(loss)(LAYER, X, Y)
        wanted: Any = tg.jacobian(tg.grad(loss))(LAYER, X, Y)
        for of in LAYER:
            for path in LAYER:
                assert_allclose(found[of][path], wanted[of][path], rtol=1e-12, atol=1e-15)
        assert_allclose(found["w"]["b"], np.moveaxis(found["b"]["w"], 0, 2), rtol=1e-12, atol=1e-15)

    def test_a_jacobian_is_differentiated(self) -> None:
        """As all transforms are."""

        def squares(x: Any) -> Any:
            block: Any = tg.jacobian(lambda x: x * x)(x)["value"]["x"]
            return (block**2).sum()

        assert_allclose(tg.grad(squares)(np.array([1.0, 3.0])), [8.0, 24.0])

    def test_no_numbers_give_empty_blocks(self) -> None:
        """Of the shapes that there are."""
        found: Any = tg.jacobian(lambda x: x.sum())(np.zeros((0, 2)))
        assert found["value"]["x"].shape == (0, 2)

    @pytest.mark.parametrize(
        ("wrong", "what"),
        [
            ({"w": np.ones((4, 3)), "b": np.ones(4)}, r"at w is an array of shape \(4, 3\)"),
            ({"w": np.ones((3, 4)), "b": 1.0}, "at b is a number"),
        ],
    )
    def test_a_tangent_has_the_shape_of_what_it_belongs_to(self, wrong: Any, what: str) -> None:
        """Else both shapes are told."""
        with pytest.raises(errors.InputError, match=what):
            tg.jvp(loss, LAYER, wrong, X, Y)


class TestNumberByNumber:
    def test_sparse_matrices_are_the_blocks_side_by_side(self) -> None:
        """The pattern is that of the numbers, and arrays are swept as they are."""

        def model(p: Any) -> Any:
            return {"a": p["w"][1:] * p["w"][:-1] * p["s"], "b": p["w"].sum()}

        at = {"w": LAYER["w"], "s": 2.0}
        found, blocks = tg.sparse_jacobian(model)(at), tg.jacobian(model)(at)
        matrix = np.zeros(found.shape)
        matrix[list(found.rows), list(found.columns)] = found.values
        wanted = np.vstack([
            np.hstack([np.reshape(blocks[of][path], (-1, n)) for path, n in (("w", 12), ("s", 1))])
            for of in "ab"
        ])  # fmt: skip
        assert_array_equal(matrix, wanted)
        assert len(found.values) == 8 * 3 + 12
        assert found.shape == tg.record(model)(at).jacobian_sparsity().shape == (9, 13)

    def test_a_sparse_hessian_is_that_of_the_numbers(self) -> None:
        """Of a sum of cubes it is a diagonal."""

        def cubes(x: Any) -> Any:
            return (x**3).sum()

        found = tg.sparse_hessian(cubes)(np.array([1.0, 2.0, 4.0]))
        assert (found.rows, found.columns, found.values) == (
            (0, 1, 2), (0, 1, 2), (6.0, 12.0, 24.0),
        )  # fmt: skip
        assert len(tg.record(cubes)(np.ones(3)).hessian_sparsity()) == 3

    def test_a_taylor_series_passes_through_arrays(self) -> None:
        """Not if it is differentiated in turn, which is refused."""

        def f(t: Any) -> Any:
            return np.exp(t * np.array([1.0, 2.0])).sum()

        assert_allclose(tg.taylor(f, 3)(0.0), [2.0, 3.0, 2.5, 1.5], rtol=1e-15)
        with pytest.raises(errors.TracedNumberError, match="write it on numbers"):
            tg.grad(lambda t: tg.taylor(f, 2)(t)[2])(0.5)
        with pytest.raises(errors.InputError, match="a Taylor series is in one number"):
            tg.taylor(f, 2)(np.ones(2))  # type: ignore[arg-type]  # the mistake

    def test_one_element_is_explained_as_a_number_is(self) -> None:
        """By line, and by path through the numbers."""
        found = TAPE.explain(wrt="w[0, 1]", top=2)
        gradient = TAPE.gradient()["w"]
        assert_allclose(found.derivative, gradient[0, 1], rtol=1e-13)
        assert str(found).startswith("d result / d w[0, 1] = ")
        assert "tanh" in found.paths[0].route
        assert_allclose(TAPE.explain(wrt="x[0, 1]").derivative, 0.0)

    def test_an_array_is_explained_by_its_elements(self) -> None:
        """Derivatives times values, which lines and elements add up to."""
        found, gradient = TAPE.explain(wrt="w"), TAPE.gradient()["w"]
        total = (gradient * LAYER["w"]).sum()
        assert_allclose(found.derivative, total, rtol=1e-13)
        assert_allclose(sum(line.part for line in found.lines), total, rtol=1e-13)
        assert_allclose([x.derivative for x in found.elements], gradient.ravel(), rtol=1e-13)
        assert "the sum of d result / d w * w" in str(found)
        assert "w[1, 2]" in str(found)


class TestSimplified:
    C = np.arange(3.0)

    def f(self, x: Any) -> Any:
        parts = x[0:2] * 1.0 + x[0:2] * x[0:2]
        return ((x * self.C) + (np.ones(3) + self.C.copy()) * x).sum() + parts.sum()

    @pytest.mark.parametrize("order", [0, 1])
    def test_outputs_keep_their_bits(self, order: int) -> None:
        """Also in a replay; equal constants and parts are shared where a gradient is held."""
        tape: Any = tg.record(tg.grad(self.f) if order else self.f)(np.ones(3))
        found = tape.simplify()
        at = np.array([0.3, 0.7, -1.9])
        assert_array_equal(found.tape.value, tape.value)
        assert_array_equal(found.tape.replay(at).value, tape.replay(at).value)
        assert (found.shared > 0) is (order == 1)
        assert_allclose(tape.simplify(fast=True).tape.replay(at).value, tape.replay(at).value)

    def test_nothing_is_folded_into_something_larger(self) -> None:
        """A number spread over a thousand places stays a number."""

        def f(x: Any) -> Any:
            wide = tnp.broadcast_to(tg.stop_gradient(x.sum()) * 0.0 + 2.0, (1000,))
            return (wide * x.sum()).sum()

        tape: Any = tg.record(f)(np.ones(3))
        constants = [node for node in tape.simplify(fast=True).tape if isinstance(node, Constant)]
        assert all(np.shape(node.value) == () for node in constants)
