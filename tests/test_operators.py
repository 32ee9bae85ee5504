"""The operators of traced numbers are spelled from one template."""

from __future__ import annotations

from pathlib import Path

import tapegrad
from tapegrad.recording import operator_code


def test_the_operators_are_those_that_the_template_spells() -> None:
    """``python -m tapegrad.recording.operator_code`` changes nothing."""
    committed = Path(tapegrad.__file__).parent / "recording" / "operators.py"
    assert committed.read_text(encoding="utf-8") == operator_code.source()
