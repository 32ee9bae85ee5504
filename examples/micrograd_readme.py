"""The program of micrograd's README, as a function; the two slopes are those that it prints."""

from __future__ import annotations

from tapegrad import Real, math, partials


def program(a: Real, b: Real) -> Real:
    c = a + b
    d = a * b + b**3
    c = c + c + 1.0
    c = c + 1.0 + c + (-a)
    d = d + d * 2.0 + math.relu(b + a)
    d = d + 3.0 * d + math.relu(b - a)
    e = c - d
    f = e**2
    g = f / 2.0
    return g + 10.0 / f


def main() -> None:
    slopes = partials(program)(-4.0, 2.0)
    print(f"g      = {program(-4.0, 2.0):.4f}")
    print(f"dg/da  = {slopes['a']:.4f}")
    print(f"dg/db  = {slopes['b']:.4f}")
    assert f"{slopes['a']:.4f} {slopes['b']:.4f}" == "138.8338 645.5773"


if __name__ == "__main__":
    main()
