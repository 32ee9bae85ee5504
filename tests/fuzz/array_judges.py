"""Judges of programs of arrays: one gradient on every road, and differences."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np

import tapegrad as tg
from tapegrad.errors import GuardError
from tests.fuzz.array_programs import ArrayCase

__all__ = ["ARRAY_JUDGES"]


def frozen(found: Any) -> tuple[bytes, ...]:
    """The bits of a gradient, in which every nan is the same."""
    parts = (np.asarray(found[key]) for key in sorted(found))
    return tuple(np.where(part != part, np.nan, part).tobytes() for part in parts)


def roads(case: ArrayCase) -> Iterator[str]:
    """Roads whose bits are not those of the eager gradient, at the point of the tape and others."""
    gradient = tg.grad(case.function)
    eager = [frozen(gradient(*point)) for point in case.points]
    recorded, tape = tg.record(gradient)(*case.points[0]), tg.record(case.function)(*case.points[0])
    tapes = {
        "recorded gradient": recorded,
        "simplified": recorded.simplify().tape,
        "pickled": pickle.loads(pickle.dumps(recorded)),  # noqa: S301  # our own
    }
    if frozen(tape.gradient()) != eager[0]:
        yield "gradient of the tape"
    for name, each in tapes.items():
        if frozen(each.value) != eager[0]:
            yield name
        for point, right in zip(case.points, eager, strict=True):
            try:
                found, of = each.replay(*point).value, tape.replay(*point).gradient()
            except GuardError:
                continue
            if frozen(found) != right or frozen(of) != right:
                yield f"{name}, replayed"


def compiled(case: ArrayCase) -> Iterator[str]:
    """Points at which compiled code has other bits than the eager gradient."""
    gradient = tg.grad(case.function)
    run = tg.jit(gradient, eager_first=False)
    for _ in range(2):
        for at, point in enumerate(case.points):
            if frozen(run(*point)) != frozen(gradient(*point)):
                yield f"jit at point {at}"


def differences(case: ArrayCase) -> Iterator[str]:
    """Forward, hvp and gradients of gradients against each other, slopes against differences."""
    f, (p, x, y) = case.function, case.points[0]
    rng = np.random.default_rng(case.seed)
    v: dict[str, Any] = {key: rng.normal(size=np.shape(part)) for key, part in p.items()}
    v["s"] = float(v["s"])
    slope = tg.grad(f)(p, x, y)
    terms = [np.sum(slope[key] * v[key]) for key in p]
    size = sum(np.sum(abs(slope[key] * v[key])) for key in p) + 1.0
    if not np.isfinite(terms).all():
        return
    if abs(tg.jvp(f, p, v, x, y)[1] - sum(terms)) > 1e-10 * size:
        yield "jvp"
    along = tg.hvp(f, p, v, x, y)

    def directional(p: Any) -> Any:
        return sum(np.sum(part * v[key]) for key, part in tg.grad(f)(p, x, y).items())

    over = tg.grad(directional)(p)
    scale = 1.0 + max(float(np.max(abs(np.asarray(part)))) for part in over.values())
    if any(np.max(abs(np.asarray(along[key] - over[key]))) > 1e-8 * scale for key in p):
        yield "hvp"
    ratios = [_ratio(f, p, v, x, y, step) for step in (1e-5, 1e-6, 1e-7)]
    # Where no two of them agree, the steps are longer than what the function does between.
    tells = any(abs(one - other) <= 1e-3 * size for one, other in pairwise(ratios))
    if tells and all(abs(ratio - sum(terms)) > 1e-4 * size for ratio in ratios):
        yield f"differences {ratios}, not {sum(terms)}"


def _ratio(f: Any, p: Any, v: Any, x: Any, y: float, step: float) -> float:
    ends = ({key: p[key] + sign * step * v[key] for key in p} for sign in (1.0, -1.0))
    plus, minus = (float(f(end, x, y)) for end in ends)
    return (plus - minus) / (2.0 * step)


ARRAY_JUDGES: Final[Mapping[str, tuple[int, Callable[[ArrayCase], Iterator[str]]]]] = {
    "array roads": (1, roads),
    "arrays compiled": (1, compiled),
    "arrays by differences": (1, differences),
}
"""For each judge of how many programs it sees one, and what it finds."""
