"""The Jacobian of the distances of points from a hand, whose bones turn and take its skin along."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias, final

import attrs
import numpy as np
from numpy.typing import NDArray

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import math
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats

Ints: TypeAlias = NDArray[np.int64]

FINGERS, BONES_OF_FINGER = 5, 4
GLOBAL, OF_FINGER = 6, 4
"""The parameters of the whole hand, a turn and a move, and those of each finger."""


@final
@attrs.frozen(eq=False)
class Hand:
    """A hand at rest, and the points that are seen.

    ``relative`` has the place of each bone in its parent, and ``inverse`` those of all bones
    turned back. Points of the skin are rows of ``corners``, of which each point has three, or one.
    """

    parents: tuple[int, ...]
    relative: Floats
    inverse: Floats
    skin: Floats
    weights: Floats
    corners: Ints
    points: Floats
    mirrored: bool


def turned_about(axis: Arr) -> Arr:
    """The matrix of a turn about an axis by the axis' length; none for tiny ones."""
    angle = math.sqrt(tnp.sum(axis * axis))
    if angle < 1e-4:
        still: Arr = np.eye(3) + 0.0 * axis
        return still
    x, y, z = unit = axis / angle
    across = tnp.reshape(tnp.stack([0.0, -z, y, z, 0.0, -x, -y, x, 0.0]), (3, 3))
    along = (1.0 - math.cos(angle)) * tnp.outer(unit, unit)
    turned: Arr = along + math.cos(angle) * np.eye(3) + math.sin(angle) * across
    return turned


def bent(theta: Arr, bones: int) -> Arr:
    """The turn of each bone as a matrix of four rows: two angles for the first joint, then one."""
    first, second = np.full(bones, len(theta)), np.full(bones, len(theta))
    for finger in range(FINGERS):
        bone, at = 2 + BONES_OF_FINGER * finger, GLOBAL + OF_FINGER * finger
        first[bone : bone + 3] = at, at + 2, at + 3
        second[bone] = at + 1
    angles = tnp.concat([theta, np.zeros(1)])
    x, z = angles[first], angles[second]
    zero, one = np.zeros(bones), np.ones(bones)
    rows = [
        tnp.cos(z), -tnp.sin(z) * tnp.cos(x), tnp.sin(z) * tnp.sin(x), zero,
        tnp.sin(z), tnp.cos(z) * tnp.cos(x), -tnp.cos(z) * tnp.sin(x), zero,
        zero, tnp.sin(x), tnp.cos(x), zero,
        zero, zero, zero, one,
    ]  # fmt: skip
    found: Arr = tnp.reshape(tnp.stack(rows, axis=1), (bones, 4, 4))
    return found


def skin(theta: Arr, hand: Hand) -> Arr:
    """The place of each point of the skin."""
    relative = hand.relative @ bent(theta, len(hand.parents))
    placed: list[Any] = []
    for bone, parent in enumerate(hand.parents):
        placed.append(relative[bone] if parent < 0 else placed[parent] @ relative[bone])
    moves = (tnp.stack(placed) @ hand.inverse)[:, :3]
    flat = tnp.reshape(moves, (len(placed), 12))
    blended = tnp.reshape(hand.weights @ flat, (len(hand.weights), 3, 4))
    found: Arr = tnp.sum(blended * hand.skin[:, None, :], axis=2)
    if hand.mirrored:
        found = found * np.array([-1.0, 1.0, 1.0])
    return found @ turned_about(theta[:3]).T + theta[3:GLOBAL]


def errors(theta: Arr, us: Arr, hand: Hand) -> Arr:
    """The places of points minus those on the skin, of which ``us`` says where between corners."""
    places = skin(theta, hand)[hand.corners]
    if hand.corners.ndim > 1:
        shares = tnp.concat([us, 1.0 - tnp.sum(us, axis=1, keepdims=True)], axis=1)
        places = tnp.sum(places * shares[:, :, None], axis=1)
    found: Arr = tnp.reshape(hand.points - places, (-1,))
    return found


def slopes(theta: Floats, us: Floats, hand: Hand) -> list[Floats]:
    """The derivatives by the place between corners, column by column, and by theta."""
    found = [tnp.jacobian(errors)(theta, us, hand)["value"]["theta"]]
    for column in range(us.shape[1] if hand.corners.ndim > 1 else 0):
        along = np.zeros(us.shape)
        along[:, column] = 1.0
        found.insert(column, tg.jvp(lambda us: errors(theta, us, hand), us, along)[1])
    return found


def _read(given: Mapping[str, Any]) -> tuple[Floats, Floats, Hand]:
    data, model = given["data"], given["data"]["model"]
    seen, us = np.array(data["correspondences"]), given["us"]
    hand = Hand(
        parents=tuple(model["parents"]),
        relative=np.array(model["base_relatives"]),
        inverse=np.array(model["inverse_base_absolutes"]),
        skin=np.array(model["base_positions"]),
        weights=np.array(model["weights"]),
        corners=np.array(model["triangles"])[seen] if us else seen,
        points=np.array(data["points"]),
        mirrored=bool(model["is_mirrored"]),
    )
    return np.array(given["theta"]), np.reshape(np.array(us), (-1, 2)), hand


def _objective(given: Mapping[str, Any]) -> Run:
    theta, us, hand = _read(given)
    return partial(tg.jit(lambda theta, us: errors(theta, us, hand)), theta, us)


def _jacobian(given: Mapping[str, Any]) -> Run:
    theta, us, hand = _read(given)
    run = tg.jit(lambda theta, us: slopes(theta, us, hand))

    def matrix() -> Floats:
        return np.column_stack(run(theta, us))

    return matrix


FUNCTIONS: Mapping[str, Prepare] = {"objective": _objective, "jacobian": _jacobian}
