"""Bundle adjustment: cameras and points are found from where the cameras see the points.

Each error depends on one camera and one point, so that nine of ten entries of the Jacobian are
zero; `residuals` finds the pattern in the recording, and gives SciPy the sparse matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Generic, NamedTuple

import attrs
from scipy.optimize import least_squares

import tapegrad as tg
from tapegrad import Real, math
from tapegrad.learn import tree


class Point(NamedTuple, Generic[Real]):
    x: Real
    y: Real
    z: Real


@attrs.frozen
class Camera(Generic[Real]):
    """It looks along z, turned by an angle around y, and magnifies by ``focal``."""

    at: Point[Real]
    angle: Real
    focal: Real

    def sees(self, point: Point[Real]) -> tuple[Real, Real]:
        x, y, z = point.x - self.at.x, point.y - self.at.y, point.z - self.at.z
        cosine, sine = math.cos(self.angle), math.sin(self.angle)
        depth = cosine * z - sine * x
        return self.focal * (cosine * x + sine * z) / depth, self.focal * y / depth


@attrs.frozen
class Scene(Generic[Real]):
    cameras: tuple[Camera[Real], ...]
    points: tuple[Point[Real], ...]


Seen = Mapping[tuple[int, int], tuple[float, float]]
"""Where a camera sees a point, by the numbers of both."""


def errors(scene: Scene[Real], seen: Seen, true_width: float) -> list[Real]:
    """The errors of all views, and of the width of the scene, which no picture tells."""
    found = [scene.points[1].x - scene.points[0].x - true_width]
    for (camera, point), (u, v) in seen.items():
        x, y = scene.cameras[camera].sees(scene.points[point])
        found += [x - u, y - v]
    return found


def world(source: Random, cameras: int = 4, points: int = 25) -> Scene[float]:
    return Scene(
        tuple(Camera(Point(k - 1.5, 0.2 * k, -6.0), 0.2 * (1.5 - k), 1.5) for k in range(cameras)),
        tuple(
            Point(source.uniform(-1.0, 1.0), source.uniform(-1.0, 1.0), source.uniform(-1.0, 1.0))
            for _ in range(points)
        ),
    )


def views(scene: Scene[float]) -> dict[tuple[int, int], tuple[float, float]]:
    return {
        (i, j): camera.sees(point)
        for i, camera in enumerate(scene.cameras)
        for j, point in enumerate(scene.points)
    }


def main() -> None:
    source = Random(0)
    true = world(source)
    start = tree.map(lambda number: number + source.gauss(0.0, 0.05), true)
    width = true.points[1].x - true.points[0].x
    problem = tg.residuals(errors, start, views(true), width, in_axes=(None, None, None))
    jacobian = problem.jac_sparse(problem.x0)
    found = least_squares(
        problem.fun, problem.x0, problem.jac_sparse, tr_solver="lsmr", x_scale="jac", ftol=1e-15,
        xtol=1e-15, gtol=1e-15,
    )  # fmt: skip
    share = jacobian.nnz / (jacobian.shape[0] * jacobian.shape[1])
    before, after = (math.hypot(*problem.fun(x).tolist()) for x in (problem.x0, found.x))
    print(f"{jacobian.shape[0]} errors of {jacobian.shape[1]} unknowns, {share:.1%} nonzeros")
    print(
        f"size of the errors: {before:.3f} at the start, {after:.1e} after {found.njev} Jacobians"
    )
    assert after < 1e-8


if __name__ == "__main__":
    main()
