"""Spellings of Python's that have no usable type in a model; the guide names one for each."""

from tapegrad import Real, where


def built_in_sum(xs: list[Real]) -> Real:
    return sum(xs)  # E: return-value


def built_in_max(x: Real) -> Real:
    return max(x, 0.0)  # E: return-value


def root_by_power(x: Real) -> Real:
    return x**0.5  # E: no-any-return


def two_arms(x: Real) -> Real:
    return x if x > 0.0 else 0.0  # E: return-value


def negated(x: Real) -> Real:
    return where(~(x > 0.0), x, 2.0 * x)  # E: call-overload, no-any-return


def accumulated(xs: list[Real]) -> Real:
    result = 0.0
    for x in xs:
        result += x  # E: assignment
    return result  # E: return-value
