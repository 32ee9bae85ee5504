"""The loss of a recurrent network whose matrices of weights are diagonal."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

import tapegrad as tg
from benchmarks.gradbench.tool import Prepare, Run
from tapegrad import Scalar, math
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats


def layer(weights: Arr, bias: Arr, hidden: Arr, memory: Arr, x: Arr) -> tuple[Arr, Arr]:
    """The hidden numbers and the memory after one input; rows are forget, in, out, change."""
    kept = tnp.sigmoid(x * weights[0] + bias[0])
    taken = tnp.sigmoid(hidden * weights[1] + bias[1])
    shown = tnp.sigmoid(x * weights[2] + bias[2])
    change = tnp.tanh(hidden * weights[3] + bias[3])
    memory = memory * kept + taken * change
    return shown * tnp.tanh(memory), memory


def loss(p: Mapping[str, Arr], state: Floats, sequence: Floats) -> Scalar:
    """How badly each element of the sequence is told from those before it, on average.

    ``state`` has the hidden numbers of each layer and its memory in turn.
    """
    (count, size), layers = sequence.shape, len(state) // 2
    main = tnp.reshape(p["main"], (layers, 2, 4, size))
    extra = p["extra"]

    def step(
        carry: tuple[Scalar, list[tuple[Arr, Arr]]], pair: Floats
    ) -> tuple[tuple[Scalar, list[tuple[Arr, Arr]]], None]:
        total, before = carry
        x: Arr = pair[0] * extra[0]
        after = []
        for (weights, bias), hidden in zip(main, before, strict=True):
            after.append(layer(weights, bias, *hidden, x))
            x = after[-1][0]
        told = x * extra[1] + extra[2]
        whole = math.log(tnp.sum(tnp.exp(told)) + 2.0)
        return (total + tnp.sum(pair[1] * (told - whole)), after), None

    start: list[tuple[Arr, Arr]] = [(state[i], state[i + 1]) for i in range(0, 2 * layers, 2)]
    (total, _), _ = tg.scan(step, (0.0, start), np.stack([sequence[:-1], sequence[1:]], axis=1))
    found: Scalar = -total / ((count - 1) * size)
    return found


objective, jacobian = tg.jit(loss), tg.jit(tg.grad(loss))


def flat_jacobian(p: Mapping[str, Floats], state: Floats, sequence: Floats) -> Floats:
    """The gradient in the main parameters, and then in the others."""
    found = jacobian(p, state, sequence)
    return np.concatenate([found["main"].ravel(), found["extra"].ravel()])


def _read(given: Mapping[str, Any]) -> tuple[dict[str, Floats], Floats, Floats]:
    p = {name: np.array(given[f"{name}_params"], float) for name in ("main", "extra")}
    return p, np.array(given["state"], float), np.array(given["sequence"], float)


def _objective(given: Mapping[str, Any]) -> Run:
    return partial(objective, *_read(given))


def _jacobian(given: Mapping[str, Any]) -> Run:
    return partial(flat_jacobian, *_read(given))


FUNCTIONS: Mapping[str, Prepare] = {"objective": _objective, "jacobian": _jacobian}
