"""Backpropagation by hand for L = (a * b + c) * f, compared with the tape.

The function `by_hand` is the reverse sweep: it goes from the result back to the inputs. Each line
takes the cotangent of one value, which is the derivative of L in it (`d_bar` for the value `d`),
and multiplies it by the partial derivatives to get the cotangents of the operands.
"""

from __future__ import annotations

from tapegrad import Real, label, record


def program(a: Real, c: Real, b: Real, f: Real) -> Real:
    e = label(a * b, "e")
    d = label(e + c, "d")
    return label(d * f, "L")


def loss(p: tuple[Real, Real, Real, Real]) -> Real:
    a, b, c, f = p
    return program(label(a, "a"), label(c, "c"), label(b, "b"), label(f, "f"))


def by_hand(a: float, b: float, c: float, f: float) -> dict[str, float]:
    """The cotangent of every value, in the order in which the reverse sweep computes them."""
    d = a * b + c
    l_bar = 1.0
    d_bar, f_bar = l_bar * f, l_bar * d  # L = d * f
    e_bar, c_bar = d_bar, d_bar  # d = e + c
    a_bar, b_bar = e_bar * b, e_bar * a  # e = a * b
    return {
        "L": l_bar, "d": d_bar, "f": f_bar, "e": e_bar, "c": c_bar, "a": a_bar, "b": b_bar,
    }  # fmt: skip


def by_tape(a: float, b: float, c: float, f: float) -> dict[str, float]:
    """The cotangents that the tape gives, in the order of the tape."""
    tape = record(loss)((a, b, c, f))
    cotangents = zip(range(len(tape)), tape.cotangents(), strict=True)
    return {tape.label(slot) or "": bar or 0.0 for slot, bar in cotangents}


def main() -> None:
    point = (2.0, -3.0, 10.0, -2.0)
    print(record(loss)(point))
    tape = by_tape(*point)
    print(f"\n{'entry':>5} {'by hand':>9} {'tape':>9}")
    for name, bar in by_hand(*point).items():
        print(f"{name:>5} {bar:9.4f} {tape[name]:9.4f}")


if __name__ == "__main__":
    main()
