"""Handwritten digits, 8 by 8 pixels, read by a network of arrays with 2,410 parameters.

The 1,797 pictures come with scikit-learn. Three in four are learned, the others are only read.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tapegrad import Scalar
from tapegrad.learn import fit, losses, optim, tree
from tapegrad.learn.nn import DenseMLP
from tapegrad.numpy import Arr, Floats

Labels = NDArray[np.int64]


def loss(mlp: DenseMLP[Arr], pixels: Floats, digits: Labels) -> Scalar:
    return losses.cross_entropy(mlp(pixels), digits)


def pictures() -> tuple[Floats, Labels]:
    """The pixels of each picture, from 0 to 1, and the digit that it shows."""
    library: Any = import_module("sklearn.datasets")
    pixels, digits = library.load_digits(return_X_y=True)
    return np.asarray(pixels, np.float64) / 16.0, np.asarray(digits, np.int64)


def train(pixels: Floats, digits: Labels, epochs: int) -> DenseMLP[Floats]:
    mlp = DenseMLP.init([64, 32, 10], activation="relu", init="he", seed=0)
    adam = optim.adam(0.005)
    steps = fit(loss, mlp, pixels, digits, optimizer=adam, epochs=epochs, batch_size=50)
    return steps.last().parameters


def accuracy(mlp: DenseMLP[Floats], pixels: Floats, digits: Labels) -> float:
    """The share of the pictures that are read correctly."""
    found = np.argmax(mlp(pixels), axis=-1)
    return int(np.count_nonzero(found == digits)) / len(digits)


def main(epochs: int = 20) -> None:
    if find_spec("sklearn") is None:
        print("this example needs scikit-learn: pip install scikit-learn")
        return
    pixels, digits = pictures()
    is_test = np.arange(len(digits)) % 4 == 0
    mlp = train(pixels[~is_test], digits[~is_test], epochs)
    right = accuracy(mlp, pixels[is_test], digits[is_test])
    print(
        f"{tree.size(mlp):,} parameters, {right:.1%} of {is_test.sum()} new digits read correctly"
    )
    assert right > 0.95


if __name__ == "__main__":
    main()
