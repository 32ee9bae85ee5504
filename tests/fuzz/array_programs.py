"""Random programs of arrays and numbers as Python source, each with points to call it at.

A program is a function ``f(p, x, y)`` of a dict of a matrix, a vector and a number, a matrix of
data and a float. Each line is kept if it runs on numpy's arrays at the first point, and what it
gives is moderate: so shapes fit without being written down.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from random import Random
from typing import Any, Final, TypeAlias

import attrs
import numpy as np

import tapegrad as tg
from tapegrad import numpy as tnp

__all__ = ["ArrayCase", "make"]

Point: TypeAlias = tuple[dict[str, Any], Any, float]

EXPRESSIONS: Final = (
    "np.sin({a})", "np.tanh({a})", "np.exp(-{a} * {a})", "np.sqrt(abs({a}) + 1.0)", "-{a}",
    "tnp.sigmoid({a})", "tnp.softplus({a})", "tnp.relu({a})", "{a} * {a}", "{a} ** 3", "{a} ** 2",
    "1.0 / ({a} * {a} + 1.0)", "np.log1p({a} * {a})", "tnp.erf({a})", "tnp.norm_cdf({a})",
    "{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} / ({b} * {b} + 1.5)", "tnp.maximum({a}, {b})",
    "tnp.minimum({a}, {b})", "tnp.logaddexp({a}, {b})", "tnp.where({a} > {b}, {a}, 0.5 * {b})",
    "tnp.where({a} > 0.0, tnp.sqrt({a}), {a})", "tnp.where(({a} > 0.1) & ({b} < 0.5), {b}, {a})",
    "tnp.hypot({a}, {b})", "tnp.fma({a}, {b}, {a})",
    "{a}.T", "{a}[::-1]", "{a}[1:]", "{a}[:, 1]", "{a}[-1]", "{a}[..., ::2]", "{a}.reshape(-1)",
    "{a}[np.array([0, 0, -1])]", "{a}[None]", "{a}[:, None] * {b}", "tnp.concat([{a}, {b}])",
    "tnp.stack([{a}, {a}])", "tnp.swapaxes({a}, 0, -1)", "tnp.roll({a}, 1)", "tnp.tile({a}, 2)",
    "tnp.flip({a})", "tnp.pad({a}, 1)", "tnp.at_set({a}, 0, 0.5)", "tnp.at_add({a}, 0, {b})",
    "{a}.sum()", "{a}.sum(0)", "{a}.mean(-1)", "tnp.sum({a}, axis=-1, keepdims=True)",
    "{a} - {a}.mean(axis=0, keepdims=True)", "{a} / (1.0 + ({a} * {a}).sum())", "{a}.cumsum(0)",
    "{a}.max(axis=-1, keepdims=True) * {a}", "{a}.min()", "tnp.logsumexp({a}, axis=-1)",
    "tnp.softmax({a}, axis=-1)", "tnp.var({a}, axis=0)", "tnp.prod({a}, axis=0)", "tnp.sort({a})",
    "np.tanh({a} @ {b}) * 0.5", "np.tanh({a} @ {b}.T)", "tnp.vecdot({a}, {b})",
    "tnp.outer({a}, {b})",
    "tnp.einsum('ij,kj->ik', {a}, {b})", "tnp.einsum('ij,ij->i', {a}, {b})", "tnp.kron({a}, {b})",
    "tnp.tensordot({a}, {b}, 1)", "tnp.convolve({a}, {b})", "tnp.correlate({a}, {b}, 'same')",
    "tnp.sliding_window_view({a}, 2, 0)", "tnp.linalg.solve({a} @ {a}.T + EYE(len({a})), {a})",
    "tnp.linalg.slogdet({a} @ {a}.T + EYE(len({a})))[1]",
    "tnp.linalg.cholesky({a} @ {a}.T + EYE(len({a})))",
    "tnp.linalg.inv({a} @ {a}.T + EYE(len({a})))", "tnp.linalg.norm({a})", "{a} * y",
    "tnp.linalg.solve_triangular({a} @ {a}.T + EYE(len({a})), {a}, lower=True)",
    "tnp.linalg.lstsq({a} @ {a}.T + EYE(len({a})), {b}).x",
    "{a} + p['s']",
    "tg.checkpoint(lambda z, t: np.tanh(z * t) * z)({a}, y)",
    "tg.checkpoint(lambda t, z: t * t + tnp.mean(z))(p['s'], {a}) * {b}",
    "tg.scan(lambda c, r: (np.tanh(c * y + r), None), {a}[0], {a})[0]",
    "tnp.stack(tg.scan(lambda c, r: (c + tnp.sum(r * {b}[0]), tnp.sum(c * c)), {a}[0], {a})[1])",
    "tg.scan(lambda c, r: (c * 0.5 + tnp.mean(r) * {b}, r), {b}, {a})[1][1]",
    "sum({a}[i] * {b}[-1] for i in range(2))", "tg.grad(lambda z: tnp.sum(np.sin(z * {b})))({a})",
)  # fmt: skip
"""What a line computes of numbers or arrays that are there."""

BRANCHES: Final = ("tnp.sum({a}) > 0.3", "({a} > -1.0).all()", "({a} > 1.0).any()")


@attrs.frozen
class ArrayCase:
    """A program and the points that it is called at; a branch may go another way at each."""

    seed: int
    source: str
    points: tuple[Point, ...]

    @property
    def function(self) -> Callable[..., Any]:
        """The program."""
        name = f"<array program {self.seed}>"
        linecache.cache[name] = (len(self.source), None, self.source.splitlines(True), name)
        namespace = dict(NAMES)
        exec(compile(self.source, name, "exec"), namespace)  # noqa: S102  # our own text
        return namespace["f"]  # type: ignore[no-any-return]  # a function of the text


NAMES: Final[dict[str, Any]] = {"tg": tg, "tnp": tnp, "np": np, "EYE": lambda n: 2.0 * np.eye(n)}


def make(seed: int) -> ArrayCase:
    """The program of a seed."""
    draw, rng = Random(seed), np.random.default_rng(seed)
    points = tuple(
        (
            {"w": rng.normal(size=(3, 4)), "b": rng.normal(size=4), "s": float(rng.normal())},
            rng.normal(size=(5, 3)),
            float(rng.normal()),
        )
        for _ in range(3)
    )
    p, x, y = points[0]
    known: dict[str, Any] = {"w": p["w"], "b": p["b"], "x": x, "s": p["s"]}
    lines = ["def f(p, x, y):", "    w, b, s = p['w'], p['b'], p['s']"]
    with np.errstate(all="ignore"):
        for at in range(draw.randrange(3, 12)):
            lines += _line(draw, f"v{at}", known, {**NAMES, "p": p, "y": y})
    parts = [f"tnp.sum({name} * 0.3)" for name in list(known)[-3:]]
    lines.append(f"    return {' + '.join(parts)} + tnp.mean(w @ b) * s")
    return ArrayCase(seed, "\n".join(lines) + "\n", points)


def _line(draw: Random, name: str, known: dict[str, Any], others: dict[str, Any]) -> list[str]:
    """A line that defines a name, or two under a branch, and the name among those known."""
    for _ in range(50):
        names = list(known)
        given = {key: draw.choice(names[-4:] if draw.random() < 0.6 else names) for key in "ab"}
        expression = draw.choice(EXPRESSIONS).format(**given)
        try:
            found = eval(expression, {**others, **known})  # noqa: S307  # our own text
        except Exception:  # noqa: BLE001, S112  # what does not fit is drawn again
            continue
        if not isinstance(found, float | np.ndarray):
            continue
        if np.size(found) in range(1, 80) and np.ndim(found) < 4 and np.max(np.abs(found)) < 1e3:
            known[name] = found if np.ndim(found) else float(found)
            if draw.random() < 0.9:
                return [f"    {name} = {expression}"]
            condition = draw.choice(BRANCHES).format(a=draw.choice([*"wbx"]))
            branch = [f"    if {condition}:", f"        {name} = {name} * 1.5"]
            return [f"    {name} = {expression}", *branch]
    return []
