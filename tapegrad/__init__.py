"""Typed, functional reverse-mode automatic differentiation around an explicit tape.

    record : f, inputs -> Tape        what a call of f computed, entry by entry, as a value
    grad   : f -> (x -> gradient)     in the shape and with the static type of x

Write a model on ``Real`` numbers with the functions of ``tapegrad.math``; it runs on plain floats,
and ``grad``, ``value_and_grad``, ``partials`` and ``record`` take it as it is.
"""

import importlib
from typing import TYPE_CHECKING

from tapegrad import errors, math
from tapegrad.calls import ValueAndGrad
from tapegrad.choice import stop_gradient, where
from tapegrad.custom import primitive
from tapegrad.labels import label, scope
from tapegrad.linear import hvp, jvp, linearize, vjp
from tapegrad.matrices import hessian, jacobian
from tapegrad.recording import Condition, Real, Scalar, Var
from tapegrad.tape import Simplified, Tape
from tapegrad.transforms import grad, partials, record, value_and_grad

if TYPE_CHECKING:
    from tapegrad.arrays import FloatArray
    from tapegrad.checking import check_grad
    from tapegrad.checkpointing import checkpoint
    from tapegrad.compiling import Compiled, jit
    from tapegrad.coordinates import Coordinates, Sparsity
    from tapegrad.findings import GradientCheck
    from tapegrad.implicit import root
    from tapegrad.loss_objective import Objective, objective
    from tapegrad.mapping import vmap
    from tapegrad.model_residuals import Residuals, residuals
    from tapegrad.nodes import Apply, Constant, Guard, Input, Node
    from tapegrad.results import Batched, BatchValueAndGrad, Columns, Estimate, Progress
    from tapegrad.series import taylor
    from tapegrad.sparse import sparse_hessian, sparse_jacobian
else:
    # What few programs use is loaded when it is: importing the package stays quick.
    _LATER = {
        "Apply": "nodes", "BatchValueAndGrad": "results", "Batched": "results",
        "Columns": "results", "Compiled": "compiling", "Constant": "nodes",
        "Coordinates": "coordinates", "Estimate": "results", "FloatArray": "arrays",
        "GradientCheck": "findings", "Progress": "results",
        "Guard": "nodes", "Input": "nodes", "Node": "nodes", "Objective": "loss_objective",
        "Residuals": "model_residuals", "Sparsity": "coordinates", "check_grad": "checking",
        "checkpoint": "checkpointing", "jit": "compiling", "objective": "loss_objective",
        "residuals": "model_residuals", "root": "implicit", "sparse_hessian": "sparse",
        "sparse_jacobian": "sparse", "taylor": "series", "vmap": "mapping",
    }  # fmt: skip

    def __getattr__(name):
        if name not in _LATER:
            raise AttributeError(f"module 'tapegrad' has no attribute {name!r}")
        return getattr(importlib.import_module(f"tapegrad.{_LATER[name]}"), name)

    def __dir__():
        return sorted(__all__)


__all__ = [
    "Apply", "BatchValueAndGrad", "Batched", "Columns", "Compiled", "Condition", "Constant",
    "Coordinates", "Estimate", "FloatArray", "GradientCheck", "Guard", "Input", "Node",
    "Objective", "Progress", "Real",
    "Residuals", "Scalar", "Simplified", "Sparsity", "Tape", "ValueAndGrad", "Var", "check_grad",
    "checkpoint", "errors", "grad", "hessian", "hvp", "jacobian", "jit", "jvp", "label",
    "linearize", "math", "objective", "partials", "primitive", "record", "residuals", "root",
    "scope", "sparse_hessian", "sparse_jacobian", "stop_gradient", "taylor", "value_and_grad",
    "vjp", "vmap", "where",
]  # fmt: skip

__version__ = "0.1.0"
