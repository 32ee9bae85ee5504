"""A Kalman filter whose noises are found by maximum likelihood: the flow of the Nile, 1871 to 1970.

The level of the river walks at random and is measured with noise. The likelihood comes out of the
filter, one year after the other, and its gradient goes back through all of them. The variances that
Durbin and Koopman print are 15,099 and 1,469.1, with a start that says nothing of the first level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

import attrs
from scipy.optimize import minimize

import tapegrad as tg
from tapegrad import Real, math

NILE = [
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180,
    799, 958, 1140, 1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833,
    701, 916, 692, 1020, 1050, 969, 831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845,
    864, 862, 698, 845, 744, 796, 1040, 759, 781, 865, 845, 944, 984, 897, 822, 1010, 771, 676, 649,
    846, 812, 742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050, 918, 986, 797, 923, 975, 815,
    1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
]  # fmt: skip


@attrs.frozen
class LogVariances(Generic[Real]):
    """Logarithms, so that every number will do."""

    measurement: Real
    level: Real


def loss(logs: LogVariances[Real], flows: Sequence[float]) -> Real:
    """The negative logarithm of the likelihood, given the first flow."""
    noise, drift = math.exp(logs.measurement), math.exp(logs.level)
    level, variance = 0.0 * noise + flows[0], noise + drift
    terms: list[Real] = []
    for flow in flows[1:]:
        total = variance + noise
        surprise = flow - level
        terms.append(0.5 * (math.log(2.0 * math.pi * total) + surprise**2 / total))
        level = level + variance / total * surprise
        variance = variance * noise / total + drift
    return math.sum(terms)


def fit(flows: Sequence[float]) -> tuple[float, float, float]:
    """Both variances, and the logarithm of the likelihood."""
    problem = tg.objective(loss, LogVariances(9.0, 9.0), flows)
    found = minimize(problem.fun_and_jac, problem.x0, jac=True, method="BFGS")
    logs = problem.unflatten(found.x)
    return math.exp(logs.measurement), math.exp(logs.level), -float(found.fun)


def main() -> None:
    measurement, level, likelihood = fit([float(flow) for flow in NILE])
    print(f"variance of a measurement   {measurement:9.1f}")
    print(f"variance of a year's change {level:9.1f}")
    print(f"log likelihood              {likelihood:9.3f}")
    assert abs(measurement / 15099.0 - 1.0) < 2e-4
    assert abs(level / 1469.1 - 1.0) < 2e-4


if __name__ == "__main__":
    main()
