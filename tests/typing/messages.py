import math
from collections.abc import Mapping, Sequence
from typing import Generic

import attrs

from tapegrad import Real, grad, value_and_grad


@attrs.frozen
class Line(Generic[Real]):
    w: Real
    b: Real


def loss(p: Line[Real], x: float, y: float) -> Real:
    return (p.w * x + p.b - y) ** 2


start = Line(1.0, 2.0)


# 1. The standard library's `math` in a model: take `math` from tapegrad.
def wave(p: Mapping[str, Real]) -> Real:
    return p["a"] + math.sin(p["b"])


# 2. A sum that starts at a plain number: write `math.sum(xs)`, or `result: Real | float = 0.0`.
def total(xs: Sequence[Real]) -> Real:
    result = 0.0
    for x in xs:
        result += x
    return result


# 3. Arms of two types: write `where(x > 0.0, x, 0.0)`, or `-> Real | float`.
def hinge(x: Real) -> Real:
    return x if x > 0.0 else 0.0


# 4. `max` of a number of the model and a plain one: write `math.maximum(x, 0.0)`.
def relu(x: Real) -> Real:
    return max(x, 0.0)


# 5. A default of a field: write `b: Real | float = 1.0`.
@attrs.frozen
class Shifted(Generic[Real]):
    a: Real
    b: Real = 1.0


# 6. An argument is left out: `grad(f)` takes all that `f` takes.
grad(loss)(start, 3.0)

# 7. A field is misspelt: a gradient has the fields of the parameters.
print(grad(loss)(start, 3.0, 4.0).weight)

# 8. A gradient is used as a number: its fields are numbers.
print(grad(loss)(start, 3.0, 4.0) * 0.1)

# 9. The parameters are of another class: pass what the model takes.
grad(loss)({"w": 1.0, "b": 2.0}, 3.0, 4.0)

# 10. The first argument goes by name: pass it by position, or use `partials`.
grad(loss)(p=start, x=3.0, y=4.0)


# 11. A model returns two numbers: return one, or use `jacobian`, or `has_aux=True`.
def pair(p: Line[Real]) -> tuple[Real, Real]:
    return p.w, p.b


grad(pair)(start)

# 12. The gradient is taken for the value: the value comes first.
gradient, value = value_and_grad(loss)(start, 3.0, 4.0)
print(gradient.w)
