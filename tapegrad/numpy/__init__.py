"""Functions of arrays as the array API standard names them, differentiable.

``from tapegrad import numpy as tnp`` in place of ``import numpy as np``: arrays in and out, traced
or not, with the types of what goes in. numpy's own functions take traced arrays as well.
"""

from tapegrad.numpy import linalg
from tapegrad.numpy.arrays import Arr, Floats
from tapegrad.numpy.elementwise import (
    cos,
    exp,
    expm1,
    log,
    log1p,
    logaddexp,
    maximum,
    minimum,
    relu,
    sigmoid,
    sin,
    softplus,
    sqrt,
    square,
    tanh,
    where,
)
from tapegrad.numpy.linalg import dot, matmul, solve
from tapegrad.numpy.reductions import all, any, logsumexp, max, mean, min, sum  # the standard's
from tapegrad.numpy.shapes import concat, permute_dims, reshape, stack
from tapegrad.recording.array_var import ArrayCondition, ArrayVar

__all__ = [
    "Arr", "ArrayCondition", "ArrayVar", "Floats", "all", "any", "concat", "cos", "dot", "exp",
    "expm1", "linalg", "log", "log1p", "logaddexp", "logsumexp", "matmul", "max", "maximum", "mean",
    "min", "minimum", "permute_dims", "relu", "reshape", "sigmoid", "sin", "softplus", "solve",
    "sqrt", "square", "stack", "sum", "tanh", "where",
]  # fmt: skip
