"""Mistakes with parameters in frozen attrs classes; `right_*` is `wrong_*` mended."""

import math as plain
from collections.abc import Sequence
from typing import Generic

import attrs

from tapegrad import Real, grad, math, partials, record, value_and_grad


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real


@attrs.frozen
class Logit(Generic[Real]):
    w: Real
    b: Real


@attrs.frozen
class Network(Generic[Real]):
    layers: tuple[Line[Real], ...]
    scale: Real
    name: str = "net"


def loss(p: Line[Real], x: float, y: float) -> Real:
    return (p.w * x + p.b - y) ** 2


def network(p: Network[Real], x: float) -> Real:
    return math.sum([line.w * x + line.b for line in p.layers]) * p.scale


def descend(p: Line[float], step: Line[float], rate: float) -> Line[float]:
    return Line(p.w - rate * step.w, p.b - rate * step.b)


start = Line(1.0, 2.0)


def wrong_misspelt_field_of_the_gradient() -> None:
    print(grad(loss)(start, 3.0, 4.0).weight)


def right_misspelt_field_of_the_gradient() -> None:
    assert grad(loss)(start, 3.0, 4.0).w == 6.0


def wrong_misspelt_field_in_the_model() -> None:
    def model(p: Line[Real], x: float) -> Real:
        return p.weight * x

    print(grad(model)(start, 3.0))


def right_misspelt_field_in_the_model() -> None:
    def model(p: Line[Real], x: float) -> Real:
        return p.w * x

    assert grad(model)(start, 3.0) == Line(3.0, 0.0)


def wrong_missing_data_argument() -> None:
    print(grad(loss)(start, 3.0))


def right_missing_data_argument() -> None:
    assert grad(loss)(start, 3.0, 4.0) == Line(6.0, 2.0)


def wrong_argument_by_another_name() -> None:
    print(grad(loss)(start, 3.0, target=4.0))


def right_argument_by_another_name() -> None:
    assert grad(loss)(start, 3.0, y=4.0) == Line(6.0, 2.0)


def wrong_data_first() -> None:
    print(grad(loss)(3.0, start, 4.0))


def right_data_first() -> None:
    assert grad(loss)(start, 3.0, 4.0).b == 2.0


def wrong_class_of_parameters() -> None:
    print(grad(loss)(Logit(1.0, 2.0), 3.0, 4.0))


def right_class_of_parameters() -> None:
    assert grad(loss)(Line(1.0, 2.0), 3.0, 4.0).w == 6.0


def wrong_gradient_of_another_model() -> None:
    def other(p: Logit[Real]) -> Real:
        return p.w * p.b

    print(descend(start, grad(other)(Logit(1.0, 2.0)), 0.1))


def right_gradient_of_another_model() -> None:
    assert descend(start, grad(loss)(start, 3.0, 4.0), 0.5) == Line(-2.0, 1.0)


def wrong_standard_library_function() -> None:
    def model(p: Line[Real]) -> Real:
        return p.w * plain.sin(p.b)

    print(grad(model)(start))


def right_standard_library_function() -> None:
    def model(p: Line[Real]) -> Real:
        return p.w * math.sin(p.b)

    assert grad(model)(start).w == math.sin(2.0)


def wrong_forgotten_return() -> None:
    def model(p: Line[Real]) -> None:
        p.w * p.b

    print(grad(model)(start))


def right_forgotten_return() -> None:
    def model(p: Line[Real]) -> Real:
        return p.w * p.b

    assert grad(model)(start) == Line(2.0, 1.0)


def wrong_two_results() -> None:
    def model(p: Line[Real]) -> tuple[Real, Real]:
        return p.w, p.b

    print(grad(model)(start))


def right_two_results() -> None:
    def model(p: Line[Real]) -> tuple[Real, Real]:
        return p.w, p.b

    assert record(model)(start).value == (1.0, 2.0)


def wrong_order_of_unpacking() -> None:
    gradient, value = value_and_grad(loss)(start, 3.0, 4.0)
    print(descend(start, gradient, 0.1), value)


def right_order_of_unpacking() -> None:
    value, gradient = value_and_grad(loss)(start, 3.0, 4.0)
    assert (value, descend(start, gradient, 0.0)) == (1.0, start)


def wrong_arithmetic_on_the_gradient() -> None:
    print(start - 0.1 * grad(loss)(start, 3.0, 4.0))


def right_arithmetic_on_the_gradient() -> None:
    assert descend(start, grad(loss)(start, 3.0, 4.0), 0.0) == start


def wrong_comparison_with_a_number() -> None:
    print(grad(loss)(start, 3.0, 4.0) == 0.0)


def right_comparison_with_a_number() -> None:
    assert grad(loss)(start, 3.0, 4.0).w != 0.0


def wrong_assignment_to_a_field() -> None:
    p = Line(1.0, 2.0)
    p.w -= 0.1 * grad(loss)(p, 3.0, 4.0).w


def right_assignment_to_a_field() -> None:
    p = attrs.evolve(start, w=start.w - 0.5 * grad(loss)(start, 3.0, 4.0).w)
    assert p == Line(-2.0, 2.0)


def wrong_text_in_a_field() -> None:
    print(grad(loss)(Line("1.0", "2.0"), 3.0, 4.0))


def right_text_in_a_field() -> None:
    assert grad(loss)(Line(float("1.0"), float("2.0")), 3.0, 4.0).w == 6.0


def wrong_layer_instead_of_layers() -> None:
    print(grad(network)(Network(start, 2.0), 0.5))


def right_layer_instead_of_layers() -> None:
    assert grad(network)(Network((start,), 2.0), 0.5) == Network((Line(1.0, 2.0),), 2.5)


def wrong_layer_field_on_the_network() -> None:
    print(grad(network)(Network((start,), 2.0), 0.5).w)


def right_layer_field_on_the_network() -> None:
    assert grad(network)(Network((start,), 2.0), 0.5).layers[0].w == 1.0


def wrong_traced_number_kept_outside() -> None:
    seen: list[float] = []

    def model(p: Line[Real]) -> Real:
        seen.append(p.w)
        return p.w * p.b

    print(grad(model)(start), seen)


def right_traced_number_kept_outside() -> None:
    def model(p: Line[Real]) -> tuple[Real, Real]:
        return p.w * p.b, p.w

    assert record(model)(start).value == (2.0, 1.0)


def wrong_number_printed_as_float() -> None:
    def model(p: Line[Real]) -> Real:
        print(float(p.w))
        return p.w * p.b

    print(grad(model)(start))


def right_number_printed_as_float() -> None:
    def model(p: Line[Real]) -> Real:
        assert str(p.w)
        return p.w * p.b

    assert grad(model)(start) == Line(2.0, 1.0)


def wrong_built_in_sum() -> None:
    def model(p: Line[Real], xs: Sequence[float]) -> Real:
        return sum(p.w * x for x in xs)

    print(grad(model)(start, [1.0, 2.0]))


def right_built_in_sum() -> None:
    def model(p: Line[Real], xs: Sequence[float]) -> Real:
        return math.sum(p.w * x for x in xs)

    assert grad(model)(start, [1.0, 2.0]) == Line(3.0, 0.0)


def wrong_model_for_plain_floats() -> None:
    def model(p: Line[float]) -> float:
        return p.w * p.b

    print(grad(model)(start))


def right_model_for_plain_floats() -> None:
    def model(p: Line[Real]) -> Real:
        return p.w * p.b

    assert grad(model)(start) == Line(2.0, 1.0)


def wrong_truth_value_as_result() -> None:
    def model(p: Line[Real]) -> bool:
        return bool(p.w > p.b)

    print(grad(model)(start))


def right_truth_value_as_result() -> None:
    def model(p: Line[Real]) -> Real:
        return p.w if p.w > p.b else p.b

    assert grad(model)(start) == Line(0.0, 1.0)


def wrong_gradient_in_place_of_the_parameters() -> None:
    step = grad(loss)(start, 3.0, 4.0)
    print(loss(step, 3.0, 4.0))


def right_gradient_in_place_of_the_parameters() -> None:
    step = grad(loss)(start, 3.0, 4.0)
    assert loss(descend(start, step, 0.0), 3.0, 4.0) == 1.0


def wrong_misspelt_partial() -> None:
    def model(spot: Real, vol: Real) -> Real:
        return spot * vol

    print(partials(model)(spot=1.0, vol=0.2)["volatility"])


def right_misspelt_partial() -> None:
    def model(spot: Real, vol: Real) -> Real:
        return spot * vol

    assert partials(model)(spot=1.0, vol=0.2)["vol"] == 1.0
