"""Networks of arrays: a matrix and a vector for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Generic, TypeVar, overload

import attrs
import numpy as np
from numpy.typing import NDArray

from tapegrad import numpy as tnp
from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.learn.activations import Activation, activate, is_activation, require_activation
from tapegrad.learn.initial import Initial, distribution, is_not_empty, require_sizes
from tapegrad.learn.scopes import in_scope
from tapegrad.numpy.arrays import Arr, Floats
from tapegrad.ops.primitive import has_axes
from tapegrad.recording.array_var import ArrayVar

__all__ = ["Dense", "DenseMLP"]

Given = TypeVar("Given", NDArray[np.float64], ArrayVar)
"""The arrays that a network of plain arrays is given."""


@attrs.frozen(eq=False)
class Dense(Generic[Arr]):
    """A layer of arrays: ``activation(x @ w + b)``, where ``w`` has a row for each input."""

    w: Arr
    b: Arr
    activation: Activation = attrs.field(default="tanh", validator=is_activation)

    @overload
    def __call__(self, x: Arr | Floats | Sequence[float], /) -> Arr: ...
    @overload
    def __call__(self: Dense[Floats], x: Given, /) -> Given: ...
    def __call__(self, x: Any, /) -> Any:
        """The outputs for one row of inputs, or for each row of a matrix.

        Raises:
            InputError: when the last axis is not as long as ``w`` has rows.
        """
        given, inputs = x if has_axes(x) else tnp.asarray(x), self.w.shape[0]
        if given.shape[-1:] != (inputs,):
            raise InputError(
                f"a layer takes arrays whose last axis has the length {inputs}, and was given one "
                f"of the shape {given.shape} ({here()}): pass {inputs} numbers for each row"
            )
        return activate(self.activation, given @ self.w + self.b)

    @staticmethod
    def init(
        inputs: int,
        outputs: int,
        *,
        seed: int = 0,
        activation: Activation = "tanh",
        init: Initial = "glorot",
    ) -> Dense[Floats]:
        """A layer with random weights and biases 0, the same for the same seed.

        Raises:
            InputError: for fewer than one input or output, or a name that is not known.
        """
        require_sizes((inputs, outputs))
        require_activation("activation", activation)
        return _dense(inputs, outputs, np.random.default_rng(seed), activation, init)


@attrs.frozen(eq=False)
class DenseMLP(Generic[Arr]):
    """A multi-layer perceptron of arrays: each layer is given the outputs of the one before.

    >>> mlp = DenseMLP.init([2, 16, 3], seed=1)
    >>> mlp(np.zeros((5, 2))).shape, mlp(np.zeros(2)).shape
    ((5, 3), (3,))
    """

    layers: tuple[Dense[Arr], ...] = attrs.field(validator=is_not_empty)

    @overload
    def __call__(self, x: Arr | Floats | Sequence[float], /) -> Arr: ...
    @overload
    def __call__(self: DenseMLP[Floats], x: Given, /) -> Given: ...
    def __call__(self, x: Any, /) -> Any:
        """The outputs of the last layer, for one row of inputs or for each row of a matrix.

        Raises:
            InputError: when the last axis is not as long as the first layer has inputs.
        """
        found = x
        for index, layer in enumerate(self.layers):
            found = in_scope("layers", index, (layer.b, found), layer, found)
        return found

    @staticmethod
    def init(
        sizes: Sequence[int],
        *,
        seed: int = 0,
        activation: Activation = "tanh",
        output: Activation = "identity",
        init: Initial = "glorot",
    ) -> DenseMLP[Floats]:
        """A network with random weights and biases 0, the same for the same seed.

        ``sizes`` are the number of inputs, then the number of outputs of each layer. The last layer
        ends with ``output``, the others with ``activation``. The numbers are drawn by numpy's
        ``default_rng(seed)``, layer by layer.

        Raises:
            InputError: for fewer than two sizes, one below 1, or a name that is not known.
        """
        require_sizes(sizes)
        require_activation("activation", activation)
        source = np.random.default_rng(seed)
        ends = [*[activation] * (len(sizes) - 2), output]
        return DenseMLP(
            tuple(
                _dense(inputs, outputs, source, end, init)
                for (inputs, outputs), end in zip(pairwise(sizes), ends, strict=True)
            )
        )


def _dense(
    inputs: int, outputs: int, source: np.random.Generator, activation: Activation, init: Initial
) -> Dense[Floats]:
    shape = inputs, outputs

    def uniform(low: float, high: float) -> Floats:
        return source.uniform(low, high, shape)

    def normal(mean: float, deviation: float) -> Floats:
        return source.normal(mean, deviation, shape)

    draw = distribution(init, inputs, outputs, uniform, normal)
    return Dense(draw(), np.zeros(outputs), activation)
