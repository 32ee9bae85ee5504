"""What checkers reject of arrays, each with the spelling that works."""

import math as plain

import numpy as np

import tapegrad as tg
from tapegrad import Scalar
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats


def product_of_vectors(x: Arr) -> Scalar:
    return x @ x  # limit: mypy, pyright, basedpyright, ty, pyrefly


def its_product(x: Arr) -> Scalar:
    return tnp.vdot(x, x)


def first(x: Arr) -> Scalar:
    return x[0]  # limit: mypy


def the_first(x: Arr) -> Scalar:
    return x.item(0)


def sum_of_a_row(x: Arr) -> Scalar:
    return tnp.sum(x[0])  # limit: mypy, pyright, basedpyright


def its_sum(x: Arr) -> Scalar:
    return tnp.sum(x[0, :])


def sum_of_rows(x: Arr) -> Scalar:
    return sum((tnp.max(row) for row in x), start=0.0)  # limit: pyright, basedpyright


def their_sum(x: Arr) -> Scalar:
    return sum((tnp.max(row) for row in tnp.unstack(x)), start=0.0)


def method(x: Arr) -> Scalar:
    return x.sum()  # limit: mypy


def function(x: Arr) -> Scalar:
    return tnp.sum(x)


def method_along_an_axis(x: Arr) -> Arr:
    return x.mean(axis=0)  # limit: mypy, pyright, basedpyright, ty


def function_along_an_axis(x: Arr) -> Arr:
    return tnp.mean(x, axis=0)


def places(x: Arr) -> Arr:
    return x[tnp.argsort(x)]  # limit: pyright, basedpyright, ty, pyrefly


def taken(x: Arr) -> Arr:
    return tnp.take(x, tnp.argsort(x))


def by_numpys_function(x: Arr) -> Arr:
    return np.exp(x)  # limit: mypy, pyright, basedpyright, ty, pyrefly


def by_ours(x: Arr) -> Arr:
    return tnp.exp(x)


def over_numpys_root(x: Arr, n: int) -> Arr:
    return x / np.sqrt(n)  # limit: mypy


def over_a_root(x: Arr, n: int) -> Arr:
    return x / plain.sqrt(n)


def reshaped(x: Arr) -> Arr:
    return x.reshape(2, 2)  # limit: ty, pyrefly


def in_shape(x: Arr) -> Arr:
    return tnp.reshape(x, (2, 2))


def times_a_number(x: Arr, k: float) -> Arr:
    return k * x  # limit: ty


def multiplied(x: Arr, k: float) -> Arr:
    return tnp.multiply(k, x)


def power(x: Arr) -> Arr:
    return x**2  # limit: ty


def squared(x: Arr) -> Arr:
    return tnp.square(x)


def turned(x: Arr) -> Arr:
    return x.T  # limit: ty


def transposed(x: Arr) -> Arr:
    return tnp.matrix_transpose(x)


def copied(x: Arr) -> Arr:
    return x.copy()  # limit: ty


def a_copy(x: Arr) -> Arr:
    return tnp.copy(x)


v: Floats = np.array([2.0, 1.0, 3.0])
m: Floats = np.array([[1.0, 2.0], [3.0, 4.0]])
for one, other in ((product_of_vectors, its_product), (first, the_first), (method, function)):
    assert tg.grad(one)(v).tolist() == tg.grad(other)(v).tolist()
assert tg.grad(sum_of_a_row)(m).tolist() == tg.grad(its_sum)(m).tolist()
assert tg.grad(sum_of_rows)(m).tolist() == tg.grad(their_sum)(m).tolist()
assert (by_numpys_function(m) == by_ours(m)).all()
assert (over_numpys_root(m, 2) == over_a_root(m, 2)).all()
assert (times_a_number(m, 2.0) == multiplied(m, 2.0)).all()
assert (method_along_an_axis(m) == function_along_an_axis(m)).all()
assert (power(m) == squared(m)).all()
assert (turned(m) == transposed(m)).all()
assert (copied(m) == a_copy(m)).all()
assert (places(v) == taken(v)).all()
assert (reshaped(np.ones(4)) == in_shape(np.ones(4))).all()
