"""Calls of transforms whose arguments do not fit the model."""

from typing import Generic

import attrs
import numpy as np

from tapegrad import Real, check_grad, hvp, jvp, objective, record, residuals, root, vjp, vmap


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real


def line(p: Line[Real], x: float, y: float = 0.0) -> Real:
    return p.w * x + p.b - y


def equation(x: Real, a: Real) -> Real:
    return x * x - a


START = Line(1.0, 2.0)
COLUMN = np.ones(3)


def wrong_root_without_a_parameter() -> None:
    root(equation, 1.0)


def right_root_without_a_parameter() -> None:
    assert root(equation, 1.0, 4.0) == 2.0


def wrong_root_with_too_much() -> None:
    root(equation, 1.0, 4.0, 5.0)


def right_root_with_too_much() -> None:
    assert root(equation, 3.0, 4.0) == 2.0


def wrong_checked_class() -> None:
    check_grad(line, {"w": 1.0, "b": 2.0}, 3.0)


def right_checked_class() -> None:
    assert check_grad(line, START, 3.0).ok


def wrong_checked_without_data() -> None:
    check_grad(line, START)


def right_checked_without_data() -> None:
    assert check_grad(line, START, 3.0, y=1.0).ok


def wrong_checked_with_an_option() -> None:
    check_grad(line, [1.0, 2.0], 3.0, order=2)


def right_checked_with_an_option() -> None:
    assert check_grad(line, START, 3.0, order=2).ok


def wrong_residuals_without_data() -> None:
    residuals(line, START)


def right_residuals_without_data() -> None:
    assert residuals(line, START, COLUMN).fun([1.0, 2.0]).shape == (3,)


def wrong_residuals_with_too_much() -> None:
    residuals(line, START, COLUMN, COLUMN, COLUMN)


def right_residuals_with_too_much() -> None:
    assert residuals(line, START, COLUMN, COLUMN).jac([1.0, 2.0]).shape == (3, 2)


def wrong_residuals_of_another_name() -> None:
    residuals(line, START, COLUMN, z=1.0)


def right_residuals_of_another_name() -> None:
    assert residuals(line, START, COLUMN, y=1.0).fun([1.0, 2.0]).shape == (3,)


def wrong_residuals_of_another_class() -> None:
    residuals(line, (1.0, 2.0), COLUMN)


def right_residuals_of_another_class() -> None:
    assert residuals(line, START, COLUMN).unflatten([1.0, 2.0]) == START


def wrong_objective_without_data() -> None:
    objective(line, START)


def right_objective_without_data() -> None:
    assert objective(line, START, 3.0).fun([1.0, 2.0]) == 5.0


def wrong_direction_of_another_class() -> None:
    hvp(line, START, (1.0, 0.0), 3.0)


def right_direction_of_another_class() -> None:
    assert hvp(line, START, Line(1.0, 0.0), 3.0) == Line(0.0, 0.0)


def wrong_direction_left_out() -> None:
    jvp(line, START, 3.0)


def right_direction_left_out() -> None:
    assert jvp(line, START, START, 3.0) == (5.0, 5.0)


def wrong_cotangent() -> None:
    vjp(line, START, 3.0)[1](START)


def right_cotangent() -> None:
    assert vjp(line, START, 3.0)[1](2.0) == Line(6.0, 2.0)


def wrong_replayed() -> None:
    record(line)(START, 3.0).replay(3.0, START)


def right_replayed() -> None:
    assert record(line)(START, 3.0).replay(START, 4.0).value == 6.0


def wrong_mapped_class() -> None:
    vmap(line, in_axes=(None, 0))(1.0, COLUMN)


def right_mapped_class() -> None:
    assert vmap(line, in_axes=(None, 0))(START, COLUMN).tolist() == [3.0, 3.0, 3.0]


def wrong_mapped_without_arguments() -> None:
    vmap(line, in_axes=(None, 0))()


def right_mapped_without_arguments() -> None:
    assert vmap(line, in_axes=(None, 0))(START, COLUMN).tolist() == [3.0, 3.0, 3.0]


def wrong_mapped_without_data() -> None:
    vmap(line, in_axes=(None, 0))(START)


def right_mapped_without_data() -> None:
    assert vmap(line, in_axes=(None, 0, 0))(START, COLUMN, COLUMN).tolist() == [2.0, 2.0, 2.0]
