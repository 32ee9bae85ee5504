"""A frozen dataclass: methods, properties, defaults by keyword, optional numbers, `replace`."""

from dataclasses import dataclass, field, replace
from typing import Final, Generic

import tapegrad as tg
from tapegrad import Real, math

LIMIT: Final = 10.0


@dataclass(frozen=True, slots=True)
class Oscillator(Generic[Real]):
    stiffness: Real
    damping: Real
    knots: tuple[Real, ...] = ()
    drift: Real | None = None
    scale: Real | float = 1.0
    label: str = field(default="oscillator", kw_only=True)

    def energy(self, x: float) -> Real:
        result = self.stiffness * x**2 / 2.0
        for knot in self.knots:
            result = result + knot * x
        if self.drift is not None:
            result = result + self.drift
        return result * self.scale

    @property
    def ratio(self) -> Real:
        return self.damping / (2.0 * math.sqrt(self.stiffness))


def energy(o: Oscillator[Real], x: float, *, ceiling: float = LIMIT) -> Real:
    return math.minimum(o.energy(x) * o.ratio, ceiling)


o = Oscillator(4.0, 1.0, (1.0, 2.0), 0.5, label="main")
slope = tg.grad(energy)(o, 3.0, ceiling=100.0)
drift: float | None = slope.drift
assert drift is not None
assert (drift, slope.knots[1], slope.label) == (0.25, 0.75, "main")
stepped = replace(o, stiffness=o.stiffness - 0.1 * slope.stiffness)
assert stepped.label == "main"
at_three: float = tg.grad(Oscillator[float].energy)(o, 3.0).stiffness
assert at_three == 4.5
tape = tg.record(energy)(o, 3.0)
first: str = tape.paths[0]
again: float = tape.replay(stepped, 3.0).gradient().damping
assert first == "stiffness"
assert again > 0.0
