"""Typed, functional reverse-mode automatic differentiation around an explicit tape.

    record : f, inputs -> Tape        what a call of f computed, entry by entry, as a value
    grad   : f -> (x -> gradient)     in the shape and with the static type of x

Write a model on ``Real`` numbers with the functions of ``tapegrad.math``; it runs on plain floats,
and ``grad``, ``value_and_grad``, ``partials`` and ``record`` take it as it is.
"""

import importlib
from typing import TYPE_CHECKING

from tapegrad import errors, math
from tapegrad._support.version import VERSION
from tapegrad.recording.annotate import label, scope
from tapegrad.recording.recorder import Condition, Real, Scalar, Var
from tapegrad.recording.where import stop_gradient, where
from tapegrad.tape import Simplified, Tape
from tapegrad.transforms.grad import ValueAndGrad, grad, value_and_grad
from tapegrad.transforms.partials import partials
from tapegrad.transforms.record import record

if TYPE_CHECKING:
    from tapegrad._support.array_types import FloatArray, FloatMatrix
    from tapegrad.batch.results import Batched, BatchValueAndGrad, Columns, Estimate, Progress
    from tapegrad.batch.vmap import vmap
    from tapegrad.check.gradient import check_grad
    from tapegrad.check.report import GradientCheck
    from tapegrad.compile.jit import Compiled, jit
    from tapegrad.compile.scan.call import scan
    from tapegrad.entries.nodes import Apply, Constant, Guard, Input, Node
    from tapegrad.optimize.objective import Objective, objective
    from tapegrad.optimize.residuals import Residuals, residuals
    from tapegrad.sweep.sparse_matrix import Coordinates, Sparsity
    from tapegrad.transforms.checkpoint import checkpoint
    from tapegrad.transforms.implicit import root
    from tapegrad.transforms.jacobian import hessian, jacobian
    from tapegrad.transforms.primitive import primitive
    from tapegrad.transforms.products import hvp, jvp, linearize, vjp
    from tapegrad.transforms.sparse import sparse_hessian, sparse_jacobian
    from tapegrad.transforms.taylor import taylor
else:
    # These are loaded when they are used, to keep `import tapegrad` quick.
    _LATER = {
        "_support.array_types": ["FloatArray", "FloatMatrix"],
        "batch.results": ["BatchValueAndGrad", "Batched", "Columns", "Estimate", "Progress"],
        "batch.vmap": ["vmap"],
        "check.gradient": ["check_grad"],
        "check.report": ["GradientCheck"],
        "compile.jit": ["Compiled", "jit"],
        "compile.scan.call": ["scan"],
        "entries.nodes": ["Apply", "Constant", "Guard", "Input", "Node"],
        "optimize.objective": ["Objective", "objective"],
        "optimize.residuals": ["Residuals", "residuals"],
        "sweep.sparse_matrix": ["Coordinates", "Sparsity"],
        "transforms.checkpoint": ["checkpoint"],
        "transforms.implicit": ["root"],
        "transforms.jacobian": ["hessian", "jacobian"],
        "transforms.primitive": ["primitive"],
        "transforms.products": ["hvp", "jvp", "linearize", "vjp"],
        "transforms.sparse": ["sparse_hessian", "sparse_jacobian"],
        "transforms.taylor": ["taylor"],
    }
    _MODULES = {name: module for module, names in _LATER.items() for name in names}

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module 'tapegrad' has no attribute {name!r}")
        return getattr(importlib.import_module(f"tapegrad.{_MODULES[name]}"), name)

    def __dir__():
        return sorted(__all__)


__all__ = [
    "Apply", "BatchValueAndGrad", "Batched", "Columns", "Compiled", "Condition", "Constant",
    "Coordinates", "Estimate", "FloatArray", "FloatMatrix", "GradientCheck", "Guard", "Input",
    "Node", "Objective", "Progress", "Real", "Residuals", "Scalar", "Simplified", "Sparsity",
    "Tape", "ValueAndGrad", "Var", "check_grad", "checkpoint", "errors", "grad", "hessian", "hvp",
    "jacobian", "jit", "jvp", "label", "linearize", "math", "objective", "partials", "primitive",
    "record", "residuals", "root", "scan", "scope", "sparse_hessian", "sparse_jacobian",
    "stop_gradient", "taylor", "value_and_grad", "vjp", "vmap", "where",
]  # fmt: skip

__version__: str = VERSION
