"""Mistakes with parameters in mappings, lists and tuples; `right_*` is `wrong_*` mended."""

import math as plain
from collections.abc import Mapping, Sequence
from functools import reduce

from tapegrad import Real, Scalar, Var, grad, math, partials, record, stop_gradient


def total(p: Mapping[str, Real], scale: float = 1.0) -> Real:
    return math.sum(p.values()) * scale


def product(xs: Sequence[Real]) -> Real:
    return math.prod(xs)


def square(x: Real) -> Real:
    return x * x


def cube(x: Real) -> Scalar:
    return x * x * x


def ratio(a: Real, b: Real) -> Real:
    return a / b


def wrong_key_type() -> None:
    print(grad(total)({1: 2.0}))


def right_key_type() -> None:
    assert grad(total)({"1": 2.0}) == {"1": 1.0}


def wrong_text_value() -> None:
    print(grad(total)({"w": "2.0"}))


def right_text_value() -> None:
    assert grad(total)({"w": 2.0}) == {"w": 1.0}


def wrong_assignment_into_the_gradient() -> None:
    gradient = grad(total)({"w": 2.0})
    gradient["w"] = 0.0


def right_assignment_into_the_gradient() -> None:
    gradient = {**grad(total)({"w": 2.0}), "w": 0.0}
    assert gradient == {"w": 0.0}


def wrong_dict_of_ints() -> None:
    def model(p: dict[str, Real]) -> Real:
        return p["w"] * p["w"]

    counts: dict[str, int] = {"w": 2}
    print(grad(model)(counts))


def right_dict_of_ints() -> None:
    def model(p: Mapping[str, Real]) -> Real:
        return p["w"] * p["w"]

    counts: dict[str, int] = {"w": 2}
    assert grad(model)(counts) == {"w": 4.0}


def wrong_sum_of_the_gradient() -> None:
    print(grad(total)({"w": 2.0}) + 1.0)


def right_sum_of_the_gradient() -> None:
    assert grad(total)({"w": 2.0})["w"] + 1.0 == 2.0


def wrong_number_instead_of_mapping() -> None:
    print(grad(total)(2.0))


def right_number_instead_of_mapping() -> None:
    assert grad(total)({"x": 2.0}, 3.0) == {"x": 3.0}


def wrong_call_of_the_gradient_of_a_number() -> None:
    print(grad(square)(2.0)["x"])


def right_call_of_the_gradient_of_a_number() -> None:
    assert partials(square)(2.0)["x"] == 4.0


def wrong_text_as_number() -> None:
    print(grad(square)("2.0"))


def right_text_as_number() -> None:
    assert grad(square)(float("2.0")) == 4.0


def wrong_mean_by_length_of_a_number() -> None:
    def model(xs: Sequence[Real]) -> Real:
        return math.sum(xs) / len(math.sum(xs))

    print(grad(model)([1.0, 2.0]))


def right_mean_by_length_of_a_number() -> None:
    def model(xs: Sequence[Real]) -> Real:
        return math.sum(xs) / len(xs)

    assert grad(model)([1.0, 2.0]) == [0.5, 0.5]


def wrong_array_of_floats() -> None:
    def model(xs: Sequence[Real]) -> Real:
        return math.sum([float(x) for x in xs])

    print(grad(model)([1.0, 2.0]))


def right_array_of_floats() -> None:
    def model(xs: Sequence[Real]) -> Real:
        return math.sum([2.0 * x for x in xs])

    assert grad(model)([1.0, 2.0]) == [2.0, 2.0]


def wrong_index_by_a_traced_number() -> None:
    def model(x: Real, table: Sequence[float]) -> Real:
        return x * table[x]

    print(grad(model)(1.0, [1.0, 2.0]))


def right_index_by_a_traced_number() -> None:
    def model(x: Real, table: Sequence[float], index: int) -> Real:
        return x * table[index]

    assert grad(model)(1.0, [1.0, 2.0], 1) == 2.0


def wrong_product_of_the_library() -> None:
    def model(xs: Sequence[Real]) -> Real:
        return reduce(plain.hypot, xs)

    print(grad(model)([3.0, 4.0]))


def right_product_of_the_library() -> None:
    def model(xs: Sequence[Real]) -> Real:
        return math.hypot(*xs)

    assert grad(model)([3.0, 4.0]) == [0.6, 0.8]


def wrong_element_of_the_gradient() -> None:
    print(grad(product)([2.0, 3.0]).w)


def right_element_of_the_gradient() -> None:
    assert grad(product)([2.0, 3.0])[0] == 3.0


def wrong_inner_model_on_reals() -> None:
    def outer(x: Real) -> Real:
        return grad(square)(x) * x

    print(grad(outer)(2.0))


def right_inner_model_on_reals() -> None:
    def outer(x: Real) -> Scalar:
        return grad(cube)(x) * x

    assert grad(outer)(2.0) == 36.0


def wrong_traced_annotation_at_the_call() -> None:
    def model(x: Var) -> Var:
        return x * x

    print(grad(model)(2.0))


def right_traced_annotation_at_the_call() -> None:
    def model(x: Real) -> Real:
        return x * x

    assert grad(model)(2.0) == 4.0


def wrong_missing_partial_argument() -> None:
    print(partials(ratio)(a=1.0))


def right_missing_partial_argument() -> None:
    assert partials(ratio)(a=1.0, b=2.0)["a"] == 0.5


def wrong_name_of_a_partial_argument() -> None:
    print(partials(ratio)(a=1.0, c=2.0))


def right_name_of_a_partial_argument() -> None:
    assert partials(ratio)(a=1.0, b=2.0)["b"] == -0.25


def wrong_gradient_compared_with_a_number() -> None:
    print(partials(ratio)(a=1.0, b=2.0) == 0.5)


def right_gradient_compared_with_a_number() -> None:
    assert partials(ratio)(a=1.0, b=2.0)["a"] == 0.5


def wrong_accumulator_that_starts_at_a_float() -> None:
    def model(xs: Sequence[Real]) -> Real:
        result = 0.0
        for x in xs:
            result += x * x
        return result

    print(grad(model)([1.0, 2.0]))


def right_accumulator_that_starts_at_a_float() -> None:
    def model(xs: Sequence[Real]) -> Real | float:
        result: Real | float = 0.0
        for x in xs:
            result = result + x * x
        return result

    assert grad(model)([1.0, 2.0]) == [2.0, 4.0]


def wrong_derivative_cut_off_by_a_cast() -> None:
    def model(x: Real) -> Real:
        return x * float(x)

    print(grad(model)(2.5))


def right_derivative_cut_off_by_a_cast() -> None:
    def model(x: Real) -> Real:
        return x * stop_gradient(math.floor(x))

    assert grad(model)(2.5) == 2.0


def wrong_constant_model() -> None:
    def model(x: Real) -> float:
        return 1.0

    print(grad(model)(2.0))


def right_constant_model() -> None:
    def model(x: Real) -> Real | float:
        return x if x > 3.0 else 1.0

    assert grad(model)(2.0) == 0.0


def wrong_tape_for_a_gradient() -> None:
    print(record(square)(2.0) * 2.0)


def right_tape_for_a_gradient() -> None:
    assert record(square)(2.0).gradient() * 2.0 == 8.0
