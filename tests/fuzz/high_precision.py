"""The programs on mpmath's numbers, with derivatives by differences of tiny steps.

Steps of 1e-20 at 150 digits give a derivative to some forty digits, also inside each other, as long
as no comparison is within a step of a tie. Nothing of the library is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Final

import mpmath as mp

from tests.fuzz.programs import Case, Point, filled, floats_of

__all__ = ["can_judge", "gradient"]

DIGITS: Final = 150
STEP: Final = mp.mpf(10) ** -20
CANNOT: Final = ("stop_gradient",)
"""What differences cannot judge: a number that is constant for derivatives alone."""


def _nudged(x: Any, index: int, step: Any) -> Any:
    """Numbers, or a container of them, with a step added to one."""
    if not isinstance(x, list):
        return x + step
    return [part + step * (place == index) for place, part in enumerate(x)]


def _difference(f: Callable[..., Any], x: Any, args: tuple[Any, ...], index: int = 0) -> Any:
    up, down = f(_nudged(x, index, STEP), *args), f(_nudged(x, index, -STEP), *args)
    return (up - down) / (2 * STEP)


def _grad(f: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, *args: Any) -> Any:
        if isinstance(x, list):
            return [_difference(f, x, args, index) for index in range(len(x))]
        return _difference(f, x, args)

    return run


def _jvp(f: Callable[..., Any], x: Any, x_dot: Any) -> Any:
    return f(x), _difference(f, x, ()) * x_dot


def _hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    along = [STEP * part for part in v]
    up = _grad(f)([a + b for a, b in zip(x, along, strict=True)])
    down = _grad(f)([a - b for a, b in zip(x, along, strict=True)])
    return [(a - b) / (2 * STEP) for a, b in zip(up, down, strict=True)]


def _vjp(f: Callable[..., Any], x: Any) -> Any:
    up, down = f(x + STEP), f(x - STEP)
    slopes = [(a - b) / (2 * STEP) for a, b in zip(up, down, strict=True)]
    return f(x), lambda bars: sum(bar * slope for bar, slope in zip(bars, slopes, strict=True))


def _root(f: Callable[..., Any], x0: Any, a: Any) -> Any:
    x = mp.mpf(x0)
    for _ in range(400):
        step = f(x, a) / (1 + 3 * x * x)  # Newton's method on `equation`
        x -= step
        if abs(step) < mp.mpf(10) ** -145:
            break
    return x


def _scan(
    step: Callable[..., Any], carry: Any, xs: Sequence[Any] | None, length: int = 0
) -> tuple[Any, list[Any]]:
    ys = []
    for x in [None] * length if xs is None else xs:
        carry, y = step(carry, x)
        ys.append(y)
    return carry, ys


def _logsumexp(xs: Sequence[Any]) -> Any:
    return mp.log(mp.fsum(mp.exp(x) for x in xs))


SAME: Final = (
    "asinh", "atan", "atan2", "cos", "erf", "exp", "expm1", "floor", "fsum", "log", "sin",
    "sqrt", "tanh",
)  # fmt: skip

MATH: Final = SimpleNamespace(
    **{name: getattr(mp, name) for name in SAME},
    cbrt=lambda x: mp.cbrt(x) if x >= 0 else -mp.cbrt(-x),
    sigmoid=lambda x: 1 / (1 + mp.exp(-x)),
    log1p=lambda x: mp.log(1 + x),
    softplus=lambda x: mp.log(1 + mp.exp(x)),
    hypot=lambda *xs: mp.sqrt(mp.fsum(x * x for x in xs)),
    prod=mp.fprod,
    dot=mp.fdot,
    logsumexp=_logsumexp,
    pow=mp.power,
    norm_cdf=mp.ncdf,
    lgamma=mp.loggamma,
    fma=lambda x, y, z: x * y + z,
    maximum=max,
    minimum=min,
    relu=lambda x: max(x, mp.mpf(0)),
    sum=mp.fsum,
    ceil=mp.ceil,
    trunc=lambda x: mp.floor(x) if x >= 0 else mp.ceil(x),
    copysign=lambda x, y: abs(x) if y >= 0 else -abs(x),
)


def _block(a: Any, b: Any) -> Any:
    for _ in range(3):
        a = a * mp.mpf("0.5") + b
    return a


NAMESPACE: Final[Mapping[str, object]] = {
    "math": MATH,
    "std": SimpleNamespace(floor=lambda x: int(mp.floor(x))),
    "tg": SimpleNamespace(
        where=lambda c, a, b: a if c else b,
        grad=_grad,
        jvp=_jvp,
        hvp=_hvp,
        vjp=_vjp,
        linearize=lambda f, x: (f(x), lambda dot: _difference(f, x, ()) * dot),
        value_and_grad=lambda f: lambda x: SimpleNamespace(value=f(x), grad=_grad(f)(x)),
        root=_root,
        scan=_scan,
    ),
    "cube": lambda x: x**3,
    "block": _block,
    "smooth_block": lambda a, b: mp.sin(a * b) + a,
    "equation": lambda x, a: x + x**3 - a,
}


def can_judge(case: Case) -> bool:
    """Whether differences can tell the derivative of a program."""
    return not any(word in case.source for word in CANNOT)


def gradient(case: Case, point: Point, stretch: float = 0.0) -> list[float]:
    """The value of a program and its slopes, at numbers stretched by a factor ``1 + stretch``."""
    with mp.workdps(DIGITS):
        namespace = dict(NAMESPACE)
        exec(compile(case.source, "<program>", "exec"), namespace)  # noqa: S102  # as the case does
        f: Any = namespace["f"]
        p, s, ts, n = point
        factor = 1 + mp.mpf(stretch)
        numbers = [mp.mpf(x) * factor for x in floats_of(p)]
        data = mp.mpf(s) * factor, [mp.mpf(t) * factor for t in ts], n

        def at(xs: list[Any]) -> Any:
            return f(filled(p, iter(xs)), *data)

        return [float(at(numbers)), *map(float, _grad(at)(numbers))]
