"""Says what to write instead where Python asks a traced number for a float."""

from __future__ import annotations

import re

from tapegrad._support.source_position import user_frame, written

__all__ = ["float_refusal"]


def float_refusal() -> tuple[str, str]:
    """The expression that would drop the derivative, and what to write instead."""
    instruction, text = written()
    if instruction.startswith("STORE_"):
        assigned = f" ({text} = ...)" if text else ""
        return (
            f"storing x in an array of floats{assigned}",
            "a list, or an array made with dtype=object",
        )
    if instruction == "BINARY_OP":
        return "formatting x with %", "'%s' % x inside the function, or its result outside"
    if _is_numpys(text):
        return (
            f"float(x), which {text} asks for,",
            "an array without a dtype, whose elements stay traced, or functions of tapegrad.math,",
        )
    return "float(x)", "x, or a function of tapegrad.math"


def _is_numpys(text: str) -> bool:
    """Whether a call begins with the name of numpy, or of something of numpy's."""
    name = re.match(r"\w*", text)
    frame = user_frame()
    called = {**frame.f_globals, **frame.f_locals}.get(name[0] if name else "")
    module = getattr(called, "__module__", None) or getattr(called, "__name__", "")
    return str(module).partition(".")[0] == "numpy"
