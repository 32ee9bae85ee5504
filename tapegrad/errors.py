"""Every error tapegrad raises on purpose.

    TapegradError
    ├── InputError (TypeError)            an argument holds something that cannot be an input
    │   └── InputRangeError (OverflowError)    ... an int too large for a float
    ├── OutputError (TypeError)           the model returned something that cannot be an output
    ├── TracedNumberError (TypeError)     a traced number stands where only a plain one will do
    ├── RecordingError (RuntimeError)     a traced number outside the recording it belongs to
    ├── GuardError (RuntimeError)         a replay would take a branch that was not recorded
    ├── ConvergenceError (RuntimeError)   no solution of an equation, or a fit that diverges
    ├── PrimitiveError (ValueError)       a custom rule that is wrong, or lacks what is asked of it
    ├── CheckError (AssertionError)       a derivative that check_grad could not confirm
    ├── TapeError (ValueError)            entries that do not form a tape
    ├── DrawingError (RuntimeError)       a picture that cannot be rendered here
    └── BackendError (RuntimeError)       compiled code that cannot be had here, or for this program

Each class also is the built-in exception that a plain Python program would have raised there,
so ``except TypeError`` keeps working. A message says what is wrong, the value, where, and what to
do.
"""

__all__ = [
    "BackendError",
    "CheckError",
    "ConvergenceError",
    "DrawingError",
    "GuardError",
    "InputError",
    "InputRangeError",
    "OutputError",
    "PrimitiveError",
    "RecordingError",
    "TapeError",
    "TapegradError",
    "TracedNumberError",
]


class TapegradError(Exception):
    """The root of the tree in this module's docstring."""


class InputError(TapegradError, TypeError):
    """An argument holds something that cannot be an input; the message names its key path.

    Fails: ``grad(loss)({"w": "2.0"})``. Mended: ``grad(loss)({"w": 2.0})``.
    """


class InputRangeError(InputError, OverflowError):
    """An int in an argument is too large for a float.

    Fails: ``grad(loss)({"w": 10**400})``. Mended: ``grad(loss)({"w": 1e300})``.
    """


class OutputError(TapegradError, TypeError):
    """The model returned something that cannot be differentiated.

    Fails: ``grad(f)(2.0)`` where ``f`` forgets its ``return``. Mended: return one number.
    """


class TracedNumberError(TapegradError, TypeError):
    """A traced number stands where only a plain one will do, and would lose its derivative.

    Fails: the standard library's ``math.sin(x)``. Mended: ``from tapegrad import math``.
    """


class RecordingError(TapegradError, RuntimeError):
    """A traced number is used after its recording has ended, or from another thread.

    Fails: a model that appends its argument to a list, and arithmetic on that list afterwards.
    Mended: return what is wanted from the model.
    """


class GuardError(TapegradError, RuntimeError):
    """A comparison comes out differently in a replay, so the recorded branch is the wrong one.

    Fails: ``record(abs_by_if)(2.0).replay(-2.0)``. Mended: ``record(abs_by_if)(-2.0)``, or
    ``where`` in the model.
    """


class ConvergenceError(TapegradError, RuntimeError):
    """``root`` found no simple solution from where it started, or ``fit`` lost its way.

    Fails: ``root(f, 1.0)`` where ``f(x)`` is ``x * x + 1.0``. Mended: an equation that has a
    solution, or a start nearer to it. Fails: ``fit`` with a rate at which the loss grows until it
    is not finite. Mended: a lower rate.
    """


class PrimitiveError(TapegradError, ValueError):
    """A custom rule is wrong, or lacks the derivative that is asked of it; the message names it.

    Fails: ``@primitive(partials=lambda y, x: -math.cos(x), at=[0.5])`` on a sine. Mended:
    ``partials=lambda y, x: math.cos(x)``.
    """


class CheckError(TapegradError, AssertionError):
    """A derivative is wrong, or differences cannot tell; the message says where.

    Fails: ``check_grad(abs, 0.0).require()``. Mended: ``check_grad(abs, 0.5).require()``.
    """


class TapeError(TapegradError, ValueError):
    """Columns that do not form a tape: an operand at or above its own entry, an unknown row.

    Fails: a tape put together by hand from the wrong columns. Mended: ``record``.
    """


class DrawingError(TapegradError, RuntimeError):
    """A picture cannot be rendered here: no layout program, or an unknown file ending.

    Fails: ``tape.draw("graph.svg")`` where no ``dot`` is installed. Mended: install Graphviz, or
    write ``tape.to_dot()`` to a file.
    """


class BackendError(TapegradError, RuntimeError):
    """A backend that is not known or not installed, or a program that it cannot run.

    Fails: ``jit(f, backend="llvm")`` where llvmlite is not installed. Mended: install the extra
    that the message names, or leave the choice to ``auto``.
    """
