"""Values and gradients of two programs, one call at a time, for lists of floats and for arrays.

    python -m pip install -e '.[bench]' && python -m benchmarks.calls [--quick]

The programs are Rosenbrock's function of a hundred numbers, and a thousand steps of Runge and Kutta
through Lorenz's equations, differentiated in the initial state and the three parameters. A call
takes a list or an array of floats and returns one; converting them counts in its time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import attrs
import numpy as np

import tapegrad as tg
from benchmarks.peers import buffered, jax
from benchmarks.timing import Peer, Run, compare, machine, options
from benchmarks.transforms import rosenbrock
from tapegrad import Real

STEPS = 1_000
H = 0.005

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Kernel: TypeAlias = Callable[[Array, Array], None]
State: TypeAlias = tuple[Real, Real, Real]


def velocity(state: State[Real], parameters: State[Real]) -> State[Real]:
    x, y, z = state
    sigma, rho, beta = parameters
    return sigma * (y - x), x * (rho - z) - y, x * y - beta * z


def moved(state: State[Real], velocity: State[Real], h: float) -> State[Real]:
    (x, y, z), (u, v, w) = state, velocity
    return x + h * u, y + h * v, z + h * w


def lorenz(inputs: Sequence[Real]) -> Real:
    """The squared distance from the origin after all steps."""
    x, y, z, sigma, rho, beta = inputs
    state, parameters = (x, y, z), (sigma, rho, beta)
    for _ in range(STEPS):
        first = velocity(state, parameters)
        second = velocity(moved(state, first, H / 2), parameters)
        third = velocity(moved(state, second, H / 2), parameters)
        fourth = velocity(moved(state, third, H), parameters)
        for part, weight in ((first, 1.0), (second, 2.0), (third, 2.0), (fourth, 1.0)):
            state = moved(state, part, weight * H / 6)
    x, y, z = state
    return x * x + y * y + z * z


@attrs.frozen
class Problem:
    """A program, a point, and the versions of the program that other libraries need."""

    name: str
    program: Callable[[Sequence[Any]], Any]
    point: list[float]
    arrays: Callable[[], Callable[[Any], Any]]  # for jax
    by_hand: Callable[[], Kernel]  # for numba

    @property
    def size(self) -> int:
        """The number of floats in an answer."""
        return 1 + len(self.point)


def ours(problem: Problem) -> Run:
    fast = tg.jit(tg.value_and_grad(problem.program), eager_first=False)

    def run() -> list[float]:
        value, slope = fast(problem.point)
        return [value, *slope]

    return run


def ours_flat(problem: Problem) -> Run:
    flat = tg.jit(tg.value_and_grad(problem.program), eager_first=False).flat(problem.point)
    point = np.array(problem.point)
    return lambda: flat(point)


def casadi_function(problem: Problem, *, together: bool) -> Any:
    """An SX Function that returns value and gradient, or with ``together`` both in one column."""
    import casadi

    inputs = casadi.SX.sym("inputs", len(problem.point))
    value = problem.program(casadi.vertsplit(inputs))
    slope = casadi.gradient(value, inputs)
    outputs = [casadi.vertcat(value, slope)] if together else [value, slope]
    return casadi.Function("both", [inputs], outputs, {"cse": True})


def casadi_list(problem: Problem) -> Run:
    both = casadi_function(problem, together=False)

    def run() -> list[float]:
        value, slope = both(problem.point)
        return [float(value), *slope.nonzeros()]

    return run


def casadi_buffer(problem: Problem) -> Run:
    point, inputs, out = np.array(problem.point), np.empty(problem.size - 1), np.empty(problem.size)
    evaluate = buffered(casadi_function(problem, together=True), [inputs], [out])

    def run() -> Array:
        inputs[:] = point
        evaluate()
        return out

    return run


def numba_list(problem: Problem) -> Run:
    kernel, out = problem.by_hand(), np.empty(problem.size)

    def run() -> list[float]:
        kernel(np.array(problem.point), out)
        answer: list[float] = out.tolist()
        return answer

    return run


def numba_buffer(problem: Problem) -> Run:
    kernel, point, out = problem.by_hand(), np.array(problem.point), np.empty(problem.size)

    def run() -> Array:
        kernel(point, out)
        return out

    return run


def jax_function(problem: Problem) -> Callable[[Array], Array]:
    numpy, gradient = jax().numpy, jax().value_and_grad(problem.arrays())

    def both(inputs: Any) -> Any:
        value, slope = gradient(inputs)
        return numpy.concatenate([value[None], slope])

    compiled = jax().jit(both)
    return lambda point: np.asarray(compiled(point))


def jax_list(problem: Problem) -> Run:
    both = jax_function(problem)

    def run() -> list[float]:
        answer: list[float] = both(np.array(problem.point)).tolist()
        return answer

    return run


def jax_buffer(problem: Problem) -> Run:
    both, point = jax_function(problem), np.array(problem.point)
    return lambda: both(point)


def numba_rosenbrock() -> Kernel:
    from benchmarks.by_hand import rosenbrock

    return rosenbrock


def numba_lorenz() -> Kernel:
    from benchmarks.by_hand import lorenz

    return lambda x, out: lorenz(x, out, STEPS, H)


def jax_rosenbrock() -> Callable[[Any], Any]:
    return lambda x: (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def jax_lorenz() -> Callable[[Any], Any]:
    numpy = jax().numpy

    def rate(state: Any, parameters: Any) -> Any:
        return numpy.stack(velocity(tuple(state), tuple(parameters)))

    def distance(inputs: Any) -> Any:
        def step(state: Any, _: None) -> tuple[Any, None]:
            first = rate(state, inputs[3:])
            second = rate(state + H / 2 * first, inputs[3:])
            third = rate(state + H / 2 * second, inputs[3:])
            fourth = rate(state + H * third, inputs[3:])
            return state + H / 6 * (first + 2.0 * second + 2.0 * third + fourth), None

        state, _ = jax().lax.scan(step, inputs[:3], length=STEPS)
        return (state**2).sum()

    return distance


ROSENBROCK = Problem(
    "Rosenbrock of 100 numbers",
    rosenbrock,
    [0.5 + 0.01 * index for index in range(100)],
    jax_rosenbrock,
    numba_rosenbrock,
)
LORENZ = Problem(
    f"Lorenz, {STEPS:,} steps",
    lorenz,
    [1.0, 1.0, 1.0, 10.0, 28.0, 8.0 / 3.0],
    jax_lorenz,
    numba_lorenz,
)


def of_lists(problem: Problem) -> list[Peer]:
    return [
        Peer("tapegrad", "tapegrad", partial(ours, problem)),
        Peer("casadi, SX", "casadi", partial(casadi_list, problem)),
        Peer("numba, by hand", "numba", partial(numba_list, problem)),
        Peer("jax, arrays", "jax", partial(jax_list, problem)),
    ]


def of_arrays(problem: Problem) -> list[Peer]:
    return [
        Peer("tapegrad", "tapegrad", partial(ours_flat, problem)),
        Peer("casadi, SX, buffer", "casadi", partial(casadi_buffer, problem)),
        Peer("numba, by hand", "numba", partial(numba_buffer, problem)),
        Peer("jax, arrays", "jax", partial(jax_buffer, problem)),
    ]


def main() -> None:
    choice = options(__doc__)
    print(machine("casadi", "numba", "jax", "numpy"))
    for problem in (ROSENBROCK, LORENZ):
        compare(f"{problem.name}, lists", of_lists(problem), choice, "tapegrad")
        compare(f"{problem.name}, arrays", of_arrays(problem), choice, "tapegrad")


if __name__ == "__main__":
    main()
