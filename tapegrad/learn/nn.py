"""Networks as frozen classes: of numbers, as in the lecture, and of arrays.

    Neuron, Layer, MLP    numbers, ``MLP[float]``: small, and every number is on the tape
    Dense, DenseMLP       arrays, ``DenseMLP[Floats]``: a matrix and a vector for each layer

A network is a value and a function: ``mlp(xs)`` are its outputs. ``grad(loss)(mlp)`` is again an
``MLP[float]``. The sizes and the names of the activations are static. Parameters have the paths
``layers.0.neurons.3.w.1`` and ``layers.0.w``, and entries of a tape the scopes ``layers.0`` and,
inside it, ``neurons.3``. Networks of arrays need numpy, those of numbers do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import attrs

from tapegrad._support.argument_checks import require_positive
from tapegrad._support.source_position import here
from tapegrad.errors import InputError
from tapegrad.learn.activations import Activation, activate, is_activation, require_activation
from tapegrad.learn.initial import Initial, distribution, is_not_empty, require_sizes
from tapegrad.learn.scopes import in_scope, keeps_scopes
from tapegrad.recording.recorder import Real, Var

if TYPE_CHECKING:
    from tapegrad.learn.dense import Dense, DenseMLP
else:

    def __getattr__(name):
        if name not in {"Dense", "DenseMLP"}:
            raise AttributeError(f"module 'tapegrad.learn.nn' has no attribute {name!r}")
        from tapegrad.learn import dense

        return getattr(dense, name)


__all__ = ["MLP", "Activation", "Dense", "DenseMLP", "Initial", "Layer", "Neuron"]

Given = TypeVar("Given", float, Var)
"""The numbers that a network of plain floats is given."""


@attrs.frozen
class Neuron(Generic[Real]):
    """The activation of a weighted sum: ``activation(b + w[0] * x[0] + w[1] * x[1] + ...)``."""

    w: tuple[Real, ...]
    b: Real
    activation: Activation = attrs.field(default="tanh", validator=is_activation)

    @overload
    def __call__(self, xs: Sequence[Real | float], /) -> Real: ...
    @overload
    def __call__(self: Neuron[float], xs: Sequence[Given], /) -> Given: ...
    def __call__(self, xs: Sequence[Any], /) -> Any:
        """The output for as many numbers as there are weights.

        Raises:
            InputError: when there are more or fewer.

        >>> Neuron((2.0, -1.0), 0.5, "identity")([1.0, 3.0])
        -0.5
        """
        if len(xs) != len(self.w):
            raise InputError(
                f"the number of inputs is {len(xs)} ({here()}): pass {len(self.w)}, one for each "
                "weight of a neuron"
            )
        total: Any = self.b
        for weight, x in zip(self.w, xs, strict=True):
            total = total + weight * x
        return activate(self.activation, total)

    @staticmethod
    def init(
        inputs: int, *, seed: int = 0, activation: Activation = "tanh", init: Initial = "uniform"
    ) -> Neuron[float]:
        """A neuron with random weights and the bias 0, the same for the same seed.

        Raises:
            InputError: for fewer than one input, or a name that is not known.
        """
        require_positive("inputs", inputs)
        return _neuron(inputs, 1, Random(seed), activation, init)


@attrs.frozen
class Layer(Generic[Real]):
    """Neurons that are given the same numbers."""

    neurons: tuple[Neuron[Real], ...] = attrs.field(validator=is_not_empty)

    @overload
    def __call__(self, xs: Sequence[Real | float], /) -> list[Real]: ...
    @overload
    def __call__(self: Layer[float], xs: Sequence[Given], /) -> list[Given]: ...
    def __call__(self, xs: Sequence[Any], /) -> Any:
        """The outputs of the neurons."""
        first = xs[0] if len(xs) else None
        if not keeps_scopes(self.neurons[0].b, first):
            return [neuron(xs) for neuron in self.neurons]
        return [
            in_scope("neurons", index, (neuron.b, first), neuron, xs)
            for index, neuron in enumerate(self.neurons)
        ]

    @staticmethod
    def init(
        inputs: int,
        outputs: int,
        *,
        seed: int = 0,
        activation: Activation = "tanh",
        init: Initial = "uniform",
    ) -> Layer[float]:
        """A layer of ``outputs`` neurons with random weights, as of ``Neuron.init``.

        Raises:
            InputError: for fewer than one input or output, or a name that is not known.
        """
        require_sizes((inputs, outputs))
        return _layer(inputs, outputs, Random(seed), activation, init)


@attrs.frozen
class MLP(Generic[Real]):
    """A multi-layer perceptron: each layer is given the outputs of the one before.

    >>> from tapegrad import Real, grad
    >>> def loss(mlp: MLP[Real], xs: Sequence[float], y: float) -> Real:
    ...     (score,) = mlp(xs)
    ...     return (score - y) ** 2
    >>> mlp = MLP.init([3, 4, 4, 1], seed=1)
    >>> slope = grad(loss)(mlp, [2.0, 3.0, -1.0], 1.0)
    >>> type(slope), len(slope.layers[0].neurons[3].w)
    (<class 'tapegrad.learn.nn.MLP'>, 3)
    """

    layers: tuple[Layer[Real], ...] = attrs.field(validator=is_not_empty)

    @overload
    def __call__(self, xs: Sequence[Real | float], /) -> list[Real]: ...
    @overload
    def __call__(self: MLP[float], xs: Sequence[Given], /) -> list[Given]: ...
    def __call__(self, xs: Sequence[Any], /) -> Any:
        """The outputs of the last layer: a list, of one number where it has one neuron.

        Raises:
            InputError: when there are not as many numbers as the first layer has inputs.
        """
        found = xs
        for index, layer in enumerate(self.layers):
            among = layer.neurons[0].b, found[0] if len(found) else None
            found = in_scope("layers", index, among, layer, found)
        return found

    @staticmethod
    def init(
        sizes: Sequence[int],
        *,
        seed: int = 0,
        activation: Activation = "tanh",
        output: Activation = "identity",
        init: Initial = "uniform",
    ) -> MLP[float]:
        """A network with random weights and biases 0, the same for the same seed.

        ``sizes`` are the number of inputs, then the number of outputs of each layer. The last layer
        ends with ``output``, the others with ``activation``. The numbers are drawn by the standard
        library's ``random.Random(seed)``, weight by weight in the order of the paths.

        Raises:
            InputError: for fewer than two sizes, one below 1, or a name that is not known.
        """
        require_sizes(sizes)
        require_activation("activation", activation)
        source = Random(seed)
        ends = [*[activation] * (len(sizes) - 2), output]
        return MLP(
            tuple(
                _layer(inputs, outputs, source, end, init)
                for (inputs, outputs), end in zip(pairwise(sizes), ends, strict=True)
            )
        )


def _neuron(
    inputs: int, outputs: int, source: Random, activation: Activation, init: Initial
) -> Neuron[float]:
    draw = distribution(init, inputs, outputs, source.uniform, source.gauss)
    return Neuron(tuple(draw() for _ in range(inputs)), 0.0, activation)


def _layer(
    inputs: int, outputs: int, source: Random, activation: Activation, init: Initial
) -> Layer[float]:
    neurons = (_neuron(inputs, outputs, source, activation, init) for _ in range(outputs))
    return Layer(tuple(neurons))
