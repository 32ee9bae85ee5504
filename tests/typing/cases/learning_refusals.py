"""What a checker must refuse of trees, optimisers and fits, with mypy's codes."""

from collections.abc import Mapping

from tapegrad import Real
from tapegrad.learn import fit, optim, tree


def loss(p: Mapping[str, Real], xs: list[float], ys: list[float]) -> Real:
    return p["x"] * xs[0] + ys[0]


def name_of(p: Mapping[str, float]) -> str:
    return "x"


start, other = {"x": 1.0}, (1.0, 2.0)
xs = [1.0, 2.0]
adam = optim.adam(0.1)

tree.scale(start, "2")  # E: arg-type
tree.map("f", start)  # E: call-overload
optim.adam("0.1")  # E: arg-type
optim.adam(lr=0.1)  # E: call-arg
adam.update(start, adam.init(other), start)  # E: misc
optim.clipped(0.1, norm=1.0)  # E: arg-type
fit(loss, start, xs, xs)  # E: call-overload
fit(loss, start, xs, optimizer=adam, steps=5)  # E: arg-type
fit(loss, start, xs, "xs", optimizer=adam, steps=5)  # E: call-arg, arg-type
fit(loss, start, xs, xs, optimizer=adam, steps="5")  # E: call-arg, call-overload
fit(loss, start, xs, xs, optimizer=adam, rounds=5)  # E: call-overload, call-overload
fit(loss, start, xs, xs, optimizer=adam, steps=5, metrics={"x": name_of})  # E: call-arg, dict-item
fit(loss, other, xs, xs, optimizer=adam, steps=5)  # E: call-arg, arg-type
