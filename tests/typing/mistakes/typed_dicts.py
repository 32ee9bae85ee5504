"""Mistakes with parameters in typed dicts; `right_*` is `wrong_*` mended."""

from typing import Generic, NotRequired, TypedDict

from tapegrad import Real, grad, math, value_and_grad


class Weights(TypedDict, Generic[Real]):
    w: Real
    b: Real


class Options(TypedDict, Generic[Real]):
    w: Real
    bias: NotRequired[Real]


class Deep(TypedDict, Generic[Real]):
    first: Weights[Real]
    last: Weights[Real]


def line(p: Weights[Real], x: float) -> Real:
    return p["w"] * x + p["b"]


def deep(p: Deep[Real]) -> Real:
    return p["first"]["w"] * p["last"]["w"]


weights: Weights[float] = {"w": 2.0, "b": 1.0}


def wrong_missing_key() -> None:
    print(grad(line)({"w": 2.0}, 3.0))


def right_missing_key() -> None:
    assert grad(line)({"w": 2.0, "b": 1.0}, 3.0) == {"w": 3.0, "b": 1.0}


def wrong_extra_key() -> None:
    print(grad(line)({"w": 2.0, "b": 1.0, "c": 0.0}, 3.0))


def right_extra_key() -> None:
    assert grad(line)({"w": 2.0, "b": 1.0}, 3.0)["b"] == 1.0


def wrong_misspelt_key_of_the_gradient() -> None:
    print(grad(line)(weights, 3.0)["weight"])


def right_misspelt_key_of_the_gradient() -> None:
    assert grad(line)(weights, 3.0)["w"] == 3.0


def wrong_misspelt_key_in_the_model() -> None:
    def model(p: Weights[Real]) -> Real:
        return p["w"] * p["bias"]

    print(grad(model)(weights))


def right_misspelt_key_in_the_model() -> None:
    def model(p: Weights[Real]) -> Real:
        return p["w"] * p["b"]

    assert grad(model)(weights) == {"w": 1.0, "b": 2.0}


def wrong_text_under_a_key() -> None:
    print(grad(line)({"w": "2.0", "b": 1.0}, 3.0))


def right_text_under_a_key() -> None:
    assert grad(line)({"w": float("2.0"), "b": 1.0}, 3.0)["w"] == 3.0


def wrong_untyped_dict() -> None:
    parameters = {"w": 2.0, "b": 1.0}
    print(grad(line)(parameters, 3.0))


def right_untyped_dict() -> None:
    parameters: Weights[float] = {"w": 2.0, "b": 1.0}
    assert grad(line)(parameters, 3.0)["b"] == 1.0


def wrong_attribute_access() -> None:
    print(grad(line)(weights, 3.0).w)


def right_attribute_access() -> None:
    assert grad(line)(weights, 3.0)["w"] == 3.0


def wrong_key_that_may_be_absent() -> None:
    def model(p: Options[Real]) -> Real:
        return p["w"] * p.get("bias")

    print(grad(model)({"w": 2.0}))


def right_key_that_may_be_absent() -> None:
    def model(p: Options[Real]) -> Real:
        return p["w"] * p["bias"] if "bias" in p else p["w"]

    assert grad(model)({"w": 2.0}) == {"w": 1.0}


def wrong_level_of_nesting() -> None:
    print(grad(deep)({"first": weights, "last": weights})["w"])


def right_level_of_nesting() -> None:
    assert grad(deep)({"first": weights, "last": weights})["first"]["w"] == 2.0


def wrong_default_of_another_type() -> None:
    def model(p: Weights[Real]) -> Real:
        total = None
        for value in (p["w"], p["b"]):
            total = total + value
        return total

    print(grad(model)(weights))


def right_default_of_another_type() -> None:
    def model(p: Weights[Real]) -> Real:
        return math.sum([p["w"], p["b"]])

    assert grad(model)(weights) == {"w": 1.0, "b": 1.0}


def wrong_gradient_of_the_gradient() -> None:
    print(grad(grad(line))(weights, 3.0))


def right_gradient_of_the_gradient() -> None:
    def slope(x: Real) -> Real:
        return x * x * x

    assert grad(grad(slope))(2.0) == 12.0


def wrong_step_on_the_dict() -> None:
    value, gradient = value_and_grad(line)(weights, 3.0)
    stepped: Weights[float] = {key: weights[key] - 0.1 * gradient[key] for key in weights}
    print(value, stepped)


def right_step_on_the_dict() -> None:
    value, gradient = value_and_grad(line)(weights, 3.0)
    stepped: Weights[float] = {
        "w": weights["w"] - gradient["w"],
        "b": weights["b"] - gradient["b"],
    }
    assert (value, stepped) == (7.0, {"w": -1.0, "b": 0.0})


def wrong_bool_result() -> None:
    def model(p: Weights[Real]) -> bool:
        return p["w"] > p["b"]

    print(grad(model)(weights))


def right_bool_result() -> None:
    def model(p: Weights[Real]) -> Real:
        return math.maximum(p["w"], p["b"])

    assert grad(model)(weights) == {"w": 1.0, "b": 0.0}


def wrong_model_for_plain_floats() -> None:
    def model(p: Weights[float], x: float) -> float:
        return p["w"] * x

    print(grad(model)(weights, 2.0))


def right_model_for_plain_floats() -> None:
    def model(p: Weights[Real], x: float) -> Real:
        return p["w"] * x

    assert grad(model)(weights, 2.0) == {"w": 2.0, "b": 0.0}
