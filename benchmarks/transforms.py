"""The cost of each transform in relation to a cheaper computation.

Run it with ``python -m benchmarks.transforms``.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from benchmarks.eager import LABELS, NETWORK, POINTS, alternating
from benchmarks.moons import loss
from tapegrad import Real, grad, hessian, hvp, math
from tapegrad.recording.trace import trace
from tapegrad.transforms.traced_call import Data, push


def of_the_moons() -> None:
    data: Data = {0: POINTS, 1: LABELS}
    traced = trace(loss, NETWORK, data)
    seeds = dict.fromkeys(range(traced.width), 1.0)
    plain, recording, gradient, product, forward = alternating(
        lambda: loss(NETWORK, POINTS, LABELS),
        lambda: trace(loss, NETWORK, data),
        lambda: grad(loss)(NETWORK, POINTS, LABELS),
        lambda: hvp(loss, NETWORK, NETWORK, POINTS, LABELS),
        lambda: push(traced, seeds),
    )
    print(f"moons: gradient / evaluation on plain floats    {gradient / plain:5.1f}")
    print(f"       Hessian-vector product / gradient        {product / gradient:5.2f}")
    print(f"       forward sweep / recording                {forward / recording:5.2f}")


def rosenbrock(xs: Sequence[Real]) -> Real:
    return math.sum(100.0 * (b - a * a) ** 2 + (1.0 - a) ** 2 for a, b in pairwise(xs))


def of_hessians() -> None:
    for size in (10, 50):
        point = [0.5 + 0.01 * index for index in range(size)]
        runs = (partial(hessian(rosenbrock), point), partial(grad(rosenbrock), point))
        second, first = alternating(*runs, rounds=9)
        ratio = second / (size * first)
        print(f"Rosenbrock, {size} inputs: Hessian / ({size} gradients)     {ratio:5.2f}")


def main() -> None:
    print(f"Python {platform.python_version()}, {platform.machine()}, {platform.system()}")
    of_the_moons()
    of_hessians()


if __name__ == "__main__":
    main()
