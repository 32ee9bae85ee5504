"""The report of ``check_grad``: findings as values, printed as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Final, Literal, TypeAlias, final

import attrs

from tapegrad._support.source_position import Site, here
from tapegrad._support.text import Printed, Table, aligned
from tapegrad.errors import CheckError

__all__ = ["Finding", "GradientCheck", "Transposition", "Verdict", "exact"]

Verdict: TypeAlias = Literal["right", "wrong", "not decided", "kink"]
"""The verdict of differences on a derivative."""

_SHOWN: Final = 60
"""The most findings printed; with more, only those that are not right are."""


@final
@attrs.frozen
class Finding(Printed):
    """One derivative, by the tape and by differences.

    It is the derivative of the number ``of`` (empty for the one result of the function; for second
    derivatives the input that was differentiated in first) in the input ``path``. ``error`` is the
    estimated error of ``differences``. ``site`` is the line whose entry contributes most to what
    is wrong, or to the rounding that hides it; None where the derivative is right.
    """

    order: int
    of: str
    path: str
    tape: float
    differences: float
    error: float
    verdict: Verdict
    reason: str = ""
    site: Site | None = None

    def __str__(self) -> str:
        of = f" of {self.of}" if self.of else ""
        return (
            f"the derivative{of} in {self.path} is {exact(self.tape)} by the tape and "
            f"{exact(self.differences)} by differences, with an error of {self.error:.1g}: "
            f"{self.verdict}{f' ({self.reason})' if self.reason else ''}"
        )


@final
@attrs.frozen
class Transposition(Printed):
    """The transpose law along one pair of directions: w . (J v) = (J^T w) . v."""

    order: int
    forward: float
    reverse: float
    rounding: float

    @property
    def holds(self) -> bool:
        """Whether the two sides agree but for rounding."""
        return math.fabs(self.forward - self.reverse) <= self.rounding or not (
            math.isfinite(self.forward) or math.isfinite(self.reverse)
        )

    def __str__(self) -> str:
        return f"w . (J v) is {self.forward!r} forward and {self.reverse!r} in reverse"


@final
@attrs.frozen
class GradientCheck(Printed):
    """The report of ``check_grad``: a table when printed; true where it is ``ok``."""

    name: str
    findings: tuple[Finding, ...]
    transpositions: tuple[Transposition, ...]

    @property
    def ok(self) -> bool:
        """Whether every derivative is right; an undecided one is not."""
        right = all(finding.verdict == "right" for finding in self.findings)
        return right and all(law.holds for law in self.transpositions)

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """The derivatives that differences contradict."""
        return tuple(finding for finding in self.findings if finding.verdict == "wrong")

    @property
    def undecided(self) -> tuple[Finding, ...]:
        """The derivatives that differences neither confirm nor contradict, kinks included."""
        return tuple(f for f in self.findings if f.verdict in {"not decided", "kink"})

    def require(self) -> GradientCheck:
        """This report where it is ``ok``.

        Raises:
            CheckError: where it is not; the message names the first derivative that is wrong (or
                else not decided) by path, both numbers, the estimated error and the line.
        """
        for finding in self.wrong + self.undecided:
            raise CheckError(f"{self.name}: {finding} ({here()}): {_CURES[finding.verdict]}")
        for law in self.transpositions:
            if not law.holds:
                raise CheckError(f"{self.name}: {law} ({here()}): the sweeps of a rule differ")
        return self

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        parts = ([part] if isinstance(part, str) else aligned(part.rows) for part in self._shown())
        return "\n".join(chain.from_iterable(parts))

    def _shown(self) -> Iterator[str | Table]:
        yield self._headline()
        shown = self.findings
        if len(shown) > _SHOWN:
            shown = (self.wrong + self.undecided)[:_SHOWN]
        if shown:
            yield Table((_TITLES, *map(_row, shown)))
        yield from (str(law) for law in self.transpositions if not law.holds)

    def _headline(self) -> str:
        counts = dict.fromkeys(("right", "wrong", "not decided", "kink"), 0)
        for finding in self.findings:
            counts[finding.verdict] += 1
        parts = (f"{count:,} {verdict}" for verdict, count in counts.items() if count)
        return f"{self.name}: {', '.join(parts) or 'nothing to check'}"


_CURES: Final = {
    "wrong": "mend the rule or the branch",
    "not decided": "check at another point",
    "kink": "check beside it",
}
_TITLES: Final = ("order", "of", "in", "by the tape", "by differences", "error", "", "why")


def _row(finding: Finding) -> tuple[str, ...]:
    order = str(finding.order) if finding.order > 1 else ""
    found = (exact(finding.differences), f"{finding.error:.1g}")
    return (
        order, finding.of, finding.path, exact(finding.tape),
        *(found if math.isfinite(finding.error) else ("", "")), finding.verdict, finding.reason,
    )  # fmt: skip


def exact(value: float) -> str:
    """A number in twelve digits: enough to see an error of one part in 10^7."""
    return f"{value:.12g}"
