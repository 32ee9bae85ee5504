"""The sparse Jacobian of the reprojection errors of points seen by cameras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, final

import attrs
import numpy as np
from numpy.typing import NDArray

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Real, math

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

CAMERA, POINT = 11, 3
"""Rotation vector, centre, focal length, principal point, two of radial distortion; a point."""

SHOWN = 2 * (CAMERA + POINT + 1)
"""The entries of one observation: the suite compares these and the last one."""


def rotated(axis: Sequence[Real], x: Sequence[Real]) -> Sequence[Real]:
    """A point turned about an axis by the axis' length, in the formula of Rodrigues."""
    square = axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]
    if square == 0.0:
        return [a + b for a, b in zip(x, cross(axis, x), strict=True)]
    angle = math.sqrt(square)
    sine, cosine = math.sin(angle), math.cos(angle)
    unit = [part / angle for part in axis]
    along = (unit[0] * x[0] + unit[1] * x[1] + unit[2] * x[2]) * (1.0 - cosine)
    across = cross(unit, x)
    return [x[i] * cosine + across[i] * sine + unit[i] * along for i in range(3)]


def cross(a: Sequence[Real], b: Sequence[Real]) -> Sequence[Real]:
    """The vector product."""
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]


def errors(inputs: Sequence[Real], feature: Sequence[float]) -> tuple[Real, Real]:
    """The place of a point in the image minus the observed one, times the weight.

    ``inputs`` are the camera, the point and the weight.
    """
    camera, point, weight = inputs[:CAMERA], inputs[CAMERA:-1], inputs[-1]
    x, y, z = rotated(camera[:3], [point[i] - camera[3 + i] for i in range(3)])
    u, v = x / z, y / z
    square = u * u + v * v
    radial = camera[6] * (1.0 + square * (camera[9] + square * camera[10]))
    return (
        weight * (radial * u + camera[7] - feature[0]),
        weight * (radial * v + camera[8] - feature[1]),
    )


def entries(inputs: Sequence[Real], feature: Sequence[float]) -> tuple[float, ...]:
    """The Jacobian of one observation, row by row."""
    matrix = tg.jacobian(errors)(inputs, feature)
    return tuple(slope for row in matrix.values() for slope in row.values())


def weight_error(weight: Real) -> Real:
    """1 - w ** 2, which keeps weights near 1."""
    return 1.0 - weight * weight


all_errors, all_entries = tg.vmap(errors), tg.vmap(entries)
weight_errors, weight_slopes = tg.vmap(weight_error), tg.vmap(tg.grad(weight_error))


@final
@attrs.frozen(eq=False)
class Scene:
    """Cameras, points, and observations: which camera saw which point where, and its weight."""

    cameras: Floats
    points: Floats
    weights: Floats
    features: Floats
    seen_by: Ints
    seen: Ints

    def rows(self) -> Floats:
        """The camera, the point and the weight of each observation."""
        parts = (self.cameras[self.seen_by], self.points[self.seen], self.weights[:, None])
        return np.concatenate(parts, axis=1)

    def columns(self) -> Ints:
        """The columns of the entries of the Jacobian, in compressed rows."""
        of_camera = CAMERA * self.seen_by[:, None] + np.arange(CAMERA)
        before = CAMERA * len(self.cameras)
        of_point = before + POINT * self.seen[:, None] + np.arange(POINT)
        before += POINT * len(self.points)
        of_weight = before + np.arange(len(self.weights))
        one = np.concatenate([of_camera, of_point, of_weight[:, None]], axis=1)
        return np.concatenate([np.repeat(one, 2, axis=0).ravel(), of_weight])


@final
@attrs.frozen(eq=False)
class Compressed:
    """A sparse matrix in compressed rows."""

    rows: Ints
    cols: Ints
    vals: Floats

    def tolist(self) -> dict[str, list[float]]:
        """The first entries and the last one, as the suite compares them."""
        parts = {"rows": self.rows, "cols": self.cols, "vals": self.vals}
        return {name: [*part[:SHOWN].tolist(), part[-1].item()] for name, part in parts.items()}


def objective(scene: Scene) -> dict[str, Any]:
    """The errors of all observations and of all weights."""
    found = all_errors(scene.rows(), scene.features).array()
    of_weights = np.asarray(weight_errors(scene.weights))
    count = len(of_weights)
    return {
        "reproj_error": {"elements": np.asarray(found)[0], "repeated": count},
        "w_err": {"element": of_weights[0], "repeated": count},
    }


def jacobian(scene: Scene) -> Compressed:
    """The Jacobian of all errors in all numbers of the scene."""
    found = np.asarray(all_entries(scene.rows(), scene.features).array())
    slopes = np.asarray(weight_slopes(scene.weights))
    count = len(slopes)
    starts = np.concatenate([np.arange(2 * count + 1) * (SHOWN // 2), np.arange(1, count + 1)])
    starts[2 * count + 1 :] += 2 * count * (SHOWN // 2)
    return Compressed(starts, scene.columns(), np.concatenate([found.ravel(), slopes]))


def _scene(given: Mapping[str, Any]) -> Scene:
    n, m, p = (int(given[name]) for name in "nmp")
    return Scene(
        np.tile(np.array(given["cam"]), (n, 1)),
        np.tile(np.array(given["x"]), (m, 1)),
        np.full(p, float(given["w"])),
        np.tile(np.array(given["feat"]), (p, 1)),
        np.arange(p) % n,
        np.arange(p) % m,
    )


def _objective(given: Mapping[str, Any]) -> Run:
    return partial(objective, _scene(given))


def _jacobian(given: Mapping[str, Any]) -> Run:
    return partial(jacobian, _scene(given))


FUNCTIONS: Mapping[str, Prepare] = {"objective": _objective, "jacobian": _jacobian}
