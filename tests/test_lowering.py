"""Laws of lowering: the quick road writes what the general one writes."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

import tapegrad as tg
from tapegrad.compile import lower as lowering
from tapegrad.compile.program import Program
from tapegrad.ops import table as ops
from tests.fuzz.programs import make
from tests.strategies import bits


def told(program: Program) -> dict[str, object]:
    """All that backends read of a program, with constants by their bits and in order."""
    found = {field.name: getattr(program, field.name) for field in attrs.fields(Program)}
    for name in ("constants", "statics", "expected", "skip_where"):
        found[name] = [*found[name].items()]
    return found | {"constants": [(slot, bits(x)) for slot, x in program.constants.items()]}


@pytest.mark.parametrize("options", [{}, {"any_row": True}, {"approximate": True}])
def test_simple_rows_of_plain_operands_are_written_as_all_others_are(
    options: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random programs and their gradients give the same program with and without the quick road."""
    tapes: list[Any] = []
    for seed in range(9_100, 9_112):
        case = make(seed)
        tapes.append(tg.record(tg.value_and_grad(case.function))(*case.points[0]))
    quick = [lowering.lower(tape.columns, tape.outputs, **options) for tape in tapes]
    monkeypatch.setattr(lowering, "_simple_rows", lambda table, **_: [None] * len(table.rows))
    monkeypatch.setattr(lowering, "_steps_of", lambda *_: None)
    general = [lowering.lower(tape.columns, tape.outputs, **options) for tape in tapes]
    assert list(map(told, quick)) == list(map(told, general))


@pytest.mark.parametrize(
    ("f", "rows"),
    [
        (lambda x: x[0] + -x[1], [ops.sub]),
        (lambda x: -x[0] + x[1], [ops.sub]),
        (lambda x: x[0] - -x[1], [ops.add]),
        (lambda x: -x[0] * -x[1], [ops.mul]),
        (lambda x: (x[0] * 1.0) / 1.0 - 0.0, []),
        (lambda x: 0.0 - (-x[0]), [ops.constant, ops.add]),
        (lambda x: x[0] + 0.0, [ops.constant, ops.add]),
        (lambda x: x[0] * x[1] + x[0] * x[1], [ops.mul, ops.add]),
    ],
)
def test_rules_hold_beside_the_quick_road(f: Any, rows: list[object]) -> None:
    """Negations and neutral numbers go, and equal entries are one."""
    tape: Any = tg.record(f)([2.0, 3.0])
    assert lowering.lower(tape.columns, tape.outputs).rows[2:] == rows


def test_the_slope_of_a_logarithm_is_a_quotient_that_was_there() -> None:
    """Beside x / v, whose slopes need 1 / v, the logarithm of v divides by it no more."""

    def loss(x: Any) -> Any:
        return tg.math.log(x[1]) + x[0] / x[1]

    tape: Any = tg.record(tg.value_and_grad(loss))([2.0, 3.0])
    assert lowering.lower(tape.columns, tape.outputs).rows.count(ops.div) == 3
