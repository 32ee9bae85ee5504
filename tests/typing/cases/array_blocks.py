"""Blocks of `tapegrad.numpy.jacobian` and `hessian` are arrays, whatever holds the parameters."""

from collections.abc import Mapping
from typing import Generic, NamedTuple, TypedDict, assert_type

import attrs
import numpy as np

from tapegrad import Scalar, jacobian, jit, record
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats

Blocks = dict[str, dict[str, Floats]]


@attrs.frozen
class Layer(Generic[Arr]):
    w: Arr
    b: Arr


class Pair(NamedTuple, Generic[Arr]):
    first: Arr
    second: Arr


class Weights(TypedDict, Generic[Arr]):
    w: Arr


def energy(x: Arr, y: Floats, k: float = 1.0) -> Scalar:
    return k * tnp.sum(x * x * y)


def of_mapping(p: Mapping[str, Arr]) -> Scalar:
    return tnp.sum(tnp.sin(p["w"]))


def of_dict(p: dict[str, Arr]) -> Scalar:
    return tnp.sum(tnp.sin(p["w"]))


def of_typed_dict(p: Weights[Arr]) -> Scalar:
    return tnp.sum(tnp.sin(p["w"]))


def of_list(p: list[Arr]) -> Scalar:
    return tnp.sum(tnp.sin(p[0]))


def of_tuple(p: tuple[Arr, Arr]) -> Scalar:
    return tnp.vdot(p[0], p[1])


def of_named_tuple(p: Pair[Arr]) -> Scalar:
    return tnp.vdot(p.first, p.second)


def of_class(p: Layer[Arr], x: Floats) -> Scalar:
    return tnp.sum(tnp.tanh(p.w * x + p.b))


def bent(x: Arr) -> Arr:
    return tnp.sin(x)


def layer(p: Layer[Arr], x: Floats, k: float = 1.0) -> Arr:
    return tnp.multiply(k, tnp.tanh(p.w * x + p.b))


def parts(p: Layer[Arr]) -> dict[str, Arr]:
    return {"sum": p.w + p.b, "product": p.w * p.b}


def moved(p: Pair[Arr]) -> Pair[Arr]:
    return Pair(p.second, p.first)


v: Floats = np.array([1.0, 2.0])
block = assert_type(tnp.hessian(energy)(v, v, k=2.0), Blocks)["x"]["x"]
product: Floats = block @ v
assert product.tolist() == [4.0, 16.0]
assert_type(tnp.hessian(of_mapping)({"w": v}), Blocks)
assert_type(tnp.hessian(of_dict)({"w": v}), Blocks)
assert_type(tnp.hessian(of_typed_dict)({"w": v}), Blocks)
assert_type(tnp.hessian(of_list)([v]), Blocks)
assert_type(tnp.hessian(of_tuple)((v, v)), Blocks)
assert_type(tnp.hessian(of_named_tuple)(Pair(v, v)), Blocks)
assert_type(tnp.hessian(of_class)(Layer(v, v), v), Blocks)
assert_type(record(tnp.hessian(energy))(v, v).value, Blocks)

assert_type(tnp.jacobian(energy)(v, v), Blocks)
assert_type(tnp.jacobian(bent, mode="forward")(v), Blocks)
assert_type(tnp.jacobian(layer)(Layer(v, v), v, k=2.0), Blocks)
assert_type(tnp.jacobian(parts)(Layer(v, v)), Blocks)
assert_type(tnp.jacobian(moved)(Pair(v, v)), Blocks)
assert_type(jit(tnp.jacobian(parts))(Layer(v, v)), Blocks)
assert jacobian(bent)(v).keys() == {"value"}
