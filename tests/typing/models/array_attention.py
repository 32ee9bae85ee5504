"""Attention by einsum, with heads, a mask, positions, and parameters in nested dicts."""

from collections.abc import Mapping
from math import sqrt
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import tapegrad as tg
from tapegrad import Scalar
from tapegrad import numpy as tnp
from tapegrad.numpy import Arr, Floats

Block = Mapping[str, Arr]


def split_heads(x: Arr, heads: int) -> Arr:
    n, width = x.shape
    return tnp.permute_dims(tnp.reshape(x, (n, heads, width // heads)), (1, 0, 2))


def normed(x: Arr, gain: Arr) -> Arr:
    centred = x - tnp.mean(x, axis=-1, keepdims=True)
    return gain * centred / tnp.sqrt(tnp.var(x, axis=-1, keepdims=True) + 1e-6)


def positions(n: int, width: int) -> Floats:
    angle: Floats = np.arange(n)[:, None] / 10.0 ** np.arange(width // 2)
    found: Floats = np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
    return found


def attend(p: Mapping[str, Arr], x: Arr, heads: int = 2) -> Arr:
    q, k, v = (split_heads(x @ p[name], heads) for name in ("q", "k", "v"))
    scores = tnp.einsum("hid,hjd->hij", q, k) / sqrt(q.shape[-1])
    before = np.tri(len(x), dtype=np.bool_)
    weights = tnp.softmax(tnp.where(before, scores, -1e30), axis=-1)
    mixed = tnp.einsum("hij,hjd->ihd", weights, v)
    return tnp.reshape(mixed, (len(x), -1)) @ p["o"]


def forward(p: Mapping[str, Mapping[str, Arr]], tokens: NDArray[np.intp]) -> Arr:
    table = p["embed"]["table"]
    h = tnp.take(table, tokens, axis=0) + positions(len(tokens), table.shape[1])
    for name in sorted(set(p) - {"embed"}):
        block = p[name]
        h = h + attend(block, normed(h, block["gain"]))
        h = h + tnp.tanh(h @ block["up"]) @ block["down"]
    return h @ tnp.matrix_transpose(table)


def loss(p: Mapping[str, Mapping[str, Arr]], tokens: NDArray[np.intp]) -> Scalar:
    scores = forward(p, tokens[:-1])
    chosen = tnp.take_along_axis(tnp.log_softmax(scores), tokens[1:, None], axis=1)
    return -tnp.mean(chosen)


def drawn(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.normal(size=shape) / sqrt(shape[0])


rng = np.random.default_rng(1)
block = {name: drawn(rng, 4, 4) for name in ("q", "k", "v", "o", "up", "down")}
p = {"embed": {"table": drawn(rng, 5, 4)}, "block": {**block, "gain": np.ones(4)}}
tokens = np.array([0, 1, 2, 3, 4, 0, 1])
slope = assert_type(tg.grad(loss)(p, tokens), Mapping[str, Mapping[str, Floats]])
assert slope["block"]["q"].shape == (4, 4)
assert tg.check_grad(loss, p, tokens).ok
assert_type(forward(p, tokens), Floats)
