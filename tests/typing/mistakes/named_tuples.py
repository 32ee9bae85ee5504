"""Mistakes with parameters in named tuples; `right_*` is `wrong_*` mended."""

import math as plain
from typing import Generic, NamedTuple

from tapegrad import Condition, Real, grad, math, record, value_and_grad, where


class Point(NamedTuple, Generic[Real]):
    x: Real
    y: Real


class Box(NamedTuple, Generic[Real]):
    low: Point[Real]
    high: Point[Real]


def product(p: Point[Real], scale: float = 1.0) -> Real:
    return p.x * p.y * scale


def area(p: Box[Real]) -> Real:
    return (p.high.x - p.low.x) * (p.high.y - p.low.y)


here = Point(2.0, 3.0)
unit = Box(Point(0.0, 0.0), Point(1.0, 1.0))


def wrong_plain_tuple() -> None:
    print(grad(product)((2.0, 3.0)))


def right_plain_tuple() -> None:
    assert grad(product)(Point(2.0, 3.0)) == (3.0, 2.0)


def wrong_field_that_is_not_there() -> None:
    print(grad(product)(here).z)


def right_field_that_is_not_there() -> None:
    assert grad(product)(here).y == 2.0


def wrong_index_beyond_the_end() -> None:
    print(grad(product)(here)[2])


def right_index_beyond_the_end() -> None:
    assert grad(product)(here)[1] == 2.0


def wrong_count_when_unpacking() -> None:
    dx, dy, dz = grad(product)(here)
    print(dx, dy, dz)


def right_count_when_unpacking() -> None:
    dx, dy = grad(product)(here)
    assert (dx, dy) == (3.0, 2.0)


def wrong_number_of_fields() -> None:
    print(grad(product)(Point(2.0)))


def right_number_of_fields() -> None:
    assert grad(product)(Point(2.0, 0.0)).y == 2.0


def wrong_nested_tuple() -> None:
    print(grad(area)(Box((0.0, 0.0), (1.0, 1.0))))


def right_nested_tuple() -> None:
    assert grad(area)(unit).high == Point(1.0, 1.0)


def wrong_level_of_the_gradient() -> None:
    print(grad(area)(unit).x)


def right_level_of_the_gradient() -> None:
    assert grad(area)(unit).low.x == -1.0


def wrong_gradient_called_with_two_numbers() -> None:
    print(grad(product)(2.0, 3.0))


def right_gradient_called_with_two_numbers() -> None:
    assert grad(product)(Point(2.0, 3.0), 2.0) == Point(6.0, 4.0)


def wrong_keyword() -> None:
    print(grad(product)(here, factor=2.0))


def right_keyword() -> None:
    assert grad(product)(here, scale=2.0).x == 6.0


def wrong_gradient_taken_for_the_value() -> None:
    print(round(grad(product)(here), 3))


def right_gradient_taken_for_the_value() -> None:
    assert round(value_and_grad(product)(here).value, 3) == 6.0


def wrong_gradient_of_a_number() -> None:
    print(grad(product(here))(here))


def right_gradient_of_a_number() -> None:
    assert grad(product)(here).x == 3.0


def wrong_power_of_a_library() -> None:
    def model(p: Point[Real]) -> Real:
        return plain.pow(p.x, 2.0) * p.y

    print(grad(model)(here))


def right_power_of_a_library() -> None:
    def model(p: Point[Real]) -> Real:
        return math.pow(p.x, 2.0) * p.y

    assert grad(model)(here) == Point(12.0, 4.0)


def wrong_square_root_by_power() -> None:
    def model(p: Point[Real]) -> Real:
        root: float = (p.x * p.y) ** 0.5
        return root

    print(grad(model)(here))


def right_square_root_by_power() -> None:
    def model(p: Point[Real]) -> Real:
        return math.sqrt(p.x * p.y)

    assert grad(model)(Point(4.0, 1.0)).x == 0.25


def wrong_condition_as_result() -> None:
    def model(p: Point[Real]) -> Condition | bool:
        return p.x > p.y

    print(grad(model)(here))


def right_condition_as_result() -> None:
    def model(p: Point[Real]) -> Real:
        return where(p.x > p.y, p.x, p.y)

    assert grad(model)(here) == Point(0.0, 1.0)


def wrong_negation_of_a_condition() -> None:
    def model(p: Point[Real]) -> Real:
        return where(~(p.x > p.y), p.x, p.y)

    print(grad(model)(here))


def right_negation_of_a_condition() -> None:
    def model(p: Point[Real]) -> Real:
        return where(p.x <= p.y, p.x, p.y)

    assert grad(model)(here) == Point(1.0, 0.0)


def wrong_replay_with_numbers() -> None:
    print(record(product)(here).replay(4.0, 5.0))


def right_replay_with_numbers() -> None:
    assert record(product)(here).replay(Point(4.0, 5.0)).value == 20.0


def wrong_reading_of_the_tape() -> None:
    print(record(product)(here).grad())


def right_reading_of_the_tape() -> None:
    assert record(product)(here).gradient() == Point(3.0, 2.0)


def wrong_gradient_of_two_outputs() -> None:
    def model(p: Point[Real]) -> list[Real]:
        return [p.x, p.y]

    print(record(model)(here).gradient())


def right_gradient_of_two_outputs() -> None:
    def model(p: Point[Real]) -> Real:
        return p.x + p.y

    assert record(model)(here).gradient() == Point(1.0, 1.0)
