"""Typed, functional reverse-mode automatic differentiation around an explicit tape.

    record : f, inputs -> Tape        what a call of f computed, entry by entry, as a value
    grad   : f -> (x -> gradient)     in the shape and with the static type of x

Write a model on ``Real`` numbers with the functions of ``tapegrad.math``; it runs on plain floats,
and ``grad``, ``value_and_grad``, ``partials`` and ``record`` take it as it is.
"""

from tapegrad import errors, math
from tapegrad.calls import ValueAndGrad
from tapegrad.checkpointing import checkpoint
from tapegrad.choice import stop_gradient, where
from tapegrad.coordinates import Coordinates, Sparsity
from tapegrad.custom import primitive
from tapegrad.implicit import root
from tapegrad.labels import label, scope
from tapegrad.linear import hvp, jvp, linearize, vjp
from tapegrad.matrices import hessian, jacobian
from tapegrad.nodes import Apply, Constant, Guard, Input, Node
from tapegrad.recording import Condition, Real, Scalar, Var
from tapegrad.series import taylor
from tapegrad.sparse import sparse_hessian, sparse_jacobian
from tapegrad.tape import Tape
from tapegrad.transforms import grad, partials, record, value_and_grad

__all__ = [
    "Apply", "Condition", "Constant", "Coordinates", "Guard", "Input", "Node", "Real", "Scalar",
    "Sparsity", "Tape", "ValueAndGrad", "Var", "checkpoint", "errors", "grad", "hessian", "hvp",
    "jacobian", "jvp", "label", "linearize", "math", "partials", "primitive", "record", "root",
    "scope", "sparse_hessian", "sparse_jacobian", "stop_gradient", "taylor", "value_and_grad",
    "vjp", "where",
]  # fmt: skip

__version__ = "0.1.0"
