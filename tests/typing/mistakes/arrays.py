"""Mistakes with arrays; `right_*` is `wrong_*` mended."""

import math as plain
from collections.abc import Mapping
from typing import Generic

import attrs
import numpy as np

from tapegrad import Scalar, grad, math
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats, linalg


@attrs.frozen
class Layer(Generic[Arr]):
    w: Arr
    b: Arr


def loss(p: Mapping[str, Arr], x: Floats, y: Floats) -> Scalar:
    return tnp.mean((x @ p["w"] - y) ** 2)


def layered(p: Layer[Arr], x: Floats) -> Scalar:
    return tnp.sum(tnp.tanh(x @ p.w + p.b))


X: Floats = np.array([[1.0, 2.0], [3.0, 5.0]])
Y: Floats = np.array([1.0, 2.0])
W: Floats = np.array([0.0, 0.5])


def wrong_data_in_place_of_parameters() -> None:
    grad(loss)(X, X, Y)


def right_data_in_place_of_parameters() -> None:
    assert grad(loss)({"w": W}, X, Y)["w"].shape == (2,)


def wrong_data_left_out() -> None:
    grad(loss)({"w": W}, X)


def right_data_left_out() -> None:
    assert set(grad(loss)({"w": W}, X, Y)) == {"w"}


def wrong_key_of_a_gradient() -> None:
    print(grad(loss)({"w": W}, X, Y)[0])


def right_key_of_a_gradient() -> None:
    assert grad(loss)({"w": W}, X, Y)["w"].size == 2


def wrong_gradient_as_a_number() -> None:
    print(grad(loss)({"w": W}, X, Y) * 0.1)


def right_gradient_as_a_number() -> None:
    assert (grad(loss)({"w": W}, X, Y)["w"] * 0.0 == 0.0).all()


def wrong_field_of_a_gradient() -> None:
    print(grad(layered)(Layer(W, W[:1]), X).weights)


def right_field_of_a_gradient() -> None:
    assert grad(layered)(Layer(W, W[:1]), X).w.shape == (2,)


def wrong_numbers_in_place_of_arrays() -> None:
    grad(layered)(Layer(0.5, 0.0), X)


def right_numbers_in_place_of_arrays() -> None:
    assert grad(layered)(Layer(W, W[:1]), X).b.shape == (1,)


def wrong_mathematics() -> None:
    def model(v: Arr) -> Scalar:
        return plain.exp(v)

    grad(model)(W)


def right_mathematics() -> None:
    def model(v: Arr) -> Scalar:
        return tnp.sum(tnp.exp(v))

    assert grad(model)(W)[0] == 1.0


def wrong_result_of_an_array() -> None:
    def model(v: Arr) -> Arr:
        return v * v

    grad(model)(W)


def right_result_of_an_array() -> None:
    def model(v: Arr) -> Scalar:
        return tnp.sum(v * v)

    assert grad(model)(W)[1] == 1.0


def wrong_writing() -> None:
    def model(v: Arr) -> Scalar:
        v[0] = 1.0
        return tnp.sum(v)

    grad(model)(W)


def right_writing() -> None:
    def model(v: Arr) -> Scalar:
        return tnp.sum(tnp.at_set(v, 0, 1.0))

    assert grad(model)(W).tolist() == [0.0, 1.0]


def wrong_aux_without_saying_so() -> None:
    def model(v: Arr) -> tuple[Scalar, str]:
        return tnp.sum(v), "a sum"

    grad(model)(W)


def right_aux_without_saying_so() -> None:
    def model(v: Arr) -> tuple[Scalar, str]:
        return tnp.sum(v), "a sum"

    gradient, text = grad(model, has_aux=True)(W)
    assert (gradient.tolist(), text) == ([1.0, 1.0], "a sum")


def wrong_sum_along_an_axis() -> None:
    def model(v: Arr) -> Scalar:
        return tnp.sum(v * v, axis=0)

    grad(model)(X)


def right_sum_along_an_axis() -> None:
    def model(v: Arr) -> Scalar:
        return tnp.sum(tnp.sum(v * v, axis=0))

    assert grad(model)(X)[0, 0] == 2.0


def wrong_sum_taken_for_an_array() -> None:
    def model(v: Arr) -> Scalar:
        return tnp.max(tnp.sum(v)[0])

    grad(model)(X)


def right_sum_taken_for_an_array() -> None:
    def model(v: Arr) -> Scalar:
        return tnp.max(tnp.sum(v, axis=1)[:1])

    assert grad(model)(X)[0, 0] == 1.0


def wrong_place_between_numbers() -> None:
    def model(v: Arr) -> Scalar:
        return tnp.sum(v[0.5])

    grad(model)(W)


def right_place_between_numbers() -> None:
    def model(v: Arr) -> Scalar:
        return v.item(1)

    assert grad(model)(W).tolist() == [0.0, 1.0]


def wrong_right_side() -> None:
    print(linalg.solve(X, "y"))


def right_right_side() -> None:
    assert linalg.solve(X, Y).shape == (2,)


def wrong_number_of_factors() -> None:
    u, s = linalg.svd(X)
    print(u, s)


def right_number_of_factors() -> None:
    u, s, vh = linalg.svd(X)
    assert u.shape == vh.shape == (*s.shape, *s.shape)


def wrong_name_of_a_factor() -> None:
    print(linalg.eigh(X).values)


def right_name_of_a_factor() -> None:
    assert linalg.eigh(X).eigenvalues.shape == (2,)


def wrong_arrays_one_by_one() -> None:
    print(tnp.concat(X, X))


def right_arrays_one_by_one() -> None:
    assert tnp.concat([X, X]).shape == (4, 2)


def wrong_order_of_einsum() -> None:
    print(tnp.einsum(X, "ij->ji"))


def right_order_of_einsum() -> None:
    assert tnp.einsum("ij->ji", X).shape == (2, 2)


def wrong_name_of_an_axis() -> None:
    print(tnp.mean(X, axis="rows"))


def right_name_of_an_axis() -> None:
    assert tnp.mean(X, axis=0).shape == (2,)


def wrong_block_as_a_number() -> None:
    print(math.exp(tnp.hessian(layered)(Layer(W, W), X)["w"]["b"]))


def right_block_as_a_number() -> None:
    assert (tnp.exp(tnp.hessian(layered)(Layer(W, W[:1]), X)["w"]["b"]) > 0.0).all()
