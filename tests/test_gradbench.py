"""The tool for GradBench answers the suite's messages, with the right numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import pairwise
from math import lgamma, log, pi
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from benchmarks.gradbench.tool import EVALS, responses

RNG = np.random.default_rng(0)


def evaluated(module: str, function: str, given: object) -> Any:
    """The output of one function."""
    message = {"id": 7, "kind": "evaluate", "module": module, "function": function, "input": given}
    (answer,) = answers(message)
    assert answer["success"], answer.get("error")
    assert answer["timings"][-1]["name"] == "evaluate"
    return answer["output"]


def answers(*messages: Mapping[str, Any]) -> Iterator[Any]:
    return map(json.loads, responses(iter([json.dumps(message) for message in messages])))


def differences(f: Any, x: Any) -> Any:
    """The gradient by central differences."""
    steps = np.eye(len(x)) * 1e-6
    return [(f(x + step) - f(x - step)) / 2e-6 for step in steps]


def test_every_message_has_a_response() -> None:
    """With its id; a module that is not known is no success."""
    messages: list[dict[str, Any]] = [
        {"id": 0, "kind": "start", "eval": "det"},
        *({"id": 1, "kind": "define", "module": name} for name in (*EVALS, "knn")),
        {"id": 2, "kind": "analysis", "of": 1, "valid": True},
        {"id": 3, "kind": "evaluate", "module": "hello", "function": "cube", "input": 1.0},
    ]
    found = list(answers(*messages))
    assert [one["id"] for one in found] == [message["id"] for message in messages]
    assert [one.get("success") for one in found] == [None, *[True] * len(EVALS), False, None, False]


def test_a_function_runs_as_often_and_as_long_as_asked() -> None:
    """Each run has a time."""
    given = {"x": [1.0, 2.0], "min_runs": 5, "min_seconds": 0.0}
    message = {
        "id": 1, "kind": "evaluate", "module": "lse", "function": "primal", "input": given,
    }  # fmt: skip
    (answer,) = answers(message)
    assert [one["name"] for one in answer["timings"]] == ["prepare", *["evaluate"] * 5]


def test_hello() -> None:
    """A square and its slope."""
    assert evaluated("hello", "square", 3.0) == 9.0
    assert evaluated("hello", "double", 3.0) == 6.0


def test_det() -> None:
    """As by elimination; the gradient is the determinant times the inverse, transposed."""
    a = RNG.normal(size=(5, 5))
    given = {"A": a.ravel().tolist(), "ell": 5}
    assert_allclose(evaluated("det", "primal", given), np.linalg.det(a), rtol=1e-12)
    right = np.linalg.det(a) * np.linalg.inv(a).T
    assert_allclose(evaluated("det", "gradient", given), right.ravel(), rtol=1e-10)


def test_lse() -> None:
    """The gradient has the shares of the exponentials."""
    x = RNG.normal(size=50)
    shares = np.exp(x) / np.exp(x).sum()
    assert_allclose(evaluated("lse", "primal", {"x": x.tolist()}), log(np.exp(x).sum()))
    assert_allclose(evaluated("lse", "gradient", {"x": x.tolist()}), shares, rtol=1e-13)


def test_llsq() -> None:
    """As by the sum that the suite states."""
    x, n = RNG.normal(size=6), 16
    t = -1.0 + np.arange(n) * 2.0 / (n - 1)
    missed = np.sign(t) - np.polynomial.polynomial.polyval(t, x)
    given = {"x": x.tolist(), "n": n}
    assert_allclose(evaluated("llsq", "primal", given), 0.5 * (missed**2).sum(), rtol=1e-12)
    right = [-(missed * t**power).sum() for power in range(6)]
    assert_allclose(evaluated("llsq", "gradient", given), right, rtol=1e-11)


def test_ode() -> None:
    """Runge and Kutta's method is exact for the first four: x0 t, x0 x1 t ** 2 / 2, ..."""
    x = RNG.uniform(0.5, 1.0, 4)
    given = {"x": x.tolist(), "s": 7}
    right = [x[0] * 2.0, x[0] * x[1] * 2.0, np.prod(x[:3]) * 8.0 / 6.0, np.prod(x) * 16.0 / 24.0]
    assert_allclose(evaluated("ode", "primal", given), right, rtol=1e-13)
    assert_allclose(evaluated("ode", "gradient", given), right[-1] / x, rtol=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("function", ["ff", "fr", "rf", "rr"])
def test_saddle(function: str) -> None:
    """The point that the suite expects, whichever mode is inside which."""
    right = [8.246324826140356e-06] * 4
    assert_allclose(evaluated("saddle", function, {"start": [1.0, 1.0]}), right, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("function", ["ff", "fr", "rf", "rr"])
def test_particle(function: str) -> None:
    """The place that the suite expects, whichever mode is inside which."""
    assert_allclose(evaluated("particle", function, {"w": 0.0}), 0.2071918746486116, rtol=1e-12)


def test_kmeans() -> None:
    """As by each cluster's points: the direction leads to their mean."""
    points = RNG.normal(size=(30, 3))
    centroids = points[-4:] + 0.01
    given = {"points": points.tolist(), "centroids": centroids.tolist()}
    squares = ((points[:, None] - centroids) ** 2).sum(axis=2)
    assert_allclose(evaluated("kmeans", "cost", given), squares.min(axis=1).sum(), rtol=1e-12)
    nearest = squares.argmin(axis=1)
    right = [centre - points[nearest == at].mean(axis=0) for at, centre in enumerate(centroids)]
    assert_allclose(evaluated("kmeans", "dir", given), right, rtol=1e-11, atol=1e-14)


def test_lstm() -> None:
    """As by one number after the other, and by differences."""
    layers, size, count = 2, 3, 5
    main, extra = RNG.uniform(size=(2 * layers, 4 * size)), RNG.uniform(size=(3, size))
    state = RNG.uniform(size=(2 * layers, size))
    sequence = RNG.integers(0, 2, size=(count, size)).astype(float)

    def loss(flat: Any) -> float:
        weights = flat[: main.size].reshape(layers, 2, 4, size)
        return recurrent(weights, flat[main.size :].reshape(3, size), state.copy(), sequence)

    flat = np.concatenate([main.ravel(), extra.ravel()])
    given = {
        "main_params": main.tolist(), "extra_params": extra.tolist(), "state": state.tolist(),
        "sequence": sequence.tolist(),
    }  # fmt: skip
    assert_allclose(evaluated("lstm", "objective", given), loss(flat), rtol=1e-12)
    found = evaluated("lstm", "jacobian", given)
    assert_allclose(found, differences(loss, flat), rtol=1e-5, atol=1e-8)


def recurrent(weights: Any, extra: Any, state: Any, sequence: Any) -> float:
    total = 0.0
    for now, then in pairwise(sequence):
        for i, x in enumerate(now * extra[0]):
            given = x
            for layer, (w, b) in enumerate(weights[..., i]):
                hidden, memory = state[2 * layer : 2 * layer + 2, i]
                gates = np.array([given, hidden, given]) * w[:3] + b[:3]
                keep, take, show = 1.0 / (1.0 + np.exp(-gates))
                memory = memory * keep + take * np.tanh(hidden * w[3] + b[3])
                given = show * np.tanh(memory)
                state[2 * layer : 2 * layer + 2, i] = given, memory
        told = state[-2] * extra[1] + extra[2]
        total += then @ (told - np.log(np.exp(told).sum() + 2.0))
    return float(-total / ((len(sequence) - 1) * sequence.shape[1]))


@pytest.mark.parametrize("corners", [1, 3])
def test_ht(corners: int) -> None:
    """As by one bone after the other, and by differences; with one corner nothing is between."""
    bones, vertices, count = 22, 12, 7
    model: dict[str, Any] = {
        "parents": [-1, *(0 if bone % 4 == 1 else bone - 1 for bone in range(1, bones))],
        "base_relatives": RNG.normal(size=(bones, 4, 4)) * 0.5,
        "inverse_base_absolutes": RNG.normal(size=(bones, 4, 4)) * 0.5,
        "base_positions": RNG.normal(size=(vertices, 4)),
        "weights": RNG.uniform(size=(vertices, bones)),
        "triangles": RNG.integers(0, vertices, size=(9, 3)),
        "is_mirrored": True,
    }
    seen, points = RNG.integers(0, 9, size=count), RNG.normal(size=(count, 3))
    theta, us = RNG.normal(size=26), RNG.uniform(size=(count, 2)) if corners > 1 else np.empty(0)

    def misses(flat: Any) -> Any:
        places = posed(model, flat[:26])
        if corners == 1:
            return (points - places[seen]).ravel()
        one, two = flat[26:].reshape(-1, 2).T[:, :, None]
        first, second, third = places[model["triangles"][seen]].transpose(1, 0, 2)
        return (points - one * first - two * second - (1.0 - one - two) * third).ravel()

    flat = np.concatenate([theta, us.ravel()])
    data = {"model": model, "correspondences": seen, "points": points}
    given = {"theta": theta, "us": us, "data": data}
    given = json.loads(json.dumps(given, default=np.ndarray.tolist))
    right = misses(flat)
    assert_allclose(evaluated("ht", "objective", given), right, rtol=1e-11, atol=1e-12)
    slopes = np.array(differences(misses, flat)).T
    own = slopes[:, 26:].reshape(len(right), -1, 2).sum(axis=1)[:, : corners - 1]
    found = evaluated("ht", "jacobian", given)
    assert_allclose(found, np.column_stack([own, slopes[:, :26]]), rtol=1e-5, atol=1e-5)


def posed(model: Mapping[str, Any], theta: Any) -> Any:
    placed: list[Any] = []
    for bone, parent in enumerate(model["parents"]):
        finger, joint = divmod(bone - 2, 4)
        turn = np.eye(4)
        if bone >= 2 and joint < 3:
            at = 6 + 4 * finger
            x, z = (theta[at], theta[at + 1]) if joint == 0 else (theta[at + 1 + joint], 0.0)
            about_z = [[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]]
            about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
            turn[:3, :3] = np.array(about_z) @ about_x
        own = model["base_relatives"][bone] @ turn
        placed.append(own if parent < 0 else placed[parent] @ own)
    moved = np.einsum(
        "vb,bij,bjk,vk->vi", model["weights"], placed, model["inverse_base_absolutes"],
        model["base_positions"],
    )[:, :3] * [-1.0, 1.0, 1.0]  # fmt: skip
    angle = np.linalg.norm(theta[:3])
    unit = theta[:3] / angle
    across = moved * np.cos(angle) + np.cross(unit, moved) * np.sin(angle)
    return across + np.outer(moved @ unit, unit) * (1.0 - np.cos(angle)) + theta[3:6]


def test_gmm() -> None:
    """As by the densities themselves."""
    d, k, n, m, gamma = 3, 4, 20, 1, 1.3
    p = {
        "alpha": RNG.normal(size=k), "mu": RNG.uniform(size=(k, d)),
        "q": RNG.normal(size=(k, d)) * 0.3, "l": RNG.normal(size=(k, d * (d - 1) // 2)) * 0.3,
    }  # fmt: skip
    x = RNG.normal(size=(n, d))
    parts = {name: part.tolist() for name, part in p.items()}
    given = parts | {"d": d, "k": k, "n": n, "m": m, "gamma": gamma, "x": x.tolist()}
    assert_allclose(evaluated("gmm", "objective", given), log_posterior(p, x, m, gamma), rtol=1e-12)
    slopes = evaluated("gmm", "jacobian", given)
    for name, part in p.items():

        def along(flat: Any, name: str = name, shape: Any = part.shape) -> float:
            return log_posterior(p | {name: flat.reshape(shape)}, x, m, gamma)

        right = differences(along, part.ravel())
        assert_allclose(np.ravel(slopes[name]), right, rtol=1e-5, atol=1e-6)


def log_posterior(p: Mapping[str, Any], x: Any, m: int, gamma: float) -> float:
    (n, d), k = x.shape, len(p["alpha"])
    weights = np.exp(p["alpha"]) / np.exp(p["alpha"]).sum()
    density, prior = np.zeros(n), 0.0
    freedom = d + m + 1
    log_gamma = 0.25 * d * (d - 1) * log(pi) + sum(lgamma(0.5 * (freedom - j)) for j in range(d))
    for at in range(k):
        factor = np.diag(np.exp(p["q"][at]))
        factor.T[np.triu_indices(d, 1)] = p["l"][at]
        precision = factor.T @ factor
        misses = ((x - p["mu"][at]) @ precision * (x - p["mu"][at])).sum(axis=1)
        scale = np.sqrt(np.linalg.det(precision) / (2.0 * pi) ** d)
        density += weights[at] * scale * np.exp(-0.5 * misses)
        prior += 0.5 * m * log(np.linalg.det(precision)) - 0.5 * gamma**2 * np.trace(precision)
        prior += freedom * d * (log(gamma) - 0.5 * log(2.0)) - log_gamma
    return float(np.log(density).sum() + prior)


def test_ba() -> None:
    """The Jacobian of one observation by differences, in compressed rows."""
    camera, point, weight, feature = (
        RNG.uniform(size=11),
        np.array([0.5, 0.2, 4.0]),
        0.9,
        [0.1, 0.2],
    )
    given = {
        "n": 2, "m": 3, "p": 5, "cam": camera.tolist(), "x": point.tolist(), "w": weight,
        "feat": feature,
    }  # fmt: skip
    found = evaluated("ba", "objective", given)
    inputs = np.array([*camera, *point, weight])
    assert_allclose(found["reproj_error"]["elements"], reprojected(inputs, feature), rtol=1e-12)
    assert found["w_err"] == {"element": 1.0 - weight**2, "repeated": 5}
    matrix = evaluated("ba", "jacobian", given)
    slopes = np.array(differences(lambda x: reprojected(x, feature), inputs)).T
    assert_allclose(matrix["vals"], [*slopes.ravel(), -2.0 * weight], rtol=1e-6, atol=1e-6)
    assert matrix["cols"] == [*range(11), 22, 23, 24, 31] * 2 + [35]
    assert matrix["rows"][:3] == [0, 15, 30]
    assert matrix["rows"][-1] == 155


def reprojected(inputs: Any, feature: Any) -> Any:
    axis, centre, point = inputs[:3], inputs[3:6], inputs[11:14]
    angle = np.linalg.norm(axis)
    unit, x = axis / angle, point - centre
    turned = x * np.cos(angle) + np.cross(unit, x) * np.sin(angle)
    turned += unit * (unit @ x) * (1.0 - np.cos(angle))
    place = turned[:2] / turned[2]
    square = place @ place
    radial = 1.0 + inputs[9] * square + inputs[10] * square**2
    return inputs[14] * (inputs[6] * radial * place + inputs[7:9] - feature)
