"""Networks of numbers and of arrays: what they compute, their names, and what they refuse."""

from __future__ import annotations

import math as library
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any, Generic, get_args

import attrs
import mpmath
import numpy as np
import pytest

import tapegrad as tg
from tapegrad import Real, Scalar
from tapegrad.errors import InputError
from tapegrad.learn import losses, nn
from tapegrad.learn.activations import Activation, activate
from tapegrad.learn.nn import MLP, Dense, DenseMLP, Layer, Neuron
from tapegrad.numpy import Arr, Floats

XS = [[2.0, 3.0, -1.0], [0.5, 1.0, 1.0]]
YS = [1.0, -1.0]


def loss(mlp: MLP[Real], xs: Sequence[Sequence[float]], ys: Sequence[float]) -> Real:
    return losses.mse([mlp(x)[0] for x in xs], ys)


def array_loss(mlp: DenseMLP[Arr], x: Floats, y: Floats) -> Scalar:
    return losses.mse(mlp(x)[:, 0], y)


def as_arrays(mlp: MLP[float]) -> DenseMLP[Floats]:
    """The same network of arrays."""
    return DenseMLP(
        tuple(
            Dense(
                np.array([neuron.w for neuron in layer.neurons]).T,
                np.array([neuron.b for neuron in layer.neurons]),
                layer.neurons[0].activation,
            )
            for layer in mlp.layers
        )
    )


mpmath.mp.dps = 50
TRUE: dict[str, Callable[[Any], Any]] = {
    "elu": lambda x: x if x > 0 else mpmath.expm1(x),
    "gelu": lambda x: x * mpmath.ncdf(x),
    "identity": lambda x: x,
    "leaky_relu": lambda x: x if x > 0 else x * mpmath.mpf(0.01),
    "relu": lambda x: max(x, mpmath.mpf(0)),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "tanh": mpmath.tanh,
}


@pytest.mark.parametrize("name", get_args(Activation))
@pytest.mark.parametrize("x", [-30.0, -1.5, -1e-9, 1e-9, 0.7, 30.0])
def test_an_activation_is_its_formula_on_numbers_and_arrays(name: Activation, x: float) -> None:
    """Value and slope have 15 digits on both sides of 0, and arrays give the same."""
    want = float(TRUE[name](mpmath.mpf(x)))
    slope = float(mpmath.diff(TRUE[name], mpmath.mpf(x), h=mpmath.mpf(10) ** -20))
    found = tg.value_and_grad(lambda x: activate(name, x))(x)
    assert found == pytest.approx((want, slope), rel=2e-15, abs=0.0)
    assert activate(name, np.array([x])) == pytest.approx([want], rel=2e-15, abs=0.0)


class TestValues:
    def test_a_network_of_one_neuron_is_its_formula(self) -> None:
        """tanh(w x + b), and the slope by hand."""
        mlp = MLP((Layer((Neuron((2.0, -1.0), 0.5),)),))
        assert mlp([1.0, 3.0]) == [library.tanh(-0.5)]
        slope = tg.grad(loss)(mlp, [[1.0, 3.0]], [0.0]).layers[0].neurons[0]
        want = 2.0 * library.tanh(-0.5) / library.cosh(0.5) ** 2
        assert slope.b == pytest.approx(want, rel=1e-14)
        assert slope.w == pytest.approx((want, 3.0 * want), rel=1e-14)
        assert slope.activation == "tanh"

    @pytest.mark.parametrize("name", get_args(Activation))
    def test_numbers_and_arrays_compute_the_same(self, name: Activation) -> None:
        """A network of matrices has the outputs and the gradient of that of neurons."""
        mlp = MLP.init([3, 4, 2, 1], seed=3, activation=name, output="tanh")
        dense = as_arrays(mlp)
        assert dense(np.array(XS))[:, 0] == pytest.approx([mlp(x)[0] for x in XS], rel=1e-13)
        slope = tg.grad(loss)(mlp, XS, YS)
        found = tg.grad(array_loss)(dense, np.array(XS), np.array(YS))
        for mine, theirs in zip(as_arrays(slope).layers, found.layers, strict=True):
            assert theirs.w == pytest.approx(mine.w, rel=1e-12)
            assert theirs.b == pytest.approx(mine.b, rel=1e-12)

    def test_a_gradient_is_that_of_differences(self) -> None:
        """check_grad confirms the slope in every parameter."""
        tg.check_grad(loss, MLP.init([3, 2, 1], activation="gelu"), XS, YS).require()

    def test_every_road_has_the_eager_bits(self) -> None:
        """Recorded, replayed, compiled, and over rows; static fields pass through."""
        mlp = MLP.init([3, 4, 1], seed=1)
        want = tg.grad(loss)(mlp, XS, YS)
        assert tg.record(loss)(mlp, XS, YS).gradient() == want
        compiled = tg.jit(tg.grad(loss))
        assert [compiled(mlp, XS, YS) for _ in range(4)] == [want] * 4
        one = tg.vmap(tg.grad(lambda mlp, x: mlp(x)[0]), in_axes=(None, 0))
        row = as_arrays(one(mlp, np.array(XS)).row(1)).layers[0]
        eager = as_arrays(tg.grad(lambda mlp, x: mlp(x)[0])(mlp, XS[1])).layers[0]
        assert row.w == pytest.approx(eager.w, rel=1e-13)
        assert pickle.loads(pickle.dumps(mlp)) == mlp  # noqa: S301  # our own bytes

    def test_networks_of_arrays_compile(self) -> None:
        """jit gives the eager gradient of a network of arrays, with its static fields."""
        mlp = DenseMLP.init([3, 4, 1], seed=1, activation="gelu")
        data = np.array(XS), np.array(YS)
        want = tg.grad(array_loss)(mlp, *data)
        compiled = tg.jit(tg.grad(array_loss))
        for _ in range(4):
            found = compiled(mlp, *data)
            assert found.layers[0].activation == "gelu"
            assert np.array_equal(found.layers[0].w, want.layers[0].w)

    def test_a_function_of_a_row_serves_rows(self) -> None:
        """A row may be a list, and `vmap` gives a network of arrays its rows as tuples."""

        def of_row(mlp: DenseMLP[Arr], x: Sequence[float], y: float) -> Scalar:
            return losses.mse(mlp(x), y)

        mlp, data = DenseMLP.init([3, 4, 1], seed=1), (np.array(XS), np.array(YS))
        want = tg.value_and_grad(array_loss)(mlp, *data)
        mean = tg.vmap(tg.value_and_grad(of_row), in_axes=(None, 0, 0), reduce="mean")
        value, slope = mean(mlp, *data)
        assert value == pytest.approx(want.value, rel=1e-13)
        assert slope.layers[0].w == pytest.approx(want.grad.layers[0].w, rel=1e-12)
        assert mlp(XS[0]) == pytest.approx(mlp(data[0])[0], rel=1e-13)

    def test_a_network_is_differentiated_in_its_inputs(self) -> None:
        """One of plain numbers or arrays takes traced inputs, with one gradient."""
        mlp = MLP.init([3, 4, 1], seed=2)
        dense = as_arrays(mlp)
        slope = tg.grad(lambda x: mlp(x)[0])(XS[0])
        assert tg.grad(lambda x: dense(x)[0])(np.array(XS[0])) == pytest.approx(slope, rel=1e-12)


class TestNames:
    def test_parameters_have_paths_and_entries_the_same_scopes(self) -> None:
        """Every entry of a layer stands in the scopes that its parameters' paths begin with."""
        mlp = MLP.init([3, 4, 1])
        tape = tg.record(loss)(mlp, XS, YS)
        second = tape[1]
        assert isinstance(second, tg.Input)
        assert second.path == "layers.0.neurons.0.w.1"
        scopes = {tape.scope(slot) for slot in range(len(tape))}
        assert scopes == {
            (),
            *(("layers.0", f"neurons.{index}") for index in range(4)),
            ("layers.1", "neurons.0"),
        }

    def test_layers_of_arrays_are_scopes(self) -> None:
        """So it is with matrices."""
        tape = tg.record(array_loss)(DenseMLP.init([3, 4, 1]), np.array(XS), np.array(YS))
        scopes = {tape.scope(slot) for slot in range(len(tape))}
        assert scopes == {(), ("layers.0",), ("layers.1",)}

    def test_an_inner_recording_has_its_own_scopes(self) -> None:
        """A network of constants, applied to a traced number, is recorded in its scopes."""
        mlp = MLP.init([1, 2, 1])
        tape = tg.record(lambda x: mlp([x])[0])(0.5)
        assert ("layers.0", "neurons.1") in {tape.scope(slot) for slot in range(len(tape))}
        slope = tg.grad(lambda x: tg.grad(lambda y: mlp([x * y])[0])(1.0))(0.5)
        assert slope == pytest.approx(
            tg.grad(lambda x: x * tg.grad(lambda z: mlp([z])[0])(x))(0.5), rel=1e-12
        )


class TestStart:
    def test_weights_are_those_of_micrograd(self) -> None:
        """Uniform from -1 to 1, weight by weight, after `random.seed`; biases are 0."""
        source = Random(1337)
        mlp = MLP.init([2, 16, 1], seed=1337)
        for layer in mlp.layers:
            for neuron in layer.neurons:
                assert neuron.w == tuple(source.uniform(-1.0, 1.0) for _ in neuron.w)
                assert neuron.b == 0.0

    @pytest.mark.parametrize(
        ("init", "deviation"),
        [("uniform", 3.0**-0.5), ("glorot", (2.0 / 160.0) ** 0.5), ("he", (2.0 / 80.0) ** 0.5)],
    )
    def test_weights_have_the_deviation_of_their_distribution(
        self, init: nn.Initial, deviation: float
    ) -> None:
        """The mean of 6,400 weights is near 0, and the mean of their squares the variance."""
        lists = [neuron.w for neuron in Layer.init(80, 80, init=init).neurons]
        for weights in (np.array(lists), Dense.init(80, 80, init=init).w):
            assert abs(weights.mean()) < 4.0 * deviation / 80.0
            assert weights.std() == pytest.approx(deviation, rel=0.05)

    def test_the_seed_decides(self) -> None:
        """The same seed gives the same network, another one another."""
        assert MLP.init([2, 3, 1], seed=5) == MLP.init([2, 3, 1], seed=5)
        assert MLP.init([2, 3, 1], seed=5) != MLP.init([2, 3, 1], seed=6)
        first, second = (DenseMLP.init([2, 3], seed=seed).layers[0].w for seed in (5, 5))
        assert np.array_equal(first, second)

    def test_the_last_layer_ends_with_the_output(self) -> None:
        """The others end with the activation."""
        mlp = MLP.init([2, 3, 4, 1], activation="relu", output="sigmoid")
        dense = DenseMLP.init([2, 3, 4, 1], activation="relu", output="sigmoid")
        assert [layer.neurons[0].activation for layer in mlp.layers] == ["relu", "relu", "sigmoid"]
        assert [layer.activation for layer in dense.layers] == ["relu", "relu", "sigmoid"]


NAMES = "elu, gelu, identity, leaky_relu, relu, sigmoid, silu, softplus, tanh"
wrong: Any = "tahn"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: MLP.init([3]),
            (
                "sizes is a list ([3]) (test_networks.py:{}): pass the number of inputs, then the "
                "number of outputs of each layer, as in [2, 16, 1]"
            ),
        ),
        (
            lambda: MLP.init([3, 0, 1]),
            "sizes[1] is 0 (test_networks.py:{}): pass 1 or more",
        ),
        (
            lambda: DenseMLP.init([3, -2]),
            "sizes[1] is -2 (test_networks.py:{}): pass 1 or more",
        ),
        (
            lambda: MLP(()),
            "layers is a tuple (()) (test_networks.py:{}): pass one or more",
        ),
        (
            lambda: Layer(()),
            "neurons is a tuple (()) (test_networks.py:{}): pass one or more",
        ),
        (
            lambda: Neuron.init(0),
            "inputs is 0 (test_networks.py:{}): pass 1 or more",
        ),
        (
            lambda: MLP.init([3, 1], activation=wrong),
            f"activation is a str ('tahn') (test_networks.py:{{}}): write one of {NAMES}",
        ),
        (
            lambda: Dense(np.ones((2, 2)), np.zeros(2), wrong),
            f"activation is a str ('tahn') (test_networks.py:{{}}): write one of {NAMES}",
        ),
        (
            lambda: Layer.init(2, 2, init=wrong),
            "init is a str ('tahn') (test_networks.py:{}): write one of glorot, he, uniform",
        ),
        (
            lambda: MLP.init([3, 1])([1.0]),
            (
                "the number of inputs is 1 (test_networks.py:{}): pass 3, one for each weight of a "
                "neuron"
            ),
        ),
        (
            lambda: DenseMLP.init([3, 1])(np.ones((3, 2))),
            (
                "a layer takes arrays whose last axis has the length 3, and was given one of the "
                "shape (3, 2) (test_networks.py:{}): pass 3 numbers for each row"
            ),
        ),
    ],
)
def test_bad_input_is_told_in_a_sentence(make: Callable[[], object], text: str) -> None:
    """It says the value, the line and what to pass."""
    with pytest.raises(InputError) as told:
        make()
    assert str(told.value) == text.format(make.__code__.co_firstlineno)


@attrs.frozen
class Model(Generic[Real]):
    """A user's model with a network in it."""

    mlp: MLP[Real]
    scale: Real
    name: str = "model"

    def __call__(self, xs: Sequence[float]) -> Real:
        return self.mlp(xs)[0] * self.scale


def test_networks_stand_in_models() -> None:
    """The gradient of a model with a network has the network's."""
    model = Model(MLP.init([3, 2, 1], seed=2), 3.0)
    slope = tg.grad(lambda model: model(XS[0]))(model)
    inner = tg.grad(lambda mlp: mlp(XS[0])[0])(model.mlp)
    assert slope.scale == model.mlp(XS[0])[0]
    found = [neuron.w for neuron in slope.mlp.layers[0].neurons]
    assert np.array(found) == pytest.approx(
        3.0 * np.array([neuron.w for neuron in inner.layers[0].neurons]), rel=1e-12
    )


def test_numbers_learn_without_numpy() -> None:
    """Networks, losses and data of numbers work where numpy cannot be imported."""
    script = (
        "import sys; sys.modules['numpy'] = None\n"
        "import tapegrad as tg\n"
        "from tapegrad.learn import data, losses, nn\n"
        "points, labels = data.moons(6)\n"
        "def loss(mlp): return losses.cross_entropy([mlp(p) for p in points], labels)\n"
        "slope = tg.grad(loss)(nn.MLP.init([2, 3, 2]))\n"
        "try:\n    nn.Dense\nexcept ImportError as error:\n    print(len(slope.layers))\n"
    )
    root = Path(__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert run.stdout == "2\n"
