"""A spacecraft is aimed, so that its orbit leads through a given point at a given time.

The orbit around a planet is integrated by 400 steps of the leapfrog method, and Newton's method
solves for the initial velocity with the Jacobian through all steps. A circle is known exactly: at
the right speed the craft is on the other side after half a period.
"""

from __future__ import annotations

from typing import Generic, NamedTuple

import tapegrad as tg
from tapegrad import Real, math


class Velocity(NamedTuple, Generic[Real]):
    x: Real
    y: Real


START = (1.0, 0.0)
TARGET = (-1.0, 0.0)


def pull(x: Real, y: Real) -> tuple[Real, Real]:
    """The acceleration towards the planet, whose gravity is 1 at distance 1."""
    distance = math.hypot(x, y)
    cube = distance * distance * distance
    return -x / cube, -y / cube


def arrival(velocity: Velocity[Real], time: float, steps: int) -> tuple[Real, Real]:
    """Where the craft is after a time."""
    h = time / steps
    u, v = velocity
    x, y = START[0] + 0.0 * u, START[1] + 0.0 * v
    ax, ay = pull(x, y)
    for _ in range(steps):
        u, v = u + 0.5 * h * ax, v + 0.5 * h * ay
        x, y = x + h * u, y + h * v
        ax, ay = pull(x, y)
        u, v = u + 0.5 * h * ax, v + 0.5 * h * ay
    return x, y


def aimed(guess: Velocity[float], time: float, steps: int) -> Velocity[float]:
    """The velocity that leads to the target, by Newton's method."""
    velocity = guess
    for _ in range(8):
        x, y = arrival(velocity, time, steps)
        rows = list(tg.jacobian(arrival)(velocity, time, steps).values())
        a, b, c, d = rows[0]["x"], rows[0]["y"], rows[1]["x"], rows[1]["y"]
        miss_x, miss_y, determinant = x - TARGET[0], y - TARGET[1], a * d - b * c
        velocity = Velocity(
            velocity.x - (d * miss_x - b * miss_y) / determinant,
            velocity.y - (a * miss_y - c * miss_x) / determinant,
        )
    return velocity


def main() -> None:
    for steps in (100, 200, 400):
        velocity = aimed(Velocity(0.05, 0.95), math.pi, steps)
        off = math.hypot(velocity.x, velocity.y - 1.0)
        print(f"{steps} steps: aimed at ({velocity.x:9.6f}, {velocity.y:9.6f}), off by {off:.1e}")
        assert off < 12.0 / steps**2


if __name__ == "__main__":
    main()
